/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_start.c - MPA start-up on both sides.
 *
 * The initiator speaks first: it asks (always for peer-to-peer start, so that neither side need wait
 * for the other), gets the reply, and sends the ready-to-receive message that was agreed. The
 * responder transmits nothing before the initiator's first FPDU has come (hold_tx): a peer like the
 * kernel's siw takes octets right behind the reply for a violation.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

/* Loopback and Ethernet alike; only strangers get FPDUs of this size. */
#define STRANGERS_MSS 1448

static void config(const struct fab_msg *m, uint8_t rev, struct mpa_config *cfg)
{
	uint32_t mulpdu = m->attr.fpdu_max + DDP_UNTAGGED_LEN;

	*cfg = (struct mpa_config){
		.crc = m->attr.crc,
		.rev = rev,
		.rtr = MPA_RTR_WRITE | MPA_RTR_READ,
		.ird = m->attr.ird,
		.ord = m->attr.ord,
		.eta = true,
		.mulpdu = mulpdu < MPA_MULPDU_MAX ? mulpdu : MPA_MULPDU_MAX,
		.mulpdu_mss = mpa_mulpdu_of_mss(STRANGERS_MSS),
	};
}

static void adopt(struct fab_msg_conn *c, const struct mpa_agreed *a)
{
	c->crc = a->crc;
	c->hold_tx = a->hold_tx;
	c->mulpdu = a->mulpdu;
	c->tx_msn = c->rx_msn = 1;
}

/* The frame leaves with the next write. */
static int frame_send(struct fab_msg_conn *c, enum mpa_kind kind)
{
	struct iw_start *s = c->start;
	int n = mpa_encode(&s->ours, kind, s->tx, sizeof(s->tx));

	if (n < 0)
		return -EMSGSIZE;
	s->tx_len = n;
	s->tx_off = 0;
	c->m->stream->tx_want(c->conn);
	return 0;
}

/* --------------------------------------------------------------------- deadlines */

static void start_timeout(struct timer *t)
{
	struct fab_msg_conn *c =
		(struct fab_msg_conn *)((char *)t - offsetof(struct fab_msg_conn, timer));

	fab_count(&c->m->env.counters->connect_timeouts, 1);
	c->start->dialled_again = true;
	iw_hold(c);
	iw_start_lost(c, -ETIMEDOUT);
	iw_drop(c);
}

void iw_start_timer(struct fab_msg_conn *c)
{
	uint64_t ns = c->start->timeout_ns ? c->start->timeout_ns : c->m->attr.handshake_ns;

	/* without memory for a timer there is no deadline, and still a connection */
	timer_start(c->m->env.timers, &c->timer, ns, start_timeout);
}

/* Start-up has ended without a connection. */
void iw_start_lost(struct fab_msg_conn *c, int err)
{
	struct fab_msg_listener *l = c->listener;

	switch (c->state) {
	case IW_DIALLING:
	case IW_ASKED:
		/* perhaps it closed because it knows no revision 2 */
		if (c->state == IW_ASKED && !c->start->dialled_again &&
		    c->start->ours.rev == MPA_REV_2 && !iw_dial(c))
			return;
		c->state = IW_CLOSED;
		c->ops->connected(c->user, err, NULL, 0);
		iw_free(c);
		break;
	case IW_REQUESTED:
		c->state = IW_CLOSED;
		if (l)
			l->ops->withdrawn(l->user, c);
		/* told once that it is gone, its user does not close it; after unlisten it does */
		if (l)
			iw_free(c);
		break;
	case IW_REPLYING:
		c->state = IW_CLOSED;
		c->ops->connected(c->user, err, NULL, 0);
		iw_free(c);
		break;
	default:
		iw_free(c);
		break;
	}
}

/* --------------------------------------------------------------------- initiator */

int iw_start_request(struct fab_msg_conn *c, uint8_t rev, const void *pdata, size_t len)
{
	struct mpa_config cfg;

	config(c->m, rev, &cfg);
	mpa_request_init(&cfg, &c->start->ours);
	return mpa_user_set(&c->start->ours, pdata, len) ? -EMSGSIZE : 0;
}

/* The first time, or again with revision 1 when the peer did not like 2. */
int iw_dial(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;
	struct fab_connect_attr attr = { .local = s->bound ? &s->local : NULL, .peer = &s->peer };
	int err;

	if (c->conn) {
		uint8_t user[MPA_PD_MAX];
		uint16_t len = s->ours.user_len;

		c->m->stream->conn_close(c->conn, true);
		c->conn = NULL;
		s->dialled_again = true;
		memcpy(user, s->ours.user, len);
		err = iw_start_request(c, MPA_REV_1, user, len);
		if (err)
			return err;
		fab_logf(&c->m->env, FAB_LOG_INFO, "no answer to MPA revision 2: trying 1");
	}
	s->rx_len = s->tx_len = s->tx_off = 0;
	c->state = IW_DIALLING;
	return c->m->stream->connect(c->m->fab, &attr, &iw_stream_user, c, &c->conn);
}

void iw_start_connected(struct fab_msg_conn *c, int err)
{
	if (!err) {
		c->state = IW_ASKED;
		err = frame_send(c, MPA_REQUEST);
	} else {
		c->conn = NULL;
	}
	if (err)
		iw_start_lost(c, err);
	else
		c->m->stream->rx_want(c->conn);
}

/* An empty message of the kind agreed on, so that the responder may speak. */
static int send_rtr(struct fab_msg_conn *c, uint8_t rtr)
{
	uint8_t fpdu[DDP_HDR_MAX + RDMAP_BODY_MAX + MPA_TRAILER_MAX];
	struct rdmap_read read = { 0 };
	uint32_t crc = MPA_CRC_START;
	unsigned n;

	if (rtr == MPA_RTR_WRITE) {
		n = ddp_put_tagged(fpdu, RDMAP_WRITE, true, 0, 0, 0);
	} else {
		n = ddp_put_untagged(fpdu, RDMAP_READ_REQUEST, true, 0, 1, 0,
				     sizeof(struct rdmap_read_req));
		n += rdmap_read_put(fpdu + n, &read);
	}
	if (c->crc)
		crc = mpa_crc_add(crc, fpdu, n);
	n += mpa_trailer_put(fpdu + n, n - MPA_LEN_SIZE, c->crc, crc);
	return iw_tx_ctl(c, fpdu, n);
}

/* From here on the connection is its user's. What came behind the reply is sorted at once. */
static void open_as_initiator(struct fab_msg_conn *c, size_t used)
{
	struct iw_start *s = c->start;
	int err = 0;

	adopt(c, &s->agreed);
	if (s->agreed.p2p)
		err = send_rtr(c, s->agreed.rtr);
	if (err) {
		iw_start_lost(c, err);
		return;
	}
	timer_stop(c->m->env.timers, &c->timer);
	c->start = NULL;
	c->state = IW_OPEN;
	c->ops->connected(c->user, 0, s->theirs.user, s->theirs.user_len);
	if (!c->freed && s->rx_len > used)
		iw_rx_early(c, s->rx + used, s->rx_len - used);
	free(s);
}

static void reply_came(struct fab_msg_conn *c, size_t used)
{
	struct iw_start *s = c->start;
	struct mpa_config cfg;
	int err;

	config(c->m, s->ours.rev, &cfg);
	err = mpa_conclude(&cfg, &s->ours, &s->theirs, &s->agreed);
	if (!err) {
		open_as_initiator(c, used);
		return;
	}
	if (err == -MPA_E_NOT_ENHANCED) {
		iw_start_lost(c, -EPROTO);
		return;
	}
	fab_count(&c->m->env.counters->mpa_refused, 1);
	if (err == -MPA_E_REJECTED) {
		c->state = IW_CLOSED;
		c->ops->connected(c->user, -ECONNREFUSED, s->theirs.user, s->theirs.user_len);
		iw_free(c);
		return;
	}
	fab_logf(&c->m->env, FAB_LOG_WARN, "MPA reply refused: %s", mpa_strerror(err));
	s->dialled_again = true;
	iw_start_lost(c, -EPROTO);
}

/* --------------------------------------------------------------------- responder */

int iw_start_accepted(struct fab_msg_listener *l, struct fab_conn *conn)
{
	struct fab_msg_conn *c = calloc(1, sizeof(*c));
	struct iw_start *s = calloc(1, sizeof(*s));

	if (!c || !s) {
		free(c);
		free(s);
		return -ENOMEM;
	}
	c->m = l->m;
	c->conn = conn;
	c->start = s;
	c->state = IW_ACCEPTED;
	c->listener = l;
	c->next = l->conns;
	if (c->next)
		c->next->prev = c;
	l->conns = c;
	l->starting++;
	c->m->stream->bind(conn, &iw_stream_user, c);
	c->m->stream->rx_want(conn);
	iw_start_timer(c);
	return 0;
}

static void request_came(struct fab_msg_conn *c)
{
	struct fab_msg_listener *l = c->listener;
	struct iw_start *s = c->start;
	union fab_addr local, peer;
	struct mpa_config cfg;
	int err;

	config(c->m, s->theirs.rev, &cfg);
	timer_stop(c->m->env.timers, &c->timer);
	l->starting--;
	err = mpa_respond(&cfg, &s->theirs, &s->ours, &s->agreed);
	if (err) {
		fab_logf(&c->m->env, FAB_LOG_WARN, "MPA request refused: %s", mpa_strerror(err));
		fab_count(&c->m->env.counters->mpa_refused, 1);
		iw_listener_drop(c);
		c->state = IW_REJECTING;
		if (frame_send(c, MPA_REPLY))
			iw_free(c);
		return;
	}
	c->state = IW_REQUESTED;
	iw_listener_refill(l);
	memset(&peer, 0, sizeof(peer));
	c->m->stream->conn_addr(c->conn, &local, &peer);
	l->ops->request(l->user, c, &peer, s->theirs.user, s->theirs.user_len);
}

int iw_start_reply(struct fab_msg_conn *c, bool reject, const void *pdata, size_t len)
{
	struct iw_start *s = c->start;

	if (reject)
		mpa_reject_init(&s->theirs, &s->ours);
	if (mpa_user_set(&s->ours, pdata, len))
		return -EMSGSIZE;
	c->state = reject ? IW_REJECTING : IW_REPLYING;
	return frame_send(c, MPA_REPLY);
}

/* The frame is out. */
void iw_start_sent(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;

	if (c->state == IW_REJECTING) {
		c->m->stream->shutdown(c->conn);
		iw_free(c);
		return;
	}
	if (c->state != IW_REPLYING)
		return;
	adopt(c, &s->agreed);
	c->start = NULL;
	c->state = IW_OPEN;
	c->ops->connected(c->user, 0, s->theirs.user, s->theirs.user_len);
	free(s);
}

/* ------------------------------------------------------------------------ octets */

static void start_refused(struct fab_msg_conn *c, int err)
{
	fab_logf(&c->m->env, FAB_LOG_WARN, "MPA start-up failed: %s", mpa_strerror(err));
	fab_count(&c->m->env.counters->mpa_refused, 1);
	c->start->dialled_again = true;
	iw_start_lost(c, -EPROTO);
}

/* @n more octets of the peer's frame. */
static void start_landed(struct fab_msg_conn *c, size_t n)
{
	struct iw_start *s = c->start;
	size_t used;
	int err;

	s->rx_len += n;
	err = mpa_decode(s->rx, s->rx_len, c->state == IW_ASKED ? MPA_REPLY : MPA_REQUEST,
			 &s->theirs, &used);
	if (err > 0)
		return;
	if (err < 0)
		start_refused(c, err);
	else if (c->state == IW_ASKED)
		reply_came(c, used);
	else if (used < s->rx_len)
		start_refused(c, -MPA_E_PD_LEN); /* an initiator waits for the reply */
	else
		request_came(c);
}

int iw_start_rx(struct fab_msg_conn *c, size_t n, struct iovec *iov)
{
	struct iw_start *s;

	if (n && (c->state == IW_ASKED || c->state == IW_ACCEPTED))
		start_landed(c, n);
	else if (n && c->state != IW_REJECTING)
		start_refused(c, -MPA_E_PD_LEN); /* an initiator waits for the reply */
	if (c->freed || c->state == IW_OPEN || c->state == IW_CLOSED)
		return 0;
	s = c->start;
	/* one octet of room while the user thinks: only the end of the stream is expected then */
	iov[0] = (struct iovec){ s->rx + s->rx_len, sizeof(s->rx) - s->rx_len };
	if (c->state != IW_ASKED && c->state != IW_ACCEPTED)
		iov[0] = (struct iovec){ c->tail, 1 };
	return iov[0].iov_len != 0;
}
