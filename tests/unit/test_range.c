/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_range.c - the Range field, by a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "examples/webserver/range.h"
#include "tests/unit/guard_page.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int parse(const char *field, uint64_t size, struct range *ranges)
{
	size_t len = strlen(field);

	return range_parse((struct text){ (const char *)guard_copy(field, len), len }, size,
			   ranges);
}

static const struct {
	const char *field;
	uint64_t size;
	int want;
	struct range ranges[3];
} table[] = {
	{ "bytes=0-0", 1000, 1, { { 0, 0 } } },
	{ "bytes=0-499", 1000, 1, { { 0, 499 } } },
	{ "BYTES=500-", 1000, 1, { { 500, 999 } } },
	{ "bytes=-300", 1000, 1, { { 700, 999 } } },
	{ "bytes=-3000", 1000, 1, { { 0, 999 } } },
	{ "bytes=999-5000", 1000, 1, { { 999, 999 } } },
	{ "bytes=9-99999999999999999999999", 1000, 1, { { 9, 999 } } },
	{ "bytes=-99999999999999999999999", 1000, 1, { { 0, 999 } } },
	{ "bytes= 1-2 ,\t4-5 ", 1000, 2, { { 1, 2 }, { 4, 5 } } },
	{ "bytes=,,1-2,,", 1000, 1, { { 1, 2 } } },
	{ "bytes=-1,0-0,5-6", 1000, 3, { { 999, 999 }, { 0, 0 }, { 5, 6 } } },
	{ "bytes=1000-,0-1", 1000, 1, { { 0, 1 } } },
	{ "bytes=0-9,5-14", 1000, 2, { { 0, 9 }, { 5, 14 } } },
	/* none of it there */
	{ "bytes=1000-", 1000, -416, { { 0, 0 } } },
	{ "bytes=1000-2000,3000-", 1000, -416, { { 0, 0 } } },
	{ "bytes=-0", 1000, -416, { { 0, 0 } } },
	{ "bytes=0-", 0, -416, { { 0, 0 } } },
	{ "bytes=99999999999999999999999-", 1000, -416, { { 0, 0 } } },
	/* to be ignored */
	{ "bytes=-5", 0, 0, { { 0, 0 } } },
	{ "bytes=", 1000, 0, { { 0, 0 } } },
	{ "bytes=,", 1000, 0, { { 0, 0 } } },
	{ "bytes", 1000, 0, { { 0, 0 } } },
	{ "", 1000, 0, { { 0, 0 } } },
	{ "bytes 0-1", 1000, 0, { { 0, 0 } } },
	{ "bytes =0-1", 1000, 0, { { 0, 0 } } },
	{ "lines=0-1", 1000, 0, { { 0, 0 } } },
	{ "bytes=2-1", 1000, 0, { { 0, 0 } } },
	{ "bytes=0-1,2-1", 1000, 0, { { 0, 0 } } },
	{ "bytes=a-b", 1000, 0, { { 0, 0 } } },
	{ "bytes=1", 1000, 0, { { 0, 0 } } },
	{ "bytes=-", 1000, 0, { { 0, 0 } } },
	{ "bytes=1-2x", 1000, 0, { { 0, 0 } } },
	{ "bytes=1 -2", 1000, 0, { { 0, 0 } } },
	{ "bytes=--1", 1000, 0, { { 0, 0 } } },
	{ "bytes=+1-2", 1000, 0, { { 0, 0 } } },
	{ "bytes=0x1-2", 1000, 0, { { 0, 0 } } },
	/* more than the file itself */
	{ "bytes=0-,0-0", 1000, 0, { { 0, 0 } } },
	{ "bytes=0-999,0-999,0-999", 1000, 0, { { 0, 0 } } },
};

static void range_parse_table(void **state)
{
	struct range got[RANGES_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int n = parse(table[i].field, table[i].size, got);

		if (n != table[i].want)
			print_error("%s of %d\n", table[i].field, (int)table[i].size);
		assert_int_equal(n, table[i].want);
		for (int j = 0; j < n; j++) {
			assert_int_equal(got[j].first, table[i].ranges[j].first);
			assert_int_equal(got[j].last, table[i].ranges[j].last);
		}
	}
}

static void range_parse_counts(void **state)
{
	struct range got[RANGES_MAX];
	char field[512] = "bytes=0-0";

	(void)state;
	for (int i = 1; i < RANGES_MAX; i++)
		sprintf(field + strlen(field), ",%d-%d", 2 * i, 2 * i);
	assert_int_equal(parse(field, 1000, got), RANGES_MAX);
	strcat(field, ",99-99");
	assert_int_equal(parse(field, 1000, got), 0);
	strcpy(field, "bytes=0-1");
	memset(field + strlen(field), ',', 100);
	assert_int_equal(parse(field, 1000, got), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_parse_table),
		cmocka_unit_test(range_parse_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
