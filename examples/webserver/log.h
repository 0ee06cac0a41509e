/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * log.h - the access log: lines are gathered in one buffer while another is being written, so that
 * no request waits for a disk. When it cannot be written, lines are lost and serving goes on.
 */
#ifndef EXAMPLES_WEBSERVER_LOG_H
#define EXAMPLES_WEBSERVER_LOG_H

#include <dusi/gaio.h>

#include <stdbool.h>
#include <stdint.h>

#include "examples/webserver/logline.h"

struct log {
	struct gaio *io;
	struct gaio_queue *queue;
	struct gaio_file *file; /* NULL: there is no log */
	struct gaio_mem mem;
	char *buffers;        /* two */
	int filling;          /* the one that lines go to */
	size_t fill;          /* bytes in it */
	unsigned lines;       /* in it */
	unsigned written;     /* lines being written */
	bool writing;         /* the other one */
	bool failing;         /* the last write failed, and that was said */
	int64_t since_ms;     /* the first line in it came */
	uint64_t lost;        /* lines, since it fails */
	uint64_t lost_before; /* lines */
	time_t date_of;
	char date[LOGLINE_DATE_ROOM];
	enum log_format format;
};

/* Events of files go to @queue; those with @l as their context are for log_event(). */
void log_init(struct log *l, struct gaio *io, struct gaio_queue *queue);
void log_fini(struct log *l);

/*
 * Opens @path, or closes what was open when @path is empty. A negative errno value: said on stderr,
 * and all stays as it was.
 */
int log_open(struct log *l, const char *path, enum log_format format);

static inline bool log_is_on(const struct log *l)
{
	return l->file;
}

/* Sets the date of @line. */
void log_add(struct log *l, struct logline *line, time_t now, int64_t now_ms);
void log_event(struct log *l, const struct gaio_event *event);

/* Writes what has waited long enough (@all: or not); microseconds until it has to be called again. */
int64_t log_flush(struct log *l, int64_t now_ms, bool all);

/* Nothing is left to be written. */
static inline bool log_is_idle(const struct log *l)
{
	return !l->writing && !(l->file && l->fill);
}

#endif
