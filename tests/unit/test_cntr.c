/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_cntr.c - counters: changes, triggers, chains, and that no wake-up is lost. */
#include "tests/unit/bare_engine.h"

#include <poll.h>
#include <signal.h>

#define MS 1000000ll
#define LONG_NS (20000 * MS) /* a wait that lasts so long has lost its wake-up */

static struct ppe_ual *ual;

static int open_inline(void **state)
{
	(void)state;
	ual = bare_open("inline");
	return 0;
}

static int open_adaptive(void **state)
{
	(void)state;
	ual = bare_open("adaptive");
	return thread_start(ual);
}

static int open_dedicated(void **state)
{
	(void)state;
	ual = bare_open("dedicated");
	return thread_start(ual);
}

static int close_ual(void **state)
{
	(void)state;
	ppe_ual_close(ual);
	return 0;
}

static struct ppe_cntr *cntr_new(void)
{
	struct ppe_cntr *c;

	assert_int_equal(ppe_cntr_create(ual, &c), 0);
	return c;
}

static void bump(struct ppe_cntr *c)
{
	turn_lock(ual);
	cntr_bump(c);
	turn_unlock(ual);
}

static void cntr_values(void **state)
{
	struct ppe_cntr *c = cntr_new();

	(void)state;
	assert_int_equal(ppe_cntr_value(c), 0);
	assert_int_equal(ppe_cntr_errors(c), 0);
	ppe_cntr_add(c, 5, 0);
	ppe_cntr_add(c, 2, 3);
	bump(c);
	turn_lock(ual);
	cntr_fail(c);
	cntr_bump(NULL);
	cntr_fail(NULL);
	turn_unlock(ual);
	assert_int_equal(ppe_cntr_value(c), 8);
	assert_int_equal(ppe_cntr_errors(c), 4);
	ppe_cntr_set(c, 1);
	ppe_cntr_set_errors(c, 0);
	assert_int_equal(ppe_cntr_value(c), 1);
	assert_int_equal(ppe_cntr_errors(c), 0);
}

/* ------------------------------------------------------------------------------- triggers */

struct probe {
	struct trigger t;
	int id;
};

static int fired[64], nfired, cancelled;

static void probe_fire(struct trigger *t)
{
	fired[nfired++] = list_entry(t, struct probe, t)->id;
}

static void probe_cancel(struct trigger *t)
{
	(void)t;
	cancelled++;
}

static void probe_set(struct ppe_cntr *c, struct probe *p, int id, uint64_t threshold)
{
	*p = (struct probe){ { .threshold = threshold, .fire = probe_fire, .cancel = probe_cancel },
			     id };
	list_init(&p->t.link);
	turn_lock(ual);
	cntr_trigger(c, &p->t);
	turn_unlock(ual);
}

static void cntr_triggers_in_order(void **state)
{
	static const uint64_t threshold[] = { 5, 2, 9, 5, 2, 3, 100 };
	static const int order[] = { 1, 4, 5, 0, 3, 2 };
	struct ppe_cntr *c = cntr_new();
	struct probe p[COUNT(threshold)], now;

	(void)state;
	nfired = cancelled = 0;
	for (size_t i = 0; i < COUNT(threshold); i++)
		probe_set(c, &p[i], i, threshold[i]);
	assert_int_equal(nfired, 0);
	bump(c);
	assert_int_equal(nfired, 0);
	bump(c);
	assert_int_equal(nfired, 2);
	ppe_cntr_add(c, 7, 0);
	assert_int_equal(nfired, COUNT(order));
	assert_memory_equal(fired, order, sizeof(order));
	/* reached already: at once; counting down undoes nothing */
	probe_set(c, &now, 20, 9);
	assert_int_equal(fired[nfired - 1], 20);
	ppe_cntr_set(c, 0);
	ppe_cntr_set_errors(c, 1000);
	assert_int_equal(nfired, COUNT(order) + 1);
	assert_int_equal(ppe_cntr_destroy(c), -EBUSY);
	assert_int_equal(ppe_cntr_flush(c), 1);
	assert_int_equal(cancelled, 1);
	assert_int_equal(ppe_cntr_flush(c), 0);
	assert_int_equal(ppe_cntr_destroy(c), 0);
}

static void cntr_chains(void **state)
{
	struct ppe_cntr *c = cntr_new(), *target = cntr_new(), *done = cntr_new();

	(void)state;
	assert_int_equal(ppe_cntr_chain(c, 2, target, false, 10, done), 0);
	assert_int_equal(ppe_cntr_chain(c, 3, target, true, 4, NULL), 0);
	assert_int_equal(ppe_cntr_chain(c, 4, target, false, 1, done), 0);
	assert_int_equal(ppe_cntr_destroy(target), -EBUSY);
	assert_int_equal(ppe_cntr_destroy(done), -EBUSY);
	bump(c);
	assert_int_equal(ppe_cntr_value(target), 0);
	bump(c);
	assert_int_equal(ppe_cntr_value(target), 10);
	assert_int_equal(ppe_cntr_value(done), 1);
	bump(c);
	assert_int_equal(ppe_cntr_value(target), 4);
	assert_int_equal(ppe_cntr_value(done), 1);
	assert_int_equal(ppe_cntr_flush(c), 1);
	assert_int_equal(ppe_cntr_errors(done), 1);
	assert_int_equal(ppe_cntr_destroy(target), 0);
	assert_int_equal(ppe_cntr_destroy(done), 0);
	assert_int_equal(ppe_cntr_destroy(c), 0);
}

/* For deferred work, what failed counts as much as what did not. */
static void cntr_errors_reach_thresholds(void **state)
{
	struct ppe_cntr *c = cntr_new(), *target = cntr_new();
	struct probe p;

	(void)state;
	nfired = cancelled = 0;
	probe_set(c, &p, 1, 2);
	assert_int_equal(ppe_cntr_chain(c, 2, target, false, 1, NULL), 0);
	assert_int_equal(ppe_cntr_chain(c, 4, target, false, 1, NULL), 0);
	ppe_cntr_add(c, 0, 1);
	assert_int_equal(ppe_cntr_value(target), 0);
	bump(c);
	assert_int_equal(ppe_cntr_value(target), 1);
	assert_int_equal(nfired, 0);
	ppe_cntr_set_errors(c, 3);
	assert_int_equal(ppe_cntr_value(target), 2);
	bump(c);
	assert_int_equal(nfired, 1);
	assert_int_equal(ppe_cntr_destroy(c), 0);
	assert_int_equal(ppe_cntr_destroy(target), 0);
}

/* As deep as there are counters, and in a circle. */
static void cntr_chain_of_many(void **state)
{
	enum { N = 800, ROUNDS = 200 };
	static struct ppe_cntr *c[N];

	(void)state;
	for (unsigned i = 0; i < N; i++)
		c[i] = cntr_new();
	for (unsigned round = 1; round <= ROUNDS; round++)
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(
				ppe_cntr_chain(c[i], round, c[(i + 1) % N], false, 1, NULL), 0);
	bump(c[0]);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(ppe_cntr_value(c[i]), ROUNDS + (i == 0));
		assert_int_equal(ppe_cntr_flush(c[i]), 0);
	}
}

static void cntr_numbers(void **state)
{
	struct ppe_cntr *a = cntr_new(), *b = cntr_new();
	uint32_t na = cntr_number(a), nb = cntr_number(b);

	(void)state;
	assert_int_not_equal(na, 0);
	assert_int_not_equal(na, nb);
	turn_lock(ual);
	assert_ptr_equal(cntr_of(ual, na), a);
	assert_ptr_equal(cntr_of(ual, nb), b);
	assert_null(cntr_of(ual, 0));
	assert_null(cntr_of(ual, UINT32_MAX));
	assert_int_equal(cntr_number(NULL), 0);
	turn_unlock(ual);
	assert_int_equal(ppe_cntr_destroy(a), 0);
	/* the same event queue, but another counter */
	a = cntr_new();
	turn_lock(ual);
	assert_null(cntr_of(ual, na));
	assert_ptr_equal(cntr_of(ual, cntr_number(a)), a);
	turn_unlock(ual);
}

static void cntr_queue_is_hidden(void **state)
{
	struct ppe_cntr *c = cntr_new();
	struct ppe_event ev;

	(void)state;
	ppe_cntr_add(c, 1, 0);
	assert_int_equal(ppe_evq_read(ppe_cntr_evq(c), &ev, 1), 0);
	assert_int_equal(ppe_evq_count(ppe_cntr_evq(c)), 0);
	assert_int_equal(ppe_evq_destroy(ppe_cntr_evq(c)), -EBUSY);
	turn_lock(ual);
	cntr_hold(c);
	turn_unlock(ual);
	assert_int_equal(ppe_cntr_destroy(c), -EBUSY);
	turn_lock(ual);
	cntr_drop(c);
	turn_unlock(ual);
	assert_int_equal(ppe_cntr_destroy(c), 0);
}

/* -------------------------------------------------------------------------------- waiting */

static void cntr_wait_alone(void **state)
{
	struct ppe_cntr *c = cntr_new();
	uint64_t start;

	(void)state;
	ppe_cntr_add(c, 3, 2);
	assert_int_equal(ppe_cntr_wait(c, 3, 0), 0);
	assert_int_equal(ppe_cntr_wait(c, 0, -1), 0);
	assert_int_equal(ppe_cntr_wait(c, 4, 0), -ETIMEDOUT);
	start = timer_now_ns();
	assert_int_equal(ppe_cntr_wait(c, 4, 20 * MS), -ETIMEDOUT);
	assert_true(timer_now_ns() - start >= 20 * MS);
	ppe_evq_interrupt(ppe_cntr_evq(c));
	assert_int_equal(ppe_cntr_wait(c, 4, LONG_NS), -EINTR);
	ppe_evq_interrupt(ppe_cntr_evq(c));
	assert_int_equal(ppe_cntr_wait(c, 3, LONG_NS), 0);
	assert_int_equal(ppe_cntr_wait(c, 4, LONG_NS), -EINTR);
}

static struct ppe_cntr *driven;
static unsigned turns_run;

static void progress_bumps(void)
{
	cntr_bump(driven);
	if (++turns_run == 40)
		cntr_fail(driven);
}

/* The waiter runs the engine itself, and what it brings ends the wait. */
static void cntr_wait_runs_the_engine(void **state)
{
	(void)state;
	driven = cntr_new();
	turns_run = 0;
	bare_progress = progress_bumps;
	assert_int_equal(ppe_cntr_wait(driven, 10, LONG_NS), 0);
	assert_int_equal(ppe_cntr_value(driven), 10);
	assert_int_equal(ppe_cntr_wait(driven, 1000, LONG_NS), -EIO);
	assert_int_equal(ppe_cntr_errors(driven), 1);
	bare_progress = NULL;
	/* only changes while waiting count */
	assert_int_equal(ppe_cntr_wait(driven, 1000, 0), -ETIMEDOUT);
}

static void on_signal(int signo)
{
	(void)signo;
}

static void *signal_later(void *arg)
{
	pthread_t *whom = arg;
	struct timespec ts = { 0, 20 * MS };

	for (int i = 0; i < 10; i++) {
		nanosleep(&ts, NULL);
		pthread_kill(*whom, SIGUSR1);
	}
	return NULL;
}

static void cntr_wait_and_signals(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct ppe_cntr *c = cntr_new();
	pthread_t me = pthread_self(), other;

	(void)state;
	sigaction(SIGUSR1, &sa, NULL);
	assert_int_equal(pthread_create(&other, NULL, signal_later, &me), 0);
	assert_int_equal(ppe_cntr_wait(c, 1, LONG_NS), -EINTR);
	pthread_join(other, NULL);
}

/* Two threads, each of which waits for the other's counter. */
struct side {
	struct ppe_cntr *mine, *theirs;
	unsigned rounds;
	int err;
};

static void *play(void *arg)
{
	struct side *s = arg;

	for (uint64_t i = 1; i <= s->rounds && !s->err; i++) {
		ppe_cntr_add(s->theirs, 1, 0);
		s->err = ppe_cntr_wait(s->mine, i, LONG_NS);
	}
	return NULL;
}

static void cntr_ping_pong(void **state)
{
	struct ppe_cntr *a = cntr_new(), *b = cntr_new();
	unsigned rounds = TEST_SLOW ? 1000 : 10000;
	struct side one = { a, b, rounds, 0 }, two = { b, a, rounds, 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, play, &two), 0);
	play(&one);
	pthread_join(thread, NULL);
	assert_int_equal(one.err, 0);
	assert_int_equal(two.err, 0);
	assert_int_equal(ppe_cntr_destroy(a), 0);
	assert_int_equal(ppe_cntr_destroy(b), 0);
}

/* Many wait on one counter, for values in no order: each change must reach each of them. */
enum { WAITERS = 6 };

struct crowd {
	struct ppe_cntr *c, *back;
	unsigned rounds, step;
	int err;
};

static void *crowd_wait(void *arg)
{
	struct crowd *w = arg;

	for (uint64_t i = 1; i <= w->rounds && !w->err; i++) {
		w->err = ppe_cntr_wait(w->c, i * WAITERS - w->step, LONG_NS);
		ppe_cntr_add(w->back, 1, 0);
	}
	return NULL;
}

static void cntr_wait_in_a_crowd(void **state)
{
	struct ppe_cntr *c = cntr_new(), *back = cntr_new();
	unsigned rounds = TEST_SLOW ? 100 : 1000;
	struct crowd w[WAITERS];
	pthread_t thread[WAITERS];

	(void)state;
	for (unsigned i = 0; i < WAITERS; i++) {
		w[i] = (struct crowd){ c, back, rounds, i, 0 };
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_wait, &w[i]), 0);
	}
	/* one step at a time: each lets exactly one of them go on */
	for (unsigned n = 1; n <= rounds * WAITERS; n++) {
		ppe_cntr_add(c, 1, 0);
		assert_int_equal(ppe_cntr_wait(back, n, LONG_NS), 0);
	}
	for (unsigned i = 0; i < WAITERS; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(w[i].err, 0);
	}
	assert_int_equal(ppe_cntr_destroy(c), 0);
}

/* A leader that gives up leaves others behind. */
static void *wait_shortly(void *arg)
{
	for (int i = 0; i < 200; i++)
		ppe_cntr_wait(arg, UINT64_MAX, (i % 3) * MS / 10);
	return NULL;
}

static void cntr_wait_leaders_leave(void **state)
{
	struct ppe_cntr *a = cntr_new(), *b = cntr_new();
	unsigned rounds = TEST_SLOW ? 300 : 3000;
	struct side one = { a, b, rounds, 0 }, two = { b, a, rounds, 0 };
	pthread_t thread, shorts[2];

	(void)state;
	assert_int_equal(pthread_create(&shorts[0], NULL, wait_shortly, a), 0);
	assert_int_equal(pthread_create(&shorts[1], NULL, wait_shortly, b), 0);
	assert_int_equal(pthread_create(&thread, NULL, play, &two), 0);
	play(&one);
	pthread_join(thread, NULL);
	pthread_join(shorts[0], NULL);
	pthread_join(shorts[1], NULL);
	assert_int_equal(one.err, 0);
	assert_int_equal(two.err, 0);
}

/* ------------------------------------------------------------------------------ descriptor */

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void cntr_descriptor(void **state)
{
	struct ppe_cntr *c = cntr_new();
	struct ppe_evq *q = ppe_cntr_evq(c);
	int fd;

	(void)state;
	assert_int_equal(ppe_evq_fd(q, &fd), 0);
	assert_int_equal(ppe_evq_arm(q), 0);
	assert_false(readable(fd, 0));
	bump(c);
	assert_true(readable(fd, 1000));
	/* a change before the arm is told by the arm, once */
	assert_int_equal(ppe_evq_arm(q), -EAGAIN);
	assert_int_equal(ppe_evq_arm(q), 0);
	assert_false(readable(fd, 0));
	ppe_cntr_add(c, 0, 1);
	assert_true(readable(fd, 1000));
	assert_int_equal(ppe_evq_arm(q), -EAGAIN);
	ppe_cntr_set(c, 7);
	assert_int_equal(ppe_evq_arm(q), -EAGAIN);
	assert_int_equal(ppe_evq_arm(q), 0);
}

static void *poll_play(void *arg)
{
	struct side *s = arg;
	struct ppe_evq *q = ppe_cntr_evq(s->mine);
	int fd;

	s->err = ppe_evq_fd(q, &fd);
	for (uint64_t i = 1; i <= s->rounds && !s->err; i++) {
		ppe_cntr_add(s->theirs, 1, 0);
		while (ppe_cntr_value(s->mine) < i && !s->err) {
			if (ppe_evq_arm(q) == -EAGAIN)
				continue;
			if (ppe_cntr_value(s->mine) < i && !readable(fd, LONG_NS / MS))
				s->err = -ETIMEDOUT;
		}
	}
	return NULL;
}

/* One side sleeps in poll(), the other in a wait. */
static void cntr_ping_pong_poll(void **state)
{
	struct ppe_cntr *a = cntr_new(), *b = cntr_new();
	unsigned rounds = TEST_SLOW ? 500 : 5000;
	struct side one = { a, b, rounds, 0 }, two = { b, a, rounds, 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, poll_play, &two), 0);
	play(&one);
	pthread_join(thread, NULL);
	assert_int_equal(one.err, 0);
	assert_int_equal(two.err, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_inline, close_ual)
/* Threads that sleep: under each placement. */
#define TEST_SLEEP(name)                                                                           \
	{ #name "_inline", name, open_inline, close_ual, NULL },                                   \
		{ #name "_adaptive", name, open_adaptive, close_ual, NULL },                       \
	{                                                                                          \
#name "_dedicated", name, open_dedicated, close_ual, NULL                          \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cntr_values),
		TEST(cntr_triggers_in_order),
		TEST(cntr_chains),
		TEST(cntr_errors_reach_thresholds),
		TEST(cntr_chain_of_many),
		TEST(cntr_numbers),
		TEST(cntr_queue_is_hidden),
		TEST(cntr_wait_runs_the_engine),
		TEST(cntr_descriptor),
		TEST_SLEEP(cntr_wait_alone),
		TEST_SLEEP(cntr_wait_and_signals),
		TEST_SLEEP(cntr_ping_pong),
		TEST_SLEEP(cntr_wait_in_a_crowd),
		TEST_SLEEP(cntr_wait_leaders_leave),
		TEST_SLEEP(cntr_ping_pong_poll),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
