/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_internal.h - the simulated devices: the inside.
 *
 *	sim_core.c	the lock, the thread, queues that poll readable, faults, the table of functions
 *	sim_device.c	devices, their contexts, protection domains, memory regions
 *	sim_cq.c	completion queues and their channels
 *	sim_qp.c	queue pairs, what is posted to them, their errors
 *	sim_move.c	what was posted is done
 *	sim_id.c	ids of the connection manager: the calls
 *	sim_cm.c	what ids tell each other, and their events
 *
 * Everything is under one lock. Functions whose names begin with sim_ibv_ and sim_rdma_ are the
 * libraries', and take it; others that begin with sim_, but those in sim_verbs.h, are called under it.
 */
#ifndef ETA_TESTS_SIM_INTERNAL_H
#define ETA_TESTS_SIM_INTERNAL_H

#include "fabric/roce/roce_internal.h"
#include "tests/unit/sim_verbs.h"

#define SIM_DEVICES 2
#define SIM_ADDRS 2
#define SIM_QPS 8192  /* at a time */
#define SIM_RD_MAX 16 /* reads outstanding, of a queue pair */
#define SIM_SGE_MAX 16
#define SIM_WR_MAX 16384
#define SIM_CQE_MAX 65536
#define SIM_PACKET 4096     /* octets of a packet */
#define SIM_STEP_PACKETS 16 /* of one step */
#define SIM_PRIVATE_REQ 56  /* octets that a request of the connection manager's carries, */
#define SIM_PRIVATE_REP 196 /* a reply, */
#define SIM_PRIVATE_REJ 148 /* a rejection: always so many, zeros at the end */

#define LIBRARY_FUNCTION(library, function) __typeof__(function) sim_##function;
ROCE_FUNCTIONS(LIBRARY_FUNCTION)
#undef LIBRARY_FUNCTION

/* Entries whose number is in an eventfd. */
struct sim_queue {
	int fd;
	struct link entries;
};

struct sim_device {
	struct ibv_device ibv;
	const char *netdev;
	unsigned naddrs;
	union fab_addr addrs[SIM_ADDRS];
	bool gone, cut, down;
	struct sim_ctx *cm; /* the connection manager's own context of it; NULL: not yet used */
	struct link contexts;
};

struct sim_ctx {
	struct ibv_context ibv;
	struct link link;
	struct sim_device *dev;
	bool dead;      /* its device was removed */
	bool is_cm;     /* the connection manager's */
	unsigned users; /* objects made of it, ids bound to it */
	struct sim_queue events;
};

struct sim_events {
	struct rdma_event_channel ch;
	struct sim_queue q;
	unsigned users;
};

struct sim_async {
	struct link link;
	struct ibv_async_event ev;
};

struct sim_pd {
	struct ibv_pd ibv;
	unsigned users;
};

struct sim_mr {
	struct ibv_mr ibv;
	int access;
};

struct sim_channel {
	struct ibv_comp_channel ibv;
	struct sim_queue notes;
	unsigned users;
};

struct sim_cqe {
	struct ibv_wc wc;
	uint32_t upto; /* of the queue pair's queue: places that are free when this is seen */
	bool recv;
};

struct sim_cq {
	struct ibv_cq ibv;
	struct link note; /* on its channel */
	bool armed, solicited_only;
	unsigned users, unacked;
	uint32_t size, head, tail;
	struct sim_cqe *ring;
};

struct sim_send {
	struct ibv_send_wr wr;
	struct ibv_sge sge[SIM_SGE_MAX];
	uint32_t len;
	uint8_t *inl; /* its payload, taken when it was posted */
};

struct sim_recv {
	uint64_t wr_id;
	int n;
	struct ibv_sge sge[SIM_SGE_MAX];
};

struct sim_qp {
	struct ibv_qp ibv;
	struct link active; /* while there is something to send */
	struct ibv_qp_cap cap;
	bool signal_all;
	uint8_t max_rd, max_dest_rd, rnr_retry;
	uint32_t peer; /* its number; 0: not connected */
	/* posted up to tail, done up to next, of which head is the first not yet known to be */
	struct sim_send *sq;
	struct sim_recv *rq;
	uint32_t sq_head, sq_next, sq_tail;
	uint32_t rq_head, rq_next, rq_tail;
	/* of sq[sq_next] */
	uint32_t off;
	bool delivered;   /* and not yet acknowledged */
	uint64_t give_up; /* when; 0: it does not wait */
};

/* What an id is about. */
enum sim_state {
	SIM_IDLE,
	SIM_BOUND,
	SIM_LISTENS,
	SIM_RESOLVES,
	SIM_RESOLVED,
	SIM_ROUTED,
	SIM_ASKING,   /* a request is out */
	SIM_ASKED,    /* one has come */
	SIM_ANSWERED, /* and was accepted */
	SIM_CONNECTED,
	SIM_LEAVING, /* has said so */
	SIM_OVER,
};

/* What the two sides tell each other of their queue pairs. */
struct sim_terms {
	uint32_t qp;
	uint8_t resources, depth; /* reads of the other side's that it serves, of its own */
	uint8_t rnr_retry;        /* of the other side */
};

struct sim_id {
	struct rdma_cm_id cm;
	struct link link;
	uint32_t number, peer; /* peer: the id on the other side; 0: none */
	enum sim_state state;
	bool has_port; /* nobody else may bind it */
	unsigned unacked;
	int backlog;
	struct sim_terms terms; /* the peer's */
};

struct sim_event {
	struct rdma_cm_event ev; /* its user has this */
	struct link link;
	struct sim_id *holder; /* waits for its acknowledgement */
	uint8_t data[UINT8_MAX];
};

/* From one id to another, or to itself. */
enum sim_msg_kind {
	SIM_ADDR,
	SIM_ROUTE,
	SIM_REQ,
	SIM_REP,
	SIM_RTU,
	SIM_REJ,
	SIM_DREQ,
	SIM_DREP,
	SIM_LOST,
};

struct sim_msg {
	struct link link;
	enum sim_msg_kind kind;
	uint32_t from, to;
	struct sim_device *dev; /* the sender's; NULL: none */
	uint64_t due;           /* 0: now */
	int status;
	struct sim_terms terms;
	uint8_t len;
	uint8_t data[UINT8_MAX];
};

struct sim {
	pthread_mutex_t lock;
	bool manual;
	uint64_t random, retry_ns, rnr_ns;
	uint32_t inline_max;
	unsigned armed; /* completion queues */
	unsigned objects;
	struct sim_device devices[SIM_DEVICES];
	struct sim_mr **mrs; /* by key */
	uint32_t nmrs;
	uint8_t key;
	struct sim_qp **qps; /* by number */
	uint32_t nqps;
	struct link active; /* queue pairs */
	struct link ids, msgs;
	uint32_t last_id;
	uint16_t last_port;
};
extern struct sim sim;

/* sim_core.c */
void sim_lock(void);
void sim_unlock(void);
/* Under the lock no longer; returns @err as the libraries do: -1 and errno, or 0. */
int sim_end(int err);
void *sim_end_null(int err);
_Noreturn void sim_bug(const char *what);
void *sim_alloc(size_t size); /* zeros */
void *sim_new(size_t size);   /* an object, which counts */
void sim_free(void *p);       /* what sim_new() gave */
bool sim_chance(unsigned one_in);
/* There may be work for the thread. */
void sim_kick(void);
bool sim_round(void);
/* The error that this call fails with, or 0. */
int sim_fault(enum sim_call call);
int sim_queue_open(struct sim_queue *q);
void sim_queue_close(struct sim_queue *q);
void sim_queue_put(struct sim_queue *q, struct link *entry);
void sim_queue_drop(struct sim_queue *q, struct link *entry);
/* Called without the lock, comes back with it; NULL, with errno, without. */
struct link *sim_queue_take(struct sim_queue *q);

/* sim_device.c */
void sim_devices_init(void);
struct sim_ctx *sim_cm_ctx(struct sim_device *dev);
void sim_ctx_use(struct sim_ctx *ctx);
void sim_ctx_unuse(struct sim_ctx *ctx);
struct sim_device *sim_device_at(const struct sockaddr *sa);
void sim_async_post(struct sim_ctx *ctx, struct ibv_async_event ev);
/* Nothing is told of it any more. */
void sim_async_purge(struct sim_ctx *ctx, const struct ibv_qp *qp);
struct sim_device *sim_device_of(const struct rdma_cm_id *id); /* NULL: not bound to one */
bool sim_same_host(const struct sockaddr *a, const struct sockaddr *b);
/* [addr, addr + len), if @key allows @access there; else NULL. */
uint8_t *sim_reach(const struct ibv_pd *pd, uint32_t key, uint64_t addr, uint64_t len, int access);

/* sim_cq.c */
void sim_complete(struct sim_cq *cq, const struct ibv_wc *wc, bool recv, uint32_t upto,
		  bool solicited);
int sim_poll_cq(struct ibv_cq *ibcq, int n, struct ibv_wc *wc);
int sim_req_notify_cq(struct ibv_cq *ibcq, int solicited_only);

/* sim_qp.c */
struct sim_qp *sim_qp_by_number(uint32_t number);
/* @own, @peer: what either side said. */
void sim_qp_connect(struct sim_qp *qp, const struct sim_terms *own, const struct sim_terms *peer);
void sim_qp_error(struct sim_qp *qp);
void sim_send_over(struct sim_qp *qp, enum ibv_wc_status status);
void sim_recv_over(struct sim_qp *qp, struct ibv_wc *wc, bool solicited);
int sim_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int sim_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);

/* sim_move.c */
bool sim_qp_step(struct sim_qp *qp);

/* sim_id.c */
struct sim_id *sim_id_by_number(uint32_t number);
struct sim_id *sim_id_new(struct rdma_event_channel *channel, void *context);
void sim_id_bind(struct sim_id *id, struct sim_device *dev);
void sim_id_destroy(struct sim_id *id);
/* Under a local address and port; NULL: nobody listens there. */
struct sim_id *sim_listener_at(const struct sockaddr *sa);

/* sim_cm.c */
/* @data has @len octets of @room that go over the wire. */
void sim_say(struct sim_id *from, uint32_t to, enum sim_msg_kind kind, int status,
	     const struct rdma_conn_param *param, uint8_t room);
bool sim_cm_step(void);
struct sim_event *sim_event_post(struct sim_id *id, enum rdma_cm_event_type type, int status);
/* Those that nobody has taken; ids that only they know of go too. */
void sim_events_purge(struct sim_id *id);

#endif
