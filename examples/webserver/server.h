/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * server.h - the server: one process, one thread, events. server.c makes it, loop.c takes the events
 * and decides what is accepted; connection.c does what each event asks for.
 */
#ifndef EXAMPLES_WEBSERVER_SERVER_H
#define EXAMPLES_WEBSERVER_SERVER_H

#include <dusi/gaio.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "examples/webserver/buffers.h"
#include "examples/webserver/connection.h"
#include "examples/webserver/date.h"
#include "examples/webserver/files.h"
#include "examples/webserver/log.h"
#include "examples/webserver/request.h"
#include "examples/webserver/schedule.h"
#include "examples/webserver/settings.h"

#define SERVER_CLASSES 6 /* of status codes: 2 is 200 to 299 */

struct server_counters {
	uint64_t accepted, requests, bytes, timeouts;
	uint64_t classes[SERVER_CLASSES];
};

struct server {
	struct settings settings;
	int argc; /* where the settings come from */
	char **argv;
	struct gaio *io;
	struct schedule schedule;
	struct gaio_sock *listener;
	struct files *files;
	struct log log;
	struct buffers buffers;
	struct connection *connections; /* settings.connections of them */
	struct connection *free;
	uint32_t used; /* connections that are not free, those that wait to be accepted included */
	uint32_t waiting;  /* of these, the ones that wait */
	int64_t now_ms;    /* monotonic; as of the last events taken */
	unsigned refusals; /* accepts in a row that failed, the latest by: */
	int accept_error;
	int64_t accept_after_ms; /* none is posted before */
	int64_t started_ms;
	time_t date_of;
	char date[DATE_ROOM];
	bool draining; /* no new connections, and no new requests on old ones */
	struct server_counters counters;
};

/* No connection is free: who comes now waits in the kernel. */
static inline bool server_is_full(const struct server *s)
{
	return !s->free && !s->waiting;
}

/* 0, or a negative errno value, with the reason on stderr. */
int server_create(struct server *s, const struct settings *settings, int argc, char **argv);
/* After server_run(). */
void server_destroy(struct server *s);

/* The address that it listens on. */
int server_address(const struct server *s, struct sockaddr_storage *address);

/*
 * Serves until signals_stop: at 1 the responses that have begun are ended first, at 2 not. 0, or a
 * negative errno value.
 */
int server_run(struct server *s);

void server_clock(struct server *s);
/* 0: the settings have been read anew, and what depends on them done. */
int server_reload(struct server *s);

/* From connections: @c is free again; one that waited was accepted, or (@status) will not be; */
void server_connection_free(struct server *s, struct connection *c);
void server_connection_accepted(struct server *s, int status);
/* and what @c answers, with so many bytes of content: for counters and the log. */
void server_note(struct server *s, struct connection *c, const struct request *r, int status,
		 uint64_t bytes);

#endif
