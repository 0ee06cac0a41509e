/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* sim_peer.c - a peer whose test says what it sends. See sim_peer.h. */
#include "tests/unit/sim_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/roce/roce_internal.h"

#define SENDS 64
#define FRAMES (SIM_PEER_RECVS + SENDS + 1) /* receives, sends, one for reads */
#define SHARES 4

struct sim_peer {
	struct sim_peer_attr attr;
	uint8_t data[UINT8_MAX];
	const struct roce_lib *lib;
	struct rdma_event_channel *events;
	struct rdma_cm_id *listener, *id;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_mr *mr, *shares[SHARES];
	uint8_t *mem;
	bool up, over;
	int status;
	uint8_t said[UINT8_MAX], said_len;
	unsigned sent, done; /* work requests */
	/* that came: numbers of frames */
	unsigned got_first, got_count;
	uint8_t got[SIM_PEER_RECVS];
	uint32_t got_len[SIM_PEER_RECVS];
};

static uint8_t *frame(const struct sim_peer *p, unsigned number)
{
	return p->mem + (size_t)number * SIM_PEER_FRAME;
}

/* ---------------------------------------------------------------------------- set-up */

static struct sim_peer *peer_new(const struct sim_peer_attr *attr)
{
	struct sim_peer *p = calloc(1, sizeof(*p));
	const char *why;

	assert(p && attr->recvs <= SIM_PEER_RECVS);
	p->attr = *attr;
	if (attr->data_len)
		memcpy(p->data, attr->data, attr->data_len);
	p->attr.data = p->data;
	p->mem = calloc(FRAMES, SIM_PEER_FRAME);
	p->lib = roce_lib(&why);
	p->events = p->lib->p_rdma_create_event_channel();
	assert(p->mem && p->events);
	if (fcntl(p->events->fd, F_SETFL, fcntl(p->events->fd, F_GETFL) | O_NONBLOCK))
		abort();
	return p;
}

struct sim_peer *sim_peer_dial(const struct sim_peer_attr *attr)
{
	struct sim_peer *p = peer_new(attr);

	if (p->lib->p_rdma_create_id(p->events, &p->id, p, RDMA_PS_TCP))
		p->id = NULL;
	p->over = !p->id || p->lib->p_rdma_resolve_addr(p->id, NULL, &p->attr.at.sa, 1000);
	return p;
}

struct sim_peer *sim_peer_listen(const struct sim_peer_attr *attr)
{
	struct sim_peer *p = peer_new(attr);

	if (p->lib->p_rdma_create_id(p->events, &p->listener, p, RDMA_PS_TCP) ||
	    p->lib->p_rdma_bind_addr(p->listener, &p->attr.at.sa) ||
	    p->lib->p_rdma_listen(p->listener, 4))
		abort();
	return p;
}

union fab_addr sim_peer_addr(const struct sim_peer *p)
{
	union fab_addr addr;

	fab_addr_set(&addr, rdma_get_local_addr(p->listener), sizeof(addr));
	return addr;
}

static void post_recv(struct sim_peer *p, unsigned number)
{
	struct ibv_sge sge = { (uintptr_t)frame(p, number), SIM_PEER_FRAME, p->mr->lkey };
	struct ibv_recv_wr *bad, wr = { .wr_id = number, .sg_list = &sge, .num_sge = 1 };

	if (!p->over && ibv_post_recv(p->id->qp, &wr, &bad))
		p->over = true;
}

static bool qp_create(struct sim_peer *p)
{
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = SENDS,
			 .max_recv_wr = SIM_PEER_RECVS,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	p->pd = p->lib->p_ibv_alloc_pd(p->id->verbs);
	p->cq = p->lib->p_ibv_create_cq(p->id->verbs, SENDS + SIM_PEER_RECVS, p, NULL, 0);
	if (p->pd)
		p->mr = p->lib->p_ibv_reg_mr(p->pd, p->mem, (size_t)FRAMES * SIM_PEER_FRAME,
					     IBV_ACCESS_LOCAL_WRITE);
	attr.send_cq = attr.recv_cq = p->cq;
	if (!p->mr || !p->cq || p->lib->p_rdma_create_qp(p->id, p->pd, &attr))
		return false;
	for (unsigned i = 0; i < p->attr.recvs; i++)
		post_recv(p, i);
	return true;
}

static struct rdma_conn_param conn_param(const struct sim_peer *p)
{
	return (struct rdma_conn_param){
		.private_data = p->attr.data,
		.private_data_len = p->attr.data_len,
		.responder_resources = p->attr.reads,
		.initiator_depth = p->attr.reads,
		.retry_count = 6,
		.rnr_retry_count = p->attr.rnr_retry,
	};
}

static void request_came(struct sim_peer *p, struct rdma_cm_id *id)
{
	struct rdma_conn_param param = conn_param(p);

	if (p->id) {
		p->lib->p_rdma_destroy_id(id);
		return;
	}
	p->id = id;
	p->over = !qp_create(p) || p->lib->p_rdma_accept(id, &param);
}

static void hear(struct sim_peer *p, const struct rdma_cm_event *e)
{
	if (!e->param.conn.private_data_len)
		return;
	p->said_len = e->param.conn.private_data_len;
	memcpy(p->said, e->param.conn.private_data, p->said_len);
}

static void event(struct sim_peer *p, enum rdma_cm_event_type type, struct rdma_cm_id *id)
{
	struct rdma_conn_param param = conn_param(p);

	switch (type) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		request_came(p, id);
		break;
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		p->over = p->lib->p_rdma_resolve_route(id, 1000);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		p->over = !qp_create(p) || p->lib->p_rdma_connect(id, &param);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		p->up = true;
		break;
	default:
		p->over = true;
		break;
	}
}

/* ------------------------------------------------------------------------------ turns */

static void completed(struct sim_peer *p, const struct ibv_wc *wc)
{
	bool recv = wc->wr_id < SIM_PEER_RECVS;

	if (wc->status != IBV_WC_SUCCESS && wc->status != IBV_WC_WR_FLUSH_ERR)
		p->status = wc->status;
	if (!recv)
		p->done++;
	if (wc->status != IBV_WC_SUCCESS) {
		p->over = true;
	} else if (recv && wc->opcode == IBV_WC_RECV) {
		unsigned at = (p->got_first + p->got_count++) % SIM_PEER_RECVS;

		p->got[at] = wc->wr_id;
		p->got_len[at] = wc->byte_len;
	} else if (recv) {
		post_recv(p, wc->wr_id);
	}
}

void sim_peer_turn(struct sim_peer *p)
{
	struct rdma_cm_event *e;
	struct ibv_wc wc;

	while (!p->lib->p_rdma_get_cm_event(p->events, &e)) {
		enum rdma_cm_event_type type = e->event;
		struct rdma_cm_id *id = e->id;

		hear(p, e);
		p->lib->p_rdma_ack_cm_event(e);
		event(p, type, id);
	}
	while (p->cq && ibv_poll_cq(p->cq, 1, &wc) > 0)
		completed(p, &wc);
}

bool sim_peer_is_up(const struct sim_peer *p)
{
	return p->up && !p->over;
}

bool sim_peer_is_over(const struct sim_peer *p)
{
	return p->over;
}

int sim_peer_status(const struct sim_peer *p)
{
	return p->status;
}

const uint8_t *sim_peer_data(const struct sim_peer *p, uint8_t *len)
{
	*len = p->said_len;
	return p->said;
}

const uint8_t *sim_peer_got(const struct sim_peer *p, uint32_t *len)
{
	if (!p->got_count)
		return NULL;
	*len = p->got_len[p->got_first];
	return frame(p, p->got[p->got_first]);
}

void sim_peer_drop(struct sim_peer *p)
{
	unsigned number = p->got[p->got_first];

	p->got_first = (p->got_first + 1) % SIM_PEER_RECVS;
	p->got_count--;
	post_recv(p, number);
}

/* ---------------------------------------------------------------------------- sending */

static int post(struct sim_peer *p, struct ibv_send_wr *wr, unsigned number, uint32_t len)
{
	struct ibv_sge sge = { (uintptr_t)frame(p, number), len, p->mr ? p->mr->lkey : 0 };
	struct ibv_send_wr *bad;
	int err;

	if (!p->id || !p->id->qp)
		return ENOTCONN;
	wr->wr_id = number;
	wr->sg_list = &sge;
	wr->num_sge = 1;
	err = ibv_post_send(p->id->qp, wr, &bad);
	p->sent += !err;
	return err;
}

static int post_copy(struct sim_peer *p, struct ibv_send_wr *wr, const void *octets, uint32_t len)
{
	unsigned number = SIM_PEER_RECVS + p->sent % SENDS;

	if (len > SIM_PEER_FRAME)
		return EINVAL;
	if (p->sent - p->done >= SENDS)
		return ENOMEM;
	if (len)
		memcpy(frame(p, number), octets, len);
	return post(p, wr, number, len);
}

int sim_peer_send(struct sim_peer *p, const void *octets, uint32_t len)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND };

	return post_copy(p, &wr, octets, len);
}

int sim_peer_write(struct sim_peer *p, uint32_t rkey, uint64_t addr, const void *octets,
		   uint32_t len, bool immediate)
{
	struct ibv_send_wr wr = {
		.opcode = immediate ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	};

	return post_copy(p, &wr, octets, len);
}

int sim_peer_read(struct sim_peer *p, uint32_t rkey, uint64_t addr, uint32_t len)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_READ,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	};

	return len > SIM_PEER_FRAME ? EINVAL : post(p, &wr, FRAMES - 1, len);
}

const uint8_t *sim_peer_read_data(const struct sim_peer *p)
{
	return frame(p, FRAMES - 1);
}

unsigned sim_peer_under_way(const struct sim_peer *p)
{
	return p->sent - p->done;
}

uint8_t *sim_peer_share(struct sim_peer *p, uint32_t len, uint32_t *rkey)
{
	uint8_t *mem = calloc(1, len);
	unsigned i = 0;

	while (i < SHARES && p->shares[i])
		i++;
	assert(mem && i < SHARES);
	p->shares[i] = p->lib->p_ibv_reg_mr(p->pd, mem, len,
					    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
						    IBV_ACCESS_REMOTE_READ);
	if (!p->shares[i]) {
		free(mem);
		return NULL;
	}
	*rkey = p->shares[i]->rkey;
	return mem;
}

/* ------------------------------------------------------------------------------ ends */

void sim_peer_disconnect(struct sim_peer *p)
{
	if (p->id && p->id->qp)
		p->lib->p_rdma_disconnect(p->id);
}

static void shares_free(struct sim_peer *p)
{
	for (unsigned i = 0; i < SHARES; i++) {
		void *mem = p->shares[i] ? p->shares[i]->addr : NULL;

		if (mem)
			p->lib->p_ibv_dereg_mr(p->shares[i]);
		free(mem);
	}
}

void sim_peer_close(struct sim_peer *p)
{
	if (p->id && p->id->qp)
		p->lib->p_rdma_destroy_qp(p->id);
	shares_free(p);
	if (p->mr)
		p->lib->p_ibv_dereg_mr(p->mr);
	if (p->cq)
		p->lib->p_ibv_destroy_cq(p->cq);
	if (p->pd)
		p->lib->p_ibv_dealloc_pd(p->pd);
	if (p->id)
		p->lib->p_rdma_destroy_id(p->id);
	if (p->listener)
		p->lib->p_rdma_destroy_id(p->listener);
	p->lib->p_rdma_destroy_event_channel(p->events);
	free(p->mem);
	free(p);
}
