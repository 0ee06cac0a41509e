/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_internal.h - kernel TCP as a stream fabric: the inside.
 *
 *	tcp.c		the instance and its sleeper, what is common to its sources
 *	tcp_epoll.c	how the kernel tells of readiness: epoll, and so the fabric "tcp"
 *	uring*.c	the same by an io_uring, and so the fabric "uring"; see uring.h
 *	tcp_listen.c	listeners, and the connections that they accept
 *	tcp_conn.c	connecting, closing, addresses, options
 *	tcp_io.c	one turn: who has work, and a visit to each
 *	tcp_batch.c	several connections' reads, or writes, at once
 *	tcp_rx.c	reads into the places that the user names, hot connections
 *	tcp_tx.c	gathered writes of what the user gives
 *
 * Readiness. A descriptor is registered with the watcher (epoll or the ring) once, edge-triggered,
 * and what is known of it is kept here in SRC_ bits. A bit is set by an edge and cleared only by the
 * kernel's own "again" (or a read so short that the next would say so), so nothing is re-armed and no
 * edge is lost. A source that has work progress() could do is on the ready list; a connection that
 * has something to write and may write is on the dirty list. A sleeper looks at `pending`, which says
 * that one of them, or a request to the watcher, was left over by the last call.
 *
 * Threads. All of this belongs to the holder of the engine's turn, but for the members marked
 * [sleeper], which are atomic.
 *
 * Life. Closing closes the descriptor at once; the memory goes to the zombie list and is freed by
 * leave() of the outermost call, so no caller up the stack, and no event that epoll has handed out
 * already, meets freed memory. A closed source gets no upcall.
 *
 * fork(). Every descriptor is close-on-exec. A child that does not exec shares the epoll set with
 * its parent and must never call into the instance. It also keeps the parent's sockets open, so
 * close() alone would not take one out of the set; that is why the watcher is told first.
 */
#ifndef ETA_TCP_INTERNAL_H
#define ETA_TCP_INTERNAL_H

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "fabric/fabric.h"
#include "fabric/list.h"
#include "fabric/sleeper.h"
#include "fabric/timer.h"

extern const struct fab_stream_ops tcp_ops, uring_ops;
/* Tries; NULL: "uring" can be had by an owner of its own. */
const char *uring_why_not(void);

/* ------------------------------------------------------------------ sources */

enum src_kind { SRC_CONN, SRC_LISTENER };

enum src_flag {
	/* of both kinds */
	SRC_READABLE = 1 << 0,   /* a read or an accept may find something */
	SRC_REGISTERED = 1 << 1, /* with the watcher */
	SRC_CLOSED = 1 << 2,     /* by its user: a zombie */
	SRC_FAILED = 1 << 3,     /* reported dead: waits for its user's close */
	/* of a connection */
	SRC_WRITABLE = 1 << 4,
	SRC_HUP = 1 << 5, /* a FIN or an error is queued: no further edge will announce it */
	SRC_CONNECTING = 1 << 6,
	SRC_RX_WANT = 1 << 7,
	SRC_TX_WANT = 1 << 8,
	SRC_TX_BUSY = 1 << 9,   /* inside the user's transmit upcalls */
	SRC_TX_STALL = 1 << 10, /* the kernel is out of buffers; the timer tries again */
	SRC_TX_DEAD = 1 << 11,  /* a write failed, what has arrived is still read; see ->err */
	SRC_EOF = 1 << 12,      /* reported */
	SRC_RESET = 1 << 13,    /* the close that follows is a reset */
};
#define SRC_DEAD (SRC_CLOSED | SRC_FAILED)

struct source {
	struct link ready; /* on fab->ready, ->later, ->stalled or ->zombies */
	struct fab *fab;
	struct watch *watch; /* the ring's record of it */
	int fd;
	uint32_t flags;
	uint32_t tick; /* the turn that visited it last */
	uint8_t kind;
	uint8_t lag;  /* turns that a new connection may still spend unregistered */
	uint8_t heat; /* its place in fab->hot, + 1 */
	uint8_t slot; /* its place in fab->batch, + 1, while the watcher has that */
};

struct fab_conn {
	struct source src;
	struct link dirty;
	const struct fab_stream_user *ops;
	void *user;
	struct timer timer; /* connect's deadline, then the retry of a stalled write */
	int err;            /* of connect(2) or of a write, reported later */
};
/* A server holds ten thousand of these. */
static_assert(sizeof(struct fab_conn) <= 128, "struct fab_conn grew");

struct fab_listener {
	struct source src;
	const struct fab_listen_user *ops;
	void *user;
	struct timer timer; /* retry after a stall */
	unsigned posted;
};

/* ------------------------------------------------------------------ the instance */

#define HOT_MAX 4

/* A read or a write that goes to the kernel together with those of other connections. */
#define BATCH_MAX 32
#define BATCH_WORTH 3 /* fewer are cheaper one by one */
#define BATCH_IOV 64

struct io_slot {
	struct fab_conn *c;
	struct msghdr msg; /* of iov */
	int flags;
	size_t room;
	ssize_t ret;     /* its outcome: bytes, or a negative code */
	uint32_t events; /* edges that may be later than that, and are to be heeded after it */
	struct iovec iov[BATCH_IOV];
};

/* How the kernel tells what sources are ready. */
struct watcher {
	/* Asking costs a system call also when there is nothing. */
	bool dear;
	/* Are the hot connections to be tried before asking? See tcp_io.c. */
	bool (*guess)(struct fab *fab);
	/* Edges of @src are reported by source_event() from now on. */
	int (*add)(struct source *src);
	/* No more. What @src has in the kernel may outlive its descriptor, which is closed next. */
	void (*remove)(struct source *src);
	/* Reports all that there is, up to a bound. */
	void (*harvest)(struct fab *fab);
	/* Hands on what add() and remove() asked for, where they could not: clears asks_left. */
	void (*submit)(struct fab *fab);
	/* The next connection that was accepted already, or -EAGAIN. NULL: accept4(2) it is. */
	int (*accept)(struct fab_listener *l);
	/*
	 * Does what the first @n of fab->batch ask for, all of them reads or all writes, as if by recv(2)
	 * and sendmsg(2), and leaves their outcomes there. NULL: it has nothing better than those.
	 */
	void (*transfer)(struct fab *fab, unsigned n, bool write);
	/* [sleeper] As fab_stream_ops.wait, with nothing pending. */
	int (*sleep)(struct fab *fab, int64_t timeout_ns);
	/* For wait_fd(), once: a descriptor that polls readable when harvest() would find something. */
	int (*show)(struct fab *fab);
	void (*close)(struct fab *fab);
};

struct fab {
	struct fab_env env;
	const struct watcher *watcher;
	struct ring *ring;
	int watchfd; /* the set, or the ring */
	struct sleeper sleeper;

	struct link ready;   /* sources to visit in this turn */
	struct link later;   /* visited, and with more to do: the next turn's */
	struct link dirty;   /* connections to write at the next flush */
	struct link stalled; /* listeners out of descriptors: the timer, or a close, tries again */
	struct link zombies; /* closed, not yet freed */
	bool tx_left;        /* the last flush left connections dirty */
	bool asks_left;      /* the watcher has requests that the kernel has not */
	unsigned depth;      /* calls into the fabric on the stack */
	unsigned sources;    /* open connections and listeners */

	struct io_slot *batch; /* BATCH_MAX; NULL: the watcher has no use for it */
	unsigned batched;

	/* One turn's bounds; see progress(). */
	uint32_t tick;
	int budget, done;
	size_t bytes;

	/* Connections that are read without asking epoll; see tcp_io.c. */
	struct fab_conn *hot[HOT_MAX];
	uint32_t hot_tick[HOT_MAX]; /* the turn that last found data there */
	uint32_t hot_off;           /* turns for which nothing becomes hot */
	uint32_t hot_misses;        /* turns in a row in which none of them had data */
	uint64_t epoll_at;          /* clock of the last epoll_wait */

	_Atomic bool harvest; /* [sleeper] epoll has something: the next turn must ask it */
};

#define COUNT(fab, what, n) fab_count(&(fab)->env.counters->what, (n))

static inline bool src_dead(const struct source *src)
{
	return src->flags & SRC_DEAD;
}

static inline struct fab_conn *src_conn(struct source *src)
{
	return container(src, struct fab_conn, src);
}

static inline struct fab_listener *src_listener(struct source *src)
{
	return container(src, struct fab_listener, src);
}

/* A system call's outcome as 0 or a negative code. */
static inline int outcome(int ret)
{
	return ret < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ tcp.c */

int fab_new(const struct fab_env *env, const struct watcher *watcher, struct fab **out);
void fab_free(struct fab *fab);
int sleep_on(struct fab *fab, int64_t timeout_ns);

/* Every call that may lead to an upcall or a close runs between these two. */
void fab_enter(struct fab *fab);
void fab_leave(struct fab *fab);

void source_init(struct source *src, struct fab *fab, enum src_kind kind, int fd);
int source_register(struct source *src);
void release_fd(struct source *src);

int socket_new(struct fab *fab, int family);
int socket_set_flag(struct fab *fab, int fd, int level, int name);
int socket_name(struct source *src, union fab_addr *addr);

void tcp_close(struct fab *fab);
int tcp_wait(struct fab *fab, int64_t timeout_ns);
void tcp_kick(struct fab *fab);
void tcp_drain(struct fab *fab);
int tcp_wait_fd(struct fab *fab);
int tcp_kick_fd(struct fab *fab);

/* ------------------------------------------------------------------ tcp_epoll.c */

bool epoll_due(struct fab *fab);
void epoll_asked(struct fab *fab);

/* ------------------------------------------------------------------ tcp_listen.c */

int tcp_listen(struct fab *fab, const struct fab_listen_attr *attr,
	       const struct fab_listen_user *ops, void *user, struct fab_listener **out);
int tcp_accept(struct fab_listener *l);
unsigned tcp_unaccept(struct fab_listener *l, unsigned n);
int tcp_listener_addr(struct fab_listener *l, union fab_addr *addr);
void tcp_unlisten(struct fab_listener *l);
void accept_run(struct fab_listener *l);
void listener_fail(struct fab_listener *l, int err);

/* ------------------------------------------------------------------ tcp_conn.c */

struct fab_conn *conn_new(struct fab *fab, int fd);
int tcp_connect(struct fab *fab, const struct fab_connect_attr *attr,
		const struct fab_stream_user *ops, void *user, struct fab_conn **out);
void connect_finish(struct fab_conn *c);
void tcp_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user);
int tcp_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer);
int tcp_set_option(struct fab_conn *c, enum fab_option opt, int value);
int tcp_get_option(struct fab_conn *c, enum fab_option opt, int *value);
int tcp_shutdown(struct fab_conn *c);
void tcp_conn_close(struct fab_conn *c, bool reset);

/* ------------------------------------------------------------------ tcp_io.c */

void source_ready(struct source *src);
void source_event(struct source *src, uint32_t events);
/* It cannot be watched any more. */
void source_fail(struct source *src, int err);
void conn_check_ready(struct fab_conn *c);
void conn_dirty(struct fab_conn *c);
/* Has it more to do? Behind the others, and in the next turn. */
void conn_later(struct fab_conn *c);
void conn_fail(struct fab_conn *c, int err);
int tcp_progress(struct fab *fab, int budget);

/* ------------------------------------------------------------------ tcp_rx.c */

void tcp_rx_want(struct fab_conn *c);
void rx_run(struct fab_conn *c);
bool rx_plan(struct fab_conn *c, struct io_slot *s);
void rx_outcome(struct io_slot *s);
ssize_t rx_read(struct fab_conn *c, struct iovec *iov, int cnt);
void conn_cool(struct fab_conn *c);
void cool_stale(struct fab *fab);

/* ------------------------------------------------------------------ tcp_batch.c */

/* May it wait for others, to be read or written with them? */
static inline bool batchable(const struct fab_conn *c)
{
	return c->src.fab->batch && c->ops->interleaves;
}

/* Does what has been planned; afterwards nothing is. */
void batch_reads(struct fab *fab);
size_t batch_writes(struct fab *fab);

/* ------------------------------------------------------------------ tcp_tx.c */

bool tx_plan(struct fab_conn *c, struct io_slot *s, size_t *sent);
void tx_outcome(struct io_slot *s, size_t *sent);
ssize_t tx_write(struct fab_conn *c, struct msghdr *msg, int flags);

void tcp_tx_want(struct fab_conn *c);
void tcp_tx_now(struct fab_conn *c);
void tcp_flush(struct fab *fab);

/* What the operations of both fabrics have in common: all but the name and open(). */
#define TCP_OPS                                                                                    \
	.close = tcp_close, .progress = tcp_progress, .flush = tcp_flush, .wait = tcp_wait,        \
	.kick = tcp_kick, .drain = tcp_drain, .wait_fd = tcp_wait_fd, .kick_fd = tcp_kick_fd,      \
	.listen = tcp_listen, .accept = tcp_accept, .unaccept = tcp_unaccept,                      \
	.listener_addr = tcp_listener_addr, .unlisten = tcp_unlisten, .connect = tcp_connect,      \
	.bind = tcp_bind, .tx_want = tcp_tx_want, .tx_now = tcp_tx_now, .rx_want = tcp_rx_want,    \
	.shutdown = tcp_shutdown, .conn_close = tcp_conn_close, .conn_addr = tcp_conn_addr,        \
	.set_option = tcp_set_option, .get_option = tcp_get_option

#endif
