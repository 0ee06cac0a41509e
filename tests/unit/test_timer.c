/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_timer.c - the deadline heap: order, restart, stop from within a callback, and a random
 * comparison with a plain list. Time is an argument here, so nothing waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fabric/timer.h"

#define MANY 300
#define SECOND 1000000000ull

static struct timers ts;
static struct timer *fired[MANY * 2];
static int fired_count;

static int setup(void **state)
{
	(void)state;
	timers_init(&ts);
	fired_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	timers_destroy(&ts);
	return 0;
}

static void note(struct timer *t)
{
	assert_int_equal(t->slot, 0);
	assert_true(fired_count < MANY * 2);
	fired[fired_count++] = t;
}

static void test_empty(void **state)
{
	struct timer t = { 0 };

	(void)state;
	assert_true(timers_next_ns(&ts) == UINT64_MAX);
	assert_int_equal(timers_run(&ts, UINT64_MAX), 0);
	timer_stop(&ts, &t);
	assert_int_equal(ts.count, 0);
}

static void test_order(void **state)
{
	static const uint64_t delay[] = { 50, 10, 40, 20, 30 };
	struct timer t[5] = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(timer_start(&ts, &t[i], delay[i] * SECOND, note), 0);
	assert_true(timers_next_ns(&ts) == t[1].deadline_ns);
	assert_int_equal(timers_run(&ts, t[1].deadline_ns - 1), 0);
	assert_int_equal(timers_run(&ts, t[4].deadline_ns), 3);
	assert_ptr_equal(fired[0], &t[1]);
	assert_ptr_equal(fired[1], &t[3]);
	assert_ptr_equal(fired[2], &t[4]);
	assert_true(timers_next_ns(&ts) == t[2].deadline_ns);
	assert_int_equal(timers_run(&ts, UINT64_MAX), 2);
	assert_true(timers_next_ns(&ts) == UINT64_MAX);
}

static void test_restart_moves_both_ways(void **state)
{
	struct timer t[3] = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(timer_start(&ts, &t[i], (10 + (uint64_t)i) * SECOND, note), 0);
	assert_int_equal(timer_start(&ts, &t[0], 100 * SECOND, note), 0);
	assert_int_equal(timer_start(&ts, &t[2], 1 * SECOND, note), 0);
	assert_int_equal(ts.count, 3);
	assert_int_equal(timers_run(&ts, UINT64_MAX), 3);
	assert_ptr_equal(fired[0], &t[2]);
	assert_ptr_equal(fired[1], &t[1]);
	assert_ptr_equal(fired[2], &t[0]);
}

static void test_endless_delay(void **state)
{
	struct timer t = { 0 };

	(void)state;
	assert_int_equal(timer_start(&ts, &t, UINT64_MAX, note), 0);
	assert_true(timers_next_ns(&ts) == UINT64_MAX - 1);
	timer_stop(&ts, &t);
	assert_true(timers_next_ns(&ts) == UINT64_MAX);
}

static struct timer pair[2];

static void stop_other(struct timer *t)
{
	note(t);
	timer_stop(&ts, &pair[t == &pair[0]]);
}

static void test_stop_from_callback(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(timer_start(&ts, &pair[i], SECOND, stop_other), 0);
	assert_int_equal(timers_run(&ts, UINT64_MAX), 1);
	assert_int_equal(ts.count, 0);
}

static void start_again(struct timer *t)
{
	note(t);
	assert_int_equal(timer_start(&ts, t, 0, start_again), 0);
}

/* A timer that always starts again must not keep the turn. */
static void test_restart_from_callback_is_bounded(void **state)
{
	struct timer t = { 0 };

	(void)state;
	assert_int_equal(timer_start(&ts, &t, 0, start_again), 0);
	assert_int_equal(timers_run(&ts, UINT64_MAX), 1);
	assert_int_equal(ts.count, 1);
	assert_int_equal(timers_run(&ts, UINT64_MAX), 1);
	timer_stop(&ts, &t);
}

static uint64_t earliest(const struct timer *t)
{
	uint64_t min = UINT64_MAX;

	for (int i = 0; i < MANY; i++) {
		if (t[i].slot && t[i].deadline_ns < min)
			min = t[i].deadline_ns;
	}
	return min;
}

static void random_step(struct timer *t)
{
	struct timer *one = &t[rand() % MANY];

	switch (rand() % 4) {
	case 0:
	case 1:
		assert_int_equal(timer_start(&ts, one, (uint64_t)(rand() % 1000) * SECOND, note),
				 0);
		break;
	case 2:
		timer_stop(&ts, one);
		assert_int_equal(one->slot, 0);
		break;
	default:
		if (ts.count && rand() % 8 == 0)
			timers_run(&ts, earliest(t));
		break;
	}
	fired_count = 0;
	assert_true(timers_next_ns(&ts) == earliest(t));
}

static void test_random(void **state)
{
	static struct timer t[MANY];

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++)
		random_step(t);
	timers_run(&ts, UINT64_MAX);
	for (int i = 1; i < fired_count; i++)
		assert_true(fired[i - 1]->deadline_ns <= fired[i]->deadline_ns);
	assert_int_equal(ts.count, 0);
}

static void test_destroy_idles(void **state)
{
	struct timer t = { 0 };

	(void)state;
	assert_int_equal(timer_start(&ts, &t, SECOND, note), 0);
	timers_destroy(&ts);
	assert_int_equal(t.slot, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_moves_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_from_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_from_callback_is_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroy_idles, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
