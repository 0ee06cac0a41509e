/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_provider_msg.c - the provider's data transfer, and the waiting for it. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "provider_pair.h"

#define BIG (4 << 20)

static uint8_t *tx_buf, *rx_buf;

static int setup(void **state)
{
	(void)state;
	tx_buf = malloc(BIG);
	rx_buf = malloc(BIG + 1);
	return !tx_buf || !rx_buf;
}

static int teardown(void **state)
{
	(void)state;
	free(tx_buf);
	free(rx_buf);
	return 0;
}

static void fill(size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		tx_buf[i] = seed + i + (i >> 8);
	memset(rx_buf, 0xee, len + 1);
}

static void check(size_t len)
{
	assert_memory_equal(rx_buf, tx_buf, len);
	/* and nothing behind it */
	assert_int_equal(rx_buf[len], 0xee);
}

/* ----------------------------------------------------------------------------- transfers */

static void one_transfer(struct pair *p, size_t len)
{
	struct fi_cq_tagged_entry e;

	fill(len, len);
	ok(fi_recv(p->server.ep, rx_buf, len + 1, NULL, 0, &rx_buf));
	ok(fi_send(p->client.ep, tx_buf, len, NULL, 0, &tx_buf));
	expect_comp(p->client.tx_cq, &e);
	assert_ptr_equal(e.op_context, &tx_buf);
	expect_comp(p->server.rx_cq, &e);
	assert_ptr_equal(e.op_context, &rx_buf);
	if (p->opt.format >= FI_CQ_FORMAT_MSG) {
		assert_int_equal(e.flags, FI_MSG | FI_RECV);
		assert_int_equal(e.len, len);
	}
	check(len);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0,    1,    2,     63,    64,    65,     128,         129,
					1000, 4096, 16384, 65535, 65536, 100000, 1024 * 1024, BIG };
	struct options opt = { .format = FI_CQ_FORMAT_TAGGED };
	struct pair *p = pair_open(&opt);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		one_transfer(p, sizes[i]);
	pair_close(p);
}

static void test_formats(void **state)
{
	static const enum fi_cq_format formats[] = { FI_CQ_FORMAT_UNSPEC, FI_CQ_FORMAT_CONTEXT,
						     FI_CQ_FORMAT_MSG, FI_CQ_FORMAT_DATA,
						     FI_CQ_FORMAT_TAGGED };

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct options opt = { .format = formats[i] };
		struct pair *p = pair_open(&opt);

		one_transfer(p, 777);
		pair_close(p);
	}
}

static void test_threading_levels(void **state)
{
	(void)state;
	for (int level = FI_THREAD_SAFE; level <= FI_THREAD_ENDPOINT; level++) {
		struct options opt = { .threading = level, .format = FI_CQ_FORMAT_MSG };
		struct pair *p = pair_open(&opt);

		one_transfer(p, 5000);
		pair_close(p);
	}
}

/* Several entries by one read, in order, into entries of the right size. */
static void test_batch_of_entries(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_msg_entry e[40];
	fi_addr_t src[40];
	size_t got = 0;

	(void)state;
	for (uintptr_t i = 0; i < 40; i++)
		ok(fi_recv(p->server.ep, rx_buf + i * 64, 64, NULL, 0, (void *)(i + 1)));
	for (uintptr_t i = 0; i < 40; i++)
		ok(fi_send(p->client.ep, tx_buf, i, NULL, 0, NULL));
	while (got < 40) {
		ssize_t n = fi_cq_sreadfrom(p->server.rx_cq, e + got, 40 - got, src, NULL, WAIT_MS);

		assert_true(n > 0);
		assert_true(src[0] == FI_ADDR_NOTAVAIL);
		got += n;
	}
	for (uintptr_t i = 0; i < 40; i++) {
		assert_int_equal((uintptr_t)e[i].op_context, i + 1);
		assert_int_equal(e[i].len, i);
	}
	pair_close(p);
}

static void test_inject(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG, .inject = 128 };
	struct pair *p = pair_open(&opt);
	size_t max = p->client.info->tx_attr->inject_size;
	struct fi_cq_tagged_entry e;

	(void)state;
	for (size_t len = 0; len <= max; len += 16) {
		uint8_t copy[256];

		fill(len, 3 * len);
		memcpy(copy, tx_buf, len);
		ok(fi_recv(p->server.ep, rx_buf, 256, NULL, 0, NULL));
		ok(fi_inject(p->client.ep, tx_buf, len, 0));
		/* reusable at once */
		memset(tx_buf, 0, len);
		expect_comp(p->server.rx_cq, &e);
		assert_int_equal(e.len, len);
		assert_memory_equal(rx_buf, copy, len);
	}
	fails(fi_inject(p->client.ep, tx_buf, max + 1, 0), FI_EMSGSIZE);
	/* none of them completes */
	fails(fi_cq_read(p->client.tx_cq, &e, 1), FI_EAGAIN);
	pair_close(p);
}

static void test_gather_and_scatter(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct iovec tx[8], rx[4];
	struct fi_msg msg = { .msg_iov = tx, .iov_count = 3, .context = &opt };
	struct fi_cq_tagged_entry e;

	(void)state;
	fill(8000, 1);
	for (int i = 0; i < 8; i++)
		tx[i] = (struct iovec){ tx_buf + i * 1000, 1000 };
	for (int i = 0; i < 4; i++)
		rx[i] = (struct iovec){ rx_buf + i * 2000, 2000 };
	ok(fi_recvv(p->server.ep, rx, NULL, 4, 0, NULL));
	ok(fi_sendv(p->client.ep, tx, NULL, 8, 0, NULL));
	expect_comp(p->client.tx_cq, NULL);
	expect_comp(p->server.rx_cq, &e);
	assert_int_equal(e.len, 8000);
	check(8000);

	/* injected from a gather list, with a completion of its own */
	fill(90, 9);
	for (int i = 0; i < 3; i++)
		tx[i] = (struct iovec){ tx_buf + i * 30, 30 };
	ok(fi_recv(p->server.ep, rx_buf, 100, NULL, 0, NULL));
	ok(fi_sendmsg(p->client.ep, &msg, FI_INJECT | FI_COMPLETION));
	expect_comp(p->client.tx_cq, &e);
	assert_ptr_equal(e.op_context, &opt);
	expect_comp(p->server.rx_cq, &e);
	check(90);

	tx[2].iov_len = 100;
	fails(fi_sendmsg(p->client.ep, &msg, FI_INJECT), FI_EMSGSIZE);
	fails(fi_sendv(p->client.ep, tx, NULL, 9, 0, NULL), FI_EINVAL);
	fails(fi_recvv(p->server.ep, tx, NULL, 9, 0, NULL), FI_EINVAL);
	fails(fi_sendv(p->client.ep, NULL, NULL, 1, 0, NULL), FI_EINVAL);
	fails(fi_sendmsg(p->client.ep, NULL, 0), FI_EINVAL);
	fails(fi_recvmsg(p->client.ep, NULL, 0), FI_EINVAL);
	fails(fi_sendmsg(p->client.ep, &msg, FI_COMMIT_COMPLETE), FI_EBADFLAGS);
	fails(fi_sendmsg(p->client.ep, &msg, FI_PEEK), FI_EBADFLAGS);
	fails(fi_recvmsg(p->client.ep, &msg, FI_DELIVERY_COMPLETE), FI_EBADFLAGS);
	fails(fi_recvmsg(p->client.ep, &msg, FI_DISCARD), FI_EINVAL);
	fails(fi_recvmsg(p->client.ep, &msg, FI_MULTI_RECV | FI_PEEK), FI_EINVAL);
	fails(fi_injectdata(p->client.ep, tx_buf, 129, 7, 0), FI_EMSGSIZE);
	fails(fi_send(p->client.ep, tx_buf, ((size_t)1 << 30) + 1, NULL, 0, NULL), FI_EMSGSIZE);
	tx[0].iov_len = SIZE_MAX;
	fails(fi_sendv(p->client.ep, tx, NULL, 2, 0, NULL), FI_EMSGSIZE);
	pair_close(p);
}

/* More receives than one descriptor may hold bytes: the buffer is simply larger than any message. */
static void test_huge_receive(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_tagged_entry e;

	(void)state;
	fill(10, 0);
	ok(fi_recv(p->server.ep, rx_buf, SIZE_MAX / 2, NULL, 0, NULL));
	ok(fi_send(p->client.ep, tx_buf, 10, NULL, 0, NULL));
	expect_comp(p->server.rx_cq, &e);
	assert_int_equal(e.len, 10);
	check(10);
	pair_close(p);
}

static void test_selective_completion(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG, .bind_flags = FI_SELECTIVE_COMPLETION };
	struct pair *p = pair_open(&opt);
	struct iovec iov = { tx_buf, 8 };
	struct fi_msg msg = { .msg_iov = &iov, .iov_count = 1, .context = &msg };
	struct fi_cq_tagged_entry e;

	(void)state;
	/* silent on both sides, then one that is not: it alone is seen, and behind the others */
	for (int i = 0; i < 20; i++) {
		ok(fi_recv(p->server.ep, rx_buf, 8, NULL, 0, NULL));
		ok(fi_send(p->client.ep, tx_buf, 8, NULL, 0, NULL));
	}
	ok(fi_sendmsg(p->client.ep, &msg, 0));
	ok(fi_recvmsg(p->server.ep, &msg, 0));
	ok(fi_sendmsg(p->client.ep, &msg, FI_COMPLETION));
	ok(fi_recvmsg(p->server.ep, &msg, FI_COMPLETION));
	expect_comp(p->client.tx_cq, &e);
	assert_ptr_equal(e.op_context, &msg);
	expect_comp(p->server.rx_cq, &e);
	assert_ptr_equal(e.op_context, &msg);
	fails(fi_cq_read(p->client.tx_cq, &e, 1), FI_EAGAIN);
	fails(fi_cq_read(p->server.rx_cq, &e, 1), FI_EAGAIN);
	pair_close(p);
}

static void test_selective_with_default_completion(void **state)
{
	struct options opt = { .bind_flags = FI_SELECTIVE_COMPLETION,
			       .tx_op_flags = FI_COMPLETION };
	struct pair *p = pair_open(&opt);

	(void)state;
	ok(fi_recv(p->server.ep, rx_buf, 8, NULL, 0, NULL));
	ok(fi_send(p->client.ep, tx_buf, 8, NULL, 0, &opt));
	expect_comp(p->client.tx_cq, NULL);
	pair_close(p);
}

/* A message longer than its receive: what fits is there, and the next one is whole. */
static void test_truncation(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_err_entry error;
	struct fi_cq_tagged_entry e;

	(void)state;
	fill(70000, 4);
	ok(fi_recv(p->server.ep, rx_buf, 1000, NULL, 0, &error));
	ok(fi_send(p->client.ep, tx_buf, 70000, NULL, 0, NULL));
	expect_comp(p->client.tx_cq, NULL);
	expect_error(p->server.rx_cq, FI_ETRUNC, &error);
	assert_ptr_equal(error.op_context, &error);
	assert_int_equal(error.len, 1000);
	assert_int_equal(error.olen, 69000);
	assert_int_equal(error.flags, FI_MSG | FI_RECV);
	assert_non_null(fi_cq_strerror(p->server.rx_cq, error.prov_errno, NULL, NULL, 0));
	check(1000);
	fails(fi_cq_readerr(p->server.rx_cq, &error, 0), FI_EAGAIN);
	fails(fi_cq_read(p->server.rx_cq, &e, 1), FI_EAGAIN);
	one_transfer(p, 2000);
	pair_close(p);
}

/* An error between completions does not hide those in front of it, nor those behind. */
static void test_error_among_completions(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_msg_entry e[8];
	struct fi_cq_err_entry error = { 0 };

	(void)state;
	for (uintptr_t i = 0; i < 5; i++)
		ok(fi_recv(p->server.ep, rx_buf, 10, NULL, 0, (void *)(i + 1)));
	for (uintptr_t i = 0; i < 5; i++) {
		ok(fi_send(p->client.ep, tx_buf, i == 2 ? 11 : 10, NULL, 0, NULL));
		expect_comp(p->client.tx_cq, NULL);
	}
	/* all five have come when the last one has */
	while (fi_cq_sread(p->server.rx_cq, e, 0, NULL, WAIT_MS))
		;
	usleep(100000);
	assert_int_equal(fi_cq_sread(p->server.rx_cq, e, 8, NULL, WAIT_MS), 2);
	fails(fi_cq_read(p->server.rx_cq, e, 8), FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(p->server.rx_cq, &error, 0), 1);
	assert_int_equal((uintptr_t)error.op_context, 3);
	assert_int_equal(fi_cq_sread(p->server.rx_cq, e, 8, NULL, WAIT_MS), 2);
	assert_int_equal((uintptr_t)e[1].op_context, 5);
	pair_close(p);
}

static void test_cancel(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_err_entry error;
	int a, b;

	(void)state;
	ok(fi_recv(p->server.ep, rx_buf, 10, NULL, 0, &a));
	ok(fi_recv(p->server.ep, rx_buf + 10, 10, NULL, 0, &b));
	ok(fi_cancel(&p->server.ep->fid, &a));
	expect_error(p->server.rx_cq, FI_ECANCELED, &error);
	assert_ptr_equal(error.op_context, &a);
	fails(fi_cancel(&p->server.ep->fid, &a), FI_ENOENT);
	/* the other one is still there */
	fill(10, 1);
	ok(fi_send(p->client.ep, tx_buf, 10, NULL, 0, NULL));
	expect_comp(p->server.rx_cq, NULL);
	assert_memory_equal(rx_buf + 10, tx_buf, 10);
	pair_close(p);
}

/* A full queue says so, loses nothing, and has room again after a completion. */
static void test_full_queue(void **state)
{
	struct options opt = { .tx_size = 16, .rx_size = 16, .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	unsigned posted = 0, received = 0, done = 0;
	struct fi_cq_msg_entry e;

	(void)state;
	assert_true(p->client.ep->ops->tx_size_left(p->client.ep) >= 16);
	/* some leave the queue for the engine's own list, at any time, which is bounded too */
	do {
		while (!fi_recv(p->client.ep, rx_buf, 8, NULL, 0, NULL))
			posted++;
		assert_in_range(posted, 16, 65536 + 16);
	} while (p->client.ep->ops->rx_size_left(p->client.ep));
	/* a message that no receive waits for keeps the sends behind it from completing, sooner
	 * or later */
	for (posted = 0; posted < 5000;) {
		ssize_t ret = fi_send(p->client.ep, tx_buf, 4096, NULL, 0, NULL);

		if (!ret) {
			posted++;
			continue;
		}
		assert_int_equal(ret, -FI_EAGAIN);
		if (fi_cq_read(p->client.tx_cq, &e, 1) == 1) {
			done++;
			continue;
		}
		ok(fi_recv(p->server.ep, rx_buf, 4096, NULL, 0, NULL));
		expect_comp(p->server.rx_cq, NULL);
		received++;
	}
	for (; received < posted; received++) {
		ok(fi_recv(p->server.ep, rx_buf, 4096, NULL, 0, NULL));
		expect_comp(p->server.rx_cq, NULL);
	}
	for (; done < posted; done++)
		expect_comp(p->client.tx_cq, NULL);
	pair_close(p);
}

/* A completion queue smaller than what is outstanding holds operations up, and drops none. */
static void test_small_cq(void **state)
{
	struct options opt = { .cq_size = 4, .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);

	(void)state;
	for (int i = 0; i < 100; i++) {
		ok(fi_recv(p->server.ep, rx_buf, 8, NULL, 0, NULL));
		ok(fi_send(p->client.ep, tx_buf, 8, NULL, 0, NULL));
	}
	for (int i = 0; i < 100; i++)
		expect_comp(p->client.tx_cq, NULL);
	for (int i = 0; i < 100; i++)
		expect_comp(p->server.rx_cq, NULL);
	pair_close(p);
}

/* FI_MORE puts off, but a send without it brings them all. */
static void test_more(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct iovec iov = { tx_buf, 100 };
	struct fi_msg msg = { .msg_iov = &iov, .iov_count = 1 };

	(void)state;
	for (int i = 0; i < 32; i++)
		ok(fi_recv(p->server.ep, rx_buf, 100, NULL, 0, NULL));
	for (int i = 0; i < 32; i++)
		ok(fi_sendmsg(p->client.ep, &msg, i < 31 ? FI_MORE : 0));
	for (int i = 0; i < 32; i++)
		expect_comp(p->server.rx_cq, NULL);
	pair_close(p);
}

static void test_one_cq_for_both(void **state)
{
	struct options opt = { .one_cq = 1, .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_tagged_entry e;
	uint64_t seen = 0;

	(void)state;
	ok(fi_recv(p->server.ep, rx_buf, 8, NULL, 0, NULL));
	ok(fi_recv(p->client.ep, rx_buf + 8, 8, NULL, 0, NULL));
	ok(fi_send(p->server.ep, tx_buf, 8, NULL, 0, NULL));
	ok(fi_send(p->client.ep, tx_buf, 8, NULL, 0, NULL));
	for (int i = 0; i < 2; i++) {
		expect_comp(p->server.tx_cq, &e);
		seen |= e.flags;
	}
	assert_int_equal(seen, FI_MSG | FI_SEND | FI_RECV);
	pair_close(p);
}

/* ------------------------------------------------------------------------------- waiting */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void test_sread_timeout(void **state)
{
	struct options opt = { 0 };
	struct pair *p = pair_open(&opt);
	struct fi_cq_entry e;
	double start = now();

	(void)state;
	fails(fi_cq_sread(p->client.tx_cq, &e, 1, NULL, 50), FI_EAGAIN);
	assert_true(now() - start >= 0.05);
	fails(fi_cq_sread(p->client.tx_cq, &e, 1, NULL, 0), FI_EAGAIN);
	fails(fi_cq_read(p->client.tx_cq, NULL, 1), FI_EINVAL);
	pair_close(p);
}

static void test_sread_without_wait_object(void **state)
{
	struct options opt = { .wait_obj = FI_WAIT_UNSPEC };
	struct pair *p = pair_open(&opt);
	struct fi_cq_attr attr = { .wait_obj = FI_WAIT_NONE };
	struct fid *fids[1];
	struct fi_cq_entry e;
	struct fid_cq *cq;
	int fd;

	(void)state;
	ok(fi_cq_open(p->client.domain, &attr, &cq, NULL));
	fails(fi_cq_sread(cq, &e, 1, NULL, 0), FI_ENOSYS);
	fails(fi_cq_signal(cq), FI_ENOSYS);
	fids[0] = &cq->fid;
	fails(fi_trywait(p->client.fabric, fids, 1), FI_EINVAL);
	ok(fi_close(&cq->fid));
	/* unspecified: to be waited for by calls only */
	fails(fi_control(&p->client.tx_cq->fid, FI_GETWAIT, &fd), FI_ENODATA);
	fails(fi_control(&p->client.tx_cq->fid, FI_GETWAIT, NULL), FI_EINVAL);
	pair_close(p);
}

static void *signal_later(void *cq)
{
	usleep(50000);
	ok(fi_cq_signal(cq));
	return NULL;
}

static void test_signal(void **state)
{
	struct options opt = { 0 };
	struct pair *p = pair_open(&opt);
	struct fi_cq_entry e;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, signal_later, p->client.tx_cq);
	fails(fi_cq_sread(p->client.tx_cq, &e, 1, NULL, -1), FI_EAGAIN);
	pthread_join(thread, NULL);
	pair_close(p);
}

static void test_threshold(void **state)
{
	struct options opt = { 0 };
	struct pair *p = pair_open(&opt);
	struct fi_cq_attr attr = { .wait_obj = FI_WAIT_UNSPEC,
				   .wait_cond = FI_CQ_COND_THRESHOLD,
				   .format = FI_CQ_FORMAT_MSG };
	struct fi_cq_msg_entry e[8];
	struct fid_cq *cq;
	struct fid_ep *ep;

	(void)state;
	/* what is waited for comes in two portions */
	ok(fi_cq_open(p->client.domain, &attr, &cq, NULL));
	ok(fi_endpoint(p->client.domain, p->client.info, &ep, NULL));
	ok(fi_ep_bind(ep, &cq->fid, FI_TRANSMIT | FI_RECV));
	ok(fi_close(&p->client.ep->fid));
	ok(fi_ep_bind(ep, &p->client.eq->fid, 0));
	ok(fi_enable(ep));
	for (uintptr_t i = 0; i < 4; i++)
		ok(fi_recv(ep, rx_buf, 8, NULL, 0, (void *)(i + 1)));
	ok(fi_cancel(&ep->fid, (void *)2));
	fails(fi_cq_sread(cq, e, 8, (void *)3, 10), FI_EAVAIL);
	p->client.ep = ep;
	{
		struct fi_cq_err_entry error = { 0 };

		assert_int_equal(fi_cq_readerr(cq, &error, 0), 1);
	}
	fails(fi_cq_sread(cq, e, 8, (void *)3, 10), FI_EAGAIN);
	close_fid(ep);
	p->client.ep = NULL;
	ok(fi_close(&cq->fid));
	pair_close(p);
}

/* The way of programs with an event loop: trywait, poll, read. */
static void test_wait_fd(void **state)
{
	struct options opt = { .wait_obj = FI_WAIT_FD, .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fid *fids[1] = { &p->server.rx_cq->fid };
	struct pollfd pfd = { .events = POLLIN };
	struct fi_cq_msg_entry e;

	(void)state;
	ok(fi_control(&p->server.rx_cq->fid, FI_GETWAIT, &pfd.fd));
	for (int i = 0; i < 50; i++) {
		int ret;

		ok(fi_recv(p->server.ep, rx_buf, 64, NULL, 0, NULL));
		ok(fi_send(p->client.ep, tx_buf, 64, NULL, 0, NULL));
		while ((ret = fi_trywait(p->server.fabric, fids, 1)) == 0)
			assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		assert_int_equal(ret, -FI_EAGAIN);
		assert_int_equal(fi_cq_read(p->server.rx_cq, &e, 1), 1);
		expect_comp(p->client.tx_cq, NULL);
	}
	pair_close(p);
}

/* ----------------------------------------------------------------------------------- ends */

static void test_peer_closes(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_tagged_entry e;
	struct cm_event ev;

	(void)state;
	ok(fi_recv(p->server.ep, rx_buf, 64, NULL, 0, &opt));
	/* what was sent before the end arrives before it */
	ok(fi_recv(p->server.ep, rx_buf, 64, NULL, 0, NULL));
	ok(fi_send(p->client.ep, tx_buf, 64, NULL, 0, NULL));
	ok(fi_shutdown(p->client.ep, 0));
	expect_comp(p->server.rx_cq, &e);
	assert_ptr_equal(e.op_context, &opt);
	/* the other receive never will have a message */
	assert_int_equal(fi_cq_sread(p->server.rx_cq, &e, 1, NULL, WAIT_MS), -FI_EAVAIL);
	expect_event(p->server.eq, FI_SHUTDOWN, &ev);
	pair_close(p);
}

static void test_send_after_the_end(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_tagged_entry e;
	ssize_t ret;

	(void)state;
	ok(fi_close(&p->client.ep->fid));
	p->client.ep = NULL;
	expect_event(p->server.eq, FI_SHUTDOWN, NULL);
	ret = fi_send(p->server.ep, tx_buf, 64, NULL, 0, &e);
	if (!ret)
		fails(fi_cq_sread(p->server.tx_cq, &e, 1, NULL, WAIT_MS), FI_EAVAIL);
	/* an injected one has nobody to complain to */
	fi_inject(p->server.ep, tx_buf, 64, 0);
	if (!ret) {
		struct fi_cq_err_entry error = { 0 };

		assert_int_equal(fi_cq_readerr(p->server.tx_cq, &error, 0), 1);
		assert_ptr_equal(error.op_context, &e);
	}
	fails(fi_cq_sread(p->server.tx_cq, &e, 1, NULL, 50), FI_EAGAIN);
	pair_close(p);
}

/* Operations of a closed endpoint are gone: not reported, and their memory not touched. */
static void test_close_with_outstanding(void **state)
{
	struct options opt = { .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	struct fi_cq_tagged_entry e;
	void *memory = malloc(BIG);

	(void)state;
	for (int i = 0; i < 10; i++) {
		ok(fi_recv(p->client.ep, memory, BIG, NULL, 0, NULL));
		ok(fi_send(p->client.ep, memory, BIG, NULL, 0, NULL));
	}
	ok(fi_close(&p->client.ep->fid));
	p->client.ep = NULL;
	free(memory);
	fails(fi_cq_sread(p->client.tx_cq, &e, 1, NULL, 20), FI_EAGAIN);
	fails(fi_cq_sread(p->client.rx_cq, &e, 1, NULL, 20), FI_EAGAIN);
	pair_close(p);
}

/* What is posted before the connection stands waits for it, on either side. */
static void test_early_posts(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	(void)state;
	p->opt.format = FI_CQ_FORMAT_MSG;
	fill(100, 3);
	pair_listen(p);
	ok(fi_send(p->client.ep, tx_buf, 100, NULL, 0, NULL));
	ok(fi_recv(p->client.ep, rx_buf + 200, 100, NULL, 0, NULL));
	pair_request(p, NULL, 0, NULL);
	endpoint_open(&p->server, &p->opt, p->request);
	ok(fi_recv(p->server.ep, rx_buf, 100, NULL, 0, NULL));
	ok(fi_send(p->server.ep, tx_buf, 100, NULL, 0, NULL));
	ok(fi_accept(p->server.ep, NULL, 0));
	expect_event(p->server.eq, FI_CONNECTED, NULL);
	expect_event(p->client.eq, FI_CONNECTED, NULL);
	expect_comp(p->server.rx_cq, NULL);
	expect_comp(p->client.rx_cq, NULL);
	check(100);
	assert_memory_equal(rx_buf + 200, tx_buf, 100);
	pair_close(p);
}

/* They end with the attempt to connect, if it fails. */
static void test_early_posts_refused(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct fi_eq_err_entry error = { 0 };
	struct fi_cq_tagged_entry e;
	struct cm_event ev;
	uint32_t event;

	(void)state;
	pair_listen(p);
	ok(fi_recv(p->client.ep, rx_buf, 100, NULL, 0, NULL));
	pair_request(p, NULL, 0, NULL);
	ok(fi_reject(p->pep, p->request->handle, NULL, 0));
	fails(fi_eq_sread(p->client.eq, &event, &ev, sizeof(ev), WAIT_MS, 0), FI_EAVAIL);
	assert_int_equal(fi_eq_readerr(p->client.eq, &error, 0), sizeof(error));
	fails(fi_cq_sread(p->client.rx_cq, &e, 1, NULL, WAIT_MS), FI_EAVAIL);
	pair_close(p);
}

/* ------------------------------------------------------------------------------- threads */

#define MESSAGES 3000

struct reader {
	struct fid_cq *cq;
	atomic_uint *left;
};

static void *read_some(void *arg)
{
	struct reader *r = arg;
	struct fi_cq_msg_entry e[4];

	while (atomic_load(r->left)) {
		ssize_t n = fi_cq_read(r->cq, e, 4);

		if (n > 0)
			atomic_fetch_sub(r->left, n);
		else
			assert_int_equal(n, -FI_EAGAIN);
	}
	return NULL;
}

static void *post_receives(void *arg)
{
	struct fid_ep *ep = arg;

	for (int i = 0; i < MESSAGES; i++)
		while (fi_recv(ep, rx_buf, 64, NULL, 0, NULL) == -FI_EAGAIN)
			;
	return NULL;
}

static void *post_sends(void *arg)
{
	struct fid_ep *ep = arg;

	for (int i = 0; i < MESSAGES / 2; i++)
		while (fi_send(ep, tx_buf, 64, NULL, 0, NULL) == -FI_EAGAIN)
			;
	return NULL;
}

/* FI_THREAD_SAFE: everything at once, on the same objects. */
static void test_threads(void **state)
{
	struct options opt = { .threading = FI_THREAD_SAFE, .format = FI_CQ_FORMAT_MSG };
	struct pair *p = pair_open(&opt);
	atomic_uint tx_left = MESSAGES, rx_left = MESSAGES;
	struct reader tx = { p->client.tx_cq, &tx_left }, rx = { p->server.rx_cq, &rx_left };
	pthread_t t[7];

	(void)state;
	pthread_create(&t[0], NULL, post_receives, p->server.ep);
	pthread_create(&t[1], NULL, post_sends, p->client.ep);
	pthread_create(&t[2], NULL, post_sends, p->client.ep);
	pthread_create(&t[3], NULL, read_some, &tx);
	pthread_create(&t[4], NULL, read_some, &tx);
	pthread_create(&t[5], NULL, read_some, &rx);
	pthread_create(&t[6], NULL, read_some, &rx);
	for (int i = 0; i < 7; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&tx_left), 0);
	assert_int_equal(atomic_load(&rx_left), 0);
	pair_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_threading_levels),
		cmocka_unit_test(test_batch_of_entries),
		cmocka_unit_test(test_inject),
		cmocka_unit_test(test_gather_and_scatter),
		cmocka_unit_test(test_huge_receive),
		cmocka_unit_test(test_selective_completion),
		cmocka_unit_test(test_selective_with_default_completion),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_error_among_completions),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_small_cq),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_one_cq_for_both),
		cmocka_unit_test(test_sread_timeout),
		cmocka_unit_test(test_sread_without_wait_object),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_wait_fd),
		cmocka_unit_test(test_peer_closes),
		cmocka_unit_test(test_send_after_the_end),
		cmocka_unit_test(test_close_with_outstanding),
		cmocka_unit_test(test_early_posts),
		cmocka_unit_test(test_early_posts_refused),
		cmocka_unit_test(test_threads),
	};

	use_built_provider();
	return cmocka_run_group_tests(tests, setup, teardown);
}
