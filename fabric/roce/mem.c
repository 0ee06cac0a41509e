/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mem.c - memory of the user's that a device reaches by itself.
 *
 * Of a region, windows are registered when they are first of use, and stay so until the region is gone.
 * A window is not the whole, because to register is to pin, page by page, and nobody waits while a
 * gigabyte is pinned in the middle of a turn; each goes on into the next, so that whatever is no longer than
 * WINDOW_MORE lies in one. What lies in no region is registered for one use: the user promises nothing for
 * the time after, and what the device has pinned would no longer be what stands at that address.
 *
 * So is what a peer may write to as the answer of a read, in a region or not: its key ends with that.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>

#define WINDOW (4u << 20)
#define WINDOW_MORE (1u << 20)

/* --------------------------------------------------------------------------- windows */

static struct roce_mem *mem_of(struct fab *fab, struct fab_region *region)
{
	struct roce_mem *mem = region->wire;

	if (mem)
		return mem;
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return NULL;
	link_init(&mem->leases);
	link_append(&fab->mems, &mem->link);
	region->wire = mem;
	return mem;
}

static struct ibv_mr *mr_new(struct roce_dev *dev, void *addr, size_t len, int access)
{
	COUNT(dev->fab, registrations, 1);
	return dev->fab->lib->p_ibv_reg_mr(dev->pd, addr, len, access);
}

static int device_access(const struct fab_region *region)
{
	int access = 0;

	if (region->access & (FAB_MAY_WRITE | FAB_MAY_REMOTE_WRITE))
		access |= IBV_ACCESS_LOCAL_WRITE;
	if (region->access & FAB_MAY_REMOTE_WRITE)
		access |= IBV_ACCESS_REMOTE_WRITE;
	if (region->access & FAB_MAY_REMOTE_READ)
		access |= IBV_ACCESS_REMOTE_READ;
	return access;
}

static size_t window_len(const struct fab_region *region, size_t at)
{
	size_t left = region->len - at;

	return left < WINDOW + WINDOW_MORE ? left : WINDOW + WINDOW_MORE;
}

static struct roce_window *window_new(struct roce_dev *dev, const struct fab_region *region,
				      size_t at)
{
	struct roce_window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	link_init(&w->told);
	w->dev = dev;
	w->start = (uint8_t *)region->base + at;
	w->len = window_len(region, at);
	w->mr = mr_new(dev, w->start, w->len, device_access(region));
	if (w->mr)
		return w;
	fab_logf(&dev->fab->env, FAB_LOG_INFO,
		 "roce: the device does not take a region of the user's: error %d", errno);
	free(w);
	return NULL;
}

static void window_free(struct fab *fab, struct roce_window *w)
{
	roce_window_untell(w);
	fab->lib->p_ibv_dereg_mr(w->mr);
	free(w);
}

static bool holds(const struct roce_window *w, const uint8_t *addr, size_t len)
{
	return addr >= w->start && len <= w->len && (size_t)(addr - w->start) <= w->len - len;
}

struct roce_window *roce_window_get(struct roce_dev *dev, struct fab_region *region,
				    const uint8_t *addr, size_t len)
{
	struct roce_mem *mem = mem_of(dev->fab, region);
	size_t at = (size_t)(addr - (uint8_t *)region->base), start, room;
	struct roce_window *w;

	if (!mem)
		return NULL;
	for (w = mem->windows; w; w = w->next)
		if (w->dev == dev && holds(w, addr, len))
			return w;
	if (mem->refused)
		return NULL;
	start = region->len <= WINDOW + WINDOW_MORE ? 0 : at / WINDOW * WINDOW;
	/* what no window holds is not looked for in ever new ones */
	room = window_len(region, start);
	if (at - start > room || len > room - (at - start))
		return NULL;
	w = window_new(dev, region, start);
	if (!w) {
		mem->refused = true;
		return NULL;
	}
	w->next = mem->windows;
	mem->windows = w;
	return w;
}

/* ---------------------------------------------------------------------------- leases */

static bool may_use_window(const struct fab_region *region, int access)
{
	if (!region || (access & (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)))
		return false;
	return !(access & IBV_ACCESS_LOCAL_WRITE) || (region->access & FAB_MAY_WRITE);
}

int roce_lease(struct roce_dev *dev, struct fab_region *region, void *addr, size_t len, int access,
	       struct roce_lease *lease)
{
	struct roce_window *w =
		may_use_window(region, access) ? roce_window_get(dev, region, addr, len) : NULL;
	struct roce_mem *mem = region ? mem_of(dev->fab, region) : NULL;

	*lease = (struct roce_lease){ 0 };
	link_init(&lease->of_mem);
	if (w) {
		lease->lkey = w->mr->lkey;
		return 0;
	}
	if (region && !mem)
		return -ENOMEM;
	lease->mr = mr_new(dev, addr, len, access);
	if (!lease->mr)
		return -errno;
	if (mem)
		link_append(&mem->leases, &lease->of_mem);
	lease->lkey = lease->mr->lkey;
	lease->rkey = lease->mr->rkey;
	return 0;
}

void roce_lease_end(struct fab *fab, struct roce_lease *lease)
{
	if (!lease->mr)
		return;
	fab->lib->p_ibv_dereg_mr(lease->mr);
	lease->mr = NULL;
	link_del(&lease->of_mem);
}

/* ------------------------------------------------------------------------------- end */

/* Those of @dev; NULL: all. */
static void windows_drop(struct fab *fab, struct roce_mem *mem, const struct roce_dev *dev)
{
	struct roce_window **at = &mem->windows, *w;

	while ((w = *at)) {
		if (dev && w->dev != dev) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		window_free(fab, w);
	}
}

static void mem_free(struct fab *fab, struct roce_mem *mem)
{
	windows_drop(fab, mem, NULL);
	while (linked(&mem->leases))
		roce_lease_end(fab, container(mem->leases.next, struct roce_lease, of_mem));
	link_del(&mem->link);
	free(mem);
}

void roce_region_gone(struct fab_msg *m, struct fab_region *region)
{
	struct roce_mem *mem = region->wire;

	if (!mem)
		return;
	roce_enter(m->fab);
	region->wire = NULL;
	mem_free(m->fab, mem);
	roce_leave(m->fab);
}

void roce_mems_drop(struct fab *fab, struct roce_dev *dev)
{
	struct link *next;

	for (struct link *at = fab->mems.next; at != &fab->mems; at = next) {
		struct roce_mem *mem = container(at, struct roce_mem, link);

		next = at->next;
		if (dev)
			windows_drop(fab, mem, dev);
		else
			mem_free(fab, mem);
	}
}
