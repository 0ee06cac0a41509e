/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_epoll.c - kernel TCP, readiness by epoll: the fabric "tcp".
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 64 /* of one epoll_wait */

#define EPOLL_EVERY 8           /* turns */
#define EPOLL_BYTES (64 * 1024) /* after so much copying an epoll_wait costs nothing */

/*
 * A clock for "tens of microseconds": an application that polls rarely must not find its other
 * connections eight polls late. The processor's counter is half the price of the system's clock.
 */
#if defined(__x86_64__)
#define EPOLL_TICKS 100000
static uint64_t coarse_clock(void)
{
	return __builtin_ia32_rdtsc();
}
#else
#define EPOLL_TICKS 40000
static uint64_t coarse_clock(void)
{
	return timer_now_ns();
}
#endif

static int epoll_add(struct source *src)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = src };

	if (src->kind == SRC_CONN)
		ev.events |= EPOLLOUT | EPOLLRDHUP;
	COUNT(src->fab, sys_epoll_ctl, 1);
	return outcome(epoll_ctl(src->fab->watchfd, EPOLL_CTL_ADD, src->fd, &ev));
}

/* A copy in a forked child would keep it in the set, with a pointer to freed memory. */
static void epoll_remove(struct source *src)
{
	COUNT(src->fab, sys_epoll_ctl, 1);
	epoll_ctl(src->fab->watchfd, EPOLL_CTL_DEL, src->fd, NULL);
}

void epoll_asked(struct fab *fab)
{
	fab->epoll_at = coarse_clock();
}

/* One call to read a connection is as good as one to ask. */
static bool epoll_guess(struct fab *fab)
{
	(void)fab;
	return true;
}

static void epoll_harvest(struct fab *fab)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	/* Before the call: what a sleeper sees after it must make the next turn ask again. */
	atomic_store(&fab->harvest, false);
	epoll_asked(fab);
	COUNT(fab, sys_epoll_wait, 1);
	n = epoll_wait(fab->watchfd, events, EVENTS_MAX, 0);
	for (int i = 0; i < n; i++)
		source_event(events[i].data.ptr, events[i].events);
	if (n == EVENTS_MAX)
		atomic_store(&fab->harvest, true);
	cool_stale(fab);
}

/* Is the watcher to be asked although hot connections were read in this turn? */
bool epoll_due(struct fab *fab)
{
	return fab->tick % EPOLL_EVERY == 0 || fab->bytes >= EPOLL_BYTES ||
	       atomic_load(&fab->harvest) || fab->sleeper.nestfd >= 0 ||
	       coarse_clock() - fab->epoll_at > EPOLL_TICKS;
}

static void epoll_nothing_left(struct fab *fab)
{
	fab->asks_left = false;
}

static int epoll_show(struct fab *fab)
{
	return fab->watchfd;
}

static void epoll_close(struct fab *fab)
{
	close(fab->watchfd);
	fab->watchfd = -1;
}

static const struct watcher epoll_watcher = {
	.dear = true,
	.guess = epoll_guess,
	.add = epoll_add,
	.remove = epoll_remove,
	.harvest = epoll_harvest,
	.submit = epoll_nothing_left,
	.sleep = sleep_on,
	.show = epoll_show,
	.close = epoll_close,
};

static int tcp_open(const struct fab_env *env, struct fab **out)
{
	struct fab *fab;
	int err = fab_new(env, &epoll_watcher, &fab);

	if (err)
		return err;
	fab->watchfd = epoll_create1(EPOLL_CLOEXEC);
	if (fab->watchfd < 0) {
		err = -errno;
		fab_free(fab);
		return err;
	}
	*out = fab;
	return 0;
}

const struct fab_stream_ops tcp_ops = {
	.name = "tcp",
	.open = tcp_open,
	TCP_OPS,
};
