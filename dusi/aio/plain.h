/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * plain.h - sockets of those back ends that use the kernel's directly: what is posted to each, its
 * state, and the events that operations end with. How bytes are moved is the back end's business.
 */
#ifndef DUSI_AIO_PLAIN_H
#define DUSI_AIO_PLAIN_H

#include <sys/types.h>
#include <sys/uio.h>

#include "dusi/aio/internal.h"
#include "files/files.h"

enum plain_state {
	PLAIN_IDLE,
	PLAIN_LISTENING,
	PLAIN_WAITING, /* to be accepted */
	PLAIN_CONNECTING,
	PLAIN_CONNECTED,
	PLAIN_DEAD, /* everything ends with `error` */
};

/* A send, of memory or of a file, or a shutdown. */
struct tx {
	struct tx *next;
	uint8_t op; /* enum gaio_op */
	uint8_t niov;
	bool more;
	struct gaio_file *file; /* NULL: memory */
	uint64_t tag, offset;
	size_t len, done;
	uint8_t at; /* first piece of which something is left */
	struct iovec iov[GAIO_BUFS_MAX];
	struct msghdr msg; /* for those who need it to last */
};

struct plain {
	struct gaio_sock s;
	int fd;
	uint8_t state; /* enum plain_state */
	bool tx_shut;
	int error;
	void *rx_addr; /* NULL: no receive is waiting */
	size_t rx_len;
	uint64_t rx_tag, cm_tag;
	struct tx *tx_first, **tx_last;
	struct link work;    /* in one of the lists of struct plain_io */
	struct link accepts; /* a listener's: the children that wait; a child's: its place there */
};

/* A file of these back ends. */
struct plain_file {
	struct gaio_file f;
	int fd; /* -1: not, or not yet, open */
};

/* An operation on one, as the file service wants it; the io_uring back end reads it itself. */
struct file_op {
	struct files_req req;
	struct link link;       /* of all that are under way */
	struct gaio_file *file; /* NULL: a closing, of which nobody is told here */
	struct plain_io *io;
	uint8_t op; /* enum gaio_op */
	uint64_t tag;
	struct iovec iov;
	char *path;
};

enum plain_count {
	COUNT_SYS_WAIT,
	COUNT_SYS_RECV,
	COUNT_SYS_SEND,
	COUNT_SYS_SENDFILE,
	COUNT_SYS_ACCEPT,
	COUNT_SYS_WATCH,
	COUNT_SYS_OTHER,
	COUNT_SUBMITTED,
	COUNT_RECV_BYTES,
	COUNT_SEND_BYTES,
	COUNT_COPIES,
	COUNT_ACCEPT_STARVED,
	COUNT_FILE_READ_BYTES,
	COUNT_FILE_WRITE_BYTES,
	PLAIN_COUNTS
};

struct plain_io {
	struct gaio io;
	struct tx *tx_free;
	/* Begins it; plain_file_op_done() when it has ended. Never fails. */
	void (*file_begin)(struct plain_io *io, struct file_op *op);
	struct link work;    /* sockets to look at before the next wait */
	struct link starved; /* those that had no descriptor to accept with */
	int64_t starved_until_ns;
	bool skipped; /* the last wait did not ask the kernel */
	struct link file_ops;
	unsigned nfile_ops;
	uint64_t counts[PLAIN_COUNTS];
};

static inline struct plain *plain_of(struct gaio_sock *s)
{
	return (struct plain *)s;
}

static inline int plain_file_fd(const struct gaio_file *f)
{
	return ((const struct plain_file *)f)->fd;
}

static inline struct plain_io *plain_io_of(const struct plain *s)
{
	return (struct plain_io *)s->s.o.io;
}

static inline void plain_count(const struct plain *s, enum plain_count what, uint64_t n)
{
	plain_io_of(s)->counts[what] += n;
}

void plain_io_open(struct plain_io *io);
void plain_io_close(struct plain_io *io);
int plain_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value);
int plain_mem_register(struct gaio *io, void *addr, size_t len, unsigned access,
		       struct gaio_mem *mem);
int plain_mem_deregister(struct gaio *io, struct gaio_mem mem);

int plain_open(struct gaio_sock *s);
/* With a descriptor that does not block, if @flags say so (SOCK_NONBLOCK). */
int plain_listen(struct plain *s, const struct sockaddr *addr, socklen_t len, int backlog,
		 unsigned how, int flags);
/* Makes the descriptor: connect(2) is the caller's. */
int plain_connect(struct plain *s, const struct sockaddr *addr, socklen_t len, uint64_t tag,
		  int flags);
int plain_accept(struct plain *l, struct plain *child, uint64_t tag);
int plain_recv(struct plain *s, const struct gaio_buf *buf, uint64_t tag);
/* These three make the last entry of the list; one that cannot be sent ends at once. */
int plain_send(struct plain *s, const struct gaio_buf *bufs, int n, unsigned flags, uint64_t tag);
int plain_send_file(struct plain *s, struct gaio_file *file, uint64_t offset, size_t len,
		    uint64_t tag);
int plain_shutdown(struct plain *s, uint64_t tag);
int plain_address(struct gaio_sock *s, struct sockaddr_storage *addr, bool peer);

/* Events. */
void plain_rx_end(struct plain *s, int status, size_t len);
/* Of the first entry. */
void plain_tx_end(struct plain *s, int status);
void plain_connected(struct plain *s, int status);
/* @child is the first that waits; @fd, or a negative errno value, is what it got. */
void plain_accepted(struct plain *l, struct plain *child, int fd);
/* No connection any more: all that is posted ends with @error, and so does what comes later. */
void plain_fail(struct plain *s, int error);
void plain_cancel_accept(struct plain *child);

static inline struct plain *plain_first_child(const struct plain *l)
{
	return link_alone(&l->accepts) ? NULL : link_entry(l->accepts.next, struct plain, accepts);
}

/* @n bytes more are sent. */
void plain_tx_moved(struct tx *t, size_t n);
static inline struct msghdr *plain_tx_msg(struct tx *t)
{
	t->msg = (struct msghdr){ .msg_iov = t->iov + t->at, .msg_iovlen = t->niov - t->at };
	return &t->msg;
}

/* sendfile(2) of the first entry's rest, at most @max bytes; without SIGPIPE. -errno. */
ssize_t plain_sendfile(struct plain *s, const struct tx *t, size_t max);
/* ----------------------------------------------------------------------- waiting */

#define STARVED_MS 100 /* between looks whether there are descriptors again */

static inline bool plain_has_news(const struct plain_io *io)
{
	return io->io.events || io->io.closings;
}

static inline void plain_work(struct plain *s)
{
	if (link_alone(&s->work))
		link_add(&plain_io_of(s)->work, &s->work);
}

/* A deadline, ns: 0: none is needed, for it is over; negative: there is none. */
int64_t plain_deadline(int64_t timeout_us);
bool plain_expired(int64_t deadline_ns);
/* ns until @deadline_ns, or there is something else to do; negative: no limit. */
int64_t plain_time_left(const struct plain_io *io, int64_t deadline_ns);
/* Later; and: now. */
void plain_starve(struct plain *s);
static inline void plain_feed(struct plain_io *io)
{
	link_move(&io->work, &io->starved);
}
/* Now, if it is time. */
void plain_feed_in_time(struct plain_io *io);

/* ------------------------------------------------------------------------- files */

int plain_file_open(struct gaio_file *f, const struct gaio_open_how *how, uint64_t tag);
int plain_file_adopt(struct gaio_file *f, int fd);
int plain_file_rw(struct gaio_file *f, enum gaio_op op, const struct gaio_buf *buf, uint64_t offset,
		  uint64_t tag);
int plain_file_stat(struct gaio_file *f, struct statx *st, uint64_t tag);
int plain_file_sync(struct gaio_file *f, uint64_t tag);
void plain_file_close(struct gaio_file *f);
void plain_file_idle(struct gaio_file *f);
/* req.result and req.moved say how. */
void plain_file_op_done(struct file_op *op);
/* All that is left, of what is not under way any more. */
void plain_files_forget(struct plain_io *io);

/* ------------------------------------------------------------------------ errors */

/* Is this an error of the operation alone, and the connection as good as before? */
bool plain_op_error(int err);
/* Of accept(2): the connection that would have come is gone, the next may be better. */
bool plain_accept_again(int err);
/* No descriptors, or no memory for one: later. */
bool plain_accept_starved(int err);

#endif
