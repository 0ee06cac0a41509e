/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* conn.c - a connection: its queue pair, its life, its end. */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>

#define LINGER_NS 10000000000u /* a device gives up long before */
#define CONNS_MAX (1u << 24)

/* ------------------------------------------------------------------------- its place */

static int conns_grow(struct fab *fab)
{
	uint32_t n = fab->nconns * 2;
	struct fab_msg_conn **conns;

	if (n > CONNS_MAX)
		return -EMFILE;
	conns = realloc(fab->conns, n * sizeof(*conns));
	if (!conns)
		return -ENOMEM;
	for (uint32_t i = fab->conns ? fab->nconns : 0; i < n; i++)
		conns[i] = NULL;
	fab->conns = conns;
	fab->nconns = n;
	return 0;
}

static int slot_take(struct fab *fab, struct fab_msg_conn *c)
{
	uint32_t i = 1;

	while (i < fab->nconns && fab->conns && fab->conns[i])
		i++;
	if (i >= fab->nconns && conns_grow(fab))
		return -ENOMEM;
	fab->conns[i] = c;
	c->slot = i;
	c->generation = ++fab->generation;
	return 0;
}

struct fab_msg_conn *roce_conn_new(struct fab_msg *m)
{
	struct fab_msg_conn *c = calloc(1, sizeof(*c));
	struct roce_start *s = calloc(1, sizeof(*s));

	if (!c || !s || slot_take(m->fab, c)) {
		free(c);
		free(s);
		return NULL;
	}
	c->ep.kind = ROCE_IS_CONN;
	c->fab = m->fab;
	c->m = m;
	c->start = s;
	link_init(&c->in_list);
	link_init(&c->dirty);
	link_init(&c->later);
	link_init(&c->words);
	link_init(&c->placed);
	link_init(&c->sinks);
	link_init(&c->targets);
	link_init(&c->keys);
	link_init(&c->tolds);
	return c;
}

void roce_listener_drop(struct fab_msg_conn *c)
{
	if (!c->listener)
		return;
	if (c->state == RC_ACCEPTED)
		c->listener->nstarting--;
	link_del(&c->in_list);
	c->listener = NULL;
}

/* Without memory for a timer there is no deadline, and still a connection. */
void roce_timer_start(struct fab_msg_conn *c, uint64_t ns, timer_fn fn)
{
	timer_start(c->fab->env.timers, &c->timer, ns, fn);
}

/* --------------------------------------------------------------------- its queue pair */

static int qp_create(struct fab_msg_conn *c, uint32_t inline_max)
{
	struct ibv_qp_init_attr attr = {
		.qp_context = c,
		.send_cq = c->cq->cq,
		.recv_cq = c->cq->cq,
		.cap = { .max_send_wr = ROCE_SENDS,
			 .max_recv_wr = ROCE_RECVS,
			 .max_send_sge = ROCE_SGE,
			 .max_recv_sge = 1,
			 .max_inline_data = inline_max },
		.qp_type = IBV_QPT_RC,
	};

	if (c->fab->lib->p_rdma_create_qp(c->id, c->dev->pd, &attr))
		return -errno;
	c->qp = c->id->qp;
	c->inline_max =
		attr.cap.max_inline_data < ROCE_INLINE ? attr.cap.max_inline_data : ROCE_INLINE;
	return 0;
}

int roce_conn_qp(struct fab_msg_conn *c)
{
	int err = roce_dev_get(c->fab, c->id, &c->dev);

	if (err)
		return err;
	c->cq = roce_cq_get(c->dev, ROCE_SENDS + ROCE_RECVS);
	if (!c->cq)
		return -ENOMEM;
	err = qp_create(c, ROCE_INLINE);
	if (err == -EINVAL) /* not so much inline, or none */
		err = qp_create(c, 0);
	return err ? err : roce_rx_add(c, ROCE_START_CREDITS + ROCE_SPARE);
}

static void bufs_forget(struct fab_msg_conn *c)
{
	c->nrx = 0;
	c->rx_count = 0;
	for (unsigned i = 0; i < ROCE_SENDS; i++)
		c->tx_bufs[i] = NULL;
}

/* Buffers stay till the end of the call: one of them may be what an upcall was shown. */
void roce_conn_unplug(struct fab_msg_conn *c)
{
	const struct roce_lib *lib = c->fab->lib;

	if (c->qp && !c->dev->dead)
		lib->p_rdma_disconnect(c->id);
	if (c->qp)
		lib->p_rdma_destroy_qp(c->id);
	roce_places_free(c);
	if (c->id)
		lib->p_rdma_destroy_id(c->id);
	c->qp = NULL;
	c->id = NULL;
	c->dead = true;
	if (c->cq)
		roce_cq_put(c->cq, ROCE_SENDS + ROCE_RECVS);
	c->cq = NULL;
	if (c->dev && c->dev->dead) {
		bufs_forget(c); /* they go with the device */
		c->dev = NULL;
	}
}

/* ------------------------------------------------------------------------ its end */

void roce_conn_free(struct fab_msg_conn *c)
{
	struct fab *fab = c->fab;

	assert(fab->depth);
	if (c->state == RC_GONE)
		return;
	roce_listener_drop(c);
	c->state = RC_GONE;
	timer_stop(fab->env.timers, &c->timer);
	link_del(&c->dirty);
	link_del(&c->later);
	roce_conn_unplug(c);
	roce_keys_free(c);
	fab->conns[c->slot] = NULL;
	link_move(&fab->zombies, &c->in_list);
}

void roce_conn_reap(struct fab_msg_conn *c)
{
	link_del(&c->in_list);
	if (c->dev && !c->dev->dead) {
		for (unsigned i = 0; i < c->nrx; i++)
			roce_buf_put(c->dev, c->rx_bufs[i]);
		for (unsigned i = 0; i < ROCE_SENDS; i++)
			if (c->tx_bufs[i])
				roce_buf_put(c->dev, c->tx_bufs[i]);
	}
	roce_empties_free(c);
	free(c->start);
	free(c);
}

void roce_end(struct fab_msg_conn *c, int err)
{
	if (c->state != RC_OPEN)
		return;
	c->state = RC_CLOSED;
	link_del(&c->dirty);
	link_del(&c->later);
	c->ops->closed(c->user, err);
}

void roce_conn_lost(struct fab_msg_conn *c, int err)
{
	switch (c->state) {
	case RC_GONE:
	case RC_CLOSED:
		break;
	case RC_LINGERING:
		roce_conn_free(c);
		break;
	case RC_OPEN:
		/* what had come before is still its user's; a BYE may be among it */
		COUNT(c->fab, resets, !c->lost && err == -ECONNRESET);
		c->lost = c->lost ? c->lost : err;
		roce_rx_run(c);
		break;
	default:
		roce_start_lost(c, err);
		break;
	}
}

void roce_refuse(struct fab_msg_conn *c, int err)
{
	if (c->state != RC_OPEN)
		return;
	if (!roce_tx_bye(c, roce_bye_of(err)))
		COUNT(c->fab, terminates_tx, 1);
	roce_end(c, err);
}

void roce_violation(struct fab_msg_conn *c, const char *what)
{
	COUNT(c->fab, proto_errors, 1);
	fab_logf(&c->fab->env, FAB_LOG_WARN, "roce: protocol violation: %s", what);
	if (c->state == RC_OPEN)
		roce_refuse(c, -EPROTO);
	else
		roce_conn_lost(c, -EPROTO);
}

void roce_bye_took(struct fab_msg_conn *c, uint32_t why)
{
	c->bye_came = true;
	if (why == ROCE_BYE_DONE || why == ROCE_BYE_CUT) {
		COUNT(c->fab, eofs, 1);
		roce_end(c, why == ROCE_BYE_CUT || c->in_msg ? -ECONNRESET : 0);
		return;
	}
	COUNT(c->fab, terminates_rx, 1);
	fab_logf(&c->fab->env, FAB_LOG_WARN, "roce: the peer ended the connection: %s",
		 roce_bye_text(why));
	roce_end(c, -ECONNABORTED);
}

void roce_conn_later(struct fab_msg_conn *c)
{
	switch (c->state) {
	case RC_REPLYING:
		if (c->lost)
			roce_conn_lost(c, c->lost);
		else
			roce_start_open(c);
		break;
	case RC_OPEN:
		roce_rx_run(c);
		break;
	case RC_GONE:
	case RC_CLOSED:
		break;
	default:
		if (c->lost)
			roce_conn_lost(c, c->lost);
		break;
	}
}

/* ------------------------------------------------------------------------ closing */

static void linger_timeout(struct timer *t)
{
	struct fab_msg_conn *c = container(t, struct fab_msg_conn, timer);
	struct fab *fab = c->fab;

	roce_enter(fab);
	roce_conn_free(c);
	roce_leave(fab);
}

void roce_linger_look(struct fab_msg_conn *c)
{
	if (c->sq_head == c->sq_tail)
		roce_conn_free(c);
}

void roce_conn_linger(struct fab_msg_conn *c)
{
	link_del(&c->dirty);
	link_del(&c->later);
	c->state = RC_LINGERING;
	c->m = NULL;
	link_move(&c->fab->lingering, &c->in_list);
	roce_timer_start(c, LINGER_NS, linger_timeout);
	roce_linger_look(c);
}

/* Whose memory a device still reaches cannot: it is the user's again. */
static bool may_linger(const struct fab_msg_conn *c, bool reset)
{
	if (linked(&c->placed) || linked(&c->sinks))
		return false;
	return (c->state == RC_OPEN || c->state == RC_CLOSED) && !reset && !c->dead && !c->lost &&
	       c->qp;
}

/* Its last frame covers those before, whose ends nobody is told of. */
static bool say_goodbye(struct fab_msg_conn *c)
{
	return c->bye_sent || !roce_tx_bye(c, c->tx_off ? ROCE_BYE_CUT : ROCE_BYE_DONE);
}

void roce_conn_close(struct fab_msg_conn *c, bool reset)
{
	struct fab *fab = c->fab;

	roce_enter(fab);
	if (may_linger(c, reset) && say_goodbye(c))
		roce_conn_linger(c);
	else
		roce_conn_free(c);
	roce_leave(fab);
}

int roce_shutdown(struct fab_msg_conn *c)
{
	int err = 0;

	if (c->state != RC_OPEN)
		return -ENOTCONN;
	if (c->shut)
		return 0;
	roce_enter(c->fab);
	c->shut = true;
	if (!c->tx_off)
		err = roce_tx_bye(c, ROCE_BYE_DONE);
	roce_leave(c->fab);
	return err;
}

int roce_conn_addr(struct fab_msg_conn *c, union fab_addr *local, union fab_addr *peer)
{
	if (c->state < RC_REQUESTED)
		return -ENOTCONN;
	*local = c->local;
	*peer = c->peer;
	return 0;
}
