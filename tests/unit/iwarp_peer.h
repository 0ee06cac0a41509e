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
	struct fab_msg_peer who;      /* it was from */
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
	AT_RX_WHOLE,
	AT_RX_TAGGED,
	AT_RX_TAGGED_DONE,
	AT_RX_OTHER, /* of those that are told of whole */
	AT_COUNT
};
#define FAB_OPS (FAB_IMMEDIATE + 1)

struct chan_out;
struct chan_in;

/* A message that came: what struct fab_send has of it, but its memory. */
struct chan_event {
	struct fab_send send;
	struct fab_atomic atomic;
};

/* Memory that tagged data come to: the peer's writes, and the answers to our reads. */
#define CHAN_REGION (256 * 1024)
#define CHAN_STAG 0x5151
#define CHAN_SINK_STAG 0x7171
#define CHAN_TO 0x123456789000

struct chan {
	struct node *node;
	struct fab_msg_conn *conn; /* NULL: none, or gone */
	struct chan *from;         /* whose messages arrive: their sizes are checked; NULL: any */
	uint64_t seed;             /* of this side's content, and its lists' shapes */
	bool check;                /* the content of what arrives, as @from makes it */

	const struct fab_hello *hello; /* said in start-up; NULL: nothing */
	struct fab_msg_peer peer;
	unsigned connected, closed;
	int connect_err, close_err;
	uint8_t pdata[MPA_PD_MAX];
	size_t pdata_len;

	enum chan_at close_at; /* closes in this upcall, */
	unsigned close_skip;   /* but not in the first so many */
	bool reset;            /* closes with a reset */
	bool keep;             /* does not close when told that it is closed */
	int place_err;         /* what rx_place answers; 0: a place */
	int errs[FAB_OPS];     /* what those answer that other messages are told by */
	unsigned pieces;       /* entries in a place, if there is more to ask for; 0: all of them */
	unsigned whole;        /* takes Sends as they lie: 0 never, 1 always, else one of so many */
	bool drop;             /* has no place for tagged data */
	bool answer;           /* the peer's requests */

	struct chan_out *out;
	unsigned out_done, out_count, out_room;
	unsigned sends; /* of them */
	unsigned batch; /* messages shown at a time; 0: all */
	unsigned peeked;
	bool partial;

	struct chan_in *in;
	unsigned in_done, in_count, in_room;
	bool stalled, asked, placed;
	uint32_t at, asked_at, asked_end;
	unsigned stalls, truncated;
	uint64_t bytes; /* placed */
	unsigned wholes;

	struct chan_event *events; /* all messages that came, in their order */
	unsigned event_count, event_room;
	uint8_t *region;
	struct fab_tagged tagged; /* the message under way */
	uint64_t tagged_len;      /* of it is in place; */
	uint32_t tagged_at;       /* of its segment was asked for */
};

extern const struct fab_msg_user chan_user;

void chan_init(struct chan *c, struct node *n, uint64_t seed);
int chan_connect(struct chan *c, const union fab_addr *to, const void *pdata, size_t len);
int chan_accept(struct chan *c, struct fab_msg_conn *conn, const void *pdata, size_t len);
/* Queues a message, whose content is made here: of up to @entries pieces of memory. */
void chan_op(struct chan *c, const struct fab_send *s, unsigned entries);
/* A Send of @len octets, scattered over up to @entries pieces of memory. */
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
/* Its payload is 0x77, and for memory that nobody has. */
size_t fpdu_tagged(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t len, bool crc);
size_t fpdu_tagged_at(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t stag, uint64_t to,
		      uint32_t len, bool crc);
/* A message of fixed size; its body is @body. */
size_t fpdu_body(uint8_t *fpdu, uint8_t opcode, uint32_t msn, const void *body, bool crc);
size_t fpdu_read(uint8_t *fpdu, uint32_t msn, uint32_t len, bool crc);

#endif
