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
#define IGNORED_TX_CAPS ((ETA_CAPS_RX_RDM | ETA_CAPS_COMM) & ~ETA_CAPS_TX)
#define IGNORED_RX_CAPS ((ETA_CAPS_TX | ETA_CAPS_COMM) & ~ETA_CAPS_RX)

static uint64_t rx_caps(enum fi_ep_type type)
{
	return type == FI_EP_RDM ? ETA_CAPS_RX_RDM : ETA_CAPS_RX;
}

static uint64_t all_caps(enum fi_ep_type type)
{
	return ETA_CAPS_TX | rx_caps(type) | ETA_CAPS_COMM;
}

/*
 * What was asked for, with both directions unless one was named. An application that names nothing is
 * told of all; but for FI_SOURCE_ERR, by which messages of strangers become errors.
 */
static uint64_t choose_caps(enum fi_ep_type type, const struct fi_info *hints)
{
	uint64_t caps = hints ? hints->caps & all_caps(type) : 0;

	if (!(caps & ~ETA_CAPS_COMM))
		return all_caps(type) & ~FI_SOURCE_ERR;
	if (!(caps & (ETA_CAPS_KINDS | FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ |
		      FI_REMOTE_WRITE)))
		caps |= ETA_CAPS_KINDS;
	if ((caps & (FI_MSG | FI_TAGGED)) && !(caps & (FI_SEND | FI_RECV)))
		caps |= FI_SEND | FI_RECV;
	if ((caps & (FI_RMA | FI_ATOMIC)) &&
	    !(caps & (FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)))
		caps |= FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
	return caps | ETA_CAPS_COMM;
}

/*
 * Operations that answers of the peer end may end behind later ones that need none, receives with tags
 * end as they are matched, and a large message may end behind a small one that came later.
 */
#define TX_COMP_ORDER FI_ORDER_NONE
#define RX_COMP_ORDER FI_ORDER_DATA

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
	       !beyond_bits("tx_attr.msg_order", a->msg_order, ETA_MSG_ORDER) &&
	       !beyond_bits("tx_attr.comp_order", a->comp_order, TX_COMP_ORDER | FI_ORDER_DATA) &&
	       !beyond("tx_attr.inject_size", a->inject_size, ETA_INJECT_SIZE) &&
	       !beyond("tx_attr.size", a->size, ETA_QUEUE_MAX) &&
	       !beyond("tx_attr.iov_limit", a->iov_limit, ETA_IOV_LIMIT) &&
	       !beyond("tx_attr.rma_iov_limit", a->rma_iov_limit, ETA_RMA_IOV_LIMIT);
}

static bool check_rx(enum fi_ep_type type, const struct fi_rx_attr *a)
{
	return !beyond_bits("rx_attr.caps", a->caps & ~IGNORED_RX_CAPS, rx_caps(type)) &&
	       !beyond_bits("rx_attr.op_flags", a->op_flags, ETA_RX_OP_FLAGS) &&
	       !beyond_bits("rx_attr.msg_order", a->msg_order, ETA_MSG_ORDER) &&
	       !beyond_bits("rx_attr.comp_order", a->comp_order, RX_COMP_ORDER) &&
	       !beyond("rx_attr.total_buffered_recv", a->total_buffered_recv, ETA_BUFFERED) &&
	       !beyond("rx_attr.size", a->size, ETA_QUEUE_MAX) &&
	       !beyond("rx_attr.iov_limit", a->iov_limit, ETA_IOV_LIMIT);
}

static uint32_t protocol(enum fi_ep_type type, bool rdma)
{
	if (rdma)
		return type == FI_EP_RDM ? ETA_PROTO_ROCE_RDM : ETA_PROTO_ROCE;
	return type == FI_EP_RDM ? FI_PROTO_IWARP_RDM : FI_PROTO_IWARP;
}

static bool is_count(size_t contexts)
{
	return contexts <= 1 || contexts == FI_SHARED_CONTEXT;
}

static bool check_ep(uint32_t version, enum fi_ep_type type, bool rdma, const struct fi_ep_attr *a)
{
	return (a->type == FI_EP_UNSPEC || a->type == type) &&
	       !refused(a->protocol != FI_PROTO_UNSPEC && a->protocol != protocol(type, rdma),
			"ep_attr.protocol") &&
	       !beyond("ep_attr.protocol_version", a->protocol_version, 1) &&
	       !beyond("ep_attr.max_msg_size", a->max_msg_size, ETA_MAX_MSG) &&
	       !beyond("ep_attr.msg_prefix_size", a->msg_prefix_size, 0) &&
	       !beyond("ep_attr.max_order_raw_size", a->max_order_raw_size, ETA_MAX_MSG) &&
	       !beyond("ep_attr.max_order_war_size", a->max_order_war_size, 0) &&
	       !beyond("ep_attr.max_order_waw_size", a->max_order_waw_size, ETA_MAX_MSG) &&
	       !refused(!is_count(a->tx_ctx_cnt), "ep_attr.tx_ctx_cnt") &&
	       !refused(!is_count(a->rx_ctx_cnt), "ep_attr.rx_ctx_cnt") &&
	       (version < API_1_5 ||
		!beyond("ep_attr.auth_key_size", a->auth_key_size, PPE_AUTH_MAX));
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

/* Keys are the application's choice, unless it or the user wants ones that cannot be guessed. */
static bool has_auth_key(const struct fi_info *hints)
{
	return (hints->domain_attr && hints->domain_attr->auth_key &&
		hints->domain_attr->auth_key_size) ||
	       (hints->ep_attr && hints->ep_attr->auth_key && hints->ep_attr->auth_key_size);
}

static bool check_keys(uint32_t version, const struct fi_info *hints, uint64_t caps)
{
	int mode = hints->domain_attr ? hints->domain_attr->mr_mode : 0;

	if (version < API_1_5 || mode == ETA_MR_BASIC || mode == ETA_MR_SCALABLE)
		return true;
	return !refused(!(mode & FI_MR_PROV_KEY) && (caps & (FI_RMA | FI_ATOMIC)) &&
				eta_param_bool("mr_prov_key", false),
			"domain_attr.mr_mode without FI_MR_PROV_KEY");
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
	return !beyond("domain_attr.cntr_cnt", a->cntr_cnt, ETA_CNTR_CNT) &&
	       !beyond("domain_attr.mr_iov_limit", a->mr_iov_limit, PPE_MR_IOV_MAX) &&
	       !beyond("domain_attr.mr_cnt", a->mr_cnt, ETA_MR_CNT) &&
	       !beyond("domain_attr.max_err_data", a->max_err_data, ETA_CM_DATA_SIZE) &&
	       !beyond("domain_attr.auth_key_size", a->auth_key_size, PPE_AUTH_MAX) &&
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
	       !beyond("domain_attr.cq_data_size", a->cq_data_size, ETA_CQ_DATA_SIZE) &&
	       (version < API_1_5 || check_domain_1_5(a));
}

static bool check_fabric(const struct fi_fabric_attr *a)
{
	return !beyond("fabric_attr.prov_version", a->prov_version, eta_prov.version);
}

int eta_attr_check(uint32_t version, enum fi_ep_type type, bool rdma, const struct fi_info *hints)
{
	uint64_t caps = choose_caps(type, hints);

	if (!hints)
		return 0;
	if ((hints->ep_attr && !check_ep(version, type, rdma, hints->ep_attr)) ||
	    beyond_bits("caps", hints->caps, all_caps(type)) ||
	    refused(eta_addr_family(hints->addr_format) < 0, "addr_format") ||
	    (hints->tx_attr && !check_tx(hints->tx_attr)) ||
	    (hints->rx_attr && !check_rx(type, hints->rx_attr)) ||
	    (hints->domain_attr && !check_domain(version, hints->domain_attr)) ||
	    !check_keys(version, hints, caps) ||
	    (hints->fabric_attr && !check_fabric(hints->fabric_attr)))
		return -FI_ENODATA;
	return 0;
}

/* ------------------------------------------------------------------------------- filling */

static size_t choose_size(size_t asked, const char *param)
{
	return asked ? asked : eta_param_size(param, ETA_QUEUE_DEFAULT, 1, ETA_QUEUE_MAX);
}

/* More than is usual only for those who ask: others may size by it what they seldom use. */
static size_t choose_iov(size_t asked)
{
	return asked > ETA_IOV_USUAL ? asked : ETA_IOV_USUAL;
}

/*
 * Programs that spread over all that looks alike (Open MPI 4 compares these sizes, and not the fabrics'
 * names) must not take devices and interfaces for alternatives to each other: who uses one does not
 * reach who uses the other.
 */
static size_t choose_inject(size_t asked, bool rdma)
{
	return rdma && asked <= ETA_INJECT_RDMA ? ETA_INJECT_RDMA : ETA_INJECT_SIZE;
}

static void fill_tx(const struct fi_tx_attr *hints, uint64_t caps, bool rdma, struct fi_tx_attr *a)
{
	a->caps = caps & ETA_CAPS_TX;
	a->op_flags = hints ? hints->op_flags & ETA_TX_OP_FLAGS : 0;
	a->msg_order = ETA_MSG_ORDER;
	a->comp_order = TX_COMP_ORDER;
	a->inject_size = choose_inject(hints ? hints->inject_size : 0, rdma);
	a->size = choose_size(hints ? hints->size : 0, "tx_size");
	a->iov_limit = choose_iov(hints ? hints->iov_limit : 0);
	a->rma_iov_limit = ETA_RMA_IOV_LIMIT;
}

static void fill_rx(enum fi_ep_type type, const struct fi_rx_attr *hints, uint64_t caps,
		    struct fi_rx_attr *a)
{
	a->caps = caps & rx_caps(type);
	a->op_flags = hints ? hints->op_flags & ETA_RX_OP_FLAGS : 0;
	a->msg_order = ETA_MSG_ORDER;
	a->comp_order = RX_COMP_ORDER;
	a->total_buffered_recv = ETA_BUFFERED;
	a->size = choose_size(hints ? hints->size : 0, "rx_size");
	a->iov_limit = choose_iov(hints ? hints->iov_limit : 0);
}

static size_t choose_contexts(size_t asked)
{
	return asked == FI_SHARED_CONTEXT ? FI_SHARED_CONTEXT : 1;
}

/* fi_freeinfo frees keys. */
static int copy_key(const uint8_t *key, size_t len, uint8_t **out, size_t *out_len)
{
	if (!key || !len)
		return 0;
	*out = malloc(len);
	if (!*out)
		return -FI_ENOMEM;
	memcpy(*out, key, len);
	*out_len = len;
	return 0;
}

static int fill_ep(uint32_t version, enum fi_ep_type type, bool rdma,
		   const struct fi_ep_attr *hints, struct fi_ep_attr *a)
{
	a->type = type;
	a->protocol = protocol(type, rdma);
	a->protocol_version = 1;
	a->max_msg_size = ETA_MAX_MSG;
	a->max_order_raw_size = ETA_MAX_MSG;
	a->max_order_waw_size = ETA_MAX_MSG;
	/* every bit of a tag is matched, so any partition of the bits will do */
	a->mem_tag_format =
		hints && hints->mem_tag_format ? hints->mem_tag_format : ETA_TAG_GENERIC;
	a->tx_ctx_cnt = choose_contexts(hints ? hints->tx_ctx_cnt : 0);
	a->rx_ctx_cnt = choose_contexts(hints ? hints->rx_ctx_cnt : 0);
	if (!hints || version < API_1_5)
		return 0;
	return copy_key(hints->auth_key, hints->auth_key_size, &a->auth_key, &a->auth_key_size);
}

/* Before 1.5, "scalable" is the model with offsets and the application's own keys: that of mode 0. */
static int choose_mr_mode(uint32_t version, const struct fi_info *hints)
{
	int asked = hints && hints->domain_attr ? hints->domain_attr->mr_mode : 0;
	bool chosen = eta_param_bool("mr_prov_key", false);

	if (asked == ETA_MR_BASIC || asked == ETA_MR_SCALABLE)
		return asked;
	if (version < API_1_5)
		return ETA_MR_SCALABLE;
	if (!hints)
		return chosen ? FI_MR_PROV_KEY : 0;
	return chosen || has_auth_key(hints) ? asked & FI_MR_PROV_KEY : 0;
}

/* Those who offer to help, in whatever way, have their offer taken, though it is needed only inline. */
static enum fi_progress choose_progress(enum fi_progress asked)
{
	if (asked)
		return asked;
	return is_inline() ? FI_PROGRESS_MANUAL : FI_PROGRESS_AUTO;
}

static void fill_domain_limits(struct fi_domain_attr *a)
{
	a->resource_mgmt = FI_RM_ENABLED;
	a->mr_key_size = ETA_MR_KEY_SIZE;
	a->cq_data_size = ETA_CQ_DATA_SIZE;
	a->cq_cnt = ETA_CQ_CNT;
	a->cntr_cnt = ETA_CNTR_CNT;
	a->ep_cnt = ETA_EP_CNT;
	a->tx_ctx_cnt = ETA_EP_CNT;
	a->rx_ctx_cnt = ETA_EP_CNT;
	a->max_ep_tx_ctx = 1;
	a->max_ep_rx_ctx = 1;
	a->max_ep_stx_ctx = ETA_EP_CNT;
	a->max_ep_srx_ctx = ETA_EP_CNT;
	a->mr_iov_limit = PPE_MR_IOV_MAX;
	a->mr_cnt = ETA_MR_CNT;
	a->max_err_data = ETA_CM_DATA_SIZE;
	a->caps = ETA_CAPS_COMM;
}

static int fill_domain(uint32_t version, const struct fi_info *hints, struct fi_domain_attr *a)
{
	const struct fi_domain_attr *h = hints ? hints->domain_attr : NULL;

	fill_domain_limits(a);
	a->threading = h && h->threading ? h->threading : FI_THREAD_SAFE;
	a->control_progress = choose_progress(h ? h->control_progress : 0);
	a->data_progress = choose_progress(h ? h->data_progress : 0);
	/* either: applications that are told of a table may assume numbers that they never got */
	a->av_type = h ? h->av_type : FI_AV_UNSPEC;
	a->mr_mode = choose_mr_mode(version, hints);
	if (version < API_1_5)
		return 0;
	a->auth_key_size = PPE_AUTH_MAX;
	return h ? copy_key(h->auth_key, h->auth_key_size, &a->auth_key, &a->auth_key_size) : 0;
}

int eta_attr_fill(uint32_t version, enum fi_ep_type type, bool rdma, const struct fi_info *hints,
		  struct fi_info *info)
{
	int ret;

	info->caps = choose_caps(type, hints);
	info->handle = hints && type == FI_EP_MSG ? hints->handle : NULL;
	fill_tx(hints ? hints->tx_attr : NULL, info->caps, rdma, info->tx_attr);
	fill_rx(type, hints ? hints->rx_attr : NULL, info->caps, info->rx_attr);
	ret = fill_ep(version, type, rdma, hints ? hints->ep_attr : NULL, info->ep_attr);
	return ret ? ret : fill_domain(version, hints, info->domain_attr);
}
