/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cntr.c - fid_cntr: how many operations have ended. The engine counts; here it is read. */
#include <stdlib.h>

#include "eta.h"
#include "nosys.h"

static struct eta_cntr *cntr_of(struct fid_cntr *fid)
{
	return eta_container(fid, struct eta_cntr, fid);
}

struct eta_cntr *eta_cntr_of(struct eta_domain *domain, struct fid_cntr *fid)
{
	struct eta_cntr *c;

	if (!fid || fid->fid.fclass != FI_CLASS_CNTR)
		return NULL;
	c = cntr_of(fid);
	return c->domain == domain ? c : NULL;
}

void eta_cntr_progress(struct eta_cntr *c)
{
	if (c->run)
		ppe_evq_read(c->run, NULL, 0);
}

static uint64_t cntr_read(struct fid_cntr *fid)
{
	struct eta_cntr *c = cntr_of(fid);

	eta_cntr_progress(c);
	return ppe_cntr_value(c->ppe);
}

static uint64_t cntr_readerr(struct fid_cntr *fid)
{
	struct eta_cntr *c = cntr_of(fid);

	eta_cntr_progress(c);
	return ppe_cntr_errors(c->ppe);
}

static int cntr_add(struct fid_cntr *fid, uint64_t value)
{
	ppe_cntr_add(cntr_of(fid)->ppe, value, 0);
	return 0;
}

static int cntr_set(struct fid_cntr *fid, uint64_t value)
{
	ppe_cntr_set(cntr_of(fid)->ppe, value);
	return 0;
}

static int cntr_adderr(struct fid_cntr *fid, uint64_t value)
{
	ppe_cntr_add(cntr_of(fid)->ppe, 0, value);
	return 0;
}

static int cntr_seterr(struct fid_cntr *fid, uint64_t value)
{
	ppe_cntr_set_errors(cntr_of(fid)->ppe, value);
	return 0;
}

/* Whatever the wait object: it only says how others may wait. */
static int cntr_wait(struct fid_cntr *fid, uint64_t threshold, int timeout)
{
	int64_t left = timeout < 0 ? -1 : timeout * INT64_C(1000000);
	int ret = ppe_cntr_wait(cntr_of(fid)->ppe, threshold, left);

	return ret == -EIO ? -FI_EAVAIL : ret;
}

int eta_cntr_arm(struct eta_cntr *c)
{
	if (c->wait_obj == FI_WAIT_NONE)
		return -FI_EINVAL;
	return ppe_evq_arm(ppe_cntr_evq(c->ppe));
}

static int cntr_control(struct fid *fid, int command, void *arg)
{
	struct eta_cntr *c = eta_container(fid, struct eta_cntr, fid.fid);

	if (!arg)
		return -FI_EINVAL;
	switch (command) {
	case FI_GETWAIT:
		return c->wait_obj == FI_WAIT_FD ? ppe_evq_fd(ppe_cntr_evq(c->ppe), arg)
						 : -FI_ENODATA;
	case FI_GETWAITOBJ:
		*(enum fi_wait_obj *)arg = c->wait_obj;
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

/* ------------------------------------------------------------------------------- the object */

static void list_enter(struct eta_cntr *c)
{
	struct eta_domain *d = c->domain;

	pthread_mutex_lock(&d->lock);
	c->next = d->cntrs;
	d->cntrs = c;
	pthread_mutex_unlock(&d->lock);
}

static void list_leave(struct eta_cntr *c)
{
	struct eta_domain *d = c->domain;
	struct eta_cntr **at;

	pthread_mutex_lock(&d->lock);
	for (at = &d->cntrs; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	pthread_mutex_unlock(&d->lock);
}

void eta_cntr_flush_all(struct eta_domain *d)
{
	pthread_mutex_lock(&d->lock);
	for (struct eta_cntr *c = d->cntrs; c; c = c->next)
		ppe_cntr_flush(c->ppe);
	pthread_mutex_unlock(&d->lock);
}

/* What still waits for it, or is to be counted by it, keeps it open. */
static int cntr_close(struct fid *fid)
{
	struct eta_cntr *c = eta_container(fid, struct eta_cntr, fid.fid);
	int ret;

	if (atomic_load(&c->refs))
		return -FI_EBUSY;
	list_leave(c);
	ret = ppe_cntr_destroy(c->ppe);
	if (ret) {
		list_enter(c);
		return ret;
	}
	atomic_fetch_sub(&c->domain->refs, 1);
	free(c);
	return 0;
}

static ETA_OPS(fi_ops) cntr_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = cntr_close,
			.bind = eta_no_bind,
			.control = cntr_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_cntr) cntr_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_cntr),
			.read = cntr_read,
			.readerr = cntr_readerr,
			.add = cntr_add,
			.set = cntr_set,
			.wait = cntr_wait,
			.adderr = cntr_adderr,
			.seterr = cntr_seterr,
		},
};

static int check_attr(const struct fi_cntr_attr *attr)
{
	if (attr->flags || attr->events != FI_CNTR_EVENTS_COMP)
		return -FI_EINVAL;
	return eta_wait_obj_check(attr->wait_obj);
}

int eta_cntr_open(struct fid_domain *domain, struct fi_cntr_attr *attr, struct fid_cntr **fid,
		  void *context)
{
	struct eta_domain *d = eta_domain_of(domain);
	struct fi_cntr_attr usual = { .wait_obj = FI_WAIT_UNSPEC };
	struct eta_cntr *c;
	int ret;

	if (!attr)
		attr = &usual;
	ret = check_attr(attr);
	if (ret)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -FI_ENOMEM;
	ret = ppe_cntr_create(d->fabric->ual, &c->ppe);
	if (ret) {
		free(c);
		return ret;
	}
	c->domain = d;
	c->wait_obj = attr->wait_obj;
	if (ppe_ual_placement(d->fabric->ual) != PPE_DEDICATED)
		c->run = ppe_cntr_evq(c->ppe);
	c->fid.fid.fclass = FI_CLASS_CNTR;
	c->fid.fid.context = context;
	c->fid.fid.ops = ETA_OPS_PTR(fi_ops, cntr_fid_ops);
	c->fid.ops = ETA_OPS_PTR(fi_ops_cntr, cntr_ops);
	atomic_fetch_add(&d->refs, 1);
	list_enter(c);
	*fid = &c->fid;
	return 0;
}
