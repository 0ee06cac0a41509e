/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * roce.h - RDMA devices as a wire: what the choice of fabrics needs of it.
 *
 * The stream fabric owns the devices, and is what is asked for progress; the message fabric is opened
 * on it. open() takes the device that fab_env.device names, or all that are usable, and fails with
 * -EOPNOTSUPP or -ENODEV after it has logged the reason.
 */
#ifndef ETA_ROCE_H
#define ETA_ROCE_H

#include "fabric/fabric.h"

extern const struct fab_stream_ops roce_stream_ops;
extern const struct fab_msg_ops roce_msg_ops;

/* As fabric_devices(). */
int roce_devices(struct fab_device **list, char *why, size_t len);

#endif
