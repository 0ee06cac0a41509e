/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * place.c - large messages, which the device carries from where they are to where they belong.
 *
 *	FAB_WRITE	RDMA Write, with a key that the peer gave us for its memory (key.c)
 *	FAB_READ	RDMA Read, with such a key; else the peer is told where to write the answer
 *	FAB_READ_RESP	RDMA Write, to where the peer said
 *
 * Whatever cannot go so (no key, too many pieces, memory that the device does not take) goes in frames.
 * What the device is told of is done when it says so, and in the order of messages; until then it is
 * on c->placed, and its memory the device's.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------- what goes */

void roce_place_free(struct fab *fab, struct roce_place *p)
{
	for (unsigned i = 0; i < p->nsge; i++)
		roce_lease_end(fab, &p->lease[i]);
	link_del(&p->link);
	free(p);
}

/* To or from [addr, addr + len) of the peer's. NULL: its own memory cannot be had for the device. */
static struct roce_place *place_new(struct fab_msg_conn *c, const struct fab_send *s, int access,
				    uint64_t addr, uint32_t rkey, uint32_t len)
{
	struct roce_place *p;

	if (!s->niov || s->niov > ROCE_SGE)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	link_init(&p->link);
	p->op = s->op;
	p->addr = addr;
	p->rkey = rkey;
	p->len = len;
	for (unsigned i = 0; i < s->niov; i++) {
		const struct iovec *v = &s->iov[i];
		struct fab_region *region = s->regions ? s->regions[i] : NULL;
		unsigned n = p->nsge;

		if (!v->iov_len) /* some devices take that for 2 GiB */
			continue;
		if (roce_lease(c->dev, region, v->iov_base, v->iov_len, access, &p->lease[n])) {
			roce_place_free(c->fab, p);
			return NULL;
		}
		p->nsge++;
		p->sge[n] =
			(struct ibv_sge){ (uintptr_t)v->iov_base, v->iov_len, p->lease[n].lkey };
	}
	return p;
}

static enum roce_way place_write(struct fab_msg_conn *c, const struct fab_send *s,
				 struct roce_place **place, struct roce_note *note)
{
	const struct roce_key *key;
	enum roce_way way = roce_key_find(c, s->stag, s->to, s->len, ROCE_MAY_WRITE, &key);

	if (way == ROCE_BY_FRAMES || s->niov > ROCE_SGE)
		return ROCE_BY_FRAMES;
	if (way == ROCE_NOT_YET || c->unordered) {
		roce_key_ask(c, s->stag, s->to, s->len, ROCE_MAY_WRITE);
		c->tx_waits = true;
		return ROCE_NOT_YET;
	}
	*place = place_new(c, s, 0, key->addr + (s->to - key->to), key->rkey, s->len);
	if (!*place)
		return ROCE_BY_FRAMES;
	*note = (struct roce_note){
		.op = ROCE_PLACED, .stag = s->stag, .to = s->to, .len = s->len
	};
	return ROCE_BY_DEVICE;
}

static void target_end(struct fab_msg_conn *c, struct roce_target *t)
{
	link_del(&t->link);
	free(t);
	c->ntargets--;
}

static enum roce_way place_resp(struct fab_msg_conn *c, const struct fab_send *s,
				struct roce_place **place, struct roce_note *note)
{
	struct roce_target *t;

	for (struct link *at = c->targets.next; at != &c->targets; at = at->next) {
		t = container(at, struct roce_target, link);
		if (t->stag != s->stag || t->to != s->to || t->len != s->len)
			continue;
		*place = place_new(c, s, 0, t->addr, t->rkey, s->len);
		if (!*place)
			break;
		*note = (struct roce_note){
			.op = ROCE_PLACED_RESP, .stag = s->stag, .to = s->to, .len = s->len
		};
		target_end(c, t); /* its key is good once; the STag may be asked with again */
		return ROCE_BY_DEVICE;
	}
	return ROCE_BY_FRAMES;
}

/* ----------------------------------------------------------------------------- reads */

static struct fab_read_req read_of(const struct fab_send *s)
{
	return (struct fab_read_req){
		.sink_stag = s->sink_stag,
		.sink_to = s->sink_to,
		.stag = s->stag,
		.to = s->to,
		.len = s->read_len,
	};
}

/* The peer's device may write there, and nowhere else, until the answer has come. */
static enum roce_way read_into(struct fab_msg_conn *c, const struct fab_send *s,
			       struct roce_note *note)
{
	struct roce_sink *sink;

	if (s->niov != 1 || s->iov[0].iov_len != s->read_len)
		return ROCE_BY_FRAMES;
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return ROCE_BY_FRAMES;
	if (roce_lease(c->dev, s->regions ? s->regions[0] : NULL, s->iov[0].iov_base,
		       s->iov[0].iov_len, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
		       &sink->lease)) {
		free(sink);
		return ROCE_BY_FRAMES;
	}
	sink->stag = s->sink_stag;
	link_init(&sink->link);
	link_append(&c->sinks, &sink->link);
	*note = (struct roce_note){
		.op = ROCE_READ_INTO,
		.stag = s->stag,
		.addr = (uintptr_t)s->iov[0].iov_base,
		.rkey = sink->lease.rkey,
		.read = read_of(s),
	};
	return ROCE_BY_DEVICE;
}

static enum roce_way place_read(struct fab_msg_conn *c, const struct fab_send *s,
				struct roce_place **place, struct roce_note *note)
{
	const struct roce_key *key;
	enum roce_way way = roce_key_find(c, s->stag, s->to, s->read_len, ROCE_MAY_READ, &key);
	bool may_read = c->device_reads && c->dev->reads;

	/* of memory that is read once it is not worth asking */
	if (way == ROCE_NOT_YET && c->last_read == s->stag && may_read)
		roce_key_ask(c, s->stag, s->to, s->read_len, ROCE_MAY_READ);
	c->last_read = s->stag;
	if (way == ROCE_BY_DEVICE && !c->unordered && may_read)
		*place = place_new(c, s, IBV_ACCESS_LOCAL_WRITE, key->addr + (s->to - key->to),
				   key->rkey, s->read_len);
	if (!*place)
		return read_into(c, s, note);
	(*place)->read = read_of(s);
	return ROCE_BY_DEVICE;
}

bool roce_may_place(const struct fab_msg_conn *c, const struct fab_send *s)
{
	if (!c->places)
		return false;
	if (s->op == FAB_READ)
		return s->read_len >= FAB_PLACE_MIN && s->niov;
	return s->len >= FAB_PLACE_MIN && (s->op == FAB_WRITE || s->op == FAB_READ_RESP);
}

enum roce_way roce_place(struct fab_msg_conn *c, const struct fab_send *s,
			 struct roce_place **place, struct roce_note *note)
{
	*place = NULL;
	note->op = 0;
	switch (s->op) {
	case FAB_WRITE:
		return place_write(c, s, place, note);
	case FAB_READ_RESP:
		return place_resp(c, s, place, note);
	default:
		return place_read(c, s, place, note);
	}
}

/* ------------------------------------------------------------------- what has come */

bool roce_sink_over(struct fab_msg_conn *c, uint32_t stag)
{
	for (struct link *at = c->sinks.next; at != &c->sinks; at = at->next) {
		struct roce_sink *sink = container(at, struct roce_sink, link);

		if (sink->stag != stag)
			continue;
		roce_lease_end(c->fab, &sink->lease);
		link_del(&sink->link);
		free(sink);
		return true;
	}
	return false;
}

bool roce_place_reads(const struct fab_msg_conn *c, uint32_t stag, uint64_t to)
{
	for (struct link *at = c->placed.next; at != &c->placed; at = at->next) {
		const struct roce_place *p = container(at, struct roce_place, link);

		if (p->op == FAB_READ && p->read.sink_stag == stag &&
		    to - p->read.sink_to < p->read.len)
			return true;
	}
	return false;
}

/* @known: a device can have put something there. */
static int placed(struct fab_msg_conn *c, const struct roce_note *n, bool known)
{
	const struct fab_tagged t = {
		.response = n->op == ROCE_PLACED_RESP,
		.first = true,
		.last = true,
		.stag = n->stag,
		.to = n->to,
		.len = n->len,
	};
	struct iovec iov[FAB_PLACE_IOV];
	int err = c->ops->rx_tagged(c->user, &t, iov, FAB_PLACE_IOV);

	if (c->state != RC_OPEN)
		return 0;
	if (err < 0)
		return err;
	/* it would be taken for what came that was there before */
	if (err > 0 && !known)
		return -EPROTO;
	COUNT(c->fab, msgs_rx, 1);
	c->ops->rx_tagged_done(c->user, &t);
	return 0;
}

int roce_placed(struct fab_msg_conn *c, const struct roce_note *n)
{
	if (n->op == ROCE_PLACED)
		return placed(c, n, roce_key_told(c, n->stag));
	if (roce_place_reads(c, n->stag, n->to))
		return -EPROTO;
	return placed(c, n, roce_sink_over(c, n->stag));
}

/* ----------------------------------------------------------------------- what is over */

/* What was read is in its place. */
static void read_came(struct fab_msg_conn *c, const struct fab_read_req *r)
{
	const struct roce_note fetched = { .op = ROCE_FETCHED, .stag = r->stag, .read = *r };
	const struct roce_note came = {
		.op = ROCE_PLACED_RESP, .stag = r->sink_stag, .to = r->sink_to, .len = r->len
	};
	int err;

	COUNT(c->fab, rx_bytes, r->len);
	roce_say(c, &fetched);
	err = placed(c, &came, true);
	if (err)
		roce_refuse(c, err);
}

void roce_places_over(struct fab_msg_conn *c)
{
	while (linked(&c->placed)) {
		struct roce_place *p = container(c->placed.next, struct roce_place, link);
		struct fab_read_req r = p->read;
		bool read = p->op == FAB_READ;

		if ((int16_t)(c->sq_tail - p->number) <= 0)
			break;
		COUNT(c->fab, placed, 1);
		COUNT(c->fab, placed_bytes, p->len);
		roce_place_free(c->fab, p);
		if (read && c->state == RC_OPEN)
			read_came(c, &r);
	}
}

unsigned roce_places_done(const struct fab_msg_conn *c)
{
	for (struct link *at = c->placed.next; at != &c->placed; at = at->next) {
		const struct roce_place *p = container(at, struct roce_place, link);

		if (p->op != FAB_READ)
			return p->seq - (c->tx_seq - c->tx_held);
	}
	return c->tx_held;
}

/* ---------------------------------------------------------------- the peer's sinks */

/* A peer that asks for more than it may has forgotten the first. */
int roce_target_add(struct fab_msg_conn *c, const struct roce_note *n)
{
	struct roce_target *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct roce_target){
		.stag = n->read.sink_stag,
		.len = n->read.len,
		.rkey = n->rkey,
		.to = n->read.sink_to,
		.addr = n->addr,
	};
	link_init(&t->link);
	link_append(&c->targets, &t->link);
	if (c->ntargets++ >= c->ird)
		roce_target_drop(c, container(c->targets.next, struct roce_target, link)->stag);
	return 0;
}

void roce_target_drop(struct fab_msg_conn *c, uint32_t stag)
{
	for (struct link *at = c->targets.next; at != &c->targets; at = at->next) {
		struct roce_target *t = container(at, struct roce_target, link);

		if (t->stag != stag)
			continue;
		target_end(c, t);
		return;
	}
}

/* ------------------------------------------------------------------------------- end */

/* A read of the device's own cannot be called back: its queue pair is stopped. */
static bool read_stop(struct fab_msg_conn *c, uint32_t stag)
{
	for (struct link *at = c->placed.next; at != &c->placed; at = at->next) {
		struct roce_place *p = container(at, struct roce_place, link);

		if (p->op != FAB_READ || p->read.sink_stag != stag)
			continue;
		if (c->id && !c->dev->dead)
			c->fab->lib->p_rdma_disconnect(c->id);
		for (unsigned i = 0; i < p->nsge; i++)
			roce_lease_end(c->fab, &p->lease[i]);
		return true;
	}
	return false;
}

void roce_read_over(struct fab_msg_conn *c, uint32_t stag)
{
	roce_enter(c->fab);
	/* one that is about to end has a queue pair still */
	if (!roce_sink_over(c, stag) && read_stop(c, stag))
		roce_fail_later(c, -ECONNABORTED);
	roce_leave(c->fab);
}

void roce_places_free(struct fab_msg_conn *c)
{
	while (linked(&c->placed))
		roce_place_free(c->fab, container(c->placed.next, struct roce_place, link));
	while (linked(&c->sinks))
		roce_sink_over(c, container(c->sinks.next, struct roce_sink, link)->stag);
	while (linked(&c->targets))
		roce_target_drop(c, container(c->targets.next, struct roce_target, link)->stag);
}
