/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ulp.h - eta's upper-layer protocol: what iWARP lacks, as a header at the beginning of each Send.
 *
 * Two etas agree on it in connection set-up (FAB_FEATURE_ULP), never by a reserved bit; between them
 * every Send begins with struct ulp_hdr. RDMA Writes, Reads, 64-bit atomics and immediate data are
 * iWARP's own. It adds
 *
 *	tags and data of messages		ULP_EAGER
 *	rendezvous				ULP_ANNOUNCE, then RDMA Reads by the receiver, ULP_DONE
 *	acknowledgements, and credits		ULP_ACK, ULP_HELD, ULP_ACK_ONE
 *	refusals that end no connection		ULP_ACK_ONE, ULP_READ_NAK, ULP_RESULT
 *	atomics on any type			ULP_ATOMIC, ULP_RESULT
 *	liveness				ULP_PING, ULP_PONG
 *	proof of an authorisation key		ULP_PROOF
 *
 * Credits. Each side says in set-up how many bytes (window) it may be sent unasked. An eager message
 * costs ULP_COST(payload), an immediate ULP_COST(0); when it has been taken by a receive, or at once
 * if there was one, its cost is given back by ULP_ACK. What finds no credit is announced instead; the
 * receiver reads it when there is a receive. So nobody ever stops reading a connection, and what is
 * held for a peer is bounded: by the window, and by the number of announcements (also from set-up).
 *
 * Acknowledgements. A connection is ordered, so both sides count: each message with ULP_F_ACK, each
 * RDMA Write, each ULP_ATOMIC without result is one, numbered from 1. ULP_ACK says how many have been
 * seen through, in all. One that cannot be seen through in its turn (no receive yet) is first excepted
 * by ULP_HELD, and told by ULP_ACK_ONE later; one that failed is told by ULP_ACK_ONE before the
 * ULP_ACK that covers it.
 *
 * Large RDMA Writes and Reads are made of several. A Write of exactly ULP_CHUNK bytes is continued by
 * the next one (the last may be empty); a Read of which more follow has ULP_SINK_MORE in its sink's
 * tagged offset, which is its sender's own number. So a target counts operations, not pieces.
 */
#ifndef PPE_ULP_H
#define PPE_ULP_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/be.h"

enum ulp_op {
	ULP_EAGER = 1,    /* ulp_hdr [ulp_tag] [ulp_data] payload */
	ULP_ANNOUNCE = 2, /* ulp_hdr [ulp_tag] [ulp_data] ulp_source */
	ULP_DONE = 3,     /* ulp_hdr: the announcement id is over; code */
	ULP_ACK = 4,      /* ulp_hdr ulp_ack */
	ULP_HELD = 5,     /* ulp_hdr: id = number of the message */
	ULP_ACK_ONE = 6,  /* ulp_hdr: id = number of the message; code */
	ULP_READ_NAK = 7, /* ulp_hdr: id = the sink's STag; code */
	ULP_ATOMIC = 8,   /* ulp_hdr ulp_atomic ulp_target... operand [compare] */
	ULP_RESULT = 9,   /* ulp_hdr: id = the request's; code; payload: the result */
	ULP_PING = 10,    /* ulp_hdr: id comes back in the */
	ULP_PONG = 11,    /* ... */
	ULP_PROOF = 12,   /* ulp_hdr, FAB_PROOF bytes */
	ULP_OPS,
};

enum ulp_flag {
	ULP_F_TAG = 0x01,     /* ulp_tag follows; only a tagged receive takes it */
	ULP_F_DATA = 0x02,    /* ulp_data follows */
	ULP_F_ACK = 0x04,     /* counted, see above */
	ULP_F_FETCH = 0x08,   /* ULP_ATOMIC: the result is wanted */
	ULP_F_COMPARE = 0x10, /* ULP_ATOMIC: behind the operand is what to compare with */
};

/* Outcomes on the wire. */
enum ulp_code {
	ULP_OK = 0,
	ULP_E_KEY = 1,     /* no such region */
	ULP_E_BOUNDS = 2,  /* beyond its end */
	ULP_E_ACCESS = 3,  /* not to be used so */
	ULP_E_AUTH = 4,    /* another authorisation key */
	ULP_E_INVALID = 5, /* an operation that there is not */
	ULP_E_NOMEM = 6,
	ULP_E_CANCELED = 7, /* the endpoint is closing */
};

/*	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+---------------+---------------+---------------+
 *	|       op      |     flags     |      code     |    reserved   |
 *	+---------------+---------------+---------------+---------------+
 *	|   EAGER, ANNOUNCE: payload of the message; the others: id     |
 *	+---------------------------------------------------------------+
 */
struct ulp_hdr {
	uint8_t op, flags, code, reserved;
	be32 len;
};
static_assert(sizeof(struct ulp_hdr) == 8, "ulp_hdr");
static_assert(offsetof(struct ulp_hdr, len) == 4, "ulp_hdr.len");

/* With ULP_F_TAG; with ULP_F_DATA: 64 bits each. */
#define ULP_TAG_LEN 8
#define ULP_DATA_LEN 8

/* Of ULP_ANNOUNCE: where to read the message from: (stag, ULP_SOURCE_TO). */
struct ulp_source {
	be32 stag; /* also the id of ULP_DONE */
	be32 reserved;
};
static_assert(sizeof(struct ulp_source) == 8, "ulp_source");

/*
 * Tagged offset of the first byte of what was announced. No address of user space and no offset in a
 * region is so large: a region whose key is the same number is not mistaken for it.
 */
#define ULP_SOURCE_TO 0xe7a0000000000000u

struct ulp_ack {
	be32 seen;   /* counted messages, in all, modulo 2^32 */
	be32 credit; /* bytes given back since the last ULP_ACK */
};
static_assert(sizeof(struct ulp_ack) == 8, "ulp_ack");

struct ulp_atomic {
	uint8_t op, type; /* numbers of libfabric's enum fi_op, enum fi_datatype */
	uint8_t targets;  /* ulp_target that follow: 1 to ULP_TARGETS */
	uint8_t reserved;
	be32 len; /* bytes of the operand, and of the result */
};
static_assert(sizeof(struct ulp_atomic) == 8, "ulp_atomic");

struct ulp_target {
	be64 addr;
	be32 len; /* bytes */
	be32 key;
};
static_assert(sizeof(struct ulp_target) == 16, "ulp_target");

#define ULP_TARGETS 4
#define ULP_ATOMIC_MAX 4096 /* bytes of an operand */

/* The longest of what stands before a payload. */
#define ULP_HDR_MAX                                                                                \
	(sizeof(struct ulp_hdr) + sizeof(struct ulp_atomic) +                                      \
	 ULP_TARGETS * sizeof(struct ulp_target))

#define ULP_COST(payload) ((payload) + 128u)
/*
 * Left to immediate data: messages leave so much credit untouched. What an immediate has cost comes
 * back when the application takes its event, whatever it does about receives.
 */
#define ULP_RESERVE (128u * 1024)
#define ULP_CHUNK (1u << 20)
#define ULP_SINK_MORE (1ull << 63)

/* Why a datagram endpoint refuses a connection: the one byte of the refusal's private data. */
enum ulp_refusal {
	ULP_REFUSED = 1, /* it is of another kind, or does not know the authorisation key */
	ULP_CROSSED = 2, /* there is, or will be, a connection the other way */
};

/* An endpoint's name in set-up: family (4 or 6), 0, port, address. */
#define ULP_NAME_V4 8
#define ULP_NAME_V6 20

#endif
