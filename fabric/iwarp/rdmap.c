/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rdmap.c - reads and writes the bodies of RDMAP's own messages. */
#include "fabric/iwarp/rdmap.h"

#include <string.h>

unsigned rdmap_read_put(uint8_t *body, const struct rdmap_read *read)
{
	struct rdmap_read_req *wire = (void *)body;

	wire->sink_stag = be32_make(read->sink_stag);
	wire->sink_to = be64_make(read->sink_to);
	wire->len = be32_make(read->len);
	wire->src_stag = be32_make(read->src_stag);
	wire->src_to = be64_make(read->src_to);
	return sizeof(*wire);
}

void rdmap_read_get(const uint8_t *body, struct rdmap_read *read)
{
	const struct rdmap_read_req *wire = (const void *)body;

	read->sink_stag = be32_get(wire->sink_stag);
	read->sink_to = be64_get(wire->sink_to);
	read->len = be32_get(wire->len);
	read->src_stag = be32_get(wire->src_stag);
	read->src_to = be64_get(wire->src_to);
}

unsigned rdmap_atomic_put(uint8_t *body, const struct rdmap_atomic *atomic)
{
	struct rdmap_atomic_req *wire = (void *)body;

	wire->op = be32_make(atomic->op & RDMAP_ATOMIC_OP_MASK);
	wire->id = be32_make(atomic->id);
	wire->stag = be32_make(atomic->stag);
	wire->to = be64_make(atomic->to);
	wire->data = be64_make(atomic->data);
	wire->data_mask = be64_make(atomic->data_mask);
	wire->cmp = be64_make(atomic->cmp);
	wire->cmp_mask = be64_make(atomic->cmp_mask);
	return sizeof(*wire);
}

void rdmap_atomic_get(const uint8_t *body, struct rdmap_atomic *atomic)
{
	const struct rdmap_atomic_req *wire = (const void *)body;

	atomic->op = be32_get(wire->op) & RDMAP_ATOMIC_OP_MASK;
	atomic->id = be32_get(wire->id);
	atomic->stag = be32_get(wire->stag);
	atomic->to = be64_get(wire->to);
	atomic->data = be64_get(wire->data);
	atomic->data_mask = be64_get(wire->data_mask);
	atomic->cmp = be64_get(wire->cmp);
	atomic->cmp_mask = be64_get(wire->cmp_mask);
}

unsigned rdmap_atomic_resp_put(uint8_t *body, uint32_t id, uint64_t value)
{
	struct rdmap_atomic_resp *wire = (void *)body;

	wire->id = be32_make(id);
	wire->value = be64_make(value);
	return sizeof(*wire);
}

void rdmap_atomic_resp_get(const uint8_t *body, uint32_t *id, uint64_t *value)
{
	const struct rdmap_atomic_resp *wire = (const void *)body;

	*id = be32_get(wire->id);
	*value = be64_get(wire->value);
}

unsigned rdmap_immediate_put(uint8_t *body, uint64_t data)
{
	struct rdmap_immediate *wire = (void *)body;

	wire->data = be64_make(data);
	return sizeof(*wire);
}

uint64_t rdmap_immediate_get(const uint8_t *body)
{
	const struct rdmap_immediate *wire = (const void *)body;

	return be64_get(wire->data);
}

/* ----------------------------------------------------------------------- Terminate */

static const struct {
	uint16_t term;
	const char *name;
} term_names[] = {
	{ TERM_RDMAP_LOCAL, "RDMAP: local catastrophic error" },
	{ TERM_RDMAP_STAG, "RDMAP: invalid STag" },
	{ TERM_RDMAP_BOUNDS, "RDMAP: base or bounds violation" },
	{ TERM_RDMAP_ACCESS, "RDMAP: access rights violation" },
	{ TERM_RDMAP_NOT_ASSOC, "RDMAP: STag not associated with the stream" },
	{ TERM_RDMAP_TO_WRAP, "RDMAP: tagged offset wrap" },
	{ TERM_RDMAP_PROT_NO_INV, "RDMAP: STag cannot be invalidated (protection)" },
	{ TERM_RDMAP_PROTECTION, "RDMAP: remote protection error" },
	{ TERM_RDMAP_VERSION, "RDMAP: invalid version" },
	{ TERM_RDMAP_OPCODE, "RDMAP: unexpected opcode" },
	{ TERM_RDMAP_STREAM, "RDMAP: catastrophic error of the stream" },
	{ TERM_RDMAP_GLOBAL, "RDMAP: catastrophic error, global" },
	{ TERM_RDMAP_OP_NO_INV, "RDMAP: STag cannot be invalidated" },
	{ TERM_RDMAP_OPERATION, "RDMAP: remote operation error" },
	{ TERM_DDP_LOCAL, "DDP: local catastrophic error" },
	{ TERM_DDP_STAG, "DDP: invalid STag" },
	{ TERM_DDP_BOUNDS, "DDP: base or bounds violation" },
	{ TERM_DDP_NOT_ASSOC, "DDP: STag not associated with the stream" },
	{ TERM_DDP_TO_WRAP, "DDP: tagged offset wrap" },
	{ TERM_DDP_TAGGED_VERSION, "DDP: invalid version (tagged)" },
	{ TERM_DDP_QN, "DDP: invalid queue number" },
	{ TERM_DDP_NO_BUFFER, "DDP: no buffer available" },
	{ TERM_DDP_MSN, "DDP: invalid message sequence number" },
	{ TERM_DDP_MO, "DDP: invalid message offset" },
	{ TERM_DDP_TOO_LONG, "DDP: message too long for its buffer" },
	{ TERM_DDP_UNTAGGED_VERSION, "DDP: invalid version (untagged)" },
	{ TERM_MPA_CLOSED, "MPA: stream closed or lost" },
	{ TERM_MPA_CRC, "MPA: CRC error" },
	{ TERM_MPA_LENGTH, "MPA: marker and ULPDU length mismatch" },
	{ TERM_MPA_FRAME, "MPA: invalid request or reply" },
	{ TERM_MPA_LOCAL, "MPA: local catastrophic error" },
	{ TERM_MPA_IRD, "MPA: insufficient IRD" },
	{ TERM_MPA_RTR, "MPA: no matching RTR" },
};

/* NULL: not in the list. */
static const char *term_lookup(uint16_t term)
{
	size_t i;

	for (i = 0; i < sizeof(term_names) / sizeof(term_names[0]); i++)
		if (term_names[i].term == term)
			return term_names[i].name;
	return NULL;
}

const char *rdmap_term_name(uint16_t term)
{
	const char *name = term_lookup(term);

	return name ? name : "unknown Terminate code";
}

static uint8_t swap_halves(uint8_t octet)
{
	return (uint8_t)(octet << 4 | octet >> 4);
}

/*
 * M, D, R are at one end of their octet or at the other; siw sets at least M and D, unless there is
 * no header to report. Then the code decides: one that exists only with its halves swapped.
 */
static bool term_is_swapped(const struct rdmap_term_body *wire)
{
	const uint8_t here = TERM_HDR_M | TERM_HDR_D | TERM_HDR_R, there = here >> 5;

	if (wire->hdrct)
		return !(wire->hdrct & here) && (wire->hdrct & there);
	return !term_lookup((uint16_t)(wire->kind << 8 | wire->code)) &&
	       term_lookup((uint16_t)(swap_halves(wire->kind) << 8 | wire->code));
}

static uint8_t hdrct_of_swapped(uint8_t hdrct)
{
	return (uint8_t)((hdrct & 1 ? TERM_HDR_M : 0) | (hdrct & 2 ? TERM_HDR_D : 0) |
			 (hdrct & 4 ? TERM_HDR_R : 0));
}

void rdmap_term_parse(const uint8_t *body, size_t len, struct rdmap_terminate *t)
{
	struct rdmap_term_body wire = { 0 };

	memset(t, 0, sizeof(*t));
	memcpy(&wire, body, len < sizeof(wire) ? len : sizeof(wire));
	memcpy(t->raw, &wire, sizeof(wire));
	t->valid = len >= offsetof(struct rdmap_term_body, hdrct);
	t->swapped = term_is_swapped(&wire);
	if (t->swapped) {
		wire.kind = swap_halves(wire.kind);
		wire.hdrct = hdrct_of_swapped(wire.hdrct);
	}
	t->term = (uint16_t)(wire.kind << 8 | wire.code);
	t->hdrct = wire.hdrct & (TERM_HDR_M | TERM_HDR_D | TERM_HDR_R);
}

/* RFC 5040 4.8: which parts of the segment at fault go with which error. */
static uint8_t term_hdrct(uint16_t term)
{
	switch (term) {
	case TERM_RDMAP_LOCAL:
	case TERM_RDMAP_VERSION:
	case TERM_RDMAP_OPCODE:
	case TERM_DDP_LOCAL:
	case TERM_DDP_TAGGED_VERSION:
	case TERM_DDP_UNTAGGED_VERSION:
		return 0;
	}
	switch (term & 0xff00) {
	case 0x0100:
		return TERM_HDR_M | TERM_HDR_D | TERM_HDR_R;
	case 0x0200:
	case 0x1100:
	case 0x1200:
		return TERM_HDR_M | TERM_HDR_D;
	default:
		return 0;
	}
}

/* Length field, DDP header and body of the bad segment, as far as they are wanted and there. */
static unsigned put_bad(uint8_t *out, uint8_t *hdrct, const uint8_t *bad, size_t bad_len)
{
	const struct ddp_ctrl *ctrl = (const void *)bad;
	size_t len, body = sizeof(struct rdmap_read_req);

	if (!bad || bad_len < sizeof(*ctrl))
		*hdrct = 0;
	if (!*hdrct)
		return 0;
	len = ctrl->ddp & DDP_TAGGED ? sizeof(struct ddp_tagged) : sizeof(struct ddp_untagged);
	if ((ctrl->rdmap & RDMAP_OPCODE_MASK) != RDMAP_READ_REQUEST || bad_len < len + body)
		*hdrct &= (uint8_t)~TERM_HDR_R;
	if (*hdrct & TERM_HDR_R)
		len += body;
	if (bad_len < len) {
		*hdrct = 0;
		return 0;
	}
	memcpy(out, bad, len);
	return (unsigned)len;
}

unsigned rdmap_term_build(uint8_t out[RDMAP_TERM_FPDU_MAX], uint16_t term, bool crc_on,
			  const uint8_t *bad, size_t bad_len)
{
	const unsigned hdr_len = sizeof(struct ddp_untagged);
	struct rdmap_term_body wire = {
		.kind = (uint8_t)(term >> 8),
		.code = (uint8_t)term,
		.hdrct = term_hdrct(term),
	};
	unsigned len = sizeof(wire);
	uint32_t crc;

	len += put_bad(out + hdr_len + len, &wire.hdrct, bad, bad_len);
	memcpy(out + hdr_len, &wire, sizeof(wire));
	ddp_put_untagged(out, RDMAP_TERMINATE, true, 0, 1, 0, len);
	len += hdr_len;
	crc = crc_on ? mpa_crc_add(MPA_CRC_START, out, len) : 0;
	return len + mpa_trailer_put(out + len, len - MPA_LEN_SIZE, crc_on, crc);
}
