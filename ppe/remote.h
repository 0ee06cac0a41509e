/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * remote.h - what the message service needs beside queues: keys of peers to memory (pd.c), counters
 * (cntr.c), address vectors (av.c), atomic operations (atomic.c). The holder of the turn's, but for
 * what ppe.h offers.
 */
#ifndef PPE_REMOTE_H
#define PPE_REMOTE_H

#include "ppe/engine.h"

/* ---------------------------------------------------------------------------- pd.c */

/*
 * Authorisation keys are compared by number: the same bytes, the same number; 0 is no key. Each
 * intern is undone by one release. -ENOMEM, -EINVAL: longer than PPE_AUTH_MAX.
 */
int auth_intern(struct ppe_ual *ual, const void *key, size_t len, uint32_t *id);
void auth_release(struct ppe_ual *ual, uint32_t id);
/* The bytes behind a number. */
const uint8_t *auth_bytes(const struct ppe_ual *ual, uint32_t id, size_t *len);

/* A hash from keys to numbers of regions: open addressing, a power of two slots. */
struct pd_key {
	uint32_t key;
	uint32_t region; /* number + 1; 0: free */
};

struct ppe_pd {
	struct ppe_ual *ual;
	struct list link; /* ual->pds */
	uint32_t holds;   /* by DTIs */
	uint32_t nkeys, nslots;
	struct pd_key *slot;
};

/* For mr.c. -ENOKEY: taken; -ENOMEM. */
int pd_key_add(struct ppe_pd *pd, uint32_t key, uint32_t number);
void pd_key_remove(struct ppe_pd *pd, uint32_t key);
/* At the end of @ual: all of them, used or not. */
void pd_close_all(struct ppe_ual *ual);

void pd_hold(struct ppe_pd *pd);
void pd_drop(struct ppe_pd *pd);
/* Is it a key of this domain's? */
bool pd_has_key(const struct ppe_pd *pd, uint32_t key);

/*
 * A peer's key and address as memory. Entries of @iov used (at most PPE_MR_IOV_MAX; none for @len 0,
 * which is checked all the same), or -ENOKEY, -ERANGE, -EACCES, -EPERM: another authorisation key.
 * @region: its handle, for mr_counted(); may be NULL.
 */
int pd_check(const struct ppe_pd *pd, uint32_t auth, uint32_t key, uint64_t addr, uint64_t len,
	     unsigned access, struct iovec *iov, uint32_t *region);
/* A peer's access to a region has come to its end: counters that are bound to it. */
void mr_counted(struct ppe_ual *ual, uint32_t region, unsigned access);

/* -------------------------------------------------------------------------- cntr.c */

/* Something that begins when a counter reaches a value. Embedded in its owner. */
struct trigger {
	struct list link;
	uint64_t threshold;
	bool errors; /* they count too */
	void (*fire)(struct trigger *t);
	/* instead, when the counter is flushed or destroyed */
	void (*cancel)(struct trigger *t);
};

/* At the end of @ual, while its event queues are still there: all of them, used or not. */
void cntr_close_all(struct ppe_ual *ual);

struct ppe_ual *cntr_ual(const struct ppe_cntr *c);
void cntr_hold(struct ppe_cntr *c);
void cntr_drop(struct ppe_cntr *c);
/* NULL does nothing. Triggers that are due fire from within. */
void cntr_bump(struct ppe_cntr *c);
void cntr_fail(struct ppe_cntr *c);
/* Fires at once, from within, when the threshold is reached already. */
void cntr_trigger(struct ppe_cntr *c, struct trigger *t);
/* Numbers for queue entries, 0 for NULL only; any thread may ask. And back, NULL: none such. */
uint32_t cntr_number(const struct ppe_cntr *c);
struct ppe_cntr *cntr_of(struct ppe_ual *ual, uint32_t number);

/* ---------------------------------------------------------------------------- av.c */

/* At the end of @ual: all of them, used or not. */
void av_close_all(struct ppe_ual *ual);

void av_hold(struct ppe_av *av);
void av_drop(struct ppe_av *av);
/* NULL: no such number. Valid until the turn ends. */
const union fab_addr *av_addr(const struct ppe_av *av, uint32_t number);
/* PPE_SRC_NONE: not in it. */
uint32_t av_number(const struct ppe_av *av, const union fab_addr *addr);
/* Changes whenever a number is given or taken back: what was looked up before may be stale. */
uint32_t av_generation(const struct ppe_av *av);
/* Family, address and port alike (not flow label or scope of zero); and a hash of those. */
bool addr_equal(const union fab_addr *a, const union fab_addr *b);
uint32_t addr_hash(const union fab_addr *a);

/* ------------------------------------------------------------------------- atomic.c */

/* Bytes of one item; 0: no such type. */
size_t atomic_size(uint8_t type);
/* How an operation is used: with which of the calls it is valid. */
enum atomic_kind { ATOMIC_PLAIN, ATOMIC_FETCH, ATOMIC_COMPARE };
bool atomic_valid(enum atomic_kind kind, uint8_t op, uint8_t type);
/*
 * Carries out @op on @count items at @target, which may be unaligned. @operand and @compare likewise;
 * NULL where the operation takes none. @result: what was there before; NULL: not wanted. Results may
 * not overlap operands. Atomic among those who hold the turn. An item that keeps its value because of a
 * comparison is not written, nor is any by a read.
 */
void atomic_apply(uint8_t op, uint8_t type, void *target, const void *operand, const void *compare,
		  void *result, size_t count);

#endif
