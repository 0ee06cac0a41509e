/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdmap.h - bodies of the messages that carry no application data: RDMA Read Request, atomics,
 * immediate data (RFC 7306), Terminate.
 *
 * ddp_parse() has seen to it that a fixed body has its size, so the get functions cannot fail. The
 * put functions write a body; its header is ddp_put_untagged()'s.
 */
#ifndef ETA_IWARP_RDMAP_H
#define ETA_IWARP_RDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/iwarp/ddp.h"

struct rdmap_read {
	uint32_t sink_stag, src_stag;
	uint64_t sink_to, src_to;
	uint32_t len;
};
unsigned rdmap_read_put(uint8_t *body, const struct rdmap_read *read);
void rdmap_read_get(const uint8_t *body, struct rdmap_read *read);

struct rdmap_atomic {
	uint8_t op; /* enum rdmap_atomic_op, or what the peer made of it: check */
	uint32_t id, stag;
	uint64_t to;
	uint64_t data, data_mask; /* to add, or to store */
	uint64_t cmp, cmp_mask;   /* CmpSwap */
};
unsigned rdmap_atomic_put(uint8_t *body, const struct rdmap_atomic *atomic);
void rdmap_atomic_get(const uint8_t *body, struct rdmap_atomic *atomic);

unsigned rdmap_atomic_resp_put(uint8_t *body, uint32_t id, uint64_t value);
void rdmap_atomic_resp_get(const uint8_t *body, uint32_t *id, uint64_t *value);

unsigned rdmap_immediate_put(uint8_t *body, uint64_t data);
uint64_t rdmap_immediate_get(const uint8_t *body);

/* ----------------------------------------------------------------------- Terminate */

/* A Terminate that came. */
struct rdmap_terminate {
	bool valid;    /* false: too short to say anything; the stream ends all the same */
	bool swapped;  /* read as siw lays it out on little-endian machines */
	uint16_t term; /* enum rdmap_term, or what the peer made of it */
	uint8_t hdrct; /* enum rdmap_term_hdrct */
	uint8_t raw[sizeof(struct rdmap_term_body)]; /* as it came, zero where it did not: log it */
};

/* "DDP: invalid STag". Never NULL. */
const char *rdmap_term_name(uint16_t term);

/*
 * Reads the body of a Terminate, @len octets of it: never fails, ignores the headers that follow.
 * siw's layout and the RFC's cannot always be told apart; raw[] is there for those who know better.
 */
void rdmap_term_parse(const uint8_t *body, size_t len, struct rdmap_terminate *t);

/*
 * Builds the whole FPDU of a Terminate, CRC included, and returns its length.
 *
 * @bad is the FPDU that is at fault, as it came, from its length field on, @bad_len octets of it
 * (its headers are enough), or NULL. As much of it goes along as RFC 5040 4.8 wants for this error:
 * its DDP header if a segment is at fault, its body as well if that is an RDMA Read Request, and
 * nothing if the layout itself is in doubt.
 */
#define RDMAP_TERM_FPDU_MAX (DDP_HDR_MAX + RDMAP_TERM_BODY_MAX + MPA_TRAILER_MAX)
unsigned rdmap_term_build(uint8_t out[RDMAP_TERM_FPDU_MAX], uint16_t term, bool crc_on,
			  const uint8_t *bad, size_t bad_len);

#endif
