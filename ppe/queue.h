/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * queue.h - everything an application and an engine share: the entries and the rings.
 *
 * Nothing here is a pointer. Entries hold handles, lengths and application addresses, and only
 * mr_check() turns those into memory; so the engine may live in another process. All entries are
 * host-endian and one cache line, or a multiple of one.
 *
 *	ring		producer			consumer
 *	send queue	application (one at a time)	engine
 *	receive queue	application (one at a time)	engine
 *	event queue	engine				application (one at a time)
 *	doorbells	any application thread		engine
 *
 * "Engine" is whoever holds the turn; handing the turn over orders its accesses.
 */
#ifndef PPE_QUEUE_H
#define PPE_QUEUE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ppe/ppe.h"

#define PPE_CACHE_LINE 64

/* ------------------------------------------------------------------ descriptors */

enum ppe_wr_op {
	PPE_WR_NONE, /* skipped: cancelled while it waited */
	PPE_WR_SEND,
	PPE_WR_RECV,
	PPE_WR_SHUTDOWN,  /* in the send queue: FIN behind all that was posted before */
	PPE_WR_NOP,       /* in the send queue: an event behind all that was posted before */
	PPE_WR_MESSAGE,   /* message service: struct ppe_wr_msg follows the header */
	PPE_WR_SEND_FILE, /* in the send queue: struct ppe_wr_file follows the header */
};

#define PPE_WR_SILENT 0x01 /* success makes no event */
#define PPE_WR_INLINE 0x02 /* the data are in the descriptor */
#define PPE_WR_SOLICITED 0x04

/*
 * A work request: 1 to 4 slots of a send or receive queue. The first slot begins with this header;
 * behind it, to the end of the last slot, is the gather list or the inline data.
 *
 *	 0        1        2        3        4                        8                      16
 *	+--------+--------+--------+--------+------------------------+----------------------+
 *	|   op   | flags  |  nsge  | nslots |      length            |       user tag       |
 *	+--------+--------+--------+--------+------------------------+----------------------+
 *	| sge 0: address (8) length (4) region (4) protection tag (4) zero (4)               |
 *	| sge 1: ...                                                  [second slot: sge 2-3] |
 */
struct ppe_wr {
	uint8_t op;
	uint8_t flags;
	uint8_t nsge;    /* entries of the gather list; 0 when inline */
	uint8_t nslots;  /* slots this request takes, itself included */
	uint32_t length; /* bytes in all */
	uint64_t user_tag;
};
static_assert(sizeof(struct ppe_wr) == 16, "header of a work request");
static_assert(sizeof(struct ppe_sge) == 24, "two fit behind the header in one line");

union ppe_slot {
	struct ppe_wr wr;
	uint8_t bytes[PPE_CACHE_LINE];
};
static_assert(sizeof(union ppe_slot) == PPE_CACHE_LINE, "a slot is a line");

/*
 * Behind the header of PPE_WR_MESSAGE, in either queue. Then, with PPE_POST_TRIGGER, struct
 * ppe_wr_trigger; the gather list (wr.nsge entries; of atomics the last are compare and result);
 * nrma of struct ppe_rma; inline data.
 *
 *	 0                    4            6     7     8                16               24
 *	+--------------------+------------+-----+-----+----------------+----------------+
 *	|        peer        |   flags    | op  | nrma|      tag       |  data, ignore  |
 *	+--------------------+------------+-----+-----+----------------+----------------+
 */
struct ppe_wr_msg {
	uint32_t peer;
	uint16_t flags; /* PPE_POST_ */
	uint8_t op;     /* enum ppe_op */
	uint8_t nrma;
	uint64_t tag;  /* atomics: struct ppe_wr_atomic */
	uint64_t data; /* receives: bits of the tag that do not count */
};
static_assert(sizeof(struct ppe_wr_msg) == 24, "with one gather entry a line is full");

struct ppe_wr_atomic {
	uint8_t op, type, ncmp, nres;
	uint32_t zero;
};
static_assert(sizeof(struct ppe_wr_atomic) == sizeof(uint64_t), "in the place of the tag");

/* Behind the header of PPE_WR_SEND_FILE, one line in all; its length is that of the range. */
struct ppe_wr_file {
	uint64_t offset;
	uint32_t file; /* handle */
	uint32_t zero; /* reserved, must be 0 */
};
static_assert(sizeof(struct ppe_wr_file) == 16, "ppe_wr_file");

/* Counters by number; 0: none. */
struct ppe_wr_trigger {
	uint32_t cntr, complete;
	uint64_t threshold;
};
static_assert(sizeof(struct ppe_wr_trigger) == 16, "ppe_wr_trigger");
static_assert(sizeof(struct ppe_rma) == 16, "ppe_rma");

#define PPE_WR_MESSAGE_SLOTS_MAX 11 /* lines of PPE_WR_MESSAGE */
#define PPE_WR_SLOTS_MAX 4          /* of the others */
#define PPE_WR_BYTES_MAX (PPE_WR_SLOTS_MAX * PPE_CACHE_LINE)
static_assert(PPE_SGE_MAX * sizeof(struct ppe_sge) <= PPE_WR_BYTES_MAX - sizeof(struct ppe_wr),
	      "the longest gather list fits");
static_assert(sizeof(struct ppe_wr) + sizeof(struct ppe_wr_msg) + sizeof(struct ppe_wr_trigger) +
			      3 * PPE_ATOMIC_SGE * sizeof(struct ppe_sge) +
			      PPE_RMA_MAX * sizeof(struct ppe_rma) <=
		      PPE_WR_MESSAGE_SLOTS_MAX * PPE_CACHE_LINE,
	      "the largest request fits");
static_assert(PPE_INLINE_MAX <= PPE_WR_BYTES_MAX - sizeof(struct ppe_wr), "inline data fit");

/* Slots that a request with @payload bytes behind its header takes. */
static inline unsigned ppe_wr_slots(unsigned payload)
{
	return (sizeof(struct ppe_wr) + payload + PPE_CACHE_LINE - 1) / PPE_CACHE_LINE;
}

/* ------------------------------------------------------------------------ rings */

/*
 * Single producer, single consumer, free-running indices, a power of two slots. The indices are on
 * lines of their own, and each side keeps a copy of the other's beside its own.
 */
struct ppe_spsc {
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t tail; /* producer: slots published */
	uint32_t head_seen;                             /* producer's copy of head */
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t head; /* consumer: slots released */
	uint32_t tail_seen;                             /* consumer's copy of tail */
};

static inline void ppe_spsc_init(struct ppe_spsc *r)
{
	atomic_init(&r->tail, 0);
	atomic_init(&r->head, 0);
	r->head_seen = r->tail_seen = 0;
}

/* Producer: true when @n of @size slots are free. */
static inline bool ppe_spsc_has_room(struct ppe_spsc *r, uint32_t size, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (size - (tail - r->head_seen) >= n)
		return true;
	/* pairs with the release in ppe_spsc_release(): the slots have been read */
	r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return size - (tail - r->head_seen) >= n;
}

/* Producer: makes @n written slots visible. */
static inline void ppe_spsc_commit(struct ppe_spsc *r, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	/* pairs with the acquire in ppe_spsc_count() */
	atomic_store_explicit(&r->tail, tail + n, memory_order_release);
}

/* Consumer: published slots not yet released. */
static inline uint32_t ppe_spsc_count(struct ppe_spsc *r)
{
	/* pairs with the release in ppe_spsc_commit(): the slots have been written */
	r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
	return r->tail_seen - atomic_load_explicit(&r->head, memory_order_relaxed);
}

/* Consumer: gives @n slots back. */
static inline void ppe_spsc_release(struct ppe_spsc *r, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	/* pairs with the acquire in ppe_spsc_has_room() */
	atomic_store_explicit(&r->head, head + n, memory_order_release);
}

/* -------------------------------------------------------------------- doorbells */

/*
 * Numbers of the queues with news. Many producers, one consumer. A queue rings only when its own
 * `rung` flag was clear, so each number is in the ring at most once, and a ring with a slot for
 * every queue that may exist is never full.
 */
struct ppe_doorbells {
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t tail; /* tickets taken by producers */
	_Alignas(PPE_CACHE_LINE) uint32_t head;         /* consumer's */
	uint32_t mask;
	_Atomic uint32_t *slot; /* number + 1; 0 = empty, or its producer is still writing */
};

static inline void ppe_doorbell_push(struct ppe_doorbells *d, uint32_t number)
{
	/* the ticket before the look for a sleeper: pairs with ppe_doorbells_pending() after the
	 * sleeper has taken its slot */
	uint32_t ticket = atomic_fetch_add_explicit(&d->tail, 1, memory_order_seq_cst);

	/* pairs with the acquire in ppe_doorbell_pop(): what was posted before is visible */
	atomic_store_explicit(&d->slot[ticket & d->mask], number + 1, memory_order_release);
}

/* -1: none, or its producer has a ticket and has not yet written it. */
static inline int64_t ppe_doorbell_pop(struct ppe_doorbells *d)
{
	_Atomic uint32_t *slot = &d->slot[d->head & d->mask];
	uint32_t v = atomic_load_explicit(slot, memory_order_acquire);

	if (!v)
		return -1;
	/* before the queue's rung flag is cleared, so before its next ticket */
	atomic_store_explicit(slot, 0, memory_order_relaxed);
	d->head++;
	return v - 1;
}

/*
 * Tickets that the consumer, whose head was @head, has not taken. Any thread: an old @head can only
 * make it say yes too often.
 */
static inline bool ppe_doorbells_pending(struct ppe_doorbells *d, uint32_t head)
{
	return atomic_load_explicit(&d->tail, memory_order_seq_cst) != head;
}

#endif
