/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_nodes.h - datagram endpoints over loopback, each under an engine of its own, all in one thread:
 * whoever waits for one of them reads the event queues of all.
 */
#ifndef RDM_NODES_H
#define RDM_NODES_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "ppe/engine.h"
#include "ppe/ppe.h"

#define NODES 4
#define TX 0
#define RX 1
#define ALL_REMOTE                                                                                 \
	(PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE | PPE_ACCESS_REMOTE_READ |                 \
	 PPE_ACCESS_REMOTE_WRITE)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SLOW 1
#else
#define TEST_SLOW 0
#endif

struct node_attr {
	const char *placement;
	const char *auth;
	uint32_t evq_size;       /* 0: 256 */
	uint32_t slots;          /* 0: 256 */
	uint32_t tx_max, rx_max; /* as of struct ppe_dti_attr */
	uint16_t port;           /* 0: any */
	bool connected;          /* without an address vector, not listening */
	uint64_t peer_timeout_ns, connect_timeout_ns;
};

struct events {
	struct ppe_event *ev;
	unsigned first, count, room;
};

struct node {
	struct ppe_ual *ual;
	struct ppe_evq *q[2];
	struct ppe_av *av;
	struct ppe_pd *pd;
	struct ppe_dti *dti;
	struct ppe_mr all;
	union fab_addr addr;
	struct ppe_cntr *sent, *received, *wrote, *was_read, *read, *was_written;
	struct events got[2];
};

extern struct node nodes[NODES];

void node_open(unsigned i, const struct node_attr *attr);
/* The endpoint alone, on an engine that is there. */
void node_endpoint(unsigned i, const struct node_attr *attr);
void node_close(unsigned i);
void nodes_close(void);
/* Its number there. */
uint32_t node_meet(unsigned i, unsigned whom);
/* No slot of its event queues is promised to anybody. */
void node_settled(unsigned i);

/* One round: events of all nodes are read, and kept. */
void pump(void);
void pump_for(unsigned ms);
struct ppe_event next_event(unsigned i, int q);
struct ppe_event expect_event(unsigned i, int q, enum ppe_event_type type, uint64_t tag,
			      int status);
void expect_nothing(unsigned i, unsigned ms);
uint64_t now_ms(void);
/* Until @cond, or for too long. */
#define pump_until(cond)                                                                           \
	do {                                                                                       \
		uint64_t end_ = now_ms() + 20000;                                                  \
		while (!(cond)) {                                                                  \
			pump();                                                                    \
			if (now_ms() > end_)                                                       \
				fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__,       \
					 #cond);                                                   \
		}                                                                                  \
	} while (0)

struct ppe_sge mem(unsigned i, const void *p, uint32_t len);
/* Posts, waiting for room. */
void post(unsigned i, const struct ppe_msg *m);
void post_send(unsigned i, uint32_t peer, uint64_t user_tag, const void *p, uint32_t len,
	       uint32_t flags, uint64_t tag);
void post_recv(unsigned i, uint32_t peer, uint64_t user_tag, void *p, uint32_t len, uint32_t flags,
	       uint64_t tag, uint64_t ignore);
/* @op: PPE_OP_WRITE or PPE_OP_READ. */
void post_rma(unsigned i, enum ppe_op op, uint32_t peer, uint64_t user_tag, const void *p,
	      uint32_t len, uint64_t addr, uint32_t key, uint32_t flags);
/* On 64-bit integers, one of them. */
void post_atomic(unsigned i, enum ppe_op op, enum ppe_atomic_op what, uint32_t peer,
		 uint64_t user_tag, uint64_t *operand, uint64_t *compare, uint64_t *result,
		 uint64_t addr, uint32_t key);
struct ppe_mr share(unsigned i, void *p, size_t len, unsigned access, const char *auth,
		    uint32_t *key);

static inline uint64_t rnd(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
static inline uint32_t rnd_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((rnd(state) >> 32) % n);
}

#endif
