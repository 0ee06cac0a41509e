/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * timer.c - the binary heap behind timer.h. A timer knows its place, so stopping one is as cheap
 * as starting it.
 */
#include "fabric/timer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define HEAP_MIN 16

uint64_t timer_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * A read-modify-write, so that whoever starts a timer and then asks whether someone sleeps, and
 * whoever announces its sleep and then reads the deadline, cannot both miss each other.
 */
static void publish(struct timers *ts)
{
	uint64_t next = ts->count ? ts->heap[0]->deadline_ns : UINT64_MAX;

	if (__atomic_load_n(&ts->next_ns, __ATOMIC_RELAXED) != next)
		__atomic_exchange_n(&ts->next_ns, next, __ATOMIC_SEQ_CST);
}

static void put(struct timers *ts, uint32_t i, struct timer *t)
{
	ts->heap[i] = t;
	t->slot = i + 1;
}

/* Moves @t, which belongs at or above the hole @i, to its place. */
static void sift_up(struct timers *ts, uint32_t i, struct timer *t)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 2;

		if (ts->heap[parent]->deadline_ns <= t->deadline_ns)
			break;
		put(ts, i, ts->heap[parent]);
		i = parent;
	}
	put(ts, i, t);
}

/* Moves @t, which belongs at or below the hole @i, to its place. */
static void sift_down(struct timers *ts, uint32_t i, struct timer *t)
{
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= ts->count)
			break;
		if (child + 1 < ts->count &&
		    ts->heap[child + 1]->deadline_ns < ts->heap[child]->deadline_ns)
			child++;
		if (t->deadline_ns <= ts->heap[child]->deadline_ns)
			break;
		put(ts, i, ts->heap[child]);
		i = child;
	}
	put(ts, i, t);
}

static void place(struct timers *ts, uint32_t i, struct timer *t)
{
	if (i > 0 && t->deadline_ns < ts->heap[(i - 1) / 2]->deadline_ns)
		sift_up(ts, i, t);
	else
		sift_down(ts, i, t);
}

static int grow(struct timers *ts)
{
	uint32_t room = ts->room ? ts->room * 2 : HEAP_MIN;
	struct timer **heap;

	if (room < ts->room || room > UINT32_MAX / 2)
		return -ENOMEM;
	heap = realloc(ts->heap, room * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	ts->heap = heap;
	ts->room = room;
	return 0;
}

void timers_init(struct timers *ts)
{
	*ts = (struct timers){ .next_ns = UINT64_MAX };
}

void timers_destroy(struct timers *ts)
{
	for (uint32_t i = 0; i < ts->count; i++)
		ts->heap[i]->slot = 0;
	free(ts->heap);
	timers_init(ts);
}

int timer_start(struct timers *ts, struct timer *t, uint64_t delay_ns, timer_fn fn)
{
	uint64_t now = timer_now_ns();

	if (!t->slot && ts->count == ts->room) {
		int err = grow(ts);

		if (err)
			return err;
	}
	/* UINT64_MAX means "no timer" to sleepers. */
	t->deadline_ns = delay_ns < UINT64_MAX - 1 - now ? now + delay_ns : UINT64_MAX - 1;
	t->fn = fn;
	if (t->slot)
		place(ts, t->slot - 1, t);
	else
		sift_up(ts, ts->count++, t);
	publish(ts);
	return 0;
}

static void take_out(struct timers *ts, struct timer *t)
{
	uint32_t i = t->slot - 1;
	struct timer *last = ts->heap[--ts->count];

	t->slot = 0;
	if (last != t)
		place(ts, i, last);
}

void timer_stop(struct timers *ts, struct timer *t)
{
	if (!t->slot)
		return;
	take_out(ts, t);
	publish(ts);
}

int timers_run(struct timers *ts, uint64_t now_ns)
{
	/* A callback that starts its timer again with no delay must not hold the turn. */
	uint32_t bound = ts->count;
	int fired = 0;

	while (bound-- && ts->count && ts->heap[0]->deadline_ns <= now_ns) {
		struct timer *t = ts->heap[0];

		take_out(ts, t);
		publish(ts);
		t->fn(t);
		fired++;
	}
	return fired;
}

uint64_t timers_next_ns(const struct timers *ts)
{
	return __atomic_load_n(&ts->next_ns, __ATOMIC_SEQ_CST);
}
