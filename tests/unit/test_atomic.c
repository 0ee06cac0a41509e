/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_atomic.c - every operation on every type, as each kind, against a reference that knows nothing of
 * C's own types: integers are 128 bits wide and cut to size, reals and complex numbers are pairs of
 * long doubles, rounded to size after each step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "ppe/remote.h"

typedef __int128 s128;
typedef unsigned __int128 u128;

#define ITEMS 37
#define BYTES (ITEMS * 32)

/* ---------------------------------------------------------------------- what the types are */

enum family { SIGNED, UNSIGNED, REAL, COMPLEX };

static const struct {
	enum family family;
	unsigned size, part; /* part: of one real number */
} type_of[PPE_ATOMIC_TYPES] = {
	[PPE_INT8] = { SIGNED, 1, 0 },
	[PPE_UINT8] = { UNSIGNED, 1, 0 },
	[PPE_INT16] = { SIGNED, 2, 0 },
	[PPE_UINT16] = { UNSIGNED, 2, 0 },
	[PPE_INT32] = { SIGNED, 4, 0 },
	[PPE_UINT32] = { UNSIGNED, 4, 0 },
	[PPE_INT64] = { SIGNED, 8, 0 },
	[PPE_UINT64] = { UNSIGNED, 8, 0 },
	[PPE_FLOAT] = { REAL, 4, 4 },
	[PPE_DOUBLE] = { REAL, 8, 8 },
	[PPE_FLOAT_COMPLEX] = { COMPLEX, 8, 4 },
	[PPE_DOUBLE_COMPLEX] = { COMPLEX, 16, 8 },
	[PPE_LONG_DOUBLE] = { REAL, sizeof(long double), sizeof(long double) },
	[PPE_LONG_DOUBLE_COMPLEX] = { COMPLEX, 2 * sizeof(long double), sizeof(long double) },
	[PPE_INT128] = { SIGNED, 16, 0 },
	[PPE_UINT128] = { UNSIGNED, 16, 0 },
};

static bool is_integer(uint8_t type)
{
	return type_of[type].family == SIGNED || type_of[type].family == UNSIGNED;
}

static bool is_compare(uint8_t op)
{
	return op >= PPE_ATOMIC_CSWAP;
}

/* Words of fi_atomic(3): which operations make sense on which numbers. */
static bool makes_sense(uint8_t op, uint8_t type)
{
	switch (op) {
	case PPE_ATOMIC_BOR:
	case PPE_ATOMIC_BAND:
	case PPE_ATOMIC_BXOR:
	case PPE_ATOMIC_MSWAP:
		return is_integer(type);
	case PPE_ATOMIC_MIN:
	case PPE_ATOMIC_MAX:
	case PPE_ATOMIC_CSWAP_LE:
	case PPE_ATOMIC_CSWAP_LT:
	case PPE_ATOMIC_CSWAP_GE:
	case PPE_ATOMIC_CSWAP_GT:
		return type_of[type].family != COMPLEX;
	default:
		return true;
	}
}

/* ----------------------------------------------------------------------------- the reference */

struct number {
	u128 bits; /* integers, as they lie in memory */
	long double re, im;
};

static long double part_get(const uint8_t *p, unsigned size)
{
	long double l;
	double d;
	float f;

	if (size == 4)
		return memcpy(&f, p, 4), f;
	if (size == 8)
		return memcpy(&d, p, 8), d;
	return memcpy(&l, p, sizeof(l)), l;
}

static void part_put(uint8_t *p, unsigned size, long double v)
{
	double d = (double)v;
	float f = (float)v;

	memset(p, 0, size);
	if (size == 4)
		memcpy(p, &f, 4);
	else if (size == 8)
		memcpy(p, &d, 8);
	else
		memcpy(p, &v, sizeof(v));
}

static struct number get(uint8_t type, const uint8_t *p)
{
	unsigned part = type_of[type].part;
	struct number n = { 0 };

	if (is_integer(type)) {
		memcpy(&n.bits, p, type_of[type].size);
		return n;
	}
	n.re = part_get(p, part);
	if (type_of[type].family == COMPLEX)
		n.im = part_get(p + part, part);
	return n;
}

static void put(uint8_t type, uint8_t *p, struct number n)
{
	unsigned part = type_of[type].part;

	if (is_integer(type)) {
		memcpy(p, &n.bits, type_of[type].size);
		return;
	}
	part_put(p, part, n.re);
	if (type_of[type].family == COMPLEX)
		part_put(p + part, part, n.im);
}

/* Sign-extended by hand. */
static s128 as_signed(uint8_t type, u128 bits)
{
	unsigned shift = 128 - 8 * type_of[type].size;

	return (s128)(bits << shift) >> shift;
}

/* -1, 0, 1; complex numbers are only ever asked whether it is 0. */
static int order(uint8_t type, struct number a, struct number b)
{
	s128 x, y;

	switch (type_of[type].family) {
	case SIGNED:
		x = as_signed(type, a.bits);
		y = as_signed(type, b.bits);
		return x < y ? -1 : x > y;
	case UNSIGNED:
		return a.bits < b.bits ? -1 : a.bits > b.bits;
	default:
		return a.re != b.re ? (a.re < b.re ? -1 : 1) : a.im < b.im ? -1 : a.im > b.im;
	}
}

static struct number truth(uint8_t type, bool is)
{
	return is_integer(type) ? (struct number){ .bits = is } : (struct number){ .re = is };
}

/* What a type of this size keeps of it. */
static long double rounded(uint8_t type, long double v)
{
	uint8_t mem[sizeof(v)];

	part_put(mem, type_of[type].part, v);
	return part_get(mem, type_of[type].part);
}

static struct number product(uint8_t type, struct number a, struct number b)
{
	struct number n = { .bits = a.bits * b.bits };
	long double rr = rounded(type, a.re * b.re), ii = rounded(type, a.im * b.im);
	long double ri = rounded(type, a.re * b.im), ir = rounded(type, a.im * b.re);

	n.re = rr - ii;
	n.im = ri + ir;
	return n;
}

static struct number expected(uint8_t op, uint8_t type, struct number t, struct number a,
			      struct number c)
{
	struct number zero = { 0 };
	bool t_set = order(type, t, zero) != 0, a_set = order(type, a, zero) != 0;
	int cmp = order(type, c, t);

	switch (op) {
	case PPE_ATOMIC_MIN:
		return order(type, a, t) < 0 ? a : t;
	case PPE_ATOMIC_MAX:
		return order(type, a, t) > 0 ? a : t;
	case PPE_ATOMIC_SUM:
		return (struct number){ t.bits + a.bits, t.re + a.re, t.im + a.im };
	case PPE_ATOMIC_PROD:
		return product(type, t, a);
	case PPE_ATOMIC_LOR:
		return truth(type, t_set | a_set);
	case PPE_ATOMIC_LAND:
		return truth(type, t_set & a_set);
	case PPE_ATOMIC_LXOR:
		return truth(type, t_set ^ a_set);
	case PPE_ATOMIC_BOR:
		return (struct number){ .bits = t.bits | a.bits };
	case PPE_ATOMIC_BAND:
		return (struct number){ .bits = t.bits & a.bits };
	case PPE_ATOMIC_BXOR:
		return (struct number){ .bits = t.bits ^ a.bits };
	case PPE_ATOMIC_READ:
		return t;
	case PPE_ATOMIC_WRITE:
		return a;
	case PPE_ATOMIC_CSWAP:
		return cmp == 0 ? a : t;
	case PPE_ATOMIC_CSWAP_NE:
		return cmp != 0 ? a : t;
	case PPE_ATOMIC_CSWAP_LE:
		return cmp <= 0 ? a : t;
	case PPE_ATOMIC_CSWAP_LT:
		return cmp < 0 ? a : t;
	case PPE_ATOMIC_CSWAP_GE:
		return cmp >= 0 ? a : t;
	case PPE_ATOMIC_CSWAP_GT:
		return cmp > 0 ? a : t;
	default: /* MSWAP */
		return (struct number){ .bits = (a.bits & c.bits) | (t.bits & ~c.bits) };
	}
}

/* -------------------------------------------------------------------------------- operands */

static uint64_t seed = 0x2545f4914f6cdd1d;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Small ones, so that pairs are often equal; those at the ends; and any. */
static u128 random_bits(void)
{
	static const u128 ends[] = { 0, 1, ~(u128)0, ~(u128)0 >> 1 };
	u128 any = ((u128)rnd() << 64) | rnd();

	switch (rnd() % 4) {
	case 0:
		return rnd() % 3;
	case 1:
		return ends[rnd() % 4] ^ (rnd() % 2);
	case 2: /* the ends of the narrow types */
		return ((u128)1 << (8u << (rnd() % 4)) >> (rnd() % 2)) - (rnd() % 2);
	default:
		return any;
	}
}

/* Products of two are exact in a float: the order of rounding is not what is tested. */
static long double random_real(void)
{
	if (rnd() % 2)
		return (int)(rnd() % 3) - 1;
	return ((int)(rnd() % 2001) - 1000) / 16.0L;
}

static void random_fill(uint8_t type, uint8_t *p)
{
	for (unsigned i = 0; i < ITEMS; i++) {
		struct number n = { random_bits(), random_real(), random_real() };

		put(type, p + i * type_of[type].size, n);
	}
}

static bool same(uint8_t type, const uint8_t *p, struct number want)
{
	uint8_t mem[32];
	struct number got = get(type, p);

	put(type, mem, want);
	want = get(type, mem);
	return got.bits == want.bits && got.re == want.re && got.im == want.im;
}

/* ----------------------------------------------------------------------------------- tests */

struct run {
	uint8_t target[BYTES + 32], operand[BYTES + 32], compare[BYTES + 32], result[BYTES + 32];
	uint8_t before[BYTES + 32];
};

/* @shift: bytes off alignment. */
static void apply_once(uint8_t op, uint8_t type, bool fetch, unsigned count, unsigned shift)
{
	static struct run r;
	size_t size = type_of[type].size;
	bool reads = op == PPE_ATOMIC_READ;

	random_fill(type, r.target + shift);
	random_fill(type, r.operand + shift);
	random_fill(type, r.compare + shift);
	memset(r.result, 0xee, sizeof(r.result));
	memcpy(r.before, r.target, sizeof(r.before));
	atomic_apply(op, type, r.target + shift, reads ? NULL : r.operand + shift,
		     is_compare(op) ? r.compare + shift : NULL, fetch ? r.result + shift : NULL,
		     count);
	for (unsigned i = 0; i < ITEMS; i++) {
		size_t at = shift + i * size;
		struct number want = get(type, r.before + at);

		if (i < count)
			want = expected(op, type, want, get(type, r.operand + at),
					get(type, r.compare + at));
		if (!same(type, r.target + at, want))
			fail_msg("op %u type %u item %u of %u shift %u", op, type, i, count, shift);
	}
	/* beyond the end, and the result: bytes as they were */
	assert_memory_equal(r.target + shift + count * size, r.before + shift + count * size,
			    sizeof(r.target) - shift - count * size);
	if (fetch)
		assert_memory_equal(r.result + shift, r.before + shift, count * size);
	for (size_t i = fetch ? shift + count * size : 0; i < sizeof(r.result); i++)
		assert_int_equal(r.result[i], 0xee);
}

static void apply_all_kinds(uint8_t op, uint8_t type)
{
	for (unsigned shift = 0; shift < 17; shift += shift ? 5 : 1) {
		for (unsigned count = 0; count <= ITEMS; count += count < 3 ? 1 : 17) {
			if (atomic_valid(ATOMIC_PLAIN, op, type))
				apply_once(op, type, false, count, shift);
			if (atomic_valid(ATOMIC_FETCH, op, type))
				apply_once(op, type, true, count, shift);
			/* without a result: a peer that does not want one */
			if (atomic_valid(ATOMIC_COMPARE, op, type)) {
				apply_once(op, type, true, count, shift);
				apply_once(op, type, false, count, shift);
			}
		}
	}
}

static void atomic_apply_everything(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++)
		for (uint8_t op = 0; op < PPE_ATOMIC_OPS; op++)
			for (uint8_t type = 0; type < PPE_ATOMIC_TYPES; type++)
				apply_all_kinds(op, type);
}

static void atomic_valid_kinds(void **state)
{
	(void)state;
	for (unsigned op = 0; op < 256; op++) {
		for (unsigned type = 0; type < 256; type++) {
			bool any = op < PPE_ATOMIC_OPS && type < PPE_ATOMIC_TYPES &&
				   makes_sense(op, type);

			assert_int_equal(atomic_valid(ATOMIC_PLAIN, op, type),
					 any && !is_compare(op) && op != PPE_ATOMIC_READ);
			assert_int_equal(atomic_valid(ATOMIC_FETCH, op, type),
					 any && !is_compare(op));
			assert_int_equal(atomic_valid(ATOMIC_COMPARE, op, type),
					 any && is_compare(op));
		}
	}
}

static void atomic_size_of_each(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(atomic_size(type),
				 type < PPE_ATOMIC_TYPES ? type_of[type].size : 0);
}

/* Numbers that go over the wire and come from libfabric. */
static void atomic_numbers(void **state)
{
	(void)state;
	assert_int_equal(PPE_ATOMIC_BXOR, 9);
	assert_int_equal(PPE_ATOMIC_CSWAP, 12);
	assert_int_equal(PPE_ATOMIC_MSWAP, 18);
	assert_int_equal(PPE_FLOAT, 8);
	assert_int_equal(PPE_LONG_DOUBLE_COMPLEX, 13);
	assert_int_equal(PPE_UINT128, 15);
}

/* "Compare less than target" swaps; not the other way round. */
static void atomic_cswap_direction(void **state)
{
	static const struct {
		uint8_t op;
		bool below, equal, above; /* compare is ... the target: swaps */
	} rows[] = {
		{ PPE_ATOMIC_CSWAP, false, true, false },
		{ PPE_ATOMIC_CSWAP_NE, true, false, true },
		{ PPE_ATOMIC_CSWAP_LE, true, true, false },
		{ PPE_ATOMIC_CSWAP_LT, true, false, false },
		{ PPE_ATOMIC_CSWAP_GE, false, true, true },
		{ PPE_ATOMIC_CSWAP_GT, false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int32_t target[3] = { 10, 10, 10 }, operand[3] = { 1, 2, 3 };
		int32_t compare[3] = { 9, 10, 11 }, result[3];

		atomic_apply(rows[i].op, PPE_INT32, target, operand, compare, result, 3);
		assert_int_equal(target[0], rows[i].below ? 1 : 10);
		assert_int_equal(target[1], rows[i].equal ? 2 : 10);
		assert_int_equal(target[2], rows[i].above ? 3 : 10);
		assert_int_equal(result[0] + result[1] + result[2], 30);
	}
}

/* Reads, and comparisons that fail, do not write: the memory may be read-only. */
static void atomic_leaves_alone(void **state)
{
	int64_t *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t operand = 5, compare = 7, result = 1;

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	atomic_apply(PPE_ATOMIC_READ, PPE_INT64, p, NULL, NULL, &result, 1);
	assert_int_equal(result, 0);
	atomic_apply(PPE_ATOMIC_CSWAP, PPE_INT64, p, &operand, &compare, &result, 1);
	atomic_apply(PPE_ATOMIC_MIN, PPE_INT64, p, &operand, NULL, NULL, 1);
	munmap(p, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(atomic_apply_everything), cmocka_unit_test(atomic_valid_kinds),
		cmocka_unit_test(atomic_size_of_each),     cmocka_unit_test(atomic_numbers),
		cmocka_unit_test(atomic_cswap_direction),  cmocka_unit_test(atomic_leaves_alone),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
