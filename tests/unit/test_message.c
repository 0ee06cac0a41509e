/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_message.c - the message service: whole messages in and out, in pieces, cut, too long, without
 * a receive; and the requests that lead to a connection.
 */
#include "tests/unit/ppe_test.h"

#include <arpa/inet.h>

static struct bench b;
static struct ppe_dti *d;
static struct fab_msg_conn *c;
static uint8_t mem[1 << 20];

static void open_with(uint32_t evq_size)
{
	bench_open(&b, NULL, evq_size);
	d = dti_connected(&b, PPE_MESSAGE, 64);
	c = stub_keep_msg(d);
	pattern_fill(mem, 0, sizeof(mem));
}

static int open_bench(void **state)
{
	(void)state;
	open_with(256);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static void assert_out(unsigned messages, size_t bytes)
{
	assert_int_equal(c->out_count, messages);
	assert_int_equal(c->out.len, bytes);
	assert_int_equal(pattern_check(c->out.data, 0, bytes), bytes);
}

/* ------------------------------------------------------------------------- sending */

static void message_sends_whole_messages(void **state)
{
	struct ppe_sge sge[3] = { sge_of(&b, mem + 10, 5), sge_of(&b, NULL, 0),
				  sge_of(&b, mem + 15, 20) };
	struct ppe_post p = { .user_tag = 2, .sge = sge, .nsge = 3, .flags = PPE_POST_SOLICITED };

	(void)state;
	assert_int_equal(send_inline(d, 1, mem, 10, 0), 0);
	assert_int_equal(ppe_post_send(d, &p), 0);
	assert_int_equal(send_inline(d, 3, NULL, 0, 0), 0);
	assert_int_equal(send_mem(&b, d, 4, mem + 35, 5, PPE_POST_SILENT), 0);
	expect(b.q, PPE_EV_SEND, 1, 0, 10);
	expect(b.q, PPE_EV_SEND, 2, 0, 25);
	expect(b.q, PPE_EV_SEND, 3, 0, 0);
	expect_none(b.q);
	assert_out(4, 40);
	assert_int_equal(c->out_flags[0], 0);
	assert_int_equal(c->out_flags[1], FAB_SEND_SOLICITED);
	assert_int_equal(b.q->reserved, 0);
}

/* Cut at every byte of three messages. */
static void message_resumes_at_every_offset(void **state)
{
	(void)state;
	stub_msg_window(c, 0);
	for (size_t cut = 0; cut <= 60; cut++) {
		c->out.len = c->out_count = 0;
		assert_int_equal(send_mem(&b, d, 1, mem, 20, 0), 0);
		assert_int_equal(send_inline(d, 2, mem + 20, 20, PPE_POST_SILENT), 0);
		assert_int_equal(send_mem(&b, d, 3, mem + 40, 20, 0), 0);
		stub_msg_window(c, cut);
		turns(b.ual, 3);
		assert_out(cut / 20, cut);
		stub_msg_window(c, 60 - cut);
		expect(b.q, PPE_EV_SEND, 1, 0, 20);
		expect(b.q, PPE_EV_SEND, 3, 0, 20);
		expect_none(b.q);
		assert_out(3, 60);
		assert_int_equal(b.q->reserved, 0);
	}
}

/* The peer has a part of a message whose rest is gone: the connection cannot go on. */
static void message_deregistered_while_partly_sent(void **state)
{
	struct ppe_mr mr;
	struct ppe_sge sge = { .addr = (uintptr_t)mem, .len = 20 };
	struct ppe_post p = { .user_tag = 1, .sge = &sge, .nsge = 1 };

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 20, PPE_ACCESS_LOCAL_READ, &mr), 0);
	sge.region = mr.region;
	sge.ptag = mr.ptag;
	stub_msg_window(c, 5);
	assert_int_equal(ppe_post_send(d, &p), 0);
	assert_int_equal(send_mem(&b, d, 2, mem, 20, 0), 0);
	turns(b.ual, 2);
	assert_int_equal(c->out.len, 5);
	assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
	stub_msg_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 1, -EKEYREVOKED, 0);
	expect(b.q, PPE_EV_SEND, 2, -EKEYREVOKED, 0);
	expect(b.q, PPE_EV_CLOSED, 99, -EKEYREVOKED, 0);
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
}

/* One that never began fails alone. */
static void message_bad_send_fails_alone(void **state)
{
	struct ppe_sge sge = sge_of(&b, mem, 20);
	struct ppe_post p = { .user_tag = 2, .sge = &sge, .nsge = 1 };

	(void)state;
	sge.ptag ^= 1;
	assert_int_equal(send_mem(&b, d, 1, mem, 20, 0), 0);
	assert_int_equal(ppe_post_send(d, &p), 0);
	assert_int_equal(send_mem(&b, d, 3, mem + 20, 20, 0), 0);
	expect(b.q, PPE_EV_SEND, 1, 0, 20);
	expect(b.q, PPE_EV_SEND, 2, -EKEYREJECTED, 0);
	expect(b.q, PPE_EV_SEND, 3, 0, 20);
	assert_out(2, 40);
	expect_none(b.q);
}

static void message_disconnect_follows_the_sends(void **state)
{
	(void)state;
	stub_msg_window(c, 30);
	assert_int_equal(send_mem(&b, d, 1, mem, 20, 0), 0);
	assert_int_equal(send_mem(&b, d, 2, mem + 20, 20, 0), 0);
	assert_int_equal(ppe_dti_disconnect(d), 0);
	expect(b.q, PPE_EV_SEND, 1, 0, 20);
	expect_none(b.q);
	assert_false(c->shut);
	stub_msg_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 2, 0, 20);
	turns(b.ual, 1);
	assert_true(c->shut);
	assert_int_equal(recv_mem(&b, d, 3, mem, 20), 0);
	stub_msg_closed(c, 0);
	expect(b.q, PPE_EV_RECV, 3, -ESHUTDOWN, 0);
	expect(b.q, PPE_EV_CLOSED, 99, 0, 0);
	assert_int_equal(ppe_dti_disconnect(d), -ENOTCONN);
	expect_none(b.q);
}

/* ----------------------------------------------------------------------- receiving */

static void message_arrives_in_pieces(void **state)
{
	struct ppe_sge sge[3] = { sge_of(&b, mem, 7), sge_of(&b, mem + 100, 0),
				  sge_of(&b, mem + 7, 93) };
	struct ppe_post p = { .user_tag = 1, .sge = sge, .nsge = 3 };
	static uint8_t data[100];

	(void)state;
	pattern_fill(data, 0, sizeof(data));
	for (uint32_t piece = 1; piece <= 101; piece++) {
		struct ppe_event ev;

		c->piece = piece;
		memset(mem, 0, 200);
		assert_int_equal(ppe_post_recv(d, &p), 0);
		stub_msg_inject(c, data, 100);
		turns(b.ual, 2); /* 64 pieces in each */
		ev = expect(b.q, PPE_EV_RECV, 1, 0, 100);
		assert_int_equal(ev.flags, 0);
		assert_int_equal(pattern_check(mem, 0, 100), 100);
		/* and a shorter one than the receive */
		assert_int_equal(ppe_post_recv(d, &p), 0);
		stub_msg_inject(c, data, 9);
		expect(b.q, PPE_EV_RECV, 1, 0, 9);
	}
	assert_int_equal(ppe_post_recv(d, &p), 0);
	stub_msg_inject(c, NULL, 0);
	expect(b.q, PPE_EV_RECV, 1, 0, 0);
	expect_none(b.q);
}

/* What does not fit is dropped, and said so; memory behind the receive stays as it was. */
static void message_longer_than_its_receive(void **state)
{
	static uint8_t data[100];

	(void)state;
	pattern_fill(data, 0, sizeof(data));
	for (uint32_t piece = 1; piece <= 100; piece += 7) {
		for (uint32_t room = 0; room < 100; room += 9) {
			struct ppe_event ev;

			c->piece = piece;
			memset(mem, 0x55, 200);
			assert_int_equal(recv_mem(&b, d, 1, mem, room), 0);
			assert_int_equal(recv_mem(&b, d, 2, mem + 200, 100), 0);
			stub_msg_inject(c, data, 100);
			stub_msg_inject(c, data, 3);
			turns(b.ual, 3);
			ev = expect(b.q, PPE_EV_RECV, 1, -EMSGSIZE, room);
			assert_int_equal(ev.full_len, 100);
			assert_int_equal(ev.flags, PPE_EVF_TRUNCATED);
			assert_int_equal(pattern_check(mem, 0, room), room);
			for (uint32_t i = room; i < 200; i++)
				assert_int_equal(mem[i], 0x55);
			expect(b.q, PPE_EV_RECV, 2, 0, 3);
		}
	}
}

static void message_waits_for_its_receive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		stub_msg_inject(c, mem + 100 * i, 100);
	turns(b.ual, 3);
	assert_int_equal(c->in_count, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(recv_mem(&b, d, i, mem + 1000, 100), 0);
		expect(b.q, PPE_EV_RECV, i, 0, 100);
		assert_int_equal(pattern_check(mem + 1000, 100 * i, 100), 100);
	}
	expect_none(b.q);
}

/* Nobody has taken events: messages wait, and go on when somebody does. */
static void message_waits_for_a_slot(void **state)
{
	(void)state;
	open_with(4);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(recv_mem(&b, d, i, mem + 1000 + 100 * i, 100), 0);
		stub_msg_inject(c, mem + 10 * i, 10);
	}
	turns(b.ual, 5);
	assert_int_equal(ppe_evq_count(b.q), 4);
	assert_int_equal(c->in_count, 16);
	for (unsigned i = 0; i < 20; i++)
		expect(b.q, PPE_EV_RECV, i, 0, 10);
	expect_none(b.q);
	bench_close(&b);
}

static void message_deregistered_in_the_middle(void **state)
{
	struct ppe_mr mr;
	struct ppe_sge sge = { .addr = (uintptr_t)mem, .len = 100 };
	struct ppe_post p = { .user_tag = 1, .sge = &sge, .nsge = 1 };
	static uint8_t data[200];

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 100, PPE_ACCESS_LOCAL_WRITE, &mr), 0);
	sge.region = mr.region;
	sge.ptag = mr.ptag;
	assert_int_equal(ppe_post_recv(d, &p), 0);
	p.user_tag = 2;
	assert_int_equal(ppe_post_recv(d, &p), 0);
	assert_int_equal(recv_mem(&b, d, 3, mem + 200, 100), 0);
	c->piece = 1; /* 64 of them in a turn */
	stub_msg_inject(c, data, 80);
	stub_msg_inject(c, mem, 10);
	turns(b.ual, 1);
	assert_int_equal(c->in_off, 64);
	assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
	memset(mem, 0x55, 100);
	turns(b.ual, 3);
	expect(b.q, PPE_EV_RECV, 1, -EKEYREVOKED, 80);
	expect(b.q, PPE_EV_RECV, 2, -EKEYREVOKED, 0);
	expect(b.q, PPE_EV_RECV, 3, 0, 10);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(mem[i], 0x55);
	expect_none(b.q);
}

/* The connection ends within a message: its receive ends with what had come. */
static void message_closed_in_the_middle(void **state)
{
	static uint8_t data[200];

	(void)state;
	assert_int_equal(recv_mem(&b, d, 1, mem, 200), 0);
	assert_int_equal(recv_mem(&b, d, 2, mem, 200), 0);
	stub_msg_window(c, 5);
	assert_int_equal(send_mem(&b, d, 3, mem, 10, 0), 0);
	assert_int_equal(send_mem(&b, d, 4, mem, 10, PPE_POST_SILENT), 0);
	c->piece = 1;
	stub_msg_inject(c, data, 200);
	turns(b.ual, 1);
	c->in_count = 0;
	stub_msg_closed(c, -ECONNRESET);
	expect(b.q, PPE_EV_SEND, 3, -ECONNRESET, 0);
	expect(b.q, PPE_EV_RECV, 1, -ECONNRESET, 64);
	expect(b.q, PPE_EV_SEND, 4, -ECONNRESET, 0);
	expect(b.q, PPE_EV_RECV, 2, -ECONNRESET, 0);
	expect(b.q, PPE_EV_CLOSED, 99, -ECONNRESET, 0);
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
	assert_true(c->dead);
}

static void message_destroyed_in_the_middle(void **state)
{
	static uint8_t data[200];

	(void)state;
	for (int discard = 0; discard < 2; discard++) {
		struct ppe_dti *m = dti_connected(&b, PPE_MESSAGE, 16);
		struct fab_msg_conn *conn = stub_keep_msg(m);

		assert_int_equal(recv_mem(&b, m, 1, mem, 200), 0);
		assert_int_equal(recv_mem(&b, m, 2, mem, 200), 0);
		stub_msg_window(conn, 5);
		assert_int_equal(send_mem(&b, m, 3, mem, 10, 0), 0);
		conn->piece = 1;
		stub_msg_inject(conn, data, 200);
		turns(b.ual, 1);
		ppe_dti_destroy(m, discard);
		if (!discard) {
			expect(b.q, PPE_EV_SEND, 3, -ECANCELED, 0);
			expect(b.q, PPE_EV_RECV, 1, -ECANCELED, 64);
			expect(b.q, PPE_EV_RECV, 2, -ECANCELED, 0);
		}
		expect_none(b.q);
		assert_int_equal(b.q->reserved, 0);
	}
}

static void message_cancel_spares_what_has_begun(void **state)
{
	static uint8_t data[200];

	(void)state;
	stub_msg_window(c, 5);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(recv_mem(&b, d, 7, mem, 200), 0);
		assert_int_equal(send_mem(&b, d, 7, mem, 10, 0), 0);
	}
	c->piece = 1;
	stub_msg_inject(c, data, 200);
	turns(b.ual, 1);
	assert_int_equal(ppe_dti_cancel(d, 7, PPE_CANCEL_SEND), 2);
	assert_int_equal(ppe_dti_cancel(d, 7, PPE_CANCEL_RECV), 2);
	for (unsigned i = 0; i < 2; i++)
		expect(b.q, PPE_EV_SEND, 7, -ECANCELED, 0);
	for (unsigned i = 0; i < 2; i++)
		expect(b.q, PPE_EV_RECV, 7, -ECANCELED, 0);
	stub_msg_window(c, SIZE_MAX);
	turns(b.ual, 5);
	assert_int_equal(ppe_evq_count(b.q), 2);
	ppe_evq_purge(b.q, 0xc0);
	assert_int_equal(c->out.len, 10);
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
}

/* Who has no events to read is still told by the counters, wherever the request was at the end. */
static void message_flushed_without_events(void **state)
{
	struct ppe_dti_attr attr = {
		.service = PPE_MESSAGE,
		.tx_evq = b.q,
		.rx_max = 1,
		.no_tx_events = true,
		.no_rx_events = true,
	};
	struct ppe_cntr *sent, *received;
	struct ppe_dti *quiet;

	(void)state;
	assert_int_equal(ppe_cntr_create(b.ual, &sent), 0);
	assert_int_equal(ppe_cntr_create(b.ual, &received), 0);
	assert_int_equal(ppe_dti_create(b.ual, &attr, &quiet), 0);
	assert_int_equal(ppe_dti_count(quiet, PPE_COUNT_SEND, sent), 0);
	assert_int_equal(ppe_dti_count(quiet, PPE_COUNT_RECV, received), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(recv_mem(&b, quiet, i, mem, 10), 0);
		assert_int_equal(send_mem(&b, quiet, i, mem, 10, 0), 0);
	}
	ppe_dti_destroy(quiet, false);
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
	assert_int_equal(ppe_cntr_errors(sent), 3);
	assert_int_equal(ppe_cntr_errors(received), 3);
	assert_int_equal(ppe_cntr_destroy(sent), 0);
	assert_int_equal(ppe_cntr_destroy(received), 0);
}

/* What never left its queue is still told for what it is. */
static void message_flushed_by_kind(void **state)
{
	struct ppe_rma there = { .key = 1 };
	struct ppe_msg recv = { .op = PPE_OP_RECV, .flags = PPE_POST_TAGGED, .user_tag = 1 };
	struct ppe_msg write = { .op = PPE_OP_WRITE, .nrma = 1, .rma = &there, .user_tag = 2 };
	struct ppe_msg send = { .op = PPE_OP_SEND, .flags = PPE_POST_TAGGED, .user_tag = 3 };
	static const enum ppe_event_type type[] = { PPE_EV_WRITE, PPE_EV_SEND, PPE_EV_RECV };
	static const uint64_t tag[] = { 2, 3, 1 };
	struct ppe_dti *idle = dti_new(&b, b.q, PPE_MESSAGE, 0);
	struct ppe_event ev;

	(void)state;
	assert_int_equal(ppe_post_message(idle, &recv), 0);
	assert_int_equal(ppe_post_message(idle, &write), 0);
	assert_int_equal(ppe_post_message(idle, &send), 0);
	ppe_dti_destroy(idle, false);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ppe_evq_read(b.q, &ev, 1), 1);
		assert_int_equal(ev.type, type[i]);
		assert_int_equal(ev.user_tag, tag[i]);
		assert_int_equal(ev.status, -ECANCELED);
		assert_int_equal(ev.flags, i ? PPE_EVF_TAGGED : 0);
	}
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
}

/* ------------------------------------------------------------------------ requests */

static struct fab_msg_listener *listen_on(struct ppe_dti **l)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(7) };

	*l = dti_new(&b, b.q, PPE_MESSAGE, 0);
	assert_int_equal(ppe_dti_listen(*l, 5), -EDESTADDRREQ);
	assert_int_equal(ppe_dti_bind(*l, (void *)&at, sizeof(at)), 0);
	assert_int_equal(ppe_dti_listen(*l, 5), 0);
	assert_int_equal(ppe_dti_listen(*l, 5), -EISCONN);
	return (*l)->mlistener;
}

static void message_request_is_accepted(void **state)
{
	struct ppe_dti *l, *child = dti_new(&b, b.q, PPE_MESSAGE, 0);
	struct fab_msg_conn *conn = stub_msg_request(listen_on(&l), "hello", 5);
	struct ppe_event ev = expect(b.q, PPE_EV_REQUEST, 0, 0, 0);
	union fab_addr local, peer;
	char pdata[16];
	size_t len = 3;

	(void)state;
	assert_int_equal(ev.dti, ppe_dti_handle(l));
	assert_int_equal(ppe_ual_request_info(b.ual, ev.data, &local, &peer, pdata, &len), 0);
	assert_int_equal(len, 3);
	len = sizeof(pdata);
	assert_int_equal(ppe_ual_request_info(b.ual, ev.data, &local, &peer, pdata, &len), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(pdata, "hello", 5);
	assert_int_equal(ppe_dti_accept_request(child, ev.data + 1, 3, NULL, 0), -ESTALE);
	assert_int_equal(ppe_dti_accept_request(d, ev.data, 3, NULL, 0), -EISCONN);
	assert_int_equal(ppe_dti_accept_request(child, ev.data, 3, "welcome", FAB_PDATA_MAX + 1),
			 -EMSGSIZE);
	assert_int_equal(ppe_dti_accept_request(child, ev.data, 3, "welcome", 7), 0);
	expect(b.q, PPE_EV_CONNECT, 3, 0, 0);
	assert_memory_equal(conn->answer, "welcome", 7);
	assert_int_equal(ppe_dti_accept_request(child, ev.data, 3, NULL, 0), -EISCONN);
	assert_int_equal(ppe_ual_reject_request(b.ual, ev.data, NULL, 0), -ESTALE);
	assert_int_equal(send_mem(&b, child, 4, mem, 10, 0), 0);
	expect(b.q, PPE_EV_SEND, 4, 0, 10);
	ppe_dti_destroy(l, false);
	expect_none(b.q);
}

static void message_request_is_rejected(void **state)
{
	struct ppe_dti *l;
	struct fab_msg_conn *conn = stub_msg_request(listen_on(&l), NULL, 0);
	struct ppe_event ev = expect(b.q, PPE_EV_REQUEST, 0, 0, 0);

	(void)state;
	assert_int_equal(ppe_ual_reject_request(b.ual, ev.data, "no", 2), 0);
	assert_true(conn->rejected);
	assert_memory_equal(conn->answer, "no", 2);
	assert_int_equal(ppe_ual_reject_request(b.ual, ev.data, NULL, 0), -ESTALE);
}

static void message_request_is_withdrawn(void **state)
{
	struct ppe_dti *l, *child = dti_new(&b, b.q, PPE_MESSAGE, 0);
	struct fab_msg_listener *fl = listen_on(&l);
	struct fab_msg_conn *conn = stub_msg_request(fl, NULL, 0);
	struct ppe_event ev = expect(b.q, PPE_EV_REQUEST, 0, 0, 0);

	(void)state;
	stub_msg_withdraw(conn);
	turns(b.ual, 1);
	assert_int_equal(ppe_dti_accept_request(child, ev.data, 3, NULL, 0), -ESTALE);
	/* also when the listener is gone meanwhile */
	conn = stub_msg_request(fl, NULL, 0);
	ev = expect(b.q, PPE_EV_REQUEST, 0, 0, 0);
	ppe_dti_destroy(l, false);
	assert_int_equal(ppe_dti_accept_request(child, ev.data, 3, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 3, 0, 0);
}

/* Requests wait for a slot too, and are refused when their listener goes. */
static void message_requests_wait_for_a_slot(void **state)
{
	struct fab_msg_conn *conn[6];
	struct fab_msg_listener *fl;
	struct ppe_event ev[4];
	struct ppe_dti *l;

	(void)state;
	bench_open(&b, NULL, 2);
	fl = listen_on(&l);
	for (unsigned i = 0; i < 6; i++)
		conn[i] = stub_msg_request(fl, NULL, 0);
	turns(b.ual, 2);
	assert_int_equal(ppe_evq_count(b.q), 2);
	stub_msg_withdraw(conn[2]);
	turns(b.ual, 2);
	assert_int_equal(ppe_evq_take(b.q, ev, 1), 1);
	turns(b.ual, 2);
	assert_int_equal(ppe_evq_take(b.q, ev, 4), 2);
	assert_int_equal(ev[1].data, 4); /* the third was withdrawn before it was told */
	ppe_dti_destroy(l, false);
	assert_false(conn[3]->rejected);
	assert_true(conn[4]->rejected || conn[4]->dead);
	assert_true(conn[5]->rejected || conn[5]->dead);
	bench_close(&b);
}

static void message_connect_is_refused_with_an_answer(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct ppe_dti *m = dti_new(&b, b.q, PPE_MESSAGE, 0);
	char pdata[16];
	size_t len = sizeof(pdata);

	(void)state;
	b.fab->held = true;
	assert_int_equal(recv_mem(&b, m, 2, mem, 10), 0);
	assert_int_equal(send_mem(&b, m, 3, mem, 10, 0), 0);
	assert_int_equal(ppe_dti_connect(m, (void *)&to, sizeof(to), 0, 1, "me", 2), 0);
	assert_int_equal(ppe_dti_connect(m, (void *)&to, sizeof(to), 0, 1, "me", 2), -EALREADY);
	expect_none(b.q);
	stub_msg_connect_done(stub_keep_msg(m), -ECONNREFUSED, "go away", 7);
	expect(b.q, PPE_EV_CONNECT, 1, -ECONNREFUSED, 0);
	expect(b.q, PPE_EV_SEND, 3, -ECONNREFUSED, 0);
	expect(b.q, PPE_EV_RECV, 2, -ECONNREFUSED, 0);
	assert_int_equal(ppe_dti_pdata(m, pdata, &len), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(pdata, "go away", 7);
	expect_none(b.q);
}

static void message_connect_is_cancelled(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct ppe_dti *m = dti_new(&b, b.q, PPE_MESSAGE, 0);

	(void)state;
	b.fab->held = true;
	assert_int_equal(ppe_dti_connect(m, (void *)&to, sizeof(to), 0, 1, NULL, 0), 0);
	assert_int_equal(ppe_dti_cancel(m, 2, PPE_CANCEL_CONNECT), -ENOENT);
	assert_int_equal(ppe_dti_cancel(m, 1, PPE_CANCEL_CONNECT), 1);
	expect(b.q, PPE_EV_CONNECT, 1, -ECANCELED, 0);
	assert_int_equal(ppe_dti_cancel(m, 1, PPE_CANCEL_CONNECT), -ENOENT);
	m = dti_new(&b, b.q, PPE_MESSAGE, 0);
	assert_int_equal(ppe_dti_connect(m, (void *)&to, sizeof(to), 0, 1, NULL, 0), 0);
	ppe_dti_destroy(m, false);
	expect(b.q, PPE_EV_CONNECT, 1, -ECANCELED, 0);
	expect_none(b.q);
}

/* ------------------------------------------------------------------ against a model */

/* Random messages both ways; what comes out is what went in, message by message. */
static void message_model(void **state)
{
	uint64_t seed = test_seed(4711);
	uint64_t tx_at = 0, rx_at = 0, in_at = 0;
	unsigned sent = 0, told = 0, received = 0, posted = 0, in = 0;
	static uint8_t source[256][512], dest[256][512], data[512];
	static uint32_t sent_len[256], in_len[1 << 16];

	(void)state;
	stub_msg_window(c, 0);
	for (int step = 0; step < (TEST_SLOW ? 20000 : 200000) && in < (1 << 16); step++) {
		uint32_t len = rnd_below(&seed, 512);
		struct ppe_event ev;

		switch (rnd_below(&seed, 5)) {
		case 0:
			if (sent - told >= 200)
				break;
			pattern_fill(source[sent % 256], tx_at, len);
			sent_len[sent % 256] = len;
			if (!send_mem(&b, d, sent, source[sent % 256], len, 0)) {
				tx_at += len;
				sent++;
			}
			break;
		case 1:
			if (posted - received < 60 &&
			    !recv_mem(&b, d, 1000000 + posted, dest[posted % 256], 512))
				posted++;
			break;
		case 2:
			c->piece = 1 + rnd_below(&seed, 300);
			if (c->in_count == STUB_MSGS)
				break;
			pattern_fill(data, in_at, len);
			stub_msg_inject(c, data, len);
			in_at += len;
			in_len[in++] = len;
			break;
		case 3:
			stub_msg_window(c, rnd_below(&seed, 1000));
			break;
		default:
			if (ppe_evq_read(b.q, &ev, 1) != 1)
				break;
			assert_int_equal(ev.status, 0);
			if (ev.type == PPE_EV_SEND) {
				assert_int_equal(ev.user_tag, told);
				assert_int_equal(ev.len, sent_len[told++ % 256]);
				break;
			}
			assert_int_equal(ev.user_tag, 1000000 + received);
			assert_int_equal(ev.len, in_len[received]);
			assert_int_equal(pattern_check(dest[received % 256], rx_at, ev.len),
					 ev.len);
			rx_at += ev.len;
			received++;
		}
		if (c->out_count > STUB_MSGS / 2) {
			c->out_count = 0;
		}
	}
	assert_int_equal(pattern_check(c->out.data, 0, c->out.len), c->out.len);
	assert_true(told > 200 && received > 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(message_sends_whole_messages),
		TEST(message_resumes_at_every_offset),
		TEST(message_deregistered_while_partly_sent),
		TEST(message_bad_send_fails_alone),
		TEST(message_disconnect_follows_the_sends),
		TEST(message_arrives_in_pieces),
		TEST(message_longer_than_its_receive),
		TEST(message_waits_for_its_receive),
		cmocka_unit_test(message_waits_for_a_slot),
		TEST(message_deregistered_in_the_middle),
		TEST(message_closed_in_the_middle),
		TEST(message_destroyed_in_the_middle),
		TEST(message_cancel_spares_what_has_begun),
		TEST(message_flushed_without_events),
		TEST(message_flushed_by_kind),
		TEST(message_request_is_accepted),
		TEST(message_request_is_rejected),
		TEST(message_request_is_withdrawn),
		cmocka_unit_test(message_requests_wait_for_a_slot),
		TEST(message_connect_is_refused_with_an_answer),
		TEST(message_connect_is_cancelled),
		TEST(message_model),
	};

	return test_run(tests, NULL);
}
