/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_av.c - address vectors: numbers in order, used again, shared by equal addresses. */
#include "tests/unit/bare_engine.h"

#include <arpa/inet.h>

static struct ppe_ual *ual;
static struct ppe_av *av;

static int open_av(void **state)
{
	(void)state;
	ual = bare_open("inline");
	assert_int_equal(ppe_av_create(ual, &av), 0);
	return 0;
}

static int close_ual(void **state)
{
	(void)state;
	ppe_ual_close(ual);
	return 0;
}

static union fab_addr v4(uint32_t host, uint16_t port)
{
	union fab_addr a = { .in = { .sin_family = AF_INET, .sin_port = htons(port) } };

	a.in.sin_addr.s_addr = htonl(host);
	return a;
}

static union fab_addr v6(const char *text, uint16_t port, uint32_t scope, uint32_t flow)
{
	union fab_addr a = { .in6 = { .sin6_family = AF_INET6,
				      .sin6_port = htons(port),
				      .sin6_scope_id = scope,
				      .sin6_flowinfo = flow } };

	assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	return a;
}

static uint32_t insert(union fab_addr a)
{
	uint32_t number = 12345;

	assert_int_equal(ppe_av_insert(av, &a.sa, fab_addr_len(&a), &number), 0);
	return number;
}

static uint32_t generation(void)
{
	return av_generation(av);
}

static void assert_at(uint32_t number, union fab_addr want)
{
	union fab_addr got;
	uint32_t found;

	assert_int_equal(ppe_av_lookup(av, number, &got), 0);
	assert_true(addr_equal(&got, &want));
	assert_int_equal(ppe_av_find(av, &want, &found), 0);
	assert_int_equal(found, number);
}

static void av_numbers_in_order(void **state)
{
	enum { N = 1000 };

	(void)state;
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(insert(v4(0x0a000000 + i / 7, 1000 + i % 7)), i);
	for (uint32_t i = 0; i < N; i++)
		assert_at(i, v4(0x0a000000 + i / 7, 1000 + i % 7));
}

static void av_same_address_same_number(void **state)
{
	union fab_addr a = v4(0x7f000001, 5), got;
	uint32_t before, number;

	(void)state;
	assert_int_equal(insert(v4(0x7f000001, 4)), 0);
	assert_int_equal(insert(a), 1);
	before = generation();
	assert_int_equal(insert(a), 1);
	assert_int_equal(insert(v6("::1", 5, 0, 0)), 2);
	assert_int_not_equal(generation(), before);
	before = generation();
	/* as often removed as inserted */
	assert_int_equal(ppe_av_remove(av, 1), 0);
	assert_int_equal(generation(), before);
	assert_at(1, a);
	assert_int_equal(ppe_av_remove(av, 1), 0);
	assert_int_not_equal(generation(), before);
	assert_int_equal(ppe_av_remove(av, 1), -ENOENT);
	assert_int_equal(ppe_av_lookup(av, 1, &got), -ENOENT);
	number = 77;
	assert_int_equal(ppe_av_find(av, &a, &number), -ENOENT);
	assert_int_equal(number, 77);
}

static void av_numbers_are_used_again(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		insert(v4(i + 1, 1));
	assert_int_equal(ppe_av_remove(av, 3), 0);
	assert_int_equal(ppe_av_remove(av, 8), 0);
	assert_int_equal(insert(v4(100, 1)), 8);
	assert_int_equal(insert(v4(101, 1)), 3);
	assert_int_equal(insert(v4(102, 1)), 10);
	assert_at(8, v4(100, 1));
	assert_at(3, v4(101, 1));
}

static void av_ipv6(void **state)
{
	(void)state;
	assert_int_equal(insert(v6("fe80::1", 9, 2, 0)), 0);
	assert_int_equal(insert(v6("fe80::1", 9, 3, 0)), 1);
	assert_int_equal(insert(v6("fe80::2", 9, 2, 0)), 2);
	assert_int_equal(insert(v6("fe80::2", 8, 2, 0)), 3);
	/* without a scope it is any; a flow label says nothing */
	assert_int_equal(insert(v6("fe80::2", 9, 0, 0)), 2);
	assert_int_equal(insert(v6("fe80::1", 9, 3, 55)), 1);
	/* an IPv4 address is not its IPv6 form */
	assert_int_equal(insert(v4(0x7f000001, 9)), 4);
	assert_int_equal(insert(v6("::ffff:127.0.0.1", 9, 0, 0)), 5);
}

static void av_refuses(void **state)
{
	union fab_addr a = v4(1, 1), un = { .sa.sa_family = AF_UNIX };
	uint32_t number = 77;

	(void)state;
	assert_int_equal(ppe_av_insert(av, &un.sa, sizeof(un), &number), -EAFNOSUPPORT);
	assert_int_equal(ppe_av_insert(av, &a.sa, 3, &number), -EINVAL);
	assert_int_equal(ppe_av_insert(av, NULL, 16, &number), -EINVAL);
	assert_int_equal(number, 77);
	assert_int_equal(ppe_av_lookup(av, 0, &a), -ENOENT);
	assert_int_equal(ppe_av_lookup(av, PPE_SRC_NONE, &a), -ENOENT);
	assert_int_equal(ppe_av_remove(av, 0), -ENOENT);
	assert_int_equal(ppe_av_find(av, &a, &number), -ENOENT);
	assert_int_equal(ppe_av_find(av, &un, &number), -ENOENT);
}

/* Inserted and removed at random, against a plain table. */
static void av_random(void **state)
{
	enum { N = 300 };
	static struct {
		unsigned uses;
		uint32_t number;
	} have[N];
	uint64_t seed = 99;

	(void)state;
	memset(have, 0, sizeof(have));
	for (unsigned round = 0; round < 30000; round++) {
		uint32_t i = bare_rnd(&seed) % N;
		union fab_addr a = v4(0xc0a80000 + i % 5, i);

		if (bare_rnd(&seed) % 2) {
			uint32_t number = insert(a);

			if (have[i].uses++)
				assert_int_equal(number, have[i].number);
			have[i].number = number;
		} else if (have[i].uses) {
			have[i].uses--;
			assert_int_equal(ppe_av_remove(av, have[i].number), 0);
		}
		i = bare_rnd(&seed) % N;
		if (have[i].uses)
			assert_at(have[i].number, v4(0xc0a80000 + i % 5, i));
	}
}

static void av_life(void **state)
{
	(void)state;
	insert(v4(1, 1));
	av_hold(av);
	assert_int_equal(ppe_av_destroy(av), -EBUSY);
	av_drop(av);
	assert_int_equal(ppe_av_destroy(av), 0);
	/* and one that is left to the UAL */
	assert_int_equal(ppe_av_create(ual, &av), 0);
	insert(v4(1, 1));
	av_hold(av);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_av, close_ual)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(av_numbers_in_order),
		TEST(av_same_address_same_number),
		TEST(av_numbers_are_used_again),
		TEST(av_ipv6),
		TEST(av_refuses),
		TEST(av_random),
		TEST(av_life),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
