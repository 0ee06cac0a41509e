/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stub_place.c - the part of the fabric without a wire that plays one with a device: messages stay on
 * the wire until the test completes them, in any order, and are reported in theirs; memory is reached
 * by the regions that were named, until they are gone.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/stub_fabric.h"

#define PLACE_ENTRIES 32

static size_t bytes_of(const struct iovec *iov, unsigned n)
{
	size_t sum = 0;

	while (n--)
		sum += iov++->iov_len;
	return sum;
}

/* ------------------------------------------------------------------------------ regions */

/* A device registers a region when it is first of use. */
static void region_use(struct fab *fab, struct fab_region *r, const struct iovec *v)
{
	if (!r)
		return;
	assert((uint8_t *)v->iov_base >= (uint8_t *)r->base);
	assert((uint8_t *)v->iov_base + v->iov_len <= (uint8_t *)r->base + r->len);
	assert(!r->wire || r->wire == fab);
	if (!r->wire)
		fab->nregions++;
	r->wire = fab;
}

static bool names(struct fab_region *const *region, unsigned n, const struct fab_region *r)
{
	while (n--)
		if (*region++ == r)
			return true;
	return false;
}

static bool is_under_way(const struct fab_msg_conn *c, const struct fab_region *r)
{
	for (unsigned i = 0; i < c->nbegun; i++)
		if (!c->begun[i].complete && names(c->begun[i].region, c->begun[i].send.niov, r))
			return true;
	for (unsigned i = 0; i < c->nsinks; i++)
		if (names(c->sink[i].region, c->sink[i].n, r))
			return true;
	return false;
}

void stub_place_gone(struct fab_msg *m, struct fab_region *region)
{
	struct fab *fab = m->fab;
	struct list *n;

	stub_enter(fab);
	fab->ngone++;
	for (n = fab->mconns.next; n != &fab->mconns; n = n->next) {
		struct fab_msg_conn *c = list_entry(n, struct fab_msg_conn, link);

		if (!c->dead && !c->close_told && is_under_way(c, region))
			stub_msg_end(c, -EFAULT);
	}
	region->wire = NULL;
	stub_leave(fab);
}

/* -------------------------------------------------------------------------------- sinks */

static struct stub_sink *sink_find(struct fab_msg_conn *c, uint32_t stag)
{
	for (unsigned i = 0; i < c->nsinks; i++)
		if (c->sink[i].stag == stag)
			return &c->sink[i];
	return NULL;
}

static void sink_add(struct fab_msg_conn *c, const struct stub_begun *b)
{
	struct stub_sink *s = &c->sink[c->nsinks++];

	assert(c->nsinks <= STUB_BEGUN && !b->send.len);
	assert(bytes_of(b->iov, b->send.niov) == b->send.read_len);
	s->stag = b->send.sink_stag;
	s->n = b->send.niov;
	memcpy(s->iov, b->iov, sizeof(s->iov));
	memcpy(s->region, b->region, sizeof(s->region));
}

static void sink_drop(struct fab_msg_conn *c, uint32_t stag)
{
	struct stub_sink *s = sink_find(c, stag);

	if (s)
		*s = c->sink[--c->nsinks];
}

void stub_place_over(struct fab_msg_conn *c, uint32_t sink)
{
	stub_enter(c->fab);
	assert(!c->dead && sink_find(c, sink));
	sink_drop(c, sink);
	c->novers++;
	c->last_over = sink;
	if (c->fab->over)
		c->fab->over(c, sink);
	stub_leave(c->fab);
}

/* ----------------------------------------------------------------------------- messages */

static void begin(struct fab_msg_conn *c, const struct fab_send *s)
{
	struct stub_begun *b = &c->begun[c->nbegun++];

	memset(b, 0, sizeof(*b));
	b->send = *s;
	memcpy(b->iov, s->iov, s->niov * sizeof(*s->iov));
	if (s->regions)
		memcpy(b->region, s->regions, s->niov * sizeof(struct fab_region *));
	b->send.iov = b->iov;
	b->send.regions = s->regions ? b->region : NULL;
	for (unsigned i = 0; i < s->niov; i++)
		region_use(c->fab, b->region[i], &b->iov[i]);
	if (s->op == FAB_READ && s->niov)
		sink_add(c, b);
	else
		assert(bytes_of(s->iov, s->niov) == s->len);
}

/* The same message as before, or NULL: its memory is gone. A read that is over names no sink any more. */
static bool is_same(const struct stub_begun *b, const struct fab_send *s)
{
	if (s && s->op == FAB_READ && !s->niov)
		return s->sink_stag == b->send.sink_stag && s->to == b->send.to;
	return s && s->op == b->send.op && s->len == b->send.len && s->to == b->send.to &&
	       s->niov == b->send.niov && !memcmp(s->iov, b->iov, s->niov * sizeof(*s->iov));
}

void stub_place_transmit(struct fab_msg_conn *c)
{
	unsigned from = c->nbegun;
	const struct fab_send *s;

	if (from)
		from = c->ask_again < from ? c->ask_again : from - 1;
	for (unsigned i = from; i < c->nbegun; i++) {
		s = c->ops->tx_peek(c->user, i);
		if (!s) {
			stub_msg_end(c, -ECONNABORTED);
			return;
		}
		assert(is_same(&c->begun[i], s));
	}
	from = c->nbegun;
	while (c->nbegun < c->max_begun && (s = c->ops->tx_peek(c->user, c->nbegun)))
		begin(c, s);
	if (!c->dead && c->nbegun > from)
		c->ops->tx_done(c->user, 0, c->nbegun);
}

bool stub_place_ready(const struct fab_msg_conn *c)
{
	return c->nbegun && c->begun[0].complete;
}

void stub_place_progress(struct fab_msg_conn *c)
{
	unsigned n = 0;

	while (n < c->nbegun && c->begun[n].complete)
		n++;
	if (!n)
		return;
	c->nbegun -= n;
	memmove(c->begun, c->begun + n, c->nbegun * sizeof(c->begun[0]));
	for (unsigned i = 0; i < c->nbegun; i++) {
		c->begun[i].send.iov = c->begun[i].iov;
		if (c->begun[i].send.regions)
			c->begun[i].send.regions = c->begun[i].region;
	}
	c->ops->tx_done(c->user, n, c->nbegun);
}

/* -------------------------------------------------------------------------- for the test */

static void upcall_begin(struct fab_msg_conn *c)
{
	turn_lock(c->fab->env->arg);
	stub_enter(c->fab);
	assert(!c->dead && !c->close_told);
}

static void upcall_end(struct fab_msg_conn *c, int err)
{
	if (err < 0 && !c->dead)
		stub_msg_end(c, err);
	stub_leave(c->fab);
	turn_unlock(c->fab->env->arg);
}

void stub_msg_complete(struct fab_msg_conn *c, unsigned i)
{
	upcall_begin(c);
	assert(i < c->nbegun && !c->begun[i].complete);
	c->begun[i].complete = true;
	upcall_end(c, 0);
}

int stub_msg_tagged(struct fab_msg_conn *c, const struct fab_tagged *t, const void *data)
{
	struct iovec iov[PLACE_ENTRIES];
	const uint8_t *p = data;
	int n;

	upcall_begin(c);
	n = c->ops->rx_tagged(c->user, t, iov, PLACE_ENTRIES);
	assert(n <= 0 || bytes_of(iov, n) == t->len);
	for (int i = 0; i < n; p += iov[i++].iov_len)
		memcpy(iov[i].iov_base, p, iov[i].iov_len);
	if (n >= 0)
		c->ops->rx_tagged_done(c->user, t);
	if (t->response && t->last)
		sink_drop(c, t->stag);
	upcall_end(c, n);
	return n;
}

void stub_msg_place(struct fab_msg_conn *c, uint32_t sink, uint64_t to, const void *data,
		    uint32_t len)
{
	const struct stub_sink *s = sink_find(c, sink);
	struct fab_tagged t = {
		.response = true, .first = true, .last = true, .stag = sink, .to = to, .len = len
	};
	struct iovec iov[PLACE_ENTRIES];
	const uint8_t *p = data;
	int n;

	upcall_begin(c);
	assert(s && bytes_of(s->iov, s->n) == len);
	for (unsigned i = 0; i < s->n; p += s->iov[i++].iov_len)
		memcpy(s->iov[i].iov_base, p, s->iov[i].iov_len);
	sink_drop(c, sink);
	n = c->ops->rx_tagged(c->user, &t, iov, PLACE_ENTRIES);
	assert(n >= 0);
	c->ops->rx_tagged_done(c->user, &t);
	upcall_end(c, 0);
}

int stub_msg_read(struct fab_msg_conn *c, const struct fab_read_req *r)
{
	int err;

	upcall_begin(c);
	err = c->ops->rx_read(c->user, r);
	upcall_end(c, err);
	return err;
}

int stub_msg_key(struct fab_msg_conn *c, const struct fab_key_req *r, struct fab_key *key)
{
	struct iovec v = { .iov_len = r->len };
	int err;

	memset(key, 0, sizeof(*key));
	upcall_begin(c);
	err = c->ops->rx_key(c->user, r, key);
	v.iov_base = key->addr;
	if (!err)
		region_use(c->fab, key->region, &v);
	upcall_end(c, 0);
	return err;
}

void stub_msg_fetched(struct fab_msg_conn *c, const struct fab_read_req *r)
{
	upcall_begin(c);
	c->ops->rx_fetched(c->user, r);
	upcall_end(c, 0);
}
