/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * second_wire.h - a wire to go beside kernel TCP, where there is no device for one: TCP again, whose
 * 127.0.0.1 is really 127.0.0.2. Of other addresses it has none, as if no device were theirs.
 */
#ifndef ETA_SECOND_WIRE_H
#define ETA_SECOND_WIRE_H

#include "fabric/both.h"

/* Two wires whose listeners can be made to fail. */
extern const struct both_wire first_wire, second_wire;

/* Is this address, that a connection is to go to, one that the second wire has? */
bool second_wire_reaches(const union fab_addr *addr);

/* What the second wire's next @times calls of listen() answer. */
extern struct second_wire_refuses {
	int err, times;
} second_wire_refuses;

/* The wire's newest listener dies. */
void first_wire_fail(int err);
void second_wire_fail(int err);

#endif
