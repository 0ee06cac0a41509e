/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * roce_internal.h - queue pairs of an RDMA device: the inside.
 *
 *	lib.c		the two libraries, loaded when they are first asked for; the kernel's files
 *	devices.c	which devices there are, and why one cannot be used
 *	roce.c		the instance: open and close, progress, flush
 *	sleep.c		its sleeper: wait, kick, the descriptor to watch
 *	dev.c		a device in use: memory for frames, completion queues, its loss
 *	cm.c		listeners, and the events of the connection manager
 *	start.c		set-up on both sides, from an address to connected()
 *	conn.c		a connection's life after that, and its end
 *	sq.c		the send queue: frames, and what the device is to write or read
 *	tx.c		messages of the user into frames, or to the device
 *	rx.c		frames into the places that their pieces name
 *	mem.c		memory of the user's that the device knows
 *	key.c		keys to the peer's memory, and to ours
 *	place.c		large messages, which the device writes and reads
 *	probe.c		signs of life
 *	guard.c		devices that are held, though not in use
 *	wire.c		what stands in frames
 *	stream.c	byte streams, made of messages
 *
 * Nothing of a message is queued here when it is sent in frames: it is copied into those of a post, and
 * done. Of large ones the device is told where they are, and they are done when it is; see place.c.
 * What was received and finds no receive (which between etas never happens) stays in its frame; no
 * credit is given for it meanwhile.
 */
#ifndef ETA_ROCE_INTERNAL_H
#define ETA_ROCE_INTERNAL_H

#include <infiniband/verbs.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdatomic.h>

#include "fabric/fabric.h"
#include "fabric/list.h"
#include "fabric/qstream/qstream.h"
#include "fabric/roce/roce.h"
#include "fabric/roce/wire.h"
#include "fabric/sleeper.h"

/* ------------------------------------------------------------------------- libraries */

/* X(library, function): what is used of each. */
#define ROCE_FUNCTIONS(X)                                                                          \
	X(ibv, ibv_get_device_list)                                                                \
	X(ibv, ibv_free_device_list)                                                               \
	X(ibv, ibv_get_device_name)                                                                \
	X(ibv, ibv_open_device)                                                                    \
	X(ibv, ibv_close_device)                                                                   \
	X(ibv, ibv_query_device)                                                                   \
	X(ibv, ibv_query_port)                                                                     \
	X(ibv, ibv_query_gid)                                                                      \
	X(ibv, ibv_alloc_pd)                                                                       \
	X(ibv, ibv_dealloc_pd)                                                                     \
	X(ibv, ibv_reg_mr)                                                                         \
	X(ibv, ibv_dereg_mr)                                                                       \
	X(ibv, ibv_create_comp_channel)                                                            \
	X(ibv, ibv_destroy_comp_channel)                                                           \
	X(ibv, ibv_create_cq)                                                                      \
	X(ibv, ibv_destroy_cq)                                                                     \
	X(ibv, ibv_get_cq_event)                                                                   \
	X(ibv, ibv_ack_cq_events)                                                                  \
	X(ibv, ibv_get_async_event)                                                                \
	X(ibv, ibv_ack_async_event)                                                                \
	X(ibv, ibv_event_type_str)                                                                 \
	X(ibv, ibv_wc_status_str)                                                                  \
	X(cm, rdma_create_event_channel)                                                           \
	X(cm, rdma_destroy_event_channel)                                                          \
	X(cm, rdma_create_id)                                                                      \
	X(cm, rdma_destroy_id)                                                                     \
	X(cm, rdma_bind_addr)                                                                      \
	X(cm, rdma_listen)                                                                         \
	X(cm, rdma_resolve_addr)                                                                   \
	X(cm, rdma_resolve_route)                                                                  \
	X(cm, rdma_create_qp)                                                                      \
	X(cm, rdma_destroy_qp)                                                                     \
	X(cm, rdma_connect)                                                                        \
	X(cm, rdma_accept)                                                                         \
	X(cm, rdma_reject)                                                                         \
	X(cm, rdma_disconnect)                                                                     \
	X(cm, rdma_set_option)                                                                     \
	X(cm, rdma_get_cm_event)                                                                   \
	X(cm, rdma_ack_cm_event)                                                                   \
	X(cm, rdma_get_devices)                                                                    \
	X(cm, rdma_free_devices)                                                                   \
	X(cm, rdma_event_str)

struct roce_lib {
#define ROCE_MEMBER(library, function) __typeof__(&(function)) p_##function;
	ROCE_FUNCTIONS(ROCE_MEMBER)
#undef ROCE_MEMBER
};

/* NULL: not on this machine, for the reason *@why. Loaded once, and for good. */
const struct roce_lib *roce_lib(const char **why);
/* Why the connection manager cannot be used; NULL: it can. */
const char *roce_manager_lacks(void);
/* The network interface under a port; empty: none is known. */
void roce_netdev(const char *device, unsigned port, char *name, size_t size);

/* --------------------------------------------------------------------------- devices */

#define ROCE_FRAME 8192      /* octets of a buffer */
#define ROCE_CREDITS 32      /* frames that a peer may send unasked */
#define ROCE_START_CREDITS 4 /* ... before it is known who it is */
#define ROCE_RECVS (ROCE_CREDITS + ROCE_SPARE)
#define ROCE_SENDS 64      /* a power of two */
#define ROCE_DATA_SENDS 60 /* ... of which for frames that cost credit */
#define ROCE_SIGNAL_EVERY 16
#define ROCE_INLINE 256 /* what is asked for */
#define ROCE_CHUNK 64   /* buffers registered together */
#define ROCE_CQ_SIZE 4096
#define ROCE_DEVS_MAX 16
#define ROCE_SGE 4    /* pieces of memory that one work request may name */
#define ROCE_READS 16 /* RDMA Reads at a time, if the device has as many */

struct roce_buf {
	struct roce_buf *next;
	uint8_t *mem;
	uint32_t lkey;
};

struct roce_chunk {
	struct roce_chunk *next;
	struct ibv_mr *mr;
	uint8_t *mem;
	struct roce_buf bufs[ROCE_CHUNK];
};

/* Shared by as many connections as it has room for the completions of, all at once. */
struct roce_cq {
	struct roce_cq *next;
	struct ibv_cq *cq;
	unsigned size, used;
	unsigned stale; /* of what is used: of queue pairs that are gone; till it was seen empty */
	/* under the instance's lock */
	bool armed, stashed;
	struct ibv_wc stash; /* what a sleeper found when it looked */
};

/* What id->context points to begins with this. */
enum roce_kind_of { ROCE_IS_CONN, ROCE_IS_LISTENER, ROCE_IS_DEV, ROCE_IS_GUARD };
struct roce_ep {
	uint8_t kind; /* enum roce_kind_of */
};

struct roce_dev {
	struct roce_ep ep;
	struct roce_dev *next;
	struct fab *fab;
	/* bound to the device for as long as it is used: keeps its context, hears of its removal */
	struct rdma_cm_id *anchor;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct roce_cq *cqs;
	struct roce_chunk *chunks;
	struct roce_buf *free;
	unsigned cq_size;
	uint8_t reads; /* RDMA Reads at a time */
	bool dead;     /* goes at the end of this call */
};

/* ---------------------------------------------------------------------- the instance */

struct fab {
	struct fab_env env;
	char only[ROCE_NAME]; /* the device that was asked for; empty: any */
	unsigned naddrs;      /* its addresses */
	union fab_addr addrs[ROCE_ADDRS];
	const struct roce_lib *lib;
	struct rdma_event_channel *events;
	unsigned depth; /* calls into it on the stack */
	uint32_t tick;
	uint64_t asked_ns; /* when the connection manager was last asked */
	bool cq_left;      /* there may be more in a completion queue */
	bool places;       /* large messages are placed by devices */
	struct link mems;  /* struct roce_mem */

	struct fab_msg_conn **conns; /* by the number in a work request */
	uint32_t nconns;             /* conns[0] is not used */
	uint32_t generation;

	struct link dirty;     /* have something to transmit */
	struct link later;     /* have something to be told */
	struct link lingering; /* closed by their users, not yet all of it delivered */
	struct link zombies;
	unsigned users; /* connections and listeners that have a user, message services */

	struct qstream *streams; /* NULL until one is asked for */
	struct fab_msg *stream_pairs;
	bool streams_left; /* they have work */

	pthread_mutex_t lock; /* devs for the sleeper, armed and stashed of their queues */
	struct roce_dev *devs;
	struct timer sweep; /* after the loss of a device */
	unsigned sweeps;
	char swept[ROCE_NAME];
	struct roce_guard *guards;
	struct timer look; /* for signs of life, while there are connections */
	struct sleeper sleeper;
	atomic_bool harvest;
};

#define COUNT(fab, what, n) fab_count(&(fab)->env.counters->what, (n))

struct fab_msg {
	struct fab *fab;
	struct fab_msg_attr attr;
	uint8_t service; /* enum roce_service */
};

struct fab_msg_listener {
	struct roce_ep ep;
	struct fab_msg *m;
	struct rdma_cm_id *id; /* NULL: its device is gone */
	union fab_addr addr;
	const struct fab_msg_listen_user *ops;
	void *user;
	struct link starting; /* have a queue pair, have not yet said what they want */
	struct link asking;   /* their user has to accept or reject them */
	unsigned nstarting;
};

/* ----------------------------------------------------------------------- connections */

enum roce_state {
	RC_RESOLVING,  /* an address, a route */
	RC_CONNECTING, /* the connection manager has asked */
	RC_ASKED,      /* REQUEST sent: the answer is awaited */
	RC_ACCEPTED,   /* by the connection manager: a REQUEST is awaited */
	RC_REQUESTED,  /* the user has it */
	RC_REPLYING,   /* ACCEPT sent; connected() follows */
	RC_OPEN,
	RC_CLOSED,    /* nothing moves any more; waits for its user to close it */
	RC_LINGERING, /* no user; what was sent is being delivered */
	RC_GONE,
};

/* Only while a connection is being set up. */
struct roce_start {
	struct fab_hello hello; /* the peer's */
	uint16_t features;      /* offered by us */
	uint16_t frame_len;
	uint8_t frame[ROCE_HELLO_FRAME_MAX]; /* ours */
};

/* What is to be said before the next message. */
struct roce_word {
	struct link link;
	struct roce_note note;
};

/* The answer to an empty read, which must not overtake those to what was asked before it. */
struct roce_empty {
	struct roce_empty *next;
	uint64_t to;
	uint32_t stag;
	uint16_t behind; /* fab_msg_conn.answered must have got there */
};

struct fab_msg_conn {
	struct roce_ep ep;
	uint8_t state; /* enum roce_state */
	bool reset;    /* nobody needs what is still under way */
	bool dead;     /* the queue pair, or the other side, is gone */
	bool bye_sent, bye_came;
	bool shut;   /* a BYE was asked for */
	bool heard;  /* something has come since the last look for signs of life */
	bool probed; /* ... at which one was asked for */
	int lost;    /* to be told later, negative; 0: none */
	struct fab *fab;
	struct fab_msg *m; /* while it has a user */
	const struct fab_msg_user *ops;
	void *user;
	struct fab_msg_listener *listener; /* until it is accepted, rejected or closed */
	struct link in_list, dirty, later; /* in_list: its listener's, or the instance's */
	struct timer timer;
	struct roce_start *start;
	union fab_addr local, peer;

	struct rdma_cm_id *id;
	struct roce_dev *dev;
	struct roce_cq *cq;
	struct ibv_qp *qp;
	uint32_t slot, generation;
	uint32_t frame_max; /* of what we send */
	uint16_t inline_max;
	uint16_t ord, ird;

	/* placing */
	bool places;       /* the peer does too, */
	bool device_reads; /* ... and answers reads of a device */
	bool key_asked;    /* KEY_ASK is not answered, */
	bool key_fences;   /* ... and its answer says that all in `unordered` is dealt with */
	bool key_due;      /* the peer's is not */
	bool tx_waits;     /* for a key */
	bool unordered;    /* writes or atomics in frames may not be dealt with yet */
	uint8_t nkeys, ntolds;
	uint16_t ntargets;
	struct roce_note asked_for;
	struct link words;   /* struct roce_word */
	struct link placed;  /* struct roce_place, as in the send queue */
	struct link sinks;   /* struct roce_sink: the peer's device may write there */
	struct link targets; /* struct roce_target: ours may */
	struct link keys;    /* struct roce_key */
	struct link tolds;   /* struct roce_told */
	uint32_t last_read;  /* STag of the latest large read */
	uint32_t tx_seq;     /* messages that are all out */
	uint32_t tx_held;    /* ... and not done, the latest of them */

	/* transmitting */
	bool tx_blocked;     /* by credits or the send queue: goes on when there are more */
	uint16_t tx_credits; /* frames that the peer is ready for */
	uint16_t sq_head, sq_tail,
		sq_signalled;     /* sends: posted, over, the last to tell of its end */
	uint32_t tx_off;          /* octets of the oldest message that are out */
	uint16_t asked, answered; /* the peer's requests: told of, answered; modulo 2^16 */
	struct roce_empty *empties;
	struct roce_buf *tx_bufs[ROCE_SENDS];

	/* receiving */
	uint16_t rx_owed;  /* frames that are free again, and the peer does not know */
	uint16_t rx_given; /* frames that it may send */
	bool stalled;      /* for want of a receive */
	bool placing;      /* the piece under way was asked for a place */
	bool in_msg, cut;
	uint8_t rx_op;      /* of the message under way */
	uint8_t rx_count;   /* frames that wait, */
	uint8_t rx_first;   /* the first of them in rx_queue */
	uint8_t nrx;        /* buffers that there are */
	uint32_t rx_off;    /* in that frame */
	uint32_t piece_off; /* in the piece that begins there */
	uint32_t msg_off;   /* of that piece in its message */
	uint32_t rx_stag;   /* of the tagged message under way, */
	uint64_t rx_to;     /* and where that goes on */
	uint8_t rx_queue[ROCE_RECVS];
	uint16_t rx_len[ROCE_RECVS];
	struct roce_buf *rx_bufs[ROCE_RECVS];
};

/* roce.c */
/* Every call from outside, a timer's included, is made between these two. */
void roce_enter(struct fab *fab);
void roce_leave(struct fab *fab);
/* Does the last call leave work for the next? */
bool roce_left_over(const struct fab *fab);
/* Handles what is in @cq; returns how many completions. */
int roce_cq_drain(struct fab *fab, struct roce_cq *cq, int budget);
/* The connection is looked at in the next progress(): roce_conn_later(). */
void roce_later(struct fab_msg_conn *c);

/* sleep.c */
/* Before a turn looks, and when it has looked, if the descriptor is in use. */
void roce_show_begin(struct fab *fab);
bool roce_show_end(struct fab *fab);
int roce_watch_dev(struct fab *fab, struct roce_dev *dev);
int roce_wait(struct fab *fab, int64_t timeout_ns);
int roce_wait_also(struct fab *fab, int fd, int64_t timeout_ns);
void roce_kick(struct fab *fab);
void roce_drain(struct fab *fab);
int roce_wait_fd(struct fab *fab);
int roce_kick_fd(struct fab *fab);
int roce_poll_cq(struct fab *fab, struct roce_cq *cq, struct ibv_wc *wc, int max);

/* dev.c */
/* That of a bound or connecting @id. */
/* Whether the device of @id, if it is known yet, is one that may be used. */
bool roce_dev_allowed(const struct fab *fab, const struct rdma_cm_id *id);
int roce_dev_get(struct fab *fab, struct rdma_cm_id *id, struct roce_dev **out);
struct roce_cq *roce_cq_get(struct roce_dev *dev, unsigned n);
void roce_cq_put(struct roce_cq *cq, unsigned n);
struct roce_buf *roce_buf_get(struct roce_dev *dev);
void roce_buf_put(struct roce_dev *dev, struct roce_buf *buf);
/* Its connections end with -ENODEV; what is left of it goes at the end of this call. */
void roce_dev_lost(struct roce_dev *dev);
void roce_dev_async(struct roce_dev *dev);
void roce_dev_destroy(struct roce_dev *dev);
void roce_devs_reap(struct fab *fab);

/* Looks, in a moment, whether a device of that name is still held, and lets it go. */
void roce_sweep_later(struct fab *fab, const char *name);

/* guard.c */
/* librdmacm holds this context from now on: its removal is heard of. */
void roce_guard(struct fab *fab, struct ibv_context *ctx);
void roce_guard_lost(struct fab *fab, struct roce_ep *ep);
void roce_guards_free(struct fab *fab);

/* cm.c */
int roce_cm_harvest(struct fab *fab);
int roce_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
		const struct fab_msg_listen_user *ops, void *user, struct fab_msg_listener **out);
int roce_listener_addr(struct fab_msg_listener *l, union fab_addr *addr);
void roce_unlisten(struct fab_msg_listener *l);

/* What the connection manager said, copied. */
struct roce_cm_event {
	enum rdma_cm_event_type type;
	struct rdma_cm_id *id, *listen_id;
	int status;
	uint8_t responder_resources, initiator_depth;
	uint8_t len;
	uint8_t data[UINT8_MAX];
};

/* start.c */
int roce_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
		 const struct fab_hello *hello, const void *pdata, size_t len,
		 const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out);
int roce_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		size_t len, const struct fab_msg_user *ops, void *user);
void roce_reject(struct fab_msg_conn *c, const void *pdata, size_t len);
/* An event of the connection manager's that is about set-up. */
void roce_start_event(struct fab_msg_conn *c, const struct roce_cm_event *ev);
void roce_start_asked(struct fab_msg_listener *l, const struct roce_cm_event *ev);
/* A frame that is not data came while it is not open: @p, @n octets behind the header. */
void roce_start_frame(struct fab_msg_conn *c, uint8_t kind, const uint8_t *p, size_t n);
/* It has ended without a connection. */
void roce_start_lost(struct fab_msg_conn *c, int err);
/* The user of one that was accepted hears of it. */
void roce_start_open(struct fab_msg_conn *c);

/* conn.c */
struct fab_msg_conn *roce_conn_new(struct fab_msg *m);
int roce_conn_qp(struct fab_msg_conn *c);
/* It is no longer its listener's. */
void roce_listener_drop(struct fab_msg_conn *c);
/* Nothing is left but its memory, till the end of this call. */
void roce_conn_free(struct fab_msg_conn *c);
/* Its queue pair and id only. */
void roce_conn_unplug(struct fab_msg_conn *c);
void roce_conn_reap(struct fab_msg_conn *c);
/* The queue pair failed, or the other side has gone without a BYE. */
void roce_conn_lost(struct fab_msg_conn *c, int err);
/* Ends an open connection: tells its user. */
void roce_end(struct fab_msg_conn *c, int err);
/* After telling the peer why, if that is possible. */
void roce_refuse(struct fab_msg_conn *c, int err);
/* The peer broke the protocol. */
void roce_violation(struct fab_msg_conn *c, const char *what);
void roce_conn_later(struct fab_msg_conn *c);
/* Gives the user's side up; what was sent is still delivered. */
void roce_conn_linger(struct fab_msg_conn *c);
/* A send was over. */
void roce_linger_look(struct fab_msg_conn *c);
void roce_bye_took(struct fab_msg_conn *c, uint32_t why);
void roce_conn_close(struct fab_msg_conn *c, bool reset);
int roce_shutdown(struct fab_msg_conn *c);
int roce_conn_addr(struct fab_msg_conn *c, union fab_addr *local, union fab_addr *peer);
void roce_timer_start(struct fab_msg_conn *c, uint64_t ns, timer_fn fn);

/* ------------------------------------------------------------------------- mem.c */

/* A part of a region, registered with a device. */
struct roce_window {
	struct roce_window *next;
	struct roce_dev *dev;
	struct ibv_mr *mr;
	uint8_t *start;
	size_t len;
	struct link told; /* struct roce_told: peers that have its key */
};

/* A region of the user's, of which some is registered. */
struct roce_mem {
	struct link link; /* fab->mems */
	struct roce_window *windows;
	struct link leases; /* struct roce_lease: parts for one use, which end with it */
	bool refused;       /* a device would not have it: not tried again */
};

/* The right of a device to some memory; for one use, or its window's. */
struct roce_lease {
	struct link of_mem; /* mem->leases, if it lies in a region */
	struct ibv_mr *mr;  /* NULL: a window's */
	uint32_t lkey, rkey;
};

/* The window that @addr lies in, with @len octets behind it. NULL: there can be none. */
struct roce_window *roce_window_get(struct roce_dev *dev, struct fab_region *region,
				    const uint8_t *addr, size_t len);
/* @access: IBV_ACCESS_ of this use. With one that is remote, or without a region, for it alone. */
int roce_lease(struct roce_dev *dev, struct fab_region *region, void *addr, size_t len, int access,
	       struct roce_lease *lease);
void roce_lease_end(struct fab *fab, struct roce_lease *lease);
void roce_region_gone(struct fab_msg *m, struct fab_region *region);
/* Those of the device, or with NULL all. */
void roce_mems_drop(struct fab *fab, struct roce_dev *dev);

/* ------------------------------------------------------------------------- key.c */

/* To the peer's memory. */
struct roce_key {
	struct link link; /* c->keys, the latest first */
	uint32_t stag, rkey;
	uint64_t to, addr, span; /* span 0: there is none */
	uint8_t access;
	uint8_t age; /* of one that there is none */
};

/* The peer has a key of ours. */
struct roce_told {
	struct link of_conn, of_window;
	struct fab_msg_conn *c;
	const struct roce_window *window;
	uint32_t stag;
};

enum roce_way { ROCE_BY_FRAMES, ROCE_BY_DEVICE, ROCE_NOT_YET };

/* How the peer's memory can be reached; with the key, ROCE_BY_DEVICE. */
enum roce_way roce_key_find(struct fab_msg_conn *c, uint32_t stag, uint64_t to, uint32_t len,
			    uint8_t access, const struct roce_key **key);
/* Asks for it, if nothing is being asked for. */
void roce_key_ask(struct fab_msg_conn *c, uint32_t stag, uint64_t to, uint32_t len, uint8_t access);
/* The peer's KEY_ASK, KEY and KEY_GONE. 0, or why the connection has to end. */
int roce_key_asked(struct fab_msg_conn *c, const struct roce_note *n);
int roce_key_came(struct fab_msg_conn *c, const struct roce_note *n);
/* Has the peer a key to it? */
bool roce_key_told(const struct fab_msg_conn *c, uint32_t stag);
void roce_key_gone(struct fab_msg_conn *c, uint32_t stag);
/* The window is about to go. */
void roce_window_untell(struct roce_window *w);
void roce_keys_free(struct fab_msg_conn *c);
/* To be said before the next message. Without memory for it the connection fails. */
void roce_say(struct fab_msg_conn *c, const struct roce_note *note);

/* ----------------------------------------------------------------------- place.c */

/* A message whose payload the device carries: a work request of its own. */
struct roce_place {
	struct link link; /* c->placed */
	uint8_t op;       /* enum fab_op: FAB_WRITE, FAB_READ_RESP, FAB_READ */
	uint8_t nsge;
	uint16_t number; /* of its work request, modulo 2^16 */
	uint32_t seq;    /* of its message: c->tx_seq when that was out */
	uint32_t len, rkey;
	uint64_t addr;
	struct fab_read_req read; /* FAB_READ */
	struct ibv_sge sge[ROCE_SGE];
	struct roce_lease lease[ROCE_SGE];
};

/* What the peer's device may write, once: the answer to a read of ours. */
struct roce_sink {
	struct link link; /* c->sinks */
	uint32_t stag;
	struct roce_lease lease;
};

/* ... and ours: the answer to a read of the peer's. */
struct roce_target {
	struct link link; /* c->targets, the oldest first */
	uint32_t stag, len, rkey;
	uint64_t to, addr;
};

/* It is worth to be asked about. */
bool roce_may_place(const struct fab_msg_conn *c, const struct fab_send *s);
/*
 * How such a message goes. By the device: @place and @note, what is to be said of it, are filled in; a read
 * may do with the note: then *@place is NULL. Not yet: a key was asked for.
 */
enum roce_way roce_place(struct fab_msg_conn *c, const struct fab_send *s,
			 struct roce_place **place, struct roce_note *note);
void roce_place_free(struct fab *fab, struct roce_place *p);
/* Sends up to c->sq_tail are over. */
void roce_places_over(struct fab_msg_conn *c);
/* The messages that are all out and wait for the device: how many of the oldest are done. */
unsigned roce_places_done(const struct fab_msg_conn *c);
/* The peer's notes. 0, or why the connection has to end. */
int roce_placed(struct fab_msg_conn *c, const struct roce_note *n);
int roce_target_add(struct fab_msg_conn *c, const struct roce_note *n);
void roce_target_drop(struct fab_msg_conn *c, uint32_t stag);
/* The answer has come, or will not. False: there is no such sink. */
bool roce_sink_over(struct fab_msg_conn *c, uint32_t stag);
void roce_read_over(struct fab_msg_conn *c, uint32_t stag);
/* The device reaches nothing for this connection any more: its queue pair is gone. */
void roce_places_free(struct fab_msg_conn *c);
/* Whether our device is reading into that place: then nobody else answers. */
bool roce_place_reads(const struct fab_msg_conn *c, uint32_t stag, uint64_t to);

/* sq.c */
#define ROCE_POST 16 /* work requests of one post */
struct roce_wr {
	struct roce_buf *buf; /* a frame; NULL: what @place says */
	struct roce_place *place;
	uint32_t len;
};
unsigned roce_sends_out(const struct fab_msg_conn *c);
/* What the peer may send more, to be said in the next frame. */
uint16_t roce_take_owed(struct fab_msg_conn *c);
/* @must: its end is to be told of. Buffers and places are the send queue's from here on. */
int roce_post(struct fab_msg_conn *c, const struct roce_wr *wrs, unsigned n, bool must);
/* A frame of our own: REQUEST, ACCEPT, REJECT (@p, @n octets, header included), or BYE. */
int roce_tx_frame(struct fab_msg_conn *c, const uint8_t *p, size_t n);
int roce_tx_bye(struct fab_msg_conn *c, enum roce_bye why);
/* Credit frames of their own, if enough is owed. */
void roce_tx_credit(struct fab_msg_conn *c);
/* Something that the other device acknowledges, and its owner does not see. */
void roce_tx_probe(struct fab_msg_conn *c);
void roce_tx_completed(struct fab_msg_conn *c, unsigned number);
/* It ends with @err in the next turn. */
void roce_fail_later(struct fab_msg_conn *c, int err);

/* tx.c */
void roce_tx_want(struct fab_msg_conn *c);
void roce_tx_now(struct fab_msg_conn *c);
void roce_tx_flush(struct fab_msg_conn *c);
/* There are credits, or room in the send queue, again. */
void roce_tx_unblock(struct fab_msg_conn *c);
/* Tells of messages that are done. */
void roce_tx_report(struct fab_msg_conn *c, bool peeked);
void roce_empties_free(struct fab_msg_conn *c);

/* probe.c */
/* There is a connection. */
void roce_watch_start(struct fab *fab);
/* There is reason to doubt that peers can be reached by @dev. */
void roce_watch_doubt(struct roce_dev *dev);

/* rx.c */
/* Posts @n more receives; what is over ROCE_SPARE of all is owed to the peer. */
int roce_rx_add(struct fab_msg_conn *c, unsigned n);
void roce_rx_completed(struct fab_msg_conn *c, unsigned number, uint32_t len);
/* Goes on with frames that wait. */
void roce_rx_run(struct fab_msg_conn *c);
void roce_rx_want(struct fab_msg_conn *c);

/* ------------------------------------------------------------------------- stream.c */

int roce_stream_listen(struct fab *fab, const struct fab_listen_attr *attr,
		       const struct fab_listen_user *ops, void *user, struct fab_listener **out);
int roce_stream_connect(struct fab *fab, const struct fab_connect_attr *attr,
			const struct fab_stream_user *ops, void *user, struct fab_conn **out);
void roce_streams_close(struct fab *fab);

#endif
