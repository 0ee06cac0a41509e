/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * response.c - writing responses. All pieces have known lengths, whose sum fits into BUFFER_OUT.
 */
#include "examples/webserver/response.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "examples/webserver/buffers.h"
#include "examples/webserver/date.h"
#include "examples/webserver/mime.h"

#define COMMON "\r\nServer: eta\r\nDate: "

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 416, "Range Not Satisfiable" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

/* ------------------------------------------------------------------------------- pieces */

struct out {
	char *begin, *p;
};

static void add(struct out *o, const char *text, size_t len)
{
	assert(len <= BUFFER_OUT - (size_t)(o->p - o->begin));
	memcpy(o->p, text, len);
	o->p += len;
}

static void add_text(struct out *o, const char *text)
{
	add(o, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void add_format(struct out *o, const char *format, ...)
{
	size_t room = BUFFER_OUT - (size_t)(o->p - o->begin);
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(o->p, room, format, arguments);
	va_end(arguments);
	assert(n >= 0 && (size_t)n < room);
	o->p += n;
}

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

static void add_connection(struct out *o, const struct response_context *c)
{
	if (!c->keep_alive)
		add_text(o, "Connection: close\r\n");
	else if (!c->minor)
		add_text(o, "Connection: keep-alive\r\n");
}

static void begin(struct out *o, const struct response_context *c, int status)
{
	add_format(o, "HTTP/1.1 %d %s" COMMON, status, reason_of(status));
	add(o, c->date, DATE_LEN);
	add_text(o, "\r\n");
	add_connection(o, c);
}

static size_t length_of(const struct out *o)
{
	return (size_t)(o->p - o->begin);
}

/* -------------------------------------------------------------------------------- files */

/* ETag: "inode-size-time of change" */
static size_t prepare_tag(struct file *file, const struct file_state *state, size_t at)
{
	uint64_t time = (uint64_t)state->mtime.tv_sec * 1000000000 + (uint64_t)state->mtime.tv_nsec;
	char *text = file->head.text + at;
	int name = sprintf(text, "ETag: ");
	int len = sprintf(text + name, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", state->ino,
			  file->size, time);

	file->validators.etag = (struct text){ text + name, (size_t)len };
	return at + (size_t)(name + len);
}

void response_prepare(struct file *file, const struct file_state *state, const char *type)
{
	struct file_head *h = &file->head;
	char date[DATE_ROOM];
	size_t n;

	date_format(file->validators.modified, date);
	n = (size_t)sprintf(h->text, "HTTP/1.1 200 OK" COMMON);
	h->date = (uint16_t)n;
	n += (size_t)sprintf(h->text + n, "%s\r\n", date);
	h->validators = (uint16_t)n;
	n = prepare_tag(file, state, n);
	n += (size_t)sprintf(h->text + n, "\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n",
			     date);
	h->described = (uint16_t)n;
	n += (size_t)sprintf(h->text + n, "Content-Type: %.*s\r\n", MIME_TYPE_MAX, type);
	h->length = (uint16_t)n;
	n += (size_t)sprintf(h->text + n, "Content-Length: %" PRIu64 "\r\n\r\n", file->size);
	h->len = (uint16_t)n;
	assert(n < FILE_HEAD_ROOM);
}

/* Part of a file's head, from one mark in it to another. */
static void add_described(struct out *o, const struct file *file, uint16_t from, uint16_t to)
{
	add(o, file->head.text + from, (size_t)(to - from));
}

/* The head is ready, except for the date, and for what keeps or closes a connection otherwise. */
size_t response_file(char *out, const struct response_context *c, const struct file *file)
{
	const struct file_head *h = &file->head;
	struct out o = { out, out };

	if (c->keep_alive && c->minor) {
		memcpy(out, h->text, h->len);
		memcpy(out + h->date, c->date, DATE_LEN);
		return h->len;
	}
	begin(&o, c, 200);
	add_described(&o, file, h->validators, h->len);
	return length_of(&o);
}

size_t response_not_modified(char *out, const struct response_context *c, const struct file *file)
{
	struct out o = { out, out };

	begin(&o, c, 304);
	add_described(&o, file, file->head.validators, file->head.described);
	add_text(&o, "\r\n");
	return length_of(&o);
}

static void add_range(struct out *o, const struct file *file, const struct range *range)
{
	add_format(o, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", range->first,
		   range->last, file->size);
}

size_t response_range(char *out, const struct response_context *c, const struct file *file,
		      const struct range *range)
{
	struct out o = { out, out };

	begin(&o, c, 206);
	add_described(&o, file, file->head.validators, file->head.length);
	add_range(&o, file, range);
	add_format(&o, "Content-Length: %" PRIu64 "\r\n\r\n", range->last - range->first + 1);
	return length_of(&o);
}

/* ----------------------------------------------------------------------------- multipart */

/* Nothing that a file would contain by chance, or that somebody could have put into one. */
static const char *boundary(void)
{
	static char text[33];
	uint64_t random[2] = { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9 };

	if (text[0])
		return text;
	/* without randomness the constants have to do */
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[0] ^= (uint64_t)time(NULL);
	sprintf(text, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	return text;
}

size_t response_parts(char *out, const struct response_context *c, const struct file *file,
		      uint64_t len)
{
	struct out o = { out, out };

	begin(&o, c, 206);
	add_described(&o, file, file->head.validators, file->head.described);
	add_format(&o,
		   "Content-Type: multipart/byteranges; boundary=%s\r\n"
		   "Content-Length: %" PRIu64 "\r\n\r\n",
		   boundary(), len);
	return length_of(&o);
}

size_t response_part(char *out, const struct file *file, const struct range *range)
{
	struct out o = { out, out };

	add_format(&o, "\r\n--%s\r\n", boundary());
	add_described(&o, file, file->head.described, file->head.length);
	add_range(&o, file, range);
	add_text(&o, "\r\n");
	return length_of(&o);
}

size_t response_parts_end(char *out)
{
	struct out o = { out, out };

	add_format(&o, "\r\n--%s--\r\n", boundary());
	return length_of(&o);
}

/* -------------------------------------------------------------------------------- others */

size_t response_made(char *out, const struct response_context *c, int status, const char *type,
		     uint64_t len)
{
	struct out o = { out, out };

	begin(&o, c, status);
	add_format(&o,
		   "Cache-Control: no-store\r\nContent-Type: %.*s\r\n"
		   "Content-Length: %" PRIu64 "\r\n\r\n",
		   MIME_TYPE_MAX, type, len);
	return length_of(&o);
}

static void add_status_fields(struct out *o, const struct response_context *c, int status)
{
	if (status == 405)
		add_text(o, "Allow: GET, HEAD\r\n");
	if (status == 416)
		add_format(o, "Content-Range: bytes */%" PRIu64 "\r\n", c->size);
	if (status == 503)
		add_text(o, "Retry-After: 1\r\n");
	if (status == 301) {
		add_text(o, "Location: ");
		add(o, c->location.p, c->location.len);
		add_text(o, "/\r\n");
	}
}

size_t response_status(char *out, const struct response_context *c, int status, size_t *body)
{
	struct out o = { out, out };
	char line[64];

	*body = (size_t)snprintf(line, sizeof(line), "%d %s\n", status, reason_of(status));
	begin(&o, c, status);
	add_status_fields(&o, c, status);
	add_format(&o, "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", *body);
	if (c->head_only)
		*body = 0;
	add(&o, line, *body);
	return length_of(&o);
}
