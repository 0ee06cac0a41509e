/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_request.c - the web server's parser of HTTP requests, by tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "examples/webserver/request.h"
#include "tests/unit/guard_page.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOST "Host: h\r\n"

static int parse(const char *text, size_t len, struct request *r)
{
	size_t searched = 0;

	return request_parse((const char *)guard_copy(text, len), len, &searched, r);
}

/* -------------------------------------------------------------------------------- accepted */

static const struct accepted {
	const char *text;
	struct {
		enum request_method method;
		int minor;
		bool keep_alive, content;
	} want;
	const char *target;
} accepted[] = {
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", { METHOD_GET, 1, true, false }, "/" },
	{ "HEAD /a?b=c HTTP/1.1\r\n" HOST "\r\n", { METHOD_HEAD, 1, true, false }, "/a?b=c" },
	{ "GET / HTTP/1.0\r\n\r\n", { METHOD_GET, 0, false, false }, "/" },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", { METHOD_GET, 0, true, false }, "/" },
	{ "GET / HTTP/1.9\r\n" HOST "\r\n", { METHOD_GET, 1, true, false }, "/" },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
	  { METHOD_GET, 1, false, false },
	  "/" },
	{ "GET / HTTP/1.1\r\n" HOST "cOnNeCtIoN:\tx , ClosE,,y \t\r\n\r\n",
	  { METHOD_GET, 1, false, false },
	  "/" },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n",
	  { METHOD_GET, 1, false, false },
	  "/" },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n",
	  { METHOD_GET, 1, true, false },
	  "/" },
	/* empty lines before it; fields without space, and with nothing in them */
	{ "\r\n\r\nGET / HTTP/1.1\r\nHost:h\r\nX:\r\n\r\n", { METHOD_GET, 1, true, false }, "/" },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", { METHOD_GET, 1, true, false }, "/" },
	{ "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", { METHOD_GET, 1, true, false }, "/" },
	/* the form that proxies get */
	{ "GET http://example.org:80/p?q HTTP/1.1\r\n" HOST "\r\n",
	  { METHOD_GET, 1, true, false },
	  "/p?q" },
	{ "GET HTTPS://example.org HTTP/1.1\r\n" HOST "\r\n", { METHOD_GET, 1, true, false }, "" },
	{ "GET http://example.org?q HTTP/1.1\r\n" HOST "\r\n",
	  { METHOD_GET, 1, true, false },
	  "?q" },
	/* octets that a target should not have, but gets from browsers and from people */
	{ "GET /\xc3\xa9|{}^ HTTP/1.1\r\n" HOST "\r\n",
	  { METHOD_GET, 1, true, false },
	  "/\xc3\xa9|{}^" },
	{ "GET / HTTP/1.1\r\n" HOST "X: \xe4 \x80\r\n\r\n", { METHOD_GET, 1, true, false }, "/" },
	/* content */
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
	  { METHOD_GET, 1, true, false },
	  "/" },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 007\r\n\r\n",
	  { METHOD_GET, 1, true, true },
	  "/" },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n",
	  { METHOD_GET, 1, true, true },
	  "/" },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n",
	  { METHOD_OTHER, 1, true, true },
	  "/" },
	/* other methods, whose targets have other forms */
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", { METHOD_OTHER, 1, true, false }, "*" },
	{ "CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", { METHOD_OTHER, 1, true, false }, "h:1" },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", { METHOD_UNKNOWN, 1, true, false }, "/" },
	{ "BREW /pot HTTP/1.1\r\n" HOST "\r\n", { METHOD_UNKNOWN, 1, true, false }, "/pot" },
};

static void assert_request(const struct request *got, const struct accepted *a)
{
	assert_int_equal(got->method, a->want.method);
	assert_int_equal(got->minor, a->want.minor);
	assert_int_equal(got->keep_alive, a->want.keep_alive);
	assert_int_equal(got->content, a->want.content);
	assert_int_equal(got->target_len, strlen(a->target));
	assert_memory_equal(got->target, a->target, got->target_len);
}

static void request_parse_accepts(void **state)
{
	struct request r;

	(void)state;
	for (size_t i = 0; i < COUNT(accepted); i++) {
		size_t len = strlen(accepted[i].text);

		assert_int_equal(parse(accepted[i].text, len, &r), len);
		assert_request(&r, &accepted[i]);
	}
}

/* With half of another behind it, a request ends where it ends. */
static void request_parse_leaves_the_next(void **state)
{
	char text[512];
	struct request r;

	(void)state;
	for (size_t i = 0; i < COUNT(accepted); i++) {
		snprintf(text, sizeof(text), "%sGET /next HT", accepted[i].text);
		assert_int_equal(parse(text, strlen(text), &r), strlen(accepted[i].text));
		assert_request(&r, &accepted[i]);
	}
}

/* Byte by byte: no beginning is enough, none is refused, and the end is the same. */
static void request_parse_trickle(void **state)
{
	struct request r;

	(void)state;
	for (size_t i = 0; i < COUNT(accepted); i++) {
		size_t len = strlen(accepted[i].text), searched = 0;

		for (size_t n = 0; n < len; n++) {
			const void *at = guard_copy(accepted[i].text, n);

			assert_int_equal(request_parse(at, n, &searched, &r), 0);
			assert_true(searched <= n);
		}
		assert_int_equal(request_parse((const char *)guard_copy(accepted[i].text, len), len,
					       &searched, &r),
				 len);
		assert_request(&r, &accepted[i]);
	}
}

/* ---------------------------------------------------------------------------------- fields */

static void assert_text(struct text got, const char *want)
{
	if (!want) {
		assert_null(got.p);
		return;
	}
	assert_non_null(got.p);
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.p, want, got.len);
}

static void request_parse_remembers_fields(void **state)
{
	static const char text[] = "GET /x HTTP/1.1\r\n" HOST "range:\tbytes=0-1 \r\n"
				   "If-Range: \"a\"\r\nIF-MATCH: *\r\nIf-None-Match: \"b\"\r\n"
				   "if-none-match:W/\"c\", \"d\"\r\nIf-Modified-Since: m\r\n"
				   "If-Unmodified-Since: u\r\nReferer: r\r\n"
				   "User-Agent: a long one,\twith a tab\r\nUser-Agent: other\r\n"
				   "Rangee: z\r\nIf-: z\r\n\r\n";
	struct request r;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, &r), sizeof(text) - 1);
	assert_text(r.line, "GET /x HTTP/1.1");
	assert_text(r.range, "bytes=0-1");
	assert_text(r.if_range, "\"a\"");
	assert_text(r.if_match[0], "*");
	assert_text(r.if_match[1], NULL);
	assert_text(r.if_none_match[0], "\"b\"");
	assert_text(r.if_none_match[1], "W/\"c\", \"d\"");
	assert_text(r.if_modified_since, "m");
	assert_text(r.if_unmodified_since, "u");
	assert_text(r.referer, "r");
	assert_text(r.user_agent, "a long one,\twith a tab");
}

static void request_parse_repeated_fields(void **state)
{
	static const char ranges[] =
		"GET / HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\nRange: bytes=0-1\r\n\r\n";
	char text[512] = "GET / HTTP/1.1\r\n" HOST;
	struct request r;

	(void)state;
	assert_int_equal(parse(ranges, sizeof(ranges) - 1, &r), sizeof(ranges) - 1);
	assert_text(r.range, NULL);
	for (int i = 0; i <= REQUEST_LINES_MAX; i++)
		strcat(text, "If-Match: \"x\"\r\n");
	strcat(text, "\r\n");
	assert_int_equal(parse(text, strlen(text), &r), -431);
}

/* Values are looked at eight octets at a time: a bad one is found wherever it is among them. */
static void request_parse_finds_bad_octets(void **state)
{
	static const char bad[] = { 0, 1, 8, 10, 11, 13, 31, 127 };
	char text[128];
	struct request r;

	(void)state;
	for (size_t at = 0; at < 20; at++) {
		for (size_t i = 0; i < sizeof(bad); i++) {
			int n = sprintf(text, "GET / HTTP/1.1\r\n" HOST
					      "X: \xff~\x80 aaaaaaaaaaaaaaaaaaaaaa\r\n\r\n");

			assert_int_equal(parse(text, (size_t)n, &r), n);
			text[n - 5 - (int)at] = bad[i];
			assert_int_equal(parse(text, (size_t)n, &r), -400);
		}
	}
}

/* --------------------------------------------------------------------------------- refused */

static const struct {
	const char *text;
	int status;
} refused[] = {
	/* request lines */
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400 },
	{ "GET /\r\n\r\n", 400 }, /* HTTP/0.9 */
	{ "GET\r\n\r\n", 400 },
	{ "GET / http/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/11\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.11\r\n" HOST "\r\n", 400 },
	{ "GET / HTTPS/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\n" HOST "\r\n\r\n", 400 },
	{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET http:///p HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET http://u@h/p HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "G(T / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "\x16\x03\x01\x02\x00\x01", 400 }, /* TLS: refused at once */
	{ "\n", 400 },
	{ "\r\r\n\r\n", 400 },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", 505 },
	/* fields */
	{ "GET / HTTP/1.1\r\n" HOST "X : y\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST ": y\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 400 }, /* folded */
	{ "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X: a\nY: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X: \x02\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n X: y\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X\xe4: y\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
	{ "GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h:p\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h:8:8\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: ::1]\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: [::1]8\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a[::1]\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: [1]\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: "
	  "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]\r\n\r\n",
	  400 },
	{ "GET http://[::1/p HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET http://h:p/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET http://:80/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	/* where requests get smuggled */
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	  400 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
	  400 },
	{ "GET / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
	  400 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 501 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 501 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
	  "chunked\r\n\r\n",
	  400 },
};

static void request_parse_refuses(void **state)
{
	struct request r;

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		int status = -parse(refused[i].text, strlen(refused[i].text), &r);

		if (status != refused[i].status)
			print_error("request %zu:\n%s\n", i, refused[i].text);
		assert_int_equal(status, refused[i].status);
	}
}

/* A zero octet ends no string here. */
static void request_parse_refuses_nul(void **state)
{
	static const char in_target[] = "GET /\0 HTTP/1.1\r\n" HOST "\r\n";
	static const char in_value[] = "GET / HTTP/1.1\r\n" HOST "X: \0\r\n\r\n";
	static const char first[] = "\0";
	struct request r;

	(void)state;
	assert_int_equal(parse(in_target, sizeof(in_target) - 1, &r), -400);
	assert_int_equal(parse(in_value, sizeof(in_value) - 1, &r), -400);
	assert_int_equal(parse(first, sizeof(first) - 1, &r), -400);
}

/* ---------------------------------------------------------------------------------- limits */

static size_t with_fields(char *text, int n)
{
	char *p = text + sprintf(text, "GET / HTTP/1.1\r\n" HOST);

	for (int i = 1; i < n; i++)
		p += sprintf(p, "X%d: y\r\n", i);
	p += sprintf(p, "\r\n");
	return (size_t)(p - text);
}

static void request_parse_counts_fields(void **state)
{
	char text[4096];
	struct request r;
	size_t len;

	(void)state;
	len = with_fields(text, REQUEST_FIELDS_MAX);
	assert_int_equal(parse(text, len, &r), len);
	len = with_fields(text, REQUEST_FIELDS_MAX + 1);
	assert_int_equal(parse(text, len, &r), -431);
}

static void request_overlong_tells_what(void **state)
{
	static const char line[] = "GET /aaaaaaaaaaaaaaaaaaaaaa",
			  field[] = "GET / HTTP/1.1\r\nX: y";
	static const char lines[] = "\r\n\r\nGET /aaaaaaaaa";

	(void)state;
	assert_int_equal(request_overlong(line, sizeof(line) - 1), 414);
	assert_int_equal(request_overlong(lines, sizeof(lines) - 1), 414);
	assert_int_equal(request_overlong(field, sizeof(field) - 1), 431);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_parse_accepts),
		cmocka_unit_test(request_parse_leaves_the_next),
		cmocka_unit_test(request_parse_trickle),
		cmocka_unit_test(request_parse_remembers_fields),
		cmocka_unit_test(request_parse_repeated_fields),
		cmocka_unit_test(request_parse_finds_bad_octets),
		cmocka_unit_test(request_parse_refuses),
		cmocka_unit_test(request_parse_refuses_nul),
		cmocka_unit_test(request_parse_counts_fields),
		cmocka_unit_test(request_overlong_tells_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
