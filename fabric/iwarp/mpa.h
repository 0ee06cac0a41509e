/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mpa.h - MPA start-up frames to and from plain structures, what two sides agree on, and the
 * trailer of an FPDU.
 *
 * No sockets, no memory, no state. A connection's start-up is
 *
 *	initiator				responder
 *	mpa_request_init, mpa_user_set
 *	mpa_encode		-- request -->	mpa_decode
 *						mpa_respond, mpa_user_set (or mpa_reject_init)
 *	mpa_decode		<-- reply --	mpa_encode
 *	mpa_conclude
 *	RTR, when agreed	-- FPDU ----->	transmits nothing before this has come
 *
 * Functions return 0 or a negative enum mpa_error. Outputs are written only on success, except
 * mpa_respond's reply, which is a rejection ready to be sent when it fails.
 */
#ifndef ETA_IWARP_MPA_H
#define ETA_IWARP_MPA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/iwarp/wire.h"

enum mpa_kind { MPA_REQUEST, MPA_REPLY };

/* Returned negated. */
enum mpa_error {
	MPA_OK = 0,
	/* decoding: the peer does not speak this protocol, or speaks it wrongly */
	MPA_E_KEY,       /* not an MPA frame of the expected kind */
	MPA_E_REVISION,  /* neither 1 nor 2 */
	MPA_E_PD_LEN,    /* more private data than RFC 5044 allows */
	MPA_E_ENHANCED,  /* S without the words it announces */
	MPA_E_ETA_BLOCK, /* an eta block that is cut short or contradicts itself */
	/* agreeing */
	MPA_E_REJECTED,     /* the peer rejected; its user data say why */
	MPA_E_MARKERS,      /* the peer wants markers */
	MPA_E_NOT_ENHANCED, /* the reply ignores RFC 6581: dial again with revision 1 */
	MPA_E_RTR,          /* no ready-to-receive message that both can use */
	MPA_E_IRD,          /* the peer wants more reads outstanding than were offered */
	/* encoding: the caller's fault */
	MPA_E_USER_LEN, /* more user data than MPA_USER_MAX */
	MPA_E_ITEM,     /* an item of the eta block is too long, or one too many */
	MPA_E_SPACE,    /* the parts do not fit the private data, or the caller's buffer */
	MPA_ERRORS,
};

/* "markers wanted", for logs and counters. Any value, either sign. */
const char *mpa_strerror(int err);
/* What to send in a Terminate: enum rdmap_term. */
uint16_t mpa_error_term(int err);

/* Ready-to-receive messages, best first. */
enum mpa_rtr { MPA_RTR_WRITE = 1, MPA_RTR_READ = 2, MPA_RTR_SEND = 4 };

struct mpa_eta {
	uint8_t version;
	uint16_t features; /* enum mpa_feature */
	uint16_t mulpdu;
	uint8_t items_len; /* mpa_item_add, mpa_item_find */
	uint8_t items[MPA_PD_SEND_MAX];
};

/* One start-up frame. */
struct mpa_start {
	uint8_t rev;
	bool markers, crc, reject, enhanced;
	/* with enhanced */
	bool p2p;
	uint8_t rtr;       /* enum mpa_rtr, several in a request */
	uint16_t ird, ord; /* MPA_DEPTH_NONE: not negotiated */
	/* private data */
	bool raw;    /* no size octet: user[] is all of it, and not from eta nor from verbs */
	bool is_eta; /* eta is valid */
	uint16_t user_len;
	uint8_t user[MPA_PD_MAX];
	struct mpa_eta eta;
};

/* What this side offers. */
struct mpa_config {
	bool crc;          /* ask for CRCs */
	uint8_t rev;       /* of a request: MPA_REV_2, or MPA_REV_1 when dialling again */
	uint8_t rtr;       /* what can be sent and taken: normally MPA_RTR_WRITE | MPA_RTR_READ */
	uint16_t ird, ord; /* less than MPA_DEPTH_NONE; at least 1, or there are no reads */
	bool eta;          /* send the block: false tests against strangers */
	uint16_t features;
	uint16_t mulpdu;     /* with etas: the largest ULPDU this side sends or wants */
	uint16_t mulpdu_mss; /* with strangers: mpa_mulpdu_of_mss() */
};

/* What two sides have agreed on. */
struct mpa_agreed {
	bool crc;
	bool p2p;          /* RFC 6581; the initiator's first FPDU is rtr, empty */
	uint8_t rtr;       /* one of enum mpa_rtr; 0 without p2p */
	bool hold_tx;      /* responder: transmit nothing before the first FPDU has come */
	bool eta;          /* the peer is one */
	uint16_t features; /* those that both have */
	uint16_t mulpdu;   /* most octets in a ULPDU that this side sends */
	uint16_t ird, ord; /* of this side */
};

/* A request as @cfg wants it, without user data. */
void mpa_request_init(const struct mpa_config *cfg, struct mpa_start *req);
/*
 * Responder: the reply to @req, without user data, and what it stands for. On error (markers, no
 * RTR in common) @rep is a rejection, to be sent all the same.
 */
int mpa_respond(const struct mpa_config *cfg, const struct mpa_start *req, struct mpa_start *rep,
		struct mpa_agreed *agreed);
/* Responder: the reply that turns @req down, without user data. */
void mpa_reject_init(const struct mpa_start *req, struct mpa_start *rep);
/* Initiator: what @rep makes of @req. After an error other than MPA_E_REJECTED a Terminate may go
 * out, mpa_error_term(). */
int mpa_conclude(const struct mpa_config *cfg, const struct mpa_start *req,
		 const struct mpa_start *rep, struct mpa_agreed *agreed);

/* Sets the application's private data. -MPA_E_USER_LEN. */
int mpa_user_set(struct mpa_start *start, const void *data, size_t len);
/* Appends an item to the block. -MPA_E_ITEM: it does not fit. */
int mpa_item_add(struct mpa_eta *eta, uint8_t type, const void *data, size_t len);
/* First item of @type: its octets and their number; NULL when there is none. */
const uint8_t *mpa_item_find(const struct mpa_eta *eta, uint8_t type, size_t *len);

/* Octets of the frame written to @buf, or an error; MPA_FRAME_MAX always suffice. */
int mpa_encode(const struct mpa_start *start, enum mpa_kind kind, uint8_t *buf, size_t size);
#define MPA_FRAME_MAX ((int)sizeof(struct mpa_frame) + MPA_PD_SEND_MAX)
/*
 * Takes a frame from the @avail octets at @buf. 0: done, *@used octets were the frame (FPDUs may
 * follow at once); positive: not decided, come back with at least so many octets in all; negative:
 * an error, which is found as early as it can be.
 */
int mpa_decode(const uint8_t *buf, size_t avail, enum mpa_kind kind, struct mpa_start *start,
	       size_t *used);
/* Octets a decoder's buffer must hold: the longest frame that RFC 5044 allows. */
#define MPA_DECODE_MAX ((int)sizeof(struct mpa_frame) + MPA_PD_MAX)

/* ------------------------------------------------------------------------------ FPDUs */

/* Largest ULPDU whose FPDU fills one TCP segment: RFC 5044 sec. 4.5, without markers. */
uint16_t mpa_mulpdu_of_mss(uint32_t mss);

/* Octets of zero behind a ULPDU. */
static inline unsigned mpa_pad(uint32_t ulpdu_len)
{
	return (0u - (MPA_LEN_SIZE + ulpdu_len)) & 3;
}

/* Pad and CRC field. */
static inline unsigned mpa_trailer_len(uint32_t ulpdu_len)
{
	return mpa_pad(ulpdu_len) + MPA_CRC_SIZE;
}

/* The whole FPDU. */
static inline uint32_t mpa_fpdu_len(uint32_t ulpdu_len)
{
	return MPA_LEN_SIZE + ulpdu_len + mpa_trailer_len(ulpdu_len);
}

/*
 * CRC32C in steps: start, add (length field, ULPDU), then one of the two below, which add the pad
 * themselves. The intermediate value is not the CRC: only they turn it over.
 */
#define MPA_CRC_START 0xffffffffu
uint32_t mpa_crc_add(uint32_t crc, const void *data, size_t len);

/*
 * Writes pad and CRC field, 4 to MPA_TRAILER_MAX octets, and returns their number. @crc is that of
 * the FPDU so far; with @crc_on false it is ignored and the field is zero.
 */
unsigned mpa_trailer_put(uint8_t *out, uint32_t ulpdu_len, bool crc_on, uint32_t crc);
/* Whether the mpa_trailer_len() octets at @trailer go with @crc, that of the FPDU so far. */
bool mpa_trailer_ok(const uint8_t *trailer, uint32_t ulpdu_len, uint32_t crc);

#endif
