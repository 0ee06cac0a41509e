/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* devices.c - which RDMA devices there are, and why one cannot be used. */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIDS_MAX 256 /* of a port: entries that are looked at */

static void say(struct roce_device *d, const char *why)
{
	d->usable = false;
	snprintf(d->why_not, sizeof(d->why_not), "%s", why);
}

/* Link-local addresses need a scope, which is the interface's number: not offered. */
static bool gid_addr(const union ibv_gid *gid, union fab_addr *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t none[16];

	memset(addr, 0, sizeof(*addr));
	if (!memcmp(gid->raw, none, sizeof(none)) || (gid->raw[0] == 0xfe && gid->raw[1] == 0x80))
		return false;
	if (!memcmp(gid->raw, mapped, sizeof(mapped))) {
		addr->in.sin_family = AF_INET;
		memcpy(&addr->in.sin_addr, gid->raw + sizeof(mapped), 4);
		return true;
	}
	addr->in6.sin6_family = AF_INET6;
	memcpy(&addr->in6.sin6_addr, gid->raw, 16);
	return true;
}

static bool known(const struct roce_device *d, const union fab_addr *addr)
{
	for (unsigned i = 0; i < d->naddrs; i++)
		if (!memcmp(&d->addrs[i], addr, sizeof(*addr)))
			return true;
	return false;
}

/* The same address is there once for each version of the protocol. */
static void find_addrs(const struct roce_lib *lib, struct ibv_context *ctx, int gids,
		       struct roce_device *d)
{
	union fab_addr addr;
	union ibv_gid gid;

	for (int i = 0; i < gids && i < GIDS_MAX && d->naddrs < ROCE_ADDRS; i++) {
		if (lib->p_ibv_query_gid(ctx, d->port, i, &gid) || !gid_addr(&gid, &addr) ||
		    known(d, &addr))
			continue;
		d->addrs[d->naddrs++] = addr;
	}
}

/* Of one lane of the link; see ibv_query_port(3). */
static uint64_t port_speed(const struct ibv_port_attr *p)
{
	static const struct {
		uint8_t speed;
		uint32_t mbps;
	} lanes[] = { { 1, 2500 },   { 2, 5000 },   { 4, 10000 },  { 8, 10000 },
		      { 16, 14000 }, { 32, 25000 }, { 64, 50000 }, { 128, 100000 } };
	unsigned width = p->active_width == 1   ? 1
			 : p->active_width == 2 ? 4
			 : p->active_width == 4 ? 8
			 : p->active_width == 8 ? 12
						: 2;

	for (unsigned i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++)
		if (lanes[i].speed == p->active_speed)
			return lanes[i].mbps * 1000000ull * width;
	return 0;
}

static void judge_port(const struct roce_lib *lib, struct ibv_context *ctx, struct roce_device *d)
{
	struct ibv_port_attr p = { 0 };

	if (lib->p_ibv_query_port(ctx, d->port, (struct _compat_ibv_port_attr *)&p)) {
		say(d, "its port cannot be asked");
		return;
	}
	d->speed = port_speed(&p);
	d->mtu = p.active_mtu ? 128u << p.active_mtu : 0;
	roce_netdev(d->name, d->port, d->netdev, sizeof(d->netdev));
	find_addrs(lib, ctx, p.gid_tbl_len, d);
	if (p.link_layer != IBV_LINK_LAYER_ETHERNET)
		say(d, "its link is not Ethernet");
	else if (p.state != IBV_PORT_ACTIVE)
		say(d, "its link is down");
	else if (!d->naddrs)
		say(d, "its interface has no IP address");
}

/* All ports of a device. */
static int add_ports(const struct roce_lib *lib, struct ibv_device *dev, struct roce_device *out,
		     int max)
{
	struct ibv_context *ctx = lib->p_ibv_open_device(dev);
	struct ibv_device_attr attr = { .phys_port_cnt = 1 };
	int n = 0;

	if (ctx && lib->p_ibv_query_device(ctx, &attr))
		attr.phys_port_cnt = 1;
	for (; n < attr.phys_port_cnt && n < max; n++) {
		struct roce_device *d = &out[n];

		*d = (struct roce_device){ .port = n + 1, .usable = true };
		snprintf(d->name, sizeof(d->name), "%s", lib->p_ibv_get_device_name(dev));
		if (!ctx)
			say(d, "it cannot be opened: is /dev/infiniband accessible?");
		else if (dev->transport_type != IBV_TRANSPORT_IB)
			say(d, "it is not a RoCE device; iWARP is spoken over TCP here");
		else
			judge_port(lib, ctx, d);
	}
	if (ctx)
		lib->p_ibv_close_device(ctx);
	return n;
}

/* Devices of the kernel for which no driver of libibverbs was found do not appear in its list. */
static const char *why_none(void)
{
	if (!roce_present() || access("/dev/infiniband", F_OK))
		return "this system has no RDMA devices";
	if (access("/dev/infiniband/rdma_cm", F_OK))
		return "there is no connection manager: the module rdma_ucm is not loaded";
	return "libibverbs finds no RDMA device: none there, or its driver is not installed";
}

/* Without the connection manager no device is of any use. */
static void judge_manager(struct roce_device *d, int n)
{
	const char *why = roce_manager_lacks();

	for (int i = 0; why && i < n; i++)
		if (d[i].usable)
			say(&d[i], why);
}

static int list_all(const struct roce_lib *lib, struct roce_device *out)
{
	struct ibv_device **list;
	int devices = 0, n = 0;

	list = lib->p_ibv_get_device_list(&devices);
	for (int i = 0; list && i < devices; i++)
		n += add_ports(lib, list[i], out + n, ROCE_DEVS_MAX - n);
	if (list)
		lib->p_ibv_free_device_list(list);
	judge_manager(out, n);
	return n;
}

int roce_devices(struct roce_device **out, char why[ROCE_WHY])
{
	const char *reason;
	const struct roce_lib *lib = roce_lib(&reason);
	struct roce_device *devices;
	int n;

	*out = NULL;
	why[0] = '\0';
	if (!lib) {
		snprintf(why, ROCE_WHY, "%s", reason);
		return 0;
	}
	devices = calloc(ROCE_DEVS_MAX, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	n = list_all(lib, devices);
	if (!n) {
		snprintf(why, ROCE_WHY, "%s", why_none());
		free(devices);
		return 0;
	}
	*out = devices;
	return n;
}

void roce_devices_free(struct roce_device *devices)
{
	free(devices);
}
