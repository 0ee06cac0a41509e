/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * trigger.c - operations that wait for a counter: those posted with FI_TRIGGER, and deferred work,
 * which a domain takes. Either is posted at once; it is the engine that lets it wait.
 */
#include "eta.h"
#include "nosys.h"

int eta_trigger_take(struct eta_ep *ep, struct ppe_msg *m)
{
	const struct fi_triggered_context *when = (const void *)(uintptr_t)m->user_tag;
	struct eta_cntr *cntr;

	if (!when)
		return -FI_EINVAL;
	if (when->event_type != FI_TRIGGER_THRESHOLD)
		return -FI_ENOSYS;
	cntr = eta_cntr_of(ep->domain, when->trigger.threshold.cntr);
	if (!cntr)
		return -FI_EINVAL;
	m->flags |= PPE_POST_TRIGGER;
	m->trigger = cntr->ppe;
	m->threshold = when->trigger.threshold.threshold;
	return 0;
}

/* -------------------------------------------------------------------------- deferred work */

/* The endpoint that an operation is for, and the context it is known by; NULL: a counter's. */
static struct fid_ep *work_ep(const struct fi_deferred_work *w, void **context)
{
	switch (w->op_type) {
	case FI_OP_RECV:
	case FI_OP_SEND:
		*context = w->op.msg->msg.context;
		return w->op.msg->ep;
	case FI_OP_TRECV:
	case FI_OP_TSEND:
		*context = w->op.tagged->msg.context;
		return w->op.tagged->ep;
	case FI_OP_READ:
	case FI_OP_WRITE:
		*context = w->op.rma->msg.context;
		return w->op.rma->ep;
	case FI_OP_ATOMIC:
		*context = w->op.atomic->msg.context;
		return w->op.atomic->ep;
	case FI_OP_FETCH_ATOMIC:
		*context = w->op.fetch_atomic->msg.context;
		return w->op.fetch_atomic->ep;
	case FI_OP_COMPARE_ATOMIC:
		*context = w->op.compare_atomic->msg.context;
		return w->op.compare_atomic->ep;
	default:
		return NULL;
	}
}

static ssize_t queue_operation(struct eta_ep *ep, const struct fi_deferred_work *w,
			       const struct eta_defer *d)
{
	switch (w->op_type) {
	case FI_OP_RECV:
		return eta_recvmsg(ep, &w->op.msg->msg, w->op.msg->flags, d);
	case FI_OP_SEND:
		return eta_sendmsg(ep, &w->op.msg->msg, w->op.msg->flags, d);
	case FI_OP_TRECV:
		return eta_trecvmsg(ep, &w->op.tagged->msg, w->op.tagged->flags, d);
	case FI_OP_TSEND:
		return eta_tsendmsg(ep, &w->op.tagged->msg, w->op.tagged->flags, d);
	case FI_OP_READ:
		return eta_rmamsg(ep, PPE_OP_READ, &w->op.rma->msg, w->op.rma->flags, d);
	case FI_OP_WRITE:
		return eta_rmamsg(ep, PPE_OP_WRITE, &w->op.rma->msg, w->op.rma->flags, d);
	case FI_OP_ATOMIC:
		return eta_atomicmsg(ep, PPE_OP_ATOMIC, &w->op.atomic->msg, NULL, NULL,
				     w->op.atomic->flags, d);
	case FI_OP_FETCH_ATOMIC:
		return eta_atomicmsg(ep, PPE_OP_FETCH, &w->op.fetch_atomic->msg, NULL,
				     &w->op.fetch_atomic->fetch, w->op.fetch_atomic->flags, d);
	case FI_OP_COMPARE_ATOMIC:
		return eta_atomicmsg(ep, PPE_OP_COMPARE, &w->op.compare_atomic->msg,
				     &w->op.compare_atomic->compare, &w->op.compare_atomic->fetch,
				     w->op.compare_atomic->flags, d);
	default:
		return -FI_ENOSYS;
	}
}

static int queue_counter(struct eta_domain *dom, const struct fi_deferred_work *w,
			 const struct eta_defer *d)
{
	struct eta_cntr *target = eta_cntr_of(dom, w->op.cntr->cntr);

	if (!target || d->complete)
		return -FI_EINVAL;
	return ppe_cntr_chain(d->trigger, d->threshold, target->ppe, w->op_type == FI_OP_CNTR_SET,
			      w->op.cntr->value, NULL);
}

static int queue_work(struct eta_domain *dom, const struct fi_deferred_work *w)
{
	struct eta_cntr *trigger = eta_cntr_of(dom, w->triggering_cntr), *complete = NULL;
	struct eta_defer d = { .threshold = w->threshold };
	struct fid_ep *fid;
	void *context;

	if (w->completion_cntr) {
		complete = eta_cntr_of(dom, w->completion_cntr);
		if (!complete)
			return -FI_EINVAL;
		d.complete = complete->ppe;
	}
	/* the members of the union are all pointers */
	if (!trigger || !w->op.msg)
		return -FI_EINVAL;
	d.trigger = trigger->ppe;
	if (w->op_type == FI_OP_CNTR_SET || w->op_type == FI_OP_CNTR_ADD)
		return queue_counter(dom, w, &d);
	fid = work_ep(w, &context);
	if (!fid)
		return w->op_type > FI_OP_CNTR_ADD ? -FI_ENOSYS : -FI_EINVAL;
	if (eta_ep_of(fid)->domain != dom)
		return -FI_EDOMAIN;
	return queue_operation(eta_ep_of(fid), w, &d);
}

/* A counter's change cannot be told from others that wait for the same: flushing takes it back. */
static int cancel_work(struct eta_domain *dom, const struct fi_deferred_work *w)
{
	struct fid_ep *fid;
	void *context;
	int ret;

	if (w->op_type == FI_OP_CNTR_SET || w->op_type == FI_OP_CNTR_ADD)
		return -FI_ENOSYS;
	if (!w->op.msg)
		return -FI_EINVAL;
	fid = work_ep(w, &context);
	if (!fid || eta_ep_of(fid)->domain != dom || !eta_ep_of(fid)->dti)
		return -FI_EINVAL;
	ret = ppe_dti_cancel(eta_ep_of(fid)->dti, (uintptr_t)context,
			     PPE_CANCEL_SEND | PPE_CANCEL_RECV);
	return ret < 0 ? ret : 0;
}

static int flush_work(struct eta_domain *dom, const struct fi_deferred_work *w)
{
	struct eta_cntr *cntr;

	if (!w || !w->triggering_cntr) {
		eta_cntr_flush_all(dom);
		return 0;
	}
	cntr = eta_cntr_of(dom, w->triggering_cntr);
	if (!cntr)
		return -FI_EINVAL;
	ppe_cntr_flush(cntr->ppe);
	return 0;
}

int eta_trigger_control(struct fid *fid, int command, void *arg)
{
	struct eta_domain *dom = eta_container(fid, struct eta_domain, fid.fid);

	switch (command) {
	case FI_QUEUE_WORK:
		return arg ? queue_work(dom, arg) : -FI_EINVAL;
	case FI_CANCEL_WORK:
		return arg ? cancel_work(dom, arg) : -FI_EINVAL;
	case FI_FLUSH_WORK:
		return flush_work(dom, arg);
	default:
		return -FI_ENOSYS;
	}
}
