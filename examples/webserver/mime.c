/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mime.c - media types by extension: what browsers need to be told. Text is taken to be UTF-8.
 */
#include "examples/webserver/mime.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UTF8 "; charset=utf-8"

struct type {
	const char *extension, *type;
};

/* In order of the extensions: it is searched by halves. */
static const struct type types[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "avif", "image/avif" },
	{ "bmp", "image/bmp" },
	{ "bz2", "application/x-bzip2" },
	{ "c", "text/plain" UTF8 },
	{ "css", "text/css" UTF8 },
	{ "csv", "text/csv" UTF8 },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "h", "text/plain" UTF8 },
	{ "htm", "text/html" UTF8 },
	{ "html", "text/html" UTF8 },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" UTF8 },
	{ "json", "application/json" },
	{ "log", "text/plain" UTF8 },
	{ "md", "text/markdown" UTF8 },
	{ "mjs", "text/javascript" UTF8 },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "ogg", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "ttf", "font/ttf" },
	{ "txt", "text/plain" UTF8 },
	{ "wasm", "application/wasm" },
	{ "webm", "video/webm" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", "application/xhtml+xml" },
	{ "xml", "application/xml" },
	{ "xz", "application/x-xz" },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" },
};

static int compare(const void *key, const void *element)
{
	return strcasecmp(key, ((const struct type *)element)->extension);
}

const char *mime_type(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash + 1 : path, '.');
	const struct type *found = NULL;

	if (dot)
		found = bsearch(dot + 1, types, sizeof(types) / sizeof(types[0]), sizeof(types[0]),
				compare);
	return found ? found->type : "application/octet-stream";
}
