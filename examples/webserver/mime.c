/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mime.c - media types by extension: the system's table, sorted, and a few built in for where that
 * has none.
 */
#include "examples/webserver/mime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UTF8 "; charset=utf-8"
#define LINE_ROOM 1024
#define TYPES_MAX 65536

struct type {
	const char *extension, *type;
};

/* In order of the extensions: it is searched by halves. */
static const struct type built_in[] = {
	{ "avif", "image/avif" },
	{ "bin", "application/octet-stream" },
	{ "css", "text/css" UTF8 },
	{ "csv", "text/csv" UTF8 },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
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
	{ "mp4", "video/mp4" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "svg", "image/svg+xml" },
	{ "txt", "text/plain" UTF8 },
	{ "wasm", "application/wasm" },
	{ "webm", "video/webm" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xml", "application/xml" },
	{ "zip", "application/zip" },
};

/* The system's: both strings of an entry are one allocation, the extension's. */
static struct type *loaded;
static size_t loaded_count, loaded_room;

static int compare(const void *a, const void *b)
{
	return strcasecmp(((const struct type *)a)->extension, ((const struct type *)b)->extension);
}

void mime_unload(void)
{
	for (size_t i = 0; i < loaded_count; i++)
		free((char *)loaded[i].extension);
	free(loaded);
	loaded = NULL;
	loaded_count = loaded_room = 0;
}

static int grow(void)
{
	size_t room = loaded_room ? loaded_room * 2 : 512;
	struct type *more;

	if (loaded_count < loaded_room)
		return 0;
	more = room <= TYPES_MAX ? realloc(loaded, room * sizeof(*more)) : NULL;
	if (!more)
		return -ENOMEM;
	loaded = more;
	loaded_room = room;
	return 0;
}

static int add(const char *extension, const char *type)
{
	const char *charset = strncasecmp(type, "text/", 5) ? "" : UTF8;
	size_t len = strlen(extension) + 1, room = len + strlen(type) + sizeof(UTF8);
	char *text;

	if (grow())
		return -ENOMEM;
	text = malloc(room);
	if (!text)
		return -ENOMEM;
	memcpy(text, extension, len);
	snprintf(text + len, room - len, "%s%s", type, charset);
	loaded[loaded_count++] = (struct type){ text, text + len };
	return 0;
}

static int take_line(char *line)
{
	char *rest, *type = strtok_r(line, " \t\r\n", &rest), *extension;
	int err = 0;

	if (!type || *type == '#' || strlen(type) + sizeof(UTF8) > MIME_TYPE_MAX)
		return 0;
	while (!err && (extension = strtok_r(NULL, " \t\r\n", &rest)))
		err = add(extension, type);
	return err;
}

int mime_load(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_ROOM];
	int err = 0;

	if (!file)
		return -errno;
	mime_unload();
	while (!err && fgets(line, sizeof(line), file))
		err = take_line(line);
	fclose(file);
	if (loaded_count)
		qsort(loaded, loaded_count, sizeof(*loaded), compare);
	return err;
}

static const struct type *find(const char *extension, const struct type *types, size_t count)
{
	struct type key = { extension, NULL };

	return count ? bsearch(&key, types, count, sizeof(*types), compare) : NULL;
}

const char *mime_type(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash + 1 : path, '.');
	const struct type *found = NULL;

	if (dot)
		found = find(dot + 1, loaded, loaded_count);
	if (dot && !found)
		found = find(dot + 1, built_in, sizeof(built_in) / sizeof(built_in[0]));
	return found ? found->type : "application/octet-stream";
}
