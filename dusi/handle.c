/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * handle.c - giving handles and taking them back: the process's table of UALs, and the tables of
 * event queues, sockets and files in each.
 */
#include "dusi/handle.h"

#include <stdlib.h>

_Atomic(struct dusi_ual *) dusi_uals[DUSI_UALS];

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t serials[DUSI_UALS];
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_err;

static uint64_t new_id(unsigned ual, enum dusi_kind kind, uint32_t index)
{
	uint32_t serial = atomic_fetch_add_explicit(&serials[ual], 1, memory_order_relaxed);

	return (uint64_t)ual << 56 | (uint64_t)kind << 54 | (uint64_t)index << 32 | serial;
}

/* ------------------------------------------------------------------------ tables */

int dusi_table_init(struct dusi_table *t, enum dusi_kind kind, size_t size, uint32_t limit)
{
	t->kind = kind;
	t->limit = limit;
	t->made = 0;
	t->first_free = 0;
	t->size = size;
	t->chunks = calloc(limit / DUSI_CHUNK + 1, sizeof(*t->chunks));
	return t->chunks ? 0 : -ENOMEM;
}

void dusi_table_fini(struct dusi_table *t)
{
	for (uint32_t i = 0; i < t->made; i += DUSI_CHUNK)
		free(atomic_load_explicit(&t->chunks[i / DUSI_CHUNK], memory_order_relaxed));
	free(t->chunks);
}

static struct dusi_place *place_at(const struct dusi_table *t, uint32_t index)
{
	char *chunk = atomic_load_explicit(&t->chunks[index / DUSI_CHUNK], memory_order_relaxed);

	return (struct dusi_place *)(chunk + index % DUSI_CHUNK * t->size);
}

/* One more place, in a new chunk if need be. */
static int table_grow(struct dusi_table *t, struct dusi_place **place)
{
	char *chunk;

	if (t->made == t->limit)
		return -ENOSPC;
	if (t->made % DUSI_CHUNK == 0) {
		chunk = calloc(DUSI_CHUNK, t->size);
		if (!chunk)
			return -ENOMEM;
		/* pairs with the acquire in dusi_table_find() */
		atomic_store_explicit(&t->chunks[t->made / DUSI_CHUNK], chunk,
				      memory_order_release);
	}
	*place = place_at(t, t->made);
	(*place)->index = t->made++;
	return 0;
}

/* The last that was given back is the first to be used again: it is warm. */
static int table_pop(struct dusi_table *t, struct dusi_place **place)
{
	if (!t->first_free)
		return table_grow(t, place);
	*place = place_at(t, t->first_free - 1);
	t->first_free = (*place)->next_free;
	return 0;
}

int dusi_table_take(struct dusi_ual *ual, struct dusi_table *t, struct dusi_place **place,
		    uint64_t *id)
{
	int err;

	pthread_mutex_lock(&ual->lock);
	err = table_pop(t, place);
	pthread_mutex_unlock(&ual->lock);
	if (!err)
		*id = new_id(dusi_id_ual(ual->id), t->kind, (*place)->index);
	return err;
}

bool dusi_table_withdraw(struct dusi_place *place, uint64_t id)
{
	return atomic_compare_exchange_strong(&place->id, &id, 0);
}

void dusi_table_give(struct dusi_ual *ual, struct dusi_table *t, struct dusi_place *place)
{
	pthread_mutex_lock(&ual->lock);
	place->next_free = t->first_free;
	t->first_free = place->index + 1;
	pthread_mutex_unlock(&ual->lock);
}

/* ---------------------------------------------------------------------- registry */

/* The child of a fork may open UALs of its own, so the lock must not stay taken there. */
static void before_fork(void)
{
	pthread_mutex_lock(&registry_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&registry_lock);
}

static void after_fork_in_child(void)
{
	for (unsigned i = 1; i < DUSI_UALS; i++) {
		struct dusi_ual *u = atomic_load(&dusi_uals[i]);

		if (u)
			atomic_store(&u->orphan, true);
	}
	pthread_mutex_unlock(&registry_lock);
}

static void watch_forks(void)
{
	fork_err = -pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static int registry_enter(struct dusi_ual *ual)
{
	for (unsigned i = 1; i < DUSI_UALS; i++) {
		if (atomic_load_explicit(&dusi_uals[i], memory_order_relaxed))
			continue;
		ual->id = new_id(i, DUSI_KIND_UAL, 0);
		/* pairs with the acquire in dusi_enter() */
		atomic_store_explicit(&dusi_uals[i], ual, memory_order_release);
		return 0;
	}
	return -ENFILE;
}

int dusi_registry_add(struct dusi_ual *ual)
{
	int err;

	pthread_once(&fork_once, watch_forks);
	if (fork_err)
		return fork_err;
	pthread_mutex_lock(&registry_lock);
	err = registry_enter(ual);
	pthread_mutex_unlock(&registry_lock);
	return err;
}

int dusi_registry_remove(struct dusi_ual *ual)
{
	struct dusi_ual *expected = ual;

	return atomic_compare_exchange_strong(&dusi_uals[dusi_id_ual(ual->id)], &expected, NULL)
		       ? 0
		       : -EBADF;
}
