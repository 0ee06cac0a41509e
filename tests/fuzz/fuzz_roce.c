/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_roce.c - frames of a queue pair's peer: arbitrary ones are taken apart, and what is put together is
 * found again.
 *
 * Input: 96 octets make a message and a hello, the rest is a frame.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/roce/wire.h"

#define SHAPE 96
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void item_sane(const struct roce_item *it, const uint8_t *p, size_t n, int used)
{
	CHECK(used > 0 && used % 8 == 0 && (size_t)used <= n);
	CHECK(it->op >= ROCE_SEND && it->op < ROCE_OPS);
	CHECK(it->payload >= p && it->payload + it->len <= p + used);
	CHECK(roce_has_payload(it->op) || (!it->len && it->first && it->last));
	CHECK(it->len || (it->first && it->last));
	CHECK((it->op >= ROCE_PLACED) == (it->note.op == it->op));
	CHECK(it->op != ROCE_ATOMIC || it->atomic.op <= FAB_CMP_SWAP);
}

/* What was understood of a note is all that there is in it. */
static void note_back(const struct roce_note *note)
{
	uint8_t room[64];
	struct roce_item it;
	uint32_t n = roce_note_put(room, note);

	CHECK(roce_piece_get(room, n, &it) == (int)n);
	CHECK(!memcmp(&it.note, note, sizeof(*note)));
	CHECK(note->op != ROCE_KEY || note->to + note->span >= note->to);
}

static void pieces(const uint8_t *p, size_t n)
{
	struct roce_item it;

	while (n) {
		int used = roce_piece_get(p, n, &it);

		if (used < 0) {
			CHECK(used == -EPROTO);
			return;
		}
		item_sane(&it, p, n, used);
		if (it.note.op)
			note_back(&it.note);
		p += used;
		n -= used;
	}
}

static void hellos(const uint8_t *p, size_t n)
{
	uint8_t frame[ROCE_HELLO_FRAME_MAX];
	struct fab_hello h, again;
	const uint8_t *user, *user_again;
	size_t len, len_again;
	int size;

	if (roce_hello_get(p, n, &h, &user, &len))
		return;
	CHECK(user >= p && user + len <= p + n && len <= FAB_PDATA_MAX);
	CHECK(h.name_len <= FAB_NAME_MAX);
	size = roce_hello_put(frame, ROCE_ACCEPT, &h, user, len);
	CHECK(size > 0 && (size_t)size <= sizeof(frame));
	CHECK(!roce_hello_get(frame + sizeof(struct roce_frame), size - sizeof(struct roce_frame),
			      &again, &user_again, &len_again));
	CHECK(len == len_again && !memcmp(user, user_again, len));
	CHECK(again.features == (h.features | FAB_FEATURE_ATOMIC));
	CHECK(again.window == h.window && again.announces == h.announces);
	CHECK(again.incarnation == h.incarnation && again.name_len == h.name_len);
	CHECK(!memcmp(again.name, h.name, h.name_len));
	CHECK(again.has_nonce == h.has_nonce && again.has_proof == h.has_proof);
}

static void set_up(const uint8_t *p, size_t n)
{
	struct roce_cm cm, again;
	struct roce_cm_data data;

	CHECK(roce_refusal_text(p, n));
	if (roce_cm_get(p, n, &cm))
		return;
	roce_cm_put(&cm, &data);
	CHECK(!roce_cm_get(&data, sizeof(data), &again));
	CHECK(again.service == cm.service && again.credits == cm.credits);
	CHECK(again.features == cm.features);
	CHECK(again.frame_max == cm.frame_max && again.ord == cm.ord && again.ird == cm.ird);
}

static void message_make(const uint8_t *p, struct fab_send *s, struct fab_atomic *a)
{
	*a = (struct fab_atomic){ .op = p[1] & 1,
				  .data = u64(p + 8),
				  .data_mask = u64(p + 16),
				  .cmp = u64(p + 24),
				  .cmp_mask = u64(p + 32) };
	*s = (struct fab_send){ .op = p[0] % (FAB_IMMEDIATE + 1),
				.len = p[2] << 8 | p[3],
				.stag = (uint32_t)u64(p + 40),
				.sink_stag = (uint32_t)u64(p + 48),
				.to = u64(p + 56),
				.sink_to = u64(p + 64),
				.read_len = (uint32_t)u64(p + 72),
				.id = (uint32_t)u64(p + 80),
				.value = u64(p + 88),
				.atomic = a };
	if (!roce_has_payload(roce_op_of(s)))
		s->len = 0;
}

static void body_same(const struct fab_send *s, const struct roce_item *it)
{
	const struct fab_atomic *a = s->atomic;

	switch (s->op) {
	case FAB_READ:
		CHECK(it->read.stag == s->stag && it->read.to == s->to);
		CHECK(it->read.sink_stag == s->sink_stag && it->read.sink_to == s->sink_to);
		CHECK(it->read.len == s->read_len);
		break;
	case FAB_ATOMIC:
		CHECK(it->stag == s->stag && it->to == s->to && it->id == s->id);
		CHECK(it->atomic.op == a->op && it->atomic.data == a->data);
		CHECK(it->atomic.data_mask == a->data_mask && it->atomic.cmp == a->cmp);
		CHECK(it->atomic.cmp_mask == a->cmp_mask);
		break;
	case FAB_ATOMIC_RESP:
		CHECK(it->id == s->id && it->value == s->value);
		break;
	case FAB_IMMEDIATE:
		CHECK(it->value == s->value);
		break;
	default:
		break;
	}
}

/* One message, in two pieces if it is long enough. */
static void message_back(const struct fab_send *s)
{
	static uint8_t room[ROCE_PIECE_MAX + 65536 + 8];
	uint32_t cut = s->len / 3, from = 0;

	for (int i = cut ? 0 : 1; i < 2; i++) {
		uint32_t len = i ? s->len - from : cut;
		uint32_t head = roce_piece_put(room, s, from, len);
		struct roce_item it;

		CHECK(head == roce_piece_head(roce_op_of(s)) && head <= ROCE_PIECE_MAX);
		memset(room + head + len, 0, roce_pad(len) - len);
		CHECK(roce_piece_get(room, head + roce_pad(len), &it) ==
		      (int)(head + roce_pad(len)));
		CHECK(roce_piece_get(room, head + roce_pad(len) - 1, &it) == -EPROTO);
		CHECK(it.op == roce_op_of(s) && it.len == len && it.payload == room + head);
		CHECK(it.first == !from && it.last == (from + len == s->len));
		if (s->op == FAB_WRITE || s->op == FAB_READ_RESP)
			CHECK(it.stag == s->stag && it.to == s->to + from);
		body_same(s, &it);
		from += len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fab_send s;
	struct fab_atomic a;

	if (size < SHAPE)
		return 0;
	message_make(data, &s, &a);
	message_back(&s);
	data += SHAPE;
	size -= SHAPE;
	pieces(data, size);
	hellos(data, size);
	set_up(data, size);
	CHECK(roce_bye_text(size ? data[0] : 0));
	return 0;
}
