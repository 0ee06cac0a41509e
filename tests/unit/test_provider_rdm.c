/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_provider_rdm.c - what datagram endpoints do: messages, tags, RMA, atomics; by libfabric's calls. */
#include <unistd.h>

#include "provider_rdm.h"
#include "tests/unit/test_host.h"

#define BIG (1 << 20)

static uint8_t tx_buf[BIG], rx_buf[BIG], cmp_buf[BIG];

static void fill(size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		tx_buf[i] = seed + i * 13;
	memset(rx_buf, 0, len);
}

/* -------------------------------------------------------------------------------- messages */

static void test_send_recv(void **state)
{
	static const size_t sizes[] = { 0, 1, 64, 128, 4096, 70000, BIG };
	struct node_options opt = { 0 };
	struct fi_cq_tagged_entry e;
	struct node n[2];
	int tx, rx;

	(void)state;
	nodes_open(n, &opt);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* there and back; the second time the message may be there before its receive */
		for (int from = 0; from < 2; from++) {
			fill(sizes[i], i + from);
			if (!from)
				ok(fi_recv(n[!from].ep, rx_buf, BIG, NULL, FI_ADDR_UNSPEC, &rx));
			ok(fi_send(n[from].ep, tx_buf, sizes[i], NULL, n[from].peer, &tx));
			if (from)
				ok(fi_recv(n[!from].ep, rx_buf, BIG, NULL, FI_ADDR_UNSPEC, &rx));
			expect_comp(n[from].tx_cq, &e);
			assert_ptr_equal(e.op_context, &tx);
			assert_int_equal(e.flags, FI_SEND | FI_MSG);
			expect_comp(n[!from].rx_cq, &e);
			assert_ptr_equal(e.op_context, &rx);
			assert_int_equal(e.flags, FI_RECV | FI_MSG);
			assert_int_equal(e.len, sizes[i]);
			assert_memory_equal(tx_buf, rx_buf, sizes[i]);
		}
	}
	nodes_close(n);
}

static void test_variants(void **state)
{
	struct node_options opt = { 0 };
	struct iovec tx[3] = { { tx_buf, 10 }, { tx_buf + 10, 0 }, { tx_buf + 10, 20 } };
	struct iovec rx[2] = { { rx_buf, 7 }, { rx_buf + 7, 100 } };
	struct fi_msg msg = { .msg_iov = tx, .iov_count = 3, .data = 99 };
	struct fi_cq_tagged_entry e;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	msg.addr = n[0].peer;
	fill(200, 1);
	for (int i = 0; i < 6; i++)
		ok(fi_recvv(n[1].ep, rx, NULL, 2, FI_ADDR_UNSPEC, NULL));
	ok(fi_sendv(n[0].ep, tx, NULL, 3, n[0].peer, NULL));
	ok(fi_senddata(n[0].ep, tx_buf, 30, NULL, 0x1122334455667788, n[0].peer, NULL));
	ok(fi_sendmsg(n[0].ep, &msg, FI_REMOTE_CQ_DATA | FI_DELIVERY_COMPLETE));
	ok(fi_sendmsg(n[0].ep, &msg, FI_INJECT | FI_FENCE));
	ok(fi_inject(n[0].ep, tx_buf, 30, n[0].peer));
	ok(fi_injectdata(n[0].ep, tx_buf, 30, 7, n[0].peer));
	for (int i = 0; i < 6; i++) {
		static const uint64_t data[] = { 0, 0x1122334455667788, 99, 0, 0, 7 };

		expect_comp(n[1].rx_cq, &e);
		assert_int_equal(e.len, 30);
		assert_int_equal(e.flags, FI_RECV | FI_MSG | (data[i] ? FI_REMOTE_CQ_DATA : 0));
		assert_int_equal(e.data, data[i]);
		assert_memory_equal(tx_buf, rx_buf, 30);
	}
	for (int i = 0; i < 4; i++)
		expect_comp(n[0].tx_cq, NULL);
	fails(fi_cq_read(n[0].tx_cq, &e, 1), FI_EAGAIN);
	nodes_close(n);
}

static void test_truncation_and_cancel(void **state)
{
	struct node_options opt = { 0 };
	struct fi_cq_err_entry error;
	struct node n[2];
	int a, b;

	(void)state;
	nodes_open(n, &opt);
	fill(1000, 3);
	ok(fi_recv(n[1].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, &a));
	ok(fi_send(n[0].ep, tx_buf, 1000, NULL, n[0].peer, NULL));
	expect_error(n[1].rx_cq, FI_ETRUNC, &error);
	assert_ptr_equal(error.op_context, &a);
	assert_int_equal(error.len, 100);
	assert_int_equal(error.olen, 900);
	assert_memory_equal(tx_buf, rx_buf, 100);
	ok(fi_trecv(n[1].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, 1, 0, &a));
	ok(fi_recv(n[1].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, &b));
	ok(fi_cancel(&n[1].ep->fid, &b));
	expect_error(n[1].rx_cq, FI_ECANCELED, &error);
	assert_ptr_equal(error.op_context, &b);
	ok(fi_cancel(&n[1].ep->fid, &a));
	expect_error(n[1].rx_cq, FI_ECANCELED, &error);
	assert_ptr_equal(error.op_context, &a);
	nodes_close(n);
}

static void test_multi_recv(void **state)
{
	struct node_options opt = { 0 };
	struct iovec iov = { rx_buf, 1000 };
	struct fi_msg msg = {
		.msg_iov = &iov, .iov_count = 1, .addr = FI_ADDR_UNSPEC, .context = &msg
	};
	struct fi_cq_tagged_entry e;
	size_t min = 300, len = sizeof(min), got = 0;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	ok(fi_setopt(&n[1].ep->fid, FI_OPT_ENDPOINT, FI_OPT_MIN_MULTI_RECV, &min, len));
	min = 0;
	ok(fi_getopt(&n[1].ep->fid, FI_OPT_ENDPOINT, FI_OPT_MIN_MULTI_RECV, &min, &len));
	assert_int_equal(min, 300);
	fails(fi_setopt(&n[1].ep->fid, FI_OPT_ENDPOINT, FI_OPT_MIN_MULTI_RECV, &min, 4), FI_EINVAL);
	fails(fi_setopt(&n[1].ep->fid, FI_OPT_ENDPOINT, FI_OPT_BUFFERED_MIN, &min, len),
	      FI_ENOPROTOOPT);
	ok(fi_recvmsg(n[1].ep, &msg, FI_MULTI_RECV));
	fill(1000, 5);
	for (int i = 0; i < 4; i++) {
		ok(fi_send(n[0].ep, tx_buf + i * 200, 200, NULL, n[0].peer, NULL));
		expect_comp(n[0].tx_cq, NULL);
	}
	for (int i = 0; i < 4; i++) {
		expect_comp(n[1].rx_cq, &e);
		assert_ptr_equal(e.op_context, &msg);
		assert_int_equal(e.len, 200);
		assert_ptr_equal(e.buf, rx_buf + i * 200);
		assert_memory_equal(e.buf, tx_buf + i * 200, 200);
		got += e.len;
		assert_int_equal(!!(e.flags & FI_MULTI_RECV), i == 3);
	}
	assert_int_equal(got, 800);
	nodes_close(n);
}

static void test_who_sent_it(void **state)
{
	struct node_options opt = { .caps = FI_MSG | FI_SOURCE | FI_DIRECTED_RECV };
	struct fi_cq_tagged_entry e;
	struct node n[3];
	fi_addr_t third, from;

	(void)state;
	nodes_open(n, &opt);
	node_open(&n[2], &opt);
	assert_int_equal(fi_av_insert(n[1].av, &n[2].name, 1, &third, 0, NULL), 1);
	assert_int_equal(fi_av_insert(n[2].av, &n[1].name, 1, &n[2].peer, 0, NULL), 1);
	/* the receive is for the one who sends last */
	ok(fi_recv(n[1].ep, rx_buf, 100, NULL, third, &third));
	fill(10, 1);
	ok(fi_send(n[0].ep, tx_buf, 10, NULL, n[0].peer, NULL));
	expect_comp(n[0].tx_cq, NULL);
	ok(fi_send(n[2].ep, tx_buf, 9, NULL, n[2].peer, NULL));
	assert_int_equal(fi_cq_sreadfrom(n[1].rx_cq, &e, 1, &from, NULL, WAIT_MS), 1);
	assert_ptr_equal(e.op_context, &third);
	assert_int_equal(e.len, 9);
	assert_int_equal(from, third);
	ok(fi_recv(n[1].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, NULL));
	assert_int_equal(fi_cq_sreadfrom(n[1].rx_cq, &e, 1, &from, NULL, WAIT_MS), 1);
	assert_int_equal(e.len, 10);
	assert_int_equal(from, n[1].peer);
	node_close(&n[2]);
	nodes_close(n);
}

/* On all addresses, so that only its peer knows which of them is its name. */
static void everywhere_open(struct node *n)
{
	struct node_options opt = { .source = "0.0.0.0", .caps = FI_MSG | FI_SOURCE };

	node_open(n, &opt);
	n->name.in.sin_addr.s_addr = test_host_addr();
}

static void test_everywhere(void **state)
{
	struct node_options opt = { .caps = FI_MSG | FI_SOURCE };
	struct fi_cq_tagged_entry e;
	struct node n[2];
	fi_addr_t from;

	(void)state;
	/* whoever calls */
	for (int first = 0; first < 2; first++) {
		everywhere_open(&n[0]);
		node_open(&n[1], &opt);
		nodes_meet(&n[0], &n[1]);
		for (int i = 0; i < 2; i++) {
			struct node *a = &n[first ^ i], *b = &n[!(first ^ i)];

			ok(fi_recv(b->ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, NULL));
			ok(fi_send(a->ep, tx_buf, 10, NULL, a->peer, NULL));
			assert_int_equal(fi_cq_sreadfrom(b->rx_cq, &e, 1, &from, NULL, WAIT_MS), 1);
			assert_int_equal(from, b->peer);
			expect_comp(a->tx_cq, NULL);
		}
		nodes_close(n);
	}
	/* both at once, more than once: one connection, and nothing lost */
	for (int round = 0; round < 20; round++) {
		everywhere_open(&n[0]);
		node_open(&n[1], &opt);
		nodes_meet(&n[0], &n[1]);
		for (int i = 0; i < 2; i++) {
			ok(fi_recv(n[i].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, NULL));
			ok(fi_send(n[i].ep, tx_buf, 10, NULL, n[i].peer, NULL));
		}
		for (int i = 0; i < 2; i++) {
			assert_int_equal(fi_cq_sreadfrom(n[i].rx_cq, &e, 1, &from, NULL, WAIT_MS),
					 1);
			assert_int_equal(from, n[i].peer);
			expect_comp(n[i].tx_cq, NULL);
		}
		nodes_close(n);
	}
}

static void test_strangers(void **state)
{
	struct node_options opt = { .caps = FI_MSG | FI_SOURCE | FI_SOURCE_ERR };
	struct fi_cq_err_entry error = { 0 };
	struct fi_cq_tagged_entry e;
	union address who;
	struct node n[2];

	(void)state;
	node_open(&n[0], &opt);
	node_open(&n[1], &opt);
	assert_int_equal(fi_av_insert(n[0].av, &n[1].name, 1, &n[0].peer, 0, NULL), 1);
	ok(fi_recv(n[1].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, &n));
	ok(fi_send(n[0].ep, tx_buf, 10, NULL, n[0].peer, NULL));
	fails(fi_cq_sread(n[1].rx_cq, &e, 1, NULL, WAIT_MS), FI_EAVAIL);
	error.err_data = &who;
	error.err_data_size = sizeof(who);
	assert_int_equal(fi_cq_readerr(n[1].rx_cq, &error, 0), 1);
	assert_int_equal(error.err, FI_EADDRNOTAVAIL);
	assert_ptr_equal(error.op_context, n);
	assert_int_equal(error.len, 10);
	assert_int_equal(error.err_data_size, sizeof(who.in));
	assert_memory_equal(&who.in, &n[0].name.in, sizeof(who.in));
	nodes_close(n);
}

/* ------------------------------------------------------------------------------------ tags */

static void test_tags(void **state)
{
	struct node_options opt = { 0 };
	struct fi_cq_tagged_entry e;
	struct node n[2];
	int a, b, c;

	(void)state;
	nodes_open(n, &opt);
	/* in another order than they are sent in; ignored bits; and a message without a tag */
	ok(fi_trecv(n[1].ep, rx_buf, 10, NULL, FI_ADDR_UNSPEC, 2, 0, &b));
	ok(fi_trecv(n[1].ep, rx_buf + 10, 10, NULL, FI_ADDR_UNSPEC, 1, 0, &a));
	ok(fi_recv(n[1].ep, rx_buf + 20, 10, NULL, FI_ADDR_UNSPEC, &c));
	ok(fi_tsend(n[0].ep, tx_buf, 1, NULL, n[0].peer, 1, NULL));
	ok(fi_tsenddata(n[0].ep, tx_buf, 2, NULL, 77, n[0].peer, 2, NULL));
	ok(fi_send(n[0].ep, tx_buf, 3, NULL, n[0].peer, NULL));
	expect_comp(n[1].rx_cq, &e);
	assert_ptr_equal(e.op_context, &a);
	assert_int_equal(e.flags, FI_RECV | FI_TAGGED);
	assert_int_equal(e.tag, 1);
	expect_comp(n[1].rx_cq, &e);
	assert_ptr_equal(e.op_context, &b);
	assert_int_equal(e.flags, FI_RECV | FI_TAGGED | FI_REMOTE_CQ_DATA);
	assert_int_equal(e.data, 77);
	expect_comp(n[1].rx_cq, &e);
	assert_ptr_equal(e.op_context, &c);
	assert_int_equal(e.flags, FI_RECV | FI_MSG);

	ok(fi_tinject(n[0].ep, tx_buf, 5, n[0].peer, 0xabcd0001));
	ok(fi_tinjectdata(n[0].ep, tx_buf, 6, 8, n[0].peer, 0xabcd0002));
	ok(fi_trecv(n[1].ep, rx_buf, 10, NULL, FI_ADDR_UNSPEC, 0xabcd0000, 0xffff, &a));
	expect_comp(n[1].rx_cq, &e);
	assert_int_equal(e.tag, 0xabcd0001);
	ok(fi_trecv(n[1].ep, rx_buf, 10, NULL, FI_ADDR_UNSPEC, 0, ~0ULL, &a));
	expect_comp(n[1].rx_cq, &e);
	assert_int_equal(e.tag, 0xabcd0002);
	assert_int_equal(e.data, 8);
	nodes_close(n);
}

static int search(struct node *n, uint64_t tag, uint64_t flags, struct fi_cq_tagged_entry *e)
{
	struct iovec iov = { rx_buf, BIG };
	struct fi_msg_tagged msg = {
		.msg_iov = &iov,
		.iov_count = 1,
		.addr = FI_ADDR_UNSPEC,
		.tag = tag,
		.context = rx_buf,
	};
	struct fi_cq_err_entry error = { 0 };
	ssize_t ret;

	ok(fi_trecvmsg(n->ep, &msg, flags));
	ret = fi_cq_sread(n->rx_cq, e, 1, NULL, WAIT_MS);
	if (ret == 1)
		return 0;
	assert_int_equal(ret, -FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(n->rx_cq, &error, 0), 1);
	return -error.err;
}

static void test_peek(void **state)
{
	struct node_options opt = { 0 };
	struct fi_cq_tagged_entry e;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	fails(search(&n[1], 1, FI_PEEK, &e), FI_ENOMSG);
	fails(search(&n[1], 1, FI_PEEK | FI_CLAIM, &e), FI_ENOMSG);
	fill(400, 1);
	for (int i = 1; i <= 4; i++)
		ok(fi_tsend(n[0].ep, tx_buf, i * 100, NULL, n[0].peer, i, NULL));
	while (search(&n[1], 4, FI_PEEK, &e))
		usleep(1000);
	assert_int_equal(e.len, 400);
	assert_int_equal(e.tag, 4);
	/* peeked at: still there */
	ok(search(&n[1], 1, FI_PEEK, &e));
	ok(search(&n[1], 1, 0, &e));
	assert_int_equal(e.len, 100);
	assert_memory_equal(rx_buf, tx_buf, 100);
	fails(search(&n[1], 1, FI_PEEK, &e), FI_ENOMSG);
	/* claimed: nobody else's */
	ok(search(&n[1], 2, FI_PEEK | FI_CLAIM, &e));
	fails(search(&n[1], 2, FI_PEEK, &e), FI_ENOMSG);
	ok(search(&n[1], 2, FI_CLAIM, &e));
	assert_int_equal(e.len, 200);
	assert_memory_equal(rx_buf, tx_buf, 200);
	ok(search(&n[1], 3, FI_PEEK | FI_DISCARD, &e));
	fails(search(&n[1], 3, FI_PEEK, &e), FI_ENOMSG);
	ok(search(&n[1], 4, FI_PEEK | FI_CLAIM, &e));
	ok(search(&n[1], 4, FI_CLAIM | FI_DISCARD, &e));
	fails(search(&n[1], 4, FI_PEEK, &e), FI_ENOMSG);
	nodes_close(n);
}

/* ------------------------------------------------------------------------------------- RMA */

static struct fid_mr *expose(struct node *n, void *buf, size_t len, uint64_t key)
{
	struct fid_mr *mr;

	ok(fi_mr_reg(n->domain, buf, len, FI_REMOTE_READ | FI_REMOTE_WRITE, 0, key, 0, &mr, NULL));
	assert_int_equal(fi_mr_key(mr), key);
	return mr;
}

/* An operation on the other's memory, which the program has looked at, or written to. */
#define remote(call) ok((order(), (call)))

static void test_rma(void **state)
{
	static const size_t sizes[] = { 1, 64, 5000, BIG };
	struct node_options opt = { .tx_op_flags = FI_DELIVERY_COMPLETE };
	struct fi_cq_tagged_entry e;
	struct fid_mr *mr;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	mr = expose(&n[1], rx_buf, BIG, 0);
	for (size_t i = 0; i < 4; i++) {
		fill(BIG, i);
		remote(fi_write(n[0].ep, tx_buf, sizes[i], NULL, n[0].peer, 0, 0, &e));
		expect_comp(n[0].tx_cq, &e);
		assert_int_equal(e.flags, FI_RMA | FI_WRITE);
		assert_memory_equal(rx_buf, tx_buf, sizes[i]);
		memset(cmp_buf, 0, BIG);
		remote(fi_read(n[0].ep, cmp_buf, sizes[i], NULL, n[0].peer, BIG - sizes[i], 0, &e));
		expect_comp(n[0].tx_cq, &e);
		assert_int_equal(e.flags, FI_RMA | FI_READ);
		assert_memory_equal(rx_buf + BIG - sizes[i], cmp_buf, sizes[i]);
	}
	remote(fi_writedata(n[0].ep, tx_buf, 50, NULL, 1234, n[0].peer, 0, 0, NULL));
	remote(fi_inject_writedata(n[0].ep, tx_buf, 60, 1235, n[0].peer, 0, 0));
	remote(fi_writedata(n[0].ep, tx_buf, BIG, NULL, 1236, n[0].peer, 0, 0, NULL));
	for (int i = 0; i < 3; i++) {
		expect_comp(n[1].rx_cq, &e);
		assert_int_equal(e.flags, FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA);
		assert_int_equal(e.data, 1234 + i);
		assert_int_equal(e.len, i < 2 ? 50 + 10 * i : BIG);
	}
	expect_comp(n[0].tx_cq, NULL);
	remote(fi_inject_write(n[0].ep, tx_buf + 100, 10, n[0].peer, 200, 0));
	expect_comp(n[0].tx_cq, NULL);
	remote(fi_read(n[0].ep, cmp_buf, 10, NULL, n[0].peer, 200, 0, NULL));
	expect_comp(n[0].tx_cq, NULL);
	assert_memory_equal(cmp_buf, tx_buf + 100, 10);
	close_fid(mr);
	nodes_close(n);
}

static void test_rma_lists(void **state)
{
	struct node_options opt = { .tx_op_flags = FI_DELIVERY_COMPLETE };
	struct iovec iov[2] = { { tx_buf, 30 }, { tx_buf + 100, 70 } };
	struct fi_rma_iov target[2] = { { .addr = 0, .len = 60, .key = 5 },
					{ .addr = 200, .len = 40, .key = 5 } };
	struct fi_msg_rma msg = {
		.msg_iov = iov, .iov_count = 2, .rma_iov = target, .rma_iov_count = 2
	};
	struct fid_mr *mr;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	mr = expose(&n[1], rx_buf, 4096, 5);
	msg.addr = n[0].peer;
	fill(4096, 9);
	remote(fi_writemsg(n[0].ep, &msg, FI_DELIVERY_COMPLETE));
	expect_comp(n[0].tx_cq, NULL);
	assert_memory_equal(rx_buf, tx_buf, 30);
	assert_memory_equal(rx_buf + 30, tx_buf + 100, 30);
	assert_memory_equal(rx_buf + 200, tx_buf + 130, 40);
	iov[0].iov_base = cmp_buf;
	iov[1].iov_base = cmp_buf + 30;
	remote(fi_readmsg(n[0].ep, &msg, 0));
	expect_comp(n[0].tx_cq, NULL);
	assert_memory_equal(cmp_buf, tx_buf, 30);
	assert_memory_equal(cmp_buf + 30, tx_buf + 100, 70);
	remote(fi_readv(n[0].ep, iov, NULL, 2, n[0].peer, 200, 5, NULL));
	expect_comp(n[0].tx_cq, NULL);
	assert_memory_equal(cmp_buf, rx_buf + 200, 30);
	close_fid(mr);
	nodes_close(n);
}

/* A wrong key or bound is that operation's failure, and no other's. */
static void test_rma_errors(void **state)
{
	struct node_options opt = { .tx_op_flags = FI_DELIVERY_COMPLETE };
	struct fid_mr *mr;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	mr = expose(&n[1], rx_buf, 100, 1);
	remote(fi_write(n[0].ep, tx_buf, 10, NULL, n[0].peer, 0, 2, NULL));
	expect_error(n[0].tx_cq, FI_ENOKEY, NULL);
	remote(fi_write(n[0].ep, tx_buf, 10, NULL, n[0].peer, 91, 1, NULL));
	expect_error(n[0].tx_cq, ERANGE, NULL);
	remote(fi_read(n[0].ep, cmp_buf, 101, NULL, n[0].peer, 0, 1, NULL));
	expect_error(n[0].tx_cq, ERANGE, NULL);
	remote(fi_write(n[0].ep, tx_buf, 100, NULL, n[0].peer, 0, 1, NULL));
	expect_comp(n[0].tx_cq, NULL);
	close_fid(mr);
	remote(fi_write(n[0].ep, tx_buf, 10, NULL, n[0].peer, 0, 1, NULL));
	expect_error(n[0].tx_cq, FI_ENOKEY, NULL);
	nodes_close(n);
}

/* ------------------------------------------------------------------------------- atomics */

static void test_atomics(void **state)
{
	struct node_options opt = { .tx_op_flags = FI_DELIVERY_COMPLETE };
	uint64_t target[4] = { 1, 2, 3, 4 }, operand[4] = { 10, 20, 30, 40 }, result[4] = { 0 };
	uint64_t compare[4] = { 11, 0, 33, 0 };
	struct fi_cq_tagged_entry e;
	struct fid_mr *mr;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	mr = expose(&n[1], target, sizeof(target), 3);
	remote(fi_atomic(n[0].ep, operand, 4, NULL, n[0].peer, 0, 3, FI_UINT64, FI_SUM, NULL));
	expect_comp(n[0].tx_cq, &e);
	assert_int_equal(e.flags, FI_ATOMIC | FI_WRITE);
	assert_int_equal(target[3], 44);
	remote(fi_fetch_atomic(n[0].ep, NULL, 4, NULL, result, NULL, n[0].peer, 0, 3, FI_UINT64,
			       FI_ATOMIC_READ, NULL));
	expect_comp(n[0].tx_cq, &e);
	assert_int_equal(e.flags, FI_ATOMIC | FI_READ);
	assert_int_equal(result[0], 11);
	assert_int_equal(result[3], 44);
	remote(fi_compare_atomic(n[0].ep, operand, 4, NULL, compare, NULL, result, NULL, n[0].peer,
				 0, 3, FI_UINT64, FI_CSWAP, NULL));
	expect_comp(n[0].tx_cq, &e);
	assert_int_equal(target[0], 10);
	assert_int_equal(target[1], 22);
	assert_int_equal(target[2], 30);
	assert_int_equal(result[2], 33);
	remote(fi_inject_atomic(n[0].ep, operand, 1, n[0].peer, 8, 3, FI_UINT64, FI_ATOMIC_WRITE));
	remote(fi_fetch_atomic(n[0].ep, operand, 1, NULL, result, NULL, n[0].peer, 8, 3, FI_UINT64,
			       FI_MAX, NULL));
	expect_comp(n[0].tx_cq, &e);
	assert_int_equal(result[0], 10);
	close_fid(mr);
	nodes_close(n);
}

/* As many entries in each list as can be asked for. */
static void test_atomic_lists(void **state)
{
	enum { N = 8 };
	struct node_options opt = { .tx_op_flags = FI_DELIVERY_COMPLETE };
	uint64_t target[N], operand[2 * N], compare[2 * N], result[2 * N] = { 0 };
	struct fi_ioc src[N], cmp[N], res[N];
	struct fid_mr *mr;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	mr = expose(&n[1], target, sizeof(target), 3);
	for (int i = 0; i < N; i++) {
		target[i] = compare[2 * i] = i;
		operand[2 * i] = 100 + i;
		src[i] = (struct fi_ioc){ &operand[2 * i], 1 };
		cmp[i] = (struct fi_ioc){ &compare[2 * i], 1 };
		res[i] = (struct fi_ioc){ &result[2 * i], 1 };
	}
	/* more than once around the queue */
	for (int round = 0; round < 300; round++) {
		compare[6] = round ? 103 : 3;
		remote(fi_compare_atomicv(n[0].ep, src, NULL, N, cmp, NULL, N, res, NULL, N,
					  n[0].peer, 0, 3, FI_UINT64, FI_CSWAP, NULL));
		expect_comp(n[0].tx_cq, NULL);
		assert_int_equal(result[6], compare[6]);
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(target[i], 100 + i);
		assert_int_equal(result[2 * i], 100 + i);
	}
	close_fid(mr);
	nodes_close(n);
}

static void test_atomic_arguments(void **state)
{
	struct node_options opt = { 0 };
	struct fi_atomic_attr attr;
	uint64_t v = 0;
	struct node n[2];
	size_t count;

	(void)state;
	nodes_open(n, &opt);
	remote(fi_atomicvalid(n[0].ep, FI_INT8, FI_SUM, &count));
	assert_true(count >= 64);
	fails(fi_atomicvalid(n[0].ep, FI_INT8, FI_ATOMIC_READ, &count), FI_EOPNOTSUPP);
	remote(fi_fetch_atomicvalid(n[0].ep, FI_DOUBLE, FI_ATOMIC_READ, &count));
	fails(fi_fetch_atomicvalid(n[0].ep, FI_DOUBLE, FI_BOR, &count), FI_EOPNOTSUPP);
	remote(fi_compare_atomicvalid(n[0].ep, FI_UINT64, FI_MSWAP, &count));
	fails(fi_compare_atomicvalid(n[0].ep, FI_FLOAT, FI_MSWAP, &count), FI_EOPNOTSUPP);
	fails(fi_atomicvalid(n[0].ep, 99, FI_SUM, &count), FI_EOPNOTSUPP);
	fails(fi_atomicvalid(n[0].ep, FI_INT8, 99, &count), FI_EOPNOTSUPP);
	ok(fi_query_atomic(n[0].domain, FI_UINT32, FI_CSWAP, &attr, FI_COMPARE_ATOMIC));
	assert_int_equal(attr.size, 4);
	fails(fi_query_atomic(n[0].domain, FI_UINT32, FI_CSWAP, &attr, 0), FI_EOPNOTSUPP);
	fails(fi_query_atomic(n[0].domain, FI_UINT32, FI_SUM, &attr,
			      FI_COMPARE_ATOMIC | FI_FETCH_ATOMIC),
	      FI_EBADFLAGS);
	fails(fi_atomic(n[0].ep, &v, 0, NULL, 0, 0, 3, FI_UINT64, FI_SUM, NULL), FI_EINVAL);
	fails(fi_atomic(n[0].ep, &v, SIZE_MAX, NULL, 0, 0, 3, FI_UINT64, FI_SUM, NULL),
	      FI_EMSGSIZE);
	fails(fi_atomic(n[0].ep, &v, 1, NULL, 0, 0, 1ULL << 32, FI_UINT64, FI_SUM, NULL),
	      FI_EKEYREJECTED);
	fails(fi_inject_atomic(n[0].ep, &v, 17, 0, 0, 3, FI_UINT64, FI_SUM), FI_EMSGSIZE);
	fails(fi_inject_atomic(n[0].ep, &v, 1, 0, 0, 3, FI_UINT64, FI_CSWAP), FI_EOPNOTSUPP);
	nodes_close(n);
}

static void test_bad_arguments(void **state)
{
	struct node_options opt = { 0 };
	struct iovec iov[9] = { { tx_buf, 1 } };
	struct fi_rma_iov target[5] = { { .len = 1 } };
	struct fi_msg_rma rma = {
		.msg_iov = iov, .iov_count = 1, .rma_iov = target, .rma_iov_count = 5
	};
	struct fi_msg_tagged tagged = { .msg_iov = iov, .iov_count = 1 };
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	fails(fi_tsend(n[0].ep, tx_buf, ((size_t)1 << 30) + 1, NULL, 0, 0, NULL), FI_EMSGSIZE);
	fails(fi_tsendv(n[0].ep, iov, NULL, 9, 0, 0, NULL), FI_EINVAL);
	fails(fi_tsendmsg(n[0].ep, NULL, 0), FI_EINVAL);
	fails(fi_tsendmsg(n[0].ep, &tagged, FI_MULTI_RECV), FI_EBADFLAGS);
	fails(fi_trecvmsg(n[0].ep, NULL, 0), FI_EINVAL);
	fails(fi_trecvmsg(n[0].ep, &tagged, FI_MULTI_RECV), FI_EBADFLAGS);
	fails(fi_trecvmsg(n[0].ep, &tagged, FI_DISCARD), FI_EINVAL);
	fails(fi_trecvmsg(n[0].ep, &tagged, FI_PEEK | FI_CLAIM), FI_EINVAL);
	fails(fi_tinject(n[0].ep, tx_buf, 129, 0, 0), FI_EMSGSIZE);
	fails(fi_writemsg(n[0].ep, &rma, 0), FI_EINVAL);
	rma.rma_iov_count = 0;
	fails(fi_writemsg(n[0].ep, &rma, 0), FI_EINVAL);
	rma.rma_iov_count = 1;
	fails(fi_writemsg(n[0].ep, &rma, FI_PEEK), FI_EBADFLAGS);
	fails(fi_readmsg(n[0].ep, &rma, FI_REMOTE_CQ_DATA), FI_EBADFLAGS);
	target[0].len = 2;
	fails(fi_readmsg(n[0].ep, &rma, 0), FI_EINVAL);
	fails(fi_readmsg(n[0].ep, NULL, 0), FI_EINVAL);
	fails(fi_write(n[0].ep, tx_buf, 1, NULL, 0, 0, 1ULL << 32, NULL), FI_EKEYREJECTED);
	fails(fi_read(n[0].ep, tx_buf, SIZE_MAX, NULL, 0, 0, 0, NULL), FI_EMSGSIZE);
	fails(fi_inject_write(n[0].ep, tx_buf, 129, 0, 0, 0), FI_EMSGSIZE);
	nodes_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send_recv),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_truncation_and_cancel),
		cmocka_unit_test(test_multi_recv),
		cmocka_unit_test(test_who_sent_it),
		cmocka_unit_test(test_everywhere),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_rma),
		cmocka_unit_test(test_rma_lists),
		cmocka_unit_test(test_rma_errors),
		cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_atomic_lists),
		cmocka_unit_test(test_atomic_arguments),
		cmocka_unit_test(test_bad_arguments),
	};

	use_built_provider();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
