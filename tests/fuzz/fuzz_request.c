/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_request.c - the web server's request parser, and its targets' way to paths, with arbitrary
 * bytes: what is parsed lies within the input, arriving in pieces changes nothing, no path that
 * comes out could lead up, and ranges lie within the file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "examples/webserver/condition.h"
#include "examples/webserver/path.h"
#include "examples/webserver/range.h"
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

static void check_ranges(const struct request *r, uint64_t size)
{
	struct range ranges[RANGES_MAX];
	int n = r->range.p ? range_parse(r->range, size, ranges) : 0;
	uint64_t sum = 0;

	CHECK(n == -416 || (n >= 0 && n <= RANGES_MAX));
	for (int i = 0; i < n; i++) {
		CHECK(ranges[i].first <= ranges[i].last && ranges[i].last < size);
		sum += ranges[i].last - ranges[i].first + 1;
	}
	CHECK(sum <= size);
}

static void check_conditions(const struct request *r)
{
	const struct validators v = { .etag = { "\"1-2-3\"", 7 }, .modified = 784111777 };
	int status = condition_check(r, &v, 1700000000);

	CHECK(status == 0 || status == 304 || status == 412);
	condition_range(r, &v, 1700000000);
	check_ranges(r, 0);
	check_ranges(r, 1000);
	check_ranges(r, UINT64_C(1) << 62);
}

static bool lies_within(struct text t, const char *data, size_t len)
{
	return !t.p || (t.p >= data && t.p + t.len <= data + len);
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
	CHECK(lies_within(r.line, data, (size_t)n) && lies_within(r.user_agent, data, (size_t)n));
	CHECK(lies_within(r.range, data, (size_t)n) && lies_within(r.if_match[0], data, (size_t)n));
	check_conditions(&r);
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
