/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_sim.c - that simulated devices do what reliable-connected queue pairs do: two ends, one thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <infiniband/verbs.h>

#include "tests/unit/sim_peer.h"

static struct sim_peer *a, *b; /* dials; listens */
static struct sim_peer_attr attr;

static void settle(void)
{
	for (unsigned i = 0; i < 20; i++) {
		sim_peer_turn(a);
		sim_peer_turn(b);
		sim_settle();
	}
}

/* While time passes. */
static void settle_for(bool (*over)(const struct sim_peer *), const struct sim_peer *p)
{
	for (uint64_t end = timer_now_ns() + 5000000000; !over(p) && timer_now_ns() < end;)
		settle();
	assert_true(over(p));
}

static void connect_both(uint8_t reads, unsigned recvs)
{
	attr = (struct sim_peer_attr){
		.data = "hello", .data_len = 5, .reads = reads, .rnr_retry = 1, .recvs = recvs
	};
	attr.at.in.sin_family = AF_INET;
	attr.at.in.sin_addr.s_addr = inet_addr("127.0.0.2");
	b = sim_peer_listen(&attr);
	attr.at = sim_peer_addr(b);
	a = sim_peer_dial(&attr);
	settle();
	assert_true(sim_peer_is_up(a) && sim_peer_is_up(b));
}

static int set_up(void **state)
{
	(void)state;
	sim_manual(true);
	connect_both(4, 8);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (a)
		sim_peer_close(a);
	if (b)
		sim_peer_close(b);
	a = b = NULL;
	sim_reset();
	return 0;
}

static void expect(struct sim_peer *p, const char *octets)
{
	uint32_t len;
	const uint8_t *got = sim_peer_got(p, &len);

	assert_non_null(got);
	assert_int_equal(len, strlen(octets));
	assert_memory_equal(got, octets, len);
	sim_peer_drop(p);
}

/* The two statuses of a failure, and that both sides are over. */
static void both_failed(int status_a, int status_b)
{
	settle();
	assert_int_equal(sim_peer_status(a), status_a);
	assert_int_equal(sim_peer_status(b), status_b);
	assert_true(sim_peer_is_over(a));
	assert_int_equal(sim_peer_under_way(a), 0);
}

static void test_private_data(void **state)
{
	static const uint8_t zeros[UINT8_MAX];
	const uint8_t *data;
	uint8_t len;

	(void)state;
	data = sim_peer_data(b, &len);
	assert_int_equal(len, 56);
	assert_memory_equal(data, "hello", 5);
	assert_memory_equal(data + 5, zeros, len - 5);
	data = sim_peer_data(a, &len);
	assert_int_equal(len, 196);
	assert_memory_equal(data, "hello", 5);
	assert_memory_equal(data + 5, zeros, len - 5);
}

static void test_sends(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(sim_peer_send(a, "one", 3), 0);
		assert_int_equal(sim_peer_send(a, "two, three", 10), 0);
		assert_int_equal(sim_peer_send(b, "", 0), 0);
		assert_null(sim_peer_got(b, &(uint32_t){ 0 }));
		settle();
		expect(b, "one");
		expect(b, "two, three");
		expect(a, "");
	}
	assert_int_equal(sim_peer_under_way(a) + sim_peer_under_way(b), 0);
}

static void test_queue_full(void **state)
{
	unsigned n = 0;

	(void)state;
	while (!sim_peer_send(a, "x", 1))
		n++;
	assert_int_equal(n, 64);
	assert_int_equal(sim_peer_under_way(a), 64);
}

static void test_no_receive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 9; i++) /* there are 8 */
		assert_int_equal(sim_peer_send(a, "x", 1), 0);
	settle();
	assert_int_equal(sim_peer_under_way(a), 1);
	expect(b, "x"); /* just in time */
	settle();
	assert_int_equal(sim_peer_under_way(a), 0);
	assert_int_equal(sim_peer_send(a, "x", 1), 0);
	settle_for(sim_peer_is_over, a);
	both_failed(IBV_WC_RNR_RETRY_EXC_ERR, 0);
}

static void test_writes(void **state)
{
	uint32_t key;
	uint8_t *mem = sim_peer_share(b, 10000, &key);

	(void)state;
	assert_int_equal(sim_peer_write(a, key, (uintptr_t)mem + 5, "12345", 5, false), 0);
	assert_int_equal(sim_peer_write(a, key, (uintptr_t)mem + 9995, "ABCDE", 5, true), 0);
	assert_int_equal(sim_peer_write(a, 1, 2, NULL, 0, false),
			 0); /* nothing: no key is needed */
	settle();
	assert_memory_equal(mem + 5, "12345", 5);
	assert_memory_equal(mem + 9995, "ABCDE", 5);
	assert_true(sim_peer_is_up(a) && sim_peer_is_up(b));
	assert_int_equal(sim_peer_write(a, key, (uintptr_t)mem + 9996, "abcde", 5, false), 0);
	both_failed(IBV_WC_REM_ACCESS_ERR, 0);
	assert_memory_equal(mem + 9995, "ABCDE", 5);
	assert_true(sim_peer_is_over(b)); /* its receives were flushed */
}

static void test_wrong_key(void **state)
{
	uint32_t key, own;
	uint8_t *mem = sim_peer_share(b, 100, &key);

	(void)state;
	sim_peer_share(a, 100, &own);
	assert_int_equal(sim_peer_write(a, own, (uintptr_t)mem, "12345", 5, false), 0);
	assert_int_equal(sim_peer_send(a, "never", 5), 0);
	both_failed(IBV_WC_REM_ACCESS_ERR, 0);
	assert_int_equal(mem[0], 0);
}

static void test_reads(void **state)
{
	uint32_t key;
	uint8_t *mem = sim_peer_share(b, 10000, &key);

	(void)state;
	memset(mem, 'm', 10000);
	assert_int_equal(sim_peer_read(a, key, (uintptr_t)mem, 10000), 0);
	settle();
	assert_memory_equal(sim_peer_read_data(a), mem, 10000);
	assert_int_equal(sim_peer_read(a, key + 1, (uintptr_t)mem, 10), 0);
	both_failed(IBV_WC_REM_ACCESS_ERR, 0);
}

static void test_no_reads(void **state)
{
	uint32_t key;
	uint8_t *mem;

	(void)state;
	tear_down(NULL);
	connect_both(0, 8);
	mem = sim_peer_share(b, 10, &key);
	assert_int_equal(sim_peer_read(a, key, (uintptr_t)mem, 10), 0);
	both_failed(IBV_WC_LOC_QP_OP_ERR, 0);
}

static void test_cut(void **state)
{
	(void)state;
	sim_times(50000000, 0);
	sim_cut("sim1", true);
	assert_int_equal(sim_peer_send(a, "x", 1), 0);
	settle();
	assert_int_equal(sim_peer_under_way(a), 1);
	sim_cut("sim1", false); /* not for long */
	settle();
	expect(b, "x");
	sim_cut("sim1", true);
	assert_int_equal(sim_peer_send(a, "x", 1), 0);
	settle_for(sim_peer_is_over, a);
	both_failed(IBV_WC_RETRY_EXC_ERR, 0);
	assert_true(sim_peer_is_up(b)); /* nobody told it */
}

static void test_disconnect(void **state)
{
	(void)state;
	sim_peer_disconnect(a);
	settle();
	assert_true(sim_peer_is_over(a) && sim_peer_is_over(b));
}

static void test_closed(void **state)
{
	(void)state;
	sim_peer_close(a);
	a = sim_peer_dial(&attr); /* refused: only the first is taken */
	settle();
	assert_true(sim_peer_is_over(a) && sim_peer_is_over(b));
}

static void test_nobody(void **state)
{
	(void)state;
	sim_peer_close(a);
	attr.at.in.sin_port ^= htons(1);
	a = sim_peer_dial(&attr);
	settle();
	assert_true(sim_peer_is_over(a));
}

static void test_unreachable(void **state)
{
	(void)state;
	sim_times(20000000, 0);
	sim_cut("sim1", true);
	sim_peer_close(a);
	a = sim_peer_dial(&attr);
	settle();
	assert_false(sim_peer_is_over(a));
	settle_for(sim_peer_is_over, a);
}

static void test_removed(void **state)
{
	(void)state;
	sim_remove("sim1");
	assert_int_equal(sim_peer_send(a, "x", 1), EIO);
	settle();
	assert_true(sim_peer_is_over(a) && sim_peer_is_over(b));
	sim_restore("sim1");
}

static void test_faults(void **state)
{
	(void)state;
	sim_fail(SIM_POST_SEND, 1, 2, ENOSPC);
	assert_int_equal(sim_peer_send(a, "x", 1), 0);
	assert_int_equal(sim_peer_send(a, "x", 1), ENOSPC);
	assert_int_equal(sim_peer_send(a, "x", 1), ENOSPC);
	assert_int_equal(sim_peer_send(a, "x", 1), 0);
}

#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(test_private_data), CONNECTED(test_sends),    CONNECTED(test_queue_full),
		CONNECTED(test_no_receive),   CONNECTED(test_writes),   CONNECTED(test_wrong_key),
		CONNECTED(test_reads),        CONNECTED(test_no_reads), CONNECTED(test_cut),
		CONNECTED(test_disconnect),   CONNECTED(test_closed),   CONNECTED(test_nobody),
		CONNECTED(test_unreachable),  CONNECTED(test_removed),  CONNECTED(test_faults),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
