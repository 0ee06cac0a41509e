/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_batch.c - kernel TCP: the reads, or the writes, of several connections at once.
 *
 * Where the watcher can hand them to the kernel together, a turn first plans: each connection's user names
 * its memory. Then all are done by one call, and then their users are told, one after the other. An
 * upcall in between may close any of them; its memory is valid until the turn ends, see
 * tcp_internal.h, and nothing is told of it.
 *
 * The watcher may hear of an edge while it waits for the outcomes. That may be of what came after the
 * read, or the write, which found nothing: it must not be forgotten with what was known before.
 */
#include "fabric/tcp_internal.h"

static void batch_transfer(struct fab *fab, unsigned n, bool write)
{
	for (unsigned i = 0; i < n; i++) {
		fab->batch[i].events = 0;
		fab->batch[i].c->src.slot = (uint8_t)(i + 1);
	}
	fab->watcher->transfer(fab, n, write);
	for (unsigned i = 0; i < n; i++)
		fab->batch[i].c->src.slot = 0;
}

/* The kernel's part. The few that are not worth a batch are done as ever. */
static unsigned batch_run(struct fab *fab, bool write)
{
	unsigned n = 0;

	/* those that were closed since have no memory to offer any more */
	for (unsigned i = 0; i < fab->batched; i++) {
		if (src_dead(&fab->batch[i].c->src))
			continue;
		if (i != n) {
			fab->batch[n] = fab->batch[i];
			fab->batch[n].msg.msg_iov = fab->batch[n].iov;
		}
		n++;
	}
	fab->batched = 0;
	if (n >= BATCH_WORTH) {
		batch_transfer(fab, n, write);
		return n;
	}
	for (unsigned i = 0; i < n; i++) {
		struct io_slot *s = &fab->batch[i];

		s->events = 0;
		s->ret = write ? tx_write(s->c, &s->msg, s->flags)
			       : rx_read(s->c, s->iov, (int)s->msg.msg_iovlen);
	}
	return n;
}

void batch_reads(struct fab *fab)
{
	unsigned n = batch_run(fab, false);

	for (unsigned i = 0; i < n; i++) {
		struct io_slot *s = &fab->batch[i];

		if (src_dead(&s->c->src))
			continue;
		rx_outcome(s);
		if (s->events)
			source_event(&s->c->src, s->events);
		conn_later(s->c);
	}
}

size_t batch_writes(struct fab *fab)
{
	unsigned n = batch_run(fab, true);
	size_t sent = 0;

	for (unsigned i = 0; i < n; i++) {
		struct io_slot *s = &fab->batch[i];

		if (src_dead(&s->c->src))
			continue;
		tx_outcome(s, &sent);
		if (s->events)
			source_event(&s->c->src, s->events);
	}
	return sent;
}
