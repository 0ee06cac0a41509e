/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_streams.c - in place of qtcp.c: the streams of fabric/roce as those that test_tcp.c knows as
 * "qstream"; linked with --defsym=qtcp_ops=roce_stream_ops.
 */
#include "fabric/roce/roce_internal.h"
#include "tests/unit/qtcp.h"

struct qstream *qtcp_streams(struct fab *fab)
{
	return fab->streams;
}

/* There is no kernel TCP whose guesses are to be taken from it. */
struct fab *qtcp_below(struct fab *fab)
{
	static max_align_t nothing[4096];

	(void)fab;
	return (struct fab *)(void *)nothing;
}
