/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * timer.h - an engine's deadlines: a binary heap, because they are few (connects, handshakes,
 * accepts with a time-out, retries) and most are cancelled before they fire.
 *
 * One engine, one heap; every call under the engine's turn, but for timers_next_ns().
 */
#ifndef ETA_TIMER_H
#define ETA_TIMER_H

#include <stdint.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct timer;
typedef void (*timer_fn)(struct timer *t);

/* Embedded in its owner; zeroed = idle. */
struct timer {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	timer_fn fn;
	uint32_t slot; /* place in the heap + 1; 0 = idle */
};

struct timers {
	struct timer **heap;
	uint32_t count, room;
	uint64_t
		next_ns; /* deadline of the first, UINT64_MAX when there is none; read by sleepers */
};

uint64_t timer_now_ns(void);

void timers_init(struct timers *ts);
void timers_destroy(struct timers *ts);
/* (Re)start @t to fire @delay_ns from now. -ENOMEM: not started. */
int timer_start(struct timers *ts, struct timer *t, uint64_t delay_ns, timer_fn fn);
void timer_stop(struct timers *ts, struct timer *t);
/* Fires what is due; a callback may start and stop any timer. Returns how many fired. */
int timers_run(struct timers *ts, uint64_t now_ns);
/* The earliest deadline, UINT64_MAX for none. Any thread. */
uint64_t timers_next_ns(const struct timers *ts);

#ifdef __cplusplus
}
#endif
#endif
