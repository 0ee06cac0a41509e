/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_roce_place.c - what devices place themselves: keys, writes, reads and their answers, and what comes of
 * memory that is taken away meanwhile. Exits with 77 where there is no device.
 */
#include <sys/mman.h>

#include "roce_side.h"

#define MUCH 200000

/* As pair_open; both name regions, @b gives keys. */
static int placing_open(void **state)
{
	pair_open(state);
	a.named = b.named = true;
	b.keyed = true;
	return 0;
}

static uint64_t copied(void)
{
	return a.counters.copy_bytes + b.counters.copy_bytes;
}

static void post_write(uint32_t len, uint64_t to, const void *p)
{
	post(&a, (struct fab_send){ .op = FAB_WRITE, .len = len, .stag = 77, .to = to }, p);
}

static void post_read(uint32_t len, uint32_t to)
{
	struct fab_send read = {
		.op = FAB_READ,
		.stag = 77,
		.to = to,
		.sink_stag = 77,
		.sink_to = to,
		.read_len = len,
	};

	post(&a, read, a.mem + to);
	/* what is named is where the answer goes: it has no payload */
	a.out_iov[a.out_count - 1].iov_len = len;
}

static void answer(uint32_t len)
{
	struct fab_send resp = {
		.op = FAB_READ_RESP, .len = len, .stag = b.read.sink_stag, .to = b.read.sink_to
	};

	assert_int_equal(b.read.len, len);
	post(&b, resp, b.mem + b.read.to);
}

#define all_done(s) ((s)->out_done == (s)->out_count)

/* ------------------------------------------------------------------------------ writes */

static void test_write(void **state)
{
	uint64_t before = copied();

	(void)state;
	memcpy(a.mem, pattern, MUCH);
	post_write(MUCH, 100, a.mem);
	run_until(b.tagged == 1 && all_done(&a));
	assert_memory_equal(b.mem + 100, pattern, MUCH);
	assert_true(b.keys == 1 && b.key.write && b.key.to == 100 && b.key.len == MUCH);
	/* of other memory than a region's, and with the key that is there */
	post_write(MUCH, 1000, pattern + 50);
	a.named = false;
	post_write(MUCH, 2000, pattern + 50);
	run_until(b.tagged == 3 && all_done(&a));
	assert_memory_equal(b.mem + 2000, pattern + 50, MUCH);
	assert_int_equal(b.keys, 1);
	assert_int_equal(copied(), before);
}

/* All of them are told of in their order, and none before those in front of it. */
static void test_many(void **state)
{
	uint64_t before = copied();

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		b.received = b.tagged = b.in_len = 0;
		asleep = round & 1;
		for (unsigned i = 0; i < 30; i++) {
			post_write(FAB_PLACE_MIN + i, i, pattern + i);
			post_send(&a, i, 7);
		}
		run_until(b.tagged == 30 && b.received == 30 && all_done(&a) && !a.partial);
		assert_memory_equal(b.mem + 29, pattern + 29, FAB_PLACE_MIN + 29);
	}
	assert_int_equal(b.keys, 1);
	assert_int_equal(copied() - before, 20 * 30 * 7); /* into frames */
}

/* What goes in frames must not come to lie over what was written later. */
static void test_order(void **state)
{
	(void)state;
	memset(a.mem, 1, MUCH);
	memset(a.mem + MUCH, 2, 1000);
	post_write(MUCH, 0, a.mem);
	for (unsigned i = 0; i < 10; i++) {
		b.tagged = 0;
		post_write(1000, 500, a.mem + MUCH);
		post_write(MUCH, 0, a.mem);
		post_write(1000, MUCH, a.mem + MUCH);
		run_until(b.tagged >= 3 && all_done(&a));
		assert_memory_equal(b.mem, a.mem, MUCH + 1000);
	}
	assert_int_equal(b.keys, 11); /* asked again, to know that all is dealt with */
}

static void test_key_refused(void **state)
{
	uint64_t before = copied();

	(void)state;
	b.key_err = -EOPNOTSUPP;
	post_write(MUCH, 100, pattern);
	post_write(MUCH, 200, pattern);
	run_until(b.tagged == 2 && all_done(&a));
	assert_memory_equal(b.mem + 200, pattern, MUCH);
	assert_int_equal(b.keys, 1);
	assert_int_equal(copied() - before, 4 * MUCH);
	/* it is not for ever */
	b.key_err = 0;
	for (unsigned i = 0; i < 100; i++) {
		post_write(FAB_PLACE_MIN, 100, pattern);
		run_until(all_done(&a));
	}
	assert_int_equal(b.keys, 2);
}

/* That one access is refused says nothing of the next. */
static void test_access_refused(void **state)
{
	(void)state;
	b.key_err = -ERANGE;
	post_write(MUCH, 100, pattern);
	run_until(b.tagged == 1 && all_done(&a));
	b.key_err = 0;
	post_write(MUCH, 200, pattern);
	run_until(b.tagged == 2 && all_done(&a));
	assert_int_equal(b.keys, 2);
	assert_int_equal(a.counters.placed, 1);
}

/* A region that may be read only gives no key to write, whatever its user says. */
static void test_region_forbids(void **state)
{
	(void)state;
	b.region.access = FAB_MAY_WRITE | FAB_MAY_REMOTE_READ;
	post_write(MUCH, 100, pattern);
	run_until(b.tagged == 1 && all_done(&a));
	assert_true(copied() >= MUCH);
	assert_int_equal(b.keys, 1);
}

static void test_pieces(void **state)
{
	struct iovec iov[5] = {
		{ pattern, 20000 },          { pattern + 30000, 1 },   { pattern + 50000, 5000 },
		{ pattern + 100000, 60000 }, { pattern + 200000, 10 },
	};
	uint64_t before = copied();

	(void)state;
	for (unsigned n = 4; n <= 5; n++) {
		uint32_t len = n == 4 ? 85001 : 85011, at = 0;

		post_write(len, 0, NULL);
		a.out[0].iov = iov;
		a.out[0].niov = n;
		a.out[0].regions = NULL;
		run_until(all_done(&a) && b.tagged == n - 3);
		for (unsigned i = 0; i < n; at += iov[i++].iov_len)
			assert_memory_equal(b.mem + at, iov[i].iov_base, iov[i].iov_len);
		/* the fifth is more than a work request takes */
		assert_int_equal(copied() > before, n == 5);
	}
}

/* ------------------------------------------------------------------------------- reads */

static void test_read(void **state)
{
	uint64_t before = copied();

	(void)state;
	memcpy(b.mem, pattern, BIG);
	post_read(MUCH, 1000);
	run_until(b.reads == 1);
	assert_true(b.read.to == 1000 && b.read.len == MUCH);
	answer(MUCH);
	run_until(a.answers == 1 && all_done(&b));
	assert_memory_equal(a.mem + 1000, pattern + 1000, MUCH);
	assert_int_equal(b.keys, 0);
	assert_int_equal(copied(), before);
}

/* Who reads from the same memory again asks for the key, and then needs nobody. */
static void test_read_with_key(void **state)
{
	uint64_t before = copied();

	(void)state;
	memcpy(b.mem, pattern, BIG);
	for (unsigned i = 0; i < 2; i++) {
		post_read(MUCH, i);
		run_until(b.reads == i + 1);
		answer(MUCH);
		run_until(a.answers == i + 1 && all_done(&b));
	}
	run_until(b.keys == 1);
	assert_false(b.key.write);
	for (unsigned i = 0; i < 10; i++) {
		memset(a.mem, 0, BIG);
		post_read(MUCH, 100 * i);
		post_send(&a, 0, 5);
		run_until(a.answers == 3 + i && b.received == 1 + i && b.fetched == 1 + i);
		assert_memory_equal(a.mem + 100 * i, pattern + 100 * i, MUCH);
		assert_true(b.read.to == 100 * i && b.read.len == MUCH && b.read.sink_stag == 77);
	}
	assert_int_equal(b.reads, 2);
	assert_int_equal(copied() - before, 10 * 5);
}

/* A refused read gets no answer: its user says so, and nobody may write there any more. */
static void test_read_refused(void **state)
{
	(void)state;
	b.refusal = 1;
	post_read(MUCH, 0);
	run_until(b.reads == 1);
	ops->read_over(a.conn, 77);
	b.refusal = 0;
	post_read(MUCH, 0);
	run_until(b.reads == 2);
	answer(MUCH);
	run_until(a.answers == 1);
}

/* The answer is under way when nobody wants it: the memory is the user's at once. */
static void test_read_over(void **state)
{
	(void)state;
	asleep = false;
	post_read(MUCH, 0);
	run_until(b.reads == 1);
	ops->read_over(a.conn, 77);
	memset(a.mem, 5, MUCH);
	memset(b.mem, 6, MUCH);
	answer(MUCH);
	run_until(a.closes || b.closes);
	for (unsigned i = 0; i < MUCH; i++)
		assert_int_equal(a.mem[i], 5);
}

/* Who answers what our device is reading would give memory back that it still writes to. */
static void test_read_answered(void **state)
{
	struct fab_send resp = { .op = FAB_READ_RESP, .len = 100, .stag = 77, .to = 0 };

	(void)state;
	asleep = false;
	for (unsigned i = 0; i < 2; i++) {
		post_read(MUCH, 0);
		run_until(b.reads == i + 1);
		answer(MUCH);
		run_until(a.answers == i + 1 && all_done(&b));
	}
	run_until(b.keys == 1);
	run_for(10);
	post(&b, resp, b.mem);
	ops->tx_now(b.conn);
	post_read(MUCH, 0);
	ops->tx_now(a.conn);
	run_until(a.closes);
	assert_int_equal(a.close_err, -EPROTO);
	assert_int_equal(a.answers, 2);
}

/* No key reaches further than what is registered: to be asked for that registers nothing. */
static void test_key_too_long(void **state)
{
	const size_t len = 16u << 20, part = 6u << 20;
	uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before = b.counters.registrations;

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	b.region.base = p;
	b.region.len = len;
	for (unsigned i = 0; i < 200; i++) {
		post_read(part, 0);
		a.out_iov[a.out_count - 1].iov_base = p;
		a.out[a.out_count - 1].regions = NULL;
		run_until(b.reads == i + 1 && all_done(&a));
	}
	assert_true(b.keys > 2);
	assert_int_equal(b.counters.registrations, before);
	ops->conn_close(a.conn, true);
	a.conn = NULL;
	munmap(p, len);
}

/* --------------------------------------------------------------------- what is taken away */

/* Where an answer is to go is of no region's window, but goes with its region. */
static void test_region_gone_read_into(void **state)
{
	(void)state;
	asleep = false;
	post_read(MUCH, 0);
	run_until(b.reads == 1 && all_done(&a));
	ops->region_gone(a.m, &a.region);
	memset(a.mem, 5, MUCH);
	memset(b.mem, 6, MUCH);
	answer(MUCH);
	run_until(a.closes || b.closes);
	for (unsigned i = 0; i < MUCH; i++)
		assert_int_equal(a.mem[i], 5);
}

static void test_region_gone(void **state)
{
	(void)state;
	post_write(MUCH, 0, pattern);
	run_until(b.tagged == 1 && all_done(&a));
	ops->region_gone(b.m, &b.region);
	assert_null(b.region.wire);
	b.key_err = -ENOKEY;
	post_send(&b, 0, 1); /* what comes behind the news */
	run_until(a.received == 1);
	post_write(MUCH, 0, pattern);
	run_until(b.keys == 2);
	b.refusal = -ENOKEY;
	run_until(a.closes && b.closes);
	assert_int_equal(b.close_err, -ENOKEY);
}

/* The news come too late: the device refuses, and the connection ends; nothing is written. */
static void test_region_gone_late(void **state)
{
	(void)state;
	asleep = false;
	post_write(MUCH, 0, pattern);
	run_until(b.tagged == 1 && all_done(&a));
	ops->region_gone(b.m, &b.region);
	memset(b.mem, 9, MUCH);
	post_write(MUCH, 0, pattern + 1);
	ops->tx_now(a.conn);
	run_until(a.closes && b.closes);
	assert_true(a.close_err < 0 && b.close_err < 0);
	for (unsigned i = 0; i < MUCH; i++)
		assert_int_equal(b.mem[i], 9);
}

/* What is written from may go once the connection is closed, whatever the device was doing. */
static void test_close_under_way(void **state)
{
	const size_t len = 16 * FAB_PLACE_MIN;
	uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 3, len);
	a.named = false;
	asleep = false;
	post_write(FAB_PLACE_MIN, 0, p);
	run_until(all_done(&a));
	for (unsigned i = 0; i < 16; i++)
		post_write(FAB_PLACE_MIN, i, p + i * FAB_PLACE_MIN);
	ops->tx_now(a.conn);
	ops->conn_close(a.conn, false);
	a.conn = NULL;
	munmap(p, len);
	run_until(b.closes);
	assert_true(b.close_err < 0);
}

/* Memory that the device does not take is copied. */
static void test_no_device_memory(void **state)
{
	uint8_t *p = mmap(NULL, MUCH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before = copied();

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	/* the key is to memory that cannot be registered: no key */
	b.region.base = p;
	b.region.len = MUCH;
	post_write(FAB_PLACE_MIN, 0, pattern);
	run_until(b.tagged == 1 && all_done(&a));
	assert_int_equal(copied() - before, 2 * FAB_PLACE_MIN);
	munmap(p, MUCH);
}

#define PLACING(f) cmocka_unit_test_setup_teardown(f, placing_open, pair_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACING(test_write),           PLACING(test_many),
		PLACING(test_order),           PLACING(test_key_refused),
		PLACING(test_access_refused),  PLACING(test_region_forbids),
		PLACING(test_pieces),          PLACING(test_read),
		PLACING(test_read_with_key),   PLACING(test_read_refused),
		PLACING(test_read_over),       PLACING(test_read_answered),
		PLACING(test_key_too_long),    PLACING(test_region_gone_read_into),
		PLACING(test_region_gone),     PLACING(test_region_gone_late),
		PLACING(test_close_under_way), PLACING(test_no_device_memory),
	};

	if (!roce_tests_begin())
		return 77;
	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
