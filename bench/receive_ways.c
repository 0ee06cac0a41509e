/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* receive_ways.c - the ways to receive from many connections, and to send to them. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "receive.h"

/* Cookies: the number of a stream; with this for a request that ends at once. */
#define REQUEST ((uint64_t)1 << 32)

#define RX_FLAGS MSG_DONTWAIT
#define TX_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

/* ----------------------------------------------------------------------- system calls */

/* Bytes, none if there were none; or -errno. */
static ssize_t outcome(struct stream *c, ssize_t ret)
{
	if (ret == -EAGAIN)
		return 0;
	if (ret == 0)
		return -ECONNRESET;
	if (ret > 0)
		c->filled += (unsigned)ret;
	return ret;
}

/* Where the rest of its message belongs. */
static char *place(struct stream *c)
{
	return c->target + c->filled % MESSAGE_MAX;
}

static size_t room(const struct stream *c)
{
	return MESSAGE_MAX - c->filled % MESSAGE_MAX;
}

static ssize_t receive_one(struct stream *c)
{
	ssize_t ret = recv(c->to, place(c), room(c), RX_FLAGS);

	return outcome(c, ret < 0 ? -errno : ret);
}

static ssize_t step_epoll(struct streams *s, const struct way *w)
{
	struct epoll_event ev[STREAMS_MAX];
	int n = epoll_wait(s->epfd, ev, STREAMS_MAX, 0);
	ssize_t got = 0;

	(void)w;
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		ssize_t ret = 0;

		if (ev[i].events & EPOLLIN)
			ret = receive_one(&s->at[ev[i].data.u32]);
		if (ret < 0)
			return ret;
		got += ret;
	}
	return got;
}

int streams_receive(struct streams *s)
{
	for (int i = 0; i < s->n; i++) {
		struct stream *c = &s->at[i];

		while (c->filled < s->size) {
			ssize_t ret = receive_one(c);

			if (ret <= 0)
				return ret ? (int)ret : -ENODATA;
		}
	}
	return 0;
}

static ssize_t step_sendmsg(struct streams *s, const struct way *w)
{
	ssize_t sent = 0;

	(void)w;
	for (int i = 0; i < s->n; i++) {
		ssize_t ret = sendmsg(s->at[i].from, &s->at[i].msg, TX_FLAGS);

		if (ret < 0)
			return -errno;
		sent += ret;
	}
	return sent;
}

int streams_send(struct streams *s)
{
	ssize_t sent = step_sendmsg(s, NULL);

	if (sent < 0)
		return (int)sent;
	return sent == (ssize_t)s->n * s->size ? 0 : -ENOBUFS;
}

int streams_answer(struct streams *s)
{
	char byte = 0;

	for (int i = 0; i < s->n; i++)
		if (send(s->at[i].to, &byte, 1, TX_FLAGS) != 1)
			return -errno;
	for (int i = 0; i < s->n; i++)
		if (recv(s->at[i].from, &byte, 1, RX_FLAGS) != 1)
			return -errno;
	return 0;
}

/* ------------------------------------------------------------ a ring: polls and batches */

static int enter(struct streams *s)
{
	int ret = io_uring_submit_and_get_events(&s->ring);

	return ret < 0 ? ret : 0;
}

/* What polls say goes to ->ready. Returns what requests brought: bytes, or -errno. */
static ssize_t reap(struct streams *s)
{
	struct io_uring_cqe *cqes[STREAMS_MAX];
	unsigned n = io_uring_peek_batch_cqe(&s->ring, cqes, STREAMS_MAX);
	ssize_t bytes = 0, err = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t cookie = cqes[i]->user_data;
		int res = cqes[i]->res;

		if (cookie & REQUEST) {
			ssize_t ret = outcome(&s->at[cookie & (REQUEST - 1)], res);

			if (ret < 0)
				err = ret;
			else
				bytes += ret;
		} else if (res < 0 || !(cqes[i]->flags & IORING_CQE_F_MORE)) {
			err = res < 0 ? res : -ECANCELED;
		} else if ((res & POLLIN) && s->nready < STREAMS_MAX) {
			s->ready[s->nready++] = (int)cookie;
		}
	}
	io_uring_cq_advance(&s->ring, n);
	return err ? err : bytes;
}

static ssize_t look(struct streams *s)
{
	int err = enter(s);

	return err ? err : reap(s);
}

static ssize_t step_poll_recv(struct streams *s, const struct way *w)
{
	ssize_t got = look(s);

	(void)w;
	for (int i = 0; i < s->nready && got >= 0; i++) {
		ssize_t ret = receive_one(&s->at[s->ready[i]]);

		got = ret < 0 ? ret : got + ret;
	}
	s->nready = 0;
	return got;
}

static ssize_t step_poll_batch(struct streams *s, const struct way *w)
{
	ssize_t got = look(s), more;

	(void)w;
	if (got < 0 || !s->nready)
		return got;
	for (int i = 0; i < s->nready; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
		struct stream *c = &s->at[s->ready[i]];

		io_uring_prep_recv(sqe, c->to, place(c), room(c), RX_FLAGS);
		sqe->user_data = REQUEST | (uint64_t)s->ready[i];
	}
	s->nready = 0;
	more = look(s);
	return more < 0 ? more : got + more;
}

static ssize_t step_send_batch(struct streams *s, const struct way *w)
{
	ssize_t sent;

	(void)w;
	for (int i = 0; i < s->n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

		io_uring_prep_sendmsg(sqe, s->at[i].from, &s->at[i].msg, TX_FLAGS);
		sqe->user_data = REQUEST | (uint64_t)i;
	}
	sent = look(s);
	for (int i = 0; i < s->n; i++)
		s->at[i].filled = 0; /* it was the sender's count */
	return sent;
}

/* ------------------------------------------------------------ a ring: provided buffers */

static int copy_plain(struct streams *s, unsigned buffer, char *to, size_t len)
{
	memcpy(to, s->pool + (size_t)buffer * MESSAGE_MAX, len);
	return 0;
}

static int copy_pread(struct streams *s, unsigned buffer, char *to, size_t len)
{
	ssize_t ret = pread(s->memfd, to, len, (off_t)buffer * MESSAGE_MAX);

	if (ret < 0)
		return -errno;
	return (size_t)ret == len ? 0 : -EIO;
}

static int copy_writev(struct streams *s, unsigned buffer, char *to, size_t len)
{
	struct iovec from = { s->pool + (size_t)buffer * MESSAGE_MAX, len }, into = { to, len };
	ssize_t ret = process_vm_writev(getpid(), &from, 1, &into, 1, 0);

	if (ret < 0)
		return -errno;
	return (size_t)ret == len ? 0 : -EIO;
}

static ssize_t take_buffer(struct streams *s, const struct way *w, const struct io_uring_cqe *cqe,
			   unsigned nth)
{
	struct stream *c = &s->at[cqe->user_data];
	unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	int err;

	if (cqe->res <= 0 || !(cqe->flags & IORING_CQE_F_MORE))
		return cqe->res < 0 ? cqe->res : -ECANCELED;
	if ((size_t)cqe->res > room(c))
		return -EMSGSIZE;
	err = w->copy(s, buffer, place(c), (size_t)cqe->res);
	io_uring_buf_ring_add(s->bufs, s->pool + (size_t)buffer * MESSAGE_MAX, MESSAGE_MAX,
			      (unsigned short)buffer, BUFFERS - 1, (int)nth);
	return err ? err : outcome(c, cqe->res);
}

static ssize_t step_multishot(struct streams *s, const struct way *w)
{
	struct io_uring_cqe *cqes[STREAMS_MAX];
	ssize_t got = enter(s);
	unsigned n, took;

	if (got < 0)
		return got;
	n = io_uring_peek_batch_cqe(&s->ring, cqes, STREAMS_MAX);
	for (took = 0; took < n && got >= 0; took++) {
		ssize_t ret = take_buffer(s, w, cqes[took], took);

		got = ret < 0 ? ret : got + ret;
	}
	io_uring_buf_ring_advance(s->bufs, (int)took);
	io_uring_cq_advance(&s->ring, n);
	return got;
}

/* ----------------------------------------------------------------------------- the ways */

const struct way ways[WAYS] = {
	{ "epoll_wait, recv(2) each", WATCH_EPOLL, false, step_epoll, NULL },
	{ "ring: polls, recv(2) each", WATCH_POLL, false, step_poll_recv, NULL },
	{ "ring: polls, receives in one entry", WATCH_POLL, false, step_poll_batch, NULL },
	{ "ring: multishot receive, memcpy", WATCH_MULTISHOT, false, step_multishot, copy_plain },
	{ "... pread from a memfd", WATCH_MULTISHOT, false, step_multishot, copy_pread },
	{ "... process_vm_writev", WATCH_MULTISHOT, false, step_multishot, copy_writev },
	{ "sendmsg(2) each", WATCH_NOTHING, true, step_sendmsg, NULL },
	{ "ring: sends in one entry", WATCH_NOTHING, true, step_send_batch, NULL },
};
