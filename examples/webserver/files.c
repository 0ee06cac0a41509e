/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * files.c - the cache of files. An entry counts its users, the cache being one of them; the last to
 * leave unmaps it. So a replaced or displaced file stays whole for the responses that began with it.
 */
#include "examples/webserver/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "examples/webserver/entry.h"
#include "examples/webserver/path.h"

#define RECHECK_MS 1000
#define UNUSED_MS 10000 /* after which an entry goes */
#define BUCKETS 2048    /* a power of two */

LIST_HEAD(bucket, entry);
TAILQ_HEAD(ages, entry);

struct files {
	struct entry_env env;
	struct root root;
	struct files_limits limits;
	struct files_counters counters;
	unsigned handles;
	struct ages ages; /* least recently used first */
	struct bucket buckets[BUCKETS];
};

/* What would not fit into all of the cache is not mapped either. */
static void set_limits(struct files *f, const struct files_limits *limits)
{
	f->limits = *limits;
	f->env.largest = limits->largest < limits->bytes ? limits->largest : limits->bytes;
}

int files_create(struct files **out, struct gaio *io, struct gaio_queue *queue, const char *folder,
		 const struct files_limits *limits)
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
	f->env = (struct entry_env){ .io = io, .queue = queue };
	set_limits(f, limits);
	TAILQ_INIT(&f->ages);
	*out = f;
	return 0;
}

/* ------------------------------------------------------------------------------ entries */

static void entry_leave(struct files *f, struct entry *e)
{
	if (!--e->users)
		entry_destroy(&f->env, e);
}

/* Out of the cache; those who are sending it keep it. */
static void entry_drop(struct files *f, struct entry *e)
{
	LIST_REMOVE(e, bucket);
	TAILQ_REMOVE(&f->ages, e, age);
	f->counters.files--;
	if (e->file.handle)
		f->handles--;
	else
		f->counters.bytes -= e->file.size;
	entry_leave(f, e);
}

static struct entry *oldest_large(const struct files *f)
{
	struct entry *e;

	TAILQ_FOREACH(e, &f->ages, age)
	if (e->file.handle)
		return e;
	return NULL;
}

/* Until the limits are kept. */
static void make_room(struct files *f)
{
	while (f->counters.files > f->limits.files || f->counters.bytes > f->limits.bytes)
		entry_drop(f, TAILQ_FIRST(&f->ages));
	while (f->handles > FILES_OPEN_MAX)
		entry_drop(f, oldest_large(f));
}

/* The cache is the first user of a new entry. */
static void entry_insert(struct files *f, struct entry *e)
{
	LIST_INSERT_HEAD(&f->buckets[e->hash % BUCKETS], e, bucket);
	TAILQ_INSERT_TAIL(&f->ages, e, age);
	f->counters.files++;
	if (e->file.handle)
		f->handles++;
	else
		f->counters.bytes += e->file.size;
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

static int open_file(const struct files *f, const char *path, bool wait, struct stat *st)
{
	int fd = wait ? root_open(&f->root, path) : root_open_cached(&f->root, path);
	int err = 0;

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
static int look_again(struct files *f, const char *path, size_t len, bool wait,
		      struct entry *cached, struct entry **out)
{
	struct stat st;
	int fd = open_file(f, path, wait, &st);

	if (fd < 0) {
		*out = cached;
		return cached && is_shortage(fd) ? 0 : fd;
	}
	if (cached && entry_is_current(cached, &st)) {
		*out = cached;
		close(fd);
		return 0;
	}
	return entry_create(&f->env, path, len, fd, &st, out);
}

static int refresh(struct files *f, const char *path, size_t len, uint32_t hash, bool wait,
		   struct entry *cached, int64_t now_ms, struct entry **out)
{
	int err = look_again(f, path, len, wait, cached, out);

	if (err == -EAGAIN && !wait)
		return err;
	f->counters.misses++;
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

int files_get(struct files *f, const char *path, size_t len, int64_t now_ms, bool wait,
	      struct file **file)
{
	uint32_t hash = hash_path(path, len);
	struct entry *e = find(f, path, len, hash);
	int err;

	if (!e || now_ms - e->checked_ms >= RECHECK_MS) {
		err = refresh(f, path, len, hash, wait, e, now_ms, &e);
		if (err)
			return err;
	} else {
		f->counters.hits++;
	}
	TAILQ_REMOVE(&f->ages, e, age);
	TAILQ_INSERT_TAIL(&f->ages, e, age);
	e->used_ms = now_ms;
	e->users++;
	*file = &e->file;
	make_room(f);
	return 0;
}

int files_look(struct files *f, const char *path, uint64_t context, struct gaio_file **file)
{
	struct root_how flags = root_how();
	const struct gaio_open_how how = {
		.dirfd = f->root.fd,
		.path = path,
		.flags = flags.flags,
		.resolve = flags.resolve,
	};

	f->counters.looks++;
	return gaio_open_file(f->env.io, f->env.queue, context, &how, 0, file);
}

void files_put(struct files *f, struct file *file)
{
	entry_leave(f, (struct entry *)file);
}

void files_expire(struct files *f, int64_t now_ms)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&f->ages)) && now_ms - e->used_ms >= UNUSED_MS)
		entry_drop(f, e);
}

void files_reset(struct files *f, const struct files_limits *limits)
{
	set_limits(f, limits);
	while (!TAILQ_EMPTY(&f->ages))
		entry_drop(f, TAILQ_FIRST(&f->ages));
}

void files_count(const struct files *f, struct files_counters *counters)
{
	*counters = f->counters;
}

void files_destroy(struct files *f)
{
	while (!TAILQ_EMPTY(&f->ages))
		entry_drop(f, TAILQ_FIRST(&f->ages));
	root_fini(&f->root);
	free(f);
}
