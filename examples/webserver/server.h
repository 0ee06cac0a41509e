/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * server.h - the server: one process, one thread, one event queue. server.c takes the events and
 * decides what is accepted; connection.c does what each event asks for.
 */
#ifndef EXAMPLES_WEBSERVER_SERVER_H
#define EXAMPLES_WEBSERVER_SERVER_H

#include <dusi/dusi.h>

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "examples/webserver/buffers.h"
#include "examples/webserver/connection.h"
#include "examples/webserver/date.h"
#include "examples/webserver/files.h"

struct server_config {
	const char *folder;
	const char *placement; /* NULL: the engine's default */
	struct sockaddr_storage address;
	socklen_t address_len;
	uint32_t connections; /* most at a time */
	unsigned timeout_s;   /* for a request to come, and what goes with it */
};

struct server {
	struct server_config config;
	dusi_ual_t ual;
	dusi_evq_t evq;
	dusi_sock_t listener;
	struct files *files;
	struct buffers buffers;
	struct connection *connections; /* config.connections of them */
	struct connection *free;
	uint32_t used; /* connections that are not free, those that wait to be accepted included */
	uint32_t waiting; /* of these, the ones that wait */
	int64_t now_ms;   /* monotonic; as of the last events taken */
	time_t date_of;
	char date[DATE_ROOM];
	bool draining; /* no new connections, and no new requests on old ones */
};

/* No connection is free: who comes now waits in the kernel. */
static inline bool server_is_full(const struct server *s)
{
	return !s->free && !s->waiting;
}

/* 0, or a negative errno value, with the reason on stderr. */
int server_create(struct server *s, const struct server_config *config);
void server_destroy(struct server *s);

/* The address that it listens on. */
int server_address(const struct server *s, struct sockaddr_storage *address);

/*
 * Serves until *@stop, which signal handlers count up: at 1 the responses that have begun are ended
 * first, at 2 not. 0, or a negative errno value.
 */
int server_run(struct server *s, const volatile sig_atomic_t *stop);

#endif
