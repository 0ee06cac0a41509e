/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* qtcp.c - byte streams on queue pairs over iWARP over kernel TCP. */
#include "tests/unit/qtcp.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fabric/iwarp/iwarp.h"
#include "fabric/qstream/qstream.h"

#define CLOSE_NS 1000000000 /* for closed connections to send what they have */

extern const struct fab_stream_ops tcp_ops;

struct fab {
	struct fab_env env;
	struct fab *tcp;
	struct fab_msg *pairs;
	struct qstream *q;
	int nestfd, pendfd;
	_Atomic bool pending, sleeping;
};

/* Pairs with wait(): either the sleeper sees `pending`, or this sees `sleeping`. */
static void up_pending(void *arg, bool pending)
{
	struct fab *fab = arg;
	uint64_t count = 1;

	atomic_exchange(&fab->pending, pending);
	if (pending && atomic_load(&fab->sleeping))
		tcp_ops.kick(fab->tcp);
	if (fab->pendfd < 0)
		return;
	if ((pending ? write(fab->pendfd, &count, sizeof(count))
		     : read(fab->pendfd, &count, sizeof(count))) < 0)
		abort();
}

/* Never asked for, because no stream lets a message wait; but a read is no longer than these. */
static size_t buf_room(void *arg)
{
	(void)arg;
	return IW_SCRATCH;
}

static void *buf_get(void *arg, size_t len)
{
	(void)arg;
	return malloc(len);
}

static void buf_put(void *arg, void *buf)
{
	(void)arg;
	free(buf);
}

static int open_above(struct fab *fab)
{
	struct fab_env env = fab->env;
	const struct fab_msg_attr attr = {
		.fpdu_max = 65536, .handshake_ns = 10000000000ull, .ord = 1, .ird = 1
	};
	struct qstream_attr qa = { .msg = &iwarp_ops, .pending = up_pending, .arg = fab };
	int err;

	env.buf_room = buf_room;
	env.buf_get = buf_get;
	env.buf_put = buf_put;
	err = iwarp_ops.open(&env, &attr, &tcp_ops, fab->tcp, &fab->pairs);
	if (err)
		return err;
	qa.m = fab->pairs;
	err = qstream_open(&fab->env, &qa, &fab->q);
	if (err)
		iwarp_ops.close(fab->pairs);
	return err;
}

static int qtcp_open(const struct fab_env *env, struct fab **out)
{
	struct fab *fab = calloc(1, sizeof(*fab));
	int err;

	if (!fab)
		return -ENOMEM;
	fab->env = *env;
	fab->nestfd = fab->pendfd = -1;
	err = tcp_ops.open(env, &fab->tcp);
	if (!err) {
		err = open_above(fab);
		if (err)
			tcp_ops.close(fab->tcp);
	}
	if (err)
		free(fab);
	else
		*out = fab;
	return err;
}

static int qtcp_progress(struct fab *fab, int budget)
{
	int done = tcp_ops.progress(fab->tcp, budget);

	return done + qstream_progress(fab->q, budget);
}

static void qtcp_flush(struct fab *fab)
{
	qstream_flush(fab->q);
	tcp_ops.flush(fab->tcp);
}

static void qtcp_close(struct fab *fab)
{
	uint64_t end = timer_now_ns() + CLOSE_NS;

	while (qstream_lingering(fab->q) && timer_now_ns() < end) {
		qtcp_progress(fab, FAB_TURN_COMPLETIONS);
		qtcp_flush(fab);
		tcp_ops.wait(fab->tcp, 1000000);
	}
	qstream_close(fab->q);
	iwarp_ops.close(fab->pairs);
	tcp_ops.close(fab->tcp);
	if (fab->nestfd >= 0) {
		close(fab->nestfd);
		close(fab->pendfd);
	}
	free(fab);
}

static int qtcp_wait(struct fab *fab, int64_t timeout_ns)
{
	int ret = 0;

	atomic_exchange(&fab->sleeping, true);
	if (!atomic_load(&fab->pending))
		ret = tcp_ops.wait(fab->tcp, timeout_ns);
	atomic_store(&fab->sleeping, false);
	return ret;
}

static void qtcp_kick(struct fab *fab)
{
	tcp_ops.kick(fab->tcp);
}

static void qtcp_drain(struct fab *fab)
{
	tcp_ops.drain(fab->tcp);
}

static int qtcp_kick_fd(struct fab *fab)
{
	return tcp_ops.kick_fd(fab->tcp);
}

static int qtcp_wait_fd(struct fab *fab)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int below;

	if (fab->nestfd >= 0)
		return fab->nestfd;
	below = tcp_ops.wait_fd(fab->tcp);
	if (below < 0)
		return below;
	fab->pendfd = eventfd(atomic_load(&fab->pending), EFD_CLOEXEC | EFD_NONBLOCK);
	fab->nestfd = epoll_create1(EPOLL_CLOEXEC);
	if (fab->pendfd < 0 || fab->nestfd < 0 ||
	    epoll_ctl(fab->nestfd, EPOLL_CTL_ADD, below, &ev) ||
	    epoll_ctl(fab->nestfd, EPOLL_CTL_ADD, fab->pendfd, &ev))
		abort();
	return fab->nestfd;
}

static int qtcp_listen(struct fab *fab, const struct fab_listen_attr *attr,
		       const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	return qstream_listen(fab->q, attr, ops, user, out);
}

static int qtcp_connect(struct fab *fab, const struct fab_connect_attr *attr,
			const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	return qstream_connect(fab->q, attr, ops, user, out);
}

const struct fab_stream_ops qtcp_ops = {
	.name = "qtcp",
	.open_writes = 1,
	.open = qtcp_open,
	.close = qtcp_close,
	.progress = qtcp_progress,
	.flush = qtcp_flush,
	.wait = qtcp_wait,
	.kick = qtcp_kick,
	.drain = qtcp_drain,
	.wait_fd = qtcp_wait_fd,
	.kick_fd = qtcp_kick_fd,
	.listen = qtcp_listen,
	.connect = qtcp_connect,
	QSTREAM_OPS,
};

struct qstream *qtcp_streams(struct fab *fab)
{
	return fab->q;
}

struct fab *qtcp_below(struct fab *fab)
{
	return fab->tcp;
}

struct fab_msg *qtcp_pairs(struct fab *fab)
{
	return fab->pairs;
}

/* ------------------------------------------------------------------ messages beside the streams */

static int msg_open(const struct fab_env *env, const struct fab_msg_attr *attr,
		    const struct fab_stream_ops *stream, struct fab *fab, struct fab_msg **out)
{
	(void)stream;
	return iwarp_ops.open(env, attr, &tcp_ops, fab->tcp, out);
}

static void msg_close(struct fab_msg *m)
{
	iwarp_ops.close(m);
}

static int msg_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
		      const struct fab_msg_listen_user *ops, void *user,
		      struct fab_msg_listener **out)
{
	return iwarp_ops.listen(m, addr, backlog, ops, user, out);
}

static int msg_listener_addr(struct fab_msg_listener *l, union fab_addr *addr)
{
	return iwarp_ops.listener_addr(l, addr);
}

static void msg_unlisten(struct fab_msg_listener *l)
{
	iwarp_ops.unlisten(l);
}

static int msg_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
		       const struct fab_hello *hello, const void *pdata, size_t len,
		       const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	return iwarp_ops.connect(m, attr, hello, pdata, len, ops, user, out);
}

static int msg_accept(struct fab_msg_conn *conn, const struct fab_hello *hello, const void *pdata,
		      size_t len, const struct fab_msg_user *ops, void *user)
{
	return iwarp_ops.accept(conn, hello, pdata, len, ops, user);
}

static void msg_reject(struct fab_msg_conn *conn, const void *pdata, size_t len)
{
	iwarp_ops.reject(conn, pdata, len);
}

static void msg_tx_want(struct fab_msg_conn *conn)
{
	iwarp_ops.tx_want(conn);
}

static void msg_tx_now(struct fab_msg_conn *conn)
{
	iwarp_ops.tx_now(conn);
}

static void msg_rx_want(struct fab_msg_conn *conn)
{
	iwarp_ops.rx_want(conn);
}

static int msg_shutdown(struct fab_msg_conn *conn)
{
	return iwarp_ops.shutdown(conn);
}

static void msg_conn_close(struct fab_msg_conn *conn, bool reset)
{
	iwarp_ops.conn_close(conn, reset);
}

static int msg_conn_addr(struct fab_msg_conn *conn, union fab_addr *local, union fab_addr *peer)
{
	return iwarp_ops.conn_addr(conn, local, peer);
}

const struct fab_msg_ops qtcp_msg_ops = {
	.name = "iwarp",
	.open = msg_open,
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
};
