/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* atomic.c - atomic operations on peers' memory, and which of them there are. */
#include "eta.h"

/* ------------------------------------------------------------------------ what is offered */

#define BIT(op) (1u << (op))
#define OPS_CALC (BIT(FI_SUM) | BIT(FI_PROD) | BIT(FI_LOR) | BIT(FI_LAND) | BIT(FI_LXOR))
#define OPS_ORDER (BIT(FI_MIN) | BIT(FI_MAX))
#define OPS_BITS (BIT(FI_BOR) | BIT(FI_BAND) | BIT(FI_BXOR))
#define OPS_SWAP (BIT(FI_CSWAP) | BIT(FI_CSWAP_NE))
#define OPS_SWAP_ORDER (BIT(FI_CSWAP_LE) | BIT(FI_CSWAP_LT) | BIT(FI_CSWAP_GE) | BIT(FI_CSWAP_GT))
#define OPS_ACCESS (BIT(FI_ATOMIC_READ) | BIT(FI_ATOMIC_WRITE))

#define OPS_COMPLEX (OPS_CALC | OPS_SWAP | OPS_ACCESS)
#define OPS_REAL (OPS_COMPLEX | OPS_ORDER | OPS_SWAP_ORDER)
#define OPS_INT (OPS_REAL | OPS_BITS | BIT(FI_MSWAP))

/* Which operations each way of calling may name. */
#define OPS_COMPARE (OPS_SWAP | OPS_SWAP_ORDER | BIT(FI_MSWAP))
#define OPS_FETCH (OPS_CALC | OPS_ORDER | OPS_BITS | OPS_ACCESS)
#define OPS_WRITE (OPS_FETCH & ~BIT(FI_ATOMIC_READ))

static const struct {
	uint32_t ops;
	size_t size;
} types[] = {
	[FI_INT8] = { OPS_INT, 1 },
	[FI_UINT8] = { OPS_INT, 1 },
	[FI_INT16] = { OPS_INT, 2 },
	[FI_UINT16] = { OPS_INT, 2 },
	[FI_INT32] = { OPS_INT, 4 },
	[FI_UINT32] = { OPS_INT, 4 },
	[FI_INT64] = { OPS_INT, 8 },
	[FI_UINT64] = { OPS_INT, 8 },
	[FI_FLOAT] = { OPS_REAL, sizeof(float) },
	[FI_DOUBLE] = { OPS_REAL, sizeof(double) },
	[FI_FLOAT_COMPLEX] = { OPS_COMPLEX, 2 * sizeof(float) },
	[FI_DOUBLE_COMPLEX] = { OPS_COMPLEX, 2 * sizeof(double) },
	[FI_LONG_DOUBLE] = { OPS_REAL, sizeof(long double) },
	[FI_LONG_DOUBLE_COMPLEX] = { OPS_COMPLEX, 2 * sizeof(long double) },
	[FI_INT128] = { OPS_INT, 16 },
	[FI_UINT128] = { OPS_INT, 16 },
};

/* Size of one element; 0: not offered. Later headers have more types and operations than this one. */
static size_t element_size(enum fi_datatype datatype, enum fi_op op, uint32_t ops)
{
	unsigned type = datatype, number = op;

	if (type >= sizeof(types) / sizeof(types[0]) || number >= FI_ATOMIC_OP_LAST ||
	    !(types[type].ops & ops & BIT(number)))
		return 0;
	return types[type].size;
}

static int count_limit(enum fi_datatype datatype, enum fi_op op, uint32_t ops, size_t *count)
{
	size_t size = element_size(datatype, op, ops);

	if (!size)
		return -FI_EOPNOTSUPP;
	if (count)
		*count = ETA_ATOMIC_MAX / size;
	return 0;
}

static int writevalid(struct fid_ep *fid, enum fi_datatype datatype, enum fi_op op, size_t *count)
{
	(void)fid;
	return count_limit(datatype, op, OPS_WRITE, count);
}

static int readwritevalid(struct fid_ep *fid, enum fi_datatype datatype, enum fi_op op,
			  size_t *count)
{
	(void)fid;
	return count_limit(datatype, op, OPS_FETCH, count);
}

static int compwritevalid(struct fid_ep *fid, enum fi_datatype datatype, enum fi_op op,
			  size_t *count)
{
	(void)fid;
	return count_limit(datatype, op, OPS_COMPARE, count);
}

int eta_query_atomic(struct fid_domain *domain, enum fi_datatype datatype, enum fi_op op,
		     struct fi_atomic_attr *attr, uint64_t flags)
{
	uint32_t ops = OPS_WRITE;
	size_t size;

	(void)domain;
	if (!attr)
		return -FI_EINVAL;
	if (flags & ~(FI_FETCH_ATOMIC | FI_COMPARE_ATOMIC | FI_TAGGED))
		return -FI_EBADFLAGS;
	if ((flags & FI_FETCH_ATOMIC) && (flags & FI_COMPARE_ATOMIC))
		return -FI_EBADFLAGS;
	if (flags & FI_TAGGED)
		return -FI_EOPNOTSUPP;
	if (flags & (FI_FETCH_ATOMIC | FI_COMPARE_ATOMIC))
		ops = flags & FI_FETCH_ATOMIC ? OPS_FETCH : OPS_COMPARE;
	size = element_size(datatype, op, ops);
	if (!size)
		return -FI_EOPNOTSUPP;
	attr->size = size;
	attr->count = ETA_ATOMIC_MAX / size;
	return 0;
}

/* --------------------------------------------------------------------------------- posting */

/* Appends to the descriptor's list. Returns how many elements, or an error. */
static ssize_t append(const struct eta_ep *ep, const struct fi_ioc *ioc, size_t n, size_t size,
		      struct ppe_sge *sge)
{
	size_t total = 0;

	if (n > PPE_ATOMIC_SGE || (n && !ioc))
		return -FI_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (ioc[i].count > ETA_ATOMIC_MAX / size - total)
			return -FI_EMSGSIZE;
		total += ioc[i].count;
		sge[i] = eta_sge(ep, ioc[i].addr, ioc[i].count * size);
	}
	return total;
}

static int remote_list(const struct fi_rma_ioc *ioc, size_t n, size_t size, size_t elements,
		       struct ppe_rma *r)
{
	size_t total = 0;

	if (!n || n > ETA_RMA_IOV_LIMIT || !ioc)
		return -FI_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (ioc[i].count > ETA_ATOMIC_MAX / size)
			return -FI_EMSGSIZE;
		if (ioc[i].key > UINT32_MAX)
			return -FI_EKEYREJECTED;
		total += ioc[i].count;
		r[i] = (struct ppe_rma){
			.addr = ioc[i].addr,
			.len = ioc[i].count * size,
			.key = ioc[i].key,
		};
	}
	return total == elements ? 0 : -FI_EINVAL;
}

/* Operand, compare and result, one behind the other; all of as many elements as the target. */
static int local_lists(const struct eta_ep *ep, const struct fi_msg_atomic *msg,
		       const struct fi_msg_compare *compare, const struct fi_msg_fetch *fetch,
		       size_t size, struct ppe_sge *sge, struct ppe_msg *m, size_t *elements)
{
	/* a read has no operand, whatever is passed */
	bool operand = msg->op != FI_ATOMIC_READ;
	ssize_t n, ncmp = -1, nres = -1;

	n = operand ? append(ep, msg->msg_iov, msg->iov_count, size, sge) : 0;
	if (n < 0)
		return n;
	m->nsge = operand ? msg->iov_count : 0;
	if (compare) {
		ncmp = append(ep, compare->msg_iov, compare->iov_count, size, sge + m->nsge);
		if (ncmp < 0)
			return ncmp;
		m->ncmp = compare->iov_count;
	}
	if (fetch) {
		nres = append(ep, fetch->msg_iov, fetch->iov_count, size, sge + m->nsge + m->ncmp);
		if (nres < 0)
			return nres;
		m->nres = fetch->iov_count;
	}
	*elements = operand ? n : nres;
	if ((compare && ncmp != n) || (fetch && operand && nres != n) || !*elements)
		return -FI_EINVAL;
	m->sge = sge;
	return 0;
}

static uint32_t ops_of(enum ppe_op op)
{
	switch (op) {
	case PPE_OP_ATOMIC:
		return OPS_WRITE;
	case PPE_OP_FETCH:
		return OPS_FETCH;
	default:
		return OPS_COMPARE;
	}
}

/* @flags NULL: the call has none, and the endpoint's defaults hold. */
static ssize_t post(struct eta_ep *ep, enum ppe_op op, const struct fi_msg_atomic *msg,
		    const struct fi_msg_compare *compare, const struct fi_msg_fetch *fetch,
		    const uint64_t *flags, const struct eta_defer *defer)
{
	size_t size = element_size(msg->datatype, msg->op, ops_of(op)), elements = 0;
	struct ppe_sge sge[3 * PPE_ATOMIC_SGE];
	struct ppe_rma r[ETA_RMA_IOV_LIMIT];
	struct ppe_msg m = {
		.op = op,
		.nrma = msg->rma_iov_count,
		.atomic_op = msg->op,
		.atomic_type = msg->datatype,
		.peer = eta_dest(ep, msg->addr),
		.rma = r,
		.user_tag = (uintptr_t)msg->context,
		.data = msg->data,
	};
	int ret;

	if (!size)
		return -FI_EOPNOTSUPP;
	ret = local_lists(ep, msg, compare, fetch, size, sge, &m, &elements);
	if (!ret)
		ret = remote_list(msg->rma_iov, msg->rma_iov_count, size, elements, r);
	if (ret)
		return ret;
	if (flags)
		return eta_post_tx(ep, &m, *flags, defer);
	m.flags = ep->send_flags;
	return eta_post_send(ep, &m);
}

/* An operand is injected only where it is all that there is. */
ssize_t eta_atomicmsg(struct eta_ep *ep, enum ppe_op op, const struct fi_msg_atomic *msg,
		      const struct fi_msg_compare *compare, const struct fi_msg_fetch *fetch,
		      uint64_t flags, const struct eta_defer *defer)
{
	if (!msg)
		return -FI_EINVAL;
	if (flags & ~(ETA_TX_CALL_FLAGS & ~FI_REMOTE_CQ_DATA))
		return -FI_EBADFLAGS;
	return post(ep, op, msg, compare, fetch, &flags, defer);
}

/* ------------------------------------------------------------------------------- the calls */

/* A call's lists and target, in the form that all of them end in. */
struct call {
	struct fi_msg_atomic msg;
	struct fi_rma_ioc target;
};

static void call_init(struct call *c, const struct fi_ioc *ioc, size_t n, size_t elements,
		      fi_addr_t peer, uint64_t addr, uint64_t key)
{
	c->target = (struct fi_rma_ioc){ .addr = addr, .count = elements, .key = key };
	c->msg = (struct fi_msg_atomic){
		.msg_iov = ioc,
		.iov_count = n,
		.addr = peer,
		.rma_iov = &c->target,
		.rma_iov_count = 1,
	};
}

static size_t ioc_elements(const struct fi_ioc *ioc, size_t n)
{
	size_t total = 0;

	/* a sum that wraps is of terms that are refused later */
	for (size_t i = 0; ioc && i < n && i < PPE_ATOMIC_SGE; i++)
		total += ioc[i].count;
	return total;
}

static ssize_t atomic_writev(struct fid_ep *fid, const struct fi_ioc *iov, void **desc,
			     size_t count, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
			     enum fi_datatype datatype, enum fi_op op, void *context)
{
	struct call c;

	(void)desc;
	call_init(&c, iov, count, ioc_elements(iov, count), dest_addr, addr, key);
	c.msg.datatype = datatype;
	c.msg.op = op;
	c.msg.context = context;
	return post(eta_ep_of(fid), PPE_OP_ATOMIC, &c.msg, NULL, NULL, NULL, NULL);
}

static ssize_t atomic_write(struct fid_ep *fid, const void *buf, size_t count, void *desc,
			    fi_addr_t dest_addr, uint64_t addr, uint64_t key,
			    enum fi_datatype datatype, enum fi_op op, void *context)
{
	struct fi_ioc ioc = { .addr = (void *)(uintptr_t)buf, .count = count };

	(void)desc;
	return atomic_writev(fid, &ioc, NULL, 1, dest_addr, addr, key, datatype, op, context);
}

static ssize_t atomic_writemsg(struct fid_ep *fid, const struct fi_msg_atomic *msg, uint64_t flags)
{
	return eta_atomicmsg(eta_ep_of(fid), PPE_OP_ATOMIC, msg, NULL, NULL, flags, NULL);
}

static ssize_t atomic_inject(struct fid_ep *fid, const void *buf, size_t count, fi_addr_t dest_addr,
			     uint64_t addr, uint64_t key, enum fi_datatype datatype, enum fi_op op)
{
	struct eta_ep *ep = eta_ep_of(fid);
	size_t size = element_size(datatype, op, OPS_WRITE);
	struct ppe_rma r = { .addr = addr, .key = key };
	struct ppe_msg m = {
		.op = PPE_OP_ATOMIC,
		.nrma = 1,
		.atomic_op = op,
		.atomic_type = datatype,
		.flags = PPE_POST_SILENT | PPE_POST_INJECT,
		.peer = eta_dest(ep, dest_addr),
		.inline_data = buf,
		.rma = &r,
	};

	if (!size)
		return -FI_EOPNOTSUPP;
	if (!count)
		return -FI_EINVAL;
	if (count > ETA_INJECT_SIZE / size)
		return -FI_EMSGSIZE;
	if (key > UINT32_MAX)
		return -FI_EKEYREJECTED;
	r.len = count * size;
	m.inline_len = r.len;
	return eta_post(ep, &m);
}

static ssize_t atomic_readwritev(struct fid_ep *fid, const struct fi_ioc *iov, void **desc,
				 size_t count, struct fi_ioc *resultv, void **result_desc,
				 size_t result_count, fi_addr_t dest_addr, uint64_t addr,
				 uint64_t key, enum fi_datatype datatype, enum fi_op op,
				 void *context)
{
	struct fi_msg_fetch fetch = { .msg_iov = resultv, .iov_count = result_count };
	struct call c;

	(void)desc, (void)result_desc;
	call_init(&c, iov, count, ioc_elements(resultv, result_count), dest_addr, addr, key);
	c.msg.datatype = datatype;
	c.msg.op = op;
	c.msg.context = context;
	return post(eta_ep_of(fid), PPE_OP_FETCH, &c.msg, NULL, &fetch, NULL, NULL);
}

static ssize_t atomic_readwrite(struct fid_ep *fid, const void *buf, size_t count, void *desc,
				void *result, void *result_desc, fi_addr_t dest_addr, uint64_t addr,
				uint64_t key, enum fi_datatype datatype, enum fi_op op,
				void *context)
{
	struct fi_ioc ioc = { .addr = (void *)(uintptr_t)buf, .count = count };
	struct fi_ioc res = { .addr = result, .count = count };

	(void)desc, (void)result_desc;
	return atomic_readwritev(fid, &ioc, NULL, 1, &res, NULL, 1, dest_addr, addr, key, datatype,
				 op, context);
}

static ssize_t atomic_readwritemsg(struct fid_ep *fid, const struct fi_msg_atomic *msg,
				   struct fi_ioc *resultv, void **result_desc, size_t result_count,
				   uint64_t flags)
{
	struct fi_msg_fetch fetch = { .msg_iov = resultv, .iov_count = result_count };

	(void)result_desc;
	return eta_atomicmsg(eta_ep_of(fid), PPE_OP_FETCH, msg, NULL, &fetch, flags, NULL);
}

static ssize_t atomic_compwritev(struct fid_ep *fid, const struct fi_ioc *iov, void **desc,
				 size_t count, const struct fi_ioc *comparev, void **compare_desc,
				 size_t compare_count, struct fi_ioc *resultv, void **result_desc,
				 size_t result_count, fi_addr_t dest_addr, uint64_t addr,
				 uint64_t key, enum fi_datatype datatype, enum fi_op op,
				 void *context)
{
	struct fi_msg_compare compare = { .msg_iov = comparev, .iov_count = compare_count };
	struct fi_msg_fetch fetch = { .msg_iov = resultv, .iov_count = result_count };
	struct call c;

	(void)desc, (void)compare_desc, (void)result_desc;
	call_init(&c, iov, count, ioc_elements(resultv, result_count), dest_addr, addr, key);
	c.msg.datatype = datatype;
	c.msg.op = op;
	c.msg.context = context;
	return post(eta_ep_of(fid), PPE_OP_COMPARE, &c.msg, &compare, &fetch, NULL, NULL);
}

static ssize_t atomic_compwrite(struct fid_ep *fid, const void *buf, size_t count, void *desc,
				const void *compare, void *compare_desc, void *result,
				void *result_desc, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
				enum fi_datatype datatype, enum fi_op op, void *context)
{
	struct fi_ioc ioc = { .addr = (void *)(uintptr_t)buf, .count = count };
	struct fi_ioc cmp = { .addr = (void *)(uintptr_t)compare, .count = count };
	struct fi_ioc res = { .addr = result, .count = count };

	(void)desc, (void)compare_desc, (void)result_desc;
	return atomic_compwritev(fid, &ioc, NULL, 1, &cmp, NULL, 1, &res, NULL, 1, dest_addr, addr,
				 key, datatype, op, context);
}

static ssize_t atomic_compwritemsg(struct fid_ep *fid, const struct fi_msg_atomic *msg,
				   const struct fi_ioc *comparev, void **compare_desc,
				   size_t compare_count, struct fi_ioc *resultv, void **result_desc,
				   size_t result_count, uint64_t flags)
{
	struct fi_msg_compare compare = { .msg_iov = comparev, .iov_count = compare_count };
	struct fi_msg_fetch fetch = { .msg_iov = resultv, .iov_count = result_count };

	(void)compare_desc, (void)result_desc;
	return eta_atomicmsg(eta_ep_of(fid), PPE_OP_COMPARE, msg, &compare, &fetch, flags, NULL);
}

static ETA_OPS(fi_ops_atomic) atomic_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_atomic),
			.write = atomic_write,
			.writev = atomic_writev,
			.writemsg = atomic_writemsg,
			.inject = atomic_inject,
			.readwrite = atomic_readwrite,
			.readwritev = atomic_readwritev,
			.readwritemsg = atomic_readwritemsg,
			.compwrite = atomic_compwrite,
			.compwritev = atomic_compwritev,
			.compwritemsg = atomic_compwritemsg,
			.writevalid = writevalid,
			.readwritevalid = readwritevalid,
			.compwritevalid = compwritevalid,
		},
};
struct fi_ops_atomic *const eta_atomic_ops = ETA_OPS_PTR(fi_ops_atomic, atomic_ops);
