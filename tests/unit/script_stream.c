/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* script_stream.c - a stream fabric in memory; see script_stream.h. */
#include "tests/unit/script_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RX_IOV 32

/* One direction of a connection: @len octets from @off on. */
struct pipe {
	uint8_t *data;
	size_t off, len, room;
	bool fin;
	int err; /* read after the data: a reset */
};

struct wire {
	struct pipe to[2]; /* what side 0 reads, what side 1 reads */
	bool open[2];
	union fab_addr addr[2];
	struct wire *next; /* waits to be accepted */
};

struct fab_conn {
	struct fab *fab;
	struct fab_conn *next;
	const struct fab_stream_user *ops;
	void *user;
	struct wire *w;
	int side;
	union fab_addr to, from;
	bool connecting, closed, failed;
	bool rx_wanted, tx_wanted, tx_busy, eof;
};

struct fab_listener {
	struct fab *fab;
	struct fab_listener *next, *next_on_net;
	const struct fab_listen_user *ops;
	void *user;
	union fab_addr addr;
	struct wire *backlog;
	unsigned posted;
	bool closed;
};

struct fab {
	struct fab_env env;
	struct fab_conn *conns;
	struct fab_listener *listeners;
	unsigned depth, moved;
};

struct script_end {
	struct wire *w;
	int side;
};

struct script script;
static struct fab_listener *net;
static struct wire *raw_backlog;
static uint16_t next_port;

void script_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
	abort();
}

uint64_t script_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* How much of @len moves in one step. */
static size_t portion(size_t len, size_t max)
{
	if (max && len > max)
		len = max;
	if (script.random && len > 1 && script_random(&script.random) % 4)
		len = 1 + script_random(&script.random) % len;
	return len;
}

void script_addr(union fab_addr *addr, uint16_t port)
{
	memset(addr, 0, sizeof(*addr));
	addr->in.sin_family = AF_INET;
	addr->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr->in.sin_port = htons(port);
}

/* ------------------------------------------------------------------------- pipes, wires */

static uint8_t *pipe_data(const struct pipe *p)
{
	return p->data + p->off;
}

static void pipe_put(struct pipe *p, const void *data, size_t len)
{
	if (!len)
		return;
	if (p->off + p->len + len > p->room) {
		uint8_t *grown = malloc((p->len + len) * 2);

		CHECK(grown);
		if (p->len)
			memcpy(grown, pipe_data(p), p->len);
		free(p->data);
		p->data = grown;
		p->room = (p->len + len) * 2;
		p->off = 0;
	}
	memcpy(pipe_data(p) + p->len, data, len);
	p->len += len;
}

static void pipe_drop(struct pipe *p, size_t len)
{
	CHECK(len <= p->len);
	p->off += len;
	p->len -= len;
}

static struct wire *wire_new(const union fab_addr *from, const union fab_addr *to)
{
	struct wire *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->addr[0] = *from;
	w->addr[1] = *to;
	w->open[0] = w->open[1] = true;
	return w;
}

static void wire_leave(struct wire *w, int side, bool reset)
{
	struct pipe *peer = &w->to[!side];

	CHECK(w->open[side]);
	w->open[side] = false;
	peer->fin = true;
	if (reset) {
		peer->err = -ECONNRESET;
		peer->len = 0;
	}
	if (w->open[!side])
		return;
	free(w->to[0].data);
	free(w->to[1].data);
	free(w);
}

static void wire_queue(struct wire **list, struct wire *w)
{
	while (*list)
		list = &(*list)->next;
	*list = w;
}

static struct wire *wire_dequeue(struct wire **list)
{
	struct wire *w = *list;

	if (w)
		*list = w->next;
	return w;
}

static struct fab_listener *listener_find(const union fab_addr *addr)
{
	struct fab_listener *l = net;

	while (l && l->addr.in.sin_port != addr->in.sin_port)
		l = l->next_on_net;
	return l;
}

/* ------------------------------------------------------------------------- life */

static void enter(struct fab *f)
{
	f->depth++;
}

static void reap(struct fab *f)
{
	struct fab_conn **c = &f->conns;
	struct fab_listener **l = &f->listeners;

	while (*c) {
		struct fab_conn *old = *c;

		if (old->closed) {
			*c = old->next;
			free(old);
		} else {
			c = &old->next;
		}
	}
	while (*l) {
		struct fab_listener *old = *l;

		if (old->closed) {
			*l = old->next;
			free(old);
		} else {
			l = &old->next;
		}
	}
}

static void leave(struct fab *f)
{
	if (!--f->depth)
		reap(f);
}

static bool dead(const struct fab_conn *c)
{
	return c->closed || c->failed;
}

static struct fab_conn *conn_new(struct fab *f)
{
	struct fab_conn *c = calloc(1, sizeof(*c)), **at = &f->conns;

	CHECK(c);
	c->fab = f;
	while (*at)
		at = &(*at)->next;
	*at = c;
	script.conns++;
	return c;
}

static void conn_gone(struct fab_conn *c, bool reset)
{
	CHECK(!c->closed);
	c->closed = true;
	if (c->w)
		wire_leave(c->w, c->side, reset);
	c->w = NULL;
	script.conns--;
}

static void s_conn_close(struct fab_conn *c, bool reset)
{
	enter(c->fab);
	c->fab->moved++;
	conn_gone(c, reset);
	leave(c->fab);
}

static void conn_fail(struct fab_conn *c, int err)
{
	if (dead(c))
		return;
	c->failed = true;
	c->fab->moved++;
	c->ops->failed(c->user, err);
}

static int s_open(const struct fab_env *env, struct fab **out)
{
	struct fab *f = calloc(1, sizeof(*f));

	CHECK(f);
	f->env = *env;
	*out = f;
	return 0;
}

static void s_close(struct fab *f)
{
	CHECK(!f->conns && !f->listeners && !f->depth);
	free(f);
}

/* ------------------------------------------------------------------------- receiving */

static size_t iov_bytes(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

static size_t pipe_read(struct pipe *p, const struct iovec *iov, int n, size_t max)
{
	size_t done = 0;

	for (int i = 0; i < n && done < max; i++) {
		size_t part = iov[i].iov_len < max - done ? iov[i].iov_len : max - done;

		memcpy(iov[i].iov_base, pipe_data(p) + done, part);
		done += part;
	}
	pipe_drop(p, done);
	return done;
}

static void rx_end(struct fab_conn *c)
{
	struct pipe *p = &c->w->to[c->side];

	c->rx_wanted = false;
	c->fab->moved++;
	if (p->err) {
		conn_fail(c, p->err);
		return;
	}
	c->eof = true;
	c->ops->rx_eof(c->user);
}

/* Nothing is read into what was named. */
static void rx_nothing(struct fab_conn *c)
{
	if (c->w->to[c->side].len == 0 && c->w->to[c->side].fin)
		rx_end(c);
	else
		c->ops->rx_none(c->user);
}

static int rx_ask(struct fab_conn *c, size_t n, struct iovec *iov)
{
	int cnt;

	c->rx_wanted = false;
	cnt = c->ops->rx_next(c->user, n, iov, RX_IOV);
	if (dead(c))
		return 0;
	if (cnt < 0) {
		conn_fail(c, cnt);
		return 0;
	}
	CHECK(cnt <= RX_IOV && (!cnt || iov_bytes(iov, cnt)));
	c->rx_wanted |= cnt > 0;
	return cnt;
}

static void rx_run(struct fab_conn *c)
{
	struct iovec iov[RX_IOV];
	int cnt = rx_ask(c, 0, iov), reads = 0;

	while (cnt) {
		struct pipe *p = &c->w->to[c->side];
		size_t room = iov_bytes(iov, cnt);

		if (p->len && script.rx_fault && !--script.rx_fault) {
			int err = c->ops->rx_fault(c->user, -EFAULT);

			if (err)
				conn_fail(c, err);
			return;
		}
		room = portion(room < p->len ? room : p->len, script.read_max);
		if (!room || ++reads > 64) {
			rx_nothing(c);
			return;
		}
		c->fab->moved++;
		cnt = rx_ask(c, pipe_read(p, iov, cnt, room), iov);
	}
}

static bool rx_has(const struct fab_conn *c)
{
	return c->w && c->rx_wanted && !c->eof && (c->w->to[c->side].len || c->w->to[c->side].fin);
}

/* ------------------------------------------------------------------------- transmitting */

static size_t gather(const struct iovec *iov, int n, struct pipe *p, size_t max, bool open)
{
	size_t done = 0;

	for (int i = 0; i < n && done < max; i++) {
		size_t part = iov[i].iov_len < max - done ? iov[i].iov_len : max - done;

		if (open)
			pipe_put(p, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

/* Returns whether to write on at once. */
static bool tx_once(struct fab_conn *c)
{
	struct pipe *p = &c->w->to[!c->side];
	struct iovec iov[FAB_IOV_MAX];
	size_t room, n;
	int cnt;

	c->tx_wanted = false;
	cnt = c->ops->tx_next(c->user, iov, FAB_IOV_MAX, FAB_IO_BYTES);
	if (dead(c) || cnt <= 0)
		return false;
	CHECK(cnt <= FAB_IOV_MAX);
	CHECK(!p->fin); /* nothing may be written behind a FIN */
	n = room = iov_bytes(iov, cnt);
	if (script.tx_fault && !--script.tx_fault) {
		int err = c->ops->tx_fault(c->user, -EFAULT);

		if (err)
			conn_fail(c, err);
		return !dead(c);
	}
	if (script.window && c->w->open[!c->side])
		n = p->len >= script.window ? 0 : script.window - p->len;
	n = n < room ? n : room;
	n = n ? portion(n, script.write_max) : 0;
	gather(iov, cnt, p, n, c->w->open[!c->side]);
	c->fab->moved += n != 0;
	c->ops->tx_done(c->user, n);
	if (dead(c))
		return false;
	/* full: tried again at the next flush */
	c->tx_wanted |= n < room || room >= FAB_IO_BYTES / 4 || cnt >= FAB_IOV_MAX / 4;
	return false;
}

static void tx_run(struct fab_conn *c)
{
	c->tx_busy = true;
	while (tx_once(c))
		;
	c->tx_busy = false;
}

static void s_tx_want(struct fab_conn *c)
{
	CHECK(!c->closed);
	c->tx_wanted = true;
}

static void s_tx_now(struct fab_conn *c)
{
	CHECK(!c->closed);
	enter(c->fab);
	c->tx_wanted = true;
	if (!c->tx_busy && !c->connecting && !dead(c))
		tx_run(c);
	leave(c->fab);
}

static void s_rx_want(struct fab_conn *c)
{
	CHECK(!c->closed);
	c->rx_wanted = true;
}

static int s_shutdown(struct fab_conn *c)
{
	CHECK(!c->closed && c->w);
	c->w->to[!c->side].fin = true;
	c->fab->moved++;
	return 0;
}

/* ------------------------------------------------------------------------- turns */

static void connect_finish(struct fab_conn *c)
{
	struct fab_listener *l = listener_find(&c->to);
	bool raw = ntohs(c->to.in.sin_port) == SCRIPT_RAW_PORT;
	int err = script.connect_err ? script.connect_err : l || raw ? 0 : -ECONNREFUSED;

	c->fab->moved++;
	c->connecting = false;
	if (err) {
		conn_gone(c, false);
		c->ops->connected(c->user, err);
		return;
	}
	c->w = wire_new(&c->from, &c->to);
	wire_queue(l ? &l->backlog : &raw_backlog, c->w);
	c->ops->connected(c->user, 0);
}

static void accept_run(struct fab_listener *l)
{
	while (!l->closed && l->posted && l->backlog) {
		struct fab_conn *c = conn_new(l->fab);

		l->posted--;
		l->fab->moved++;
		c->w = wire_dequeue(&l->backlog);
		c->side = 1;
		l->ops->accepted(l->user, c, &c->w->addr[0]);
		CHECK(c->closed || c->ops);
	}
}

static int s_progress(struct fab *f, int budget)
{
	unsigned before = f->moved;

	(void)budget;
	enter(f);
	for (struct fab_listener *l = f->listeners; l; l = l->next)
		if (!l->closed)
			accept_run(l);
	for (struct fab_conn *c = f->conns; c; c = c->next) {
		if (!dead(c) && c->connecting)
			connect_finish(c);
		if (!dead(c) && rx_has(c))
			rx_run(c);
	}
	leave(f);
	return f->moved - before;
}

static void s_flush(struct fab *f)
{
	enter(f);
	for (struct fab_conn *c = f->conns; c; c = c->next)
		if (!dead(c) && c->tx_wanted && !c->connecting)
			tx_run(c);
	leave(f);
}

bool script_turn(struct fab *fab)
{
	unsigned before = fab->moved;

	s_progress(fab, FAB_TURN_COMPLETIONS);
	s_flush(fab);
	return fab->moved != before;
}

void script_settle(struct fab *const *fabs, unsigned n)
{
	bool moved = true;

	for (unsigned turns = 0; moved; turns++) {
		CHECK(turns < 4000000);
		moved = false;
		for (unsigned i = 0; i < n; i++)
			moved |= script_turn(fabs[i]);
	}
}

/* ------------------------------------------------------------------------- set-up */

static int s_listen(struct fab *f, const struct fab_listen_attr *attr,
		    const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listener *l = calloc(1, sizeof(*l));
	const union fab_addr *addr = attr->addr;

	CHECK(l);
	l->fab = f;
	l->ops = ops;
	l->user = user;
	script_addr(&l->addr, addr->in.sin_port ? ntohs(addr->in.sin_port) : ++next_port);
	l->next = f->listeners;
	f->listeners = l;
	l->next_on_net = net;
	net = l;
	*out = l;
	return 0;
}

static int s_accept(struct fab_listener *l)
{
	CHECK(!l->closed);
	l->posted++;
	return 0;
}

static unsigned s_unaccept(struct fab_listener *l, unsigned n)
{
	l->posted -= n < l->posted ? n : l->posted;
	return l->posted;
}

static int s_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	*addr = l->addr;
	return 0;
}

static void s_unlisten(struct fab_listener *l)
{
	struct fab_listener **at = &net;
	struct wire *w;

	enter(l->fab);
	while (*at != l)
		at = &(*at)->next_on_net;
	*at = l->next_on_net;
	while ((w = wire_dequeue(&l->backlog)))
		wire_leave(w, 1, true);
	l->closed = true;
	leave(l->fab);
}

static int s_connect(struct fab *f, const struct fab_connect_attr *attr,
		     const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	struct fab_conn *c = conn_new(f);

	c->ops = ops;
	c->user = user;
	c->to = *attr->peer;
	script_addr(&c->from, ++next_port);
	c->connecting = true;
	*out = c;
	return 0;
}

static void s_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user)
{
	c->ops = ops;
	c->user = user;
}

static int s_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer)
{
	CHECK(!c->closed);
	if (!c->w)
		return -ENOTCONN;
	if (local)
		*local = c->w->addr[c->side];
	if (peer)
		*peer = c->w->addr[!c->side];
	return 0;
}

/* ------------------------------------------------------------------------- the test's own ends */

static struct script_end *end_new(struct wire *w, int side)
{
	struct script_end *e = malloc(sizeof(*e));

	CHECK(e);
	*e = (struct script_end){ w, side };
	return e;
}

struct script_end *script_dial(const union fab_addr *to)
{
	struct fab_listener *l = listener_find(to);
	union fab_addr from;
	struct wire *w;

	if (!l)
		return NULL;
	script_addr(&from, ++next_port);
	w = wire_new(&from, to);
	wire_queue(&l->backlog, w);
	return end_new(w, 0);
}

struct script_end *script_take(void)
{
	struct wire *w = wire_dequeue(&raw_backlog);

	return w ? end_new(w, 1) : NULL;
}

void script_put(struct script_end *e, const void *data, size_t len)
{
	if (e->w->open[!e->side])
		pipe_put(&e->w->to[!e->side], data, len);
}

size_t script_got(const struct script_end *e, const uint8_t **data)
{
	const struct pipe *p = &e->w->to[e->side];

	*data = p->len ? pipe_data(p) : NULL;
	return p->len;
}

void script_drop(struct script_end *e, size_t len)
{
	pipe_drop(&e->w->to[e->side], len);
}

bool script_ended(const struct script_end *e)
{
	return e->w->to[e->side].fin;
}

void script_fin(struct script_end *e)
{
	e->w->to[!e->side].fin = true;
}

void script_hang_up(struct script_end *e, bool reset)
{
	wire_leave(e->w, e->side, reset);
	free(e);
}

void script_reset(void)
{
	struct wire *w;

	while ((w = wire_dequeue(&raw_backlog)))
		wire_leave(w, 1, true);
	CHECK(!net && !script.conns);
	memset(&script, 0, sizeof(script));
	next_port = 1000;
}

/* ------------------------------------------------------------------------- not used by messages */

static int s_wait(struct fab *f, int64_t timeout_ns)
{
	(void)f;
	(void)timeout_ns;
	return 0;
}

static void s_nothing(struct fab *f)
{
	(void)f;
}

static int s_wait_fd(struct fab *f)
{
	(void)f;
	return -EOPNOTSUPP;
}

static int s_set_option(struct fab_conn *c, enum fab_option opt, int value)
{
	(void)c;
	(void)opt;
	(void)value;
	return 0;
}

static int s_get_option(struct fab_conn *c, enum fab_option opt, int *value)
{
	(void)c;
	(void)opt;
	*value = 0;
	return 0;
}

const struct fab_stream_ops script_ops = {
	.name = "script",
	.open = s_open,
	.close = s_close,
	.progress = s_progress,
	.flush = s_flush,
	.wait = s_wait,
	.kick = s_nothing,
	.drain = s_nothing,
	.wait_fd = s_wait_fd,
	.listen = s_listen,
	.accept = s_accept,
	.unaccept = s_unaccept,
	.listener_addr = s_listener_addr,
	.unlisten = s_unlisten,
	.connect = s_connect,
	.bind = s_bind,
	.tx_want = s_tx_want,
	.tx_now = s_tx_now,
	.rx_want = s_rx_want,
	.shutdown = s_shutdown,
	.conn_close = s_conn_close,
	.conn_addr = s_conn_addr,
	.set_option = s_set_option,
	.get_option = s_get_option,
};
