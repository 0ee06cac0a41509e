/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp.c - kernel TCP: the instance and its sleeper, and what is common to its sources.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ entering and leaving */

void fab_enter(struct fab *fab)
{
	fab->depth++;
}

static void reap(struct fab *fab)
{
	while (linked(&fab->zombies)) {
		struct source *src = container(fab->zombies.next, struct source, ready);

		link_del(&src->ready);
		if (src->kind == SRC_CONN)
			free(src_conn(src));
		else
			free(src_listener(src));
	}
}

void fab_leave(struct fab *fab)
{
	if (--fab->depth)
		return;
	reap(fab);
	sleeper_publish(&fab->sleeper, linked(&fab->ready) || fab->tx_left || fab->asks_left);
}

/* ------------------------------------------------------------------ sources */

void source_init(struct source *src, struct fab *fab, enum src_kind kind, int fd)
{
	link_init(&src->ready);
	src->fab = fab;
	src->fd = fd;
	src->kind = (uint8_t)kind;
	src->tick = fab->tick - 1;
	fab->sources++;
}

int source_register(struct source *src)
{
	int err;

	if (src->flags & SRC_REGISTERED)
		return 0;
	err = src->fab->watcher->add(src);
	if (!err)
		src->flags |= SRC_REGISTERED;
	return err;
}

/* A descriptor has become free: the listeners that waited for one try again. */
static void accept_unstall(struct fab *fab)
{
	while (linked(&fab->stalled)) {
		struct source *src = container(fab->stalled.next, struct source, ready);

		link_del(&src->ready);
		timer_stop(fab->env.timers, &src_listener(src)->timer);
		source_ready(src);
	}
}

void release_fd(struct source *src)
{
	struct fab *fab = src->fab;

	if (src->flags & SRC_REGISTERED)
		fab->watcher->remove(src);
	COUNT(fab, sys_other, 1);
	close(src->fd);
	src->fd = -1;
	src->flags = (src->flags | SRC_CLOSED) & ~SRC_REGISTERED;
	link_del(&src->ready);
	link_append(&fab->zombies, &src->ready);
	fab->sources--;
	accept_unstall(fab);
}

int socket_set_flag(struct fab *fab, int fd, int level, int name)
{
	int on = 1;

	COUNT(fab, sys_other, 1);
	return outcome(setsockopt(fd, level, name, &on, sizeof(on)));
}

int socket_new(struct fab *fab, int family)
{
	int fd;

	COUNT(fab, sys_other, 1);
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	return fd < 0 ? -errno : fd;
}

int socket_name(struct source *src, union fab_addr *addr)
{
	socklen_t len = sizeof(*addr);

	COUNT(src->fab, sys_other, 1);
	return outcome(getsockname(src->fd, &addr->sa, &len));
}

/* ------------------------------------------------------------------ the instance */

void fab_free(struct fab *fab)
{
	sleeper_close(&fab->sleeper);
	free(fab->batch);
	free(fab);
}

int fab_new(const struct fab_env *env, const struct watcher *watcher, struct fab **out)
{
	struct fab *fab = calloc(1, sizeof(*fab));
	int err;

	if (!fab)
		return -ENOMEM;
	if (watcher->transfer) {
		fab->batch = calloc(BATCH_MAX, sizeof(*fab->batch));
		if (!fab->batch) {
			free(fab);
			return -ENOMEM;
		}
	}
	fab->env = *env;
	fab->watcher = watcher;
	fab->watchfd = -1;
	link_init(&fab->ready);
	link_init(&fab->later);
	link_init(&fab->dirty);
	link_init(&fab->stalled);
	link_init(&fab->zombies);
	err = sleeper_open(&fab->sleeper, env->counters);
	if (err) {
		free(fab->batch);
		free(fab);
		return err;
	}
	*out = fab;
	return 0;
}

void tcp_close(struct fab *fab)
{
	assert(!fab->sources && !fab->depth);
	fab->watcher->close(fab);
	fab_free(fab);
}

/* Sleeps on the watcher without asking it, so that every edge is still there for progress(). */
int sleep_on(struct fab *fab, int64_t timeout_ns)
{
	struct pollfd fds[] = {
		{ .fd = fab->watchfd, .events = POLLIN },
		{ .fd = fab->sleeper.kickfd, .events = POLLIN },
	};
	struct timespec limit = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};

	count_sleeper(&fab->env.counters->sys_poll);
	if (ppoll(fds, 2, timeout_ns < 0 ? NULL : &limit, NULL) < 0)
		return errno == EINTR ? -EINTR : 0;
	if (fds[0].revents)
		atomic_store(&fab->harvest, true);
	if (fds[1].revents)
		fab->sleeper.kicked = true;
	return 0;
}

int tcp_wait(struct fab *fab, int64_t timeout_ns)
{
	int ret = 0;

	if (sleeper_begin(&fab->sleeper))
		ret = fab->watcher->sleep(fab, timeout_ns);
	sleeper_end(&fab->sleeper);
	return ret;
}

void tcp_kick(struct fab *fab)
{
	sleeper_kick(&fab->sleeper);
}

void tcp_drain(struct fab *fab)
{
	sleeper_drain(&fab->sleeper);
}

int tcp_wait_fd(struct fab *fab)
{
	struct sleeper *s = &fab->sleeper;
	int shown, err;

	if (s->nestfd >= 0)
		return s->nestfd;
	shown = fab->watcher->show(fab);
	if (shown < 0)
		return shown;
	err = sleeper_show(s);
	if (err)
		return err;
	err = sleeper_nest(s, shown);
	if (err) {
		sleeper_unshow(s);
		return err;
	}
	return s->nestfd;
}

int tcp_kick_fd(struct fab *fab)
{
	return fab->sleeper.kickfd;
}
