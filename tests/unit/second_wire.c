/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tests/unit/second_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "fabric/iwarp/iwarp.h"
#include "fabric/tcp_internal.h"

struct second_wire_refuses second_wire_refuses;

struct made {
	const struct fab_listen_user *ops;
	void *user;
};
static struct made made[2]; /* each wire's newest listener */

static struct fab_stream_ops first_ops, second_ops;

static void fail(const struct made *m, int err)
{
	m->ops->failed(m->user, err);
}

void first_wire_fail(int err)
{
	fail(&made[0], err);
}

void second_wire_fail(int err)
{
	fail(&made[1], err);
}

/* ------------------------------------------------------------------------- the second */

static bool is_loopback(const union fab_addr *addr, uint32_t host)
{
	return addr->sa.sa_family == AF_INET && addr->in.sin_addr.s_addr == htonl(host);
}

bool second_wire_reaches(const union fab_addr *addr)
{
	return is_loopback(addr, INADDR_LOOPBACK);
}

static union fab_addr shifted(const union fab_addr *addr)
{
	union fab_addr a = *addr;

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	return a;
}

static void shift_back(union fab_addr *addr)
{
	if (addr && is_loopback(addr, INADDR_LOOPBACK + 1))
		addr->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static int first_listen(struct fab *fab, const struct fab_listen_attr *attr,
			const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	made[0] = (struct made){ ops, user };
	return tcp_ops.listen(fab, attr, ops, user, out);
}

static int second_listen(struct fab *fab, const struct fab_listen_attr *attr,
			 const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listen_attr own = *attr;
	union fab_addr addr;

	if (second_wire_refuses.times) {
		second_wire_refuses.times--;
		return second_wire_refuses.err;
	}
	if (!second_wire_reaches(attr->addr))
		return -ENODEV;
	addr = shifted(attr->addr);
	own.addr = &addr;
	made[1] = (struct made){ ops, user };
	return tcp_ops.listen(fab, &own, ops, user, out);
}

static int second_open(const struct fab_env *env, struct fab **out)
{
	int err = tcp_ops.open(env, out), fd = err ? 0 : tcp_ops.wait_fd(*out);

	if (fd < 0)
		tcp_ops.close(*out);
	return err ? err : fd < 0 ? fd : 0;
}

static int second_wait_also(struct fab *fab, int fd, int64_t timeout_ns)
{
	struct pollfd fds[] = {
		{ .fd = tcp_ops.wait_fd(fab), .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	struct timespec limit = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};

	if (ppoll(fds, 2, timeout_ns < 0 ? NULL : &limit, NULL) < 0)
		return errno == EINTR ? -EINTR : 0;
	/* so that it sees kicks */
	return fds[0].revents ? tcp_ops.wait(fab, 0) : 0;
}

static int second_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	int err = tcp_ops.listener_addr(l, addr);

	shift_back(addr);
	return err;
}

static int second_connect(struct fab *fab, const struct fab_connect_attr *attr,
			  const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	struct fab_connect_attr own = *attr;
	union fab_addr peer;

	if (!second_wire_reaches(attr->peer))
		return -ENODEV;
	peer = shifted(attr->peer);
	own.peer = &peer;
	return tcp_ops.connect(fab, &own, ops, user, out);
}

static int second_conn_addr(struct fab_conn *conn, union fab_addr *local, union fab_addr *peer)
{
	int err = tcp_ops.conn_addr(conn, local, peer);

	shift_back(local);
	shift_back(peer);
	return err;
}

/* Before main(), so that the wires are constant for whoever uses them. */
__attribute__((constructor)) static void make_wires(void)
{
	first_ops = tcp_ops;
	first_ops.listen = first_listen;
	second_ops = tcp_ops;
	second_ops.name = "second";
	second_ops.open = second_open;
	second_ops.wait_also = second_wait_also;
	second_ops.listen = second_listen;
	second_ops.listener_addr = second_listener_addr;
	second_ops.connect = second_connect;
	second_ops.conn_addr = second_conn_addr;
}

const struct both_wire first_wire = { "tcp", &first_ops, &iwarp_ops };
const struct both_wire second_wire = { "second", &second_ops, &iwarp_ops };
