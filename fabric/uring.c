/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring.c - kernel TCP, readiness by polls in an io_uring: the fabric "uring".
 *
 * What it does otherwise than epoll: a turn that finds nothing makes no system call, because what the
 * kernel has is seen in memory; whatever is to be watched anew or no more goes in with the next
 * io_uring_enter, which also brings what has become ready; the rest is the code of "tcp".
 *
 * Data are moved by recv(2) and sendmsg(2) all the same. A receive in the ring would name its user's
 * memory beyond the call that named it, or take a buffer of ours; from there the bytes must be copied
 * by a call that survives memory which is gone (process_vm_writev), and that alone costs as much as a
 * recv(2). A send in the ring would save the entry into the kernel, and cost a request and a completion:
 * which is more has not been measured. Connections are taken by accept4(2), as many as were posted: what
 * nobody posted for stays in the backlog.
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
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_REQUESTS 256 /* handed in together; more go in pieces */
#define RING_COMPLETIONS 4096
#define HARVEST_BATCH 64
#define HARVEST_BATCHES 8

/* The kernel's cookie. It outlives its source until the kernel's last word on it. */
struct watch {
	struct link link;   /* on ring->ask, ->drop or ->polling */
	struct source *src; /* NULL: closed, or the kick */
	bool polling;       /* the kernel has it */
};

struct ring {
	struct io_uring uring;
	bool owned;            /* one thread submits and sleeps */
	bool lost;             /* it has been said that the ring cannot be used */
	_Atomic bool disabled; /* [sleeper] ... and is not known yet */
	int showfd;            /* for wait_fd(); -1: the ring itself, or not asked for */
	struct watch kick;     /* of a ring that is owned */
	struct link ask;       /* to be begun */
	struct link drop;      /* to be cancelled */
	struct link polling;   /* the kernel has them */
};

/* ------------------------------------------------------------------ asking */

static int uring_add(struct source *src)
{
	struct ring *ring = src->fab->ring;
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->src = src;
	src->watch = w;
	link_append(&ring->ask, &w->link);
	src->fab->asks_left = true;
	return 0;
}

/* What close(2) would have done, were it the last to hold the socket. */
static void hush(struct source *src)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	COUNT(src->fab, sys_other, 1);
	if (src->flags & SRC_RESET)
		connect(src->fd, &none, sizeof(none));
	else
		shutdown(src->fd, SHUT_RDWR);
}

static void uring_remove(struct source *src)
{
	struct ring *ring = src->fab->ring;
	struct watch *w = src->watch;

	src->watch = NULL;
	w->src = NULL;
	link_del(&w->link);
	if (!w->polling) {
		free(w);
		return;
	}
	hush(src);
	link_append(&ring->drop, &w->link);
	src->fab->asks_left = true;
}

/* ------------------------------------------------------------------ handing in */

/* Not by its own function, which liburing 2.3 has and does not export. */
static int ring_enable(struct ring *ring)
{
	return io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
				 0);
}

/* The kernel is short of something, for now. Other errors stay. */
static bool is_shortage(int err)
{
	return err == -EAGAIN || err == -EBUSY || err == -ENOMEM || err == -EINTR;
}

/*
 * 0, or an error. One that stays, as -EEXIST when the ring is another thread's, is said once: nothing is
 * watched any more that is not watched yet, and whoever waits would only go round in circles.
 */
static int ring_enter(struct fab *fab)
{
	struct ring *ring = fab->ring;
	int err = 0;

	if (ring->disabled)
		err = ring_enable(ring);
	if (!err) {
		ring->disabled = false;
		COUNT(fab, sys_uring, 1);
		err = io_uring_submit_and_get_events(&ring->uring);
	}
	if (err < 0 && !is_shortage(err) && !ring->lost) {
		ring->lost = true;
		fab_logf(&fab->env, FAB_LOG_WARN, "this thread cannot use the ring: error %d",
			 -err);
	}
	return err < 0 ? err : 0;
}

static struct io_uring_sqe *request_get(struct fab *fab)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&fab->ring->uring);

	if (!sqe && !ring_enter(fab))
		sqe = io_uring_get_sqe(&fab->ring->uring);
	return sqe;
}

static void request_poll(struct fab *fab, struct io_uring_sqe *sqe, struct watch *w)
{
	int fd = w->src ? w->src->fd : fab->kickfd;
	unsigned events = POLLIN;

	if (w->src && w->src->kind == SRC_CONN)
		events |= POLLOUT | POLLRDHUP;
	io_uring_prep_poll_multishot(sqe, fd, events);
	io_uring_sqe_set_data(sqe, w);
	w->polling = true;
}

/*
 * Its own completion says nothing; that of the poll does. (A POLL_REMOVE would do nothing to a poll
 * that has just been woken, as by hush().)
 */
static void request_cancel(struct fab *fab, struct io_uring_sqe *sqe, struct watch *w)
{
	(void)fab;
	io_uring_prep_cancel(sqe, w, 0);
	io_uring_sqe_set_data(sqe, NULL);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/* Makes requests of a whole list. False: no place for all of them now. */
static bool requests_make(struct fab *fab, struct link *list,
			  void (*make)(struct fab *, struct io_uring_sqe *, struct watch *))
{
	while (linked(list)) {
		struct watch *w = container(list->next, struct watch, link);
		struct io_uring_sqe *sqe = request_get(fab);

		if (!sqe)
			return false;
		make(fab, sqe, w);
		link_del(&w->link);
		link_append(&fab->ring->polling, &w->link);
	}
	return true;
}

static void uring_submit(struct fab *fab)
{
	struct ring *ring = fab->ring;
	bool all = requests_make(fab, &ring->drop, request_cancel) &&
		   requests_make(fab, &ring->ask, request_poll);
	int err = ring_enter(fab);

	fab->asks_left = !all || io_uring_sq_ready(&ring->uring);
	if (err && !is_shortage(err))
		fab->asks_left = false;
}

/* ------------------------------------------------------------------ what has become ready */

static void watch_again(struct fab *fab, struct watch *w)
{
	link_del(&w->link);
	link_append(&fab->ring->ask, &w->link);
	fab->asks_left = true;
}

static void watch_free(struct watch *w)
{
	link_del(&w->link);
	free(w);
}

/* A poll that has come to nothing, and is to be begun again: its thread has ended, or no memory. */
static bool is_passing(int err)
{
	return err == -ECANCELED || is_shortage(err);
}

/* A poll goes on by itself unless the kernel says that this was the last of it. */
static void watch_event(struct fab *fab, struct watch *w, int res, bool last)
{
	struct source *src = w->src;
	bool kick = w == &fab->ring->kick;

	if (kick)
		fab->kicked = true;
	if (last) {
		w->polling = false;
		if (!src && !kick)
			watch_free(w);
		else if (kick || res >= 0 || is_passing(res))
			watch_again(fab, w);
	}
	if (!src)
		return;
	if (res >= 0)
		source_event(src, (uint32_t)res);
	else if (!is_passing(res))
		source_fail(src, res);
}

static bool ring_wants_us(const struct ring *ring)
{
	unsigned flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_ACQUIRE);

	return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* There is something, and to know what takes an io_uring_enter. */
static bool uring_guess(struct fab *fab)
{
	return !fab->asks_left && ring_wants_us(fab->ring);
}

/*
 * Before the completions are looked at: what comes later shows again. Work that came in between has
 * been announced in memory first.
 */
static void show_nothing(struct fab *fab)
{
	eventfd_t count;

	if (fab->ring->showfd < 0)
		return;
	COUNT(fab, sys_other, 1);
	eventfd_read(fab->ring->showfd, &count);
	if (ring_wants_us(fab->ring))
		fab->asks_left = true;
}

static unsigned harvest_batch(struct fab *fab)
{
	struct io_uring *uring = &fab->ring->uring;
	struct io_uring_cqe *cqes[HARVEST_BATCH];
	unsigned n = io_uring_peek_batch_cqe(uring, cqes, HARVEST_BATCH);

	for (unsigned i = 0; i < n; i++) {
		struct watch *w = io_uring_cqe_get_data(cqes[i]);

		if (w)
			watch_event(fab, w, cqes[i]->res, !(cqes[i]->flags & IORING_CQE_F_MORE));
	}
	io_uring_cq_advance(uring, n);
	return n;
}

/* What is left over keeps the ring readable. */
static void uring_harvest(struct fab *fab)
{
	int batches = HARVEST_BATCHES;

	/* what made the sleeper ask for this has been heard */
	atomic_store(&fab->harvest, false);
	if (fab->asks_left || ring_wants_us(fab->ring)) {
		epoll_asked(fab);
		cool_stale(fab);
		uring_submit(fab);
	}
	show_nothing(fab);
	while (batches-- && harvest_batch(fab) == HARVEST_BATCH)
		;
}

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
		fab->kicked = true;
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
	return atomic_load(&fab->kicked) ? 0 : sleep_in_ring(fab, timeout_ns);
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

	/* a forked child may hold the ring, and so the sockets, for longer than we do */
	if (fab->asks_left && !ring->disabled)
		uring_submit(fab);
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
		return "the kernel has none";
	case -EPERM:
	case -EACCES:
		return "it is forbidden here (kernel.io_uring_disabled, or a seccomp filter)";
	case -EINVAL:
		return "the kernel is too old (6.1 is needed)";
	default:
		return NULL;
	}
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
		fab_logf(env, FAB_LOG_WARN, "no io_uring: %s", why ? why : strerror(-err));
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
	.open = uring_open,
	TCP_OPS,
};
