/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* addr.c - addresses: this host's interfaces, names to addresses, routes. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eta.h"

/* ------------------------------------------------------------------------ plain addresses */

static const uint8_t *host_bytes(const union fab_addr *a, unsigned *len)
{
	if (a->sa.sa_family == AF_INET) {
		*len = sizeof(a->in.sin_addr);
		return (const uint8_t *)&a->in.sin_addr;
	}
	*len = sizeof(a->in6.sin6_addr);
	return (const uint8_t *)&a->in6.sin6_addr;
}

bool eta_addr_same_host(const union fab_addr *a, const union fab_addr *b)
{
	unsigned len;
	const uint8_t *x = host_bytes(a, &len), *y = host_bytes(b, &len);

	return a->sa.sa_family == b->sa.sa_family && !memcmp(x, y, len);
}

static bool same_net(const union fab_addr *a, const union fab_addr *b, unsigned prefix)
{
	unsigned len, whole = prefix / 8, rest = prefix % 8;
	const uint8_t *x = host_bytes(a, &len), *y = host_bytes(b, &len);

	if (a->sa.sa_family != b->sa.sa_family || memcmp(x, y, whole))
		return false;
	return !rest || !((x[whole] ^ y[whole]) >> (8 - rest));
}

bool eta_addr_is_any(const union fab_addr *addr)
{
	static const uint8_t zero[16];
	unsigned len;
	const uint8_t *host = host_bytes(addr, &len);

	return !memcmp(host, zero, len);
}

bool eta_addr_parse(const char *text, union fab_addr *addr)
{
	eta_addr_any(AF_INET, addr);
	if (inet_pton(AF_INET, text, &addr->in.sin_addr) == 1)
		return true;
	eta_addr_any(AF_INET6, addr);
	return inet_pton(AF_INET6, text, &addr->in6.sin6_addr) == 1;
}

void eta_addr_any(int family, union fab_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sa.sa_family = family;
}

static void clear_port(union fab_addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		addr->in.sin_port = 0;
	else
		addr->in6.sin6_port = 0;
}

int eta_addr_give(const union fab_addr *addr, void *buf, size_t *len)
{
	size_t room = *len, need = fab_addr_len(addr);

	if (room && !buf)
		return -FI_EINVAL;
	if (buf)
		memcpy(buf, addr, room < need ? room : need);
	*len = need;
	return room < need ? -FI_ETOOSMALL : 0;
}

int eta_addr_take(const void *sa, union fab_addr *addr)
{
	const struct sockaddr *from = sa;
	socklen_t len;

	if (!sa)
		return -FI_EINVAL;
	switch (from->sa_family) {
	case AF_INET:
		len = sizeof(struct sockaddr_in);
		break;
	case AF_INET6:
		len = sizeof(struct sockaddr_in6);
		break;
	default:
		return -FI_EINVAL;
	}
	return fab_addr_set(addr, from, len);
}

int eta_addr_family(uint32_t addr_format)
{
	switch (addr_format) {
	case FI_FORMAT_UNSPEC:
	case FI_SOCKADDR:
	case ETA_ADDR_SOCKADDR_IP:
		return AF_UNSPEC;
	case FI_SOCKADDR_IN:
		return AF_INET;
	case FI_SOCKADDR_IN6:
		return AF_INET6;
	default:
		return -1;
	}
}

uint32_t eta_addr_format(const union fab_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? FI_SOCKADDR_IN : FI_SOCKADDR_IN6;
}

/* --------------------------------------------------------------------- names and routes */

int eta_addr_resolve(const char *node, const char *service, uint64_t flags, int family,
		     union fab_addr *addr)
{
	struct addrinfo want = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list, *ai;
	int ret;

	if (flags & FI_NUMERICHOST)
		want.ai_flags |= AI_NUMERICHOST;
	if (flags & FI_SOURCE)
		want.ai_flags |= AI_PASSIVE;
	ret = getaddrinfo(node, service, &want, &list);
	if (ret) {
		eta_info(CORE, "%s:%s: %s\n", node ? node : "", service ? service : "",
			 gai_strerror(ret));
		return -FI_ENODATA;
	}
	ret = -FI_ENODATA;
	for (ai = list; ai && ret; ai = ai->ai_next)
		ret = fab_addr_set(addr, ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(list);
	return ret ? -FI_ENODATA : 0;
}

/* Connecting a datagram socket sends nothing: it only makes the kernel choose. */
int eta_addr_route(const union fab_addr *dest, union fab_addr *src)
{
	int fd = socket(dest->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*src);
	union fab_addr to = *dest;
	int ret = 0;

	if (fd < 0)
		return -errno;
	/* a port of 0 is refused by some kernels, and says nothing about the route */
	if (to.sa.sa_family == AF_INET)
		to.in.sin_port = htons(9);
	else
		to.in6.sin6_port = htons(9);
	memset(src, 0, sizeof(*src));
	if (connect(fd, &to.sa, fab_addr_len(&to)) || getsockname(fd, &src->sa, &len))
		ret = -errno;
	close(fd);
	if (!ret)
		clear_port(src);
	return ret;
}

/* -------------------------------------------------------------------------- interfaces */

/* Smaller is better; within one class IPv4 comes first. */
enum { RANK_DEFAULT_ROUTE, RANK_ORDINARY, RANK_LINK_LOCAL, RANK_VIRTUAL, RANK_LOOPBACK };

/* Documentation prefixes: routed like any address outside, reached by nobody. */
static void default_source(int family, union fab_addr *src)
{
	union fab_addr outside;

	eta_addr_any(family, &outside);
	inet_pton(family, family == AF_INET ? "198.51.100.1" : "2001:db8::1",
		  family == AF_INET ? (void *)&outside.in.sin_addr
				    : (void *)&outside.in6.sin6_addr);
	if (eta_addr_route(&outside, src))
		memset(src, 0, sizeof(*src));
}

/* Bridges and tunnels, of which hosts with containers have many. */
static bool is_virtual(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
	if (!access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	return !access(path, F_OK);
}

static unsigned iface_rank(const struct eta_iface *i, unsigned flags,
			   const union fab_addr default_src[2])
{
	bool v6 = i->addr.sa.sa_family == AF_INET6;
	unsigned class = RANK_ORDINARY;

	if (flags & IFF_LOOPBACK)
		class = RANK_LOOPBACK;
	else if (eta_addr_same_host(&i->addr, &default_src[v6]))
		class = RANK_DEFAULT_ROUTE;
	else if ((flags & IFF_POINTOPOINT) || is_virtual(i->name))
		class = RANK_VIRTUAL;
	else if (v6 && IN6_IS_ADDR_LINKLOCAL(&i->addr.in6.sin6_addr))
		class = RANK_LINK_LOCAL;
	return class * 2 + v6;
}

static unsigned prefix_bits(const struct sockaddr *mask, int family)
{
	union fab_addr a;
	unsigned len, bits = 0;
	const uint8_t *byte;

	if (!mask)
		return family == AF_INET ? 32 : 128;
	eta_addr_any(family, &a);
	memcpy(&a, mask, fab_addr_len(&a));
	a.sa.sa_family = family;
	byte = host_bytes(&a, &len);
	while (bits < len * 8 && (byte[bits / 8] & (0x80 >> bits % 8)))
		bits++;
	return bits;
}

/* The network that an address is in, as libfabric's IP providers name their fabrics. */
static void net_name(struct eta_iface *i)
{
	union fab_addr net = i->addr;
	char text[INET6_ADDRSTRLEN] = "";
	unsigned len;
	uint8_t *byte = (uint8_t *)(uintptr_t)host_bytes(&net, &len);

	for (unsigned bit = i->prefix; bit < len * 8; bit++)
		byte[bit / 8] &= ~(0x80 >> bit % 8);
	inet_ntop(net.sa.sa_family, byte, text, sizeof(text));
	snprintf(i->net, sizeof(i->net), "%s/%u", text, i->prefix);
}

static int iface_create(const struct ifaddrs *ifa, const union fab_addr default_src[2],
			struct eta_iface **out)
{
	struct eta_iface *i = calloc(1, sizeof(*i));

	if (!i)
		return -FI_ENOMEM;
	if (fab_addr_set(&i->addr, ifa->ifa_addr, sizeof(i->addr))) {
		free(i);
		return -FI_EINVAL;
	}
	snprintf(i->name, sizeof(i->name), "%s", ifa->ifa_name);
	i->prefix = prefix_bits(ifa->ifa_netmask, i->addr.sa.sa_family);
	net_name(i);
	i->rank = iface_rank(i, ifa->ifa_flags, default_src);
	i->has_link = ifa->ifa_flags & IFF_RUNNING;
	*out = i;
	return 0;
}

/* Behind those of the same rank: the kernel's order among them. */
static void iface_insert(struct eta_iface **list, struct eta_iface *i)
{
	while (*list && (*list)->rank <= i->rank)
		list = &(*list)->next;
	i->next = *list;
	*list = i;
}

static bool is_usable(const struct ifaddrs *ifa)
{
	if (!ifa->ifa_addr || !(ifa->ifa_flags & IFF_UP))
		return false;
	return ifa->ifa_addr->sa_family == AF_INET || ifa->ifa_addr->sa_family == AF_INET6;
}

int eta_iface_list(struct eta_iface **list)
{
	union fab_addr default_src[2];
	struct ifaddrs *all, *ifa;
	int ret = 0;

	*list = NULL;
	if (getifaddrs(&all))
		return -errno;
	default_source(AF_INET, &default_src[0]);
	default_source(AF_INET6, &default_src[1]);
	for (ifa = all; ifa && ret != -FI_ENOMEM; ifa = ifa->ifa_next) {
		struct eta_iface *i;

		if (!is_usable(ifa))
			continue;
		ret = iface_create(ifa, default_src, &i);
		if (!ret)
			iface_insert(list, i);
	}
	freeifaddrs(all);
	if (ret != -FI_ENOMEM)
		return 0;
	eta_iface_free(*list);
	*list = NULL;
	return ret;
}

void eta_iface_free(struct eta_iface *list)
{
	while (list) {
		struct eta_iface *next = list->next;

		free(list);
		list = next;
	}
}

/* Local addresses that no interface lists: 127.0.0.2, and what "local" routes add. */
static bool can_bind(const union fab_addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	union fab_addr a = *addr;
	bool ok;

	if (fd < 0)
		return false;
	clear_port(&a);
	ok = !bind(fd, &a.sa, fab_addr_len(&a));
	close(fd);
	return ok;
}

const struct eta_iface *eta_iface_of(const struct eta_iface *list, const union fab_addr *addr)
{
	const struct eta_iface *i;

	for (i = list; i; i = i->next)
		if (eta_addr_same_host(&i->addr, addr))
			return i;
	if (!can_bind(addr))
		return NULL;
	for (i = list; i; i = i->next)
		if (same_net(&i->addr, addr, i->prefix))
			return i;
	return NULL;
}
