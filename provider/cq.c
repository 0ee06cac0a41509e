/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cq.c - fid_cq: completions of operations. */
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

/* A receive from somebody unknown, of an endpoint that wants to be told so. */
static bool is_stranger(const struct ppe_event *ev)
{
	const struct fid *fid = (const struct fid *)(uintptr_t)ev->cookie;

	if (!(ev->flags & PPE_EVF_SRC) || !(ev->src & PPE_SRC_UNKNOWN) || ev->src == PPE_SRC_NONE)
		return false;
	return fid->fclass == FI_CLASS_EP &&
	       eta_container(fid, const struct eta_ep, fid.fid)->source_err;
}

static bool is_error(const struct ppe_event *ev)
{
	return ev->status || (ev->flags & PPE_EVF_TRUNCATED) || is_stranger(ev);
}

static uint64_t recv_flags(const struct ppe_event *ev)
{
	return FI_RECV | (ev->flags & PPE_EVF_TAGGED ? FI_TAGGED : FI_MSG) |
	       (ev->flags & PPE_EVF_DATA ? FI_REMOTE_CQ_DATA : 0) |
	       (ev->flags & PPE_EVF_RELEASED ? FI_MULTI_RECV : 0);
}

static uint64_t entry_flags(const struct ppe_event *ev)
{
	switch (ev->type) {
	case PPE_EV_SEND:
		return FI_SEND | (ev->flags & PPE_EVF_TAGGED ? FI_TAGGED : FI_MSG);
	case PPE_EV_RECV:
		return recv_flags(ev);
	case PPE_EV_WRITE:
		return FI_RMA | FI_WRITE;
	case PPE_EV_READ:
		return FI_RMA | FI_READ;
	case PPE_EV_ATOMIC:
		return FI_ATOMIC | FI_WRITE;
	case PPE_EV_FETCH:
		return FI_ATOMIC | FI_READ;
	case PPE_EV_REMOTE_WRITE:
		return FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA;
	case PPE_EV_RELEASED:
		return FI_RECV | FI_MSG | FI_MULTI_RECV;
	default:
		return 0;
	}
}

static bool came_from_peer(const struct ppe_event *ev)
{
	return ev->type == PPE_EV_RECV || ev->type == PPE_EV_REMOTE_WRITE;
}

/* A peer's write is no operation of the application's, so it has no context. */
static void *context_of(const struct ppe_event *ev)
{
	return ev->type == PPE_EV_REMOTE_WRITE ? NULL : (void *)(uintptr_t)ev->user_tag;
}

/* Where the message lies in a buffer for many; the event has other things in that place, or 0. */
static void *buf_of(const struct ppe_event *ev)
{
	if (ev->type != PPE_EV_RECV || ev->status || (ev->flags & PPE_EVF_TRUNCATED))
		return NULL;
	return (void *)(uintptr_t)ev->buf;
}

/* Writes one entry; the formats are beginnings of each other. Returns where the next one goes. */
static void *put_entry(enum fi_cq_format format, void *buf, const struct ppe_event *ev)
{
	struct fi_cq_tagged_entry *e = buf;

	e->op_context = context_of(ev);
	if (format == FI_CQ_FORMAT_CONTEXT)
		return (struct fi_cq_entry *)buf + 1;
	e->flags = entry_flags(ev);
	e->len = came_from_peer(ev) ? ev->len : 0;
	if (format == FI_CQ_FORMAT_MSG)
		return (struct fi_cq_msg_entry *)buf + 1;
	e->buf = buf_of(ev);
	e->data = ev->flags & PPE_EVF_DATA ? ev->data : 0;
	if (format == FI_CQ_FORMAT_DATA)
		return (struct fi_cq_data_entry *)buf + 1;
	e->tag = ev->flags & PPE_EVF_TAGGED ? ev->tag : 0;
	return e + 1;
}

static fi_addr_t source_of(const struct ppe_event *ev)
{
	return (ev->flags & PPE_EVF_SRC) && !(ev->src & PPE_SRC_UNKNOWN) ? ev->src
									 : FI_ADDR_NOTAVAIL;
}

static int error_number(const struct ppe_event *ev)
{
	if (ev->flags & PPE_EVF_TRUNCATED)
		return FI_ETRUNC;
	if (!ev->status)
		return FI_EADDRNOTAVAIL;
	/* libfabric has a number of its own for the one, and none for the other */
	return ev->status == -ENOKEY || ev->status == -EKEYREVOKED ? FI_ENOKEY : -ev->status;
}

/* The address of a sender that has no number. Returns its length; 0: he has left. */
static size_t stranger_address(struct eta_cq *cq, const struct ppe_event *ev)
{
	struct ppe_dti *dti;

	if (!is_stranger(ev))
		return 0;
	dti = ppe_dti_lookup(cq->domain->fabric->ual, ev->dti);
	if (!dti || ppe_dti_source(dti, ev->src, &cq->stranger))
		return 0;
	return fab_addr_len(&cq->stranger);
}

/*
 * Error data go into the caller's buffer, if he has one, else they stay here. Applications of before
 * 1.5 have an entry that ends before err_data_size; it ends there for all with libfabric 1.17, and
 * goes on with the source's address for those of 1.20.
 */
static void put_error_data(struct eta_cq *cq, const struct ppe_event *ev, struct fi_cq_err_entry *e)
{
	uint32_t version = cq->domain->fabric->fid.api_version;
	size_t len = stranger_address(cq, ev);
	fi_addr_t source = source_of(ev);

	if (version >= FI_VERSION(1, 5) && e->err_data_size) {
		if (len > e->err_data_size)
			len = e->err_data_size;
		if (len && e->err_data)
			memcpy(e->err_data, &cq->stranger, len);
	} else {
		e->err_data = len ? &cq->stranger : NULL;
	}
	if (version >= FI_VERSION(1, 5))
		e->err_data_size = len;
	if (version >= FI_VERSION(1, 20))
		memcpy(e + 1, &source, sizeof(source));
}

static void put_error(struct eta_cq *cq, const struct ppe_event *ev, struct fi_cq_err_entry *e)
{
	e->op_context = context_of(ev);
	e->flags = entry_flags(ev);
	e->len = came_from_peer(ev) ? ev->len : 0;
	e->buf = buf_of(ev);
	e->data = ev->flags & PPE_EVF_DATA ? ev->data : 0;
	e->tag = ev->flags & PPE_EVF_TAGGED ? ev->tag : 0;
	e->olen = ev->flags & PPE_EVF_TRUNCATED ? ev->full_len - ev->len : 0;
	e->err = error_number(ev);
	e->prov_errno = e->err;
	put_error_data(cq, ev, e);
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
static ssize_t read_entries(struct eta_cq *cq, void *buf, size_t count, fi_addr_t *src)
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
		for (; ev && !is_error(ev) && n < count; cq->first++, ev = front(cq)) {
			buf = put_entry(cq->format, buf, ev);
			if (src)
				src[n] = source_of(ev);
			n++;
		}
		if (n == count)
			return n;
		if (ev)
			return n ? (ssize_t)n : -FI_EAVAIL;
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

bool eta_cq_ready(struct eta_cq *cq)
{
	ssize_t ret;

	cq_lock(cq);
	ret = read_nothing(cq);
	cq_unlock(cq);
	return ret != -FI_EAGAIN;
}

static ssize_t cq_readfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src_addr)
{
	struct eta_cq *cq = cq_of(fid);
	ssize_t ret;

	if (count && !buf)
		return -FI_EINVAL;
	cq_lock(cq);
	ret = count ? read_entries(cq, buf, count, src_addr) : read_nothing(cq);
	cq_unlock(cq);
	return ret;
}

static ssize_t cq_read(struct fid_cq *fid, void *buf, size_t count)
{
	return cq_readfrom(fid, buf, count, NULL);
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
	if (front(cq) && is_error(front(cq))) {
		put_error(cq, front(cq), buf);
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

static ssize_t cq_sreadfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src_addr,
			    const void *cond, int timeout)
{
	struct eta_cq *cq = cq_of(fid);
	int64_t deadline = eta_deadline(timeout);
	size_t want = wanted(cq, count, cond);
	size_t n = 0;

	if (cq->wait_obj == FI_WAIT_NONE)
		return -FI_ENOSYS;
	for (;;) {
		uint8_t *at = (uint8_t *)buf + n * entry_size(cq->format);
		ssize_t ret = cq_readfrom(fid, buf ? at : NULL, count - n,
					  src_addr ? src_addr + n : NULL);

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

static ssize_t cq_sread(struct fid_cq *fid, void *buf, size_t count, const void *cond, int timeout)
{
	return cq_sreadfrom(fid, buf, count, NULL, cond, timeout);
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
