/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * device.c - RDMA devices as what fi_getinfo may offer beside interfaces: a domain for each, named as
 * the device is, in a fabric of its own whose name is the engine's for it ("roce:rxe0").
 *
 * $ETA_FABRIC says which of the two kinds are offered at all: unset or "auto" both, "roce[:device]" only
 * devices, anything else none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eta.h"

bool eta_device_fabric(const char *name)
{
	return name && !strncmp(name, ETA_ROCE, sizeof(ETA_ROCE) - 1) &&
	       (!name[sizeof(ETA_ROCE) - 1] || name[sizeof(ETA_ROCE) - 1] == ':');
}

/* $ETA_FABRIC; NULL: it leaves the choice. */
static const char *forced(void)
{
	const char *name = getenv("ETA_FABRIC");

	return name && *name && strcmp(name, "auto") ? name : NULL;
}

bool eta_device_only(void)
{
	return eta_device_fabric(forced());
}

static bool may_use(const char *device)
{
	const char *name = forced();

	if (!name)
		return true;
	if (!eta_device_fabric(name))
		return false;
	name += sizeof(ETA_ROCE) - 1;
	return !name[0] || !name[1] || !strcmp(name + 1, device);
}

/* -FI_ENOMEM */
static int add_addr(struct eta_iface **tail, const struct fab_device *d, const union fab_addr *addr)
{
	struct eta_iface *i = calloc(1, sizeof(*i));

	if (!i)
		return -FI_ENOMEM;
	i->addr = *addr;
	i->has_link = true;
	i->rdma = true;
	snprintf(i->name, sizeof(i->name), "%s", d->name);
	snprintf(i->netdev, sizeof(i->netdev), "%s", d->netdev);
	snprintf(i->net, sizeof(i->net), ETA_ROCE ":%s", d->name);
	*tail = i;
	return 0;
}

int eta_device_list(struct eta_iface **list)
{
	struct fab_device *devices;
	struct eta_iface **tail = list;
	int ret = 0, n;
	char why[160];

	*list = NULL;
	n = fabric_devices(&devices, why, sizeof(why));
	for (int k = 0; k < n && !ret; k++) {
		const struct fab_device *d = &devices[k];

		for (unsigned a = 0; a < d->naddrs && !ret; a++) {
			if (!d->usable || !may_use(d->name))
				continue;
			ret = add_addr(tail, d, &d->addr[a]);
			if (!ret)
				tail = &(*tail)->next;
		}
	}
	free(devices);
	if (ret)
		eta_iface_free(*list);
	return ret;
}

bool eta_device_fits(const struct eta_fabric *f, const char *name)
{
	bool fits = !eta_device_fabric(name) ||
		    (f->rdma && (!strcmp(f->name, ETA_ROCE) || !strcmp(f->name, name)));

	if (!fits)
		eta_warn(DOMAIN, "a domain of the fabric %s cannot be opened in the fabric %s\n",
			 name, f->name);
	return fits;
}

/* "rxe0" of "roce:rxe0"; empty: any. */
static const char *device_of(const char *fabric)
{
	return fabric && fabric[sizeof(ETA_ROCE) - 1] ? fabric + sizeof(ETA_ROCE) : "";
}

/* Whether there was one to say something about. */
static bool say_states(const struct fab_device *devices, int n, const char *name)
{
	bool said = false;

	for (int k = 0; k < n; k++) {
		const struct fab_device *d = &devices[k];

		if (*name && strcmp(d->name, name))
			continue;
		said = true;
		if (!may_use(d->name))
			eta_warn(CORE, "RDMA device %s: ETA_FABRIC=%s excludes it\n", d->name,
				 forced());
		else if (!d->usable)
			eta_warn(CORE, "RDMA device %s: %s\n", d->name, d->state);
		else
			eta_warn(CORE,
				 "RDMA device %s: it is there, but not for the addresses "
				 "and attributes in the hints\n",
				 d->name);
	}
	return said;
}

void eta_device_explain(const char *domain, const char *fabric)
{
	bool asked = eta_device_fabric(fabric) || (!fabric && eta_device_only());
	struct fab_device *devices;
	const char *name = domain ? domain : asked ? device_of(fabric) : "";
	char why[160] = "";
	int n = fabric_devices(&devices, why, sizeof(why));

	if (n > 0)
		why[0] = '\0';
	if (!asked && !domain)
		n = 0;
	else if (!say_states(devices, n > 0 ? n : 0, name) && asked)
		eta_warn(CORE, "no RDMA device%s%s%s%s\n", *name ? " called " : "", name,
			 *why ? ": " : "", why);
	free(devices);
}
