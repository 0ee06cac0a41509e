/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nosys.h - calls that are not offered: each says -FI_ENOSYS, which applications probe for. Every slot
 * of every ops table holds a function, so that no call goes through a null pointer.
 */
#ifndef ETA_NOSYS_H
#define ETA_NOSYS_H

#include <rdma/fi_atomic.h>
#include <rdma/fi_collective.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include "eta.h"

/* any object */
int eta_no_bind(struct fid *fid, struct fid *bfid, uint64_t flags);
int eta_no_control(struct fid *fid, int command, void *arg);
int eta_no_ops_open(struct fid *fid, const char *name, uint64_t flags, void **ops, void *context);
int eta_no_tostr(const struct fid *fid, char *buf, size_t len);
int eta_no_ops_set(struct fid *fid, const char *name, uint64_t flags, void *ops, void *context);
/* fabric */
int eta_no_wait_open(struct fid_fabric *fabric, struct fi_wait_attr *attr,
		     struct fid_wait **waitset);
int eta_no_domain2(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **dom,
		   uint64_t flags, void *context);
/* domain */
int eta_no_scalable_ep(struct fid_domain *domain, struct fi_info *info, struct fid_ep **sep,
		       void *context);
int eta_no_query_collective(struct fid_domain *domain, enum fi_collective_op coll,
			    struct fi_collective_attr *attr, uint64_t flags);
int eta_no_endpoint2(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep,
		     uint64_t flags, void *context);
/* address vectors */
int eta_no_av_set(struct fid_av *av, struct fi_av_set_attr *attr, struct fid_av_set **av_set,
		  void *context);
/* endpoints */
ssize_t eta_no_cancel(fid_t fid, void *context);
int eta_no_tx_ctx(struct fid_ep *sep, int index, struct fi_tx_attr *attr, struct fid_ep **tx_ep,
		  void *context);
int eta_no_rx_ctx(struct fid_ep *sep, int index, struct fi_rx_attr *attr, struct fid_ep **rx_ep,
		  void *context);
ssize_t eta_no_size_left(struct fid_ep *ep);
int eta_no_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen);
int eta_no_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen);
/* connection management */
int eta_no_getpeer(struct fid_ep *ep, void *addr, size_t *addrlen);
int eta_no_connect(struct fid_ep *ep, const void *addr, const void *param, size_t paramlen);
int eta_no_listen(struct fid_pep *pep);
int eta_no_accept(struct fid_ep *ep, const void *param, size_t paramlen);
int eta_no_reject(struct fid_pep *pep, fid_t handle, const void *param, size_t paramlen);
int eta_no_shutdown(struct fid_ep *ep, uint64_t flags);
int eta_no_join(struct fid_ep *ep, const void *addr, uint64_t flags, struct fid_mc **mc,
		void *context);
/* what a shared receive context cannot do */
ssize_t eta_no_msg_send(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			fi_addr_t dest_addr, void *context);
ssize_t eta_no_msg_sendv(struct fid_ep *ep, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t dest_addr, void *context);
ssize_t eta_no_msg_sendmsg(struct fid_ep *ep, const struct fi_msg *msg, uint64_t flags);
ssize_t eta_no_msg_inject(struct fid_ep *ep, const void *buf, size_t len, fi_addr_t dest_addr);
ssize_t eta_no_msg_senddata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			    uint64_t data, fi_addr_t dest_addr, void *context);
ssize_t eta_no_msg_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
			      fi_addr_t dest_addr);
ssize_t eta_no_tagged_send(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			   fi_addr_t dest_addr, uint64_t tag, void *context);
ssize_t eta_no_tagged_sendv(struct fid_ep *ep, const struct iovec *iov, void **desc, size_t count,
			    fi_addr_t dest_addr, uint64_t tag, void *context);
ssize_t eta_no_tagged_sendmsg(struct fid_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags);
ssize_t eta_no_tagged_inject(struct fid_ep *ep, const void *buf, size_t len, fi_addr_t dest_addr,
			     uint64_t tag);
ssize_t eta_no_tagged_senddata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			       uint64_t data, fi_addr_t dest_addr, uint64_t tag, void *context);
ssize_t eta_no_tagged_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
				 fi_addr_t dest_addr, uint64_t tag);
/* whole tables */
extern struct fi_ops_cm *const eta_no_cm_ops;
extern struct fi_ops_msg *const eta_no_msg_ops;
extern struct fi_ops_rma *const eta_no_rma_ops;
extern struct fi_ops_tagged *const eta_no_tagged_ops;
extern struct fi_ops_atomic *const eta_no_atomic_ops;
extern struct fi_ops_collective *const eta_no_collective_ops;

#endif
