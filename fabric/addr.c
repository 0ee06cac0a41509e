/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * addr.c - IPv4 and IPv6 addresses of a fabric: copying a caller's in, and printing them.
 */
#include "fabric/fabric.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static socklen_t family_len(sa_family_t family)
{
	if (family == AF_INET)
		return sizeof(struct sockaddr_in);
	if (family == AF_INET6)
		return sizeof(struct sockaddr_in6);
	return 0;
}

socklen_t fab_addr_len(const union fab_addr *addr)
{
	return family_len(addr->sa.sa_family);
}

int fab_addr_set(union fab_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	sa_family_t family;
	socklen_t want;

	if (!sa || len < offsetof(struct sockaddr, sa_family) + sizeof(family))
		return -EINVAL;
	/* A caller's bytes need not be aligned as a sockaddr is. */
	memcpy(&family, (const char *)sa + offsetof(struct sockaddr, sa_family), sizeof(family));
	want = family_len(family);
	if (!want)
		return -EAFNOSUPPORT;
	if (len < want)
		return -EINVAL;
	memset(addr, 0, sizeof(*addr));
	memcpy(addr, sa, want);
	return 0;
}

/* "%eth0" of a link-local address; nothing for the others. */
static void scope_str(const struct sockaddr_in6 *in6, char buf[IF_NAMESIZE + 1])
{
	buf[0] = '\0';
	if (in6->sin6_scope_id && if_indextoname(in6->sin6_scope_id, buf + 1))
		buf[0] = '%';
}

const char *fab_addr_str(const union fab_addr *addr, char buf[FAB_ADDR_STRLEN])
{
	char host[INET6_ADDRSTRLEN] = "?";
	char scope[IF_NAMESIZE + 1];

	switch (addr->sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &addr->in.sin_addr, host, sizeof(host));
		snprintf(buf, FAB_ADDR_STRLEN, "%s:%u", host, ntohs(addr->in.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &addr->in6.sin6_addr, host, sizeof(host));
		scope_str(&addr->in6, scope);
		/* The longest address that is printed is 39 characters; a long interface is cut. */
		snprintf(buf, FAB_ADDR_STRLEN, "[%.40s%.12s]:%u", host, scope,
			 ntohs(addr->in6.sin6_port));
		break;
	default:
		snprintf(buf, FAB_ADDR_STRLEN, "(family %u)", (unsigned)addr->sa.sa_family);
	}
	return buf;
}
