/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_ulp.c - a hostile eta before the message service: what a fabric tells a link's upcalls, in any
 * order and with any content, over the stub fabric.
 *
 * Input: steps, each an octet that says what happens, and what that needs. Messages have headers that
 * are right but for what the input says, so that all states are reached. Between them the user posts,
 * receives, cancels, takes memory back; connections come and go, both ways. At the end each send that
 * was posted has ended once, and no event slot is promised to anybody.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/stub_fabric.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
	STEP_MESSAGE,
	STEP_RAW,
	STEP_ATOMIC,
	STEP_TAGGED,
	STEP_IMMEDIATE,
	STEP_READ,
	STEP_NATIVE,
	STEP_NATIVE_RESP,
	STEP_POST,
	STEP_RECEIVE,
	STEP_TURN,
	STEP_WINDOW,
	STEP_EVENTS,
	STEP_MEMORY,
	STEP_CANCEL,
	STEP_CLOSE,
	STEP_OPEN,
	STEPS
};

#define KEY 7
#define BASE 0x1000u
#define MESSAGE_MAX 20000
#define CONNS_MAX 8

static struct ppe_ual *ual;
static struct ppe_evq *evq;
static struct ppe_pd *pd;
static struct ppe_av *av;
static struct ppe_dti *dti;
static struct fab *fab;
static struct ppe_mr mine;
static struct fab_msg_conn *conn;
static uint8_t mem[MESSAGE_MAX + 4096], shared[8192];
static unsigned posted, ended, receives, opened;
static uint64_t incarnation;

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* Small numbers mostly, and the ends of the range. */
static uint32_t number(struct input *in)
{
	uint8_t n = take(in);

	if (n < 200)
		return n % 100;
	if (n < 230)
		return n * 613u;
	return n < 240 ? (uint32_t)take(in) << 24 : UINT32_MAX - (n & 7);
}

static void must(bool good)
{
	if (!good)
		abort();
}

/* ------------------------------------------------------------------------ the engine */

static void memory(void)
{
	must(!ppe_mr_register(ual, mem, sizeof(mem), PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE,
			      &mine));
}

static void share(void)
{
	struct iovec iov[2] = { { shared, 1001 }, { shared + 1008, sizeof(shared) - 1008 } };
	struct ppe_mr_attr attr = { .pd = pd,
				    .iov = iov,
				    .niov = 2,
				    .access = PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE |
					      PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE,
				    .offset = BASE,
				    .key = KEY };
	struct ppe_mr mr;
	uint32_t key;

	must(!ppe_mr_register_remote(ual, &attr, &mr, &key));
}

static void engine_open(uint8_t settings)
{
	struct ppe_ual_attr attr = { .placement = "inline", .max_dtis = 8, .max_evqs = 8 };
	struct ppe_evq_attr ea = { .size = settings & 2 ? 8 : 1024 };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(1000),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ppe_dti_attr da = { .service = PPE_MESSAGE, .sq_slots = 64, .rq_slots = 64 };
	uint32_t n;

	attr.pool[0].size = 2048;
	attr.pool[0].count = 4;
	must(!ppe_ual_open(&attr, &ual));
	fab = stub_of(ual);
	fab->held = true;
	must(!ppe_evq_create(ual, &ea, &evq) && !ppe_pd_create(ual, &pd) &&
	     !ppe_av_create(ual, &av));
	da.tx_evq = evq;
	da.pd = pd;
	da.av = av;
	da.auth = settings & 1 ? "key" : NULL;
	da.auth_len = settings & 1 ? 3 : 0;
	da.tx_max = 40;
	must(!ppe_dti_create(ual, &da, &dti));
	must(!ppe_dti_bind(dti, (void *)&sa, sizeof(sa)) && !ppe_dti_listen(dti, 1));
	sa.sin_port = htons(2000);
	must(!ppe_av_insert(av, (void *)&sa, sizeof(sa), &n) && !n);
	memory();
	share();
	posted = ended = receives = opened = 0;
	incarnation = 1;
	conn = NULL;
}

static void events(void)
{
	struct ppe_event ev[16];
	int n;

	while ((n = ppe_evq_read(evq, ev, 16)) > 0)
		for (int i = 0; i < n; i++)
			ended += ev[i].type != PPE_EV_RECV && ev[i].type != PPE_EV_RELEASED &&
				 ev[i].type != PPE_EV_REMOTE_WRITE;
}

static void engine_close(uint8_t settings)
{
	if (settings & 2) {
		ppe_dti_destroy(dti, true);
	} else {
		ppe_dti_destroy(dti, false);
		events();
		must(ended == posted);
	}
	events();
	must(!evq->reserved);
	ppe_ual_close(ual);
}

/* ------------------------------------------------------------------------ the fabric */

static bool there(void)
{
	return conn && !conn->dead && !conn->connecting && !conn->close_told && conn->ops;
}

static void over(int err)
{
	if (!there())
		return;
	conn->close_told = true;
	conn->ops->closed(conn->user, err);
}

static struct fab_msg_conn *dialled(void)
{
	for (struct list *n = fab->mconns.next; n != &fab->mconns; n = n->next) {
		struct fab_msg_conn *c = list_entry(n, struct fab_msg_conn, link);

		if (c->connecting && !c->dead && c->ops)
			return c;
	}
	return NULL;
}

static void step_open(struct input *in)
{
	uint8_t how = take(in);
	struct fab_msg_peer who = { .eta = true,
				    .features = FAB_FEATURE_ULP,
				    .ord = 1 + how % 4,
				    .ird = 1 + how / 4 % 4,
				    .hello = { .features = FAB_FEATURE_ULP,
					       .window = how & 16 ? 1 << 20 : 300,
					       .announces = how & 32 ? 1000 : 2,
					       .incarnation = incarnation += how >> 7,
					       .has_nonce = how & 64,
					       .name_len = ULP_NAME_V4,
					       .name = { 4, 0, 2000 >> 8, 2000 & 255, 127, 0, 0,
							 1 } } };
	struct fab_msg_conn *c = dialled();

	if (opened++ >= CONNS_MAX)
		return;
	if (!c) {
		struct fab_msg_listener *l =
			list_entry(fab->mlisteners.next, struct fab_msg_listener, link);

		c = stub_msg_request(l, NULL, 0);
		c->kept = true;
		turn_lock(ual);
		c->asked = true;
		l->ops->request(l->user, c, &l->addr, &who, NULL, 0);
		turn_unlock(ual);
	}
	c->kept = true;
	if (c->dead || !c->connecting)
		return;
	turn_lock(ual);
	c->connecting = false;
	conn = c;
	c->ops->connected(c->user, 0, &who, NULL, 0);
	turn_unlock(ual);
}

static void scatter(const struct iovec *iov, int n, const uint8_t *p, uint32_t len)
{
	for (int i = 0; i < n && len; i++) {
		uint32_t part = iov[i].iov_len < len ? (uint32_t)iov[i].iov_len : len;

		memcpy(iov[i].iov_base, p, part);
		p += part;
		len -= part;
	}
}

static uint32_t total(const struct iovec *iov, int n)
{
	uint32_t sum = 0;

	while (n-- > 0)
		sum += iov++->iov_len;
	return sum;
}

/* One piece, as it lies in a segment. False: it was the last thing. */
static bool arrive(const uint8_t *p, uint32_t offset, uint32_t len, bool last)
{
	struct iovec iov[FAB_PLACE_IOV];
	struct fab_place piece = { .offset = offset, .len = len, .last = last };
	int n = 0;

	for (; piece.len;) {
		uint32_t room;

		piece.more = false;
		n = conn->ops->rx_place(conn->user, &piece, iov, FAB_PLACE_IOV);
		if (!there())
			return false;
		if (n < 0) {
			over(n);
			return false;
		}
		room = total(iov, n);
		must(room <= piece.len && (!piece.more || room));
		scatter(iov, n, p, room);
		if (!piece.more)
			break;
		p += room;
		piece.offset += room;
		piece.len -= room;
	}
	conn->ops->rx_done(conn->user, &piece);
	return there();
}

static void deliver(const uint8_t *p, uint32_t len, uint32_t step)
{
	uint32_t at = 0;

	if (!step) {
		uint8_t *copy = malloc(len ? len : 1);
		int err;

		must(copy);
		memcpy(copy, p, len);
		err = conn->ops->rx_whole(conn->user, copy, len);
		free(copy);
		if (err < 0)
			over(err);
		if (err <= 0)
			return;
	}
	do {
		uint32_t part = step && step < len - at ? step : len - at;

		if (!arrive(p + at, at, part, at + part == len))
			return;
		at += part;
	} while (at < len);
}

/* ------------------------------------------------------------------------------ steps */

static uint8_t wire[MESSAGE_MAX + 64];

static void step_message(struct input *in)
{
	uint8_t op = take(in), flags = take(in), how = take(in);
	uint32_t len = number(in), value = number(in), n = sizeof(struct ulp_hdr), payload;
	struct ulp_hdr h = { .op = op % (ULP_OPS + 1), .flags = flags, .code = how & 15 };

	if (h.op == ULP_EAGER || h.op == ULP_ANNOUNCE) {
		n += flags & ULP_F_TAG ? ULP_TAG_LEN : 0;
		n += flags & ULP_F_DATA ? ULP_DATA_LEN : 0;
		n += h.op == ULP_ANNOUNCE ? sizeof(struct ulp_source) : 0;
	}
	payload = h.op == ULP_EAGER ? len % MESSAGE_MAX : 0;
	h.len = be32_make(h.op == ULP_EAGER && !(how & 16) ? payload : len);
	memset(wire, 0, n + payload);
	memcpy(wire, &h, sizeof(h));
	if (h.op == ULP_ACK) {
		struct ulp_ack a = { be32_make(value), be32_make(how & 64 ? len : 0) };

		memcpy(wire + n, &a, sizeof(a));
		n += sizeof(a);
	} else if (h.op == ULP_RESULT) {
		memset(wire + n, 1, value % 100);
		n += value % 100;
	} else if (h.op == ULP_PROOF) {
		n += FAB_PROOF;
	} else if (n > sizeof(h)) {
		wire[n - 1] = value & 3; /* of the tag, or the like */
	}
	n += payload;
	if (how & 32 && n)
		n--;
	deliver(wire, n, how & 128 ? 1 + value % 40 : 0);
}

static void step_raw(struct input *in)
{
	uint32_t n = take(in), step = take(in) % 16;

	n = n < in->left ? n : (uint32_t)in->left;
	memcpy(wire, in->at, n);
	in->at += n;
	in->left -= n;
	deliver(wire, n, step);
}

static void step_atomic(struct input *in)
{
	uint8_t flags = take(in), op = take(in), type = take(in), how = take(in);
	uint32_t targets = 1 + how % 5, len = number(in), n = sizeof(struct ulp_hdr), operand;
	struct ulp_hdr h = { .op = ULP_ATOMIC, .flags = flags, .len = be32_make(take(in)) };
	struct ulp_atomic a = { .op = op % 24, .type = type % 18, .targets = targets };

	len = len % 600 & ~(how & 128 ? 0u : 15u);
	a.len = be32_make(len * targets);
	memset(wire, 1, sizeof(wire) / 2);
	memcpy(wire, &h, sizeof(h));
	memcpy(wire + n, &a, sizeof(a));
	n += sizeof(a);
	for (uint32_t i = 0; i < targets; i++) {
		struct ulp_target t = { be64_make(BASE + take(in) * 16u), be32_make(len),
					be32_make(how & 64 ? take(in) : KEY) };

		memcpy(wire + n, &t, sizeof(t));
		n += sizeof(t);
	}
	operand = a.op == PPE_ATOMIC_READ ? 0 : len * targets;
	n += operand + (flags & ULP_F_COMPARE ? len * targets : 0);
	deliver(wire, how & 32 ? n - 1 : n, how & 16 ? 7 : 0);
}

static void step_tagged(struct input *in)
{
	struct iovec iov[64];
	uint8_t how = take(in);
	struct fab_tagged t = { .response = how & 1,
				.first = true,
				.last = !(how & 2),
				.stag = how & 1   ? number(in)
					: how & 4 ? take(in)
						  : KEY,
				.to = how & 1 ? (how & 8 ? ULP_SINK_MORE : 0) +
							(how & 4 ? take(in) : 0)
					      : BASE + number(in),
				.len = number(in) % MESSAGE_MAX };
	int n = 0;

	if (how & 16 && !(how & 1))
		t.len = 0;
	if (t.len) {
		n = conn->ops->rx_tagged(conn->user, &t, iov, 64);
		if (!there())
			return;
		if (n < 0) {
			over(n);
			return;
		}
		must(!n || total(iov, n) == t.len);
		scatter(iov, n, mem, t.len < sizeof(mem) ? t.len : 0);
	}
	conn->ops->rx_tagged_done(conn->user, &t);
}

static void step_request(struct input *in, bool native)
{
	uint8_t how = take(in);
	struct fab_read_req r = { .sink_stag = take(in),
				  .stag = how & 1 ? KEY : take(in) % 8,
				  .sink_to = how & 2 ? ULP_SINK_MORE : 0,
				  .to = how & 4 ? ULP_SOURCE_TO + number(in) : BASE + number(in),
				  .len = 1 + number(in) % MESSAGE_MAX };
	struct fab_atomic_req a = { .id = take(in),
				    .stag = r.stag,
				    .to = r.to,
				    .atomic = { .op = how & 8 ? FAB_FETCH_ADD : FAB_CMP_SWAP,
						.data = how } };
	int err =
		native ? conn->ops->rx_atomic(conn->user, &a) : conn->ops->rx_read(conn->user, &r);

	if (err < 0)
		over(err);
}

static struct ppe_sge piece(uint32_t len)
{
	return (struct ppe_sge){
		.addr = (uintptr_t)mem, .len = len, .region = mine.region, .ptag = mine.ptag
	};
}

static void step_post(struct input *in)
{
	uint8_t op = take(in) % (PPE_OP_COMPARE + 1), how = take(in);
	struct ppe_sge sge[3] = { piece(number(in) % MESSAGE_MAX), piece(8), piece(8) };
	struct ppe_rma rma = { .addr = number(in), .len = sge[0].len, .key = take(in) };
	struct ppe_msg m = { .op = op == PPE_OP_RECV ? PPE_OP_SEND : op,
			     .nsge = 1,
			     .sge = sge,
			     .user_tag = how & 3,
			     .tag = how & 1,
			     .flags = (how & 4 ? PPE_POST_DELIVERY : 0) |
				      (how & 8 ? PPE_POST_FENCE : 0) };

	if (m.op == PPE_OP_SEND)
		m.flags |= how & 16 ? PPE_POST_TAGGED : 0;
	if (m.op <= PPE_OP_WRITE)
		m.flags |= how & 32 ? PPE_POST_DATA : 0;
	if (m.op != PPE_OP_SEND) {
		m.nrma = 1;
		m.rma = &rma;
	}
	if (m.op >= PPE_OP_ATOMIC) {
		sge[0].len = rma.len = 8;
		m.nres = m.op != PPE_OP_ATOMIC;
		m.ncmp = m.op == PPE_OP_COMPARE;
		m.atomic_op = m.op == PPE_OP_COMPARE ? PPE_ATOMIC_CSWAP
			      : how & 64             ? PPE_ATOMIC_SUM
						     : PPE_ATOMIC_BOR;
		m.atomic_type = PPE_UINT64;
	}
	posted += !ppe_post_message(dti, &m);
}

static void step_receive(struct input *in)
{
	uint8_t how = take(in);
	struct ppe_sge sge = piece(number(in) % MESSAGE_MAX);
	struct ppe_msg m = { .op = PPE_OP_RECV,
			     .nsge = 1,
			     .sge = &sge,
			     .peer = how & 1 ? 0 : PPE_ANY,
			     .user_tag = how & 3,
			     .tag = how >> 6,
			     .ignore = how & 2 ? UINT64_MAX : 0,
			     .flags = (how & 4 ? PPE_POST_TAGGED : 0) };

	if (how & 8)
		m.flags |= (how & 16 ? PPE_POST_PEEK : 0) | (how & 32 ? PPE_POST_CLAIM : 0) |
			   (take(in) & 1 ? PPE_POST_DISCARD : 0);
	else if (how & 16)
		m.flags |= PPE_POST_MULTI;
	if (receives++ < 200)
		(void)ppe_post_message(dti, &m);
}

static void turn(void)
{
	turn_lock(ual);
	turn_run(ual, TURN_POLL);
	turn_unlock(ual);
	if (!conn)
		return;
	conn->out.len = conn->out.off = 0;
	conn->out_count = 0;
}

static void from_fabric(struct input *in, enum step step)
{
	turn_lock(ual);
	if (step == STEP_MESSAGE)
		step_message(in);
	else if (step == STEP_RAW)
		step_raw(in);
	else if (step == STEP_ATOMIC)
		step_atomic(in);
	else if (step == STEP_TAGGED)
		step_tagged(in);
	else if (step == STEP_READ || step == STEP_NATIVE)
		step_request(in, step == STEP_NATIVE);
	else if (step == STEP_NATIVE_RESP) {
		int err = conn->ops->rx_atomic_resp(conn->user, take(in), 1);

		if (err < 0)
			over(err);
	} else if (step == STEP_IMMEDIATE) {
		int err = conn->ops->rx_immediate(conn->user, take(in));

		if (err < 0)
			over(err);
	} else {
		over(take(in) & 1 ? 0 : -ECONNRESET);
	}
	turn_unlock(ual);
}

static void from_user(struct input *in, enum step step)
{
	switch (step) {
	case STEP_POST:
		step_post(in);
		break;
	case STEP_RECEIVE:
		step_receive(in);
		break;
	case STEP_TURN:
		turn();
		break;
	case STEP_WINDOW:
		if (there())
			stub_msg_window(conn, take(in) & 1 ? SIZE_MAX : number(in));
		break;
	case STEP_EVENTS:
		events();
		break;
	case STEP_MEMORY:
		must(!ppe_mr_deregister(ual, mine));
		memory();
		break;
	case STEP_CANCEL:
		(void)ppe_dti_cancel(dti, take(in) & 3, 1 + take(in) % 3);
		break;
	default:
		step_open(in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t settings = take(&in);

	engine_open(settings);
	if (settings & 4)
		step_open(&in);
	while (in.left) {
		enum step step = take(&in) % STEPS;

		if (step >= STEP_POST && step != STEP_CLOSE)
			from_user(&in, step);
		else if (there())
			from_fabric(&in, step);
	}
	engine_close(settings);
	return 0;
}
