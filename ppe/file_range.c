/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * file_range.c - ranges of files that are sent: what a descriptor names, and whether it is in memory.
 *
 * sendfile(2) waits for the disk, and the engine must not. So a piece is sent when its last byte can be
 * had at once; else it is read into the page cache first.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "ppe/file.h"

#define PIECE (512 * 1024)  /* of a range: sent in one go, read from the disk in one go */
#define SMALL_PIECE 65536   /* that follows what was in memory: taken to be there as well, */
#define TRUSTED_BYTES PIECE /* ... for so many bytes */
#define WARM_US 100000      /* what was in memory may be gone after this */

int file_resolve(struct ppe_ual *ual, const union ppe_slot *s, struct ppe_file **file,
		 uint64_t *offset)
{
	struct ppe_wr_file range;

	memcpy(&range, s->bytes + sizeof(struct ppe_wr), sizeof(range));
	if (s->wr.flags || s->wr.nsge || range.zero ||
	    range.offset > (uint64_t)INT64_MAX - s->wr.length)
		return -EBADMSG;
	*file = file_object(ual, range.file);
	*offset = range.offset;
	return *file && atomic_load(&(*file)->fd) >= 0 ? 0 : -EBADF;
}

/* Posts count, and what is no post may be in the queue as well: never below zero. */
void file_sent(struct ppe_ual *ual, const union ppe_slot *s)
{
	struct ppe_wr_file range;
	struct ppe_file *f;
	uint32_t sends;

	if (s->wr.op != PPE_WR_SEND_FILE)
		return;
	memcpy(&range, s->bytes + sizeof(struct ppe_wr), sizeof(range));
	f = file_object(ual, range.file);
	if (!f)
		return;
	sends = atomic_load(&f->sends);
	while (sends && !atomic_compare_exchange_weak(&f->sends, &sends, sends - 1)) {
	}
	if (sends)
		file_settle(f);
}

static void warm_set(struct ppe_file *f, uint64_t offset, size_t len)
{
	f->warm_from = offset;
	f->warm_to = offset + len;
	f->warm_at = clock_ticks();
	f->trusted = 0;
}

static void on_prepared(struct files_req *req)
{
	struct file_op *op = list_entry(req, struct file_op, req);
	struct ppe_file *f = op->file;
	struct ppe_ual *ual = f->ual;
	struct ppe_dti *d = ual->dtis[handle_number(op->dti)];

	/* whatever came of it: sending finds out what is wrong */
	ual->file_work--;
	warm_set(f, req->offset, req->len);
	if (d->in_use && d->handle == op->dti) {
		d->tx_cold = false;
		dti_activate(d);
	}
	file_op_give(ual, op);
	f->ops--;
	file_settle(f);
}

/* False: it cannot be had in another way than by waiting. */
static bool prepare(struct ppe_dti *d, struct ppe_file *f, uint64_t offset, size_t len)
{
	struct ppe_ual *ual = f->ual;
	struct file_op *op;

	if (file_service_open(ual))
		return false;
	op = file_op_take(ual, f, FILES_PREPARE);
	if (!op)
		return false;
	op->dti = d->handle;
	op->req.offset = offset;
	op->req.len = len;
	op->req.done = on_prepared;
	f->ops++;
	d->tx_cold = true;
	count(ual, file_waits, 1);
	file_submit(ual, &op->req);
	return true;
}

/* By the last byte: who reads ahead of us, or did, went from the first to the last. */
static bool in_memory(struct ppe_file *f, uint64_t last)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	ssize_t n;

	count(f->ual, fab.sys_other, 1);
	n = preadv2(atomic_load(&f->fd), &iov, 1, (off_t)last, RWF_NOWAIT);
	if (n >= 0 || errno == EAGAIN)
		return n >= 0;
	f->unasked = errno == EOPNOTSUPP || errno == ENOSYS;
	return true;
}

size_t file_ready(struct ppe_dti *d, struct ppe_file *f, uint64_t offset, size_t len)
{
	size_t piece = len < PIECE ? len : PIECE;
	bool fresh = clock_age(clock_ticks(), f->warm_at) < clock_us(WARM_US);

	if (d->tx_cold)
		return 0;
	if (fresh && offset >= f->warm_from && offset < f->warm_to)
		return piece < f->warm_to - offset ? piece : f->warm_to - offset;
	if (f->unasked)
		return piece;
	if (fresh && offset == f->warm_to && piece <= SMALL_PIECE &&
	    f->trusted + piece <= TRUSTED_BYTES) {
		f->trusted += piece;
		f->warm_to += piece;
		return piece;
	}
	if (!in_memory(f, offset + piece - 1) && prepare(d, f, offset, piece))
		return 0;
	warm_set(f, offset, piece);
	return piece;
}
