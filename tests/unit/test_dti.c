/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_dti.c - a DTI's life: handles, connects and accepts with all their ends, options, posting. */
#include "tests/unit/ppe_test.h"

#include <arpa/inet.h>
#include <time.h>

static struct bench b;
static const struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = 0x700 };
#define THERE (const struct sockaddr *)&there, sizeof(there)

static int open_bench(void **state)
{
	(void)state;
	bench_open(&b, NULL, 64);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static struct ppe_dti *listener(struct ppe_evq *q)
{
	struct ppe_dti *l = dti_new(&b, q, PPE_STREAM, 0);

	assert_int_equal(ppe_dti_bind(l, THERE), 0);
	assert_int_equal(ppe_dti_listen(l, 5), 0);
	return l;
}

/* ------------------------------------------------------------------------- handles */

static void dti_create_checks_its_arguments(void **state)
{
	struct bench other;
	struct ppe_dti *d = NULL;

	(void)state;
	bench_open(&other, NULL, 0);
	const struct ppe_dti_attr bad[] = {
		{ .tx_evq = NULL },
		{ .tx_evq = other.q },
		{ .tx_evq = b.q, .rx_evq = other.q },
		{ .tx_evq = b.q, .cm_evq = other.q },
		{ .tx_evq = b.q, .service = PPE_SHARED_RECV + 1 },
		{ .tx_evq = b.q, .flags = 0x80 },
		{ .tx_evq = b.q, .sq_slots = (1u << 20) + 1 },
		{ .tx_evq = b.q, .rq_slots = UINT32_MAX },
	};
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(ppe_dti_create(b.ual, &bad[i], &d), -EINVAL);
	assert_null(d);
	assert_int_equal(b.q->bound, 0);
	bench_close(&other);
}

static void dti_handles_go_stale(void **state)
{
	struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 0);
	uint32_t handle = ppe_dti_handle(d);

	(void)state;
	assert_ptr_equal(ppe_dti_lookup(b.ual, handle), d);
	assert_null(ppe_dti_lookup(b.ual, 0));
	assert_null(ppe_dti_lookup(b.ual, handle ^ 1));
	for (unsigned i = 0; i < 3 * HANDLE_GENERATIONS; i++) {
		struct ppe_dti *next;

		ppe_dti_destroy(d, i % 2);
		assert_null(ppe_dti_lookup(b.ual, handle));
		next = dti_new(&b, b.q, i % 3 ? PPE_STREAM : PPE_MESSAGE, i % 50);
		assert_int_equal(handle_number(ppe_dti_handle(next)), handle_number(handle));
		assert_int_not_equal(ppe_dti_handle(next), 0);
		assert_int_not_equal(ppe_dti_handle(next), handle);
		d = next;
		handle = ppe_dti_handle(d);
	}
}

static void dti_number_is_bounded(void **state)
{
	struct ppe_ual_attr attr = { .max_dtis = 3 };
	struct ppe_dti *d[3], *more;
	struct ppe_dti_attr a = { 0 };

	(void)state;
	bench_close(&b);
	bench_open(&b, &attr, 0);
	for (int i = 0; i < 3; i++)
		d[i] = dti_new(&b, b.q, PPE_STREAM, 0);
	a.tx_evq = b.q;
	assert_int_equal(ppe_dti_create(b.ual, &a, &more), -ENOSPC);
	ppe_dti_destroy(d[1], false);
	assert_int_equal(ppe_dti_create(b.ual, &a, &more), 0);
}

static void dti_queue_is_full(void **state)
{
	struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 8);
	uint8_t mem[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(recv_mem(&b, d, i, mem, 8), 0);
	assert_int_equal(recv_mem(&b, d, 9, mem, 8), -EAGAIN);
	assert_int_equal(ppe_dti_cancel(d, 0, PPE_CANCEL_RECV), 1);
	expect(b.q, PPE_EV_RECV, 0, -ECANCELED, 0);
}

static void dti_posts_check_their_arguments(void **state)
{
	struct ppe_dti *d = dti_connected(&b, PPE_STREAM, 0);
	struct ppe_sge sge[11];
	struct ppe_post p = { .sge = sge };
	uint8_t mem[PPE_INLINE_MAX + 1] = { 0 };

	(void)state;
	for (int i = 0; i < 11; i++)
		sge[i] = sge_of(&b, mem, UINT32_MAX);
	p.nsge = 11;
	assert_int_equal(ppe_post_send(d, &p), -EINVAL);
	assert_int_equal(ppe_post_recv(d, &p), -EINVAL);
	p.nsge = 2;
	assert_int_equal(ppe_post_send(d, &p), -EMSGSIZE);
	assert_int_equal(ppe_post_recv(d, &p), -EMSGSIZE);
	p.nsge = 1;
	p.inline_data = mem;
	p.inline_len = 1;
	assert_int_equal(ppe_post_send(d, &p), -EINVAL);
	p.nsge = 0;
	assert_int_equal(ppe_post_recv(d, &p), -EINVAL);
	p.inline_len = PPE_INLINE_MAX + 1;
	assert_int_equal(ppe_post_send(d, &p), -EINVAL);
	expect_none(b.q);
	p.inline_len = PPE_INLINE_MAX;
	assert_int_equal(ppe_post_slots(&p), 4);
	assert_int_equal(ppe_post_send(d, &p), 0);
	expect(b.q, PPE_EV_SEND, 0, 0, PPE_INLINE_MAX);
}

/* -------------------------------------------------------------------------- connect */

static void dti_connects_and_fails_to(void **state)
{
	static const int errors[] = { -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH };
	uint8_t mem[8];

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 0);

		b.fab->connect_error = errors[i];
		assert_int_equal(ppe_dti_connect(d, THERE, 0, 5, NULL, 0), 0);
		assert_int_equal(ppe_dti_connect(d, THERE, 0, 5, NULL, 0), -EALREADY);
		assert_int_equal(ppe_dti_bind(d, THERE), -EISCONN);
		assert_int_equal(ppe_dti_listen(d, 1), -EISCONN);
		assert_int_equal(recv_mem(&b, d, 6, mem, 8), 0);
		assert_int_equal(send_inline(d, 7, "x", 1, 0), 0);
		expect(b.q, PPE_EV_CONNECT, 5, errors[i], 0);
		expect(b.q, PPE_EV_SEND, 7, errors[i], 0);
		expect(b.q, PPE_EV_RECV, 6, errors[i], 0);
		ppe_dti_destroy(d, false);
		expect_none(b.q);
	}
}

static void dti_connect_is_cancelled(void **state)
{
	struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 0);
	struct fab_conn *c;

	(void)state;
	b.fab->held = true;
	assert_int_equal(ppe_dti_connect(d, THERE, 0, 5, NULL, 0), 0);
	assert_int_equal(send_inline(d, 6, "x", 1, 0), 0);
	c = stub_keep(d);
	assert_int_equal(ppe_dti_cancel(d, 4, PPE_CANCEL_CONNECT), -ENOENT);
	assert_int_equal(ppe_dti_cancel(d, 5, PPE_CANCEL_CONNECT), 1);
	expect(b.q, PPE_EV_CONNECT, 5, -ECANCELED, 0);
	expect(b.q, PPE_EV_SEND, 6, -ECANCELED, 0);
	assert_true(c->dead);
	expect_none(b.q);
}

static void dti_destroyed_while_connecting(void **state)
{
	(void)state;
	b.fab->held = true;
	for (int discard = 0; discard < 2; discard++) {
		struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 0);

		assert_int_equal(ppe_dti_connect(d, THERE, 0, 5, NULL, 0), 0);
		assert_int_equal(send_inline(d, 6, "x", 1, 0), 0);
		ppe_dti_destroy(d, discard);
		if (!discard) {
			expect(b.q, PPE_EV_CONNECT, 5, -ECANCELED, 0);
			expect(b.q, PPE_EV_SEND, 6, -ECANCELED, 0);
		}
		expect_none(b.q);
		assert_int_equal(b.q->bound, 0);
	}
}

/* --------------------------------------------------------------------------- accept */

static void dti_accepts_in_order(void **state)
{
	struct ppe_dti *l = listener(b.q), *d[3];
	struct fab_conn *c[3];
	uint8_t mem[8];

	(void)state;
	for (int i = 0; i < 3; i++) {
		d[i] = dti_new(&b, b.q, PPE_STREAM, 0);
		assert_int_equal(ppe_dti_accept(l, d[i], 0, i), 0);
	}
	assert_int_equal(ppe_dti_accept(l, d[0], 0, 9), -EALREADY);
	assert_int_equal(ppe_dti_accept(d[0], d[1], 0, 9), -EINVAL);
	assert_int_equal(ppe_dti_accept(l, l, 0, 9), -EINVAL);
	/* a receive before there is a connection */
	assert_int_equal(recv_mem(&b, d[1], 11, mem, 8), 0);
	for (int i = 0; i < 3; i++) {
		struct ppe_event ev;

		c[i] = stub_incoming(l->listener);
		ev = expect(b.q, PPE_EV_ACCEPT, i, 0, 0);
		assert_int_equal(ev.dti, ppe_dti_handle(d[i]));
		assert_ptr_equal(d[i]->conn, c[i]);
	}
	stub_inject(c[1], "abc", 3);
	expect(b.q, PPE_EV_RECV, 11, 0, 3);
	assert_int_equal(ppe_dti_accept(l, d[0], 0, 9), -EISCONN);
}

/* The name of an accepted connection is looked up when asked for: not when there is none any more. */
static void dti_name_of_a_lost_connection(void **state)
{
	struct ppe_dti *l = listener(b.q), *d = dti_new(&b, b.q, PPE_STREAM, 0);
	struct fab_conn *c;
	union fab_addr addr;

	(void)state;
	assert_int_equal(ppe_dti_bind(d, THERE), 0);
	assert_int_equal(ppe_dti_accept(l, d, 0, 1), 0);
	c = stub_incoming(l->listener);
	expect(b.q, PPE_EV_ACCEPT, 1, 0, 0);
	stub_inject_error(c, -ECONNRESET);
	turns(b.ual, 2);
	assert_int_equal(d->state, DTI_DEAD);
	assert_int_equal(ppe_dti_local(d, &addr), -ENOTCONN);
}

/* Nobody will ever come: who waited hears of it, and may be used again. */
static void dti_listener_dies(void **state)
{
	struct ppe_dti *l = listener(b.q), *d[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		d[i] = dti_new(&b, b.q, PPE_STREAM, 0);
		assert_int_equal(ppe_dti_accept(l, d[i], 0, i), 0);
	}
	turn_lock(b.ual);
	stream_listen_user.failed(l, -EINVAL);
	turn_run(b.ual, TURN_POST);
	turn_unlock(b.ual);
	for (int i = 0; i < 3; i++) {
		expect(b.q, PPE_EV_ACCEPT, i, -EINVAL, 0);
		assert_int_equal(d[i]->state, DTI_IDLE);
	}
}

static void dti_accept_waits_for_room(void **state)
{
	struct ppe_evq *small = evq_new(b.ual, 2, 0);
	struct ppe_dti *l = listener(small), *d[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		d[i] = dti_new(&b, b.q, PPE_STREAM, 0);
		assert_int_equal(ppe_dti_accept(l, d[i], 0, i), 0);
		stub_incoming(l->listener);
	}
	turns(b.ual, 2);
	assert_int_equal(ppe_evq_count(small), 2);
	/* sends wait with their accept */
	for (int i = 0; i < 5; i++)
		assert_int_equal(send_inline(d[i], 10 + i, "x", 1, 0), 0);
	for (int i = 0; i < 5; i++)
		expect(small, PPE_EV_ACCEPT, i, 0, 0);
	for (int i = 0; i < 5; i++) {
		struct ppe_event ev;

		while (ppe_evq_read(b.q, &ev, 1) != 1)
			;
		assert_int_equal(ev.type, PPE_EV_SEND);
	}
	expect_none(b.q);
}

static void dti_accept_times_out(void **state)
{
	struct ppe_dti *l = listener(b.q), *d = dti_new(&b, b.q, PPE_STREAM, 0);
	struct timespec ms = { .tv_nsec = 2000000 };

	(void)state;
	assert_int_equal(ppe_dti_accept(l, d, 1000000, 5), 0);
	assert_int_equal(l->listener->posted, 1);
	nanosleep(&ms, NULL);
	turns(b.ual, 32); /* a poller looks at the clock now and then */
	expect(b.q, PPE_EV_ACCEPT, 5, -ETIMEDOUT, 0);
	assert_int_equal(l->listener->posted, 0);
	/* it may be used again */
	assert_int_equal(ppe_dti_accept(l, d, 1000000000, 6), 0);
	stub_incoming(l->listener);
	expect(b.q, PPE_EV_ACCEPT, 6, 0, 0);
	assert_int_equal(timers_next_ns(&b.ual->timers), UINT64_MAX);
}

static void dti_accept_is_cancelled(void **state)
{
	struct ppe_dti *l = listener(b.q), *d[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		d[i] = dti_new(&b, b.q, PPE_STREAM, 0);
		assert_int_equal(ppe_dti_accept(l, d[i], i % 2 ? 1000000000 : 0, i / 2), 0);
	}
	assert_int_equal(ppe_dti_cancel(l, 1, PPE_CANCEL_CONNECT), 2);
	for (int i = 2; i < 4; i++)
		assert_int_equal(expect(b.q, PPE_EV_ACCEPT, 1, -ECANCELED, 0).dti,
				 ppe_dti_handle(d[i]));
	assert_int_equal(ppe_dti_cancel(d[0], 0, PPE_CANCEL_CONNECT), 1);
	expect(b.q, PPE_EV_ACCEPT, 0, -ECANCELED, 0);
	assert_int_equal(l->listener->posted, 1);
	ppe_dti_destroy(d[1], false);
	expect(b.q, PPE_EV_ACCEPT, 0, -ECANCELED, 0);
	assert_int_equal(l->listener->posted, 0);
	expect_none(b.q);
	assert_int_equal(timers_next_ns(&b.ual->timers), UINT64_MAX);
	/* the others are as they were */
	assert_int_equal(ppe_dti_connect(d[2], THERE, 0, 5, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 5, 0, 0);
}

/* Its children hear of it without any further call, and are free again. */
static void dti_listener_is_destroyed(void **state)
{
	struct ppe_dti *l = listener(b.q), *d[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		d[i] = dti_new(&b, b.q, PPE_STREAM, 0);
		assert_int_equal(ppe_dti_accept(l, d[i], 0, i), 0);
	}
	ppe_dti_destroy(l, false);
	assert_true(ppe_evq_count(b.q) == 3 || owner_work_pending(b.ual));
	for (int i = 0; i < 3; i++)
		expect(b.q, PPE_EV_ACCEPT, i, -ECANCELED, 0);
	assert_int_equal(ppe_dti_connect(d[1], THERE, 0, 5, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 5, 0, 0);
	expect_none(b.q);
}

/* The event of the connection comes before those of what arrives on it. */
static void dti_connection_is_told_before_its_bytes(void **state)
{
	struct ppe_dti *l = listener(b.q), *d = dti_new(&b, b.q, PPE_STREAM, 0);
	uint8_t mem[8];

	(void)state;
	assert_int_equal(ppe_dti_accept(l, d, 0, 1), 0);
	assert_int_equal(recv_mem(&b, d, 2, mem, 8), 0);
	stub_inject(stub_incoming(l->listener), "abc", 3);
	expect(b.q, PPE_EV_ACCEPT, 1, 0, 0);
	expect(b.q, PPE_EV_RECV, 2, 0, 3);
	b.fab->held = true;
	d = dti_new(&b, b.q, PPE_STREAM, 0);
	assert_int_equal(ppe_dti_connect(d, THERE, 0, 1, NULL, 0), 0);
	assert_int_equal(recv_mem(&b, d, 2, mem, 8), 0);
	stub_inject(stub_keep(d), "abc", 3);
	stub_connect_done(stub_keep(d), 0);
	expect(b.q, PPE_EV_CONNECT, 1, 0, 0);
	expect(b.q, PPE_EV_RECV, 2, 0, 3);
}

/* -------------------------------------------------------------------------- options */

static void dti_options_are_kept_until_there_is_a_connection(void **state)
{
	struct ppe_dti *l = listener(b.q), *d = dti_new(&b, b.q, PPE_STREAM, 0);
	struct ppe_dti *m = dti_new(&b, b.q, PPE_MESSAGE, 0);
	struct fab_conn *c;
	int value;

	(void)state;
	assert_int_equal(ppe_dti_set_option(d, PPE_OPTIONS, 1), -ENOPROTOOPT);
	assert_int_equal(ppe_dti_get_option(d, -1, &value), -ENOPROTOOPT);
	assert_int_equal(ppe_dti_set_option(m, FAB_OPT_SNDBUF, 1), -EOPNOTSUPP);
	assert_int_equal(ppe_dti_set_option(l, FAB_OPT_SNDBUF, 4242), 0);
	assert_int_equal(ppe_dti_accept(l, d, 0, 1), 0);
	c = stub_incoming(l->listener);
	expect(b.q, PPE_EV_ACCEPT, 1, 0, 0);
	assert_int_equal(c->option[FAB_OPT_SNDBUF], 4242);
	assert_int_equal(ppe_dti_set_option(d, FAB_OPT_NODELAY, 7), 0);
	assert_int_equal(c->option[FAB_OPT_NODELAY], 7);
	assert_int_equal(ppe_dti_get_option(d, FAB_OPT_NODELAY, &value), 0);
	assert_int_equal(value, 7);
}

/* What a child asked for itself counts more than what its listener has. */
static void dti_options_of_the_child_win(void **state)
{
	struct ppe_dti *l = listener(b.q), *d = dti_new(&b, b.q, PPE_STREAM, 0);
	struct fab_conn *c;

	(void)state;
	assert_int_equal(ppe_dti_set_option(l, FAB_OPT_SNDBUF, 1), 0);
	assert_int_equal(ppe_dti_set_option(d, FAB_OPT_RCVBUF, 2), 0);
	assert_int_equal(ppe_dti_accept(l, d, 0, 1), 0);
	c = stub_incoming(l->listener);
	expect(b.q, PPE_EV_ACCEPT, 1, 0, 0);
	assert_int_equal(c->option[FAB_OPT_SNDBUF], 1);
	assert_int_equal(c->option[FAB_OPT_RCVBUF], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dti_create_checks_its_arguments),
		TEST(dti_handles_go_stale),
		TEST(dti_number_is_bounded),
		TEST(dti_queue_is_full),
		TEST(dti_posts_check_their_arguments),
		TEST(dti_connects_and_fails_to),
		TEST(dti_connect_is_cancelled),
		TEST(dti_destroyed_while_connecting),
		TEST(dti_accepts_in_order),
		TEST(dti_accept_waits_for_room),
		TEST(dti_accept_times_out),
		TEST(dti_accept_is_cancelled),
		TEST(dti_listener_is_destroyed),
		TEST(dti_listener_dies),
		TEST(dti_name_of_a_lost_connection),
		TEST(dti_connection_is_told_before_its_bytes),
		TEST(dti_options_are_kept_until_there_is_a_connection),
		TEST(dti_options_of_the_child_win),
	};

	return test_run(tests, NULL);
}
