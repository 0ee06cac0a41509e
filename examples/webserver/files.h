/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * files.h - the files that are being served: opened, mapped and registered once, kept in a bounded
 * cache, looked at again at most once a second. Large ones are not mapped but kept open.
 *
 * Nothing in this program reads through a mapping: a file may shrink at any time, and then only the
 * kernel can touch the lost pages unharmed (the send ends with -EFAULT).
 */
#ifndef EXAMPLES_WEBSERVER_FILES_H
#define EXAMPLES_WEBSERVER_FILES_H

#include <dusi/gaio.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "examples/webserver/condition.h"

#define FILES_OPEN_MAX 64 /* large ones that the cache keeps open */

struct files;

/* What every response with it says, made once: see response.c. */
#define FILE_HEAD_ROOM 400
struct file_head {
	uint16_t len;        /* of the whole: the head of a 200 to HTTP/1.1 */
	uint16_t date;       /* where the date goes */
	uint16_t validators; /* where ETag and Last-Modified begin, */
	uint16_t described;  /* where Content-Type does, */
	uint16_t length;     /* and Content-Length */
	char text[FILE_HEAD_ROOM];
};

struct file {
	char *data; /* the mapping; NULL when the file is empty, or large */
	uint64_t size;
	struct gaio_mem mem;
	struct gaio_file *handle; /* of a large one */
	struct validators validators;
	struct file_head head;
};

struct files_limits {
	uint64_t files, bytes; /* kept; bytes: of those that are mapped */
	uint64_t largest;      /* that is mapped */
};

/* Events of the files go to @queue, with a context of 0. 0, or a negative errno value. */
int files_create(struct files **files, struct gaio *io, struct gaio_queue *queue,
		 const char *folder, const struct files_limits *limits);
/* After the last file was given back. */
void files_destroy(struct files *files);

/* Lets go of what nobody has asked for lately: it may have been removed, and would take its room. */
void files_expire(struct files *files, int64_t now_ms);

/* Forgets what is cached; from now on the limits are these. */
void files_reset(struct files *files, const struct files_limits *limits);

/*
 * The file at @path, from path_from_target(). Each one got is to be given back: until then its
 * mapping stays, also when the file was replaced meanwhile. @now_ms: a clock that does not jump.
 * 0, or a negative errno value; -EISDIR; -EACCES also: neither a file nor a folder. -EAGAIN, unless
 * @wait: a disk would have to be waited for; files_look() does that.
 */
int files_get(struct files *files, const char *path, size_t len, int64_t now_ms, bool wait,
	      struct file **file);

/*
 * Has @path looked for, so that files_get() need not wait for it: an open, and GAIO_OPEN, with this
 * context, where the events of files go. What it opens is to be closed.
 */
int files_look(struct files *files, const char *path, uint64_t context, struct gaio_file **file);

void files_put(struct files *files, struct file *file);

struct files_counters {
	uint64_t files, bytes, hits, misses, looks;
};
void files_count(const struct files *files, struct files_counters *counters);

#endif
