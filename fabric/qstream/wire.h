/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire.h - a byte stream on a queue pair: what is on the wire.
 *
 * Set-up. Both sides say FAB_FEATURE_STREAM in their hello, and struct qs_hello in their private
 * data. Who hears no such feature refuses (an acceptor rejects, a dialler closes), so that a stream
 * never meets a user of messages, whoever listens where.
 *
 * Credit. The octets of each direction are numbered from 0. A receiver says up to which number it has
 * room (`limit`), first in its hello (its window), then in every message; a sender never goes beyond.
 * A limit never shrinks. So whatever comes has a place at once, no message waits behind another, and
 * messages that carry credit always come through, however slow the users are.
 *
 * Data. Up to QS_INLINE_MAX octets go inside a message. More go by RDMA write into a ring that the
 * receiver names when it is asked to (QS_F_ASK, QS_RING), and are announced by QS_LANDED behind them:
 * octet number n has its place at n modulo the ring's size. Octets that came in messages have their
 * place there too, so both ways may be mixed. A write lies wholly in the ring, without going round
 * its end, begins where the last one ended, and stays below the limit. A sender that gets no ring
 * goes on with messages.
 *
 * Half-close. QS_FIN: the sender's octets end here. The other direction goes on. A sender that also
 * reads no more ends the queue pair in the orderly way behind its QS_FIN; one that resets ends it
 * without.
 *
 * A message that breaks any of these rules ends the queue pair.
 */
#ifndef ETA_QSTREAM_WIRE_H
#define ETA_QSTREAM_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/be.h"

/* Private data of set-up, on both sides.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+---------------+---------------+---------------+
 *	|      'q'      |      's'      |      't'      |      'r'      |
 *	+---------------+---------------+---------------+---------------+
 *	|    version    |                  reserved = 0                 |
 *	+---------------+-----------------------------------------------+
 *	|                             window                            |
 *	+---------------------------------------------------------------+
 *
 * window: octets that the other side may send before it hears of more. There is no ring yet: an idle
 * connection needs none. A later version may add octets behind these.
 */
struct qs_hello {
	uint8_t magic[4];
	uint8_t version;
	uint8_t reserved[3];
	be32 window;
};
static_assert(sizeof(struct qs_hello) == 12 && offsetof(struct qs_hello, window) == 8,
	      "on the wire");

#define QS_MAGIC "qstr"
#define QS_VERSION 1
#define QS_WINDOW_MAX (1u << 30) /* of a window or ring: more is an error */

/* Every message begins with this.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+---------------+-------------------------------+
 *	|       op      |     flags     |          reserved = 0         |
 *	+---------------+---------------+-------------------------------+
 *	|                             length                            |
 *	+---------------------------------------------------------------+
 *	|                                                               |
 *	+                             limit                             +
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *
 * length: of QS_DATA, the octets behind this header, at least one; of QS_LANDED, the octets written
 * since the last one, all of them; else 0.
 */
struct qs_header {
	uint8_t op;    /* enum qs_op */
	uint8_t flags; /* enum qs_flag */
	be16 reserved;
	be32 length;
	be64 limit;
};
static_assert(sizeof(struct qs_header) == 16, "on the wire");
static_assert(offsetof(struct qs_header, length) == 4 && offsetof(struct qs_header, limit) == 8,
	      "on the wire");

enum qs_op {
	QS_DATA = 1,
	QS_LANDED = 2,
	QS_CREDIT = 3, /* the header says it all */
	QS_RING = 4,   /* struct qs_ring behind the header; once in a connection */
	QS_FIN = 5,
};

enum qs_flag {
	QS_F_ASK = 1, /* the sender has much to send, and would use a ring */
};

/* Where the sender of QS_RING has its ring.
 *
 *	+---------------------------------------------------------------+
 *	|                              STag                             |
 *	+---------------------------------------------------------------+
 *	|                              size                             |
 *	+---------------------------------------------------------------+
 *	|                                                               |
 *	+                   tagged offset of its start                  +
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *
 * size: a power of two, not less than the window that the hello gave.
 */
struct qs_ring {
	be32 stag;
	be32 size;
	be64 to;
};
static_assert(sizeof(struct qs_ring) == 16, "on the wire");

#define QS_INLINE_MAX 2048
#define QS_MESSAGE_MAX (sizeof(struct qs_header) + QS_INLINE_MAX)

/* A message as it was read. */
struct qs_message {
	uint8_t op, flags;
	uint32_t length;
	uint64_t limit;
	const uint8_t *data; /* of QS_DATA */
	uint32_t stag, size; /* of QS_RING */
	uint64_t to;
};

/* Octets written. */
size_t qs_header_put(uint8_t *p, enum qs_op op, uint8_t flags, uint32_t length, uint64_t limit);
size_t qs_ring_put(uint8_t *p, uint32_t stag, uint32_t size, uint64_t to);
/* 0, or -EPROTO: what it says by itself is wrong. Whether it may come now is the caller's to find out. */
int qs_message_get(const uint8_t *p, size_t len, struct qs_message *msg);

void qs_hello_put(struct qs_hello *hello, uint32_t window);
/* 0, or -EPROTO. */
int qs_hello_get(const void *p, size_t len, uint32_t *window);

#endif
