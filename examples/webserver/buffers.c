/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * buffers.c - the registered arena: first a small buffer per connection, then the two pools.
 */
#include "examples/webserver/buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LARGES_MIN 16
#define LARGES_PART 16 /* one large buffer per so many connections */

static int pool_create(struct pool *p, char *base, uint32_t size, uint32_t count)
{
	*p = (struct pool){ .base = base, .size = size, .left = count };
	p->free = malloc(count * sizeof(*p->free));
	if (!p->free)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		p->free[i] = count - 1 - i;
	return 0;
}

char *pool_take(struct pool *p)
{
	return p->left ? p->base + (size_t)p->free[--p->left] * p->size : NULL;
}

void pool_give(struct pool *p, char *buffer)
{
	p->free[p->left++] = (uint32_t)((size_t)(buffer - p->base) / p->size);
}

static int map(struct buffers *b)
{
	b->base = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return b->base == MAP_FAILED ? -errno : 0;
}

static int create_pools(struct buffers *b, uint32_t connections, uint32_t larges)
{
	char *outs = b->base + (size_t)connections * BUFFER_SMALL;
	int err = pool_create(&b->outs, outs, BUFFER_OUT, connections);

	if (err)
		return err;
	err = pool_create(&b->larges, outs + (size_t)connections * BUFFER_OUT, BUFFER_LARGE,
			  larges);
	if (err)
		free(b->outs.free);
	return err;
}

int buffers_create(struct buffers *b, struct gaio *io, uint32_t connections)
{
	uint32_t larges = LARGES_MIN + connections / LARGES_PART;
	int err;

	b->size = (size_t)connections * (BUFFER_SMALL + BUFFER_OUT) + (size_t)larges * BUFFER_LARGE;
	err = map(b);
	if (err)
		return err;
	err = gaio_register(io, b->base, b->size, GAIO_READ | GAIO_WRITE, &b->mem);
	if (err)
		goto unmap;
	err = create_pools(b, connections, larges);
	if (!err)
		return 0;
	gaio_deregister(io, b->mem);
unmap:
	munmap(b->base, b->size);
	return err;
}

void buffers_destroy(struct buffers *b, struct gaio *io)
{
	gaio_deregister(io, b->mem);
	munmap(b->base, b->size);
	free(b->outs.free);
	free(b->larges.free);
}

char *buffers_small(const struct buffers *b, uint32_t i)
{
	return b->base + (size_t)i * BUFFER_SMALL;
}
