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

static uint64_t take64(const uint8_t **p)
{
	be64 v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return be64_get(v);
}

static void header_parse(const uint8_t *p, struct msg_header *out)
{
	const struct ulp_hdr *h = (const struct ulp_hdr *)(const void *)p;

	*out = (struct msg_header){
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
static int message_came(struct msg_link *l, const struct msg_header *h, const uint8_t *p,
			uint32_t len)
{
	if (!l->proven && h->op != ULP_PROOF)
		return -EACCES;
	switch (h->op) {
	case ULP_EAGER:
		return h->len == len ? in_whole(l, h, p) : -EPROTO;
	case ULP_ANNOUNCE:
		return len ? -EPROTO : in_announced(l, h);
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
		return rx_atomic_message(l, h, p, len);
	case ULP_RESULT:
		return rx_result(l, h->len, msg_errno(h->code), p, len);
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
	struct msg_header h;

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
	static const struct msg_header none;
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
	struct msg_header h;

	header_parse(l->hdr, &h);
	if (!l->proven && h.op != ULP_PROOF)
		return -EACCES;
	if (h.op == ULP_EAGER) {
		l->msg_len = l->hdr_len + h.len;
		return in_begin(l, &h);
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
	struct msg_header h;
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
		in_end(l);
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
