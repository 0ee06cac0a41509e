/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tx_msg.c - byte streams on queue pairs, transmit: chunks into messages, when the message service asks
 * for one, so that each says what is true then.
 */
#include "fabric/qstream/internal.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ what there is to say */

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Octets that may go. */
static uint64_t tx_ready(const struct fab_conn *c)
{
	return min64(c->tx_staged, c->tx_limit) - c->tx_formed;
}

static bool unannounced(const struct fab_conn *c)
{
	return c->tx_announced != c->tx_formed;
}

/* All that the user gave is a message, and that was all. */
static bool fin_due(const struct fab_conn *c)
{
	return (c->flags & (QC_FIN_WANT | QC_FIN_FORMED)) == QC_FIN_WANT &&
	       c->tx_formed == c->tx_staged;
}

static bool ask_due(const struct fab_conn *c)
{
	return !(c->flags & QC_ASK_DONE) && !c->ring_size &&
	       c->tx_staged - c->tx_formed >= QS_ASK_MIN;
}

bool qs_tx_can_form(const struct fab_conn *c)
{
	if (!c->mc || (c->flags & (QC_SETUP | QC_ASKED | QC_ENDING)) ||
	    (c->tx && c->tx->count == QS_OUT_MAX))
		return false;
	return (c->flags & (QC_GIVE_RING | QC_CREDIT)) || tx_ready(c) || unannounced(c) ||
	       fin_due(c) || ask_due(c);
}

void qs_tx_tell(struct fab_conn *c)
{
	if (qs_tx_can_form(c))
		c->q->attr.msg->tx_want(c->mc);
}

/* ------------------------------------------------------------------ messages */

/* Octet number @from on, as far as they lie together. */
static uint8_t *chunk_at(const struct fab_conn *c, uint64_t from, uint64_t *len)
{
	const struct qs_chunk *k = c->tx->head;

	while (from - k->start >= k->len)
		k = k->next;
	*len = min64(*len, k->start + k->len - from);
	return k->data + (from - k->start);
}

static void put(struct qs_out *o, void *p, size_t len)
{
	o->iov[o->send.niov++] = (struct iovec){ p, len };
	o->send.len += (uint32_t)len;
}

/* The head of a message; what else waits to be said goes with it. */
static void put_header(struct fab_conn *c, struct qs_out *o, enum qs_op op, uint32_t length)
{
	uint8_t flags = ask_due(c) ? QS_F_ASK : 0;

	if (flags)
		c->flags |= QC_ASK_DONE;
	c->flags &= ~QC_CREDIT;
	c->rx_limit = c->rx_head + qs_rx_span(c);
	o->op = op;
	o->send.op = FAB_SEND;
	put(o, o->head, qs_header_put(o->head, op, flags, length, c->rx_limit));
}

static void form_ring(struct fab_conn *c, struct qs_out *o)
{
	c->flags &= ~QC_GIVE_RING;
	put_header(c, o, QS_RING, 0);
	put(o, o->head + sizeof(struct qs_header),
	    qs_ring_put(o->head + sizeof(struct qs_header), c->rx_stag, c->rx_size, 0));
}

static void form_data(struct fab_conn *c, struct qs_out *o, uint64_t len)
{
	uint8_t *p;

	len = min64(len, QS_INLINE_MAX);
	p = chunk_at(c, c->tx_formed, &len);
	put_header(c, o, QS_DATA, (uint32_t)len);
	put(o, p, len);
	o->bytes = (uint32_t)len;
	c->tx_formed += len;
	c->tx_announced = c->tx_formed;
}

/* As far as the ring's end, or the chunk's. */
static void form_write(struct fab_conn *c, struct qs_out *o, uint64_t len)
{
	uint64_t at = c->tx_formed & (c->ring_size - 1);
	uint8_t *p;

	len = min64(len, c->ring_size - at);
	len = min64(len, QS_WRITE_MAX - (c->tx_formed - c->tx_announced));
	p = chunk_at(c, c->tx_formed, &len);
	o->send.op = FAB_WRITE;
	o->send.stag = c->ring_stag;
	o->send.to = c->ring_to + at;
	if (c->q->regions[0])
		o->send.regions = c->q->regions;
	put(o, p, len);
	o->bytes = (uint32_t)len;
	c->tx_formed += len;
}

static void form_landed(struct fab_conn *c, struct qs_out *o)
{
	put_header(c, o, QS_LANDED, (uint32_t)(c->tx_formed - c->tx_announced));
	c->tx_announced = c->tx_formed;
}

static bool worth_writing(const struct fab_conn *c, uint64_t ready)
{
	uint64_t written = c->tx_formed - c->tx_announced;

	return c->ring_size && (written ? ready && written < QS_WRITE_MAX : ready > QS_INLINE_MAX);
}

static void form(struct fab_conn *c, struct qs_out *o)
{
	uint64_t ready = tx_ready(c);

	if (c->flags & QC_GIVE_RING) {
		form_ring(c, o);
	} else if (worth_writing(c, ready)) {
		form_write(c, o, ready);
	} else if (unannounced(c)) {
		form_landed(c, o);
	} else if (ready) {
		form_data(c, o, ready);
	} else if (fin_due(c)) {
		put_header(c, o, QS_FIN, 0);
		c->flags |= QC_FIN_FORMED;
	} else {
		put_header(c, o, QS_CREDIT, 0);
	}
}

static struct qs_out *out_at(struct qs_tx *tx, unsigned i)
{
	return &tx->out[(tx->first + i) % QS_OUT_MAX];
}

const struct fab_send *qs_tx_peek(void *user, unsigned i)
{
	struct fab_conn *c = user;
	struct qs_out *o;

	if (c->tx && i < c->tx->count)
		return &out_at(c->tx, i)->send;
	if (!qs_tx_can_form(c))
		return NULL;
	if (!qs_tx_begin(c)) {
		qs_enter(c->q);
		qs_conn_dead(c, -ENOMEM);
		qs_leave(c->q);
		return NULL;
	}
	o = out_at(c->tx, c->tx->count++);
	*o = (struct qs_out){ .send = { .iov = o->iov } };
	form(c, o);
	return &o->send;
}

/* The oldest message is with the wire, or copied. */
static void out_done(struct fab_conn *c)
{
	struct qs_out *o = out_at(c->tx, 0);

	c->tx_done += o->bytes;
	if (o->op == QS_FIN)
		c->flags |= QC_FIN_DONE;
	c->tx->first = (c->tx->first + 1) % QS_OUT_MAX;
	c->tx->count--;
}

/* Room for what the user could not give. */
static void tx_resume(struct fab_conn *c)
{
	if (!(c->flags & QC_TX_FULL) || c->tx_staged - c->tx_done > qs_tx_sndbuf(c) / 4 * 3)
		return;
	c->flags &= ~QC_TX_FULL;
	qs_conn_dirty(c);
	/* perhaps within the flush of a turn, behind ours */
	c->q->tx_left = true;
}

/* Those begun stay where they are, and count among the QS_OUT_MAX, like those not begun. */
void qs_tx_gone(void *user, unsigned n, unsigned begun)
{
	struct fab_conn *c = user;
	struct qstream *q = c->q;
	bool progress = n;

	(void)begun;
	qs_enter(q);
	while (n-- && c->tx && c->tx->count)
		out_done(c);
	if (c->tx)
		qs_tx_release(c);
	tx_resume(c);
	if (progress && (c->flags & QC_CLOSED))
		qs_linger_timer(c);
	qs_tx_tell(c);
	qs_conn_linger(c);
	qs_leave(q);
}
