/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring.h - the io_uring back end: the ring and waiting (gaio_uring.c), and sockets (uring_sock.c).
 */
#ifndef DUSI_AIO_URING_H
#define DUSI_AIO_URING_H

#include <liburing.h>
#include <netinet/in.h>

#include "dusi/aio/plain.h"

struct uring_io {
	struct plain_io base;
	struct io_uring ring;
	unsigned inflight; /* entries that will have a completion, cancels not counted */
	bool modern;       /* 6.1 or later */
	bool ending;
	const char *why;
};

struct uring_sock {
	struct plain st;
	bool rx_busy, tx_busy, cm_busy; /* in the kernel */
	bool rx_poll_first;             /* there is nothing yet, as far as we know */
	struct sockaddr_in6 to;         /* of a connect */
};

/* What an entry is for: the low bits of its user data; the rest is whose. 0: nobody's. */
enum kind { KIND_RECV = 1, KIND_SEND, KIND_POLL, KIND_ACCEPT, KIND_CONNECT, KIND_FILE, KIND_CLOSE };

#define KIND_MASK 7u

void aio_uring_submit(struct uring_io *io);
/* An entry; NULL: the kernel takes none just now. */
struct io_uring_sqe *aio_uring_entry(struct uring_io *io);
/* After it is prepared, which overwrites the user data in liburing of this age. */
void aio_uring_entry_set(struct uring_io *io, struct io_uring_sqe *sqe, const void *whose,
			 enum kind kind);
/* Ends what is in the kernel; its completion comes all the same. False: there was no entry. */
bool aio_uring_cancel(struct uring_io *io, const void *whose, enum kind kind);
void aio_uring_close_fd(struct uring_io *io, int fd);

/* Begins what can be begun. */
void aio_uring_sock_run(struct uring_sock *s);
/* A completion. */
void aio_uring_sock_ended(struct uring_sock *s, enum kind kind, int res, unsigned flags);

int aio_uring_listen(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len, int backlog,
		     unsigned flags);
int aio_uring_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag);
int aio_uring_connect(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len,
		      uint64_t tag);
int aio_uring_recv(struct gaio_sock *s, const struct gaio_buf *buf, uint64_t tag);
int aio_uring_send(struct gaio_sock *s, const struct gaio_buf *bufs, int n, unsigned flags,
		   uint64_t tag);
int aio_uring_send_file(struct gaio_sock *s, struct gaio_file *file, uint64_t offset, size_t len,
			uint64_t tag);
int aio_uring_shutdown(struct gaio_sock *s, uint64_t tag);
void aio_uring_sock_close(struct gaio_sock *s);

#endif
