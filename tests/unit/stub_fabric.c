/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stub_fabric.c - a fabric without a wire: byte streams and messages between memory and the engine.
 *
 * One lock for all instances guards what injectors write; it is never held in an upcall. A connection
 * that was closed stays in its list, marked dead, until no call into the fabric is under way.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/unit/stub_fabric.h"

#define READ_ENTRIES 32
#define WRITE_TRIES 16

void (*stub_step)(void);
bool stub_places;

static pthread_mutex_t stub_lock = PTHREAD_MUTEX_INITIALIZER;
static const char thread_mark_base;
static _Thread_local char thread_mark;

static void step(void)
{
	void (*fn)(void) = stub_step;

	if (fn)
		fn();
}

static void lock(void)
{
	pthread_mutex_lock(&stub_lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&stub_lock);
}

static void check_turn(const struct fab *fab)
{
	assert(turn_held(fab->env->arg));
}

/* ------------------------------------------------------------------------- bytes */

static void bytes_put(struct stub_bytes *b, const void *data, size_t len)
{
	if (b->off && b->off == b->len)
		b->off = b->len = 0;
	if (b->len + len > b->room) {
		b->room = (b->len + len) * 2;
		b->data = realloc(b->data, b->room);
		assert(b->data);
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

static size_t bytes_count(const struct stub_bytes *b)
{
	return b->len - b->off;
}

static size_t iov_total(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* From @b to memory. */
static void scatter(struct stub_bytes *b, const struct iovec *iov, size_t len)
{
	for (; len; iov++) {
		size_t n = iov->iov_len < len ? iov->iov_len : len;

		memcpy(iov->iov_base, b->data + b->off, n);
		b->off += n;
		len -= n;
	}
}

/* From memory, @skip bytes of it passed over, to @b. */
static void gather(struct stub_bytes *b, const struct iovec *iov, size_t skip, size_t len)
{
	for (; len; iov++) {
		size_t n = iov->iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n = n - skip < len ? n - skip : len;
		bytes_put(b, (uint8_t *)iov->iov_base + skip, n);
		skip = 0;
		len -= n;
	}
}

/* -------------------------------------------------------------- what there is to do */

static bool conn_readable(const struct fab_conn *c)
{
	if (!c->rx_want || c->connecting || !c->ops)
		return false;
	return bytes_count(&c->in) || c->in_err || c->rx_faults || (c->in_eof && !c->eof_told);
}

static bool conn_has_work(const struct fab_conn *c)
{
	if (c->dead || c->fail_told)
		return false;
	if (c->connecting)
		return c->connect_ready;
	return conn_readable(c) || (c->tx_want && (!c->tx_blocked || c->window || c->out_err));
}

static bool msg_has_work(const struct fab_msg_conn *c)
{
	if (c->dead || c->close_told)
		return false;
	if (c->listener)
		return !c->asked || c->withdrawn;
	if (c->connecting)
		return c->connect_ready;
	return (c->rx_want && c->in_count) || (c->close_ready && !c->in_count) ||
	       (c->tx_want && (!c->tx_blocked || c->window)) || stub_place_ready(c);
}

static bool fab_has_work(struct fab *fab)
{
	struct list *n;

	for (n = fab->conns.next; n != &fab->conns; n = n->next)
		if (conn_has_work(list_entry(n, struct fab_conn, link)))
			return true;
	for (n = fab->mconns.next; n != &fab->mconns; n = n->next)
		if (msg_has_work(list_entry(n, struct fab_msg_conn, link)))
			return true;
	for (n = fab->listeners.next; n != &fab->listeners; n = n->next) {
		struct fab_listener *l = list_entry(n, struct fab_listener, link);

		if (!l->dead && l->posted && l->nwaiting)
			return true;
	}
	return false;
}

/* Under the lock: makes the descriptor say what is so. */
static void poke(struct fab *fab)
{
	uint64_t v = 1;
	bool work = fab_has_work(fab);

	if (work == fab->signalled)
		return;
	fab->signalled = work;
	if (work)
		assert(write(fab->workfd, &v, sizeof(v)) == sizeof(v));
	else
		assert(read(fab->workfd, &v, sizeof(v)) == sizeof(v));
}

static void unlock_poke(struct fab *fab)
{
	poke(fab);
	unlock();
}

static void conn_free(struct fab_conn *c)
{
	list_del(&c->link);
	free(c->in.data);
	free(c->out.data);
	free(c);
}

static void msg_free(struct fab_msg_conn *c)
{
	list_del(&c->link);
	free(c->in.data);
	free(c->out.data);
	free(c);
}

static void reap(struct fab *fab, bool all)
{
	struct list *n, *next;

	for (n = fab->conns.next; n != &fab->conns; n = next) {
		struct fab_conn *c = list_entry(n, struct fab_conn, link);

		next = n->next;
		if (c->dead && (all || !c->kept))
			conn_free(c);
	}
	for (n = fab->mconns.next; n != &fab->mconns; n = next) {
		struct fab_msg_conn *c = list_entry(n, struct fab_msg_conn, link);

		next = n->next;
		if (c->dead && (all || !c->kept))
			msg_free(c);
	}
	for (n = fab->listeners.next; n != &fab->listeners; n = next) {
		struct fab_listener *l = list_entry(n, struct fab_listener, link);

		next = n->next;
		if (l->dead) {
			list_del(&l->link);
			free(l);
		}
	}
	for (n = fab->mlisteners.next; n != &fab->mlisteners; n = next) {
		struct fab_msg_listener *l = list_entry(n, struct fab_msg_listener, link);

		next = n->next;
		if (l->dead && all) {
			list_del(&l->link);
			free(l);
		}
	}
}

void stub_enter(struct fab *fab)
{
	check_turn(fab);
	step();
	fab->depth++;
}

void stub_leave(struct fab *fab)
{
	lock();
	if (!--fab->depth)
		reap(fab, false);
	unlock_poke(fab);
	step();
}

/* -------------------------------------------------------------------- the instance */

static int stub_open(const struct fab_env *env, struct fab **out)
{
	struct fab *fab = calloc(1, sizeof(*fab));

	assert(fab);
	fab->env = env;
	fab->iov_max = FAB_IOV_MAX;
	fab->io_bytes = FAB_IO_BYTES;
	list_init(&fab->conns);
	list_init(&fab->listeners);
	list_init(&fab->mconns);
	list_init(&fab->mlisteners);
	fab->workfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fab->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert(fab->workfd >= 0 && fab->kickfd >= 0);
	*out = fab;
	return 0;
}

static void stub_close(struct fab *fab)
{
	reap(fab, true);
	/* the engine has closed everything */
	assert(list_empty(&fab->conns) && list_empty(&fab->listeners));
	assert(list_empty(&fab->mconns) && list_empty(&fab->mlisteners));
	assert(!atomic_load(&fab->sleeping));
	close(fab->workfd);
	close(fab->kickfd);
	free(fab);
}

static int stub_wait(struct fab *fab, int64_t timeout_ns)
{
	struct timespec ts = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
	struct pollfd p[2] = { { .fd = fab->workfd, .events = POLLIN },
			       { .fd = fab->kickfd, .events = POLLIN } };
	int n;

	step();
	assert(!turn_held(fab->env->arg));
	/* one thread at a time */
	assert(atomic_fetch_add(&fab->sleeping, 1) == 0);
	atomic_store(&fab->sleeper, &thread_mark);
	__atomic_fetch_add(&fab->calls.wait, 1, __ATOMIC_RELAXED);
	n = ppoll(p, 2, timeout_ns < 0 ? NULL : &ts, NULL);
	step();
	return n < 0 && errno == EINTR ? -EINTR : 0;
}

static void stub_kick(struct fab *fab)
{
	uint64_t one = 1;

	step();
	__atomic_fetch_add(&fab->calls.kick, 1, __ATOMIC_RELAXED);
	assert(write(fab->kickfd, &one, sizeof(one)) == sizeof(one));
}

/* Follows each wait, by the same thread, before another's. */
static void stub_drain(struct fab *fab)
{
	uint64_t value;

	step();
	assert(atomic_load(&fab->sleeper) == &thread_mark);
	atomic_store(&fab->sleeper, &thread_mark_base);
	__atomic_fetch_add(&fab->calls.drain, 1, __ATOMIC_RELAXED);
	if (read(fab->kickfd, &value, sizeof(value)) < 0)
		assert(errno == EAGAIN);
	assert(atomic_fetch_sub(&fab->sleeping, 1) == 1);
	step();
}

static int stub_kick_fd(struct fab *fab)
{
	return fab->kickfd;
}

static int stub_wait_fd(struct fab *fab)
{
	return fab->workfd;
}

/* ---------------------------------------------------------------------- receiving */

static void conn_failed(struct fab_conn *c, int err)
{
	c->fail_told = true;
	c->fab->calls.failed++;
	c->ops->failed(c->user, err);
}

/* One read into what rx_next named. Returns what it gave; negative: nothing, all is told. */
static ssize_t conn_read(struct fab_conn *c, const struct iovec *iov, size_t room)
{
	size_t n;
	int err;

	lock();
	n = bytes_count(&c->in);
	if (c->rx_faults && n) {
		c->rx_faults--;
		unlock();
		err = c->ops->rx_fault(c->user, -EFAULT);
		if (err && !c->dead)
			conn_failed(c, err);
		return err ? -1 : 0;
	}
	n = n < room ? n : room;
	if (c->rx_step && n > c->rx_step)
		n = c->rx_step;
	scatter(&c->in, iov, n);
	err = c->in_err;
	if (!n && !err && c->in_eof) {
		c->eof_told = true;
		unlock();
		c->rx_want = false;
		c->fab->calls.rx_eof++;
		c->ops->rx_eof(c->user);
		return -1;
	}
	unlock();
	if (n)
		return n;
	if (err) {
		conn_failed(c, err);
	} else {
		c->fab->calls.rx_none++;
		c->ops->rx_none(c->user);
	}
	return -1;
}

/* Reads until it is empty, its user stops, or its share is used up. */
static int conn_receive(struct fab_conn *c, int budget)
{
	struct iovec iov[READ_ENTRIES];
	ssize_t n = 0;
	int done = 0;

	for (;;) {
		int cnt;

		c->fab->calls.rx_next++;
		c->rx_want = false;
		cnt = c->ops->rx_next(c->user, n, iov, READ_ENTRIES);
		if (c->dead)
			break;
		if (cnt < 0)
			conn_failed(c, cnt);
		if (cnt <= 0)
			break;
		assert(cnt <= READ_ENTRIES && iov_total(iov, cnt));
		c->rx_want = true;
		if (done >= budget) {
			c->fab->calls.rx_none++;
			c->ops->rx_none(c->user);
			break;
		}
		if (c->fab->before_landing)
			c->fab->before_landing(c, c->fab->arg);
		n = conn_read(c, iov, iov_total(iov, cnt));
		done++;
		if (n < 0 || c->dead)
			break;
	}
	return done;
}

static void conn_connected(struct fab_conn *c)
{
	int err = c->connect_err;

	c->connecting = false;
	if (err)
		c->dead = true;
	c->ops->connected(c->user, err);
}

/* ------------------------------------------------------------------- transmitting */

/* A write of what tx_next gave. Returns whether to ask again at once. */
static bool conn_write(struct fab_conn *c, const struct iovec *iov, int cnt)
{
	size_t total = iov_total(iov, cnt), n = total;
	int err;

	lock();
	err = c->out_err;
	if (n > c->window)
		n = c->window;
	if (c->tx_step && n > c->tx_step)
		n = c->tx_step;
	if (c->tx_faults) {
		c->tx_faults--;
		unlock();
		err = c->ops->tx_fault(c->user, -EFAULT);
		if (err && !c->dead)
			conn_failed(c, err);
		return !err && !c->dead;
	}
	if (err || !n) {
		c->tx_blocked = true;
		c->tx_want = true;
		unlock();
		c->fab->calls.tx_done++;
		c->ops->tx_done(c->user, 0);
		if (err && !c->dead)
			conn_failed(c, err);
		return false;
	}
	if (c->window != SIZE_MAX)
		c->window -= n;
	gather(c->peer ? &c->peer->in : &c->out, iov, 0, n);
	if (c->peer)
		poke(c->peer->fab);
	unlock();
	c->fab->calls.tx_done++;
	c->ops->tx_done(c->user, n);
	if (c->dead)
		return false;
	if (n == total && (total >= c->fab->io_bytes / 4 || cnt >= c->fab->iov_max / 4))
		c->tx_want = true;
	return n < total;
}

/* The same for a range of a file, by way of memory. */
static bool conn_write_file(struct fab_conn *c, const struct iovec *iov)
{
	const struct fab_file_range *range = iov->iov_base;
	static uint8_t buf[65536];
	struct iovec piece = { buf, 0 };
	bool again;
	ssize_t n = pread(range->fd, buf, iov->iov_len < sizeof(buf) ? iov->iov_len : sizeof(buf),
			  (off_t)range->offset);

	if (n <= 0) {
		int err = c->ops->tx_fault(c->user, n ? -errno : -ENODATA);

		if (err && !c->dead)
			conn_failed(c, err);
		return !c->dead;
	}
	piece.iov_len = (size_t)n;
	again = conn_write(c, &piece, 1);
	return again || (!c->dead && !c->tx_blocked);
}

static void conn_transmit(struct fab_conn *c)
{
	struct iovec iov[FAB_IOV_MAX];
	bool again = true;

	for (int tries = 0; again && tries < WRITE_TRIES; tries++) {
		int cnt;

		c->tx_want = false;
		c->fab->calls.tx_next++;
		cnt = c->ops->tx_next(c->user, iov, c->fab->iov_max, c->fab->io_bytes);
		if (c->dead || cnt <= 0)
			return;
		if (cnt & FAB_TX_FILE) {
			again = conn_write_file(c, iov);
			continue;
		}
		again = cnt & FAB_TX_MORE;
		cnt &= ~FAB_TX_MORE;
		assert(cnt <= c->fab->iov_max && iov_total(iov, cnt));
		again = conn_write(c, iov, cnt) || (again && !c->dead && !c->tx_blocked);
	}
	if (again)
		c->tx_want = true;
}

/* ------------------------------------------------------------------------ messages */

void stub_msg_end(struct fab_msg_conn *c, int err)
{
	c->close_told = true;
	c->ops->closed(c->user, err);
}

static void msg_next(struct fab_msg_conn *c)
{
	lock();
	c->in_off = 0;
	c->in_first++;
	c->in_count--;
	unlock();
}

/* An eta's messages are always there as a whole. */
static bool msg_whole(struct fab_msg_conn *c)
{
	uint32_t len = c->in_len[c->in_first % STUB_MSGS];
	int err = c->ops->rx_whole(c->user, c->in.data + c->in.off, len);

	assert(err <= 0);
	c->in.off += len;
	msg_next(c);
	if (err && !c->dead)
		stub_msg_end(c, err);
	return !err && !c->dead;
}

static bool msg_piece(struct fab_msg_conn *c)
{
	struct iovec iov[READ_ENTRIES];
	struct fab_place piece;
	uint32_t len, left;
	size_t room;
	int n;

	if (c->fab->who)
		return msg_whole(c);
	lock();
	len = c->in_len[c->in_first % STUB_MSGS];
	unlock();
	left = len - c->in_off;
	if (c->piece && left > c->piece)
		left = c->piece;
	piece = (struct fab_place){ c->in_off, left, c->in_off + left == len, false };
	c->rx_want = false;
	n = c->ops->rx_place(c->user, &piece, iov, READ_ENTRIES);
	if (c->dead || n == -EAGAIN)
		return false;
	if (n < 0) {
		stub_msg_end(c, n);
		return false;
	}
	c->rx_want = true;
	room = iov_total(iov, n);
	assert(room <= left);
	lock();
	scatter(&c->in, iov, room);
	c->in.off += left - room;
	unlock();
	c->in_off += left;
	c->ops->rx_done(c->user, &piece);
	if (!piece.last)
		return !c->dead;
	msg_next(c);
	return !c->dead;
}

static int msg_receive(struct fab_msg_conn *c, int budget)
{
	int done = 0;

	while (c->rx_want && c->in_count && done < budget) {
		done++;
		if (!msg_piece(c))
			break;
	}
	return done;
}

static void msg_transmit(struct fab_msg_conn *c)
{
	unsigned peeked = 0, done = 0;
	bool partial = false;

	if (c->shut)
		return;
	c->tx_want = false;
	if (stub_places) {
		stub_place_transmit(c);
		return;
	}
	while (!partial && c->out_count < STUB_MSGS) {
		const struct fab_send *s = c->ops->tx_peek(c->user, peeked);
		uint32_t left, n;

		if (c->dead)
			return;
		if (!s)
			break;
		peeked++;
		assert(iov_total(s->iov, s->niov) == s->len);
		left = n = s->len - c->out_off;
		if (n > c->window)
			n = c->window;
		if (n < left && !n && !c->out_off)
			break; /* nothing of it goes */
		gather(&c->out, s->iov, c->out_off, n);
		if (c->window != SIZE_MAX)
			c->window -= n;
		c->out_off += n;
		partial = n < left;
		if (partial)
			break;
		c->out_flags[c->out_count] = s->flags;
		c->out_len[c->out_count++] = s->len;
		c->out_off = 0;
		done++;
	}
	if (!peeked) {
		if (c->out_off)
			stub_msg_end(c, -ECONNABORTED); /* the rest of a message is gone */
		return;
	}
	if (done < peeked)
		c->tx_blocked = c->tx_want = true;
	c->ops->tx_done(c->user, done, partial);
}

/* Peers are no etas, if the test does not say so: what this stub has is all that those get. */
static const struct fab_msg_peer stranger = { .ord = 16, .ird = 16 };

static const struct fab_msg_peer *peer_of(const struct fab_msg_conn *c)
{
	return c->fab->who ? c->fab->who : &stranger;
}

static void msg_progress(struct fab_msg_conn *c)
{
	if (c->listener) {
		struct fab_msg_listener *l = c->listener;
		union fab_addr peer = l->addr;

		if (c->withdrawn) {
			c->dead = true;
			if (c->asked && !l->dead)
				l->ops->withdrawn(l->user, c);
		} else if (!c->asked) {
			c->asked = true;
			l->ops->request(l->user, c, &peer, &stranger, c->pdata, c->pdata_len);
		}
		return;
	}
	if (c->connecting) {
		int err = c->connect_err;

		c->connecting = false;
		if (err)
			c->dead = true;
		c->ops->connected(c->user, err, err ? NULL : peer_of(c), c->pdata, c->pdata_len);
		return;
	}
	msg_receive(c, 64);
	if (!c->dead && !c->close_told)
		stub_place_progress(c);
	if (!c->dead && !c->close_told && c->close_ready && !c->in_count)
		stub_msg_end(c, c->close_err);
	else if (c->tx_blocked && c->window)
		c->tx_blocked = false;
}

/* ------------------------------------------------------------------------ one turn */

static int accept_run(struct fab_listener *l)
{
	int done = 0;

	while (!l->dead && l->posted && l->nwaiting) {
		struct fab_conn *c;
		union fab_addr peer = l->addr;

		lock();
		c = l->waiting[0];
		memmove(l->waiting, l->waiting + 1, --l->nwaiting * sizeof(c));
		unlock();
		l->posted--;
		l->ops->accepted(l->user, c, &peer);
		assert(c->ops || c->dead);
		done++;
	}
	return done;
}

static int conn_progress(struct fab_conn *c, int budget)
{
	bool readable;
	int done = 0;

	if (c->lag) {
		c->lag--;
		return 0;
	}
	if (c->connecting) {
		conn_connected(c);
		return 1;
	}
	lock();
	if (c->tx_blocked && (c->window || c->out_err))
		c->tx_blocked = false;
	readable = conn_readable(c);
	unlock();
	if (readable)
		done = conn_receive(c, budget);
	return done;
}

/* What is so at this moment. */
static bool work_of(struct fab_conn *c)
{
	bool work;

	lock();
	work = conn_has_work(c);
	unlock();
	return work;
}

static bool msg_work_of(struct fab_msg_conn *c)
{
	bool work;

	lock();
	work = msg_has_work(c);
	unlock();
	return work;
}

static int stub_progress(struct fab *fab, int budget)
{
	int done = 0;
	struct list *n;

	stub_enter(fab);
	fab->calls.progress++;
	for (n = fab->listeners.next; n != &fab->listeners; n = n->next)
		done += accept_run(list_entry(n, struct fab_listener, link));
	for (n = fab->conns.next; n != &fab->conns && done < budget; n = n->next) {
		struct fab_conn *c = list_entry(n, struct fab_conn, link);

		if (work_of(c))
			done += conn_progress(c, budget - done);
	}
	for (n = fab->mconns.next; n != &fab->mconns; n = n->next) {
		struct fab_msg_conn *c = list_entry(n, struct fab_msg_conn, link);

		if (msg_work_of(c))
			msg_progress(c);
	}
	stub_leave(fab);
	return done;
}

static void stub_flush(struct fab *fab)
{
	struct list *n;

	stub_enter(fab);
	fab->calls.flush++;
	for (n = fab->conns.next; n != &fab->conns; n = n->next) {
		struct fab_conn *c = list_entry(n, struct fab_conn, link);

		if (c->tx_want && !c->tx_blocked && !c->dead && !c->connecting && !c->fail_told)
			conn_transmit(c);
	}
	for (n = fab->mconns.next; n != &fab->mconns; n = n->next) {
		struct fab_msg_conn *c = list_entry(n, struct fab_msg_conn, link);

		if (c->tx_want && !c->tx_blocked && !c->dead && !c->connecting && !c->close_told)
			msg_transmit(c);
	}
	stub_leave(fab);
}

/* ---------------------------------------------------------- calls on stream connections */

static struct fab_conn *conn_new(struct fab *fab)
{
	struct fab_conn *c = calloc(1, sizeof(*c));

	assert(c);
	c->fab = fab;
	c->window = SIZE_MAX;
	list_add_tail(&fab->conns, &c->link);
	fab->conn_count++;
	return c;
}

static int stub_listen(struct fab *fab, const struct fab_listen_attr *attr,
		       const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listener *l = calloc(1, sizeof(*l));

	assert(l);
	stub_enter(fab);
	l->fab = fab;
	l->ops = ops;
	l->user = user;
	l->addr = *attr->addr;
	lock();
	list_add_tail(&fab->listeners, &l->link);
	unlock();
	stub_leave(fab);
	*out = l;
	return 0;
}

static int stub_accept(struct fab_listener *l)
{
	stub_enter(l->fab);
	l->posted++;
	stub_leave(l->fab);
	return 0;
}

static unsigned stub_unaccept(struct fab_listener *l, unsigned n)
{
	stub_enter(l->fab);
	l->posted -= n < l->posted ? n : l->posted;
	stub_leave(l->fab);
	return l->posted;
}

static int stub_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	*addr = l->addr;
	return 0;
}

static void stub_unlisten(struct fab_listener *l)
{
	struct fab *fab = l->fab;

	stub_enter(fab);
	assert(!l->dead);
	for (unsigned i = 0; i < l->nwaiting; i++)
		l->waiting[i]->dead = true;
	l->dead = true;
	stub_leave(fab);
}

static int stub_connect(struct fab *fab, const struct fab_connect_attr *attr,
			const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	struct fab_conn *c;

	(void)attr;
	stub_enter(fab);
	lock();
	c = conn_new(fab);
	c->ops = ops;
	c->user = user;
	c->connecting = true;
	c->connect_ready = !fab->held;
	c->connect_err = fab->connect_error;
	unlock();
	stub_leave(fab);
	*out = c;
	return 0;
}

static void stub_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user)
{
	check_turn(c->fab);
	lock();
	c->ops = ops;
	c->user = user;
	unlock();
}

static void stub_tx_want(struct fab_conn *c)
{
	check_turn(c->fab);
	assert(!c->dead);
	lock();
	c->tx_want = true;
	unlock();
}

static void stub_tx_now(struct fab_conn *c)
{
	stub_enter(c->fab);
	c->tx_want = true;
	if (!c->tx_blocked && !c->connecting)
		conn_transmit(c);
	stub_leave(c->fab);
}

static void stub_rx_want(struct fab_conn *c)
{
	stub_enter(c->fab);
	assert(!c->dead);
	lock();
	if (!c->eof_told)
		c->rx_want = true;
	unlock();
	stub_leave(c->fab);
}

static int stub_shutdown(struct fab_conn *c)
{
	stub_enter(c->fab);
	c->fab->calls.shutdown++;
	c->shut = true;
	if (c->peer) {
		lock();
		c->peer->in_eof = true;
		unlock_poke(c->peer->fab);
	}
	stub_leave(c->fab);
	return 0;
}

static void stub_conn_close(struct fab_conn *c, bool reset)
{
	stub_enter(c->fab);
	assert(!c->dead);
	lock();
	c->fab->calls.close++;
	c->fab->calls.reset += reset;
	c->dead = true;
	c->reset = reset;
	if (c->peer) {
		c->peer->peer = NULL;
		if (!c->shut)
			c->peer->in_eof = true;
		poke(c->peer->fab);
		c->peer = NULL;
	}
	unlock();
	stub_leave(c->fab);
}

static int stub_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer)
{
	(void)c;
	memset(local, 0, sizeof(*local));
	memset(peer, 0, sizeof(*peer));
	local->sa.sa_family = peer->sa.sa_family = AF_INET;
	return 0;
}

static int stub_set_option(struct fab_conn *c, enum fab_option opt, int value)
{
	c->option[opt] = value;
	return 0;
}

static int stub_get_option(struct fab_conn *c, enum fab_option opt, int *value)
{
	*value = c->option[opt];
	return 0;
}

static const struct fab_stream_ops stub_stream_ops = {
	.name = "stub",
	.open = stub_open,
	.close = stub_close,
	.progress = stub_progress,
	.flush = stub_flush,
	.wait = stub_wait,
	.kick = stub_kick,
	.drain = stub_drain,
	.wait_fd = stub_wait_fd,
	.kick_fd = stub_kick_fd,
	.listen = stub_listen,
	.accept = stub_accept,
	.unaccept = stub_unaccept,
	.listener_addr = stub_listener_addr,
	.unlisten = stub_unlisten,
	.connect = stub_connect,
	.bind = stub_bind,
	.tx_want = stub_tx_want,
	.tx_now = stub_tx_now,
	.rx_want = stub_rx_want,
	.shutdown = stub_shutdown,
	.conn_close = stub_conn_close,
	.conn_addr = stub_conn_addr,
	.set_option = stub_set_option,
	.get_option = stub_get_option,
};

/* --------------------------------------------------------- calls on message connections */

static struct fab_msg_conn *msg_new(struct fab *fab)
{
	struct fab_msg_conn *c = calloc(1, sizeof(*c));

	assert(c);
	c->fab = fab;
	c->window = SIZE_MAX;
	c->max_begun = STUB_BEGUN;
	list_add_tail(&fab->mconns, &c->link);
	return c;
}

static int stub_msg_open(const struct fab_env *env, const struct fab_msg_attr *attr,
			 const struct fab_stream_ops *stream, struct fab *fab, struct fab_msg **out)
{
	struct fab_msg *m = calloc(1, sizeof(*m));

	(void)env;
	(void)attr;
	(void)stream;
	assert(m);
	m->fab = fab;
	*out = m;
	return 0;
}

static void stub_msg_close(struct fab_msg *m)
{
	free(m);
}

static int stub_msg_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
			   const struct fab_msg_listen_user *ops, void *user,
			   struct fab_msg_listener **out)
{
	struct fab_msg_listener *l = calloc(1, sizeof(*l));

	(void)backlog;
	assert(l);
	l->fab = m->fab;
	l->ops = ops;
	l->user = user;
	l->addr = *addr;
	lock();
	list_add_tail(&m->fab->mlisteners, &l->link);
	unlock();
	*out = l;
	return 0;
}

static int stub_msg_listener_addr(struct fab_msg_listener *l, union fab_addr *addr)
{
	*addr = l->addr;
	return 0;
}

static void stub_msg_unlisten(struct fab_msg_listener *l)
{
	struct fab *fab = l->fab;

	stub_enter(fab);
	l->dead = true;
	for (struct list *n = fab->mconns.next; n != &fab->mconns; n = n->next) {
		struct fab_msg_conn *c = list_entry(n, struct fab_msg_conn, link);

		/* those that were reported stay with their user */
		if (c->listener == l && !c->asked)
			c->dead = true;
	}
	stub_leave(fab);
}

static int stub_msg_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
			    const struct fab_hello *hello, const void *pdata, size_t len,
			    const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	struct fab_msg_conn *c;

	(void)attr;
	(void)hello;
	stub_enter(m->fab);
	lock();
	c = msg_new(m->fab);
	c->ops = ops;
	c->user = user;
	c->connecting = true;
	c->connect_ready = !m->fab->held;
	c->connect_err = m->fab->connect_error;
	c->answer_len = len;
	if (len)
		memcpy(c->answer, pdata, len);
	unlock();
	stub_leave(m->fab);
	*out = c;
	return 0;
}

static int stub_msg_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
			   size_t len, const struct fab_msg_user *ops, void *user)
{
	(void)hello;
	stub_enter(c->fab);
	assert(c->listener && c->asked && !c->dead);
	lock();
	c->listener = NULL;
	c->ops = ops;
	c->user = user;
	c->connecting = true;
	c->connect_ready = !c->fab->held;
	c->connect_err = c->fab->connect_error;
	c->answer_len = len;
	if (len)
		memcpy(c->answer, pdata, len);
	c->pdata_len = 0;
	unlock();
	stub_leave(c->fab);
	return 0;
}

static void stub_msg_reject(struct fab_msg_conn *c, const void *pdata, size_t len)
{
	stub_enter(c->fab);
	assert(c->listener && c->asked && !c->dead);
	c->answer_len = len;
	if (len)
		memcpy(c->answer, pdata, len);
	c->rejected = true;
	c->dead = true;
	stub_leave(c->fab);
}

static void stub_msg_tx_want(struct fab_msg_conn *c)
{
	check_turn(c->fab);
	assert(!c->dead);
	c->tx_want = true;
}

static void stub_msg_tx_now(struct fab_msg_conn *c)
{
	stub_enter(c->fab);
	c->tx_want = true;
	if (!c->tx_blocked && !c->connecting)
		msg_transmit(c);
	stub_leave(c->fab);
}

static void stub_msg_rx_want(struct fab_msg_conn *c)
{
	stub_enter(c->fab);
	assert(!c->dead);
	c->rx_want = true;
	stub_leave(c->fab);
}

static int stub_msg_shutdown(struct fab_msg_conn *c)
{
	stub_enter(c->fab);
	assert(!c->dead);
	c->shut = true;
	c->fab->calls.shutdown++;
	stub_leave(c->fab);
	return 0;
}

static void stub_msg_conn_close(struct fab_msg_conn *c, bool reset)
{
	stub_enter(c->fab);
	assert(!c->dead);
	c->fab->calls.close++;
	c->fab->calls.reset += reset;
	c->reset = reset;
	c->dead = true;
	stub_leave(c->fab);
}

static int stub_msg_conn_addr(struct fab_msg_conn *c, union fab_addr *local, union fab_addr *peer)
{
	(void)c;
	return stub_conn_addr(NULL, local, peer);
}

static const struct fab_msg_ops stub_msg_ops = {
	.name = "stub",
	.open = stub_msg_open,
	.close = stub_msg_close,
	.listen = stub_msg_listen,
	.listener_addr = stub_msg_listener_addr,
	.unlisten = stub_msg_unlisten,
	.connect = stub_msg_connect,
	.accept = stub_msg_accept,
	.reject = stub_msg_reject,
	.tx_want = stub_msg_tx_want,
	.tx_now = stub_msg_tx_now,
	.rx_want = stub_msg_rx_want,
	.shutdown = stub_msg_shutdown,
	.conn_close = stub_msg_conn_close,
	.conn_addr = stub_msg_conn_addr,
};

static struct fab_msg_ops stub_place_ops;

static const struct fab_msg_ops *placing(void)
{
	stub_place_ops = stub_msg_ops;
	stub_place_ops.region_gone = stub_place_gone;
	stub_place_ops.read_over = stub_place_over;
	return &stub_place_ops;
}

/* ------------------------------------------------------------- in place of fabric.c */

int fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		struct fabric *out)
{
	struct fabric f = { .stream = &stub_stream_ops,
			    .msg = stub_places ? placing() : &stub_msg_ops };

	if (name && strcmp(name, "stub"))
		return -ENOENT;
	f.stream->open(env, &f.fab);
	f.msg->open(env, attr, f.stream, f.fab, &f.m);
	*out = f;
	return 0;
}

void fabric_close(struct fabric *f)
{
	f->msg->close(f->m);
	f->stream->close(f->fab);
}

/* --------------------------------------------------------------------- for the test */

struct fab *stub_of(struct ppe_ual *ual)
{
	return ual->fabric.fab;
}

struct fab_conn *stub_keep(struct ppe_dti *d)
{
	struct fab_conn *c;

	turn_lock(d->ual);
	c = d->conn;
	c->kept = true;
	turn_unlock(d->ual);
	return c;
}

struct fab_msg_conn *stub_keep_msg(struct ppe_dti *d)
{
	struct fab_msg_conn *c;

	turn_lock(d->ual);
	c = d->m->peer->l->conn;
	c->kept = true;
	turn_unlock(d->ual);
	return c;
}

void stub_inject(struct fab_conn *c, const void *data, size_t len)
{
	lock();
	bytes_put(&c->in, data, len);
	unlock_poke(c->fab);
}

void stub_inject_eof(struct fab_conn *c)
{
	lock();
	c->in_eof = true;
	unlock_poke(c->fab);
}

void stub_inject_error(struct fab_conn *c, int err)
{
	lock();
	c->in_err = err;
	unlock_poke(c->fab);
}

void stub_write_error(struct fab_conn *c, int err)
{
	lock();
	c->out_err = err;
	unlock_poke(c->fab);
}

void stub_window(struct fab_conn *c, size_t bytes)
{
	lock();
	if (bytes == SIZE_MAX || c->window == SIZE_MAX)
		c->window = bytes;
	else
		c->window += bytes;
	unlock_poke(c->fab);
}

void stub_pair(struct fab_conn *a, struct fab_conn *b)
{
	lock();
	a->peer = b;
	b->peer = a;
	unlock();
}

void stub_connect_done(struct fab_conn *c, int err)
{
	lock();
	c->connect_err = err;
	c->connect_ready = true;
	unlock_poke(c->fab);
}

struct fab_conn *stub_incoming(struct fab_listener *l)
{
	struct ppe_ual *ual = l->fab->env->arg;
	struct fab_conn *c;

	/* the list of connections is gone through under the turn */
	turn_lock(ual);
	lock();
	c = conn_new(l->fab);
	c->kept = true;
	assert(l->nwaiting < 64);
	l->waiting[l->nwaiting++] = c;
	unlock_poke(l->fab);
	turn_unlock(ual);
	return c;
}

void stub_msg_inject(struct fab_msg_conn *c, const void *data, uint32_t len)
{
	lock();
	assert(c->in_count < STUB_MSGS);
	c->in_len[(c->in_first + c->in_count) % STUB_MSGS] = len;
	bytes_put(&c->in, data, len);
	c->in_count++;
	unlock_poke(c->fab);
}

void stub_msg_window(struct fab_msg_conn *c, size_t bytes)
{
	lock();
	if (bytes == SIZE_MAX || c->window == SIZE_MAX)
		c->window = bytes;
	else
		c->window += bytes;
	unlock_poke(c->fab);
}

void stub_msg_closed(struct fab_msg_conn *c, int err)
{
	lock();
	c->close_err = err;
	c->close_ready = true;
	unlock_poke(c->fab);
}

void stub_msg_connect_done(struct fab_msg_conn *c, int err, const void *pdata, size_t len)
{
	lock();
	c->connect_err = err;
	c->connect_ready = true;
	c->pdata_len = len;
	if (len)
		memcpy(c->pdata, pdata, len);
	unlock_poke(c->fab);
}

struct fab_msg_conn *stub_msg_request(struct fab_msg_listener *l, const void *pdata, size_t len)
{
	struct ppe_ual *ual = l->fab->env->arg;
	struct fab_msg_conn *c;

	turn_lock(ual);
	lock();
	c = msg_new(l->fab);
	c->kept = true;
	c->listener = l;
	c->pdata_len = len;
	if (len)
		memcpy(c->pdata, pdata, len);
	unlock_poke(l->fab);
	turn_unlock(ual);
	return c;
}

void stub_msg_withdraw(struct fab_msg_conn *c)
{
	lock();
	c->withdrawn = true;
	unlock_poke(c->fab);
}
