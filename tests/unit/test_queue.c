/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_queue.c - what an application and the engine share: rings, doorbells, sizes. */
#include "tests/unit/ppe_test.h"

#include <pthread.h>
#include <sched.h>

#define ENTRIES (TEST_SLOW ? 200000 : 2000000)

/* --------------------------------------------------------------------------- ring */

static void ring_fills_and_empties(void **state)
{
	struct ppe_spsc r;

	(void)state;
	ppe_spsc_init(&r);
	for (uint32_t start = UINT32_MAX - 20; start != 20; start++) {
		atomic_store(&r.head, start);
		atomic_store(&r.tail, start);
		r.head_seen = r.tail_seen = start;
		assert_int_equal(ppe_spsc_count(&r), 0);
		assert_true(ppe_spsc_has_room(&r, 8, 8));
		assert_false(ppe_spsc_has_room(&r, 8, 9));
		ppe_spsc_commit(&r, 5);
		assert_int_equal(ppe_spsc_count(&r), 5);
		assert_true(ppe_spsc_has_room(&r, 8, 3));
		assert_false(ppe_spsc_has_room(&r, 8, 4));
		ppe_spsc_release(&r, 2);
		assert_int_equal(ppe_spsc_count(&r), 3);
		assert_true(ppe_spsc_has_room(&r, 8, 5));
		ppe_spsc_commit(&r, 5);
		assert_false(ppe_spsc_has_room(&r, 8, 1));
		ppe_spsc_release(&r, 8);
		assert_int_equal(ppe_spsc_count(&r), 0);
	}
}

struct stream {
	struct ppe_spsc r;
	uint64_t slot[16];
};

static void *produce(void *arg)
{
	struct stream *s = arg;
	uint64_t seed = 5, next = 0;

	while (next < ENTRIES) {
		uint32_t n = 1 + rnd_below(&seed, 4);
		uint32_t at = atomic_load_explicit(&s->r.tail, memory_order_relaxed);

		if (!ppe_spsc_has_room(&s->r, 16, n)) {
			sched_yield();
			continue;
		}
		for (uint32_t i = 0; i < n; i++)
			s->slot[(at + i) % 16] = next++;
		ppe_spsc_commit(&s->r, n);
	}
	return NULL;
}

static void ring_passes_between_threads(void **state)
{
	static struct stream s;
	uint64_t seed = 6, next = 0;
	pthread_t producer;

	(void)state;
	ppe_spsc_init(&s.r);
	pthread_create(&producer, NULL, produce, &s);
	while (next < ENTRIES) {
		uint32_t head = atomic_load_explicit(&s.r.head, memory_order_relaxed);
		uint32_t n = ppe_spsc_count(&s.r);

		assert_true(n <= 16);
		if (!n)
			sched_yield();
		else if (n > 1)
			n = 1 + rnd_below(&seed, n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(s.slot[(head + i) % 16], next++);
		ppe_spsc_release(&s.r, n);
	}
	pthread_join(producer, NULL);
	assert_true(ppe_spsc_count(&s.r) < 4); /* the last of the producer's may be some too many */
}

/* ---------------------------------------------------------------------- doorbells */

#define RINGERS 3
#define QUEUES 4 /* so many slots, so many queues: it is full at times, and never over */

static struct ppe_doorbells bells;
static _Atomic uint32_t bell_slots[QUEUES];
static struct bell_queue {
	_Atomic uint32_t rung;
	_Atomic uint64_t posted;
	uint64_t seen;
} queues[QUEUES];
static _Atomic unsigned ringers_left;

static void *ring_bells(void *arg)
{
	uint64_t seed = (uintptr_t)arg + 1;

	for (unsigned i = 0; i < ENTRIES / 10; i++) {
		uint32_t n = rnd_below(&seed, QUEUES);

		atomic_fetch_add_explicit(&queues[n].posted, 1, memory_order_release);
		if (!atomic_exchange(&queues[n].rung, 1))
			ppe_doorbell_push(&bells, n);
		if (rnd_below(&seed, 64) == 0)
			sched_yield();
	}
	atomic_fetch_sub(&ringers_left, 1);
	return NULL;
}

/* The consumer of doorbells looks at a queue only when it has rung, and sees every post. */
static void doorbells_lose_nothing(void **state)
{
	pthread_t ringer[RINGERS];
	uint64_t total = 0;
	bool last = false;

	(void)state;
	bells.mask = QUEUES - 1;
	bells.slot = bell_slots;
	atomic_store(&ringers_left, RINGERS);
	for (uintptr_t i = 0; i < RINGERS; i++)
		pthread_create(&ringer[i], NULL, ring_bells, (void *)i);
	while (!last) {
		int64_t n;

		last = !atomic_load(&ringers_left);
		while ((n = ppe_doorbell_pop(&bells)) >= 0) {
			uint64_t posted;

			assert_true(n < QUEUES);
			assert_int_equal(atomic_exchange(&queues[n].rung, 0), 1);
			posted = atomic_load_explicit(&queues[n].posted, memory_order_acquire);
			total += posted - queues[n].seen;
			queues[n].seen = posted;
		}
		if (!last)
			sched_yield();
	}
	for (unsigned i = 0; i < RINGERS; i++)
		pthread_join(ringer[i], NULL);
	assert_int_equal(total, (uint64_t)RINGERS * (ENTRIES / 10));
	assert_false(ppe_doorbells_pending(&bells, bells.head));
}

/* A producer that has its ticket and no more holds the queue, and only it. */
static void doorbells_pending_from_the_ticket_on(void **state)
{
	uint32_t head;

	(void)state;
	head = bells.head;
	assert_false(ppe_doorbells_pending(&bells, head));
	atomic_fetch_add(&bells.tail, 1);
	assert_true(ppe_doorbells_pending(&bells, head));
	assert_int_equal(ppe_doorbell_pop(&bells), -1);
	atomic_store(&bells.slot[head & bells.mask], 3 + 1);
	assert_int_equal(ppe_doorbell_pop(&bells), 3);
	assert_int_equal(ppe_doorbell_pop(&bells), -1);
	assert_false(ppe_doorbells_pending(&bells, bells.head));
}

/* --------------------------------------------------------------------------- sizes */

static void requests_take_the_slots_they_need(void **state)
{
	(void)state;
	assert_int_equal(ppe_wr_slots(0), 1);
	assert_int_equal(ppe_wr_slots(48), 1);
	assert_int_equal(ppe_wr_slots(49), 2);
	assert_int_equal(ppe_wr_slots(112), 2);
	assert_int_equal(ppe_wr_slots(113), 3);
	assert_int_equal(ppe_wr_slots(PPE_INLINE_MAX), 4);
	assert_int_equal(ppe_wr_slots(PPE_SGE_MAX * sizeof(struct ppe_sge)), 4);
	assert_int_equal(sizeof(struct ppe_event), PPE_CACHE_LINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_fills_and_empties),
		cmocka_unit_test(ring_passes_between_threads),
		cmocka_unit_test(doorbells_lose_nothing),
		cmocka_unit_test(doorbells_pending_from_the_ticket_on),
		cmocka_unit_test(requests_take_the_slots_they_need),
	};

	return test_run(tests, NULL);
}
