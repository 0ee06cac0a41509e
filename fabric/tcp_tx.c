/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_tx.c - kernel TCP, transmit: one gathered write per connection, and files' bytes.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define TX_TRIES_MAX 16
#define TX_RETRY_NS 1000000 /* after ENOBUFS */

static size_t iov_bytes(const struct iovec *iov, int cnt)
{
	size_t sum = 0;

	for (int i = 0; i < cnt; i++)
		sum += iov[i].iov_len;
	return sum;
}

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

ssize_t tx_write(struct fab_conn *c, struct msghdr *msg, int flags)
{
	ssize_t n;

	do {
		COUNT(c->src.fab, sys_write, 1);
		n = sendmsg(c->src.fd, msg, flags);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Was the signal, which the thread had blocked, already there? */
static bool is_pending(const sigset_t *blocked, int signo)
{
	sigset_t pending;

	return sigismember(blocked, signo) && !sigpending(&pending) && sigismember(&pending, signo);
}

/* sendfile(2) knows no MSG_NOSIGNAL: a signal that was not pending before is ours to take. */
static ssize_t sendfile_quiet(int fd, const struct fab_file_range *range, size_t len)
{
	off_t offset = (off_t)range->offset;
	struct timespec none = { 0 };
	sigset_t pipe, old;
	bool theirs;
	ssize_t n;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	theirs = is_pending(&old, SIGPIPE);
	do {
		n = sendfile(fd, range->fd, &offset, len);
	} while (n < 0 && errno == EINTR);
	n = n < 0 ? -errno : n;
	/* also when something was sent first */
	if (n != (ssize_t)len && !theirs)
		sigtimedwait(&pipe, NULL, &none);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

/* Errors of the file: all that are not a connection's. File systems have many of their own. */
static bool is_of_file(ssize_t err)
{
	switch (err) {
	case -EAGAIN:
	case -ENOBUFS:
	case -ENOMEM:
	case -EPIPE:
	case -ENOTCONN:
	case -ECONNRESET:
	case -ECONNABORTED:
	case -ETIMEDOUT:
	case -ENETDOWN:
	case -ENETUNREACH:
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -EPROTO:
		return false;
	default:
		return err < 0;
	}
}

/* A range, or the first bytes of it. Asked again at once: what follows, or why it was cut short. */
static bool tx_file(struct fab_conn *c, const struct iovec *iov, size_t *sent)
{
	size_t len = iov->iov_len;
	ssize_t n;
	int err;

	COUNT(c->src.fab, sys_sendfile, 1);
	n = sendfile_quiet(c->src.fd, iov->iov_base, len);
	if (!n)
		n = -ENODATA;
	if (is_of_file(n)) {
		err = c->ops->tx_fault(c->user, (int)n);
		if (err)
			conn_fail(c, err);
		return !src_dead(&c->src);
	}
	if (n < 0)
		return tx_error(c, (int)n);
	*sent += (size_t)n;
	COUNT(c->src.fab, tx_bytes, (uint64_t)n);
	COUNT(c->src.fab, tx_short, (size_t)n < len);
	c->ops->tx_done(c->user, (size_t)n);
	return !src_dead(&c->src);
}

/*
 * Asks for the next write, of at most @max entries. False: there is none, or it was a file's, which is
 * out; @again then says whether to ask once more at once.
 */
static bool tx_ask(struct fab_conn *c, struct io_slot *s, int max, bool *again, size_t *sent)
{
	int cnt;

	*again = false;
	c->src.flags &= ~SRC_TX_WANT;
	cnt = c->ops->tx_next(c->user, s->msg.msg_iov, max, FAB_WRITE_BYTES);
	if (src_dead(&c->src) || cnt <= 0)
		return false;
	if (cnt & FAB_TX_FILE) {
		*again = tx_file(c, s->msg.msg_iov, sent);
		return false;
	}
	s->c = c;
	s->flags = MSG_NOSIGNAL | MSG_DONTWAIT | (cnt & FAB_TX_MORE ? MSG_MORE : 0);
	s->msg.msg_iovlen = (size_t)(cnt & ~FAB_TX_MORE);
	s->room = iov_bytes(s->msg.msg_iov, (int)s->msg.msg_iovlen);
	return s->room;
}

/*
 * What a write of @max entries at most came to; returns whether another must follow at once. After a
 * short one it must: the socket is full, or the memory behind what was taken cannot be read, and only
 * the next write tells which. For a full socket an edge will come, for bad memory none would.
 */
static bool tx_took(struct io_slot *s, int max, size_t *sent)
{
	struct fab_conn *c = s->c;
	struct fab *fab = c->src.fab;
	size_t n = (size_t)s->ret;

	if (s->ret < 0)
		return tx_error(c, (int)s->ret);
	*sent += n;
	COUNT(fab, tx_bytes, n);
	c->ops->tx_done(c->user, n);
	if (src_dead(&c->src))
		return false;
	if (n < s->room) {
		COUNT(fab, tx_short, 1);
		return true;
	}
	if (s->flags & MSG_MORE)
		return true;
	/* The list may have been cut by a bound: ask again at the next flush. */
	if (s->room >= FAB_WRITE_BYTES / 4 || (int)s->msg.msg_iovlen >= max / 4)
		conn_dirty(c);
	return false;
}

static bool tx_once(struct fab_conn *c, struct io_slot *s, size_t *sent)
{
	bool again;

	if (!tx_ask(c, s, FAB_IOV_MAX, &again, sent))
		return again;
	s->ret = tx_write(c, &s->msg, s->flags);
	return tx_took(s, FAB_IOV_MAX, sent);
}

/* Returns the bytes written. */
static size_t tx_run(struct fab_conn *c)
{
	struct iovec iov[FAB_IOV_MAX];
	struct io_slot s;
	size_t sent = 0;
	int tries = 0;
	bool again;

	s.msg = (struct msghdr){ .msg_iov = iov };
	c->src.flags |= SRC_TX_BUSY;
	do {
		again = tx_once(c, &s, &sent);
	} while (again && sent < FAB_TURN_BYTES && ++tries < TX_TRIES_MAX);
	c->src.flags &= ~SRC_TX_BUSY;
	if (again)
		conn_dirty(c);
	return sent;
}

/* The first write of a connection, to be made with others. False: there is none to be made. */
bool tx_plan(struct fab_conn *c, struct io_slot *s, size_t *sent)
{
	bool again;

	c->src.flags |= SRC_TX_BUSY;
	s->msg = (struct msghdr){ .msg_iov = s->iov };
	if (tx_ask(c, s, BATCH_IOV, &again, sent))
		return true;
	c->src.flags &= ~SRC_TX_BUSY;
	if (again)
		*sent += tx_run(c);
	return false;
}

void tx_outcome(struct io_slot *s, size_t *sent)
{
	struct fab_conn *c = s->c;
	bool again = tx_took(s, BATCH_IOV, sent);

	c->src.flags &= ~SRC_TX_BUSY;
	if (again)
		*sent += tx_run(c);
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
	size_t sent = 0, planned = 0;

	fab_enter(fab);
	link_init(&todo);
	link_splice(&todo, &fab->dirty);
	while (linked(&todo) && sent + planned < FAB_TURN_BYTES) {
		struct fab_conn *c = container(todo.next, struct fab_conn, dirty);

		link_del(&c->dirty);
		if (!batchable(c)) {
			sent += tx_run(c);
		} else if (tx_plan(c, &fab->batch[fab->batched], &sent)) {
			planned += fab->batch[fab->batched].room;
			if (++fab->batched == BATCH_MAX) {
				sent += batch_writes(fab);
				planned = 0;
			}
		}
	}
	if (fab->batched)
		batch_writes(fab);
	/* Those that had no turn go first in the next one. */
	link_splice(&todo, &fab->dirty);
	link_splice(&fab->dirty, &todo);
	fab->tx_left = linked(&fab->dirty);
	if (fab->asks_left)
		fab->watcher->submit(fab);
	fab_leave(fab);
}
