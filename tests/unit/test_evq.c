/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_evq.c - event queues: no event without a slot, no slot without an event; taking in and out of
 * order; what stalls for want of room goes on when there is some.
 */
#include "tests/unit/ppe_test.h"

static struct bench b;

static int open_bench(void **state)
{
	(void)state;
	bench_open(&b, NULL, 8);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

/* Events that nobody asked for: @n of them, tags from @tag on. */
static unsigned put(struct ppe_evq *q, unsigned n, uint64_t tag, uint64_t cookie)
{
	unsigned i;

	turn_lock(b.ual);
	for (i = 0; i < n; i++) {
		struct ppe_event ev = { .user_tag = tag + i,
					.cookie = cookie,
					.type = PPE_EV_SEND };

		if (!evq_reserve(q))
			break;
		evq_post(q, &ev);
	}
	turn_unlock(b.ual);
	return i;
}

/* Takes what there is; checks that the tags follow each other from @tag on. */
static unsigned take(struct ppe_evq *q, int max, uint64_t tag)
{
	struct ppe_event ev[64];
	int n = ppe_evq_take(q, ev, max);

	for (int i = 0; i < n; i++)
		assert_int_equal(ev[i].user_tag, tag + i);
	return n;
}

/* --------------------------------------------------------------------- create, destroy */

static void evq_create_checks_its_arguments(void **state)
{
	struct ppe_evq_attr big = { .size = (1u << 20) + 1 }, flags = { .flags = 2 }, none = { 0 };
	struct ppe_evq *q = NULL;

	(void)state;
	assert_int_equal(ppe_evq_create(b.ual, &big, &q), -EINVAL);
	assert_int_equal(ppe_evq_create(b.ual, &flags, &q), -EINVAL);
	assert_null(q);
	assert_int_equal(ppe_evq_create(b.ual, &none, &q), 0);
	assert_int_equal(q->size, 256);
	assert_int_equal(ppe_evq_destroy(q), 0);
	big.size = 5;
	assert_int_equal(ppe_evq_create(b.ual, &big, &q), 0);
	assert_int_equal(q->size, 8);
	assert_int_equal(ppe_evq_destroy(q), 0);
}

static void evq_number_is_bounded(void **state)
{
	struct ppe_ual_attr attr = { .placement = "inline", .max_evqs = 3 };
	struct ppe_evq_attr eattr = { 0 };
	struct ppe_evq *q[3], *more;
	struct ppe_ual *ual;

	(void)state;
	assert_int_equal(ppe_ual_open(&attr, &ual), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ppe_evq_create(ual, &eattr, &q[i]), 0);
	assert_int_equal(ppe_evq_create(ual, &eattr, &more), -ENOSPC);
	assert_int_equal(ppe_evq_destroy(q[1]), 0);
	assert_int_equal(ppe_evq_create(ual, &eattr, &more), 0);
	ppe_ual_close(ual);
}

static void evq_destroy_refuses_while_bound(void **state)
{
	struct ppe_evq *q = evq_new(b.ual, 8, 0);
	struct ppe_dti *d = dti_new(&b, q, PPE_STREAM, 0);

	(void)state;
	assert_int_equal(ppe_evq_destroy(q), -EBUSY);
	ppe_dti_destroy(d, false);
	assert_int_equal(ppe_evq_destroy(q), 0);
}

/* -------------------------------------------------------------------- reservation */

static void evq_reserves_no_more_than_it_has(void **state)
{
	(void)state;
	assert_int_equal(put(b.q, 100, 0, 0), 8);
	assert_int_equal(put(b.q, 1, 0, 0), 0);
	assert_int_equal(take(b.q, 3, 0), 3);
	assert_int_equal(put(b.q, 100, 8, 0), 3);
	assert_int_equal(take(b.q, 64, 3), 8);
	assert_int_equal(take(b.q, 64, 0), 0);
}

static void evq_reserved_slots_count(void **state)
{
	(void)state;
	turn_lock(b.ual);
	for (int i = 0; i < 8; i++)
		assert_true(evq_reserve(b.q));
	assert_false(evq_reserve(b.q));
	evq_unreserve(b.q);
	assert_true(evq_reserve(b.q));
	assert_false(evq_reserve(b.q));
	for (int i = 0; i < 8; i++)
		evq_unreserve(b.q);
	turn_unlock(b.ual);
	assert_int_equal(ppe_evq_count(b.q), 0);
}

static void evq_counts_and_numbers_its_events(void **state)
{
	struct ppe_event ev;
	uint32_t seq = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		unsigned n = 1 + i % 8;

		assert_int_equal(put(b.q, n, i, 0), n);
		assert_int_equal(ppe_evq_count(b.q), n);
		while (n--) {
			assert_int_equal(ppe_evq_take(b.q, &ev, 1), 1);
			assert_int_equal(ev.seq, seq++);
			assert_int_equal(ppe_evq_count(b.q), n);
		}
	}
}

/* The free-running indices pass their end. */
static void evq_indices_wrap(void **state)
{
	uint32_t start = UINT32_MAX - 11;

	(void)state;
	b.q->tail = b.q->head_seen = start;
	atomic_store(&b.q->idx->tail, start);
	atomic_store(&b.q->idx->head, start);
	for (unsigned i = 0; i < 10; i++) {
		struct ppe_event ev;

		assert_int_equal(put(b.q, 100, 10 * i, 0), 8);
		assert_int_equal(ppe_evq_take_tag(b.q, 10 * i + 5, &ev), 1);
		assert_int_equal(take(b.q, 5, 10 * i), 5);
		assert_int_equal(take(b.q, 5, 10 * i + 6), 2);
	}
}

/* ------------------------------------------------------------------- out of order */

static void evq_take_tag_takes_the_oldest(void **state)
{
	struct ppe_event ev;

	(void)state;
	put(b.q, 1, 1, 10);
	put(b.q, 1, 2, 20);
	put(b.q, 1, 2, 30);
	assert_int_equal(ppe_evq_take_tag(b.q, 2, &ev), 1);
	assert_int_equal(ev.cookie, 20);
	assert_int_equal(ppe_evq_count(b.q), 2);
	assert_int_equal(ppe_evq_take_tag(b.q, 2, &ev), 1);
	assert_int_equal(ev.cookie, 30);
	assert_int_equal(ppe_evq_take_tag(b.q, 2, &ev), 0);
	assert_int_equal(take(b.q, 8, 1), 1);
	assert_int_equal(ppe_evq_count(b.q), 0);
}

/* An event that nobody takes must not keep the slots of those that were taken behind it. */
static void evq_take_tag_gives_its_slot_back(void **state)
{
	struct ppe_event ev;

	(void)state;
	put(b.q, 1, 7, 0);
	for (uint64_t tag = 100; tag < 200; tag++) {
		assert_int_equal(put(b.q, 1, tag, 0), 1);
		assert_int_equal(ppe_evq_take_tag(b.q, tag, &ev), 1);
		assert_int_equal(ev.user_tag, tag);
		assert_int_equal(ppe_evq_count(b.q), 1);
	}
	assert_int_equal(put(b.q, 100, 8, 0), 7);
	assert_int_equal(take(b.q, 64, 7), 8);
}

/* Against a plain array, with chance's help. */
static void evq_model(void **state)
{
	uint64_t seed = test_seed(20240607), model[8], next = 0;
	unsigned count = 0;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		struct ppe_event ev[8];
		unsigned n = rnd_below(&seed, 9), i;

		switch (rnd_below(&seed, 4)) {
		case 0:
			n = put(b.q, n, next, next % 3);
			for (i = 0; i < n; i++)
				model[count++] = next++;
			break;
		case 1:
			n = ppe_evq_take(b.q, ev, n);
			assert_true(n <= count);
			for (i = 0; i < n; i++)
				assert_int_equal(ev[i].user_tag, model[i]);
			memmove(model, model + n, (count -= n) * sizeof(*model));
			break;
		case 2:
			if (!count)
				break;
			i = rnd_below(&seed, count);
			assert_int_equal(ppe_evq_take_tag(b.q, model[i], ev), 1);
			memmove(model + i, model + i + 1, (--count - i) * sizeof(*model));
			break;
		default:
			assert_int_equal(ppe_evq_take_tag(b.q, UINT64_MAX, ev), 0);
		}
		assert_int_equal(ppe_evq_count(b.q), count);
		assert_int_equal(b.q->reserved, 0);
	}
}

static void evq_purge_forgets_one_cookie(void **state)
{
	struct ppe_event ev[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		put(b.q, 1, i, i % 3);
	ppe_evq_purge(b.q, 1);
	assert_int_equal(ppe_evq_count(b.q), 5);
	assert_int_equal(put(b.q, 100, 50, 7), 3);
	ppe_evq_purge(b.q, 7);
	assert_int_equal(ppe_evq_count(b.q), 5);
	assert_int_equal(ppe_evq_take(b.q, ev, 8), 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_not_equal(ev[i].cookie, 1);
	ppe_evq_purge(b.q, 0);
	assert_int_equal(ppe_evq_count(b.q), 0);
	assert_int_equal(put(b.q, 100, 0, 0), 8);
}

/* ---------------------------------------------------------------- stall and resume */

static void evq_full_stalls_and_resumes(void **state)
{
	struct ppe_dti *d = dti_connected(&b, PPE_STREAM, 64);
	struct fab_conn *c = stub_keep(d);
	struct ppe_event ev[8];
	uint64_t tag = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(send_inline(d, i, "x", 1, 0), 0);
	turns(b.ual, 10);
	/* no more sends than events fit */
	assert_int_equal(ppe_evq_count(b.q), 8);
	assert_int_equal(c->out.len, 8);
	while (tag < 40) {
		int n = ppe_evq_read(b.q, ev, 3);

		for (int i = 0; i < n; i++)
			assert_int_equal(ev[i].user_tag, tag++);
		assert_true(ppe_evq_count(b.q) <= 8);
	}
	assert_int_equal(c->out.len, 40);
	expect_none(b.q);
}

/* What one queue holds up must not hold up the other. */
static void evq_full_of_receives_lets_sends_go(void **state)
{
	struct ppe_evq *rx = evq_new(b.ual, 2, 0);
	struct ppe_dti_attr attr = { .tx_evq = b.q, .rx_evq = rx };
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct fab_conn *c;
	struct ppe_dti *d;
	uint8_t mem[8];

	(void)state;
	assert_int_equal(ppe_dti_create(b.ual, &attr, &d), 0);
	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 1, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 1, 0, 0);
	c = stub_keep(d);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(recv_mem(&b, d, i, &mem[i], 1), 0);
		stub_inject(c, "y", 1);
	}
	turns(b.ual, 3);
	assert_int_equal(ppe_evq_count(rx), 2);
	assert_int_equal(send_inline(d, 5, "x", 1, 0), 0);
	expect(b.q, PPE_EV_SEND, 5, 0, 1);
	for (unsigned i = 0; i < 4; i++)
		expect(rx, PPE_EV_RECV, i, 0, 1);
}

/* Stalled for both: room in one is enough for that one. */
static void evq_stalled_twice_resumes_twice(void **state)
{
	struct ppe_evq *tx = evq_new(b.ual, 2, 0), *rx = evq_new(b.ual, 2, 0);
	struct ppe_dti_attr attr = { .tx_evq = tx, .rx_evq = rx, .cm_evq = b.q };
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct fab_conn *c;
	struct ppe_dti *d;
	uint8_t mem[8];

	(void)state;
	assert_int_equal(ppe_dti_create(b.ual, &attr, &d), 0);
	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 1, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 1, 0, 0);
	c = stub_keep(d);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_inline(d, i, "x", 1, 0), 0);
	turns(b.ual, 3);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(recv_mem(&b, d, i, &mem[i], 1), 0);
		stub_inject(c, "y", 1);
	}
	turns(b.ual, 3);
	assert_int_equal(ppe_evq_count(rx), 2);
	assert_int_equal(ppe_evq_count(tx), 2);
	for (unsigned i = 0; i < 4; i++)
		expect(tx, PPE_EV_SEND, i, 0, 1);
	assert_int_equal(ppe_evq_count(rx), 2);
	for (unsigned i = 0; i < 4; i++)
		expect(rx, PPE_EV_RECV, i, 0, 1);
}

/* A slot may come free without an event: a silent send that held it is done. */
static void evq_slot_of_a_silent_send_wakes(void **state)
{
	struct ppe_evq *q = evq_new(b.ual, 2, 0);
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct ppe_dti *d[3];
	struct fab_conn *c[3];
	static const uint8_t data[100];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ppe_dti_attr attr = { .tx_evq = q, .cm_evq = b.q };

		assert_int_equal(ppe_dti_create(b.ual, &attr, &d[i]), 0);
		assert_int_equal(ppe_dti_connect(d[i], (void *)&to, sizeof(to), 0, i, NULL, 0), 0);
		expect(b.q, PPE_EV_CONNECT, i, 0, 0);
		c[i] = stub_keep(d[i]);
	}
	/* two sends of which a part is out hold the two slots */
	for (int i = 0; i < 2; i++) {
		stub_window(c[i], 10);
		assert_int_equal(send_mem(&b, d[i], i, data, sizeof(data), PPE_POST_SILENT), 0);
		turns(b.ual, 2);
		assert_int_equal(c[i]->out.len, 10);
	}
	assert_int_equal(send_inline(d[2], 2, "x", 1, 0), 0);
	turns(b.ual, 2);
	assert_int_equal(c[2]->out.len, 0);
	stub_window(c[0], SIZE_MAX);
	expect(q, PPE_EV_SEND, 2, 0, 1);
	ppe_dti_destroy(d[1], true);
	assert_int_equal(q->reserved, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(evq_create_checks_its_arguments),
		TEST(evq_number_is_bounded),
		TEST(evq_destroy_refuses_while_bound),
		TEST(evq_reserves_no_more_than_it_has),
		TEST(evq_reserved_slots_count),
		TEST(evq_counts_and_numbers_its_events),
		TEST(evq_indices_wrap),
		TEST(evq_take_tag_takes_the_oldest),
		TEST(evq_take_tag_gives_its_slot_back),
		TEST(evq_model),
		TEST(evq_purge_forgets_one_cookie),
		TEST(evq_full_stalls_and_resumes),
		TEST(evq_full_of_receives_lets_sends_go),
		TEST(evq_stalled_twice_resumes_twice),
		TEST(evq_slot_of_a_silent_send_wakes),
	};

	return test_run(tests, NULL);
}
