/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_qstream.c - byte streams on queue pairs: the protocol, over iWARP on loopback TCP. On the other
 * side there is a stream, too, or a peer that says what a test wants said, by hand.
 *
 * What any stream service does is in test_tcp.c, run with "qstream".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fabric/iwarp/iwarp.h"
#include "fabric/qstream/internal.h"
#include "tests/unit/qtcp.h"

#define WATCHDOG 100 /* seconds */
#define BULK (1u << 20)

static const struct fab_stream_ops *ops = &qtcp_ops;
static struct fab_counters counters;
static struct timers timers;
static struct fab *fab;
static struct qstream *streams;
static uint8_t source[BULK], sink[BULK];

static void fill(void)
{
	uint32_t seed = 5;

	for (size_t i = 0; i < BULK; i++) {
		seed = seed * 1664525 + 1013904223;
		source[i] = (uint8_t)(seed >> 24);
	}
	memset(sink, 0, BULK);
}

static int setup(void **state)
{
	struct fab_env env = { .counters = &counters, .timers = &timers };

	(void)state;
	alarm(WATCHDOG);
	memset(&counters, 0, sizeof(counters));
	timers_init(&timers);
	fill();
	if (ops->open(&env, &fab))
		return -1;
	streams = qtcp_streams(fab);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ops->close(fab);
	timers_destroy(&timers);
	alarm(0);
	return 0;
}

static int turn_at(uint64_t now)
{
	int done = timers_run(&timers, now);

	done += ops->progress(fab, FAB_TURN_COMPLETIONS);
	ops->flush(fab);
	return done;
}

static int turn(void)
{
	return turn_at(timer_now_ns());
}

#define run_until(cond)                                                                            \
	do {                                                                                       \
		while (!(cond)) {                                                                  \
			if (!turn() && !(cond)) {                                                  \
				ops->wait(fab, 20000000);                                          \
				ops->drain(fab);                                                   \
			}                                                                          \
		}                                                                                  \
	} while (0)

/* Long enough for what is under way on loopback to arrive. */
static void settle(void)
{
	for (int quiet = 0; quiet < 20; quiet++) {
		if (turn())
			quiet = 0;
		ops->wait(fab, 200000);
		ops->drain(fab);
	}
}

/* ------------------------------------------------------------------ a user */

struct end {
	struct fab_conn *conn;
	bool connected, eof, failed;
	int err;
	const uint8_t *tx;
	size_t tx_len, tx_off;
	struct fab_file_range range; /* of tx_file octets, behind what tx has */
	size_t tx_file;
	int tx_err; /* of a fault */
	size_t rx_off, rx_len;
};

static void on_connected(void *user, int err)
{
	struct end *e = user;

	e->connected = !err;
	e->failed = err;
	e->err = err;
}

static int on_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct end *e = user;

	(void)max;
	(void)limit;
	iov[0] = (struct iovec){ (void *)(uintptr_t)(e->tx + e->tx_off), e->tx_len - e->tx_off };
	if (iov[0].iov_len)
		return 1 | (e->tx_file ? FAB_TX_MORE : 0);
	iov[0] = (struct iovec){ &e->range, e->tx_file };
	return e->tx_file ? FAB_TX_FILE : 0;
}

static void on_tx_done(void *user, size_t n)
{
	struct end *e = user;

	if (e->tx_off == e->tx_len) {
		e->range.offset += n;
		e->tx_file -= n;
	} else {
		e->tx_off += n;
	}
}

static int on_tx_fault(void *user, int err)
{
	struct end *e = user;

	e->tx_err = err;
	e->tx_file = 0;
	return 0;
}

static int on_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct end *e = user;

	(void)max;
	e->rx_off += n;
	iov[0] = (struct iovec){ sink + e->rx_off, e->rx_len - e->rx_off };
	return e->rx_off < e->rx_len;
}

static void on_rx_none(void *user)
{
	(void)user;
}

static int on_rx_fault(void *user, int err)
{
	(void)user;
	return err;
}

static void on_rx_eof(void *user)
{
	struct end *e = user;

	e->eof = true;
}

static void on_failed(void *user, int err)
{
	struct end *e = user;

	e->failed = true;
	e->err = err;
}

static const struct fab_stream_user end_ops = {
	.connected = on_connected,
	.tx_next = on_tx_next,
	.tx_done = on_tx_done,
	.tx_fault = on_tx_fault,
	.rx_next = on_rx_next,
	.rx_none = on_rx_none,
	.rx_fault = on_rx_fault,
	.rx_eof = on_rx_eof,
	.failed = on_failed,
};

static void end_close(struct end *e)
{
	if (e->conn)
		ops->conn_close(e->conn, false);
	e->conn = NULL;
}

static void end_send(struct end *e, size_t len)
{
	e->tx = source;
	e->tx_off = 0;
	e->tx_len = len;
	ops->tx_want(e->conn);
}

static void end_read(struct end *e, size_t len)
{
	e->rx_len = len;
	ops->rx_want(e->conn);
}

/* ------------------------------------------------------------------ a listener */

static struct {
	struct fab_listener *l;
	union fab_addr addr;
	struct end *next;
	unsigned taken;
} door;

static void on_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	(void)user;
	(void)peer;
	door.taken++;
	assert_non_null(door.next);
	door.next->conn = conn;
	door.next->connected = true;
	ops->bind(conn, &end_ops, door.next);
	door.next = NULL;
}

static void on_listener_failed(void *user, int err)
{
	(void)user;
	fail_msg("listener: %d", err);
}

static const struct fab_listen_user door_ops = {
	.accepted = on_accepted,
	.failed = on_listener_failed,
};

static union fab_addr loopback(void)
{
	union fab_addr a = { .in = { .sin_family = AF_INET } };

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void door_open(int backlog, unsigned defer_s)
{
	union fab_addr addr = loopback();
	struct fab_listen_attr attr = { .addr = &addr, .backlog = backlog, .defer_s = defer_s };

	memset(&door, 0, sizeof(door));
	assert_int_equal(ops->listen(fab, &attr, &door_ops, NULL, &door.l), 0);
	assert_int_equal(ops->listener_addr(door.l, &door.addr), 0);
}

static void door_post(struct end *e)
{
	door.next = e;
	assert_int_equal(ops->accept(door.l), 0);
}

static void end_connect(struct end *e)
{
	struct fab_connect_attr attr = { .peer = &door.addr };

	assert_int_equal(ops->connect(fab, &attr, &end_ops, e, &e->conn), 0);
}

static void pair(struct end *a, struct end *b)
{
	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	door_open(8, 0);
	door_post(b);
	end_connect(a);
	run_until(a->connected && b->connected);
	ops->unlisten(door.l);
}

/* ------------------------------------------------------------------ a peer by hand */

#define PEER_QUEUE 64

static struct {
	struct fab_msg_conn *mc;
	bool connected, closed, keeps;
	int err;
	struct fab_msg_peer who;
	uint32_t window;
	/* what it says */
	struct fab_send out[PEER_QUEUE];
	struct iovec iov[PEER_QUEUE];
	unsigned out_count, out_done;
	uint8_t room[PEER_QUEUE][4096];
	/* what it heard */
	struct qs_message in[PEER_QUEUE];
	unsigned in_count;
	uint64_t bytes, written; /* in messages, in writes */
	uint8_t part[4096], *ring;
} peer;

static void peer_connected(void *user, int err, const struct fab_msg_peer *who, const void *pdata,
			   size_t len)
{
	(void)user;
	peer.connected = !err;
	peer.closed = err;
	peer.err = err;
	if (err) {
		peer.mc = NULL;
		return;
	}
	peer.who = *who;
	if (qs_hello_get(pdata, len, &peer.window))
		peer.window = 0;
	iwarp_ops.rx_want(peer.mc);
}

static const struct fab_send *peer_peek(void *user, unsigned i)
{
	(void)user;
	return peer.out_done + i < peer.out_count ? &peer.out[peer.out_done + i] : NULL;
}

static void peer_done(void *user, unsigned n, unsigned begun)
{
	(void)user;
	(void)begun;
	peer.out_done += n;
}

static int peer_hears(const void *p, uint32_t len)
{
	struct qs_message *msg = &peer.in[peer.in_count % PEER_QUEUE];

	assert_int_equal(qs_message_get(p, len, msg), 0);
	peer.in_count++;
	if (msg->op == QS_DATA)
		peer.bytes += msg->length;
	return 0;
}

static int peer_whole(void *user, const void *p, uint32_t len)
{
	(void)user;
	return peer_hears(p, len);
}

static int peer_place(void *user, struct fab_place *piece, struct iovec *iov, int max)
{
	(void)user;
	(void)max;
	iov[0] = (struct iovec){ peer.part + piece->offset, piece->len };
	return 1;
}

static void peer_placed(void *user, const struct fab_place *piece)
{
	(void)user;
	if (piece->last)
		peer_hears(peer.part, piece->offset + piece->len);
}

static int peer_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	(void)user;
	(void)max;
	if (!peer.ring)
		return -ENOKEY;
	iov[0] = (struct iovec){ peer.ring + t->to, t->len };
	return 1;
}

static void peer_tagged_done(void *user, const struct fab_tagged *t)
{
	(void)user;
	peer.written += t->len;
}

static int peer_no_read(void *user, const struct fab_read_req *r)
{
	(void)user;
	(void)r;
	return -EPERM;
}

static int peer_no_atomic(void *user, const struct fab_atomic_req *r)
{
	(void)user;
	(void)r;
	return -EPERM;
}

static int peer_no_answer(void *user, uint32_t id, uint64_t value)
{
	(void)user;
	(void)id;
	(void)value;
	return -EPERM;
}

static int peer_no_immediate(void *user, uint64_t value)
{
	(void)user;
	(void)value;
	return -EPERM;
}

static void peer_closed(void *user, int err)
{
	(void)user;
	peer.closed = true;
	peer.err = err;
	if (!peer.keeps) {
		iwarp_ops.conn_close(peer.mc, false);
		peer.mc = NULL;
	}
}

static const struct fab_msg_user peer_ops = {
	.connected = peer_connected,
	.tx_peek = peer_peek,
	.tx_done = peer_done,
	.rx_whole = peer_whole,
	.rx_place = peer_place,
	.rx_done = peer_placed,
	.rx_tagged = peer_tagged,
	.rx_tagged_done = peer_tagged_done,
	.rx_read = peer_no_read,
	.rx_atomic = peer_no_atomic,
	.rx_atomic_resp = peer_no_answer,
	.rx_immediate = peer_no_immediate,
	.closed = peer_closed,
};

static void peer_dial(uint16_t features, const void *pdata, size_t len)
{
	struct fab_connect_attr attr = { .peer = &door.addr };
	struct fab_hello hello = { .features = features };

	memset(&peer, 0, sizeof(peer));
	assert_int_equal(iwarp_ops.connect(qtcp_pairs(fab), &attr, &hello, pdata, len, &peer_ops,
					   NULL, &peer.mc),
			 0);
}

/* Connected to @e, whose window is the usual one; its own is @window. */
static void peer_pair(struct end *e, uint32_t window)
{
	struct qs_hello pdata;

	memset(e, 0, sizeof(*e));
	door_open(8, 0);
	door_post(e);
	qs_hello_put(&pdata, window);
	peer_dial(FAB_FEATURE_STREAM, &pdata, sizeof(pdata));
	run_until(peer.connected && e->connected);
	assert_int_equal(peer.window, QS_WINDOW);
	ops->unlisten(door.l);
}

static struct fab_send *peer_out(const void *p, size_t len)
{
	unsigned i = peer.out_count++;

	assert_true(i < PEER_QUEUE);
	peer.iov[i] = (struct iovec){ (void *)(uintptr_t)p, len };
	peer.out[i] = (struct fab_send){
		.op = FAB_SEND, .iov = &peer.iov[i], .niov = 1, .len = (uint32_t)len
	};
	iwarp_ops.tx_want(peer.mc);
	return &peer.out[i];
}

/* A message, with @len octets of the source behind its header. */
static void peer_says(enum qs_op op, uint8_t flags, uint32_t length, uint64_t limit, size_t from,
		      size_t len)
{
	uint8_t *p = peer.room[peer.out_count];
	size_t n = qs_header_put(p, op, flags, length, limit);

	memcpy(p + n, source + from, len);
	peer_out(p, n + len);
}

static void peer_data(size_t from, uint32_t len)
{
	peer_says(QS_DATA, 0, len, QS_WINDOW, from, len);
}

static void peer_ring(uint32_t stag, uint32_t size, uint64_t to, uint64_t limit)
{
	uint8_t *p = peer.room[peer.out_count];
	size_t n = qs_header_put(p, QS_RING, 0, 0, limit);

	n += qs_ring_put(p + n, stag, size, to);
	peer_out(p, n);
}

static void peer_write(uint32_t stag, uint64_t to, size_t from, size_t len)
{
	struct fab_send *s = peer_out(source + from, len);

	s->op = FAB_WRITE;
	s->stag = stag;
	s->to = to;
}

static struct qs_message *peer_heard(enum qs_op op)
{
	for (unsigned i = 0; i < peer.in_count && i < PEER_QUEUE; i++)
		if (peer.in[i].op == op)
			return &peer.in[i];
	return NULL;
}

/* The user's ring: its STag. */
static uint32_t peer_asks(void)
{
	peer_says(QS_CREDIT, QS_F_ASK, 0, QS_WINDOW, 0, 0);
	run_until(peer_heard(QS_RING));
	assert_int_equal(peer_heard(QS_RING)->size, QS_RING_MAX);
	assert_int_equal(peer_heard(QS_RING)->limit, QS_RING_MAX);
	return peer_heard(QS_RING)->stag;
}

static void peer_leave(void)
{
	if (peer.mc)
		iwarp_ops.conn_close(peer.mc, true);
	peer.mc = NULL;
}

/* What was said ends the connection, and nothing of it reached the user beyond @good octets. */
static void expect_end(struct end *e, size_t good)
{
	end_read(e, BULK);
	run_until(e->failed && peer.closed);
	assert_true(e->err == -EPROTO || e->err == -ENOKEY || e->err == -ERANGE ||
		    e->err == -EPERM || e->err == -EMSGSIZE || e->err == -EBUSY);
	assert_int_equal(e->rx_off, good);
	assert_true(peer.err < 0);
	end_close(e);
	peer_leave();
	assert_int_equal(streams->lingers, 0);
}

/* ------------------------------------------------------------------ set-up */

static void test_refuses_who_is_no_stream(void **state)
{
	struct qs_hello good, bad[4];
	struct {
		uint16_t features;
		const void *p;
		size_t len;
	} rows[] = {
		{ 0, &good, sizeof(good) },
		{ FAB_FEATURE_ULP, &good, sizeof(good) },
		{ FAB_FEATURE_STREAM, &good, sizeof(good) - 1 },
		{ FAB_FEATURE_STREAM, NULL, 0 },
		{ FAB_FEATURE_STREAM, &bad[0], sizeof(good) },
		{ FAB_FEATURE_STREAM, &bad[1], sizeof(good) },
		{ FAB_FEATURE_STREAM, &bad[2], sizeof(good) },
		{ FAB_FEATURE_STREAM, &bad[3], sizeof(good) },
	};
	struct end e = { 0 };

	(void)state;
	qs_hello_put(&good, 1);
	for (int i = 0; i < 4; i++)
		bad[i] = good;
	bad[0].magic[3] ^= 1;
	bad[1].version++;
	bad[2].window = be32_make(0);
	bad[3].window = be32_make(QS_WINDOW_MAX + 1);
	door_open(8, 0);
	door_post(&e);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peer_dial(rows[i].features, rows[i].p, rows[i].len);
		run_until(peer.closed);
		assert_int_equal(peer.err, -ECONNREFUSED);
	}
	assert_int_equal(door.taken, 0);
	ops->unlisten(door.l);
}

/* A listener of messages, that accepts anybody. */
static void take_request(void *user, struct fab_msg_conn *conn, const union fab_addr *from,
			 const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct fab_hello hello = { .features = FAB_FEATURE_ULP };

	(void)user;
	(void)from;
	assert_true(who->features & FAB_FEATURE_STREAM);
	peer.mc = conn;
	assert_int_equal(iwarp_ops.accept(conn, &hello, pdata, len, &peer_ops, NULL), 0);
}

static void request_gone(void *user, struct fab_msg_conn *conn)
{
	(void)user;
	(void)conn;
}

static void test_dials_no_user_of_messages(void **state)
{
	const struct fab_msg_listen_user lo = { take_request, request_gone, on_listener_failed };
	union fab_addr addr = loopback();
	struct fab_msg_listener *l;
	struct end e = { 0 };

	(void)state;
	memset(&peer, 0, sizeof(peer));
	assert_int_equal(iwarp_ops.listen(qtcp_pairs(fab), &addr, 8, &lo, NULL, &l), 0);
	assert_int_equal(iwarp_ops.listener_addr(l, &door.addr), 0);
	end_connect(&e);
	run_until(e.failed && peer.closed);
	assert_int_equal(e.err, -EPROTO);
	peer_leave();
	iwarp_ops.unlisten(l);
}

/* ------------------------------------------------------------------ messages that are wrong */

static void test_malformed(void **state)
{
	static const struct {
		uint8_t op, flags, reserved;
		uint32_t length;
		size_t len;
	} rows[] = {
		{ 0, 0, 0, 0, 0 },
		{ QS_DATA, 0, 0, 0, 0 },
		{ QS_DATA, 0, 0, 10, 9 },
		{ QS_DATA, 0, 0, 9, 10 },
		{ QS_DATA, 0, 0, QS_INLINE_MAX + 1, QS_INLINE_MAX + 1 },
		{ QS_DATA, 0, 1, 10, 10 },
		{ QS_DATA, 2, 0, 10, 10 },
		{ QS_LANDED, 0, 0, 0, 0 },
		{ QS_LANDED, 0, 0, 1, 1 },
		{ QS_LANDED, 0, 0, 1, 0 },
		{ QS_CREDIT, 0, 0, 1, 0 },
		{ QS_CREDIT, 0, 0, 0, 1 },
		{ QS_RING, 0, 0, 0, 15 },
		{ QS_RING, 0, 0, 0, 16 },
		{ QS_FIN, 0, 0, 0, 1 },
		{ QS_FIN + 1, 0, 0, 0, 0 },
		{ 255, 0, 0, 0, 0 },
	};
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peer_pair(&e, QS_WINDOW);
		e.rx_len = BULK;
		peer_says(rows[i].op, rows[i].flags, rows[i].length, QS_WINDOW, 0, rows[i].len);
		((struct qs_header *)peer.room[0])->reserved = be16_make(rows[i].reserved);
		expect_end(&e, 0);
	}
	/* too short for a header, and too long for a message: of one segment, of two */
	for (int i = 0; i < 4; i++) {
		static const size_t len[] = { 0, 15, 5000, 150000 };

		peer_pair(&e, QS_WINDOW);
		peer_out(source, len[i]);
		expect_end(&e, 0);
	}
}

static void test_other_kinds(void **state)
{
	struct fab_atomic atomic = { .op = FAB_FETCH_ADD, .data = 1 };
	static const uint8_t kinds[] = { FAB_READ, FAB_ATOMIC, FAB_ATOMIC_RESP, FAB_IMMEDIATE,
					 FAB_READ_RESP };
	struct fab_send *s;
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds); i++) {
		peer_pair(&e, QS_WINDOW);
		s = peer_out(source, kinds[i] == FAB_READ_RESP ? 10 : 0);
		s->op = kinds[i];
		s->read_len = 10;
		s->atomic = &atomic;
		expect_end(&e, 0);
	}
}

/* ------------------------------------------------------------------ credit */

static void test_data_beyond_window(void **state)
{
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	for (unsigned at = 0; at < QS_WINDOW; at += 2048)
		peer_data(at, 2048);
	settle();
	assert_false(e.failed);
	assert_int_equal(e.conn->rx_tail, QS_WINDOW);
	peer_data(0, 1);
	run_until(peer.closed);
	assert_false(e.failed);
	/* as far as it was allowed, it is read */
	e.rx_len = BULK;
	expect_end(&e, QS_WINDOW);
}

static void test_credit_by_the_half(void **state)
{
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	for (unsigned at = 0; at < QS_WINDOW; at += 2048)
		peer_data(at, 2048);
	end_read(&e, QS_WINDOW / 2 - 1);
	run_until(e.rx_off == QS_WINDOW / 2 - 1);
	settle();
	assert_null(peer_heard(QS_CREDIT));
	end_read(&e, BULK);
	run_until(peer_heard(QS_CREDIT));
	assert_true(peer_heard(QS_CREDIT)->limit >= QS_WINDOW / 2 * 3);
	run_until(e.rx_off == QS_WINDOW);
	assert_memory_equal(sink, source, QS_WINDOW);
	/* read, and nothing came since: there is no buffer */
	assert_null(e.conn->rx_buf);
	end_close(&e);
	peer_leave();
}

static void test_bad_limits(void **state)
{
	static const uint64_t limits[] = { 0, QS_WINDOW - 1, QS_WINDOW + 1, UINT64_MAX };
	struct end e;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		peer_pair(&e, QS_WINDOW);
		peer_says(QS_CREDIT, 0, 0, limits[i], 0, 0);
		expect_end(&e, 0);
	}
}

/* A peer that lets nothing through: what may wait is bounded, and ends after a while. */
static void test_no_credit(void **state)
{
	uint64_t now;
	struct end e;

	(void)state;
	peer_pair(&e, 1000);
	end_send(&e, BULK);
	run_until(peer.bytes == 1000);
	settle();
	/* what went had its place taken when a quarter was free, not before */
	assert_int_equal(e.tx_off, QS_SNDBUF);
	assert_int_equal(peer.bytes, 1000);
	assert_true(peer.in[0].flags & QS_F_ASK);
	/* half a kibibyte more, by message, as there is no ring */
	peer_says(QS_CREDIT, 0, 0, 1500, 0, 0);
	run_until(peer.bytes == 1500);
	end_close(&e);
	settle();
	assert_int_equal(qstream_lingering(streams), 1);
	now = timer_now_ns();
	turn_at(now + QS_LINGER_NS / 2);
	assert_int_equal(qstream_lingering(streams), 1);
	turn_at(now + QS_LINGER_NS + 1000000000);
	assert_int_equal(qstream_lingering(streams), 0);
	run_until(peer.closed);
	assert_int_equal(streams->chunks, 0);
}

/* ------------------------------------------------------------------ the ring */

static void test_ring(void **state)
{
	uint32_t stag, at = 0;
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	/* unread octets move into it */
	peer_data(0, 1000);
	stag = peer_asks();
	/* all around it, in writes that are announced together, and messages between them */
	while (at < QS_RING_MAX - 1000) {
		peer_write(stag, 1000 + at, 1000 + at, 30000);
		peer_write(stag, 31000 + at, 31000 + at, 20000);
		peer_says(QS_LANDED, 0, 50000, QS_WINDOW, 0, 0);
		peer_data(51000 + at, 2000);
		at += 52000;
		if (at + 52000 > QS_RING_MAX - 1000)
			break;
	}
	run_until(peer.out_done == peer.out_count);
	settle();
	end_read(&e, BULK);
	run_until(e.rx_off == 1000 + at);
	assert_memory_equal(sink, source, 1000 + at);
	run_until(peer_heard(QS_CREDIT));
	/* over its end: two writes */
	peer_write(stag, 1000 + at, 1000 + at, QS_RING_MAX - 1000 - at);
	peer_write(stag, 0, QS_RING_MAX, 5000);
	peer_says(QS_LANDED, 0, QS_RING_MAX + 5000 - 1000 - at, QS_WINDOW, 0, 0);
	run_until(e.rx_off == QS_RING_MAX + 5000);
	assert_memory_equal(sink, source, QS_RING_MAX + 5000);
	peer_says(QS_FIN, 0, 0, QS_WINDOW, 0, 0);
	run_until(e.eof);
	end_close(&e);
	run_until(peer.closed);
	assert_int_equal(peer.err, 0);
}

enum bad_write {
	WRONG_STAG,
	NO_STAG,
	NOT_FIRST,
	BACKWARDS,
	BEYOND_END,
	BEYOND_LIMIT,
	FAR_AWAY,
	NOT_ANNOUNCED,
	ANNOUNCED_LESS,
	ANNOUNCED_MORE,
	ANNOUNCED_NOTHING,
	FIN_BEFORE,
	AFTER_FIN,
	BAD_WRITES
};

static void write_badly(enum bad_write what, uint32_t stag)
{
	switch (what) {
	case WRONG_STAG:
		peer_write(stag + 1, 0, 0, 100);
		break;
	case NO_STAG:
		peer_write(0, 0, 0, 100);
		break;
	case NOT_FIRST:
		peer_write(stag, 1, 0, 100);
		break;
	case BACKWARDS:
		peer_write(stag, 0, 0, 100);
		peer_write(stag, 50, 0, 100);
		break;
	case BEYOND_END:
		peer_write(stag, 0, 0, QS_RING_MAX + 1);
		break;
	case BEYOND_LIMIT:
		peer_write(stag, 0, 0, QS_RING_MAX);
		peer_write(stag, 0, 0, 1);
		break;
	case FAR_AWAY:
		peer_write(stag, UINT64_MAX - 50, 0, 100);
		break;
	case NOT_ANNOUNCED:
		peer_write(stag, 0, 0, 100);
		peer_data(0, 100);
		break;
	case ANNOUNCED_LESS:
		peer_write(stag, 0, 0, 100);
		peer_says(QS_LANDED, 0, 99, QS_WINDOW, 0, 0);
		break;
	case ANNOUNCED_MORE:
		peer_write(stag, 0, 0, 100);
		peer_says(QS_LANDED, 0, 101, QS_WINDOW, 0, 0);
		break;
	case ANNOUNCED_NOTHING:
		peer_says(QS_LANDED, 0, 100, QS_WINDOW, 0, 0);
		break;
	case FIN_BEFORE:
		peer_write(stag, 0, 0, 100);
		peer_says(QS_FIN, 0, 0, QS_WINDOW, 0, 0);
		break;
	default:
		peer_says(QS_FIN, 0, 0, QS_WINDOW, 0, 0);
		peer_write(stag, 0, 0, 100);
		break;
	}
}

static void test_bad_writes(void **state)
{
	struct end e;

	(void)state;
	for (int i = 0; i < BAD_WRITES; i++) {
		peer_pair(&e, QS_WINDOW);
		write_badly((enum bad_write)i, peer_asks());
		expect_end(&e, 0);
	}
	/* where there is no ring */
	peer_pair(&e, QS_WINDOW);
	peer_write(1, 0, 0, 100);
	expect_end(&e, 0);
	peer_pair(&e, QS_WINDOW);
	peer_write(0, 0, 0, 100);
	expect_end(&e, 0);
}

/* What the end of the stream forbids. */
static void test_behind_the_end(void **state)
{
	struct end e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		peer_pair(&e, QS_WINDOW);
		peer_data(0, 10);
		peer_says(QS_FIN, 0, 0, QS_WINDOW, 0, 0);
		if (i)
			peer_data(10, 10);
		else
			peer_says(QS_FIN, 0, 0, QS_WINDOW, 0, 0);
		/* ten octets and an end were announced before: they are read first, if it is wanted */
		settle();
		end_read(&e, BULK);
		run_until(e.failed);
		assert_int_equal(e.rx_off, 10);
		assert_true(e.eof);
		assert_int_equal(e.err, -EPROTO);
		end_close(&e);
		peer_leave();
	}
}

/* The peer's ring, where the user's side writes. */
static void test_bad_rings(void **state)
{
	static const struct {
		bool asked;
		unsigned times;
		uint32_t size;
		uint64_t to;
	} rows[] = {
		{ false, 1, QS_RING_MAX, 0 },
		{ true, 2, QS_RING_MAX, 0 },
		{ true, 1, QS_WINDOW / 2, 0 },
		{ true, 1, QS_RING_MAX - 1, 0 },
		{ true, 1, 0, 0 },
		{ true, 1, QS_RING_MAX, UINT64_MAX - 1000 },
	};
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peer_pair(&e, QS_WINDOW);
		if (rows[i].asked) {
			end_send(&e, BULK);
			run_until(peer.bytes == QS_WINDOW);
		}
		for (unsigned k = 0; k < rows[i].times; k++)
			peer_ring(7, rows[i].size, rows[i].to, QS_WINDOW);
		/* no room in the peer's ring: nothing is written to it */
		expect_end(&e, 0);
		assert_int_equal(peer.written, 0);
	}
}

static void test_peers_ring(void **state)
{
	const uint32_t size = 32768;
	uint64_t limit = QS_WINDOW;
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	peer.ring = sink;
	end_send(&e, 200000);
	run_until(peer.bytes == QS_WINDOW);
	/* written, in pieces that do not go round the end, and no further than is allowed */
	while (peer.bytes + peer.written < 200000) {
		limit = peer.bytes + peer.written + size;
		if (limit == QS_WINDOW + size)
			peer_ring(7, size, 0, limit);
		else
			peer_says(QS_CREDIT, 0, 0, limit, 0, 0);
		run_until(peer.bytes + peer.written == (limit < 200000 ? limit : 200000));
	}
	assert_true(peer.written > 100000);
	end_close(&e);
	run_until(peer_heard(QS_FIN) && peer.closed);
	assert_int_equal(peer.err, 0);
}

/* ------------------------------------------------------------------ ends */

/* The last octets are the wire's, not the user's, when it closes. */
static void test_close_sends_all(void **state)
{
	union fab_addr alive, dead, local;
	struct end a, b;

	(void)state;
	pair(&a, &b);
	assert_int_equal(ops->conn_addr(b.conn, NULL, &alive), 0);
	end_send(&a, 400000);
	run_until(a.tx_off == 400000);
	end_close(&a);
	settle();
	assert_int_equal(qstream_lingering(streams), 1);
	end_read(&b, BULK);
	run_until(b.eof);
	assert_int_equal(b.rx_off, 400000);
	assert_memory_equal(sink, source, 400000);
	run_until(!qstream_lingering(streams));
	/* nothing is lost, so nothing has failed; but nobody listens */
	settle();
	assert_false(b.failed);
	assert_null(b.conn->mc);
	assert_int_equal(ops->conn_addr(b.conn, &local, &dead), 0);
	assert_int_equal(dead.in.sin_port, alive.in.sin_port);
	assert_int_equal(local.in.sin_port, door.addr.in.sin_port);
	end_send(&b, 10);
	run_until(b.failed);
	assert_int_equal(b.err, -EPIPE);
	end_close(&b);
}

/* The other direction's octets are lost, and their sender hears of it. */
static void test_close_and_lose(void **state)
{
	struct end a, b;

	(void)state;
	pair(&a, &b);
	end_send(&b, BULK);
	run_until(b.tx_off > QS_WINDOW);
	settle();
	end_close(&a);
	run_until(b.failed);
	assert_int_equal(b.err, -ECONNRESET);
	run_until(!qstream_lingering(streams));
	end_close(&b);
	assert_int_equal(streams->chunks, 0);
}

/* An orderly end of the queue pair without the stream's is none. */
static void test_end_without_fin(void **state)
{
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	peer_data(0, 500);
	run_until(peer.out_done == 1);
	iwarp_ops.shutdown(peer.mc);
	settle();
	assert_false(e.failed);
	end_read(&e, BULK);
	run_until(e.failed);
	assert_int_equal(e.rx_off, 500);
	assert_false(e.eof);
	assert_int_equal(e.err, -ECONNRESET);
	end_close(&e);
	run_until(peer.closed);
}

/* A dead peer is reported to who does not read, either, when there is nothing to read. */
static void test_dead_peer(void **state)
{
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	peer_leave();
	run_until(e.failed);
	assert_int_equal(e.err, -ECONNRESET);
	end_close(&e);
	/* or waits to send, though there is */
	peer_pair(&e, 1000);
	peer_says(QS_DATA, 0, 10, 1000, 0, 10);
	end_send(&e, BULK);
	run_until(peer.bytes == 1000 && e.conn->rx_tail == 10);
	settle();
	peer_leave();
	run_until(e.failed);
	assert_int_equal(e.err, -ECONNRESET);
	end_close(&e);
	assert_int_equal(streams->chunks, 0);
}

/* ------------------------------------------------------------------ listeners */

static void test_connected_before_accepted(void **state)
{
	struct end a = { 0 }, b = { 0 };

	(void)state;
	door_open(8, 0);
	end_connect(&a);
	run_until(a.connected);
	/* sends, and leaves, before anybody has accepted it */
	end_send(&a, 10000);
	run_until(a.tx_off == 10000);
	end_close(&a);
	run_until(!qstream_lingering(streams));
	assert_int_equal(door.taken, 0);
	door_post(&b);
	run_until(b.connected);
	end_read(&b, BULK);
	run_until(b.eof);
	assert_int_equal(b.rx_off, 10000);
	assert_memory_equal(sink, source, 10000);
	end_close(&b);
	ops->unlisten(door.l);
}

static void test_backlog(void **state)
{
	enum { N = 6, BACKLOG = 2 };
	struct end a[N] = { 0 }, b[N] = { 0 };
	int connected = 0;

	(void)state;
	door_open(BACKLOG, 0);
	for (int i = 0; i < N; i++)
		end_connect(&a[i]);
	settle();
	for (int i = 0; i < N; i++)
		connected += a[i].connected;
	assert_int_equal(connected, BACKLOG + 1);
	/* one gives up while it waits */
	for (int i = 0; i < N; i++) {
		if (a[i].connected)
			continue;
		end_close(&a[i]);
		break;
	}
	settle();
	for (int i = 0; i < N - 1; i++) {
		door_post(&b[i]);
		run_until(b[i].connected);
	}
	for (int i = 0; i < N; i++)
		run_until(a[i].connected || !a[i].conn);
	for (int i = 0; i < N; i++) {
		end_close(&a[i]);
		end_close(&b[i]);
	}
	ops->unlisten(door.l);
}

static void test_unlisten_with_all_kinds(void **state)
{
	enum { N = 6 };
	struct end a[N] = { 0 };

	(void)state;
	door_open(1, 0);
	for (int i = 0; i < N; i++)
		end_connect(&a[i]);
	settle();
	ops->unlisten(door.l);
	for (int i = 0; i < N; i++) {
		run_until(a[i].failed);
		assert_true(a[i].err == -ECONNREFUSED || a[i].err == -ECONNRESET);
		if (a[i].connected)
			end_close(&a[i]);
	}
	assert_int_equal(timers.count, 0);
}

static void test_defer(void **state)
{
	struct end a[2] = { 0 }, b[2] = { 0 };
	uint64_t now;

	(void)state;
	door_open(8, 5);
	end_connect(&a[0]);
	end_connect(&a[1]);
	door_post(&b[0]);
	run_until(a[0].connected && a[1].connected);
	settle();
	assert_int_equal(door.taken, 0);
	/* the second has something to say, and is first */
	end_send(&a[1], 10);
	run_until(b[0].connected);
	end_read(&b[0], 10);
	run_until(b[0].rx_off == 10);
	door_post(&b[1]);
	settle();
	assert_int_equal(door.taken, 1);
	now = timer_now_ns();
	turn_at(now + 6000000000);
	run_until(b[1].connected);
	for (int i = 0; i < 2; i++) {
		end_close(&a[i]);
		end_close(&b[i]);
	}
	ops->unlisten(door.l);
}

static void test_unaccept(void **state)
{
	struct end a = { 0 }, b = { 0 };

	(void)state;
	door_open(8, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ops->accept(door.l), 0);
	assert_int_equal(ops->unaccept(door.l, 1), 2);
	assert_int_equal(ops->unaccept(door.l, 7), 0);
	end_connect(&a);
	run_until(a.connected);
	settle();
	assert_int_equal(door.taken, 0);
	door_post(&b);
	run_until(b.connected);
	end_close(&a);
	end_close(&b);
	ops->unlisten(door.l);
}

static void test_reuse_port(void **state)
{
	union fab_addr addr = loopback();
	struct fab_listen_attr attr = { .addr = &addr, .backlog = 1, .reuse_port = true };
	struct fab_listener *l;

	(void)state;
	assert_int_equal(ops->listen(fab, &attr, &door_ops, NULL, &l), -EOPNOTSUPP);
}

/* ------------------------------------------------------------------ files, memory */

static void test_file(void **state)
{
	int fd = memfd_create("range", MFD_CLOEXEC);
	struct end a, b;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, source, 600000), 600000);
	pair(&a, &b);
	a.range = (struct fab_file_range){ fd, 300000 };
	a.tx_file = 300000;
	end_send(&a, 300000);
	end_read(&b, BULK);
	run_until(b.rx_off == 600000);
	assert_memory_equal(sink, source, 600000);
	/* longer than the file is, by then */
	a.range.offset = 599000;
	a.tx_file = 2000;
	ops->tx_want(a.conn);
	run_until(a.tx_err);
	assert_int_equal(a.tx_err, -ENODATA);
	run_until(b.rx_off == 601000);
	assert_memory_equal(sink + 600000, source + 599000, 1000);
	a.tx_err = 0;
	a.range = (struct fab_file_range){ -1, 0 };
	a.tx_file = 10;
	ops->tx_want(a.conn);
	run_until(a.tx_err);
	assert_int_equal(a.tx_err, -EBADF);
	/* what comes next, goes */
	end_send(&a, 100);
	run_until(b.rx_off == 601100);
	end_close(&a);
	end_close(&b);
	close(fd);
}

static void test_idle_costs_nothing(void **state)
{
	struct end a, b;

	(void)state;
	pair(&a, &b);
	for (int i = 0; i < 3; i++) {
		size_t had = b.rx_off;

		end_send(&a, 5000);
		settle();
		end_read(&b, BULK);
		run_until(b.rx_off == had + 5000);
		settle();
	}
	assert_null(a.conn->tx);
	assert_null(b.conn->tx);
	assert_null(a.conn->rx_buf);
	assert_null(b.conn->rx_buf);
	assert_int_equal(streams->chunks, 0);
	end_close(&a);
	end_close(&b);
}

/* Takes all blocks of a kind that there may be. */
static unsigned hoard(enum qs_class cls, void **blocks, unsigned max)
{
	unsigned n = 0;

	while (n < max && (blocks[n] = qs_arena_get(&streams->arena, cls)))
		n++;
	assert_true(n < max);
	return n;
}

static void give_back(enum qs_class cls, void **blocks, unsigned n)
{
	while (n--)
		qs_arena_put(&streams->arena, cls, blocks[n]);
}

static void test_no_ring_left(void **state)
{
	static void *blocks[20000];
	unsigned n = hoard(QS_WHOLE, blocks, 20000);
	struct end a, b;

	(void)state;
	pair(&a, &b);
	end_send(&a, BULK);
	end_read(&b, BULK);
	run_until(b.rx_off == BULK);
	assert_memory_equal(sink, source, BULK);
	assert_int_equal(b.conn->rx_stag, 0);
	give_back(QS_WHOLE, blocks, n);
	end_close(&a);
	end_close(&b);
}

static void test_no_buffer_left(void **state)
{
	static void *blocks[20000];
	unsigned n = hoard(QS_EARLY, blocks, 20000);
	struct end e;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	peer_data(0, 10);
	run_until(e.failed);
	assert_int_equal(e.err, -ENOBUFS);
	give_back(QS_EARLY, blocks, n);
	end_close(&e);
	peer_leave();
}

static void test_no_chunk_left(void **state)
{
	static void *blocks[20000];
	struct end a, b, c, d;
	unsigned n;

	(void)state;
	/* one connection has chunks, and its peer does not read */
	pair(&a, &b);
	end_send(&a, BULK);
	settle();
	n = hoard(QS_LARGE, blocks, 20000);
	pair(&c, &d);
	end_send(&c, 200000);
	settle();
	assert_int_equal(c.tx_off, 0);
	assert_false(c.failed);
	/* it reads: there are chunks for the other */
	give_back(QS_LARGE, blocks, n);
	n = 0;
	end_read(&b, BULK);
	run_until(b.rx_off == BULK);
	end_read(&d, 200000);
	run_until(d.rx_off == 200000);
	assert_memory_equal(sink, source, 200000);
	end_close(&a);
	end_close(&b);
	/* nobody has one, and there is none: it is told */
	n = hoard(QS_LARGE, blocks, 20000);
	end_send(&c, 200000);
	run_until(c.failed);
	assert_int_equal(c.err, -ENOBUFS);
	give_back(QS_LARGE, blocks, n);
	end_close(&c);
	end_close(&d);
}

static void test_small_ring(void **state)
{
	struct end a, b;

	(void)state;
	pair(&a, &b);
	assert_int_equal(ops->set_option(b.conn, FAB_OPT_RCVBUF, 1000), 0);
	end_send(&a, BULK);
	end_read(&b, BULK);
	run_until(b.rx_off == BULK);
	assert_memory_equal(sink, source, BULK);
	assert_int_equal(b.conn->rx_size, QS_RING_MIN);
	end_close(&a);
	end_close(&b);
}

static void test_keepalive(void **state)
{
	struct end e;
	uint64_t now;

	(void)state;
	peer_pair(&e, QS_WINDOW);
	assert_int_equal(ops->set_option(e.conn, FAB_OPT_KEEPALIVE, 1), 0);
	settle();
	assert_int_equal(peer.in_count, 0);
	now = timer_now_ns();
	turn_at(now + QS_KEEPALIVE_NS + 1000000000);
	run_until(peer.in_count == 1);
	assert_int_equal(peer.in[0].op, QS_CREDIT);
	assert_int_equal(ops->set_option(e.conn, FAB_OPT_KEEPALIVE, 0), 0);
	assert_int_equal(timers.count, 0);
	end_close(&e);
	peer_leave();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refuses_who_is_no_stream),
		TEST(test_dials_no_user_of_messages),
		TEST(test_malformed),
		TEST(test_other_kinds),
		TEST(test_data_beyond_window),
		TEST(test_credit_by_the_half),
		TEST(test_bad_limits),
		TEST(test_no_credit),
		TEST(test_ring),
		TEST(test_bad_writes),
		TEST(test_behind_the_end),
		TEST(test_bad_rings),
		TEST(test_peers_ring),
		TEST(test_close_sends_all),
		TEST(test_close_and_lose),
		TEST(test_end_without_fin),
		TEST(test_dead_peer),
		TEST(test_connected_before_accepted),
		TEST(test_backlog),
		TEST(test_unlisten_with_all_kinds),
		TEST(test_defer),
		TEST(test_unaccept),
		TEST(test_reuse_port),
		TEST(test_file),
		TEST(test_idle_costs_nothing),
		TEST(test_no_ring_left),
		TEST(test_no_buffer_left),
		TEST(test_no_chunk_left),
		TEST(test_small_ring),
		TEST(test_keepalive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
