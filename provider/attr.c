/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * attr.c - what is offered, apart from addresses: hints are checked against it, and what fi_getinfo
 * returns is filled from it. Nothing is returned because it was asked for: values come from here, or
 * are a choice among what is here.
 */
#include <stdlib.h>
#include <string.h>

#include "eta.h"

#define API_1_5 FI_VERSION(1, 5)

/* Rights of the other direction, which older applications put into both. */
#define IGNORED_TX_CAPS                                                                            \
	(FI_RECV | FI_REMOTE_READ | FI_REMOTE_WRITE | FI_DIRECTED_RECV | FI_MULTI_RECV |           \
	 FI_SOURCE | FI_SOURCE_ERR | FI_RMA_EVENT | ETA_CAPS_COMM)
#define IGNORED_RX_CAPS (FI_SEND | FI_READ | FI_WRITE | FI_FENCE | ETA_CAPS_COMM)

/* -------------------------------------------------------------------------------- checks */

/* True, and said, when an application asks for what is not offered. */
static bool refused(bool no, const char *what)
{
	if (no)
		eta_info(CORE, "hints: %s is not offered\n", what);
	return no;
}

static bool beyond_bits(const char *what, uint64_t asked, uint64_t offered)
{
	if (asked & ~offered)
		eta_info(CORE, "hints: %s 0x%llx is not among 0x%llx\n", what,
			 (unsigned long long)(asked & ~offered), (unsigned long long)offered);
	return asked & ~offered;
}

static bool beyond(const char *what, size_t asked, size_t offered)
{
	if (asked > offered)
		eta_info(CORE, "hints: %s %zu is more than %zu\n", what, asked, offered);
	return asked > offered;
}

static bool check_tx(const struct fi_tx_attr *a)
{
	return !beyond_bits("tx_attr.caps", a->caps & ~IGNORED_TX_CAPS, ETA_CAPS_TX) &&
	       !beyond_bits("tx_attr.op_flags", a->op_flags, ETA_TX_OP_FLAGS) &&
	       !beyond_bits("tx_attr.msg_order", a->msg_order, FI_ORDER_SAS) &&
	       !beyond_bits("tx_attr.comp_order", a->comp_order, ETA_ORDER_STRICT) &&
	       !beyond("tx_attr.inject_size", a->inject_size, ETA_INJECT_SIZE) &&
	       !beyond("tx_attr.size", a->size, ETA_QUEUE_MAX) &&
	       !beyond("tx_attr.iov_limit", a->iov_limit, ETA_IOV_LIMIT) &&
	       !beyond("tx_attr.rma_iov_limit", a->rma_iov_limit, 0);
}

static bool check_rx(const struct fi_rx_attr *a)
{
	return !beyond_bits("rx_attr.caps", a->caps & ~IGNORED_RX_CAPS, ETA_CAPS_RX) &&
	       !beyond_bits("rx_attr.op_flags", a->op_flags, ETA_RX_OP_FLAGS) &&
	       !beyond_bits("rx_attr.msg_order", a->msg_order, FI_ORDER_SAS) &&
	       !beyond_bits("rx_attr.comp_order", a->comp_order, ETA_ORDER_STRICT) &&
	       !beyond("rx_attr.total_buffered_recv", a->total_buffered_recv, 0) &&
	       !beyond("rx_attr.size", a->size, ETA_QUEUE_MAX) &&
	       !beyond("rx_attr.iov_limit", a->iov_limit, ETA_IOV_LIMIT);
}

static bool check_ep(const struct fi_ep_attr *a)
{
	return !refused(a->type != FI_EP_UNSPEC && a->type != FI_EP_MSG, "ep_attr.type") &&
	       !refused(a->protocol != FI_PROTO_UNSPEC && a->protocol != FI_PROTO_IWARP,
			"ep_attr.protocol") &&
	       !beyond("ep_attr.protocol_version", a->protocol_version, 1) &&
	       !beyond("ep_attr.max_msg_size", a->max_msg_size, ETA_MAX_MSG) &&
	       !beyond("ep_attr.msg_prefix_size", a->msg_prefix_size, 0) &&
	       !beyond("ep_attr.tx_ctx_cnt", a->tx_ctx_cnt, 1) &&
	       !beyond("ep_attr.rx_ctx_cnt", a->rx_ctx_cnt, 1) &&
	       !beyond("ep_attr.auth_key_size", a->auth_key_size, 0);
}

/* The models of before 1.5 are numbers, and exclude the bits that came with it. */
static bool check_mr_mode(uint32_t version, int mode)
{
	int old = mode & (ETA_MR_BASIC | ETA_MR_SCALABLE);

	if (version < API_1_5)
		return !refused(mode & ~old || old == (ETA_MR_BASIC | ETA_MR_SCALABLE),
				"domain_attr.mr_mode");
	return !refused(old && mode != ETA_MR_BASIC && mode != ETA_MR_SCALABLE,
			"domain_attr.mr_mode");
}

static bool is_inline(void)
{
	const char *placement = eta_param_placement();

	if (!placement)
		placement = getenv("ETA_PPE");
	return placement && !strcmp(placement, "inline");
}

static bool check_progress(const char *what, int asked)
{
	if (asked == FI_PROGRESS_AUTO)
		return !refused(is_inline(), what);
	return !refused(asked != FI_PROGRESS_UNSPEC && asked != FI_PROGRESS_MANUAL &&
				asked != ETA_PROGRESS_UNIFIED,
			what);
}

/* Members that applications older than 1.5 cannot have meant. */
static bool check_domain_1_5(const struct fi_domain_attr *a)
{
	return !beyond("domain_attr.cntr_cnt", a->cntr_cnt, 0) &&
	       !beyond("domain_attr.mr_iov_limit", a->mr_iov_limit, 1) &&
	       !beyond("domain_attr.mr_cnt", a->mr_cnt, ETA_MR_CNT) &&
	       !beyond("domain_attr.max_err_data", a->max_err_data, ETA_CM_DATA_SIZE) &&
	       !beyond("domain_attr.auth_key_size", a->auth_key_size, 0) &&
	       !beyond_bits("domain_attr.caps", a->caps, ETA_CAPS_COMM);
}

static bool check_domain(uint32_t version, const struct fi_domain_attr *a)
{
	return !refused((unsigned)a->threading > FI_THREAD_ENDPOINT, "domain_attr.threading") &&
	       check_progress("domain_attr.control_progress", a->control_progress) &&
	       check_progress("domain_attr.data_progress", a->data_progress) &&
	       !refused((unsigned)a->resource_mgmt > FI_RM_ENABLED, "domain_attr.resource_mgmt") &&
	       !refused((unsigned)a->av_type > FI_AV_TABLE, "domain_attr.av_type") &&
	       check_mr_mode(version, a->mr_mode) &&
	       !beyond("domain_attr.cq_data_size", a->cq_data_size, 0) &&
	       (version < API_1_5 || check_domain_1_5(a));
}

static bool check_fabric(const struct fi_fabric_attr *a)
{
	return !beyond("fabric_attr.prov_version", a->prov_version, ETA_VERSION);
}

int eta_attr_check(uint32_t version, const struct fi_info *hints)
{
	if (!hints)
		return 0;
	if ((hints->ep_attr && !check_ep(hints->ep_attr)) ||
	    beyond_bits("caps", hints->caps, ETA_CAPS) ||
	    refused(eta_addr_family(hints->addr_format) < 0, "addr_format") ||
	    (hints->tx_attr && !check_tx(hints->tx_attr)) ||
	    (hints->rx_attr && !check_rx(hints->rx_attr)) ||
	    (hints->domain_attr && !check_domain(version, hints->domain_attr)) ||
	    (hints->fabric_attr && !check_fabric(hints->fabric_attr)))
		return -FI_ENODATA;
	return 0;
}

/* ------------------------------------------------------------------------------- filling */

/* What was asked for, with both directions unless one was named. */
static uint64_t choose_caps(const struct fi_info *hints)
{
	uint64_t caps = hints ? hints->caps & ETA_CAPS : 0;

	if (!(caps & ~ETA_CAPS_COMM))
		return ETA_CAPS;
	if (!(caps & (FI_SEND | FI_RECV)))
		caps |= FI_SEND | FI_RECV;
	return caps | ETA_CAPS_COMM;
}

static size_t choose_size(size_t asked, const char *param)
{
	return asked ? asked : eta_param_size(param, ETA_QUEUE_DEFAULT, 1, ETA_QUEUE_MAX);
}

static void fill_tx(const struct fi_tx_attr *hints, uint64_t caps, struct fi_tx_attr *a)
{
	a->caps = caps & ETA_CAPS_TX;
	a->op_flags = hints ? hints->op_flags & ETA_TX_OP_FLAGS : 0;
	a->msg_order = FI_ORDER_SAS;
	a->comp_order = ETA_ORDER_STRICT;
	a->inject_size = ETA_INJECT_SIZE;
	a->size = choose_size(hints ? hints->size : 0, "tx_size");
	a->iov_limit = ETA_IOV_LIMIT;
}

static void fill_rx(const struct fi_rx_attr *hints, uint64_t caps, struct fi_rx_attr *a)
{
	a->caps = caps & ETA_CAPS_RX;
	a->op_flags = hints ? hints->op_flags & ETA_RX_OP_FLAGS : 0;
	a->msg_order = FI_ORDER_SAS;
	a->comp_order = ETA_ORDER_STRICT;
	a->size = choose_size(hints ? hints->size : 0, "rx_size");
	a->iov_limit = ETA_IOV_LIMIT;
}

static void fill_ep(struct fi_ep_attr *a)
{
	a->type = FI_EP_MSG;
	a->protocol = FI_PROTO_IWARP;
	a->protocol_version = 1;
	a->max_msg_size = ETA_MAX_MSG;
	a->tx_ctx_cnt = 1;
	a->rx_ctx_cnt = 1;
}

/* Before 1.5, "scalable" is the model with offsets and the application's own keys: that of mode 0. */
static int choose_mr_mode(uint32_t version, const struct fi_domain_attr *hints)
{
	int old = hints ? hints->mr_mode & (ETA_MR_BASIC | ETA_MR_SCALABLE) : 0;

	if (old == ETA_MR_BASIC || old == ETA_MR_SCALABLE)
		return old;
	return version < API_1_5 ? ETA_MR_SCALABLE : 0;
}

/* Those who offer to help, in whatever way, have their offer taken, though it is needed only inline. */
static enum fi_progress choose_progress(enum fi_progress asked)
{
	if (asked)
		return asked;
	return is_inline() ? FI_PROGRESS_MANUAL : FI_PROGRESS_AUTO;
}

static void fill_domain(uint32_t version, const struct fi_domain_attr *hints,
			struct fi_domain_attr *a)
{
	a->threading = hints && hints->threading ? hints->threading : FI_THREAD_SAFE;
	a->control_progress = choose_progress(hints ? hints->control_progress : 0);
	a->data_progress = choose_progress(hints ? hints->data_progress : 0);
	a->resource_mgmt = FI_RM_ENABLED;
	a->av_type = FI_AV_UNSPEC;
	a->mr_mode = choose_mr_mode(version, hints);
	a->mr_key_size = ETA_MR_KEY_SIZE;
	a->cq_cnt = ETA_CQ_CNT;
	a->ep_cnt = ETA_EP_CNT;
	a->tx_ctx_cnt = ETA_EP_CNT;
	a->rx_ctx_cnt = ETA_EP_CNT;
	a->max_ep_tx_ctx = 1;
	a->max_ep_rx_ctx = 1;
	a->mr_iov_limit = 1;
	a->mr_cnt = ETA_MR_CNT;
	a->max_err_data = ETA_CM_DATA_SIZE;
	a->caps = ETA_CAPS_COMM;
}

void eta_attr_fill(uint32_t version, const struct fi_info *hints, struct fi_info *info)
{
	info->caps = choose_caps(hints);
	info->handle = hints ? hints->handle : NULL;
	fill_tx(hints ? hints->tx_attr : NULL, info->caps, info->tx_attr);
	fill_rx(hints ? hints->rx_attr : NULL, info->caps, info->rx_attr);
	fill_ep(info->ep_attr);
	fill_domain(version, hints ? hints->domain_attr : NULL, info->domain_attr);
}
