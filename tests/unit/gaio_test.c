/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* gaio_test.c - what the tests of the generic layer share. */
#include "tests/unit/gaio_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gaio_test t;
uint8_t area[AREA];

int test_setup(void **state)
{
	const struct gaio_attr attr = { .backend = t.backend };

	(void)state;
	t = (struct gaio_test){ .backend = t.backend };
	memset(area, 0, sizeof(area));
	ok(gaio_open(&attr, &t.io));
	ok(gaio_queue_create(t.io, 64, &t.q));
	ok(gaio_register(t.io, area, sizeof(area), GAIO_READ | GAIO_WRITE, &t.mem));
	return 0;
}

int test_teardown(void **state)
{
	(void)state;
	gaio_close(t.io);
	return 0;
}

bool is_backend(const char *name)
{
	return !strcmp(t.backend, name);
}

/* ----------------------------------------------------------------------- sockets */

struct gaio_sock *sock_new(uint64_t context)
{
	const struct gaio_socket_attr attr = { .send = t.q, .context = context };
	struct gaio_sock *s;

	ok(gaio_socket(t.io, &attr, &s));
	return s;
}

void listen_any(struct gaio_sock *s, unsigned flags)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	ok(gaio_listen(s, (const struct sockaddr *)&in, sizeof(in), 1024, flags));
}

void connect_to(struct gaio_sock *s, struct gaio_sock *listener, uint64_t tag)
{
	struct sockaddr_storage ss;

	ok(gaio_local_addr(listener, &ss));
	ok(gaio_connect(s, (struct sockaddr *)&ss, sizeof(struct sockaddr_in), tag));
}

void connect_pair(void)
{
	t.listener = sock_new(1);
	listen_any(t.listener, 0);
	t.a = sock_new(2);
	t.b = sock_new(3);
	ok(gaio_accept(t.listener, t.b, 10));
	connect_to(t.a, t.listener, 11);
	ok(await(GAIO_ACCEPT, t.b).status);
	ok(await(GAIO_CONNECT, t.a).status);
}

struct gaio_buf piece(size_t off, size_t len)
{
	assert_true(off + len <= AREA);
	return (struct gaio_buf){ area + off, len, t.mem };
}

int post_recv(struct gaio_sock *s, size_t off, size_t len, uint64_t tag)
{
	const struct gaio_buf buf = piece(off, len);

	return gaio_recv(s, &buf, tag);
}

int post_send(struct gaio_sock *s, size_t off, size_t len, uint64_t tag)
{
	const struct gaio_buf buf = piece(off, len);

	return gaio_send(s, &buf, 1, 0, tag);
}

/* ------------------------------------------------------------------------ events */

void keep_from(struct gaio_queue *q)
{
	int n;

	while (gaio_waiting(q)) {
		assert_true(t.nkept < KEPT);
		n = gaio_take(q, &t.kept[t.nkept], KEPT - t.nkept);
		assert_true(n > 0);
		t.nkept += n;
	}
}

static bool find(enum gaio_op op, struct gaio_sock *s, struct gaio_file *f, struct gaio_event *e)
{
	for (int i = 0; i < t.nkept; i++) {
		if (t.kept[i].op != op || (s && t.kept[i].sock != s) || (f && t.kept[i].file != f))
			continue;
		*e = t.kept[i];
		t.nkept--;
		memmove(&t.kept[i], &t.kept[i + 1], (t.nkept - i) * sizeof(*e));
		return true;
	}
	return false;
}

static struct gaio_event await_event(enum gaio_op op, struct gaio_sock *s, struct gaio_file *f)
{
	struct gaio_event e;

	while (!find(op, s, f, &e)) {
		int n = gaio_wait(t.io, PATIENCE);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			print_error("waiting for event %d: %d\n", op, n);
		assert_true(n > 0);
		keep_from(t.q);
	}
	return e;
}

struct gaio_event await(enum gaio_op op, struct gaio_sock *s)
{
	return await_event(op, s, NULL);
}

struct gaio_event await_file(enum gaio_op op, struct gaio_file *f)
{
	return await_event(op, NULL, f);
}

void expect_nothing(void)
{
	int n;

	do
		n = gaio_wait(t.io, 20000);
	while (n == -EINTR);
	ok(n);
	assert_int_equal(gaio_waiting(t.q), 0);
	assert_int_equal(t.nkept, 0);
}

void close_and_await(struct gaio_sock *s, int ops)
{
	struct gaio_event e;
	int others = 0, last = 0;

	gaio_close_sock(s, 99);
	gaio_close_sock(s, 98);
	do {
		assert_true(gaio_wait(t.io, PATIENCE) > 0);
		keep_from(t.q);
		for (int i = 0; i < t.nkept; i++)
			last = t.kept[i].sock == s ? (int)t.kept[i].op : last;
	} while (last != GAIO_CLOSE);
	e = await(GAIO_CLOSE, s);
	assert_int_equal(e.tag, 99);
	ok(e.status);
	for (int i = 0; i < t.nkept; i++)
		others += t.kept[i].sock == s;
	assert_int_equal(others, ops);
	t.nkept = 0;
}

/* -------------------------------------------------------------------------- data */

static uint8_t pattern(size_t i, unsigned seed)
{
	return (uint8_t)(i * 131 + (i >> 8) * 17 + (i >> 16) * 7 + seed);
}

void fill(size_t off, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		area[off + i] = pattern(i, seed);
}

void expect_filled(const uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != pattern(i, seed))
			fail_msg("byte %zu is wrong", i);
}

/* ----------------------------------------------------------------------- running */

static bool have_backend(const char *name)
{
	const struct gaio_attr attr = { .backend = name };
	struct gaio *io;
	int err = gaio_open(&attr, &io);

	if (!err)
		gaio_close(io);
	else
		printf("SKIPPED: back end %s: %s\n", name, strerror(-err));
	return !err;
}

int run_backends(const struct CMUnitTest *tests, size_t n)
{
	const char *only = getenv("GAIO_TEST_BACKEND"), *name;
	int failed = 0;

	for (unsigned i = 0; (name = gaio_backend(i)); i++) {
		if ((only && strcmp(only, name)) || !have_backend(name))
			continue;
		printf("=== %s\n", name);
		t.backend = name;
		failed += _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	}
	return failed;
}
