/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_tagged.c - tagged data: writes of the peer, with what may go along with them, and what was read
 * from it (pull.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

/* ------------------------------------------------------------------------ tagged data */

int rx_tagged(struct msg_link *l, const struct fab_tagged *t, struct iovec *iov)
{
	struct msg_dti *m = l->d->m;
	int n;

	if (!l->proven)
		return -EACCES;
	if (t->response)
		return pull_place(l, t, iov);
	if (l->write_err)
		return 0;
	n = m->pd ? pd_check(m->pd, m->auth, t->stag, t->to, t->len, PPE_ACCESS_REMOTE_WRITE, iov,
			     &l->write_region)
		  : -ENOKEY;
	if (n >= 0)
		return n;
	if (!msg_may_refuse(l))
		return n;
	l->write_err = n;
	return 0;
}

int rx_tagged_done(struct msg_link *l, const struct fab_tagged *t)
{
	struct iovec iov[PPE_MR_IOV_MAX];
	int err;

	if (t->response)
		return pull_landed(l, t);
	if (!t->len) { /* its place was not asked for */
		err = rx_tagged(l, t, iov);
		if (err < 0)
			return err;
	}
	l->write_len = t->first ? t->len : l->write_len + t->len;
	if (!t->last)
		return 0;
	err = l->write_err;
	l->write_err = 0;
	l->write_bad = err || (l->write_goes_on && l->write_bad);
	l->write_total = l->write_len + (l->write_goes_on ? l->write_total : 0);
	l->write_goes_on = l->ulp && l->write_len == ULP_CHUNK;
	if (err && l->ulp)
		link_say(l, ULP_ACK_ONE, msg_code(err), l->rx_seq + 1);
	if (l->ulp)
		link_counted(l);
	if (l->write_bad || l->write_goes_on)
		return 0;
	mr_counted(l->d->ual, l->write_region, PPE_ACCESS_REMOTE_WRITE);
	msg_count(l->d, NULL, PPE_COUNT_REMOTE_WRITE, true);
	return 0;
}

/* @len: of the write that the data follow. */
static void tell_immediate(struct ppe_dti *d, struct msg_peer *peer, uint64_t value, uint32_t len)
{
	struct ppe_event ev = {
		.type = PPE_EV_REMOTE_WRITE,
		.cookie = d->cookie,
		.dti = d->handle,
		.data = value,
		.len = len,
		.flags = PPE_EVF_DATA | (msg_is_rdm(d) ? PPE_EVF_SRC : 0),
	};

	if (msg_is_rdm(d))
		ev.src = peer_number(peer);
	evq_post(d->rx_evq, &ev);
}

int rx_immediate(struct msg_link *l, uint64_t value)
{
	static const struct msg_header none;
	struct ppe_dti *d = l->d;
	struct msg_in *in;

	if (!l->proven || !l->ulp)
		return -EACCES;
	if (in_admit(l, 0))
		return -EPROTO;
	if (l->write_bad || d->m->no_rx_events) {
		link_owe(l, ULP_COST(0));
		return 0;
	}
	if (list_empty(&d->m->immediates) && evq_reserve(d->rx_evq)) {
		tell_immediate(d, l->peer, value, l->write_total);
		link_owe(l, ULP_COST(0));
		return 0;
	}
	in = in_new(l, &none, 0);
	if (!in)
		return -ENOMEM;
	in->data = value;
	in->len = l->write_total;
	in->complete = true;
	list_add_tail(&d->m->immediates, &in->link);
	evq_stall(d->rx_evq, d);
	return 0;
}

bool rx_tell_immediates(struct ppe_dti *d)
{
	while (!list_empty(&d->m->immediates)) {
		struct msg_in *in = list_entry(d->m->immediates.next, struct msg_in, link);

		if (!evq_reserve(d->rx_evq)) {
			evq_stall(d->rx_evq, d);
			return false;
		}
		tell_immediate(d, in->peer, in->data, in->len);
		if (in->l)
			link_owe(in->l, ULP_COST(0));
		in_free(in);
	}
	return true;
}

void rx_forget_immediates(struct ppe_dti *d)
{
	while (!list_empty(&d->m->immediates))
		in_free(list_entry(d->m->immediates.next, struct msg_in, link));
}
