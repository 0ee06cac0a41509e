/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* segment.c - memory for rings: chunks from the kernel, cut into pieces of whole cache lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ppe/engine.h"

#define CHUNK_BYTES ((size_t)1 << 20)

struct segment_chunk {
	struct segment_chunk *next;
	size_t bytes;
};

int segment_init(struct segment *s)
{
	memset(s, 0, sizeof(*s));
	s->free = calloc(SEGMENT_FREE_LISTS, sizeof(*s->free));
	return s->free ? 0 : -ENOMEM;
}

void segment_destroy(struct segment *s)
{
	while (s->chunks) {
		struct segment_chunk *c = s->chunks;

		s->chunks = c->next;
		munmap(c, c->bytes);
	}
	free(s->free);
	memset(s, 0, sizeof(*s));
}

static uint8_t *chunk_add(struct segment *s, size_t bytes)
{
	struct segment_chunk *c =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	/* a child that wrote here would corrupt nothing of its parent's, but a child that reads
	 * here has missed the check for it: let it find out at once */
	madvise(c, bytes, MADV_DONTFORK);
	c->next = s->chunks;
	c->bytes = bytes;
	s->chunks = c;
	return (uint8_t *)c + PPE_CACHE_LINE;
}

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static void *large_alloc(struct segment *s, size_t size)
{
	return chunk_add(s, round_up(size + PPE_CACHE_LINE, 4096));
}

static void large_free(struct segment *s, void *piece)
{
	struct segment_chunk *c = (void *)((uint8_t *)piece - PPE_CACHE_LINE);
	struct segment_chunk **p = &s->chunks;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	munmap(c, c->bytes);
}

void *segment_alloc(struct segment *s, size_t size)
{
	size_t lines = round_up(size, PPE_CACHE_LINE) / PPE_CACHE_LINE;
	size_t bytes = lines * PPE_CACHE_LINE;
	void *piece;

	if (lines >= SEGMENT_FREE_LISTS)
		return large_alloc(s, bytes);
	piece = s->free[lines];
	if (piece) {
		memcpy(&s->free[lines], piece, sizeof(void *));
		return memset(piece, 0, bytes);
	}
	if ((size_t)(s->end - s->next) < bytes) {
		uint8_t *chunk = chunk_add(s, CHUNK_BYTES);

		if (!chunk)
			return NULL;
		s->next = chunk;
		s->end = chunk + CHUNK_BYTES - PPE_CACHE_LINE;
	}
	piece = s->next;
	s->next += bytes;
	return piece;
}

void segment_free(struct segment *s, void *piece, size_t size)
{
	size_t lines = round_up(size, PPE_CACHE_LINE) / PPE_CACHE_LINE;

	if (!piece)
		return;
	if (lines >= SEGMENT_FREE_LISTS) {
		large_free(s, piece);
		return;
	}
	memcpy(piece, &s->free[lines], sizeof(void *));
	s->free[lines] = piece;
}
