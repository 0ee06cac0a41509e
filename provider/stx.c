/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* stx.c - fid_stx: a shared transmit context, which is nothing but what endpoints are bound to. */
#include <stdlib.h>

#include "eta.h"
#include "nosys.h"

static int stx_close(struct fid *fid)
{
	struct eta_stx *stx = eta_container(fid, struct eta_stx, fid.fid);

	if (atomic_load(&stx->refs))
		return -FI_EBUSY;
	atomic_fetch_sub(&stx->domain->refs, 1);
	free(stx);
	return 0;
}

static ETA_OPS(fi_ops) stx_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = stx_close,
			.bind = eta_no_bind,
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_ep) stx_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_ep),
			.cancel = eta_no_cancel,
			.getopt = eta_no_getopt,
			.setopt = eta_no_setopt,
			.tx_ctx = eta_no_tx_ctx,
			.rx_ctx = eta_no_rx_ctx,
			.rx_size_left = eta_no_size_left,
			.tx_size_left = eta_no_size_left,
		},
};

int eta_stx_open(struct fid_domain *domain, struct fi_tx_attr *attr, struct fid_stx **fid,
		 void *context)
{
	struct eta_domain *d = eta_domain_of(domain);
	struct eta_stx *stx;

	if (attr && (attr->size > ETA_QUEUE_MAX || (attr->op_flags & ~ETA_TX_OP_FLAGS)))
		return -FI_EINVAL;
	stx = calloc(1, sizeof(*stx));
	if (!stx)
		return -FI_ENOMEM;
	stx->domain = d;
	stx->fid.fid.fclass = FI_CLASS_STX_CTX;
	stx->fid.fid.context = context;
	stx->fid.fid.ops = ETA_OPS_PTR(fi_ops, stx_fid_ops);
	stx->fid.ops = ETA_OPS_PTR(fi_ops_ep, stx_ops);
	atomic_fetch_add(&d->refs, 1);
	*fid = &stx->fid;
	return 0;
}
