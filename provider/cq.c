/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cq.c - fid_cq: completions of sends and receives. */
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

#define CQ_DEFAULT 1024
#define CQ_MAX (1 << 20)

static struct eta_cq *cq_of(struct fid_cq *fid)
{
	return eta_container(fid, struct eta_cq, fid);
}

static void cq_lock(struct eta_cq *cq)
{
	if (cq->locked)
		pthread_mutex_lock(&cq->lock);
}

static void cq_unlock(struct eta_cq *cq)
{
	if (cq->locked)
		pthread_mutex_unlock(&cq->lock);
}

/* -------------------------------------------------------------------------- translating */

static bool is_error(const struct ppe_event *ev)
{
	return ev->status || (ev->flags & PPE_EVF_TRUNCATED);
}

/* There is nobody to tell: the application reused its memory long ago, and gave no context. */
static bool is_lost_inject(const struct ppe_event *ev)
{
	return ev->user_tag == (uintptr_t)&eta_inject_tag;
}

static uint64_t entry_flags(const struct ppe_event *ev)
{
	return ev->type == PPE_EV_RECV ? FI_RECV | FI_MSG : FI_SEND | FI_MSG;
}

/* Writes one entry; the formats are beginnings of each other. Returns where the next one goes. */
static void *put_entry(enum fi_cq_format format, void *buf, const struct ppe_event *ev)
{
	struct fi_cq_tagged_entry *e = buf;

	e->op_context = (void *)(uintptr_t)ev->user_tag;
	if (format == FI_CQ_FORMAT_CONTEXT)
		return (struct fi_cq_entry *)buf + 1;
	e->flags = entry_flags(ev);
	e->len = ev->type == PPE_EV_RECV ? ev->len : 0;
	if (format == FI_CQ_FORMAT_MSG)
		return (struct fi_cq_msg_entry *)buf + 1;
	e->buf = NULL;
	e->data = 0;
	if (format == FI_CQ_FORMAT_DATA)
		return (struct fi_cq_data_entry *)buf + 1;
	e->tag = 0;
	return e + 1;
}

static int error_number(const struct ppe_event *ev)
{
	if (ev->flags & PPE_EVF_TRUNCATED)
		return FI_ETRUNC;
	return ev->status == -ENOKEY ? FI_ENOKEY : -ev->status;
}

/* Applications of before 1.5 have an entry that ends before err_data_size. */
static void put_error(const struct ppe_event *ev, uint32_t api_version, struct fi_cq_err_entry *e)
{
	e->op_context = (void *)(uintptr_t)ev->user_tag;
	e->flags = entry_flags(ev);
	e->len = ev->type == PPE_EV_RECV ? ev->len : 0;
	e->buf = NULL;
	e->data = 0;
	e->tag = 0;
	e->olen = ev->flags & PPE_EVF_TRUNCATED ? ev->data - ev->len : 0;
	e->err = error_number(ev);
	e->prov_errno = e->err;
	if (api_version < FI_VERSION(1, 5) || !e->err_data_size)
		e->err_data = NULL;
	/* else it is a caller's buffer, and stays his */
	if (api_version >= FI_VERSION(1, 5))
		e->err_data_size = 0;
}

/* -------------------------------------------------------------------------------- reading */

/* Brings the next events; the engine is run only by the first read of a call. */
static int refill(struct eta_cq *cq, size_t want, bool run)
{
	int max = want < ETA_CQ_BATCH ? want : ETA_CQ_BATCH;
	int n = run ? ppe_evq_read(cq->evq, cq->ev, max) : ppe_evq_take(cq->evq, cq->ev, max);

	if (n > 0) {
		cq->first = 0;
		cq->last = n;
	}
	return n;
}

static const struct ppe_event *front(struct eta_cq *cq)
{
	return cq->first < cq->last ? &cq->ev[cq->first] : NULL;
}

/* Translates until @count are written, an error stands in front, or there are no more. */
static ssize_t read_entries(struct eta_cq *cq, void *buf, size_t count)
{
	const struct ppe_event *ev = front(cq);
	size_t n = 0;

	for (;;) {
		if (!ev) {
			int got = refill(cq, count - n, !n);

			if (got <= 0)
				return n ? (ssize_t)n : got ? got : -FI_EAGAIN;
			ev = front(cq);
		}
		for (; ev && !is_error(ev) && n < count; n++, cq->first++, ev = front(cq))
			buf = put_entry(cq->format, buf, ev);
		if (n == count)
			return n;
		if (!ev)
			continue;
		if (!is_lost_inject(ev))
			return n ? (ssize_t)n : -FI_EAVAIL;
		cq->first++;
		ev = front(cq);
	}
}

/* With no room for entries, what is left is progress, and whether there is something. */
static ssize_t read_nothing(struct eta_cq *cq)
{
	if (!front(cq))
		ppe_evq_read(cq->evq, cq->ev, 0);
	if (front(cq))
		return is_error(front(cq)) ? -FI_EAVAIL : 0;
	return ppe_evq_count(cq->evq) ? 0 : -FI_EAGAIN;
}

static ssize_t cq_read(struct fid_cq *fid, void *buf, size_t count)
{
	struct eta_cq *cq = cq_of(fid);
	ssize_t ret;

	if (count && !buf)
		return -FI_EINVAL;
	cq_lock(cq);
	ret = count ? read_entries(cq, buf, count) : read_nothing(cq);
	cq_unlock(cq);
	return ret;
}

/* A connected endpoint has one peer, and no address vector that could name it. */
static void no_sources(fi_addr_t *src_addr, ssize_t n)
{
	for (ssize_t i = 0; src_addr && i < n; i++)
		src_addr[i] = FI_ADDR_NOTAVAIL;
}

static ssize_t cq_readfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src_addr)
{
	ssize_t ret = cq_read(fid, buf, count);

	no_sources(src_addr, ret);
	return ret;
}

static ssize_t cq_readerr(struct fid_cq *fid, struct fi_cq_err_entry *buf, uint64_t flags)
{
	struct eta_cq *cq = cq_of(fid);
	ssize_t ret = -FI_EAGAIN;

	if (!buf)
		return -FI_EINVAL;
	cq_lock(cq);
	if (!front(cq))
		refill(cq, ETA_CQ_BATCH, true);
	while (front(cq) && is_error(front(cq)) && is_lost_inject(front(cq)))
		cq->first++;
	if (front(cq) && is_error(front(cq))) {
		put_error(front(cq), cq->domain->fabric->fid.api_version, buf);
		cq->first += !(flags & FI_PEEK);
		ret = 1;
	}
	cq_unlock(cq);
	return ret;
}

/* -------------------------------------------------------------------------------- waiting */

/* At least so many entries, if the application asked to be woken for no fewer. */
static size_t wanted(const struct eta_cq *cq, size_t count, const void *cond)
{
	size_t threshold = cq->wait_cond == FI_CQ_COND_THRESHOLD ? (uintptr_t)cond : 1;

	if (!threshold)
		threshold = 1;
	return threshold < count ? threshold : count;
}

static size_t entry_size(enum fi_cq_format format)
{
	switch (format) {
	case FI_CQ_FORMAT_MSG:
		return sizeof(struct fi_cq_msg_entry);
	case FI_CQ_FORMAT_DATA:
		return sizeof(struct fi_cq_data_entry);
	case FI_CQ_FORMAT_TAGGED:
		return sizeof(struct fi_cq_tagged_entry);
	default:
		return sizeof(struct fi_cq_entry);
	}
}

/* 0: look again; else why the wait is over. */
static int wait_more(struct eta_cq *cq, int64_t left)
{
	int ret;

	if (!left)
		return -FI_EAGAIN;
	ret = ppe_evq_wait(&cq->evq, 1, left);
	if (atomic_exchange(&cq->signaled, false))
		return -FI_EAGAIN;
	return ret == -ETIMEDOUT ? 0 : ret;
}

static ssize_t cq_sread(struct fid_cq *fid, void *buf, size_t count, const void *cond, int timeout)
{
	struct eta_cq *cq = cq_of(fid);
	int64_t deadline = eta_deadline(timeout);
	size_t want = wanted(cq, count, cond);
	size_t n = 0;

	if (cq->wait_obj == FI_WAIT_NONE)
		return -FI_ENOSYS;
	for (;;) {
		uint8_t *at = (uint8_t *)buf + n * entry_size(cq->format);
		ssize_t ret = cq_read(fid, buf ? at : NULL, count - n);

		if (ret > 0)
			n += ret;
		if (n >= want && ret >= 0)
			return n;
		if (ret >= 0 || ret == -FI_EAGAIN)
			ret = wait_more(cq, eta_time_left(deadline));
		if (ret)
			return n ? (ssize_t)n : ret;
	}
}

static ssize_t cq_sreadfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src_addr,
			    const void *cond, int timeout)
{
	ssize_t ret = cq_sread(fid, buf, count, cond, timeout);

	no_sources(src_addr, ret);
	return ret;
}

static int cq_signal(struct fid_cq *fid)
{
	struct eta_cq *cq = cq_of(fid);

	if (cq->wait_obj == FI_WAIT_NONE)
		return -FI_ENOSYS;
	atomic_store(&cq->signaled, true);
	ppe_evq_interrupt(cq->evq);
	return 0;
}

int eta_cq_arm(struct eta_cq *cq)
{
	bool pending;

	if (cq->wait_obj == FI_WAIT_NONE)
		return -FI_EINVAL;
	cq_lock(cq);
	pending = front(cq);
	cq_unlock(cq);
	return pending ? -FI_EAGAIN : ppe_evq_arm(cq->evq);
}

static const char *cq_strerror(struct fid_cq *fid, int prov_errno, const void *err_data, char *buf,
			       size_t len)
{
	(void)fid;
	(void)err_data;
	return eta_strerror(prov_errno, buf, len);
}

/* -------------------------------------------------------------------------------- the object */

void eta_cq_purge(struct eta_cq *cq, const struct fid *fid)
{
	unsigned kept = 0;

	cq_lock(cq);
	for (unsigned i = cq->first; i < cq->last; i++)
		if (cq->ev[i].cookie != (uintptr_t)fid)
			cq->ev[kept++] = cq->ev[i];
	cq->first = 0;
	cq->last = kept;
	ppe_evq_purge(cq->evq, (uintptr_t)fid);
	cq_unlock(cq);
}

static int cq_control(struct fid *fid, int command, void *arg)
{
	struct eta_cq *cq = eta_container(fid, struct eta_cq, fid.fid);

	if (!arg)
		return -FI_EINVAL;
	switch (command) {
	case FI_GETWAIT:
		return cq->wait_obj == FI_WAIT_FD ? ppe_evq_fd(cq->evq, arg) : -FI_ENODATA;
	case FI_GETWAITOBJ:
		*(enum fi_wait_obj *)arg = cq->wait_obj;
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

static int cq_close(struct fid *fid)
{
	struct eta_cq *cq = eta_container(fid, struct eta_cq, fid.fid);
	int ret;

	if (atomic_load(&cq->refs))
		return -FI_EBUSY;
	ret = ppe_evq_destroy(cq->evq);
	if (ret)
		return ret;
	atomic_fetch_sub(&cq->domain->refs, 1);
	pthread_mutex_destroy(&cq->lock);
	free(cq);
	return 0;
}

static ETA_OPS(fi_ops) cq_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = cq_close,
			.bind = eta_no_bind,
			.control = cq_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_cq) cq_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_cq),
			.read = cq_read,
			.readfrom = cq_readfrom,
			.readerr = cq_readerr,
			.sread = cq_sread,
			.sreadfrom = cq_sreadfrom,
			.signal = cq_signal,
			.strerror = cq_strerror,
		},
};

/* FI_PEER, above all, would make the queue somebody else's. */
static int check_attr(const struct fi_cq_attr *attr)
{
	if (attr->flags & ~FI_AFFINITY)
		return -FI_EBADFLAGS;
	if (attr->size > CQ_MAX || (unsigned)attr->format > FI_CQ_FORMAT_TAGGED ||
	    (unsigned)attr->wait_cond > FI_CQ_COND_THRESHOLD)
		return -FI_EINVAL;
	return eta_wait_obj_check(attr->wait_obj);
}

/* Reads take the provider's own lock, so the engine's would be one too many. */
static int cq_create(struct eta_domain *d, const struct fi_cq_attr *attr, struct eta_cq **out)
{
	struct ppe_evq_attr evq = { .size = attr->size ? attr->size : CQ_DEFAULT };
	struct eta_cq *cq = calloc(1, sizeof(*cq));
	int ret;

	if (!cq)
		return -FI_ENOMEM;
	ret = ppe_evq_create(d->fabric->ual, &evq, &cq->evq);
	if (ret) {
		free(cq);
		return ret;
	}
	pthread_mutex_init(&cq->lock, NULL);
	cq->domain = d;
	cq->locked = d->lock_cqs;
	cq->format = attr->format == FI_CQ_FORMAT_UNSPEC ? FI_CQ_FORMAT_CONTEXT : attr->format;
	cq->wait_obj = attr->wait_obj;
	cq->wait_cond = attr->wait_cond;
	*out = cq;
	return 0;
}

int eta_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **cq_fid,
		void *context)
{
	struct eta_domain *d = eta_container(domain, struct eta_domain, fid);
	struct fi_cq_attr none = { .wait_obj = FI_WAIT_NONE };
	struct eta_cq *cq;
	int ret;

	if (!attr)
		attr = &none;
	ret = check_attr(attr);
	if (!ret)
		ret = cq_create(d, attr, &cq);
	if (ret)
		return ret;
	cq->fid.fid.fclass = FI_CLASS_CQ;
	cq->fid.fid.context = context;
	cq->fid.fid.ops = ETA_OPS_PTR(fi_ops, cq_fid_ops);
	cq->fid.ops = ETA_OPS_PTR(fi_ops_cq, cq_ops);
	atomic_fetch_add(&d->refs, 1);
	*cq_fid = &cq->fid;
	return 0;
}
