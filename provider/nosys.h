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
int eta_no_av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **av,
		   void *context);
int eta_no_scalable_ep(struct fid_domain *domain, struct fi_info *info, struct fid_ep **sep,
		       void *context);
int eta_no_cntr_open(struct fid_domain *domain, struct fi_cntr_attr *attr, struct fid_cntr **cntr,
		     void *context);
int eta_no_poll_open(struct fid_domain *domain, struct fi_poll_attr *attr,
		     struct fid_poll **pollset);
int eta_no_stx_ctx(struct fid_domain *domain, struct fi_tx_attr *attr, struct fid_stx **stx,
		   void *context);
int eta_no_srx_ctx(struct fid_domain *domain, struct fi_rx_attr *attr, struct fid_ep **rx_ep,
		   void *context);
int eta_no_query_atomic(struct fid_domain *domain, enum fi_datatype datatype, enum fi_op op,
			struct fi_atomic_attr *attr, uint64_t flags);
int eta_no_query_collective(struct fid_domain *domain, enum fi_collective_op coll,
			    struct fi_collective_attr *attr, uint64_t flags);
int eta_no_endpoint2(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep,
		     uint64_t flags, void *context);
/* endpoints */
ssize_t eta_no_cancel(fid_t fid, void *context);
int eta_no_tx_ctx(struct fid_ep *sep, int index, struct fi_tx_attr *attr, struct fid_ep **tx_ep,
		  void *context);
int eta_no_rx_ctx(struct fid_ep *sep, int index, struct fi_rx_attr *attr, struct fid_ep **rx_ep,
		  void *context);
ssize_t eta_no_size_left(struct fid_ep *ep);
/* connection management */
int eta_no_getpeer(struct fid_ep *ep, void *addr, size_t *addrlen);
int eta_no_connect(struct fid_ep *ep, const void *addr, const void *param, size_t paramlen);
int eta_no_listen(struct fid_pep *pep);
int eta_no_accept(struct fid_ep *ep, const void *param, size_t paramlen);
int eta_no_reject(struct fid_pep *pep, fid_t handle, const void *param, size_t paramlen);
int eta_no_shutdown(struct fid_ep *ep, uint64_t flags);
int eta_no_join(struct fid_ep *ep, const void *addr, uint64_t flags, struct fid_mc **mc,
		void *context);
/* messages with CQ data */
ssize_t eta_no_msg_senddata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			    uint64_t data, fi_addr_t dest_addr, void *context);
ssize_t eta_no_msg_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
			      fi_addr_t dest_addr);
extern struct fi_ops_rma *const eta_no_rma_ops;
extern struct fi_ops_tagged *const eta_no_tagged_ops;
extern struct fi_ops_atomic *const eta_no_atomic_ops;
extern struct fi_ops_collective *const eta_no_collective_ops;

#endif
