/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire.h - everything that the message service puts on a reliable-connected queue pair.
 *
 *	set-up		private data of the connection manager: struct roce_cm_data, both ways
 *	after it	frames, one in each Send of the queue pair
 *	first		a REQUEST, answered by ACCEPT or REJECT: what the users tell each other
 *	then		DATA: pieces of messages, back to back; CREDIT; at last BYE
 *
 * Structures are the wire: no padding, alignment 1, integers big-endian (be.h). Reserved means: sent as
 * zero, not looked at when received. Frames and pieces begin at multiples of 8 octets.
 *
 * Credits. Each side says how many frames it is ready to receive (struct roce_cm_data), and in each
 * frame how many more. Each frame costs one, but for CREDIT and BYE: for those every receiver has
 * ROCE_SPARE receives beside what it gave credit for. A BYE is the last frame of its sender. A CREDIT is
 * sent when it gives back at least half of what a receiver has in all, and its receiver cannot have
 * used up more than all of it before it has seen the first: so two are on the way at most.
 *
 * Messages are segmented: a message is one piece, or several, in one frame or several. No other
 * message comes in between.
 *
 * Placement. Where both sides have ROCE_FEATURE_PLACE, the payload of large messages need not stand in
 * frames: a device may put it where it belongs, or fetch it from there, and a piece only says that it
 * has. A queue pair carries all in one order, so what such a piece speaks of has come before it. It needs
 * not go by the immediate data of an RDMA Write, which have no room for what is to be said.
 *
 *	write	The writer asks for a key (KEY_ASK), unless it has it; the owner of the memory looks
 *		whether a write would be allowed, and answers (KEY) with the device's key, where the
 *		memory lies, and how far the key reaches. RDMA Write; PLACED.
 *	read	With a key: RDMA Read; then FETCHED. Without: READ_INTO, with a key to where the answer is
 *		to go, and to no more. It is answered, in its turn, by RDMA Write and PLACED_RESP; or by
 *		READ_RESP in frames; not at all if its user refuses it.
 *
 * A key is refused where the access would be; or because the memory is reached by messages only, and then
 * those are judged when they come. Its owner may take it back at any time: KEY_GONE is sent, but the device
 * does not wait until it has come: who uses the key meanwhile loses the connection. A peer has one
 * KEY_ASK unanswered at a time.
 *
 * Order. What a device places does not wait for the owner's look at the frames before. So who sends a WRITE
 * or an ATOMIC in frames uses no key for what comes behind it, until it knows that all frames so far have
 * been dealt with: an answer to a KEY_ASK that was sent since says so. Whose writes never meet, as those of
 * byte streams, need not wait for it.
 */
#ifndef ETA_ROCE_WIRE_H
#define ETA_ROCE_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/be.h"
#include "fabric/fabric.h"

#define ROCE_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#define ROCE_AT(type, member, at) static_assert(offsetof(type, member) == (at), #type "." #member)

/* ------------------------------------------------------------------------------------- set-up
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+---------------+---------------+---------------+
 *	|     0xe7      |      'r'      |      'o'      |      'c'      |
 *	+---------------+---------------+---------------+---------------+
 *	|    version    |    service    |            credits            |
 *	+---------------+---------------+-------------------------------+
 *	|                           frame_max                           |
 *	+-------------------------------+-------------------------------+
 *	|              ord              |              ird              |
 *	+-------------------------------+-------------------------------+
 *	|                            features                           |
 *	+---------------------------------------------------------------+
 *
 * In the request and in the reply of the connection manager, which has 56 octets of room in the
 * smaller of them and may fill it up with zeros. A later version adds features; a receiver clears
 * those that it does not know. What cannot be added in that way needs another magic number.
 *
 * Its rejection says `service` = enum roce_refusal, and zeros behind it.
 */
struct roce_cm_data {
	uint8_t magic[4];
	uint8_t version;
	uint8_t service; /* enum roce_service */
	be16 credits;    /* frames that the sender of this can take; at least 1 */
	be32 frame_max;  /* octets of the largest frame that it can take */
	be16 ord, ird;   /* reads and atomics: that it has outstanding, that it serves, at a time */
	be32 features;   /* enum roce_feature */
};
ROCE_SIZE(struct roce_cm_data, 20);
ROCE_AT(struct roce_cm_data, credits, 6);
ROCE_AT(struct roce_cm_data, frame_max, 8);
ROCE_AT(struct roce_cm_data, ord, 12);
ROCE_AT(struct roce_cm_data, features, 16);

enum roce_feature {
	ROCE_FEATURE_PLACE = 0x01,
	ROCE_FEATURE_READ = 0x02, /* the device answers RDMA Reads, and makes them */
	ROCE_FEATURES = 0x03,
};

#define ROCE_MAGIC "\347roc"
#define ROCE_VERSION 1

/* A listener of the one never meets a peer of the other. */
enum roce_service { ROCE_MESSAGES = 1, ROCE_STREAMS = 2 };

enum roce_refusal {
	ROCE_REFUSED_DATA = 1,    /* not these private data: not an eta, or one that knows better */
	ROCE_REFUSED_SERVICE = 2, /* this port has the other service */
	ROCE_REFUSED_ROOM = 3,    /* no memory, no queue pair */
};

#define ROCE_SPARE 4 /* receives without credit: see above */

/* ------------------------------------------------------------------------------------- frames
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+---------------+-------------------------------+
 *	|     kind      |   reserved    |            credits            |
 *	+---------------+---------------+-------------------------------+
 *	|                             value                             |
 *	+---------------------------------------------------------------+
 */
struct roce_frame {
	uint8_t kind;
	uint8_t reserved;
	be16 credits; /* given since the sender's last frame */
	be32 value;   /* BYE: enum roce_bye; else 0 */
};
ROCE_SIZE(struct roce_frame, 8);
ROCE_AT(struct roce_frame, credits, 2);
ROCE_AT(struct roce_frame, value, 4);

enum roce_kind {
	ROCE_DATA = 1,    /* pieces */
	ROCE_REQUEST = 2, /* roce_hello, user data */
	ROCE_ACCEPT = 3,  /* likewise */
	ROCE_REJECT = 4,  /* likewise */
	ROCE_CREDIT = 5,  /* nothing else */
	ROCE_BYE = 6,     /* nothing follows: why is in value */
};

/* Why a side sends no more. */
enum roce_bye {
	ROCE_BYE_DONE = 0,   /* orderly: behind a whole message */
	ROCE_BYE_CUT = 1,    /* closed in the middle of one */
	ROCE_BYE_KEY = 2,    /* refused: no such region */
	ROCE_BYE_BOUNDS = 3, /* refused: beyond its bounds */
	ROCE_BYE_ACCESS = 4, /* refused: not allowed */
	ROCE_BYE_ASSOC = 5,  /* refused: not for this connection */
	ROCE_BYE_BUSY = 6,   /* refused: more than was agreed on */
	ROCE_BYE_PROTO = 7,  /* what came is not in this protocol */
	ROCE_BYE_LOCAL = 8,  /* a reason of its own */
};

#define ROCE_FRAME_MIN 1024  /* what everybody can take */
#define ROCE_FRAME_MAX 65536 /* and nobody says more than this */

/* Of REQUEST, ACCEPT and REJECT, behind the frame's header.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+-------------------------------+---------------+-----------+-+-+
 *	|            features           |   name_len    |  reserved |P|N|
 *	+-------------------------------+---------------+-----------+-+-+
 *	|                             window                            |
 *	+---------------------------------------------------------------+
 *	|                           announces                           |
 *	+-------------------------------+-------------------------------+
 *	|            data_len           |            reserved           |
 *	+-------------------------------+-------------------------------+
 *	|                                                               |
 *	|                          incarnation                          |
 *	+---------------------------------------------------------------+
 *	|   name, 56 octets | nonce, 16 octets | proof, 32 octets       |
 *	+---------------------------------------------------------------+
 *	|   user data, data_len octets                                  |
 *
 * As struct fab_hello; N: there is a nonce, P: a proof. What there is not is zero.
 */
struct roce_hello {
	be16 features; /* enum fab_feature */
	uint8_t name_len;
	uint8_t flags; /* enum roce_hello_flag */
	be32 window, announces;
	be16 data_len;
	be16 reserved;
	be64 incarnation;
	uint8_t name[FAB_NAME_MAX];
	uint8_t nonce[FAB_NONCE];
	uint8_t proof[FAB_PROOF];
};
ROCE_SIZE(struct roce_hello, 128);
ROCE_AT(struct roce_hello, window, 4);
ROCE_AT(struct roce_hello, data_len, 12);
ROCE_AT(struct roce_hello, incarnation, 16);
ROCE_AT(struct roce_hello, name, 24);
ROCE_AT(struct roce_hello, nonce, 80);
ROCE_AT(struct roce_hello, proof, 96);

enum roce_hello_flag { ROCE_HELLO_NONCE = 0x01, ROCE_HELLO_PROOF = 0x02 };

#define ROCE_HELLO_FRAME_MAX (sizeof(struct roce_frame) + sizeof(struct roce_hello) + FAB_PDATA_MAX)
static_assert(ROCE_HELLO_FRAME_MAX <= ROCE_FRAME_MIN, "a hello is one frame");

/* ------------------------------------------------------------------------------------- pieces
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+-----------+-+-+-------------------------------+
 *	|      op       |  reserved |L|F|              len              |
 *	+---------------+-----------+-+-+-------------------------------+
 *	|              STag; ATOMIC_RESP: id; SEND: reserved            |
 *	+---------------------------------------------------------------+
 *
 * F: it begins its message, L: it ends it. len counts the payload, which stands behind what the op
 * has beside it, and is followed by zeros up to a multiple of 8 octets.
 *
 *	SEND			payload
 *	WRITE, READ_RESP	be64 tagged offset, payload
 *	READ			struct roce_read
 *	ATOMIC			struct roce_atomic
 *	ATOMIC_RESP, IMMEDIATE	be64 value
 *	PLACED, PLACED_RESP	struct roce_placed
 *	READ_INTO		struct roce_read_into
 *	FETCHED			struct roce_read
 *	KEY_ASK			struct roce_key_ask
 *	KEY			struct roce_key_data
 *	KEY_GONE		nothing
 */
struct roce_piece {
	uint8_t op;
	uint8_t flags;
	be16 len;
	be32 stag;
};
ROCE_SIZE(struct roce_piece, 8);
ROCE_AT(struct roce_piece, len, 2);
ROCE_AT(struct roce_piece, stag, 4);

enum roce_op {
	ROCE_SEND = 1,
	ROCE_WRITE = 2,
	ROCE_READ = 3,
	ROCE_READ_RESP = 4,
	ROCE_ATOMIC = 5,
	ROCE_ATOMIC_RESP = 6,
	ROCE_IMMEDIATE = 7,
	/* with ROCE_FEATURE_PLACE only */
	ROCE_PLACED = 8,
	ROCE_PLACED_RESP = 9,
	ROCE_READ_INTO = 10,
	ROCE_FETCHED = 11,
	ROCE_KEY_ASK = 12,
	ROCE_KEY = 13,
	ROCE_KEY_GONE = 14, /* all keys that were given for this STag */
	ROCE_OPS,
};

enum roce_piece_flag { ROCE_FIRST = 0x01, ROCE_LAST = 0x02 };

/* STag of the piece and `to` name the source. */
struct roce_read {
	be64 to;
	be64 sink_to;
	be32 sink_stag;
	be32 len;
};
ROCE_SIZE(struct roce_read, 24);

/* On the 64 bits at STag of the piece and `to`; as RFC 7306 has it. */
struct roce_atomic {
	be64 to;
	be32 id;    /* comes back in the answer */
	uint8_t op; /* enum roce_atomic_op */
	uint8_t reserved[3];
	be64 data, data_mask;
	be64 cmp, cmp_mask;
};
ROCE_SIZE(struct roce_atomic, 48);
ROCE_AT(struct roce_atomic, op, 12);
ROCE_AT(struct roce_atomic, data, 16);

/* All of a message: @len octets are at (STag of the piece, to). */
struct roce_placed {
	be64 to;
	be32 len;
	be32 reserved;
};
ROCE_SIZE(struct roce_placed, 16);

/* For the device, the sink is at addr. */
struct roce_read_into {
	struct roce_read read;
	be64 addr;
	be32 rkey;
	be32 reserved;
};
ROCE_SIZE(struct roce_read_into, 40);
ROCE_AT(struct roce_read_into, addr, 24);

struct roce_key_ask {
	be64 to;
	be32 len;
	uint8_t access; /* enum roce_access, one of them */
	uint8_t reserved[3];
};
ROCE_SIZE(struct roce_key_ask, 16);
ROCE_AT(struct roce_key_ask, access, 12);

/* Octets [to, to + len) of the STag are, for the device, at addr. Refused: len is 0. */
struct roce_key_data {
	be64 to;
	be64 addr;
	be64 len;
	be32 rkey;
	uint8_t access; /* that was asked for */
	uint8_t flags;  /* enum roce_key_flag */
	uint8_t reserved[2];
};
ROCE_SIZE(struct roce_key_data, 32);
ROCE_AT(struct roce_key_data, rkey, 24);
ROCE_AT(struct roce_key_data, access, 28);

enum roce_key_flag { ROCE_KEY_NEVER = 0x01 }; /* the STag's memory is reached by messages only */

enum roce_access { ROCE_MAY_READ = 1, ROCE_MAY_WRITE = 2 };

enum roce_atomic_op { ROCE_FETCH_ADD = 0, ROCE_CMP_SWAP = 1 };

/* A piece without payload. */
#define ROCE_PIECE_MAX (sizeof(struct roce_piece) + sizeof(struct roce_atomic))

static inline uint32_t roce_pad(uint32_t len)
{
	return (len + 7) & ~7u;
}

/* --------------------------------------------------------------------- to and from the wire */

struct roce_cm {
	uint8_t service;
	uint16_t credits, ord, ird;
	uint32_t frame_max;
	uint32_t features; /* that are known */
};

/* What is said of placement: a piece of ROCE_PLACED or one behind it. */
struct roce_note {
	uint8_t op; /* enum roce_op */
	uint8_t access, flags;
	uint32_t stag, len, rkey;
	uint64_t to, addr, span;  /* span: how far a key reaches */
	struct fab_read_req read; /* of READ_INTO and FETCHED, its own STag included */
};

/* One piece, taken apart. */
struct roce_item {
	uint8_t op; /* enum roce_op */
	bool first, last;
	uint32_t len;           /* of the payload */
	const uint8_t *payload; /* in the frame */
	uint32_t stag, id;
	uint64_t to, value;
	struct fab_read_req read;
	struct fab_atomic atomic;
	struct roce_note note;
};

void roce_cm_put(const struct roce_cm *cm, struct roce_cm_data *out);
/* -EPROTO: not from an eta, or nonsense. What is behind @len is not looked at. */
int roce_cm_get(const void *p, size_t len, struct roce_cm *cm);
void roce_refusal_put(enum roce_refusal why, struct roce_cm_data *out);
/* For people; "no reason given" if it is not from an eta. */
const char *roce_refusal_text(const void *p, size_t len);

void roce_frame_put(uint8_t *p, enum roce_kind kind, uint16_t credits, uint32_t value);

/* A whole frame at @p, which has room for ROCE_HELLO_FRAME_MAX. Its length; -EINVAL, -EMSGSIZE. */
int roce_hello_put(uint8_t *p, enum roce_kind kind, const struct fab_hello *hello, const void *data,
		   size_t data_len);
/* @p: behind the frame's header, @len octets. *@data points into @p. -EPROTO. */
int roce_hello_get(const uint8_t *p, size_t len, struct fab_hello *hello, const uint8_t **data,
		   size_t *data_len);

static inline bool roce_has_payload(uint8_t op)
{
	return op == ROCE_SEND || op == ROCE_WRITE || op == ROCE_READ_RESP;
}

/* The op of a message of the user's. */
uint8_t roce_op_of(const struct fab_send *s);
/* Octets of a piece before its payload. */
uint32_t roce_piece_head(uint8_t op);
/*
 * The beginning of a piece with @len octets of payload, @offset octets into the message of @s. Its
 * size; the payload and its padding follow.
 */
uint32_t roce_piece_put(uint8_t *p, const struct fab_send *s, uint32_t offset, uint32_t len);
/* Likewise, of a note. */
uint32_t roce_note_put(uint8_t *p, const struct roce_note *note);
/* The piece at @p, with @n octets to the end of the frame: octets used, or -EPROTO. */
int roce_piece_get(const uint8_t *p, size_t n, struct roce_item *item);

/* What to tell the peer of an upcall's error, and the other way round: an errno value, negative. */
enum roce_bye roce_bye_of(int err);
const char *roce_bye_text(uint32_t bye);

#endif
