/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cm.c - what passive and active endpoints share: requests, listening, private data, options. */
#include <stdlib.h>
#include <time.h>

#include "eta.h"
#include "nosys.h"

/* ------------------------------------------------------------------------------- requests */

static int connreq_close(struct fid *fid)
{
	(void)fid;
	return -FI_ENOSYS; /* fi_accept or fi_reject answer it */
}

static ETA_OPS(fi_ops) connreq_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = connreq_close,
			.bind = eta_no_bind,
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

int eta_connreq_create(struct eta_fabric *fabric, uint64_t request, struct eta_connreq **out)
{
	struct eta_connreq *r = calloc(1, sizeof(*r));

	if (!r)
		return -FI_ENOMEM;
	r->fid.fclass = FI_CLASS_CONNREQ;
	r->fid.ops = ETA_OPS_PTR(fi_ops, connreq_fid_ops);
	r->fabric = fabric;
	r->request = request;
	pthread_mutex_lock(&fabric->lock);
	r->next = fabric->connreqs;
	fabric->connreqs = r;
	pthread_mutex_unlock(&fabric->lock);
	*out = r;
	return 0;
}

static struct eta_connreq **connreq_find(struct eta_fabric *f, const struct fid *handle)
{
	struct eta_connreq **at = &f->connreqs;

	while (*at && &(*at)->fid != handle)
		at = &(*at)->next;
	return at;
}

bool eta_connreq_known(struct eta_fabric *fabric, const struct fid *handle)
{
	bool known;

	pthread_mutex_lock(&fabric->lock);
	known = *connreq_find(fabric, handle) != NULL;
	pthread_mutex_unlock(&fabric->lock);
	return known;
}

int eta_connreq_take(struct eta_fabric *fabric, const struct fid *handle, uint64_t *request)
{
	struct eta_connreq **at, *r;

	pthread_mutex_lock(&fabric->lock);
	at = connreq_find(fabric, handle);
	r = *at;
	if (r)
		*at = r->next;
	pthread_mutex_unlock(&fabric->lock);
	if (!r)
		return -FI_EINVAL;
	*request = r->request;
	free(r);
	return 0;
}

void eta_connreq_drop(struct eta_fabric *fabric, const struct fid *handle)
{
	uint64_t request;

	if (!eta_connreq_take(fabric, handle, &request))
		ppe_ual_reject_request(fabric->ual, request, NULL, 0);
}

void eta_connreq_drop_all(struct eta_fabric *fabric)
{
	while (fabric->connreqs)
		eta_connreq_drop(fabric, &fabric->connreqs->fid);
}

/* ------------------------------------------------------------------------------ listening */

static int listen_on(struct ppe_dti *dti, const union fab_addr *addr, int backlog)
{
	int ret = ppe_dti_bind(dti, &addr->sa, fab_addr_len(addr));

	return ret ? ret : ppe_dti_listen(dti, backlog);
}

static in_port_t *port_of(union fab_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? &addr->in.sin_port : &addr->in6.sin6_port;
}

/* Begins somewhere, so that the many of one host do not all try the same ports first. */
static int listen_in_range(struct ppe_dti *dti, const union fab_addr *addr, int backlog,
			   uint16_t low, uint16_t high)
{
	unsigned count = high - low + 1u, first;
	int ret = -FI_EADDRINUSE;
	union fab_addr a = *addr;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	first = (unsigned)now.tv_nsec / 1000 % count;
	for (unsigned i = 0; i < count && ret == -FI_EADDRINUSE; i++) {
		*port_of(&a) = htons(low + (first + i) % count);
		ret = listen_on(dti, &a, backlog);
	}
	return ret;
}

int eta_cm_listen(struct ppe_dti *dti, const union fab_addr *addr, int backlog)
{
	union fab_addr a = *addr;
	uint16_t low, high;

	if (*port_of(&a) || !eta_param_port_range(&low, &high))
		return listen_on(dti, addr, backlog);
	return listen_in_range(dti, addr, backlog, low, high);
}

/* --------------------------------------------------------------------- data and options */

int eta_cm_data_check(const void *param, size_t len)
{
	if (len > ETA_CM_DATA_SIZE || (len && !param)) {
		eta_info(EP_CTRL, "%zu bytes of connection data: at most %d can be sent\n", len,
			 ETA_CM_DATA_SIZE);
		return -FI_EINVAL;
	}
	return 0;
}

int eta_cm_give_size(size_t value, void *optval, size_t *optlen)
{
	if (!optval || !optlen)
		return -FI_EINVAL;
	if (*optlen < sizeof(size_t)) {
		*optlen = sizeof(size_t);
		return -FI_ETOOSMALL;
	}
	*(size_t *)optval = value;
	*optlen = sizeof(size_t);
	return 0;
}

int eta_cm_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen)
{
	(void)fid;
	if (level != FI_OPT_ENDPOINT || optname != FI_OPT_CM_DATA_SIZE)
		return -FI_ENOPROTOOPT;
	return eta_cm_give_size(ETA_CM_DATA_SIZE, optval, optlen);
}

int eta_cm_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen)
{
	(void)fid, (void)level, (void)optname, (void)optval, (void)optlen;
	return -FI_ENOPROTOOPT;
}
