/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * response.c - writing responses. All pieces have known lengths, whose sum fits into BUFFER_OUT.
 */
#include "examples/webserver/response.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "examples/webserver/buffers.h"
#include "examples/webserver/date.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 301, "Moved Permanently" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

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

static void add_common(struct out *o, const struct response_context *c)
{
	add_text(o, "\r\nServer: eta\r\nDate: ");
	add(o, c->date, DATE_ROOM - 1);
	add_text(o, "\r\n");
	if (!c->keep_alive)
		add_text(o, "Connection: close\r\n");
	else if (!c->minor)
		add_text(o, "Connection: keep-alive\r\n");
}

size_t response_file(char *out, const struct response_context *c, const struct file *file)
{
	struct out o = { out, out };

	add_text(&o, "HTTP/1.1 200 OK");
	add_common(&o, c);
	add(&o, file->head, file->head_len);
	add_text(&o, "\r\n");
	return (size_t)(o.p - o.begin);
}

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

static void add_status_fields(struct out *o, const struct response_context *c, int status)
{
	if (status == 405)
		add_text(o, "Allow: GET, HEAD\r\n");
	if (status == 301) {
		add_text(o, "Location: ");
		add(o, c->location, c->location_len);
		add_text(o, "/\r\n");
	}
}

size_t response_status(char *out, const struct response_context *c, int status)
{
	struct out o = { out, out };
	char line[64], length[80];
	int n;

	n = snprintf(line, sizeof(line), "%d %s\n", status, reason_of(status));
	snprintf(length, sizeof(length), "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
		 n);
	add_text(&o, "HTTP/1.1 ");
	add(&o, line, (size_t)n - 1);
	add_common(&o, c);
	add_status_fields(&o, c, status);
	add_text(&o, length);
	if (!c->head_only)
		add(&o, line, (size_t)n);
	return (size_t)(o.p - o.begin);
}
