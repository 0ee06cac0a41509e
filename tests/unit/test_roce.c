/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_roce.c - the contract of a message fabric over an RDMA device of this host. Exits with 77 where there
 * is none. What devices place themselves: test_roce_place.c.
 */
#include "roce_side.h"

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
		b.in_len = 0; /* there is not room for all */
		turn(&a);
		turn(&b);
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

	if (!roce_tests_begin())
		return 77;
	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
