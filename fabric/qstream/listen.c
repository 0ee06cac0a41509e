/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * listen.c - byte streams on queue pairs: listeners, and the connections that they accept.
 *
 * As with TCP, a peer is connected before anybody has posted an accept for it: up to the backlog
 * requests are accepted as they come, and the connections wait here, with what they have sent
 * within their window. Requests beyond that wait unanswered, so that their senders go on waiting; only
 * when too many do they are refused.
 */
#include "fabric/qstream/internal.h"

#include <limits.h>
#include <stdlib.h>

static bool is_ripe(const struct fab_listener *l, const struct fab_conn *c)
{
	return !l->defer_ns || (c->flags & (QC_RIPE | QC_DEAD)) || qs_rx_has_data(c);
}

static struct fab_conn *next_ripe(struct fab_listener *l)
{
	for (struct link *i = l->queued.next; i != &l->queued; i = i->next) {
		struct fab_conn *c = container(i, struct fab_conn, list);

		if (is_ripe(l, c))
			return c;
	}
	return NULL;
}

void qs_door_check(struct fab_listener *l)
{
	if (l->posted && !l->gone && !l->failed && next_ripe(l) && !linked(&l->work))
		link_append(&l->q->doors, &l->work);
}

void qs_conn_ripe(struct fab_conn *c)
{
	if (c->flags & QC_QUEUED)
		qs_door_check(c->listener);
}

/* ------------------------------------------------------------------ requests */

/* It is not its listener's any more, nor anybody's. */
static void drop(struct fab_conn *c)
{
	c->listener = NULL;
	qs_conn_gone(c, true);
}

/* Accepts on behalf of the listener. */
static void take_request(struct fab_listener *l, struct fab_conn *c)
{
	const struct fab_msg_ops *msg = l->q->attr.msg;
	struct fab_hello hello;
	struct qs_hello pdata;

	qs_conn_hello(&hello, &pdata);
	c->flags = (c->flags & ~QC_ASKED) | QC_SETUP;
	if (msg->accept(c->mc, &hello, &pdata, sizeof(pdata), &qs_msg_user, c)) {
		drop(c);
		return;
	}
	link_append(&l->setup, &c->list);
	l->nsetup++;
}

/* There may be room in the backlog for requests that wait. */
static void take_requests(struct fab_listener *l)
{
	while (l->nasking && l->nqueued + l->nsetup <= l->backlog) {
		struct fab_conn *c = container(l->asking.next, struct fab_conn, list);

		link_del(&c->list);
		l->nasking--;
		take_request(l, c);
	}
}

static void up_request(void *user, struct fab_msg_conn *mc, const union fab_addr *peer,
		       const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct fab_listener *l = user;
	struct qstream *q = l->q;
	struct fab_conn *c = NULL;

	qs_enter(q);
	if (l->nasking < QS_ASKING_MAX)
		c = qs_conn_new(q);
	if (c && qs_conn_greet(c, who, pdata, len)) {
		fab_logf(&q->env, FAB_LOG_INFO, "stream: refused a peer that is none");
		free(c);
		c = NULL;
	}
	if (c) {
		c->mc = mc;
		c->listener = l;
		c->peer = *peer;
		c->flags |= QC_ASKED;
		link_append(&l->asking, &c->list);
		l->nasking++;
		take_requests(l);
	} else {
		q->attr.msg->reject(mc, NULL, 0);
	}
	qs_leave(q);
}

static void up_withdrawn(void *user, struct fab_msg_conn *mc)
{
	struct fab_listener *l = user;

	qs_enter(l->q);
	for (struct link *i = l->asking.next; i != &l->asking; i = i->next) {
		struct fab_conn *c = container(i, struct fab_conn, list);

		if (c->mc != mc)
			continue;
		c->mc = NULL;
		l->nasking--;
		drop(c);
		break;
	}
	qs_leave(l->q);
}

static void up_failed(void *user, int err)
{
	struct fab_listener *l = user;

	qs_enter(l->q);
	l->failed = true;
	link_del(&l->work);
	l->q->done++;
	l->ops->failed(l->user, err);
	qs_leave(l->q);
}

static const struct fab_msg_listen_user msg_listen_user = {
	.request = up_request,
	.withdrawn = up_withdrawn,
	.failed = up_failed,
};

/* ------------------------------------------------------------------ connections */

static void defer_over(struct timer *t)
{
	struct fab_conn *c = container(t, struct fab_conn, timer);
	struct qstream *q = c->q;

	qs_enter(q);
	c->flags |= QC_RIPE;
	qs_conn_ripe(c);
	qs_leave(q);
}

void qs_listen_connected(struct fab_conn *c, int err)
{
	struct fab_listener *l = c->listener;

	l->nsetup--;
	link_del(&c->list);
	if (err) {
		drop(c);
		take_requests(l);
		return;
	}
	c->flags = (c->flags & ~QC_SETUP) | QC_QUEUED;
	link_append(&l->queued, &c->list);
	l->nqueued++;
	if (l->defer_ns && timer_start(l->q->env.timers, &c->timer, l->defer_ns, defer_over))
		c->flags |= QC_RIPE;
	qs_door_check(l);
}

static void hand_out(struct fab_listener *l, struct fab_conn *c)
{
	union fab_addr peer = c->peer;

	timer_stop(l->q->env.timers, &c->timer);
	link_del(&c->list);
	l->nqueued--;
	l->posted--;
	c->listener = NULL;
	c->flags &= ~QC_QUEUED;
	l->q->open++;
	l->q->done++;
	l->ops->accepted(l->user, c, &peer);
	assert(c->ops || (c->flags & QC_OVER));
}

void qs_door_run(struct fab_listener *l)
{
	struct fab_conn *c;

	/* the memory stays until the call is over, so that it may be closed from within */
	while (!l->gone && !l->failed && l->posted && l->q->done < l->q->budget &&
	       (c = next_ripe(l)))
		hand_out(l, c);
	if (l->gone || l->failed)
		return;
	take_requests(l);
	qs_door_check(l);
}

/* ------------------------------------------------------------------ listeners */

int qstream_listen(struct qstream *q, const struct fab_listen_attr *attr,
		   const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listener *l;
	int err;

	if (!fab_addr_len(attr->addr))
		return -EAFNOSUPPORT;
	/* queue pairs are asked for by one listener for each port */
	if (attr->reuse_port)
		return -EOPNOTSUPP;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	link_init(&l->work);
	link_init(&l->asking);
	link_init(&l->setup);
	link_init(&l->queued);
	l->q = q;
	l->ops = ops;
	l->user = user;
	l->backlog = attr->backlog > 0 ? (unsigned)attr->backlog : 0;
	l->defer_ns = attr->defer_s * 1000000000ull;
	err = q->attr.msg->listen(q->attr.m, attr->addr, attr->backlog, &msg_listen_user, l,
				  &l->ml);
	if (err) {
		free(l);
		return err;
	}
	q->open++;
	*out = l;
	return 0;
}

int qstream_accept(struct fab_listener *l)
{
	if (l->failed || l->gone)
		return -EINVAL;
	if (l->posted == UINT_MAX)
		return -EAGAIN;
	qs_enter(l->q);
	l->posted++;
	qs_door_check(l);
	qs_leave(l->q);
	return 0;
}

unsigned qstream_unaccept(struct fab_listener *l, unsigned n)
{
	l->posted -= n < l->posted ? n : l->posted;
	return l->posted;
}

int qstream_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	return l->q->attr.msg->listener_addr(l->ml, addr);
}

static void drop_all(struct link *list)
{
	while (linked(list))
		drop(container(list->next, struct fab_conn, list));
}

static void drop_waiting(struct fab_listener *l)
{
	while (linked(&l->asking)) {
		struct fab_conn *c = container(l->asking.next, struct fab_conn, list);
		struct fab_msg_conn *mc = c->mc;

		c->mc = NULL;
		drop(c);
		l->q->attr.msg->reject(mc, NULL, 0);
	}
	drop_all(&l->setup);
	drop_all(&l->queued);
}

void qstream_unlisten(struct fab_listener *l)
{
	struct qstream *q = l->q;

	qs_enter(q);
	l->gone = true;
	drop_waiting(l);
	q->attr.msg->unlisten(l->ml);
	q->open--;
	link_del(&l->work);
	link_append(&q->zombies, &l->work);
	qs_leave(q);
}
