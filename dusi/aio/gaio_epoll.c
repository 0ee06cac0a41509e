/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * gaio_epoll.c - non-blocking sockets and readiness: what a program of its own would do.
 *
 * Each operation is tried first; a descriptor is watched from the first time that it has to wait, edge
 * by edge, and stays so: no system call per operation tells epoll anything. Sends are tried when they
 * are posted, so that the peer can begin; receives and accepts in gaio_wait(), so that what comes is
 * bounded by what is posted, and a socket whose last read came short is not read in vain.
 */
#include "dusi/aio/plain.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 256 /* events of epoll_wait */
#define NS_PER_MS INT64_C(1000000)
#define BURST (1u << 20) /* bytes of one send before others have their turn */
#define RX_SURE 4096     /* bytes: a short read of fewer has emptied the socket */
#define ACCEPT_TRIES 64  /* connections in a row that come to nothing */

struct epoll_io {
	struct plain_io base;
	int epfd;
	struct files *files; /* NULL: not yet */
	int files_fd;        /* an eventfd: some have ended */
};

#define READY_RX 0x01
#define READY_TX 0x02
#define HANG_UP 0x04 /* the peer sends no more: a short read is not the last */

struct epoll_sock {
	struct plain st;
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

/* ------------------------------------------------------------------------- files */

static void file_done(struct files_req *req)
{
	plain_file_op_done((struct file_op *)req);
}

/* The service, at its first use. */
static int files_start(struct epoll_io *io)
{
	struct files_env env = { .owner = FILES_SINGLE, .wake_fd = io->files_fd };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
	int err;

	if (io->files)
		return 0;
	if (env.wake_fd < 0) {
		env.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (env.wake_fd < 0)
			return -errno;
		if (epoll_ctl(io->epfd, EPOLL_CTL_ADD, env.wake_fd, &ev)) {
			err = -errno;
			close(env.wake_fd);
			return err;
		}
		io->files_fd = env.wake_fd;
	}
	return files_open(&env, &io->files);
}

static void file_begin(struct plain_io *base, struct file_op *op)
{
	struct epoll_io *io = (struct epoll_io *)base;
	int err = files_start(io);

	op->req.done = file_done;
	if (!err) {
		files_submit(io->files, &op->req);
		return;
	}
	if (op->req.op == FILES_CLOSE)
		close(op->req.fd);
	op->req.result = err;
	plain_file_op_done(op);
}

/* Those begin that were posted, and those that have ended since are told of. */
static void run_files(struct epoll_io *io)
{
	if (!io->files || !files_busy(io->files))
		return;
	files_flush(io->files);
	while (files_reap(io->files, BATCH) == BATCH)
		continue;
}

/* ----------------------------------------------------------------------- opening */

static int epoll_open(struct gaio *base, const struct gaio_attr *attr)
{
	struct epoll_io *io = io_of(base);

	(void)attr;
	plain_io_open(&io->base);
	io->base.file_begin = file_begin;
	io->files_fd = -1;
	io->epfd = epoll_create1(EPOLL_CLOEXEC);
	return io->epfd < 0 ? -errno : 0;
}

static void epoll_close(struct gaio *base)
{
	struct epoll_io *io = io_of(base);

	if (io->files)
		files_close(io->files);
	plain_io_close(&io->base);
	if (io->files_fd >= 0)
		close(io->files_fd);
	close(io->epfd);
}

static void epoll_query(struct gaio *io, struct gaio_info *info)
{
	info->sockets = "epoll";
	info->sockets_why = "asked for";
	if (io_of(io)->files)
		info->files = files_kind(io_of(io)->files, &info->files_why);
}

/* ---------------------------------------------------------------------- watching */

/* What is ready by then is reported as well. 0, or a negative errno value. */
static int watch(struct epoll_sock *s, uint32_t what)
{
	struct epoll_event ev = {
		.events = s->watched | what | EPOLLPRI | EPOLLRDHUP | EPOLLET,
		.data.ptr = s,
	};

	if ((s->watched & what) == what)
		return 0;
	plain_count(&s->st, COUNT_SYS_WATCH, 1);
	if (epoll_ctl(io_of_sock(s)->epfd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->st.fd,
		      &ev)) {
		int err = -errno;

		if (s->st.state == PLAIN_CONNECTED)
			plain_fail(&s->st, err);
		return err;
	}
	s->watched = ev.events;
	return 0;
}

/* --------------------------------------------------------------------- receiving */

static void rx_ended(struct epoll_sock *s, ssize_t n)
{
	if (n > 0) {
		/* no more for now, unless the end is near, urgent data have cut the read, or memory
		 * that cannot be written: of large ones that is not taken for sure */
		if ((size_t)n < s->st.rx_len && n < RX_SURE && s->watched && !(s->ready & HANG_UP))
			s->ready &= ~READY_RX;
		plain_rx_end(&s->st, 0, n);
	} else if (n == 0) {
		/* after a reset that a send has met, this is no end in order */
		plain_rx_end(&s->st, s->st.error, 0);
	} else if (n == -EAGAIN) {
		s->ready &= ~READY_RX;
		watch(s, EPOLLIN);
	} else if (plain_op_error(n)) {
		plain_rx_end(&s->st, n, 0);
	} else {
		plain_fail(&s->st, n);
	}
}

static void rx_run(struct epoll_sock *s)
{
	ssize_t n;

	if (!s->st.rx_addr || !(s->ready & READY_RX) || s->st.state != PLAIN_CONNECTED)
		return;
	do {
		plain_count(&s->st, COUNT_SYS_RECV, 1);
		n = recv(s->st.fd, s->st.rx_addr, s->st.rx_len, 0);
	} while (n < 0 && errno == EINTR);
	rx_ended(s, n < 0 ? -errno : n);
}

/* ----------------------------------------------------------------------- sending */

static ssize_t send_memory(struct epoll_sock *s, struct tx *t)
{
	ssize_t n;

	plain_count(&s->st, COUNT_SYS_SEND, 1);
	n = sendmsg(s->st.fd, plain_tx_msg(t), MSG_NOSIGNAL | (t->more ? MSG_MORE : 0));
	return n < 0 ? -errno : n;
}

static int shut(struct epoll_sock *s)
{
	plain_count(&s->st, COUNT_SYS_OTHER, 1);
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
	n = t->file ? plain_sendfile(&s->st, t, BURST) : send_memory(s, t);
	if (n < 0)
		return n == -EINTR ? 1 : n;
	if (n == 0)
		return -ENODATA;
	plain_tx_moved(t, n);
	return t->done < t->len;
}

static void tx_run(struct epoll_sock *s)
{
	size_t before, burst = 0;

	while (s->st.tx_first && s->st.state == PLAIN_CONNECTED) {
		int err;

		if (burst >= BURST) {
			plain_work(&s->st);
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
		if (!err || plain_op_error(err) || s->st.tx_shut)
			plain_tx_end(&s->st, err);
		else
			plain_fail(&s->st, err);
	}
}

/* ------------------------------------------------------------------- connections */

static void accept_run(struct epoll_sock *l)
{
	struct plain *child;
	int tries = ACCEPT_TRIES;

	while (l->ready & READY_RX && (child = plain_first_child(&l->st))) {
		int fd = accept4(l->st.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		plain_count(&l->st, COUNT_SYS_ACCEPT, 1);
		if (fd < 0)
			fd = -errno;
		if (fd == -EAGAIN) {
			l->ready &= ~READY_RX;
			if (watch(l, EPOLLIN)) {
				l->ready |= READY_RX;
				plain_starve(&l->st);
			}
			return;
		}
		/* refused again and again, by a policy: as when there is no descriptor */
		if (plain_accept_again(fd) && tries-- > 0)
			continue;
		if (plain_accept_again(fd) || plain_accept_starved(fd)) {
			plain_starve(&l->st);
			return;
		}
		plain_accepted(&l->st, child, fd);
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

	plain_count(&s->st, COUNT_SYS_OTHER, 1);
	if (getsockopt(s->st.fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	s->ready |= READY_TX;
	plain_connected(&s->st, -err);
}

/* ------------------------------------------------------------------------ waiting */

static void sock_run(struct epoll_sock *s)
{
	if (s->st.state == PLAIN_LISTENING) {
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
	if (s->st.state == PLAIN_CONNECTING) {
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

	run_files(io);
	if (link_alone(&io->base.work))
		return;
	link_init(&now);
	link_move(&now, &io->base.work);
	while ((node = link_pop(&now)))
		sock_run((struct epoll_sock *)link_entry(node, struct plain, work));
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
	for (int i = 0; i < n; i++) {
		if (!events[i].data.ptr)
			continue; /* files: run_work() looks */
		sock_event(events[i].data.ptr, events[i].events);
	}
	plain_feed_in_time(&io->base);
	return 0;
}

static int epoll_wait_some(struct gaio *base, int64_t timeout_us, bool ready)
{
	struct epoll_io *io = io_of(base);
	int64_t deadline_ns = plain_deadline(timeout_us);
	int err = 0;

	(void)ready;
	run_work(io);
	/* the program has enough to do; but what others send is not to wait for ever */
	if (plain_has_news(&io->base) && !io->base.skipped) {
		io->base.skipped = true;
		return 0;
	}
	io->base.skipped = false;
	do {
		err = ask_kernel(io, plain_time_left(&io->base, deadline_ns));
		run_work(io);
	} while (!err && !plain_has_news(&io->base) && !plain_expired(deadline_ns));
	return err == -EINTR && plain_has_news(&io->base) ? 0 : err;
}

/* ----------------------------------------------------------------------- sockets */

static int epoll_listen(struct gaio_sock *base, const struct sockaddr *addr, socklen_t len,
			int backlog, unsigned flags)
{
	sock_of(base)->ready = READY_RX;
	return plain_listen(plain_of(base), addr, len, backlog, flags, SOCK_NONBLOCK);
}

static int epoll_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag)
{
	int err = plain_accept(plain_of(l), plain_of(child), tag);

	/* unless it is starved, which is a list of its own */
	if (!err && sock_of(l)->ready & READY_RX)
		plain_work(&sock_of(l)->st);
	return err;
}

static int epoll_connect(struct gaio_sock *base, const struct sockaddr *addr, socklen_t len,
			 uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = plain_connect(&s->st, addr, len, tag, SOCK_NONBLOCK);

	if (err)
		return err;
	plain_count(&s->st, COUNT_SYS_OTHER, 1);
	if (!connect(s->st.fd, addr, len)) {
		s->ready = READY_RX | READY_TX;
		plain_connected(&s->st, 0);
	} else if (errno != EINPROGRESS && errno != EINTR) {
		plain_connected(&s->st, -errno);
	} else {
		watch(s, EPOLLIN | EPOLLOUT);
		if (!s->watched)
			plain_connected(&s->st, -ENOMEM);
	}
	return 0;
}

static int epoll_recv(struct gaio_sock *base, const struct gaio_buf *buf, uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = plain_recv(&s->st, buf, tag);

	if (!err && s->ready & READY_RX && s->st.state == PLAIN_CONNECTED)
		plain_work(&s->st);
	return err;
}

static int epoll_send(struct gaio_sock *base, const struct gaio_buf *bufs, int n, unsigned flags,
		      uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = plain_send(&s->st, bufs, n, flags, tag);

	if (!err)
		tx_run(s);
	return err;
}

static int epoll_send_file(struct gaio_sock *base, struct gaio_file *file, uint64_t offset,
			   size_t len, uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = plain_send_file(&s->st, file, offset, len, tag);

	if (!err)
		tx_run(s);
	return err;
}

static int epoll_shutdown(struct gaio_sock *base, uint64_t tag)
{
	struct epoll_sock *s = sock_of(base);
	int err = plain_shutdown(&s->st, tag);

	if (!err)
		tx_run(s);
	return err;
}

static void close_descriptor(struct epoll_sock *s)
{
	struct epoll_io *io = io_of_sock(s);

	/* a child of a fork may have the same connection open: closing alone would leave it watched */
	if (s->watched) {
		plain_count(&s->st, COUNT_SYS_WATCH, 1);
		epoll_ctl(io->epfd, EPOLL_CTL_DEL, s->st.fd, NULL);
	}
	plain_count(&s->st, COUNT_SYS_OTHER, 1);
	close(s->st.fd);
	s->st.fd = -1;
	plain_feed(&io->base);
}

static void epoll_sock_close(struct gaio_sock *base)
{
	struct epoll_sock *s = sock_of(base);
	struct plain *child;

	link_del(&s->st.work);
	while (s->st.state == PLAIN_LISTENING && (child = plain_first_child(&s->st)))
		plain_cancel_accept(child);
	if (s->st.state == PLAIN_WAITING)
		plain_cancel_accept(&s->st);
	if (s->st.state == PLAIN_CONNECTING)
		plain_connected(&s->st, -ECANCELED);
	plain_fail(&s->st, -ECANCELED);
	if (s->st.fd >= 0)
		close_descriptor(s);
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
	.counter = plain_counter,
	.mem_register = plain_mem_register,
	.mem_deregister = plain_mem_deregister,
	.queue_open = aio_ring_open,
	.queue_close = aio_ring_close,
	.take = aio_ring_take,
	.waiting = aio_ring_waiting,
	.wait = epoll_wait_some,
	.sock_open = plain_open,
	.listen = epoll_listen,
	.accept = epoll_accept,
	.connect = epoll_connect,
	.recv = epoll_recv,
	.send = epoll_send,
	.send_file = epoll_send_file,
	.shutdown = epoll_shutdown,
	.sock_close = epoll_sock_close,
	.address = plain_address,
	.file_open = plain_file_open,
	.file_adopt = plain_file_adopt,
	.file_rw = plain_file_rw,
	.file_stat = plain_file_stat,
	.file_sync = plain_file_sync,
	.file_close = plain_file_close,
	.file_idle = plain_file_idle,
};
