/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_mr.c - regions: every bound, every way to be refused, and handles that outlive their region. */
#include "tests/unit/ppe_test.h"

#include <sys/mman.h>
#include <unistd.h>

#define RW (PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE)

static struct bench b;

static int open_bench(void **state)
{
	(void)state;
	bench_open(&b, NULL, 0);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static int check(struct ppe_mr mr, uint64_t addr, uint64_t len, unsigned access, void **ptr)
{
	return mr_check(&b.ual->mrs, mr.region, mr.ptag, addr, len, access, ptr);
}

/* Every range that begins and ends within two bytes of a bound of [base, base + len). */
static void assert_bounds(struct ppe_mr mr, uint64_t base, uint64_t len)
{
	static const int near[] = { -2, -1, 0, 1, 2 };
	const uint64_t bounds[] = { 0, base, base + len, UINT64_MAX };

	for (size_t i = 0; i < COUNT(bounds) * COUNT(near); i++) {
		for (size_t k = 0; k < COUNT(bounds) * COUNT(near); k++) {
			uint64_t from = bounds[i / COUNT(near)] + near[i % COUNT(near)];
			uint64_t to = bounds[k / COUNT(near)] + near[k % COUNT(near)];
			__uint128_t end = (__uint128_t)from + (uint64_t)(to - from);
			bool in = from >= base && end <= (__uint128_t)base + len;
			void *ptr = &ptr;

			assert_int_equal(check(mr, from, to - from, 0, &ptr), in ? 0 : -ERANGE);
			assert_ptr_equal(ptr, in ? (void *)(uintptr_t)from : &ptr);
		}
	}
}

static void mr_check_bounds(void **state)
{
	static uint8_t mem[64];
	struct ppe_mr mr;

	(void)state;
	for (size_t len = 1; len <= sizeof(mem); len++) {
		assert_int_equal(ppe_mr_register(b.ual, mem, len, RW, &mr), 0);
		assert_bounds(mr, (uintptr_t)mem, len);
		assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
	}
}

static void mr_check_whole_address_space(void **state)
{
	void *ptr;

	(void)state;
	assert_bounds(b.all, 0, SIZE_MAX);
	assert_int_equal(check(b.all, 0, SIZE_MAX, RW, &ptr), 0);
	assert_int_equal(check(b.all, 1, SIZE_MAX, RW, &ptr), -ERANGE);
	assert_int_equal(check(b.all, (uintptr_t)&ptr, 8, RW, &ptr), 0);
}

/* Sums that wrap are no way round the bounds; written into the table, as no application can. */
static void mr_check_regions_at_the_ends(void **state)
{
	struct ppe_mr mr;
	static uint8_t mem[8];
	static const struct {
		uint64_t base, len;
	} regions[] = {
		{ 0, 1 },
		{ 0, 16 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 15, 15 },
		{ UINT64_MAX - 15, 16 },
		{ 1, UINT64_MAX },
		{ (uint64_t)1 << 63, (uint64_t)1 << 63 },
	};

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 8, RW, &mr), 0);
	for (size_t i = 0; i < COUNT(regions); i++) {
		b.ual->mrs.entry[handle_number(mr.region)].base = regions[i].base;
		b.ual->mrs.entry[handle_number(mr.region)].len = regions[i].len;
		assert_bounds(mr, regions[i].base, regions[i].len);
	}
}

static void mr_check_access(void **state)
{
	static uint8_t mem[8];
	void *ptr;

	(void)state;
	for (unsigned has = 1; has < 16; has++) {
		struct ppe_mr mr;

		assert_int_equal(ppe_mr_register(b.ual, mem, 8, has, &mr), 0);
		for (unsigned wants = 0; wants < 16; wants++)
			assert_int_equal(check(mr, (uintptr_t)mem, 8, wants, &ptr),
					 wants & ~has ? -EACCES : 0);
	}
}

static void mr_check_keys(void **state)
{
	static uint8_t mem[8];
	struct ppe_mr mr, wrong;
	void *ptr = NULL;

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 8, RW, &mr), 0);
	for (unsigned bit = 0; bit < 32; bit++) {
		wrong = mr;
		wrong.ptag ^= 1u << bit;
		assert_int_equal(check(wrong, (uintptr_t)mem, 1, RW, &ptr), -EKEYREJECTED);
		assert_int_equal(ppe_mr_deregister(b.ual, wrong), -EKEYREJECTED);
		wrong = mr;
		wrong.region ^= 1u << bit;
		if (handle_number(wrong.region) == handle_number(b.all.region))
			continue; /* another region */
		assert_int_equal(check(wrong, (uintptr_t)mem, 1, RW, &ptr),
				 bit < HANDLE_BITS ? -ENOKEY : -EKEYREVOKED);
		assert_int_equal(ppe_mr_deregister(b.ual, wrong),
				 bit < HANDLE_BITS ? -ENOKEY : -EKEYREVOKED);
	}
	assert_null(ptr);
	assert_int_equal(check(mr, (uintptr_t)mem, 1, RW, &ptr), 0);
}

static void mr_register_checks_its_arguments(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *p =
		mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ppe_mr mr = { 77, 88 };

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	munmap(p + 2 * page, page);
	assert_int_equal(ppe_mr_register(b.ual, p, 0, RW, &mr), -EINVAL);
	assert_int_equal(ppe_mr_register(b.ual, p, 10, 0, &mr), -EINVAL);
	assert_int_equal(ppe_mr_register(b.ual, p, 10, 0x10, &mr), -EINVAL);
	assert_int_equal(ppe_mr_register(b.ual, p, SIZE_MAX, RW, &mr), -EINVAL);
	assert_int_equal(ppe_mr_register(b.ual, (void *)UINTPTR_MAX, 1, RW, &mr), -EINVAL);
	assert_int_equal(ppe_mr_register(b.ual, NULL, 1, RW, &mr), -EFAULT);
	assert_int_equal(ppe_mr_register(b.ual, p, 2 * page + 1, RW, &mr), -EFAULT);
	assert_int_equal(ppe_mr_register(b.ual, p + 2 * page, 1, RW, &mr), -EFAULT);
	assert_int_equal(mr.region, 77); /* no output but on success */
	assert_int_equal(ppe_mr_register(b.ual, p + 2 * page - 1, 1, RW, &mr), 0);
	assert_int_equal(ppe_mr_register(b.ual, p + 1, 2 * page - 1, RW, &mr), 0);
	munmap(p, 2 * page);
}

static void mr_deregister_twice(void **state)
{
	static uint8_t mem[8];
	struct ppe_mr mr;
	void *ptr;

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 8, RW, &mr), 0);
	assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
	assert_int_equal(ppe_mr_deregister(b.ual, mr), -EKEYREVOKED);
	assert_int_equal(check(mr, (uintptr_t)mem, 1, RW, &ptr), -EKEYREVOKED);
}

/* The number is used again; the handle of its last use is stale until the generations come round. */
static void mr_numbers_are_used_again(void **state)
{
	static uint8_t mem[8];
	struct ppe_mr first, mr;
	void *ptr;

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 8, RW, &first), 0);
	mr = first;
	assert_int_not_equal(first.region, 0);
	/* generation 0 is left out */
	for (unsigned i = 1; i < HANDLE_GENERATIONS - 1; i++) {
		assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
		assert_int_equal(ppe_mr_register(b.ual, mem, 8, RW, &mr), 0);
		assert_int_equal(handle_number(mr.region), handle_number(first.region));
		assert_int_equal(check(first, (uintptr_t)mem, 1, RW, &ptr), -EKEYREVOKED);
		assert_int_equal(check(mr, (uintptr_t)mem, 1, RW, &ptr), 0);
	}
	/* then only the tag tells them apart */
	assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
	assert_int_equal(ppe_mr_register(b.ual, mem, 8, RW, &mr), 0);
	assert_int_equal(mr.region, first.region);
	if (mr.ptag != first.ptag)
		assert_int_equal(check(first, (uintptr_t)mem, 1, RW, &ptr), -EKEYREJECTED);
}

static void mr_many(void **state)
{
	enum { N = 5000 };
	static uint8_t mem[N];
	static struct ppe_mr mr[N];
	void *ptr;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(ppe_mr_register(b.ual, mem + i, 1, RW, &mr[i]), 0);
	for (unsigned i = 0; i < N; i += 3)
		assert_int_equal(ppe_mr_deregister(b.ual, mr[i]), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(check(mr[i], (uintptr_t)(mem + i), 1, RW, &ptr),
				 i % 3 ? 0 : -EKEYREVOKED);
	assert_int_equal(b.ual->counters.regions, 1 + N - (N + 2) / 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mr_check_bounds),
		TEST(mr_check_whole_address_space),
		TEST(mr_check_regions_at_the_ends),
		TEST(mr_check_access),
		TEST(mr_check_keys),
		TEST(mr_register_checks_its_arguments),
		TEST(mr_deregister_twice),
		TEST(mr_numbers_are_used_again),
		TEST(mr_many),
	};

	return test_run(tests, NULL);
}
