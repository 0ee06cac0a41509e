/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ep_cm.c - names of endpoints, and the connections of those of type FI_EP_MSG. */
#include "eta.h"
#include "nosys.h"

/* An alias has no state of its own. */
static struct eta_ep *owner(struct eta_ep *ep)
{
	return ep->parent ? ep->parent : ep;
}

/* ------------------------------------------------------------------------------------ names */

static int ep_setname(fid_t fid, void *addr, size_t addrlen)
{
	struct eta_ep *ep = owner(eta_container(fid, struct eta_ep, fid.fid));

	if (ep->dti)
		return -FI_EOPBADSTATE;
	return fab_addr_set(&ep->local, addr, addrlen) ? -FI_EINVAL : 0;
}

static void set_port(union fab_addr *addr, const union fab_addr *from)
{
	if (addr->sa.sa_family == AF_INET)
		addr->in.sin_port = from->in.sin_port;
	else
		addr->in6.sin6_port = from->in6.sin6_port;
}

/* A datagram endpoint that listens everywhere still needs a name that peers can use. */
static void replace_wildcard(const struct eta_ep *ep, union fab_addr *local)
{
	union fab_addr own;

	if (ep->type != FI_EP_RDM || !eta_addr_is_any(local) ||
	    eta_info_own_address(local->sa.sa_family, ep->domain->iface, ep->domain->fabric->rdma,
				 &own))
		return;
	set_port(&own, local);
	*local = own;
}

/* Before it is enabled or connected, the name that it was given; its port may be 0. */
static int ep_getname(fid_t fid, void *addr, size_t *addrlen)
{
	struct eta_ep *ep = owner(eta_container(fid, struct eta_ep, fid.fid));
	union fab_addr local;

	if (!addrlen)
		return -FI_EINVAL;
	if (!ep->dti || ppe_dti_local(ep->dti, &local))
		local = ep->local;
	if (!local.sa.sa_family)
		return -FI_EADDRNOTAVAIL;
	replace_wildcard(ep, &local);
	return eta_addr_give(&local, addr, addrlen);
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

/* ------------------------------------------------------------------------------- connecting */

static int ep_connect(struct fid_ep *fid, const void *addr, const void *param, size_t paramlen)
{
	struct eta_ep *ep = owner(eta_ep_of(fid));
	size_t timeout_s = eta_param_size("connect_timeout", 0, 0, 86400);
	union fab_addr peer = ep->peer;
	int ret = eta_cm_data_check(param, paramlen);

	if (ret)
		return ret;
	if (addr ? eta_addr_take(addr, &peer) : !peer.sa.sa_family)
		return -FI_EINVAL;
	if (ep->connreq)
		return -FI_EOPBADSTATE;
	ret = eta_ep_enable(ep);
	if (ret)
		return ret;
	return ppe_dti_connect(ep->dti, &peer.sa, fab_addr_len(&peer),
			       timeout_s * UINT64_C(1000000000), 0, param, paramlen);
}

static int ep_accept(struct fid_ep *fid, const void *param, size_t paramlen)
{
	struct eta_ep *ep = owner(eta_ep_of(fid));
	uint64_t request;
	int ret = eta_cm_data_check(param, paramlen);

	if (ret)
		return ret;
	if (!ep->connreq)
		return -FI_EOPBADSTATE;
	ret = eta_ep_enable(ep);
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

static ETA_OPS(fi_ops_cm) msg_ops = {
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
struct fi_ops_cm *const eta_msg_cm_ops = ETA_OPS_PTR(fi_ops_cm, msg_ops);

static ETA_OPS(fi_ops_cm) rdm_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_cm),
			.setname = ep_setname,
			.getname = ep_getname,
			.getpeer = eta_no_getpeer,
			.connect = eta_no_connect,
			.listen = eta_no_listen,
			.accept = eta_no_accept,
			.reject = eta_no_reject,
			.shutdown = eta_no_shutdown,
			.join = eta_no_join,
		},
};
struct fi_ops_cm *const eta_rdm_cm_ops = ETA_OPS_PTR(fi_ops_cm, rdm_ops);
