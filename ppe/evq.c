/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * evq.c - event queues. A slot is reserved when an operation begins, so a queue cannot overflow: what
 * finds no slot does not begin, and is run again when the application has taken events.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ppe/engine.h"

#define EVQ_DEFAULT 256
#define EVQ_MAX (1u << 20)

/* ------------------------------------------------------------------ life */

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 2;

	while (p < n)
		p *= 2;
	return p;
}

static size_t evq_shared_bytes(uint32_t size)
{
	return sizeof(struct ppe_spsc) + size * sizeof(struct ppe_event);
}

static void evq_init(struct ppe_evq *q, struct ppe_ual *ual, unsigned flags)
{
	q->ual = ual;
	q->flags = flags;
	q->fd = q->eventfd = -1;
	ppe_spsc_init(q->idx);
	list_init(&q->dirty);
	list_init(&q->stalled);
}

static int evq_enter(struct ppe_ual *ual, struct ppe_evq *q)
{
	for (uint32_t i = 0; i < ual->max_evqs; i++) {
		if (ual->evqs[i])
			continue;
		q->number = i;
		ual->evqs[i] = q;
		if (i >= ual->nevqs)
			ual->nevqs = i + 1;
		count(ual, evqs, 1);
		return 0;
	}
	return -ENOSPC;
}

static int evq_place(struct ppe_ual *ual, struct ppe_evq *q, unsigned flags)
{
	void *shared = segment_alloc(&ual->segment, evq_shared_bytes(q->size));
	int err;

	if (!shared)
		return -ENOMEM;
	q->idx = shared;
	q->ring = (struct ppe_event *)(q->idx + 1);
	evq_init(q, ual, flags);
	err = evq_enter(ual, q);
	if (err)
		segment_free(&ual->segment, shared, evq_shared_bytes(q->size));
	return err;
}

int ppe_evq_create(struct ppe_ual *ual, const struct ppe_evq_attr *attr, struct ppe_evq **evq)
{
	struct ppe_evq *q;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	if (attr->size > EVQ_MAX || (attr->flags & ~PPE_LOCKED))
		return -EINVAL;
	q = aligned_alloc(PPE_CACHE_LINE, sizeof(*q));
	if (!q)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->size = power_of_two(attr->size ? attr->size : EVQ_DEFAULT);

	turn_lock(ual);
	err = evq_place(ual, q, attr->flags);
	turn_unlock(ual);
	if (err) {
		free(q);
		return err;
	}
	*evq = q;
	return 0;
}

/* Under the turn; nothing refers to @q any more. */
void evq_free(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;

	assert(turn_held(ual));
	owner_disarm(q);
	if (atomic_exchange(&q->signo, 0))
		atomic_fetch_sub(&ual->followers, 1);
	list_del(&q->dirty);
	ual->evqs[q->number] = NULL;
	count(ual, evqs, -1);
	if (q->fd >= 0 && q->fd != q->eventfd)
		close(q->fd);
	if (q->eventfd >= 0)
		close(q->eventfd);
	segment_free(&ual->segment, q->idx, evq_shared_bytes(q->size));
	free(q);
}

int ppe_evq_destroy(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;
	int err = -EBUSY;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	if (!mutex_trylock(&q->wait_lock))
		return -EBUSY;
	turn_lock(ual);
	turn_take_doorbells(ual); /* its own may be among them */
	if (!q->bound) {
		evq_free(q);
		err = 0;
	}
	turn_unlock(ual);
	if (err)
		mutex_unlock(&q->wait_lock);
	return err;
}

/* ---------------------------------------------------------- the engine's side */

static uint32_t evq_free_slots(const struct ppe_evq *q)
{
	return q->size - (q->tail - q->head_seen) - q->reserved;
}

bool evq_reserve(struct ppe_evq *q)
{
	assert(turn_held(q->ual));
	if (!evq_free_slots(q)) {
		/* pairs with the exchange in evq_advance(): those slots have been read */
		q->head_seen = atomic_load_explicit(&q->idx->head, memory_order_acquire);
		if (!evq_free_slots(q))
			return false;
	}
	q->reserved++;
	return true;
}

void evq_resume(struct ppe_evq *q)
{
	struct list *node;

	while ((node = list_pop(&q->stalled)))
		dti_activate(list_entry(node, struct stall, link)->dti);
}

void evq_unreserve(struct ppe_evq *q)
{
	assert(q->reserved);
	q->reserved--;
	evq_resume(q);
}

void evq_post(struct ppe_evq *q, const struct ppe_event *ev)
{
	struct ppe_event *slot = &q->ring[q->tail++ & (q->size - 1)];

	assert(q->reserved);
	q->reserved--;
	*slot = *ev;
	if (!(ev->flags & PPE_EVF_SRC))
		slot->seq = q->seq;
	q->seq++;
	count(q->ual, events, 1);
	if (!list_linked(&q->dirty))
		list_add_tail(&q->ual->dirty_evqs, &q->dirty);
}

void evq_publish(struct ppe_evq *q)
{
	/* pairs with the acquire in ppe_spsc_count(): the events have been written */
	atomic_store_explicit(&q->idx->tail, q->tail, memory_order_release);
	owner_wake(q);
}

/* A DTI may wait for room in several queues, and any of them sets it going. */
static struct stall *stall_of(struct ppe_dti *d, const struct ppe_evq *q)
{
	return &d->stall[q == d->tx_evq ? STALL_TX : q == d->rx_evq ? STALL_RX : STALL_CM];
}

void evq_stall(struct ppe_evq *q, struct ppe_dti *d)
{
	struct stall *s = stall_of(d, q);

	count(q->ual, evq_stalls, 1);
	list_del(&s->link);
	list_add_tail(&q->stalled, &s->link);
	atomic_exchange_explicit(&q->want_room, 1, memory_order_seq_cst);
	/* pairs with the exchange in evq_advance(): either it sees want_room, or we its head */
	q->head_seen = atomic_load_explicit(&q->idx->head, memory_order_seq_cst);
	if (evq_free_slots(q) && atomic_exchange(&q->want_room, 0))
		evq_resume(q);
}

/* -------------------------------------------------------- the consumer's side */

static void evq_lock(struct ppe_evq *q)
{
	if (q->flags & PPE_LOCKED)
		mutex_lock(&q->lock);
}

static void evq_unlock(struct ppe_evq *q)
{
	if (q->flags & PPE_LOCKED)
		mutex_unlock(&q->lock);
}

bool evq_has_events(struct ppe_evq *q)
{
	return ppe_evq_count(q) != 0;
}

uint32_t ppe_evq_count(struct ppe_evq *q)
{
	uint32_t head, tail;

	if (!ual_alive(q->ual))
		return 0;
	/* in this order: the other way, a head that moved on could seem to be ahead */
	head = atomic_load_explicit(&q->idx->head, memory_order_acquire);
	tail = atomic_load_explicit(&q->idx->tail, memory_order_acquire);
	return tail - head;
}

/* Room that the engine waits for is announced like a post. */
static void evq_advance(struct ppe_evq *q, uint32_t head)
{
	atomic_exchange_explicit(&q->idx->head, head, memory_order_seq_cst);
	if (!atomic_load_explicit(&q->want_room, memory_order_seq_cst) ||
	    !atomic_exchange(&q->want_room, 0))
		return;
	doorbell_ring(q->ual, &q->rung, evq_bell(q));
	if (atomic_load_explicit(&q->ual->slot, memory_order_seq_cst))
		q->ual->fabric.stream->kick(q->ual->fabric.fab);
}

static struct ppe_event *evq_slot(struct ppe_evq *q, uint32_t i)
{
	return &q->ring[i & (q->size - 1)];
}

int ppe_evq_take(struct ppe_evq *q, struct ppe_event *ev, int max)
{
	uint32_t head, tail;
	int n;

	if (!ual_alive(q->ual))
		return -EOWNERDEAD;
	/* an empty queue is only looked at */
	if (atomic_load_explicit(&q->idx->tail, memory_order_relaxed) ==
	    atomic_load_explicit(&q->idx->head, memory_order_relaxed))
		return 0;
	evq_lock(q);
	head = atomic_load_explicit(&q->idx->head, memory_order_relaxed);
	tail = head + ppe_spsc_count(q->idx);
	for (n = 0; head != tail && n < max; n++)
		ev[n] = *evq_slot(q, head++);
	if (n > 0)
		evq_advance(q, head);
	evq_unlock(q);
	return n;
}

/*
 * The oldest event with this tag. Those before it move up by one: what is published belongs to the
 * consumer, and a hole would keep its slot from the engine until all before it are taken.
 */
static bool evq_extract(struct ppe_evq *q, uint64_t tag, struct ppe_event *ev)
{
	uint32_t head = atomic_load_explicit(&q->idx->head, memory_order_relaxed);
	uint32_t tail = head + ppe_spsc_count(q->idx), i;

	for (i = head; i != tail; i++) {
		if (evq_slot(q, i)->user_tag != tag)
			continue;
		*ev = *evq_slot(q, i);
		for (; i != head; i--)
			*evq_slot(q, i) = *evq_slot(q, i - 1);
		evq_advance(q, head + 1);
		return true;
	}
	return false;
}

static bool evq_extract_locked(struct ppe_evq *q, uint64_t tag, struct ppe_event *ev)
{
	bool found;

	evq_lock(q);
	found = evq_extract(q, tag, ev);
	evq_unlock(q);
	return found;
}

int ppe_evq_take_tag(struct ppe_evq *q, uint64_t tag, struct ppe_event *ev)
{
	struct ppe_event none;

	if (!ual_alive(q->ual))
		return -EOWNERDEAD;
	if (evq_extract_locked(q, tag, ev))
		return 1;
	ppe_evq_read(q, &none, 0);
	return evq_extract_locked(q, tag, ev);
}

void ppe_evq_purge(struct ppe_evq *q, uint64_t cookie)
{
	uint32_t head, keep, i;

	if (!ual_alive(q->ual))
		return;
	evq_lock(q);
	head = atomic_load_explicit(&q->idx->head, memory_order_relaxed);
	/* from the youngest on, those that stay move up */
	keep = i = head + ppe_spsc_count(q->idx);
	while (i-- != head)
		if (evq_slot(q, i)->cookie != cookie)
			*evq_slot(q, --keep) = *evq_slot(q, i);
	if (keep != head)
		evq_advance(q, keep);
	evq_unlock(q);
}
