/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The generic layer's sockets over loopback, both ends in this process, with each back end. */
#include "tests/unit/gaio_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ one connection */

static void test_connect_and_exchange(void **state)
{
	struct gaio_event e;

	(void)state;
	connect_pair();
	fill(0, 1000, 1);
	ok(post_recv(t.b, 4096, 4096, 21));
	assert_int_equal(post_recv(t.b, 4096, 4096, 22), -EAGAIN);
	ok(post_send(t.a, 0, 1000, 23));
	e = await(GAIO_RECV, t.b);
	ok(e.status);
	assert_int_equal(e.tag, 21);
	assert_int_equal(e.context, 3);
	assert_int_equal(e.len, 1000);
	expect_filled(area + 4096, 1000, 1);
	e = await(GAIO_SEND, t.a);
	ok(e.status);
	assert_int_equal(e.tag, 23);
	assert_int_equal(e.context, 2);
	assert_int_equal(e.len, 1000);
	expect_nothing();
	close_and_await(t.a, 0);
	ok(post_recv(t.b, 4096, 4096, 24));
	e = await(GAIO_RECV, t.b);
	ok(e.status);
	assert_int_equal(e.len, 0);
	close_and_await(t.b, 0);
	close_and_await(t.listener, 0);
}

static void test_receive_before_accept(void **state)
{
	struct gaio_event e;

	(void)state;
	t.listener = sock_new(1);
	listen_any(t.listener, GAIO_DEFER_ACCEPT);
	t.a = sock_new(2);
	t.b = sock_new(3);
	ok(post_recv(t.b, 4096, 100, 5));
	ok(gaio_accept(t.listener, t.b, 4));
	assert_int_equal(gaio_accept(t.listener, t.b, 4), -EALREADY);
	connect_to(t.a, t.listener, 6);
	ok(await(GAIO_CONNECT, t.a).status);
	fill(0, 100, 2);
	ok(post_send(t.a, 0, 100, 7));
	e = await(GAIO_ACCEPT, NULL);
	assert_ptr_equal(e.sock, t.b);
	assert_int_equal(e.context, 3);
	assert_int_equal(e.tag, 4);
	e = await(GAIO_RECV, t.b);
	assert_int_equal(e.len, 100);
	expect_filled(area + 4096, 100, 2);
}

static void test_pieces_and_two_sends(void **state)
{
	const size_t first = 100 * GAIO_BUFS_MAX, total = first + 2000;
	struct gaio_buf bufs[GAIO_BUFS_MAX];
	size_t got = 0;

	(void)state;
	connect_pair();
	fill(0, total, 3);
	for (int i = 0; i < GAIO_BUFS_MAX; i++)
		bufs[i] = piece(100 * i, 100);
	ok(gaio_send(t.a, bufs, GAIO_BUFS_MAX, GAIO_MORE, 1));
	bufs[0] = piece(first, 2000);
	ok(gaio_send(t.a, bufs, 1, 0, 2));
	assert_int_equal(gaio_send(t.a, bufs, 1, 0, 3), -EAGAIN);
	ok(gaio_shutdown(t.a, 4));
	assert_int_equal(gaio_shutdown(t.a, 5), -EAGAIN);
	for (;;) {
		struct gaio_event e;

		ok(post_recv(t.b, 4096 + got, 4096, 6));
		e = await(GAIO_RECV, t.b);
		ok(e.status);
		if (!e.len)
			break;
		got += e.len;
	}
	assert_int_equal(got, total);
	expect_filled(area + 4096, total, 3);
	assert_int_equal(await(GAIO_SEND, t.a).tag, 1);
	assert_int_equal(await(GAIO_SEND, t.a).tag, 2);
	ok(await(GAIO_SHUTDOWN, t.a).status);
	/* behind the shutdown */
	ok(post_send(t.a, 0, 10, 7));
	assert_int_equal(await(GAIO_SEND, t.a).status, -EPIPE);
	/* the other direction still goes */
	ok(post_send(t.b, 0, 10, 8));
	ok(await(GAIO_SEND, t.b).status);
	ok(post_recv(t.a, 4096, 100, 9));
	assert_int_equal(await(GAIO_RECV, t.a).len, 10);
}

/* Two large sends to a peer that reads slowly, in small bites. */
static void test_large_to_slow(void **state)
{
	const size_t half = 3 << 20, at = half + (1 << 20);
	size_t got = 0, bite = 1;
	struct gaio_event e;

	(void)state;
	connect_pair();
	fill(0, half, 4);
	ok(post_send(t.a, 0, half / 2, 1));
	ok(post_send(t.a, half / 2, half - half / 2, 2));
	for (int i = 0; i < 20; i++)
		gaio_wait(t.io, 1000);
	while (got < half) {
		ok(post_recv(t.b, at + got, bite, 3));
		e = await(GAIO_RECV, t.b);
		ok(e.status);
		assert_true(e.len && e.len <= bite);
		got += e.len;
		bite = bite * 3 % 99991 + 1;
		if (bite > half - got)
			bite = half - got;
	}
	expect_filled(area + at, half, 4);
	e = await(GAIO_SEND, t.a);
	assert_int_equal(e.tag, 1);
	assert_int_equal(e.len, half / 2);
	ok(e.status);
	e = await(GAIO_SEND, t.a);
	assert_int_equal(e.tag, 2);
	ok(e.status);
	expect_nothing();
}

/* ------------------------------------------------------------------------- errors */

static void test_unconnected(void **state)
{
	struct sockaddr_storage ss;

	(void)state;
	t.a = sock_new(1);
	ok(post_send(t.a, 0, 10, 1));
	assert_int_equal(await(GAIO_SEND, t.a).status, -ENOTCONN);
	assert_int_equal(gaio_peer_addr(t.a, &ss), -ENOTCONN);
	ok(post_recv(t.a, 0, 10, 2));
	gaio_close_sock(t.a, 3);
	assert_int_equal(await(GAIO_RECV, t.a).status, -ECANCELED);
	assert_int_equal(await(GAIO_CLOSE, t.a).tag, 3);
}

static void test_refused(void **state)
{
	struct sockaddr_storage ss;

	(void)state;
	t.listener = sock_new(1);
	listen_any(t.listener, 0);
	ok(gaio_local_addr(t.listener, &ss));
	close_and_await(t.listener, 0);
	t.a = sock_new(2);
	ok(post_recv(t.a, 0, 10, 2));
	ok(gaio_connect(t.a, (struct sockaddr *)&ss, sizeof(struct sockaddr_in), 1));
	assert_int_equal(await(GAIO_CONNECT, t.a).status, -ECONNREFUSED);
	assert_int_equal(await(GAIO_RECV, t.a).status, -ECONNREFUSED);
	close_and_await(t.a, 0);
}

static int raw_connect_to(const struct sockaddr_storage *ss)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	ok(connect(fd, (const struct sockaddr *)ss, sizeof(struct sockaddr_in)));
	return fd;
}

static int raw_connect(struct gaio_sock *listener)
{
	struct sockaddr_storage ss;

	ok(gaio_local_addr(listener, &ss));
	return raw_connect_to(&ss);
}

/* Closes with a reset. */
static void raw_reset(int fd)
{
	const struct linger linger = { .l_onoff = 1 };

	ok(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(fd);
}

static void test_reset_by_peer(void **state)
{
	int fd;

	(void)state;
	t.listener = sock_new(1);
	listen_any(t.listener, 0);
	t.b = sock_new(2);
	ok(gaio_accept(t.listener, t.b, 1));
	fd = raw_connect(t.listener);
	ok(await(GAIO_ACCEPT, t.b).status);
	ok(post_recv(t.b, 0, 10, 2));
	ok(post_send(t.b, 0, 16 << 20, 3));
	expect_nothing();
	raw_reset(fd);
	assert_int_equal(await(GAIO_RECV, t.b).status, -ECONNRESET);
	assert_true(await(GAIO_SEND, t.b).status < 0);
	ok(post_send(t.b, 0, 10, 4));
	assert_true(await(GAIO_SEND, t.b).status < 0);
	close_and_await(t.b, 0);
}

static void test_cancel_by_close(void **state)
{
	struct gaio_sock *c;

	(void)state;
	connect_pair();
	ok(post_recv(t.a, 0, 10, 1));
	ok(post_send(t.a, 0, 16 << 20, 2));
	ok(post_send(t.a, 0, 16 << 20, 3));
	ok(gaio_shutdown(t.a, 4));
	expect_nothing();
	gaio_close_sock(t.a, 5);
	assert_int_equal(post_recv(t.a, 0, 10, 1), -EBADF);
	assert_int_equal(await(GAIO_RECV, t.a).status, -ECANCELED);
	for (int i = 2; i < 4; i++) {
		struct gaio_event e = await(GAIO_SEND, t.a);

		assert_int_equal(e.status, -ECANCELED);
		assert_int_equal(e.tag, i);
	}
	assert_int_equal(await(GAIO_SHUTDOWN, t.a).status, -ECANCELED);
	assert_int_equal(await(GAIO_CLOSE, t.a).tag, 5);
	expect_nothing();

	/* accepts end with their listener, or with their child */
	c = sock_new(4);
	t.a = sock_new(5);
	ok(post_recv(c, 0, 10, 6));
	ok(gaio_accept(t.listener, c, 7));
	ok(gaio_accept(t.listener, t.a, 8));
	expect_nothing();
	gaio_close_sock(c, 9);
	assert_int_equal(await(GAIO_ACCEPT, c).status, -ECANCELED);
	assert_int_equal(await(GAIO_RECV, c).status, -ECANCELED);
	await(GAIO_CLOSE, c);
	gaio_close_sock(t.listener, 10);
	assert_int_equal(await(GAIO_ACCEPT, t.a).status, -ECANCELED);
	await(GAIO_CLOSE, t.listener);
	close_and_await(t.a, 0);
	expect_nothing();
}

static void test_arguments(void **state)
{
	const struct gaio_socket_attr none = { 0 };
	const struct sockaddr_in in = { .sin_family = AF_INET };
	struct gaio_buf bufs[GAIO_BUFS_MAX + 1] = { 0 };
	struct gaio_queue *q;
	struct gaio_event e;
	struct gaio *io;
	const char *name;
	uint64_t value;
	unsigned i = 0;

	(void)state;
	assert_int_equal(gaio_open(&(struct gaio_attr){ .backend = "carrier pigeon" }, &io),
			 -ENOENT);
	assert_int_equal(gaio_open(NULL, NULL), -EINVAL);
	assert_int_equal(gaio_queue_create(t.io, 1 << 21, &q), -EINVAL);
	assert_int_equal(gaio_socket(t.io, &none, &t.a), -EINVAL);
	assert_int_equal(gaio_register(t.io, NULL, 1, GAIO_READ, &t.mem), -EINVAL);
	assert_int_equal(gaio_register(t.io, area, 1, 4, &t.mem), -EINVAL);
	assert_int_equal(gaio_take(t.q, &e, 0), -EINVAL);
	assert_int_equal(gaio_take(t.q, NULL, 1), -EINVAL);
	t.a = sock_new(1);
	assert_int_equal(gaio_queue_destroy(t.q), -EBUSY);
	assert_int_equal(gaio_recv(t.a, NULL, 1), -EINVAL);
	assert_int_equal(post_recv(t.a, 0, 0, 1), -EINVAL);
	assert_int_equal(gaio_send(t.a, bufs, 0, 0, 1), -EINVAL);
	assert_int_equal(gaio_send(t.a, bufs, GAIO_BUFS_MAX + 1, 0, 1), -EINVAL);
	assert_int_equal(gaio_send(t.a, bufs, 1, 0x80, 1), -EINVAL);
	bufs[0].len = bufs[1].len = SIZE_MAX / 2;
	assert_int_equal(gaio_send(t.a, bufs, 2, 0, 1), -EMSGSIZE);
	assert_int_equal(gaio_accept(t.a, t.a, 1), -EINVAL);
	t.b = sock_new(2);
	assert_int_equal(gaio_accept(t.a, t.b, 1), -EINVAL);
	assert_int_equal(gaio_listen(t.a, (const struct sockaddr *)&in, sizeof(in), 1, 0x80),
			 -EINVAL);
	assert_int_equal(gaio_connect(t.a, NULL, 0, 1), -EINVAL);
	while (!gaio_counter(t.io, i, &name, &value))
		i++;
	assert_true(i > 10);
	assert_int_equal(gaio_wait(NULL, 0), -EINVAL);
	close_and_await(t.a, 0);
	ok(gaio_queue_create(t.io, 0, &q));
	ok(gaio_queue_destroy(q));
}

/* ------------------------------------------------------------------------ queues */

static void test_several_queues(void **state)
{
	struct gaio_queue *accepts, *recvs, *sends, *closings;
	struct gaio_socket_attr attr = { 0 };
	struct gaio_event e[4];

	(void)state;
	ok(gaio_queue_create(t.io, 4, &accepts));
	ok(gaio_queue_create(t.io, 4, &recvs));
	ok(gaio_queue_create(t.io, 4, &sends));
	ok(gaio_queue_create(t.io, 4, &closings));
	attr = (struct gaio_socket_attr){ .recv = accepts, .context = 1 };
	ok(gaio_socket(t.io, &attr, &t.listener));
	attr = (struct gaio_socket_attr){ recvs, sends, closings, 2 };
	ok(gaio_socket(t.io, &attr, &t.a));
	ok(gaio_socket(t.io, &attr, &t.b));
	listen_any(t.listener, 0);
	ok(gaio_accept(t.listener, t.b, 1));
	connect_to(t.a, t.listener, 2);
	while (!gaio_waiting(accepts) || !gaio_waiting(sends))
		assert_true(gaio_wait(t.io, PATIENCE) > 0);
	assert_int_equal(gaio_take(accepts, e, 4), 1);
	assert_int_equal(e[0].op, GAIO_ACCEPT);
	assert_int_equal(gaio_take(sends, e, 4), 1);
	assert_int_equal(e[0].op, GAIO_CONNECT);
	ok(post_send(t.a, 0, 10, 3));
	ok(post_send(t.a, 0, 10, 4));
	ok(post_recv(t.b, 100, 10, 5));
	while (gaio_waiting(sends) < 2 || !gaio_waiting(recvs))
		assert_true(gaio_wait(t.io, PATIENCE) > 0);
	/* events that are left alone do not keep others from coming */
	assert_int_equal(gaio_take(recvs, e, 1), 1);
	ok(post_recv(t.b, 100, 10, 6));
	while (!gaio_waiting(recvs))
		assert_true(gaio_wait(t.io, PATIENCE) > 0);
	assert_int_equal(gaio_wait(t.io, 0), 2);
	/* nothing closes before the events have been taken */
	gaio_close_sock(t.a, 7);
	assert_int_equal(gaio_wait(t.io, 0), 2);
	assert_int_equal(gaio_take(sends, e, 1), 1);
	assert_int_equal(gaio_waiting(sends), 1);
	assert_int_equal(gaio_waiting(closings), 0);
	assert_int_equal(gaio_take(sends, e, 4), 1);
	assert_int_equal(gaio_waiting(closings), 1);
	assert_int_equal(gaio_take(closings, e, 4), 1);
	assert_int_equal(e[0].op, GAIO_CLOSE);
	assert_int_equal(e[0].tag, 7);
	assert_int_equal(gaio_queue_destroy(closings), -EBUSY);
	gaio_close_sock(t.b, 8);
	assert_int_equal(gaio_waiting(closings), 0);
	assert_int_equal(gaio_take(recvs, e, 4), 1);
	assert_int_equal(gaio_take(closings, e, 4), 1);
	ok(gaio_queue_destroy(closings));
	ok(gaio_queue_destroy(sends));
	assert_int_equal(gaio_wait(t.io, 1000), 0);
}

/* Small queues, many connections: nothing is lost. */
static void test_many_connections(void **state)
{
	enum { MANY = 1000 };
	static struct gaio_sock *client[MANY], *server[MANY];

	(void)state;
	t.listener = sock_new(0);
	listen_any(t.listener, 0);
	for (int i = 0; i < MANY; i++) {
		client[i] = sock_new(1000 + i);
		server[i] = sock_new(10000 + i);
		ok(gaio_accept(t.listener, server[i], i));
		ok(post_recv(server[i], i * 64, 32, i));
		connect_to(client[i], t.listener, i);
		if (i % 50 == 49 && gaio_wait(t.io, 0) > 0)
			keep_from(t.q);
	}
	for (int i = 0; i < MANY; i++) {
		ok(await(GAIO_CONNECT, client[i]).status);
		memset(area + (1 << 20) + i * 64, i, 32);
		ok(post_send(client[i], (1 << 20) + i * 64, 32, i));
	}
	for (int i = 0; i < MANY; i++) {
		struct gaio_event e = await(GAIO_RECV, server[i]);

		ok(e.status);
		assert_int_equal(e.len, 32);
		assert_int_equal(e.context, 10000 + i);
		ok(await(GAIO_SEND, client[i]).status);
		ok(await(GAIO_ACCEPT, server[i]).status);
	}
	for (int i = 0; i < MANY; i++) {
		gaio_close_sock(client[i], i);
		ok(post_recv(server[i], i * 64, 32, i));
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(await(GAIO_CLOSE, client[i]).tag, i);
		assert_int_equal(await(GAIO_RECV, server[i]).len, 0);
		gaio_close_sock(server[i], i);
	}
	for (int i = 0; i < MANY; i++)
		await(GAIO_CLOSE, server[i]);
	assert_int_equal(t.nkept, 0);
}

static void test_max_sockets(void **state)
{
	struct gaio_socket_attr attr = { 0 };
	struct gaio_sock *s[4];
	struct gaio_queue *q;
	struct gaio_event e;
	struct gaio *io;

	(void)state;
	ok(gaio_open(&(struct gaio_attr){ .backend = t.backend, .max_sockets = 3 }, &io));
	ok(gaio_queue_create(io, 0, &q));
	attr.send = q;
	for (int i = 0; i < 3; i++)
		ok(gaio_socket(io, &attr, &s[i]));
	assert_int_equal(gaio_socket(io, &attr, &s[3]), -ENOSPC);
	gaio_close_sock(s[0], 1);
	assert_int_equal(gaio_take(q, &e, 1), 1);
	ok(gaio_socket(io, &attr, &s[3]));
	gaio_close(io);
}

/* ------------------------------------------------------------------------- waiting */

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
	(void)signo;
	alarms = alarms + 1;
}

static void test_interrupted(void **state)
{
	const struct sigaction sa = { .sa_handler = on_alarm };
	struct sigaction old;
	timer_t timer;
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	const struct itimerspec when = { .it_value.tv_nsec = 20000000 };

	(void)state;
	connect_pair();
	ok(post_recv(t.a, 0, 10, 1));
	ok(sigaction(SIGALRM, &sa, &old));
	ok(timer_create(CLOCK_MONOTONIC, &how, &timer));
	alarms = 0;
	ok(timer_settime(timer, 0, &when, NULL));
	assert_int_equal(gaio_wait(t.io, -1), -EINTR);
	/* ThreadSanitizer runs handlers in those calls only that it knows */
	poll(NULL, 0, 1);
	assert_int_equal(alarms, 1);
	ok(timer_delete(timer));
	ok(sigaction(SIGALRM, &old, NULL));
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void test_time_out(void **state)
{
	int64_t start = now_us(), took;

	(void)state;
	assert_int_equal(gaio_wait(t.io, 30000), 0);
	took = now_us() - start;
	assert_true(took >= 30000 && took < 5 * SECOND);
	assert_int_equal(gaio_wait(t.io, 0), 0);
}

/* Closed with everything under way: the memory is the program's again, and nothing leaks. */
static void test_end_with_all_under_way(void **state)
{
	struct gaio_sock *c = sock_new(7), *l = sock_new(8);
	const struct sockaddr_in far = { .sin_family = AF_INET,
					 .sin_port = htons(9),
					 .sin_addr.s_addr = htonl(0xc0000201) };

	(void)state;
	connect_pair();
	ok(post_recv(t.a, 0, 10, 1));
	ok(post_recv(t.b, 10, 10, 1));
	ok(post_send(t.a, 0, 16 << 20, 2));
	ok(post_send(t.a, 0, 16 << 20, 2));
	ok(gaio_shutdown(t.a, 2));
	ok(gaio_accept(t.listener, l, 3));
	ok(gaio_connect(c, (const struct sockaddr *)&far, sizeof(far), 4));
	gaio_wait(t.io, 1000);
	gaio_close_sock(t.b, 5);
}

/* ------------------------------------------------------------------------- limits */

#define SPARE 20

/*
 * No descriptors: accepts wait, and go on when there are some again. The limit is lowered first, and then
 * reached: an accept that the kernel was asked for keeps the limit of that moment.
 */
static void test_no_descriptors(void **state)
{
	int fd, other, hold[SPARE + 1], n = 0;
	struct sockaddr_storage ss;
	struct rlimit limit, low;

	(void)state;
	ok(getrlimit(RLIMIT_NOFILE, &limit));
	low = limit;
	hold[0] = dup(0);
	low.rlim_cur = hold[0] + SPARE;
	close(hold[0]);
	ok(setrlimit(RLIMIT_NOFILE, &low));
	t.listener = sock_new(1);
	listen_any(t.listener, 0);
	t.b = sock_new(2);
	expect_nothing();
	ok(gaio_local_addr(t.listener, &ss));
	/* no calls in between: some back ends accept before they are asked to */
	fd = raw_connect_to(&ss);
	other = raw_connect_to(&ss);
	while (n <= SPARE && (hold[n] = dup(0)) >= 0)
		n++;
	assert_in_range(n, 3, SPARE);
	ok(gaio_accept(t.listener, t.b, 1));
	expect_nothing();
	/* in time, when somebody else has closed one */
	close(hold[--n]);
	ok(await(GAIO_ACCEPT, t.b).status);
	t.a = sock_new(3);
	ok(gaio_accept(t.listener, t.a, 1));
	expect_nothing();
	/* at once, when we have */
	gaio_close_sock(t.b, 1);
	ok(await(GAIO_ACCEPT, t.a).status);
	while (n)
		close(hold[--n]);
	ok(setrlimit(RLIMIT_NOFILE, &limit));
	close(fd);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)
		TEST(test_connect_and_exchange),
		TEST(test_receive_before_accept),
		TEST(test_pieces_and_two_sends),
		TEST(test_large_to_slow),
		TEST(test_unconnected),
		TEST(test_refused),
		TEST(test_reset_by_peer),
		TEST(test_cancel_by_close),
		TEST(test_arguments),
		TEST(test_several_queues),
		TEST(test_many_connections),
		TEST(test_max_sockets),
		TEST(test_interrupted),
		TEST(test_time_out),
		TEST(test_end_with_all_under_way),
		TEST(test_no_descriptors),
	};

	return run_backends(tests, sizeof(tests) / sizeof(tests[0]));
}
