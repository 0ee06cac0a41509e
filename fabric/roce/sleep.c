/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sleep.c - the sleeper, and the descriptor that polls readable.
 *
 * A completion queue tells of its next completion once, after it was armed; what came before that is not
 * told of. So the sleeper arms, then looks, then sleeps; the one completion that it may find stays in the
 * queue's stash, which is the first that the next poll gives. Only the sleeper, and a turn while the
 * descriptor is in use, take notes of completions off a channel; so while somebody sleeps each queue is
 * armed, or its note is there.
 *
 * Work that a turn leaves, and the kick, are fabric/sleeper.h's.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* ----------------------------------------------------------- completion queues */

int roce_poll_cq(struct fab *fab, struct roce_cq *cq, struct ibv_wc *wc, int max)
{
	int n = 0, more;

	pthread_mutex_lock(&fab->lock);
	if (cq->stashed) {
		cq->stashed = false;
		wc[n++] = cq->stash;
	}
	more = ibv_poll_cq(cq->cq, max - n, wc + n);
	pthread_mutex_unlock(&fab->lock);
	return n + (more > 0 ? more : 0);
}

/* Under the lock: true when there is something to be polled. */
static bool arm(struct roce_cq *cq)
{
	if (cq->stashed)
		return true;
	if (!cq->armed)
		cq->armed = !ibv_req_notify_cq(cq->cq, 0);
	cq->stashed = ibv_poll_cq(cq->cq, 1, &cq->stash) > 0;
	return cq->stashed;
}

static bool arm_all(struct fab *fab)
{
	bool found = false;

	for (struct roce_dev *dev = fab->devs; dev; dev = dev->next)
		for (struct roce_cq *cq = dev->cqs; cq && !dev->dead; cq = cq->next)
			found |= arm(cq);
	return found;
}

/* Under the lock: notes of completions are taken off. */
static void take_notes(struct fab *fab, struct roce_dev *dev)
{
	struct ibv_cq *ibcq;
	void *arg;

	while (!fab->lib->p_ibv_get_cq_event(dev->channel, &ibcq, &arg)) {
		struct roce_cq *cq = arg;

		fab->lib->p_ibv_ack_cq_events(ibcq, 1);
		cq->armed = false;
	}
}

static bool any_armed(const struct roce_dev *dev)
{
	for (const struct roce_cq *cq = dev->cqs; cq; cq = cq->next)
		if (cq->armed)
			return true;
	return false;
}

/* ------------------------------------------------------------------- the sleeper */

#define FDS_ONCE 3 /* kicks, the connection manager, another wire */
#define FDS_MAX (FDS_ONCE + 2 * ROCE_DEVS_MAX)

static unsigned collect(struct fab *fab, int also, struct pollfd *fds)
{
	unsigned n = 0;

	fds[n++] = (struct pollfd){ .fd = fab->sleeper.kickfd, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = fab->events->fd, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = also, .events = POLLIN };
	for (struct roce_dev *dev = fab->devs; dev && n + 2 <= FDS_MAX; dev = dev->next) {
		if (dev->dead)
			continue;
		fds[n++] = (struct pollfd){ .fd = dev->channel->fd, .events = POLLIN };
		fds[n++] = (struct pollfd){ .fd = dev->ctx->async_fd, .events = POLLIN };
	}
	return n;
}

/* A device of which nothing was heard may be gone by now: it is looked up again by its channel. */
static void woken(struct fab *fab, const struct pollfd *fds, unsigned n)
{
	fab->sleeper.kicked = fds[0].revents;
	if (fds[1].revents)
		atomic_store(&fab->harvest, true);
	pthread_mutex_lock(&fab->lock);
	for (unsigned i = FDS_ONCE; i < n; i += 2) {
		if (fds[i + 1].revents)
			atomic_store(&fab->harvest, true);
		if (!fds[i].revents)
			continue;
		for (struct roce_dev *dev = fab->devs; dev; dev = dev->next)
			if (!dev->dead && dev->channel->fd == fds[i].fd)
				take_notes(fab, dev);
	}
	pthread_mutex_unlock(&fab->lock);
}

static int sleep_armed(struct fab *fab, int also, int64_t timeout_ns)
{
	struct timespec limit = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct pollfd fds[FDS_MAX];
	unsigned n;
	bool found;

	pthread_mutex_lock(&fab->lock);
	found = arm_all(fab);
	n = collect(fab, also, fds);
	pthread_mutex_unlock(&fab->lock);
	if (found)
		return 0;
	count_sleeper(&fab->env.counters->sys_poll);
	if (ppoll(fds, n, timeout_ns < 0 ? NULL : &limit, NULL) < 0)
		return errno == EINTR ? -EINTR : 0;
	woken(fab, fds, n);
	return 0;
}

int roce_wait_also(struct fab *fab, int fd, int64_t timeout_ns)
{
	int ret = 0;

	if (sleeper_begin(&fab->sleeper))
		ret = sleep_armed(fab, fd, timeout_ns);
	sleeper_end(&fab->sleeper);
	return ret;
}

int roce_wait(struct fab *fab, int64_t timeout_ns)
{
	return roce_wait_also(fab, -1, timeout_ns);
}

void roce_kick(struct fab *fab)
{
	sleeper_kick(&fab->sleeper);
}

void roce_drain(struct fab *fab)
{
	sleeper_drain(&fab->sleeper);
}

/* ---------------------------------------------------------- the descriptor to watch */

int roce_watch_dev(struct fab *fab, struct roce_dev *dev)
{
	int err;

	if (fab->sleeper.nestfd < 0)
		return 0;
	err = sleeper_nest(&fab->sleeper, dev->channel->fd);
	return err ? err : sleeper_nest(&fab->sleeper, dev->ctx->async_fd);
}

/* The notes that made it readable, so that it is not for ever. */
void roce_show_begin(struct fab *fab)
{
	pthread_mutex_lock(&fab->lock);
	for (struct roce_dev *dev = fab->devs; dev; dev = dev->next)
		if (!dev->dead && any_armed(dev))
			take_notes(fab, dev);
	pthread_mutex_unlock(&fab->lock);
	atomic_store(&fab->harvest, true);
}

/* Armed, or there is more: true. */
bool roce_show_end(struct fab *fab)
{
	bool found;

	pthread_mutex_lock(&fab->lock);
	found = arm_all(fab);
	pthread_mutex_unlock(&fab->lock);
	return found;
}

static int nest_all(struct fab *fab)
{
	int err = sleeper_nest(&fab->sleeper, fab->events->fd);

	for (struct roce_dev *dev = fab->devs; dev && !err; dev = dev->next)
		if (!dev->dead)
			err = roce_watch_dev(fab, dev);
	return err;
}

int roce_wait_fd(struct fab *fab)
{
	struct sleeper *s = &fab->sleeper;
	int err;

	if (s->nestfd >= 0)
		return s->nestfd;
	err = sleeper_show(s);
	if (err)
		return err;
	err = nest_all(fab);
	if (err) {
		sleeper_unshow(s);
		return err;
	}
	if (roce_show_end(fab))
		sleeper_publish(s, true);
	return s->nestfd;
}

int roce_kick_fd(struct fab *fab)
{
	return fab->sleeper.kickfd;
}
