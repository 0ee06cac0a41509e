/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * roce.h - queue pairs of an RDMA device as a fabric, and the list of such devices.
 *
 * A wire of its own, which knows nothing of TCP: its connections are set up by librdmacm, in a space of
 * ports of its own. wire.h is what goes over them.
 */
#ifndef ETA_ROCE_H
#define ETA_ROCE_H

#include "fabric/fabric.h"

/*
 * Opens where libibverbs and librdmacm can be loaded and there is a device that can be used; else
 * -EOPNOTSUPP, and the reason is logged. Owners of every kind.
 */
extern const struct fab_stream_ops roce_stream_ops;
/* On a struct fab of the former. */
extern const struct fab_msg_ops roce_msg_ops;

#define ROCE_NAME 64
#define ROCE_WHY 160
#define ROCE_ADDRS 8

/* A port of an RDMA device. */
struct roce_device {
	char name[ROCE_NAME];   /* as the verbs call it: "rxe0" */
	char netdev[ROCE_NAME]; /* its network interface; empty: unknown */
	uint8_t port;
	bool usable;
	char why_not[ROCE_WHY]; /* when it is not usable; for people */
	uint64_t speed;         /* bits a second, about; 0: unknown */
	uint32_t mtu;           /* octets of one packet's payload */
	unsigned naddrs;        /* addresses that connections may use, from its table of GIDs */
	union fab_addr addrs[ROCE_ADDRS];
};

/*
 * All ports of all devices, usable or not, in *@out, to be freed with roce_devices_free(). Their number;
 * 0 with the reason in @why, which is for people: no library, no module, no device. -ENOMEM.
 */
int roce_devices(struct roce_device **out, char why[ROCE_WHY]);
void roce_devices_free(struct roce_device *devices);
/* Whether the kernel knows of RDMA devices, usable or not: asked without the libraries. */
bool roce_present(void);

#endif
