/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sq.c - the send queue: frames, and what the device is to write or read itself.
 *
 * Of the frames of a post only the last tells of its end, and short ones, which the device takes over at
 * once, only now and then. What the device carries always does.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <string.h>

unsigned roce_sends_out(const struct fab_msg_conn *c)
{
	return (uint16_t)(c->sq_head - c->sq_tail);
}

void roce_fail_later(struct fab_msg_conn *c, int err)
{
	c->dead = true;
	if (!c->lost)
		c->lost = err;
	roce_later(c);
}

uint16_t roce_take_owed(struct fab_msg_conn *c)
{
	uint16_t n = c->rx_owed;

	c->rx_owed = 0;
	c->rx_given += n;
	return n;
}

/* ----------------------------------------------------------------------- posting */

static uint64_t send_id(const struct fab_msg_conn *c, unsigned number)
{
	return number | (uint64_t)c->slot << 16 | (uint64_t)(c->generation & 0x7fffff) << 41;
}

static void fill_frame(const struct fab_msg_conn *c, struct ibv_send_wr *wr, struct ibv_sge *sge,
		       const struct roce_wr *from)
{
	*sge = (struct ibv_sge){ (uintptr_t)from->buf->mem, from->len, from->buf->lkey };
	wr->sg_list = sge;
	wr->num_sge = 1;
	wr->opcode = IBV_WR_SEND;
	wr->send_flags = from->len <= c->inline_max ? IBV_SEND_INLINE : 0;
}

static void fill_place(struct ibv_send_wr *wr, struct roce_place *p)
{
	wr->sg_list = p->sge;
	wr->num_sge = p->nsge;
	wr->opcode = p->op == FAB_READ ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE;
	wr->send_flags = IBV_SEND_SIGNALED;
	wr->wr.rdma.remote_addr = p->addr;
	wr->wr.rdma.rkey = p->rkey;
}

/* The send queue has it from here on, posted or not. */
static void fill(struct fab_msg_conn *c, struct ibv_send_wr *wr, struct ibv_sge *sge,
		 const struct roce_wr *from)
{
	unsigned number = c->sq_head % ROCE_SENDS;

	*wr = (struct ibv_send_wr){ .wr_id = send_id(c, number) };
	if (from->place) {
		fill_place(wr, from->place);
		from->place->number = c->sq_head;
		link_append(&c->placed, &from->place->link);
	} else {
		fill_frame(c, wr, sge, from);
		COUNT(c->fab, fpdus_tx, 1);
	}
	c->tx_bufs[number] = from->buf;
	c->sq_head++;
	if (wr->send_flags & IBV_SEND_SIGNALED)
		c->sq_signalled = c->sq_head;
	COUNT(c->fab, tx_bytes, from->len);
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

static bool wants_signal(const struct fab_msg_conn *c, bool must)
{
	return must || (uint16_t)(c->sq_head - c->sq_signalled) >= ROCE_SIGNAL_EVERY;
}

int roce_post(struct fab_msg_conn *c, const struct roce_wr *wrs, unsigned n, bool must)
{
	struct ibv_send_wr wr[ROCE_POST], *bad;
	struct ibv_sge sge[ROCE_POST];
	int err;

	for (unsigned i = 0; i < n; i++) {
		fill(c, &wr[i], &sge[i], &wrs[i]);
		wr[i].next = i + 1 < n ? &wr[i + 1] : NULL;
		/* the buffer of one that is not inline comes back with the end of the last */
		must |= !wr[i].send_flags;
	}
	if (wants_signal(c, must)) {
		wr[n - 1].send_flags |= IBV_SEND_SIGNALED;
		c->sq_signalled = c->sq_head;
	}
	COUNT(c->fab, sys_write, 1);
	err = ibv_post_send(c->qp, wr, &bad);
	if (err) {
		roce_fail_later(c, -err);
		return -err;
	}
	for (unsigned i = 0; i < n; i++)
		inline_over(c, &wr[i]);
	return 0;
}

static void bufs_over(struct fab_msg_conn *c, unsigned over)
{
	while (over--) {
		struct roce_buf **buf = &c->tx_bufs[c->sq_tail++ % ROCE_SENDS];

		if (*buf)
			roce_buf_put(c->dev, *buf);
		*buf = NULL;
	}
}

void roce_tx_completed(struct fab_msg_conn *c, unsigned number)
{
	uint16_t over = (uint16_t)((number - c->sq_tail) % ROCE_SENDS) + 1;

	if (over > roce_sends_out(c))
		return;
	c->heard = true;
	bufs_over(c, over);
	roce_places_over(c);
	if (c->state == RC_LINGERING) {
		roce_linger_look(c);
		return;
	}
	roce_tx_report(c, false);
	roce_tx_unblock(c);
	roce_tx_credit(c);
}

/* ------------------------------------------------------------ frames of our own */

/* Hellos, of which there is one on each side, and BYE: what comes after them waits for their end. */
static int own_frame(struct fab_msg_conn *c, const uint8_t *p, size_t n, bool must)
{
	struct roce_wr wr = { .len = n };

	if (c->dead || !c->qp)
		return -ENOTCONN;
	if (roce_sends_out(c) >= ROCE_SENDS)
		return -EAGAIN;
	wr.buf = roce_buf_get(c->dev);
	if (!wr.buf)
		return -ENOMEM;
	memcpy(wr.buf->mem, p, n);
	return roce_post(c, &wr, 1, must);
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
	    roce_sends_out(c) >= ROCE_SENDS - 1)
		return;
	roce_frame_put(frame, ROCE_CREDIT, roce_take_owed(c), 0);
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

	if (roce_sends_out(c) >= ROCE_SENDS - 1)
		return; /* there is more than enough to acknowledge */
	c->tx_bufs[number] = NULL;
	c->sq_signalled = ++c->sq_head;
	err = ibv_post_send(c->qp, &wr, &bad);
	if (err)
		roce_fail_later(c, -err);
}
