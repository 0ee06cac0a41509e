/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * both_internal.h - two wires as one fabric: the inside.
 *
 *	both.c		the instance and its sleeper, stream connections
 *	both_listen.c	stream listeners: one on each wire
 *	both_msg.c	the message service
 */
#ifndef ETA_BOTH_INTERNAL_H
#define ETA_BOTH_INTERNAL_H

#include <assert.h>

#include "fabric/both.h"

/* ------------------------------------------------------------- connections and their wires */

#define BOTH_WIRES 8 /* the low bits of an address that are 0 */

extern const struct both_wire *both_known[BOTH_WIRES];

/* The same for connections of either service. */
#define both_number(conn) ((unsigned)((uintptr_t)(conn) & (BOTH_WIRES - 1)))
#define both_plain(conn) ((void *)((uintptr_t)(conn) & ~(uintptr_t)(BOTH_WIRES - 1)))

static inline void *both_mark(const void *conn, unsigned wire)
{
	assert(!both_number(conn));
	return (void *)((uintptr_t)conn | wire);
}

/* ---------------------------------------------------------------------- the instance */

struct fab_msg {
	struct fab *fab;
	const struct fab_msg_ops *ops[2];
	struct fab_msg *sub[2];
	struct fab_msg_ops own; /* what the two can do */
};

struct fab {
	struct fab_env env;
	unsigned (*path)(const struct fab_connect_attr *attr);
	const struct fab_stream_ops *stream[2];
	struct fab *sub[2];
	unsigned wire[2]; /* their numbers in both_known */
	int showfd;       /* wait_fd() of the first */
	int nestfd;       /* for wait_fd() of the two */
	unsigned turn;
	struct fab_msg msg;
};

/* both.c */
unsigned both_path(const struct fab *fab, const struct fab_connect_attr *attr);

/* both_listen.c */
int both_listen(struct fab *fab, const struct fab_listen_attr *attr,
		const struct fab_listen_user *ops, void *user, struct fab_listener **out);
int both_accept(struct fab_listener *l);
unsigned both_unaccept(struct fab_listener *l, unsigned n);
int both_listener_addr(struct fab_listener *l, union fab_addr *addr);
void both_unlisten(struct fab_listener *l);

/*
 * A listener of either service, on both wires; @fn listens on one of them. With port 0 the second
 * wire listens on the port that the first was given.
 */
struct both_listening {
	int (*listen)(void *l, unsigned i, const union fab_addr *addr);
	int (*addr)(void *l, union fab_addr *addr);
	void (*unlisten)(void *l, unsigned i);
};
/* @shared: others may listen at that address, too. */
int both_listen_on(const struct fab *fab, const struct both_listening *on, void *l,
		   const union fab_addr *addr, bool shared);
/* The second wire's half of a listener has failed. */
void both_log_lost(const struct fab *fab, int err);

/* both_msg.c */
int both_msg_open(struct fab *fab, const struct both *both, const struct fab_msg_attr *attr,
		  struct fabric *out);

#endif
