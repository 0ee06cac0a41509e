/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * guard.c - devices that librdmacm has opened, and nobody uses: an id that is bound to one hears when it is
 * to be removed, which waits until librdmacm lets it go (see dev.c).
 */
#include "fabric/roce/roce_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct roce_guard {
	struct roce_ep ep;
	struct roce_guard *next;
	struct rdma_cm_id *id;
	char name[ROCE_NAME];
};

static void guard_free(struct fab *fab, struct roce_guard *g)
{
	if (g->id)
		fab->lib->p_rdma_destroy_id(g->id);
	free(g);
}

/* An address of the device, port 0. */
static bool address_of(const char *name, union fab_addr *addr)
{
	struct roce_device *devices;
	char why[ROCE_WHY];
	int n = roce_devices(&devices, why);
	bool found = false;

	for (int i = 0; i < n && !found; i++) {
		found = devices[i].naddrs && !strcmp(devices[i].name, name);
		if (found)
			*addr = devices[i].addrs[0];
	}
	if (n > 0)
		roce_devices_free(devices);
	return found;
}

static bool is_guarded(const struct fab *fab, const struct ibv_context *ctx)
{
	for (const struct roce_dev *dev = fab->devs; dev; dev = dev->next)
		if (dev->ctx == ctx)
			return true;
	for (const struct roce_guard *g = fab->guards; g; g = g->next)
		if (g->id->verbs == ctx)
			return true;
	return false;
}

void roce_guard(struct fab *fab, struct ibv_context *ctx)
{
	struct roce_guard *g;
	union fab_addr addr;

	if (is_guarded(fab, ctx))
		return;
	g = calloc(1, sizeof(*g));
	if (!g)
		return;
	g->ep.kind = ROCE_IS_GUARD;
	snprintf(g->name, sizeof(g->name), "%s", fab->lib->p_ibv_get_device_name(ctx->device));
	if (!address_of(g->name, &addr) ||
	    fab->lib->p_rdma_create_id(fab->events, &g->id, &g->ep, RDMA_PS_TCP) ||
	    fab->lib->p_rdma_bind_addr(g->id, &addr.sa) || g->id->verbs != ctx) {
		guard_free(fab, g);
		return;
	}
	g->next = fab->guards;
	fab->guards = g;
}

void roce_guard_lost(struct fab *fab, struct roce_ep *ep)
{
	struct roce_guard **at = &fab->guards, *g;

	while (*at && &(*at)->ep != ep)
		at = &(*at)->next;
	g = *at;
	if (!g)
		return;
	*at = g->next;
	roce_sweep_later(fab, g->name);
	guard_free(fab, g);
}

void roce_guards_free(struct fab *fab)
{
	struct roce_guard *g;

	while ((g = fab->guards)) {
		fab->guards = g->next;
		guard_free(fab, g);
	}
}
