/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * files.c - the cache of files. An entry counts its users, the cache being one of them; the last to
 * leave unmaps it. So a replaced or displaced file stays whole for the responses that began with it.
 */
#include "examples/webserver/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "examples/webserver/date.h"
#include "examples/webserver/mime.h"
#include "examples/webserver/path.h"

#define RECHECK_MS 1000
#define HEAD_ROOM 192
#define BUCKETS 2048 /* a power of two */

struct entry {
	struct file file; /* first: what files_get() gives out */
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) age;
	unsigned users;
	int64_t checked_ms;
	/* what tells one state of a file from another */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	char head[HEAD_ROOM];
	uint32_t hash;
	size_t path_len;
	char path[];
};

LIST_HEAD(bucket, entry);
TAILQ_HEAD(ages, entry);

struct files {
	dusi_ual_t ual;
	struct root root;
	unsigned limit, count;
	struct ages ages; /* least recently used first */
	struct bucket buckets[BUCKETS];
};

int files_create(struct files **out, dusi_ual_t ual, const char *folder, unsigned limit)
{
	struct files *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	err = root_init(&f->root, folder);
	if (err) {
		free(f);
		return err;
	}
	f->ual = ual;
	f->limit = limit;
	TAILQ_INIT(&f->ages);
	*out = f;
	return 0;
}

/* ------------------------------------------------------------------------------ entries */

static void entry_unmap(struct files *f, struct entry *e)
{
	if (!e->file.data)
		return;
	Dusi_Deregister_Memory(f->ual, e->file.mem);
	munmap(e->file.data, e->file.size);
}

static void entry_leave(struct files *f, struct entry *e)
{
	if (--e->users)
		return;
	entry_unmap(f, e);
	free(e);
}

/* Out of the cache; those who are sending it keep it. */
static void entry_drop(struct files *f, struct entry *e)
{
	LIST_REMOVE(e, bucket);
	TAILQ_REMOVE(&f->ages, e, age);
	f->count--;
	entry_leave(f, e);
}

/* The cache is the first user of a new entry. */
static void entry_insert(struct files *f, struct entry *e)
{
	if (f->count >= f->limit)
		entry_drop(f, TAILQ_FIRST(&f->ages));
	LIST_INSERT_HEAD(&f->buckets[e->hash % BUCKETS], e, bucket);
	TAILQ_INSERT_TAIL(&f->ages, e, age);
	f->count++;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool entry_current(const struct entry *e, const struct stat *st)
{
	return e->dev == st->st_dev && e->ino == st->st_ino && e->size == st->st_size &&
	       same_time(&e->mtime, &st->st_mtim) && same_time(&e->ctime, &st->st_ctim);
}

static void entry_describe(struct entry *e, const struct stat *st)
{
	time_t now = time(NULL);
	char date[DATE_ROOM];
	int n;

	e->dev = st->st_dev;
	e->ino = st->st_ino;
	e->size = st->st_size;
	e->mtime = st->st_mtim;
	e->ctime = st->st_ctim;
	/* never later than the date of the response */
	date_format(st->st_mtim.tv_sec < now ? st->st_mtim.tv_sec : now, date);
	n = snprintf(e->head, HEAD_ROOM,
		     "Content-Type: %s\r\nContent-Length: %zu\r\nLast-Modified: %s\r\n",
		     mime_type(e->path), e->file.size, date);
	e->file.head = e->head;
	e->file.head_len = (size_t)n;
}

static int entry_map(struct files *f, struct entry *e, int fd, const struct stat *st)
{
	int err;

	e->file.size = (size_t)st->st_size;
	if (!e->file.size)
		return 0;
	e->file.data = mmap(NULL, e->file.size, PROT_READ, MAP_SHARED, fd, 0);
	if (e->file.data == MAP_FAILED)
		return -errno;
	err = Dusi_Register_Memory(f->ual, e->file.data, e->file.size, DUSI_READ, &e->file.mem);
	if (err)
		munmap(e->file.data, e->file.size);
	return err;
}

/* With one user, the caller, who is to insert it. */
static int entry_create(struct files *f, const char *path, size_t len, int fd,
			const struct stat *st, struct entry **out)
{
	struct entry *e = calloc(1, sizeof(*e) + len + 1);
	int err;

	if (!e)
		return -ENOMEM;
	memcpy(e->path, path, len);
	e->path_len = len;
	err = entry_map(f, e, fd, st);
	if (err) {
		free(e);
		return err;
	}
	entry_describe(e, st);
	e->users = 1;
	*out = e;
	return 0;
}

/* ------------------------------------------------------------------------------- look-up */

/* FNV-1a */
static uint32_t hash_path(const char *path, size_t len)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)path[i]) * 16777619u;
	return hash;
}

static struct entry *find(struct files *f, const char *path, size_t len, uint32_t hash)
{
	struct entry *e;

	LIST_FOREACH(e, &f->buckets[hash % BUCKETS], bucket)
	if (e->hash == hash && e->path_len == len && !memcmp(e->path, path, len))
		return e;
	return NULL;
}

static int open_file(const struct files *f, const char *path, struct stat *st)
{
	int fd = root_open(&f->root, path), err = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, st))
		err = -errno;
	else if (S_ISDIR(st->st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st->st_mode))
		err = -EACCES;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* This process, not the file, is short of something: what is cached is still the best answer. */
static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;
}

/* The entry for what is at the path now: @cached, if that is still it, or a new one. */
static int look_again(struct files *f, const char *path, size_t len, struct entry *cached,
		      struct entry **out)
{
	struct stat st;
	int fd = open_file(f, path, &st), err = 0;

	if (fd < 0) {
		*out = cached;
		return cached && is_shortage(fd) ? 0 : fd;
	}
	if (cached && entry_current(cached, &st))
		*out = cached;
	else
		err = entry_create(f, path, len, fd, &st, out);
	close(fd);
	return err;
}

static int refresh(struct files *f, const char *path, size_t len, uint32_t hash,
		   struct entry *cached, int64_t now_ms, struct entry **out)
{
	int err = look_again(f, path, len, cached, out);

	if (cached && (err || *out != cached))
		entry_drop(f, cached);
	if (err)
		return err;
	(*out)->checked_ms = now_ms;
	if (*out == cached)
		return 0;
	(*out)->hash = hash;
	entry_insert(f, *out);
	return 0;
}

int files_get(struct files *f, const char *path, size_t len, int64_t now_ms, struct file **file)
{
	uint32_t hash = hash_path(path, len);
	struct entry *e = find(f, path, len, hash);
	int err;

	if (!e || now_ms - e->checked_ms >= RECHECK_MS) {
		err = refresh(f, path, len, hash, e, now_ms, &e);
		if (err)
			return err;
	}
	TAILQ_REMOVE(&f->ages, e, age);
	TAILQ_INSERT_TAIL(&f->ages, e, age);
	e->users++;
	*file = &e->file;
	return 0;
}

void files_put(struct files *f, struct file *file)
{
	entry_leave(f, (struct entry *)file);
}

void files_destroy(struct files *f)
{
	while (!TAILQ_EMPTY(&f->ages))
		entry_drop(f, TAILQ_FIRST(&f->ages));
	root_fini(&f->root);
	free(f);
}
