/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring_watch.c - io_uring: what the kernel watches for us, and what it says of it.
 */
#include "fabric/uring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define HARVEST_BATCHES 8

/* ------------------------------------------------------------------ asking */

int uring_add(struct source *src)
{
	struct ring *ring = src->fab->ring;
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	if (src->kind == SRC_LISTENER && taken_new(w)) {
		free(w);
		return -ENOMEM;
	}
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

void uring_remove(struct source *src)
{
	struct watch *w = src->watch;

	src->watch = NULL;
	w->src = NULL;
	link_del(&w->link);
	if (w->taken)
		taken_drop(src->fab, w);
	if (!w->polling) {
		watch_free(w);
		return;
	}
	hush(src);
	watch_cancel(src->fab, w);
}

/* ------------------------------------------------------------------ handing in */

/* Not by its own function, which liburing 2.3 has and does not export. */
static int ring_enable(struct ring *ring)
{
	return io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
				 0);
}

/* The kernel is short of something, for now. Other errors stay. */
bool is_shortage(int err)
{
	return err == -EAGAIN || err == -EBUSY || err == -ENOMEM || err == -EINTR;
}

/*
 * 0, or an error. One that stays, as -EEXIST when the ring is another thread's, is said once: nothing is
 * watched any more that is not watched yet, and whoever waits would only go round in circles.
 */
int ring_enter(struct fab *fab)
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

struct io_uring_sqe *request_get(struct fab *fab)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&fab->ring->uring);

	if (!sqe && !ring_enter(fab))
		sqe = io_uring_get_sqe(&fab->ring->uring);
	return sqe;
}

static void request_watch(struct fab *fab, struct io_uring_sqe *sqe, struct watch *w)
{
	if (w->taken)
		io_uring_prep_multishot_accept(sqe, w->src->fd, NULL, NULL,
					       SOCK_NONBLOCK | SOCK_CLOEXEC);
	else if (w->src)
		io_uring_prep_poll_multishot(sqe, w->src->fd, POLLIN | POLLOUT | POLLRDHUP);
	else
		io_uring_prep_poll_multishot(sqe, fab->sleeper.kickfd, POLLIN);
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

/* With all that is to be watched, or no more. */
int uring_hand_in(struct fab *fab)
{
	struct ring *ring = fab->ring;
	bool all = requests_make(fab, &ring->drop, request_cancel) &&
		   requests_make(fab, &ring->ask, request_watch);
	int err = ring_enter(fab);

	fab->asks_left = !all || io_uring_sq_ready(&ring->uring);
	if (err && !is_shortage(err))
		fab->asks_left = false;
	return err;
}

void show_rest(struct fab *fab)
{
	if (fab->ring->showfd >= 0 && io_uring_cq_ready(&fab->ring->uring))
		fab->asks_left = true;
}

void uring_submit(struct fab *fab)
{
	uring_hand_in(fab);
	show_rest(fab);
}

/* ------------------------------------------------------------------ what has become ready */

void watch_ask(struct fab *fab, struct watch *w)
{
	link_del(&w->link);
	link_append(&fab->ring->ask, &w->link);
	fab->asks_left = true;
}

void watch_cancel(struct fab *fab, struct watch *w)
{
	link_del(&w->link);
	link_append(&fab->ring->drop, &w->link);
	fab->asks_left = true;
}

void watch_free(struct watch *w)
{
	link_del(&w->link);
	free(w->taken);
	free(w);
}

/* A poll that has come to nothing, and is to be begun again: its thread has ended, or no memory. */
bool is_passing(int err)
{
	return err == -ECANCELED || is_shortage(err);
}

/* A poll goes on by itself unless the kernel says that this was the last of it. */
void watch_event(struct fab *fab, struct watch *w, int res, uint32_t flags)
{
	bool last = !(flags & IORING_CQE_F_MORE);
	struct source *src = w->src;
	bool kick = w == &fab->ring->kick;

	if (w->taken) {
		taken_event(fab, w, res, last);
		return;
	}
	if (kick)
		fab->sleeper.kicked = true;
	if (last) {
		w->polling = false;
		if (!src && !kick)
			watch_free(w);
		else if (kick || res >= 0 || is_passing(res))
			watch_ask(fab, w);
	}
	if (!src)
		return;
	if (res >= 0)
		source_event(src, (uint32_t)res);
	else if (!is_passing(res))
		source_fail(src, res);
}

bool ring_wants_us(const struct ring *ring)
{
	unsigned flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_ACQUIRE);

	return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* There is something, and to know what takes an io_uring_enter. */
bool uring_guess(struct fab *fab)
{
	return !fab->asks_left && ring_wants_us(fab->ring);
}

/*
 * Before the completions are looked at: what comes later shows again. Work that came in between has
 * been announced in memory first.
 */
void show_nothing(struct fab *fab)
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
		/* a slot's outcome, here, is one that was given up: see outcomes_complete() */
		if (cqes[i]->user_data && !(cqes[i]->user_data & 1))
			watch_event(fab, io_uring_cqe_get_data(cqes[i]), cqes[i]->res,
				    cqes[i]->flags);
	}
	io_uring_cq_advance(uring, n);
	return n;
}

void uring_hear_out(struct fab *fab)
{
	while (harvest_batch(fab))
		;
}

void uring_harvest(struct fab *fab)
{
	int batches = HARVEST_BATCHES;

	/* what made the sleeper ask for this has been heard */
	atomic_store(&fab->harvest, false);
	if (fab->asks_left || ring_wants_us(fab->ring)) {
		epoll_asked(fab);
		cool_stale(fab);
		uring_hand_in(fab);
	}
	show_nothing(fab);
	while (batches-- && harvest_batch(fab) == HARVEST_BATCH)
		;
	show_rest(fab);
}
