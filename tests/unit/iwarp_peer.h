/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_peer.h - users of the message service for its tests: an instance with a pool of anonymous
 * buffers that counts, and queue pairs whose messages have content that can be checked.
 *
 * Everything the service may do wrong to its user is checked in the upcalls themselves: pieces out
 * of order, a message that ends twice, writes beside the place that was named, an upcall after the
 * connection was closed.
 */
#ifndef ETA_TESTS_IWARP_PEER_H
#define ETA_TESTS_IWARP_PEER_H

#include "fabric/iwarp/iwarp.h"
#include "tests/unit/script_stream.h"

/* ------------------------------------------------------------------------- an instance */

struct node {
	struct fab *fab;
	struct fab_msg *m;
	struct fab_counters counters;
	struct timers timers;
	/* anonymous buffers: their size and number, and how many are out */
	size_t pool_size;
	unsigned pool_count, pool_used;

	struct fab_msg_listener *listener;
	union fab_addr addr;
	struct chan *child; /* accepts the next request, and those that follow; NULL: they wait */
	void (*on_request)(struct node *n, struct fab_msg_conn *conn); /* instead of that */
	unsigned requests, withdrawn;
	struct fab_msg_conn *request; /* the last one, while it waits */
	uint8_t pdata[MPA_PD_MAX];
	size_t pdata_len;
};

struct fab_msg_attr node_attr(void);
void node_open(struct node *n, const struct fab_msg_attr *attr);
void node_listen(struct node *n);
void node_unlisten(struct node *n);
/* Everything must have been closed, and every buffer returned. */
void node_close(struct node *n);
/* Fires the timers of the next @ns. */
void node_pass(struct node *n, uint64_t ns);

/* ------------------------------------------------------------------------- a queue pair */

enum chan_at {
	AT_NEVER,
	AT_CONNECTED,
	AT_TX_PEEK,
	AT_TX_DONE,
	AT_RX_PLACE,
	AT_RX_DONE,
	AT_CLOSED,
	AT_COUNT
};

struct chan_out;
struct chan_in;

struct chan {
	struct node *node;
	struct fab_msg_conn *conn; /* NULL: none, or gone */
	struct chan *from;         /* whose messages arrive: their sizes are checked; NULL: any */
	uint64_t seed;             /* of this side's content, and its lists' shapes */
	bool check;                /* the content of what arrives, as @from makes it */

	unsigned connected, closed;
	int connect_err, close_err;
	uint8_t pdata[MPA_PD_MAX];
	size_t pdata_len;

	enum chan_at close_at; /* closes in this upcall, */
	unsigned close_skip;   /* but not in the first so many */
	bool reset;            /* closes with a reset */
	bool keep;             /* does not close when told that it is closed */
	int place_err;         /* what rx_place answers; 0: a place */

	struct chan_out *out;
	unsigned out_done, out_count, out_room;
	unsigned batch; /* messages shown at a time; 0: all */
	unsigned peeked;
	bool partial;

	struct chan_in *in;
	unsigned in_done, in_count, in_room;
	bool stalled, asked, placed;
	uint32_t at, asked_at, asked_end;
	unsigned stalls, truncated;
	uint64_t bytes; /* placed */
};

extern const struct fab_msg_user chan_user;

void chan_init(struct chan *c, struct node *n, uint64_t seed);
int chan_connect(struct chan *c, const union fab_addr *to, const void *pdata, size_t len);
int chan_accept(struct chan *c, struct fab_msg_conn *conn, const void *pdata, size_t len);
/* Queues a message of @len octets, scattered over up to @entries pieces of memory. */
void chan_send(struct chan *c, uint32_t len, unsigned entries);
/* Posts a receive of @size octets. */
void chan_post(struct chan *c, uint32_t size, unsigned entries);
void chan_close(struct chan *c);
/* Closes, and forgets what is queued and posted. */
void chan_fini(struct chan *c);

uint8_t content(uint64_t seed, unsigned message, uint32_t at);

/* A connection between two nodes, both ends open: @a dialled. */
void chan_pair(struct chan *a, struct chan *b, struct node *na, struct node *nb);

/* ------------------------------------------------------------------------- bytes by hand */

#define FPDU_ROOM (MPA_LEN_SIZE + MPA_ULPDU_MAX + MPA_TRAILER_MAX)

/* Closes the FPDU whose header and payload are the @n octets at @fpdu. Its length. */
size_t fpdu_end(uint8_t *fpdu, size_t n, bool crc);
/* A segment of a Send, with content(@seed, @msn - 1, ...). */
size_t fpdu_send(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t msn, uint32_t mo, uint32_t len,
		 bool crc, uint64_t seed);
size_t fpdu_tagged(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t len, bool crc);
size_t fpdu_read(uint8_t *fpdu, uint32_t msn, uint32_t len, bool crc);

#endif
