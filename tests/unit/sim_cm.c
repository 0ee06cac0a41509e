/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_cm.c - simulated devices: what ids of the connection manager tell each other, and their events. */
#include "tests/unit/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_SUCH_SERVICE 8
#define NO_ROOM 28

static struct sim_queue *queue_of(const struct sim_id *id)
{
	return &container(id->cm.channel, struct sim_events, ch)->q;
}

/* -------------------------------------------------------------------------- events */

struct sim_event *sim_event_post(struct sim_id *id, enum rdma_cm_event_type type, int status)
{
	struct sim_event *e = sim_alloc(sizeof(*e));

	e->ev.id = &id->cm;
	e->ev.event = type;
	e->ev.status = status;
	e->holder = id;
	sim_queue_put(queue_of(id), &e->link);
	return e;
}

static void post_with(struct sim_id *id, enum rdma_cm_event_type type, const struct sim_msg *m)
{
	struct sim_event *e = sim_event_post(id, type, m->status);
	struct rdma_conn_param *p = &e->ev.param.conn;

	memcpy(e->data, m->data, m->len);
	p->private_data = m->len ? e->data : NULL;
	p->private_data_len = m->len;
	/* as seen from here */
	p->responder_resources = m->terms.depth;
	p->initiator_depth = m->terms.resources;
	p->rnr_retry_count = m->terms.rnr_retry;
	p->qp_num = m->terms.qp;
}

void sim_events_purge(struct sim_id *id)
{
	struct sim_queue *q = queue_of(id);

	for (struct link *l = q->entries.next; l != &q->entries;) {
		struct sim_event *e = container(l, struct sim_event, link);
		struct sim_id *child =
			e->ev.listen_id == &id->cm ? container(e->ev.id, struct sim_id, cm) : NULL;

		if (e->ev.id != &id->cm && !child) {
			l = l->next;
			continue;
		}
		sim_queue_drop(q, l);
		free(e);
		if (child)
			sim_id_destroy(child);
		l = q->entries.next; /* others may have gone with it */
	}
}

/* The queue pair goes to work when its user is told of the reply. */
static void reply_taken(struct sim_id *id, struct sim_event *e)
{
	struct sim_qp *qp = id->cm.qp ? container(id->cm.qp, struct sim_qp, ibv) : NULL;
	struct sim_terms own = { .resources = id->terms.depth, .depth = id->terms.resources };

	if (id->state != SIM_ASKING)
		return;
	if (!qp || qp->ibv.state != IBV_QPS_INIT) {
		e->ev.event = RDMA_CM_EVENT_CONNECT_ERROR;
		e->ev.status = -EINVAL;
		return;
	}
	sim_qp_connect(qp, &own, &id->terms);
	id->state = SIM_CONNECTED;
	sim_say(id, id->peer, SIM_RTU, 0, NULL, 0);
}

static void addr_taken(struct sim_id *id, struct sim_event *e)
{
	struct rdma_addr *addr = &id->cm.route.addr;
	struct sim_device *dev = sim_device_at(&addr->dst_addr);

	id->state = SIM_RESOLVED;
	if (id->cm.verbs)
		return;
	if (!dev) {
		e->ev.event = RDMA_CM_EVENT_ADDR_ERROR;
		e->ev.status = -ENODEV;
		return;
	}
	addr->src_storage = addr->dst_storage;
	if (addr->src_addr.sa_family == AF_INET)
		addr->src_sin.sin_port = 0;
	else
		addr->src_sin6.sin6_port = 0;
	sim_id_bind(id, dev);
}

/* What librdmacm does itself when it hands an event out. */
static void taken(struct sim_event *e)
{
	struct sim_id *id = container(e->ev.id, struct sim_id, cm);

	switch (e->ev.event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		addr_taken(id, e);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		id->state = SIM_ROUTED;
		break;
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		e->holder->backlog++;
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		reply_taken(id, e);
		break;
	default:
		break;
	}
	e->holder->unacked++;
	sim.objects++; /* till it is acknowledged */
}

int sim_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **out)
{
	struct sim_queue *q = &container(channel, struct sim_events, ch)->q;
	struct sim_event *e;
	struct link *l;

	sim_lock();
	sim_round();
	sim_unlock();
	l = sim_queue_take(q);
	if (!l)
		return -1;
	e = container(l, struct sim_event, link);
	taken(e);
	*out = &e->ev;
	return sim_end(0);
}

int sim_rdma_ack_cm_event(struct rdma_cm_event *ev)
{
	struct sim_event *e = container(ev, struct sim_event, ev);

	sim_lock();
	e->holder->unacked--;
	sim_free(e);
	return sim_end(0);
}

const char *sim_rdma_event_str(enum rdma_cm_event_type type)
{
	static const char *const names[] = {
		"ADDR_RESOLVED",   "ADDR_ERROR",       "ROUTE_RESOLVED", "ROUTE_ERROR",
		"CONNECT_REQUEST", "CONNECT_RESPONSE", "CONNECT_ERROR",  "UNREACHABLE",
		"REJECTED",        "ESTABLISHED",      "DISCONNECTED",   "DEVICE_REMOVAL",
		"MULTICAST_JOIN",  "MULTICAST_ERROR",  "ADDR_CHANGE",    "TIMEWAIT_EXIT",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "an event";
}

/* ------------------------------------------------------------------------ messages */

static void terms_fill(struct sim_msg *m, const struct sim_id *from,
		       const struct rdma_conn_param *p)
{
	m->terms = (struct sim_terms){
		.qp = from->cm.qp ? from->cm.qp->qp_num : 0,
		.resources = p->responder_resources,
		.depth = p->initiator_depth,
		.rnr_retry = p->rnr_retry_count,
	};
	if (m->terms.resources == RDMA_MAX_RESP_RES)
		m->terms.resources = SIM_RD_MAX;
	if (m->terms.depth == RDMA_MAX_INIT_DEPTH)
		m->terms.depth = SIM_RD_MAX;
}

void sim_say(struct sim_id *from, uint32_t to, enum sim_msg_kind kind, int status,
	     const struct rdma_conn_param *param, uint8_t room)
{
	struct sim_msg *m = sim_alloc(sizeof(*m));

	m->kind = kind;
	m->from = from->number;
	m->to = to;
	m->dev = sim_device_of(&from->cm);
	m->status = status;
	m->len = room;
	if (param)
		terms_fill(m, from, param);
	if (param && param->private_data_len)
		memcpy(m->data, param->private_data, param->private_data_len);
	link_append(&sim.msgs, &m->link);
	sim_kick();
}

static void lost(uint32_t to)
{
	struct sim_msg *m = sim_alloc(sizeof(*m));

	m->kind = SIM_LOST;
	m->to = to;
	m->status = -ETIMEDOUT;
	m->due = timer_now_ns() + sim.retry_ns;
	link_append(&sim.msgs, &m->link);
}

static bool is_cut(const struct sim_device *dev)
{
	return dev && (dev->gone || dev->cut || dev->down);
}

/* --------------------------------------------------------------------- what they do */

static void refuse(struct sim_id *asking, int why)
{
	struct sim_msg m = { .status = why, .len = SIM_PRIVATE_REJ };

	asking->state = SIM_OVER;
	post_with(asking, RDMA_CM_EVENT_REJECTED, &m);
}

static void req_came(struct sim_id *from, const struct sim_msg *m)
{
	const struct sockaddr *dst = &from->cm.route.addr.dst_addr;
	struct sim_id *listener = sim_listener_at(dst), *id;
	struct sim_device *dev = sim_device_at(dst);
	struct sim_event *e;

	if (!dev || is_cut(dev)) {
		lost(from->number);
		return;
	}
	if (!listener || !listener->backlog) {
		refuse(from, listener ? NO_ROOM : NO_SUCH_SERVICE);
		return;
	}
	listener->backlog--;
	id = sim_id_new(listener->cm.channel, listener->cm.context);
	sim_id_bind(id, dev);
	id->cm.route.addr.src_storage = from->cm.route.addr.dst_storage;
	id->cm.route.addr.dst_storage = from->cm.route.addr.src_storage;
	id->state = SIM_ASKED;
	id->peer = from->number;
	id->terms = m->terms;
	from->peer = id->number;
	post_with(id, RDMA_CM_EVENT_CONNECT_REQUEST, m);
	e = container(queue_of(id)->entries.prev, struct sim_event, link);
	e->ev.listen_id = &listener->cm;
	e->holder = listener;
}

static void rep_came(struct sim_id *id, const struct sim_msg *m)
{
	if (id->state != SIM_ASKING)
		return;
	id->terms = m->terms;
	post_with(id, RDMA_CM_EVENT_ESTABLISHED, m);
}

static void rtu_came(struct sim_id *id)
{
	if (id->state != SIM_ANSWERED)
		return;
	id->state = SIM_CONNECTED;
	sim_event_post(id, RDMA_CM_EVENT_ESTABLISHED, 0);
}

static void rej_came(struct sim_id *id, const struct sim_msg *m)
{
	if (id->state != SIM_ASKING && id->state != SIM_ASKED && id->state != SIM_ANSWERED)
		return;
	id->state = SIM_OVER;
	post_with(id, RDMA_CM_EVENT_REJECTED, m);
}

/* Its queue pair stays as it is, till its user disconnects as well. */
static void dreq_came(struct sim_id *id)
{
	bool leaving = id->state == SIM_LEAVING;

	if (id->state != SIM_ASKING && id->state != SIM_ANSWERED && id->state != SIM_CONNECTED &&
	    !leaving)
		return;
	id->state = SIM_OVER;
	sim_event_post(id, RDMA_CM_EVENT_DISCONNECTED, 0);
	if (!leaving)
		sim_say(id, id->peer, SIM_DREP, 0, NULL, 0);
}

static void drep_came(struct sim_id *id)
{
	if (id->state != SIM_LEAVING)
		return;
	id->state = SIM_OVER;
	sim_event_post(id, RDMA_CM_EVENT_DISCONNECTED, 0);
}

static void lost_came(struct sim_id *id, const struct sim_msg *m)
{
	if (id->state == SIM_LEAVING)
		drep_came(id);
	if (id->state != SIM_ASKING && id->state != SIM_ANSWERED)
		return;
	id->state = SIM_OVER;
	sim_event_post(id, RDMA_CM_EVENT_UNREACHABLE, m->status);
}

static void came(struct sim_id *id, const struct sim_msg *m)
{
	switch (m->kind) {
	case SIM_ADDR:
		sim_event_post(id,
			       m->status ? RDMA_CM_EVENT_ADDR_ERROR : RDMA_CM_EVENT_ADDR_RESOLVED,
			       m->status);
		break;
	case SIM_ROUTE:
		sim_event_post(id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0);
		break;
	case SIM_REP:
		rep_came(id, m);
		break;
	case SIM_RTU:
		rtu_came(id);
		break;
	case SIM_REJ:
		rej_came(id, m);
		break;
	case SIM_DREQ:
		dreq_came(id);
		break;
	case SIM_DREP:
		drep_came(id);
		break;
	default:
		lost_came(id, m);
		break;
	}
}

static bool is_local(const struct sim_msg *m)
{
	return m->kind == SIM_ADDR || m->kind == SIM_ROUTE || m->kind == SIM_LOST;
}

static void handle(const struct sim_msg *m)
{
	struct sim_id *from = sim_id_by_number(m->from), *to = sim_id_by_number(m->to);

	if (m->kind == SIM_REQ && from && is_cut(m->dev)) {
		lost(m->from);
	} else if (m->kind == SIM_REQ) {
		if (from && from->state == SIM_ASKING)
			req_came(from, m);
	} else if (!is_local(m) && (is_cut(m->dev) || (to && is_cut(sim_device_of(&to->cm))))) {
		lost(m->from);
		lost(m->to);
	} else if (to) {
		came(to, m);
	} else if (m->kind == SIM_DREQ && from) {
		drep_came(from); /* its timeout; nobody is there */
	}
}

/* The first that is due. */
bool sim_cm_step(void)
{
	uint64_t now = 0;

	for (struct link *l = sim.msgs.next; l != &sim.msgs; l = l->next) {
		struct sim_msg *m = container(l, struct sim_msg, link);

		if (m->due && !now)
			now = timer_now_ns();
		if (m->due > now)
			continue;
		link_del(l);
		handle(m);
		free(m);
		return true;
	}
	return false;
}
