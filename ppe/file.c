/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * file.c - files: the service that carries operations out, the objects, opening and closing.
 *
 * The turn's last step hands over to the service (files/files.h) and reaps.
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
#define PATH_BYTES 4096
#define REAP_MAX 64 /* of one turn */

/* ----------------------------------------------------------------------- the service */

/* Who calls it: see enum files_owner. A dedicated thread begins all, and stays. */
static enum files_owner owner_of(const struct ppe_ual *ual)
{
	if (ual->placement == PPE_ADAPTIVE)
		return FILES_ROAMING;
	return ual->placement == PPE_INLINE && ual->single_thread ? FILES_SINGLE : FILES_STAYING;
}

int file_service_open(struct ppe_ual *ual)
{
	struct files_env env = {
		.owner = owner_of(ual),
		.wake_fd = ual->fabric.stream->kick_fd(ual->fabric.fab),
	};
	const char *kind, *why;
	int err;

	if (ual->files)
		return 0;
	err = files_open(&env, &ual->files);
	if (err) {
		ual_logf(ual, FAB_LOG_WARN, "no service for files: %s", strerror(-err));
		return err;
	}
	kind = files_kind(ual->files, &why);
	ual_logf(ual, FAB_LOG_INFO, "files: %s (%s)", kind, why);
	return 0;
}

const char *file_service(struct ppe_ual *ual, const char **why)
{
	return ual->files ? files_kind(ual->files, why) : NULL;
}

void file_submit(struct ppe_ual *ual, struct files_req *req)
{
	ual->file_work++;
	files_submit(ual->files, req);
}

bool file_turn(struct ppe_ual *ual)
{
	assert(turn_held(ual));
	/* it alone submits: what a thread has submitted interrupts that thread's system calls */
	if (thread_spins(ual) && !pthread_equal(pthread_self(), ual->thread)) {
		ual->file_hold = false;
		return false;
	}
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
void file_hold_back(struct ppe_ual *ual)
{
	if (ual->placement == PPE_ADAPTIVE)
		return;
	atomic_exchange(&ual->work_left, 1);
	ual->file_hold = !atomic_load(&ual->slot) && !atomic_load(&ual->followers);
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

struct ppe_file *file_object(struct ppe_ual *ual, uint32_t handle)
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
void file_settle(struct ppe_file *f)
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
		file_submit(f->ual, &f->close);
		return;
	}
	if (fd >= 0)
		close(fd);
	object_give(f);
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
	int err = file_op_begin(f, FILES_OPEN, PPE_EV_FILE_OPEN, user_tag, &op);

	if (err)
		return err;
	op->path = path;
	op->req.fd = how->dirfd;
	op->req.path = path;
	op->req.how.flags = how->flags | O_CLOEXEC;
	/* opening a pipe would wait for its other end */
	if (!(how->flags & O_PATH))
		op->req.how.flags |= O_NONBLOCK;
	op->blocks = !(how->flags & (O_PATH | O_NONBLOCK));
	op->req.how.mode = how->mode;
	op->req.how.resolve = how->resolve;
	file_op_submit(op);
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

int file_opened(int fd, bool blocks)
{
	int flags, err = adoptable(fd);

	if (err) {
		close(fd);
		return err;
	}
	flags = blocks ? fcntl(fd, F_GETFL) : -1;
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return fd;
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

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	turn_lock(ual);
	f->closed = true;
	file_settle(f);
	if (ual->file_work)
		file_hold_back(ual);
	turn_unlock(ual);
	return 0;
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
