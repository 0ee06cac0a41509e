/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_owner.c - nobody sleeps for ever: random posts, polls, waits and arms by several threads.
 *
 * Each worker has one connection that echoes (what it sends comes back to it) and one that an injector
 * feeds. In each round something is under way for the worker, and it looks for the events in a way
 * that chance picks. A round ends when every event has come; nothing else makes it go on, so an event,
 * a doorbell or a kick that is lost hangs the worker, and the watchdog then prints the engine's words.
 * Time decides nothing else.
 */
#include "tests/unit/ppe_test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>

#define WATCHDOG_S 60
#define WORKERS_MAX 4
#define QUEUES_MAX 3
#define MESSAGE 48
#define BURST_MAX 6

enum how { POLL, WAIT, WAIT_SHORT, WAIT_ANY, POLL_FD, SIGNAL, MIXED, HOWS };

struct scenario {
	const char *placement;
	unsigned workers, queues, slots, rounds;
	enum how how;
	bool yields;
};

struct worker {
	struct bench *b;
	const struct scenario *s;
	pthread_t thread;
	unsigned number;
	struct ppe_evq *q[QUEUES_MAX]; /* tx, rx, fed */
	struct ppe_dti *echo, *echo_far, *fed;
	struct fab_conn *fed_conn;
	uint64_t seed;
	sem_t feed; /* to the injector: one message, please */
	_Atomic unsigned round, sleeps;
	_Atomic int doing;
	_Atomic bool over;
	unsigned want, got_send, got_recv, got_fed;
	uint8_t tx[MESSAGE], rx[MESSAGE], rx_fed[MESSAGE];
};

/* For other threads than CMocka's own, to whom its asserts would jump. */
#define must(truth)                                                                                \
	do {                                                                                       \
		if (!(truth)) {                                                                    \
			dprintf(2, "%s:%d: %s\n", __FILE__, __LINE__, #truth);                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static struct bench b;

/* ----------------------------------------------------------------------- watchdog */

static struct ppe_ual *watched;
static struct worker *watched_workers;
static unsigned watched_count;
static const struct scenario *watched_scenario;

static void dump_evq(const struct ppe_evq *q)
{
	dprintf(2,
		"  evq %u: armed %u signo %d interrupted %u want_room %u rung %u tail %u head %u"
		" written %u reserved %u\n",
		q->number, atomic_load(&q->armed), atomic_load(&q->signo),
		atomic_load(&q->interrupted), atomic_load(&q->want_room), atomic_load(&q->rung),
		atomic_load(&q->idx->tail), atomic_load(&q->idx->head), q->tail, q->reserved);
}

static void dump_dti(const struct ppe_dti *d)
{
	dprintf(2,
		"  dti %x: state %u pending %x rung %u starved %u sq %u-%u rq %u-%u stopped %d\n",
		d->handle, d->state, d->pending, atomic_load(&d->sh->rung),
		atomic_load(&d->sh->starved), atomic_load(&d->sh->sq.head),
		atomic_load(&d->sh->sq.tail), atomic_load(&d->sh->rq.head),
		atomic_load(&d->sh->rq.tail), d->stopped_rx);
}

static void bark(int signo)
{
	struct ppe_ual *u = watched;

	(void)signo;
	dprintf(2, "HANG: %s, %u workers, %u queues, way %d\n", watched_scenario->placement,
		watched_count, watched_scenario->queues, watched_scenario->how);
	dprintf(2, "  turn %u wanted %u slot %u t_state %u t_word %u any_seq %u followers %u\n",
		atomic_load(&u->turn), atomic_load(&u->turn_wanted), atomic_load(&u->slot),
		atomic_load(&u->t_state), atomic_load(&u->t_word), atomic_load(&u->any_seq),
		atomic_load(&u->followers));
	dprintf(2, "  epoch %u bells %u-%u (head %u) active %d sleeping %u work %d\n",
		atomic_load(&u->epoch), atomic_load(&u->bells_head), atomic_load(&u->bells.tail),
		u->bells.head, !list_empty(&u->active), atomic_load(&stub_of(u)->sleeping),
		stub_of(u)->signalled);
	for (unsigned i = 0; i < watched_count; i++) {
		struct worker *w = &watched_workers[i];

		dprintf(2, "  worker %u: round %u doing %d got %u %u %u\n", i,
			atomic_load(&w->round), atomic_load(&w->doing), w->got_send, w->got_recv,
			w->got_fed);
	}
	for (uint32_t i = 0; i < u->nevqs; i++)
		dump_evq(u->evqs[i]);
	for (uint32_t i = 0; i < u->ndtis; i++)
		dump_dti(u->dtis[i]);
	abort();
}

/* ------------------------------------------------------------------------- chance */

static _Thread_local uint64_t step_seed;

static void random_step(void)
{
	uint32_t n;

	if (!step_seed)
		step_seed = (uintptr_t)&step_seed | 1;
	n = rnd_below(&step_seed, 64);
	if (n < 2)
		sched_yield();
	else if (n < 16)
		for (volatile uint32_t i = rnd_below(&step_seed, 400); i; i--)
			;
}

static void random_delay(uint64_t *seed)
{
	struct timespec ts = { 0 };
	uint32_t n = rnd_below(seed, 16);

	if (n < 6)
		return;
	if (n < 15) {
		for (volatile uint32_t i = rnd_below(seed, 20000); i; i--)
			;
		return;
	}
	ts.tv_nsec = rnd_below(seed, n == 15 && rnd_below(seed, 16) == 0 ? 4000000 : 60000);
	nanosleep(&ts, NULL);
}

/* ----------------------------------------------------------------------- a worker */

static struct ppe_evq *queue_of(struct worker *w, unsigned i)
{
	return w->q[i % w->s->queues];
}

static void count_event(struct worker *w, const struct ppe_event *ev)
{
	must(!ev->status && ev->cookie == 0x100 + w->number);
	switch (ev->user_tag) {
	case 1:
		w->got_send++;
		break;
	case 2:
		w->got_recv++;
		break;
	case 3:
		w->got_fed++;
		break;
	}
}

static bool take_all(struct worker *w, unsigned queue)
{
	struct ppe_event ev[4];
	int n = ppe_evq_take(queue_of(w, queue), ev, 1 + rnd_below(&w->seed, 4));

	for (int i = 0; i < n; i++)
		count_event(w, &ev[i]);
	return n;
}

static bool is_done(const struct worker *w)
{
	return w->got_send == w->want && w->got_recv == w->want && w->got_fed == w->want;
}

/* A queue that something is still to come in. */
static unsigned queue_wanted(const struct worker *w)
{
	return w->got_send != w->want ? 0 : w->got_recv != w->want ? 1 : 2;
}

static void look_poll(struct worker *w)
{
	struct ppe_event ev[4];

	for (unsigned i = 0; i < w->s->queues; i++) {
		int n = ppe_evq_read(w->q[i], ev, 4);

		for (int k = 0; k < n; k++)
			count_event(w, &ev[k]);
	}
	if (rnd_below(&w->seed, 8) == 0)
		sched_yield();
}

static void look_wait(struct worker *w, int64_t timeout)
{
	struct ppe_evq *q = queue_of(w, queue_wanted(w));
	int err = ppe_evq_wait(&q, 1, timeout);

	must(!err || err == -ETIMEDOUT || err == -EINTR);
	w->sleeps++;
	for (unsigned i = 0; i < w->s->queues; i++)
		take_all(w, i);
}

static void look_wait_any(struct worker *w)
{
	int err = ppe_evq_wait(w->q, w->s->queues, -1);

	must(!err || err == -EINTR);
	w->sleeps++;
	for (unsigned i = 0; i < w->s->queues; i++)
		take_all(w, i);
}

static void look_poll_fd(struct worker *w)
{
	struct ppe_evq *q = queue_of(w, queue_wanted(w));
	struct pollfd p = { .events = POLLIN };
	struct ppe_event ev;

	must(ppe_evq_fd(q, &p.fd) == 0);
	if (ppe_evq_arm(q) == 0) {
		if (rnd_below(&w->seed, 4) == 0)
			random_delay(&w->seed);
		w->sleeps++;
		while (poll(&p, 1, -1) < 0)
			must(errno == EINTR);
	}
	/* as a program of this kind does: read, which runs the engine where it must */
	if (ppe_evq_read(q, &ev, 1) == 1)
		count_event(w, &ev);
	for (unsigned i = 0; i < w->s->queues; i++)
		take_all(w, i);
}

static void look_signal(struct worker *w)
{
	struct ppe_evq *q = queue_of(w, queue_wanted(w));
	sigset_t open;

	pthread_sigmask(SIG_SETMASK, NULL, &open);
	sigdelset(&open, SIGUSR1);
	if (ppe_evq_notify(q, SIGUSR1) == 0) {
		if (rnd_below(&w->seed, 4) == 0)
			random_delay(&w->seed);
		w->sleeps++;
		sigsuspend(&open);
	}
	for (unsigned i = 0; i < w->s->queues; i++)
		take_all(w, i);
}

static void look(struct worker *w)
{
	enum how how = w->s->how;

	while (how == MIXED || (how == SIGNAL && !strcmp(w->s->placement, "inline")))
		how = rnd_below(&w->seed, MIXED);
	w->doing = how;
	switch (how) {
	case POLL:
		look_poll(w);
		break;
	case WAIT:
		look_wait(w, -1);
		break;
	case WAIT_SHORT:
		look_wait(w, rnd_below(&w->seed, 100000));
		break;
	case WAIT_ANY:
		look_wait_any(w);
		break;
	case POLL_FD:
		look_poll_fd(w);
		break;
	case SIGNAL:
		look_signal(w);
		break;
	default:
		break;
	}
	w->doing = -1;
}

static void post_round(struct worker *w)
{
	bool early = rnd_below(&w->seed, 2);

	if (early)
		must(recv_mem(w->b, w->echo, 2, w->rx, MESSAGE) == 0);
	must(recv_mem(w->b, w->fed, 3, w->rx_fed, MESSAGE) == 0);
	sem_post(&w->feed);
	if (rnd_below(&w->seed, 4) == 0)
		random_delay(&w->seed);
	must(send_mem(w->b, w->echo_far, 1, w->tx, MESSAGE, 0) == 0);
	if (!early)
		must(recv_mem(w->b, w->echo, 2, w->rx, MESSAGE) == 0);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->round < w->s->rounds) {
		unsigned burst = rnd_below(&w->seed, 4) ? 1 : 1 + rnd_below(&w->seed, BURST_MAX);

		w->round++;
		w->want += burst;
		while (burst--)
			post_round(w);
		while (!is_done(w))
			look(w);
	}
	atomic_store(&w->over, true);
	sem_post(&w->feed);
	return NULL;
}

/* -------------------------------------------------------------------- an injector */

static void *inject(void *arg)
{
	struct worker *w = arg;
	uint64_t seed = 0x7654321 + w->number;
	uint8_t data[MESSAGE] = { 0 };

	for (;;) {
		while (sem_wait(&w->feed))
			;
		if (atomic_load(&w->over))
			return NULL;
		random_delay(&seed);
		stub_inject(w->fed_conn, data, sizeof(data));
	}
}

/* ------------------------------------------------------------------------- set-up */

static struct ppe_dti *worker_dti(struct worker *w, unsigned tx, unsigned rx)
{
	struct ppe_dti_attr attr = {
		.tx_evq = queue_of(w, tx),
		.rx_evq = queue_of(w, rx),
		.cm_evq = w->b->q,
		.cookie = 0x100 + w->number,
	};
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct ppe_dti *d;
	struct ppe_event ev;

	assert_int_equal(ppe_dti_create(w->b->ual, &attr, &d), 0);
	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 9, NULL, 0), 0);
	while (ppe_evq_read(w->b->q, &ev, 1) != 1)
		;
	assert_int_equal(ev.status, 0);
	return d;
}

static void worker_init(struct worker *w, struct bench *bench, const struct scenario *s, unsigned n)
{
	memset(w, 0, sizeof(*w));
	w->b = bench;
	w->s = s;
	w->number = n;
	w->seed = 0x1234567 + n * 7919;
	sem_init(&w->feed, 0, 0);
	for (unsigned i = 0; i < s->queues; i++)
		w->q[i] = evq_new(bench->ual, s->slots, 0);
	w->echo = worker_dti(w, 0, 1);
	w->echo_far = worker_dti(w, 0, 1);
	w->fed = worker_dti(w, 0, 2);
	w->fed_conn = stub_keep(w->fed);
	stub_pair(stub_keep(w->echo), stub_keep(w->echo_far));
}

static uint64_t run(const struct scenario *s)
{
	static struct worker workers[WORKERS_MAX];
	pthread_t injector[WORKERS_MAX];
	struct ppe_ual_attr attr = { .placement = s->placement };
	uint64_t sleeps = 0;

	alarm(WATCHDOG_S);
	stub_step = s->yields ? random_step : NULL;
	bench_open(&b, &attr, 16);
	for (unsigned i = 0; i < s->workers; i++)
		worker_init(&workers[i], &b, s, i);
	watched = b.ual;
	watched_workers = workers;
	watched_count = s->workers;
	watched_scenario = s;
	for (unsigned i = 0; i < s->workers; i++) {
		pthread_create(&injector[i], NULL, inject, &workers[i]);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < s->workers; i++) {
		pthread_join(workers[i].thread, NULL);
		pthread_join(injector[i], NULL);
		sleeps += workers[i].sleeps;
	}
	if (getenv("ETA_TEST_VERBOSE"))
		print_message("%s way %d, %u workers, %u queues: %lu sleeps, %u s left\n",
			      s->placement, s->how, s->workers, s->queues, (unsigned long)sleeps,
			      alarm(0));
	bench_close(&b);
	alarm(0);
	return sleeps;
}

/* Each way of looking, alone and together, by one thread and by several. */
static void wake_ups(const char *placement, unsigned rounds)
{
	uint64_t sleeps = 0;

	for (int how = 0; how < HOWS; how++) {
		for (unsigned workers = 1; workers <= 3; workers += 2) {
			struct scenario s = {
				.placement = placement,
				.workers = workers,
				.queues = 1 + (how + workers) % QUEUES_MAX,
				.slots = how % 3 ? 2 : 16, /* two: what comes often waits */
				.rounds = rounds / workers,
				.how = how,
				.yields = how % 2,
			};

			if (getenv("ETA_TEST_WAY") && atoi(getenv("ETA_TEST_WAY")) != how)
				continue;
			if (how == MIXED)
				s.rounds *= 4;
			if (how == WAIT_ANY)
				s.queues = QUEUES_MAX;
			if (how == SIGNAL && !strcmp(placement, "inline"))
				continue;
			sleeps += run(&s);
		}
	}
	print_message("%s: %lu sleeps\n", placement, (unsigned long)sleeps);
}

static unsigned scaled(unsigned rounds)
{
	const char *scale = getenv("ETA_TEST_SCALE");

	if (scale)
		return rounds * strtoul(scale, NULL, 10);
	return TEST_SLOW ? rounds / 10 : rounds;
}

static void owner_adaptive_loses_no_wake_up(void **state)
{
	(void)state;
	wake_ups("adaptive", scaled(6000));
}

static void owner_inline_loses_no_wake_up(void **state)
{
	(void)state;
	wake_ups("inline", scaled(6000));
}

static void owner_dedicated_loses_no_wake_up(void **state)
{
	(void)state;
	/* a spinner on each of few processors: correctness only */
	wake_ups("dedicated", scaled(500));
}

/* --------------------------------------------------------------- one step at a time */

static void open_watched(const char *placement)
{
	static const struct scenario none = { .placement = "single" };
	struct ppe_ual_attr attr = { .placement = placement };

	alarm(WATCHDOG_S);
	bench_open(&b, &attr, 16);
	watched = b.ual;
	watched_count = 0;
	watched_scenario = &none;
}

static void close_watched(void)
{
	bench_close(&b);
	alarm(0);
}

static struct ppe_dti *connected(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 0);
	struct ppe_event ev;

	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 9, NULL, 0), 0);
	while (ppe_evq_read(b.q, &ev, 1) != 1)
		;
	return d;
}

static void until_somebody_sleeps(enum slot who)
{
	while (atomic_load(&b.ual->slot) != who || !atomic_load(&b.fab->sleeping))
		sched_yield();
}

/* The poster's own write fails while the engine's thread sleeps, and the program goes to poll(). */
static void owner_failed_write_reaches_poll(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct ppe_event ev;
	struct ppe_dti *d;

	(void)state;
	open_watched("adaptive");
	d = connected();
	assert_int_equal(ppe_evq_fd(b.q, &p.fd), 0);
	assert_int_equal(ppe_evq_arm(b.q), 0);
	until_somebody_sleeps(SLOT_THREAD);
	stub_write_error(stub_keep(d), -EPIPE);
	assert_int_equal(send_inline(d, 1, "x", 1, 0), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(ppe_evq_take(b.q, &ev, 1), 1);
	assert_int_equal(ev.status, -EPIPE);
	close_watched();
}

/* So does the end of the listener whose accepts were posted. */
static void owner_destroyed_listener_reaches_poll(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct ppe_dti *l, *child;
	struct ppe_event ev;

	(void)state;
	open_watched("adaptive");
	l = dti_new(&b, b.q, PPE_STREAM, 0);
	child = dti_new(&b, b.q, PPE_STREAM, 0);
	assert_int_equal(ppe_dti_bind(l, (void *)&at, sizeof(at)), 0);
	assert_int_equal(ppe_dti_listen(l, 1), 0);
	assert_int_equal(ppe_dti_accept(l, child, 0, 7), 0);
	assert_int_equal(ppe_evq_fd(b.q, &p.fd), 0);
	assert_int_equal(ppe_evq_arm(b.q), 0);
	until_somebody_sleeps(SLOT_THREAD);
	ppe_dti_destroy(l, false);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(ppe_evq_take(b.q, &ev, 1), 1);
	assert_int_equal(ev.status, -ECANCELED);
	close_watched();
}

/* Without a thread: what a turn leaves undone keeps the program from poll(). */
static void owner_inline_arm_refuses_while_work_is_left(void **state)
{
	struct ppe_event ev;
	struct ppe_dti *d;

	(void)state;
	open_watched("inline");
	d = connected();
	stub_write_error(stub_keep(d), -EPIPE);
	assert_int_equal(send_inline(d, 1, "x", 1, 0), 0);
	while (ppe_evq_arm(b.q) == -EAGAIN)
		if (ppe_evq_read(b.q, &ev, 1) == 1)
			break;
	assert_int_equal(ev.status, -EPIPE);
	close_watched();
}

/* A deadline that is set while somebody sleeps is earlier than what it sleeps for. */
static void owner_new_deadline_wakes_the_sleeper(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct pollfd p = { .events = POLLIN };
	struct ppe_dti *l, *child;
	struct ppe_event ev;

	(void)state;
	open_watched("adaptive");
	l = dti_new(&b, b.q, PPE_STREAM, 0);
	child = dti_new(&b, b.q, PPE_STREAM, 0);
	assert_int_equal(ppe_dti_bind(l, (void *)&at, sizeof(at)), 0);
	assert_int_equal(ppe_dti_listen(l, 1), 0);
	assert_int_equal(ppe_evq_fd(b.q, &p.fd), 0);
	assert_int_equal(ppe_evq_arm(b.q), 0);
	until_somebody_sleeps(SLOT_THREAD);
	assert_int_equal(ppe_dti_accept(l, child, 1000000, 7), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(ppe_evq_take(b.q, &ev, 1), 1);
	assert_int_equal(ev.status, -ETIMEDOUT);
	close_watched();
}

static void *wait_for_ever(void *arg)
{
	intptr_t err = ppe_evq_wait(arg, 1, -1);

	pthread_testcancel();
	return (void *)err;
}

/* Cancelling a thread that leads must not leave an engine that nobody can lead. */
static void owner_cancelled_waiter_leaves_the_slot(void **state)
{
	pthread_t waiter;
	void *result;

	(void)state;
	open_watched("inline");
	pthread_create(&waiter, NULL, wait_for_ever, &b.q);
	until_somebody_sleeps(SLOT_WAITER);
	pthread_cancel(waiter);
	ppe_evq_interrupt(b.q);
	pthread_join(waiter, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(atomic_load(&b.ual->slot), SLOT_NONE);
	assert_int_equal(ppe_evq_wait(&b.q, 1, 1000), -ETIMEDOUT);
	close_watched();
}

/* A signal ends a wait, but not when there is an event. */
static void owner_wait_is_interrupted(void **state)
{
	static const char *const placements[] = { "adaptive", "inline", "dedicated" };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct ppe_evq *set[2];
		pthread_t waiter;
		void *result;

		open_watched(placements[i]);
		set[0] = b.q;
		set[1] = evq_new(b.ual, 8, 0);
		connected();
		/* the next one, too */
		ppe_evq_interrupt(b.q);
		assert_int_equal(ppe_evq_wait(&b.q, 1, -1), -EINTR);
		assert_int_equal(ppe_evq_wait(&b.q, 1, 1000), -ETIMEDOUT);
		ppe_evq_interrupt(set[1]);
		assert_int_equal(ppe_evq_wait(set, 2, -1), -EINTR);
		assert_int_equal(ppe_evq_wait(set, 2, 1000), -ETIMEDOUT);
		pthread_create(&waiter, NULL, wait_for_ever, &b.q);
		sched_yield();
		ppe_evq_interrupt(b.q);
		pthread_join(waiter, &result);
		assert_int_equal((intptr_t)result, -EINTR);
		close_watched();
	}
}

static void owner_wait_checks_its_arguments(void **state)
{
	struct bench other;
	struct ppe_evq *set[3];
	pthread_t waiter;
	void *result;

	(void)state;
	bench_open(&other, NULL, 8);
	open_watched("inline");
	set[0] = set[2] = b.q;
	set[1] = other.q;
	assert_int_equal(ppe_evq_wait(set, 0, 0), -EINVAL);
	assert_int_equal(ppe_evq_wait(set, 2, 0), -EINVAL);
	set[1] = evq_new(b.ual, 8, 0);
	assert_int_equal(ppe_evq_wait(set, 3, 0), -EBUSY); /* one of them twice */
	assert_int_equal(ppe_evq_wait(set, 2, 0), -ETIMEDOUT);
	pthread_create(&waiter, NULL, wait_for_ever, &b.q);
	until_somebody_sleeps(SLOT_WAITER);
	assert_int_equal(ppe_evq_wait(set, 2, -1), -EBUSY);
	assert_int_equal(ppe_evq_destroy(b.q), -EBUSY);
	/* in line, but not for ever */
	assert_int_equal(ppe_evq_wait(&b.q, 1, 1000000), -ETIMEDOUT);
	ppe_evq_interrupt(b.q);
	pthread_join(waiter, &result);
	assert_int_equal(ppe_evq_notify(b.q, -1), -EINVAL);
	assert_int_equal(ppe_evq_notify(b.q, 1000), -EINVAL);
	assert_int_equal(ppe_evq_notify(b.q, SIGUSR1), -EOPNOTSUPP);
	assert_int_equal(ppe_evq_notify(b.q, 0), 0);
	close_watched();
	bench_close(&other);
}

/* Every arm that was made is counted, and taken back. */
static void owner_arms_are_counted(void **state)
{
	struct ppe_evq *set[2];
	int fd;

	(void)state;
	open_watched("adaptive");
	set[0] = b.q;
	set[1] = evq_new(b.ual, 8, 0);
	assert_int_equal(ppe_evq_fd(set[0], &fd), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ppe_evq_arm(set[0]), 0);
		assert_int_equal(ppe_evq_arm(set[0]), 0);
		assert_int_equal(atomic_load(&b.ual->followers), 1);
		assert_int_equal(ppe_evq_notify(set[1], SIGUSR1), 0);
		assert_int_equal(ppe_evq_notify(set[1], SIGUSR2), 0);
		assert_int_equal(atomic_load(&b.ual->followers), 2);
		ppe_evq_interrupt(set[0]);
		assert_int_equal(atomic_load(&b.ual->followers), 1);
		assert_int_equal(ppe_evq_wait(set, 2, -1), -EINTR);
		assert_int_equal(atomic_load(&b.ual->followers), 1);
		assert_int_equal(ppe_evq_notify(set[1], 0), 0);
		assert_int_equal(atomic_load(&b.ual->followers), 0);
	}
	assert_int_equal(ppe_evq_arm(set[1]), 0);
	assert_int_equal(ppe_evq_notify(set[1], SIGUSR1), 0);
	assert_int_equal(ppe_evq_destroy(set[1]), 0);
	assert_int_equal(atomic_load(&b.ual->followers), 0);
	close_watched();
}

static void wake(int signo)
{
	(void)signo;
}

static int catch_signals(void **state)
{
	struct sigaction watchdog = { .sa_handler = bark }, woken = { .sa_handler = wake };
	sigset_t usr1;

	(void)state;
	sigaction(SIGALRM, &watchdog, NULL);
	sigaction(SIGUSR1, &woken, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owner_failed_write_reaches_poll),
		cmocka_unit_test(owner_destroyed_listener_reaches_poll),
		cmocka_unit_test(owner_inline_arm_refuses_while_work_is_left),
		cmocka_unit_test(owner_new_deadline_wakes_the_sleeper),
		cmocka_unit_test(owner_cancelled_waiter_leaves_the_slot),
		cmocka_unit_test(owner_wait_is_interrupted),
		cmocka_unit_test(owner_wait_checks_its_arguments),
		cmocka_unit_test(owner_arms_are_counted),
		cmocka_unit_test(owner_adaptive_loses_no_wake_up),
		cmocka_unit_test(owner_inline_loses_no_wake_up),
		cmocka_unit_test(owner_dedicated_loses_no_wake_up),
	};

	return test_run(tests, catch_signals);
}
