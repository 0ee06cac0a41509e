/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * connection.c - the life of one connection, driven by events.
 *
 *	wait -> receive -> parse -> answer -> (next request, or) shut down, linger, close
 */
#include "examples/webserver/connection.h"

#include <errno.h>
#include <string.h>

#include "examples/webserver/path.h"
#include "examples/webserver/request.h"
#include "examples/webserver/response.h"
#include "examples/webserver/server.h"

/*
 * Bytes of one send. The event comes when all are sent, so this is also the grain in which a peer
 * that takes nothing is told from one that takes long.
 */
#define SEND_MAX (16u << 20)
#define SLOWEST_BYTES_PER_MS 16 /* a peer that takes less is given up */
#define LINGER_MS 5000
#define IDLE_MS 900 /* after which a connection may be closed to make room */

/* The send queue holds a response and the shutdown, the receive queue one receive. */
#define TX_SLOTS 2
#define RX_SLOTS 1

static uint32_t number_of(const struct connection *c)
{
	return (uint32_t)(c - c->server->connections);
}

static void use_small_buffer(struct connection *c)
{
	struct buffers *b = &c->server->buffers;

	if (c->room == REQUEST_HEAD_MAX)
		buffers_give_large(b, c->in);
	c->in = buffers_small(b, number_of(c));
	c->room = BUFFER_SMALL;
}

static void set_deadline(struct connection *c, int64_t ms)
{
	c->deadline_ms = c->server->now_ms + ms;
}

static int64_t timeout_ms(const struct connection *c)
{
	return (int64_t)c->server->config.timeout_s * 1000;
}

/* ------------------------------------------------------------------------------- closing */

static void release(struct connection *c)
{
	if (!c->closed || c->posted)
		return;
	use_small_buffer(c);
	server_connection_free(c->server, c);
}

/* After Dusi_Close_Socket() nothing touches the file or the buffers any more. */
static void close_now(struct connection *c)
{
	if (c->closed)
		return;
	c->closed = true;
	c->deadline_ms = 0;
	Dusi_Close_Socket(c->sock);
	if (c->file)
		files_put(c->server->files, c->file);
	c->file = NULL;
}

/* ------------------------------------------------------------------------------- posting */

static void count_post(struct connection *c, int err)
{
	if (err)
		close_now(c);
	else
		c->posted++;
}

static void post_receive(struct connection *c)
{
	struct dusi_buf buf = { c->in + c->end, c->room - c->end, c->server->buffers.mem };

	if (c->receiving || c->eof || c->closed)
		return;
	c->receiving = true;
	count_post(c, Dusi_Recv(c->sock, &buf, 1, 0));
}

/* @head bytes of the response's head, then as much of the file as one send takes. */
static void post_send(struct connection *c, size_t head)
{
	struct server *s = c->server;
	struct dusi_buf bufs[2];
	size_t left = c->file ? c->file->size - c->sent : 0;
	int n = 0;

	if (left > SEND_MAX)
		left = SEND_MAX;
	if (head)
		bufs[n++] = (struct dusi_buf){ buffers_out(&s->buffers, number_of(c)), head,
					       s->buffers.mem };
	if (left)
		bufs[n++] = (struct dusi_buf){ c->file->data + c->sent, left, c->file->mem };
	c->sent += left;
	c->sending = true;
	set_deadline(c, timeout_ms(c) + (int64_t)(left / SLOWEST_BYTES_PER_MS));
	count_post(c, Dusi_Send(c->sock, bufs, n, 0));
}

/*
 * The last response is out. The connection is closed when the peer has closed it: closed at once,
 * with bytes of the peer's unread, TCP would reset it and the response might be lost.
 */
static void linger(struct connection *c)
{
	if (c->eof) {
		close_now(c);
		return;
	}
	c->lingering = true;
	set_deadline(c, LINGER_MS);
	count_post(c, Dusi_Shutdown(c->sock, DUSI_SHUT_TX, 0));
	if (!c->receiving)
		c->start = c->end = 0;
	post_receive(c);
}

/* ------------------------------------------------------------------------------ answering */

static struct response_context context_of(const struct connection *c, const struct request *r)
{
	return (struct response_context){
		.date = c->server->date,
		.minor = r->minor,
		.keep_alive = !c->last,
		.head_only = r->method == METHOD_HEAD,
	};
}

static void answer_status(struct connection *c, const struct request *r, int status)
{
	char *out = buffers_out(&c->server->buffers, number_of(c));
	struct response_context context = context_of(c, r);

	post_send(c, response_status(out, &context, status));
}

/* Where there is no request that could be understood. */
static void answer_broken(struct connection *c, int status)
{
	static const struct request none = { .method = METHOD_GET, .minor = 1 };

	c->last = true;
	c->start = c->end;
	answer_status(c, &none, status);
}

/* A folder, named without the slash that relative links in its index need. */
static void answer_folder(struct connection *c, const struct request *r)
{
	char *out = buffers_out(&c->server->buffers, number_of(c));
	struct response_context context = context_of(c, r);
	const char *query = memchr(r->target, '?', r->target_len);

	context.location = r->target;
	context.location_len = query ? (size_t)(query - r->target) : r->target_len;
	/* "//name" would be another host's */
	while (context.location_len > 1 && context.location[1] == '/') {
		context.location++;
		context.location_len--;
	}
	if (context.location_len > RESPONSE_LOCATION_MAX)
		post_send(c, response_status(out, &context, 414));
	else
		post_send(c, response_status(out, &context, 301));
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

static void answer_file(struct connection *c, const struct request *r)
{
	char *out = buffers_out(&c->server->buffers, number_of(c));
	struct response_context context = context_of(c, r);
	struct server *s = c->server;
	char path[PATH_ROOM];
	struct file *file;
	size_t head;
	int n = path_from_target(r->target, r->target_len, path, sizeof(path));

	if (n < 0) {
		answer_status(c, r, -n);
		return;
	}
	n = files_get(s->files, path, (size_t)n, s->now_ms, &file);
	if (n == -EISDIR) {
		answer_folder(c, r);
		return;
	}
	if (n) {
		answer_status(c, r, status_of(n));
		return;
	}
	head = response_file(out, &context, file);
	if (r->method == METHOD_HEAD) {
		files_put(s->files, file);
	} else {
		c->file = file;
		c->sent = 0;
	}
	post_send(c, head);
}

static void answer(struct connection *c, const struct request *r)
{
	/* content is never read as such, so nothing behind it can be found; and with others waiting
	 * to be accepted, nobody keeps a connection */
	c->last = !r->keep_alive || r->content || c->server->draining || server_is_full(c->server);
	if (r->method == METHOD_UNKNOWN)
		answer_status(c, r, 501);
	else if (r->method == METHOD_OTHER)
		answer_status(c, r, 405);
	else if (r->content)
		answer_status(c, r, 413);
	else
		answer_file(c, r);
}

/* ------------------------------------------------------------------------------ receiving */

static void consume(struct connection *c, uint32_t n)
{
	c->start += n;
	c->searched = 0;
	if (c->start < c->end)
		return;
	c->start = c->end = 0;
	if (c->last || c->closed)
		return;
	/* the next request's receive is there before the request */
	use_small_buffer(c);
	post_receive(c);
}

/* Room behind what is in the buffer. False: the request has been refused. */
static bool make_room(struct connection *c)
{
	char *large;

	if (c->end < c->room)
		return true;
	if (c->start) {
		memmove(c->in, c->in + c->start, c->end - c->start);
	} else {
		if (c->room == REQUEST_HEAD_MAX) {
			answer_broken(c, request_overlong(c->in, c->end));
			return false;
		}
		large = buffers_take_large(&c->server->buffers);
		if (!large) {
			answer_broken(c, 503);
			return false;
		}
		memcpy(large, c->in, c->end);
		c->in = large;
		c->room = REQUEST_HEAD_MAX;
	}
	c->end -= c->start;
	c->start = 0;
	return true;
}

/* No whole request is in the buffer. */
static void want_more(struct connection *c)
{
	if (c->eof || (c->server->draining && c->start == c->end))
		close_now(c);
	else if (make_room(c))
		post_receive(c);
}

/* Answers what is in the buffer, until a response is under way. */
static void serve(struct connection *c)
{
	struct request r;
	int n;

	while (!c->sending && !c->lingering && !c->closed) {
		n = request_parse(c->in + c->start, c->end - c->start, &c->searched, &r);
		if (n == 0) {
			want_more(c);
			return;
		}
		if (n < 0) {
			answer_broken(c, -n);
			return;
		}
		answer(c, &r);
		consume(c, (uint32_t)n);
	}
}

/* --------------------------------------------------------------------------------- events */

static void on_accept(struct connection *c, const struct dusi_event *event)
{
	c->waiting = false;
	server_connection_accepted(c->server, event->status);
	if (event->status)
		close_now(c);
	else if (!c->closed && !c->sending)
		set_deadline(c, timeout_ms(c));
}

static void on_receive(struct connection *c, const struct dusi_event *event)
{
	c->receiving = false;
	if (event->status) {
		close_now(c);
		return;
	}
	c->eof = !event->len;
	if (c->lingering) {
		if (c->eof)
			close_now(c);
		c->start = c->end = 0;
		post_receive(c);
		return;
	}
	/* from the first byte of a request on, the time for all of it runs */
	if (c->start == c->end && !c->sending)
		set_deadline(c, timeout_ms(c));
	c->end += (uint32_t)event->len;
	serve(c);
}

static void on_send(struct connection *c, const struct dusi_event *event)
{
	c->sending = false;
	if (event->status) {
		close_now(c);
		return;
	}
	if (c->file && c->sent < c->file->size) {
		post_send(c, 0);
		return;
	}
	if (c->file)
		files_put(c->server->files, c->file);
	c->file = NULL;
	c->served = true;
	if (c->last) {
		linger(c);
		return;
	}
	set_deadline(c, timeout_ms(c));
	serve(c);
}

void connection_event(struct connection *c, const struct dusi_event *event)
{
	c->posted--;
	if (event->type == DUSI_EV_ACCEPT)
		on_accept(c, event);
	else if (c->closed)
		; /* one of those that end with it */
	else if (event->type == DUSI_EV_RECV)
		on_receive(c, event);
	else if (event->type == DUSI_EV_SEND)
		on_send(c, event);
	else if (event->status) /* of the shutdown */
		close_now(c);
	release(c);
}

void connection_expire(struct connection *c)
{
	if (c->sending || c->lingering || c->start == c->end)
		close_now(c);
	else
		answer_broken(c, 408);
	release(c);
}

void connection_close_idle(struct connection *c)
{
	int64_t idle_ms = c->server->now_ms + timeout_ms(c) - c->deadline_ms;

	/* one that has just become idle may have its next request on the way */
	if (c->served && !c->sending && !c->lingering && c->start == c->end && idle_ms >= IDLE_MS)
		close_now(c);
	release(c);
}

void connection_drain(struct connection *c)
{
	if (!c->sending && !c->lingering)
		close_now(c);
	c->last = true;
	release(c);
}

void connection_abandon(struct connection *c)
{
	close_now(c);
	release(c);
}

int connection_open(struct connection *c)
{
	struct server *s = c->server;
	const struct dusi_socket_attr attr = {
		.tx_evq = s->evq,
		.rx_evq = s->evq,
		.tx_slots = TX_SLOTS,
		.rx_slots = RX_SLOTS,
		.context = (uintptr_t)c,
	};
	int err;

	*c = (struct connection){ .server = s };
	use_small_buffer(c);
	err = Dusi_Socket(s->ual, &attr, &c->sock);
	if (err)
		return err;
	err = Dusi_Accept(s->listener, c->sock, 0);
	if (err) {
		Dusi_Close_Socket(c->sock);
		return err;
	}
	c->waiting = true;
	c->posted = 1;
	/* the first request may come with the connection */
	post_receive(c);
	return 0;
}
