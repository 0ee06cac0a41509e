/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_atomic.c - atomic operations of peers, carried out here, and the results of ours.
 *
 * Whoever holds the turn executes them, one at a time: so they are atomic among each other, whichever
 * peer and connection they come from, and whether iWARP or the upper-layer header brought them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

/* ------------------------------------------------------------------------- atomics */

static struct msg_op *fetch_of(struct msg_link *l, uint32_t id)
{
	for (struct list *n = l->fetches.next; n != &l->fetches; n = n->next) {
		struct msg_op *op = list_entry(n, struct msg_op, link);

		if (op->id == id)
			return op;
	}
	return link_begun(l, id);
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
	size_t total = 0;

	while (n-- > 0)
		total += iov++->iov_len;
	return total;
}

int rx_result(struct msg_link *l, uint32_t id, int status, const uint8_t *p, uint32_t len)
{
	struct msg_op *op = fetch_of(l, id);
	struct iovec iov[PPE_ATOMIC_SGE];
	int n;

	if (!op || !op->fetching)
		return -EPROTO;
	l->nfetches--;
	if (!status) {
		n = op_result_memory(op, iov);
		if (n < 0)
			status = wr_reject(l->d->ual, n);
		else if (iov_bytes(iov, n) != len)
			status = -EREMOTEIO;
		else
			iov_scatter(iov, n, p, len);
	}
	op->fetching = false;
	op->over = true;
	op->status = status;
	if (!op->in_wire)
		op_end(op, status);
	if (!list_empty(&l->pulls))
		link_want(l);
	return 0;
}

/* What an atomic is about, all of it checked before any of it is carried out. */
struct atomic_job {
	struct ulp_atomic hdr;
	struct ulp_target target[ULP_TARGETS];
	uint32_t len;
	const uint8_t *operand, *compare;
	uint8_t *result;
};

static int atomic_targets(struct msg_link *l, const struct atomic_job *j, unsigned access,
			  struct iovec iov[ULP_TARGETS][PPE_MR_IOV_MAX], int n[ULP_TARGETS],
			  uint32_t region[ULP_TARGETS])
{
	struct msg_dti *m = l->d->m;
	size_t size = atomic_size(j->hdr.type);
	uint64_t total = 0;

	if (!m->pd)
		return -ENOKEY;
	for (unsigned i = 0; i < j->hdr.targets; i++) {
		uint32_t len = be32_get(j->target[i].len);

		if (!len || len % size)
			return -EINVAL;
		total += len;
		n[i] = pd_check(m->pd, m->auth, be32_get(j->target[i].key),
				be64_get(j->target[i].addr), len, access, iov[i], &region[i]);
		if (n[i] < 0)
			return n[i];
		for (int k = 0; k < n[i]; k++)
			if (iov[i][k].iov_len % size)
				return -EINVAL; /* an item in two pieces of a region */
	}
	return total == j->len ? 0 : -EINVAL;
}

static const uint8_t *at(const uint8_t *p, uint32_t offset)
{
	return p ? p + offset : NULL;
}

static int atomic_run(struct msg_link *l, const struct atomic_job *j, bool fetch)
{
	bool read = j->hdr.op == PPE_ATOMIC_READ;
	unsigned access =
		(read ? 0 : PPE_ACCESS_REMOTE_WRITE) | (fetch ? PPE_ACCESS_REMOTE_READ : 0);
	struct iovec iov[ULP_TARGETS][PPE_MR_IOV_MAX];
	uint32_t region[ULP_TARGETS], done = 0;
	size_t size = atomic_size(j->hdr.type);
	int n[ULP_TARGETS];
	int err = atomic_targets(l, j, access, iov, n, region);

	if (err)
		return err;
	for (unsigned i = 0; i < j->hdr.targets; i++) {
		for (int k = 0; k < n[i]; k++) {
			atomic_apply(j->hdr.op, j->hdr.type, iov[i][k].iov_base,
				     at(j->operand, done), at(j->compare, done),
				     j->result ? j->result + done : NULL, iov[i][k].iov_len / size);
			done += iov[i][k].iov_len;
		}
		mr_counted(l->d->ual, region[i],
			   fetch ? PPE_ACCESS_REMOTE_READ : PPE_ACCESS_REMOTE_WRITE);
	}
	msg_count(l->d, NULL, fetch ? PPE_COUNT_REMOTE_READ : PPE_COUNT_REMOTE_WRITE, true);
	return 0;
}

static int atomic_parse(const struct msg_header *h, const uint8_t *p, uint32_t len,
			struct atomic_job *j)
{
	enum atomic_kind kind = h->flags & ULP_F_COMPARE ? ATOMIC_COMPARE
				: h->flags & ULP_F_FETCH ? ATOMIC_FETCH
							 : ATOMIC_PLAIN;
	uint32_t need, operand;

	memset(j, 0, sizeof(*j));
	if (len < sizeof(j->hdr))
		return -EPROTO;
	memcpy(&j->hdr, p, sizeof(j->hdr));
	need = sizeof(j->hdr) + j->hdr.targets * sizeof(struct ulp_target);
	if (!j->hdr.targets || j->hdr.targets > ULP_TARGETS || len < need)
		return -EPROTO;
	memcpy(j->target, p + sizeof(j->hdr), need - sizeof(j->hdr));
	j->len = be32_get(j->hdr.len);
	operand = j->hdr.op == PPE_ATOMIC_READ ? 0 : j->len;
	if (j->len > ULP_ATOMIC_MAX ||
	    len - need != operand + (kind == ATOMIC_COMPARE ? j->len : 0))
		return -EPROTO;
	j->operand = operand ? p + need : NULL;
	j->compare = kind == ATOMIC_COMPARE ? p + need + operand : NULL;
	return atomic_valid(kind, j->hdr.op, j->hdr.type) ? 0 : -EOPNOTSUPP;
}

int rx_atomic_message(struct msg_link *l, const struct msg_header *h, const uint8_t *p,
		      uint32_t len)
{
	bool fetch = h->flags & ULP_F_FETCH;
	struct msg_ctl *c = NULL;
	struct atomic_job j;
	int err = atomic_parse(h, p, len, &j);

	if (err == -EPROTO)
		return err;
	if (fetch) {
		if (l->nresps + l->nresults >= l->ird)
			return -EBUSY;
		c = link_ctl(l, sizeof(struct ulp_hdr) + j.len);
		if (!c)
			return -ENOMEM;
		j.result = c->bytes + sizeof(struct ulp_hdr);
	}
	if (!err)
		err = atomic_run(l, &j, fetch);
	if (fetch) {
		if (err)
			c->len = sizeof(struct ulp_hdr);
		c->is_result = true;
		l->nresults++;
		*(struct ulp_hdr *)(void *)c->bytes = (struct ulp_hdr){ .op = ULP_RESULT,
									.code = msg_code(err),
									.len = be32_make(h->len) };
		link_ctl_send(l, c);
		return 0;
	}
	if (err)
		link_say(l, ULP_ACK_ONE, msg_code(err), l->rx_seq + 1);
	link_counted(l);
	return 0;
}

int rx_atomic(struct msg_link *l, const struct fab_atomic_req *r)
{
	struct msg_dti *m = l->d->m;
	struct iovec iov[PPE_MR_IOV_MAX];
	struct msg_ctl *c;
	uint64_t old, value;
	uint32_t region;
	int n;

	if (!l->proven)
		return -EACCES;
	if (l->nresps + l->nresults >= l->ird)
		return -EBUSY;
	n = m->pd ? pd_check(m->pd, m->auth, r->stag, r->to, sizeof(old),
			     PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE, iov, &region)
		  : -ENOKEY;
	if (n >= 0 && (n != 1 || iov[0].iov_len != sizeof(old)))
		n = -EINVAL;
	if (n < 0) {
		if (!msg_may_refuse(l))
			return n;
		link_say(l, ULP_RESULT, msg_code(n), r->id);
		return 1;
	}
	c = link_ctl(l, 0);
	if (!c)
		return -ENOMEM;
	memcpy(&old, iov[0].iov_base, sizeof(old));
	value = old;
	if (r->atomic.op == FAB_FETCH_ADD)
		value = old + r->atomic.data;
	else if (!((old ^ r->atomic.cmp) & r->atomic.cmp_mask))
		value = (old & ~r->atomic.data_mask) | (r->atomic.data & r->atomic.data_mask);
	if (value != old)
		memcpy(iov[0].iov_base, &value, sizeof(value));
	c->wire.kind = WIRE_RESULT;
	c->is_result = true;
	l->nresults++;
	c->id = r->id;
	c->value = old;
	link_ctl_send(l, c);
	mr_counted(l->d->ual, region, PPE_ACCESS_REMOTE_READ);
	msg_count(l->d, NULL, PPE_COUNT_REMOTE_READ, true);
	return 0;
}

int rx_atomic_resp(struct msg_link *l, uint32_t id, uint64_t value)
{
	return rx_result(l, id, 0, (const uint8_t *)&value, sizeof(value));
}
