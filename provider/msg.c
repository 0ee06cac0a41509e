/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg.c - posting sends and receives. No allocation, no search, no lock but the queue's own: every
 * call is one descriptor, and all of them end in post_send() or ppe_post_recv().
 *
 * Memory is named by address; the region is the domain's own, so descriptors that are passed in
 * (fi_mr_desc) are not looked at.
 */
#include <string.h>

#include "eta.h"
#include "nosys.h"

const char eta_inject_tag;

static struct ppe_sge sge_of(const struct eta_ep *ep, const void *buf, size_t len)
{
	return (struct ppe_sge){
		.addr = (uintptr_t)buf,
		.len = len,
		.region = ep->region,
		.ptag = ep->ptag,
	};
}

/* --------------------------------------------------------------------------------- sending */

/*
 * Under inline placement nobody looks until the application calls again, which it may do only after
 * its peer has answered by another way; so there the post runs the engine as well.
 */
static ssize_t post_one(struct eta_ep *ep, const struct ppe_post *post)
{
	ssize_t ret = ppe_post_send(ep->dti, post);

	if (ep->push && !ret && !(post->flags & PPE_POST_MORE))
		ppe_evq_read(ep->push, NULL, 0);
	return ret;
}

static ssize_t post_send(struct eta_ep *ep, const struct ppe_sge *sge, unsigned nsge, void *context,
			 unsigned flags)
{
	struct ppe_post post = {
		.user_tag = (uintptr_t)context,
		.sge = sge,
		.nsge = nsge,
		.flags = flags,
	};

	return post_one(ep, &post);
}

static ssize_t msg_send(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			fi_addr_t dest_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = sge_of(ep, buf, len);

	(void)desc;
	(void)dest_addr;
	if (len > ETA_MAX_MSG)
		return -FI_EMSGSIZE;
	return post_send(ep, &sge, 1, context, ep->send_flags);
}

static ssize_t send_iov(struct eta_ep *ep, const struct iovec *iov, size_t count, void *context,
			unsigned flags)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	size_t total = 0;

	if (count > ETA_IOV_LIMIT || (count && !iov))
		return -FI_EINVAL;
	for (size_t i = 0; i < count; i++) {
		/* no sum of limited terms can wrap */
		if (iov[i].iov_len > ETA_MAX_MSG)
			return -FI_EMSGSIZE;
		total += iov[i].iov_len;
		sge[i] = sge_of(ep, iov[i].iov_base, iov[i].iov_len);
	}
	if (total > ETA_MAX_MSG)
		return -FI_EMSGSIZE;
	return post_send(ep, sge, count, context, flags);
}

static ssize_t msg_sendv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t dest_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);

	(void)desc;
	(void)dest_addr;
	return send_iov(ep, iov, count, context, ep->send_flags);
}

/* The data are copied into the descriptor: the memory is the caller's again at once. */
static ssize_t post_inline(struct eta_ep *ep, const void *buf, size_t len, uint64_t user_tag,
			   unsigned flags)
{
	struct ppe_post post = {
		.user_tag = user_tag,
		.inline_data = buf,
		.inline_len = len,
		.flags = flags,
	};

	return post_one(ep, &post);
}

static ssize_t inject_iov(struct eta_ep *ep, const struct fi_msg *msg, unsigned flags)
{
	uint8_t data[ETA_INJECT_SIZE];
	size_t total = 0;

	if (msg->iov_count > ETA_IOV_LIMIT || (msg->iov_count && !msg->msg_iov))
		return -FI_EINVAL;
	for (size_t i = 0; i < msg->iov_count; i++) {
		const struct iovec *v = &msg->msg_iov[i];

		if (v->iov_len > sizeof(data) - total)
			return -FI_EMSGSIZE;
		if (v->iov_len)
			memcpy(data + total, v->iov_base, v->iov_len);
		total += v->iov_len;
	}
	return post_inline(ep, data, total, (uintptr_t)msg->context, flags);
}

static ssize_t msg_sendmsg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	struct eta_ep *ep = eta_ep_of(fid);
	unsigned post = ep->tx_selective && !(flags & FI_COMPLETION) ? PPE_POST_SILENT : 0;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~ETA_TX_OP_FLAGS)
		return -FI_EBADFLAGS;
	if (flags & FI_MORE)
		post |= PPE_POST_MORE;
	if (flags & FI_INJECT)
		return inject_iov(ep, msg, post);
	return send_iov(ep, msg->msg_iov, msg->iov_count, msg->context, post);
}

static ssize_t msg_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr)
{
	struct eta_ep *ep = eta_ep_of(fid);

	(void)dest_addr;
	if (len > ETA_INJECT_SIZE)
		return -FI_EMSGSIZE;
	return post_inline(ep, buf, len, (uintptr_t)&eta_inject_tag, PPE_POST_SILENT);
}

/* -------------------------------------------------------------------------------- receiving */

/* A buffer may be larger than any message; a descriptor's lengths may not. */
static uint32_t recv_len(size_t len, uint32_t room)
{
	return len < room ? len : room;
}

static ssize_t msg_recv(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src_addr,
			void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);
	struct ppe_sge sge = sge_of(ep, buf, recv_len(len, UINT32_MAX));
	struct ppe_post post = {
		.user_tag = (uintptr_t)context,
		.sge = &sge,
		.nsge = 1,
		.flags = ep->recv_flags,
	};

	(void)desc;
	(void)src_addr;
	return ppe_post_recv(ep->dti, &post);
}

static ssize_t recv_iov(struct eta_ep *ep, const struct iovec *iov, size_t count, void *context,
			unsigned flags)
{
	struct ppe_sge sge[ETA_IOV_LIMIT];
	struct ppe_post post = {
		.user_tag = (uintptr_t)context,
		.sge = sge,
		.nsge = count,
		.flags = flags,
	};
	uint32_t room = UINT32_MAX;

	if (count > ETA_IOV_LIMIT || (count && !iov))
		return -FI_EINVAL;
	for (size_t i = 0; i < count; i++) {
		sge[i] = sge_of(ep, iov[i].iov_base, recv_len(iov[i].iov_len, room));
		room -= sge[i].len;
	}
	return ppe_post_recv(ep->dti, &post);
}

static ssize_t msg_recvv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t src_addr, void *context)
{
	struct eta_ep *ep = eta_ep_of(fid);

	(void)desc;
	(void)src_addr;
	return recv_iov(ep, iov, count, context, ep->recv_flags);
}

static ssize_t msg_recvmsg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	struct eta_ep *ep = eta_ep_of(fid);
	unsigned post = ep->rx_selective && !(flags & FI_COMPLETION) ? PPE_POST_SILENT : 0;

	if (!msg)
		return -FI_EINVAL;
	if (flags & ~ETA_RX_OP_FLAGS)
		return -FI_EBADFLAGS;
	return recv_iov(ep, msg->msg_iov, msg->iov_count, msg->context, post);
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
			.senddata = eta_no_msg_senddata,
			.injectdata = eta_no_msg_injectdata,
		},
};
struct fi_ops_msg *const eta_msg_ops = ETA_OPS_PTR(fi_ops_msg, msg_ops);

/* ------------------------------------------------------------------------ not enabled yet */

static ssize_t off_recv(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src_addr,
			void *context)
{
	(void)fid, (void)buf, (void)len, (void)desc, (void)src_addr, (void)context;
	return -FI_EOPBADSTATE;
}

static ssize_t off_recvv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t src_addr, void *context)
{
	(void)fid, (void)iov, (void)desc, (void)count, (void)src_addr, (void)context;
	return -FI_EOPBADSTATE;
}

static ssize_t off_msg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	(void)fid, (void)msg, (void)flags;
	return -FI_EOPBADSTATE;
}

static ssize_t off_send(struct fid_ep *fid, const void *buf, size_t len, void *desc,
			fi_addr_t dest_addr, void *context)
{
	(void)fid, (void)buf, (void)len, (void)desc, (void)dest_addr, (void)context;
	return -FI_EOPBADSTATE;
}

static ssize_t off_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest_addr)
{
	(void)fid, (void)buf, (void)len, (void)dest_addr;
	return -FI_EOPBADSTATE;
}

static ETA_OPS(fi_ops_msg) disabled_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_msg),
			.recv = off_recv,
			.recvv = off_recvv,
			.recvmsg = off_msg,
			.send = off_send,
			.sendv = off_recvv,
			.sendmsg = off_msg,
			.inject = off_inject,
			.senddata = eta_no_msg_senddata,
			.injectdata = eta_no_msg_injectdata,
		},
};
struct fi_ops_msg *const eta_msg_disabled_ops = ETA_OPS_PTR(fi_ops_msg, disabled_ops);
