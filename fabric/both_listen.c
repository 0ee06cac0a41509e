/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * both_listen.c - two wires as one fabric: a stream listener is one on each of them.
 *
 * An accept that is posted is posted on both, and taken back from the other when one has taken it. All
 * of it happens in one engine's turn, so no two connections are ever accepted for one.
 *
 * The second may be missing from the beginning, where no device of its has the address, or be lost with
 * its device: it is logged, and the first goes on. Without the first the listener is dead.
 */
#include "fabric/both_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_TRIES 16 /* ports that the first is given and the second has not free */

struct half {
	struct fab_listener *of;
	struct fab_listener *l; /* the wire's own; NULL: none */
};

struct fab_listener {
	struct fab *fab;
	const struct fab_listen_user *ops;
	void *user;
	const struct fab_listen_attr *attr; /* while listen() is on the stack */
	struct half half[2];
	unsigned posted;
};

/* --------------------------------------------------------------- on both, for either service */

static uint16_t *port_of(union fab_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? &addr->in.sin_port : &addr->in6.sin6_port;
}

static void log_missing(const struct fab *fab, const union fab_addr *addr, int err)
{
	char text[FAB_ADDR_STRLEN];

	fab_logf(&fab->env, FAB_LOG_WARN, "listening at %s by %s only, not by %s: %s",
		 fab_addr_str(addr, text), both_known[fab->wire[0]]->name,
		 both_known[fab->wire[1]]->name,
		 err == -ENODEV ? "no usable device has this address" : strerror(-err));
}

void both_log_lost(const struct fab *fab, int err)
{
	fab_logf(&fab->env, FAB_LOG_WARN, "a listener has lost %s: %s; %s goes on",
		 both_known[fab->wire[1]]->name, strerror(-err), both_known[fab->wire[0]]->name);
}

/* One try. *@again: another port might do. */
static int listen_once(const struct fab *fab, const struct both_listening *on, void *l,
		       const union fab_addr *addr, bool shared, bool *again)
{
	union fab_addr same = *addr;
	bool chosen = !*port_of(&same);
	int err = on->listen(l, 0, addr);

	*again = false;
	if (err)
		return err;
	err = on->addr(l, &same);
	if (!err)
		err = on->listen(l, 1, &same);
	/* Where others share the port, the one of them that came first has the devices. */
	if (err == -ENODEV || (err == -EADDRINUSE && shared)) {
		log_missing(fab, &same, err);
		return 0;
	}
	if (err)
		on->unlisten(l, 0);
	*again = err == -EADDRINUSE && chosen;
	return err;
}

int both_listen_on(const struct fab *fab, const struct both_listening *on, void *l,
		   const union fab_addr *addr, bool shared)
{
	bool again = true;
	int err = -EAFNOSUPPORT;

	if (!fab_addr_len(addr))
		return err;
	for (int i = 0; i < PORT_TRIES && again; i++)
		err = listen_once(fab, on, l, addr, shared, &again);
	return err;
}

/* --------------------------------------------------------------------------- upcalls */

static unsigned side_of(const struct half *h)
{
	return h == &h->of->half[1];
}

/* The user may end the listener in its upcall, so that is the last thing. */
static void half_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	struct half *h = user;
	struct fab_listener *l = h->of;
	unsigned i = side_of(h);

	assert(l->posted);
	l->posted--;
	if (l->half[!i].l)
		l->fab->stream[!i]->unaccept(l->half[!i].l, 1);
	l->ops->accepted(l->user, both_mark(conn, l->fab->wire[i]), peer);
}

static void half_close(struct fab_listener *l, unsigned i)
{
	struct fab_listener *own = l->half[i].l;

	l->half[i].l = NULL;
	if (own)
		l->fab->stream[i]->unlisten(own);
}

static void half_failed(void *user, int err)
{
	struct half *h = user;
	struct fab_listener *l = h->of;

	half_close(l, 1);
	if (side_of(h) == 1)
		both_log_lost(l->fab, err);
	else
		l->ops->failed(l->user, err);
}

static const struct fab_listen_user half_ops = {
	.accepted = half_accepted,
	.failed = half_failed,
};

/* ------------------------------------------------------------------------------- calls */

static int half_listen(void *arg, unsigned i, const union fab_addr *addr)
{
	struct fab_listener *l = arg;
	struct fab_listen_attr attr = *l->attr;
	int err;

	attr.addr = addr;
	/* ports of devices are not shared */
	attr.reuse_port &= i == 0;
	l->half[i].of = l;
	err = l->fab->stream[i]->listen(l->fab->sub[i], &attr, &half_ops, &l->half[i],
					&l->half[i].l);
	if (err)
		l->half[i].l = NULL;
	return err;
}

static int half_addr(void *arg, union fab_addr *addr)
{
	return both_listener_addr(arg, addr);
}

static void half_unlisten(void *arg, unsigned i)
{
	half_close(arg, i);
}

static const struct both_listening stream_listening = {
	.listen = half_listen,
	.addr = half_addr,
	.unlisten = half_unlisten,
};

int both_listen(struct fab *fab, const struct fab_listen_attr *attr,
		const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	struct fab_listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->fab = fab;
	l->ops = ops;
	l->user = user;
	l->attr = attr;
	err = both_listen_on(fab, &stream_listening, l, attr->addr, attr->reuse_port);
	l->attr = NULL;
	if (err)
		free(l);
	else
		*out = l;
	return err;
}

int both_accept(struct fab_listener *l)
{
	const struct fab_stream_ops *const *ops = l->fab->stream;
	int err = ops[0]->accept(l->half[0].l);

	if (err)
		return err;
	if (l->half[1].l)
		err = ops[1]->accept(l->half[1].l);
	if (err)
		ops[0]->unaccept(l->half[0].l, 1);
	else
		l->posted++;
	return err;
}

unsigned both_unaccept(struct fab_listener *l, unsigned n)
{
	for (unsigned i = 0; i < 2; i++)
		if (l->half[i].l)
			l->fab->stream[i]->unaccept(l->half[i].l, n);
	l->posted -= n < l->posted ? n : l->posted;
	return l->posted;
}

int both_listener_addr(struct fab_listener *l, union fab_addr *addr)
{
	return l->fab->stream[0]->listener_addr(l->half[0].l, addr);
}

void both_unlisten(struct fab_listener *l)
{
	half_close(l, 0);
	half_close(l, 1);
	free(l);
}
