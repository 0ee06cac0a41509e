/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_ddp.c - FPDU headers, the bodies of RDMAP's own messages, and the framing arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fabric/iwarp/ddp.h"
#include "fabric/iwarp/rdmap.h"
#include "tests/unit/guard_page.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

/* Headers written by hand from RFC 5041 4 and RFC 5040 4. */
static const struct {
	const uint8_t *wire;
	size_t len;
	struct ddp_hdr hdr;
} headers[] = {
	/* Send, last, 5 octets, MSN 1 */
	{ BYTES("\x00\x17\x41\x43\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"),
	  { .opcode = RDMAP_SEND,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 7,
	    .ulpdu_len = 23,
	    .payload_len = 5,
	    .msn = 1 } },
	/* Send with SE and Invalidate, more to come, 1,424 octets, MSN 0xfffffffe, MO 2,848 */
	{ BYTES("\x05\xa2\x01\x46\x89\xab\xcd\xef\x00\x00\x00\x00\xff\xff\xff\xfe\x00\x00\x0b\x20"),
	  { .opcode = RDMAP_SEND_SE_INV,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 1442,
	    .payload_len = 1424,
	    .stag = 0x89abcdef,
	    .msn = 0xfffffffe,
	    .mo = 2848 } },
	/* Send with SE; Send with Invalidate: empty */
	{ BYTES("\x00\x12\x41\x45\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00"),
	  { .opcode = RDMAP_SEND_SE,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 18,
	    .msn = 2 } },
	{ BYTES("\x00\x12\x41\x44\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"),
	  { .opcode = RDMAP_SEND_INV,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 18,
	    .stag = 1,
	    .msn = 3 } },
	/* Write, empty: the usual RTR message */
	{ BYTES("\x00\x0e\xc1\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	  { .opcode = RDMAP_WRITE,
	    .tagged = true,
	    .last = true,
	    .hdr_len = 16,
	    .trailer_len = 4,
	    .ulpdu_len = 14 } },
	/* Read Response, more to come, the longest ULPDU */
	{ BYTES("\xff\xff\x81\x42\xde\xad\xbe\xef\x01\x23\x45\x67\x89\xab\xcd\xef"),
	  { .opcode = RDMAP_READ_RESPONSE,
	    .tagged = true,
	    .hdr_len = 16,
	    .trailer_len = 7,
	    .ulpdu_len = 65535,
	    .payload_len = 65521,
	    .stag = 0xdeadbeef,
	    .to = 0x0123456789abcdef } },
	/* Read Request, queue 1 */
	{ BYTES("\x00\x2e\x41\x41\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x00"),
	  { .opcode = RDMAP_READ_REQUEST,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 46,
	    .payload_len = 28,
	    .qn = 1,
	    .msn = 7 } },
	/* Terminate, queue 2 */
	{ BYTES("\x00\x16\x41\x47\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00"),
	  { .opcode = RDMAP_TERMINATE,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 22,
	    .payload_len = 4,
	    .qn = 2,
	    .msn = 1 } },
	/* RFC 7306: immediate data on queue 0; atomics on queues 1 and 3 */
	{ BYTES("\x00\x1a\x41\x48\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00"),
	  { .opcode = RDMAP_IMMEDIATE,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 26,
	    .payload_len = 8,
	    .msn = 9 } },
	{ BYTES("\x00\x46\x41\x4a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00"),
	  { .opcode = RDMAP_ATOMIC_REQUEST,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 70,
	    .payload_len = 52,
	    .qn = 1,
	    .msn = 2 } },
	{ BYTES("\x00\x1e\x41\x4b\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x02\x00\x00\x00\x00"),
	  { .opcode = RDMAP_ATOMIC_RESPONSE,
	    .last = true,
	    .hdr_len = 20,
	    .trailer_len = 4,
	    .ulpdu_len = 30,
	    .payload_len = 12,
	    .qn = 3,
	    .msn = 2 } },
};

static void assert_hdr_equal(const struct ddp_hdr *got, const struct ddp_hdr *want)
{
	assert_int_equal(got->opcode, want->opcode);
	assert_int_equal(got->tagged, want->tagged);
	assert_int_equal(got->last, want->last);
	assert_int_equal(got->hdr_len, want->hdr_len);
	assert_int_equal(got->trailer_len, want->trailer_len);
	assert_int_equal(got->ulpdu_len, want->ulpdu_len);
	assert_int_equal(got->payload_len, want->payload_len);
	assert_int_equal(got->stag, want->stag);
	assert_int_equal(got->to, want->to);
	assert_int_equal(got->qn, want->qn);
	assert_int_equal(got->msn, want->msn);
	assert_int_equal(got->mo, want->mo);
}

static unsigned put_hdr(uint8_t *out, const struct ddp_hdr *h)
{
	if (h->tagged)
		return ddp_put_tagged(out, h->opcode, h->last, h->stag, h->to, h->payload_len);
	return ddp_put_untagged(out, h->opcode, h->last, h->stag, h->msn, h->mo, h->payload_len);
}

static void test_parse(void **state)
{
	struct ddp_hdr got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(headers); i++) {
		memset(&got, 0xff, sizeof(got));
		assert_int_equal(ddp_parse(guard_copy(headers[i].wire, headers[i].len),
					   headers[i].len, &got),
				 0);
		assert_hdr_equal(&got, &headers[i].hdr);
	}
}

static void test_put(void **state)
{
	uint8_t out[DDP_HDR_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(headers); i++) {
		assert_int_equal(put_hdr(out, &headers[i].hdr), headers[i].len);
		assert_memory_equal(out, headers[i].wire, headers[i].len);
	}
}

static void test_parse_truncated(void **state)
{
	struct ddp_hdr got;
	size_t i, len;

	(void)state;
	for (i = 0; i < COUNT(headers); i++)
		for (len = 0; len < headers[i].len; len++)
			assert_int_equal(ddp_parse(guard_copy(headers[i].wire, len), len, &got),
					 len < 4 ? 4 : headers[i].len);
}

/* Reserved bits are not looked at. */
static void test_parse_reserved(void **state)
{
	struct ddp_hdr got;
	uint8_t wire[DDP_HDR_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(headers); i++) {
		memcpy(wire, headers[i].wire, headers[i].len);
		wire[2] |= 0x3c;
		wire[3] |= 0x30;
		assert_int_equal(ddp_parse(wire, headers[i].len, &got), 0);
		assert_hdr_equal(&got, &headers[i].hdr);
	}
}

#define UNTAGGED(ctrl, qn, mo) ctrl "\0\0\0\0" qn "\0\0\0\1" mo
#define QN(n) "\0\0\0" n
#define MO0 "\0\0\0\0"

static void test_parse_errors(void **state)
{
	static const struct {
		const uint8_t *wire;
		size_t len;
		int err;
		uint16_t term;
	} cases[] = {
		/* known from four octets */
		{ BYTES("\x00\x17\x40\x43"), DDP_E_UNTAGGED_VERSION, 0x1206 },
		{ BYTES("\x00\x17\x42\x43"), DDP_E_UNTAGGED_VERSION, 0x1206 },
		{ BYTES("\x00\x17\xc3\x40"), DDP_E_TAGGED_VERSION, 0x1104 },
		{ BYTES("\x00\x17\x41\x03"), DDP_E_RDMAP_VERSION, 0x0205 },
		{ BYTES("\x00\x17\x41\x83"), DDP_E_RDMAP_VERSION, 0x0205 },
		{ BYTES("\x00\x17\x41\xc3"), DDP_E_RDMAP_VERSION, 0x0205 },
		{ BYTES("\x00\x17\x41\x4c"), DDP_E_OPCODE, 0x0206 },
		{ BYTES("\x00\x17\x41\x4f"), DDP_E_OPCODE, 0x0206 },
		{ BYTES("\x00\x17\xc1\x4c"), DDP_E_OPCODE, 0x0206 },
		{ BYTES("\x00\x17\xc1\x43"), DDP_E_OPCODE, 0x0206 }, /* tagged Send */
		{ BYTES("\x00\x17\x41\x40"), DDP_E_OPCODE, 0x0206 }, /* untagged Write */
		{ BYTES("\x00\x17\xc1\x41"), DDP_E_OPCODE, 0x0206 }, /* tagged Read Request */
		{ BYTES("\x00\x11\x41\x43"), DDP_E_LENGTH, 0x2003 },
		{ BYTES("\x00\x00\x41\x43"), DDP_E_LENGTH, 0x2003 },
		{ BYTES("\x00\x0d\xc1\x40"), DDP_E_LENGTH, 0x2003 },
		/* queues: none such, another message's */
		{ BYTES(UNTAGGED("\x00\x17\x41\x43", QN("\4"), MO0)), DDP_E_QN, 0x1201 },
		{ BYTES(UNTAGGED("\x00\x17\x41\x43", "\x80\0\0\0", MO0)), DDP_E_QN, 0x1201 },
		{ BYTES(UNTAGGED("\x00\x17\x41\x43", QN("\1"), MO0)), DDP_E_QN, 0x1201 },
		{ BYTES(UNTAGGED("\x00\x2e\x41\x41", QN("\0"), MO0)), DDP_E_QN, 0x1201 },
		{ BYTES(UNTAGGED("\x00\x1e\x41\x4b", QN("\1"), MO0)), DDP_E_QN, 0x1201 },
		/* bodies: short, long, with an offset, not the last */
		{ BYTES(UNTAGGED("\x00\x2d\x41\x41", QN("\1"), MO0)), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x2f\x41\x41", QN("\1"), MO0)), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x2e\x41\x41", QN("\1"), "\0\0\0\1")), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x2e\x01\x41", QN("\1"), MO0)), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x19\x41\x48", QN("\0"), MO0)), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x1b\x41\x49", QN("\0"), MO0)), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x45\x41\x4a", QN("\1"), MO0)), DDP_E_BODY, 0x02ff },
		{ BYTES(UNTAGGED("\x00\x1d\x41\x4b", QN("\3"), MO0)), DDP_E_BODY, 0x02ff },
		/* offsets: one octet fits, two do not */
		{ BYTES(UNTAGGED("\x00\x13\x41\x43", QN("\0"), "\xff\xff\xff\xfe")), 0, 0 },
		{ BYTES(UNTAGGED("\x00\x13\x41\x43", QN("\0"), "\xff\xff\xff\xff")), DDP_E_MO_WRAP,
		  0x1205 },
		{ BYTES(UNTAGGED("\x00\x14\x41\x43", QN("\0"), "\xff\xff\xff\xfe")), DDP_E_MO_WRAP,
		  0x1205 },
		{ BYTES("\x00\x0e\xc1\x40\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), 0, 0 },
		{ BYTES("\x00\x0f\xc1\x40\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), 0, 0 },
		{ BYTES("\x00\x10\xc1\x40\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), DDP_E_TO_WRAP,
		  0x1103 },
	};
	struct ddp_hdr got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		const uint8_t *wire = guard_copy(cases[i].wire, cases[i].len);

		assert_int_equal(ddp_parse(wire, cases[i].len, &got), -cases[i].err);
		if (cases[i].err)
			assert_int_equal(ddp_error_term(-cases[i].err), cases[i].term);
	}
}

/* Of the first four octets every combination of flags, versions and opcode. */
static void test_parse_all_ctrl(void **state)
{
	uint8_t wire[DDP_HDR_MAX] = { 0x00, 0x40 };
	struct ddp_hdr got;
	unsigned ctrl, op;
	bool tagged, good;
	int ret;

	(void)state;
	for (ctrl = 0; ctrl < 0x10000; ctrl++) {
		wire[2] = (uint8_t)(ctrl >> 8);
		wire[3] = (uint8_t)ctrl;
		op = ctrl & 0xf;
		tagged = op == 0 || op == 2;
		good = (ctrl & 0x03c0) == 0x0140 && op < 12 && tagged == (ctrl >> 15);
		ret = ddp_parse(wire, 4, &got);
		if (good)
			assert_int_equal(ret, tagged ? 16 : 20);
		else
			assert_true(ret < 0 && ret > -DDP_ERRORS);
	}
}

/* -------------------------------------------------------------------------- bodies */

static void test_read_request(void **state)
{
	static const char wire[] = "\x00\x00\x01\x02"
				   "\x00\x00\x7f\x00\x12\x34\x56\x78"
				   "\x00\x10\x00\x00"
				   "\xca\xfe\xba\xbe"
				   "\xff\x00\x00\x00\x00\x00\x00\x08";
	const struct rdmap_read want = {
		.sink_stag = 0x102,
		.sink_to = 0x00007f0012345678,
		.len = 1 << 20,
		.src_stag = 0xcafebabe,
		.src_to = 0xff00000000000008,
	};
	struct rdmap_read got = { 0 };
	uint8_t out[RDMAP_BODY_MAX];

	(void)state;
	assert_int_equal(rdmap_read_put(out, &want), 28);
	assert_int_equal(sizeof(wire) - 1, 28);
	assert_memory_equal(out, wire, 28);
	rdmap_read_get(guard_copy(wire, 28), &got);
	assert_int_equal(got.sink_stag, want.sink_stag);
	assert_int_equal(got.sink_to, want.sink_to);
	assert_int_equal(got.len, want.len);
	assert_int_equal(got.src_stag, want.src_stag);
	assert_int_equal(got.src_to, want.src_to);
}

static void test_atomics(void **state)
{
	static const char wire[] = "\x00\x00\x00\x02"
				   "\x00\x00\x00\x2a"
				   "\x11\x22\x33\x44"
				   "\x00\x00\x00\x00\x00\x00\x10\x00"
				   "\x01\x02\x03\x04\x05\x06\x07\x08"
				   "\xff\xff\xff\xff\xff\xff\xff\xff"
				   "\x11\x12\x13\x14\x15\x16\x17\x18"
				   "\x00\x00\x00\x00\xff\xff\xff\xff";
	static const char resp[] = "\x00\x00\x00\x2a"
				   "\x80\x00\x00\x00\x00\x00\x00\x01";
	struct rdmap_atomic got;
	uint8_t out[RDMAP_BODY_MAX], reserved[RDMAP_BODY_MAX];
	uint64_t value;
	uint32_t id;

	(void)state;
	rdmap_atomic_get(guard_copy(wire, 52), &got);
	assert_int_equal(got.op, RDMAP_CMP_SWAP);
	assert_int_equal(got.id, 42);
	assert_int_equal(got.stag, 0x11223344);
	assert_int_equal(got.to, 0x1000);
	assert_int_equal(got.data, 0x0102030405060708);
	assert_int_equal(got.data_mask, UINT64_MAX);
	assert_int_equal(got.cmp, 0x1112131415161718);
	assert_int_equal(got.cmp_mask, 0xffffffff);
	assert_int_equal(rdmap_atomic_put(out, &got), 52);
	assert_memory_equal(out, wire, 52);

	memcpy(reserved, wire, 52);
	memset(reserved, 0xff, 3);
	reserved[3] = 0xf0;
	rdmap_atomic_get(reserved, &got);
	assert_int_equal(got.op, RDMAP_FETCH_ADD);

	assert_int_equal(rdmap_atomic_resp_put(out, 42, 0x8000000000000001), 12);
	assert_memory_equal(out, resp, 12);
	rdmap_atomic_resp_get(guard_copy(resp, 12), &id, &value);
	assert_int_equal(id, 42);
	assert_int_equal(value, 0x8000000000000001);
}

static void test_immediate(void **state)
{
	uint8_t out[8];

	(void)state;
	assert_int_equal(rdmap_immediate_put(out, 0x0123456789abcdef), 8);
	assert_memory_equal(out, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	assert_int_equal(rdmap_immediate_get(guard_copy(out, 8)), 0x0123456789abcdef);
}

/* ----------------------------------------------------------------------- Terminate */

#define TERM_HDR(len) "\0" len "\x41\x47\0\0\0\0\0\0\0\2\0\0\0\1\0\0\0\0"
#define CRC_OFF "\0\0\0\0"

static void test_terminate_build(void **state)
{
	/* As they came: a Write of 2 octets; a Read Request, its body all 'r'. */
	static const char write[] = "\x00\x10\xc1\x40\x11\x22\x33\x44\x00\x00\x00\x00\x00\x00\x20"
				    "\x00..";
	static const char read[] = "\x00\x2e\x41\x41\0\0\0\0\0\0\0\1\0\0\0\7\0\0\0\0"
				   "rrrrrrrrrrrrrrrrrrrrrrrrrrrr";
	static const struct {
		uint16_t term;
		const uint8_t *bad;
		size_t bad_len;
		const uint8_t *wire;
		size_t len;
	} cases[] = {
		/* no segment: a CRC error has none that can be trusted */
		{ TERM_MPA_CRC, BYTES(write), BYTES(TERM_HDR("\x16") "\x20\x02\x00\x00" CRC_OFF) },
		{ TERM_DDP_STAG, NULL, 0, BYTES(TERM_HDR("\x16") "\x11\x00\x00\x00" CRC_OFF) },
		{ TERM_RDMAP_OPCODE, BYTES(write),
		  BYTES(TERM_HDR("\x16") "\x02\x06\x00\x00" CRC_OFF) },
		/* M, D: length and DDP header */
		{ TERM_DDP_STAG, BYTES(write),
		  BYTES(TERM_HDR(
			  "\x26") "\x11\x00\xc0\x00"
				  "\x00\x10\xc1\x40\x11\x22\x33\x44\0\0\0\0\0\0\x20\0" CRC_OFF) },
		{ TERM_DDP_NO_BUFFER, BYTES(read),
		  BYTES(TERM_HDR(
			  "\x2a") "\x12\x02\xc0\x00"
				  "\x00\x2e\x41\x41\0\0\0\0\0\0\0\1\0\0\0\7\0\0\0\0" CRC_OFF) },
		/* M, D, R: body as well */
		{ TERM_RDMAP_BOUNDS, BYTES(read),
		  BYTES(TERM_HDR("\x46") "\x01\x01\xe0\x00"
					 "\x00\x2e\x41\x41\0\0\0\0\0\0\0\1\0\0\0\7\0\0\0\0"
					 "rrrrrrrrrrrrrrrrrrrrrrrrrrrr" CRC_OFF) },
		/* of the segment less is left than is wanted */
		{ TERM_RDMAP_BOUNDS, (const uint8_t *)read, 47,
		  BYTES(TERM_HDR(
			  "\x2a") "\x01\x01\xc0\x00"
				  "\x00\x2e\x41\x41\0\0\0\0\0\0\0\1\0\0\0\7\0\0\0\0" CRC_OFF) },
		{ TERM_RDMAP_BOUNDS, (const uint8_t *)read, 19,
		  BYTES(TERM_HDR("\x16") "\x01\x01\x00\x00" CRC_OFF) },
		{ TERM_RDMAP_BOUNDS, (const uint8_t *)read, 3,
		  BYTES(TERM_HDR("\x16") "\x01\x01\x00\x00" CRC_OFF) },
	};
	uint8_t out[RDMAP_TERM_FPDU_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		const uint8_t *bad = cases[i].bad;

		if (bad)
			bad = guard_copy(bad, cases[i].bad_len);
		assert_int_equal(rdmap_term_build(out, cases[i].term, false, bad, cases[i].bad_len),
				 cases[i].len);
		assert_memory_equal(out, cases[i].wire, cases[i].len);
	}
}

static void test_terminate_round_trip(void **state)
{
	uint8_t out[RDMAP_TERM_FPDU_MAX];
	struct rdmap_terminate t;
	struct ddp_hdr h;
	unsigned len;
	int err;

	(void)state;
	for (err = 1; err < DDP_ERRORS; err++) {
		len = rdmap_term_build(out, ddp_error_term(err), true, headers[6].wire, 20);
		assert_int_equal(ddp_parse(out, len, &h), 0);
		assert_int_equal(h.opcode, RDMAP_TERMINATE);
		assert_int_equal(h.hdr_len + h.payload_len + h.trailer_len, len);
		assert_true(
			mpa_trailer_ok(out + len - h.trailer_len, h.ulpdu_len,
				       mpa_crc_add(MPA_CRC_START, out, h.hdr_len + h.payload_len)));
		rdmap_term_parse(guard_copy(out + h.hdr_len, h.payload_len), h.payload_len, &t);
		assert_true(t.valid);
		assert_false(t.swapped);
		assert_int_equal(t.term, ddp_error_term(err));
		assert_string_not_equal(rdmap_term_name(t.term), "unknown Terminate code");
	}
}

static void test_terminate_parse(void **state)
{
	static const struct {
		const uint8_t *wire;
		size_t len;
		bool valid, swapped;
		uint16_t term;
		uint8_t hdrct;
	} cases[] = {
		{ BYTES("\x11\x00\xc0\x00????"), true, false, TERM_DDP_STAG, 0xc0 },
		{ BYTES("\x01\x01\xe0\x00"), true, false, TERM_RDMAP_BOUNDS, 0xe0 },
		{ BYTES("\x20\x02\x00\x00"), true, false, TERM_MPA_CRC, 0 },
		/* siw, little-endian: layer low, type high; M, D, R from bit 0 */
		{ BYTES("\x11\x00\x03\x00"), true, true, TERM_DDP_STAG, 0xc0 },
		{ BYTES("\x21\x02\x03\x00"), true, true, TERM_DDP_NO_BUFFER, 0xc0 },
		{ BYTES("\x10\x01\x07\x00"), true, true, TERM_RDMAP_BOUNDS, 0xe0 },
		{ BYTES("\x02\x02\x00\x00"), true, true, TERM_MPA_CRC, 0 },
		/* both ends of the octet, or neither: the RFC's */
		{ BYTES("\x11\x00\xc3\x00"), true, false, TERM_DDP_STAG, 0xc0 },
		{ BYTES("\x12\x02\x20\x00"), true, false, TERM_DDP_NO_BUFFER, 0x20 },
		{ BYTES("\x12\x02\x10\x00"), true, false, TERM_DDP_NO_BUFFER, 0 },
		/* as good as it gets: siw's "no RTR" has another meaning in the RFC's layout */
		{ BYTES("\x02\x07\x00\x00"), true, false, TERM_RDMAP_STREAM, 0 },
		/* nothing known in either layout: as the RFC has it */
		{ BYTES("\xee\x77\x00\x00"), true, false, 0xee77, 0 },
		/* too little, or just enough */
		{ BYTES(""), false, false, 0, 0 },
		{ BYTES("\x11"), false, false, 0x1100, 0 },
		{ BYTES("\x12\x05"), true, false, TERM_DDP_TOO_LONG, 0 },
	};
	struct rdmap_terminate t;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		rdmap_term_parse(guard_copy(cases[i].wire, cases[i].len), cases[i].len, &t);
		assert_int_equal(t.valid, cases[i].valid);
		assert_int_equal(t.swapped, cases[i].swapped);
		assert_int_equal(t.term, cases[i].term);
		assert_int_equal(t.hdrct, cases[i].hdrct);
		assert_memory_equal(t.raw, cases[i].wire, cases[i].len < 4 ? cases[i].len : 4);
	}
}

/* ------------------------------------------------------------------------- framing */

static uint8_t payload_at(uint32_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 8));
}

/* The message on the wire, octet by octet, without ddp_msg_*: what the framing must come to. */
static size_t image_build(uint8_t *out, const struct ddp_msg *m, uint32_t mulpdu, bool crc_on)
{
	bool tagged = ddp_ops[m->opcode].tagged;
	uint32_t room = (mulpdu - (tagged ? 14 : 18)) & ~3u, offset = 0, len, i;
	uint8_t *at = out, *start;
	bool last;

	do {
		len = m->len - offset < room ? m->len - offset : room;
		last = offset + len == m->len;
		start = at;
		at += tagged ? ddp_put_tagged(at, m->opcode, last, m->stag, m->to + offset, len)
			     : ddp_put_untagged(at, m->opcode, last, m->stag, m->msn, offset, len);
		for (i = 0; i < len; i++)
			*at++ = payload_at(offset + i);
		at += mpa_trailer_put(at, (uint32_t)(at - start) - 2, crc_on,
				      mpa_crc_add(MPA_CRC_START, start, (size_t)(at - start)));
		offset += len;
	} while (!last);
	return (size_t)(at - out);
}

/* What is left to write behind @skip octets, from the message alone. */
static size_t rest_build(uint8_t *out, const struct ddp_msg *m, uint64_t skip, bool crc_on)
{
	uint8_t fpdu[DDP_HDR_MAX + 65536 + MPA_TRAILER_MAX];
	struct ddp_pos pos;
	uint8_t *to = out;
	unsigned len;
	uint32_t i;

	if (!ddp_msg_locate(m, skip, &pos))
		return 0;
	do {
		len = ddp_msg_header(m, &pos, fpdu);
		assert_int_equal(len, m->hdr_len);
		for (i = 0; i < pos.len; i++)
			fpdu[len++] = payload_at(pos.offset + i);
		len += mpa_trailer_put(fpdu + len, len - 2, crc_on,
				       mpa_crc_add(MPA_CRC_START, fpdu, len));
		assert_int_equal(len, ddp_pos_size(m, &pos));
		assert_true(pos.skip < len);
		memcpy(to, fpdu + pos.skip, len - pos.skip);
		to += len - pos.skip;
	} while (ddp_msg_next(m, &pos));
	return (size_t)(to - out);
}

static void msg_init(struct ddp_msg *m, bool tagged, uint32_t len, uint16_t mulpdu)
{
	if (tagged)
		ddp_msg_tagged(m, RDMAP_WRITE, 0xabcd, 0x7f0000001001, len, mulpdu);
	else
		ddp_msg_untagged(m, RDMAP_SEND, 77, len, mulpdu);
}

/* From every octet of the wire image the rest comes out the same. */
static void check_framing(bool tagged, uint32_t len, uint16_t mulpdu, bool crc_on)
{
	static uint8_t image[1 << 18], rest[1 << 18];
	struct ddp_msg m;
	struct ddp_pos pos;
	size_t size, skip, step;

	msg_init(&m, tagged, len, mulpdu);
	size = image_build(image, &m, mulpdu, crc_on);
	assert_int_equal(ddp_msg_size(&m), size);
	step = size > 4096 ? 97 : 1;
	for (skip = 0; skip < size; skip += step) {
		assert_int_equal(rest_build(rest, &m, skip, crc_on), size - skip);
		assert_memory_equal(rest, image + skip, size - skip);
	}
	assert_false(ddp_msg_locate(&m, size, &pos));
	assert_false(ddp_msg_locate(&m, UINT64_MAX, &pos));
	ddp_msg_first(&m, &pos);
	assert_int_equal(pos.offset + pos.skip, 0);
	assert_int_equal(ddp_msg_fpdus(&m) == 1, pos.last);
}

static void test_framing(void **state)
{
	static const uint16_t mulpdus[] = { 128, 129, 130, 131, 1442 };
	uint32_t len;
	size_t i;
	int tagged;

	(void)state;
	for (i = 0; i < COUNT(mulpdus); i++)
		for (tagged = 0; tagged < 2; tagged++)
			for (len = 0; len < 350; len += len < 8 ? 1 : 5)
				check_framing(tagged, len, mulpdus[i], len & 1);
	for (tagged = 0; tagged < 2; tagged++) {
		check_framing(tagged, 1424, 1442, true);
		check_framing(tagged, 1425, 1442, true);
		check_framing(tagged, 2848, 1442, true);
		check_framing(tagged, 64768 - 18 - 2, MPA_MULPDU_MAX, true);
		check_framing(tagged, 65536, MPA_MULPDU_MAX, true);
		check_framing(tagged, 200001, MPA_MULPDU_MAX, false);
	}
}

/* What is transmitted is what a receiver takes: payload in place, nothing between the FPDUs. */
static void test_framing_parses(void **state)
{
	static uint8_t image[1 << 16];
	struct ddp_msg m;
	struct ddp_hdr h;
	size_t size, at = 0;
	uint32_t offset = 0, fpdus = 0, i;

	(void)state;
	msg_init(&m, true, 10007, 1442);
	size = rest_build(image, &m, 0, true);
	while (at < size) {
		assert_int_equal(ddp_parse(image + at, size - at, &h), 0);
		assert_true(h.ulpdu_len <= 1442);
		assert_int_equal(h.opcode, RDMAP_WRITE);
		assert_int_equal(h.to, m.to + offset);
		for (i = 0; i < h.payload_len; i++)
			assert_int_equal(image[at + h.hdr_len + i], payload_at(offset + i));
		offset += h.payload_len;
		at += h.hdr_len + h.payload_len + h.trailer_len;
		assert_int_equal(h.last, at == size);
		fpdus++;
	}
	assert_int_equal(at, size);
	assert_int_equal(offset, 10007);
	assert_int_equal(fpdus, ddp_msg_fpdus(&m));
}

/* The longest message: 2^32 - 1 octets; every FPDU of it at the smallest MULPDU. */
static void test_framing_longest(void **state)
{
	static const uint16_t mulpdus[] = { 128, MPA_MULPDU_MAX, 65535 };
	struct ddp_msg m;
	struct ddp_pos pos, found;
	uint64_t at, fpdus;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(mulpdus); i++) {
		msg_init(&m, false, UINT32_MAX, mulpdus[i]);
		assert_int_equal(m.seg % 4, 0);
		at = fpdus = 0;
		assert_true(ddp_msg_locate(&m, 0, &pos));
		do {
			/* Looking up every one of 39 million would only take time. */
			if (fpdus % 4099 == 0) {
				assert_true(ddp_msg_locate(&m, at + 5, &found));
				assert_int_equal(found.offset, pos.offset);
				assert_int_equal(found.len, pos.len);
				assert_int_equal(found.last, pos.last);
				assert_int_equal(found.skip, 5);
			}
			at += ddp_pos_size(&m, &pos);
			fpdus++;
		} while (ddp_msg_next(&m, &pos));
		assert_int_equal(at, ddp_msg_size(&m));
		assert_int_equal(fpdus, ddp_msg_fpdus(&m));
		assert_int_equal((uint64_t)pos.offset + pos.len, UINT32_MAX);
		assert_true(ddp_msg_locate(&m, at - 1, &found));
		assert_int_equal(found.offset, pos.offset);
		assert_int_equal(found.skip, ddp_pos_size(&m, &pos) - 1);
	}
}

static void test_names(void **state)
{
	int err, op;

	(void)state;
	for (err = 0; err < DDP_ERRORS; err++) {
		assert_non_null(ddp_strerror(err));
		assert_string_equal(ddp_strerror(err), ddp_strerror(-err));
		assert_int_equal(ddp_error_term(err), ddp_error_term(-err));
	}
	assert_string_equal(ddp_strerror(-DDP_E_OPCODE), "unexpected opcode");
	assert_string_equal(ddp_strerror(-DDP_ERRORS), "unknown DDP error");
	assert_string_equal(ddp_strerror(INT32_MIN), "unknown DDP error");
	assert_string_equal(ddp_strerror(INT32_MAX), "unknown DDP error");
	assert_int_equal(ddp_error_term(INT32_MIN), TERM_RDMAP_LOCAL);
	assert_string_equal(rdmap_term_name(TERM_MPA_RTR), "MPA: no matching RTR");
	assert_string_equal(rdmap_term_name(0xffff), "unknown Terminate code");
	for (op = 0; op < 16; op++) {
		assert_int_equal(ddp_ops[op].name != NULL, op < RDMAP_OPCODES);
		assert_int_equal(ddp_ops[op].rfc7306, op >= 8 && op < RDMAP_OPCODES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_parse_truncated),
		cmocka_unit_test(test_parse_reserved),
		cmocka_unit_test(test_parse_errors),
		cmocka_unit_test(test_parse_all_ctrl),
		cmocka_unit_test(test_read_request),
		cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_immediate),
		cmocka_unit_test(test_terminate_build),
		cmocka_unit_test(test_terminate_round_trip),
		cmocka_unit_test(test_terminate_parse),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_framing_parses),
		cmocka_unit_test(test_framing_longest),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
