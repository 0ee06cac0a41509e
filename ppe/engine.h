/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * engine.h - the inside of the engine.
 *
 * One UAL, one engine. The engine is a passive object: it does nothing by itself, and whoever holds
 * the *turn* runs it for one bounded round. Everything below that is not marked otherwise belongs to
 * the holder of the turn; functions that need it say so by asserting turn_held().
 *
 * The files, in the order that a descriptor travels:
 *	post.c		writes it into a queue, rings the doorbell, and sees that somebody will look
 *	owner.c		who runs the engine: polling, waiting, waking
 *	thread.c	the engine's own thread, for when no application thread does
 *	engine.c	one turn: doorbells, fabric, queues, events
 *	dti.c		a DTI's life; what both services share
 *	stream.c	the stream service: bytes between a stream connection and the queues
 *	file*.c		files: operations on them, and ranges of them that are sent (file.h)
 *	message.c	the message service: messages between a queue pair and the queues
 *	mr.c		the one road from numbers to memory
 *	pool.c		anonymous buffers
 *	evq.c		event queues: reserve a slot, fill it, take it
 */
#ifndef PPE_ENGINE_H
#define PPE_ENGINE_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fabric/fabric.h"
#include "fabric/timer.h"
#include "ppe/clock.h"
#include "ppe/futex.h"
#include "ppe/list.h"
#include "ppe/ppe.h"
#include "ppe/queue.h"

/* --------------------------------------------------------------- memory: mr.c, pool.c, segment.c */

/* What peers may know of a region. */
struct mr_remote {
	struct ppe_pd *pd;
	uint32_t key, auth;
	uint64_t offset; /* what peers call the first byte */
	struct ppe_cntr *reads, *writes;
	unsigned niov;
	struct iovec iov[];
};

struct mr_entry {
	uint64_t base, len; /* several pieces: 0, and the bytes of all */
	uint32_t ptag;
	uint16_t generation;
	uint8_t access;
	bool live;
	union {
		struct mr_remote *remote; /* live; NULL: not for peers */
		uint32_t next_free;       /* not live */
	};
};
static_assert(sizeof(struct mr_entry) <= 32, "a local region");

struct mr_table {
	struct mr_entry *entry;
	uint16_t *users;           /* file operations that use each; NULL: none ever did */
	struct fab_region **named; /* each as a fabric's device knows it; NULL: none ever did */
	uint32_t count, room, first_free;
};

/* 20 bits of number, 12 of generation: of regions and DTIs alike. */
#define HANDLE_BITS 20
#define HANDLE_MAX (1u << HANDLE_BITS)
#define HANDLE_GENERATIONS (1u << (32 - HANDLE_BITS))

static inline uint32_t handle_make(uint32_t number, uint32_t generation)
{
	return (generation << HANDLE_BITS) | number;
}
static inline uint32_t handle_number(uint32_t handle)
{
	return handle & (HANDLE_MAX - 1);
}
static inline uint32_t handle_generation(uint32_t handle)
{
	return handle >> HANDLE_BITS;
}

/*
 * The only road from numbers to memory, for local and remote access alike. 0 and the pointer, or why
 * not: -ENOKEY, -EKEYREVOKED, -EKEYREJECTED, -EACCES, -ERANGE.
 */
int mr_check(const struct mr_table *t, uint32_t region, uint32_t ptag, uint64_t addr, uint64_t len,
	     unsigned access, void **ptr);
/* The same for peers, who name a region by a key of their protection domain: pd_check() is the way in. */
int mr_check_remote(const struct mr_table *t, uint32_t number, uint32_t auth, uint64_t addr,
		    uint64_t len, unsigned access, struct iovec *iov);
/* A file operation holds a region that was checked: it cannot be deregistered. -ENOMEM. */
int mr_use(struct mr_table *t, uint32_t region);
/* By its number. */
void mr_unuse(struct mr_table *t, uint32_t number);
/*
 * The same region for a fabric with a device of its own, which hears of it when it is deregistered.
 * NULL: it is no one piece of memory, or all of it; or there is no memory for this.
 */
struct fab_region *mr_fabric_region(struct ppe_ual *ual, uint32_t region);
void mr_table_destroy(struct mr_table *t);

struct pool_class {
	uint32_t size, count, used;
	uint8_t *memory;
	uint32_t *free; /* stack of the free buffers' numbers */
};

/* Anonymous buffers in up to four sizes, ascending. */
struct pool {
	struct pool_class c[PPE_POOL_CLASSES];
	unsigned classes;
	size_t bytes; /* in all */
};

int pool_init(struct pool *p, const struct ppe_ual_attr *attr);
void pool_destroy(struct pool *p);
/* The smallest free buffer of at least @want bytes; else the largest free one; NULL: none. */
void *pool_get(struct pool *p, size_t want, size_t *size);
/* Returns its size. */
size_t pool_put(struct pool *p, void *buf);
/* Size of the largest free buffer. */
size_t pool_room(const struct pool *p);

/*
 * Memory that an engine in another process would have to see: rings and their indices. Chunks that a
 * fork's child does not get, cut into lines.
 */
struct segment {
	struct segment_chunk *chunks;
	uint8_t *next, *end;
	void **free; /* free pieces, by size in lines */
};

#define SEGMENT_FREE_LISTS 1025 /* pieces of up to 64 KiB are kept by size */

int segment_init(struct segment *s);
void segment_destroy(struct segment *s);
/* Zeroed, cache-line aligned; NULL: no memory. */
void *segment_alloc(struct segment *s, size_t size);
void segment_free(struct segment *s, void *piece, size_t size);

/* ------------------------------------------------------------------------------- event queues */

/* What sleeps on an event queue, and how to wake it. Set by the sleeper, taken by exchange. */
enum armed {
	ARMED_NONE,
	ARMED_FUTEX,  /* a follower, on evq->armed itself */
	ARMED_LEADER, /* a waiter that sleeps in the fabric: a kick */
	ARMED_FD,     /* a program in poll(): the event queue's eventfd */
	ARMED_ANY,    /* a follower on several queues, on ual->any_seq */
};

/* What ends a wait without an event. */
#define EVQ_INTERRUPT 0x01 /* ppe_evq_interrupt */
#define EVQ_NEWS 0x02      /* the counter has changed */

struct ppe_evq {
	/* shared with the consumer */
	struct ppe_spsc *idx;
	struct ppe_event *ring;
	uint32_t size;
	unsigned flags;

	/* engine's */
	struct ppe_ual *ual;
	uint32_t number;
	uint32_t tail;     /* events written, published or not */
	uint32_t reserved; /* slots promised to operations that have begun */
	uint32_t head_seen;
	uint32_t seq;
	uint32_t bound;           /* DTI queues that report here */
	struct ppe_cntr *cntr;    /* this is the hidden queue of; NULL: an ordinary one */
	struct list dirty;        /* in ual->dirty_evqs: written, not published */
	struct list stalled;      /* struct stall: DTIs that wait for a slot */
	uint32_t flushed_in_time; /* doorbells answered soon, since the last late one */

	/* both sides', by atomics */
	_Alignas(PPE_CACHE_LINE) futex_t armed; /* enum armed */
	_Atomic uint32_t want_room;             /* the engine waits for a slot */
	_Atomic uint32_t rung;
	_Atomic int32_t eager;        /* posts that shall transmit themselves, see post.c */
	_Atomic int32_t signo;        /* to send; 0: none. Taken by exchange */
	_Atomic int32_t signal_tid;   /* to whom */
	_Atomic uint32_t interrupted; /* EVQ_ bits; taken by exchange */

	/* consumer's */
	_Alignas(PPE_CACHE_LINE) futex_t lock; /* taken when PPE_LOCKED */
	futex_t wait_lock;                     /* one waiter at a time */
	_Atomic uint32_t reads;                /* non-empty ones */
	_Atomic uint32_t fd_mode_polls;        /* empty polls until it counts as polling again */
	_Atomic uint64_t busy_since;           /* ticks: trylock has failed since */
	bool spin;                             /* the waiter's: spinning paid off the last time */
	uint8_t spin_after; /* short sleeps with one event, till it may be tried again */
	int eventfd;
	int fd; /* eventfd, or the epoll descriptor when inline */
};

/* A slot for one event that will certainly come. false: none; the caller stalls. */
bool evq_reserve(struct ppe_evq *q);
/* It will not come: whoever waits for a slot may have this one. */
void evq_unreserve(struct ppe_evq *q);
/* Fills a reserved slot. */
void evq_post(struct ppe_evq *q, const struct ppe_event *ev);
/* Makes what was posted visible, and wakes who sleeps; at the end of each turn. */
void evq_publish(struct ppe_evq *q);
/* Runs @d again when @q has room. */
void evq_stall(struct ppe_evq *q, struct ppe_dti *d);
/* Runs again all that stalled for want of room in @q. */
void evq_resume(struct ppe_evq *q);
/* Anything to take? Any thread. */
bool evq_has_events(struct ppe_evq *q);
void evq_free(struct ppe_evq *q);

/* ---------------------------------------------------------------------------------------- DTIs */

enum dti_state {
	DTI_IDLE,
	DTI_LISTENING,
	DTI_CONNECTING, /* connect, or accept, under way */
	DTI_CONNECTED,
	DTI_DEAD, /* every operation ends with dti->error */
};

/* Words of a DTI that both sides write, and its two rings; followed by their slots. */
struct dti_shared {
	struct ppe_spsc sq, rq;
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t rung; /* in the doorbell queue */
	_Atomic uint32_t starved; /* the engine would act on a new receive: ring for it */
	_Atomic uint64_t rung_ticks;
};

/* A descriptor, copied out of its queue once. */
struct wr_copy {
	union ppe_slot s[PPE_WR_SLOTS_MAX];
};

/* What rx_next last named: where the bytes of the next upcall are. */
enum rx_target { RX_NOWHERE, RX_RECV, RX_ANON, RX_SINK };

/* Bytes that came before their receive. */
struct anon_buf {
	struct anon_buf *next;
	uint32_t off, len, room;
	uint8_t data[];
};

/* What must still be told to the application, for want of an event slot. */
#define PEND_CONNECT 0x01
#define PEND_ACCEPT 0x02
#define PEND_CLOSED 0x04
#define PEND_FLUSH 0x08   /* closed by the application: end what was posted, then free */
#define PEND_DISCARD 0x10 /* ... without events */

/* A DTI that waits for a slot in an event queue: its place in that queue's list. */
struct stall {
	struct list link;
	struct ppe_dti *dti;
};
enum stall_place { STALL_TX, STALL_RX, STALL_CM, STALL_PLACES };

struct ppe_dti {
	/* posters' */
	struct ppe_ual *ual;
	struct dti_shared *sh;
	union ppe_slot *sq_ring, *rq_ring;
	uint32_t sq_mask, rq_mask;
	uint32_t handle;
	uint8_t service, flags;
	futex_t sq_lock, rq_lock; /* taken when PPE_LOCKED */
	uint32_t bytes_posted;    /* since the send queue was last seen empty */
	uint32_t eager_epoch;     /* of the latest eager post: polls till then */

	/* engine's */
	uint8_t state, pending;
	bool in_use, rx_eof, rx_shut, stopped_rx;
	bool tx_shut; /* stream: FIN was sent; message: to be sent behind the last send */
	uint8_t rx_target, rx_slots; /* what rx_next named; slots and tag of that receive */
	int32_t error;
	uint64_t rx_tag;
	struct ppe_evq *tx_evq, *rx_evq, *cm_evq;
	uint64_t context;
	uint64_t cookie;
	struct list active; /* in ual->active */
	struct stall stall[STALL_PLACES];
	struct list pool_wait;

	union {
		struct fab_conn *conn;
		struct fab_listener *listener;
		struct fab_msg_listener *mlistener;
	};

	struct tx_write *write; /* being made */
	struct anon_buf
		*landing; /* what rx_next named, when it is no anonymous buffer of ours yet */

	/* the send that is partly on the wire */
	bool tx_part;
	bool tx_cold; /* the file's bytes that are next are being read */
	uint32_t tx_off;
	struct fab_file_range tx_range; /* as tx_next named it */
	struct wr_copy tx_copy;

	struct msg_dti *m; /* message service only: message.h */

	struct anon_buf *anon_head, *anon_tail;
	size_t anon_bytes; /* of buffers held, not of data */

	/* set-up */
	uint64_t cm_tag;
	int32_t cm_status, closed_status;
	struct ppe_dti *parent;  /* listener with which an accept is posted */
	struct ppe_evq *acc_evq; /* where PEND_ACCEPT goes; holds a `bound` */
	struct list accepts;     /* listener: children waiting; child: its place there */
	struct timer timer;      /* accept time-out */
	uint8_t *pdata;          /* from the peer */
	uint16_t pdata_len;
	struct list requests; /* message listener: requests not yet told */
	uint8_t option_set;   /* bit per fab_option */
	int32_t option[PPE_OPTIONS];
	bool bound;
	union fab_addr local, peer;
	uint32_t next_free;
};

/* An idle DTI and its default rings are most of what a connection costs in user memory. */
static_assert(sizeof(struct ppe_dti) <= 768, "a DTI's private part");
static_assert(sizeof(struct dti_shared) <= 320, "a DTI's shared words");

/* A peer that asks a message listener for a connection. */
struct ppe_request {
	struct list link;          /* ual->requests, or the listener's untold ones */
	struct fab_msg_conn *conn; /* NULL: withdrawn */
	uint64_t id;
	union fab_addr local, peer;
	struct fab_msg_peer who;
	uint16_t len; /* of the private data */
	uint8_t pdata[FAB_PDATA_MAX];
};

/* dti.c: for engine.c and the services */
void dti_activate(struct ppe_dti *d);
/* Does what can be done now: called for each active DTI in a turn. */
void dti_run(struct ppe_dti *d);
/* The connection is gone: what was posted ends with @error. */
void dti_die(struct ppe_dti *d, int error);
/* The outcome of a connect or accept, before anything that happens on the connection. False: no
 * event slot yet; dti_run() will go on. */
bool dti_tell_setup(struct ppe_dti *d);
void dti_starved(struct ppe_dti *d);
/* The accepts posted with a listener end with @err. */
void dti_fail_accepts(struct ppe_dti *l, int err);
void dti_destroy_all(struct ppe_ual *ual);
/* An event of @d, in a slot that was reserved in @q. */
void dti_event(struct ppe_dti *d, struct ppe_evq *q, enum ppe_event_type type, uint64_t tag,
	       int status, uint64_t len);
/* The event that ends a request of this kind. */
enum ppe_event_type dti_event_type(const struct ppe_wr *wr);
void dti_options_apply(struct ppe_dti *d);

/* Head of a queue: the copy of the next request, NULL when there is none. Skips cancelled ones. */
struct queue_view {
	struct ppe_spsc *idx;
	union ppe_slot *ring;
	uint32_t mask;
};
static inline struct queue_view dti_sq(struct ppe_dti *d)
{
	return (struct queue_view){ &d->sh->sq, d->sq_ring, d->sq_mask };
}
static inline struct queue_view dti_rq(struct ppe_dti *d)
{
	return (struct queue_view){ &d->sh->rq, d->rq_ring, d->rq_mask };
}
/*
 * Copies the request @ahead slots behind the head. Returns the slots it takes, 0: there is none.
 * A malformed one is copied as a request of one slot with op PPE_WR_NONE + PPE_WR_MALFORMED flag.
 */
#define PPE_WR_MALFORMED 0x80
unsigned queue_peek(struct queue_view q, uint32_t ahead, struct wr_copy *out);
/* The same for requests of up to @max slots. */
unsigned queue_peek_slots(struct queue_view q, uint32_t ahead, union ppe_slot *out, unsigned max);
static inline void queue_release(struct queue_view q, unsigned slots)
{
	ppe_spsc_release(q.idx, slots);
}
/* Gather list of a copied request as memory, or why not. @access: PPE_ACCESS_LOCAL_... */
int wr_resolve(struct ppe_ual *ual, const struct wr_copy *c, unsigned access, struct iovec *iov,
	       unsigned *niov);
/* Counts a refused descriptor by its reason, and returns @err. */
int wr_reject(struct ppe_ual *ual, int err);
static inline const struct ppe_sge *wr_sge(const struct wr_copy *c)
{
	return (const struct ppe_sge *)(const void *)(c->s[0].bytes + sizeof(struct ppe_wr));
}
/* Drops @skip bytes from the front of a gather list; returns its new length. */
unsigned iov_skip(struct iovec *iov, unsigned n, size_t skip);
/* Keeps the first @len bytes. */
unsigned iov_trim(struct iovec *iov, unsigned n, size_t len);

/* stream.c */
extern const struct fab_stream_user stream_user;
extern const struct fab_listen_user stream_listen_user;
void stream_run(struct ppe_dti *d);
/* Receives are served from what came before them. False: no event slot. */
bool stream_serve_anon(struct ppe_dti *d);
void stream_drop_anon(struct ppe_dti *d);

/* message.c; the rest of the message service is in message.h */
extern const struct fab_msg_listen_user message_listen_user, rdm_listen_user;
int message_create(struct ppe_dti *d, const struct ppe_dti_attr *a);
void message_free(struct ppe_dti *d);
int message_connect(struct ppe_dti *d, const struct fab_connect_attr *attr, const void *pdata,
		    size_t len);
int message_accept(struct ppe_dti *d, struct fab_msg_conn *conn, const struct fab_msg_peer *who,
		   const void *pdata, size_t len);
/* NULL: there is no connection. */
const char *message_wire(struct ppe_dti *d, uint32_t peer);
void message_cancel_connect(struct ppe_dti *d);
int message_cancel(struct ppe_dti *d, uint64_t tag, unsigned which);
void message_run(struct ppe_dti *d);
/* Connections, and what was begun on them, end. */
void message_close(struct ppe_dti *d, int error);
/* What was posted and not begun ends. False: no event slot. */
bool message_flush(struct ppe_dti *d, int error, bool discard);
void message_forget(struct ppe_dti *d);
/* Of a request that is still in its queue, and will never leave it. */
bool message_wants_no_event(const struct ppe_dti *d, bool recv, const union ppe_slot *s);
void message_describe_flushed(bool recv, const union ppe_slot *s, struct ppe_event *ev);
void message_count_flushed(struct ppe_dti *d, bool recv, const union ppe_slot *s, unsigned slots);
bool message_is_rdm(const struct ppe_dti *d);
struct ppe_request *request_find(struct ppe_ual *ual, uint64_t id);
void request_free(struct ppe_request *r);
void requests_drop(struct ppe_ual *ual, struct ppe_dti *listener);
/* What is kept for the next message, and connections that are no more. */
void links_reap(struct ppe_ual *ual);
void ops_free(struct ppe_ual *ual);
void recvs_free(struct ppe_ual *ual);

/* ----------------------------------------------------------------------------------------- UAL */

/* A send of which this turn's write may carry a part. */
struct tx_op {
	struct wr_copy copy;
	struct iovec iov[PPE_SGE_MAX];
	uint32_t len;
	unsigned slots;
	struct ppe_file *file; /* NULL: memory */
	uint64_t offset;
};
#define TX_BATCH 128
#define TX_BATCH_SMALL 8

/*
 * A write that the fabric is making for one connection, between tx_next and tx_done: the sends that
 * went into it. One is large; where the fabric has several open at once, the others are small.
 */
struct tx_write {
	struct tx_write *next; /* in ual->writes, while it is free */
	unsigned count, max;
	struct tx_op op[];
};

/* Heuristics' words: several readers may write them, and any of the values will do. */
#define get_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define set_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)

/* A poll this recent: somebody is polling. The thread need not lead, and as a guard may back off. */
#define PPE_POLLING_US 200

enum slot { SLOT_NONE, SLOT_THREAD, SLOT_WAITER };
enum thread_state { THREAD_NONE, THREAD_GUARD, THREAD_LEAD, THREAD_DEEP };
enum turn_kind { TURN_POLL, TURN_WAIT, TURN_THREAD, TURN_POST };

struct ppe_ual {
	/* The words of the ownership protocol (owner.c, tests/model). Flags are written by
	 * sequentially consistent read-modify-writes. */
	_Alignas(PPE_CACHE_LINE) futex_t turn;
	_Atomic uint32_t turn_wanted; /* threads that block for it: pollers let them pass */
	_Atomic(const void *) turn_owner;
	int cancel_state;                                /* the holder's */
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t slot;  /* who may sleep in the fabric */
	_Alignas(PPE_CACHE_LINE) _Atomic uint32_t epoch; /* turns by non-blocking pollers */
	_Atomic uint64_t last_poll;                      /* ticks of the latest */
	_Atomic uint64_t recall_since;                   /* ticks, and posts since: see post.c */
	_Atomic uint32_t recall_posts;
	_Alignas(PPE_CACHE_LINE) futex_t t_word;  /* hand-over to the thread */
	_Atomic uint32_t t_state;                 /* enum thread_state */
	_Atomic uint32_t t_cpu;                   /* the thread's processor + 1 */
	_Alignas(PPE_CACHE_LINE) futex_t any_seq; /* followers on several queues */
	_Atomic uint32_t followers; /* queues armed in another way than ARMED_LEADER, and signals */
	_Atomic uint32_t bells_head;  /* copy of bells.head, for sleepers' re-check */
	_Atomic uint32_t work_left;   /* a turn ended with active DTIs: sleepers' re-check too */
	_Atomic uint64_t sleep_until; /* when the slot's holder wakes by itself, ns; 0: awake */
	struct ppe_doorbells bells;

	/* fixed at open */
	_Alignas(PPE_CACHE_LINE) const volatile uint8_t *alive; /* 0 in a fork's child */
	uint8_t placement;                                      /* enum ppe_placement */
	bool single_thread;                                     /* as promised */
	int cpu;                                                /* dedicated: where; -1: anywhere */
	pid_t pid;
	uint32_t max_dtis, max_evqs;
	void (*log)(void *arg, int level, const char *text);
	void *log_arg;

	/* the thread */
	pthread_t thread;
	bool thread_started;
	_Atomic bool stop;

	/* engine's */
	struct fabric fabric;
	struct fab_env env;
	struct timers timers;
	struct segment segment;
	struct pool pool;
	struct mr_table mrs;
	struct list active; /* DTIs to run in this turn */
	struct list pool_waiters;
	struct list dirty_evqs;
	struct list pds, avs;   /* all there are */
	struct auth_key *auths; /* pd.c */
	uint32_t nauths;
	struct list due_cntrs; /* cntr.c: triggers to look at */
	bool firing;
	uint32_t cntr_seq;    /* generation of the latest */
	struct list requests; /* told, not answered */
	uint64_t request_seq;
	struct ppe_dti **dtis;
	uint32_t ndtis, dti_first_free;
	struct ppe_evq **evqs;
	uint32_t nevqs;
	struct anon_buf *landing; /* the next buffer for bytes of a stream that nobody expects */
	uint32_t turns;

	/* files */
	uint32_t file_work; /* requests that the service has: the one word that turns look at */
	bool file_hold;     /* the next turn begins what was posted in this one */
	struct files *files;
	uint32_t posted_file_ops;
	struct file_op *free_file_ops;
	struct ppe_file **file;
	uint32_t nfiles, files_room, file_first_free;

	bool by_thread;                                             /* this turn is the thread's */
	struct list dead_links, free_ops, free_big_ops, free_recvs; /* message service */
	struct wire_send *sends; /* what the link sends_of has been asked for in this write */
	struct msg_link *sends_of;
	unsigned sends_from, nsends; /* the first is that many messages behind its oldest one */
	struct tx_write *writes;     /* not in use; the large one is first */
	uint8_t *sink;               /* dropped bytes land here */
	struct ppe_counters counters;
};

#define SINK_BYTES 16384

static inline bool ual_alive(const struct ppe_ual *ual)
{
	return *ual->alive != 0;
}

#define count(ual, what, n) fab_count(&(ual)->counters.what, (n))

/* Counters that are also counted outside the turn. */
static inline void count_shared(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------ owner.c, thread.c, engine.c */

bool turn_held(const struct ppe_ual *ual);
bool turn_trylock(struct ppe_ual *ual);
void turn_lock(struct ppe_ual *ual);
void turn_unlock(struct ppe_ual *ual);

/*
 * One bounded round. Nothing, for another thread than a dedicated one that is there: there is a fabric
 * that cannot change owners.
 */
void turn_run(struct ppe_ual *ual, enum turn_kind kind);
/* The poster's own: one DTI's sends, no harvest. */
void turn_transmit(struct ppe_dti *d);
/* Every queue that has rung becomes active. */
void turn_take_doorbells(struct ppe_ual *ual);
/* Publishes every event posted in this turn. */
void turn_publish(struct ppe_ual *ual);

/* Somebody must run the engine because a caller is about to sleep, or leaves others asleep. */
void owner_handover(struct ppe_ual *ual);
/*
 * Sleep in the fabric until something happens, @until (ns), or the engine's first deadline; for the
 * holder of the slot. Drains the kick. 0 or -EINTR.
 */
int owner_sleep(struct ppe_ual *ual, uint64_t until);
/* Takes @q's arm away, if any, and wakes what slept on it. */
void owner_wake(struct ppe_evq *q);
/* Disarms after waking: keeps ual->followers right. Returns how it was armed. */
enum armed owner_disarm(struct ppe_evq *q);
/* Doorbells that nobody has taken yet, or DTIs that a turn has left to the next. */
bool owner_work_pending(struct ppe_ual *ual);

/* First connection: start the engine's thread, if the placement has one. 0 or -errno. */
int thread_start(struct ppe_ual *ual);
/* A dedicated thread runs the engine alone; before the first connection it is not there yet. */
bool thread_spins(struct ppe_ual *ual);
void thread_stop(struct ppe_ual *ual);

void ual_logf(struct ppe_ual *ual, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Rings for a queue whose number and rung flag are given; true when it was not rung before. */
static inline bool doorbell_ring(struct ppe_ual *ual, _Atomic uint32_t *rung, uint32_t number)
{
	if (atomic_exchange_explicit(rung, 1, memory_order_seq_cst))
		return false;
	ppe_doorbell_push(&ual->bells, number);
	return true;
}

/* Doorbell numbers of event queues stand behind those of DTIs. */
static inline uint32_t evq_bell(const struct ppe_evq *q)
{
	return q->ual->max_dtis + q->number;
}

#endif
