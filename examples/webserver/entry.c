/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * entry.c - files become entries of the cache: mapped and registered, or, large ones, kept open.
 */
#include "examples/webserver/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "examples/webserver/mime.h"
#include "examples/webserver/response.h"

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool entry_is_current(const struct entry *e, const struct stat *st)
{
	return e->dev == st->st_dev && e->ino == st->st_ino && e->size == st->st_size &&
	       same_time(&e->mtime, &st->st_mtim) && same_time(&e->ctime, &st->st_ctim);
}

static void describe(struct entry *e, const struct stat *st)
{
	time_t now = time(NULL);
	struct file_state state = { .ino = st->st_ino, .mtime = st->st_mtim };

	e->dev = st->st_dev;
	e->ino = st->st_ino;
	e->size = st->st_size;
	e->mtime = st->st_mtim;
	e->ctime = st->st_ctim;
	/* never later than the date of the response */
	e->file.validators.modified = st->st_mtim.tv_sec < now ? st->st_mtim.tv_sec : now;
	response_prepare(&e->file, &state, mime_type(e->path));
}

static int map(const struct entry_env *env, struct entry *e, int fd)
{
	int err;

	e->file.data = mmap(NULL, e->file.size, PROT_READ, MAP_SHARED, fd, 0);
	if (e->file.data == MAP_FAILED) {
		e->file.data = NULL;
		return -errno;
	}
	err = gaio_register(env->io, e->file.data, e->file.size, GAIO_READ, &e->file.mem);
	if (err)
		munmap(e->file.data, e->file.size);
	else
		return 0;
	e->file.data = NULL;
	return err;
}

/* Takes @fd, whatever comes of it. Where there can be no more mappings, it is sent as it is read. */
static int take_content(const struct entry_env *env, struct entry *e, int fd)
{
	int err = 0;

	if (e->file.size && e->file.size <= env->largest)
		err = map(env, e, fd);
	if (e->file.size > env->largest || err == -ENOMEM || err == -ENOSPC) {
		err = gaio_adopt_file(env->io, env->queue, 0, fd, &e->file.handle);
		if (!err)
			return 0;
	}
	close(fd);
	return err;
}

int entry_create(const struct entry_env *env, const char *path, size_t len, int fd,
		 const struct stat *st, struct entry **out)
{
	struct entry *e = calloc(1, sizeof(*e) + len + 1);
	int err;

	if (!e) {
		close(fd);
		return -ENOMEM;
	}
	memcpy(e->path, path, len);
	e->path_len = len;
	e->file.size = (uint64_t)st->st_size;
	err = take_content(env, e, fd);
	if (err) {
		free(e);
		return err;
	}
	describe(e, st);
	e->users = 1;
	*out = e;
	return 0;
}

void entry_destroy(const struct entry_env *env, struct entry *e)
{
	if (e->file.handle)
		gaio_close_file(e->file.handle, 0);
	if (e->file.data) {
		gaio_deregister(env->io, e->file.mem);
		munmap(e->file.data, e->file.size);
	}
	free(e);
}
