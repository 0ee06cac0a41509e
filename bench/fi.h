/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fi.h - what a program needs of libfabric before it has message endpoints. As for links (link.h),
 * an error ends the process.
 */
#ifndef BENCH_FI_H
#define BENCH_FI_H

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <stddef.h>

struct fi_parts {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_cq *cq;
	size_t cq_size; /* 0 when it is opened: 1,024 */
};

/* Ends the process unless @ret is 0. */
void fi_must(ssize_t ret, const char *what);

/* Server: listens on a free port of 127.0.0.1 and tells the client by @ctrl where. */
struct fid_pep *fi_parts_listen(struct fi_parts *p, const char *provider, int ctrl);
/* Client: opens what reaches that server. */
void fi_parts_reach(struct fi_parts *p, const char *provider, int ctrl);
/* One connection; returns when it is up. The first accept opens the domain. */
struct fid_ep *fi_parts_accept(struct fi_parts *p);
struct fid_ep *fi_parts_connect(struct fi_parts *p);
void fi_parts_close(struct fi_parts *p);

#endif
