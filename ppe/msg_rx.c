/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_rx.c - what comes in over a link.
 *
 * A Send that lies as a whole in the fabric's memory is taken from there (rx_whole): the one way that
 * small messages come. Others come piece by piece (rx_place): first the header, then the payload of a
 * message straight to its receive, or into a buffer of its own until there is one; what is not a
 * message of the application is gathered and then taken like a whole one.
 *
 * From strangers there is no header, a message's length is only known at its end, and one without a
 * receive stops the reading.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

#define GATHER_MAX (ULP_HDR_MAX + 2 * ULP_ATOMIC_MAX)

/* --------------------------------------------------------------------------- headers */

/* What stands before a payload, once it is known: as far as @have bytes tell, at least so many. */
static uint32_t header_need(const uint8_t *p, uint32_t have)
{
	const struct ulp_hdr *h = (const struct ulp_hdr *)(const void *)p;

	if (have < sizeof(*h))
		return sizeof(*h);
	if (h->op != ULP_EAGER && h->op != ULP_ANNOUNCE)
		return sizeof(*h);
	return sizeof(*h) + (h->flags & ULP_F_TAG ? ULP_TAG_LEN : 0) +
	       (h->flags & ULP_F_DATA ? ULP_DATA_LEN : 0) +
	       (h->op == ULP_ANNOUNCE ? sizeof(struct ulp_source) : 0);
}

struct header {
	uint8_t op, flags, code;
	uint32_t len; /* of the message; or id */
	uint64_t tag, data;
	uint32_t stag;
};

static uint64_t take64(const uint8_t **p)
{
	be64 v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return be64_get(v);
}

static void header_parse(const uint8_t *p, struct header *out)
{
	const struct ulp_hdr *h = (const struct ulp_hdr *)(const void *)p;

	*out = (struct header){
		.op = h->op, .flags = h->flags, .code = h->code, .len = be32_get(h->len)
	};
	p += sizeof(*h);
	if (h->op != ULP_EAGER && h->op != ULP_ANNOUNCE)
		return;
	if (h->flags & ULP_F_TAG)
		out->tag = take64(&p);
	if (h->flags & ULP_F_DATA)
		out->data = take64(&p);
	if (h->op == ULP_ANNOUNCE)
		out->stag = be32_get(((const struct ulp_source *)(const void *)p)->stag);
}

/* --------------------------------------------------------------- messages: their objects */

static struct msg_in *in_new(struct msg_link *l, const struct header *h, uint32_t room)
{
	struct msg_in *in = malloc(sizeof(*in) + room);

	if (!in)
		return NULL;
	memset(in, 0, sizeof(*in));
	list_init(&in->link);
	list_init(&in->pull.link);
	in->l = l;
	in->d = l->d;
	in->peer = l->peer;
	in->flags = h->flags;
	in->tag = h->tag;
	in->data = h->data;
	in->len = h->len;
	in->stag = h->stag;
	return in;
}

void in_free(struct msg_in *in)
{
	list_del(&in->link);
	if (in->l) {
		pull_forget(in->l, &in->pull);
		if (in->l->cur == in)
			in->l->cur = NULL;
	}
	free(in);
}

int in_memory(const struct msg_in *in, uint32_t offset, uint32_t len, struct iovec *iov)
{
	const struct msg_recv *r = in->recv;
	struct ppe_ual *ual = in->d->ual;
	unsigned n = 0;

	if (offset >= in->room)
		return 0;
	if (len > in->room - offset)
		len = in->room - offset;
	for (unsigned i = 0; i < r->nsge; i++) {
		const struct ppe_sge *s = &r->sge[i];
		int err = mr_check(&ual->mrs, s->region, s->ptag, s->addr, s->len,
				   PPE_ACCESS_LOCAL_WRITE, &iov[n].iov_base);

		if (err)
			return err;
		iov[n].iov_len = s->len;
		n += s->len != 0;
	}
	n = iov_skip(iov, n, (size_t)in->at + offset);
	return iov_trim(iov, n, len);
}

static void event_describe(const struct msg_in *in, struct ppe_event *ev)
{
	*ev = (struct ppe_event){
		.status = in->status,
		.tag = in->tag,
		.data = in->data,
		.flags = (in->flags & ULP_F_TAG ? PPE_EVF_TAGGED : 0) |
			 (in->flags & ULP_F_DATA ? PPE_EVF_DATA : 0),
	};
	if (!msg_is_rdm(in->d))
		return;
	ev->src = peer_number(in->peer);
	ev->flags |= PPE_EVF_SRC;
}

/* What was held for the peer is taken: its credit, and what it waits to hear. */
static void in_settle(struct msg_in *in)
{
	struct msg_link *l = in->l;

	if (!l || l->state != LINK_OPEN || in->stranger)
		return;
	if (in->announced) {
		l->rx_announced--;
		link_say(l, ULP_DONE, msg_code(in->status), in->stag);
	} else {
		link_owe(l, ULP_COST(in->len));
		if (in->held)
			link_say(l, ULP_ACK_ONE, ULP_OK, in->seq);
	}
}

void in_finish(struct msg_in *in)
{
	struct ppe_dti *d = in->d;
	struct msg_recv *r = in->recv;
	struct ppe_event ev;

	if (in->stranger && (r->flags & PPE_POST_MULTI))
		rxq_used(d->m->rxq, r, in->got < in->room ? in->got : in->room);
	event_describe(in, &ev);
	recv_end(d, r, &ev, in->got, in->at, in->room);
	in_settle(in);
	in_free(in);
}

void in_drop(struct msg_in *in)
{
	if (in->complete || in->announced) {
		in_settle(in);
		in_free(in);
		return;
	}
	in->dropped = true; /* the rest is still to come */
}

static size_t scatter(const struct iovec *iov, int n, const uint8_t *p, size_t len)
{
	size_t done = 0;

	for (int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, p + done, part);
		done += part;
	}
	return done;
}

/* Copies what has come of a message whose receive came later. */
static void in_copy(struct msg_in *in, const uint8_t *p, uint32_t len)
{
	struct iovec iov[MSG_RECV_SGE];
	int n = in_memory(in, 0, len, iov);

	if (n < 0) {
		in->status = wr_reject(in->d->ual, n);
		return;
	}
	scatter(iov, n, p, len);
}

void in_matched(struct msg_in *in)
{
	if (in->announced) {
		list_add_tail(&in->l->matched, &in->link);
		pull_start(in->l, &in->pull, false, in->len < in->room ? in->len : in->room);
		return;
	}
	if (!in->complete) { /* it goes on into its buffer, and is copied when all of it is there */
		list_add_tail(&in->l->matched, &in->link);
		return;
	}
	in_copy(in, in->payload, in->len);
	in_finish(in);
}

/* -------------------------------------------------------------- messages: their arrival */

/* The peer has promised to be heard out only within these bounds. */
static int admit_eager(struct msg_link *l, uint32_t len)
{
	if (len > MSG_WINDOW || l->rx_credit < ULP_COST(len))
		return -EPROTO;
	l->rx_credit -= ULP_COST(len);
	return 0;
}

/* One that cannot be delivered now, and is counted: the peer must not take it for seen through. */
static void in_hold_count(struct msg_link *l, struct msg_in *in)
{
	if (!(in->flags & ULP_F_ACK))
		return;
	in->held = true;
	in->seq = l->rx_seq + 1;
	link_say(l, ULP_HELD, ULP_OK, in->seq);
	link_counted(l);
}

static int eager_whole(struct msg_link *l, const struct header *h, const uint8_t *p)
{
	struct ppe_dti *d = l->d;
	struct msg_in local, *in;
	struct msg_recv *r;
	int err = admit_eager(l, h->len);

	if (err)
		return err;
	r = rxq_match(d->m->rxq, d, l->peer, h->flags & ULP_F_TAG, h->tag, h->len, &local.at,
		      &local.room);
	if (!r) {
		in = in_new(l, h, h->len);
		if (!in)
			return -ENOMEM;
		if (h->len)
			memcpy(in->payload, p, h->len);
		in->got = h->len;
		in->complete = true;
		in_hold_count(l, in);
		rxq_hold(d->m->rxq, in);
		return 0;
	}
	local.d = d;
	local.peer = l->peer;
	local.recv = r;
	local.flags = h->flags;
	local.tag = h->tag;
	local.data = h->data;
	local.status = 0;
	in_copy(&local, p, h->len);
	if (h->flags & ULP_F_ACK)
		link_counted(l);
	link_owe(l, ULP_COST(h->len));
	{
		struct ppe_event ev;

		event_describe(&local, &ev);
		recv_end(d, r, &ev, h->len, local.at, local.room);
	}
	return 0;
}

static int announced(struct msg_link *l, const struct header *h)
{
	struct ppe_dti *d = l->d;
	struct msg_in *in;

	if (l->rx_announced >= MSG_ANNOUNCES)
		return -EPROTO;
	in = in_new(l, h, 0);
	if (!in)
		return -ENOMEM;
	l->rx_announced++;
	in->announced = true;
	in->recv = rxq_match(d->m->rxq, d, l->peer, h->flags & ULP_F_TAG, h->tag, h->len, &in->at,
			     &in->room);
	if (in->recv)
		in_matched(in);
	else
		rxq_hold(d->m->rxq, in);
	return 0;
}

/* A message of which the first piece is here: into its receive, or a buffer of its own. */
static int eager_begin(struct msg_link *l, const struct header *h)
{
	struct ppe_dti *d = l->d;
	uint32_t at, room;
	struct msg_recv *r;
	int err = admit_eager(l, h->len);

	if (err)
		return err;
	r = rxq_match(d->m->rxq, d, l->peer, h->flags & ULP_F_TAG, h->tag, h->len, &at, &room);
	l->cur = in_new(l, h, r ? 0 : h->len);
	if (!l->cur)
		return -ENOMEM;
	l->cur->recv = r;
	if (r) {
		l->cur->at = at;
		l->cur->room = room;
		list_add_tail(&l->matched, &l->cur->link);
	} else {
		l->cur->buffered = true;
		in_hold_count(l, l->cur);
		rxq_hold(d->m->rxq, l->cur);
	}
	return 0;
}

static void eager_end(struct msg_link *l)
{
	struct msg_in *in = l->cur;

	l->cur = NULL;
	if (!in)
		return;
	in->complete = true;
	in->got = in->len;
	if (in->dropped) {
		in_settle(in);
		in_free(in);
		return;
	}
	if (!in->recv)
		return;
	if (in->buffered)
		in_copy(in, in->payload, in->len);
	if ((in->flags & ULP_F_ACK) && !in->held)
		link_counted(l);
	in_finish(in);
}

/* ------------------------------------------------------------------------- atomics */

static struct msg_op *fetch_of(struct msg_link *l, uint32_t id)
{
	for (struct list *n = l->fetches.next; n != &l->fetches; n = n->next) {
		struct msg_op *op = list_entry(n, struct msg_op, link);

		if (op->id == id)
			return op;
	}
	return NULL;
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
	size_t total = 0;

	while (n-- > 0)
		total += iov++->iov_len;
	return total;
}

static int result_came(struct msg_link *l, uint32_t id, int status, const uint8_t *p, uint32_t len)
{
	struct msg_op *op = fetch_of(l, id);
	struct iovec iov[PPE_ATOMIC_SGE];
	int n;

	if (!op)
		return -EPROTO;
	l->nfetches--;
	if (!status) {
		n = op_result_memory(op, iov);
		if (n < 0)
			status = wr_reject(l->d->ual, n);
		else if (iov_bytes(iov, n) != len)
			status = -EREMOTEIO;
		else
			scatter(iov, n, p, len);
	}
	op_end(op, status);
	if (!list_empty(&l->pulls))
		link_want(l);
	return 0;
}

/* What an atomic is about, all of it checked before any of it is carried out. */
struct atomic_job {
	struct ulp_atomic hdr;
	struct ulp_target target[ULP_TARGETS];
	uint32_t len;
	const uint8_t *operand, *compare;
	uint8_t *result;
};

static int atomic_targets(struct msg_link *l, const struct atomic_job *j, unsigned access,
			  struct iovec iov[ULP_TARGETS][PPE_MR_IOV_MAX], int n[ULP_TARGETS],
			  uint32_t region[ULP_TARGETS])
{
	struct msg_dti *m = l->d->m;
	size_t size = atomic_size(j->hdr.type);
	uint64_t total = 0;

	if (!m->pd)
		return -ENOKEY;
	for (unsigned i = 0; i < j->hdr.targets; i++) {
		uint32_t len = be32_get(j->target[i].len);

		if (!len || len % size)
			return -EINVAL;
		total += len;
		n[i] = pd_check(m->pd, m->auth, be32_get(j->target[i].key),
				be64_get(j->target[i].addr), len, access, iov[i], &region[i]);
		if (n[i] < 0)
			return n[i];
		for (int k = 0; k < n[i]; k++)
			if (iov[i][k].iov_len % size)
				return -EINVAL; /* an item in two pieces of a region */
	}
	return total == j->len ? 0 : -EINVAL;
}

static const uint8_t *at(const uint8_t *p, uint32_t offset)
{
	return p ? p + offset : NULL;
}

static int atomic_run(struct msg_link *l, const struct atomic_job *j, bool fetch)
{
	bool read = j->hdr.op == PPE_ATOMIC_READ;
	unsigned access =
		(read ? 0 : PPE_ACCESS_REMOTE_WRITE) | (fetch ? PPE_ACCESS_REMOTE_READ : 0);
	struct iovec iov[ULP_TARGETS][PPE_MR_IOV_MAX];
	uint32_t region[ULP_TARGETS], done = 0;
	size_t size = atomic_size(j->hdr.type);
	int n[ULP_TARGETS];
	int err = atomic_targets(l, j, access, iov, n, region);

	if (err)
		return err;
	for (unsigned i = 0; i < j->hdr.targets; i++) {
		for (int k = 0; k < n[i]; k++) {
			atomic_apply(j->hdr.op, j->hdr.type, iov[i][k].iov_base,
				     at(j->operand, done), at(j->compare, done),
				     j->result ? j->result + done : NULL, iov[i][k].iov_len / size);
			done += iov[i][k].iov_len;
		}
		mr_counted(l->d->ual, region[i],
			   fetch ? PPE_ACCESS_REMOTE_READ : PPE_ACCESS_REMOTE_WRITE);
	}
	msg_count(l->d, NULL, fetch ? PPE_COUNT_REMOTE_READ : PPE_COUNT_REMOTE_WRITE, true);
	return 0;
}

static int atomic_parse(const struct header *h, const uint8_t *p, uint32_t len,
			struct atomic_job *j)
{
	enum atomic_kind kind = h->flags & ULP_F_COMPARE ? ATOMIC_COMPARE
				: h->flags & ULP_F_FETCH ? ATOMIC_FETCH
							 : ATOMIC_PLAIN;
	uint32_t need, operand;

	memset(j, 0, sizeof(*j));
	if (len < sizeof(j->hdr))
		return -EPROTO;
	memcpy(&j->hdr, p, sizeof(j->hdr));
	need = sizeof(j->hdr) + j->hdr.targets * sizeof(struct ulp_target);
	if (!j->hdr.targets || j->hdr.targets > ULP_TARGETS || len < need)
		return -EPROTO;
	memcpy(j->target, p + sizeof(j->hdr), need - sizeof(j->hdr));
	j->len = be32_get(j->hdr.len);
	operand = j->hdr.op == PPE_ATOMIC_READ ? 0 : j->len;
	if (j->len > ULP_ATOMIC_MAX ||
	    len - need != operand + (kind == ATOMIC_COMPARE ? j->len : 0))
		return -EPROTO;
	j->operand = operand ? p + need : NULL;
	j->compare = kind == ATOMIC_COMPARE ? p + need + operand : NULL;
	return atomic_valid(kind, j->hdr.op, j->hdr.type) ? 0 : -EOPNOTSUPP;
}

static int atomic_came(struct msg_link *l, const struct header *h, const uint8_t *p, uint32_t len)
{
	bool fetch = h->flags & ULP_F_FETCH;
	struct msg_ctl *c = NULL;
	struct atomic_job j;
	int err = atomic_parse(h, p, len, &j);

	if (err == -EPROTO)
		return err;
	if (fetch) {
		if (l->nresps + l->nresults >= l->ird)
			return -EBUSY;
		c = link_ctl(l, sizeof(struct ulp_hdr) + j.len);
		if (!c)
			return -ENOMEM;
		j.result = c->bytes + sizeof(struct ulp_hdr);
	}
	if (!err)
		err = atomic_run(l, &j, fetch);
	if (fetch) {
		if (err)
			c->len = sizeof(struct ulp_hdr);
		c->is_result = true;
		l->nresults++;
		*(struct ulp_hdr *)(void *)c->bytes = (struct ulp_hdr){ .op = ULP_RESULT,
									.code = msg_code(err),
									.len = be32_make(h->len) };
		link_ctl_send(l, c);
		return 0;
	}
	if (err)
		link_say(l, ULP_ACK_ONE, msg_code(err), l->rx_seq + 1);
	link_counted(l);
	return 0;
}

int rx_atomic(struct msg_link *l, const struct fab_atomic_req *r)
{
	struct msg_dti *m = l->d->m;
	struct iovec iov[PPE_MR_IOV_MAX];
	struct msg_ctl *c;
	uint64_t old, value;
	uint32_t region;
	int n;

	if (!l->proven)
		return -EACCES;
	if (l->nresps + l->nresults >= l->ird)
		return -EBUSY;
	n = m->pd ? pd_check(m->pd, m->auth, r->stag, r->to, sizeof(old),
			     PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE, iov, &region)
		  : -ENOKEY;
	if (n >= 0 && (n != 1 || iov[0].iov_len != sizeof(old)))
		n = -EINVAL;
	if (n < 0) {
		if (!msg_may_refuse(l))
			return n;
		link_say(l, ULP_RESULT, msg_code(n), r->id);
		return 1;
	}
	c = link_ctl(l, 0);
	if (!c)
		return -ENOMEM;
	memcpy(&old, iov[0].iov_base, sizeof(old));
	value = old;
	if (r->atomic.op == FAB_FETCH_ADD)
		value = old + r->atomic.data;
	else if (!((old ^ r->atomic.cmp) & r->atomic.cmp_mask))
		value = (old & ~r->atomic.data_mask) | (r->atomic.data & r->atomic.data_mask);
	if (value != old)
		memcpy(iov[0].iov_base, &value, sizeof(value));
	c->wire.kind = WIRE_RESULT;
	c->is_result = true;
	l->nresults++;
	c->id = r->id;
	c->value = old;
	link_ctl_send(l, c);
	mr_counted(l->d->ual, region, PPE_ACCESS_REMOTE_READ);
	msg_count(l->d, NULL, PPE_COUNT_REMOTE_READ, true);
	return 0;
}

int rx_atomic_resp(struct msg_link *l, uint32_t id, uint64_t value)
{
	return result_came(l, id, 0, (const uint8_t *)&value, sizeof(value));
}

/* ----------------------------------------------------------------- all that may come */

static int proof_came(struct msg_link *l, const uint8_t *p, uint32_t len)
{
	if (l->proven || len != FAB_PROOF || !proof_equal(p, l->key_proof))
		return -EACCES;
	l->proven = true;
	link_want(l);
	return 0;
}

static int ack_came(struct msg_link *l, const uint8_t *p, uint32_t len)
{
	struct ulp_ack ack;

	if (len != sizeof(ack))
		return -EPROTO;
	memcpy(&ack, p, sizeof(ack));
	return link_acked(l, be32_get(ack.seen), be32_get(ack.credit));
}

/* @p: what follows the header, all of it. */
static int message_came(struct msg_link *l, const struct header *h, const uint8_t *p, uint32_t len)
{
	if (!l->proven && h->op != ULP_PROOF)
		return -EACCES;
	switch (h->op) {
	case ULP_EAGER:
		return h->len == len ? eager_whole(l, h, p) : -EPROTO;
	case ULP_ANNOUNCE:
		return len ? -EPROTO : announced(l, h);
	case ULP_DONE:
		return link_announce_done(l, h->len, msg_errno(h->code));
	case ULP_ACK:
		return ack_came(l, p, len);
	case ULP_HELD:
		return link_held(l, h->len);
	case ULP_ACK_ONE:
		return link_acked_one(l, h->len, msg_errno(h->code));
	case ULP_READ_NAK:
		return pull_refused(l, h->len, msg_errno(h->code));
	case ULP_ATOMIC:
		return atomic_came(l, h, p, len);
	case ULP_RESULT:
		return result_came(l, h->len, msg_errno(h->code), p, len);
	case ULP_PING:
		link_say(l, ULP_PONG, ULP_OK, h->len);
		return 0;
	case ULP_PONG:
		return 0;
	case ULP_PROOF:
		return proof_came(l, p, len);
	default:
		return -EPROTO;
	}
}

int rx_whole(struct msg_link *l, const uint8_t *p, uint32_t len)
{
	uint32_t need;
	struct header h;

	if (!l->ulp)
		return 1;
	need = header_need(p, len);
	if (len < need)
		return -EPROTO;
	header_parse(p, &h);
	return message_came(l, &h, p + need, len - need);
}

/* --------------------------------------------------------------------- piece by piece */

static int stranger_begin(struct msg_link *l)
{
	static const struct header none;
	struct ppe_dti *d = l->d;
	struct msg_in *in;
	uint32_t at, room;
	struct msg_recv *r = rxq_match(d->m->rxq, d, l->peer, false, 0, 0, &at, &room);

	if (!r) {
		count(d->ual, rx_stalls, 1);
		l->stalled = true;
		d->m->rxq->strangers = true;
		/* a receive is to ring; with one there already it is an event slot that lacks */
		if (!d->m->rxq->blocked)
			dti_starved(d->m->rxq->owner);
		return -EAGAIN;
	}
	in = in_new(l, &none, 0);
	if (!in)
		return -ENOMEM;
	in->stranger = true;
	in->recv = r;
	in->at = at;
	in->room = room;
	list_add_tail(&l->matched, &in->link);
	l->cur = in;
	return 0;
}

/* Into the receive, or into the buffer; errors of memory are the receive's own. */
static int place_payload(struct msg_in *in, uint32_t offset, uint32_t len, struct iovec *iov)
{
	int n;

	if (!in || in->status || in->dropped)
		return 0;
	in->got = offset;
	if (in->buffered) {
		iov[0] = (struct iovec){ in->payload + offset, len };
		return 1;
	}
	n = in_memory(in, offset, len, iov);
	if (n < 0) {
		in->status = wr_reject(in->d->ual, n);
		return 0;
	}
	return n;
}

static int place_stranger(struct msg_link *l, struct fab_place *piece, struct iovec *iov)
{
	int err;

	if (!l->cur && !piece->offset) {
		err = stranger_begin(l);
		if (err)
			return err;
	}
	return place_payload(l->cur, piece->offset, piece->len, iov);
}

/* The header is here. */
static int header_came(struct msg_link *l)
{
	struct header h;

	header_parse(l->hdr, &h);
	if (!l->proven && h.op != ULP_PROOF)
		return -EACCES;
	if (h.op == ULP_EAGER) {
		l->msg_len = l->hdr_len + h.len;
		return eager_begin(l, &h);
	}
	free(l->gather);
	l->gather = malloc(GATHER_MAX);
	return l->gather ? 0 : -ENOMEM;
}

static int place_header(struct msg_link *l, struct fab_place *piece, struct iovec *iov)
{
	uint32_t left = l->hdr_len - l->have;

	iov[0] = (struct iovec){ l->hdr + l->have, left < piece->len ? left : piece->len };
	piece->more = iov[0].iov_len < piece->len;
	return 1;
}

static bool is_eager(const struct msg_link *l)
{
	return l->hdr[0] == ULP_EAGER;
}

int rx_place(struct msg_link *l, struct fab_place *piece, struct iovec *iov)
{
	int err;

	if (!l->ulp)
		return place_stranger(l, piece, iov);
	if (!piece->offset) {
		l->have = 0;
		l->hdr_len = sizeof(struct ulp_hdr);
		l->in_payload = false;
	}
	if (!l->in_payload) {
		l->have = piece->offset;
		if (l->have == l->hdr_len)
			l->hdr_len = header_need(l->hdr, l->have);
		if (l->have < l->hdr_len)
			return place_header(l, piece, iov);
		l->in_payload = true;
		err = header_came(l);
		if (err)
			return err;
	}
	if (is_eager(l)) {
		if (piece->len > l->msg_len - piece->offset)
			return -EPROTO;
		return place_payload(l->cur, piece->offset - l->hdr_len, piece->len, iov);
	}
	if (piece->offset - l->hdr_len + piece->len > GATHER_MAX)
		return -EPROTO;
	iov[0] = (struct iovec){ l->gather + (piece->offset - l->hdr_len), piece->len };
	return 1;
}

/* A message that ends with its header, or within it. */
static int end_of_message(struct msg_link *l, uint32_t end)
{
	struct header h;
	int err;

	if (!l->in_payload) {
		if (end < sizeof(struct ulp_hdr) || end < header_need(l->hdr, end))
			return -EPROTO;
		l->hdr_len = end;
		header_parse(l->hdr, &h);
		return message_came(l, &h, NULL, 0);
	}
	if (is_eager(l)) {
		if (end != l->msg_len)
			return -EPROTO;
		eager_end(l);
		return 0;
	}
	header_parse(l->hdr, &h);
	err = message_came(l, &h, l->gather, end - l->hdr_len);
	free(l->gather);
	l->gather = NULL;
	return err;
}

int rx_done(struct msg_link *l, const struct fab_place *piece)
{
	struct msg_in *in = l->cur;
	int err;

	if (!l->ulp) {
		if (!in)
			return 0;
		in->got = piece->offset + piece->len;
		if (!piece->last)
			return 0;
		l->cur = NULL;
		in->len = in->got;
		in->complete = true;
		in_finish(in);
		return 0;
	}
	if (in)
		in->got = piece->offset + piece->len - l->hdr_len;
	if (!piece->last)
		return 0;
	err = end_of_message(l, piece->offset + piece->len);
	l->in_payload = false;
	return err;
}

/* ------------------------------------------------------------------------ tagged data */

int rx_tagged(struct msg_link *l, const struct fab_tagged *t, struct iovec *iov)
{
	struct msg_dti *m = l->d->m;
	int n;

	if (!l->proven)
		return -EACCES;
	if (t->response)
		return pull_place(l, t, iov);
	if (l->write_err)
		return 0;
	n = m->pd ? pd_check(m->pd, m->auth, t->stag, t->to, t->len, PPE_ACCESS_REMOTE_WRITE, iov,
			     &l->write_region)
		  : -ENOKEY;
	if (n >= 0)
		return n;
	if (!msg_may_refuse(l))
		return n;
	l->write_err = n;
	return 0;
}

int rx_tagged_done(struct msg_link *l, const struct fab_tagged *t)
{
	struct iovec iov[PPE_MR_IOV_MAX];
	int err;

	if (t->response)
		return pull_landed(l, t);
	if (!t->len) { /* its place was not asked for */
		err = rx_tagged(l, t, iov);
		if (err < 0)
			return err;
	}
	l->write_len = t->first ? t->len : l->write_len + t->len;
	if (!t->last)
		return 0;
	err = l->write_err;
	l->write_err = 0;
	l->write_bad = err || (l->write_goes_on && l->write_bad);
	l->write_total = l->write_len + (l->write_goes_on ? l->write_total : 0);
	l->write_goes_on = l->ulp && l->write_len == ULP_CHUNK;
	if (err && l->ulp)
		link_say(l, ULP_ACK_ONE, msg_code(err), l->rx_seq + 1);
	if (l->ulp)
		link_counted(l);
	if (l->write_bad || l->write_goes_on)
		return 0;
	mr_counted(l->d->ual, l->write_region, PPE_ACCESS_REMOTE_WRITE);
	msg_count(l->d, NULL, PPE_COUNT_REMOTE_WRITE, true);
	return 0;
}

/* @len: of the write that the data follow. */
static void tell_immediate(struct ppe_dti *d, struct msg_peer *peer, uint64_t value, uint32_t len)
{
	struct ppe_event ev = {
		.type = PPE_EV_REMOTE_WRITE,
		.cookie = d->cookie,
		.dti = d->handle,
		.data = value,
		.len = len,
		.flags = PPE_EVF_DATA | (msg_is_rdm(d) ? PPE_EVF_SRC : 0),
	};

	if (msg_is_rdm(d))
		ev.src = peer_number(peer);
	evq_post(d->rx_evq, &ev);
}

int rx_immediate(struct msg_link *l, uint64_t value)
{
	static const struct header none;
	struct ppe_dti *d = l->d;
	struct msg_in *in;

	if (!l->proven || !l->ulp)
		return -EACCES;
	if (admit_eager(l, 0))
		return -EPROTO;
	if (l->write_bad || d->m->no_rx_events) {
		link_owe(l, ULP_COST(0));
		return 0;
	}
	if (list_empty(&d->m->immediates) && evq_reserve(d->rx_evq)) {
		tell_immediate(d, l->peer, value, l->write_total);
		link_owe(l, ULP_COST(0));
		return 0;
	}
	in = in_new(l, &none, 0);
	if (!in)
		return -ENOMEM;
	in->data = value;
	in->len = l->write_total;
	in->complete = true;
	list_add_tail(&d->m->immediates, &in->link);
	evq_stall(d->rx_evq, d);
	return 0;
}

bool rx_tell_immediates(struct ppe_dti *d)
{
	while (!list_empty(&d->m->immediates)) {
		struct msg_in *in = list_entry(d->m->immediates.next, struct msg_in, link);

		if (!evq_reserve(d->rx_evq)) {
			evq_stall(d->rx_evq, d);
			return false;
		}
		tell_immediate(d, in->peer, in->data, in->len);
		if (in->l)
			link_owe(in->l, ULP_COST(0));
		in_free(in);
	}
	return true;
}

void rx_forget_immediates(struct ppe_dti *d)
{
	while (!list_empty(&d->m->immediates))
		in_free(list_entry(d->m->immediates.next, struct msg_in, link));
}

/* --------------------------------------------------------------------------- its end */

void rx_abandon(struct msg_link *l, int error)
{
	struct ppe_dti *d = l->d;

	if (l->cur && l->cur->dropped)
		in_free(l->cur); /* it is in no list */
	l->cur = NULL;
	while (!list_empty(&l->matched)) {
		struct msg_in *in = list_entry(l->matched.next, struct msg_in, link);

		in->status = error;
		in->l = NULL;
		in_finish(in);
	}
	rxq_forget(d->m->rxq, d, l);
	for (struct list *n = d->m->immediates.next; n != &d->m->immediates; n = n->next) {
		struct msg_in *in = list_entry(n, struct msg_in, link);

		if (in->l == l)
			in->l = NULL;
	}
}
