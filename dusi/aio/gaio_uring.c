/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * gaio_uring.c - the kernel's asynchronous interface, without the engine.
 *
 * What is posted becomes an entry of the submission queue, and gaio_wait() is one system call for all
 * of them and for what has ended. Of each kind a socket has one entry in the kernel at a time; so sends
 * keep their order, and a send that came short is continued before the next. As many accepts are in the
 * kernel as are posted: it wakes one of them per connection.
 *
 * Files are sent by sendfile(2), which does not wait, and a poll when the socket is full: the kernel
 * gives every splice of a ring to a thread of its own, which costs more than the copying would.
 */
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dusi/aio/plain.h"

#define SQ_ENTRIES 512
#define CQ_ENTRIES 8192 /* more than these wait in the kernel */
#define BATCH 64        /* completions looked at together */
#define BURST (1u << 20)

struct uring_io {
	struct plain_io base;
	struct io_uring ring;
	unsigned inflight; /* entries that will have a completion, cancels not counted */
	bool modern;       /* 6.0 or later */
	bool ending;
	const char *why;
};

struct uring_sock {
	struct plain st;
	bool rx_busy, tx_busy, cm_busy; /* in the kernel */
	bool rx_poll_first;             /* there is nothing yet, as far as we know */
};

/* What an entry is for: the low bits of its user data; the rest is whose. 0: nobody's. */
enum kind { KIND_RECV = 1, KIND_SEND, KIND_POLL, KIND_ACCEPT, KIND_CONNECT, KIND_FILE, KIND_CLOSE };

#define KIND_MASK 7u

static struct uring_io *io_of(struct gaio *io)
{
	return (struct uring_io *)io;
}

static struct uring_sock *sock_of(struct gaio_sock *s)
{
	return (struct uring_sock *)s;
}

static struct uring_io *io_of_sock(const struct uring_sock *s)
{
	return (struct uring_io *)s->st.s.o.io;
}

/* ---------------------------------------------------------------------- submitting */

static void submit(struct uring_io *io)
{
	io->base.counts[COUNT_SYS_OTHER]++;
	io_uring_submit(&io->ring);
}

/* An entry; NULL: the kernel takes none just now. */
static struct io_uring_sqe *entry_get(struct uring_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

	if (!sqe) {
		submit(io);
		sqe = io_uring_get_sqe(&io->ring);
	}
	return sqe;
}

/* After it is prepared, which overwrites the user data in liburing of this age. */
static void entry_set(struct uring_io *io, struct io_uring_sqe *sqe, const void *whose,
		      enum kind kind)
{
	io_uring_sqe_set_data64(sqe, (uintptr_t)whose | kind);
	io->inflight++;
	io->base.counts[COUNT_SUBMITTED]++;
}

/* Ends what is in the kernel; its completion comes all the same. */
static void cancel(struct uring_io *io, const void *whose, enum kind kind)
{
	struct io_uring_sqe *sqe = entry_get(io);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, (uintptr_t)whose | kind, 0);
	io_uring_sqe_set_data64(sqe, 0);
	io->base.counts[COUNT_SUBMITTED]++;
}

static void close_descriptor(struct uring_io *io, int fd)
{
	struct io_uring_sqe *sqe = entry_get(io);

	if (!sqe) {
		close(fd);
		plain_feed(&io->base);
		return;
	}
	io_uring_prep_close(sqe, fd);
	entry_set(io, sqe, NULL, KIND_CLOSE);
}

/* ----------------------------------------------------------------------- failing */

/* What is in the kernel ends there: its memory is not the program's before. */
static void sock_flush(struct uring_sock *s, int error)
{
	s->st.state = PLAIN_DEAD;
	s->st.error = error;
	if (s->st.rx_addr && !s->rx_busy)
		plain_rx_end(&s->st, error, 0);
	while (s->st.tx_first && !s->tx_busy)
		plain_tx_end(&s->st, error);
}

static void sock_fail(struct uring_sock *s, int error)
{
	sock_flush(s, error);
	if (s->rx_busy || s->tx_busy)
		shutdown(s->st.fd, SHUT_RDWR);
}

/* --------------------------------------------------------------------- receiving */

static void rx_start(struct uring_sock *s)
{
	struct uring_io *io = io_of_sock(s);
	struct io_uring_sqe *sqe;

	if (!s->st.rx_addr || s->rx_busy || s->st.state != PLAIN_CONNECTED || io->ending)
		return;
	sqe = entry_get(io);
	if (!sqe) {
		plain_work(&s->st);
		return;
	}
	io_uring_prep_recv(sqe, s->st.fd, s->st.rx_addr, s->st.rx_len, 0);
	if (s->rx_poll_first)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	entry_set(io, sqe, s, KIND_RECV);
	s->rx_busy = true;
}

/* A send that came short may have had the error of the connection, and not told. */
static bool was_reset(const struct uring_sock *s)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (!s->st.tx_first || s->st.tx_shut || s->st.state != PLAIN_CONNECTED)
		return false;
	plain_count(&s->st, COUNT_SYS_OTHER, 1);
	return !getsockopt(s->st.fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       info.tcpi_state == TCP_CLOSE;
}

static void rx_ended(struct uring_sock *s, int res, unsigned flags)
{
	s->rx_busy = false;
	if (!res && was_reset(s))
		res = -ECONNRESET;
	if (res > 0) {
		s->rx_poll_first = io_of_sock(s)->modern && !(flags & IORING_CQE_F_SOCK_NONEMPTY);
		plain_rx_end(&s->st, 0, res);
	} else if (s->st.state == PLAIN_DEAD || !res) {
		/* after a failure, this is no end in order */
		plain_rx_end(&s->st, s->st.error, 0);
	} else if (res == -EINTR || res == -EAGAIN) {
		rx_start(s);
	} else if (plain_op_error(res)) {
		plain_rx_end(&s->st, res, 0);
	} else {
		sock_fail(s, res);
	}
}

/* ----------------------------------------------------------------------- sending */

static int start_memory(struct uring_sock *s, struct tx *t)
{
	int flags = MSG_NOSIGNAL | MSG_WAITALL | (t->more ? MSG_MORE : 0);
	struct uring_io *io = io_of_sock(s);
	struct io_uring_sqe *sqe = entry_get(io);

	if (!sqe)
		return -EBUSY;
	if (t->niov - t->at == 1)
		io_uring_prep_send(sqe, s->st.fd, t->iov[t->at].iov_base, t->iov[t->at].iov_len,
				   flags);
	else
		io_uring_prep_sendmsg(sqe, s->st.fd, plain_tx_msg(t), flags);
	entry_set(io, sqe, s, KIND_SEND);
	s->tx_busy = true;
	return -EINPROGRESS;
}

/* The ring's own operations want a socket that blocks; none of them runs meanwhile. */
static ssize_t send_file_now(struct uring_sock *s, struct tx *t)
{
	int on = 1, off = 0;
	ssize_t n;

	plain_count(&s->st, COUNT_SYS_OTHER, 2);
	ioctl(s->st.fd, FIONBIO, &on);
	n = plain_sendfile(&s->st, t, BURST);
	ioctl(s->st.fd, FIONBIO, &off);
	return n;
}

static int start_file(struct uring_sock *s, struct tx *t)
{
	struct uring_io *io = io_of_sock(s);
	ssize_t n = send_file_now(s, t);
	struct io_uring_sqe *sqe;

	if (n >= 0) {
		t->done += n;
		return !n ? -ENODATA : t->done < t->len ? -EBUSY : 0;
	}
	if (n != -EAGAIN)
		return n == -EINTR ? -EBUSY : n;
	sqe = entry_get(io);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_poll_add(sqe, s->st.fd, POLLOUT);
	entry_set(io, sqe, s, KIND_POLL);
	s->tx_busy = true;
	return -EINPROGRESS;
}

/* 0: it is done; -EINPROGRESS: in the kernel; -EBUSY: in the next round; or an error. */
static int start_entry(struct uring_sock *s, struct tx *t)
{
	if (t->op == GAIO_SHUTDOWN) {
		plain_count(&s->st, COUNT_SYS_OTHER, 1);
		s->st.tx_shut = true;
		return shutdown(s->st.fd, SHUT_WR) ? -errno : 0;
	}
	if (s->st.tx_shut)
		return -EPIPE;
	if (t->done == t->len)
		return 0;
	return t->file ? start_file(s, t) : start_memory(s, t);
}

/* Where the first entry has come to. */
static void tx_result(struct uring_sock *s, int err)
{
	if (!err || plain_op_error(err) || s->st.tx_shut)
		plain_tx_end(&s->st, err);
	else
		sock_fail(s, err);
}

static void tx_start(struct uring_sock *s)
{
	while (s->st.tx_first && !s->tx_busy && s->st.state == PLAIN_CONNECTED &&
	       !io_of_sock(s)->ending) {
		int err = start_entry(s, s->st.tx_first);

		if (err == -EINPROGRESS)
			return;
		if (err == -EBUSY) {
			plain_work(&s->st);
			return;
		}
		tx_result(s, err);
	}
}

static void send_ended(struct uring_sock *s, int res)
{
	struct tx *t = s->st.tx_first;

	s->tx_busy = false;
	if (res > 0)
		plain_tx_moved(t, res);
	if (t->done == t->len)
		plain_tx_end(&s->st, 0);
	else if (s->st.state == PLAIN_DEAD)
		plain_tx_end(&s->st, s->st.error);
	else if (res < 0 && res != -EINTR && res != -EAGAIN)
		tx_result(s, res);
	if (s->st.state == PLAIN_DEAD)
		sock_flush(s, s->st.error);
	tx_start(s);
}

/* sendfile(2) will say what it was. */
static void poll_ended(struct uring_sock *s)
{
	s->tx_busy = false;
	if (s->st.state == PLAIN_DEAD)
		sock_flush(s, s->st.error);
	tx_start(s);
}

/* ------------------------------------------------------------------- connections */

static void accept_start(struct uring_sock *child)
{
	struct uring_io *io = io_of_sock(child);
	struct plain *l = plain_of(child->st.s.listener);
	struct io_uring_sqe *sqe;

	if (io->ending)
		return;
	sqe = entry_get(io);
	if (!sqe) {
		plain_work(&child->st);
		return;
	}
	io_uring_prep_accept(sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	entry_set(io, sqe, child, KIND_ACCEPT);
	child->cm_busy = true;
}

static void accept_ended(struct uring_sock *child, int res)
{
	struct plain *l = plain_of(child->st.s.listener);
	bool closing = child->st.s.o.closing || l->s.o.closing;

	child->cm_busy = false;
	if (res < 0 && !closing && plain_accept_again(res)) {
		accept_start(child);
		return;
	}
	if (res < 0 && !closing && plain_accept_starved(res)) {
		plain_starve(&child->st);
		return;
	}
	if (child->st.s.o.closing && res >= 0) {
		close_descriptor(io_of_sock(child), res);
		res = -ECANCELED;
	}
	plain_accepted(l, &child->st, closing && res < 0 ? -ECANCELED : res);
	if (child->st.s.o.closing) {
		sock_flush(child, -ECANCELED);
		return;
	}
	child->rx_poll_first = false;
	rx_start(child);
	tx_start(child);
}

static void connect_ended(struct uring_sock *s, int res)
{
	s->cm_busy = false;
	plain_connected(&s->st, s->st.s.o.closing ? -ECANCELED : res);
	rx_start(s);
	tx_start(s);
}

/* ------------------------------------------------------------------------- files */

static void prep_file(struct io_uring_sqe *sqe, struct files_req *req)
{
	switch (req->op) {
	case FILES_OPEN:
		io_uring_prep_openat2(sqe, req->fd, req->path, (struct open_how *)&req->how);
		break;
	case FILES_READ:
		io_uring_prep_readv(sqe, req->fd, req->iov, 1, req->offset);
		break;
	case FILES_WRITE:
		io_uring_prep_writev(sqe, req->fd, req->iov, 1, req->offset + req->moved);
		break;
	case FILES_STAT:
		io_uring_prep_statx(sqe, req->fd, "", AT_EMPTY_PATH,
				    STATX_BASIC_STATS | STATX_BTIME, req->st);
		break;
	case FILES_SYNC:
		io_uring_prep_fsync(sqe, req->fd, 0);
		break;
	default:
		io_uring_prep_close(sqe, req->fd);
		break;
	}
}

static void file_begin(struct plain_io *base, struct file_op *op)
{
	struct uring_io *io = (struct uring_io *)base;
	struct io_uring_sqe *sqe = entry_get(io);

	if (!sqe) {
		if (op->req.op == FILES_CLOSE)
			close(op->req.fd);
		op->req.result = -EBUSY;
		plain_file_op_done(op);
		return;
	}
	prep_file(sqe, &op->req);
	/* the second time: a file system that cannot but block */
	if (op->req.stage)
		sqe->flags |= IOSQE_ASYNC;
	entry_set(io, sqe, op, KIND_FILE);
}

static void file_ended(struct uring_io *io, struct file_op *op, int res)
{
	struct files_req *req = &op->req;

	if (req->op != FILES_CLOSE && !io->ending &&
	    (res == -EINTR || (res == -EAGAIN && !req->stage))) {
		req->stage = res == -EAGAIN;
		file_begin(&io->base, op);
		return;
	}
	req->result = res;
	if (req->op == FILES_WRITE && res > 0) {
		req->moved += res;
		op->iov.iov_base = (char *)op->iov.iov_base + res;
		op->iov.iov_len -= res;
		if (op->iov.iov_len && !io->ending) {
			file_begin(&io->base, op);
			return;
		}
	} else if (req->op == FILES_WRITE && !res) {
		req->result = -EIO; /* no progress, and nobody says why */
	}
	if (req->op == FILES_CLOSE)
		plain_feed(&io->base);
	plain_file_op_done(op);
}

/* ------------------------------------------------------------------------ reaping */

static void ended(struct uring_io *io, uint64_t user_data, int res, unsigned flags)
{
	void *whose = (void *)(uintptr_t)(user_data & ~(uint64_t)KIND_MASK);

	if (!user_data)
		return; /* a cancel */
	io->inflight--;
	switch ((enum kind)(user_data & KIND_MASK)) {
	case KIND_RECV:
		rx_ended(whose, res, flags);
		break;
	case KIND_SEND:
		send_ended(whose, res);
		break;
	case KIND_POLL:
		poll_ended(whose);
		break;
	case KIND_ACCEPT:
		accept_ended(whose, res);
		break;
	case KIND_CONNECT:
		connect_ended(whose, res);
		break;
	case KIND_FILE:
		file_ended(io, whose, res);
		break;
	case KIND_CLOSE:
		plain_feed(&io->base);
		break;
	}
}

/* Room for more is made before what there is is dealt with, which may submit. */
static void reap(struct uring_io *io)
{
	struct io_uring_cqe *cqe[BATCH], copy[BATCH];
	unsigned n;

	do {
		n = io_uring_peek_batch_cqe(&io->ring, cqe, BATCH);
		for (unsigned i = 0; i < n; i++)
			copy[i] = *cqe[i];
		io_uring_cq_advance(&io->ring, n);
		for (unsigned i = 0; i < n; i++)
			ended(io, copy[i].user_data, copy[i].res, copy[i].flags);
	} while (n == BATCH);
}

static void run_work(struct uring_io *io)
{
	struct link now, *node;

	if (link_alone(&io->base.work))
		return;
	link_init(&now);
	link_move(&now, &io->base.work);
	while ((node = link_pop(&now))) {
		struct uring_sock *s = (struct uring_sock *)link_entry(node, struct plain, work);

		if (s->st.state == PLAIN_WAITING) {
			accept_start(s);
			continue;
		}
		rx_start(s);
		tx_start(s);
	}
}

static int enter(struct uring_io *io, int64_t left_ns)
{
	struct __kernel_timespec ts = { left_ns / 1000000000, left_ns % 1000000000 };
	struct io_uring_cqe *cqe;
	int n;

	io->base.counts[COUNT_SYS_WAIT]++;
	if (!left_ns)
		n = io_uring_submit_and_get_events(&io->ring);
	else
		n = io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, left_ns < 0 ? NULL : &ts,
						     NULL);
	reap(io);
	plain_feed_in_time(&io->base);
	return n == -ETIME || n == -EBUSY || n == -EAGAIN || n > 0 ? 0 : n;
}

/*
 * Not in the call that submits: interrupted by a signal, that says how much it submitted, and the
 * signal would be heard of with the next event only. As a rule something ends at once, and this is the
 * one call for both.
 */
static int64_t may_wait_ns(const struct uring_io *io, int64_t deadline_ns)
{
	if (io_uring_sq_ready(&io->ring))
		return 0;
	return plain_time_left(&io->base, deadline_ns);
}

static int uring_wait(struct gaio *base, int64_t timeout_us, bool ready)
{
	struct uring_io *io = io_of(base);
	int64_t deadline_ns = plain_deadline(timeout_us);
	int err;

	(void)ready;
	run_work(io);
	if (plain_has_news(&io->base) && !io->base.skipped && !io_uring_sq_ready(&io->ring)) {
		io->base.skipped = true;
		return 0;
	}
	io->base.skipped = false;
	do {
		err = enter(io, may_wait_ns(io, deadline_ns));
		run_work(io);
	} while (!err && !plain_has_news(&io->base) && !plain_expired(deadline_ns));
	return err == -EINTR && plain_has_news(&io->base) ? 0 : err;
}

/* ----------------------------------------------------------------------- sockets */

static int uring_listen(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len,
			int backlog, unsigned flags)
{
	return plain_listen(plain_of(s), addr, len, backlog, flags, 0);
}

static int uring_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag)
{
	int err = plain_accept(plain_of(l), plain_of(child), tag);

	if (!err)
		accept_start(sock_of(child));
	return err;
}

/* The address lasts till it is submitted: that is now. */
static int uring_connect(struct gaio_sock *base, const struct sockaddr *addr, socklen_t len,
			 uint64_t tag)
{
	struct uring_sock *s = sock_of(base);
	struct uring_io *io = io_of_sock(s);
	int err = plain_connect(&s->st, addr, len, tag, 0);
	struct io_uring_sqe *sqe;

	if (err)
		return err;
	sqe = entry_get(io);
	if (!sqe) {
		plain_connected(&s->st, -EAGAIN);
		return 0;
	}
	io_uring_prep_connect(sqe, s->st.fd, addr, len);
	entry_set(io, sqe, s, KIND_CONNECT);
	s->cm_busy = true;
	submit(io);
	return 0;
}

static int uring_recv(struct gaio_sock *base, const struct gaio_buf *buf, uint64_t tag)
{
	int err = plain_recv(plain_of(base), buf, tag);

	if (!err)
		rx_start(sock_of(base));
	return err;
}

static int uring_send(struct gaio_sock *base, const struct gaio_buf *bufs, int n, unsigned flags,
		      uint64_t tag)
{
	int err = plain_send(plain_of(base), bufs, n, flags, tag);

	if (!err)
		tx_start(sock_of(base));
	return err;
}

static int uring_send_file(struct gaio_sock *base, struct gaio_file *file, uint64_t offset,
			   size_t len, uint64_t tag)
{
	int err = plain_send_file(plain_of(base), file, offset, len, tag);

	if (!err)
		tx_start(sock_of(base));
	return err;
}

static int uring_shutdown(struct gaio_sock *base, uint64_t tag)
{
	int err = plain_shutdown(plain_of(base), tag);

	if (!err)
		tx_start(sock_of(base));
	return err;
}

static void cancel_accepts(struct uring_sock *l)
{
	struct link *node, *next;

	if (l->st.state != PLAIN_LISTENING)
		return;
	for (node = l->st.accepts.next; node != &l->st.accepts; node = next) {
		struct plain *child = link_entry(node, struct plain, accepts);

		next = node->next;
		if (sock_of(&child->s)->cm_busy) {
			cancel(io_of_sock(l), child, KIND_ACCEPT);
			continue;
		}
		link_del(&child->work);
		plain_cancel_accept(child);
	}
}

static void uring_sock_close(struct gaio_sock *base)
{
	struct uring_sock *s = sock_of(base);
	struct uring_io *io = io_of_sock(s);
	enum plain_state state = s->st.state;

	link_del(&s->st.work);
	cancel_accepts(s);
	if (s->cm_busy)
		cancel(io, s, state == PLAIN_WAITING ? KIND_ACCEPT : KIND_CONNECT);
	else if (state == PLAIN_WAITING)
		plain_cancel_accept(&s->st);
	if (s->rx_busy)
		cancel(io, s, KIND_RECV);
	if (s->tx_busy)
		cancel(io, s, s->st.tx_first->file ? KIND_POLL : KIND_SEND);
	/* the connection's or the accept's event goes before the others */
	if (!s->cm_busy)
		sock_flush(s, -ECANCELED);
	if (s->st.fd < 0)
		return;
	close_descriptor(io, s->st.fd);
	s->st.fd = -1;
}

/* ----------------------------------------------------------------------- opening */

static const struct {
	unsigned flags;
	const char *why;
} setups[] = {
	{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
	  "asked for; completions are run by the waiting thread (DEFER_TASKRUN)" },
	{ IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
	  "asked for; the kernel is older than 6.1: without DEFER_TASKRUN" },
	{ 0, "asked for; the kernel is older than 5.19: without DEFER_TASKRUN" },
};

static int refused(const struct gaio_attr *attr, const char *why)
{
	if (attr->why)
		*attr->why = why;
	return -EOPNOTSUPP;
}

static int ring_open(struct uring_io *io)
{
	int err = -EINVAL;

	for (unsigned i = 0; i < 3 && err == -EINVAL; i++) {
		struct io_uring_params p = { .flags = setups[i].flags | IORING_SETUP_CQSIZE,
					     .cq_entries = CQ_ENTRIES };

		io->why = setups[i].why;
		io->modern = !i;
		err = io_uring_queue_init_params(SQ_ENTRIES, &io->ring, &p);
	}
	return err;
}

static int uring_open(struct gaio *base, const struct gaio_attr *attr)
{
	struct uring_io *io = io_of(base);
	int err = ring_open(io);

	if (err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		return err;
	if (err == -ENOSYS)
		return refused(attr, "the kernel has no io_uring");
	if (err)
		return refused(attr, "the kernel, or a policy, does not allow io_uring");
	/* of 5.11; all operations that are used here are older */
	if (!(io->ring.features & IORING_FEAT_EXT_ARG)) {
		io_uring_queue_exit(&io->ring);
		return refused(attr, "the kernel's io_uring is older than that of 5.11");
	}
	plain_io_open(&io->base);
	io->base.file_begin = file_begin;
	return 0;
}

/* Until all of it has come back, the kernel may still write to the program's memory. */
static void uring_close(struct gaio *base)
{
	struct uring_io *io = io_of(base);
	struct link *node;

	io->ending = true;
	for (node = base->socks.next; node != &base->socks; node = node->next) {
		struct gaio_sock *s = (struct gaio_sock *)link_entry(node, struct aio_object, link);

		if (!s->o.closing)
			uring_sock_close(s);
	}
	while (io->inflight) {
		io_uring_submit_and_wait(&io->ring, 1);
		reap(io);
	}
	io_uring_queue_exit(&io->ring);
	plain_io_close(&io->base);
}

static void uring_query(struct gaio *io, struct gaio_info *info)
{
	info->sockets = info->files = "io_uring";
	info->sockets_why = io_of(io)->why;
	info->files_why = "in the ring of the sockets";
}

const struct aio_ops aio_uring = {
	.name = "io_uring",
	.io_size = sizeof(struct uring_io),
	.queue_size = sizeof(struct gaio_queue),
	.sock_size = sizeof(struct uring_sock),
	.file_size = sizeof(struct plain_file),
	.open = uring_open,
	.close = uring_close,
	.query = uring_query,
	.counter = plain_counter,
	.mem_register = plain_mem_register,
	.mem_deregister = plain_mem_deregister,
	.queue_open = aio_ring_open,
	.queue_close = aio_ring_close,
	.take = aio_ring_take,
	.waiting = aio_ring_waiting,
	.wait = uring_wait,
	.sock_open = plain_open,
	.listen = uring_listen,
	.accept = uring_accept,
	.connect = uring_connect,
	.recv = uring_recv,
	.send = uring_send,
	.send_file = uring_send_file,
	.shutdown = uring_shutdown,
	.sock_close = uring_sock_close,
	.address = plain_address,
	.file_open = plain_file_open,
	.file_adopt = plain_file_adopt,
	.file_rw = plain_file_rw,
	.file_stat = plain_file_stat,
	.file_sync = plain_file_sync,
	.file_close = plain_file_close,
	.file_idle = plain_file_idle,
};
