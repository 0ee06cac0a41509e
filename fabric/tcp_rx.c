/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_rx.c - kernel TCP, receive: reads that land where the user of the connection says, and the
 * few connections that are hot, having had data last; see tcp_io.c for what they are good for.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <sys/socket.h>

#define RX_IOV_MAX 32      /* entries of one read */
#define RX_SURE_BYTES 4096 /* a short read of so much is not taken for an empty socket, see below */

#define HOT_WINDOW 64 /* turns within which connections count as active together */
#define HOT_OFF_TURNS 1024
#define HOT_STALE_TURNS 1024

/* ------------------------------------------------------------------ hot connections */

void conn_cool(struct fab_conn *c)
{
	if (c->src.heat)
		c->src.fab->hot[c->src.heat - 1] = NULL;
	c->src.heat = 0;
}

static void cool_all(struct fab *fab)
{
	for (int i = 0; i < HOT_MAX; i++) {
		if (fab->hot[i])
			conn_cool(fab->hot[i]);
	}
}

/* The place to put one more: a free one, else the one that had no data for longest. */
static int hot_place(const struct fab *fab)
{
	int oldest = 0;

	for (int i = 0; i < HOT_MAX; i++) {
		if (!fab->hot[i])
			return i;
		if (fab->tick - fab->hot_tick[i] > fab->tick - fab->hot_tick[oldest])
			oldest = i;
	}
	return oldest;
}

/* Data was found on @c. */
static void conn_heat(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;
	int i;

	fab->hot_misses = 0;
	if (!c->src.heat) {
		if (fab->hot_off || !(c->src.flags & SRC_REGISTERED))
			return;
		i = hot_place(fab);
		if (fab->hot[i]) {
			if (fab->tick - fab->hot_tick[i] < HOT_WINDOW) {
				fab->hot_off = HOT_OFF_TURNS;
				cool_all(fab);
				return;
			}
			conn_cool(fab->hot[i]);
		}
		fab->hot[i] = c;
		c->src.heat = (uint8_t)(i + 1);
	}
	fab->hot_tick[c->src.heat - 1] = fab->tick;
}

/* Drops those that fell silent long before the latest data, so that one active one is alone. */
void cool_stale(struct fab *fab)
{
	uint32_t least = UINT32_MAX;

	for (int i = 0; i < HOT_MAX; i++) {
		if (fab->hot[i] && fab->tick - fab->hot_tick[i] < least)
			least = fab->tick - fab->hot_tick[i];
	}
	for (int i = 0; i < HOT_MAX; i++) {
		if (fab->hot[i] && fab->tick - fab->hot_tick[i] - least > HOT_STALE_TURNS)
			conn_cool(fab->hot[i]);
	}
}

/* ------------------------------------------------------------------ receive */

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

	c->src.flags &= ~SRC_RX_WANT;
	cnt = c->ops->rx_next(c->user, n, iov, RX_IOV_MAX);
	if (src_dead(&c->src))
		return 0;
	if (cnt < 0)
		conn_fail(c, cnt);
	else if (cnt > 0)
		c->src.flags |= SRC_RX_WANT;
	else if ((c->src.flags & (SRC_TX_DEAD | SRC_RX_WANT)) == SRC_TX_DEAD)
		conn_fail(c, c->err); /* what still lies there would never be read */
	return cnt > 0 ? cnt : 0;
}

static void rx_end(struct fab_conn *c)
{
	if (c->src.flags & SRC_TX_DEAD) {
		conn_fail(c, c->err);
		return;
	}
	c->src.flags = (c->src.flags | SRC_EOF) & ~(SRC_READABLE | SRC_RX_WANT);
	conn_cool(c);
	COUNT(c->src.fab, eofs, 1);
	c->src.fab->done++;
	c->ops->rx_eof(c->user);
}

/* The socket is empty: from here on its edge tells. */
static void rx_empty(struct fab_conn *c)
{
	int err;

	COUNT(c->src.fab, rx_empty, 1);
	c->src.flags &= ~(SRC_READABLE | SRC_HUP);
	c->ops->rx_none(c->user);
	if (src_dead(&c->src))
		return;
	err = source_register(&c->src);
	if (err)
		conn_fail(c, err);
}

/* A read failed. Returns whether to go on at once. */
static bool rx_error(struct fab_conn *c, int err)
{
	switch (err) {
	case -EAGAIN:
		rx_empty(c);
		return false;
	case -EFAULT:
		c->src.fab->done++;
		err = c->ops->rx_fault(c->user, err);
		if (!err)
			return !src_dead(&c->src);
		break;
	}
	conn_fail(c, c->src.flags & SRC_TX_DEAD ? c->err : err);
	return false;
}

ssize_t rx_read(struct fab_conn *c, struct iovec *iov, int cnt)
{
	ssize_t n;

	do {
		COUNT(c->src.fab, sys_read, 1);
		if (cnt == 1)
			n = recv(c->src.fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);
		else
			n = readv(c->src.fd, iov, cnt);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void rx_moved(struct fab_conn *c, size_t n)
{
	struct fab *fab = c->src.fab;

	COUNT(fab, rx_bytes, n);
	fab->bytes += n;
	fab->done++;
	conn_heat(c);
}

/*
 * @n bytes came where more would have fitted. Normally that empties the socket, and asking again to
 * hear so would double the reads of a request. But the bit stays
 * - when a FIN or an error is queued behind the data: nothing will announce it again;
 * - for a connection that is not registered, which no edge will wake. It gets a few turns before it is asked
 *   again (and then registered): most short connections are closed by then;
 * - after a larger read: it may have been cut by memory that cannot be written, and the rest, with
 *   nothing to announce it, would stay in the kernel. (Below a page that is left undetected until
 *   more arrives: the price would be a second read for every small message.)
 * Returns whether to read on at once.
 */
static bool rx_short(struct fab_conn *c, size_t n)
{
	if (c->src.flags & SRC_HUP)
		return true;
	if (!(c->src.flags & SRC_REGISTERED))
		c->src.lag = 2;
	else if (n < RX_SURE_BYTES)
		c->src.flags &= ~SRC_READABLE;
	return false;
}

/* What a read gave; returns whether to go on, and in @n what was read, of at most @room. */
static bool rx_took(struct fab_conn *c, ssize_t ret, size_t room, size_t *n)
{
	*n = 0;
	if (ret == 0) {
		rx_end(c);
		return false;
	}
	if (ret < 0)
		return rx_error(c, (int)ret);
	*n = (size_t)ret;
	rx_moved(c, *n);
	return *n == room || rx_short(c, *n);
}

/*
 * Reads @c until it is empty, its user stops, or it has had its share of the turn. @n bytes have been
 * read that the user has not been told of; @more: there may be more. What was read is told in any
 * case, by the question for what comes next.
 */
static void rx_go_on(struct fab_conn *c, size_t n, bool more)
{
	struct fab *fab = c->src.fab;
	struct iovec iov[RX_IOV_MAX];
	size_t room, got = n;
	int cnt;

	while (more || n) {
		cnt = rx_ask(c, n, iov);
		if (!cnt)
			return;
		room = rx_bound(iov, &cnt);
		if (!room) /* nothing could be told from a read of no bytes: a stop */
			c->src.flags &= ~SRC_RX_WANT;
		if (!room || !more || got >= FAB_TURN_BYTES || fab->bytes >= FAB_TURN_BYTES ||
		    fab->done >= fab->budget) {
			c->ops->rx_none(c->user);
			return;
		}
		more = rx_took(c, rx_read(c, iov, cnt), room, &n);
		got += n;
	}
}

void rx_run(struct fab_conn *c)
{
	rx_go_on(c, 0, true);
}

/* The first read of a connection, to be made with others. False: there is none to be made. */
bool rx_plan(struct fab_conn *c, struct io_slot *s)
{
	int cnt = rx_ask(c, 0, s->iov);

	if (!cnt)
		return false;
	s->room = rx_bound(s->iov, &cnt);
	if (!s->room) {
		c->src.flags &= ~SRC_RX_WANT;
		c->ops->rx_none(c->user);
		return false;
	}
	s->c = c;
	s->flags = MSG_DONTWAIT;
	s->msg = (struct msghdr){ .msg_iov = s->iov, .msg_iovlen = (size_t)cnt };
	return true;
}

void rx_outcome(struct io_slot *s)
{
	size_t n;
	bool more = rx_took(s->c, s->ret, s->room, &n);

	rx_go_on(s->c, n, more);
}

void tcp_rx_want(struct fab_conn *c)
{
	fab_enter(c->src.fab);
	if (!(c->src.flags & (SRC_DEAD | SRC_EOF))) {
		c->src.flags |= SRC_RX_WANT;
		conn_check_ready(c);
	}
	fab_leave(c->src.fab);
}
