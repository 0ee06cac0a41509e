/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_device.c - simulated devices, their contexts, protection domains, memory regions. */
#include "tests/unit/sim_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------------- devices */

static void device_init(struct sim_device *dev, const char *name, const char *ip4, const char *ip6)
{
	dev->netdev = "lo";
	dev->ibv.transport_type = IBV_TRANSPORT_IB;
	dev->ibv.node_type = IBV_NODE_CA;
	snprintf(dev->ibv.name, sizeof(dev->ibv.name), "%s", name);
	link_init(&dev->contexts);
	dev->naddrs = 1;
	dev->addrs[0].in.sin_family = AF_INET;
	inet_pton(AF_INET, ip4, &dev->addrs[0].in.sin_addr);
	if (!ip6)
		return;
	dev->naddrs = 2;
	dev->addrs[1].in6.sin6_family = AF_INET6;
	inet_pton(AF_INET6, ip6, &dev->addrs[1].in6.sin6_addr);
}

void sim_devices_init(void)
{
	device_init(&sim.devices[0], "sim0", "127.0.0.1", "::1");
	device_init(&sim.devices[1], "sim1", "127.0.0.2", NULL);
}

bool sim_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	const union fab_addr *x = (const void *)a, *y = (const void *)b;

	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return x->in.sin_addr.s_addr == y->in.sin_addr.s_addr;
	return !memcmp(&x->in6.sin6_addr, &y->in6.sin6_addr, 16);
}

static bool is_loopback(const struct sockaddr *sa)
{
	const union fab_addr *addr = (const void *)sa;

	return sa->sa_family == AF_INET && ntohl(addr->in.sin_addr.s_addr) >> 8 == 127 << 16;
}

/* As the interface under it does, the first device answers to more than it lists. */
struct sim_device *sim_device_at(const struct sockaddr *sa)
{
	struct sim_device *dev = is_loopback(sa) ? &sim.devices[0] : NULL;

	for (unsigned i = 0; i < SIM_DEVICES; i++)
		for (unsigned k = 0; k < sim.devices[i].naddrs; k++)
			if (sim_same_host(&sim.devices[i].addrs[k].sa, sa))
				dev = &sim.devices[i];
	return dev && !dev->gone ? dev : NULL;
}

struct sim_device *sim_device_of(const struct rdma_cm_id *id)
{
	return id->verbs ? container(id->verbs, struct sim_ctx, ibv)->dev : NULL;
}

static struct sim_device *device_called(const char *name)
{
	for (unsigned i = 0; i < SIM_DEVICES; i++)
		if (!strcmp(sim.devices[i].ibv.name, name))
			return &sim.devices[i];
	sim_bug("there is no such device");
}

struct ibv_device **sim_ibv_get_device_list(int *n)
{
	struct ibv_device **list;
	int count = 0;

	sim_lock();
	list = sim_new((SIM_DEVICES + 1) * sizeof(*list));
	for (unsigned i = 0; i < SIM_DEVICES; i++)
		if (!sim.devices[i].gone)
			list[count++] = &sim.devices[i].ibv;
	sim_unlock();
	if (n)
		*n = count;
	return list;
}

void sim_ibv_free_device_list(struct ibv_device **list)
{
	sim_lock();
	sim_free(list);
	sim_unlock();
}

const char *sim_ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

/* ------------------------------------------------------------------------ contexts */

static struct sim_ctx *ctx_of(struct ibv_context *ctx)
{
	return container(ctx, struct sim_ctx, ibv);
}

static struct sim_ctx *ctx_open(struct sim_device *dev)
{
	struct sim_ctx *ctx = sim_alloc(sizeof(*ctx));

	if (sim_queue_open(&ctx->events))
		sim_bug("no descriptor");
	ctx->dev = dev;
	ctx->ibv.device = &dev->ibv;
	ctx->ibv.async_fd = ctx->events.fd;
	ctx->ibv.cmd_fd = -1;
	ctx->ibv.num_comp_vectors = 1;
	ctx->ibv.ops.poll_cq = sim_poll_cq;
	ctx->ibv.ops.req_notify_cq = sim_req_notify_cq;
	ctx->ibv.ops.post_send = sim_post_send;
	ctx->ibv.ops.post_recv = sim_post_recv;
	link_append(&dev->contexts, &ctx->link);
	return ctx;
}

static void ctx_close(struct sim_ctx *ctx)
{
	while (linked(&ctx->events.entries)) {
		struct link *first = ctx->events.entries.next;

		link_del(first);
		free(container(first, struct sim_async, link));
	}
	sim_queue_close(&ctx->events);
	link_del(&ctx->link);
	free(ctx);
}

/* It is not anybody's object, and stays for as long as the device does. */
struct sim_ctx *sim_cm_ctx(struct sim_device *dev)
{
	if (!dev->cm)
		dev->cm = ctx_open(dev);
	dev->cm->is_cm = true;
	return dev->cm;
}

void sim_ctx_use(struct sim_ctx *ctx)
{
	ctx->users++;
}

/* The connection manager's context of a device that is gone goes with its last user. */
void sim_ctx_unuse(struct sim_ctx *ctx)
{
	if (!--ctx->users && ctx->dead && ctx->is_cm)
		ctx_close(ctx);
}

struct ibv_context *sim_ibv_open_device(struct ibv_device *device)
{
	struct sim_device *dev = container(device, struct sim_device, ibv);
	struct sim_ctx *ctx;

	sim_lock();
	if (dev->gone)
		return sim_end_null(ENODEV);
	ctx = ctx_open(dev);
	sim.objects++;
	sim_unlock();
	return &ctx->ibv;
}

int sim_ibv_close_device(struct ibv_context *ibctx)
{
	struct sim_ctx *ctx = ctx_of(ibctx);

	sim_lock();
	if (ctx->users || ctx->is_cm)
		sim_bug("a context is closed that is in use");
	ctx_close(ctx);
	sim.objects--;
	return sim_end(0);
}

int sim_ibv_query_device(struct ibv_context *ibctx, struct ibv_device_attr *attr)
{
	int err = 0;

	sim_lock();
	memset(attr, 0, sizeof(*attr));
	attr->max_mr_size = UINT64_MAX;
	attr->max_qp = SIM_WR_MAX;
	attr->max_qp_wr = SIM_WR_MAX;
	attr->max_sge = SIM_SGE_MAX;
	attr->max_cq = SIM_WR_MAX;
	attr->max_cqe = SIM_CQE_MAX;
	attr->max_mr = 1 << 20;
	attr->max_pd = SIM_WR_MAX;
	attr->max_qp_rd_atom = attr->max_qp_init_rd_atom = SIM_RD_MAX;
	attr->phys_port_cnt = 1;
	if (ctx_of(ibctx)->dead)
		err = EIO;
	sim_unlock();
	return err;
}

int sim_ibv_query_port(struct ibv_context *ibctx, uint8_t number,
		       struct _compat_ibv_port_attr *compat)
{
	struct ibv_port_attr *port = (struct ibv_port_attr *)compat;
	struct sim_ctx *ctx = ctx_of(ibctx);
	int err = 0;

	sim_lock();
	if (ctx->dead || number != 1) {
		err = ctx->dead ? EIO : EINVAL;
	} else {
		memset(port, 0, offsetof(struct ibv_port_attr, port_cap_flags2));
		port->state = ctx->dev->down ? IBV_PORT_DOWN : IBV_PORT_ACTIVE;
		port->max_mtu = port->active_mtu = IBV_MTU_4096;
		port->gid_tbl_len = 2 * SIM_ADDRS + 1;
		port->max_msg_sz = 1u << 31;
		port->active_width = 1;
		port->active_speed = 32;
		port->link_layer = IBV_LINK_LAYER_ETHERNET;
	}
	sim_unlock();
	return err;
}

/* Each address twice, for both versions of the protocol. */
int sim_ibv_query_gid(struct ibv_context *ibctx, uint8_t port, int index, union ibv_gid *gid)
{
	struct sim_ctx *ctx = ctx_of(ibctx);
	const union fab_addr *addr;

	sim_lock();
	if (ctx->dead || port != 1 || index < 0 || index > 2 * SIM_ADDRS)
		return sim_end(ctx->dead ? EIO : EINVAL);
	memset(gid, 0, sizeof(*gid));
	if ((unsigned)index / 2 < ctx->dev->naddrs) {
		addr = &ctx->dev->addrs[index / 2];
		if (addr->sa.sa_family == AF_INET) {
			gid->raw[10] = gid->raw[11] = 0xff;
			memcpy(gid->raw + 12, &addr->in.sin_addr, 4);
		} else {
			memcpy(gid->raw, &addr->in6.sin6_addr, 16);
		}
	}
	return sim_end(0);
}

/* -------------------------------------------------------------- asynchronous events */

void sim_async_post(struct sim_ctx *ctx, struct ibv_async_event ev)
{
	struct sim_async *a = sim_alloc(sizeof(*a));

	a->ev = ev;
	sim_queue_put(&ctx->events, &a->link);
}

void sim_async_purge(struct sim_ctx *ctx, const struct ibv_qp *qp)
{
	struct link *l = ctx->events.entries.next, *next;

	for (; l != &ctx->events.entries; l = next) {
		struct sim_async *a = container(l, struct sim_async, link);

		next = l->next;
		if (a->ev.element.qp != qp)
			continue;
		sim_queue_drop(&ctx->events, l);
		free(a);
	}
}

int sim_ibv_get_async_event(struct ibv_context *ibctx, struct ibv_async_event *ev)
{
	struct link *l = sim_queue_take(&ctx_of(ibctx)->events);
	struct sim_async *a;

	if (!l)
		return -1;
	a = container(l, struct sim_async, link);
	*ev = a->ev;
	free(a);
	sim.objects++; /* till it is acknowledged */
	return sim_end(0);
}

void sim_ibv_ack_async_event(struct ibv_async_event *ev)
{
	(void)ev;
	sim_lock();
	sim.objects--;
	sim_unlock();
}

const char *sim_ibv_event_type_str(enum ibv_event_type type)
{
	static const char *const names[] = {
		[IBV_EVENT_CQ_ERR] = "completion queue error",
		[IBV_EVENT_QP_FATAL] = "queue pair error",
		[IBV_EVENT_QP_ACCESS_ERR] = "access error",
		[IBV_EVENT_PORT_ACTIVE] = "port active",
		[IBV_EVENT_PORT_ERR] = "port error",
		[IBV_EVENT_DEVICE_FATAL] = "device error",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "an event";
}

void sim_port(const char *device, bool up)
{
	struct sim_device *dev;

	sim_lock();
	dev = device_called(device);
	if (dev->down == up)
		for (struct link *l = dev->contexts.next; l != &dev->contexts; l = l->next)
			sim_async_post(container(l, struct sim_ctx, link),
				       (struct ibv_async_event){ .element.port_num = 1,
								 .event_type =
									 up ? IBV_EVENT_PORT_ACTIVE
									    : IBV_EVENT_PORT_ERR });
	dev->down = !up;
	sim_unlock();
}

void sim_cut(const char *device, bool cut)
{
	sim_lock();
	device_called(device)->cut = cut;
	sim_kick();
	sim_unlock();
}

/* ------------------------------------------------------------------------- removal */

static void ctx_lost(struct sim_ctx *ctx)
{
	if (ctx->dead)
		return;
	ctx->dead = true;
	sim_async_post(ctx, (struct ibv_async_event){ .event_type = IBV_EVENT_DEVICE_FATAL });
	for (uint32_t i = 0; i < sim.nqps; i++)
		if (sim.qps[i] && sim.qps[i]->ibv.context == &ctx->ibv)
			sim_qp_error(sim.qps[i]);
	for (struct link *l = sim.ids.next; l != &sim.ids; l = l->next) {
		struct sim_id *id = container(l, struct sim_id, link);

		if (id->cm.verbs == &ctx->ibv)
			sim_event_post(id, RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
	}
}

void sim_remove(const char *device)
{
	struct sim_device *dev;
	struct sim_ctx *cm;

	sim_lock();
	dev = device_called(device);
	cm = dev->cm;
	dev->gone = true;
	dev->cm = NULL;
	for (struct link *l = dev->contexts.next; l != &dev->contexts; l = l->next)
		ctx_lost(container(l, struct sim_ctx, link));
	if (cm) {
		sim_ctx_use(cm);
		sim_ctx_unuse(cm);
	}
	sim_unlock();
}

void sim_restore(const char *device)
{
	sim_lock();
	device_called(device)->gone = false;
	sim_unlock();
}

/* ----------------------------------------------------------- domains and memory regions */

struct ibv_pd *sim_ibv_alloc_pd(struct ibv_context *ibctx)
{
	struct sim_ctx *ctx = ctx_of(ibctx);
	struct sim_pd *pd;
	int err;

	sim_lock();
	err = ctx->dead ? EIO : sim_fault(SIM_ALLOC_PD);
	if (err)
		return sim_end_null(err);
	pd = sim_new(sizeof(*pd));
	pd->ibv.context = ibctx;
	sim_ctx_use(ctx);
	sim_unlock();
	return &pd->ibv;
}

/* Of a device that is gone all calls fail, and what they are about is gone as well. */
static int destroyed(struct sim_ctx *ctx)
{
	int err = ctx->dead ? EIO : 0;

	sim_ctx_unuse(ctx);
	sim_unlock();
	return err;
}

int sim_ibv_dealloc_pd(struct ibv_pd *ibpd)
{
	struct sim_pd *pd = container(ibpd, struct sim_pd, ibv);
	struct sim_ctx *ctx = ctx_of(ibpd->context);

	sim_lock();
	if (pd->users)
		sim_bug("a protection domain goes that is in use");
	sim_free(pd);
	return destroyed(ctx);
}

/* Keys are never those of the region that had the place before. */
static uint32_t key_take(struct sim_mr *mr)
{
	uint32_t i = 0;

	while (i < sim.nmrs && sim.mrs[i])
		i++;
	if (i == sim.nmrs) {
		sim.nmrs += 64;
		sim.mrs = realloc(sim.mrs, sim.nmrs * sizeof(*sim.mrs));
		if (!sim.mrs)
			sim_bug("no memory");
		memset(sim.mrs + i, 0, 64 * sizeof(*sim.mrs));
	}
	sim.mrs[i] = mr;
	return (i + 1) << 8 | ++sim.key;
}

static int mr_judge(const struct sim_ctx *ctx, int access)
{
	if (ctx->dead)
		return EIO;
	if (access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC) &&
	    !(access & IBV_ACCESS_LOCAL_WRITE))
		return EINVAL;
	return sim_fault(SIM_REG_MR);
}

struct ibv_mr *(sim_ibv_reg_mr)(struct ibv_pd *ibpd, void *addr, size_t len, int access)
{
	struct sim_mr *mr;
	int err;

	sim_lock();
	err = mr_judge(ctx_of(ibpd->context), access);
	if (err)
		return sim_end_null(err);
	mr = sim_new(sizeof(*mr));
	mr->ibv = (struct ibv_mr){
		.context = ibpd->context, .pd = ibpd, .addr = addr, .length = len
	};
	mr->access = access;
	mr->ibv.lkey = mr->ibv.rkey = key_take(mr);
	container(ibpd, struct sim_pd, ibv)->users++;
	sim_ctx_use(ctx_of(ibpd->context));
	sim_unlock();
	return &mr->ibv;
}

int sim_ibv_dereg_mr(struct ibv_mr *ibmr)
{
	struct sim_mr *mr = container(ibmr, struct sim_mr, ibv);
	struct sim_ctx *ctx = ctx_of(ibmr->context);

	sim_lock();
	sim.mrs[(ibmr->lkey >> 8) - 1] = NULL;
	container(ibmr->pd, struct sim_pd, ibv)->users--;
	sim_free(mr);
	return destroyed(ctx);
}

uint8_t *sim_reach(const struct ibv_pd *pd, uint32_t key, uint64_t addr, uint64_t len, int access)
{
	uint32_t i = (key >> 8) - 1;
	struct sim_mr *mr = i < sim.nmrs ? sim.mrs[i] : NULL;
	uint64_t base;

	if (!mr || mr->ibv.lkey != key || mr->ibv.pd != pd || (mr->access & access) != access)
		return NULL;
	base = (uintptr_t)mr->ibv.addr;
	if (addr < base || addr - base > mr->ibv.length || len > mr->ibv.length - (addr - base))
		return NULL;
	return (uint8_t *)mr->ibv.addr + (addr - base);
}
