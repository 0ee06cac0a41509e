/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ppe.h - the packet processing engine, as its consumers (DUSI, the libfabric provider) see it.
 *
 *	UAL	user adaptation layer: one application's attachment to one engine. It owns the
 *		doorbells, the anonymous buffer pool, the registered memory and all that follows.
 *	EvQ	event queue: completions come back here, one cache line each.
 *	DTI	direct transport interface: a send queue and a receive queue bound to event queues;
 *		one transport endpoint. Its service is a byte stream or messages (a queue pair).
 *
 * An operation is posted as a descriptor; the engine carries it out and puts exactly one event in
 * the event queue that its queue is bound to (none for a silent one that succeeds). Memory named in
 * a descriptor belongs to the engine from the post until that event; the descriptor itself, and
 * inline data, may be reused at once.
 *
 * Who runs the engine is the placement's business:
 *	adaptive	threads that poll or wait run it; when they stop, its own thread does
 *	inline		only threads that are inside a call of this interface
 *	dedicated[:cpu]	its own thread, spinning on that processor
 *
 * Threads. Everything here may be called from any thread, but: the posts of one queue, and the reads
 * of one event queue, must not overlap unless PPE_LOCKED was given at creation; destroying an
 * object must not overlap any other use of it. Nothing here is async-signal-safe, but ppe_evq_read
 * with a count of 0 in a handler fails harmlessly.
 *
 * fork: a child has none of this; each call there answers -EOWNERDEAD.
 *
 * Errors are negative errno values, returned by a call or carried in an event's status:
 *	-EAGAIN		the queue is full, nothing was posted; an event of this queue announces room
 *	-EINVAL		an argument is wrong in itself	-ENOTCONN, -EISCONN, ... as for sockets
 *	-ECANCELED	cancelled, or its DTI was closed
 *	-EBADMSG	the descriptor is malformed
 *	-ENOKEY		no such region			-EKEYREVOKED  it was deregistered
 *	-EKEYREJECTED	wrong protection tag		-ERANGE       beyond the region's bounds
 *	-EACCES		the region does not allow this use
 */
#ifndef PPE_H
#define PPE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "fabric/fabric.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ppe_ual;
struct ppe_evq;
struct ppe_dti;

/* -------------------------------------------------------------------------- UAL */

enum ppe_placement { PPE_ADAPTIVE, PPE_INLINE, PPE_DEDICATED };

#define PPE_POOL_CLASSES 4

/* Promised: every call of this UAL comes from one thread. */
#define PPE_UAL_SINGLE_THREAD 0x01

struct ppe_ual_attr {
	const char *placement; /* as above; NULL: $ETA_PPE, else adaptive */
	const char *fabric;    /* as of fabric_open(); NULL: $ETA_FABRIC, else tcp */
	unsigned flags;        /* PPE_UAL_ */
	uint32_t max_dtis;     /* and so doorbells; 0: 65,536 */
	uint32_t max_evqs;     /* 0: 1,024 */
	/* Anonymous buffers, smallest size first; all 0: 256 of 2 KiB and 64 of 16 KiB. */
	struct {
		uint32_t size, count;
	} pool[PPE_POOL_CLASSES];
	struct fab_msg_attr msg; /* message service; zero members: defaults */
	/* What the engine has to say; NULL: silent. Called under the turn: must not call back. */
	void (*log)(void *arg, int level, const char *text);
	void *log_arg;
};

/*
 * -EINVAL: malformed placement or pool; -ENOENT: unknown fabric; -EOPNOTSUPP: it cannot be had here;
 * -ENODEV: nor its device, or the dedicated processor cannot be used; -ENOMEM. The log has the reason.
 * The engine's own thread starts at the first connect or listen.
 */
int ppe_ual_open(const struct ppe_ual_attr *attr, struct ppe_ual **ual);
/* Closes what is left in it, then itself; no events any more. */
void ppe_ual_close(struct ppe_ual *ual);
/*
 * Ends the engine's own thread, for good; everything else stays, and works as under inline
 * placement. For a process that is ending, where other threads may still be inside calls.
 */
void ppe_ual_stop(struct ppe_ual *ual);
enum ppe_placement ppe_ual_placement(const struct ppe_ual *ual);

/* What the engine runs on, and why, in words for people; valid while the UAL is. */
struct ppe_ual_info {
	const char *placement;
	const char *fabric, *fabric_why;
	const char *files, *files_why; /* NULL until the first file operation */
};
void ppe_ual_info(struct ppe_ual *ual, struct ppe_ual_info *info);

enum ppe_reject { /* why descriptors were refused */
		  PPE_REJECT_MALFORMED,
		  PPE_REJECT_NO_REGION,
		  PPE_REJECT_REVOKED,
		  PPE_REJECT_TAG,
		  PPE_REJECT_BOUNDS,
		  PPE_REJECT_ACCESS,
		  PPE_REJECT_FAULT,
		  PPE_REJECT_STATE,
		  PPE_REJECT_REASONS
};

struct ppe_counters {
	struct fab_counters fab;
	uint64_t turns, turns_poll, turns_wait, turns_thread, turns_post;
	uint64_t sends, send_bytes, recvs, recv_bytes, events, silent;
	uint64_t cancelled, flushed;
	uint64_t doorbells, late_flushes, eager_posts;
	uint64_t wakes_futex, wakes_fd, wakes_signal, handovers;
	uint64_t thread_wakes, thread_takeovers;
	uint64_t evq_stalls, rx_stalls, pool_stalls;
	uint64_t anon_bytes, anon_copied; /* into anonymous buffers; and from there to receives */
	uint64_t file_ops, file_waits;    /* operations; sends that waited for a file to be read */
	uint64_t rejects[PPE_REJECT_REASONS];
	/* levels, not counts */
	uint64_t dtis, evqs, regions, pool_used;
};
void ppe_ual_counters(struct ppe_ual *ual, struct ppe_counters *out);
/* name and value of the i-th counter in words; false when there is none. */
bool ppe_counter_name(unsigned i, const struct ppe_counters *c, const char **name, uint64_t *value);

/* ----------------------------------------------------------------------- memory */

#define PPE_ACCESS_LOCAL_READ 0x01  /* may be sent from */
#define PPE_ACCESS_LOCAL_WRITE 0x02 /* may be received into */
#define PPE_ACCESS_REMOTE_READ 0x04
#define PPE_ACCESS_REMOTE_WRITE 0x08

struct ppe_mr {
	uint32_t region; /* handle: number and generation */
	uint32_t ptag;   /* protection tag: random, the proof of the right to use the region */
};

/* A piece of registered memory. */
struct ppe_sge {
	uint64_t addr;
	uint32_t len;
	uint32_t region;
	uint32_t ptag;
	uint32_t zero; /* reserved, must be 0 */
};

/*
 * @len may be SIZE_MAX with @addr NULL: the whole address space (no check that it is mapped).
 * -EINVAL: empty, wraps, or no access; -EFAULT: not mapped; -ENOMEM; -ENOSPC: too many regions.
 */
int ppe_mr_register(struct ppe_ual *ual, const void *addr, size_t len, unsigned access,
		    struct ppe_mr *mr);
/*
 * No operation touches the region after this returns; those that name it end with -EKEYREVOKED.
 * What a device is moving there just then fails with its connection.
 * -ENOKEY, -EKEYREVOKED, -EKEYREJECTED: not a live region, or not its tag; -EBUSY: a file operation
 * uses it.
 */
int ppe_mr_deregister(struct ppe_ual *ual, struct ppe_mr mr);

/*
 * Memory that peers may name. A protection domain is a namespace of 32-bit keys; a key is what goes
 * over the wire as STag. A peer gets at a region if its endpoint presented the same authorisation key
 * as the region has, none being a key like any other.
 */
struct ppe_pd;
struct ppe_cntr;

#define PPE_MR_IOV_MAX 8
#define PPE_AUTH_MAX 64

struct ppe_mr_attr {
	struct ppe_pd *pd;
	const struct iovec *iov; /* pieces, addressed as if they lay one behind the other */
	unsigned niov;           /* 1 to PPE_MR_IOV_MAX */
	unsigned access;
	uint64_t offset; /* what peers call the first byte: 0, or its address */
	bool choose_key; /* a random one; else: */
	uint32_t key;
	const void *auth; /* authorisation key; NULL: none */
	size_t auth_len;
};

int ppe_pd_create(struct ppe_ual *ual, struct ppe_pd **pd);
/* -EBUSY: regions or DTIs are in it. */
int ppe_pd_destroy(struct ppe_pd *pd);
/*
 * As ppe_mr_register, with the errors of that; a single piece of NULL and SIZE_MAX is all memory.
 * -ENOKEY: the key is taken. Ended by ppe_mr_deregister.
 */
int ppe_mr_register_remote(struct ppe_ual *ual, const struct ppe_mr_attr *attr, struct ppe_mr *mr,
			   uint32_t *key);
/* Counts the peers' writes to, or reads from, the region (@access: PPE_ACCESS_REMOTE_..). NULL: no more. */
int ppe_mr_count(struct ppe_ual *ual, struct ppe_mr mr, unsigned access, struct ppe_cntr *cntr);

/* ----------------------------------------------------------------- event queues */

enum ppe_event_type {
	PPE_EV_NONE,
	PPE_EV_SEND,     /* sent: the memory is the application's again */
	PPE_EV_RECV,     /* received: len bytes; stream: 0 = the peer will send no more */
	PPE_EV_CONNECT,  /* connect or accept_request done */
	PPE_EV_ACCEPT,   /* accept done: dti is the child */
	PPE_EV_REQUEST,  /* message listener: a peer asks; data = its number for accept_request */
	PPE_EV_SHUTDOWN, /* a posted shutdown has been sent */
	PPE_EV_CLOSED,   /* message DTI: the connection ended; status says how */
	/* message service */
	PPE_EV_WRITE,
	PPE_EV_READ,
	PPE_EV_ATOMIC,       /* without result */
	PPE_EV_FETCH,        /* with result, compare included */
	PPE_EV_REMOTE_WRITE, /* a peer wrote so many bytes, and sent data along */
	PPE_EV_RELEASED,     /* a receive for many messages is the application's again */
	/* of files: cookie, context and handle are the file's */
	PPE_EV_FILE_OPEN,
	PPE_EV_FILE_READ,
	PPE_EV_FILE_WRITE,
	PPE_EV_FILE_STAT,
	PPE_EV_FILE_SYNC,
};

#define PPE_EVF_TRUNCATED 0x01 /* receive: the message was full_len long, len bytes of it fitted */
#define PPE_EVF_TAGGED 0x02    /* tag is valid */
#define PPE_EVF_DATA 0x04      /* data is valid: the sender's */
#define PPE_EVF_RELEASED 0x08  /* receive for many messages: this was its last */
#define PPE_EVF_SRC 0x10       /* src is valid, and not seq */

/* Sender that is not in the address vector: with this bit, a number for ppe_dti_source. */
#define PPE_SRC_UNKNOWN 0x80000000u
#define PPE_SRC_NONE 0xffffffffu

struct ppe_event {
	uint64_t user_tag;
	uint64_t cookie; /* of the DTI */
	uint64_t len;    /* bytes transferred */
	uint64_t data;
	union {
		uint64_t context;  /* streams: of the DTI, like the cookie: survives its closing */
		uint64_t buf;      /* received for many: where this message begins */
		uint64_t full_len; /* PPE_EVF_TRUNCATED */
	};
	uint64_t tag;
	uint32_t dti;   /* handle, of a DTI or a file */
	uint16_t type;  /* enum ppe_event_type */
	uint16_t flags; /* PPE_EVF_ */
	int32_t status; /* 0, or a negative errno value */
	union {
		uint32_t seq; /* counts this queue's events */
		uint32_t
			src; /* receives of DTIs with an address vector: the sender's number in it */
	};
};

#define PPE_LOCKED 0x01 /* posts or reads may come from several threads at once */

struct ppe_evq_attr {
	uint32_t size;  /* events; rounded up to a power of two; 0: 256 */
	unsigned flags; /* PPE_LOCKED */
};

/* -ENOMEM, -ENOSPC: max_evqs; -EINVAL: more than 2^20 events. */
int ppe_evq_create(struct ppe_ual *ual, const struct ppe_evq_attr *attr, struct ppe_evq **evq);
/* -EBUSY: a DTI or a file is bound to it, or a thread waits on it. */
int ppe_evq_destroy(struct ppe_evq *evq);

/*
 * Takes up to @max events, running the engine for one turn when there are none (and now and then
 * when there are). Returns how many.
 */
int ppe_evq_read(struct ppe_evq *evq, struct ppe_event *ev, int max);
/* As above, but never runs the engine. */
int ppe_evq_take(struct ppe_evq *evq, struct ppe_event *ev, int max);
/* Takes the oldest event with this user tag, wherever it stands: 1; 0: there is none. Runs the engine
 * for one turn when there is none. */
int ppe_evq_take_tag(struct ppe_evq *evq, uint64_t user_tag, struct ppe_event *ev);
/* Events waiting. */
uint32_t ppe_evq_count(struct ppe_evq *evq);
/*
 * Sleeps until one of @n event queues of the same UAL has an event. 0: there is one (or was: another
 * reader may have taken it); -ETIMEDOUT; -EINTR: ppe_evq_interrupt, or a signal was handled;
 * -EBUSY: another thread waits on one of several queues; -EINVAL. Negative @timeout_ns: no limit.
 */
int ppe_evq_wait(struct ppe_evq *const *evqs, unsigned n, int64_t timeout_ns);
/* Ends a wait, now or the next one. */
void ppe_evq_interrupt(struct ppe_evq *evq);

/*
 * Readiness for poll(): a descriptor that is readable after an event came while the queue was armed.
 * ppe_evq_arm: 0: armed, the program may sleep on the descriptor; -EAGAIN: there are events.
 */
int ppe_evq_fd(struct ppe_evq *evq, int *fd);
int ppe_evq_arm(struct ppe_evq *evq);

/*
 * A signal to the calling thread at the next change from empty to non-empty. 0: enabled; -EAGAIN:
 * there are events, not enabled; -EINVAL: signal number; -EOPNOTSUPP: inline placement has no one
 * to send it. Block the signal, enable, then sigsuspend(): no wake-up is lost. 0 as signal disables.
 */
int ppe_evq_notify(struct ppe_evq *evq, int signo);

/* Forgets waiting events of DTIs with this cookie, so that no one meets a freed object. */
void ppe_evq_purge(struct ppe_evq *evq, uint64_t cookie);

/* -------------------------------------------------------- counters, address vectors */

/*
 * A counter of operations that ended well, and one of those that did not. Bumped by the engine; read
 * without a call into it.
 */
int ppe_cntr_create(struct ppe_ual *ual, struct ppe_cntr **cntr);
/* -EBUSY: DTIs, regions or posts that wait for it name it. */
int ppe_cntr_destroy(struct ppe_cntr *cntr);
uint64_t ppe_cntr_value(const struct ppe_cntr *cntr);
uint64_t ppe_cntr_errors(const struct ppe_cntr *cntr);
/* Sets it going like the engine does: what waits for it may begin. */
void ppe_cntr_add(struct ppe_cntr *cntr, uint64_t value, uint64_t errors);
void ppe_cntr_set(struct ppe_cntr *cntr, uint64_t value);
void ppe_cntr_set_errors(struct ppe_cntr *cntr, uint64_t errors);
/*
 * When @cntr reaches @threshold, errors included, @target changes by @value, or becomes it. Both must
 * live till then.
 */
int ppe_cntr_chain(struct ppe_cntr *cntr, uint64_t threshold, struct ppe_cntr *target, bool set,
		   uint64_t value, struct ppe_cntr *complete);
/* Forgets what waits for it: the operations end with -ECANCELED. Returns how many. */
int ppe_cntr_flush(struct ppe_cntr *cntr);
/*
 * 0: it has reached @threshold; -EIO: the errors changed while waiting; -ETIMEDOUT; -EINTR.
 * Negative @timeout_ns: no limit.
 */
int ppe_cntr_wait(struct ppe_cntr *cntr, uint64_t threshold, int64_t timeout_ns);
/* An event queue without events: reading it runs the engine, its descriptor polls for changes. */
struct ppe_evq *ppe_cntr_evq(struct ppe_cntr *cntr);

/* Names of peers, by number from 0 on. The same address twice is the same number. */
struct ppe_av;
int ppe_av_create(struct ppe_ual *ual, struct ppe_av **av);
/* -EBUSY: DTIs are bound to it. */
int ppe_av_destroy(struct ppe_av *av);
int ppe_av_insert(struct ppe_av *av, const struct sockaddr *sa, socklen_t len, uint32_t *number);
/* What was posted to it and not begun ends with -EADDRNOTAVAIL. -ENOENT. */
int ppe_av_remove(struct ppe_av *av, uint32_t number);
int ppe_av_lookup(struct ppe_av *av, uint32_t number, union fab_addr *addr);
/* -ENOENT */
int ppe_av_find(struct ppe_av *av, const union fab_addr *addr, uint32_t *number);

/* ------------------------------------------------------------------------- DTIs */

/*
 * A message DTI with an address vector is a datagram endpoint: one DTI, many peers, each post names
 * one; connections are made as they are needed. One without is a connected queue pair. A shared
 * receive queue is a DTI of its own, which only ppe_post_message can do something with.
 */
enum ppe_service { PPE_STREAM, PPE_MESSAGE, PPE_SHARED_RECV };

/* What a counter of a DTI may count; bits for ppe_dti_count. */
enum ppe_counted {
	PPE_COUNT_SEND = 0x01, /* completed, each: */
	PPE_COUNT_RECV = 0x02,
	PPE_COUNT_READ = 0x04,
	PPE_COUNT_WRITE = 0x08,
	PPE_COUNT_REMOTE_READ = 0x10, /* by peers */
	PPE_COUNT_REMOTE_WRITE = 0x20,
};
#define PPE_COUNTED 6

struct ppe_dti_attr {
	enum ppe_service service;
	unsigned flags;         /* PPE_LOCKED */
	uint32_t sq_slots;      /* descriptors of one line each; rounded up; 0: 16 */
	uint32_t rq_slots;      /* likewise */
	struct ppe_evq *tx_evq; /* sends, shutdowns; never NULL */
	struct ppe_evq *rx_evq; /* receives, accepts; NULL: tx_evq */
	struct ppe_evq *cm_evq; /* connects, requests, closed; NULL: tx_evq */
	uint64_t cookie;        /* comes back in every event */
	uint64_t context;       /* likewise; not looked at */
	/* message service; all may be 0 */
	struct ppe_pd *pd;       /* what peers may name; NULL: nothing */
	struct ppe_av *av;       /* the peers that posts name; NULL: connected */
	struct ppe_dti *srq;     /* receives come from this shared queue instead */
	const void *auth;        /* authorisation key */
	size_t auth_len;         /* at most PPE_AUTH_MAX */
	uint32_t tx_max, rx_max; /* operations begun and not ended; 0: 65,536 */
	bool no_tx_events;       /* tx_evq only says who polls; operations are counted, if that */
	bool no_rx_events;
	uint64_t peer_timeout_ns; /* a peer that says nothing for so long is dead; 0: never */
	uint64_t connect_timeout_ns;
};

/* -EINVAL: event queue missing or of another UAL, sizes; -ENOSPC: max_dtis; -ENOMEM. */
int ppe_dti_create(struct ppe_ual *ual, const struct ppe_dti_attr *attr, struct ppe_dti **dti);
/*
 * Closes the connection. After it returns the engine touches none of the memory that was posted.
 * Operations still posted end with -ECANCELED, or without events when @discard.
 */
void ppe_dti_destroy(struct ppe_dti *dti, bool discard);

/* Handle for queue entries and events; and back (NULL: stale or never given). */
uint32_t ppe_dti_handle(const struct ppe_dti *dti);
struct ppe_dti *ppe_dti_lookup(struct ppe_ual *ual, uint32_t handle);
uint64_t ppe_dti_cookie(const struct ppe_dti *dti);

/* Control calls: they take the engine for a moment, and copy what they are given. */

/* Local address for a later connect or listen. -EISCONN; -EAFNOSUPPORT; -EINVAL. */
int ppe_dti_bind(struct ppe_dti *dti, const struct sockaddr *sa, socklen_t len);
/*
 * -EADDRINUSE, -EACCES, ... as listen(2); -EDESTADDRREQ: no bind before. A datagram endpoint must
 * listen before it posts: its local address is its name.
 */
int ppe_dti_listen(struct ppe_dti *dti, int backlog);
/* Names of this end and of the peer. -ENOTCONN. */
int ppe_dti_local(struct ppe_dti *dti, union fab_addr *addr);
int ppe_dti_peer(struct ppe_dti *dti, union fab_addr *addr);
/*
 * The wire that carries the connection, in a word: "tcp", "roce"; valid while the UAL is. Of a datagram
 * endpoint, what is sent to @peer: its number in the address vector, or of an event's src. -ENOTCONN.
 */
int ppe_dti_wire(struct ppe_dti *dti, uint32_t peer, const char **wire);

/*
 * Ends with PPE_EV_CONNECT in the cm queue. @timeout_ns 0: the kernel's own. Message service: @pdata
 * goes to the peer, and the peer's answer can be fetched by ppe_dti_pdata.
 * Returned at once: -EISCONN, -EALREADY, -EINVAL, -EMSGSIZE: private data too long, -EAGAIN.
 */
int ppe_dti_connect(struct ppe_dti *dti, const struct sockaddr *sa, socklen_t len,
		    uint64_t timeout_ns, uint64_t user_tag, const void *pdata, size_t pdata_len);
/*
 * Stream: the next connection that comes to @listener becomes @child's. Ends with PPE_EV_ACCEPT in
 * the *listener's* rx queue, naming the child. Receives may be posted on @child at once.
 */
int ppe_dti_accept(struct ppe_dti *listener, struct ppe_dti *child, uint64_t timeout_ns,
		   uint64_t user_tag);
/* Message: answers a PPE_EV_REQUEST. Accepting ends with PPE_EV_CONNECT. -ESTALE: no such request. */
int ppe_dti_accept_request(struct ppe_dti *dti, uint64_t request, uint64_t user_tag,
			   const void *pdata, size_t len);
int ppe_ual_reject_request(struct ppe_ual *ual, uint64_t request, const void *pdata, size_t len);
/* What the peer said in its request or answer: copies at most *@len bytes, *@len = how many. */
int ppe_ual_request_info(struct ppe_ual *ual, uint64_t request, union fab_addr *local,
			 union fab_addr *peer, void *pdata, size_t *len);
int ppe_dti_pdata(struct ppe_dti *dti, void *pdata, size_t *len);
/* Stream: posted and later receives end with 0 bytes, and what arrives is dropped. -ENOTCONN. */
int ppe_dti_shutdown_rx(struct ppe_dti *dti);
/* Message service: ends the connection in order; what was posted before is sent first. */
int ppe_dti_disconnect(struct ppe_dti *dti);

/*
 * Cancels operations with this user tag that have not begun: each ends with -ECANCELED. Sends of
 * which a part is on the wire go on. Returns how many; -ENOENT: none; -EAGAIN: event queue full.
 */
#define PPE_CANCEL_SEND 0x01
#define PPE_CANCEL_RECV 0x02
#define PPE_CANCEL_CONNECT 0x04 /* connects and accepts (on the listener or the child) */
int ppe_dti_cancel(struct ppe_dti *dti, uint64_t user_tag, unsigned which);

/* Connects, for good, what @what names to a counter (which must outlive the DTI); before any post. */
int ppe_dti_count(struct ppe_dti *dti, unsigned what, struct ppe_cntr *cntr);
/* A receive for many messages is released when less than this is left of it. 0 at first. */
int ppe_dti_set_multi_min(struct ppe_dti *dti, size_t bytes);
/* Address of a sender, by an event's src with PPE_SRC_UNKNOWN. -ESTALE. */
int ppe_dti_source(struct ppe_dti *dti, uint32_t src, union fab_addr *addr);

/* Streams: those of enum fab_option; and of listeners, set before they listen: */
#define PPE_OPT_REUSEPORT FAB_OPTIONS /* others may listen there too: see fab_listen_attr */
#define PPE_OPT_DEFER_ACCEPT (FAB_OPTIONS + 1) /* seconds */
#define PPE_OPTIONS (FAB_OPTIONS + 2)
int ppe_dti_set_option(struct ppe_dti *dti, int opt, int value);
int ppe_dti_get_option(struct ppe_dti *dti, int opt, int *value);

/* --------------------------------------------------------------- posting: no system call */

#define PPE_SGE_MAX 10     /* entries of a gather list */
#define PPE_INLINE_MAX 240 /* bytes */

#define PPE_POST_SILENT 0x01    /* success makes no event; a stream's receives always make one */
#define PPE_POST_MORE 0x02      /* another post follows at once: no hurry */
#define PPE_POST_SOLICITED 0x04 /* message service: sets the solicited-event bit */

struct ppe_post {
	uint64_t user_tag;
	const struct ppe_sge *sge; /* gather list, or with nsge 0: */
	const void *inline_data;   /* copied before the call returns; send only */
	uint32_t inline_len;
	uint16_t nsge;
	uint16_t flags;
};

/*
 * -EAGAIN: full; -EINVAL: too many entries or inline bytes; -EMSGSIZE: 4 GiB or more in all.
 * A wrong region is not found here but by the engine, and reported by the event.
 */
int ppe_post_send(struct ppe_dti *dti, const struct ppe_post *p);
int ppe_post_recv(struct ppe_dti *dti, const struct ppe_post *p);
/* Stream: FIN behind all sends posted so far. Ends with PPE_EV_SHUTDOWN. */
int ppe_post_shutdown(struct ppe_dti *dti, uint64_t user_tag);
/* Stream: nothing, behind all sends posted so far. Ends with PPE_EV_SHUTDOWN. */
int ppe_post_nop(struct ppe_dti *dti, uint64_t user_tag);

/* ------------------------------------------------------------------------ files */

/*
 * Operations on files, with events in the same queues. Posted as control calls are, with the engine in
 * hand for a moment; they end in any order. -EAGAIN: no slot in the event queue, or 4,096 operations
 * are under way: take events first. A region that is in use here cannot be deregistered.
 */
struct ppe_file;
struct statx;

struct ppe_file_attr {
	struct ppe_evq *evq; /* never NULL */
	uint64_t cookie;     /* comes back in every event */
	uint64_t context;    /* likewise; not looked at */
};

/* As openat2(2); O_CLOEXEC is added. */
struct ppe_open {
	int dirfd;
	const char *path;
	uint64_t flags, mode, resolve;
};

/*
 * Ends with PPE_EV_FILE_OPEN, before which *@file is set; the file is there in any case, and other operations on it end with -EBADF
 * as long as it is not open. At once: -EINVAL: event queue; -ENAMETOOLONG; -EAGAIN; -ENOSPC: 65,536 files;
 * -EINVAL, -EOPNOTSUPP: $ETA_FILES asks for what there is not.
 */
int ppe_file_open(struct ppe_ual *ual, const struct ppe_file_attr *attr, const struct ppe_open *how,
		  uint64_t user_tag, struct ppe_file **file);
/* The same for a descriptor, which is the engine's from here on. -EBADF; -ESPIPE: pipe or socket. */
int ppe_file_adopt(struct ppe_ual *ual, const struct ppe_file_attr *attr, int fd,
		   struct ppe_file **file);
/* @file is gone; operations and sends that were posted go on, and the descriptor till then. */
int ppe_file_close(struct ppe_file *file);
/*
 * PPE_EV_FILE_READ, PPE_EV_FILE_WRITE: len bytes were moved, also before an error. A write is whole or
 * fails. Errors of the memory come in the event. -EINVAL: over PPE_SGE_MAX entries; offset.
 */
int ppe_file_read(struct ppe_file *file, const struct ppe_sge *sge, unsigned nsge, uint64_t offset,
		  uint64_t user_tag);
int ppe_file_write(struct ppe_file *file, const struct ppe_sge *sge, unsigned nsge, uint64_t offset,
		   uint64_t user_tag);
/* PPE_EV_FILE_STAT, PPE_EV_FILE_SYNC. @st is the engine's until then. */
int ppe_file_stat(struct ppe_file *file, struct statx *st, uint64_t user_tag);
int ppe_file_sync(struct ppe_file *file, uint64_t user_tag);

/*
 * Stream: @len bytes of the file, behind what was posted before. Ends with PPE_EV_SEND; -ENODATA: the file
 * ends before; its errors end this send alone. The file may be closed at once. @flags: PPE_POST_MORE.
 * -EXDEV: another UAL's; -EBADF: not open; -EMSGSIZE: 4 GiB or more; -EINVAL: offset; -EOPNOTSUPP: no
 * stream; -EAGAIN.
 */
int ppe_post_send_file(struct ppe_dti *dti, struct ppe_file *file, uint64_t offset, uint64_t len,
		       uint64_t user_tag, unsigned flags);

/* ------------------------------------------------------------- posting: message service */

enum ppe_op {
	PPE_OP_SEND,
	PPE_OP_RECV,
	PPE_OP_WRITE,
	PPE_OP_READ,
	PPE_OP_ATOMIC,  /* sge: operand */
	PPE_OP_FETCH,   /* ... and result */
	PPE_OP_COMPARE, /* ... and compare and result */
};

/* Atomic operations and types: the numbers of libfabric 1.17's enum fi_op and enum fi_datatype. */
enum ppe_atomic_op {
	PPE_ATOMIC_MIN,
	PPE_ATOMIC_MAX,
	PPE_ATOMIC_SUM,
	PPE_ATOMIC_PROD,
	PPE_ATOMIC_LOR,
	PPE_ATOMIC_LAND,
	PPE_ATOMIC_BOR,
	PPE_ATOMIC_BAND,
	PPE_ATOMIC_LXOR,
	PPE_ATOMIC_BXOR,
	PPE_ATOMIC_READ, /* PPE_OP_FETCH only */
	PPE_ATOMIC_WRITE,
	PPE_ATOMIC_CSWAP, /* writes if compare == target; from here on PPE_OP_COMPARE only */
	PPE_ATOMIC_CSWAP_NE,
	PPE_ATOMIC_CSWAP_LE, /* if compare <= target, and so on */
	PPE_ATOMIC_CSWAP_LT,
	PPE_ATOMIC_CSWAP_GE,
	PPE_ATOMIC_CSWAP_GT,
	PPE_ATOMIC_MSWAP, /* writes the bits that are set in compare */
	PPE_ATOMIC_OPS
};

enum ppe_atomic_type {
	PPE_INT8,
	PPE_UINT8,
	PPE_INT16,
	PPE_UINT16,
	PPE_INT32,
	PPE_UINT32,
	PPE_INT64,
	PPE_UINT64,
	PPE_FLOAT,
	PPE_DOUBLE,
	PPE_FLOAT_COMPLEX,
	PPE_DOUBLE_COMPLEX,
	PPE_LONG_DOUBLE,
	PPE_LONG_DOUBLE_COMPLEX,
	PPE_INT128,
	PPE_UINT128,
	PPE_ATOMIC_TYPES
};

/* The peer's memory, by its key and by what the peer calls the address; len in bytes, for atomics too. */
struct ppe_rma {
	uint64_t addr;
	uint32_t len;
	uint32_t key;
};

#define PPE_RMA_MAX 4    /* entries of struct ppe_rma */
#define PPE_ATOMIC_SGE 8 /* entries of each of an atomic's lists */
#define PPE_ANY 0xffffffffu

/* Beside PPE_POST_SILENT, _MORE and _SOLICITED: */
#define PPE_POST_TAGGED 0x0010   /* send, receive: by tag; the two kinds never meet */
#define PPE_POST_DATA 0x0020     /* send, write: data go along */
#define PPE_POST_DELIVERY 0x0040 /* ends when the peer's engine has seen it through */
#define PPE_POST_FENCE 0x0080    /* begins when all before it to that peer have ended */
#define PPE_POST_INJECT 0x0100   /* nobody waits for it: its failure is logged and counted */
#define PPE_POST_MULTI 0x0200    /* receive: for many messages, one behind the other */
#define PPE_POST_PEEK 0x0400     /* receive: only look for a message that is there */
#define PPE_POST_CLAIM 0x0800    /* with PEEK: keep it for the next; without: take what was kept */
#define PPE_POST_DISCARD 0x1000  /* with PEEK or CLAIM: and drop it */
#define PPE_POST_TRIGGER 0x2000  /* begins when trigger has reached threshold */
#define PPE_POST_DEFERRED 0x4000 /* ... errors included; if silent, the DTI does not count it */

struct ppe_msg {
	uint8_t op; /* enum ppe_op */
	uint8_t nsge;
	uint8_t ncmp, nres; /* atomics: entries for compare and result, behind those */
	uint8_t nrma;
	uint8_t atomic_op, atomic_type; /* enum ppe_atomic_op, enum ppe_atomic_type */
	uint32_t flags;                 /* PPE_POST_ */
	uint32_t peer;                  /* number in the address vector; receives: or PPE_ANY */
	uint32_t inline_len;
	const void *inline_data; /* instead of sge; not for receives and reads */
	const struct ppe_sge *sge;
	const struct ppe_rma *rma;
	uint64_t user_tag;
	uint64_t tag, ignore, data;
	struct ppe_cntr *trigger; /* PPE_POST_TRIGGER */
	struct ppe_cntr
		*complete; /* counts this operation's end instead of the DTI's own; or NULL */
	uint64_t threshold;
};

/*
 * Into the send or receive queue, as the operation says. @dti may be a shared receive queue.
 * -EAGAIN, -EINVAL, -EMSGSIZE as ppe_post_send.
 *
 * How operations end, beside the errors above: -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT and others of
 * connect(2); -ECONNRESET, -ETIMEDOUT: the peer died; -EADDRNOTAVAIL: no such peer; -ENOMSG: a peek
 * found nothing; -EACCES: the peer refused (to strangers also the connection's end); -EOPNOTSUPP: the
 * peer is no eta.
 */
int ppe_post_message(struct ppe_dti *dti, const struct ppe_msg *m);

/* Free slots of the send or receive queue; the poster's, like a post. */
unsigned ppe_dti_room(struct ppe_dti *dti, bool recv);
/* Slots that @p would take in its queue. */
unsigned ppe_post_slots(const struct ppe_post *p);

#ifdef __cplusplus
}
#endif
#endif
