/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ddp.c - opcodes, protocol errors, and the arithmetic of a message's FPDUs. */
#include "fabric/iwarp/ddp.h"

const struct ddp_op ddp_ops[RDMAP_OPCODE_MASK + 1] = {
	[RDMAP_WRITE] = { .name = "Write", .tagged = true },
	[RDMAP_READ_REQUEST] = { .name = "Read Request",
				 .qn = DDP_QN_READ_REQUEST,
				 .body = sizeof(struct rdmap_read_req) },
	[RDMAP_READ_RESPONSE] = { .name = "Read Response", .tagged = true },
	[RDMAP_SEND] = { .name = "Send", .qn = DDP_QN_SEND },
	[RDMAP_SEND_INV] = { .name = "Send with Invalidate", .qn = DDP_QN_SEND },
	[RDMAP_SEND_SE] = { .name = "Send with SE", .qn = DDP_QN_SEND },
	[RDMAP_SEND_SE_INV] = { .name = "Send with SE and Invalidate", .qn = DDP_QN_SEND },
	/* No fixed body: it is read leniently, whatever its size. */
	[RDMAP_TERMINATE] = { .name = "Terminate", .qn = DDP_QN_TERMINATE },
	[RDMAP_IMMEDIATE] = { .name = "Immediate Data",
			      .rfc7306 = true,
			      .qn = DDP_QN_SEND,
			      .body = sizeof(struct rdmap_immediate) },
	[RDMAP_IMMEDIATE_SE] = { .name = "Immediate Data with SE",
				 .rfc7306 = true,
				 .qn = DDP_QN_SEND,
				 .body = sizeof(struct rdmap_immediate) },
	[RDMAP_ATOMIC_REQUEST] = { .name = "Atomic Request",
				   .rfc7306 = true,
				   .qn = DDP_QN_READ_REQUEST,
				   .body = sizeof(struct rdmap_atomic_req) },
	[RDMAP_ATOMIC_RESPONSE] = { .name = "Atomic Response",
				    .rfc7306 = true,
				    .qn = DDP_QN_ATOMIC_RESPONSE,
				    .body = sizeof(struct rdmap_atomic_resp) },
};

/*
 * Where the RFCs leave the code open: DDP knows no access rights, and siw too says "invalid STag";
 * a body of the wrong size is an operation nobody can carry out; an excess of Read Requests finds
 * no buffer in queue 1.
 */
static const struct {
	const char *name;
	uint16_t term;
} errors[DDP_ERRORS] = {
	[DDP_OK] = { "ok", TERM_RDMAP_LOCAL },
	[DDP_E_LENGTH] = { "ULPDU too short", TERM_MPA_LENGTH },
	[DDP_E_TAGGED_VERSION] = { "unknown DDP version (tagged)", TERM_DDP_TAGGED_VERSION },
	[DDP_E_UNTAGGED_VERSION] = { "unknown DDP version (untagged)", TERM_DDP_UNTAGGED_VERSION },
	[DDP_E_RDMAP_VERSION] = { "unknown RDMAP version", TERM_RDMAP_VERSION },
	[DDP_E_OPCODE] = { "unexpected opcode", TERM_RDMAP_OPCODE },
	[DDP_E_QN] = { "wrong queue number", TERM_DDP_QN },
	[DDP_E_BODY] = { "malformed request or response", TERM_RDMAP_OPERATION },
	[DDP_E_TO_WRAP] = { "tagged offset wraps", TERM_DDP_TO_WRAP },
	[DDP_E_MO_WRAP] = { "message offset wraps", TERM_DDP_TOO_LONG },
	[DDP_E_CRC] = { "wrong CRC", TERM_MPA_CRC },
	[DDP_E_INTERLEAVED] = { "interleaved messages", TERM_RDMAP_STREAM },
	[DDP_E_MSN] = { "wrong message sequence number", TERM_DDP_MSN },
	[DDP_E_MO] = { "wrong message offset", TERM_DDP_MO },
	[DDP_E_NO_BUFFER] = { "no receive posted", TERM_DDP_NO_BUFFER },
	[DDP_E_TOO_LONG] = { "message too long for its receive", TERM_DDP_TOO_LONG },
	[DDP_E_STAG] = { "invalid STag", TERM_DDP_STAG },
	[DDP_E_BOUNDS] = { "beyond the region's bounds", TERM_DDP_BOUNDS },
	[DDP_E_ACCESS] = { "region may not be written", TERM_DDP_STAG },
	[DDP_E_NOT_ASSOC] = { "STag of another connection", TERM_DDP_NOT_ASSOC },
	[DDP_E_READ_STAG] = { "read: invalid STag", TERM_RDMAP_STAG },
	[DDP_E_READ_BOUNDS] = { "read: beyond the region's bounds", TERM_RDMAP_BOUNDS },
	[DDP_E_READ_ACCESS] = { "read: access not allowed", TERM_RDMAP_ACCESS },
	[DDP_E_READ_NOT_ASSOC] = { "read: STag of another connection", TERM_RDMAP_NOT_ASSOC },
	[DDP_E_READ_TO_WRAP] = { "read: tagged offset wraps", TERM_RDMAP_TO_WRAP },
	[DDP_E_INVALIDATE] = { "STag cannot be invalidated", TERM_RDMAP_OP_NO_INV },
	[DDP_E_LOCAL] = { "local error", TERM_RDMAP_LOCAL },
};

/* The index of @err, of either sign, in errors[]; DDP_ERRORS when it is none. */
static unsigned error_index(int err)
{
	unsigned index = err < 0 ? 0u - (unsigned)err : (unsigned)err;

	return index < DDP_ERRORS ? index : DDP_ERRORS;
}

const char *ddp_strerror(int err)
{
	unsigned index = error_index(err);

	return index < DDP_ERRORS ? errors[index].name : "unknown DDP error";
}

uint16_t ddp_error_term(int err)
{
	unsigned index = error_index(err);

	return index < DDP_ERRORS ? errors[index].term : (uint16_t)TERM_RDMAP_LOCAL;
}

/* ------------------------------------------------------------------------- framing */

bool ddp_msg_locate(const struct ddp_msg *m, uint64_t skip, struct ddp_pos *pos)
{
	uint32_t stride = m->hdr_len + m->seg + MPA_CRC_SIZE;
	uint64_t index;

	if (skip >= ddp_msg_size(m))
		return false;
	index = skip / stride;
	ddp_pos_at(m, (uint32_t)(index * m->seg), pos);
	pos->skip = (uint32_t)(skip - index * stride);
	return true;
}
