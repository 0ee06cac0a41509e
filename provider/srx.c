/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* srx.c - a shared receive context: receives that any of its endpoints may take. */
#include <stdlib.h>

#include "eta.h"
#include "nosys.h"

static int dti_create(struct eta_ep *srx, struct ppe_dti **dti)
{
	struct eta_domain *d = srx->domain;
	struct ppe_dti_attr attr = {
		.service = PPE_SHARED_RECV,
		/* it serves endpoints that are not serialised to each other */
		.flags = PPE_LOCKED,
		.rq_slots = srx->rx_size,
		.tx_evq = srx->rx_cq ? srx->rx_cq->evq : d->idle,
		.no_tx_events = true,
		.no_rx_events = !srx->rx_cq,
		.cookie = (uintptr_t)&srx->fid.fid,
	};
	int ret = ppe_dti_create(d->fabric->ual, &attr, dti);

	if (ret)
		return ret;
	ppe_dti_set_multi_min(*dti, srx->multi_min);
	if (srx->cntrs[1])
		ret = ppe_dti_count(*dti, PPE_COUNT_RECV, srx->cntrs[1]->ppe);
	if (ret)
		ppe_dti_destroy(*dti, true);
	return ret;
}

int eta_srx_enable(struct eta_ep *srx, struct eta_cq *cq)
{
	struct ppe_dti *dti;
	int ret = 0;

	pthread_mutex_lock(&srx->domain->lock);
	if (srx->dti)
		goto unlock;
	if (!srx->rx_cq && cq) {
		atomic_fetch_add(&cq->refs, 1);
		srx->rx_cq = cq;
		srx->adopted = true;
	}
	ret = dti_create(srx, &dti);
	if (ret)
		goto unlock;
	eta_ep_begin(srx, dti);
unlock:
	pthread_mutex_unlock(&srx->domain->lock);
	if (ret)
		eta_warn(EP_CTRL, "no shared receive queue: %s\n", fi_strerror(-ret));
	return ret;
}

/*
 * A CQ that was only borrowed goes back with the last endpoint: applications close it before the shared
 * context. What is posted then could not be reported any more, and is dropped.
 */
static void give_back_cq(struct eta_ep *srx)
{
	if (srx->dti)
		ppe_dti_destroy(srx->dti, true);
	srx->dti = NULL;
	eta_cq_purge(srx->rx_cq, &srx->fid.fid);
	atomic_fetch_sub(&srx->rx_cq->refs, 1);
	srx->rx_cq = NULL;
	srx->adopted = false;
}

void eta_srx_put(struct eta_ep *srx)
{
	pthread_mutex_lock(&srx->domain->lock);
	if (atomic_fetch_sub(&srx->refs, 1) == 1 && srx->adopted)
		give_back_cq(srx);
	pthread_mutex_unlock(&srx->domain->lock);
}

static int srx_control(struct fid *fid, int command, void *arg)
{
	struct eta_ep *srx = eta_container(fid, struct eta_ep, fid.fid);

	switch (command) {
	case FI_ENABLE:
		return eta_srx_enable(srx, NULL);
	case FI_GETOPSFLAG:
	case FI_SETOPSFLAG:
		return eta_ep_op_flags(srx, command, arg);
	default:
		return -FI_ENOSYS;
	}
}

static int srx_close(struct fid *fid)
{
	struct eta_ep *srx = eta_container(fid, struct eta_ep, fid.fid);

	if (atomic_load(&srx->refs))
		return -FI_EBUSY;
	if (srx->dti)
		ppe_dti_destroy(srx->dti, true);
	if (srx->rx_cq)
		eta_cq_purge(srx->rx_cq, fid);
	eta_ep_unbind_all(srx);
	atomic_fetch_sub(&srx->domain->refs, 1);
	free(srx);
	return 0;
}

static ETA_OPS(fi_ops) srx_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = srx_close,
			.bind = eta_ep_bind,
			.control = srx_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_ep) srx_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_ep),
			.cancel = eta_ep_cancel,
			.getopt = eta_ep_getopt,
			.setopt = eta_ep_setopt,
			.tx_ctx = eta_no_tx_ctx,
			.rx_ctx = eta_no_rx_ctx,
			.rx_size_left = eta_ep_rx_size_left,
			.tx_size_left = eta_no_size_left,
		},
};

static void take_attr(struct eta_ep *srx, const struct fi_rx_attr *attr)
{
	srx->caps = FI_MSG | FI_TAGGED | FI_RECV;
	srx->rx_size = ETA_QUEUE_DEFAULT;
	if (!attr)
		return;
	if (attr->size)
		srx->rx_size = attr->size;
	srx->directed = attr->caps & FI_DIRECTED_RECV;
	srx->rx_op_flags = attr->op_flags;
}

int eta_srx_open(struct fid_domain *domain, struct fi_rx_attr *attr, struct fid_ep **rx_ep,
		 void *context)
{
	struct eta_domain *d = eta_domain_of(domain);
	struct eta_ep *srx;

	if (attr && (attr->size > ETA_QUEUE_MAX || (attr->op_flags & ~ETA_RX_OP_FLAGS)))
		return -FI_EINVAL;
	srx = calloc(1, sizeof(*srx));
	if (!srx)
		return -FI_ENOMEM;
	eta_ep_init(srx, d);
	take_attr(srx, attr);
	eta_ep_choose_flags(srx);
	srx->fid.fid.fclass = FI_CLASS_SRX_CTX;
	srx->fid.fid.context = context;
	srx->fid.fid.ops = ETA_OPS_PTR(fi_ops, srx_fid_ops);
	srx->fid.ops = ETA_OPS_PTR(fi_ops_ep, srx_ops);
	srx->fid.cm = eta_no_cm_ops;
	srx->fid.msg = eta_srx_msg_ops;
	srx->fid.tagged = eta_srx_tagged_ops;
	srx->fid.rma = eta_no_rma_ops;
	srx->fid.atomic = eta_no_atomic_ops;
	srx->fid.collective = eta_no_collective_ops;
	atomic_fetch_add(&d->refs, 1);
	*rx_ep = &srx->fid;
	return 0;
}
