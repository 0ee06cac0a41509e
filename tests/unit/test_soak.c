/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_soak.c - ten thousand connections of each service, one after the other over loopback, that end
 * in every way: nothing is left of them, no descriptor, thread, object or byte.
 *
 * The first ones are not counted: what they allocate stays for the others (heaps grow once, an
 * engine keeps one buffer).
 */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>

#include <cmocka.h>

#include "fabric/timer.h"
#include "ppe/ppe.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifdef SANITIZED
#define TOTAL 800
#else
#define TOTAL 10000
#endif
#define FIRST 400

#define BYTES_BOUND (128 * 1024) /* of 10,000 connections: a leak of 16 bytes each is found */
#define RSS_BOUND (4 * 1024 * 1024)
#define PATIENCE_NS 20000000000ull

static struct ppe_ual *ual;
static struct ppe_evq *evq;
static struct ppe_mr everything;
static struct ppe_dti *listener;
static struct sockaddr_in server;
static char in[64], out[64] = "across";

static void ok(int err)
{
	assert_int_equal(err, 0);
}

/* ------------------------------------------------------------------------- what there is */

struct level {
	unsigned fds, threads;
	size_t bytes, rss;
	struct ppe_counters c;
};

static unsigned entries(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, rss;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &rss), 2);
	fclose(f);
	return rss * (size_t)sysconf(_SC_PAGESIZE);
}

static void measure(struct level *l)
{
	struct ppe_event ev;

	/* what was closed last may take a turn; over queue pairs, an answer of its peer's */
	for (int i = 0; i < 50; i++) {
		ppe_evq_read(evq, &ev, 1);
		usleep(2000);
	}
	l->fds = entries("/proc/self/fd");
	l->threads = entries("/proc/self/task");
	l->bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
	l->rss = resident();
	ppe_ual_counters(ual, &l->c);
}

static void compare(const struct level *before, const struct level *after)
{
	print_message("fds %u -> %u, threads %u -> %u, heap %+ld, resident %+ld KiB\n", before->fds,
		      after->fds, before->threads, after->threads,
		      (long)(after->bytes - before->bytes),
		      ((long)after->rss - (long)before->rss) / 1024);
	assert_int_equal(after->fds, before->fds);
	assert_int_equal(after->threads, before->threads);
	assert_int_equal(after->c.dtis, before->c.dtis);
	assert_int_equal(after->c.regions, before->c.regions);
	assert_true(after->c.pool_used <= 16384);
#ifndef SANITIZED
	assert_true(after->bytes <= before->bytes + BYTES_BOUND);
	assert_true(after->rss <= before->rss + RSS_BOUND);
#endif
}

/* ------------------------------------------------------------------------- the engine */

static int setup(void **state)
{
	struct ppe_ual_attr attr = { 0 };
	struct ppe_evq_attr evq_attr = { .size = 1024 };

	(void)state;
	ok(ppe_ual_open(&attr, &ual));
	ok(ppe_evq_create(ual, &evq_attr, &evq));
	ok(ppe_mr_register(ual, NULL, SIZE_MAX, PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE,
			   &everything));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ppe_ual_close(ual);
	return 0;
}

static struct ppe_dti *dti_new(enum ppe_service service, uint64_t cookie)
{
	struct ppe_dti_attr attr = { .service = service, .tx_evq = evq, .cookie = cookie };
	struct ppe_dti *dti;

	ok(ppe_dti_create(ual, &attr, &dti));
	return dti;
}

static void dti_gone(struct ppe_dti *dti)
{
	uint64_t cookie = ppe_dti_cookie(dti);

	ppe_dti_destroy(dti, true);
	ppe_evq_purge(evq, cookie);
}

static struct sockaddr_in loopback(uint8_t host)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host) };
}

static void listen_as(enum ppe_service service)
{
	union fab_addr addr;

	listener = dti_new(service, 1);
	server = loopback(0);
	ok(ppe_dti_bind(listener, (struct sockaddr *)&server, sizeof(server)));
	ok(ppe_dti_listen(listener, 128));
	ok(ppe_dti_local(listener, &addr));
	server = addr.in;
}

/* Each from another address of loopback, or the ports that wait for their time to pass run out. */
static struct sockaddr_in from_host(unsigned i)
{
	return loopback(1 + i % 200);
}

static struct ppe_dti *dial(enum ppe_service service, unsigned i)
{
	struct sockaddr_in from = from_host(i);
	struct ppe_dti *dti = dti_new(service, 2);

	ok(ppe_dti_bind(dti, (struct sockaddr *)&from, sizeof(from)));
	ok(ppe_dti_connect(dti, (struct sockaddr *)&server, sizeof(server), 0, i, NULL, 0));
	return dti;
}

/* The next event of this type; those of others are passed over. */
static struct ppe_event await(uint16_t type)
{
	uint64_t end = timer_now_ns() + PATIENCE_NS;
	struct ppe_event ev = { 0 };

	while (timer_now_ns() < end) {
		if (ppe_evq_read(evq, &ev, 1) && ev.type == type)
			return ev;
	}
	print_message("no event %u: %u is the next\n", type, ev.type);
	fail();
	return ev;
}

static void post(struct ppe_dti *dti, bool recv)
{
	struct ppe_sge sge = { .addr = (uintptr_t)(recv ? in : out),
			       .len = recv ? sizeof(in) : 7,
			       .region = everything.region,
			       .ptag = everything.ptag };
	struct ppe_post p = { .sge = &sge, .nsge = 1 };

	ok(recv ? ppe_post_recv(dti, &p) : ppe_post_send(dti, &p));
}

static void exchange(struct ppe_dti *from, struct ppe_dti *to)
{
	struct ppe_event ev;

	memset(in, 0, sizeof(in));
	post(to, true);
	post(from, false);
	ev = await(PPE_EV_RECV);
	assert_int_equal(ev.status, 0);
	assert_int_equal(ev.len, 7);
	assert_string_equal(in, out);
}

/* ------------------------------------------------------------------------- one connection each */

/* Closed while it is connecting, or its accept is posted, and the listener with it. */
static void nothing_came_of_it(unsigned i)
{
	struct sockaddr_in kept = server;
	struct ppe_dti *before = listener, *child = dti_new(PPE_STREAM, 3), *client;

	listen_as(PPE_STREAM);
	ok(ppe_dti_accept(listener, child, 0, i));
	client = dial(PPE_STREAM, i);
	dti_gone(i & 1 ? client : child);
	dti_gone(i & 1 ? child : client);
	dti_gone(listener);
	listener = before;
	server = kept;
}

static void one_stream(unsigned i)
{
	struct ppe_dti *child, *client;

	if (i % 13 == 12) {
		nothing_came_of_it(i);
		return;
	}
	child = dti_new(PPE_STREAM, 3);
	ok(ppe_dti_accept(listener, child, 0, i));
	client = dial(PPE_STREAM, i);
	assert_int_equal(await(PPE_EV_ACCEPT).status, 0);
	if (i % 5)
		exchange(client, child);
	if (i % 5 == 1) /* something that nobody has asked for */
		post(client, false);
	if (i % 5 == 2)
		ok(ppe_post_shutdown(client, 0));
	dti_gone(i & 1 ? client : child);
	dti_gone(i & 1 ? child : client);
}

/*
 * The request of the i-th client. An engine with a thread may tell only now of an earlier one whose
 * client was closed while connecting: that is refused.
 */
static uint64_t request_of(unsigned i)
{
	for (;;) {
		uint64_t request = await(PPE_EV_REQUEST).data;
		union fab_addr local, peer;
		size_t none = 0;

		if (!ppe_ual_request_info(ual, request, &local, &peer, NULL, &none) &&
		    peer.in.sin_addr.s_addr == from_host(i).sin_addr.s_addr)
			return request;
		ppe_ual_reject_request(ual, request, NULL, 0);
	}
}

static void one_message(unsigned i)
{
	struct ppe_dti *client = dial(PPE_MESSAGE, i), *child;
	uint64_t request;

	if (i % 13 == 12) {
		dti_gone(client);
		return;
	}
	request = request_of(i);
	if (i % 13 == 11)
		dti_gone(client);
	if (i % 13 >= 10) {
		ppe_ual_reject_request(ual, request, "no", 2);
		if (i % 13 == 10) {
			assert_int_equal(await(PPE_EV_CONNECT).status, -ECONNREFUSED);
			dti_gone(client);
		}
		return;
	}
	child = dti_new(PPE_MESSAGE, 3);
	ok(ppe_dti_accept_request(child, request, i, NULL, 0));
	if (i % 5)
		exchange(client, child);
	if (i % 5 == 1) /* something that nobody has asked for */
		post(client, false);
	if (i % 5 == 2) {
		ok(ppe_dti_disconnect(client));
		await(PPE_EV_CLOSED);
	}
	dti_gone(i & 1 ? client : child);
	dti_gone(i & 1 ? child : client);
}

/* Requests of connections that were closed while connecting are not left to their deadline. */
static void refuse_stragglers(void)
{
	struct ppe_event ev;

	while (ppe_evq_read(evq, &ev, 1))
		if (ev.type == PPE_EV_REQUEST)
			ppe_ual_reject_request(ual, ev.data, NULL, 0);
}

static void soak(enum ppe_service service)
{
	struct level before, after;

	listen_as(service);
	for (unsigned i = 0; i < FIRST + TOTAL; i++) {
		if (i == FIRST)
			measure(&before);
		if (service == PPE_STREAM)
			one_stream(i);
		else
			one_message(i);
		if (i % 13 >= 11)
			refuse_stragglers();
	}
	measure(&after);
	compare(&before, &after);
	dti_gone(listener);
}

static void streams(void **state)
{
	(void)state;
	soak(PPE_STREAM);
}

static void messages(void **state)
{
	(void)state;
	soak(PPE_MESSAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
