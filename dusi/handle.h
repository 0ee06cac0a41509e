/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * handle.h - from the numbers that programs hold to the objects that they name.
 *
 * A handle is a 64-bit number:
 *
 *	 63      56 55  54 53               32 31                             0
 *	+----------+------+-------------------+--------------------------------+
 *	|   UAL    | kind |       index       |             serial             |
 *	+----------+------+-------------------+--------------------------------+
 *
 * UALs are numbered from 1, so no handle is zero. The serial comes from a counter that the UAL's
 * number keeps for as long as the process lives: a stale handle stays stale when its place, or the
 * number of its UAL, is used again (until 2^32 more handles have been given under that number).
 *
 * An object's place knows the handle that it was given under, and a look-up compares: three
 * acquiring loads (UAL, chunk, place), no lock, no store. It pairs with the releasing stores of
 * dusi_registry_add(), table_grow() and dusi_table_publish(): who finds an object finds it
 * complete. Places are in chunks that neither move nor go away while the UAL lives. Nothing keeps
 * an object alive while it is used: a program must not use a handle that it is closing (dusi.h).
 *
 * Events do not come through here at all: the engine carries a socket's or file's handle and context
 * with each of them, so those of a closed one are reported rightly although its place is in use again.
 */
#ifndef DUSI_HANDLE_H
#define DUSI_HANDLE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dusi/dusi.h"
#include "ppe/ppe.h"

enum dusi_kind { DUSI_KIND_FILE, DUSI_KIND_UAL, DUSI_KIND_EVQ, DUSI_KIND_SOCK };

#define DUSI_UALS 256 /* numbers; 0 is not used */
#define DUSI_INDEX_BITS 22
#define DUSI_SOCKS_MAX (1u << 20) /* as many as one engine can have */
#define DUSI_SOCKS_DEFAULT 65536
#define DUSI_EVQS_MAX 1024
#define DUSI_FILES_MAX 65536
#define DUSI_CHUNK 64 /* places */

static inline unsigned dusi_id_ual(uint64_t id)
{
	return id >> 56;
}

static inline enum dusi_kind dusi_id_kind(uint64_t id)
{
	return id >> 54 & 3;
}

static inline uint32_t dusi_id_index(uint64_t id)
{
	return id >> 32 & ((1u << DUSI_INDEX_BITS) - 1);
}

/* ------------------------------------------------------------------------ tables */

/* Begins each object that is in a table. */
struct dusi_place {
	_Atomic uint64_t id; /* handle of the object that is here; 0: none that may be found */
	uint32_t index;
	uint32_t next_free; /* index + 1 of the next free place; 0: last */
};

/* The UAL's lock guards all but what a look-up reads: `limit`, `size` and the chunks. */
struct dusi_table {
	enum dusi_kind kind;
	uint32_t limit;      /* most places */
	uint32_t made;       /* places that exist: all below this index */
	uint32_t first_free; /* index + 1; 0: none */
	size_t size;         /* of an object */
	_Atomic(char *) *chunks;
};

struct dusi_evq {
	struct dusi_place place;
	struct ppe_evq *ppe;
};

struct dusi_sock {
	struct dusi_place place;
	struct ppe_dti *ppe;
	_Atomic bool is_child; /* of an accept, the last time it was to be connected */
	_Atomic uint64_t connect_timeout_us;
	_Atomic uint64_t accept_timeout_us;
};

struct dusi_file {
	struct dusi_place place;
	struct ppe_file *ppe;
};

struct dusi_ual {
	uint64_t id;
	struct ppe_ual *ppe;
	unsigned locked;      /* PPE_LOCKED, unless one thread makes every call */
	_Atomic bool orphan;  /* this process is a fork of the one that opened it */
	pthread_mutex_t lock; /* inside it: the engine's turn, never the application's code */
	struct dusi_table evqs;
	struct dusi_table socks;
	struct dusi_table files;
};

int dusi_table_init(struct dusi_table *t, enum dusi_kind kind, size_t size, uint32_t limit);
void dusi_table_fini(struct dusi_table *t);

/*
 * Takes a place, which no look-up finds before dusi_table_publish(), and says in *@id what its
 * handle will be. -ENOSPC: the table is full; -ENOMEM.
 */
int dusi_table_take(struct dusi_ual *ual, struct dusi_table *t, struct dusi_place **place,
		    uint64_t *id);
static inline void dusi_table_publish(struct dusi_place *place, uint64_t id)
{
	atomic_store_explicit(&place->id, id, memory_order_release);
}
/* False when the handle is stale by now; true to one caller only. */
bool dusi_table_withdraw(struct dusi_place *place, uint64_t id);
/* Gives a place back that is not, or not any more, published. */
void dusi_table_give(struct dusi_ual *ual, struct dusi_table *t, struct dusi_place *place);

static inline void *dusi_table_find(const struct dusi_table *t, uint64_t id)
{
	uint32_t index = dusi_id_index(id);
	struct dusi_place *place;
	char *chunk;

	if (index >= t->limit)
		return NULL;
	chunk = atomic_load_explicit(&t->chunks[index / DUSI_CHUNK], memory_order_acquire);
	if (!chunk)
		return NULL;
	place = (struct dusi_place *)(chunk + index % DUSI_CHUNK * t->size);
	return atomic_load_explicit(&place->id, memory_order_acquire) == id ? place : NULL;
}

/* ---------------------------------------------------------------------- registry */

extern _Atomic(struct dusi_ual *) dusi_uals[DUSI_UALS];

/* Gives @ual its number and its handle, and lets it be found. -ENFILE; -ENOMEM. */
int dusi_registry_add(struct dusi_ual *ual);
/* -EBADF: another thread was faster. */
int dusi_registry_remove(struct dusi_ual *ual);

/* The live UAL in which @id was given, if it is of this kind. -EBADF; -EOWNERDEAD. */
static inline int dusi_enter(uint64_t id, enum dusi_kind kind, struct dusi_ual **ual)
{
	struct dusi_ual *u;

	if (dusi_id_kind(id) != kind)
		return -EBADF;
	u = atomic_load_explicit(&dusi_uals[dusi_id_ual(id)], memory_order_acquire);
	if (!u)
		return -EBADF;
	if (atomic_load_explicit(&u->orphan, memory_order_relaxed))
		return -EOWNERDEAD;
	*ual = u;
	return 0;
}

static inline int dusi_find_ual(dusi_ual_t handle, struct dusi_ual **ual)
{
	int err = dusi_enter(handle.id, DUSI_KIND_UAL, ual);

	if (err)
		return err;
	return (*ual)->id == handle.id ? 0 : -EBADF;
}

static inline int dusi_find_evq(dusi_evq_t handle, struct dusi_ual **ual, struct dusi_evq **evq)
{
	int err = dusi_enter(handle.id, DUSI_KIND_EVQ, ual);

	if (err)
		return err;
	*evq = dusi_table_find(&(*ual)->evqs, handle.id);
	return *evq ? 0 : -EBADF;
}

static inline int dusi_find_sock(dusi_sock_t handle, struct dusi_ual **ual, struct dusi_sock **sock)
{
	int err = dusi_enter(handle.id, DUSI_KIND_SOCK, ual);

	if (err)
		return err;
	*sock = dusi_table_find(&(*ual)->socks, handle.id);
	return *sock ? 0 : -EBADF;
}

static inline int dusi_find_file(dusi_file_t handle, struct dusi_ual **ual, struct dusi_file **file)
{
	int err = dusi_enter(handle.id, DUSI_KIND_FILE, ual);

	if (err)
		return err;
	*file = dusi_table_find(&(*ual)->files, handle.id);
	/* while it is being opened there is nothing there yet */
	return *file && (*file)->ppe ? 0 : -EBADF;
}

/*
 * The engine's queue behind @evq, to bind something of @u to; *@out stays as it is when none was given.
 * -EBADF, -EXDEV.
 */
int dusi_bound_evq(const struct dusi_ual *u, dusi_evq_t evq, struct ppe_evq **out);
/* A list of pieces as a gather list. @bytes: in all. -EINVAL, -EMSGSIZE. */
int dusi_gather(const struct dusi_buf *bufs, int n, struct ppe_sge *sge, uint32_t *bytes);

#endif
