/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring.c - kernel TCP by an io_uring: the fabric "uring".
 *
 * What it does otherwise than epoll: a turn that finds nothing makes no system call, because what the
 * kernel has is seen in memory. Reads of all connections that have become readable go to the kernel by
 * one io_uring_enter, and so do the writes of a flush; whatever is to be watched anew or no more goes
 * in with them. Connections are accepted by one request that stays. So a turn makes at most three
 * entries into the kernel, however many connections it serves. The rest is the code of "tcp".
 *
 * Receives are requests of their own, made when a poll has said that there is something, and are over
 * when the entry is: straight into the memory that the user has named, checked by the kernel, and
 * nothing of ours is in its hands between two turns. The other way, receives that stay in the kernel and
 * take buffers of ours (multishot, provided buffers), saves the poll and costs a copy, which must survive
 * that its target is gone: measured, it is slower already with a plain copy (docs/measurements.md). One
 * connection alone, or two, are read and written by system calls, which are
 * then cheaper. So are messages (iWARP): their receives share one landing place, see interleaves.
 *
 * Threads. A ring belongs to the thread that submits. So it is touched only by progress() and flush():
 * the other calls note down what they want on a list, and `asks_left` ends a wait. With any owner but
 * FAB_OWNER_CALLS the kernel insists on one thread, and defers its own work until that thread comes
 * by; it is bound to the ring when there is first something to submit, for with FAB_OWNER_THREAD it
 * is not there before. With FAB_OWNER_CALLS a thread may end that others do not know of; the kernel
 * then cancels its polls, and they are begun again.
 *
 * Sleeping. A ring with an owner sleeps in io_uring_enter, which on waking has the completions ready;
 * the kick is a poll among others. It cannot sleep in poll(2), which is not woken by work that is
 * deferred; so for wait_fd() an eventfd is registered, which is.
 *
 * A poll holds its socket open beyond close(2), until its cancellation has got through: the peer, and
 * who wants to listen there, are told before.
 */
#include "fabric/uring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_REQUESTS 256 /* handed in together; more go in pieces */
#define RING_COMPLETIONS 4096

/* ------------------------------------------------------------------ sleeping */

/* Takes the kicks out of what the ring has, so that drain() knows of them. */
static void take_kicks(struct fab *fab)
{
	struct io_uring_cqe *cqes[HARVEST_BATCH];
	unsigned n = io_uring_peek_batch_cqe(&fab->ring->uring, cqes, HARVEST_BATCH);

	for (unsigned i = 0; i < n; i++) {
		/* the last of its poll is for harvest(), which begins it again */
		if (io_uring_cqe_get_data(cqes[i]) != &fab->ring->kick ||
		    !(cqes[i]->flags & IORING_CQE_F_MORE))
			continue;
		cqes[i]->user_data = 0;
		fab->sleeper.kicked = true;
	}
}

/* Only the owner sleeps here, so nobody else looks at the completions meanwhile. */
static int sleep_in_ring(struct fab *fab, int64_t timeout_ns)
{
	struct __kernel_timespec limit = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct io_uring_getevents_arg arg = {
		.ts = timeout_ns < 0 ? 0 : (uintptr_t)&limit,
	};
	int ret;

	count_sleeper(&fab->env.counters->sys_uring);
	ret = io_uring_enter2((unsigned)fab->watchfd, 0, 1,
			      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (sigset_t *)&arg,
			      sizeof(arg));
	if (ret == -EEXIST) /* it belongs to another: what we need to know of comes by the kick */
		return sleep_on(fab, timeout_ns);
	take_kicks(fab);
	return ret == -EINTR ? ret : 0;
}

static int uring_sleep(struct fab *fab, int64_t timeout_ns)
{
	if (!fab->ring->owned || atomic_load(&fab->ring->disabled))
		return sleep_on(fab, timeout_ns);
	return atomic_load(&fab->sleeper.kicked) ? 0 : sleep_in_ring(fab, timeout_ns);
}

static int uring_show(struct fab *fab)
{
	struct ring *ring = fab->ring;
	int err;

	if (!ring->owned)
		return fab->watchfd;
	if (ring->showfd >= 0)
		return ring->showfd;
	ring->showfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->showfd < 0)
		return -errno;
	err = io_uring_register_eventfd(&ring->uring, ring->showfd);
	if (err) {
		close(ring->showfd);
		ring->showfd = -1;
		return err;
	}
	return ring->showfd;
}

/* ------------------------------------------------------------------ the instance */

static void list_free(struct link *list)
{
	while (linked(list))
		watch_free(container(list->next, struct watch, link));
}

/* The kernel uses no memory of ours for a poll: nothing is to be waited for. */
static void uring_close(struct fab *fab)
{
	struct ring *ring = fab->ring;

	/* whose thread may have ended, which is no news now */
	ring->lost = true;
	/* a forked child may hold the ring, and so the sockets, for longer than we do */
	if (fab->asks_left && !ring->disabled)
		uring_submit(fab);
	/* connections that it has accepted, and that nobody has seen */
	uring_hear_out(fab);
	io_uring_queue_exit(&ring->uring);
	if (ring->showfd >= 0)
		close(ring->showfd);
	link_del(&ring->kick.link);
	list_free(&ring->ask);
	list_free(&ring->drop);
	list_free(&ring->polling);
	free(ring);
}

static const struct watcher uring_watcher = {
	.dear = false,
	.guess = uring_guess,
	.add = uring_add,
	.remove = uring_remove,
	.harvest = uring_harvest,
	.submit = uring_submit,
	.accept = uring_accept,
	.transfer = uring_transfer,
	.sleep = uring_sleep,
	.show = uring_show,
	.close = uring_close,
};

/* Work of the kernel's waits until its thread comes by, and is announced in memory. */
static unsigned ring_flags(enum fab_owner owner)
{
	unsigned flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG;

	if (owner == FAB_OWNER_CALLS)
		return flags | IORING_SETUP_COOP_TASKRUN;
	return flags | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
	       IORING_SETUP_R_DISABLED;
}

/* @err as a reason, when it is that there is no io_uring here; else NULL. */
static const char *no_ring(int err)
{
	switch (err) {
	case -ENOSYS:
		return "no io_uring: the kernel has none";
	case -EPERM:
	case -EACCES:
		return "no io_uring: it is forbidden here (kernel.io_uring_disabled, or a seccomp "
		       "filter)";
	case -EINVAL:
		return "no io_uring: the kernel is too old (6.1 is needed)";
	default:
		return NULL;
	}
}

const char *uring_why_not(void)
{
	struct io_uring_params params = { .flags = ring_flags(FAB_OWNER_SINGLE), .cq_entries = 2 };
	struct io_uring uring;
	int err = io_uring_queue_init_params(1, &uring, &params);
	const char *why = no_ring(err);

	if (err)
		return why ? why : "no io_uring: too little memory, or too many descriptors";
	io_uring_queue_exit(&uring);
	return NULL;
}

static int ring_setup(struct ring *ring, const struct fab_env *env)
{
	struct io_uring_params params = {
		.flags = ring_flags(env->owner),
		.cq_entries = RING_COMPLETIONS,
	};
	int err = io_uring_queue_init_params(RING_REQUESTS, &ring->uring, &params);
	const char *why = no_ring(err);

	if (err)
		fab_logf(env, FAB_LOG_WARN, "%s", why ? why : strerror(-err));
	if (err)
		return why ? -EOPNOTSUPP : err;
	io_uring_ring_dontfork(&ring->uring);
	ring->owned = params.flags & IORING_SETUP_SINGLE_ISSUER;
	ring->disabled = ring->owned;
	ring->showfd = -1;
	link_init(&ring->ask);
	link_init(&ring->drop);
	link_init(&ring->polling);
	link_init(&ring->kick.link);
	/* without saying so: it goes in with the first that needs to */
	if (ring->owned)
		link_append(&ring->ask, &ring->kick.link);
	return 0;
}

static int ring_open(struct fab *fab)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int err;

	if (!ring)
		return -ENOMEM;
	err = ring_setup(ring, &fab->env);
	if (err) {
		free(ring);
		return err;
	}
	fab->ring = ring;
	fab->watchfd = ring->uring.ring_fd;
	return 0;
}

static int uring_open(const struct fab_env *env, struct fab **out)
{
	struct fab *fab;
	int err;

	if (env->owner == FAB_OWNER_ROAMS) {
		fab_logf(
			env, FAB_LOG_WARN,
			"no io_uring: a ring cannot change owners, as placement \"adaptive\" would; "
			"choose \"inline\" or \"dedicated\"");
		return -EOPNOTSUPP;
	}
	err = fab_new(env, &uring_watcher, &fab);
	if (err)
		return err;
	err = ring_open(fab);
	if (err) {
		fab_free(fab);
		return err;
	}
	*out = fab;
	return 0;
}

const struct fab_stream_ops uring_ops = {
	.name = "uring",
	.open_writes = BATCH_MAX,
	.open = uring_open,
	TCP_OPS,
};
