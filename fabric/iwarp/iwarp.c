/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* iwarp.c - the message service over a stream: the instance, its listeners, a connection's life. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

/*
 * Connections of one listener that have not yet said what they want. A peer that opens many and says
 * nothing takes no more memory than this; and the oldest makes room for the next, because one that
 * means it asks at once, and must not wait for the deadlines of those that never will.
 */
#define STARTING_MAX 256
#define ACCEPTS_POSTED 16

/* ------------------------------------------------------------------------- instance */

static void iwarp_close(struct fab_msg *m)
{
	while (m->rejecting.first)
		iw_free(m->rejecting.first);
	free(m->scratch);
	free(m->stage);
	free(m);
}

static int iwarp_open(const struct fab_env *env, const struct fab_msg_attr *attr,
		      const struct fab_stream_ops *stream, struct fab *fab, struct fab_msg **out)
{
	struct fab_msg *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->env = *env;
	m->attr = *attr;
	m->stream = stream;
	m->fab = fab;
	m->scratch = malloc(IW_SCRATCH);
	m->stage = malloc(IW_STAGE);
	if (!m->scratch || !m->stage) {
		iwarp_close(m);
		return -ENOMEM;
	}
	*out = m;
	return 0;
}

/* ------------------------------------------------------------------ a connection's end */

static void conn_release(struct fab_msg_conn *c)
{
	free(c->start);
	iw_req_forget(c);
	free(c->ctl);
	free(c);
}

void iw_drop(struct fab_msg_conn *c)
{
	if (!--c->busy && c->freed)
		conn_release(c);
}

static void list_leave(struct fab_msg_conn *c)
{
	struct iw_list *list = c->list;

	*(c->next ? &c->next->prev : &list->last) = c->prev;
	*(c->prev ? &c->prev->next : &list->first) = c->next;
	list->count--;
	c->next = c->prev = NULL;
	c->list = NULL;
}

void iw_list_move(struct fab_msg_conn *c, struct iw_list *to)
{
	if (c->list)
		list_leave(c);
	c->list = to;
	if (!to)
		return;
	c->prev = to->last;
	*(to->last ? &to->last->next : &to->first) = c;
	to->last = c;
	to->count++;
}

void iw_listener_drop(struct fab_msg_conn *c)
{
	if (!c->listener)
		return;
	iw_list_move(c, NULL);
	c->listener = NULL;
}

/* Nothing of it is left but its memory, while calls on the stack use it. */
static void conn_free(struct fab_msg_conn *c, bool reset)
{
	if (c->freed)
		return;
	c->freed = true;
	timer_stop(c->m->env.timers, &c->timer);
	iw_list_move(c, NULL);
	c->listener = NULL;
	if (c->stash) {
		c->m->env.buf_put(c->m->env.arg, c->stash);
		c->stash = NULL;
	}
	if (c->conn)
		c->m->stream->conn_close(c->conn, reset);
	c->conn = NULL;
	c->state = IW_CLOSED;
	if (!c->busy)
		conn_release(c);
}

void iw_free(struct fab_msg_conn *c)
{
	conn_free(c, false);
}

void iw_end(struct fab_msg_conn *c, int err)
{
	if (c->state != IW_OPEN)
		return;
	c->state = IW_CLOSED;
	c->ops->closed(c->user, err);
}

/* The FPDU that came last, as far as a Terminate may want it: its header, a Read Request's body. */
static unsigned bad_segment(const struct fab_msg_conn *c, uint8_t bad[DDP_HDR_MAX + RDMAP_BODY_MAX])
{
	unsigned n = c->have ? c->have : c->h.hdr_len;

	memcpy(bad, c->hdr, n);
	if (c->have || c->h.opcode != RDMAP_READ_REQUEST || c->done < sizeof(struct rdmap_read_req))
		return n;
	memcpy(bad + n, c->body, sizeof(struct rdmap_read_req));
	return n + sizeof(struct rdmap_read_req);
}

void iw_terminate(struct fab_msg_conn *c, uint16_t term, int err)
{
	uint8_t fpdu[RDMAP_TERM_FPDU_MAX], bad[DDP_HDR_MAX + RDMAP_BODY_MAX];
	unsigned n;

	/*
	 * In the middle of a message of ours nothing can be said; and a responder says nothing
	 * before the initiator's first good FPDU.
	 */
	if (!c->tx_skip && !c->hold_tx && !c->fin) {
		n = rdmap_term_build(fpdu, term, c->crc, bad, bad_segment(c, bad));
		if (!iw_tx_ctl(c, fpdu, n)) {
			fab_count(&c->m->env.counters->terminates_tx, 1);
			c->m->stream->tx_now(c->conn);
		}
	}
	iw_end(c, err);
}

int iw_violation(struct fab_msg_conn *c, int err)
{
	bool local = err == -DDP_E_LOCAL;

	if (c->state != IW_OPEN)
		return -EPROTO;
	fab_count(&c->m->env.counters->proto_errors, !local);
	fab_logf(&c->m->env, FAB_LOG_WARN, "protocol violation: %s", ddp_strerror(err));
	iw_terminate(c, ddp_error_term(err), local ? -ENOBUFS : -EPROTO);
	return -EPROTO;
}

/* ---------------------------------------------------------- upcalls from the stream */

static void up_connected(void *user, int err)
{
	struct fab_msg_conn *c = user;

	iw_hold(c);
	iw_start_connected(c, err);
	iw_drop(c);
}

static int up_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct fab_msg_conn *c = user;
	int n;

	iw_hold(c);
	n = iw_tx_next(c, iov, max, limit);
	if (c->freed)
		n = 0;
	iw_drop(c);
	return n;
}

static void up_tx_done(void *user, size_t n)
{
	struct fab_msg_conn *c = user;

	iw_hold(c);
	iw_tx_done(c, n);
	iw_drop(c);
}

/* A message cannot be left out once its header is framed: the connection fails. */
static int up_fault(void *user, int err)
{
	(void)user;
	return err;
}

static int up_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct fab_msg_conn *c = user;
	int entries;

	iw_hold(c);
	if (c->state == IW_OPEN) {
		entries = iw_rx_next(c, n, iov, max);
	} else {
		entries = iw_start_rx(c, n, iov);
		if (c->state == IW_OPEN && !c->freed)
			entries = iw_rx_next(c, 0, iov, max);
	}
	if (c->freed)
		entries = 0;
	iw_drop(c);
	return entries;
}

static void up_rx_none(void *user)
{
	struct fab_msg_conn *c = user;

	c->direct = false;
}

static void lost(struct fab_msg_conn *c, int err)
{
	iw_hold(c);
	if (c->state == IW_OPEN)
		iw_end(c, err);
	else if (c->state != IW_CLOSED)
		iw_start_lost(c, err);
	iw_drop(c);
}

/* The end of the stream is the end of the queue pair: there is no half-close. */
static void up_rx_eof(void *user)
{
	struct fab_msg_conn *c = user;
	bool cut = c->state != IW_OPEN || iw_rx_midway(c) || c->in_msg;

	lost(c, cut ? -ECONNRESET : 0);
}

static void up_failed(void *user, int err)
{
	lost(user, err);
}

const struct fab_stream_user iw_stream_user = {
	.connected = up_connected,
	.tx_next = up_tx_next,
	.tx_done = up_tx_done,
	.tx_fault = up_fault,
	.rx_next = up_rx_next,
	.rx_none = up_rx_none,
	.rx_fault = up_fault,
	.rx_eof = up_rx_eof,
	.failed = up_failed,
};

/* ------------------------------------------------------------------------ listeners */

static void listener_refill(struct fab_msg_listener *l)
{
	while (l->posted < ACCEPTS_POSTED && !l->m->stream->accept(l->l))
		l->posted++;
}

static void listen_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	struct fab_msg_listener *l = user;

	(void)peer;
	l->posted--;
	if (l->starting.count == STARTING_MAX) {
		fab_count(&l->m->env.counters->mpa_refused, 1);
		conn_free(l->starting.first, true);
	}
	if (iw_start_accepted(l, conn))
		l->m->stream->conn_close(conn, true);
	listener_refill(l);
}

static void listen_failed(void *user, int err)
{
	struct fab_msg_listener *l = user;

	l->ops->failed(l->user, err);
}

static const struct fab_listen_user listen_user = {
	.accepted = listen_accepted,
	.failed = listen_failed,
};

static int iwarp_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
			const struct fab_msg_listen_user *ops, void *user,
			struct fab_msg_listener **out)
{
	struct fab_listen_attr attr = { .addr = addr, .backlog = backlog };
	struct fab_msg_listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->m = m;
	l->ops = ops;
	l->user = user;
	err = m->stream->listen(m->fab, &attr, &listen_user, l, &l->l);
	if (err) {
		free(l);
		return err;
	}
	listener_refill(l);
	*out = l;
	return 0;
}

static int iwarp_listener_addr(struct fab_msg_listener *l, union fab_addr *addr)
{
	return l->m->stream->listener_addr(l->l, addr);
}

static void iwarp_unlisten(struct fab_msg_listener *l)
{
	l->m->stream->unlisten(l->l);
	while (l->starting.first)
		conn_free(l->starting.first, true);
	/* a request that was reported stays with its user */
	while (l->asking.first)
		iw_listener_drop(l->asking.first);
	free(l);
}

/* ---------------------------------------------------------------------- connections */

static int dial(struct fab_msg_conn *c, const struct fab_connect_attr *attr,
		const struct fab_hello *hello, const void *pdata, size_t len)
{
	struct iw_start *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	c->start = s;
	s->peer = *attr->peer;
	s->bound = attr->local != NULL;
	if (s->bound)
		s->local = *attr->local;
	s->timeout_ns = attr->timeout_ns;
	err = iw_start_request(c, hello, pdata, len);
	return err ? err : iw_dial(c);
}

static int iwarp_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
			 const struct fab_hello *hello, const void *pdata, size_t len,
			 const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	struct fab_msg_conn *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->m = m;
	c->ops = ops;
	c->user = user;
	err = dial(c, attr, hello, pdata, len);
	if (err) {
		conn_release(c);
		return err;
	}
	iw_start_timer(c);
	*out = c;
	return 0;
}

static int iwarp_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
			size_t len, const struct fab_msg_user *ops, void *user)
{
	int err;

	if (c->state != IW_REQUESTED)
		return -ESTALE;
	err = iw_start_accept(c, hello, pdata, len);
	if (err)
		return err;
	c->ops = ops;
	c->user = user;
	return 0;
}

static void iwarp_reject(struct fab_msg_conn *c, const void *pdata, size_t len)
{
	if (c->state != IW_REQUESTED) {
		iw_free(c);
		return;
	}
	iw_hold(c);
	if (iw_start_reject(c, pdata, len))
		iw_free(c);
	iw_drop(c);
}

static void iwarp_tx_want(struct fab_msg_conn *c)
{
	if (c->state == IW_OPEN)
		c->m->stream->tx_want(c->conn);
}

static void iwarp_tx_now(struct fab_msg_conn *c)
{
	if (c->state == IW_OPEN)
		c->m->stream->tx_now(c->conn);
}

static void iwarp_rx_want(struct fab_msg_conn *c)
{
	iw_hold(c);
	if (c->state == IW_OPEN && !iw_rx_resume(c) && c->conn)
		c->m->stream->rx_want(c->conn);
	iw_drop(c);
}

static int iwarp_shutdown(struct fab_msg_conn *c)
{
	if (c->state != IW_OPEN)
		return -ENOTCONN;
	if (c->shut)
		return 0;
	c->shut = true;
	return iw_tx_shutdown(c);
}

static void iwarp_conn_close(struct fab_msg_conn *c, bool reset)
{
	conn_free(c, reset);
}

static int iwarp_conn_addr(struct fab_msg_conn *c, union fab_addr *local, union fab_addr *peer)
{
	if (!c->conn)
		return -ENOTCONN;
	return c->m->stream->conn_addr(c->conn, local, peer);
}

const struct fab_msg_ops iwarp_ops = {
	.name = "iwarp",
	.open = iwarp_open,
	.close = iwarp_close,
	.listen = iwarp_listen,
	.listener_addr = iwarp_listener_addr,
	.unlisten = iwarp_unlisten,
	.connect = iwarp_connect,
	.accept = iwarp_accept,
	.reject = iwarp_reject,
	.tx_want = iwarp_tx_want,
	.tx_now = iwarp_tx_now,
	.rx_want = iwarp_rx_want,
	.shutdown = iwarp_shutdown,
	.conn_close = iwarp_conn_close,
	.conn_addr = iwarp_conn_addr,
};
