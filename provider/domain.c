/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* domain.c - fid_domain: what shares memory regions and a promise about threads. */
#include <stdlib.h>

#include "eta.h"
#include "nosys.h"

static int domain_close(struct fid *fid)
{
	struct eta_domain *d = eta_container(fid, struct eta_domain, fid.fid);

	if (atomic_load(&d->refs))
		return -FI_EBUSY;
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
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_domain) domain_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_domain),
			.av_open = eta_no_av_open,
			.cq_open = eta_cq_open,
			.endpoint = eta_ep_open,
			.scalable_ep = eta_no_scalable_ep,
			.cntr_open = eta_no_cntr_open,
			.poll_open = eta_no_poll_open,
			.stx_ctx = eta_no_stx_ctx,
			.srx_ctx = eta_no_srx_ctx,
			.query_atomic = eta_no_query_atomic,
			.query_collective = eta_no_query_collective,
			.endpoint2 = eta_no_endpoint2,
		},
};

/*
 * Every level but FI_THREAD_SAFE promises that posts to one endpoint do not overlap. But closing an
 * endpoint searches its CQs, and only the two levels that speak of more than single objects promise
 * that nobody reads them meanwhile.
 */
static void choose_locks(struct eta_domain *d, enum fi_threading threading)
{
	d->lock_posts = threading == FI_THREAD_UNSPEC || threading == FI_THREAD_SAFE;
	d->lock_cqs = threading != FI_THREAD_DOMAIN && threading != FI_THREAD_COMPLETION;
}

int eta_domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain,
		    void *context)
{
	struct eta_fabric *f = eta_container(fabric, struct eta_fabric, fid);
	struct eta_domain *d;
	int ret;

	if (!info || !info->domain_attr)
		return -FI_EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -FI_ENOMEM;
	/* no FI_MR_LOCAL: applications name their memory by address alone, so all of it is open */
	ret = ppe_mr_register(f->ual, NULL, SIZE_MAX,
			      PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &d->all);
	if (ret) {
		free(d);
		return ret;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->fabric = f;
	choose_locks(d, info->domain_attr->threading);
	d->provider_keys = info->domain_attr->mr_mode & ETA_MR_BASIC;
	d->fid.fid.fclass = FI_CLASS_DOMAIN;
	d->fid.fid.context = context;
	d->fid.fid.ops = ETA_OPS_PTR(fi_ops, domain_fid_ops);
	d->fid.ops = ETA_OPS_PTR(fi_ops_domain, domain_ops);
	d->fid.mr = eta_mr_ops;
	atomic_fetch_add(&f->refs, 1);
	*domain = &d->fid;
	return 0;
}
