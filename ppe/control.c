/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * control.c - the calls that set DTIs up and take operations back. Each takes the turn and acts as the
 * engine; all that it is given is values, so that it could as well be a command to an engine elsewhere.
 */
#include <errno.h>
#include <string.h>

#include "ppe/file.h"

static const struct fab_stream_ops *stream_of(const struct ppe_dti *d)
{
	return d->ual->fabric.stream;
}

static const struct fab_msg_ops *msg_of(const struct ppe_dti *d)
{
	return d->ual->fabric.msg;
}

/* With the turn in hand. */
static int control_enter(struct ppe_ual *ual)
{
	if (!ual_alive(ual))
		return -EOWNERDEAD;
	turn_lock(ual);
	return 0;
}

static int control_leave(struct ppe_ual *ual, int result)
{
	turn_unlock(ual);
	return result;
}

/*
 * What was just set going must be seen by whoever sleeps: the fabric does its part by descriptors
 * and deadlines, but work that is now active in the engine needs a turn.
 */
static int control_leave_run(struct ppe_ual *ual, int result)
{
	if (!result)
		turn_run(ual, TURN_POST);
	turn_unlock(ual);
	return result;
}

/* ------------------------------------------------------------------------ addresses */

int ppe_dti_bind(struct ppe_dti *d, const struct sockaddr *sa, socklen_t len)
{
	union fab_addr addr;
	int err = fab_addr_set(&addr, sa, len);

	if (err)
		return err;
	err = control_enter(d->ual);
	if (err)
		return err;
	if (d->state != DTI_IDLE || d->parent)
		return control_leave(d->ual, -EISCONN);
	d->local = addr;
	d->bound = true;
	return control_leave(d->ual, 0);
}

static int stream_listen(struct ppe_dti *d, int backlog)
{
	struct fab_listen_attr attr = {
		.addr = &d->local,
		.backlog = backlog,
		.reuse_port = d->option[PPE_OPT_REUSEPORT],
		.defer_s = (unsigned)d->option[PPE_OPT_DEFER_ACCEPT],
	};
	int err = stream_of(d)->listen(d->ual->fabric.fab, &attr, &stream_listen_user, d,
				       &d->listener);

	if (err)
		return err;
	err = stream_of(d)->listener_addr(d->listener, &d->local);
	if (err)
		stream_of(d)->unlisten(d->listener);
	return err;
}

static int message_listen(struct ppe_dti *d, int backlog)
{
	int err = msg_of(d)->listen(d->ual->fabric.m, &d->local, backlog,
				    message_is_rdm(d) ? &rdm_listen_user : &message_listen_user, d,
				    &d->mlistener);

	if (err)
		return err;
	err = msg_of(d)->listener_addr(d->mlistener, &d->local);
	if (err)
		msg_of(d)->unlisten(d->mlistener);
	return err;
}

static int dti_listen(struct ppe_dti *d, int backlog)
{
	int err;

	if (d->service == PPE_SHARED_RECV)
		return -EOPNOTSUPP;
	if (d->state != DTI_IDLE || d->parent)
		return -EISCONN;
	if (!d->bound)
		return -EDESTADDRREQ;
	err = d->service == PPE_STREAM ? stream_listen(d, backlog) : message_listen(d, backlog);
	if (err)
		d->conn = NULL; /* one place for connection and listener */
	else
		d->state = DTI_LISTENING;
	return err;
}

int ppe_dti_listen(struct ppe_dti *d, int backlog)
{
	struct ppe_ual *ual = d->ual;
	int err = ual_alive(ual) ? thread_start(ual) : 0;

	if (!err)
		err = control_enter(ual);
	if (err)
		return err;
	return control_leave(ual, dti_listen(d, backlog));
}

int ppe_dti_local(struct ppe_dti *d, union fab_addr *addr)
{
	int err = control_enter(d->ual);

	if (err)
		return err;
	if (!d->bound && d->state != DTI_CONNECTED)
		return control_leave(d->ual, -ENOTCONN);
	/* of an accepted connection it is not looked up before somebody asks */
	if (!fab_addr_len(&d->local))
		err = d->service == PPE_STREAM && d->state == DTI_CONNECTED
			      ? stream_of(d)->conn_addr(d->conn, &d->local, NULL)
			      : -ENOTCONN;
	if (!err)
		*addr = d->local;
	return control_leave(d->ual, err);
}

int ppe_dti_peer(struct ppe_dti *d, union fab_addr *addr)
{
	int err = control_enter(d->ual);

	if (err)
		return err;
	if (d->state != DTI_CONNECTED)
		return control_leave(d->ual, -ENOTCONN);
	if (!fab_addr_len(&d->peer))
		err = d->service == PPE_STREAM ? stream_of(d)->conn_addr(d->conn, NULL, &d->peer)
					       : -ENOTCONN;
	if (!err)
		*addr = d->peer;
	return control_leave(d->ual, err);
}

static const char *stream_wire(const struct ppe_dti *d)
{
	return d->state == DTI_CONNECTED ? fabric_conn_wire(&d->ual->fabric, d->conn) : NULL;
}

int ppe_dti_wire(struct ppe_dti *d, uint32_t peer, const char **wire)
{
	int err = control_enter(d->ual);

	if (err)
		return err;
	if (d->service == PPE_SHARED_RECV)
		return control_leave(d->ual, -EOPNOTSUPP);
	*wire = d->service == PPE_STREAM ? stream_wire(d) : message_wire(d, peer);
	return control_leave(d->ual, *wire ? 0 : -ENOTCONN);
}

/* ------------------------------------------------------------------------ connecting */

static int dti_may_connect(const struct ppe_dti *d)
{
	if (d->state == DTI_CONNECTING)
		return -EALREADY;
	if (d->state != DTI_IDLE)
		return -EISCONN;
	/* the outcome of an accept or connect before this one has not been told yet */
	return d->pending ? -EAGAIN : 0;
}

static int dti_connect(struct ppe_dti *d, const struct fab_connect_attr *attr, const void *pdata,
		       size_t len)
{
	if (d->service == PPE_STREAM)
		return stream_of(d)->connect(d->ual->fabric.fab, attr, &stream_user, d, &d->conn);
	return message_connect(d, attr, pdata, len);
}

int ppe_dti_connect(struct ppe_dti *d, const struct sockaddr *sa, socklen_t len,
		    uint64_t timeout_ns, uint64_t user_tag, const void *pdata, size_t pdata_len)
{
	struct ppe_ual *ual = d->ual;
	union fab_addr peer;
	struct fab_connect_attr attr = { .peer = &peer, .timeout_ns = timeout_ns };
	int err = fab_addr_set(&peer, sa, len);

	if (err)
		return err;
	if (pdata_len > FAB_PDATA_MAX)
		return -EMSGSIZE;
	err = ual_alive(ual) ? thread_start(ual) : 0;
	if (!err)
		err = control_enter(ual);
	if (err)
		return err;
	err = dti_may_connect(d);
	if (err)
		return control_leave(ual, err);
	attr.local = d->bound ? &d->local : NULL;
	err = dti_connect(d, &attr, pdata, pdata_len);
	if (!err) {
		d->state = DTI_CONNECTING;
		d->cm_tag = user_tag;
	}
	return control_leave(ual, err);
}

/* --------------------------------------------------------------------------- accepts */

static void accept_timeout(struct timer *t)
{
	struct ppe_dti *d = list_entry(t, struct ppe_dti, timer);

	stream_of(d)->unaccept(d->parent->listener, 1);
	list_del(&d->accepts);
	d->parent = NULL;
	d->state = DTI_IDLE;
	d->pending |= PEND_ACCEPT;
	d->cm_status = -ETIMEDOUT;
	dti_activate(d);
}

static int accept_post(struct ppe_dti *l, struct ppe_dti *d, uint64_t timeout_ns)
{
	int err = 0;

	if (l->state != DTI_LISTENING || l->service != PPE_STREAM || d->service != PPE_STREAM)
		return -EINVAL;
	err = dti_may_connect(d);
	if (err)
		return err;
	if (timeout_ns)
		err = timer_start(&d->ual->timers, &d->timer, timeout_ns, accept_timeout);
	if (!err)
		err = stream_of(l)->accept(l->listener);
	if (err)
		timer_stop(&d->ual->timers, &d->timer);
	return err;
}

/* What the child has not been told itself. */
static void options_inherit(struct ppe_dti *d, const struct ppe_dti *l)
{
	for (int i = 0; i < FAB_OPTIONS; i++)
		if (l->option_set & ~d->option_set & (1u << i))
			d->option[i] = l->option[i];
	d->option_set |= l->option_set;
}

int ppe_dti_accept(struct ppe_dti *l, struct ppe_dti *d, uint64_t timeout_ns, uint64_t user_tag)
{
	struct ppe_ual *ual = l->ual;
	int err;

	if (d->ual != ual || l == d)
		return -EINVAL;
	err = control_enter(ual);
	if (err)
		return err;
	err = accept_post(l, d, timeout_ns);
	if (err)
		return control_leave(ual, err);
	d->state = DTI_CONNECTING;
	d->parent = l;
	d->cm_tag = user_tag;
	d->acc_evq = l->rx_evq;
	d->acc_evq->bound++;
	options_inherit(d, l);
	list_add_tail(&l->accepts, &d->accepts);
	/* a connection that waits already is the fabric's to find, and to wake a sleeper for; but a
	 * thread that guards does not sleep there */
	return ual->placement == PPE_ADAPTIVE ? control_leave_run(ual, 0) : control_leave(ual, 0);
}

/* --------------------------------------------------------------------------- requests */

int ppe_dti_accept_request(struct ppe_dti *d, uint64_t request, uint64_t user_tag,
			   const void *pdata, size_t len)
{
	struct ppe_ual *ual = d->ual;
	struct ppe_request *r;
	int err;

	if (len > FAB_PDATA_MAX)
		return -EMSGSIZE;
	err = control_enter(ual);
	if (err)
		return err;
	err = dti_may_connect(d);
	r = request_find(ual, request);
	if (err || d->service != PPE_MESSAGE || !r)
		return control_leave(ual, err ? err : r ? -EINVAL : -ESTALE);
	if (!r->conn) {
		request_free(r);
		return control_leave(ual, -ESTALE);
	}
	err = message_accept(d, r->conn, &r->who, pdata, len);
	if (!err) {
		d->state = DTI_CONNECTING;
		d->cm_tag = user_tag;
		request_free(r);
	} else if (err == -ESTALE) {
		/* its peer left after its listener did, and nobody could say so */
		msg_of(d)->conn_close(r->conn, false);
		request_free(r);
	}
	return control_leave_run(ual, err);
}

int ppe_ual_reject_request(struct ppe_ual *ual, uint64_t request, const void *pdata, size_t len)
{
	struct ppe_request *r;
	int err;

	if (len > FAB_PDATA_MAX)
		return -EMSGSIZE;
	err = control_enter(ual);
	if (err)
		return err;
	r = request_find(ual, request);
	if (!r)
		return control_leave(ual, -ESTALE);
	if (r->conn)
		ual->fabric.msg->reject(r->conn, pdata, len);
	request_free(r);
	return control_leave_run(ual, 0);
}

static void copy_out(void *to, size_t *room, const void *from, size_t len)
{
	if (len > *room)
		len = *room;
	if (len)
		memcpy(to, from, len);
	*room = len;
}

int ppe_ual_request_info(struct ppe_ual *ual, uint64_t request, union fab_addr *local,
			 union fab_addr *peer, void *pdata, size_t *len)
{
	struct ppe_request *r;
	int err = control_enter(ual);

	if (err)
		return err;
	r = request_find(ual, request);
	if (!r)
		return control_leave(ual, -ESTALE);
	*local = r->local;
	*peer = r->peer;
	copy_out(pdata, len, r->pdata, r->len);
	return control_leave(ual, 0);
}

int ppe_dti_pdata(struct ppe_dti *d, void *pdata, size_t *len)
{
	int err = control_enter(d->ual);

	if (err)
		return err;
	copy_out(pdata, len, d->pdata, d->pdata_len);
	return control_leave(d->ual, 0);
}

/* --------------------------------------------------------------------------- ending */

int ppe_dti_shutdown_rx(struct ppe_dti *d)
{
	int err = control_enter(d->ual);

	if (err)
		return err;
	if (d->service != PPE_STREAM || d->state != DTI_CONNECTED)
		return control_leave(d->ual, -ENOTCONN);
	d->rx_shut = true;
	stream_drop_anon(d);
	dti_starved(d);
	dti_activate(d);
	return control_leave_run(d->ual, 0);
}

int ppe_dti_disconnect(struct ppe_dti *d)
{
	int err = control_enter(d->ual);

	if (err)
		return err;
	if (d->service != PPE_MESSAGE || d->state != DTI_CONNECTED)
		return control_leave(d->ual, -ENOTCONN);
	d->tx_shut = true;
	dti_activate(d);
	return control_leave_run(d->ual, 0);
}

/* ------------------------------------------------------------------------------ cancel */

/* A request that has not begun, in place: its queue still passes over it. */
static int cancel_slot(struct ppe_dti *d, struct ppe_evq *q, union ppe_slot *slot, unsigned slots,
		       enum ppe_event_type type)
{
	if (!evq_reserve(q))
		return -EAGAIN;
	dti_event(d, q, type, slot->wr.user_tag, -ECANCELED, 0);
	count(d->ual, cancelled, 1);
	file_sent(d->ual, slot);
	slot->wr = (struct ppe_wr){ .op = PPE_WR_NONE, .nslots = slots };
	return 0;
}

static int cancel_queue(struct ppe_dti *d, struct queue_view v, uint32_t skip, uint64_t tag,
			struct ppe_evq *q, enum ppe_event_type type)
{
	uint32_t head = atomic_load_explicit(&v.idx->head, memory_order_relaxed), at = skip;
	struct wr_copy c;
	unsigned slots;
	int n = 0;

	while ((slots = queue_peek(v, at, &c))) {
		const struct ppe_wr *wr = &c.s[0].wr;

		if ((wr->op == PPE_WR_SEND || wr->op == PPE_WR_RECV ||
		     wr->op == PPE_WR_SEND_FILE) &&
		    wr->user_tag == tag) {
			int err = cancel_slot(d, q, &v.ring[(head + at) & v.mask], slots, type);

			if (err)
				return n ? n : err;
			n++;
		}
		at += slots;
	}
	return n;
}

/* The connect or accept of @d itself. */
static bool cancel_setup(struct ppe_dti *d)
{
	if (d->state != DTI_CONNECTING)
		return false;
	if (d->parent) {
		timer_stop(&d->ual->timers, &d->timer);
		stream_of(d)->unaccept(d->parent->listener, 1);
		list_del(&d->accepts);
		d->parent = NULL;
		d->pending |= PEND_ACCEPT;
		d->state = DTI_IDLE;
	} else {
		if (d->service == PPE_STREAM)
			stream_of(d)->conn_close(d->conn, true);
		else
			message_cancel_connect(d);
		d->conn = NULL;
		d->pending |= PEND_CONNECT;
		dti_die(d, -ECANCELED);
	}
	d->cm_status = -ECANCELED;
	count(d->ual, cancelled, 1);
	dti_activate(d);
	return true;
}

static int cancel_accepts(struct ppe_dti *l, uint64_t tag)
{
	struct list *node = l->accepts.next, *next;
	int n = 0;

	for (; l->state == DTI_LISTENING && node != &l->accepts; node = next) {
		struct ppe_dti *child = list_entry(node, struct ppe_dti, accepts);

		next = node->next;
		if (child->cm_tag == tag && cancel_setup(child))
			n++;
	}
	return n;
}

static int dti_cancel(struct ppe_dti *d, uint64_t tag, unsigned which)
{
	uint32_t sq_skip = d->tx_part ? d->tx_copy.s[0].wr.nslots : 0;
	int n = 0, more;

	if (which & PPE_CANCEL_CONNECT) {
		n += cancel_accepts(d, tag);
		if (d->cm_tag == tag)
			n += cancel_setup(d);
	}
	if (d->m) {
		more = message_cancel(d, tag, which);
		if (more < 0 && !n)
			return more;
		n += more > 0 ? more : 0;
	}
	if ((which & PPE_CANCEL_SEND) && d->service == PPE_STREAM) {
		more = cancel_queue(d, dti_sq(d), sq_skip, tag, d->tx_evq, PPE_EV_SEND);
		if (more < 0 && !n)
			return more;
		n += more > 0 ? more : 0;
	}
	if ((which & PPE_CANCEL_RECV) && d->service == PPE_STREAM) {
		more = cancel_queue(d, dti_rq(d), 0, tag, d->rx_evq, PPE_EV_RECV);
		if (more < 0 && !n)
			return more;
		n += more > 0 ? more : 0;
	}
	return n ? n : -ENOENT;
}

int ppe_dti_cancel(struct ppe_dti *d, uint64_t user_tag, unsigned which)
{
	int n = control_enter(d->ual);

	if (n)
		return n;
	n = dti_cancel(d, user_tag, which);
	/* what waited behind a cancelled one may go on */
	dti_activate(d);
	turn_run(d->ual, TURN_POST);
	return control_leave(d->ual, n);
}

/* ----------------------------------------------------------------------------- options */

void dti_options_apply(struct ppe_dti *d)
{
	for (int i = 0; i < FAB_OPTIONS; i++)
		if (d->option_set & (1u << i))
			stream_of(d)->set_option(d->conn, i, d->option[i]);
}

int ppe_dti_set_option(struct ppe_dti *d, int opt, int value)
{
	int err;

	if ((unsigned)opt >= PPE_OPTIONS)
		return -ENOPROTOOPT;
	if (d->service != PPE_STREAM)
		return -EOPNOTSUPP;
	err = control_enter(d->ual);
	if (err)
		return err;
	if (d->state == DTI_CONNECTED && opt < FAB_OPTIONS)
		err = stream_of(d)->set_option(d->conn, opt, value);
	if (!err) {
		d->option_set |= 1u << opt;
		d->option[opt] = value;
	}
	return control_leave(d->ual, err);
}

int ppe_dti_get_option(struct ppe_dti *d, int opt, int *value)
{
	static const int unset[PPE_OPTIONS] = { [FAB_OPT_NODELAY] = 1 };
	int err;

	if ((unsigned)opt >= PPE_OPTIONS)
		return -ENOPROTOOPT;
	if (d->service != PPE_STREAM)
		return -EOPNOTSUPP;
	err = control_enter(d->ual);
	if (err)
		return err;
	if (d->state == DTI_CONNECTED && opt < FAB_OPTIONS)
		err = stream_of(d)->get_option(d->conn, opt, value);
	else
		*value = d->option_set & (1u << opt) ? d->option[opt] : unset[opt];
	return control_leave(d->ual, err);
}
