/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * start.c - set-up on both sides.
 *
 *	initiator				responder
 *	address, route, queue pair
 *	roce_cm_data		-- request -->	queue pair
 *				<-- reply --	roce_cm_data
 *	REQUEST			-- frame -->	request()
 *	connected()		<-- frame --	ACCEPT or REJECT; connected()
 *
 * The connection manager's private data are too few for names, proofs and users' data; so a responder
 * takes everybody at first, with few buffers, and its user decides when it has seen the REQUEST.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Connections of one listener that have not yet said what they want: the oldest makes room, because one
 * that means it asks at once.
 */
#define STARTING_MAX 64
#define RESOLVE_MS 3000
/*
 * 4.096 us * 2^17 are 0.5 s: a send that nobody has acknowledged is repeated after so long, and with
 * RETRIES the queue pair fails after some 4 s. The default would be 17 s. Not 7: soft-RoCE takes that for
 * "for ever".
 */
#define ACK_TIMEOUT 17
#define RETRIES 6
#define RNR_RETRIES 1 /* credits see to it that there is always a receive */

/* -------------------------------------------------------------------- what is said */

static void cm_fill(const struct fab_msg_conn *c, struct roce_cm_data *data)
{
	struct roce_cm cm = {
		.service = c->m->service,
		.credits = ROCE_START_CREDITS,
		.ord = c->m->attr.ord,
		.ird = c->m->attr.ird,
		.frame_max = ROCE_FRAME,
	};

	if (c->fab->places)
		cm.features = ROCE_FEATURE_PLACE | (c->dev->reads ? ROCE_FEATURE_READ : 0);
	roce_cm_put(&cm, data);
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int cm_adopt(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	struct roce_cm cm;

	if (roce_cm_get(ev->data, ev->len, &cm) || cm.service != c->m->service)
		return -EPROTO;
	c->tx_credits = cm.credits;
	c->frame_max = min32(cm.frame_max, ROCE_FRAME);
	c->ord = min32(c->m->attr.ord, cm.ird);
	c->ird = min32(c->m->attr.ird, cm.ord);
	c->places = c->fab->places && (cm.features & ROCE_FEATURE_PLACE);
	c->device_reads = c->places && (cm.features & ROCE_FEATURE_READ);
	return 0;
}

/* @ev: of a responder, which may not name more reads than the request does. */
static void conn_param(const struct fab_msg_conn *c, const struct roce_cm_data *data,
		       const struct roce_cm_event *ev, struct rdma_conn_param *p)
{
	*p = (struct rdma_conn_param){
		.private_data = data,
		.private_data_len = sizeof(*data),
		.responder_resources =
			ev ? min32(c->dev->reads, ev->responder_resources) : c->dev->reads,
		.initiator_depth = ev ? min32(c->dev->reads, ev->initiator_depth) : c->dev->reads,
		.flow_control = 1,
		.retry_count = RETRIES,
		.rnr_retry_count = RNR_RETRIES,
	};
}

/* ------------------------------------------------------------------------ deadlines */

static void start_timeout(struct timer *t)
{
	struct fab_msg_conn *c = container(t, struct fab_msg_conn, timer);
	struct fab *fab = c->fab;

	roce_enter(fab);
	COUNT(fab, connect_timeouts, 1);
	roce_start_lost(c, -ETIMEDOUT);
	roce_leave(fab);
}

/* ------------------------------------------------------------------------- its end */

static void failed(struct fab_msg_conn *c, int err, const void *pdata, size_t len)
{
	const struct fab_msg_user *ops = c->ops;
	void *user = c->user;

	COUNT(c->fab, connect_errors, 1);
	roce_conn_free(c);
	ops->connected(user, err, NULL, pdata, len);
}

static void withdrawn(struct fab_msg_conn *c)
{
	struct fab_msg_listener *l = c->listener;

	c->state = RC_CLOSED;
	/* told once that it is gone, its user does not close it; after unlisten it does */
	if (!l)
		return;
	roce_listener_drop(c);
	l->ops->withdrawn(l->user, c);
	roce_conn_free(c);
}

void roce_start_lost(struct fab_msg_conn *c, int err)
{
	switch (c->state) {
	case RC_RESOLVING:
	case RC_CONNECTING:
	case RC_ASKED:
	case RC_REPLYING:
		failed(c, err, NULL, 0);
		break;
	case RC_REQUESTED:
		withdrawn(c);
		break;
	default:
		roce_conn_free(c);
		break;
	}
}

/* ------------------------------------------------------------------------- initiator */

static bool is_link_local(const union fab_addr *a)
{
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr);
}

/*
 * The address to dial from: the one that was given, else one of the device that was asked for, because
 * the routes may lead out by another. NULL: as the routes say.
 */
static const union fab_addr *dial_from(const struct fab *fab, const struct fab_connect_attr *attr)
{
	const union fab_addr *peer = attr->peer;

	if (attr->local || attr->from)
		return attr->local ? attr->local : attr->from;
	for (unsigned i = 0; i < fab->naddrs; i++) {
		const union fab_addr *a = &fab->addrs[i];

		if (a->sa.sa_family == peer->sa.sa_family &&
		    is_link_local(a) == is_link_local(peer))
			return a;
	}
	return NULL;
}

static int dial(struct fab_msg_conn *c, const struct fab_connect_attr *attr)
{
	const union fab_addr *from = dial_from(c->fab, attr);
	const struct roce_lib *lib = c->fab->lib;
	union fab_addr local, peer = *attr->peer;
	uint8_t timeout = ACK_TIMEOUT;

	if (!fab_addr_len(attr->peer))
		return -EAFNOSUPPORT;
	if (from)
		local = *from;
	if (from && from != attr->local) {
		if (local.sa.sa_family == AF_INET6)
			local.in6.sin6_port = 0;
		else
			local.in.sin_port = 0;
	}
	c->peer = peer;
	if (lib->p_rdma_create_id(c->fab->events, &c->id, &c->ep, RDMA_PS_TCP)) {
		c->id = NULL;
		return -errno;
	}
	/* without it the device's own is used */
	lib->p_rdma_set_option(c->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout,
			       sizeof(timeout));
	if (lib->p_rdma_resolve_addr(c->id, from ? &local.sa : NULL, &peer.sa, RESOLVE_MS))
		return -errno;
	return 0;
}

static int hello_keep(struct fab_msg_conn *c, enum roce_kind kind, const struct fab_hello *hello,
		      const void *pdata, size_t len)
{
	struct roce_start *s = c->start;
	int n = roce_hello_put(s->frame, kind, hello, pdata, len);

	if (n < 0)
		return n;
	s->frame_len = n;
	s->features = (hello ? hello->features : 0) | FAB_FEATURE_ATOMIC;
	return 0;
}

int roce_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
		 const struct fab_hello *hello, const void *pdata, size_t len,
		 const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	struct fab_msg_conn *c = roce_conn_new(m);
	int err;

	if (!c)
		return -ENOMEM;
	roce_enter(m->fab);
	c->state = RC_RESOLVING;
	c->ops = ops;
	c->user = user;
	err = hello_keep(c, ROCE_REQUEST, hello, pdata, len);
	if (!err)
		err = dial(c, attr);
	if (err) {
		roce_conn_free(c);
	} else {
		roce_timer_start(c, attr->timeout_ns ? attr->timeout_ns : m->attr.handshake_ns,
				 start_timeout);
		*out = c;
	}
	roce_leave(m->fab);
	return err;
}

static int resolved_addr(struct fab_msg_conn *c)
{
	return c->fab->lib->p_rdma_resolve_route(c->id, RESOLVE_MS) ? -errno : 0;
}

static int resolved_route(struct fab_msg_conn *c)
{
	struct roce_cm_data data;
	struct rdma_conn_param p;
	int err = roce_conn_qp(c);

	if (err)
		return err;
	cm_fill(c, &data);
	conn_param(c, &data, NULL, &p);
	c->state = RC_CONNECTING;
	return c->fab->lib->p_rdma_connect(c->id, &p) ? -errno : 0;
}

static int established(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	struct roce_start *s = c->start;
	int err;

	/* of a responder: it may have heard from the peer before, or will */
	if (c->state != RC_CONNECTING)
		return 0;
	err = cm_adopt(c, ev);
	if (!err)
		err = roce_tx_frame(c, s->frame, s->frame_len);
	c->state = RC_ASKED;
	return err;
}

/* Of the connection manager: nobody listens there, or the fabric on the other side refused. */
static int rejected(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	char peer[FAB_ADDR_STRLEN];

	c->dead = true;
	fab_logf(&c->fab->env, FAB_LOG_INFO, "roce: %s refuses: %s (%d)",
		 fab_addr_str(&c->peer, peer), roce_refusal_text(ev->data, ev->len), ev->status);
	return -ECONNREFUSED;
}

static int unresolved(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	char peer[FAB_ADDR_STRLEN];

	fab_logf(&c->fab->env, FAB_LOG_WARN, "roce: no RDMA device leads to %s: error %d",
		 fab_addr_str(&c->peer, peer), -ev->status);
	return ev->status < 0 ? ev->status : -EHOSTUNREACH;
}

static int start_event(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	switch (ev->type) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		return resolved_addr(c);
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		return resolved_route(c);
	case RDMA_CM_EVENT_ESTABLISHED:
		return established(c, ev);
	case RDMA_CM_EVENT_REJECTED:
		return rejected(c, ev);
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
		return unresolved(c, ev);
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_CONNECT_ERROR:
		return ev->status == -ETIMEDOUT ? -ETIMEDOUT : -EHOSTUNREACH;
	default:
		return 0;
	}
}

void roce_start_event(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	int err = start_event(c, ev);

	if (err)
		roce_conn_lost(c, err);
}

/* ------------------------------------------------------------------------- responder */

static void refuse(struct fab *fab, struct rdma_cm_id *id, enum roce_refusal why)
{
	struct roce_cm_data data;

	COUNT(fab, mpa_refused, 1);
	roce_refusal_put(why, &data);
	fab->lib->p_rdma_reject(id, &data, sizeof(data));
	fab->lib->p_rdma_destroy_id(id);
}

static enum roce_refusal judge(const struct fab_msg_listener *l, const struct roce_cm_event *ev)
{
	struct roce_cm cm;

	if (roce_cm_get(ev->data, ev->len, &cm))
		return ROCE_REFUSED_DATA;
	return cm.service == l->m->service ? 0 : ROCE_REFUSED_SERVICE;
}

static int take(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	struct roce_cm_data data;
	struct rdma_conn_param p;
	int err = cm_adopt(c, ev);

	if (!err)
		err = roce_conn_qp(c);
	if (err)
		return err;
	cm_fill(c, &data);
	conn_param(c, &data, ev, &p);
	return c->fab->lib->p_rdma_accept(c->id, &p) ? -errno : 0;
}

void roce_start_asked(struct fab_msg_listener *l, const struct roce_cm_event *ev)
{
	struct fab *fab = l->m->fab;
	enum roce_refusal why = judge(l, ev);
	struct fab_msg_conn *c = NULL;

	if (!why) {
		c = roce_conn_new(l->m);
		why = c ? 0 : ROCE_REFUSED_ROOM;
	}
	if (why) {
		refuse(fab, ev->id, why);
		return;
	}
	if (l->nstarting == STARTING_MAX)
		roce_conn_free(container(l->starting.next, struct fab_msg_conn, in_list));
	c->state = RC_ACCEPTED;
	c->id = ev->id;
	c->id->context = &c->ep;
	c->listener = l;
	link_move(&l->starting, &c->in_list);
	l->nstarting++;
	fab_addr_set(&c->peer, rdma_get_peer_addr(c->id), sizeof(c->peer));
	if (take(c, ev))
		roce_conn_free(c);
	else
		roce_timer_start(c, l->m->attr.handshake_ns, start_timeout);
}

static void peer_describe(const struct fab_msg_conn *c, bool agreed, struct fab_msg_peer *who)
{
	const struct roce_start *s = c->start;

	*who = (struct fab_msg_peer){
		.eta = true,
		.features = s->hello.features,
		.ord = c->ord,
		.ird = c->ird,
		.hello = s->hello,
	};
	if (agreed)
		who->features &= s->features;
}

static void request_came(struct fab_msg_conn *c, const uint8_t *p, size_t n)
{
	struct fab_msg_listener *l = c->listener;
	struct fab_msg_peer who;
	const uint8_t *data;
	size_t len;

	if (roce_hello_get(p, n, &c->start->hello, &data, &len)) {
		roce_violation(c, "request");
		return;
	}
	timer_stop(c->fab->env.timers, &c->timer);
	c->state = RC_REQUESTED;
	l->nstarting--;
	link_move(&l->asking, &c->in_list);
	fab_addr_set(&c->local, rdma_get_local_addr(c->id), sizeof(c->local));
	COUNT(c->fab, accepts, 1);
	peer_describe(c, false, &who);
	l->ops->request(l->user, c, &c->peer, &who, data, len);
}

int roce_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		size_t len, const struct fab_msg_user *ops, void *user)
{
	struct roce_start *s = c->start;
	int err;

	if (c->state != RC_REQUESTED)
		return -ESTALE;
	err = hello_keep(c, ROCE_ACCEPT, hello, pdata, len);
	if (!err)
		err = roce_tx_frame(c, s->frame, s->frame_len);
	if (err)
		return err;
	roce_listener_drop(c);
	c->state = RC_REPLYING;
	c->ops = ops;
	c->user = user;
	roce_enter(c->fab);
	roce_later(c);
	roce_leave(c->fab);
	return 0;
}

void roce_reject(struct fab_msg_conn *c, const void *pdata, size_t len)
{
	struct fab *fab = c->fab;
	struct roce_start *s = c->start;

	roce_enter(fab);
	roce_listener_drop(c);
	if (c->state != RC_REQUESTED || hello_keep(c, ROCE_REJECT, NULL, pdata, len) ||
	    roce_tx_frame(c, s->frame, s->frame_len))
		roce_conn_free(c);
	else
		roce_conn_linger(c);
	roce_leave(fab);
}

/* ------------------------------------------------------------------------------ open */

/* From here on the connection is its user's, and its peer may send as much as it likes. */
static void open_up(struct fab_msg_conn *c, const uint8_t *data, size_t len)
{
	struct roce_start *s = c->start;
	struct fab_msg_peer who;

	timer_stop(c->fab->env.timers, &c->timer);
	fab_addr_set(&c->local, rdma_get_local_addr(c->id), sizeof(c->local));
	if (roce_rx_add(c, ROCE_RECVS - c->nrx)) {
		roce_start_lost(c, -ENOMEM);
		return;
	}
	peer_describe(c, true, &who);
	COUNT(c->fab, connects, c->state == RC_ASKED);
	/* byte streams are counted when they are handed out */
	COUNT(c->fab, accepts, c->state != RC_ASKED && !c->m->attr.streams);
	c->start = NULL;
	c->state = RC_OPEN;
	roce_watch_start(c->fab);
	c->ops->connected(c->user, 0, &who, data, len);
	free(s);
	roce_tx_credit(c);
	roce_rx_run(c);
}

void roce_start_open(struct fab_msg_conn *c)
{
	open_up(c, NULL, 0);
}

static void answer_came(struct fab_msg_conn *c, uint8_t kind, const uint8_t *p, size_t n)
{
	const uint8_t *data;
	size_t len;

	if (roce_hello_get(p, n, &c->start->hello, &data, &len))
		roce_violation(c, "answer");
	else if (kind == ROCE_ACCEPT)
		open_up(c, data, len);
	else
		failed(c, -ECONNREFUSED, data, len);
}

void roce_start_frame(struct fab_msg_conn *c, uint8_t kind, const uint8_t *p, size_t n)
{
	if (c->state == RC_ACCEPTED && kind == ROCE_REQUEST)
		request_came(c, p, n);
	else if (c->state == RC_ASKED && (kind == ROCE_ACCEPT || kind == ROCE_REJECT))
		answer_came(c, kind, p, n);
	else
		roce_violation(c, "a frame out of turn");
}
