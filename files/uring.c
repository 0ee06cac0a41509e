/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring.c - files by io_uring.
 *
 * Requests wait in a list until flush() puts them into the ring, never more than its completion queue
 * holds. The kernel adds to the owner's eventfd for each completion.
 *
 * A thread that ends takes back what it has submitted, if that has not begun: -ECANCELED, -EINTR, or,
 * as it has no memory any more, -EFAULT. Nobody else cancels anything here, so it is submitted again, by
 * whoever reaps.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files/internal.h"

#define RING_ENTRIES 256
#define RING_ROOM 1024 /* completions */

/* What is copied from the page cache within the submitting call holds its caller up: not this much. */
#define ASYNC_BYTES (256 * 1024)

/* Of req->stage: */
#define STAGE_ASYNC 0x01 /* not within the submitting call */
#define STAGE_READ 0x02  /* FILES_PREPARE: its second half */
#define STAGE_AGAIN 0x10 /* so many times more, up to: */
#define STAGE_AGAIN_MAX 0xf0
#define STAGE_FAULT_MAX 0x40 /* then it is the request's memory that is wrong */

struct uring {
	struct files files;
	struct io_uring ring;
	struct req_list queue; /* not in the ring */
	unsigned in_ring;
	char nothing[NOTHING_BYTES];
	struct iovec nothing_iov[NOTHING_IOVS];
};

/* ------------------------------------------------------------------------ submitting */

static void prep_prepare(struct uring *u, struct io_uring_sqe *sqe, const struct files_req *req)
{
	size_t entries = (req->len - req->moved + NOTHING_BYTES - 1) / NOTHING_BYTES;

	/* a hint starts all of it at once, and waits for none: then it is read, into nothing */
	if (req->stage & STAGE_READ)
		io_uring_prep_readv(sqe, req->fd, u->nothing_iov,
				    entries < NOTHING_IOVS ? entries : NOTHING_IOVS,
				    req->offset + req->moved);
	else
		io_uring_prep_fadvise(sqe, req->fd, req->offset, (off_t)req->len,
				      POSIX_FADV_WILLNEED);
	sqe->flags |= IOSQE_ASYNC;
}

static void prep(struct uring *u, struct io_uring_sqe *sqe, struct files_req *req)
{
	switch (req->op) {
	case FILES_OPEN:
		io_uring_prep_openat2(sqe, req->fd, req->path, (struct open_how *)&req->how);
		break;
	case FILES_READ:
		io_uring_prep_readv(sqe, req->fd, req->iov, req->niov, req->offset);
		break;
	case FILES_WRITE:
		io_uring_prep_writev(sqe, req->fd, req->iov, req->niov, req->offset + req->moved);
		break;
	case FILES_STAT:
		io_uring_prep_statx(sqe, req->fd, "", AT_EMPTY_PATH,
				    STATX_BASIC_STATS | STATX_BTIME, req->st);
		break;
	case FILES_SYNC:
		io_uring_prep_fsync(sqe, req->fd, 0);
		break;
	case FILES_CLOSE:
		io_uring_prep_close(sqe, req->fd);
		break;
	default:
		prep_prepare(u, sqe, req);
		break;
	}
	if ((req->stage & STAGE_ASYNC) || (req->op == FILES_READ && req->len > ASYNC_BYTES))
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, req);
}

static void uring_submit(struct files *files, struct files_req *req)
{
	req_list_add(&((struct uring *)files)->queue, req);
}

/* Begins what is in the submission queue. */
static void ring_enter(struct uring *u)
{
	int n = io_uring_submit(&u->ring);

	/* out of memory for the moment, as a rule: nothing but we would try again */
	if (n < 0 && u->in_ring == io_uring_sq_ready(&u->ring))
		files_wake(u->files.wake_fd);
}

static void uring_flush(struct files *files)
{
	struct uring *u = (struct uring *)files;
	struct io_uring_sqe *sqe;

	while (u->queue.first && u->in_ring < RING_ROOM) {
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe) {
			ring_enter(u);
			sqe = io_uring_get_sqe(&u->ring);
		}
		if (!sqe)
			return;
		prep(u, sqe, req_list_take(&u->queue));
		u->in_ring++;
	}
	if (io_uring_sq_ready(&u->ring))
		ring_enter(u);
}

/* ---------------------------------------------------------------------------- reaping */

static bool once_more(struct files_req *req, unsigned max)
{
	if ((req->stage & STAGE_AGAIN_MAX) >= max)
		return false;
	req->stage += STAGE_AGAIN;
	return true;
}

/* A failure that says nothing about the file: once more. */
static bool fails_again(struct files_req *req, int64_t res)
{
	switch (res) {
	case -EAGAIN:
		/* opened with O_NONBLOCK, in a file system that cannot but block */
		if (req->stage & STAGE_ASYNC)
			return false;
		req->stage |= STAGE_ASYNC;
		return true;
	case -EINTR:
		/* what was to be closed is closed nevertheless */
		return req->op != FILES_CLOSE && once_more(req, STAGE_AGAIN_MAX);
	case -ECANCELED:
		return once_more(req, STAGE_AGAIN_MAX);
	case -EFAULT:
		return once_more(req, STAGE_FAULT_MAX);
	default:
		return false;
	}
}

static bool goes_on(struct files_req *req, int64_t res)
{
	if (fails_again(req, res))
		return true;
	if (req->op == FILES_PREPARE && !(req->stage & STAGE_READ)) {
		/* whatever came of the hint */
		req->stage |= STAGE_READ;
		return true;
	}
	return req_step(req, res);
}

static struct files_req *uring_next(struct files *files)
{
	struct uring *u = (struct uring *)files;
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&u->ring, &cqe)) {
		struct files_req *req = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->in_ring--;
		if (!goes_on(req, res))
			return req;
		req_list_add(&u->queue, req);
	}
	return NULL;
}

/* -------------------------------------------------------------------------------- life */

static void uring_close(struct files *files)
{
	struct uring *u = (struct uring *)files;
	struct files_req *req;

	while (files->busy) {
		uring_flush(files);
		io_uring_submit_and_wait(&u->ring, 1);
		while ((req = uring_next(files))) {
			files->busy--;
			req_forget(req);
		}
	}
	io_uring_queue_exit(&u->ring);
	free(u);
}

static const struct {
	int op;
	const char *name;
} needed[] = {
	{ IORING_OP_OPENAT2, "OPENAT2" }, { IORING_OP_READV, "READV" },
	{ IORING_OP_WRITEV, "WRITEV" },   { IORING_OP_STATX, "STATX" },
	{ IORING_OP_FSYNC, "FSYNC" },     { IORING_OP_CLOSE, "CLOSE" },
	{ IORING_OP_FADVISE, "FADVISE" },
};

static int probe(struct io_uring *ring, char *why, size_t room)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	int err = 0;

	if (!p) {
		snprintf(why, room, "this kernel's io_uring cannot say what it can do");
		return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && !err; i++) {
		if (io_uring_opcode_supported(p, needed[i].op))
			continue;
		snprintf(why, room, "this kernel's io_uring lacks %s", needed[i].name);
		err = -EOPNOTSUPP;
	}
	io_uring_free_probe(p);
	return err;
}

static void refusal(int err, char *why, size_t room)
{
	switch (err) {
	case -ENOSYS:
		snprintf(why, room, "this kernel has no io_uring, or a filter says so");
		break;
	case -EPERM:
	case -EACCES:
		snprintf(why, room,
			 "io_uring is forbidden here (kernel.io_uring_disabled, seccomp)");
		break;
	default:
		snprintf(why, room, "io_uring cannot be set up: %s", strerror(-err));
		break;
	}
}

/*
 * A ring of one thread works without locks, and completes within that thread's own calls. Others are
 * interrupted to complete what they submitted: they may be anywhere, and for long.
 */
static int ring_setup(struct uring *u, enum files_owner owner)
{
	struct io_uring_params params = {
		/* the flag says when there is something to run: only then a reap makes a call */
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		.cq_entries = RING_ROOM,
	};
	int err = -EINVAL;

	if (owner == FILES_SINGLE)
		err = io_uring_queue_init_params(RING_ENTRIES, &u->ring, &params);
	if (err != -EINVAL)
		return err;
	params = (struct io_uring_params){
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = RING_ROOM,
	};
	return io_uring_queue_init_params(RING_ENTRIES, &u->ring, &params);
}

static int uring_open(const struct files_env *env, char *why, size_t room, struct files **out)
{
	struct uring *u = calloc(1, sizeof(*u));
	int err;

	if (!u) {
		snprintf(why, room, "no memory");
		return -ENOMEM;
	}
	err = ring_setup(u, env->owner);
	if (err) {
		refusal(err, why, room);
		free(u);
		return err;
	}
	err = probe(&u->ring, why, room);
	if (!err) {
		err = io_uring_register_eventfd(&u->ring, env->wake_fd);
		if (err)
			refusal(err, why, room);
	}
	if (err) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return err;
	}
	req_list_init(&u->queue);
	nothing_iov(u->nothing_iov, u->nothing, sizeof(u->nothing) * NOTHING_IOVS);
	*out = &u->files;
	return 0;
}

const struct files_kind_ops files_uring_ops = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.flush = uring_flush,
	.next = uring_next,
};
