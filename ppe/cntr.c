/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * cntr.c - counters, and what begins when they reach a value.
 *
 * Both values are written under the turn and read by anyone. Who sleeps does so on an event queue that
 * each counter has to itself and that never holds an event: a change that somebody may wait for is
 * noted in the queue as news, and the queue is published at the end of the turn like one that got an
 * event. So waking, and who runs the engine meanwhile, are owner.c's business.
 */
#include <errno.h>
#include <stdlib.h>

#include "ppe/remote.h"

struct ppe_cntr {
	_Alignas(PPE_CACHE_LINE) _Atomic uint64_t value;
	_Atomic uint64_t errors;

	/* waiters': see ppe_cntr_wait() */
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t waiters;
	futex_t lead; /* mutex: who holds it sleeps on the event queue */
	futex_t seq;  /* the others sleep on this */

	/* engine's */
	struct ppe_ual *ual;
	struct ppe_evq *evq;
	uint32_t handle;
	uint32_t holds;
	/* by threshold, and by age among equals; [1]: of successes and errors together */
	struct list triggers[2];
	struct list due; /* in ual->due_cntrs */
};

/* ------------------------------------------------------------------------------ triggers */

static struct trigger *due_of(const struct list *triggers, uint64_t reached)
{
	struct trigger *t;

	if (list_empty(triggers))
		return NULL;
	t = list_entry(triggers->next, struct trigger, link);
	return t->threshold <= reached ? t : NULL;
}

static struct trigger *trigger_due(const struct ppe_cntr *c)
{
	uint64_t value = ppe_cntr_value(c);
	struct trigger *t = due_of(&c->triggers[0], value);
	struct trigger *u = due_of(&c->triggers[1], value + ppe_cntr_errors(c));

	return !t || (u && u->threshold < t->threshold) ? u : t;
}

/*
 * What fires may change other counters, and so on in a circle: those wait in line for the outermost
 * call, which is in this loop.
 */
static void fire_due(struct ppe_ual *ual)
{
	struct list *node;

	if (ual->firing)
		return;
	ual->firing = true;
	while ((node = list_pop(&ual->due_cntrs))) {
		struct ppe_cntr *c = list_entry(node, struct ppe_cntr, due);
		struct trigger *t;

		while ((t = trigger_due(c))) {
			list_del(&t->link);
			t->fire(t);
		}
	}
	ual->firing = false;
}

static void cntr_look(struct ppe_cntr *c)
{
	if (!trigger_due(c))
		return;
	if (!list_linked(&c->due))
		list_add_tail(&c->ual->due_cntrs, &c->due);
	fire_due(c->ual);
}

void cntr_trigger(struct ppe_cntr *c, struct trigger *t)
{
	struct list *head = &c->triggers[t->errors], *at = head;

	assert(turn_held(c->ual));
	/* from the end: most are posted in the order in which they will be due */
	while (at->prev != head &&
	       list_entry(at->prev, struct trigger, link)->threshold > t->threshold)
		at = at->prev;
	list_add_tail(at, &t->link);
	cntr_look(c);
}

static int cancel_all(struct ppe_cntr *c)
{
	struct list all, *node;
	int n = 0;

	/* apart, so that what a cancelled one may add is not cancelled too */
	list_init(&all);
	list_splice_tail(&all, &c->triggers[0]);
	list_splice_tail(&all, &c->triggers[1]);
	for (; (node = list_pop(&all)); n++) {
		struct trigger *t = list_entry(node, struct trigger, link);

		t->cancel(t);
	}
	return n;
}

/* ------------------------------------------------------------------------------- changes */

/*
 * After the change, by a sequentially consistent write. Partner: ppe_cntr_wait() counts itself, then
 * looks at the values. So one of the two sees the other. A descriptor that was ever taken is always
 * told: q->fd is set under the turn.
 */
static void cntr_wake(struct ppe_cntr *c)
{
	struct ppe_evq *q = c->evq;

	if (!atomic_load(&c->waiters) && q->fd < 0)
		return;
	/* before the queue is published, which takes the arm: partner: owner.c, arm then look */
	atomic_fetch_or(&q->interrupted, EVQ_NEWS);
	if (!list_linked(&q->dirty))
		list_add_tail(&c->ual->dirty_evqs, &q->dirty);
}

static void cntr_change(struct ppe_cntr *c, uint64_t value)
{
	assert(turn_held(c->ual));
	atomic_store(&c->value, value);
	cntr_wake(c);
	cntr_look(c);
}

static void cntr_change_errors(struct ppe_cntr *c, uint64_t errors)
{
	assert(turn_held(c->ual));
	atomic_store(&c->errors, errors);
	cntr_wake(c);
	cntr_look(c);
}

void cntr_bump(struct ppe_cntr *c)
{
	if (c)
		cntr_change(c, get_relaxed(&c->value) + 1);
}

void cntr_fail(struct ppe_cntr *c)
{
	if (c)
		cntr_change_errors(c, get_relaxed(&c->errors) + 1);
}

/* ------------------------------------------------------------------------------- control */

/* What fired may have set DTIs going, and perhaps nobody else would run them. */
static void control_leave(struct ppe_ual *ual)
{
	if (!list_empty(&ual->active))
		turn_run(ual, TURN_POST);
	turn_unlock(ual);
}

void ppe_cntr_add(struct ppe_cntr *c, uint64_t value, uint64_t errors)
{
	if (!ual_alive(c->ual))
		return;
	turn_lock(c->ual);
	if (errors)
		cntr_change_errors(c, get_relaxed(&c->errors) + errors);
	if (value)
		cntr_change(c, get_relaxed(&c->value) + value);
	control_leave(c->ual);
}

void ppe_cntr_set(struct ppe_cntr *c, uint64_t value)
{
	if (!ual_alive(c->ual))
		return;
	turn_lock(c->ual);
	cntr_change(c, value);
	control_leave(c->ual);
}

void ppe_cntr_set_errors(struct ppe_cntr *c, uint64_t errors)
{
	if (!ual_alive(c->ual))
		return;
	turn_lock(c->ual);
	cntr_change_errors(c, errors);
	control_leave(c->ual);
}

int ppe_cntr_flush(struct ppe_cntr *c)
{
	int n;

	if (!ual_alive(c->ual))
		return -EOWNERDEAD;
	turn_lock(c->ual);
	n = cancel_all(c);
	control_leave(c->ual);
	return n;
}

/* -------------------------------------------------------------------------------- chains */

struct chain {
	struct trigger trigger;
	struct ppe_cntr *target, *complete;
	uint64_t value;
	bool set;
};

static void chain_end(struct chain *ch)
{
	cntr_drop(ch->target);
	if (ch->complete)
		cntr_drop(ch->complete);
	free(ch);
}

static void chain_fire(struct trigger *t)
{
	struct chain *ch = list_entry(t, struct chain, trigger);
	uint64_t base = ch->set ? 0 : get_relaxed(&ch->target->value);

	cntr_change(ch->target, base + ch->value);
	cntr_bump(ch->complete);
	chain_end(ch);
}

static void chain_cancel(struct trigger *t)
{
	struct chain *ch = list_entry(t, struct chain, trigger);

	cntr_fail(ch->complete);
	chain_end(ch);
}

int ppe_cntr_chain(struct ppe_cntr *c, uint64_t threshold, struct ppe_cntr *target, bool set,
		   uint64_t value, struct ppe_cntr *complete)
{
	struct chain *ch;

	if (!ual_alive(c->ual))
		return -EOWNERDEAD;
	if (target->ual != c->ual || (complete && complete->ual != c->ual))
		return -EINVAL;
	ch = malloc(sizeof(*ch));
	if (!ch)
		return -ENOMEM;
	*ch = (struct chain){
		.trigger = { .threshold = threshold,
			     .errors = true,
			     .fire = chain_fire,
			     .cancel = chain_cancel },
		.target = target,
		.complete = complete,
		.set = set,
		.value = value,
	};
	list_init(&ch->trigger.link);

	turn_lock(c->ual);
	cntr_hold(target);
	if (complete)
		cntr_hold(complete);
	cntr_trigger(c, &ch->trigger);
	control_leave(c->ual);
	return 0;
}

/* ------------------------------------------------------------------------ looking, waiting */

uint64_t ppe_cntr_value(const struct ppe_cntr *c)
{
	/* pairs with the store in cntr_change(): what was counted can be seen */
	return atomic_load_explicit(&c->value, memory_order_acquire);
}

uint64_t ppe_cntr_errors(const struct ppe_cntr *c)
{
	return atomic_load_explicit(&c->errors, memory_order_acquire);
}

struct ppe_evq *ppe_cntr_evq(struct ppe_cntr *c)
{
	return c->evq;
}

static int64_t time_left(uint64_t deadline)
{
	uint64_t now;

	if (deadline == UINT64_MAX)
		return -1;
	now = timer_now_ns();
	return now < deadline ? (int64_t)(deadline - now) : 0;
}

/* All others look again; one of them may find that nobody leads any more. */
static void wake_others(struct ppe_cntr *c)
{
	/* the count first: partner: cntr_sleep() reads it before it looks for a leader */
	atomic_fetch_add(&c->seq, 1);
	if (atomic_load(&c->waiters) > 1)
		futex_wake(&c->seq, INT_MAX);
}

/*
 * One waiter, the leader, sleeps on the event queue, and passes on each change to the others. @seq: from
 * before the caller looked at the values. 0: look again; -EINTR.
 */
static int cntr_sleep(struct ppe_cntr *c, uint32_t seq, int64_t left)
{
	int err;

	if (mutex_trylock(&c->lead)) {
		err = ppe_evq_wait(&c->evq, 1, left);
		mutex_unlock(&c->lead);
		wake_others(c);
	} else {
		err = futex_wait(&c->seq, seq, left);
	}
	/* others: -ETIMEDOUT, which the caller finds out, and -EAGAIN */
	return err == -EINTR ? err : 0;
}

static int wait_loop(struct ppe_cntr *c, uint64_t threshold, uint64_t deadline)
{
	uint64_t errors = atomic_load(&c->errors);
	int err = 0;

	for (;;) {
		uint32_t seq = atomic_load(&c->seq);
		int64_t left;

		if (atomic_load(&c->value) >= threshold)
			return 0;
		if (atomic_load(&c->errors) != errors)
			return -EIO;
		if (err)
			return err;
		left = time_left(deadline);
		err = cntr_sleep(c, seq, left);
		/* the engine has run once, also without time */
		if (!err && !left)
			err = -ETIMEDOUT;
	}
}

int ppe_cntr_wait(struct ppe_cntr *c, uint64_t threshold, int64_t timeout_ns)
{
	uint64_t deadline = timeout_ns < 0 ? UINT64_MAX : timer_now_ns() + timeout_ns;
	int err;

	if (!ual_alive(c->ual))
		return -EOWNERDEAD;
	/* then the values are looked at: partner: cntr_wake() */
	atomic_fetch_add(&c->waiters, 1);
	err = wait_loop(c, threshold, deadline);
	atomic_fetch_sub(&c->waiters, 1);
	return err;
}

/* ---------------------------------------------------------------------------------- life */

static uint32_t next_generation(struct ppe_ual *ual)
{
	/* never 0, so that no handle is */
	ual->cntr_seq = ual->cntr_seq % (HANDLE_GENERATIONS - 1) + 1;
	return ual->cntr_seq;
}

/* The event queue's number serves for the counter too. */
static void cntr_enter(struct ppe_cntr *c)
{
	c->handle = handle_make(c->evq->number, next_generation(c->ual));
	c->evq->cntr = c;
	c->evq->bound++;
}

int ppe_cntr_create(struct ppe_ual *ual, struct ppe_cntr **out)
{
	static const struct ppe_evq_attr no_events = { .size = 1 };
	struct ppe_cntr *c;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	c = aligned_alloc(PPE_CACHE_LINE, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct ppe_cntr){ .ual = ual };
	list_init(&c->triggers[0]);
	list_init(&c->triggers[1]);
	list_init(&c->due);
	err = ppe_evq_create(ual, &no_events, &c->evq);
	if (err) {
		free(c);
		return err;
	}
	turn_lock(ual);
	cntr_enter(c);
	turn_unlock(ual);
	*out = c;
	return 0;
}

static void cntr_free(struct ppe_cntr *c)
{
	list_del(&c->due);
	evq_free(c->evq);
	free(c);
}

int ppe_cntr_destroy(struct ppe_cntr *c)
{
	struct ppe_ual *ual = c->ual;
	int err = -EBUSY;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	turn_lock(ual);
	if (!c->holds && list_empty(&c->triggers[0]) && list_empty(&c->triggers[1]) &&
	    !atomic_load(&c->waiters)) {
		cntr_free(c);
		err = 0;
	}
	turn_unlock(ual);
	return err;
}

void cntr_close_all(struct ppe_ual *ual)
{
	/* all are flushed before any goes: what is cancelled may count in others */
	for (uint32_t i = 0; i < ual->nevqs; i++)
		if (ual->evqs[i] && ual->evqs[i]->cntr)
			cancel_all(ual->evqs[i]->cntr);
	for (uint32_t i = 0; i < ual->nevqs; i++)
		if (ual->evqs[i] && ual->evqs[i]->cntr)
			cntr_free(ual->evqs[i]->cntr);
}

struct ppe_ual *cntr_ual(const struct ppe_cntr *c)
{
	return c->ual;
}

void cntr_hold(struct ppe_cntr *c)
{
	c->holds++;
}

void cntr_drop(struct ppe_cntr *c)
{
	assert(c->holds);
	c->holds--;
}

uint32_t cntr_number(const struct ppe_cntr *c)
{
	return c ? c->handle : 0;
}

struct ppe_cntr *cntr_of(struct ppe_ual *ual, uint32_t number)
{
	uint32_t i = handle_number(number);
	struct ppe_evq *q = i < ual->nevqs ? ual->evqs[i] : NULL;

	assert(turn_held(ual));
	return q && q->cntr && q->cntr->handle == number ? q->cntr : NULL;
}
