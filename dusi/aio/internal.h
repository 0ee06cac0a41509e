/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * internal.h - between the generic layer (gaio.c) and its back ends.
 *
 * gaio.c checks arguments, counts operations, and makes the closings' events; a back end begins
 * operations and puts exactly one event for each where its take() finds it. An operation counts as
 * under way until its event is *taken*: so GAIO_CLOSE comes when the program has seen all others,
 * whatever queues they are in.
 */
#ifndef DUSI_AIO_INTERNAL_H
#define DUSI_AIO_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dusi/aio/gaio.h"

#define SENDS_MAX 2            /* posted at a time, of one socket */
#define BYTES_MAX 0xffffffffUL /* of one operation, as DUSI_OP_BYTES_MAX */
#define SOCKETS_DEFAULT 65536
#define SOCKETS_MAX (1u << 20)
#define FILE_OPS_MAX 4096 /* under way at a time, as DUSI_FILE_OPS_MAX */

/* ------------------------------------------------------------------------ lists */

/* Circular; a node that is in no list points to itself. */
struct link {
	struct link *next, *prev;
};

#define link_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void link_init(struct link *l)
{
	l->next = l->prev = l;
}

static inline bool link_alone(const struct link *l)
{
	return l->next == l;
}

static inline void link_add(struct link *list, struct link *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

/* Harmless on a node that is in no list. */
static inline void link_del(struct link *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	link_init(node);
}

static inline struct link *link_pop(struct link *list)
{
	struct link *node = list->next;

	if (node == list)
		return NULL;
	link_del(node);
	return node;
}

/* Moves all of @from to the end of @to. */
static inline void link_move(struct link *to, struct link *from)
{
	if (link_alone(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	link_init(from);
}

/* ---------------------------------------------------------------------- objects */

struct aio_ops;

struct gaio {
	const struct aio_ops *ops;
	struct link queues, socks, files; /* all that there are */
	uint32_t nqueues, nsocks, max_sockets;
	uint32_t closings;                                                     /* in all queues */
	uint32_t events;                                                       /* in all rings */
	uint64_t connects, accepts, recvs, sends, send_files, file_ops, taken; /* counters */
};

/*
 * Closings wait in a list of the objects themselves, so there is always room for them. The ring is of
 * those back ends that have no queue of the system's: room in it is reserved when an operation is
 * posted, and it grows when need be.
 */
struct gaio_queue {
	struct gaio *io;
	struct link link;
	uint32_t bound; /* sockets (each of their queues) and files */
	struct link closed;
	uint32_t nclosed;
	struct gaio_event *ring;
	uint32_t mask, head, tail; /* ring: size - 1; counted up for ever */
	uint32_t reserved;         /* events that are still to come */
};

/* What sockets and files have in common. */
struct aio_object {
	struct gaio *io;
	struct link link; /* in io->socks or io->files; when closed, in its queue */
	struct gaio_queue *close;
	uint64_t context, close_tag;
	uint32_t ops; /* operations whose events have not been taken */
	bool is_file, closing;
};

struct gaio_sock {
	struct aio_object o;
	struct gaio_queue *recv, *send;
	struct gaio_sock *listener; /* it waits to be accepted there */
	struct gaio_file
		*sent_files[SENDS_MAX]; /* of the sends posted, oldest first; NULL: memory */
	uint8_t sends;
	bool receiving, shutting, connecting;
};

struct gaio_file {
	struct aio_object o;
	struct gaio_queue *queue;
};

/* --------------------------------------------------------------------- back ends */

/*
 * Every slot is filled. Operations return 0 when there will be an event, else why there will not.
 * Arguments have been checked, as far as that can be done without knowing the connection.
 */
struct aio_ops {
	const char *name;
	size_t io_size, queue_size, sock_size, file_size; /* of the back end's own, ours first */

	int (*open)(struct gaio *io, const struct gaio_attr *attr);
	/* Nothing of the program's is touched after it. Objects are freed by the caller. */
	void (*close)(struct gaio *io);
	void (*query)(struct gaio *io, struct gaio_info *info);
	int (*counter)(struct gaio *io, unsigned i, const char **name, uint64_t *value);
	int (*mem_register)(struct gaio *io, void *addr, size_t len, unsigned access,
			    struct gaio_mem *mem);
	int (*mem_deregister)(struct gaio *io, struct gaio_mem mem);

	int (*queue_open)(struct gaio_queue *q, uint32_t size);
	int (*queue_close)(struct gaio_queue *q);
	int (*take)(struct gaio_queue *q, struct gaio_event *events, int max);
	unsigned (*waiting)(struct gaio_queue *q);
	/*
	 * Begins what was posted; gathers what has ended; waits if nothing has. With @ready there are
	 * events already. 0, -EINTR, or an error that is not to be got over.
	 */
	int (*wait)(struct gaio *io, int64_t timeout_us, bool ready);

	int (*sock_open)(struct gaio_sock *s);
	int (*listen)(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len, int backlog,
		      unsigned flags);
	int (*accept)(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag);
	int (*connect)(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len,
		       uint64_t tag);
	int (*recv)(struct gaio_sock *s, const struct gaio_buf *buf, uint64_t tag);
	int (*send)(struct gaio_sock *s, const struct gaio_buf *bufs, int n, unsigned flags,
		    uint64_t tag);
	int (*send_file)(struct gaio_sock *s, struct gaio_file *file, uint64_t offset, size_t len,
			 uint64_t tag);
	int (*shutdown)(struct gaio_sock *s, uint64_t tag);
	void (*sock_close)(struct gaio_sock *s);
	int (*address)(struct gaio_sock *s, struct sockaddr_storage *addr, bool peer);

	int (*file_open)(struct gaio_file *f, const struct gaio_open_how *how, uint64_t tag);
	int (*file_adopt)(struct gaio_file *f, int fd);
	/* @op is GAIO_READ_FILE or GAIO_WRITE_FILE */
	int (*file_rw)(struct gaio_file *f, enum gaio_op op, const struct gaio_buf *buf,
		       uint64_t offset, uint64_t tag);
	int (*file_stat)(struct gaio_file *f, struct statx *st, uint64_t tag);
	int (*file_sync)(struct gaio_file *f, uint64_t tag);
	/* The program is done with it; operations may still be under way. */
	void (*file_close)(struct gaio_file *f);
	/* After that: they have all ended, and the closing's event comes. */
	void (*file_idle)(struct gaio_file *f);
};

extern const struct aio_ops aio_dusi, aio_epoll, aio_uring;

/* It is being closed, and the events of all its operations have been taken. */
void aio_object_closed(struct aio_object *o);

static inline void aio_object_done(struct aio_object *o)
{
	if (--o->ops == 0 && o->closing)
		aio_object_closed(o);
}

/* The send that was posted first has ended. */
static inline void aio_sent(struct gaio_sock *s)
{
	struct gaio_file *file = s->sent_files[0];

	s->sent_files[0] = s->sent_files[1];
	s->sends--;
	if (file)
		aio_object_done(&file->o);
}

static inline void aio_accounted(const struct gaio_event *e)
{
	struct gaio_sock *s = e->sock;

	switch (e->op) {
	case GAIO_RECV:
		s->receiving = false;
		break;
	case GAIO_SEND:
		aio_sent(s);
		break;
	case GAIO_CONNECT:
		s->connecting = false;
		break;
	case GAIO_ACCEPT:
		aio_object_done(&s->listener->o);
		s->listener = NULL;
		break;
	case GAIO_SHUTDOWN:
		s->shutting = false;
		break;
	default:
		aio_object_done(&e->file->o);
		return;
	}
	aio_object_done(&s->o);
}

/* ------------------------------------------------------------------------- rings */

int aio_ring_open(struct gaio_queue *q, uint32_t size);
int aio_ring_close(struct gaio_queue *q);
int aio_ring_take(struct gaio_queue *q, struct gaio_event *events, int max);
unsigned aio_ring_waiting(struct gaio_queue *q);
int aio_ring_grow(struct gaio_queue *q);

/* Room for one more event. -ENOMEM. */
static inline int aio_reserve(struct gaio_queue *q)
{
	if (q->tail - q->head + q->reserved > q->mask) {
		int err = aio_ring_grow(q);

		if (err)
			return err;
	}
	q->reserved++;
	return 0;
}

/* Room was reserved. */
static inline void aio_put(struct gaio_queue *q, const struct gaio_event *e)
{
	q->ring[q->tail++ & q->mask] = *e;
	q->reserved--;
	q->io->events++;
}

#endif
