/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ep.c - fid_ep: an endpoint of type FI_EP_MSG or FI_EP_RDM, and its aliases. It is bound and enabled
 * in ep_bind.c, named and connected in ep_cm.c; from fi_enable on it is a message DTI.
 */
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

static struct eta_ep *ep_of(struct fid *fid)
{
	return eta_container(fid, struct eta_ep, fid.fid);
}

/* --------------------------------------------------------------------------- default flags */

void eta_ep_choose_flags(struct eta_ep *ep)
{
	ep->send_flags = eta_tx_flags(ep, ep->tx_op_flags);
	ep->recv_flags = eta_rx_flags(ep, ep->rx_op_flags);
	/* one buffer for many messages is for those without tags */
	ep->trecv_flags = eta_rx_flags(ep, ep->rx_op_flags & ~FI_MULTI_RECV) | PPE_POST_TAGGED;
	ep->tx_slow = ep->tx_op_flags & (FI_INJECT | FI_TRIGGER);
	ep->rx_slow = ep->rx_op_flags & FI_TRIGGER;
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
	if (flags & ~((tx ? ETA_TX_OP_FLAGS : ETA_RX_OP_FLAGS) | FI_TRIGGER))
		return -FI_EBADFLAGS;
	if (tx)
		ep->tx_op_flags = flags;
	else
		ep->rx_op_flags = flags;
	eta_ep_choose_flags(ep);
	return 0;
}

int eta_ep_op_flags(struct eta_ep *ep, int command, uint64_t *flags)
{
	if (!flags)
		return -FI_EINVAL;
	return command == FI_GETOPSFLAG ? get_op_flags(ep, flags) : set_op_flags(ep, *flags);
}

/* --------------------------------------------------------------------------------- options */

/* A word, with its zero. */
static int give_path(struct eta_ep *ep, void *optval, size_t *optlen)
{
	const char *wire;
	size_t room;
	int ret;

	if (!optlen)
		return -FI_EINVAL;
	if (ep->type != FI_EP_MSG)
		return -FI_ENOPROTOOPT;
	ret = ep->dti ? ppe_dti_wire(ep->dti, 0, &wire) : -FI_ENOTCONN;
	if (ret)
		return ret;
	room = *optlen;
	*optlen = strlen(wire) + 1;
	if (room < *optlen)
		return -FI_ETOOSMALL;
	if (!optval)
		return -FI_EINVAL;
	memcpy(optval, wire, *optlen);
	return 0;
}

int eta_ep_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen)
{
	if (level == FI_OPT_ENDPOINT && optname == ETA_OPT_PATH)
		return give_path(ep_of(fid), optval, optlen);
	if (level == FI_OPT_ENDPOINT && optname == FI_OPT_MIN_MULTI_RECV)
		return eta_cm_give_size(ep_of(fid)->multi_min, optval, optlen);
	return eta_cm_getopt(fid, level, optname, optval, optlen);
}

int eta_ep_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen)
{
	struct eta_ep *ep = ep_of(fid);

	if (level != FI_OPT_ENDPOINT || optname != FI_OPT_MIN_MULTI_RECV)
		return eta_cm_setopt(fid, level, optname, optval, optlen);
	if (!optval || optlen != sizeof(size_t))
		return -FI_EINVAL;
	memcpy(&ep->multi_min, optval, sizeof(size_t));
	return ep->dti ? ppe_dti_set_multi_min(ep->dti, ep->multi_min) : 0;
}

/* --------------------------------------------------------------------------- small calls */

ssize_t eta_ep_cancel(fid_t fid, void *context)
{
	struct eta_ep *ep = ep_of(fid);
	int ret;

	if (!ep->dti)
		return -FI_EOPBADSTATE;
	ret = ppe_dti_cancel(ep->dti, (uintptr_t)context, PPE_CANCEL_RECV | PPE_CANCEL_SEND);
	/* what an endpoint has posted to its shared context */
	if (ret == -ENOENT && ep->srx && ep->srx->dti)
		ret = ppe_dti_cancel(ep->srx->dti, (uintptr_t)context, PPE_CANCEL_RECV);
	return ret < 0 ? ret : 0;
}

/* In operations of one buffer; those of many, and injected ones, take up to four times as much. */
static ssize_t ep_tx_size_left(struct fid_ep *fid)
{
	struct eta_ep *ep = eta_ep_of(fid);

	return ep->dti ? (ssize_t)ppe_dti_room(ep->dti, false) : -FI_EOPBADSTATE;
}

ssize_t eta_ep_rx_size_left(struct fid_ep *fid)
{
	struct eta_ep *ep = eta_ep_of(fid);

	return ep->dti ? (ssize_t)ppe_dti_room(ep->dti, true) : -FI_EOPBADSTATE;
}

/* --------------------------------------------------------------------------------- aliases */

/* The same DTI under another fid, with default flags of its own. */
static int alias_open(struct eta_ep *parent, const struct fi_alias *want)
{
	struct eta_ep *a;
	int ret;

	if (!want || !want->fid)
		return -FI_EINVAL;
	a = malloc(sizeof(*a));
	if (!a)
		return -FI_ENOMEM;
	memcpy(a, parent, sizeof(*a));
	atomic_init(&a->refs, 0);
	a->aliases = NULL;
	a->parent = parent;
	a->fid.fid.context = parent->fid.fid.context;
	ret = want->flags & ~(FI_TRANSMIT | FI_RECV) ? set_op_flags(a, want->flags) : 0;
	if (ret) {
		free(a);
		return ret;
	}
	a->aliases = parent->aliases;
	parent->aliases = a;
	atomic_fetch_add(&parent->refs, 1);
	*want->fid = &a->fid.fid;
	return 0;
}

static int alias_close(struct eta_ep *a)
{
	struct eta_ep **at = &a->parent->aliases;

	while (*at != a)
		at = &(*at)->aliases;
	*at = a->aliases;
	atomic_fetch_sub(&a->parent->refs, 1);
	free(a);
	return 0;
}

void eta_ep_begin(struct eta_ep *ep, struct ppe_dti *dti)
{
	for (struct eta_ep *a = ep; a; a = a->aliases) {
		a->tx_selective = ep->tx_selective;
		a->rx_selective = ep->rx_selective;
		a->push = ep->push;
		eta_ep_choose_flags(a);
		a->dti = dti;
	}
}

/* -------------------------------------------------------------------------------- control */

static int ep_control(struct fid *fid, int command, void *arg)
{
	struct eta_ep *ep = ep_of(fid);

	switch (command) {
	case FI_ENABLE:
		return eta_ep_enable(ep->parent ? ep->parent : ep);
	case FI_GETOPSFLAG:
	case FI_SETOPSFLAG:
		return eta_ep_op_flags(ep, command, arg);
	case FI_ALIAS:
		return alias_open(ep->parent ? ep->parent : ep, arg);
	default:
		return -FI_ENOSYS;
	}
}

/* ------------------------------------------------------------------------------ life and end */

void eta_ep_init(struct eta_ep *ep, struct eta_domain *domain)
{
	ep->domain = domain;
	/* no FI_MR_LOCAL: applications name their memory by address alone */
	ep->region = domain->all.region;
	ep->ptag = domain->all.ptag;
	ep->multi_min = ETA_MULTI_MIN;
}

static void dti_end(struct eta_ep *ep)
{
	struct fid *fid = &ep->fid.fid;

	if (ep->eq)
		eta_eq_forget(ep->eq, ep->dti, fid);
	else
		ppe_dti_destroy(ep->dti, true);
	if (ep->tx_cq)
		eta_cq_purge(ep->tx_cq, fid);
	if (ep->rx_cq && ep->rx_cq != ep->tx_cq)
		eta_cq_purge(ep->rx_cq, fid);
	if (ep->srx && ep->srx->rx_cq && ep->srx->rx_cq != ep->rx_cq)
		eta_cq_purge(ep->srx->rx_cq, fid);
}

static int ep_close(struct fid *fid)
{
	struct eta_ep *ep = ep_of(fid);

	if (ep->parent)
		return alias_close(ep);
	if (atomic_load(&ep->refs))
		return -FI_EBUSY;
	if (ep->connreq)
		eta_connreq_drop(ep->domain->fabric, ep->connreq);
	if (ep->dti)
		dti_end(ep);
	eta_ep_unbind_all(ep);
	atomic_fetch_sub(&ep->domain->refs, 1);
	free(ep);
	return 0;
}

static ETA_OPS(fi_ops) ep_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = ep_close,
			.bind = eta_ep_bind,
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
			.cancel = eta_ep_cancel,
			.getopt = eta_ep_getopt,
			.setopt = eta_ep_setopt,
			.tx_ctx = eta_no_tx_ctx,
			.rx_ctx = eta_no_rx_ctx,
			.rx_size_left = eta_ep_rx_size_left,
			.tx_size_left = ep_tx_size_left,
		},
};

static bool is_count(size_t contexts)
{
	return contexts <= 1 || contexts == FI_SHARED_CONTEXT;
}

static int check_info(const struct fi_info *info)
{
	if (!info || !info->ep_attr ||
	    (info->ep_attr->type != FI_EP_MSG && info->ep_attr->type != FI_EP_RDM))
		return -FI_EINVAL;
	if (!is_count(info->ep_attr->tx_ctx_cnt) || !is_count(info->ep_attr->rx_ctx_cnt))
		return -FI_ENOSYS;
	if ((info->tx_attr && info->tx_attr->size > ETA_QUEUE_MAX) ||
	    (info->rx_attr && info->rx_attr->size > ETA_QUEUE_MAX))
		return -FI_EINVAL;
	return 0;
}

/* A handle is a request that waits for its answer, or a passive endpoint; it may be stale. */
static int take_handle(struct eta_ep *ep, const struct fid *handle)
{
	if (!handle || ep->type != FI_EP_MSG)
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

/* Without any kind, messages; without any direction, both. */
static void take_caps(struct eta_ep *ep, const struct fi_info *info)
{
	uint64_t tx = info->tx_attr ? info->tx_attr->caps : 0;
	uint64_t rx = info->rx_attr ? info->rx_attr->caps : 0;

	ep->caps = info->caps | tx | rx;
	if (!(ep->caps & ETA_CAPS_KINDS))
		ep->caps |= FI_MSG;
	if (!(ep->caps & (FI_SEND | FI_RECV)))
		ep->caps |= FI_SEND | FI_RECV;
	if (ep->type != FI_EP_RDM)
		return;
	ep->peer_mask = UINT32_MAX;
	ep->directed = ep->caps & FI_DIRECTED_RECV;
	ep->source_err = ep->caps & FI_SOURCE_ERR;
}

static void take_attrs(struct eta_ep *ep, const struct fi_info *info)
{
	ep->shared_tx = info->ep_attr->tx_ctx_cnt == FI_SHARED_CONTEXT;
	ep->shared_rx = info->ep_attr->rx_ctx_cnt == FI_SHARED_CONTEXT;
	ep->tx_size =
		info->tx_attr && info->tx_attr->size ? info->tx_attr->size : ETA_QUEUE_DEFAULT;
	ep->rx_size =
		info->rx_attr && info->rx_attr->size ? info->rx_attr->size : ETA_QUEUE_DEFAULT;
	ep->tx_op_flags = info->tx_attr ? info->tx_attr->op_flags & ETA_TX_OP_FLAGS : 0;
	ep->rx_op_flags = info->rx_attr ? info->rx_attr->op_flags & ETA_RX_OP_FLAGS : 0;
}

static void choose_ops(struct eta_ep *ep)
{
	ep->fid.fid.ops = ETA_OPS_PTR(fi_ops, ep_fid_ops);
	ep->fid.ops = ETA_OPS_PTR(fi_ops_ep, ep_ops);
	ep->fid.cm = ep->type == FI_EP_MSG ? eta_msg_cm_ops : eta_rdm_cm_ops;
	ep->fid.msg = ep->caps & FI_MSG ? eta_msg_ops : eta_no_msg_ops;
	ep->fid.tagged = ep->caps & FI_TAGGED ? eta_tagged_ops : eta_no_tagged_ops;
	ep->fid.rma = ep->caps & FI_RMA ? eta_rma_ops : eta_no_rma_ops;
	ep->fid.atomic = ep->caps & FI_ATOMIC ? eta_atomic_ops : eta_no_atomic_ops;
	ep->fid.collective = eta_no_collective_ops;
}

int eta_ep_open(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep_fid,
		void *context)
{
	struct eta_domain *d = eta_domain_of(domain);
	int ret = check_info(info);
	struct eta_ep *ep;

	if (ret)
		return ret;
	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return -FI_ENOMEM;
	eta_ep_init(ep, d);
	ep->type = info->ep_attr->type;
	ret = take_addrs(ep, info);
	if (!ret)
		ret = eta_auth_take(&ep->auth, d->fabric->fid.api_version, info->ep_attr->auth_key,
				    info->ep_attr->auth_key_size, &d->auth);
	if (ret) {
		free(ep);
		return ret;
	}
	take_caps(ep, info);
	take_attrs(ep, info);
	choose_ops(ep);
	ep->fid.fid.fclass = FI_CLASS_EP;
	ep->fid.fid.context = context;
	atomic_fetch_add(&d->refs, 1);
	*ep_fid = &ep->fid;
	return 0;
}
