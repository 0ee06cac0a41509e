/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * cm.c - listeners, and the events of the connection manager.
 *
 * An event is copied and acknowledged before anything is done about it: destroying an id waits until all of
 * its events have been.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 64 /* of one harvest */

/* ----------------------------------------------------------------------- events */

static void event_copy(const struct rdma_cm_event *e, struct roce_cm_event *ev)
{
	const struct rdma_conn_param *p = &e->param.conn;

	ev->type = e->event;
	ev->id = e->id;
	ev->listen_id = e->listen_id;
	ev->status = e->status;
	ev->responder_resources = p->responder_resources;
	ev->initiator_depth = p->initiator_depth;
	ev->len = p->private_data ? p->private_data_len : 0;
	if (ev->len)
		memcpy(ev->data, p->private_data, ev->len);
}

/*
 * The peer has gone, and said so to the connection manager. What it sent before that came earlier, but
 * by another way: it is taken first.
 */
static void conn_disconnected(struct fab_msg_conn *c)
{
	struct fab *fab = c->fab;

	while (c->cq && roce_cq_drain(fab, c->cq, INT32_MAX) && c->state != RC_GONE)
		;
	if (c->state == RC_GONE)
		return;
	c->dead = true;
	roce_conn_lost(c, -ECONNRESET);
}

static void conn_event(struct fab_msg_conn *c, const struct roce_cm_event *ev)
{
	switch (ev->type) {
	case RDMA_CM_EVENT_DISCONNECTED:
		conn_disconnected(c);
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		if (c->dev)
			roce_dev_lost(c->dev);
		else
			roce_conn_lost(c, -ENODEV);
		break;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
	case RDMA_CM_EVENT_ADDR_CHANGE: /* what is connected stays so, or fails by itself */
		break;
	default:
		roce_start_event(c, ev);
		break;
	}
}

/* One of a certain address goes with its device, which waits for it; one of all addresses stays. */
static void listener_lost(struct fab_msg_listener *l)
{
	l->m->fab->lib->p_rdma_destroy_id(l->id);
	l->id = NULL;
	l->ops->failed(l->user, -ENODEV);
}

static void listener_event(struct fab_msg_listener *l, const struct roce_cm_event *ev)
{
	if (ev->type == RDMA_CM_EVENT_CONNECT_REQUEST)
		roce_start_asked(l, ev);
	else if (ev->type == RDMA_CM_EVENT_DEVICE_REMOVAL)
		listener_lost(l);
}

static void dispatch(struct fab *fab, const struct roce_cm_event *ev)
{
	bool asks = ev->type == RDMA_CM_EVENT_CONNECT_REQUEST;
	struct roce_ep *ep = (asks ? ev->listen_id : ev->id)->context;

	switch (ep->kind) {
	case ROCE_IS_CONN:
		conn_event((struct fab_msg_conn *)ep, ev);
		break;
	case ROCE_IS_LISTENER:
		listener_event((struct fab_msg_listener *)ep, ev);
		break;
	case ROCE_IS_GUARD:
		if (ev->type == RDMA_CM_EVENT_DEVICE_REMOVAL)
			roce_guard_lost(fab, ep);
		break;
	default:
		if (ev->type == RDMA_CM_EVENT_DEVICE_REMOVAL)
			roce_dev_lost((struct roce_dev *)ep);
		break;
	}
}

int roce_cm_harvest(struct fab *fab)
{
	struct roce_cm_event ev;
	struct rdma_cm_event *e;
	int n = 0;

	for (; n < EVENTS_MAX; n++) {
		COUNT(fab, sys_other, 1);
		if (fab->lib->p_rdma_get_cm_event(fab->events, &e))
			break;
		event_copy(e, &ev);
		fab->lib->p_rdma_ack_cm_event(e);
		fab_logf(&fab->env, FAB_LOG_DEBUG, "roce: %s, status %d",
			 fab->lib->p_rdma_event_str(ev.type), ev.status);
		dispatch(fab, &ev);
	}
	if (n == EVENTS_MAX)
		atomic_store(&fab->harvest, true);
	return n;
}

/* -------------------------------------------------------------------- listeners */

static int listener_start(struct fab_msg_listener *l, const union fab_addr *addr, int backlog)
{
	const struct roce_lib *lib = l->m->fab->lib;
	union fab_addr at = *addr;
	int on = 1;

	/* IPv6 only, as with TCP: what was asked for is what listens */
	if (addr->sa.sa_family == AF_INET6)
		lib->p_rdma_set_option(l->id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &on,
				       sizeof(on));
	if (lib->p_rdma_bind_addr(l->id, &at.sa))
		return -errno;
	if (!roce_dev_allowed(l->m->fab, l->id))
		return -ENODEV;
	if (lib->p_rdma_listen(l->id, backlog))
		return -errno;
	return fab_addr_set(&l->addr, rdma_get_local_addr(l->id), sizeof(l->addr));
}

int roce_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
		const struct fab_msg_listen_user *ops, void *user, struct fab_msg_listener **out)
{
	struct fab *fab = m->fab;
	struct fab_msg_listener *l;
	int err;

	if (!fab_addr_len(addr))
		return -EAFNOSUPPORT;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->ep.kind = ROCE_IS_LISTENER;
	l->m = m;
	l->ops = ops;
	l->user = user;
	link_init(&l->starting);
	link_init(&l->asking);
	if (fab->lib->p_rdma_create_id(fab->events, &l->id, &l->ep, RDMA_PS_TCP)) {
		err = -errno;
		free(l);
		return err;
	}
	err = listener_start(l, addr, backlog);
	if (err) {
		fab->lib->p_rdma_destroy_id(l->id);
		free(l);
		return err;
	}
	*out = l;
	return 0;
}

int roce_listener_addr(struct fab_msg_listener *l, union fab_addr *addr)
{
	*addr = l->addr;
	return 0;
}

void roce_unlisten(struct fab_msg_listener *l)
{
	struct fab *fab = l->m->fab;

	roce_enter(fab);
	while (linked(&l->starting))
		roce_conn_free(container(l->starting.next, struct fab_msg_conn, in_list));
	/* a request that was reported stays with its user */
	while (linked(&l->asking))
		roce_listener_drop(container(l->asking.next, struct fab_msg_conn, in_list));
	if (l->id)
		fab->lib->p_rdma_destroy_id(l->id);
	free(l);
	roce_leave(fab);
}
