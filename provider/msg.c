/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* msg.c - messages without tags: fi_send, fi_recv and their variants. */
#include "eta.h"
#include "nosys.h"

/* --------------------------------------------------------------------------------- sending */

static ssize_t msg_send(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			fi_addr_t dest_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len);
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.nsge = 1,
		.flags = ep->send_flags,
		.peer = eta_dest(ep, dest_addr),
		.sge = &sge,
		.user_tag = (uintptr_t)context,
	};

	(void)desc;
	return len > ETA_MAX_MSG ? -FI_EMSGSIZE : eta_post_send(ep, &m);
}

static ssize_t msg_senddata(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			    uint64_t data, fi_addr_t dest_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len);
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.nsge = 1,
		.flags = ep->send_flags | PPE_POST_DATA,
		.peer = eta_dest(ep, dest_addr),
		.sge = &sge,
		.user_tag = (uintptr_t)context,
		.data = data,
	};

	(void)desc;
	return len > ETA_MAX_MSG ? -FI_EMSGSIZE : eta_post_send(ep, &m);
}

static ssize_t msg_sendv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t dest_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.flags = ep->send_flags,
		.peer = eta_dest(ep, dest_addr),
		.user_tag = (uintptr_t)context,
	};
	int ret = eta_send_list(ep, iov, count, sge, &m);

	(void)desc;
	return ret ? ret : eta_post_send(ep, &m);
}

ssize_t eta_sendmsg(struct eta_ep *ep, const struct fi_msg *msg, uint64_t flags,
		    const struct eta_defer *defer)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = { .op = PPE_OP_SEND };
	int ret;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~ETA_TX_CALL_FLAGS)
		return -FI_EBADFLAGS;
	ret = eta_send_list(ep, msg->msg_iov, msg->iov_count, sge, &m);
	m.peer = eta_dest(ep, msg->addr);
	m.user_tag = (uintptr_t)msg->context;
	m.data = msg->data;
	return ret ? ret : eta_post_tx(ep, &m, flags, defer);
}

static ssize_t msg_sendmsg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	return eta_sendmsg(eta_ep_of(fid), msg, flags, NULL);
}

static ssize_t inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr,
		      uint64_t data, uint32_t flags)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_msg m = {
		.op = PPE_OP_SEND,
		.flags = PPE_POST_SILENT | PPE_POST_INJECT | flags,
		.peer = eta_dest(ep, dest_addr),
		.inline_len = len,
		.inline_data = buf,
		.data = data,
	};

	return len > ETA_INJECT_SIZE ? -FI_EMSGSIZE : eta_post(ep, &m);
}

static ssize_t msg_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr)
{
	return inject(fid, buf, len, dest_addr, 0, 0);
}

static ssize_t msg_injectdata(struct fid_ep *fid, const void *buf, size_t len, uint64_t data,
			      fi_addr_t dest_addr)
{
	return inject(fid, buf, len, dest_addr, data, PPE_POST_DATA);
}

/* -------------------------------------------------------------------------------- receiving */

static ssize_t msg_recv(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src_addr,
			void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = eta_sge(ep, buf, len < UINT32_MAX ? len : UINT32_MAX);
	struct ppe_msg m = {
		.op = PPE_OP_RECV,
		.nsge = 1,
		.flags = ep->recv_flags,
		.peer = eta_source(ep, src_addr),
		.sge = &sge,
		.user_tag = (uintptr_t)context,
	};

	(void)desc;
	return eta_post_recv(ep, &m);
}

static ssize_t msg_recvv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t src_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = {
		.op = PPE_OP_RECV,
		.flags = ep->recv_flags,
		.peer = eta_source(ep, src_addr),
		.user_tag = (uintptr_t)context,
	};
	int ret = eta_recv_list(ep, iov, count, sge, &m);

	(void)desc;
	return ret ? ret : eta_post_recv(ep, &m);
}

ssize_t eta_recvmsg(struct eta_ep *ep, const struct fi_msg *msg, uint64_t flags,
		    const struct eta_defer *defer)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_msg m = { .op = PPE_OP_RECV };
	int ret = 0;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~ETA_RX_CALL_FLAGS)
		return -FI_EBADFLAGS;
	if (!(flags & (FI_PEEK | FI_DISCARD)))
		ret = eta_recv_list(ep, msg->msg_iov, msg->iov_count, sge, &m);
	m.peer = eta_source(ep, msg->addr);
	m.user_tag = (uintptr_t)msg->context;
	return ret ? ret : eta_post_rx(ep, &m, flags, defer);
}

static ssize_t msg_recvmsg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	return eta_recvmsg(eta_ep_of(fid), msg, flags, NULL);
}

static ETA_OPS(fi_ops_msg) msg_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_msg),
			.recv = msg_recv,
			.recvv = msg_recvv,
			.recvmsg = msg_recvmsg,
			.send = msg_send,
			.sendv = msg_sendv,
			.sendmsg = msg_sendmsg,
			.inject = msg_inject,
			.senddata = msg_senddata,
			.injectdata = msg_injectdata,
		},
};
struct fi_ops_msg *const eta_msg_ops = ETA_OPS_PTR(fi_ops_msg, msg_ops);

static ETA_OPS(fi_ops_msg) srx_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_msg),
			.recv = msg_recv,
			.recvv = msg_recvv,
			.recvmsg = msg_recvmsg,
			.send = eta_no_msg_send,
			.sendv = eta_no_msg_sendv,
			.sendmsg = eta_no_msg_sendmsg,
			.inject = eta_no_msg_inject,
			.senddata = eta_no_msg_senddata,
			.injectdata = eta_no_msg_injectdata,
		},
};
struct fi_ops_msg *const eta_srx_msg_ops = ETA_OPS_PTR(fi_ops_msg, srx_ops);
