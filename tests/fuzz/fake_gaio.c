// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * fake_gaio.c - sockets, files and queues in memory. See fake_gaio.h.
 */
#include "fake_gaio.h"

#include <dusi/gaio.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS 96 /* in one world: they are not used twice, so that a stale one is known */
#define FILES 64
#define REGIONS 64
#define QUEUES 8
#define SENDS 2
#define IDLE_WAITS_MAX 5000 /* without an event: nothing happens any more */

struct gaio_queue {
	bool used;
	struct gaio_event *events;
	size_t first, count, room;
	unsigned bound;
};

struct send_op {
	struct gaio_buf bufs[GAIO_BUFS_MAX];
	int n;
	struct gaio_file *file; /* of gaio_send_file() */
	uint64_t offset;
	size_t len;
	uint64_t tag;
	bool shutdown;
	char *copy; /* what the memory held when it was posted */
};

struct gaio_sock {
	enum { FREE, FRESH, LISTENING, ACCEPTING, OPEN, CLOSING, CLOSED } state;
	struct gaio_socket_attr attr;
	struct fake_peer *peer;
	uint64_t accept_tag, recv_tag, close_tag;
	struct gaio_buf recv_buf;
	bool receiving;
	struct send_op sends[SENDS + 1];
	int n_sends;
	unsigned order; /* of the accepts */
};

struct gaio_file {
	bool used, closing;
	int fd;
	unsigned busy; /* sends and writes of it */
	struct gaio_queue *queue;
	uint64_t context, close_tag, write_tag;
	size_t write_len;
	bool writing;
};

struct region {
	char *addr;
	size_t len;
	unsigned access;
};

struct gaio {
	int dummy;
};

struct fake_world fake;

static struct gaio the_gaio;
static struct gaio_queue queues[QUEUES];
static struct gaio_sock socks[SOCKETS];
static struct gaio_file files[FILES];
static struct region regions[REGIONS];
static unsigned accepts;
static int refuse; /* the next post: this error */
static unsigned idle_waits;
static bool stopping;

void fake_fail(const char *what)
{
	fprintf(stderr, "fake_gaio: %s\n", what);
	abort();
}

static void check(bool right, const char *what)
{
	if (!right)
		fake_fail(what);
}

/* ---------------------------------------------------------------------------------- script */

static uint8_t next_byte(void)
{
	if (!fake.len)
		return 0;
	fake.len--;
	return *fake.script++;
}

static size_t next_size(void)
{
	uint8_t kind = next_byte();

	return kind < 128 ? (size_t)kind + 1 : (size_t)(kind - 127) * 128;
}

/* ----------------------------------------------------------------------------------- queues */

static void push(struct gaio_queue *q, const struct gaio_event *event)
{
	check(q && q->used, "an event for no queue");
	if (q->first + q->count == q->room) {
		memmove(q->events, q->events + q->first, q->count * sizeof(*event));
		q->first = 0;
		if (q->count == q->room) {
			q->room = q->room ? q->room * 2 : 16;
			q->events = realloc(q->events, q->room * sizeof(*event));
			check(q->events, "no memory");
		}
	}
	q->events[q->first + q->count++] = *event;
	fake.events++;
}

static void push_sock(struct gaio_sock *s, struct gaio_queue *q, enum gaio_op op, int status,
		      size_t len, uint64_t tag)
{
	push(q, &(struct gaio_event){ op, status, tag, s->attr.context, len, s, NULL });
}

int gaio_queue_create(struct gaio *io, uint32_t size, struct gaio_queue **queue)
{
	(void)io;
	check(size, "a queue of no size");
	for (int i = 0; i < QUEUES; i++) {
		if (queues[i].used)
			continue;
		queues[i] = (struct gaio_queue){ .used = true };
		*queue = &queues[i];
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

static void unbind(struct gaio_sock *s)
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

static void check_buf(const struct gaio_buf *buf, unsigned access)
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
	check(s >= socks && s < socks + SOCKETS && s->state != FREE, "no socket");
	check(s->state != CLOSED, "a socket after its last event");
}

static bool is_refused(int *err)
{
	*err = refuse;
	refuse = 0;
	return *err;
}

int gaio_socket(struct gaio *io, const struct gaio_socket_attr *attr, struct gaio_sock **sock)
{
	(void)io;
	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &socks[i];

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
	check_buf(buf, GAIO_WRITE);
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
		check_buf(&bufs[i], GAIO_READ);
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
	check(f >= files && f < files + FILES && f->used && !f->closing, "no open file");
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
		push_sock(sock, sock->attr.recv, GAIO_ACCEPT, -ECANCELED, 0, sock->accept_tag);
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

int gaio_open_file(struct gaio *io, struct gaio_queue *queue, uint64_t context,
		   const struct gaio_open_how *how, uint64_t tag, struct gaio_file **file)
{
	(void)io;
	(void)queue;
	(void)context;
	(void)how;
	(void)tag;
	(void)file;
	return -EOPNOTSUPP;
}

int gaio_adopt_file(struct gaio *io, struct gaio_queue *queue, uint64_t context, int fd,
		    struct gaio_file **file)
{
	(void)io;
	for (int i = 0; i < FILES; i++) {
		if (files[i].used)
			continue;
		files[i] = (struct gaio_file){
			.used = true, .fd = fd, .queue = queue, .context = context
		};
		fake.open_files++;
		*file = &files[i];
		return 0;
	}
	return -ENOSPC;
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
	check_buf(buf, GAIO_READ);
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

static void end_send(struct gaio_sock *s)
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
		while (socks[i].n_sends)
			end_send(&socks[i]);
	for (int i = 0; i < FILES; i++) {
		if (!files[i].used || files[i].fd < 0)
			continue;
		close(files[i].fd);
		files[i].used = false;
		/* one that was being closed is as good as closed */
		fake.open_files -= files[i].closing;
	}
	for (int i = 0; i < QUEUES; i++) {
		if (!queues[i].used)
			continue;
		queues[i].bound = 0;
		gaio_queue_destroy(&queues[i]);
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

/* ------------------------------------------------------------------------------------ steps */

static struct gaio_sock *open_sock(uint8_t number, bool *found)
{
	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &socks[(i + number) % SOCKETS];

		if (s->state == OPEN) {
			*found = true;
			return s;
		}
	}
	*found = false;
	return socks;
}

static bool step_connect(void)
{
	struct gaio_sock *first = NULL;

	for (int i = 0; i < SOCKETS; i++)
		if (socks[i].state == ACCEPTING && (!first || socks[i].order < first->order))
			first = &socks[i];
	if (!first || fake.n_peers == FAKE_PEERS)
		return false;
	first->peer = &fake.peers[fake.n_peers++];
	first->state = OPEN;
	push_sock(first, first->attr.recv, GAIO_ACCEPT, 0, 0, first->accept_tag);
	return true;
}

static bool step_say(struct gaio_sock *s)
{
	struct fake_peer *p = s->peer;
	uint8_t what = next_byte();
	const uint8_t *bytes = fake.script;
	size_t n;

	if (p->fin)
		return false;
	if (what < 224) {
		bytes = (const uint8_t *)fake.texts[what % fake.n_texts];
		n = strlen((const char *)bytes);
	} else {
		n = (size_t)(what - 223) * 4 < fake.len ? (size_t)(what - 223) * 4 : fake.len;
		fake.script += n;
		fake.len -= n;
	}
	if (n > FAKE_SENT_MAX - p->n_sent)
		return false;
	memcpy(p->sent + p->n_sent, bytes, n);
	p->n_sent += n;
	return true;
}

static void check_untouched(const struct gaio_sock *s)
{
	const unsigned char *p = s->recv_buf.addr;

	for (size_t i = 0; i < s->recv_buf.len; i++)
		check(p[i] == 0xa5, "a receive buffer was touched");
}

static bool step_receive(struct gaio_sock *s, size_t max)
{
	struct fake_peer *p = s->peer;
	size_t n = p->n_sent - p->n_taken;

	if (!s->receiving || (!n && !p->fin))
		return false;
	check_untouched(s);
	if (n > max)
		n = max;
	if (n > s->recv_buf.len)
		n = s->recv_buf.len;
	memcpy(s->recv_buf.addr, p->sent + p->n_taken, n);
	p->n_taken += n;
	s->receiving = false;
	push_sock(s, s->attr.recv, GAIO_RECV, 0, n, s->recv_tag);
	return true;
}

static void give(struct fake_peer *p, const char *bytes, size_t n)
{
	check(!p->got_fin, "a send behind the shutdown");
	if (p->n_got + n > p->room) {
		p->room = 2 * (p->n_got + n) + 4096;
		p->got = realloc(p->got, p->room);
		check(p->got, "no memory");
	}
	memcpy(p->got + p->n_got, bytes, n);
	p->n_got += n;
}

static void check_unchanged(const struct send_op *op)
{
	size_t at = 0;

	for (int i = 0; i < op->n; at += op->bufs[i++].len) {
		check_buf(&op->bufs[i], GAIO_READ);
		check(!memcmp(op->copy + at, op->bufs[i].addr, op->bufs[i].len),
		      "memory was changed while it was being sent");
	}
}

/* The oldest send ends; @err: after a part of it. */
static bool step_send(struct gaio_sock *s, int err)
{
	struct send_op *op = &s->sends[0];
	size_t n = err ? op->len / 2 : op->len;

	if (!s->n_sends)
		return false;
	if (op->shutdown) {
		s->peer->got_fin = true;
		push_sock(s, s->attr.send, GAIO_SHUTDOWN, err, 0, op->tag);
	} else {
		check_unchanged(op);
		give(s->peer, op->copy, n);
		push_sock(s, s->attr.send, GAIO_SEND, err, n, op->tag);
	}
	end_send(s);
	return true;
}

static bool step_fail(struct gaio_sock *s)
{
	static const int errors[] = { -ECONNRESET, -EPIPE, -ETIMEDOUT, -EFAULT, -ENOBUFS, -EIO };
	uint8_t which = next_byte();
	int err = errors[which % (sizeof(errors) / sizeof(errors[0]))];

	s->peer->disturbed = true;
	s->peer->fin = true;
	if (which & 0x80)
		return step_send(s, err);
	if (!s->receiving)
		return false;
	check_untouched(s);
	s->receiving = false;
	push_sock(s, s->attr.recv, GAIO_RECV, err, 0, s->recv_tag);
	return true;
}

/* What is left of a socket that was closed: its operations, then its last event. */
static bool step_close(struct gaio_sock *s)
{
	struct send_op *op = &s->sends[0];

	if (s->receiving) {
		s->receiving = false;
		push_sock(s, s->attr.recv, GAIO_RECV, -ECANCELED, 0, s->recv_tag);
	} else if (s->n_sends) {
		if (!op->shutdown)
			check_unchanged(op);
		push_sock(s, s->attr.send, op->shutdown ? GAIO_SHUTDOWN : GAIO_SEND, -ECANCELED, 0,
			  op->tag);
		end_send(s);
	} else {
		push_sock(s, s->attr.close, GAIO_CLOSE, 0, 0, s->close_tag);
		s->state = CLOSED;
		fake.open_sockets--;
		unbind(s);
	}
	return true;
}

static bool close_some(uint8_t number)
{
	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &socks[(i + number) % SOCKETS];

		if (s->state == CLOSING)
			return step_close(s);
	}
	return false;
}

static bool step_file(uint8_t number)
{
	for (int i = 0; i < FILES; i++) {
		struct gaio_file *f = &files[(i + number) % FILES];
		struct gaio_event e = { .context = f->context, .file = f };

		if (f->used && f->writing) {
			f->writing = false;
			f->busy--;
			e.op = GAIO_WRITE_FILE;
			e.tag = f->write_tag;
			e.len = f->write_len;
		} else if (f->used && f->closing && !f->busy && f->fd >= 0) {
			close(f->fd);
			f->fd = -1;
			fake.open_files--;
			e.op = GAIO_CLOSE;
			e.tag = f->close_tag;
		} else {
			continue;
		}
		push(f->queue, &e);
		return true;
	}
	return false;
}

static void disturb_all(void)
{
	for (int i = 0; i < FAKE_PEERS; i++)
		fake.peers[i].disturbed = true;
}

static void step_rare(void)
{
	static const int refusals[] = { -EAGAIN, -ENOMEM, -ENOSPC };
	uint8_t what = next_byte();

	switch (what % 4) {
	case 0:
		/* a program that ends does not wait for ever for its last events */
		if (!stopping)
			fake.now_ms += (int64_t)(what >> 2) * 250;
		disturb_all();
		break;
	case 1:
		refuse = refusals[(what >> 2) % 3];
		break;
	case 2:
		if (what > 200) {
			disturb_all();
			stopping = true;
			fake.stopped();
		}
		break;
	default:
		step_file(what);
	}
}

static void step(void)
{
	uint8_t what = next_byte();
	bool found;
	struct gaio_sock *s = open_sock(what >> 4, &found);

	switch (what & 15) {
	case 0:
	case 1:
		step_connect();
		break;
	case 2:
	case 3:
	case 4:
		if (found)
			step_say(s);
		break;
	case 5:
	case 6:
	case 7:
		if (found)
			step_receive(s, next_size());
		break;
	case 8:
	case 9:
	case 10:
		if (found)
			step_send(s, 0);
		break;
	case 11:
		if (found)
			s->peer->fin = true;
		break;
	case 12:
		if (found && next_byte() < 64)
			step_fail(s);
		break;
	case 13:
	case 14:
		close_some(what >> 4);
		break;
	default:
		step_rare();
	}
}

/* The script is at its end: what is under way ends well. False: there was nothing to do. */
static bool finish(void)
{
	bool any = false;

	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &socks[i];

		if (s->state == CLOSING)
			any |= step_close(s);
		else if (s->state == OPEN)
			any |= step_send(s, 0) || step_receive(s, SIZE_MAX);
	}
	any |= step_file(0);
	if (any)
		return true;
	for (int i = 0; i < SOCKETS; i++) {
		if (socks[i].state == OPEN && !socks[i].peer->fin) {
			socks[i].peer->fin = true;
			any = true;
		}
	}
	if (!any && !stopping) {
		stopping = true;
		fake.stopped();
		return true;
	}
	return any;
}

static int queues_with_events(void)
{
	int n = 0;

	for (int i = 0; i < QUEUES; i++)
		n += queues[i].used && queues[i].count;
	return n;
}

int gaio_wait(struct gaio *io, int64_t timeout_us)
{
	bool idle = false;
	int n, steps = 0;

	(void)io;
	refuse = 0;
	if (fake.len && next_byte() < 8)
		return -EINTR;
	while (!(n = queues_with_events()) && !idle && steps++ < 8) {
		if (fake.len)
			step();
		else
			idle = !finish();
	}
	/* often there are events of several kinds */
	if (fake.len && *fake.script & 1)
		step();
	if (n) {
		idle_waits = 0;
		return queues_with_events();
	}
	check(++idle_waits < IDLE_WAITS_MAX, "the program waits for ever");
	/* a program that waits lets time pass; nothing is left here that time would disturb */
	if (idle && timeout_us)
		fake.now_ms += timeout_us < 0 || timeout_us > 1000000 ? 1000 : timeout_us / 1000;
	return 0;
}

/* ------------------------------------------------------------------------------------ worlds */

void fake_begin(const uint8_t *script, size_t len)
{
	memset(socks, 0, sizeof(socks));
	memset(files, 0, sizeof(files));
	fake.script = script;
	fake.len = len;
	fake.now_ms = 1000000;
	fake.n_peers = 0;
	fake.open_sockets = fake.open_files = fake.queues = fake.regions = fake.events = 0;
	memset(fake.peers, 0, sizeof(fake.peers));
	accepts = idle_waits = 0;
	refuse = 0;
	stopping = false;
}

void fake_end(void)
{
	for (int i = 0; i < FAKE_PEERS; i++)
		free(fake.peers[i].got);
	for (int i = 0; i < QUEUES; i++)
		free(queues[i].events);
	memset(queues, 0, sizeof(queues));
	memset(regions, 0, sizeof(regions));
}
