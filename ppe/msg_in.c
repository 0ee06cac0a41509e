/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_in.c - messages of the application, as they come: into their receive, or held until there is one.
 *
 * A whole one with a receive becomes an event at once, and never an object. The others are a struct
 * msg_in: until they are complete, until a receive comes, until they have been read from the peer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

/* --------------------------------------------------------------- messages: their objects */

struct msg_in *in_new(struct msg_link *l, const struct msg_header *h, uint32_t room)
{
	struct msg_in *in = malloc(sizeof(*in) + room);

	if (!in)
		return NULL;
	memset(in, 0, sizeof(*in));
	list_init(&in->link);
	list_init(&in->pull.link);
	in->l = l;
	in->d = l->d;
	in->peer = l->peer;
	in->flags = h->flags;
	in->tag = h->tag;
	in->data = h->data;
	in->len = h->len;
	in->stag = h->stag;
	return in;
}

void in_free(struct msg_in *in)
{
	list_del(&in->link);
	if (in->l) {
		if (in->l->cur == in)
			in->l->cur = NULL;
		pull_forget(in->l, &in->pull);
	}
	free(in);
}

int in_memory(const struct msg_in *in, uint32_t offset, uint32_t len, struct iovec *iov)
{
	const struct msg_recv *r = in->recv;
	struct ppe_ual *ual = in->d->ual;
	unsigned n = 0;

	if (offset >= in->room)
		return 0;
	if (len > in->room - offset)
		len = in->room - offset;
	for (unsigned i = 0; i < r->nsge; i++) {
		const struct ppe_sge *s = &r->sge[i];
		int err = mr_check(&ual->mrs, s->region, s->ptag, s->addr, s->len,
				   PPE_ACCESS_LOCAL_WRITE, &iov[n].iov_base);

		if (err)
			return err;
		iov[n].iov_len = s->len;
		n += s->len != 0;
	}
	n = iov_skip(iov, n, (size_t)in->at + offset);
	return iov_trim(iov, n, len);
}

static void event_describe(const struct msg_in *in, struct ppe_event *ev)
{
	*ev = (struct ppe_event){
		.status = in->status,
		.tag = in->tag,
		.data = in->data,
		.flags = (in->flags & ULP_F_TAG ? PPE_EVF_TAGGED : 0) |
			 (in->flags & ULP_F_DATA ? PPE_EVF_DATA : 0),
	};
	if (!msg_is_rdm(in->d))
		return;
	ev->src = peer_number(in->peer);
	ev->flags |= PPE_EVF_SRC;
}

/* What was held for the peer is taken: its credit, and what it waits to hear. */
static void in_settle(struct msg_in *in)
{
	struct msg_link *l = in->l;

	if (!l || l->state != LINK_OPEN || in->stranger)
		return;
	if (in->announced) {
		l->rx_announced--;
		link_say(l, ULP_DONE, msg_code(in->status), in->stag);
	} else {
		link_owe(l, ULP_COST(in->len));
		if (in->held)
			link_say(l, ULP_ACK_ONE, ULP_OK, in->seq);
	}
}

void in_finish(struct msg_in *in)
{
	struct ppe_dti *d = in->d;
	struct msg_recv *r = in->recv;
	struct ppe_event ev;

	if (in->stranger && (r->flags & PPE_POST_MULTI))
		rxq_used(d->m->rxq, r, in->got < in->room ? in->got : in->room);
	event_describe(in, &ev);
	recv_end(d, r, &ev, in->got, in->at, in->room);
	in_settle(in);
	in_free(in);
}

void in_drop(struct msg_in *in)
{
	if (in->complete || in->announced) {
		in_settle(in);
		in_free(in);
		return;
	}
	in->dropped = true; /* the rest is still to come */
}

size_t iov_scatter(const struct iovec *iov, int n, const uint8_t *p, size_t len)
{
	size_t done = 0;

	for (int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, p + done, part);
		done += part;
	}
	return done;
}

/* Copies what has come of a message whose receive came later. */
static void in_copy(struct msg_in *in, const uint8_t *p, uint32_t len)
{
	struct iovec iov[MSG_RECV_SGE];
	int n = in_memory(in, 0, len, iov);

	if (n < 0) {
		in->status = wr_reject(in->d->ual, n);
		return;
	}
	iov_scatter(iov, n, p, len);
}

void in_matched(struct msg_in *in)
{
	if (in->announced) {
		list_add_tail(&in->l->matched, &in->link);
		pull_start(in->l, &in->pull, false, in->len < in->room ? in->len : in->room);
		return;
	}
	if (!in->complete) { /* it goes on into its buffer, and is copied when all of it is there */
		list_add_tail(&in->l->matched, &in->link);
		return;
	}
	in_copy(in, in->payload, in->len);
	in_finish(in);
}

/* -------------------------------------------------------------- messages: their arrival */

/* The peer has promised to be heard out only within these bounds. */
int in_admit(struct msg_link *l, uint32_t len)
{
	if (len > MSG_WINDOW || l->rx_credit < ULP_COST(len))
		return -EPROTO;
	l->rx_credit -= ULP_COST(len);
	return 0;
}

/* One that cannot be delivered now, and is counted: the peer must not take it for seen through. */
static void in_hold_count(struct msg_link *l, struct msg_in *in)
{
	if (!(in->flags & ULP_F_ACK))
		return;
	in->held = true;
	in->seq = l->rx_seq + 1;
	link_say(l, ULP_HELD, ULP_OK, in->seq);
	link_counted(l);
}

int in_whole(struct msg_link *l, const struct msg_header *h, const uint8_t *p)
{
	struct ppe_dti *d = l->d;
	struct msg_in local, *in;
	struct msg_recv *r;
	int err = in_admit(l, h->len);

	if (err)
		return err;
	r = rxq_match(d->m->rxq, d, l->peer, h->flags & ULP_F_TAG, h->tag, h->len, &local.at,
		      &local.room);
	if (!r) {
		in = in_new(l, h, h->len);
		if (!in)
			return -ENOMEM;
		if (h->len)
			memcpy(in->payload, p, h->len);
		in->got = h->len;
		in->complete = true;
		in_hold_count(l, in);
		rxq_hold(d->m->rxq, in);
		return 0;
	}
	local.d = d;
	local.peer = l->peer;
	local.recv = r;
	local.flags = h->flags;
	local.tag = h->tag;
	local.data = h->data;
	local.status = 0;
	in_copy(&local, p, h->len);
	if (h->flags & ULP_F_ACK)
		link_counted(l);
	link_owe(l, ULP_COST(h->len));
	{
		struct ppe_event ev;

		event_describe(&local, &ev);
		recv_end(d, r, &ev, h->len, local.at, local.room);
	}
	return 0;
}

int in_announced(struct msg_link *l, const struct msg_header *h)
{
	struct ppe_dti *d = l->d;
	struct msg_in *in;

	if (l->rx_announced >= MSG_ANNOUNCES)
		return -EPROTO;
	in = in_new(l, h, 0);
	if (!in)
		return -ENOMEM;
	l->rx_announced++;
	in->announced = true;
	in->recv = rxq_match(d->m->rxq, d, l->peer, h->flags & ULP_F_TAG, h->tag, h->len, &in->at,
			     &in->room);
	if (in->recv)
		in_matched(in);
	else
		rxq_hold(d->m->rxq, in);
	return 0;
}

/* A message of which the first piece is here: into its receive, or a buffer of its own. */
int in_begin(struct msg_link *l, const struct msg_header *h)
{
	struct ppe_dti *d = l->d;
	uint32_t at, room;
	struct msg_recv *r;
	int err = in_admit(l, h->len);

	if (err)
		return err;
	r = rxq_match(d->m->rxq, d, l->peer, h->flags & ULP_F_TAG, h->tag, h->len, &at, &room);
	l->cur = in_new(l, h, r ? 0 : h->len);
	if (!l->cur)
		return -ENOMEM;
	l->cur->recv = r;
	if (r) {
		l->cur->at = at;
		l->cur->room = room;
		list_add_tail(&l->matched, &l->cur->link);
	} else {
		l->cur->buffered = true;
		in_hold_count(l, l->cur);
		rxq_hold(d->m->rxq, l->cur);
	}
	return 0;
}

void in_end(struct msg_link *l)
{
	struct msg_in *in = l->cur;

	l->cur = NULL;
	if (!in)
		return;
	in->complete = true;
	in->got = in->len;
	if (in->dropped) {
		in_settle(in);
		in_free(in);
		return;
	}
	if (!in->recv)
		return;
	if (in->buffered)
		in_copy(in, in->payload, in->len);
	if ((in->flags & ULP_F_ACK) && !in->held)
		link_counted(l);
	in_finish(in);
}
