/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_rdm_rma.c - datagram endpoints and each other's memory: what is done, counted and refused. */
#include "tests/unit/rdm_nodes.h"
#include "tests/unit/test_host.h"

#define MIB (1u << 20)
#define BIG (4 * MIB)

static const struct node_attr adaptive = { .placement = "adaptive" };
static const struct node_attr in_line = { .placement = "inline" };

static uint8_t here[BIG], there[BIG];
static uint32_t to[2], key;
static struct ppe_mr shared;

static void fill(uint8_t *p, uint64_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(((from + i) * 0x9e3779b97f4a7c15ull) >> 56);
}

static int two_nodes(void **state)
{
	(void)state;
	node_open(0, &adaptive);
	node_open(1, &in_line);
	to[0] = node_meet(0, 1);
	to[1] = node_meet(1, 0);
	fill(here, 0, BIG);
	memset(there, 0, BIG);
	shared = share(1, there, BIG, ALL_REMOTE, NULL, &key);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	nodes_close();
	return 0;
}

static uint64_t at(size_t offset)
{
	return (uintptr_t)there + offset;
}

/* ------------------------------------------------------------------------ what is done */

static const uint32_t sizes[] = { 0,   1,       8,       4096,        100000,  MIB - 1,
				  MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 3 * MIB, BIG };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void rma_sizes_and_counts(void **state)
{
	uint64_t writes = 0, reads = 0;

	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		for (unsigned data = 0; data < 2; data++) {
			memset(there, 0, BIG);
			post_rma(0, PPE_OP_WRITE, to[0], i, here, sizes[i], at(0), key,
				 data ? PPE_POST_DATA : 0);
			expect_event(0, TX, PPE_EV_WRITE, i, 0);
			writes++;
			if (data)
				assert_int_equal(next_event(1, RX).data, i);
			assert_memory_equal(here, there, sizes[i]);
			for (size_t k = sizes[i]; k < BIG && k < sizes[i] + 100; k++)
				assert_int_equal(there[k], 0);
			assert_int_equal(ppe_cntr_value(nodes[1].was_written), writes);
			assert_int_equal(ppe_cntr_value(nodes[0].wrote), writes);
		}
		fill(there, 77 + i, BIG);
		memset(here, 0, BIG);
		post_rma(0, PPE_OP_READ, to[0], i, here, sizes[i], at(0), key, 0);
		expect_event(0, TX, PPE_EV_READ, i, 0);
		reads++;
		assert_memory_equal(here, there, sizes[i]);
		pump_for(2);
		/* nothing is asked of the peer for no bytes */
		assert_int_equal(ppe_cntr_value(nodes[1].was_read), reads - 1);
		assert_int_equal(ppe_cntr_value(nodes[0].read), reads);
	}
	expect_nothing(0, 10);
	expect_nothing(1, 10);
	assert_int_equal(ppe_cntr_errors(nodes[0].wrote), 0);
	node_settled(0);
}

/* Several at a time, in pieces here and there. */
static void rma_lists(void **state)
{
	struct ppe_sge sge[3] = { mem(0, here, 10), mem(0, here + 10, MIB),
				  mem(0, here + 10 + MIB, 90) };
	struct ppe_rma rma[2] = { { .addr = at(0), .len = 50, .key = key },
				  { .addr = at(50), .len = MIB + 50, .key = key } };
	struct ppe_msg m = {
		.op = PPE_OP_WRITE, .nsge = 3, .sge = sge, .nrma = 2, .rma = rma, .peer = to[0]
	};

	(void)state;
	for (m.user_tag = 0; m.user_tag < 20; m.user_tag++)
		post(0, &m);
	for (uint64_t i = 0; i < 20; i++)
		expect_event(0, TX, PPE_EV_WRITE, i, 0);
	assert_memory_equal(here, there, MIB + 100);
	fill(there, 5, BIG);
	m.op = PPE_OP_READ;
	for (m.user_tag = 0; m.user_tag < 20; m.user_tag++)
		post(0, &m);
	for (uint64_t i = 0; i < 20; i++)
		expect_event(0, TX, PPE_EV_READ, i, 0);
	assert_memory_equal(here, there, MIB + 100);
}

static void rma_atomics(void **state)
{
	uint64_t *word = (uint64_t *)(void *)there, one = 1, cmp = 0, old[100];

	(void)state;
	*word = 0;
	for (unsigned i = 0; i < 100; i++)
		post_atomic(0, i % 2 ? PPE_OP_ATOMIC : PPE_OP_FETCH, PPE_ATOMIC_SUM, to[0], i, &one,
			    NULL, &old[i], at(0), key);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(next_event(0, TX).status, 0);
	assert_int_equal(*word, 100);
	post_atomic(0, PPE_OP_FETCH, PPE_ATOMIC_READ, to[0], 1, NULL, NULL, old, at(0), key);
	expect_event(0, TX, PPE_EV_FETCH, 1, 0);
	assert_int_equal(old[0], 100);
	cmp = 100;
	one = 7;
	post_atomic(0, PPE_OP_COMPARE, PPE_ATOMIC_CSWAP, to[0], 1, &one, &cmp, old, at(0), key);
	expect_event(0, TX, PPE_EV_FETCH, 1, 0);
	assert_int_equal(*word, 7);
	post_atomic(0, PPE_OP_COMPARE, PPE_ATOMIC_CSWAP_LT, to[0], 1, &cmp, &one, old, at(8), key);
	expect_event(0, TX, PPE_EV_FETCH, 1, 0);
	assert_int_equal(word[1], 0);
	pump_for(5);
	assert_int_equal(ppe_cntr_value(nodes[1].was_written) + ppe_cntr_value(nodes[1].was_read),
			 103);
}

/* --------------------------------------------------------------------- what is refused */

struct refusal {
	uint64_t addr;
	uint32_t key, len;
	int status;
};

static void refuse_all(const struct refusal *r, uint64_t tag)
{
	uint64_t word = 1, old = 0;

	post_rma(0, PPE_OP_WRITE, to[0], tag, here, r->len, r->addr, r->key, PPE_POST_DATA);
	expect_event(0, TX, PPE_EV_WRITE, tag, r->status);
	post_rma(0, PPE_OP_READ, to[0], tag, here, r->len, r->addr, r->key, 0);
	expect_event(0, TX, PPE_EV_READ, tag, r->status);
	post_atomic(0, PPE_OP_ATOMIC, PPE_ATOMIC_SUM, to[0], tag, &word, NULL, NULL, r->addr,
		    r->key);
	expect_event(0, TX, PPE_EV_ATOMIC, tag, r->status);
	post_atomic(0, PPE_OP_FETCH, PPE_ATOMIC_SUM, to[0], tag, &word, NULL, &old, r->addr,
		    r->key);
	expect_event(0, TX, PPE_EV_FETCH, tag, r->status);
	post_atomic(0, PPE_OP_FETCH, PPE_ATOMIC_BXOR, to[0], tag, &word, NULL, &old, r->addr,
		    r->key);
	expect_event(0, TX, PPE_EV_FETCH, tag, r->status);
}

static void rma_refused(void **state)
{
	uint32_t none, others, nokey = key ^ 0x1234;
	uint64_t count;

	(void)state;
	share(1, there, BIG, PPE_ACCESS_LOCAL_READ, NULL, &none);
	share(1, there, BIG, ALL_REMOTE, "another", &others);
	post_rma(0, PPE_OP_WRITE, to[0], 0, here, 8, at(0), key, 0);
	expect_event(0, TX, PPE_EV_WRITE, 0, 0);
	count = ppe_cntr_value(nodes[1].was_written);
	for (unsigned i = 0; i < 50; i++) {
		refuse_all(&(struct refusal){ at(0), nokey, 8, -ENOKEY }, i);
		refuse_all(&(struct refusal){ at(BIG - 4), key, 8, -ERANGE }, i);
		refuse_all(&(struct refusal){ at(0), none, 8, -EACCES }, i);
		refuse_all(&(struct refusal){ at(0), others, 8, -EPERM }, i);
		refuse_all(&(struct refusal){ at(BIG - 4), key, 2 * MIB, -ERANGE }, i);
		if (i % 10)
			continue;
		post_rma(0, PPE_OP_WRITE, to[0], i, here, 1000, at(0), key, 0);
		expect_event(0, TX, PPE_EV_WRITE, i, 0);
		post_rma(0, PPE_OP_READ, to[0], i, here, 1000, at(0), key, 0);
		expect_event(0, TX, PPE_EV_READ, i, 0);
		count++;
	}
	expect_nothing(1, 10);
	assert_int_equal(ppe_cntr_value(nodes[1].was_written), count);
	node_settled(0);
	node_settled(1);
}

/* The first half of a write is refused, the second would do: it has failed, with its data. */
static void rma_half_refused(void **state)
{
	uint64_t before;

	(void)state;
	ppe_mr_deregister(nodes[1].ual, shared);
	share(1, there + MIB, BIG - MIB, ALL_REMOTE, NULL, &key);
	before = ppe_cntr_value(nodes[1].was_written);
	post_rma(0, PPE_OP_WRITE, to[0], 1, here, MIB + 1000, at(0), key, PPE_POST_DATA);
	expect_event(0, TX, PPE_EV_WRITE, 1, -ERANGE);
	post_rma(0, PPE_OP_READ, to[0], 2, here, MIB + 1000, at(0), key, 0);
	expect_event(0, TX, PPE_EV_READ, 2, -ERANGE);
	expect_nothing(1, 20);
	assert_int_equal(ppe_cntr_value(nodes[1].was_written), before);
	post_rma(0, PPE_OP_WRITE, to[0], 3, here, 1000, at(MIB), key, PPE_POST_DATA);
	expect_event(0, TX, PPE_EV_WRITE, 3, 0);
	assert_int_equal(next_event(1, RX).data, 3);
	assert_int_equal(ppe_cntr_value(nodes[1].was_written), before + 1);
}

/* A connected endpoint's connection ends with it. */
static void rma_refused_connected(void **state)
{
	(void)state;
	nodes_close();
	for (unsigned kind = 0; kind < 3; kind++) {
		struct node_attr attr = { .placement = "inline", .connected = true };
		struct ppe_dti_attr la = { .service = PPE_MESSAGE };
		struct sockaddr_in sa = { .sin_family = AF_INET,
					  .sin_addr.s_addr = test_host_addr() };
		union fab_addr addr;
		struct ppe_event ev;
		struct ppe_dti *l;
		uint64_t word = 1;

		node_open(0, &attr);
		node_open(1, &attr);
		share(1, there, BIG, ALL_REMOTE, NULL, &key);
		la.tx_evq = nodes[1].q[TX];
		assert_int_equal(ppe_dti_create(nodes[1].ual, &la, &l), 0);
		assert_int_equal(ppe_dti_bind(l, (void *)&sa, sizeof(sa)), 0);
		assert_int_equal(ppe_dti_listen(l, 4), 0);
		assert_int_equal(ppe_dti_local(l, &addr), 0);
		assert_int_equal(
			ppe_dti_connect(nodes[0].dti, &addr.sa, sizeof(addr.in), 0, 9, NULL, 0), 0);
		ev = next_event(1, TX);
		assert_int_equal(ev.type, PPE_EV_REQUEST);
		assert_int_equal(ppe_dti_accept_request(nodes[1].dti, ev.data, 8, NULL, 0), 0);
		expect_event(1, TX, PPE_EV_CONNECT, 8, 0);
		expect_event(0, TX, PPE_EV_CONNECT, 9, 0);
		post_rma(0, PPE_OP_WRITE, 0, 1, here, 1000, at(0), key, 0);
		expect_event(0, TX, PPE_EV_WRITE, 1, 0);
		if (kind == 2)
			post_atomic(0, PPE_OP_FETCH, PPE_ATOMIC_SUM, 0, 2, &word, NULL, &word,
				    at(0), key ^ 1);
		else
			post_rma(0, kind ? PPE_OP_READ : PPE_OP_WRITE, 0, 2, here, 1000, at(0),
				 key ^ 1, 0);
		ev = next_event(0, TX);
		assert_int_equal(ev.user_tag, 2);
		assert_true(ev.status < 0);
		assert_int_equal(next_event(0, TX).type, PPE_EV_CLOSED);
		assert_int_equal(next_event(1, TX).type, PPE_EV_CLOSED);
		nodes_close();
	}
}

/* ---------------------------------------------------------- memory that is taken back */

/*
 * While much is under way the memory of some of it goes, here or there. Each operation ends once, and
 * those that follow are not disturbed: not in what is acknowledged, nor in credit and reads.
 */
#define ROUNDS (TEST_SLOW ? 40 : 150)
#define OPS 24

static void post_some(uint64_t *seed, unsigned i, struct ppe_mr mine, uint32_t theirs)
{
	struct ppe_sge sge = { .addr = (uintptr_t)here, .region = mine.region, .ptag = mine.ptag };
	struct ppe_rma rma = { .addr = at(0), .key = theirs };
	struct ppe_msg m = { .peer = to[0], .nsge = 1, .sge = &sge, .user_tag = i };
	unsigned what = rnd_below(seed, 6);

	sge.len = rnd_below(seed, 2) ? 1 + rnd_below(seed, 3000) : 1 + rnd_below(seed, BIG);
	if (what < 2) {
		m.op = PPE_OP_SEND;
		m.flags = rnd_below(seed, 2) ? PPE_POST_DELIVERY : 0;
	} else if (what < 5) {
		m.op = what == 2 ? PPE_OP_READ : PPE_OP_WRITE;
		m.nrma = 1;
		m.rma = &rma;
		m.flags = what == 4 ? PPE_POST_DATA : 0;
	} else {
		static uint64_t result;
		struct ppe_sge two[2] = { sge, mem(0, &result, 8) };

		two[0].len = sge.len = 8;
		rma.len = 8;
		m = (struct ppe_msg){ .peer = to[0],
				      .op = PPE_OP_FETCH,
				      .sge = two,
				      .nsge = 1,
				      .nres = 1,
				      .nrma = 1,
				      .rma = &rma,
				      .user_tag = i,
				      .atomic_op = PPE_ATOMIC_SUM,
				      .atomic_type = PPE_UINT64 };
		post(0, &m);
		return;
	}
	rma.len = sge.len;
	post(0, &m);
}

static void one_round(uint64_t *seed)
{
	struct iovec iov = { here, BIG };
	struct ppe_mr mine, other;
	unsigned receives = 0;
	uint32_t theirs;
	bool seen[OPS] = { false };

	assert_int_equal(ppe_mr_register(nodes[0].ual, iov.iov_base, iov.iov_len,
					 PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &mine),
			 0);
	other = share(1, there, BIG, ALL_REMOTE, NULL, &theirs);
	for (unsigned i = 0; i < OPS; i++)
		post_some(seed, i, mine, theirs);
	for (unsigned n = rnd_below(seed, 6); n--;)
		pump();
	if (rnd_below(seed, 3))
		assert_int_equal(ppe_mr_deregister(nodes[0].ual, mine), 0);
	else
		assert_int_equal(ppe_mr_deregister(nodes[1].ual, other), 0);
	for (; receives < OPS; receives++)
		post_recv(1, PPE_ANY, receives, there, BIG, 0, 0, 0);
	for (unsigned i = 0; i < OPS; i++) {
		struct ppe_event ev = next_event(0, TX);

		assert_true(ev.user_tag < OPS && !seen[ev.user_tag]);
		seen[ev.user_tag] = true;
	}
	/* what comes now must not wait for anything of the past */
	post_send(0, to[0], 100, here, 10, PPE_POST_DELIVERY | PPE_POST_TAGGED, 1);
	post_recv(1, to[1], 100, there, 10, PPE_POST_TAGGED, 1, 0);
	expect_event(0, TX, PPE_EV_SEND, 100, 0);
	post_rma(0, PPE_OP_WRITE, to[0], 101, here, 1000, at(0), key, 0);
	expect_event(0, TX, PPE_EV_WRITE, 101, 0);
	for (unsigned i = 0; i < 8; i++)
		post_rma(0, PPE_OP_READ, to[0], 102 + i, here, 1000, at(0), key, 0);
	for (unsigned i = 0; i < 8; i++)
		expect_event(0, TX, PPE_EV_READ, 102 + i, 0);
	pump_for(2);
	while (receives--)
		ppe_dti_cancel(nodes[1].dti, receives, PPE_CANCEL_RECV);
	pump();
	nodes[1].got[RX].first = nodes[1].got[RX].count = 0;
	node_settled(0);
}

/* $ETA_TEST_ROUNDS: where a processor is emulated there is time for few. */
static unsigned rounds(void)
{
	const char *text = getenv("ETA_TEST_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

static void rma_deregistered(void **state)
{
	uint64_t seed = 12345;
	unsigned n = rounds();

	(void)state;
	for (unsigned i = 0; i < n; i++)
		one_round(&seed);
	ppe_mr_deregister(nodes[1].ual, shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rma_sizes_and_counts, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(rma_lists, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(rma_atomics, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(rma_refused, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(rma_half_refused, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(rma_refused_connected, two_nodes, close_all),
		cmocka_unit_test_setup_teardown(rma_deregistered, two_nodes, close_all),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
