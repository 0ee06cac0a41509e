/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * file_op.c - operations on files, from the post to the event.
 *
 * An operation is posted with the turn in hand, as control calls are, and its event's slot is reserved
 * there. Its memory is used between turns: the regions are held until it has ended.
 */
#include <errno.h>
#include <stdlib.h>

#include "ppe/file.h"

#define OPS_MAX 4096

struct file_op *file_op_take(struct ppe_ual *ual, struct ppe_file *f, enum files_op what)
{
	struct file_op *op = ual->free_file_ops;

	if (op)
		ual->free_file_ops = op->next_free;
	else
		op = malloc(sizeof(*op));
	if (!op)
		return NULL;
	op->req = (struct files_req){ .op = what, .fd = atomic_load(&f->fd) };
	op->file = f;
	op->nregions = 0;
	op->path = NULL;
	return op;
}

void file_op_give(struct ppe_ual *ual, struct file_op *op)
{
	for (unsigned i = 0; i < op->nregions; i++)
		mr_unuse(&ual->mrs, op->region[i]);
	free(op->path);
	op->next_free = ual->free_file_ops;
	ual->free_file_ops = op;
}

static void op_event(const struct file_op *op, int64_t result)
{
	struct ppe_file *f = op->file;
	struct ppe_event ev = {
		.user_tag = op->user_tag,
		.cookie = f->cookie,
		.context = f->context,
		.len = op->req.moved,
		.dti = f->handle,
		.type = op->type,
		.status = result < 0 ? (int)result : 0,
	};

	evq_post(f->evq, &ev);
}

static void op_end(struct file_op *op, int64_t result)
{
	struct ppe_file *f = op->file;
	struct ppe_ual *ual = f->ual;

	op_event(op, result);
	file_op_give(ual, op);
	ual->posted_file_ops--;
	f->ops--;
	file_settle(f);
}

static void on_done(struct files_req *req)
{
	struct file_op *op = list_entry(req, struct file_op, req);

	op->file->ual->file_work--;
	if (req->op == FILES_OPEN && req->result >= 0)
		req->result = file_opened((int)req->result, op->blocks);
	if (req->op == FILES_OPEN && req->result >= 0)
		atomic_store(&op->file->fd, (int)req->result);
	op_end(op, req->result);
}

int file_op_begin(struct ppe_file *f, enum files_op what, enum ppe_event_type type, uint64_t tag,
		  struct file_op **out)
{
	struct ppe_ual *ual = f->ual;
	struct file_op *op;
	int err = file_service_open(ual);

	if (err)
		return err;
	if (ual->posted_file_ops == OPS_MAX || !evq_reserve(f->evq))
		return -EAGAIN;
	op = file_op_take(ual, f, what);
	if (!op) {
		evq_unreserve(f->evq);
		return -ENOMEM;
	}
	op->user_tag = tag;
	op->type = type;
	op->req.done = on_done;
	ual->posted_file_ops++;
	f->ops++;
	count(ual, file_ops, 1);
	*out = op;
	return 0;
}

void file_op_submit(struct file_op *op)
{
	struct ppe_ual *ual = op->file->ual;

	file_submit(ual, &op->req);
	file_hold_back(ual);
}

static int file_enter(struct ppe_ual *ual)
{
	if (!ual_alive(ual))
		return -EOWNERDEAD;
	turn_lock(ual);
	return 0;
}

static int file_leave(struct ppe_ual *ual, int result)
{
	turn_unlock(ual);
	return result;
}

/* The list as memory, each region of which stays for as long as the operation. */
static int op_resolve(struct file_op *op, const struct ppe_sge *sge, unsigned nsge, unsigned access)
{
	struct mr_table *mrs = &op->file->ual->mrs;
	unsigned n = 0;
	int err;

	op->req.iov = op->iov;
	for (unsigned i = 0; i < nsge; i++) {
		err = sge[i].zero ? -EBADMSG
				  : mr_check(mrs, sge[i].region, sge[i].ptag, sge[i].addr,
					     sge[i].len, access, &op->iov[n].iov_base);
		if (!err)
			err = mr_use(mrs, sge[i].region);
		if (err)
			return err;
		op->region[op->nregions++] = handle_number(sge[i].region);
		op->req.len += sge[i].len;
		op->iov[n].iov_len = sge[i].len;
		n += sge[i].len != 0;
	}
	op->req.niov = n;
	return 0;
}

static int file_move(struct ppe_file *f, bool write, const struct ppe_sge *sge, unsigned nsge,
		     uint64_t offset, uint64_t tag)
{
	struct file_op *op;
	int err;

	if (nsge > PPE_SGE_MAX || offset > INT64_MAX)
		return -EINVAL;
	err = file_enter(f->ual);
	if (err)
		return err;
	err = file_op_begin(f, write ? FILES_WRITE : FILES_READ,
			    write ? PPE_EV_FILE_WRITE : PPE_EV_FILE_READ, tag, &op);
	if (err)
		return file_leave(f->ual, err);
	op->req.offset = offset;
	err = op_resolve(op, sge, nsge, write ? PPE_ACCESS_LOCAL_READ : PPE_ACCESS_LOCAL_WRITE);
	if (err)
		op_end(op, wr_reject(f->ual, err));
	else
		file_op_submit(op);
	return file_leave(f->ual, 0);
}

int ppe_file_read(struct ppe_file *f, const struct ppe_sge *sge, unsigned nsge, uint64_t offset,
		  uint64_t user_tag)
{
	return file_move(f, false, sge, nsge, offset, user_tag);
}

int ppe_file_write(struct ppe_file *f, const struct ppe_sge *sge, unsigned nsge, uint64_t offset,
		   uint64_t user_tag)
{
	return file_move(f, true, sge, nsge, offset, user_tag);
}

int ppe_file_stat(struct ppe_file *f, struct statx *st, uint64_t user_tag)
{
	struct file_op *op;
	int err = file_enter(f->ual);

	if (err)
		return err;
	err = file_op_begin(f, FILES_STAT, PPE_EV_FILE_STAT, user_tag, &op);
	if (!err) {
		op->req.st = st;
		file_op_submit(op);
	}
	return file_leave(f->ual, err);
}

int ppe_file_sync(struct ppe_file *f, uint64_t user_tag)
{
	struct file_op *op;
	int err = file_enter(f->ual);

	if (err)
		return err;
	err = file_op_begin(f, FILES_SYNC, PPE_EV_FILE_SYNC, user_tag, &op);
	if (!err)
		file_op_submit(op);
	return file_leave(f->ual, err);
}
