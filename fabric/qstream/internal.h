/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * internal.h - byte streams on queue pairs: the inside.
 *
 *	wire.c		messages to and from plain structures
 *	arena.c		memory that is copied to and from as a file is
 *	qstream.c	the instance: who has work, one turn
 *	listen.c	listeners, and the connections that they accept
 *	conn.c		connecting, closing, addresses, options
 *	tx.c		the user's bytes into chunks
 *	tx_msg.c	chunks into messages
 *	rx.c		messages, and what is in the ring, to the user
 *	rx_msg.c	messages into the ring
 *
 * Numbers of octets, see wire.h, say all of a connection's state:
 *
 *	receiving	rx_head <= rx_tail <= rx_written <= rx_limit
 *			read by the user; announced; written; allowed
 *	transmitting	tx_done <= tx_formed <= tx_staged, and tx_formed <= tx_limit
 *			with the wire, memory free again; in messages; given by the user; allowed
 *
 * Life. A user's close ends the user's part at once. What is staged still goes out, then QS_FIN, then
 * the orderly end of the queue pair; meanwhile the connection is on the list of those that linger,
 * until its peer has answered or QS_LINGER_NS passed without progress. The memory of what is over goes
 * to the zombies, and is freed by qs_leave() of the outermost call.
 *
 * A queue pair that is gone (QC_DEAD) may leave octets in the ring that were announced: the user gets
 * them before it hears of the end, if it reads.
 */
#ifndef ETA_QSTREAM_INTERNAL_H
#define ETA_QSTREAM_INTERNAL_H

#include <assert.h>
#include <errno.h>

#include "fabric/fabric.h"
#include "fabric/list.h"
#include "fabric/qstream/qstream.h"
#include "fabric/qstream/wire.h"

#define QS_WINDOW 16384    /* what every peer may send unasked */
#define QS_RING_MIN 65536  /* a ring's size, by RCVBUF */
#define QS_RING_MAX 262144 /* otherwise */
#define QS_SNDBUF 262144   /* staged, at most, by default */
#define QS_SNDBUF_MIN 4096
#define QS_ASK_MIN 8192    /* so much to send is worth asking for a ring */
#define QS_WRITE_MAX 65536 /* written before it is announced */
#define QS_OUT_MAX 16      /* messages formed and not yet gone */
#define QS_ASKING_MAX 1024 /* requests of a listener that wait for room in its backlog */
#define QS_LINGER_NS 60000000000ull
#define QS_KEEPALIVE_NS 7200000000000ull /* as Linux has it for TCP */

/* ------------------------------------------------------------------ arena.c */

enum qs_class { QS_SMALL, QS_EARLY, QS_LARGE, QS_WHOLE, QS_CLASSES };

struct qs_arena {
	int fd;
	uint8_t *base;
	size_t len, used;
	struct qs_stack {
		uint32_t *free; /* pages of blocks that are free */
		uint32_t nfree, total;
	} stack[QS_CLASSES];
};

size_t qs_class_size(enum qs_class cls);
int qs_arena_open(struct qs_arena *a);
void qs_arena_close(struct qs_arena *a);
void *qs_arena_get(struct qs_arena *a, enum qs_class cls);
void qs_arena_put(struct qs_arena *a, enum qs_class cls, void *block);
/*
 * Copies at most @len bytes between the arena and memory that may not be accessible. Bytes, fewer where
 * access ends; -EFAULT: none. The list is cut to what is copied, and restored.
 */
ssize_t qs_copy_in(struct qs_arena *a, void *to, struct iovec *iov, int cnt, size_t len);
ssize_t qs_copy_out(struct qs_arena *a, const void *from, struct iovec *iov, int cnt, size_t len);

/* ------------------------------------------------------------------ objects */

struct qstream {
	struct fab_env env;
	struct qstream_attr attr;
	struct qs_arena arena;
	struct fab_region region; /* all of it, to send from */
	struct fab_region
		*regions[1]; /* names it, to a wire whose device reaches memory by itself */

	struct link ready;     /* connections to read from, in the next turn */
	struct link doors;     /* listeners with connections to hand out */
	struct link dirty;     /* connections to transmit at the next flush */
	struct link starved;   /* connections that wait for a chunk */
	struct link lingering; /* closed by their users, not yet gone */
	struct link zombies;
	unsigned lingers;
	unsigned chunks; /* in use */
	unsigned open;   /* connections and listeners that have users */
	unsigned depth;
	bool tx_left; /* there are dirty ones that no flush of this turn may see */
	bool pending; /* as was told */
	int done, budget;
	size_t bytes;
};

enum qs_conn_flag {
	QC_ASKED = 1 << 0,  /* a request, not yet accepted: on its listener's list */
	QC_SETUP = 1 << 1,  /* connected() of the message service is awaited */
	QC_QUEUED = 1 << 2, /* nobody has posted an accept for it yet */
	QC_RIPE = 1 << 3,   /* with a deferring listener: need not wait any more */
	QC_CLOSED = 1 << 4, /* by its user */
	QC_FAILED = 1 << 5, /* reported dead: waits for its user's close */
	QC_DEAD = 1 << 6,   /* the queue pair is gone; see ->err */
	QC_RX_WANT = 1 << 7,
	QC_TX_WANT = 1 << 8,
	QC_TX_BUSY = 1 << 9,     /* inside the user's transmit upcalls */
	QC_TX_FULL = 1 << 10,    /* has staged as much as it may */
	QC_EOF = 1 << 11,        /* reported */
	QC_FIN_RX = 1 << 12,     /* the peer's has come */
	QC_FIN_WANT = 1 << 13,   /* ours was asked for, */
	QC_FIN_FORMED = 1 << 14, /* is a message, */
	QC_FIN_DONE = 1 << 15,   /* and is gone */
	QC_ENDING = 1 << 16,     /* the queue pair was shut down */
	QC_ASK = 1 << 17,        /* for a ring: to be said with the next message */
	QC_ASK_DONE = 1 << 18,
	QC_GIVE_RING = 1 << 19, /* to be named to the peer */
	QC_CREDIT = 1 << 21,    /* the peer should hear of our limit */
	QC_NODELAY = 1 << 22,
	QC_KEEPALIVE = 1 << 23,
	QC_GONE = 1 << 24, /* a zombie */
	QC_LOST = 1 << 25, /* dead, and octets of this side with it */
};
/* No upcall of the user's may follow. */
#define QC_OVER (QC_CLOSED | QC_FAILED | QC_GONE)

/* Bytes of the user's on their way. */
struct qs_chunk {
	struct qs_chunk *next;
	uint8_t *data;
	uint64_t start; /* number of its first octet */
	uint32_t len, room;
	enum qs_class cls;
};

struct qs_out {
	struct fab_send send;
	struct iovec iov[2];
	uint8_t op;     /* enum qs_op; 0: a write */
	uint32_t bytes; /* of the stream that it carries */
	uint8_t head[sizeof(struct qs_header) + sizeof(struct qs_ring)];
};

/* Only while there is something to transmit. */
struct qs_tx {
	struct qs_chunk *head, *tail;
	unsigned first, count; /* of out[], a ring */
	struct qs_out out[QS_OUT_MAX];
};

struct fab_conn {
	struct link work;  /* q->ready, or ->zombies */
	struct link dirty; /* q->dirty, or ->starved */
	struct link list;  /* its listener's, or q->lingering */
	struct qstream *q;
	struct fab_msg_conn *mc;       /* NULL: there is none */
	struct fab_listener *listener; /* until it is the user's */
	const struct fab_stream_user *ops;
	void *user;
	struct timer timer; /* deferral, then signs of life, then lingering */
	uint32_t flags;     /* enum qs_conn_flag */
	int err; /* of a dead one; -EPIPE: its end was in order, and concerns who sends alone */
	union fab_addr peer, local; /* @local of a dead one */
	uint32_t sndbuf, rcvbuf;    /* as set; 0: the default */

	/* receiving */
	uint64_t rx_head, rx_tail, rx_written, rx_limit;
	uint8_t *rx_buf;
	uint8_t *rx_msg;              /* a message that comes in parts */
	uint32_t rx_size;             /* of rx_buf; 0: there is none */
	uint32_t rx_stag;             /* of the ring */
	struct fab_region *rx_region; /* the ring, once the peer has asked for its key */

	/* transmitting */
	struct qs_tx *tx;
	uint64_t tx_done, tx_formed, tx_staged, tx_limit;
	uint64_t tx_announced; /* of what was written */
	uint64_t ring_to;      /* the peer's ring */
	uint32_t ring_stag, ring_size;
	uint32_t peer_window;
};
static_assert(sizeof(struct fab_conn) <= 320, "an idle connection's share");

struct fab_listener {
	struct link work;   /* q->doors, or ->zombies */
	struct link asking; /* requests that wait for room in the backlog */
	struct link setup;  /* accepted ones */
	struct link queued; /* connections that wait for an accept */
	struct qstream *q;
	struct fab_msg_listener *ml;
	const struct fab_listen_user *ops;
	void *user;
	uint64_t defer_ns;
	unsigned posted, backlog;
	unsigned nasking, nqueued, nsetup;
	bool gone, failed;
};

/* ------------------------------------------------------------------ qstream.c */

#define QS_COUNT(q, what, n) fab_count(&(q)->env.counters->what, (n))

void qs_enter(struct qstream *q);
void qs_leave(struct qstream *q);
/* There is something to read, or an end to report, and the user wants it. */
void qs_conn_check_ready(struct fab_conn *c);
/* There is something to transmit. */
void qs_conn_dirty(struct fab_conn *c);

/* ------------------------------------------------------------------ listen.c */

void qs_door_run(struct fab_listener *l);
/* A connection of @l may be handed out, if one is posted for. */
void qs_door_check(struct fab_listener *l);
/* Something came on a connection that nobody has accepted yet. */
void qs_conn_ripe(struct fab_conn *c);
/* The outcome of an accepted request. */
void qs_listen_connected(struct fab_conn *c, int err);

/* ------------------------------------------------------------------ conn.c */

extern const struct fab_msg_user qs_msg_user;

struct fab_conn *qs_conn_new(struct qstream *q);
/* It gets no upcall any more, and is freed. */
void qs_conn_gone(struct fab_conn *c, bool reset);
/* What the peer says of itself in set-up. */
int qs_conn_greet(struct fab_conn *c, const struct fab_msg_peer *who, const void *pdata,
		  size_t len);
void qs_conn_hello(struct fab_hello *hello, struct qs_hello *pdata);
/* Reports it dead to its user. */
void qs_conn_fail(struct fab_conn *c, int err);
/* The queue pair is of no more use: what was announced can still be read. */
void qs_conn_dead(struct fab_conn *c, int err);
/* The peer broke the rules. */
void qs_conn_violation(struct fab_conn *c, const char *what);
/* Its user has closed it: goes on with what is left to do. */
void qs_conn_linger(struct fab_conn *c);
void qs_linger_timer(struct fab_conn *c);

/* ------------------------------------------------------------------ tx.c */

/* Returns the bytes staged. */
size_t qs_tx_run(struct fab_conn *c);
void qs_tx_drop(struct fab_conn *c);
/* Memory for what is to be sent. False: there is none. */
bool qs_tx_begin(struct fab_conn *c);
/* Octets below c->tx_done are not needed any more. */
void qs_tx_release(struct fab_conn *c);
/* How much may be staged. */
size_t qs_tx_sndbuf(const struct fab_conn *c);

/* ------------------------------------------------------------------ tx_msg.c */

/* Would there be a message? */
bool qs_tx_can_form(const struct fab_conn *c);
/* Tells the message service, if so. */
void qs_tx_tell(struct fab_conn *c);
const struct fab_send *qs_tx_peek(void *user, unsigned i);
void qs_tx_gone(void *user, unsigned n, unsigned begun);

/* ------------------------------------------------------------------ rx.c */

void qs_rx_run(struct fab_conn *c);
void qs_rx_drop(struct fab_conn *c);
static inline bool qs_rx_has_data(const struct fab_conn *c)
{
	return c->rx_head != c->rx_tail;
}
static inline bool qs_rx_has_ring(const struct fab_conn *c)
{
	return c->rx_stag;
}

/* ------------------------------------------------------------------ rx_msg.c */

/* How many octets beyond rx_head the peer may send. */
uint32_t qs_rx_span(const struct fab_conn *c);
int qs_rx_whole(void *user, const void *p, uint32_t len);
int qs_rx_place(void *user, struct fab_place *piece, struct iovec *iov, int max);
void qs_rx_done(void *user, const struct fab_place *piece);
int qs_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max);
void qs_rx_tagged_done(void *user, const struct fab_tagged *t);
int qs_rx_key(void *user, const struct fab_key_req *r, struct fab_key *key);
/* No device reaches the ring any more. */
void qs_rx_region_drop(struct fab_conn *c);

#endif
