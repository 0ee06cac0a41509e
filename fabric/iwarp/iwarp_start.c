/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_start.c - MPA start-up on both sides.
 *
 * The initiator speaks first: it asks (always for peer-to-peer start, so that neither side need wait
 * for the other), gets the reply, and sends the ready-to-receive message that was agreed. The
 * responder transmits nothing before the initiator's first FPDU has come (hold_tx): a peer like the
 * kernel's siw takes octets right behind the reply for a violation.
 *
 * A frame is read in two steps, its header and the private data that this announces, so that not an
 * octet of what follows is taken: FPDUs right behind a reply are legal, there may be no receive for
 * them yet, and the kernel keeps them better than we could.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

/* Loopback and Ethernet alike; only strangers get FPDUs of this size. */
#define STRANGERS_MSS 1448

/* Of the payload that was asked for, within what the protocol can say. */
static uint16_t mulpdu_of(uint32_t fpdu_max)
{
	if (fpdu_max < MPA_MULPDU_MIN - DDP_UNTAGGED_LEN)
		return MPA_MULPDU_MIN;
	if (fpdu_max > MPA_MULPDU_MAX - DDP_UNTAGGED_LEN)
		return MPA_MULPDU_MAX;
	return (uint16_t)(fpdu_max + DDP_UNTAGGED_LEN);
}

static void config(const struct fab_msg *m, uint8_t rev, uint16_t features, struct mpa_config *cfg)
{
	*cfg = (struct mpa_config){
		.crc = m->attr.crc,
		.rev = rev,
		.rtr = MPA_RTR_WRITE | MPA_RTR_READ,
		.ird = m->attr.ird,
		.ord = m->attr.ord,
		.eta = true,
		.features = features,
		.mulpdu = mulpdu_of(m->attr.fpdu_max),
		.mulpdu_mss = mpa_mulpdu_of_mss(STRANGERS_MSS),
	};
}

static void adopt(struct fab_msg_conn *c, const struct mpa_agreed *a)
{
	c->crc = a->crc;
	c->hold_tx = a->hold_tx;
	c->mulpdu = a->mulpdu;
	c->ird = a->ird;
	c->rfc7306 = a->features & MPA_FEATURE_RFC7306;
	c->rtr = a->rtr;
	c->tx = (struct iw_msns){ 1, 1, 1 };
	c->rx = (struct iw_msns){ 1, 1, 1 };
}

/* What was agreed on is in force: from here on the connection is its user's. */
static void open_up(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;
	struct fab_msg_peer peer;

	iw_hello_peer(s, true, &peer);
	c->start = NULL;
	c->state = IW_OPEN;
	c->ops->connected(c->user, 0, &peer, s->theirs.user, s->theirs.user_len);
	free(s);
}

static void frame_expect(struct iw_start *s)
{
	s->rx_len = 0;
	s->rx_need = sizeof(struct mpa_frame);
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

/*
 * @state: IW_REPLYING; or IW_REJECTING, whose connection has no user any more. A refusal is written
 * at once, so that it is out if everything is closed next; what is left of it then goes with the
 * instance.
 */
static int reply_send(struct fab_msg_conn *c, enum iw_state state)
{
	int err;

	iw_listener_drop(c);
	c->state = state;
	err = frame_send(c, MPA_REPLY);
	if (err || state == IW_REPLYING)
		return err;
	iw_list_move(c, &c->m->rejecting);
	c->m->stream->tx_now(c->conn);
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
		c->ops->connected(c->user, err, NULL, NULL, 0);
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
		c->ops->connected(c->user, err, NULL, NULL, 0);
		iw_free(c);
		break;
	default:
		iw_free(c);
		break;
	}
}

/* --------------------------------------------------------------------- initiator */

/* The parts of a frame that are the user's; what does not fit is found out here. */
static int fill(struct iw_start *s, enum mpa_kind kind, const struct fab_hello *hello,
		const void *pdata, size_t len)
{
	int err = s->ours.is_eta ? iw_hello_put(&s->ours.eta, hello) : 0;

	if (err)
		return err;
	if (mpa_user_set(&s->ours, pdata, len))
		return -EMSGSIZE;
	return mpa_encode(&s->ours, kind, s->tx, sizeof(s->tx)) < 0 ? -EMSGSIZE : 0;
}

int iw_start_request(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		     size_t len)
{
	struct mpa_config cfg;

	config(c->m, MPA_REV_2, iw_hello_features(hello), &cfg);
	mpa_request_init(&cfg, &c->start->ours);
	return fill(c->start, MPA_REQUEST, hello, pdata, len);
}

/* The same request, of revision 1. */
static void ask_for_less(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;
	struct mpa_start old = s->ours;
	struct mpa_config cfg;

	c->m->stream->conn_close(c->conn, true);
	c->conn = NULL;
	s->dialled_again = true;
	config(c->m, MPA_REV_1, old.eta.features, &cfg);
	mpa_request_init(&cfg, &s->ours);
	mpa_user_set(&s->ours, old.user, old.user_len);
	s->ours.eta = old.eta;
	fab_logf(&c->m->env, FAB_LOG_INFO, "no answer to MPA revision 2: trying 1");
}

/* The first time, or again when the peer did not like revision 2. */
int iw_dial(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;
	struct fab_connect_attr attr = { .local = s->bound ? &s->local : NULL, .peer = &s->peer };

	if (c->conn)
		ask_for_less(c);
	s->tx_len = s->tx_off = 0;
	frame_expect(s);
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
		c->tx.read++;
		c->rtr_read = true;
	}
	if (c->crc)
		crc = mpa_crc_add(crc, fpdu, n);
	n += mpa_trailer_put(fpdu + n, n - MPA_LEN_SIZE, c->crc, crc);
	return iw_tx_ctl(c, fpdu, n);
}

/* From here on the connection is its user's. */
static void open_as_initiator(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;
	int err = 0;

	adopt(c, &s->agreed);
	if (s->agreed.p2p)
		err = send_rtr(c, s->agreed.rtr);
	if (err) {
		s->dialled_again = true;
		iw_start_lost(c, err);
		return;
	}
	timer_stop(c->m->env.timers, &c->timer);
	open_up(c);
}

/* A responder that promised what we did not ask for hears so (RFC 6581 sec. 8); it is open already. */
static void refuse_reply(struct fab_msg_conn *c, int err)
{
	struct iw_start *s = c->start;

	fab_logf(&c->m->env, FAB_LOG_WARN, "MPA reply refused: %s", mpa_strerror(err));
	s->dialled_again = true;
	c->crc = s->ours.crc || s->theirs.crc;
	if (err == -MPA_E_IRD || err == -MPA_E_RTR)
		iw_terminate(c, mpa_error_term(err), -EPROTO);
	iw_start_lost(c, -EPROTO);
}

static void reply_came(struct fab_msg_conn *c)
{
	struct iw_start *s = c->start;
	struct mpa_config cfg;
	int err;

	config(c->m, s->ours.rev, s->ours.eta.features, &cfg);
	err = mpa_conclude(&cfg, &s->ours, &s->theirs, &s->agreed);
	if (!err) {
		open_as_initiator(c);
		return;
	}
	if (err == -MPA_E_NOT_ENHANCED) {
		iw_start_lost(c, -EPROTO);
		return;
	}
	fab_count(&c->m->env.counters->mpa_refused, 1);
	if (err == -MPA_E_REJECTED) {
		c->state = IW_CLOSED;
		c->ops->connected(c->user, -ECONNREFUSED, NULL, s->theirs.user, s->theirs.user_len);
		iw_free(c);
		return;
	}
	refuse_reply(c, err);
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
	frame_expect(s);
	iw_list_move(c, &l->starting);
	c->m->stream->bind(conn, &iw_stream_user, c);
	c->m->stream->rx_want(conn);
	iw_start_timer(c);
	return 0;
}

/* What is wrong with the request is the peer's affair; no user hears of it. */
static void refuse_request(struct fab_msg_conn *c, int err)
{
	fab_logf(&c->m->env, FAB_LOG_WARN, "MPA request refused: %s", mpa_strerror(err));
	fab_count(&c->m->env.counters->mpa_refused, 1);
	if (reply_send(c, IW_REJECTING))
		iw_free(c);
}

static void request_came(struct fab_msg_conn *c)
{
	struct fab_msg_listener *l = c->listener;
	struct iw_start *s = c->start;
	union fab_addr local, peer;
	struct fab_msg_peer who;
	struct mpa_config cfg;
	int err;

	/* what else is offered depends on who accepts */
	config(c->m, s->theirs.rev, iw_hello_features(NULL), &cfg);
	timer_stop(c->m->env.timers, &c->timer);
	err = mpa_respond(&cfg, &s->theirs, &s->ours, &s->agreed);
	if (err) {
		refuse_request(c, err);
		return;
	}
	c->state = IW_REQUESTED;
	iw_list_move(c, &l->asking);
	memset(&peer, 0, sizeof(peer));
	c->m->stream->conn_addr(c->conn, &local, &peer);
	iw_hello_peer(s, false, &who);
	l->ops->request(l->user, c, &peer, &who, s->theirs.user, s->theirs.user_len);
}

int iw_start_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		    size_t len)
{
	struct iw_start *s = c->start;
	int err = fill(s, MPA_REPLY, hello, pdata, len);

	if (err)
		return err;
	if (s->agreed.eta) {
		s->ours.eta.features = iw_hello_features(hello);
		s->agreed.features = s->ours.eta.features & s->theirs.eta.features;
	}
	return reply_send(c, IW_REPLYING);
}

int iw_start_reject(struct fab_msg_conn *c, const void *pdata, size_t len)
{
	struct iw_start *s = c->start;

	mpa_reject_init(&s->theirs, &s->ours);
	return fill(s, MPA_REPLY, NULL, pdata, len) ? -EMSGSIZE : reply_send(c, IW_REJECTING);
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
	open_up(c);
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
	int err;
	size_t used;

	s->rx_len += n;
	err = mpa_decode(s->rx, s->rx_len, c->state == IW_ASKED ? MPA_REPLY : MPA_REQUEST,
			 &s->theirs, &used);
	if (err > 0)
		s->rx_need = err;
	else if (err < 0)
		start_refused(c, err);
	else if (c->state == IW_ASKED)
		reply_came(c);
	else
		request_came(c);
}

int iw_start_rx(struct fab_msg_conn *c, size_t n, struct iovec *iov)
{
	struct iw_start *s;

	switch (c->state) {
	case IW_ASKED:
	case IW_ACCEPTED:
		if (n)
			start_landed(c, n);
		break;
	case IW_REQUESTED:
	case IW_REPLYING:
		if (n)
			start_refused(c, -MPA_E_PD_LEN); /* an initiator waits for the reply */
		break;
	default:
		break;
	}
	if (c->freed || c->state == IW_OPEN || c->state == IW_CLOSED)
		return 0;
	s = c->start;
	/* one octet of room while the user thinks: only the end of the stream is expected then */
	iov[0] = (struct iovec){ c->tail, 1 };
	if (c->state == IW_ASKED || c->state == IW_ACCEPTED)
		iov[0] = (struct iovec){ s->rx + s->rx_len, s->rx_need - s->rx_len };
	return 1;
}
