/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * file.h - files, for the rest of the engine. The holder of the turn's, but for what is marked.
 *
 *	file.c		the service, the objects, opening and closing
 *	file_op.c	operations, from the post to the event
 *	file_range.c	parts of files that are sent
 *
 * A file outlives its closing for as long as operations, or sends posted with it, are not over: only
 * then is the descriptor closed, and the handle stale.
 */
#ifndef PPE_FILE_H
#define PPE_FILE_H

#include "files/files.h"
#include "ppe/engine.h"

struct ppe_file {
	/* posters' */
	struct ppe_ual *ual;
	uint32_t handle;
	_Atomic int fd;         /* -1: not open */
	_Atomic uint32_t sends; /* posted, and not over */

	/* engine's */
	struct ppe_evq *evq; /* NULL: closed, and no event to come */
	uint64_t cookie, context;
	uint32_t ops; /* under way */
	uint32_t next_free;
	bool in_use, closed;
	bool unasked;                /* its file system cannot say what is in memory */
	uint32_t trusted;            /* bytes since it was last asked */
	uint64_t warm_from, warm_to; /* was in memory at */
	uint64_t warm_at;            /* ticks */
	struct files_req close;
};

/*
 * What a turn does for files, as its last: begins what was posted, tells what has ended. True: there is
 * more to tell.
 */
bool file_turn(struct ppe_ual *ual);

/* The file and the offset that a posted send names, or why not: -EBADMSG, -EBADF. */
int file_resolve(struct ppe_ual *ual, const union ppe_slot *s, struct ppe_file **file,
		 uint64_t *offset);
/*
 * How many of the @len bytes at @offset may be sent to @d's peer now, without waiting for a disk. 0: none,
 * but they are being read, and @d is made active when they are there.
 */
size_t file_ready(struct ppe_dti *d, struct ppe_file *f, uint64_t offset, size_t len);
/* A request has left its send queue: if it was a file's, that may go. */
void file_sent(struct ppe_ual *ual, const union ppe_slot *s);

/* Between the files above: file.c, file_op.c, file_range.c. */

struct file_op {
	struct files_req req;
	struct ppe_file *file;
	uint64_t user_tag;
	uint32_t dti;  /* FILES_PREPARE: handle of who waits for it */
	uint16_t type; /* enum ppe_event_type */
	uint8_t nregions;
	bool blocks;                  /* FILES_OPEN: without O_NONBLOCK */
	uint32_t region[PPE_SGE_MAX]; /* their numbers */
	struct iovec iov[PPE_SGE_MAX];
	char *path;
	struct file_op *next_free;
};

/* The service, opened when first needed. */
int file_service_open(struct ppe_ual *ual);
void file_submit(struct ppe_ual *ual, struct files_req *req);
/* The next turn, and not this one, begins what was submitted, if there will be one soon. */
void file_hold_back(struct ppe_ual *ual);
/* NULL: stale, or never given. */
struct ppe_file *file_object(struct ppe_ual *ual, uint32_t handle);
/*
 * What has been opened as @fd may be a file of ours: @fd. A pipe or a socket may not, since operations
 * on it may take for ever: it is closed, and -ESPIPE. @blocks: as O_NONBLOCK was not asked for.
 */
int file_opened(int fd, bool blocks);
/* After something of the file's is over: it goes, if it was closed and this was the last. */
void file_settle(struct ppe_file *f);

struct file_op *file_op_take(struct ppe_ual *ual, struct ppe_file *f, enum files_op what);
void file_op_give(struct ppe_ual *ual, struct file_op *op);
/* With a slot for its event. */
int file_op_begin(struct ppe_file *f, enum files_op what, enum ppe_event_type type, uint64_t tag,
		  struct file_op **out);
void file_op_submit(struct file_op *op);

/* At the end of @ual: until nothing is under way; and, when no DTI is left, the files themselves. */
void file_drain(struct ppe_ual *ual);
void file_destroy_all(struct ppe_ual *ual);
/* "io_uring" or "threads", and why; NULL: no file operation yet. */
const char *file_service(struct ppe_ual *ual, const char **why);

#endif
