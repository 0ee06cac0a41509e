/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_mime.c - media types: a table of ours in the system's form, and what is built in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "examples/webserver/mime.h"

static void mime_built_in(void **state)
{
	(void)state;
	assert_string_equal(mime_type("a/b.html"), "text/html; charset=utf-8");
	assert_string_equal(mime_type("b.PNG"), "image/png");
	assert_string_equal(mime_type("png"), "application/octet-stream");
	assert_string_equal(mime_type("a.html/b"), "application/octet-stream");
	assert_string_equal(mime_type("a."), "application/octet-stream");
	assert_string_equal(mime_type("a.none"), "application/octet-stream");
	assert_string_equal(mime_type("a.tar.gz"), "application/gzip");
}

static void load(const char *table)
{
	char name[] = "/tmp/eta-mime-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, table, strlen(table)), strlen(table));
	close(fd);
	assert_int_equal(mime_load(name), 0);
	unlink(name);
}

static void mime_from_a_table(void **state)
{
	(void)state;
	load("# a comment\n\napplication/none\ntext/x-made-up\tzzz Yyy  html\n"
	     "application/own pnG\r\nimage/x-last aaa");
	assert_string_equal(mime_type("a.zzz"), "text/x-made-up; charset=utf-8");
	assert_string_equal(mime_type("a.yYY"), "text/x-made-up; charset=utf-8");
	assert_string_equal(mime_type("a.html"), "text/x-made-up; charset=utf-8");
	assert_string_equal(mime_type("a.png"), "application/own");
	assert_string_equal(mime_type("a.aaa"), "image/x-last");
	/* what it does not have */
	assert_string_equal(mime_type("a.css"), "text/css; charset=utf-8");
	/* another one replaces it; none leaves it as it is */
	load("a/b zzz\n");
	assert_string_equal(mime_type("a.zzz"), "a/b");
	assert_string_equal(mime_type("a.html"), "text/html; charset=utf-8");
	assert_true(mime_load("/none") < 0);
	assert_string_equal(mime_type("a.zzz"), "a/b");
	mime_unload();
	assert_string_equal(mime_type("a.zzz"), "application/octet-stream");
}

/* Too long for a response's head, and so left out. */
static void mime_long_types(void **state)
{
	char table[300];

	(void)state;
	memset(table, 'x', sizeof(table));
	strcpy(table + 200, " xxx\n");
	load(table);
	assert_string_equal(mime_type("a.xxx"), "application/octet-stream");
	mime_unload();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mime_built_in),
		cmocka_unit_test(mime_from_a_table),
		cmocka_unit_test(mime_long_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
