/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* fabric.c - fid_fabric: one engine, and fi_trywait, which asks it for several queues. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

static struct eta_fabric *open_fabrics;
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

static void list_enter(struct eta_fabric *f)
{
	pthread_mutex_lock(&open_lock);
	f->next = open_fabrics;
	open_fabrics = f;
	pthread_mutex_unlock(&open_lock);
}

static void list_leave(struct eta_fabric *f)
{
	struct eta_fabric **at;

	pthread_mutex_lock(&open_lock);
	for (at = &open_fabrics; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	pthread_mutex_unlock(&open_lock);
}

/*
 * Other threads may still be inside calls, and destructors that come later may still close their
 * objects; so nothing is freed here. What must not outlive libfabric is the engines' threads: they
 * would call its log.
 */
void eta_fabric_cleanup(void)
{
	pthread_mutex_lock(&open_lock);
	for (struct eta_fabric *f = open_fabrics; f; f = f->next)
		ppe_ual_stop(f->ual);
	pthread_mutex_unlock(&open_lock);
}

static int fid_fabric_close(struct fid *fid)
{
	struct eta_fabric *f = eta_container(fid, struct eta_fabric, fid.fid);

	if (atomic_load(&f->refs))
		return -FI_EBUSY;
	list_leave(f);
	eta_connreq_drop_all(f);
	ppe_ual_close(f->ual);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

static int arm(struct fid *fid)
{
	switch (fid->fclass) {
	case FI_CLASS_EQ:
		return eta_eq_arm(eta_container(fid, struct eta_eq, fid.fid));
	case FI_CLASS_CQ:
		return eta_cq_arm(eta_container(fid, struct eta_cq, fid.fid));
	case FI_CLASS_CNTR:
		return eta_cntr_arm(eta_container(fid, struct eta_cntr, fid.fid));
	default:
		return -FI_EINVAL;
	}
}

static int fabric_trywait(struct fid_fabric *fid, struct fid **fids, int count)
{
	(void)fid;
	for (int i = 0; i < count; i++) {
		int ret = arm(fids[i]);

		if (ret)
			return ret;
	}
	return 0;
}

static ETA_OPS(fi_ops) fabric_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = fid_fabric_close,
			.bind = eta_no_bind,
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_fabric) fabric_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_fabric),
			.domain = eta_domain_open,
			.passive_ep = eta_pep_open,
			.eq_open = eta_eq_open,
			.wait_open = eta_no_wait_open,
			.trywait = fabric_trywait,
			.domain2 = eta_no_domain2,
		},
};

static void engine_log(void *arg, int level, const char *text)
{
	(void)arg;
	if (level == FAB_LOG_WARN)
		eta_warn(EP_CTRL, "%s\n", text);
	else
		FI_LOG(&eta_prov, level == FAB_LOG_INFO ? FI_LOG_INFO : FI_LOG_DEBUG,
		       FI_LOG_EP_CTRL, "%s\n", text);
}

/* A fabric of devices is called as the engine calls it; the names of others say nothing of the wire. */
static int engine_open(const char *name, struct ppe_ual **ual)
{
	struct ppe_ual_attr attr = {
		.placement = eta_param_placement(),
		.fabric = eta_device_fabric(name) ? name : NULL,
		.max_dtis = ETA_EP_CNT,
		.max_evqs = ETA_EVQ_CNT,
		.msg =
			{
				.fpdu_max = eta_param_size("fpdu_size", 0, 512, 65535),
				.crc = eta_param_bool("crc", false),
				.handshake_ns = eta_param_size("handshake_timeout", 0, 1, 3600000) *
						1000000,
			},
		.log = engine_log,
	};
	int ret = ppe_ual_open(&attr, ual);

	if (ret)
		eta_warn(FABRIC, "the engine does not start (placement %s, fabric %s): %s\n",
			 attr.placement ? attr.placement : "by default", name ? name : "unnamed",
			 fi_strerror(-ret));
	return ret;
}

int eta_fabric_open(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context)
{
	struct ppe_ual_info engine;
	struct eta_fabric *f;
	int ret;

	if (!attr || !fabric)
		return -FI_EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -FI_ENOMEM;
	ret = engine_open(attr->name, &f->ual);
	if (ret) {
		free(f);
		return ret;
	}
	ppe_ual_info(f->ual, &engine);
	f->rdma = eta_device_fabric(engine.fabric);
	/* whatever it was called, $ETA_FABRIC may have made it one of all devices */
	snprintf(f->name, sizeof(f->name), "%s",
		 f->rdma && !eta_device_fabric(attr->name) ? ETA_ROCE
		 : attr->name                              ? attr->name
							   : "");
	pthread_mutex_init(&f->lock, NULL);
	f->fid.fid.fclass = FI_CLASS_FABRIC;
	f->fid.fid.context = context;
	f->fid.fid.ops = ETA_OPS_PTR(fi_ops, fabric_fid_ops);
	f->fid.ops = ETA_OPS_PTR(fi_ops_fabric, fabric_ops);
	f->fid.api_version = attr->api_version;
	list_enter(f);
	*fabric = &f->fid;
	return 0;
}
