/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_rdm_peers.c - datagram endpoints that come, go, come again, do not answer, or may not. */
#include "tests/unit/rdm_nodes.h"

#define BIG (2u << 20)
#define OPS 40

static const struct node_attr adaptive = { .placement = "adaptive" };
static const struct node_attr in_line = { .placement = "inline" };

static uint8_t here[BIG], there[BIG];
static uint32_t to[2], key;

static void two(const struct node_attr *a, const struct node_attr *b)
{
	node_open(0, a);
	node_open(1, b);
	to[0] = node_meet(0, 1);
	to[1] = node_meet(1, 0);
}

static int close_all(void **state)
{
	(void)state;
	nodes_close();
	return 0;
}

/* A message there, and one back. */
static void exchange(void)
{
	for (unsigned i = 0; i < 2; i++) {
		post_recv(!i, to[!i], 7, there, 10, PPE_POST_TAGGED, 3, 0);
		post_send(i, to[i], 8, here, 10, PPE_POST_DELIVERY | PPE_POST_TAGGED, 3);
		expect_event(!i, RX, PPE_EV_RECV, 7, 0);
		expect_event(i, TX, PPE_EV_SEND, 8, 0);
	}
}

/* ------------------------------------------------------------------------- dialling */

static void peers_dial_at_once(void **state)
{
	unsigned rounds = TEST_SLOW ? 30 : 150;

	(void)state;
	node_open(0, &adaptive);
	node_open(1, &in_line);
	for (unsigned round = 0; round < rounds; round++) {
		uint32_t len[2] = { round % 3 * 40000, round % 5 * 9000 };

		to[0] = node_meet(0, 1);
		to[1] = node_meet(1, 0);
		for (unsigned i = 0; i < 2; i++)
			for (unsigned k = 0; k < 5; k++)
				post_send(i, to[i], k, here, len[i], k % 2 ? PPE_POST_DELIVERY : 0,
					  0);
		for (unsigned i = 0; i < 2; i++)
			for (unsigned k = 0; k < 5; k++)
				post_recv(i, to[i], k, there + i * (BIG / 2), len[!i], 0, 0, 0);
		for (unsigned i = 0; i < 2; i++)
			for (unsigned k = 0; k < 5; k++) {
				assert_int_equal(next_event(i, TX).status, 0);
				assert_int_equal(expect_event(i, RX, PPE_EV_RECV, k, 0).len,
						 len[!i]);
			}
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(ppe_av_remove(nodes[i].av, to[i]), 0);
			ppe_dti_destroy(nodes[i].dti, false);
			node_settled(i);
			node_endpoint(i, &in_line);
		}
	}
}

static void peers_nobody_there(void **state)
{
	struct node_attr attr = in_line;
	uint64_t start;

	(void)state;
	attr.connect_timeout_ns = 500000000;
	two(&attr, &in_line);
	ppe_dti_destroy(nodes[1].dti, true);
	start = now_ms();
	for (unsigned k = 0; k < 5; k++)
		post_send(0, to[0], k, here, 10, 0, 0);
	for (unsigned k = 0; k < 5; k++)
		expect_event(0, TX, PPE_EV_SEND, k, -ECONNREFUSED);
	assert_true(now_ms() - start < 10000);
	node_settled(0);
	node_endpoint(1, &in_line);
	to[0] = node_meet(0, 1);
	to[1] = node_meet(1, 0);
	exchange();
}

/* ------------------------------------------------------------------------------ ends */

/* Everything there is. */
static void post_all(unsigned i, uint32_t peer)
{
	static uint64_t one = 1, result[OPS];

	for (unsigned k = 0; k < OPS; k++) {
		switch (k % 8) {
		case 0:
			post_send(i, peer, k, here, 100, PPE_POST_DELIVERY, 0);
			break;
		case 1:
			post_send(i, peer, k, here, BIG, 0, 0);
			break;
		case 2:
		case 3:
			post_rma(i, PPE_OP_WRITE, peer, k, here, BIG, (uintptr_t)there, key,
				 k % 8 == 2 ? PPE_POST_DATA : 0);
			break;
		case 4:
			post_rma(i, PPE_OP_READ, peer, k, here, BIG, (uintptr_t)there, key, 0);
			break;
		case 5:
			post_atomic(i, PPE_OP_ATOMIC, PPE_ATOMIC_SUM, peer, k, &one, NULL, NULL,
				    (uintptr_t)there, key);
			break;
		case 6:
			post_atomic(i, PPE_OP_FETCH, PPE_ATOMIC_SUM, peer, k, &one, NULL,
				    &result[k], (uintptr_t)there, key);
			break;
		default:
			post_send(i, peer, k, here, 2000, PPE_POST_FENCE, 0);
		}
	}
}

/* Each operation ends once. How many failed. */
static unsigned all_ended(unsigned i)
{
	bool seen[OPS] = { false };
	unsigned failed = 0;

	for (unsigned k = 0; k < OPS; k++) {
		struct ppe_event ev = next_event(i, TX);

		assert_true(ev.user_tag < OPS && !seen[ev.user_tag]);
		seen[ev.user_tag] = true;
		failed += ev.status != 0;
	}
	return failed;
}

static void forget_events(unsigned i)
{
	for (int q = 0; q < 2; q++)
		nodes[i].got[q].first = nodes[i].got[q].count = 0;
}

/* The peer goes at some moment; then there is another with its name. */
static void peers_destroyed_and_back(void **state)
{
	unsigned rounds = TEST_SLOW ? 15 : 60, failed = 0;
	uint64_t seed = 99;

	(void)state;
	two(&adaptive, &in_line);
	share(1, there, BIG, ALL_REMOTE, NULL, &key);
	for (unsigned round = 0; round < rounds; round++) {
		struct node_attr again = in_line;

		exchange();
		post_all(0, to[0]);
		post_send(1, to[1], 1, there, BIG, 0, 0);
		for (unsigned n = rnd_below(&seed, 40); n--;)
			pump();
		again.port = ntohs(nodes[1].addr.in.sin_port);
		ppe_dti_destroy(nodes[1].dti, round % 2);
		pump_for(1);
		node_settled(1);
		if (round % 3)
			failed += all_ended(0);
		forget_events(1);
		node_endpoint(1, &again);
		/* the old operations may still wait, for the old one: they end, or go to the new */
		if (round % 3 == 0) {
			for (unsigned k = 0; k < OPS; k++)
				post_recv(1, PPE_ANY, k, there, BIG, 0, 0, 0);
			failed += all_ended(0);
			for (unsigned k = 0; k < OPS; k++)
				ppe_dti_cancel(nodes[1].dti, k, PPE_CANCEL_RECV);
		}
		pump_for(TEST_SLOW ? 50 : 5);
		forget_events(0);
		forget_events(1);
		node_settled(0);
	}
	assert_true(failed > 0);
	exchange();
}

/* Our own end, with everything outstanding. */
static void peers_destroy_ourselves(void **state)
{
	uint64_t seed = 7;

	(void)state;
	two(&in_line, &adaptive);
	share(1, there, BIG, ALL_REMOTE, NULL, &key);
	for (unsigned round = 0; round < (TEST_SLOW ? 10 : 40); round++) {
		post_all(0, to[0]);
		post_send(1, to[1], 1, there, BIG, 0, 0);
		post_recv(0, PPE_ANY, 5, here, BIG, 0, 0, 0);
		for (unsigned n = rnd_below(&seed, 40); n--;)
			pump();
		ppe_dti_destroy(nodes[0].dti, round % 2);
		if (round % 2 == 0)
			all_ended(0);
		pump_for(2);
		node_settled(0);
		pump_until(nodes[1].got[TX].count > nodes[1].got[TX].first);
		forget_events(0);
		forget_events(1);
		assert_int_equal(ppe_av_remove(nodes[1].av, to[1]), 0);
		node_endpoint(0, &in_line);
		to[1] = node_meet(1, 0);
	}
	exchange();
}

/* One that is there, and says nothing: an engine that nobody runs. */
static void peers_silent(void **state)
{
	struct node_attr attr = adaptive;
	struct ppe_ual *quiet;
	unsigned failed;
	uint64_t start;

	(void)state;
	attr.peer_timeout_ns = 500000000;
	two(&attr, &in_line);
	node_open(2, &adaptive);
	share(1, there, BIG, ALL_REMOTE, NULL, &key);
	exchange();
	quiet = nodes[1].ual;
	nodes[1].ual = NULL; /* pump() leaves it out */
	start = now_ms();
	post_all(0, to[0]);
	/* others are not disturbed */
	for (unsigned k = 0; k < 5; k++) {
		uint32_t other = node_meet(0, 2);

		post_recv(2, PPE_ANY, k, there, 100, 0, 0, 0);
		post_send(0, other, 1000, here, 100, 0, 0);
		expect_event(2, RX, PPE_EV_RECV, k, 0);
	}
	for (unsigned k = 0; k < 5; k++)
		for (struct ppe_event ev = next_event(0, TX); ev.user_tag != 1000;)
			ev = next_event(0, TX);
	pump_for(100);
	forget_events(0);
	pump_until(now_ms() - start > 3000);
	failed = nodes[0].got[TX].count - nodes[0].got[TX].first;
	assert_true(failed > OPS / 2);
	node_settled(0);
	nodes[1].ual = quiet;
	pump_for(50);
	forget_events(0);
	exchange();
}

static void peers_removed(void **state)
{
	uint32_t other;

	(void)state;
	two(&in_line, &in_line);
	node_open(2, &adaptive);
	exchange();
	assert_int_equal(ppe_av_remove(nodes[0].av, to[0]), 0);
	post_send(0, to[0], 1, here, 10, 0, 0);
	expect_event(0, TX, PPE_EV_SEND, 1, -EADDRNOTAVAIL);
	/* what it sends still comes, from somebody without a number */
	post_recv(0, PPE_ANY, 2, there, 10, 0, 0, 0);
	post_send(1, to[1], 3, here, 10, 0, 0);
	assert_true(expect_event(0, RX, PPE_EV_RECV, 2, 0).src & PPE_SRC_UNKNOWN);
	expect_event(1, TX, PPE_EV_SEND, 3, 0);
	/* the number is another's */
	other = node_meet(0, 2);
	post_recv(2, PPE_ANY, 4, there + 100, 10, 0, 0, 0);
	post_send(0, other, 5, here, 10, 0, 0);
	expect_event(2, RX, PPE_EV_RECV, 4, 0);
	expect_event(0, TX, PPE_EV_SEND, 5, 0);
	to[0] = node_meet(0, 1);
	exchange();
	node_settled(0);
}

/* -------------------------------------------------------------- authorisation keys */

static void peers_keys(void **state)
{
	static const char *const keys[][2] = {
		{ "same", "same" }, { "one", "another" }, { "one", NULL }, { NULL, "one" }
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned from = 0; from < 2; from++) {
			struct node_attr a = in_line, b = adaptive;
			int status;

			a.auth = keys[i][0];
			b.auth = keys[i][1];
			a.connect_timeout_ns = b.connect_timeout_ns = 1000000000;
			two(&a, &b);
			share(!from, there, BIG, ALL_REMOTE, keys[i][!from], &key);
			post_recv(!from, PPE_ANY, 1, there, 100, 0, 0, 0);
			post_send(from, to[from], 2, here, 100, PPE_POST_DELIVERY, 0);
			status = next_event(from, TX).status;
			if (i) {
				assert_true(status < 0);
				post_rma(from, PPE_OP_WRITE, to[from], 3, here, 100,
					 (uintptr_t)there, key, 0);
				assert_true(next_event(from, TX).status < 0);
				expect_nothing(!from, 50);
			} else {
				assert_int_equal(status, 0);
				expect_event(!from, RX, PPE_EV_RECV, 1, 0);
				post_rma(from, PPE_OP_WRITE, to[from], 3, here, 100,
					 (uintptr_t)there, key, 0);
				expect_event(from, TX, PPE_EV_WRITE, 3, 0);
				exchange();
			}
			node_settled(from);
			nodes_close();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(peers_dial_at_once, close_all),
		cmocka_unit_test_teardown(peers_nobody_there, close_all),
		cmocka_unit_test_teardown(peers_destroyed_and_back, close_all),
		cmocka_unit_test_teardown(peers_destroy_ourselves, close_all),
		cmocka_unit_test_teardown(peers_silent, close_all),
		cmocka_unit_test_teardown(peers_removed, close_all),
		cmocka_unit_test_teardown(peers_keys, close_all),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
