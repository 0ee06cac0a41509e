/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* pep.c - fid_pep: listens, and refuses. What it hears is read from its event queue (eq.c). */
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

#define BACKLOG_DEFAULT 1024

static struct eta_pep *pep_of(struct fid *fid)
{
	return eta_container(fid, struct eta_pep, fid.fid);
}

/* ---------------------------------------------------------------------------------- names */

static int pep_setname(fid_t fid, void *addr, size_t addrlen)
{
	struct eta_pep *pep = pep_of(fid);

	if (pep->dti)
		return -FI_EOPBADSTATE;
	return fab_addr_set(&pep->addr, addr, addrlen) ? -FI_EINVAL : 0;
}

static int pep_getname(fid_t fid, void *addr, size_t *addrlen)
{
	struct eta_pep *pep = pep_of(fid);
	union fab_addr local = pep->addr;

	if (!addrlen)
		return -FI_EINVAL;
	if (pep->dti) {
		int ret = ppe_dti_local(pep->dti, &local);

		if (ret)
			return ret;
	}
	return eta_addr_give(&local, addr, addrlen);
}

/* -------------------------------------------------------------------------------- listening */

static int pep_listen(struct fid_pep *fid)
{
	struct eta_pep *pep = pep_of(&fid->fid);
	struct ppe_dti_attr attr = { .service = PPE_MESSAGE, .cookie = (uintptr_t)&fid->fid };
	char text[FAB_ADDR_STRLEN];
	struct ppe_dti *dti;
	int ret;

	if (!pep->eq)
		return -FI_ENOEQ;
	if (pep->dti)
		return -FI_EOPBADSTATE;
	attr.tx_evq = pep->eq->evq;
	ret = ppe_dti_create(pep->fabric->ual, &attr, &dti);
	if (ret)
		return ret;
	ret = eta_cm_listen(dti, &pep->addr, pep->backlog);
	if (ret) {
		eta_warn(EP_CTRL, "cannot listen on %s: %s\n", fab_addr_str(&pep->addr, text),
			 fi_strerror(-ret));
		ppe_dti_destroy(dti, true);
		return ret;
	}
	pep->dti = dti;
	return 0;
}

static int pep_reject(struct fid_pep *fid, fid_t handle, const void *param, size_t paramlen)
{
	struct eta_pep *pep = pep_of(&fid->fid);
	uint64_t request;
	int ret = eta_cm_data_check(param, paramlen);

	if (!ret)
		ret = eta_connreq_take(pep->fabric, handle, &request);
	return ret ? ret : ppe_ual_reject_request(pep->fabric->ual, request, param, paramlen);
}

/* --------------------------------------------------------------------------------- the object */

static void list_enter(struct eta_pep *pep)
{
	struct eta_fabric *f = pep->fabric;

	pthread_mutex_lock(&f->lock);
	pep->next = f->peps;
	f->peps = pep;
	pthread_mutex_unlock(&f->lock);
}

static void list_leave(struct eta_pep *pep)
{
	struct eta_fabric *f = pep->fabric;
	struct eta_pep **at;

	pthread_mutex_lock(&f->lock);
	for (at = &f->peps; *at != pep; at = &(*at)->next)
		;
	*at = pep->next;
	pthread_mutex_unlock(&f->lock);
}

int eta_pep_address(struct eta_fabric *fabric, const struct fid *handle, union fab_addr *addr)
{
	int ret = -FI_EINVAL;

	pthread_mutex_lock(&fabric->lock);
	for (const struct eta_pep *p = fabric->peps; p; p = p->next) {
		if (&p->fid.fid != handle)
			continue;
		ret = p->dti ? -FI_EOPBADSTATE : 0;
		if (!ret)
			*addr = p->addr;
	}
	pthread_mutex_unlock(&fabric->lock);
	return ret;
}

static int pep_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct eta_pep *pep = pep_of(fid);
	struct eta_eq *eq;

	if (!bfid || bfid->fclass != FI_CLASS_EQ || flags)
		return -FI_EINVAL;
	eq = eta_container(bfid, struct eta_eq, fid.fid);
	if (pep->eq || eq->fabric != pep->fabric)
		return -FI_EINVAL;
	atomic_fetch_add(&eq->refs, 1);
	pep->eq = eq;
	return 0;
}

static int pep_control(struct fid *fid, int command, void *arg)
{
	struct eta_pep *pep = pep_of(fid);

	if (command != FI_BACKLOG)
		return -FI_ENOSYS;
	if (!arg || *(int *)arg < 0)
		return -FI_EINVAL;
	if (pep->dti)
		return -FI_EOPBADSTATE;
	pep->backlog = *(int *)arg;
	return 0;
}

/* Requests that the application has been told of outlive the listener. */
static int pep_close(struct fid *fid)
{
	struct eta_pep *pep = pep_of(fid);

	list_leave(pep);
	if (pep->dti)
		eta_eq_forget(pep->eq, pep->dti, fid);
	if (pep->eq)
		atomic_fetch_sub(&pep->eq->refs, 1);
	atomic_fetch_sub(&pep->fabric->refs, 1);
	fi_freeinfo(pep->info);
	free(pep);
	return 0;
}

static ETA_OPS(fi_ops) pep_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = pep_close,
			.bind = pep_bind,
			.control = pep_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_ep) pep_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_ep),
			.cancel = eta_no_cancel,
			.getopt = eta_cm_getopt,
			.setopt = eta_cm_setopt,
			.tx_ctx = eta_no_tx_ctx,
			.rx_ctx = eta_no_rx_ctx,
			.rx_size_left = eta_no_size_left,
			.tx_size_left = eta_no_size_left,
		},
};

static ETA_OPS(fi_ops_cm) pep_cm_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_cm),
			.setname = pep_setname,
			.getname = pep_getname,
			.getpeer = eta_no_getpeer,
			.connect = eta_no_connect,
			.listen = pep_listen,
			.accept = eta_no_accept,
			.reject = pep_reject,
			.shutdown = eta_no_shutdown,
			.join = eta_no_join,
		},
};

/* Where to listen: the info's source address, else any of the family that it asks for. */
static int pep_address(const struct fi_info *info, union fab_addr *addr)
{
	int family = eta_addr_family(info->addr_format);

	if (family < 0)
		return -FI_EINVAL;
	if (info->src_addr)
		return fab_addr_set(addr, info->src_addr, info->src_addrlen) ? -FI_EINVAL : 0;
	eta_addr_any(family == AF_INET6 ? AF_INET6 : AF_INET, addr);
	return 0;
}

int eta_pep_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_pep **pep_fid,
		 void *context)
{
	struct eta_fabric *f = eta_container(fabric, struct eta_fabric, fid);
	struct eta_pep *pep;

	if (!info || !info->ep_attr || info->ep_attr->type != FI_EP_MSG)
		return -FI_EINVAL;
	pep = calloc(1, sizeof(*pep));
	if (!pep)
		return -FI_ENOMEM;
	if (pep_address(info, &pep->addr)) {
		free(pep);
		return -FI_EINVAL;
	}
	pep->info = fi_dupinfo(info);
	if (!pep->info) {
		free(pep);
		return -FI_ENOMEM;
	}
	pep->fabric = f;
	pep->backlog = BACKLOG_DEFAULT;
	pep->fid.fid.fclass = FI_CLASS_PEP;
	pep->fid.fid.context = context;
	pep->fid.fid.ops = ETA_OPS_PTR(fi_ops, pep_fid_ops);
	pep->fid.ops = ETA_OPS_PTR(fi_ops_ep, pep_ops);
	pep->fid.cm = ETA_OPS_PTR(fi_ops_cm, pep_cm_ops);
	atomic_fetch_add(&f->refs, 1);
	list_enter(pep);
	*pep_fid = &pep->fid;
	return 0;
}
