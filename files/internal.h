/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * internal.h - what the two kinds of the files service share.
 *
 *	files.c		which kind, and why
 *	request.c	lists of requests; what one system call's outcome means for a request
 *	pool.c		threads that make blocking calls
 *	uring.c		io_uring
 */
#ifndef FILES_INTERNAL_H
#define FILES_INTERNAL_H

#include "files/files.h"

struct files_kind_ops {
	const char *name;
	/* -EOPNOTSUPP and the like, with the reason in @why. */
	int (*open)(const struct files_env *env, char *why, size_t room, struct files **out);
	void (*close)(struct files *files);
	void (*submit)(struct files *files, struct files_req *req);
	void (*flush)(struct files *files);
	/* The next ended request, NULL: there is none. */
	struct files_req *(*next)(struct files *files);
};

extern const struct files_kind_ops files_pool_ops, files_uring_ops;

/* Begins the object of either kind. */
struct files {
	const struct files_kind_ops *ops;
	int wake_fd;
	unsigned busy;
	char why[128];
};

/* First in, first out, through req->next. */
struct req_list {
	struct files_req *first, **last;
	unsigned n;
};

void req_list_init(struct req_list *l);
void req_list_add(struct req_list *l, struct files_req *req);
/* NULL: empty. */
struct files_req *req_list_take(struct req_list *l);
/* Moves all of @from behind @to. */
void req_list_join(struct req_list *to, struct req_list *from);

/*
 * What a call of the kernel's for @req, which returned @n, means: false: it has ended, and the result
 * is set; true: the rest is still to be done.
 */
bool req_step(struct files_req *req, int64_t n);
/* Its end is told to nobody. */
void req_forget(struct files_req *req);

/* FILES_PREPARE reads into this: entries that all name the same few bytes. */
#define NOTHING_BYTES 16384
#define NOTHING_IOVS 64

/* As many of them as @len bytes take, and fit. Returns how many. */
int nothing_iov(struct iovec *iov, void *nothing, size_t len);

void files_wake(int wake_fd);

#endif
