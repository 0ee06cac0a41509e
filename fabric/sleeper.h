/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sleeper.h - what sleeping has in common, whatever a wire sleeps on: the kick that ends it, the word that
 * says that the last call left work, and a descriptor that shows both to who polls instead.
 *
 * A turn ends with sleeper_publish(). wait() is sleeper_begin(), and if that says so the sleep itself, on
 * kickfd among others, then sleeper_end(). Members marked [sleeper] are touched without the turn.
 */
#ifndef ETA_FABRIC_SLEEPER_H
#define ETA_FABRIC_SLEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fabric/fabric.h"

struct sleeper {
	struct fab_counters *counters;
	int kickfd; /* an eventfd: the wire's kick_fd() */
	int nestfd,
		pendfd; /* wait_fd()'s set, made when first asked for, and what shows `pending` in it */
	bool pend_shown;       /* pendfd is readable */
	_Atomic bool pending;  /* [sleeper] progress() or flush() would find work */
	_Atomic bool sleeping; /* [sleeper] someone is in wait() */
	_Atomic bool kicked;   /* [sleeper] drain() has something to forget; the sleeper's own */
};

/* The sleeper's system calls are counted without the turn. */
static inline void count_sleeper(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

int sleeper_open(struct sleeper *s, struct fab_counters *counters);
void sleeper_close(struct sleeper *s);

/* fab_stream_ops.kick and drain. */
void sleeper_kick(struct sleeper *s);
void sleeper_drain(struct sleeper *s);

/* Ends the wait that is under way, if there is one. */
void sleeper_rouse(struct sleeper *s);

/* Whether to sleep: nothing is pending, and who makes it so from now on will wake us. */
bool sleeper_begin(struct sleeper *s);
void sleeper_end(struct sleeper *s);

void sleeper_tell(struct sleeper *s, bool pending);

/* Work that is left for the next turn is announced before the turn ends; whoever sleeps already is woken. */
static inline void sleeper_publish(struct sleeper *s, bool pending)
{
	if (atomic_load_explicit(&s->pending, memory_order_relaxed) != pending)
		sleeper_tell(s, pending);
}

/*
 * Makes nestfd, which polls readable for kicks and for what is pending; what else it is to be readable for,
 * sleeper_nest() adds. 0, or an error.
 */
int sleeper_show(struct sleeper *s);
int sleeper_nest(struct sleeper *s, int fd);
/* There is none after all. */
void sleeper_unshow(struct sleeper *s);

#endif
