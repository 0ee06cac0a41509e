/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * thread.c - the engine's own thread.
 *
 * Adaptive: it guards while application threads poll, on a timer that backs off; leads when they have
 * stopped, or have asked for it, sleeping in the fabric; and sleeps deep while a waiter leads.
 * Dedicated: it spins. See owner.c for the protocol.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ppe/engine.h"

#define GUARD_MIN_NS 1000000
#define GUARD_MAX_NS 8000000
#define SPIN_YIELD_TURNS 256 /* empty turns of a dedicated thread without a processor of its own */

/* ------------------------------------------------------------------------ adaptive */

static bool polled_within(struct ppe_ual *ual, uint64_t us)
{
	uint64_t last = atomic_load_explicit(&ual->last_poll, memory_order_relaxed);

	return last && clock_age(clock_ticks(), last) < clock_us(us);
}

/* A waiter leads: nothing to do until it leaves. */
static void thread_deep(struct ppe_ual *ual)
{
	atomic_exchange(&ual->t_state, THREAD_DEEP);
	/* after the exchange: a leader that leaves before it sees DEEP has left the slot free */
	if (atomic_load(&ual->slot) == SLOT_WAITER && !atomic_load(&ual->stop))
		futex_wait(&ual->t_word, 0, -1);
}

/* Until the latest poll is GUARD_MIN_NS ago; not positive: it is. */
static int64_t ns_until_stale(struct ppe_ual *ual)
{
	uint64_t last = atomic_load_explicit(&ual->last_poll, memory_order_relaxed);

	return GUARD_MIN_NS - (int64_t)(clock_age(clock_ticks(), last) * 1000 / clock_ticks_per_us);
}

/*
 * There were polls since the last look. For how long to guard before the next; 0: lead. A poll that is
 * neither fresh nor stale may have been the last: the next look is when it would be stale, so that
 * who polled for moments does not wait for a guard that backed off. Not twice in succession: a timer
 * of the application may keep step with ours.
 */
static int64_t guard_again(struct ppe_ual *ual, int64_t *guard_ns, bool *doubt)
{
	int64_t left = ns_until_stale(ual);

	if (left <= 0)
		return 0;
	*doubt = !*doubt && !polled_within(ual, PPE_POLLING_US);
	if (*doubt)
		return left;
	return *guard_ns = *guard_ns < GUARD_MAX_NS ? *guard_ns * 2 : GUARD_MAX_NS;
}

/* Returns when it is time to lead. */
static void thread_guard(struct ppe_ual *ual)
{
	int64_t guard_ns = GUARD_MIN_NS, next_ns = GUARD_MIN_NS;
	bool doubt = false;

	while (!atomic_load(&ual->stop)) {
		uint32_t seen;

		atomic_exchange(&ual->t_state, THREAD_GUARD);
		seen = atomic_load(&ual->epoch);
		futex_wait(&ual->t_word, 0, next_ns);
		count_shared(&ual->counters.thread_wakes);
		if (atomic_exchange(&ual->t_word, 0))
			return;
		next_ns = 0;
		if (atomic_load(&ual->epoch) != seen)
			next_ns = guard_again(ual, &guard_ns, &doubt);
		if (next_ns)
			continue;
		if (atomic_load(&ual->slot) != SLOT_WAITER)
			return;
		/* not one that sleeps for moments: its leaving costs a wake from now on */
		thread_deep(ual);
		guard_ns = next_ns = GUARD_MIN_NS;
	}
}

static void thread_turn(struct ppe_ual *ual)
{
	turn_lock(ual);
	turn_run(ual, TURN_THREAD);
	turn_unlock(ual);
}

/* Leads until somebody else does, or polls. */
static void thread_lead(struct ppe_ual *ual)
{
	atomic_exchange(&ual->t_state, THREAD_LEAD);
	count_shared(&ual->counters.thread_takeovers);
	while (!atomic_load(&ual->stop)) {
		uint32_t none = SLOT_NONE;

		thread_turn(ual);
		if (polled_within(ual, PPE_POLLING_US) && !atomic_load(&ual->followers))
			return;
		if (!atomic_compare_exchange_strong(&ual->slot, &none, SLOT_THREAD))
			return;
		/* after the exchange: who rings later sees the slot taken, and kicks */
		if (!owner_work_pending(ual) && !atomic_load(&ual->stop)) {
			owner_sleep(ual, UINT64_MAX);
			count_shared(&ual->counters.thread_wakes);
		}
		atomic_exchange(&ual->slot, SLOT_NONE);
	}
}

/*
 * A short slice: after the gaps of a millisecond that a guard leaves, the scheduler then lets the
 * thread in ahead of a computing application at once. Kernels before 6.12 ignore it.
 */
static void thread_short_slice(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = { .size = sizeof(attr), .runtime = 100000 };

	/* the rest stays what the application gave: a real-time class, its niceness */
	if (sched_getscheduler(0) != SCHED_OTHER)
		return;
	attr.nice = getpriority(PRIO_PROCESS, 0);
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

static void run_adaptive(struct ppe_ual *ual)
{
	thread_short_slice();
	while (!atomic_load(&ual->stop)) {
		thread_guard(ual);
		thread_lead(ual);
	}
}

/* ----------------------------------------------------------------------- dedicated */

/* It is started and stopped under the turn, or when nobody else is there: under it this is exact. */
bool thread_spins(struct ppe_ual *ual)
{
	return ual->placement == PPE_DEDICATED && atomic_load(&ual->t_state) != THREAD_NONE;
}

/* Those who block for the turn would never get it from a spinner that takes it back at once. */
static void let_others_in(struct ppe_ual *ual)
{
	while (atomic_load_explicit(&ual->turn_wanted, memory_order_relaxed) &&
	       !atomic_load_explicit(&ual->stop, memory_order_relaxed))
		sched_yield();
}

static void run_dedicated(struct ppe_ual *ual)
{
	unsigned empty = 0;

	while (!atomic_load_explicit(&ual->stop, memory_order_relaxed)) {
		uint64_t events = __atomic_load_n(&ual->counters.events, __ATOMIC_RELAXED);

		thread_turn(ual);
		let_others_in(ual);
		if (__atomic_load_n(&ual->counters.events, __ATOMIC_RELAXED) == events)
			empty++;
		else
			empty = 0;
		if (empty && empty % SPIN_YIELD_TURNS == 0) {
			int cpu = sched_getcpu();

			atomic_store_explicit(&ual->t_cpu, cpu + 1, memory_order_relaxed);
			sched_yield();
		}
		cpu_relax();
	}
}

/* --------------------------------------------------------------------- start, stop */

static void *thread_main(void *arg)
{
	struct ppe_ual *ual = arg;

	if (ual->placement == PPE_DEDICATED)
		run_dedicated(ual);
	else
		run_adaptive(ual);
	return NULL;
}

static int thread_pin(pthread_attr_t *attr, int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_attr_setaffinity_np(attr, sizeof(set), &set);
}

/* No signal of the application is ever handled on the engine's thread. */
static int thread_create(struct ppe_ual *ual)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	err = thread_pin(&attr, ual->cpu);
	if (!err) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		err = pthread_create(&ual->thread, &attr, thread_main, ual);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	if (!err)
		pthread_setname_np(ual->thread, "eta-ppe");
	return -err;
}

int thread_start(struct ppe_ual *ual)
{
	int err = 0;

	if (ual->placement == PPE_INLINE || atomic_load(&ual->t_state) != THREAD_NONE)
		return 0;
	turn_lock(ual);
	if (!ual->thread_started && !atomic_load(&ual->stop)) {
		atomic_store(&ual->t_state, THREAD_GUARD);
		err = thread_create(ual);
		if (err)
			atomic_store(&ual->t_state, THREAD_NONE);
		else
			ual->thread_started = true;
	}
	turn_unlock(ual);
	if (err)
		ual_logf(ual, FAB_LOG_WARN, "cannot start the engine's thread: %s", strerror(-err));
	return err;
}

void thread_stop(struct ppe_ual *ual)
{
	if (!ual->thread_started)
		return;
	atomic_store(&ual->stop, true);
	atomic_exchange(&ual->t_word, 1);
	futex_wake(&ual->t_word, 1);
	ual->fabric.stream->kick(ual->fabric.fab);
	pthread_join(ual->thread, NULL);
	ual->thread_started = false;
	atomic_store(&ual->t_state, THREAD_NONE);
}
