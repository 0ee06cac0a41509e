/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tx.c - byte streams on queue pairs, transmit: what the user gives, copied into chunks.
 *
 * The user's memory is used within one call only: a copy that cannot read it says so, and nothing of it
 * is on its way yet. So what the wire has is the arena's, and is there for as long as it likes.
 */
#include "fabric/qstream/internal.h"

#include <stdlib.h>
#include <unistd.h>

#define TX_TRIES_MAX 16

/* ------------------------------------------------------------------ chunks */

/* More than the default would only be memory: the peer's ring is what bounds what is under way. */
size_t qs_tx_sndbuf(const struct fab_conn *c)
{
	return c->sndbuf && c->sndbuf < QS_SNDBUF ? c->sndbuf : QS_SNDBUF;
}

static size_t tx_room(const struct fab_conn *c)
{
	size_t staged = c->tx_staged - c->tx_done, most = qs_tx_sndbuf(c);

	return staged < most ? most - staged : 0;
}

bool qs_tx_begin(struct fab_conn *c)
{
	if (!c->tx)
		c->tx = calloc(1, sizeof(*c->tx));
	return c->tx;
}

static void chunk_free(struct qstream *q, struct qs_chunk *k)
{
	qs_arena_put(&q->arena, k->cls, k->data);
	free(k);
	q->chunks--;
	/* those that waited for one try again */
	while (linked(&q->starved)) {
		struct fab_conn *c = container(q->starved.next, struct fab_conn, dirty);

		link_del(&c->dirty);
		qs_conn_dirty(c);
		q->tx_left = true;
	}
}

void qs_tx_release(struct fab_conn *c)
{
	struct qs_tx *tx = c->tx;
	struct qs_chunk *k;

	while ((k = tx->head) && k->start + k->len <= c->tx_done) {
		tx->head = k->next;
		if (!tx->head)
			tx->tail = NULL;
		chunk_free(c->q, k);
	}
	if (!tx->head && !tx->count) {
		free(tx);
		c->tx = NULL;
	}
}

void qs_tx_drop(struct fab_conn *c)
{
	if (!c->tx)
		return;
	c->tx_done = c->tx_formed = c->tx_staged;
	c->tx->count = 0;
	qs_tx_release(c);
}

/* A place for some of @len bytes. NULL: there is no memory. */
static struct qs_chunk *chunk_for(struct fab_conn *c, size_t len)
{
	struct qs_chunk *k = c->tx ? c->tx->tail : NULL;
	/* small ones for who sends little, or one behind the other would take many */
	enum qs_class cls = k || len > qs_class_size(QS_SMALL) ? QS_LARGE : QS_SMALL;

	if (k && k->len < k->room)
		return k;
	if (!qs_tx_begin(c))
		return NULL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->data = qs_arena_get(&c->q->arena, cls);
	if (!k->data) {
		free(k);
		return NULL;
	}
	c->q->chunks++;
	k->cls = cls;
	k->room = (uint32_t)qs_class_size(cls);
	k->start = c->tx_staged;
	if (c->tx->tail)
		c->tx->tail->next = k;
	else
		c->tx->head = k;
	c->tx->tail = k;
	return k;
}

/* A chunk that was made for nothing, or a block of messages. */
static void trim(struct fab_conn *c)
{
	struct qs_tx *tx = c->tx;

	/* only an empty one can be alone: what was staged before would be in front */
	if (tx && tx->tail && !tx->tail->len && tx->head == tx->tail)
		qs_tx_release(c);
	else if (tx && !tx->head && !tx->count)
		qs_tx_release(c);
}

/* ------------------------------------------------------------------ staging */

/* Drops what is copied from the front of a list. */
static int iov_skip(struct iovec **iov, int cnt, size_t n)
{
	while (cnt && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		cnt--;
	}
	if (n) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
	return cnt;
}

/* Bytes copied; -EFAULT: none can be; -ENOBUFS: none now. */
static ssize_t stage(struct fab_conn *c, struct iovec *iov, int cnt, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct qs_chunk *k = chunk_for(c, len - done);
		size_t part = len - done;
		ssize_t n;

		if (!k)
			return done ? (ssize_t)done : -ENOBUFS;
		if (part > k->room - k->len)
			part = k->room - k->len;
		QS_COUNT(c->q, sys_other, 1);
		n = qs_copy_in(&c->q->arena, k->data + k->len, iov, cnt, part);
		if (n < 0)
			return done ? (ssize_t)done : n;
		k->len += n;
		c->tx_staged += n;
		done += n;
		cnt = iov_skip(&iov, cnt, n);
	}
	QS_COUNT(c->q, copies, 1);
	QS_COUNT(c->q, copy_bytes, done);
	return (ssize_t)done;
}

static size_t iov_bytes(const struct iovec *iov, int cnt)
{
	size_t sum = 0;

	for (int i = 0; i < cnt; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Goes on when a chunk, of whatever connection, is free again. */
static void starve(struct fab_conn *c)
{
	if (c->flags & QC_OVER)
		return;
	c->flags |= QC_TX_WANT;
	link_del(&c->dirty);
	link_append(&c->q->starved, &c->dirty);
}

/* Nothing could be staged. Returns whether to go on at once. */
static bool tx_error(struct fab_conn *c, int err)
{
	if (err == -ENOBUFS || err == -ENOMEM || err == -ENOSPC) {
		c->ops->tx_done(c->user, 0);
		if (c->q->chunks)
			starve(c);
		else
			qs_conn_fail(c, err); /* and none will be free */
		return false;
	}
	err = c->ops->tx_fault(c->user, err);
	if (err)
		qs_conn_fail(c, err);
	return !(c->flags & QC_OVER);
}

/* A range of a file, or the first bytes of it: asked again at once. */
static bool tx_file(struct fab_conn *c, const struct iovec *iov, size_t *sent)
{
	const struct fab_file_range *range = iov->iov_base;
	size_t len = iov->iov_len, room = tx_room(c);
	struct qs_chunk *k = chunk_for(c, len);
	ssize_t n;

	if (!k)
		return tx_error(c, -ENOBUFS);
	len = len < room ? len : room;
	if (len > k->room - k->len)
		len = k->room - k->len;
	QS_COUNT(c->q, sys_sendfile, 1);
	do {
		n = pread(range->fd, k->data + k->len, len, (off_t)range->offset);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		n = n ? -errno : -ENODATA;
		trim(c);
		return tx_error(c, n == -ENOBUFS || n == -ENOMEM || n == -ENOSPC ? -EIO : (int)n);
	}
	k->len += n;
	c->tx_staged += n;
	*sent += n;
	c->ops->tx_done(c->user, n);
	return !(c->flags & QC_OVER);
}

/* Nobody takes it any more. */
static bool tx_refuse(struct fab_conn *c, int err)
{
	c->ops->tx_done(c->user, 0);
	/* what was announced is read first, if it is wanted */
	if (qs_rx_has_data(c) && (c->flags & QC_RX_WANT) && (c->flags & QC_DEAD)) {
		c->flags |= QC_LOST;
		c->err = c->err == -EPIPE ? -ECONNRESET : c->err;
		qs_conn_check_ready(c);
	} else {
		qs_conn_fail(c, err);
	}
	return false;
}

/* One list of the user's; returns whether another must follow at once. */
static bool tx_once(struct fab_conn *c, struct iovec *iov, size_t *sent)
{
	size_t room = tx_room(c), bytes;
	ssize_t n;
	bool more;
	int cnt;

	c->flags &= ~QC_TX_WANT;
	cnt = c->ops->tx_next(c->user, iov, FAB_IOV_MAX,
			      room < FAB_WRITE_BYTES ? room : FAB_WRITE_BYTES);
	if ((c->flags & QC_OVER) || cnt <= 0)
		return false;
	if (c->flags & (QC_DEAD | QC_FIN_WANT))
		return tx_refuse(c, c->flags & QC_DEAD ? c->err : -EPIPE);
	if (cnt & FAB_TX_FILE)
		return tx_file(c, iov, sent);
	more = cnt & FAB_TX_MORE;
	cnt &= ~FAB_TX_MORE;
	bytes = iov_bytes(iov, cnt);
	if (!bytes)
		return false;
	n = stage(c, iov, cnt, bytes < room ? bytes : room);
	if (n < 0) {
		trim(c);
		return tx_error(c, (int)n);
	}
	*sent += n;
	c->ops->tx_done(c->user, n);
	if (c->flags & QC_OVER)
		return false;
	if ((size_t)n < bytes) {
		QS_COUNT(c->q, tx_short, 1);
		return true;
	}
	if (!more && (bytes >= FAB_WRITE_BYTES / 4 || cnt >= FAB_IOV_MAX / 4))
		qs_conn_dirty(c);
	return more;
}

/* Asked again when a quarter is free. */
static bool tx_full(struct fab_conn *c)
{
	if (c->flags & (QC_DEAD | QC_FIN_WANT) || tx_room(c))
		return false;
	c->flags |= QC_TX_FULL | QC_TX_WANT;
	link_del(&c->dirty);
	return true;
}

size_t qs_tx_run(struct fab_conn *c)
{
	struct iovec iov[FAB_IOV_MAX];
	size_t sent = 0;
	int tries = 0;
	bool again = true;

	c->flags |= QC_TX_BUSY;
	while (again && !tx_full(c) && sent < FAB_TURN_BYTES && tries++ < TX_TRIES_MAX)
		again = tx_once(c, iov, &sent);
	c->flags &= ~QC_TX_BUSY;
	if (again && !(c->flags & QC_TX_FULL))
		qs_conn_dirty(c);
	return sent;
}

void qstream_tx_want(struct fab_conn *c)
{
	/* No enter and leave: a flush follows in this turn, a sleeper need not hear of it. */
	qs_conn_dirty(c);
}

void qstream_tx_now(struct fab_conn *c)
{
	struct qstream *q = c->q;

	qs_enter(q);
	qs_conn_dirty(c);
	/* From inside its own transmit upcalls it is a tx_want. */
	if (linked(&c->dirty) && !(c->flags & QC_TX_BUSY)) {
		link_del(&c->dirty);
		qs_tx_run(c);
		if (c->mc && qs_tx_can_form(c))
			q->attr.msg->tx_now(c->mc);
		if (linked(&c->dirty))
			q->tx_left = true;
	}
	qs_leave(q);
}
