/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pull.c - RDMA Reads, both ways.
 *
 * Ours: a pull (a read of the application, or a message that the peer has announced) is asked for in
 * pieces, no more at a time than the peer serves (ORD). Each has a sink STag of its own, a number that
 * is used once; what comes back must be what was asked for, each answer in order. Which of them comes
 * first does not matter: one that a device brings may overtake one that comes in messages. A pull that
 * has ended leaves its requests behind, and what still comes for them is dropped.
 *
 * A device is told with the request where the answer goes. It may put it there until the read has been
 * answered, or read_over() says that it will not be.
 *
 * The peer's: each is looked up anew whenever a part of its answer is written, so that memory which
 * has been taken back is never read. What is refused is told by ULP_READ_NAK to an eta, and to a
 * stranger by the end of the connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

/* ------------------------------------------------------------------------------- ours */

static struct msg_op *pull_op(struct pull *p)
{
	return list_entry(p, struct msg_op, pull);
}

static struct msg_in *pull_in(struct pull *p)
{
	return list_entry(p, struct msg_in, pull);
}

static void pull_end(struct pull *p, int status)
{
	if (!p->is_op) {
		struct msg_in *in = pull_in(p);

		in->got = in->len;
		in->status = status;
		in_finish(in);
		return;
	}
	op_end(pull_op(p), status);
}

void pull_start(struct msg_link *l, struct pull *p, bool is_op, uint32_t len)
{
	*p = (struct pull){ .is_op = is_op, .len = len };
	list_init(&p->link);
	if (!len) {
		pull_end(p, 0);
		return;
	}
	list_add_tail(&l->pulls, &p->link);
	link_want(l);
}

static void source_of(const struct pull *p, struct msg_read *r)
{
	struct msg_view v;
	const struct msg_op *op;
	uint32_t left;

	if (!p->is_op) {
		const struct msg_in *in = list_entry(p, struct msg_in, pull);

		r->stag = in->stag;
		r->to = ULP_SOURCE_TO + p->next;
		return;
	}
	op = list_entry(p, struct msg_op, pull);
	msg_view(op->s, op->s[0].wr.nslots, &v);
	left = msg_rma_at(&v, p->next, &r->to, &r->stag);
	if (r->len > left)
		r->len = left;
}

static struct msg_read *read_new(struct msg_link *l, struct pull *p)
{
	struct msg_read *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->pull = p;
	r->offset = p->next;
	r->len = p->len - p->next < ULP_CHUNK ? p->len - p->next : ULP_CHUNK;
	source_of(p, r);
	p->next += r->len;
	p->asked++;
	r->sink = ++l->next_sink;
	r->sink_to = p->next < p->len && l->ulp ? ULP_SINK_MORE : 0;
	r->wire.kind = WIRE_READ;
	list_init(&r->wire.link);
	list_add_tail(&l->reads, &r->link);
	l->nreads++;
	return r;
}

struct wire_msg *pull_next(struct msg_link *l)
{
	struct pull *p;
	struct msg_read *r;

	if (list_empty(&l->pulls) || l->nreads + l->nfetches >= l->ord)
		return NULL;
	p = list_entry(l->pulls.next, struct pull, link);
	r = read_new(l, p);
	if (!r)
		return NULL;
	if (p->next == p->len)
		list_del(&p->link);
	return &r->wire;
}

static struct msg_read *read_find(const struct msg_link *l, uint32_t sink)
{
	for (struct list *n = l->reads.next; n != &l->reads; n = n->next) {
		struct msg_read *r = list_entry(n, struct msg_read, link);

		if (r->sink == sink)
			return r;
	}
	return NULL;
}

static int read_memory(const struct msg_read *r, uint32_t offset, uint32_t len, struct iovec *iov)
{
	if (r->pull->is_op)
		return op_memory(list_entry(r->pull, struct msg_op, pull), r->offset + offset, len,
				 iov);
	return in_memory(list_entry(r->pull, struct msg_in, pull), r->offset + offset, len, iov);
}

static void read_regions(const struct msg_link *l, const struct msg_read *r,
			 const struct iovec *iov, unsigned n, struct fab_region **region)
{
	const struct msg_recv *recv;

	if (r->pull->is_op) {
		op_regions(list_entry(r->pull, struct msg_op, pull), iov, n, region);
		return;
	}
	recv = list_entry(r->pull, struct msg_in, pull)->recv;
	regions_name(l->d->ual, recv->sge, recv->nsge, iov, n, region);
}

/* Where its answer goes; nowhere, if it cannot go there. */
static void read_offer(const struct msg_link *l, struct msg_read *r, struct wire_send *out)
{
	int n;

	if (!r->pull || r->pull->status || !link_places(l, r->len))
		return;
	n = read_memory(r, 0, r->len, out->iov);
	if (n <= 0)
		return;
	read_regions(l, r, out->iov, n, out->region);
	out->send.niov = n;
	out->send.regions = out->region;
	r->offered = true;
}

void read_describe(const struct msg_link *l, struct msg_read *r, struct wire_send *out)
{
	struct fab_send *s = &out->send;

	s->op = FAB_READ;
	s->stag = r->stag;
	s->to = r->to;
	s->read_len = r->len;
	s->sink_stag = r->sink;
	s->sink_to = r->sink_to;
	read_offer(l, r, out);
}

/* Its request is done with. */
void read_sent(struct msg_read *r)
{
	if (r->over)
		free(r);
}

static void read_free(struct msg_link *l, struct msg_read *r)
{
	list_del(&r->link);
	l->nreads--;
	if (list_linked(&r->wire.link)) {
		r->pull = NULL;
		r->over = true;
	} else {
		free(r);
	}
	if (!list_empty(&l->pulls) || (l->peer->l == l && !list_empty(&l->peer->waiting)))
		link_want(l);
}

/* An answer to what has not been sent yet is none. */
static bool is_asked(const struct msg_read *r)
{
	return !list_linked(&r->wire.link) || r->wire.begun;
}

static struct msg_read *read_due(struct msg_link *l, const struct fab_tagged *t)
{
	struct msg_read *r = read_find(l, t->stag);

	if (!r || t->to != r->sink_to + r->got || t->len > r->len - r->got)
		return NULL;
	return is_asked(r) ? r : NULL;
}

/* @t is what is left of a segment: all before it is in place. */
int pull_place(struct msg_link *l, const struct fab_tagged *t, struct iovec *iov)
{
	struct msg_read *r = read_find(l, t->stag);
	int n;

	if (!r || !is_asked(r) || t->to < r->sink_to || t->to - r->sink_to > r->len ||
	    t->len > r->len - (t->to - r->sink_to))
		return -EPROTO;
	if (!r->pull || r->pull->status)
		return 0;
	n = read_memory(r, t->to - r->sink_to, t->len, iov);
	if (n < 0) {
		r->pull->status = wr_reject(l->d->ual, n);
		return 0;
	}
	return n;
}

int pull_landed(struct msg_link *l, const struct fab_tagged *t)
{
	struct msg_read *r = read_due(l, t);
	struct pull *p;

	if (!r)
		return -EPROTO;
	r->got += t->len;
	if (!t->last)
		return 0;
	if (r->got != r->len)
		return -EPROTO;
	p = r->pull;
	if (p) {
		p->done += r->len;
		p->asked--;
	}
	read_free(l, r);
	if (p && !p->asked && (p->done == p->len || p->status))
		pull_end(p, p->status);
	return 0;
}

/*
 * No device reaches its sink any more. That may be the end of the link, if one was just about to; so
 * nothing is half done when this is called.
 */
static void sink_over(struct msg_link *l, struct msg_read *r)
{
	const struct fab_msg_ops *fabric = l->d->ual->fabric.msg;

	r->offered = false;
	if (l->state == LINK_OPEN && fabric->read_over)
		fabric->read_over(l->conn, r->sink);
}

int pull_refused(struct msg_link *l, uint32_t sink, int status)
{
	struct msg_read *r = read_find(l, sink);
	struct pull *p;

	if (!r || r->got || !is_asked(r))
		return -EPROTO;
	if (r->offered) {
		sink_over(l, r);
		if (l->state != LINK_OPEN)
			return 0;
	}
	p = r->pull;
	read_free(l, r);
	if (!p)
		return 0;
	p->asked--;
	if (!p->status)
		p->status = status;
	list_del(&p->link); /* no more is asked for */
	if (!p->asked)
		pull_end(p, p->status);
	return 0;
}

static struct msg_read *read_left_offered(const struct msg_link *l)
{
	for (struct list *n = l->reads.next; n != &l->reads; n = n->next) {
		struct msg_read *r = list_entry(n, struct msg_read, link);

		if (!r->pull && r->offered && is_asked(r))
			return r;
	}
	return NULL;
}

void pull_forget(struct msg_link *l, struct pull *p)
{
	struct msg_read *r;

	list_del(&p->link);
	for (struct list *n = l->reads.next; n != &l->reads; n = n->next) {
		r = list_entry(n, struct msg_read, link);
		if (r->pull == p)
			r->pull = NULL;
	}
	/* each may be the end of the link, and of those that follow */
	while ((r = read_left_offered(l)))
		sink_over(l, r);
}

/* The link is dead. Messages that were pulled are ended by rx_abandon(). */
void pulls_fail(struct msg_link *l, int error)
{
	struct list *node;

	while (!list_empty(&l->reads)) {
		struct msg_read *r = list_entry(l->reads.next, struct msg_read, link);
		struct pull *p = r->pull;

		list_del(&r->link);
		list_del(&r->wire.link);
		free(r);
		if (!p)
			continue;
		p->asked--;
		if (!p->asked && p->is_op && !list_linked(&p->link))
			op_end(pull_op(p), error);
	}
	l->nreads = 0;
	while ((node = list_pop(&l->pulls))) {
		struct pull *p = list_entry(node, struct pull, link);

		if (p->is_op)
			op_end(pull_op(p), error);
	}
}

/* -------------------------------------------------------------------------- the peer's */

static struct msg_op *announced_op(const struct msg_link *l, const struct fab_read_req *req)
{
	return l->ulp && req->to >= ULP_SOURCE_TO ? link_announced(l, req->stag) : NULL;
}

int resp_memory(const struct msg_link *l, struct msg_resp *r, struct iovec *iov)
{
	const struct fab_read_req *req = &r->req;

	if (r->gone)
		return -ECANCELED;
	if (r->op) {
		uint64_t offset = req->to - ULP_SOURCE_TO;

		if (offset > r->op->length || req->len > r->op->length - offset)
			return -ERANGE;
		return op_memory(r->op, offset, req->len, iov);
	}
	if (!l->d->m->pd)
		return -ENOKEY;
	return pd_check(l->d->m->pd, l->d->m->auth, req->stag, req->to, req->len,
			PPE_ACCESS_REMOTE_READ, iov, &r->region);
}

int resp_ask(struct msg_link *l, const struct fab_read_req *req)
{
	struct iovec iov[MSG_IOV_MAX];
	struct msg_resp *r;
	int n;

	if (!l->proven)
		return -EACCES;
	if (l->nresps + l->nresults >= l->ird)
		return -EBUSY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->req = *req;
	r->op = announced_op(l, req);
	r->wire.kind = WIRE_RESP;
	list_init(&r->wire.link);
	list_init(&r->link);
	n = resp_memory(l, r, iov);
	if (n < 0) {
		free(r);
		if (!msg_may_refuse(l))
			return n;
		link_say(l, ULP_READ_NAK, msg_code(n), req->sink_stag);
		return 1;
	}
	l->nresps++;
	list_add_tail(&l->resps, &r->link);
	link_want(l);
	return 0;
}

struct wire_msg *resp_next(struct msg_link *l)
{
	struct list *node = list_pop(&l->resps);

	return node ? &list_entry(node, struct msg_resp, link)->wire : NULL;
}

/* The peer may have its answer before we hear that it was sent, and ask for more. */
void resp_begun(struct msg_link *l, struct msg_resp *r)
{
	l->nresps--;
	if (r->op && !r->gone)
		r->op->served++;
}

/* What the peer has read in full and said so is over when nothing reads from it. */
static void served(struct msg_op *op)
{
	op->served--;
	if (op->over && !op->served && !op->in_wire)
		op_end(op, op->status);
}

void resp_sent(struct msg_link *l, struct msg_resp *r, int error)
{
	struct ppe_dti *d = l->d;

	if (!r->wire.begun)
		l->nresps--;
	else if (r->op && !r->gone && l->state == LINK_OPEN)
		served(r->op);
	if (!error && !r->op && !(r->req.sink_to & ULP_SINK_MORE)) {
		mr_counted(d->ual, r->region, PPE_ACCESS_REMOTE_READ);
		msg_count(d, NULL, PPE_COUNT_REMOTE_READ, true);
	}
	free(r);
}

void resps_drop(struct msg_link *l)
{
	struct list *node;

	while ((node = list_pop(&l->resps)))
		free(list_entry(node, struct msg_resp, link));
	l->nresps = 0;
}

void resps_forget(struct msg_link *l, const struct msg_op *op)
{
	for (struct list *n = l->resps.next; n != &l->resps; n = n->next) {
		struct msg_resp *r = list_entry(n, struct msg_resp, link);

		if (r->op == op)
			r->gone = true;
	}
	for (struct list *n = l->out.next; n != &l->out; n = n->next) {
		struct wire_msg *w = list_entry(n, struct wire_msg, link);

		/* it ends when the wire is done with those that have begun */
		if (w->kind == WIRE_RESP && !w->begun &&
		    list_entry(w, struct msg_resp, wire)->op == op)
			list_entry(w, struct msg_resp, wire)->gone = true;
	}
}
