/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * match.c - receives and messages find each other.
 *
 * Receives are fetched from their queue when they are needed: when a message comes, or when messages
 * wait. Of the messages that a receive fits the oldest is taken, of the receives that a message fits
 * the oldest: both lists are in order of arrival, and nothing passes by what it would have matched.
 *
 * A match needs a slot in the event queue. Without one the message is held like one that has no
 * receive, and until those have been served (rxq_retry) no other is matched either.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

void rxq_init(struct msg_rxq *q, struct ppe_dti *owner, uint32_t max)
{
	memset(q, 0, sizeof(*q));
	q->owner = owner;
	q->max = max;
	for (int i = 0; i < 2; i++)
		list_init(&q->unexpected[i]);
	for (int i = 0; i < 3; i++)
		list_init(&q->posted[i]);
	list_init(&q->claimed);
	list_init(&q->triggered);
}

/* ------------------------------------------------------------------- receive objects */

static struct msg_recv *recv_take(struct ppe_ual *ual)
{
	struct list *node = list_pop(&ual->free_recvs);

	return node ? list_entry(node, struct msg_recv, link) : malloc(sizeof(struct msg_recv));
}

static void recv_give(struct ppe_ual *ual, struct msg_recv *r)
{
	list_init(&r->link);
	list_add_tail(&ual->free_recvs, &r->link);
}

void recvs_free(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->free_recvs)))
		free(list_entry(node, struct msg_recv, link));
}

static void recv_unlink(struct msg_rxq *q, struct msg_recv *r)
{
	if (list_linked(&r->link)) {
		list_del(&r->link);
		q->nposted--;
	}
}

/* --------------------------------------------------------------------------- events */

static bool rx_reserve(struct ppe_dti *d)
{
	return d->m->no_rx_events || evq_reserve(d->rx_evq);
}

static void rx_unreserve(struct ppe_dti *d)
{
	if (!d->m->no_rx_events)
		evq_unreserve(d->rx_evq);
}

static void rx_event(struct ppe_dti *d, struct ppe_event *ev, bool silent)
{
	ev->cookie = d->cookie;
	ev->dti = d->handle;
	if (d->m->no_rx_events)
		return;
	if (silent || (d->pending & PEND_DISCARD)) {
		evq_unreserve(d->rx_evq);
		count(d->ual, silent, 1);
	} else {
		evq_post(d->rx_evq, ev);
	}
}

static void recv_count(struct ppe_dti *d, const struct msg_recv *r, bool ok)
{
	if (r->complete || !msg_uncounted(r->flags, r->silent))
		msg_count(d, r->complete, PPE_COUNT_RECV, ok);
}

/*
 * A receive for many messages ends with the last of those under way once it takes no more. It says
 * so in that one's event, which is therefore never a silent one.
 */
void recv_end(struct ppe_dti *d, struct msg_recv *r, struct ppe_event *ev, uint32_t got,
	      uint32_t at, uint32_t room)
{
	struct ppe_ual *ual = d->ual;
	bool multi = r->flags & PPE_POST_MULTI, last, over = got > room;

	r->busy--;
	last = !r->busy && (!multi || r->over);
	ev->type = PPE_EV_RECV;
	ev->user_tag = r->user_tag;
	ev->len = over ? room : got;
	if (multi && r->nsge)
		ev->buf = r->sge[0].addr + at;
	if (multi && last)
		ev->flags |= PPE_EVF_RELEASED;
	if (over && !ev->status) {
		ev->flags |= PPE_EVF_TRUNCATED;
		ev->full_len = got;
		ev->status = -EMSGSIZE;
	}
	if (!ev->status) {
		count(ual, recvs, 1);
		count(ual, recv_bytes, got);
	}
	recv_count(d, r, !ev->status);
	rx_event(d, ev, r->silent && !ev->status && !(multi && last));
	if (last)
		recv_give(ual, r);
}

/* Without a message. Its slot is reserved. */
static void recv_over(struct ppe_dti *d, struct msg_recv *r, enum ppe_event_type type, int status)
{
	struct ppe_event ev = {
		.type = type,
		.user_tag = r->user_tag,
		.status = status,
		.flags = (r->flags & PPE_POST_TAGGED ? PPE_EVF_TAGGED : 0) |
			 (r->flags & PPE_POST_MULTI ? PPE_EVF_RELEASED : 0),
		.tag = r->tag,
	};

	if (status)
		recv_count(d, r, false);
	rx_event(d, &ev, false);
	recv_give(d->ual, r);
}

/* -------------------------------------------------------------------------- matching */

static bool recv_fits(const struct msg_recv *r, struct msg_peer *peer, uint64_t tag)
{
	if ((r->tag ^ tag) & ~r->ignore)
		return false;
	return r->peer == PPE_ANY || (peer && peer_number(peer) == r->peer);
}

void rxq_used(struct msg_rxq *q, struct msg_recv *r, uint32_t len)
{
	r->used += len;
	if (r->length - r->used < (q->multi_min ? q->multi_min : 1)) {
		r->over = true;
		recv_unlink(q, r);
	}
}

static void recv_use(struct msg_rxq *q, struct msg_recv *r, uint32_t len, uint32_t *at,
		     uint32_t *room)
{
	*at = r->used;
	*room = r->length - r->used;
	r->busy++;
	if (!(r->flags & PPE_POST_MULTI)) {
		recv_unlink(q, r);
		return;
	}
	rxq_used(q, r, len < *room ? len : *room);
}

/* Of a receive for many messages what is left may be too short for the next: then it is over. */
static bool recv_too_short(const struct msg_recv *r, uint32_t len)
{
	return (r->flags & PPE_POST_MULTI) && r->used && len > r->length - r->used;
}

/* True: it is gone, look further. False: no event slot. */
static bool recv_release(struct msg_rxq *q, struct ppe_dti *d, struct msg_recv *r)
{
	if (r->busy) {
		r->over = true;
		recv_unlink(q, r);
		return true;
	}
	if (!rx_reserve(d))
		return false;
	recv_unlink(q, r);
	recv_over(d, r, PPE_EV_RELEASED, 0);
	return true;
}

static int recv_memory_gone(struct ppe_ual *ual, const struct msg_recv *r)
{
	int err = 0;
	void *p;

	for (unsigned i = 0; i < r->nsge && !err; i++)
		err = mr_check(&ual->mrs, r->sge[i].region, r->sge[i].ptag, r->sge[i].addr,
			       r->sge[i].len, PPE_ACCESS_LOCAL_WRITE, &p);
	return err;
}

/* A receive that can take no message. Its slot is reserved. */
static void recv_refuse(struct ppe_dti *d, struct msg_recv *r, int err)
{
	if (!r->busy) {
		recv_over(d, r, PPE_EV_RECV, wr_reject(d->ual, err));
		return;
	}
	r->over = true;
	rx_unreserve(d);
}

/* The oldest receive that fits, with its slot. -EAGAIN: there is one, and no slot. */
static int match_posted(struct msg_rxq *q, struct ppe_dti *d, struct msg_peer *peer, bool tagged,
			uint64_t tag, uint32_t len, struct msg_recv **out)
{
	struct list *head = &q->posted[tagged], *node, *next;

	for (node = head->next; node != head; node = next) {
		struct msg_recv *r = list_entry(node, struct msg_recv, link);
		int err;

		next = node->next;
		if (!recv_fits(r, peer, tag))
			continue;
		if (recv_too_short(r, len)) {
			if (!recv_release(q, d, r))
				return -EAGAIN;
			continue;
		}
		if (!rx_reserve(d))
			return -EAGAIN;
		*out = r;
		err = recv_memory_gone(d->ual, r);
		if (!err)
			return 0;
		/* it fails alone: the message looks for another */
		recv_unlink(q, r);
		recv_refuse(d, r, err);
	}
	return -ENOENT;
}

static void rxq_block(struct msg_rxq *q, struct ppe_dti *d)
{
	q->blocked = true;
	evq_stall(d->rx_evq, d);
}

struct msg_recv *rxq_match(struct msg_rxq *q, struct ppe_dti *d, struct msg_peer *peer, bool tagged,
			   uint64_t tag, uint32_t len, uint32_t *at, uint32_t *room)
{
	struct msg_recv *r = NULL;
	int err;

	if (ppe_spsc_count(&q->owner->sh->rq))
		rxq_fill(q);
	if (q->blocked)
		return NULL;
	err = match_posted(q, d, peer, tagged, tag, len, &r);
	if (err == -EAGAIN)
		rxq_block(q, d);
	if (err)
		return NULL;
	recv_use(q, r, len, at, room);
	return r;
}

void rxq_hold(struct msg_rxq *q, struct msg_in *in)
{
	list_add_tail(&q->unexpected[!!(in->flags & ULP_F_TAG)], &in->link);
	q->nwaiting++;
	dti_starved(q->owner);
}

static void rxq_unhold(struct msg_rxq *q, struct msg_in *in)
{
	list_del(&in->link);
	q->nwaiting--;
	if (!q->nwaiting)
		atomic_store_explicit(&q->owner->sh->starved, 0, memory_order_relaxed);
}

/* True: the receive takes no more; it may be gone. */
static bool bring_together(struct msg_rxq *q, struct msg_in *in, struct msg_recv *r)
{
	bool full;

	rxq_unhold(q, in);
	in->recv = r;
	recv_use(q, r, in->len, &in->at, &in->room);
	full = r->over || !(r->flags & PPE_POST_MULTI);
	in_matched(in);
	return full;
}

static bool serve_asking(struct msg_rxq *q, struct msg_recv *r);

/* Those that ask come last: no receive behind them has been fetched. */
static void retry_asking(struct msg_rxq *q)
{
	while (!list_empty(&q->posted[2])) {
		struct msg_recv *r = list_entry(q->posted[2].next, struct msg_recv, link);

		recv_unlink(q, r);
		if (!serve_asking(q, r))
			return;
	}
}

void rxq_retry(struct msg_rxq *q)
{
	if (!q->blocked)
		return;
	q->blocked = false;
	for (int t = 0; t < 2; t++) {
		struct list *head = &q->unexpected[t], *node, *next;

		for (node = head->next; node != head; node = next) {
			struct msg_in *in = list_entry(node, struct msg_in, link);
			struct msg_recv *r;
			int err = match_posted(q, in->d, in->peer, t, in->tag, in->len, &r);

			next = node->next;
			if (err == -EAGAIN) {
				rxq_block(q, in->d);
				return;
			}
			if (!err)
				bring_together(q, in, r);
		}
	}
	retry_asking(q);
}

/* ---------------------------------------------------------------- receives that are new */

static struct msg_in *find_waiting(struct msg_rxq *q, const struct msg_recv *r)
{
	struct list *head = &q->unexpected[!!(r->flags & PPE_POST_TAGGED)];

	for (struct list *node = head->next; node != head; node = node->next) {
		struct msg_in *in = list_entry(node, struct msg_in, link);

		if (recv_fits(r, in->peer, in->tag))
			return in;
	}
	return NULL;
}

static struct msg_in *find_claimed(struct msg_rxq *q, const struct msg_recv *r)
{
	for (struct list *node = q->claimed.next; node != &q->claimed; node = node->next) {
		struct msg_in *in = list_entry(node, struct msg_in, link);

		if (in->claim == r->user_tag)
			return in;
	}
	return NULL;
}

/* Tells of a message without receiving it. The slot is reserved. */
static void tell_peek(struct msg_rxq *q, struct msg_recv *r, const struct msg_in *in)
{
	struct ppe_dti *d = in ? in->d : q->owner;
	struct ppe_event ev = {
		.type = PPE_EV_RECV,
		.user_tag = r->user_tag,
		.status = in ? 0 : -ENOMSG,
		.flags = r->flags & PPE_POST_TAGGED ? PPE_EVF_TAGGED : 0,
		.tag = in ? in->tag : r->tag,
	};

	if (in) {
		ev.len = in->len;
		ev.data = in->data;
		ev.flags |= in->flags & ULP_F_DATA ? PPE_EVF_DATA : 0;
		if (msg_is_rdm(d)) {
			ev.src = peer_number(in->peer);
			ev.flags |= PPE_EVF_SRC;
		}
	}
	rx_event(d, &ev, false);
}

/*
 * PEEK looks, with CLAIM it also keeps the message for a later receive with the same user tag, with
 * DISCARD it drops it. CLAIM without PEEK is that receive; with DISCARD it drops what was kept.
 * False: no event slot.
 */
static bool serve_asking(struct msg_rxq *q, struct msg_recv *r)
{
	bool peek = r->flags & PPE_POST_PEEK;
	struct msg_in *in = peek ? find_waiting(q, r) : find_claimed(q, r);
	struct ppe_dti *d = in ? in->d : q->owner;

	if (!rx_reserve(d)) {
		list_add_tail(&q->posted[2], &r->link);
		q->nposted++;
		rxq_block(q, d);
		return false;
	}
	if (in && !peek && !(r->flags & PPE_POST_DISCARD)) {
		list_del(&in->link);
		in->recv = r;
		list_init(&r->link);
		recv_use(q, r, in->len, &in->at, &in->room);
		r->over = true; /* it is for this one, also if it could take more */
		in_matched(in);
		return true;
	}
	tell_peek(q, r, in);
	if (in && (r->flags & PPE_POST_DISCARD)) {
		if (peek)
			rxq_unhold(q, in);
		else
			list_del(&in->link);
		in_drop(in);
	} else if (in && (r->flags & PPE_POST_CLAIM)) {
		rxq_unhold(q, in);
		in->claim = r->user_tag;
		list_add_tail(&q->claimed, &in->link);
	}
	recv_give(q->owner->ual, r);
	return true;
}

/* Meets what waits for it, and stands in line if it can take (more). False: no event slot. */
static bool serve_new(struct msg_rxq *q, struct msg_recv *r)
{
	struct msg_in *in = NULL;

	while (q->nwaiting && (in = find_waiting(q, r))) {
		if (recv_too_short(r, in->len)) {
			if (r->busy || rx_reserve(in->d)) {
				if (r->busy)
					r->over = true;
				else
					recv_over(in->d, r, PPE_EV_RELEASED, 0);
				return true;
			}
			break;
		}
		if (!rx_reserve(in->d))
			break;
		if (bring_together(q, in, r))
			return true;
	}
	list_add_tail(&q->posted[!!(r->flags & PPE_POST_TAGGED)], &r->link);
	q->nposted++;
	if (q->nwaiting && in) {
		rxq_block(q, in->d);
		return false;
	}
	return true;
}

static bool serve(struct msg_rxq *q, struct msg_recv *r)
{
	const unsigned asks = PPE_POST_PEEK | PPE_POST_CLAIM | PPE_POST_DISCARD;

	return r->flags & asks ? serve_asking(q, r) : serve_new(q, r);
}

static void triggered(struct trigger *t)
{
	struct msg_recv *r = list_entry(t, struct msg_recv, trigger);

	list_del(&r->link);
	r->q->nposted--;
	serve(r->q, r);
}

static void trigger_cancelled(struct trigger *t)
{
	struct msg_recv *r = list_entry(t, struct msg_recv, trigger);

	list_del(&r->link);
	r->q->nposted--;
	recv_give(r->q->owner->ual, r);
}

/* Out of its descriptor. -EBADMSG and the like: *@r is still filled as far as its event needs. */
static int recv_parse(struct msg_rxq *q, const union ppe_slot *s, unsigned slots,
		      struct msg_recv *r)
{
	struct ppe_ual *ual = q->owner->ual;
	struct iovec iov[MSG_RECV_SGE];
	struct msg_view v;
	uint64_t total = 0;
	int err;

	memset(r, 0, offsetof(struct msg_recv, sge));
	list_init(&r->link);
	r->q = q;
	r->user_tag = s->wr.user_tag;
	r->peer = PPE_ANY;
	r->silent = s->wr.flags & PPE_WR_SILENT;
	err = msg_view(s, slots, &v);
	if (err)
		return err;
	if (v.nsge > MSG_RECV_SGE || (v.m ? v.m->op != PPE_OP_RECV : s->wr.op != PPE_WR_RECV))
		return -EBADMSG;
	if (v.m) {
		r->flags = v.m->flags;
		r->peer = v.m->peer;
		r->tag = v.m->tag;
		r->ignore = r->flags & PPE_POST_TAGGED ? v.m->data : UINT64_MAX;
	} else {
		r->ignore = UINT64_MAX;
	}
	if (r->flags & PPE_POST_TRIGGER)
		r->complete = cntr_of(ual, v.trigger->complete);
	for (unsigned i = 0; i < v.nsge; i++) {
		r->sge[i] = v.sge[i];
		total += v.sge[i].len;
		err = v.sge[i].zero
			      ? -EBADMSG
			      : mr_check(&ual->mrs, v.sge[i].region, v.sge[i].ptag, v.sge[i].addr,
					 v.sge[i].len, PPE_ACCESS_LOCAL_WRITE, &iov[i].iov_base);
		if (err)
			return err;
	}
	r->nsge = v.nsge;
	r->length = s->wr.length;
	return total == s->wr.length ? 0 : -EBADMSG;
}

static bool fill_one(struct msg_rxq *q, const union ppe_slot *s, unsigned slots)
{
	struct ppe_ual *ual = q->owner->ual;
	struct msg_recv *r = recv_take(ual);
	struct ppe_cntr *cntr = NULL;
	struct msg_view v;
	int err;

	if (!r)
		return false;
	err = recv_parse(q, s, slots, r);
	if (!err && (r->flags & PPE_POST_TRIGGER)) {
		msg_view(s, slots, &v);
		cntr = cntr_of(ual, v.trigger->cntr);
		err = cntr ? 0 : -EBADMSG;
	}
	if (err && !rx_reserve(q->owner)) {
		evq_stall(q->owner->rx_evq, q->owner);
		recv_give(ual, r);
		return false;
	}
	queue_release(dti_rq(q->owner), slots);
	if (err) {
		recv_refuse(q->owner, r, err);
		return true;
	}
	if (!cntr)
		return serve(q, r);
	q->nposted++;
	list_add_tail(&q->triggered, &r->link);
	r->trigger = (struct trigger){
		.threshold = v.trigger->threshold,
		.errors = r->flags & PPE_POST_DEFERRED,
		.fire = triggered,
		.cancel = trigger_cancelled,
	};
	list_init(&r->trigger.link);
	cntr_trigger(cntr, &r->trigger);
	return true;
}

void rxq_fill(struct msg_rxq *q)
{
	union ppe_slot s[MSG_SLOTS_MAX];
	unsigned slots;

	while (!q->blocked && q->nposted < q->max &&
	       (slots = queue_peek_slots(dti_rq(q->owner), 0, s, MSG_SLOTS_MAX))) {
		if (s[0].wr.op == PPE_WR_NONE && s[0].wr.flags != PPE_WR_MALFORMED) {
			queue_release(dti_rq(q->owner), slots);
			continue;
		}
		if (!fill_one(q, s, slots))
			return;
	}
}

/* --------------------------------------------------------------------------- its end */

int rxq_cancel(struct msg_rxq *q, uint64_t user_tag)
{
	int n = 0;

	for (int t = 0; t < 3; t++) {
		struct list *head = &q->posted[t], *node, *next;

		for (node = head->next; node != head; node = next) {
			struct msg_recv *r = list_entry(node, struct msg_recv, link);

			next = node->next;
			if (r->user_tag != user_tag)
				continue;
			if (!rx_reserve(q->owner))
				return n ? n : -EAGAIN;
			recv_unlink(q, r);
			count(q->owner->ual, cancelled, 1);
			n++;
			if (r->busy) {
				/* messages are still coming into it: the last of them ends it */
				r->over = true;
				rx_unreserve(q->owner);
				continue;
			}
			recv_over(q->owner, r, PPE_EV_RECV, -ECANCELED);
		}
	}
	return n;
}

bool rxq_flush(struct msg_rxq *q, int error, bool discard)
{
	struct ppe_dti *d = q->owner;

	while (!list_empty(&q->triggered)) {
		struct msg_recv *r = list_entry(q->triggered.next, struct msg_recv, link);

		list_del(&r->trigger.link);
		trigger_cancelled(&r->trigger);
	}
	for (int t = 0; t < 3; t++) {
		while (!list_empty(&q->posted[t])) {
			struct msg_recv *r = list_entry(q->posted[t].next, struct msg_recv, link);

			if (!discard && !rx_reserve(d)) {
				evq_stall(d->rx_evq, d);
				return false;
			}
			recv_unlink(q, r);
			count(d->ual, flushed, 1);
			if (discard)
				recv_give(d->ual, r);
			else
				recv_over(d, r, PPE_EV_RECV, error);
		}
	}
	return true;
}

static void forget_in(struct msg_rxq *q, struct list *head, const struct ppe_dti *d,
		      const struct msg_link *l)
{
	struct list *node, *next;

	for (node = head->next; node != head; node = next) {
		struct msg_in *in = list_entry(node, struct msg_in, link);

		next = node->next;
		/* what has come as a whole outlives its link */
		if (in->d != d || (l && (in->l != l || in->complete))) {
			if (l && in->l == l)
				in->l = NULL;
			continue;
		}
		if (head != &q->claimed)
			rxq_unhold(q, in);
		else
			list_del(&in->link);
		in->l = NULL;
		in_free(in);
	}
}

void rxq_forget(struct msg_rxq *q, const struct ppe_dti *d, const struct msg_link *l)
{
	forget_in(q, &q->unexpected[0], d, l);
	forget_in(q, &q->unexpected[1], d, l);
	forget_in(q, &q->claimed, d, l);
}
