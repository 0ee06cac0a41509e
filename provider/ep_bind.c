/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ep_bind.c - what an endpoint is bound to, and fi_enable, which makes a DTI of all that. */
#include <string.h>

#include "eta.h"

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

/* In the order of enum ppe_counted. */
static const uint64_t counted[PPE_COUNTED] = { FI_SEND,  FI_RECV,        FI_READ,
					       FI_WRITE, FI_REMOTE_READ, FI_REMOTE_WRITE };

static int bind_cntr(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	struct eta_cntr *c = eta_container(bfid, struct eta_cntr, fid.fid);
	uint64_t left = flags;

	if (!flags)
		return -FI_EINVAL;
	if (c->domain != ep->domain)
		return -FI_EDOMAIN;
	for (unsigned i = 0; i < PPE_COUNTED; i++) {
		if ((flags & counted[i]) && ep->cntrs[i])
			return -FI_EINVAL;
		left &= ~counted[i];
	}
	if (left)
		return -FI_EBADFLAGS;
	for (unsigned i = 0; i < PPE_COUNTED; i++) {
		if (!(flags & counted[i]))
			continue;
		atomic_fetch_add(&c->refs, 1);
		ep->cntrs[i] = c;
	}
	return 0;
}

static int bind_av(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	struct eta_av *av = eta_container(bfid, struct eta_av, fid.fid);

	if (flags || ep->av || ep->type != FI_EP_RDM)
		return -FI_EINVAL;
	if (av->domain != ep->domain)
		return -FI_EDOMAIN;
	atomic_fetch_add(&av->refs, 1);
	ep->av = av;
	return 0;
}

static int bind_stx(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	struct eta_stx *stx = eta_container(bfid, struct eta_stx, fid.fid);

	if (flags || ep->stx || !ep->shared_tx)
		return -FI_EINVAL;
	if (stx->domain != ep->domain)
		return -FI_EDOMAIN;
	atomic_fetch_add(&stx->refs, 1);
	ep->stx = stx;
	return 0;
}

static int bind_srx(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	struct eta_ep *srx = eta_container(bfid, struct eta_ep, fid.fid);

	if (flags || ep->srx || !ep->shared_rx)
		return -FI_EINVAL;
	if (srx->domain != ep->domain)
		return -FI_EDOMAIN;
	atomic_fetch_add(&srx->refs, 1);
	ep->srx = srx;
	return 0;
}

static int bind_any(struct eta_ep *ep, struct fid *bfid, uint64_t flags)
{
	switch (bfid->fclass) {
	case FI_CLASS_EQ:
		return bind_eq(ep, bfid, flags);
	case FI_CLASS_CQ:
		return bind_cq(ep, bfid, flags);
	case FI_CLASS_CNTR:
		return bind_cntr(ep, bfid, flags);
	case FI_CLASS_AV:
		return bind_av(ep, bfid, flags);
	case FI_CLASS_STX_CTX:
		return bind_stx(ep, bfid, flags);
	case FI_CLASS_SRX_CTX:
		return bind_srx(ep, bfid, flags);
	default:
		return -FI_EINVAL;
	}
}

/* A shared receive context is told of receives, and nothing else. */
static int bind_to_srx(struct eta_ep *srx, struct fid *bfid, uint64_t flags)
{
	int ret;

	if (!(flags & FI_RECV) || (flags & ~(FI_RECV | FI_SELECTIVE_COMPLETION)) ||
	    (bfid->fclass != FI_CLASS_CQ && bfid->fclass != FI_CLASS_CNTR))
		return -FI_EINVAL;
	ret = bind_any(srx, bfid, flags);
	if (!ret)
		eta_ep_choose_flags(srx);
	return ret;
}

int eta_ep_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct eta_ep *ep = eta_container(fid, struct eta_ep, fid.fid);

	if (!bfid || ep->parent)
		return -FI_EINVAL;
	if (ep->dti)
		return -FI_EOPBADSTATE;
	if (fid->fclass == FI_CLASS_SRX_CTX)
		return bind_to_srx(ep, bfid, flags);
	return bind_any(ep, bfid, flags);
}

void eta_ep_unbind_all(struct eta_ep *ep)
{
	if (ep->tx_cq)
		atomic_fetch_sub(&ep->tx_cq->refs, 1);
	if (ep->rx_cq)
		atomic_fetch_sub(&ep->rx_cq->refs, 1);
	for (unsigned i = 0; i < PPE_COUNTED; i++)
		if (ep->cntrs[i])
			atomic_fetch_sub(&ep->cntrs[i]->refs, 1);
	if (ep->av)
		atomic_fetch_sub(&ep->av->refs, 1);
	if (ep->stx)
		atomic_fetch_sub(&ep->stx->refs, 1);
	if (ep->srx)
		eta_srx_put(ep->srx);
	if (ep->eq)
		atomic_fetch_sub(&ep->eq->refs, 1);
}

/* --------------------------------------------------------------------------------- enabling */

static bool counts(const struct eta_ep *ep, uint64_t what)
{
	for (unsigned i = 0; i < PPE_COUNTED; i++)
		if ((counted[i] & what) && ep->cntrs[i])
			return true;
	return false;
}

/*
 * Ends of operations must be told of, by one way or the other. A datagram endpoint that is bound for
 * one direction only may leave the other alone: what it is for may be its peers' RMA.
 */
static int check_bound(const struct eta_ep *ep)
{
	bool tx = ep->tx_cq || counts(ep, FI_SEND | FI_READ | FI_WRITE);
	bool rx = ep->rx_cq || counts(ep, FI_RECV) || (ep->srx && ep->srx->rx_cq);

	if (ep->type == FI_EP_MSG && !ep->eq)
		return -FI_ENOEQ;
	if (ep->type == FI_EP_RDM && !ep->av)
		return -FI_ENOAV;
	if ((ep->shared_tx && !ep->stx) || (ep->shared_rx && !ep->srx))
		return -FI_EOPBADSTATE;
	if (ep->type == FI_EP_RDM)
		return tx || rx ? 0 : -FI_ENOCQ;
	if (((ep->caps & FI_SEND) && !tx) || ((ep->caps & FI_RECV) && !rx) || (!tx && !rx))
		return -FI_ENOCQ;
	return 0;
}

/* Whose poller is to find what has been sent; it need not be told of it. */
static struct ppe_evq *tx_evq(const struct eta_ep *ep)
{
	if (ep->tx_cq)
		return ep->tx_cq->evq;
	for (unsigned i = 0; i < PPE_COUNTED; i++)
		if (ep->cntrs[i])
			return ppe_cntr_evq(ep->cntrs[i]->ppe);
	return ep->rx_cq ? ep->rx_cq->evq : ep->domain->idle;
}

/* Receives of a shared context are the endpoint's own affair once they have met a message. */
static struct ppe_evq *rx_evq(const struct eta_ep *ep)
{
	if (ep->rx_cq)
		return ep->rx_cq->evq;
	if (ep->srx && ep->srx->rx_cq)
		return ep->srx->rx_cq->evq;
	return ep->cntrs[1] ? ppe_cntr_evq(ep->cntrs[1]->ppe) : NULL;
}

static void fill_attr(const struct eta_ep *ep, struct ppe_dti_attr *a)
{
	const struct eta_domain *d = ep->domain;

	a->service = PPE_MESSAGE;
	a->flags = d->lock_posts ? PPE_LOCKED : 0;
	a->sq_slots = ep->tx_size;
	a->rq_slots = ep->rx_size;
	a->tx_evq = tx_evq(ep);
	a->rx_evq = rx_evq(ep);
	a->cm_evq = ep->eq ? ep->eq->evq : d->idle;
	a->no_tx_events = !ep->tx_cq;
	a->no_rx_events = !ep->rx_cq && !(ep->srx && ep->srx->rx_cq);
	a->cookie = (uintptr_t)&ep->fid.fid;
	a->pd = ep->caps & (FI_RMA | FI_ATOMIC) ? d->pd : NULL;
	a->av = ep->av ? ep->av->ppe : NULL;
	a->srq = ep->srx ? ep->srx->dti : NULL;
	a->auth = ep->auth.len ? ep->auth.key : NULL;
	a->auth_len = ep->auth.len;
	a->peer_timeout_ns = eta_param_size("peer_timeout", 60000, 0, UINT32_MAX) * 1000000;
	a->connect_timeout_ns =
		eta_param_size("connect_timeout", 0, 0, 86400) * UINT64_C(1000000000);
}

static int count_all(const struct eta_ep *ep, struct ppe_dti *dti)
{
	int ret = 0;

	for (unsigned i = 0; i < PPE_COUNTED && !ret; i++)
		if (ep->cntrs[i])
			ret = ppe_dti_count(dti, 1u << i, ep->cntrs[i]->ppe);
	return ret;
}

/* Its name: an accepted connection has one already, a datagram endpoint always needs one. */
static int set_address(const struct eta_ep *ep, struct ppe_dti *dti)
{
	union fab_addr any = ep->local;

	if (ep->type == FI_EP_RDM) {
		if (!any.sa.sa_family)
			eta_addr_any(ep->domain->family, &any);
		return eta_cm_listen(dti, &any, 0);
	}
	if (ep->connreq || !ep->local.sa.sa_family)
		return 0;
	return ppe_dti_bind(dti, &ep->local.sa, fab_addr_len(&ep->local));
}

static int dti_create(const struct eta_ep *ep, struct ppe_dti **out)
{
	struct ppe_dti_attr attr = { 0 };
	struct ppe_dti *dti;
	int ret;

	fill_attr(ep, &attr);
	ret = ppe_dti_create(ep->domain->fabric->ual, &attr, &dti);
	if (ret)
		return ret;
	ret = count_all(ep, dti);
	if (!ret && !ep->srx)
		ret = ppe_dti_set_multi_min(dti, ep->multi_min);
	if (!ret)
		ret = set_address(ep, dti);
	if (ret) {
		ppe_dti_destroy(dti, true);
		return ret;
	}
	*out = dti;
	return 0;
}

int eta_ep_enable(struct eta_ep *ep)
{
	struct ppe_dti *dti;
	int ret;

	if (ep->dti)
		return 0;
	ret = check_bound(ep);
	if (!ret && ep->srx)
		ret = eta_srx_enable(ep->srx, ep->rx_cq);
	if (!ret)
		ret = dti_create(ep, &dti);
	if (ret) {
		eta_warn(EP_CTRL, "cannot enable an endpoint: %s\n", fi_strerror(-ret));
		return ret;
	}
	if (ppe_ual_placement(ep->domain->fabric->ual) == PPE_INLINE)
		ep->push = tx_evq(ep);
	eta_ep_begin(ep, dti);
	return 0;
}
