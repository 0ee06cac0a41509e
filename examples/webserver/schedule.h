/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * schedule.h - what is done next. Events of each kind wait in a queue of their own, and how many
 * there are in each decides (section V-B of the paper): closings first, because they give something
 * back; a few accepts, as the setting says; then receives or sends, whichever are more.
 */
#ifndef EXAMPLES_WEBSERVER_SCHEDULE_H
#define EXAMPLES_WEBSERVER_SCHEDULE_H

#include <dusi/gaio.h>

#include <stdint.h>

enum schedule_kind {
	SCHEDULE_ACCEPT,
	SCHEDULE_RECV,
	SCHEDULE_SEND,
	SCHEDULE_CLOSE,
	SCHEDULE_FILE,
	SCHEDULE_KINDS
};

struct schedule {
	struct gaio_queue *queues[SCHEDULE_KINDS];
	uint64_t taken[SCHEDULE_KINDS];
	unsigned accepts; /* since other events had their turn */
};

/* 0, or a negative errno value; @connections: so many may have events. */
int schedule_create(struct schedule *s, struct gaio *io, uint32_t connections);
void schedule_destroy(struct schedule *s);

/*
 * Takes at most @max events of one kind, and returns how many; 0: there are none. @accept_batch:
 * accepts in a row while others wait; 0: none.
 */
int schedule_take(struct schedule *s, unsigned accept_batch, struct gaio_event *events, int max);

#endif
