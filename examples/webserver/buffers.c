/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * buffers.c - the registered arena: first two pieces per connection, then the large buffers.
 */
#include "examples/webserver/buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define BUFFER_STRIDE (BUFFER_SMALL + BUFFER_OUT)
#define LARGES_MIN 16
#define LARGES_PART 16 /* one large buffer per so many connections */

static int buffers_map(struct buffers *b)
{
	b->base = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return b->base == MAP_FAILED ? -errno : 0;
}

static char *large_at(const struct buffers *b, uint32_t i)
{
	return b->base + (size_t)b->connections * BUFFER_STRIDE + (size_t)i * BUFFER_LARGE;
}

int buffers_create(struct buffers *b, struct gaio *io, uint32_t connections)
{
	int err;

	b->connections = connections;
	b->larges = LARGES_MIN + connections / LARGES_PART;
	b->size = (size_t)connections * BUFFER_STRIDE + (size_t)b->larges * BUFFER_LARGE;
	b->free = calloc(b->larges, sizeof(*b->free));
	if (!b->free)
		return -ENOMEM;
	err = buffers_map(b);
	if (err)
		goto free_list;
	err = gaio_register(io, b->base, b->size, GAIO_READ | GAIO_WRITE, &b->mem);
	if (err)
		goto unmap;
	for (b->free_larges = 0; b->free_larges < b->larges; b->free_larges++)
		b->free[b->free_larges] = b->larges - 1 - b->free_larges;
	return 0;
unmap:
	munmap(b->base, b->size);
free_list:
	free(b->free);
	return err;
}

void buffers_destroy(struct buffers *b, struct gaio *io)
{
	gaio_deregister(io, b->mem);
	munmap(b->base, b->size);
	free(b->free);
}

char *buffers_small(const struct buffers *b, uint32_t i)
{
	return b->base + (size_t)i * BUFFER_STRIDE;
}

char *buffers_out(const struct buffers *b, uint32_t i)
{
	return buffers_small(b, i) + BUFFER_SMALL;
}

char *buffers_take_large(struct buffers *b)
{
	return b->free_larges ? large_at(b, b->free[--b->free_larges]) : NULL;
}

void buffers_give_large(struct buffers *b, char *large)
{
	b->free[b->free_larges++] = (uint32_t)((size_t)(large - large_at(b, 0)) / BUFFER_LARGE);
}
