/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_take.c - sorts octets of the stream: headers, payload to where its user says, trailers.
 *
 * A header is believed, and payload placed, before the CRC behind it has been seen: nobody hears of a
 * message before the CRC of its last octet was right. So a broken header may end the connection with
 * a reason other than "wrong CRC".
 *
 * Small Sends, many in one read, go a shorter way: those that are there whole, and right, are shown
 * to their user where they lie (take_whole).
 */
#include <errno.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ----------------------------------------------------------------------- header */

static int check_send(struct fab_msg_conn *c)
{
	const struct ddp_hdr *h = &c->h;

	if (h->opcode == RDMAP_SEND_INV || h->opcode == RDMAP_SEND_SE_INV)
		return -DDP_E_INVALIDATE;
	if (h->msn != c->rx.send)
		return -DDP_E_MSN;
	if (h->mo != c->rx_mo)
		return -DDP_E_MO;
	if (c->in_msg && h->opcode != c->rx_opcode)
		return -DDP_E_INTERLEAVED;
	/* every segment but the last carries something, or a peer could keep us busy for ever */
	return h->payload_len || h->last ? 0 : -DDP_E_LENGTH;
}

/* Segments of a Write or a Read Response follow each other, in memory as well. */
static int check_tagged(struct fab_msg_conn *c)
{
	const struct ddp_hdr *h = &c->h;

	c->first = !c->in_msg;
	if (c->in_msg && (h->opcode != c->rx_opcode || h->stag != c->rx_stag || h->to != c->rx_to))
		return -DDP_E_INTERLEAVED;
	if (!h->payload_len && !h->last)
		return -DDP_E_LENGTH;
	c->in_msg = true;
	c->rx_stag = h->stag;
	return 0;
}

static bool is_send(const struct ddp_hdr *h)
{
	return h->opcode >= RDMAP_SEND && h->opcode <= RDMAP_SEND_SE_INV;
}

/* What this FPDU is, in its turn. */
static int fpdu_begin(struct fab_msg_conn *c)
{
	int err;

	fab_count(&c->m->env.counters->fpdus_rx, 1);
	c->done = 0;
	c->trailer_have = 0;
	c->rx_crc = c->crc ? mpa_crc_add(MPA_CRC_START, c->hdr, c->h.hdr_len) : 0;
	c->phase = c->h.payload_len ? IW_BODY : IW_TRAILER;
	if (is_send(&c->h)) {
		err = check_send(c);
		c->phase = IW_PLACE;
	} else if (c->h.tagged) {
		err = check_tagged(c);
		if (c->h.payload_len)
			c->phase = IW_PAYLOAD;
	} else {
		return iw_req_check(c);
	}
	c->rx_opcode = c->h.opcode;
	return err;
}

/* Takes the header. Octets used; negative: a violation. */
static int take_header(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	size_t used = min32(n, DDP_HDR_MAX - c->have);
	unsigned had = c->have;
	int err;

	memcpy(c->hdr + had, p, used);
	c->have += used;
	err = ddp_parse(c->hdr, c->have, &c->h);
	if (err > 0)
		return used;
	if (err < 0)
		return err;
	/* a tagged header is shorter than what was taken */
	used = c->h.hdr_len > had ? c->h.hdr_len - had : 0;
	c->have = 0;
	err = fpdu_begin(c);
	return err ? err : (int)used;
}

/* ---------------------------------------------------------------------- payload */

static int ask_send(struct fab_msg_conn *c, struct iovec *iov, bool *more)
{
	struct fab_place piece = { .offset = c->h.mo + c->done,
				   .len = c->h.payload_len - c->done,
				   .last = c->h.last };
	int n = c->ops->rx_place(c->user, &piece, iov, FAB_PLACE_IOV);

	*more = piece.more;
	return n;
}

static void tagged_of(const struct fab_msg_conn *c, uint32_t done, struct fab_tagged *t)
{
	*t = (struct fab_tagged){
		.response = c->h.opcode == RDMAP_READ_RESPONSE,
		.first = c->first && !done,
		.last = c->h.last,
		.stag = c->h.stag,
		.to = c->h.to + done,
		.len = c->h.payload_len - done,
	};
}

static int ask_tagged(struct fab_msg_conn *c, struct iovec *iov)
{
	struct fab_tagged t;

	tagged_of(c, c->done, &t);
	return c->ops->rx_tagged(c->user, &t, iov, FAB_PLACE_IOV);
}

int iw_ask_place(struct fab_msg_conn *c, struct iovec iov[FAB_PLACE_IOV], bool *more)
{
	int n;

	*more = false;
	n = c->h.tagged ? ask_tagged(c, iov) : ask_send(c, iov, more);
	if (n < 0 && (n != -EAGAIN || c->h.tagged))
		return iw_refuse(c, n);
	/* closed from within: its memory is not to be touched any more, and nothing is to be kept */
	if (c->state != IW_OPEN)
		return -DDP_E_LOCAL;
	if (n >= 0)
		return n;
	if (!c->stalled)
		fab_count(&c->m->env.counters->rx_stops, 1);
	c->stalled = true;
	return IW_STALLED;
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

void iw_payload_moved(struct fab_msg_conn *c, uint32_t len)
{
	c->done += len;
	c->phase = c->done < c->h.payload_len ? IW_PAYLOAD : IW_TRAILER;
}

/*
 * Also the first look at a Send, with or without payload behind its header: is there a receive for
 * it?
 */
static int take_payload(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	struct iovec iov[FAB_PLACE_IOV];
	uint32_t len = min32(n, c->h.payload_len - c->done), placed;
	bool more;
	int entries = iw_ask_place(c, iov, &more);

	if (entries < 0)
		return entries;
	c->in_msg = true;
	if (len) {
		placed = scatter(iov, entries, p, len);
		if (more && !placed)
			return -DDP_E_LOCAL; /* it would be asked for ever */
		if (more)
			len = placed;
		/* what has no place is dropped: the message is longer than its receive */
		c->cut |= placed < len && !c->h.tagged;
		fab_count(&c->m->env.counters->copies, 1);
		fab_count(&c->m->env.counters->copy_bytes, placed);
		if (c->crc)
			c->rx_crc = mpa_crc_add(c->rx_crc, p, len);
	}
	iw_payload_moved(c, len);
	return len;
}

/* A body that is not data: what rdmap.h reads, the rest (of a Terminate) is dropped. */
static int take_body(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	uint32_t len = min32(n, c->h.payload_len - c->done);

	if (c->done < RDMAP_BODY_MAX)
		memcpy(c->body + c->done, p, min32(len, RDMAP_BODY_MAX - c->done));
	if (c->crc)
		c->rx_crc = mpa_crc_add(c->rx_crc, p, len);
	c->done += len;
	if (c->done == c->h.payload_len)
		c->phase = IW_TRAILER;
	return len;
}

/* ---------------------------------------------------------------------- its end */

static void end_send(struct fab_msg_conn *c)
{
	struct fab_place piece = { .offset = c->h.mo, .len = c->h.payload_len, .last = c->h.last };

	c->rx_mo = c->h.mo + c->h.payload_len;
	if (c->h.last) {
		fab_count(&c->m->env.counters->msgs_rx, 1);
		fab_count(&c->m->env.counters->msgs_truncated, c->cut);
		c->in_msg = c->cut = false;
		c->rx_mo = 0;
		c->rx.send++;
	}
	c->ops->rx_done(c->user, &piece);
}

/* @start: the first FPDU of a responder's connection; when that is what was agreed on, no message. */
static void end_tagged(struct fab_msg_conn *c, bool start)
{
	bool empty = c->first && c->h.last && !c->h.payload_len;
	struct fab_tagged t;

	c->rx_to = c->h.to + c->h.payload_len;
	if (c->h.last)
		c->in_msg = false;
	if (start && empty && c->h.opcode == RDMAP_WRITE && c->rtr == MPA_RTR_WRITE)
		return;
	if (empty && c->h.opcode == RDMAP_READ_RESPONSE && c->rtr_read) {
		c->rtr_read = false;
		return;
	}
	fab_count(&c->m->env.counters->msgs_rx, c->h.last);
	tagged_of(c, 0, &t);
	c->ops->rx_tagged_done(c->user, &t);
}

static int fpdu_end(struct fab_msg_conn *c)
{
	bool start = c->hold_tx;

	if (c->crc && !mpa_trailer_ok(c->trailer, c->h.ulpdu_len, c->rx_crc))
		return -DDP_E_CRC;
	c->phase = IW_HEADER;
	if (start) {
		/* the initiator has spoken: from now on so may we */
		c->hold_tx = false;
		c->m->stream->tx_want(c->conn);
	}
	if (is_send(&c->h))
		end_send(c);
	else if (c->h.tagged)
		end_tagged(c, start);
	else
		return iw_req_end(c);
	return 0;
}

static int take_trailer(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	uint32_t len = min32(n, c->h.trailer_len - c->trailer_have);
	int err = 0;

	memcpy(c->trailer + c->trailer_have, p, len);
	c->trailer_have += len;
	if (c->trailer_have == c->h.trailer_len)
		err = fpdu_end(c);
	return err ? err : (int)len;
}

/* ------------------------------------------------------------------ whole messages */

/* Of a Send that is one FPDU; bits that are reserved, and not zero, take the other way. */
#define WHOLE_DDP (DDP_LAST | DDP_VERSION)
#define WHOLE_RDMAP (RDMAP_VERSION | RDMAP_SEND)
#define WHOLE_RDMAP_SE (RDMAP_VERSION | RDMAP_SEND_SE)

/* Octets of the FPDU at @p if it is all there, a Send, and the one expected now; else 0. */
static inline uint32_t whole(const struct fab_msg_conn *c, const struct ddp_untagged *h, size_t n)
{
	uint32_t ulpdu, fpdu;

	if (n < sizeof(*h) || h->ctrl.ddp != WHOLE_DDP ||
	    (h->ctrl.rdmap != WHOLE_RDMAP && h->ctrl.rdmap != WHOLE_RDMAP_SE))
		return 0;
	ulpdu = be16_get(h->ctrl.ulpdu_len);
	fpdu = mpa_fpdu_len(ulpdu);
	if (fpdu > n || ulpdu < DDP_UNTAGGED_LEN || be32_get(h->qn) != DDP_QN_SEND ||
	    be32_get(h->msn) != c->rx.send || be32_get(h->mo))
		return 0;
	return fpdu;
}

static bool whole_crc(const uint8_t *p, uint32_t ulpdu)
{
	uint32_t len = MPA_LEN_SIZE + ulpdu;

	return mpa_trailer_ok(p + len, ulpdu, mpa_crc_add(MPA_CRC_START, p, len));
}

/*
 * The short way of small messages, many in one read: nothing of them is kept here. Octets used; 0:
 * take the other way, which also finds out what is wrong. Negative: it is over.
 */
static inline int take_whole(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	uint32_t fpdu = whole(c, (const void *)p, n);
	uint32_t ulpdu;
	int err;

	if (!fpdu)
		return 0;
	ulpdu = be16_get(((const struct ddp_ctrl *)p)->ulpdu_len);
	if (c->crc && !whole_crc(p, ulpdu))
		return 0;
	err = c->ops->rx_whole(c->user, p + DDP_HDR_MAX, ulpdu - DDP_UNTAGGED_LEN);
	if (err > 0)
		return 0;
	if (err < 0 && c->state == IW_OPEN) {
		memcpy(c->hdr, p, DDP_HDR_MAX);
		ddp_parse(p, DDP_HDR_MAX, &c->h);
		return iw_refuse(c, err);
	}
	c->rx.send++;
	return fpdu;
}

/* --------------------------------------------------------------------- all of it */

/* Takes one thing. Octets used; IW_STALLED; negative enum ddp_error: over, perhaps told already. */
static int take_one(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	switch (c->phase) {
	case IW_HEADER:
		return take_header(c, p, n);
	case IW_PLACE:
	case IW_PAYLOAD:
		return take_payload(c, p, n);
	case IW_BODY:
		return take_body(c, p, n);
	default:
		return take_trailer(c, p, n);
	}
}

/* As many whole messages as are there. Octets used; negative: it is over. */
static ssize_t take_wholes(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	unsigned msgs = 0;
	size_t at = 0;
	int used = 0;

	while (at < n && c->state == IW_OPEN) {
		used = take_whole(c, p + at, n - at);
		if (used <= 0)
			break;
		at += used;
		msgs++;
	}
	if (msgs) {
		fab_count(&c->m->env.counters->fpdus_rx, msgs);
		fab_count(&c->m->env.counters->msgs_rx, msgs);
	}
	return used < 0 ? used : (ssize_t)at;
}

/* Between two FPDUs, and nothing is special about the next. */
static bool whole_may_come(const struct fab_msg_conn *c)
{
	return c->phase == IW_HEADER && !c->have && !c->in_msg && !c->hold_tx;
}

ssize_t iw_take(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	size_t at = 0;
	ssize_t used;

	/* a Send that was just announced looks for its receive even with nothing behind it */
	while (c->state == IW_OPEN && (at < n || c->phase == IW_PLACE)) {
		used = whole_may_come(c) ? take_wholes(c, p + at, n - at) : 0;
		if (!used)
			used = take_one(c, p + at, n - at);
		if (used == IW_STALLED)
			return at;
		if (used < 0)
			return iw_violation(c, used);
		at += used;
	}
	return c->state == IW_OPEN ? (ssize_t)at : -ECONNABORTED;
}
