/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * plain.c - what is posted to a socket of the kernel's, and the events that it ends with.
 */
#include "dusi/aio/plain.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------------- the whole */

void plain_io_open(struct plain_io *io)
{
	link_init(&io->work);
	link_init(&io->starved);
	link_init(&io->file_ops);
}

static void free_entries(struct tx *t)
{
	while (t) {
		struct tx *next = t->next;

		free(t);
		t = next;
	}
}

void plain_io_close(struct plain_io *io)
{
	struct link *node;

	for (node = io->io.socks.next; node != &io->io.socks; node = node->next) {
		struct plain *s =
			plain_of((struct gaio_sock *)link_entry(node, struct aio_object, link));

		if (s->fd >= 0)
			close(s->fd);
		free_entries(s->tx_first);
	}
	free_entries(io->tx_free);
	plain_files_forget(io);
}

int plain_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value)
{
	static const char *const names[PLAIN_COUNTS] = {
		[COUNT_SYS_WAIT] = "sys_wait",
		[COUNT_SYS_RECV] = "sys_recv",
		[COUNT_SYS_SEND] = "sys_send",
		[COUNT_SYS_SENDFILE] = "sys_sendfile",
		[COUNT_SYS_ACCEPT] = "sys_accept",
		[COUNT_SYS_WATCH] = "sys_watch",
		[COUNT_SYS_OTHER] = "sys_other",
		[COUNT_SUBMITTED] = "submitted",
		[COUNT_RECV_BYTES] = "recv_bytes",
		[COUNT_SEND_BYTES] = "send_bytes",
		[COUNT_COPIES] = "copies",
		[COUNT_ACCEPT_STARVED] = "accept_starved",
		[COUNT_FILE_READ_BYTES] = "file_read_bytes",
		[COUNT_FILE_WRITE_BYTES] = "file_write_bytes",
	};

	if (i >= PLAIN_COUNTS)
		return -ENOENT;
	*name = names[i];
	*value = ((struct plain_io *)io)->counts[i];
	return 0;
}

/* The kernel checks each address itself, when it is used. */
int plain_mem_register(struct gaio *io, void *addr, size_t len, unsigned access,
		       struct gaio_mem *mem)
{
	(void)io, (void)addr, (void)len, (void)access;
	*mem = (struct gaio_mem){ 0 };
	return 0;
}

int plain_mem_deregister(struct gaio *io, struct gaio_mem mem)
{
	(void)io, (void)mem;
	return 0;
}

/* ------------------------------------------------------------------------- events */

static void put(struct plain *s, struct gaio_queue *q, enum gaio_op op, uint64_t tag, int status,
		size_t len)
{
	const struct gaio_event e = {
		.op = op,
		.status = status,
		.tag = tag,
		.context = s->s.o.context,
		.len = len,
		.sock = &s->s,
	};

	aio_put(q, &e);
}

void plain_rx_end(struct plain *s, int status, size_t len)
{
	s->rx_addr = NULL;
	plain_count(s, COUNT_RECV_BYTES, len);
	put(s, s->s.recv, GAIO_RECV, s->rx_tag, status, len);
}

void plain_tx_end(struct plain *s, int status)
{
	struct plain_io *io = plain_io_of(s);
	struct tx *t = s->tx_first;

	s->tx_first = t->next;
	if (!s->tx_first)
		s->tx_last = &s->tx_first;
	io->counts[COUNT_SEND_BYTES] += t->done;
	put(s, s->s.send, t->op, t->tag, status, t->done);
	t->next = io->tx_free;
	io->tx_free = t;
}

void plain_connected(struct plain *s, int status)
{
	s->state = PLAIN_CONNECTED;
	put(s, s->s.send, GAIO_CONNECT, s->cm_tag, status, 0);
	if (status)
		plain_fail(s, status);
}

void plain_accepted(struct plain *l, struct plain *child, int fd)
{
	link_del(&child->accepts);
	if (fd >= 0) {
		child->fd = fd;
		child->state = PLAIN_CONNECTED;
	} else {
		child->state = PLAIN_IDLE;
	}
	put(child, l->s.recv, GAIO_ACCEPT, child->cm_tag, fd < 0 ? fd : 0, 0);
}

void plain_fail(struct plain *s, int error)
{
	s->state = PLAIN_DEAD;
	s->error = error;
	if (s->rx_addr)
		plain_rx_end(s, error, 0);
	while (s->tx_first)
		plain_tx_end(s, error);
}

void plain_cancel_accept(struct plain *child)
{
	plain_accepted(plain_of(child->s.listener), child, -ECANCELED);
}

/* ------------------------------------------------------------------------ the socket */

int plain_open(struct gaio_sock *base)
{
	struct plain *s = plain_of(base);

	s->fd = -1;
	s->tx_last = &s->tx_first;
	link_init(&s->work);
	link_init(&s->accepts);
	return 0;
}

static int new_descriptor(struct plain *s, const struct sockaddr *addr, socklen_t len, int flags)
{
	const int on = 1;
	int fd;

	if (len < sizeof(addr->sa_family))
		return -EINVAL;
	if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -errno;
	/* accepted sockets have it from their listener */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	plain_count(s, COUNT_SYS_OTHER, 2);
	return fd;
}

static int listen_on(int fd, const struct sockaddr *addr, socklen_t len, int backlog, unsigned how)
{
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* the address that was asked for, and no other: as DUSI has it */
	if (addr->sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		return -errno;
	if (how & GAIO_REUSEPORT && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
		return -errno;
	if (how & GAIO_DEFER_ACCEPT &&
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on)))
		return -errno;
	if (bind(fd, addr, len) || listen(fd, backlog))
		return -errno;
	return 0;
}

int plain_listen(struct plain *s, const struct sockaddr *addr, socklen_t len, int backlog,
		 unsigned how, int flags)
{
	int fd, err;

	if (s->state != PLAIN_IDLE)
		return s->state == PLAIN_LISTENING ? -EINVAL : -EISCONN;
	fd = new_descriptor(s, addr, len, flags);
	if (fd < 0)
		return fd;
	err = listen_on(fd, addr, len, backlog, how);
	if (err) {
		close(fd);
		return err;
	}
	s->fd = fd;
	s->state = PLAIN_LISTENING;
	return 0;
}

int plain_connect(struct plain *s, const struct sockaddr *addr, socklen_t len, uint64_t tag,
		  int flags)
{
	int fd, err;

	if (s->state != PLAIN_IDLE)
		return s->state == PLAIN_LISTENING ? -EINVAL : -EISCONN;
	fd = new_descriptor(s, addr, len, flags);
	if (fd < 0)
		return fd;
	err = aio_reserve(s->s.send);
	if (err) {
		close(fd);
		return err;
	}
	s->fd = fd;
	s->cm_tag = tag;
	s->state = PLAIN_CONNECTING;
	return 0;
}

int plain_accept(struct plain *l, struct plain *child, uint64_t tag)
{
	int err;

	if (l->state != PLAIN_LISTENING)
		return -EINVAL;
	if (child->state != PLAIN_IDLE)
		return -EISCONN;
	err = aio_reserve(l->s.recv);
	if (err)
		return err;
	child->cm_tag = tag;
	child->state = PLAIN_WAITING;
	link_add(&l->accepts, &child->accepts);
	return 0;
}

int plain_address(struct gaio_sock *base, struct sockaddr_storage *addr, bool peer)
{
	struct plain *s = plain_of(base);
	socklen_t len = sizeof(*addr);

	if (s->fd < 0)
		return -ENOTCONN;
	memset(addr, 0, sizeof(*addr));
	if (peer ? getpeername(s->fd, (struct sockaddr *)addr, &len)
		 : getsockname(s->fd, (struct sockaddr *)addr, &len))
		return -errno;
	return 0;
}

/* ------------------------------------------------------------------------- posting */

int plain_recv(struct plain *s, const struct gaio_buf *buf, uint64_t tag)
{
	int err = aio_reserve(s->s.recv);

	if (err)
		return err;
	s->rx_addr = buf->addr;
	s->rx_len = buf->len;
	s->rx_tag = tag;
	if (s->state == PLAIN_DEAD)
		plain_rx_end(s, s->error, 0);
	return 0;
}

static struct tx *entry_new(struct plain *s, enum gaio_op op, uint64_t tag)
{
	struct plain_io *io = plain_io_of(s);
	struct tx *t = io->tx_free;

	if (aio_reserve(s->s.send))
		return NULL;
	if (t)
		io->tx_free = t->next;
	else
		t = malloc(sizeof(*t));
	if (!t) {
		s->s.send->reserved--;
		return NULL;
	}
	t->next = NULL;
	t->op = op;
	t->niov = t->at = 0;
	t->more = false;
	t->file = NULL;
	t->tag = tag;
	t->len = t->done = 0;
	return t;
}

static void entry_add(struct plain *s, struct tx *t)
{
	*s->tx_last = t;
	s->tx_last = &t->next;
	if (s->state == PLAIN_IDLE || s->state == PLAIN_LISTENING)
		plain_tx_end(s, -ENOTCONN);
	else if (s->state == PLAIN_DEAD)
		plain_tx_end(s, s->error);
}

int plain_send(struct plain *s, const struct gaio_buf *bufs, int n, unsigned flags, uint64_t tag)
{
	struct tx *t = entry_new(s, GAIO_SEND, tag);

	if (!t)
		return -ENOMEM;
	t->more = flags & GAIO_MORE;
	for (int i = 0; i < n; i++) {
		t->iov[i] = (struct iovec){ bufs[i].addr, bufs[i].len };
		t->len += bufs[i].len;
	}
	t->niov = n;
	entry_add(s, t);
	return 0;
}

int plain_send_file(struct plain *s, struct gaio_file *file, uint64_t offset, size_t len,
		    uint64_t tag)
{
	struct tx *t;

	if (plain_file_fd(file) < 0)
		return -EBADF;
	t = entry_new(s, GAIO_SEND, tag);
	if (!t)
		return -ENOMEM;
	t->file = file;
	t->offset = offset;
	t->len = len;
	entry_add(s, t);
	return 0;
}

int plain_shutdown(struct plain *s, uint64_t tag)
{
	struct tx *t = entry_new(s, GAIO_SHUTDOWN, tag);

	if (!t)
		return -ENOMEM;
	entry_add(s, t);
	return 0;
}

/* -------------------------------------------------------------------------- moving */

void plain_tx_moved(struct tx *t, size_t n)
{
	t->done += n;
	while (t->at < t->niov && n >= t->iov[t->at].iov_len)
		n -= t->iov[t->at++].iov_len;
	if (t->at == t->niov)
		return;
	t->iov[t->at].iov_base = (char *)t->iov[t->at].iov_base + n;
	t->iov[t->at].iov_len -= n;
}

/* sendfile(2) has no MSG_NOSIGNAL. */
static ssize_t quiet_sendfile(int out, int in, off_t *offset, size_t len)
{
	const struct timespec at_once = { 0 };
	sigset_t pipe, old;
	ssize_t n;
	int err;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	n = sendfile(out, in, offset, len);
	err = errno;
	/* when a part was sent, that is what it tells, and the signal is there all the same */
	if (n != (ssize_t)len && !sigismember(&old, SIGPIPE))
		sigtimedwait(&pipe, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = err;
	return n;
}

ssize_t plain_sendfile(struct plain *s, const struct tx *t, size_t max)
{
	int in = plain_file_fd(t->file);
	off_t offset = (off_t)(t->offset + t->done);
	size_t len = t->len - t->done;
	ssize_t n;

	if (len > max)
		len = max;
	plain_count(s, COUNT_SYS_SENDFILE, 1);
	plain_count(s, COUNT_SYS_OTHER, 2);
	n = quiet_sendfile(s->fd, in, &offset, len);
	return n < 0 ? -errno : n;
}

/* ------------------------------------------------------------------------- waiting */

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t plain_deadline(int64_t timeout_us)
{
	if (timeout_us <= 0)
		return timeout_us;
	return timeout_us < INT64_MAX / 2000 ? now_ns() + timeout_us * 1000 : -1;
}

bool plain_expired(int64_t deadline_ns)
{
	return !deadline_ns || (deadline_ns > 0 && now_ns() >= deadline_ns);
}

int64_t plain_time_left(const struct plain_io *io, int64_t deadline_ns)
{
	int64_t now, until = deadline_ns;

	if (plain_has_news(io) || !link_alone(&io->work) || !deadline_ns)
		return 0;
	if (!link_alone(&io->starved) && (until < 0 || io->starved_until_ns < until))
		until = io->starved_until_ns;
	if (until < 0)
		return -1;
	now = now_ns();
	return until > now ? until - now : 0;
}

void plain_starve(struct plain *s)
{
	struct plain_io *io = plain_io_of(s);

	io->counts[COUNT_ACCEPT_STARVED]++;
	if (link_alone(&io->starved))
		io->starved_until_ns = now_ns() + STARVED_MS * INT64_C(1000000);
	link_del(&s->work);
	link_add(&io->starved, &s->work);
}

void plain_feed_in_time(struct plain_io *io)
{
	if (!link_alone(&io->starved) && now_ns() >= io->starved_until_ns)
		plain_feed(io);
}

/* -------------------------------------------------------------------------- errors */

bool plain_op_error(int err)
{
	switch (err) {
	case -EFAULT:
	case -ENOMEM:
	case -ENOBUFS:
	case -EINVAL:
	case -EIO:
	case -EBADF:
	case -EOVERFLOW:
	case -EOPNOTSUPP:
	case -ENODATA:
		return true;
	default:
		return false;
	}
}

bool plain_accept_again(int err)
{
	switch (err) {
	case -EINTR:
	case -ECONNABORTED:
	case -EPROTO:
	case -EPERM:
	case -ENETDOWN:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENONET:
	case -ETIMEDOUT:
	case -ECONNRESET:
		return true;
	default:
		return false;
	}
}

bool plain_accept_starved(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;
}
