/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_place.c - memory that the device of a wire reaches by itself: in which regions it lies, and what
 * the peer is given keys to.
 *
 * A key is good for what the peer's messages would be good for, and judged the same way. What needs a
 * message all the same gets none: memory of several pieces, all of memory, what was announced.
 */
#include <errno.h>

#include "ppe/message.h"

bool link_places(const struct msg_link *l, uint32_t len)
{
	return len >= FAB_PLACE_MIN && l->d->ual->fabric.msg->region_gone;
}

static bool is_in(const struct ppe_sge *sge, const struct iovec *v)
{
	uint64_t base = (uintptr_t)v->iov_base;

	return base >= sge->addr && v->iov_len <= sge->len &&
	       base - sge->addr <= sge->len - v->iov_len;
}

/* Of two that overlap either will do: both were checked. */
void regions_name(struct ppe_ual *ual, const struct ppe_sge *sge, unsigned nsge,
		  const struct iovec *iov, unsigned n, struct fab_region **region)
{
	for (unsigned k = 0; k < n; k++) {
		unsigned i = 0;

		while (i < nsge && !is_in(&sge[i], &iov[k]))
			i++;
		region[k] = i < nsge ? mr_fabric_region(ual, sge[i].region) : NULL;
	}
}

void op_regions(const struct msg_op *op, const struct iovec *iov, unsigned n,
		struct fab_region **region)
{
	struct msg_view v;

	msg_view(op->s, op->s[0].wr.nslots, &v);
	regions_name(op->d->ual, v.sge, v.nsge, iov, n, region);
}

/* ------------------------------------------------------------------------- keys */

static int check(const struct msg_link *l, uint32_t stag, uint64_t to, uint32_t len,
		 unsigned access, struct iovec *iov, uint32_t *region)
{
	const struct msg_dti *m = l->d->m;

	if (!l->proven)
		return -EACCES;
	return m->pd ? pd_check(m->pd, m->auth, stag, to, len, access, iov, region) : -ENOKEY;
}

static bool is_announced(const struct msg_link *l, uint32_t stag, uint64_t to)
{
	return l->ulp && to >= ULP_SOURCE_TO && link_announced(l, stag);
}

int rx_key(struct msg_link *l, const struct fab_key_req *r, struct fab_key *key)
{
	unsigned access = r->write ? PPE_ACCESS_REMOTE_WRITE : PPE_ACCESS_REMOTE_READ;
	struct iovec iov[PPE_MR_IOV_MAX];
	uint32_t region;
	int n;

	if (l->proven && !r->write && is_announced(l, r->stag, r->to))
		return -EOPNOTSUPP;
	n = check(l, r->stag, r->to, r->len, access, iov, &region);
	if (n < 0)
		return n;
	if (n != 1)
		return -EOPNOTSUPP;
	key->region = mr_fabric_region(l->d->ual, region);
	key->addr = iov[0].iov_base;
	return key->region ? 0 : -EOPNOTSUPP;
}

/* As resp_sent() does. Whatever else it says it has read, it could not have. */
void rx_fetched(struct msg_link *l, const struct fab_read_req *r)
{
	struct iovec iov[PPE_MR_IOV_MAX];
	uint32_t region;

	if ((r->sink_to & ULP_SINK_MORE) || is_announced(l, r->stag, r->to) ||
	    check(l, r->stag, r->to, r->len, PPE_ACCESS_REMOTE_READ, iov, &region) < 0)
		return;
	mr_counted(l->d->ual, region, PPE_ACCESS_REMOTE_READ);
	msg_count(l->d, NULL, PPE_COUNT_REMOTE_READ, true);
}
