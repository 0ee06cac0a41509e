/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * owner.c - who runs the engine, who sleeps, and who wakes whom.
 *
 * tests/model/ownership.pml is this file and thread.c as a model, with every rule removed in turn.
 * The rules, by the name they have there:
 *
 *  - The turn is held for one bounded round; never across a return, a sleep or a callback.
 *  - Whoever sleeps in the fabric holds the slot, alone; it takes the slot, then arms, then looks
 *    once more for doorbells and events, then sleeps. A poster rings, then looks at the slot.
 *  - The sleeper, woken, drains the kick and disarms *before* it gives the slot back, and then runs
 *    a turn before it returns; nobody else drains the kick.
 *  - A waiter arms its event queue, then looks once more. An event is published, then the arm is
 *    taken by exchange and what it says is woken.
 *  - A waiter that sleeps on a word, or in poll(), needs somebody who runs the engine: the leader in
 *    the slot, or the thread, to which it hands over. A leader that leaves hands over for the others.
 *
 * Safety rests on these flags alone. How long to spin, when the thread steps in and when it steps
 * back are heuristics and may be tuned freely.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "ppe/file.h"

#define SPIN_US 20    /* before sleeping, when it paid off the last time */
#define SPIN_AFTER 64 /* short sleeps for one event, after one for several, till it is tried */
#define TURN_PATIENCE_US 10 /* of a poller that finds the turn taken */
#define READS_PER_TURN 16   /* non-empty reads between two turns */
#define FD_MODE_POLLS 100   /* empty polls after which a program that armed is polling again */

/* ----------------------------------------------------------------------- the turn */

static _Thread_local char self;

bool turn_held(const struct ppe_ual *ual)
{
	return atomic_load_explicit(&ual->turn_owner, memory_order_relaxed) == &self;
}

/* A holder must not vanish in a system call that is a cancellation point. */
static void turn_enter(struct ppe_ual *ual)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	ual->cancel_state = state;
	atomic_store_explicit(&ual->turn_owner, &self, memory_order_relaxed);
}

bool turn_trylock(struct ppe_ual *ual)
{
	if (!mutex_trylock(&ual->turn))
		return false;
	turn_enter(ual);
	return true;
}

void turn_lock(struct ppe_ual *ual)
{
	assert(!turn_held(ual));
	if (!mutex_trylock(&ual->turn)) {
		atomic_fetch_add(&ual->turn_wanted, 1);
		mutex_lock(&ual->turn);
		atomic_fetch_sub(&ual->turn_wanted, 1);
	}
	turn_enter(ual);
}

/* A deadline that is earlier than the sleeper knows of: it must look again. */
static void deadline_kick(struct ppe_ual *ual)
{
	if (timers_next_ns(&ual->timers) <
	    atomic_load_explicit(&ual->sleep_until, memory_order_seq_cst))
		ual->fabric.stream->kick(ual->fabric.fab);
}

/*
 * DTIs may become active when nobody runs them any more in this turn: a write failed, a buffer came
 * free. Like a doorbell: say so, then look for a sleeper.
 */
static void leave_work(struct ppe_ual *ual)
{
	atomic_exchange(&ual->work_left, 1);
	if (atomic_load(&ual->slot))
		ual->fabric.stream->kick(ual->fabric.fab);
}

void turn_unlock(struct ppe_ual *ual)
{
	int state = ual->cancel_state, ignored;
	bool left;

	assert(turn_held(ual));
	left = ual->file_work && file_turn(ual);
	turn_publish(ual);
	left |= !list_empty(&ual->active);
	atomic_store_explicit(&ual->turn_owner, NULL, memory_order_relaxed);
	mutex_unlock(&ual->turn);
	if (left)
		leave_work(ual);
	deadline_kick(ual);
	pthread_setcancelstate(state, &ignored);
}

bool owner_work_pending(struct ppe_ual *ual)
{
	return atomic_load(&ual->work_left) ||
	       ppe_doorbells_pending(&ual->bells, atomic_load(&ual->bells_head));
}

/* ------------------------------------------------------------------ arms and wakes */

static bool is_follower(uint32_t armed)
{
	return armed != ARMED_NONE && armed != ARMED_LEADER;
}

static void owner_arm(struct ppe_evq *q, enum armed how)
{
	uint32_t old;

	/* counted before it is armed: a leader that leaves, or the thread, may see one too many */
	if (is_follower(how))
		atomic_fetch_add(&q->ual->followers, 1);
	old = atomic_exchange(&q->armed, how);
	if (is_follower(old))
		atomic_fetch_sub(&q->ual->followers, 1);
}

enum armed owner_disarm(struct ppe_evq *q)
{
	uint32_t old = atomic_exchange(&q->armed, ARMED_NONE);

	if (is_follower(old))
		atomic_fetch_sub(&q->ual->followers, 1);
	return old;
}

static void wake_any(struct ppe_ual *ual)
{
	atomic_fetch_add(&ual->any_seq, 1);
	futex_wake(&ual->any_seq, INT_MAX);
	count_shared(&ual->counters.wakes_futex);
}

static void wake_fd(struct ppe_evq *q)
{
	uint64_t one = 1;

	if (write(q->eventfd, &one, sizeof(one)) < 0) {
		/* only when its counter is full, and then it is readable anyway */
	}
	count_shared(&q->ual->counters.wakes_fd);
}

static void wake_armed(struct ppe_evq *q, enum armed how)
{
	switch (how) {
	case ARMED_NONE:
		break;
	case ARMED_FUTEX:
		futex_wake(&q->armed, 1);
		count_shared(&q->ual->counters.wakes_futex);
		break;
	case ARMED_LEADER:
		q->ual->fabric.stream->kick(q->ual->fabric.fab);
		break;
	case ARMED_FD:
		wake_fd(q);
		break;
	case ARMED_ANY:
		wake_any(q->ual);
		break;
	}
}

static void wake_signal(struct ppe_evq *q)
{
	int signo;

	if (!atomic_load_explicit(&q->signo, memory_order_seq_cst))
		return;
	signo = atomic_exchange(&q->signo, 0);
	if (!signo)
		return;
	atomic_fetch_sub(&q->ual->followers, 1);
	syscall(SYS_tgkill, getpid(), atomic_load(&q->signal_tid), signo);
	count_shared(&q->ual->counters.wakes_signal);
}

void owner_wake(struct ppe_evq *q)
{
	wake_armed(q, owner_disarm(q));
	wake_signal(q);
}

/* Without a thread, the followers are woken: one of them will lead. */
static void wake_followers(struct ppe_ual *ual)
{
	turn_lock(ual);
	for (uint32_t i = 0; i < ual->nevqs; i++) {
		struct ppe_evq *q = ual->evqs[i];
		uint32_t how = q ? atomic_load(&q->armed) : ARMED_NONE;

		/* a program in poll() watches the fabric itself */
		if (how == ARMED_FUTEX || how == ARMED_ANY)
			wake_armed(q, owner_disarm(q));
	}
	turn_unlock(ual);
}

void owner_handover(struct ppe_ual *ual)
{
	uint32_t state = atomic_load(&ual->t_state);

	if (thread_spins(ual))
		return;
	if (state == THREAD_NONE) {
		wake_followers(ual);
		return;
	}
	atomic_exchange(&ual->t_word, 1);
	/* a leading thread reads the word before it sleeps as a guard */
	if (atomic_load(&ual->t_state) != THREAD_LEAD) {
		futex_wake(&ual->t_word, 1);
		count_shared(&ual->counters.handovers);
	}
}

/* ------------------------------------------------------------------------ polling */

/* After some time of finding the turn taken, sleep for it: its holder may want this processor. */
static bool poll_trylock(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;
	uint64_t now, since;

	if (!atomic_load_explicit(&ual->turn_wanted, memory_order_relaxed) && turn_trylock(ual)) {
		set_relaxed(&q->busy_since, 0);
		return true;
	}
	now = clock_ticks();
	since = get_relaxed(&q->busy_since);
	if (!since)
		set_relaxed(&q->busy_since, since = now);
	if (clock_age(now, since) < clock_us(TURN_PATIENCE_US))
		return false;
	set_relaxed(&q->busy_since, 0);
	turn_lock(ual);
	return true;
}

/* A program that sleeps in poll() and takes events when told is not polling. */
static bool is_polling(struct ppe_evq *q)
{
	uint32_t polls = get_relaxed(&q->fd_mode_polls);

	if (!polls)
		return true;
	set_relaxed(&q->fd_mode_polls, polls - 1);
	return false;
}

/* A spinning thread and a spinning poller on one processor would take turns of a time slice. */
static void poll_dedicated(struct ppe_ual *ual)
{
	int cpu = sched_getcpu();

	if (cpu >= 0 &&
	    atomic_load_explicit(&ual->t_cpu, memory_order_relaxed) == (uint32_t)cpu + 1)
		sched_yield();
}

/* An application thread was here just now: the thread may go on guarding. */
static void owner_was_here(struct ppe_ual *ual)
{
	atomic_fetch_add_explicit(&ual->epoch, 1, memory_order_relaxed);
	set_relaxed(&ual->last_poll, clock_ticks());
}

/* Who finds events at each read runs few turns, and polls all the same. */
static void owner_took(struct ppe_evq *q)
{
	if (q->ual->placement == PPE_ADAPTIVE && !get_relaxed(&q->fd_mode_polls))
		owner_was_here(q->ual);
}

static void owner_poll(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;

	if (thread_spins(ual)) {
		poll_dedicated(ual);
		return;
	}
	if (!poll_trylock(q))
		return;
	turn_run(ual, TURN_POLL);
	if (is_polling(q))
		owner_was_here(ual);
	turn_unlock(ual);
}

int ppe_evq_read(struct ppe_evq *q, struct ppe_event *ev, int max)
{
	int n;

	if (!ual_alive(q->ual))
		return -EOWNERDEAD;
	n = ppe_evq_take(q, ev, max);
	if (n) {
		uint32_t reads = get_relaxed(&q->reads) + 1;

		set_relaxed(&q->reads, reads);
		if (reads % READS_PER_TURN) {
			owner_took(q);
			return n;
		}
	}
	owner_poll(q);
	return n ? n : ppe_evq_take(q, ev, max);
}

/* ------------------------------------------------------------------------ waiting */

struct wait_set {
	struct ppe_ual *ual;
	struct ppe_evq *const *evqs;
	unsigned n;
	uint64_t deadline; /* ns; UINT64_MAX: none */
};

static bool set_has_events(const struct wait_set *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (evq_has_events(w->evqs[i]))
			return true;
	return false;
}

/* EVQ_ bits of the first queue that has any. */
static uint32_t set_interrupted(const struct wait_set *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		uint32_t bits = atomic_load(&w->evqs[i]->interrupted)
					? atomic_exchange(&w->evqs[i]->interrupted, 0)
					: 0;

		if (bits)
			return bits;
	}
	return 0;
}

/* Without taking the interrupts. */
static bool set_has_news(const struct wait_set *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (atomic_load(&w->evqs[i]->interrupted))
			return true;
	return set_has_events(w);
}

static void set_arm(const struct wait_set *w, enum armed how)
{
	for (unsigned i = 0; i < w->n; i++)
		owner_arm(w->evqs[i], how);
}

static void set_disarm(const struct wait_set *w)
{
	for (unsigned i = 0; i < w->n; i++)
		owner_disarm(w->evqs[i]);
}

/* Time left, -1: for ever. */
static int64_t set_time_left(const struct wait_set *w)
{
	uint64_t now;

	if (w->deadline == UINT64_MAX)
		return -1;
	now = timer_now_ns();
	return now < w->deadline ? (int64_t)(w->deadline - now) : 0;
}

int owner_sleep(struct ppe_ual *ual, uint64_t until)
{
	uint64_t first, now;
	int err;

	atomic_exchange(&ual->sleep_until, UINT64_MAX);
	/* after the exchange: a deadline set later is earlier than sleep_until, and kicks */
	first = timers_next_ns(&ual->timers);
	if (first < until)
		until = first;
	atomic_store(&ual->sleep_until, until);
	now = until == UINT64_MAX ? 0 : timer_now_ns();
	err = ual->fabric.stream->wait(ual->fabric.fab, until == UINT64_MAX ? -1
							: now < until       ? (int64_t)(until - now)
									    : 0);
	ual->fabric.stream->drain(ual->fabric.fab);
	atomic_store(&ual->sleep_until, 0);
	return err;
}

/* The slot is free again: see that those who sleep elsewhere still have somebody. */
static void leader_leaves(struct ppe_ual *ual)
{
	if (atomic_load(&ual->t_state) == THREAD_DEEP || atomic_load(&ual->followers))
		owner_handover(ual);
}

/*
 * 0; -EINTR; -EAGAIN: somebody else has the slot.
 *
 * The slot first, then the arm: the other way round, a turn that has published an event could take
 * the arm, and its kick would go to whoever sleeps in the slot in between.
 */
static int wait_lead(const struct wait_set *w)
{
	struct ppe_ual *ual = w->ual;
	uint32_t none = SLOT_NONE;
	int err = 0;

	if (!atomic_compare_exchange_strong(&ual->slot, &none, SLOT_WAITER))
		return -EAGAIN;
	set_arm(w, ARMED_LEADER);
	if (!owner_work_pending(ual) && !set_has_news(w))
		err = owner_sleep(ual, w->deadline);
	/* in this order: an event posted between would kick a slot that is somebody else's */
	set_disarm(w);
	atomic_exchange(&ual->slot, SLOT_NONE);
	owner_was_here(ual);
	leader_leaves(ual);
	/* not by trylock: a poster that found the slot taken and the turn too relies on this one */
	turn_lock(ual);
	turn_run(ual, TURN_WAIT);
	turn_unlock(ual);
	return err;
}

/*
 * A follower, armed, must know that somebody runs the engine. The thread is told; without one, a
 * leader that left before we armed has not seen us, but then we see its free slot.
 */
static bool nobody_leads(struct ppe_ual *ual)
{
	uint32_t slot = atomic_load(&ual->slot);

	if (thread_spins(ual))
		return false;
	if (atomic_load(&ual->t_state) == THREAD_NONE)
		return slot == SLOT_NONE;
	if (slot != SLOT_WAITER)
		owner_handover(ual);
	return false;
}

static int wait_follow(const struct wait_set *w)
{
	struct ppe_ual *ual = w->ual;
	uint32_t seq = atomic_load(&ual->any_seq);
	enum armed how = w->n == 1 ? ARMED_FUTEX : ARMED_ANY;
	int err = 0;

	set_arm(w, how);
	if (!set_has_news(w) && !nobody_leads(ual)) {
		if (how == ARMED_FUTEX)
			err = futex_wait(&w->evqs[0]->armed, how, set_time_left(w));
		else
			err = futex_wait(&ual->any_seq, seq, set_time_left(w));
	}
	set_disarm(w);
	return err == -EINTR ? err : 0;
}

/* Is this waiter to sleep in the fabric? With a thread, only a lone one: the thread serves many. */
static bool may_lead(struct ppe_ual *ual)
{
	if (thread_spins(ual) || atomic_load(&ual->slot) != SLOT_NONE)
		return false;
	return atomic_load(&ual->t_state) == THREAD_NONE || !atomic_load(&ual->followers);
}

static void wait_turn(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;

	if (!thread_spins(ual) && poll_trylock(q)) {
		turn_run(ual, TURN_WAIT);
		turn_unlock(ual);
	}
}

/*
 * Spinning pays for one peer that answers at once. Where events come together, from many peers, each
 * look would find a few and cost as much as one that finds many: asleep, they gather.
 */
static void judge_spin(const struct wait_set *w, bool paid)
{
	struct ppe_evq *q = w->evqs[0];
	uint32_t events = 0;

	for (unsigned i = 0; i < w->n; i++)
		events += ppe_evq_count(w->evqs[i]);
	if (events > 1)
		q->spin_after = SPIN_AFTER;
	else if (paid && q->spin_after)
		q->spin_after--;
	q->spin = paid && !q->spin_after;
}

/* Spins while that has paid off. True: there is something. */
static bool wait_spin(const struct wait_set *w)
{
	struct ppe_evq *q = w->evqs[0];
	uint64_t start;

	if (!q->spin)
		return false;
	start = clock_ticks();
	do {
		wait_turn(w->evqs[0]);
		if (set_has_news(w)) {
			judge_spin(w, true);
			return true;
		}
		cpu_relax();
	} while (clock_age(clock_ticks(), start) < clock_us(SPIN_US));
	q->spin = false;
	return false;
}

static int wait_sleep(const struct wait_set *w)
{
	uint64_t start = clock_ticks();
	int err = -EAGAIN;

	if (may_lead(w->ual))
		err = wait_lead(w);
	if (err == -EAGAIN)
		err = wait_follow(w);
	judge_spin(w, clock_age(clock_ticks(), start) < clock_us(2 * SPIN_US));
	return err;
}

static int wait_loop(const struct wait_set *w)
{
	for (;;) {
		uint32_t bits;
		int err;

		if (set_has_events(w))
			return 0;
		bits = set_interrupted(w);
		if (bits)
			return bits & EVQ_INTERRUPT ? -EINTR : 0;
		wait_turn(w->evqs[0]);
		if (set_has_news(w) || wait_spin(w))
			continue;
		if (!set_time_left(w))
			return -ETIMEDOUT;
		err = wait_sleep(w);
		if (err == -EINTR && !set_has_events(w))
			return err;
	}
}

/* One waiter per event queue. One queue: in line; several: no waiting for other waiters. */
static int set_lock(const struct wait_set *w)
{
	if (w->n == 1)
		return mutex_timedlock(&w->evqs[0]->wait_lock, set_time_left(w));
	for (unsigned i = 0; i < w->n; i++) {
		if (mutex_trylock(&w->evqs[i]->wait_lock))
			continue;
		while (i--)
			mutex_unlock(&w->evqs[i]->wait_lock);
		return -EBUSY;
	}
	return 0;
}

static void set_unlock(const struct wait_set *w)
{
	for (unsigned i = 0; i < w->n; i++)
		mutex_unlock(&w->evqs[i]->wait_lock);
}

int ppe_evq_wait(struct ppe_evq *const *evqs, unsigned n, int64_t timeout_ns)
{
	struct wait_set w = { .evqs = evqs, .n = n, .deadline = UINT64_MAX };
	int err, cancel;

	if (!n)
		return -EINVAL;
	w.ual = evqs[0]->ual;
	for (unsigned i = 1; i < n; i++)
		if (evqs[i]->ual != w.ual)
			return -EINVAL;
	if (!ual_alive(w.ual))
		return -EOWNERDEAD;
	if (timeout_ns >= 0)
		w.deadline = timer_now_ns() + timeout_ns;

	/* a waiter that vanished would take the slot with it */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	err = set_lock(&w);
	if (!err) {
		err = wait_loop(&w);
		set_unlock(&w);
	}
	pthread_setcancelstate(cancel, &cancel);
	return err;
}

void ppe_evq_interrupt(struct ppe_evq *q)
{
	if (!ual_alive(q->ual))
		return;
	atomic_fetch_or(&q->interrupted, EVQ_INTERRUPT);
	wake_armed(q, owner_disarm(q));
}

/* ----------------------------------------------------------------- poll() and signals */

/* Without a thread the program's poll() must see the fabric itself. */
static int inline_fd(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0)
		return -errno;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, q->eventfd, &ev) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, ual->fabric.stream->wait_fd(ual->fabric.fab), &ev)) {
		int err = -errno;

		close(ep);
		return err;
	}
	return ep;
}

static int evq_open_fd(struct ppe_evq *q)
{
	int fd;

	if (q->fd >= 0)
		return 0;
	if (q->eventfd < 0)
		q->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->eventfd < 0)
		return -errno;
	fd = q->ual->placement == PPE_INLINE ? inline_fd(q) : q->eventfd;
	if (fd < 0)
		return fd;
	q->fd = fd;
	return 0;
}

int ppe_evq_fd(struct ppe_evq *q, int *fd)
{
	int err;

	if (!ual_alive(q->ual))
		return -EOWNERDEAD;
	turn_lock(q->ual);
	err = evq_open_fd(q);
	turn_unlock(q->ual);
	if (!err)
		*fd = q->fd;
	return err;
}

static void evq_drain_fd(struct ppe_evq *q)
{
	uint64_t value;

	if (read(q->eventfd, &value, sizeof(value)) < 0) {
		/* nothing in it: it was armed and not woken */
	}
}

int ppe_evq_arm(struct ppe_evq *q)
{
	struct ppe_ual *ual = q->ual;
	int fd, err = ppe_evq_fd(q, &fd);

	if (err)
		return err;
	if (evq_has_events(q))
		return -EAGAIN;
	err = thread_start(ual);
	if (err)
		return err;
	if (ual->placement == PPE_INLINE) {
		turn_lock(ual);
		turn_run(ual, TURN_WAIT);
		turn_unlock(ual);
	}
	evq_drain_fd(q);
	set_relaxed(&q->fd_mode_polls, FD_MODE_POLLS);
	owner_arm(q, ARMED_FD);
	/* without a thread, nobody would do what is left to do while the program sleeps */
	if (evq_has_events(q) || atomic_exchange(&q->interrupted, 0) ||
	    (ual->placement == PPE_INLINE && owner_work_pending(ual))) {
		owner_disarm(q);
		return -EAGAIN;
	}
	if (atomic_load(&ual->slot) == SLOT_NONE && ual->placement == PPE_ADAPTIVE)
		owner_handover(ual);
	return 0;
}

static void signal_disable(struct ppe_evq *q)
{
	if (atomic_exchange(&q->signo, 0))
		atomic_fetch_sub(&q->ual->followers, 1);
}

static int signal_enable(struct ppe_evq *q, int signo)
{
	struct ppe_ual *ual = q->ual;

	atomic_store(&q->signal_tid, (int32_t)syscall(SYS_gettid));
	atomic_fetch_add(&ual->followers, 1);
	if (atomic_exchange(&q->signo, signo))
		atomic_fetch_sub(&ual->followers, 1);
	if (evq_has_events(q)) {
		signal_disable(q);
		return -EAGAIN;
	}
	if (atomic_load(&ual->slot) == SLOT_NONE)
		owner_handover(ual);
	return 0;
}

int ppe_evq_notify(struct ppe_evq *q, int signo)
{
	int err;

	if (!ual_alive(q->ual))
		return -EOWNERDEAD;
	if (signo < 0 || signo > SIGRTMAX)
		return -EINVAL;
	if (!signo) {
		signal_disable(q);
		return 0;
	}
	if (q->ual->placement == PPE_INLINE)
		return -EOPNOTSUPP;
	if (evq_has_events(q))
		return -EAGAIN;
	err = thread_start(q->ual);
	return err ? err : signal_enable(q, signo);
}
