/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_listen.c - kernel TCP: listeners, and the connections that they accept.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ACCEPT_RETRY_NS 50000000 /* after running out of descriptors or memory */

static void accept_retry(struct timer *t)
{
	struct fab_listener *l = container(t, struct fab_listener, timer);

	fab_enter(l->src.fab);
	link_del(&l->src.ready);
	source_ready(&l->src);
	fab_leave(l->src.fab);
}

static void accept_stall(struct fab_listener *l, int err)
{
	struct fab *fab = l->src.fab;

	COUNT(fab, accept_stalls, 1);
	fab_logf(&fab->env, FAB_LOG_WARN, "accept: error %d, %u posted, will try again", -err,
		 l->posted);
	if (!timer_start(fab->env.timers, &l->timer, ACCEPT_RETRY_NS, accept_retry))
		link_append(&fab->stalled, &l->src.ready);
	else
		link_append(&fab->later, &l->src.ready);
}

void listener_fail(struct fab_listener *l, int err)
{
	struct fab *fab = l->src.fab;

	if (src_dead(&l->src))
		return;
	timer_stop(fab->env.timers, &l->timer);
	link_del(&l->src.ready);
	l->src.flags |= SRC_FAILED;
	fab->done++;
	l->ops->failed(l->user, err);
}

static void accepted(struct fab_listener *l, struct fab_conn *c, const union fab_addr *peer)
{
	/* Not registered yet: the first read is tried at once, and many need no second. */
	c->src.flags = SRC_READABLE | SRC_WRITABLE;
	l->posted--;
	COUNT(l->src.fab, accepts, 1);
	l->src.fab->done++;
	l->ops->accepted(l->user, c, peer);
	assert(c->ops || (c->src.flags & SRC_CLOSED));
}

/* One failed accept4(). Returns whether to try the next at once. */
static bool accept_error(struct fab_listener *l, int err)
{
	switch (err) {
	case -EAGAIN:
		l->src.flags &= ~SRC_READABLE;
		return false;
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
		accept_stall(l, err);
		return false;
	case -EBADF:
	case -EINVAL:
	case -ENOTSOCK:
	case -EOPNOTSUPP:
	case -EFAULT:
		listener_fail(l, err);
		return false;
	default:
		/* That connection came to nothing: ECONNABORTED, EPROTO, EPERM of a firewall, and
		 * the errors of its network, which Linux passes on here. */
		return true;
	}
}

static int accept_next(struct fab_listener *l, union fab_addr *peer)
{
	struct fab *fab = l->src.fab;
	socklen_t len = sizeof(*peer);
	int fd;

	if (fab->watcher->accept)
		return fab->watcher->accept(l);
	COUNT(fab, sys_accept, 1);
	fd = accept4(l->src.fd, &peer->sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Takes one connection. Returns whether to try the next at once. */
static bool accept_one(struct fab_listener *l)
{
	struct fab *fab = l->src.fab;
	union fab_addr peer = { 0 };
	struct fab_conn *c;
	int fd;

	/* Memory first: a connection that was accepted cannot be put back. */
	c = conn_new(fab, -1);
	if (!c) {
		accept_stall(l, -ENOMEM);
		return false;
	}
	fd = accept_next(l, &peer);
	if (fd < 0) {
		fab->sources--;
		free(c);
		return accept_error(l, fd);
	}
	c->src.fd = fd;
	accepted(l, c, fab_addr_len(&peer) ? &peer : NULL);
	return !src_dead(&l->src);
}

void accept_run(struct fab_listener *l)
{
	struct fab *fab = l->src.fab;
	/* Also bounds connections that come to nothing. */
	int tries = FAB_TURN_COMPLETIONS;

	if (src_dead(&l->src))
		return;
	while (l->posted && (l->src.flags & SRC_READABLE) && fab->done < fab->budget && tries--) {
		if (!accept_one(l))
			break;
	}
	if (!src_dead(&l->src) && l->posted && (l->src.flags & SRC_READABLE) &&
	    !linked(&l->src.ready))
		link_append(&fab->later, &l->src.ready);
}

static int listener_options(struct fab_listener *l, const struct fab_listen_attr *attr)
{
	struct fab *fab = l->src.fab;
	int fd = l->src.fd, defer = attr->defer_s < INT_MAX ? (int)attr->defer_s : INT_MAX;
	int err = 0;

	if (attr->reuse_port)
		err = socket_set_flag(fab, fd, SOL_SOCKET, SO_REUSEPORT);
	if (err || !defer)
		return err;
	COUNT(fab, sys_other, 1);
	return outcome(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer)));
}

static int listener_setup(struct fab_listener *l, const struct fab_listen_attr *attr)
{
	const union fab_addr *addr = attr->addr;
	struct fab *fab = l->src.fab;
	int fd = l->src.fd;
	int err;

	err = socket_set_flag(fab, fd, SOL_SOCKET, SO_REUSEADDR);
	if (!err && addr->sa.sa_family == AF_INET6)
		err = socket_set_flag(fab, fd, IPPROTO_IPV6, IPV6_V6ONLY);
	/* Accepted sockets inherit it. */
	if (!err)
		err = socket_set_flag(fab, fd, IPPROTO_TCP, TCP_NODELAY);
	if (!err)
		err = listener_options(l, attr);
	if (!err)
		err = outcome(bind(fd, &addr->sa, fab_addr_len(addr)));
	if (!err)
		err = outcome(listen(fd, attr->backlog));
	COUNT(fab, sys_other, 2);
	return err ? err : source_register(&l->src);
}

/*
 * An IPv6 listener takes IPv6 only (IPV6_V6ONLY), also on "::": the address that was asked for is
 * the address that listens, and IPv4 can have a listener of its own on the same port.
 */
int tcp_listen(struct fab *fab, const struct fab_listen_attr *attr,
	       const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listener *l;
	int fd, err;

	if (!fab_addr_len(attr->addr))
		return -EAFNOSUPPORT;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	fd = socket_new(fab, attr->addr->sa.sa_family);
	if (fd < 0) {
		free(l);
		return fd;
	}
	source_init(&l->src, fab, SRC_LISTENER, fd);
	l->ops = ops;
	l->user = user;
	err = listener_setup(l, attr);
	if (err) {
		fab_enter(fab);
		release_fd(&l->src);
		fab_leave(fab);
		return err;
	}
	*out = l;
	return 0;
}

int tcp_accept(struct fab_listener *l)
{
	if (src_dead(&l->src))
		return -EINVAL;
	if (l->posted == UINT_MAX)
		return -EAGAIN;
	fab_enter(l->src.fab);
	l->posted++;
	/* While it is stalled it is on that list, and stays there. */
	if (l->src.flags & SRC_READABLE)
		source_ready(&l->src);
	fab_leave(l->src.fab);
	return 0;
}

unsigned tcp_unaccept(struct fab_listener *l, unsigned n)
{
	l->posted -= n < l->posted ? n : l->posted;
	return l->posted;
}

int tcp_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	return socket_name(&l->src, addr);
}

void tcp_unlisten(struct fab_listener *l)
{
	struct fab *fab = l->src.fab;

	fab_enter(fab);
	timer_stop(fab->env.timers, &l->timer);
	release_fd(&l->src);
	fab_leave(fab);
}
