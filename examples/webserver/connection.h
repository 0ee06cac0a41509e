/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * connection.h - one connection, from the accept that waits for it to its closing.
 *
 * A connection answers one request at a time. While a response is being sent the receive for the
 * next request is posted already, unless that request lies in the buffer. Each operation posted is
 * counted, and the connection is free again when all of them have ended: so no event of the past
 * meets its successor.
 */
#ifndef EXAMPLES_WEBSERVER_CONNECTION_H
#define EXAMPLES_WEBSERVER_CONNECTION_H

#include <dusi/dusi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct file;

struct connection {
	struct server *server;
	struct connection *next_free;
	dusi_sock_t sock;
	int64_t deadline_ms; /* 0: none */
	struct file *file;   /* being sent */
	size_t sent;         /* bytes of it that are sent, or posted */
	char *in;            /* receive buffer: the small one, or a large one */
	uint32_t room;       /* its size */
	uint32_t start, end; /* bytes in it that are not consumed */
	size_t searched;     /* of these, what request_parse() has seen */
	uint8_t posted;      /* operations without their event */
	bool waiting;        /* to be accepted */
	bool receiving;      /* a receive is posted */
	bool sending;        /* a response is under way */
	bool served;         /* a response has been sent */
	bool last;           /* no request after this one */
	bool lingering;      /* the last response is out: wait for the peer to close */
	bool eof;            /* the peer sends no more */
	bool closed;         /* and waits for its last events */
};

/* Makes a free one wait for the next connection. 0, or a negative errno value: it stays free. */
int connection_open(struct connection *c);

/* An event whose context is this connection. */
void connection_event(struct connection *c, const struct dusi_event *event);

/* Its deadline has passed. */
void connection_expire(struct connection *c);

/* The server is ending: closes it unless a response is under way. */
void connection_drain(struct connection *c);

/* Closes it if it is kept open for a next request of which nothing has come. */
void connection_close_idle(struct connection *c);

/* Closes it whatever it does. */
void connection_abandon(struct connection *c);

/* In server.c. @c is free again; one that waited was accepted, or (@status) will not be. */
void server_connection_free(struct server *s, struct connection *c);
void server_connection_accepted(struct server *s, int status);

#endif
