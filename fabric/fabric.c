/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fabric.c - the list of wires, by name, and what they share.
 */
#include "fabric/fabric.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/both.h"
#include "fabric/iwarp/iwarp.h"
#include "fabric/tcp_internal.h"
#ifdef ETA_HAVE_ROCE
#include "fabric/roce/roce.h"
#endif

static const struct both_wire wires[] = {
	{ "tcp", &tcp_ops, &iwarp_ops },
	{ "uring", &uring_ops, &iwarp_ops },
};

#define TCP (&wires[0])
#define URING (&wires[1])

static const struct both_wire *find_wire(const char *name)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		if (!strcmp(wires[i].name, name))
			return &wires[i];
	}
	return NULL;
}

static int wire_open(const struct both_wire *w, const struct fab_env *env,
		     const struct fab_msg_attr *attr, struct fabric *f)
{
	int err;

	f->name = w->name;
	f->stream = w->stream;
	f->msg = w->msg;
	err = f->stream->open(env, &f->fab);
	if (err)
		return err;
	err = f->msg->open(env, attr, f->stream, f->fab, &f->m);
	if (err)
		f->stream->close(f->fab);
	return err;
}

/* ------------------------------------------------------------------------------- RDMA */

#ifdef ETA_HAVE_ROCE
static const struct both_wire roce_wire = { "roce", &roce_stream_ops, &roce_msg_ops };

static int roce_open(const struct fab_env *env, const struct fab_msg_attr *attr, struct fabric *f)
{
	static const struct both both = { .wires = { TCP, &roce_wire } };

	f->name = roce_wire.name;
	return both_open(&both, env, attr, f);
}

static void describe(const struct roce_device *from, struct fab_device *d)
{
	d->wire = roce_wire.name;
	snprintf(d->name, sizeof(d->name), "%s", from->name);
	snprintf(d->netdev, sizeof(d->netdev), "%.*s", (int)sizeof(d->netdev) - 1, from->netdev);
	d->usable = from->usable;
	if (d->usable)
		snprintf(d->state, sizeof(d->state), "RoCE, port %u, packets of %u octets",
			 from->port, from->mtu);
	else
		snprintf(d->state, sizeof(d->state), "%s", from->why_not);
	while (d->naddrs < from->naddrs && d->naddrs < FAB_DEVICE_ADDRS) {
		d->addr[d->naddrs] = from->addrs[d->naddrs];
		d->naddrs++;
	}
}

int fabric_devices(struct fab_device **list, char *why, size_t len)
{
	char reason[ROCE_WHY] = "this system has no RDMA devices";
	struct roce_device *devices = NULL;
	int n = 0;

	*list = NULL;
	/* the usual case, for which no library need be loaded */
	if (roce_present())
		n = roce_devices(&devices, reason);
	if (n <= 0) {
		snprintf(why, len, "%s", reason);
		return n;
	}
	*list = calloc((size_t)n, sizeof(**list));
	for (int i = 0; *list && i < n; i++)
		describe(&devices[i], &(*list)[i]);
	roce_devices_free(devices);
	return *list ? n : -ENOMEM;
}
#else
#define NOT_BUILT "eta was built without RDMA: no libibverbs, no librdmacm, or ETA_ROCE=OFF"

static int roce_open(const struct fab_env *env, const struct fab_msg_attr *attr, struct fabric *f)
{
	(void)attr;
	(void)f;
	fab_logf(env, FAB_LOG_WARN, "roce: %s", NOT_BUILT);
	return -EOPNOTSUPP;
}

int fabric_devices(struct fab_device **list, char *why, size_t len)
{
	*list = NULL;
	snprintf(why, len, "%s", NOT_BUILT);
	return -EOPNOTSUPP;
}
#endif

/* -------------------------------------------------------------------------- by its name */

/* "roce" or "roce:device". */
static bool is_roce(const char *name, const char **device)
{
	*device = NULL;
	if (strncmp(name, "roce", 4) || (name[4] && name[4] != ':'))
		return false;
	if (name[4] && name[5])
		*device = name + 5;
	return true;
}

static int no_such_wire(const struct fab_env *env, const char *name)
{
	fab_logf(env, FAB_LOG_WARN, "there is no fabric called %s", name);
	return -ENOENT;
}

/* By what was measured: docs/measurements.md, "Web server". */
static const struct both_wire *choose(const struct fab_env *env, const char **why)
{
	const char *refused;

	if (env->owner != FAB_OWNER_SINGLE) {
		*why = "the default: io_uring is for who promises to make every call from one thread";
		return TCP;
	}
	refused = uring_why_not();
	*why = refused ? refused : "one thread makes every call, and many connections cost less";
	return refused ? TCP : URING;
}

int fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		struct fabric *out)
{
	bool any = !name || !strcmp(name, "auto");
	struct fabric f = { .why = "asked for" };
	const struct both_wire *w = any ? choose(env, &f.why) : find_wire(name);
	struct fab_env own = *env;
	int err;

	if (w)
		err = wire_open(w, &own, attr, &f);
	else if (is_roce(name, &own.device))
		err = roce_open(&own, attr, &f);
	else
		err = no_such_wire(env, name);
	if (err && any && w != TCP) {
		f.why = "the ring that was to be had cannot be made: see the log";
		err = wire_open(TCP, &own, attr, &f);
	}
	if (!err)
		*out = f;
	return err;
}

void fabric_close(struct fabric *f)
{
	f->msg->close(f->m);
	f->stream->close(f->fab);
	*f = (struct fabric){ 0 };
}
