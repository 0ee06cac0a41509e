/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * qstream.h - the stream service over any message service: what a wire needs that has queue pairs and
 * no byte streams of its own.
 *
 * The wire keeps open(), close(), wait(), kick(), drain(), wait_fd() and kick_fd() of its struct
 * fab_stream_ops, and takes all that concerns connections and listeners from here (QSTREAM_OPS). Its
 *	progress()	ends with qstream_progress(), after it has progressed the message service;
 *	flush()		begins with qstream_flush(), before it flushes that;
 *	wait()		does not sleep while pending(true) was the last thing it heard.
 * struct fab_conn and struct fab_listener are this module's, struct fab remains the wire's.
 *
 * What the message service must do, beyond fabric.h: nothing. No message waits for its place here
 * (rx_place never says -EAGAIN), and none is longer than QS_MESSAGE_MAX but for writes. One whose
 * device places writes by itself (it has region_gone) finds the region that they come from in them,
 * and gets a key to the ring that they go to: it must still ask rx_tagged for each, in its order, when
 * the octets are there.
 *
 * Memory. An idle connection costs its struct fab_conn (320 B). What is on its way out is copied
 * into chunks, at most SNDBUF of them for each connection; what has come in small messages and is not
 * yet read costs one buffer of QS_WINDOW; and a connection whose peer has sent much has a ring, to its
 * end. All three are cut from one arena, whose parts have a bound each: without chunks connections wait
 * to send, without rings they receive in small messages. To such a wire the arena is one region, of
 * which nothing is written; and a ring is one of its own from when its key is first given until its
 * connection is over, because what a peer has a key to it may write to at any time. So registering a
 * ring, of 64 or 256 KiB, is paid once by each connection whose peer asks for that key.
 *
 * Copies. One on each side, as with kernel TCP: the user's memory may go away at any time, and the
 * fabric names it to nobody but the kernel. The arena is a file in memory, so these copies are reads
 * and writes of that file, which survive memory that cannot be accessed; they cost half of
 * process_vm_writev(2), and are allowed everywhere. What came inside a message is copied once more,
 * from the message service's memory into the arena.
 *
 * Dead peers. The wire finds out by sending, and closed() says so. A connection that only waits hears of
 * nothing, as with TCP, unless FAB_OPT_KEEPALIVE makes it send a credit now and then.
 *
 * Not offered: listeners' reuse_port (-EOPNOTSUPP), because there is one listener for a port.
 *
 * Counted here: eofs, copies and copy_bytes, tx_short, system calls. Octets, connections and resets are
 * the message service's and the wire's to count.
 */
#ifndef ETA_QSTREAM_H
#define ETA_QSTREAM_H

#include "fabric/fabric.h"

struct qstream; /* one instance */

struct qstream_attr {
	const struct fab_msg_ops *msg;
	struct fab_msg *m;
	/*
	 * progress() or flush() would find work: @pending; or they would not any more. Called when
	 * that changes, under the turn, at the end of whatever call changed it: a sleeper is to be
	 * woken then.
	 */
	void (*pending)(void *arg, bool pending);
	void *arg;
};

int qstream_open(const struct fab_env *env, const struct qstream_attr *attr, struct qstream **out);
/* Closed connections of which something is still to be sent end here. */
void qstream_close(struct qstream *q);
/* How many there are of these. A wire that closes does well to go on for a while until there is none. */
unsigned qstream_lingering(const struct qstream *q);

int qstream_progress(struct qstream *q, int budget);
void qstream_flush(struct qstream *q);

/* As in struct fab_stream_ops, but for the first parameter. */
int qstream_listen(struct qstream *q, const struct fab_listen_attr *attr,
		   const struct fab_listen_user *ops, void *user, struct fab_listener **out);
int qstream_connect(struct qstream *q, const struct fab_connect_attr *attr,
		    const struct fab_stream_user *ops, void *user, struct fab_conn **out);

int qstream_accept(struct fab_listener *l);
unsigned qstream_unaccept(struct fab_listener *l, unsigned n);
int qstream_listener_addr(struct fab_listener *l, union fab_addr *addr);
void qstream_unlisten(struct fab_listener *l);
void qstream_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user);
void qstream_tx_want(struct fab_conn *c);
void qstream_tx_now(struct fab_conn *c);
void qstream_rx_want(struct fab_conn *c);
int qstream_shutdown(struct fab_conn *c);
void qstream_conn_close(struct fab_conn *c, bool reset);
int qstream_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer);
int qstream_set_option(struct fab_conn *c, enum fab_option opt, int value);
int qstream_get_option(struct fab_conn *c, enum fab_option opt, int *value);

/* Slots of struct fab_stream_ops. */
#define QSTREAM_OPS                                                                                \
	.accept = qstream_accept, .unaccept = qstream_unaccept,                                    \
	.listener_addr = qstream_listener_addr, .unlisten = qstream_unlisten,                      \
	.bind = qstream_bind, .tx_want = qstream_tx_want, .tx_now = qstream_tx_now,                \
	.rx_want = qstream_rx_want, .shutdown = qstream_shutdown,                                  \
	.conn_close = qstream_conn_close, .conn_addr = qstream_conn_addr,                          \
	.set_option = qstream_set_option, .get_option = qstream_get_option

#endif
