/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_both.c - two wires as one fabric: kernel TCP, and TCP again in the place of a wire with devices.
 *
 * The server is two wires; so is the client, and its path says which of them it goes over. Both ends
 * are driven from one thread, each by its own turns, with sleeps without a time-out in between, so that
 * a lost readiness hangs, and the alarm tells.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/second_wire.h"

#define WATCHDOG 100 /* seconds */
#define BULK (1 << 20)

static struct fab_counters counters;
static struct timers timers;
static struct fabric fabric;
static unsigned path; /* of the next connects */
static char logged[512];

static unsigned by_path(const struct fab_connect_attr *attr)
{
	(void)attr;
	return path;
}

static const struct both pair = { { &first_wire, &second_wire }, by_path };

static void take_log(void *arg, int level, const char *text)
{
	(void)arg;
	assert_int_equal(level, FAB_LOG_WARN);
	strncpy(logged, text, sizeof(logged) - 1);
}

static size_t no_room(void *arg)
{
	(void)arg;
	return 0;
}

static void *no_buf(void *arg, size_t len)
{
	(void)arg;
	(void)len;
	return NULL;
}

static void no_put(void *arg, void *buf)
{
	(void)arg;
	(void)buf;
}

static const struct fab_env env = {
	.owner = FAB_OWNER_ROAMS,
	.counters = &counters,
	.timers = &timers,
	.buf_room = no_room,
	.buf_get = no_buf,
	.buf_put = no_put,
	.log = take_log,
};

static int setup(void **state)
{
	struct fab_msg_attr attr = {
		.fpdu_max = 65000, .handshake_ns = 1000000000, .ord = 1, .ird = 1
	};

	(void)state;
	alarm(WATCHDOG);
	memset(&counters, 0, sizeof(counters));
	memset(logged, 0, sizeof(logged));
	memset(&second_wire_refuses, 0, sizeof(second_wire_refuses));
	timers_init(&timers);
	path = 0;
	return both_open(&pair, &env, &attr, &fabric);
}

static int teardown(void **state)
{
	(void)state;
	fabric.msg->close(fabric.m);
	fabric.stream->close(fabric.fab);
	timers_destroy(&timers);
	alarm(0);
	return 0;
}

static int turn(void)
{
	int done = timers_run(&timers, timer_now_ns());

	done += fabric.stream->progress(fabric.fab, FAB_TURN_COMPLETIONS);
	fabric.stream->flush(fabric.fab);
	return done;
}

static void sleep_now(void)
{
	uint64_t next = timers_next_ns(&timers), now = timer_now_ns();

	if (next == UINT64_MAX)
		fabric.stream->wait(fabric.fab, -1);
	else
		fabric.stream->wait(fabric.fab, next > now ? (int64_t)(next - now) : 0);
	fabric.stream->drain(fabric.fab);
}

#define run_until(cond)                                                                            \
	do {                                                                                       \
		while (!(cond)) {                                                                  \
			if (!turn() && !(cond))                                                    \
				sleep_now();                                                       \
		}                                                                                  \
	} while (0)

/* Long enough for whatever is under way in the kernel's loopback. */
static void turns_for(int ms)
{
	uint64_t end = timer_now_ns() + (uint64_t)ms * 1000000;

	while (timer_now_ns() < end)
		turn();
}

static union fab_addr loopback(uint16_t port)
{
	union fab_addr a = { .in = { .sin_family = AF_INET, .sin_port = htons(port) } };

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* ---------------------------------------------------------------- one end of a stream */

struct end {
	struct fab_conn *conn;
	bool connected, eof, failed, closed;
	int err;
	const uint8_t *tx;
	size_t tx_len, tx_off;
	uint8_t *rx;
	size_t rx_len, rx_off;
};

static void end_close(struct end *e, bool reset)
{
	assert_false(e->closed);
	e->closed = true;
	fabric.stream->conn_close(e->conn, reset);
}

static void on_connected(void *user, int err)
{
	struct end *e = user;

	e->err = err;
	e->connected = !err;
	e->failed = e->closed = err != 0;
}

static int on_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct end *e = user;

	(void)max;
	assert_false(e->closed);
	iov[0].iov_base = (void *)(uintptr_t)(e->tx + e->tx_off);
	iov[0].iov_len = e->tx_len - e->tx_off < limit ? e->tx_len - e->tx_off : limit;
	return iov[0].iov_len ? 1 : 0;
}

static void on_tx_done(void *user, size_t n)
{
	struct end *e = user;

	assert_false(e->closed);
	e->tx_off += n;
	if (e->tx_off < e->tx_len)
		fabric.stream->tx_want(e->conn);
}

static int on_fault(void *user, int err)
{
	(void)user;
	return err;
}

static int on_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct end *e = user;

	(void)max;
	assert_false(e->closed);
	e->rx_off += n;
	iov[0].iov_base = e->rx + e->rx_off;
	iov[0].iov_len = e->rx_len - e->rx_off;
	return iov[0].iov_len ? 1 : 0;
}

static void on_rx_none(void *user)
{
	assert_false(((struct end *)user)->closed);
}

static void on_rx_eof(void *user)
{
	struct end *e = user;

	assert_false(e->closed);
	e->eof = true;
}

static void on_failed(void *user, int err)
{
	struct end *e = user;

	assert_false(e->closed);
	e->failed = true;
	e->err = err;
}

static const struct fab_stream_user end_ops = {
	.connected = on_connected,
	.tx_next = on_tx_next,
	.tx_done = on_tx_done,
	.tx_fault = on_fault,
	.rx_next = on_rx_next,
	.rx_none = on_rx_none,
	.rx_fault = on_fault,
	.rx_eof = on_rx_eof,
	.failed = on_failed,
};

/* ------------------------------------------------------------------------- listeners */

#define CHILDREN 128

struct door {
	struct fab_listener *l;
	union fab_addr addr;
	struct end child[CHILDREN];
	unsigned n; /* accepted */
	int failed;
	bool shut_in_accept, close_in_accept;
};

static void on_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	struct door *d = user;
	struct end *e = &d->child[d->n++];

	assert_int_equal(peer->sa.sa_family, AF_INET);
	assert_true(d->n <= CHILDREN);
	e->conn = conn;
	e->connected = true;
	fabric.stream->bind(conn, &end_ops, e);
	if (d->close_in_accept)
		end_close(e, false);
	if (d->shut_in_accept)
		fabric.stream->unlisten(d->l);
}

static void on_door_failed(void *user, int err)
{
	((struct door *)user)->failed = err;
}

static const struct fab_listen_user door_ops = {
	.accepted = on_accepted,
	.failed = on_door_failed,
};

static int door_try(struct door *d, uint16_t port, bool reuse_port)
{
	union fab_addr addr = loopback(port);
	struct fab_listen_attr attr = { .addr = &addr, .backlog = 64, .reuse_port = reuse_port };

	memset(d, 0, sizeof(*d));
	return fabric.stream->listen(fabric.fab, &attr, &door_ops, d, &d->l);
}

static void door_open(struct door *d)
{
	assert_int_equal(door_try(d, 0, false), 0);
	assert_int_equal(fabric.stream->listener_addr(d->l, &d->addr), 0);
	assert_int_not_equal(d->addr.in.sin_port, 0);
}

static void door_post(struct door *d, unsigned n)
{
	while (n--)
		assert_int_equal(fabric.stream->accept(d->l), 0);
}

static void door_shut(struct door *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (!d->child[i].closed)
			end_close(&d->child[i], true);
	fabric.stream->unlisten(d->l);
}

static void dial(struct end *e, const struct door *d, unsigned by)
{
	struct fab_connect_attr attr = { .peer = &d->addr };

	memset(e, 0, sizeof(*e));
	path = by;
	assert_int_equal(fabric.stream->connect(fabric.fab, &attr, &end_ops, e, &e->conn), 0);
	assert_false(e->connected || e->failed);
}

/* ------------------------------------------------------------------- streams, each path */

static uint8_t source[BULK], sink_a[BULK], sink_b[BULK];

static void carry(struct end *a, struct end *b, size_t len)
{
	a->tx = b->tx = source;
	a->tx_len = b->tx_len = a->rx_len = b->rx_len = len;
	a->rx = sink_a;
	b->rx = sink_b;
	memset(sink_a, 0, len);
	memset(sink_b, 0, len);
	fabric.stream->rx_want(a->conn);
	fabric.stream->rx_want(b->conn);
	fabric.stream->tx_want(a->conn);
	fabric.stream->tx_now(b->conn);
	run_until(a->rx_off == len && b->rx_off == len);
	assert_memory_equal(sink_a, source, len);
	assert_memory_equal(sink_b, source, len);
}

static void check_names(const struct end *a, const struct end *b, const struct door *d, unsigned by)
{
	const char *name = by ? "second" : "tcp";
	union fab_addr local, peer;

	assert_string_equal(fabric_conn_wire(&fabric, a->conn), name);
	assert_string_equal(fabric_conn_wire(&fabric, b->conn), name);
	assert_int_equal(fabric.stream->conn_addr(b->conn, &local, NULL), 0);
	assert_int_equal(fabric.stream->conn_addr(a->conn, NULL, &peer), 0);
	assert_memory_equal(&local.in, &d->addr.in, 8);
	assert_memory_equal(&peer.in, &d->addr.in, 8);
}

static void test_exchange(void **state)
{
	struct door d;
	struct end a[2];
	int value;

	(void)state;
	for (size_t i = 0; i < BULK; i++)
		source[i] = (uint8_t)(i * 31 + (i >> 8));
	door_open(&d);
	for (unsigned by = 0; by < 2; by++) {
		door_post(&d, 1);
		dial(&a[by], &d, by);
		run_until(a[by].connected && d.n == by + 1);
		check_names(&a[by], &d.child[by], &d, by);
		carry(&a[by], &d.child[by], 1000);
	}
	for (unsigned by = 0; by < 2; by++) {
		a[by].tx_off = a[by].rx_off = d.child[by].tx_off = d.child[by].rx_off = 0;
		carry(&a[by], &d.child[by], BULK);
		assert_int_equal(fabric.stream->set_option(a[by].conn, FAB_OPT_KEEPALIVE, 1), 0);
		assert_int_equal(fabric.stream->get_option(a[by].conn, FAB_OPT_KEEPALIVE, &value),
				 0);
		assert_int_equal(value, 1);
		assert_int_equal(fabric.stream->shutdown(a[by].conn), 0);
		d.child[by].rx_len = BULK + 1;
		fabric.stream->rx_want(d.child[by].conn);
		run_until(d.child[by].eof);
		end_close(&a[by], true);
		run_until(d.child[by].failed || d.child[by].eof);
	}
	door_shut(&d);
	assert_int_equal(counters.connects, 2);
	assert_int_equal(counters.accepts, 2);
}

/* A path that cannot be had is an error, and nobody tries the other. */
static void test_no_fall_back(void **state)
{
	struct door d;
	struct end e;
	union fab_addr other = loopback(1);
	struct fab_connect_attr attr = { .peer = &other };

	(void)state;
	second_wire_refuses.err = -ENODEV;
	second_wire_refuses.times = 1;
	door_open(&d);
	assert_non_null(strstr(logged, "127.0.0.1"));
	assert_non_null(strstr(logged, "by tcp only, not by second"));
	door_post(&d, 1);
	dial(&e, &d, 1);
	run_until(e.failed);
	assert_int_equal(e.err, -ECONNREFUSED);
	turns_for(20);
	assert_int_equal(d.n, 0);
	other.in.sin_addr.s_addr = htonl(0x01020304);
	assert_int_equal(fabric.stream->connect(fabric.fab, &attr, &end_ops, &e, &e.conn), -ENODEV);
	dial(&e, &d, 0);
	run_until(e.connected && d.n == 1);
	end_close(&e, true);
	/* its accepts are those of one wire */
	door_post(&d, 3);
	assert_int_equal(fabric.stream->unaccept(d.l, 2), 1);
	dial(&e, &d, 0);
	run_until(e.connected && d.n == 2);
	assert_int_equal(fabric.stream->unaccept(d.l, 2), 0);
	end_close(&e, true);
	door_shut(&d);
}

/* ------------------------------------------------------------------------------ accepts */

/* One posted accept takes one connection, whichever wire it comes by. */
static void test_accepts_are_shared(void **state)
{
	struct door d;
	struct end e[4];

	(void)state;
	door_open(&d);
	door_post(&d, 1);
	for (unsigned i = 0; i < 4; i++)
		dial(&e[i], &d, i & 1);
	run_until(d.n == 1);
	turns_for(50);
	assert_int_equal(d.n, 1);
	door_post(&d, 2);
	run_until(d.n == 3);
	turns_for(50);
	assert_int_equal(d.n, 3);
	assert_int_equal(fabric.stream->unaccept(d.l, 1), 0);
	door_post(&d, 2);
	run_until(d.n == 4);
	turns_for(20);
	assert_int_equal(fabric.stream->unaccept(d.l, 0), 1);
	assert_int_equal(fabric.stream->unaccept(d.l, 5), 0);
	for (unsigned i = 0; i < 4; i++)
		end_close(&e[i], true);
	door_shut(&d);
}

static void test_accepts_at_random(void **state)
{
	static struct end e[CHILDREN];
	unsigned posted = 0, dialled = 0;
	struct door d;

	(void)state;
	srand(7);
	door_open(&d);
	while (d.n < CHILDREN - 8) {
		unsigned n = (unsigned)rand() % 4, before = d.n, left;

		switch (rand() % 3) {
		case 0:
			for (; n && dialled < CHILDREN; n--)
				dial(&e[dialled++], &d, (unsigned)rand() & 1);
			break;
		case 1:
			door_post(&d, n);
			posted += n;
			break;
		default:
			left = fabric.stream->unaccept(d.l, n);
			posted -= n < posted ? n : posted;
			assert_int_equal(left, posted);
		}
		turns_for(1);
		assert_true(d.n - before <= posted);
		posted -= d.n - before;
	}
	door_post(&d, dialled - d.n);
	run_until(d.n == dialled);
	for (unsigned i = 0; i < dialled; i++)
		end_close(&e[i], true);
	door_shut(&d);
}

static void test_close_in_accept(void **state)
{
	struct door d;
	struct end e;

	(void)state;
	for (unsigned by = 0; by < 2; by++) {
		door_open(&d);
		door_post(&d, 3);
		d.close_in_accept = true;
		dial(&e, &d, by);
		run_until(d.n == 1 && e.connected);
		end_close(&e, true);
		d.shut_in_accept = true;
		dial(&e, &d, by);
		run_until(d.n == 2 && e.connected);
		end_close(&e, true);
		turns_for(10);
		dial(&e, &d, !by);
		run_until(e.failed);
		assert_int_equal(e.err, -ECONNREFUSED);
	}
}

/* ------------------------------------------------------------- listeners that come to nothing */

static void test_listen_fails(void **state)
{
	union fab_addr bad = { .sa = { .sa_family = AF_UNIX } };
	struct fab_listen_attr attr = { .addr = &bad, .backlog = 1 };
	struct door d, other;
	uint16_t port;

	(void)state;
	assert_int_equal(fabric.stream->listen(fabric.fab, &attr, &door_ops, &d, &d.l),
			 -EAFNOSUPPORT);
	/* the first has no port: nothing is left of either */
	door_open(&other);
	port = ntohs(other.addr.in.sin_port);
	assert_int_equal(door_try(&d, port, false), -EADDRINUSE);
	door_shut(&other);
	/* the second has none: nor then */
	second_wire_refuses.err = -EADDRINUSE;
	second_wire_refuses.times = 1;
	assert_int_equal(door_try(&d, port, false), -EADDRINUSE);
	second_wire_refuses.err = -ENOMEM;
	second_wire_refuses.times = 1;
	assert_int_equal(door_try(&d, 0, false), -ENOMEM);
	assert_int_equal(door_try(&d, port, false), 0);
	door_shut(&d);
	assert_string_equal(logged, "");
}

/* A port that the kernel chose need not be free for the second wire. */
static void test_listen_again(void **state)
{
	struct door d;

	(void)state;
	second_wire_refuses.err = -EADDRINUSE;
	second_wire_refuses.times = 5;
	door_open(&d);
	door_shut(&d);
	second_wire_refuses.times = 1000;
	assert_int_equal(door_try(&d, 0, false), -EADDRINUSE);
	assert_in_range(second_wire_refuses.times, 900, 999);
	/* where several listen, one has the devices */
	assert_int_equal(door_try(&d, 0, true), 0);
	assert_non_null(strstr(logged, "not by second"));
	door_shut(&d);
}

static void test_listener_lost(void **state)
{
	struct door d;
	struct end e;

	(void)state;
	door_open(&d);
	door_post(&d, 2);
	second_wire_fail(-ENODEV);
	assert_non_null(strstr(logged, "lost second"));
	assert_int_equal(d.failed, 0);
	dial(&e, &d, 1);
	run_until(e.failed);
	dial(&e, &d, 0);
	run_until(d.n == 1 && e.connected);
	end_close(&e, true);
	assert_int_equal(fabric.stream->unaccept(d.l, 0), 1);
	door_shut(&d);

	door_open(&d);
	door_post(&d, 2);
	first_wire_fail(-EBADF);
	assert_int_equal(d.failed, -EBADF);
	dial(&e, &d, 1);
	run_until(e.failed);
	assert_int_equal(d.n, 0);
	door_shut(&d);
}

/* ------------------------------------------------------------------------------- sleeping */

static void *kicker(void *arg)
{
	uint64_t one = 1;

	usleep(20000);
	if (arg)
		assert_int_equal(write(fabric.stream->kick_fd(fabric.fab), &one, 8), 8);
	else
		fabric.stream->kick(fabric.fab);
	return NULL;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void test_kick(void **state)
{
	uint64_t begin;
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&thread, NULL, kicker, i & 1 ? &thread : NULL), 0);
		assert_int_equal(fabric.stream->wait(fabric.fab, -1), 0);
		fabric.stream->drain(fabric.fab);
		pthread_join(thread, NULL);
	}
	/* one that nobody waited for ends the next wait */
	fabric.stream->kick(fabric.fab);
	fabric.stream->drain(fabric.fab);
	assert_int_equal(fabric.stream->wait(fabric.fab, -1), 0);
	fabric.stream->drain(fabric.fab);
	begin = timer_now_ns();
	assert_int_equal(fabric.stream->wait(fabric.fab, 10000000), 0);
	assert_true(timer_now_ns() - begin >= 10000000);
}

static void test_wait_fd(void **state)
{
	int fd = fabric.stream->wait_fd(fabric.fab);
	struct door d;
	struct end e[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fabric.stream->wait_fd(fabric.fab), fd);
	assert_false(readable(fd));
	fabric.stream->kick(fabric.fab);
	assert_true(readable(fd));
	sleep_now();
	assert_false(readable(fd));
	door_open(&d);
	for (unsigned by = 0; by < 2; by++) {
		door_post(&d, 1);
		dial(&e[by], &d, by);
		run_until(e[by].connected && d.n == by + 1);
		turns_for(5);
		assert_false(readable(fd));
		/* room to receive, told later than the data came */
		e[by].tx = source;
		e[by].tx_len = 100;
		d.child[by].rx = sink_b;
		d.child[by].rx_len = 100;
		fabric.stream->tx_now(e[by].conn);
		turns_for(5);
		fabric.stream->rx_want(d.child[by].conn);
		assert_true(readable(fd));
		/* what is seen is still there */
		assert_int_equal(fabric.stream->wait(fabric.fab, -1), 0);
		assert_int_equal(fabric.stream->wait(fabric.fab, -1), 0);
		run_until(d.child[by].rx_off == 100);
	}
	for (unsigned by = 0; by < 2; by++)
		end_close(&e[by], true);
	door_shut(&d);
}

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int asked;

struct wanter {
	struct end *from, *to;
};

/* Another thread, with the turn, makes work for the one that sleeps. */
static void *want(void *arg)
{
	struct wanter *w = arg;

	usleep(2000);
	pthread_mutex_lock(&turn_lock);
	w->to->rx_len += 10;
	w->from->tx_len += 10;
	fabric.stream->rx_want(w->to->conn);
	fabric.stream->tx_want(w->from->conn);
	pthread_mutex_unlock(&turn_lock);
	atomic_fetch_add(&asked, 1);
	return NULL;
}

static void run_locked_until(const struct end *e, size_t len)
{
	for (;;) {
		bool done;

		pthread_mutex_lock(&turn_lock);
		turn();
		done = e->rx_off == len;
		pthread_mutex_unlock(&turn_lock);
		if (done)
			return;
		fabric.stream->wait(fabric.fab, -1);
		fabric.stream->drain(fabric.fab);
	}
}

static void test_threads(void **state)
{
	struct door d;
	struct end e[2];
	struct wanter w[2];
	pthread_t thread;

	(void)state;
	door_open(&d);
	door_post(&d, 2);
	for (unsigned by = 0; by < 2; by++) {
		dial(&e[by], &d, by);
		run_until(e[by].connected && d.n == by + 1);
		e[by].tx = source;
		d.child[by].rx = sink_b;
		w[by] = (struct wanter){ &e[by], &d.child[by] };
	}
	for (unsigned i = 0; i < 100; i++) {
		unsigned by = i & 1;

		assert_int_equal(pthread_create(&thread, NULL, want, &w[by]), 0);
		run_locked_until(w[by].to, 10 * (i / 2 + 1));
		pthread_join(thread, NULL);
	}
	assert_int_equal(atomic_load(&asked), 100);
	for (unsigned by = 0; by < 2; by++)
		end_close(&e[by], true);
	door_shut(&d);
}

/* A wire with always more to do leaves the other its turns. */
static void test_budget(void **state)
{
	static struct end e[CHILDREN];
	struct door d;
	unsigned n = CHILDREN / 2, second = 0;
	int done;

	(void)state;
	door_open(&d);
	for (unsigned i = 0; i < n; i++)
		dial(&e[i], &d, i >= n / 2);
	for (unsigned i = 0; i < n; i++)
		run_until(e[i].connected);
	door_post(&d, n);
	usleep(20000);
	for (unsigned i = 0; i < 4; i++) {
		done = fabric.stream->progress(fabric.fab, 4);
		assert_in_range(done, 1, 8);
	}
	for (unsigned i = 0; i < d.n; i++)
		second += !strcmp(fabric_conn_wire(&fabric, d.child[i].conn), "second");
	assert_in_range(second, d.n / 4, d.n - d.n / 4);
	run_until(d.n == n);
	for (unsigned i = 0; i < n; i++)
		end_close(&e[i], true);
	door_shut(&d);
}

/* ------------------------------------------------------------------------------ messages */

struct queue_pair {
	struct fab_msg_conn *conn;
	bool connected, gone;
	int err;
	char said[16];
};

static void qp_connected(void *user, int err, const struct fab_msg_peer *peer, const void *pdata,
			 size_t len)
{
	struct queue_pair *q = user;

	assert_true(!err == !!peer);
	q->connected = !err;
	q->gone = err;
	q->err = err;
	if (len < sizeof(q->said) && len)
		memcpy(q->said, pdata, len);
}

static const struct fab_send *qp_peek(void *user, unsigned i)
{
	(void)user;
	(void)i;
	return NULL;
}

static void qp_tx_done(void *user, unsigned n, unsigned begun)
{
	(void)user;
	(void)n;
	(void)begun;
}

static void qp_closed(void *user, int err)
{
	struct queue_pair *q = user;

	q->err = err;
	q->connected = false;
}

static const struct fab_msg_user qp_ops = {
	.connected = qp_connected,
	.tx_peek = qp_peek,
	.tx_done = qp_tx_done,
	.closed = qp_closed,
};

struct msg_door {
	struct fab_msg_listener *l;
	union fab_addr addr;
	struct fab_msg_conn *asks;
	int requests, withdrawn, failed;
};

static void on_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
		       const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct msg_door *d = user;

	(void)peer;
	assert_true(who->eta);
	assert_int_equal(len, 2);
	assert_memory_equal(pdata, "hi", 2);
	assert_null(d->asks);
	d->asks = conn;
	d->requests++;
}

static void on_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct msg_door *d = user;

	assert_ptr_equal(conn, d->asks);
	d->asks = NULL;
	d->withdrawn++;
}

static void on_msg_failed(void *user, int err)
{
	((struct msg_door *)user)->failed = err;
}

static const struct fab_msg_listen_user msg_door_ops = {
	.request = on_request,
	.withdrawn = on_withdrawn,
	.failed = on_msg_failed,
};

static void msg_open(struct msg_door *d)
{
	union fab_addr addr = loopback(0);

	memset(d, 0, sizeof(*d));
	assert_int_equal(fabric.msg->listen(fabric.m, &addr, 8, &msg_door_ops, d, &d->l), 0);
	assert_int_equal(fabric.msg->listener_addr(d->l, &d->addr), 0);
}

static void msg_dial(struct queue_pair *q, const struct msg_door *d, unsigned by)
{
	struct fab_connect_attr attr = { .peer = &d->addr };
	struct fab_hello hello = { .features = FAB_FEATURE_ULP };

	memset(q, 0, sizeof(*q));
	path = by;
	assert_int_equal(
		fabric.msg->connect(fabric.m, &attr, &hello, "hi", 2, &qp_ops, q, &q->conn), 0);
}

static void msg_exchange(struct msg_door *d, unsigned by)
{
	struct queue_pair a, b = { 0 };
	struct fab_hello hello = { .features = FAB_FEATURE_ULP };

	msg_dial(&a, d, by);
	run_until(d->asks);
	b.conn = d->asks;
	d->asks = NULL;
	assert_string_equal(fabric_msg_wire(&fabric, b.conn), by ? "second" : "tcp");
	assert_int_equal(fabric.msg->accept(b.conn, &hello, "yes", 3, &qp_ops, &b), 0);
	run_until(a.connected && b.connected);
	assert_string_equal(a.said, "yes");
	assert_string_equal(fabric_msg_wire(&fabric, a.conn), by ? "second" : "tcp");
	fabric.msg->rx_want(a.conn);
	fabric.msg->rx_want(b.conn);
	assert_int_equal(fabric.msg->shutdown(a.conn), 0);
	run_until(!b.connected);
	assert_int_equal(b.err, 0);
	fabric.msg->conn_close(b.conn, false);
	run_until(!a.connected);
	fabric.msg->conn_close(a.conn, false);
}

static void test_messages(void **state)
{
	struct msg_door d;
	struct queue_pair q;

	(void)state;
	msg_open(&d);
	for (unsigned by = 0; by < 2; by++) {
		msg_exchange(&d, by);
		/* refused */
		msg_dial(&q, &d, by);
		run_until(d.asks);
		fabric.msg->reject(d.asks, "no", 2);
		d.asks = NULL;
		run_until(q.gone);
		assert_int_equal(q.err, -ECONNREFUSED);
		assert_string_equal(q.said, "no");
		/* gone before it was answered */
		msg_dial(&q, &d, by);
		run_until(d.asks);
		fabric.msg->conn_close(q.conn, true);
		run_until(d.withdrawn == (int)by + 1);
	}
	/* a request outlives its listener */
	msg_dial(&q, &d, 1);
	run_until(d.asks);
	fabric.msg->unlisten(d.l);
	fabric.msg->reject(d.asks, NULL, 0);
	run_until(q.gone);
	assert_int_equal(d.requests, 7);
}

static void test_msg_listener_lost(void **state)
{
	struct msg_door d;
	struct queue_pair q;

	(void)state;
	msg_open(&d);
	second_wire_fail(-ENODEV);
	assert_non_null(strstr(logged, "lost second"));
	msg_dial(&q, &d, 1);
	run_until(q.gone);
	msg_exchange(&d, 0);
	first_wire_fail(-EBADF);
	assert_int_equal(d.failed, -EBADF);
	fabric.msg->unlisten(d.l);
}

/* ------------------------------------------------------------------------------ devices */

static struct fab_msg *gone_at;
static struct fab_msg_conn *over_at;

static void device_region_gone(struct fab_msg *m, struct fab_region *region)
{
	(void)region;
	assert_null(gone_at);
	gone_at = m;
}

static void device_read_over(struct fab_msg_conn *conn, uint32_t sink)
{
	assert_int_equal(sink, 7);
	over_at = conn;
}

/* Only one of the two has a device: it is told, and the other is not. */
static void test_device(void **state)
{
	struct fab_msg_attr attr = {
		.fpdu_max = 65000, .handshake_ns = 1000000000, .ord = 1, .ird = 1
	};
	static struct fab_msg_ops ops;
	static struct both_wire device;
	struct both both = { { &first_wire, &device }, by_path };
	struct fab_region region = { 0 };
	struct queue_pair q[2];
	struct msg_door d;

	assert_null(fabric.msg->region_gone);
	assert_null(fabric.msg->read_over);
	teardown(state);
	timers_init(&timers);
	ops = *second_wire.msg;
	ops.region_gone = device_region_gone;
	ops.read_over = device_read_over;
	device = second_wire;
	device.msg = &ops;
	assert_int_equal(both_open(&both, &env, &attr, &fabric), 0);
	fabric.msg->region_gone(fabric.m, &region);
	assert_non_null(gone_at);
	msg_open(&d);
	for (unsigned by = 0; by < 2; by++) {
		msg_dial(&q[by], &d, by);
		fabric.msg->read_over(q[by].conn, 7);
		assert_int_equal(over_at != NULL, by);
		fabric.msg->conn_close(q[by].conn, true);
	}
	assert_ptr_not_equal(over_at, q[1].conn); /* but the wire's own */
	fabric.msg->unlisten(d.l);
}

/* ------------------------------------------------------------------------------ by name */

static void test_names(void **state)
{
	struct fab_msg_attr attr = { .fpdu_max = 65000, .handshake_ns = 1 };
	struct fab_device *list;
	char why[256] = "";
	struct fabric f;
	int n, err;

	(void)state;
	assert_int_equal(fabric_open("roces", &env, &attr, &f), -ENOENT);
	n = fabric_devices(&list, why, sizeof(why));
	if (n <= 0)
		assert_string_not_equal(why, "");
	free(list);
	memset(logged, 0, sizeof(logged));
	err = fabric_open("roce:there is no such device", &env, &attr, &f);
	assert_true(err == -EOPNOTSUPP || err == -ENODEV);
	assert_string_not_equal(logged, "");
	memset(logged, 0, sizeof(logged));
	err = fabric_open("roce", &env, &attr, &f);
	if (err) {
		assert_true(err == -EOPNOTSUPP || err == -ENODEV);
		assert_string_not_equal(logged, "");
		return;
	}
	assert_string_equal(f.name, "roce");
	fabric_close(&f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exchange),
		TEST(test_no_fall_back),
		TEST(test_accepts_are_shared),
		TEST(test_accepts_at_random),
		TEST(test_close_in_accept),
		TEST(test_listen_fails),
		TEST(test_listen_again),
		TEST(test_listener_lost),
		TEST(test_kick),
		TEST(test_wait_fd),
		TEST(test_threads),
		TEST(test_budget),
		TEST(test_messages),
		TEST(test_msg_listener_lost),
		TEST(test_device),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
