/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * qtcp_wire.c - the wire for tests (qtcp.h) by its name, "qtcp", in a program that is linked with
 * --wrap=fabric_open.
 */
#include <string.h>

#include "tests/unit/qtcp.h"

int __real_fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		       struct fabric *out);
int __wrap_fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		       struct fabric *out);

int __wrap_fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		       struct fabric *out)
{
	struct fabric f = {
		.name = "qtcp", .why = "asked for", .stream = &qtcp_ops, .msg = &qtcp_msg_ops
	};
	int err;

	if (!name || strcmp(name, "qtcp"))
		return __real_fabric_open(name, env, attr, out);
	err = f.stream->open(env, &f.fab);
	if (err)
		return err;
	err = f.msg->open(env, attr, f.stream, f.fab, &f.m);
	if (err)
		f.stream->close(f.fab);
	else
		*out = f;
	return err;
}
