/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* hostile_roce.h - the peer of fuzz_roce_peer.c, and all that it says: what the input makes of it. */
#ifndef ETA_FUZZ_HOSTILE_ROCE_H
#define ETA_FUZZ_HOSTILE_ROCE_H

#include "tests/unit/sim_peer.h"

struct input {
	const uint8_t *at;
	size_t left;
};

uint8_t take(struct input *in);
uint16_t take16(struct input *in);
/* Up to *@n octets, and how many. */
const uint8_t *take_some(struct input *in, size_t *n);

extern struct sim_peer *hostile; /* NULL: it has gone */

void hostile_begin(void);
void hostile_close(void);
/* A Send as it is; a frame of whatever kind; pieces; what belongs into set-up. */
void hostile_raw(struct input *in);
void hostile_frame(struct input *in);
void hostile_pieces(struct input *in);
void hostile_hello(struct input *in);
/* It writes to the other side's memory, or reads it: by the key that it has, or by one made up, at @addr. */
void hostile_memory(struct input *in, const void *addr);
/* A frame that came. */
void hostile_hears(const uint8_t *p, uint32_t len);

#endif
