/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_io.c - kernel TCP, the moving of bytes: one turn's harvest, reads that land where the user
 * of the connection says, and one gathered write per connection.
 *
 * Hot connections. A poll that finds nothing should cost one system call, and one that finds
 * something should not cost two. So the few connections that last had data are read directly, and
 * epoll is asked only when it may know more: every EPOLL_EVERY turns, after EPOLL_TICKS without
 * asking, when a sleeper saw it readable, when much was moved already, or when there is nothing hot
 * to try. With more active connections than HOT_MAX the guess does not pay, and is given up for
 * HOT_OFF_TURNS.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RX_IOV_MAX 32      /* entries of one read */
#define RX_SURE_BYTES 4096 /* a short read of so much is not taken for an empty socket, see below */
#define EVENTS_MAX 64      /* of one epoll_wait */

#define EPOLL_EVERY 8
#define EPOLL_BYTES (64 * 1024) /* after so much copying an epoll_wait costs nothing */
#define HOT_WINDOW 64           /* turns within which connections count as active together */
#define HOT_OFF_TURNS 1024
#define HOT_STALE_TURNS 1024
#define HOT_MISSES_MAX 16 /* turns of trying several in vain */

#define TX_TRIES_MAX 16
#define TX_RETRY_NS 1000000 /* after ENOBUFS */

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

/* ------------------------------------------------------------------ hot connections */

void conn_cool(struct fab_conn *c)
{
	if (c->src.heat)
		c->src.fab->hot[c->src.heat - 1] = NULL;
	c->src.heat = 0;
}

static void cool_all(struct fab *fab)
{
	for (int i = 0; i < HOT_MAX; i++) {
		if (fab->hot[i])
			conn_cool(fab->hot[i]);
	}
}

/* The place to put one more: a free one, else the one that had no data for longest. */
static int hot_place(const struct fab *fab)
{
	int oldest = 0;

	for (int i = 0; i < HOT_MAX; i++) {
		if (!fab->hot[i])
			return i;
		if (fab->tick - fab->hot_tick[i] > fab->tick - fab->hot_tick[oldest])
			oldest = i;
	}
	return oldest;
}

/* Data was found on @c. */
static void conn_heat(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;
	int i;

	fab->hot_misses = 0;
	if (!c->src.heat) {
		if (fab->hot_off || !(c->src.flags & SRC_REGISTERED))
			return;
		i = hot_place(fab);
		if (fab->hot[i]) {
			if (fab->tick - fab->hot_tick[i] < HOT_WINDOW) {
				fab->hot_off = HOT_OFF_TURNS;
				cool_all(fab);
				return;
			}
			conn_cool(fab->hot[i]);
		}
		fab->hot[i] = c;
		c->src.heat = (uint8_t)(i + 1);
	}
	fab->hot_tick[c->src.heat - 1] = fab->tick;
}

/* Drops those that fell silent long before the latest data, so that one active one is alone. */
static void cool_stale(struct fab *fab)
{
	uint32_t least = UINT32_MAX;

	for (int i = 0; i < HOT_MAX; i++) {
		if (fab->hot[i] && fab->tick - fab->hot_tick[i] < least)
			least = fab->tick - fab->hot_tick[i];
	}
	for (int i = 0; i < HOT_MAX; i++) {
		if (fab->hot[i] && fab->tick - fab->hot_tick[i] - least > HOT_STALE_TURNS)
			conn_cool(fab->hot[i]);
	}
}

/* ------------------------------------------------------------------ receive */

static size_t iov_bytes(const struct iovec *iov, int cnt)
{
	size_t sum = 0;

	for (int i = 0; i < cnt; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Cuts the list to FAB_IO_BYTES; returns what is left of it. */
static size_t rx_bound(struct iovec *iov, int *cnt)
{
	size_t sum = 0;

	for (int i = 0; i < *cnt; i++) {
		if (iov[i].iov_len >= FAB_IO_BYTES - sum) {
			iov[i].iov_len = FAB_IO_BYTES - sum;
			*cnt = i + 1;
			return FAB_IO_BYTES;
		}
		sum += iov[i].iov_len;
	}
	return sum;
}

/*
 * Tells the user what arrived and asks where the next goes. The want is taken back before the call,
 * so that an rx_want() from within it counts. Returns the entries, 0 to stop.
 */
static int rx_ask(struct fab_conn *c, size_t n, struct iovec *iov)
{
	int cnt;

	c->src.flags &= ~SRC_RX_WANT;
	cnt = c->ops->rx_next(c->user, n, iov, RX_IOV_MAX);
	if (src_dead(&c->src))
		return 0;
	if (cnt < 0)
		conn_fail(c, cnt);
	else if (cnt > 0)
		c->src.flags |= SRC_RX_WANT;
	else if ((c->src.flags & (SRC_TX_DEAD | SRC_RX_WANT)) == SRC_TX_DEAD)
		conn_fail(c, c->err); /* what still lies there would never be read */
	return cnt > 0 ? cnt : 0;
}

static void rx_end(struct fab_conn *c)
{
	if (c->src.flags & SRC_TX_DEAD) {
		conn_fail(c, c->err);
		return;
	}
	c->src.flags = (c->src.flags | SRC_EOF) & ~(SRC_READABLE | SRC_RX_WANT);
	conn_cool(c);
	COUNT(c->src.fab, eofs, 1);
	c->src.fab->done++;
	c->ops->rx_eof(c->user);
}

/* The socket is empty: from here on its edge tells. */
static void rx_empty(struct fab_conn *c)
{
	int err;

	COUNT(c->src.fab, rx_empty, 1);
	c->src.flags &= ~(SRC_READABLE | SRC_HUP);
	c->ops->rx_none(c->user);
	if (src_dead(&c->src))
		return;
	err = source_register(&c->src);
	if (err)
		conn_fail(c, err);
}

/* A read failed. Returns whether to go on at once. */
static bool rx_error(struct fab_conn *c, int err)
{
	switch (err) {
	case -EAGAIN:
		rx_empty(c);
		return false;
	case -EFAULT:
		c->src.fab->done++;
		err = c->ops->rx_fault(c->user, err);
		if (!err)
			return !src_dead(&c->src);
		break;
	}
	conn_fail(c, c->src.flags & SRC_TX_DEAD ? c->err : err);
	return false;
}

static ssize_t rx_read(struct fab_conn *c, const struct iovec *iov, int cnt)
{
	ssize_t n;

	do {
		COUNT(c->src.fab, sys_read, 1);
		if (cnt == 1)
			n = recv(c->src.fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);
		else
			n = readv(c->src.fd, iov, cnt);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void rx_moved(struct fab_conn *c, size_t n)
{
	struct fab *fab = c->src.fab;

	COUNT(fab, rx_bytes, n);
	fab->bytes += n;
	fab->done++;
	conn_heat(c);
}

/*
 * @n bytes came where more would have fitted. Normally that empties the socket, and asking again to
 * hear so would double the reads of a request. But the bit stays
 * - when a FIN or an error is queued behind the data: nothing will announce it again;
 * - for a connection outside epoll, which no edge will wake. It gets a few turns before it is asked
 *   again (and then registered): most short connections are closed by then;
 * - after a larger read: it may have been cut by memory that cannot be written, and the rest, with
 *   nothing to announce it, would stay in the kernel. (Below a page that is left undetected until
 *   more arrives: the price would be a second read for every small message.)
 * Returns whether to read on at once.
 */
static bool rx_short(struct fab_conn *c, size_t n)
{
	if (c->src.flags & SRC_HUP)
		return true;
	if (!(c->src.flags & SRC_REGISTERED))
		c->src.lag = 2;
	else if (n < RX_SURE_BYTES)
		c->src.flags &= ~SRC_READABLE;
	return false;
}

/* Reads once; returns whether to go on, and in @n what was read, of at most @room. */
static bool rx_once(struct fab_conn *c, const struct iovec *iov, int cnt, size_t room, size_t *n)
{
	ssize_t ret = rx_read(c, iov, cnt);

	*n = 0;
	if (ret == 0) {
		rx_end(c);
		return false;
	}
	if (ret < 0)
		return rx_error(c, (int)ret);
	*n = (size_t)ret;
	rx_moved(c, *n);
	return *n == room || rx_short(c, *n);
}

/* Reads @c until it is empty, its user stops, or it has had its share of the turn. */
static void rx_run(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;
	struct iovec iov[RX_IOV_MAX];
	size_t room, got = 0, n = 0;
	bool more = true;
	int cnt;

	/* What was read is told in any case, by the question for what comes next. */
	while (more || n) {
		cnt = rx_ask(c, n, iov);
		if (!cnt)
			return;
		room = rx_bound(iov, &cnt);
		if (!room) /* nothing could be told from a read of no bytes: a stop */
			c->src.flags &= ~SRC_RX_WANT;
		if (!room || !more || got >= FAB_TURN_BYTES || fab->done >= fab->budget) {
			c->ops->rx_none(c->user);
			return;
		}
		more = rx_once(c, iov, cnt, room, &n);
		got += n;
	}
}

void tcp_rx_want(struct fab_conn *c)
{
	fab_enter(c->src.fab);
	if (!(c->src.flags & (SRC_DEAD | SRC_EOF))) {
		c->src.flags |= SRC_RX_WANT;
		conn_check_ready(c);
	}
	fab_leave(c->src.fab);
}

/* ------------------------------------------------------------------ transmit */

static void tx_retry(struct timer *t)
{
	struct fab_conn *c = container(t, struct fab_conn, timer);
	struct fab *fab = c->src.fab;

	fab_enter(fab);
	c->src.flags &= ~SRC_TX_STALL;
	conn_dirty(c);
	fab_leave(fab);
}

/* The kernel has no memory, and no edge will say when it has. */
static void tx_stall(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;

	if (!timer_start(fab->env.timers, &c->timer, TX_RETRY_NS, tx_retry))
		c->src.flags |= SRC_TX_STALL;
	conn_dirty(c);
}

/*
 * The peer does not take our bytes any more, but what it sent before may still be here: a server
 * that answers and closes without reading all of the request. Read that first, if it is wanted.
 */
static void tx_dead(struct fab_conn *c, int err)
{
	bool answer = (c->src.flags & (SRC_RX_WANT | SRC_EOF)) == SRC_RX_WANT;

	if (!answer || (err != -EPIPE && err != -ECONNRESET)) {
		conn_fail(c, err);
		return;
	}
	c->err = err;
	c->src.flags |= SRC_TX_DEAD | SRC_READABLE | SRC_HUP;
	conn_check_ready(c);
}

static void tx_full(struct fab_conn *c)
{
	int err;

	c->src.flags &= ~SRC_WRITABLE;
	c->src.flags |= SRC_TX_WANT;
	err = source_register(&c->src);
	if (err)
		conn_fail(c, err);
}

/* A write failed. Returns whether to go on at once. */
static bool tx_error(struct fab_conn *c, int err)
{
	if (err == -EFAULT) {
		err = c->ops->tx_fault(c->user, err);
		if (err)
			conn_fail(c, err);
		return !src_dead(&c->src);
	}
	c->ops->tx_done(c->user, 0);
	if (src_dead(&c->src))
		return false;
	/* An upcall may have marked it; what follows decides when it is written again. */
	link_del(&c->dirty);
	switch (err) {
	case -EAGAIN:
		tx_full(c);
		return false;
	case -ENOBUFS:
	case -ENOMEM:
		tx_stall(c);
		return false;
	default:
		tx_dead(c, err);
		return false;
	}
}

static ssize_t tx_write(struct fab_conn *c, struct iovec *iov, int cnt)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)cnt};
	ssize_t n;

	do {
		COUNT(c->src.fab, sys_write, 1);
		n = sendmsg(c->src.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * One write; returns whether another must follow at once. After a short one it must: the socket is
 * full, or the memory behind what was taken cannot be read, and only the next write tells which. For
 * a full socket an edge will come, for bad memory none would.
 */
static bool tx_once(struct fab_conn *c, struct iovec *iov, size_t *sent)
{
	size_t room;
	ssize_t n;
	int cnt;

	c->src.flags &= ~SRC_TX_WANT;
	cnt = c->ops->tx_next(c->user, iov, FAB_IOV_MAX, FAB_IO_BYTES);
	if (src_dead(&c->src) || cnt <= 0)
		return false;
	room = iov_bytes(iov, cnt);
	if (!room)
		return false;
	n = tx_write(c, iov, cnt);
	if (n < 0)
		return tx_error(c, (int)n);
	*sent += (size_t)n;
	COUNT(c->src.fab, tx_bytes, (uint64_t)n);
	c->ops->tx_done(c->user, (size_t)n);
	if (src_dead(&c->src))
		return false;
	if ((size_t)n < room) {
		COUNT(c->src.fab, tx_short, 1);
		return true;
	}
	/* The list may have been cut by a bound: ask again at the next flush. */
	if (room >= FAB_IO_BYTES / 4 || cnt >= FAB_IOV_MAX / 4)
		conn_dirty(c);
	return false;
}

/* Returns the bytes written. */
static size_t tx_run(struct fab_conn *c)
{
	struct iovec iov[FAB_IOV_MAX];
	size_t sent = 0;
	int tries = 0;
	bool again;

	c->src.flags |= SRC_TX_BUSY;
	do {
		again = tx_once(c, iov, &sent);
	} while (again && sent < FAB_TURN_BYTES && ++tries < TX_TRIES_MAX);
	c->src.flags &= ~SRC_TX_BUSY;
	if (again)
		conn_dirty(c);
	return sent;
}

void tcp_tx_want(struct fab_conn *c)
{
	/* No enter and leave: a flush follows in this turn, a sleeper need not hear of it. */
	conn_dirty(c);
}

void tcp_tx_now(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;

	fab_enter(fab);
	conn_dirty(c);
	/* From inside its own transmit upcalls it is a tx_want. */
	if (linked(&c->dirty) && !(c->src.flags & SRC_TX_BUSY)) {
		link_del(&c->dirty);
		tx_run(c);
		if (linked(&c->dirty))
			fab->tx_left = true;
	}
	fab_leave(fab);
}

void tcp_flush(struct fab *fab)
{
	struct link todo;
	size_t sent = 0;

	fab_enter(fab);
	link_init(&todo);
	link_splice(&todo, &fab->dirty);
	while (linked(&todo) && sent < FAB_TURN_BYTES) {
		struct fab_conn *c = container(todo.next, struct fab_conn, dirty);

		link_del(&c->dirty);
		sent += tx_run(c);
	}
	/* Those that had no turn go first in the next one. */
	link_splice(&todo, &fab->dirty);
	link_splice(&fab->dirty, &todo);
	fab->tx_left = linked(&fab->dirty);
	fab_leave(fab);
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

static void source_event(struct source *src, uint32_t events)
{
	if (src_dead(src))
		return;
	if (src->kind == SRC_CONN) {
		conn_event(src_conn(src), events);
		return;
	}
	src->flags |= SRC_READABLE;
	if (src_listener(src)->posted)
		source_ready(src);
}

static void harvest(struct fab *fab)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	/* Before the call: what a sleeper sees after it must make the next turn ask again. */
	atomic_store(&fab->harvest, false);
	fab->epoll_at = coarse_clock();
	COUNT(fab, sys_epoll_wait, 1);
	n = epoll_wait(fab->epfd, events, EVENTS_MAX, 0);
	for (int i = 0; i < n; i++)
		source_event(events[i].data.ptr, events[i].events);
	if (n == EVENTS_MAX)
		atomic_store(&fab->harvest, true);
	cool_stale(fab);
}

static void visit_conn(struct fab_conn *c)
{
	if (c->src.flags & SRC_CONNECTING) {
		connect_finish(c);
		return;
	}
	if (c->src.lag)
		c->src.lag--;
	else if (conn_has_work(c))
		rx_run(c);
	/* Still has some: behind the others, and in the next turn. */
	if (conn_has_work(c) && !linked(&c->src.ready))
		link_append(&c->src.fab->later, &c->src.ready);
}

static bool turn_over(const struct fab *fab)
{
	return fab->done >= fab->budget || fab->bytes >= FAB_TURN_BYTES;
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
 * Returns whether that stands for an epoll_wait in this turn. Several that stay silent would cost
 * more reads than one epoll_wait; a single one costs the same.
 */
static bool run_hot(struct fab *fab)
{
	int done = fab->done, tried = 0;

	if (fab->hot_off) {
		fab->hot_off--;
		return false;
	}
	if (fab->hot_misses >= HOT_MISSES_MAX)
		return false;
	for (int i = 0; i < HOT_MAX; i++)
		tried += try_hot(fab, fab->hot[i]);
	if (tried > 1 && fab->done == done)
		fab->hot_misses++;
	return tried;
}

static bool epoll_due(struct fab *fab)
{
	return fab->tick % EPOLL_EVERY == 0 || fab->bytes >= EPOLL_BYTES ||
	       atomic_load(&fab->harvest) || fab->nestfd >= 0 ||
	       coarse_clock() - fab->epoll_at > EPOLL_TICKS;
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
		harvest(fab);
		run_ready(fab);
	}
	link_splice(&fab->ready, &fab->later);
	done = fab->done;
	fab_leave(fab);
	return done;
}
