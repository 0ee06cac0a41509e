/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_iwarp_bad.c - message connections that end badly: peers that break the protocol, each in its
 * own way; Terminates, sent and received; memory that cannot be used; users that close the
 * connection from within any upcall.
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

static struct node na, nb;
static struct chan a, b;
static struct script_end *e; /* the test's end of b's connection */

static void settle(void)
{
	struct fab *fabs[] = { na.fab, nb.fab };

	script_settle(fabs, 2);
}

static void nodes_open(bool crc)
{
	struct fab_msg_attr attr = node_attr();

	attr.crc = crc;
	node_open(&na, &attr);
	node_open(&nb, &attr);
	node_listen(&nb);
	chan_init(&a, &na, 1);
	chan_init(&b, &nb, 1);
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

/* b's connection, with the test as initiator, and both allowed to speak. */
static void hand_open(bool crc)
{
	struct mpa_start req = { .rev = MPA_REV_2,
				 .enhanced = true,
				 .p2p = true,
				 .ird = 1,
				 .ord = 1,
				 .rtr = MPA_RTR_WRITE,
				 .raw = true };
	uint8_t bytes[MPA_FRAME_MAX];
	const uint8_t *got;

	nodes_open(crc);
	e = script_dial(&nb.addr);
	script_put(e, bytes, mpa_encode(&req, MPA_REQUEST, bytes, sizeof(bytes)));
	settle();
	script_put(e, bytes, fpdu_tagged(bytes, RDMAP_WRITE, true, 0, crc));
	settle();
	assert_int_equal(b.connected, 1);
	assert_false(b.conn->hold_tx);
	script_drop(e, script_got(e, &got));
	for (unsigned i = 0; i < 4; i++)
		chan_post(&b, 100, 2);
}

/* ------------------------------------------------------------------------- violations */

/* Sets the 16, or 32, bits at @p. */
static void set16(uint8_t *p, uint16_t v)
{
	memcpy(p, &(be16){ .b = { (uint8_t)(v >> 8), (uint8_t)v } }, 2);
}

static void set32(uint8_t *p, uint32_t v)
{
	set16(p, (uint16_t)(v >> 16));
	set16(p + 2, (uint16_t)v);
}

/* A good Send of two segments, the second of which is damaged by the cases. */
#define FIRST 40

static size_t case_send(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, true, 1, FIRST, 8, crc, 1);
}

static size_t bad_length(uint8_t *p, bool crc)
{
	size_t n = case_send(p, crc);

	set16(p, DDP_UNTAGGED_LEN - 1);
	return n;
}

static size_t bad_tagged_version(uint8_t *p, bool crc)
{
	size_t n = fpdu_tagged(p, RDMAP_WRITE, true, 0, crc);

	p[2] |= 2;
	return n;
}

static size_t bad_untagged_version(uint8_t *p, bool crc)
{
	size_t n = case_send(p, crc);

	p[2] &= ~1;
	return n;
}

static size_t bad_rdmap_version(uint8_t *p, bool crc)
{
	size_t n = case_send(p, crc);

	p[3] ^= 0x80;
	return n;
}

static size_t bad_opcode(uint8_t *p, bool crc)
{
	size_t n = case_send(p, crc);

	p[3] |= 0x0f;
	return n;
}

static size_t bad_tagging(uint8_t *p, bool crc)
{
	return fpdu_tagged(p, RDMAP_SEND, true, 0, crc);
}

static size_t immediate(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_IMMEDIATE, true, 1, 0, 8, crc, 1);
}

static size_t bad_queue(uint8_t *p, bool crc)
{
	size_t n = case_send(p, crc);

	set32(p + 8, 1);
	return n;
}

static size_t bad_body(uint8_t *p, bool crc)
{
	size_t n = ddp_put_untagged(p, RDMAP_READ_REQUEST, true, 0, 1, 0, 27);

	memset(p + n, 0, 27);
	return fpdu_end(p, n + 27, crc);
}

static size_t offset_wraps(uint8_t *p, bool crc)
{
	size_t n = fpdu_tagged(p, RDMAP_WRITE, true, 2, crc);

	memset(p + 8, 0xff, 8);
	return n;
}

static size_t message_wraps(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, true, 1, UINT32_MAX - 3, 8, crc, 1);
}

static size_t bad_crc(uint8_t *p, bool crc)
{
	size_t n = case_send(p, crc);

	p[n - 1] ^= 1;
	return n;
}

static size_t write_inside(uint8_t *p, bool crc)
{
	return fpdu_tagged(p, RDMAP_WRITE, true, 0, crc);
}

static size_t other_send_inside(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND_SE, true, 1, FIRST, 8, crc, 1);
}

static size_t next_message_inside(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, true, 2, 0, 8, crc, 1);
}

static size_t same_segment_again(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, false, 1, 0, FIRST, crc, 1);
}

static size_t gap(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, true, 1, FIRST + 4, 8, crc, 1);
}

static size_t nothing_and_more(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, false, 1, FIRST, 0, crc, 1);
}

static size_t invalidate(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND_INV, true, 1, FIRST, 8, crc, 1);
}

static size_t msn_skipped(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, true, 2, 0, 8, crc, 1);
}

static size_t begins_late(uint8_t *p, bool crc)
{
	return fpdu_send(p, RDMAP_SEND, true, 1, 8, 8, crc, 1);
}

static size_t read_out_of_turn(uint8_t *p, bool crc)
{
	return fpdu_read(p, 2, 0, crc);
}

static size_t atomic(uint8_t *p, bool crc)
{
	size_t n = ddp_put_untagged(p, RDMAP_ATOMIC_REQUEST, true, 0, 1, 0,
				    sizeof(struct rdmap_atomic_req));

	memset(p + n, 0, sizeof(struct rdmap_atomic_req));
	return fpdu_end(p, n + sizeof(struct rdmap_atomic_req), crc);
}

/* What a user refuses is in test_iwarp_kinds.c. */
static const struct {
	const char *name;
	size_t (*make)(uint8_t *p, bool crc);
	int err;     /* enum ddp_error */
	bool inside; /* behind the first segment of a message */
	bool crc;    /* only with CRC */
} cases[] = {
	{ "length", bad_length, DDP_E_LENGTH, true, false },
	{ "tagged version", bad_tagged_version, DDP_E_TAGGED_VERSION, false, false },
	{ "untagged version", bad_untagged_version, DDP_E_UNTAGGED_VERSION, true, false },
	{ "RDMAP version", bad_rdmap_version, DDP_E_RDMAP_VERSION, true, false },
	{ "opcode", bad_opcode, DDP_E_OPCODE, true, false },
	{ "tagging", bad_tagging, DDP_E_OPCODE, false, false },
	{ "immediate", immediate, DDP_E_OPCODE, false, false },
	{ "atomic", atomic, DDP_E_OPCODE, false, false },
	{ "queue", bad_queue, DDP_E_QN, true, false },
	{ "body", bad_body, DDP_E_BODY, false, false },
	{ "offset wraps", offset_wraps, DDP_E_TO_WRAP, false, false },
	{ "message wraps", message_wraps, DDP_E_MO_WRAP, true, false },
	{ "CRC", bad_crc, DDP_E_CRC, true, true },
	{ "write inside", write_inside, DDP_E_INTERLEAVED, true, false },
	{ "read inside", read_out_of_turn, DDP_E_INTERLEAVED, true, false },
	{ "other send inside", other_send_inside, DDP_E_INTERLEAVED, true, false },
	{ "next message inside", next_message_inside, DDP_E_MSN, true, false },
	{ "msn skipped", msn_skipped, DDP_E_MSN, false, false },
	{ "read out of turn", read_out_of_turn, DDP_E_MSN, false, false },
	{ "segment twice", same_segment_again, DDP_E_MO, true, false },
	{ "gap", gap, DDP_E_MO, true, false },
	{ "begins late", begins_late, DDP_E_MO, false, false },
	{ "nothing, and more", nothing_and_more, DDP_E_LENGTH, true, false },
	{ "invalidate", invalidate, DDP_E_INVALIDATE, true, false },
};

static void check_terminate(const uint8_t *bad, size_t bad_len, uint16_t term, bool crc, bool whole)
{
	uint8_t want[RDMAP_TERM_FPDU_MAX];
	unsigned len = rdmap_term_build(want, term, crc, bad, bad_len);
	const uint8_t *got;
	size_t n = script_got(e, &got);

	assert_true(n >= DDP_HDR_MAX + 4 + MPA_CRC_SIZE);
	assert_int_equal(got[DDP_HDR_MAX], term >> 8);
	assert_int_equal(got[DDP_HDR_MAX + 1], term & 0xff);
	if (!whole)
		return;
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
}

static void violate(unsigned i, bool crc, size_t read_max)
{
	uint8_t bytes[512];
	size_t n = 0, bad;

	hand_open(crc);
	script.read_max = read_max;
	if (cases[i].inside)
		n = fpdu_send(bytes, RDMAP_SEND, false, 1, 0, FIRST, crc, 1);
	bad = cases[i].make(bytes + n, crc);
	script_put(e, bytes, n + bad);
	settle();
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, -EPROTO);
	assert_int_equal(nb.counters.proto_errors, 1);
	assert_int_equal(nb.counters.terminates_tx, 1);
	assert_int_equal(b.in_done, 0);
	assert_true(script_ended(e));
	check_terminate(bytes + n, bad - MPA_CRC_SIZE, ddp_error_term(cases[i].err), crc,
			!read_max);
	nodes_close();
}

static void violations(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		for (unsigned crc = cases[i].crc; crc < 2; crc++) {
			violate(i, crc, 0);
			violate(i, crc, 1);
			violate(i, crc, 7);
		}
	}
}

/* What the rest of the read would have been is not looked at. */
static void nothing_behind_a_violation(void **state)
{
	uint8_t bytes[512];
	size_t n = msn_skipped(bytes, false);

	(void)state;
	hand_open(false);
	n += fpdu_send(bytes + n, RDMAP_SEND, true, 1, 0, 8, false, 1);
	script_put(e, bytes, n);
	b.keep = true;
	settle();
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.in_done, 0);
	/* its user takes its time */
	script_put(e, bytes, n);
	settle();
	iwarp_ops.tx_want(b.conn);
	iwarp_ops.tx_now(b.conn);
	iwarp_ops.rx_want(b.conn);
	assert_int_equal(iwarp_ops.shutdown(b.conn), -ENOTCONN);
	settle();
	nodes_close();
}

/* A responder says nothing before the initiator's first good FPDU, not even that it is bad. */
static void bad_from_the_start(void **state)
{
	struct mpa_start req = { .rev = MPA_REV_1, .raw = true };
	uint8_t bytes[MPA_FRAME_MAX];
	const uint8_t *got;

	(void)state;
	nodes_open(false);
	e = script_dial(&nb.addr);
	script_put(e, bytes, mpa_encode(&req, MPA_REQUEST, bytes, sizeof(bytes)));
	settle();
	script_drop(e, script_got(e, &got));
	script_put(e, bytes, msn_skipped(bytes, false));
	settle();
	assert_int_equal(b.close_err, -EPROTO);
	assert_int_equal(script_got(e, &got), 0);
	assert_true(script_ended(e));
	nodes_close();
}

/* In the middle of a message there is nothing to be said: the stream just ends. */
static void violation_while_sending(void **state)
{
	uint8_t bytes[64];
	const uint8_t *got;
	struct ddp_hdr h = { 0 };

	(void)state;
	hand_open(false);
	script.window = 1000;
	chan_send(&b, 5000, 1);
	settle();
	script_put(e, bytes, fpdu_tagged(bytes, RDMAP_WRITE, true, 8, false));
	settle();
	assert_int_equal(b.close_err, -ENOKEY);
	assert_int_equal(script_got(e, &got), 1000);
	assert_int_equal(ddp_parse(got, 1000, &h), 0);
	assert_int_equal(h.opcode, RDMAP_SEND_SE);
	nodes_close();
}

/* ------------------------------------------------------------------------- reads */

static void every_empty_read_is_answered(void **state)
{
	uint8_t bytes[128];
	const uint8_t *got;

	(void)state;
	hand_open(true);
	for (unsigned i = 1; i <= 300; i++) {
		script.window = i % 9 + 1;
		script_put(e, bytes, fpdu_read(bytes, i, 0, true));
		do {
			script_drop(e, script_got(e, &got));
			settle();
		} while (script_got(e, &got));
	}
	assert_int_equal(b.closed, 0);
	assert_int_equal(nb.counters.fpdus_tx, 300);
	nodes_close();
}

/* Behind our own FIN there are no answers, and that is no error. */
static void reads_behind_a_disconnect(void **state)
{
	uint8_t bytes[128];
	const uint8_t *got;

	(void)state;
	hand_open(false);
	assert_int_equal(iwarp_ops.shutdown(b.conn), 0);
	for (uint32_t i = 1; i < 10; i++)
		script_put(e, bytes, fpdu_read(bytes, i, 0, false));
	settle();
	assert_int_equal(script_got(e, &got), 0);
	assert_int_equal(b.closed, 0);
	script_fin(e);
	settle();
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, 0);
	nodes_close();
}

/* Answers that nobody takes do not pile up. */
static void a_flood_of_reads(void **state)
{
	uint8_t bytes[128];
	uint32_t i;

	(void)state;
	hand_open(false);
	script.window = 10;
	for (i = 1; i <= 10000 && !b.closed; i++) {
		script_put(e, bytes, fpdu_read(bytes, i, 0, false));
		settle();
	}
	assert_int_equal(b.close_err, -EPROTO);
	assert_true(i < 10);
	nodes_close();
}

/* Between messages, in their turn, and never inside one. */
static void answers_among_messages(void **state)
{
	static uint8_t bytes[200000];
	unsigned opcodes[16] = { 0 }, inside = 0;
	const uint8_t *got;
	struct ddp_hdr h = { 0 };
	size_t n = 0, len, at = 0;

	(void)state;
	hand_open(false);
	script.window = 700;
	for (unsigned i = 0; i < 50; i++)
		chan_send(&b, i * 97, 3);
	for (uint32_t i = 1; n < sizeof(bytes) - 1000;) {
		settle();
		len = script_got(e, &got);
		if (!len)
			break;
		memcpy(bytes + n, got, len);
		n += len;
		script_drop(e, len);
		if (i < 40) {
			uint8_t fpdu[128];

			script_put(e, fpdu, fpdu_read(fpdu, i++, 0, false));
		}
	}
	for (; at < n; at += h.hdr_len + h.payload_len + h.trailer_len) {
		assert_int_equal(ddp_parse(bytes + at, n - at, &h), 0);
		opcodes[h.opcode]++;
		assert_false(inside && h.opcode == RDMAP_READ_RESPONSE);
		inside = h.opcode != RDMAP_READ_RESPONSE && !h.last;
	}
	assert_int_equal(at, n);
	assert_int_equal(opcodes[RDMAP_READ_RESPONSE], 39);
	assert_int_equal(b.out_done, 50);
	nodes_close();
}

/* ------------------------------------------------------------------------- Terminates that come */

static void terminated(const uint8_t *bytes, size_t n, bool inside)
{
	uint8_t first[128];

	for (size_t read_max = 0; read_max < 3; read_max++) {
		hand_open(false);
		script.read_max = read_max;
		if (inside)
			script_put(e, first,
				   fpdu_send(first, RDMAP_SEND, false, 1, 0, 4, false, 1));
		script_put(e, bytes, n);
		settle();
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.close_err, -ECONNABORTED);
		assert_int_equal(nb.counters.terminates_rx, 1);
		assert_int_equal(nb.counters.terminates_tx, 0);
		assert_int_equal(nb.counters.proto_errors, 0);
		nodes_close();
	}
}

static void terminate_is_the_end(void **state)
{
	uint8_t bytes[2048] = { 0 };
	unsigned n = rdmap_term_build(bytes, TERM_DDP_NO_BUFFER, false, NULL, 0);

	(void)state;
	terminated(bytes, n, false);
	terminated(bytes, n, true);
	/* siw's: layer in the other half of the octet, D and M at the other end of theirs */
	bytes[DDP_HDR_MAX] = 0x21;
	bytes[DDP_HDR_MAX + 2] = 0x03;
	terminated(bytes, n, false);
	/* none, too little, and more than anyone needs */
	for (unsigned len = 0; len < 1500; len = len * 3 + 1) {
		n = ddp_put_untagged(bytes, RDMAP_TERMINATE, true, 0, 1, 0, len);
		n = fpdu_end(bytes, n + len, false);
		terminated(bytes, n, len & 1);
	}
}

/* ------------------------------------------------------------------------- local trouble */

static void no_place_for_a_message(void **state)
{
	uint8_t bytes[128];
	const uint8_t *got;

	(void)state;
	hand_open(false);
	b.place_err = -EIO;
	script_put(e, bytes, fpdu_send(bytes, RDMAP_SEND, true, 1, 0, 8, false, 1));
	settle();
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, -EIO);
	assert_int_equal(nb.counters.proto_errors, 0);
	assert_int_equal(script_got(e, &got), DDP_HDR_MAX + 4 + MPA_CRC_SIZE);
	nodes_close();
}

static void memory_that_cannot_be_used(void **state)
{
	(void)state;
	for (int rx = 0; rx < 2; rx++) {
		nodes_open(false);
		chan_pair(&a, &b, &na, &nb);
		chan_post(&b, 20000, 1);
		chan_send(&a, 20000, 1);
		script.rx_fault = rx ? 2 : 0;
		script.tx_fault = !rx;
		settle();
		assert_int_equal((rx ? &b : &a)->close_err, -EFAULT);
		assert_int_equal(a.closed + b.closed, 2);
		assert_int_equal(b.in_done, 0);
		nodes_close();
	}
}

/* The rest of a message that is half out has gone. */
static void half_a_message(void **state)
{
	unsigned count;

	(void)state;
	nodes_open(false);
	chan_pair(&a, &b, &na, &nb);
	chan_post(&b, 1000, 1);
	script.window = 100;
	chan_send(&a, 1000, 1);
	script_turn(na.fab);
	assert_true(a.partial);
	count = a.out_count;
	a.out_count = a.out_done;
	settle();
	a.out_count = count;
	assert_int_equal(a.close_err, -EFAULT);
	assert_int_equal(b.close_err, -ECONNRESET);
	nodes_close();
}

/* ------------------------------------------------------------------------- closing from within */

static void traffic(unsigned round)
{
	for (unsigned i = 0; i < 6; i++) {
		chan_send(&a, i * 700, 3);
		chan_send(&b, i * 9000, 3);
		if ((round + i) % 3)
			chan_post(&a, 50000, 2);
		if ((round + i) % 4)
			chan_post(&b, 50000, 2);
		script_turn(i & 1 ? na.fab : nb.fab);
	}
	settle();
	for (unsigned i = 0; i < 4; i++) {
		chan_post(&a, 50000, 2);
		chan_post(&b, 50000, 2);
	}
	settle();
}

static void close_within(enum chan_at where, unsigned skip, unsigned variant)
{
	struct chan *c = variant & 1 ? &a : &b;

	nodes_open(variant & 2);
	script.random = skip * 100 + variant + 1;
	chan_pair(&a, &b, &na, &nb);
	c->close_at = where;
	c->close_skip = skip;
	c->reset = variant & 4;
	c->seed = variant; /* decides on what it says about what is gone */
	a.from = b.from = NULL;
	a.check = b.check = false;
	traffic(variant);
	assert_int_equal(a.closed + b.closed < 2 || where == AT_CLOSED, true);
	nodes_close();
}

static void closed_from_within(void **state)
{
	(void)state;
	for (enum chan_at where = AT_TX_PEEK; where < AT_COUNT; where++)
		for (unsigned skip = 0; skip < 30; skip++)
			for (unsigned variant = 0; variant < 12; variant++)
				close_within(where, skip, variant);
}

/* The peer breaks the protocol while its messages wait for a receive, and are then taken. */
static void violation_in_the_stash(void **state)
{
	uint8_t bytes[512];
	size_t n = 0;

	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		hand_open(false);
		n = 0;
		for (unsigned i = 1; i <= 8; i++)
			n += fpdu_send(bytes + n, RDMAP_SEND, true, i, 0, 8, false, 1);
		n += msn_skipped(bytes + n, false);
		script_put(e, bytes, n);
		settle();
		assert_int_equal(nb.pool_used, 1);
		b.keep = how == 1;
		b.close_at = how == 2 ? AT_RX_DONE : AT_NEVER;
		for (unsigned i = 0; i < 5; i++)
			chan_post(&b, 100, 1);
		settle();
		assert_int_equal(b.closed, how < 2);
		chan_close(&b);
		assert_int_equal(nb.pool_used, 0);
		nodes_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(violations),
		cmocka_unit_test(nothing_behind_a_violation),
		cmocka_unit_test(bad_from_the_start),
		cmocka_unit_test(violation_while_sending),
		cmocka_unit_test(every_empty_read_is_answered),
		cmocka_unit_test(reads_behind_a_disconnect),
		cmocka_unit_test(a_flood_of_reads),
		cmocka_unit_test(answers_among_messages),
		cmocka_unit_test(terminate_is_the_end),
		cmocka_unit_test(no_place_for_a_message),
		cmocka_unit_test(memory_that_cannot_be_used),
		cmocka_unit_test(half_a_message),
		cmocka_unit_test(closed_from_within),
		cmocka_unit_test(violation_in_the_stash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
