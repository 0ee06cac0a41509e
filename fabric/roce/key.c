/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * key.c - keys of devices: those that peers have to our memory, and those that we have to theirs.
 *
 * The user gives a key once, where it would allow the access, and the device is asked no more; so what
 * the user takes back is taken from the device, and every peer that was told a key of it hears so.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>

#define KEYS_MAX 64  /* of a peer's that are kept */
#define TOLD_MAX 250 /* that a peer may have */
#define NEVER_AGE 64 /* uses after which is asked again where there can be no key */
#define ONCE_AGE 2   /* ... where this access was refused: what was about to be done is, once */

/* ----------------------------------------------------------------- what is to be said */

void roce_say(struct fab_msg_conn *c, const struct roce_note *note)
{
	struct roce_word *w;

	if (c->state != RC_OPEN || c->dead)
		return;
	w = malloc(sizeof(*w));
	if (!w) {
		roce_fail_later(c, -ENOMEM);
		return;
	}
	link_init(&w->link);
	w->note = *note;
	link_append(&c->words, &w->link);
	roce_tx_want(c);
}

/* ------------------------------------------------------------------ to the peer's memory */

static void key_drop(struct fab_msg_conn *c, struct roce_key *key)
{
	link_del(&key->link);
	c->nkeys--;
	free(key);
}

static bool reaches(const struct roce_key *key, uint64_t to, uint32_t len)
{
	return to >= key->to && len <= key->span && to - key->to <= key->span - len;
}

/* It comes first, so that those that are not used go in the end. */
static enum roce_way found(struct fab_msg_conn *c, struct roce_key *key,
			   const struct roce_key **out)
{
	if (!key->span) {
		if (--key->age)
			return ROCE_BY_FRAMES;
		key_drop(c, key);
		return ROCE_NOT_YET;
	}
	link_del(&key->link);
	link_prepend(&c->keys, &key->link);
	*out = key;
	return ROCE_BY_DEVICE;
}

enum roce_way roce_key_find(struct fab_msg_conn *c, uint32_t stag, uint64_t to, uint32_t len,
			    uint8_t access, const struct roce_key **out)
{
	for (struct link *at = c->keys.next; at != &c->keys; at = at->next) {
		struct roce_key *key = container(at, struct roce_key, link);

		if (key->stag == stag && key->access == access &&
		    (!key->span || reaches(key, to, len)))
			return found(c, key, out);
	}
	return ROCE_NOT_YET;
}

void roce_key_ask(struct fab_msg_conn *c, uint32_t stag, uint64_t to, uint32_t len, uint8_t access)
{
	if (c->key_asked)
		return;
	c->asked_for = (struct roce_note){
		.op = ROCE_KEY_ASK, .stag = stag, .to = to, .len = len, .access = access
	};
	COUNT(c->fab, keys_asked, 1);
	c->key_asked = true;
	c->key_fences = true;
	roce_say(c, &c->asked_for);
}

static int key_keep(struct fab_msg_conn *c, const struct roce_note *n)
{
	struct roce_key *key = calloc(1, sizeof(*key));

	if (!key)
		return -ENOMEM;
	*key = (struct roce_key){
		.stag = n->stag,
		.rkey = n->rkey,
		.to = n->to,
		.addr = n->addr,
		.span = n->span,
		.access = n->access,
		.age = n->flags & ROCE_KEY_NEVER ? NEVER_AGE : ONCE_AGE,
	};
	link_init(&key->link);
	link_prepend(&c->keys, &key->link);
	if (++c->nkeys > KEYS_MAX)
		key_drop(c, container(c->keys.prev, struct roce_key, link));
	return 0;
}

int roce_key_came(struct fab_msg_conn *c, const struct roce_note *n)
{
	const struct roce_note *a = &c->asked_for;
	const struct roce_key key = { .to = n->to, .span = n->span };

	if (!c->key_asked || n->stag != a->stag || n->access != a->access ||
	    (n->span && !reaches(&key, a->to, a->len)))
		return -EPROTO;
	c->key_asked = false;
	c->unordered &= !c->key_fences;
	if (c->tx_waits) {
		c->tx_waits = false;
		roce_tx_want(c);
	}
	return key_keep(c, n);
}

void roce_key_gone(struct fab_msg_conn *c, uint32_t stag)
{
	struct link *next;

	for (struct link *at = c->keys.next; at != &c->keys; at = next) {
		struct roce_key *key = container(at, struct roce_key, link);

		next = at->next;
		if (key->stag == stag)
			key_drop(c, key);
	}
}

/* ------------------------------------------------------------------------- to ours */

static void told_drop(struct roce_told *t)
{
	link_del(&t->of_conn);
	link_del(&t->of_window);
	t->c->ntolds--;
	free(t);
}

/* A peer that forgot, or asks for another part, is told again, and stands there once. */
static int told_keep(struct fab_msg_conn *c, struct roce_window *w, uint32_t stag)
{
	struct roce_told *t;

	for (struct link *at = c->tolds.next; at != &c->tolds; at = at->next) {
		t = container(at, struct roce_told, of_conn);
		if (t->stag == stag && t->window == w)
			return 0;
	}
	if (c->ntolds == TOLD_MAX)
		return -ENOSPC;
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct roce_told){ .c = c, .window = w, .stag = stag };
	link_init(&t->of_conn);
	link_init(&t->of_window);
	link_append(&c->tolds, &t->of_conn);
	link_append(&w->told, &t->of_window);
	c->ntolds++;
	return 0;
}

bool roce_key_told(const struct fab_msg_conn *c, uint32_t stag)
{
	for (struct link *at = c->tolds.next; at != &c->tolds; at = at->next)
		if (container(at, struct roce_told, of_conn)->stag == stag)
			return true;
	return false;
}

static bool may(const struct fab_region *region, uint8_t access)
{
	return region->access &
	       (access == ROCE_MAY_WRITE ? FAB_MAY_REMOTE_WRITE : FAB_MAY_REMOTE_READ);
}

/* The window of what is asked for. -EOPNOTSUPP: not by a device. */
static int window_of(struct fab_msg_conn *c, const struct roce_note *n, struct fab_key *key,
		     struct roce_window **out)
{
	const struct fab_key_req r = {
		.stag = n->stag,
		.to = n->to,
		.len = n->len,
		.write = n->access == ROCE_MAY_WRITE,
	};
	int err = c->ops->rx_key ? c->ops->rx_key(c->user, &r, key) : -EOPNOTSUPP;

	*out = NULL;
	if (err || c->state != RC_OPEN)
		return err;
	if (may(key->region, n->access))
		*out = roce_window_get(c->dev, key->region, key->addr, n->len);
	return *out ? told_keep(c, *out, n->stag) : -EOPNOTSUPP;
}

/* How the window lies, in the octets of the STag. */
static void describe(const struct roce_window *w, const struct fab_key *key, struct roce_note *n)
{
	uint64_t before = (uint8_t *)key->addr - w->start;

	if (before > n->to)
		before = n->to;
	n->to -= before;
	n->addr = (uintptr_t)key->addr - before;
	n->span = (uintptr_t)w->start + w->len - n->addr;
	if (n->span > UINT64_MAX - n->to)
		n->span = UINT64_MAX - n->to;
	n->rkey = w->mr->rkey;
}

int roce_key_asked(struct fab_msg_conn *c, const struct roce_note *n)
{
	struct roce_note answer = {
		.op = ROCE_KEY, .stag = n->stag, .to = n->to, .access = n->access
	};
	struct roce_window *w;
	struct fab_key key;
	int err;

	if (c->key_due)
		return -EPROTO;
	err = window_of(c, n, &key, &w);
	if (!err && c->state == RC_OPEN)
		describe(w, &key, &answer);
	else
		answer.flags = err == -EOPNOTSUPP ? ROCE_KEY_NEVER : 0;
	COUNT(c->fab, keys_given, !err);
	c->key_due = true;
	roce_say(c, &answer);
	return 0;
}

void roce_window_untell(struct roce_window *w)
{
	while (linked(&w->told)) {
		struct roce_told *t = container(w->told.next, struct roce_told, of_window);
		const struct roce_note gone = { .op = ROCE_KEY_GONE, .stag = t->stag };

		roce_say(t->c, &gone);
		told_drop(t);
	}
}

void roce_keys_free(struct fab_msg_conn *c)
{
	while (linked(&c->tolds))
		told_drop(container(c->tolds.next, struct roce_told, of_conn));
	while (linked(&c->keys))
		key_drop(c, container(c->keys.next, struct roce_key, link));
	while (linked(&c->words)) {
		struct roce_word *w = container(c->words.next, struct roce_word, link);

		link_del(&w->link);
		free(w);
	}
}
