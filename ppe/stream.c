/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stream.c - the stream service: bytes between a stream connection and a DTI's queues.
 *
 * Sending: the fabric asks for the next write (tx_next), which is gathered from as many sends as fit;
 * what it took (tx_done) completes them in order. A range of a file is a write of its own, a piece at a
 * time, and only of what is in memory. Receiving: the fabric asks where to read to
 * (rx_next): into the receive at the head of the queue, or, when there is none, into an anonymous
 * buffer, from which later receives are served first.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "ppe/file.h"

#define ANON_WANT 16384   /* size of buffer to ask for */
#define ANON_TAIL_MIN 512 /* room in the last buffer that is worth a read */
#define ANON_GATHER 16    /* buffers that one receive is served from */
#define ANON_SHARE 4      /* no connection holds more than this fraction of the pool */

/* ------------------------------------------------------------------------- sending */

/* Ends the send or shutdown at the head of the queue. */
static void tx_finish(struct ppe_dti *d, const struct wr_copy *c, unsigned slots, int status,
		      uint64_t len)
{
	const struct ppe_wr *wr = &c->s[0].wr;

	if (!status && (wr->op == PPE_WR_SEND || wr->op == PPE_WR_SEND_FILE)) {
		count(d->ual, sends, 1);
		count(d->ual, send_bytes, len);
	}
	if (!status && (wr->flags & PPE_WR_SILENT)) {
		evq_unreserve(d->tx_evq);
		count(d->ual, silent, 1);
	} else {
		dti_event(d, d->tx_evq, dti_event_type(wr), wr->user_tag, status, len);
	}
	file_sent(d->ual, c->s);
	queue_release(dti_sq(d), slots);
}

/* The request at the head, which is not data: a shutdown, a no-operation, or one that is refused. */
static void tx_finish_head(struct ppe_dti *d, const struct wr_copy *c, unsigned slots, int err)
{
	const struct fab_stream_ops *ops = d->ual->fabric.stream;

	if (err) {
		wr_reject(d->ual, err);
	} else if (c->s[0].wr.op == PPE_WR_SHUTDOWN) {
		d->tx_shut = true;
		err = ops->shutdown(d->conn);
	}
	tx_finish(d, c, slots, err, 0);
}

/* A copied send's gather list, or its file. Entries of the list, or why it is refused. */
static int tx_source(struct ppe_dti *d, struct tx_op *op)
{
	unsigned n = 0;
	int err;

	op->file = NULL;
	if (op->copy.s[0].wr.op == PPE_WR_SEND_FILE)
		err = file_resolve(d->ual, op->copy.s, &op->file, &op->offset);
	else
		err = wr_resolve(d->ual, &op->copy, PPE_ACCESS_LOCAL_READ, op->iov, &n);
	return err ? err : (int)n;
}

/* The send that is partly out goes first, from its private copy. Negative: it cannot go on. */
static int tx_partial(struct ppe_dti *d, struct tx_op *op)
{
	int n;

	op->copy = d->tx_copy;
	op->slots = op->copy.s[0].wr.nslots;
	op->len = op->copy.s[0].wr.length;
	n = tx_source(d, op);
	return n > 0 ? (int)iov_skip(op->iov, n, d->tx_off) : n;
}

/*
 * Resolves the request @ahead slots behind the head into @op. Returns its gather list's length;
 * 0: none, or not now; -EINPROGRESS: not data, see to it when it is first; else why it is refused.
 */
static int tx_resolve(struct ppe_dti *d, struct tx_op *op, uint32_t ahead)
{
	op->slots = queue_peek(dti_sq(d), ahead, &op->copy);
	if (!op->slots)
		return -ENODATA;
	if (op->copy.s[0].wr.op == PPE_WR_SHUTDOWN || op->copy.s[0].wr.op == PPE_WR_NOP)
		return -EINPROGRESS;
	if (op->copy.s[0].wr.op == PPE_WR_NONE && !op->copy.s[0].wr.flags)
		return -ENOMSG;
	op->len = op->copy.s[0].wr.length;
	if (d->tx_shut)
		return -EPIPE;
	return tx_source(d, op);
}

/* First in the batch: what is no data is dealt with here. True: look at the queue again. */
static bool tx_not_data(struct ppe_dti *d, struct tx_op *op, int why)
{
	if (why == -ENODATA)
		return false;
	if (why == -ENOMSG) {
		queue_release(dti_sq(d), op->slots);
		return true;
	}
	if (!evq_reserve(d->tx_evq)) {
		evq_stall(d->tx_evq, d);
		return false;
	}
	tx_finish_head(d, &op->copy, op->slots, why == -EINPROGRESS ? 0 : why);
	return true;
}

static int tx_first(struct ppe_dti *d, struct tx_op *op)
{
	int n;

	if (d->tx_part) {
		n = tx_partial(d, op);
		if (n >= 0)
			return n;
		/* the memory went away under a send of which a part is out: it alone fails */
		d->tx_part = false;
		wr_reject(d->ual, n);
		tx_finish(d, &op->copy, op->slots, n, d->tx_off);
	}
	do {
		d->tx_off = 0;
		n = tx_resolve(d, op, 0);
		if (n >= 0 && evq_reserve(d->tx_evq))
			return n;
		if (n >= 0) {
			evq_stall(d->tx_evq, d);
			return -EAGAIN;
		}
	} while (tx_not_data(d, op, n));
	return -EAGAIN;
}

/* Bytes of a file's range that may be sent now; 0: none, the DTI runs again when there are. */
static size_t tx_piece(struct ppe_dti *d, const struct tx_op *op, uint32_t done)
{
	return file_ready(d, op->file, op->offset + done, op->len - done);
}

/* There is always one: a fabric says how many it has open at most. */
static bool write_open(struct ppe_dti *d)
{
	struct ppe_ual *ual = d->ual;

	if (!ual->writes)
		return false;
	d->write = ual->writes;
	ual->writes = d->write->next;
	d->write->count = 0;
	return true;
}

/* The large one goes first again. */
static void write_close(struct ppe_dti *d)
{
	struct tx_write **at = &d->ual->writes;

	if (d->write->max == TX_BATCH_SMALL && *at && (*at)->max == TX_BATCH)
		at = &(*at)->next;
	d->write->next = *at;
	*at = d->write;
	d->write = NULL;
}

/* The range that is first is a write of its own. */
static int tx_next_file(struct ppe_dti *d, struct tx_op *op, struct iovec *iov)
{
	size_t piece = tx_piece(d, op, d->tx_off);

	if (!piece) {
		if (!d->tx_part)
			evq_unreserve(d->tx_evq);
		return 0;
	}
	d->tx_range.fd = atomic_load(&op->file->fd);
	d->tx_range.offset = op->offset + d->tx_off;
	iov[0] = (struct iovec){ &d->tx_range, piece };
	d->write->count = 1;
	return FAB_TX_FILE;
}

/* Gathers what the write that is open may carry. */
static int tx_gather(struct ppe_dti *d, struct iovec *iov, int max, size_t limit)
{
	struct tx_write *w = d->write;
	struct tx_op *op = w->op;
	uint32_t ahead = 0;
	size_t bytes = 0;
	int used = 0, more = 0, n;

	n = tx_first(d, op);
	if (n >= 0 && op->file && op->len)
		return tx_next_file(d, op, iov);
	while (n >= 0) {
		memcpy(iov + used, op->iov, n * sizeof(*iov));
		used += n;
		bytes += op->len;
		ahead += op->slots;
		op = &w->op[++w->count];
		if (used + PPE_SGE_MAX > max || bytes >= limit || w->count == w->max)
			break;
		n = tx_resolve(d, op, ahead);
		if (n >= 0 && op->file && op->len) {
			/* held back for it, if it can follow */
			more = tx_piece(d, op, 0) ? FAB_TX_MORE : 0;
			break;
		}
		if (n >= 0 && !evq_reserve(d->tx_evq))
			break;
	}
	return used | more;
}

static int stream_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct ppe_dti *d = user;

	while (write_open(d)) {
		int n = tx_gather(d, iov, max, limit);

		if (n & ~FAB_TX_MORE)
			return n;
		if (!d->write->count) {
			write_close(d);
			break;
		}
		/* sends of no bytes alone make no write */
		stream_user.tx_done(d, 0);
	}
	return 0;
}

static void stream_tx_done(void *user, size_t n)
{
	struct ppe_dti *d = user;
	struct tx_write *w = d->write;
	unsigned i;

	for (i = 0; i < w->count; i++) {
		struct tx_op *op = &w->op[i];
		size_t left = op->len - d->tx_off;

		if (n < left)
			break;
		n -= left;
		d->tx_off = 0;
		d->tx_part = false;
		tx_finish(d, &op->copy, op->slots, 0, op->len);
	}
	if (i < w->count && n) {
		d->tx_copy = w->op[i].copy;
		d->tx_off += n;
		d->tx_part = true;
	}
	/* what the write did not reach is as if it had not been asked for */
	for (i += d->tx_part; i < w->count; i++)
		evq_unreserve(d->tx_evq);
	write_close(d);
	if (ppe_spsc_count(&d->sh->sq))
		d->ual->fabric.stream->tx_want(d->conn);
}

static int stream_tx_fault(void *user, int err)
{
	struct ppe_dti *d = user;
	struct tx_op *op;

	if (!d->write)
		return err;
	op = d->write->op;
	for (unsigned i = 1; i < d->write->count; i++)
		evq_unreserve(d->tx_evq);
	d->tx_part = false;
	wr_reject(d->ual, err);
	tx_finish(d, &op->copy, op->slots, err, d->tx_off);
	d->tx_off = 0;
	write_close(d);
	return 0;
}

/* ----------------------------------------------------------------------- receiving */

static void rx_finish(struct ppe_dti *d, uint64_t tag, unsigned slots, int status, uint64_t len)
{
	if (!status) {
		count(d->ual, recvs, 1);
		count(d->ual, recv_bytes, len);
	}
	dti_event(d, d->rx_evq, PPE_EV_RECV, tag, status, len);
	queue_release(dti_rq(d), slots);
}

/*
 * The receive at the head of the queue, its event slot reserved and its memory resolved: gather
 * list's length. -ENOENT: none is posted; -EAGAIN: no event slot. Those that are refused end here.
 */
static int rx_head(struct ppe_dti *d, struct wr_copy *c, unsigned *slots, struct iovec *iov)
{
	for (;;) {
		unsigned n = 0;
		int err;

		*slots = queue_peek(dti_rq(d), 0, c);
		if (!*slots)
			return -ENOENT;
		if (c->s[0].wr.op == PPE_WR_NONE && !c->s[0].wr.flags) {
			queue_release(dti_rq(d), *slots);
			continue;
		}
		if (!evq_reserve(d->rx_evq)) {
			evq_stall(d->rx_evq, d);
			return -EAGAIN;
		}
		err = wr_resolve(d->ual, c, PPE_ACCESS_LOCAL_WRITE, iov, &n);
		if (!err && n)
			return n;
		/* a receive of no bytes is over as soon as its turn comes */
		if (err)
			wr_reject(d->ual, err);
		rx_finish(d, c->s[0].wr.user_tag, *slots, err, 0);
	}
}

static struct anon_buf *anon_take(struct ppe_ual *ual)
{
	size_t size;
	struct anon_buf *b = pool_get(&ual->pool, ANON_WANT, &size);

	if (!b)
		return NULL;
	b->next = NULL;
	b->off = b->len = 0;
	b->room = size - sizeof(*b);
	count(ual, pool_used, size);
	return b;
}

static size_t anon_size(const struct anon_buf *b)
{
	return b->room + sizeof(*b);
}

/* Connections that stopped reading for want of a buffer may go on. */
static void pool_wake(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->pool_waiters)))
		dti_activate(list_entry(node, struct ppe_dti, pool_wait));
}

static void anon_drop_first(struct ppe_dti *d)
{
	struct anon_buf *b = d->anon_head;

	d->anon_head = b->next;
	if (!d->anon_head)
		d->anon_tail = NULL;
	d->anon_bytes -= anon_size(b);
	count(d->ual, pool_used, -anon_size(b));
	pool_put(&d->ual->pool, b);
	pool_wake(d->ual);
}

void stream_drop_anon(struct ppe_dti *d)
{
	while (d->anon_head)
		anon_drop_first(d);
}

/* The data that wait, as a gather list. */
static unsigned anon_gather(const struct ppe_dti *d, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	for (struct anon_buf *b = d->anon_head; b && n < max; b = b->next)
		iov[n++] = (struct iovec){ b->data + b->off, b->len - b->off };
	return n;
}

static void anon_consume(struct ppe_dti *d, size_t done)
{
	while (done) {
		struct anon_buf *b = d->anon_head;
		size_t len = b->len - b->off;

		if (len > done)
			len = done;
		b->off += len;
		done -= len;
		if (b->off == b->len)
			anon_drop_first(d);
	}
}

static size_t copy_plain(const struct iovec *to, unsigned n, const struct iovec *from,
			 unsigned nfrom)
{
	size_t done = 0, at = 0;

	for (unsigned i = 0; i < n && nfrom; i++)
		for (size_t room = to[i].iov_len, len; room && nfrom; room -= len, done += len) {
			len = from->iov_len - at < room ? from->iov_len - at : room;
			memcpy((uint8_t *)to[i].iov_base + (to[i].iov_len - room),
			       (const uint8_t *)from->iov_base + at, len);
			at += len;
			if (at < from->iov_len)
				continue;
			at = 0;
			from++;
			nfrom--;
		}
	return done;
}

/*
 * By the kernel, as a read would be: memory that was unmapped, or a mapped file that was cut short,
 * is an error of this receive and not a signal in whatever thread runs the engine. Where that call is
 * forbidden (some containers) a plain copy has to do. Bytes; -EFAULT: none could be copied.
 */
static ssize_t anon_copy(struct ppe_dti *d, const struct iovec *iov, unsigned n)
{
	struct ppe_ual *ual = d->ual;
	struct iovec from[ANON_GATHER];
	unsigned nfrom = anon_gather(d, from, ANON_GATHER);
	ssize_t done = process_vm_writev(ual->pid, from, nfrom, iov, n, 0);

	count(ual, fab.sys_other, 1);
	if (done < 0 && errno != EFAULT)
		done = copy_plain(iov, n, from, nfrom);
	if (done <= 0)
		return -EFAULT;
	anon_consume(d, done);
	count(ual, anon_copied, done);
	count(ual, fab.copies, 1);
	count(ual, fab.copy_bytes, done);
	return done;
}

bool stream_serve_anon(struct ppe_dti *d)
{
	while (d->anon_head) {
		struct iovec iov[PPE_SGE_MAX];
		struct wr_copy c;
		unsigned slots;
		int n = rx_head(d, &c, &slots, iov);
		ssize_t done;

		if (n < 0)
			return n == -ENOENT;
		done = anon_copy(d, iov, n);
		if (done < 0)
			rx_finish(d, c.s[0].wr.user_tag, slots, wr_reject(d->ual, done), 0);
		else
			rx_finish(d, c.s[0].wr.user_tag, slots, 0, done);
	}
	return true;
}

static bool anon_over_share(const struct ppe_dti *d)
{
	return d->anon_head && d->anon_bytes + ANON_WANT > d->ual->pool.bytes / ANON_SHARE;
}

/* Room for bytes that nobody has asked for yet; 0: none, reading stops. */
static int anon_next(struct ppe_dti *d, struct iovec *iov)
{
	struct ppe_ual *ual = d->ual;
	struct anon_buf *b = d->anon_tail;

	if (b && b->room - b->len >= ANON_TAIL_MIN) {
		d->rx_target = RX_ANON;
		iov[0] = (struct iovec){ b->data + b->len, b->room - b->len };
		return 1;
	}
	if (anon_over_share(d))
		return 0;
	/* goes back when nothing lands in it */
	d->landing = ual->landing ? ual->landing : anon_take(ual);
	ual->landing = NULL;
	if (!d->landing) {
		count(ual, pool_stalls, 1);
		if (!list_linked(&d->pool_wait))
			list_add_tail(&ual->pool_waiters, &d->pool_wait);
		return 0;
	}
	d->rx_target = RX_ANON;
	iov[0] = (struct iovec){ d->landing->data, d->landing->room };
	return 1;
}

static void anon_landed(struct ppe_dti *d, size_t n)
{
	struct anon_buf *b = d->anon_tail;

	if (d->landing) {
		b = d->landing;
		d->landing = NULL;
		if (d->anon_tail)
			d->anon_tail->next = b;
		else
			d->anon_head = b;
		d->anon_tail = b;
		d->anon_bytes += anon_size(b);
	}
	b->len += n;
	count(d->ual, anon_bytes, n);
	dti_starved(d);
}

/* @n bytes are where rx_next said. */
static void rx_landed(struct ppe_dti *d, size_t n)
{
	switch (d->rx_target) {
	case RX_RECV:
		rx_finish(d, d->rx_tag, d->rx_slots, 0, n);
		break;
	case RX_ANON:
		anon_landed(d, n);
		break;
	default:
		break; /* the sink */
	}
	d->rx_target = RX_NOWHERE;
}

/*
 * The buffer is for the next who needs one; two of them only when two reads were planned at once. Then
 * others may have found none.
 */
static void landing_put(struct ppe_dti *d)
{
	struct ppe_ual *ual = d->ual;

	if (ual->landing) {
		count(ual, pool_used, -anon_size(d->landing));
		pool_put(&ual->pool, d->landing);
	} else {
		ual->landing = d->landing;
	}
	d->landing = NULL;
	pool_wake(ual);
}

/* A read that was planned and found nothing: its event slot is free again. */
static void stream_rx_none(void *user)
{
	struct ppe_dti *d = user;

	if (d->rx_target == RX_RECV)
		evq_unreserve(d->rx_evq);
	if (d->landing)
		landing_put(d);
	d->rx_target = RX_NOWHERE;
}

static int rx_stop(struct ppe_dti *d)
{
	d->stopped_rx = true;
	count(d->ual, rx_stalls, 1);
	dti_starved(d);
	return 0;
}

static int stream_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct ppe_dti *d = user;
	struct wr_copy c;
	unsigned slots;
	int entries;

	(void)max; /* the fabric offers at least PPE_SGE_MAX */
	if (n)
		rx_landed(d, n);
	if (d->rx_shut) {
		d->rx_target = RX_SINK;
		iov[0] = (struct iovec){ d->ual->sink, SINK_BYTES };
		return 1;
	}
	if (!stream_serve_anon(d)) {
		d->stopped_rx = true;
		return 0;
	}
	if (d->anon_head) {
		entries = -ENOENT;
	} else {
		entries = rx_head(d, &c, &slots, iov);
		if (entries == -EAGAIN) {
			d->stopped_rx = true;
			return 0;
		}
	}
	if (entries > 0) {
		d->rx_target = RX_RECV;
		d->rx_tag = c.s[0].wr.user_tag;
		d->rx_slots = slots;
		return entries;
	}
	entries = anon_next(d, iov);
	return entries ? entries : rx_stop(d);
}

static int stream_rx_fault(void *user, int err)
{
	struct ppe_dti *d = user;

	if (d->rx_target != RX_RECV)
		return err;
	d->rx_target = RX_NOWHERE;
	wr_reject(d->ual, err);
	rx_finish(d, d->rx_tag, d->rx_slots, err, 0);
	return 0;
}

/* -------------------------------------------------------------------- connection */

static void stream_rx_eof(void *user)
{
	struct ppe_dti *d = user;

	stream_rx_none(d);
	d->rx_eof = true;
	dti_starved(d);
	dti_activate(d);
}

static void stream_failed(void *user, int err)
{
	struct ppe_dti *d = user;

	stream_rx_none(d);
	if (d->write) {
		for (unsigned i = d->tx_part; i < d->write->count; i++)
			evq_unreserve(d->tx_evq);
		write_close(d);
	}
	d->ual->fabric.stream->conn_close(d->conn, false);
	d->conn = NULL;
	dti_die(d, err);
}

static void stream_up(struct ppe_dti *d)
{
	d->state = DTI_CONNECTED;
	dti_options_apply(d);
	if (dti_tell_setup(d))
		d->ual->fabric.stream->rx_want(d->conn);
	else
		d->stopped_rx = true;
	dti_activate(d);
}

static void stream_connected(void *user, int err)
{
	struct ppe_dti *d = user;

	d->pending |= PEND_CONNECT;
	d->cm_status = err;
	if (err) {
		d->conn = NULL;
		dti_die(d, err);
	} else {
		d->ual->fabric.stream->conn_addr(d->conn, &d->local, &d->peer);
		stream_up(d);
	}
}

static void stream_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	struct ppe_dti *listener = user, *d;
	struct list *node = list_pop(&listener->accepts);

	if (!node) {
		/* cancelled while the fabric was at it */
		listener->ual->fabric.stream->conn_close(conn, true);
		return;
	}
	d = list_entry(node, struct ppe_dti, accepts);
	timer_stop(&d->ual->timers, &d->timer);
	d->parent = NULL;
	d->conn = conn;
	d->peer = peer ? *peer : (union fab_addr){ 0 };
	d->local = (union fab_addr){ 0 };
	d->pending |= PEND_ACCEPT;
	d->cm_status = 0;
	d->ual->fabric.stream->bind(conn, &stream_user, d);
	stream_up(d);
}

static void stream_listen_failed(void *user, int err)
{
	struct ppe_dti *d = user;

	ual_logf(d->ual, FAB_LOG_WARN, "a listener failed: error %d", -err);
	dti_fail_accepts(d, err);
}

const struct fab_stream_user stream_user = {
	.interleaves = true,
	.connected = stream_connected,
	.tx_next = stream_tx_next,
	.tx_done = stream_tx_done,
	.tx_fault = stream_tx_fault,
	.rx_next = stream_rx_next,
	.rx_none = stream_rx_none,
	.rx_fault = stream_rx_fault,
	.rx_eof = stream_rx_eof,
	.failed = stream_failed,
};

const struct fab_listen_user stream_listen_user = {
	.accepted = stream_accepted,
	.failed = stream_listen_failed,
};

/* ------------------------------------------------------------------- one turn's work */

/* Receives after the end of the stream, and after a shutdown of this side's. */
static void rx_end(struct ppe_dti *d)
{
	struct wr_copy c;
	unsigned slots;

	while ((slots = queue_peek(dti_rq(d), 0, &c))) {
		if (c.s[0].wr.op == PPE_WR_NONE && !c.s[0].wr.flags) {
			queue_release(dti_rq(d), slots);
			continue;
		}
		if (!evq_reserve(d->rx_evq)) {
			evq_stall(d->rx_evq, d);
			return;
		}
		rx_finish(d, c.s[0].wr.user_tag, slots, 0, 0);
	}
}

static void run_rx(struct ppe_dti *d)
{
	if (!stream_serve_anon(d))
		return;
	if (d->anon_head)
		return; /* and no receive: still starved */
	if (d->rx_eof || d->rx_shut) {
		rx_end(d);
		if (d->rx_eof)
			return;
	}
	atomic_store_explicit(&d->sh->starved, d->rx_shut, memory_order_relaxed);
	if (d->stopped_rx || ppe_spsc_count(&d->sh->rq)) {
		d->stopped_rx = false;
		d->ual->fabric.stream->rx_want(d->conn);
	}
}

/* Sends before a connection was ever asked for. */
static void refuse_sends(struct ppe_dti *d)
{
	struct wr_copy c;
	unsigned slots;

	while ((slots = queue_peek(dti_sq(d), 0, &c))) {
		bool nothing = c.s[0].wr.op == PPE_WR_NONE && !c.s[0].wr.flags;

		if (!nothing && !evq_reserve(d->tx_evq)) {
			evq_stall(d->tx_evq, d);
			return;
		}
		if (nothing)
			queue_release(dti_sq(d), slots);
		else
			tx_finish(d, &c, slots, wr_reject(d->ual, -ENOTCONN), 0);
	}
}

void stream_run(struct ppe_dti *d)
{
	switch (d->state) {
	case DTI_IDLE:
	case DTI_LISTENING:
		refuse_sends(d);
		break;
	case DTI_CONNECTED:
		if (ppe_spsc_count(&d->sh->sq))
			d->ual->fabric.stream->tx_want(d->conn);
		run_rx(d);
		break;
	default:
		break;
	}
}
