/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* av.c - address vectors: peers by number, and numbers by address. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/remote.h"

#define NO_ENTRY UINT32_MAX

struct av_entry {
	union fab_addr addr;
	uint32_t uses; /* times it was inserted; 0: free */
	uint32_t next; /* in its bucket, or the next free one */
};

struct ppe_av {
	struct ppe_ual *ual;
	struct list link; /* ual->avs */
	uint32_t holds;   /* by DTIs */
	uint32_t generation;
	struct av_entry *entry;
	uint32_t count, room, first_free;
	uint32_t *bucket; /* room of them, a power of two */
};

/* ----------------------------------------------------------------------------- addresses */

static bool scope_equal(uint32_t a, uint32_t b)
{
	return !a || !b || a == b;
}

bool addr_equal(const union fab_addr *a, const union fab_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) &&
	       scope_equal(a->in6.sin6_scope_id, b->in6.sin6_scope_id);
}

static uint64_t mix(uint64_t h, uint32_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ (h >> 32);
}

/* Without the scope, because addresses without one are equal to those with any. */
uint32_t addr_hash(const union fab_addr *a)
{
	uint32_t word[4];

	if (a->sa.sa_family == AF_INET)
		return (uint32_t)mix(mix(AF_INET, a->in.sin_port), a->in.sin_addr.s_addr);
	memcpy(word, &a->in6.sin6_addr, sizeof(word));
	return (uint32_t)mix(
		mix(mix(mix(mix(AF_INET6, a->in6.sin6_port), word[0]), word[1]), word[2]), word[3]);
}

/* ------------------------------------------------------------------------------- entries */

static uint32_t *av_bucket(const struct ppe_av *av, const union fab_addr *addr)
{
	return &av->bucket[addr_hash(addr) & (av->room - 1)];
}

static void bucket_add(struct ppe_av *av, uint32_t number)
{
	uint32_t *bucket = av_bucket(av, &av->entry[number].addr);

	av->entry[number].next = *bucket;
	*bucket = number;
}

static void bucket_remove(struct ppe_av *av, uint32_t number)
{
	uint32_t *link = av_bucket(av, &av->entry[number].addr);

	while (*link != number)
		link = &av->entry[*link].next;
	*link = av->entry[number].next;
}

/* Called when every entry is in use. */
static int av_grow(struct ppe_av *av)
{
	uint32_t room = av->room ? av->room * 2 : 16, *bucket;
	struct av_entry *entry;

	/* numbers with the highest bit are not in a vector */
	if (room >= PPE_SRC_UNKNOWN)
		return -ENOSPC;
	entry = realloc(av->entry, room * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	av->entry = entry;
	bucket = realloc(av->bucket, room * sizeof(*bucket));
	if (!bucket)
		return -ENOMEM;
	av->bucket = bucket;
	av->room = room;
	for (uint32_t i = 0; i < room; i++)
		bucket[i] = NO_ENTRY;
	for (uint32_t i = 0; i < av->count; i++)
		bucket_add(av, i);
	return 0;
}

/* The one that was freed last, else the next that never was in use. */
static int entry_take(struct ppe_av *av, uint32_t *number)
{
	if (av->first_free != NO_ENTRY) {
		*number = av->first_free;
		av->first_free = av->entry[*number].next;
		return 0;
	}
	if (av->count == av->room) {
		int err = av_grow(av);

		if (err)
			return err;
	}
	*number = av->count++;
	return 0;
}

static int entry_insert(struct ppe_av *av, const union fab_addr *addr, uint32_t *number)
{
	int err;

	*number = av_number(av, addr);
	if (*number != PPE_SRC_NONE) {
		av->entry[*number].uses++;
		return 0;
	}
	err = entry_take(av, number);
	if (err)
		return err;
	av->entry[*number] = (struct av_entry){ .addr = *addr, .uses = 1 };
	bucket_add(av, *number);
	av->generation++;
	return 0;
}

static int entry_remove(struct ppe_av *av, uint32_t number)
{
	struct av_entry *e;

	if (!av_addr(av, number))
		return -ENOENT;
	e = &av->entry[number];
	if (--e->uses)
		return 0;
	bucket_remove(av, number);
	e->next = av->first_free;
	av->first_free = number;
	av->generation++;
	return 0;
}

/* -------------------------------------------------------------------- for the holder of the turn */

const union fab_addr *av_addr(const struct ppe_av *av, uint32_t number)
{
	assert(turn_held(av->ual));
	return number < av->count && av->entry[number].uses ? &av->entry[number].addr : NULL;
}

uint32_t av_number(const struct ppe_av *av, const union fab_addr *addr)
{
	uint32_t i;

	assert(turn_held(av->ual));
	if (!av->room)
		return PPE_SRC_NONE;
	for (i = *av_bucket(av, addr); i != NO_ENTRY; i = av->entry[i].next)
		if (addr_equal(&av->entry[i].addr, addr))
			return i;
	return PPE_SRC_NONE;
}

uint32_t av_generation(const struct ppe_av *av)
{
	return av->generation;
}

void av_hold(struct ppe_av *av)
{
	av->holds++;
}

void av_drop(struct ppe_av *av)
{
	assert(av->holds);
	av->holds--;
}

/* ----------------------------------------------------------------------------------- calls */

int ppe_av_insert(struct ppe_av *av, const struct sockaddr *sa, socklen_t len, uint32_t *number)
{
	union fab_addr addr;
	uint32_t n;
	int err = fab_addr_set(&addr, sa, len);

	if (err)
		return err;
	if (!ual_alive(av->ual))
		return -EOWNERDEAD;
	turn_lock(av->ual);
	err = entry_insert(av, &addr, &n);
	turn_unlock(av->ual);
	if (!err)
		*number = n;
	return err;
}

int ppe_av_remove(struct ppe_av *av, uint32_t number)
{
	int err;

	if (!ual_alive(av->ual))
		return -EOWNERDEAD;
	turn_lock(av->ual);
	err = entry_remove(av, number);
	turn_unlock(av->ual);
	return err;
}

int ppe_av_lookup(struct ppe_av *av, uint32_t number, union fab_addr *addr)
{
	const union fab_addr *found;

	if (!ual_alive(av->ual))
		return -EOWNERDEAD;
	turn_lock(av->ual);
	found = av_addr(av, number);
	if (found)
		*addr = *found;
	turn_unlock(av->ual);
	return found ? 0 : -ENOENT;
}

int ppe_av_find(struct ppe_av *av, const union fab_addr *addr, uint32_t *number)
{
	uint32_t found;

	if (!ual_alive(av->ual))
		return -EOWNERDEAD;
	turn_lock(av->ual);
	found = fab_addr_len(addr) ? av_number(av, addr) : PPE_SRC_NONE;
	turn_unlock(av->ual);
	if (found == PPE_SRC_NONE)
		return -ENOENT;
	*number = found;
	return 0;
}

/* ------------------------------------------------------------------------------------ life */

int ppe_av_create(struct ppe_ual *ual, struct ppe_av **out)
{
	struct ppe_av *av;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	av = calloc(1, sizeof(*av));
	if (!av)
		return -ENOMEM;
	av->ual = ual;
	av->first_free = NO_ENTRY;
	list_init(&av->link);
	turn_lock(ual);
	list_add_tail(&ual->avs, &av->link);
	turn_unlock(ual);
	*out = av;
	return 0;
}

static void av_free(struct ppe_av *av)
{
	list_del(&av->link);
	free(av->bucket);
	free(av->entry);
	free(av);
}

int ppe_av_destroy(struct ppe_av *av)
{
	struct ppe_ual *ual = av->ual;
	int err = -EBUSY;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	turn_lock(ual);
	if (!av->holds) {
		av_free(av);
		err = 0;
	}
	turn_unlock(ual);
	return err;
}

void av_close_all(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->avs)))
		av_free(list_entry(node, struct ppe_av, link));
}
