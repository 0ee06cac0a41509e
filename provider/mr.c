/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mr.c - fid_mr: memory that peers may name by a key. The keys are the engine's: its protection domain
 * is the namespace. What an application does with its own memory needs no region, and ignores the
 * descriptor of one.
 */
#include <stdlib.h>

#include "eta.h"
#include "nosys.h"

#define MR_ACCESS (FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)

static int mr_close(struct fid *fid)
{
	struct eta_mr *mr = eta_container(fid, struct eta_mr, fid.fid);
	struct eta_domain *d = mr->domain;

	ppe_mr_deregister(d->fabric->ual, mr->ppe);
	for (unsigned i = 0; i < 2; i++)
		if (mr->cntrs[i])
			atomic_fetch_sub(&mr->cntrs[i]->refs, 1);
	atomic_fetch_sub(&d->refs, 1);
	free(mr);
	return 0;
}

/* ---------------------------------------------------------------------------------- binding */

static int count(struct eta_mr *mr, unsigned which, unsigned access, struct eta_cntr *c)
{
	int ret;

	if (mr->cntrs[which])
		return -FI_EINVAL;
	ret = ppe_mr_count(mr->domain->fabric->ual, mr->ppe, access, c->ppe);
	if (ret)
		return ret;
	atomic_fetch_add(&c->refs, 1);
	mr->cntrs[which] = c;
	return 0;
}

static int bind_cntr(struct eta_mr *mr, struct fid *bfid, uint64_t flags)
{
	struct eta_cntr *c = eta_container(bfid, struct eta_cntr, fid.fid);
	int ret = 0;

	if (c->domain != mr->domain)
		return -FI_EDOMAIN;
	if (!flags || (flags & ~(FI_REMOTE_READ | FI_REMOTE_WRITE)))
		return -FI_EBADFLAGS;
	if (flags & FI_REMOTE_READ)
		ret = count(mr, 0, PPE_ACCESS_REMOTE_READ, c);
	if (!ret && (flags & FI_REMOTE_WRITE))
		ret = count(mr, 1, PPE_ACCESS_REMOTE_WRITE, c);
	return ret;
}

/* FI_MR_ENDPOINT is not required: all endpoints of a domain serve all of its regions. */
static int mr_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct eta_mr *mr = eta_container(fid, struct eta_mr, fid.fid);

	if (!bfid)
		return -FI_EINVAL;
	switch (bfid->fclass) {
	case FI_CLASS_CNTR:
		return bind_cntr(mr, bfid, flags);
	case FI_CLASS_EP:
		return eta_container(bfid, struct eta_ep, fid.fid)->domain == mr->domain
			       ? 0
			       : -FI_EDOMAIN;
	default:
		return -FI_EINVAL;
	}
}

/* A region is enabled from the beginning; saying so again is no error. */
static int mr_control(struct fid *fid, int command, void *arg)
{
	(void)fid, (void)arg;
	return command == FI_ENABLE ? 0 : -FI_ENOSYS;
}

static ETA_OPS(fi_ops) mr_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = mr_close,
			.bind = mr_bind,
			.control = mr_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

/* ------------------------------------------------------------------------------ registering */

/* Without any right there is nothing that peers may do; what is done here needs no region. */
static unsigned ppe_access(uint64_t access)
{
	return (!access || (access & (FI_SEND | FI_WRITE)) ? PPE_ACCESS_LOCAL_READ : 0) |
	       (access & (FI_RECV | FI_READ) ? PPE_ACCESS_LOCAL_WRITE : 0) |
	       (access & FI_REMOTE_READ ? PPE_ACCESS_REMOTE_READ : 0) |
	       (access & FI_REMOTE_WRITE ? PPE_ACCESS_REMOTE_WRITE : 0);
}

static int enter(struct eta_domain *d, const struct fi_mr_attr *attr, struct eta_mr *mr)
{
	struct eta_auth auth = { 0 };
	struct ppe_mr_attr a = {
		.pd = d->pd,
		.iov = attr->mr_iov,
		.niov = attr->iov_count,
		.access = ppe_access(attr->access),
		.offset = d->virtual_addresses ? (uintptr_t)attr->mr_iov->iov_base : 0,
		.choose_key = d->provider_keys,
		.key = attr->requested_key,
	};
	uint32_t key;
	int ret = eta_auth_take(&auth, d->fabric->fid.api_version, attr->auth_key,
				attr->auth_key_size, &d->auth);

	if (ret)
		return ret;
	if (!d->provider_keys && attr->requested_key > UINT32_MAX)
		return -FI_EKEYREJECTED;
	a.auth = auth.len ? auth.key : NULL;
	a.auth_len = auth.len;
	ret = ppe_mr_register_remote(d->fabric->ual, &a, &mr->ppe, &key);
	if (ret)
		return ret == -ENOKEY ? -FI_ENOKEY : ret;
	mr->fid.key = key;
	return 0;
}

static int mr_register(struct eta_domain *d, const struct fi_mr_attr *attr, struct fid_mr **out)
{
	struct eta_mr *mr = calloc(1, sizeof(*mr));
	int ret;

	if (!mr)
		return -FI_ENOMEM;
	ret = enter(d, attr, mr);
	if (ret) {
		eta_info(MR, "key 0x%llx: %s\n", (unsigned long long)attr->requested_key,
			 fi_strerror(-ret));
		free(mr);
		return ret;
	}
	mr->domain = d;
	mr->fid.fid.fclass = FI_CLASS_MR;
	mr->fid.fid.context = attr->context;
	mr->fid.fid.ops = ETA_OPS_PTR(fi_ops, mr_fid_ops);
	mr->fid.mem_desc = mr;
	atomic_fetch_add(&d->refs, 1);
	*out = &mr->fid;
	return 0;
}

/* A flag that is not understood may mean that attr is to be read in another way. */
static int mr_reg_checked(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
			  struct fid_mr **mr)
{
	if (!fid || fid->fclass != FI_CLASS_DOMAIN || !mr)
		return -FI_EINVAL;
	if (flags & ~FI_RMA_EVENT)
		return -FI_EBADFLAGS;
	if (!attr->mr_iov || !attr->iov_count || attr->iov_count > PPE_MR_IOV_MAX || attr->offset ||
	    (attr->access & ~MR_ACCESS))
		return -FI_EINVAL;
	return mr_register(eta_container(fid, struct eta_domain, fid.fid), attr, mr);
}

static int mr_regattr(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
		      struct fid_mr **mr)
{
	if (!attr)
		return -FI_EINVAL;
	return mr_reg_checked(fid, attr, flags, mr);
}

static int mr_regv(struct fid *fid, const struct iovec *iov, size_t count_iov, uint64_t access,
		   uint64_t offset, uint64_t requested_key, uint64_t flags, struct fid_mr **mr,
		   void *context)
{
	struct fi_mr_attr attr = {
		.mr_iov = iov,
		.iov_count = count_iov,
		.access = access,
		.offset = offset,
		.requested_key = requested_key,
		.context = context,
	};

	return mr_reg_checked(fid, &attr, flags, mr);
}

static int mr_reg(struct fid *fid, const void *buf, size_t len, uint64_t access, uint64_t offset,
		  uint64_t requested_key, uint64_t flags, struct fid_mr **mr, void *context)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return mr_regv(fid, &iov, 1, access, offset, requested_key, flags, mr, context);
}

static ETA_OPS(fi_ops_mr) mr_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_mr),
			.reg = mr_reg,
			.regv = mr_regv,
			.regattr = mr_regattr,
		},
};
struct fi_ops_mr *const eta_mr_ops = ETA_OPS_PTR(fi_ops_mr, mr_ops);
