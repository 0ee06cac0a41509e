/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dti.c - a DTI's life, and what both services share: its queues, its events, its end.
 *
 * DTIs are never given back to the allocator while their UAL lives, so a stale handle meets a DTI of
 * another generation, not freed memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/file.h"

#define DEFAULT_SLOTS 16
#define SLOTS_MAX (1u << 20)
#define NO_DTI UINT32_MAX

/* ------------------------------------------------------------------------ create */

/* A request of @longest slots must fit wherever the queue's end is, when the queue is empty. */
static uint32_t slots_round(uint32_t n, uint32_t longest)
{
	uint32_t p = PPE_WR_SLOTS_MAX * 2;

	while (p < (n ? n : DEFAULT_SLOTS) || p < longest * 2)
		p *= 2;
	return p;
}

static size_t shared_bytes(const struct ppe_dti *d)
{
	return sizeof(struct dti_shared) +
	       ((size_t)d->sq_mask + 1 + d->rq_mask + 1) * sizeof(union ppe_slot);
}

/* A DTI object: one that was used before, or a new one. */
static struct ppe_dti *object_take(struct ppe_ual *ual)
{
	struct ppe_dti *d;

	if (ual->dti_first_free != NO_DTI) {
		d = ual->dtis[ual->dti_first_free];
		ual->dti_first_free = d->next_free;
		return d;
	}
	if (ual->ndtis == ual->max_dtis)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->ual = ual;
	d->handle = handle_make(ual->ndtis, 1);
	ual->dtis[ual->ndtis++] = d;
	return d;
}

static void object_give(struct ppe_dti *d)
{
	struct ppe_ual *ual = d->ual;
	uint32_t generation = (handle_generation(d->handle) + 1) % HANDLE_GENERATIONS;

	/* never 0, so that no handle is 0 */
	d->handle = handle_make(handle_number(d->handle), generation ? generation : 1);
	d->next_free = ual->dti_first_free;
	ual->dti_first_free = handle_number(d->handle);
}

/* Rings of the size asked for; those of the last use are kept when they fit. */
static int rings_place(struct ppe_dti *d, uint32_t sq, uint32_t rq)
{
	/* a doorbell of the last use may still be on its way: it stays rung until it is taken */
	uint32_t rung = d->sh ? atomic_load(&d->sh->rung) : 0;

	if (d->sh && (d->sq_mask != sq - 1 || d->rq_mask != rq - 1)) {
		segment_free(&d->ual->segment, d->sh, shared_bytes(d));
		d->sh = NULL;
	}
	d->sq_mask = sq - 1;
	d->rq_mask = rq - 1;
	if (!d->sh)
		d->sh = segment_alloc(&d->ual->segment, shared_bytes(d));
	if (!d->sh)
		return -ENOMEM;
	d->sq_ring = (union ppe_slot *)(d->sh + 1);
	d->rq_ring = d->sq_ring + sq;
	ppe_spsc_init(&d->sh->sq);
	ppe_spsc_init(&d->sh->rq);
	atomic_store(&d->sh->starved, 0);
	atomic_store(&d->sh->rung, rung);
	return 0;
}

/* Everything behind the fields that outlive a use. */
static void dti_reset(struct ppe_dti *d)
{
	struct ppe_dti keep = *d;

	memset(d, 0, sizeof(*d));
	d->ual = keep.ual;
	d->sh = keep.sh;
	d->handle = keep.handle;
	d->sq_mask = keep.sq_mask;
	d->rq_mask = keep.rq_mask;
	list_init(&d->active);
	for (int i = 0; i < STALL_PLACES; i++) {
		list_init(&d->stall[i].link);
		d->stall[i].dti = d;
	}
	list_init(&d->pool_wait);
	list_init(&d->accepts);
	list_init(&d->requests);
}

static void evq_bind(struct ppe_dti *d, const struct ppe_dti_attr *a)
{
	d->tx_evq = a->tx_evq;
	d->rx_evq = a->rx_evq ? a->rx_evq : a->tx_evq;
	d->cm_evq = a->cm_evq ? a->cm_evq : a->tx_evq;
	d->tx_evq->bound++;
	d->rx_evq->bound++;
	d->cm_evq->bound++;
}

static int dti_create(struct ppe_ual *ual, const struct ppe_dti_attr *a, struct ppe_dti **out)
{
	struct ppe_dti *d = object_take(ual);
	uint32_t longest = a->service == PPE_MESSAGE ? PPE_WR_MESSAGE_SLOTS_MAX : PPE_WR_SLOTS_MAX;
	int err;

	if (!d)
		return ual->ndtis == ual->max_dtis ? -ENOSPC : -ENOMEM;
	dti_reset(d);
	d->service = a->service;
	d->flags = a->flags;
	d->cookie = a->cookie;
	d->context = a->context;
	err = rings_place(d, slots_round(a->sq_slots, longest),
			  slots_round(a->rq_slots, PPE_WR_SLOTS_MAX));
	if (!err)
		err = d->service != PPE_STREAM ? message_create(d, a) : 0;
	if (err) {
		object_give(d);
		return err;
	}
	evq_bind(d, a);
	d->in_use = true;
	count(ual, dtis, 1);
	*out = d;
	return 0;
}

static bool attr_valid(const struct ppe_ual *ual, const struct ppe_dti_attr *a)
{
	if (!a->tx_evq || a->tx_evq->ual != ual || (a->flags & ~PPE_LOCKED))
		return false;
	if ((a->rx_evq && a->rx_evq->ual != ual) || (a->cm_evq && a->cm_evq->ual != ual))
		return false;
	if (a->auth_len > PPE_AUTH_MAX || (a->service == PPE_STREAM && (a->pd || a->av || a->srq)))
		return false;
	return a->service <= PPE_SHARED_RECV && a->sq_slots <= SLOTS_MAX &&
	       a->rq_slots <= SLOTS_MAX;
}

int ppe_dti_create(struct ppe_ual *ual, const struct ppe_dti_attr *attr, struct ppe_dti **dti)
{
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	if (!attr_valid(ual, attr))
		return -EINVAL;
	turn_lock(ual);
	err = dti_create(ual, attr, dti);
	turn_unlock(ual);
	return err;
}

uint32_t ppe_dti_handle(const struct ppe_dti *d)
{
	return d->handle;
}

uint64_t ppe_dti_cookie(const struct ppe_dti *d)
{
	return d->cookie;
}

struct ppe_dti *ppe_dti_lookup(struct ppe_ual *ual, uint32_t handle)
{
	struct ppe_dti *d;

	if (!ual_alive(ual))
		return NULL;
	turn_lock(ual);
	d = handle_number(handle) < ual->ndtis ? ual->dtis[handle_number(handle)] : NULL;
	if (d && (!d->in_use || d->handle != handle || (d->pending & PEND_FLUSH)))
		d = NULL;
	turn_unlock(ual);
	return d;
}

/* ------------------------------------------------------------------------- queues */

unsigned queue_peek_slots(struct queue_view q, uint32_t ahead, union ppe_slot *out, unsigned max)
{
	uint32_t ready = ppe_spsc_count(q.idx);
	uint32_t head = atomic_load_explicit(&q.idx->head, memory_order_relaxed) + ahead;
	uint32_t at = head & q.mask;
	unsigned n;

	/* more than the ring holds is no count of requests */
	if (ready <= ahead || ready > q.mask + 1)
		return 0;
	out[0] = q.ring[at];
	n = out[0].wr.nslots;
	/* a request neither leaves its queue's end nor takes slots that were not published; padding
	 * before the end may be of any length */
	if (!n || n > ready - ahead || at + n > q.mask + 1 ||
	    (n > max && out[0].wr.op != PPE_WR_NONE)) {
		out[0].wr.op = PPE_WR_NONE;
		out[0].wr.flags = PPE_WR_MALFORMED;
		return 1;
	}
	if (out[0].wr.op != PPE_WR_NONE && n > 1)
		memcpy(&out[1], &q.ring[at + 1], (n - 1) * sizeof(union ppe_slot));
	return n;
}

unsigned queue_peek(struct queue_view q, uint32_t ahead, struct wr_copy *out)
{
	return queue_peek_slots(q, ahead, out->s, PPE_WR_SLOTS_MAX);
}

int wr_reject(struct ppe_ual *ual, int err)
{
	static const struct {
		int err;
		enum ppe_reject why;
	} reasons[] = {
		{ -EBADMSG, PPE_REJECT_MALFORMED },   { -ENOKEY, PPE_REJECT_NO_REGION },
		{ -EKEYREVOKED, PPE_REJECT_REVOKED }, { -EKEYREJECTED, PPE_REJECT_TAG },
		{ -ERANGE, PPE_REJECT_BOUNDS },       { -EACCES, PPE_REJECT_ACCESS },
		{ -EFAULT, PPE_REJECT_FAULT },
	};

	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].err == err) {
			count(ual, rejects[reasons[i].why], 1);
			return err;
		}
	count(ual, rejects[PPE_REJECT_STATE], 1);
	return err;
}

static bool wr_well_formed(const struct wr_copy *c, unsigned access)
{
	const struct ppe_wr *wr = &c->s[0].wr;
	unsigned payload = wr->nslots * PPE_CACHE_LINE - sizeof(*wr);

	if (wr->op != (access == PPE_ACCESS_LOCAL_WRITE ? PPE_WR_RECV : PPE_WR_SEND))
		return false;
	if (wr->flags & PPE_WR_INLINE)
		return wr->op == PPE_WR_SEND && !wr->nsge && wr->length <= payload;
	return wr->nsge <= PPE_SGE_MAX && wr->nsge * sizeof(struct ppe_sge) <= payload;
}

int wr_resolve(struct ppe_ual *ual, const struct wr_copy *c, unsigned access, struct iovec *iov,
	       unsigned *niov)
{
	const struct ppe_wr *wr = &c->s[0].wr;
	const struct ppe_sge *sge = wr_sge(c);
	uint64_t total = 0;
	unsigned n = 0;

	if (!wr_well_formed(c, access))
		return -EBADMSG;
	if (wr->flags & PPE_WR_INLINE) {
		iov[0].iov_base = (void *)(uintptr_t)(c->s[0].bytes + sizeof(*wr));
		iov[0].iov_len = wr->length;
		*niov = wr->length != 0;
		return 0;
	}
	for (unsigned i = 0; i < wr->nsge; i++) {
		int err = sge[i].zero ? -EBADMSG
				      : mr_check(&ual->mrs, sge[i].region, sge[i].ptag, sge[i].addr,
						 sge[i].len, access, &iov[n].iov_base);

		if (err)
			return err;
		total += sge[i].len;
		iov[n].iov_len = sge[i].len;
		n += sge[i].len != 0;
	}
	if (total != wr->length)
		return -EBADMSG;
	*niov = n;
	return 0;
}

unsigned iov_skip(struct iovec *iov, unsigned n, size_t skip)
{
	unsigned from = 0;

	while (from < n && skip >= iov[from].iov_len)
		skip -= iov[from++].iov_len;
	if (from < n) {
		iov[from].iov_base = (uint8_t *)iov[from].iov_base + skip;
		iov[from].iov_len -= skip;
	}
	memmove(iov, iov + from, (n - from) * sizeof(*iov));
	return n - from;
}

unsigned iov_trim(struct iovec *iov, unsigned n, size_t len)
{
	unsigned i;

	for (i = 0; i < n && len; i++) {
		if (iov[i].iov_len > len)
			iov[i].iov_len = len;
		len -= iov[i].iov_len;
	}
	return i;
}

/* ------------------------------------------------------------------------- events */

void dti_event(struct ppe_dti *d, struct ppe_evq *q, enum ppe_event_type type, uint64_t tag,
	       int status, uint64_t len)
{
	struct ppe_event ev = {
		.user_tag = tag,
		.cookie = d->cookie,
		.context = d->context,
		.len = len,
		.dti = d->handle,
		.type = type,
		.status = status,
	};

	evq_post(q, &ev);
}

void dti_activate(struct ppe_dti *d)
{
	if (!list_linked(&d->active))
		list_add_tail(&d->ual->active, &d->active);
}

void dti_starved(struct ppe_dti *d)
{
	/* pairs with the read-modify-write in ppe_post_recv(): either it sees the flag and rings, or
	 * we see its receive */
	atomic_exchange_explicit(&d->sh->starved, 1, memory_order_seq_cst);
	if (ppe_spsc_count(&d->sh->rq))
		dti_activate(d);
}

/* --------------------------------------------------------------------- its end */

enum ppe_event_type dti_event_type(const struct ppe_wr *wr)
{
	switch (wr->op) {
	case PPE_WR_RECV:
		return PPE_EV_RECV;
	case PPE_WR_SHUTDOWN:
	case PPE_WR_NOP:
		return PPE_EV_SHUTDOWN;
	default:
		return PPE_EV_SEND;
	}
}

static void flush_event(struct ppe_dti *d, struct ppe_evq *q, bool recv, const union ppe_slot *s,
			int error)
{
	struct ppe_event ev = {
		.user_tag = s->wr.user_tag,
		.cookie = d->cookie,
		.context = d->context,
		.dti = d->handle,
		.type = recv ? PPE_EV_RECV : dti_event_type(&s->wr),
		.status = error,
	};

	if (d->m)
		message_describe_flushed(recv, s, &ev);
	evq_post(q, &ev);
}

/* Ends every request in a queue with @error. False: no event slot, go on later. */
static bool flush_queue(struct ppe_dti *d, struct queue_view v, struct ppe_evq *q, int error)
{
	union ppe_slot s[PPE_WR_MESSAGE_SLOTS_MAX];
	unsigned n;

	while ((n = queue_peek_slots(v, 0, s, PPE_WR_MESSAGE_SLOTS_MAX))) {
		bool recv = v.idx == &d->sh->rq;
		bool nothing = s[0].wr.op == PPE_WR_NONE && s[0].wr.flags != PPE_WR_MALFORMED;
		bool tell = !nothing && !(d->pending & PEND_DISCARD);

		if (tell && !(d->m && message_wants_no_event(d, recv, s))) {
			if (!evq_reserve(q)) {
				evq_stall(q, d);
				return false;
			}
			flush_event(d, q, recv, s, error);
		}
		count(d->ual, flushed, !nothing);
		if (!recv)
			file_sent(d->ual, s);
		queue_release(v, n);
		if (tell && d->m)
			message_count_flushed(d, recv, s, n);
	}
	return true;
}

/* The send that was partly on the wire when the connection ended. Its slot is reserved. */
static void flush_partial(struct ppe_dti *d, int error)
{
	const struct ppe_wr *wr = &d->tx_copy.s[0].wr;

	if (!d->tx_part)
		return;
	d->tx_part = false;
	if (d->pending & PEND_DISCARD)
		evq_unreserve(d->tx_evq);
	else
		dti_event(d, d->tx_evq, PPE_EV_SEND, wr->user_tag, error, d->tx_off);
	file_sent(d->ual, d->tx_copy.s);
	queue_release(dti_sq(d), wr->nslots);
}

static bool flush_all(struct ppe_dti *d)
{
	int error = d->error ? d->error : -ECANCELED;
	int rx_error = d->service == PPE_STREAM && d->rx_eof && error != -ECANCELED ? 0 : error;

	flush_partial(d, error);
	/* receives that have left their queue were posted before those that have not */
	if (d->m && !message_flush(d, error, d->pending & PEND_DISCARD))
		return false;
	return flush_queue(d, dti_sq(d), d->tx_evq, error) &&
	       flush_queue(d, dti_rq(d), d->rx_evq, rx_error);
}

void dti_die(struct ppe_dti *d, int error)
{
	if (d->state == DTI_DEAD)
		return;
	d->state = DTI_DEAD;
	d->error = error;
	/* every receive posted from now on is to be ended at once */
	dti_starved(d);
	dti_activate(d);
}

/* --------------------------------------------------------------------- one turn's work */

static bool tell(struct ppe_dti *d, uint8_t what, struct ppe_evq *q, enum ppe_event_type type,
		 int status)
{
	if (!(d->pending & what))
		return true;
	if (!evq_reserve(q)) {
		evq_stall(q, d);
		return false;
	}
	d->pending &= ~what;
	dti_event(d, q, type, d->cm_tag, status, 0);
	return true;
}

static bool tell_accept(struct ppe_dti *d)
{
	if (!(d->pending & PEND_ACCEPT))
		return true;
	if (!tell(d, PEND_ACCEPT, d->acc_evq, PPE_EV_ACCEPT, d->cm_status))
		return false;
	d->acc_evq->bound--;
	d->acc_evq = NULL;
	return true;
}

static void dti_free(struct ppe_dti *d)
{
	assert(!list_linked(&d->accepts) && !d->parent);
	list_del(&d->active);
	for (int i = 0; i < STALL_PLACES; i++)
		list_del(&d->stall[i].link);
	list_del(&d->pool_wait);
	if (d->acc_evq)
		d->acc_evq->bound--;
	d->tx_evq->bound--;
	d->rx_evq->bound--;
	d->cm_evq->bound--;
	message_free(d);
	free(d->pdata);
	d->pdata = NULL;
	d->in_use = false;
	count(d->ual, dtis, -1);
	object_give(d);
}

bool dti_tell_setup(struct ppe_dti *d)
{
	return tell_accept(d) && tell(d, PEND_CONNECT, d->cm_evq, PPE_EV_CONNECT, d->cm_status);
}

void dti_run(struct ppe_dti *d)
{
	assert(turn_held(d->ual));
	if (!dti_tell_setup(d))
		return;
	if (d->state != DTI_DEAD && !(d->pending & PEND_FLUSH)) {
		if (d->service == PPE_STREAM)
			stream_run(d);
		else
			message_run(d);
		return;
	}
	/* what came before the end is still received */
	if ((d->service == PPE_STREAM && !stream_serve_anon(d)) || !flush_all(d))
		return;
	if (!tell(d, PEND_CLOSED, d->cm_evq, PPE_EV_CLOSED, d->closed_status))
		return;
	if (d->pending & PEND_FLUSH)
		dti_free(d);
}

/* ------------------------------------------------------------------------- destroy */

static void close_connection(struct ppe_dti *d)
{
	const struct fabric *f = &d->ual->fabric;

	if (d->state == DTI_LISTENING) {
		if (d->service == PPE_STREAM)
			f->stream->unlisten(d->listener);
		else
			f->msg->unlisten(d->mlistener);
	} else if (d->conn && d->service == PPE_STREAM) {
		f->stream->conn_close(d->conn, false);
	}
	d->conn = NULL;
}

void dti_fail_accepts(struct ppe_dti *l, int err)
{
	struct list *node;

	while ((node = list_pop(&l->accepts))) {
		struct ppe_dti *child = list_entry(node, struct ppe_dti, accepts);

		timer_stop(&l->ual->timers, &child->timer);
		child->parent = NULL;
		child->state = DTI_IDLE;
		child->pending |= PEND_ACCEPT;
		child->cm_status = err;
		dti_activate(child);
	}
}

/* Accepts that were posted with this listener, or the one that this child waits in. */
static void end_accepts(struct ppe_dti *d)
{
	timer_stop(&d->ual->timers, &d->timer);
	if (d->state != DTI_LISTENING) {
		if (d->parent) {
			d->parent->ual->fabric.stream->unaccept(d->parent->listener, 1);
			list_del(&d->accepts);
			d->parent = NULL;
			d->pending |= PEND_ACCEPT;
			d->cm_status = -ECANCELED;
		}
		return;
	}
	dti_fail_accepts(d, -ECANCELED);
}

static void dti_close(struct ppe_dti *d, bool discard)
{
	bool connecting = d->state == DTI_CONNECTING && !d->parent;

	if (d->service == PPE_MESSAGE)
		requests_drop(d->ual, d);
	end_accepts(d);
	close_connection(d);
	stream_drop_anon(d);
	if (d->m) {
		d->pending |= discard ? PEND_DISCARD : 0;
		message_close(d, -ECANCELED);
		message_forget(d);
	}
	if (connecting && !(d->pending & PEND_CONNECT)) {
		d->pending |= PEND_CONNECT;
		d->cm_status = -ECANCELED;
	}
	if (discard)
		d->pending = PEND_DISCARD;
	d->pending |= PEND_FLUSH;
	d->state = DTI_DEAD;
	d->error = -ECANCELED;
	d->rx_eof = false;
	dti_run(d);
}

void ppe_dti_destroy(struct ppe_dti *d, bool discard)
{
	struct ppe_ual *ual = d->ual;

	if (!ual_alive(ual))
		return;
	turn_lock(ual);
	turn_take_doorbells(ual);
	dti_close(d, discard);
	turn_unlock(ual);
}

/* With the UAL: no events, nobody left to read them. */
void dti_destroy_all(struct ppe_ual *ual)
{
	/* shared receive queues after those that share them */
	for (int shared = 0; shared < 2; shared++)
		for (uint32_t i = 0; i < ual->ndtis; i++) {
			struct ppe_dti *d = ual->dtis[i];

			if (d->in_use && (d->service == PPE_SHARED_RECV) == shared)
				dti_close(d, true);
		}
	for (uint32_t i = 0; i < ual->ndtis; i++)
		free(ual->dtis[i]);
	ual->ndtis = 0;
}
