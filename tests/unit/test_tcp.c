/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_tcp.c - the kernel TCP fabrics on real loopback sockets: "tcp", and with an argument that
 * names an owner, "uring"; and with "qstream" what else is a stream service: byte streams on queue
 * pairs, over iWARP over TCP (qtcp.h).
 *
 * Both ends of most connections live in one instance, driven by run_until(): turns, and between
 * them either a sleep without a time-out (so that a lost readiness hangs, and the alarm tells) or
 * spinning (so that the hot path is used).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "fabric/qstream/qstream.h"
#include "fabric/tcp_internal.h"
#include "tests/unit/qtcp.h"

#define WATCHDOG 100 /* seconds */
#define PAGE 4096

static const struct fab_stream_ops *ops = &tcp_ops;
static enum fab_owner owner = FAB_OWNER_ROAMS;
static struct fab_counters counters;
static struct timers timers;
static struct fab *fab;
static bool spin; /* do not sleep between turns */

static void no_log(void *arg, int level, const char *text)
{
	(void)arg;
	(void)level;
	(void)text;
}

static bool is_tcp(void)
{
	return ops != &qtcp_ops;
}

/* Then who listens by plain TCP refuses, and some descriptors are the device's. */
static bool is_device(void)
{
	return !strcmp(ops->name, "roce");
}

/* Reading without asking epoll would find by luck what an edge must tell. */
static void no_guesses(void)
{
	(is_tcp() ? fab : qtcp_below(fab))->hot_off = UINT32_MAX;
}

static int setup(void **state)
{
	struct fab_env env = {
		.owner = owner, .counters = &counters, .timers = &timers, .log = no_log
	};

	(void)state;
	alarm(WATCHDOG);
	memset(&counters, 0, sizeof(counters));
	timers_init(&timers);
	spin = false;
	srand(7);
	return ops->open(&env, &fab);
}

static int teardown(void **state)
{
	(void)state;
	ops->close(fab);
	timers_destroy(&timers);
	alarm(0);
	return 0;
}

/* ------------------------------------------------------------------ one end of a connection */

enum upcall {
	UP_CONNECTED,
	UP_TX_NEXT,
	UP_TX_DONE,
	UP_TX_FAULT,
	UP_RX_NEXT,
	UP_RX_DATA,
	UP_RX_NONE,
	UP_RX_FAULT,
	UP_RX_EOF,
	UP_FAILED,
	UP_COUNT
};

struct end {
	struct fab_conn *conn;
	bool connected, eof, failed, closed;
	int err;
	/* bytes to send, and what was sent */
	const uint8_t *tx;
	size_t tx_len, tx_off, tx_max; /* at most tx_max in one list; 0: all */
	int tx_faults;
	/* where to receive, and what came */
	uint8_t *rx;
	size_t rx_len, rx_off, rx_max;
	size_t named; /* bytes that rx_next gave out */
	int rx_faults, rx_nones;
	bool stop_often; /* refuse to read now and then */
	bool stopped;
	/* close from within the n-th upcall of this kind */
	enum upcall close_at;
	int close_in;
	bool close_armed;
};

static unsigned seen[UP_COUNT];

static void end_close(struct end *e, bool reset)
{
	assert_false(e->closed);
	e->closed = true;
	ops->conn_close(e->conn, reset);
}

/* At the start of every upcall: none may come after a close. Returns whether it closed now. */
static bool up(struct end *e, enum upcall what)
{
	assert_false(e->closed);
	seen[what]++;
	if (!e->close_armed || e->close_at != what || e->close_in-- > 0)
		return false;
	e->close_armed = false;
	end_close(e, rand() % 2);
	return true;
}

static void on_connected(void *user, int err)
{
	struct end *e = user;

	e->err = err;
	if (err) {
		e->closed = true;
		e->failed = true;
		return;
	}
	e->connected = true;
	up(e, UP_CONNECTED);
}

static int on_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct end *e = user;
	size_t left = e->tx_len - e->tx_off, at = e->tx_off;
	int cnt = 0;

	if (up(e, UP_TX_NEXT))
		return 0;
	if (e->tx_max && left > e->tx_max)
		left = e->tx_max;
	if (left > limit)
		left = limit;
	while (left && cnt < max) {
		size_t n = e->tx_max ? 1 + (size_t)rand() % left : left;

		iov[cnt++] = (struct iovec){ (void *)(uintptr_t)(e->tx + at), n };
		at += n;
		left -= n;
	}
	return cnt;
}

static void on_tx_done(void *user, size_t n)
{
	struct end *e = user;

	e->tx_off += n;
	assert_true(e->tx_off <= e->tx_len);
	if (!up(e, UP_TX_DONE) && e->tx_off < e->tx_len)
		ops->tx_want(e->conn);
}

static int on_tx_fault(void *user, int err)
{
	struct end *e = user;

	assert_int_equal(err, -EFAULT);
	e->tx_faults++;
	if (up(e, UP_TX_FAULT))
		return 0;
	e->tx_len = e->tx_off; /* dropped */
	return 0;
}

static int on_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct end *e = user;
	size_t left;
	int cnt = 0;

	assert_true(n <= e->named);
	e->rx_off += n;
	e->named = 0;
	if (up(e, n ? UP_RX_DATA : UP_RX_NEXT))
		return 1;
	left = e->rx_len - e->rx_off;
	if (!left || (e->stop_often && rand() % 4 == 0)) {
		e->stopped = true;
		return 0;
	}
	if (e->rx_max && left > e->rx_max)
		left = 1 + (size_t)rand() % e->rx_max;
	e->named = left;
	while (left && cnt < max) {
		size_t part = cnt == max - 1 || !e->rx_max ? left : 1 + (size_t)rand() % left;

		iov[cnt++] = (struct iovec){ e->rx + e->rx_off + e->named - left, part };
		left -= part;
	}
	return cnt;
}

static void on_rx_none(void *user)
{
	struct end *e = user;

	assert_true(e->named);
	e->named = 0;
	e->rx_nones++;
	up(e, UP_RX_NONE);
}

static int on_rx_fault(void *user, int err)
{
	struct end *e = user;

	assert_int_equal(err, -EFAULT);
	assert_true(e->named);
	e->named = 0;
	e->rx_faults++;
	if (up(e, UP_RX_FAULT))
		return 0;
	e->rx_len = e->rx_off;
	return 0;
}

static void on_rx_eof(void *user)
{
	struct end *e = user;

	assert_false(e->eof);
	e->eof = true;
	e->named = 0;
	up(e, UP_RX_EOF);
}

static void on_failed(void *user, int err)
{
	struct end *e = user;

	assert_false(e->failed);
	e->failed = true;
	e->err = err;
	e->named = 0;
	up(e, UP_FAILED);
}

static const struct fab_stream_user end_ops = {
	.connected = on_connected,
	.tx_next = on_tx_next,
	.tx_done = on_tx_done,
	.tx_fault = on_tx_fault,
	.rx_next = on_rx_next,
	.rx_none = on_rx_none,
	.rx_fault = on_rx_fault,
	.rx_eof = on_rx_eof,
	.failed = on_failed,
};

/* ------------------------------------------------------------------ driving */

static int turn(void)
{
	int done = timers_run(&timers, timer_now_ns());

	done += ops->progress(fab, FAB_TURN_COMPLETIONS);
	ops->flush(fab);
	return done;
}

/* Sleeps until something happens, without any time-out but that of the timers. */
static void sleep_now(void)
{
	uint64_t next = timers_next_ns(&timers), now = timer_now_ns();

	if (next == UINT64_MAX)
		ops->wait(fab, -1);
	else
		ops->wait(fab, next > now ? (int64_t)(next - now) : 0);
	ops->drain(fab);
}

#define run_until(cond)                                                                            \
	do {                                                                                       \
		while (!(cond)) {                                                                  \
			if (!turn() && !spin && !(cond))                                           \
				sleep_now();                                                       \
		}                                                                                  \
	} while (0)

static void turns(int n)
{
	while (n--)
		turn();
}

/* What was closed is gone: with TCP at once, as far as this process has to do with it. */
static void settle(void)
{
	if (!is_tcp())
		run_until(!qstream_lingering(qtcp_streams(fab)));
	if (is_device()) /* which looks for signs of life now and then */
		run_until(timers.count <= 1);
}

static union fab_addr loopback(int family, uint16_t port)
{
	union fab_addr a;

	memset(&a, 0, sizeof(a));
	a.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a.in.sin_port = htons(port);
	} else {
		a.in6.sin6_addr = in6addr_loopback;
		a.in6.sin6_port = htons(port);
	}
	return a;
}

/* ------------------------------------------------------------------ listeners */

struct door {
	struct fab_listener *l;
	union fab_addr addr;
	struct end *next[64]; /* the ends that accepted connections become, in order */
	int posted, taken;
	bool close_in_accept;
	bool gone;
};

static void on_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	struct door *d = user;
	struct end *e;

	assert_false(d->gone);
	assert_true(d->taken < d->posted);
	assert_true(!peer || fab_addr_len(peer) > 0);
	e = d->next[d->taken++ % 64];
	if (!e) {
		ops->conn_close(conn, false);
	} else {
		e->conn = conn;
		e->connected = true;
		ops->bind(conn, &end_ops, e);
		ops->rx_want(conn);
	}
	if (d->close_in_accept) {
		d->gone = true;
		ops->unlisten(d->l);
	}
}

static void on_listener_failed(void *user, int err)
{
	(void)user;
	fail_msg("listener: %d", err);
}

static const struct fab_listen_user door_ops = {
	.accepted = on_accepted,
	.failed = on_listener_failed,
};

static int do_listen(const union fab_addr *addr, int backlog, struct door *d,
		     struct fab_listener **out)
{
	const struct fab_listen_attr attr = { .addr = addr, .backlog = backlog };

	return ops->listen(fab, &attr, &door_ops, d, out);
}

static void door_open(struct door *d, int family)
{
	memset(d, 0, sizeof(*d));
	d->addr = loopback(family, 0);
	assert_int_equal(do_listen(&d->addr, 1024, d, &d->l), 0);
	assert_int_equal(ops->listener_addr(d->l, &d->addr), 0);
}

static void door_post(struct door *d, struct end *e)
{
	d->next[d->posted++ % 64] = e;
	assert_int_equal(ops->accept(d->l), 0);
}

static void end_connect(struct end *e, const union fab_addr *peer, uint64_t timeout_ns)
{
	struct fab_connect_attr attr = { .peer = peer, .timeout_ns = timeout_ns };

	assert_int_equal(ops->connect(fab, &attr, &end_ops, e, &e->conn), 0);
	assert_false(e->connected || e->failed);
}

/* A connected pair of ends; @b is the accepted one. */
static void pair_open(struct end *a, struct end *b, int family)
{
	struct door d;

	door_open(&d, family);
	door_post(&d, b);
	end_connect(a, &d.addr, 0);
	run_until(a->connected && b->connected);
	ops->unlisten(d.l);
}

/* A raw socket, for peers that misbehave. */
static int raw_connect(const union fab_addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &addr->sa, fab_addr_len(addr)), 0);
	return fd;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ------------------------------------------------------------------ data */

#define BULK (3u << 20)
static uint8_t source[BULK], sink_a[BULK], sink_b[BULK];

static void fill(uint32_t seed)
{
	for (size_t i = 0; i < BULK; i++) {
		seed = seed * 1664525 + 1013904223;
		source[i] = (uint8_t)(seed >> 24);
	}
	memset(sink_a, 0, BULK);
	memset(sink_b, 0, BULK);
}

static void resume(struct end *e)
{
	if (e->stopped && !e->eof && !e->failed) {
		e->stopped = false;
		ops->rx_want(e->conn);
	}
}

/* Both directions at once until all of it has arrived. */
static void exchange(struct end *a, struct end *b, size_t len)
{
	a->tx = b->tx = source;
	a->tx_len = b->tx_len = len;
	a->rx = sink_a;
	b->rx = sink_b;
	a->rx_len = b->rx_len = len;
	ops->rx_want(a->conn);
	ops->rx_want(b->conn);
	ops->tx_want(a->conn);
	ops->tx_want(b->conn);
	while (a->rx_off < len || b->rx_off < len) {
		int done = turn();

		if (a->stopped || b->stopped) {
			resume(a);
			resume(b);
		} else if (!done && !spin) {
			sleep_now();
		}
	}
	assert_memory_equal(sink_a, source, len);
	assert_memory_equal(sink_b, source, len);
	assert_int_equal(a->tx_off, len);
}

static void exchange_case(int family, size_t len, size_t tx_max, size_t rx_max, bool stop,
			  int sndbuf)
{
	struct end a = { .tx_max = tx_max, .rx_max = rx_max, .stop_often = stop };
	struct end b = a;

	fill((uint32_t)len);
	pair_open(&a, &b, family);
	if (sndbuf) {
		assert_int_equal(ops->set_option(a.conn, FAB_OPT_SNDBUF, sndbuf), 0);
		assert_int_equal(ops->set_option(b.conn, FAB_OPT_RCVBUF, sndbuf), 0);
	}
	exchange(&a, &b, len);
	end_close(&a, false);
	run_until(b.eof || b.failed || b.rx_off == b.rx_len);
	end_close(&b, false);
}

static void exchange_cases(int family)
{
	exchange_case(family, 1, 0, 0, false, 0);
	exchange_case(family, BULK, 0, 0, false, 0);
	exchange_case(family, BULK / 4, 5000, 3000, false, 0);
	exchange_case(family, BULK / 4, 70000, 300000, true, 0);
	exchange_case(family, BULK / 32, 0, 0, false, 4096);
	exchange_case(family, BULK / 64, 9000, 700, true, 4096);
}

static void test_exchange_v4(void **state)
{
	(void)state;
	exchange_cases(AF_INET);
	spin = true;
	exchange_cases(AF_INET);
	/* queue pairs say beforehand how much room there is */
	assert_true(counters.tx_short > 0 || !is_tcp());
}

static void test_exchange_v6(void **state)
{
	(void)state;
	exchange_cases(AF_INET6);
	spin = true;
	exchange_cases(AF_INET6);
}

/* More connections than can be hot, all busy. */
static void many_cases(void)
{
	enum { N = 12, LEN = 40000 };
	static struct end a[N], b[N];
	static uint8_t sink[N][LEN];
	struct door d;

	fill(3);
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	door_open(&d, AF_INET);
	for (int i = 0; i < N; i++) {
		a[i].tx = source;
		a[i].tx_len = LEN;
		a[i].tx_max = 300;
		b[i].rx = sink[i];
		b[i].rx_len = LEN;
		door_post(&d, &b[i]);
		end_connect(&a[i], &d.addr, 0);
		/* before there is a connection: it must be remembered */
		ops->tx_want(a[i].conn);
	}
	for (int i = 0; i < N; i++)
		run_until(b[i].rx_off == LEN);
	for (int i = 0; i < N; i++) {
		assert_memory_equal(sink[i], source, LEN);
		end_close(&a[i], false);
		end_close(&b[i], false);
	}
	ops->unlisten(d.l);
}

static void test_many(void **state)
{
	(void)state;
	many_cases();
	spin = true;
	many_cases();
}

/* ------------------------------------------------------------------ ends of connections */

static void test_half_close(void **state)
{
	struct end a = { .rx = sink_a, .rx_len = BULK }, b = { .rx = sink_b, .rx_len = BULK };

	(void)state;
	fill(1);
	pair_open(&a, &b, AF_INET);
	ops->rx_want(a.conn);
	assert_int_equal(ops->shutdown(a.conn), 0);
	run_until(b.eof);
	assert_false(a.eof);
	/* The other direction still works, and a sleeper is not woken for ever. */
	b.tx = source;
	b.tx_len = 100000;
	ops->tx_want(b.conn);
	run_until(a.rx_off == 100000);
	assert_memory_equal(sink_a, source, 100000);
	assert_int_equal(ops->shutdown(b.conn), 0);
	run_until(a.eof);
	assert_int_equal(counters.eofs, 2);
	turns(20);
	end_close(&a, false);
	end_close(&b, false);
}

/* After an end of stream nothing is ready: a wait ends by its time-out, not by the socket. */
static void test_half_close_is_quiet(void **state)
{
	struct end a = { .rx = sink_a, .rx_len = BULK }, b = { .rx = sink_b, .rx_len = BULK };
	uint64_t waits;

	(void)state;
	pair_open(&a, &b, AF_INET);
	assert_int_equal(ops->shutdown(a.conn), 0);
	run_until(b.eof);
	turns(20);
	waits = 0;
	for (uint64_t end = timer_now_ns() + 50000000; timer_now_ns() < end; waits++) {
		turn();
		ops->wait(fab, 50000000);
		ops->drain(fab);
	}
	assert_true(waits < 10);
	end_close(&a, false);
	end_close(&b, false);
}

static void test_reset(void **state)
{
	struct end a = { .rx = sink_a, .rx_len = 10 }, b = { .rx = sink_b, .rx_len = 10 };

	(void)state;
	pair_open(&a, &b, AF_INET);
	ops->rx_want(a.conn);
	end_close(&b, true);
	run_until(a.failed);
	assert_int_equal(a.err, -ECONNRESET);
	assert_int_equal(counters.resets, 1);
	turns(20);
	end_close(&a, false);
}

/* Data and the end behind it, announced by one edge: the short read must not be the last. */
static void test_eof_behind_data(void **state)
{
	struct end a = { .tx = source, .tx_len = 100 }, b = { 0 };

	(void)state;
	no_guesses();
	pair_open(&b, &a, AF_INET);
	ops->tx_now(a.conn);
	assert_int_equal(ops->shutdown(a.conn), 0);
	turns(20);
	b.rx = sink_b;
	b.rx_len = BULK;
	ops->rx_want(b.conn);
	run_until(b.eof);
	assert_int_equal(b.rx_off, 100);
	end_close(&a, false);
	end_close(&b, false);
}

/* A user that stops and wants again at once cannot keep the turn. */
static int want_again(void *user, size_t n, struct iovec *iov, int max)
{
	struct end *e = user;

	(void)n;
	(void)iov;
	(void)max;
	e->rx_nones++;
	ops->rx_want(e->conn);
	return 0;
}

static void test_want_from_within_stop(void **state)
{
	struct fab_stream_user restless = end_ops;
	struct end a = { .tx = source, .tx_len = 1 }, b = { 0 };

	(void)state;
	restless.rx_next = want_again;
	pair_open(&a, &b, AF_INET);
	ops->tx_now(a.conn);
	run_until(b.stopped);
	ops->bind(b.conn, &restless, &b);
	ops->rx_want(b.conn);
	turns(10);
	assert_int_equal(b.rx_nones, 10);
	end_close(&a, false);
	end_close(&b, false);
}

/* A reset behind an end of stream, with nothing to read or write, is noticed all the same. */
static void test_reset_after_eof(void **state)
{
	struct end a = { .rx = sink_a, .rx_len = 10 }, b = { .rx = sink_b, .rx_len = 10 };

	(void)state;
	pair_open(&a, &b, AF_INET);
	ops->rx_want(a.conn);
	assert_int_equal(ops->shutdown(b.conn), 0);
	run_until(a.eof);
	end_close(&b, true);
	run_until(a.failed);
	assert_true(a.err == -ECONNRESET || a.err == -EPIPE);
	end_close(&a, false);
}

/* The peer answers, closes without reading the request, and resets: the answer is still read. */
static void test_answer_before_reset(void **state)
{
	struct end a = { .rx = sink_a, .rx_len = 1000, .tx = source, .tx_len = 10 };
	struct door d;
	int fd;

	(void)state;
	fill(5);
	door_open(&d, AF_INET);
	door_post(&d, &a);
	fd = raw_connect(&d.addr);
	run_until(a.connected);
	ops->tx_now(a.conn); /* makes the peer's close a reset */
	assert_int_equal(a.tx_off, 10);
	assert_int_equal(write(fd, source, 500), 500);
	close(fd);
	a.tx_len = 20;
	ops->tx_want(a.conn);
	run_until(a.failed || a.eof);
	assert_int_equal(a.rx_off, 500);
	end_close(&a, false);
	ops->unlisten(d.l);
}

/* ------------------------------------------------------------------ connecting */

static void test_refused(void **state)
{
	struct end e[2] = { { 0 } };
	static const int family[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct door d;

		door_open(&d, family[i]);
		ops->unlisten(d.l);
		end_connect(&e[i], &d.addr, 0);
		run_until(e[i].failed);
		assert_int_equal(e[i].err, -ECONNREFUSED);
	}
	assert_int_equal(counters.connect_errors, 2);
	assert_int_equal(counters.connects, 0);
}

/* A listener whose queue is full does not answer. */
static void test_connect_timeout(void **state)
{
	union fab_addr addr = loopback(AF_INET, 0);
	socklen_t len = sizeof(addr);
	int l, fd[3];
	struct end e = { 0 }, dropped = { 0 };

	(void)state;
	if (is_device())
		skip();
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l, &addr.sa, fab_addr_len(&addr)), 0);
	assert_int_equal(listen(l, 0), 0);
	assert_int_equal(getsockname(l, &addr.sa, &len), 0);
	for (int i = 0; i < 3; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fd[i], &addr.sa, fab_addr_len(&addr));
	}
	end_connect(&e, &addr, 30000000);
	end_connect(&dropped, &addr, 10000000000);
	run_until(e.failed);
	assert_int_equal(e.err, -ETIMEDOUT);
	assert_int_equal(counters.connect_timeouts, 1);
	end_close(&dropped, false); /* while it is being made: no upcall */
	turns(20);
	assert_int_equal(timers.count, 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(l);
}

static void test_connect_local(void **state)
{
	union fab_addr local = loopback(AF_INET, 0), name, peer;
	struct fab_connect_attr attr = { .local = &local };
	struct end a = { 0 }, b = { 0 };
	struct door d;

	(void)state;
	door_open(&d, AF_INET);
	door_post(&d, &b);
	attr.peer = &d.addr;
	local.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 5);
	assert_int_equal(ops->connect(fab, &attr, &end_ops, &a, &a.conn), 0);
	run_until(a.connected && b.connected);
	assert_int_equal(ops->conn_addr(a.conn, &name, &peer), 0);
	assert_int_equal(name.in.sin_addr.s_addr, local.in.sin_addr.s_addr);
	assert_int_equal(peer.in.sin_port, d.addr.in.sin_port);
	assert_int_equal(ops->conn_addr(b.conn, NULL, &peer), 0);
	assert_int_equal(peer.in.sin_port, name.in.sin_port);
	end_close(&a, false);
	end_close(&b, false);
	ops->unlisten(d.l);
}

static void test_connect_bad_attr(void **state)
{
	union fab_addr peer = loopback(AF_INET, 9), local = loopback(AF_INET6, 0);
	struct fab_connect_attr attr = { .peer = &peer, .local = &local };
	struct end e = { 0 };
	int fds;

	(void)state;
	if (is_device()) /* streams are there when they are first asked for */
		ops->connect(fab, &attr, &end_ops, &e, &e.conn);
	fds = count_fds();
	assert_int_equal(ops->connect(fab, &attr, &end_ops, &e, &e.conn), -EAFNOSUPPORT);
	local = loopback(AF_INET, 0);
	local.in.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nobody's */
	assert_int_equal(ops->connect(fab, &attr, &end_ops, &e, &e.conn), -EADDRNOTAVAIL);
	peer.sa.sa_family = AF_UNIX;
	assert_int_equal(ops->connect(fab, &attr, &end_ops, &e, &e.conn), -EAFNOSUPPORT);
	assert_int_equal(count_fds(), fds);
}

static void test_options(void **state)
{
	struct end a = { 0 }, b = { 0 };
	int value = 0;

	(void)state;
	pair_open(&a, &b, AF_INET);
	assert_int_equal(ops->get_option(a.conn, FAB_OPT_NODELAY, &value), 0);
	assert_int_equal(value, 1);
	value = 0;
	assert_int_equal(ops->get_option(b.conn, FAB_OPT_NODELAY, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(ops->set_option(b.conn, FAB_OPT_KEEPALIVE, 1), 0);
	assert_int_equal(ops->get_option(b.conn, FAB_OPT_KEEPALIVE, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(ops->set_option(b.conn, FAB_OPT_SNDBUF, 8192), 0);
	assert_int_equal(ops->get_option(b.conn, FAB_OPT_SNDBUF, &value), 0);
	assert_true(value >= 8192);
	assert_int_equal(ops->set_option(b.conn, (enum fab_option)77, 1), -ENOPROTOOPT);
	assert_int_equal(ops->get_option(b.conn, (enum fab_option)77, &value), -ENOPROTOOPT);
	end_close(&a, false);
	end_close(&b, false);
}

/* ------------------------------------------------------------------ accepting */

static void test_accept_only_posted(void **state)
{
	struct end b[3] = { { 0 } };
	struct door d;
	int fd[4];

	(void)state;
	door_open(&d, AF_INET);
	for (int i = 0; i < 4; i++)
		fd[i] = raw_connect(&d.addr);
	turns(20);
	assert_int_equal(counters.accepts, 0);
	door_post(&d, &b[0]);
	door_post(&d, &b[1]);
	run_until(d.taken == 2);
	turns(20);
	assert_int_equal(counters.accepts, 2);
	/* The edge is long gone; the accept alone must do it. */
	door_post(&d, &b[2]);
	run_until(d.taken == 3);
	assert_int_equal(ops->unaccept(d.l, 1), 0);
	assert_int_equal(ops->accept(d.l), 0);
	assert_int_equal(ops->accept(d.l), 0);
	assert_int_equal(ops->unaccept(d.l, 1), 1);
	assert_int_equal(ops->unaccept(d.l, 7), 0);
	turns(20);
	assert_int_equal(counters.accepts, 3);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	for (int i = 0; i < 3; i++)
		end_close(&b[i], false);
	ops->unlisten(d.l);
}

/* The request is read in the turn that accepts it, without epoll. */
static void test_accept_and_read(void **state)
{
	struct end b = { .rx = sink_b, .rx_len = 100 };
	uint64_t ctl;
	struct door d;
	int fd;

	(void)state;
	door_open(&d, AF_INET);
	fd = raw_connect(&d.addr);
	assert_int_equal(write(fd, "request", 7), 7);
	turns(20);
	ctl = counters.sys_epoll_ctl + counters.sys_uring;
	door_post(&d, &b);
	turn();
	assert_int_equal(b.rx_off, 7);
	b.tx = (const uint8_t *)"answer";
	b.tx_len = 6;
	ops->tx_now(b.conn);
	end_close(&b, false);
	assert_int_equal(counters.sys_epoll_ctl + counters.sys_uring, ctl);
	close(fd);
	ops->unlisten(d.l);
}

static void test_unlisten_in_accept(void **state)
{
	struct end b = { 0 };
	struct door d;
	int fd[2];

	(void)state;
	door_open(&d, AF_INET);
	d.close_in_accept = true;
	fd[0] = raw_connect(&d.addr);
	fd[1] = raw_connect(&d.addr);
	door_post(&d, &b);
	door_post(&d, NULL);
	run_until(d.gone);
	turns(20);
	assert_int_equal(counters.accepts, 1);
	end_close(&b, false);
	close(fd[0]);
	close(fd[1]);
}

static void test_v6_and_v4_share_a_port(void **state)
{
	union fab_addr any6 = { .in6 = { .sin6_family = AF_INET6 } };
	union fab_addr any4 = { .in = { .sin_family = AF_INET } };
	struct door a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(do_listen(&any6, 8, &a, &a.l), 0);
	assert_int_equal(ops->listener_addr(a.l, &any6), 0);
	any4.in.sin_port = any6.in6.sin6_port;
	assert_int_equal(do_listen(&any4, 8, &b, &b.l), 0);
	ops->unlisten(b.l);
	/* In use: an error, and nothing is left behind. */
	assert_int_equal(do_listen(&any6, 8, &b, &b.l), -EADDRINUSE);
	any4.sa.sa_family = AF_UNIX;
	assert_int_equal(do_listen(&any4, 8, &b, &b.l), -EAFNOSUPPORT);
	ops->unlisten(a.l);
}

/* The limit such that no further descriptor can be made. */
static void limit_fds(struct rlimit *old)
{
	struct rlimit now;
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	/* the lowest free descriptor; everything above it is free, or it would not fail */
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
	now = *old;
	now.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void test_accept_without_descriptors(void **state)
{
	struct end spare_a = { 0 }, spare_b = { 0 }, b[2] = { { 0 } };
	struct rlimit old;
	struct door d;
	int fd[2];

	(void)state;
	pair_open(&spare_a, &spare_b, AF_INET);
	door_open(&d, AF_INET);
	fd[0] = raw_connect(&d.addr);
	fd[1] = raw_connect(&d.addr);
	limit_fds(&old);
	door_post(&d, &b[0]);
	door_post(&d, &b[1]);
	run_until(counters.accept_stalls);
	assert_int_equal(d.taken, 0);
	/* A descriptor of this fabric becomes free: at once, no timer. */
	end_close(&spare_a, false);
	assert_int_equal(timers.count, 0);
	turns(3); /* a ring is asked in one and answers in the next */
	assert_int_equal(d.taken, 1);
	assert_int_equal(timers.count, 1);
	/* One of another's: by the timer. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	run_until(d.taken == 2);
	assert_int_equal(timers.count, 0);
	end_close(&spare_b, false);
	end_close(&b[0], false);
	end_close(&b[1], false);
	close(fd[0]);
	close(fd[1]);
	ops->unlisten(d.l);
}

static void test_unlisten_while_stalled(void **state)
{
	struct rlimit old;
	struct door d;
	int fd;

	(void)state;
	door_open(&d, AF_INET);
	fd = raw_connect(&d.addr);
	limit_fds(&old);
	door_post(&d, NULL);
	run_until(counters.accept_stalls);
	assert_int_equal(ops->accept(d.l), 0);
	ops->unlisten(d.l);
	assert_int_equal(timers.count, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(fd);
}

/* Those that there are when a device is in use, and one connection is. */
static int count_fds_in_use(void)
{
	struct end a = { .rx = sink_a, .rx_len = 10 }, b = { .rx = sink_b, .rx_len = 10 };

	if (is_device()) {
		pair_open(&a, &b, AF_INET);
		end_close(&a, true);
		end_close(&b, true);
		settle();
		counters.accepts = 0;
	}
	return count_fds();
}

static void test_no_descriptor_is_left(void **state)
{
	int fds = count_fds_in_use();
	struct door d;

	(void)state;
	door_open(&d, AF_INET);
	for (int i = 0; i < 1000; i++) {
		struct end a = { .rx = sink_a, .rx_len = 10 };
		struct end b = { .rx = sink_b, .rx_len = 10 };

		door_post(&d, &b);
		end_connect(&a, &d.addr, i % 2 ? 1000000000 : 0);
		run_until(a.connected && b.connected);
		end_close(&a, i % 3);
		if (i % 5 == 0)
			run_until(b.eof || b.failed);
		end_close(&b, true);
	}
	ops->unlisten(d.l);
	settle();
	assert_int_equal(count_fds(), fds);
	assert_in_range(timers.count, 0, is_device());
	assert_int_equal(counters.accepts, 1000);
}

/* ------------------------------------------------------------------ memory that faults */

/* @good readable pages followed by one that is not. */
static uint8_t *pages(size_t good)
{
	uint8_t *p = mmap(NULL, (good + 1) * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	memset(p, 0x5a, good * PAGE);
	assert_int_equal(mprotect(p + good * PAGE, PAGE, PROT_NONE), 0);
	return p;
}

static void test_tx_fault(void **state)
{
	(void)state;
	for (size_t good = 0; good < 30; good += 7) {
		struct end a = { 0 }, b = { .rx = sink_b, .rx_len = BULK };
		uint8_t *bad = pages(good);

		pair_open(&a, &b, AF_INET);
		a.tx = bad;
		a.tx_len = (good + 1) * PAGE;
		ops->tx_want(a.conn);
		run_until(a.tx_faults);
		assert_true(a.tx_off <= good * PAGE);
		/* Only what faulted failed. */
		a.tx = source;
		a.tx_off = 0;
		a.tx_len = 100;
		b.rx_len = b.rx_off + 100;
		b.rx_len = BULK;
		ops->tx_want(a.conn);
		run_until(a.tx_off == 100);
		end_close(&a, false);
		run_until(b.eof);
		end_close(&b, false);
		munmap(bad, (good + 1) * PAGE);
	}
}

static void rx_fault_case(size_t good, size_t len, size_t chunk)
{
	struct end a = { .tx = source, .tx_len = len, .tx_max = chunk }, b = { 0 };
	uint8_t *bad = pages(good);

	/* the reader connects: it is in the epoll set from the beginning */
	pair_open(&b, &a, AF_INET);
	b.rx = bad;
	b.rx_len = (good + 1) * PAGE;
	/* all of it lies in the kernel before it is read */
	ops->tx_want(a.conn);
	run_until(a.tx_off == a.tx_len);
	ops->rx_want(b.conn);
	run_until(b.rx_faults);
	assert_true(b.rx_off <= good * PAGE);
	/* What could not be placed there is not lost. */
	b.rx = sink_b;
	b.rx_len = len;
	ops->rx_want(b.conn);
	run_until(b.rx_off == len);
	end_close(&a, false);
	end_close(&b, false);
	munmap(bad, (good + 1) * PAGE);
}

static void test_rx_fault(void **state)
{
	(void)state;
	fill(9);
	no_guesses();
	rx_fault_case(0, 1000, 0);
	rx_fault_case(1, 2 * PAGE, 0);
	rx_fault_case(8, 9 * PAGE, 0);
	rx_fault_case(8, 9 * PAGE, 3000);
	rx_fault_case(30, 40 * PAGE, 0);
}

static int refuse_fault(void *user, int err)
{
	(void)user;
	return err;
}

static void test_fault_fails_connection(void **state)
{
	struct fab_stream_user strict = end_ops;
	struct end a = { .tx_len = 10 }, b = { .rx_len = 10 };
	uint8_t *bad = pages(0);

	(void)state;
	strict.tx_fault = refuse_fault;
	strict.rx_fault = refuse_fault;
	pair_open(&a, &b, AF_INET);
	ops->bind(a.conn, &strict, &a);
	ops->bind(b.conn, &strict, &b);
	b.rx = bad;
	ops->rx_want(b.conn);
	a.tx = source;
	ops->tx_want(a.conn);
	run_until(b.failed);
	assert_int_equal(b.err, -EFAULT);
	a.tx = bad;
	a.tx_len = 20;
	ops->tx_now(a.conn);
	assert_true(a.failed);
	assert_int_equal(a.err, -EFAULT);
	end_close(&a, false);
	end_close(&b, false);
	munmap(bad, PAGE);
}

/* ------------------------------------------------------------------ sleeping */

static void *kicker(void *arg)
{
	(void)arg;
	usleep(1000);
	ops->kick(fab);
	return NULL;
}

static void test_kick(void **state)
{
	pthread_t thread;

	(void)state;
	/* Before the wait, and twice. */
	ops->kick(fab);
	ops->kick(fab);
	assert_int_equal(ops->wait(fab, -1), 0);
	ops->drain(fab);
	assert_int_equal(ops->wait(fab, 0), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pthread_create(&thread, NULL, kicker, NULL), 0);
		ops->wait(fab, -1);
		ops->drain(fab);
		pthread_join(thread, NULL);
	}
	assert_int_equal(counters.sys_kick, 102);
}

/* What woke the sleeper is still there, however often it sleeps before the turn. */
static void test_wait_consumes_nothing(void **state)
{
	struct end a = { .tx = source, .tx_len = 100 }, b = { .rx = sink_b, .rx_len = 100 };

	(void)state;
	pair_open(&a, &b, AF_INET);
	turns(20);
	ops->tx_now(a.conn);
	for (int i = 0; i < 5; i++)
		ops->wait(fab, -1);
	run_until(b.rx_off == 100);
	end_close(&a, false);
	end_close(&b, false);
}

/* Reading stopped with data in the kernel, its edge used up: rx_want alone ends a sleep. */
static void test_rx_want_ends_wait(void **state)
{
	struct end a = { .tx = source, .tx_len = 100 }, b = { .rx = sink_b };

	(void)state;
	pair_open(&a, &b, AF_INET);
	ops->tx_now(a.conn);
	run_until(b.stopped);
	turns(20);
	b.rx_len = 100;
	ops->rx_want(b.conn);
	ops->wait(fab, -1);
	run_until(b.rx_off == 100);
	end_close(&a, false);
	end_close(&b, false);
}

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;

static void *late_rx_want(void *arg)
{
	struct end *b = arg;

	usleep(1000);
	pthread_mutex_lock(&turn_lock);
	b->rx_len += 100;
	ops->rx_want(b->conn);
	pthread_mutex_unlock(&turn_lock);
	return NULL;
}

/* The same from another thread, while the sleeper sleeps already (or is just about to). */
static void test_rx_want_wakes_sleeper(void **state)
{
	struct end a = { .tx = source, .tx_len = 10000 }, b = { .rx = sink_b };
	pthread_t thread;

	(void)state;
	pair_open(&a, &b, AF_INET);
	ops->tx_now(a.conn);
	run_until(b.stopped);
	for (int i = 1; i <= 100; i++) {
		assert_int_equal(pthread_create(&thread, NULL, late_rx_want, &b), 0);
		for (;;) {
			pthread_mutex_lock(&turn_lock);
			turn();
			pthread_mutex_unlock(&turn_lock);
			if (b.rx_off == (size_t)i * 100)
				break;
			ops->wait(fab, -1);
			ops->drain(fab);
		}
		pthread_join(thread, NULL);
	}
	end_close(&a, false);
	end_close(&b, false);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void test_wait_fd(void **state)
{
	struct end a = { .tx = source, .tx_len = 100 }, b = { .rx = sink_b, .rx_len = 10 };
	int fd = ops->wait_fd(fab);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ops->wait_fd(fab), fd);
	pair_open(&a, &b, AF_INET);
	turns(20);
	assert_false(readable(fd, 0));
	ops->kick(fab);
	assert_true(readable(fd, -1));
	ops->wait(fab, 0);
	ops->drain(fab);
	turn();
	assert_false(readable(fd, 0));
	/* Data of which most is not wanted yet: an edge, which the turn takes, and then nothing. */
	ops->tx_now(a.conn);
	assert_true(readable(fd, -1));
	run_until(b.stopped);
	turns(20);
	assert_false(readable(fd, 0));
	/* Work that epoll does not know of. */
	b.rx_len = 60;
	ops->rx_want(b.conn);
	assert_true(readable(fd, 0));
	run_until(b.rx_off == 60);
	turns(20);
	assert_false(readable(fd, 0));
	end_close(&a, false);
	end_close(&b, false);
}

/* ------------------------------------------------------------------ what a poll costs */

static void test_idle_poll_is_one_read(void **state)
{
	struct end a = { .tx = source, .tx_len = 100 }, b = { .rx = sink_b, .rx_len = BULK };
	uint64_t reads;

	(void)state;
	if (ops != &tcp_ops)
		skip();
	pair_open(&a, &b, AF_INET);
	turns(20);
	ops->tx_now(a.conn);
	spin = true;
	run_until(b.rx_off == 100);
	turns(20);
	reads = counters.sys_read;
	counters.sys_epoll_wait = 0;
	turns(800);
	assert_int_equal(counters.sys_read - reads, 800);
	/* More when the machine is so slow that the clock asks for it. */
	assert_true(counters.sys_epoll_wait >= 100);
	end_close(&a, false);
	end_close(&b, false);
}

/* What a ring has is seen in memory. */
static void test_idle_poll_is_free(void **state)
{
	struct end a = { .tx = source, .tx_len = 100 }, b = { .rx = sink_b, .rx_len = BULK };
	uint64_t calls;

	(void)state;
	if (ops == &tcp_ops)
		skip();
	pair_open(&a, &b, AF_INET);
	turns(20);
	ops->tx_now(a.conn);
	spin = true;
	run_until(b.rx_off == 100);
	turns(20);
	calls = counters.sys_read + counters.sys_uring + counters.sys_other;
	turns(800);
	assert_int_equal(counters.sys_read + counters.sys_uring + counters.sys_other, calls);
	end_close(&a, false);
	end_close(&b, false);
}

/* Several that were hot and fell silent: epoll instead, one call a turn. */
static void test_idle_poll_of_several(void **state)
{
	enum { N = 3 };
	struct end a[N] = { { 0 } }, b[N] = { { 0 } };
	uint64_t reads, waits;

	(void)state;
	if (ops != &tcp_ops)
		skip();
	for (int i = 0; i < N; i++) {
		pair_open(&a[i], &b[i], AF_INET);
		b[i].rx = sink_b;
		b[i].rx_len = BULK;
		ops->rx_want(b[i].conn);
		a[i].tx = source;
		a[i].tx_len = 100;
	}
	turns(20);
	for (int i = 0; i < N; i++)
		ops->tx_now(a[i].conn);
	spin = true;
	for (int i = 0; i < N; i++)
		run_until(b[i].rx_off == 100);
	turns(100);
	reads = counters.sys_read;
	waits = counters.sys_epoll_wait;
	turns(100);
	assert_int_equal(counters.sys_read, reads);
	assert_int_equal(counters.sys_epoll_wait - waits, 100);
	for (int i = 0; i < N; i++) {
		end_close(&a[i], false);
		end_close(&b[i], false);
	}
}

static void test_one_write_per_flush(void **state)
{
	struct end a = { .tx = source, .tx_max = 1000 }, b = { .rx = sink_b, .rx_len = BULK };

	(void)state;
	pair_open(&a, &b, AF_INET);
	turns(20);
	counters.sys_write = 0;
	a.tx_len = 1000; /* in several entries */
	for (int i = 0; i < 50; i++)
		ops->tx_want(a.conn);
	ops->flush(fab);
	ops->flush(fab);
	assert_int_equal(counters.sys_write, 1);
	assert_int_equal(a.tx_off, 1000);
	run_until(b.rx_off == 1000);
	end_close(&a, false);
	end_close(&b, false);
}

/* ------------------------------------------------------------------ closing inside upcalls */

static void arm_close(struct end *e)
{
	e->close_armed = rand() % 3;
	e->close_at = (enum upcall)(rand() % UP_COUNT);
	e->close_in = rand() % 3;
}

static void chaos_end(struct end *e, uint8_t *bad)
{
	memset(e, 0, sizeof(*e));
	e->tx = rand() % 4 ? source : bad;
	e->tx_len = 1 + (size_t)rand() % (2 * PAGE);
	e->tx_max = (size_t)(rand() % 2) * 3000;
	e->rx = rand() % 4 ? sink_a : bad;
	e->rx_len = 2 * PAGE;
	e->rx_max = (size_t)(rand() % 2) * 3000;
	e->stop_often = rand() % 2;
	arm_close(e);
}

static void chaos_step(struct end *e)
{
	if (e->closed || !e->connected)
		return;
	switch (rand() % 6) {
	case 0:
		ops->tx_now(e->conn);
		break;
	case 1:
		ops->tx_want(e->conn);
		break;
	case 2:
	case 3:
		resume(e);
		break;
	case 4:
		if (rand() % 16 == 0)
			ops->shutdown(e->conn);
		break;
	default:
		break;
	}
}

static void chaos_round(struct door *d, uint8_t *bad)
{
	enum { N = 6 };
	static struct end e[2 * N];

	for (int i = 0; i < 2 * N; i++)
		chaos_end(&e[i], bad);
	for (int i = 0; i < N; i++) {
		door_post(d, &e[N + i]);
		end_connect(&e[i], &d->addr, 0);
		ops->rx_want(e[i].conn);
		ops->tx_want(e[i].conn);
	}
	for (int i = 0; i < 40; i++) {
		turn();
		for (int k = 0; k < 2 * N; k++)
			chaos_step(&e[k]);
	}
	/* with a device, one whose dialler has left is not accepted */
	run_until(d->taken == d->posted || (is_device() && timers.count <= 1));
	ops->unaccept(d->l, d->posted - d->taken);
	d->posted = d->taken;
	for (int i = 0; i < 2 * N; i++) {
		if (!e[i].closed && e[i].conn)
			end_close(&e[i], false);
	}
}

static void test_close_in_every_upcall(void **state)
{
	uint8_t *bad = pages(1);
	int fds = count_fds_in_use();
	struct door d;

	(void)state;
	memset(seen, 0, sizeof(seen));
	door_open(&d, AF_INET);
	for (int i = 0; i < 300; i++)
		chaos_round(&d, bad);
	ops->unlisten(d.l);
	settle();
	for (int i = 0; i < UP_COUNT; i++)
		assert_true(seen[i] > 0);
	assert_int_equal(count_fds(), fds);
	assert_in_range(timers.count, 0, is_device());
	munmap(bad, 2 * PAGE);
}

/* ------------------------------------------------------------------ rings and threads */

static void count_log(void *arg, int level, const char *text)
{
	(void)level;
	assert_non_null(strstr(text, "a ring cannot change owners"));
	++*(int *)arg;
}

static void test_ring_owners(void **state)
{
	int logged = 0;
	struct fab_env env = { .owner = FAB_OWNER_ROAMS,
			       .counters = &counters,
			       .timers = &timers,
			       .arg = &logged,
			       .log = count_log };
	struct fab *none;

	(void)state;
	assert_int_equal(uring_ops.open(&env, &none), -EOPNOTSUPP);
	assert_int_equal(logged, 1);
}

static void count_words(void *arg, int level, const char *text)
{
	(void)level;
	(void)text;
	++*(int *)arg;
}

static void *thread_that_listens(void *arg)
{
	struct fab *its = arg;
	union fab_addr addr = { .in = { .sin_family = AF_INET } };
	struct fab_listen_attr attr = { .addr = &addr, .backlog = 1 };
	struct fab_listener *l;

	if (ops->listen(its, &attr, &door_ops, NULL, &l))
		return NULL;
	ops->progress(its, 1);
	ops->flush(its);
	return l;
}

/* The thread that had the ring is gone when the instance is closed: that is as it should be. */
static void test_close_by_another(void **state)
{
	int logged = 0;
	struct fab_env env = { .owner = FAB_OWNER_THREAD,
			       .counters = &counters,
			       .timers = &timers,
			       .arg = &logged,
			       .log = count_words };
	pthread_t thread;
	struct fab *its;
	void *l;

	(void)state;
	assert_int_equal(ops->open(&env, &its), 0);
	assert_int_equal(pthread_create(&thread, NULL, thread_that_listens, its), 0);
	pthread_join(thread, &l);
	assert_non_null(l);
	ops->unlisten(l);
	ops->close(its);
	assert_int_equal(logged, 0);
}

/* Does the turns that register @arg's connection, if they are any thread's, and ends. */
static void *reader_that_ends(void *arg)
{
	struct end *b = arg;

	ops->rx_want(b->conn);
	if (owner == FAB_OWNER_CALLS || owner == FAB_OWNER_ROAMS)
		turns(20);
	return NULL;
}

/* The thread that had the kernel watch a connection is gone when data come. */
static void test_threads_end(void **state)
{
	struct end a = { .tx = source }, b = { .rx = sink_b, .rx_len = BULK };
	pthread_t thread;
	struct door d;

	(void)state;
	if (owner == FAB_OWNER_SINGLE)
		skip();
	door_open(&d, AF_INET);
	for (int i = 0; i < 50; i++) {
		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		a.tx = source;
		a.tx_len = 100;
		b.rx = sink_b;
		b.rx_len = BULK;
		door_post(&d, &b);
		end_connect(&a, &d.addr, 0);
		run_until(a.connected && b.connected);
		assert_int_equal(pthread_create(&thread, NULL, reader_that_ends, &b), 0);
		pthread_join(thread, NULL);
		ops->tx_now(a.conn);
		run_until(b.rx_off == 100);
		end_close(&a, false);
		end_close(&b, i % 2);
	}
	ops->unlisten(d.l);
}

static struct {
	struct door door;
	struct end a, b;
} theirs;

/* Everything but progress, flush and wait. */
static void *caller(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&turn_lock);
	door_open(&theirs.door, AF_INET);
	door_post(&theirs.door, &theirs.b);
	end_connect(&theirs.a, &theirs.door.addr, 0);
	ops->tx_want(theirs.a.conn);
	pthread_mutex_unlock(&turn_lock);
	usleep(1000);
	pthread_mutex_lock(&turn_lock);
	theirs.a.tx_len += 100;
	if (theirs.a.connected)
		ops->tx_now(theirs.a.conn);
	else
		ops->tx_want(theirs.a.conn);
	pthread_mutex_unlock(&turn_lock);
	return NULL;
}

static void *closer(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&turn_lock);
	end_close(&theirs.a, false);
	ops->unlisten(theirs.door.l);
	pthread_mutex_unlock(&turn_lock);
	return NULL;
}

#define run_locked_until(cond)                                                                     \
	do {                                                                                       \
		for (;;) {                                                                         \
			bool done;                                                                 \
                                                                                                   \
			pthread_mutex_lock(&turn_lock);                                            \
			turn();                                                                    \
			done = (cond);                                                             \
			pthread_mutex_unlock(&turn_lock);                                          \
			if (done)                                                                  \
				break;                                                             \
			ops->wait(fab, -1);                                                        \
			ops->drain(fab);                                                           \
		}                                                                                  \
	} while (0)

/* One thread has the turns; the others' calls end its sleep where they must. */
static void test_calls_of_others(void **state)
{
	pthread_t thread;

	(void)state;
	if (owner == FAB_OWNER_SINGLE)
		skip();
	for (int i = 0; i < 100; i++) {
		memset(&theirs, 0, sizeof(theirs));
		theirs.a.tx = source;
		theirs.a.tx_len = 100;
		theirs.b.rx = sink_b;
		theirs.b.rx_len = BULK;
		assert_int_equal(pthread_create(&thread, NULL, caller, NULL), 0);
		run_locked_until(theirs.b.rx_off == 200);
		pthread_join(thread, NULL);
		assert_int_equal(pthread_create(&thread, NULL, closer, NULL), 0);
		run_locked_until(theirs.b.eof);
		pthread_join(thread, NULL);
		end_close(&theirs.b, false);
	}
}

/* ------------------------------------------------------------------ the registry */

static void test_unknown_fabric(void **state)
{
	struct fab_env env = { .counters = &counters, .timers = &timers };
	struct fab_msg_attr attr = { .fpdu_max = 65536 };
	struct fabric f;

	(void)state;
	assert_int_equal(fabric_open("carrier pigeon", &env, &attr, &f), -ENOENT);
	assert_int_equal(fabric_open("uring", &env, &attr, &f), -EOPNOTSUPP);
	assert_int_equal(fabric_open("auto", &env, &attr, &f), 0);
	assert_string_equal(f.name, "tcp");
	assert_non_null(strstr(f.why, "io_uring"));
	fabric_close(&f);
	env.owner = FAB_OWNER_SINGLE;
	assert_int_equal(fabric_open(NULL, &env, &attr, &f), 0);
	assert_string_equal(f.name, uring_why_not() ? "tcp" : "uring");
	fabric_close(&f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* "single", "calls" or "thread": an io_uring, and whose. False: there is none here. */
static bool choose_ring(const char *name)
{
	const struct fab_env env = { .owner = FAB_OWNER_SINGLE,
				     .counters = &counters,
				     .timers = &timers };

	ops = &uring_ops;
	owner = !strcmp(name, "calls")    ? FAB_OWNER_CALLS
		: !strcmp(name, "thread") ? FAB_OWNER_THREAD
					  : FAB_OWNER_SINGLE;
	if (ops->open(&env, &fab))
		return false;
	ops->close(fab);
	return true;
}

/* What any stream service does. */
#define EVERY_STREAM                                                                               \
	TEST(test_exchange_v4), TEST(test_exchange_v6), TEST(test_many), TEST(test_half_close),    \
		TEST(test_half_close_is_quiet), TEST(test_reset), TEST(test_eof_behind_data),      \
		TEST(test_want_from_within_stop), TEST(test_reset_after_eof), TEST(test_refused),  \
		TEST(test_connect_timeout), TEST(test_connect_local), TEST(test_connect_bad_attr), \
		TEST(test_options), TEST(test_v6_and_v4_share_a_port),                             \
		TEST(test_no_descriptor_is_left), TEST(test_tx_fault), TEST(test_rx_fault),        \
		TEST(test_fault_fails_connection), TEST(test_kick),                                \
		TEST(test_wait_consumes_nothing), TEST(test_rx_want_ends_wait),                    \
		TEST(test_rx_want_wakes_sleeper), TEST(test_wait_fd),                              \
		TEST(test_one_write_per_flush), TEST(test_close_in_every_upcall),                  \
		TEST(test_threads_end), TEST(test_calls_of_others)

static int run_qstream(void)
{
	const struct CMUnitTest tests[] = { EVERY_STREAM };

	ops = &qtcp_ops;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		EVERY_STREAM,
		TEST(test_answer_before_reset),
		TEST(test_accept_only_posted),
		TEST(test_accept_and_read),
		TEST(test_unlisten_in_accept),
		TEST(test_accept_without_descriptors),
		TEST(test_unlisten_while_stalled),
		TEST(test_idle_poll_is_one_read),
		TEST(test_idle_poll_is_free),
		TEST(test_idle_poll_of_several),
		TEST(test_ring_owners),
		TEST(test_close_by_another),
		TEST(test_unknown_fabric),
	};

	if (argc > 1 && !strcmp(argv[1], "qstream"))
		return run_qstream();
	if (argc > 1 && !choose_ring(argv[1])) {
		puts("skipped: io_uring cannot be had here");
		return 77;
	}
	/* a ring does not know the family; and the exchange takes its time */
	if (argc > 1)
		cmocka_set_skip_filter("test_exchange_v6");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
