/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * loop.c - the event loop, the policy of accepting, deadlines, and the end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "examples/webserver/server.h"
#include "examples/webserver/signals.h"

#define EVENTS 64       /* handled in a turn: more of them would wait long for each other */
#define TICK_US 1000000 /* how often deadlines, and signals, are looked at */
#define DRAIN_MS 5000
#define ACCEPT_PAUSE_MS 1000
#define REFUSALS_MAX 64 /* accepts in a row that fail: this listener is dead */
#define ABANDON_MS 1000 /* for the last events, and the last lines of the log */

void server_clock(struct server *s)
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

void server_connection_free(struct server *s, struct connection *c)
{
	c->deadline_ms = 0;
	c->next_free = s->free;
	s->free = c;
	s->used--;
}

void server_connection_accepted(struct server *s, int status)
{
	s->waiting--;
	if (!status) {
		s->counters.accepted++;
		s->refusals = 0;
		return;
	}
	if (status == -ECANCELED)
		return;
	if (!s->refusals++)
		fprintf(stderr, "eta-webserver: accept: %s\n", strerror(-status));
	s->accept_error = status;
	s->accept_after_ms = s->now_ms + ACCEPT_PAUSE_MS;
}

/*
 * The policy: as many accepts as the setting says, while there are free connections; with all in
 * use, new ones wait in the kernel. What cannot be posted now is tried again after the next events.
 */
static void post_accepts(struct server *s)
{
	struct connection *c;

	if (s->now_ms < s->accept_after_ms)
		return;
	while (!s->draining && s->waiting < s->settings.accepts && (c = take_free(s))) {
		int err = connection_open(c);

		if (err == -EINVAL) { /* it does not listen any more */
			s->refusals = REFUSALS_MAX;
			s->accept_error = err;
		}
		if (err)
			return;
		s->waiting++;
	}
}

/* --------------------------------------------------------------------------------- deadlines */

/*
 * Deadlines are far away and rarely met: a look at all connections a second is the cheapest list.
 * With all connections in use, those that only might be used again go, too.
 */
static void expire(struct server *s)
{
	for (uint64_t i = 0; s->used > s->waiting && i < s->settings.fits; i++) {
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
	gaio_close_sock(s->listener, 0);
	for (uint64_t i = 0; i < s->settings.fits; i++) {
		struct connection *c = &s->connections[i];

		if (c->deadline_ms || c->waiting)
			connection_drain(c);
	}
}

/* Closes what is left, so that no file is in use any more. */
static void abandon(struct server *s)
{
	for (uint64_t i = 0; i < s->settings.fits; i++)
		if (s->connections[i].deadline_ms)
			connection_abandon(&s->connections[i]);
}

/* ----------------------------------------------------------------------------------- running */

/* A context is a connection, or the log; or nothing that has to know: a listener, a file. */
static void handle(struct server *s, const struct gaio_event *event)
{
	void *context = (void *)(uintptr_t)event->context;

	if (context == &s->log)
		log_event(&s->log, event);
	else if (context)
		connection_event(context, event);
}

static void handle_events(struct server *s)
{
	struct gaio_event events[EVENTS];
	int left = EVENTS, n;

	while (left && (n = schedule_take(&s->schedule, (unsigned)s->settings.accept_batch, events,
					  left))) {
		for (int i = 0; i < n; i++)
			handle(s, &events[i]);
		left -= n;
	}
}

static int turn(struct server *s, int64_t timeout_us)
{
	int n = gaio_wait(s->io, timeout_us);

	server_clock(s);
	if (n < 0)
		return n == -EINTR ? 0 : n;
	handle_events(s);
	return 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool is_done(const struct server *s)
{
	return s->draining && !s->used && log_is_idle(&s->log);
}

/* Until there have been @stops signals, or it is @end_ms, or nothing is left to do. */
static int run_until(struct server *s, int stops, int64_t end_ms)
{
	int64_t tick_ms = s->now_ms;
	int err = 0;

	while (!err && signals_stop < stops && s->now_ms < end_ms && !is_done(s)) {
		int64_t timeout_us = log_flush(&s->log, s->now_ms, s->draining);

		if (signals_reload && !s->draining)
			server_reload(s);
		post_accepts(s);
		if (s->refusals >= REFUSALS_MAX)
			return s->accept_error;
		err = turn(s, smaller(timeout_us, TICK_US));
		if (s->now_ms - tick_ms >= TICK_US / 1000) {
			tick_ms = s->now_ms;
			expire(s);
			files_expire(s->files, s->now_ms);
		}
	}
	return err;
}

int server_run(struct server *s)
{
	int err = run_until(s, 1, INT64_MAX);

	drain(s);
	if (!err)
		err = run_until(s, 2, s->now_ms + DRAIN_MS);
	abandon(s);
	if (!err)
		err = run_until(s, INT32_MAX, s->now_ms + ABANDON_MS);
	if (err)
		fprintf(stderr, "eta-webserver: waiting for events: %s\n", strerror(-err));
	return err;
}
