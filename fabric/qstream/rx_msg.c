/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rx_msg.c - byte streams on queue pairs, receive: messages and writes into the ring, or into the
 * small buffer that stands for it.
 *
 * All that a peer says is checked here: what is not within its credit, not in its order, or not in
 * the ring ends the queue pair. Of writes that a device places (rx_key) it is the same, when the peer
 * says that they are there; but whether they are cannot be told. So a ring is cleared of what another
 * connection has left there.
 */
#include "fabric/qstream/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint32_t qs_rx_span(const struct fab_conn *c)
{
	return qs_rx_has_ring(c) ? c->rx_size : QS_WINDOW;
}

static int refuse(struct fab_conn *c, const char *what, int err)
{
	fab_logf(&c->q->env, FAB_LOG_WARN, "stream: %s", what);
	QS_COUNT(c->q, proto_errors, 1);
	return err;
}

/* ------------------------------------------------------------------ buffers */

/* Octet number @from and those behind it, to where they belong. */
static void buffer_put(struct fab_conn *c, uint64_t from, const uint8_t *p, uint32_t len)
{
	uint32_t at = from & (c->rx_size - 1), part = c->rx_size - at;

	if (part > len)
		part = len;
	memcpy(c->rx_buf + at, p, part);
	memcpy(c->rx_buf, p + part, len - part);
	QS_COUNT(c->q, copies, 1);
	QS_COUNT(c->q, copy_bytes, len);
}

static bool buffer_make(struct fab_conn *c)
{
	if (c->rx_buf)
		return true;
	c->rx_buf = qs_arena_get(&c->q->arena, QS_EARLY);
	c->rx_size = c->rx_buf ? QS_WINDOW : 0;
	return c->rx_buf;
}

/* What is unread moves: its places in the ring are others. */
static void move_unread(struct fab_conn *c, uint8_t *old, uint32_t size)
{
	for (uint64_t n = c->rx_head; n != c->rx_tail;) {
		uint32_t at = n & (size - 1), len = size - at;

		if (len > c->rx_tail - n)
			len = (uint32_t)(c->rx_tail - n);
		buffer_put(c, n, old + at, len);
		n += len;
	}
}

/* The peer has much to send. Where no ring can be had it goes on in small messages. */
static void ring_make(struct fab_conn *c)
{
	bool small = c->rcvbuf && c->rcvbuf <= QS_RING_MIN;
	enum qs_class cls = small ? QS_LARGE : QS_WHOLE;
	uint8_t *old = c->rx_buf, *ring;
	uint32_t size = c->rx_size, stag;

	if (qs_rx_has_ring(c) || (c->flags & QC_CLOSED))
		return;
	if (getrandom(&stag, sizeof(stag), GRND_NONBLOCK) != sizeof(stag) || !stag)
		return;
	ring = qs_arena_get(&c->q->arena, cls);
	if (!ring)
		return;
	if (c->q->attr.msg->region_gone)
		memset(ring, 0, qs_class_size(cls));
	c->rx_buf = ring;
	c->rx_size = (uint32_t)qs_class_size(cls);
	c->rx_stag = stag;
	move_unread(c, old, size);
	if (old)
		qs_arena_put(&c->q->arena, QS_EARLY, old);
	c->flags |= QC_GIVE_RING;
}

/* ------------------------------------------------------------------ what was said */

/* Octets are announced, and are the user's. */
static void announced(struct fab_conn *c, uint64_t tail)
{
	c->rx_tail = tail;
	if (c->rx_written < tail)
		c->rx_written = tail;
	qs_conn_ripe(c);
	qs_conn_check_ready(c);
}

static int take_data(struct fab_conn *c, const struct qs_message *msg)
{
	if (c->rx_written != c->rx_tail)
		return refuse(c, "data before what was written is announced", -EPROTO);
	if (msg->length > c->rx_limit - c->rx_tail)
		return refuse(c, "data beyond the limit", -EPROTO);
	if (c->flags & QC_CLOSED) {
		c->rx_tail = c->rx_written += msg->length; /* to nobody */
		return 0;
	}
	if (!buffer_make(c))
		return -ENOBUFS;
	buffer_put(c, c->rx_tail, msg->data, msg->length);
	announced(c, c->rx_tail + msg->length);
	return 0;
}

static int take_landed(struct fab_conn *c, const struct qs_message *msg)
{
	uint64_t written = c->rx_written - c->rx_tail;

	if (!qs_rx_has_ring(c) || msg->length > c->rx_limit - c->rx_tail)
		return refuse(c, "written beyond the limit", -EPROTO);
	if (msg->length != written)
		return refuse(c, "announced is not what was written", -EPROTO);
	if (c->flags & QC_CLOSED)
		c->rx_tail = c->rx_written;
	else
		announced(c, c->rx_written);
	return 0;
}

static int take_ring(struct fab_conn *c, const struct qs_message *msg)
{
	if (c->ring_size || !(c->flags & QC_ASK_DONE) || msg->size < c->peer_window)
		return refuse(c, "a ring that cannot be", -EPROTO);
	c->ring_stag = msg->stag;
	c->ring_size = msg->size;
	c->ring_to = msg->to;
	return 0;
}

static int take_fin(struct fab_conn *c)
{
	if (c->rx_written != c->rx_tail)
		return refuse(c, "an end before what was written is announced", -EPROTO);
	c->flags |= QC_FIN_RX;
	qs_conn_ripe(c);
	qs_conn_check_ready(c);
	return 0;
}

/* Never more than there can be room for; never less than before. */
static int take_limit(struct fab_conn *c, uint64_t limit)
{
	uint32_t span = c->ring_size > c->peer_window ? c->ring_size : c->peer_window;

	if (limit < c->tx_limit || limit > c->tx_formed + span)
		return refuse(c, "a limit that cannot be", -EPROTO);
	c->tx_limit = limit;
	return 0;
}

static int take_message(struct fab_conn *c, const struct qs_message *msg)
{
	if (c->flags & QC_FIN_RX && msg->op != QS_CREDIT && msg->op != QS_RING)
		return refuse(c, "data behind the end", -EPROTO);
	switch (msg->op) {
	case QS_DATA:
		return take_data(c, msg);
	case QS_LANDED:
		return take_landed(c, msg);
	case QS_RING:
		return take_ring(c, msg);
	case QS_FIN:
		return take_fin(c);
	default:
		return 0;
	}
}

static int take(struct fab_conn *c, const uint8_t *p, size_t len)
{
	struct qs_message msg;
	int err = qs_message_get(p, len, &msg);

	if (err)
		return refuse(c, "a message that is none", err);
	err = take_message(c, &msg);
	if (!err)
		err = take_limit(c, msg.limit);
	if (err)
		return err;
	if (msg.flags & QS_F_ASK)
		ring_make(c);
	qs_tx_tell(c);
	return 0;
}

/* ------------------------------------------------------------------ upcalls: messages */

int qs_rx_whole(void *user, const void *p, uint32_t len)
{
	struct fab_conn *c = user;
	int err;

	qs_enter(c->q);
	err = take(c, p, len);
	qs_leave(c->q);
	return err;
}

int qs_rx_place(void *user, struct fab_place *piece, struct iovec *iov, int max)
{
	struct fab_conn *c = user;

	(void)max;
	if (piece->offset >= QS_MESSAGE_MAX || piece->len > QS_MESSAGE_MAX - piece->offset)
		return refuse(c, "a message that is too long", -EMSGSIZE);
	if (!c->rx_msg)
		c->rx_msg = malloc(QS_MESSAGE_MAX);
	if (!c->rx_msg)
		return -ENOMEM;
	iov[0] = (struct iovec){ c->rx_msg + piece->offset, piece->len };
	return 1;
}

void qs_rx_done(void *user, const struct fab_place *piece)
{
	struct fab_conn *c = user;
	struct qstream *q = c->q;
	uint8_t *p = c->rx_msg;
	int err;

	if (!piece->last || !p)
		return;
	qs_enter(q);
	c->rx_msg = NULL;
	err = take(c, p, piece->offset + piece->len);
	free(p);
	if (err)
		qs_conn_dead(c, err);
	qs_leave(q);
}

/* ------------------------------------------------------------------ upcalls: writes */

/*
 * Part of a write, or all of it: how far behind what was written it begins, or an error. Those that
 * pass this end before their piece of the ring does, and below the limit.
 */
static int64_t ring_distance(const struct fab_conn *c, const struct fab_tagged *t)
{
	uint64_t behind;

	if (t->response || !qs_rx_has_ring(c) || t->stag != c->rx_stag)
		return -ENOKEY;
	if (c->flags & QC_FIN_RX)
		return -EPERM;
	if (t->to >= c->rx_size || t->len > c->rx_size - t->to)
		return -ERANGE;
	behind = (t->to - c->rx_written) & (c->rx_size - 1);
	if (behind + t->len > c->rx_limit - c->rx_written)
		return -ERANGE;
	return (int64_t)behind;
}

int qs_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	struct fab_conn *c = user;
	int64_t behind = ring_distance(c, t);

	(void)max;
	if (behind < 0)
		return refuse(c, "a write to where there is no room", (int)behind);
	iov[0] = (struct iovec){ c->rx_buf + t->to, t->len };
	return 1;
}

void qs_rx_tagged_done(void *user, const struct fab_tagged *t)
{
	struct fab_conn *c = user;
	struct qstream *q = c->q;
	int64_t behind = t->len ? ring_distance(c, t) : 0;

	qs_enter(q);
	if (t->response || behind)
		qs_conn_violation(c, "a write out of its order");
	else
		c->rx_written += t->len;
	qs_leave(q);
}

/* ------------------------------------------------------------------ upcalls: keys */

static bool region_make(struct fab_conn *c)
{
	if (c->rx_region)
		return true;
	c->rx_region = malloc(sizeof(*c->rx_region));
	if (!c->rx_region)
		return false;
	*c->rx_region = (struct fab_region){ .base = c->rx_buf,
					     .len = c->rx_size,
					     .access = FAB_MAY_WRITE | FAB_MAY_REMOTE_WRITE };
	return true;
}

/* As ring_distance, but for the credit: that is another one at each write. */
int qs_rx_key(void *user, const struct fab_key_req *r, struct fab_key *key)
{
	struct fab_conn *c = user;

	if (!c->q->attr.msg->region_gone)
		return -EOPNOTSUPP;
	if (!qs_rx_has_ring(c) || r->stag != c->rx_stag)
		return -ENOKEY;
	if (!r->write)
		return -EACCES;
	if (c->flags & QC_FIN_RX)
		return -EPERM;
	if (r->to >= c->rx_size || r->len > c->rx_size - r->to)
		return -ERANGE;
	if (!region_make(c))
		return -ENOMEM;
	*key = (struct fab_key){ c->rx_region, c->rx_buf + r->to };
	return 0;
}

void qs_rx_region_drop(struct fab_conn *c)
{
	if (c->rx_region)
		c->q->attr.msg->region_gone(c->q->attr.m, c->rx_region);
	free(c->rx_region);
	c->rx_region = NULL;
}
