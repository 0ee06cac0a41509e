/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_request.c - the web server's request parser, and its targets' way to paths, with arbitrary
 * bytes: what is parsed lies within the input, arriving in pieces changes nothing, and no path
 * that comes out could lead up.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "examples/webserver/path.h"
#include "examples/webserver/request.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct request *r)
{
	char path[256];
	int n = path_from_target(r->target, r->target_len, path, sizeof(path));

	if (n < 0) {
		CHECK(n == -400 || n == -403 || n == -414);
		return;
	}
	CHECK(n > 0 && (size_t)n < sizeof(path) && strlen(path) == (size_t)n);
	CHECK(path[0] != '/' && path[n - 1] != '/' && !strstr(path, "//"));
	CHECK(strcmp(path, "..") && strncmp(path, "../", 3) && !strstr(path, "/../"));
	CHECK(n < 3 || strcmp(path + n - 3, "/.."));
}

static bool same(const struct request *a, const struct request *b)
{
	return a->method == b->method && a->minor == b->minor && a->keep_alive == b->keep_alive &&
	       a->content == b->content && a->target == b->target && a->target_len == b->target_len;
}

/* The same bytes, coming one by one. They may be refused earlier, but not differently. */
static void check_trickle(const char *data, size_t size, int want, const struct request *r)
{
	struct request again;
	size_t searched = 0;
	int n = 0;

	for (size_t len = 0; len <= size && !n; len++)
		n = request_parse(data, len, &searched, &again);
	CHECK(n == want);
	CHECK(n <= 0 || same(r, &again));
}

static size_t check_one(const char *data, size_t size)
{
	struct request r;
	size_t searched = 0;
	int n = request_parse(data, size, &searched, &r);

	check_trickle(data, size, n, &r);
	if (n <= 0) {
		CHECK(n == 0 || n == -400 || n == -431 || n == -501 || n == -505);
		CHECK(n || !size || request_overlong(data, size) / 100 == 4);
		return 0;
	}
	CHECK((size_t)n <= size && !memcmp(data + n - 4, "\r\n\r\n", 4));
	CHECK(r.target >= data && r.target_len <= (size_t)n);
	CHECK(r.target + r.target_len <= data + n);
	CHECK(r.minor == 0 || r.minor == 1);
	if (r.method <= METHOD_HEAD)
		check_path(&r);
	return (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t n;

	while ((n = check_one(text, size))) {
		text += n;
		size -= n;
	}
	return 0;
}
