/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_rdm.c - messages of datagram endpoints: who meets whom and when, credit, back-pressure. */
#include "tests/unit/rdm_nodes.h"

static const struct node_attr adaptive = { .placement = "adaptive" };
static const struct node_attr in_line = { .placement = "inline" };

static int close_all(void **state)
{
	(void)state;
	nodes_close();
	return 0;
}

/* -------------------------------------------------- messages and receives at random */

#define SENDERS 2
#define RECEIVER 2
#define MESSAGES (TEST_SLOW ? 150 : 400)
#define MESSAGES_MAX 400
#define TAGS 4
#define LEN_MAX (100 * 1024)

struct message {
	uint32_t len;
	bool tagged;
	uint64_t tag;
	unsigned taken_by; /* 1 + number of the receive */
};

struct receive {
	uint32_t peer;
	bool tagged, over;
	uint64_t tag, ignore;
	uint8_t *buf;
	int sender, number; /* what it got */
};

static struct message messages[SENDERS][MESSAGES_MAX];
static struct receive receives[2 * SENDERS * MESSAGES_MAX];
static uint8_t content[LEN_MAX + 256];
static unsigned nsent[SENDERS], nreceives, narrived, ntx;
static uint32_t to_receiver[SENDERS], sender_number[SENDERS];

static const uint8_t *content_of(unsigned sender, unsigned number)
{
	return content + (sender * 128 + number) % 256;
}

static bool fits(const struct receive *r, unsigned sender, const struct message *m)
{
	return r->tagged == m->tagged && (!r->tagged || !((r->tag ^ m->tag) & ~r->ignore)) &&
	       (r->peer == PPE_ANY || r->peer == sender_number[sender]);
}

static void make_messages(uint64_t *seed)
{
	for (unsigned s = 0; s < SENDERS; s++) {
		for (unsigned i = 0; i < MESSAGES; i++) {
			struct message *m = &messages[s][i];
			unsigned kind = rnd_below(seed, 8);

			memset(m, 0, sizeof(*m));
			m->len = kind == 0   ? 0
				 : kind == 1 ? rnd_below(seed, LEN_MAX)
				 : kind == 2 ? 16 * 1024 - 2 + rnd_below(seed, 5)
					     : rnd_below(seed, 3000);
			m->tagged = rnd_below(seed, 3);
			m->tag = m->tagged ? rnd_below(seed, TAGS) : 0;
		}
	}
	for (unsigned i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)((i * 0x9e3779b97f4a7c15ull) >> 56);
}

/* False: no room now. */
static bool try_send(unsigned s, uint64_t *seed)
{
	const struct message *m = &messages[s][nsent[s]];
	struct ppe_sge sge = mem(s, content_of(s, nsent[s]), m->len);
	struct ppe_msg p = { .op = PPE_OP_SEND,
			     .nsge = 1,
			     .sge = &sge,
			     .peer = to_receiver[s],
			     .user_tag = nsent[s],
			     .tag = m->tag,
			     .data = s * 100000 + nsent[s],
			     .flags = PPE_POST_DATA | (m->tagged ? PPE_POST_TAGGED : 0) |
				      (rnd_below(seed, 4) ? 0 : PPE_POST_DELIVERY) };
	int err = ppe_post_message(nodes[s].dti, &p);

	if (err) {
		assert_int_equal(err, -EAGAIN);
		return false;
	}
	nsent[s]++;
	return true;
}

static void post_receive(uint64_t *seed, bool any)
{
	struct receive *r = &receives[nreceives];
	unsigned sender = rnd_below(seed, SENDERS);

	assert_true(nreceives < sizeof(receives) / sizeof(receives[0]));
	*r = (struct receive){ .peer = PPE_ANY, .sender = -1, .buf = malloc(LEN_MAX) };
	assert_non_null(r->buf);
	r->tagged = rnd_below(seed, 3);
	r->ignore = any ? UINT64_MAX : rnd_below(seed, 2) ? 0 : rnd_below(seed, TAGS);
	r->tag = rnd_below(seed, TAGS);
	if (!any && !rnd_below(seed, 3))
		r->peer = sender_number[sender];
	post_recv(RECEIVER, r->peer, nreceives++, r->buf, LEN_MAX, r->tagged ? PPE_POST_TAGGED : 0,
		  r->tag, r->ignore);
}

/* An event of the receiver's, against what was sent. */
static void took(const struct ppe_event *ev)
{
	struct receive *r = &receives[ev->user_tag];
	unsigned sender = (unsigned)ev->data / 100000, number = (unsigned)ev->data % 100000;
	struct message *m = &messages[sender][number];

	assert_int_equal(ev->type, PPE_EV_RECV);
	assert_true(ev->user_tag < nreceives && !r->over);
	r->over = true;
	if (ev->status == -ECANCELED) {
		free(r->buf);
		return;
	}
	assert_int_equal(ev->status, 0);
	assert_int_equal(ev->src, sender_number[sender]);
	assert_int_equal(ev->len, m->len);
	assert_true(fits(r, sender, m));
	assert_int_equal(m->taken_by, 0);
	assert_memory_equal(r->buf, content_of(sender, number), m->len);
	if (m->tagged)
		assert_int_equal(ev->tag, m->tag);
	m->taken_by = 1 + (unsigned)ev->user_tag;
	r->sender = (int)sender;
	r->number = (int)number;
	narrived++;
	free(r->buf);
}

static void take_events(void)
{
	struct events *e = &nodes[RECEIVER].got[RX];

	while (e->first < e->count)
		took(&e->ev[e->first++]);
	for (unsigned s = 0; s < SENDERS; s++) {
		e = &nodes[s].got[TX];
		for (; e->first < e->count; e->first++, ntx++) {
			assert_int_equal(e->ev[e->first].status, 0);
			assert_int_equal(e->ev[e->first].type, PPE_EV_SEND);
		}
	}
}

/* Of what a receive fitted it got what was sent first; of those that fitted it the oldest got it. */
static void check_order(void)
{
	for (unsigned i = 0; i < nreceives; i++) {
		const struct receive *r = &receives[i];

		for (int k = 0; k < r->number && r->sender >= 0; k++) {
			const struct message *m = &messages[r->sender][k];

			if (fits(r, (unsigned)r->sender, m))
				assert_true(m->taken_by && m->taken_by - 1 < i);
		}
		for (unsigned s = 0; s < SENDERS && r->sender < 0; s++)
			for (unsigned k = 0; k < MESSAGES; k++)
				if (fits(r, s, &messages[s][k]))
					assert_true(messages[s][k].taken_by - 1 < i);
	}
}

static void run_model(const struct node_attr attr[3], uint64_t seed)
{
	uint64_t end = now_ms() + 100000;

	nsent[0] = nsent[1] = nreceives = narrived = ntx = 0;
	for (unsigned i = 0; i < 3; i++)
		node_open(i, &attr[i]);
	for (unsigned s = 0; s < SENDERS; s++) {
		to_receiver[s] = node_meet(s, RECEIVER);
		sender_number[s] = node_meet(RECEIVER, s);
	}
	make_messages(&seed);
	while (narrived < SENDERS * MESSAGES || ntx < SENDERS * MESSAGES) {
		bool all = true;

		for (unsigned s = 0; s < SENDERS; s++) {
			unsigned n = rnd_below(&seed, 20);

			while (n-- && nsent[s] < MESSAGES && try_send(s, &seed))
				;
			all &= nsent[s] == MESSAGES;
		}
		if (nreceives < narrived + 60 + (all ? 60 : 0) &&
		    nreceives < 2 * SENDERS * MESSAGES && rnd_below(&seed, 2))
			for (unsigned n = rnd_below(&seed, 20); n--;)
				post_receive(&seed, all || rnd_below(&seed, 2));
		pump();
		take_events();
		assert_true(now_ms() < end);
	}
	for (unsigned i = 0; i < nreceives; i++) {
		if (receives[i].over)
			continue;
		assert_int_equal(ppe_dti_cancel(nodes[RECEIVER].dti, i, PPE_CANCEL_RECV), 1);
		pump_until((take_events(), receives[i].over));
	}
	check_order();
	pump_for(20);
	for (unsigned i = 0; i < 3; i++)
		node_settled(i);
	assert_int_equal(ppe_cntr_value(nodes[RECEIVER].received), SENDERS * MESSAGES);
	nodes_close();
}

static void rdm_model(void **state)
{
	struct node_attr attr[3] = { adaptive, in_line, adaptive };

	(void)state;
	run_model(attr, 17);
	run_model((struct node_attr[3]){ in_line, adaptive, in_line }, 4711);
}

/* The same with event queues that are always full, and few operations at a time. */
static void rdm_model_tight(void **state)
{
	struct node_attr attr[3] = { adaptive, in_line, adaptive };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		attr[i].evq_size = i == 1 ? 2 : 4;
	run_model(attr, 99);
	attr[2] = in_line;
	attr[2].evq_size = 2;
	attr[0].tx_max = 3;
	run_model(attr, 100);
}

/* ------------------------------------------------------------------------------ credit */

static uint8_t out[2 << 20], in[2 << 20];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)((i * 0x9e3779b97f4a7c15ull) >> 56);
	memset(in, 0, sizeof(in));
}

static void two(const struct node_attr *a, const struct node_attr *b, uint32_t number[2])
{
	node_open(0, a);
	node_open(1, b);
	number[0] = node_meet(0, 1);
	number[1] = node_meet(1, 0);
	fill();
}

/* Nobody receives for a long time: what the window holds completes, the rest waits, in order. */
static void rdm_no_receives(void **state)
{
	struct node_attr attr = adaptive;
	uint32_t to[2];
	unsigned posted = 0, ended = 0;
	uint64_t end;

	(void)state;
	attr.slots = 4096;
	attr.evq_size = 4096;
	two(&attr, &in_line, to);
	for (; posted < 1000; posted++)
		post_send(0, to[0], posted, out + posted, 1024, 0, 0);
	/* as long as they end, and then a while, in which a machine in use may not get to it */
	for (end = now_ms() + 10000; now_ms() < end; pump()) {
		if (nodes[0].got[TX].count == ended)
			continue;
		ended = nodes[0].got[TX].count;
		if (ended >= 200)
			end = now_ms() + 300;
	}
	ended = 0;
	/* 256 KiB at 1 KiB and a header each */
	assert_in_range(nodes[0].got[TX].count, 200, 260);
	for (unsigned i = 0; i < posted; i++) {
		post_recv(1, PPE_ANY, i, in, 1024, 0, 0, 0);
		assert_int_equal(expect_event(1, RX, PPE_EV_RECV, i, 0).len, 1024);
		assert_memory_equal(in, out + i, 1024);
	}
	for (; ended < posted; ended++)
		assert_int_equal(next_event(0, TX).status, 0);
	expect_nothing(0, 10);
	/* and the credit has come back, half of it at least */
	for (unsigned i = 0; i < 100; i++)
		post_send(0, to[0], i, out, 1024, 0, 0);
	for (unsigned i = 0; i < 100; i++)
		expect_event(0, TX, PPE_EV_SEND, i, 0);
	node_settled(0);
}

static void rdm_boundary(void **state)
{
	uint32_t to[2];

	(void)state;
	two(&in_line, &adaptive, to);
	for (uint32_t len = 16 * 1024 - 3; len <= 16 * 1024 + 3; len++) {
		for (unsigned late = 0; late < 2; late++) {
			uint32_t flags = PPE_POST_DELIVERY | PPE_POST_TAGGED;

			memset(in, 0, len + 1);
			if (!late)
				post_recv(1, to[1], 1, in, len, PPE_POST_TAGGED, 5, 0);
			post_send(0, to[0], 2, out + len, len, flags, 5);
			expect_nothing(0, late ? 5 : 0);
			if (late)
				post_recv(1, to[1], 1, in, len, PPE_POST_TAGGED, 5, 0);
			assert_int_equal(expect_event(1, RX, PPE_EV_RECV, 1, 0).len, len);
			assert_memory_equal(in, out + len, len);
			assert_int_equal(in[len], 0);
			expect_event(0, TX, PPE_EV_SEND, 2, 0);
		}
	}
	/* longer than the receive, both ways of sending */
	for (uint32_t len = 1000; len <= 100000; len *= 10) {
		struct ppe_event ev;

		post_recv(1, PPE_ANY, 1, in, 10, 0, 0, 0);
		post_send(0, to[0], 2, out, len, PPE_POST_DELIVERY, 0);
		ev = expect_event(1, RX, PPE_EV_RECV, 1, -EMSGSIZE);
		assert_int_equal(ev.len, 10);
		assert_int_equal(ev.full_len, len);
		expect_event(0, TX, PPE_EV_SEND, 2, 0);
	}
}

/* ---------------------------------------------------------------- receives for many */

static void rdm_multi(void **state)
{
	uint32_t to[2], total = 0, released = 0;
	unsigned got = 0, posted = 0;

	(void)state;
	two(&adaptive, &in_line, to);
	assert_int_equal(ppe_dti_set_multi_min(nodes[1].dti, 2000), 0);
	for (unsigned i = 0; i < 200; i++)
		post_send(0, to[0], i, out + i, i * 97 % 2000, 0, 0);
	while (got < 200) {
		struct events *e = &nodes[1].got[RX];

		if (posted == released) {
			post_recv(1, PPE_ANY, posted % 2, in + (posted % 2 << 20), 10000,
				  PPE_POST_MULTI, 0, 0);
			posted++;
		}
		pump();
		for (; e->first < e->count; e->first++) {
			const struct ppe_event *ev = &e->ev[e->first];

			assert_int_equal(ev->status, 0);
			released += !!(ev->flags & PPE_EVF_RELEASED);
			assert_int_equal(ev->len, got * 97 % 2000);
			assert_memory_equal((void *)(uintptr_t)ev->buf, out + got, ev->len);
			total += ev->len;
			got++;
		}
	}
	assert_true(posted >= total / 10000);
	for (unsigned i = 0; i < 200; i++)
		expect_event(0, TX, PPE_EV_SEND, i, 0);
}

/* Questions wait for an event slot like everything else. */
static void rdm_peeks_without_slots(void **state)
{
	struct node_attr attr = in_line;
	uint32_t to[2];

	(void)state;
	attr.evq_size = 2;
	two(&in_line, &attr, to);
	for (unsigned i = 0; i < 6; i++)
		post_recv(1, PPE_ANY, i, in, 0, PPE_POST_PEEK, 0, 0);
	for (unsigned i = 0; i < 6; i++)
		expect_event(1, RX, PPE_EV_RECV, i, -ENOMSG);
	for (unsigned i = 0; i < 4; i++)
		post_send(0, to[0], i, out, 100, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		expect_event(0, TX, PPE_EV_SEND, i, 0);
	pump_for(20);
	for (unsigned i = 0; i < 4; i++)
		post_recv(1, PPE_ANY, i, in, 0, PPE_POST_PEEK | PPE_POST_CLAIM, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		post_recv(1, PPE_ANY, i, in, 1000, PPE_POST_CLAIM | PPE_POST_MULTI, 0, 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(expect_event(1, RX, PPE_EV_RECV, i % 4, 0).len, 100);
	node_settled(1);
}

/* ----------------------------------------------------- delivery, fence, cancel, itself */

static void rdm_delivery(void **state)
{
	uint32_t to[2];

	(void)state;
	two(&in_line, &adaptive, to);
	for (unsigned i = 0; i < 5; i++)
		post_send(0, to[0], i, out, 100, PPE_POST_DELIVERY, 0);
	expect_nothing(0, 50);
	post_recv(1, PPE_ANY, 0, in, 100, 0, 0, 0);
	expect_event(1, RX, PPE_EV_RECV, 0, 0);
	expect_event(0, TX, PPE_EV_SEND, 0, 0);
	expect_nothing(0, 20);
	for (unsigned i = 1; i < 5; i++) {
		post_recv(1, PPE_ANY, i, in, 100, 0, 0, 0);
		expect_event(1, RX, PPE_EV_RECV, i, 0);
		expect_event(0, TX, PPE_EV_SEND, i, 0);
	}
}

static void rdm_fence_and_cancel(void **state)
{
	uint32_t to[2];

	(void)state;
	two(&in_line, &adaptive, to);
	/* they are connected before time is counted */
	post_recv(1, PPE_ANY, 9, in, 100, 0, 0, 0);
	post_send(0, to[0], 9, out, 10, 0, 0);
	expect_event(1, RX, PPE_EV_RECV, 9, 0);
	expect_event(0, TX, PPE_EV_SEND, 9, 0);
	post_send(0, to[0], 1, out, 100000, 0, 0);
	post_send(0, to[0], 2, out, 10, PPE_POST_FENCE, 0);
	post_send(0, to[0], 3, out, 20, PPE_POST_TAGGED, 7);
	expect_nothing(0, 50);
	/* the third waits behind the second: neither has begun */
	assert_int_equal(ppe_dti_cancel(nodes[0].dti, 3, PPE_CANCEL_SEND), 1);
	expect_event(0, TX, PPE_EV_SEND, 3, -ECANCELED);
	assert_int_equal(ppe_dti_cancel(nodes[0].dti, 1, PPE_CANCEL_SEND), -ENOENT);
	post_recv(1, PPE_ANY, 1, in, 100000, 0, 0, 0);
	post_recv(1, PPE_ANY, 2, in + 100000, 100000, 0, 0, 0);
	expect_event(1, RX, PPE_EV_RECV, 1, 0);
	expect_event(0, TX, PPE_EV_SEND, 1, 0);
	expect_event(0, TX, PPE_EV_SEND, 2, 0);
	expect_event(1, RX, PPE_EV_RECV, 2, 0);
	node_settled(0);
	pump_for(5);
	node_settled(1);
}

static void rdm_itself(void **state)
{
	static const char *const placement[] = { "inline", "adaptive" };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct node_attr attr = { .placement = placement[k] };
		uint32_t me, key;

		node_open(0, &attr);
		fill();
		me = node_meet(0, 0);
		for (unsigned i = 0; i < 50; i++) {
			uint32_t len = i * 3001;

			if (i % 2)
				post_recv(0, me, i, in, len, 0, 0, 0);
			post_send(0, me, i, out, len, i % 3 ? 0 : PPE_POST_DELIVERY, 0);
			if (!(i % 2))
				post_recv(0, PPE_ANY, i, in, len, 0, 0, 0);
			assert_int_equal(expect_event(0, RX, PPE_EV_RECV, i, 0).len, len);
			expect_event(0, TX, PPE_EV_SEND, i, 0);
			assert_memory_equal(in, out, len);
		}
		memset(in, 0, sizeof(in));
		share(0, in, sizeof(in), ALL_REMOTE, NULL, &key);
		post_rma(0, PPE_OP_WRITE, me, 1, out, sizeof(out), (uintptr_t)in, key, 0);
		expect_event(0, TX, PPE_EV_WRITE, 1, 0);
		assert_memory_equal(in, out, sizeof(in));
		nodes_close();
	}
}

/* What carries the messages between two of them is the engine's wire; of several, one of those. */
static void check_wire(unsigned i, uint32_t peer)
{
	struct ppe_ual_info info;
	const char *wire = NULL;

	ppe_ual_info(nodes[i].ual, &info);
	assert_int_equal(ppe_dti_wire(nodes[i].dti, peer, &wire), 0);
	if (!strcmp(info.fabric, "both"))
		assert_true(!strcmp(wire, "tcp") || !strcmp(wire, "second"));
	else
		assert_string_equal(wire, info.fabric);
}

static void rdm_wire(void **state)
{
	const char *wire;
	uint32_t to[2];
	struct ppe_event ev;

	(void)state;
	two(&in_line, &in_line, to);
	assert_int_equal(ppe_dti_wire(nodes[0].dti, to[0], &wire), -ENOTCONN);
	assert_int_equal(ppe_dti_wire(nodes[0].dti, 1000, &wire), -ENOTCONN);
	assert_int_equal(ppe_dti_wire(nodes[0].dti, PPE_ANY, &wire), -ENOTCONN);
	assert_int_equal(ppe_dti_wire(nodes[0].dti, PPE_SRC_UNKNOWN | 9, &wire), -ENOTCONN);
	post_recv(1, PPE_ANY, 1, in, 100, 0, 0, 0);
	post_send(0, to[0], 1, out, 10, 0, 0);
	expect_event(0, TX, PPE_EV_SEND, 1, 0);
	ev = expect_event(1, RX, PPE_EV_RECV, 1, 0);
	check_wire(0, to[0]);
	check_wire(1, ev.src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(rdm_model, close_all),
		cmocka_unit_test_teardown(rdm_model_tight, close_all),
		cmocka_unit_test_teardown(rdm_no_receives, close_all),
		cmocka_unit_test_teardown(rdm_boundary, close_all),
		cmocka_unit_test_teardown(rdm_multi, close_all),
		cmocka_unit_test_teardown(rdm_peeks_without_slots, close_all),
		cmocka_unit_test_teardown(rdm_delivery, close_all),
		cmocka_unit_test_teardown(rdm_fence_and_cancel, close_all),
		cmocka_unit_test_teardown(rdm_itself, close_all),
		cmocka_unit_test_teardown(rdm_wire, close_all),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
