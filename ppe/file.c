/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * file.c - files: objects, operations, and ranges that are sent.
 *
 * An operation is posted with the turn in hand, as control calls are, and its event's slot is reserved
 * there. The service (files/files.h) carries it out; the turn's last step hands over and reaps.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ppe/file.h"

#define FILES_MAX 65536
#define NO_FILE UINT32_MAX
#define OPS_MAX 4096
#define PATH_BYTES 4096
#define REAP_MAX 64 /* of one turn */

#define PIECE (512 * 1024)  /* of a range: sent in one go, read from the disk in one go */
#define SMALL_PIECE 65536   /* that follows what was in memory: taken to be there as well, */
#define TRUSTED_BYTES PIECE /* ... for so many bytes */
#define WARM_US 100000      /* what was in memory may be gone after this */

struct file_op {
	struct files_req req;
	struct ppe_file *file;
	uint64_t user_tag;
	uint32_t dti;  /* FILES_PREPARE: handle of who waits for it */
	uint16_t type; /* enum ppe_event_type */
	uint8_t nregions;
	uint32_t region[PPE_SGE_MAX]; /* their numbers */
	struct iovec iov[PPE_SGE_MAX];
	char *path;
	struct file_op *next_free;
};

/* ----------------------------------------------------------------------- the service */

/* Who calls it: see enum files_owner. A dedicated thread begins all, and stays. */
static enum files_owner owner_of(const struct ppe_ual *ual)
{
	if (ual->placement == PPE_ADAPTIVE)
		return FILES_ROAMING;
	return ual->placement == PPE_INLINE && ual->single_thread ? FILES_SINGLE : FILES_STAYING;
}

static int service_open(struct ppe_ual *ual)
{
	struct files_env env = {
		.owner = owner_of(ual),
		.wake_fd = ual->fabric.stream->kick_fd(ual->fabric.fab),
	};
	const char *why;
	int err;

	if (ual->files)
		return 0;
	err = files_open(&env, &ual->files);
	if (err) {
		ual_logf(ual, FAB_LOG_WARN, "no service for files: %s", strerror(-err));
		return err;
	}
	ual_logf(ual, FAB_LOG_INFO, "files: %s (%s)", files_kind(ual->files, &why), why);
	return 0;
}

const char *file_service(struct ppe_ual *ual, const char **why)
{
	return ual->files ? files_kind(ual->files, why) : NULL;
}

static void submit(struct ppe_ual *ual, struct files_req *req)
{
	ual->file_work++;
	files_submit(ual->files, req);
}

bool file_turn(struct ppe_ual *ual)
{
	assert(turn_held(ual));
	if (ual->file_hold) {
		ual->file_hold = false;
		return false;
	}
	files_flush(ual->files);
	return files_reap(ual->files, REAP_MAX) == REAP_MAX;
}

/*
 * Where whoever posts is about to poll, or a thread spins, the next turn begins what was posted, with
 * all that comes till then. Like work that a turn leaves: say so, then look for a sleeper.
 */
static void hold_back(struct ppe_ual *ual)
{
	if (ual->placement == PPE_ADAPTIVE || atomic_load(&ual->followers))
		return;
	atomic_exchange(&ual->work_left, 1);
	ual->file_hold = !atomic_load(&ual->slot);
}

/* ----------------------------------------------------------------------- the objects */

static int objects_grow(struct ppe_ual *ual)
{
	uint32_t room = ual->files_room ? ual->files_room * 2 : 64;
	struct ppe_file **table;

	if (room > FILES_MAX)
		return -ENOSPC;
	table = realloc(ual->file, room * sizeof(struct ppe_file *));
	if (!table)
		return -ENOMEM;
	if (!ual->file)
		ual->file_first_free = NO_FILE;
	ual->file = table;
	ual->files_room = room;
	return 0;
}

static int object_new(struct ppe_ual *ual, struct ppe_file **out)
{
	struct ppe_file *f;
	int err = ual->nfiles == ual->files_room ? objects_grow(ual) : 0;

	if (err)
		return err;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->ual = ual;
	f->handle = handle_make(ual->nfiles, 1);
	ual->file[ual->nfiles++] = f;
	*out = f;
	return 0;
}

/* Like DTIs they stay while the UAL lives: a stale handle meets another generation. */
static int object_take(struct ppe_ual *ual, struct ppe_file **out)
{
	struct ppe_file *f;
	int err;

	if (!ual->file || ual->file_first_free == NO_FILE) {
		err = object_new(ual, out);
		if (err)
			return err;
	} else {
		*out = ual->file[ual->file_first_free];
		ual->file_first_free = (*out)->next_free;
	}
	f = *out;
	*f = (struct ppe_file){ .ual = ual, .handle = f->handle, .in_use = true };
	atomic_init(&f->fd, -1);
	atomic_init(&f->sends, 0);
	return 0;
}

static void object_give(struct ppe_file *f)
{
	struct ppe_ual *ual = f->ual;
	uint32_t generation = (handle_generation(f->handle) + 1) % HANDLE_GENERATIONS;

	f->in_use = false;
	f->handle = handle_make(handle_number(f->handle), generation ? generation : 1);
	f->next_free = ual->file_first_free;
	ual->file_first_free = handle_number(f->handle);
}

static struct ppe_file *object_of(struct ppe_ual *ual, uint32_t handle)
{
	uint32_t number = handle_number(handle);
	struct ppe_file *f = number < ual->nfiles ? ual->file[number] : NULL;

	return f && f->in_use && f->handle == handle ? f : NULL;
}

static void on_closed(struct files_req *req)
{
	struct ppe_file *f = list_entry(req, struct ppe_file, close);

	f->ual->file_work--;
	object_give(f);
}

/* Closed by the application: as far as nobody uses it any more. */
static void file_settle(struct ppe_file *f)
{
	int fd = atomic_load(&f->fd);

	if (!f->closed || f->ops)
		return;
	if (f->evq)
		f->evq->bound--;
	f->evq = NULL;
	if (atomic_load(&f->sends))
		return;
	atomic_store(&f->fd, -1);
	if (fd >= 0 && f->ual->files) {
		f->close = (struct files_req){ .op = FILES_CLOSE, .fd = fd, .done = on_closed };
		submit(f->ual, &f->close);
		return;
	}
	if (fd >= 0)
		close(fd);
	object_give(f);
}

/* -------------------------------------------------------------------- the operations */

static struct file_op *op_take(struct ppe_ual *ual, struct ppe_file *f, enum files_op what)
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

static void op_give(struct ppe_ual *ual, struct file_op *op)
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
	op_give(ual, op);
	ual->posted_file_ops--;
	f->ops--;
	file_settle(f);
}

static void on_done(struct files_req *req)
{
	struct file_op *op = list_entry(req, struct file_op, req);

	op->file->ual->file_work--;
	if (req->op == FILES_OPEN && req->result >= 0)
		atomic_store(&op->file->fd, (int)req->result);
	op_end(op, req->result);
}

static int op_begin(struct ppe_file *f, enum files_op what, enum ppe_event_type type, uint64_t tag,
		    struct file_op **out)
{
	struct ppe_ual *ual = f->ual;
	struct file_op *op;
	int err = service_open(ual);

	if (err)
		return err;
	if (ual->posted_file_ops == OPS_MAX || !evq_reserve(f->evq))
		return -EAGAIN;
	op = op_take(ual, f, what);
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

static void op_submit(struct file_op *op)
{
	struct ppe_ual *ual = op->file->ual;

	submit(ual, &op->req);
	hold_back(ual);
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
	err = op_begin(f, write ? FILES_WRITE : FILES_READ,
		       write ? PPE_EV_FILE_WRITE : PPE_EV_FILE_READ, tag, &op);
	if (err)
		return file_leave(f->ual, err);
	op->req.offset = offset;
	err = op_resolve(op, sge, nsge, write ? PPE_ACCESS_LOCAL_READ : PPE_ACCESS_LOCAL_WRITE);
	if (err)
		op_end(op, wr_reject(f->ual, err));
	else
		op_submit(op);
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
	err = op_begin(f, FILES_STAT, PPE_EV_FILE_STAT, user_tag, &op);
	if (!err) {
		op->req.st = st;
		op_submit(op);
	}
	return file_leave(f->ual, err);
}

int ppe_file_sync(struct ppe_file *f, uint64_t user_tag)
{
	struct file_op *op;
	int err = file_enter(f->ual);

	if (err)
		return err;
	err = op_begin(f, FILES_SYNC, PPE_EV_FILE_SYNC, user_tag, &op);
	if (!err)
		op_submit(op);
	return file_leave(f->ual, err);
}

/* --------------------------------------------------------------- opening and closing */

static int file_create(struct ppe_ual *ual, const struct ppe_file_attr *attr, struct ppe_file **out)
{
	struct ppe_file *f;
	int err;

	if (!attr->evq || attr->evq->ual != ual)
		return -EINVAL;
	err = object_take(ual, &f);
	if (err)
		return err;
	f->cookie = attr->cookie;
	f->context = attr->context;
	f->evq = attr->evq;
	f->evq->bound++;
	*out = f;
	return 0;
}

static void file_uncreate(struct ppe_file *f)
{
	f->evq->bound--;
	object_give(f);
}

/* @path becomes the operation's. */
static int file_open(struct ppe_file *f, const struct ppe_open *how, char *path, uint64_t user_tag)
{
	struct file_op *op;
	int err = op_begin(f, FILES_OPEN, PPE_EV_FILE_OPEN, user_tag, &op);

	if (err)
		return err;
	op->path = path;
	op->req.fd = how->dirfd;
	op->req.path = path;
	op->req.how.flags = how->flags | O_CLOEXEC;
	op->req.how.mode = how->mode;
	op->req.how.resolve = how->resolve;
	op_submit(op);
	return 0;
}

int ppe_file_open(struct ppe_ual *ual, const struct ppe_file_attr *attr, const struct ppe_open *how,
		  uint64_t user_tag, struct ppe_file **out)
{
	struct ppe_file *f;
	char *path;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	if (strnlen(how->path, PATH_BYTES) == PATH_BYTES)
		return -ENAMETOOLONG;
	path = strdup(how->path);
	err = path ? thread_start(ual) : -ENOMEM;
	if (err) {
		free(path);
		return err;
	}
	turn_lock(ual);
	err = file_create(ual, attr, &f);
	if (!err) {
		err = file_open(f, how, path, user_tag);
		if (err)
			file_uncreate(f);
		else
			*out = f;
	}
	turn_unlock(ual);
	if (err)
		free(path);
	return err;
}

/* Reading from a pipe may take for ever, and offsets mean nothing there. */
static int adoptable(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) ? -ESPIPE : 0;
}

int ppe_file_adopt(struct ppe_ual *ual, const struct ppe_file_attr *attr, int fd,
		   struct ppe_file **out)
{
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	err = adoptable(fd);
	if (!err)
		err = thread_start(ual);
	if (err)
		return err;
	turn_lock(ual);
	err = file_create(ual, attr, out);
	if (!err)
		atomic_store(&(*out)->fd, fd);
	turn_unlock(ual);
	return err;
}

int ppe_file_close(struct ppe_file *f)
{
	struct ppe_ual *ual = f->ual;
	int err = file_enter(ual);

	if (err)
		return err;
	f->closed = true;
	file_settle(f);
	if (ual->file_work)
		hold_back(ual);
	return file_leave(ual, 0);
}

/* ---------------------------------------------------------------------------- ranges */

int file_resolve(struct ppe_ual *ual, const union ppe_slot *s, struct ppe_file **file,
		 uint64_t *offset)
{
	struct ppe_wr_file range;

	memcpy(&range, s->bytes + sizeof(struct ppe_wr), sizeof(range));
	if (s->wr.flags || s->wr.nsge || range.zero ||
	    range.offset > (uint64_t)INT64_MAX - s->wr.length)
		return -EBADMSG;
	*file = object_of(ual, range.file);
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
	f = object_of(ual, range.file);
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
	op_give(ual, op);
	f->ops--;
	file_settle(f);
}

/* False: it cannot be had in another way than by waiting. */
static bool prepare(struct ppe_dti *d, struct ppe_file *f, uint64_t offset, size_t len)
{
	struct ppe_ual *ual = f->ual;
	struct file_op *op;

	if (service_open(ual))
		return false;
	op = op_take(ual, f, FILES_PREPARE);
	if (!op)
		return false;
	op->dti = d->handle;
	op->req.offset = offset;
	op->req.len = len;
	op->req.done = on_prepared;
	f->ops++;
	d->tx_cold = true;
	count(ual, file_waits, 1);
	submit(ual, &op->req);
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

/* ------------------------------------------------------------------------- their end */

void file_drain(struct ppe_ual *ual)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t value;

	assert(turn_held(ual));
	ual->file_hold = false;
	if (ual->file_work)
		p.fd = ual->fabric.stream->kick_fd(ual->fabric.fab);
	while (ual->file_work) {
		files_flush(ual->files);
		if (files_reap(ual->files, REAP_MAX) || !ual->file_work)
			continue;
		poll(&p, 1, -1);
		if (read(p.fd, &value, sizeof(value)) < 0) {
			/* a signal handler ran instead */
		}
	}
}

void file_destroy_all(struct ppe_ual *ual)
{
	struct file_op *op;

	file_drain(ual);
	for (uint32_t i = 0; i < ual->nfiles; i++) {
		struct ppe_file *f = ual->file[i];

		if (f->in_use && atomic_load(&f->fd) >= 0)
			close(atomic_load(&f->fd));
		free(f);
	}
	free(ual->file);
	ual->nfiles = 0;
	while ((op = ual->free_file_ops)) {
		ual->free_file_ops = op->next_free;
		free(op);
	}
	if (ual->files)
		files_close(ual->files);
	ual->files = NULL;
}
