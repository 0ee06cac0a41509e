/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring_accept.c - io_uring: one request that accepts for as long as a listener lives.
 *
 * The kernel does not wait to be asked for each connection, as accept4(2) is posted by posted accept.
 * Those for which nobody has posted wait here instead of in the listener's backlog, up to a number;
 * then the request is cancelled, until all are gone. Whoever closes the listener resets them, as the
 * kernel does with its backlog.
 */
#include "fabric/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAKEN_ROOM 64
#define TAKEN_MANY 64

int taken_new(struct watch *w)
{
	w->taken = calloc(1, sizeof(*w->taken) + TAKEN_ROOM * sizeof(int));
	if (!w->taken)
		return -ENOMEM;
	w->taken->room = TAKEN_ROOM;
	return 0;
}

static void reset(struct fab *fab, int fd)
{
	struct linger discard = { .l_onoff = 1, .l_linger = 0 };

	COUNT(fab, sys_other, 2);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &discard, sizeof(discard));
	close(fd);
}

static int taken_get(struct taken *t)
{
	int fd = t->fd[t->first];

	t->first = (t->first + 1) & (t->room - 1);
	t->count--;
	return fd;
}

void taken_drop(struct fab *fab, struct watch *w)
{
	while (w->taken->count)
		reset(fab, taken_get(w->taken));
}

/* Twice the room; the order stays. */
static struct taken *taken_grow(struct taken *t)
{
	struct taken *more = malloc(sizeof(*t) + 2 * t->room * sizeof(int));

	if (!more)
		return NULL;
	*more = *t;
	more->room = 2 * t->room;
	more->first = 0;
	for (unsigned i = 0; i < t->count; i++)
		more->fd[i] = t->fd[(t->first + i) & (t->room - 1)];
	free(t);
	return more;
}

static void taken_put(struct fab *fab, struct watch *w, int fd)
{
	struct taken *t = w->taken;

	if (t->count == t->room)
		t = taken_grow(t);
	if (!t) {
		reset(fab, fd);
		return;
	}
	w->taken = t;
	t->fd[(t->first + t->count++) & (t->room - 1)] = fd;
	if (t->count >= TAKEN_MANY && w->polling && !t->paused) {
		t->paused = true;
		watch_cancel(fab, w);
	}
}

void taken_event(struct fab *fab, struct watch *w, int res, bool last)
{
	struct taken *t = w->taken;

	if (last)
		w->polling = false;
	if (!w->src) {
		if (res >= 0)
			reset(fab, res);
		if (last)
			watch_free(w);
		return;
	}
	if (res >= 0)
		taken_put(fab, w, res);
	else if (!is_passing(res) || res == -ENOMEM)
		t->err = res;
	if (last) {
		link_del(&w->link); /* a cancellation that has come too late */
		if (!w->taken->paused && !w->taken->err)
			watch_ask(fab, w);
	}
	source_event(w->src, 0);
}

/*
 * The next one. After an error, which is told once, and after a pause the kernel is asked to go on:
 * -EAGAIN until it has.
 */
int uring_accept(struct fab_listener *l)
{
	struct watch *w = l->src.watch;
	struct taken *t = w->taken;
	int err = t->err;

	if (t->count)
		return taken_get(t);
	t->err = 0;
	if (err)
		return err;
	if (!w->polling && !linked(&w->link)) {
		t->paused = false;
		watch_ask(l->src.fab, w);
	}
	return -EAGAIN;
}
