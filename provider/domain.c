/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* domain.c - fid_domain: what shares memory regions and a promise about threads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

static int domain_close(struct fid *fid)
{
	struct eta_domain *d = eta_container(fid, struct eta_domain, fid.fid);

	if (atomic_load(&d->refs))
		return -FI_EBUSY;
	ppe_evq_destroy(d->idle);
	ppe_pd_destroy(d->pd);
	ppe_mr_deregister(d->fabric->ual, d->all);
	atomic_fetch_sub(&d->fabric->refs, 1);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return 0;
}

static ETA_OPS(fi_ops) domain_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = domain_close,
			.bind = eta_no_bind,
			.control = eta_trigger_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_domain) domain_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_domain),
			.av_open = eta_av_open,
			.cq_open = eta_cq_open,
			.endpoint = eta_ep_open,
			.scalable_ep = eta_no_scalable_ep,
			.cntr_open = eta_cntr_open,
			.poll_open = eta_poll_open,
			.stx_ctx = eta_stx_open,
			.srx_ctx = eta_srx_open,
			.query_atomic = eta_query_atomic,
			.query_collective = eta_no_query_collective,
			.endpoint2 = eta_no_endpoint2,
		},
};

/*
 * What says more than FI_THREAD_FID promises that posts to one endpoint do not overlap. (An alias has
 * a fid of its own, and deferred work is posted by the domain's.) But closing an endpoint searches its
 * CQs, and only the two levels that speak of more than single objects promise that nobody reads them
 * meanwhile.
 */
static void choose_locks(struct eta_domain *d, enum fi_threading threading)
{
	d->lock_posts = threading == FI_THREAD_UNSPEC || threading == FI_THREAD_SAFE ||
			threading == FI_THREAD_FID;
	d->lock_cqs = threading != FI_THREAD_DOMAIN && threading != FI_THREAD_COMPLETION;
}

int eta_auth_take(struct eta_auth *auth, uint32_t api_version, const uint8_t *key, size_t len,
		  const struct eta_auth *def)
{
	if (api_version < FI_VERSION(1, 5) || !len) {
		if (def)
			*auth = *def;
		return 0;
	}
	/* of a domain, a length without a key is what fi_getinfo says of the limit */
	if (!key)
		return def ? -FI_EINVAL : 0;
	if (len > sizeof(auth->key))
		return -FI_EINVAL;
	auth->len = len;
	memcpy(auth->key, key, len);
	return 0;
}

static int domain_take(struct eta_domain *d, const struct fi_info *info)
{
	const struct fi_domain_attr *a = info->domain_attr;
	const struct sockaddr *src = info->src_addr;

	choose_locks(d, a->threading);
	d->provider_keys = a->mr_mode & (ETA_MR_BASIC | FI_MR_PROV_KEY);
	d->virtual_addresses = a->mr_mode & (ETA_MR_BASIC | FI_MR_VIRT_ADDR);
	/* of before 1.5, the second bit is a model of its own, without any of that */
	if (a->mr_mode == ETA_MR_SCALABLE)
		d->provider_keys = d->virtual_addresses = false;
	d->family = info->addr_format == FI_SOCKADDR_IN6 || (src && src->sa_family == AF_INET6)
			    ? AF_INET6
			    : AF_INET;
	snprintf(d->iface, sizeof(d->iface), "%s", a->name ? a->name : "");
	return eta_auth_take(&d->auth, d->fabric->fid.api_version, a->auth_key, a->auth_key_size,
			     NULL);
}

/* No FI_MR_LOCAL: applications name their memory by address alone, so all of it is open to them. */
static int domain_create(struct eta_domain *d)
{
	struct ppe_evq_attr evq = { .size = 1 };
	struct ppe_ual *ual = d->fabric->ual;
	int ret = ppe_mr_register(ual, NULL, SIZE_MAX,
				  PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &d->all);

	if (ret)
		return ret;
	ret = ppe_pd_create(ual, &d->pd);
	if (ret)
		goto deregister;
	ret = ppe_evq_create(ual, &evq, &d->idle);
	if (ret)
		goto destroy_pd;
	return 0;
destroy_pd:
	ppe_pd_destroy(d->pd);
deregister:
	ppe_mr_deregister(ual, d->all);
	return ret;
}

int eta_domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain,
		    void *context)
{
	struct eta_fabric *f = eta_container(fabric, struct eta_fabric, fid);
	struct eta_domain *d;
	int ret;

	if (!info || !info->domain_attr)
		return -FI_EINVAL;
	if (info->fabric_attr && !eta_device_fits(f, info->fabric_attr->name))
		return -FI_EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -FI_ENOMEM;
	d->fabric = f;
	ret = domain_take(d, info);
	if (!ret)
		ret = domain_create(d);
	if (ret) {
		free(d);
		return ret;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->fid.fid.fclass = FI_CLASS_DOMAIN;
	d->fid.fid.context = context;
	d->fid.fid.ops = ETA_OPS_PTR(fi_ops, domain_fid_ops);
	d->fid.ops = ETA_OPS_PTR(fi_ops_domain, domain_ops);
	d->fid.mr = eta_mr_ops;
	atomic_fetch_add(&f->refs, 1);
	*domain = &d->fid;
	return 0;
}
