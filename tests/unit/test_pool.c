/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_pool.c - anonymous buffers: which size is given, none twice, all come back. */
#include "tests/unit/ppe_test.h"

static struct ppe_ual_attr attr_of(uint32_t s0, uint32_t n0, uint32_t s1, uint32_t n1)
{
	return (struct ppe_ual_attr){ .pool = { { .size = s0, .count = n0 },
						{ .size = s1, .count = n1 } } };
}

static void pool_default(void **state)
{
	struct ppe_ual_attr none = { 0 };
	struct pool p = { 0 };

	(void)state;
	assert_int_equal(pool_init(&p, &none), 0);
	assert_int_equal(p.bytes, 256 * 2048 + 64 * 16384);
	assert_int_equal(pool_room(&p), 16384);
	pool_destroy(&p);
	assert_int_equal(p.classes, 0);
}

static void pool_refuses_what_makes_no_sense(void **state)
{
	static const uint32_t bad[][4] = {
		{ 255, 1, 0, 0 },        { 257, 1, 0, 0 },      { 1024, 0, 0, 0 },
		{ 0, 5, 0, 0 },          { 1024, 1, 512, 1 },   { 1024, 1, 1024, 1 },
		{ 1u << 31, 2, 512, 1 }, { 1u << 31, 3, 0, 0 }, { 0xffffffc0, 0xffffffff, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct ppe_ual_attr a = attr_of(bad[i][0], bad[i][1], bad[i][2], bad[i][3]);
		struct ppe_ual *ual = NULL;
		struct pool p = { 0 };

		assert_int_equal(pool_init(&p, &a), -EINVAL);
		assert_int_equal(ppe_ual_open(&a, &ual), -EINVAL);
		assert_null(ual);
	}
}

static void pool_gives_the_size_that_fits(void **state)
{
	struct ppe_ual_attr a = attr_of(256, 2, 1024, 2);
	struct pool p = { 0 };
	size_t size;
	void *buf[4];

	(void)state;
	assert_int_equal(pool_init(&p, &a), 0);
	buf[0] = pool_get(&p, 1, &size);
	assert_int_equal(size, 256);
	buf[1] = pool_get(&p, 257, &size);
	assert_int_equal(size, 1024);
	/* the largest that is left, when none is large enough */
	buf[2] = pool_get(&p, 5000, &size);
	assert_int_equal(size, 1024);
	assert_int_equal(pool_room(&p), 256);
	buf[3] = pool_get(&p, 1024, &size);
	assert_int_equal(size, 256);
	assert_int_equal(pool_room(&p), 0);
	assert_null(pool_get(&p, 1, &size));
	for (int i = 0; i < 4; i++)
		pool_put(&p, buf[i]);
	assert_int_equal(pool_room(&p), 1024);
	/* a larger one when the small ones are gone */
	buf[0] = pool_get(&p, 1, &size);
	buf[1] = pool_get(&p, 1, &size);
	buf[2] = pool_get(&p, 1, &size);
	assert_int_equal(size, 1024);
	pool_destroy(&p);
}

/* With chance's help: each buffer is one's own to its last byte. */
static void pool_gives_none_twice(void **state)
{
	enum { N = 96 };
	struct ppe_ual_attr a = attr_of(256, 64, 1024, 32);
	uint64_t seed = test_seed(3);
	uint8_t *held[N];
	size_t sizes[N];
	struct pool p = { 0 };
	unsigned n = 0;

	(void)state;
	assert_int_equal(pool_init(&p, &a), 0);
	for (int step = 0; step < 100000; step++) {
		unsigned i;

		if (rnd_below(&seed, 2)) {
			size_t size, want = 1 + rnd_below(&seed, 1200);
			uint8_t *buf = pool_get(&p, want, &size);

			assert_int_equal(!buf, n == N);
			if (!buf)
				continue;
			assert_int_equal((uintptr_t)buf % PPE_CACHE_LINE, 0);
			sizes[n] = size;
			buf[0] = buf[size - 1] = n;
			held[n++] = buf;
		} else if (n) {
			i = rnd_below(&seed, n);
			assert_int_equal(held[i][0], i);
			assert_int_equal(held[i][sizes[i] - 1], i);
			pool_put(&p, held[i]);
			held[i] = held[--n];
			sizes[i] = sizes[n];
			if (i < n)
				held[i][0] = held[i][sizes[i] - 1] = i;
		}
	}
	pool_destroy(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_default),
		cmocka_unit_test(pool_refuses_what_makes_no_sense),
		cmocka_unit_test(pool_gives_the_size_that_fits),
		cmocka_unit_test(pool_gives_none_twice),
	};

	return test_run(tests, NULL);
}
