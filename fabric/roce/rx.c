/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rx.c - frames that came, piece by piece, to where their user says.
 *
 * Frames are taken in their order; one whose user has no receive stays where it is, and those behind it
 * wait in rx_queue. Credits in their headers count at once. What is said of a piece under way is kept as
 * its place in the frame (rx_off) and in itself (piece_off); it is parsed again when it goes on.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CREDITS_MAX 16384 /* nobody gives more than this at a time */

enum taken { TAKEN, STALLED, OVER };

/* ------------------------------------------------------------------------ receives */

static int post_recv(struct fab_msg_conn *c, unsigned number)
{
	struct roce_buf *buf = c->rx_bufs[number];
	struct ibv_sge sge = { (uintptr_t)buf->mem, ROCE_FRAME, buf->lkey };
	struct ibv_recv_wr *bad, wr = {
		.wr_id = number | (uint64_t)c->slot << 16 | 1ull << 40 |
			 (uint64_t)(c->generation & 0x7fffff) << 41,
		.sg_list = &sge,
		.num_sge = 1,
	};

	return -ibv_post_recv(c->qp, &wr, &bad);
}

int roce_rx_add(struct fab_msg_conn *c, unsigned n)
{
	bool begins = !c->nrx;

	for (unsigned i = 0; i < n; i++) {
		struct roce_buf *buf = roce_buf_get(c->dev);

		if (!buf)
			return -ENOMEM;
		c->rx_bufs[c->nrx] = buf;
		if (post_recv(c, c->nrx++))
			return -ENOMEM;
	}
	if (begins)
		c->rx_given = n - ROCE_SPARE;
	else
		c->rx_owed += n;
	return 0;
}

/* The frame is dealt with: its buffer is the next frame's. */
static void again(struct fab_msg_conn *c, unsigned number, bool owed)
{
	int err;

	if (c->dead || !c->qp)
		return;
	err = post_recv(c, number);
	if (err) {
		c->dead = true;
		c->lost = c->lost ? c->lost : err;
		roce_later(c);
	}
	c->rx_owed += owed;
}

/* -------------------------------------------------------------------------- data */

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

static enum taken refused(struct fab_msg_conn *c, int err)
{
	if (c->state == RC_OPEN)
		fab_logf(&c->fab->env, FAB_LOG_WARN, "roce: refused: %s",
			 roce_bye_text(roce_bye_of(err)));
	roce_refuse(c, err);
	return OVER;
}

static enum taken broken(struct fab_msg_conn *c, const char *what)
{
	roce_violation(c, what);
	return OVER;
}

/* A part of a Send: how much of it is dealt with is in piece_off. */
static enum taken place_part(struct fab_msg_conn *c, const struct roce_item *it)
{
	struct fab_place piece = {
		.offset = c->msg_off + c->piece_off,
		.len = it->len - c->piece_off,
		.last = it->last,
	};
	struct iovec iov[FAB_PLACE_IOV];
	int n = c->ops->rx_place(c->user, &piece, iov, FAB_PLACE_IOV);
	uint32_t len = it->len - c->piece_off, placed;

	if (c->state != RC_OPEN)
		return OVER;
	if (n == -EAGAIN) {
		COUNT(c->fab, rx_stops, 1);
		c->stalled = true;
		return STALLED;
	}
	if (n < 0)
		return refused(c, n);
	placed = scatter(iov, n, it->payload + c->piece_off, len);
	if (piece.more && !placed && len)
		return refused(c, -ENOBUFS); /* it would be asked for ever */
	/* what has no place is dropped: the message is longer than its receive */
	if (piece.more)
		len = placed;
	c->cut |= placed < len;
	c->piece_off += len;
	COUNT(c->fab, copies, 1);
	COUNT(c->fab, copy_bytes, placed);
	return TAKEN;
}

static void send_over(struct fab_msg_conn *c, const struct roce_item *it)
{
	struct fab_place piece = { .offset = c->msg_off, .len = it->len, .last = it->last };

	c->in_msg = !it->last;
	c->rx_op = it->op;
	c->msg_off = it->last ? 0 : c->msg_off + it->len;
	if (it->last) {
		COUNT(c->fab, msgs_rx, 1);
		COUNT(c->fab, msgs_truncated, c->cut);
		c->cut = false;
	}
	c->ops->rx_done(c->user, &piece);
}

/* What is there whole is shown where it lies. */
static enum taken take_whole(struct fab_msg_conn *c, const struct roce_item *it)
{
	int err = c->ops->rx_whole(c->user, it->payload, it->len);

	if (c->state != RC_OPEN)
		return OVER;
	if (err < 0)
		return refused(c, err);
	c->placing = err > 0;
	COUNT(c->fab, msgs_rx, !err);
	return TAKEN;
}

static enum taken take_send(struct fab_msg_conn *c, const struct roce_item *it)
{
	enum taken t;

	if (it->len > UINT32_MAX - c->msg_off)
		return broken(c, "a message without end");
	if (it->first && it->last && !c->placing) {
		t = take_whole(c, it);
		if (t != TAKEN || !c->placing)
			return t;
	}
	c->placing = true;
	do {
		t = place_part(c, it);
		if (t != TAKEN)
			return t;
	} while (c->piece_off < it->len);
	send_over(c, it);
	return TAKEN;
}

static enum taken take_tagged(struct fab_msg_conn *c, const struct roce_item *it)
{
	struct fab_tagged t = {
		.response = it->op == ROCE_READ_RESP,
		.first = it->first,
		.last = it->last,
		.stag = it->stag,
		.to = it->to,
		.len = it->len,
	};
	struct iovec iov[FAB_PLACE_IOV];
	int n = 0;

	if (c->in_msg && (it->stag != c->rx_stag || it->to != c->rx_to))
		return broken(c, "a message is not continued where it stopped");
	if (t.response && roce_place_reads(c, it->stag, it->to))
		return broken(c, "an answer to what the device reads itself");
	if (it->len)
		n = c->ops->rx_tagged(c->user, &t, iov, FAB_PLACE_IOV);
	if (c->state != RC_OPEN)
		return OVER;
	if (n < 0)
		return refused(c, n);
	COUNT(c->fab, copies, n > 0);
	COUNT(c->fab, copy_bytes, scatter(iov, n, it->payload, it->len));
	c->in_msg = !it->last;
	c->rx_op = it->op;
	c->rx_stag = it->stag;
	c->rx_to = it->to + it->len;
	COUNT(c->fab, msgs_rx, it->last);
	if (t.response && t.last)
		roce_sink_over(c, t.stag);
	c->ops->rx_tagged_done(c->user, &t);
	return TAKEN;
}

/* --------------------------------------------------------------- requests and answers */

static enum taken told(struct fab_msg_conn *c, int err)
{
	if (c->state != RC_OPEN)
		return OVER;
	if (err > 0)
		c->asked--; /* refused in the user's own way: no answer will come */
	return err < 0 ? refused(c, err) : TAKEN;
}

/* Answered here, but not before what was asked earlier. */
static enum taken empty_read(struct fab_msg_conn *c, const struct fab_read_req *r)
{
	struct roce_empty **at = &c->empties, *e;
	unsigned n = 0;

	for (; *at; at = &(*at)->next)
		n++;
	if (n > c->ird)
		return refused(c, -EBUSY);
	e = malloc(sizeof(*e));
	if (!e)
		return refused(c, -ENOMEM);
	*e = (struct roce_empty){ .to = r->sink_to, .stag = r->sink_stag, .behind = c->asked };
	*at = e;
	roce_tx_want(c);
	return TAKEN;
}

static bool wraps(uint64_t to, uint32_t len)
{
	return to > UINT64_MAX - (len - 1);
}

static enum taken take_read(struct fab_msg_conn *c, const struct fab_read_req *r)
{
	if (!r->len)
		return empty_read(c, r);
	if (wraps(r->to, r->len) || wraps(r->sink_to, r->len))
		return refused(c, -ERANGE);
	c->asked++;
	return told(c, c->ops->rx_read(c->user, r));
}

/* As a read; but the answer may go where the peer says. */
static enum taken take_read_into(struct fab_msg_conn *c, const struct roce_note *n)
{
	uint16_t asked = c->asked;
	int err = roce_target_add(c, n);
	enum taken t;

	if (err)
		return refused(c, err);
	t = take_read(c, &n->read);
	if (t == TAKEN && c->asked == asked)
		roce_target_drop(c, n->read.sink_stag);
	return t;
}

static enum taken take_atomic(struct fab_msg_conn *c, const struct roce_item *it)
{
	struct fab_atomic_req r = {
		.id = it->id, .stag = it->stag, .to = it->to, .atomic = it->atomic
	};

	c->asked++;
	return told(c, c->ops->rx_atomic(c->user, &r));
}

static enum taken answered(struct fab_msg_conn *c, int err)
{
	if (c->state != RC_OPEN)
		return OVER;
	return err < 0 ? refused(c, err) : TAKEN;
}

static enum taken take_fetched(struct fab_msg_conn *c, const struct fab_read_req *r)
{
	if (c->ops->rx_fetched)
		c->ops->rx_fetched(c->user, r);
	return c->state == RC_OPEN ? TAKEN : OVER;
}

/* What is said of memory that devices reach. */
static enum taken take_note(struct fab_msg_conn *c, const struct roce_note *n)
{
	if (!c->places)
		return broken(c, "placement that was not agreed on");
	switch (n->op) {
	case ROCE_PLACED:
	case ROCE_PLACED_RESP:
		return answered(c, roce_placed(c, n));
	case ROCE_READ_INTO:
		return take_read_into(c, n);
	case ROCE_FETCHED:
		return take_fetched(c, &n->read);
	case ROCE_KEY_ASK:
		return answered(c, roce_key_asked(c, n));
	case ROCE_KEY:
		return answered(c, roce_key_came(c, n));
	default:
		roce_key_gone(c, n->stag);
		return TAKEN;
	}
}

static enum taken take_piece(struct fab_msg_conn *c, const struct roce_item *it)
{
	if (c->in_msg ? it->first || it->op != c->rx_op : !it->first)
		return broken(c, "a message in another");
	switch (it->op) {
	case ROCE_SEND:
		return take_send(c, it);
	case ROCE_WRITE:
	case ROCE_READ_RESP:
		return take_tagged(c, it);
	default:
		break;
	}
	if (it->op >= ROCE_PLACED)
		return take_note(c, &it->note);
	COUNT(c->fab, msgs_rx, 1);
	switch (it->op) {
	case ROCE_READ:
		return take_read(c, &it->read);
	case ROCE_ATOMIC:
		return take_atomic(c, it);
	case ROCE_ATOMIC_RESP:
		return answered(c, c->ops->rx_atomic_resp(c->user, it->id, it->value));
	default:
		return answered(c, c->ops->rx_immediate(c->user, it->value));
	}
}

/* ------------------------------------------------------------------------- frames */

/* The first of the queue. */
static enum taken take_frame(struct fab_msg_conn *c, const uint8_t *p, uint32_t len)
{
	struct roce_frame f;
	struct roce_item it;
	enum taken t;
	int used;

	memcpy(&f, p, sizeof(f));
	if (f.kind == ROCE_BYE) {
		roce_bye_took(c, be32_get(f.value));
		return OVER;
	}
	while (c->rx_off < len) {
		used = roce_piece_get(p + c->rx_off, len - c->rx_off, &it);
		if (used < 0)
			return broken(c, "a piece that is none");
		t = take_piece(c, &it);
		if (t != TAKEN)
			return t;
		if (c->state != RC_OPEN)
			return OVER;
		c->rx_off += used;
		c->piece_off = 0;
		c->placing = false;
	}
	return TAKEN;
}

static void queue_pop(struct fab_msg_conn *c)
{
	c->rx_first = (c->rx_first + 1) % ROCE_RECVS;
	c->rx_count--;
	c->rx_off = sizeof(struct roce_frame);
}

void roce_rx_run(struct fab_msg_conn *c)
{
	while (c->state == RC_OPEN && c->rx_count && !c->stalled) {
		unsigned number = c->rx_queue[c->rx_first];

		if (take_frame(c, c->rx_bufs[number]->mem, c->rx_len[number]) != TAKEN)
			break;
		queue_pop(c);
		again(c, number, true);
	}
	if (c->state != RC_OPEN)
		return;
	if (c->lost && !c->rx_count)
		roce_end(c, c->lost);
	else
		roce_tx_credit(c);
}

static void queue_put(struct fab_msg_conn *c, unsigned number)
{
	if (!c->rx_count)
		c->rx_off = sizeof(struct roce_frame);
	c->rx_queue[(c->rx_first + c->rx_count++) % ROCE_RECVS] = number;
	if (c->state == RC_OPEN)
		roce_rx_run(c);
}

/* Before or after set-up; @f is its header. */
static void hello_came(struct fab_msg_conn *c, unsigned number, uint8_t kind, uint32_t len)
{
	roce_start_frame(c, kind, c->rx_bufs[number]->mem + sizeof(struct roce_frame),
			 len - sizeof(struct roce_frame));
	if (c->state != RC_GONE && c->state != RC_CLOSED && c->state != RC_LINGERING)
		again(c, number, true);
}

static void sort(struct fab_msg_conn *c, unsigned number, uint8_t kind, uint32_t len)
{
	bool open = c->state == RC_OPEN || c->state == RC_REPLYING;

	if (open && (kind == ROCE_DATA || kind == ROCE_BYE))
		queue_put(c, number);
	else if (kind == ROCE_BYE)
		roce_conn_lost(c, -ECONNRESET);
	else
		hello_came(c, number, kind, len);
}

void roce_rx_completed(struct fab_msg_conn *c, unsigned number, uint32_t len)
{
	struct roce_frame f;
	uint16_t credits;

	if (c->state >= RC_CLOSED || number >= c->nrx)
		return;
	c->heard = true;
	COUNT(c->fab, fpdus_rx, 1);
	COUNT(c->fab, rx_bytes, len);
	if (len < sizeof(f)) {
		roce_violation(c, "a frame that is too short");
		return;
	}
	memcpy(&f, c->rx_bufs[number]->mem, sizeof(f));
	credits = be16_get(f.credits);
	if (credits > CREDITS_MAX || c->tx_credits > CREDITS_MAX) {
		roce_violation(c, "credits without end");
		return;
	}
	c->tx_credits += credits;
	c->rx_len[number] = len;
	if (credits)
		roce_tx_unblock(c);
	if (f.kind == ROCE_CREDIT) {
		again(c, number, false);
		return;
	}
	if (f.kind != ROCE_BYE && !c->rx_given--) {
		roce_violation(c, "a frame without credit");
		return;
	}
	sort(c, number, f.kind, len);
}

void roce_rx_want(struct fab_msg_conn *c)
{
	c->stalled = false;
	if (c->state != RC_OPEN || (!c->rx_count && !c->lost))
		return;
	roce_enter(c->fab);
	roce_later(c);
	roce_leave(c->fab);
}
