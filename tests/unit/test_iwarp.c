/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_iwarp.c - messages over a stream that comes in any portions: sizes, segments, CRC, receives
 * that come late or are too small, and what is left when the stream ends anywhere.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/iwarp_peer.h"

/* Sanitizers cost a factor, and there is one thread here: long tests do less. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 20
#define SIZES_STEP 4
#else
#define SEEDS 150
#define SIZES_STEP 1
#endif

static struct node na, nb;
static struct chan a, b;

static void settle(void)
{
	struct fab *fabs[] = { na.fab, nb.fab };

	script_settle(fabs, 2);
}

static void open_pair(uint32_t fpdu_max, bool crc_a, bool crc_b)
{
	struct fab_msg_attr attr = node_attr();

	attr.fpdu_max = fpdu_max;
	attr.crc = crc_a;
	node_open(&na, &attr);
	attr.crc = crc_b;
	node_open(&nb, &attr);
	chan_pair(&a, &b, &na, &nb);
}

static void close_pair(void)
{
	chan_fini(&a);
	chan_fini(&b);
	settle();
	node_close(&na);
	node_close(&nb);
	script_reset();
}

static uint64_t draw(uint64_t below)
{
	return script_random(&script.random) % below;
}

/* Sends one message of each size from @from, a to b and b to a, and checks that all have come. */
static void echo_sizes(uint32_t from, uint32_t to, uint32_t step)
{
	unsigned before = a.out_count;

	for (uint32_t len = from; len <= to; len += step) {
		chan_post(&a, len, FAB_PLACE_IOV);
		chan_post(&b, len + draw(3), FAB_PLACE_IOV);
		chan_send(&a, len, FAB_PLACE_IOV);
		chan_send(&b, len, 1);
	}
	settle();
	assert_true(a.out_count > before);
	assert_int_equal(a.in_done, a.in_count);
	assert_int_equal(b.in_done, b.in_count);
	assert_int_equal(a.out_done, a.out_count);
	assert_int_equal(a.truncated + b.truncated, 0);
}

static const uint32_t fpdu_sizes[] = { 1, 110, 512, 1442, 4096, 16384, 40001, 65000, 1 << 20 };

#define FPDU_SIZES (sizeof(fpdu_sizes) / sizeof(fpdu_sizes[0]))

static void all_sizes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FPDU_SIZES; i += SIZES_STEP) {
		script.random = i + 1;
		open_pair(fpdu_sizes[i], i & 1, i & 2);
		echo_sizes(0, 600, 1);
		echo_sizes(1400, 1500, 1);
		echo_sizes(8100, 8300, 7);
		echo_sizes(64 * 1024 - 40, 64 * 1024 + 40, 11);
		echo_sizes(90000, 200 * 1024, 54321);
		assert_int_equal(na.counters.msgs_tx, nb.counters.msgs_rx);
		/* and one each that started the connection */
		assert_int_equal(na.counters.fpdus_tx, nb.counters.fpdus_rx);
		assert_int_equal(nb.counters.fpdus_tx, na.counters.fpdus_rx);
		close_pair();
	}
}

static void crc_is_used_if_either_asks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		open_pair(1442, i & 1, i & 2);
		assert_int_equal(a.conn->crc, i != 0);
		assert_int_equal(b.conn->crc, i != 0);
		echo_sizes(0, 20000, 997);
		close_pair();
	}
}

/* Reads and writes of one octet, two, and so on: every place where the stream can be cut. */
static void any_portions(void **state)
{
	(void)state;
	for (unsigned step = 1; step <= 48; step++) {
		open_pair(300, step & 1, false);
		script.read_max = step;
		echo_sizes(0, 1300, 131);
		script.read_max = 0;
		script.write_max = step;
		echo_sizes(0, 1300, 131);
		close_pair();
	}
}

static void start_up_in_any_portions(void **state)
{
	(void)state;
	for (unsigned step = 1; step <= 60; step++) {
		script.read_max = step;
		script.write_max = step % 7;
		open_pair(4096, false, step & 1);
		echo_sizes(0, 100, 25);
		close_pair();
	}
}

/* ------------------------------------------------------------------------- by hand */

/* A connection to nb whose initiator is the test. */
static struct script_end *hand_open(uint8_t rev)
{
	struct mpa_start req = { .rev = rev,
				 .enhanced = rev == 2,
				 .p2p = rev == 2,
				 .ird = 1,
				 .ord = 1,
				 .rtr = rev == 2 ? MPA_RTR_WRITE : 0,
				 .raw = true };
	struct script_end *e = script_dial(&nb.addr);
	uint8_t frame[MPA_FRAME_MAX];

	script_put(e, frame, mpa_encode(&req, MPA_REQUEST, frame, sizeof(frame)));
	settle();
	assert_int_equal(b.connected, 1);
	assert_int_equal(b.connect_err, 0);
	return e;
}

static void hand_setup(void)
{
	node_open(&na, NULL);
	node_open(&nb, NULL);
	node_listen(&nb);
	chan_init(&a, &na, 1);
	chan_init(&b, &nb, 2);
	nb.child = &b;
}

/* Four Sends in seven segments, an RTR Write before them. @ends: where a message is over. */
static size_t some_messages(uint8_t *out, bool ends[])
{
	static const struct {
		uint32_t msn, mo, len;
		bool last;
	} segments[] = {
		{ 1, 0, 5, true }, { 2, 0, 20, false }, { 2, 20, 20, false }, { 2, 40, 1, true },
		{ 3, 0, 0, true }, { 4, 0, 30, false }, { 4, 30, 11, true },
	};
	size_t n = fpdu_tagged(out, RDMAP_WRITE, true, 0, false);

	ends[0] = ends[n] = true;
	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		n += fpdu_send(out + n, RDMAP_SEND, segments[i].last, segments[i].msn,
			       segments[i].mo, segments[i].len, false, 1);
		ends[n] = segments[i].last;
	}
	return n;
}

static void cut_anywhere(void **state)
{
	uint8_t bytes[1024];
	bool ends[1024] = { false };
	size_t len = some_messages(bytes, ends);

	(void)state;
	for (unsigned pool = 0; pool < 2; pool++) {
		for (size_t cut = 0; cut <= len; cut++) {
			struct script_end *e;

			hand_setup();
			nb.pool_count = pool;
			b.seed = 1;
			for (int i = 0; i < 4; i++)
				chan_post(&b, 64, 3);
			e = hand_open(2);
			script_put(e, bytes, cut);
			settle();
			assert_int_equal(b.closed, 0);
			script_put(e, bytes + cut, len - cut);
			settle();
			assert_int_equal(b.in_done, 4);
			script_hang_up(e, false);
			settle();
			assert_int_equal(b.closed, 1);
			assert_int_equal(b.close_err, 0);
			close_pair();
		}
	}
}

static void the_end_anywhere(void **state)
{
	uint8_t bytes[1024];
	bool ends[1024] = { false };
	size_t len = some_messages(bytes, ends);

	(void)state;
	for (size_t cut = 0; cut <= 2 * len + 1; cut++) {
		bool reset = cut > len;
		size_t n = reset ? cut - len - 1 : cut;
		struct script_end *e;

		hand_setup();
		b.seed = 1;
		for (int i = 0; i < 4; i++)
			chan_post(&b, 64, 3);
		e = hand_open(2);
		script_put(e, bytes, n);
		settle();
		script_hang_up(e, reset);
		settle();
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.close_err, ends[n] && !reset ? 0 : -ECONNRESET);
		close_pair();
	}
}

/* Until the initiator has spoken, the responder is silent, whatever was agreed. */
static void responder_holds_its_sends(void **state)
{
	uint8_t fpdu[256];
	const uint8_t *got;
	struct script_end *e;
	size_t reply;

	(void)state;
	for (uint8_t rev = 1; rev <= 2; rev++) {
		hand_setup();
		b.seed = 1;
		e = hand_open(rev);
		chan_send(&b, 10, 1);
		settle();
		reply = script_got(e, &got);
		assert_int_equal(b.out_done, 0);
		chan_post(&b, 64, 1);
		script_put(e, fpdu, fpdu_send(fpdu, RDMAP_SEND, true, 1, 0, 7, false, 1));
		settle();
		assert_int_equal(b.out_done, 1);
		assert_int_equal(script_got(e, &got) - reply, 20 + 12 + 4);
		script_hang_up(e, false);
		settle();
		close_pair();
	}
}

/* ------------------------------------------------------------------------- receives */

static const struct {
	size_t size;
	unsigned count;
} pools[] = {
	{ 0, 0 }, { 300, 4 }, { 511, 1 }, { 512, 1 }, { 2048, 1 }, { 2048, 64 }, { 65536, 2 }
};

#define POOLS (sizeof(pools) / sizeof(pools[0]))

static void late_receives(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POOLS; i++) {
		for (uint64_t seed = 1; seed < 12; seed++) {
			script.random = seed * 77 + i;
			script.window = seed & 1 ? 3000 : 0;
			open_pair(seed % 3 ? 65000 : 700, seed & 2, false);
			nb.pool_size = pools[i].size;
			nb.pool_count = pools[i].count;
			for (unsigned j = 0; j < 150; j++)
				chan_send(&a, draw(j % 7 ? 300 : 30000), 4);
			settle();
			assert_int_equal(b.in_done, 0);
			while (b.in_done < 150) {
				unsigned burst = 1 + draw(6);

				while (burst-- && b.in_count < 150)
					chan_post(&b, 30000, 1 + draw(10));
				settle();
				assert_int_equal(b.in_done, b.in_count);
			}
			assert_int_equal(a.out_done, 150);
			assert_int_equal(b.closed, 0);
			assert_true(b.stalls > 0);
			assert_int_equal(nb.pool_used, 0);
			close_pair();
		}
	}
}

/* Two connections that stall share a pool of one buffer: one of them does without. */
static void a_pool_that_is_shared(void **state)
{
	struct chan c, d;

	(void)state;
	script.random = 5;
	open_pair(2000, false, false);
	nb.pool_count = 1;
	nb.pool_size = 4096;
	chan_pair(&c, &d, &na, &nb);
	for (unsigned i = 0; i < 40; i++) {
		chan_send(&a, draw(900), 2);
		chan_send(&c, draw(900), 2);
	}
	settle();
	assert_int_equal(nb.pool_used, 1);
	for (unsigned i = 0; i < 40; i++) {
		chan_post(&b, 900, 2);
		chan_post(&d, 900, 2);
		settle();
		assert_int_equal(b.in_done, i + 1);
		assert_int_equal(d.in_done, i + 1);
	}
	chan_fini(&c);
	chan_fini(&d);
	close_pair();
}

/* A stalled connection with something in its stash is closed: the buffer comes back. */
static void closed_with_a_stash(void **state)
{
	(void)state;
	script.random = 0;
	open_pair(2000, false, false);
	for (unsigned i = 0; i < 10; i++)
		chan_send(&a, 100, 1);
	settle();
	assert_int_equal(nb.pool_used, 1);
	chan_close(&b);
	assert_int_equal(nb.pool_used, 0);
	settle();
	assert_int_equal(a.closed, 1);
	close_pair();
}

static void small_receives(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FPDU_SIZES; i++) {
		unsigned cut = 0;

		script.random = i + 3;
		open_pair(fpdu_sizes[i], i & 1, false);
		for (unsigned j = 0; j < 120; j++) {
			uint32_t len = draw(j % 5 ? 2000 : 60000);
			uint32_t room = draw(3) ? draw(len + 1) : len;

			cut += room < len;
			chan_post(&b, room, 5);
			chan_send(&a, len, 5);
		}
		settle();
		assert_int_equal(b.in_done, 120);
		assert_int_equal(b.truncated, cut);
		assert_int_equal(nb.counters.msgs_truncated, cut);
		close_pair();
	}
}

/* Large payloads go straight to their place; small ones are copied once. */
static void large_payloads_are_not_copied(void **state)
{
	(void)state;
	open_pair(65000, false, false);
	chan_post(&b, 1 << 20, 3);
	chan_send(&a, 1 << 20, 3);
	settle();
	assert_int_equal(b.in_done, 1);
	assert_true(nb.counters.copy_bytes < (1 << 20) / 3);
	assert_int_equal(na.counters.copy_bytes, 0);
	close_pair();
}

/* ------------------------------------------------------------------------- the model */

/* What was sent, in its order, is what arrives, whatever happens on the way and when. */
static void random_traffic(uint64_t seed)
{
	unsigned total = 200, sent[2] = { 0 }, posted[2] = { 0 };
	struct chan *chan[2] = { &a, &b };

	script.random = seed;
	script.window = draw(2) ? 1 + draw(9000) : 0;
	script.read_max = draw(3) ? 0 : 1 + draw(3000);
	script.write_max = draw(3) ? 0 : 1 + draw(3000);
	open_pair(fpdu_sizes[draw(FPDU_SIZES)], draw(2), draw(2));
	na.pool_size = nb.pool_size = draw(4) ? 200 + draw(20000) : 0;
	na.pool_count = nb.pool_count = draw(4);
	a.batch = draw(2) * draw(8);
	while (a.in_done < total || b.in_done < total) {
		unsigned side = draw(2);

		switch (draw(4)) {
		case 0:
			if (sent[side]++ < total)
				chan_send(chan[side], draw(draw(6) ? 700 : 40000), 1 + draw(10));
			break;
		case 1:
			if (posted[side]++ < total)
				chan_post(chan[side], draw(8) ? 40000 : draw(900), 1 + draw(10));
			break;
		default:
			script_turn(side ? na.fab : nb.fab);
		}
		assert_int_equal(a.closed + b.closed, 0);
	}
	settle();
	assert_int_equal(a.out_done, total);
	assert_int_equal(b.out_done, total);
	close_pair();
}

static void model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		/* for a failure: the one to run again */
		if (seed % 50 == 1)
			print_message("seeds from %u\n", (unsigned)seed);
		random_traffic(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_sizes),
		cmocka_unit_test(crc_is_used_if_either_asks),
		cmocka_unit_test(any_portions),
		cmocka_unit_test(start_up_in_any_portions),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(the_end_anywhere),
		cmocka_unit_test(responder_holds_its_sends),
		cmocka_unit_test(late_receives),
		cmocka_unit_test(a_pool_that_is_shared),
		cmocka_unit_test(closed_with_a_stash),
		cmocka_unit_test(small_receives),
		cmocka_unit_test(large_payloads_are_not_copied),
		cmocka_unit_test(model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
