// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Fuzz target: the whole web server but its main(), on a gaio that is made of memory (fake_gaio.c).
 * The input decides what peers say, how it is cut into pieces, in which order operations end, which
 * of them fail, how time passes, and when the server is told to stop.
 *
 * What each peer gets is a series of well-formed responses, in the order of its requests, with the
 * content that they ask for. Nothing is answered twice or left out unless something went wrong on
 * that connection. At the end nothing is left: no buffer, file, socket or registration.
 */
#define _GNU_SOURCE /* memmem */
#include "fake_gaio.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "examples/webserver/path.h"
#include "examples/webserver/request.h"
#include "examples/webserver/server.h"
#include "examples/webserver/signals.h"

#define HOST "HTTP/1.1\r\nHost: h\r\n"
#define END "\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __real_root_open_cached(const struct root *root, const char *path);
int __wrap_root_open_cached(const struct root *root, const char *path);

static const size_t sizes[] = { 0, 1, 10, 1000, 5000, 70000, 150000 };
#define FILES (sizeof(sizes) / sizeof(sizes[0]))

#define A100                                                                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaa"

static const char *const texts[] = {
	"GET /f0 " HOST END,
	"GET /f1 " HOST END,
	"GET /f2 " HOST END,
	"HEAD /f3 " HOST END,
	"GET /f3 " HOST END,
	"GET /f4 " HOST END,
	"GET /f5 " HOST END,
	"GET /f6 " HOST END,
	"GET /f2 HTTP/1.0\r\n\r\n",
	"GET /f2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET /f1 " HOST "Connection: close\r\n" END,
	"GET /none " HOST END,
	"GET /dir " HOST END,
	"GET /f4 " HOST "Range: bytes=10-20\r\n" END,
	"GET /f5 " HOST "Range: bytes=10-20,100-3000,-5\r\n" END,
	"GET /f6 " HOST "Range: bytes=0-9,140000-\r\n" END,
	"GET /f4 " HOST "Range: bytes=9999-\r\n" END,
	"GET /f4 " HOST "If-None-Match: *\r\n" END,
	"GET /f4 " HOST "If-Match: \"x\"\r\n" END,
	"GET /status " HOST END,
	"DELETE /f1 " HOST END,
	"BREW /f1 " HOST END,
	"POST /f1 " HOST "Content-Length: 3\r\n" END "abc",
	"GET /f1 " HOST "X : y\r\n" END,
	"GET /f1 " HOST "X: " A100 A100 A100 A100 A100 A100 A100 A100 A100 A100 END END,
	A100 A100 A100 A100 A100 A100 A100 A100 A100 A100,
	"GET /f1 " HOST "X: ",
	"GET /f",
	"2 " HOST END,
	END,
	"\r",
	"\n",
	"GET /f2 " HOST END "GET /f0 " HOST END "GET /f5 " HOST END "HEAD /f6 " HOST END
	"GET /f1 " HOST END "GET /none " HOST END "GET /f4 " HOST END,
};

static char folder[64];
static struct server server;

static char content_at(size_t file, size_t at)
{
	return (char)('A' + (at * 7 + at / 251 + file) % 50);
}

/* ---------------------------------------------------------------------------------- checks */

/* A response within what a peer got. */
struct answer {
	int status;
	bool close;
	size_t length; /* of the content that it announces */
	const char *body;
	size_t head_len;
};

static const char *field(const char *head, size_t len, const char *name)
{
	const char *found = memmem(head, len, name, strlen(name));

	return found ? found + strlen(name) : NULL;
}

/* False: it is not complete. */
static bool parse_answer(const char *p, size_t len, struct answer *a)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4), *value;

	if (!end)
		return false;
	a->head_len = (size_t)(end + 4 - p);
	if (a->head_len < 30 || memcmp(p, "HTTP/1.1 ", 9))
		fake_fail("no response");
	a->status = atoi(p + 9);
	value = field(p, a->head_len, "\r\nContent-Length: ");
	if (!value && a->status != 304)
		fake_fail("a response without a length");
	a->length = value ? strtoull(value, NULL, 10) : 0;
	a->close = field(p, a->head_len, "\r\nConnection: close\r\n");
	a->body = p + a->head_len;
	if (!field(p, a->head_len, "\r\nDate: "))
		fake_fail("a response without a date");
	return true;
}

/* The number of the file that the request is for; FILES: of none. */
static size_t file_of(const struct request *r)
{
	size_t file = FILES;

	if (r->method == METHOD_GET && r->target_len == 3 && !memcmp(r->target, "/f", 2))
		file = (size_t)(r->target[2] - '0');
	return file < FILES ? file : FILES;
}

/* @n bytes of it are there. */
static void check_content(const struct answer *a, const struct request *r, size_t n)
{
	size_t file = file_of(r);

	if (a->status != 200 || file == FILES)
		return;
	if (a->length != sizes[file])
		fake_fail("the length of another file");
	for (size_t i = 0; i < n; i++)
		if (a->body[i] != content_at(file, i))
			fake_fail("the content of another file");
}

/* What is to be answered next. @n: as of request_parse(). False: nothing. */
static bool next_request(const struct fake_peer *p, size_t *at, struct request *r, int *n)
{
	size_t searched = 0, left = p->n_sent - *at;

	*n = request_parse(p->sent + *at, left, &searched, r);
	if (*n > REQUEST_HEAD_MAX || (!*n && left > REQUEST_HEAD_MAX))
		*n = -431;
	if (*n <= 0)
		*r = (struct request){ .method = METHOD_GET };
	else
		*at += (size_t)*n;
	return *n != 0;
}

static void check_missing(const struct fake_peer *p, const char *what)
{
	if (!p->disturbed)
		fake_fail(what);
}

static void check_peer(const struct fake_peer *p)
{
	size_t at = 0, got = 0, body;
	bool more = true, expected;
	struct request r;
	struct answer a;
	int n;

	while (more) {
		expected = next_request(p, &at, &r, &n);
		if (got == p->n_got) {
			if (expected)
				check_missing(p, "a request was not answered");
			return;
		}
		if (!parse_answer(p->got + got, p->n_got - got, &a)) {
			check_missing(p, "half a response");
			return;
		}
		if (!expected && a.status != 408)
			fake_fail("a response to nothing");
		/* it came before the request was there, and answers none */
		if (a.status == 408)
			r.method = METHOD_GET;
		if (n < 0 && (a.status < 400 || !a.close))
			fake_fail("a broken request was not refused");
		got += a.head_len;
		body = r.method == METHOD_HEAD || a.status == 304 ? 0 : a.length;
		more = !a.close;
		if (body > p->n_got - got) {
			check_missing(p, "half the content");
			check_content(&a, &r, p->n_got - got);
			return;
		}
		if (body)
			check_content(&a, &r, body);
		got += body;
	}
	if (got != p->n_got)
		fake_fail("something behind the last response");
	if (!p->got_fin && !p->gone)
		check_missing(p, "the last response, and no end");
}

static void check_pool(const struct pool *pool, uint32_t left, const char *what)
{
	if (pool->left != left)
		fake_fail(what);
}

/* ------------------------------------------------------------------------------- the server */

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms = fake.now_ms;

	if (id == CLOCK_REALTIME_COARSE)
		ms += INT64_C(1700000000000);
	else if (id != CLOCK_MONOTONIC_COARSE)
		return __real_clock_gettime(id, ts);
	ts->tv_sec = (time_t)(ms / 1000);
	ts->tv_nsec = (long)(ms % 1000) * 1000000;
	return 0;
}

/* As if what leads to the file were on a disk, now and then. */
int __wrap_root_open_cached(const struct root *root, const char *path)
{
	return fake_file_is_cached() ? __real_root_open_cached(root, path) : -EAGAIN;
}

static void stop(void)
{
	signals_stop++;
}

static void write_files(void)
{
	char path[128];

	for (size_t i = 0; i < FILES; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/f%zu", folder, i);
		f = fopen(path, "w");
		if (!f)
			fake_fail("cannot write the files");
		for (size_t at = 0; at < sizes[i]; at++)
			putc(content_at(i, at), f);
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/dir", folder);
	if (mkdir(path, 0700))
		fake_fail("cannot make the folder");
}

static void remove_files(void)
{
	char path[128];

	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%zu", folder, i);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/dir", folder);
	rmdir(path);
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	strcpy(folder, "/tmp/eta-fuzz.XXXXXX");
	if (!mkdtemp(folder))
		fake_fail("mkdtemp");
	write_files();
	atexit(remove_files);
	return 0;
}

static void configure(struct settings *s, uint8_t how)
{
	settings_defaults(s);
	strcpy(s->directory, folder);
	strcpy(s->mime_types, "/dev/null");
	strcpy(s->status, "/status");
	if (how & 1)
		strcpy(s->access_log, "/dev/null");
	s->connections = s->fits = how & 2 ? 2 : 8;
	s->accepts = how & 4 ? 1 : 4;
	s->accept_batch = how >> 3 & 3;
	s->max_requests = how & 32 ? 3 : 0;
	s->timeout_s = s->idle_s = 5;
	s->cache_largest = 100000;
	s->cache_files = 3;
}

static void check_end(void)
{
	if (server.used)
		fake_fail("connections that are not free");
	for (unsigned i = 0; i < fake.n_peers; i++)
		check_peer(&fake.peers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings settings;
	uint32_t outs, larges;

	if (!size)
		return 0;
	configure(&settings, data[0]);
	fake.texts = texts;
	fake.n_texts = sizeof(texts) / sizeof(texts[0]);
	fake.stopped = stop;
	fake_begin(data + 1, size - 1);
	signals_stop = 0;
	if (server_create(&server, &settings, 0, NULL))
		fake_fail("the server could not be made");
	outs = server.buffers.outs.left;
	larges = server.buffers.larges.left;
	if (server_run(&server))
		fake_fail("the server ended with an error");
	check_end();
	check_pool(&server.buffers.outs, outs, "a buffer for a head was lost");
	check_pool(&server.buffers.larges, larges, "a large buffer was lost");
	server_destroy(&server);
	/* the listener may be closing still */
	if (fake.open_sockets > 1 || fake.open_files || fake.regions || fake.queues)
		fake_fail("something was left behind");
	fake_end();
	return 0;
}
