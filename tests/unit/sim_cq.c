/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_cq.c - simulated devices: completion queues and their channels. */
#include "tests/unit/sim_internal.h"

#include <errno.h>
#include <stdlib.h>

static struct sim_ctx *ctx_of(struct ibv_context *ctx)
{
	return container(ctx, struct sim_ctx, ibv);
}

static struct sim_cq *cq_of(struct ibv_cq *cq)
{
	return container(cq, struct sim_cq, ibv);
}

static struct sim_channel *channel_of(struct ibv_comp_channel *channel)
{
	return container(channel, struct sim_channel, ibv);
}

/* ------------------------------------------------------------------------ channels */

struct ibv_comp_channel *sim_ibv_create_comp_channel(struct ibv_context *ibctx)
{
	struct sim_channel *ch;
	int err;

	sim_lock();
	err = ctx_of(ibctx)->dead ? EIO : sim_fault(SIM_CREATE_CHANNEL);
	if (err)
		return sim_end_null(err);
	ch = sim_new(sizeof(*ch));
	if (sim_queue_open(&ch->notes))
		sim_bug("no descriptor");
	ch->ibv.context = ibctx;
	ch->ibv.fd = ch->notes.fd;
	sim_ctx_use(ctx_of(ibctx));
	sim_unlock();
	return &ch->ibv;
}

int sim_ibv_destroy_comp_channel(struct ibv_comp_channel *ibch)
{
	struct sim_channel *ch = channel_of(ibch);
	struct sim_ctx *ctx = ctx_of(ibch->context);
	int err;

	sim_lock();
	if (ch->users)
		sim_bug("a completion channel goes that is in use");
	sim_queue_close(&ch->notes);
	sim_free(ch);
	err = ctx->dead ? EIO : 0;
	sim_ctx_unuse(ctx);
	sim_unlock();
	return err;
}

int sim_ibv_get_cq_event(struct ibv_comp_channel *ibch, struct ibv_cq **ibcq, void **context)
{
	struct link *l = sim_queue_take(&channel_of(ibch)->notes);
	struct sim_cq *cq;

	if (!l)
		return -1;
	cq = container(l, struct sim_cq, note);
	cq->unacked++;
	*ibcq = &cq->ibv;
	*context = cq->ibv.cq_context;
	return sim_end(0);
}

void sim_ibv_ack_cq_events(struct ibv_cq *ibcq, unsigned n)
{
	sim_lock();
	if (cq_of(ibcq)->unacked < n)
		sim_bug("notes of completions are acknowledged that nobody took");
	cq_of(ibcq)->unacked -= n;
	sim_unlock();
}

/* -------------------------------------------------------------------------- queues */

struct ibv_cq *sim_ibv_create_cq(struct ibv_context *ibctx, int n, void *context,
				 struct ibv_comp_channel *ibch, int vector)
{
	struct sim_cq *cq;
	int err;

	sim_lock();
	err = ctx_of(ibctx)->dead                  ? EIO
	      : n < 1 || n > SIM_CQE_MAX || vector ? EINVAL
						   : sim_fault(SIM_CREATE_CQ);
	if (err)
		return sim_end_null(err);
	cq = sim_new(sizeof(*cq));
	link_init(&cq->note);
	cq->size = n;
	cq->ring = sim_alloc(n * sizeof(*cq->ring));
	cq->ibv.context = ibctx;
	cq->ibv.channel = ibch;
	cq->ibv.cq_context = context;
	cq->ibv.cqe = n;
	if (ibch)
		channel_of(ibch)->users++;
	sim_ctx_use(ctx_of(ibctx));
	sim_unlock();
	return &cq->ibv;
}

static void disarm(struct sim_cq *cq)
{
	sim.armed -= cq->armed;
	cq->armed = false;
}

int sim_ibv_destroy_cq(struct ibv_cq *ibcq)
{
	struct sim_cq *cq = cq_of(ibcq);
	struct sim_ctx *ctx = ctx_of(ibcq->context);
	int err;

	sim_lock();
	if (cq->users)
		sim_bug("a completion queue goes that is in use");
	if (cq->unacked)
		sim_bug("a completion queue goes of which a note is not acknowledged");
	if (linked(&cq->note))
		sim_queue_drop(&channel_of(ibcq->channel)->notes, &cq->note);
	disarm(cq);
	if (ibcq->channel)
		channel_of(ibcq->channel)->users--;
	free(cq->ring);
	sim_free(cq);
	err = ctx->dead ? EIO : 0;
	sim_ctx_unuse(ctx);
	sim_unlock();
	return err;
}

/* A note stands for all completions since the queue was armed; there is never more than one. */
static void notify(struct sim_cq *cq)
{
	disarm(cq);
	if (!linked(&cq->note))
		sim_queue_put(&channel_of(cq->ibv.channel)->notes, &cq->note);
}

void sim_complete(struct sim_cq *cq, const struct ibv_wc *wc, bool recv, uint32_t upto,
		  bool solicited)
{
	if (cq->tail - cq->head == cq->size)
		sim_bug("a completion queue overflows");
	cq->ring[cq->tail++ % cq->size] = (struct sim_cqe){ .wc = *wc, .recv = recv, .upto = upto };
	if (cq->armed && (!cq->solicited_only || solicited || wc->status))
		notify(cq);
}

/* The places in the queue pair's queue that this tells of are free again. */
static void seen(const struct sim_cqe *cqe)
{
	struct sim_qp *qp = sim_qp_by_number(cqe->wc.qp_num);

	if (qp && cqe->recv)
		qp->rq_head = cqe->upto;
	else if (qp)
		qp->sq_head = cqe->upto;
}

int sim_poll_cq(struct ibv_cq *ibcq, int n, struct ibv_wc *wc)
{
	struct sim_cq *cq = cq_of(ibcq);
	int got = 0;

	sim_lock();
	if (ctx_of(ibcq->context)->dead) {
		sim_unlock();
		return -1;
	}
	sim_round();
	for (; got < n && cq->head != cq->tail; got++) {
		const struct sim_cqe *cqe = &cq->ring[cq->head++ % cq->size];

		wc[got] = cqe->wc;
		seen(cqe);
	}
	sim_unlock();
	return got;
}

int sim_req_notify_cq(struct ibv_cq *ibcq, int solicited_only)
{
	struct sim_cq *cq = cq_of(ibcq);

	sim_lock();
	if (ctx_of(ibcq->context)->dead || !ibcq->channel) {
		sim_unlock();
		return EIO;
	}
	/* armed for all, it stays so */
	cq->solicited_only = solicited_only && (!cq->armed || cq->solicited_only);
	sim.armed += !cq->armed;
	cq->armed = true;
	sim_kick();
	sim_unlock();
	return 0;
}

const char *sim_ibv_wc_status_str(enum ibv_wc_status status)
{
	static const char *const names[] = {
		[IBV_WC_SUCCESS] = "success",
		[IBV_WC_LOC_LEN_ERR] = "local length error",
		[IBV_WC_LOC_QP_OP_ERR] = "local queue pair operation error",
		[IBV_WC_LOC_PROT_ERR] = "local protection error",
		[IBV_WC_WR_FLUSH_ERR] = "flushed",
		[IBV_WC_REM_INV_REQ_ERR] = "remote invalid request error",
		[IBV_WC_REM_ACCESS_ERR] = "remote access error",
		[IBV_WC_REM_OP_ERR] = "remote operation error",
		[IBV_WC_RETRY_EXC_ERR] = "transport retries exceeded",
		[IBV_WC_RNR_RETRY_EXC_ERR] = "receiver-not-ready retries exceeded",
	};

	return status < sizeof(names) / sizeof(names[0]) && names[status] ? names[status]
									  : "an error";
}
