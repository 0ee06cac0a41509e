/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* nosys.c - see nosys.h. The order is that of libfabric's headers. */
#include "nosys.h"

/* any object */

int eta_no_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	(void)fid, (void)bfid, (void)flags;
	return -FI_ENOSYS;
}

int eta_no_control(struct fid *fid, int command, void *arg)
{
	(void)fid, (void)command, (void)arg;
	return -FI_ENOSYS;
}

int eta_no_ops_open(struct fid *fid, const char *name, uint64_t flags, void **ops, void *context)
{
	(void)fid, (void)name, (void)flags, (void)ops, (void)context;
	return -FI_ENOSYS;
}

int eta_no_tostr(const struct fid *fid, char *buf, size_t len)
{
	(void)fid;
	if (buf && len)
		*buf = '\0';
	return -FI_ENOSYS;
}

int eta_no_ops_set(struct fid *fid, const char *name, uint64_t flags, void *ops, void *context)
{
	(void)fid, (void)name, (void)flags, (void)ops, (void)context;
	return -FI_ENOSYS;
}

/* fabric */

int eta_no_wait_open(struct fid_fabric *fabric, struct fi_wait_attr *attr,
		     struct fid_wait **waitset)
{
	(void)fabric, (void)attr, (void)waitset;
	return -FI_ENOSYS;
}

int eta_no_domain2(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **dom,
		   uint64_t flags, void *context)
{
	(void)fabric, (void)info, (void)dom, (void)flags, (void)context;
	return -FI_ENOSYS;
}

/* domain */

int eta_no_scalable_ep(struct fid_domain *domain, struct fi_info *info, struct fid_ep **sep,
		       void *context)
{
	(void)domain, (void)info, (void)sep, (void)context;
	return -FI_ENOSYS;
}

int eta_no_query_collective(struct fid_domain *domain, enum fi_collective_op coll,
			    struct fi_collective_attr *attr, uint64_t flags)
{
	(void)domain, (void)coll, (void)attr, (void)flags;
	return -FI_ENOSYS;
}

int eta_no_endpoint2(struct fid_domain *domain, struct fi_info *info, struct fid_ep **ep,
		     uint64_t flags, void *context)
{
	(void)domain, (void)info, (void)ep, (void)flags, (void)context;
	return -FI_ENOSYS;
}

/* address vectors */

int eta_no_av_set(struct fid_av *av, struct fi_av_set_attr *attr, struct fid_av_set **av_set,
		  void *context)
{
	(void)av, (void)attr, (void)av_set, (void)context;
	return -FI_ENOSYS;
}

/* endpoints */

ssize_t eta_no_cancel(fid_t fid, void *context)
{
	(void)fid, (void)context;
	return -FI_ENOSYS;
}

int eta_no_tx_ctx(struct fid_ep *sep, int index, struct fi_tx_attr *attr, struct fid_ep **tx_ep,
		  void *context)
{
	(void)sep, (void)index, (void)attr, (void)tx_ep, (void)context;
	return -FI_ENOSYS;
}

int eta_no_rx_ctx(struct fid_ep *sep, int index, struct fi_rx_attr *attr, struct fid_ep **rx_ep,
		  void *context)
{
	(void)sep, (void)index, (void)attr, (void)rx_ep, (void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_size_left(struct fid_ep *ep)
{
	(void)ep;
	return -FI_ENOSYS;
}

int eta_no_getopt(fid_t fid, int level, int optname, void *optval, size_t *optlen)
{
	(void)fid, (void)level, (void)optname, (void)optval, (void)optlen;
	return -FI_ENOPROTOOPT;
}

int eta_no_setopt(fid_t fid, int level, int optname, const void *optval, size_t optlen)
{
	(void)fid, (void)level, (void)optname, (void)optval, (void)optlen;
	return -FI_ENOPROTOOPT;
}

/* connection management */

static int eta_no_setname(fid_t fid, void *addr, size_t addrlen)
{
	(void)fid, (void)addr, (void)addrlen;
	return -FI_ENOSYS;
}

static int eta_no_getname(fid_t fid, void *addr, size_t *addrlen)
{
	(void)fid, (void)addr, (void)addrlen;
	return -FI_ENOSYS;
}

int eta_no_getpeer(struct fid_ep *ep, void *addr, size_t *addrlen)
{
	(void)ep, (void)addr, (void)addrlen;
	return -FI_ENOSYS;
}

int eta_no_connect(struct fid_ep *ep, const void *addr, const void *param, size_t paramlen)
{
	(void)ep, (void)addr, (void)param, (void)paramlen;
	return -FI_ENOSYS;
}

int eta_no_listen(struct fid_pep *pep)
{
	(void)pep;
	return -FI_ENOSYS;
}

int eta_no_accept(struct fid_ep *ep, const void *param, size_t paramlen)
{
	(void)ep, (void)param, (void)paramlen;
	return -FI_ENOSYS;
}

int eta_no_reject(struct fid_pep *pep, fid_t handle, const void *param, size_t paramlen)
{
	(void)pep, (void)handle, (void)param, (void)paramlen;
	return -FI_ENOSYS;
}

int eta_no_shutdown(struct fid_ep *ep, uint64_t flags)
{
	(void)ep, (void)flags;
	return -FI_ENOSYS;
}

int eta_no_join(struct fid_ep *ep, const void *addr, uint64_t flags, struct fid_mc **mc,
		void *context)
{
	(void)ep, (void)addr, (void)flags, (void)mc, (void)context;
	return -FI_ENOSYS;
}

static ETA_OPS(fi_ops_cm) cm_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_cm),
			.setname = eta_no_setname,
			.getname = eta_no_getname,
			.getpeer = eta_no_getpeer,
			.connect = eta_no_connect,
			.listen = eta_no_listen,
			.accept = eta_no_accept,
			.reject = eta_no_reject,
			.shutdown = eta_no_shutdown,
			.join = eta_no_join,
		},
};
struct fi_ops_cm *const eta_no_cm_ops = ETA_OPS_PTR(fi_ops_cm, cm_ops);

/* messages */

static ssize_t eta_no_msg_recv(struct fid_ep *ep, void *buf, size_t len, void *desc,
			       fi_addr_t src_addr, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)src_addr, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_msg_recvv(struct fid_ep *ep, const struct iovec *iov, void **desc,
				size_t count, fi_addr_t src_addr, void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)src_addr, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_msg_recvmsg(struct fid_ep *ep, const struct fi_msg *msg, uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

ssize_t eta_no_msg_send(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			fi_addr_t dest_addr, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)dest_addr, (void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_msg_sendv(struct fid_ep *ep, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t dest_addr, void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)dest_addr, (void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_msg_sendmsg(struct fid_ep *ep, const struct fi_msg *msg, uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

ssize_t eta_no_msg_inject(struct fid_ep *ep, const void *buf, size_t len, fi_addr_t dest_addr)
{
	(void)ep, (void)buf, (void)len, (void)dest_addr;
	return -FI_ENOSYS;
}

ssize_t eta_no_msg_senddata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			    uint64_t data, fi_addr_t dest_addr, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)data, (void)dest_addr, (void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_msg_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
			      fi_addr_t dest_addr)
{
	(void)ep, (void)buf, (void)len, (void)data, (void)dest_addr;
	return -FI_ENOSYS;
}

static ETA_OPS(fi_ops_msg) msg_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_msg),
			.recv = eta_no_msg_recv,
			.recvv = eta_no_msg_recvv,
			.recvmsg = eta_no_msg_recvmsg,
			.send = eta_no_msg_send,
			.sendv = eta_no_msg_sendv,
			.sendmsg = eta_no_msg_sendmsg,
			.inject = eta_no_msg_inject,
			.senddata = eta_no_msg_senddata,
			.injectdata = eta_no_msg_injectdata,
		},
};
struct fi_ops_msg *const eta_no_msg_ops = ETA_OPS_PTR(fi_ops_msg, msg_ops);

/* remote memory access */

static ssize_t eta_no_rma_read(struct fid_ep *ep, void *buf, size_t len, void *desc,
			       fi_addr_t src_addr, uint64_t addr, uint64_t key, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)src_addr, (void)addr, (void)key,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_readv(struct fid_ep *ep, const struct iovec *iov, void **desc,
				size_t count, fi_addr_t src_addr, uint64_t addr, uint64_t key,
				void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)src_addr, (void)addr, (void)key,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_readmsg(struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_write(struct fid_ep *ep, const void *buf, size_t len, void *desc,
				fi_addr_t dest_addr, uint64_t addr, uint64_t key, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)dest_addr, (void)addr, (void)key,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_writev(struct fid_ep *ep, const struct iovec *iov, void **desc,
				 size_t count, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
				 void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)dest_addr, (void)addr, (void)key,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_writemsg(struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_inject(struct fid_ep *ep, const void *buf, size_t len,
				 fi_addr_t dest_addr, uint64_t addr, uint64_t key)
{
	(void)ep, (void)buf, (void)len, (void)dest_addr, (void)addr, (void)key;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_writedata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
				    uint64_t data, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
				    void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)data, (void)dest_addr, (void)addr,
		(void)key, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_rma_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
				     fi_addr_t dest_addr, uint64_t addr, uint64_t key)
{
	(void)ep, (void)buf, (void)len, (void)data, (void)dest_addr, (void)addr, (void)key;
	return -FI_ENOSYS;
}

static ETA_OPS(fi_ops_rma) rma_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_rma),
			.read = eta_no_rma_read,
			.readv = eta_no_rma_readv,
			.readmsg = eta_no_rma_readmsg,
			.write = eta_no_rma_write,
			.writev = eta_no_rma_writev,
			.writemsg = eta_no_rma_writemsg,
			.inject = eta_no_rma_inject,
			.writedata = eta_no_rma_writedata,
			.injectdata = eta_no_rma_injectdata,
		},
};
struct fi_ops_rma *const eta_no_rma_ops = ETA_OPS_PTR(fi_ops_rma, rma_ops);

/* tagged messages */

static ssize_t eta_no_tagged_recv(struct fid_ep *ep, void *buf, size_t len, void *desc,
				  fi_addr_t src_addr, uint64_t tag, uint64_t ignore, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)src_addr, (void)tag, (void)ignore,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_tagged_recvv(struct fid_ep *ep, const struct iovec *iov, void **desc,
				   size_t count, fi_addr_t src_addr, uint64_t tag, uint64_t ignore,
				   void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)src_addr, (void)tag, (void)ignore,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_tagged_recvmsg(struct fid_ep *ep, const struct fi_msg_tagged *msg,
				     uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

ssize_t eta_no_tagged_send(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			   fi_addr_t dest_addr, uint64_t tag, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)dest_addr, (void)tag, (void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_tagged_sendv(struct fid_ep *ep, const struct iovec *iov, void **desc, size_t count,
			    fi_addr_t dest_addr, uint64_t tag, void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)dest_addr, (void)tag, (void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_tagged_sendmsg(struct fid_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

ssize_t eta_no_tagged_inject(struct fid_ep *ep, const void *buf, size_t len, fi_addr_t dest_addr,
			     uint64_t tag)
{
	(void)ep, (void)buf, (void)len, (void)dest_addr, (void)tag;
	return -FI_ENOSYS;
}

ssize_t eta_no_tagged_senddata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
			       uint64_t data, fi_addr_t dest_addr, uint64_t tag, void *context)
{
	(void)ep, (void)buf, (void)len, (void)desc, (void)data, (void)dest_addr, (void)tag,
		(void)context;
	return -FI_ENOSYS;
}

ssize_t eta_no_tagged_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
				 fi_addr_t dest_addr, uint64_t tag)
{
	(void)ep, (void)buf, (void)len, (void)data, (void)dest_addr, (void)tag;
	return -FI_ENOSYS;
}

static ETA_OPS(fi_ops_tagged) tagged_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_tagged),
			.recv = eta_no_tagged_recv,
			.recvv = eta_no_tagged_recvv,
			.recvmsg = eta_no_tagged_recvmsg,
			.send = eta_no_tagged_send,
			.sendv = eta_no_tagged_sendv,
			.sendmsg = eta_no_tagged_sendmsg,
			.inject = eta_no_tagged_inject,
			.senddata = eta_no_tagged_senddata,
			.injectdata = eta_no_tagged_injectdata,
		},
};
struct fi_ops_tagged *const eta_no_tagged_ops = ETA_OPS_PTR(fi_ops_tagged, tagged_ops);

/* atomics */

static ssize_t eta_no_atomic_write(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				   fi_addr_t dest_addr, uint64_t addr, uint64_t key,
				   enum fi_datatype datatype, enum fi_op op, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)dest_addr, (void)addr, (void)key,
		(void)datatype, (void)op, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_writev(struct fid_ep *ep, const struct fi_ioc *iov, void **desc,
				    size_t count, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
				    enum fi_datatype datatype, enum fi_op op, void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)dest_addr, (void)addr, (void)key,
		(void)datatype, (void)op, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_writemsg(struct fid_ep *ep, const struct fi_msg_atomic *msg,
				      uint64_t flags)
{
	(void)ep, (void)msg, (void)flags;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_inject(struct fid_ep *ep, const void *buf, size_t count,
				    fi_addr_t dest_addr, uint64_t addr, uint64_t key,
				    enum fi_datatype datatype, enum fi_op op)
{
	(void)ep, (void)buf, (void)count, (void)dest_addr, (void)addr, (void)key, (void)datatype,
		(void)op;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_readwrite(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				       void *result, void *result_desc, fi_addr_t dest_addr,
				       uint64_t addr, uint64_t key, enum fi_datatype datatype,
				       enum fi_op op, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)dest_addr, (void)addr, (void)key, (void)datatype, (void)op, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_readwritev(struct fid_ep *ep, const struct fi_ioc *iov, void **desc,
					size_t count, struct fi_ioc *resultv, void **result_desc,
					size_t result_count, fi_addr_t dest_addr, uint64_t addr,
					uint64_t key, enum fi_datatype datatype, enum fi_op op,
					void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)resultv, (void)result_desc,
		(void)result_count, (void)dest_addr, (void)addr, (void)key, (void)datatype,
		(void)op, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_readwritemsg(struct fid_ep *ep, const struct fi_msg_atomic *msg,
					  struct fi_ioc *resultv, void **result_desc,
					  size_t result_count, uint64_t flags)
{
	(void)ep, (void)msg, (void)resultv, (void)result_desc, (void)result_count, (void)flags;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_compwrite(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				       const void *compare, void *compare_desc, void *result,
				       void *result_desc, fi_addr_t dest_addr, uint64_t addr,
				       uint64_t key, enum fi_datatype datatype, enum fi_op op,
				       void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)compare, (void)compare_desc,
		(void)result, (void)result_desc, (void)dest_addr, (void)addr, (void)key,
		(void)datatype, (void)op, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_compwritev(struct fid_ep *ep, const struct fi_ioc *iov, void **desc,
					size_t count, const struct fi_ioc *comparev,
					void **compare_desc, size_t compare_count,
					struct fi_ioc *resultv, void **result_desc,
					size_t result_count, fi_addr_t dest_addr, uint64_t addr,
					uint64_t key, enum fi_datatype datatype, enum fi_op op,
					void *context)
{
	(void)ep, (void)iov, (void)desc, (void)count, (void)comparev, (void)compare_desc,
		(void)compare_count, (void)resultv, (void)result_desc, (void)result_count,
		(void)dest_addr, (void)addr, (void)key, (void)datatype, (void)op, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_atomic_compwritemsg(struct fid_ep *ep, const struct fi_msg_atomic *msg,
					  const struct fi_ioc *comparev, void **compare_desc,
					  size_t compare_count, struct fi_ioc *resultv,
					  void **result_desc, size_t result_count, uint64_t flags)
{
	(void)ep, (void)msg, (void)comparev, (void)compare_desc, (void)compare_count, (void)resultv,
		(void)result_desc, (void)result_count, (void)flags;
	return -FI_ENOSYS;
}

static int eta_no_atomic_writevalid(struct fid_ep *ep, enum fi_datatype datatype, enum fi_op op,
				    size_t *count)
{
	(void)ep, (void)datatype, (void)op, (void)count;
	return -FI_ENOSYS;
}

static int eta_no_atomic_readwritevalid(struct fid_ep *ep, enum fi_datatype datatype, enum fi_op op,
					size_t *count)
{
	(void)ep, (void)datatype, (void)op, (void)count;
	return -FI_ENOSYS;
}

static int eta_no_atomic_compwritevalid(struct fid_ep *ep, enum fi_datatype datatype, enum fi_op op,
					size_t *count)
{
	(void)ep, (void)datatype, (void)op, (void)count;
	return -FI_ENOSYS;
}

static ETA_OPS(fi_ops_atomic) atomic_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_atomic),
			.write = eta_no_atomic_write,
			.writev = eta_no_atomic_writev,
			.writemsg = eta_no_atomic_writemsg,
			.inject = eta_no_atomic_inject,
			.readwrite = eta_no_atomic_readwrite,
			.readwritev = eta_no_atomic_readwritev,
			.readwritemsg = eta_no_atomic_readwritemsg,
			.compwrite = eta_no_atomic_compwrite,
			.compwritev = eta_no_atomic_compwritev,
			.compwritemsg = eta_no_atomic_compwritemsg,
			.writevalid = eta_no_atomic_writevalid,
			.readwritevalid = eta_no_atomic_readwritevalid,
			.compwritevalid = eta_no_atomic_compwritevalid,
		},
};
struct fi_ops_atomic *const eta_no_atomic_ops = ETA_OPS_PTR(fi_ops_atomic, atomic_ops);

/* collectives */

static ssize_t eta_no_coll_barrier(struct fid_ep *ep, fi_addr_t coll_addr, void *context)
{
	(void)ep, (void)coll_addr, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_broadcast(struct fid_ep *ep, void *buf, size_t count, void *desc,
				     fi_addr_t coll_addr, fi_addr_t root_addr,
				     enum fi_datatype datatype, uint64_t flags, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)coll_addr, (void)root_addr,
		(void)datatype, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_alltoall(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				    void *result, void *result_desc, fi_addr_t coll_addr,
				    enum fi_datatype datatype, uint64_t flags, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)datatype, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_allreduce(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				     void *result, void *result_desc, fi_addr_t coll_addr,
				     enum fi_datatype datatype, enum fi_op op, uint64_t flags,
				     void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)datatype, (void)op, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_allgather(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				     void *result, void *result_desc, fi_addr_t coll_addr,
				     enum fi_datatype datatype, uint64_t flags, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)datatype, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_reduce_scatter(struct fid_ep *ep, const void *buf, size_t count,
					  void *desc, void *result, void *result_desc,
					  fi_addr_t coll_addr, enum fi_datatype datatype,
					  enum fi_op op, uint64_t flags, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)datatype, (void)op, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_reduce(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				  void *result, void *result_desc, fi_addr_t coll_addr,
				  fi_addr_t root_addr, enum fi_datatype datatype, enum fi_op op,
				  uint64_t flags, void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)root_addr, (void)datatype, (void)op, (void)flags,
		(void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_scatter(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				   void *result, void *result_desc, fi_addr_t coll_addr,
				   fi_addr_t root_addr, enum fi_datatype datatype, uint64_t flags,
				   void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)root_addr, (void)datatype, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_gather(struct fid_ep *ep, const void *buf, size_t count, void *desc,
				  void *result, void *result_desc, fi_addr_t coll_addr,
				  fi_addr_t root_addr, enum fi_datatype datatype, uint64_t flags,
				  void *context)
{
	(void)ep, (void)buf, (void)count, (void)desc, (void)result, (void)result_desc,
		(void)coll_addr, (void)root_addr, (void)datatype, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_msg(struct fid_ep *ep, const struct fi_msg_collective *msg,
			       struct fi_ioc *resultv, void **result_desc, size_t result_count,
			       uint64_t flags)
{
	(void)ep, (void)msg, (void)resultv, (void)result_desc, (void)result_count, (void)flags;
	return -FI_ENOSYS;
}

static ssize_t eta_no_coll_barrier2(struct fid_ep *ep, fi_addr_t coll_addr, uint64_t flags,
				    void *context)
{
	(void)ep, (void)coll_addr, (void)flags, (void)context;
	return -FI_ENOSYS;
}

static ETA_OPS(fi_ops_collective) collective_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_collective),
			.barrier = eta_no_coll_barrier,
			.broadcast = eta_no_coll_broadcast,
			.alltoall = eta_no_coll_alltoall,
			.allreduce = eta_no_coll_allreduce,
			.allgather = eta_no_coll_allgather,
			.reduce_scatter = eta_no_coll_reduce_scatter,
			.reduce = eta_no_coll_reduce,
			.scatter = eta_no_coll_scatter,
			.gather = eta_no_coll_gather,
			.msg = eta_no_coll_msg,
			.barrier2 = eta_no_coll_barrier2,
		},
};
struct fi_ops_collective *const eta_no_collective_ops =
	ETA_OPS_PTR(fi_ops_collective, collective_ops);
