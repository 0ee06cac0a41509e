/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * buffers.h - the memory that requests are received into and response heads are sent from: one
 * registered arena, of which only what is used becomes real memory.
 *
 * Each connection has a small receive buffer, enough for nearly every request. While it answers it
 * has a room for the response's head. The few with a longer request, or with content that is made
 * for them, borrow one of a limited number of large buffers.
 */
#ifndef EXAMPLES_WEBSERVER_BUFFERS_H
#define EXAMPLES_WEBSERVER_BUFFERS_H

#include <dusi/gaio.h>

#include <stddef.h>
#include <stdint.h>

#define BUFFER_SMALL 896
#define BUFFER_OUT 512
#define BUFFER_LARGE 8192

/* Of buffers of one size; those that were given back last are taken first. */
struct pool {
	char *base;
	uint32_t size, left;
	uint32_t *free; /* numbers of those that are left */
};

struct buffers {
	char *base;
	size_t size;
	struct gaio_mem mem;
	struct pool outs, larges;
};

/* 0, or a negative errno value. */
int buffers_create(struct buffers *b, struct gaio *io, uint32_t connections);
void buffers_destroy(struct buffers *b, struct gaio *io);

/* That of connection @i. */
char *buffers_small(const struct buffers *b, uint32_t i);

/* NULL: all are taken. There are as many in b->outs as connections. */
char *pool_take(struct pool *p);
void pool_give(struct pool *p, char *buffer);

#endif
