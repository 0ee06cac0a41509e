/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * schedule.c - what is done next.
 */
#include "examples/webserver/schedule.h"

#define QUEUE_MIN 1024
#define QUEUE_MAX 16384 /* events, not connections: what has no room waits */
#define FILE_EVENTS 4096

int schedule_create(struct schedule *s, struct gaio *io, uint32_t connections)
{
	int err = 0;

	if (connections < QUEUE_MIN)
		connections = QUEUE_MIN;
	if (connections > QUEUE_MAX)
		connections = QUEUE_MAX;
	for (int i = 0; !err && i < SCHEDULE_KINDS; i++) {
		/* a send, what follows at once, and the end of sending */
		uint32_t size = i == SCHEDULE_SEND   ? 3 * connections
				: i == SCHEDULE_FILE ? FILE_EVENTS
						     : connections;

		err = gaio_queue_create(io, size, &s->queues[i]);
	}
	if (err)
		schedule_destroy(s);
	return err;
}

void schedule_destroy(struct schedule *s)
{
	for (int i = 0; i < SCHEDULE_KINDS; i++) {
		if (s->queues[i])
			gaio_queue_destroy(s->queues[i]);
		s->queues[i] = NULL;
	}
}

static unsigned waiting(const struct schedule *s, enum schedule_kind kind)
{
	return gaio_waiting(s->queues[kind]);
}

static enum schedule_kind pick(const struct schedule *s, unsigned accept_batch)
{
	unsigned receives = waiting(s, SCHEDULE_RECV), sends = waiting(s, SCHEDULE_SEND);

	if (waiting(s, SCHEDULE_CLOSE))
		return SCHEDULE_CLOSE;
	if (waiting(s, SCHEDULE_FILE))
		return SCHEDULE_FILE;
	if (s->accepts < accept_batch && waiting(s, SCHEDULE_ACCEPT))
		return SCHEDULE_ACCEPT;
	if (!receives && !sends)
		return SCHEDULE_ACCEPT;
	return receives > sends ? SCHEDULE_RECV : SCHEDULE_SEND;
}

int schedule_take(struct schedule *s, unsigned accept_batch, struct gaio_event *events, int max)
{
	enum schedule_kind kind = pick(s, accept_batch);
	int n;

	if (kind == SCHEDULE_ACCEPT && s->accepts < accept_batch &&
	    accept_batch - s->accepts < (unsigned)max)
		max = (int)(accept_batch - s->accepts);
	n = gaio_take(s->queues[kind], events, max);
	if (n <= 0)
		return 0;
	if (kind == SCHEDULE_ACCEPT)
		s->accepts += (unsigned)n;
	else if (kind == SCHEDULE_RECV || kind == SCHEDULE_SEND)
		s->accepts = 0;
	s->taken[kind] += (uint64_t)n;
	return n;
}
