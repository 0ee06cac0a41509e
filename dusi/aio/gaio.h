/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * gaio.h - generic asynchronous I/O: one interface to sockets and files, several ways underneath.
 *
 * A program posts operations and gathers completions. Which interface of the system carries them out
 * is chosen when the program starts:
 *
 *	dusi		asynchronous sockets on the packet processing engine (dusi.h)
 *	epoll		non-blocking sockets and readiness, the ordinary way on Linux
 *	io_uring	the kernel's own asynchronous interface, without the engine
 *
 * Each operation ends with exactly one event, in the queue that its kind is bound to at its socket or
 * file: accepts, receives, sends and closings may share a queue or have one each. (So the program
 * sees how many events of each kind wait, and decides what to do next: section V-B of the paper.
 * docs/aio.md tells how each interface binds operations to queues, and what that costs here.)
 *
 *	gaio_open(&(struct gaio_attr){ .backend = "dusi" }, &io);
 *	gaio_queue_create(io, 1024, &q);
 *	gaio_socket(io, &(struct gaio_socket_attr){ .recv = q, .send = q, .close = q }, &s);
 *	gaio_connect(s, addr, addrlen, tag);
 *	gaio_wait(io, -1);
 *	n = gaio_take(q, events, 64);
 *
 * Return value: 0 or a count, or a negative errno value. Operations report later errors in their
 * event's status. Errors that every call shares: -EINVAL: an argument is wrong in itself; -ENOMEM.
 *
 * Ownership: memory named in an operation belongs to the back end until the operation's event; lists
 * of buffers, addresses, paths and attributes are copied before a call returns. A socket or a file is
 * the program's until the event of its closing, which is the last one that names it.
 *
 * Threads: a struct gaio, with all that was made in it, belongs to the thread that opened it. Signal
 * handlers may run at any time: gaio_wait() then returns -EINTR.
 */
#ifndef DUSI_AIO_GAIO_H
#define DUSI_AIO_GAIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gaio;
struct gaio_queue;
struct gaio_sock;
struct gaio_file;
struct statx;

/* ------------------------------------------------------------------- opening */

struct gaio_attr {
	const char *backend;   /* NULL: $ETA_AIO, else "dusi" */
	const char *placement; /* of the engine; NULL: $ETA_PPE, else "inline"; dusi only */
	uint32_t max_sockets;  /* 0: 65,536 */
	const char **why;      /* NULL, or where to say, in words, why it cannot be opened */
};

/*
 * -ENOENT: no such back end; -EOPNOTSUPP: this machine does not have it (io_uring that the kernel or
 * a container's policy refuses); others as Dusi_Open_Ual.
 */
int gaio_open(const struct gaio_attr *attr, struct gaio **io);
/* Closes what is left in it: waiting events are lost. */
void gaio_close(struct gaio *io);

/* What is in use, and why, in words; valid while @io is. */
struct gaio_info {
	const char *backend;
	const char *sockets, *sockets_why; /* "tcp", "epoll", "io_uring", ... */
	const char *files, *files_why;     /* "io_uring" or "threads" */
};
void gaio_query(struct gaio *io, struct gaio_info *info);

/* The name of the i-th back end that this library was built with; NULL: there are no more. */
const char *gaio_backend(unsigned i);

/* The i-th counter (system calls, bytes, copies, events): its name and value. -ENOENT: no more. */
int gaio_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value);

/* -------------------------------------------------------------------- memory */

/* What operations must name their memory by. All zeroes where the back end needs no such thing. */
struct gaio_mem {
	uint32_t region, tag;
};

#define GAIO_READ 0x01  /* may be sent or written from */
#define GAIO_WRITE 0x02 /* may be received or read into */

/* As Dusi_Register_Memory and Dusi_Deregister_Memory. */
int gaio_register(struct gaio *io, void *addr, size_t len, unsigned access, struct gaio_mem *mem);
int gaio_deregister(struct gaio *io, struct gaio_mem mem);

/* A piece of registered memory. */
struct gaio_buf {
	void *addr;
	size_t len;
	struct gaio_mem mem;
};

#define GAIO_BUFS_MAX 7 /* pieces of one operation */

/* -------------------------------------------------------------------- events */

enum gaio_op {
	GAIO_CONNECT = 1, /* queue: send */
	GAIO_ACCEPT,      /* recv, of the listener; sock and context are the child's */
	GAIO_RECV,        /* recv; len 0 with status 0: the peer sends no more */
	GAIO_SEND,        /* send; whole, or an error. Of gaio_send_file, too */
	GAIO_SHUTDOWN,    /* send */
	GAIO_CLOSE,       /* close; the last event of its socket or file */
	GAIO_OPEN,        /* files: all in the file's queue */
	GAIO_READ_FILE,
	GAIO_WRITE_FILE,
	GAIO_STAT,
	GAIO_SYNC
};

struct gaio_event {
	enum gaio_op op;
	int status;       /* 0, or a negative errno value; -ECANCELED: closed before it was done */
	uint64_t tag;     /* given with the operation */
	uint64_t context; /* of the socket or file */
	size_t len;       /* bytes moved, those before an error included */
	struct gaio_sock *sock;
	struct gaio_file *file;
};

/*
 * A queue for @size events (0: 256). No event is ever lost: where more could come than there is room
 * for, posts are refused (-EAGAIN), or the operations wait, or the queue grows. -EINVAL: over 1,048,576.
 */
int gaio_queue_create(struct gaio *io, uint32_t size, struct gaio_queue **queue);
/* -EBUSY: a socket or a file is bound to it. */
int gaio_queue_destroy(struct gaio_queue *queue);

/*
 * Takes up to @max events, oldest first. Does nothing else: what makes events come is gaio_wait(), so
 * a loop over several queues costs no more than one over a single one.
 */
int gaio_take(struct gaio_queue *queue, struct gaio_event *events, int max);
/* Events waiting in it. */
unsigned gaio_waiting(struct gaio_queue *queue);
/*
 * Begins what was posted, gathers what has ended, and waits until one of the queues has an event, at
 * most @timeout_us (0: not at all; negative: no limit). Returns the number of queues that have some, 0
 * after the time-out. -EINTR: there was no event, and a signal handler ran (or seemed to: a kernel that
 * starts threads for file operations interrupts its callers, too).
 */
int gaio_wait(struct gaio *io, int64_t timeout_us);

/* ------------------------------------------------------------------- sockets */

/* Queues may be the same. Those left out: `recv` and `send` stand in for each other, `send` for close. */
struct gaio_socket_attr {
	struct gaio_queue *recv, *send, *close;
	uint64_t context;
};

/* Of TCP, without Nagle's delay. -ENOSPC: max_sockets; those count whose closing has not been taken. */
int gaio_socket(struct gaio *io, const struct gaio_socket_attr *attr, struct gaio_sock **sock);

#define GAIO_REUSEPORT 0x01    /* other sockets may listen there, and share what comes */
#define GAIO_DEFER_ACCEPT 0x02 /* connections are accepted when their first data are there */

/* As bind(2) and listen(2): -EADDRINUSE, -EACCES, ...; IPv6 addresses take IPv6 alone. */
int gaio_listen(struct gaio_sock *sock, const struct sockaddr *addr, socklen_t len, int backlog,
		unsigned flags);
/*
 * The next connection that comes to @listener becomes @child's, a fresh socket. Any number may be
 * posted: each is a promise to take one. A receive may be posted on @child at once. When the process
 * or the system is out of descriptors, accepts wait until some are free.
 */
int gaio_accept(struct gaio_sock *listener, struct gaio_sock *child, uint64_t tag);
int gaio_connect(struct gaio_sock *sock, const struct sockaddr *addr, socklen_t len, uint64_t tag);
/* The next bytes, at least one, at most @len. One receive may be posted at a time: -EAGAIN. */
int gaio_recv(struct gaio_sock *sock, const struct gaio_buf *buf, uint64_t tag);

#define GAIO_MORE 0x01 /* another send follows at once */

/*
 * All pieces, in order. Two sends (and a shutdown) may be posted at a time: -EAGAIN. -EMSGSIZE: 4 GiB or
 * more, of receives and file operations, too. Errors as for Dusi_Send.
 */
int gaio_send(struct gaio_sock *sock, const struct gaio_buf *bufs, int n, unsigned flags,
	      uint64_t tag);
/* @len bytes of an open file, without passing through the program's memory. As Dusi_Send_File. */
int gaio_send_file(struct gaio_sock *sock, struct gaio_file *file, uint64_t offset, size_t len,
		   uint64_t tag);
/* FIN behind all sends posted so far. */
int gaio_shutdown(struct gaio_sock *sock, uint64_t tag);
/*
 * Closes at once; what was not yet sent is not sent. Operations still posted end with -ECANCELED, and
 * GAIO_CLOSE comes when the events of all of them have been taken. Later posts: -EBADF. Never fails; a
 * second call is ignored.
 */
void gaio_close_sock(struct gaio_sock *sock, uint64_t tag);
/* -ENOTCONN */
int gaio_local_addr(struct gaio_sock *sock, struct sockaddr_storage *addr);
int gaio_peer_addr(struct gaio_sock *sock, struct sockaddr_storage *addr);

/* --------------------------------------------------------------------- files */

struct gaio_open_how { /* as openat2(2) */
	int dirfd;
	const char *path;
	uint64_t flags, mode, resolve;
};

/*
 * A file that is being opened: GAIO_OPEN. The file is to be closed also when that fails. Other
 * operations before the event end with -EBADF. At once: -EAGAIN: too many operations.
 */
int gaio_open_file(struct gaio *io, struct gaio_queue *queue, uint64_t context,
		   const struct gaio_open_how *how, uint64_t tag, struct gaio_file **file);
/* A descriptor that is open: it is the file's from here on. */
int gaio_adopt_file(struct gaio *io, struct gaio_queue *queue, uint64_t context, int fd,
		    struct gaio_file **file);
/* A read may end short; 0 bytes: at or behind the end. A write is whole, or an error. */
int gaio_read_file(struct gaio_file *file, const struct gaio_buf *buf, uint64_t offset,
		   uint64_t tag);
int gaio_write_file(struct gaio_file *file, const struct gaio_buf *buf, uint64_t offset,
		    uint64_t tag);
int gaio_stat_file(struct gaio_file *file, struct statx *st, uint64_t tag);
int gaio_sync_file(struct gaio_file *file, uint64_t tag);
/* Behind what is under way, sends of it included: GAIO_CLOSE. Never fails; a second call is ignored. */
void gaio_close_file(struct gaio_file *file, uint64_t tag);

#ifdef __cplusplus
}
#endif
#endif
