/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_qp.c - simulated devices: queue pairs, what is posted to them, their errors. */
#include "tests/unit/sim_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim_qp *qp_of(struct ibv_qp *qp)
{
	return container(qp, struct sim_qp, ibv);
}

static struct sim_ctx *ctx_of(const struct sim_qp *qp)
{
	return container(qp->ibv.context, struct sim_ctx, ibv);
}

static struct sim_cq *cq_of(struct ibv_cq *cq)
{
	return container(cq, struct sim_cq, ibv);
}

/* --------------------------------------------------------------------- its life */

struct sim_qp *sim_qp_by_number(uint32_t number)
{
	uint32_t i = number % SIM_QPS;
	struct sim_qp *qp = i < sim.nqps ? sim.qps[i] : NULL;

	return qp && qp->ibv.qp_num == number ? qp : NULL;
}

static void qps_grow(void)
{
	uint32_t n = sim.nqps + 256;

	if (n > SIM_QPS)
		sim_bug("too many queue pairs");
	sim.qps = realloc(sim.qps, n * sizeof(*sim.qps));
	if (!sim.qps)
		sim_bug("no memory");
	memset(sim.qps + sim.nqps, 0, (n - sim.nqps) * sizeof(*sim.qps));
	sim.nqps = n;
}

/* Of 24 bits; it is long before one is given again. */
static uint32_t number_take(struct sim_qp *qp)
{
	static uint32_t generation;
	uint32_t i = 0;

	while (i < sim.nqps && sim.qps[i])
		i++;
	if (i == sim.nqps)
		qps_grow();
	sim.qps[i] = qp;
	generation = generation % ((1u << 24) / SIM_QPS - 1) + 1;
	return generation * SIM_QPS + i;
}

static int judge(const struct sim_id *id, const struct ibv_pd *pd,
		 const struct ibv_qp_init_attr *attr)
{
	const struct ibv_qp_cap *cap = &attr->cap;

	if (!id->cm.verbs || id->cm.qp || pd->context != id->cm.verbs || !attr->send_cq ||
	    !attr->recv_cq || attr->send_cq->context != id->cm.verbs ||
	    attr->recv_cq->context != id->cm.verbs || attr->srq || attr->qp_type != IBV_QPT_RC)
		return EINVAL;
	if (container(id->cm.verbs, struct sim_ctx, ibv)->dead)
		return EIO;
	if (!cap->max_send_wr || cap->max_send_wr > SIM_WR_MAX || cap->max_recv_wr > SIM_WR_MAX ||
	    cap->max_send_sge > SIM_SGE_MAX || cap->max_recv_sge > SIM_SGE_MAX ||
	    cap->max_inline_data > sim.inline_max)
		return EINVAL;
	return sim_fault(SIM_CREATE_QP);
}

/* As librdmacm leaves it: receives may be posted. */
int sim_rdma_create_qp(struct rdma_cm_id *cm, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct sim_id *id = container(cm, struct sim_id, cm);
	struct sim_qp *qp;
	int err;

	sim_lock();
	err = judge(id, pd, attr);
	if (err)
		return sim_end(err);
	attr->cap.max_inline_data = sim.inline_max;
	qp = sim_new(sizeof(*qp));
	qp->cap = attr->cap;
	qp->signal_all = attr->sq_sig_all;
	qp->sq = sim_alloc(qp->cap.max_send_wr * sizeof(*qp->sq));
	qp->rq = sim_alloc((qp->cap.max_recv_wr + 1) * sizeof(*qp->rq));
	qp->ibv.context = cm->verbs;
	qp->ibv.qp_context = attr->qp_context;
	qp->ibv.pd = pd;
	qp->ibv.send_cq = attr->send_cq;
	qp->ibv.recv_cq = attr->recv_cq;
	qp->ibv.qp_type = IBV_QPT_RC;
	qp->ibv.state = IBV_QPS_INIT;
	qp->ibv.qp_num = number_take(qp);
	link_init(&qp->active);
	cq_of(attr->send_cq)->users++;
	cq_of(attr->recv_cq)->users++;
	container(pd, struct sim_pd, ibv)->users++;
	sim_ctx_use(ctx_of(qp));
	cm->qp = &qp->ibv;
	cm->pd = pd;
	return sim_end(0);
}

static void sends_forget(struct sim_qp *qp)
{
	for (; qp->sq_next != qp->sq_tail; qp->sq_next++) {
		struct sim_send *s = &qp->sq[qp->sq_next % qp->cap.max_send_wr];

		free(s->inl);
		s->inl = NULL;
	}
}

void sim_rdma_destroy_qp(struct rdma_cm_id *cm)
{
	struct sim_qp *qp = qp_of(cm->qp);

	sim_lock();
	cm->qp = NULL;
	link_del(&qp->active);
	sends_forget(qp);
	sim_async_purge(ctx_of(qp), &qp->ibv);
	sim.qps[qp->ibv.qp_num % SIM_QPS] = NULL;
	cq_of(qp->ibv.send_cq)->users--;
	cq_of(qp->ibv.recv_cq)->users--;
	container(qp->ibv.pd, struct sim_pd, ibv)->users--;
	sim_ctx_unuse(ctx_of(qp));
	free(qp->sq);
	free(qp->rq);
	sim_free(qp);
	sim_unlock();
}

void sim_qp_connect(struct sim_qp *qp, const struct sim_terms *own, const struct sim_terms *peer)
{
	if (qp->ibv.state != IBV_QPS_INIT)
		return;
	qp->peer = peer->qp;
	qp->max_rd = own->depth;
	qp->max_dest_rd = own->resources;
	qp->rnr_retry = peer->rnr_retry;
	qp->ibv.state = IBV_QPS_RTS;
}

/* ------------------------------------------------------------------------ its ends */

static void send_complete(struct sim_qp *qp, enum ibv_wc_status status)
{
	static const uint8_t opcodes[] = {
		[IBV_WR_RDMA_WRITE] = IBV_WC_RDMA_WRITE,
		[IBV_WR_RDMA_WRITE_WITH_IMM] = IBV_WC_RDMA_WRITE,
		[IBV_WR_SEND] = IBV_WC_SEND,
		[IBV_WR_SEND_WITH_IMM] = IBV_WC_SEND,
		[IBV_WR_RDMA_READ] = IBV_WC_RDMA_READ,
		[IBV_WR_ATOMIC_CMP_AND_SWP] = IBV_WC_COMP_SWAP,
		[IBV_WR_ATOMIC_FETCH_AND_ADD] = IBV_WC_FETCH_ADD,
	};
	struct sim_send *s = &qp->sq[qp->sq_next++ % qp->cap.max_send_wr];
	struct ibv_wc wc = {
		.wr_id = s->wr.wr_id,
		.status = status,
		.opcode = opcodes[s->wr.opcode],
		.byte_len = s->len,
		.qp_num = qp->ibv.qp_num,
	};

	free(s->inl);
	s->inl = NULL;
	if (status) /* nothing but the status, the id and the number counts */
		memset((char *)&wc + offsetof(struct ibv_wc, opcode), 0xa5,
		       offsetof(struct ibv_wc, qp_num) - offsetof(struct ibv_wc, opcode));
	if (status || qp->signal_all || s->wr.send_flags & IBV_SEND_SIGNALED)
		sim_complete(cq_of(qp->ibv.send_cq), &wc, false, qp->sq_next, false);
	qp->off = 0;
	qp->delivered = false;
	qp->give_up = 0;
}

void sim_recv_over(struct sim_qp *qp, struct ibv_wc *wc, bool solicited)
{
	wc->wr_id = qp->rq[qp->rq_next++ % qp->cap.max_recv_wr].wr_id;
	wc->qp_num = qp->ibv.qp_num;
	sim_complete(cq_of(qp->ibv.recv_cq), wc, true, qp->rq_next, solicited);
}

static void flush(struct sim_qp *qp)
{
	link_del(&qp->active);
	while (qp->sq_next != qp->sq_tail)
		send_complete(qp, IBV_WC_WR_FLUSH_ERR);
	while (qp->rq_next != qp->rq_tail) {
		struct ibv_wc wc = { .status = IBV_WC_WR_FLUSH_ERR };

		sim_recv_over(qp, &wc, false);
	}
}

void sim_qp_error(struct sim_qp *qp)
{
	qp->ibv.state = IBV_QPS_ERR;
	flush(qp);
}

void sim_send_over(struct sim_qp *qp, enum ibv_wc_status status)
{
	send_complete(qp, status);
	if (status)
		sim_qp_error(qp);
	else if (qp->sq_next == qp->sq_tail)
		link_del(&qp->active);
}

/* ------------------------------------------------------------------------- posting */

static int inline_take(const struct sim_qp *qp, struct sim_send *s)
{
	uint8_t *p;

	if (s->len > qp->cap.max_inline_data)
		return EINVAL;
	s->inl = p = sim_alloc(s->len + 1);
	for (int i = 0; i < s->wr.num_sge; i++) {
		memcpy(p, (const void *)(uintptr_t)s->sge[i].addr, s->sge[i].length);
		p += s->sge[i].length;
	}
	return 0;
}

static int send_take(struct sim_qp *qp, const struct ibv_send_wr *wr)
{
	struct sim_send *s = &qp->sq[qp->sq_tail % qp->cap.max_send_wr];
	uint64_t len = 0;

	if (qp->sq_tail - qp->sq_head == qp->cap.max_send_wr)
		return ENOMEM;
	if (wr->num_sge < 0 || (uint32_t)wr->num_sge > qp->cap.max_send_sge ||
	    wr->opcode > IBV_WR_ATOMIC_FETCH_AND_ADD)
		return EINVAL;
	s->wr = *wr;
	s->inl = NULL;
	for (int i = 0; i < wr->num_sge; i++) {
		s->sge[i] = wr->sg_list[i];
		len += wr->sg_list[i].length;
	}
	if (len > 1u << 31)
		return EINVAL;
	s->len = len;
	if (wr->send_flags & IBV_SEND_INLINE) {
		int err = wr->opcode > IBV_WR_SEND_WITH_IMM ? EINVAL : inline_take(qp, s);

		if (err)
			return err;
	}
	qp->sq_tail++;
	return 0;
}

int sim_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct sim_qp *qp = qp_of(ibqp);
	int err = 0;

	sim_lock();
	for (; wr; wr = wr->next) {
		err = ctx_of(qp)->dead ? EIO : sim_fault(SIM_POST_SEND);
		if (!err && ibqp->state != IBV_QPS_RTS && ibqp->state != IBV_QPS_ERR)
			err = EINVAL;
		if (!err)
			err = send_take(qp, wr);
		if (err) {
			*bad = wr;
			break;
		}
	}
	if (ibqp->state == IBV_QPS_ERR)
		flush(qp);
	else if (qp->sq_next != qp->sq_tail && !linked(&qp->active))
		link_append(&sim.active, &qp->active);
	sim_kick();
	sim_unlock();
	return err;
}

static int recv_take(struct sim_qp *qp, const struct ibv_recv_wr *wr)
{
	struct sim_recv *r;

	if (qp->rq_tail - qp->rq_head == qp->cap.max_recv_wr)
		return ENOMEM;
	if (wr->num_sge < 0 || (uint32_t)wr->num_sge > qp->cap.max_recv_sge)
		return EINVAL;
	r = &qp->rq[qp->rq_tail++ % qp->cap.max_recv_wr];
	r->wr_id = wr->wr_id;
	r->n = wr->num_sge;
	for (int i = 0; i < wr->num_sge; i++)
		r->sge[i] = wr->sg_list[i];
	return 0;
}

int sim_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct sim_qp *qp = qp_of(ibqp);
	int err = 0;

	sim_lock();
	for (; wr && !err; wr = wr->next) {
		err = ctx_of(qp)->dead ? EIO : sim_fault(SIM_POST_RECV);
		if (!err)
			err = recv_take(qp, wr);
		if (err)
			*bad = wr;
	}
	if (ibqp->state == IBV_QPS_ERR)
		flush(qp);
	sim_unlock();
	return err;
}
