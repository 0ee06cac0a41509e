/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* pool.c - anonymous buffers: a stack of free numbers for each size. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ppe/engine.h"

#define POOL_BYTES_MAX ((size_t)1 << 32)

static const struct {
	uint32_t size, count;
} default_pool[] = { { 2048, 256 }, { 16384, 64 } };

static int class_init(struct pool_class *c, uint32_t size, uint32_t number)
{
	size_t bytes = (size_t)size * number;

	/* untouched pages cost nothing: an idle engine pays for no buffers */
	c->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->memory == MAP_FAILED) {
		c->memory = NULL;
		return -ENOMEM;
	}
	c->size = size;
	c->count = number;
	madvise(c->memory, bytes, MADV_DONTFORK);
	c->free = malloc(number * sizeof(*c->free));
	if (!c->free)
		return -ENOMEM;
	for (uint32_t i = 0; i < number; i++)
		c->free[i] = number - 1 - i;
	return 0;
}

static bool class_valid(const struct pool *p, uint32_t size, uint32_t number)
{
	if (size < 256 || size % PPE_CACHE_LINE || !number)
		return false;
	if (p->classes && size <= p->c[p->classes - 1].size)
		return false;
	return (size_t)size * number <= POOL_BYTES_MAX - p->bytes;
}

static int pool_add(struct pool *p, uint32_t size, uint32_t number)
{
	struct pool_class *c = &p->c[p->classes];
	int err;

	if (!class_valid(p, size, number))
		return -EINVAL;
	p->classes++;
	p->bytes += (size_t)size * number;
	err = class_init(c, size, number);
	return err;
}

int pool_init(struct pool *p, const struct ppe_ual_attr *attr)
{
	int err = 0;

	for (unsigned i = 0; i < PPE_POOL_CLASSES && !err; i++)
		if (attr->pool[i].size || attr->pool[i].count)
			err = pool_add(p, attr->pool[i].size, attr->pool[i].count);
	if (!err && !p->classes)
		for (unsigned i = 0; i < 2 && !err; i++)
			err = pool_add(p, default_pool[i].size, default_pool[i].count);
	if (err)
		pool_destroy(p);
	return err;
}

void pool_destroy(struct pool *p)
{
	for (unsigned i = 0; i < p->classes; i++) {
		free(p->c[i].free);
		if (p->c[i].memory)
			munmap(p->c[i].memory, (size_t)p->c[i].size * p->c[i].count);
	}
	memset(p, 0, sizeof(*p));
}

static struct pool_class *class_for(struct pool *p, size_t want)
{
	struct pool_class *best = NULL;

	for (unsigned i = 0; i < p->classes; i++) {
		struct pool_class *c = &p->c[i];

		if (c->used == c->count)
			continue;
		best = c;
		if (c->size >= want)
			break;
	}
	return best;
}

void *pool_get(struct pool *p, size_t want, size_t *size)
{
	struct pool_class *c = class_for(p, want);

	if (!c)
		return NULL;
	*size = c->size;
	return c->memory + (size_t)c->free[c->count - ++c->used] * c->size;
}

size_t pool_put(struct pool *p, void *buf)
{
	for (unsigned i = 0; i < p->classes; i++) {
		struct pool_class *c = &p->c[i];
		uintptr_t off = (uintptr_t)buf - (uintptr_t)c->memory;

		if (off < (size_t)c->size * c->count) {
			c->free[c->count - c->used--] = off / c->size;
			return c->size;
		}
	}
	assert(!"buffer of another pool");
	return 0;
}

size_t pool_room(const struct pool *p)
{
	for (unsigned i = p->classes; i-- > 0;)
		if (p->c[i].used < p->c[i].count)
			return p->c[i].size;
	return 0;
}
