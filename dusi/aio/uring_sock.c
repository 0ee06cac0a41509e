/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring_sock.c - sockets of the io_uring back end.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dusi/aio/uring.h"

#define BURST (1u << 20) /* bytes of a file before others have their turn */

static struct uring_sock *sock_of(struct gaio_sock *s)
{
	return (struct uring_sock *)s;
}

static struct uring_io *io_of_sock(const struct uring_sock *s)
{
	return (struct uring_io *)s->st.s.o.io;
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
	sqe = aio_uring_entry(io);
	if (!sqe) {
		plain_work(&s->st);
		return;
	}
	io_uring_prep_recv(sqe, s->st.fd, s->st.rx_addr, s->st.rx_len, 0);
	if (s->rx_poll_first)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	aio_uring_entry_set(io, sqe, s, KIND_RECV);
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
	struct io_uring_sqe *sqe = aio_uring_entry(io);

	if (!sqe)
		return -EBUSY;
	if (t->niov - t->at == 1)
		io_uring_prep_send(sqe, s->st.fd, t->iov[t->at].iov_base, t->iov[t->at].iov_len,
				   flags);
	else
		io_uring_prep_sendmsg(sqe, s->st.fd, plain_tx_msg(t), flags);
	aio_uring_entry_set(io, sqe, s, KIND_SEND);
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
	sqe = aio_uring_entry(io);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_poll_add(sqe, s->st.fd, POLLOUT);
	aio_uring_entry_set(io, sqe, s, KIND_POLL);
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
	sqe = aio_uring_entry(io);
	if (!sqe) {
		plain_work(&child->st);
		return;
	}
	io_uring_prep_accept(sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	aio_uring_entry_set(io, sqe, child, KIND_ACCEPT);
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
		aio_uring_close_fd(io_of_sock(child), res);
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

/* ----------------------------------------------------------------------- running */

void aio_uring_sock_run(struct uring_sock *s)
{
	if (s->st.state == PLAIN_WAITING) {
		accept_start(s);
		return;
	}
	rx_start(s);
	tx_start(s);
}

void aio_uring_sock_ended(struct uring_sock *s, enum kind kind, int res, unsigned flags)
{
	switch (kind) {
	case KIND_RECV:
		rx_ended(s, res, flags);
		break;
	case KIND_SEND:
		send_ended(s, res);
		break;
	case KIND_POLL:
		poll_ended(s);
		break;
	case KIND_ACCEPT:
		accept_ended(s, res);
		break;
	default:
		connect_ended(s, res);
		break;
	}
}

/* ----------------------------------------------------------------------- sockets */

int aio_uring_listen(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len, int backlog,
		     unsigned flags)
{
	return plain_listen(plain_of(s), addr, len, backlog, flags, 0);
}

int aio_uring_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag)
{
	int err = plain_accept(plain_of(l), plain_of(child), tag);

	if (!err)
		accept_start(sock_of(child));
	return err;
}

int aio_uring_connect(struct gaio_sock *base, const struct sockaddr *addr, socklen_t len,
		      uint64_t tag)
{
	struct uring_sock *s = sock_of(base);
	struct uring_io *io = io_of_sock(s);
	struct io_uring_sqe *sqe;
	int err;

	if (len > sizeof(s->to))
		return -EINVAL;
	err = plain_connect(&s->st, addr, len, tag, 0);
	if (err)
		return err;
	sqe = aio_uring_entry(io);
	if (!sqe) {
		plain_connected(&s->st, -EAGAIN);
		return 0;
	}
	memcpy(&s->to, addr, len);
	io_uring_prep_connect(sqe, s->st.fd, (struct sockaddr *)&s->to, len);
	aio_uring_entry_set(io, sqe, s, KIND_CONNECT);
	s->cm_busy = true;
	return 0;
}

int aio_uring_recv(struct gaio_sock *base, const struct gaio_buf *buf, uint64_t tag)
{
	int err = plain_recv(plain_of(base), buf, tag);

	if (!err)
		rx_start(sock_of(base));
	return err;
}

int aio_uring_send(struct gaio_sock *base, const struct gaio_buf *bufs, int n, unsigned flags,
		   uint64_t tag)
{
	int err = plain_send(plain_of(base), bufs, n, flags, tag);

	if (!err)
		tx_start(sock_of(base));
	return err;
}

int aio_uring_send_file(struct gaio_sock *base, struct gaio_file *file, uint64_t offset, size_t len,
			uint64_t tag)
{
	int err = plain_send_file(plain_of(base), file, offset, len, tag);

	if (!err)
		tx_start(sock_of(base));
	return err;
}

int aio_uring_shutdown(struct gaio_sock *base, uint64_t tag)
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
			aio_uring_cancel(io_of_sock(l), child, KIND_ACCEPT);
			continue;
		}
		link_del(&child->work);
		plain_cancel_accept(child);
	}
}

void aio_uring_sock_close(struct gaio_sock *base)
{
	struct uring_sock *s = sock_of(base);
	struct uring_io *io = io_of_sock(s);
	enum plain_state state = s->st.state;

	link_del(&s->st.work);
	cancel_accepts(s);
	if (s->cm_busy)
		aio_uring_cancel(io, s, state == PLAIN_WAITING ? KIND_ACCEPT : KIND_CONNECT);
	else if (state == PLAIN_WAITING)
		plain_cancel_accept(&s->st);
	/* what cannot be cancelled, the kernel taking no entry, ends with the connection */
	if (s->rx_busy && !aio_uring_cancel(io, s, KIND_RECV))
		shutdown(s->st.fd, SHUT_RDWR);
	if (s->tx_busy && !aio_uring_cancel(io, s, s->st.tx_first->file ? KIND_POLL : KIND_SEND))
		shutdown(s->st.fd, SHUT_RDWR);
	/* the connection's or the accept's event goes before the others */
	if (!s->cm_busy)
		sock_flush(s, -ECANCELED);
	if (s->st.fd < 0)
		return;
	aio_uring_close_fd(io, s->st.fd);
	s->st.fd = -1;
}
