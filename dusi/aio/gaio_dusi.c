/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * gaio_dusi.c - asynchronous sockets on the packet processing engine.
 *
 * A queue is a DUSI event queue; a DUSI socket's context is the address of ours. Events are taken
 * from the engine's queue without a detour through struct dusi_event, and without running the engine:
 * gaio_wait() does that, once for all queues.
 */
#include "dusi/aio/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "dusi/handle.h"

#define BATCH 32   /* events translated at a time */
#define TX_SLOTS 8 /* two sends of three slots each, and a shutdown */
#define RX_SLOTS 1

static_assert(GAIO_BUFS_MAX <= DUSI_BUFS_MAX && BYTES_MAX == DUSI_OP_BYTES_MAX,
	      "operations are handed through");

struct dusi_io {
	struct gaio io;
	dusi_ual_t ual;
	struct ppe_evq **evqs; /* of all queues */
};

struct dusi_queue {
	struct gaio_queue q;
	dusi_evq_t evq;
	struct ppe_evq *ppe;
	uint32_t number; /* in evqs */
};

struct dusi_end {
	struct gaio_sock s;
	dusi_sock_t sock;
};

struct dusi_plain {
	struct gaio_file f;
	dusi_file_t file;
};

static struct dusi_io *io_of(struct gaio *io)
{
	return (struct dusi_io *)io;
}

static struct dusi_queue *queue_of(struct gaio_queue *q)
{
	return (struct dusi_queue *)q;
}

static dusi_sock_t sock_of(const struct gaio_sock *s)
{
	return ((const struct dusi_end *)s)->sock;
}

static dusi_file_t file_of(const struct gaio_file *f)
{
	return ((const struct dusi_plain *)f)->file;
}

/* ----------------------------------------------------------------------- opening */

static int dusi_open(struct gaio *base, const struct gaio_attr *attr)
{
	struct dusi_io *io = io_of(base);
	struct dusi_ual_attr ual = {
		.placement = attr->placement,
		.flags = DUSI_SINGLE_THREAD,
		.max_sockets = base->max_sockets,
	};
	int err;

	/* a single thread has no use for another that runs the engine, unless it is asked for */
	if (!ual.placement)
		ual.placement = getenv("ETA_PPE");
	if (!ual.placement || !*ual.placement)
		ual.placement = "inline";
	io->evqs = calloc(DUSI_EVQS_MAX, sizeof(*io->evqs));
	if (!io->evqs)
		return -ENOMEM;
	err = Dusi_Open_Ual(&ual, &io->ual);
	if (err)
		free(io->evqs);
	return err;
}

static void dusi_close(struct gaio *io)
{
	Dusi_Close_Ual(io_of(io)->ual);
	free(io_of(io)->evqs);
}

static void dusi_query(struct gaio *io, struct gaio_info *info)
{
	struct dusi_ual *u;
	struct ppe_ual_info ppe = { 0 };

	if (!dusi_find_ual(io_of(io)->ual, &u))
		ppe_ual_info(u->ppe, &ppe);
	info->sockets = ppe.fabric;
	info->sockets_why = ppe.fabric_why;
	info->files = ppe.files;
	info->files_why = ppe.files_why;
}

static int dusi_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value)
{
	return Dusi_Counter(io_of(io)->ual, i, name, value);
}

static_assert(GAIO_READ == DUSI_READ && GAIO_WRITE == DUSI_WRITE, "accesses are handed through");

static int dusi_mem_register(struct gaio *io, void *addr, size_t len, unsigned access,
			     struct gaio_mem *mem)
{
	dusi_mem_t m;
	int err = Dusi_Register_Memory(io_of(io)->ual, addr, len, access, &m);

	if (!err)
		*mem = (struct gaio_mem){ .region = m.region, .tag = m.ptag };
	return err;
}

static int dusi_mem_deregister(struct gaio *io, struct gaio_mem mem)
{
	return Dusi_Deregister_Memory(io_of(io)->ual, (dusi_mem_t){ mem.region, mem.tag });
}

/* ------------------------------------------------------------------------ queues */

static int dusi_queue_open(struct gaio_queue *base, uint32_t size)
{
	struct dusi_queue *q = queue_of(base);
	struct dusi_io *io = io_of(base->io);
	struct dusi_ual *u;
	struct dusi_evq *evq;
	int err = Dusi_Create_EvQ(io->ual, size, &q->evq);

	if (!err)
		err = dusi_find_evq(q->evq, &u, &evq);
	if (err)
		return err;
	q->ppe = evq->ppe;
	q->number = base->io->nqueues;
	io->evqs[q->number] = q->ppe;
	return 0;
}

/* The last in the array takes the place of the one that goes. */
static int dusi_queue_close(struct gaio_queue *base)
{
	struct dusi_queue *q = queue_of(base);
	struct dusi_io *io = io_of(base->io);
	struct ppe_evq *last = io->evqs[base->io->nqueues - 1];
	struct link *node;
	int err = Dusi_Destroy_EvQ(q->evq);

	if (err)
		return err;
	io->evqs[q->number] = last;
	for (node = base->io->queues.next; node != &base->io->queues; node = node->next) {
		struct dusi_queue *other = queue_of(link_entry(node, struct gaio_queue, link));

		if (other->ppe == last)
			other->number = q->number;
	}
	return 0;
}

static void translate(const struct ppe_event *in, struct gaio_event *out)
{
	static const uint8_t op[] = {
		[PPE_EV_SEND] = GAIO_SEND,           [PPE_EV_RECV] = GAIO_RECV,
		[PPE_EV_CONNECT] = GAIO_CONNECT,     [PPE_EV_ACCEPT] = GAIO_ACCEPT,
		[PPE_EV_SHUTDOWN] = GAIO_SHUTDOWN,   [PPE_EV_FILE_OPEN] = GAIO_OPEN,
		[PPE_EV_FILE_READ] = GAIO_READ_FILE, [PPE_EV_FILE_WRITE] = GAIO_WRITE_FILE,
		[PPE_EV_FILE_STAT] = GAIO_STAT,      [PPE_EV_FILE_SYNC] = GAIO_SYNC,
	};
	struct aio_object *o = (struct aio_object *)(uintptr_t)in->context;

	assert(in->type < sizeof(op) && op[in->type]);
	out->op = op[in->type];
	out->status = in->status;
	out->tag = in->user_tag;
	out->context = o->context;
	out->len = in->len;
	out->sock = o->is_file ? NULL : (struct gaio_sock *)o;
	out->file = o->is_file ? (struct gaio_file *)o : NULL;
	aio_accounted(out);
}

static int dusi_take(struct gaio_queue *q, struct gaio_event *events, int max)
{
	struct ppe_event batch[BATCH];
	int n = 0, want, got;

	do {
		want = max - n < BATCH ? max - n : BATCH;
		got = ppe_evq_take(queue_of(q)->ppe, batch, want);
		if (got < 0)
			return n ? n : got;
		for (int i = 0; i < got; i++)
			translate(&batch[i], &events[n + i]);
		n += got;
	} while (got == want && n < max);
	return n;
}

static unsigned dusi_waiting(struct gaio_queue *q)
{
	return ppe_evq_count(queue_of(q)->ppe);
}

/*
 * With events waiting, a wait would end without running the engine; and a program that leaves some of
 * its queues alone for a while could wait for the others for ever.
 */
static int dusi_wait(struct gaio *io, int64_t timeout_us, bool ready)
{
	struct ppe_evq **evqs = io_of(io)->evqs;
	int64_t timeout_ns = -1;
	struct ppe_event none;
	int err;

	if (ready || !timeout_us) {
		err = ppe_evq_read(evqs[0], &none, 0);
		return err < 0 ? err : 0;
	}
	if (timeout_us > 0 && timeout_us <= INT64_MAX / 2000)
		timeout_ns = timeout_us * 1000;
	err = ppe_evq_wait(evqs, io->nqueues, timeout_ns);
	return err == -ETIMEDOUT ? 0 : err;
}

/* ----------------------------------------------------------------------- sockets */

static int dusi_sock_open(struct gaio_sock *s)
{
	const struct dusi_socket_attr attr = {
		.tx_evq = queue_of(s->send)->evq,
		.rx_evq = queue_of(s->recv)->evq,
		.tx_slots = TX_SLOTS,
		.rx_slots = RX_SLOTS,
		.context = (uintptr_t)s,
	};

	return Dusi_Socket(io_of(s->o.io)->ual, &attr, &((struct dusi_end *)s)->sock);
}

static int listen_options(dusi_sock_t sock, unsigned flags)
{
	int on = 1, err = 0;

	if (flags & GAIO_REUSEPORT)
		err = Dusi_Set_Socket_Ops(sock, DUSI_SO_REUSEPORT, &on, sizeof(on));
	if (!err && flags & GAIO_DEFER_ACCEPT)
		err = Dusi_Set_Socket_Ops(sock, DUSI_SO_DEFER_ACCEPT, &on, sizeof(on));
	return err;
}

static int dusi_listen(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len, int backlog,
		       unsigned flags)
{
	int err = listen_options(sock_of(s), flags);

	if (!err)
		err = Dusi_Bind(sock_of(s), addr, len);
	return err ? err : Dusi_Listen(sock_of(s), backlog);
}

static int dusi_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag)
{
	return Dusi_Accept(sock_of(l), sock_of(child), tag);
}

static int dusi_connect(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len,
			uint64_t tag)
{
	return Dusi_Connect(sock_of(s), addr, len, tag);
}

static struct dusi_buf dusi_piece(const struct gaio_buf *b)
{
	return (struct dusi_buf){ b->addr, b->len, { b->mem.region, b->mem.tag } };
}

static int dusi_recv(struct gaio_sock *s, const struct gaio_buf *buf, uint64_t tag)
{
	const struct dusi_buf piece = dusi_piece(buf);

	return Dusi_Recv(sock_of(s), &piece, 1, tag);
}

/* The engine gathers what is posted before its next turn: GAIO_MORE tells it nothing new. */
static int dusi_send(struct gaio_sock *s, const struct gaio_buf *bufs, int n, unsigned flags,
		     uint64_t tag)
{
	struct dusi_buf pieces[GAIO_BUFS_MAX];

	(void)flags;
	for (int i = 0; i < n; i++)
		pieces[i] = dusi_piece(&bufs[i]);
	return Dusi_Send(sock_of(s), pieces, n, tag);
}

static int dusi_send_file(struct gaio_sock *s, struct gaio_file *file, uint64_t offset, size_t len,
			  uint64_t tag)
{
	return Dusi_Send_File(sock_of(s), file_of(file), offset, len, tag);
}

static int dusi_shutdown(struct gaio_sock *s, uint64_t tag)
{
	return Dusi_Shutdown(sock_of(s), DUSI_SHUT_TX, tag);
}

static void dusi_sock_close(struct gaio_sock *s)
{
	Dusi_Close_Socket(sock_of(s));
}

static int dusi_address(struct gaio_sock *s, struct sockaddr_storage *addr, bool peer)
{
	size_t len = sizeof(*addr);

	return Dusi_Get_Socket_Ops(sock_of(s), peer ? DUSI_SO_PEER_ADDRESS : DUSI_SO_LOCAL_ADDRESS,
				   addr, &len);
}

/* ------------------------------------------------------------------------- files */

static struct dusi_file_attr file_attr(struct gaio_file *f)
{
	return (struct dusi_file_attr){ .evq = queue_of(f->queue)->evq, .context = (uintptr_t)f };
}

static int dusi_file_open(struct gaio_file *f, const struct gaio_open_how *how, uint64_t tag)
{
	const struct dusi_file_attr attr = file_attr(f);
	const struct dusi_open open = {
		.dirfd = how->dirfd,
		.path = how->path,
		.flags = how->flags,
		.mode = how->mode,
		.resolve = how->resolve,
	};

	return Dusi_Open_File(io_of(f->o.io)->ual, &attr, &open, tag,
			      &((struct dusi_plain *)f)->file);
}

static int dusi_file_adopt(struct gaio_file *f, int fd)
{
	const struct dusi_file_attr attr = file_attr(f);

	return Dusi_Adopt_File(io_of(f->o.io)->ual, &attr, fd, &((struct dusi_plain *)f)->file);
}

static int dusi_file_rw(struct gaio_file *f, enum gaio_op op, const struct gaio_buf *buf,
			uint64_t offset, uint64_t tag)
{
	const struct dusi_buf piece = dusi_piece(buf);

	return op == GAIO_READ_FILE ? Dusi_Read_File(file_of(f), &piece, 1, offset, tag)
				    : Dusi_Write_File(file_of(f), &piece, 1, offset, tag);
}

static int dusi_file_stat(struct gaio_file *f, struct statx *st, uint64_t tag)
{
	return Dusi_Stat_File(file_of(f), st, tag);
}

static int dusi_file_sync(struct gaio_file *f, uint64_t tag)
{
	return Dusi_Sync_File(file_of(f), tag);
}

static void dusi_file_close(struct gaio_file *f)
{
	Dusi_Close_File(file_of(f));
}

/* The engine's file lives as long as its operations. */
static void dusi_file_idle(struct gaio_file *f)
{
	(void)f;
}

const struct aio_ops aio_dusi = {
	.name = "dusi",
	.io_size = sizeof(struct dusi_io),
	.queue_size = sizeof(struct dusi_queue),
	.sock_size = sizeof(struct dusi_end),
	.file_size = sizeof(struct dusi_plain),
	.open = dusi_open,
	.close = dusi_close,
	.query = dusi_query,
	.counter = dusi_counter,
	.mem_register = dusi_mem_register,
	.mem_deregister = dusi_mem_deregister,
	.queue_open = dusi_queue_open,
	.queue_close = dusi_queue_close,
	.take = dusi_take,
	.waiting = dusi_waiting,
	.wait = dusi_wait,
	.sock_open = dusi_sock_open,
	.listen = dusi_listen,
	.accept = dusi_accept,
	.connect = dusi_connect,
	.recv = dusi_recv,
	.send = dusi_send,
	.send_file = dusi_send_file,
	.shutdown = dusi_shutdown,
	.sock_close = dusi_sock_close,
	.address = dusi_address,
	.file_open = dusi_file_open,
	.file_adopt = dusi_file_adopt,
	.file_rw = dusi_file_rw,
	.file_stat = dusi_file_stat,
	.file_sync = dusi_file_sync,
	.file_close = dusi_file_close,
	.file_idle = dusi_file_idle,
};
