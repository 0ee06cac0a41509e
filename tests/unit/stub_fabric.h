/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stub_fabric.h - a fabric without a wire, for tests of the engine.
 *
 * Programs link it, with the engine's objects, in place of the real fabrics. It keeps the contract of
 * fabric/fabric.h to the letter, checks that the engine does, and leaves everything else to the test:
 * what arrives and when, how much a write takes, when a connection fails.
 *
 * Calls named stub_... may come from any thread that does not hold the turn. The members of the
 * structures are for tests with one thread.
 */
#ifndef STUB_FABRIC_H
#define STUB_FABRIC_H

#include "ppe/message.h"

/* Bytes that are appended at one end and taken from the other. */
struct stub_bytes {
	uint8_t *data;
	size_t off, len, room;
};

/* How often each call was made. */
struct stub_calls {
	unsigned progress, flush, wait, kick, drain, tx_next, tx_done, rx_next, rx_none, rx_eof;
	unsigned failed, shutdown, close, reset;
};

struct fab {
	const struct fab_env *env;
	struct list conns, listeners, mconns, mlisteners;
	int workfd, kickfd; /* readable: there is work; there was a kick */
	bool signalled;
	unsigned depth, conn_count;
	_Atomic uint32_t sleeping; /* threads in wait() */
	_Atomic(const void *) sleeper;
	bool held;                      /* connects wait for stub_connect_done() */
	const struct fab_msg_peer *who; /* of message connections; NULL: a stranger */
	int connect_error;
	int iov_max; /* what a write may carry */
	size_t io_bytes;
	struct stub_calls calls;
	/* between rx_next and the bytes' arrival: what a hostile application may do meanwhile */
	void (*before_landing)(struct fab_conn *conn, void *arg);
	void *arg;
	/* if it places: */
	unsigned nregions, ngone; /* it was named; it was told the end of */
	void (*over)(struct fab_msg_conn *conn, uint32_t sink);
};

struct fab_conn {
	struct list link;
	struct fab *fab;
	const struct fab_stream_user *ops;
	void *user;
	/* atomic: written under the turn, looked at by injectors */
	_Atomic bool connecting, connect_ready, dead, fail_told, rx_want, tx_want, tx_blocked;
	bool kept, reset, shut, eof_told;
	int connect_err;
	struct fab_conn *peer; /* where writes go, instead of @out */
	struct stub_bytes in, out;
	bool in_eof;
	int in_err, out_err;
	size_t window, tx_step, rx_step; /* bytes taken in all; in one write, in one read */
	unsigned lag;                    /* turns that progress() passes it over */
	unsigned tx_faults, rx_faults;   /* next writes and reads that meet bad memory */
	int option[FAB_OPTIONS];
};

struct fab_listener {
	struct list link;
	struct fab *fab;
	const struct fab_listen_user *ops;
	void *user;
	_Atomic unsigned posted;
	_Atomic bool dead;
	union fab_addr addr;
	struct fab_conn *waiting[64];
	unsigned nwaiting;
};

#define STUB_MSGS 256

struct fab_msg {
	struct fab *fab;
};

#define STUB_BEGUN 64

/* A message that a placing fabric has on the wire. */
struct stub_begun {
	struct fab_send send;
	struct iovec iov[MSG_IOV_MAX + 1];
	struct fab_region *region[MSG_IOV_MAX + 1]; /* NULL, too, if none were named */
	bool complete;
};

/* Where the answer of a read goes. */
struct stub_sink {
	uint32_t stag;
	unsigned n;
	struct iovec iov[MSG_IOV_MAX + 1];
	struct fab_region *region[MSG_IOV_MAX + 1];
};

struct fab_msg_conn {
	struct list link;
	struct fab *fab;
	const struct fab_msg_user *ops;
	void *user;
	struct fab_msg_listener *listener; /* request that is not answered */
	_Atomic bool connecting, connect_ready, dead, rx_want, tx_want, tx_blocked, close_told;
	bool kept, reset, shut, rejected, asked, withdrawn, close_ready;
	int connect_err;
	int close_err;
	struct stub_bytes in, out;
	uint32_t in_len[STUB_MSGS], out_len[STUB_MSGS];
	uint8_t out_flags[STUB_MSGS];
	unsigned in_first, in_count, out_count;
	uint32_t in_off, out_off; /* of the message under way */
	uint32_t piece;           /* longest piece of an arriving message */
	size_t window;
	uint8_t pdata[FAB_PDATA_MAX];
	size_t pdata_len;
	uint8_t answer[FAB_PDATA_MAX];
	size_t answer_len;
	/* if it places: */
	struct stub_begun begun[STUB_BEGUN];
	struct stub_sink sink[STUB_BEGUN];
	unsigned nbegun, max_begun, nsinks, novers;
	unsigned ask_again; /* of those begun, the one that it asks for again */
	uint32_t last_over;
};

struct fab_msg_listener {
	struct list link;
	struct fab *fab;
	const struct fab_msg_listen_user *ops;
	void *user;
	bool dead;
	union fab_addr addr;
};

/* Called at the steps of the protocol, with no lock held; for random delays. */
extern void (*stub_step)(void);

/*
 * Fabrics that are opened have devices: messages stay on the wire until the test completes them, and
 * regions and sinks are noted (stub_place.c).
 */
extern bool stub_places;

struct fab *stub_of(struct ppe_ual *ual);

/* Connections of @d. They stay until the fabric is closed, also when the engine has closed them. */
struct fab_conn *stub_keep(struct ppe_dti *d);
struct fab_msg_conn *stub_keep_msg(struct ppe_dti *d);

void stub_inject(struct fab_conn *c, const void *data, size_t len);
void stub_inject_eof(struct fab_conn *c);
/* The next read, or write, fails so. */
void stub_inject_error(struct fab_conn *c, int err);
void stub_write_error(struct fab_conn *c, int err);
/* The socket takes @bytes more; SIZE_MAX: any number. */
void stub_window(struct fab_conn *c, size_t bytes);
/* Writes of one arrive at the other. */
void stub_pair(struct fab_conn *a, struct fab_conn *b);
/* The outcome of a connect that was held. */
void stub_connect_done(struct fab_conn *c, int err);
/* A peer connects. */
struct fab_conn *stub_incoming(struct fab_listener *l);

void stub_msg_inject(struct fab_msg_conn *c, const void *data, uint32_t len);
void stub_msg_window(struct fab_msg_conn *c, size_t bytes);
void stub_msg_closed(struct fab_msg_conn *c, int err);
void stub_msg_connect_done(struct fab_msg_conn *c, int err, const void *pdata, size_t len);
struct fab_msg_conn *stub_msg_request(struct fab_msg_listener *l, const void *pdata, size_t len);
void stub_msg_withdraw(struct fab_msg_conn *c);

/* Those of a placing fabric; and upcalls, made at once. */
void stub_msg_complete(struct fab_msg_conn *c, unsigned i);
int stub_msg_tagged(struct fab_msg_conn *c, const struct fab_tagged *t, const void *data);
/* The whole answer of a read of @sink's, as its device would place it. */
void stub_msg_place(struct fab_msg_conn *c, uint32_t sink, uint64_t to, const void *data,
		    uint32_t len);
int stub_msg_read(struct fab_msg_conn *c, const struct fab_read_req *r);
int stub_msg_key(struct fab_msg_conn *c, const struct fab_key_req *r, struct fab_key *key);
void stub_msg_fetched(struct fab_msg_conn *c, const struct fab_read_req *r);

/* Between stub_fabric.c and stub_place.c */
void stub_enter(struct fab *fab);
void stub_leave(struct fab *fab);
void stub_msg_end(struct fab_msg_conn *c, int err);
bool stub_place_ready(const struct fab_msg_conn *c);
void stub_place_transmit(struct fab_msg_conn *c);
void stub_place_progress(struct fab_msg_conn *c);
void stub_place_gone(struct fab_msg *m, struct fab_region *region);
void stub_place_over(struct fab_msg_conn *c, uint32_t sink);

#endif
