/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rma.c - reads and writes of peers' memory: fi_read, fi_write and their variants. */
#include "eta.h"

/* Keys are STags: 32 bits. */
static int remote(uint64_t addr, size_t len, uint64_t key, struct ppe_rma *r)
{
	if (len > ETA_MAX_MSG)
		return -FI_EMSGSIZE;
	if (key > UINT32_MAX)
		return -FI_EKEYREJECTED;
	*r = (struct ppe_rma){ .addr = addr, .len = len, .key = key };
	return 0;
}

/* One buffer here, one there. */
static ssize_t rma_simple(struct fid_ep *fid, struct ppe_msg *m, const void *buf, size_t len,
			  fi_addr_t peer, uint64_t addr, uint64_t key, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len);
	struct ppe_rma r;
	int ret = remote(addr, len, key, &r);

	m->nsge = 1;
	m->sge = &sge;
	m->nrma = 1;
	m->rma = &r;
	m->flags |= ep->send_flags;
	m->peer = eta_dest(ep, peer);
	m->user_tag = (uintptr_t)context;
	return ret ? ret : eta_post_send(ep, m);
}

static size_t list_len(const struct ppe_msg *m)
{
	size_t len = 0;

	for (unsigned i = 0; i < m->nsge; i++)
		len += m->sge[i].len;
	return len;
}

static ssize_t rma_vector(struct fid_ep *fid, enum ppe_op op, const struct iovec *iov, size_t count,
			  fi_addr_t peer, uint64_t addr, uint64_t key, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_rma r;
	struct ppe_msg m = {
		.op = op,
		.nrma = 1,
		.flags = ep->send_flags,
		.peer = eta_dest(ep, peer),
		.rma = &r,
		.user_tag = (uintptr_t)context,
	};
	int ret = eta_send_list(ep, iov, count, sge, &m);

	if (!ret)
		ret = remote(addr, list_len(&m), key, &r);
	return ret ? ret : eta_post_send(ep, &m);
}

/* Both sides' lengths are the same, however they are cut. */
static int remote_list(const struct fi_rma_iov *iov, size_t count, struct ppe_rma *r,
		       struct ppe_msg *m)
{
	size_t total = 0;

	if (!count || count > ETA_RMA_IOV_LIMIT || !iov)
		return -FI_EINVAL;
	for (size_t i = 0; i < count; i++) {
		int ret = remote(iov[i].addr, iov[i].len, iov[i].key, &r[i]);

		if (ret)
			return ret;
		total += iov[i].len;
	}
	m->rma = r;
	m->nrma = count;
	return total == list_len(m) ? 0 : -FI_EINVAL;
}

ssize_t eta_rmamsg(struct eta_ep *ep, enum ppe_op op, const struct fi_msg_rma *msg, uint64_t flags,
		   const struct eta_defer *defer)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_rma r[ETA_RMA_IOV_LIMIT];
	struct ppe_msg m = { .op = op };
	uint64_t allowed = ETA_TX_CALL_FLAGS & ~(op == PPE_OP_READ ? FI_REMOTE_CQ_DATA : 0);
	int ret;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~allowed)
		return -FI_EBADFLAGS;
	ret = eta_send_list(ep, msg->msg_iov, msg->iov_count, sge, &m);
	if (!ret)
		ret = remote_list(msg->rma_iov, msg->rma_iov_count, r, &m);
	m.peer = eta_dest(ep, msg->addr);
	m.user_tag = (uintptr_t)msg->context;
	m.data = msg->data;
	return ret ? ret : eta_post_tx(ep, &m, flags, defer);
}

/* ------------------------------------------------------------------------------- the calls */

static ssize_t rma_read(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src_addr,
			uint64_t addr, uint64_t key, void *context)
{
	struct ppe_msg m = { .op = PPE_OP_READ };

	(void)desc;
	return rma_simple(fid, &m, buf, len, src_addr, addr, key, context);
}

static ssize_t rma_readv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t src_addr, uint64_t addr, uint64_t key, void *context)
{
	(void)desc;
	return rma_vector(fid, PPE_OP_READ, iov, count, src_addr, addr, key, context);
}

static ssize_t rma_readmsg(struct fid_ep *fid, const struct fi_msg_rma *msg, uint64_t flags)
{
	return eta_rmamsg(eta_ep_of(fid), PPE_OP_READ, msg, flags, NULL);
}

static ssize_t rma_write(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			 fi_addr_t dest_addr, uint64_t addr, uint64_t key, void *context)
{
	struct ppe_msg m = { .op = PPE_OP_WRITE };

	(void)desc;
	return rma_simple(fid, &m, buf, len, dest_addr, addr, key, context);
}

static ssize_t rma_writev(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			  fi_addr_t dest_addr, uint64_t addr, uint64_t key, void *context)
{
	(void)desc;
	return rma_vector(fid, PPE_OP_WRITE, iov, count, dest_addr, addr, key, context);
}

static ssize_t rma_writemsg(struct fid_ep *fid, const struct fi_msg_rma *msg, uint64_t flags)
{
	return eta_rmamsg(eta_ep_of(fid), PPE_OP_WRITE, msg, flags, NULL);
}

static ssize_t rma_writedata(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			     uint64_t data, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
			     void *context)
{
	struct ppe_msg m = { .op = PPE_OP_WRITE, .flags = PPE_POST_DATA, .data = data };

	(void)desc;
	return rma_simple(fid, &m, buf, len, dest_addr, addr, key, context);
}

static ssize_t inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr,
		      uint64_t addr, uint64_t key, uint64_t data, uint32_t flags)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_rma r;
	struct ppe_msg m = {
		.op = PPE_OP_WRITE,
		.nrma = 1,
		.flags = PPE_POST_SILENT | PPE_POST_INJECT | flags,
		.peer = eta_dest(ep, dest_addr),
		.inline_len = len,
		.inline_data = buf,
		.rma = &r,
		.data = data,
	};
	int ret = len > ETA_INJECT_SIZE ? -FI_EMSGSIZE : remote(addr, len, key, &r);

	return ret ? ret : eta_post(ep, &m);
}

static ssize_t rma_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr,
			  uint64_t addr, uint64_t key)
{
	return inject(fid, buf, len, dest_addr, addr, key, 0, 0);
}

static ssize_t rma_injectdata(struct fid_ep *fid, const void *buf, size_t len, uint64_t data,
			      fi_addr_t dest_addr, uint64_t addr, uint64_t key)
{
	return inject(fid, buf, len, dest_addr, addr, key, data, PPE_POST_DATA);
}

static ETA_OPS(fi_ops_rma) rma_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_rma),
			.read = rma_read,
			.readv = rma_readv,
			.readmsg = rma_readmsg,
			.write = rma_write,
			.writev = rma_writev,
			.writemsg = rma_writemsg,
			.inject = rma_inject,
			.writedata = rma_writedata,
			.injectdata = rma_injectdata,
		},
};
struct fi_ops_rma *const eta_rma_ops = ETA_OPS_PTR(fi_ops_rma, rma_ops);
