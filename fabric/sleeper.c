/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sleeper.c - what sleeping has in common; see sleeper.h. */
#include "fabric/sleeper.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int sleeper_open(struct sleeper *s, struct fab_counters *counters)
{
	s->counters = counters;
	s->nestfd = s->pendfd = -1;
	s->kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->kickfd < 0 ? -errno : 0;
}

void sleeper_close(struct sleeper *s)
{
	sleeper_unshow(s);
	close_fd(&s->kickfd);
}

static void wake(struct sleeper *s)
{
	uint64_t one = 1;
	int keep = errno;

	/* It can fail only when the count is near its maximum: then it is readable already. */
	if (write(s->kickfd, &one, sizeof(one)) < 0)
		errno = keep;
}

void sleeper_kick(struct sleeper *s)
{
	count_sleeper(&s->counters->sys_kick);
	wake(s);
}

/*
 * Who is not in wait() yet will see what was changed before: sleeper_begin() comes before it looks. So no
 * kick is left for one who sleeps by the descriptor, and drains nothing.
 */
void sleeper_rouse(struct sleeper *s)
{
	if (atomic_load(&s->sleeping))
		sleeper_kick(s);
}

/* A kick that no wait() has seen stays: it ends the next one. */
void sleeper_drain(struct sleeper *s)
{
	uint64_t count;

	if (!s->kicked)
		return;
	s->kicked = false;
	count_sleeper(&s->counters->sys_poll);
	/* Nothing there: someone else drained, which is as good. */
	if (read(s->kickfd, &count, sizeof(count)) < 0)
		return;
}

bool sleeper_begin(struct sleeper *s)
{
	/* Pairs with sleeper_tell(). */
	atomic_exchange(&s->sleeping, true);
	return !atomic_load(&s->pending);
}

void sleeper_end(struct sleeper *s)
{
	atomic_store(&s->sleeping, false);
}

/* Makes nestfd readable while there is work that the kernel does not know of. */
static void show_pending(struct sleeper *s, bool pending)
{
	uint64_t count = 1;
	ssize_t n;

	if (s->pendfd < 0 || s->pend_shown == pending)
		return;
	if (pending)
		n = write(s->pendfd, &count, sizeof(count));
	else
		n = read(s->pendfd, &count, sizeof(count));
	fab_count(&s->counters->sys_other, 1);
	if (n == sizeof(count))
		s->pend_shown = pending;
}

/* The exchange pairs with that of sleeper_begin(): either that sees `pending`, or this sees `sleeping`. */
void sleeper_tell(struct sleeper *s, bool pending)
{
	atomic_exchange(&s->pending, pending);
	if (pending && atomic_load(&s->sleeping))
		wake(s);
	show_pending(s, pending);
}

/* ------------------------------------------------------------------ the descriptor */

int sleeper_nest(struct sleeper *s, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	fab_count(&s->counters->sys_epoll_ctl, 1);
	return epoll_ctl(s->nestfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

void sleeper_unshow(struct sleeper *s)
{
	close_fd(&s->pendfd);
	close_fd(&s->nestfd);
	s->pend_shown = false;
}

int sleeper_show(struct sleeper *s)
{
	int err = 0;

	s->nestfd = epoll_create1(EPOLL_CLOEXEC);
	if (s->nestfd >= 0)
		s->pendfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->nestfd < 0 || s->pendfd < 0)
		err = -errno;
	if (!err)
		err = sleeper_nest(s, s->kickfd);
	if (!err)
		err = sleeper_nest(s, s->pendfd);
	if (err)
		sleeper_unshow(s);
	else
		show_pending(s, atomic_load(&s->pending));
	return err;
}
