/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * post.c - where all operations end: flags of libfabric's become those of a descriptor, and it is
 * posted. No allocation, no search, no lock but the queue's own.
 *
 * Memory is named by address; the region is the domain's own, so descriptors that are passed in
 * (fi_mr_desc) are not looked at.
 */
#include <string.h>

#include "eta.h"

/* ---------------------------------------------------------------------------------- flags */

uint32_t eta_tx_flags(const struct eta_ep *ep, uint64_t flags)
{
	return (ep->tx_selective && !(flags & FI_COMPLETION) ? PPE_POST_SILENT : 0) |
	       (flags & FI_MORE ? PPE_POST_MORE : 0) |
	       (flags & FI_REMOTE_CQ_DATA ? PPE_POST_DATA : 0) |
	       (flags & FI_DELIVERY_COMPLETE ? PPE_POST_DELIVERY : 0) |
	       (flags & FI_FENCE ? PPE_POST_FENCE : 0);
}

uint32_t eta_rx_flags(const struct eta_ep *ep, uint64_t flags)
{
	return (ep->rx_selective && !(flags & FI_COMPLETION) ? PPE_POST_SILENT : 0) |
	       (flags & FI_MORE ? PPE_POST_MORE : 0) |
	       (flags & FI_MULTI_RECV ? PPE_POST_MULTI : 0) |
	       (flags & FI_PEEK ? PPE_POST_PEEK : 0) | (flags & FI_CLAIM ? PPE_POST_CLAIM : 0) |
	       (flags & FI_DISCARD ? PPE_POST_DISCARD : 0);
}

/* ---------------------------------------------------------------------------------- lists */

int eta_send_list(const struct eta_ep *ep, const struct iovec *iov, size_t count,
		  struct ppe_sge *sge, struct ppe_msg *m)
{
	size_t total = 0;

	if (count > ETA_IOV_LIMIT || (count && !iov))
		return -FI_EINVAL;
	for (size_t i = 0; i < count; i++) {
		/* no sum of limited terms can wrap */
		if (iov[i].iov_len > ETA_MAX_MSG)
			return -FI_EMSGSIZE;
		total += iov[i].iov_len;
		sge[i] = eta_sge(ep, iov[i].iov_base, iov[i].iov_len);
	}
	if (total > ETA_MAX_MSG)
		return -FI_EMSGSIZE;
	m->sge = sge;
	m->nsge = count;
	return 0;
}

/* Buffers may be larger than any message; a descriptor's lengths may not. */
int eta_recv_list(const struct eta_ep *ep, const struct iovec *iov, size_t count,
		  struct ppe_sge *sge, struct ppe_msg *m)
{
	size_t room = UINT32_MAX;

	if (count > ETA_IOV_LIMIT || (count && !iov))
		return -FI_EINVAL;
	for (size_t i = 0; i < count; i++) {
		size_t len = iov[i].iov_len < room ? iov[i].iov_len : room;

		sge[i] = eta_sge(ep, iov[i].iov_base, len);
		room -= len;
	}
	m->sge = sge;
	m->nsge = count;
	return 0;
}

/* The data go into the descriptor: the memory is the caller's again at once. */
static int gather(struct ppe_msg *m, uint8_t *data)
{
	uint32_t total = 0;

	for (unsigned i = 0; i < m->nsge; i++) {
		const struct ppe_sge *s = &m->sge[i];

		if (s->len > ETA_INJECT_SIZE - total)
			return -FI_EMSGSIZE;
		if (s->len)
			memcpy(data + total, (const void *)(uintptr_t)s->addr, s->len);
		total += s->len;
	}
	m->nsge = 0;
	m->inline_data = data;
	m->inline_len = total;
	return 0;
}

/* --------------------------------------------------------------------------------- posting */

ssize_t eta_post_off(struct eta_ep *ep, const struct ppe_msg *m)
{
	int ret;

	if (ep->fid.fid.fclass != FI_CLASS_SRX_CTX)
		return -FI_EOPBADSTATE;
	ret = eta_srx_enable(ep, NULL);
	return ret ? ret : ppe_post_message(ep->dti, m);
}

/* Deferred work makes no completion unless it is asked for, whatever the endpoint's rule is. */
static void defer_until(struct ppe_msg *m, uint64_t flags, const struct eta_defer *defer)
{
	m->flags |= PPE_POST_TRIGGER | PPE_POST_DEFERRED;
	if (!(flags & FI_COMPLETION))
		m->flags |= PPE_POST_SILENT;
	m->trigger = defer->trigger;
	m->complete = defer->complete;
	m->threshold = defer->threshold;
}

static bool sends_data(const struct ppe_msg *m)
{
	return m->op == PPE_OP_SEND || m->op == PPE_OP_WRITE || m->op == PPE_OP_ATOMIC;
}

ssize_t eta_post_tx(struct eta_ep *ep, struct ppe_msg *m, uint64_t flags,
		    const struct eta_defer *defer)
{
	uint8_t data[ETA_INJECT_SIZE];
	int ret = 0;

	m->flags |= eta_tx_flags(ep, flags);
	if (defer)
		defer_until(m, flags, defer);
	else if (flags & FI_TRIGGER)
		ret = eta_trigger_take(ep, m);
	if (!ret && (flags & FI_INJECT) && sends_data(m))
		ret = gather(m, data);
	return ret ? ret : eta_post(ep, m);
}

static int check_search(const struct ppe_msg *m)
{
	uint32_t search = m->flags & (PPE_POST_PEEK | PPE_POST_CLAIM);

	if ((m->flags & PPE_POST_DISCARD) && !search)
		return -FI_EINVAL;
	if ((m->flags & PPE_POST_MULTI) && search)
		return -FI_EINVAL;
	/* what is claimed is known by the context that it was found with */
	if ((m->flags & PPE_POST_CLAIM) && !m->user_tag)
		return -FI_EINVAL;
	return 0;
}

ssize_t eta_post_rx(struct eta_ep *ep, struct ppe_msg *m, uint64_t flags,
		    const struct eta_defer *defer)
{
	int ret;

	m->flags |= eta_rx_flags(ep, flags);
	/* these receive nothing */
	if (m->flags & (PPE_POST_PEEK | PPE_POST_DISCARD))
		m->nsge = 0;
	ret = check_search(m);
	if (defer)
		defer_until(m, flags, defer);
	else if (!ret && (flags & FI_TRIGGER))
		ret = eta_trigger_take(ep, m);
	return ret ? ret : eta_post(ep, m);
}
