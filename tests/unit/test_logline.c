/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_logline.c - lines of the access log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <cmocka.h>

#include "examples/webserver/logline.h"
#include "tests/unit/guard_page.h"

#define DATE "[06/Nov/1994:08:49:37 +0000]"
#define TEXT(string)                                                                               \
	{                                                                                          \
		string, sizeof(string) - 1                                                         \
	}

static const struct logline plain = {
	.peer = TEXT("127.0.0.1"),
	.date = TEXT(DATE),
	.request = TEXT("GET /a HTTP/1.1"),
	.user_agent = TEXT("curl \"7\""),
	.status = 200,
	.bytes = 18446744073709551615u,
};

/* At the end of what may be written to: more than the room asked for would be found out. */
static const char *format(const struct logline *line, enum log_format format)
{
	static char text[4096];
	char *out = (char *)guard_end() - logline_room(line);
	size_t len = logline_format(out, line, format);

	assert_true(len <= logline_room(line));
	memcpy(text, out, len);
	text[len] = '\0';
	return text;
}

static void logline_formats(void **state)
{
	(void)state;
	assert_string_equal(format(&plain, LOG_COMMON),
			    "127.0.0.1 - - " DATE
			    " \"GET /a HTTP/1.1\" 200 18446744073709551615\n");
	assert_string_equal(format(&plain, LOG_COMBINED),
			    "127.0.0.1 - - " DATE
			    " \"GET /a HTTP/1.1\" 200 18446744073709551615 \"-\" "
			    "\"curl \\\"7\\\"\"\n");
}

static void logline_nothing(void **state)
{
	const struct logline line = { .date = TEXT(DATE), .status = 408 };

	(void)state;
	assert_string_equal(format(&line, LOG_COMMON), " - - " DATE " \"-\" 408 -\n");
}

/* Nothing in a request makes a second line, or ends a field. */
static void logline_escapes(void **state)
{
	struct logline line = plain;
	char all[256];
	const char *text;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	line.request = line.referer = line.user_agent = (struct text){ all, sizeof(all) };
	text = format(&line, LOG_COMBINED);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_non_null(strstr(text, "\"\\x00\\x01"));
	assert_non_null(strstr(text, " !\\\"#"));
	assert_non_null(strstr(text, "[\\\\]"));
	assert_non_null(strstr(text, "~\\x7f\\x80"));
	for (; *text != '\n'; text++)
		assert_true(*text >= ' ' && *text < 0x7f);
}

static void logline_date_is_local(void **state)
{
	char text[LOGLINE_DATE_ROOM];

	(void)state;
	setenv("TZ", "XYZ-5:30", 1);
	tzset();
	logline_date(784111777, text);
	assert_string_equal(text, "[06/Nov/1994:14:19:37 +0530]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logline_formats),
		cmocka_unit_test(logline_nothing),
		cmocka_unit_test(logline_escapes),
		cmocka_unit_test(logline_date_is_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
