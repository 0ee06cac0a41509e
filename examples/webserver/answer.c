/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * answer.c - what a request is answered with: a file or part of it, nothing new, something made for
 * it, or a status.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "examples/webserver/condition.h"
#include "examples/webserver/dynamic.h"
#include "examples/webserver/path.h"
#include "examples/webserver/response.h"
#include "examples/webserver/server.h"
#include "examples/webserver/transfer.h"

static struct response_context context_of(const struct connection *c, const struct request *r)
{
	return (struct response_context){
		.date = c->server->date,
		.minor = r->minor,
		.keep_alive = !c->last,
		.head_only = r->method == METHOD_HEAD,
	};
}

/* -------------------------------------------------------------------------------- status */

static void answer_with(struct connection *c, const struct request *r,
			const struct response_context *context, int status)
{
	size_t body, head = response_status(c->out, context, status, &body);

	server_note(c->server, c, r, status, body);
	transfer_text(c, head);
}

static void answer_status(struct connection *c, const struct request *r, int status)
{
	struct response_context context = context_of(c, r);

	answer_with(c, r, &context, status);
}

/* What there is of the request's first line is all that the log can tell. */
void answer_broken(struct connection *c, int status)
{
	struct request none = { .method = METHOD_GET, .minor = 1 };
	const char *begin = c->in + c->start;
	size_t len = c->end_in - c->start;
	const char *end;

	while (len && (*begin == '\r' || *begin == '\n')) {
		begin++;
		len--;
	}
	end = memchr(begin, '\n', len);
	if (end)
		len = (size_t)(end - begin);
	if (len && begin[len - 1] == '\r')
		len--;
	none.line = (struct text){ begin, len };
	c->last = true;
	transfer_begin(c);
	answer_status(c, &none, status);
	c->start = c->end_in;
}

/* A folder, named without the slash that relative links in its index need. */
static void answer_folder(struct connection *c, const struct request *r)
{
	struct response_context context = context_of(c, r);
	const char *query = memchr(r->target, '?', r->target_len);
	struct text location = { r->target, query ? (size_t)(query - r->target) : r->target_len };

	/* "//name" would be another host's */
	while (location.len > 1 && location.p[1] == '/')
		text_skip(&location, 1);
	context.location = location;
	answer_with(c, r, &context, location.len > RESPONSE_LOCATION_MAX ? 414 : 301);
}

static int status_of(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
		return 404;
	case -EACCES:
	case -EPERM:
	case -EXDEV: /* leads out of the folder */
	case -ELOOP:
	case -ENXIO: /* a socket, or a device without one */
	case -ENODEV:
		return 403;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
	case -ENOSPC:
	case -EAGAIN:
		return 503;
	default:
		return 500;
	}
}

/* --------------------------------------------------------------------------------- files */

static void send_whole(struct connection *c, const struct request *r, struct file *file)
{
	struct response_context context = context_of(c, r);
	size_t head = response_file(c->out, &context, file);
	bool only_head = r->method == METHOD_HEAD;

	server_note(c->server, c, r, 200, only_head ? 0 : file->size);
	transfer_file(c, head, file, 0, only_head ? 0 : file->size);
}

static void send_range(struct connection *c, const struct request *r, struct file *file,
		       const struct range *range)
{
	struct response_context context = context_of(c, r);
	size_t head = response_range(c->out, &context, file, range);

	server_note(c->server, c, r, 206, range->last - range->first + 1);
	transfer_file(c, head, file, range->first, range->last + 1);
}

/* Lengths are told first, so each part's head is written twice. */
static uint64_t length_of_parts(struct connection *c, const struct file *file,
				const struct range *ranges, int n)
{
	uint64_t len = response_parts_end(c->out);

	for (int i = 0; i < n; i++)
		len += response_part(c->out, file, &ranges[i]) + ranges[i].last - ranges[i].first +
		       1;
	return len;
}

static void send_parts(struct connection *c, const struct request *r, struct file *file,
		       const struct range *ranges, int n)
{
	struct response_context context = context_of(c, r);
	struct parts *parts = malloc(sizeof(*parts));
	uint64_t len;

	if (!parts) {
		send_whole(c, r, file);
		return;
	}
	parts->count = n;
	parts->next = 0;
	memcpy(parts->ranges, ranges, (size_t)n * sizeof(*ranges));
	len = length_of_parts(c, file, ranges, n);
	server_note(c->server, c, r, 206, len);
	transfer_parts(c, response_parts(c->out, &context, file, len), file, parts);
}

static void send_ranges(struct connection *c, const struct request *r, struct file *file)
{
	struct response_context context = context_of(c, r);
	struct range ranges[RANGES_MAX];
	int n = range_parse(r->range, file->size, ranges);

	if (n == 0) {
		send_whole(c, r, file);
	} else if (n == 1) {
		send_range(c, r, file, &ranges[0]);
	} else if (n > 1) {
		send_parts(c, r, file, ranges, n);
	} else {
		context.size = file->size;
		files_put(c->server->files, file);
		answer_with(c, r, &context, 416);
	}
}

static void send_file(struct connection *c, const struct request *r, struct file *file)
{
	struct response_context context = context_of(c, r);
	time_t now = c->server->date_of;
	int status = condition_check(r, &file->validators, now);
	size_t head;

	if (status == 304) {
		head = response_not_modified(c->out, &context, file);
		files_put(c->server->files, file);
		server_note(c->server, c, r, status, 0);
		transfer_text(c, head);
	} else if (status) {
		files_put(c->server->files, file);
		answer_status(c, r, status);
	} else if (r->range.p && r->method == METHOD_GET &&
		   condition_range(r, &file->validators, now)) {
		send_ranges(c, r, file);
	} else {
		send_whole(c, r, file);
	}
}

/* Somewhere else it may take long. True: c->looking until it is known. */
static bool look_for(struct connection *c, const char *path)
{
	if (files_look(c->server->files, path, (uintptr_t)c, &c->look))
		return false;
	c->posted++;
	c->looking = true;
	return true;
}

static int find_file(struct connection *c, const char *path, size_t len, struct file **file)
{
	struct server *s = c->server;
	int err = files_get(s->files, path, len, s->now_ms, c->looked, file);

	if (err != -EAGAIN || c->looked)
		return err;
	if (look_for(c, path))
		return -EINPROGRESS;
	return files_get(s->files, path, len, s->now_ms, true, file);
}

static void answer_file(struct connection *c, const struct request *r)
{
	char path[PATH_ROOM];
	struct file *file;
	int n = path_from_target(r->target, r->target_len, path, sizeof(path));

	if (n < 0) {
		answer_status(c, r, -n);
		return;
	}
	n = find_file(c, path, (size_t)n, &file);
	if (n == -EINPROGRESS)
		return;
	c->looked = false;
	if (n == -EISDIR)
		answer_folder(c, r);
	else if (n)
		answer_status(c, r, status_of(n));
	else
		send_file(c, r, file);
}

/* --------------------------------------------------------------------------------- others */

static void answer_dynamic(struct connection *c, const struct request *r, dynamic_handler handler)
{
	struct response_context context = context_of(c, r);
	struct dynamic_reply reply = { .status = 200, .type = "application/octet-stream" };
	size_t head;

	reply.body = pool_take(&c->server->buffers.larges);
	if (!reply.body) {
		answer_status(c, r, 503);
		return;
	}
	c->made = reply.body;
	handler(c->server, r, &reply);
	if (reply.overflow) {
		answer_status(c, r, 500);
		return;
	}
	head = response_made(c->out, &context, reply.status, reply.type, reply.len);
	if (context.head_only)
		reply.len = 0;
	server_note(c->server, c, r, reply.status, reply.len);
	transfer_made(c, head, reply.len);
}

void answer_request(struct connection *c, const struct request *r)
{
	struct server *s = c->server;
	uint64_t most = s->settings.max_requests;
	dynamic_handler handler;

	transfer_begin(c);
	/* content is never read as such, so nothing behind it can be found; and with others waiting
	 * to be accepted, nobody keeps a connection */
	c->goes = !r->keep_alive && !r->content;
	c->last = !r->keep_alive || r->content || s->draining || server_is_full(s) ||
		  (most && c->requests + 1 >= most);
	if (r->method == METHOD_UNKNOWN)
		answer_status(c, r, 501);
	else if (r->method == METHOD_OTHER)
		answer_status(c, r, 405);
	else if (r->content)
		answer_status(c, r, 413);
	else if ((handler = dynamic_find(s, r)))
		answer_dynamic(c, r, handler);
	else
		answer_file(c, r);
}
