/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* poll.c - fid_poll: asks several queues and counters at once. */
#include <stdlib.h>

#include "eta.h"
#include "nosys.h"

struct member {
	struct fid *fid;
	uint64_t value, errors; /* of a counter, when it was last told of */
};

struct eta_poll {
	struct fid_poll fid;
	struct eta_domain *domain;
	pthread_mutex_t lock; /* what follows */
	struct member *members;
	unsigned count;
};

static struct eta_poll *poll_of(struct fid_poll *fid)
{
	return eta_container(fid, struct eta_poll, fid);
}

/* Members stay open while they are members. NULL: nothing that can be polled. */
static atomic_int *member_refs(struct fid *fid)
{
	switch (fid->fclass) {
	case FI_CLASS_CQ:
		return &eta_container(fid, struct eta_cq, fid.fid)->refs;
	case FI_CLASS_CNTR:
		return &eta_container(fid, struct eta_cntr, fid.fid)->refs;
	case FI_CLASS_EQ:
		return &eta_container(fid, struct eta_eq, fid.fid)->refs;
	default:
		return NULL;
	}
}

static bool same_domain(const struct eta_poll *p, struct fid *fid)
{
	switch (fid->fclass) {
	case FI_CLASS_CQ:
		return eta_container(fid, struct eta_cq, fid.fid)->domain == p->domain;
	case FI_CLASS_CNTR:
		return eta_container(fid, struct eta_cntr, fid.fid)->domain == p->domain;
	default:
		return eta_container(fid, struct eta_eq, fid.fid)->fabric == p->domain->fabric;
	}
}

static bool cntr_changed(struct eta_cntr *c, struct member *m)
{
	uint64_t value, errors;
	bool changed;

	eta_cntr_progress(c);
	value = ppe_cntr_value(c->ppe);
	errors = ppe_cntr_errors(c->ppe);
	changed = value != m->value || errors != m->errors;
	m->value = value;
	m->errors = errors;
	return changed;
}

static bool is_ready(struct member *m)
{
	switch (m->fid->fclass) {
	case FI_CLASS_CQ:
		return eta_cq_ready(eta_container(m->fid, struct eta_cq, fid.fid));
	case FI_CLASS_CNTR:
		return cntr_changed(eta_container(m->fid, struct eta_cntr, fid.fid), m);
	default:
		return eta_eq_ready(eta_container(m->fid, struct eta_eq, fid.fid));
	}
}

static int poll_poll(struct fid_poll *fid, void **context, int count)
{
	struct eta_poll *p = poll_of(fid);
	int n = 0;

	if (count < 0 || (count && !context))
		return -FI_EINVAL;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->count && n < count; i++)
		if (is_ready(&p->members[i]))
			context[n++] = p->members[i].fid->context;
	pthread_mutex_unlock(&p->lock);
	return n;
}

static struct member *find(struct eta_poll *p, const struct fid *fid)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->members[i].fid == fid)
			return &p->members[i];
	return NULL;
}

static int add_locked(struct eta_poll *p, struct fid *fid)
{
	struct member *more, *m;

	if (find(p, fid))
		return -FI_EINVAL;
	more = realloc(p->members, (p->count + 1) * sizeof(*more));
	if (!more)
		return -FI_ENOMEM;
	p->members = more;
	m = &more[p->count++];
	*m = (struct member){ .fid = fid };
	if (fid->fclass == FI_CLASS_CNTR)
		cntr_changed(eta_container(fid, struct eta_cntr, fid.fid), m);
	atomic_fetch_add(member_refs(fid), 1);
	return 0;
}

static int poll_add(struct fid_poll *fid, struct fid *event_fid, uint64_t flags)
{
	struct eta_poll *p = poll_of(fid);
	int ret;

	if (!event_fid || flags || !member_refs(event_fid))
		return -FI_EINVAL;
	if (!same_domain(p, event_fid))
		return -FI_EDOMAIN;
	pthread_mutex_lock(&p->lock);
	ret = add_locked(p, event_fid);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

static int poll_del(struct fid_poll *fid, struct fid *event_fid, uint64_t flags)
{
	struct eta_poll *p = poll_of(fid);
	struct member *m;

	if (!event_fid || flags)
		return -FI_EINVAL;
	pthread_mutex_lock(&p->lock);
	m = find(p, event_fid);
	if (m) {
		atomic_fetch_sub(member_refs(event_fid), 1);
		*m = p->members[--p->count];
	}
	pthread_mutex_unlock(&p->lock);
	return m ? 0 : -FI_EINVAL;
}

static int poll_close(struct fid *fid)
{
	struct eta_poll *p = eta_container(fid, struct eta_poll, fid.fid);

	if (p->count)
		return -FI_EBUSY;
	atomic_fetch_sub(&p->domain->refs, 1);
	pthread_mutex_destroy(&p->lock);
	free(p->members);
	free(p);
	return 0;
}

static ETA_OPS(fi_ops) poll_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = poll_close,
			.bind = eta_no_bind,
			.control = eta_no_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_poll) poll_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_poll),
			.poll = poll_poll,
			.poll_add = poll_add,
			.poll_del = poll_del,
		},
};

int eta_poll_open(struct fid_domain *domain, struct fi_poll_attr *attr, struct fid_poll **pollset)
{
	struct eta_domain *d = eta_domain_of(domain);
	struct eta_poll *p;

	if (attr && attr->flags)
		return -FI_EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -FI_ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	p->domain = d;
	p->fid.fid.fclass = FI_CLASS_POLL;
	p->fid.fid.ops = ETA_OPS_PTR(fi_ops, poll_fid_ops);
	p->fid.ops = ETA_OPS_PTR(fi_ops_poll, poll_ops);
	atomic_fetch_add(&d->refs, 1);
	*pollset = &p->fid;
	return 0;
}
