/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ep.c - fid_ep of type FI_EP_MSG: bound, enabled, connected, closed. It is a message DTI from
 * fi_enable on; its posts are in msg.c.
 */
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

static struct eta_ep *ep_of(struct fid *fid)
{
	return eta_container(fid, struct eta_ep, fid.fid);
}

/* ------------------------------------------------------------------------------------ names */

static int ep_setname(fid_t fid, void *addr, size_t addrlen)
{
	struct eta_ep *ep = ep_of(fid);

	if (ep->dti)
		return -FI_EOPBADSTATE;
	return fab_addr_set(&ep->local, addr, addrlen) ? -FI_EINVAL : 0;
}

/* Before it is connected, the name that it was given; its port may be 0. */
static int ep_getname(fid_t fid, void *addr, size_t *addrlen)
{
	struct eta_ep *ep = ep_of(fid);
	union fab_addr local;

	if (!addrlen)
		return -FI_EINVAL;
	if (!ep->dti || ppe_dti_local(ep->dti, &local))
		local = ep->local;
	return local.sa.sa_family ? eta_addr_give(&local, addr, addrlen) : -FI_EADDRNOTAVAIL;
}

static int ep_getpeer(struct fid_ep *fid, void *addr, size_t *addrlen)
{
	struct eta_ep *ep = eta_ep_of(fid);
	union fab_addr peer;
	int ret;

	if (!addrlen)
		return -FI_EINVAL;
	ret = ep->dti ? ppe_dti_peer(ep->dti, &peer) : -FI_ENOTCONN;
	return ret ? ret : eta_addr_give(&peer, addr, addrlen);
}

/* ---------------------------------------------------------------------------------- binding */

static int bind_eq(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	struct eta_eq *eq = eta_container(bfid, struct eta_eq, fid.fid);

	if (flags || ep->eq)
		return -FI_EINVAL;
	if (eq->fabric != ep->domain->fabric)
		return -FI_EDOMAIN;
	atomic_fetch_add(&eq->refs, 1);
	ep->eq = eq;
	return 0;
}

static int bind_cq(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	struct eta_cq *cq = eta_container(bfid, struct eta_cq, fid.fid);

	if (flags & ~(FI_TRANSMIT | FI_RECV | FI_SELECTIVE_COMPLETION))
		return -FI_EBADFLAGS;
	if (!(flags & (FI_TRANSMIT | FI_RECV)) || ((flags & FI_TRANSMIT) && ep->tx_cq) ||
	    ((flags & FI_RECV) && ep->rx_cq))
		return -FI_EINVAL;
	if (cq->domain != ep->domain)
		return -FI_EDOMAIN;
	if (flags & FI_TRANSMIT) {
		atomic_fetch_add(&cq->refs, 1);
		ep->tx_cq = cq;
		ep->tx_selective = flags & FI_SELECTIVE_COMPLETION;
	}
	if (flags & FI_RECV) {
		atomic_fetch_add(&cq->refs, 1);
		ep->rx_cq = cq;
		ep->rx_selective = flags & FI_SELECTIVE_COMPLETION;
	}
	return 0;
}

static int ep_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct eta_ep *ep = ep_of(fid);

	if (!bfid)
		return -FI_EINVAL;
	if (ep->dti)
		return -FI_EOPBADSTATE;
	switch (bfid->fclass) {
	case FI_CLASS_EQ:
		return bind_eq(ep, bfid, flags);
	case FI_CLASS_CQ:
		return bind_cq(ep, bfid, flags);
	default:
		return -FI_EINVAL;
	}
}

/* --------------------------------------------------------------------------------- enabling */

/* What posts without flags of their own do, once and for all. */
static void choose_post_flags(struct eta_ep *ep)
{
	bool tx = !ep->tx_selective || (ep->tx_op_flags & FI_COMPLETION);
	bool rx = !ep->rx_selective || (ep->rx_op_flags & FI_COMPLETION);

	ep->send_flags = tx ? 0 : PPE_POST_SILENT;
	ep->recv_flags = rx ? 0 : PPE_POST_SILENT;
}

static int check_bound(const struct eta_ep *ep)
{
	if (!ep->eq)
		return -FI_ENOEQ;
	if (((ep->caps & FI_SEND) && !ep->tx_cq) || ((ep->caps & FI_RECV) && !ep->rx_cq) ||
	    (!ep->tx_cq && !ep->rx_cq))
		return -FI_ENOCQ;
	return 0;
}

static int dti_create(struct eta_ep *ep, struct ppe_dti **dti)
{
	struct ppe_dti_attr attr = {
		.service = PPE_MESSAGE,
		.flags = ep->domain->lock_posts ? PPE_LOCKED : 0,
		.sq_slots = ep->tx_size,
		.rq_slots = ep->rx_size,
		.tx_evq = ep->tx_cq ? ep->tx_cq->evq : ep->rx_cq->evq,
		.rx_evq = ep->rx_cq ? ep->rx_cq->evq : ep->tx_cq->evq,
		.cm_evq = ep->eq->evq,
		.cookie = (uintptr_t)&ep->fid.fid,
	};
	int ret = ppe_dti_create(ep->domain->fabric->ual, &attr, dti);

	/* an accepted connection has its address already */
	if (ret || ep->connreq || !ep->local.sa.sa_family)
		return ret;
	ret = ppe_dti_bind(*dti, &ep->local.sa, fab_addr_len(&ep->local));
	if (ret)
		ppe_dti_destroy(*dti, true);
	return ret;
}

static int ep_enable(struct eta_ep *ep)
{
	struct ppe_dti *dti;
	int ret;

	if (ep->dti)
		return 0;
	ret = check_bound(ep);
	if (!ret)
		ret = dti_create(ep, &dti);
	if (ret) {
		eta_warn(EP_CTRL, "cannot enable an endpoint: %s\n", fi_strerror(-ret));
		return ret;
	}
	choose_post_flags(ep);
	if (ppe_ual_placement(ep->domain->fabric->ual) == PPE_INLINE)
		ep->push = ep->tx_cq ? ep->tx_cq->evq : ep->rx_cq->evq;
	ep->region = ep->domain->all.region;
	ep->ptag = ep->domain->all.ptag;
	ep->fid.msg = eta_msg_ops;
	ep->dti = dti;
	return 0;
}

/* ------------------------------------------------------------------------------- connecting */

static int ep_connect(struct fid_ep *fid, const void *addr, const void *param, size_t paramlen)
{
	struct eta_ep *ep = eta_ep_of(fid);
	size_t timeout_s = eta_param_size("connect_timeout", 0, 0, 86400);
	union fab_addr peer = ep->peer;
	int ret = eta_cm_data_check(param, paramlen);

	if (ret)
		return ret;
	if (addr ? eta_addr_take(addr, &peer) : !peer.sa.sa_family)
		return -FI_EINVAL;
	if (ep->connreq)
		return -FI_EOPBADSTATE;
	ret = ep_enable(ep);
	if (ret)
		return ret;
	return ppe_dti_connect(ep->dti, &peer.sa, fab_addr_len(&peer),
			       timeout_s * UINT64_C(1000000000), 0, param, paramlen);
}

static int ep_accept(struct fid_ep *fid, const void *param, size_t paramlen)
{
	struct eta_ep *ep = eta_ep_of(fid);
	uint64_t request;
	int ret = eta_cm_data_check(param, paramlen);

	if (ret)
		return ret;
	if (!ep->connreq)
		return -FI_EOPBADSTATE;
	ret = ep_enable(ep);
	if (ret)
		return ret;
	ret = eta_connreq_take(ep->domain->fabric, ep->connreq, &request);
	if (ret)
		return -FI_EOPBADSTATE;
	return ppe_dti_accept_request(ep->dti, request, 0, param, paramlen);
}

static int ep_shutdown(struct fid_ep *fid, uint64_t flags)
{
	struct eta_ep *ep = eta_ep_of(fid);

	if (flags)
		return -FI_EBADFLAGS;
	return ep->dti ? ppe_dti_disconnect(ep->dti) : -FI_ENOTCONN;
}

/* ------------------------------------------------------------------- control and options */

static ssize_t ep_cancel(fid_t fid, void *context)
{
	struct eta_ep *ep = ep_of(fid);
	int ret;

	if (!ep->dti)
		return -FI_EOPBADSTATE;
	ret = ppe_dti_cancel(ep->dti, (uintptr_t)context, PPE_CANCEL_RECV | PPE_CANCEL_SEND);
	return ret < 0 ? ret : 0;
}

/* FI_TRANSMIT or FI_RECV in the value says whose flags. */
static int get_op_flags(struct eta_ep *ep, uint64_t *flags)
{
	switch (*flags & (FI_TRANSMIT | FI_RECV)) {
	case FI_TRANSMIT:
		*flags = ep->tx_op_flags;
		return 0;
	case FI_RECV:
		*flags = ep->rx_op_flags;
		return 0;
	default:
		return -FI_EINVAL;
	}
}

static int set_op_flags(struct eta_ep *ep, uint64_t flags)
{
	bool tx = flags & FI_TRANSMIT, rx = flags & FI_RECV;

	flags &= ~(FI_TRANSMIT | FI_RECV);
	if (tx == rx)
		return -FI_EINVAL;
	if (flags & ~(tx ? ETA_TX_OP_FLAGS : ETA_RX_OP_FLAGS))
		return -FI_EBADFLAGS;
	if (tx)
		ep->tx_op_flags = flags;
	else
		ep->rx_op_flags = flags;
	choose_post_flags(ep);
	return 0;
}

static int ep_control(struct fid *fid, int command, void *arg)
{
	struct eta_ep *ep = ep_of(fid);

	switch (command) {
	case FI_ENABLE:
		return ep_enable(ep);
	case FI_GETOPSFLAG:
		return arg ? get_op_flags(ep, arg) : -FI_EINVAL;
	case FI_SETOPSFLAG:
		return arg ? set_op_flags(ep, *(uint64_t *)arg) : -FI_EINVAL;
	default:
		return -FI_ENOSYS;
	}
}

/* In operations of one buffer; those of many, and injected ones, take up to four times as much. */
static ssize_t ep_tx_size_left(struct fid_ep *fid)
{
	struct eta_ep *ep = eta_ep_of(fid);

	return ep->dti ? (ssize_t)ppe_dti_room(ep->dti, false) : -FI_EOPBADSTATE;
}

static ssize_t ep_rx_size_left(struct fid_ep *fid)
{
	struct eta_ep *ep = eta_ep_of(fid);

	return ep->dti ? (ssize_t)ppe_dti_room(ep->dti, true) : -FI_EOPBADSTATE;
}

/* --------------------------------------------------------------------------------- the object */

static void unbind_all(struct eta_ep *ep)
{
	if (ep->tx_cq)
		atomic_fetch_sub(&ep->tx_cq->refs, 1);
	if (ep->rx_cq)
		atomic_fetch_sub(&ep->rx_cq->refs, 1);
	if (ep->eq)
		atomic_fetch_sub(&ep->eq->refs, 1);
}

static int ep_close(struct fid *fid)
{
	struct eta_ep *ep = ep_of(fid);

	if (ep->connreq)
		eta_connreq_drop(ep->domain->fabric, ep->connreq);
	if (ep->dti) {
		eta_eq_forget(ep->eq, ep->dti, fid);
		if (ep->tx_cq)
			eta_cq_purge(ep->tx_cq, fid);
		if (ep->rx_cq && ep->rx_cq != ep->tx_cq)
			eta_cq_purge(ep->rx_cq, fid);
	}
	unbind_all(ep);
	atomic_fetch_sub(&ep->domain->refs, 1);
	free(ep);
	return 0;
}

static ETA_OPS(fi_ops) ep_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = ep_close,
			.bind = ep_bind,
			.control = ep_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_ep) ep_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_ep),
			.cancel = ep_cancel,
			.getopt = eta_cm_getopt,
			.setopt = eta_cm_setopt,
			.tx_ctx = eta_no_tx_ctx,
			.rx_ctx = eta_no_rx_ctx,
			.rx_size_left = ep_rx_size_left,
			.tx_size_left = ep_tx_size_left,
		},
};

static ETA_OPS(fi_ops_cm) ep_cm_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_cm),
			.setname = ep_setname,
			.getname = ep_getname,
			.getpeer = ep_getpeer,
			.connect = ep_connect,
			.listen = eta_no_listen,
			.accept = ep_accept,
			.reject = eta_no_reject,
			.shutdown = ep_shutdown,
			.join = eta_no_join,
		},
};

static int check_info(const struct fi_info *info)
{
	if (!info || !info->ep_attr || info->ep_attr->type != FI_EP_MSG)
		return -FI_EINVAL;
	if (info->ep_attr->tx_ctx_cnt > 1 || info->ep_attr->rx_ctx_cnt > 1)
		return -FI_ENOSYS;
	if ((info->tx_attr && info->tx_attr->size > ETA_QUEUE_MAX) ||
	    (info->rx_attr && info->rx_attr->size > ETA_QUEUE_MAX))
		return -FI_EINVAL;
	return 0;
}

/* A handle is a request that waits for its answer, or a passive endpoint; it may be stale. */
static int take_handle(struct eta_ep *ep, const struct fid *handle)
{
	if (!handle)
		return 0;
	if (!eta_connreq_known(ep->domain->fabric, handle))
		return eta_pep_address(ep->domain->fabric, handle, &ep->local);
	ep->connreq = handle;
	return 0;
}

static int take_addrs(struct eta_ep *ep, const struct fi_info *info)
{
	if (info->src_addr && fab_addr_set(&ep->local, info->src_addr, info->src_addrlen))
		return -FI_EINVAL;
	if (info->dest_addr && fab_addr_set(&ep->peer, info->dest_addr, info->dest_addrlen))
		return -FI_EINVAL;
	return take_handle(ep, info->handle);
}

static void take_attrs(struct eta_ep *ep, const struct fi_info *info)
{
	uint64_t tx = info->tx_attr ? info->tx_attr->caps : 0;
	uint64_t rx = info->rx_attr ? info->rx_attr->caps : 0;

	/* without any direction, both */
	ep->caps = (info->caps | tx | rx) & (FI_SEND | FI_RECV);
	if (!ep->caps)
		ep->caps = FI_SEND | FI_RECV;
	ep->tx_size =
		info->tx_attr && info->tx_attr->size ? info->tx_attr->size : ETA_QUEUE_DEFAULT;
	ep->rx_size =
		info->rx_attr && info->rx_attr->size ? info->rx_attr->size : ETA_QUEUE_DEFAULT;
	ep->tx_op_flags = info->tx_attr ? info->tx_attr->op_flags & ETA_TX_OP_FLAGS : 0;
	ep->rx_op_flags = info->rx_attr ? info->rx_attr->op_flags & ETA_RX_OP_FLAGS : 0;
}

int eta_ep_open(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep_fid,
		void *context)
{
	struct eta_domain *d = eta_container(domain, struct eta_domain, fid);
	int ret = check_info(info);
	struct eta_ep *ep;

	if (ret)
		return ret;
	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return -FI_ENOMEM;
	ep->domain = d;
	ret = take_addrs(ep, info);
	if (ret) {
		free(ep);
		return ret;
	}
	take_attrs(ep, info);
	ep->fid.fid.fclass = FI_CLASS_EP;
	ep->fid.fid.context = context;
	ep->fid.fid.ops = ETA_OPS_PTR(fi_ops, ep_fid_ops);
	ep->fid.ops = ETA_OPS_PTR(fi_ops_ep, ep_ops);
	ep->fid.cm = ETA_OPS_PTR(fi_ops_cm, ep_cm_ops);
	ep->fid.msg = eta_msg_disabled_ops;
	ep->fid.rma = eta_no_rma_ops;
	ep->fid.tagged = eta_no_tagged_ops;
	ep->fid.atomic = eta_no_atomic_ops;
	ep->fid.collective = eta_no_collective_ops;
	atomic_fetch_add(&d->refs, 1);
	*ep_fid = &ep->fid;
	return 0;
}
