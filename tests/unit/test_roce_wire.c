/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_roce_wire.c - what stands in the frames of a queue pair, octet by octet. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fabric/roce/wire.h"
#include "tests/unit/guard_page.h"

#define OCTETS(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

static int get(const uint8_t *p, size_t n, struct roce_item *it)
{
	return roce_piece_get(guard_copy(p, n), n, it);
}

/* Written by hand from wire.h. */
static void test_pieces(void **state)
{
	struct roce_item it;

	(void)state;
	assert_int_equal(get(OCTETS("\1\3\0\3\0\0\0\0abc\0\0\0\0\0"), &it), 16);
	assert_int_equal(it.op, ROCE_SEND);
	assert_true(it.first && it.last && it.len == 3);
	assert_memory_equal(it.payload, "abc", 3);

	assert_int_equal(get(OCTETS("\2\1\0\2\0\0\1\1"
				    "\0\0\0\1\0\0\0\2xy\0\0\0\0\0\0"),
			     &it),
			 24);
	assert_true(it.op == ROCE_WRITE && it.first && !it.last && it.len == 2);
	assert_true(it.stag == 0x101 && it.to == 0x100000002);

	assert_int_equal(get(OCTETS("\3\3\0\0\0\0\0\5"
				    "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\3\0\0\0\4"),
			     &it),
			 32);
	assert_true(it.read.stag == 5 && it.read.to == 1 && it.read.sink_to == 2);
	assert_true(it.read.sink_stag == 3 && it.read.len == 4);

	assert_int_equal(get(OCTETS("\6\3\0\0\0\0\0\7\0\0\0\0\0\0\1\0"), &it), 16);
	assert_true(it.op == ROCE_ATOMIC_RESP && it.id == 7 && it.value == 256);
}

static void test_bad_pieces(void **state)
{
	static const struct {
		const uint8_t *p;
		size_t n;
	} bad[] = {
		{ OCTETS("\1\3\0") },                           /* no header */
		{ OCTETS("\0\3\0\0\0\0\0\0") },                 /* no op */
		{ OCTETS("\17\3\0\0\0\0\0\0") },                /* an unknown one */
		{ OCTETS("\1\3\0\1\0\0\0\0") },                 /* no payload */
		{ OCTETS("\1\3\0\3\0\0\0\0abc\0\0\0\0") },      /* no padding */
		{ OCTETS("\1\1\0\0\0\0\0\0") },                 /* says nothing, for ever */
		{ OCTETS("\7\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0") }, /* a part of what has none */
		{ OCTETS("\7\3\0\1\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0") }, /* payload */
		{ OCTETS("\2\3\0\0\0\0\0\0\0\0\0") },                           /* half an offset */
		/* nothing is placed; nothing is asked for; for what; beyond the end of all */
		{ OCTETS("\10\3\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0") },
		{ OCTETS("\14\3\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\1\0\0\0") },
		{ OCTETS("\14\3\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\1\3\0\0\0") },
		{ OCTETS("\14\3\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\2\1\0\0\0") },
	};
	struct roce_item it = { .op = 99 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(get(bad[i].p, bad[i].n, &it), -EPROTO);
	assert_int_equal(it.op, 99);
}

/* Every message, cut at every place, comes back. */
static void test_there_and_back(void **state)
{
	struct fab_atomic a = { FAB_CMP_SWAP, 1, 2, 3, 4 };
	uint8_t room[256];

	(void)state;
	for (unsigned op = FAB_SEND; op <= FAB_IMMEDIATE; op++) {
		struct fab_send s = { .op = op,
				      .stag = 10,
				      .sink_stag = 11,
				      .to = 12,
				      .sink_to = 13,
				      .read_len = 14,
				      .id = 15,
				      .value = 16,
				      .atomic = &a };
		bool payload = roce_has_payload(roce_op_of(&s));

		s.len = payload ? 40 : 0;
		for (uint32_t cut = 0; cut < s.len + 1; cut++) {
			struct roce_item it;
			uint32_t len = payload ? s.len - cut : 0;
			uint32_t head = roce_piece_put(room, &s, cut, len);

			if (payload && !len)
				continue;
			memset(room + head, 0, roce_pad(len));
			assert_int_equal(get(room, head + roce_pad(len), &it),
					 head + roce_pad(len));
			assert_true(it.op == roce_op_of(&s) && it.len == len && it.last);
			assert_int_equal(it.first, !payload || !cut);
		}
	}
}

/* As in wire.h. */
static void test_notes(void **state)
{
	static const struct roce_note notes[] = {
		{ .op = ROCE_PLACED, .stag = 1, .to = 1ull << 40, .len = 70000 },
		{ .op = ROCE_PLACED_RESP, .stag = 2, .to = 3, .len = 4 },
		{ .op = ROCE_READ_INTO,
		  .stag = 5,
		  .addr = 1ull << 60,
		  .rkey = 6,
		  .read = { .stag = 5, .sink_stag = 7, .to = 8, .sink_to = 9, .len = 10 } },
		{ .op = ROCE_FETCHED,
		  .stag = 5,
		  .read = { .stag = 5, .sink_stag = 7, .to = 8, .sink_to = 9, .len = 10 } },
		{ .op = ROCE_KEY_ASK, .stag = 1, .to = 2, .len = 3, .access = ROCE_MAY_WRITE },
		{ .op = ROCE_KEY,
		  .stag = 1,
		  .to = 2,
		  .addr = 4,
		  .span = 5,
		  .rkey = 6,
		  .access = ROCE_MAY_READ,
		  .flags = ROCE_KEY_NEVER },
		{ .op = ROCE_KEY_GONE, .stag = 0xffffffff },
	};
	uint8_t room[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		uint32_t n = roce_note_put(room, &notes[i]);
		struct roce_item it;

		assert_int_equal(n, roce_piece_head(notes[i].op));
		assert_int_equal(get(room, n, &it), n);
		assert_memory_equal(&it.note, &notes[i], sizeof(notes[i]));
		for (uint32_t cut = 0; cut < n; cut++)
			assert_int_equal(get(room, cut, &it), -EPROTO);
	}
	assert_int_equal(roce_note_put(room, &notes[4]), 24);
	assert_memory_equal(room, "\14\3\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\3\2\0\0\0", 24);
}

static void test_hello(void **state)
{
	struct fab_hello h = { .features = FAB_FEATURE_ULP,
			       .name_len = 3,
			       .has_proof = true,
			       .incarnation = 1ull << 40,
			       .window = 5,
			       .announces = 6,
			       .name = "abc",
			       .proof = "proof" },
			 back;
	uint8_t frame[ROCE_HELLO_FRAME_MAX], user[FAB_PDATA_MAX + 1];
	const uint8_t *p;
	size_t len;
	int n;

	(void)state;
	memset(user, 'u', sizeof(user));
	n = roce_hello_put(frame, ROCE_REQUEST, &h, user, FAB_PDATA_MAX);
	assert_int_equal(n, ROCE_HELLO_FRAME_MAX);
	assert_int_equal(frame[0], ROCE_REQUEST);
	assert_int_equal(roce_hello_get(frame + 8, n - 8, &back, &p, &len), 0);
	assert_int_equal(len, FAB_PDATA_MAX);
	assert_memory_equal(p, user, len);
	h.features |= FAB_FEATURE_ATOMIC;
	assert_memory_equal(&h, &back, sizeof(h));
	assert_int_equal(roce_hello_get(guard_copy(frame + 8, n - 9), n - 9, &back, &p, &len),
			 -EPROTO);
	assert_int_equal(roce_hello_get(guard_copy(frame + 8, 127), 127, &back, &p, &len), -EPROTO);

	assert_int_equal(roce_hello_put(frame, ROCE_ACCEPT, NULL, NULL, 0), 136);
	assert_int_equal(roce_hello_get(frame + 8, 128, &back, &p, &len), 0);
	assert_true(!len && !back.name_len && back.features == FAB_FEATURE_ATOMIC);
	assert_int_equal(roce_hello_put(frame, ROCE_ACCEPT, NULL, user, sizeof(user)), -EMSGSIZE);
	h.name_len = FAB_NAME_MAX + 1;
	assert_int_equal(roce_hello_put(frame, ROCE_ACCEPT, &h, NULL, 0), -EINVAL);
}

static void test_set_up(void **state)
{
	static const char zeros[56];
	struct roce_cm cm = { ROCE_STREAMS, 4, 7, 8, 8192, ROCE_FEATURE_PLACE }, back;
	struct roce_cm_data data;
	uint8_t padded[56] = { 0 };

	(void)state;
	roce_cm_put(&cm, &data);
	assert_memory_equal(&data, "\347roc\1\2\0\4\0\0\40\0\0\7\0\10\0\0\0\1", sizeof(data));
	memcpy(padded, &data, sizeof(data));
	assert_int_equal(roce_cm_get(padded, sizeof(padded), &back), 0);
	assert_true(back.service == ROCE_STREAMS && back.credits == 4 && back.ord == 7 &&
		    back.ird == 8 && back.frame_max == 8192 && back.features == ROCE_FEATURE_PLACE);
	assert_int_equal(roce_cm_get(&data, sizeof(data) - 1, &back), -EPROTO);
	assert_int_equal(roce_cm_get(zeros, sizeof(zeros), &back), -EPROTO);
	assert_int_equal(roce_cm_get(NULL, 0, &back), -EPROTO);
	cm.frame_max = ROCE_FRAME_MIN - 1;
	roce_cm_put(&cm, &data);
	assert_int_equal(roce_cm_get(&data, sizeof(data), &back), -EPROTO);
	roce_refusal_put(ROCE_REFUSED_SERVICE, &data);
	assert_string_equal(roce_refusal_text(&data, sizeof(data)),
			    "that port has another service");
	assert_string_equal(roce_refusal_text(zeros, sizeof(zeros)), "no reason given");
}

static void test_farewells(void **state)
{
	(void)state;
	assert_int_equal(roce_bye_of(-ENOKEY), ROCE_BYE_KEY);
	assert_int_equal(roce_bye_of(-EPROTO), ROCE_BYE_PROTO);
	assert_int_equal(roce_bye_of(-ENOMEM), ROCE_BYE_LOCAL);
	assert_int_equal(roce_bye_of(-ECONNRESET), ROCE_BYE_LOCAL);
	assert_string_equal(roce_bye_text(4000000000u), "unknown reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),         cmocka_unit_test(test_bad_pieces),
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_notes),
		cmocka_unit_test(test_hello),          cmocka_unit_test(test_set_up),
		cmocka_unit_test(test_farewells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
