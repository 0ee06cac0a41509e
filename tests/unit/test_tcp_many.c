/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_tcp_many.c - kernel TCP with many connections at once, whose reads and writes a fabric may hand
 * to the kernel together, and accepts for which nobody has posted yet. "tcp", or with the name of an
 * owner as argument "uring", as test_tcp.c has them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fabric/tcp_internal.h"

#define WATCHDOG 100 /* seconds */
#define PAIRS 40     /* more than a batch */
#define ROOM (1u << 20)
#define CROWD 600 /* connections with something to tell, more than a turn hears */
#define HUGE ((size_t)3 << 30)
#define FLOOD 300 /* connections that nobody has posted for */

static const struct fab_stream_ops *ops = &tcp_ops;
static enum fab_owner owner = FAB_OWNER_ROAMS;
static struct fab_counters counters;
static struct timers timers;
static struct fab *fab;

/* One end: sends the first tx_len bytes of tx, receives rx_len bytes. */
struct end {
	struct fab_conn *conn;
	bool connected, closed, failed, eof;
	const uint8_t *tx;
	uint8_t *rx;
	size_t tx_len, tx_off, rx_len, rx_off;
	unsigned tx_faults, rx_faults;
	bool closes_all; /* all others of its side, when it has been told of data */
};

static struct end a[PAIRS], b[PAIRS];
static uint8_t *bad; /* a page that cannot be touched */
static unsigned accepted;

static void end_close(struct end *e)
{
	assert_false(e->closed);
	e->closed = true;
	ops->conn_close(e->conn, false);
}

static void on_connected(void *user, int err)
{
	struct end *e = user;

	assert_int_equal(err, 0);
	e->connected = true;
}

static int on_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct end *e = user;
	size_t left = e->tx_len - e->tx_off;
	size_t half = left < HUGE ? left / 2 : 0;

	(void)max;
	(void)limit;
	assert_false(e->closed);
	if (!left)
		return 0;
	iov[0] = (struct iovec){ (void *)(uintptr_t)(e->tx + e->tx_off), left - half };
	iov[1] = (struct iovec){ (void *)(uintptr_t)(e->tx + e->tx_off + left - half), half };
	return half ? 2 : 1;
}

static void on_tx_done(void *user, size_t n)
{
	struct end *e = user;

	assert_false(e->closed);
	e->tx_off += n;
	assert_true(e->tx_off <= e->tx_len);
	if (e->tx_off < e->tx_len)
		ops->tx_want(e->conn);
}

static int on_tx_fault(void *user, int err)
{
	struct end *e = user;

	assert_false(e->closed);
	assert_int_equal(err, -EFAULT);
	e->tx_faults++;
	e->tx_len = e->tx_off;
	return 0;
}

static void close_others(struct end *e)
{
	struct end *side = e >= a && e < a + PAIRS ? a : b;

	e->closes_all = false;
	for (unsigned i = 0; i < PAIRS; i++) {
		if (&side[i] != e && !side[i].closed)
			end_close(&side[i]);
	}
}

static int on_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct end *e = user;

	(void)max;
	assert_false(e->closed);
	e->rx_off += n;
	assert_true(e->rx_off <= e->rx_len);
	if (n && e->closes_all)
		close_others(e);
	if (e->rx_off == e->rx_len)
		return 0;
	iov[0] = (struct iovec){ e->rx + e->rx_off, e->rx_len - e->rx_off };
	return 1;
}

static void on_rx_none(void *user)
{
	struct end *e = user;

	assert_false(e->closed);
}

static int on_rx_fault(void *user, int err)
{
	struct end *e = user;

	assert_false(e->closed);
	assert_int_equal(err, -EFAULT);
	e->rx_faults++;
	e->rx_len = e->rx_off;
	return 0;
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
	(void)err;
	e->failed = true;
}

static const struct fab_stream_user end_ops = {
	.interleaves = true,
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

static void on_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	(void)peer;
	accepted++;
	if (!user) {
		ops->conn_close(conn, false);
		return;
	}
	b[accepted - 1].conn = conn;
	b[accepted - 1].connected = true;
	ops->bind(conn, &end_ops, &b[accepted - 1]);
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

static struct fab_listener *door_open(union fab_addr *addr, void *user)
{
	struct fab_listen_attr attr = { .addr = addr, .backlog = 1024 };
	struct fab_listener *l;

	*addr = (union fab_addr){ .in = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	assert_int_equal(ops->listen(fab, &attr, &door_ops, user, &l), 0);
	assert_int_equal(ops->listener_addr(l, addr), 0);
	return l;
}

static void turn(void)
{
	timers_run(&timers, timer_now_ns());
	ops->progress(fab, FAB_TURN_COMPLETIONS);
	ops->flush(fab);
}

#define run_until(cond)                                                                            \
	do {                                                                                       \
		while (!(cond))                                                                    \
			turn();                                                                    \
	} while (0)

static bool all(bool (*is)(const struct end *e))
{
	for (unsigned i = 0; i < PAIRS; i++) {
		if (!is(&a[i]) || !is(&b[i]))
			return false;
	}
	return true;
}

static bool is_connected(const struct end *e)
{
	return e->connected;
}

static bool is_over(const struct end *e)
{
	return e->closed || (e->tx_off == e->tx_len && e->rx_off == e->rx_len);
}

/* ------------------------------------------------------------------ set-up */

static void pairs_open(void)
{
	struct fab_listener *l;
	union fab_addr addr;

	l = door_open(&addr, b);
	for (unsigned i = 0; i < PAIRS; i++) {
		struct fab_connect_attr attr = { .peer = &addr };

		assert_int_equal(ops->accept(l), 0);
		assert_int_equal(ops->connect(fab, &attr, &end_ops, &a[i], &a[i].conn), 0);
		/* in order, so that a[i] and b[i] are a pair */
		run_until(a[i].connected && b[i].connected);
	}
	assert_true(all(is_connected));
	ops->unlisten(l);
}

static int setup(void **state)
{
	struct fab_env env = { .owner = owner, .counters = &counters, .timers = &timers };

	(void)state;
	alarm(WATCHDOG);
	memset(&counters, 0, sizeof(counters));
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	accepted = 0;
	timers_init(&timers);
	bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return bad == MAP_FAILED ? -1 : ops->open(&env, &fab);
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		if (a[i].conn && !a[i].closed)
			end_close(&a[i]);
		if (b[i].conn && !b[i].closed)
			end_close(&b[i]);
		free(a[i].rx);
		free(b[i].rx);
	}
	ops->close(fab);
	timers_destroy(&timers);
	munmap(bad, 4096);
	alarm(0);
	return 0;
}

static uint8_t source[ROOM + PAIRS];

/* @from sends @len bytes, others than its neighbours, to @to. */
static void expect(struct end *from, struct end *to, unsigned i, size_t len)
{
	from->tx = source + i;
	from->tx_len = to->rx_len = len;
	from->tx_off = to->rx_off = 0;
	free(to->rx);
	to->rx = malloc(len + 1);
	assert_non_null(to->rx);
}

/* All at once: each has something to write, and then to read. */
static void begin(void)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		struct end *both[] = { &a[i], &b[i] };

		for (unsigned k = 0; k < 2; k++) {
			if (both[k]->rx_len)
				ops->rx_want(both[k]->conn);
			if (both[k]->tx_len)
				ops->tx_want(both[k]->conn);
		}
	}
}

static void check(void)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_memory_equal(a[i].rx, b[i].tx, a[i].rx_len);
		assert_memory_equal(b[i].rx, a[i].tx, b[i].rx_len);
	}
}

static void exchange(size_t len)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		expect(&a[i], &b[i], i, len + i);
		expect(&b[i], &a[i], PAIRS - i, len + 3 * i);
	}
	begin();
	run_until(all(is_over));
	check();
}

/* ------------------------------------------------------------------ cases */

static void test_small(void **state)
{
	uint64_t calls;

	(void)state;
	pairs_open();
	exchange(100);
	calls = counters.sys_write + counters.sys_read;
	for (unsigned i = 0; i < 20; i++)
		exchange(200);
	/* a ring does them together: 20 times 80 of each, but for stragglers */
	calls = counters.sys_write + counters.sys_read - calls;
	if (ops != &tcp_ops)
		assert_true(calls < 20 * PAIRS);
}

/* More than sockets hold: writes are cut short, and go on. */
static void test_large(void **state)
{
	(void)state;
	pairs_open();
	for (unsigned i = 0; i < PAIRS; i++)
		assert_int_equal(ops->set_option(a[i].conn, FAB_OPT_SNDBUF, 16384), 0);
	exchange(ROOM - 3 * PAIRS);
	assert_true(counters.tx_short > 0);
}

/*
 * Each read makes room, and the peer fills it at once: what has come when the outcome of the read is
 * looked at is more than the read has found, and nothing else will tell of it.
 */
static void test_windows(void **state)
{
	(void)state;
	pairs_open();
	for (unsigned i = 0; i < PAIRS; i++)
		assert_int_equal(ops->set_option(b[i].conn, FAB_OPT_RCVBUF, 1), 0);
	for (unsigned i = 0; i < PAIRS; i++)
		expect(&a[i], &b[i], i, 90000);
	begin();
	run_until(all(is_over));
	for (unsigned i = 0; i < PAIRS; i++)
		assert_memory_equal(b[i].rx, a[i].tx, b[i].rx_len);
}

/* More than any request can name: what there is room for goes out. */
static void test_huge(void **state)
{
	uint8_t *huge =
		mmap(NULL, HUGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	assert_true(huge != MAP_FAILED);
	pairs_open();
	for (unsigned i = 0; i < PAIRS; i++) {
		a[i].tx = huge;
		a[i].tx_len = i % 3 == 2 ? HUGE : 10; /* the last of its batch */
		ops->tx_want(a[i].conn);
	}
	for (unsigned i = 0; i < 3 * PAIRS; i++)
		turn();
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_false(a[i].failed);
		assert_int_equal(a[i].tx_faults, 0);
		assert_true(a[i].tx_off > 0);
	}
	munmap(huge, HUGE);
}

/* One that names memory which cannot be read, one that cannot be written: only they are told. */
static void test_faults(void **state)
{
	(void)state;
	pairs_open();
	for (unsigned i = 0; i < PAIRS; i++)
		expect(&a[i], &b[i], i, 500);
	a[7].tx = bad;
	b[7].rx_len = 0;
	free(b[9].rx);
	b[9].rx = bad;
	begin();
	run_until(a[7].tx_faults && b[9].rx_faults && all(is_over));
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_int_equal(a[i].tx_faults, i == 7);
		assert_int_equal(b[i].rx_faults, i == 9);
		assert_false(a[i].failed || b[i].failed);
		if (i != 7 && i != 9)
			assert_memory_equal(b[i].rx, a[i].tx, 500);
	}
	/* what could not be placed is not lost */
	b[9].rx = malloc(500);
	assert_non_null(b[9].rx);
	b[9].rx_len = 500;
	ops->rx_want(b[9].conn);
	run_until(b[9].rx_off == 500);
	assert_memory_equal(b[9].rx, a[9].tx, 500);
}

/* The first that is told of its data closes all the others of the batch: they are told nothing. */
static void test_close_others(void **state)
{
	(void)state;
	pairs_open();
	for (unsigned i = 0; i < PAIRS; i++) {
		expect(&a[i], &b[i], i, 300);
		b[i].closes_all = true;
	}
	begin();
	run_until(b[PAIRS - 1].closed || b[0].closed);
	for (unsigned i = 0; i < 20; i++)
		turn();
}

static int raw_connect(const union fab_addr *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &addr->sa, fab_addr_len(addr)), 0);
	return fd;
}

/* Many for whom nobody has posted: none is told, none is lost. Those left at the end are reset. */
static void test_flood(void **state)
{
	struct fab_listener *l;
	union fab_addr addr;
	int fd[FLOOD];
	char byte;

	(void)state;
	l = door_open(&addr, NULL);
	for (unsigned i = 0; i < FLOOD; i++) {
		fd[i] = raw_connect(&addr);
		turn();
	}
	assert_int_equal(accepted, 0);
	for (unsigned i = 0; i < FLOOD - 10; i++)
		assert_int_equal(ops->accept(l), 0);
	run_until(accepted == FLOOD - 10);
	for (unsigned i = 0; i < 20; i++)
		turn();
	assert_int_equal(accepted, FLOOD - 10);
	ops->unlisten(l);
	turn();
	for (unsigned i = 0; i < FLOOD; i++) {
		assert_true(read(fd[i], &byte, 1) <= 0);
		close(fd[i]);
	}
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The kernel has accepted them, and nobody has looked: they end with the listener all the same. */
static void test_unseen(void **state)
{
	unsigned before, after, resets = 0;
	struct fab_listener *l;
	union fab_addr addr;
	int fd[10];
	char byte;

	teardown(state);
	before = open_fds();
	setup(state);
	l = door_open(&addr, NULL);
	turn();
	for (unsigned i = 0; i < 10; i++)
		fd[i] = raw_connect(&addr);
	ops->wait(fab, 100000000);
	ops->unlisten(l);
	teardown(state);
	for (unsigned i = 0; i < 10; i++) {
		resets += recv(fd[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
		close(fd[i]);
	}
	after = open_fds();
	setup(state);
	assert_int_equal(after, before);
	assert_int_equal(resets, 10);
}

static struct end crowd[CROWD];

/* More events than a turn takes: the descriptor that can be waited on tells of the rest. */
static void test_crowd(void **state)
{
	struct pollfd shown = { .events = POLLIN };
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fab_listener *late[CROWD / 10];
	struct fab_connect_attr attr;
	union fab_addr addr;
	socklen_t len = sizeof(addr);
	unsigned n = 0;

	(void)state;
	memset(crowd, 0, sizeof(crowd));
	shown.fd = ops->wait_fd(fab);
	assert_true(door >= 0 && shown.fd >= 0);
	assert_int_equal(bind(door, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(door, CROWD), 0);
	assert_int_equal(getsockname(door, &addr.sa, &len), 0);
	attr = (struct fab_connect_attr){ .peer = &addr };
	for (; n < CROWD; n++)
		assert_int_equal(ops->connect(fab, &attr, &end_ops, &crowd[n], &crowd[n].conn), 0);
	for (unsigned i = 0; i < CROWD; i++)
		run_until(crowd[i].connected);
	while (poll(&shown, 1, 0))
		turn();
	close(door);
	/* a kernel may say only so much at a time, and then needs another reason to be entered */
	for (unsigned i = 0; i < CROWD / 10; i++) {
		late[i] = door_open(&addr, NULL);
		ops->flush(fab);
	}
	turn();
	assert_int_equal(poll(&shown, 1, 0), 1);
	for (unsigned i = 0; i < 20; i++)
		turn();
	assert_int_equal(poll(&shown, 1, 0), 0);
	for (unsigned i = 0; i < CROWD / 10; i++)
		ops->unlisten(late[i]);
	while (n--)
		end_close(&crowd[n]);
}

/* ------------------------------------------------------------------ main */

static bool choose_ring(const char *name)
{
	ops = &uring_ops;
	owner = !strcmp(name, "calls")    ? FAB_OWNER_CALLS
		: !strcmp(name, "thread") ? FAB_OWNER_THREAD
					  : FAB_OWNER_SINGLE;
	if (setup(NULL))
		return false;
	teardown(NULL);
	return true;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_small),  TEST(test_large),        TEST(test_windows),
		TEST(test_faults), TEST(test_close_others), TEST(test_flood),
		TEST(test_unseen), TEST(test_huge),         TEST(test_crowd),
	};

	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)(i * 2654435761u >> 13);
	if (argc > 1 && !choose_ring(argv[1])) {
		puts("skipped: io_uring cannot be had here");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
