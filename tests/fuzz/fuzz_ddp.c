/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_ddp.c - arbitrary FPDUs, one behind the other, and the framing of arbitrary messages.
 *
 * Input: 32 octets describe a message and a place in it, the rest is a stream.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/iwarp/ddp.h"
#include "fabric/iwarp/rdmap.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A header that was parsed and is built again is what came, reserved bits aside. */
static void check_header(const uint8_t *p, const struct ddp_hdr *h)
{
	uint8_t want[DDP_HDR_MAX], got[DDP_HDR_MAX];
	unsigned len;

	memcpy(want, p, h->hdr_len);
	want[2] &= (uint8_t)~0x3c;
	want[3] &= (uint8_t)~0x30;
	if (h->tagged)
		len = ddp_put_tagged(got, h->opcode, h->last, h->stag, h->to, h->payload_len);
	else
		len = ddp_put_untagged(got, h->opcode, h->last, h->stag, h->msn, h->mo,
				       h->payload_len);
	CHECK(len == h->hdr_len);
	CHECK(memcmp(got, want, len) == 0);
	CHECK(h->hdr_len + h->payload_len + h->trailer_len == mpa_fpdu_len(h->ulpdu_len));
	CHECK((h->hdr_len + h->payload_len + h->trailer_len) % 4 == 0);
	CHECK(ddp_ops[h->opcode].name && h->qn < DDP_QNS);
}

/* Fewer octets: the same verdict, or none yet. */
static void check_prefixes(const uint8_t *p, size_t avail, int verdict)
{
	struct ddp_hdr h;
	size_t len;
	int ret;

	for (len = 0; len < avail && len < DDP_HDR_MAX; len++) {
		ret = ddp_parse(p, len, &h);
		if (ret > 0)
			CHECK((size_t)ret > len && ret <= DDP_HDR_MAX);
		else
			CHECK(ret == verdict);
	}
}

static void check_terminate(const uint8_t *body, size_t len, const uint8_t *bad, size_t bad_len)
{
	uint8_t out[RDMAP_TERM_FPDU_MAX];
	struct rdmap_terminate t, again;
	struct ddp_hdr h;
	unsigned out_len;

	rdmap_term_parse(body, len, &t);
	CHECK(rdmap_term_name(t.term));
	CHECK(t.valid == (len >= 2));
	out_len = rdmap_term_build(out, t.term, true, bad, bad_len);
	CHECK(out_len <= sizeof(out));
	CHECK(ddp_parse(out, out_len, &h) == 0);
	CHECK(h.opcode == RDMAP_TERMINATE && h.last && h.msn == 1 && h.mo == 0);
	CHECK(h.hdr_len + h.payload_len + h.trailer_len == out_len);
	CHECK(mpa_trailer_ok(out + out_len - h.trailer_len, h.ulpdu_len,
			     mpa_crc_add(MPA_CRC_START, out, h.hdr_len + h.payload_len)));
	rdmap_term_parse(out + h.hdr_len, h.payload_len, &again);
	/* Without M, D, R a code of neither layout's list may be taken for siw's, never else. */
	CHECK(again.term == t.term || (again.swapped && !again.hdrct));
	if (again.hdrct)
		CHECK(memcmp(out + h.hdr_len + 4, bad, h.payload_len - 4) == 0);
}

static void check_body(const uint8_t *body, const struct ddp_hdr *h)
{
	uint8_t want[RDMAP_BODY_MAX], got[RDMAP_BODY_MAX];
	struct rdmap_atomic atomic;
	struct rdmap_read read;
	unsigned len = 0;
	uint64_t value;
	uint32_t id;

	memcpy(want, body, h->payload_len);
	switch (h->opcode) {
	case RDMAP_READ_REQUEST:
		rdmap_read_get(body, &read);
		len = rdmap_read_put(got, &read);
		break;
	case RDMAP_ATOMIC_REQUEST:
		rdmap_atomic_get(body, &atomic);
		len = rdmap_atomic_put(got, &atomic);
		memset(want, 0, 3);
		want[3] &= 0x0f;
		break;
	case RDMAP_ATOMIC_RESPONSE:
		rdmap_atomic_resp_get(body, &id, &value);
		len = rdmap_atomic_resp_put(got, id, value);
		break;
	default:
		len = rdmap_immediate_put(got, rdmap_immediate_get(body));
	}
	CHECK(len == h->payload_len);
	CHECK(memcmp(want, got, len) == 0);
}

/* Octets of the FPDU at @p, 0 when there is no whole one. */
static size_t one_fpdu(const uint8_t *p, size_t avail)
{
	struct ddp_hdr h;
	int ret = ddp_parse(p, avail, &h);
	size_t len;

	CHECK(ret > -DDP_ERRORS && ret <= DDP_HDR_MAX);
	CHECK(ret <= 0 || (size_t)ret > avail);
	check_prefixes(p, avail, ret);
	check_terminate(p, avail, p, avail);
	if (ret)
		return 0;
	check_header(p, &h);
	len = mpa_fpdu_len(h.ulpdu_len);
	if (avail < len)
		return 0;
	if (ddp_ops[h.opcode].body)
		check_body(p + h.hdr_len, &h);
	mpa_trailer_ok(p + len - h.trailer_len, h.ulpdu_len,
		       mpa_crc_add(MPA_CRC_START, p, len - h.trailer_len));
	return len;
}

static uint64_t u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The position of wire octet @skip, computed once more from the position itself. */
static void check_place(const struct ddp_msg *m, uint64_t skip, const struct ddp_pos *pos)
{
	uint64_t before = pos->offset / m->seg;
	struct ddp_pos next = *pos;
	uint8_t wire[DDP_HDR_MAX];
	struct ddp_hdr h;

	CHECK(pos->offset % m->seg == 0);
	CHECK(before * (m->hdr_len + m->seg + MPA_CRC_SIZE) + pos->skip == skip);
	CHECK(pos->skip < ddp_pos_size(m, pos));
	CHECK((uint64_t)pos->offset + pos->len <= m->len);
	CHECK(pos->last == (pos->offset + pos->len == m->len));
	CHECK(ddp_msg_header(m, pos, wire) == m->hdr_len);
	if (ddp_parse(wire, sizeof(wire), &h) == 0) {
		CHECK(h.payload_len == pos->len && h.last == pos->last);
		CHECK(h.tagged ? h.to == m->to + pos->offset : h.mo == pos->offset);
		CHECK(mpa_fpdu_len(h.ulpdu_len) == ddp_pos_size(m, pos));
	} else {
		/* Only what was asked for can be at fault: a region that wraps. */
		CHECK(h.tagged && m->to > UINT64_MAX - m->len);
	}
	if (ddp_msg_next(m, &next))
		CHECK(next.offset == pos->offset + pos->len && !next.skip);
	else
		CHECK(pos->last);
}

static void framing(const uint8_t *p)
{
	uint16_t mulpdu = (uint16_t)(u64(p) | MPA_MULPDU_MIN);
	uint32_t len = (uint32_t)u64(p + 4) >> (p[2] & 31);
	uint64_t skip = u64(p + 8), size, seen = 0, steps = 0;
	struct ddp_msg m;
	struct ddp_pos pos;

	if (p[3] & 1)
		ddp_msg_tagged(&m, RDMAP_WRITE, 1, u64(p + 16), len, mulpdu);
	else
		ddp_msg_untagged(&m, RDMAP_SEND, 1, len, mulpdu);
	size = ddp_msg_size(&m);
	CHECK(size >= len && m.seg % 4 == 0 && m.seg);
	CHECK(!ddp_msg_locate(&m, size, &pos));
	if (p[3] & 2)
		skip %= size;
	CHECK(ddp_msg_locate(&m, skip, &pos) == (skip < size));
	if (skip < size)
		check_place(&m, skip, &pos);
	if (ddp_msg_fpdus(&m) > 1000)
		return;
	ddp_msg_first(&m, &pos);
	do {
		seen += ddp_pos_size(&m, &pos);
		steps++;
	} while (ddp_msg_next(&m, &pos));
	CHECK(seen == size && steps == ddp_msg_fpdus(&m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len, at = 32;

	if (size < at)
		return 0;
	framing(data);
	do {
		len = one_fpdu(data + at, size - at);
		at += len;
	} while (len);
	return 0;
}
