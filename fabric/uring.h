/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring.h - the fabric "uring": the inside.
 *
 *	uring.c		the ring: set-up, sleeping; what this fabric is
 *	uring_watch.c	polls and accepts that the kernel keeps, and what it says of them
 *	uring_accept.c	connections that the kernel accepts for us
 *	uring_batch.c	reads, or writes, of several connections by one io_uring_enter
 */
#ifndef ETA_URING_H
#define ETA_URING_H

#include <liburing.h>

#include "fabric/tcp_internal.h"

#define HARVEST_BATCH 64

/* The kernel's cookie. It outlives its source until the kernel's last word on it. */
struct watch {
	struct link link;    /* on ring->ask, ->drop or ->polling */
	struct source *src;  /* NULL: closed, or the kick */
	bool polling;        /* the kernel has it */
	struct taken *taken; /* a listener's */
};

/*
 * Connections that the kernel has accepted for a listener, more than were posted for perhaps. It is
 * told to stop when there are many, and goes on when they are gone.
 */
struct taken {
	unsigned first, count, room; /* a ring; room: a power of two */
	bool paused;                 /* by us */
	int err;                     /* why the kernel stopped; to be told once */
	int fd[];
};

struct ring {
	struct io_uring uring;
	bool owned;            /* one thread submits and sleeps */
	bool lost;             /* it has been said that the ring cannot be used */
	_Atomic bool disabled; /* [sleeper] ... and is not known yet */
	int showfd;            /* for wait_fd(); -1: the ring itself, or not asked for */
	struct watch kick;     /* of a ring that is owned */
	struct link ask;       /* to be begun */
	struct link drop;      /* to be cancelled */
	struct link polling;   /* the kernel has them */
};

/* 0, or an error; see uring_watch.c. */
int ring_enter(struct fab *fab);
/* A request to fill in; NULL: there is no room for one, and none can be made now. */
struct io_uring_sqe *request_get(struct fab *fab);
/* The kernel is short of something, for now. Other errors stay. */
bool is_shortage(int err);
/* A request that has come to nothing, and is to be made again. */
bool is_passing(int err);
/* Has the kernel work for us that it does only when we come by? */
bool ring_wants_us(const struct ring *ring);
/* What comes from here on makes wait_fd() readable again. */
void show_nothing(struct fab *fab);
/* What the kernel has said, and nobody has heard yet: an eventfd would not tell of it again. */
void show_rest(struct fab *fab);
void watch_ask(struct fab *fab, struct watch *w);
void watch_cancel(struct fab *fab, struct watch *w);

/* -ENOMEM, or 0 and @w is a listener's. */
int taken_new(struct watch *w);
/* The kernel's word on a listener: a connection, or why there will be no more. */
void taken_event(struct fab *fab, struct watch *w, int res, bool last);
void taken_drop(struct fab *fab, struct watch *w);

/* What the kernel says of something that it watches. */
void watch_event(struct fab *fab, struct watch *w, int res, uint32_t flags);

int uring_add(struct source *src);
void uring_remove(struct source *src);
bool uring_guess(struct fab *fab);
void uring_harvest(struct fab *fab);
void uring_submit(struct fab *fab);
/* All that the kernel has said; at the end, when no source is left. */
void uring_hear_out(struct fab *fab);
int uring_accept(struct fab_listener *l);
int uring_hand_in(struct fab *fab);
void uring_transfer(struct fab *fab, unsigned n, bool write);
void watch_free(struct watch *w);

#endif
