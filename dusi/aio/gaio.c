/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * gaio.c - opening, memory, event queues and waiting: what is the same in all back ends, and who of
 * them is asked for the rest. Sockets and files are in object.c.
 */
#include "dusi/aio/internal.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_DEFAULT 256
#define QUEUE_MAX (1u << 20)

static const struct aio_ops *const backends[] = { &aio_dusi, &aio_epoll, &aio_uring };

#define BACKENDS (sizeof(backends) / sizeof(backends[0]))

/* ---------------------------------------------------------------------- opening */

const char *gaio_backend(unsigned i)
{
	return i < BACKENDS ? backends[i]->name : NULL;
}

static const struct aio_ops *backend_named(const char *name)
{
	if (!name)
		name = getenv("ETA_AIO");
	if (!name || !*name)
		return backends[0];
	for (unsigned i = 0; i < BACKENDS; i++)
		if (!strcmp(name, backends[i]->name))
			return backends[i];
	return NULL;
}

int gaio_open(const struct gaio_attr *attr, struct gaio **out)
{
	static const struct gaio_attr defaults;
	const struct aio_ops *ops;
	struct gaio *io;
	int err;

	if (!attr)
		attr = &defaults;
	if (!out || attr->max_sockets > SOCKETS_MAX)
		return -EINVAL;
	ops = backend_named(attr->backend);
	if (!ops)
		return -ENOENT;
	io = calloc(1, ops->io_size);
	if (!io)
		return -ENOMEM;
	io->ops = ops;
	io->max_sockets = attr->max_sockets ? attr->max_sockets : SOCKETS_DEFAULT;
	link_init(&io->queues);
	link_init(&io->socks);
	link_init(&io->files);
	err = ops->open(io, attr);
	if (err) {
		free(io);
		return err;
	}
	*out = io;
	return 0;
}

static void free_objects(struct link *list)
{
	struct link *node;

	while ((node = link_pop(list)))
		free(link_entry(node, struct aio_object, link));
}

static void free_queues(struct gaio *io)
{
	struct link *node;

	while ((node = link_pop(&io->queues))) {
		struct gaio_queue *q = link_entry(node, struct gaio_queue, link);

		free_objects(&q->closed);
		free(q->ring);
		free(q);
	}
}

void gaio_close(struct gaio *io)
{
	if (!io)
		return;
	io->ops->close(io);
	free_objects(&io->socks);
	free_objects(&io->files);
	free_queues(io);
	free(io);
}

void gaio_query(struct gaio *io, struct gaio_info *info)
{
	if (!io || !info)
		return;
	*info = (struct gaio_info){ .backend = io->ops->name };
	io->ops->query(io, info);
}

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{ "connects", offsetof(struct gaio, connects) },
	{ "accepts", offsetof(struct gaio, accepts) },
	{ "recvs", offsetof(struct gaio, recvs) },
	{ "sends", offsetof(struct gaio, sends) },
	{ "send_files", offsetof(struct gaio, send_files) },
	{ "file_ops", offsetof(struct gaio, file_ops) },
	{ "events", offsetof(struct gaio, taken) },
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

int gaio_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value)
{
	if (!io || !name || !value)
		return -EINVAL;
	if (i >= COUNTERS)
		return io->ops->counter(io, i - COUNTERS, name, value);
	*name = counters[i].name;
	*value = *(uint64_t *)((char *)io + counters[i].offset);
	return 0;
}

/* ----------------------------------------------------------------------- memory */

int gaio_register(struct gaio *io, void *addr, size_t len, unsigned access, struct gaio_mem *mem)
{
	if (!io || !mem || !addr || !len || !access || access & ~(unsigned)(GAIO_READ | GAIO_WRITE))
		return -EINVAL;
	return io->ops->mem_register(io, addr, len, access, mem);
}

int gaio_deregister(struct gaio *io, struct gaio_mem mem)
{
	return io ? io->ops->mem_deregister(io, mem) : -EINVAL;
}

/* ------------------------------------------------------------------------ rings */

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 16;

	while (p < n)
		p *= 2;
	return p;
}

int aio_ring_open(struct gaio_queue *q, uint32_t size)
{
	size = power_of_two(size);
	q->ring = malloc(size * sizeof(*q->ring));
	q->mask = size - 1;
	return q->ring ? 0 : -ENOMEM;
}

int aio_ring_close(struct gaio_queue *q)
{
	q->io->events -= q->tail - q->head;
	return 0;
}

/* There are only so many operations that a socket can have posted: it ends somewhere. */
int aio_ring_grow(struct gaio_queue *q)
{
	uint32_t size = (q->mask + 1) * 2, n = 0;
	struct gaio_event *ring;

	if (!size || size > UINT32_MAX / 2)
		return -ENOMEM;
	ring = malloc(size * sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	while (q->head != q->tail)
		ring[n++] = q->ring[q->head++ & q->mask];
	free(q->ring);
	q->ring = ring;
	q->mask = size - 1;
	q->head = 0;
	q->tail = n;
	return 0;
}

int aio_ring_take(struct gaio_queue *q, struct gaio_event *events, int max)
{
	uint32_t waiting = q->tail - q->head;
	int n = waiting < (uint32_t)max ? (int)waiting : max;

	for (int i = 0; i < n; i++) {
		events[i] = q->ring[q->head++ & q->mask];
		aio_accounted(&events[i]);
	}
	q->io->events -= n;
	return n;
}

unsigned aio_ring_waiting(struct gaio_queue *q)
{
	return q->tail - q->head;
}

/* ----------------------------------------------------------------------- queues */

int gaio_queue_create(struct gaio *io, uint32_t size, struct gaio_queue **out)
{
	struct gaio_queue *q;
	int err;

	if (!io || !out || size > QUEUE_MAX)
		return -EINVAL;
	q = calloc(1, io->ops->queue_size);
	if (!q)
		return -ENOMEM;
	q->io = io;
	link_init(&q->closed);
	err = io->ops->queue_open(q, size ? size : QUEUE_DEFAULT);
	if (err) {
		free(q);
		return err;
	}
	link_add(&io->queues, &q->link);
	io->nqueues++;
	*out = q;
	return 0;
}

int gaio_queue_destroy(struct gaio_queue *q)
{
	int err;

	if (!q)
		return -EINVAL;
	if (q->bound)
		return -EBUSY;
	err = q->io->ops->queue_close(q);
	if (err)
		return err;
	link_del(&q->link);
	q->io->nqueues--;
	free(q->ring);
	free(q);
	return 0;
}

/* ------------------------------------------------------------------------ taking */

static void unbind(const struct aio_object *o)
{
	const struct gaio_sock *s = (const struct gaio_sock *)o;

	if (!o->is_file) {
		s->recv->bound--;
		s->send->bound--;
		o->io->nsocks--;
	}
	o->close->bound--;
}

/* The event that an object ends with. */
static void take_closing(struct gaio_queue *q, struct gaio_event *e)
{
	struct aio_object *o = link_entry(link_pop(&q->closed), struct aio_object, link);

	q->nclosed--;
	q->io->closings--;
	*e = (struct gaio_event){
		.op = GAIO_CLOSE,
		.tag = o->close_tag,
		.context = o->context,
		.sock = o->is_file ? NULL : (struct gaio_sock *)o,
		.file = o->is_file ? (struct gaio_file *)o : NULL,
	};
	unbind(o);
	free(o);
}

int gaio_take(struct gaio_queue *q, struct gaio_event *events, int max)
{
	int n;

	if (!q || !events || max < 1)
		return -EINVAL;
	n = q->io->ops->take(q, events, max);
	if (n < 0)
		return n;
	while (n < max && q->nclosed)
		take_closing(q, &events[n++]);
	q->io->taken += n;
	return n;
}

unsigned gaio_waiting(struct gaio_queue *q)
{
	return q ? q->io->ops->waiting(q) + q->nclosed : 0;
}

/* Queues that have events. */
static int count_ready(const struct gaio *io)
{
	const struct link *node;
	int n = 0;

	for (node = io->queues.next; node != &io->queues; node = node->next)
		n += gaio_waiting(link_entry(node, struct gaio_queue, link)) != 0;
	return n;
}

int gaio_wait(struct gaio *io, int64_t timeout_us)
{
	int ready, err;

	if (!io || link_alone(&io->queues))
		return -EINVAL;
	ready = count_ready(io);
	err = io->ops->wait(io, ready ? 0 : timeout_us, ready);
	ready = count_ready(io);
	return ready ? ready : err;
}
