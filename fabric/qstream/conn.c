/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * conn.c - byte streams on queue pairs: a connection from connect to close, its addresses and options.
 */
#include "fabric/qstream/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ making and ending */

struct fab_conn *qs_conn_new(struct qstream *q)
{
	struct fab_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	link_init(&c->work);
	link_init(&c->dirty);
	link_init(&c->list);
	c->q = q;
	c->flags = QC_NODELAY;
	c->rx_limit = QS_WINDOW;
	return c;
}

/*
 * Nothing of the wire's is left. The ring's key ends behind the queue pair, which would fail by it, and
 * before what is unread in the ring is anybody's: by another queue pair the peer might still use it.
 * The chunks go last: of what the wire has begun, a device reads till then.
 */
static void conn_release(struct fab_conn *c, bool reset)
{
	struct fab_msg_conn *mc = c->mc;

	timer_stop(c->q->env.timers, &c->timer);
	link_del(&c->dirty);
	c->mc = NULL;
	if (mc)
		c->q->attr.msg->conn_close(mc, reset);
	qs_rx_region_drop(c);
	qs_tx_drop(c);
}

void qs_conn_gone(struct fab_conn *c, bool reset)
{
	if (c->flags & QC_GONE)
		return;
	c->flags |= QC_GONE;
	conn_release(c, reset);
	qs_rx_drop(c);
	if ((c->flags & QC_CLOSED) && linked(&c->list))
		c->q->lingers--;
	link_del(&c->list);
	link_del(&c->work);
	link_append(&c->q->zombies, &c->work);
}

/* For a reason of this side's, what was staged before still goes, as far as the user's close lets it. */
void qs_conn_fail(struct fab_conn *c, int err)
{
	if (c->flags & QC_OVER)
		return;
	c->flags |= QC_FAILED;
	link_del(&c->work);
	link_del(&c->dirty);
	c->q->done++;
	c->ops->failed(c->user, err);
}

/* They can be asked for also when the queue pair is gone, as a socket's can behind its end. */
static void keep_names(struct fab_conn *c)
{
	union fab_addr peer = c->peer;

	if (c->mc && !c->q->attr.msg->conn_addr(c->mc, &c->local, &peer))
		c->peer = peer;
}

void qs_conn_dead(struct fab_conn *c, int err)
{
	bool lost = c->tx_staged != c->tx_done || (c->flags & (QC_TX_WANT | QC_TX_FULL));

	if (c->flags & (QC_DEAD | QC_GONE))
		return;
	c->flags |= QC_DEAD;
	if (c->flags & QC_CLOSED) {
		qs_conn_gone(c, err != 0);
		return;
	}
	if (lost)
		c->flags |= QC_LOST;
	if (!err && !lost && (c->flags & QC_FIN_RX))
		c->err = -EPIPE;
	else
		c->err = !err || err == -EPIPE ? -ECONNRESET : err;
	keep_names(c);
	conn_release(c, err != 0);
	qs_conn_ripe(c);
	qs_conn_check_ready(c);
}

void qs_conn_violation(struct fab_conn *c, const char *what)
{
	fab_logf(&c->q->env, FAB_LOG_WARN, "stream: %s", what);
	QS_COUNT(c->q, proto_errors, 1);
	qs_conn_dead(c, -EPROTO);
}

/* ------------------------------------------------------------------ closing */

static void linger_over(struct timer *t)
{
	struct fab_conn *c = container(t, struct fab_conn, timer);
	struct qstream *q = c->q;

	qs_enter(q);
	qs_conn_gone(c, true);
	qs_leave(q);
}

void qs_linger_timer(struct fab_conn *c)
{
	/* without memory for a timer it lingers as long as its peer lives */
	timer_start(c->q->env.timers, &c->timer, QS_LINGER_NS, linger_over);
}

/* All is out: what remains is the queue pair's own end, closed() follows. */
static void end_queue_pair(struct fab_conn *c)
{
	if (c->flags & QC_ENDING)
		return;
	c->flags |= QC_ENDING;
	if (c->q->attr.msg->shutdown(c->mc))
		qs_conn_gone(c, true);
}

void qs_conn_linger(struct fab_conn *c)
{
	if ((c->flags & (QC_CLOSED | QC_FIN_DONE | QC_GONE)) == (QC_CLOSED | QC_FIN_DONE))
		end_queue_pair(c);
}

/*
 * The user is gone; what it gave is still to be sent. What comes from now on is dropped and makes no
 * room for more, until the queue pair's end tells the peer.
 */
static void close_in_order(struct fab_conn *c)
{
	c->flags |= QC_CLOSED | QC_FIN_WANT;
	if (!qs_rx_has_ring(c))
		qs_rx_drop(c);
	link_del(&c->work);
	link_del(&c->dirty);
	link_append(&c->q->lingering, &c->list);
	c->q->lingers++;
	qs_linger_timer(c);
	qs_conn_linger(c);
	if (!(c->flags & (QC_GONE | QC_FIN_DONE)))
		c->q->attr.msg->tx_now(c->mc);
}

void qstream_conn_close(struct fab_conn *c, bool reset)
{
	struct qstream *q = c->q;

	qs_enter(q);
	q->open--;
	if (reset || !c->mc || (c->flags & QC_SETUP))
		qs_conn_gone(c, true);
	else
		close_in_order(c);
	qs_leave(q);
}

int qstream_shutdown(struct fab_conn *c)
{
	struct qstream *q = c->q;

	if (!c->mc || (c->flags & QC_SETUP))
		return -ENOTCONN;
	qs_enter(q);
	c->flags |= QC_FIN_WANT;
	if (qs_tx_can_form(c))
		q->attr.msg->tx_now(c->mc);
	qs_leave(q);
	return 0;
}

/* ------------------------------------------------------------------ signs of life */

/* A sign of life: when the peer is gone, the wire finds out by sending it. */
static void keepalive(struct timer *t)
{
	struct fab_conn *c = container(t, struct fab_conn, timer);
	struct qstream *q = c->q;

	qs_enter(q);
	c->flags |= QC_CREDIT;
	qs_tx_tell(c);
	timer_start(q->env.timers, &c->timer, QS_KEEPALIVE_NS, keepalive);
	qs_leave(q);
}

static int set_keepalive(struct fab_conn *c, bool on)
{
	int err = 0;

	if (on && !(c->flags & (QC_SETUP | QC_DEAD)))
		err = timer_start(c->q->env.timers, &c->timer, QS_KEEPALIVE_NS, keepalive);
	else if (!on)
		timer_stop(c->q->env.timers, &c->timer);
	if (!err)
		c->flags = on ? c->flags | QC_KEEPALIVE : c->flags & ~QC_KEEPALIVE;
	return err;
}

/* ------------------------------------------------------------------ set-up */

void qs_conn_hello(struct fab_hello *hello, struct qs_hello *pdata)
{
	*hello = (struct fab_hello){ .features = FAB_FEATURE_STREAM };
	qs_hello_put(pdata, QS_WINDOW);
}

int qs_conn_greet(struct fab_conn *c, const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	int err;

	if (!who || !who->eta || !(who->features & FAB_FEATURE_STREAM))
		return -EPROTO;
	err = qs_hello_get(pdata, len, &c->peer_window);
	c->tx_limit = c->peer_window;
	return err;
}

/* The connection came to nothing: gone first, then reported, as the contract says. */
static void connect_fail(struct fab_conn *c, int err)
{
	c->q->open--;
	qs_conn_gone(c, true);
	c->q->done++;
	c->ops->connected(c->user, err);
}

static void dialled(struct fab_conn *c, int err)
{
	if (err) {
		connect_fail(c, err);
		return;
	}
	c->flags &= ~QC_SETUP;
	if (c->flags & QC_KEEPALIVE)
		set_keepalive(c, true);
	c->q->done++;
	c->ops->connected(c->user, 0);
	if (c->flags & QC_OVER)
		return;
	/* what was wanted before there was a connection */
	if (c->flags & QC_TX_WANT)
		qs_conn_dirty(c);
	qs_conn_check_ready(c);
}

static void up_connected(void *user, int err, const struct fab_msg_peer *who, const void *pdata,
			 size_t len)
{
	struct fab_conn *c = user;
	struct qstream *q = c->q;

	qs_enter(q);
	if (err)
		c->mc = NULL;
	else if (!c->listener) /* of one that asks us, the request has said it */
		err = qs_conn_greet(c, who, pdata, len);
	/* reading begins with the connection: there is always room for what may come */
	if (!err)
		q->attr.msg->rx_want(c->mc);
	if (c->listener)
		qs_listen_connected(c, err);
	else
		dialled(c, err);
	qs_leave(q);
}

static void up_closed(void *user, int err)
{
	struct fab_conn *c = user;
	struct qstream *q = c->q;

	qs_enter(q);
	qs_conn_dead(c, err);
	qs_leave(q);
}

/* What no stream asks for. */
static int up_read(void *user, const struct fab_read_req *r)
{
	(void)user;
	(void)r;
	return -EPERM;
}

static int up_atomic(void *user, const struct fab_atomic_req *r)
{
	(void)user;
	(void)r;
	return -EPERM;
}

static int up_number(void *user, uint32_t id, uint64_t value)
{
	(void)user;
	(void)id;
	(void)value;
	return -EBUSY;
}

static int up_immediate(void *user, uint64_t value)
{
	(void)user;
	(void)value;
	return -EBUSY;
}

const struct fab_msg_user qs_msg_user = {
	.connected = up_connected,
	.tx_peek = qs_tx_peek,
	.tx_done = qs_tx_gone,
	.rx_whole = qs_rx_whole,
	.rx_place = qs_rx_place,
	.rx_done = qs_rx_done,
	.rx_tagged = qs_rx_tagged,
	.rx_tagged_done = qs_rx_tagged_done,
	.rx_read = up_read,
	.rx_atomic = up_atomic,
	.rx_atomic_resp = up_number,
	.rx_immediate = up_immediate,
	.rx_key = qs_rx_key,
	.closed = up_closed,
};

int qstream_connect(struct qstream *q, const struct fab_connect_attr *attr,
		    const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	struct fab_conn *c = qs_conn_new(q);
	struct fab_hello hello;
	struct qs_hello pdata;
	int err;

	if (!c)
		return -ENOMEM;
	c->ops = ops;
	c->user = user;
	c->peer = *attr->peer;
	c->flags |= QC_SETUP;
	qs_conn_hello(&hello, &pdata);
	err = q->attr.msg->connect(q->attr.m, attr, &hello, &pdata, sizeof(pdata), &qs_msg_user, c,
				   &c->mc);
	if (err) {
		free(c);
		return err;
	}
	q->open++;
	*out = c;
	return 0;
}

void qstream_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user)
{
	c->ops = ops;
	c->user = user;
	c->flags &= ~(QC_RX_WANT | QC_TX_WANT);
}

/* ------------------------------------------------------------------ addresses, options */

int qstream_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer)
{
	union fab_addr ours = c->local, theirs = c->peer;
	int err = 0;

	if (c->mc)
		err = c->q->attr.msg->conn_addr(c->mc, &ours, &theirs);
	else if (!fab_addr_len(&ours))
		err = -ENOTCONN;
	if (err)
		return err;
	if (local)
		*local = ours;
	if (peer)
		*peer = theirs;
	return 0;
}

static uint32_t clamp(int value)
{
	if (value > INT_MAX / 2)
		return INT_MAX / 2;
	return value < QS_SNDBUF_MIN ? QS_SNDBUF_MIN : (uint32_t)value;
}

/* Nothing is ever delayed. A receive buffer that is set later than its ring is made changes nothing. */
int qstream_set_option(struct fab_conn *c, enum fab_option opt, int value)
{
	switch (opt) {
	case FAB_OPT_NODELAY:
		c->flags = value ? c->flags | QC_NODELAY : c->flags & ~QC_NODELAY;
		return 0;
	case FAB_OPT_KEEPALIVE:
		return set_keepalive(c, value);
	case FAB_OPT_SNDBUF:
		c->sndbuf = clamp(value);
		return 0;
	case FAB_OPT_RCVBUF:
		c->rcvbuf = clamp(value);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* Buffer sizes come back as kernel TCP counts them: twice what was set. */
int qstream_get_option(struct fab_conn *c, enum fab_option opt, int *value)
{
	switch (opt) {
	case FAB_OPT_NODELAY:
		*value = !!(c->flags & QC_NODELAY);
		return 0;
	case FAB_OPT_KEEPALIVE:
		*value = !!(c->flags & QC_KEEPALIVE);
		return 0;
	case FAB_OPT_SNDBUF:
		*value = c->sndbuf ? (int)c->sndbuf * 2 : QS_SNDBUF;
		return 0;
	case FAB_OPT_RCVBUF:
		*value = c->rcvbuf ? (int)c->rcvbuf * 2 : QS_RING_MAX;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}
