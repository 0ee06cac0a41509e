/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire.h - everything that the message service puts on a TCP stream: iWARP, byte by byte.
 *
 *	start-up	one MPA Request, one MPA Reply			RFC 5044 sec. 7, RFC 6581
 *	after it	FPDUs only, back to back			RFC 5044 sec. 4
 *	in an FPDU	one DDP segment, tagged or untagged		RFC 5041 sec. 4
 *	in a segment	a piece of one RDMAP message			RFC 5040 sec. 4, RFC 7306
 *
 * Structures are the wire: no padding, alignment 1, integers big-endian (be.h). Bits are numbered
 * as in the RFCs, 0 = most significant. Reserved means: sent as zero, not looked at when received.
 *
 * Choices within the RFCs: no markers, ever (they cost a copy and nobody's receiver but hardware
 * gains); the CRC is in use only if either side asks for it. One choice outside: between two etas
 * an FPDU need not fit a TCP segment, see MPA_MULPDU_MAX.
 */
#ifndef ETA_IWARP_WIRE_H
#define ETA_IWARP_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/be.h"

#define WIRE_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#define WIRE_AT(type, member, at) static_assert(offsetof(type, member) == (at), #type "." #member)

/* ------------------------------------------------------------------- MPA start-up, RFC 5044 7.1.1
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------------------------------------------------------+
 *	|       key: "MPA ID Req Frame" or "MPA ID Rep Frame",          |
 *	|                    16 octets, no terminator                   |
 *	+-+-+-+-+-------+---------------+-------------------------------+
 *	|M|C|R|S|  res  |      rev      |           pd_length           |
 *	+-+-+-+-+-------+---------------+-------------------------------+
 *	|                  private data, pd_length octets               |
 */
struct mpa_frame {
	uint8_t key[16];
	uint8_t flags;
	uint8_t rev;
	be16 pd_len;
};
WIRE_SIZE(struct mpa_frame, 20);
WIRE_AT(struct mpa_frame, flags, 16);
WIRE_AT(struct mpa_frame, rev, 17);
WIRE_AT(struct mpa_frame, pd_len, 18);

#define MPA_KEY_REQUEST "MPA ID Req Frame"
#define MPA_KEY_REPLY "MPA ID Rep Frame"

/*
 * Features of eta are never negotiated in the reserved bits: the kernel's siw echoes the request's
 * flags in its reply, set or not by its own wish.
 */
enum mpa_flag {
	MPA_FLAG_MARKERS = 0x80,  /* "I must receive markers" */
	MPA_FLAG_CRC = 0x40,      /* "I want CRCs"; either side's bit binds both */
	MPA_FLAG_REJECT = 0x20,   /* reply only: no connection */
	MPA_FLAG_ENHANCED = 0x10, /* revision 2: struct mpa_enhanced opens the private data */
};

enum mpa_rev {
	MPA_REV_RDMAC = 0, /* before the RFC; other rules for markers and CRC, not spoken here */
	MPA_REV_1 = 1,     /* RFC 5044 */
	MPA_REV_2 = 2,     /* RFC 6581 */
};

#define MPA_PD_MAX 512 /* RFC 5044: what a receiver must be ready for */
/*
 * What is sent, all parts together. siw takes 256, but keeps its own count in a byte to which it
 * adds the 4 of struct mpa_enhanced.
 */
#define MPA_PD_SEND_MAX 251

/* RFC 6581 sec. 9: the first four octets of private data when S is set.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+-+-+---------------------------+-+-+---------------------------+
 *	|A|B|            IRD            |C|D|            ORD            |
 *	+-+-+---------------------------+-+-+---------------------------+
 *
 * IRD: RDMA Reads (and atomics) the sender of the frame serves at a time; ORD: has outstanding at
 * a time. A asks for (reply: grants) peer-to-peer start: the initiator sends one empty message, the
 * ready-to-receive (RTR) indication, and from then on either side may send. B, C, D say which
 * message that may be; the reply has those that the responder takes.
 */
struct mpa_enhanced {
	be16 ird;
	be16 ord;
};
WIRE_SIZE(struct mpa_enhanced, 4);
WIRE_AT(struct mpa_enhanced, ord, 2);

#define MPA_IRD_P2P 0x8000       /* A */
#define MPA_IRD_RTR_SEND 0x4000  /* B: zero-length Send */
#define MPA_ORD_RTR_WRITE 0x8000 /* C: zero-length RDMA Write */
#define MPA_ORD_RTR_READ 0x4000  /* D: zero-length RDMA Read */
#define MPA_DEPTH_MASK 0x3fff
#define MPA_DEPTH_NONE 0x3fff /* "the depth is not negotiated here" */

/* ------------------------------------------------------- private data, as eta fills what remains
 *
 *	[IRD,ORD] | u8 size | user data, size octets | eta block, if any
 *
 * The size octet comes from libfabric's verbs provider, which expects it first and ignores what is
 * behind the user data; so the two understand each other, and two etas recognise each other by the
 * block. A peer that knows no size octet (rping, any plain rdma_cm program) sends and gets raw
 * private data: if its first octet cannot be a size, all of it is taken as user data, else it is
 * misread. Such programs use none, as a rule.
 *
 * The verbs provider has room for 55 octets of user data; an application that dials strangers
 * should not send more.
 */
#define MPA_USER_MAX 160
#define MPA_USER_VERBS_MAX 55

/* The eta block.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+---------------+---------------+---------------+
 *	|     0xe7      |      'e'      |      't'      |      'a'      |
 *	+---------------+---------------+---------------+---------------+
 *	|    version    |     length    |            features           |
 *	+---------------+---------------+-------------------------------+
 *	|             MULPDU            |            reserved           |
 *	+-------------------------------+-------------------------------+
 *	|   items: { u8 type, u8 length, octets }, up to length         |
 *
 * length counts the block from its first octet. The fixed part never changes; a later version adds
 * items and features, and a receiver skips the items and clears the features that it does not know,
 * whatever the version. What cannot be added in that way needs another magic number.
 */
struct mpa_eta_block {
	uint8_t magic[4];
	uint8_t version;
	uint8_t length;
	be16 features; /* enum mpa_feature: what the sender of the block can receive */
	be16 mulpdu;   /* largest ULPDU that the sender of the block wants to receive */
	be16 reserved;
};
WIRE_SIZE(struct mpa_eta_block, 12);
WIRE_AT(struct mpa_eta_block, version, 4);
WIRE_AT(struct mpa_eta_block, features, 6);
WIRE_AT(struct mpa_eta_block, mulpdu, 8);

#define MPA_ETA_MAGIC "\347eta"
#define MPA_ETA_VERSION 1

enum mpa_feature {
	MPA_FEATURE_RFC7306 = 0x0001, /* atomics and immediate data */
	MPA_FEATURE_RDM = 0x0002,     /* Sends start with eta's upper-layer header */
	MPA_FEATURE_STREAM = 0x0004,  /* Sends and Writes carry a byte stream, fabric/qstream/ */
};

struct mpa_item {
	uint8_t type;
	uint8_t length; /* of what follows these two octets */
};
WIRE_SIZE(struct mpa_item, 2);

enum mpa_item_type {
	MPA_ITEM_NAME = 1,        /* of the RDM endpoint: 1 to 56 octets */
	MPA_ITEM_INCARNATION = 2, /* be64: tells a restarted peer from the one before */
	MPA_ITEM_CHALLENGE = 3,   /* nonce for the peer's proof, 16 octets */
	MPA_ITEM_PROOF = 4,       /* keyed hash, never the key: 32 octets */
	MPA_ITEM_LIMITS = 5,      /* struct mpa_limits */
};
#define MPA_NAME_MAX 56
#define MPA_NONCE_LEN 16
#define MPA_PROOF_LEN 32

/* What the sender of the block is ready for; with MPA_FEATURE_RDM. */
struct mpa_limits {
	be32 window;    /* octets of Sends that it has not asked for */
	be32 announces; /* messages announced to it and not yet fetched */
};
WIRE_SIZE(struct mpa_limits, 8);
WIRE_AT(struct mpa_limits, announces, 4);

/* The longest user data and an authenticated block go together; a name as well takes short ones. */
static_assert(sizeof(struct mpa_enhanced) + 1 + MPA_USER_MAX + sizeof(struct mpa_eta_block) +
			      3 * sizeof(struct mpa_item) + MPA_NONCE_LEN + MPA_PROOF_LEN +
			      sizeof(struct mpa_limits) <=
		      MPA_PD_SEND_MAX,
	      "room for the longest user data");

/* ------------------------------------------------------------------------- FPDU, RFC 5044 4.1
 *
 *	| ULPDU length, 16 bits | ULPDU = DDP segment | 0-3 octets of zero | CRC32C, 32 bits |
 *
 * The length counts the ULPDU alone. The pad makes the FPDU a multiple of four octets. The CRC
 * covers everything before it and is sent least significant octet first, as in iSCSI (RFC 3720);
 * the field is there even when CRCs are not in use: then sent as zero, not looked at.
 */
#define MPA_LEN_SIZE 2
#define MPA_CRC_SIZE 4
#define MPA_TRAILER_MAX (3 + MPA_CRC_SIZE)
#define MPA_ULPDU_MAX 65535
/*
 * MULPDU, the largest ULPDU sent. RFC 5044 derives it from the segment size, 128 to 64768, so that
 * a receiver on a network card can place each segment by itself. A receiver on a socket only pays
 * for small FPDUs, with a header to be read every 1,448 octets; so two etas use what the receiving
 * one names in its block, and strangers get segments (mpa_mulpdu_of_mss).
 */
#define MPA_MULPDU_MIN 128
#define MPA_MULPDU_MAX 64768

/* ------------------------------------------------------------ DDP segment, RFC 5041 4, RFC 5040 4
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+-------------------------------+-+-+-------+---+---+---+-------+
 *	|         ULPDU length          |T|L|  res  | DV| RV|res| opcode|
 *	+-------------------------------+-+-+-------+---+---+---+-------+
 *	 '------------ MPA ------------' '---- DDP ----' '--- RDMAP ---'
 *
 * T: tagged. L: last segment of its message. DV, RV: versions of DDP and RDMAP, both 1.
 */
struct ddp_ctrl {
	be16 ulpdu_len;
	uint8_t ddp;
	uint8_t rdmap;
};
WIRE_SIZE(struct ddp_ctrl, 4);
WIRE_AT(struct ddp_ctrl, ddp, 2);
WIRE_AT(struct ddp_ctrl, rdmap, 3);

#define DDP_TAGGED 0x80
#define DDP_LAST 0x40
#define DDP_VERSION_MASK 0x03
#define DDP_VERSION 0x01
#define RDMAP_VERSION_MASK 0xc0
#define RDMAP_VERSION 0x40
#define RDMAP_OPCODE_MASK 0x0f

/* Tagged: the payload goes to (STag, TO) at the receiver.
 *
 *	+-------------------------------+-------------------------------+
 *	|                           ddp_ctrl                            |
 *	+---------------------------------------------------------------+
 *	|                             STag                              |
 *	+---------------------------------------------------------------+
 *	|                     tagged offset, 64 bits                    |
 *	+---------------------------------------------------------------+
 *
 * For eta the STag is the low 32 bits of a libfabric key, and the tagged offset is the libfabric
 * address: no translation, so that a verbs peer's rkey and address, or eta's, serve as they are.
 */
struct ddp_tagged {
	struct ddp_ctrl ctrl;
	be32 stag;
	be64 to;
};
WIRE_SIZE(struct ddp_tagged, 16);
WIRE_AT(struct ddp_tagged, stag, 4);
WIRE_AT(struct ddp_tagged, to, 8);

/* Untagged: the payload goes to the buffer that is number MSN in the receiver's queue QN.
 *
 *	+-------------------------------+-------------------------------+
 *	|                           ddp_ctrl                            |
 *	+---------------------------------------------------------------+
 *	|         STag to invalidate (two of the Sends), else 0         |
 *	+---------------------------------------------------------------+
 *	|                       queue number (QN)                       |
 *	+---------------------------------------------------------------+
 *	|   message sequence number (MSN): 1, 2, 3 ... for each queue   |
 *	+---------------------------------------------------------------+
 *	|         message offset (MO) of this segment's payload         |
 *	+---------------------------------------------------------------+
 */
struct ddp_untagged {
	struct ddp_ctrl ctrl;
	be32 inv_stag;
	be32 qn;
	be32 msn;
	be32 mo;
};
WIRE_SIZE(struct ddp_untagged, 20);
WIRE_AT(struct ddp_untagged, inv_stag, 4);
WIRE_AT(struct ddp_untagged, qn, 8);
WIRE_AT(struct ddp_untagged, msn, 12);
WIRE_AT(struct ddp_untagged, mo, 16);

/* Of an FPDU: with the length field; and without, as the ULPDU length counts. */
#define DDP_HDR_MAX 20
#define DDP_TAGGED_LEN 14u
#define DDP_UNTAGGED_LEN 18u
static_assert(sizeof(struct ddp_untagged) == DDP_HDR_MAX, "DDP_HDR_MAX");
static_assert(sizeof(struct ddp_tagged) == MPA_LEN_SIZE + DDP_TAGGED_LEN, "DDP_TAGGED_LEN");
static_assert(sizeof(struct ddp_untagged) == MPA_LEN_SIZE + DDP_UNTAGGED_LEN, "DDP_UNTAGGED_LEN");

/*
 * Segments of two messages are never interleaved, and a message's segments come in order: one
 * transmit cursor per direction is enough, on either side.
 */
enum rdmap_opcode {
	RDMAP_WRITE = 0x0,         /* tagged */
	RDMAP_READ_REQUEST = 0x1,  /* QN 1, body rdmap_read_req */
	RDMAP_READ_RESPONSE = 0x2, /* tagged */
	RDMAP_SEND = 0x3,          /* QN 0 */
	RDMAP_SEND_INV = 0x4,      /* QN 0, invalidates an STag of the receiver */
	RDMAP_SEND_SE = 0x5,       /* QN 0, solicited event */
	RDMAP_SEND_SE_INV = 0x6,   /* QN 0, both */
	RDMAP_TERMINATE = 0x7,     /* QN 2, body rdmap_term_body */
	/*
	 * RFC 7306. Not sent to a peer whose features lack it: siw answers with Terminate.
	 * Immediate data are a message of their own, behind the Send or Write they belong to; they
	 * take an MSN of QN 0, and so consume one receive of the peer.
	 */
	RDMAP_IMMEDIATE = 0x8,       /* QN 0, body rdmap_immediate */
	RDMAP_IMMEDIATE_SE = 0x9,    /* QN 0, the same with solicited event */
	RDMAP_ATOMIC_REQUEST = 0xa,  /* QN 1, body rdmap_atomic_req */
	RDMAP_ATOMIC_RESPONSE = 0xb, /* QN 3, body rdmap_atomic_resp */
	RDMAP_OPCODES = 0xc,         /* from here on: reserved */
};

enum ddp_qn {
	DDP_QN_SEND = 0,
	DDP_QN_READ_REQUEST = 1, /* atomic requests as well: one order, one depth for both */
	DDP_QN_TERMINATE = 2,
	DDP_QN_ATOMIC_RESPONSE = 3,
	DDP_QNS = 4,
};

/* ------------------------------------------------------------------------- bodies of fixed size */

/* RDMA Read Request, RFC 5040 4.4. The response is tagged, to (sink_stag, sink_to).
 *
 *	+---------------------------------------------------------------+
 *	|                           sink STag                           |
 *	+---------------------------------------------------------------+
 *	|                  sink tagged offset, 64 bits                  |
 *	+---------------------------------------------------------------+
 *	|                     length of the message                     |
 *	+---------------------------------------------------------------+
 *	|                          source STag                          |
 *	+---------------------------------------------------------------+
 *	|                 source tagged offset, 64 bits                 |
 *	+---------------------------------------------------------------+
 */
struct rdmap_read_req {
	be32 sink_stag;
	be64 sink_to;
	be32 len;
	be32 src_stag;
	be64 src_to;
};
WIRE_SIZE(struct rdmap_read_req, 28);
WIRE_AT(struct rdmap_read_req, sink_to, 4);
WIRE_AT(struct rdmap_read_req, len, 12);
WIRE_AT(struct rdmap_read_req, src_stag, 16);
WIRE_AT(struct rdmap_read_req, src_to, 20);

/* Atomic Request, RFC 7306 sec. 5. Always on 64 aligned bits.
 *
 *	+-------------------------------------------------------+-------+
 *	|                        reserved                       |   op  |
 *	+-------------------------------------------------------+-------+
 *	|         request identifier, returned in the response          |
 *	+---------------------------------------------------------------+
 *	|                          remote STag                          |
 *	+---------------------------------------------------------------+
 *	|                 remote tagged offset, 64 bits                 |
 *	+---------------------------------------------------------------+
 *	|      value to add (FetchAdd) or to store (CmpSwap), 64        |
 *	+---------------------------------------------------------------+
 *	|   mask of it, 64. FetchAdd: a 1 stops the carry at that bit   |
 *	+---------------------------------------------------------------+
 *	|            value to compare with (CmpSwap), 64                |
 *	+---------------------------------------------------------------+
 *	|            mask of the comparison (CmpSwap), 64               |
 *	+---------------------------------------------------------------+
 */
struct rdmap_atomic_req {
	be32 op;
	be32 id;
	be32 stag;
	be64 to;
	be64 data;
	be64 data_mask;
	be64 cmp;
	be64 cmp_mask;
};
WIRE_SIZE(struct rdmap_atomic_req, 52);
WIRE_AT(struct rdmap_atomic_req, id, 4);
WIRE_AT(struct rdmap_atomic_req, stag, 8);
WIRE_AT(struct rdmap_atomic_req, to, 12);
WIRE_AT(struct rdmap_atomic_req, data, 20);
WIRE_AT(struct rdmap_atomic_req, data_mask, 28);
WIRE_AT(struct rdmap_atomic_req, cmp, 36);
WIRE_AT(struct rdmap_atomic_req, cmp_mask, 44);

#define RDMAP_ATOMIC_OP_MASK 0x0000000f
enum rdmap_atomic_op { RDMAP_FETCH_ADD = 0, RDMAP_CMP_SWAP = 2 };

/* Atomic Response, RFC 7306 sec. 5: the request's identifier, and the value before the operation.
 */
struct rdmap_atomic_resp {
	be32 id;
	be64 value;
};
WIRE_SIZE(struct rdmap_atomic_resp, 12);
WIRE_AT(struct rdmap_atomic_resp, value, 4);

/* Immediate Data, RFC 7306 sec. 6: 64 bits, here libfabric's completion data. */
struct rdmap_immediate {
	be64 data;
};
WIRE_SIZE(struct rdmap_immediate, 8);

/* Terminate, RFC 5040 4.8. The last message of its sender; MSN 1, MO 0.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+-------+-------+---------------+-+-+-+-------------------------+
 *	| layer | etype |  error code   |M|D|R|        reserved         |
 *	+-------+-------+---------------+-+-+-+-------------------------+
 *	| M: ULPDU length of the bad    |  D: DDP header of the bad     |
 *	| segment                       |  segment, 14 or 18 octets ... |
 *	+-------------------------------+-------------------------------+
 *	|     R: body of the bad RDMA Read Request, 28 octets ...       |
 *
 * siw on a little-endian machine lays out bit fields from the other end: layer in the low half of
 * the first octet, M, D, R in the lowest bits of the third. rdmap_term_parse() knows.
 */
struct rdmap_term_body {
	uint8_t kind; /* layer, error type */
	uint8_t code;
	uint8_t hdrct; /* enum rdmap_term_hdrct */
	uint8_t reserved;
};
WIRE_SIZE(struct rdmap_term_body, 4);
WIRE_AT(struct rdmap_term_body, code, 1);
WIRE_AT(struct rdmap_term_body, hdrct, 2);

enum rdmap_term_hdrct { TERM_HDR_M = 0x80, TERM_HDR_D = 0x40, TERM_HDR_R = 0x20 };

/* Body of a Terminate at its longest. */
#define RDMAP_TERM_BODY_MAX                                                                        \
	((int)(sizeof(struct rdmap_term_body) + sizeof(struct ddp_untagged) +                      \
	       sizeof(struct rdmap_read_req)))
/* Longest body that is not the application's data. */
#define RDMAP_BODY_MAX 52
static_assert(sizeof(struct rdmap_atomic_req) == RDMAP_BODY_MAX, "RDMAP_BODY_MAX");
static_assert(RDMAP_TERM_BODY_MAX == RDMAP_BODY_MAX, "RDMAP_BODY_MAX");
static_assert(DDP_UNTAGGED_LEN + RDMAP_BODY_MAX <= MPA_MULPDU_MIN,
	      "every fixed body fits one FPDU");

/*
 * layer, error type and error code as the 16 bits that the RFCs print: the first two octets of a
 * Terminate's body. RFC 5040 4.8 and the registry of RFC 6580; the last three from RFC 6581 sec. 8.
 */
enum rdmap_term {
	TERM_RDMAP_LOCAL = 0x0000, /* local catastrophic */
	TERM_RDMAP_STAG = 0x0100,  /* remote protection: of RDMA Reads and invalidations */
	TERM_RDMAP_BOUNDS = 0x0101,
	TERM_RDMAP_ACCESS = 0x0102,
	TERM_RDMAP_NOT_ASSOC = 0x0103,
	TERM_RDMAP_TO_WRAP = 0x0104,
	TERM_RDMAP_PROT_NO_INV = 0x0109,
	TERM_RDMAP_PROTECTION = 0x01ff, /* unspecified */
	TERM_RDMAP_VERSION = 0x0205,    /* remote operation */
	TERM_RDMAP_OPCODE = 0x0206,
	TERM_RDMAP_STREAM = 0x0207,
	TERM_RDMAP_GLOBAL = 0x0208,
	TERM_RDMAP_OP_NO_INV = 0x0209,
	TERM_RDMAP_OPERATION = 0x02ff, /* unspecified */

	TERM_DDP_LOCAL = 0x1000,
	TERM_DDP_STAG = 0x1100, /* tagged buffer */
	TERM_DDP_BOUNDS = 0x1101,
	TERM_DDP_NOT_ASSOC = 0x1102,
	TERM_DDP_TO_WRAP = 0x1103,
	TERM_DDP_TAGGED_VERSION = 0x1104,
	TERM_DDP_QN = 0x1201, /* untagged buffer */
	TERM_DDP_NO_BUFFER = 0x1202,
	TERM_DDP_MSN = 0x1203,
	TERM_DDP_MO = 0x1204,
	TERM_DDP_TOO_LONG = 0x1205,
	TERM_DDP_UNTAGGED_VERSION = 0x1206,

	TERM_MPA_CLOSED = 0x2001, /* the stream ended: never on the wire */
	TERM_MPA_CRC = 0x2002,
	TERM_MPA_LENGTH = 0x2003, /* ULPDU length, or marker, is not where an FPDU begins */
	TERM_MPA_FRAME = 0x2004,  /* bad MPA Request or Reply */
	TERM_MPA_LOCAL = 0x2005,
	TERM_MPA_IRD = 0x2006,
	TERM_MPA_RTR = 0x2007,
};

#endif
