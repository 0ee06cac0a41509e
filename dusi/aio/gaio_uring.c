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
#include <unistd.h>

#include "dusi/aio/uring.h"

#define SQ_ENTRIES 512
#define CQ_ENTRIES 8192 /* more than these wait in the kernel */
#define BATCH 64        /* completions looked at together */

static struct uring_io *io_of(struct gaio *io)
{
	return (struct uring_io *)io;
}

/* ---------------------------------------------------------------------- submitting */

void aio_uring_submit(struct uring_io *io)
{
	io->base.counts[COUNT_SYS_OTHER]++;
	io_uring_submit(&io->ring);
}

struct io_uring_sqe *aio_uring_entry(struct uring_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

	if (!sqe) {
		aio_uring_submit(io);
		sqe = io_uring_get_sqe(&io->ring);
	}
	return sqe;
}

void aio_uring_entry_set(struct uring_io *io, struct io_uring_sqe *sqe, const void *whose,
			 enum kind kind)
{
	io_uring_sqe_set_data64(sqe, (uintptr_t)whose | kind);
	io->inflight++;
	io->base.counts[COUNT_SUBMITTED]++;
}

bool aio_uring_cancel(struct uring_io *io, const void *whose, enum kind kind)
{
	struct io_uring_sqe *sqe = aio_uring_entry(io);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, (uintptr_t)whose | kind, 0);
	io_uring_sqe_set_data64(sqe, 0);
	io->base.counts[COUNT_SUBMITTED]++;
	return true;
}

void aio_uring_close_fd(struct uring_io *io, int fd)
{
	struct io_uring_sqe *sqe = aio_uring_entry(io);

	if (!sqe) {
		close(fd);
		plain_feed(&io->base);
		return;
	}
	io_uring_prep_close(sqe, fd);
	aio_uring_entry_set(io, sqe, NULL, KIND_CLOSE);
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
	struct io_uring_sqe *sqe = aio_uring_entry(io);

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
	aio_uring_entry_set(io, sqe, op, KIND_FILE);
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
	case KIND_FILE:
		file_ended(io, whose, res);
		break;
	case KIND_CLOSE:
		plain_feed(&io->base);
		break;
	default:
		aio_uring_sock_ended(whose, user_data & KIND_MASK, res, flags);
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
	while ((node = link_pop(&now)))
		aio_uring_sock_run((struct uring_sock *)link_entry(node, struct plain, work));
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
			aio_uring_sock_close(s);
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
	.listen = aio_uring_listen,
	.accept = aio_uring_accept,
	.connect = aio_uring_connect,
	.recv = aio_uring_recv,
	.send = aio_uring_send,
	.send_file = aio_uring_send_file,
	.shutdown = aio_uring_shutdown,
	.sock_close = aio_uring_sock_close,
	.address = plain_address,
	.file_open = plain_file_open,
	.file_adopt = plain_file_adopt,
	.file_rw = plain_file_rw,
	.file_stat = plain_file_stat,
	.file_sync = plain_file_sync,
	.file_close = plain_file_close,
	.file_idle = plain_file_idle,
};
