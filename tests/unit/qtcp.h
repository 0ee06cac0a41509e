/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * qtcp.h - a wire for tests: byte streams on queue pairs (fabric/qstream/) that are iWARP over kernel
 * TCP, so that what an RDMA device would carry is exercised without one.
 */
#ifndef ETA_TESTS_QTCP_H
#define ETA_TESTS_QTCP_H

#include "fabric/fabric.h"

/* The streams, and beside them iWARP's messages on the same TCP. */
extern const struct fab_stream_ops qtcp_ops;
extern const struct fab_msg_ops qtcp_msg_ops;

struct qstream;
struct qstream *qtcp_streams(struct fab *fab);
/* The kernel TCP below. */
struct fab *qtcp_below(struct fab *fab);
/* The queue pairs' own message service, on which qtcp_msg_ops' calls work as well. */
struct fab_msg *qtcp_pairs(struct fab *fab);

#endif
