/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * qstream.c - byte streams on queue pairs: the instance, and one turn: who has work, and a visit to
 * each.
 */
#include "fabric/qstream/internal.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ entering and leaving */

void qs_enter(struct qstream *q)
{
	q->depth++;
}

static void reap(struct qstream *q)
{
	while (linked(&q->zombies)) {
		struct link *l = q->zombies.next;

		link_del(l);
		free(container(l, struct fab_conn, work));
	}
}
static_assert(!offsetof(struct fab_conn, work) && !offsetof(struct fab_listener, work),
	      "both are freed by their first member");

static void publish_pending(struct qstream *q)
{
	bool pending = linked(&q->ready) || linked(&q->doors) || q->tx_left;

	if (pending == q->pending)
		return;
	q->pending = pending;
	q->attr.pending(q->attr.arg, pending);
}

void qs_leave(struct qstream *q)
{
	if (--q->depth)
		return;
	reap(q);
	publish_pending(q);
}

/* ------------------------------------------------------------------ the instance */

int qstream_open(const struct fab_env *env, const struct qstream_attr *attr, struct qstream **out)
{
	struct qstream *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	q->env = *env;
	q->attr = *attr;
	link_init(&q->ready);
	link_init(&q->doors);
	link_init(&q->dirty);
	link_init(&q->starved);
	link_init(&q->lingering);
	link_init(&q->zombies);
	err = qs_arena_open(&q->arena);
	if (err) {
		fab_logf(env, FAB_LOG_WARN, "streams: no file in memory, error %d", -err);
		free(q);
		return err;
	}
	q->region = (struct fab_region){ .base = q->arena.base, .len = q->arena.len };
	if (attr->msg->region_gone)
		q->regions[0] = &q->region;
	*out = q;
	return 0;
}

void qstream_close(struct qstream *q)
{
	assert(!q->open && !q->depth);
	qs_enter(q);
	while (linked(&q->lingering))
		qs_conn_gone(container(q->lingering.next, struct fab_conn, list), false);
	qs_leave(q);
	if (q->regions[0])
		q->attr.msg->region_gone(q->attr.m, &q->region);
	qs_arena_close(&q->arena);
	free(q);
}

unsigned qstream_lingering(const struct qstream *q)
{
	return q->lingers;
}

/* ------------------------------------------------------------------ ready and dirty */

/* A dead one, whose user does not read: must it hear so? */
static bool dead_has_work(const struct fab_conn *c)
{
	/* in order: only who wants to send need know */
	if (c->err == -EPIPE)
		return false;
	if (c->flags & (QC_LOST | QC_EOF))
		return true;
	return !qs_rx_has_data(c) && !(c->flags & QC_FIN_RX);
}

static bool conn_has_work(const struct fab_conn *c)
{
	if (c->flags & (QC_OVER | QC_SETUP | QC_QUEUED | QC_ASKED))
		return false;
	if ((c->flags & (QC_RX_WANT | QC_EOF)) == QC_RX_WANT)
		return qs_rx_has_data(c) || (c->flags & (QC_FIN_RX | QC_DEAD));
	return (c->flags & QC_DEAD) && dead_has_work(c);
}

void qs_conn_check_ready(struct fab_conn *c)
{
	if (conn_has_work(c) && !linked(&c->work))
		link_append(&c->q->ready, &c->work);
}

void qs_conn_dirty(struct fab_conn *c)
{
	c->flags |= QC_TX_WANT;
	if (!(c->flags & (QC_OVER | QC_SETUP | QC_QUEUED | QC_TX_FULL)) && !linked(&c->dirty))
		link_append(&c->q->dirty, &c->dirty);
}

/* ------------------------------------------------------------------ one turn */

static bool turn_over(const struct qstream *q)
{
	return q->done >= q->budget || q->bytes >= FAB_TURN_BYTES;
}

static void visit(struct fab_conn *c)
{
	qs_rx_run(c);
	qs_conn_check_ready(c);
}

/* Those that have more to do, or become ready meanwhile, have the next turn. */
static void run_ready(struct qstream *q)
{
	struct link todo;

	link_init(&todo);
	link_splice(&todo, &q->ready);
	while (linked(&todo) && !turn_over(q)) {
		struct fab_conn *c = container(todo.next, struct fab_conn, work);

		link_del(&c->work);
		if (conn_has_work(c))
			visit(c);
	}
	/* and those that had no turn go first in it */
	link_splice(&todo, &q->ready);
	link_splice(&q->ready, &todo);
}

static void run_doors(struct qstream *q)
{
	struct link todo;

	link_init(&todo);
	link_splice(&todo, &q->doors);
	while (linked(&todo)) {
		struct fab_listener *l = container(todo.next, struct fab_listener, work);

		link_del(&l->work);
		qs_door_run(l);
	}
}

int qstream_progress(struct qstream *q, int budget)
{
	int done;

	qs_enter(q);
	q->budget = budget;
	q->bytes = 0;
	/* first, so that what an accepted connection has is read in the same turn */
	run_doors(q);
	run_ready(q);
	done = q->done;
	q->done = 0;
	qs_leave(q);
	return done;
}

void qstream_flush(struct qstream *q)
{
	struct link todo;
	size_t sent = 0;

	qs_enter(q);
	link_init(&todo);
	link_splice(&todo, &q->dirty);
	while (linked(&todo) && sent < FAB_TURN_BYTES) {
		struct fab_conn *c = container(todo.next, struct fab_conn, dirty);

		link_del(&c->dirty);
		sent += qs_tx_run(c);
		qs_tx_tell(c);
	}
	link_splice(&todo, &q->dirty);
	link_splice(&q->dirty, &todo);
	q->tx_left = linked(&q->dirty);
	qs_leave(q);
}
