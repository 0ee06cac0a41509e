/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_op.c - operations on their way out.
 *
 * Out of the send queue into an object, to its peer, and from there, when its turn has come and the
 * peer's credit allows, into the `out` of the peer's link, as one wire message or several. Then it
 * waits for what tells that it is over: that its bytes are in the kernel, an acknowledgement, an
 * answer, the reads of what it announced.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

/* ------------------------------------------------------------------------- objects */

static struct msg_op *op_take(struct ppe_ual *ual, unsigned slots)
{
	bool small = slots <= MSG_SLOTS_SMALL;
	struct list *node = list_pop(small ? &ual->free_ops : &ual->free_big_ops);
	struct msg_op *op = node ? list_entry(node, struct msg_op, link)
				 : malloc(sizeof(*op) + (small ? MSG_SLOTS_SMALL : MSG_SLOTS_MAX) *
								sizeof(union ppe_slot));

	if (!op)
		return NULL;
	memset(op, 0, offsetof(struct msg_op, hdr_small));
	op->small = small;
	list_init(&op->link);
	list_init(&op->wire.link);
	list_init(&op->immediate.link);
	list_init(&op->pull.link);
	return op;
}

static void op_give(struct ppe_ual *ual, struct msg_op *op)
{
	free(op->hdr);
	list_add_tail(op->small ? &ual->free_ops : &ual->free_big_ops, &op->link);
}

void ops_free(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->free_ops)) || (node = list_pop(&ual->free_big_ops)))
		free(list_entry(node, struct msg_op, link));
}

static void view_of(const struct msg_op *op, struct msg_view *v)
{
	/* it was valid when the op was made, and nobody writes to the copy */
	msg_view(op->s, op->s[0].wr.nslots, v);
}

/* --------------------------------------------------------------------------- its end */

enum ppe_event_type msg_event_type(enum ppe_op op)
{
	static const uint8_t types[] = {
		[PPE_OP_SEND] = PPE_EV_SEND,   [PPE_OP_WRITE] = PPE_EV_WRITE,
		[PPE_OP_READ] = PPE_EV_READ,   [PPE_OP_ATOMIC] = PPE_EV_ATOMIC,
		[PPE_OP_FETCH] = PPE_EV_FETCH, [PPE_OP_COMPARE] = PPE_EV_FETCH,
	};

	return op < sizeof(types) && types[op] ? types[op] : PPE_EV_SEND;
}

unsigned msg_counted_as(enum ppe_op op)
{
	switch (op) {
	case PPE_OP_WRITE:
	case PPE_OP_ATOMIC:
		return PPE_COUNT_WRITE;
	case PPE_OP_READ:
	case PPE_OP_FETCH:
	case PPE_OP_COMPARE:
		return PPE_COUNT_READ;
	default:
		return PPE_COUNT_SEND;
	}
}

static void op_event(const struct msg_op *op)
{
	struct ppe_dti *d = op->d;
	struct ppe_event ev = {
		.type = msg_event_type(op->op),
		.user_tag = op->s[0].wr.user_tag,
		.cookie = d->cookie,
		.dti = d->handle,
		.len = op->status ? 0 : op->length,
		.status = op->status,
		.flags = op->flags & PPE_POST_TAGGED ? PPE_EVF_TAGGED : 0,
	};

	evq_post(d->tx_evq, &ev);
}

static void op_over(struct msg_op *op)
{
	struct ppe_dti *d = op->d;

	d->m->nops--;
	op_give(d->ual, op);
	message_op_ended(d);
}

static bool wants_event(const struct msg_op *op)
{
	const struct ppe_dti *d = op->d;

	if (d->m->no_tx_events || (d->pending & PEND_DISCARD))
		return false;
	return op->status ? !(op->flags & PPE_POST_INJECT) : !(op->wr_flags & PPE_WR_SILENT);
}

/* Without a slot for its event it waits for one, and so do those that end after it. */
static void op_tell(struct msg_op *op)
{
	struct ppe_dti *d = op->d;

	if (!wants_event(op)) {
		count(d->ual, silent, !op->status);
		op_over(op);
		return;
	}
	if (!list_empty(&d->m->ended) || !evq_reserve(d->tx_evq)) {
		list_add_tail(&d->m->ended, &op->link);
		evq_stall(d->tx_evq, d);
		return;
	}
	op_event(op);
	op_over(op);
}

bool ops_tell(struct ppe_dti *d)
{
	while (!list_empty(&d->m->ended)) {
		struct msg_op *op = list_entry(d->m->ended.next, struct msg_op, link);

		if (wants_event(op)) {
			if (!evq_reserve(d->tx_evq)) {
				evq_stall(d->tx_evq, d);
				return false;
			}
			op_event(op);
		}
		list_del(&op->link);
		op_over(op);
	}
	return true;
}

void op_end(struct msg_op *op, int status)
{
	struct ppe_dti *d = op->d;
	struct msg_peer *peer = op->peer;
	bool begun = op->l;

	if (op->l && op->op == PPE_OP_READ)
		pull_forget(op->l, &op->pull);
	list_del(&op->link);
	list_del(&op->wire.link);
	list_del(&op->immediate.link);
	op->status = status;
	if (!status) {
		count(d->ual, sends, 1);
		count(d->ual, send_bytes, op->length);
	} else if (op->flags & PPE_POST_INJECT) {
		ual_logf(d->ual, FAB_LOG_WARN, "an injected message was lost: error %d", -status);
	}
	if (op->complete || !msg_uncounted(op->flags, op->wr_flags & PPE_WR_SILENT))
		msg_count(d, op->complete, msg_counted_as(op->op), !status);
	op_tell(op);
	if (!begun || !peer)
		return;
	peer->begun--;
	/* a fence may have waited for it, or an announcement for its place */
	if (!list_empty(&peer->waiting) && peer->l)
		link_want(peer->l);
}

/* ---------------------------------------------------------------------------- memory */

static int sge_memory(struct ppe_ual *ual, const struct ppe_sge *sge, unsigned nsge,
		      unsigned access, struct iovec *iov, unsigned n)
{
	for (unsigned i = 0; i < nsge; i++) {
		int err = sge[i].zero ? -EBADMSG
				      : mr_check(&ual->mrs, sge[i].region, sge[i].ptag, sge[i].addr,
						 sge[i].len, access, &iov[n].iov_base);

		if (err)
			return err;
		iov[n].iov_len = sge[i].len;
		n += sge[i].len != 0;
	}
	return n;
}

int op_memory(const struct msg_op *op, uint32_t offset, uint32_t len, struct iovec *iov)
{
	struct msg_view v;
	unsigned access = op->op == PPE_OP_READ ? PPE_ACCESS_LOCAL_WRITE : PPE_ACCESS_LOCAL_READ;
	int n = 0;

	view_of(op, &v);
	if (v.inline_data && !v.nsge && v.wr->length) {
		iov[0] = (struct iovec){ (void *)(uintptr_t)v.inline_data, v.wr->length };
		n = 1;
	}
	n = sge_memory(op->d->ual, v.sge, v.nsge, access, iov, n);
	/* what to compare with lies behind the operand */
	if (n >= 0 && v.ncmp)
		n = sge_memory(op->d->ual, v.sge + v.nsge, v.ncmp, access, iov, n);
	if (n < 0)
		return n;
	if (offset)
		n = iov_skip(iov, n, offset);
	return iov_trim(iov, n, len);
}

int op_result_memory(const struct msg_op *op, struct iovec *iov)
{
	struct msg_view v;

	view_of(op, &v);
	return sge_memory(op->d->ual, v.sge + v.nsge + v.ncmp, v.nres, PPE_ACCESS_LOCAL_WRITE, iov,
			  0);
}

/* ------------------------------------------------------------------ out of the queue */

static uint64_t sge_bytes(const struct ppe_sge *sge, unsigned n)
{
	uint64_t total = 0;

	while (n--)
		total += sge++->len;
	return total;
}

static uint64_t rma_bytes(const struct msg_view *v)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < v->nrma; i++)
		total += v->rma[i].len;
	return total;
}

static int atomic_check(const struct msg_view *v)
{
	struct ppe_wr_atomic a;
	enum atomic_kind kind = v->m->op - PPE_OP_ATOMIC + ATOMIC_PLAIN;
	uint64_t len = rma_bytes(v), operand = v->wr->length;
	size_t size;

	memcpy(&a, &v->m->tag, sizeof(a));
	if (!atomic_valid(kind, a.op, a.type))
		return -EOPNOTSUPP;
	size = atomic_size(a.type);
	for (unsigned i = 0; i < v->nrma; i++)
		if (v->rma[i].len % size)
			return -EBADMSG;
	if (!len || (a.op == PPE_ATOMIC_READ ? operand != 0 : operand != len))
		return -EBADMSG;
	if (len > ULP_ATOMIC_MAX)
		return -EMSGSIZE;
	if (kind == ATOMIC_COMPARE && sge_bytes(v->sge + v->nsge, v->ncmp) != len)
		return -EBADMSG;
	if (kind != ATOMIC_PLAIN && sge_bytes(v->sge + v->nsge + v->ncmp, v->nres) != len)
		return -EBADMSG;
	return 0;
}

/* All that can be known to be wrong before its peer is asked. */
static int op_check(struct msg_op *op)
{
	struct iovec iov[MSG_IOV_MAX];
	struct msg_view v;
	int n;

	if (op->s[0].wr.op != PPE_WR_SEND && op->s[0].wr.op != PPE_WR_MESSAGE)
		return -EBADMSG;
	n = msg_view(op->s, op->s[0].wr.nslots, &v);
	if (n)
		return n;
	if (v.nsge + v.ncmp > MSG_IOV_MAX || (v.m && v.m->op > PPE_OP_COMPARE) ||
	    (v.m && v.m->op == PPE_OP_RECV))
		return -EBADMSG;
	if (!v.inline_data && sge_bytes(v.sge, v.nsge) != v.wr->length)
		return -EBADMSG;
	op->op = v.m ? v.m->op : PPE_OP_SEND;
	op->flags = v.m ? v.m->flags : 0;
	op->length = v.wr->length;
	n = op_memory(op, 0, UINT32_MAX, iov);
	if (n < 0)
		return n;
	if (op->op >= PPE_OP_ATOMIC) {
		n = op_result_memory(op, iov);
		return n < 0 ? n : atomic_check(&v);
	}
	return op->op != PPE_OP_SEND && rma_bytes(&v) != op->length ? -EBADMSG : 0;
}

static void op_route(struct msg_op *op)
{
	struct ppe_dti *d = op->d;
	struct msg_view v;

	/* what let it go may be the very end of its DTI */
	if (d->m->closing || d->state == DTI_DEAD) {
		op_end(op, d->error ? d->error : -ECANCELED);
		return;
	}
	view_of(op, &v);
	op->peer = msg_is_rdm(d) ? peer_by_number(d, v.m ? v.m->peer : 0) : d->m->peer;
	if (!op->peer) {
		op_end(op, -EADDRNOTAVAIL);
		return;
	}
	list_add_tail(&op->peer->waiting, &op->link);
	peer_want(op->peer);
}

static void triggered(struct trigger *t)
{
	struct msg_op *op = list_entry(t, struct msg_op, trigger);

	list_del(&op->link);
	op_route(op);
}

static void trigger_cancelled(struct trigger *t)
{
	op_end(list_entry(t, struct msg_op, trigger), -ECANCELED);
}

static void op_begin(struct msg_op *op)
{
	struct msg_view v;
	struct ppe_cntr *c;
	int err = op_check(op);

	/* it fails in its turn, behind those that were posted before */
	if (err)
		op->status = wr_reject(op->d->ual, err);
	if (err == -EBADMSG) {
		op_end(op, err);
		return;
	}
	if (!(op->flags & PPE_POST_TRIGGER)) {
		op_route(op);
		return;
	}
	view_of(op, &v);
	c = cntr_of(op->d->ual, v.trigger->cntr);
	op->complete = v.trigger->complete ? cntr_of(op->d->ual, v.trigger->complete) : NULL;
	if (!c || (v.trigger->complete && !op->complete)) {
		op_end(op, wr_reject(op->d->ual, -EBADMSG));
		return;
	}
	op->trigger = (struct trigger){
		.threshold = v.trigger->threshold,
		.errors = op->flags & PPE_POST_DEFERRED,
		.fire = triggered,
		.cancel = trigger_cancelled,
	};
	list_init(&op->trigger.link);
	list_add_tail(&op->d->m->triggered, &op->link);
	cntr_trigger(c, &op->trigger);
}

/* False: no more now. */
static bool take_one(struct ppe_dti *d)
{
	struct msg_dti *m = d->m;
	union ppe_slot s[MSG_SLOTS_MAX];
	unsigned slots = queue_peek_slots(dti_sq(d), 0, s, MSG_SLOTS_MAX);
	struct msg_op *op;

	if (!slots)
		return false;
	if (s[0].wr.op == PPE_WR_NONE && s[0].wr.flags != PPE_WR_MALFORMED) {
		queue_release(dti_sq(d), slots);
		return true;
	}
	if (m->nops >= m->tx_max) {
		m->sq_waits = true;
		return false;
	}
	op = op_take(d->ual, slots);
	if (!op) {
		m->sq_waits = true;
		return false;
	}
	memcpy(op->s, s, slots * sizeof(*s));
	op->s[0].wr.nslots = slots;
	op->d = d;
	op->wr_flags = s[0].wr.flags;
	m->nops++;
	queue_release(dti_sq(d), slots);
	op_begin(op);
	return true;
}

void msg_take_sends(struct ppe_dti *d)
{
	d->m->sq_waits = false;
	while (take_one(d))
		;
}

/* ----------------------------------------------------------------- wire messages */

static struct wire_msg *wire_of(struct msg_op *op, struct wire_msg *w, enum wire_kind kind,
				uint32_t len)
{
	w->kind = kind;
	w->begun = false;
	w->hdr = op->hdr ? op->hdr : op->hdr_small;
	w->hdr_len = 0;
	w->offset = op->offset;
	w->len = len;
	op->offset += len;
	op->in_wire++;
	return w;
}

/* Header with what goes along; returns its end. */
static uint8_t *put_header(struct msg_op *op, enum ulp_op kind, const struct msg_view *v)
{
	struct ulp_hdr *h = (struct ulp_hdr *)(void *)op->hdr_small;
	uint8_t *p = (uint8_t *)(h + 1);

	*h = (struct ulp_hdr){ .op = kind, .len = be32_make(op->length) };
	if (op->flags & PPE_POST_TAGGED) {
		be64 tag = be64_make(v->m->tag);

		h->flags |= ULP_F_TAG;
		memcpy(p, &tag, sizeof(tag));
		p += sizeof(tag);
	}
	if (op->flags & PPE_POST_DATA) {
		be64 data = be64_make(v->m->data);

		h->flags |= ULP_F_DATA;
		memcpy(p, &data, sizeof(data));
		p += sizeof(data);
	}
	return p;
}

static void count_message(struct msg_link *l, struct msg_op *op)
{
	uint32_t seq = ++l->tx_seq;

	if (!op->counted)
		op->seq_first = seq;
	op->counted = true;
	op->seq_last = seq;
}

static struct wire_msg *next_announce(struct msg_link *l, struct msg_op *op,
				      const struct msg_view *v)
{
	struct ulp_source src;
	struct wire_msg *w;
	uint8_t *p;

	if (l->nannounced >= l->announces)
		return NULL;
	l->nannounced++;
	op->announced = true;
	op->id = l->next_id++;
	p = put_header(op, ULP_ANNOUNCE, v);
	src = (struct ulp_source){ .stag = be32_make(op->id) };
	memcpy(p, &src, sizeof(src));
	w = wire_of(op, &op->wire, WIRE_ANNOUNCE, 0);
	w->hdr_len = p + sizeof(src) - op->hdr_small;
	return w;
}

static struct wire_msg *next_send(struct msg_link *l, struct msg_op *op, const struct msg_view *v)
{
	struct wire_msg *w;
	uint8_t *end;

	if (!l->ulp)
		return wire_of(op, &op->wire, WIRE_SEND, op->length);
	if (op->length > MSG_EAGER_MAX || l->credit < ULP_COST(op->length) + ULP_RESERVE)
		return next_announce(l, op, v);
	l->credit -= ULP_COST(op->length);
	end = put_header(op, ULP_EAGER, v);
	if (op->flags & PPE_POST_DELIVERY) {
		((struct ulp_hdr *)(void *)op->hdr_small)->flags |= ULP_F_ACK;
		count_message(l, op);
	}
	w = wire_of(op, &op->wire, WIRE_EAGER, op->length);
	w->hdr_len = end - op->hdr_small;
	return w;
}

uint32_t msg_rma_at(const struct msg_view *v, uint32_t offset, uint64_t *addr, uint32_t *key)
{
	unsigned i = 0;

	while (i + 1 < v->nrma && offset >= v->rma[i].len)
		offset -= v->rma[i++].len;
	*addr = v->rma[i].addr + offset;
	*key = v->rma[i].key;
	return v->rma[i].len - offset;
}

/*
 * A piece of exactly ULP_CHUNK says that another follows, at the same place. So pieces that end an
 * entry of the peer's list, but not the write, are no shorter only if the list has but one entry;
 * each entry is a write of its own for the peer, which counts them.
 */
static struct wire_msg *next_write(struct msg_link *l, struct msg_op *op, const struct msg_view *v)
{
	uint64_t addr;
	uint32_t key, left;
	struct wire_msg *w;

	if (op->offset == op->length && op->begun && !op->more_to_come) {
		/* data for the peer, behind the write */
		if (l->credit < ULP_COST(0))
			return NULL;
		l->credit -= ULP_COST(0);
		op->sending = false;
		return wire_of(op, &op->immediate, WIRE_IMMEDIATE, 0);
	}
	left = msg_rma_at(v, op->offset, &addr, &key);
	if (left > ULP_CHUNK)
		left = ULP_CHUNK;
	if (l->ulp)
		count_message(l, op);
	w = wire_of(op, &op->wire, WIRE_WRITE, left);
	op->begun = true;
	op->more_to_come = op->offset < op->length || (l->ulp && left == ULP_CHUNK);
	op->sending = op->more_to_come || (op->flags & PPE_POST_DATA);
	return w;
}

static bool is_native(const struct msg_link *l, const struct msg_op *op, const struct msg_view *v)
{
	struct ppe_wr_atomic a;

	memcpy(&a, &v->m->tag, sizeof(a));
	if (v->nrma != 1 || v->rma[0].len != sizeof(uint64_t) ||
	    l->nfetches + l->nreads >= l->ord || (a.type != PPE_INT64 && a.type != PPE_UINT64))
		return false;
	return (op->op == PPE_OP_FETCH && a.op == PPE_ATOMIC_SUM) ||
	       (op->op == PPE_OP_COMPARE && a.op == PPE_ATOMIC_CSWAP);
}

static struct wire_msg *next_atomic(struct msg_link *l, struct msg_op *op, const struct msg_view *v)
{
	uint32_t payload = op->length + (op->op == PPE_OP_COMPARE ? rma_bytes(v) : 0);
	struct ppe_wr_atomic a;
	struct ulp_hdr *h;
	struct ulp_atomic *u;
	struct ulp_target *t;
	struct wire_msg *w;

	if (op->op != PPE_OP_ATOMIC) {
		if (l->nfetches + l->nreads >= l->ord)
			return NULL;
		op->id = l->next_id++;
		op->fetching = true;
		l->nfetches++;
		if (is_native(l, op, v))
			return wire_of(op, &op->wire, WIRE_NATIVE, 0);
	}
	op->hdr = malloc(ULP_HDR_MAX);
	if (!op->hdr)
		return NULL;
	memcpy(&a, &v->m->tag, sizeof(a));
	h = (struct ulp_hdr *)(void *)op->hdr;
	*h = (struct ulp_hdr){ .op = ULP_ATOMIC, .len = be32_make(op->id) };
	u = (struct ulp_atomic *)(void *)(h + 1);
	*u = (struct ulp_atomic){
		.op = a.op, .type = a.type, .targets = v->nrma, .len = be32_make(rma_bytes(v))
	};
	t = (struct ulp_target *)(void *)(u + 1);
	for (unsigned i = 0; i < v->nrma; i++)
		t[i] = (struct ulp_target){ be64_make(v->rma[i].addr), be32_make(v->rma[i].len),
					    be32_make(v->rma[i].key) };
	if (op->op == PPE_OP_ATOMIC) {
		h->flags = ULP_F_ACK;
		count_message(l, op);
	} else {
		h->flags = ULP_F_FETCH | (op->op == PPE_OP_COMPARE ? ULP_F_COMPARE : 0);
	}
	w = wire_of(op, &op->wire, WIRE_ATOMIC, payload);
	w->hdr_len = (uint8_t *)(t + v->nrma) - op->hdr;
	return w;
}

int op_native(const struct msg_op *op, struct fab_send *s, struct fab_atomic *a)
{
	struct iovec iov[MSG_IOV_MAX];
	uint64_t value[2] = { 0, 0 };
	uint8_t *p = (uint8_t *)value;
	struct msg_view v;
	int n = op_memory(op, 0, sizeof(value), iov);

	if (n < 0)
		return n;
	view_of(op, &v);
	for (int i = 0; i < n; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	*a = (struct fab_atomic){
		.op = op->op == PPE_OP_FETCH ? FAB_FETCH_ADD : FAB_CMP_SWAP,
		.data = value[0],
		.data_mask = op->op == PPE_OP_FETCH ? 0 : UINT64_MAX,
		.cmp = value[1],
		.cmp_mask = op->op == PPE_OP_FETCH ? 0 : UINT64_MAX,
	};
	s->op = FAB_ATOMIC;
	s->stag = v.rma[0].key;
	s->to = v.rma[0].addr;
	s->id = op->id;
	s->atomic = a;
	return 0;
}

static int may_not(const struct msg_link *l, const struct msg_op *op)
{
	if (l->ulp)
		return 0;
	if (op->op >= PPE_OP_ATOMIC || (op->flags & (PPE_POST_TAGGED | PPE_POST_DATA)))
		return -EOPNOTSUPP;
	return 0;
}

static struct wire_msg *op_produce(struct msg_link *l, struct msg_op *op)
{
	struct msg_view v;

	view_of(op, &v);
	switch (op->op) {
	case PPE_OP_SEND:
		return next_send(l, op, &v);
	case PPE_OP_WRITE:
		return next_write(l, op, &v);
	default:
		return next_atomic(l, op, &v);
	}
}

/* It leaves those that wait, and counts as begun. */
static void op_commit(struct msg_link *l, struct msg_op *op)
{
	if (!op->l) {
		op->l = l;
		op->peer->begun++;
	}
	if (!op->sending)
		list_del(&op->link);
}

struct wire_msg *op_next(struct msg_link *l, struct msg_peer *peer)
{
	while (!list_empty(&peer->waiting)) {
		struct msg_op *op = list_entry(peer->waiting.next, struct msg_op, link);
		struct wire_msg *w;
		int err = op->status && !op->l ? op->status : may_not(l, op);

		if (err) {
			if (!list_empty(&l->out))
				return NULL;
			op_end(op, err);
			continue;
		}
		/* its latest piece is still in `out`; only data may follow that at once */
		if (op->wire_busy && op->more_to_come)
			return NULL;
		if (!op->l && (op->flags & PPE_POST_FENCE) && peer->begun)
			return NULL;
		if (op->op == PPE_OP_READ) {
			op_commit(l, op);
			pull_start(l, &op->pull, true, op->length);
			w = pull_next(l);
			if (w)
				return w;
			continue;
		}
		w = op_produce(l, op);
		if (!w)
			return NULL;
		if (w == &op->wire)
			op->wire_busy = true;
		op_commit(l, op);
		return w;
	}
	return NULL;
}

/* What tells that it is over; unless that came while the wire was still busy with it. */
static void op_await(struct msg_link *l, struct msg_op *op)
{
	if (op->over && !op->served)
		op_end(op, op->status);
	else if (op->announced || op->over)
		list_add_tail(&l->announced, &op->link);
	else if (op->held)
		list_add_tail(&l->held, &op->link);
	else if (op->fetching)
		list_add_tail(&l->fetches, &op->link);
	else if (op->counted && (int32_t)(op->seq_last - l->tx_acked) > 0)
		list_add_tail(&l->await, &op->link);
	else
		op_end(op, op->status);
}

void op_wire_sent(struct msg_link *l, struct msg_op *op, struct wire_msg *w)
{
	op->in_wire--;
	if (w == &op->wire)
		op->wire_busy = false;
	if (op->sending || op->in_wire)
		return;
	op_await(l, op);
}
