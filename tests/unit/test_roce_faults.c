/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_roce_faults.c - queue pairs whose devices fail: links that are cut, devices that go, calls that are
 * refused, peers that break their word. Over simulated devices: "sim0" dials, "sim1" listens.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fabric/roce/roce.h"
#include "fabric/roce/wire.h"
#include "tests/unit/msg_checker.h"
#include "tests/unit/sim_peer.h"

#define PATIENCE_NS 10000000000u
#define SOON_NS 50000000u /* what is cut off fails after so long */

static const struct fab_msg_ops *const ops = &roce_msg_ops;

/* ---------------------------------------------------------------------------- one side */

struct side {
	struct fab *fab;
	struct fab_msg *m;
	struct fab_counters counters;
	struct timers timers;
	struct checker user;
	struct fab_msg_listener *listener;
	unsigned failed;
};

static struct side a, b; /* dials; listens */
static struct sim_peer *peer;
static uint64_t passed; /* beside real time */

static union fab_addr host(const char *text)
{
	union fab_addr addr = { .in.sin_family = AF_INET };

	addr.in.sin_addr.s_addr = inet_addr(text);
	return addr;
}

static void log_line(void *arg, int level, const char *text)
{
	(void)arg;
	if (level <= FAB_LOG_WARN && getenv("ETA_TEST_VERBOSE"))
		fprintf(stderr, "# %s\n", text);
}

static void side_open(struct side *s)
{
	struct fab_env env = { .owner = FAB_OWNER_ROAMS,
			       .counters = &s->counters,
			       .timers = &s->timers,
			       .log = log_line };
	struct fab_msg_attr attr = { .handshake_ns = 5000000000, .ord = 4, .ird = 4 };

	memset(s, 0, sizeof(*s));
	timers_init(&s->timers);
	assert_int_equal(roce_stream_ops.open(&env, &s->fab), 0);
	assert_int_equal(ops->open(&env, &attr, &roce_stream_ops, s->fab, &s->m), 0);
	checker_init(&s->user, ops);
}

static void side_close(struct side *s)
{
	if (!s->fab)
		return;
	checker_fini(&s->user, s->m);
	if (s->listener)
		ops->unlisten(s->listener);
	ops->close(s->m);
	roce_stream_ops.close(s->fab);
	timers_destroy(&s->timers);
	memset(s, 0, sizeof(*s));
}

static void up_request(void *user, struct fab_msg_conn *conn, const union fab_addr *from,
		       const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct side *s = user;

	(void)from;
	(void)who;
	(void)pdata;
	(void)len;
	if (s->user.conn) {
		ops->reject(conn, NULL, 0);
		return;
	}
	s->user.conn = conn;
	s->user.connected = s->user.closed = 0;
	if (!ops->accept(conn, NULL, NULL, 0, &checker_user, &s->user))
		return;
	s->user.conn = NULL;
	ops->conn_close(conn, false);
}

static void up_withdrawn(void *user, struct fab_msg_conn *conn)
{
	(void)user;
	(void)conn;
	fail();
}

static void up_failed(void *user, int err)
{
	struct side *s = user;

	assert_int_equal(err, -ENODEV);
	s->failed++;
}

static const struct fab_msg_listen_user listen_ops = { .request = up_request,
						       .withdrawn = up_withdrawn,
						       .failed = up_failed };

static void turn(struct side *s)
{
	if (!s->fab)
		return;
	roce_stream_ops.flush(s->fab);
	roce_stream_ops.progress(s->fab, FAB_TURN_COMPLETIONS);
	timers_run(&s->timers, timer_now_ns() + passed);
	roce_stream_ops.flush(s->fab);
}

static void turns(void)
{
	turn(&a);
	turn(&b);
	if (peer)
		sim_peer_turn(peer);
}

#define run_until(condition)                                                                       \
	do {                                                                                       \
		uint64_t end_ = timer_now_ns() + PATIENCE_NS;                                      \
		for (turns(); !(condition); turns())                                               \
			if (timer_now_ns() > end_)                                                 \
				fail_msg("waited in vain for " #condition);                        \
	} while (0)

static void run_some(void)
{
	for (unsigned i = 0; i < 200; i++)
		turns();
}

static void listen_b(void)
{
	union fab_addr at = host("127.0.0.2");

	if (b.listener)
		ops->unlisten(b.listener);
	assert_int_equal(ops->listen(b.m, &at, 16, &listen_ops, &b, &b.listener), 0);
}

static int dial(const union fab_addr *to)
{
	union fab_addr from = host("127.0.0.1"), addr;
	struct fab_connect_attr attr = { .peer = to ? to : &addr, .from = &from };

	ops->listener_addr(b.listener, &addr);
	a.user.connected = a.user.closed = 0;
	return ops->connect(a.m, &attr, NULL, NULL, 0, &checker_user, &a.user, &a.user.conn);
}

static void dial_b(void)
{
	assert_int_equal(dial(NULL), 0);
	run_until(a.user.connected && b.user.connected);
	assert_int_equal(a.user.connect_err, 0);
	assert_int_equal(b.user.connect_err, 0);
}

static int set_up(void **state)
{
	(void)state;
	passed = 0;
	sim_manual(true);
	sim_times(SOON_NS, SOON_NS / 5);
	side_open(&a);
	side_open(&b);
	listen_b();
	return 0;
}

static int set_up_pair(void **state)
{
	set_up(state);
	dial_b();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (peer)
		sim_peer_close(peer);
	peer = NULL;
	side_close(&a);
	side_close(&b);
	sim_reset();
	return 0;
}

/* Messages from one to the other. */
static void transfer(struct side *from, struct side *to, uint32_t len)
{
	unsigned before = to->user.messages + to->user.wholes;

	for (unsigned i = 0; i < 3; i++)
		assert_true(checker_post(&from->user, FAB_SEND, len, 2, false));
	run_until(to->user.messages + to->user.wholes == before + 3);
	run_until(!from->user.out_count);
}

/* ------------------------------------------------------------------------------- cut */

/* Who sends hears of it from its device. */
static void test_cut(void **state)
{
	(void)state;
	transfer(&a, &b, 50000);
	sim_cut("sim1", true);
	checker_post(&a.user, FAB_SEND, 100, 1, false);
	run_until(a.user.closed);
	assert_int_equal(a.user.close_err, -ETIMEDOUT);
	assert_false(b.user.closed);
}

/* Who does not, by a sign of life that does not come. */
static void test_cut_silent(void **state)
{
	(void)state;
	transfer(&a, &b, 100);
	run_some();
	sim_cut("sim0", true);
	passed = 11000000000;
	run_some();
	passed = 22000000000;
	run_until(b.user.closed && a.user.closed);
	assert_int_equal(b.user.close_err, -ETIMEDOUT);
	assert_int_equal(a.user.close_err, -ETIMEDOUT);
}

/* An interface that goes down and up again, soon enough. */
static void test_port_down(void **state)
{
	(void)state;
	sim_times(1000000000, SOON_NS);
	sim_port("sim1", false);
	checker_post(&a.user, FAB_SEND, 50000, 1, false);
	run_some();
	sim_port("sim1", true);
	run_until(b.user.messages == 1);
	transfer(&b, &a, 1000);
}

static void test_cut_dialling(void **state)
{
	(void)state;
	sim_cut("sim1", true);
	assert_int_equal(dial(NULL), 0);
	run_until(a.user.connected);
	assert_int_equal(a.user.connect_err, -ETIMEDOUT);
}

/* What was sent can no longer be delivered: who closed does not wait for ever. */
static void test_cut_lingering(void **state)
{
	(void)state;
	sim_cut("sim1", true);
	checker_post(&a.user, FAB_SEND, 100, 1, false);
	ops->tx_now(a.user.conn);
	checker_close(&a.user);
	side_close(&a);
	passed = 25000000000;
	run_some();
}

/* ---------------------------------------------------------------------------- removal */

static void test_removed(void **state)
{
	(void)state;
	transfer(&a, &b, 100);
	sim_remove("sim1");
	checker_post(&a.user, FAB_SEND, 100, 1, false);
	run_until(b.user.closed && a.user.closed && b.failed);
	assert_int_equal(b.user.close_err, -ENODEV);
	assert_int_equal(a.user.close_err, -ETIMEDOUT);
	checker_close(&a.user);
	checker_close(&b.user);
	/* another takes its place */
	sim_restore("sim1");
	listen_b();
	dial_b();
	transfer(&a, &b, 100);
}

static void test_removed_dialler(void **state)
{
	(void)state;
	checker_post(&a.user, FAB_SEND, 100000, 1, false);
	ops->tx_now(a.user.conn);
	sim_remove("sim0");
	run_until(a.user.closed);
	assert_int_equal(a.user.close_err, -ENODEV);
	assert_int_equal(dial(NULL), -ENODEV);
}

/* Turns that all ask the connection manager. */
static void moments(unsigned n)
{
	for (; n; n--) {
		uint64_t until = timer_now_ns() + 30000;

		while (timer_now_ns() < until)
			;
		turns();
	}
}

/* At each moment of set-up, and behind it. */
static void test_removed_dialling(void **state)
{
	(void)state;
	for (unsigned moment = 0; moment < 40; moment++) {
		assert_int_equal(dial(NULL), 0);
		moments(moment);
		sim_remove("sim0");
		run_until(!a.user.conn || a.user.closed);
		checker_close(&a.user);
		sim_restore("sim0");
		passed += 6000000000; /* the other side's deadline, or sign of life */
		run_some();
		checker_close(&b.user);
	}
}

/* ------------------------------------------------------------------------- refused calls */

/* Whether the two of new instances connect. */
static bool connects_anew(void)
{
	bool did;

	if (dial(NULL)) {
		a.user.conn = NULL;
		return false;
	}
	run_until(a.user.connected);
	run_some();
	did = !a.user.connect_err && b.user.conn;
	checker_close(&a.user);
	run_some();
	return did;
}

/* Each of the calls of a kind in turn: what they are for works, or fails cleanly. */
static void refuse_each(enum sim_call call, int err)
{
	unsigned after = 0;
	bool did = false;

	for (; !did; after++) {
		tear_down(NULL);
		set_up(NULL);
		sim_fail(call, after, 1, err);
		did = connects_anew() && sim_fail(call, 0, 0, 0);
	}
	assert_true(after > 1);
}

static void test_refused_calls(void **state)
{
	static const int errs[SIM_CALLS] = {
		[SIM_REG_MR] = ENOMEM,    [SIM_ALLOC_PD] = ENOMEM,  [SIM_CREATE_CHANNEL] = EMFILE,
		[SIM_CREATE_CQ] = ENOMEM, [SIM_CREATE_QP] = ENOMEM, [SIM_CREATE_ID] = ENOMEM,
		[SIM_BIND] = EADDRINUSE,  [SIM_RESOLVE] = ENODEV,   [SIM_CONNECT] = EINVAL,
		[SIM_ACCEPT] = EINVAL,
	};

	(void)state;
	for (unsigned call = 0; call < SIM_CALLS; call++)
		if (errs[call])
			refuse_each(call, errs[call]);
}

static void test_no_inline(void **state)
{
	(void)state;
	sim_inline(0);
	dial_b();
	transfer(&a, &b, 10);
	transfer(&b, &a, 20000);
}

static void test_post_fails(void **state)
{
	(void)state;
	sim_fail(SIM_POST_SEND, 0, 1, ENOMEM);
	checker_post(&a.user, FAB_SEND, 10, 1, false);
	run_until(a.user.closed);
	assert_int_equal(a.user.close_err, -ENOMEM);
	checker_close(&a.user);
	run_until(b.user.closed);
	assert_int_equal(b.user.close_err, -ECONNRESET);
}

static void test_post_recv_fails(void **state)
{
	(void)state;
	run_some();
	sim_fail(SIM_POST_RECV, 0, 1, ENOMEM);
	checker_post(&a.user, FAB_SEND, 10, 1, false);
	run_until(b.user.closed);
	assert_int_equal(b.user.messages + b.user.wholes, 1);
	assert_int_equal(b.user.close_err, -ENOMEM);
}

/* ----------------------------------------------------------------- peers that are not etas */

static uint32_t features; /* of the peer */

static void peer_meets(unsigned recvs)
{
	struct roce_cm cm = {
		.service = ROCE_MESSAGES,
		.credits = 40,
		.ord = 4,
		.ird = 4,
		.frame_max = 8192,
		.features = features,
	};
	struct roce_cm_data data;
	struct sim_peer_attr attr = {
		.data = &data, .data_len = sizeof(data), .rnr_retry = 1, .recvs = recvs
	};
	uint8_t frame[ROCE_HELLO_FRAME_MAX];
	int n = roce_hello_put(frame, ROCE_REQUEST, NULL, NULL, 0);

	roce_cm_put(&cm, &data);
	ops->listener_addr(b.listener, &attr.at);
	peer = sim_peer_dial(&attr);
	run_until(sim_peer_is_up(peer));
	assert_int_equal(sim_peer_send(peer, frame, n), 0);
	run_until(b.user.connected);
}

/* It gave credit for frames, and has no receives. */
static void test_no_receives(void **state)
{
	(void)state;
	peer_meets(0);
	run_until(b.user.closed);
	assert_int_equal(b.user.close_err, -EPROTO);
}

/* It sends more than it has credit for; then more than there are receives. */
static void test_flood(void **state)
{
	uint8_t frame[16] = { 0 };

	(void)state;
	peer_meets(40);
	b.user.whole = 0;
	b.user.receives = 0;
	roce_frame_put(frame, ROCE_DATA, 0, 0);
	frame[8] = ROCE_SEND;
	frame[9] = ROCE_FIRST | ROCE_LAST;
	for (unsigned i = 0; i < 60; i++)
		sim_peer_send(peer, frame, sizeof(frame));
	run_until(b.user.closed);
	assert_int_equal(b.user.close_err, -EPROTO);
	run_until(sim_peer_is_over(peer));
}

/* It writes to memory that is registered, but not for it. */
static void test_writes_to_frames(void **state)
{
	(void)state;
	peer_meets(40);
	for (uint32_t key = 0x100; key < 0x200 && sim_peer_is_up(peer); key++) {
		sim_peer_write(peer, key, (uintptr_t)&b, "octets", 6, false);
		run_some();
	}
	assert_true(sim_peer_is_over(peer));
	checker_post(&b.user, FAB_SEND, 10, 1, false);
	run_until(b.user.closed);
}

/* Twice: what is one too many comes second. */
static void peer_says(const struct roce_note *note, unsigned times)
{
	uint8_t frame[256];
	uint32_t n = sizeof(struct roce_frame);

	peer_meets(40);
	roce_frame_put(frame, ROCE_DATA, 0, 0);
	while (times--)
		n += roce_note_put(frame + n, note);
	sim_peer_send(peer, frame, n);
	run_until(b.user.closed);
	assert_int_equal(b.user.close_err, -EPROTO);
	assert_int_equal(b.counters.proto_errors + b.counters.terminates_tx > 0, true);
}

#define A_WRITE .stag = CHECKER_STAG, .to = CHECKER_TO, .len = 64

/* Nothing can have been placed, no key was asked for, one question is not answered. */
static void test_false_notes(void **state)
{
	static const struct roce_note notes[] = {
		{ .op = ROCE_PLACED, A_WRITE },
		{ .op = ROCE_KEY, .stag = CHECKER_STAG, .access = ROCE_MAY_WRITE },
		{ .op = ROCE_KEY_ASK, .access = ROCE_MAY_WRITE, A_WRITE },
	};

	for (unsigned i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		features = ROCE_FEATURES;
		peer_says(&notes[i], 2);
		tear_down(state);
		set_up(state);
		/* nor was it agreed on at all */
		features = 0;
		peer_says(&notes[i], 1);
		tear_down(state);
		set_up(state);
	}
}

#define LISTENING(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, set_up_pair, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(test_cut),
		CONNECTED(test_cut_silent),
		CONNECTED(test_port_down),
		LISTENING(test_cut_dialling),
		CONNECTED(test_cut_lingering),
		CONNECTED(test_removed),
		CONNECTED(test_removed_dialler),
		LISTENING(test_removed_dialling),
		LISTENING(test_refused_calls),
		LISTENING(test_no_inline),
		CONNECTED(test_post_fails),
		CONNECTED(test_post_recv_fails),
		LISTENING(test_no_receives),
		LISTENING(test_flood),
		LISTENING(test_writes_to_frames),
		LISTENING(test_false_notes),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
