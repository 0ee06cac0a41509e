/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* receive_streams.c - the connections of `receive`, and what watches them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "receive.h"

#define POOL_SIZE ((size_t)BUFFERS * MESSAGE_MAX)
#define BUFS_SIZE (BUFFERS * sizeof(struct io_uring_buf))

/* ------------------------------------------------------------------------ connections */

static int listener_open(struct sockaddr_in *sa)
{
	socklen_t len = sizeof(*sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*sa = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0)
		return -1;
	if (!bind(fd, (struct sockaddr *)sa, len) && !listen(fd, 1) &&
	    !getsockname(fd, (struct sockaddr *)sa, &len))
		return fd;
	close(fd);
	return -1;
}

static int connect_one(struct stream *c, int listener, const struct sockaddr_in *sa)
{
	int on = 1;

	c->from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->from < 0 || connect(c->from, (const struct sockaddr *)sa, sizeof(*sa)))
		return -1;
	c->to = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->to < 0)
		return -1;
	return setsockopt(c->from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int connect_all(struct streams *s)
{
	struct sockaddr_in sa;
	int listener = listener_open(&sa), err = listener < 0 ? -1 : 0, why;

	for (int i = 0; i < s->n && !err; i++)
		err = connect_one(&s->at[i], listener, &sa);
	why = errno;
	if (listener >= 0)
		close(listener);
	errno = why;
	return err;
}

/* A header and what it heads, as the engine sends it. */
static void name_message(struct streams *s, struct stream *c)
{
	size_t head = s->size < 16 ? s->size : 16;

	c->parts[0] = (struct iovec){ s->message, head };
	c->parts[1] = (struct iovec){ s->message + head, s->size - head };
	c->msg.msg_iov = c->parts;
	c->msg.msg_iovlen = s->size > head ? 2 : 1;
}

/* ---------------------------------------------------------------------------- watching */

static int watch_by_epoll(struct streams *s)
{
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epfd < 0)
		return -1;
	for (int i = 0; i < s->n; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
					  .data.u32 = (uint32_t)i };

		if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->at[i].to, &ev))
			return -1;
	}
	return 0;
}

/* As that of the fabric, where one thread has it for itself. */
static int ring_open(struct streams *s)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG,
		.cq_entries = 4 * STREAMS_MAX,
	};

	errno = -io_uring_queue_init_params(STREAMS_MAX, &s->ring, &params);
	s->has_ring = !errno;
	return errno ? -1 : 0;
}

static int provide_buffers(struct streams *s)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS };

	s->memfd = memfd_create("receive", MFD_CLOEXEC);
	if (s->memfd < 0 || ftruncate(s->memfd, POOL_SIZE))
		return -1;
	s->pool = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	s->bufs = mmap(NULL, BUFS_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->pool == MAP_FAILED || s->bufs == MAP_FAILED)
		return -1;
	memset(s->pool, 0, POOL_SIZE);
	reg.ring_addr = (uintptr_t)s->bufs;
	errno = -io_uring_register_buf_ring(&s->ring, &reg, 0);
	if (errno)
		return -1;
	io_uring_buf_ring_init(s->bufs);
	for (int i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(s->bufs, s->pool + (size_t)i * MESSAGE_MAX, MESSAGE_MAX,
				      (unsigned short)i, BUFFERS - 1, i);
	io_uring_buf_ring_advance(s->bufs, BUFFERS);
	return 0;
}

static int watch_by_ring(struct streams *s)
{
	int n;

	if (ring_open(s) || (s->watch == WATCH_MULTISHOT && provide_buffers(s)))
		return -1;
	if (s->watch == WATCH_NOTHING)
		return 0;
	for (int i = 0; i < s->n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

		if (s->watch == WATCH_POLL) {
			io_uring_prep_poll_multishot(sqe, s->at[i].to,
						     POLLIN | POLLOUT | POLLRDHUP);
		} else {
			io_uring_prep_recv_multishot(sqe, s->at[i].to, NULL, 0, 0);
			sqe->flags |= IOSQE_BUFFER_SELECT;
		}
		sqe->user_data = (uint64_t)i;
	}
	n = io_uring_submit(&s->ring);
	errno = n < 0 ? -n : EIO;
	return n == s->n ? 0 : -1;
}

/* -------------------------------------------------------------------------- open, close */

static struct streams *streams_alloc(enum watch watch, int n, unsigned size)
{
	struct streams *s = calloc(1, sizeof(*s) + (size_t)n * sizeof(s->at[0]));

	if (!s)
		return NULL;
	s->watch = watch;
	s->n = n;
	s->size = size;
	s->epfd = s->memfd = -1;
	s->pool = MAP_FAILED;
	s->bufs = MAP_FAILED;
	for (int i = 0; i < n; i++) {
		s->at[i].from = s->at[i].to = -1;
		name_message(s, &s->at[i]);
		memset(s->at[i].target, 1, MESSAGE_MAX);
	}
	return s;
}

struct streams *streams_open(enum watch watch, int n, unsigned size)
{
	struct streams *s = streams_alloc(watch, n, size);
	int why;

	if (!s)
		return NULL;
	if (!connect_all(s) && !(watch == WATCH_EPOLL ? watch_by_epoll(s) : watch_by_ring(s)))
		return s;
	why = errno;
	streams_close(s);
	errno = why;
	return NULL;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

void streams_close(struct streams *s)
{
	if (!s)
		return;
	if (s->has_ring)
		io_uring_queue_exit(&s->ring);
	for (int i = 0; i < s->n; i++) {
		close_if(s->at[i].from);
		close_if(s->at[i].to);
	}
	close_if(s->epfd);
	close_if(s->memfd);
	if (s->pool != MAP_FAILED)
		munmap(s->pool, POOL_SIZE);
	if (s->bufs != MAP_FAILED)
		munmap(s->bufs, BUFS_SIZE);
	free(s);
}
