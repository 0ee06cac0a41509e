/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* engine.c - one turn. */
#include <stdarg.h>
#include <stdio.h>

#include "ppe/engine.h"

#define LATE_US 50         /* a doorbell that waited longer was late */
#define EAGER_POSTS 64     /* after a late one, posts that transmit themselves */
#define EAGER_LONG 1024    /* ... when it was the thread that came to its aid */
#define IN_TIME_FLUSHES 64 /* ... or until so many in a row were in time */
#define TIMER_TURNS 16     /* polls between two looks at the clock */

/*
 * Was the send queue left alone for long? Then this application does not poll after it posts, and
 * its next posts had better transmit themselves (post.c).
 */
static void judge_lateness(struct ppe_dti *d, uint64_t now)
{
	struct ppe_evq *q = d->tx_evq;
	uint64_t rung = atomic_load_explicit(&d->sh->rung_ticks, memory_order_relaxed);

	if (!rung || !ppe_spsc_count(&d->sh->sq) ||
	    (d->state != DTI_CONNECTED && d->state != DTI_LISTENING))
		return;
	if (clock_age(now, rung) > clock_us(LATE_US)) {
		count(d->ual, late_flushes, 1);
		q->flushed_in_time = 0;
		set_relaxed(&q->eager, d->ual->by_thread ? EAGER_LONG : EAGER_POSTS);
	} else if (++q->flushed_in_time == IN_TIME_FLUSHES) {
		q->flushed_in_time = 0;
		atomic_store_explicit(&q->eager, 0, memory_order_relaxed);
	}
}

static void bell_dti(struct ppe_ual *ual, uint32_t number, uint64_t now)
{
	struct ppe_dti *d = ual->dtis[number];

	if (!d || !d->sh) /* it was given up when there was no memory for its rings */
		return;
	/* before the queues are read: a post after this rings again */
	atomic_exchange_explicit(&d->sh->rung, 0, memory_order_seq_cst);
	if (!d->in_use)
		return;
	judge_lateness(d, now);
	dti_activate(d);
}

static void bell_evq(struct ppe_ual *ual, uint32_t number)
{
	struct ppe_evq *q = ual->evqs[number];

	if (!q)
		return;
	atomic_exchange_explicit(&q->rung, 0, memory_order_seq_cst);
	evq_resume(q);
}

void turn_take_doorbells(struct ppe_ual *ual)
{
	uint64_t now = 0;
	int64_t number;

	while ((number = ppe_doorbell_pop(&ual->bells)) >= 0) {
		if (!now)
			now = clock_ticks();
		count(ual, doorbells, 1);
		if (number < ual->max_dtis)
			bell_dti(ual, number, now);
		else
			bell_evq(ual, number - ual->max_dtis);
	}
	if (now)
		atomic_store(&ual->bells_head, ual->bells.head);
}

/* Those that become active while this runs are run too; none can keep itself active. */
static void run_active(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->active)))
		dti_run(list_entry(node, struct ppe_dti, active));
}

static void run_timers(struct ppe_ual *ual, enum turn_kind kind)
{
	if (ual->timers.next_ns == UINT64_MAX)
		return;
	if (kind == TURN_POLL && ual->turns % TIMER_TURNS)
		return;
	timers_run(&ual->timers, timer_now_ns());
}

static void count_turn(struct ppe_ual *ual, enum turn_kind kind)
{
	uint64_t *by_kind[] = {
		[TURN_POLL] = &ual->counters.turns_poll,
		[TURN_WAIT] = &ual->counters.turns_wait,
		[TURN_THREAD] = &ual->counters.turns_thread,
		[TURN_POST] = &ual->counters.turns_post,
	};

	ual->turns++;
	fab_count(&ual->counters.turns, 1);
	fab_count(by_kind[kind], 1);
}

void turn_run(struct ppe_ual *ual, enum turn_kind kind)
{
	const struct fab_stream_ops *fabric = ual->fabric.stream;
	struct fab *fab = ual->fabric.fab;

	assert(turn_held(ual));
	if (kind != TURN_THREAD && thread_spins(ual))
		return;
	count_turn(ual, kind);
	ual->by_thread = kind == TURN_THREAD;
	if (atomic_load_explicit(&ual->work_left, memory_order_relaxed))
		atomic_store(&ual->work_left, 0);
	turn_take_doorbells(ual);
	run_active(ual);
	fabric->flush(fab); /* what was posted goes out before we look for what came in */
	fabric->progress(fab, FAB_TURN_COMPLETIONS);
	run_timers(ual, kind);
	run_active(ual);
	fabric->flush(fab);
}

void turn_transmit(struct ppe_dti *d)
{
	struct ppe_ual *ual = d->ual;

	assert(turn_held(ual));
	if (thread_spins(ual))
		return;
	count_turn(ual, TURN_POST);
	if (!d->in_use)
		return;
	dti_run(d);
	ual->fabric.stream->flush(ual->fabric.fab);
}

void turn_publish(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->dirty_evqs)))
		evq_publish(list_entry(node, struct ppe_evq, dirty));
	links_reap(ual);
}

void ual_logf(struct ppe_ual *ual, int level, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!ual->log)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ual->log(ual->log_arg, level, text);
}
