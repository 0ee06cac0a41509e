/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * buffers.h - the memory that requests are received into and response heads are sent from: one
 * registered arena, of which only what is used becomes real memory.
 *
 * Each connection has a small receive buffer, enough for nearly every request, and a room for its
 * response's head. The few with a longer request, or with content that is made for them, borrow one of a limited
 * number of large buffers.
 */
#ifndef EXAMPLES_WEBSERVER_BUFFERS_H
#define EXAMPLES_WEBSERVER_BUFFERS_H

#include <dusi/gaio.h>

#include <stddef.h>
#include <stdint.h>

#define BUFFER_SMALL 1024
#define BUFFER_OUT 512
#define BUFFER_LARGE 8192

struct buffers {
	char *base;
	size_t size;
	struct gaio_mem mem;
	uint32_t connections;
	uint32_t larges;
	uint32_t free_larges;
	uint32_t *free; /* numbers of the large buffers that are free */
};

/* 0, or a negative errno value. */
int buffers_create(struct buffers *b, struct gaio *io, uint32_t connections);
void buffers_destroy(struct buffers *b, struct gaio *io);

/* The two of connection @i. */
char *buffers_small(const struct buffers *b, uint32_t i);
char *buffers_out(const struct buffers *b, uint32_t i);

/* BUFFER_LARGE bytes; NULL: all are taken. */
char *buffers_take_large(struct buffers *b);
void buffers_give_large(struct buffers *b, char *large);

#endif
