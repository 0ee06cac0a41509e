/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * iwarp_req.c - messages that carry no data: the peer's requests, the answers to ours, immediate
 * data, Terminate.
 *
 * The user answers the peer's reads and atomics, in their order. Empty reads are answered here, and
 * their answers keep that order too: one that came behind requests which the user has not answered
 * yet waits for it (struct iw_empty).
 */
#include <errno.h>
#include <stdlib.h>

#include "fabric/iwarp/iwarp.h"

/* Of what waits to be sent between messages: beside the answers to reads, one read of our own. */
#define CTL_OWN_MAX (DDP_HDR_MAX + sizeof(struct rdmap_read_req) + MPA_CRC_SIZE)
#define EMPTY_FPDU (sizeof(struct ddp_tagged) + MPA_CRC_SIZE)

/* Only a Terminate may come inside a message: its sender cannot end it any more. */
int iw_req_check(const struct fab_msg_conn *c)
{
	const struct ddp_hdr *h = &c->h;

	if (h->opcode == RDMAP_TERMINATE)
		return 0;
	if (ddp_ops[h->opcode].rfc7306 && !c->rfc7306)
		return -DDP_E_OPCODE;
	if (c->in_msg)
		return -DDP_E_INTERLEAVED;
	switch (h->qn) {
	case DDP_QN_SEND:
		return h->msn == c->rx.send ? 0 : -DDP_E_MSN;
	case DDP_QN_READ_REQUEST:
		return h->msn == c->rx.read ? 0 : -DDP_E_MSN;
	default:
		return h->msn == c->rx.resp ? 0 : -DDP_E_MSN;
	}
}

/* ------------------------------------------------------------------- empty reads */

static int answer_empty(struct fab_msg_conn *c, uint32_t stag, uint64_t to)
{
	uint8_t fpdu[DDP_HDR_MAX + MPA_TRAILER_MAX];
	unsigned n = ddp_put_tagged(fpdu, RDMAP_READ_RESPONSE, true, stag, to, 0);
	uint32_t crc = c->crc ? mpa_crc_add(MPA_CRC_START, fpdu, n) : 0;

	n += mpa_trailer_put(fpdu + n, n - MPA_LEN_SIZE, c->crc, crc);
	return iw_tx_ctl(c, fpdu, n);
}

static int empty_later(struct fab_msg_conn *c, const struct rdmap_read *read)
{
	struct iw_empty *e, **at = &c->empties;
	unsigned n = 0;

	for (; *at; at = &(*at)->next)
		n++;
	if (n > c->ird)
		return -DDP_E_NO_BUFFER;
	e = malloc(sizeof(*e));
	if (!e)
		return -DDP_E_LOCAL;
	*e = (struct iw_empty){ .stag = read->sink_stag, .to = read->sink_to, .behind = c->asked };
	*at = e;
	return 0;
}

/*
 * Answers that the peer does not take in are bounded by what it was told: IRD reads at a time.
 */
static int empty_read(struct fab_msg_conn *c, const struct rdmap_read *read)
{
	if (c->asked != c->answered)
		return empty_later(c, read);
	if (iw_tx_ctl_waiting(c) > CTL_OWN_MAX + c->ird * EMPTY_FPDU)
		return -DDP_E_NO_BUFFER;
	return answer_empty(c, read->sink_stag, read->sink_to) ? -DDP_E_LOCAL : 0;
}

void iw_req_answered(struct fab_msg_conn *c)
{
	struct iw_empty *e;
	int err = 0;

	c->answered++;
	while (!err && (e = c->empties) && e->behind == c->answered) {
		c->empties = e->next;
		err = answer_empty(c, e->stag, e->to);
		free(e);
	}
	if (err)
		iw_end(c, err);
}

void iw_req_forget(struct fab_msg_conn *c)
{
	struct iw_empty *e;

	while ((e = c->empties)) {
		c->empties = e->next;
		free(e);
	}
}

/* ------------------------------------------------------------------- the user's */

/* What the peer did, when the user refuses for a reason that is not its own. */
static const struct {
	int err;
	uint8_t tagged, request; /* enum ddp_error: of data, and of reads and atomics */
} refusals[] = {
	{ -ENOKEY, DDP_E_STAG, DDP_E_READ_STAG },
	{ -ERANGE, DDP_E_BOUNDS, DDP_E_READ_BOUNDS },
	{ -EACCES, DDP_E_ACCESS, DDP_E_READ_ACCESS },
	{ -EPERM, DDP_E_NOT_ASSOC, DDP_E_READ_NOT_ASSOC },
	{ -EBUSY, DDP_E_NO_BUFFER, DDP_E_NO_BUFFER },
};

static enum ddp_error refusal(const struct ddp_hdr *h, int err)
{
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (refusals[i].err != err)
			continue;
		if (h->tagged)
			return refusals[i].tagged;
		/* the other queues' messages name no memory: one that is not expected has no room */
		return h->qn == DDP_QN_READ_REQUEST ? refusals[i].request : DDP_E_NO_BUFFER;
	}
	return DDP_E_LOCAL;
}

int iw_refuse(struct fab_msg_conn *c, int err)
{
	enum ddp_error e = refusal(&c->h, err);

	if (c->state != IW_OPEN)
		return -DDP_E_LOCAL;
	if (e != DDP_E_LOCAL) {
		fab_count(&c->m->env.counters->proto_errors, 1);
		fab_logf(&c->m->env, FAB_LOG_WARN, "refused: %s", ddp_strerror(e));
	}
	iw_terminate(c, ddp_error_term(e), err);
	return -DDP_E_LOCAL;
}

/* Of a request of the peer's: it has been counted as one that the user will answer. */
static int told(struct fab_msg_conn *c, int err)
{
	if (err > 0)
		c->asked--; /* refused in the user's own way: no answer will come */
	return err < 0 ? iw_refuse(c, err) : 0;
}

static bool wraps(uint64_t to, uint32_t len)
{
	return to > UINT64_MAX - (len - 1);
}

static int end_read(struct fab_msg_conn *c)
{
	struct rdmap_read read;
	struct fab_read_req r;

	c->rx.read++;
	rdmap_read_get(c->body, &read);
	if (!read.len)
		return empty_read(c, &read);
	if (wraps(read.src_to, read.len) || wraps(read.sink_to, read.len))
		return -DDP_E_READ_TO_WRAP;
	r = (struct fab_read_req){ .sink_stag = read.sink_stag,
				   .stag = read.src_stag,
				   .sink_to = read.sink_to,
				   .to = read.src_to,
				   .len = read.len };
	c->asked++;
	return told(c, c->ops->rx_read(c->user, &r));
}

static int end_atomic(struct fab_msg_conn *c)
{
	struct rdmap_atomic a;
	struct fab_atomic_req r;

	c->rx.read++;
	rdmap_atomic_get(c->body, &a);
	if (a.op != RDMAP_FETCH_ADD && a.op != RDMAP_CMP_SWAP)
		return -DDP_E_BODY;
	r = (struct fab_atomic_req){
		.id = a.id,
		.stag = a.stag,
		.to = a.to,
		.atomic = { .op = a.op == RDMAP_FETCH_ADD ? FAB_FETCH_ADD : FAB_CMP_SWAP,
			    .data = a.data,
			    .data_mask = a.data_mask,
			    .cmp = a.cmp,
			    .cmp_mask = a.cmp_mask },
	};
	c->asked++;
	return told(c, c->ops->rx_atomic(c->user, &r));
}

static int end_atomic_resp(struct fab_msg_conn *c)
{
	uint64_t value;
	uint32_t id;

	c->rx.resp++;
	rdmap_atomic_resp_get(c->body, &id, &value);
	return told(c, c->ops->rx_atomic_resp(c->user, id, value));
}

static void end_terminate(struct fab_msg_conn *c)
{
	uint32_t len = c->h.payload_len < RDMAP_BODY_MAX ? c->h.payload_len : RDMAP_BODY_MAX;
	struct rdmap_terminate t;

	rdmap_term_parse(c->body, len, &t);
	fab_count(&c->m->env.counters->terminates_rx, 1);
	fab_logf(&c->m->env, FAB_LOG_WARN,
		 "the peer terminated the connection: %s (%02x %02x %02x %02x)",
		 t.valid ? rdmap_term_name(t.term) : "no reason given", t.raw[0], t.raw[1],
		 t.raw[2], t.raw[3]);
	iw_end(c, -ECONNABORTED);
}

int iw_req_end(struct fab_msg_conn *c)
{
	if (c->h.opcode == RDMAP_TERMINATE) {
		end_terminate(c);
		return 0;
	}
	fab_count(&c->m->env.counters->msgs_rx, 1);
	switch (c->h.opcode) {
	case RDMAP_READ_REQUEST:
		return end_read(c);
	case RDMAP_ATOMIC_REQUEST:
		return end_atomic(c);
	case RDMAP_ATOMIC_RESPONSE:
		return end_atomic_resp(c);
	default:
		c->rx.send++;
		return told(c, c->ops->rx_immediate(c->user, rdmap_immediate_get(c->body)));
	}
}
