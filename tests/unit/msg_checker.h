/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_checker.h - a user of a message connection, of whatever wire, that believes nothing: its upcalls
 * check that the wire keeps the contract of fabric.h, whatever a peer sends. What is wrong ends the
 * program. How it behaves itself is its test's to say, between two turns.
 */
#ifndef ETA_TESTS_MSG_CHECKER_H
#define ETA_TESTS_MSG_CHECKER_H

#include "fabric/fabric.h"

#define CHECKER_AREA (256 * 1024)
#define CHECKER_STAG 0x5151
#define CHECKER_SINK 0x7171
#define CHECKER_TO 0x123456789000
#define CHECKER_OUT 32

enum checker_at {
	AT_NEVER,
	AT_CONNECTED,
	AT_TX_PEEK,
	AT_TX_DONE,
	AT_WHOLE,
	AT_PLACE,
	AT_DONE,
	AT_TAGGED,
	AT_TAGGED_DONE,
	AT_TOLD, /* of a request or an answer */
	AT_CLOSED,
	AT_COUNT,
};

struct checker_out {
	struct fab_send send;
	struct fab_atomic atomic;
	struct iovec iov[2];
	struct fab_region *regions[2];
	uint8_t *mem;
};

struct checker {
	const struct fab_msg_ops *ops;
	struct fab_msg_conn *conn; /* NULL: none, or gone */
	unsigned connected, closed;
	int connect_err, close_err;

	/* how it behaves */
	unsigned receives;        /* messages that there is a receive for */
	uint32_t room;            /* of each of them */
	unsigned whole;           /* takes one of so many Sends as it lies; 0: none */
	uint32_t bits;            /* places are not longer; 0: they are all of a piece */
	int errs[AT_COUNT];       /* what the upcall returns, once */
	enum checker_at close_at; /* closes in that upcall, */
	unsigned close_skip;      /* but not in the first so many */
	bool reset, answers;

	/* messages to send */
	struct checker_out out[CHECKER_OUT];
	unsigned out_first, out_count, peeked, begun;

	/* the message that comes */
	bool in_msg, asked, starved;
	uint32_t at, piece_at, piece_len, placed;
	bool piece_last;
	unsigned messages, wholes;
	uint64_t bytes;
	bool in_tagged, tagged_asked;
	struct fab_tagged tagged;

	/* what it was asked for */
	unsigned reads, atomics, answered, immediates;

	uint8_t *area; /* with guards; that of one region */
	struct fab_region region;
};

extern const struct fab_msg_user checker_user;

void checker_init(struct checker *c, const struct fab_msg_ops *ops);
/* @m: for the wire to let go of its memory. */
void checker_fini(struct checker *c, struct fab_msg *m);
/* One message, of whatever kind, payload and its memory made here; false: too many wait. */
bool checker_post(struct checker *c, enum fab_op op, uint32_t len, unsigned entries, bool named);
void checker_receive(struct checker *c, unsigned n);
void checker_close(struct checker *c);

#endif
