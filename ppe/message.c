/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * message.c - a DTI of the message service: its life, its connection if it has one, its queues' way
 * into the rest. message.h says where that is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ppe/message.h"

bool msg_is_rdm(const struct ppe_dti *d)
{
	return d->m->av != NULL;
}

/* ----------------------------------------------------------------------- descriptors */

static int view_plain(const union ppe_slot *s, unsigned slots, struct msg_view *v)
{
	const struct ppe_wr *wr = &s->wr;
	unsigned payload = slots * PPE_CACHE_LINE - sizeof(*wr);
	const uint8_t *p = s->bytes + sizeof(*wr);

	if (wr->op != PPE_WR_SEND && wr->op != PPE_WR_RECV)
		return -EBADMSG;
	if (wr->flags & PPE_WR_INLINE) {
		v->inline_data = p;
		return wr->op == PPE_WR_SEND && !wr->nsge && wr->length <= payload ? 0 : -EBADMSG;
	}
	v->sge = (const struct ppe_sge *)(const void *)p;
	v->nsge = wr->nsge;
	return wr->nsge <= PPE_SGE_MAX && wr->nsge * sizeof(struct ppe_sge) <= payload ? 0
										       : -EBADMSG;
}

static int view_atomic(struct msg_view *v)
{
	struct ppe_wr_atomic a;

	memcpy(&a, &v->m->tag, sizeof(a));
	v->ncmp = a.ncmp;
	v->nres = a.nres;
	if (a.ncmp > PPE_ATOMIC_SGE || a.nres > PPE_ATOMIC_SGE || v->nsge < v->ncmp + v->nres)
		return -EBADMSG;
	v->nsge -= v->ncmp + v->nres;
	return v->nsge <= PPE_ATOMIC_SGE ? 0 : -EBADMSG;
}

int msg_view(const union ppe_slot *s, unsigned slots, struct msg_view *v)
{
	const struct ppe_wr *wr = &s->wr;
	const uint8_t *p = s->bytes + sizeof(*wr);
	size_t need = sizeof(*wr) + sizeof(struct ppe_wr_msg);

	memset(v, 0, sizeof(*v));
	v->wr = wr;
	if (wr->op != PPE_WR_MESSAGE)
		return view_plain(s, slots, v);
	v->m = (const struct ppe_wr_msg *)(const void *)p;
	p += sizeof(*v->m);
	if (v->m->flags & PPE_POST_TRIGGER) {
		v->trigger = (const struct ppe_wr_trigger *)(const void *)p;
		p += sizeof(*v->trigger);
		need += sizeof(*v->trigger);
	}
	need += wr->nsge * sizeof(struct ppe_sge) + v->m->nrma * sizeof(struct ppe_rma);
	if (wr->flags & PPE_WR_INLINE)
		need += wr->length;
	if (v->m->nrma > PPE_RMA_MAX || need > slots * PPE_CACHE_LINE)
		return -EBADMSG;
	v->sge = (const struct ppe_sge *)(const void *)p;
	v->nsge = wr->nsge;
	p += wr->nsge * sizeof(struct ppe_sge);
	v->rma = (const struct ppe_rma *)(const void *)p;
	v->nrma = v->m->nrma;
	if (wr->flags & PPE_WR_INLINE)
		v->inline_data = p + v->nrma * sizeof(struct ppe_rma);
	return v->m->op >= PPE_OP_ATOMIC ? view_atomic(v) : 0;
}

/* --------------------------------------------------------------------------- counters */

void msg_count(struct ppe_dti *d, struct ppe_cntr *complete, unsigned what, bool ok)
{
	struct ppe_cntr *c = complete;

	for (unsigned i = 0; !c && i < PPE_COUNTED; i++)
		if (what == 1u << i)
			c = d->m->counts[i];
	if (!c)
		return;
	if (ok)
		cntr_bump(c);
	else
		cntr_fail(c);
}

int ppe_dti_count(struct ppe_dti *d, unsigned what, struct ppe_cntr *cntr)
{
	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	if (d->service != PPE_MESSAGE || !what || what >> PPE_COUNTED || !cntr)
		return -EINVAL;
	turn_lock(d->ual);
	for (unsigned i = 0; i < PPE_COUNTED; i++) {
		if (!(what & (1u << i)))
			continue;
		if (d->m->counts[i])
			cntr_drop(d->m->counts[i]);
		cntr_hold(cntr);
		d->m->counts[i] = cntr;
	}
	turn_unlock(d->ual);
	return 0;
}

int ppe_dti_set_multi_min(struct ppe_dti *d, size_t bytes)
{
	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	if (d->service == PPE_STREAM)
		return -EINVAL;
	turn_lock(d->ual);
	d->m->rxq->multi_min = bytes;
	turn_unlock(d->ual);
	return 0;
}

int ppe_dti_source(struct ppe_dti *d, uint32_t src, union fab_addr *addr)
{
	uint32_t index = src & ~PPE_SRC_UNKNOWN;
	int err = -ESTALE;

	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	if (d->service != PPE_MESSAGE)
		return -EINVAL;
	turn_lock(d->ual);
	if ((src & PPE_SRC_UNKNOWN) && index < d->m->npeers) {
		*addr = d->m->by_index[index]->addr;
		err = 0;
	}
	turn_unlock(d->ual);
	return err;
}

/* ------------------------------------------------------------------------------ codes */

int msg_code(int err)
{
	switch (err) {
	case 0:
		return ULP_OK;
	case -ENOKEY:
	case -EKEYREVOKED:
		return ULP_E_KEY;
	case -ERANGE:
		return ULP_E_BOUNDS;
	case -EACCES:
		return ULP_E_ACCESS;
	case -EPERM:
		return ULP_E_AUTH;
	case -ENOMEM:
		return ULP_E_NOMEM;
	case -ECANCELED:
		return ULP_E_CANCELED;
	default:
		return ULP_E_INVALID;
	}
}

int msg_errno(uint8_t code)
{
	static const int err[] = {
		[ULP_OK] = 0,
		[ULP_E_KEY] = -ENOKEY,
		[ULP_E_BOUNDS] = -ERANGE,
		[ULP_E_ACCESS] = -EACCES,
		[ULP_E_AUTH] = -EPERM,
		[ULP_E_INVALID] = -EOPNOTSUPP,
		[ULP_E_NOMEM] = -ENOBUFS,
		[ULP_E_CANCELED] = -ECANCELED,
	};

	return code < sizeof(err) / sizeof(err[0]) ? err[code] : -EREMOTEIO;
}

/* ------------------------------------------------------------------------------- life */

static int hold_what_it_names(struct msg_dti *m, const struct ppe_dti_attr *a)
{
	if (a->pd)
		pd_hold(a->pd);
	if (a->av)
		av_hold(a->av);
	if (a->srq)
		a->srq->m->users++;
	m->pd = a->pd;
	m->av = a->av;
	m->srq = a->srq;
	return 0;
}

static bool attr_fits(const struct ppe_dti *d, const struct ppe_dti_attr *a)
{
	if (d->service == PPE_SHARED_RECV)
		return !a->pd && !a->av && !a->srq && !a->auth_len;
	return !a->srq || (a->srq->ual == d->ual && a->srq->service == PPE_SHARED_RECV);
}

int message_create(struct ppe_dti *d, const struct ppe_dti_attr *a)
{
	struct msg_dti *m;
	int err;

	if (!attr_fits(d, a))
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	err = a->auth_len ? auth_intern(d->ual, a->auth, a->auth_len, &m->auth) : 0;
	if (!err && getrandom(&m->incarnation, sizeof(m->incarnation), 0) < 0)
		err = -EIO;
	if (err) {
		free(m);
		return err;
	}
	d->m = m;
	list_init(&m->links);
	list_init(&m->peers);
	list_init(&m->triggered);
	list_init(&m->ended);
	list_init(&m->immediates);
	rxq_init(&m->own, d, a->rx_max ? a->rx_max : MSG_OPS_MAX);
	m->rxq = a->srq ? a->srq->m->rxq : &m->own;
	m->tx_max = a->tx_max ? a->tx_max : MSG_OPS_MAX;
	m->no_tx_events = a->no_tx_events;
	m->no_rx_events = a->no_rx_events;
	m->peer_timeout_ns = a->peer_timeout_ns;
	m->connect_timeout_ns = a->connect_timeout_ns;
	return hold_what_it_names(m, a);
}

void message_free(struct ppe_dti *d)
{
	struct msg_dti *m = d->m;

	if (!m)
		return;
	timer_stop(&d->ual->timers, &m->timer);
	peers_free(d);
	for (unsigned i = 0; i < PPE_COUNTED; i++)
		if (m->counts[i])
			cntr_drop(m->counts[i]);
	if (m->pd)
		pd_drop(m->pd);
	if (m->av)
		av_drop(m->av);
	if (m->srq)
		m->srq->m->users--;
	if (m->auth)
		auth_release(d->ual, m->auth);
	free(m->by_number);
	free(m->by_index);
	free(m);
	d->m = NULL;
}

/* Operations that wait for a counter, and never will begin. */
static void triggered_drop(struct ppe_dti *d, int error)
{
	while (!list_empty(&d->m->triggered)) {
		struct msg_op *op = list_entry(d->m->triggered.next, struct msg_op, link);

		list_del(&op->trigger.link);
		op_end(op, error);
	}
}

/* Connections end, and with them what was begun on them. */
void message_close(struct ppe_dti *d, int error)
{
	struct msg_dti *m = d->m;

	m->closing = true;
	if (msg_is_rdm(d))
		for (struct list *n = m->peers.next; n != &m->peers; n = n->next)
			peer_fail(list_entry(n, struct msg_peer, of_dti), error);
	while (!list_empty(&m->links))
		link_fail(list_entry(m->links.next, struct msg_link, of_dti), error);
	if (m->peer)
		peer_fail(m->peer, error);
	triggered_drop(d, error);
	timer_stop(&d->ual->timers, &m->timer);
}

bool message_flush(struct ppe_dti *d, int error, bool discard)
{
	struct msg_dti *m = d->m;

	triggered_drop(d, error);
	if (!ops_tell(d))
		return false;
	if (m->rxq != &m->own)
		return true;
	return rxq_flush(&m->own, error, discard);
}

/* It goes: messages that came for it, to a shared queue perhaps. */
void message_forget(struct ppe_dti *d)
{
	rxq_forget(d->m->rxq, d, NULL);
	rx_forget_immediates(d);
	/* it may have been its event queue that a shared queue waited for */
	if (d->m->srq && d->m->rxq->blocked)
		dti_activate(d->m->srq);
}

/* ---------------------------------------------------------- upcalls from a connection */

static void up_connected(void *user, int err, const struct fab_msg_peer *who, const void *pdata,
			 size_t len)
{
	struct msg_link *l = user;

	if (msg_is_rdm(l->d))
		peer_connected(l, err, who, pdata, len);
	else
		message_connected(l, err, who, pdata, len);
}

static const struct fab_send *up_tx_peek(void *user, unsigned i)
{
	return link_peek(user, i);
}

static void up_tx_done(void *user, unsigned n, unsigned begun)
{
	link_done(user, n, begun);
}

static int up_rx_whole(void *user, const void *p, uint32_t len)
{
	struct msg_link *l = user;

	l->rx_seen = true;
	return rx_whole(l, p, len);
}

static int up_rx_place(void *user, struct fab_place *piece, struct iovec *iov, int max)
{
	struct msg_link *l = user;

	(void)max;
	l->rx_seen = true;
	return rx_place(l, piece, iov);
}

static void up_rx_done(void *user, const struct fab_place *piece)
{
	struct msg_link *l = user;
	int err = rx_done(l, piece);

	if (err)
		link_closed(l, err);
}

static int up_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	struct msg_link *l = user;

	(void)max;
	l->rx_seen = true;
	return rx_tagged(l, t, iov);
}

static void up_rx_tagged_done(void *user, const struct fab_tagged *t)
{
	struct msg_link *l = user;
	int err;

	l->rx_seen = true;
	err = rx_tagged_done(l, t);
	if (err)
		link_closed(l, err);
}

static int up_rx_read(void *user, const struct fab_read_req *r)
{
	struct msg_link *l = user;

	l->rx_seen = true;
	return resp_ask(l, r);
}

static int up_rx_atomic(void *user, const struct fab_atomic_req *r)
{
	return rx_atomic(user, r);
}

static int up_rx_atomic_resp(void *user, uint32_t id, uint64_t value)
{
	return rx_atomic_resp(user, id, value);
}

static int up_rx_immediate(void *user, uint64_t value)
{
	return rx_immediate(user, value);
}

static int up_rx_key(void *user, const struct fab_key_req *r, struct fab_key *key)
{
	struct msg_link *l = user;

	l->rx_seen = true;
	return rx_key(l, r, key);
}

static void up_rx_fetched(void *user, const struct fab_read_req *r)
{
	struct msg_link *l = user;

	l->rx_seen = true;
	rx_fetched(l, r);
}

static void up_closed(void *user, int err)
{
	struct msg_link *l = user;

	link_closed(l, err);
}

const struct fab_msg_user message_user = {
	.connected = up_connected,
	.tx_peek = up_tx_peek,
	.tx_done = up_tx_done,
	.rx_whole = up_rx_whole,
	.rx_place = up_rx_place,
	.rx_done = up_rx_done,
	.rx_tagged = up_rx_tagged,
	.rx_tagged_done = up_rx_tagged_done,
	.rx_read = up_rx_read,
	.rx_atomic = up_rx_atomic,
	.rx_atomic_resp = up_rx_atomic_resp,
	.rx_immediate = up_rx_immediate,
	.rx_key = up_rx_key,
	.rx_fetched = up_rx_fetched,
	.closed = up_closed,
};

/* ------------------------------------------------------------------- connected DTIs */

static void pdata_keep(struct ppe_dti *d, const void *pdata, size_t len)
{
	free(d->pdata);
	d->pdata = len ? malloc(len) : NULL;
	d->pdata_len = d->pdata ? len : 0;
	if (d->pdata)
		memcpy(d->pdata, pdata, len);
}

/* The one link of a connected DTI, before its connection is asked for. */
static int only_link(struct ppe_dti *d, enum link_state state, struct msg_link **out)
{
	static const union fab_addr nowhere;

	if (!d->m->peer)
		d->m->peer = peer_new(d, &nowhere);
	if (!d->m->peer)
		return -ENOMEM;
	*out = link_new(d, d->m->peer, state);
	if (!*out)
		return -ENOMEM;
	d->m->peer->l = *out;
	return 0;
}

static void only_link_undo(struct msg_link *l)
{
	l->peer->l = NULL;
	link_drop(l, -ECANCELED, true);
}

int message_connect(struct ppe_dti *d, const struct fab_connect_attr *attr, const void *pdata,
		    size_t len)
{
	const struct fabric *f = &d->ual->fabric;
	struct fab_hello hello;
	struct msg_link *l;
	int err;

	if (d->service != PPE_MESSAGE || msg_is_rdm(d))
		return -EOPNOTSUPP;
	err = only_link(d, LINK_DIALLING, &l);
	if (err)
		return err;
	hello_fill(l, &hello);
	err = f->msg->connect(f->m, attr, &hello, pdata, len, &message_user, l, &l->conn);
	if (err)
		only_link_undo(l);
	return err;
}

int message_accept(struct ppe_dti *d, struct fab_msg_conn *conn, const struct fab_msg_peer *who,
		   const void *pdata, size_t len)
{
	const struct fabric *f = &d->ual->fabric;
	struct fab_hello hello;
	struct msg_link *l;
	int err = only_link(d, LINK_ACCEPTING, &l);

	if (err)
		return err;
	hello_fill(l, &hello);
	link_prove(l, who, &hello);
	l->conn = conn;
	err = f->msg->accept(conn, &hello, pdata, len, &message_user, l);
	if (err) {
		l->conn = NULL;
		only_link_undo(l);
	}
	return err;
}

void message_connected(struct msg_link *l, int err, const struct fab_msg_peer *who,
		       const void *pdata, size_t len)
{
	struct ppe_dti *d = l->d;

	pdata_keep(d, pdata, len);
	d->pending |= PEND_CONNECT;
	d->cm_status = err;
	if (!err)
		err = link_open(l, who);
	if (err) {
		d->cm_status = err;
		if (!who)
			l->conn = NULL; /* it is gone */
		l->peer->l = NULL;
		link_drop(l, err, true);
		dti_die(d, err);
		return;
	}
	d->state = DTI_CONNECTED;
	d->ual->fabric.msg->conn_addr(l->conn, &d->local, &d->peer);
	if (dti_tell_setup(d))
		d->ual->fabric.msg->rx_want(l->conn);
	else
		l->stalled = true;
	dti_activate(d);
}

static const struct msg_peer *peer_of(struct ppe_dti *d, uint32_t peer)
{
	uint32_t index = peer & ~PPE_SRC_UNKNOWN;

	if (!msg_is_rdm(d))
		return d->m->peer;
	if (!(peer & PPE_SRC_UNKNOWN))
		return peer_by_number(d, peer);
	return index < d->m->npeers ? d->m->by_index[index] : NULL;
}

const char *message_wire(struct ppe_dti *d, uint32_t peer)
{
	const struct msg_peer *p = peer_of(d, peer);

	if (!p || !p->l || p->l->state != LINK_OPEN)
		return NULL;
	return fabric_msg_wire(&d->ual->fabric, p->l->conn);
}

/* The connection of a DTI that has but one is gone. */
void message_closed(struct ppe_dti *d, int err)
{
	d->pending |= PEND_CLOSED;
	d->closed_status = d->error ? d->error : err;
	dti_die(d, d->closed_status ? d->closed_status : -ESHUTDOWN);
}

/* A connect that was cancelled: nothing has begun on it. */
void message_cancel_connect(struct ppe_dti *d)
{
	if (d->m->peer && d->m->peer->l)
		only_link_undo(d->m->peer->l);
}

/* ------------------------------------------------------------------------------ cancel */

static struct msg_op *triggered_find(const struct ppe_dti *d, uint64_t tag)
{
	for (struct list *n = d->m->triggered.next; n != &d->m->triggered; n = n->next) {
		struct msg_op *op = list_entry(n, struct msg_op, link);

		if (op->s[0].wr.user_tag == tag)
			return op;
	}
	return NULL;
}

static int triggered_cancel(struct ppe_dti *d, uint64_t tag)
{
	struct msg_op *op;
	int n = 0;

	/* from the beginning each time: the end of one may set others of the list going */
	for (; (op = triggered_find(d, tag)); n++) {
		list_del(&op->trigger.link);
		op_end(op, -ECANCELED);
	}
	return n;
}

/* Sends that have not begun, receives that no message has met. */
int message_cancel(struct ppe_dti *d, uint64_t tag, unsigned which)
{
	struct msg_dti *m = d->m;
	int n = 0;

	if (which & PPE_CANCEL_SEND) {
		if (d->state == DTI_CONNECTED || d->state == DTI_LISTENING)
			msg_take_sends(d);
		n += triggered_cancel(d, tag);
		for (struct list *p = m->peers.next; p != &m->peers; p = p->next)
			n += peer_cancel(list_entry(p, struct msg_peer, of_dti), tag);
	}
	if (which & PPE_CANCEL_RECV) {
		int more;

		rxq_fill(&m->own);
		more = rxq_cancel(&m->own, tag);
		if (more < 0)
			return n ? n : more;
		n += more;
	}
	return n;
}

bool message_wants_no_event(const struct ppe_dti *d, bool recv, const union ppe_slot *s)
{
	const struct ppe_wr_msg *m = (const void *)(s->bytes + sizeof(struct ppe_wr));

	if (recv ? d->m->no_rx_events : d->m->no_tx_events)
		return true;
	return s->wr.op == PPE_WR_MESSAGE && !recv && (m->flags & PPE_POST_INJECT);
}

void message_describe_flushed(bool recv, const union ppe_slot *s, struct ppe_event *ev)
{
	const struct ppe_wr_msg *m = (const void *)(s->bytes + sizeof(struct ppe_wr));

	if (s->wr.op != PPE_WR_MESSAGE)
		return;
	if (!recv)
		ev->type = msg_event_type(m->op);
	if (!(m->flags & PPE_POST_TAGGED))
		return;
	ev->flags |= PPE_EVF_TAGGED;
	ev->tag = m->tag;
}

void message_count_flushed(struct ppe_dti *d, bool recv, const union ppe_slot *s, unsigned slots)
{
	struct ppe_cntr *complete = NULL;
	struct msg_view v;
	unsigned what;

	if (msg_view(s, slots, &v))
		return;
	what = recv ? PPE_COUNT_RECV : msg_counted_as(v.m ? v.m->op : PPE_OP_SEND);
	if (v.trigger && v.trigger->complete)
		complete = cntr_of(d->ual, v.trigger->complete);
	if (complete || !v.m || !msg_uncounted(v.m->flags, v.wr->flags & PPE_WR_SILENT))
		msg_count(d, complete, what, false);
}

bool message_is_rdm(const struct ppe_dti *d)
{
	return d->m && msg_is_rdm(d);
}

/* ------------------------------------------------------------------ one turn's work */

/* A disconnect that was asked for goes behind all that was posted before. */
static void shutdown_if_done(struct ppe_dti *d)
{
	struct msg_link *l = d->m->peer ? d->m->peer->l : NULL;

	if (!d->tx_shut || !l || d->m->nops || ppe_spsc_count(&d->sh->sq))
		return;
	d->tx_shut = false;
	d->ual->fabric.msg->shutdown(l->conn);
}

void message_op_ended(struct ppe_dti *d)
{
	if (d->m->sq_waits || d->tx_shut)
		dti_activate(d);
}

static void run_receives(struct ppe_dti *d)
{
	struct msg_rxq *q = d->m->rxq;

	rx_tell_immediates(d);
	rxq_retry(q);
	if (ppe_spsc_count(&q->owner->sh->rq) &&
	    (q->nwaiting || q->owner == d ||
	     atomic_load_explicit(&q->owner->sh->starved, memory_order_relaxed)))
		rxq_fill(q);
}

/* Reading goes on where it had stopped for want of a receive, which is only so with strangers. */
static void run_stalled(struct ppe_dti *d)
{
	struct msg_link *l = d->m->peer ? d->m->peer->l : NULL;

	if (!l || !l->stalled || l->state != LINK_OPEN)
		return;
	l->stalled = false;
	if (!d->m->rxq->nwaiting)
		atomic_store_explicit(&d->m->rxq->owner->sh->starved, 0, memory_order_relaxed);
	d->ual->fabric.msg->rx_want(l->conn);
}

void message_run(struct ppe_dti *d)
{
	if (d->service == PPE_SHARED_RECV) {
		rxq_retry(&d->m->own);
		rxq_fill(&d->m->own);
		shared_run_stalled(d);
		return;
	}
	if (d->state == DTI_LISTENING && !msg_is_rdm(d)) {
		requests_tell(d);
		return;
	}
	if (d->state != DTI_CONNECTED && d->state != DTI_LISTENING)
		return;
	links_fail_doomed(d);
	ops_tell(d);
	run_receives(d);
	if (d->state == DTI_CONNECTED)
		run_stalled(d);
	msg_take_sends(d);
	shutdown_if_done(d);
}

/* A shared queue has a receive: who of those that use it had stopped reading? */
void shared_run_stalled(struct ppe_dti *srq)
{
	struct ppe_ual *ual = srq->ual;

	if (!srq->m->own.strangers)
		return;
	srq->m->own.strangers = false;
	for (uint32_t i = 0; i < ual->ndtis; i++) {
		struct ppe_dti *d = ual->dtis[i];

		if (d->in_use && d->m && d->m->srq == srq)
			run_stalled(d);
	}
}
