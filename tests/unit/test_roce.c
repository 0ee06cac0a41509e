/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_roce.c - the contract of a message fabric over an RDMA device of this host: two instances, one
 * thread, and between two turns either a sleep on both descriptors, so that a completion that nobody
 * tells of hangs, or none. Exits with 77 where there is no device.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fabric/roce/roce.h"

#define PATIENCE_MS 20000
#define BIG (300 * 1024)
#define OUT_MAX 64

static const struct fab_msg_ops *const ops = &roce_msg_ops;
static union fab_addr host;

/* ---------------------------------------------------------------------------- one side */

struct side {
	struct fab *fab;
	struct fab_msg *m;
	struct fab_counters counters;
	struct timers timers;

	struct fab_msg_listener *listener;
	unsigned requests, withdrawn;
	struct fab_msg_conn *request;
	struct fab_msg_peer who;
	uint8_t pdata[FAB_PDATA_MAX];
	size_t pdata_len;

	struct fab_msg_conn *conn;
	unsigned connects, closes;
	int connect_err, close_err;

	/* to be sent: out[out_done] is the oldest */
	struct fab_send out[OUT_MAX];
	struct iovec out_iov[OUT_MAX];
	struct fab_atomic atomic;
	unsigned out_done, out_count;
	bool partial;

	/* received: whole messages and pieces, one behind the other */
	uint8_t in[BIG], mem[BIG];
	uint32_t in_len, room;
	unsigned received, wholes, tagged, reads, atomics, answers, immediates;
	uint64_t value;
	bool closed_inside; /* close in the next upcall about data */
	bool no_receive, by_place;
	int refusal;
	struct fab_read_req read;
	struct fab_atomic_req atomic_req;
};

static struct side a, b;

static void log_line(void *arg, int level, const char *text)
{
	(void)arg;
	if (level == FAB_LOG_WARN || getenv("ETA_TEST_VERBOSE"))
		fprintf(stderr, "# %s\n", text);
}

static void side_open(struct side *s, bool streams)
{
	struct fab_env env = {
		.owner = FAB_OWNER_ROAMS,
		.counters = &s->counters,
		.timers = &s->timers,
		.log = log_line,
	};
	struct fab_msg_attr attr = {
		.handshake_ns = 5000000000, .ord = 8, .ird = 4, .streams = streams
	};

	memset(s, 0, sizeof(*s));
	timers_init(&s->timers);
	assert_int_equal(roce_stream_ops.open(&env, &s->fab), 0);
	assert_int_equal(ops->open(&env, &attr, &roce_stream_ops, s->fab, &s->m), 0);
}

static void side_close(struct side *s)
{
	if (s->conn)
		ops->conn_close(s->conn, true);
	if (s->listener)
		ops->unlisten(s->listener);
	ops->close(s->m);
	roce_stream_ops.close(s->fab);
	timers_destroy(&s->timers);
}

/* ----------------------------------------------------------------------------- upcalls */

static void up_connected(void *user, int err, const struct fab_msg_peer *who, const void *pdata,
			 size_t len)
{
	struct side *s = user;

	s->connects++;
	s->connect_err = err;
	assert_int_equal(!who, err != 0);
	if (who)
		s->who = *who;
	if (len)
		memcpy(s->pdata, pdata, len);
	s->pdata_len = len;
	if (err)
		s->conn = NULL;
}

static const struct fab_send *up_tx_peek(void *user, unsigned i)
{
	struct side *s = user;

	return s->out_done + i < s->out_count ? &s->out[s->out_done + i] : NULL;
}

static void up_tx_done(void *user, unsigned n, unsigned begun)
{
	struct side *s = user;

	s->out_done += n;
	s->partial = begun;
	assert_true(s->out_done <= s->out_count);
}

static bool closed_inside(struct side *s)
{
	if (!s->closed_inside)
		return false;
	ops->conn_close(s->conn, true);
	s->conn = NULL;
	return true;
}

static int up_rx_whole(void *user, const void *p, uint32_t len)
{
	struct side *s = user;

	if (closed_inside(s))
		return 0;
	if (s->by_place)
		return 1;
	assert_true(s->in_len + len <= sizeof(s->in));
	memcpy(s->in + s->in_len, p, len);
	s->in_len += len;
	s->received++;
	s->wholes++;
	return 0;
}

/* Two entries, and never all of a piece at once. */
static int up_rx_place(void *user, struct fab_place *piece, struct iovec *iov, int max)
{
	struct side *s = user;
	uint32_t len = piece->len, at = s->in_len + piece->offset;

	(void)max;
	if (s->no_receive)
		return -EAGAIN;
	if (piece->offset + len > s->room)
		len = piece->offset < s->room ? s->room - piece->offset : 0;
	else if (len > 3)
		piece->more = len-- > 3;
	assert_true(at + len <= sizeof(s->in));
	iov[0] = (struct iovec){ s->in + at, len / 2 };
	iov[1] = (struct iovec){ s->in + at + len / 2, len - len / 2 };
	return 2;
}

static void up_rx_done(void *user, const struct fab_place *piece)
{
	struct side *s = user;
	uint32_t end = piece->offset + piece->len;

	if (!piece->last)
		return;
	s->in_len += end < s->room ? end : s->room;
	s->received++;
}

static int up_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	struct side *s = user;

	(void)max;
	if (s->refusal)
		return s->refusal;
	assert_int_equal(t->stag, 77);
	assert_true(t->to + t->len <= sizeof(s->mem));
	iov[0] = (struct iovec){ s->mem + t->to, t->len };
	return 1;
}

static void up_rx_tagged_done(void *user, const struct fab_tagged *t)
{
	struct side *s = user;

	s->tagged += t->last;
	s->answers += t->last && t->response;
}

static int up_rx_read(void *user, const struct fab_read_req *r)
{
	struct side *s = user;

	s->reads++;
	s->read = *r;
	return s->refusal;
}

static int up_rx_atomic(void *user, const struct fab_atomic_req *r)
{
	struct side *s = user;

	s->atomics++;
	s->atomic_req = *r;
	return 0;
}

static int up_rx_atomic_resp(void *user, uint32_t id, uint64_t value)
{
	struct side *s = user;

	s->answers++;
	s->value = value + id;
	return 0;
}

static int up_rx_immediate(void *user, uint64_t value)
{
	struct side *s = user;

	s->immediates++;
	s->value = value;
	return 0;
}

static void up_closed(void *user, int err)
{
	struct side *s = user;

	s->closes++;
	s->close_err = err;
}

static const struct fab_msg_user user_ops = {
	.connected = up_connected,
	.tx_peek = up_tx_peek,
	.tx_done = up_tx_done,
	.rx_whole = up_rx_whole,
	.rx_place = up_rx_place,
	.rx_done = up_rx_done,
	.rx_tagged = up_rx_tagged,
	.rx_tagged_done = up_rx_tagged_done,
	.rx_read = up_rx_read,
	.rx_atomic = up_rx_atomic,
	.rx_atomic_resp = up_rx_atomic_resp,
	.rx_immediate = up_rx_immediate,
	.closed = up_closed,
};

static void up_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
		       const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct side *s = user;

	assert_int_equal(peer->sa.sa_family, host.sa.sa_family);
	s->requests++;
	s->request = conn;
	s->who = *who;
	memcpy(s->pdata, pdata, len);
	s->pdata_len = len;
}

static void up_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct side *s = user;

	assert_ptr_equal(conn, s->request);
	s->request = NULL;
	s->withdrawn++;
}

static void up_failed(void *user, int err)
{
	(void)user;
	fail_msg("a listener failed: %d", err);
}

static const struct fab_msg_listen_user listen_ops = {
	.request = up_request,
	.withdrawn = up_withdrawn,
	.failed = up_failed,
};

/* ----------------------------------------------------------------------- making it go */

static bool asleep; /* between turns */

static uint64_t now_ms(void)
{
	return timer_now_ns() / 1000000;
}

static void turn(struct side *s)
{
	roce_stream_ops.flush(s->fab);
	roce_stream_ops.progress(s->fab, FAB_TURN_COMPLETIONS);
	timers_run(&s->timers, timer_now_ns());
	roce_stream_ops.flush(s->fab);
}

static void sleep_both(void)
{
	struct pollfd fds[] = {
		{ .fd = roce_stream_ops.wait_fd(a.fab), .events = POLLIN },
		{ .fd = roce_stream_ops.wait_fd(b.fab), .events = POLLIN },
	};

	/* deadlines are not what is tested: they get a look now and then */
	if (poll(fds, 2, 5000) == 0)
		fail_msg("nothing happens any more");
}

#define run_until(condition)                                                                       \
	do {                                                                                       \
		uint64_t end_ = now_ms() + PATIENCE_MS;                                            \
		for (turn(&a), turn(&b); !(condition); turn(&a), turn(&b)) {                       \
			if (now_ms() > end_)                                                       \
				fail_msg("waited in vain for " #condition);                        \
			if (asleep)                                                                \
				sleep_both();                                                      \
		}                                                                                  \
	} while (0)

static void run_for(unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;) {
		turn(&a);
		turn(&b);
	}
}

static void dial(const char *pdata, uint64_t timeout_ns)
{
	struct fab_hello hello = { .features = FAB_FEATURE_ULP,
				   .name_len = 4,
				   .window = 100,
				   .announces = 7,
				   .incarnation = 42,
				   .name = "name" };
	struct fab_connect_attr attr = { .timeout_ns = timeout_ns };
	union fab_addr addr;

	assert_int_equal(ops->listener_addr(b.listener, &addr), 0);
	attr.peer = &addr;
	assert_int_equal(
		ops->connect(a.m, &attr, &hello, pdata, strlen(pdata), &user_ops, &a, &a.conn), 0);
	assert_int_equal(a.connects, 0);
}

static void listen_b(void)
{
	assert_int_equal(ops->listen(b.m, &host, 16, &listen_ops, &b, &b.listener), 0);
}

static void accept_b(void)
{
	run_until(b.request);
	assert_int_equal(ops->accept(b.request, NULL, "yes", 3, &user_ops, &b), 0);
	b.conn = b.request;
	b.request = NULL;
	run_until(a.connects && b.connects);
	assert_int_equal(a.connect_err, 0);
	assert_int_equal(b.connect_err, 0);
	a.room = b.room = BIG;
}

static int pair_open(void **state)
{
	(void)state;
	asleep = true;
	side_open(&a, false);
	side_open(&b, false);
	listen_b();
	dial("may I?", 0);
	accept_b();
	return 0;
}

static int listener_open(void **state)
{
	(void)state;
	asleep = true;
	side_open(&a, false);
	side_open(&b, false);
	listen_b();
	return 0;
}

static int pair_close(void **state)
{
	(void)state;
	side_close(&a);
	side_close(&b);
	return 0;
}

static void post(struct side *s, struct fab_send send, const void *p)
{
	unsigned i = s->out_count;

	if (s->out_done == i)
		s->out_done = s->out_count = i = 0;
	assert_true(i < OUT_MAX);
	s->out_iov[i] = (struct iovec){ (void *)(uintptr_t)p, send.len };
	send.iov = &s->out_iov[i];
	send.niov = 1;
	s->out[i] = send;
	s->out_count++;
	ops->tx_want(s->conn);
}

static uint8_t pattern[BIG];

static void post_send(struct side *s, uint32_t from, uint32_t len)
{
	post(s, (struct fab_send){ .op = FAB_SEND, .len = len }, pattern + from);
}

/* ------------------------------------------------------------------------------- set-up */

static void test_set_up(void **state)
{
	union fab_addr local, peer, lo;

	(void)state;
	assert_int_equal(a.pdata_len, 3);
	assert_memory_equal(a.pdata, "yes", 3);
	assert_true(a.who.eta && a.who.features == FAB_FEATURE_ATOMIC);
	assert_true(a.who.ord == 4 && a.who.ird == 4);
	assert_int_equal(b.who.ord, 4);
	assert_true(b.who.eta && b.who.hello.incarnation == 42 && b.who.hello.name_len == 4);
	assert_memory_equal(b.who.hello.name, "name", 4);
	assert_true(b.who.hello.window == 100 && b.who.hello.announces == 7);
	assert_int_equal(ops->listener_addr(b.listener, &lo), 0);
	assert_int_equal(ops->conn_addr(a.conn, &local, &peer), 0);
	assert_int_equal(peer.in.sin_port, lo.in.sin_port);
	assert_int_equal(ops->conn_addr(b.conn, &peer, &lo), 0);
	assert_int_equal(local.in.sin_port, lo.in.sin_port);
}

static void test_rejected(void **state)
{
	(void)state;
	dial("please", 0);
	run_until(b.request);
	assert_int_equal(b.pdata_len, 6);
	assert_memory_equal(b.pdata, "please", 6);
	ops->reject(b.request, "no", 2);
	run_until(a.connects);
	assert_int_equal(a.connect_err, -ECONNREFUSED);
	assert_int_equal(a.pdata_len, 2);
	assert_memory_equal(a.pdata, "no", 2);
}

static void test_nobody_there(void **state)
{
	struct fab_connect_attr attr = { 0 };
	union fab_addr addr;

	(void)state;
	ops->listener_addr(b.listener, &addr);
	ops->unlisten(b.listener);
	b.listener = NULL;
	attr.peer = &addr;
	ops->connect(a.m, &attr, NULL, NULL, 0, &user_ops, &a, &a.conn);
	run_until(a.connects);
	assert_int_equal(a.connect_err, -ECONNREFUSED);
	assert_int_equal(a.pdata_len, 0);
}

static void test_withdrawn(void **state)
{
	(void)state;
	dial("wait", 0);
	run_until(b.request);
	ops->conn_close(a.conn, false);
	a.conn = NULL;
	run_until(b.withdrawn);
	/* and when nobody listens any more, it stays with its user */
	dial("wait", 0);
	run_until(b.request);
	ops->unlisten(b.listener);
	b.listener = NULL;
	ops->conn_close(a.conn, false);
	a.conn = NULL;
	asleep = false;
	run_for(500);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(ops->accept(b.request, NULL, NULL, 0, &user_ops, &b), -ESTALE);
	ops->conn_close(b.request, false);
}

/* Nobody answers the request: its dialler gives up. */
static void test_deadline(void **state)
{
	(void)state;
	asleep = false;
	dial("wait", 1000000000);
	run_until(a.connects);
	assert_int_equal(a.connect_err, -ETIMEDOUT);
	run_until(b.withdrawn == b.requests);
}

/* Streams and messages never meet. */
static void test_services(void **state)
{
	(void)state;
	side_close(&a);
	side_open(&a, true);
	dial("", 0);
	run_until(a.connects);
	assert_int_equal(a.connect_err, -ECONNREFUSED);
	assert_int_equal(b.requests, 0);
}

/* ----------------------------------------------------------------------------- messages */

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = { 0,    1,    7,    8,    9,    255,  4000,  8000,
					  8160, 8168, 8176, 8184, 8192, 9000, 65536, 200000 };

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		asleep = round & 1;
		a.by_place = b.by_place = round & 2;
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			a.in_len = b.in_len = a.received = b.received = 0;
			post_send(&a, i, sizes[i]);
			post_send(&a, i + 1, sizes[i] / 2);
			post_send(&b, i + 2, sizes[i] / 3);
			run_until(b.received == 2 && a.received == 1);
			assert_int_equal(b.in_len, sizes[i] + sizes[i] / 2);
			assert_memory_equal(b.in, pattern + i, sizes[i]);
			assert_memory_equal(b.in + sizes[i], pattern + i + 1, sizes[i] / 2);
			assert_int_equal(a.in_len, sizes[i] / 3);
			assert_memory_equal(a.in, pattern + i + 2, sizes[i] / 3);
			run_until(a.out_done == a.out_count && !a.partial);
		}
	}
	assert_true(b.wholes > 0 && b.wholes < 64);
}

/* More frames than there are credits, both ways, and small ones in great number. */
static void test_credits(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		a.in_len = b.in_len = a.received = b.received = 0;
		for (unsigned i = 0; i < OUT_MAX; i++) {
			post_send(&a, i, 4000);
			post_send(&b, i, 7 + i);
		}
		run_until(b.received == OUT_MAX && a.received == OUT_MAX);
	}
	assert_int_equal(a.counters.proto_errors + b.counters.proto_errors, 0);
}

/* No receive: nothing is lost, the sender stops, and it goes on. */
static void test_stalled(void **state)
{
	(void)state;
	asleep = false;
	b.by_place = b.no_receive = true;
	for (unsigned i = 0; i < 40; i++)
		post_send(&a, i, 20000);
	run_for(500);
	assert_int_equal(b.received, 0);
	assert_true(a.out_done < 40);
	for (unsigned i = 0; i < 40; i++) {
		b.no_receive = false;
		b.in_len = 0;
		b.received = 0;
		ops->rx_want(b.conn);
		run_until(b.received);
		b.no_receive = true;
		assert_memory_equal(b.in, pattern + i, 1);
		if (b.received > 1)
			break;
	}
	b.no_receive = false;
	ops->rx_want(b.conn);
	for (uint64_t end = now_ms() + 5000; a.out_done < a.out_count && now_ms() < end;) {
		b.in_len = 0;
		run_for(1);
	}
	assert_int_equal(a.out_done, a.out_count);
}

static void test_truncated(void **state)
{
	(void)state;
	b.by_place = true;
	b.room = 10000;
	post_send(&a, 0, 50000);
	post_send(&a, 5, 100);
	run_until(b.received == 2);
	assert_int_equal(b.in_len, 10100);
	assert_memory_equal(b.in, pattern, 10000);
	assert_memory_equal(b.in + 10000, pattern + 5, 100);
	assert_int_equal(b.counters.msgs_truncated, 1);
}

static void test_writes_and_reads(void **state)
{
	(void)state;
	post(&a, (struct fab_send){ .op = FAB_WRITE, .len = 100000, .stag = 77, .to = 1000 },
	     pattern);
	post(&a, (struct fab_send){ .op = FAB_WRITE, .len = 0, .stag = 77, .to = 5 }, NULL);
	run_until(b.tagged == 2);
	assert_memory_equal(b.mem + 1000, pattern, 100000);

	post(&a,
	     (struct fab_send){ .op = FAB_READ,
				.stag = 5,
				.to = 6,
				.sink_stag = 77,
				.sink_to = 8,
				.read_len = 70000 },
	     NULL);
	/* behind it one of nothing, whose answer must not be first */
	post(&a,
	     (struct fab_send){ .op = FAB_READ, .stag = 5, .to = 6, .sink_stag = 77, .sink_to = 9 },
	     NULL);
	run_until(b.reads);
	run_for(50);
	assert_true(b.read.stag == 5 && b.read.to == 6 && b.read.len == 70000);
	assert_true(b.reads == 1 && a.answers == 0);
	post(&b,
	     (struct fab_send){ .op = FAB_READ_RESP,
				.len = 70000,
				.stag = b.read.sink_stag,
				.to = b.read.sink_to },
	     pattern);
	run_until(a.answers == 2);
	assert_memory_equal(a.mem + 8, pattern, 70000);
	post(&a, (struct fab_send){ .op = FAB_READ, .sink_stag = 77 }, NULL);
	run_until(a.answers == 3);
	assert_int_equal(b.reads, 1);
}

static void test_atomics(void **state)
{
	(void)state;
	a.atomic = (struct fab_atomic){ FAB_CMP_SWAP, 1, 2, 3, 4 };
	post(&a,
	     (struct fab_send){
		     .op = FAB_ATOMIC, .stag = 5, .to = 6, .id = 9, .atomic = &a.atomic },
	     NULL);
	run_until(b.atomics);
	assert_true(b.atomic_req.id == 9 && b.atomic_req.stag == 5 && b.atomic_req.to == 6);
	assert_int_equal(b.atomic_req.atomic.op, FAB_CMP_SWAP);
	assert_memory_equal(&b.atomic_req.atomic.data, &a.atomic.data, 4 * sizeof(uint64_t));
	post(&b, (struct fab_send){ .op = FAB_ATOMIC_RESP, .id = 9, .value = 1000 }, NULL);
	run_until(a.answers);
	assert_int_equal(a.value, 1009);
	post(&b, (struct fab_send){ .op = FAB_IMMEDIATE, .value = 1ull << 50 }, NULL);
	run_until(a.immediates);
	assert_true(a.value == 1ull << 50);
}

/* --------------------------------------------------------------------------------- ends */

static void test_refused(void **state)
{
	(void)state;
	b.refusal = -ENOKEY;
	post(&a, (struct fab_send){ .op = FAB_WRITE, .len = 100000, .stag = 77 }, pattern);
	run_until(a.closes && b.closes);
	assert_int_equal(b.close_err, -ENOKEY);
	assert_int_equal(a.close_err, -ECONNABORTED);
}

static void test_shutdown(void **state)
{
	(void)state;
	post_send(&a, 0, 200000);
	ops->tx_now(a.conn);
	assert_int_equal(ops->shutdown(a.conn), 0);
	post_send(&a, 0, 100);
	run_until(b.closes);
	assert_int_equal(b.close_err, 0);
	assert_int_equal(b.received, 1);
	assert_int_equal(a.closes, 0);
	ops->conn_close(b.conn, false);
	b.conn = NULL;
	run_until(a.closes);
	assert_int_equal(a.close_err, 0);
	assert_int_equal(ops->shutdown(a.conn), -ENOTCONN);
}

/* What was sent is delivered, though its sender is gone. */
static void test_close(void **state)
{
	(void)state;
	run_until(b.counters.fpdus_tx == 2); /* its credit */
	asleep = false;
	run_for(200);
	for (unsigned i = 0; i < 20; i++)
		post_send(&a, i, 8000);
	ops->tx_now(a.conn);
	assert_int_equal(a.out_done, 20);
	ops->conn_close(a.conn, false);
	a.conn = NULL;
	run_until(b.closes);
	assert_int_equal(b.close_err, 0);
	assert_int_equal(b.received, 20);
}

static void test_close_cut(void **state)
{
	(void)state;
	post_send(&a, 0, 10);
	post_send(&a, 0, BIG);
	ops->tx_now(a.conn);
	assert_true(a.partial);
	ops->conn_close(a.conn, false);
	a.conn = NULL;
	run_until(b.closes);
	assert_int_equal(b.received, 1);
	assert_int_equal(b.close_err, -ECONNRESET);
}

static void test_reset(void **state)
{
	(void)state;
	ops->conn_close(a.conn, true);
	a.conn = NULL;
	run_until(b.closes);
	assert_int_equal(b.close_err, -ECONNRESET);
}

static void test_closed_inside(void **state)
{
	(void)state;
	b.closed_inside = true;
	post_send(&a, 0, 100);
	post_send(&a, 0, 100);
	run_until(a.closes);
	assert_int_equal(b.received, 0);
	assert_int_equal(b.closes, 0);
}

/* ------------------------------------------------------------------------------- device */

static void test_devices(void **state)
{
	struct roce_device *devices;
	char why[ROCE_WHY];
	int n = roce_devices(&devices, why);

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		assert_true(devices[i].name[0] && devices[i].port);
		assert_int_equal(devices[i].usable, !devices[i].why_not[0]);
	}
	roce_devices_free(devices);
}

static bool find_host(void)
{
	struct roce_device *devices;
	char why[ROCE_WHY];
	int n = roce_devices(&devices, why);

	if (n <= 0)
		printf("skipped: %s\n", n ? "no memory" : why);
	for (int i = 0; i < n; i++) {
		if (!devices[i].usable)
			printf("%s cannot be used: %s\n", devices[i].name, devices[i].why_not);
		for (unsigned k = 0; k < devices[i].naddrs && devices[i].usable; k++)
			if (devices[i].addrs[k].sa.sa_family == AF_INET)
				host = devices[i].addrs[k];
	}
	roce_devices_free(devices);
	return host.sa.sa_family;
}

#define LISTENING(f) cmocka_unit_test_setup_teardown(f, listener_open, pair_close)
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, pair_open, pair_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices), LISTENING(test_rejected),
		LISTENING(test_nobody_there),   LISTENING(test_withdrawn),
		LISTENING(test_deadline),       LISTENING(test_services),
		CONNECTED(test_set_up),         CONNECTED(test_sizes),
		CONNECTED(test_credits),        CONNECTED(test_stalled),
		CONNECTED(test_truncated),      CONNECTED(test_writes_and_reads),
		CONNECTED(test_atomics),        CONNECTED(test_refused),
		CONNECTED(test_shutdown),       CONNECTED(test_close),
		CONNECTED(test_close_cut),      CONNECTED(test_reset),
		CONNECTED(test_closed_inside),
	};

	if (!find_host())
		return 77;
	for (unsigned i = 0; i < BIG; i++)
		pattern[i] = i * 7 + (i >> 8) * 13;
	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
