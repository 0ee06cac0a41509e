/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* both_msg.c - two wires as one fabric: the message service. */
#include "fabric/both_internal.h"

#include <errno.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------- listeners */

struct half {
	struct fab_msg_listener *of;
	struct fab_msg_listener *l; /* the wire's own; NULL: none */
};

struct fab_msg_listener {
	struct fab_msg *m;
	const struct fab_msg_listen_user *ops;
	void *user;
	int backlog;
	struct half half[2];
};

static unsigned side_of(const struct half *h)
{
	return h == &h->of->half[1];
}

static struct fab_msg_conn *half_conn(const struct half *h, const struct fab_msg_conn *conn)
{
	return both_mark(conn, h->of->m->fab->wire[side_of(h)]);
}

static void half_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
			 const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct half *h = user;

	h->of->ops->request(h->of->user, half_conn(h, conn), peer, who, pdata, len);
}

static void half_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct half *h = user;

	h->of->ops->withdrawn(h->of->user, half_conn(h, conn));
}

static void half_close(struct fab_msg_listener *l, unsigned i)
{
	struct fab_msg_listener *own = l->half[i].l;

	l->half[i].l = NULL;
	if (own)
		l->m->ops[i]->unlisten(own);
}

/* As of a stream: see both_listen.c. */
static void half_failed(void *user, int err)
{
	struct half *h = user;
	struct fab_msg_listener *l = h->of;

	half_close(l, 1);
	if (side_of(h) == 1)
		both_log_lost(l->m->fab, err);
	else
		l->ops->failed(l->user, err);
}

static const struct fab_msg_listen_user half_ops = {
	.request = half_request,
	.withdrawn = half_withdrawn,
	.failed = half_failed,
};

static int half_listen(void *arg, unsigned i, const union fab_addr *addr)
{
	struct fab_msg_listener *l = arg;
	int err;

	l->half[i].of = l;
	err = l->m->ops[i]->listen(l->m->sub[i], addr, l->backlog, &half_ops, &l->half[i],
				   &l->half[i].l);
	if (err)
		l->half[i].l = NULL;
	return err;
}

static int msg_listener_addr(struct fab_msg_listener *l, union fab_addr *addr)
{
	return l->m->ops[0]->listener_addr(l->half[0].l, addr);
}

static int half_addr(void *arg, union fab_addr *addr)
{
	return msg_listener_addr(arg, addr);
}

static void half_unlisten(void *arg, unsigned i)
{
	half_close(arg, i);
}

static const struct both_listening msg_listening = {
	.listen = half_listen,
	.addr = half_addr,
	.unlisten = half_unlisten,
};

static int msg_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
		      const struct fab_msg_listen_user *ops, void *user,
		      struct fab_msg_listener **out)
{
	struct fab_msg_listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->m = m;
	l->ops = ops;
	l->user = user;
	l->backlog = backlog;
	err = both_listen_on(m->fab, &msg_listening, l, addr, false);
	if (err)
		free(l);
	else
		*out = l;
	return err;
}

static void msg_unlisten(struct fab_msg_listener *l)
{
	half_close(l, 0);
	half_close(l, 1);
	free(l);
}

/* ------------------------------------------------------------------------ connections */

static int msg_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
		       const struct fab_hello *hello, const void *pdata, size_t len,
		       const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	unsigned i = both_path(m->fab, attr);
	struct fab_msg_conn *conn;
	int err = m->ops[i]->connect(m->sub[i], attr, hello, pdata, len, ops, user, &conn);

	if (!err)
		*out = both_mark(conn, m->fab->wire[i]);
	return err;
}

static const struct fab_msg_ops *ops_of(const struct fab_msg_conn *conn)
{
	return both_known[both_number(conn)]->msg;
}

static int msg_accept(struct fab_msg_conn *conn, const struct fab_hello *hello, const void *pdata,
		      size_t len, const struct fab_msg_user *ops, void *user)
{
	return ops_of(conn)->accept(both_plain(conn), hello, pdata, len, ops, user);
}

static void msg_reject(struct fab_msg_conn *conn, const void *pdata, size_t len)
{
	ops_of(conn)->reject(both_plain(conn), pdata, len);
}

static void msg_tx_want(struct fab_msg_conn *conn)
{
	ops_of(conn)->tx_want(both_plain(conn));
}

static void msg_tx_now(struct fab_msg_conn *conn)
{
	ops_of(conn)->tx_now(both_plain(conn));
}

static void msg_rx_want(struct fab_msg_conn *conn)
{
	ops_of(conn)->rx_want(both_plain(conn));
}

static int msg_shutdown(struct fab_msg_conn *conn)
{
	return ops_of(conn)->shutdown(both_plain(conn));
}

static void msg_conn_close(struct fab_msg_conn *conn, bool reset)
{
	ops_of(conn)->conn_close(both_plain(conn), reset);
}

static int msg_conn_addr(struct fab_msg_conn *conn, union fab_addr *local, union fab_addr *peer)
{
	return ops_of(conn)->conn_addr(both_plain(conn), local, peer);
}

static const char *msg_conn_wire(const struct fab_msg_conn *conn)
{
	return both_known[both_number(conn)]->name;
}

/* ---------------------------------------------------------------------------- devices */

static void msg_region_gone(struct fab_msg *m, struct fab_region *region)
{
	for (unsigned i = 0; i < 2; i++)
		if (m->ops[i]->region_gone)
			m->ops[i]->region_gone(m->sub[i], region);
}

static void msg_read_over(struct fab_msg_conn *conn, uint32_t sink_stag)
{
	if (ops_of(conn)->read_over)
		ops_of(conn)->read_over(both_plain(conn), sink_stag);
}

/* ----------------------------------------------------------------------- the instance */

static void msg_close(struct fab_msg *m)
{
	for (unsigned i = 0; i < 2; i++)
		if (m->sub[i])
			m->ops[i]->close(m->sub[i]);
}

static const struct fab_msg_ops both_msg_ops = {
	.name = "both",
	.close = msg_close,
	.listen = msg_listen,
	.listener_addr = msg_listener_addr,
	.unlisten = msg_unlisten,
	.connect = msg_connect,
	.accept = msg_accept,
	.reject = msg_reject,
	.tx_want = msg_tx_want,
	.tx_now = msg_tx_now,
	.rx_want = msg_rx_want,
	.shutdown = msg_shutdown,
	.conn_close = msg_conn_close,
	.conn_addr = msg_conn_addr,
	.wire = msg_conn_wire,
};

int both_msg_open(struct fab *fab, const struct both *both, const struct fab_msg_attr *attr,
		  struct fabric *out)
{
	struct fab_msg *m = &fab->msg;

	m->fab = fab;
	m->own = both_msg_ops;
	for (unsigned i = 0; i < 2; i++) {
		int err;

		m->ops[i] = both->wires[i]->msg;
		err = m->ops[i]->open(&fab->env, attr, fab->stream[i], fab->sub[i], &m->sub[i]);
		if (err) {
			m->sub[i] = NULL;
			msg_close(m);
			return err;
		}
		/* without them neither has a device */
		if (m->ops[i]->region_gone)
			m->own.region_gone = msg_region_gone;
		if (m->ops[i]->read_over)
			m->own.read_over = msg_read_over;
	}
	out->msg = &m->own;
	out->m = m;
	return 0;
}
