/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* hostile_roce.c - a hostile peer: what it says. See hostile_roce.h. */
#include "tests/fuzz/hostile_roce.h"

#include <string.h>

#include "fabric/roce/wire.h"
#include "tests/unit/msg_checker.h"

#define SHARED 65536

struct sim_peer *hostile;

static uint64_t to;     /* as a good hostile would go on */
static uint8_t *shared; /* its memory, to which it gives keys */
static uint32_t shared_key;
static struct roce_note key; /* the last that it was given */

/* ----------------------------------------------------------------------------- input */

uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

uint16_t take16(struct input *in)
{
	uint16_t high = take(in);

	return (uint16_t)(high << 8 | take(in));
}

const uint8_t *take_some(struct input *in, size_t *n)
{
	const uint8_t *p = in->at;

	*n = *n < in->left ? *n : in->left;
	in->at += *n;
	in->left -= *n;
	return p;
}

/* ---------------------------------------------------------------------- life */

void hostile_begin(void)
{
	to = CHECKER_TO;
}

void hostile_close(void)
{
	if (hostile)
		sim_peer_close(hostile);
	hostile = NULL;
	shared = NULL;
	memset(&key, 0, sizeof(key));
}

/* --------------------------------------------------------------------- what it says */

static void say(const void *octets, uint32_t len)
{
	if (hostile)
		sim_peer_send(hostile, octets, len);
}

void hostile_raw(struct input *in)
{
	size_t n = take(in);
	const uint8_t *p = take_some(in, &n);

	say(p, n);
}

void hostile_frame(struct input *in)
{
	static uint8_t frame[256 + sizeof(struct roce_frame)];
	uint8_t kind = take(in), credits = take(in);
	size_t n = take(in);
	const uint8_t *p = take_some(in, &n);

	roce_frame_put(frame, kind & 0x7f, kind & 0x80 ? credits * 257 : credits, credits);
	memcpy(frame + sizeof(struct roce_frame), p, n);
	say(frame, sizeof(struct roce_frame) + n);
}

static void share(void)
{
	if (!shared && hostile && sim_peer_is_up(hostile))
		shared = sim_peer_share(hostile, SHARED, &shared_key);
}

/* Right but for what the input says: of a key that it has, to memory that is there. */
static uint32_t note(struct input *in, uint8_t *p, uint8_t op)
{
	uint8_t how = take(in);
	struct roce_note n = {
		.op = op,
		.access = how & 4 ? ROCE_MAY_READ : ROCE_MAY_WRITE,
		.stag = how & 8 ? CHECKER_SINK : CHECKER_STAG,
		.to = CHECKER_TO + (how & 16 ? CHECKER_AREA - 1000 : 0),
		.len = take16(in),
		.rkey = shared_key + (how & 1),
		.addr = (uintptr_t)shared + (how & 2),
		.span = how & 32 ? SHARED : UINT64_MAX,
	};

	if (how & 64)
		n.len *= 4;
	n.read = (struct fab_read_req){ .sink_stag = CHECKER_SINK,
					.stag = n.stag,
					.sink_to = CHECKER_TO,
					.to = n.to,
					.len = n.len };
	return roce_note_put(p, &n);
}

/* The rest of what asks for something; a read of nothing, if its flags say so. */
static void ask_put(uint8_t *p, uint8_t op, uint8_t how)
{
	struct roce_read read = { .to = be64_make(to),
				  .sink_to = be64_make(CHECKER_TO),
				  .sink_stag = be32_make(CHECKER_SINK),
				  .len = be32_make(how & 0x04 ? 0 : how * 100) };

	if (op == ROCE_READ)
		memcpy(p, &read, sizeof(read));
	else if (op == ROCE_ATOMIC) /* behind its place and number */
		p[offsetof(struct roce_atomic, op)] = how >> 2 & 1;
}

/* What a good peer would send, but for its flags, its tagged offset, or its length. */
static uint32_t piece(struct input *in, uint8_t *p, uint32_t room)
{
	uint8_t op = take(in) % ROCE_OPS, how;
	uint32_t len, head;
	struct roce_piece w;
	be64 at;

	if (op >= ROCE_PLACED) {
		share();
		return room > 64 ? note(in, p, op) : 0;
	}
	how = take(in);
	len = how & 0x20 ? take16(in) % 8000 : take(in);
	head = roce_piece_head(op);
	at = be64_make(how & 0x10 ? UINT64_MAX - 9 : to);

	if (!roce_has_payload(op))
		len = 0;
	if (head + roce_pad(len) > room)
		return 0;
	memset(p, how, head + roce_pad(len));
	w = (struct roce_piece){ .op = op,
				 .flags = how & 3,
				 .len = be16_make(how & 0x40 ? len + 1 : len) };
	w.stag = be32_make(how & 0x80 ? how : op == ROCE_READ_RESP ? CHECKER_SINK : CHECKER_STAG);
	memcpy(p, &w, sizeof(w));
	ask_put(p + sizeof(w), op, how);
	if (head > sizeof(w))
		memcpy(p + sizeof(w), &at, sizeof(at));
	if (op == ROCE_WRITE || op == ROCE_READ_RESP)
		to = how & ROCE_LAST ? CHECKER_TO : to + len;
	return head + roce_pad(len);
}

void hostile_pieces(struct input *in)
{
	static uint8_t frame[16384];
	uint8_t n = take(in);
	uint32_t len = sizeof(struct roce_frame), used = 1;

	roce_frame_put(frame, ROCE_DATA, n >> 4, 0);
	for (unsigned i = 0; i <= (n & 7u) && used; i++) {
		used = piece(in, frame + len, 8192 + (n & 8) - len);
		len += used;
	}
	say(frame, len);
}

void hostile_hello(struct input *in)
{
	static uint8_t frame[ROCE_HELLO_FRAME_MAX];
	uint8_t how = take(in);
	struct fab_hello hello = { .features = how >> 3,
				   .name_len = how & 4 ? 56 : 0,
				   .window = 1000 };
	int n = roce_hello_put(frame, ROCE_REQUEST + how % 3, &hello, "hello", how & 4 ? 5 : 0);

	if (n > 0)
		say(frame, n);
}

/* Keys that it is given are kept. */
void hostile_hears(const uint8_t *p, uint32_t len)
{
	uint32_t at = sizeof(struct roce_frame);
	struct roce_item it;

	if (len <= at || p[0] != ROCE_DATA)
		return;
	while (at < len) {
		int used = roce_piece_get(p + at, len - at, &it);

		assert(used > 0);
		if (it.op == ROCE_KEY && it.note.span)
			key = it.note;
		at += used;
	}
}

/* Memory of ours: by the key that it has, and what lies behind; or by one that it made up. */
void hostile_memory(struct input *in, const void *where)
{
	static const uint8_t octets[SIM_PEER_FRAME] = "octets";
	uint8_t how = take(in);
	uint32_t len = take16(in), rkey = how & 2 ? key.rkey : len;
	uint64_t addr = how & 2 ? key.addr + (how & 8) * 1000 : (uintptr_t)where;

	if (!hostile)
		return;
	if (how & 1)
		sim_peer_read(hostile, rkey, addr, len);
	else
		sim_peer_write(hostile, rkey, addr, octets, how & 4 ? 0 : len, how & 0x10);
}
