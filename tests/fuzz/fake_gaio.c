// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * fake_gaio.c - sockets, files and queues in memory: the program's calls. See fake_gaio.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_objects.h"

#define REGIONS 64

struct region {
	char *addr;
	size_t len;
	unsigned access;
};

struct gaio {
	int dummy;
};

struct gaio_queue fake_queues[QUEUES];
struct gaio_sock fake_socks[SOCKETS];
struct gaio_file fake_files[FILES];
int fake_refuse;

static struct gaio the_gaio;
static struct region regions[REGIONS];
static unsigned accepts;

void fake_fail(const char *what)
{
	fprintf(stderr, "fake_gaio: %s\n", what);
	abort();
}

/* ----------------------------------------------------------------------------------- queues */

void fake_push(struct gaio_queue *q, const struct gaio_event *event)
{
	check(q && q->used, "an event for no queue");
	if (q->first) {
		memmove(q->events, q->events + q->first, q->count * sizeof(*event));
		q->first = 0;
	}
	if (q->count == q->room) {
		q->room = q->room ? q->room * 2 : 16;
		q->events = realloc(q->events, q->room * sizeof(*event));
		check(q->events, "no memory");
	}
	q->events[q->count++] = *event;
	fake.events++;
}

void fake_push_sock(struct gaio_sock *s, struct gaio_queue *q, enum gaio_op op, int status,
		    size_t len, uint64_t tag)
{
	fake_push(q, &(struct gaio_event){ op, status, tag, s->attr.context, len, s, NULL });
}

int gaio_queue_create(struct gaio *io, uint32_t size, struct gaio_queue **queue)
{
	(void)io;
	check(size, "a queue of no size");
	for (int i = 0; i < QUEUES; i++) {
		if (fake_queues[i].used)
			continue;
		fake_queues[i] = (struct gaio_queue){ .used = true };
		*queue = &fake_queues[i];
		fake.queues++;
		return 0;
	}
	return -ENOMEM;
}

int gaio_queue_destroy(struct gaio_queue *queue)
{
	check(queue->used, "a queue that is none");
	if (queue->bound)
		return -EBUSY;
	free(queue->events);
	*queue = (struct gaio_queue){ 0 };
	fake.queues--;
	return 0;
}

void fake_unbind(struct gaio_sock *s)
{
	s->attr.recv->bound--;
	s->attr.send->bound--;
	s->attr.close->bound--;
}

int gaio_take(struct gaio_queue *queue, struct gaio_event *events, int max)
{
	int n = 0;

	check(queue->used && max > 0, "gaio_take()");
	while (n < max && queue->count) {
		struct gaio_event *e = &queue->events[queue->first];

		events[n++] = *e;
		queue->first++;
		queue->count--;
		if (e->op == GAIO_CLOSE && e->sock)
			e->sock->state = CLOSED;
		if (e->op == GAIO_CLOSE && e->file)
			e->file->used = false;
	}
	return n;
}

unsigned gaio_waiting(struct gaio_queue *queue)
{
	return (unsigned)queue->count;
}

/* ----------------------------------------------------------------------------------- memory */

int gaio_register(struct gaio *io, void *addr, size_t len, unsigned access, struct gaio_mem *mem)
{
	(void)io;
	check(addr && len, "registration of nothing");
	for (uint32_t i = 0; i < REGIONS; i++) {
		if (regions[i].addr)
			continue;
		regions[i] = (struct region){ addr, len, access };
		*mem = (struct gaio_mem){ i, ~i };
		fake.regions++;
		return 0;
	}
	return -ENOSPC;
}

static struct region *region_of(struct gaio_mem mem)
{
	check(mem.region < REGIONS && mem.tag == ~mem.region && regions[mem.region].addr,
	      "memory that is not registered");
	return &regions[mem.region];
}

int gaio_deregister(struct gaio *io, struct gaio_mem mem)
{
	(void)io;
	region_of(mem)->addr = NULL;
	fake.regions--;
	return 0;
}

void fake_check_buf(const struct gaio_buf *buf, unsigned access)
{
	const struct region *r = region_of(buf->mem);
	const char *addr = buf->addr;

	check(r->access & access, "memory that is registered for something else");
	check(addr >= r->addr && buf->len <= r->len && addr - r->addr <= (long)(r->len - buf->len),
	      "memory outside of its region");
}

/* ---------------------------------------------------------------------------------- sockets */

static void check_sock(const struct gaio_sock *s)
{
	check(s >= fake_socks && s < fake_socks + SOCKETS && s->state != FREE, "no socket");
	check(s->state != CLOSED, "a socket after its last event");
}

static bool is_refused(int *err)
{
	*err = fake_refuse;
	fake_refuse = 0;
	return *err;
}

int gaio_socket(struct gaio *io, const struct gaio_socket_attr *attr, struct gaio_sock **sock)
{
	(void)io;
	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &fake_socks[i];

		if (s->state != FREE)
			continue;
		*s = (struct gaio_sock){ .state = FRESH, .attr = *attr };
		s->attr.recv->bound++;
		s->attr.send->bound++;
		s->attr.close->bound++;
		fake.open_sockets++;
		*sock = s;
		return 0;
	}
	return -ENOSPC;
}

int gaio_listen(struct gaio_sock *sock, const struct sockaddr *addr, socklen_t len, int backlog,
		unsigned flags)
{
	(void)addr;
	(void)len;
	(void)backlog;
	(void)flags;
	check_sock(sock);
	check(sock->state == FRESH, "listening twice");
	sock->state = LISTENING;
	return 0;
}

int gaio_accept(struct gaio_sock *listener, struct gaio_sock *child, uint64_t tag)
{
	int err;

	check_sock(listener);
	check_sock(child);
	check(listener->state == LISTENING && child->state == FRESH, "gaio_accept()");
	if (is_refused(&err))
		return err;
	child->state = ACCEPTING;
	child->accept_tag = tag;
	child->order = accepts++;
	return 0;
}

int gaio_connect(struct gaio_sock *sock, const struct sockaddr *addr, socklen_t len, uint64_t tag)
{
	(void)sock;
	(void)addr;
	(void)len;
	(void)tag;
	return -EOPNOTSUPP;
}

static void disturb(struct gaio_sock *s)
{
	if (s->peer)
		s->peer->disturbed = true;
}

int gaio_recv(struct gaio_sock *sock, const struct gaio_buf *buf, uint64_t tag)
{
	int err;

	check_sock(sock);
	fake_check_buf(buf, GAIO_WRITE);
	check(buf->len, "a receive of nothing");
	check(sock->state == ACCEPTING || sock->state == OPEN, "a receive on a closed socket");
	check(!sock->receiving, "two receives");
	if (is_refused(&err)) {
		disturb(sock);
		return err;
	}
	sock->receiving = true;
	sock->recv_buf = *buf;
	sock->recv_tag = tag;
	memset(buf->addr, 0xa5, buf->len);
	return 0;
}

static struct send_op *post_send(struct gaio_sock *sock, uint64_t tag, int *err)
{
	struct send_op *op = &sock->sends[sock->n_sends];

	check_sock(sock);
	check(sock->state == OPEN, "a send on a socket that is not connected");
	check(sock->n_sends < SENDS, "three sends");
	if (is_refused(err)) {
		disturb(sock);
		return NULL;
	}
	sock->n_sends++;
	*op = (struct send_op){ .tag = tag };
	return op;
}

int gaio_send(struct gaio_sock *sock, const struct gaio_buf *bufs, int n, unsigned flags,
	      uint64_t tag)
{
	struct send_op *op;
	size_t at = 0;
	int err;

	(void)flags;
	check(n > 0 && n <= GAIO_BUFS_MAX, "a send of no pieces");
	for (int i = 0; i < n; i++)
		fake_check_buf(&bufs[i], GAIO_READ);
	op = post_send(sock, tag, &err);
	if (!op)
		return err;
	op->n = n;
	memcpy(op->bufs, bufs, (size_t)n * sizeof(*bufs));
	for (int i = 0; i < n; i++)
		op->len += bufs[i].len;
	op->copy = malloc(op->len + 1);
	check(op->copy, "no memory");
	for (int i = 0; i < n; at += bufs[i++].len)
		memcpy(op->copy + at, bufs[i].addr, bufs[i].len);
	return 0;
}

static void check_file(const struct gaio_file *f)
{
	check(f >= fake_files && f < fake_files + FILES && f->used && !f->closing, "no open file");
}

int gaio_send_file(struct gaio_sock *sock, struct gaio_file *file, uint64_t offset, size_t len,
		   uint64_t tag)
{
	struct send_op *op;
	int err;

	check_file(file);
	check(len, "a send of nothing");
	op = post_send(sock, tag, &err);
	if (!op)
		return err;
	op->file = file;
	op->offset = offset;
	op->len = len;
	op->copy = malloc(len);
	check(op->copy && pread(file->fd, op->copy, len, (off_t)offset) == (ssize_t)len,
	      "a send of more than the file has");
	file->busy++;
	return 0;
}

int gaio_shutdown(struct gaio_sock *sock, uint64_t tag)
{
	int err;
	struct send_op *op = post_send(sock, tag, &err);

	if (!op)
		return err;
	op->shutdown = true;
	return 0;
}

void gaio_close_sock(struct gaio_sock *sock, uint64_t tag)
{
	check_sock(sock);
	check(sock->state != CLOSING, "closed twice");
	if (sock->peer)
		sock->peer->gone = true;
	if (sock->state == ACCEPTING)
		fake_push_sock(sock, sock->attr.recv, GAIO_ACCEPT, -ECANCELED, 0, sock->accept_tag);
	sock->state = CLOSING;
	sock->close_tag = tag;
}

int gaio_local_addr(struct gaio_sock *sock, struct sockaddr_storage *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };

	check_sock(sock);
	*addr = (struct sockaddr_storage){ 0 };
	memcpy(addr, &in, sizeof(in));
	return 0;
}

int gaio_peer_addr(struct gaio_sock *sock, struct sockaddr_storage *addr)
{
	return sock->peer ? gaio_local_addr(sock, addr) : -ENOTCONN;
}

/* ------------------------------------------------------------------------------------ files */

static struct gaio_file *new_file(struct gaio_queue *queue, uint64_t context, int fd)
{
	for (int i = 0; i < FILES; i++) {
		if (fake_files[i].used)
			continue;
		fake_files[i] = (struct gaio_file){
			.used = true, .fd = fd, .queue = queue, .context = context
		};
		fake.open_files++;
		return &fake_files[i];
	}
	return NULL;
}

int gaio_open_file(struct gaio *io, struct gaio_queue *queue, uint64_t context,
		   const struct gaio_open_how *how, uint64_t tag, struct gaio_file **file)
{
	struct open_how real = { .flags = how->flags, .mode = how->mode, .resolve = how->resolve };
	int err;

	(void)io;
	if (is_refused(&err))
		return err;
	*file = new_file(queue, context, -EIO);
	if (!*file)
		return -EAGAIN;
	(*file)->fd = (int)syscall(SYS_openat2, how->dirfd, how->path, &real, sizeof(real));
	if ((*file)->fd < 0)
		(*file)->fd = -errno;
	(*file)->opening = true;
	(*file)->open_tag = tag;
	return 0;
}

int gaio_adopt_file(struct gaio *io, struct gaio_queue *queue, uint64_t context, int fd,
		    struct gaio_file **file)
{
	(void)io;
	*file = new_file(queue, context, fd);
	return *file ? 0 : -ENOSPC;
}

int gaio_read_file(struct gaio_file *file, const struct gaio_buf *buf, uint64_t offset,
		   uint64_t tag)
{
	(void)file;
	(void)buf;
	(void)offset;
	(void)tag;
	return -EOPNOTSUPP;
}

int gaio_write_file(struct gaio_file *file, const struct gaio_buf *buf, uint64_t offset,
		    uint64_t tag)
{
	(void)offset;
	check_file(file);
	fake_check_buf(buf, GAIO_READ);
	if (file->writing)
		return -EAGAIN;
	file->writing = true;
	file->write_tag = tag;
	file->write_len = buf->len;
	file->busy++;
	return 0;
}

int gaio_stat_file(struct gaio_file *file, struct statx *st, uint64_t tag)
{
	(void)file;
	(void)st;
	(void)tag;
	return -EOPNOTSUPP;
}

int gaio_sync_file(struct gaio_file *file, uint64_t tag)
{
	(void)file;
	(void)tag;
	return -EOPNOTSUPP;
}

void gaio_close_file(struct gaio_file *file, uint64_t tag)
{
	check_file(file);
	file->closing = true;
	file->close_tag = tag;
}

/* --------------------------------------------------------------------------------- the rest */

int gaio_open(const struct gaio_attr *attr, struct gaio **io)
{
	(void)attr;
	*io = &the_gaio;
	return 0;
}

void fake_end_send(struct gaio_sock *s)
{
	if (s->sends[0].file)
		s->sends[0].file->busy--;
	free(s->sends[0].copy);
	s->n_sends--;
	memmove(s->sends, s->sends + 1, (size_t)s->n_sends * sizeof(s->sends[0]));
}

/* "Closes what is left in it" */
void gaio_close(struct gaio *io)
{
	(void)io;
	for (int i = 0; i < SOCKETS; i++)
		while (fake_socks[i].n_sends)
			fake_end_send(&fake_socks[i]);
	for (int i = 0; i < FILES; i++) {
		if (!fake_files[i].used || fake_files[i].closed)
			continue;
		if (fake_files[i].fd >= 0)
			close(fake_files[i].fd);
		fake_files[i].used = false;
		/* one that was being closed is as good as closed */
		fake.open_files -= fake_files[i].closing;
	}
	for (int i = 0; i < QUEUES; i++) {
		if (!fake_queues[i].used)
			continue;
		fake_queues[i].bound = 0;
		gaio_queue_destroy(&fake_queues[i]);
	}
}

void gaio_query(struct gaio *io, struct gaio_info *info)
{
	(void)io;
	*info = (struct gaio_info){ "fake", "fake", "test", "fake", "test" };
}

const char *gaio_backend(unsigned i)
{
	return i ? NULL : "fake";
}

int gaio_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value)
{
	(void)io;
	*name = "steps";
	*value = 1;
	return i ? -ENOENT : 0;
}

/* ------------------------------------------------------------------------------------ worlds */

void fake_reset_objects(void)
{
	memset(fake_socks, 0, sizeof(fake_socks));
	memset(fake_files, 0, sizeof(fake_files));
	accepts = 0;
	fake_refuse = 0;
}

void fake_free_objects(void)
{
	for (int i = 0; i < QUEUES; i++)
		free(fake_queues[i].events);
	memset(fake_queues, 0, sizeof(fake_queues));
	memset(regions, 0, sizeof(regions));
}
