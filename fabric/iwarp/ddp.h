/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ddp.h - headers of FPDUs to and from plain structures, and where each octet of a message lies on
 * the wire.
 *
 * Receiving: ddp_parse() at the start of each FPDU; then payload_len octets go where the header
 * says; then trailer_len octets of pad and CRC. A header is complete with at most DDP_HDR_MAX
 * octets. Messages that carry no data of the application (RDMA Read Request and the like) have a
 * body instead, of at most RDMAP_BODY_MAX octets: to ddp_parse() it is payload, rdmap.h reads it.
 *
 * Transmitting: struct ddp_msg and a count of octets already written say everything about the rest
 * of a message. After a short write nothing need have been kept:
 *
 *	if (ddp_msg_locate(m, skip, &pos))	(nothing written yet: ddp_msg_first)
 *		do {
 *			hdr_len = ddp_msg_header(m, &pos, hdr);
 *			gather hdr, payload at pos.offset of pos.len octets, mpa_trailer_put(...)
 *			without their first pos.skip octets; pos.skip = 0
 *		} while (ddp_msg_next(m, &pos) && there is room in the gather list);
 *
 * Functions that can fail return 0 or a negative enum ddp_error and write outputs only on success.
 */
#ifndef ETA_IWARP_DDP_H
#define ETA_IWARP_DDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/iwarp/mpa.h"
#include "fabric/iwarp/wire.h"

/*
 * Why a stream ends. Returned negated by ddp_parse(), which finds those above the line; the others
 * are for the connection, so that all of them have one list of names, counters and Terminate codes.
 */
enum ddp_error {
	DDP_OK = 0,
	DDP_E_LENGTH,           /* ULPDU shorter than its own header */
	DDP_E_TAGGED_VERSION,   /* of DDP */
	DDP_E_UNTAGGED_VERSION, /* of DDP */
	DDP_E_RDMAP_VERSION,
	DDP_E_OPCODE,  /* reserved; or tagged where it must not be, or not where it must */
	DDP_E_QN,      /* no such queue, or not this message's */
	DDP_E_BODY,    /* a body of fixed size has another, or comes in pieces */
	DDP_E_TO_WRAP, /* payload runs beyond the last tagged offset */
	DDP_E_MO_WRAP, /* message of 4 GiB or more */
	/* ---- */
	DDP_E_CRC,
	DDP_E_INTERLEAVED, /* a message begins inside another, or goes on where it did not stop */
	DDP_E_MSN,         /* not the next one of its queue */
	DDP_E_MO,          /* not where the message had got to */
	DDP_E_NO_BUFFER,   /* no receive posted; too many Read Requests */
	DDP_E_TOO_LONG,    /* message longer than its receive */
	DDP_E_STAG,        /* tagged payload: no such region, */
	DDP_E_BOUNDS,      /* beyond its end, */
	DDP_E_ACCESS,      /* not to be written, */
	DDP_E_NOT_ASSOC,   /* not this connection's */
	DDP_E_READ_STAG,   /* the same for the source of an RDMA Read, and for atomics */
	DDP_E_READ_BOUNDS,
	DDP_E_READ_ACCESS,
	DDP_E_READ_NOT_ASSOC,
	DDP_E_READ_TO_WRAP,
	DDP_E_INVALIDATE, /* the STag of a Send with Invalidate */
	DDP_E_LOCAL,      /* no fault of the peer */
	DDP_ERRORS,
};

/* "unexpected opcode", for logs and counters. Any value, either sign. */
const char *ddp_strerror(int err);
/* What to send in a Terminate: enum rdmap_term. */
uint16_t ddp_error_term(int err);

/* What each of the 16 opcodes is. */
struct ddp_op {
	const char *name; /* NULL: reserved */
	bool tagged;
	bool rfc7306;
	uint8_t qn;   /* untagged: its queue */
	uint8_t body; /* exact size of a fixed body, else 0 */
};
extern const struct ddp_op ddp_ops[RDMAP_OPCODE_MASK + 1];

/* ------------------------------------------------------------------------- parsing */

struct ddp_hdr {
	uint8_t opcode; /* enum rdmap_opcode, never a reserved one */
	bool tagged;
	bool last;
	uint8_t hdr_len;      /* octets from the start of the FPDU to the payload */
	uint8_t trailer_len;  /* pad and CRC */
	uint16_t ulpdu_len;   /* for mpa_trailer_ok() */
	uint32_t payload_len; /* up to 65,521 */
	uint32_t stag;        /* tagged: where the payload goes; Send with Invalidate: that STag */
	uint64_t to;          /* tagged */
	uint32_t qn, msn, mo; /* untagged */
};

/* Version, opcode and T bit, from the first four octets alone. */
static inline int ddp_check_ctrl(const struct ddp_ctrl *ctrl)
{
	const struct ddp_op *op = &ddp_ops[ctrl->rdmap & RDMAP_OPCODE_MASK];
	bool tagged = ctrl->ddp & DDP_TAGGED;

	if ((ctrl->ddp & DDP_VERSION_MASK) != DDP_VERSION)
		return tagged ? -DDP_E_TAGGED_VERSION : -DDP_E_UNTAGGED_VERSION;
	if ((ctrl->rdmap & RDMAP_VERSION_MASK) != RDMAP_VERSION)
		return -DDP_E_RDMAP_VERSION;
	if (!op->name || op->tagged != tagged)
		return -DDP_E_OPCODE;
	if (be16_get(ctrl->ulpdu_len) < (tagged ? DDP_TAGGED_LEN : DDP_UNTAGGED_LEN))
		return -DDP_E_LENGTH;
	return 0;
}

static inline int ddp_parse_tagged(const struct ddp_tagged *wire, struct ddp_hdr *h)
{
	uint64_t to = be64_get(wire->to);
	uint32_t len = be16_get(wire->ctrl.ulpdu_len) - DDP_TAGGED_LEN;

	if (len && to > UINT64_MAX - (len - 1))
		return -DDP_E_TO_WRAP;
	h->payload_len = len;
	h->stag = be32_get(wire->stag);
	h->to = to;
	h->qn = h->msn = h->mo = 0;
	return 0;
}

static inline int ddp_parse_untagged(const struct ddp_untagged *wire, struct ddp_hdr *h)
{
	const struct ddp_op *op = &ddp_ops[wire->ctrl.rdmap & RDMAP_OPCODE_MASK];
	uint32_t len = be16_get(wire->ctrl.ulpdu_len) - DDP_UNTAGGED_LEN;
	uint32_t qn = be32_get(wire->qn), mo = be32_get(wire->mo);

	if (qn != op->qn)
		return -DDP_E_QN;
	if (op->body && (len != op->body || mo || !(wire->ctrl.ddp & DDP_LAST)))
		return -DDP_E_BODY;
	if (len > UINT32_MAX - mo)
		return -DDP_E_MO_WRAP;
	h->payload_len = len;
	h->stag = be32_get(wire->inv_stag);
	h->to = 0;
	h->qn = qn;
	h->msn = be32_get(wire->msn);
	h->mo = mo;
	return 0;
}

/*
 * Parses the header of the FPDU that starts at @p, of which @avail octets are there. 0: done;
 * positive: come back with at least so many octets in all (at most DDP_HDR_MAX); negative: a
 * protocol error, found as early as it can be. *@h is undefined unless 0 is returned.
 */
static inline int ddp_parse(const uint8_t *p, size_t avail, struct ddp_hdr *h)
{
	const struct ddp_ctrl *ctrl = (const struct ddp_ctrl *)p;
	int err;

	if (avail < sizeof(*ctrl))
		return (int)sizeof(*ctrl);
	err = ddp_check_ctrl(ctrl);
	if (err)
		return err;
	h->tagged = ctrl->ddp & DDP_TAGGED;
	h->hdr_len = h->tagged ? sizeof(struct ddp_tagged) : sizeof(struct ddp_untagged);
	if (avail < h->hdr_len)
		return h->hdr_len;
	h->opcode = ctrl->rdmap & RDMAP_OPCODE_MASK;
	h->last = ctrl->ddp & DDP_LAST;
	h->ulpdu_len = be16_get(ctrl->ulpdu_len);
	h->trailer_len = (uint8_t)mpa_trailer_len(h->ulpdu_len);
	return h->tagged ? ddp_parse_tagged((const struct ddp_tagged *)p, h)
			 : ddp_parse_untagged((const struct ddp_untagged *)p, h);
}

/* ------------------------------------------------------------------------ building */

static inline struct ddp_ctrl ddp_ctrl_make(uint8_t opcode, bool last, bool tagged,
					    uint32_t ulpdu_len)
{
	struct ddp_ctrl ctrl;

	ctrl.ulpdu_len = be16_make((uint16_t)ulpdu_len);
	ctrl.ddp = (uint8_t)(DDP_VERSION | (tagged ? DDP_TAGGED : 0) | (last ? DDP_LAST : 0));
	ctrl.rdmap = (uint8_t)(RDMAP_VERSION | opcode);
	return ctrl;
}

/* Writes the header of a tagged FPDU with @len octets of payload. Returns its length. */
static inline unsigned ddp_put_tagged(uint8_t *out, uint8_t opcode, bool last, uint32_t stag,
				      uint64_t to, uint32_t len)
{
	struct ddp_tagged *wire = (struct ddp_tagged *)out;

	wire->ctrl = ddp_ctrl_make(opcode, last, true, DDP_TAGGED_LEN + len);
	wire->stag = be32_make(stag);
	wire->to = be64_make(to);
	return sizeof(*wire);
}

/* As above; the queue follows from the opcode. @inv_stag: for Send with Invalidate, else 0. */
static inline unsigned ddp_put_untagged(uint8_t *out, uint8_t opcode, bool last, uint32_t inv_stag,
					uint32_t msn, uint32_t mo, uint32_t len)
{
	struct ddp_untagged *wire = (struct ddp_untagged *)out;

	wire->ctrl = ddp_ctrl_make(opcode, last, false, DDP_UNTAGGED_LEN + len);
	wire->inv_stag = be32_make(inv_stag);
	wire->qn = be32_make(ddp_ops[opcode].qn);
	wire->msn = be32_make(msn);
	wire->mo = be32_make(mo);
	return sizeof(*wire);
}

/* ------------------------------------------------------------------------- framing */

/* A message to transmit: everything that its headers are made of. */
struct ddp_msg {
	uint8_t opcode;
	uint8_t hdr_len; /* of each of its FPDUs */
	uint32_t len;    /* payload of the whole message */
	uint32_t seg;    /* payload of each FPDU but the last: a multiple of 4, so it has no pad */
	uint32_t stag;   /* tagged: the sink; Send with Invalidate: that STag; else 0 */
	uint32_t msn;    /* untagged */
	uint64_t to;     /* tagged: of the message's first octet */
};

/* One FPDU of a message, and how much of it is already written. */
struct ddp_pos {
	uint32_t offset; /* of its payload in the message */
	uint32_t len;    /* of its payload */
	uint32_t skip;   /* octets of this FPDU to leave out: of its header, payload, trailer */
	bool last;
};

/*
 * @mulpdu: what was agreed on, at least MPA_MULPDU_MIN. Without the length field a header has 14 or
 * 18 octets, with it a multiple of 4: hence a segment of a multiple of 4 needs no pad.
 */
static inline void ddp_msg_untagged(struct ddp_msg *m, uint8_t opcode, uint32_t msn, uint32_t len,
				    uint16_t mulpdu)
{
	m->opcode = opcode;
	m->hdr_len = sizeof(struct ddp_untagged);
	m->len = len;
	m->seg = (mulpdu - DDP_UNTAGGED_LEN) & ~3u;
	m->stag = 0;
	m->msn = msn;
	m->to = 0;
}

static inline void ddp_msg_tagged(struct ddp_msg *m, uint8_t opcode, uint32_t stag, uint64_t to,
				  uint32_t len, uint16_t mulpdu)
{
	m->opcode = opcode;
	m->hdr_len = sizeof(struct ddp_tagged);
	m->len = len;
	m->seg = (mulpdu - DDP_TAGGED_LEN) & ~3u;
	m->stag = stag;
	m->msn = 0;
	m->to = to;
}

/* FPDUs in the message: one at least. */
static inline uint32_t ddp_msg_fpdus(const struct ddp_msg *m)
{
	return m->len <= m->seg ? 1 : (m->len - 1) / m->seg + 1;
}

/* Octets of the message on the wire. */
static inline uint64_t ddp_msg_size(const struct ddp_msg *m)
{
	uint64_t overhead = (uint64_t)(m->hdr_len + MPA_CRC_SIZE) * ddp_msg_fpdus(m);

	/* Whole segments have no pad, so the last one's is that of the length. */
	return overhead + m->len + (-m->len & 3);
}

/* Octets that a position's FPDU has on the wire. */
static inline uint32_t ddp_pos_size(const struct ddp_msg *m, const struct ddp_pos *pos)
{
	return m->hdr_len + pos->len + (-pos->len & 3) + MPA_CRC_SIZE;
}

/* The start of the FPDU whose payload begins at @offset of the message, a multiple of seg. */
static inline void ddp_pos_at(const struct ddp_msg *m, uint32_t offset, struct ddp_pos *pos)
{
	uint32_t rest = m->len - offset;

	pos->offset = offset;
	pos->len = rest < m->seg ? rest : m->seg;
	pos->skip = 0;
	pos->last = pos->len == rest;
}

/* The start of the message: ddp_msg_locate() with nothing to skip, but it cannot fail. */
static inline void ddp_msg_first(const struct ddp_msg *m, struct ddp_pos *pos)
{
	ddp_pos_at(m, 0, pos);
}

/* The FPDU that wire octet @skip of the message lies in. False: the message ends before it. */
bool ddp_msg_locate(const struct ddp_msg *m, uint64_t skip, struct ddp_pos *pos);

/* Moves to the start of the next FPDU. False: there is none. */
static inline bool ddp_msg_next(const struct ddp_msg *m, struct ddp_pos *pos)
{
	if (pos->last)
		return false;
	ddp_pos_at(m, pos->offset + pos->len, pos);
	return true;
}

/* Writes the header of the position's FPDU, whatever its skip. Returns its length. */
static inline unsigned ddp_msg_header(const struct ddp_msg *m, const struct ddp_pos *pos,
				      uint8_t *out)
{
	if (m->hdr_len == sizeof(struct ddp_tagged))
		return ddp_put_tagged(out, m->opcode, pos->last, m->stag, m->to + pos->offset,
				      pos->len);
	return ddp_put_untagged(out, m->opcode, pos->last, m->stag, m->msn, pos->offset, pos->len);
}

#endif
