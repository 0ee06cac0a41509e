/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * link.c - one connection: what goes out next, whether it lives.
 *
 * What goes out, in this order whenever a message ends: what the engine itself has to say, answers to
 * the peer's reads, reads of ours, operations of the application. `out` holds what has been given to
 * the fabric, until the fabric says that it is done: in the kernel, or seen through by a device. The
 * first of them may be on the wire meanwhile: those are never taken out while the link lives.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

static const struct fab_msg_ops *fabric_of(const struct msg_link *l)
{
	return l->d->ual->fabric.msg;
}

/* ------------------------------------------------------------------------------- life */

struct msg_link *link_new(struct ppe_dti *d, struct msg_peer *peer, enum link_state state)
{
	struct msg_link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->d = d;
	l->peer = peer;
	l->state = state;
	l->next_id = 1;
	list_init(&l->out);
	l->edge = &l->out;
	list_init(&l->resps);
	list_init(&l->await);
	list_init(&l->held);
	list_init(&l->announced);
	list_init(&l->fetches);
	list_init(&l->pulls);
	list_init(&l->reads);
	list_init(&l->matched);
	list_init(&l->of_dti);
	list_add_tail(&d->m->links, &l->of_dti);
	return l;
}

void link_prove(struct msg_link *l, const struct fab_msg_peer *who, struct fab_hello *h)
{
	size_t len;
	const uint8_t *key = auth_bytes(l->d->ual, l->d->m->auth, &len);

	if (!l->d->m->auth || !who || !who->hello.has_nonce)
		return;
	h->has_proof = true;
	proof_make(key, len, "responder", who->hello.nonce, h->nonce, h->proof);
	proof_make(key, len, "initiator", h->nonce, who->hello.nonce, l->key_proof);
}

/* Who asked for the connection proves its key in its first message; the other side in its hello. */
static int check_proof(struct msg_link *l, const struct fab_msg_peer *who)
{
	struct ppe_dti *d = l->d;
	uint8_t proof[FAB_PROOF];
	const uint8_t *key;
	struct msg_ctl *c;
	size_t len;

	if (l->state == LINK_ACCEPTING) {
		l->proven = !d->m->auth;
		return !d->m->auth == !who->hello.has_nonce ? 0 : -EACCES;
	}
	l->proven = true;
	if (!d->m->auth)
		return who->hello.has_nonce ? -EACCES : 0;
	key = auth_bytes(d->ual, d->m->auth, &len);
	proof_make(key, len, "responder", l->nonce, who->hello.nonce, proof);
	if (!who->hello.has_proof || !proof_equal(proof, who->hello.proof))
		return -EACCES;
	c = link_ctl(l, sizeof(struct ulp_hdr) + FAB_PROOF);
	if (!c)
		return -ENOMEM;
	*(struct ulp_hdr *)(void *)c->bytes = (struct ulp_hdr){ .op = ULP_PROOF };
	proof_make(key, len, "initiator", who->hello.nonce, l->nonce,
		   c->bytes + sizeof(struct ulp_hdr));
	link_ctl_send(l, c);
	return 0;
}

int link_open(struct msg_link *l, const struct fab_msg_peer *who)
{
	int err;

	l->ulp = who && who->eta && (who->features & FAB_FEATURE_ULP);
	l->ord = who && who->ord ? who->ord : 1;
	l->ird = who ? who->ird : 1;
	l->last_rx = timer_now_ns();
	if (l->ulp) {
		l->credit = who->hello.window;
		l->announces = who->hello.announces;
		l->rx_credit = MSG_WINDOW;
		err = check_proof(l, who);
		if (err)
			return err;
	} else if (l->d->m->auth) {
		return -EACCES; /* a stranger has no key */
	} else {
		l->proven = true;
	}
	l->state = LINK_OPEN;
	if (!list_empty(&l->peer->waiting) || !list_empty(&l->out))
		link_want(l);
	return 0;
}

static void wire_drop(struct msg_link *l, struct wire_msg *w, int error);

/* Its link is dead. The peer may have told its outcome before. */
static void op_lost(struct msg_op *op, int error)
{
	op_end(op, op->over ? op->status : error);
}

/* Everything that the link was used for. */
static void end_all(struct msg_link *l, int error)
{
	struct list *lists[] = { &l->await, &l->held, &l->announced, &l->fetches };

	while (!list_empty(&l->out)) {
		struct wire_msg *w = list_entry(l->out.next, struct wire_msg, link);

		list_del(&w->link);
		wire_drop(l, w, error);
	}
	/* an operation with more to send is first of those that wait, and has begun */
	if (!list_empty(&l->peer->waiting)) {
		struct msg_op *op = list_entry(l->peer->waiting.next, struct msg_op, link);

		if (op->l == l)
			op_end(op, error);
	}
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		while (!list_empty(lists[i]))
			op_lost(list_entry(lists[i]->next, struct msg_op, link), error);
	pulls_fail(l, error);
	resps_drop(l);
	rx_abandon(l, error);
}

static void sends_forget(const struct msg_link *l)
{
	struct ppe_ual *ual = l->d->ual;

	if (ual->sends_of != l)
		return;
	ual->sends_of = NULL;
	ual->nsends = 0;
}

void link_drop(struct msg_link *l, int error, bool reset)
{
	struct ppe_dti *d = l->d;

	if (l->state == LINK_DEAD)
		return;
	l->state = LINK_DEAD;
	sends_forget(l); /* a later link may come to lie where this one does */
	if (l->peer->l == l)
		l->peer->l = NULL;
	if (l->conn)
		fabric_of(l)->conn_close(l->conn, reset);
	l->conn = NULL;
	end_all(l, error);
	free(l->gather);
	l->gather = NULL;
	/* calls on the stack may still look at it */
	list_del(&l->of_dti);
	list_add_tail(&d->ual->dead_links, &l->of_dti);
}

void link_fail(struct msg_link *l, int error)
{
	struct ppe_dti *d = l->d;
	struct msg_peer *peer = l->peer;
	bool was_open = l->state == LINK_OPEN, for_sending = peer->l == l;

	if (l->state == LINK_DEAD)
		return;
	link_drop(l, error, false);
	if (!for_sending || d->m->closing)
		return;
	peer_fail(peer, error);
	if (!msg_is_rdm(d) && was_open)
		message_closed(d, error);
}

void link_closed(struct msg_link *l, int err)
{
	if (l->state == LINK_DEAD)
		return;
	if (!msg_is_rdm(l->d)) {
		struct ppe_dti *d = l->d;

		if (d->error)
			err = d->error;
		link_drop(l, err ? err : -ESHUTDOWN, false);
		peer_fail(d->m->peer, err ? err : -ESHUTDOWN);
		message_closed(d, err);
		return;
	}
	link_fail(l, err ? err : -ECONNRESET);
}

void links_fail_doomed(struct ppe_dti *d)
{
	struct list *node, *next;

	if (!d->m->doomed)
		return;
	d->m->doomed = false;
	for (node = d->m->links.next; node != &d->m->links; node = next) {
		struct msg_link *l = list_entry(node, struct msg_link, of_dti);

		next = node->next;
		if (l->doomed)
			link_fail(l, -ENOMEM);
	}
}

void links_reap(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->dead_links)))
		free(list_entry(node, struct msg_link, of_dti));
}

/* --------------------------------------------------------------------- what goes out */

void link_want(struct msg_link *l)
{
	if (l->state == LINK_OPEN && l->conn)
		fabric_of(l)->tx_want(l->conn);
}

struct msg_ctl *link_ctl(struct msg_link *l, uint32_t len)
{
	struct msg_ctl *c = malloc(sizeof(*c) + len);

	(void)l;
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->wire.kind = WIRE_CTL;
	c->len = len;
	list_init(&c->wire.link);
	return c;
}

void link_ctl_send(struct msg_link *l, struct msg_ctl *c)
{
	list_add_tail(&l->out, &c->wire.link);
	link_want(l);
}

void link_say(struct msg_link *l, enum ulp_op op, uint8_t code, uint32_t id)
{
	struct msg_ctl *c = link_ctl(l, sizeof(struct ulp_hdr));

	if (!c) { /* who says it is in the middle of something: the link fails in the next turn */
		l->doomed = l->d->m->doomed = true;
		dti_activate(l->d);
		return;
	}
	*(struct ulp_hdr *)(void *)c->bytes =
		(struct ulp_hdr){ .op = op, .code = code, .len = be32_make(id) };
	link_ctl_send(l, c);
}

/* All that is owed, in one message. */
static struct wire_msg *next_ack(struct msg_link *l)
{
	struct msg_ctl *c;
	struct ulp_ack *ack;

	if (!l->ack_due)
		return NULL;
	c = link_ctl(l, sizeof(struct ulp_hdr) + sizeof(*ack));
	if (!c)
		return NULL;
	*(struct ulp_hdr *)(void *)c->bytes = (struct ulp_hdr){ .op = ULP_ACK };
	ack = (struct ulp_ack *)(void *)(c->bytes + sizeof(struct ulp_hdr));
	*ack = (struct ulp_ack){ be32_make(l->rx_seq), be32_make(l->owed) };
	l->acked = l->rx_seq;
	l->rx_credit += l->owed;
	l->owed = 0;
	l->ack_due = false;
	return &c->wire;
}

static struct wire_msg *next_wire(struct msg_link *l)
{
	struct wire_msg *w = NULL;

	if (l->ulp)
		w = next_ack(l);
	if (!w && !list_empty(&l->resps))
		w = resp_next(l);
	if (!w && !list_empty(&l->pulls))
		w = pull_next(l);
	if (!w && l->peer->l == l)
		w = op_next(l, l->peer);
	if (w)
		list_add_tail(&l->out, &w->link);
	return w;
}

static int describe_payload(struct msg_op *op, const struct wire_msg *w, struct iovec *iov)
{
	int n = 0;

	if (w->hdr_len)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)w->hdr, w->hdr_len };
	if (w->len) {
		int more = op_memory(op, w->offset, w->len, iov + n);

		if (more < 0)
			return more;
		n += more;
	}
	return n;
}

static void describe_write(const struct msg_op *op, const struct wire_msg *w, struct fab_send *s)
{
	struct msg_view v;

	msg_view(op->s, op->s[0].wr.nslots, &v);
	s->op = FAB_WRITE;
	msg_rma_at(&v, w->offset, &s->to, &s->stag);
}

static int describe_op(const struct msg_link *l, struct wire_msg *w, struct wire_send *out)
{
	struct msg_op *op = wire_op(w);
	struct fab_send *s = &out->send;
	struct msg_view v;
	int n = describe_payload(op, w, out->iov);

	if (n < 0)
		return n;
	s->op = FAB_SEND;
	s->niov = n;
	s->len = w->hdr_len + w->len;
	if (w->kind == WIRE_WRITE) {
		describe_write(op, w, s);
		if (link_places(l, s->len)) {
			op_regions(op, out->iov, n, out->region);
			s->regions = out->region;
		}
	} else if (w->kind == WIRE_NATIVE) {
		return op_native(op, s, &out->atomic);
	} else if (w->kind == WIRE_IMMEDIATE) {
		msg_view(op->s, op->s[0].wr.nslots, &v);
		s->op = FAB_IMMEDIATE;
		s->value = v.m->data;
	} else if (op->wr_flags & PPE_WR_SOLICITED) {
		s->flags = FAB_SEND_SOLICITED;
	}
	return 0;
}

static int describe_ctl(struct wire_msg *w, struct wire_send *out)
{
	struct msg_ctl *c = list_entry(w, struct msg_ctl, wire);

	if (w->kind == WIRE_RESULT) {
		out->send.op = FAB_ATOMIC_RESP;
		out->send.id = c->id;
		out->send.value = c->value;
		return 0;
	}
	out->iov[0] = (struct iovec){ c->bytes, c->len };
	out->send.op = FAB_SEND;
	out->send.niov = 1;
	out->send.len = c->len;
	return 0;
}

static void resp_regions(const struct msg_link *l, const struct msg_resp *r,
			 const struct iovec *iov, unsigned n, struct fab_region **region)
{
	if (r->op) {
		op_regions(r->op, iov, n, region);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		region[i] = mr_fabric_region(l->d->ual, r->region);
}

static int describe_resp(struct msg_link *l, struct wire_msg *w, struct wire_send *out)
{
	struct msg_resp *r = list_entry(w, struct msg_resp, wire);
	int n = resp_memory(l, r, out->iov);

	if (n < 0)
		return n;
	out->send.op = FAB_READ_RESP;
	out->send.niov = n;
	out->send.len = r->req.len;
	out->send.stag = r->req.sink_stag;
	out->send.to = r->req.sink_to;
	if (link_places(l, r->req.len)) {
		resp_regions(l, r, out->iov, n, out->region);
		out->send.regions = out->region;
	}
	return 0;
}

static int describe(struct msg_link *l, struct wire_msg *w, struct wire_send *out)
{
	memset(&out->send, 0, sizeof(out->send));
	out->send.iov = out->iov;
	switch (w->kind) {
	case WIRE_READ:
		read_describe(l, list_entry(w, struct msg_read, wire), out);
		return 0;
	case WIRE_RESP:
		return describe_resp(l, w, out);
	case WIRE_RESULT:
	case WIRE_CTL:
		return describe_ctl(w, out);
	default:
		return describe_op(l, w, out);
	}
}

/* Out of `out`: sent, or with an error never to be. */
static void wire_drop(struct msg_link *l, struct wire_msg *w, int error)
{
	struct msg_op *op;

	switch (w->kind) {
	case WIRE_READ:
		read_sent(list_entry(w, struct msg_read, wire));
		break;
	case WIRE_RESP:
		resp_sent(l, list_entry(w, struct msg_resp, wire), error);
		break;
	case WIRE_RESULT:
	case WIRE_CTL:
		if (list_entry(w, struct msg_ctl, wire)->is_result)
			l->nresults--;
		free(list_entry(w, struct msg_ctl, wire));
		break;
	default:
		op = wire_op(w);
		if (!error) {
			op_wire_sent(l, op, w);
			break;
		}
		op->in_wire--;
		if (!op->in_wire && !op->sending)
			op_lost(op, error);
		break;
	}
}

/*
 * A counted message will not be sent after all: those behind it, all of them still in `out`, move up.
 * Else the peer's count and ours would differ for ever.
 */
static void uncount(struct msg_link *l, struct msg_op *op, struct wire_msg *w)
{
	uint32_t seq = op->seq_last;

	for (struct list *n = w->link.next; n != &l->out; n = n->next) {
		struct wire_msg *behind = list_entry(n, struct wire_msg, link);
		struct msg_op *o;

		if (behind->kind >= WIRE_READ || behind->kind == WIRE_IMMEDIATE)
			continue;
		o = wire_op(behind);
		if (!o->counted || o == op)
			continue;
		if ((int32_t)(o->seq_first - seq) > 0)
			o->seq_first--;
		o->seq_last--;
	}
	l->tx_seq--;
	op->counted = op->seq_first != seq;
	op->seq_last--;
}

/* Takes back what it was charged with when it was put into `out`. */
static void unsend(struct msg_link *l, struct msg_op *op, struct wire_msg *w)
{
	if (op->counted && (w->kind != WIRE_EAGER || (op->flags & PPE_POST_DELIVERY)))
		uncount(l, op, w);
	if (w->kind == WIRE_EAGER)
		l->credit += ULP_COST(op->length);
	if (op->fetching)
		l->nfetches--;
	/* data do not go without what they belong to */
	if (list_linked(&op->immediate.link)) {
		list_del(&op->immediate.link);
		l->credit += ULP_COST(0);
		op->in_wire--;
	}
}

/*
 * The memory of something in `out` is gone. If nothing of it is on the wire it fails alone, and all
 * behind it are so, too; the peer cannot be given the rest of what it has the beginning of.
 */
static bool drop_bad(struct msg_link *l, struct wire_msg *w, int err)
{
	if (w->begun) {
		if (w->kind < WIRE_READ)
			wire_op(w)->status = err;
		l->d->error = msg_is_rdm(l->d) ? 0 : wr_reject(l->d->ual, err);
		return false;
	}
	if (w->kind == WIRE_RESP && !msg_may_refuse(l)) {
		link_closed(l, err);
		return false;
	}
	if (w->kind < WIRE_READ)
		unsend(l, wire_op(w), w);
	list_del(&w->link);
	if (w->kind == WIRE_RESP)
		link_say(l, ULP_READ_NAK, msg_code(err),
			 list_entry(w, struct msg_resp, wire)->req.sink_stag);
	if (w->kind < WIRE_READ) {
		struct msg_op *op = wire_op(w);

		wr_reject(l->d->ual, err);
		op->sending = false;
		list_del(&op->link);
	}
	wire_drop(l, w, err);
	return l->state == LINK_OPEN;
}

/* The sends that are made from now on are those from the @i-th on. False: there are not so many. */
static bool peek_from(struct msg_link *l, unsigned i)
{
	struct ppe_ual *ual = l->d->ual;
	unsigned at = i < l->nbegun ? 0 : l->nbegun;

	l->cursor = at ? l->edge : &l->out;
	for (; at < i; at++) {
		l->cursor = l->cursor->next;
		if (l->cursor == &l->out)
			return false;
	}
	ual->sends_of = l;
	ual->sends_from = i;
	ual->nsends = 0;
	return true;
}

const struct fab_send *link_peek(struct msg_link *l, unsigned i)
{
	struct ppe_ual *ual = l->d->ual;
	unsigned n = i - ual->sends_from; /* of those made so far, if this is the next */
	struct list *node;

	/* nothing to one who has not shown that it has our key */
	if (l->state != LINK_OPEN || !l->proven)
		return NULL;
	if (ual->sends_of == l && n < ual->nsends)
		return &ual->sends[n].send;
	if (ual->sends_of != l || !ual->nsends || n != ual->nsends) {
		if (!peek_from(l, i))
			return NULL;
		n = 0;
	}
	if (n == WIRE_BATCH)
		return NULL;
	for (;;) {
		struct wire_msg *w;
		int err;

		node = l->cursor->next;
		w = node != &l->out ? list_entry(node, struct wire_msg, link) : next_wire(l);
		if (!w || l->state != LINK_OPEN)
			return NULL;
		err = describe(l, w, &ual->sends[n]);
		if (!err) {
			l->cursor = &w->link;
			ual->nsends = n + 1;
			return &ual->sends[n].send;
		}
		if (!drop_bad(l, w, err))
			return NULL;
	}
}

/* From now on the peer may answer it. */
static void wire_begun(struct msg_link *l, struct wire_msg *w)
{
	struct msg_ctl *c;

	w->begun = true;
	if (w->kind == WIRE_RESP) {
		resp_begun(l, list_entry(w, struct msg_resp, wire));
	} else if (w->kind == WIRE_CTL || w->kind == WIRE_RESULT) {
		c = list_entry(w, struct msg_ctl, wire);
		l->nresults -= c->is_result;
		c->is_result = false;
	}
}

static void out_pop(struct msg_link *l)
{
	struct wire_msg *w = list_entry(l->out.next, struct wire_msg, link);

	if (l->edge == &w->link)
		l->edge = &l->out;
	l->nbegun -= w->begun;
	list_del(&w->link);
	wire_drop(l, w, 0);
}

void link_done(struct msg_link *l, unsigned n, unsigned begun)
{
	sends_forget(l);
	while (n-- && l->state == LINK_OPEN)
		out_pop(l);
	if (l->state != LINK_OPEN)
		return;
	while (l->nbegun < begun && l->edge->next != &l->out) {
		l->edge = l->edge->next;
		l->nbegun++;
		wire_begun(l, list_entry(l->edge, struct wire_msg, link));
	}
	if (!list_empty(&l->out) || l->ack_due || !list_empty(&l->resps) ||
	    !list_empty(&l->pulls) || (l->peer->l == l && !list_empty(&l->peer->waiting)))
		link_want(l);
	link_watch(l->d);
}

/* -------------------------------------------------------------------------- liveness */

bool link_is_busy(const struct msg_link *l)
{
	return !list_empty(&l->out) || !list_empty(&l->await) || !list_empty(&l->held) ||
	       !list_empty(&l->announced) || !list_empty(&l->fetches) || !list_empty(&l->reads) ||
	       (l->peer->l == l && !list_empty(&l->peer->waiting));
}

static void look_at(struct msg_link *l, uint64_t now, uint64_t limit)
{
	/* a stranger does not answer for its application, which may take its time */
	if (l->rx_seen || !link_is_busy(l) || !l->ulp) {
		l->rx_seen = l->pinged = false;
		l->last_rx = now;
	} else if (now - l->last_rx >= limit) {
		ual_logf(l->d->ual, FAB_LOG_WARN, "a peer has not answered for %llu ms: it is dead",
			 (unsigned long long)((now - l->last_rx) / 1000000));
		link_fail(l, -ETIMEDOUT);
	} else if (!l->pinged) {
		l->pinged = true;
		link_say(l, ULP_PING, 0, 0);
	}
}

static void watch(struct timer *t)
{
	struct msg_dti *m = list_entry(t, struct msg_dti, timer);
	uint64_t now = timer_now_ns();
	struct list *node, *next;
	bool busy = false;

	for (node = m->links.next; node != &m->links; node = next) {
		struct msg_link *l = list_entry(node, struct msg_link, of_dti);

		next = node->next;
		if (l->state != LINK_OPEN)
			continue;
		busy |= link_is_busy(l);
		look_at(l, now, m->peer_timeout_ns);
	}
	if (busy)
		link_watch(m->own.owner);
}

/* While something is outstanding, and no longer: an idle engine sleeps untimed. */
void link_watch(struct ppe_dti *d)
{
	struct msg_dti *m = d->m;

	if (m->timer.slot || !m->peer_timeout_ns || m->closing)
		return;
	timer_start(&d->ual->timers, &m->timer, m->peer_timeout_ns / 4, watch);
}
