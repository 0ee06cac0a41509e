/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_tx.c - messages into the stream's next write.
 *
 * A write is made of as many messages as fit. Headers, trailers and small payloads are laid out one
 * behind the other in the instance's stage, so that a batch of small messages is one entry of the
 * gather list; larger payloads are entries of their own. After a short write the framing of what is
 * left is made again from the message and the number of octets gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

/* The write being made. */
struct gather {
	struct iovec *iov;
	int n, max;
	uint8_t *stage;
	size_t staged, bytes, limit;
	uint64_t copies, copy_bytes; /* counted when it is made */
};

/* Worst case of one FPDU: header, payload of several entries, trailer. */
static bool gather_has_room(const struct gather *g, unsigned niov)
{
	return g->n + (int)niov + 2 <= g->max && g->bytes < g->limit &&
	       g->staged + DDP_HDR_MAX + IW_COPY_MAX + MPA_TRAILER_MAX <= IW_STAGE;
}

static void gather_add(struct gather *g, const void *p, size_t len)
{
	struct iovec *last = g->n ? &g->iov[g->n - 1] : NULL;

	if (!len)
		return;
	g->bytes += len;
	if (last && (uint8_t *)last->iov_base + last->iov_len == p)
		last->iov_len += len;
	else
		g->iov[g->n++] = (struct iovec){ (void *)(uintptr_t)p, len };
}

static uint8_t *gather_stage(struct gather *g, size_t len)
{
	uint8_t *p = g->stage + g->staged;

	g->staged += len;
	return p;
}

/* ------------------------------------------------------------------- one FPDU */

/* Calls with each run of the payload between @from and @to, octets of the message. */
static void each_run(const struct fab_send *s, uint32_t from, uint32_t to,
		     void (*fn)(void *arg, const void *p, size_t len), void *arg)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < s->niov && at < to; at += s->iov[i++].iov_len) {
		uint32_t end = at + s->iov[i].iov_len;
		uint32_t lo = from > at ? from : at, hi = to < end ? to : end;

		if (lo < hi)
			fn(arg, (const uint8_t *)s->iov[i].iov_base + (lo - at), hi - lo);
	}
}

static void run_copy(void *arg, const void *p, size_t len)
{
	uint8_t **to = arg;

	memcpy(*to, p, len);
	*to += len;
}

static void run_gather(void *arg, const void *p, size_t len)
{
	gather_add(arg, p, len);
}

static void run_crc(void *arg, const void *p, size_t len)
{
	uint32_t *crc = arg;

	*crc = mpa_crc_add(*crc, p, len);
}

/* Drops @skip octets from @len at *@p; what is left of @skip. */
static uint32_t skip_front(uint8_t **p, uint32_t *len, uint32_t skip)
{
	uint32_t n = skip < *len ? skip : *len;

	*p += n;
	*len -= n;
	return skip - n;
}

/* A body of fixed size, the whole of its message. */
static unsigned put_body(const struct fab_send *s, uint8_t *p)
{
	struct rdmap_read read;
	struct rdmap_atomic a;

	switch (s->op) {
	case FAB_READ:
		read = (struct rdmap_read){ .sink_stag = s->sink_stag,
					    .src_stag = s->stag,
					    .sink_to = s->sink_to,
					    .src_to = s->to,
					    .len = s->read_len };
		return rdmap_read_put(p, &read);
	case FAB_ATOMIC:
		a = (struct rdmap_atomic){
			.op = s->atomic->op == FAB_CMP_SWAP ? RDMAP_CMP_SWAP : RDMAP_FETCH_ADD,
			.id = s->id,
			.stag = s->stag,
			.to = s->to,
			.data = s->atomic->data,
			.data_mask = s->atomic->data_mask,
			.cmp = s->atomic->cmp,
			.cmp_mask = s->atomic->cmp_mask,
		};
		return rdmap_atomic_put(p, &a);
	case FAB_ATOMIC_RESP:
		return rdmap_atomic_resp_put(p, s->id, s->value);
	default:
		return rdmap_immediate_put(p, s->value);
	}
}

static void put_payload(struct gather *g, const struct fab_send *s, const struct ddp_pos *pos,
			uint8_t **p)
{
	if (!iw_op_has_payload(s->op)) {
		*p += put_body(s, *p);
		return;
	}
	if (!pos->len)
		return;
	each_run(s, pos->offset, pos->offset + pos->len, run_copy, p);
	g->copies++;
	g->copy_bytes += pos->len;
}

static void put_small(struct fab_msg_conn *c, struct gather *g, const struct fab_send *s,
		      const struct ddp_msg *m, const struct ddp_pos *pos)
{
	uint32_t len = ddp_pos_size(m, pos), crc = MPA_CRC_START;
	uint8_t *fpdu = gather_stage(g, len), *p = fpdu;

	p += ddp_msg_header(m, pos, p);
	put_payload(g, s, pos, &p);
	if (c->crc)
		crc = mpa_crc_add(crc, fpdu, p - fpdu);
	mpa_trailer_put(p, p - fpdu - MPA_LEN_SIZE, c->crc, crc);
	skip_front(&fpdu, &len, pos->skip);
	gather_add(g, fpdu, len);
}

static void put_large(struct fab_msg_conn *c, struct gather *g, const struct fab_send *s,
		      const struct ddp_msg *m, const struct ddp_pos *pos)
{
	uint32_t hlen = m->hdr_len, tlen, skip, skip_data, crc = MPA_CRC_START;
	uint8_t *hdr = gather_stage(g, hlen), *trailer;

	ddp_msg_header(m, pos, hdr);
	if (c->crc) {
		crc = mpa_crc_add(crc, hdr, hlen);
		each_run(s, pos->offset, pos->offset + pos->len, run_crc, &crc);
	}
	tlen = ddp_pos_size(m, pos) - hlen - pos->len;
	trailer = gather_stage(g, tlen);
	mpa_trailer_put(trailer, hlen - MPA_LEN_SIZE + pos->len, c->crc, crc);

	skip = skip_front(&hdr, &hlen, pos->skip);
	skip_data = skip < pos->len ? skip : pos->len;
	skip_front(&trailer, &tlen, skip - skip_data);
	gather_add(g, hdr, hlen);
	each_run(s, pos->offset + skip_data, pos->offset + pos->len, run_gather, g);
	gather_add(g, trailer, tlen);
}

/* ---------------------------------------------------------------- messages */

/* The message that is number @msns of its queue; counts it there. */
static void msg_frame(const struct fab_msg_conn *c, const struct fab_send *s, struct iw_msns *msns,
		      struct ddp_msg *m)
{
	bool se = s->flags & FAB_SEND_SOLICITED;

	switch (s->op) {
	case FAB_WRITE:
		ddp_msg_tagged(m, RDMAP_WRITE, s->stag, s->to, s->len, c->mulpdu);
		break;
	case FAB_READ_RESP:
		ddp_msg_tagged(m, RDMAP_READ_RESPONSE, s->stag, s->to, s->len, c->mulpdu);
		break;
	case FAB_READ:
		ddp_msg_untagged(m, RDMAP_READ_REQUEST, msns->read++, sizeof(struct rdmap_read_req),
				 c->mulpdu);
		break;
	case FAB_ATOMIC:
		ddp_msg_untagged(m, RDMAP_ATOMIC_REQUEST, msns->read++,
				 sizeof(struct rdmap_atomic_req), c->mulpdu);
		break;
	case FAB_ATOMIC_RESP:
		ddp_msg_untagged(m, RDMAP_ATOMIC_RESPONSE, msns->resp++,
				 sizeof(struct rdmap_atomic_resp), c->mulpdu);
		break;
	case FAB_IMMEDIATE:
		ddp_msg_untagged(m, se ? RDMAP_IMMEDIATE_SE : RDMAP_IMMEDIATE, msns->send++,
				 sizeof(struct rdmap_immediate), c->mulpdu);
		break;
	default:
		ddp_msg_untagged(m, se ? RDMAP_SEND_SE : RDMAP_SEND, msns->send++, s->len,
				 c->mulpdu);
		break;
	}
}

static bool is_answer(const struct fab_send *s)
{
	return s->op == FAB_READ_RESP || s->op == FAB_ATOMIC_RESP;
}

/* Adds what is left of a message, behind @skip octets; false: not all of it fitted. */
static bool put_message(struct fab_msg_conn *c, struct gather *g, const struct fab_send *s,
			struct iw_msns *msns, uint64_t skip)
{
	unsigned niov = iw_op_has_payload(s->op) ? s->niov : 0;
	struct ddp_msg m;
	struct ddp_pos pos;

	msg_frame(c, s, msns, &m);
	if (!skip)
		ddp_msg_first(&m, &pos);
	else if (!ddp_msg_locate(&m, skip, &pos))
		return true;
	do {
		if (!gather_has_room(g, niov))
			return false;
		if (pos.len <= IW_COPY_MAX)
			put_small(c, g, s, &m, &pos);
		else
			put_large(c, g, s, &m, &pos);
	} while (ddp_msg_next(&m, &pos));
	return true;
}

static int next_messages(struct fab_msg_conn *c, struct gather *g)
{
	struct iw_msns msns = c->tx;
	uint16_t answered = c->answered;
	uint64_t skip = c->tx_skip;
	const struct fab_send *s;

	for (unsigned i = 0; (s = c->ops->tx_peek(c->user, i)); i++, skip = 0) {
		/* our own are waiting for this message to end */
		if (c->freed || !put_message(c, g, s, &msns, skip) || !gather_has_room(g, 0) ||
		    c->ctl)
			break;
		answered += is_answer(s);
		if (c->empties && c->empties->behind == answered)
			break;
	}
	fab_count(&c->m->env.counters->copies, g->copies);
	fab_count(&c->m->env.counters->copy_bytes, g->copy_bytes);
	if (!s && c->tx_skip && !g->n)
		iw_end(c, -EFAULT); /* the rest of a message cannot be had */
	return g->n;
}

int iw_tx_next(struct fab_msg_conn *c, struct iovec *iov, int max, size_t limit)
{
	struct gather g = { .iov = iov, .max = max, .limit = limit, .stage = c->m->stage };
	struct iw_start *start = c->start;

	if (start && start->tx_off < start->tx_len) {
		iov[0] = (struct iovec){ start->tx + start->tx_off, start->tx_len - start->tx_off };
		return 1;
	}
	/* our own go between messages, never into one */
	c->tx_is_ctl = c->ctl && !c->tx_skip;
	if (c->tx_is_ctl) {
		iov[0] = (struct iovec){ c->ctl + c->ctl_off, c->ctl_len - c->ctl_off };
		return 1;
	}
	/* a disconnect that was asked for leaves out what has not begun */
	if (c->state != IW_OPEN || c->hold_tx || (c->shut && !c->tx_skip))
		return 0;
	return next_messages(c, &g);
}

int iw_tx_shutdown(struct fab_msg_conn *c)
{
	if (c->ctl || c->tx_skip)
		return 0;
	c->fin = true;
	return c->m->stream->shutdown(c->conn);
}

static void ctl_done(struct fab_msg_conn *c, size_t n)
{
	c->ctl_off += n;
	if (c->ctl_off == c->ctl_len) {
		free(c->ctl);
		c->ctl = NULL;
		if (c->shut)
			iw_tx_shutdown(c);
	}
	c->m->stream->tx_want(c->conn);
}

static void start_done(struct fab_msg_conn *c, size_t n)
{
	c->start->tx_off += n;
	if (c->start->tx_off == c->start->tx_len)
		iw_start_sent(c);
	else
		c->m->stream->tx_want(c->conn);
}

/* How many messages end within the @n octets that are out. */
static unsigned messages_out(struct fab_msg_conn *c, size_t n)
{
	const struct fab_send *s;
	struct iw_msns msns;
	struct ddp_msg m;
	unsigned done = 0;
	uint64_t fpdus = 0;

	while (n && c->state == IW_OPEN && (s = c->ops->tx_peek(c->user, done)) && !c->freed) {
		uint64_t left;

		msns = c->tx;
		msg_frame(c, s, &msns, &m);
		left = ddp_msg_size(&m) - c->tx_skip;
		if (n < left)
			break;
		n -= left;
		c->tx_skip = 0;
		c->tx = msns;
		if (is_answer(s))
			iw_req_answered(c);
		done++;
		fpdus += ddp_msg_fpdus(&m);
	}
	c->tx_skip += n;
	fab_count(&c->m->env.counters->fpdus_tx, fpdus);
	fab_count(&c->m->env.counters->msgs_tx, done);
	return done;
}

static void messages_done(struct fab_msg_conn *c, size_t n)
{
	unsigned done = messages_out(c, n);

	if (c->state != IW_OPEN)
		return;
	c->ops->tx_done(c->user, done, c->tx_skip != 0);
	if (c->state != IW_OPEN)
		return;
	if (c->ctl)
		c->m->stream->tx_want(c->conn);
	else if (c->shut && !c->fin)
		iw_tx_shutdown(c);
}

void iw_tx_done(struct fab_msg_conn *c, size_t n)
{
	if (c->start && c->start->tx_off < c->start->tx_len)
		start_done(c, n);
	else if (c->tx_is_ctl)
		ctl_done(c, n);
	else
		messages_done(c, n);
}

int iw_tx_ctl(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	uint32_t waiting = iw_tx_ctl_waiting(c);
	uint8_t *ctl;

	if (c->fin)
		return 0; /* nobody could be told */
	ctl = malloc(waiting + n);
	if (!ctl)
		return -ENOMEM;
	if (waiting)
		memcpy(ctl, c->ctl + c->ctl_off, waiting);
	memcpy(ctl + waiting, p, n);
	free(c->ctl);
	c->ctl = ctl;
	c->ctl_len = waiting + n;
	c->ctl_off = 0;
	fab_count(&c->m->env.counters->fpdus_tx, 1);
	c->m->stream->tx_want(c->conn);
	return 0;
}
