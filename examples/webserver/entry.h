/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * entry.h - one file of the cache: how it comes to be, and ends. For files.c.
 */
#ifndef EXAMPLES_WEBSERVER_ENTRY_H
#define EXAMPLES_WEBSERVER_ENTRY_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "examples/webserver/files.h"

struct entry {
	struct file file; /* first: what files_get() gives out */
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) age;
	unsigned users;
	int64_t checked_ms, used_ms;
	/* what tells one state of a file from another */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	uint32_t hash;
	size_t path_len;
	char path[];
};

struct entry_env {
	struct gaio *io;
	struct gaio_queue *queue;
	uint64_t largest; /* that is mapped */
};

/* The file that is open as @fd, which is the entry's from now on. With one user, the caller. */
int entry_create(const struct entry_env *env, const char *path, size_t len, int fd,
		 const struct stat *st, struct entry **out);
void entry_destroy(const struct entry_env *env, struct entry *e);

bool entry_is_current(const struct entry *e, const struct stat *st);

#endif
