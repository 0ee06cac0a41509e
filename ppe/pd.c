/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pd.c - protection domains: a peer's key is looked up here, and mr.c decides what it is good for. And
 * the authorisation keys that endpoints and regions share.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/remote.h"

/* ------------------------------------------------------------------ authorisation keys */

struct auth_key {
	uint32_t uses; /* 0: free */
	uint32_t len;
	uint8_t bytes[PPE_AUTH_MAX];
};

/* Its number; a free one if it is new; 0: there is no free one. */
static uint32_t auth_place(const struct ppe_ual *ual, const void *key, size_t len)
{
	uint32_t free_id = 0;

	for (uint32_t i = 0; i < ual->nauths; i++) {
		const struct auth_key *k = &ual->auths[i];

		if (!k->uses)
			free_id = i + 1;
		else if (k->len == len && !memcmp(k->bytes, key, len))
			return i + 1;
	}
	return free_id;
}

static int auths_grow(struct ppe_ual *ual)
{
	uint32_t room = ual->nauths ? ual->nauths * 2 : 8;
	struct auth_key *auths = realloc(ual->auths, room * sizeof(*auths));

	if (!auths)
		return -ENOMEM;
	memset(auths + ual->nauths, 0, (room - ual->nauths) * sizeof(*auths));
	ual->auths = auths;
	ual->nauths = room;
	return 0;
}

int auth_intern(struct ppe_ual *ual, const void *key, size_t len, uint32_t *id)
{
	struct auth_key *k;
	uint32_t found;

	assert(turn_held(ual));
	if (!key || !len) {
		*id = 0;
		return 0;
	}
	if (len > PPE_AUTH_MAX)
		return -EINVAL;
	found = auth_place(ual, key, len);
	if (!found) {
		int err = auths_grow(ual);

		if (err)
			return err;
		found = ual->nauths;
	}
	k = &ual->auths[found - 1];
	if (!k->uses++) {
		k->len = len;
		memcpy(k->bytes, key, len);
	}
	*id = found;
	return 0;
}

void auth_release(struct ppe_ual *ual, uint32_t id)
{
	struct auth_key *k;

	if (!id)
		return;
	k = &ual->auths[id - 1];
	assert(k->uses);
	if (!--k->uses)
		explicit_bzero(k, sizeof(*k));
}

const uint8_t *auth_bytes(const struct ppe_ual *ual, uint32_t id, size_t *len)
{
	if (!id) {
		*len = 0;
		return NULL;
	}
	*len = ual->auths[id - 1].len;
	return ual->auths[id - 1].bytes;
}

/* -------------------------------------------------------------------------------- keys */

static uint32_t slot_home(const struct ppe_pd *pd, uint32_t key)
{
	/* keys chosen by hand are often consecutive, or multiples of something */
	return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 32) & (pd->nslots - 1);
}

static uint32_t slot_next(const struct ppe_pd *pd, uint32_t i)
{
	return (i + 1) & (pd->nslots - 1);
}

/* The slot of @key, or the free one where its search ends. At least one is free. */
static struct pd_key *slot_find(const struct ppe_pd *pd, uint32_t key)
{
	uint32_t i = slot_home(pd, key);

	while (pd->slot[i].region && pd->slot[i].key != key)
		i = slot_next(pd, i);
	return &pd->slot[i];
}

static int keys_grow(struct ppe_pd *pd)
{
	struct pd_key *old = pd->slot, *slot;
	uint32_t nold = pd->nslots, nslots = nold ? nold * 2 : 16;

	slot = calloc(nslots, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	pd->slot = slot;
	pd->nslots = nslots;
	for (uint32_t i = 0; i < nold; i++)
		if (old[i].region)
			*slot_find(pd, old[i].key) = old[i];
	free(old);
	return 0;
}

bool pd_has_key(const struct ppe_pd *pd, uint32_t key)
{
	return pd->nkeys && slot_find(pd, key)->region;
}

int pd_key_add(struct ppe_pd *pd, uint32_t key, uint32_t number)
{
	assert(turn_held(pd->ual));
	if (pd_has_key(pd, key))
		return -ENOKEY;
	/* half full at most: searches stay short */
	if ((pd->nkeys + 1) * 2 > pd->nslots) {
		int err = keys_grow(pd);

		if (err)
			return err;
	}
	*slot_find(pd, key) = (struct pd_key){ .key = key, .region = number + 1 };
	pd->nkeys++;
	return 0;
}

/* Those behind it move up, so that no search ends too early. */
void pd_key_remove(struct ppe_pd *pd, uint32_t key)
{
	uint32_t mask = pd->nslots - 1, gap = slot_find(pd, key) - pd->slot, i;

	assert(turn_held(pd->ual));
	assert(pd->slot[gap].region);
	for (i = slot_next(pd, gap); pd->slot[i].region; i = slot_next(pd, i)) {
		uint32_t home = slot_home(pd, pd->slot[i].key);

		/* found from its home, if that is not behind the gap */
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		pd->slot[gap] = pd->slot[i];
		gap = i;
	}
	pd->slot[gap].region = 0;
	pd->nkeys--;
}

int pd_check(const struct ppe_pd *pd, uint32_t auth, uint32_t key, uint64_t addr, uint64_t len,
	     unsigned access, struct iovec *iov, uint32_t *region)
{
	const struct mr_table *t = &pd->ual->mrs;
	const struct pd_key *k;
	int n;

	assert(turn_held(pd->ual));
	if (!pd->nkeys)
		return -ENOKEY;
	k = slot_find(pd, key);
	if (!k->region)
		return -ENOKEY;
	n = mr_check_remote(t, k->region - 1, auth, addr, len, access, iov);
	if (n >= 0 && region)
		*region = handle_make(k->region - 1, t->entry[k->region - 1].generation);
	return n;
}

/* -------------------------------------------------------------------------------- life */

int ppe_pd_create(struct ppe_ual *ual, struct ppe_pd **out)
{
	struct ppe_pd *pd;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return -ENOMEM;
	pd->ual = ual;
	list_init(&pd->link);
	turn_lock(ual);
	list_add_tail(&ual->pds, &pd->link);
	turn_unlock(ual);
	*out = pd;
	return 0;
}

static void pd_free(struct ppe_pd *pd)
{
	list_del(&pd->link);
	free(pd->slot);
	free(pd);
}

int ppe_pd_destroy(struct ppe_pd *pd)
{
	struct ppe_ual *ual = pd->ual;
	int err = -EBUSY;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	turn_lock(ual);
	if (!pd->holds && !pd->nkeys) {
		pd_free(pd);
		err = 0;
	}
	turn_unlock(ual);
	return err;
}

void pd_close_all(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->pds)))
		pd_free(list_entry(node, struct ppe_pd, link));
	free(ual->auths);
	ual->auths = NULL;
	ual->nauths = 0;
}

void pd_hold(struct ppe_pd *pd)
{
	pd->holds++;
}

void pd_drop(struct ppe_pd *pd)
{
	assert(pd->holds);
	pd->holds--;
}
