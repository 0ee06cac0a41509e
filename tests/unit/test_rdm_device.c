/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_rdm_device.c - datagram endpoints by an RDMA device: large messages are carried by it, and what the
 * memory's owner allows, refuses and takes back is the same as by any other wire. Needs ETA_FABRIC=roce.
 */
#include "tests/unit/rdm_nodes.h"
#include "tests/unit/test_host.h"

#define MIB (1u << 20)
#define BIG (4 * MIB)

static const struct node_attr in_line = { .placement = "inline" };
static const struct node_attr adaptive = { .placement = "adaptive" };

static uint8_t here[BIG], there[BIG];
static uint32_t to[2], key;
static struct ppe_mr shared;
static struct ppe_counters before[2], now[2];

static void fill(uint8_t *p, uint64_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(((from + i) * 0x9e3779b97f4a7c15ull) >> 56);
}

static int two_nodes(void **state)
{
	(void)state;
	node_open(0, &adaptive);
	node_open(1, &in_line);
	to[0] = node_meet(0, 1);
	to[1] = node_meet(1, 0);
	fill(here, 0, BIG);
	memset(there, 0, BIG);
	shared = share(1, there, BIG, ALL_REMOTE, NULL, &key);
	for (unsigned i = 0; i < 2; i++)
		ppe_ual_counters(nodes[i].ual, &before[i]);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	nodes_close();
	return 0;
}

static uint64_t at(size_t offset)
{
	return (uintptr_t)there + offset;
}

static void look(void)
{
	for (unsigned i = 0; i < 2; i++)
		ppe_ual_counters(nodes[i].ual, &now[i]);
}

#define since(i, what) (now[i].fab.what - before[i].fab.what)

/* Headers are copied, and nothing else. */
static void expect_uncopied(void)
{
	look();
	assert_true(since(0, copy_bytes) + since(1, copy_bytes) < 16384);
}

static void write_one(uint32_t len, size_t offset, int status)
{
	static uint64_t tag;

	post_rma(0, PPE_OP_WRITE, to[0], ++tag, here, len, at(offset), key, 0);
	expect_event(0, TX, PPE_EV_WRITE, tag, status);
}

/* ------------------------------------------------------------------------ what is carried */

static void device_sends(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		memset(there, 0, BIG);
		post_recv(1, 0, i, there, BIG, 0, 0, 0);
		post_send(0, to[0], i, here, BIG - i, 0, 0);
		expect_event(1, RX, PPE_EV_RECV, i, 0);
		expect_event(0, TX, PPE_EV_SEND, i, 0);
		assert_memory_equal(here, there, BIG - i);
	}
	expect_uncopied();
	assert_int_equal(since(1, placed_bytes) + since(0, placed_bytes),
			 4 * (uint64_t)BIG - 0 - 1 - 2 - 3);
	assert_int_equal(since(1, keys_given), 0);
}

static void device_writes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		fill(here, i, BIG);
		write_one(BIG, 0, 0);
		assert_memory_equal(here, there, BIG);
	}
	expect_uncopied();
	assert_int_equal(since(0, placed), 32);
	/* its own memory once, the peer's too */
	assert_int_equal(since(1, keys_given), 1);
	assert_int_equal(since(1, registrations), 1);
	assert_int_equal(ppe_cntr_value(nodes[1].was_written), 8);
}

static void device_reads(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		fill(there, i, BIG);
		post_rma(0, PPE_OP_READ, to[0], i, here, BIG, at(0), key, 0);
		expect_event(0, TX, PPE_EV_READ, i, 0);
		assert_memory_equal(here, there, BIG);
	}
	pump_until(ppe_cntr_value(nodes[1].was_read) == 8);
	expect_uncopied();
	assert_int_equal(since(1, keys_given), 1);
	/* by its own device at last, not by the peer's */
	assert_true(since(0, placed) >= 24);
}

/* ------------------------------------------------------------------------- what is not */

static void device_refused(void **state)
{
	uint32_t mine = key, others, closed;

	(void)state;
	share(1, there, BIG, ALL_REMOTE, "another", &others);
	share(1, there, BIG, PPE_ACCESS_LOCAL_READ | PPE_ACCESS_REMOTE_READ, NULL, &closed);
	key = others;
	write_one(MIB, 0, -EPERM);
	key = closed;
	write_one(MIB, 0, -EACCES);
	key = mine + 1000;
	write_one(MIB, 0, -ENOKEY);
	for (size_t i = 0; i < BIG; i++)
		assert_int_equal(there[i], 0);
	key = mine;
	write_one(MIB, BIG - MIB + 1, -ERANGE);
	look();
	assert_int_equal(since(1, keys_given), 0);
	/* and the connection is as good as ever */
	write_one(MIB, 5, 0);
	assert_memory_equal(there + 5, here, MIB);
	look();
	assert_int_equal(since(1, keys_given), 1);
	assert_int_equal(since(0, connects) + since(1, connects), 1);
}

static void device_taken_back(void **state)
{
	uint8_t byte = 0;

	(void)state;
	write_one(MIB, 0, 0);
	assert_int_equal(ppe_mr_deregister(nodes[1].ual, shared), 0);
	/* the news come before what is sent behind them */
	post_recv(0, 0, 1, &byte, 1, 0, 0, 0);
	post_send(1, to[1], 2, here, 1, 0, 0);
	expect_event(0, RX, PPE_EV_RECV, 1, 0);
	expect_event(1, TX, PPE_EV_SEND, 2, 0);
	write_one(MIB, 0, -ENOKEY);
	/* the same memory again, by another name */
	shared = share(1, there, BIG, ALL_REMOTE, NULL, &key);
	fill(here, 99, BIG);
	write_one(MIB, 0, 0);
	assert_memory_equal(here, there, MIB);
	look();
	assert_int_equal(since(1, keys_given), 2);
	assert_int_equal(since(0, connects) + since(1, connects), 1);
}

/* Taken back while it is written to: the operation ends, and so do those that come behind it. */
static void device_taken_back_under_way(void **state)
{
	unsigned failed = 0;

	(void)state;
	write_one(MIB, 0, 0);
	for (uint64_t i = 100; i < 120; i++)
		post_rma(0, PPE_OP_WRITE, to[0], i, here, MIB, at(i), key, 0);
	assert_int_equal(ppe_mr_deregister(nodes[1].ual, shared), 0);
	memset(there, 7, BIG);
	for (unsigned i = 0; i < 20; i++)
		failed += next_event(0, TX).status != 0;
	assert_true(failed > 0);
	for (size_t i = 0; i < BIG; i++)
		assert_int_equal(there[i], 7);
	shared = share(1, there, BIG, ALL_REMOTE, NULL, &key);
	write_one(MIB, 0, 0);
	assert_memory_equal(here, there, MIB);
}

/* A small write before a large one to the same place, and a read behind both. */
static void device_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		fill(here, 1000 * i, 2 * MIB);
		memset(here + 2 * MIB, 0, 2 * MIB);
		post_rma(0, PPE_OP_WRITE, to[0], 1, here + MIB, 1000, at(10), key, 0);
		post_rma(0, PPE_OP_WRITE, to[0], 2, here, MIB, at(0), key, 0);
		post_rma(0, PPE_OP_WRITE, to[0], 3, here + MIB, 1000, at(MIB - 10), key, 0);
		post_rma(0, PPE_OP_READ, to[0], 4, here + 2 * MIB, MIB + 990, at(0), key, 0);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(next_event(0, TX).status, 0);
		assert_memory_equal(here + 2 * MIB, here, MIB - 10);
		assert_memory_equal(here + 3 * MIB - 10, here + MIB, 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(device_sends, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(device_writes, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(device_reads, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(device_refused, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(device_taken_back, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(device_taken_back_under_way, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(device_order, two_nodes, close_all),
	};

	if (!getenv("ETA_FABRIC") || strncmp(getenv("ETA_FABRIC"), "roce", 4)) {
		printf("skipped: not by an RDMA device\n");
		return 77;
	}
	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
