/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * both.c - two wires as one fabric: the instance, its sleeper, connections.
 *
 * A connection here is the wire's own, in the low bits of whose address stands which wire it is (its
 * number in `known`, which only grows). So it needs no memory, and so no care for when that may be
 * freed, and upcalls go from the wire to the user directly. Nobody but both*.c follows such a pointer.
 *
 * A sleeper sleeps in the second wire, which watches a descriptor of the first as well. So devices need
 * not show in each turn what they have in a descriptor, and kicks are the second wire's.
 */
#include "fabric/both_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---------------------------------------------------------------- which wire it is */

const struct both_wire *both_known[BOTH_WIRES];
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;

/* Its number, for ever. Whoever meets a connection of it has it from someone who was here. */
static int wire_number(const struct both_wire *w)
{
	int n = 0;

	pthread_mutex_lock(&known_lock);
	while (n < BOTH_WIRES && both_known[n] && both_known[n] != w)
		n++;
	if (n < BOTH_WIRES && !both_known[n])
		both_known[n] = w;
	pthread_mutex_unlock(&known_lock);
	return n < BOTH_WIRES ? n : -ENOSPC;
}

unsigned both_path(const struct fab *fab, const struct fab_connect_attr *attr)
{
	return fab->path ? fab->path(attr) : 1;
}

/* ---------------------------------------------------------------------- the instance */

/*
 * Either goes first in every other turn. Who goes second has what the first has left, but is not
 * starved by it.
 */
static int both_progress(struct fab *fab, int budget)
{
	unsigned first = fab->turn++ & 1;
	int done = fab->stream[first]->progress(fab->sub[first], budget), rest = budget - done;

	if (rest < budget / 4 + 1)
		rest = budget / 4 + 1;
	return done + fab->stream[!first]->progress(fab->sub[!first], rest);
}

static void both_flush(struct fab *fab)
{
	fab->stream[0]->flush(fab->sub[0]);
	fab->stream[1]->flush(fab->sub[1]);
}

static int both_wait(struct fab *fab, int64_t timeout_ns)
{
	return fab->stream[1]->wait_also(fab->sub[1], fab->showfd, timeout_ns);
}

static void both_kick(struct fab *fab)
{
	fab->stream[1]->kick(fab->sub[1]);
}

static void both_drain(struct fab *fab)
{
	fab->stream[1]->drain(fab->sub[1]);
}

static int both_kick_fd(struct fab *fab)
{
	return fab->stream[1]->kick_fd(fab->sub[1]);
}

static int nest(int epfd, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int both_wait_fd(struct fab *fab)
{
	int second, fd, err;

	if (fab->nestfd >= 0)
		return fab->nestfd;
	second = fab->stream[1]->wait_fd(fab->sub[1]);
	if (second < 0)
		return second;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = nest(fd, fab->showfd);
	if (!err)
		err = nest(fd, second);
	if (err) {
		close(fd);
		return err;
	}
	fab->nestfd = fd;
	return fd;
}

static void both_close(struct fab *fab)
{
	for (unsigned i = 0; i < 2; i++)
		if (fab->sub[i])
			fab->stream[i]->close(fab->sub[i]);
	if (fab->nestfd >= 0)
		close(fab->nestfd);
	free(fab);
}

/* ----------------------------------------------------------------- stream connections */

static int both_connect(struct fab *fab, const struct fab_connect_attr *attr,
			const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	unsigned i = both_path(fab, attr);
	struct fab_conn *conn;
	int err = fab->stream[i]->connect(fab->sub[i], attr, ops, user, &conn);

	if (!err)
		*out = both_mark(conn, fab->wire[i]);
	return err;
}

static const struct fab_stream_ops *ops_of(const struct fab_conn *conn)
{
	return both_known[both_number(conn)]->stream;
}

static void both_bind(struct fab_conn *conn, const struct fab_stream_user *ops, void *user)
{
	ops_of(conn)->bind(both_plain(conn), ops, user);
}

static void both_tx_want(struct fab_conn *conn)
{
	ops_of(conn)->tx_want(both_plain(conn));
}

static void both_tx_now(struct fab_conn *conn)
{
	ops_of(conn)->tx_now(both_plain(conn));
}

static void both_rx_want(struct fab_conn *conn)
{
	ops_of(conn)->rx_want(both_plain(conn));
}

static int both_shutdown(struct fab_conn *conn)
{
	return ops_of(conn)->shutdown(both_plain(conn));
}

static void both_conn_close(struct fab_conn *conn, bool reset)
{
	ops_of(conn)->conn_close(both_plain(conn), reset);
}

static int both_conn_addr(struct fab_conn *conn, union fab_addr *local, union fab_addr *peer)
{
	return ops_of(conn)->conn_addr(both_plain(conn), local, peer);
}

static int both_set_option(struct fab_conn *conn, enum fab_option opt, int value)
{
	return ops_of(conn)->set_option(both_plain(conn), opt, value);
}

static int both_get_option(struct fab_conn *conn, enum fab_option opt, int *value)
{
	return ops_of(conn)->get_option(both_plain(conn), opt, value);
}

static const char *both_conn_wire(const struct fab_conn *conn)
{
	return both_known[both_number(conn)]->name;
}

static const struct fab_stream_ops both_stream_ops = {
	.name = "both",
	.open_writes = 1,
	.close = both_close,
	.progress = both_progress,
	.flush = both_flush,
	.wait = both_wait,
	.kick = both_kick,
	.drain = both_drain,
	.wait_fd = both_wait_fd,
	.kick_fd = both_kick_fd,
	.listen = both_listen,
	.accept = both_accept,
	.unaccept = both_unaccept,
	.listener_addr = both_listener_addr,
	.unlisten = both_unlisten,
	.connect = both_connect,
	.bind = both_bind,
	.tx_want = both_tx_want,
	.tx_now = both_tx_now,
	.rx_want = both_rx_want,
	.shutdown = both_shutdown,
	.conn_close = both_conn_close,
	.conn_addr = both_conn_addr,
	.set_option = both_set_option,
	.get_option = both_get_option,
	.wire = both_conn_wire,
};

/* --------------------------------------------------------------------------- opening */

static int wire_open(struct fab *fab, unsigned i, const struct both_wire *w)
{
	int err = wire_number(w);

	if (err < 0)
		return err;
	assert(w->stream->open_writes <= 1);
	fab->wire[i] = err;
	fab->stream[i] = w->stream;
	err = w->stream->open(&fab->env, &fab->sub[i]);
	if (err)
		fab->sub[i] = NULL;
	return err;
}

/* The second first: of the two it is the one that may be missing, and the first then costs nothing. */
static int wires_open(struct fab *fab, const struct both *both)
{
	int err = wire_open(fab, 1, both->wires[1]);

	if (!err)
		err = wire_open(fab, 0, both->wires[0]);
	if (err)
		return err;
	fab->showfd = fab->stream[0]->wait_fd(fab->sub[0]);
	return fab->showfd < 0 ? fab->showfd : 0;
}

int both_open(const struct both *both, const struct fab_env *env, const struct fab_msg_attr *attr,
	      struct fabric *out)
{
	struct fab *fab = calloc(1, sizeof(*fab));
	int err;

	if (!fab)
		return -ENOMEM;
	fab->env = *env;
	fab->path = both->path;
	fab->nestfd = -1;
	err = wires_open(fab, both);
	if (!err)
		err = both_msg_open(fab, both, attr, out);
	if (err) {
		both_close(fab);
		return err;
	}
	fab->env.device = NULL;
	out->stream = &both_stream_ops;
	out->fab = fab;
	return 0;
}
