/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wait.c - taking events and waiting for them.
 *
 * An event is taken from the engine's queue when its place in the program's array, or the call of
 * the program's function, is certain: what is taken is never put back, and never lost. No lock is
 * held while the program's function runs. How long to spin before sleeping is the engine's affair.
 */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "dusi/handle.h"

#define BATCH 32      /* events translated at a time: 2 KiB of stack */
#define FEW_QUEUES 32 /* of Dusi_Wait_Any, without allocation */

static void translate(const struct ppe_event *in, struct dusi_event *out)
{
	static const uint8_t type[] = {
		[PPE_EV_SEND] = DUSI_EV_SEND,         [PPE_EV_RECV] = DUSI_EV_RECV,
		[PPE_EV_CONNECT] = DUSI_EV_CONNECT,   [PPE_EV_ACCEPT] = DUSI_EV_ACCEPT,
		[PPE_EV_SHUTDOWN] = DUSI_EV_SHUTDOWN, [PPE_EV_FILE_OPEN] = DUSI_EV_OPEN,
		[PPE_EV_FILE_READ] = DUSI_EV_READ,    [PPE_EV_FILE_WRITE] = DUSI_EV_WRITE,
		[PPE_EV_FILE_STAT] = DUSI_EV_STAT,    [PPE_EV_FILE_SYNC] = DUSI_EV_SYNC,
	};
	bool of_file = in->type >= PPE_EV_FILE_OPEN;

	assert(in->type < sizeof(type) && type[in->type]);
	*out = (struct dusi_event){
		.type = type[in->type],
		.status = in->status,
		.tag = in->user_tag,
		.sock.id = of_file ? 0 : in->cookie,
		.file.id = of_file ? in->cookie : 0,
		.context = in->context,
		.len = in->len,
	};
}

/* ------------------------------------------------------------------------- deadlines */

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Negative: never, as is what lies beyond the clock's range. */
static int64_t deadline_after(int64_t timeout_us)
{
	int64_t now = now_ns();

	if (timeout_us < 0 || timeout_us > (INT64_MAX - now) / 1000)
		return -1;
	return now + timeout_us * 1000;
}

static int64_t time_left(int64_t deadline)
{
	int64_t left;

	if (deadline < 0)
		return -1;
	left = deadline - now_ns();
	return left > 0 ? left : 0;
}

/* ---------------------------------------------------------------------------- taking */

struct taker {
	dusi_evq_t evq;
	struct ppe_evq *ppe;
	struct dusi_event *events;
	int max;
	dusi_callback_t callback;
	void *arg;
};

/* The first look may run the engine; the next ones only empty the queue. */
static int take_batch(struct ppe_evq *q, struct ppe_event *batch, int max, bool first)
{
	return first ? ppe_evq_read(q, batch, max) : ppe_evq_take(q, batch, max);
}

static int take_into_array(const struct taker *t)
{
	struct ppe_event batch[BATCH];
	int n = 0, want, got;

	do {
		want = t->max - n < BATCH ? t->max - n : BATCH;
		got = take_batch(t->ppe, batch, want, n == 0);
		if (got < 0)
			return n ? n : got;
		for (int i = 0; i < got; i++)
			translate(&batch[i], &t->events[n + i]);
		n += got;
	} while (got == want && n < t->max);
	return n;
}

/*
 * One at a time: so the function may itself take the next events in their order, or leave by
 * pthread_exit() or longjmp(), and none is lost. It may even destroy the queue: then it is over.
 */
static int take_calling(const struct taker *t)
{
	struct dusi_event event;
	struct ppe_event one;
	struct dusi_ual *u;
	struct dusi_evq *q;
	int n = 0, got;

	do {
		got = take_batch(t->ppe, &one, 1, n == 0);
		if (got <= 0)
			return n ? n : got;
		translate(&one, &event);
		if (t->events)
			t->events[n] = event;
		n++;
		t->callback(&event, t->arg);
	} while (n < t->max && !dusi_find_evq(t->evq, &u, &q));
	return n;
}

static int take(const struct taker *t)
{
	return t->callback ? take_calling(t) : take_into_array(t);
}

/* Another thread may have taken what ended the wait: then there is more time to wait. */
static int wait_and_take(const struct taker *t, int64_t timeout_us)
{
	int64_t deadline = deadline_after(timeout_us);
	struct ppe_evq *q = t->ppe;
	int err, n;

	for (;;) {
		err = ppe_evq_wait(&q, 1, time_left(deadline));
		n = take(t);
		if (n)
			return n;
		if (err)
			return err == -ETIMEDOUT ? 0 : err;
	}
}

int Dusi_Wait_All(dusi_evq_t evq, struct dusi_event *events, int max, int64_t timeout_us,
		  dusi_callback_t callback, void *arg)
{
	struct taker t = { evq, NULL, events, max, callback, arg };
	struct dusi_ual *u;
	struct dusi_evq *q;
	int err = dusi_find_evq(evq, &u, &q), n;

	if (err)
		return err;
	if (max < 1 || (!events && !callback))
		return -EINVAL;
	t.ppe = q->ppe;
	n = take(&t);
	return n || !timeout_us ? n : wait_and_take(&t, timeout_us);
}

int Dusi_Done(dusi_evq_t evq, uint64_t tag, struct dusi_event *event)
{
	struct ppe_event one;
	struct dusi_ual *u;
	struct dusi_evq *q;
	int err = dusi_find_evq(evq, &u, &q), got;

	if (err)
		return err;
	if (!event)
		return -EINVAL;
	got = ppe_evq_take_tag(q->ppe, tag, &one);
	if (got == 1)
		translate(&one, event);
	return got;
}

/* --------------------------------------------------------------------------- looking */

/* A program may poll this alone, until there are as many as it wants: so the engine runs first. */
int Dusi_EvQ_Num_Events(dusi_evq_t evq)
{
	struct ppe_event none;
	struct dusi_ual *u;
	struct dusi_evq *q;
	int err = dusi_find_evq(evq, &u, &q);

	if (!err)
		err = ppe_evq_read(q->ppe, &none, 0);
	return err ? err : (int)ppe_evq_count(q->ppe);
}

static int first_ready(struct ppe_evq *const *q, int n)
{
	for (int i = 0; i < n; i++)
		if (ppe_evq_count(q[i]))
			return i;
	return -EAGAIN;
}

static int wait_any(struct ppe_evq *const *q, int n, int64_t timeout_us)
{
	int ready = first_ready(q, n), err;
	int64_t deadline;

	if (ready >= 0)
		return ready;
	deadline = deadline_after(timeout_us);
	for (;;) {
		err = ppe_evq_wait(q, n, time_left(deadline));
		ready = first_ready(q, n);
		if (ready >= 0)
			return ready;
		if (err)
			return err;
	}
}

static int resolve(const dusi_evq_t *evqs, int n, struct ppe_evq **q)
{
	struct dusi_ual *first = NULL, *u;
	struct dusi_evq *evq;

	for (int i = 0; i < n; i++) {
		int err = dusi_find_evq(evqs[i], &u, &evq);

		if (err)
			return err;
		if (first && u != first)
			return -EXDEV;
		first = u;
		q[i] = evq->ppe;
	}
	return 0;
}

int Dusi_Wait_Any(const dusi_evq_t *evqs, int n, int64_t timeout_us)
{
	struct ppe_evq *few[FEW_QUEUES], **q = few;
	int result;

	if (!evqs || n < 1 || n > DUSI_EVQS_MAX)
		return -EINVAL;
	if (n > FEW_QUEUES) {
		q = calloc(n, sizeof(*q));
		if (!q)
			return -ENOMEM;
	}
	result = resolve(evqs, n, q);
	if (!result)
		result = wait_any(q, n, timeout_us);
	if (q != few)
		free(q);
	return result;
}

int Dusi_EvQ_Enable_Signal(dusi_evq_t evq, int signo)
{
	struct dusi_ual *u;
	struct dusi_evq *q;
	int err = dusi_find_evq(evq, &u, &q);

	return err ? err : ppe_evq_notify(q->ppe, signo);
}
