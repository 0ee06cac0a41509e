/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dusi.h - the direct user socket interface: asynchronous sockets over a packet processing engine.
 *
 * The calls are those of Table I of "Evaluating Network Processing Efficiency with Processor
 * Partitioning and Asynchronous I/O" (Brecht, Janakiraman, Lynn, Saletore, Turner; EuroSys 2006),
 * name for name, with their closing counterparts and a few extensions, marked [extension].
 *
 * A program opens a UAL, creates event queues and sockets in it, posts operations, and takes events:
 *
 *	Dusi_Open_Ual(NULL, &ual);
 *	Dusi_Create_EvQ(ual, 1024, &evq);
 *	Dusi_Socket(ual, &(struct dusi_socket_attr){ .tx_evq = evq, .rx_evq = evq }, &sock);
 *	Dusi_Register_Memory(ual, buf, size, DUSI_READ | DUSI_WRITE, &mem);
 *	Dusi_Connect(sock, addr, addrlen, tag1);
 *	Dusi_Wait_All(evq, events, 64, -1, NULL, NULL);
 *	Dusi_Send(sock, &(struct dusi_buf){ buf, n, mem }, 1, tag2);
 *
 * Return value: 0 or a count, or a negative errno value. What can go wrong with an operation only
 * later comes in its event's status. Errors that every call shares:
 *	-EBADF		the handle was never given, or what it named is closed
 *	-EINVAL		an argument is wrong in itself (NULL where memory is needed, a bad count)
 *	-EOWNERDEAD	this process is a fork of the one that opened the UAL
 *	-ENOMEM
 *
 * Ownership: memory named in a send or a receive belongs to the engine from the call until the
 * operation's event. Lists of buffers, addresses and attributes are copied before a call returns.
 *
 * Exactly one event ends each operation: done, failed, cancelled (-ECANCELED) or timed out
 * (-ETIMEDOUT).
 *
 * Threads: any call from any thread. Posts to one socket are put in some order. A call must not use
 * a handle that another thread is closing. No call is async-signal-safe.
 *
 * Sizes are in bytes, times in microseconds unless the name says otherwise.
 */
#ifndef DUSI_H
#define DUSI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Handles. Zero is never a valid one; a stale one is refused, not followed. */
typedef struct {
	uint64_t id;
} dusi_ual_t;
typedef struct {
	uint64_t id;
} dusi_evq_t;
typedef struct {
	uint64_t id;
} dusi_sock_t;
typedef struct {
	uint64_t id;
} dusi_file_t;
/* A registered region: its number and its random protection tag. Unforgeable only by luck. */
typedef struct {
	uint32_t region;
	uint32_t ptag;
} dusi_mem_t;

/* -------------------------------------------------------------------------- UAL */

#define DUSI_POOL_CLASSES 4

/* [extension] A promise: one thread makes every call. Posts and io_uring then do without locks. */
#define DUSI_SINGLE_THREAD 0x01

/* Zeroed members mean the default. */
struct dusi_ual_attr {
	/* "adaptive" (default), "inline", "dedicated" or "dedicated:CPU"; NULL: $ETA_PPE */
	const char *placement;
	unsigned flags;       /* DUSI_SINGLE_THREAD */
	uint32_t max_sockets; /* the doorbell queue's size; default 65,536 */
	/* Anonymous buffers: sizes ascending, and how many of each; default 256 of 2 KiB and 64 of
	 * 16 KiB. They take data that arrives before a receive is posted; when they are used up,
	 * TCP stops the sender. */
	struct {
		uint32_t size, count;
	} pool[DUSI_POOL_CLASSES];
};

/*
 * [extension] From now on @log, unless NULL, is told in words why a UAL cannot be opened, and what else
 * somebody should know of: one line each, of any UAL of this process, by any thread that is inside a
 * call or is an engine's. It must not call DUSI.
 */
void Dusi_Set_Log(void (*log)(void *arg, const char *text), void *arg);

/*
 * Attaches to an engine. @attr may be NULL.
 * -EINVAL: placement or pool malformed; -ENODEV: the dedicated processor cannot be used, or there is
 * no such RDMA device; -EOPNOTSUPP, -ENOENT: $ETA_FABRIC cannot be had here, or is none; -ENFILE: 255
 * UALs are open; -EMFILE.
 */
int Dusi_Open_Ual(const struct dusi_ual_attr *attr, dusi_ual_t *ual);
/* Closes all its sockets and event queues; waiting events are lost, regions forgotten. */
int Dusi_Close_Ual(dusi_ual_t ual);

/* ----------------------------------------------------------------------- memory */

#define DUSI_READ 0x01  /* may be sent from */
#define DUSI_WRITE 0x02 /* may be received into */

/* -EFAULT: not (all) mapped; -EINVAL: empty, or neither DUSI_READ nor DUSI_WRITE; -ENOSPC. */
int Dusi_Register_Memory(dusi_ual_t ual, void *addr, size_t len, unsigned access, dusi_mem_t *mem);
/*
 * No operation touches the region once this has returned; operations that name it end with
 * -EKEYREVOKED. -ENOKEY, -EKEYREVOKED: not registered (any more); -EKEYREJECTED: wrong tag;
 * -EBUSY: a file operation is using it: it stays.
 */
int Dusi_Deregister_Memory(dusi_ual_t ual, dusi_mem_t mem);

/* ----------------------------------------------------------------- event queues */

enum dusi_event_type {
	DUSI_EV_CONNECT = 1, /* on the socket's TX event queue */
	DUSI_EV_ACCEPT,      /* on the listener's RX event queue; sock is the child */
	DUSI_EV_RECV,        /* on the RX event queue; len 0 with status 0: end of stream */
	DUSI_EV_SEND,        /* on the TX event queue; whole, or an error */
	DUSI_EV_SHUTDOWN,    /* on the TX event queue */
	/* of files, on the file's event queue */
	DUSI_EV_OPEN,
	DUSI_EV_READ,  /* len 0 with status 0: at or behind the end of the file */
	DUSI_EV_WRITE, /* whole, or an error */
	DUSI_EV_STAT,
	DUSI_EV_SYNC
};

struct dusi_event {
	enum dusi_event_type type;
	int status;       /* 0, or a negative errno value */
	uint64_t tag;     /* the user tag given with the operation */
	dusi_sock_t sock; /* the socket that the operation was posted to; ACCEPT: the child */
	dusi_file_t file; /* the file, of a file's events; sock.id is then 0 */
	uint64_t context; /* of that socket (struct dusi_socket_attr) or file */
	size_t len;       /* bytes moved, those before an error included */
};

/* @size events (rounded up to a power of two); 0: 256. -EINVAL: over 1,048,576; -ENOSPC. */
int Dusi_Create_EvQ(dusi_ual_t ual, uint32_t size, dusi_evq_t *evq);
/* -EBUSY: a socket or a file is bound to it, or a thread waits on it. */
int Dusi_Destroy_EvQ(dusi_evq_t evq);

/*
 * Takes up to @max events into @events, oldest first, waiting up to @timeout_us for the first one
 * (0: not at all; negative: for ever). With @callback, it is called for each event taken, in order
 * (@events may then be NULL and @max is still the bound); it may make any call, this one included.
 * Returns the number of events, 0 after the time-out.
 * -EINTR: a signal handler ran, and there was no event.
 */
typedef void (*dusi_callback_t)(const struct dusi_event *event, void *arg);
int Dusi_Wait_All(dusi_evq_t evq, struct dusi_event *events, int max, int64_t timeout_us,
		  dusi_callback_t callback, void *arg);
/*
 * [extension] Waits until one of @n event queues (of one UAL) has an event, and takes none.
 * Returns the index of the first that has one; -ETIMEDOUT; -EINTR;
 * -EBUSY: another thread is waiting on one of them; -EXDEV: of several UALs.
 */
int Dusi_Wait_Any(const dusi_evq_t *evqs, int n, int64_t timeout_us);
/* Number of events waiting in the queue; never waits. */
int Dusi_EvQ_Num_Events(dusi_evq_t evq);
/*
 * Has the operation with this tag ended? 1: yes, its event is in *@event and out of the queue;
 * 0: not yet. Never waits. With a tag that several operations share: the oldest.
 */
int Dusi_Done(dusi_evq_t evq, uint64_t tag, struct dusi_event *event);
/*
 * [extension] Asks for @signo, sent to the calling thread, when the queue next changes from empty to
 * not empty; once. 0 withdraws. Loses no wake-up when used so: block the signal; enable; on 0,
 * sigsuspend(); then take the events.
 * -EAGAIN: there are events already, and the signal is not enabled; -EOPNOTSUPP: inline placement
 * has no thread to send it.
 */
int Dusi_EvQ_Enable_Signal(dusi_evq_t evq, int signo);

/* ---------------------------------------------------------------------- sockets */

/* Zeroed members mean the default. */
struct dusi_socket_attr {
	dusi_evq_t tx_evq; /* for connect, send, shutdown */
	dusi_evq_t rx_evq; /* for accept, receive; default: tx_evq. At least one must be given. */
	uint32_t tx_slots; /* depth of the send queue, default 16: a send takes one slot up to 2 */
	uint32_t rx_slots; /* buffers, 2 up to 4, 3 up to 7, 4 up to 10; likewise receives */
	uint64_t context;  /* comes back in events */
};

/* -EXDEV: an event queue of another UAL; -ENOSPC: max_sockets. */
int Dusi_Socket(dusi_ual_t ual, const struct dusi_socket_attr *attr, dusi_sock_t *sock);
/*
 * Closes at once; what was not yet sent is not sent (see Dusi_Shutdown for an orderly end). No
 * memory is touched any more; operations still posted end with -ECANCELED. Their events, and
 * earlier ones, can still be taken.
 */
int Dusi_Close_Socket(dusi_sock_t sock);

/* Local address. Port 0: chosen at connect or listen. -EISCONN; -EAFNOSUPPORT: not IPv4 or IPv6. */
int Dusi_Bind(dusi_sock_t sock, const struct sockaddr *addr, socklen_t addrlen);
/* After Dusi_Bind. @backlog as listen(2). -EDESTADDRREQ: not bound; -EADDRINUSE; -EACCES. */
int Dusi_Listen(dusi_sock_t sock, int backlog);
/*
 * Event: DUSI_EV_CONNECT; -ECONNREFUSED, -ETIMEDOUT (DUSI_SO_CONNECT_TIMEOUT), -ENETUNREACH, ...
 * At once: -EISCONN, -EALREADY, -EAFNOSUPPORT.
 */
int Dusi_Connect(dusi_sock_t sock, const struct sockaddr *addr, socklen_t addrlen, uint64_t tag);
/*
 * The next connection that comes to @listener becomes @child's: a fresh socket of the same UAL. Any
 * number of accepts may be posted; each is a promise to take one connection. Receives may be
 * posted on @child without waiting for the event. Event: DUSI_EV_ACCEPT, on the listener's queue;
 * -ETIMEDOUT (DUSI_SO_ACCEPT_TIMEOUT of the listener).
 * At once: -EINVAL: @listener is not listening; -EISCONN, -EALREADY: @child is in use; -EXDEV.
 */
int Dusi_Accept(dusi_sock_t listener, dusi_sock_t child, uint64_t tag);

/* A piece of registered memory. */
struct dusi_buf {
	void *addr;
	size_t len;
	dusi_mem_t mem;
};

#define DUSI_BUFS_MAX 10               /* pieces of one operation */
#define DUSI_OP_BYTES_MAX 0xffffffffUL /* bytes of one operation */

/*
 * Sends the pieces in order, whole. Event: DUSI_EV_SEND when the kernel has taken every byte.
 * At once: -EAGAIN: the send queue is full (an event on the TX event queue will announce room);
 * -EMSGSIZE: over DUSI_OP_BYTES_MAX; -EINVAL: no pieces, or over DUSI_BUFS_MAX.
 * In the event: -ENOTCONN, -EPIPE (shut down), -ECONNRESET, -ETIMEDOUT; of the memory: -ENOKEY,
 * -EKEYREVOKED, -EKEYREJECTED, -ERANGE, -EACCES, -EFAULT. Errors of the memory fail this operation
 * alone; with len > 0 a part was sent before the memory went away.
 */
int Dusi_Send(dusi_sock_t sock, const struct dusi_buf *bufs, int n, uint64_t tag);
/* [extension] Sends a copy of up to DUSI_INLINE_MAX bytes, of any memory, made before it returns. */
#define DUSI_INLINE_MAX 240
int Dusi_Send_Inline(dusi_sock_t sock, const void *data, size_t len, uint64_t tag);
/*
 * Receives what comes next, at least one byte (0: end of stream), at most the pieces' length.
 * Receives are filled in the order posted. Errors as for Dusi_Send.
 */
int Dusi_Recv(dusi_sock_t sock, const struct dusi_buf *bufs, int n, uint64_t tag);

#define DUSI_SHUT_TX 1 /* FIN behind all sends posted so far */
#define DUSI_SHUT_RX 2 /* posted and later receives end with 0 bytes; what arrives is dropped */
#define DUSI_SHUT_BOTH 3
/* Event: DUSI_EV_SHUTDOWN (for DUSI_SHUT_RX alone too). -ENOTCONN; -EAGAIN: send queue full. */
int Dusi_Shutdown(dusi_sock_t sock, int how, uint64_t tag);
/*
 * [extension] Cancels this socket's operations with this tag of which nothing has happened yet: each
 * ends with -ECANCELED. An accept is cancelled on its listener. Returns their number;
 * -ENOENT: none; -EAGAIN: the event queue is full, take events first.
 */
int Dusi_Cancel(dusi_sock_t sock, uint64_t tag);

/* ------------------------------------------------------------------------ files */

/*
 * [extension] Files, with the same events in the same queues (section IV-B). Operations on one
 * file may end in any order. They are carried out by io_uring where the kernel has it and the
 * placement allows it, else by a small pool of threads; Dusi_Query_Ual says which, and why. At most
 * DUSI_FILE_OPS_MAX are under way in a UAL, and each has a slot in its event queue: -EAGAIN, at once,
 * means that one of these is used up; take events first.
 */
#define DUSI_FILE_OPS_MAX 4096

struct dusi_file_attr {
	dusi_evq_t evq;
	uint64_t context; /* comes back in events */
};

/* How to open a file: as openat2(2). */
struct dusi_open {
	int dirfd; /* or AT_FDCWD; it must stay open until the event */
	const char *path;
	uint64_t flags; /* O_RDONLY, O_CREAT, ...; O_CLOEXEC is added */
	uint64_t mode;
	uint64_t resolve; /* RESOLVE_BENEATH, ... */
};

/*
 * A file that is being opened. Event: DUSI_EV_OPEN; -ENOENT, -EACCES, -EMFILE, ... of openat2(2),
 * -ENOSYS where the kernel lacks it. The handle is valid, and to be closed, in any case; other
 * operations on it before the event end with -EBADF.
 * At once: -ENAMETOOLONG: over 4,095 bytes; -EAGAIN; -ENOSPC: 65,536 files.
 */
int Dusi_Open_File(dusi_ual_t ual, const struct dusi_file_attr *attr, const struct dusi_open *how,
		   uint64_t tag, dusi_file_t *file);
/* The same for a descriptor that is open: it is the UAL's from here on. -EBADF; -ENOSPC. */
int Dusi_Adopt_File(dusi_ual_t ual, const struct dusi_file_attr *attr, int fd, dusi_file_t *file);
/*
 * The handle is gone at once, the descriptor when the last operation that uses it has ended: those
 * still under way have their events as if it had stayed open.
 */
int Dusi_Close_File(dusi_file_t file);

/*
 * From, or to, @offset; a read may end short, a write does not. Events: DUSI_EV_READ, DUSI_EV_WRITE:
 * errors of preadv(2) and pwritev(2) (-ENOSPC: the disk is full; len: what was written before), and of
 * the memory as for Dusi_Send. A region in use here cannot be deregistered: -EBUSY.
 */
int Dusi_Read_File(dusi_file_t file, const struct dusi_buf *bufs, int n, uint64_t offset,
		   uint64_t tag);
int Dusi_Write_File(dusi_file_t file, const struct dusi_buf *bufs, int n, uint64_t offset,
		    uint64_t tag);
/* Event: DUSI_EV_STAT. @st belongs to the engine until then. */
struct statx;
int Dusi_Stat_File(dusi_file_t file, struct statx *st, uint64_t tag);
/* What has been written is on the disk. Event: DUSI_EV_SYNC. */
int Dusi_Sync_File(dusi_file_t file, uint64_t tag);

/*
 * Sends @len bytes of @file from @offset, which never pass through the program's memory, behind what
 * was posted to @sock before. Event: DUSI_EV_SEND, on the socket's TX event queue, as for Dusi_Send;
 * -ENODATA: the file is shorter than that (len: what was sent of it), -EIO. A send posted directly
 * before goes out in the same segment. The file may be closed at once.
 * At once: as for Dusi_Send; -EBADF: @file is not open; -EXDEV; -EMSGSIZE.
 */
int Dusi_Send_File(dusi_sock_t sock, dusi_file_t file, uint64_t offset, size_t len, uint64_t tag);

enum dusi_socket_option {
	DUSI_SO_NODELAY = 1,     /* int, default 1 */
	DUSI_SO_KEEPALIVE,       /* int, default 0 */
	DUSI_SO_SNDBUF,          /* int, the kernel's, bytes; doubled by it as for SO_SNDBUF */
	DUSI_SO_RCVBUF,          /* int */
	DUSI_SO_CONNECT_TIMEOUT, /* int64_t, microseconds; 0 (default): the kernel's */
	DUSI_SO_ACCEPT_TIMEOUT,  /* int64_t, of the accepts posted to this listener; 0: none */
	DUSI_SO_LOCAL_ADDRESS,   /* struct sockaddr_storage; get only */
	DUSI_SO_PEER_ADDRESS,    /* struct sockaddr_storage; get only */
	DUSI_SO_REUSEPORT,       /* int, default 0; before Dusi_Listen: other sockets may too */
	DUSI_SO_DEFER_ACCEPT,    /* int, seconds, default 0; before Dusi_Listen: accept a connection
				  * when its first data are there, or after about so long */
	DUSI_SO_PATH             /* char[DUSI_PATH_LEN]; get only: what carries the connection */
};

#define DUSI_PATH_LEN 16 /* "tcp", "uring", "roce", and zeroes */

/* -ENOPROTOOPT: no such option, or not to be set; -EINVAL: @len is not its size, or the value;
 * -ENOTCONN: no address yet. Set before connect or listen, options hold for what follows; children
 * inherit those of their listener. */
int Dusi_Set_Socket_Ops(dusi_sock_t sock, enum dusi_socket_option option, const void *value,
			size_t len);
int Dusi_Get_Socket_Ops(dusi_sock_t sock, enum dusi_socket_option option, void *value, size_t *len);

/* ------------------------------------------------------------------ information */

/* [extension] What a UAL runs on, and why, in words; valid while it is open. */
struct dusi_ual_info {
	const char *placement;
	const char *fabric, *fabric_why; /* "tcp", "uring" or "roce" */
	const char *files, *files_why;   /* "io_uring" or "threads"; NULL before the first use */
};
int Dusi_Query_Ual(dusi_ual_t ual, struct dusi_ual_info *info);

/*
 * [extension] The @i-th counter of the engine (operations, bytes, system calls, copies, wake-ups,
 * stalls, rejections by reason): its name, valid for ever, and value. -ENOENT: there are no more.
 */
int Dusi_Counter(dusi_ual_t ual, unsigned i, const char **name, uint64_t *value);

#ifdef __cplusplus
}
#endif
#endif
