/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp.c - kernel TCP: the instance and its sleeper, listeners, connecting, closing, options.
 * The moving of bytes is in tcp_io.c.
 */
#include "fabric/tcp_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ACCEPT_RETRY_NS 50000000 /* after running out of descriptors or memory */

/* A system call's outcome as 0 or a negative code. */
static int outcome(int ret)
{
	return ret < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ entering and leaving */

void fab_enter(struct fab *fab)
{
	fab->depth++;
}

static void reap(struct fab *fab)
{
	while (linked(&fab->zombies)) {
		struct source *src = container(fab->zombies.next, struct source, ready);

		link_del(&src->ready);
		if (src->kind == SRC_CONN)
			free(src_conn(src));
		else
			free(src_listener(src));
	}
}

static void fab_wake(struct fab *fab)
{
	uint64_t one = 1;
	int keep = errno;

	/* It can fail only when the count is near its maximum: then it is readable already. */
	if (write(fab->kickfd, &one, sizeof(one)) < 0)
		errno = keep;
}

/* Makes wait_fd() readable while there is work that epoll does not know of. */
static void show_pending(struct fab *fab, bool pending)
{
	uint64_t count = 1;
	ssize_t n;

	if (fab->pendfd < 0 || fab->pend_shown == pending)
		return;
	if (pending)
		n = write(fab->pendfd, &count, sizeof(count));
	else
		n = read(fab->pendfd, &count, sizeof(count));
	COUNT(fab, sys_other, 1);
	if (n == sizeof(count))
		fab->pend_shown = pending;
}

/*
 * Work that is left for the next turn is announced before the turn ends; whoever sleeps already is
 * woken. The exchange pairs with the one in tcp_wait(): either the sleeper sees `pending` or this
 * sees `sleeping`.
 */
static void publish_pending(struct fab *fab)
{
	bool pending = linked(&fab->ready) || fab->tx_left;

	if (atomic_load_explicit(&fab->pending, memory_order_relaxed) == pending)
		return;
	atomic_exchange(&fab->pending, pending);
	if (pending && atomic_load(&fab->sleeping))
		fab_wake(fab);
	show_pending(fab, pending);
}

void fab_leave(struct fab *fab)
{
	if (--fab->depth)
		return;
	reap(fab);
	publish_pending(fab);
}

/* ------------------------------------------------------------------ sources */

static void source_init(struct source *src, struct fab *fab, enum src_kind kind, int fd)
{
	link_init(&src->ready);
	src->fab = fab;
	src->fd = fd;
	src->kind = (uint8_t)kind;
	src->tick = fab->tick - 1;
	fab->sources++;
}

int source_register(struct source *src)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = src};

	if (src->flags & SRC_REGISTERED)
		return 0;
	if (src->kind == SRC_CONN)
		ev.events |= EPOLLOUT | EPOLLRDHUP;
	COUNT(src->fab, sys_epoll_ctl, 1);
	if (epoll_ctl(src->fab->epfd, EPOLL_CTL_ADD, src->fd, &ev) < 0)
		return -errno;
	src->flags |= SRC_REGISTERED;
	return 0;
}

/* A descriptor has become free: the listeners that waited for one try again. */
static void accept_unstall(struct fab *fab)
{
	while (linked(&fab->stalled)) {
		struct source *src = container(fab->stalled.next, struct source, ready);

		link_del(&src->ready);
		timer_stop(fab->env.timers, &src_listener(src)->timer);
		source_ready(src);
	}
}

static void release_fd(struct source *src)
{
	struct fab *fab = src->fab;

	/* A copy in a forked child would keep it in the set, with a pointer to freed memory. */
	if (src->flags & SRC_REGISTERED) {
		COUNT(fab, sys_epoll_ctl, 1);
		epoll_ctl(fab->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	}
	COUNT(fab, sys_other, 1);
	close(src->fd);
	src->fd = -1;
	src->flags = (src->flags | SRC_CLOSED) & ~SRC_REGISTERED;
	link_del(&src->ready);
	link_append(&fab->zombies, &src->ready);
	fab->sources--;
	accept_unstall(fab);
}

static int set_flag(struct fab *fab, int fd, int level, int name)
{
	int on = 1;

	COUNT(fab, sys_other, 1);
	return outcome(setsockopt(fd, level, name, &on, sizeof(on)));
}

static int new_socket(struct fab *fab, int family)
{
	int fd;

	COUNT(fab, sys_other, 1);
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	return fd < 0 ? -errno : fd;
}

static struct fab_conn *conn_new(struct fab *fab, int fd)
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

static void tcp_conn_close(struct fab_conn *c, bool reset)
{
	struct linger discard = {.l_onoff = 1, .l_linger = 0};
	struct fab *fab = c->src.fab;

	fab_enter(fab);
	if (reset) {
		COUNT(fab, sys_other, 1);
		setsockopt(c->src.fd, SOL_SOCKET, SO_LINGER, &discard, sizeof(discard));
	}
	conn_release(c);
	fab_leave(fab);
}

/* ------------------------------------------------------------------ listeners */

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

static void listener_fail(struct fab_listener *l, int err)
{
	l->src.flags |= SRC_FAILED;
	l->src.fab->done++;
	l->ops->failed(l->user, err);
}

static void accepted(struct fab_listener *l, struct fab_conn *c, const union fab_addr *peer)
{
	/* In no epoll set yet: the first read is tried at once, and many need no second. */
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

/* Takes one connection. Returns whether to try the next at once. */
static bool accept_one(struct fab_listener *l)
{
	struct fab *fab = l->src.fab;
	union fab_addr peer = {0};
	socklen_t len = sizeof(peer);
	struct fab_conn *c;
	int fd;

	/* Memory first: a connection that was accepted cannot be put back. */
	c = conn_new(fab, -1);
	if (!c) {
		accept_stall(l, -ENOMEM);
		return false;
	}
	COUNT(fab, sys_accept, 1);
	fd = accept4(l->src.fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		int err = -errno;

		fab->sources--;
		free(c);
		return accept_error(l, err);
	}
	c->src.fd = fd;
	accepted(l, c, &peer);
	return !src_dead(&l->src);
}

void accept_run(struct fab_listener *l)
{
	struct fab *fab = l->src.fab;
	/* Also bounds connections that come to nothing. */
	int tries = FAB_TURN_COMPLETIONS;

	while (l->posted && (l->src.flags & SRC_READABLE) && fab->done < fab->budget && tries--) {
		if (!accept_one(l))
			break;
	}
	if (!src_dead(&l->src) && l->posted && (l->src.flags & SRC_READABLE) &&
	    !linked(&l->src.ready))
		link_append(&fab->later, &l->src.ready);
}

static int listener_setup(struct fab_listener *l, const union fab_addr *addr, int backlog)
{
	struct fab *fab = l->src.fab;
	int fd = l->src.fd;
	int err;

	err = set_flag(fab, fd, SOL_SOCKET, SO_REUSEADDR);
	if (!err && addr->sa.sa_family == AF_INET6)
		err = set_flag(fab, fd, IPPROTO_IPV6, IPV6_V6ONLY);
	/* Accepted sockets inherit it. */
	if (!err)
		err = set_flag(fab, fd, IPPROTO_TCP, TCP_NODELAY);
	if (!err)
		err = outcome(bind(fd, &addr->sa, fab_addr_len(addr)));
	if (!err)
		err = outcome(listen(fd, backlog));
	COUNT(fab, sys_other, 2);
	return err ? err : source_register(&l->src);
}

/*
 * An IPv6 listener takes IPv6 only (IPV6_V6ONLY), also on "::": the address that was asked for is
 * the address that listens, and IPv4 can have a listener of its own on the same port.
 */
static int tcp_listen(struct fab *fab, const union fab_addr *addr, int backlog,
		      const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listener *l;
	int fd, err;

	if (!fab_addr_len(addr))
		return -EAFNOSUPPORT;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	fd = new_socket(fab, addr->sa.sa_family);
	if (fd < 0) {
		free(l);
		return fd;
	}
	source_init(&l->src, fab, SRC_LISTENER, fd);
	l->ops = ops;
	l->user = user;
	err = listener_setup(l, addr, backlog);
	if (err) {
		fab_enter(fab);
		release_fd(&l->src);
		fab_leave(fab);
		return err;
	}
	*out = l;
	return 0;
}

static int tcp_accept(struct fab_listener *l)
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

static unsigned tcp_unaccept(struct fab_listener *l, unsigned n)
{
	l->posted -= n < l->posted ? n : l->posted;
	return l->posted;
}

static int socket_name(struct source *src, union fab_addr *addr)
{
	socklen_t len = sizeof(*addr);

	COUNT(src->fab, sys_other, 1);
	return outcome(getsockname(src->fd, &addr->sa, &len));
}

static int tcp_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	return socket_name(&l->src, addr);
}

static void tcp_unlisten(struct fab_listener *l)
{
	struct fab *fab = l->src.fab;

	fab_enter(fab);
	timer_stop(fab->env.timers, &l->timer);
	release_fd(&l->src);
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

	err = set_flag(fab, fd, SOL_SOCKET, SO_REUSEADDR);
	/* Choose the port at connect(2): only then can ports be shared between peers. */
	if (!err && any_port)
		err = set_flag(fab, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	COUNT(fab, sys_other, 1);
	return err ? err : outcome(bind(fd, &local->sa, fab_addr_len(local)));
}

static int connect_start(struct fab_conn *c, const struct fab_connect_attr *attr)
{
	struct fab *fab = c->src.fab;
	int err;

	err = set_flag(fab, c->src.fd, IPPROTO_TCP, TCP_NODELAY);
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

static int tcp_connect(struct fab *fab, const struct fab_connect_attr *attr,
		       const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	struct fab_conn *c;
	int fd, err;

	if (!fab_addr_len(attr->peer) ||
	    (attr->local && attr->local->sa.sa_family != attr->peer->sa.sa_family))
		return -EAFNOSUPPORT;
	fd = new_socket(fab, attr->peer->sa.sa_family);
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

static void tcp_bind(struct fab_conn *c, const struct fab_stream_user *ops, void *user)
{
	c->ops = ops;
	c->user = user;
	c->src.flags &= ~(SRC_RX_WANT | SRC_TX_WANT);
}

static int tcp_shutdown(struct fab_conn *c)
{
	COUNT(c->src.fab, sys_other, 1);
	return outcome(shutdown(c->src.fd, SHUT_WR));
}

/* ------------------------------------------------------------------ addresses, options */

static int tcp_conn_addr(struct fab_conn *c, union fab_addr *local, union fab_addr *peer)
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
	[FAB_OPT_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
	[FAB_OPT_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
	[FAB_OPT_SNDBUF] = {SOL_SOCKET, SO_SNDBUF},
	[FAB_OPT_RCVBUF] = {SOL_SOCKET, SO_RCVBUF},
};
#define OPTIONS (sizeof(option_names) / sizeof(option_names[0]))

static int tcp_set_option(struct fab_conn *c, enum fab_option opt, int value)
{
	if ((size_t)opt >= OPTIONS)
		return -ENOPROTOOPT;
	COUNT(c->src.fab, sys_other, 1);
	return outcome(setsockopt(c->src.fd, option_names[opt].level, option_names[opt].name,
				  &value, sizeof(value)));
}

/* Buffer sizes come back as the kernel counts them: twice what was set. */
static int tcp_get_option(struct fab_conn *c, enum fab_option opt, int *value)
{
	socklen_t len = sizeof(*value);

	if ((size_t)opt >= OPTIONS)
		return -ENOPROTOOPT;
	COUNT(c->src.fab, sys_other, 1);
	return outcome(getsockopt(c->src.fd, option_names[opt].level, option_names[opt].name, value,
				  &len));
}

/* ------------------------------------------------------------------ the instance */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_fds(struct fab *fab)
{
	close_fd(&fab->pendfd);
	close_fd(&fab->nestfd);
	close_fd(&fab->kickfd);
	close_fd(&fab->epfd);
}

static int tcp_open(const struct fab_env *env, struct fab **out)
{
	struct fab *fab = calloc(1, sizeof(*fab));
	int err;

	if (!fab)
		return -ENOMEM;
	fab->env = *env;
	fab->nestfd = -1;
	fab->pendfd = -1;
	link_init(&fab->ready);
	link_init(&fab->later);
	link_init(&fab->dirty);
	link_init(&fab->stalled);
	link_init(&fab->zombies);
	fab->epfd = epoll_create1(EPOLL_CLOEXEC);
	err = outcome(fab->epfd);
	fab->kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!err)
		err = outcome(fab->kickfd);
	if (err) {
		close_fds(fab);
		free(fab);
		return err;
	}
	*out = fab;
	return 0;
}

static void tcp_close(struct fab *fab)
{
	assert(!fab->sources && !fab->depth);
	close_fds(fab);
	free(fab);
}

/* The sleeper's system calls are counted without the turn. */
static void count_sleeper(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Sleeps on the set without asking it, so that every edge is still there for progress(). */
static int sleep_on(struct fab *fab, int64_t timeout_ns)
{
	struct pollfd fds[] = {
		{.fd = fab->epfd, .events = POLLIN},
		{.fd = fab->kickfd, .events = POLLIN},
	};
	struct timespec limit = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};

	count_sleeper(&fab->env.counters->sys_poll);
	if (ppoll(fds, 2, timeout_ns < 0 ? NULL : &limit, NULL) < 0)
		return errno == EINTR ? -EINTR : 0;
	if (fds[0].revents)
		atomic_store(&fab->harvest, true);
	if (fds[1].revents)
		fab->kicked = true;
	return 0;
}

static int tcp_wait(struct fab *fab, int64_t timeout_ns)
{
	int ret = 0;

	/* Pairs with publish_pending(). */
	atomic_exchange(&fab->sleeping, true);
	if (!atomic_load(&fab->pending))
		ret = sleep_on(fab, timeout_ns);
	atomic_store(&fab->sleeping, false);
	return ret;
}

static void tcp_kick(struct fab *fab)
{
	count_sleeper(&fab->env.counters->sys_kick);
	fab_wake(fab);
}

/* A kick that no wait() has seen stays: it ends the next one. */
static void tcp_drain(struct fab *fab)
{
	uint64_t count;

	if (!fab->kicked)
		return;
	fab->kicked = false;
	count_sleeper(&fab->env.counters->sys_poll);
	/* Nothing there: someone else drained, which is as good. */
	if (read(fab->kickfd, &count, sizeof(count)) < 0)
		return;
}

static int nest(struct fab *fab, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	COUNT(fab, sys_epoll_ctl, 1);
	return outcome(epoll_ctl(fab->nestfd, EPOLL_CTL_ADD, fd, &ev));
}

static int tcp_wait_fd(struct fab *fab)
{
	int err;

	if (fab->nestfd >= 0)
		return fab->nestfd;
	fab->nestfd = epoll_create1(EPOLL_CLOEXEC);
	err = outcome(fab->nestfd);
	fab->pendfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!err)
		err = outcome(fab->pendfd);
	if (!err)
		err = nest(fab, fab->epfd);
	if (!err)
		err = nest(fab, fab->kickfd);
	if (!err)
		err = nest(fab, fab->pendfd);
	if (err) {
		close_fd(&fab->pendfd);
		close_fd(&fab->nestfd);
		return err;
	}
	show_pending(fab, atomic_load(&fab->pending));
	return fab->nestfd;
}

const struct fab_stream_ops tcp_ops = {
	.name = "tcp",
	.open = tcp_open,
	.close = tcp_close,
	.progress = tcp_progress,
	.flush = tcp_flush,
	.wait = tcp_wait,
	.kick = tcp_kick,
	.drain = tcp_drain,
	.wait_fd = tcp_wait_fd,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.unaccept = tcp_unaccept,
	.listener_addr = tcp_listener_addr,
	.unlisten = tcp_unlisten,
	.connect = tcp_connect,
	.bind = tcp_bind,
	.tx_want = tcp_tx_want,
	.tx_now = tcp_tx_now,
	.rx_want = tcp_rx_want,
	.shutdown = tcp_shutdown,
	.conn_close = tcp_conn_close,
	.conn_addr = tcp_conn_addr,
	.set_option = tcp_set_option,
	.get_option = tcp_get_option,
};
