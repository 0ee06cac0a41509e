/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* iwarp_hello.c - what etas tell each other in start-up, to and from the items of the eta block. */
#include <errno.h>
#include <string.h>

#include "fabric/iwarp/iwarp.h"

static_assert(FAB_NAME_MAX == MPA_NAME_MAX, "names");
static_assert(FAB_NONCE == MPA_NONCE_LEN && FAB_PROOF == MPA_PROOF_LEN, "challenge and proof");
static_assert(FAB_PDATA_MAX == MPA_USER_MAX, "private data");

/* Atomics and immediate data are the fabric's own, and always offered. */
uint16_t iw_hello_features(const struct fab_hello *hello)
{
	uint16_t said = hello ? hello->features : 0;

	return MPA_FEATURE_RFC7306 | (said & FAB_FEATURE_ULP ? MPA_FEATURE_RDM : 0) |
	       (said & FAB_FEATURE_STREAM ? MPA_FEATURE_STREAM : 0);
}

static uint16_t features_get(uint16_t features)
{
	return (features & MPA_FEATURE_RDM ? FAB_FEATURE_ULP : 0) |
	       (features & MPA_FEATURE_RFC7306 ? FAB_FEATURE_ATOMIC : 0) |
	       (features & MPA_FEATURE_STREAM ? FAB_FEATURE_STREAM : 0);
}

static int put_name(struct mpa_eta *eta, const struct fab_hello *hello)
{
	be64 incarnation = be64_make(hello->incarnation);
	int err = mpa_item_add(eta, MPA_ITEM_NAME, hello->name, hello->name_len);

	return err ? err
		   : mpa_item_add(eta, MPA_ITEM_INCARNATION, &incarnation, sizeof(incarnation));
}

static int put_limits(struct mpa_eta *eta, const struct fab_hello *hello)
{
	struct mpa_limits limits = { be32_make(hello->window), be32_make(hello->announces) };

	return mpa_item_add(eta, MPA_ITEM_LIMITS, &limits, sizeof(limits));
}

int iw_hello_put(struct mpa_eta *eta, const struct fab_hello *hello)
{
	int err = 0;

	eta->items_len = 0;
	if (!hello)
		return 0;
	if (hello->name_len > FAB_NAME_MAX)
		return -EINVAL;
	if (hello->name_len)
		err = put_name(eta, hello);
	if (!err && (hello->window || hello->announces))
		err = put_limits(eta, hello);
	if (!err && hello->has_nonce)
		err = mpa_item_add(eta, MPA_ITEM_CHALLENGE, hello->nonce, FAB_NONCE);
	if (!err && hello->has_proof)
		err = mpa_item_add(eta, MPA_ITEM_PROOF, hello->proof, FAB_PROOF);
	return err ? -EMSGSIZE : 0;
}

/* mpa_decode() has seen to it that items have the length of what they hold. */
static void get_numbers(const struct mpa_eta *eta, struct fab_hello *hello)
{
	struct mpa_limits limits;
	be64 incarnation;
	const uint8_t *p;
	size_t len;

	p = mpa_item_find(eta, MPA_ITEM_INCARNATION, &len);
	if (p) {
		memcpy(&incarnation, p, sizeof(incarnation));
		hello->incarnation = be64_get(incarnation);
	}
	p = mpa_item_find(eta, MPA_ITEM_LIMITS, &len);
	if (p) {
		memcpy(&limits, p, sizeof(limits));
		hello->window = be32_get(limits.window);
		hello->announces = be32_get(limits.announces);
	}
}

static void hello_get(const struct mpa_eta *eta, struct fab_hello *hello)
{
	const uint8_t *p;
	size_t len;

	hello->features = features_get(eta->features);
	get_numbers(eta, hello);
	p = mpa_item_find(eta, MPA_ITEM_NAME, &len);
	if (p) {
		memcpy(hello->name, p, len);
		hello->name_len = (uint8_t)len;
	}
	p = mpa_item_find(eta, MPA_ITEM_CHALLENGE, &len);
	hello->has_nonce = p;
	if (p)
		memcpy(hello->nonce, p, FAB_NONCE);
	p = mpa_item_find(eta, MPA_ITEM_PROOF, &len);
	hello->has_proof = p;
	if (p)
		memcpy(hello->proof, p, FAB_PROOF);
}

void iw_hello_peer(const struct iw_start *s, bool agreed, struct fab_msg_peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	peer->eta = s->theirs.is_eta;
	if (peer->eta)
		hello_get(&s->theirs.eta, &peer->hello);
	peer->features = agreed ? features_get(s->agreed.features) : peer->hello.features;
	/* a request says what the peer would have outstanding, and what it would serve */
	peer->ord = agreed ? s->agreed.ord : s->theirs.ird;
	peer->ird = agreed ? s->agreed.ird : s->theirs.ord;
}
