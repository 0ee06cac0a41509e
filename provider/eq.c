/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * eq.c - fid_eq: connection management events.
 *
 * The engine's events are translated when they are read, one at a time and under the queue's lock;
 * closing an endpoint takes the same lock. So an event that is translated is about a live endpoint,
 * and one about a closed endpoint is never read.
 */
#include <stdlib.h>
#include <string.h>

#include "eta.h"
#include "nosys.h"

#define EQ_DEFAULT 256
#define EQ_MAX (1 << 20)
#define EQ_WRITE_MAX 4096 /* bytes of an event that the application writes */

static struct eta_eq *eq_of(struct fid_eq *fid)
{
	return eta_container(fid, struct eta_eq, fid);
}

/* ---------------------------------------------------------------------- events in the list */

static struct eta_eq_event *event_create(uint32_t type, size_t len)
{
	struct eta_eq_event *e = calloc(1, sizeof(*e) + len);

	if (e) {
		e->event = type;
		e->len = len;
	}
	return e;
}

static struct fi_eq_cm_entry *event_cm(struct eta_eq_event *e)
{
	return (struct fi_eq_cm_entry *)(void *)e->data;
}

static void event_append(struct eta_eq *eq, struct eta_eq_event *e)
{
	*eq->tail = e;
	eq->tail = &e->next;
}

static void event_unlink(struct eta_eq *eq, struct eta_eq_event **at)
{
	struct eta_eq_event *e = *at;

	*at = e->next;
	if (!e->next)
		eq->tail = at;
	e->next = NULL;
}

/* One that nobody will read. */
static void event_discard(struct eta_eq *eq, struct eta_eq_event *e)
{
	if (e->is_cm && e->event == FI_CONNREQ) {
		struct fi_info *info = event_cm(e)->info;

		eta_connreq_drop(eq->fabric, info->handle);
		fi_freeinfo(info);
	}
	free(e);
}

/* ---------------------------------------------------------------------------- translating */

static struct eta_eq_event *cm_event(uint32_t type, struct fid *fid, const void *data, size_t len)
{
	struct eta_eq_event *e = event_create(type, sizeof(struct fi_eq_cm_entry) + len);

	if (!e)
		return NULL;
	e->is_cm = true;
	event_cm(e)->fid = fid;
	if (len)
		memcpy(event_cm(e)->data, data, len);
	return e;
}

static struct eta_eq_event *error_event(struct fid *fid, int err, const void *data, size_t len)
{
	struct eta_eq_event *e = event_create(0, len);

	if (!e)
		return NULL;
	e->is_error = true;
	e->err.fid = fid;
	e->err.context = fid->context;
	e->err.err = err;
	e->err.prov_errno = err;
	e->err.err_data = len ? e->data : NULL;
	e->err.err_data_size = len;
	if (len)
		memcpy(e->data, data, len);
	return e;
}

/* The listener's fi_info, for the connection that its peer asks for. */
static struct fi_info *request_info(const struct eta_pep *pep, const union fab_addr *local,
				    const union fab_addr *peer, struct fid *handle)
{
	struct fi_info *info = fi_dupinfo(pep->info);

	if (!info)
		return NULL;
	info->handle = handle;
	info->addr_format = eta_addr_format(local);
	if (eta_info_set_src(info, local) || eta_info_set_dest(info, peer)) {
		fi_freeinfo(info);
		return NULL;
	}
	return info;
}

/* NULL: its peer has left meanwhile, or there is no memory for it. */
static struct eta_eq_event *translate_request(struct eta_pep *pep, uint64_t request)
{
	uint8_t data[ETA_CM_DATA_SIZE];
	union fab_addr local, peer;
	size_t len = sizeof(data);
	struct eta_connreq *r;
	struct eta_eq_event *e;

	if (ppe_ual_request_info(pep->fabric->ual, request, &local, &peer, data, &len))
		return NULL;
	e = cm_event(FI_CONNREQ, &pep->fid.fid, data, len);
	if (!e)
		goto reject;
	if (eta_connreq_create(pep->fabric, request, &r))
		goto free_event;
	event_cm(e)->info = request_info(pep, &local, &peer, &r->fid);
	if (event_cm(e)->info)
		return e;
	eta_connreq_drop(pep->fabric, &r->fid);
	free(e);
	return NULL;
free_event:
	free(e);
reject:
	eta_warn(EQ, "no memory for a connection request: refused\n");
	ppe_ual_reject_request(pep->fabric->ual, request, NULL, 0);
	return NULL;
}

static struct eta_eq_event *translate_connect(struct eta_ep *ep, int status)
{
	uint8_t data[ETA_CM_DATA_SIZE];
	size_t len = sizeof(data);
	const char *wire;

	if (ppe_dti_pdata(ep->dti, data, &len))
		len = 0;
	if (!status && !ppe_dti_wire(ep->dti, 0, &wire))
		eta_info(EP_CTRL, "connected by %s\n", wire);
	if (!status)
		return cm_event(FI_CONNECTED, &ep->fid.fid, data, len);
	eta_info(EP_CTRL, "not connected: %s\n", fi_strerror(-status));
	return error_event(&ep->fid.fid, -status, data, len);
}

static struct eta_eq_event *translate(const struct ppe_event *ev)
{
	struct fid *fid = (struct fid *)(uintptr_t)ev->cookie;

	switch (ev->type) {
	case PPE_EV_REQUEST:
		if (!ev->status)
			return translate_request(eta_container(fid, struct eta_pep, fid.fid),
						 ev->data);
		eta_warn(EP_CTRL, "listening failed: %s\n", fi_strerror(-ev->status));
		return error_event(fid, -ev->status, NULL, 0);
	case PPE_EV_CONNECT:
		return translate_connect(eta_container(fid, struct eta_ep, fid.fid), ev->status);
	case PPE_EV_CLOSED:
		if (fid->fclass == FI_CLASS_PEP)
			return error_event(fid, ev->status ? -ev->status : FI_EOTHER, NULL, 0);
		if (ev->status)
			eta_info(EP_CTRL, "connection lost: %s\n", fi_strerror(-ev->status));
		return cm_event(FI_SHUTDOWN, fid, NULL, 0);
	default:
		return NULL;
	}
}

/* The next event, brought from the engine when there is none in the list. */
static struct eta_eq_event *event_head(struct eta_eq *eq)
{
	struct ppe_event ev;

	while (!eq->head && ppe_evq_read(eq->evq, &ev, 1) == 1) {
		struct eta_eq_event *e = translate(&ev);

		if (e)
			event_append(eq, e);
	}
	return eq->head;
}

/* -------------------------------------------------------------------------------- reading */

static void forget_last_error(struct eta_eq *eq)
{
	free(eq->last_error);
	eq->last_error = NULL;
}

static ssize_t read_event(struct eta_eq *eq, uint32_t *event, void *buf, size_t len, uint64_t flags)
{
	struct eta_eq_event *e = event_head(eq);
	size_t least;

	if (!e)
		return -FI_EAGAIN;
	if (e->is_error)
		return -FI_EAVAIL;
	/* connection data may be cut, the entry itself not */
	least = e->is_cm ? sizeof(struct fi_eq_cm_entry) : e->len;
	if (len < least)
		return -FI_ETOOSMALL;
	if (len > e->len)
		len = e->len;
	if (len)
		memcpy(buf, e->data, len);
	if (event)
		*event = e->event;
	forget_last_error(eq);
	if (!(flags & FI_PEEK)) {
		event_unlink(eq, &eq->head);
		free(e);
	}
	return len;
}

static ssize_t eq_read(struct fid_eq *fid, uint32_t *event, void *buf, size_t len, uint64_t flags)
{
	struct eta_eq *eq = eq_of(fid);
	ssize_t ret;

	if (len && !buf)
		return -FI_EINVAL;
	pthread_mutex_lock(&eq->lock);
	ret = read_event(eq, event, buf, len, flags);
	pthread_mutex_unlock(&eq->lock);
	return ret;
}

/* Error data go into the caller's buffer if he has one, else they stay here until the next read. */
static void give_error(struct eta_eq *eq, struct eta_eq_event *e, struct fi_eq_err_entry *out)
{
	size_t room = 0;
	void *data = NULL;

	if (eq->fabric->fid.api_version >= FI_VERSION(1, 5) && out->err_data_size) {
		room = out->err_data_size;
		data = out->err_data;
	}
	*out = e->err;
	if (!data)
		return;
	if (room > e->err.err_data_size)
		room = e->err.err_data_size;
	if (room)
		memcpy(data, e->err.err_data, room);
	out->err_data = data;
	out->err_data_size = room;
}

static ssize_t read_error(struct eta_eq *eq, struct fi_eq_err_entry *buf, uint64_t flags)
{
	struct eta_eq_event *e = event_head(eq);

	if (!e || !e->is_error)
		return -FI_EAGAIN;
	forget_last_error(eq);
	give_error(eq, e, buf);
	if (!(flags & FI_PEEK)) {
		event_unlink(eq, &eq->head);
		eq->last_error = e;
	}
	return sizeof(*buf);
}

static ssize_t eq_readerr(struct fid_eq *fid, struct fi_eq_err_entry *buf, uint64_t flags)
{
	struct eta_eq *eq = eq_of(fid);
	ssize_t ret;

	if (!buf)
		return -FI_EINVAL;
	pthread_mutex_lock(&eq->lock);
	ret = read_error(eq, buf, flags);
	pthread_mutex_unlock(&eq->lock);
	return ret;
}

static bool eq_has_event(struct eta_eq *eq)
{
	bool has;

	pthread_mutex_lock(&eq->lock);
	has = eq->head != NULL;
	pthread_mutex_unlock(&eq->lock);
	return has;
}

/* An interrupt is either an event that the application wrote, or one left over from that. */
static ssize_t eq_sread(struct fid_eq *fid, uint32_t *event, void *buf, size_t len, int timeout,
			uint64_t flags)
{
	struct eta_eq *eq = eq_of(fid);
	int64_t deadline = eta_deadline(timeout);

	if (eq->wait_obj == FI_WAIT_NONE)
		return -FI_ENOSYS;
	for (;;) {
		ssize_t ret = eq_read(fid, event, buf, len, flags);
		int64_t left = eta_time_left(deadline);

		if (ret != -FI_EAGAIN || !left)
			return ret;
		ret = ppe_evq_wait(&eq->evq, 1, left);
		if (ret == -EINTR && !atomic_exchange(&eq->written, false))
			return eq_has_event(eq) ? eq_read(fid, event, buf, len, flags) : -FI_EINTR;
		if (ret && ret != -EINTR && ret != -ETIMEDOUT)
			return ret;
	}
}

/* -------------------------------------------------------------------------------- writing */

static void append_and_wake(struct eta_eq *eq, struct eta_eq_event *e)
{
	pthread_mutex_lock(&eq->lock);
	event_append(eq, e);
	pthread_mutex_unlock(&eq->lock);
	atomic_store(&eq->written, true);
	ppe_evq_interrupt(eq->evq);
}

static ssize_t eq_write(struct fid_eq *fid, uint32_t event, const void *buf, size_t len,
			uint64_t flags)
{
	struct eta_eq *eq = eq_of(fid);
	struct eta_eq_event *e;

	if (!eq->may_write || flags || (len && !buf) || len > EQ_WRITE_MAX)
		return -FI_EINVAL;
	e = event_create(event, len);
	if (!e)
		return -FI_ENOMEM;
	if (len)
		memcpy(e->data, buf, len);
	append_and_wake(eq, e);
	return len;
}

int eta_eq_tell(struct eta_eq *eq, struct fid *fid, void *context, uint64_t data, int err)
{
	struct fi_eq_entry entry = { .fid = fid, .context = context, .data = data };
	struct eta_eq_event *e;

	if (err) {
		e = error_event(fid, err, NULL, 0);
	} else {
		e = event_create(FI_AV_COMPLETE, sizeof(entry));
		if (e)
			memcpy(e->data, &entry, sizeof(entry));
	}
	if (!e)
		return -FI_ENOMEM;
	e->is_told = !err;
	e->err.context = context;
	e->err.data = data;
	append_and_wake(eq, e);
	return 0;
}

static const char *eq_strerror(struct fid_eq *fid, int prov_errno, const void *err_data, char *buf,
			       size_t len)
{
	(void)fid;
	(void)err_data;
	return eta_strerror(prov_errno, buf, len);
}

/* ------------------------------------------------------------------------ waiting by others */

bool eta_eq_ready(struct eta_eq *eq)
{
	bool ready;

	pthread_mutex_lock(&eq->lock);
	ready = event_head(eq) != NULL;
	pthread_mutex_unlock(&eq->lock);
	return ready;
}

int eta_eq_arm(struct eta_eq *eq)
{
	if (eq->wait_obj == FI_WAIT_NONE)
		return -FI_EINVAL;
	return eq_has_event(eq) ? -FI_EAGAIN : ppe_evq_arm(eq->evq);
}

static int eq_control(struct fid *fid, int command, void *arg)
{
	struct eta_eq *eq = eta_container(fid, struct eta_eq, fid.fid);

	if (!arg)
		return -FI_EINVAL;
	switch (command) {
	case FI_GETWAIT:
		return eq->wait_obj == FI_WAIT_FD ? ppe_evq_fd(eq->evq, arg) : -FI_ENODATA;
	case FI_GETWAITOBJ:
		*(enum fi_wait_obj *)arg = eq->wait_obj;
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

/* ----------------------------------------------------------------------------- life and end */

/* What it is about; NULL: the application's own business. */
static const struct fid *event_fid(struct eta_eq_event *e)
{
	if (e->is_error)
		return e->err.fid;
	if (e->is_cm)
		return event_cm(e)->fid;
	return e->is_told ? ((const struct fi_eq_entry *)(const void *)e->data)->fid : NULL;
}

void eta_eq_forget(struct eta_eq *eq, struct ppe_dti *dti, const struct fid *fid)
{
	struct eta_eq_event **at = &eq->head;

	pthread_mutex_lock(&eq->lock);
	if (dti)
		ppe_dti_destroy(dti, true);
	ppe_evq_purge(eq->evq, (uintptr_t)fid);
	while (*at) {
		struct eta_eq_event *e = *at;

		if (event_fid(e) == fid) {
			event_unlink(eq, at);
			event_discard(eq, e);
		} else {
			at = &e->next;
		}
	}
	pthread_mutex_unlock(&eq->lock);
}

static int eq_close(struct fid *fid)
{
	struct eta_eq *eq = eta_container(fid, struct eta_eq, fid.fid);
	int ret;

	if (atomic_load(&eq->refs))
		return -FI_EBUSY;
	ret = ppe_evq_destroy(eq->evq);
	if (ret)
		return ret;
	while (eq->head) {
		struct eta_eq_event *e = eq->head;

		event_unlink(eq, &eq->head);
		event_discard(eq, e);
	}
	forget_last_error(eq);
	atomic_fetch_sub(&eq->fabric->refs, 1);
	pthread_mutex_destroy(&eq->lock);
	free(eq);
	return 0;
}

static ETA_OPS(fi_ops) eq_fid_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops),
			.close = eq_close,
			.bind = eta_no_bind,
			.control = eq_control,
			.ops_open = eta_no_ops_open,
			.tostr = eta_no_tostr,
			.ops_set = eta_no_ops_set,
		},
};

static ETA_OPS(fi_ops_eq) eq_ops = {
	.ops =
		{
			.size = sizeof(struct fi_ops_eq),
			.read = eq_read,
			.readerr = eq_readerr,
			.write = eq_write,
			.sread = eq_sread,
			.strerror = eq_strerror,
		},
};

static int check_attr(const struct fi_eq_attr *attr)
{
	if (attr->flags & ~(FI_WRITE | FI_AFFINITY) || attr->size > EQ_MAX)
		return -FI_EINVAL;
	return eta_wait_obj_check(attr->wait_obj);
}

static int eq_create(struct eta_fabric *f, const struct fi_eq_attr *attr, struct eta_eq **out)
{
	struct ppe_evq_attr evq = { .size = attr->size > EQ_DEFAULT ? attr->size : EQ_DEFAULT };
	struct eta_eq *eq = calloc(1, sizeof(*eq));
	int ret;

	if (!eq)
		return -FI_ENOMEM;
	ret = ppe_evq_create(f->ual, &evq, &eq->evq);
	if (ret) {
		free(eq);
		return ret;
	}
	pthread_mutex_init(&eq->lock, NULL);
	eq->tail = &eq->head;
	eq->fabric = f;
	eq->wait_obj = attr->wait_obj;
	eq->may_write = attr->flags & FI_WRITE;
	*out = eq;
	return 0;
}

int eta_eq_open(struct fid_fabric *fabric, struct fi_eq_attr *attr, struct fid_eq **eq_fid,
		void *context)
{
	struct eta_fabric *f = eta_container(fabric, struct eta_fabric, fid);
	struct fi_eq_attr none = { .wait_obj = FI_WAIT_NONE };
	struct eta_eq *eq;
	int ret;

	if (!attr)
		attr = &none;
	ret = check_attr(attr);
	if (!ret)
		ret = eq_create(f, attr, &eq);
	if (ret)
		return ret;
	eq->fid.fid.fclass = FI_CLASS_EQ;
	eq->fid.fid.context = context;
	eq->fid.fid.ops = ETA_OPS_PTR(fi_ops, eq_fid_ops);
	eq->fid.ops = ETA_OPS_PTR(fi_ops_eq, eq_ops);
	atomic_fetch_add(&f->refs, 1);
	*eq_fid = &eq->fid;
	return 0;
}
