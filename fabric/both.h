/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * both.h - two wires as one fabric: listeners take from both, and each connection goes over one.
 *
 * The first wire is the one that every address has (kernel TCP); the second has devices, and not for
 * every address. What the contract of fabric.h does not already demand of them:
 *
 *	- wait_fd() of the first is asked for at once, and is readable whenever progress() or flush()
 *	  would find something; its wait(), kick() and drain() are not called. Sleepers sleep in the
 *	  second's wait_also(), and kicks are of the second.
 *	- listen() of the second fails with -ENODEV when no device of its has the address.
 *	- connections are aligned to 8 bytes; at most one write is open at a time.
 */
#ifndef ETA_BOTH_H
#define ETA_BOTH_H

#include "fabric/fabric.h"

struct both_wire {
	const char *name;
	const struct fab_stream_ops *stream;
	const struct fab_msg_ops *msg;
};

struct both {
	const struct both_wire *wires[2]; /* not copied */
	/* Which of them, 0 or 1, a connection is made over. NULL: the second. */
	unsigned (*path)(const struct fab_connect_attr *attr);
};

/* Fills all of @out but name and why. */
int both_open(const struct both *both, const struct fab_env *env, const struct fab_msg_attr *attr,
	      struct fabric *out);

#endif
