/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * message.h - the inside of the message service. All of it belongs to the holder of the turn.
 *
 *	message.c	a DTI of this service: its life, and its queues' way into what follows
 *	peer.c		who the peers are, and how connections to them come about and end
 *	link.c		one connection: what goes out next, whether it lives
 *	msg_ack.c	what is acknowledged, ours and the peer's
 *	msg_op.c	operations on their way out: sends, writes, reads, atomics
 *	msg_rx.c	what comes in, sorted: headers, and where payload goes
 *	msg_in.c	messages of the application, on their way to a receive
 *	msg_tagged.c	writes of the peer
 *	msg_place.c	memory that the device of a wire reaches by itself
 *	msg_atomic.c	atomics, carried out for the peer; and results of ours
 *	msg_request.c	peers that ask a listening DTI for a connection
 *	match.c		receives and messages find each other
 *	pull.c		reading what a peer has: reads of the application, and announced messages
 *
 * A descriptor that leaves its send queue becomes a msg_op; so one that cannot go on (its peer is not
 * connected, has given no credit, has not answered) keeps nobody else from going. It waits at its
 * peer; once it has begun it is named by wire messages in its link's `out`, in the order in which
 * they go; and then it is in the link's list of what it waits for. The first of those in `out` may be
 * on the wire for a while, and the peer may answer meanwhile: then it ends when the wire is done.
 */
#ifndef PPE_MESSAGE_H
#define PPE_MESSAGE_H

#include "ppe/engine.h"
#include "ppe/proof.h"
#include "ppe/remote.h"
#include "ppe/ulp.h"

struct msg_link;
struct msg_peer;

#define MSG_SLOTS_MAX PPE_WR_MESSAGE_SLOTS_MAX
#define MSG_SLOTS_SMALL 2
#define MSG_RECV_SGE 8
#define MSG_IOV_MAX                                                                                \
	(2 * PPE_ATOMIC_SGE) /* of an operation's memory: what it is about, or compares */

#define MSG_WINDOW (384u * 1024) /* of unasked bytes, ULP_RESERVE included, that a peer may send */
#define MSG_EAGER_MAX (64u * 1024) /* what is longer is announced */
#define MSG_ANNOUNCES 65536u       /* that a peer may have made at a time */
#define MSG_OPS_MAX 65536u         /* of a DTI, begun and not ended, if it is not told otherwise */
#define MSG_WINDOW_MAX (1u << 30)  /* that is believed of a peer */

/* ------------------------------------------------------------------------- going out */

enum wire_kind {
	WIRE_SEND,     /* to a stranger: the payload alone */
	WIRE_EAGER,    /* header and payload */
	WIRE_ANNOUNCE, /* header */
	WIRE_WRITE,    /* a piece of a write */
	WIRE_IMMEDIATE,
	WIRE_ATOMIC, /* header and operands */
	WIRE_NATIVE, /* an atomic that iWARP has */
	WIRE_READ,   /* a request for a piece, of a struct msg_read */
	WIRE_RESP,   /* a piece for the peer, of a struct msg_resp */
	WIRE_RESULT, /* of a native atomic, of a struct msg_ctl */
	WIRE_CTL,    /* header and little more, of a struct msg_ctl */
};

/* One message in a link's `out`; embedded in what it is about. */
struct wire_msg {
	struct list link;
	uint8_t kind;    /* enum wire_kind */
	uint8_t hdr_len; /* of the upper-layer header in front of the payload */
	bool begun;      /* on the wire: it stays in `out`, whatever becomes of what it is about */
	uint32_t offset, len;
	const uint8_t *hdr;
};

/*
 * Something that is read from a peer by RDMA Reads, a piece at a time: what a read of the application
 * asks for, or a message that the peer has announced. Embedded in a msg_op or a msg_in.
 */
struct pull {
	struct list link; /* link->pulls, while there is more to ask for */
	bool is_op;
	uint8_t asked;      /* pieces */
	uint32_t next, len; /* from here on is still to be asked for; of */
	uint32_t done;      /* bytes that have come */
	int32_t status;
};

/* One RDMA Read of ours. */
struct msg_read {
	struct list link; /* link->reads, in the order of the requests */
	struct wire_msg wire;
	struct pull *pull; /* NULL: it has ended, and what comes is dropped */
	bool offered;      /* the fabric was told where its answer goes */
	bool over;         /* answered or refused while its request was still in `out` */
	uint32_t sink, stag;
	uint64_t to, sink_to;
	uint32_t offset, len, got;
};

/* One RDMA Read of the peer's. */
struct msg_resp {
	struct list link; /* link->resps, until it is in `out` */
	struct wire_msg wire;
	struct fab_read_req req;
	struct msg_op *op; /* it is about a message that we have announced; NULL: about a region */
	bool gone;         /* ... which has ended */
	uint32_t region;
};

/* A message as the fabric sees it. */
#define WIRE_BATCH 256
struct wire_send {
	struct fab_send send;
	struct fab_atomic atomic;
	struct iovec iov[MSG_IOV_MAX + 1];          /* header */
	struct fab_region *region[MSG_IOV_MAX + 1]; /* of each */
};

/* A message of the engine's own. */
struct msg_ctl {
	struct wire_msg wire;
	bool is_result; /* counts as an answer to a request of the peer */
	uint32_t id;
	uint64_t value;
	uint32_t len;
	uint8_t bytes[];
};

/* A descriptor that has left its queue. */
struct msg_op {
	struct list link; /* where it waits: peer->waiting, link->await, held, announced, fetches */
	struct ppe_dti *d;
	struct msg_peer *peer;
	struct msg_link *l; /* that it has begun on; NULL: not begun */
	uint8_t op;         /* enum ppe_op */
	uint8_t wr_flags;
	bool sending;   /* there is more to put into `out`: it stays first of those that wait */
	bool wire_busy; /* `wire` is in `out` */
	bool begun, more_to_come; /* of a write: pieces */
	bool announced, fetching, counted, held;
	bool over;       /* its outcome is `status`; but the wire still has messages about it */
	bool small;      /* which free list it comes from */
	uint8_t in_wire; /* wire messages that name it */
	uint16_t served; /* parts of it that the peer reads, and that are on the wire */
	uint16_t flags;  /* PPE_POST_ */
	int32_t status;
	uint32_t length, offset; /* bytes in all; put into `out` so far */
	uint32_t id;
	uint32_t seq_first, seq_last; /* numbers of its counted messages */
	uint8_t hdr_len;
	struct wire_msg wire, immediate;
	struct pull pull;
	struct trigger trigger;
	struct ppe_cntr *complete;
	uint8_t *hdr; /* an atomic's, which is longer; else in hdr_small */
	uint8_t hdr_small[sizeof(struct ulp_hdr) + ULP_TAG_LEN + ULP_DATA_LEN +
			  sizeof(struct ulp_source)];
	union ppe_slot s[];
};

/* The one that @w, of such a kind, is embedded in. */
static inline struct msg_op *wire_op(struct wire_msg *w)
{
	return w->kind == WIRE_IMMEDIATE ? list_entry(w, struct msg_op, immediate)
					 : list_entry(w, struct msg_op, wire);
}

/* A message service request, taken apart; valid as long as the op. */
struct msg_view {
	const struct ppe_wr *wr;
	const struct ppe_wr_msg *m; /* NULL: a plain send or receive */
	const struct ppe_wr_trigger *trigger;
	const struct ppe_sge *sge;
	unsigned nsge, ncmp, nres;
	const struct ppe_rma *rma;
	unsigned nrma;
	const uint8_t *inline_data;
};
/* 0, or -EBADMSG. */
int msg_view(const union ppe_slot *s, unsigned slots, struct msg_view *v);
/* The peer's memory at @offset of its list; returns how much is left of that entry. */
uint32_t msg_rma_at(const struct msg_view *v, uint32_t offset, uint64_t *addr, uint32_t *key);

/* ------------------------------------------------------------------------- coming in */

/* A receive that has left its queue. */
struct msg_recv {
	struct list link; /* rxq->posted */
	uint64_t user_tag, tag, ignore;
	uint32_t peer, length;
	uint32_t used;  /* for many messages: so far */
	uint16_t flags; /* PPE_POST_ */
	uint32_t busy;  /* messages under way into it */
	bool silent, over;
	uint8_t nsge;
	struct ppe_cntr *complete;
	struct trigger trigger;
	struct msg_rxq *q;
	struct ppe_sge sge[MSG_RECV_SGE];
};

/* A message that has come, or is coming, and is not yet done with. */
struct msg_in {
	struct list link;   /* rxq->unexpected or claimed; or its link's `matched` */
	struct msg_link *l; /* NULL: gone; all of the message had come */
	struct msg_peer *peer;
	struct ppe_dti *d;
	uint8_t flags; /* ULP_F_ */
	bool announced, complete, held, dropped, stranger;
	bool buffered; /* it comes, or has come, into payload[] */
	uint64_t tag, data;
	uint64_t claim; /* user tag of the peek that claimed it */
	uint32_t len, got;
	uint32_t seq, stag;
	struct msg_recv *recv;
	uint32_t at, room; /* in the receive: where it begins, how much there is */
	int32_t status;
	struct pull pull;
	uint8_t payload[];
};

/* Where receives and messages meet: a DTI's own, or a shared one. */
struct msg_rxq {
	struct ppe_dti *owner; /* whose receive queue feeds it */
	/* by message; [1]: by tag; [2]: those that ask about messages, and lack an event slot */
	struct list posted[3], unexpected[2];
	struct list claimed;
	struct list triggered;      /* receives that wait for a counter */
	uint32_t nposted, nwaiting; /* receives; messages in `unexpected` */
	uint32_t max;
	bool blocked;   /* a message met its receive, but there was no event slot */
	bool strangers; /* connections of those have stopped reading for want of a receive */
	uint64_t multi_min;
};

/* ------------------------------------------------------------------- links and peers */

enum link_state { LINK_DIALLING, LINK_ACCEPTING, LINK_OPEN, LINK_DEAD };

struct msg_link {
	struct list of_dti; /* msg->links; then ual->dead_links */
	struct ppe_dti *d;
	struct msg_peer *peer;
	struct fab_msg_conn *conn;
	uint8_t state; /* enum link_state */
	bool ulp;      /* an eta; else a stranger, for whom all is plain iWARP */
	bool rx_seen, pinged;
	bool proven; /* the peer has shown that it has our key */
	bool ack_due, stalled;
	bool doomed;                  /* there was no memory for what it had to say */
	uint8_t nonce[FAB_NONCE];     /* ours */
	uint8_t key_proof[FAB_PROOF]; /* what the peer has to say to prove its key */
	uint16_t ord, ird;
	uint64_t last_rx; /* ns; looked at now and then */

	/* going out */
	struct list out;     /* struct wire_msg */
	struct list *cursor; /* the message that link_peek() gave last */
	struct list *edge;   /* the last one that is on the wire, or &out */
	unsigned nbegun;     /* so many are */
	struct list resps;
	unsigned nresps, nresults; /* that are not yet on the wire */
	int64_t credit;
	uint32_t announces, nannounced; /* that may be; that are */
	uint32_t next_id, next_sink;
	uint32_t tx_seq, tx_acked; /* of the latest counted message; of the latest seen through */
	struct list await, held, announced, fetches;
	unsigned nfetches;
	struct list pulls, reads;
	unsigned nreads;

	/* coming in */
	struct list matched; /* struct msg_in, with a receive and not complete */
	struct msg_in *cur;
	uint32_t have;    /* of the header, or of gather */
	uint32_t hdr_len; /* that is needed, as far as is known */
	uint32_t msg_len; /* of an eager one, header included */
	bool in_payload;
	uint8_t hdr[sizeof(struct ulp_hdr) + ULP_TAG_LEN + ULP_DATA_LEN +
		    sizeof(struct ulp_source)];
	uint8_t *gather; /* what follows the header of a message that is not the application's */
	uint32_t rx_seq, acked;
	uint32_t owed;     /* credit to give back */
	int64_t rx_credit; /* that the peer has left */
	uint32_t rx_announced;
	/* the write under way */
	uint32_t write_region;
	uint32_t write_len;   /* of this message */
	uint32_t write_total; /* of the latest write, as far as it has come */
	int32_t write_err;
	bool write_goes_on; /* the next message is more of the same write */
	bool write_bad;     /* a part of it failed: data that follow it are dropped */
};

enum peer_state { PEER_IDLE, PEER_DIALLING, PEER_CROSSED, PEER_OPEN };

struct msg_peer {
	struct list of_dti; /* msg->peers */
	struct msg_peer *hash_next;
	struct ppe_dti *d;
	union fab_addr addr; /* its name */
	uint32_t index;      /* among its DTI's peers: PPE_SRC_UNKNOWN | index */
	uint32_t number;     /* in the address vector, as of */
	uint32_t generation; /* ... */
	uint8_t state;       /* enum peer_state */
	uint8_t tries;
	struct msg_link *l; /* to send on */
	uint64_t incarnation;
	uint64_t dial_until; /* ns */
	struct timer timer;
	struct list waiting; /* msg_op, not begun */
	unsigned begun;      /* ... and begun, not ended: for fences */
};

#define PEER_BUCKETS 64

/* A DTI's part for this service. */
struct msg_dti {
	struct msg_rxq own;
	struct msg_rxq *rxq;
	struct ppe_dti *srq;
	struct ppe_pd *pd;
	struct ppe_av *av;
	uint32_t auth;
	uint32_t tx_max, nops;
	bool no_tx_events, no_rx_events;
	bool sq_waits; /* for an operation to end */
	bool closing, doomed;
	struct msg_peer *peer; /* the one of a connected DTI */
	unsigned users;        /* of a shared receive queue */
	struct ppe_cntr *counts[PPE_COUNTED];
	uint64_t peer_timeout_ns, connect_timeout_ns;
	uint64_t incarnation;
	struct list links, peers;
	struct list triggered;  /* operations that wait for a counter */
	struct list ended;      /* ... that are over, and wait for an event slot */
	struct list immediates; /* struct msg_in: data of writes, for want of an event slot */
	struct timer timer;     /* liveness */
	struct msg_peer **by_number;
	uint32_t nby_number, generation;
	struct msg_peer **by_index;
	uint32_t npeers, index_room;
	struct msg_peer *hash[PEER_BUCKETS];
};

/* message.c */
extern const struct fab_msg_user message_user;
void message_connected(struct msg_link *l, int err, const struct fab_msg_peer *who,
		       const void *pdata, size_t len);
void message_closed(struct ppe_dti *d, int err);
void message_op_ended(struct ppe_dti *d);
void shared_run_stalled(struct ppe_dti *srq);
/* The DTI's counter for what @what says, bumped; or @complete instead, if there is one. */
void msg_count(struct ppe_dti *d, struct ppe_cntr *complete, unsigned what, bool ok);
/* Deferred work that is to leave no trace at its DTI. */
static inline bool msg_uncounted(unsigned flags, bool silent)
{
	return (flags & PPE_POST_DEFERRED) && silent;
}
int msg_code(int err);
int msg_errno(uint8_t code);
bool msg_is_rdm(const struct ppe_dti *d);
/* Whether what the peer asks in vain is answered, or ends the connection. */
static inline bool msg_may_refuse(const struct msg_link *l)
{
	return l->ulp && msg_is_rdm(l->d);
}

/* msg_op.c */
/* Requests of the send queue, as far as they may leave it. */
void msg_take_sends(struct ppe_dti *d);
void op_end(struct msg_op *op, int status);
/* Events of operations that are over. False: some still wait for a slot. */
bool ops_tell(struct ppe_dti *d);
/* What those that wait at @peer put next into the link's `out`; NULL: nothing now. */
struct wire_msg *op_next(struct msg_link *l, struct msg_peer *peer);
/* The operation's memory from @offset on. Entries, or a negative errno value. */
int op_memory(const struct msg_op *op, uint32_t offset, uint32_t len, struct iovec *iov);
int op_result_memory(const struct msg_op *op, struct iovec *iov);
void op_wire_sent(struct msg_link *l, struct msg_op *op, struct wire_msg *w);
/* As what of PPE_COUNT_ it is counted. */
unsigned msg_counted_as(enum ppe_op op);
enum ppe_event_type msg_event_type(enum ppe_op op);
/* Fills a native atomic. 0, or why its memory cannot be read. */
int op_native(const struct msg_op *op, struct fab_send *s, struct fab_atomic *a);
void ops_free(struct ppe_ual *ual);

/* link.c */
struct msg_link *link_new(struct ppe_dti *d, struct msg_peer *peer, enum link_state state);
/* -EPROTO, -EACCES: not with this peer. */
int link_open(struct msg_link *l, const struct fab_msg_peer *who);
/* The fabric says that the connection is over. */
void link_closed(struct msg_link *l, int err);
/* What the other side wants proven, into our hello; what it will have to prove. */
void link_prove(struct msg_link *l, const struct fab_msg_peer *who, struct fab_hello *h);
/* What it was used for ends with @error; its connection is closed. */
void link_fail(struct msg_link *l, int error);
/* As link_fail, but what has not begun stays. */
void link_drop(struct msg_link *l, int error, bool reset);
void link_want(struct msg_link *l);
const struct fab_send *link_peek(struct msg_link *l, unsigned i);
void link_done(struct msg_link *l, unsigned n, unsigned begun);
/* A message of the engine's own behind what is in `out`. Without memory for it the link fails. */
void link_say(struct msg_link *l, enum ulp_op op, uint8_t code, uint32_t id);
struct msg_ctl *link_ctl(struct msg_link *l, uint32_t len);
void link_ctl_send(struct msg_link *l, struct msg_ctl *c);
bool link_is_busy(const struct msg_link *l);
void links_fail_doomed(struct ppe_dti *d);
void links_reap(struct ppe_ual *ual);
void link_watch(struct ppe_dti *d);

/* msg_ack.c */
/* The peer's acknowledgements. Negative: a violation. */
int link_acked(struct msg_link *l, uint32_t seen, uint32_t credit);
int link_held(struct msg_link *l, uint32_t seq);
int link_acked_one(struct msg_link *l, uint32_t seq, int status);
int link_announce_done(struct msg_link *l, uint32_t id, int status);
/* The operation with this id that is announced, or waits for a result, and is still in `out`. */
struct msg_op *link_begun(const struct msg_link *l, uint32_t id);
/* ... that is announced, there or no more. */
struct msg_op *link_announced(const struct msg_link *l, uint32_t id);
/* We owe the peer an acknowledgement, or credit. */
void link_owe(struct msg_link *l, uint32_t credit);
void link_counted(struct msg_link *l);

/* pull.c */
void pull_start(struct msg_link *l, struct pull *p, bool is_op, uint32_t len);
struct wire_msg *pull_next(struct msg_link *l);
int pull_place(struct msg_link *l, const struct fab_tagged *t, struct iovec *iov);
int pull_landed(struct msg_link *l, const struct fab_tagged *t);
int pull_refused(struct msg_link *l, uint32_t sink, int status);
void pull_forget(struct msg_link *l, struct pull *p);
void pulls_fail(struct msg_link *l, int error);
void read_describe(const struct msg_link *l, struct msg_read *r, struct wire_send *out);
void read_sent(struct msg_read *r);
/* The peer's reads. */
int resp_ask(struct msg_link *l, const struct fab_read_req *req);
struct wire_msg *resp_next(struct msg_link *l);
int resp_memory(const struct msg_link *l, struct msg_resp *r, struct iovec *iov);
void resp_begun(struct msg_link *l, struct msg_resp *r);
void resp_sent(struct msg_link *l, struct msg_resp *r, int error);
void resps_drop(struct msg_link *l);
/* An announced operation ends: nothing more is read from it. */
void resps_forget(struct msg_link *l, const struct msg_op *op);

/* msg_rx.c */
/* The upper-layer header of a message, taken apart. */
struct msg_header {
	uint8_t op, flags, code;
	uint32_t len; /* of the message; or id */
	uint64_t tag, data;
	uint32_t stag;
};
int rx_whole(struct msg_link *l, const uint8_t *p, uint32_t len);
int rx_place(struct msg_link *l, struct fab_place *piece, struct iovec *iov);
int rx_done(struct msg_link *l, const struct fab_place *piece);
/* The link is dead: what was under way on it. */
void rx_abandon(struct msg_link *l, int error);

/* msg_in.c: negative results are violations, or -ENOMEM */
struct msg_in *in_new(struct msg_link *l, const struct msg_header *h, uint32_t room);
void in_free(struct msg_in *in);
/* Whether the peer has the credit for so much, which is then spent. */
int in_admit(struct msg_link *l, uint32_t len);
/* An eager message, all of it at @p; one that begins, and is l->cur from then on; the end of that. */
int in_whole(struct msg_link *l, const struct msg_header *h, const uint8_t *p);
int in_begin(struct msg_link *l, const struct msg_header *h);
void in_end(struct msg_link *l);
int in_announced(struct msg_link *l, const struct msg_header *h);
/* A message and its receive have been brought together, late: it goes on from here. */
void in_matched(struct msg_in *in);
/* All of it has come, or it failed: ends the receive and frees it. */
void in_finish(struct msg_in *in);
/* Nobody will want it. */
void in_drop(struct msg_in *in);
/* Where the payload of a matched message goes from @offset on. */
int in_memory(const struct msg_in *in, uint32_t offset, uint32_t len, struct iovec *iov);
/* Copies as much as fits; how much that is. */
size_t iov_scatter(const struct iovec *iov, int n, const uint8_t *p, size_t len);

/* msg_tagged.c */
int rx_tagged(struct msg_link *l, const struct fab_tagged *t, struct iovec *iov);
int rx_tagged_done(struct msg_link *l, const struct fab_tagged *t);
int rx_immediate(struct msg_link *l, uint64_t value);
/* Data of writes that waited for an event slot. False: some still wait. */
bool rx_tell_immediates(struct ppe_dti *d);
void rx_forget_immediates(struct ppe_dti *d);

/* msg_place.c */
/* Whether a device may reach so much memory by itself: then its regions are named. */
bool link_places(const struct msg_link *l, uint32_t len);
/* Of each of @n entries of @iov the region of @sge's that it is in. */
void regions_name(struct ppe_ual *ual, const struct ppe_sge *sge, unsigned nsge,
		  const struct iovec *iov, unsigned n, struct fab_region **region);
void op_regions(const struct msg_op *op, const struct iovec *iov, unsigned n,
		struct fab_region **region);
int rx_key(struct msg_link *l, const struct fab_key_req *r, struct fab_key *key);
void rx_fetched(struct msg_link *l, const struct fab_read_req *r);

/* msg_atomic.c */
int rx_atomic(struct msg_link *l, const struct fab_atomic_req *r);
int rx_atomic_resp(struct msg_link *l, uint32_t id, uint64_t value);
/* ULP_ATOMIC and ULP_RESULT, @p: what follows the header. */
int rx_atomic_message(struct msg_link *l, const struct msg_header *h, const uint8_t *p,
		      uint32_t len);
int rx_result(struct msg_link *l, uint32_t id, int status, const uint8_t *p, uint32_t len);

/* msg_request.c */
void requests_tell(struct ppe_dti *d);

/* match.c */
void rxq_init(struct msg_rxq *q, struct ppe_dti *owner, uint32_t max);
/* Takes receives out of the queue, and serves those whose message is there. */
void rxq_fill(struct msg_rxq *q);
/*
 * The receive for a message of @peer's at @d, its event slot reserved; NULL: none, hold it. @at,
 * @room: where in it.
 */
struct msg_recv *rxq_match(struct msg_rxq *q, struct ppe_dti *d, struct msg_peer *peer, bool tagged,
			   uint64_t tag, uint32_t len, uint32_t *at, uint32_t *room);
void rxq_hold(struct msg_rxq *q, struct msg_in *in);
/* What a message of unknown length has taken of a receive for many. */
void rxq_used(struct msg_rxq *q, struct msg_recv *r, uint32_t len);
/* Messages that were held for want of an event slot. */
void rxq_retry(struct msg_rxq *q);
/* Ends what came, or would come, of a message: @ev's type, memory and length are filled in here. */
void recv_end(struct ppe_dti *d, struct msg_recv *r, struct ppe_event *ev, uint32_t got,
	      uint32_t at, uint32_t room);
int rxq_cancel(struct msg_rxq *q, uint64_t user_tag);
/* False: no event slot, go on later. */
bool rxq_flush(struct msg_rxq *q, int error, bool discard);
/* Messages that came for @d, or over @l. */
void rxq_forget(struct msg_rxq *q, const struct ppe_dti *d, const struct msg_link *l);
void recvs_free(struct ppe_ual *ual);

/* peer.c */
extern const struct fab_msg_listen_user rdm_listen_user;
/* The peer with this number in the address vector; NULL: there is none, or no memory. */
struct msg_peer *peer_by_number(struct ppe_dti *d, uint32_t number);
struct msg_peer *peer_new(struct ppe_dti *d, const union fab_addr *addr);
/* Something waits for it. */
void peer_want(struct msg_peer *p);
/* For events; and for receives from one peer only. */
uint32_t peer_number(struct msg_peer *p);
/* What waits, and what has begun, ends. */
void peer_fail(struct msg_peer *p, int error);
/* Those that wait with this tag and have not begun. How many. */
int peer_cancel(struct msg_peer *p, uint64_t user_tag);
void peer_connected(struct msg_link *l, int err, const struct fab_msg_peer *who, const void *pdata,
		    size_t len);
void peers_free(struct ppe_dti *d);
void hello_fill(struct msg_link *l, struct fab_hello *h);

#endif
