/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * connection.c - the life of one connection, driven by events.
 *
 *	wait -> receive -> parse -> answer -> (next request, or) shut down, linger, close
 */
#include "examples/webserver/connection.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "examples/webserver/request.h"
#include "examples/webserver/server.h"
#include "examples/webserver/transfer.h"

#define LINGER_MS 5000
#define IDLE_MS 900 /* after which a connection may be closed to make room */

static_assert(BUFFER_LARGE == REQUEST_HEAD_MAX, "a large buffer takes the longest head");

static uint32_t number_of(const struct connection *c)
{
	return (uint32_t)(c - c->server->connections);
}

static void use_small_buffer(struct connection *c)
{
	struct buffers *b = &c->server->buffers;

	if (c->room == BUFFER_LARGE)
		pool_give(&b->larges, c->in);
	c->in = buffers_small(b, number_of(c));
	c->room = BUFFER_SMALL;
}

void connection_set_deadline(struct connection *c, int64_t ms)
{
	c->deadline_ms = c->server->now_ms + ms;
}

static int64_t timeout_ms(const struct connection *c)
{
	return (int64_t)c->server->settings.timeout_s * 1000;
}

static int64_t idle_ms(const struct connection *c)
{
	return (int64_t)c->server->settings.idle_s * 1000;
}

/* ------------------------------------------------------------------------------- closing */

/* After the last event nothing touches the file or the buffers any more. */
static void release(struct connection *c)
{
	if (!c->closed || c->posted)
		return;
	transfer_end(c);
	use_small_buffer(c);
	server_connection_free(c->server, c);
}

void connection_close(struct connection *c)
{
	if (c->closed)
		return;
	c->closed = true;
	c->deadline_ms = 0;
	c->posted++;
	gaio_close_sock(c->sock, 0);
}

void connection_posted(struct connection *c, int err)
{
	if (err)
		connection_close(c);
	else
		c->posted++;
}

static void post_receive(struct connection *c)
{
	struct gaio_buf buf = { c->in + c->end_in, c->room - c->end_in, c->server->buffers.mem };

	if (c->receiving || c->eof || c->closed)
		return;
	c->receiving = true;
	connection_posted(c, gaio_recv(c->sock, &buf, 0));
}

/*
 * The last response is out. The connection is closed when the peer has closed it: closed at once,
 * with bytes of the peer's unread, TCP would reset it and the response might be lost. (A client that
 * asked for the end, RFC 9112 section 9.6, sends no such bytes.)
 */
static void linger(struct connection *c)
{
	if (c->eof || (c->goes && c->start == c->end_in)) {
		connection_close(c);
		return;
	}
	c->lingering = true;
	connection_set_deadline(c, LINGER_MS);
	connection_posted(c, gaio_shutdown(c->sock, 0));
	if (!c->receiving)
		c->start = c->end_in = 0;
	post_receive(c);
}

/* ------------------------------------------------------------------------------ receiving */

static void consume(struct connection *c, uint32_t n)
{
	c->start += n;
	c->searched = 0;
	if (c->start < c->end_in)
		return;
	c->start = c->end_in = 0;
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

	if (c->end_in < c->room)
		return true;
	if (c->start) {
		memmove(c->in, c->in + c->start, c->end_in - c->start);
	} else {
		if (c->room == BUFFER_LARGE) {
			answer_broken(c, request_overlong(c->in, c->end_in));
			return false;
		}
		large = pool_take(&c->server->buffers.larges);
		if (!large) {
			answer_broken(c, 503);
			return false;
		}
		memcpy(large, c->in, c->end_in);
		c->in = large;
		c->room = BUFFER_LARGE;
	}
	c->end_in -= c->start;
	c->start = 0;
	return true;
}

/* No whole request is in the buffer. */
static void want_more(struct connection *c)
{
	if (c->eof || (c->server->draining && c->start == c->end_in))
		connection_close(c);
	else if (make_room(c))
		post_receive(c);
}

/* Answers what is in the buffer, until a response is under way. */
static void serve(struct connection *c)
{
	struct request r;
	int n;

	while (!c->sending && !c->looking && !c->lingering && !c->closed) {
		n = request_parse(c->in + c->start, c->end_in - c->start, &c->searched, &r);
		if (n == 0) {
			want_more(c);
			return;
		}
		if (n < 0) {
			answer_broken(c, -n);
			return;
		}
		answer_request(c, &r);
		if (!c->looking)
			consume(c, (uint32_t)n);
	}
}

/* --------------------------------------------------------------------------------- events */

/* Its first request may be there already: it is looked at when the connection's turn has come. */
static void on_accept(struct connection *c, const struct gaio_event *event)
{
	c->waiting = false;
	server_connection_accepted(c->server, event->status);
	if (event->status) {
		connection_close(c);
		return;
	}
	if (c->closed)
		return;
	connection_set_deadline(c, timeout_ms(c));
	if (!c->receiving)
		serve(c);
}

static void on_receive(struct connection *c, const struct gaio_event *event)
{
	c->receiving = false;
	if (event->status) {
		connection_close(c);
		return;
	}
	c->eof = !event->len;
	if (c->lingering) {
		if (c->eof)
			connection_close(c);
		c->start = c->end_in = 0;
		post_receive(c);
		return;
	}
	/* from the first byte of a request on, the time for all of it runs */
	if (c->start == c->end_in && !c->sending && !c->waiting)
		connection_set_deadline(c, timeout_ms(c));
	c->end_in += (uint32_t)event->len;
	if (!c->waiting)
		serve(c);
}

static void on_send(struct connection *c, const struct gaio_event *event)
{
	c->server->counters.bytes += event->len;
	if (event->status) {
		connection_close(c);
		return;
	}
	if (!transfer_sent(c))
		return;
	transfer_end(c);
	if (c->last) {
		linger(c);
		return;
	}
	connection_set_deadline(c, c->start == c->end_in ? idle_ms(c) : timeout_ms(c));
	serve(c);
}

/* That the file was found does not matter here, nor whether: the system knows now. */
static void on_look(struct connection *c)
{
	c->posted++;
	gaio_close_file(c->look, 0);
	c->looking = false;
	c->looked = true;
	if (!c->closed)
		serve(c);
}

void connection_event(struct connection *c, const struct gaio_event *event)
{
	c->posted--;
	if (event->op == GAIO_ACCEPT)
		on_accept(c, event);
	else if (event->op == GAIO_OPEN)
		on_look(c);
	else if (c->closed || event->op == GAIO_CLOSE)
		; /* one of those that end with it, or of a look's end */
	else if (event->op == GAIO_RECV)
		on_receive(c, event);
	else if (event->op == GAIO_SEND)
		on_send(c, event);
	else if (event->status) /* of the shutdown */
		connection_close(c);
	release(c);
}

void connection_expire(struct connection *c)
{
	c->server->counters.timeouts++;
	if (c->sending || c->looking || c->lingering || c->start == c->end_in)
		connection_close(c);
	else
		answer_broken(c, 408);
	release(c);
}

/* Whether all is said, and for how long: to a client that may come again, or that is to go. */
static int64_t idle_since_ms(const struct connection *c)
{
	int64_t patience = c->lingering ? LINGER_MS : idle_ms(c);

	if (!c->requests || c->sending || c->start != c->end_in)
		return 0;
	return c->server->now_ms + patience - c->deadline_ms;
}

void connection_close_idle(struct connection *c)
{
	/* one that has just become idle may have its next request on the way */
	if (idle_since_ms(c) >= IDLE_MS)
		connection_close(c);
	release(c);
}

void connection_drain(struct connection *c)
{
	if (!c->sending && !c->looking && !c->lingering)
		connection_close(c);
	c->last = true;
	release(c);
}

void connection_abandon(struct connection *c)
{
	connection_close(c);
	release(c);
}

int connection_open(struct connection *c)
{
	struct server *s = c->server;
	const struct gaio_socket_attr attr = {
		.recv = s->schedule.queues[SCHEDULE_RECV],
		.send = s->schedule.queues[SCHEDULE_SEND],
		.close = s->schedule.queues[SCHEDULE_CLOSE],
		.context = (uintptr_t)c,
	};
	int err;

	*c = (struct connection){ .server = s };
	use_small_buffer(c);
	err = gaio_socket(s->io, &attr, &c->sock);
	if (err) {
		server_connection_free(s, c);
		return err;
	}
	connection_posted(c, gaio_accept(s->listener, c->sock, 0));
	if (c->closed)
		return -EAGAIN;
	c->waiting = true;
	/* the first request may come with the connection */
	post_receive(c);
	return 0;
}
