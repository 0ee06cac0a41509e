/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stream.h - sockets of those back ends that use the kernel's directly: what is posted to each, its
 * state, and the events that operations end with. How bytes are moved is the back end's business.
 */
#ifndef DUSI_AIO_STREAM_H
#define DUSI_AIO_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

#include "dusi/aio/internal.h"

enum stream_state {
	STREAM_IDLE,
	STREAM_LISTENING,
	STREAM_WAITING, /* to be accepted */
	STREAM_CONNECTING,
	STREAM_CONNECTED,
	STREAM_DEAD, /* everything ends with `error` */
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
	struct iovec iov[GAIO_BUFS_MAX];
};

struct stream {
	struct gaio_sock s;
	int fd;
	uint8_t state; /* enum stream_state */
	bool tx_shut;
	int error;
	void *rx_addr; /* NULL: no receive is waiting */
	size_t rx_len;
	uint64_t rx_tag, cm_tag;
	struct tx *tx_first, **tx_last;
	struct link accepts; /* a listener's: the children that wait; a child's: its place there */
};

/* A file of these back ends. */
struct plain_file {
	struct gaio_file f;
	int fd; /* -1: not, or not yet, open */
};

enum stream_count {
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
	STREAM_COUNTS
};

struct stream_io {
	struct gaio io;
	struct tx *tx_free;
	bool sigpipe; /* the program does not ignore it */
	uint64_t counts[STREAM_COUNTS];
};

static inline struct stream *stream_of(struct gaio_sock *s)
{
	return (struct stream *)s;
}

static inline int plain_fd(const struct gaio_file *f)
{
	return ((const struct plain_file *)f)->fd;
}

static inline struct stream_io *stream_io_of(const struct stream *s)
{
	return (struct stream_io *)s->s.o.io;
}

static inline void stream_count(const struct stream *s, enum stream_count what, uint64_t n)
{
	stream_io_of(s)->counts[what] += n;
}

void stream_io_open(struct stream_io *io);
void stream_io_close(struct stream_io *io);
int stream_counter(struct gaio *io, unsigned i, const char **name, uint64_t *value);
int stream_mem_register(struct gaio *io, void *addr, size_t len, unsigned access,
			struct gaio_mem *mem);
int stream_mem_deregister(struct gaio *io, struct gaio_mem mem);

int stream_open(struct gaio_sock *s);
/* With a descriptor that does not block, if @flags say so (SOCK_NONBLOCK). */
int stream_listen(struct stream *s, const struct sockaddr *addr, socklen_t len, int backlog,
		  unsigned how, int flags);
/* Makes the descriptor: connect(2) is the caller's. */
int stream_connect(struct stream *s, const struct sockaddr *addr, socklen_t len, uint64_t tag,
		   int flags);
int stream_accept(struct stream *l, struct stream *child, uint64_t tag);
int stream_recv(struct stream *s, const struct gaio_buf *buf, uint64_t tag);
/* These three make the last entry of the list; one that cannot be sent ends at once. */
int stream_send(struct stream *s, const struct gaio_buf *bufs, int n, unsigned flags, uint64_t tag);
int stream_send_file(struct stream *s, struct gaio_file *file, uint64_t offset, size_t len,
		     uint64_t tag);
int stream_shutdown(struct stream *s, uint64_t tag);
int stream_address(struct gaio_sock *s, struct sockaddr_storage *addr, bool peer);

/* Events. */
void stream_rx_end(struct stream *s, int status, size_t len);
/* Of the first entry. */
void stream_tx_end(struct stream *s, int status);
void stream_connected(struct stream *s, int status);
/* @child is the first that waits; @fd, or a negative errno value, is what it got. */
void stream_accepted(struct stream *l, struct stream *child, int fd);
/* No connection any more: all that is posted ends with @error, and so does what comes later. */
void stream_fail(struct stream *s, int error);
void stream_cancel_accept(struct stream *child);

static inline struct stream *stream_first_child(const struct stream *l)
{
	return link_alone(&l->accepts) ? NULL : link_entry(l->accepts.next, struct stream, accepts);
}

/* The rest of the first entry's memory. Returns the number of pieces. */
int stream_tx_rest(const struct tx *t, struct iovec *iov);
/* sendfile(2) of the first entry's rest, at most @max bytes; without SIGPIPE. -errno. */
ssize_t stream_sendfile(struct stream *s, const struct tx *t, size_t max);
/* Is this an error of the operation alone, and the connection as good as before? */
bool stream_op_error(int err);
/* Of accept(2): the connection that would have come is gone, the next may be better. */
bool stream_accept_again(int err);
/* No descriptors, or no memory for one: later. */
bool stream_accept_starved(int err);

#endif
