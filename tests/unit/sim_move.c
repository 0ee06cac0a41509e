/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_move.c - simulated devices: what was posted is done, some packets at a time, as reliable-connected
 * queue pairs do it.
 *
 * Each packet is judged when it moves: a region that is taken away in the middle of a message stops it
 * there. A message that is there waits for its acknowledgement, which may come a step later; if it does
 * not come at all the sender cannot know.
 */
#include "tests/unit/sim_internal.h"

#include <stdlib.h>
#include <string.h>

/* What a step comes to: enum ibv_wc_status, and */
#define MORE (-1)
#define NO_RECEIVE (-2)

static struct sim_ctx *ctx_of(const struct sim_qp *qp)
{
	return container(qp->ibv.context, struct sim_ctx, ibv);
}

static bool can_talk(const struct sim_qp *qp)
{
	const struct sim_ctx *ctx = ctx_of(qp);

	return !ctx->dead && !ctx->dev->cut && !ctx->dev->down && qp->ibv.state == IBV_QPS_RTS;
}

/* ------------------------------------------------------------------- memory, by lists */

enum way { OUT_OF, INTO };

/* @n octets at @off of a list; false: not all of that may be used. */
static bool list_move(const struct sim_qp *qp, const struct ibv_sge *sge, int nsge, uint32_t off,
		      uint8_t *p, uint32_t n, enum way way)
{
	int access = way == INTO ? IBV_ACCESS_LOCAL_WRITE : 0;

	for (int i = 0; i < nsge && n; i++) {
		uint32_t part;
		uint8_t *mem;

		if (off >= sge[i].length) {
			off -= sge[i].length;
			continue;
		}
		part = sge[i].length - off < n ? sge[i].length - off : n;
		mem = sim_reach(qp->ibv.pd, sge[i].lkey, sge[i].addr + off, part, access);
		if (!mem)
			return false;
		memcpy(way == INTO ? mem : p, way == INTO ? p : mem, part);
		p += part;
		n -= part;
		off = 0;
	}
	return !n;
}

static uint64_t list_len(const struct ibv_sge *sge, int n)
{
	uint64_t len = 0;

	for (int i = 0; i < n; i++)
		len += sge[i].length;
	return len;
}

static bool list_is_good(const struct sim_qp *qp, const struct ibv_sge *sge, int n, int access)
{
	for (int i = 0; i < n; i++)
		if (sge[i].length &&
		    !sim_reach(qp->ibv.pd, sge[i].lkey, sge[i].addr, sge[i].length, access))
			return false;
	return true;
}

/* --------------------------------------------------------------------- the other side */

/* @status of its receive, if it had begun one. */
static int peer_fails(struct sim_qp *peer, enum ibv_wc_status status, int answer)
{
	struct ibv_async_event ev = { .element.qp = &peer->ibv,
				      .event_type = answer == IBV_WC_REM_ACCESS_ERR
							    ? IBV_EVENT_QP_ACCESS_ERR
							    : IBV_EVENT_QP_REQ_ERR };

	if (status) {
		struct ibv_wc wc = { .status = status };

		sim_recv_over(peer, &wc, false);
	} else {
		sim_async_post(ctx_of(peer), ev);
	}
	sim_qp_error(peer);
	return answer;
}

static struct sim_recv *receive_of(const struct sim_qp *peer)
{
	return peer->rq_next == peer->rq_tail ? NULL
					      : &peer->rq[peer->rq_next % peer->cap.max_recv_wr];
}

static bool has_imm(const struct sim_send *s)
{
	return s->wr.opcode == IBV_WR_SEND_WITH_IMM || s->wr.opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static int deliver(struct sim_qp *peer, const struct sim_send *s)
{
	bool write = s->wr.opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	struct ibv_wc wc = {
		.opcode = write ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV,
		.byte_len = s->len,
		.wc_flags = has_imm(s) ? IBV_WC_WITH_IMM : 0,
		.src_qp = peer->peer,
	};

	if (has_imm(s))
		wc.imm_data = s->wr.imm_data;
	sim_recv_over(peer, &wc, s->wr.send_flags & IBV_SEND_SOLICITED);
	return IBV_WC_SUCCESS;
}

/* ------------------------------------------------------------------------ operations */

static bool payload(const struct sim_qp *qp, const struct sim_send *s, uint8_t *p, uint32_t n)
{
	if (!s->inl)
		return list_move(qp, s->sge, s->wr.num_sge, qp->off, p, n, OUT_OF);
	memcpy(p, s->inl + qp->off, n);
	return true;
}

static int send_packet(struct sim_qp *qp, struct sim_qp *peer, struct sim_send *s, uint8_t *p,
		       uint32_t n)
{
	struct sim_recv *r = receive_of(peer);

	if (!r)
		return NO_RECEIVE;
	if (!payload(qp, s, p, n))
		return IBV_WC_LOC_PROT_ERR;
	if (qp->off + (uint64_t)n > list_len(r->sge, r->n))
		return peer_fails(peer, IBV_WC_LOC_LEN_ERR, IBV_WC_REM_INV_REQ_ERR);
	if (!list_move(peer, r->sge, r->n, qp->off, p, n, INTO))
		return peer_fails(peer, IBV_WC_LOC_PROT_ERR, IBV_WC_REM_OP_ERR);
	return MORE;
}

/* All that is left of it must be allowed: what is refused leaves nothing behind. */
static uint8_t *remote(const struct sim_qp *qp, const struct sim_qp *peer, const struct sim_send *s,
		       int access)
{
	return sim_reach(peer->ibv.pd, s->wr.wr.rdma.rkey, s->wr.wr.rdma.remote_addr + qp->off,
			 s->len - qp->off, access);
}

static int write_packet(struct sim_qp *qp, struct sim_qp *peer, struct sim_send *s, uint8_t *p,
			uint32_t n)
{
	bool takes = s->wr.opcode == IBV_WR_RDMA_WRITE_WITH_IMM && qp->off + n == s->len;
	uint8_t *mem = NULL;

	if (takes && !receive_of(peer))
		return NO_RECEIVE;
	if (!payload(qp, s, p, n))
		return IBV_WC_LOC_PROT_ERR;
	if (s->len) /* of nothing no memory is named */
		mem = remote(qp, peer, s, IBV_ACCESS_REMOTE_WRITE);
	if (s->len && !mem)
		return peer_fails(peer, 0, IBV_WC_REM_ACCESS_ERR);
	if (n)
		memcpy(mem, p, n);
	return MORE;
}

static int read_packet(struct sim_qp *qp, struct sim_qp *peer, struct sim_send *s, uint8_t *p,
		       uint32_t n)
{
	uint8_t *mem;

	if (!qp->max_rd)
		return IBV_WC_LOC_QP_OP_ERR;
	if (!list_is_good(qp, s->sge, s->wr.num_sge, IBV_ACCESS_LOCAL_WRITE))
		return IBV_WC_LOC_PROT_ERR;
	if (!peer->max_dest_rd)
		return peer_fails(peer, 0, IBV_WC_REM_INV_REQ_ERR);
	if (!s->len)
		return MORE;
	mem = remote(qp, peer, s, IBV_ACCESS_REMOTE_READ);
	if (!mem)
		return peer_fails(peer, 0, IBV_WC_REM_ACCESS_ERR);
	memcpy(p, mem, n);
	return list_move(qp, s->sge, s->wr.num_sge, qp->off, p, n, INTO) ? MORE
									 : IBV_WC_LOC_PROT_ERR;
}

static int atomic_packet(struct sim_qp *qp, struct sim_qp *peer, struct sim_send *s, uint8_t *p)
{
	uint64_t was, now;
	uint8_t *mem;

	if (!qp->max_rd || s->len != sizeof(was))
		return IBV_WC_LOC_QP_OP_ERR;
	mem = sim_reach(peer->ibv.pd, s->wr.wr.atomic.rkey, s->wr.wr.atomic.remote_addr,
			sizeof(was), IBV_ACCESS_REMOTE_ATOMIC);
	if (!peer->max_dest_rd || s->wr.wr.atomic.remote_addr % sizeof(was))
		return peer_fails(peer, 0, IBV_WC_REM_INV_REQ_ERR);
	if (!mem)
		return peer_fails(peer, 0, IBV_WC_REM_ACCESS_ERR);
	memcpy(&was, mem, sizeof(was));
	now = was + s->wr.wr.atomic.compare_add;
	if (s->wr.opcode == IBV_WR_ATOMIC_CMP_AND_SWP)
		now = was == s->wr.wr.atomic.compare_add ? s->wr.wr.atomic.swap : was;
	memcpy(mem, &now, sizeof(now));
	memcpy(p, &was, sizeof(was));
	return list_move(qp, s->sge, s->wr.num_sge, 0, p, sizeof(was), INTO) ? MORE
									     : IBV_WC_LOC_PROT_ERR;
}

static int packet(struct sim_qp *qp, struct sim_qp *peer, struct sim_send *s, uint32_t n)
{
	static uint8_t p[SIM_PACKET]; /* under the lock */

	switch (s->wr.opcode) {
	case IBV_WR_SEND:
	case IBV_WR_SEND_WITH_IMM:
		return send_packet(qp, peer, s, p, n);
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return write_packet(qp, peer, s, p, n);
	case IBV_WR_RDMA_READ:
		return read_packet(qp, peer, s, p, n);
	default:
		return atomic_packet(qp, peer, s, p);
	}
}

/* ----------------------------------------------------------------------------- steps */

/* Its peer does not answer, or cannot take it: for so long. Whether it is over. */
static bool waits(struct sim_qp *qp, uint64_t ns, enum ibv_wc_status status)
{
	uint64_t now = timer_now_ns();

	if (!qp->give_up)
		qp->give_up = now + ns;
	if (now < qp->give_up)
		return false;
	sim_send_over(qp, status);
	return true;
}

static bool waits_for_receive(struct sim_qp *qp)
{
	if (qp->rnr_retry == 7) /* for ever */
		return false;
	return waits(qp, qp->rnr_retry * sim.rnr_ns, IBV_WC_RNR_RETRY_EXC_ERR);
}

static bool over(struct sim_qp *qp, int status)
{
	if (!status && !qp->delivered) {
		qp->delivered = true;
		if (sim_chance(2))
			return true; /* the acknowledgement comes later */
	}
	sim_send_over(qp, status);
	return true;
}

static bool takes_receive(const struct sim_send *s)
{
	return s->wr.opcode == IBV_WR_SEND || has_imm(s);
}

static int go_on(struct sim_qp *qp, struct sim_qp *peer)
{
	struct sim_send *s = &qp->sq[qp->sq_next % qp->cap.max_send_wr];

	for (unsigned i = 0; i < SIM_STEP_PACKETS; i++) {
		uint32_t left = s->len - qp->off, n = left < SIM_PACKET ? left : SIM_PACKET;
		int status = packet(qp, peer, s, n);

		if (status != MORE)
			return status;
		qp->off += n;
		qp->give_up = 0;
		if (qp->off == s->len)
			return takes_receive(s) ? deliver(peer, s) : IBV_WC_SUCCESS;
		if (sim_chance(4))
			break;
	}
	return MORE;
}

bool sim_qp_step(struct sim_qp *qp)
{
	struct sim_qp *peer = sim_qp_by_number(qp->peer);
	int status;

	if (qp->ibv.state != IBV_QPS_RTS)
		return false;
	if (!can_talk(qp) || !peer || peer->peer != qp->ibv.qp_num || !can_talk(peer))
		return waits(qp, sim.retry_ns, IBV_WC_RETRY_EXC_ERR);
	if (qp->delivered)
		return over(qp, IBV_WC_SUCCESS);
	status = go_on(qp, peer);
	if (status == NO_RECEIVE)
		return waits_for_receive(qp);
	return status == MORE || over(qp, status);
}
