/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* tagged.c - messages with tags: fi_tsend, fi_trecv and their variants. */
#include "eta.h"
#include "nosys.h"

/* --------------------------------------------------------------------------------- sending */

static ssize_t tagged_send(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			   fi_addr_t dest_addr, uint64_t tag, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len);
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.nsge = 1,
		.flags = ep->send_flags | PPE_POST_TAGGED,
		.peer = eta_dest(ep, dest_addr),
		.sge = &sge,
		.user_tag = (uintptr_t)context,
		.tag = tag,
	};

	(void)desc;
	return len > ETA_MAX_MSG ? -FI_EMSGSIZE : eta_post_send(ep, &m);
}

static ssize_t tagged_senddata(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			       uint64_t data, fi_addr_t dest_addr, uint64_t tag, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len);
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.nsge = 1,
		.flags = ep->send_flags | PPE_POST_TAGGED | PPE_POST_DATA,
		.peer = eta_dest(ep, dest_addr),
		.sge = &sge,
		.user_tag = (uintptr_t)context,
		.tag = tag,
		.data = data,
	};

	(void)desc;
	return len > ETA_MAX_MSG ? -FI_EMSGSIZE : eta_post_send(ep, &m);
}

static ssize_t tagged_sendv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			    fi_addr_t dest_addr, uint64_t tag, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.flags = ep->send_flags | PPE_POST_TAGGED,
		.peer = eta_dest(ep, dest_addr),
		.user_tag = (uintptr_t)context,
		.tag = tag,
	};
	int ret = eta_send_list(ep, iov, count, sge, &m);

	(void)desc;
	return ret ? ret : eta_post_send(ep, &m);
}

ssize_t eta_tsendmsg(struct eta_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags,
		     const struct eta_defer *defer)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = { .op = PPE_OP_SEND, .flags = PPE_POST_TAGGED };
	int ret;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~ETA_TX_CALL_FLAGS)
		return -FI_EBADFLAGS;
	ret = eta_send_list(ep, msg->msg_iov, msg->iov_count, sge, &m);
	m.peer = eta_dest(ep, msg->addr);
	m.user_tag = (uintptr_t)msg->context;
	m.tag = msg->tag;
	m.data = msg->data;
	return ret ? ret : eta_post_tx(ep, &m, flags, defer);
}

static ssize_t tagged_sendmsg(struct fid_ep *fid, const struct fi_msg_tagged *msg, uint64_t flags)
{
	return eta_tsendmsg(eta_ep_of(fid), msg, flags, NULL);
}

static ssize_t inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr,
		      uint64_t tag, uint64_t data, uint32_t flags)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.flags = PPE_POST_SILENT | PPE_POST_INJECT | PPE_POST_TAGGED | flags,
		.peer = eta_dest(ep, dest_addr),
		.inline_len = len,
		.inline_data = buf,
		.tag = tag,
		.data = data,
	};

	return len > ETA_INJECT_SIZE ? -FI_EMSGSIZE : eta_post(ep, &m);
}

static ssize_t tagged_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr,
			     uint64_t tag)
{
	return inject(fid, buf, len, dest_addr, tag, 0, 0);
}

static ssize_t tagged_injectdata(struct fid_ep *fid, const void *buf, size_t len, uint64_t data,
				 fi_addr_t dest_addr, uint64_t tag)
{
	return inject(fid, buf, len, dest_addr, tag, data, PPE_POST_DATA);
}

/* -------------------------------------------------------------------------------- receiving */

static ssize_t tagged_recv(struct fid_ep *fid, void *buf, size_t len, void *desc,
			   fi_addr_t src_addr, uint64_t tag, uint64_t ignore, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len < UINT32_MAX ? len : UINT32_MAX);
	struct ppe_msg m = {
		.op = PPE_OP_RECV,
		.nsge = 1,
		.flags = ep->trecv_flags,
		.peer = eta_source(ep, src_addr),
		.sge = &sge,
		.user_tag = (uintptr_t)context,
		.tag = tag,
		.ignore = ignore,
	};

	(void)desc;
	return ep->rx_slow ? eta_post_rx(ep, &m, ep->rx_op_flags & ~FI_MULTI_RECV, NULL)
			   : eta_post(ep, &m);
}

static ssize_t tagged_recvv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			    fi_addr_t src_addr, uint64_t tag, uint64_t ignore, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = {
		.op = PPE_OP_RECV,
		.flags = ep->trecv_flags,
		.peer = eta_source(ep, src_addr),
		.user_tag = (uintptr_t)context,
		.tag = tag,
		.ignore = ignore,
	};
	int ret = eta_recv_list(ep, iov, count, sge, &m);

	(void)desc;
	return ret ? ret : eta_post_rx(ep, &m, ep->rx_op_flags & ~FI_MULTI_RECV, NULL);
}

ssize_t eta_trecvmsg(struct eta_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags,
		     const struct eta_defer *defer)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = { .op = PPE_OP_RECV, .flags = PPE_POST_TAGGED };
	int ret = 0;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~(ETA_RX_CALL_FLAGS & ~FI_MULTI_RECV))
		return -FI_EBADFLAGS;
	if (!(flags & (FI_PEEK | FI_DISCARD)))
		ret = eta_recv_list(ep, msg->msg_iov, msg->iov_count, sge, &m);
	m.peer = eta_source(ep, msg->addr);
	m.user_tag = (uintptr_t)msg->context;
	m.tag = msg->tag;
	m.ignore = msg->ignore;
	return ret ? ret : eta_post_rx(ep, &m, flags, defer);
}

static ssize_t tagged_recvmsg(struct fid_ep *fid, const struct fi_msg_tagged *msg, uint64_t flags)
{
	return eta_trecvmsg(eta_ep_of(fid), msg, flags, NULL);
}

static ETA_OPS(fi_ops_tagged) tagged_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_tagged),
			.recv = tagged_recv,
			.recvv = tagged_recvv,
			.recvmsg = tagged_recvmsg,
			.send = tagged_send,
			.sendv = tagged_sendv,
			.sendmsg = tagged_sendmsg,
			.inject = tagged_inject,
			.senddata = tagged_senddata,
			.injectdata = tagged_injectdata,
		},
};
struct fi_ops_tagged *const eta_tagged_ops = ETA_OPS_PTR(fi_ops_tagged, tagged_ops);

static ETA_OPS(fi_ops_tagged) srx_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_tagged),
			.recv = tagged_recv,
			.recvv = tagged_recvv,
			.recvmsg = tagged_recvmsg,
			.send = eta_no_tagged_send,
			.sendv = eta_no_tagged_sendv,
			.sendmsg = eta_no_tagged_sendmsg,
			.inject = eta_no_tagged_inject,
			.senddata = eta_no_tagged_senddata,
			.injectdata = eta_no_tagged_injectdata,
		},
};
struct fi_ops_tagged *const eta_srx_tagged_ops = ETA_OPS_PTR(fi_ops_tagged, srx_ops);
