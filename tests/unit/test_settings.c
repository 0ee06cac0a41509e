/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_settings.c - settings, from flags and from a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "examples/webserver/settings.h"

static int load(struct settings *s, const char *const *arguments)
{
	static char *argv[32];
	static char copies[32][128];
	int argc = 0;

	argv[argc++] = strcpy(copies[0], "eta-webserver");
	for (; arguments[argc - 1]; argc++)
		argv[argc] = strcpy(copies[argc], arguments[argc - 1]);
	argv[argc] = NULL;
	return settings_load(s, argc, argv);
}

#define LOAD(s, ...) load(s, (const char *const[]){ __VA_ARGS__, NULL })
#define LISTEN "--listen", "127.0.0.1:80"

static void settings_defaults_and_flags(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(LOAD(&s, LISTEN, "/d"), 0);
	assert_string_equal(s.directory, "/d");
	assert_int_equal(s.workers, 1);
	assert_int_equal(s.accepts, 32);
	assert_false(s.no_defer);
	assert_string_equal(s.mime_types, "/etc/mime.types");
	assert_int_equal(LOAD(&s, "/d", "--no-defer", LISTEN, "--cache-bytes", "2k",
			      "--log-format=combined", "--aio", "epoll"),
			 0);
	assert_true(s.no_defer);
	assert_int_equal(s.cache_bytes, 2048);
	assert_int_equal(s.log_format, LOG_COMBINED);
	assert_string_equal(s.aio, "epoll");
	assert_string_equal(s.directory, "/d");
}

static void settings_wrong_flags(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(LOAD(&s, "/d"), 2);
	assert_int_equal(LOAD(&s, LISTEN), 2);
	assert_int_equal(LOAD(&s, LISTEN, "/d", "/e"), 2);
	assert_int_equal(LOAD(&s, LISTEN, "--workers", "0", "/d"), 2);
	assert_int_equal(LOAD(&s, LISTEN, "--workers", "x", "/d"), 2);
	assert_int_equal(LOAD(&s, LISTEN, "--none", "/d"), 2);
	assert_int_equal(LOAD(&s, LISTEN, "--status", "status", "/d"), 2);
	assert_int_equal(LOAD(&s, LISTEN, "--log-format", "long", "/d"), 2);
	assert_int_equal(LOAD(&s, LISTEN, "--config", "/none/at/all", "/d"), 2);
	assert_int_equal(LOAD(&s, "--help"), -1);
}

static void settings_lines(void **state)
{
	static const struct {
		const char *line;
		bool good;
	} lines[] = {
		{ "", true },
		{ "  \t\n", true },
		{ "# workers = 3\n", true },
		{ "workers = 3\n", true },
		{ "  accepts=7", true },
		{ "no-defer = yes", true },
		{ "access-log = /a path/with = in it \n", true },
		{ "status =", true },
		{ "workers\n", false },
		{ "workers = many", false },
		{ "no-defer = maybe", false },
		{ "--workers = 3", false },
		{ "config = /x", false },
		{ "= 3", false },
	};
	struct settings s;
	char line[128];

	(void)state;
	settings_defaults(&s);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *problem = settings_line(&s, strcpy(line, lines[i].line));

		if (!problem != lines[i].good)
			print_error("%s: %s\n", lines[i].line, problem ? problem : "taken");
		assert_int_equal(!problem, lines[i].good);
	}
	assert_int_equal(s.workers, 3);
	assert_int_equal(s.accepts, 7);
	assert_true(s.no_defer);
	assert_string_equal(s.access_log, "/a path/with = in it");
}

static char config[] = "/tmp/eta-settings-XXXXXX";

static void write_config(const char *text)
{
	FILE *file = fopen(config, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void settings_file_and_reload(void **state)
{
	static char *argv[] = { "eta-webserver", "--timeout", "7", "--config", config, NULL };
	struct settings s;
	int fd = mkstemp(config);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	write_config("listen = 127.0.0.1:80\ndirectory = /d\ntimeout = 5\nidle = 6\n");
	assert_int_equal(settings_load(&s, 5, argv), 0);
	assert_string_equal(s.directory, "/d");
	assert_int_equal(s.timeout_s, 7); /* flags count more */
	assert_int_equal(s.idle_s, 6);

	write_config("listen = 127.0.0.1:80\ndirectory = /e\nidle = 9\nworkers = 4\n");
	assert_int_equal(settings_reload(&s, 5, argv), 0);
	assert_int_equal(s.idle_s, 9);
	assert_string_equal(s.directory, "/d");
	assert_int_equal(s.workers, 1);

	write_config("listen = 127.0.0.1:80\ndirectory = /d\nidle = 10\nnonsense\n");
	assert_true(settings_reload(&s, 5, argv) < 0);
	assert_int_equal(s.idle_s, 9);
	unlink(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_defaults_and_flags),
		cmocka_unit_test(settings_wrong_flags),
		cmocka_unit_test(settings_lines),
		cmocka_unit_test(settings_file_and_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
