/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_qstream_device.c - byte streams on queue pairs whose device reaches memory by itself: the keys
 * to rings, and messages that stay on the wire. The message service is a script: what it is told it
 * writes down, and it says what a test wants said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fabric/qstream/internal.h"

#define BULK (1u << 20)
#define CONNS 2
#define SENDS (QS_OUT_MAX + 1)

struct fab_msg_conn {
	const struct fab_msg_user *ops;
	void *user;
	const struct fab_send *sends[SENDS]; /* as peeked */
	unsigned peeked, begun;
	unsigned chunks; /* in use when it was closed */
	uint64_t limit;  /* as told to the stream */
	bool shut;
};

static struct fab_msg_conn pairs[CONNS];
static unsigned npairs;
static struct {
	struct fab_region *region;
	unsigned times, free_rings;
	bool open; /* its connection, then */
} gone;

static struct fab_counters counters;
static struct timers timers;
static struct qstream *q;
static uint8_t source[BULK], sink[BULK];

/* ------------------------------------------------------------------ the message service */

static int msg_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
		       const struct fab_hello *hello, const void *pdata, size_t len,
		       const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	(void)m;
	(void)attr;
	(void)hello;
	(void)pdata;
	(void)len;
	assert_true(npairs < CONNS);
	*out = &pairs[npairs++];
	**out = (struct fab_msg_conn){ .ops = ops, .user = user, .limit = QS_WINDOW };
	return 0;
}

static void msg_want(struct fab_msg_conn *mc)
{
	assert_non_null(mc->ops);
}

static int msg_shutdown(struct fab_msg_conn *mc)
{
	mc->shut = true;
	return 0;
}

static void check_source(const struct fab_send *s);

/* What was begun is there to the end. */
static void msg_conn_close(struct fab_msg_conn *mc, bool reset)
{
	(void)reset;
	for (unsigned i = 0; i < mc->begun; i++)
		check_source(mc->sends[i]);
	mc->chunks = q->chunks;
	mc->ops = NULL;
}

static int msg_conn_addr(struct fab_msg_conn *mc, union fab_addr *local, union fab_addr *peer)
{
	assert_non_null(mc->ops);
	local->in.sin_family = peer->in.sin_family = AF_INET;
	return 0;
}

static void msg_region_gone(struct fab_msg *m, struct fab_region *region)
{
	(void)m;
	if (region == &q->region)
		return;
	gone.region = region;
	gone.times++;
	gone.free_rings = q->arena.stack[QS_WHOLE].nfree;
	gone.open = pairs[npairs - 1].ops;
}

static const struct fab_msg_ops device_ops = {
	.connect = msg_connect,
	.tx_want = msg_want,
	.tx_now = msg_want,
	.rx_want = msg_want,
	.shutdown = msg_shutdown,
	.conn_close = msg_conn_close,
	.conn_addr = msg_conn_addr,
	.region_gone = msg_region_gone,
};

/* ------------------------------------------------------------------ a user */

struct end {
	struct fab_conn *conn;
	struct fab_msg_conn *mc;
	size_t tx_off, tx_len, rx_off, rx_len;
	int err;
};

static void on_connected(void *user, int err)
{
	struct end *e = user;

	e->err = err;
}

static int on_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct end *e = user;

	(void)max;
	(void)limit;
	iov[0] = (struct iovec){ source + e->tx_off, e->tx_len - e->tx_off };
	return e->tx_off < e->tx_len;
}

static void on_tx_done(void *user, size_t n)
{
	struct end *e = user;

	e->tx_off += n;
}

static int on_fault(void *user, int err)
{
	(void)user;
	return err;
}

static int on_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct end *e = user;

	(void)max;
	e->rx_off += n;
	iov[0] = (struct iovec){ sink + e->rx_off, e->rx_len - e->rx_off };
	return e->rx_off < e->rx_len;
}

static void on_nothing(void *user)
{
	(void)user;
}

static void on_failed(void *user, int err)
{
	struct end *e = user;

	e->err = err;
}

static const struct fab_stream_user end_ops = {
	.connected = on_connected,
	.tx_next = on_tx_next,
	.tx_done = on_tx_done,
	.tx_fault = on_fault,
	.rx_next = on_rx_next,
	.rx_none = on_nothing,
	.rx_fault = on_fault,
	.rx_eof = on_nothing,
	.failed = on_failed,
};

static void turn(void)
{
	qstream_progress(q, FAB_TURN_COMPLETIONS);
	qstream_flush(q);
}

static void end_connect(struct end *e)
{
	union fab_addr addr = { .in = { .sin_family = AF_INET } };
	struct fab_connect_attr attr = { .peer = &addr };
	struct fab_msg_peer who = { .eta = true, .features = FAB_FEATURE_STREAM };
	struct qs_hello hello;

	*e = (struct end){ 0 };
	assert_int_equal(qstream_connect(q, &attr, &end_ops, e, &e->conn), 0);
	e->mc = &pairs[npairs - 1];
	qs_hello_put(&hello, QS_WINDOW);
	e->mc->ops->connected(e->mc->user, 0, &who, &hello, sizeof(hello));
	assert_int_equal(e->err, 0);
}

static void end_send(struct end *e, size_t len)
{
	e->tx_len += len;
	qstream_tx_want(e->conn);
	turn();
}

static void end_read(struct end *e, size_t len)
{
	e->rx_len += len;
	qstream_rx_want(e->conn);
	turn();
}

/* ------------------------------------------------------------------ what comes */

static int hear(struct end *e, enum qs_op op, uint8_t flags, uint32_t length, size_t from)
{
	uint8_t p[QS_MESSAGE_MAX + sizeof(struct qs_ring)];
	size_t n = qs_header_put(p, op, flags, length, e->mc->limit);

	if (op == QS_RING)
		n += qs_ring_put(p + n, 7, QS_RING_MAX, 0);
	else if (op == QS_DATA)
		memcpy(p + n, source + from, length);
	return e->mc->ops->rx_whole(e->mc->user, p, (uint32_t)(n + (op == QS_DATA ? length : 0)));
}

/* The stream has a ring; and the peer has heard of it. */
static void ring_made(struct end *e)
{
	assert_int_equal(hear(e, QS_CREDIT, QS_F_ASK, 0, 0), 0);
	assert_int_equal(e->conn->rx_size, QS_RING_MAX);
	assert_non_null(e->mc->ops->tx_peek(e->mc->user, 0));
	e->mc->ops->tx_done(e->mc->user, 1, 0);
}

static int ask_key(struct end *e, uint32_t stag, uint64_t to, uint32_t len, struct fab_key *key)
{
	struct fab_key_req r = { .stag = stag, .to = to, .len = len, .write = true };

	memset(key, 0, sizeof(*key));
	return e->mc->ops->rx_key(e->mc->user, &r, key);
}

/* What the peer says of a write, once it is there. */
static int tell_write(struct end *e, uint64_t to, uint32_t len)
{
	struct fab_tagged t = {
		.first = true, .last = true, .stag = e->conn->rx_stag, .to = to, .len = len
	};
	struct iovec iov[FAB_PLACE_IOV];
	int n = e->mc->ops->rx_tagged(e->mc->user, &t, iov, FAB_PLACE_IOV);

	if (n < 0)
		return n;
	assert_int_equal(n, 1);
	assert_ptr_equal(iov[0].iov_base, e->conn->rx_buf + to);
	e->mc->ops->rx_tagged_done(e->mc->user, &t);
	return 0;
}

/* ------------------------------------------------------------------ what goes */

/* The octets of a write are those of the source that it ought to have. */
static void check_source(const struct fab_send *s)
{
	if (s->op == FAB_WRITE)
		assert_memory_equal(s->iov[0].iov_base, source + s->to, s->len);
}

/* Asks for what there is from @i on, all of which is to be as it was if it was asked for before. */
static unsigned peek(struct end *e, unsigned i)
{
	struct fab_msg_conn *mc = e->mc;
	const struct fab_send *s;

	for (; (s = mc->ops->tx_peek(mc->user, i)); i++) {
		assert_true(i < QS_OUT_MAX);
		assert_true(i >= mc->peeked || mc->sends[i] == s);
		mc->sends[i] = s;
		check_source(s);
	}
	mc->peeked = i;
	return i;
}

static void done(struct end *e, unsigned n, unsigned begun)
{
	struct fab_msg_conn *mc = e->mc;

	assert_true(n + begun <= mc->peeked);
	memmove(mc->sends, mc->sends + n, (mc->peeked - n) * sizeof(mc->sends[0]));
	mc->peeked -= n;
	mc->begun = begun;
	mc->ops->tx_done(mc->user, n, begun);
}

/* Octets from the first on go by writes, into a ring that has all of them. */
static void peers_ring(struct end *e)
{
	end_send(e, QS_WINDOW);
	while (e->conn->tx_done < QS_WINDOW)
		done(e, peek(e, 0), 0);
	e->mc->limit = QS_RING_MAX;
	assert_int_equal(hear(e, QS_RING, 0, 0, 0), 0);
	end_send(e, 3 * 65536);
}

/* ------------------------------------------------------------------ fixture */

static void on_pending(void *arg, bool pending)
{
	(void)arg;
	(void)pending;
}

static void open_with(const struct fab_msg_ops *msg)
{
	struct fab_env env = { .counters = &counters, .timers = &timers };
	struct qstream_attr attr = { .msg = msg, .pending = on_pending };

	assert_int_equal(qstream_open(&env, &attr, &q), 0);
}

static int setup(void **state)
{
	uint32_t seed = 5;

	(void)state;
	for (size_t i = 0; i < BULK; i++) {
		seed = seed * 1664525 + 1013904223;
		source[i] = (uint8_t)(seed >> 24) | 1; /* nothing of it is 0 */
	}
	memset(sink, 0, BULK);
	memset(&gone, 0, sizeof(gone));
	npairs = 0;
	timers_init(&timers);
	open_with(&device_ops);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	qstream_close(q);
	timers_destroy(&timers);
	return 0;
}

/* ------------------------------------------------------------------ keys */

static void test_key(void **state)
{
	struct fab_key key, other;
	struct end e;

	(void)state;
	end_connect(&e);
	ring_made(&e);
	assert_int_equal(ask_key(&e, e.conn->rx_stag, 0, QS_RING_MAX, &key), 0);
	/* the ring, and no octet beside it, however little was asked for */
	assert_ptr_equal(key.addr, e.conn->rx_buf);
	assert_ptr_equal(key.region->base, e.conn->rx_buf);
	assert_int_equal(key.region->len, QS_RING_MAX);
	assert_int_equal(key.region->access, FAB_MAY_WRITE | FAB_MAY_REMOTE_WRITE);
	assert_null(key.region->wire);
	/* beyond the credit, too: it will be there */
	assert_int_equal(ask_key(&e, e.conn->rx_stag, QS_RING_MAX - 1, 1, &other), 0);
	assert_ptr_equal(other.region, key.region);
	assert_ptr_equal(other.addr, e.conn->rx_buf + QS_RING_MAX - 1);
	qstream_conn_close(e.conn, true);
}

static void test_key_refused(void **state)
{
	struct fab_key_req read = { .len = 100 };
	struct fab_key key;
	uint32_t stag;
	struct end e;

	(void)state;
	end_connect(&e);
	assert_int_equal(ask_key(&e, 0, 0, 100, &key), -ENOKEY);
	assert_int_equal(ask_key(&e, 1, 0, 100, &key), -ENOKEY);
	ring_made(&e);
	read.stag = stag = e.conn->rx_stag;
	assert_int_equal(ask_key(&e, stag + 1, 0, 100, &key), -ENOKEY);
	assert_int_equal(ask_key(&e, 0, 0, 100, &key), -ENOKEY);
	assert_int_equal(ask_key(&e, stag, 0, QS_RING_MAX + 1, &key), -ERANGE);
	assert_int_equal(ask_key(&e, stag, 1, QS_RING_MAX, &key), -ERANGE);
	assert_int_equal(ask_key(&e, stag, QS_RING_MAX, 0, &key), -ERANGE);
	assert_int_equal(ask_key(&e, stag, UINT64_MAX - 50, 100, &key), -ERANGE);
	assert_int_equal(e.mc->ops->rx_key(e.mc->user, &read, &key), -EACCES);
	assert_int_equal(hear(&e, QS_FIN, 0, 0, 0), 0);
	assert_int_equal(ask_key(&e, stag, 0, 100, &key), -EPERM);
	/* nothing was ended by that, and there is no region to be gone */
	assert_non_null(e.mc->ops);
	assert_null(e.conn->rx_region);
	qstream_conn_close(e.conn, true);
	assert_int_equal(gone.times, 0);
}

/* To a wire without a device there is nothing to give, and nothing to name. */
static void test_no_device(void **state)
{
	struct fab_msg_ops ops = device_ops;
	struct fab_key key;
	struct end e;

	(void)state;
	qstream_close(q);
	ops.region_gone = NULL;
	open_with(&ops);
	end_connect(&e);
	ring_made(&e);
	assert_int_equal(ask_key(&e, e.conn->rx_stag, 0, 100, &key), -EOPNOTSUPP);
	peers_ring(&e);
	for (unsigned i = 0, n = peek(&e, 0); i < n; i++)
		assert_null(e.mc->sends[i]->regions);
	qstream_conn_close(e.conn, true);
	/* @ops ends here */
	qstream_close(q);
	open_with(&device_ops);
}

static void test_placed(void **state)
{
	struct fab_key key;
	struct end e;

	(void)state;
	end_connect(&e);
	assert_int_equal(hear(&e, QS_DATA, 0, 1000, 0), 0);
	ring_made(&e);
	assert_int_equal(ask_key(&e, e.conn->rx_stag, 1000, 50000, &key), 0);
	/* what had come is there still */
	assert_memory_equal(e.conn->rx_buf, source, 1000);
	memcpy(key.addr, source + 1000, 50000);
	assert_int_equal(tell_write(&e, 1000, 20000), 0);
	assert_int_equal(tell_write(&e, 21000, 30000), 0);
	assert_int_equal(hear(&e, QS_LANDED, 0, 50000, 0), 0);
	assert_int_equal(hear(&e, QS_DATA, 0, 500, 51000), 0);
	end_read(&e, BULK);
	assert_int_equal(e.rx_off, 51500);
	assert_memory_equal(sink, source, 51500);
	/* out of its order, or beyond the limit: as any write */
	assert_int_equal(tell_write(&e, 51500, QS_RING_MAX - 51500), 0);
	assert_int_equal(tell_write(&e, 0, 60000), -ERANGE);
	assert_int_equal(hear(&e, QS_LANDED, 0, 100, 0), -EPROTO);
	qstream_conn_close(e.conn, true);
}

/* What is not told of is not there, wherever the device has put it. */
static void test_placed_untold(void **state)
{
	struct fab_key key;
	struct end e;

	(void)state;
	end_connect(&e);
	ring_made(&e);
	assert_int_equal(ask_key(&e, e.conn->rx_stag, 0, 50000, &key), 0);
	memcpy(key.addr, source, 50000);
	end_read(&e, BULK);
	assert_int_equal(hear(&e, QS_LANDED, 0, 50000, 0), -EPROTO);
	assert_int_equal(e.rx_off, 0);
	/* one that is told of before the last one ends the connection */
	assert_int_equal(tell_write(&e, 100, 100), 0);
	assert_null(e.mc->ops);
	assert_int_equal(gone.times, 1);
	turn();
	assert_int_equal(e.err, -EPROTO);
	qstream_conn_close(e.conn, false);
	assert_int_equal(gone.times, 1);
}

/* Nobody reads what another connection has left in the ring, whatever its peer says of it. */
static void test_ring_of_another(void **state)
{
	struct fab_key key;
	struct end a, b;
	void *base;

	(void)state;
	end_connect(&a);
	ring_made(&a);
	assert_int_equal(ask_key(&a, a.conn->rx_stag, 0, QS_RING_MAX, &key), 0);
	memcpy(key.addr, source, QS_RING_MAX);
	base = key.addr;
	qstream_conn_close(a.conn, true);
	assert_int_equal(gone.times, 1);
	end_connect(&b);
	assert_int_equal(hear(&b, QS_DATA, 0, 100, 0), 0);
	end_read(&b, 30);
	ring_made(&b);
	assert_ptr_equal(b.conn->rx_buf, base);
	/* 70 octets are its own */
	for (unsigned i = 0; i < QS_RING_MAX; i++)
		assert_int_equal(((uint8_t *)base)[i], i < 30 || i >= 100 ? 0 : source[i]);
	/* not even a key was asked for */
	assert_int_equal(tell_write(&b, 100, QS_WINDOW), 0);
	assert_int_equal(hear(&b, QS_LANDED, 0, QS_WINDOW, 0), 0);
	end_read(&b, BULK);
	assert_int_equal(b.rx_off, 100 + QS_WINDOW);
	for (unsigned i = 100; i < b.rx_off; i++)
		assert_int_equal(sink[i], 0);
	qstream_conn_close(b.conn, true);
}

enum way { RESET, CLOSED, CLOSED_UNREAD, LINGERED, LEFT, WAYS };

static void end_by(struct end *e, enum way way)
{
	struct fab_msg_conn *mc = e->mc;

	if (way == CLOSED_UNREAD)
		assert_int_equal(hear(e, QS_DATA, 0, 100, 0), 0);
	if (way == CLOSED || way == CLOSED_UNREAD)
		mc->ops->closed(mc->user, -ECONNRESET);
	if (way == CLOSED_UNREAD) {
		/* unread octets keep the ring, but no device has it */
		assert_int_equal(gone.times, 1);
		end_read(e, 100);
		assert_int_equal(e->rx_off, 100);
		assert_memory_equal(sink, source, 100);
	}
	qstream_conn_close(e->conn, way == RESET);
	if (way != LINGERED && way != LEFT)
		return;
	/* meanwhile the peer may write */
	assert_int_equal(gone.times, 0);
	assert_int_equal(tell_write(e, 0, 100), 0);
	done(e, peek(e, 0), 0);
	assert_true(mc->shut);
	if (way == LINGERED)
		mc->ops->closed(mc->user, 0);
	else
		qstream_close(q);
}

static void test_region_gone(void **state)
{
	struct fab_region *region;
	struct fab_key key;
	struct end e;

	(void)state;
	for (int way = 0; way < WAYS; way++) {
		unsigned free_rings = q->arena.stack[QS_WHOLE].nfree;

		npairs = 0;
		memset(&gone, 0, sizeof(gone));
		end_connect(&e);
		ring_made(&e);
		assert_int_equal(ask_key(&e, e.conn->rx_stag, 0, 100, &key), 0);
		region = key.region;
		end_by(&e, (enum way)way);
		assert_int_equal(gone.times, 1);
		assert_ptr_equal(gone.region, region);
		/* behind the queue pair, and before anybody else can have the block */
		assert_false(gone.open);
		assert_int_equal(gone.free_rings, free_rings ? free_rings - 1 : 0);
		if (way == LEFT)
			open_with(&device_ops);
		else
			assert_int_equal(q->arena.stack[QS_WHOLE].nfree, 1);
	}
}

/* ------------------------------------------------------------------ messages on the wire */

static void test_regions_named(void **state)
{
	unsigned n, writes = 0;
	struct end e;

	(void)state;
	end_connect(&e);
	peers_ring(&e);
	n = peek(&e, 0);
	for (unsigned i = 0; i < n; i++) {
		const struct fab_send *s = e.mc->sends[i];

		if (s->op != FAB_WRITE)
			continue;
		writes++;
		assert_int_equal(s->niov, 1);
		assert_ptr_equal(s->regions[0], &q->region);
		/* for reading alone */
		assert_int_equal(s->regions[0]->access, 0);
		assert_true((uint8_t *)s->iov[0].iov_base >= q->arena.base);
		assert_true((uint8_t *)s->iov[0].iov_base + s->len <=
			    q->arena.base + s->regions[0]->len);
	}
	assert_true(writes >= 3);
	qstream_conn_close(e.conn, true);
}

/* The oldest are on the wire for long: nothing of them moves, and others follow them. */
static void test_done_late(void **state)
{
	unsigned n, chunks;
	uint64_t was;
	struct end e;

	(void)state;
	end_connect(&e);
	peers_ring(&e);
	n = peek(&e, 0);
	assert_true(n >= 4 && n < QS_OUT_MAX);
	chunks = q->chunks;
	was = e.conn->tx_done;
	done(&e, 0, 2);
	assert_int_equal(q->chunks, chunks);
	assert_int_equal(e.conn->tx_done, was);
	/* those not begun are the same, asked for from there */
	assert_int_equal(peek(&e, 2), n);
	done(&e, 0, n);
	/* as many as fit behind them */
	end_send(&e, 30000);
	n = peek(&e, n);
	assert_true(n <= QS_OUT_MAX);
	done(&e, 0, n);
	assert_int_equal(q->chunks, chunks + 1);
	/* one after the other */
	while (n--)
		done(&e, 1, n);
	assert_int_equal(e.conn->tx_done, QS_WINDOW + 3 * 65536 + 30000);
	assert_int_equal(q->chunks, 0);
	assert_null(e.conn->tx);
	qstream_conn_close(e.conn, true);
}

/* All places taken by what is begun: there is no other, till one is done. */
static void test_begun_fill_all(void **state)
{
	struct end e;

	(void)state;
	end_connect(&e);
	peers_ring(&e);
	while (e.mc->peeked < QS_OUT_MAX) {
		done(&e, 0, peek(&e, 0));
		if (e.conn->tx_staged == e.conn->tx_formed)
			end_send(&e, 1000);
	}
	end_send(&e, 1000);
	assert_null(e.mc->ops->tx_peek(e.mc->user, QS_OUT_MAX));
	assert_false(qs_tx_can_form(e.conn));
	done(&e, 1, QS_OUT_MAX - 1);
	assert_true(qs_tx_can_form(e.conn));
	assert_int_equal(peek(&e, QS_OUT_MAX - 1), QS_OUT_MAX);
	done(&e, QS_OUT_MAX, 0);
	while (e.conn->tx)
		done(&e, peek(&e, 0), 0);
	assert_int_equal(e.conn->tx_done, e.tx_len);
	assert_int_equal(q->chunks, 0);
	qstream_conn_close(e.conn, true);
}

/* Closed in order: what is on the wire is waited for, but not for ever. */
static void test_begun_and_closed(void **state)
{
	unsigned n, chunks;
	struct end e;

	(void)state;
	for (int dies = 0; dies < 2; dies++) {
		uint64_t now = timer_now_ns(), deadline;

		npairs = 0;
		end_connect(&e);
		peers_ring(&e);
		n = peek(&e, 0);
		done(&e, 0, n);
		chunks = q->chunks;
		qstream_conn_close(e.conn, false);
		assert_int_equal(qstream_lingering(q), 1);
		/* the end goes behind them */
		assert_int_equal(peek(&e, n), n + 1);
		done(&e, 0, n + 1);
		assert_int_equal(q->chunks, chunks);
		assert_false(e.mc->shut);
		/* that nothing is done does not prolong it */
		deadline = e.conn->timer.deadline_ns;
		done(&e, 0, n + 1);
		assert_int_equal(e.conn->timer.deadline_ns, deadline);
		if (dies) {
			timers_run(&timers, now + QS_LINGER_NS + 1000000000);
		} else {
			done(&e, n + 1, 0);
			assert_int_equal(q->chunks, 0);
			assert_true(e.mc->shut);
			e.mc->ops->closed(e.mc->user, 0);
		}
		assert_int_equal(e.mc->chunks, dies ? chunks : 0);
		assert_int_equal(qstream_lingering(q), 0);
		assert_int_equal(q->chunks, 0);
		assert_int_equal(timers.count, 0);
	}
}

/* Reset, or dead: the chunks are there until the queue pair is not. */
static void test_begun_and_lost(void **state)
{
	unsigned n, chunks;
	struct end e;

	(void)state;
	for (int dead = 0; dead < 2; dead++) {
		npairs = 0;
		end_connect(&e);
		peers_ring(&e);
		n = peek(&e, 0);
		done(&e, 1, n - 1);
		chunks = q->chunks;
		assert_true(chunks > 0);
		if (dead)
			e.mc->ops->closed(e.mc->user, 0);
		else
			qstream_conn_close(e.conn, true);
		assert_int_equal(e.mc->chunks, chunks);
		assert_int_equal(q->chunks, 0);
		if (!dead)
			continue;
		/* what was begun and not done did not get there */
		turn();
		assert_int_equal(e.err, -ECONNRESET);
		qstream_conn_close(e.conn, false);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_key),
		TEST(test_key_refused),
		TEST(test_no_device),
		TEST(test_placed),
		TEST(test_placed_untold),
		TEST(test_ring_of_another),
		TEST(test_region_gone),
		TEST(test_regions_named),
		TEST(test_done_late),
		TEST(test_begun_fill_all),
		TEST(test_begun_and_closed),
		TEST(test_begun_and_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
