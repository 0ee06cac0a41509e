/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_iwarp.c - a hostile peer of a message connection, from the first octet to the last.
 *
 * Input: one octet of settings, then steps: an octet that says what happens, and what that needs.
 * Octets go to the connection as they are, or as frames that are right but for what the input says,
 * so that all states are reached; between them its user posts, sends, and closes, the pool of
 * anonymous buffers runs dry, time passes. The user's upcalls check that nothing is written beside
 * the places named and that every message is placed once; at the end all memory must be back.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/iwarp_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum setting {
	SET_INITIATOR = 0x01, /* our side dials */
	SET_CRC = 0x02,
	SET_RAW = 0x04, /* no good start-up frame of the peer's goes first */
	SET_REV_1 = 0x08,
	SET_READ_RTR = 0x10,
	SET_ETA = 0x20,
	SET_WAIT = 0x40, /* requests wait for their user */
};

enum step {
	STEP_RAW,
	STEP_FPDU,
	STEP_POST,
	STEP_SEND,
	STEP_TURN,
	STEP_SETTLE,
	STEP_TAKE,
	STEP_END,
	STEP_TIME,
	STEP_USER,
	STEP_WIRE,
	STEP_OP,
	STEPS
};

struct input {
	const uint8_t *at;
	size_t left;
};

static struct node node;
static struct chan chan;
static struct script_end *peer;
static uint32_t msn, read_msn, resp_msn, mo; /* as a good peer would go on */
static uint64_t to;

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static void settle(void)
{
	script_settle(&node.fab, 1);
}

static bool peer_is_there(void)
{
	if (!peer)
		peer = script_take(); /* of a connection that was dialled again */
	return peer;
}

static void peer_leaves(bool reset)
{
	if (peer)
		script_hang_up(peer, reset);
	peer = NULL;
}

/* ------------------------------------------------------------------------- steps */

static void start_frame(uint8_t settings)
{
	struct mpa_start start = {
		.rev = settings & SET_REV_1 ? MPA_REV_1 : MPA_REV_2,
		.enhanced = !(settings & SET_REV_1),
		.p2p = !(settings & SET_REV_1),
		.rtr = settings & SET_READ_RTR ? MPA_RTR_READ : MPA_RTR_WRITE,
		.ird = 2,
		.ord = 2,
		.is_eta = settings & SET_ETA,
		.eta = { .version = 1, .mulpdu = 3000, .features = MPA_FEATURE_RFC7306 },
	};
	uint8_t frame[MPA_FRAME_MAX];
	int n = mpa_encode(&start, settings & SET_INITIATOR ? MPA_REPLY : MPA_REQUEST, frame,
			   sizeof(frame));

	script_put(peer, frame, n);
}

static void step_raw(struct input *in)
{
	size_t n = take(in);

	n = n < in->left ? n : in->left;
	if (peer_is_there())
		script_put(peer, in->at, n);
	in->at += n;
	in->left -= n;
}

/* The header that a good peer would send next, and one field that is not. */
static size_t fpdu_header(uint8_t *fpdu, uint8_t opcode, uint8_t flags, uint32_t len)
{
	const struct ddp_op *op = &ddp_ops[opcode];
	uint32_t number = op->qn == DDP_QN_SEND              ? msn
			  : op->qn == DDP_QN_READ_REQUEST    ? read_msn
			  : op->qn == DDP_QN_ATOMIC_RESPONSE ? resp_msn
							     : 1;
	bool last = flags & 1;

	if (op->tagged)
		return ddp_put_tagged(fpdu, opcode, last,
				      opcode == RDMAP_WRITE ? CHAN_STAG : CHAN_SINK_STAG,
				      flags & 2 ? UINT64_MAX - 9 : to, len);
	number += (flags & 2) != 0;
	return ddp_put_untagged(fpdu, opcode, last, 0, number,
				op->qn == DDP_QN_SEND ? mo + (flags & 4) : 0, len);
}

static void went_on(uint8_t opcode, uint8_t flags, uint32_t len)
{
	const struct ddp_op *op = &ddp_ops[opcode];

	read_msn += op->qn == DDP_QN_READ_REQUEST;
	resp_msn += op->qn == DDP_QN_ATOMIC_RESPONSE;
	if (op->tagged)
		to = flags & 1 ? CHAN_TO : to + len;
	if (op->tagged || op->qn)
		return;
	mo = flags & 1 ? 0 : mo + len;
	msn += flags & 1;
}

static void step_fpdu(struct input *in)
{
	static uint8_t fpdu[FPDU_ROOM];
	uint8_t opcode = take(in) & RDMAP_OPCODE_MASK, flags = take(in);
	uint32_t len = flags & 8 ? take(in) * 257 : take(in);
	bool crc = chan.conn && chan.connected && chan.conn->crc;
	size_t n;

	if (!peer_is_there())
		return;
	if (ddp_ops[opcode].body && !(flags & 16))
		len = ddp_ops[opcode].body;
	if (len > MPA_ULPDU_MAX - DDP_UNTAGGED_LEN)
		len = MPA_ULPDU_MAX - DDP_UNTAGGED_LEN;
	n = fpdu_header(fpdu, opcode, flags, len);
	memset(fpdu + n, flags & 32 ? flags : 0, len);
	if (opcode == RDMAP_READ_REQUEST && flags & 32 && len == sizeof(struct rdmap_read_req))
		rdmap_read_put(fpdu + n, &(struct rdmap_read){ .len = flags * 5 });
	n = fpdu_end(fpdu, n + len, crc);
	script_put(peer, fpdu, flags & 64 ? n - 1 - n / 3 : n);
	went_on(opcode, flags, len);
}

static void step_post(struct input *in)
{
	uint8_t size = take(in);

	if (chan.in_count < 64)
		chan_post(&chan, size & 1 ? size * 300 : size, 1 + size % FAB_PLACE_IOV);
}

static void step_send(struct input *in)
{
	uint8_t size = take(in);

	if (chan.out_count < 64)
		chan_send(&chan, size & 1 ? size * 300 : size, 1 + size % FAB_PLACE_IOV);
}

static void step_op(struct input *in)
{
	uint8_t how = take(in), size = take(in);
	struct fab_atomic atomic = { .op = how >> 7, .data = size };
	struct fab_send s = { .op = how % FAB_OPS,
			      .len = size & 1 ? size * 300 : size,
			      .stag = 1,
			      .to = CHAN_TO,
			      .sink_stag = CHAN_SINK_STAG,
			      .sink_to = CHAN_TO,
			      .read_len = size,
			      .id = size,
			      .atomic = &atomic };

	if (chan.out_count < 64)
		chan_op(&chan, &s, 1 + size % FAB_PLACE_IOV);
}

/* How its user takes what comes. */
static void user_manner(uint8_t how)
{
	static const int errs[] = { -ENOKEY, -ERANGE, -EACCES, -EPERM, -EBUSY, -EIO, -EAGAIN, 0 };

	chan.whole = how & 3;
	chan.pieces = how >> 2 & 3;
	chan.answer = how & 16;
	chan.drop = how & 32;
	if (how & 64)
		chan.errs[how % FAB_OPS] = errs[how / 3 % 8];
}

/* The peer reads: what it gets must be well formed, and after start-up whole FPDUs. */
static void step_take(struct input *in)
{
	uint8_t n = take(in);
	const uint8_t *got;
	size_t len;

	if (!peer_is_there())
		return;
	len = script_got(peer, &got);
	script_drop(peer, n < len ? n : len);
}

static void step_end(struct input *in)
{
	uint8_t how = take(in);

	if (!peer_is_there())
		return;
	if (how % 3 == 0)
		script_fin(peer);
	else
		peer_leaves(how % 3 == 1);
}

static void step_user(struct input *in)
{
	uint8_t how = take(in);

	if (node.request && !chan.conn && !chan.connected) {
		if (how & 1)
			CHECK(!chan_accept(&chan, node.request, "yes", 3));
		else
			iwarp_ops.reject(node.request, "no", 2);
		node.request = NULL;
	} else if (how < 16) {
		chan_close(&chan);
	} else if (how < 32 && chan.conn && chan.connected) {
		iwarp_ops.shutdown(chan.conn);
	} else if (how < 48) {
		node_unlisten(&node);
	} else if (how < 56) {
		user_manner(take(in));
	} else {
		chan.close_at = how % AT_COUNT;
		chan.close_skip = how / 64;
	}
}

static void step_wire(struct input *in)
{
	uint8_t how = take(in);

	script.read_max = (how & 3) * 7;
	script.window = how & 4 ? how * 16 : 0;
	script.write_max = how & 8 ? how * 8 : 0;
	node.pool_count = how >> 6;
	node.pool_size = how & 16 ? 300 : 5000;
}

static void run(struct input *in)
{
	switch (take(in) % STEPS) {
	case STEP_RAW:
		step_raw(in);
		break;
	case STEP_FPDU:
		step_fpdu(in);
		break;
	case STEP_POST:
		step_post(in);
		break;
	case STEP_SEND:
		step_send(in);
		break;
	case STEP_TURN:
		script_turn(node.fab);
		break;
	case STEP_SETTLE:
		settle();
		break;
	case STEP_TAKE:
		step_take(in);
		break;
	case STEP_END:
		step_end(in);
		break;
	case STEP_TIME:
		node_pass(&node, take(in) * 100000000ull);
		break;
	case STEP_USER:
		step_user(in);
		break;
	case STEP_WIRE:
		step_wire(in);
		break;
	default:
		step_op(in);
		break;
	}
}

/* ------------------------------------------------------------------------- one input */

static void begin(uint8_t settings)
{
	struct fab_msg_attr attr = node_attr();
	union fab_addr raw;

	attr.crc = settings & SET_CRC;
	attr.fpdu_max = settings & SET_ETA ? 65000 : 200;
	node_open(&node, &attr);
	node_listen(&node);
	chan_init(&chan, &node, settings);
	chan.check = false;
	msn = read_msn = resp_msn = 1;
	mo = 0;
	to = CHAN_TO;
	if (settings & SET_INITIATOR) {
		script_addr(&raw, SCRIPT_RAW_PORT);
		CHECK(!chan_connect(&chan, &raw, "ave", 3));
		settle();
		peer = script_take();
	} else {
		node.child = settings & SET_WAIT ? NULL : &chan;
		peer = script_dial(&node.addr);
	}
	if (!(settings & SET_RAW))
		start_frame(settings);
	settle();
}

static void end(void)
{
	peer_leaves(false);
	settle();
	if (node.request)
		iwarp_ops.conn_close(node.request, false);
	chan_fini(&chan);
	settle();
	node_close(&node);
	while ((peer = script_take()))
		peer_leaves(true);
	script_reset();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	begin(take(&in));
	while (in.left)
		run(&in);
	end();
	return 0;
}
