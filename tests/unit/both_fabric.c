/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * both_fabric.c - in place of fabric.c: whatever is asked for, kernel TCP and a second wire, over which
 * every other connection goes that can.
 */
#include "tests/unit/second_wire.h"

static unsigned alternate(const struct fab_connect_attr *attr)
{
	static unsigned n;

	return second_wire_reaches(attr->peer) ? __atomic_fetch_add(&n, 1, __ATOMIC_RELAXED) & 1
					       : 0;
}

int fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		struct fabric *out)
{
	static const struct both both = { { &first_wire, &second_wire }, alternate };
	struct fabric f = { .name = "both", .why = "it is tested" };
	int err = both_open(&both, env, attr, &f);

	(void)name;
	if (!err)
		*out = f;
	return err;
}

void fabric_close(struct fabric *f)
{
	f->msg->close(f->m);
	f->stream->close(f->fab);
}
