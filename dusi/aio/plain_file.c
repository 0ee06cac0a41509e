/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * plain_file.c - files of the back ends that open them themselves: operations become requests, and requests
 * that have ended events. Who carries them out is the back end's affair.
 */
#include "dusi/aio/plain.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct plain_file *pf_of(struct gaio_file *f)
{
	return (struct plain_file *)f;
}

/* -------------------------------------------------------------------------- ending */

static void op_free(struct file_op *op)
{
	link_del(&op->link);
	op->io->nfile_ops--;
	free(op->path);
	free(op);
}

static void count_bytes(struct file_op *op, size_t len)
{
	if (op->op == GAIO_READ_FILE)
		op->io->counts[COUNT_FILE_READ_BYTES] += len;
	else if (op->op == GAIO_WRITE_FILE)
		op->io->counts[COUNT_FILE_WRITE_BYTES] += len;
}

void plain_file_op_done(struct file_op *op)
{
	struct gaio_event e = {
		.op = op->op,
		.tag = op->tag,
		.file = op->file,
		.status = op->req.result < 0 ? (int)op->req.result : 0,
	};

	if (op->file) {
		e.context = op->file->o.context;
		if (op->op == GAIO_OPEN && !e.status)
			pf_of(op->file)->fd = (int)op->req.result;
		else if (op->op == GAIO_READ_FILE && !e.status)
			e.len = (size_t)op->req.result;
		else if (op->op == GAIO_WRITE_FILE)
			e.len = op->req.moved;
		count_bytes(op, e.len);
		aio_put(op->file->queue, &e);
	}
	op_free(op);
}

/* ------------------------------------------------------------------------ beginning */

static struct file_op *op_alloc(struct plain_io *io, struct gaio_file *f, enum gaio_op gaio,
				enum files_op op, uint64_t tag)
{
	struct file_op *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->io = io;
	o->file = f;
	o->op = gaio;
	o->tag = tag;
	o->req.op = op;
	o->req.fd = f ? plain_file_fd(f) : -1;
	link_add(&io->file_ops, &o->link);
	io->nfile_ops++;
	return o;
}

static int op_new(struct gaio_file *f, enum gaio_op gaio, enum files_op op, uint64_t tag,
		  struct file_op **out)
{
	struct plain_io *io = (struct plain_io *)f->o.io;
	int err;

	if (io->nfile_ops >= FILE_OPS_MAX)
		return -EAGAIN;
	err = aio_reserve(f->queue);
	if (err)
		return err;
	*out = op_alloc(io, f, gaio, op, tag);
	if (*out)
		return 0;
	f->queue->reserved--;
	return -ENOMEM;
}

/* Before the file is open, and when it never was. */
static void op_begin(struct file_op *op)
{
	if (op->req.fd >= 0) {
		op->io->file_begin(op->io, op);
		return;
	}
	op->req.result = -EBADF;
	plain_file_op_done(op);
}

int plain_file_open(struct gaio_file *f, const struct gaio_open_how *how, uint64_t tag)
{
	struct file_op *op;
	int err;

	pf_of(f)->fd = -1;
	if (strlen(how->path) >= PATH_MAX)
		return -ENAMETOOLONG;
	err = op_new(f, GAIO_OPEN, FILES_OPEN, tag, &op);
	if (err)
		return err;
	op->path = strdup(how->path);
	if (!op->path) {
		f->queue->reserved--;
		op_free(op);
		return -ENOMEM;
	}
	op->req.fd = how->dirfd;
	op->req.path = op->path;
	op->req.how.flags = how->flags | O_CLOEXEC;
	op->req.how.mode = how->mode;
	op->req.how.resolve = how->resolve;
	op->io->file_begin(op->io, op);
	return 0;
}

int plain_file_adopt(struct gaio_file *f, int fd)
{
	pf_of(f)->fd = fd;
	return 0;
}

int plain_file_rw(struct gaio_file *f, enum gaio_op gaio, const struct gaio_buf *buf,
		  uint64_t offset, uint64_t tag)
{
	struct file_op *op;
	int err = op_new(f, gaio, gaio == GAIO_READ_FILE ? FILES_READ : FILES_WRITE, tag, &op);

	if (err)
		return err;
	op->iov = (struct iovec){ buf->addr, buf->len };
	op->req.iov = &op->iov;
	op->req.niov = 1;
	op->req.len = buf->len;
	op->req.offset = offset;
	op_begin(op);
	return 0;
}

int plain_file_stat(struct gaio_file *f, struct statx *st, uint64_t tag)
{
	struct file_op *op;
	int err = op_new(f, GAIO_STAT, FILES_STAT, tag, &op);

	if (err)
		return err;
	op->req.st = st;
	op_begin(op);
	return 0;
}

int plain_file_sync(struct gaio_file *f, uint64_t tag)
{
	struct file_op *op;
	int err = op_new(f, GAIO_SYNC, FILES_SYNC, tag, &op);

	if (err)
		return err;
	op_begin(op);
	return 0;
}

/* -------------------------------------------------------------------------- closing */

void plain_file_close(struct gaio_file *f)
{
	(void)f;
}

/* The event does not wait for the descriptor's closing, which may take long in some file systems. */
void plain_file_idle(struct gaio_file *f)
{
	struct plain_io *io = (struct plain_io *)f->o.io;
	int fd = plain_file_fd(f);
	struct file_op *op;

	if (fd < 0)
		return;
	pf_of(f)->fd = -1;
	op = op_alloc(io, NULL, GAIO_CLOSE, FILES_CLOSE, 0);
	if (!op) {
		close(fd);
		return;
	}
	op->req.fd = fd;
	io->file_begin(io, op);
}

void plain_files_forget(struct plain_io *io)
{
	struct link *node;

	for (node = io->io.files.next; node != &io->io.files; node = node->next) {
		struct aio_object *o = link_entry(node, struct aio_object, link);
		int fd = plain_file_fd((struct gaio_file *)o);

		if (fd >= 0)
			close(fd);
	}
	while (!link_alone(&io->file_ops))
		op_free(link_entry(io->file_ops.next, struct file_op, link));
}
