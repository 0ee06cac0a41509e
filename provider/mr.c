/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mr.c - fid_mr: memory regions and their keys.
 *
 * Sends and receives need none, and ignore the descriptor of one. A region is what a peer may later
 * name by its key; so keys are unique within their domain, and fit the 32 bits of an STag.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "eta.h"
#include "nosys.h"

#define MR_ACCESS (FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)

/* ----------------------------------------------------------------------------------- keys */

static struct eta_mr **bucket(struct eta_domain *d, uint64_t key)
{
	return &d->mrs[key % ETA_MR_BUCKETS];
}

static bool key_is_used(struct eta_domain *d, uint64_t key)
{
	const struct eta_mr *mr = *bucket(d, key);

	while (mr && mr->fid.key != key)
		mr = mr->next;
	return mr;
}

/* A key that nobody can guess, for applications that leave the choice to the provider. */
static int key_choose(struct eta_domain *d, uint64_t *key)
{
	uint32_t random;

	do {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -FI_EIO;
	} while (key_is_used(d, random));
	*key = random;
	return 0;
}

static int key_enter_locked(struct eta_domain *d, struct eta_mr *mr, uint64_t requested)
{
	int ret = 0;

	if (d->provider_keys)
		ret = key_choose(d, &requested);
	else if (requested > UINT32_MAX)
		ret = -FI_EKEYREJECTED;
	else if (key_is_used(d, requested))
		ret = -FI_ENOKEY;
	if (ret)
		return ret;
	mr->fid.key = requested;
	mr->next = *bucket(d, requested);
	*bucket(d, requested) = mr;
	return 0;
}

static int key_enter(struct eta_domain *d, struct eta_mr *mr, uint64_t requested)
{
	int ret;

	pthread_mutex_lock(&d->lock);
	ret = key_enter_locked(d, mr, requested);
	pthread_mutex_unlock(&d->lock);
	if (ret)
		eta_info(MR, "key 0x%llx: %s\n", (unsigned long long)requested, fi_strerror(-ret));
	return ret;
}

static void key_leave(struct eta_domain *d, struct eta_mr *mr)
{
	struct eta_mr **at;

	pthread_mutex_lock(&d->lock);
	for (at = bucket(d, mr->fid.key); *at != mr; at = &(*at)->next)
		;
	*at = mr->next;
	pthread_mutex_unlock(&d->lock);
}

/* -------------------------------------------------------------------------------- the object */

static int mr_close(struct fid *fid)
{
	struct eta_mr *mr = eta_container(fid, struct eta_mr, fid.fid);
	struct eta_domain *d = mr->domain;

	key_leave(d, mr);
	ppe_mr_deregister(d->fabric->ual, mr->ppe);
	atomic_fetch_sub(&d->refs, 1);
	free(mr);
	return 0;
}

static ETA_OPS(fi_ops) mr_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = mr_close,
			.bind = eta_no_bind,
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static unsigned ppe_access(uint64_t access)
{
	return (access & (FI_SEND | FI_WRITE) ? PPE_ACCESS_LOCAL_READ : 0) |
	       (access & (FI_RECV | FI_READ) ? PPE_ACCESS_LOCAL_WRITE : 0) |
	       (access & FI_REMOTE_READ ? PPE_ACCESS_REMOTE_READ : 0) |
	       (access & FI_REMOTE_WRITE ? PPE_ACCESS_REMOTE_WRITE : 0);
}

static int mr_register(struct eta_domain *d, const struct fi_mr_attr *attr, struct fid_mr **out)
{
	struct eta_mr *mr = calloc(1, sizeof(*mr));
	int ret;

	if (!mr)
		return -FI_ENOMEM;
	ret = ppe_mr_register(d->fabric->ual, attr->mr_iov->iov_base, attr->mr_iov->iov_len,
			      ppe_access(attr->access), &mr->ppe);
	if (ret)
		goto free_mr;
	ret = key_enter(d, mr, attr->requested_key);
	if (ret)
		goto deregister;
	mr->domain = d;
	mr->fid.fid.fclass = FI_CLASS_MR;
	mr->fid.fid.context = attr->context;
	mr->fid.fid.ops = ETA_OPS_PTR(fi_ops, mr_fid_ops);
	mr->fid.mem_desc = mr;
	atomic_fetch_add(&d->refs, 1);
	*out = &mr->fid;
	return 0;
deregister:
	ppe_mr_deregister(d->fabric->ual, mr->ppe);
free_mr:
	free(mr);
	return ret;
}

/* A flag that is not understood may mean that attr is to be read in another way. */
static int mr_reg_checked(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
			  struct fid_mr **mr)
{
	if (!fid || fid->fclass != FI_CLASS_DOMAIN || !mr)
		return -FI_EINVAL;
	if (flags)
		return -FI_EBADFLAGS;
	if (!attr->mr_iov || attr->iov_count != 1 || attr->offset || !attr->access ||
	    (attr->access & ~MR_ACCESS))
		return -FI_EINVAL;
	return mr_register(eta_container(fid, struct eta_domain, fid.fid), attr, mr);
}

static int mr_regattr(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
		      struct fid_mr **mr)
{
	if (!fid || fid->fclass != FI_CLASS_DOMAIN || !attr)
		return -FI_EINVAL;
	if (attr->auth_key_size &&
	    eta_container(fid, struct eta_domain, fid.fid)->fabric->fid.api_version >=
		    FI_VERSION(1, 5))
		return -FI_EINVAL;
	return mr_reg_checked(fid, attr, flags, mr);
}

static int mr_regv(struct fid *fid, const struct iovec *iov, size_t count, uint64_t access,
		   uint64_t offset, uint64_t requested_key, uint64_t flags, struct fid_mr **mr,
		   void *context)
{
	struct fi_mr_attr attr = {
		.mr_iov = iov,
		.iov_count = count,
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
