/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_conn.c - kernel TCP: a connection from connect(2) to close(2), its addresses and options.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ------------------------------------------------------------------ making and closing */

struct fab_conn *conn_new(struct fab *fab, int fd)
{
	struct fab_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	source_init(&c->src, fab, SRC_CONN, fd);
	link_init(&c->dirty);
	return c;
}

static void conn_release(struct fab_conn *c)
{
	timer_stop(c->src.fab->env.timers, &c->timer);
	link_del(&c->dirty);
	conn_cool(c);
	release_fd(&c->src);
}

void tcp_conn_close(struct fab_conn *c, bool reset)
{
	struct linger discard = { .l_onoff = 1, .l_linger = 0 };
	struct fab *fab = c->src.fab;

	fab_enter(fab);
	if (reset) {
		COUNT(fab, sys_other, 1);
		setsockopt(c->src.fd, SOL_SOCKET, SO_LINGER, &discard, sizeof(discard));
		c->src.flags |= SRC_RESET;
	}
	conn_release(c);
	fab_leave(fab);
}

/* ------------------------------------------------------------------ connecting */

/* The connection came to nothing: gone first, then reported, as the contract says. */
static void connect_fail(struct fab_conn *c, int err)
{
	struct fab *fab = c->src.fab;

	conn_release(c);
	COUNT(fab, connect_errors, 1);
	if (err == -ETIMEDOUT)
		COUNT(fab, connect_timeouts, 1);
	fab->done++;
	c->ops->connected(c->user, err);
}

static void connect_timeout(struct timer *t)
{
	struct fab_conn *c = container(t, struct fab_conn, timer);
	struct fab *fab = c->src.fab;

	fab_enter(fab);
	connect_fail(c, -ETIMEDOUT);
	fab_leave(fab);
}

/* The socket has an outcome. */
void connect_finish(struct fab_conn *c)
{
	struct fab *fab = c->src.fab;
	socklen_t len = sizeof(int);
	int err = -c->err;

	if (!err) {
		COUNT(fab, sys_other, 1);
		if (getsockopt(c->src.fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = errno;
	}
	if (err) {
		connect_fail(c, -err);
		return;
	}
	timer_stop(fab->env.timers, &c->timer);
	c->src.flags &= ~SRC_CONNECTING;
	COUNT(fab, connects, 1);
	fab->done++;
	c->ops->connected(c->user, 0);
	if (src_dead(&c->src))
		return;
	/* What was wanted before there was a connection. */
	if (c->src.flags & SRC_TX_WANT)
		conn_dirty(c);
	conn_check_ready(c);
}

static int bind_local(struct fab *fab, int fd, const union fab_addr *local)
{
	bool any_port =
		(local->sa.sa_family == AF_INET ? local->in.sin_port : local->in6.sin6_port) == 0;
	int err;

	err = socket_set_flag(fab, fd, SOL_SOCKET, SO_REUSEADDR);
	/* Choose the port at connect(2): only then can ports be shared between peers. */
	if (!err && any_port)
		err = socket_set_flag(fab, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	COUNT(fab, sys_other, 1);
	return err ? err : outcome(bind(fd, &local->sa, fab_addr_len(local)));
}

static int connect_start(struct fab_conn *c, const struct fab_connect_attr *attr)
{
	struct fab *fab = c->src.fab;
	int err;

	err = socket_set_flag(fab, c->src.fd, IPPROTO_TCP, TCP_NODELAY);
	if (!err && attr->local)
		err = bind_local(fab, c->src.fd, attr->local);
	if (!err && attr->timeout_ns)
		err = timer_start(fab->env.timers, &c->timer, attr->timeout_ns, connect_timeout);
	if (err)
		return err;
	COUNT(fab, sys_other, 1);
	err = outcome(connect(c->src.fd, &attr->peer->sa, fab_addr_len(attr->peer)));
	/* Loopback refuses at once. That, too, is an outcome to report, not to return. */
	if (err && err != -EINPROGRESS && err != -EINTR) {
		c->err = err;
		return 0;
	}
	return source_register(&c->src);
}

int tcp_connect(struct fab *fab, const struct fab_connect_attr *attr,
		const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	struct fab_conn *c;
	int fd, err;

	if (!fab_addr_len(attr->peer) ||
	    (attr->local && attr->local->sa.sa_family != attr->peer->sa.sa_family))
		return -EAFNOSUPPORT;
	fd = socket_new(fab, attr->peer->sa.sa_family);
	if (fd < 0)
		return fd;
	c = conn_new(fab, fd);
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->ops = ops;
	c->user = user;
	c->src.flags = SRC_CONNECTING;
	fab_enter(fab);
	err = connect_start(c, attr);
	if (err)
		conn_release(c);
	else
		conn_check_ready(c);
	fab_leave(fab);
	if (!err)
		*out = c;
	return err;
}

void tcp_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user)
{
	c->ops = ops;
	c->user = user;
	c->src.flags &= ~(SRC_RX_WANT | SRC_TX_WANT);
}

int tcp_shutdown(struct fab_conn *c)
{
	COUNT(c->src.fab, sys_other, 1);
	return outcome(shutdown(c->src.fd, SHUT_WR));
}

/* ------------------------------------------------------------------ addresses, options */

int tcp_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer)
{
	socklen_t len = sizeof(*peer);
	int err = local ? socket_name(&c->src, local) : 0;

	if (err || !peer)
		return err;
	COUNT(c->src.fab, sys_other, 1);
	return outcome(getpeername(c->src.fd, &peer->sa, &len));
}

static const struct {
	int level, name;
} option_names[] = {
	[FAB_OPT_NODELAY] = { IPPROTO_TCP, TCP_NODELAY },
	[FAB_OPT_KEEPALIVE] = { SOL_SOCKET, SO_KEEPALIVE },
	[FAB_OPT_SNDBUF] = { SOL_SOCKET, SO_SNDBUF },
	[FAB_OPT_RCVBUF] = { SOL_SOCKET, SO_RCVBUF },
};
#define OPTIONS (sizeof(option_names) / sizeof(option_names[0]))

int tcp_set_option(struct fab_conn *c, enum fab_option opt, int value)
{
	if ((size_t)opt >= OPTIONS)
		return -ENOPROTOOPT;
	COUNT(c->src.fab, sys_other, 1);
	return outcome(setsockopt(c->src.fd, option_names[opt].level, option_names[opt].name,
				  &value, sizeof(value)));
}

/* Buffer sizes come back as the kernel counts them: twice what was set. */
int tcp_get_option(struct fab_conn *c, enum fab_option opt, int *value)
{
	socklen_t len = sizeof(*value);

	if ((size_t)opt >= OPTIONS)
		return -ENOPROTOOPT;
	COUNT(c->src.fab, sys_other, 1);
	return outcome(getsockopt(c->src.fd, option_names[opt].level, option_names[opt].name, value,
				  &len));
}
