/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rx.c - byte streams on queue pairs, receive: what is in the ring to where the user says.
 */
#include "fabric/qstream/internal.h"

#include <stdlib.h>

#define RX_IOV_MAX 32 /* entries of one read */

static enum qs_class ring_class(const struct fab_conn *c)
{
	if (!qs_rx_has_ring(c))
		return QS_EARLY;
	return c->rx_size == QS_RING_MAX ? QS_WHOLE : QS_LARGE;
}

void qs_rx_drop(struct fab_conn *c)
{
	if (c->rx_buf)
		qs_arena_put(&c->q->arena, ring_class(c), c->rx_buf);
	c->rx_buf = NULL;
	c->rx_size = c->rx_stag = 0;
	c->rx_head = c->rx_tail;
	free(c->rx_msg);
	c->rx_msg = NULL;
}

/* The user has read: there is room for more, and the peer hears of it by the half. */
static void rx_consumed(struct fab_conn *c, size_t n)
{
	c->rx_head += n;
	if (!qs_rx_has_data(c) && c->rx_buf && !qs_rx_has_ring(c)) {
		qs_arena_put(&c->q->arena, QS_EARLY, c->rx_buf);
		c->rx_buf = NULL;
		c->rx_size = 0;
	}
	if (c->rx_head + qs_rx_span(c) - c->rx_limit >= qs_rx_span(c) / 2 &&
	    !(c->flags & QC_FIN_RX)) {
		c->flags |= QC_CREDIT;
		qs_tx_tell(c);
	}
}

/* Cuts the list to FAB_IO_BYTES; returns what is left of it. */
static size_t rx_bound(struct iovec *iov, int *cnt)
{
	size_t sum = 0;

	for (int i = 0; i < *cnt; i++) {
		if (iov[i].iov_len >= FAB_IO_BYTES - sum) {
			iov[i].iov_len = FAB_IO_BYTES - sum;
			*cnt = i + 1;
			return FAB_IO_BYTES;
		}
		sum += iov[i].iov_len;
	}
	return sum;
}

/*
 * Tells the user what arrived and asks where the next goes. The want is taken back before the call,
 * so that an rx_want() from within it counts. Returns the entries, 0 to stop.
 */
static int rx_ask(struct fab_conn *c, size_t n, struct iovec *iov)
{
	int cnt;

	c->flags &= ~QC_RX_WANT;
	cnt = c->ops->rx_next(c->user, n, iov, RX_IOV_MAX);
	if (c->flags & QC_OVER)
		return 0;
	if (cnt < 0)
		qs_conn_fail(c, cnt);
	else if (cnt > 0)
		c->flags |= QC_RX_WANT;
	return cnt > 0 ? cnt : 0;
}

/* The ring is empty, and nothing will come into it. Returns whether that was so. */
static bool rx_end(struct fab_conn *c)
{
	if ((c->flags & (QC_FIN_RX | QC_EOF)) == QC_FIN_RX) {
		c->flags = (c->flags | QC_EOF) & ~QC_RX_WANT;
		QS_COUNT(c->q, eofs, 1);
		c->q->done++;
		c->ops->rx_eof(c->user);
		return true;
	}
	if (c->flags & QC_DEAD) {
		qs_conn_fail(c, c->err);
		return true;
	}
	return false;
}

/* Copies once. Bytes; 0: it is over; -EFAULT: dealt with, go on. */
static ssize_t rx_copy(struct fab_conn *c, struct iovec *iov, int cnt, size_t room)
{
	uint32_t at = c->rx_head & (c->rx_size - 1);
	size_t len = c->rx_size - at;
	ssize_t n;
	int err;

	if (len > c->rx_tail - c->rx_head)
		len = c->rx_tail - c->rx_head;
	if (len > room)
		len = room;
	QS_COUNT(c->q, sys_other, 1);
	n = qs_copy_out(&c->q->arena, c->rx_buf + at, iov, cnt, len);
	c->q->done++;
	if (n > 0) {
		QS_COUNT(c->q, copies, 1);
		QS_COUNT(c->q, copy_bytes, n);
		rx_consumed(c, n);
		return n;
	}
	err = n == -EFAULT ? c->ops->rx_fault(c->user, -EFAULT) : (int)n;
	if (!err)
		return c->flags & QC_OVER ? 0 : -EFAULT;
	qs_conn_fail(c, err);
	return 0;
}

/* Gives @c's user what there is, until it stops, or the connection has had its share of the turn. */
void qs_rx_run(struct fab_conn *c)
{
	struct qstream *q = c->q;
	struct iovec iov[RX_IOV_MAX];
	size_t room, got = 0;
	ssize_t n = 0;
	int cnt;

	/* that it is dead needs no place */
	if (!(c->flags & QC_RX_WANT) || (c->flags & QC_EOF)) {
		qs_conn_fail(c, c->err);
		return;
	}
	for (;;) {
		cnt = rx_ask(c, n > 0 ? (size_t)n : 0, iov);
		if (!cnt)
			return;
		room = rx_bound(iov, &cnt);
		if (!room) /* nothing could be told from a read of no bytes: a stop */
			c->flags &= ~QC_RX_WANT;
		else if (!qs_rx_has_data(c) && rx_end(c))
			return;
		if (!room || !qs_rx_has_data(c) || got >= FAB_TURN_BYTES || q->done >= q->budget) {
			c->ops->rx_none(c->user);
			return;
		}
		n = rx_copy(c, iov, cnt, room);
		if (!n)
			return;
		got += n > 0 ? (size_t)n : 0;
		q->bytes += n > 0 ? (size_t)n : 0;
	}
}

void qstream_rx_want(struct fab_conn *c)
{
	qs_enter(c->q);
	if (!(c->flags & (QC_OVER | QC_EOF))) {
		c->flags |= QC_RX_WANT;
		qs_conn_check_ready(c);
	}
	qs_leave(c->q);
}
