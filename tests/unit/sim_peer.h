/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_peer.h - one end of a connection between simulated devices that knows nothing of eta: its test
 * says every octet that it sends. It takes Sends into receives of its own, which it posts again by itself.
 */
#ifndef ETA_TESTS_SIM_PEER_H
#define ETA_TESTS_SIM_PEER_H

#include "fabric/fabric.h"
#include "fabric/timer.h"
#include "tests/unit/sim_verbs.h"

#define SIM_PEER_FRAME 16384 /* octets of what it sends and receives at a time */
#define SIM_PEER_RECVS 64

struct sim_peer;

/* What is said in set-up. */
struct sim_peer_attr {
	union fab_addr at; /* to dial; to listen at, port 0: any */
	const void *data;  /* private data, of the request or the reply */
	uint8_t data_len;
	uint8_t reads;     /* reads that it serves, and has outstanding, at a time */
	uint8_t rnr_retry; /* of the other side; 7: for ever */
	unsigned recvs;    /* receives that are posted, and stay so */
};

struct sim_peer *sim_peer_dial(const struct sim_peer_attr *attr);
/* Takes the first that asks. */
struct sim_peer *sim_peer_listen(const struct sim_peer_attr *attr);
union fab_addr sim_peer_addr(const struct sim_peer *p);

/* Takes what has come. */
void sim_peer_turn(struct sim_peer *p);
bool sim_peer_is_up(const struct sim_peer *p);
/* Refused, disconnected, failed, or its device is gone. */
bool sim_peer_is_over(const struct sim_peer *p);
/* Of the last work request that failed, but for those that were flushed: enum ibv_wc_status. */
int sim_peer_status(const struct sim_peer *p);
/* What the other side said in set-up. */
const uint8_t *sim_peer_data(const struct sim_peer *p, uint8_t *len);

/* As ibv_post_send(): 0, or an errno value. What they name is copied. */
int sim_peer_send(struct sim_peer *p, const void *octets, uint32_t len);
int sim_peer_write(struct sim_peer *p, uint32_t rkey, uint64_t addr, const void *octets,
		   uint32_t len, bool immediate);
/* To sim_peer_read_data(). */
int sim_peer_read(struct sim_peer *p, uint32_t rkey, uint64_t addr, uint32_t len);
const uint8_t *sim_peer_read_data(const struct sim_peer *p);
/* How many were posted and are not over. */
unsigned sim_peer_under_way(const struct sim_peer *p);

/* The oldest Send that came; NULL: none. */
const uint8_t *sim_peer_got(const struct sim_peer *p, uint32_t *len);
void sim_peer_drop(struct sim_peer *p);

/* Memory of @len octets that the other side may write and read, till the peer is closed; NULL: refused. */
uint8_t *sim_peer_share(struct sim_peer *p, uint32_t len, uint32_t *rkey);

void sim_peer_disconnect(struct sim_peer *p);
/* Without a word if it was not disconnected: but the connection manager tells the other side. */
void sim_peer_close(struct sim_peer *p);

#endif
