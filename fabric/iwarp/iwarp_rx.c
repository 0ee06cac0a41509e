/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_rx.c - FPDUs from the stream into the places that their headers name.
 *
 * Two ways. Octets read into the instance's scratch are sorted from there (iw_take): good for many
 * small messages in one read. What is left of a large payload is read straight to its place, together
 * with its trailer and the next header (plan_direct).
 *
 * A Send without a receive stalls the connection. What had already been read behind its header then
 * needs a place: an anonymous buffer, the stash. So no read into the scratch is longer than the
 * largest free buffer; and when there is none, reads end with the header that is being waited for.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

#define ROOM_MIN 512 /* a buffer smaller than this is not worth a read that may overshoot */

/* The shortest FPDU: a tagged header and a CRC. A read of this size cannot reach into the next. */
#define FPDU_MIN (sizeof(struct ddp_tagged) + MPA_CRC_SIZE)
static_assert(FPDU_MIN == DDP_HDR_MAX, "a read for a header never overshoots an empty FPDU");

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

bool iw_rx_midway(const struct fab_msg_conn *c)
{
	return c->phase != IW_HEADER || c->have;
}

static int stash(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	const struct fab_env *env = &c->m->env;

	c->stash = env->buf_get(env->arg, n);
	if (!c->stash)
		return -ENOBUFS;
	memcpy(c->stash, p, n);
	c->stash_len = n;
	c->stash_off = 0;
	fab_count(&env->counters->stash_bytes, n);
	return 0;
}

static void stash_free(struct fab_msg_conn *c)
{
	const struct fab_env *env = &c->m->env;

	env->buf_put(env->arg, c->stash);
	c->stash = NULL;
}

int iw_rx_resume(struct fab_msg_conn *c)
{
	ssize_t used;

	if (!c->stalled)
		return 0;
	c->stalled = false;
	if (c->stash)
		used = iw_take(c, c->stash + c->stash_off, c->stash_len - c->stash_off);
	else
		used = iw_take(c, c->tail, 0);
	if (c->stash && used >= 0) {
		c->stash_off += used;
		if (c->stash_off == c->stash_len)
			stash_free(c);
	}
	return used < 0 ? -1 : c->stalled;
}

/* Sorts what was read, and keeps what has no place yet. */
static int landed(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	ssize_t used = iw_take(c, p, n);

	if (used < 0)
		return used;
	if ((size_t)used < n && stash(c, p + used, n - used))
		return iw_violation(c, -DDP_E_LOCAL);
	return 0;
}

/* Of @part octets that were read to their place; the user names it once more, as plan_direct had it. */
static int crc_direct(struct fab_msg_conn *c, uint32_t part)
{
	struct iovec iov[FAB_PLACE_IOV];
	bool more;
	int entries = iw_ask_place(c, iov, &more);

	for (int i = 0; i < entries && part; i++) {
		uint32_t len = min32(part, iov[i].iov_len);

		c->rx_crc = mpa_crc_add(c->rx_crc, iov[i].iov_base, len);
		part -= len;
	}
	return part ? -DDP_E_LOCAL : 0;
}

static int landed_direct(struct fab_msg_conn *c, size_t n)
{
	uint32_t part = min32(n, c->h.payload_len - c->done);
	int err = c->crc ? crc_direct(c, part) : 0;

	if (err)
		return iw_violation(c, err);
	iw_payload_moved(c, part);
	return c->phase == IW_TRAILER ? landed(c, c->tail, n - part) : 0;
}

/* ------------------------------------------------------------------ the next read */

static size_t iov_bytes(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/*
 * The rest of the payload straight to its place, then the trailer and the next header. 0: not all
 * of it has a place, take the other way.
 */
static int plan_direct(struct fab_msg_conn *c, struct iovec *iov)
{
	uint32_t rest = c->h.payload_len - c->done;
	bool more;
	int n = iw_ask_place(c, iov, &more);

	if (n < 0)
		return n;
	if (iov_bytes(iov, n) != rest)
		return 0;
	iov[n++] = (struct iovec){ c->tail, c->h.trailer_len + DDP_HDR_MAX };
	c->direct = true;
	return n;
}

/* How far a read may go when nothing of it could be kept. */
static size_t exact_limit(const struct fab_msg_conn *c)
{
	switch (c->phase) {
	case IW_HEADER:
		return DDP_HDR_MAX - c->have;
	case IW_TRAILER:
		return c->h.trailer_len - c->trailer_have + DDP_HDR_MAX;
	default:
		return c->h.payload_len - c->done;
	}
}

static int plan(struct fab_msg_conn *c, struct iovec *iov)
{
	const struct fab_env *env = &c->m->env;
	size_t room = env->buf_room(env->arg), limit = room;
	uint32_t rest = c->h.payload_len - c->done;

	if (c->phase == IW_PAYLOAD && (rest >= IW_DIRECT_MIN || room < ROOM_MIN)) {
		int n = plan_direct(c, iov);

		if (n)
			return n;
	}
	if (room < ROOM_MIN)
		limit = exact_limit(c);
	iov[0] = (struct iovec){ c->m->scratch, limit < IW_SCRATCH ? limit : IW_SCRATCH };
	return 1;
}

int iw_rx_next(struct fab_msg_conn *c, size_t n, struct iovec *iov, int max)
{
	int err = 0, entries;

	assert(max > FAB_PLACE_IOV);

	if (n)
		err = c->direct ? landed_direct(c, n) : landed(c, c->m->scratch, n);
	c->direct = false;
	if (err || c->state != IW_OPEN || c->stalled)
		return 0;
	entries = plan(c, iov);
	if (entries >= 0)
		return entries;
	if (entries != IW_STALLED)
		iw_violation(c, entries);
	return 0;
}
