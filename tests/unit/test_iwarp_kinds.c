/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_iwarp_kinds.c - messages of every kind, in both directions: writes, reads and their answers,
 * atomics, immediate data, among Sends; what they must not do; and Sends that are shown whole, or
 * placed bit by bit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/iwarp_peer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 20
#define STEP_MAX 40
#else
#define SEEDS 200
#define STEP_MAX 160
#endif

static struct node na, nb;
static struct chan a, b;
static struct script_end *e; /* the test's end of b's connection */
static bool crc_on;

static void settle(void)
{
	struct fab *fabs[] = { na.fab, nb.fab };

	script_settle(fabs, 2);
}

static uint64_t draw(uint64_t below)
{
	return script_random(&script.random) % below;
}

static void nodes_open(uint32_t fpdu_max, bool crc)
{
	struct fab_msg_attr attr = node_attr();

	crc_on = crc;
	attr.fpdu_max = fpdu_max;
	attr.crc = crc;
	node_open(&na, &attr);
	node_open(&nb, &attr);
	node_listen(&nb);
	chan_init(&a, &na, 1);
	chan_init(&b, &nb, 2);
	nb.child = &b;
}

static void nodes_close(void)
{
	if (e)
		script_hang_up(e, false);
	e = NULL;
	chan_fini(&a);
	chan_fini(&b);
	settle();
	node_close(&na);
	node_close(&nb);
	script_reset();
}

static void open_pair(uint32_t fpdu_max, bool crc)
{
	nodes_open(fpdu_max, crc);
	chan_pair(&a, &b, &na, &nb);
	assert_int_equal(a.peer.features, FAB_FEATURE_ATOMIC);
	assert_int_equal(b.peer.features, FAB_FEATURE_ATOMIC);
	a.answer = b.answer = true;
}

/* b's connection, with the test in the place of another eta. */
static void hand_open(bool crc, uint8_t rtr)
{
	struct mpa_start req = {
		.rev = MPA_REV_2,
		.enhanced = true,
		.p2p = true,
		.ird = 4,
		.ord = 4,
		.rtr = rtr,
		.is_eta = true,
		.eta = { .version = 1, .features = MPA_FEATURE_RFC7306, .mulpdu = MPA_MULPDU_MAX }
	};
	uint8_t bytes[MPA_FRAME_MAX];
	const uint8_t *got;

	nodes_open(65000, crc);
	e = script_dial(&nb.addr);
	script_put(e, bytes, mpa_encode(&req, MPA_REQUEST, bytes, sizeof(bytes)));
	settle();
	assert_int_equal(b.connected, 1);
	script_drop(e, script_got(e, &got));
}

/* The same, and the first word is said. */
static void hand_started(bool crc)
{
	uint8_t bytes[64];

	hand_open(crc, MPA_RTR_WRITE);
	script_put(e, bytes, fpdu_tagged(bytes, RDMAP_WRITE, true, 0, crc));
	settle();
	assert_false(b.conn->hold_tx);
}

static void put(const uint8_t *bytes, size_t n)
{
	script_put(e, bytes, n);
	settle();
}

/* ------------------------------------------------------------------------- all kinds */

static struct fab_atomic some_atomic;

static struct fab_send some_message(uint8_t op, uint32_t len)
{
	struct fab_send s = { .op = op, .stag = CHAN_STAG, .to = CHAN_TO + len % 977 };

	switch (op) {
	case FAB_SEND:
		s.flags = len & 1 ? FAB_SEND_SOLICITED : 0;
		s.len = len;
		break;
	case FAB_WRITE:
		s.len = len;
		break;
	case FAB_READ:
		s.read_len = len + 1;
		s.sink_stag = CHAN_SINK_STAG;
		s.sink_to = CHAN_TO + len % 1009;
		break;
	case FAB_ATOMIC:
		s.id = len * 3;
		some_atomic = (struct fab_atomic){
			.op = len & 1 ? FAB_CMP_SWAP : FAB_FETCH_ADD,
			.data = len * 0x100000001u,
			.data_mask = len & 2 ? UINT64_MAX : 0,
			.cmp = ~(uint64_t)len,
			.cmp_mask = UINT64_MAX - len,
		};
		s.atomic = &some_atomic;
		break;
	default:
		s.op = FAB_IMMEDIATE;
		s.flags = len & 1 ? FAB_SEND_SOLICITED : 0;
		s.value = len * 0xfedcba987654321u;
	}
	return s;
}

static const uint8_t kinds[] = { FAB_SEND, FAB_WRITE, FAB_READ, FAB_ATOMIC, FAB_IMMEDIATE };
#define KINDS sizeof(kinds)

static void send_one(struct chan *c, struct chan *to, uint8_t op, uint32_t len)
{
	struct fab_send s = some_message(op, len);

	chan_op(c, &s, 1 + len % 5);
	if (op == FAB_SEND)
		chan_post(to, len, 1 + len % 7);
}

/* Each kind behind each other, and between them answers to what the other side asks. */
static void send_batch(uint32_t len)
{
	for (unsigned i = 0; i < KINDS; i++) {
		for (unsigned j = 0; j < KINDS; j++) {
			send_one(&a, &b, kinds[j], len + i);
			send_one(&b, &a, kinds[(i + j) % KINDS], len * 2 + i);
		}
	}
	settle();
	assert_int_equal(a.closed + b.closed, 0);
	assert_int_equal(a.out_done, a.out_count);
	assert_int_equal(b.out_done, b.out_count);
	assert_int_equal(a.event_count, b.out_count);
	assert_int_equal(b.event_count, a.out_count);
}

static void every_kind(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		open_pair(i & 2 ? 65000 : 300, i & 1);
		for (uint32_t len = 0; len < 20; len++)
			send_batch(len);
		send_batch(500);
		send_batch(1111);
		send_batch(70000);
		assert_int_equal(na.counters.msgs_tx, nb.counters.msgs_rx);
		assert_int_equal(nb.counters.msgs_tx, na.counters.msgs_rx);
		nodes_close();
	}
}

/* Wherever a write, or a read, ends. */
static void every_portion(void **state)
{
	(void)state;
	for (unsigned step = 1; step <= STEP_MAX; step++) {
		open_pair(300, step & 1);
		script.write_max = step;
		send_batch(7);
		script.read_max = step;
		script.write_max = 0;
		send_batch(13);
		a.whole = b.whole = 1;
		a.pieces = b.pieces = 1;
		send_batch(333);
		nodes_close();
	}
}

/* One batch of all kinds, whose first write is cut at each octet. */
static void cut_once_anywhere(void **state)
{
	size_t total = 0;

	(void)state;
	for (size_t cut = 1; !total || cut <= total; cut++) {
		open_pair(200, true);
		for (unsigned j = 0; j < 2 * KINDS; j++)
			send_one(&a, &b, kinds[j % KINDS], 3 + 40 * j);
		script.write_max = cut;
		script_turn(na.fab);
		script.write_max = 0;
		settle();
		assert_int_equal(b.event_count, a.out_count);
		assert_int_equal(a.event_count, b.out_count);
		assert_int_equal(a.out_done, 2 * KINDS);
		if (!total)
			total = 2 * KINDS * (DDP_HDR_MAX + 8) + KINDS * 2 * 400;
		nodes_close();
	}
}

static void random_kinds(uint64_t seed)
{
	struct chan *chan[2] = { &a, &b };
	unsigned sent = 0;

	script.random = seed;
	script.window = draw(2) ? 1 + draw(9000) : 0;
	script.read_max = draw(3) ? 0 : 1 + draw(3000);
	script.write_max = draw(3) ? 0 : 1 + draw(3000);
	open_pair(draw(2) ? 65000 : 1 + draw(3000), draw(2));
	na.pool_size = nb.pool_size = draw(4) ? 200 + draw(20000) : 0;
	na.pool_count = nb.pool_count = draw(4);
	a.batch = draw(2) * draw(8);
	a.whole = draw(4);
	b.whole = draw(4);
	a.pieces = draw(4);
	b.pieces = draw(4);
	a.drop = !draw(6);
	a.check = !a.drop;
	while (sent < 300) {
		unsigned side = draw(2);
		struct chan *c = chan[side];

		if (draw(2)) {
			script_turn(draw(2) ? na.fab : nb.fab);
			continue;
		}
		send_one(c, chan[!side], kinds[draw(KINDS)], draw(draw(6) ? 700 : 40000));
		sent++;
		assert_int_equal(a.closed + b.closed, 0);
	}
	settle();
	assert_int_equal(b.event_count, a.out_count);
	assert_int_equal(a.event_count, b.out_count);
	nodes_close();
}

static void model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		/* for a failure: the one to run again */
		if (seed % 50 == 1)
			print_message("seeds from %u\n", (unsigned)seed);
		random_kinds(seed);
	}
}

static void large_tagged_data_are_not_copied(void **state)
{
	struct fab_send s = some_message(FAB_WRITE, 200000);

	(void)state;
	open_pair(65000, false);
	chan_op(&a, &s, 3);
	s = some_message(FAB_READ, 200000);
	chan_op(&a, &s, 1);
	settle();
	assert_int_equal(b.event_count, 2);
	assert_int_equal(a.event_count, 1);
	assert_true(nb.counters.copy_bytes < 100000);
	assert_true(na.counters.copy_bytes < 100000);
	nodes_close();
}

/* ------------------------------------------------------------------------- the start */

/* The write that starts a connection is no message; the next one is, even an empty one. */
static void empty_writes(void **state)
{
	uint8_t bytes[256];

	(void)state;
	hand_started(true);
	assert_int_equal(b.event_count, 0);
	put(bytes, fpdu_tagged_at(bytes, RDMAP_WRITE, true, 7, 8, 0, true));
	assert_int_equal(b.event_count, 1);
	assert_int_equal(b.events[0].send.op, FAB_WRITE);
	assert_int_equal(b.events[0].send.len, 0);
	assert_int_equal(b.events[0].send.stag, 7);
	nodes_close();
	/* a read was agreed on: a write is a write */
	hand_open(false, MPA_RTR_READ);
	put(bytes, fpdu_tagged_at(bytes, RDMAP_WRITE, true, 7, 8, 0, false));
	assert_int_equal(b.event_count, 1);
	nodes_close();
	/* not empty: a message all the same */
	hand_open(false, MPA_RTR_WRITE);
	put(bytes, fpdu_tagged_at(bytes, RDMAP_WRITE, true, CHAN_STAG, CHAN_TO, 5, false));
	assert_int_equal(b.event_count, 1);
	assert_false(b.conn->hold_tx);
	nodes_close();
}

/* The read that starts a connection has a number; its answer is no message, the next one is. */
static void reads_behind_a_starting_read(void **state)
{
	struct mpa_start req,
		rep = { .rev = MPA_REV_2,
			.enhanced = true,
			.p2p = true,
			.ird = 4,
			.ord = 4,
			.rtr = MPA_RTR_READ,
			.is_eta = true,
			.eta = { .version = 1, .features = MPA_FEATURE_RFC7306, .mulpdu = 3000 } };
	uint8_t bytes[MPA_FRAME_MAX];
	struct fab_send s = some_message(FAB_ATOMIC, 5);
	union fab_addr raw;
	struct ddp_hdr h = { 0 };
	const uint8_t *got;
	size_t n, used;

	(void)state;
	nodes_open(65000, false);
	script_addr(&raw, SCRIPT_RAW_PORT);
	assert_int_equal(chan_connect(&a, &raw, NULL, 0), 0);
	settle();
	e = script_take();
	n = script_got(e, &got);
	assert_int_equal(mpa_decode(got, n, MPA_REQUEST, &req, &used), 0);
	script_drop(e, n);
	put(bytes, mpa_encode(&rep, MPA_REPLY, bytes, sizeof(bytes)));
	assert_int_equal(a.connected, 1);
	assert_int_equal(a.peer.features, FAB_FEATURE_ATOMIC);
	n = script_got(e, &got);
	assert_int_equal(ddp_parse(got, n, &h), 0);
	assert_int_equal(h.opcode, RDMAP_READ_REQUEST);
	assert_int_equal(h.msn, 1);
	script_drop(e, n);
	chan_op(&a, &s, 1);
	settle();
	assert_int_equal(ddp_parse(got, script_got(e, &got), &h), 0);
	assert_int_equal(h.opcode, RDMAP_ATOMIC_REQUEST);
	assert_int_equal(h.msn, 2);
	put(bytes, fpdu_tagged_at(bytes, RDMAP_READ_RESPONSE, true, 0, 0, 0, false));
	assert_int_equal(a.event_count, 0);
	put(bytes, fpdu_tagged_at(bytes, RDMAP_READ_RESPONSE, true, 0, 0, 0, false));
	assert_int_equal(a.event_count, 1);
	assert_int_equal(a.events[0].send.op, FAB_READ_RESP);
	nodes_close();
}

/* Its user hears nothing of an empty read, and the one who reads hears that it is done. */
static void empty_reads(void **state)
{
	struct fab_send s = { .op = FAB_READ, .sink_stag = 5, .sink_to = 6 };

	(void)state;
	open_pair(65000, true);
	a.from = b.from = NULL;
	chan_op(&a, &s, 1);
	settle();
	assert_int_equal(b.event_count, 0);
	assert_int_equal(a.event_count, 1);
	assert_int_equal(a.events[0].send.op, FAB_READ_RESP);
	assert_int_equal(a.events[0].send.stag, 5);
	assert_int_equal(a.events[0].send.to, 6);
	nodes_close();
}

static size_t put_read(uint8_t *p, uint32_t msn, uint32_t len)
{
	struct rdmap_read read = { .sink_stag = msn, .src_stag = CHAN_STAG, .len = len };
	uint8_t body[RDMAP_BODY_MAX];

	rdmap_read_put(body, &read);
	return fpdu_body(p, RDMAP_READ_REQUEST, msn, body, crc_on);
}

/* Answers come in the order of what was asked, empty or not, and whoever gives them. */
static void answers_keep_their_order(void **state)
{
	static const uint32_t lens[] = { 0, 8, 0, 0, 300, 2000, 0, 0 };
	uint8_t bytes[8192];
	const uint8_t *got;
	struct ddp_hdr h = { 0 };

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		size_t n = 0, len;
		unsigned msn = 0;

		hand_started(how & 1);
		script.write_max = how & 2 ? 11 : 0;
		for (unsigned i = 0; i < 8; i++)
			n += put_read(bytes + n, i + 1, lens[i]);
		put(bytes, n);
		assert_int_equal(b.event_count, 3);
		/* not one that would overtake */
		len = script_got(e, &got);
		assert_int_equal(len, sizeof(struct ddp_tagged) + MPA_CRC_SIZE);
		/* all at once, for one write */
		for (unsigned i = 0; i < 8; i++) {
			struct fab_send s = { .op = FAB_READ_RESP, .stag = i + 1, .len = lens[i] };

			if (lens[i])
				chan_op(&b, &s, 1);
			chan_send(&b, i, 1);
		}
		settle();
		len = script_got(e, &got);
		for (size_t at = 0; at < len; at += h.hdr_len + h.payload_len + h.trailer_len) {
			assert_int_equal(ddp_parse(got + at, len - at, &h), 0);
			if (h.tagged)
				assert_int_equal(h.stag, ++msn);
			if (h.tagged)
				assert_int_equal(h.payload_len, lens[msn - 1]);
		}
		assert_int_equal(msn, 8);
		assert_int_equal(b.out_done, b.out_count);
		nodes_close();
	}
}

/* Empty reads that wait are bounded, and go with their connection. */
static void too_many_empty_reads(void **state)
{
	uint8_t bytes[128];
	const uint8_t *got;
	unsigned i;

	(void)state;
	hand_started(false);
	put(bytes, put_read(bytes, 1, 100));
	for (i = 2; i < 100 && !b.closed; i++)
		put(bytes, put_read(bytes, i, 0));
	assert_in_range(i, 6, 9);
	assert_int_equal(b.close_err, -EPROTO);
	assert_true(script_got(e, &got) > DDP_HDR_MAX + 2);
	assert_int_equal(got[DDP_HDR_MAX] << 8 | got[DDP_HDR_MAX + 1], TERM_DDP_NO_BUFFER);
	nodes_close();
}

/* ------------------------------------------------------------------------- refusals */

static size_t a_message(uint8_t *p, uint8_t op, bool crc)
{
	uint8_t body[RDMAP_BODY_MAX] = { 0 };
	struct rdmap_read read = { .len = 10, .src_stag = 3 };
	struct rdmap_atomic atomic = { .op = RDMAP_CMP_SWAP };

	switch (op) {
	case FAB_SEND:
		return fpdu_send(p, RDMAP_SEND, true, 1, 0, 8, crc, 1);
	case FAB_WRITE:
		return fpdu_tagged(p, RDMAP_WRITE, true, 8, crc);
	case FAB_READ_RESP:
		return fpdu_tagged(p, RDMAP_READ_RESPONSE, true, 8, crc);
	case FAB_READ:
		rdmap_read_put(body, &read);
		return fpdu_body(p, RDMAP_READ_REQUEST, 1, body, crc);
	case FAB_ATOMIC:
		rdmap_atomic_put(body, &atomic);
		return fpdu_body(p, RDMAP_ATOMIC_REQUEST, 1, body, crc);
	case FAB_ATOMIC_RESP:
		return fpdu_body(p, RDMAP_ATOMIC_RESPONSE, 1, body, crc);
	default:
		return fpdu_body(p, RDMAP_IMMEDIATE, 1, body, crc);
	}
}

/* What goes out when @op is refused: @term, about the message of @n octets at @bytes. */
static void check_terminate(const uint8_t *bytes, size_t n, uint16_t term)
{
	uint8_t want[RDMAP_TERM_FPDU_MAX];
	unsigned len = rdmap_term_build(want, term, crc_on, bytes, n);
	const uint8_t *got;

	assert_int_equal(script_got(e, &got), len);
	assert_memory_equal(got, want, len);
	assert_true(script_ended(e));
}

static void refuse(uint8_t op, int err, uint16_t term, bool crc, size_t read_max)
{
	uint8_t bytes[256];
	size_t n = a_message(bytes, op, crc);

	hand_started(crc);
	script.read_max = read_max;
	b.errs[op] = err;
	b.place_err = op == FAB_SEND ? err : 0;
	b.whole = op == FAB_SEND;
	put(bytes, n);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, err);
	assert_int_equal(nb.counters.terminates_tx, 1);
	assert_int_equal(nb.counters.proto_errors, term != TERM_RDMAP_LOCAL);
	check_terminate(bytes, n - MPA_CRC_SIZE, term);
	nodes_close();
}

static void refusals(void **state)
{
	static const struct {
		int err;
		uint16_t tagged, request, other;
	} errs[] = {
		{ -ENOKEY, TERM_DDP_STAG, TERM_RDMAP_STAG, TERM_DDP_NO_BUFFER },
		{ -ERANGE, TERM_DDP_BOUNDS, TERM_RDMAP_BOUNDS, TERM_DDP_NO_BUFFER },
		{ -EACCES, TERM_DDP_STAG, TERM_RDMAP_ACCESS, TERM_DDP_NO_BUFFER },
		{ -EPERM, TERM_DDP_NOT_ASSOC, TERM_RDMAP_NOT_ASSOC, TERM_DDP_NO_BUFFER },
		{ -EBUSY, TERM_DDP_NO_BUFFER, TERM_DDP_NO_BUFFER, TERM_DDP_NO_BUFFER },
		{ -EIO, TERM_RDMAP_LOCAL, TERM_RDMAP_LOCAL, TERM_RDMAP_LOCAL },
	};

	(void)state;
	for (uint8_t op = 0; op < FAB_OPS; op++) {
		bool tagged = op == FAB_WRITE || op == FAB_READ_RESP;
		bool request = op == FAB_READ || op == FAB_ATOMIC;

		for (unsigned i = 0; i < 6; i++) {
			uint16_t term = tagged    ? errs[i].tagged
					: request ? errs[i].request
						  : errs[i].other;

			refuse(op, errs[i].err, term, i & 1, 0);
			refuse(op, errs[i].err, term, !(i & 1), 1);
			refuse(op, errs[i].err, term, i & 1, 25);
		}
	}
}

/* What is wrong is known before its user is asked. */
static void never_told(void **state)
{
	(void)state;
	for (uint8_t op = FAB_WRITE; op < FAB_OPS; op++) {
		uint8_t bytes[256];
		size_t n = a_message(bytes, op, true);

		bytes[n - 1] ^= 0x10;
		hand_started(true);
		b.drop = true;
		put(bytes, n);
		assert_int_equal(b.event_count, 0);
		assert_int_equal(b.close_err, -EPROTO);
		check_terminate(bytes, n - MPA_CRC_SIZE, TERM_MPA_CRC);
		nodes_close();
	}
}

/* ------------------------------------------------------------------------- violations */

static void expect(const uint8_t *bytes, size_t n, enum ddp_error err)
{
	put(bytes, n);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, -EPROTO);
	check_terminate(bytes, n - MPA_CRC_SIZE, ddp_error_term(err));
	nodes_close();
}

/* A Write of two segments is begun; what comes instead of the second. */
static void tagged_messages_are_not_interleaved(void **state)
{
	static const struct {
		uint8_t opcode;
		uint32_t stag;
		uint64_t to;
		uint32_t len;
		bool last, ok;
	} next[] = {
		{ RDMAP_WRITE, CHAN_STAG, CHAN_TO + 40, 8, true, true },
		{ RDMAP_WRITE, CHAN_STAG, CHAN_TO + 40, 0, true, true },
		{ RDMAP_WRITE, CHAN_STAG, CHAN_TO + 41, 8, true, false },
		{ RDMAP_WRITE, CHAN_STAG, CHAN_TO, 40, false, false },
		{ RDMAP_WRITE, CHAN_STAG + 1, CHAN_TO + 40, 8, true, false },
		{ RDMAP_READ_RESPONSE, CHAN_STAG, CHAN_TO + 40, 8, true, false },
	};
	uint8_t bytes[256];

	(void)state;
	for (unsigned i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
		hand_started(false);
		put(bytes,
		    fpdu_tagged_at(bytes, RDMAP_WRITE, false, CHAN_STAG, CHAN_TO, 40, false));
		assert_int_equal(b.event_count, 0);
		assert_int_equal(b.closed, 0);
		if (next[i].ok) {
			put(bytes, fpdu_tagged_at(bytes, next[i].opcode, next[i].last, next[i].stag,
						  next[i].to, next[i].len, false));
			assert_int_equal(b.event_count, 1);
			assert_int_equal(b.events[0].send.len, 40 + next[i].len);
			nodes_close();
			continue;
		}
		expect(bytes,
		       fpdu_tagged_at(bytes, next[i].opcode, next[i].last, next[i].stag, next[i].to,
				      next[i].len, false),
		       DDP_E_INTERLEAVED);
	}
	for (uint8_t op = 0; op < FAB_OPS; op++) {
		hand_started(false);
		put(bytes,
		    fpdu_tagged_at(bytes, RDMAP_WRITE, false, CHAN_STAG, CHAN_TO, 40, false));
		expect(bytes, a_message(bytes, op, false), DDP_E_INTERLEAVED);
	}
}

static void others_inside_a_send(void **state)
{
	uint8_t bytes[256];

	(void)state;
	for (uint8_t op = FAB_WRITE; op < FAB_OPS; op++) {
		hand_started(false);
		chan_post(&b, 100, 1);
		put(bytes, fpdu_send(bytes, RDMAP_SEND, false, 1, 0, 40, false, 1));
		expect(bytes, a_message(bytes, op, false), DDP_E_INTERLEAVED);
	}
}

/* Each queue counts for itself; immediate data count as Sends, atomics as reads. */
static void numbers(void **state)
{
	static const struct {
		uint8_t first, next;
		bool same;
	} pairs[] = {
		{ FAB_SEND, FAB_IMMEDIATE, true },
		{ FAB_IMMEDIATE, FAB_SEND, true },
		{ FAB_READ, FAB_ATOMIC, true },
		{ FAB_ATOMIC, FAB_READ, true },
		{ FAB_IMMEDIATE, FAB_IMMEDIATE, true },
		{ FAB_SEND, FAB_READ, false },
		{ FAB_ATOMIC_RESP, FAB_ATOMIC, false },
		{ FAB_READ, FAB_ATOMIC_RESP, false },
		{ FAB_ATOMIC_RESP, FAB_ATOMIC_RESP, true },
	};
	uint8_t bytes[256];

	(void)state;
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		hand_started(false);
		b.check = false;
		chan_post(&b, 100, 1);
		chan_post(&b, 100, 1);
		put(bytes, a_message(bytes, pairs[i].first, false));
		assert_int_equal(b.event_count, 1);
		if (pairs[i].same) {
			expect(bytes, a_message(bytes, pairs[i].next, false), DDP_E_MSN);
			continue;
		}
		put(bytes, a_message(bytes, pairs[i].next, false));
		assert_int_equal(b.event_count, 2);
		nodes_close();
	}
}

static void bad_requests(void **state)
{
	struct rdmap_read read = { .len = 2, .src_to = UINT64_MAX };
	struct rdmap_atomic atomic = { .op = 1 };
	uint8_t body[RDMAP_BODY_MAX], bytes[256];

	(void)state;
	hand_started(false);
	rdmap_read_put(body, &read);
	expect(bytes, fpdu_body(bytes, RDMAP_READ_REQUEST, 1, body, false), DDP_E_READ_TO_WRAP);
	hand_started(false);
	read.sink_to = read.src_to;
	read.src_to = 0;
	rdmap_read_put(body, &read);
	expect(bytes, fpdu_body(bytes, RDMAP_READ_REQUEST, 1, body, false), DDP_E_READ_TO_WRAP);
	hand_started(false);
	rdmap_atomic_put(body, &atomic);
	expect(bytes, fpdu_body(bytes, RDMAP_ATOMIC_REQUEST, 1, body, false), DDP_E_BODY);
	hand_started(false);
	expect(bytes, fpdu_tagged(bytes, RDMAP_WRITE, false, 0, false), DDP_E_LENGTH);
	/* the last octet of all may be asked for */
	hand_started(false);
	read = (struct rdmap_read){ .len = 1, .src_to = UINT64_MAX, .sink_to = UINT64_MAX };
	rdmap_read_put(body, &read);
	put(bytes, fpdu_body(bytes, RDMAP_READ_REQUEST, 1, body, false));
	assert_int_equal(b.event_count, 1);
	nodes_close();
}

/* The end inside a tagged message is no orderly one. */
static void cut_off_inside_a_write(void **state)
{
	uint8_t bytes[256];

	(void)state;
	hand_started(false);
	put(bytes, fpdu_tagged_at(bytes, RDMAP_WRITE, false, CHAN_STAG, CHAN_TO, 40, false));
	script_fin(e);
	settle();
	assert_int_equal(b.close_err, -ECONNRESET);
	nodes_close();
}

/* ------------------------------------------------------------------------- Sends, whole or in bits */

static void whole_sends(void **state)
{
	uint8_t bytes[8192];

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		size_t n = 0;

		hand_started(how & 1);
		b.seed = 1;
		b.whole = how & 2 ? 3 : 1;
		for (unsigned i = 1; i <= 40; i++) {
			chan_post(&b, 64, 3);
			n += fpdu_send(bytes + n, i & 1 ? RDMAP_SEND : RDMAP_SEND_SE, true, i, 0,
				       i % 9 ? 64 : i % 7, how & 1, 1);
		}
		put(bytes, n);
		assert_int_equal(b.in_done, 40);
		if (how & 2)
			assert_in_range(b.wholes, 1, 39);
		else
			assert_int_equal(b.wholes, 40);
		assert_int_equal(nb.counters.msgs_rx, 40);
		assert_int_equal(nb.counters.fpdus_rx, 41);
		nodes_close();
	}
}

/* Those before a bad one have come; it is reported as ever. */
static void a_bad_one_among_whole_sends(void **state)
{
	uint8_t bytes[8192];

	(void)state;
	for (unsigned i = 1; i <= 10; i++) {
		size_t n = 0, bad = 0;

		hand_started(true);
		b.seed = 1;
		b.whole = 1;
		for (unsigned j = 1; j <= 12; j++) {
			chan_post(&b, 64, 3);
			if (j == i)
				bad = n;
			n += fpdu_send(bytes + n, RDMAP_SEND, true, j, 0, 60, true, 1);
		}
		bytes[bad + 30] ^= 1;
		put(bytes, n);
		assert_int_equal(b.in_done, i - 1);
		assert_int_equal(b.close_err, -EPROTO);
		check_terminate(bytes + bad, DDP_HDR_MAX, TERM_MPA_CRC);
		nodes_close();
	}
}

/* Without a receive a whole Send waits as any other. */
static void whole_sends_without_receives(void **state)
{
	(void)state;
	for (unsigned crc = 0; crc < 2; crc++) {
		open_pair(2000, crc);
		a.whole = b.whole = 1;
		for (unsigned i = 0; i < 60; i++)
			chan_send(&a, i * 3, 2);
		settle();
		assert_int_equal(b.in_done, 0);
		for (unsigned i = 0; i < 60; i++) {
			chan_post(&b, 200, 3);
			settle();
			assert_int_equal(b.in_done, i + 1);
		}
		nodes_close();
	}
}

/* A place of so many entries at a time. */
static void places_in_bits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		script.random = i + 1;
		open_pair(i & 1 ? 65000 : 1500, i & 2);
		script.read_max = i & 4 ? 100 : 0;
		b.pieces = 1 + i % 3;
		for (unsigned j = 0; j < 60; j++) {
			uint32_t len = draw(j % 5 ? 2000 : 60000);

			chan_post(&b, draw(4) ? len : draw(len + 1), 1 + draw(FAB_PLACE_IOV));
			chan_send(&a, len, 3);
		}
		settle();
		assert_int_equal(b.in_done, 60);
		nodes_close();
	}
}

/* ------------------------------------------------------------------------- closing from within */

static void close_within(enum chan_at where, unsigned skip, unsigned variant)
{
	struct chan *c = variant & 1 ? &a : &b;

	open_pair(variant & 4 ? 65000 : 700, variant & 2);
	script.random = skip * 100 + variant + 1;
	c->close_at = where;
	c->close_skip = skip;
	c->reset = variant & 4;
	c->seed = variant; /* decides on what it says about what is gone */
	c->whole = c == &a;
	a.from = b.from = NULL;
	a.check = b.check = false;
	for (unsigned i = 0; i < 3 * KINDS; i++) {
		send_one(&a, &b, kinds[i % KINDS], i * i * 70);
		send_one(&b, &a, kinds[(i + variant) % KINDS], i * i * 300);
		send_one(&b, &a, FAB_SEND, i);
		send_one(&a, &b, FAB_SEND, i);
		script_turn(i & 1 ? na.fab : nb.fab);
	}
	settle();
	assert_true(skip || !c->conn);
	assert_int_equal(a.closed + b.closed, !c->conn);
	nodes_close();
}

static void closed_from_within(void **state)
{
	(void)state;
	for (enum chan_at where = AT_TX_PEEK; where < AT_COUNT; where++)
		for (unsigned skip = 0; skip < 4 && where != AT_CLOSED; skip++)
			for (unsigned variant = 0; variant < 12; variant++)
				close_within(where, skip, variant);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind),
		cmocka_unit_test(every_portion),
		cmocka_unit_test(cut_once_anywhere),
		cmocka_unit_test(model),
		cmocka_unit_test(large_tagged_data_are_not_copied),
		cmocka_unit_test(empty_writes),
		cmocka_unit_test(reads_behind_a_starting_read),
		cmocka_unit_test(empty_reads),
		cmocka_unit_test(answers_keep_their_order),
		cmocka_unit_test(too_many_empty_reads),
		cmocka_unit_test(refusals),
		cmocka_unit_test(never_told),
		cmocka_unit_test(tagged_messages_are_not_interleaved),
		cmocka_unit_test(others_inside_a_send),
		cmocka_unit_test(numbers),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(cut_off_inside_a_write),
		cmocka_unit_test(whole_sends),
		cmocka_unit_test(a_bad_one_among_whole_sends),
		cmocka_unit_test(whole_sends_without_receives),
		cmocka_unit_test(places_in_bits),
		cmocka_unit_test(closed_from_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
