/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_id.c - simulated devices: ids of the connection manager, and its calls. */
#include "tests/unit/sim_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_FIRST 61000 /* behind those that Linux gives to TCP by itself */

static struct sim_id *id_of(struct rdma_cm_id *id)
{
	return container(id, struct sim_id, cm);
}

static struct sim_events *events_of(struct rdma_event_channel *channel)
{
	return container(channel, struct sim_events, ch);
}

static struct sim_qp *qp_of(const struct sim_id *id)
{
	return id->cm.qp ? container(id->cm.qp, struct sim_qp, ibv) : NULL;
}

/* ------------------------------------------------------------------------ channels */

struct rdma_event_channel *sim_rdma_create_event_channel(void)
{
	struct sim_events *e;

	sim_lock();
	e = sim_new(sizeof(*e));
	if (sim_queue_open(&e->q))
		sim_bug("no descriptor");
	e->ch.fd = e->q.fd;
	sim_unlock();
	return &e->ch;
}

void sim_rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
	struct sim_events *e = events_of(channel);

	sim_lock();
	if (e->users || linked(&e->q.entries))
		sim_bug("a channel of events goes that is in use");
	sim_queue_close(&e->q);
	sim_free(e);
	sim_unlock();
}

/* ----------------------------------------------------------------------------- ids */

struct sim_id *sim_id_by_number(uint32_t number)
{
	for (struct link *l = sim.ids.next; l != &sim.ids; l = l->next)
		if (container(l, struct sim_id, link)->number == number)
			return container(l, struct sim_id, link);
	return NULL;
}

struct sim_id *sim_id_new(struct rdma_event_channel *channel, void *context)
{
	struct sim_id *id = sim_new(sizeof(*id));

	id->number = ++sim.last_id;
	id->cm.channel = channel;
	id->cm.context = context;
	id->cm.ps = RDMA_PS_TCP;
	id->cm.qp_type = IBV_QPT_RC;
	events_of(channel)->users++;
	link_append(&sim.ids, &id->link);
	return id;
}

int sim_rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **out, void *context,
		       enum rdma_port_space ps)
{
	int err;

	sim_lock();
	err = !channel || ps != RDMA_PS_TCP ? EINVAL : sim_fault(SIM_CREATE_ID);
	if (!err)
		*out = &sim_id_new(channel, context)->cm;
	return sim_end(err);
}

void sim_id_bind(struct sim_id *id, struct sim_device *dev)
{
	struct sim_ctx *ctx = sim_cm_ctx(dev);

	id->cm.verbs = &ctx->ibv;
	id->cm.port_num = 1;
	sim_ctx_use(ctx);
}

/* What the other side hears of it. */
static void leave(struct sim_id *id)
{
	bool set_up = id->state == SIM_ASKING || id->state == SIM_ASKED;

	if (id->peer && set_up)
		sim_say(id, id->peer, SIM_REJ, 28, NULL, 0);
	else if (id->state == SIM_ANSWERED || id->state == SIM_CONNECTED)
		sim_say(id, id->peer, SIM_DREQ, 0, NULL, 0);
	id->state = SIM_LEAVING;
}

void sim_id_destroy(struct sim_id *id)
{
	if (id->cm.qp)
		sim_bug("an id goes that has a queue pair");
	if (id->unacked)
		sim_bug("an id goes of which an event is not acknowledged");
	leave(id);
	sim_events_purge(id);
	events_of(id->cm.channel)->users--;
	if (id->cm.verbs)
		sim_ctx_unuse(container(id->cm.verbs, struct sim_ctx, ibv));
	link_del(&id->link);
	sim_free(id);
}

int sim_rdma_destroy_id(struct rdma_cm_id *cm)
{
	sim_lock();
	sim_id_destroy(id_of(cm));
	return sim_end(0);
}

int sim_rdma_set_option(struct rdma_cm_id *cm, int level, int name, void *value, size_t len)
{
	(void)cm;
	if (level == RDMA_OPTION_ID && value && len &&
	    (name == RDMA_OPTION_ID_AFONLY || name == RDMA_OPTION_ID_ACK_TIMEOUT ||
	     name == RDMA_OPTION_ID_REUSEADDR))
		return 0;
	errno = ENOSYS;
	return -1;
}

/* ----------------------------------------------------------------------- addresses */

static bool is_any(const struct sockaddr *sa)
{
	static const union fab_addr any4 = { .in.sin_family = AF_INET };
	static const union fab_addr any6 = { .in6.sin6_family = AF_INET6 };

	return sim_same_host(sa, sa->sa_family == AF_INET ? &any4.sa : &any6.sa);
}

/* In network order. */
static uint16_t *port_of(const struct sockaddr *sa)
{
	union fab_addr *addr = (void *)(uintptr_t)sa;

	return sa->sa_family == AF_INET ? &addr->in.sin_port : &addr->in6.sin6_port;
}

static size_t len_of(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static bool port_taken(const struct sockaddr *sa, uint16_t port)
{
	for (struct link *l = sim.ids.next; l != &sim.ids; l = l->next) {
		const struct sim_id *id = container(l, struct sim_id, link);
		const struct sockaddr *own = &id->cm.route.addr.src_addr;

		if (id->has_port && own->sa_family == sa->sa_family && *port_of(own) == port &&
		    (is_any(own) || is_any(sa) || sim_same_host(own, sa)))
			return true;
	}
	return false;
}

static int port_take(struct sim_id *id)
{
	struct sockaddr *own = &id->cm.route.addr.src_addr;
	uint16_t *port = port_of(own);

	if (*port && port_taken(own, *port))
		return EADDRINUSE;
	while (!*port) {
		sim.last_port = sim.last_port < PORT_FIRST || sim.last_port == UINT16_MAX
					? PORT_FIRST
					: sim.last_port + 1;
		if (!port_taken(own, htons(sim.last_port)))
			*port = htons(sim.last_port);
	}
	id->has_port = true;
	return 0;
}

/* Whether the kernel has the address, though no device has. */
static bool is_local(const struct sockaddr *sa)
{
	union fab_addr addr;
	bool is;
	int fd;

	memcpy(&addr, sa, len_of(sa));
	*port_of(&addr.sa) = 0;
	fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	is = fd >= 0 && !bind(fd, &addr.sa, len_of(sa));
	if (fd >= 0)
		close(fd);
	return is;
}

static int bind_to(struct sim_id *id, const struct sockaddr *sa)
{
	struct sim_device *dev = sim_device_at(sa);
	int err;

	if (id->state != SIM_IDLE)
		return EINVAL;
	if (!dev && !is_any(sa))
		return is_local(sa) ? ENODEV : EADDRNOTAVAIL;
	memcpy(&id->cm.route.addr.src_storage, sa, len_of(sa));
	err = port_take(id);
	if (err) {
		memset(&id->cm.route.addr.src_storage, 0, sizeof(struct sockaddr_storage));
		return err;
	}
	if (dev)
		sim_id_bind(id, dev);
	id->state = SIM_BOUND;
	return 0;
}

static bool is_ip(const struct sockaddr *sa)
{
	return sa && (sa->sa_family == AF_INET || sa->sa_family == AF_INET6);
}

int sim_rdma_bind_addr(struct rdma_cm_id *cm, struct sockaddr *sa)
{
	int err;

	sim_lock();
	err = is_ip(sa) ? sim_fault(SIM_BIND) : EAFNOSUPPORT;
	if (!err)
		err = bind_to(id_of(cm), sa);
	return sim_end(err);
}

int sim_rdma_listen(struct rdma_cm_id *cm, int backlog)
{
	struct sim_id *id = id_of(cm);
	int err = 0;

	sim_lock();
	if (id->state != SIM_BOUND)
		err = EINVAL;
	else if (cm->verbs && container(cm->verbs, struct sim_ctx, ibv)->dead)
		err = ENODEV;
	if (!err) {
		id->state = SIM_LISTENS;
		id->backlog = backlog > 0 ? backlog : 1024;
	}
	return sim_end(err);
}

struct sim_id *sim_listener_at(const struct sockaddr *sa)
{
	for (struct link *l = sim.ids.next; l != &sim.ids; l = l->next) {
		struct sim_id *id = container(l, struct sim_id, link);
		const struct sockaddr *own = &id->cm.route.addr.src_addr;

		if (id->state == SIM_LISTENS && own->sa_family == sa->sa_family &&
		    *port_of(own) == *port_of(sa) && (is_any(own) || sim_same_host(own, sa)))
			return id;
	}
	return NULL;
}

/* -------------------------------------------------------------------- dialling */

/* Without an address to dial from, it is the one that is dialled, as with Linux of its own addresses. */
int sim_rdma_resolve_addr(struct rdma_cm_id *cm, struct sockaddr *src, struct sockaddr *dst,
			  int timeout_ms)
{
	struct sim_id *id = id_of(cm);
	int err;

	(void)timeout_ms;
	sim_lock();
	err = is_ip(dst) && (!src || src->sa_family == dst->sa_family) ? sim_fault(SIM_RESOLVE)
								       : EAFNOSUPPORT;
	if (!err && src && id->state == SIM_IDLE)
		err = bind_to(id, src);
	if (!err && id->state != SIM_IDLE && id->state != SIM_BOUND)
		err = EINVAL;
	if (err)
		return sim_end(err);
	memcpy(&cm->route.addr.dst_storage, dst, len_of(dst));
	id->state = SIM_RESOLVES;
	sim_say(id, id->number, SIM_ADDR,
		sim_device_at(dst) ? 0
		: cm->verbs        ? -EHOSTUNREACH
				   : -ENODEV,
		NULL, 0);
	return sim_end(0);
}

int sim_rdma_resolve_route(struct rdma_cm_id *cm, int timeout_ms)
{
	struct sim_id *id = id_of(cm);

	(void)timeout_ms;
	sim_lock();
	if (id->state != SIM_RESOLVED)
		return sim_end(EINVAL);
	sim_say(id, id->number, SIM_ROUTE, 0, NULL, 0);
	return sim_end(0);
}

static bool is_good(const struct rdma_conn_param *p, unsigned room)
{
	return p->private_data_len <= room && (p->private_data || !p->private_data_len) &&
	       (p->responder_resources <= SIM_RD_MAX ||
		p->responder_resources == RDMA_MAX_RESP_RES) &&
	       (p->initiator_depth <= SIM_RD_MAX || p->initiator_depth == RDMA_MAX_INIT_DEPTH) &&
	       p->rnr_retry_count <= 7;
}

int sim_rdma_connect(struct rdma_cm_id *cm, struct rdma_conn_param *param)
{
	struct sim_id *id = id_of(cm);
	int err;

	sim_lock();
	err = id->state != SIM_ROUTED || !cm->qp || !is_good(param, SIM_PRIVATE_REQ)
		      ? EINVAL
		      : sim_fault(SIM_CONNECT);
	if (err)
		return sim_end(err);
	id->state = SIM_ASKING;
	sim_say(id, 0, SIM_REQ, 0, param, SIM_PRIVATE_REQ);
	return sim_end(0);
}

/* ----------------------------------------------------------------------- answering */

int sim_rdma_accept(struct rdma_cm_id *cm, struct rdma_conn_param *param)
{
	struct sim_id *id = id_of(cm);
	struct rdma_conn_param p = *param;
	struct sim_terms own;
	int err;

	sim_lock();
	err = !cm->qp || !is_good(param, SIM_PRIVATE_REP) ? EINVAL : sim_fault(SIM_ACCEPT);
	if (!err && id->state != SIM_ASKED)
		err = id->state == SIM_OVER ? ECONNABORTED : EINVAL;
	if (err)
		return sim_end(err);
	if (p.responder_resources == RDMA_MAX_RESP_RES)
		p.responder_resources = id->terms.depth;
	if (p.initiator_depth == RDMA_MAX_INIT_DEPTH)
		p.initiator_depth = id->terms.resources;
	own = (struct sim_terms){ .resources = p.responder_resources, .depth = p.initiator_depth };
	sim_qp_connect(qp_of(id), &own, &id->terms);
	id->state = SIM_ANSWERED;
	sim_say(id, id->peer, SIM_REP, 0, &p, SIM_PRIVATE_REP);
	return sim_end(0);
}

int sim_rdma_reject(struct rdma_cm_id *cm, const void *data, uint8_t len)
{
	struct rdma_conn_param p = { .private_data = data, .private_data_len = len };
	struct sim_id *id = id_of(cm);

	sim_lock();
	if (id->state != SIM_ASKED || !is_good(&p, SIM_PRIVATE_REJ))
		return sim_end(EINVAL);
	id->state = SIM_OVER;
	sim_say(id, id->peer, SIM_REJ, 28, &p, SIM_PRIVATE_REJ);
	return sim_end(0);
}

int sim_rdma_disconnect(struct rdma_cm_id *cm)
{
	struct sim_id *id = id_of(cm);

	sim_lock();
	if (cm->qp)
		sim_qp_error(qp_of(id));
	if (id->state != SIM_ANSWERED && id->state != SIM_CONNECTED && id->state != SIM_OVER)
		return sim_end(EINVAL);
	if (id->state != SIM_OVER)
		leave(id);
	return sim_end(0);
}

/* ------------------------------------------------------------------------- devices */

struct ibv_context **sim_rdma_get_devices(int *n)
{
	struct ibv_context **list;
	int count = 0;

	sim_lock();
	list = sim_new((SIM_DEVICES + 1) * sizeof(*list));
	for (unsigned i = 0; i < SIM_DEVICES; i++)
		if (!sim.devices[i].gone)
			list[count++] = &sim_cm_ctx(&sim.devices[i])->ibv;
	sim_unlock();
	if (n)
		*n = count;
	return list;
}

void sim_rdma_free_devices(struct ibv_context **list)
{
	sim_lock();
	sim_free(list);
	sim_unlock();
}
