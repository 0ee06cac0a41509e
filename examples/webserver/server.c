/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * server.c - the event loop, the policy of accepting, deadlines, and the end.
 */
#include "examples/webserver/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS 64         /* taken at a time: more of them would wait long for each other */
#define ACCEPTS 32        /* kept posted */
#define BACKLOG 4096      /* connections that the kernel keeps when no accept is posted */
#define CACHED_FILES 1024 /* at most */
#define EVQ_MIN 1024
#define EVQ_MAX 16384
#define TICK_US 1000000 /* how often deadlines, and *stop, are looked at */
#define DRAIN_MS 5000

/* ---------------------------------------------------------------------------------- clock */

static void clock_update(struct server *s)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	s->now_ms = ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec == s->date_of)
		return;
	s->date_of = ts.tv_sec;
	date_format(ts.tv_sec, s->date);
}

/* -------------------------------------------------------------------------------- accepting */

static struct connection *take_free(struct server *s)
{
	struct connection *c = s->free;

	if (!c)
		return NULL;
	s->free = c->next_free;
	s->used++;
	return c;
}

static void give_free(struct server *s, struct connection *c)
{
	c->deadline_ms = 0;
	c->next_free = s->free;
	s->free = c;
	s->used--;
}

void server_connection_free(struct server *s, struct connection *c)
{
	give_free(s, c);
}

void server_connection_accepted(struct server *s, int status)
{
	s->waiting--;
	if (status && status != -ECANCELED)
		fprintf(stderr, "eta-webserver: accept: %s\n", strerror(-status));
}

/*
 * The policy: as many accepts as ACCEPTS, while there are free connections; with all in use, new
 * ones wait in the kernel. What cannot be posted now is tried again after the next events.
 */
static void post_accepts(struct server *s)
{
	struct connection *c;

	while (!s->draining && s->waiting < ACCEPTS && (c = take_free(s))) {
		if (connection_open(c)) {
			give_free(s, c);
			return;
		}
		s->waiting++;
	}
}

/* --------------------------------------------------------------------------------- creating */

static int server_listen(struct server *s)
{
	const struct dusi_socket_attr attr = { .tx_evq = s->evq, .rx_evq = s->evq };
	int err = Dusi_Socket(s->ual, &attr, &s->listener);

	if (!err)
		err = Dusi_Bind(s->listener, (const struct sockaddr *)&s->config.address,
				s->config.address_len);
	return err ? err : Dusi_Listen(s->listener, BACKLOG);
}

static int server_fail(const char *what, const char *detail, int err)
{
	fprintf(stderr, "eta-webserver: %s%s%s: %s\n", what, detail ? " " : "",
		detail ? detail : "", strerror(-err));
	return err;
}

static int open_engine(struct server *s)
{
	/* some sockets are still going when their successors come */
	const struct dusi_ual_attr attr = {
		.placement = s->config.placement,
		.max_sockets = s->config.connections + ACCEPTS + 1,
	};
	uint32_t events = s->config.connections * 2;
	int err = Dusi_Open_Ual(&attr, &s->ual);

	if (err)
		return server_fail("cannot open the engine with placement",
				   attr.placement ? attr.placement : "(default)", err);
	if (events < EVQ_MIN)
		events = EVQ_MIN;
	if (events > EVQ_MAX)
		events = EVQ_MAX;
	err = Dusi_Create_EvQ(s->ual, events, &s->evq);
	if (!err)
		return 0;
	Dusi_Close_Ual(s->ual);
	return server_fail("cannot create an event queue", NULL, err);
}

static int create_connections(struct server *s)
{
	uint32_t n = s->config.connections;

	s->connections = calloc(n, sizeof(*s->connections));
	if (!s->connections)
		return -ENOMEM;
	s->used = n;
	while (n--) {
		s->connections[n].server = s;
		give_free(s, &s->connections[n]);
	}
	return 0;
}

int server_create(struct server *s, const struct server_config *config)
{
	int err;

	*s = (struct server){ .config = *config, .date_of = -1 };
	clock_update(s);
	err = open_engine(s);
	if (err)
		return err;
	err = files_create(&s->files, s->ual, config->folder, CACHED_FILES);
	if (err) {
		server_fail("cannot serve the folder", config->folder, err);
		goto close_ual;
	}
	err = buffers_create(&s->buffers, s->ual, config->connections);
	if (err) {
		server_fail("cannot allocate the buffers", NULL, err);
		goto destroy_files;
	}
	err = create_connections(s);
	if (err) {
		server_fail("cannot allocate the connections", NULL, err);
		goto destroy_buffers;
	}
	err = server_listen(s);
	if (!err)
		return 0;
	server_fail("cannot listen on that address; is it this machine's, and the port free?", NULL,
		    err);
	free(s->connections);
destroy_buffers:
	buffers_destroy(&s->buffers, s->ual);
destroy_files:
	files_destroy(s->files);
close_ual:
	Dusi_Close_Ual(s->ual);
	return err;
}

int server_address(const struct server *s, struct sockaddr_storage *address)
{
	size_t len = sizeof(*address);

	return Dusi_Get_Socket_Ops(s->listener, DUSI_SO_LOCAL_ADDRESS, address, &len);
}

/* After server_run(), which leaves no file in use; the engine goes last. */
void server_destroy(struct server *s)
{
	buffers_destroy(&s->buffers, s->ual);
	files_destroy(s->files);
	Dusi_Close_Ual(s->ual);
	free(s->connections);
}

/* ----------------------------------------------------------------------------------- running */

/*
 * Deadlines are far away and rarely met: a look at all connections a second is the cheapest list.
 * With all connections in use, those that only might be used again go, too.
 */
static void expire(struct server *s)
{
	for (uint32_t i = 0; s->used > s->waiting && i < s->config.connections; i++) {
		struct connection *c = &s->connections[i];

		if (c->deadline_ms && c->deadline_ms <= s->now_ms)
			connection_expire(c);
		else if (c->deadline_ms && server_is_full(s))
			connection_close_idle(c);
	}
}

/* No more connections; those that answer nothing are closed. */
static void drain(struct server *s)
{
	s->draining = true;
	Dusi_Close_Socket(s->listener);
	for (uint32_t i = 0; i < s->config.connections; i++) {
		struct connection *c = &s->connections[i];

		if (c->deadline_ms || c->waiting)
			connection_drain(c);
	}
}

/* Closes what is left, so that no file is in use any more. */
static void abandon(struct server *s)
{
	for (uint32_t i = 0; i < s->config.connections; i++)
		if (s->connections[i].deadline_ms)
			connection_abandon(&s->connections[i]);
}

static int take_events(struct server *s)
{
	struct dusi_event events[EVENTS];
	int n = Dusi_Wait_All(s->evq, events, EVENTS, TICK_US, NULL, NULL);

	clock_update(s);
	for (int i = 0; i < n; i++)
		connection_event((struct connection *)(uintptr_t)events[i].context, &events[i]);
	return n < 0 && n != -EINTR ? n : 0;
}

static int run_until(struct server *s, const volatile sig_atomic_t *stop, int stops, int64_t end_ms)
{
	int64_t tick_ms = s->now_ms;
	int err = 0;

	while (!err && *stop < stops && s->now_ms < end_ms && (!s->draining || s->used)) {
		post_accepts(s);
		err = take_events(s);
		if (s->now_ms - tick_ms >= TICK_US / 1000) {
			tick_ms = s->now_ms;
			expire(s);
		}
	}
	return err;
}

int server_run(struct server *s, const volatile sig_atomic_t *stop)
{
	int err = run_until(s, stop, 1, INT64_MAX);

	drain(s);
	if (!err)
		err = run_until(s, stop, 2, s->now_ms + DRAIN_MS);
	abandon(s);
	return err ? server_fail("waiting for events", NULL, err) : 0;
}
