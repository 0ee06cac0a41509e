/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_mpa.c - MPA start-up with arbitrary frames, and between two arbitrary configurations.
 *
 * Input: 32 octets make two configurations, the rest is a frame.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/iwarp/mpa.h"

#define CONFIG_SIZE 16
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static struct mpa_config config_make(const uint8_t *p)
{
	struct mpa_config cfg = {
		.crc = p[0] & 1,
		.eta = p[0] & 2,
		.rev = p[0] & 4 ? MPA_REV_1 : MPA_REV_2,
		.rtr = p[1] & 7,
		.ird = u16(p + 2) % MPA_DEPTH_NONE,
		.ord = u16(p + 4) % MPA_DEPTH_NONE,
		.features = u16(p + 6),
		.mulpdu = u16(p + 8),
		.mulpdu_mss = mpa_mulpdu_of_mss(u16(p + 10)),
	};

	if (cfg.mulpdu < MPA_MULPDU_MIN)
		cfg.mulpdu = MPA_MULPDU_MIN;
	return cfg;
}

static void check_same(const struct mpa_start *a, const struct mpa_start *b)
{
	CHECK(a->rev == b->rev && a->markers == b->markers && a->crc == b->crc);
	CHECK(a->reject == b->reject && a->enhanced == b->enhanced && a->p2p == b->p2p);
	CHECK(a->rtr == b->rtr && a->ird == b->ird && a->ord == b->ord);
	CHECK(a->raw == b->raw && a->is_eta == b->is_eta && a->user_len == b->user_len);
	CHECK(memcmp(a->user, b->user, a->user_len) == 0);
	if (!a->is_eta)
		return;
	CHECK(a->eta.version == b->eta.version && a->eta.features == b->eta.features);
	CHECK(a->eta.mulpdu == b->eta.mulpdu && a->eta.items_len == b->eta.items_len);
	CHECK(memcmp(a->eta.items, b->eta.items, a->eta.items_len) == 0);
}

/* Encodes, decodes, and finds the same again; cut short, it asks for what is missing. */
static bool carry(const struct mpa_start *sent, enum mpa_kind kind, struct mpa_start *got)
{
	uint8_t frame[MPA_FRAME_MAX];
	size_t used = 0;
	int len = mpa_encode(sent, kind, frame, sizeof(frame));

	if (len < 0)
		return false;
	CHECK(mpa_decode(frame, (size_t)len, kind, got, &used) == 0);
	CHECK(used == (size_t)len);
	CHECK(mpa_decode(frame, (size_t)len - 1, kind, got, &used) == len);
	check_same(sent, got);
	return true;
}

static void check_items(const struct mpa_eta *eta)
{
	const uint8_t *item;
	size_t len = 0;
	int type;

	for (type = 0; type < 256; type++) {
		item = mpa_item_find(eta, (uint8_t)type, &len);
		CHECK(!item || (item > eta->items && item + len <= eta->items + eta->items_len));
	}
}

static void check_agreed(const struct mpa_config *cfg, const struct mpa_agreed *a)
{
	CHECK(a->ird <= cfg->ird && a->ord <= cfg->ord);
	CHECK(a->mulpdu >= MPA_MULPDU_MIN);
	CHECK(a->mulpdu <= (a->eta ? cfg->mulpdu : cfg->mulpdu_mss));
	CHECK(a->p2p == (a->rtr != 0) && (a->rtr & (a->rtr - 1)) == 0);
	CHECK(!(a->rtr & ~cfg->rtr));
	CHECK(!(a->features & ~cfg->features) && (a->eta || !a->features));
	CHECK(a->crc || !cfg->crc);
}

static void answer(const struct mpa_config *cfg, const struct mpa_start *got, enum mpa_kind kind)
{
	struct mpa_start ours, carried;
	struct mpa_agreed agreed;
	int err;

	if (kind == MPA_REQUEST) {
		err = mpa_respond(cfg, got, &ours, &agreed);
		CHECK(ours.reject == (err != 0));
		CHECK(carry(&ours, MPA_REPLY, &carried));
	} else {
		mpa_request_init(cfg, &ours);
		err = mpa_conclude(cfg, &ours, got, &agreed);
		CHECK(err == -MPA_E_REJECTED || !got->reject);
	}
	CHECK(err <= 0 && err > -MPA_ERRORS);
	if (err)
		return;
	check_agreed(cfg, &agreed);
	CHECK(agreed.crc == (cfg->crc || got->crc));
	CHECK(agreed.hold_tx == (kind == MPA_REQUEST));
}

static void stranger(const struct mpa_config *cfg, enum mpa_kind kind, const uint8_t *frame,
		     size_t size)
{
	struct mpa_start got, again;
	size_t used = SIZE_MAX;
	int ret = mpa_decode(frame, size, kind, &got, &used);

	CHECK(ret > -MPA_ERRORS && ret <= MPA_DECODE_MAX);
	CHECK(ret <= 0 || (size_t)ret > size);
	CHECK((ret == 0) == (used != SIZE_MAX));
	if (ret)
		return;
	CHECK(used <= size && got.user_len <= MPA_PD_MAX);
	CHECK(mpa_decode(frame, used - 1, kind, &again, &used) > 0);
	if (got.is_eta)
		check_items(&got.eta);
	carry(&got, kind, &again);
	answer(cfg, &got, kind);
}

/* Two of us either agree on the same, or both know that they do not. */
static void meet(const struct mpa_config *init, const struct mpa_config *resp, const uint8_t *user,
		 size_t user_len)
{
	struct mpa_start sent, req, answered, rep;
	struct mpa_agreed i, r;
	int err;

	mpa_request_init(init, &sent);
	mpa_user_set(&sent, user, user_len);
	CHECK(carry(&sent, MPA_REQUEST, &req));
	err = mpa_respond(resp, &req, &answered, &r);
	mpa_user_set(&answered, user, user_len);
	CHECK(carry(&answered, MPA_REPLY, &rep));
	if (err) {
		CHECK(mpa_conclude(init, &sent, &rep, &i) == -MPA_E_REJECTED);
		return;
	}
	CHECK(mpa_conclude(init, &sent, &rep, &i) == 0);
	check_agreed(init, &i);
	check_agreed(resp, &r);
	CHECK(i.crc == r.crc && i.p2p == r.p2p && i.rtr == r.rtr && i.eta == r.eta);
	CHECK(i.features == r.features && i.hold_tx + r.hold_tx == 1);
	CHECK(!i.eta || i.mulpdu == r.mulpdu);
	if (rep.enhanced)
		CHECK(i.ord <= r.ird && r.ord <= i.ird);
	CHECK(i.rtr != MPA_RTR_READ || (i.ord && r.ird));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mpa_config a, b;

	if (size < 2 * CONFIG_SIZE)
		return 0;
	a = config_make(data);
	b = config_make(data + CONFIG_SIZE);
	data += 2 * CONFIG_SIZE;
	size -= 2 * CONFIG_SIZE;
	meet(&a, &b, data, size);
	stranger(&a, MPA_REQUEST, data, size);
	stranger(&b, MPA_REPLY, data, size);
	return 0;
}
