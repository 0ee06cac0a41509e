/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * connection.h - one connection, from the accept that waits for it to its closing. connection.c has
 * its life, answer.c what a request is answered with, transfer.c how that is sent.
 *
 * A connection answers one request at a time. While a response is being sent the receive for the
 * next request is posted already, unless that request lies in the buffer. Each operation posted is
 * counted, and the connection is free again when all of them have ended: so no event of the past
 * meets its successor.
 */
#ifndef EXAMPLES_WEBSERVER_CONNECTION_H
#define EXAMPLES_WEBSERVER_CONNECTION_H

#include <dusi/gaio.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_PEER_ROOM 46 /* an address in text, which is not terminated */

struct server;
struct file;
struct parts;
struct request;

struct connection {
	struct server *server;
	struct connection *next_free;
	struct gaio_sock *sock;
	int64_t deadline_ms; /* 0: none */
	/* what is being sent */
	struct file *file;
	uint64_t offset, end; /* bytes of it that are still to be posted */
	struct parts *parts;  /* of multipart/byteranges */
	char *out;            /* the head of the response that is being sent */
	char *made;           /* a large buffer, with content that is no file's */
	uint32_t piece;       /* bytes of the next send, at most */
	uint32_t requests;    /* answered */
	/* what is received */
	char *in;               /* receive buffer: the small one, or a large one */
	uint32_t room;          /* its size */
	uint32_t start, end_in; /* bytes in it that are not consumed */
	size_t searched;        /* of these, what request_parse() has seen */
	uint8_t posted;         /* operations without their event */
	uint8_t sends;          /* of these, sends of the response */
	uint8_t peer_len;
	char peer[CONNECTION_PEER_ROOM]; /* for the log, once it is known */
	struct gaio_file *look;          /* an open that makes the system look for the file */
	bool looking, looked;            /* it is under way; it has been, for this request */
	bool waiting;                    /* to be accepted */
	bool receiving;                  /* a receive is posted */
	bool sending;                    /* a response is under way */
	bool last;                       /* no request after this one */
	bool goes;                       /* the client's own word: it sends nothing more */
	bool lingering;                  /* the last response is out: wait for the peer to close */
	bool eof;                        /* the peer sends no more */
	bool closed;                     /* and waits for its last events */
};

/* Makes one that is taken wait for the next connection; when it cannot, it becomes free again. */
int connection_open(struct connection *c);

/* An event whose context is this connection. */
void connection_event(struct connection *c, const struct gaio_event *event);

/* Its deadline has passed. */
void connection_expire(struct connection *c);

/* The server is ending: closes it unless a response is under way. */
void connection_drain(struct connection *c);

/* Closes it if it only waits: for a next request of which nothing has come, or for the peer's end. */
void connection_close_idle(struct connection *c);

/* Closes it whatever it does. */
void connection_abandon(struct connection *c);

/* ---- between connection.c, answer.c and transfer.c ---- */

/* Begins to close: what is in use is given back with the last event. */
void connection_close(struct connection *c);
/* Counts an operation that was posted, or closes the connection that could not post it. */
void connection_posted(struct connection *c, int err);
void connection_set_deadline(struct connection *c, int64_t ms);

/*
 * Posts the response to @r, which takes c->out: c->sending is true from then on. Or c->looking is,
 * and then it is to be called again, for the same request, when that has ended.
 */
void answer_request(struct connection *c, const struct request *r);
/* Where there is no request that could be understood; nothing comes after it. */
void answer_broken(struct connection *c, int status);

#endif
