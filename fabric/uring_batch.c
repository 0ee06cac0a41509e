/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * uring_batch.c - io_uring: reads, or writes, of several connections by one io_uring_enter.
 *
 * None of them waits (MSG_DONTWAIT): the kernel does each while it takes the request, straight to or
 * from the memory that the connection's user has named, and the outcome is there when the call returns. So
 * nothing of ours is in the kernel between two calls, and nothing has to be taken back from it.
 */
#include "fabric/uring.h"

#include <errno.h>

/* Of one entry; a length that is no positive int is an error. What is over makes it a short write. */
#define REQUEST_BYTES ((size_t)1 << 30)

/* ->ret of what has no outcome yet */
#define TODO (-4096)  /* and is not asked for */
#define ASKED (-4097) /* the kernel is to say */

/* Watches are aligned: an odd number is a slot's. */
static uint64_t slot_cookie(unsigned i)
{
	return (uint64_t)i << 1 | 1;
}

static void request_slot(struct io_uring_sqe *sqe, const struct io_slot *s, bool write)
{
	const struct iovec *iov = s->msg.msg_iov;
	size_t len = iov->iov_len < REQUEST_BYTES ? iov->iov_len : REQUEST_BYTES;
	int fd = s->c->src.fd;

	if (write && s->msg.msg_iovlen == 1)
		io_uring_prep_send(sqe, fd, iov->iov_base, len, s->flags);
	else if (write)
		io_uring_prep_sendmsg(sqe, fd, &s->msg, (unsigned)s->flags);
	else if (s->msg.msg_iovlen == 1)
		io_uring_prep_recv(sqe, fd, iov->iov_base, len, s->flags);
	else
		io_uring_prep_recvmsg(sqe, fd, (struct msghdr *)&s->msg, (unsigned)s->flags);
}

/* How many are in the queue; the rest found no place there. */
static unsigned requests_fill(struct fab *fab, unsigned n, bool write)
{
	unsigned asked = 0;

	for (unsigned i = 0; i < n; i++)
		fab->batch[i].ret = TODO;
	while (asked < n) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&fab->ring->uring);

		if (!sqe)
			break;
		request_slot(sqe, &fab->batch[asked], write);
		fab->batch[asked].ret = ASKED;
		sqe->user_data = slot_cookie(asked++);
	}
	return asked;
}

/* Completions of other things are seen to as they come by. Returns how many of ours there were. */
static unsigned outcomes_take(struct fab *fab)
{
	struct io_uring *uring = &fab->ring->uring;
	struct io_uring_cqe *cqes[HARVEST_BATCH];
	unsigned n = io_uring_peek_batch_cqe(uring, cqes, HARVEST_BATCH), ours = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t cookie = cqes[i]->user_data;

		if (cookie & 1) {
			fab->batch[cookie >> 1].ret = cqes[i]->res == -EINTR ? TODO : cqes[i]->res;
			ours++;
		} else if (cookie) {
			watch_event(fab, io_uring_cqe_get_data(cqes[i]), cqes[i]->res,
				    cqes[i]->flags);
		}
	}
	io_uring_cq_advance(uring, n);
	return ours;
}

/* What the kernel did not take must not be done later, when the memory is not ours any more. */
static unsigned requests_drop(struct fab *fab)
{
	struct io_uring_sq *sq = &fab->ring->uring.sq;
	unsigned left = io_uring_sq_ready(&fab->ring->uring), dropped = 0;

	for (unsigned at = sq->sqe_tail - left; at != sq->sqe_tail; at++) {
		struct io_uring_sqe *sqe = &sq->sqes[at & *sq->kring_mask];

		if (!(sqe->user_data & 1))
			continue;
		fab->batch[sqe->user_data >> 1].ret = TODO;
		io_uring_prep_nop(sqe);
		sqe->user_data = 0;
		dropped++;
	}
	return dropped;
}

/*
 * What the kernel has not taken is done as ever. What it has taken and never tells of, which would be
 * a fault of the kernel's, must not be done twice: that connection fails.
 */
static void outcomes_complete(struct fab *fab, unsigned n, bool write)
{
	for (unsigned i = 0; i < n; i++) {
		struct io_slot *s = &fab->batch[i];

		if (s->ret == ASKED)
			s->ret = -EIO;
		else if (s->ret == TODO)
			s->ret = write ? tx_write(s->c, &s->msg, s->flags)
				       : rx_read(s->c, s->msg.msg_iov, (int)s->msg.msg_iovlen);
	}
}

void uring_transfer(struct fab *fab, unsigned n, bool write)
{
	unsigned left = requests_fill(fab, n, write);
	int err = uring_hand_in(fab);

	left -= requests_drop(fab);
	show_nothing(fab);
	while (left) {
		unsigned took = outcomes_take(fab);

		left -= took;
		/* none is left out but for want of room among the completions */
		if (left && !took)
			err = ring_enter(fab);
		if (err && !is_shortage(err))
			break;
	}
	show_rest(fab);
	outcomes_complete(fab, n, write);
}
