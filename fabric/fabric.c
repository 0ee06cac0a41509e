/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fabric.c - the list of wires, by name, and what they share.
 */
#include "fabric/fabric.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"
#include "fabric/tcp_internal.h"

/* The first is the default. */
static const struct wire {
	const char *name;
	const struct fab_stream_ops *stream;
	const struct fab_msg_ops *msg;
} wires[] = {
	{ "tcp", &tcp_ops, &iwarp_ops },
	{ "uring", &uring_ops, &iwarp_ops },
};

/* Measured over loopback, see docs/architecture.md. */
#define DEFAULT_WHY "the default: no slower here than io_uring"

static const struct wire *find_wire(const char *name)
{
	if (!name || !strcmp(name, "auto"))
		return &wires[0];
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		if (!strcmp(wires[i].name, name))
			return &wires[i];
	}
	return NULL;
}

int fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		struct fabric *out)
{
	const struct wire *w = find_wire(name);
	struct fabric f = { 0 };
	int err;

	if (!w)
		return -ENOENT;
	f.name = w->name;
	f.why = name && strcmp(name, "auto") ? "asked for" : DEFAULT_WHY;
	f.stream = w->stream;
	f.msg = w->msg;
	err = f.stream->open(env, &f.fab);
	if (err)
		return err;
	err = f.msg->open(env, attr, f.stream, f.fab, &f.m);
	if (err) {
		f.stream->close(f.fab);
		return err;
	}
	*out = f;
	return 0;
}

void fabric_close(struct fabric *f)
{
	f->msg->close(f->m);
	f->stream->close(f->fab);
	*f = (struct fabric){ 0 };
}

void fab_logf(const struct fab_env *env, int level, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (!env->log)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	env->log(env->arg, level, text);
}
