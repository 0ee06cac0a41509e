/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * DUSI over loopback, both ends in this process: the same tests with each placement of the engine.
 * Threads of the tests' own are the exception, so that inline placement is meant seriously.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dusi/dusi.h"

#define SECOND 1000000         /* microseconds */
#define PATIENCE (20 * SECOND) /* a sanitizer on a busy machine is slow */
#define AREA (1 << 20)
#define KEPT 1024

static const char *placement;

static struct {
	dusi_ual_t ual;
	dusi_evq_t evq;
	dusi_mem_t mem; /* all of `area` */
	dusi_sock_t listener, a, b;
	uint64_t next_context;
	struct dusi_event kept[KEPT]; /* taken while looking for another */
	int nkept;
} t;

static uint8_t area[AREA];

/* ------------------------------------------------------------------------------- helpers */

#define ok(call) assert_int_equal((call), 0)

static bool wire_is(const char *name)
{
	const char *wire = getenv("ETA_FABRIC");

	return wire && !strcmp(wire, name);
}

/* Over queue pairs who listens by plain TCP cannot be reached, and set-up counts as bytes, too. */
static void skip_on_pairs(void)
{
	if (wire_is("qtcp") || wire_is("roce"))
		skip();
}

/* What listens by plain TCP refuses at once. */
static void skip_where_none_is_deaf(void)
{
	if (wire_is("roce"))
		skip();
}

static bool is_inline(void)
{
	return !strcmp(placement, "inline");
}

static dusi_evq_t evq_new(uint32_t size)
{
	dusi_evq_t evq;

	ok(Dusi_Create_EvQ(t.ual, size, &evq));
	return evq;
}

static dusi_sock_t sock_with(struct dusi_socket_attr attr)
{
	dusi_sock_t sock;

	ok(Dusi_Socket(t.ual, &attr, &sock));
	return sock;
}

static dusi_sock_t sock_new(void)
{
	return sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .context = ++t.next_context });
}

static void ual_open(struct dusi_ual_attr attr)
{
	attr.placement = placement;
	memset(&t, 0, sizeof(t));
	ok(Dusi_Open_Ual(&attr, &t.ual));
	t.evq = evq_new(0);
	ok(Dusi_Register_Memory(t.ual, area, sizeof(area), DUSI_READ | DUSI_WRITE, &t.mem));
}

static int setup(void **state)
{
	(void)state;
	memset(area, 0, sizeof(area));
	ual_open((struct dusi_ual_attr){ 0 });
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return Dusi_Close_Ual(t.ual);
}

static void loopback(int family, struct sockaddr_storage *ss, socklen_t *len)
{
	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family;
	if (family == AF_INET) {
		((struct sockaddr_in *)ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof(struct sockaddr_in);
	} else {
		((struct sockaddr_in6 *)ss)->sin6_addr = in6addr_loopback;
		*len = sizeof(struct sockaddr_in6);
	}
}

static void local_address(dusi_sock_t sock, struct sockaddr_storage *ss)
{
	size_t len = sizeof(*ss);

	ok(Dusi_Get_Socket_Ops(sock, DUSI_SO_LOCAL_ADDRESS, ss, &len));
}

static void bind_and_listen(dusi_sock_t sock, int family)
{
	struct sockaddr_storage ss;
	socklen_t len;

	loopback(family, &ss, &len);
	ok(Dusi_Bind(sock, (struct sockaddr *)&ss, len));
	ok(Dusi_Listen(sock, 64));
}

static void connect_to(dusi_sock_t sock, dusi_sock_t listener, uint64_t tag)
{
	struct sockaddr_storage ss;

	local_address(listener, &ss);
	ok(Dusi_Connect(sock, (struct sockaddr *)&ss,
			ss.ss_family == AF_INET ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6),
			tag));
}

static struct dusi_buf piece(size_t off, size_t len)
{
	assert_true(off + len <= AREA);
	return (struct dusi_buf){ area + off, len, t.mem };
}

static int post_send(dusi_sock_t sock, size_t off, size_t len, uint64_t tag)
{
	struct dusi_buf buf = piece(off, len);

	return Dusi_Send(sock, &buf, 1, tag);
}

static int post_recv(dusi_sock_t sock, size_t off, size_t len, uint64_t tag)
{
	struct dusi_buf buf = piece(off, len);

	return Dusi_Recv(sock, &buf, 1, tag);
}

static struct dusi_event next_on(dusi_evq_t evq)
{
	struct dusi_event ev;

	assert_int_equal(Dusi_Wait_All(evq, &ev, 1, PATIENCE, NULL, NULL), 1);
	return ev;
}

static bool kept_take(uint64_t tag, struct dusi_event *ev)
{
	for (int i = 0; i < t.nkept; i++) {
		if (t.kept[i].tag != tag)
			continue;
		*ev = t.kept[i];
		memmove(&t.kept[i], &t.kept[i + 1], (--t.nkept - i) * sizeof(t.kept[0]));
		return true;
	}
	return false;
}

/* The oldest event in the common queue with this tag; others are kept for later. */
static struct dusi_event await(uint64_t tag)
{
	struct dusi_event ev;

	while (!kept_take(tag, &ev)) {
		assert_true(t.nkept < KEPT);
		t.kept[t.nkept++] = next_on(t.evq);
	}
	return ev;
}

static struct dusi_event await_status(uint64_t tag, enum dusi_event_type type, int status)
{
	struct dusi_event ev = await(tag);

	assert_int_equal(ev.type, type);
	assert_int_equal(ev.status, status);
	return ev;
}

static size_t await_len(uint64_t tag, enum dusi_event_type type)
{
	return await_status(tag, type, 0).len;
}

static void nothing_more(void)
{
	struct dusi_event ev;

	assert_int_equal(t.nkept, 0);
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, 0, NULL, NULL), 0);
}

/* t.a is connected to t.b through t.listener. */
static void pair_of(int family, dusi_sock_t listener, dusi_sock_t a, dusi_sock_t b)
{
	t.listener = listener;
	t.a = a;
	t.b = b;
	bind_and_listen(listener, family);
	ok(Dusi_Accept(listener, b, 9001));
	connect_to(a, listener, 9002);
	await_status(9002, DUSI_EV_CONNECT, 0);
	await_status(9001, DUSI_EV_ACCEPT, 0);
}

static void pair(void)
{
	pair_of(AF_INET, sock_new(), sock_new(), sock_new());
}

static uint8_t pattern(uint64_t at)
{
	return (at * 2654435761u) >> 13;
}

static void fill(size_t off, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		area[off + i] = pattern(at + i);
}

static void check(size_t off, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		if (area[off + i] != pattern(at + i))
			fail_msg("byte %llu of the stream is wrong", (unsigned long long)(at + i));
}

/* Receives exactly @total bytes on @sock, a piece at a time, and compares. */
static void drain(dusi_sock_t sock, uint64_t total, size_t piece_len)
{
	uint64_t got = 0;

	while (got < total) {
		size_t want = total - got < piece_len ? total - got : piece_len, len;

		ok(post_recv(sock, AREA / 2, want, 9003));
		len = await_len(9003, DUSI_EV_RECV);
		assert_true(len > 0 && len <= want);
		check(AREA / 2, len, got);
		got += len;
	}
}

static uint64_t counter(const char *wanted)
{
	const char *name;
	uint64_t value;

	for (unsigned i = 0; !Dusi_Counter(t.ual, i, &name, &value); i++)
		if (!strcmp(name, wanted))
			return value;
	fail_msg("no counter %s", wanted);
	return 0;
}

/* The engine has come so far, whoever runs it. */
static void await_counter(const char *name, uint64_t least)
{
	while (counter(name) < least) {
		Dusi_EvQ_Num_Events(t.evq);
		usleep(100);
	}
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void set_timeout(dusi_sock_t sock, enum dusi_socket_option option, int64_t us)
{
	ok(Dusi_Set_Socket_Ops(sock, option, &us, sizeof(us)));
}

static void set_int(dusi_sock_t sock, enum dusi_socket_option option, int value)
{
	ok(Dusi_Set_Socket_Ops(sock, option, &value, sizeof(value)));
}

static int get_int(dusi_sock_t sock, enum dusi_socket_option option)
{
	int value;
	size_t len = sizeof(value);

	ok(Dusi_Get_Socket_Ops(sock, option, &value, &len));
	return value;
}

/* --------------------------------------------------------------------------- connections */

static void check_path(dusi_sock_t sock)
{
	char path[DUSI_PATH_LEN];
	size_t len = sizeof(path);
	struct dusi_ual_info info;

	ok(Dusi_Query_Ual(t.ual, &info));
	ok(Dusi_Get_Socket_Ops(sock, DUSI_SO_PATH, path, &len));
	assert_string_equal(path, info.fabric);
	assert_int_equal(Dusi_Set_Socket_Ops(sock, DUSI_SO_PATH, path, len), -ENOPROTOOPT);
}

static void exchange(int family)
{
	struct sockaddr_storage ends[4];
	size_t len = sizeof(ends[0]);
	struct dusi_event ev;

	t.listener = sock_new();
	bind_and_listen(t.listener, family);
	t.b = sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .context = 77 });
	t.a = sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .context = 55 });
	ok(Dusi_Accept(t.listener, t.b, 1));
	connect_to(t.a, t.listener, UINT64_MAX);
	ev = await_status(1, DUSI_EV_ACCEPT, 0);
	assert_int_equal(ev.sock.id, t.b.id);
	assert_int_equal(ev.context, 77);
	ev = await_status(UINT64_MAX, DUSI_EV_CONNECT, 0);
	assert_int_equal(ev.sock.id, t.a.id);
	assert_int_equal(ev.context, 55);

	memcpy(area, "hello", 5);
	ok(post_recv(t.b, 100, 100, 2));
	ok(post_send(t.a, 0, 5, 3));
	ev = await_status(3, DUSI_EV_SEND, 0);
	assert_int_equal(ev.len, 5);
	assert_int_equal(ev.sock.id, t.a.id);
	ev = await_status(2, DUSI_EV_RECV, 0);
	assert_int_equal(ev.len, 5);
	assert_int_equal(ev.sock.id, t.b.id);
	assert_memory_equal(area + 100, "hello", 5);

	ok(Dusi_Get_Socket_Ops(t.a, DUSI_SO_LOCAL_ADDRESS, &ends[0], &len));
	ok(Dusi_Get_Socket_Ops(t.b, DUSI_SO_PEER_ADDRESS, &ends[1], &len));
	ok(Dusi_Get_Socket_Ops(t.b, DUSI_SO_LOCAL_ADDRESS, &ends[2], &len));
	ok(Dusi_Get_Socket_Ops(t.a, DUSI_SO_PEER_ADDRESS, &ends[3], &len));
	assert_int_equal(ends[0].ss_family, family);
	assert_memory_equal(&ends[0], &ends[1], sizeof(ends[0]));
	assert_memory_equal(&ends[2], &ends[3], sizeof(ends[0]));
	check_path(t.a);
	check_path(t.b);
	nothing_more();
}

static void exchange_ipv4(void **state)
{
	(void)state;
	exchange(AF_INET);
}

static void exchange_ipv6(void **state)
{
	(void)state;
	exchange(AF_INET6);
}

static void separate_queues(void **state)
{
	dusi_evq_t q[4] = { evq_new(0), evq_new(0), evq_new(0), evq_new(0) };
	struct dusi_event ev;

	(void)state;
	t.listener = sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .rx_evq = q[0] });
	t.a = sock_with((struct dusi_socket_attr){ .tx_evq = q[1], .rx_evq = q[2] });
	t.b = sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .rx_evq = q[3] });
	bind_and_listen(t.listener, AF_INET);
	ok(Dusi_Accept(t.listener, t.b, 1));
	connect_to(t.a, t.listener, 2);
	ev = next_on(q[0]);
	assert_true(ev.type == DUSI_EV_ACCEPT && ev.tag == 1 && ev.status == 0);
	ev = next_on(q[1]);
	assert_true(ev.type == DUSI_EV_CONNECT && ev.tag == 2 && ev.status == 0);

	assert_int_equal(Dusi_Wait_Any(q, 4, 0), -ETIMEDOUT);
	ok(post_recv(t.b, 100, 100, 3));
	ok(Dusi_Send_Inline(t.a, "x", 1, 4));
	ok(Dusi_Shutdown(t.a, DUSI_SHUT_TX, 5));
	assert_int_equal(Dusi_Wait_Any(&q[3], 1, PATIENCE), 0);
	ev = next_on(q[3]);
	assert_true(ev.type == DUSI_EV_RECV && ev.tag == 3 && ev.len == 1);
	ev = next_on(q[1]);
	assert_true(ev.type == DUSI_EV_SEND && ev.tag == 4 && ev.len == 1);
	assert_int_equal(Dusi_Wait_Any(q, 4, PATIENCE), 1);
	ev = next_on(q[1]);
	assert_true(ev.type == DUSI_EV_SHUTDOWN && ev.tag == 5);
	assert_int_equal(Dusi_Wait_Any(q, 4, 2000), -ETIMEDOUT);
	nothing_more();
}

#define SHARERS 20

static void shared_queue(void **state)
{
	dusi_sock_t a[SHARERS], b[SHARERS];
	uint64_t seen = 0;

	(void)state;
	t.listener = sock_new();
	bind_and_listen(t.listener, AF_INET);
	for (int i = 0; i < SHARERS; i++) {
		a[i] = sock_new();
		b[i] = sock_new();
		ok(Dusi_Accept(t.listener, b[i], 1));
		ok(post_recv(b[i], 100 * i, 100, 2));
	}
	for (int i = 0; i < SHARERS; i++)
		connect_to(a[i], t.listener, 3);
	for (int i = 0; i < SHARERS; i++) {
		struct dusi_event ev = await_status(3, DUSI_EV_CONNECT, 0);

		ok(Dusi_Send_Inline(ev.sock, &ev.context, sizeof(ev.context), 4));
	}
	for (int i = 0; i < SHARERS; i++) {
		await_status(1, DUSI_EV_ACCEPT, 0);
		assert_int_equal(await_len(4, DUSI_EV_SEND), 8);
		assert_int_equal(await_len(2, DUSI_EV_RECV), 8);
	}
	for (int i = 0; i < SHARERS; i++) {
		uint64_t context;

		memcpy(&context, area + 100 * i, sizeof(context));
		assert_true(context < 64 && !(seen & UINT64_C(1) << context));
		seen |= UINT64_C(1) << context;
	}
	nothing_more();
}

/* A client that sends at once meets a receive that is older than its connection. */
static void receive_before_accept(void **state)
{
	(void)state;
	t.listener = sock_new();
	t.a = sock_new();
	t.b = sock_new();
	bind_and_listen(t.listener, AF_INET);
	ok(Dusi_Accept(t.listener, t.b, 1));
	ok(post_recv(t.b, 0, 100, 2));
	ok(post_recv(t.a, 100, 100, 3));
	connect_to(t.a, t.listener, 4);
	/* and a send may be posted while the connect is under way */
	ok(Dusi_Send_Inline(t.a, "early", 5, 5));
	assert_int_equal(await_len(2, DUSI_EV_RECV), 5);
	assert_memory_equal(area, "early", 5);
	await_status(1, DUSI_EV_ACCEPT, 0);
	await_status(4, DUSI_EV_CONNECT, 0);
	assert_int_equal(await_len(5, DUSI_EV_SEND), 5);
	ok(Dusi_Send_Inline(t.b, "back", 4, 6));
	assert_int_equal(await_len(3, DUSI_EV_RECV), 4);
	await_status(6, DUSI_EV_SEND, 0);
	nothing_more();
}

static void options_of_connections(void **state)
{
	dusi_sock_t listener = sock_new(), child = sock_new();

	(void)state;
	set_int(listener, DUSI_SO_NODELAY, 0);
	set_int(listener, DUSI_SO_KEEPALIVE, 1);
	set_int(child, DUSI_SO_SNDBUF, 65536);
	pair_of(AF_INET, listener, sock_new(), child);
	assert_int_equal(get_int(t.a, DUSI_SO_NODELAY), 1);
	assert_int_equal(get_int(t.a, DUSI_SO_KEEPALIVE), 0);
	assert_int_equal(get_int(t.b, DUSI_SO_NODELAY), 0);
	assert_int_equal(get_int(t.b, DUSI_SO_KEEPALIVE), 1);
	assert_int_equal(get_int(t.b, DUSI_SO_SNDBUF), 131072);
	set_int(t.a, DUSI_SO_KEEPALIVE, 1);
	assert_int_equal(get_int(t.a, DUSI_SO_KEEPALIVE), 1);
	set_int(t.a, DUSI_SO_SNDBUF, 65536);
	assert_int_equal(get_int(t.a, DUSI_SO_SNDBUF), 131072);
}

static int plain_listener(struct sockaddr_in *in, int backlog)
{
	socklen_t len = sizeof(*in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*in = (struct sockaddr_in){ .sin_family = AF_INET };
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)in, len));
	assert_true(!getsockname(fd, (struct sockaddr *)in, &len));
	assert_true(backlog < 0 || !listen(fd, backlog));
	return fd;
}

static void connect_refused(void **state)
{
	struct sockaddr_in in;
	int fd = plain_listener(&in, -1); /* the port is taken, but nobody listens */

	(void)state;
	t.a = sock_new();
	ok(post_recv(t.a, 0, 100, 1));
	ok(Dusi_Connect(t.a, (struct sockaddr *)&in, sizeof(in), 2));
	await_status(2, DUSI_EV_CONNECT, -ECONNREFUSED);
	await_status(1, DUSI_EV_RECV, -ECONNREFUSED);
	nothing_more();
	close(fd);
}

/* A listener whose backlog is full answers no one. */
static int deaf_listener(struct sockaddr_in *in, int *clients, int n)
{
	int fd = plain_listener(in, 0);

	for (int i = 0; i < n; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(clients[i] >= 0);
		connect(clients[i], (struct sockaddr *)in, sizeof(*in));
	}
	return fd;
}

static void connect_times_out(void **state)
{
	struct sockaddr_in in;
	int clients[4], fd;
	int64_t start;

	(void)state;
	skip_where_none_is_deaf();
	fd = deaf_listener(&in, clients, 4);
	start = now_us();
	t.a = sock_new();
	set_timeout(t.a, DUSI_SO_CONNECT_TIMEOUT, 30000);
	ok(Dusi_Connect(t.a, (struct sockaddr *)&in, sizeof(in), 1));
	await_status(1, DUSI_EV_CONNECT, -ETIMEDOUT);
	assert_true(now_us() - start >= 29000);

	t.b = sock_new();
	ok(Dusi_Connect(t.b, (struct sockaddr *)&in, sizeof(in), 2));
	assert_int_equal(Dusi_Connect(t.b, (struct sockaddr *)&in, sizeof(in), 3), -EALREADY);
	assert_int_equal(Dusi_Cancel(t.b, 3), -ENOENT);
	assert_int_equal(Dusi_Cancel(t.b, 2), 1);
	await_status(2, DUSI_EV_CONNECT, -ECANCELED);
	nothing_more();
	for (int i = 0; i < 4; i++)
		close(clients[i]);
	close(fd);
}

static void accept_times_out(void **state)
{
	int64_t start = now_us();

	(void)state;
	t.listener = sock_new();
	t.a = sock_new();
	t.b = sock_new();
	set_timeout(t.listener, DUSI_SO_ACCEPT_TIMEOUT, 30000);
	bind_and_listen(t.listener, AF_INET);
	ok(Dusi_Accept(t.listener, t.b, 1));
	assert_int_equal(await_status(1, DUSI_EV_ACCEPT, -ETIMEDOUT).sock.id, t.b.id);
	assert_true(now_us() - start >= 29000);

	/* the child may be used again, and no accept is left over */
	set_timeout(t.listener, DUSI_SO_ACCEPT_TIMEOUT, 0);
	connect_to(t.a, t.listener, 2);
	await_status(2, DUSI_EV_CONNECT, 0);
	nothing_more();
	ok(Dusi_Accept(t.listener, t.b, 3));
	await_status(3, DUSI_EV_ACCEPT, 0);
	nothing_more();
}

/* ---------------------------------------------------------------------------------- data */

static void small_pool(void)
{
	ok(Dusi_Close_Ual(t.ual));
	ual_open((struct dusi_ual_attr){ .pool = { { 2048, 8 }, { 4096, 2 } } });
}

/* What comes before its receives waits in anonymous buffers, and when they are full, in TCP. */
static void late_receives(void **state)
{
	const size_t total = AREA / 2;

	(void)state;
	small_pool();
	pair();
	fill(0, total, 0);
	for (size_t at = 0; at < total; at += total / 8)
		ok(post_send(t.a, at, total / 8, 1));
	await_counter("anon_bytes", 1);
	await_counter("rx_stalls", 1);
	drain(t.b, total, 777);
	for (int i = 0; i < 8; i++)
		assert_int_equal(await_len(1, DUSI_EV_SEND), total / 8);
	assert_true(counter("anon_copied") > 0);
	nothing_more();
}

static void half_close(void **state)
{
	(void)state;
	pair();
	ok(Dusi_Send_Inline(t.a, "last words", 10, 1));
	ok(Dusi_Shutdown(t.a, DUSI_SHUT_TX, 2));
	ok(Dusi_Send_Inline(t.a, "too late", 8, 3));
	await_status(1, DUSI_EV_SEND, 0);
	await_status(2, DUSI_EV_SHUTDOWN, 0);
	await_status(3, DUSI_EV_SEND, -EPIPE);
	ok(post_recv(t.b, 0, 100, 4));
	ok(post_recv(t.b, 100, 100, 5));
	assert_int_equal(await_len(4, DUSI_EV_RECV), 10);
	assert_int_equal(await_len(5, DUSI_EV_RECV), 0);
	ok(post_recv(t.b, 0, 100, 6));
	assert_int_equal(await_len(6, DUSI_EV_RECV), 0);

	/* the other direction goes on */
	ok(post_recv(t.a, 200, 100, 7));
	ok(Dusi_Send_Inline(t.b, "still here", 10, 8));
	assert_int_equal(await_len(7, DUSI_EV_RECV), 10);
	assert_memory_equal(area + 200, "still here", 10);
	await_status(8, DUSI_EV_SEND, 0);
	ok(Dusi_Shutdown(t.b, DUSI_SHUT_BOTH, 9));
	await_status(9, DUSI_EV_SHUTDOWN, 0);
	ok(post_recv(t.a, 0, 100, 10));
	assert_int_equal(await_len(10, DUSI_EV_RECV), 0);
	nothing_more();
}

static void shutdown_receiving(void **state)
{
	(void)state;
	pair();
	ok(post_recv(t.b, 0, 100, 1));
	ok(Dusi_Shutdown(t.b, DUSI_SHUT_RX, 2));
	assert_int_equal(await_len(1, DUSI_EV_RECV), 0);
	await_status(2, DUSI_EV_SHUTDOWN, 0);
	ok(post_recv(t.b, 0, 100, 3));
	assert_int_equal(await_len(3, DUSI_EV_RECV), 0);
	/* what arrives is dropped, and sending goes on: this side's too */
	fill(0, 100000, 0);
	for (int i = 0; i < 10; i++) {
		ok(post_send(t.a, 0, 100000, 4));
		assert_int_equal(await_len(4, DUSI_EV_SEND), 100000);
	}
	ok(post_recv(t.b, 0, 100, 5));
	assert_int_equal(await_len(5, DUSI_EV_RECV), 0);
	ok(post_recv(t.a, 0, 100, 6));
	ok(Dusi_Send_Inline(t.b, "x", 1, 7));
	assert_int_equal(await_len(6, DUSI_EV_RECV), 1);
	await_status(7, DUSI_EV_SEND, 0);
	/* the other half, later */
	ok(Dusi_Shutdown(t.b, DUSI_SHUT_TX, 8));
	await_status(8, DUSI_EV_SHUTDOWN, 0);
	ok(Dusi_Shutdown(t.b, DUSI_SHUT_RX, 9));
	await_status(9, DUSI_EV_SHUTDOWN, 0);
	ok(post_recv(t.a, 0, 100, 10));
	assert_int_equal(await_len(10, DUSI_EV_RECV), 0);
	nothing_more();
}

static void not_connected(void **state)
{
	(void)state;
	t.a = sock_new();
	ok(Dusi_Send_Inline(t.a, "x", 1, 1));
	await_status(1, DUSI_EV_SEND, -ENOTCONN);
	ok(Dusi_Shutdown(t.a, DUSI_SHUT_TX, 2));
	await_status(2, DUSI_EV_SHUTDOWN, -ENOTCONN);
	assert_int_equal(Dusi_Shutdown(t.a, DUSI_SHUT_RX, 3), -ENOTCONN);
	nothing_more();
}

/* A send far larger than the socket's buffers ends when all of it has gone. */
static void large_send_is_whole(void **state)
{
	dusi_sock_t listener = sock_new(), a = sock_new(), b = sock_new();
	const size_t total = AREA / 2;

	(void)state;
	set_int(listener, DUSI_SO_RCVBUF, 65536);
	set_int(a, DUSI_SO_SNDBUF, 65536);
	pair_of(AF_INET, listener, a, b);
	fill(0, total, 0);
	for (int round = 0; round < 4; round++) {
		ok(post_send(t.a, 0, total, 1));
		drain(t.b, total, 40000);
		assert_int_equal(await_len(1, DUSI_EV_SEND), total);
	}
	nothing_more();
}

static uint32_t rnd(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

#define GATHER_STREAM (AREA / 4)

/* One send of random pieces that follow each other in the stream; its length, or an error. */
static ssize_t gather_send(uint32_t *seed, size_t at)
{
	struct dusi_buf bufs[DUSI_BUFS_MAX];
	int n = 1 + rnd(seed, DUSI_BUFS_MAX), err;
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		size_t want = rnd(seed, 4) ? rnd(seed, 100) : rnd(seed, 9000);

		if (want > GATHER_STREAM - at - len)
			want = GATHER_STREAM - at - len;
		bufs[i] = piece(at + len, want);
		len += want;
	}
	err = Dusi_Send(t.a, bufs, n, 1);
	return err ? err : (ssize_t)len;
}

static size_t gather_recv(uint32_t *seed)
{
	struct dusi_buf bufs[DUSI_BUFS_MAX];
	size_t off = AREA / 2, len;
	int n = 1 + rnd(seed, DUSI_BUFS_MAX);

	for (int i = 0; i < n; i++) {
		bufs[i] = piece(off, 1 + rnd(seed, 3000));
		off += bufs[i].len;
	}
	ok(Dusi_Recv(t.b, bufs, n, 2));
	len = await_len(2, DUSI_EV_RECV);
	assert_true(len > 0 && len <= off - AREA / 2);
	return len;
}

static void gather_random(void **state)
{
	(void)state;
	pair();
	fill(0, GATHER_STREAM, 0);
	for (uint32_t round = 1; round <= 4; round++) {
		uint32_t seed = round;
		size_t sent = 0, got = 0;
		int posted = 0;

		while (got < GATHER_STREAM) {
			ssize_t len = gather_send(&seed, sent);

			if (len >= 0) {
				sent += len;
				posted++;
			} else {
				assert_int_equal(len, -EAGAIN);
				Dusi_EvQ_Num_Events(t.evq);
			}
			if (got == sent)
				continue;
			len = gather_recv(&seed);
			check(AREA / 2, len, got);
			got += len;
		}
		while (posted--)
			await_status(1, DUSI_EV_SEND, 0);
		nothing_more();
	}
}

/* Pieces scatter in order, one byte each here. */
static void scatter(void **state)
{
	struct dusi_buf bufs[DUSI_BUFS_MAX];

	(void)state;
	pair();
	for (int i = 0; i < DUSI_BUFS_MAX; i++)
		bufs[i] = piece(1000 - 7 * i, 1);
	ok(Dusi_Recv(t.b, bufs, DUSI_BUFS_MAX, 1));
	ok(Dusi_Send_Inline(t.a, "0123456789abc", 13, 2));
	assert_int_equal(await_len(1, DUSI_EV_RECV), 10);
	for (int i = 0; i < DUSI_BUFS_MAX; i++)
		assert_int_equal(area[1000 - 7 * i], '0' + i);
	ok(post_recv(t.b, 0, 100, 3));
	assert_int_equal(await_len(3, DUSI_EV_RECV), 3);
	assert_memory_equal(area, "abc", 3);
	await_status(2, DUSI_EV_SEND, 0);
	nothing_more();
}

/* Inline data are copied at once, of every length; sends of no bytes are done in their order. */
static void inline_sizes(void **state)
{
	uint8_t data[DUSI_INLINE_MAX];
	uint64_t at = 0;

	(void)state;
	pair();
	for (size_t len = 0; len <= DUSI_INLINE_MAX; len++) {
		for (size_t i = 0; i < len; i++)
			data[i] = pattern(at + i);
		ok(Dusi_Send_Inline(t.a, data, len, len));
		memset(data, 0xee, sizeof(data));
		at += len;
		assert_int_equal(await_len(len, DUSI_EV_SEND), len);
	}
	ok(post_send(t.a, 0, 0, 1000));
	assert_int_equal(await_len(1000, DUSI_EV_SEND), 0);
	drain(t.b, at, 5000);
	nothing_more();
}

/* Receives on t.b, whatever comes, until a send has ended. */
static void await_send(size_t len)
{
	struct dusi_event ev;

	while (!kept_take(1, &ev)) {
		ok(post_recv(t.b, AREA / 2, AREA / 2, 2));
		await_status(2, DUSI_EV_RECV, 0);
	}
	assert_int_equal(ev.status, 0);
	assert_int_equal(ev.len, len);
}

/* Whoever is told "again", and takes events, gets room before there is nothing left to take. */
static void full_send_queue(void **state)
{
	dusi_sock_t listener = sock_new(), a = sock_new();
	const size_t len = 30000;
	int posted = 0, full = 0;

	(void)state;
	set_int(listener, DUSI_SO_RCVBUF, 65536);
	set_int(a, DUSI_SO_SNDBUF, 65536);
	pair_of(AF_INET, listener, a, sock_new());
	while (full < 50) {
		int err = post_send(a, 0, len, 1);

		if (!err) {
			posted++;
			continue;
		}
		assert_int_equal(err, -EAGAIN);
		assert_true(posted > 0);
		full++;
		await_send(len);
		posted--;
	}
	while (posted--)
		await_send(len);
}

static void full_receive_queue(void **state)
{
	int posted = 0;

	(void)state;
	pair();
	while (!post_recv(t.b, 10 * posted, 10, posted))
		posted++;
	assert_int_equal(posted, 16);
	assert_int_equal(post_recv(t.b, 0, 10, 99), -EAGAIN);
	fill(AREA / 2, 160, 0);
	ok(post_send(t.a, AREA / 2, 160, 1000));
	for (int i = 0; i < posted; i++)
		assert_int_equal(await_len(i, DUSI_EV_RECV), 10);
	check(0, 160, 0);
	ok(post_recv(t.b, 0, 10, 99));
	await_status(1000, DUSI_EV_SEND, 0);
	nothing_more();
}

/* A queue of two events carries a hundred operations, only slower. */
static void tiny_event_queue(void **state)
{
	dusi_evq_t tiny = evq_new(1);
	dusi_sock_t b = sock_with(
		(struct dusi_socket_attr){ .tx_evq = t.evq, .rx_evq = tiny, .rx_slots = 128 });
	uint64_t got = 0;

	(void)state;
	pair_of(AF_INET, sock_new(), sock_new(), b);
	fill(AREA / 2, 1000, 0);
	for (int i = 0; i < 100; i++)
		ok(post_recv(t.b, 10 * i, 10, i));
	ok(post_send(t.a, AREA / 2, 1000, 1000));
	await_status(1000, DUSI_EV_SEND, 0);
	for (int i = 0; i < 100; i++) {
		struct dusi_event ev = next_on(tiny);

		assert_int_equal(ev.tag, i);
		assert_int_equal(ev.len, 10);
		got += ev.len;
		assert_true(Dusi_EvQ_Num_Events(tiny) <= 2);
	}
	assert_int_equal(got, 1000);
	check(0, 1000, 0);

	/* closing cancels more than the queue has room for */
	for (int i = 0; i < 100; i++)
		ok(post_recv(t.b, 10 * i, 10, 100 + i));
	ok(Dusi_Close_Socket(t.b));
	assert_int_equal(Dusi_Destroy_EvQ(tiny), -EBUSY);
	for (int i = 0; i < 100; i++) {
		struct dusi_event ev = next_on(tiny);

		assert_int_equal(ev.tag, 100 + i);
		assert_int_equal(ev.status, -ECANCELED);
		assert_int_equal(ev.sock.id, t.b.id);
	}
	assert_int_equal(Dusi_EvQ_Num_Events(tiny), 0);
	ok(Dusi_Destroy_EvQ(tiny));
	nothing_more();
}

/* -------------------------------------------------------------------------------- memory */

enum wrong { TAG, REGION, BOUNDS, BEFORE, ACCESS, REVOKED, WRONGS };

static const int wrong_status[WRONGS] = {
	[TAG] = -EKEYREJECTED, [REGION] = -ENOKEY, [BOUNDS] = -ERANGE,
	[BEFORE] = -ERANGE,    [ACCESS] = -EACCES, [REVOKED] = -EKEYREVOKED,
};

/* A piece that may not be used in this direction. */
static struct dusi_buf wrong_piece(enum wrong wrong, unsigned usable)
{
	struct dusi_buf buf = piece(0, 100);

	switch (wrong) {
	case TAG:
		buf.mem.ptag ^= 0x80;
		break;
	case REGION:
		buf.mem.region ^= 0x7fff;
		break;
	case BOUNDS:
		buf.addr = area + AREA - 99;
		break;
	case BEFORE:
		buf.addr = (void *)((uintptr_t)area - 1);
		break;
	case ACCESS:
		ok(Dusi_Register_Memory(t.ual, area, 100,
					usable == DUSI_READ ? DUSI_WRITE : DUSI_READ, &buf.mem));
		break;
	default:
		ok(Dusi_Register_Memory(t.ual, area, 100, usable, &buf.mem));
		ok(Dusi_Deregister_Memory(t.ual, buf.mem));
		break;
	}
	return buf;
}

/* Between two good ones, and as the second piece of two. */
static void wrong_sends(void **state)
{
	(void)state;
	pair();
	for (enum wrong w = TAG; w < WRONGS; w++) {
		struct dusi_buf bufs[2] = { piece(0, 4), wrong_piece(w, DUSI_READ) };

		fill(0, 100, 0);
		ok(post_recv(t.b, 200, 100, 1));
		ok(post_send(t.a, 0, 3, 2));
		ok(Dusi_Send(t.a, &bufs[1], 1, 3));
		ok(Dusi_Send(t.a, bufs, 2, 4));
		await_status(2, DUSI_EV_SEND, 0);
		assert_int_equal(await_status(3, DUSI_EV_SEND, wrong_status[w]).len, 0);
		assert_int_equal(await_status(4, DUSI_EV_SEND, wrong_status[w]).len, 0);
		assert_int_equal(await_len(1, DUSI_EV_RECV), 3);
		ok(post_recv(t.b, 203, 100, 5));
		ok(post_send(t.a, 3, 5, 6));
		assert_int_equal(await_len(5, DUSI_EV_RECV), 5);
		await_status(6, DUSI_EV_SEND, 0);
		check(200, 8, 0);
	}
	nothing_more();
}

static void wrong_receives(void **state)
{
	(void)state;
	pair();
	for (enum wrong w = TAG; w < WRONGS; w++) {
		struct dusi_buf bufs[2] = { piece(0, 4), wrong_piece(w, DUSI_WRITE) };

		ok(Dusi_Recv(t.b, &bufs[1], 1, 1));
		ok(Dusi_Recv(t.b, bufs, 2, 2));
		ok(post_recv(t.b, 200, 100, 3));
		fill(300, 8, 0);
		ok(post_send(t.a, 300, 8, 4));
		assert_int_equal(await_status(1, DUSI_EV_RECV, wrong_status[w]).len, 0);
		assert_int_equal(await_status(2, DUSI_EV_RECV, wrong_status[w]).len, 0);
		assert_int_equal(await_len(3, DUSI_EV_RECV), 8);
		await_status(4, DUSI_EV_SEND, 0);
		check(200, 8, 0);
	}
	nothing_more();
}

/* Lengths and addresses that wrap are beyond the bounds, not within them. */
static void wrapping_pieces(void **state)
{
	static const size_t lengths[] = { AREA + 1, 0x7fffffff, 0x80000000, 0xffffffff };

	(void)state;
	pair();
	for (unsigned i = 0; i < 4; i++) {
		struct dusi_buf buf = { area, lengths[i], t.mem };

		ok(Dusi_Send(t.a, &buf, 1, 1));
		await_status(1, DUSI_EV_SEND, -ERANGE);
		buf.addr = (void *)(UINTPTR_MAX - 100);
		ok(Dusi_Send(t.a, &buf, 1, 1));
		await_status(1, DUSI_EV_SEND, -ERANGE);
		ok(Dusi_Recv(t.a, &buf, 1, 2));
		ok(post_recv(t.a, 0, 1, 3));
		ok(Dusi_Send_Inline(t.b, "x", 1, 4));
		await_status(2, DUSI_EV_RECV, -ERANGE);
		assert_int_equal(await_len(3, DUSI_EV_RECV), 1);
		await_status(4, DUSI_EV_SEND, 0);
	}
	nothing_more();
}

static void deregistered_while_posted(void **state)
{
	struct dusi_buf buf = piece(0, 100);

	(void)state;
	pair();
	ok(Dusi_Register_Memory(t.ual, area, 100, DUSI_WRITE, &buf.mem));
	ok(Dusi_Recv(t.b, &buf, 1, 1));
	ok(post_recv(t.b, 200, 100, 2));
	ok(Dusi_Deregister_Memory(t.ual, buf.mem));
	ok(Dusi_Send_Inline(t.a, "x", 1, 3));
	await_status(1, DUSI_EV_RECV, -EKEYREVOKED);
	assert_int_equal(await_len(2, DUSI_EV_RECV), 1);
	await_status(3, DUSI_EV_SEND, 0);
	nothing_more();
}

/* Memory that was unmapped under its registration. */
static void unmapped_while_registered(void **state)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dusi_buf buf = { p, 100, { 0, 0 } };

	(void)state;
	pair();
	ok(Dusi_Register_Memory(t.ual, p, page, DUSI_READ | DUSI_WRITE, &buf.mem));
	ok(munmap(p, page));
	ok(Dusi_Recv(t.b, &buf, 1, 1));
	ok(post_recv(t.b, 200, 100, 2));
	ok(Dusi_Send(t.a, &buf, 1, 3));
	ok(Dusi_Send_Inline(t.a, "x", 1, 4));
	await_status(3, DUSI_EV_SEND, -EFAULT);
	await_status(4, DUSI_EV_SEND, 0);
	await_status(1, DUSI_EV_RECV, -EFAULT);
	assert_int_equal(await_len(2, DUSI_EV_RECV), 1);
	nothing_more();
}

/* ----------------------------------------------------------------------- cancel and close */

static void cancel_receives(void **state)
{
	(void)state;
	pair();
	ok(post_recv(t.b, 0, 10, 1));
	ok(post_recv(t.b, 10, 10, 2));
	ok(post_recv(t.b, 20, 10, 1));
	ok(post_recv(t.b, 30, 10, 3));
	assert_int_equal(Dusi_Cancel(t.b, 99), -ENOENT);
	assert_int_equal(Dusi_Cancel(t.a, 1), -ENOENT);
	assert_int_equal(Dusi_Cancel(t.b, 1), 2);
	await_status(1, DUSI_EV_RECV, -ECANCELED);
	await_status(1, DUSI_EV_RECV, -ECANCELED);
	assert_int_equal(Dusi_Cancel(t.b, 1), -ENOENT);
	ok(Dusi_Send_Inline(t.a, "0123456789abcdefghij", 20, 4));
	assert_int_equal(await_len(2, DUSI_EV_RECV), 10);
	assert_int_equal(await_len(3, DUSI_EV_RECV), 10);
	assert_memory_equal(area + 10, "0123456789", 10);
	assert_memory_equal(area + 30, "abcdefghij", 10);
	await_status(4, DUSI_EV_SEND, 0);
	nothing_more();
}

/* Sends that have not begun can be cancelled; the one that has, goes on. */
static void cancel_sends(void **state)
{
	const size_t len = AREA / 2;
	dusi_sock_t listener, a;

	(void)state;
	skip_on_pairs();
	small_pool();
	listener = sock_new();
	a = sock_new();
	set_int(listener, DUSI_SO_RCVBUF, 65536);
	set_int(a, DUSI_SO_SNDBUF, 65536);
	pair_of(AF_INET, listener, a, sock_new());
	fill(0, len, 0);
	ok(post_send(t.a, 0, len, 1));
	await_counter("tx_bytes", 1);
	ok(post_send(t.a, 0, 100, 2));
	ok(post_send(t.a, 0, 100, 2));
	assert_int_equal(Dusi_Cancel(t.a, 1), -ENOENT);
	assert_int_equal(Dusi_Cancel(t.a, 2), 2);
	await_status(2, DUSI_EV_SEND, -ECANCELED);
	await_status(2, DUSI_EV_SEND, -ECANCELED);
	ok(Dusi_Shutdown(t.a, DUSI_SHUT_TX, 3));
	drain(t.b, len, 30000);
	assert_int_equal(await_len(1, DUSI_EV_SEND), len);
	await_status(3, DUSI_EV_SHUTDOWN, 0);
	ok(post_recv(t.b, 0, 100, 4));
	assert_int_equal(await_len(4, DUSI_EV_RECV), 0);
	nothing_more();
}

/* An accept belongs to its listener, whatever tags its child's receives have. */
static void cancel_accept(void **state)
{
	(void)state;
	t.listener = sock_new();
	t.a = sock_new();
	t.b = sock_new();
	bind_and_listen(t.listener, AF_INET);
	ok(Dusi_Accept(t.listener, t.b, 5));
	ok(post_recv(t.b, 0, 100, 5));
	assert_int_equal(Dusi_Cancel(t.b, 5), 1);
	await_status(5, DUSI_EV_RECV, -ECANCELED);
	assert_int_equal(Dusi_Cancel(t.b, 5), -ENOENT);
	nothing_more();
	assert_int_equal(Dusi_Cancel(t.listener, 5), 1);
	await_status(5, DUSI_EV_ACCEPT, -ECANCELED);
	assert_int_equal(Dusi_Cancel(t.listener, 5), -ENOENT);
	nothing_more();

	ok(Dusi_Accept(t.listener, t.b, 6));
	connect_to(t.a, t.listener, 7);
	await_status(6, DUSI_EV_ACCEPT, 0);
	await_status(7, DUSI_EV_CONNECT, 0);
	nothing_more();
}

/* Events of a closed socket name it, also when its place has been taken by others. */
static void close_with_posted(void **state)
{
	dusi_sock_t b, later[3];
	struct dusi_event ev;

	(void)state;
	b = sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .context = 4711 });
	pair_of(AF_INET, sock_new(), sock_new(), b);
	ok(Dusi_Send_Inline(t.b, "x", 1, 1));
	for (int i = 0; i < 5; i++)
		ok(post_recv(t.b, 0, 100, 10 + i));
	ok(post_recv(t.a, 100, 100, 20));
	assert_int_equal(await_len(20, DUSI_EV_RECV), 1);
	ok(Dusi_Close_Socket(t.b));
	for (int i = 0; i < 3; i++)
		later[i] = sock_new();
	assert_int_equal(post_recv(t.b, 0, 100, 15), -EBADF);
	assert_int_equal(Dusi_Close_Socket(t.b), -EBADF);
	assert_int_equal(await_status(1, DUSI_EV_SEND, 0).context, 4711);
	for (int i = 0; i < 5; i++) {
		ev = await_status(10 + i, DUSI_EV_RECV, -ECANCELED);
		assert_int_equal(ev.sock.id, t.b.id);
		assert_int_equal(ev.context, 4711);
		for (int j = 0; j < 3; j++)
			assert_int_not_equal(ev.sock.id, later[j].id);
	}
	/* the peer sees the end, one way or the other */
	ok(post_recv(t.a, 100, 100, 21));
	ev = await(21);
	assert_true(ev.len == 0 && (ev.status == 0 || ev.status == -ECONNRESET));
	nothing_more();
}

static void close_with_accepts(void **state)
{
	dusi_sock_t children[3];

	(void)state;
	t.listener = sock_new();
	bind_and_listen(t.listener, AF_INET);
	for (int i = 0; i < 3; i++) {
		children[i] = sock_new();
		ok(Dusi_Accept(t.listener, children[i], i));
	}
	ok(Dusi_Close_Socket(children[1]));
	assert_int_equal(await_status(1, DUSI_EV_ACCEPT, -ECANCELED).sock.id, children[1].id);
	nothing_more();
	ok(Dusi_Close_Socket(t.listener));
	assert_int_equal(await_status(0, DUSI_EV_ACCEPT, -ECANCELED).sock.id, children[0].id);
	assert_int_equal(await_status(2, DUSI_EV_ACCEPT, -ECANCELED).sock.id, children[2].id);
	nothing_more();

	/* a child whose listener has gone serves another */
	t.listener = sock_new();
	t.a = sock_new();
	bind_and_listen(t.listener, AF_INET6);
	ok(Dusi_Accept(t.listener, children[0], 3));
	connect_to(t.a, t.listener, 4);
	await_status(3, DUSI_EV_ACCEPT, 0);
	await_status(4, DUSI_EV_CONNECT, 0);
}

static void close_while_connecting(void **state)
{
	struct sockaddr_in in;
	int clients[4], fd;

	(void)state;
	skip_where_none_is_deaf();
	fd = deaf_listener(&in, clients, 4);
	t.a = sock_new();
	ok(Dusi_Connect(t.a, (struct sockaddr *)&in, sizeof(in), 1));
	ok(Dusi_Send_Inline(t.a, "x", 1, 2));
	ok(Dusi_Close_Socket(t.a));
	await_status(1, DUSI_EV_CONNECT, -ECANCELED);
	await_status(2, DUSI_EV_SEND, -ECANCELED);
	nothing_more();
	for (int i = 0; i < 4; i++)
		close(clients[i]);
	close(fd);
}

static void reset_by_peer(void **state)
{
	struct linger at_once = { .l_onoff = 1 };
	struct sockaddr_in in;
	int fd, peer;

	(void)state;
	skip_on_pairs();
	fd = plain_listener(&in, 8);
	t.a = sock_new();
	ok(Dusi_Connect(t.a, (struct sockaddr *)&in, sizeof(in), 1));
	await_status(1, DUSI_EV_CONNECT, 0);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	ok(post_recv(t.a, 0, 100, 2));
	ok(setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
	close(peer);
	await_status(2, DUSI_EV_RECV, -ECONNRESET);
	ok(post_recv(t.a, 0, 100, 3));
	await_status(3, DUSI_EV_RECV, -ECONNRESET);
	ok(Dusi_Send_Inline(t.a, "x", 1, 4));
	assert_true(await(4).status < 0);
	close(fd);
}

/* Many short connections: places and handles come and go. */
static void connect_close_repeatedly(void **state)
{
	uint64_t dtis = counter("dtis");

	(void)state;
	t.listener = sock_new();
	bind_and_listen(t.listener, AF_INET);
	for (int i = 0; i < 300; i++) {
		t.a = sock_new();
		t.b = sock_new();
		ok(Dusi_Accept(t.listener, t.b, 1));
		connect_to(t.a, t.listener, 2);
		await_status(2, DUSI_EV_CONNECT, 0);
		assert_int_equal(await_status(1, DUSI_EV_ACCEPT, 0).context, t.next_context);
		ok(Dusi_Close_Socket(i & 1 ? t.a : t.b));
		ok(Dusi_Close_Socket(i & 1 ? t.b : t.a));
	}
	nothing_more();
	ok(Dusi_Close_Socket(t.listener));
	assert_int_equal(counter("dtis"), dtis);
}

/* -------------------------------------------------------------------------------- events */

static void done_out_of_order(void **state)
{
	struct dusi_event ev;

	(void)state;
	pair();
	for (int i = 0; i < 5; i++)
		ok(post_recv(t.b, 10 * i, 10, i));
	assert_int_equal(Dusi_Done(t.evq, 3, &ev), 0);
	fill(100, 50, 0);
	ok(post_send(t.a, 100, 50, 5));
	while (Dusi_EvQ_Num_Events(t.evq) < 6)
		usleep(100);
	assert_int_equal(Dusi_Done(t.evq, 3, &ev), 1);
	assert_true(ev.tag == 3 && ev.type == DUSI_EV_RECV && ev.len == 10);
	assert_int_equal(Dusi_Done(t.evq, 3, &ev), 0);
	assert_int_equal(Dusi_EvQ_Num_Events(t.evq), 5);
	assert_int_equal(Dusi_Done(t.evq, 5, &ev), 1);
	assert_int_equal(Dusi_Done(t.evq, 0, &ev), 1);
	assert_int_equal(Dusi_EvQ_Num_Events(t.evq), 3);
	for (int i = 1; i < 5; i++)
		if (i != 3)
			assert_int_equal(next_on(t.evq).tag, i);
	assert_int_equal(Dusi_EvQ_Num_Events(t.evq), 0);
	nothing_more();
}

/* A program that polls with one of these calls alone makes progress. */
static void polling_alone(void **state)
{
	struct dusi_event ev;

	(void)state;
	pair();
	ok(post_recv(t.b, 0, 10, 1));
	ok(Dusi_Send_Inline(t.a, "x", 1, 2));
	while (!Dusi_Done(t.evq, 1, &ev))
		;
	assert_int_equal(ev.len, 1);
	while (!Dusi_EvQ_Num_Events(t.evq))
		;
	assert_int_equal(await(2).len, 1);
	ok(post_recv(t.b, 0, 10, 3));
	ok(Dusi_Send_Inline(t.a, "x", 1, 4));
	while (Dusi_Wait_Any(&t.evq, 1, 0) == -ETIMEDOUT)
		;
	await_len(3, DUSI_EV_RECV);
	await_len(4, DUSI_EV_SEND);
	nothing_more();
}

/* @n events with tags 0 to n - 1 are in the queue. */
static void make_events(int n)
{
	for (int i = 0; i < n; i++) {
		while (Dusi_Send_Inline(t.a, "x", 1, i) == -EAGAIN)
			Dusi_EvQ_Num_Events(t.evq);
	}
	while (Dusi_EvQ_Num_Events(t.evq) < n)
		usleep(100);
}

static void takes_at_most_max(void **state)
{
	struct dusi_event ev[101];
	uint64_t next = 0;

	(void)state;
	pair();
	make_events(100);
	for (int max = 1; next < 100; max += 7) {
		int n = Dusi_Wait_All(t.evq, ev, max, -1, NULL, NULL);

		assert_int_equal(n, max < 100 - (int)next ? max : 100 - (int)next);
		for (int i = 0; i < n; i++)
			assert_int_equal(ev[i].tag, next++);
	}
	make_events(100);
	ev[100].tag = 4711;
	assert_int_equal(Dusi_Wait_All(t.evq, ev, 101, 0, NULL, NULL), 100);
	assert_int_equal(ev[99].tag, 99);
	assert_int_equal(ev[100].tag, 4711);
	nothing_more();
}

struct calls {
	uint64_t next;
	int depth, nested;
};

static void count_call(const struct dusi_event *event, void *arg)
{
	struct calls *c = arg;

	assert_int_equal(event->tag, c->next);
	c->next++;
	/* takes two of the events itself, and they are the next two */
	if (c->nested && !c->depth && event->tag % 10 == 0) {
		c->depth++;
		assert_int_equal(Dusi_Wait_All(t.evq, NULL, 2, 0, count_call, c), 2);
		c->depth--;
	}
}

static void callbacks(void **state)
{
	struct calls c = { 0 };
	struct dusi_event ev[100];

	(void)state;
	pair();
	make_events(100);
	assert_int_equal(Dusi_Wait_All(t.evq, NULL, 30, -1, count_call, &c), 30);
	assert_int_equal(c.next, 30);
	assert_int_equal(Dusi_Wait_All(t.evq, ev, 100, -1, count_call, &c), 70);
	for (int i = 0; i < 70; i++)
		assert_int_equal(ev[i].tag, 30 + i);
	assert_int_equal(Dusi_Wait_All(t.evq, NULL, 100, 1000, count_call, &c), 0);

	c = (struct calls){ .nested = 1 };
	make_events(100);
	assert_int_equal(Dusi_Wait_All(t.evq, NULL, 1000, -1, count_call, &c), 80);
	assert_int_equal(c.next, 100);
	nothing_more();
}

static void close_everything(const struct dusi_event *event, void *arg)
{
	(void)event;
	++*(int *)arg;
	ok(Dusi_Close_Socket(t.a));
	ok(Dusi_Close_Ual(t.ual));
}

static void callback_closes_ual(void **state)
{
	int called = 0;

	(void)state;
	pair();
	make_events(10);
	assert_int_equal(Dusi_Wait_All(t.evq, NULL, 10, -1, close_everything, &called), 1);
	assert_int_equal(called, 1);
	assert_int_equal(Dusi_EvQ_Num_Events(t.evq), -EBADF);
	ual_open((struct dusi_ual_attr){ 0 });
}

static void time_outs(void **state)
{
	dusi_evq_t q[2] = { t.evq, evq_new(0) };
	struct dusi_event ev;
	int64_t start;

	(void)state;
	pair();
	start = now_us();
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, 20000, NULL, NULL), 0);
	assert_true(now_us() - start >= 20000);
	start = now_us();
	assert_int_equal(Dusi_Wait_Any(q, 2, 20000), -ETIMEDOUT);
	assert_true(now_us() - start >= 20000);
	ok(Dusi_Send_Inline(t.a, "x", 1, 1));
	/* as good as for ever */
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, INT64_MAX, NULL, NULL), 1);
	ok(Dusi_Send_Inline(t.a, "x", 1, 1));
	assert_int_equal(Dusi_Wait_Any(q, 2, INT64_MAX), 0);
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, INT64_MIN, NULL, NULL), 1);
}

/* ------------------------------------------------------------------------------- signals */

static _Atomic int signals;

static void on_signal(int signo)
{
	(void)signo;
	atomic_fetch_add(&signals, 1);
}

static void handle_signal(int signo, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };

	ok(sigaction(signo, &sa, NULL));
}

struct interrupter {
	pthread_t victim;
	_Atomic bool stop;
};

static void *interrupt(void *arg)
{
	struct interrupter *in = arg;

	while (!atomic_load(&in->stop)) {
		usleep(2000);
		pthread_kill(in->victim, SIGUSR2);
	}
	return NULL;
}

static void interrupted(void **state)
{
	struct interrupter in = { .victim = pthread_self() };
	dusi_evq_t q[2] = { t.evq, evq_new(0) };
	struct dusi_event ev;
	pthread_t thread;

	(void)state;
	pair();
	handle_signal(SIGUSR2, on_signal);
	ok(pthread_create(&thread, NULL, interrupt, &in));
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, PATIENCE, NULL, NULL), -EINTR);
	assert_int_equal(Dusi_Wait_Any(q, 2, PATIENCE), -EINTR);
	atomic_store(&in.stop, true);
	pthread_join(thread, NULL);
	ok(Dusi_Send_Inline(t.a, "x", 1, 1));
	await_status(1, DUSI_EV_SEND, 0);
}

#define SIGNAL_ROUNDS 300

/* Sends to this process, from a plain socket, at moments of its own. */
static void *ping(void *arg)
{
	int fd = *(int *)arg;
	uint32_t seed = 1;

	for (int i = 0; i < SIGNAL_ROUNDS; i++) {
		struct timespec pause = { .tv_nsec = rnd(&seed, 200000) };

		nanosleep(&pause, NULL);
		if (write(fd, "x", 1) != 1)
			return arg;
	}
	return NULL;
}

static void signal_loop(dusi_sock_t sock)
{
	sigset_t blocked, before;
	int got = 0, n;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	ok(pthread_sigmask(SIG_BLOCK, &blocked, &before));
	ok(post_recv(sock, 0, 1, 1));
	while (got < SIGNAL_ROUNDS) {
		struct dusi_event ev[8];
		int err = Dusi_EvQ_Enable_Signal(t.evq, SIGUSR1);

		if (!err)
			sigsuspend(&before);
		else
			assert_int_equal(err, -EAGAIN);
		while ((n = Dusi_Wait_All(t.evq, ev, 8, 0, NULL, NULL)) > 0) {
			assert_int_equal(n, 1);
			assert_int_equal(ev[0].status, 0);
			assert_int_equal(ev[0].len, 1);
			got++;
			ok(post_recv(sock, 0, 1, 1));
		}
	}
	ok(pthread_sigmask(SIG_SETMASK, &before, NULL));
}

/* A wake-up that were lost would end in ctest's time-out: nothing else wakes the sleeper. */
static void signal_and_sigsuspend(void **state)
{
	struct sockaddr_in in;
	int fd, peer;
	pthread_t thread;
	void *failed;

	(void)state;
	skip_on_pairs();
	fd = plain_listener(&in, 8);
	handle_signal(SIGUSR1, on_signal);
	t.a = sock_new();
	ok(Dusi_Connect(t.a, (struct sockaddr *)&in, sizeof(in), 1));
	await_status(1, DUSI_EV_CONNECT, 0);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	if (is_inline()) {
		assert_int_equal(Dusi_EvQ_Enable_Signal(t.evq, SIGUSR1), -EOPNOTSUPP);
	} else {
		atomic_store(&signals, 0);
		ok(pthread_create(&thread, NULL, ping, &peer));
		signal_loop(t.a);
		pthread_join(thread, &failed);
		assert_null(failed);
		assert_true(atomic_load(&signals) > 0);
	}
	close(peer);
	close(fd);
}

/* Withdrawn, and refused when there are events. */
static void signal_withdrawn(void **state)
{
	struct dusi_event ev;

	(void)state;
	if (is_inline())
		skip();
	handle_signal(SIGUSR1, on_signal);
	pair();
	atomic_store(&signals, 0);
	ok(Dusi_EvQ_Enable_Signal(t.evq, SIGUSR1));
	ok(Dusi_EvQ_Enable_Signal(t.evq, 0));
	make_events(1);
	assert_int_equal(Dusi_EvQ_Enable_Signal(t.evq, SIGUSR1), -EAGAIN);
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, 0, NULL, NULL), 1);
	make_events(1);
	assert_int_equal(atomic_load(&signals), 0);
}

/* ------------------------------------------------------------------------------- threads */

#define THREADS 3
#define POSTS 400

struct poster {
	pthread_t thread;
	uint64_t tag;
	int failed;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (int i = 0; i < POSTS; i++) {
		int err;

		while ((err = Dusi_Send_Inline(t.a, &p->tag, 8, p->tag)) == -EAGAIN)
			usleep(50);
		p->failed |= err;
	}
	return NULL;
}

/* Several threads post to one socket while this one takes the events and receives. */
static void posts_from_threads(void **state)
{
	struct poster p[THREADS];
	uint64_t got = 0, sums[THREADS] = { 0 };
	int ended = 0;

	(void)state;
	pair();
	for (int i = 0; i < THREADS; i++) {
		p[i] = (struct poster){ .tag = i };
		ok(pthread_create(&p[i].thread, NULL, post_many, &p[i]));
	}
	ok(post_recv(t.b, 0, AREA, 100));
	while (ended < THREADS * POSTS || got < THREADS * POSTS * 8) {
		struct dusi_event ev = next_on(t.evq);

		assert_int_equal(ev.status, 0);
		if (ev.tag != 100) {
			ended++;
			continue;
		}
		got += ev.len;
		if (got == THREADS * POSTS * 8)
			continue;
		/* a message is never torn apart by another thread's, only by a receive's end */
		ok(post_recv(t.b, got, AREA - got, 100));
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(p[i].thread, NULL);
		assert_int_equal(p[i].failed, 0);
	}
	for (uint64_t i = 0; i < got; i += 8) {
		uint64_t tag;

		memcpy(&tag, area + i, 8);
		assert_true(tag < THREADS);
		sums[tag]++;
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(sums[i], POSTS);
	nothing_more();
}

static _Atomic int taken;
static _Atomic uint64_t tags_seen;

static void *take_many(void *arg)
{
	struct dusi_event ev[3];

	while (atomic_load(&taken) < POSTS) {
		int n = Dusi_Wait_All(t.evq, ev, 3, 5000, NULL, NULL);

		if (n < 0)
			return arg;
		atomic_fetch_add(&taken, n);
		for (int i = 0; i < n; i++)
			atomic_fetch_add(&tags_seen, ev[i].tag);
	}
	return NULL;
}

/* Several threads take events from one queue: each event goes to one of them. */
static void takers_in_threads(void **state)
{
	pthread_t threads[THREADS];
	void *failed;

	(void)state;
	pair();
	atomic_store(&taken, 0);
	atomic_store(&tags_seen, 0);
	for (int i = 0; i < THREADS; i++)
		ok(pthread_create(&threads[i], NULL, take_many, &t));
	for (uint64_t i = 0; i < POSTS; i++) {
		int err;

		while ((err = Dusi_Send_Inline(t.a, "x", 1, i)) == -EAGAIN)
			usleep(50);
		assert_int_equal(err, 0);
		if (i % 50 == 0)
			usleep(3000);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(atomic_load(&taken), POSTS);
	assert_int_equal(atomic_load(&tags_seen), (uint64_t)POSTS * (POSTS - 1) / 2);
	nothing_more();
}

static void *wait_for_ever(void *arg)
{
	struct dusi_event ev;

	if (Dusi_Wait_All(*(dusi_evq_t *)arg, &ev, 1, -1, NULL, NULL) != 1 || ev.tag != 1)
		return arg;
	return NULL;
}

/* A thread that sleeps for ever is woken by what another posts; meanwhile its queue is busy. */
static void sleeper_is_woken(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		dusi_evq_t own = evq_new(0), two[2] = { own, t.evq };
		dusi_sock_t b =
			sock_with((struct dusi_socket_attr){ .tx_evq = t.evq, .rx_evq = own });
		pthread_t thread;
		void *failed;
		int err;

		pair_of(AF_INET, sock_new(), sock_new(), b);
		ok(post_recv(b, 0, 10, 1));
		ok(pthread_create(&thread, NULL, wait_for_ever, &own));
		while ((err = Dusi_Wait_Any(two, 2, 0)) == -ETIMEDOUT)
			usleep(1000);
		assert_int_equal(err, -EBUSY);
		assert_int_equal(Dusi_Destroy_EvQ(own), -EBUSY);
		usleep(round * 5000);
		ok(Dusi_Send_Inline(t.a, "x", 1, 2));
		pthread_join(thread, &failed);
		assert_null(failed);
		await_status(2, DUSI_EV_SEND, 0);
		ok(Dusi_Close_Socket(b));
		ok(Dusi_Destroy_EvQ(own));
	}
}

struct churn {
	pthread_t thread;
	int failed;
};

/* Sockets come and go in several threads, and handles never mix. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	struct dusi_socket_attr attr = { .tx_evq = t.evq };
	dusi_sock_t s[8];

	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 8; i++)
			c->failed |= Dusi_Socket(t.ual, &attr, &s[i]);
		for (int i = 0; i < 8; i++) {
			set_timeout(s[i], DUSI_SO_CONNECT_TIMEOUT, s[i].id & 0xffff);
			c->failed |= Dusi_Cancel(s[i], 1) != -ENOENT;
		}
		for (int i = 0; i < 8; i++)
			c->failed |= Dusi_Close_Socket(s[i]);
		for (int i = 0; i < 8; i++)
			c->failed |= Dusi_Close_Socket(s[i]) != -EBADF;
	}
	return NULL;
}

static void churn_in_threads(void **state)
{
	struct churn c[THREADS] = { 0 };

	(void)state;
	for (int i = 0; i < THREADS; i++)
		ok(pthread_create(&c[i].thread, NULL, churn, &c[i]));
	for (int i = 0; i < THREADS; i++) {
		pthread_join(c[i].thread, NULL);
		assert_int_equal(c[i].failed, 0);
	}
	nothing_more();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	TEST(exchange_ipv4),
	TEST(exchange_ipv6),
	TEST(separate_queues),
	TEST(shared_queue),
	TEST(receive_before_accept),
	TEST(options_of_connections),
	TEST(connect_refused),
	TEST(connect_times_out),
	TEST(accept_times_out),
	TEST(late_receives),
	TEST(half_close),
	TEST(shutdown_receiving),
	TEST(not_connected),
	TEST(large_send_is_whole),
	TEST(gather_random),
	TEST(scatter),
	TEST(inline_sizes),
	TEST(full_send_queue),
	TEST(full_receive_queue),
	TEST(tiny_event_queue),
	TEST(wrong_sends),
	TEST(wrong_receives),
	TEST(wrapping_pieces),
	TEST(deregistered_while_posted),
	TEST(unmapped_while_registered),
	TEST(cancel_receives),
	TEST(cancel_sends),
	TEST(cancel_accept),
	TEST(close_with_posted),
	TEST(close_with_accepts),
	TEST(close_while_connecting),
	TEST(reset_by_peer),
	TEST(connect_close_repeatedly),
	TEST(done_out_of_order),
	TEST(polling_alone),
	TEST(takes_at_most_max),
	TEST(callbacks),
	TEST(callback_closes_ual),
	TEST(time_outs),
	TEST(interrupted),
	TEST(signal_and_sigsuspend),
	TEST(signal_withdrawn),
	TEST(posts_from_threads),
	TEST(takers_in_threads),
	TEST(sleeper_is_woken),
	TEST(churn_in_threads),
};

/* An argument names the one placement to test. */
int main(int argc, char **argv)
{
	static const char *const placements[] = { "inline", "adaptive", "dedicated" };
	int failed = 0;

	for (unsigned i = 0; i < sizeof(placements) / sizeof(placements[0]); i++) {
		placement = placements[i];
		if (argc < 2 || !strcmp(argv[1], placement))
			failed += cmocka_run_group_tests_name(placement, tests, NULL, NULL);
	}
	return failed;
}
