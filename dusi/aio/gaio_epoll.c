/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * gaio_epoll.c - non-blocking sockets and readiness: what a program of its own would do.
 *
 * Each operation is tried first; a descriptor is watched from the first time that it has to wait, edge
 * by edge, and stays so: no system call per operation tells epoll anything. Sends are tried when they
 * are posted, so that the peer can begin; receives and accepts in gaio_wait(), so that what comes is
 * bounded by what is posted, and a socket whose last read came short is not read in vain.
 */
#include "dusi/aio/stream.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256        /* events of epoll_wait */
#define BURST (1u << 20) /* bytes of one send before others have their turn */
#define STARVED_MS 100   /* between looks whether there are descriptors again */
#define NS_PER_MS INT64_C(1000000)

struct epoll_io {
	struct stream_io base;
	int epfd;
	struct link work;    /* sockets to look at before the next wait */
	struct link starved; /* listeners that had no descriptor to accept with */
	int64_t starved_until_ns;
	bool skipped; /* the last wait did not ask the kernel */
};

#define READY_RX 0x01
#define READY_TX 0x02
#define HANG_UP 0x04 /* the peer sends no more: a short read is not the last */

struct epoll_sock {
	struct stream st;
	struct link work;
	uint8_t ready;
	uint32_t watched; /* EPOLL bits */
};

static struct epoll_io *io_of(struct gaio *io)
{
	return (struct epoll_io *)io;
}

static struct epoll_sock *sock_of(struct gaio_sock *s)
{
	return (struct epoll_sock *)s;
}

static struct epoll_io *io_of_sock(const struct epoll_sock *s)
{
	return (struct epoll_io *)s->st.s.o.io;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ----------------------------------------------------------------------- opening */

static int epoll_open(struct gaio *base, const struct gaio_attr *attr)
{
	struct epoll_io *io = io_of(base);

	(void)attr;
	stream_io_open(&io->base);
	link_init(&io->work);
	link_init(&io->starved);
	io->epfd = epoll_create1(EPOLL_CLOEXEC);
	return io->epfd < 0 ? -errno : 0;
}

static void epoll_close(struct gaio *io)
{
	stream_io_close(&io_of(io)->base);
	close(io_of(io)->epfd);
}

static void epoll_query(struct gaio *io, struct gaio_info *info)
{
	(void)io;
	info->sockets = "epoll";
	info->sockets_why = "asked for";
}

/* ---------------------------------------------------------------------- watching */

static void work_add(struct epoll_sock *s)
{
	if (link_alone(&s->work))
		link_add(&io_of_sock(s)->work, &s->work);
}

/* What is ready by then is reported as well. */
static void watch(struct epoll_sock *s, uint32_t what)
{
	struct epoll_event ev = {
		.events = s->watched | what | EPOLLRDHUP | EPOLLET,
		.data.ptr = s,
	};

	if ((s->watched & what) == what)
		return;
	stream_count(&s->st, COUNT_SYS_WATCH, 1);
	if (epoll_ctl(io_of_sock(s)->epfd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->st.fd,
		      &ev)) {
		if (s->st.state == STREAM_CONNECTED)
			stream_fail(&s->st, -errno);
		return;
	}
	s->watched = ev.events;
}

/* --------------------------------------------------------------------- receiving */

static void rx_ended(struct epoll_sock *s, ssize_t n)
{
	if (n > 0) {
		/* no more for now, unless the end is near */
		if ((size_t)n < s->st.rx_len && s->watched && !(s->ready & HANG_UP))
			s->ready &= ~READY_RX;
		stream_rx_end(&s->st, 0, n);
	} else if (n == 0) {
		/* after a reset that a send has met, this is no end in order */
		stream_rx_end(&s->st, s->st.error, 0);
	} else if (n == -EAGAIN) {
		s->ready &= ~READY_RX;
		watch(s, EPOLLIN);
	} else if (stream_op_error(n)) {
		stream_rx_end(&s->st, n, 0);
	} else {
		stream_fail(&s->st, n);
	}
}

static void rx_run(struct epoll_sock *s)
{
	ssize_t n;

	if (!s->st.rx_addr || !(s->ready & READY_RX) || s->st.state != STREAM_CONNECTED)
		return;
	do {
		stream_count(&s->st, COUNT_SYS_RECV, 1);
		n = recv(s->st.fd, s->st.rx_addr, s->st.rx_len, 0);
	} while (n < 0 && errno == EINTR);
	rx_ended(s, n < 0 ? -errno : n);
}

/* ----------------------------------------------------------------------- sending */

static ssize_t send_memory(struct epoll_sock *s, const struct tx *t)
{
	struct iovec iov[GAIO_BUFS_MAX];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t n;

	msg.msg_iovlen = stream_tx_rest(t, iov);
	stream_count(&s->st, COUNT_SYS_SEND, 1);
	n = sendmsg(s->st.fd, &msg, MSG_NOSIGNAL | (t->more ? MSG_MORE : 0));
	return n < 0 ? -errno : n;
}

static int shut(struct epoll_sock *s)
{
	stream_count(&s->st, COUNT_SYS_OTHER, 1);
	s->st.tx_shut = true;
	return shutdown(s->st.fd, SHUT_WR) ? -errno : 0;
}

/* 0: all of it is sent; 1: a part; or an error. */
static int send_entry(struct epoll_sock *s, struct tx *t)
{
	ssize_t n;

	if (t->op == GAIO_SHUTDOWN)
		return shut(s);
	if (s->st.tx_shut)
		return -EPIPE;
	if (t->done == t->len)
		return 0;
	if (!(s->ready & READY_TX))
		return -EAGAIN;
	n = t->file ? stream_sendfile(&s->st, t, BURST) : send_memory(s, t);
	if (n < 0)
		return n == -EINTR ? 1 : n;
	if (n == 0)
		return -ENODATA;
	t->done += n;
	return t->done < t->len;
}

static void tx_run(struct epoll_sock *s)
{
	size_t before, burst = 0;

	while (s->st.tx_first && s->st.state == STREAM_CONNECTED) {
		int err;

		if (burst >= BURST) {
			work_add(s);
			return;
		}
		before = s->st.tx_first->done;
		err = send_entry(s, s->st.tx_first);
		burst += s->st.tx_first->done - before;
		if (err == -EAGAIN) {
			s->ready &= ~READY_TX;
			watch(s, EPOLLIN | EPOLLOUT);
			return;
		}
		if (err == 1)
			continue;
		if (!err || stream_op_error(err) || s->st.tx_shut)
			stream_tx_end(&s->st, err);
		else
			stream_fail(&s->st, err);
	}
}

/* ------------------------------------------------------------------- connections */

static void accept_run(struct epoll_sock *l)
{
	struct epoll_io *io = io_of_sock(l);
	struct stream *child;

	while (l->ready & READY_RX && (child = stream_first_child(&l->st))) {
		int fd = accept4(l->st.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		stream_count(&l->st, COUNT_SYS_ACCEPT, 1);
		if (fd < 0)
			fd = -errno;
		if (fd == -EAGAIN) {
			l->ready &= ~READY_RX;
			watch(l, EPOLLIN);
			return;
		}
		if (stream_accept_again(fd))
			continue;
		if (stream_accept_starved(fd)) {
			stream_count(&l->st, COUNT_ACCEPT_STARVED, 1);
			if (link_alone(&io->starved))
				io->starved_until_ns = now_ns() + STARVED_MS * NS_PER_MS;
			link_del(&l->work);
			link_add(&io->starved, &l->work);
			return;
		}
		stream_accepted(&l->st, child, fd);
		if (fd < 0)
			continue;
		sock_of(&child->s)->ready = READY_RX | READY_TX;
		rx_run(sock_of(&child->s));
	}
}

static void connect_ended(struct epoll_sock *s)
{
	socklen_t len = sizeof(int);
	int err = 0;

	stream_count(&s->st, COUNT_SYS_OTHER, 1);
	if (getsockopt(s->st.fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	s->ready |= READY_TX;
	stream_connected(&s->st, -err);
}

/* ------------------------------------------------------------------------ waiting */

static void sock_run(struct epoll_sock *s)
{
	if (s->st.state == STREAM_LISTENING) {
		accept_run(s);
		return;
	}
	rx_run(s);
	tx_run(s);
}

static void sock_event(struct epoll_sock *s, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->ready |= READY_RX;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		s->ready |= READY_TX;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->ready |= HANG_UP;
	if (s->st.state == STREAM_CONNECTING) {
		if (!(s->ready & READY_TX))
			return;
		connect_ended(s);
	}
	sock_run(s);
}

/* Only those that are there now: what they add is for after the next look at the kernel. */
static void run_work(struct epoll_io *io)
{
	struct link now, *node;

	if (link_alone(&io->work))
		return;
	link_init(&now);
	link_move(&now, &io->work);
	while ((node = link_pop(&now)))
		sock_run(link_entry(node, struct epoll_sock, work));
}

static void feed_starved(struct epoll_io *io)
{
	link_move(&io->work, &io->starved);
}

static bool has_news(const struct epoll_io *io)
{
	return io->base.io.events || io->base.io.closings;
}

/* Time until @deadline_ns (negative: none) or until starved listeners are looked at. */
static int64_t time_left(const struct epoll_io *io, int64_t deadline_ns)
{
	int64_t now, until = deadline_ns;

	if (has_news(io) || !link_alone(&io->work) || !deadline_ns)
		return 0;
	if (!link_alone(&io->starved) && (until < 0 || io->starved_until_ns < until))
		until = io->starved_until_ns;
	if (until < 0)
		return -1;
	now = now_ns();
	return until > now ? until - now : 0;
}

static int ask_kernel(struct epoll_io *io, int64_t left_ns)
{
	struct epoll_event events[BATCH];
	int timeout_ms = -1, n;

	if (left_ns >= 0 && left_ns < INT64_C(1000000000) * 1000000)
		timeout_ms = (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
	io->base.counts[COUNT_SYS_WAIT]++;
	n = epoll_wait(io->epfd, events, BATCH, timeout_ms);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		sock_event(events[i].data.ptr, events[i].events);
	if (!link_alone(&io->starved) && now_ns() >= io->starved_until_ns)
		feed_starved(io);
	return 0;
}

static bool expired(int64_t deadline_ns)
{
	return !deadline_ns || (deadline_ns > 0 && now_ns() >= deadline_ns);
}

static int epoll_wait_some(struct gaio *base, int64_t timeout_us, bool ready)
{
	struct epoll_io *io = io_of(base);
	int64_t deadline_ns = timeout_us;
	int err = 0;

	(void)ready;
	if (timeout_us > 0)
		deadline_ns = timeout_us < INT64_MAX / 2000 ? now_ns() + timeout_us * 1000 : -1;
	run_work(io);
	/* the program has enough to do; but what others send is not to wait for ever */
	if (has_news(io) && !io->skipped) {
		io->skipped = true;
		return 0;
	}
	io->skipped = false;
	do {
		err = ask_kernel(io, time_left(io, deadline_ns));
		run_work(io);
	} while (!err && !has_news(io) && !expired(deadline_ns));
	return err == -EINTR && has_news(io) ? 0 : err;
}

/* ----------------------------------------------------------------------- sockets */

static int epoll_sock_open(struct gaio_sock *base)
{
	link_init(&sock_of(base)->work);
	return stream_open(base);
}

static int epoll_listen(struct gaio_sock *base, const struct sockaddr *addr, socklen_t len,
			int backlog, unsigned flags)
{
	sock_of(base)->ready = READY_RX;
	return stream_listen(stream_of(base), addr, len, backlog, flags, SOCK_NONBLOCK);
}

static int epoll_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag)
{
	int err = stream_accept(stream_of(l), stream_of(child), tag);

	/* unless it is starved, which is a list of its own */
	if (!err && sock_of(l)->ready & READY_RX)
		work_add(sock_of(l));
	return err;
}

static int epoll_connect(struct gaio_sock *base, const struct sockaddr *addr, socklen_t len,
			 uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = stream_connect(&s->st, addr, len, tag, SOCK_NONBLOCK);

	if (err)
		return err;
	stream_count(&s->st, COUNT_SYS_OTHER, 1);
	if (!connect(s->st.fd, addr, len)) {
		s->ready = READY_RX | READY_TX;
		stream_connected(&s->st, 0);
	} else if (errno != EINPROGRESS && errno != EINTR) {
		stream_connected(&s->st, -errno);
	} else {
		watch(s, EPOLLIN | EPOLLOUT);
		if (!s->watched)
			stream_connected(&s->st, -ENOMEM);
	}
	return 0;
}

static int epoll_recv(struct gaio_sock *base, const struct gaio_buf *buf, uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = stream_recv(&s->st, buf, tag);

	if (!err && s->ready & READY_RX && s->st.state == STREAM_CONNECTED)
		work_add(s);
	return err;
}

static int epoll_send(struct gaio_sock *base, const struct gaio_buf *bufs, int n, unsigned flags,
		      uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = stream_send(&s->st, bufs, n, flags, tag);

	if (!err)
		tx_run(s);
	return err;
}

static int epoll_send_file(struct gaio_sock *base, struct gaio_file *file, uint64_t offset,
			   size_t len, uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = stream_send_file(&s->st, file, offset, len, tag);

	if (!err)
		tx_run(s);
	return err;
}

static int epoll_shutdown(struct gaio_sock *base, uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = stream_shutdown(&s->st, tag);

	if (!err)
		tx_run(s);
	return err;
}

static void close_descriptor(struct epoll_sock *s)
{
	struct epoll_io *io = io_of_sock(s);

	/* a child of a fork may have the same connection open: closing alone would leave it watched */
	if (s->watched) {
		stream_count(&s->st, COUNT_SYS_WATCH, 1);
		epoll_ctl(io->epfd, EPOLL_CTL_DEL, s->st.fd, NULL);
	}
	stream_count(&s->st, COUNT_SYS_OTHER, 1);
	close(s->st.fd);
	s->st.fd = -1;
	feed_starved(io);
}

static void epoll_sock_close(struct gaio_sock *base)
{
	struct epoll_sock *s = sock_of(base);
	struct stream *child;

	link_del(&s->work);
	while (s->st.state == STREAM_LISTENING && (child = stream_first_child(&s->st)))
		stream_cancel_accept(child);
	if (s->st.state == STREAM_WAITING)
		stream_cancel_accept(&s->st);
	if (s->st.state == STREAM_CONNECTING)
		stream_connected(&s->st, -ECANCELED);
	stream_fail(&s->st, -ECANCELED);
	if (s->st.fd >= 0)
		close_descriptor(s);
}

/* ------------------------------------------------------------------------- files */

static int epoll_file_open(struct gaio_file *f, const struct gaio_open_how *how, uint64_t tag)
{
	(void)f, (void)how, (void)tag;
	return -EOPNOTSUPP;
}

static int epoll_file_adopt(struct gaio_file *f, int fd)
{
	((struct plain_file *)f)->fd = fd;
	return 0;
}

static int epoll_file_rw(struct gaio_file *f, enum gaio_op op, const struct gaio_buf *buf,
			 uint64_t offset, uint64_t tag)
{
	(void)f, (void)op, (void)buf, (void)offset, (void)tag;
	return -EOPNOTSUPP;
}

static int epoll_file_stat(struct gaio_file *f, struct statx *st, uint64_t tag)
{
	(void)f, (void)st, (void)tag;
	return -EOPNOTSUPP;
}

static int epoll_file_sync(struct gaio_file *f, uint64_t tag)
{
	(void)f, (void)tag;
	return -EOPNOTSUPP;
}

static void epoll_file_close(struct gaio_file *f)
{
	(void)f;
}

static void epoll_file_idle(struct gaio_file *f)
{
	if (plain_fd(f) >= 0)
		close(plain_fd(f));
}

const struct aio_ops aio_epoll = {
	.name = "epoll",
	.io_size = sizeof(struct epoll_io),
	.queue_size = sizeof(struct gaio_queue),
	.sock_size = sizeof(struct epoll_sock),
	.file_size = sizeof(struct plain_file),
	.open = epoll_open,
	.close = epoll_close,
	.query = epoll_query,
	.counter = stream_counter,
	.mem_register = stream_mem_register,
	.mem_deregister = stream_mem_deregister,
	.queue_open = aio_ring_open,
	.queue_close = aio_ring_close,
	.take = aio_ring_take,
	.waiting = aio_ring_waiting,
	.wait = epoll_wait_some,
	.sock_open = epoll_sock_open,
	.listen = epoll_listen,
	.accept = epoll_accept,
	.connect = epoll_connect,
	.recv = epoll_recv,
	.send = epoll_send,
	.send_file = epoll_send_file,
	.shutdown = epoll_shutdown,
	.sock_close = epoll_sock_close,
	.address = stream_address,
	.file_open = epoll_file_open,
	.file_adopt = epoll_file_adopt,
	.file_rw = epoll_file_rw,
	.file_stat = epoll_file_stat,
	.file_sync = epoll_file_sync,
	.file_close = epoll_file_close,
	.file_idle = epoll_file_idle,
};
