/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fabric.h - what a wire offers the engine, and what it asks of it.
 *
 * Two services. A *stream* carries bytes (kernel TCP). A *message* connection has queue-pair
 * semantics (iWARP over any stream; a reliable-connected queue pair on an RDMA device). Both are
 * completion style and both *pull*: the user of a connection says once that it has something to
 * transmit or room to receive, and the fabric asks for the next gather list or the next place when
 * it can use it. So nothing is queued twice, one write carries everything that is ready, and a
 * receive can be placed by the header that was just read.
 *
 * Threads. A fabric instance belongs to one engine. Every call, and every upcall, is made by the
 * thread that holds the engine's turn, except the three calls marked [sleeper] below.
 *
 * Re-entry. An upcall may make any call on any connection, closing its own included. A closed
 * connection's memory stays valid until the call that led to the upcall has returned; it gets no
 * further upcall.
 *
 * Errors are negative errno values; 0 or a count is success.
 */
#ifndef ETA_FABRIC_H
#define ETA_FABRIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "fabric/timer.h"

#ifdef __cplusplus
extern "C" {
#endif

union fab_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Length of an address by its family; 0 when the family is neither IPv4 nor IPv6. */
socklen_t fab_addr_len(const union fab_addr *addr);
/* Copies a caller's sockaddr. -EAFNOSUPPORT: not IP; -EINVAL: @len is short for the family. */
int fab_addr_set(union fab_addr *addr, const struct sockaddr *sa, socklen_t len);
/* "192.0.2.1:80" or "[::1]:80"; always terminated. */
#define FAB_ADDR_STRLEN 64
const char *fab_addr_str(const union fab_addr *addr, char buf[FAB_ADDR_STRLEN]);

/* Counted by the fabric, read by anyone: each is written only under the turn. */
struct fab_counters {
	/* system calls, by kind */
	uint64_t sys_write, sys_read, sys_epoll_wait, sys_epoll_ctl, sys_accept, sys_poll;
	uint64_t sys_uring, sys_kick, sys_sendfile, sys_other;
	/* what they moved */
	uint64_t tx_bytes, rx_bytes;
	uint64_t tx_short,
		rx_empty; /* writes cut short by a full socket; reads that found nothing */
	uint64_t copies, copy_bytes; /* payload bytes copied in user space */
	/* connections */
	uint64_t connects, connect_errors, connect_timeouts, accepts, accept_stalls;
	uint64_t resets, eofs;
	/* message service */
	uint64_t fpdus_tx, fpdus_rx, msgs_tx, msgs_rx, msgs_truncated;
	uint64_t stash_bytes, rx_stops; /* early data kept; reads stopped for want of a receive */
	uint64_t mpa_refused, proto_errors, terminates_tx, terminates_rx;
	/* what a device has carried itself; what was registered with it; keys of the peers' */
	uint64_t placed, placed_bytes, registrations, keys_asked, keys_given;
};

/* Written under the turn, read without it; a plain ++ would be a race. */
static inline void fab_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Which threads take the engine's turn; a fabric that is bound to a thread must know. */
enum fab_owner {
	FAB_OWNER_ROAMS, /* any, one at a time: each of them may end or stop calling at any time */
	FAB_OWNER_CALLS, /* those inside a call; a single one, as a rule, but nobody promised that */
	FAB_OWNER_SINGLE, /* one thread makes every call of this interface, by promise */
	FAB_OWNER_THREAD, /* one makes all progress, flush and wait calls; any makes the others */
};

/* What a fabric may use of the engine that owns it. All members live as long as the instance. */
struct fab_env {
	enum fab_owner owner;
	struct fab_counters *counters;
	struct timers *timers; /* for deadlines and retries; fires inside a turn */
	/* Of a wire that has devices: the one to use; NULL: all. Valid during open() only. */
	const char *device;
	void *arg; /* first argument of the calls below */
	/*
	 * Anonymous buffers, for bytes that arrived before there was a place for them.
	 * room(): size of the largest buffer that get() would give now, 0 when there is none.
	 * get(): a buffer of at least @len bytes, or NULL.
	 */
	size_t (*buf_room)(void *arg);
	void *(*buf_get)(void *arg, size_t len);
	void (*buf_put)(void *arg, void *buf);
	void (*log)(void *arg, int level, const char *text);
};

enum fab_log { FAB_LOG_WARN = 1, FAB_LOG_INFO, FAB_LOG_DEBUG };
void fab_logf(const struct fab_env *env, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ------------------------------------------------------------------ stream service */

struct fab;          /* one instance of a stream fabric */
struct fab_conn;     /* one byte stream */
struct fab_listener; /* one listening address */

/* Upcalls of a stream connection. Every slot is filled. */
struct fab_stream_user {
	/*
	 * The fabric may ask other connections of this kind before it comes back with the outcome of
	 * what tx_next or rx_next named on this one: their writes, or reads, go to the kernel together.
	 */
	bool interleaves;
	/* The outcome of connect(). On error the connection is already gone: do not close it. */
	void (*connected)(void *user, int err);
	/*
	 * Gather list for the next write: fills at most @max entries and about @limit bytes, and
	 * returns how many entries it used; 0 = nothing to transmit. The memory stays as it is
	 * until tx_done. A stream that is offered the same bytes again must be given the same ones.
	 * Asked again, without a tx_want, after a write that was cut short and after one of at
	 * least a quarter of @max or @limit; a user who has more than it gave for another reason
	 * says so by tx_want().
	 *
	 * Bytes of a file: FAB_TX_FILE instead of a count; iov[0] then names a range, its base being
	 * a struct fab_file_range, which stays as it is until tx_done, and its length the bytes. A
	 * range is a write of its own. A file that is shorter than the range: tx_fault(-ENODATA).
	 * FAB_TX_MORE beside a count: a range follows at once, so that the segment may be held back.
	 */
	int (*tx_next)(void *user, struct iovec *iov, int max, size_t limit);
	/*
	 * The first @n bytes of what tx_next gave are in the kernel, and their memory may be reused;
	 * the rest, all of it when @n is 0, will be asked for again.
	 */
	void (*tx_done)(void *user, size_t n);
	/*
	 * The memory at the head of what tx_next gave cannot be read (EFAULT). 0: the user has
	 * dropped it, go on with tx_next; negative: the connection fails with this error.
	 */
	int (*tx_fault)(void *user, int err);
	/*
	 * @n bytes are in the memory that the previous call named. Returns the number of entries to
	 * read into next, at most @max; 0 = stop reading until rx_want; negative: the connection
	 * fails with this error. The entries must cover at least one byte.
	 */
	int (*rx_next)(void *user, size_t n, struct iovec *iov, int max);
	/*
	 * Nothing was read into the memory that rx_next named, or it was not tried: it is the
	 * user's again. rx_next will be called (with 0) when there may be something. So memory is named
	 * only within one call into the fabric, and ends with rx_next, rx_none, rx_fault, rx_eof,
	 * failed, or the user's own close.
	 */
	void (*rx_none)(void *user);
	/* The memory named by rx_next cannot be written. As tx_fault. */
	int (*rx_fault)(void *user, int err);
	/* The peer will send no more. */
	void (*rx_eof)(void *user);
	/* The connection is dead. It must still be closed. */
	void (*failed)(void *user, int err);
};

#define FAB_TX_FILE 0x10000
#define FAB_TX_MORE 0x20000

struct fab_file_range {
	int fd;
	uint64_t offset;
};

struct fab_listen_user {
	/*
	 * One posted accept is done: @conn is the user's; it must bind() or close() it now. @peer is
	 * NULL where it would have to be asked for: conn_addr() does.
	 */
	void (*accepted)(void *user, struct fab_conn *conn, const union fab_addr *peer);
	/* The listener is dead. It must still be closed. */
	void (*failed)(void *user, int err);
};

struct fab_listen_attr {
	const union fab_addr *addr;
	int backlog;      /* as listen(2) */
	bool reuse_port;  /* other sockets may listen there too, and share what comes */
	unsigned defer_s; /* not 0: accept when data have come, or after about so long */
};

struct fab_connect_attr {
	const union fab_addr *local; /* NULL: the kernel chooses */
	const union fab_addr *peer;
	/* Who connects, NULL if that is nowhere in particular: a wire that has devices takes the one
	 * with this address, others take no notice. The port does not count. */
	const union fab_addr *from;
	uint64_t timeout_ns; /* 0: the kernel's own */
};

enum fab_option { FAB_OPT_NODELAY, FAB_OPT_KEEPALIVE, FAB_OPT_SNDBUF, FAB_OPT_RCVBUF };
#define FAB_OPTIONS 4

/* Bounds of one turn, so that no connection starves another and no poll takes for ever. */
#define FAB_TURN_COMPLETIONS 64
#define FAB_TURN_BYTES (256 * 1024)
#define FAB_IO_BYTES (128 * 1024)    /* of one read */
#define FAB_WRITE_BYTES (512 * 1024) /* of one write: the kernel takes what there is room for */
#define FAB_IOV_MAX 256              /* entries of one write */

struct fab_stream_ops {
	const char *name;
	unsigned
		open_writes; /* writes, each of another connection, that may be open at once; 0: 1 */
	/* -EOPNOTSUPP: not on this machine, or not with this kind of owner: the reason was logged. */
	int (*open)(const struct fab_env *env, struct fab **out);
	/* Every connection and listener must have been closed. */
	void (*close)(struct fab *fab);

	/*
	 * Harvest: readable connections are read, finished connects and accepts reported, up to
	 * about @budget upcalls that completed something. Returns that number.
	 */
	int (*progress)(struct fab *fab, int budget);
	/*
	 * One gathered write for each connection that tx_want() marked; what is over FAB_TURN_BYTES
	 * waits for the next flush, and ends a wait(). The last call of a turn: progress() finds
	 * room in sockets, and flush() uses it.
	 */
	void (*flush)(struct fab *fab);

	/*
	 * [sleeper] Sleep until progress() or flush() would find something, a kick, or @timeout_ns (negative:
	 * none). Consumes nothing: what woke it is still there for progress(). One thread at a time.
	 * 0, or -EINTR when a signal was handled.
	 */
	int (*wait)(struct fab *fab, int64_t timeout_ns);
	/* [sleeper] Likewise, and until @fd polls readable. Only of wires that go beside another one. */
	int (*wait_also)(struct fab *fab, int fd, int64_t timeout_ns);
	/* [sleeper] End the wait now, or the next one. Async-signal-safe. */
	void (*kick)(struct fab *fab);
	/* [sleeper] Forget kicks; only by the thread that sleeps. */
	void (*drain)(struct fab *fab);
	/* A descriptor that polls readable when progress() would find something; not for reading. */
	int (*wait_fd)(struct fab *fab);
	/* The eventfd behind kick(): adding to it is a kick. For the kernel, which can do only that. */
	int (*kick_fd)(struct fab *fab);

	int (*listen)(struct fab *fab, const struct fab_listen_attr *attr,
		      const struct fab_listen_user *ops, void *user, struct fab_listener **out);
	/* One more connection may be accepted. */
	int (*accept)(struct fab_listener *l);
	/* Posted accepts that are not wanted any more: at most @n; returns how many are left. */
	unsigned (*unaccept)(struct fab_listener *l, unsigned n);
	int (*listener_addr)(struct fab_listener *l, union fab_addr *addr);
	void (*unlisten)(struct fab_listener *l);

	/*
	 * connected() follows, never from within this call, also for errors of the network. Returned
	 * are those of the attributes and of resources: no descriptor, local address in use.
	 */
	int (*connect)(struct fab *fab, const struct fab_connect_attr *attr,
		       const struct fab_stream_user *ops, void *user, struct fab_conn **out);
	/* Takes over an accepted (or another user's) connection. Nothing is pending on it. */
	void (*bind)(struct fab_conn *conn, const struct fab_stream_user *ops, void *user);
	/* There is something to transmit: tx_next will be called at the next flush(). */
	void (*tx_want)(struct fab_conn *conn);
	/* Write now what tx_next gives, as flush() would (the poster's own transmit). */
	void (*tx_now)(struct fab_conn *conn);
	/* There is room again: rx_next will be called as soon as there is something to read. */
	void (*rx_want)(struct fab_conn *conn);
	/* Send FIN behind what has been written. */
	int (*shutdown)(struct fab_conn *conn);
	/* Gone. @reset: discard what the kernel still holds, and tell the peer with a reset. */
	void (*conn_close)(struct fab_conn *conn, bool reset);

	int (*conn_addr)(struct fab_conn *conn, union fab_addr *local, union fab_addr *peer);
	int (*set_option)(struct fab_conn *conn, enum fab_option opt, int value);
	int (*get_option)(struct fab_conn *conn, enum fab_option opt, int *value);
	/* Which wire carries it, where the instance has several; else NULL. See fabric_conn_wire(). */
	const char *(*wire)(const struct fab_conn *conn);
};

/* ----------------------------------------------------------------- message service */

struct fab_msg;          /* one instance of a message fabric */
struct fab_msg_conn;     /* one queue pair */
struct fab_msg_listener; /* one listening address */

/* Private data of connection set-up that the user may give, in bytes. */
#define FAB_PDATA_MAX 160

/*
 * What two etas tell each other in connection set-up, beside their users' private data. A stranger
 * says nothing of it.
 */
#define FAB_NAME_MAX 56
#define FAB_NONCE 16
#define FAB_PROOF 32

enum fab_feature {
	FAB_FEATURE_ULP = 0x01,    /* every Send begins with eta's upper-layer header (ppe/ulp.h) */
	FAB_FEATURE_ATOMIC = 0x02, /* atomics and immediate data; the fabric's own affair */
	FAB_FEATURE_STREAM = 0x04, /* a byte stream, and no messages: fabric/qstream/ */
};

struct fab_hello {
	uint16_t features;
	uint8_t name_len; /* of the sender's endpoint; 0: it has none */
	bool has_nonce, has_proof;
	uint64_t incarnation; /* tells a restarted endpoint from the one before; with a name */
	uint32_t window;      /* bytes that the other side may send unasked */
	uint32_t announces;   /* rendezvous that this side may have announced at a time */
	uint8_t name[FAB_NAME_MAX];
	uint8_t nonce[FAB_NONCE]; /* for the other side's proof */
	uint8_t proof[FAB_PROOF];
};

/* What is known of the other side once set-up has got so far. */
struct fab_msg_peer {
	bool eta;          /* hello is valid */
	uint16_t features; /* those that both have */
	uint16_t ord, ird; /* reads and atomics outstanding: ours, and the peer's */
	struct fab_hello hello;
};

/*
 * Memory that stays, of the user of a wire. A wire whose device reaches memory by itself (one that has
 * region_gone) registers it, in parts, when it is first of use, and keeps it so until region_gone().
 */
struct fab_region {
	void *base;
	size_t len;
	unsigned access; /* enum fab_access */
	void *wire;      /* the wire's own; NULL until it uses it */
};

enum fab_access {
	FAB_MAY_WRITE = 0x01, /* what is received may be put there */
	FAB_MAY_REMOTE_READ = 0x02,
	FAB_MAY_REMOTE_WRITE = 0x04,
};

#define FAB_PLACE_MIN 16384 /* for shorter messages regions and sinks need not be named */

/* What may be transmitted. The letters: what of struct fab_send each uses beside the payload. */
enum fab_op {
	FAB_SEND,  /* an untagged message: takes the peer's next receive */
	FAB_WRITE, /* to the peer's memory at (stag, to) */
	FAB_READ,  /* no payload: asks for @read_len bytes at (stag, to), to (sink_stag, sink_to) */
	FAB_READ_RESP,   /* the answer to an rx_read: to (stag, to), as its sink said */
	FAB_ATOMIC,      /* no payload: on the peer's 64 bits at (stag, to); id, atomic */
	FAB_ATOMIC_RESP, /* no payload: the answer to an rx_atomic; id, value */
	FAB_IMMEDIATE,   /* no payload: value, to the peer's rx_immediate */
};

enum fab_atomic_op { FAB_FETCH_ADD, FAB_CMP_SWAP };

/* On 64 bits, as RFC 7306 has it: masks are all ones for plain operations, but add_mask is 0. */
struct fab_atomic {
	uint8_t op; /* enum fab_atomic_op */
	uint64_t data, data_mask;
	uint64_t cmp, cmp_mask;
};

/*
 * One message to transmit. Resolved and checked: plain memory.
 *
 * A FAB_READ may name in @iov (and @niov, while @len is 0) where its answer is to go, for a device to
 * put it there: the user keeps that memory until rx_tagged_done says that the last of it has come, or
 * read_over() returns. rx_tagged is asked all the same.
 */
struct fab_send {
	uint8_t op;    /* enum fab_op */
	uint8_t flags; /* FAB_SEND_SOLICITED */
	uint16_t niov;
	uint32_t len; /* bytes, the sum of @iov */
	const struct iovec *iov;
	/* Of each entry of @iov the region that it is in; it, or one of them, NULL: in none. */
	struct fab_region *const *regions;
	uint32_t stag;
	uint32_t sink_stag;
	uint64_t to;
	uint64_t sink_to;
	uint32_t read_len;
	uint32_t id;
	uint64_t value;
	const struct fab_atomic *atomic;
};
#define FAB_SEND_SOLICITED 0x01

#define FAB_PLACE_IOV 16 /* entries that a place may have */

/* One placed piece of an arriving Send. */
struct fab_place {
	uint32_t offset; /* of this piece in its message; 0 starts a message */
	uint32_t len;    /* of this piece */
	bool last;       /* no piece follows in this message */
	bool more;       /* out: the entries cover only the beginning: ask again for what follows */
};

/* One piece of arriving tagged data. */
struct fab_tagged {
	bool response; /* of a read of ours; else the peer's write */
	bool first;    /* it begins its message */
	bool last;     /* no piece follows in this message */
	uint32_t stag;
	uint64_t to;
	uint32_t len;
};

/* The peer asks for memory, to be answered with FAB_READ_RESP. */
struct fab_read_req {
	uint32_t sink_stag, stag;
	uint64_t sink_to, to;
	uint32_t len;
};

/* The peer asks for a key to [to, to + len) of @stag, to write there or to read. */
struct fab_key_req {
	uint32_t stag, len;
	uint64_t to;
	bool write;
};

struct fab_key {
	struct fab_region *region;
	void *addr; /* of @to, in the region */
};

/* The peer asks for an atomic operation, to be answered with FAB_ATOMIC_RESP. */
struct fab_atomic_req {
	uint32_t id, stag;
	uint64_t to;
	struct fab_atomic atomic;
};

/*
 * Upcalls of a message connection. Every slot is filled.
 *
 * An upcall that returns a negative errno value, where nothing else is said, ends the connection
 * with a Terminate: -ENOKEY no such region, -ERANGE beyond its bounds, -EACCES not allowed, -EPERM
 * not for this connection, -EBUSY more than was agreed on, others: a local reason. closed() follows
 * with that value.
 */
struct fab_msg_user {
	/*
	 * The outcome of connect() or accept(). @peer and @pdata are valid during the call; @peer is
	 * NULL on error. On error (-ECONNREFUSED with @pdata: a rejection) the connection is already
	 * gone.
	 */
	void (*connected)(void *user, int err, const struct fab_msg_peer *peer, const void *pdata,
			  size_t len);
	/*
	 * The message that is @i messages behind the oldest one not yet done; NULL when there is
	 * none (now). @i is one more than the last time, or starts again from any number up to that
	 * of those begun. It stays valid until tx_done. A message of which a part was written will be
	 * asked for again; NULL for that one means that its memory is gone: the connection fails.
	 */
	const struct fab_send *(*tx_peek)(void *user, unsigned i);
	/*
	 * The write that peeked is over, or one before has come to its end: the @n oldest messages
	 * are done, and the @begun ones behind them are on the wire, of the last perhaps only a part:
	 * they stay as they are, with their memory, till they are done or the connection is closed.
	 * Always follows a peek that gave a message, unless closed does.
	 */
	void (*tx_done)(void *user, unsigned n, unsigned begun);
	/*
	 * A Send that came in one piece, checked, still in the fabric's memory. 0: taken; 1: ask
	 * rx_place.
	 */
	int (*rx_whole)(void *user, const void *p, uint32_t len);
	/*
	 * Where to put a piece of an arriving message: fills at most @max entries and returns their
	 * number. They may cover less than the piece: with @piece->more the rest is asked for when
	 * they are filled; without, the message is longer than its receive, and the fabric drops the
	 * rest. -EAGAIN: no receive is posted; reading stops until rx_want, and the same piece is
	 * asked for again.
	 */
	int (*rx_place)(void *user, struct fab_place *piece, struct iovec *iov, int max);
	/* The piece that rx_place was last asked for is in place (or dropped). */
	void (*rx_done)(void *user, const struct fab_place *piece);
	/*
	 * Where to put tagged data: entries, which cover all of @t->len; 0: drop it. Asked again for
	 * what is left of a piece that came in parts.
	 */
	int (*rx_tagged)(void *user, const struct fab_tagged *t, struct iovec *iov, int max);
	/* The whole segment is in place (or dropped); @t is the segment, not its last part. */
	void (*rx_tagged_done)(void *user, const struct fab_tagged *t);
	/*
	 * The peer's requests, to be answered in their order. 1: refused in another way, no answer
	 * will come. Reads are never of length 0: those the fabric answers itself.
	 */
	int (*rx_read)(void *user, const struct fab_read_req *r);
	int (*rx_atomic)(void *user, const struct fab_atomic_req *r);
	int (*rx_atomic_resp)(void *user, uint32_t id, uint64_t value);
	int (*rx_immediate)(void *user, uint64_t value);
	/*
	 * The peer asks for the key of a device to memory that it would write or read: what it needs no
	 * message for then. Refused by a negative value, which ends nothing: the peer's messages about
	 * that memory are judged when they come; -EOPNOTSUPP: they are the only way. The key is good
	 * until the region is gone, for all of it that lies as what was asked for does. NULL: none is
	 * given.
	 */
	int (*rx_key)(void *user, const struct fab_key_req *r, struct fab_key *key);
	/* The peer has read, by its device, what rx_read would have been asked for. May be NULL. */
	void (*rx_fetched)(void *user, const struct fab_read_req *r);
	/*
	 * No message will come or go any more: 0 = the peer closed in an orderly way, else an
	 * error. The connection must still be closed.
	 */
	void (*closed)(void *user, int err);
};

struct fab_msg_listen_user {
	/*
	 * A peer asks for a connection. @conn waits for accept(), reject() or conn_close().
	 * @who and @pdata are valid during the call; so far @who->ord and ird are not agreed on.
	 */
	void (*request)(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
			const struct fab_msg_peer *who, const void *pdata, size_t len);
	/* @conn, not yet accepted or rejected, is gone: its peer left. Do not close it. */
	void (*withdrawn)(void *user, struct fab_msg_conn *conn);
	void (*failed)(void *user, int err);
};

struct fab_msg_attr {
	uint32_t fpdu_max;     /* largest DDP payload per FPDU between etas */
	bool crc;              /* ask for CRC32C */
	uint64_t handshake_ns; /* deadline of MPA start-up on either side */
	uint16_t ord, ird;     /* RDMA reads outstanding: ours, and the peer's that we serve */
	/*
	 * Byte streams are made of it: it meets only peers that have this as well (roce), and no write
	 * goes to where one that was made before may still be on its way.
	 */
	bool streams;
};

struct fab_msg_ops {
	const char *name;
	int (*open)(const struct fab_env *env, const struct fab_msg_attr *attr,
		    const struct fab_stream_ops *stream, struct fab *fab, struct fab_msg **out);
	void (*close)(struct fab_msg *m);

	int (*listen)(struct fab_msg *m, const union fab_addr *addr, int backlog,
		      const struct fab_msg_listen_user *ops, void *user,
		      struct fab_msg_listener **out);
	int (*listener_addr)(struct fab_msg_listener *l, union fab_addr *addr);
	/* Requests that were reported and not answered stay with their user. */
	void (*unlisten)(struct fab_msg_listener *l);

	/* connected() follows, never from within this call. @hello NULL: features 0, no name. */
	int (*connect)(struct fab_msg *m, const struct fab_connect_attr *attr,
		       const struct fab_hello *hello, const void *pdata, size_t len,
		       const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out);
	/* connected() follows, never from within this call. -ESTALE: the peer has left; close it. */
	int (*accept)(struct fab_msg_conn *conn, const struct fab_hello *hello, const void *pdata,
		      size_t len, const struct fab_msg_user *ops, void *user);
	/* The refusal is sent and the connection is gone. */
	void (*reject)(struct fab_msg_conn *conn, const void *pdata, size_t len);
	/* As for a stream. */
	void (*tx_want)(struct fab_msg_conn *conn);
	void (*tx_now)(struct fab_msg_conn *conn);
	void (*rx_want)(struct fab_msg_conn *conn);
	/* Orderly: FIN behind what has been written; closed() follows when the peer has answered. */
	int (*shutdown)(struct fab_msg_conn *conn);
	/* As of a stream. With messages begun whose memory is the user's, @reset is as good as true. */
	void (*conn_close)(struct fab_msg_conn *conn, bool reset);
	int (*conn_addr)(struct fab_msg_conn *conn, union fab_addr *local, union fab_addr *peer);
	const char *(*wire)(const struct fab_msg_conn *conn); /* as of a stream */

	/*
	 * Both of wires that have a device, else NULL.
	 *
	 * @region's memory will be taken away: when this returns no device reaches it, and peers are
	 * told to forget their keys. What is under way there fails, and with it its connection.
	 */
	void (*region_gone)(struct fab_msg *m, struct fab_region *region);
	/*
	 * The FAB_READ with this sink has come to another end than its answer. When this returns no
	 * device reaches the sink; the connection fails if one does.
	 */
	void (*read_over)(struct fab_msg_conn *conn, uint32_t sink_stag);
};

/* --------------------------------------------------------------------- the choice */

/* What an engine drives: the stream fabric, and the message fabric on top of it. */
struct fabric {
	const char *name; /* of the wire in use */
	const char *why;  /* it is this one, for people */
	const struct fab_stream_ops *stream;
	struct fab *fab;
	const struct fab_msg_ops *msg;
	struct fab_msg *m;
};

/*
 * Opens the fabric called @name; NULL or "auto": the best one for this kind of owner.
 *	tcp, uring	kernel TCP, with readiness by epoll or by an io_uring
 *	roce[:device]	connects by RDMA, and listens for both RDMA and TCP
 * -ENOENT: no such fabric; else what its open() gave:
 * -EOPNOTSUPP: not on this machine, or not built; -ENODEV: no such device, or none that is usable.
 * Of these two the reason has been logged.
 */
int fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		struct fabric *out);
void fabric_close(struct fabric *f);

/* The wire that carries a connection: "tcp", "roce". */
static inline const char *fabric_conn_wire(const struct fabric *f, const struct fab_conn *conn)
{
	return f->stream->wire ? f->stream->wire(conn) : f->name;
}

static inline const char *fabric_msg_wire(const struct fabric *f, const struct fab_msg_conn *conn)
{
	return f->msg->wire ? f->msg->wire(conn) : f->name;
}

/* A device that a wire needs: an RDMA device. */
#define FAB_DEVICE_ADDRS 16
struct fab_device {
	const char *wire; /* whose: "roce" */
	char name[64];    /* "rxe0" */
	char netdev[16];  /* the network interface under it; empty: none */
	bool usable;      /* has a port that is up, and an address */
	char state[160];  /* for people: what it is; if it is not usable, why */
	unsigned naddrs;  /* of its interface: by these it is reached, and may listen */
	union fab_addr addr[FAB_DEVICE_ADDRS];
};

/*
 * All that there are, usable or not, in *@list for free(). Returns their number; or a negative code
 * when they cannot be known: -EOPNOTSUPP, not built, or libraries are missing. Whenever it is not
 * more than 0, @why says the reason in words.
 */
int fabric_devices(struct fab_device **list, char *why, size_t len);

#ifdef __cplusplus
}
#endif
#endif
