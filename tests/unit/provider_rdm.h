/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * provider_rdm.h - for the provider's tests: datagram endpoints over loopback, each under a fabric (so
 * an engine) of its own, that know each other's names.
 */
#ifndef PROVIDER_RDM_H
#define PROVIDER_RDM_H

#include "provider_pair.h"
#include "tests/unit/test_host.h"

#define ALL_CAPS                                                                                   \
	(FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC | FI_MULTI_RECV | FI_RMA_EVENT | FI_TRIGGER |     \
	 FI_FENCE)

struct node_options {
	const char *source; /* NULL: test_host() */
	uint64_t caps;      /* 0: ALL_CAPS */
	uint64_t bind_flags, tx_op_flags, rx_op_flags;
	bool shared_tx, shared_rx, counters;
	enum fi_cq_format format; /* 0: FI_CQ_FORMAT_TAGGED */
	uint8_t *auth_key;
	size_t auth_key_size;
};

struct node {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *tx_cq, *rx_cq;
	struct fid_cntr *sent, *received, *rma, *remote; /* with counters */
	struct fid_stx *stx;
	struct fid_ep *srx, *ep;
	fi_addr_t peer;
	union address name;
};

static inline struct fi_info *node_info(const struct node_options *opt)
{
	struct fi_info *hints = hints_new(), *info;

	hints->ep_attr->type = FI_EP_RDM;
	hints->caps = opt->caps ? opt->caps : ALL_CAPS;
	hints->addr_format = FI_SOCKADDR_IN;
	hints->tx_attr->op_flags = opt->tx_op_flags;
	hints->rx_attr->op_flags = opt->rx_op_flags;
	hints->ep_attr->tx_ctx_cnt = opt->shared_tx ? FI_SHARED_CONTEXT : 0;
	hints->ep_attr->rx_ctx_cnt = opt->shared_rx ? FI_SHARED_CONTEXT : 0;
	hints->domain_attr->auth_key = opt->auth_key;
	hints->domain_attr->auth_key_size = opt->auth_key_size;
	ok(fi_getinfo(API, opt->source ? opt->source : test_host(), NULL, FI_SOURCE, hints, &info));
	hints->domain_attr->auth_key = NULL;
	fi_freeinfo(hints);
	return info;
}

static inline void node_counters(struct node *n)
{
	ok(fi_cntr_open(n->domain, NULL, &n->sent, n));
	ok(fi_cntr_open(n->domain, NULL, &n->received, n));
	ok(fi_cntr_open(n->domain, NULL, &n->rma, n));
	ok(fi_cntr_open(n->domain, NULL, &n->remote, n));
	ok(fi_ep_bind(n->ep, &n->sent->fid, FI_SEND));
	ok(fi_ep_bind(n->ep, &n->received->fid, FI_RECV));
	ok(fi_ep_bind(n->ep, &n->rma->fid, FI_READ | FI_WRITE));
	ok(fi_ep_bind(n->ep, &n->remote->fid, FI_REMOTE_READ | FI_REMOTE_WRITE));
}

/* Up to an endpoint that is bound, and not enabled. */
static inline void node_prepare(struct node *n, const struct node_options *opt)
{
	struct fi_cq_attr cq = { .format = opt->format ? opt->format : FI_CQ_FORMAT_TAGGED,
				 .wait_obj = FI_WAIT_UNSPEC };
	struct fi_av_attr av = { 0 };

	memset(n, 0, sizeof(*n));
	n->info = node_info(opt);
	ok(fi_fabric(n->info->fabric_attr, &n->fabric, n));
	ok(fi_domain(n->fabric, n->info, &n->domain, n));
	ok(fi_av_open(n->domain, &av, &n->av, n));
	ok(fi_cq_open(n->domain, &cq, &n->tx_cq, n));
	ok(fi_cq_open(n->domain, &cq, &n->rx_cq, n));
	ok(fi_endpoint(n->domain, n->info, &n->ep, n));
	ok(fi_ep_bind(n->ep, &n->av->fid, 0));
	ok(fi_ep_bind(n->ep, &n->tx_cq->fid, FI_TRANSMIT | opt->bind_flags));
	ok(fi_ep_bind(n->ep, &n->rx_cq->fid, FI_RECV | opt->bind_flags));
	if (opt->counters)
		node_counters(n);
	if (opt->shared_tx) {
		ok(fi_stx_context(n->domain, n->info->tx_attr, &n->stx, n));
		ok(fi_ep_bind(n->ep, &n->stx->fid, 0));
	}
	if (opt->shared_rx) {
		ok(fi_srx_context(n->domain, n->info->rx_attr, &n->srx, n));
		ok(fi_ep_bind(n->ep, &n->srx->fid, 0));
	}
}

static inline void node_open(struct node *n, const struct node_options *opt)
{
	size_t len = sizeof(n->name);

	node_prepare(n, opt);
	ok(fi_enable(n->ep));
	ok(fi_getname(&n->ep->fid, &n->name, &len));
	assert_int_equal(len, sizeof(n->name.in));
	assert_int_not_equal(n->name.in.sin_port, 0);
}

static inline void nodes_meet(struct node *a, struct node *b)
{
	assert_int_equal(fi_av_insert(a->av, &b->name, 1, &a->peer, 0, NULL), 1);
	assert_int_equal(fi_av_insert(b->av, &a->name, 1, &b->peer, 0, NULL), 1);
}

static inline void nodes_open(struct node n[2], const struct node_options *opt)
{
	node_open(&n[0], opt);
	node_open(&n[1], opt);
	nodes_meet(&n[0], &n[1]);
	ordered[0] = n[0].ep;
	ordered[1] = n[1].ep;
}

static inline void node_close(struct node *n)
{
	close_fid(n->ep);
	close_fid(n->srx);
	close_fid(n->stx);
	close_fid(n->sent);
	close_fid(n->received);
	close_fid(n->rma);
	close_fid(n->remote);
	close_fid(n->tx_cq);
	close_fid(n->rx_cq);
	close_fid(n->av);
	close_fid(n->domain);
	close_fid(n->fabric);
	fi_freeinfo(n->info);
	memset(n, 0, sizeof(*n));
}

static inline void nodes_close(struct node n[2])
{
	ordered[0] = ordered[1] = NULL;
	node_close(&n[0]);
	node_close(&n[1]);
}

#endif
