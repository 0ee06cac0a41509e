/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * evq.c - making event queues and destroying them. What is done with them is in wait.c.
 */
#include "dusi/handle.h"

int dusi_bound_evq(const struct dusi_ual *u, dusi_evq_t evq, struct ppe_evq **out)
{
	struct dusi_ual *owner;
	struct dusi_evq *q;
	int err;

	if (!evq.id)
		return 0;
	err = dusi_find_evq(evq, &owner, &q);
	if (err)
		return err;
	if (owner != u)
		return -EXDEV;
	*out = q->ppe;
	return 0;
}

static int evq_open(struct dusi_ual *u, uint32_t size, struct dusi_evq *q)
{
	const struct ppe_evq_attr attr = { .size = size, .flags = u->locked };

	return ppe_evq_create(u->ppe, &attr, &q->ppe);
}

int Dusi_Create_EvQ(dusi_ual_t ual, uint32_t size, dusi_evq_t *evq)
{
	struct dusi_place *place;
	struct dusi_ual *u;
	uint64_t id;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	if (!evq)
		return -EINVAL;
	err = dusi_table_take(u, &u->evqs, &place, &id);
	if (err)
		return err;
	err = evq_open(u, size, (struct dusi_evq *)place);
	if (err) {
		dusi_table_give(u, &u->evqs, place);
		return err;
	}
	dusi_table_publish(place, id);
	evq->id = id;
	return 0;
}

/*
 * The handle goes last: while the engine says -EBUSY another thread is using it, and rightly so.
 * The lock keeps two that destroy the same queue apart.
 */
static int evq_close(struct dusi_ual *u, dusi_evq_t evq, struct dusi_evq **out)
{
	struct dusi_evq *q = dusi_table_find(&u->evqs, evq.id);
	int err;

	if (!q)
		return -EBADF;
	err = ppe_evq_destroy(q->ppe);
	if (!err)
		dusi_table_withdraw(&q->place, evq.id);
	*out = q;
	return err;
}

int Dusi_Destroy_EvQ(dusi_evq_t evq)
{
	struct dusi_ual *u;
	struct dusi_evq *q;
	int err = dusi_enter(evq.id, DUSI_KIND_EVQ, &u);

	if (err)
		return err;
	pthread_mutex_lock(&u->lock);
	err = evq_close(u, evq, &q);
	pthread_mutex_unlock(&u->lock);
	if (!err)
		dusi_table_give(u, &u->evqs, &q->place);
	return err;
}
