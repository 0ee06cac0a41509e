/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_mpa.c - MPA start-up frames, what two sides agree on, pad and CRC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fabric/iwarp/mpa.h"
#include "tests/unit/guard_page.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Frames written by hand from RFC 5044 7.1.1, RFC 6581 9 and wire.h. */
#define KEY_REQ "MPA ID Req Frame"
#define KEY_REP "MPA ID Rep Frame"

/* What eta dials with: S, revision 2; A, IRD 32; C, D, ORD 16; user data "abc"; block, one item. */
static const char eta_request[] = KEY_REQ "\x10\x02\x00\x1e"
					  "\x80\x20\xc0\x10"
					  "\x03"
					  "abc"
					  "\xe7\x65\x74\x61\x01\x16\x00\x01\xfd\x00\x00\x00"
					  "\x02\x08vwxyz012";

/* What siw answers to it: no block, RTR Write, IRD 16, ORD 32, C set on its own account. */
static const char siw_reply[] = KEY_REP "\x50\x02\x00\x04"
					"\x80\x10\x80\x20";

static const char rev1_request[] = KEY_REQ "\x40\x01\x00\x00";
static const char verbs_request[] = KEY_REQ "\x10\x02\x00\x0a"
					    "\x00\x01\x00\x01"
					    "\x05hello";
static const char raw_request[] = KEY_REQ "\x00\x01\x00\x05rping";
/* A first octet that would be the size of just one octet more than there are. */
static const char raw_by_one[] = KEY_REQ "\x00\x02\x00\x05\x05ping";
static const char rejection[] = KEY_REP "\x30\x02\x00\x08"
					"\x00\x00\x00\x00"
					"\x03why";

#define FRAME(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

static int decode(const uint8_t *frame, size_t len, enum mpa_kind kind, struct mpa_start *start)
{
	size_t used = SIZE_MAX;
	int ret = mpa_decode(guard_copy(frame, len), len, kind, start, &used);

	if (ret)
		assert_int_equal(used, SIZE_MAX);
	else
		assert_int_equal(used, len);
	return ret;
}

static void assert_start_equal(const struct mpa_start *got, const struct mpa_start *want)
{
	assert_int_equal(got->rev, want->rev);
	assert_int_equal(got->markers, want->markers);
	assert_int_equal(got->crc, want->crc);
	assert_int_equal(got->reject, want->reject);
	assert_int_equal(got->enhanced, want->enhanced);
	assert_int_equal(got->p2p, want->p2p);
	assert_int_equal(got->rtr, want->rtr);
	assert_int_equal(got->ird, want->ird);
	assert_int_equal(got->ord, want->ord);
	assert_int_equal(got->raw, want->raw);
	assert_int_equal(got->user_len, want->user_len);
	assert_memory_equal(got->user, want->user, want->user_len);
	assert_int_equal(got->is_eta, want->is_eta);
	assert_int_equal(got->eta.version, want->eta.version);
	assert_int_equal(got->eta.features, want->eta.features);
	assert_int_equal(got->eta.mulpdu, want->eta.mulpdu);
	assert_int_equal(got->eta.items_len, want->eta.items_len);
	assert_memory_equal(got->eta.items, want->eta.items, want->eta.items_len);
}

/* ------------------------------------------------------------------------ encoding */

static const struct mpa_config eta_config = {
	.rev = MPA_REV_2,
	.rtr = MPA_RTR_WRITE | MPA_RTR_READ,
	.ird = 32,
	.ord = 16,
	.eta = true,
	.features = MPA_FEATURE_RFC7306,
	.mulpdu = 0xfd00,
	.mulpdu_mss = 1442,
};

static void eta_request_build(struct mpa_start *req)
{
	mpa_request_init(&eta_config, req);
	assert_int_equal(mpa_user_set(req, "abc", 3), 0);
	assert_int_equal(mpa_item_add(&req->eta, MPA_ITEM_INCARNATION, "vwxyz012", 8), 0);
}

static void test_encode_request(void **state)
{
	uint8_t buf[MPA_FRAME_MAX];
	struct mpa_start req;

	(void)state;
	eta_request_build(&req);
	assert_int_equal(mpa_encode(&req, MPA_REQUEST, buf, sizeof(buf)), sizeof(eta_request) - 1);
	assert_memory_equal(buf, eta_request, sizeof(eta_request) - 1);
}

static void test_encode_needs_room(void **state)
{
	struct mpa_start req;
	size_t len = sizeof(eta_request) - 1, size;

	(void)state;
	eta_request_build(&req);
	for (size = 0; size < len; size++)
		assert_int_equal(mpa_encode(&req, MPA_REQUEST, guard_end() - size, size),
				 -MPA_E_SPACE);
	assert_int_equal(mpa_encode(&req, MPA_REQUEST, guard_end() - len, len), len);
}

static void test_encode_reply_flags(void **state)
{
	struct mpa_start rep = { .rev = 1, .crc = true, .reject = true, .raw = true };
	uint8_t buf[MPA_FRAME_MAX];

	(void)state;
	assert_int_equal(mpa_encode(&rep, MPA_REPLY, buf, sizeof(buf)), 20);
	assert_memory_equal(buf, KEY_REP "\x60\x01\x00\x00", 20);
	rep.markers = true;
	rep.crc = false;
	assert_int_equal(mpa_encode(&rep, MPA_REPLY, buf, sizeof(buf)), 20);
	assert_memory_equal(buf, KEY_REP "\xa0\x01\x00\x00", 20);
}

static void test_encode_rtr_bits(void **state)
{
	static const struct {
		uint8_t rtr;
		const char *words;
	} cases[] = {
		{ MPA_RTR_SEND, "\xc0\x05\x00\x07" },
		{ MPA_RTR_WRITE, "\x80\x05\x80\x07" },
		{ MPA_RTR_READ, "\x80\x05\x40\x07" },
		{ MPA_RTR_SEND | MPA_RTR_WRITE | MPA_RTR_READ, "\xc0\x05\xc0\x07" },
	};
	uint8_t buf[MPA_FRAME_MAX];
	struct mpa_start got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct mpa_start req = {
			.rev = 2,
			.enhanced = true,
			.p2p = true,
			.rtr = cases[i].rtr,
			.ird = 5,
			.ord = 7,
		};

		assert_int_equal(mpa_encode(&req, MPA_REQUEST, buf, sizeof(buf)), 25);
		assert_memory_equal(buf + 20, cases[i].words, 4);
		assert_int_equal(decode(buf, 25, MPA_REQUEST, &got), 0);
		assert_true(got.p2p);
		assert_int_equal(got.rtr, cases[i].rtr);
	}
}

static void test_encode_limits(void **state)
{
	uint8_t buf[MPA_FRAME_MAX], data[MPA_PD_MAX + 1];
	struct mpa_start req, got;

	(void)state;
	memset(data, 'u', sizeof(data));
	mpa_request_init(&eta_config, &req);
	assert_int_equal(mpa_user_set(&req, data, MPA_USER_MAX + 1), -MPA_E_USER_LEN);
	assert_int_equal(req.user_len, 0);
	assert_int_equal(mpa_user_set(&req, NULL, 0), 0);
	assert_int_equal(mpa_user_set(&req, data, MPA_USER_MAX), 0);
	assert_int_equal(mpa_item_add(&req.eta, MPA_ITEM_PROOF, data, MPA_PROOF_LEN), 0);
	assert_int_equal(mpa_item_add(&req.eta, MPA_ITEM_CHALLENGE, data, MPA_NONCE_LEN), 0);
	assert_int_equal(mpa_encode(&req, MPA_REQUEST, buf, sizeof(buf)),
			 20 + 4 + 1 + MPA_USER_MAX + 12 + 4 + 48);
	assert_int_equal(decode(buf, 20 + 5 + MPA_USER_MAX + 64, MPA_REQUEST, &got), 0);
	assert_start_equal(&got, &req);

	/* One octet over the 251. */
	assert_int_equal(mpa_item_add(&req.eta, 9, data, 21), 0);
	assert_int_equal(mpa_encode(&req, MPA_REQUEST, buf, sizeof(buf)), -MPA_E_SPACE);
	req.user_len--;
	assert_int_equal(mpa_encode(&req, MPA_REQUEST, buf, sizeof(buf)), MPA_FRAME_MAX);
	req.user_len = MPA_USER_MAX + 1;
	assert_int_equal(mpa_encode(&req, MPA_REQUEST, buf, sizeof(buf)), -MPA_E_USER_LEN);
}

/* ------------------------------------------------------------------------ decoding */

static void test_decode_request(void **state)
{
	struct mpa_start want, got;

	(void)state;
	eta_request_build(&want);
	assert_int_equal(decode(FRAME(eta_request), MPA_REQUEST, &got), 0);
	assert_start_equal(&got, &want);
}

static void test_decode_siw_reply(void **state)
{
	struct mpa_start got;

	(void)state;
	assert_int_equal(decode(FRAME(siw_reply), MPA_REPLY, &got), 0);
	assert_int_equal(got.rev, 2);
	assert_true(got.enhanced && got.crc && got.p2p && got.raw);
	assert_false(got.markers || got.reject || got.is_eta);
	assert_int_equal(got.rtr, MPA_RTR_WRITE);
	assert_int_equal(got.ird, 16);
	assert_int_equal(got.ord, 32);
	assert_int_equal(got.user_len, 0);
}

static void test_decode_strangers(void **state)
{
	static const struct {
		const uint8_t *frame;
		size_t len;
		bool raw;
		const char *user;
	} cases[] = {
		{ FRAME(rev1_request), true, "" },
		{ FRAME(verbs_request), false, "hello" },
		{ FRAME(raw_request), true, "rping" },
		{ FRAME(raw_by_one), true, "\5ping" },
	};
	struct mpa_start got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(decode(cases[i].frame, cases[i].len, MPA_REQUEST, &got), 0);
		assert_int_equal(got.raw, cases[i].raw);
		assert_int_equal(got.user_len, strlen(cases[i].user));
		assert_memory_equal(got.user, cases[i].user, got.user_len);
		assert_false(got.is_eta);
		assert_int_equal(got.enhanced, cases[i].frame == (const uint8_t *)verbs_request);
	}
}

/* The most private data that RFC 5044 allows: more than eta sends, not more than it takes. */
static void test_decode_longest(void **state)
{
	uint8_t frame[MPA_DECODE_MAX] = KEY_REQ "\x00\x01\x02\x00";
	struct mpa_start got;
	size_t len;

	(void)state;
	memset(frame + 20, 0xff, sizeof(frame) - 20);
	for (len = 20; len < sizeof(frame); len++)
		assert_int_equal(decode(frame, len, MPA_REQUEST, &got), MPA_DECODE_MAX);
	assert_int_equal(decode(frame, sizeof(frame), MPA_REQUEST, &got), 0);
	/* The first octet can be a size, if not one that eta would send. */
	assert_false(got.raw);
	assert_int_equal(got.user_len, 0xff);
	assert_int_equal(mpa_encode(&got, MPA_REQUEST, frame, sizeof(frame)), -MPA_E_USER_LEN);
	got.raw = true;
	assert_int_equal(mpa_encode(&got, MPA_REQUEST, frame, sizeof(frame)), -MPA_E_SPACE);
}

/* Reserved bits, R in a request and S in revision 1 are not looked at; siw echoes what it gets. */
static void test_decode_reserved(void **state)
{
	uint8_t frame[20];
	struct mpa_start got;

	(void)state;
	memcpy(frame, rev1_request, sizeof(frame));
	frame[16] = 0x3f;
	assert_int_equal(decode(frame, sizeof(frame), MPA_REQUEST, &got), 0);
	assert_false(got.reject || got.enhanced || got.markers || got.crc);
	frame[16] = 0x80;
	assert_int_equal(decode(frame, sizeof(frame), MPA_REQUEST, &got), 0);
	assert_true(got.markers);
}

static void test_decode_rejection(void **state)
{
	/* S set, and nothing behind it: a rejection all the same. */
	static const char bare[] = KEY_REP "\x30\x02\x00\x00";
	static const char broken_block[] = KEY_REP "\x20\x01\x00\x06"
						   "\x00\xe7"
						   "eta\x01";
	struct mpa_start got;

	(void)state;
	assert_int_equal(decode(FRAME(rejection), MPA_REPLY, &got), 0);
	assert_true(got.reject);
	assert_int_equal(got.user_len, 3);
	assert_memory_equal(got.user, "why", 3);
	assert_int_equal(decode(FRAME(bare), MPA_REPLY, &got), 0);
	assert_true(got.reject);
	assert_int_equal(decode(FRAME(broken_block), MPA_REPLY, &got), 0);
	assert_true(got.reject);
	assert_false(got.is_eta);
}

/* Every shorter input asks for more, but not for more than there is to come. */
static void test_decode_truncated(void **state)
{
	static const struct {
		const uint8_t *frame;
		size_t len;
		enum mpa_kind kind;
	} cases[] = {
		{ FRAME(eta_request), MPA_REQUEST },  { FRAME(siw_reply), MPA_REPLY },
		{ FRAME(rev1_request), MPA_REQUEST }, { FRAME(verbs_request), MPA_REQUEST },
		{ FRAME(raw_request), MPA_REQUEST },  { FRAME(rejection), MPA_REPLY },
	};
	struct mpa_start got;
	size_t i, len;
	int need;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (len = 0; len < cases[i].len; len++) {
			need = decode(cases[i].frame, len, cases[i].kind, &got);
			assert_in_range(need, (int)len + 1, (int)cases[i].len);
			assert_int_equal(need, len < 20 ? 20 : (int)cases[i].len);
		}
	}
}

/* An FPDU that comes in the same read as the reply is left alone. */
static void test_decode_leaves_fpdus(void **state)
{
	uint8_t frame[64] = { 0 };
	struct mpa_start got;
	size_t used = 0;

	(void)state;
	memcpy(frame, siw_reply, sizeof(siw_reply) - 1);
	assert_int_equal(mpa_decode(frame, sizeof(frame), MPA_REPLY, &got, &used), 0);
	assert_int_equal(used, sizeof(siw_reply) - 1);
}

/* A wrong key is known by its first wrong octet. */
static void test_decode_wrong_key(void **state)
{
	struct mpa_start got;
	uint8_t frame[20];
	size_t i, len;

	(void)state;
	assert_int_equal(decode((const uint8_t *)"GET / HTTP/1.1", 1, MPA_REQUEST, &got),
			 -MPA_E_KEY);
	assert_int_equal(decode(FRAME(rev1_request), MPA_REPLY, &got), -MPA_E_KEY);
	for (i = 0; i < 16; i++) {
		memcpy(frame, rev1_request, sizeof(frame));
		frame[i] ^= 0x20;
		for (len = 0; len <= sizeof(frame); len++)
			assert_int_equal(decode(frame, len, MPA_REQUEST, &got),
					 len <= i ? 20 : -MPA_E_KEY);
	}
}

static void test_decode_errors(void **state)
{
	static const struct {
		const uint8_t *frame;
		size_t len;
		int err;
	} cases[] = {
		{ FRAME(KEY_REQ "\x00\x00\x00\x00"), -MPA_E_REVISION },
		{ FRAME(KEY_REQ "\x00\x03\x00\x00"), -MPA_E_REVISION },
		{ FRAME(KEY_REQ "\x00\x01\x02\x01"), -MPA_E_PD_LEN },
		{ FRAME(KEY_REQ "\x00\x01\xff\xff"), -MPA_E_PD_LEN },
		{ FRAME(KEY_REQ "\x10\x02\x00\x00"), -MPA_E_ENHANCED },
		{ FRAME(KEY_REQ "\x10\x02\x00\x03\x00\x00\x00"), -MPA_E_ENHANCED },
		/* revision 1 knows no S: three octets of raw user data */
		{ FRAME(KEY_REQ "\x10\x01\x00\x03\x7f\x00\x00"), 0 },
	};
	struct mpa_start got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		assert_int_equal(decode(cases[i].frame, cases[i].len, MPA_REQUEST, &got),
				 cases[i].err);
}

/* The block alone, behind an empty size octet, in a revision 1 request. */
static int decode_block(const uint8_t *block, size_t len, struct mpa_start *got)
{
	uint8_t frame[20 + 1 + 300] = KEY_REQ "\x00\x01";

	frame[18] = (uint8_t)((len + 1) >> 8);
	frame[19] = (uint8_t)(len + 1);
	memcpy(frame + 21, block, len);
	return decode(frame, 21 + len, MPA_REQUEST, got);
}

static void test_decode_blocks(void **state)
{
#define MAGIC "\xe7\x65\x74\x61"
	static const struct {
		const uint8_t *block;
		size_t len;
		int err;
		bool is_eta;
	} cases[] = {
		{ FRAME(MAGIC "\x01\x0c\x00\x03\x00\x80\x00\x00"), 0, true },
		/* a later version, with an item of its own, then octets that nobody explains */
		{ FRAME(MAGIC "\x07\x0f\x00\x03\x00\x80\xff\xff\x63\x01k??"), 0, true },
		{ FRAME(MAGIC "\x01\x10\x00\x03\x00\x80\x00\x00\x61\x00\x62\x00"), 0, true },
		/* not ours: left to the application that put it there */
		{ FRAME("\xe7\x65\x74"), 0, false },
		{ FRAME("\xe7\x65\x74\x62\x01\x0c\x00\x03\x00\x80\x00\x00"), 0, false },
		/* ours, and wrong: cut short; length below the fixed part, beyond the frame; */
		{ FRAME(MAGIC), -MPA_E_ETA_BLOCK, false },
		{ FRAME(MAGIC "\x01\x0c\x00\x03\x00\x80\x00"), -MPA_E_ETA_BLOCK, false },
		{ FRAME(MAGIC "\x01\x0b\x00\x03\x00\x80\x00\x00"), -MPA_E_ETA_BLOCK, false },
		{ FRAME(MAGIC "\x01\x00\x00\x03\x00\x80\x00\x00"), -MPA_E_ETA_BLOCK, false },
		{ FRAME(MAGIC "\x01\x0d\x00\x03\x00\x80\x00\x00"), -MPA_E_ETA_BLOCK, false },
		/* version 0; MULPDU below 128; */
		{ FRAME(MAGIC "\x00\x0c\x00\x03\x00\x80\x00\x00"), -MPA_E_ETA_BLOCK, false },
		{ FRAME(MAGIC "\x01\x0c\x00\x03\x00\x7f\x00\x00"), -MPA_E_ETA_BLOCK, false },
		/* half an item header; an item beyond the block */
		{ FRAME(MAGIC "\x01\x0d\x00\x03\x00\x80\x00\x00\x01"), -MPA_E_ETA_BLOCK, false },
		{ FRAME(MAGIC "\x01\x0e\x00\x03\x00\x80\x00\x00\x01\x01?"), -MPA_E_ETA_BLOCK,
		  false },
		{ FRAME(MAGIC "\x01\x11\x00\x03\x00\x80\x00\x00\x01\x00\x02\x02?"),
		  -MPA_E_ETA_BLOCK, false },
	};
	struct mpa_start got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(decode_block(cases[i].block, cases[i].len, &got), cases[i].err);
		if (!cases[i].err)
			assert_int_equal(got.is_eta, cases[i].is_eta);
		if (!cases[i].err && got.is_eta) {
			assert_int_equal(got.eta.features, 3);
			assert_int_equal(got.eta.mulpdu, 128);
		}
	}
}

/* An item that is known has the length of what it holds, a name any that there is room for. */
static void test_decode_items(void **state)
{
	static const struct {
		uint8_t min, max;
	} lens[] = { [MPA_ITEM_NAME] = { 1, 56 },       [MPA_ITEM_INCARNATION] = { 8, 8 },
		     [MPA_ITEM_CHALLENGE] = { 16, 16 }, [MPA_ITEM_PROOF] = { 32, 32 },
		     [MPA_ITEM_LIMITS] = { 8, 8 },      [MPA_ITEM_LIMITS + 1] = { 0, 255 } };
	uint8_t block[255] = MAGIC "\x01\x00\x00\x03\x00\x80";
	struct mpa_start got;

	(void)state;
	for (uint8_t type = 1; type < COUNT(lens); type++) {
		for (uint8_t len = 0; len < 80; len++) {
			bool good = len >= lens[type].min && len <= lens[type].max;

			block[5] = 12 + 2 + len;
			block[12] = type;
			block[13] = len;
			assert_int_equal(decode_block(block, 14 + len, &got),
					 good ? 0 : -MPA_E_ETA_BLOCK);
		}
	}
}

static void test_items(void **state)
{
	struct mpa_eta eta = { .version = 1 };
	uint8_t data[256] = "name";
	const uint8_t *item;
	size_t len = 99;

	(void)state;
	assert_null(mpa_item_find(&eta, MPA_ITEM_NAME, &len));
	assert_int_equal(len, 99);
	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_CHALLENGE, NULL, 0), 0);
	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_NAME, data, 4), 0);
	item = mpa_item_find(&eta, MPA_ITEM_NAME, &len);
	assert_non_null(item);
	assert_int_equal(len, 4);
	assert_memory_equal(item, "name", 4);
	assert_non_null(mpa_item_find(&eta, MPA_ITEM_CHALLENGE, &len));
	assert_int_equal(len, 0);
	assert_null(mpa_item_find(&eta, MPA_ITEM_PROOF, &len));

	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_PROOF, data, 256), -MPA_E_ITEM);
	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_PROOF, data, 251 - 12 - 8 - 2 + 1),
			 -MPA_E_ITEM);
	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_PROOF, data, 251 - 12 - 8 - 2), 0);
	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_PROOF, data, 0), -MPA_E_ITEM);
	/* A peer's block may be longer than any of ours. */
	eta.items_len = 243;
	assert_int_equal(mpa_item_add(&eta, MPA_ITEM_PROOF, data, 0), -MPA_E_ITEM);
}

/* ------------------------------------------------------------------------ agreeing */

/* Both ends, over the wire, as far as they get. */
struct outcome {
	int responder, initiator;
	struct mpa_start req, rep;
	struct mpa_agreed r, i;
};

static void carry(const struct mpa_start *sent, enum mpa_kind kind, struct mpa_start *got)
{
	uint8_t buf[MPA_FRAME_MAX];
	int len = mpa_encode(sent, kind, buf, sizeof(buf));

	assert_true(len > 0);
	assert_int_equal(decode(buf, (size_t)len, kind, got), 0);
}

static struct outcome meet(const struct mpa_config *init, const struct mpa_config *resp)
{
	struct mpa_start sent, rep_sent;
	struct outcome out;

	memset(&out, 0, sizeof(out));
	mpa_request_init(init, &sent);
	carry(&sent, MPA_REQUEST, &out.req);
	out.responder = mpa_respond(resp, &out.req, &rep_sent, &out.r);
	carry(&rep_sent, MPA_REPLY, &out.rep);
	out.initiator = mpa_conclude(init, &sent, &out.rep, &out.i);
	return out;
}

static void test_agree_etas(void **state)
{
	struct mpa_config resp = eta_config;
	struct outcome out;

	(void)state;
	resp.ird = 8;
	resp.ord = 64;
	resp.mulpdu = 4096;
	resp.features = MPA_FEATURE_RFC7306 | MPA_FEATURE_RDM;
	out = meet(&eta_config, &resp);
	assert_int_equal(out.responder, 0);
	assert_int_equal(out.initiator, 0);
	assert_true(out.i.eta && out.r.eta && out.i.p2p && out.r.p2p);
	assert_false(out.i.crc || out.r.crc || out.i.hold_tx);
	assert_true(out.r.hold_tx);
	assert_int_equal(out.i.rtr, MPA_RTR_WRITE);
	assert_int_equal(out.r.rtr, MPA_RTR_WRITE);
	assert_int_equal(out.i.mulpdu, 4096);
	assert_int_equal(out.r.mulpdu, 4096);
	assert_int_equal(out.i.features, MPA_FEATURE_RFC7306);
	assert_int_equal(out.r.features, MPA_FEATURE_RFC7306);
	/* initiator: IRD 32, ORD 16; responder: IRD 8, ORD 64 */
	assert_int_equal(out.i.ord, 8);
	assert_int_equal(out.r.ird, 8);
	assert_int_equal(out.i.ird, 32);
	assert_int_equal(out.r.ord, 32);
}

static void test_agree_crc(void **state)
{
	struct mpa_config init = eta_config, resp = eta_config;
	struct outcome out;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		init.crc = i & 1;
		resp.crc = i & 2;
		out = meet(&init, &resp);
		assert_int_equal(out.initiator, 0);
		assert_int_equal(out.i.crc, i != 0);
		assert_int_equal(out.r.crc, i != 0);
	}
}

/* Either side without the block: strangers, in segments. */
static void test_agree_strangers(void **state)
{
	struct mpa_config init = eta_config, resp = eta_config;
	struct outcome out;

	(void)state;
	resp.eta = false;
	resp.mulpdu_mss = 8942;
	out = meet(&init, &resp);
	assert_int_equal(out.initiator, 0);
	assert_true(out.req.is_eta);
	assert_false(out.rep.is_eta || out.i.eta || out.r.eta);
	assert_int_equal(out.i.mulpdu, 1442);
	assert_int_equal(out.r.mulpdu, 8942);
	assert_int_equal(out.i.features | out.r.features, 0);

	init.eta = false;
	resp.eta = true;
	out = meet(&init, &resp);
	assert_int_equal(out.initiator, 0);
	/* A block is sent to those who have shown theirs. */
	assert_false(out.req.is_eta || out.rep.is_eta || out.i.eta || out.r.eta);
}

static void test_agree_rtr(void **state)
{
	static const struct {
		uint8_t init, resp, rtr;
		uint16_t ord;
		int err;
	} cases[] = {
		{ MPA_RTR_WRITE | MPA_RTR_READ, MPA_RTR_WRITE | MPA_RTR_READ, MPA_RTR_WRITE, 16,
		  0 },
		{ MPA_RTR_READ, MPA_RTR_WRITE | MPA_RTR_READ, MPA_RTR_READ, 16, 0 },
		{ MPA_RTR_WRITE | MPA_RTR_READ, MPA_RTR_READ, MPA_RTR_READ, 16, 0 },
		{ MPA_RTR_WRITE, MPA_RTR_READ, 0, 16, -MPA_E_RTR },
		{ MPA_RTR_SEND, MPA_RTR_WRITE | MPA_RTR_READ, 0, 16, -MPA_E_RTR },
		{ MPA_RTR_SEND, MPA_RTR_SEND, MPA_RTR_SEND, 16, 0 },
		/* without reads there is no RTR read; nothing left to offer: not peer-to-peer */
		{ MPA_RTR_WRITE | MPA_RTR_READ, MPA_RTR_READ, 0, 0, -MPA_E_RTR },
		{ MPA_RTR_READ, MPA_RTR_READ, 0, 0, 0 },
		{ 0, MPA_RTR_WRITE, 0, 16, 0 },
	};
	struct outcome out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct mpa_config init = eta_config, resp = eta_config;

		init.rtr = cases[i].init;
		init.ord = cases[i].ord;
		resp.rtr = cases[i].resp;
		out = meet(&init, &resp);
		assert_int_equal(out.responder, cases[i].err);
		assert_int_equal(out.rep.reject, cases[i].err != 0);
		assert_int_equal(out.initiator, cases[i].err ? -MPA_E_REJECTED : 0);
		if (cases[i].err)
			continue;
		assert_int_equal(out.i.rtr, cases[i].rtr);
		assert_int_equal(out.r.rtr, cases[i].rtr);
		assert_int_equal(out.i.p2p, cases[i].rtr != 0);
		assert_int_equal(out.r.p2p, cases[i].rtr != 0);
	}
}

static void test_respond_depths(void **state)
{
	static const struct {
		uint16_t req_ird, req_ord;           /* the peer's */
		uint16_t rep_ird, rep_ord, ird, ord; /* ours: IRD 32, ORD 16 */
	} cases[] = {
		{ 128, 128, 32, 16, 32, 16 },
		{ 4, 4, 4, 4, 4, 4 },
		{ 0, 0, 1, 0, 1, 0 },
		{ MPA_DEPTH_NONE, MPA_DEPTH_NONE, MPA_DEPTH_NONE, MPA_DEPTH_NONE, 32, 16 },
		{ MPA_DEPTH_NONE, 2, 2, MPA_DEPTH_NONE, 2, 16 },
	};
	struct mpa_agreed agreed;
	struct mpa_start rep;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct mpa_start req = {
			.rev = 2,
			.enhanced = true,
			.ird = cases[i].req_ird,
			.ord = cases[i].req_ord,
		};

		assert_int_equal(mpa_respond(&eta_config, &req, &rep, &agreed), 0);
		assert_int_equal(rep.ird, cases[i].rep_ird);
		assert_int_equal(rep.ord, cases[i].rep_ord);
		assert_int_equal(agreed.ird, cases[i].ird);
		assert_int_equal(agreed.ord, cases[i].ord);
	}
}

static void test_conclude_depths(void **state)
{
	static const struct {
		uint16_t rep_ird, rep_ord;
		int err;
		uint16_t ird, ord; /* asked for: IRD 32, ORD 16 */
	} cases[] = {
		{ 16, 32, 0, 32, 16 },
		{ 128, 32, 0, 32, 16 },
		{ 3, 5, 0, 5, 3 },
		{ 0, 0, 0, 0, 0 },
		{ 16, 33, -MPA_E_IRD, 0, 0 },
		{ MPA_DEPTH_NONE, MPA_DEPTH_NONE, 0, 32, 16 },
	};
	struct mpa_agreed agreed;
	struct mpa_start req;
	size_t i;

	(void)state;
	mpa_request_init(&eta_config, &req);
	for (i = 0; i < COUNT(cases); i++) {
		struct mpa_start rep = {
			.rev = 2,
			.enhanced = true,
			.ird = cases[i].rep_ird,
			.ord = cases[i].rep_ord,
		};

		memset(&agreed, 0, sizeof(agreed));
		assert_int_equal(mpa_conclude(&eta_config, &req, &rep, &agreed), cases[i].err);
		assert_int_equal(agreed.ird, cases[i].ird);
		assert_int_equal(agreed.ord, cases[i].ord);
		assert_false(agreed.p2p);
	}
}

/* A reply may grant a message that was not offered, or a read although it serves none. */
static void test_conclude_rtr(void **state)
{
	static const struct {
		uint8_t rtr;
		uint16_t rep_ird;
		int err;
		uint8_t agreed;
	} cases[] = {
		{ MPA_RTR_WRITE, 16, 0, MPA_RTR_WRITE },
		{ MPA_RTR_READ, 16, 0, MPA_RTR_READ },
		{ MPA_RTR_READ, 0, -MPA_E_RTR, 0 },
		{ MPA_RTR_SEND, 16, -MPA_E_RTR, 0 },
		{ 0, 16, -MPA_E_RTR, 0 },
		{ MPA_RTR_SEND | MPA_RTR_READ | MPA_RTR_WRITE, 16, 0, MPA_RTR_WRITE },
	};
	struct mpa_agreed agreed;
	struct mpa_start req;
	size_t i;

	(void)state;
	mpa_request_init(&eta_config, &req);
	for (i = 0; i < COUNT(cases); i++) {
		struct mpa_start rep = {
			.rev = 2,
			.enhanced = true,
			.p2p = true,
			.rtr = cases[i].rtr,
			.ird = cases[i].rep_ird,
			.ord = 1,
		};

		memset(&agreed, 0, sizeof(agreed));
		assert_int_equal(mpa_conclude(&eta_config, &req, &rep, &agreed), cases[i].err);
		assert_int_equal(agreed.rtr, cases[i].agreed);
	}
}

static void test_conclude_refusals(void **state)
{
	struct mpa_agreed agreed;
	struct mpa_start req, rep = { .rev = 2, .enhanced = true, .reject = true, .markers = true };

	(void)state;
	mpa_request_init(&eta_config, &req);
	assert_int_equal(mpa_conclude(&eta_config, &req, &rep, &agreed), -MPA_E_REJECTED);
	rep.reject = false;
	assert_int_equal(mpa_conclude(&eta_config, &req, &rep, &agreed), -MPA_E_MARKERS);
	rep.markers = false;
	rep.enhanced = false;
	assert_int_equal(mpa_conclude(&eta_config, &req, &rep, &agreed), -MPA_E_NOT_ENHANCED);
}

static void test_respond_markers(void **state)
{
	struct mpa_start req = { .rev = 2, .enhanced = true, .markers = true, .crc = true }, rep;
	struct mpa_agreed agreed;
	uint8_t buf[MPA_FRAME_MAX];

	(void)state;
	assert_int_equal(mpa_respond(&eta_config, &req, &rep, &agreed), -MPA_E_MARKERS);
	/* siw reads IRD and ORD unasked: they must be there whenever S is. */
	assert_int_equal(mpa_encode(&rep, MPA_REPLY, buf, sizeof(buf)), 25);
	assert_memory_equal(buf, KEY_REP "\x70\x02\x00\x05\x00\x00\x00\x00\x00", 25);
}

/* Dialled again with revision 1: nothing is negotiated but the CRC and, between etas, the block. */
static void test_agree_rev1(void **state)
{
	struct mpa_config init = eta_config;
	struct outcome out;

	(void)state;
	init.rev = MPA_REV_1;
	out = meet(&init, &eta_config);
	assert_int_equal(out.initiator, 0);
	assert_int_equal(out.rep.rev, 1);
	assert_false(out.req.enhanced || out.rep.enhanced || out.i.p2p || out.r.p2p);
	assert_true(out.i.eta && out.r.eta && out.r.hold_tx);
	assert_int_equal(out.i.ird, 32);
	assert_int_equal(out.i.ord, 1);
	assert_int_equal(out.r.ord, 1);
}

/* ------------------------------------------------------------------- pad, CRC, sizes */

/* RFC 3720 appendix B.4: octets as they are sent. */
static void test_crc_vectors(void **state)
{
	static const uint8_t read10[48] = {
		0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, 0x28, [40] = 0x02,
	};
	uint8_t zeroes[32] = { 0 }, ones[32], up[32], down[32], trailer[MPA_TRAILER_MAX];
	const struct {
		const uint8_t *data;
		uint32_t len;
		const char *crc;
	} cases[] = {
		{ zeroes, 32, "\xaa\x36\x91\x8a" }, { ones, 32, "\x43\xab\xa8\x62" },
		{ up, 32, "\x4e\x79\xdd\x46" },     { down, 32, "\x5c\xdb\x3f\x11" },
		{ read10, 48, "\x56\x3a\x96\xd9" },
	};
	uint32_t crc, split;
	size_t i;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (i = 0; i < 32; i++) {
		up[i] = (uint8_t)i;
		down[i] = (uint8_t)(31 - i);
	}
	for (i = 0; i < COUNT(cases); i++) {
		for (split = 0; split <= cases[i].len; split++) {
			crc = mpa_crc_add(MPA_CRC_START, cases[i].data, split);
			crc = mpa_crc_add(crc, cases[i].data + split, cases[i].len - split);
			assert_int_equal(mpa_trailer_put(trailer, cases[i].len - 2, true, crc), 4);
			assert_memory_equal(trailer, cases[i].crc, 4);
		}
		assert_true(mpa_trailer_ok(trailer, cases[i].len - 2, crc));
	}
}

static void test_sizes(void **state)
{
	static const struct {
		uint32_t ulpdu;
		unsigned pad;
		uint32_t fpdu;
	} cases[] = {
		{ 14, 0, 20 }, { 15, 3, 24 }, { 16, 2, 24 },
		{ 17, 1, 24 }, { 18, 0, 24 }, { 65535, 3, 65544 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(mpa_pad(cases[i].ulpdu), cases[i].pad);
		assert_int_equal(mpa_trailer_len(cases[i].ulpdu), cases[i].pad + 4);
		assert_int_equal(mpa_fpdu_len(cases[i].ulpdu), cases[i].fpdu);
	}
}

static void test_trailer(void **state)
{
	uint8_t fpdu[64], *trailer;
	uint32_t len, crc;
	unsigned n, i;

	(void)state;
	for (len = 14; len < 22; len++) {
		memset(fpdu, 0xa5, sizeof(fpdu));
		trailer = fpdu + 2 + len;
		crc = mpa_crc_add(MPA_CRC_START, fpdu, 2 + len);
		n = mpa_trailer_put(trailer, len, true, crc);
		assert_int_equal(n, mpa_trailer_len(len));
		assert_int_equal(trailer[n], 0xa5);
		for (i = 0; i < n - 4; i++)
			assert_int_equal(trailer[i], 0);
		assert_true(mpa_trailer_ok(guard_copy(trailer, n), len, crc));
		for (i = 0; i < 8 * n; i++) {
			trailer[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_false(mpa_trailer_ok(trailer, len, crc));
			trailer[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		assert_false(mpa_trailer_ok(trailer, len, crc ^ 1));

		memset(trailer, 0xa5, 8);
		assert_int_equal(mpa_trailer_put(trailer, len, false, crc), n);
		assert_int_equal(trailer[n], 0xa5);
		for (i = 0; i < n; i++)
			assert_int_equal(trailer[i], 0);
	}
}

static void test_mulpdu(void **state)
{
	static const struct {
		uint32_t mss;
		uint16_t mulpdu;
	} cases[] = {
		{ 0, 128 },
		{ 133, 128 },
		{ 134, 128 },
		{ 136, 130 },
		{ 137, 130 },
		{ 140, 134 },
		{ 1448, 1442 },
		{ 1460, 1454 },
		{ 65483, 64768 },
		{ 64774, 64766 },
		{ 64776, 64768 },
		{ 64780, 64768 },
		{ UINT32_MAX, 64768 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(mpa_mulpdu_of_mss(cases[i].mss), cases[i].mulpdu);
		if (cases[i].mss > 134)
			assert_true(mpa_fpdu_len(cases[i].mulpdu) <= cases[i].mss);
	}
}

static void test_names(void **state)
{
	int err;

	(void)state;
	for (err = 0; err < MPA_ERRORS; err++) {
		assert_non_null(mpa_strerror(err));
		assert_string_equal(mpa_strerror(err), mpa_strerror(-err));
		assert_int_equal(mpa_error_term(err), mpa_error_term(-err));
		assert_int_equal(mpa_error_term(err) >> 12, 2);
	}
	assert_string_equal(mpa_strerror(-MPA_E_MARKERS), "markers wanted");
	assert_string_equal(mpa_strerror(MPA_ERRORS), "unknown MPA error");
	assert_string_equal(mpa_strerror(-MPA_ERRORS), "unknown MPA error");
	assert_string_equal(mpa_strerror(INT32_MIN), "unknown MPA error");
	assert_int_equal(mpa_error_term(INT32_MIN), TERM_MPA_LOCAL);
	assert_int_equal(mpa_error_term(-MPA_E_RTR), 0x2007);
	assert_int_equal(mpa_error_term(-MPA_E_IRD), 0x2006);
	assert_int_equal(mpa_error_term(-MPA_E_KEY), 0x2004);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode_request),
		cmocka_unit_test(test_encode_needs_room),
		cmocka_unit_test(test_encode_reply_flags),
		cmocka_unit_test(test_encode_rtr_bits),
		cmocka_unit_test(test_encode_limits),
		cmocka_unit_test(test_decode_request),
		cmocka_unit_test(test_decode_siw_reply),
		cmocka_unit_test(test_decode_strangers),
		cmocka_unit_test(test_decode_longest),
		cmocka_unit_test(test_decode_reserved),
		cmocka_unit_test(test_decode_rejection),
		cmocka_unit_test(test_decode_truncated),
		cmocka_unit_test(test_decode_leaves_fpdus),
		cmocka_unit_test(test_decode_wrong_key),
		cmocka_unit_test(test_decode_errors),
		cmocka_unit_test(test_decode_blocks),
		cmocka_unit_test(test_decode_items),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_agree_etas),
		cmocka_unit_test(test_agree_crc),
		cmocka_unit_test(test_agree_strangers),
		cmocka_unit_test(test_agree_rtr),
		cmocka_unit_test(test_respond_depths),
		cmocka_unit_test(test_conclude_depths),
		cmocka_unit_test(test_conclude_rtr),
		cmocka_unit_test(test_conclude_refusals),
		cmocka_unit_test(test_respond_markers),
		cmocka_unit_test(test_agree_rev1),
		cmocka_unit_test(test_crc_vectors),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_trailer),
		cmocka_unit_test(test_mulpdu),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
