/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stream.c - byte streams: those of fabric/qstream/ on the queue pairs of this wire. An instance that
 * nobody asks for one has none of it, nor of its memory.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <time.h>

#define HANDSHAKE_NS 10000000000ull
#define LINGER_NS 1000000000ull /* for closed streams to send what they have */

/* As what a turn leaves: it keeps a sleeper awake. */
static void up_pending(void *arg, bool pending)
{
	struct fab *fab = arg;

	fab->streams_left = pending;
	/* inside a call of this wire its end says so */
	if (!fab->depth)
		sleeper_publish(&fab->sleeper, roce_left_over(fab));
}

static int streams_open(struct fab *fab)
{
	const struct fab_msg_attr attr = {
		.streams = true, .handshake_ns = HANDSHAKE_NS, .ord = 1, .ird = 1
	};
	struct qstream_attr q = { .msg = &roce_msg_ops, .pending = up_pending, .arg = fab };
	int err;

	if (fab->streams)
		return 0;
	err = roce_msg_ops.open(&fab->env, &attr, &roce_stream_ops, fab, &fab->stream_pairs);
	if (err)
		return err;
	q.m = fab->stream_pairs;
	err = qstream_open(&fab->env, &q, &fab->streams);
	if (err) {
		roce_msg_ops.close(fab->stream_pairs);
		fab->stream_pairs = NULL;
	}
	return err;
}

void roce_streams_close(struct fab *fab)
{
	uint64_t end = timer_now_ns() + LINGER_NS;
	const struct timespec pause = { .tv_nsec = 200000 };

	if (!fab->streams)
		return;
	while (qstream_lingering(fab->streams) && timer_now_ns() < end) {
		atomic_store(&fab->harvest, true);
		roce_stream_ops.flush(fab);
		if (!roce_stream_ops.progress(fab, FAB_TURN_COMPLETIONS))
			nanosleep(&pause, NULL);
	}
	qstream_close(fab->streams);
	fab->streams = NULL;
	fab->streams_left = false;
	roce_msg_ops.close(fab->stream_pairs);
}

int roce_stream_listen(struct fab *fab, const struct fab_listen_attr *attr,
		       const struct fab_listen_user *ops, void *user, struct fab_listener **out)
{
	int err = streams_open(fab);

	return err ? err : qstream_listen(fab->streams, attr, ops, user, out);
}

int roce_stream_connect(struct fab *fab, const struct fab_connect_attr *attr,
			const struct fab_stream_user *ops, void *user, struct fab_conn **out)
{
	int err = streams_open(fab);

	return err ? err : qstream_connect(fab->streams, attr, ops, user, out);
}
