/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * message.c - the message service: whole messages between a queue pair and a DTI's queues.
 *
 * The message fabric looks at the sends from the oldest on (tx_peek), transmits what it can, and says
 * how many are done. An arriving message asks for its place piece by piece (rx_place): the receive at
 * the head of the queue is copied out when its message begins, and ends with the last piece.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/engine.h"

/* ------------------------------------------------------------------------- sending */

static void tx_finish(struct ppe_dti *d, const struct tx_op *op, int status)
{
	const struct ppe_wr *wr = &op->copy.s[0].wr;

	if (!status) {
		count(d->ual, sends, 1);
		count(d->ual, send_bytes, op->len);
	}
	if (!status && (wr->flags & PPE_WR_SILENT)) {
		evq_unreserve(d->tx_evq);
		count(d->ual, silent, 1);
	} else {
		dti_event(d, d->tx_evq, PPE_EV_SEND, wr->user_tag, status, status ? 0 : op->len);
	}
	queue_release(dti_sq(d), op->slots);
}

/* As a message; or why it cannot be one. */
static int tx_resolve(struct ppe_dti *d, struct tx_op *op)
{
	const struct ppe_wr *wr = &op->copy.s[0].wr;
	unsigned n;
	int err = wr_resolve(d->ual, &op->copy, PPE_ACCESS_LOCAL_READ, op->iov, &n);

	if (err)
		return err;
	op->len = wr->length;
	op->send = (struct fab_send){
		.op = FAB_SEND,
		.flags = wr->flags & PPE_WR_SOLICITED ? FAB_SEND_SOLICITED : 0,
		.niov = n,
		.len = wr->length,
		.iov = op->iov,
	};
	return 0;
}

/*
 * The request @ahead slots behind the head, with its event slot. NULL: none, or not now. Padding and
 * refused requests are passed over; they leave the queue only from its head, so further back they end
 * the batch.
 */
static struct tx_op *tx_take(struct ppe_dti *d, uint32_t ahead)
{
	struct tx_op *op = &d->ual->batch[d->ual->batch_count];

	for (;;) {
		int err;

		op->slots = queue_peek(dti_sq(d), ahead, &op->copy);
		if (!op->slots)
			return NULL;
		if (op->copy.s[0].wr.op == PPE_WR_NONE && !op->copy.s[0].wr.flags) {
			if (ahead)
				return NULL;
			queue_release(dti_sq(d), op->slots);
			continue;
		}
		if (!evq_reserve(d->tx_evq)) {
			if (!ahead)
				evq_stall(d->tx_evq, d);
			return NULL;
		}
		err = tx_resolve(d, op);
		if (!err)
			return op;
		if (ahead) {
			evq_unreserve(d->tx_evq);
			return NULL;
		}
		tx_finish(d, op, wr_reject(d->ual, err));
	}
}

/* The message of which a part is on the wire, from its private copy. */
static struct tx_op *tx_partial(struct ppe_dti *d)
{
	struct tx_op *op = &d->ual->batch[0];
	int err;

	op->copy = d->tx_copy;
	op->slots = op->copy.s[0].wr.nslots;
	err = tx_resolve(d, op);
	if (!err)
		return op;
	/* the rest of this message cannot be had, and the peer has its beginning */
	wr_reject(d->ual, err);
	d->error = err;
	return NULL;
}

static const struct fab_send *message_tx_peek(void *user, unsigned i)
{
	struct ppe_dti *d = user;
	struct ppe_ual *ual = d->ual;
	struct tx_op *op;

	if (!i && !ual->batch_count)
		ual->batch_slots = 0;
	if (i < ual->batch_count)
		return &ual->batch[i].send;
	if (i == TX_BATCH)
		return NULL;
	assert(i == ual->batch_count);
	op = !i && d->tx_part ? tx_partial(d) : tx_take(d, ual->batch_slots);
	if (!op)
		return NULL;
	ual->batch_slots += op->slots;
	ual->batch_count++;
	return &op->send;
}

/* A disconnect that was asked for goes behind the last send. */
static void shutdown_if_sent(struct ppe_dti *d)
{
	if (!d->tx_shut || ppe_spsc_count(&d->sh->sq))
		return;
	d->tx_shut = false;
	d->ual->fabric.msg->shutdown(d->mconn);
}

static void message_tx_done(void *user, unsigned n, bool partial)
{
	struct ppe_dti *d = user;
	struct ppe_ual *ual = d->ual;
	unsigned i;

	assert(n <= ual->batch_count);
	for (i = 0; i < n; i++)
		tx_finish(d, &ual->batch[i], 0);
	if (n)
		d->tx_part = false;
	if (partial && i < ual->batch_count) {
		d->tx_copy = ual->batch[i++].copy;
		d->tx_part = true;
	}
	for (; i < ual->batch_count; i++)
		evq_unreserve(d->tx_evq);
	ual->batch_count = 0;
	if (ppe_spsc_count(&d->sh->sq))
		ual->fabric.msg->tx_want(d->mconn);
	else
		shutdown_if_sent(d);
}

/* ----------------------------------------------------------------------- receiving */

static void rx_finish(struct ppe_dti *d, int status)
{
	struct rx_current *rx = d->rx;
	bool over = rx->got > rx->want;
	struct ppe_event ev = {
		.user_tag = rx->copy.s[0].wr.user_tag,
		.cookie = d->cookie,
		.context = d->context,
		.len = over ? rx->want : rx->got,
		.data = rx->got,
		.dti = d->handle,
		.type = PPE_EV_RECV,
		.flags = over ? PPE_EVF_TRUNCATED : 0,
		.status = status ? status
			  : over ? -EMSGSIZE
				 : 0,
	};

	if (!ev.status) {
		count(d->ual, recvs, 1);
		count(d->ual, recv_bytes, rx->got);
	}
	rx->active = false;
	if (!ev.status && (rx->copy.s[0].wr.flags & PPE_WR_SILENT)) {
		evq_unreserve(d->rx_evq);
		count(d->ual, silent, 1);
	} else {
		evq_post(d->rx_evq, &ev);
	}
	queue_release(dti_rq(d), rx->copy.s[0].wr.nslots);
}

/* Takes the next good receive for a message that begins. -EAGAIN: there is none, or no slot. */
static int rx_begin(struct ppe_dti *d)
{
	struct rx_current *rx = d->rx;
	struct iovec iov[PPE_SGE_MAX];

	for (;;) {
		unsigned n, slots = queue_peek(dti_rq(d), 0, &rx->copy);
		int err;

		if (!slots) {
			count(d->ual, rx_stalls, 1);
			d->stopped_rx = true;
			dti_starved(d);
			return -EAGAIN;
		}
		if (rx->copy.s[0].wr.op == PPE_WR_NONE && !rx->copy.s[0].wr.flags) {
			queue_release(dti_rq(d), slots);
			continue;
		}
		if (!evq_reserve(d->rx_evq)) {
			d->stopped_rx = true;
			evq_stall(d->rx_evq, d);
			return -EAGAIN;
		}
		err = wr_resolve(d->ual, &rx->copy, PPE_ACCESS_LOCAL_WRITE, iov, &n);
		rx->copy.s[0].wr.nslots = slots;
		rx->got = 0;
		rx->want = rx->copy.s[0].wr.length;
		rx->status = 0;
		rx->active = true;
		if (!err)
			return 0;
		rx_finish(d, wr_reject(d->ual, err));
	}
}

static int message_rx_place(void *user, const struct fab_place *piece, struct iovec *iov, int max)
{
	struct ppe_dti *d = user;
	struct rx_current *rx = d->rx;
	unsigned n;
	int err;

	(void)max; /* the fabric offers at least PPE_SGE_MAX */
	if (!rx->active) {
		err = rx_begin(d);
		if (err)
			return err;
	}
	if (piece->offset >= rx->want || rx->status)
		return 0;
	err = wr_resolve(d->ual, &rx->copy, PPE_ACCESS_LOCAL_WRITE, iov, &n);
	if (err) {
		/* deregistered in the middle of a message: the rest is dropped */
		rx->status = wr_reject(d->ual, err);
		return 0;
	}
	n = iov_skip(iov, n, piece->offset);
	return iov_trim(iov, n, piece->len);
}

static void message_rx_done(void *user, const struct fab_place *piece)
{
	struct ppe_dti *d = user;
	struct rx_current *rx = d->rx;

	rx->got = piece->offset + piece->len;
	if (piece->last)
		rx_finish(d, rx->status);
}

/* ---------------------------------------------------------------------- connection */

static void pdata_keep(struct ppe_dti *d, const void *pdata, size_t len)
{
	free(d->pdata);
	d->pdata = len ? malloc(len) : NULL;
	d->pdata_len = d->pdata ? len : 0;
	if (d->pdata)
		memcpy(d->pdata, pdata, len);
}

static void message_connected(void *user, int err, const void *pdata, size_t len)
{
	struct ppe_dti *d = user;

	pdata_keep(d, pdata, len);
	d->pending |= PEND_CONNECT;
	d->cm_status = err;
	if (err) {
		d->mconn = NULL;
		dti_die(d, err);
		return;
	}
	d->state = DTI_CONNECTED;
	d->ual->fabric.msg->conn_addr(d->mconn, &d->local, &d->peer);
	if (dti_tell_setup(d))
		d->ual->fabric.msg->rx_want(d->mconn);
	else
		d->stopped_rx = true;
	dti_activate(d);
}

static void message_closed(void *user, int err)
{
	struct ppe_dti *d = user;
	struct ppe_ual *ual = d->ual;

	for (unsigned i = 0; i < ual->batch_count; i++)
		if (i || !d->tx_part)
			evq_unreserve(d->tx_evq);
	ual->batch_count = 0;
	ual->fabric.msg->conn_close(d->mconn, false);
	d->mconn = NULL;
	d->pending |= PEND_CLOSED;
	d->closed_status = d->error ? d->error : err;
	dti_die(d, d->closed_status ? d->closed_status : -ESHUTDOWN);
}

const struct fab_msg_user message_user = {
	.connected = message_connected,
	.tx_peek = message_tx_peek,
	.tx_done = message_tx_done,
	.rx_place = message_rx_place,
	.rx_done = message_rx_done,
	.closed = message_closed,
};

/* ------------------------------------------------------------------------ requests */

struct ppe_request *request_find(struct ppe_ual *ual, uint64_t id)
{
	for (struct list *n = ual->requests.next; n != &ual->requests; n = n->next) {
		struct ppe_request *r = list_entry(n, struct ppe_request, link);

		if (r->id == id)
			return r;
	}
	return NULL;
}

void request_free(struct ppe_request *r)
{
	list_del(&r->link);
	free(r);
}

static void message_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
			    const void *pdata, size_t len)
{
	struct ppe_dti *d = user;
	struct ppe_ual *ual = d->ual;
	struct ppe_request *r = calloc(1, sizeof(*r));

	if (!r || len > sizeof(r->pdata)) {
		free(r);
		ual->fabric.msg->reject(conn, NULL, 0);
		return;
	}
	r->conn = conn;
	r->id = ++ual->request_seq;
	r->peer = *peer;
	ual->fabric.msg->conn_addr(conn, &r->local, &r->peer);
	r->len = len;
	if (len)
		memcpy(r->pdata, pdata, len);
	list_add_tail(&d->requests, &r->link);
	dti_activate(d);
}

static struct ppe_request *request_of(struct list *head, const struct fab_msg_conn *conn)
{
	for (struct list *n = head->next; n != head; n = n->next) {
		struct ppe_request *r = list_entry(n, struct ppe_request, link);

		if (r->conn == conn)
			return r;
	}
	return NULL;
}

/* The peer left. A request that was told stays, to be answered with -ESTALE. */
static void message_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct ppe_dti *d = user;
	struct ppe_request *r = request_of(&d->requests, conn);

	if (r) {
		request_free(r);
		return;
	}
	r = request_of(&d->ual->requests, conn);
	if (r)
		r->conn = NULL;
}

static void message_listen_failed(void *user, int err)
{
	struct ppe_dti *d = user;

	ual_logf(d->ual, FAB_LOG_WARN, "a message listener failed: error %d", -err);
}

const struct fab_msg_listen_user message_listen_user = {
	.request = message_request,
	.withdrawn = message_withdrawn,
	.failed = message_listen_failed,
};

/* Untold ones are refused; told ones stay with the application. */
void requests_drop(struct ppe_ual *ual, struct ppe_dti *listener)
{
	struct list *node;

	while ((node = list_pop(&listener->requests))) {
		struct ppe_request *r = list_entry(node, struct ppe_request, link);

		ual->fabric.msg->reject(r->conn, NULL, 0);
		free(r);
	}
}

/* ------------------------------------------------------------------ one turn's work */

static void run_listener(struct ppe_dti *d)
{
	while (!list_empty(&d->requests)) {
		struct ppe_request *r = list_entry(d->requests.next, struct ppe_request, link);
		struct ppe_event ev = {
			.cookie = d->cookie,
			.context = d->context,
			.data = r->id,
			.dti = d->handle,
			.type = PPE_EV_REQUEST,
		};

		if (!evq_reserve(d->cm_evq)) {
			evq_stall(d->cm_evq, d);
			return;
		}
		evq_post(d->cm_evq, &ev);
		list_del(&r->link);
		list_add_tail(&d->ual->requests, &r->link);
	}
}

static void run_connected(struct ppe_dti *d)
{
	if (ppe_spsc_count(&d->sh->sq))
		d->ual->fabric.msg->tx_want(d->mconn);
	else
		shutdown_if_sent(d);
	if (!d->stopped_rx)
		return;
	atomic_store_explicit(&d->sh->starved, 0, memory_order_relaxed);
	d->stopped_rx = false;
	d->ual->fabric.msg->rx_want(d->mconn);
}

void message_run(struct ppe_dti *d)
{
	if (d->state == DTI_LISTENING)
		run_listener(d);
	else if (d->state == DTI_CONNECTED)
		run_connected(d);
}
