/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_condition.c - conditional requests, and the dates in them, by tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "examples/webserver/condition.h"
#include "examples/webserver/date.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TAG "\"1-2-3\""
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"
#define MODIFIED 784111777
#define NOW 1700000000

static struct text text_of(const char *string)
{
	return (struct text){ string, string ? strlen(string) : 0 };
}

static const struct validators file = { .etag = { TAG, sizeof(TAG) - 1 }, .modified = MODIFIED };

static const struct {
	const char *match, *unmodified, *none_match, *modified;
	int want;
} table[] = {
	{ NULL, NULL, NULL, NULL, 0 },
	{ "*", NULL, NULL, NULL, 0 },
	{ TAG, NULL, NULL, NULL, 0 },
	{ "\"x\"," TAG, NULL, NULL, NULL, 0 },
	{ "\"a,b\" , " TAG, NULL, NULL, NULL, 0 },
	{ "W/" TAG, NULL, NULL, NULL, 412 },
	{ "\"x\"", NULL, NULL, NULL, 412 },
	{ "", NULL, NULL, NULL, 412 },
	{ "1-2-3", NULL, NULL, NULL, 412 },
	{ "\"1-2-3", NULL, NULL, NULL, 412 },
	{ NULL, SAME, NULL, NULL, 0 },
	{ NULL, AFTER, NULL, NULL, 0 },
	{ NULL, BEFORE, NULL, NULL, 412 },
	{ NULL, "yesterday", NULL, NULL, 0 },
	{ TAG, BEFORE, NULL, NULL, 0 }, /* the tag counts */
	{ NULL, NULL, "*", NULL, 304 },
	{ NULL, NULL, TAG, NULL, 304 },
	{ NULL, NULL, "W/" TAG, NULL, 304 },
	{ NULL, NULL, "\"x\", W/\"y\"\t,, " TAG, NULL, 304 },
	{ NULL, NULL, "\"x\"", NULL, 0 },
	{ NULL, NULL, "w/" TAG, NULL, 0 },
	{ NULL, NULL, "\"x\"", AFTER, 0 }, /* the tag counts */
	{ NULL, NULL, NULL, SAME, 304 },
	{ NULL, NULL, NULL, AFTER, 304 },
	{ NULL, NULL, NULL, BEFORE, 0 },
	{ NULL, NULL, NULL, "Sunday, 06-Nov-94 08:49:37 GMT", 304 },
	{ NULL, NULL, NULL, "Sun Nov  6 08:49:37 1994", 304 },
	{ NULL, NULL, NULL, "0", 0 },
	{ NULL, NULL, NULL, "", 0 },
	{ "\"x\"", NULL, TAG, NULL, 412 },
	{ TAG, NULL, TAG, NULL, 304 },
	{ NULL, BEFORE, TAG, NULL, 412 },
};

static void condition_check_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct request r = {
			.if_match = { text_of(table[i].match) },
			.if_unmodified_since = text_of(table[i].unmodified),
			.if_none_match = { text_of(table[i].none_match) },
			.if_modified_since = text_of(table[i].modified),
		};
		int status = condition_check(&r, &file, NOW);

		if (status != table[i].want)
			print_error("row %zu\n", i);
		assert_int_equal(status, table[i].want);
	}
}

static void condition_check_several_lines(void **state)
{
	struct request r = { .if_none_match = { text_of("\"x\""), text_of(TAG) } };

	(void)state;
	assert_int_equal(condition_check(&r, &file, NOW), 304);
}

static void condition_range_table(void **state)
{
	static const struct {
		const char *field;
		time_t now;
		bool want;
	} ranges[] = {
		{ NULL, NOW, true },          { TAG, NOW, true },
		{ "W/" TAG, NOW, false },     { "\"x\"", NOW, false },
		{ TAG ", " TAG, NOW, false }, { SAME, NOW, true },
		{ BEFORE, NOW, false },       { AFTER, NOW, false },
		{ SAME, MODIFIED, false }, /* might change again in this second */
		{ "x", NOW, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ranges); i++) {
		struct request r = { .if_range = text_of(ranges[i].field) };

		assert_int_equal(condition_range(&r, &file, ranges[i].now), ranges[i].want);
	}
}

static void date_parse_table(void **state)
{
	static const struct {
		const char *text;
		time_t want; /* -1: none */
	} dates[] = {
		{ SAME, MODIFIED },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED },
		{ "Sun Nov  6 08:49:37 1994", MODIFIED },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Thu, 31 Dec 2026 23:59:60 GMT", 1798761600 },
		{ "Thursday, 01-Jan-70 00:00:00 GMT", 3155760000 },
		{ "Tuesday, 01-Jan-80 00:00:00 GMT", 315532800 },
		{ "Wed Nov 16 08:49:37 1994", 784975777 },
		{ "Tue, 29 Feb 2028 00:00:00 GMT", 1835395200 },
		{ "Mon, 29 Feb 2027 00:00:00 GMT", -1 },
		{ "Sun, 00 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 24:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:60:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:49:37", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT ", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 CET", -1 },
		{ "sun, 06 nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 94 08:49:37 GMT", -1 },
		{ "Sun Nov 6 08:49:37 1994", -1 },
		{ "06 Nov 1994", -1 },
		{ "784111777", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(dates); i++) {
		time_t got = -1;
		int err = date_parse(text_of(dates[i].text), NOW, &got);

		if ((err != 0) != (dates[i].want == -1))
			print_error("%s\n", dates[i].text);
		assert_int_equal(err != 0, dates[i].want == -1);
		if (!err)
			assert_int_equal(got, dates[i].want);
	}
}

static void date_there_and_back(void **state)
{
	char text[DATE_ROOM];
	time_t got;

	(void)state;
	for (time_t time = 0; time < 4000000000; time += 86399 * 7) {
		date_format(time, text);
		assert_int_equal(date_parse(text_of(text), NOW, &got), 0);
		assert_int_equal(got, time);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(condition_check_table),
		cmocka_unit_test(condition_check_several_lines),
		cmocka_unit_test(condition_range_table),
		cmocka_unit_test(date_parse_table),
		cmocka_unit_test(date_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
