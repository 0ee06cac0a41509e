/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * files.h - asynchronous operations on files: io_uring, or a small pool of threads.
 *
 * For whoever has a loop of its own: the engine (ppe/file.c), and those back ends of the generic
 * layer that have no asynchronous files themselves. It depends on nothing else of this project.
 *
 * A request is submitted and, when it has ended, given back by its done() from within files_reap().
 * An eventfd of the caller's is added to when there is something to reap, so a sleeper wakes.
 *
 * Threads. Every call comes from one thread at a time; which ones is said at opening, because
 * io_uring is bound to threads: it begins no request where a thread that submitted may end before.
 *
 * Errors are negative errno values.
 */
#ifndef FILES_FILES_H
#define FILES_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct files;
struct statx;

enum files_op {
	FILES_OPEN,  /* result: a descriptor */
	FILES_READ,  /* result: bytes, perhaps fewer than asked for; 0: the end */
	FILES_WRITE, /* result: bytes: all of them, or an error with `moved` set */
	FILES_STAT,
	FILES_SYNC,
	FILES_CLOSE,   /* closes fd; never fails */
	FILES_PREPARE, /* reads `len` bytes from `offset` on into the page cache; result: how many */
};

/* The caller's, untouched by the caller from files_submit() to done(). */
struct files_req {
	struct files_req *next; /* the service's */
	uint8_t op;             /* enum files_op */
	uint8_t stage;          /* the service's */
	uint16_t niov;
	int fd; /* FILES_OPEN: the folder to begin at, or AT_FDCWD */
	uint64_t offset;
	size_t len; /* FILES_READ, FILES_WRITE: the sum of `iov` */
	union {
		struct iovec *iov; /* may be changed */
		const char *path;  /* FILES_OPEN */
		struct statx *st;
	};
	struct { /* FILES_OPEN; as struct open_how, which not every libc declares */
		uint64_t flags, mode, resolve;
	} how;
	int64_t result;
	size_t moved; /* bytes, an error notwithstanding */
	void (*done)(struct files_req *req);
};

enum files_owner {
	FILES_ROAMING, /* any threads, which may end while requests are under way */
	FILES_STAYING, /* threads that call again, as long as requests are under way */
	FILES_SINGLE,  /* one thread for all calls */
};

struct files_env {
	enum files_owner owner;
	int wake_fd; /* an eventfd */
};

/*
 * $ETA_FILES: "io_uring" or "threads" decides; else io_uring where the owner allows it and the kernel
 * has it, else threads. -EOPNOTSUPP: io_uring was asked for, and cannot be had; -EINVAL: neither.
 * Threads are started when first needed, and end when long unused.
 */
int files_open(const struct files_env *env, struct files **files);
/*
 * Waits for what was submitted, and carries it out; no done() is called any more. What a FILES_OPEN
 * has opened that nobody was told of is closed.
 */
void files_close(struct files *files);

/* Never fails: a request that cannot be begun ends with the reason. */
void files_submit(struct files *files, struct files_req *req);
/* What was submitted begins, as far as it has not yet. Once per turn, before files_reap(). */
void files_flush(struct files *files);
/*
 * Calls done() for at most @max ended requests, which may submit anew: that begins before this returns.
 * Returns how many; after @max of them there may be more, of which no wake-up tells.
 */
int files_reap(struct files *files, int max);
/* Requests under way, and not yet reaped. */
unsigned files_busy(const struct files *files);

/* "io_uring" or "threads", and why it is that. */
const char *files_kind(const struct files *files, const char **why);

#ifdef __cplusplus
}
#endif
#endif
