/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * av.c - fid_av: the engine's address vector. An fi_addr_t is a number in it, whatever type of vector
 * was asked for: a table is a map that happens to count.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

#define INSERT_FLAGS (FI_MORE | FI_SYNC_ERR)
#define HOST_MAX 256

static struct eta_av *av_of(struct fid_av *fid)
{
	return eta_container(fid, struct eta_av, fid);
}

/* ------------------------------------------------------------------------------- inserting */

/* One call: where its results go. */
struct insertion {
	struct eta_av *av;
	fi_addr_t *fi_addr; /* or NULL */
	int *errors;        /* FI_SYNC_ERR; or NULL */
	void *context;
	uint64_t index, done;
};

static int insertion_init(struct insertion *in, struct eta_av *av, fi_addr_t *fi_addr,
			  uint64_t flags, void *context)
{
	if (flags & ~INSERT_FLAGS)
		return -FI_EBADFLAGS;
	/* errors are told of by events, or by the array, not by both */
	if ((flags & FI_SYNC_ERR) && (!context || av->tells))
		return -FI_EINVAL;
	if (av->tells && !av->eq)
		return -FI_ENOEQ;
	*in = (struct insertion){
		.av = av,
		.fi_addr = fi_addr,
		.errors = flags & FI_SYNC_ERR ? context : NULL,
		.context = context,
	};
	return 0;
}

/* The result of the next address. */
static void insertion_add(struct insertion *in, int ret, uint32_t number)
{
	if (in->fi_addr)
		in->fi_addr[in->index] = ret ? FI_ADDR_NOTAVAIL : number;
	if (in->errors)
		in->errors[in->index] = -ret;
	if (ret && in->av->tells)
		eta_eq_tell(in->av->eq, &in->av->fid.fid, in->context, in->index, -ret);
	in->index++;
	in->done += !ret;
}

static int insertion_end(struct insertion *in)
{
	if (!in->av->tells)
		return in->done;
	return eta_eq_tell(in->av->eq, &in->av->fid.fid, in->context, in->done, 0);
}

static void insert_one(struct insertion *in, const void *sa, socklen_t len)
{
	struct eta_av *av = in->av;
	const struct sockaddr *a = sa;
	uint32_t number = 0;
	int ret = -FI_EINVAL;

	if (a->sa_family == (sa_family_t)av->domain->family)
		ret = ppe_av_insert(av->ppe, a, len, &number);
	insertion_add(in, ret, number);
}

static socklen_t address_len(const struct eta_av *av)
{
	return av->domain->family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

static int av_insert(struct fid_av *fid, const void *addr, size_t count, fi_addr_t *fi_addr,
		     uint64_t flags, void *context)
{
	struct eta_av *av = av_of(fid);
	socklen_t len = address_len(av);
	struct insertion in;
	int ret;

	if ((count && !addr) || count > INT32_MAX)
		return -FI_EINVAL;
	ret = insertion_init(&in, av, fi_addr, flags, context);
	if (ret)
		return ret;
	for (size_t i = 0; i < count; i++)
		insert_one(&in, (const uint8_t *)addr + i * len, len);
	return insertion_end(&in);
}

static void insert_name(struct insertion *in, const char *node, const char *service)
{
	union fab_addr addr;
	int ret = eta_addr_resolve(node, service, 0, in->av->domain->family, &addr);

	if (ret)
		insertion_add(in, -FI_EADDRNOTAVAIL, 0);
	else
		insert_one(in, &addr, fab_addr_len(&addr));
}

static int av_insertsvc(struct fid_av *fid, const char *node, const char *service,
			fi_addr_t *fi_addr, uint64_t flags, void *context)
{
	struct insertion in;
	int ret;

	if (!node || !service)
		return -FI_EINVAL;
	ret = insertion_init(&in, av_of(fid), fi_addr, flags, context);
	if (ret)
		return ret;
	insert_name(&in, node, service);
	return insertion_end(&in);
}

/* ------------------------------------------------------- names that differ by a number */

/* "192.0.2.7" and 3 is 192.0.2.10. */
static bool numbered_address(const char *node, size_t i, char *out, size_t len)
{
	uint8_t a[16];
	int family = strchr(node, ':') ? AF_INET6 : AF_INET;
	unsigned at = family == AF_INET6 ? 16 : 4;

	if (inet_pton(family, node, a) != 1)
		return false;
	while (at-- && i) {
		i += a[at];
		a[at] = i;
		i >>= 8;
	}
	return inet_ntop(family, a, out, len) != NULL;
}

/* "node08" and 3 is node11: as many digits at least. */
static bool numbered_name(const char *node, size_t i, char *out, size_t len)
{
	size_t end = strlen(node), digits = 0;
	unsigned long first;
	int n;

	while (digits < end && isdigit((unsigned char)node[end - digits - 1]))
		digits++;
	if (!digits || digits > 9)
		return false;
	first = strtoul(node + end - digits, NULL, 10);
	n = snprintf(out, len, "%.*s%0*lu", (int)(end - digits), node, (int)digits, first + i);
	return n > 0 && (size_t)n < len;
}

static bool numbered_node(const char *node, size_t i, char *out, size_t len)
{
	int n;

	if (i)
		return numbered_address(node, i, out, len) || numbered_name(node, i, out, len);
	n = snprintf(out, len, "%s", node);
	return n > 0 && (size_t)n < len;
}

static int av_insertsym(struct fid_av *fid, const char *node, size_t nodecnt, const char *service,
			size_t svccnt, fi_addr_t *fi_addr, uint64_t flags, void *context)
{
	unsigned long port = service ? strtoul(service, NULL, 10) : 0;
	char name[HOST_MAX], svc[16];
	struct insertion in;
	int ret;

	if (!node || !port || port > UINT16_MAX || !nodecnt || !svccnt ||
	    svccnt > UINT16_MAX - port + 1 || nodecnt > INT32_MAX / svccnt)
		return -FI_EINVAL;
	ret = insertion_init(&in, av_of(fid), fi_addr, flags, context);
	if (ret)
		return ret;
	for (size_t i = 0; i < nodecnt; i++) {
		bool ok = numbered_node(node, i, name, sizeof(name));

		for (size_t j = 0; j < svccnt; j++) {
			snprintf(svc, sizeof(svc), "%lu", port + j);
			if (ok)
				insert_name(&in, name, svc);
			else
				insertion_add(&in, -FI_EADDRNOTAVAIL, 0);
		}
	}
	return insertion_end(&in);
}

/* ------------------------------------------------------------------------- the other calls */

static int av_remove(struct fid_av *fid, fi_addr_t *fi_addr, size_t count, uint64_t flags)
{
	struct eta_av *av = av_of(fid);
	int ret = 0;

	if (flags)
		return -FI_EBADFLAGS;
	if (count && !fi_addr)
		return -FI_EINVAL;
	for (size_t i = 0; i < count; i++)
		if (fi_addr[i] >= PPE_ANY || ppe_av_remove(av->ppe, fi_addr[i]))
			ret = -FI_EINVAL;
	return ret;
}

/* As much of the address as there is room for, and how long it is. */
static int av_lookup(struct fid_av *fid, fi_addr_t fi_addr, void *addr, size_t *addrlen)
{
	union fab_addr a;
	int ret;

	if (!addrlen || (*addrlen && !addr) || fi_addr >= PPE_ANY ||
	    ppe_av_lookup(av_of(fid)->ppe, fi_addr, &a))
		return -FI_EINVAL;
	ret = eta_addr_give(&a, addr, addrlen);
	return ret == -FI_ETOOSMALL ? 0 : ret;
}

static const char *av_straddr(struct fid_av *fid, const void *addr, char *buf, size_t *len)
{
	char host[INET6_ADDRSTRLEN] = "";
	union fab_addr a;
	int n;

	(void)fid;
	if (!len || eta_addr_take(addr, &a))
		return NULL;
	if (a.sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host));
		n = snprintf(buf, buf ? *len : 0, "fi_sockaddr_in://%s:%u", host,
			     ntohs(a.in.sin_port));
	} else {
		inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host));
		n = snprintf(buf, buf ? *len : 0, "fi_sockaddr_in6://[%s]:%u", host,
			     ntohs(a.in6.sin6_port));
	}
	*len = n + 1;
	return buf;
}

static int av_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct eta_av *av = eta_container(fid, struct eta_av, fid.fid);
	struct eta_eq *eq;

	if (!bfid || bfid->fclass != FI_CLASS_EQ || flags || av->eq)
		return -FI_EINVAL;
	eq = eta_container(bfid, struct eta_eq, fid.fid);
	if (eq->fabric != av->domain->fabric)
		return -FI_EDOMAIN;
	atomic_fetch_add(&eq->refs, 1);
	av->eq = eq;
	return 0;
}

/* ------------------------------------------------------------------------------- the object */

static int av_close(struct fid *fid)
{
	struct eta_av *av = eta_container(fid, struct eta_av, fid.fid);
	int ret;

	if (atomic_load(&av->refs))
		return -FI_EBUSY;
	ret = ppe_av_destroy(av->ppe);
	if (ret)
		return ret;
	if (av->eq) {
		eta_eq_forget(av->eq, NULL, fid);
		atomic_fetch_sub(&av->eq->refs, 1);
	}
	atomic_fetch_sub(&av->domain->refs, 1);
	free(av);
	return 0;
}

static ETA_OPS(fi_ops) av_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = av_close,
			.bind = av_bind,
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_av) av_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_av),
			.insert = av_insert,
			.insertsvc = av_insertsvc,
			.insertsym = av_insertsym,
			.remove = av_remove,
			.lookup = av_lookup,
			.straddr = av_straddr,
			.av_set = eta_no_av_set,
		},
};

/* Named vectors, shared between processes, are not offered; nor are contexts within an address. */
static int check_attr(const struct fi_av_attr *attr)
{
	if (!attr || (unsigned)attr->type > FI_AV_TABLE || attr->rx_ctx_bits)
		return -FI_EINVAL;
	if (attr->name || (attr->flags & FI_READ))
		return -FI_ENOSYS;
	return attr->flags & ~(FI_EVENT | FI_SYMMETRIC) ? -FI_EBADFLAGS : 0;
}

int eta_av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **fid,
		void *context)
{
	struct eta_domain *d = eta_domain_of(domain);
	int ret = check_attr(attr);
	struct eta_av *av;

	if (ret)
		return ret;
	av = calloc(1, sizeof(*av));
	if (!av)
		return -FI_ENOMEM;
	ret = ppe_av_create(d->fabric->ual, &av->ppe);
	if (ret) {
		free(av);
		return ret;
	}
	av->domain = d;
	av->tells = attr->flags & FI_EVENT;
	if (attr->type == FI_AV_UNSPEC)
		attr->type = FI_AV_TABLE;
	av->fid.fid.fclass = FI_CLASS_AV;
	av->fid.fid.context = context;
	av->fid.fid.ops = ETA_OPS_PTR(fi_ops, av_fid_ops);
	av->fid.ops = ETA_OPS_PTR(fi_ops_av, av_ops);
	atomic_fetch_add(&d->refs, 1);
	*fid = &av->fid;
	return 0;
}
