/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_io.c - kernel TCP, one turn: which connections and listeners have work, from the watcher or
 * without asking it, and a visit to each.
 *
 * Hot connections, with epoll. A poll that finds nothing should cost one system call, and one that
 * finds something should not cost two. So the few connections that last had data are read directly,
 * and epoll is asked only when it may know more, see epoll_due(). With more active connections than
 * HOT_MAX the guess does not pay, and is given up for HOT_OFF_TURNS. A ring says in memory that there
 * is something; then the guess is what, and when it was right the ring is entered in the next turn,
 * while the peer is at work.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define HOT_MISSES_MAX 16 /* turns of trying several in vain */

/* ------------------------------------------------------------------ ready, dirty, failed */

void source_ready(struct source *src)
{
	if (!src_dead(src) && !linked(&src->ready))
		link_append(&src->fab->ready, &src->ready);
}

static bool conn_has_work(const struct fab_conn *c)
{
	uint32_t f = c->src.flags;

	if (f & SRC_DEAD)
		return false;
	if (f & SRC_CONNECTING)
		return c->err || (f & (SRC_WRITABLE | SRC_HUP));
	return (f & (SRC_READABLE | SRC_RX_WANT | SRC_EOF)) == (SRC_READABLE | SRC_RX_WANT);
}

void conn_check_ready(struct fab_conn *c)
{
	if (conn_has_work(c))
		source_ready(&c->src);
}

/* Marks that there is something to transmit; a full socket comes back here by its EPOLLOUT. */
void conn_dirty(struct fab_conn *c)
{
	uint32_t block = SRC_DEAD | SRC_CONNECTING | SRC_TX_STALL | SRC_TX_DEAD;

	c->src.flags |= SRC_TX_WANT;
	if ((c->src.flags & (block | SRC_WRITABLE)) == SRC_WRITABLE && !linked(&c->dirty))
		link_append(&c->src.fab->dirty, &c->dirty);
}

void conn_fail(struct fab_conn *c, int err)
{
	struct fab *fab = c->src.fab;

	if (src_dead(&c->src))
		return;
	c->src.flags |= SRC_FAILED;
	link_del(&c->src.ready);
	link_del(&c->dirty);
	conn_cool(c);
	timer_stop(fab->env.timers, &c->timer);
	if (err == -ECONNRESET)
		COUNT(fab, resets, 1);
	fab->done++;
	c->ops->failed(c->user, err);
}

/* ------------------------------------------------------------------ one turn */

/*
 * Nobody will read this connection (its end was seen), so a reset would go unnoticed until
 * something is written.
 */
static void conn_error_edge(struct fab_conn *c)
{
	socklen_t len = sizeof(int);
	int err = 0;

	COUNT(c->src.fab, sys_other, 1);
	if (!getsockopt(c->src.fd, SOL_SOCKET, SO_ERROR, &err, &len) && err)
		conn_fail(c, -err);
}

static void conn_event(struct fab_conn *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->src.flags |= SRC_READABLE;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->src.flags |= SRC_HUP;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		c->src.flags |= SRC_WRITABLE;
	if ((events & EPOLLERR) && (c->src.flags & SRC_EOF))
		conn_error_edge(c);
	if (src_dead(&c->src))
		return;
	if (c->src.flags & SRC_TX_WANT)
		conn_dirty(c);
	conn_check_ready(c);
}

void source_event(struct source *src, uint32_t events)
{
	if (src_dead(src))
		return;
	if (src->slot) {
		src->fab->batch[src->slot - 1].events |= events;
		return;
	}
	if (src->kind == SRC_CONN) {
		conn_event(src_conn(src), events);
		return;
	}
	src->flags |= SRC_READABLE;
	if (src_listener(src)->posted)
		source_ready(src);
}

void source_fail(struct source *src, int err)
{
	if (src_dead(src))
		return;
	if (src->kind == SRC_CONN)
		conn_fail(src_conn(src), err);
	else
		listener_fail(src_listener(src), err);
}

void conn_later(struct fab_conn *c)
{
	if (conn_has_work(c) && !linked(&c->src.ready))
		link_append(&c->src.fab->later, &c->src.ready);
}

static void visit_conn(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;

	if (c->src.flags & SRC_CONNECTING) {
		connect_finish(c);
		return;
	}
	if (c->src.lag) {
		c->src.lag--;
	} else if (conn_has_work(c) && batchable(c)) {
		if (rx_plan(c, &fab->batch[fab->batched]) && ++fab->batched == BATCH_MAX)
			batch_reads(fab);
		return;
	} else if (conn_has_work(c)) {
		rx_run(c);
	}
	/* Still has some: behind the others, and in the next turn. */
	conn_later(c);
}

static bool turn_over(const struct fab *fab)
{
	return fab->done + (int)fab->batched >= fab->budget || fab->bytes >= FAB_TURN_BYTES;
}

/* Each source once a turn; one that becomes ready meanwhile (an accepted connection) included. */
static void run_ready(struct fab *fab)
{
	while (linked(&fab->ready) && !turn_over(fab)) {
		struct source *src = container(fab->ready.next, struct source, ready);

		link_del(&src->ready);
		if (src->tick == fab->tick) {
			link_append(&fab->later, &src->ready);
			continue;
		}
		src->tick = fab->tick;
		if (src->kind == SRC_CONN)
			visit_conn(src_conn(src));
		else
			accept_run(src_listener(src));
	}
	if (fab->batched)
		batch_reads(fab);
}

/* Whether the hot connection @c was, or now is, read in this turn. */
static bool try_hot(struct fab *fab, struct fab_conn *c)
{
	if (!c || !(c->src.flags & SRC_RX_WANT))
		return false;
	if (c->src.tick == fab->tick)
		return true;
	if (turn_over(fab))
		return false;
	c->src.flags |= SRC_READABLE; /* perhaps; "again" will clear it */
	link_del(&c->src.ready);
	c->src.tick = fab->tick;
	visit_conn(c);
	return true;
}

/*
 * Returns whether that stands for asking the watcher in this turn. Several that stay silent would cost
 * more reads than one epoll_wait; a single one costs the same.
 */
static bool run_hot(struct fab *fab)
{
	int done = fab->done, tried = 0;

	if (!fab->watcher->guess(fab))
		return false;
	if (fab->hot_off) {
		fab->hot_off--;
		return false;
	}
	if (fab->hot_misses >= HOT_MISSES_MAX)
		return false;
	for (int i = 0; i < HOT_MAX; i++)
		tried += try_hot(fab, fab->hot[i]);
	if (fab->batched)
		batch_reads(fab);
	if (tried > 1 && fab->done == done)
		fab->hot_misses++;
	return fab->watcher->dear ? tried : fab->done != done;
}

int tcp_progress(struct fab *fab, int budget)
{
	int done;

	fab_enter(fab);
	fab->tick++;
	fab->done = 0;
	fab->bytes = 0;
	fab->budget = budget;
	run_ready(fab);
	if (!run_hot(fab) || epoll_due(fab)) {
		fab->watcher->harvest(fab);
		run_ready(fab);
	}
	link_splice(&fab->ready, &fab->later);
	done = fab->done;
	fab_leave(fab);
	return done;
}
