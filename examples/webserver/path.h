/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * path.h - from a request's target to a path below the server's directory, and opening that path
 * so that it cannot lead out of the directory.
 */
#ifndef EXAMPLES_WEBSERVER_PATH_H
#define EXAMPLES_WEBSERVER_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_ROOM 4096

/*
 * Decodes the path of @target (its query is dropped) into @path, which has room for @room bytes and
 * the least of which is 32: relative, without empty and "." components, "index.html" added where it
 * names a folder. Returns its length, or the negative of a status code: -400: an escape that is
 * none, or NUL; -403: a ".." component; -414: too long.
 */
int path_from_target(const char *target, size_t len, char *path, size_t room);

/* A folder that nothing opened through it lies outside of. */
struct root {
	int fd;
	bool beneath; /* the kernel has openat2() and lets us use it */
	bool cached;  /* and can tell whether it would have to wait for a disk */
};

/* 0, or a negative errno value. */
int root_init(struct root *root, const char *folder);
void root_fini(struct root *root);

/*
 * Opens @path for reading; never blocks on what is no regular file. A descriptor, or a negative
 * errno value; -EXDEV or -ELOOP: it leads out.
 */
int root_open(const struct root *root, const char *path);

/* The same, but -EAGAIN where names on the path would have to be read from a disk. */
int root_open_cached(const struct root *root, const char *path);

/* How root_open() opens, in the terms of openat2(), for somebody who can wait. */
struct root_how {
	uint64_t flags, resolve;
};
struct root_how root_how(void);

/* The same without openat2(): one component after the other, and no symbolic links at all. */
int root_open_by_component(const struct root *root, const char *path);

#endif
