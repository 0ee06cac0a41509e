/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * log.c - the access log. The file is opened for appending, so workers may share it.
 */
#include "examples/webserver/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER 65536
#define PATIENCE_MS 1000 /* how long a line may wait */

void log_init(struct log *l, struct gaio *io, struct gaio_queue *queue)
{
	*l = (struct log){ .io = io, .queue = queue, .date_of = -1 };
}

static char *buffer_of(const struct log *l, int i)
{
	return l->buffers + (size_t)i * BUFFER;
}

static int create_buffers(struct log *l)
{
	int err;

	if (l->buffers)
		return 0;
	l->buffers =
		mmap(NULL, 2 * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (l->buffers == MAP_FAILED) {
		l->buffers = NULL;
		return -errno;
	}
	err = gaio_register(l->io, l->buffers, 2 * BUFFER, GAIO_READ, &l->mem);
	if (err) {
		munmap(l->buffers, 2 * BUFFER);
		l->buffers = NULL;
	}
	return err;
}

/* No pipe, which a reader could block. */
static int open_log(const char *path)
{
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
		return fd;
	close(fd);
	return -EINVAL;
}

static void close_log(struct log *l)
{
	if (!l->file)
		return;
	log_flush(l, 0, true);
	gaio_close_file(l->file, 0);
	l->file = NULL;
}

static int open_file(struct log *l, const char *path, struct gaio_file **file)
{
	int err = create_buffers(l), fd;

	if (err)
		return err;
	fd = open_log(path);
	if (fd < 0)
		return fd;
	err = gaio_adopt_file(l->io, l->queue, (uintptr_t)l, fd, file);
	if (err)
		close(fd);
	return err;
}

int log_open(struct log *l, const char *path, enum log_format format)
{
	struct gaio_file *file = NULL;
	int err = *path ? open_file(l, path, &file) : 0;

	if (err) {
		fprintf(stderr, "eta-webserver: access log %s: %s\n", path,
			err == -EINVAL ? "neither a file nor a device" : strerror(-err));
		return err;
	}
	close_log(l);
	/* what waits behind a write goes to the new file */
	l->file = file;
	l->format = format;
	return 0;
}

void log_fini(struct log *l)
{
	close_log(l);
	if (!l->buffers)
		return;
	gaio_deregister(l->io, l->mem);
	munmap(l->buffers, 2 * BUFFER);
}

/* -------------------------------------------------------------------------------- writing */

static void lose(struct log *l, unsigned lines, int err)
{
	l->lost += lines;
	if (err && !l->failing) {
		l->failing = true;
		fprintf(stderr, "eta-webserver: access log: %s; lines are lost until that ends\n",
			strerror(-err));
	}
}

static void write_buffer(struct log *l)
{
	struct gaio_buf buf = { buffer_of(l, l->filling), l->fill, l->mem };
	int err = gaio_write_file(l->file, &buf, 0, 0);

	if (err == -EAGAIN)
		return;
	if (err) {
		lose(l, l->lines, err);
	} else {
		l->writing = true;
		l->written = l->lines;
		l->filling = !l->filling;
	}
	l->fill = 0;
	l->lines = 0;
}

int64_t log_flush(struct log *l, int64_t now_ms, bool all)
{
	int64_t waits_ms = l->since_ms + PATIENCE_MS - now_ms;

	if (!l->file || !l->fill || l->writing)
		return INT64_MAX;
	if (!all && waits_ms > 0)
		return waits_ms * 1000;
	write_buffer(l);
	return INT64_MAX;
}

void log_event(struct log *l, const struct gaio_event *event)
{
	if (event->op != GAIO_WRITE_FILE)
		return;
	l->writing = false;
	if (event->status) {
		lose(l, l->written, event->status);
		return;
	}
	if (l->failing)
		fprintf(stderr, "eta-webserver: access log: written again; %llu lines are lost\n",
			(unsigned long long)l->lost);
	l->lost_before += l->lost;
	l->lost = 0;
	l->failing = false;
}

static struct text date_at(struct log *l, time_t now)
{
	if (now != l->date_of) {
		l->date_of = now;
		logline_date(now, l->date);
	}
	return (struct text){ l->date, strlen(l->date) };
}

void log_add(struct log *l, struct logline *line, time_t now, int64_t now_ms)
{
	size_t room;

	line->date = date_at(l, now);
	room = logline_room(line);
	if (l->fill + room > BUFFER && !l->writing)
		write_buffer(l);
	if (l->fill + room > BUFFER) {
		lose(l, 1, 0);
		return;
	}
	if (!l->fill)
		l->since_ms = now_ms;
	l->fill += logline_format(buffer_of(l, l->filling) + l->fill, line, l->format);
	l->lines++;
}
