/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_core.c - simulated devices: the lock, the thread, queues that poll readable, faults, the table. */
#include "tests/unit/sim_internal.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define RETRY_NS 2000000000u
#define RNR_NS 10000000u
#define INLINE 256

struct sim sim = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.retry_ns = RETRY_NS,
	.rnr_ns = RNR_NS,
	.inline_max = INLINE,
	.active = { &sim.active, &sim.active },
	.ids = { &sim.ids, &sim.ids },
	.msgs = { &sim.msgs, &sim.msgs },
};

/* --------------------------------------------------------------------- small things */

static void init(void)
{
	const char *seed = getenv("ETA_SIM_SEED");

	if (seed)
		sim.random = strtoull(seed, NULL, 0);
	sim_devices_init();
}

void sim_lock(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
	pthread_mutex_lock(&sim.lock);
}

void sim_unlock(void)
{
	pthread_mutex_unlock(&sim.lock);
}

int sim_end(int err)
{
	sim_unlock();
	errno = err;
	return err ? -1 : 0;
}

void *sim_end_null(int err)
{
	sim_end(err);
	return NULL;
}

void sim_bug(const char *what)
{
	fprintf(stderr, "sim: %s\n", what);
	abort();
}

void *sim_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		sim_bug("no memory");
	return p;
}

void *sim_new(size_t size)
{
	sim.objects++;
	return sim_alloc(size);
}

void sim_free(void *p)
{
	sim.objects--;
	free(p);
}

/* Never, where everything goes in order. */
bool sim_chance(unsigned one_in)
{
	if (!sim.random)
		return false;
	sim.random ^= sim.random << 13;
	sim.random ^= sim.random >> 7;
	sim.random ^= sim.random << 17;
	return (sim.random >> 20) % one_in == 0;
}

/* ------------------------------------------------------------------- queues with fds */

int sim_queue_open(struct sim_queue *q)
{
	link_init(&q->entries);
	q->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	return q->fd < 0 ? errno : 0;
}

void sim_queue_close(struct sim_queue *q)
{
	close(q->fd);
}

void sim_queue_put(struct sim_queue *q, struct link *entry)
{
	uint64_t one = 1;

	link_append(&q->entries, entry);
	if (write(q->fd, &one, sizeof(one)) != sizeof(one))
		sim_bug("an eventfd that cannot be written");
}

/* The count may have been taken by one who has not yet got the lock: it finds nothing then. */
void sim_queue_drop(struct sim_queue *q, struct link *entry)
{
	struct pollfd fd = { .fd = q->fd, .events = POLLIN };
	uint64_t one;

	link_del(entry);
	if (poll(&fd, 1, 0) == 1 && read(q->fd, &one, sizeof(one)) < 0)
		sim_bug("an eventfd that cannot be read");
}

struct link *sim_queue_take(struct sim_queue *q)
{
	uint64_t one;

	while (read(q->fd, &one, sizeof(one)) == sizeof(one)) {
		struct link *first;

		sim_lock();
		first = q->entries.next;
		if (first != &q->entries) {
			link_del(first);
			return first;
		}
		sim_unlock();
	}
	return NULL;
}

/* ------------------------------------------------------------------------- faults */

static struct {
	unsigned after, times;
	int err;
} faults[SIM_CALLS];

bool sim_fail(enum sim_call call, unsigned after, unsigned times, int err)
{
	bool was;

	sim_lock();
	was = faults[call].times;
	faults[call].after = after;
	faults[call].times = times;
	faults[call].err = err;
	sim_unlock();
	return was;
}

int sim_fault(enum sim_call call)
{
	if (!faults[call].times)
		return 0;
	if (faults[call].after) {
		faults[call].after--;
		return 0;
	}
	faults[call].times--;
	return faults[call].err;
}

void sim_times(uint64_t retry_ns, uint64_t rnr_ns)
{
	sim_lock();
	sim.retry_ns = retry_ns;
	sim.rnr_ns = rnr_ns;
	sim_unlock();
}

void sim_inline(uint32_t max)
{
	sim_lock();
	sim.inline_max = max;
	sim_unlock();
}

void sim_seed(uint64_t seed)
{
	sim_lock();
	sim.random = seed;
	sim_unlock();
}

unsigned sim_left(void)
{
	unsigned n;

	sim_lock();
	n = sim.objects;
	sim_unlock();
	return n;
}

void sim_reset(void)
{
	for (unsigned i = 0; i < SIM_DEVICES; i++) {
		const char *name = sim.devices[i].ibv.name;

		sim_cut(name, false);
		sim_restore(name);
		sim_port(name, true);
	}
	sim_lock();
	if (sim.objects)
		sim_bug("objects are left");
	while (linked(&sim.msgs)) {
		struct link *first = sim.msgs.next;

		link_del(first);
		free(container(first, struct sim_msg, link));
	}
	memset(faults, 0, sizeof(faults));
	sim.retry_ns = RETRY_NS;
	sim.rnr_ns = RNR_NS;
	sim.inline_max = INLINE;
	sim_unlock();
}

/* -------------------------------------------------------------------------- rounds */

/* A queue pair may end others: each is looked up on the list again. */
static bool round_qps(void)
{
	struct link now;
	bool moved = false;

	link_init(&now);
	link_splice(&now, &sim.active);
	while (linked(&now)) {
		struct sim_qp *qp = container(now.next, struct sim_qp, active);

		link_move(&sim.active, &qp->active);
		if (sim_chance(2))
			moved = true; /* the next time */
		else
			moved |= sim_qp_step(qp);
	}
	return moved;
}

bool sim_round(void)
{
	bool moved = sim_chance(3) ? linked(&sim.msgs) : sim_cm_step();

	return round_qps() || moved;
}

bool sim_step(void)
{
	bool moved;

	sim_lock();
	moved = sim_round();
	sim_unlock();
	return moved;
}

void sim_settle(void)
{
	while (sim_step())
		;
}

/* -------------------------------------------------------------------------- thread */

static struct {
	pthread_t id;
	pthread_cond_t wake;
	bool runs, quit;
} thread = { .wake = PTHREAD_COND_INITIALIZER };

static bool thread_has_work(void)
{
	return !sim.manual && (linked(&sim.msgs) || (sim.armed && linked(&sim.active)));
}

/* What waits for time to pass is looked at again now and then. */
static void thread_waits(bool for_time)
{
	struct timespec until;

	if (!for_time) {
		pthread_cond_wait(&thread.wake, &sim.lock);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&thread.wake, &sim.lock, &until);
}

static void *thread_run(void *arg)
{
	(void)arg;
	sim_lock();
	while (!thread.quit) {
		if (!thread_has_work()) {
			thread_waits(false);
		} else if (!sim_round()) {
			thread_waits(true);
		} else {
			sim_unlock();
			sched_yield();
			sim_lock();
		}
	}
	sim_unlock();
	return NULL;
}

void sim_kick(void)
{
	if (!thread_has_work())
		return;
	if (!thread.runs && pthread_create(&thread.id, NULL, thread_run, NULL))
		sim_bug("no thread");
	thread.runs = true;
	pthread_cond_signal(&thread.wake);
}

void sim_manual(bool on)
{
	sim_lock();
	sim.manual = on;
	sim_kick();
	sim_unlock();
}

static __attribute__((destructor)) void thread_end(void)
{
	sim_lock();
	thread.quit = true;
	pthread_cond_signal(&thread.wake);
	sim_unlock();
	if (thread.runs)
		pthread_join(thread.id, NULL);
	if (getenv("ETA_SIM_LEAKS") && sim.objects) {
		fprintf(stderr, "sim: %u objects are left\n", sim.objects);
		_exit(99);
	}
}

/* ----------------------------------------------------------- in the place of lib.c */

const struct roce_lib *roce_lib(const char **why)
{
#define MEMBER(library, function) .p_##function = sim_##function,
	static const struct roce_lib lib = { ROCE_FUNCTIONS(MEMBER) };
#undef MEMBER
	sim_lock();
	sim_unlock();
	*why = NULL;
	return &lib;
}

bool roce_present(void)
{
	return true;
}

const char *roce_manager_lacks(void)
{
	return NULL;
}

void roce_netdev(const char *device, unsigned port, char *name, size_t size)
{
	(void)port;
	name[0] = '\0';
	for (unsigned i = 0; i < SIM_DEVICES; i++)
		if (!strcmp(sim.devices[i].ibv.name, device))
			snprintf(name, size, "%s", sim.devices[i].netdev);
}
