/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp.h - the message service over any stream fabric: the inside.
 *
 *	iwarp.c		the instance, its listeners, a connection's life
 *	iwarp_start.c	MPA start-up, on both sides
 *	iwarp_hello.c	what etas tell each other there
 *	iwarp_rx.c	FPDUs from the stream into the places that their headers name
 *	iwarp_take.c	the sorting of what was read together
 *	iwarp_req.c	those that carry no data: requests, answers, Terminates
 *	iwarp_tx.c	messages of the user into the stream's next write
 *
 * Nothing of a message is queued here. What was sent of the oldest message is one number (tx_skip),
 * from which its framing is made again; what was received of the current FPDU is its header and
 * another number.
 */
#ifndef ETA_IWARP_H
#define ETA_IWARP_H

#include <limits.h>

#include "fabric/fabric.h"
#include "fabric/iwarp/ddp.h"
#include "fabric/iwarp/mpa.h"
#include "fabric/iwarp/rdmap.h"

extern const struct fab_msg_ops iwarp_ops;

/*
 * Reads of up to this size land in one buffer of the instance, and small messages are copied from
 * there: one read for as many as have arrived.
 */
#define IW_SCRATCH (64 * 1024)
/* What is left of an FPDU's payload, from which on it is read straight to its place. */
#define IW_DIRECT_MIN 8192
/* Payload of up to this size is copied behind its header: an entry of a gather list costs more. */
#define IW_COPY_MAX 512
#define IW_STAGE (64 * 1024)

/* Connections, oldest first. */
struct iw_list {
	struct fab_msg_conn *first, *last;
	unsigned count;
};

struct fab_msg {
	struct fab_env env;
	struct fab_msg_attr attr;
	const struct fab_stream_ops *stream;
	struct fab *fab;
	struct iw_list rejecting; /* their refusal is being sent; they have no user */
	uint8_t *scratch;         /* received, not yet sorted */
	uint8_t *stage;           /* headers, trailers and small payloads of the write being made */
};

/* Only while a connection is being set up. */
struct iw_start {
	union fab_addr local, peer;
	bool bound, dialled_again;
	uint64_t timeout_ns;
	struct mpa_start ours, theirs;
	struct mpa_agreed agreed;
	uint16_t rx_len, rx_need; /* octets that came; that the next decision takes */
	uint16_t tx_len, tx_off;
	uint8_t rx[MPA_DECODE_MAX];
	uint8_t tx[MPA_FRAME_MAX];
};

enum iw_state {
	IW_DIALLING,  /* TCP */
	IW_ASKED,     /* request sent, or being sent: a reply is awaited */
	IW_ACCEPTED,  /* by TCP: a request is awaited */
	IW_REQUESTED, /* the user has it */
	IW_REPLYING,  /* the reply is being sent */
	IW_REJECTING, /* likewise, and then nothing */
	IW_OPEN,
	IW_CLOSED, /* nothing moves any more; waits for its user to close it */
};

/* What the next octet of the stream is. */
enum iw_phase { IW_HEADER, IW_PLACE, IW_PAYLOAD, IW_BODY, IW_TRAILER };

/* Numbers of messages: the next of each queue. */
struct iw_msns {
	uint32_t send; /* and immediate data */
	uint32_t read; /* and atomic requests */
	uint32_t resp; /* of atomics */
};

/* The answer to an empty read, which must not overtake those to what was asked before it. */
struct iw_empty {
	struct iw_empty *next;
	uint64_t to;
	uint32_t stag;
	uint16_t behind; /* fab_msg_conn.answered must have got there */
};

struct fab_msg_conn {
	struct fab_msg *m;
	struct fab_conn *conn;
	const struct fab_msg_user *ops;
	void *user;
	struct fab_msg_listener *listener; /* until it is accepted, rejected or closed */
	struct iw_list *list;              /* of its listener's, or of the instance's; NULL */
	struct fab_msg_conn *next, *prev;  /* there */
	struct iw_start *start;
	struct timer timer;

	uint8_t state; /* enum iw_state */
	uint8_t busy;  /* calls on the stack that use this; freed by the last */
	bool freed;
	bool crc, hold_tx, rfc7306;
	uint8_t rtr;    /* enum mpa_rtr, what was agreed on */
	bool rtr_read;  /* the read that started the connection is not yet answered */
	bool shut, fin; /* a FIN was asked for; it is sent */

	/* transmitting */
	bool tx_is_ctl; /* the list that the stream has is of ctl */
	uint16_t mulpdu;
	uint16_t ird;      /* reads of the peer's that may be outstanding */
	struct iw_msns tx; /* of the oldest message */
	uint64_t tx_skip;  /* octets of it on the wire */
	/* the peer's requests that its user was told of, and that it has answered: modulo 2^16 */
	uint16_t asked, answered;
	struct iw_empty *empties; /* in their order */
	uint8_t *ctl;             /* FPDUs of our own, between messages; NULL: none */
	uint32_t ctl_len, ctl_off;

	/* receiving */
	uint8_t phase;     /* enum iw_phase */
	bool stalled;      /* for want of a receive */
	bool in_msg;       /* of several segments, or in its only one */
	bool first;        /* tagged: this segment begins its message */
	bool cut;          /* a part of it had no place */
	bool direct;       /* the stream reads to its place */
	uint8_t rx_opcode; /* of the message under way */
	uint8_t have;      /* octets of hdr[]; 0: it is complete, and parsed */
	uint8_t trailer_have;
	uint8_t trailer[MPA_TRAILER_MAX];
	uint8_t hdr[DDP_HDR_MAX];
	struct ddp_hdr h;
	uint32_t done; /* of the payload or body */
	uint32_t rx_crc;
	struct iw_msns rx;            /* those of the messages under way */
	uint32_t rx_mo;               /* where the Send goes on */
	uint32_t rx_stag;             /* of the tagged message, */
	uint64_t rx_to;               /* and where that goes on */
	uint8_t body[RDMAP_BODY_MAX]; /* of a message that is not data */
	uint8_t *stash;               /* read, and no receive for it */
	uint32_t stash_len, stash_off;
	uint8_t tail[MPA_TRAILER_MAX + DDP_HDR_MAX]; /* read together with a direct payload */
};
static_assert(sizeof(struct fab_msg_conn) <= 448, "an idle connection's share");

struct fab_msg_listener {
	struct fab_msg *m;
	struct fab_listener *l;
	const struct fab_msg_listen_user *ops;
	void *user;
	struct iw_list starting; /* accepted by TCP, have not yet said what they want */
	struct iw_list asking;   /* their user has to accept or reject them */
	unsigned posted;         /* accepts */
};

/* The user's upcalls may free a connection: bracket what touches it afterwards. */
static inline void iw_hold(struct fab_msg_conn *c)
{
	c->busy++;
}
void iw_drop(struct fab_msg_conn *c);

/* iwarp.c */
extern const struct fab_stream_user iw_stream_user;
/* Ends an open connection: tells its user. */
void iw_end(struct fab_msg_conn *c, int err);
/* As above, after a Terminate with @term (enum rdmap_term), if one can be sent. */
void iw_terminate(struct fab_msg_conn *c, uint16_t term, int err);
/* The peer broke the protocol, or we cannot go on: iw_terminate(). @err: enum ddp_error. */
int iw_violation(struct fab_msg_conn *c, int err);
void iw_free(struct fab_msg_conn *c);
/* A connection is on one list at most: leaves where it was. */
void iw_list_move(struct fab_msg_conn *c, struct iw_list *to);
/* Its listener has no more to do with it. */
void iw_listener_drop(struct fab_msg_conn *c);

/* iwarp_start.c */
int iw_dial(struct fab_msg_conn *c);
void iw_start_connected(struct fab_msg_conn *c, int err);
int iw_start_accepted(struct fab_msg_listener *l, struct fab_conn *conn);
/* Where the next octets of start-up go; takes what came. Errors have been dealt with. */
int iw_start_rx(struct fab_msg_conn *c, size_t n, struct iovec *iov);
void iw_start_lost(struct fab_msg_conn *c, int err);
void iw_start_sent(struct fab_msg_conn *c);
int iw_start_request(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		     size_t len);
int iw_start_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		    size_t len);
int iw_start_reject(struct fab_msg_conn *c, const void *pdata, size_t len);
void iw_start_timer(struct fab_msg_conn *c);

/* iwarp_hello.c */
/* What is offered by one who says @hello: enum mpa_feature. */
uint16_t iw_hello_features(const struct fab_hello *hello);
/* Replaces the items. -EMSGSIZE, -EINVAL. */
int iw_hello_put(struct mpa_eta *eta, const struct fab_hello *hello);
void iw_hello_peer(const struct iw_start *s, bool agreed, struct fab_msg_peer *peer);

/* iwarp_rx.c */
int iw_rx_next(struct fab_msg_conn *c, size_t n, struct iovec *iov, int max);
/* Goes on after a stall. 0: reading may go on; 1: still stalled; negative: it is over. */
int iw_rx_resume(struct fab_msg_conn *c);
/* In the middle of an FPDU? */
bool iw_rx_midway(const struct fab_msg_conn *c);

/* iwarp_take.c */
#define IW_STALLED INT_MIN /* beside enum ddp_error: there is no receive */
/*
 * Asks where the rest of this FPDU's payload goes. Entries; IW_STALLED; -DDP_E_LOCAL: it is over.
 * *@more: behind them there is more to be asked for.
 */
int iw_ask_place(struct fab_msg_conn *c, struct iovec iov[FAB_PLACE_IOV], bool *more);
/* @len more octets of payload are dealt with. */
void iw_payload_moved(struct fab_msg_conn *c, uint32_t len);
/*
 * Sorts octets. How many were used: fewer than @n when stalled. Negative: the connection is over and
 * its user knows.
 */
ssize_t iw_take(struct fab_msg_conn *c, const uint8_t *p, size_t n);

/* iwarp_req.c */
/* Whether an FPDU that is not data may come now; negative enum ddp_error. */
int iw_req_check(const struct fab_msg_conn *c);
/* All of it is there, and right. */
int iw_req_end(struct fab_msg_conn *c);
/*
 * The user does not want what came with the current header, for the reason @err: iw_terminate() unless
 * that was done. Returns -DDP_E_LOCAL.
 */
int iw_refuse(struct fab_msg_conn *c, int err);
/* Another of the peer's requests is answered, whole: what of ours may go now, goes. */
void iw_req_answered(struct fab_msg_conn *c);
void iw_req_forget(struct fab_msg_conn *c);

/* iwarp_tx.c */
static inline bool iw_op_has_payload(uint8_t op)
{
	return op == FAB_SEND || op == FAB_WRITE || op == FAB_READ_RESP;
}
int iw_tx_next(struct fab_msg_conn *c, struct iovec *iov, int max, size_t limit);
void iw_tx_done(struct fab_msg_conn *c, size_t n);
/* An FPDU of our own, behind the message under way. -ENOMEM. */
int iw_tx_ctl(struct fab_msg_conn *c, const uint8_t *p, size_t n);
/* Octets of our own that wait. */
static inline uint32_t iw_tx_ctl_waiting(const struct fab_msg_conn *c)
{
	return c->ctl ? c->ctl_len - c->ctl_off : 0;
}
/* The FIN that was asked for, when nothing of ours waits any more. */
int iw_tx_shutdown(struct fab_msg_conn *c);

#endif
