/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * info.c - fi_getinfo: which of this host's addresses an application may use.
 *
 *	asked with		one info for
 *	a destination		the address that the kernel would send from; another one only if the
 *				hints or FI_ETA_IFACE rule it out
 *	a source address	that address; the wildcard address stays what it is
 *	neither			each address of each interface, best first
 *
 * Behind them come, likewise, addresses of RDMA devices, as domains of their own: see device.c. With
 * a destination, that is the device on the way there, or one that the hints name.
 *
 * Each is given once for datagram endpoints (FI_EP_RDM) and once for connected ones (FI_EP_MSG),
 * as far as the hints allow.
 *
 * What is returned, given back as hints, returns itself.
 */
#include <stdlib.h>
#include <string.h>

#include "eta.h"

/* What is asked for, once hints and arguments are put together. */
struct query {
	uint32_t version;
	const struct fi_info *hints;
	int family; /* AF_UNSPEC: either */
	bool have_src, have_dest;
	union fab_addr src, dest;
	const char *domain, *fabric; /* names asked for; NULL: any */
	const char *iface;           /* FI_ETA_IFACE */
	struct eta_iface *ifaces, *devices;
	/* that the hints allow: of interfaces, of devices */
	enum fi_ep_type types[2][2];
	unsigned ntypes[2];
};

/* ------------------------------------------------------------------------ understanding */

static int take_hint(const void *addr, size_t len, int family, union fab_addr *out, bool *have)
{
	if (!addr)
		return 0;
	if (fab_addr_set(out, addr, len)) {
		eta_info(CORE, "hints: not an IP address, or too short for one\n");
		return -FI_EINVAL;
	}
	if (family != AF_UNSPEC && out->sa.sa_family != family) {
		eta_info(CORE, "hints: an address is not of addr_format\n");
		return -FI_ENODATA;
	}
	*have = true;
	return 0;
}

static int take_hint_addrs(struct query *q)
{
	const struct fi_info *h = q->hints;
	int ret;

	if (!h)
		return 0;
	q->family = eta_addr_family(h->addr_format);
	ret = take_hint(h->src_addr, h->src_addrlen, q->family, &q->src, &q->have_src);
	if (ret)
		return ret;
	return take_hint(h->dest_addr, h->dest_addrlen, q->family, &q->dest, &q->have_dest);
}

/* A node or service takes the place of the address in the hints. */
static int take_node(struct query *q, const char *node, const char *service, uint64_t flags)
{
	union fab_addr *addr = flags & FI_SOURCE ? &q->src : &q->dest;
	bool *have = flags & FI_SOURCE ? &q->have_src : &q->have_dest;
	bool other = flags & FI_SOURCE ? q->have_dest : q->have_src;
	int family = q->family, ret;

	if (!node && !service) {
		if (!(flags & FI_SOURCE))
			return 0;
		eta_info(CORE, "FI_SOURCE, but neither node nor service\n");
		return -FI_EINVAL;
	}
	if (family == AF_UNSPEC && other)
		family = flags & FI_SOURCE ? q->dest.sa.sa_family : q->src.sa.sa_family;
	ret = eta_addr_resolve(node, service, flags, family, addr);
	if (!ret)
		*have = true;
	return ret;
}

static int query_init(struct query *q, const char *node, const char *service, uint64_t flags)
{
	const struct fi_info *h = q->hints;
	int ret = take_hint_addrs(q);

	if (!ret)
		ret = take_node(q, node, service, flags);
	if (ret)
		return ret;
	if (q->have_src && q->have_dest && q->src.sa.sa_family != q->dest.sa.sa_family) {
		eta_info(CORE, "source and destination are of different families\n");
		return -FI_ENODATA;
	}
	if (h && h->domain_attr)
		q->domain = h->domain_attr->name;
	if (h && h->fabric_attr)
		q->fabric = h->fabric_attr->name;
	q->iface = eta_param_string("iface");
	ret = eta_iface_list(&q->ifaces);
	return ret ? ret : eta_device_list(&q->devices);
}

/* --------------------------------------------------------------------------- one answer */

static int info_set_addr(void **addr, size_t *len, const union fab_addr *from)
{
	void *copy = NULL;

	if (from) {
		copy = malloc(fab_addr_len(from));
		if (!copy)
			return -FI_ENOMEM;
		memcpy(copy, from, fab_addr_len(from));
	}
	free(*addr);
	*addr = copy;
	*len = from ? fab_addr_len(from) : 0;
	return 0;
}

int eta_info_set_src(struct fi_info *info, const union fab_addr *addr)
{
	return info_set_addr(&info->src_addr, &info->src_addrlen, addr);
}

int eta_info_set_dest(struct fi_info *info, const union fab_addr *addr)
{
	return info_set_addr(&info->dest_addr, &info->dest_addrlen, addr);
}

static int info_fill(const struct query *q, enum fi_ep_type type, const struct eta_iface *i,
		     const union fab_addr *src, struct fi_info *info)
{
	int ret = eta_attr_fill(q->version, type, i->rdma, q->hints, info);

	if (ret)
		return ret;
	info->addr_format = eta_addr_format(src);
	info->domain_attr->name = strdup(i->name);
	/* who asks for any device may have them all in one fabric */
	info->fabric_attr->name = strdup(i->rdma && q->fabric ? q->fabric : i->net);
	if (!info->domain_attr->name || !info->fabric_attr->name)
		return -FI_ENOMEM;
	ret = eta_info_set_src(info, src);
	return ret ? ret : eta_info_set_dest(info, q->have_dest ? &q->dest : NULL);
}

/* Appends what this address is good for to the list. */
static int info_create(const struct query *q, const struct eta_iface *i, const union fab_addr *src,
		       struct fi_info **list)
{
	while (*list)
		list = &(*list)->next;
	for (unsigned t = 0; t < q->ntypes[i->rdma]; t++) {
		int ret;

		*list = fi_allocinfo();
		if (!*list)
			return -FI_ENOMEM;
		ret = info_fill(q, q->types[i->rdma][t], i, src, *list);
		if (ret)
			return ret;
		list = &(*list)->next;
	}
	return 0;
}

/* ------------------------------------------------------------------------- which addresses */

/* FI_ETA_IFACE names an interface, or one of its addresses. */
static bool is_chosen(const struct query *q, const struct eta_iface *i)
{
	union fab_addr addr;

	if (!q->iface || !strcmp(q->iface, i->rdma ? i->netdev : i->name))
		return true;
	return eta_addr_parse(q->iface, &addr) && eta_addr_same_host(&addr, &i->addr);
}

static bool names_match(const struct query *q, const struct eta_iface *i)
{
	return (!q->domain || !strcmp(q->domain, i->name)) &&
	       (!q->fabric || !strcmp(q->fabric, i->net) ||
		(i->rdma && !strcmp(q->fabric, ETA_ROCE)));
}

static bool is_wanted(const struct query *q, const struct eta_iface *i, int family)
{
	/* a cable may be plugged in later, if that is the interface that is meant */
	if (!i->has_link && !q->iface && !q->domain)
		return false;
	return (family == AF_UNSPEC || i->addr.sa.sa_family == family) && is_chosen(q, i) &&
	       names_match(q, i);
}

static const struct eta_iface *first_wanted(const struct query *q, const struct eta_iface *i,
					    int family)
{
	while (i && !is_wanted(q, i, family))
		i = i->next;
	return i;
}

static int no_interface(void)
{
	eta_info(CORE, "no interface is up that hints and FI_ETA_IFACE allow\n");
	return -FI_ENODATA;
}

/* The application's own choice, so FI_ETA_IFACE does not count. */
static int answer_source(const struct query *q, struct fi_info **info)
{
	const struct eta_iface *i;

	if (eta_addr_is_any(&q->src)) {
		i = first_wanted(q, q->ifaces, q->src.sa.sa_family);
		return i ? info_create(q, i, &q->src, info) : no_interface();
	}
	i = eta_iface_of(q->ifaces, &q->src);
	if (!i || !names_match(q, i)) {
		eta_info(CORE, "the source address is not one of this host, or not of the domain "
			       "or fabric that the hints name\n");
		return -FI_ENODATA;
	}
	return info_create(q, i, &q->src, info);
}

static int answer_destination(const struct query *q, struct fi_info **info)
{
	int family = q->dest.sa.sa_family, ret;
	const struct eta_iface *i;
	union fab_addr src;

	ret = eta_addr_route(&q->dest, &src);
	if (ret) {
		eta_info(CORE, "no route to the destination: %s\n", fi_strerror(-ret));
		return -FI_ENODATA;
	}
	i = eta_iface_of(q->ifaces, &src);
	if (i && is_chosen(q, i) && names_match(q, i))
		return info_create(q, i, &src, info);
	i = first_wanted(q, q->ifaces, family);
	return i ? info_create(q, i, &i->addr, info) : no_interface();
}

static int answer_all(const struct query *q, struct fi_info **info)
{
	for (const struct eta_iface *i = q->ifaces; i; i = i->next) {
		int ret = is_wanted(q, i, q->family) ? info_create(q, i, &i->addr, info) : 0;

		if (ret)
			return ret;
	}
	return *info ? 0 : no_interface();
}

static int answer_interfaces(const struct query *q, struct fi_info **info)
{
	if (eta_device_only() || eta_device_fabric(q->fabric) || !q->ntypes[0])
		return -FI_ENODATA;
	if (q->have_src)
		return answer_source(q, info);
	if (q->have_dest)
		return answer_destination(q, info);
	return answer_all(q, info);
}

/* ------------------------------------------------------------------------------- devices */

/* Each device once, with @addr for its own if that is none in particular. */
static int each_device(const struct query *q, int family, const union fab_addr *addr,
		       struct fi_info **info)
{
	const char *last = "";

	for (const struct eta_iface *i = q->devices; i; i = i->next) {
		int ret;

		if (!is_wanted(q, i, family) || !strcmp(i->name, last))
			continue;
		last = i->name;
		ret = info_create(q, i, addr ? addr : &i->addr, info);
		if (ret)
			return ret;
	}
	return 0;
}

static int devices_source(const struct query *q, struct fi_info **info)
{
	if (eta_addr_is_any(&q->src))
		return each_device(q, q->src.sa.sa_family, &q->src, info);
	for (const struct eta_iface *i = q->devices; i; i = i->next)
		if (eta_addr_same_host(&i->addr, &q->src) && names_match(q, i))
			return info_create(q, i, &q->src, info);
	return 0;
}

static int devices_destination(const struct query *q, struct fi_info **info)
{
	union fab_addr src;

	if (!eta_addr_route(&q->dest, &src))
		for (const struct eta_iface *i = q->devices; i; i = i->next)
			if (eta_addr_same_host(&i->addr, &src) && is_wanted(q, i, AF_UNSPEC))
				return info_create(q, i, &src, info);
	/* only for those who mean it: the route is another one */
	return q->domain || q->fabric || q->iface || eta_device_only()
		       ? each_device(q, q->dest.sa.sa_family, NULL, info)
		       : 0;
}

static int devices_all(const struct query *q, struct fi_info **info)
{
	int ret = 0;

	for (const struct eta_iface *i = q->devices; i && !ret; i = i->next)
		if (is_wanted(q, i, q->family))
			ret = info_create(q, i, &i->addr, info);
	return ret;
}

static int answer_devices(const struct query *q, struct fi_info **info)
{
	if (q->have_src)
		return devices_source(q, info);
	if (q->have_dest)
		return devices_destination(q, info);
	return devices_all(q, info);
}

/* ----------------------------------------------------------------------------- the answer */

static void allowed_types(struct query *q, bool rdma)
{
	static const enum fi_ep_type types[] = { FI_EP_RDM, FI_EP_MSG };

	for (unsigned i = 0; i < 2; i++)
		if (!eta_attr_check(q->version, types[i], rdma, q->hints))
			q->types[rdma][q->ntypes[rdma]++] = types[i];
}

/* The protocol is all that the hints can tell the two apart by. */
static int choose_types(struct query *q)
{
	allowed_types(q, false);
	if (q->hints && q->hints->ep_attr && q->hints->ep_attr->protocol) {
		allowed_types(q, true);
	} else {
		memcpy(q->types[1], q->types[0], sizeof(q->types[1]));
		q->ntypes[1] = q->ntypes[0];
	}
	return q->ntypes[0] + q->ntypes[1] ? 0 : -FI_ENODATA;
}

static int answer(const struct query *q, struct fi_info **info)
{
	int ret = answer_interfaces(q, info), more;

	if (ret && ret != -FI_ENODATA)
		return ret;
	more = answer_devices(q, info);
	if (more)
		return more;
	if (!*info)
		eta_device_explain(q->domain, q->fabric);
	return *info ? 0 : ret;
}

int eta_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags,
		const struct fi_info *hints, struct fi_info **info)
{
	struct query q = { .version = version, .hints = hints };
	struct fi_info *found = NULL;
	int ret;

	/*
	 * ofi_rxm asks in this way for providers to put itself on top of. libfabric lists such a
	 * stack before the provider itself, so that it would be taken for eta's own RDM endpoint.
	 */
	if (flags & ETA_CORE_PROV_ONLY)
		return -FI_ENODATA;
	ret = choose_types(&q);
	if (!ret)
		ret = query_init(&q, node, service, flags);
	if (!ret)
		ret = answer(&q, &found);
	eta_iface_free(q.ifaces);
	eta_iface_free(q.devices);
	if (ret)
		fi_freeinfo(found);
	else
		*info = found;
	return ret;
}

/* Of a device no other will do: its peers could not reach it there. */
int eta_info_own_address(int family, const char *iface, bool rdma, union fab_addr *addr)
{
	struct query q = { .domain = *iface ? iface : NULL, .iface = eta_param_string("iface") };
	const struct eta_iface *i;
	struct eta_iface *list;
	int ret = rdma ? eta_device_list(&list) : eta_iface_list(&list);

	if (ret)
		return ret;
	i = first_wanted(&q, list, family);
	if (!i && !rdma) {
		q.domain = NULL;
		i = first_wanted(&q, list, family);
	}
	if (i)
		*addr = i->addr;
	eta_iface_free(list);
	return i ? 0 : -FI_EADDRNOTAVAIL;
}
