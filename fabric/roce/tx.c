/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tx.c - messages into frames, frames into the send queue.
 *
 * A post is made of as many frames as there are credits for and room, each of as many messages as fit.
 * Payload is copied, so a message is done when its last frame is posted. Of the frames of a post only the
 * last tells of its end, and short ones, which the device takes over at once, only now and then.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POST_MAX 16        /* frames of one post */
#define PIECE_WORTH 256    /* not less than so many octets of a long message in a frame */
#define RETRY_NS 10000000u /* when there is no memory for frames */

/* The post being made. */
struct post {
	struct fab_msg_conn *c;
	struct roce_buf *bufs[POST_MAX];
	uint32_t len[POST_MAX];
	unsigned n;
	struct roce_buf *buf; /* the frame being filled; NULL: none yet */
	uint32_t at;
	unsigned next, done; /* messages: looked at, whole */
	uint32_t off;        /* octets of the next that are in frames */
	bool more;           /* it was not the user that had no more */
	bool no_memory;
	size_t bytes;
	uint64_t copies, copy_bytes;
};

static unsigned sends_out(const struct fab_msg_conn *c)
{
	return (uint16_t)(c->sq_head - c->sq_tail);
}

/* ----------------------------------------------------------------------- posting */

static void fail_later(struct fab_msg_conn *c, int err)
{
	c->dead = true;
	if (!c->lost)
		c->lost = err;
	roce_later(c);
}

/* What the peer may send more, it is told with whatever goes. */
static uint16_t take_owed(struct fab_msg_conn *c)
{
	uint16_t n = c->rx_owed;

	c->rx_owed = 0;
	c->rx_given += n;
	return n;
}

static uint64_t send_id(const struct fab_msg_conn *c, unsigned number)
{
	return number | (uint64_t)c->slot << 16 | (uint64_t)(c->generation & 0x7fffff) << 41;
}

static void wr_fill(struct fab_msg_conn *c, struct ibv_send_wr *wr, struct ibv_sge *sge,
		    struct roce_buf *buf, uint32_t len)
{
	unsigned number = c->sq_head++ % ROCE_SENDS;
	bool small = len <= c->inline_max;

	*sge = (struct ibv_sge){ (uintptr_t)buf->mem, len, buf->lkey };
	*wr = (struct ibv_send_wr){
		.wr_id = send_id(c, number),
		.sg_list = sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = small ? IBV_SEND_INLINE : 0,
	};
	c->tx_bufs[number] = buf;
}

/* The device has its own copy of what was inline. */
static void inline_over(struct fab_msg_conn *c, const struct ibv_send_wr *wr)
{
	unsigned number = wr->wr_id & 0xffff;

	if (!(wr->send_flags & IBV_SEND_INLINE))
		return;
	roce_buf_put(c->dev, c->tx_bufs[number]);
	c->tx_bufs[number] = NULL;
}

static bool wants_signal(const struct fab_msg_conn *c, const struct ibv_send_wr *last, bool must)
{
	return must || !(last->send_flags & IBV_SEND_INLINE) ||
	       (uint16_t)(c->sq_head - c->sq_signalled) >= ROCE_SIGNAL_EVERY;
}

/* @must: its end is to be told of. */
static int post_frames(struct fab_msg_conn *c, struct roce_buf *const *bufs, const uint32_t *len,
		       unsigned n, bool must)
{
	struct ibv_send_wr wr[POST_MAX], *bad;
	struct ibv_sge sge[POST_MAX];
	int err;

	for (unsigned i = 0; i < n; i++) {
		wr_fill(c, &wr[i], &sge[i], bufs[i], len[i]);
		wr[i].next = i + 1 < n ? &wr[i + 1] : NULL;
		must |= !(wr[i].send_flags & IBV_SEND_INLINE);
		COUNT(c->fab, tx_bytes, len[i]);
	}
	if (wants_signal(c, &wr[n - 1], must)) {
		wr[n - 1].send_flags |= IBV_SEND_SIGNALED;
		c->sq_signalled = c->sq_head;
	}
	COUNT(c->fab, sys_write, 1);
	COUNT(c->fab, fpdus_tx, n);
	err = ibv_post_send(c->qp, wr, &bad);
	if (err) {
		fail_later(c, -err);
		return -err;
	}
	for (unsigned i = 0; i < n; i++)
		inline_over(c, &wr[i]);
	return 0;
}

void roce_tx_completed(struct fab_msg_conn *c, unsigned number)
{
	uint16_t over = (uint16_t)((number - c->sq_tail) % ROCE_SENDS) + 1;

	if (over > sends_out(c))
		return;
	c->heard = true;
	while (over--) {
		struct roce_buf **buf = &c->tx_bufs[c->sq_tail++ % ROCE_SENDS];

		if (*buf)
			roce_buf_put(c->dev, *buf);
		*buf = NULL;
	}
	if (c->state == RC_LINGERING) {
		roce_linger_look(c);
		return;
	}
	roce_tx_unblock(c);
	roce_tx_credit(c);
}

/* ------------------------------------------------------------ frames of our own */

/* Hellos, of which there is one on each side, and BYE: what comes after them waits for their end. */
static int own_frame(struct fab_msg_conn *c, const uint8_t *p, size_t n, bool must)
{
	struct roce_buf *buf;
	uint32_t len = n;

	if (c->dead || !c->qp)
		return -ENOTCONN;
	if (sends_out(c) >= ROCE_SENDS)
		return -EAGAIN;
	buf = roce_buf_get(c->dev);
	if (!buf)
		return -ENOMEM;
	memcpy(buf->mem, p, n);
	return post_frames(c, &buf, &len, 1, must);
}

int roce_tx_frame(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	if (!c->tx_credits)
		return -EAGAIN;
	c->tx_credits--;
	return own_frame(c, p, n, true);
}

int roce_tx_bye(struct fab_msg_conn *c, enum roce_bye why)
{
	uint8_t frame[sizeof(struct roce_frame)];

	if (c->bye_sent)
		return 0;
	c->bye_sent = true;
	roce_frame_put(frame, ROCE_BYE, 0, why);
	return own_frame(c, frame, sizeof(frame), true);
}

/* The last place in the send queue is left to the BYE. */
void roce_tx_credit(struct fab_msg_conn *c)
{
	uint8_t frame[sizeof(struct roce_frame)];

	if (c->state != RC_OPEN || c->rx_owed < ROCE_CREDITS / 2 || c->bye_sent || c->dead ||
	    sends_out(c) >= ROCE_SENDS - 1)
		return;
	roce_frame_put(frame, ROCE_CREDIT, take_owed(c), 0);
	own_frame(c, frame, sizeof(frame), false);
}

/* A write of nothing names no memory; it takes a place in the send queue, but not one of the peer's receives. */
void roce_tx_probe(struct fab_msg_conn *c)
{
	unsigned number = c->sq_head % ROCE_SENDS;
	struct ibv_send_wr *bad, wr = {
		.wr_id = send_id(c, number),
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
	};
	int err;

	if (sends_out(c) >= ROCE_SENDS - 1)
		return; /* there is more than enough to acknowledge */
	c->tx_bufs[number] = NULL;
	c->sq_signalled = ++c->sq_head;
	err = ibv_post_send(c->qp, &wr, &bad);
	if (err)
		fail_later(c, -err);
}

/* --------------------------------------------------------------------- messages */

static uint32_t frame_room(const struct post *p)
{
	return p->c->frame_max - p->at;
}

/* A frame to fill, with room for any piece without payload; false: there can be none now. */
static bool frame_ready(struct post *p)
{
	struct fab_msg_conn *c = p->c;

	if (p->buf)
		return true;
	if (p->n == POST_MAX)
		return false;
	if (c->tx_credits <= p->n || sends_out(c) + p->n >= ROCE_DATA_SENDS) {
		c->tx_blocked = true;
		return false;
	}
	p->buf = roce_buf_get(c->dev);
	p->at = sizeof(struct roce_frame);
	p->no_memory = !p->buf;
	c->tx_blocked |= p->no_memory;
	return p->buf;
}

static void frame_over(struct post *p)
{
	if (!p->buf)
		return;
	p->bufs[p->n] = p->buf;
	p->len[p->n++] = p->at;
	p->bytes += p->at;
	p->buf = NULL;
}

/* Payload from @from on, @len octets of it. */
static void copy_payload(uint8_t *to, const struct fab_send *s, uint32_t from, uint32_t len)
{
	for (unsigned i = 0; i < s->niov && len; i++) {
		const struct iovec *v = &s->iov[i];
		uint32_t n;

		if (from >= v->iov_len) {
			from -= v->iov_len;
			continue;
		}
		n = v->iov_len - from < len ? v->iov_len - from : len;
		memcpy(to, (const uint8_t *)v->iov_base + from, n);
		to += n;
		len -= n;
		from = 0;
	}
}

static void put_piece(struct post *p, const struct fab_send *s, uint32_t len)
{
	uint8_t *at = p->buf->mem + p->at;
	uint32_t head = roce_piece_put(at, s, p->off, len);

	if (len) {
		copy_payload(at + head, s, p->off, len);
		memset(at + head + len, 0, roce_pad(len) - len);
		p->copies++;
		p->copy_bytes += len;
	}
	p->at += head + roce_pad(len);
	p->off += len;
}

/* Adds what is left of a message; false: not all of it fitted. */
static bool put_message(struct post *p, const struct fab_send *s)
{
	uint32_t head = roce_piece_head(roce_op_of(s));
	uint32_t size = roce_has_payload(roce_op_of(s)) ? s->len : 0;

	do {
		uint32_t left = size - p->off, room, len;

		if (!frame_ready(p))
			return false;
		room = frame_room(p);
		if (room < head || (room - head < left && room - head < PIECE_WORTH)) {
			frame_over(p);
			continue;
		}
		room = (room - head) & ~7u;
		len = left < room ? left : room;
		put_piece(p, s, len);
		if (len == left)
			return true;
	} while (true);
}

static bool is_answer(const struct fab_send *s)
{
	return s->op == FAB_READ_RESP || s->op == FAB_ATOMIC_RESP;
}

/* Empty reads of the peer's whose turn it is. */
static bool put_empties(struct post *p)
{
	struct fab_msg_conn *c = p->c;
	struct roce_empty *e;

	while ((e = c->empties) && e->behind == c->answered) {
		struct fab_send s = { .op = FAB_READ_RESP, .stag = e->stag, .to = e->to };

		if (!put_message(p, &s))
			return false;
		c->empties = e->next;
		free(e);
	}
	return true;
}

void roce_empties_free(struct fab_msg_conn *c)
{
	struct roce_empty *e;

	while ((e = c->empties)) {
		c->empties = e->next;
		free(e);
	}
}

/* Fills frames. What was peeked at, and is whole, is counted in @p. */
static void put_messages(struct post *p)
{
	struct fab_msg_conn *c = p->c;
	const struct fab_send *s;

	p->off = c->tx_off;
	p->more = true;
	while ((p->off || put_empties(p)) && !(c->shut && !p->off) && p->bytes < FAB_TURN_BYTES &&
	       (p->buf || frame_ready(p))) {
		s = c->ops->tx_peek(c->user, p->next);
		if (c->state != RC_OPEN)
			return;
		if (!s) {
			p->more = false;
			if (p->off)
				fail_later(c, -EFAULT); /* the rest of a message cannot be had */
			return;
		}
		p->next++;
		if (!put_message(p, s))
			return;
		p->done++;
		p->off = 0;
		c->answered += is_answer(s);
	}
}

static void bufs_drop(struct post *p)
{
	struct roce_dev *dev = p->c->dev;

	if (!dev || dev->dead)
		return;
	if (p->buf)
		roce_buf_put(dev, p->buf);
	for (unsigned i = 0; i < p->n; i++)
		roce_buf_put(dev, p->bufs[i]);
}

static void post_all(struct post *p)
{
	struct fab_msg_conn *c = p->c;

	if (p->buf && p->at > sizeof(struct roce_frame)) {
		frame_over(p);
	} else if (p->buf) {
		roce_buf_put(c->dev, p->buf);
		p->buf = NULL;
	}
	if (!p->n)
		return;
	for (unsigned i = 0; i < p->n; i++)
		roce_frame_put(p->bufs[i]->mem, ROCE_DATA, i ? 0 : take_owed(c), 0);
	c->tx_credits -= p->n;
	COUNT(c->fab, copies, p->copies);
	COUNT(c->fab, copy_bytes, p->copy_bytes);
	COUNT(c->fab, msgs_tx, p->done);
	post_frames(c, p->bufs, p->len, p->n, false);
}

static void retry_memory(struct timer *t)
{
	struct fab_msg_conn *c = container(t, struct fab_msg_conn, timer);
	struct fab *fab = c->fab;

	roce_enter(fab);
	roce_tx_unblock(c);
	roce_leave(fab);
}

/* One round: peek, post, done. How many octets went. */
static size_t tx_round(struct fab_msg_conn *c)
{
	struct post p = { .c = c };

	link_del(&c->dirty);
	put_messages(&p);
	if (c->state != RC_OPEN) {
		bufs_drop(&p);
		return 0;
	}
	post_all(&p);
	c->tx_off = p.off;
	if (p.no_memory)
		roce_timer_start(c, RETRY_NS, retry_memory);
	if (p.next)
		c->ops->tx_done(c->user, p.done, p.off != 0);
	if (c->state != RC_OPEN)
		return 0;
	if (c->shut && !c->tx_off)
		roce_tx_bye(c, ROCE_BYE_DONE);
	else if (p.more)
		roce_tx_want(c);
	return p.bytes;
}

void roce_tx_flush(struct fab_msg_conn *c)
{
	size_t bytes = 0, n;

	if (c->state != RC_OPEN || c->bye_sent || c->dead)
		return;
	do {
		n = tx_round(c);
		bytes += n;
	} while (n && bytes < FAB_TURN_BYTES && c->state == RC_OPEN && linked(&c->dirty) &&
		 !c->bye_sent && !c->dead);
}

void roce_tx_want(struct fab_msg_conn *c)
{
	if (c->state != RC_OPEN || c->tx_blocked || c->bye_sent || c->dead || linked(&c->dirty))
		return;
	link_move(&c->fab->dirty, &c->dirty);
}

void roce_tx_unblock(struct fab_msg_conn *c)
{
	if (!c->tx_blocked)
		return;
	c->tx_blocked = false;
	roce_tx_want(c);
}

void roce_tx_now(struct fab_msg_conn *c)
{
	if (c->state != RC_OPEN || c->tx_blocked)
		return;
	roce_enter(c->fab);
	roce_tx_flush(c);
	roce_leave(c->fab);
}
