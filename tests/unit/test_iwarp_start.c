/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_iwarp_start.c - how message connections begin, and how that fails: each side against the
 * other, and against frames made by hand.
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

#define SECOND 1000000000ull

static struct node na, nb; /* na dials, nb listens */
static struct chan a, b;
static union fab_addr raw_addr;

static int setup(void **state)
{
	(void)state;
	node_open(&na, NULL);
	node_open(&nb, NULL);
	node_listen(&nb);
	chan_init(&a, &na, 1);
	chan_init(&b, &nb, 2);
	nb.child = &b;
	script_addr(&raw_addr, SCRIPT_RAW_PORT);
	return 0;
}

static void settle(void)
{
	struct fab *fabs[] = { na.fab, nb.fab };

	script_settle(fabs, 2);
}

static int teardown(void **state)
{
	(void)state;
	chan_fini(&a);
	chan_fini(&b);
	settle();
	node_close(&na);
	node_close(&nb);
	script_reset();
	return 0;
}

/* The frame that has arrived at @e; how much follows it. */
static size_t frame_got(struct script_end *e, enum mpa_kind kind, struct mpa_start *start)
{
	const uint8_t *data;
	size_t len = script_got(e, &data), used;

	assert_int_equal(mpa_decode(data, len, kind, start, &used), 0);
	script_drop(e, used);
	return len - used;
}

static void frame_put(struct script_end *e, enum mpa_kind kind, const struct mpa_start *start)
{
	uint8_t frame[MPA_FRAME_MAX];
	int n = mpa_encode(start, kind, frame, sizeof(frame));

	assert_true(n > 0);
	script_put(e, frame, n);
}

/* A request such as a peer other than eta makes. */
static struct mpa_start plain_request(uint8_t rtr)
{
	return (struct mpa_start){ .rev = MPA_REV_2,
				   .enhanced = true,
				   .p2p = rtr != 0,
				   .rtr = rtr,
				   .ird = 1,
				   .ord = 1,
				   .raw = true };
}

/* na's request as it reached the test, which may answer. */
static struct script_end *request_taken(struct mpa_start *req)
{
	struct script_end *e;

	settle();
	e = script_take();
	assert_non_null(e);
	assert_int_equal(frame_got(e, MPA_REQUEST, req), 0);
	return e;
}

static struct script_end *dial_raw(struct mpa_start *req)
{
	assert_int_equal(chan_connect(&a, &raw_addr, "abc", 3), 0);
	return request_taken(req);
}

/* ------------------------------------------------------------------------- between etas */

static void both_sides_hear_the_other(void **state)
{
	static const size_t sizes[] = { 0, 1, 55, 56, FAB_PDATA_MAX };
	uint8_t data[FAB_PDATA_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 3);
	for (unsigned i = 0; i < 5; i++) {
		nb.child = NULL;
		assert_int_equal(chan_connect(&a, &nb.addr, data, sizes[i]), 0);
		settle();
		assert_int_equal(nb.requests, i + 1);
		assert_int_equal(nb.pdata_len, sizes[i]);
		assert_memory_equal(nb.pdata, data, sizes[i]);
		assert_int_equal(chan_accept(&b, nb.request, data, sizeof(data)), -EMSGSIZE);
		assert_int_equal(chan_accept(&b, nb.request, data, sizes[4 - i]), 0);
		settle();
		assert_int_equal(a.connected + b.connected, 2);
		assert_int_equal(a.pdata_len, sizes[4 - i]);
		assert_memory_equal(a.pdata, data, sizes[4 - i]);
		/* what the responder was told at the request, it is told again */
		assert_int_equal(b.pdata_len, sizes[i]);
		assert_int_equal(a.conn->mulpdu, MPA_MULPDU_MAX);
		assert_false(b.conn->hold_tx);
		chan_fini(&a);
		settle();
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.close_err, 0);
		chan_fini(&b);
	}
	assert_int_equal(chan_connect(&a, &nb.addr, data, sizeof(data)), -EMSGSIZE);
	a.conn = NULL;
}

static struct fab_hello hello_of(unsigned i)
{
	struct fab_hello h = { .features = i & 1 ? FAB_FEATURE_ULP : 0,
			       .name_len = i & 2 ? FAB_NAME_MAX - i : 0,
			       .has_nonce = i & 4,
			       .has_proof = i & 8,
			       .incarnation = i & 2 ? 0x123456789abcdef0 + i : 0,
			       .window = i & 1 ? 0x10000000 + i : 0,
			       .announces = i & 1 ? i : 0 };

	memset(h.name, 'n', h.name_len);
	if (h.has_nonce)
		memset(h.nonce, i, sizeof(h.nonce));
	if (h.has_proof)
		memset(h.proof, i + 1, sizeof(h.proof));
	return h;
}

/* As it is said; but what the fabric itself has is always offered. */
static void check_hello(const struct fab_hello *got, struct fab_hello said)
{
	said.features |= FAB_FEATURE_ATOMIC;
	assert_int_equal(got->features, said.features);
	assert_int_equal(got->name_len, said.name_len);
	assert_memory_equal(got->name, said.name, FAB_NAME_MAX);
	assert_int_equal(got->incarnation, said.incarnation);
	assert_int_equal(got->window, said.window);
	assert_int_equal(got->announces, said.announces);
	assert_int_equal(got->has_nonce, said.has_nonce);
	assert_int_equal(got->has_proof, said.has_proof);
	assert_memory_equal(got->nonce, said.nonce, FAB_NONCE);
	assert_memory_equal(got->proof, said.proof, FAB_PROOF);
}

static void etas_introduce_themselves(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		struct fab_hello ha = hello_of(i % 16), hb = hello_of(i / 16);
		uint16_t both = FAB_FEATURE_ATOMIC | (ha.features & hb.features);

		a.hello = &ha;
		b.hello = &hb;
		assert_int_equal(chan_connect(&a, &nb.addr, "abc", 3), 0);
		settle();
		assert_true(a.peer.eta && b.peer.eta && nb.who.eta);
		check_hello(&nb.who.hello, ha);
		check_hello(&b.peer.hello, ha);
		check_hello(&a.peer.hello, hb);
		assert_int_equal(nb.who.features, ha.features | FAB_FEATURE_ATOMIC);
		assert_int_equal(a.peer.features, both);
		assert_int_equal(b.peer.features, both);
		assert_int_equal(a.peer.ord, 4);
		assert_int_equal(a.peer.ird, 4);
		assert_int_equal(b.peer.ord, 4);
		assert_int_equal(b.peer.ird, 4);
		assert_int_equal(nb.who.ord, 4);
		chan_fini(&a);
		settle();
		chan_fini(&b);
		a.hello = b.hello = NULL;
	}
}

/* What does not go into the private data is found out at once, and harms nothing. */
static void too_much_to_say(void **state)
{
	struct fab_hello all = hello_of(15), proof = hello_of(12), bad = hello_of(2);
	uint8_t data[FAB_PDATA_MAX] = { 0 };
	size_t most = MPA_PD_SEND_MAX - 4 - 1 - 12 - (2 + all.name_len) - 10 - 10 - 18 - 34;

	(void)state;
	nb.child = NULL;
	a.hello = &all;
	assert_int_equal(chan_connect(&a, &nb.addr, data, most + 1), -EMSGSIZE);
	bad.name_len = FAB_NAME_MAX + 1;
	a.hello = &bad;
	assert_int_equal(chan_connect(&a, &nb.addr, data, 0), -EINVAL);
	a.hello = &proof;
	assert_int_equal(chan_connect(&a, &nb.addr, data, sizeof(data)), 0);
	settle();
	assert_int_equal(nb.pdata_len, sizeof(data));
	check_hello(&nb.who.hello, proof);
	b.hello = &all;
	assert_int_equal(chan_accept(&b, nb.request, data, most + 1), -EMSGSIZE);
	assert_int_equal(chan_accept(&b, nb.request, data, most), 0);
	settle();
	assert_int_equal(a.pdata_len, most);
	check_hello(&a.peer.hello, all);
	a.hello = b.hello = NULL;
}

/* It hears nothing of what we say to our like, and may read as much as it can. */
static void a_stranger(void **state)
{
	struct fab_hello h = hello_of(15);
	struct mpa_start req = plain_request(MPA_RTR_WRITE), rep;
	struct script_end *e = script_dial(&nb.addr);

	(void)state;
	req.ord = 2;
	req.ird = 3;
	b.hello = &h;
	frame_put(e, MPA_REQUEST, &req);
	settle();
	assert_int_equal(frame_got(e, MPA_REPLY, &rep), 0);
	assert_false(rep.is_eta);
	assert_false(nb.who.eta);
	assert_int_equal(nb.who.ord, 3);
	assert_int_equal(nb.who.ird, 2);
	assert_int_equal(nb.who.features, 0);
	assert_false(b.peer.eta);
	assert_int_equal(b.peer.features, 0);
	assert_int_equal(b.peer.ord, 3);
	assert_int_equal(b.peer.ird, 2);
	assert_int_equal(b.peer.hello.name_len, 0);
	script_hang_up(e, false);
	b.hello = NULL;
}

static void addresses(void **state)
{
	union fab_addr local, peer;

	(void)state;
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	assert_int_equal(iwarp_ops.conn_addr(a.conn, &local, &peer), 0);
	assert_memory_equal(&peer.in, &nb.addr.in, sizeof(peer.in));
	assert_int_equal(iwarp_ops.conn_addr(b.conn, &local, &peer), 0);
	assert_memory_equal(&local.in, &nb.addr.in, sizeof(peer.in));
}

static void nobody_listens(void **state)
{
	(void)state;
	node_unlisten(&nb);
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	assert_int_equal(a.connected, 0);
	settle();
	assert_int_equal(a.connect_err, -ECONNREFUSED);
	assert_int_equal(a.connected, 1);
}

static void disconnect_in_order(void **state)
{
	(void)state;
	chan_pair(&a, &b, &na, &nb);
	chan_post(&b, 100, 1);
	chan_send(&a, 100, 1);
	settle();
	assert_int_equal(iwarp_ops.shutdown(a.conn), 0);
	assert_int_equal(iwarp_ops.shutdown(a.conn), 0);
	/* too late: it will not be sent, and is its user's when the connection has ended */
	chan_send(&a, 100, 1);
	settle();
	assert_int_equal(b.in_done, 1);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.close_err, 0);
	assert_int_equal(a.closed, 1);
	assert_int_equal(a.close_err, 0);
	assert_int_equal(a.out_done, 1);
}

/* The FIN waits for the message that starts the connection, and for one that is half out. */
static void disconnect_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
		while (!a.connected)
			script_turn(script_random(&script.random) & 1 ? na.fab : nb.fab);
		assert_int_equal(iwarp_ops.shutdown(a.conn), 0);
		settle();
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.close_err, 0);
		assert_int_equal(nb.counters.fpdus_rx, i + 1);
		chan_fini(&a);
		chan_fini(&b);
	}
	chan_pair(&a, &b, &na, &nb);
	chan_post(&b, 5000, 1);
	chan_send(&a, 5000, 1);
	script.window = 1000;
	script_turn(na.fab);
	assert_int_equal(iwarp_ops.shutdown(a.conn), 0);
	settle();
	assert_int_equal(b.in_done, 1);
	assert_int_equal(b.close_err, 0);
	assert_int_equal(b.closed, 1);
}

/* ------------------------------------------------------------------------- rejected, withdrawn */

static void reject_at_once(struct node *n, struct fab_msg_conn *conn)
{
	iwarp_ops.reject(conn, "no", 2);
	n->request = NULL;
}

static void rejected(void **state)
{
	(void)state;
	for (int later = 0; later < 2; later++) {
		nb.on_request = later ? NULL : reject_at_once;
		nb.child = NULL;
		assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
		settle();
		if (later)
			reject_at_once(&nb, nb.request);
		settle();
		assert_int_equal(a.connect_err, -ECONNREFUSED);
		assert_int_equal(a.pdata_len, 2);
		assert_memory_equal(a.pdata, "no", 2);
		chan_fini(&a);
	}
	assert_int_equal(script.conns, 0);
}

/* A refusal that cannot be written now does not outlive its instance. */
static void rejected_and_closed(void **state)
{
	(void)state;
	nb.child = NULL;
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	script.write_max = 3;
	reject_at_once(&nb, nb.request);
	assert_int_equal(script.conns, 2);
	node_close(&nb);
	assert_int_equal(script.conns, 1);
	node_open(&nb, NULL);
}

static void close_at_once(struct node *n, struct fab_msg_conn *conn)
{
	iwarp_ops.conn_close(conn, false);
	n->request = NULL;
}

static void closed_instead_of_answered(void **state)
{
	(void)state;
	nb.on_request = close_at_once;
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	/* taken for a peer that knows no revision 2: asked again */
	assert_int_equal(nb.requests, 2);
	assert_int_equal(a.connect_err, -ECONNRESET);
}

static void request_is_withdrawn(void **state)
{
	(void)state;
	nb.child = NULL;
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	assert_non_null(nb.request);
	chan_close(&a);
	settle();
	assert_int_equal(nb.withdrawn, 1);
	assert_int_equal(script.conns, 0);
}

static void withdrawn_while_answering(void **state)
{
	(void)state;
	nb.child = NULL;
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	script.window = 10;
	assert_int_equal(chan_accept(&b, nb.request, NULL, 0), 0);
	script_turn(nb.fab);
	chan_close(&a);
	script_turn(nb.fab);
	assert_int_equal(b.connected, 1);
	assert_int_equal(b.connect_err, -ECONNRESET);
	assert_int_equal(nb.withdrawn, 0);
}

/* Requests outlive their listener; one that is lost after that is found out by answering. */
static void unlisten_with_requests(void **state)
{
	struct fab_msg_conn *first, *second, *third;
	struct script_end *silent;
	struct chan c, d;

	(void)state;
	nb.child = NULL;
	chan_init(&c, &na, 3);
	chan_init(&d, &na, 4);
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	first = nb.request;
	assert_int_equal(chan_connect(&c, &nb.addr, NULL, 0), 0);
	settle();
	second = nb.request;
	assert_int_equal(chan_connect(&d, &nb.addr, NULL, 0), 0);
	settle();
	third = nb.request;
	silent = script_dial(&nb.addr);
	settle();
	node_unlisten(&nb);
	chan_close(&c);
	settle();
	assert_int_equal(nb.withdrawn, 0);
	assert_int_equal(chan_accept(&b, first, NULL, 0), 0);
	assert_int_equal(chan_accept(&b, second, NULL, 0), -ESTALE);
	iwarp_ops.conn_close(second, false);
	iwarp_ops.reject(third, NULL, 0);
	settle();
	assert_int_equal(a.connected + b.connected, 2);
	assert_int_equal(d.connect_err, -ECONNREFUSED);
	assert_int_equal(script.conns, 2);
	assert_true(script_ended(silent));
	script_hang_up(silent, false);
}

/* ------------------------------------------------------------------------- other initiators */

static void read_as_ready_to_receive(void **state)
{
	struct mpa_start req = plain_request(MPA_RTR_READ), rep;
	struct script_end *e = script_dial(&nb.addr);
	const uint8_t *got;
	uint8_t fpdu[128];
	struct ddp_hdr h = { 0 };

	(void)state;
	frame_put(e, MPA_REQUEST, &req);
	settle();
	assert_int_equal(frame_got(e, MPA_REPLY, &rep), 0);
	assert_int_equal(rep.rev, MPA_REV_2);
	assert_true(rep.enhanced && rep.p2p && rep.rtr == MPA_RTR_READ && rep.ird >= 1);
	assert_false(rep.is_eta);
	chan_send(&b, 1, 1);
	settle();
	assert_int_equal(script_got(e, &got), 0);
	script_put(e, fpdu, fpdu_read(fpdu, 1, 0, false));
	settle();
	assert_int_equal(script_got(e, &got), 20 + 28);
	assert_int_equal(ddp_parse(got, 20, &h), 0);
	assert_int_equal(h.opcode, RDMAP_READ_RESPONSE);
	assert_int_equal(h.stag, 0x11);
	assert_int_equal(h.to, 0x22);
	assert_int_equal(h.payload_len, 0);
	assert_true(h.last);
	assert_int_equal(b.out_done, 1);
	script_hang_up(e, false);
}

static void revision_1_initiator(void **state)
{
	struct mpa_start req = { .rev = MPA_REV_1, .crc = true, .raw = true }, rep;
	struct script_end *e = script_dial(&nb.addr);

	(void)state;
	frame_put(e, MPA_REQUEST, &req);
	settle();
	assert_int_equal(frame_got(e, MPA_REPLY, &rep), 0);
	assert_int_equal(rep.rev, MPA_REV_1);
	assert_true(rep.crc && !rep.enhanced);
	assert_true(b.conn->hold_tx);
	assert_int_equal(b.conn->mulpdu, mpa_mulpdu_of_mss(1448));
	script_hang_up(e, false);
}

static void raw_private_data(void **state)
{
	struct script_end *e = script_dial(&nb.addr);
	uint8_t frame[20 + MPA_PD_MAX] = MPA_KEY_REQUEST;

	(void)state;
	frame[17] = MPA_REV_1;
	frame[18] = MPA_PD_MAX >> 8;
	memset(frame + 20, 'x', MPA_PD_MAX);
	frame[20] = 'x';
	frame[21] = 'y';
	/* 'x' is a size that fits, so it is taken for one */
	script_put(e, frame, sizeof(frame));
	settle();
	assert_int_equal(nb.pdata_len, 'x');
	assert_int_equal(nb.pdata[0], 'y');
	script_hang_up(e, false);
	settle();
	chan_fini(&b);

	e = script_dial(&nb.addr);
	frame[18] = 0;
	frame[19] = 100;
	script_put(e, frame, 120);
	settle();
	assert_int_equal(nb.pdata_len, 100);
	assert_int_equal(nb.pdata[0], 'x');
	script_hang_up(e, false);
}

/* Nothing may come behind a request before the reply. */
static void too_eager(void **state)
{
	struct mpa_start req = plain_request(0);
	struct script_end *e = script_dial(&nb.addr);

	(void)state;
	nb.child = NULL;
	frame_put(e, MPA_REQUEST, &req);
	script_put(e, "x", 1);
	settle();
	assert_int_equal(nb.requests, 1);
	assert_int_equal(nb.withdrawn, 1);
	assert_true(script_ended(e));
	script_hang_up(e, false);
}

/* Requests that are refused by themselves, many of them, and then a good one. */
static void bad_requests_do_no_harm(void **state)
{
	struct mpa_start markers = plain_request(0), send_rtr = plain_request(MPA_RTR_SEND), rep;

	(void)state;
	markers.markers = true;
	for (unsigned i = 0; i < 600; i++) {
		struct script_end *e = script_dial(&nb.addr);

		if (i % 3 == 2)
			script_put(e, "GET / HTTP/1.1\r\n\r\n", 18);
		else
			frame_put(e, MPA_REQUEST, i % 3 ? &markers : &send_rtr);
		settle();
		if (i % 3 != 2) {
			assert_int_equal(frame_got(e, MPA_REPLY, &rep), 0);
			assert_true(rep.reject);
		}
		assert_true(script_ended(e));
		script_hang_up(e, false);
	}
	assert_int_equal(nb.counters.mpa_refused, 600);
	assert_int_equal(nb.requests, 0);
	assert_int_equal(script.conns, 0);
	chan_pair(&a, &b, &na, &nb);
}

static void many_that_say_nothing(void **state)
{
	static struct script_end *e[2000];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		e[i] = script_dial(&nb.addr);
		if (i & 1)
			script_put(e[i], MPA_KEY_REQUEST, i % 16);
		if (i % 100 == 0)
			settle();
	}
	settle();
	assert_true(script.conns <= 256);
	/* who means it is served without waiting for them */
	chan_pair(&a, &b, &na, &nb);
	node_pass(&nb, 6 * SECOND);
	settle();
	assert_int_equal(script.conns, 2);
	assert_int_equal(nb.timers.count, 0);
	for (unsigned i = 0; i < 2000; i++)
		script_hang_up(e[i], i % 3);
	assert_int_equal(b.closed, 0);
}

/* ------------------------------------------------------------------------- other responders */

static void answer(struct script_end *e, struct mpa_start rep)
{
	frame_put(e, MPA_REPLY, &rep);
	settle();
}

static struct mpa_start plain_reply(uint8_t rtr)
{
	return plain_request(rtr);
}

static void write_or_read_as_agreed(void **state)
{
	static const uint8_t rtr[] = { MPA_RTR_WRITE, MPA_RTR_READ, MPA_RTR_WRITE | MPA_RTR_READ };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct mpa_start req;
		struct script_end *e = dial_raw(&req);
		bool read = rtr[i] == MPA_RTR_READ;
		uint8_t fpdu[64];
		const uint8_t *got;
		size_t len;
		struct ddp_hdr h = { 0 };

		assert_true(req.p2p && req.rtr == (MPA_RTR_WRITE | MPA_RTR_READ) && req.is_eta);
		assert_int_equal(req.user_len, 3);
		answer(e, plain_reply(rtr[i]));
		assert_int_equal(a.connected, 1);
		len = script_got(e, &got);
		assert_int_equal(len, read ? 20 + 28 + 4 : 20);
		assert_int_equal(ddp_parse(got, len, &h), 0);
		assert_int_equal(h.opcode, read ? RDMAP_READ_REQUEST : RDMAP_WRITE);
		if (read)
			script_put(e, fpdu, fpdu_tagged(fpdu, RDMAP_READ_RESPONSE, true, 0, false));
		chan_post(&a, 10, 1);
		script_put(e, fpdu, fpdu_send(fpdu, RDMAP_SEND, true, 1, 0, 3, false, 1));
		settle();
		assert_int_equal(a.in_done, 1);
		script_hang_up(e, false);
		settle();
		assert_int_equal(a.close_err, 0);
		chan_fini(&a);
	}
}

/* Without peer-to-peer a responder may send right behind its reply: nothing of that is lost. */
static void messages_behind_the_reply(void **state)
{
	(void)state;
	for (na.pool_count = 0; na.pool_count < 2; na.pool_count++) {
		struct mpa_start req;
		struct script_end *e = dial_raw(&req);
		uint8_t bytes[4096];
		struct mpa_start rep = plain_reply(0);
		size_t n = mpa_encode(&rep, MPA_REPLY, bytes, sizeof(bytes));

		for (unsigned i = 1; i <= 20; i++)
			n += fpdu_send(bytes + n, RDMAP_SEND, true, i, 0, i * 5, false, 1);
		script_put(e, bytes, n);
		settle();
		assert_int_equal(a.connected, 1);
		for (unsigned i = 0; i < 20; i++) {
			chan_post(&a, 100, 2);
			settle();
			assert_int_equal(a.in_done, i + 1);
		}
		script_hang_up(e, false);
		settle();
		chan_fini(&a);
	}
}

/* How a peer may say that it knows no revision 2. */
static void dials_again(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		struct mpa_start req, first, rep = { .rev = MPA_REV_1, .raw = true };
		struct fab_hello h = hello_of(15);
		struct script_end *e;

		a.hello = &h;
		e = dial_raw(&req);
		first = req;
		assert_int_equal(req.rev, MPA_REV_2);
		assert_true(req.eta.items_len);
		if (how == 0)
			answer(e, rep);
		if (how == 1)
			script_put(e, MPA_KEY_REPLY, 7);
		script_hang_up(e, how == 2);
		e = request_taken(&req);
		assert_int_equal(req.rev, MPA_REV_1);
		assert_true(req.is_eta && req.eta.features == first.eta.features);
		assert_int_equal(req.eta.items_len, first.eta.items_len);
		assert_memory_equal(req.eta.items, first.eta.items, first.eta.items_len);
		assert_int_equal(req.user_len, 3);
		assert_memory_equal(req.user, "abc", 3);
		if (how == 3) {
			script_hang_up(e, false);
			settle();
			assert_int_equal(a.connect_err, -ECONNRESET);
			assert_null(script_take());
		} else {
			answer(e, rep);
			assert_int_equal(a.connect_err, 0);
			assert_false(a.conn->hold_tx);
			script_hang_up(e, false);
		}
		assert_int_equal(a.connected, 1);
		settle();
		chan_fini(&a);
	}
}

static void bad_replies(void **state)
{
	struct mpa_start req, rep;

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		struct script_end *e = dial_raw(&req);
		uint8_t want[RDMAP_TERM_FPDU_MAX];
		const uint8_t *got;
		size_t len = 0;

		rep = plain_reply(MPA_RTR_WRITE);
		if (how == 0) { /* more reads than we serve */
			rep.ord = 100;
			len = rdmap_term_build(want, TERM_MPA_IRD, false, NULL, 0);
		} else if (how == 1) { /* a message that was not offered */
			rep.rtr = MPA_RTR_SEND;
			len = rdmap_term_build(want, TERM_MPA_RTR, false, NULL, 0);
		} else if (how == 2) {
			rep.markers = true;
		}
		if (how == 3)
			script_put(e, "SSH-2.0-x", 9);
		else
			frame_put(e, MPA_REPLY, &rep);
		settle();
		assert_int_equal(a.connect_err, -EPROTO);
		assert_int_equal(script_got(e, &got), len);
		if (len)
			assert_memory_equal(got, want, len);
		assert_true(script_ended(e));
		script_hang_up(e, false);
		assert_null(script_take());
		chan_fini(&a);
	}
}

static void rejected_by_hand(void **state)
{
	struct mpa_start req, rep = plain_reply(0);
	struct script_end *e = dial_raw(&req);

	(void)state;
	rep.reject = true;
	memcpy(rep.user, "busy", 4);
	rep.user_len = 4;
	answer(e, rep);
	assert_int_equal(a.connect_err, -ECONNREFUSED);
	assert_int_equal(a.pdata_len, 4);
	script_hang_up(e, false);
}

/* ------------------------------------------------------------------------- deadlines */

static void nobody_answers(void **state)
{
	struct fab_connect_attr attr = { .peer = &raw_addr, .timeout_ns = SECOND };
	struct mpa_start req;
	struct script_end *e;

	(void)state;
	assert_int_equal(iwarp_ops.connect(na.m, &attr, NULL, NULL, 0, &chan_user, &a, &a.conn), 0);
	e = request_taken(&req);
	node_pass(&na, SECOND / 2);
	assert_int_equal(a.connected, 0);
	node_pass(&na, SECOND + 1);
	assert_int_equal(a.connected, 1);
	assert_int_equal(a.connect_err, -ETIMEDOUT);
	assert_int_equal(na.counters.connect_timeouts, 1);
	script_hang_up(e, false);
	chan_fini(&a);

	/* while TCP is connecting */
	assert_int_equal(chan_connect(&a, &raw_addr, NULL, 0), 0);
	node_pass(&na, 6 * SECOND);
	assert_int_equal(a.connect_err, -ETIMEDOUT);
}

static void user_takes_its_time(void **state)
{
	(void)state;
	nb.child = NULL;
	assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
	settle();
	node_pass(&nb, 100 * SECOND);
	assert_int_equal(chan_accept(&b, nb.request, NULL, 0), 0);
	settle();
	assert_int_equal(a.connect_err, 0);
	node_pass(&na, 100 * SECOND);
	assert_int_equal(a.closed, 0);
}

static void slow_request(void **state)
{
	struct script_end *e = script_dial(&nb.addr);

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		script_put(e, &MPA_KEY_REQUEST[i], 1);
		settle();
		assert_false(script_ended(e));
	}
	node_pass(&nb, 6 * SECOND);
	assert_true(script_ended(e));
	assert_int_equal(nb.requests, 0);
	script_hang_up(e, false);
}

/* ------------------------------------------------------------------------- closed by the user */

/* After each number of turns of start-up, by either side, and from within connected(). */
static void closed_at_any_time(void **state)
{
	(void)state;
	for (unsigned turns = 0; turns < 24; turns++) {
		for (unsigned who = 0; who < 4; who++) {
			struct chan *c = who & 1 ? &b : &a;

			script.read_max = who & 2 ? 30 : 0;
			assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
			for (unsigned i = 0; i < turns; i++)
				script_turn(i & 1 ? na.fab : nb.fab);
			if (turns == 23)
				c->close_at = AT_CONNECTED;
			else
				chan_close(c);
			settle();
			chan_fini(&a);
			chan_fini(&b);
			settle();
			if (nb.request)
				close_at_once(&nb, nb.request);
			assert_int_equal(script.conns, 0);
		}
	}
}

static void closed_from_connected(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		(who ? &b : &a)->close_at = AT_CONNECTED;
		assert_int_equal(chan_connect(&a, &nb.addr, NULL, 0), 0);
		settle();
		assert_int_equal(a.connected, 1);
		assert_int_equal(script.conns, 0);
		chan_fini(&a);
		chan_fini(&b);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_sides_hear_the_other),
		TEST(etas_introduce_themselves),
		TEST(too_much_to_say),
		TEST(a_stranger),
		TEST(addresses),
		TEST(nobody_listens),
		TEST(disconnect_in_order),
		TEST(disconnect_at_once),
		TEST(rejected),
		TEST(rejected_and_closed),
		TEST(closed_instead_of_answered),
		TEST(request_is_withdrawn),
		TEST(withdrawn_while_answering),
		TEST(unlisten_with_requests),
		TEST(read_as_ready_to_receive),
		TEST(revision_1_initiator),
		TEST(raw_private_data),
		TEST(too_eager),
		TEST(bad_requests_do_no_harm),
		TEST(many_that_say_nothing),
		TEST(write_or_read_as_agreed),
		TEST(messages_behind_the_reply),
		TEST(dials_again),
		TEST(bad_replies),
		TEST(rejected_by_hand),
		TEST(nobody_answers),
		TEST(user_takes_its_time),
		TEST(slow_request),
		TEST(closed_at_any_time),
		TEST(closed_from_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
