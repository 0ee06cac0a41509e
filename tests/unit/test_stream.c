/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_stream.c - the stream service between the queues and a fabric that does what the test says:
 * writes that are cut anywhere, bytes that come before their receives, descriptors that an application
 * should not have written. Each posted operation ends with one event, and no byte is lost or moved.
 */
#include "tests/unit/ppe_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct bench b;
static struct ppe_dti *d;
static struct fab_conn *c;
static uint8_t mem[1 << 20];

static void open_with(const struct ppe_ual_attr *attr, uint32_t evq_size)
{
	bench_open(&b, attr, evq_size);
	d = dti_connected(&b, PPE_STREAM, 64);
	c = stub_keep(d);
	pattern_fill(mem, 0, sizeof(mem));
}

static int open_bench(void **state)
{
	(void)state;
	open_with(NULL, 256);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static void assert_out(uint64_t from, size_t len)
{
	assert_int_equal(c->out.len, len);
	assert_int_equal(pattern_check(c->out.data, from, len), len);
}

/* ------------------------------------------------------------------------- sending */

static void stream_gathers_sends_into_one_write(void **state)
{
	unsigned before = b.fab->calls.tx_next;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(send_mem(&b, d, i, mem + i * 100, 100, 0), 0);
	turns(b.ual, 1);
	assert_int_equal(b.fab->calls.tx_next, before + 1);
	assert_out(0, 1000);
	for (unsigned i = 0; i < 10; i++)
		expect(b.q, PPE_EV_SEND, i, 0, 100);
	expect_none(b.q);
}

/* A gather list with empty pieces, sent in writes of every length. */
static void stream_resumes_at_every_offset(void **state)
{
	(void)state;
	for (size_t step = 1; step <= 24; step++) {
		struct ppe_sge sge[4] = { sge_of(&b, mem, 5), sge_of(&b, NULL, 0),
					  sge_of(&b, mem + 5, 1), sge_of(&b, mem + 6, 17) };
		struct ppe_post p = { .user_tag = step, .sge = sge, .nsge = 4 };

		c->out.len = 0;
		c->tx_step = step;
		assert_int_equal(ppe_post_send(d, &p), 0);
		assert_int_equal(send_inline(d, 100, mem + 23, 9, 0), 0);
		expect(b.q, PPE_EV_SEND, step, 0, 23);
		expect(b.q, PPE_EV_SEND, 100, 0, 9);
		assert_out(0, 32);
		expect_none(b.q);
	}
}

/* The socket is full after @len bytes; what comes later goes on from there. */
static void stream_goes_on_after_a_full_socket(void **state)
{
	(void)state;
	stub_window(c, 0);
	for (size_t cut = 0; cut <= 40; cut++) {
		c->out.len = 0;
		assert_int_equal(send_mem(&b, d, 1, mem, 10, 0), 0);
		assert_int_equal(send_inline(d, 2, mem + 10, 20, PPE_POST_SILENT), 0);
		assert_int_equal(send_mem(&b, d, 3, mem + 30, 10, 0), 0);
		stub_window(c, cut);
		turns(b.ual, 3);
		assert_out(0, cut);
		assert_int_equal(ppe_evq_count(b.q), (cut >= 10) + (cut >= 40));
		stub_window(c, 40 - cut);
		expect(b.q, PPE_EV_SEND, 1, 0, 10);
		expect(b.q, PPE_EV_SEND, 3, 0, 10);
		assert_out(0, 40);
		expect_none(b.q);
	}
	assert_int_equal(b.q->reserved, 0);
}

/* Inline data and the descriptor are the application's again after the post. */
static void stream_keeps_inline_data_while_partly_sent(void **state)
{
	uint8_t data[PPE_INLINE_MAX];

	(void)state;
	pattern_fill(data, 0, sizeof(data));
	assert_int_equal(send_inline(d, 1, data, sizeof(data), 0), 0);
	memset(data, 0xee, sizeof(data));
	stub_window(c, 7);
	turns(b.ual, 2);
	/* also from its slots, once a part is out */
	memset(d->sq_ring, 0xee, 4 * sizeof(union ppe_slot));
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 1, 0, PPE_INLINE_MAX);
	assert_out(0, PPE_INLINE_MAX);
}

static void stream_sends_of_nothing(void **state)
{
	struct ppe_post none = { .user_tag = 5 };

	(void)state;
	assert_int_equal(ppe_post_send(d, &none), 0);
	expect(b.q, PPE_EV_SEND, 5, 0, 0);
	assert_int_equal(send_mem(&b, d, 6, mem, 0, 0), 0);
	assert_int_equal(send_mem(&b, d, 7, mem, 3, 0), 0);
	assert_int_equal(ppe_post_send(d, &none), 0);
	assert_int_equal(send_mem(&b, d, 8, mem, 0, PPE_POST_SILENT), 0);
	expect(b.q, PPE_EV_SEND, 6, 0, 0);
	expect(b.q, PPE_EV_SEND, 7, 0, 3);
	expect(b.q, PPE_EV_SEND, 5, 0, 0);
	expect_none(b.q);
	assert_out(0, 3);
	/* in front of bytes that do not fit */
	stub_window(c, 0);
	assert_int_equal(ppe_post_send(d, &none), 0);
	assert_int_equal(send_mem(&b, d, 9, mem + 3, 3, 0), 0);
	expect(b.q, PPE_EV_SEND, 5, 0, 0);
	expect_none(b.q);
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 9, 0, 3);
	assert_out(0, 6);
}

static void stream_shutdown_follows_the_sends(void **state)
{
	(void)state;
	stub_window(c, 30);
	assert_int_equal(send_mem(&b, d, 1, mem, 50, 0), 0);
	assert_int_equal(ppe_post_shutdown(d, 2), 0);
	assert_int_equal(send_mem(&b, d, 3, mem, 50, 0), 0);
	turns(b.ual, 3);
	assert_false(c->shut);
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 1, 0, 50);
	expect(b.q, PPE_EV_SHUTDOWN, 2, 0, 0);
	expect(b.q, PPE_EV_SEND, 3, -EPIPE, 0);
	assert_true(c->shut);
	assert_out(0, 50);
	expect_none(b.q);
}

static void stream_nop_follows_the_sends(void **state)
{
	(void)state;
	stub_window(c, 30);
	assert_int_equal(send_mem(&b, d, 1, mem, 50, PPE_POST_SILENT), 0);
	assert_int_equal(ppe_post_nop(d, 2), 0);
	assert_int_equal(send_mem(&b, d, 3, mem + 50, 50, 0), 0);
	turns(b.ual, 3);
	expect_none(b.q);
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SHUTDOWN, 2, 0, 0);
	expect(b.q, PPE_EV_SEND, 3, 0, 50);
	assert_false(c->shut);
	assert_out(0, 100);
}

/* Requests of one to four slots round the ring, with padding wherever one would cross its end. */
static void stream_ring_wraps_with_requests_of_any_size(void **state)
{
	uint64_t seed = test_seed(7), sent = 0;
	unsigned posted = 0, ended = 0;

	(void)state;
	while (posted < 20000) {
		uint8_t data[PPE_INLINE_MAX];
		uint32_t len = rnd_below(&seed, PPE_INLINE_MAX + 1);
		struct ppe_event ev;

		pattern_fill(data, sent, len);
		if (send_inline(d, posted, data, len, 0) == 0) {
			posted++;
			sent += len;
		} else {
			assert_true(ppe_spsc_count(&d->sh->sq) > 64 - 2 * PPE_WR_SLOTS_MAX);
			turns(b.ual, 1);
		}
		if (rnd_below(&seed, 8) == 0)
			turns(b.ual, 1);
		while (ppe_evq_take(b.q, &ev, 1) == 1) {
			assert_int_equal(ev.user_tag, ended++);
			assert_int_equal(ev.status, 0);
		}
	}
	while (ended < posted) {
		struct ppe_event ev;

		if (ppe_evq_read(b.q, &ev, 1) == 1)
			assert_int_equal(ev.user_tag, ended++);
	}
	assert_out(0, sent);
}

static void stream_memory_that_cannot_be_read(void **state)
{
	(void)state;
	assert_int_equal(send_mem(&b, d, 1, mem, 10, 0), 0);
	assert_int_equal(send_mem(&b, d, 2, mem + 10, 10, 0), 0);
	c->tx_faults = 1;
	expect(b.q, PPE_EV_SEND, 1, -EFAULT, 0);
	expect(b.q, PPE_EV_SEND, 2, 0, 10);
	assert_out(10, 10);
	/* the rest of a send of which a part is out */
	c->out.len = 0;
	stub_window(c, 4);
	assert_int_equal(send_mem(&b, d, 3, mem, 10, 0), 0);
	assert_int_equal(send_mem(&b, d, 4, mem + 4, 10, 0), 0);
	turns(b.ual, 3);
	c->tx_faults = 1;
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 3, -EFAULT, 4);
	expect(b.q, PPE_EV_SEND, 4, 0, 10);
	assert_out(0, 14);
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
}

static void stream_deregistered_memory_fails_its_operations(void **state)
{
	struct ppe_mr mr;
	struct ppe_sge sge = { .addr = (uintptr_t)mem, .len = 10 };
	struct ppe_post p = { .sge = &sge, .nsge = 1 };

	(void)state;
	assert_int_equal(ppe_mr_register(b.ual, mem, 10,
					 PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &mr),
			 0);
	sge.region = mr.region;
	sge.ptag = mr.ptag;
	stub_window(c, 4);
	for (p.user_tag = 1; p.user_tag <= 2; p.user_tag++)
		assert_int_equal(ppe_post_send(d, &p), 0);
	p.user_tag = 5;
	assert_int_equal(ppe_post_recv(d, &p), 0);
	assert_int_equal(send_mem(&b, d, 3, mem, 10, 0), 0);
	turns(b.ual, 3);
	assert_int_equal(ppe_mr_deregister(b.ual, mr), 0);
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 1, -EKEYREVOKED, 4);
	expect(b.q, PPE_EV_SEND, 2, -EKEYREVOKED, 0);
	expect(b.q, PPE_EV_SEND, 3, 0, 10);
	stub_inject(c, "abc", 3);
	expect(b.q, PPE_EV_RECV, 5, -EKEYREVOKED, 0);
	assert_int_equal(recv_mem(&b, d, 6, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 6, 0, 3);
}

static void stream_unconnected_refuses_sends(void **state)
{
	struct ppe_dti *idle = dti_new(&b, b.q, PPE_STREAM, 0);

	(void)state;
	assert_int_equal(send_inline(idle, 1, "x", 1, 0), 0);
	assert_int_equal(send_inline(idle, 2, "x", 1, PPE_POST_SILENT), 0);
	expect(b.q, PPE_EV_SEND, 1, -ENOTCONN, 0);
	expect(b.q, PPE_EV_SEND, 2, -ENOTCONN, 0);
	expect_none(b.q);
}

/* ------------------------------------------------------------------------ ranges of files */

static int adopted;

/* @len bytes of the pattern. */
static struct ppe_file *file_of(size_t len, int *fd)
{
	struct ppe_file_attr attr = { .evq = b.q };
	struct ppe_file *file;

	*fd = memfd_create("range", MFD_CLOEXEC);
	assert_int_equal(write(*fd, mem, len), len);
	adopted = dup(*fd);
	assert_int_equal(ppe_file_adopt(b.ual, &attr, adopted, &file), 0);
	return file;
}

static void stream_ranges_resume_at_every_offset(void **state)
{
	int fd;
	struct ppe_file *file = file_of(1000, &fd);

	(void)state;
	for (size_t step = 1; step < 300; step += step < 20 ? 1 : 37) {
		c->out.len = 0;
		c->tx_step = step;
		assert_int_equal(send_mem(&b, d, 1, mem, 100, 0), 0);
		assert_int_equal(ppe_post_send_file(d, file, 100, 200, 2, 0), 0);
		assert_int_equal(ppe_post_send_file(d, file, 300, 0, 3, 0), 0);
		assert_int_equal(ppe_post_send_file(d, file, 300, 1, 4, 0), 0);
		assert_int_equal(send_mem(&b, d, 5, mem + 301, 50, 0), 0);
		turns(b.ual, 500);
		expect(b.q, PPE_EV_SEND, 1, 0, 100);
		expect(b.q, PPE_EV_SEND, 2, 0, 200);
		expect(b.q, PPE_EV_SEND, 3, 0, 0);
		expect(b.q, PPE_EV_SEND, 4, 0, 1);
		expect(b.q, PPE_EV_SEND, 5, 0, 50);
		expect_none(b.q);
		assert_out(0, 351);
	}
	assert_int_equal(ppe_file_close(file), 0);
	close(fd);
}

/* The rest of a range that is partly out is missing: it alone fails, with what was sent. */
static void stream_range_that_shrinks_fails_alone(void **state)
{
	int fd;
	struct ppe_file *file = file_of(1000, &fd);

	(void)state;
	c->window = 150;
	assert_int_equal(ppe_post_send_file(d, file, 0, 1000, 1, 0), 0);
	assert_int_equal(send_mem(&b, d, 2, mem, 10, 0), 0);
	turns(b.ual, 3);
	expect_none(b.q);
	assert_int_equal(ftruncate(fd, 200), 0);
	stub_window(c, SIZE_MAX);
	turns(b.ual, 3);
	expect(b.q, PPE_EV_SEND, 1, -ENODATA, 200);
	expect(b.q, PPE_EV_SEND, 2, 0, 10);
	assert_int_equal(pattern_check(c->out.data, 0, 200), 200);
	assert_int_equal(c->out.len, 210);
	close(fd);
}

static void stream_range_keeps_its_file_open(void **state)
{
	int fd;
	struct ppe_file *file = file_of(1000, &fd);

	(void)state;
	c->window = 0;
	assert_int_equal(ppe_post_send_file(d, file, 0, 500, 1, 0), 0);
	assert_int_equal(ppe_post_send_file(d, file, 500, 500, 2, 0), 0);
	assert_int_equal(ppe_file_close(file), 0);
	turns(b.ual, 3);
	assert_int_equal(ppe_dti_cancel(d, 2, PPE_CANCEL_SEND), 1);
	expect(b.q, PPE_EV_SEND, 2, -ECANCELED, 0);
	stub_window(c, SIZE_MAX);
	turns(b.ual, 3);
	expect(b.q, PPE_EV_SEND, 1, 0, 500);
	assert_out(0, 500);
	assert_int_equal(fcntl(adopted, F_GETFD), -1);
	close(fd);
}

/* ------------------------------------------------- descriptors from a hostile application */

static void hostile(struct queue_view v, const struct ppe_wr *wr, const void *payload, size_t len)
{
	uint32_t at = atomic_load(&v.idx->tail) & v.mask;

	memset(&v.ring[at], 0, sizeof(v.ring[at]));
	v.ring[at].wr = *wr;
	if (len)
		memcpy(v.ring[at].bytes + sizeof(*wr), payload, len);
	ppe_spsc_commit(v.idx, 1);
	doorbell_ring(b.ual, &d->sh->rung, handle_number(d->handle));
}

static const struct {
	const char *what;
	struct ppe_wr wr;
	uint32_t sge_len; /* of the one entry behind it */
	uint32_t sge_zero;
} bad_requests[] = {
	{ "no slots", { .op = PPE_WR_SEND, .nslots = 0, .flags = PPE_WR_INLINE }, 0, 0 },
	{ "more slots than published", { .op = PPE_WR_SEND, .nslots = 2 }, 0, 0 },
	{ "more slots than there are", { .op = PPE_WR_SEND, .nslots = 255 }, 0, 0 },
	{ "five slots", { .op = PPE_WR_SEND, .nslots = 5 }, 0, 0 },
	{ "unknown operation", { .op = 77, .nslots = 1 }, 0, 0 },
	{ "a list longer than its slot", { .op = PPE_WR_SEND, .nslots = 1, .nsge = 3 }, 0, 0 },
	{ "a list of 255", { .op = PPE_WR_SEND, .nslots = 1, .nsge = 255 }, 0, 0 },
	{ "length is not the sum",
	  { .op = PPE_WR_SEND, .nslots = 1, .nsge = 1, .length = 9 },
	  10,
	  0 },
	{ "length without a list", { .op = PPE_WR_SEND, .nslots = 1, .length = 9 }, 0, 0 },
	{ "inline longer than its slot",
	  { .op = PPE_WR_SEND, .nslots = 1, .flags = PPE_WR_INLINE, .length = 49 },
	  0,
	  0 },
	{ "inline and a list",
	  { .op = PPE_WR_SEND, .nslots = 1, .flags = PPE_WR_INLINE, .nsge = 1, .length = 10 },
	  10,
	  0 },
	{ "reserved is not zero",
	  { .op = PPE_WR_SEND, .nslots = 1, .nsge = 1, .length = 10 },
	  10,
	  1 },
};

static void stream_malformed_sends_fail_alone(void **state)
{
	uint64_t rejected = b.ual->counters.rejects[PPE_REJECT_MALFORMED];

	(void)state;
	for (size_t i = 0; i < COUNT(bad_requests); i++) {
		struct ppe_sge sge = sge_of(&b, mem, bad_requests[i].sge_len);
		struct ppe_wr wr = bad_requests[i].wr;

		sge.zero = bad_requests[i].sge_zero;
		wr.user_tag = 1000 + i;
		c->out.len = 0;
		assert_int_equal(send_mem(&b, d, 1, mem, 5, 0), 0);
		hostile(dti_sq(d), &wr, &sge, sizeof(sge));
		turns(b.ual, 2); /* "more than published" is so only now */
		assert_int_equal(send_mem(&b, d, 2, mem + 5, 5, 0), 0);
		expect(b.q, PPE_EV_SEND, 1, 0, 5);
		expect(b.q, PPE_EV_SEND, 1000 + i, -EBADMSG, 0);
		expect(b.q, PPE_EV_SEND, 2, 0, 5);
		expect_none(b.q);
		assert_out(0, 10);
	}
	assert_int_equal(b.ual->counters.rejects[PPE_REJECT_MALFORMED] - rejected,
			 COUNT(bad_requests));
}

static void stream_malformed_receives_fail_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_requests); i++) {
		struct ppe_sge sge = sge_of(&b, mem, bad_requests[i].sge_len);
		struct ppe_wr wr = bad_requests[i].wr;

		if (wr.op == PPE_WR_SEND)
			wr.op = PPE_WR_RECV;
		sge.zero = bad_requests[i].sge_zero;
		wr.user_tag = 1000 + i;
		hostile(dti_rq(d), &wr, &sge, sizeof(sge));
		stub_inject(c, "abc", 3);
		expect(b.q, PPE_EV_RECV, 1000 + i, -EBADMSG, 0);
		assert_int_equal(recv_mem(&b, d, 2, mem, 50), 0);
		expect(b.q, PPE_EV_RECV, 2, 0, 3);
		expect_none(b.q);
	}
}

static void stream_forged_ranges_fail_alone(void **state)
{
	int fd;
	struct ppe_file *file = file_of(1000, &fd);
	struct ppe_wr wr = { .op = PPE_WR_SEND_FILE, .nslots = 1, .length = 10 };
	struct ppe_wr_file range = { 0 }, real;

	(void)state;
	/* what a real one looks like */
	assert_int_equal(ppe_post_send_file(d, file, 0, 10, 1, 0), 0);
	memcpy(&real,
	       d->sq_ring[(atomic_load(&d->sh->sq.tail) - 1) & d->sq_mask].bytes + sizeof(wr),
	       sizeof(real));
	expect(b.q, PPE_EV_SEND, 1, 0, 10);
	hostile(dti_sq(d), &wr, &range, sizeof(range));
	expect(b.q, PPE_EV_SEND, 0, -EBADF, 0);
	range.file = UINT32_MAX;
	hostile(dti_sq(d), &wr, &range, sizeof(range));
	expect(b.q, PPE_EV_SEND, 0, -EBADF, 0);
	range = real;
	range.zero = 1;
	hostile(dti_sq(d), &wr, &range, sizeof(range));
	expect(b.q, PPE_EV_SEND, 0, -EBADMSG, 0);
	range = real;
	range.offset = UINT64_MAX;
	hostile(dti_sq(d), &wr, &range, sizeof(range));
	expect(b.q, PPE_EV_SEND, 0, -EBADMSG, 0);
	/* many that nobody posted: the file lives on */
	for (int i = 0; i < 5; i++) {
		hostile(dti_sq(d), &wr, &real, sizeof(real));
		expect(b.q, PPE_EV_SEND, 0, 0, 10);
	}
	assert_int_equal(ppe_post_send_file(d, file, 0, 10, 2, 0), 0);
	expect(b.q, PPE_EV_SEND, 2, 0, 10);
	/* and in the other queue */
	hostile(dti_rq(d), &wr, &real, sizeof(real));
	stub_inject(c, "abc", 3);
	expect(b.q, PPE_EV_RECV, 0, -EBADMSG, 0);
	assert_int_equal(ppe_file_close(file), 0);
	hostile(dti_sq(d), &wr, &real, sizeof(real));
	expect(b.q, PPE_EV_SEND, 0, -EBADF, 0);
	close(fd);
}

/* Requests in the wrong queue. */
static void stream_misplaced_requests_fail_alone(void **state)
{
	struct ppe_wr wr = { .op = PPE_WR_RECV, .nslots = 1, .user_tag = 1 };

	(void)state;
	hostile(dti_sq(d), &wr, NULL, 0);
	expect(b.q, PPE_EV_RECV, 1, -EBADMSG, 0);
	wr = (struct ppe_wr){ .op = PPE_WR_SEND, .nslots = 1, .user_tag = 2 };
	hostile(dti_rq(d), &wr, NULL, 0);
	wr = (struct ppe_wr){ .op = PPE_WR_SHUTDOWN, .nslots = 1, .user_tag = 3 };
	hostile(dti_rq(d), &wr, NULL, 0);
	stub_inject(c, "abc", 3);
	expect(b.q, PPE_EV_RECV, 2, -EBADMSG, 0);
	expect(b.q, PPE_EV_RECV, 3, -EBADMSG, 0);
	assert_int_equal(recv_mem(&b, d, 4, mem, 50), 0);
	expect(b.q, PPE_EV_RECV, 4, 0, 3);
	assert_false(c->shut);
}

/* Indices that no application can have. The engine neither crashes nor spins, and others go on. */
static void stream_tail_beyond_the_ring(void **state)
{
	struct ppe_dti *other = dti_connected(&b, PPE_STREAM, 8);
	static const uint32_t jumps[] = { 65, 1000, 0x7fffffff, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < COUNT(jumps); i++) {
		uint32_t head = atomic_load(&d->sh->sq.head);

		atomic_store(&d->sh->sq.tail, head + jumps[i]);
		doorbell_ring(b.ual, &d->sh->rung, handle_number(d->handle));
		assert_int_equal(send_inline(other, 5, "x", 1, 0), 0);
		expect(b.q, PPE_EV_SEND, 5, 0, 1);
		assert_int_equal(atomic_load(&d->sh->sq.head), head);
	}
	ppe_dti_destroy(d, false);
	expect_none(b.q);
}

static void change_head(struct fab_conn *conn, void *arg)
{
	struct ppe_wr *wr = &d->rq_ring[atomic_load(&d->sh->rq.head) & d->rq_mask].wr;

	(void)conn;
	(void)arg;
	wr->nslots = 3;
	wr->user_tag = 666;
	wr->op = PPE_WR_SHUTDOWN;
}

/* What was copied once is what counts, whatever becomes of the slot. */
static void stream_receive_changed_under_way(void **state)
{
	(void)state;
	b.fab->before_landing = change_head;
	assert_int_equal(recv_mem(&b, d, 1, mem, 50), 0);
	stub_inject(c, "abc", 3);
	expect(b.q, PPE_EV_RECV, 1, 0, 3);
	b.fab->before_landing = NULL;
	assert_int_equal(recv_mem(&b, d, 2, mem, 50), 0);
	stub_inject(c, "defg", 4);
	expect(b.q, PPE_EV_RECV, 2, 0, 4);
	b.fab->before_landing = change_head;
	c->rx_faults = 1;
	assert_int_equal(recv_mem(&b, d, 3, mem, 50), 0);
	stub_inject(c, "h", 1);
	expect(b.q, PPE_EV_RECV, 3, -EFAULT, 0);
	b.fab->before_landing = NULL;
}

/* ----------------------------------------------------------------------- receiving */

static uint64_t injected;

static void inject(size_t len)
{
	static uint8_t data[1 << 20];

	pattern_fill(data, injected, len);
	stub_inject(c, data, len);
	injected += len;
}

static void stream_receives_scatter(void **state)
{
	struct ppe_sge sge[3] = { sge_of(&b, mem + 100, 3), sge_of(&b, mem, 0),
				  sge_of(&b, mem + 200, 5) };
	struct ppe_post p = { .user_tag = 1, .sge = sge, .nsge = 3 };

	(void)state;
	injected = 0;
	assert_int_equal(ppe_post_recv(d, &p), 0);
	inject(8);
	expect(b.q, PPE_EV_RECV, 1, 0, 8);
	assert_int_equal(pattern_check(mem + 100, 0, 3), 3);
	assert_int_equal(pattern_check(mem + 200, 3, 5), 5);
	/* one that is shorter than it could be */
	assert_int_equal(ppe_post_recv(d, &p), 0);
	inject(2);
	expect(b.q, PPE_EV_RECV, 1, 0, 2);
	expect_none(b.q);
}

/* Receives of every size, before and behind the bytes, in reads of every size. */
static void stream_late_receives_get_every_byte(void **state)
{
	uint64_t seed = test_seed(99), got = 0;
	uint32_t posted[64], first = 0, count = 0;

	(void)state;
	injected = 0;
	while (got < 400000) {
		struct ppe_event ev;
		uint32_t n = 1 + rnd_below(&seed, 3000);

		c->rx_step = rnd_below(&seed, 4) ? 0 : 1 + rnd_below(&seed, 2000);
		if (rnd_below(&seed, 2) && injected < got + 100000)
			inject(n);
		if (rnd_below(&seed, 2) && count < 30 &&
		    !recv_mem(&b, d, first + count, mem + (first + count) % 32 * 3000, n))
			posted[(first + count++) % 64] = n;
		while (ppe_evq_read(b.q, &ev, 1) == 1) {
			assert_int_equal(ev.user_tag, first);
			assert_int_equal(ev.status, 0);
			assert_true(ev.len && ev.len <= posted[first % 64]);
			assert_int_equal(pattern_check(mem + first % 32 * 3000, got, ev.len),
					 ev.len);
			got += ev.len;
			first++;
			count--;
		}
	}
}

static const struct ppe_ual_attr small_pool = { .pool = { { .size = 256, .count = 8 } } };

/* The pool is small: reading stops, and goes on as receives make room. */
static void stream_pool_empty_stops_and_resumes(void **state)
{
	struct ppe_counters n;
	uint64_t got = 0;

	(void)state;
	injected = 0;
	open_with(&small_pool, 256);
	inject(10000);
	turns(b.ual, 20);
	ppe_ual_counters(b.ual, &n);
	assert_true(n.rx_stalls >= 1 && n.pool_used <= 8 * 256);
	assert_true(c->in.len - c->in.off >= 10000 - 8 * 256);
	while (got < 10000) {
		struct ppe_event ev;

		assert_int_equal(recv_mem(&b, d, 1, mem, 100), 0);
		if (ppe_evq_read(b.q, &ev, 1) != 1)
			assert_int_equal(ppe_evq_read(b.q, &ev, 1), 1);
		assert_int_equal(pattern_check(mem, got, ev.len), ev.len);
		got += ev.len;
	}
	expect_none(b.q);
	bench_close(&b);
}

/* No connection takes all of the pool; what one gives back, another gets. */
static void stream_pool_is_shared(void **state)
{
	struct ppe_dti *dtis[8];
	struct fab_conn *conns[8];
	struct ppe_event ev;
	uint64_t left = 0;

	(void)state;
	open_with(&small_pool, 256);
	for (int i = 0; i < 8; i++) {
		dtis[i] = dti_connected(&b, PPE_STREAM, 0);
		conns[i] = stub_keep(dtis[i]);
		for (int k = 0; k < 20; k++)
			stub_inject(conns[i], mem, 256);
		turns(b.ual, 5);
	}
	for (int i = 0; i < 8; i++) {
		assert_true(dtis[i]->anon_bytes <= 2 * 256);
		left += 20 * 256;
	}
	/* those that came too late get their bytes as soon as the others are served */
	for (int k = 0; left; k = (k + 1) % 8) {
		if (recv_mem(&b, dtis[k], k, mem, 1000) == 0)
			turns(b.ual, 1);
		while (ppe_evq_take(b.q, &ev, 1) == 1) {
			assert_int_equal(ev.status, 0);
			left -= ev.len;
		}
	}
	for (int i = 0; i < 8; i++)
		ppe_dti_destroy(dtis[i], true);
	bench_close(&b);
}

/* The one that holds the pool is closed; those that wait for it go on, though nobody asks. */
static void stream_closing_gives_the_pool_back(void **state)
{
	struct ppe_dti *first, *second;
	struct fab_conn *conn;

	(void)state;
	bench_open(&b, &(struct ppe_ual_attr){ .pool = { { .size = 256, .count = 1 } } }, 16);
	first = dti_connected(&b, PPE_STREAM, 0);
	second = dti_connected(&b, PPE_STREAM, 0);
	conn = stub_keep(second);
	stub_inject(stub_keep(first), mem, 10);
	turns(b.ual, 2);
	stub_inject(conn, mem, 10);
	turns(b.ual, 2);
	assert_int_equal(conn->in.len - conn->in.off, 10);
	ppe_dti_destroy(first, true);
	/* by a doorbell's right: whoever goes to sleep now must look first */
	assert_true(owner_work_pending(b.ual) || !conn->in.len);
	turns(b.ual, 2);
	assert_int_equal(conn->in.len - conn->in.off, 0);
	assert_int_equal(recv_mem(&b, second, 3, mem, 100), 0);
	expect(b.q, PPE_EV_RECV, 3, 0, 10);
	bench_close(&b);
}

/* Two reads are planned at once, with one buffer: the first finds nothing, the second then has it. */
static void stream_unused_buffer_is_for_others(void **state)
{
	struct fab_conn *first, *second;
	struct iovec iov[32];

	(void)state;
	bench_open(&b, &(struct ppe_ual_attr){ .pool = { { .size = 256, .count = 1 } } }, 16);
	first = stub_keep(dti_connected(&b, PPE_STREAM, 0));
	second = stub_keep(dti_connected(&b, PPE_STREAM, 0));
	turns(b.ual, 2);
	turn_lock(b.ual);
	assert_int_equal(first->ops->rx_next(first->user, 0, iov, 32), 1);
	assert_int_equal(second->ops->rx_next(second->user, 0, iov, 32), 0);
	second->rx_want = false;
	first->ops->rx_none(first->user);
	turn_unlock(b.ual);
	stub_inject(second, mem, 10);
	turns(b.ual, 2);
	assert_int_equal(second->in.len - second->in.off, 0);
	bench_close(&b);
}

/* Full event queue while bytes wait in buffers and more arrive: nothing is forgotten. */
static void stream_full_queue_with_early_bytes(void **state)
{
	struct ppe_evq *rx;
	struct ppe_dti_attr attr = { 0 };
	struct sockaddr_in to = { .sin_family = AF_INET };

	(void)state;
	bench_open(&b, NULL, 16);
	rx = evq_new(b.ual, 2, 0);
	attr.tx_evq = b.q;
	attr.rx_evq = rx;
	assert_int_equal(ppe_dti_create(b.ual, &attr, &d), 0);
	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 1, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 1, 0, 0);
	c = stub_keep(d);
	injected = 0;
	inject(30);
	turns(b.ual, 2); /* into a buffer */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(recv_mem(&b, d, i, mem + 10 * i, 10), 0);
	turns(b.ual, 2); /* two are served, no slot for the third */
	inject(30);
	turns(b.ual, 2); /* more comes, while it stalls */
	for (unsigned i = 0; i < 3; i++)
		expect(rx, PPE_EV_RECV, i, 0, 10);
	turns(b.ual, 2);
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(recv_mem(&b, d, i, mem + 10 * i, 10), 0);
		expect(rx, PPE_EV_RECV, i, 0, 10);
	}
	assert_int_equal(pattern_check(mem, 0, 60), 60);
	bench_close(&b);
}

static void stream_eof_after_the_bytes(void **state)
{
	(void)state;
	injected = 0;
	assert_int_equal(recv_mem(&b, d, 1, mem, 10), 0);
	inject(25);
	stub_inject_eof(c);
	expect(b.q, PPE_EV_RECV, 1, 0, 10);
	turns(b.ual, 2);
	/* sending goes on */
	assert_int_equal(send_inline(d, 9, "x", 1, 0), 0);
	expect(b.q, PPE_EV_SEND, 9, 0, 1);
	assert_int_equal(recv_mem(&b, d, 2, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 2, 0, 10);
	assert_int_equal(recv_mem(&b, d, 3, mem, 10), 0);
	assert_int_equal(recv_mem(&b, d, 4, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 3, 0, 5);
	expect(b.q, PPE_EV_RECV, 4, 0, 0);
	assert_int_equal(recv_mem(&b, d, 5, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 5, 0, 0);
}

static void stream_shutdown_rx_drops_what_comes(void **state)
{
	(void)state;
	inject(100);
	turns(b.ual, 2);
	assert_int_equal(ppe_dti_shutdown_rx(d), 0);
	inject(50000);
	assert_int_equal(recv_mem(&b, d, 1, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 1, 0, 0);
	turns(b.ual, 10);
	assert_int_equal(c->in.len - c->in.off, 0);
	assert_int_equal(recv_mem(&b, d, 2, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 2, 0, 0);
	assert_int_equal(send_inline(d, 9, "x", 1, 0), 0);
	expect(b.q, PPE_EV_SEND, 9, 0, 1);
	assert_int_equal(b.ual->counters.pool_used,
			 b.ual->landing ? b.ual->landing->room + sizeof(struct anon_buf) : 0);
}

static void stream_memory_that_cannot_be_written(void **state)
{
	(void)state;
	assert_int_equal(recv_mem(&b, d, 1, mem, 10), 0);
	assert_int_equal(recv_mem(&b, d, 2, mem, 10), 0);
	c->rx_faults = 1;
	stub_inject(c, "abc", 3);
	expect(b.q, PPE_EV_RECV, 1, -EFAULT, 0);
	expect(b.q, PPE_EV_RECV, 2, 0, 3);
	expect_none(b.q);
}

/* ----------------------------------------------------------------------------- ends */

static void stream_failure_ends_everything_once(void **state)
{
	(void)state;
	injected = 0;
	stub_window(c, 15);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send_mem(&b, d, i, mem, 10, i == 3 ? PPE_POST_SILENT : 0), 0);
	assert_int_equal(ppe_post_shutdown(d, 5), 0);
	turns(b.ual, 2);
	expect(b.q, PPE_EV_SEND, 0, 0, 10);
	for (unsigned i = 10; i < 13; i++)
		assert_int_equal(recv_mem(&b, d, i, mem, 10), 0);
	inject(7);
	expect(b.q, PPE_EV_RECV, 10, 0, 7);
	stub_inject_error(c, -ECONNRESET);
	expect(b.q, PPE_EV_SEND, 1, -ECONNRESET, 5);
	for (unsigned i = 2; i < 5; i++)
		expect(b.q, PPE_EV_SEND, i, -ECONNRESET, 0);
	expect(b.q, PPE_EV_SHUTDOWN, 5, -ECONNRESET, 0);
	for (unsigned i = 11; i < 13; i++)
		expect(b.q, PPE_EV_RECV, i, -ECONNRESET, 0);
	/* and so does everything that comes later */
	assert_int_equal(send_mem(&b, d, 20, mem, 10, PPE_POST_SILENT), 0);
	expect(b.q, PPE_EV_SEND, 20, -ECONNRESET, 0);
	assert_int_equal(recv_mem(&b, d, 21, mem, 10), 0);
	expect(b.q, PPE_EV_RECV, 21, -ECONNRESET, 0);
	expect_none(b.q);
	assert_int_equal(b.q->reserved, 0);
	assert_true(c->dead);
}

/* What came before the failure is received. */
static void stream_failure_keeps_early_bytes(void **state)
{
	(void)state;
	injected = 0;
	inject(30);
	turns(b.ual, 2);
	stub_inject_error(c, -ECONNRESET);
	turns(b.ual, 2);
	assert_int_equal(recv_mem(&b, d, 1, mem, 20), 0);
	expect(b.q, PPE_EV_RECV, 1, 0, 20);
	assert_int_equal(recv_mem(&b, d, 2, mem + 20, 20), 0);
	expect(b.q, PPE_EV_RECV, 2, 0, 10);
	assert_int_equal(pattern_check(mem, 0, 30), 30);
	assert_int_equal(recv_mem(&b, d, 3, mem, 20), 0);
	expect(b.q, PPE_EV_RECV, 3, -ECONNRESET, 0);
}

/* A write by the poster itself fails: somebody must still tell. */
static void stream_failed_write_leaves_word(void **state)
{
	(void)state;
	stub_write_error(c, -EPIPE);
	assert_int_equal(send_inline(d, 1, "x", 1, 0), 0);
	turn_lock(b.ual);
	turn_transmit(d);
	turn_unlock(b.ual);
	assert_true(ppe_evq_count(b.q) || owner_work_pending(b.ual));
	expect(b.q, PPE_EV_SEND, 1, -EPIPE, 0);
	assert_false(owner_work_pending(b.ual));
}

static void stream_cancel_at_every_place(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 6; at++) {
		uint64_t left = 0;

		c->out.len = 0;
		c->window = 0;
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(send_mem(&b, d, i, mem + 10 * i, 10, 0), 0);
		turns(b.ual, 2);
		assert_int_equal(ppe_dti_cancel(d, at, PPE_CANCEL_RECV), -ENOENT);
		assert_int_equal(ppe_dti_cancel(d, at, PPE_CANCEL_SEND), 1);
		assert_int_equal(ppe_dti_cancel(d, at, PPE_CANCEL_SEND), -ENOENT);
		expect(b.q, PPE_EV_SEND, at, -ECANCELED, 0);
		stub_window(c, SIZE_MAX);
		for (unsigned i = 0; i < 6; i++)
			if (i != at)
				expect(b.q, PPE_EV_SEND, i, 0, 10);
		assert_int_equal(c->out.len, 50);
		for (unsigned i = 0; i < 6; i++)
			if (i != at)
				assert_int_equal(
					pattern_check(c->out.data + 10 * left++, 10 * i, 10), 10);
		expect_none(b.q);
	}
	for (unsigned at = 0; at < 6; at++) {
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(recv_mem(&b, d, i, mem, 10), 0);
		turns(b.ual, 2);
		assert_int_equal(ppe_dti_cancel(d, at, PPE_CANCEL_RECV), 1);
		expect(b.q, PPE_EV_RECV, at, -ECANCELED, 0);
		inject(50);
		for (unsigned i = 0; i < 6; i++)
			if (i != at)
				expect(b.q, PPE_EV_RECV, i, 0, 10);
		expect_none(b.q);
	}
	assert_int_equal(b.q->reserved, 0);
}

/* A send of which a part is out goes on; several with one tag go together. */
static void stream_cancel_spares_what_has_begun(void **state)
{
	(void)state;
	stub_window(c, 3);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_mem(&b, d, 7, mem, 10, 0), 0);
	turns(b.ual, 2);
	assert_int_equal(ppe_dti_cancel(d, 7, PPE_CANCEL_SEND), 3);
	for (unsigned i = 0; i < 3; i++)
		expect(b.q, PPE_EV_SEND, 7, -ECANCELED, 0);
	stub_window(c, SIZE_MAX);
	expect(b.q, PPE_EV_SEND, 7, 0, 10);
	expect_none(b.q);
	assert_out(0, 10);
}

static void stream_cancel_needs_a_slot(void **state)
{
	struct ppe_evq *small;
	struct ppe_dti *idle;

	(void)state;
	small = evq_new(b.ual, 2, 0);
	idle = dti_new(&b, small, PPE_STREAM, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(recv_mem(&b, idle, 1, mem, 10), 0);
	assert_int_equal(ppe_dti_cancel(idle, 1, PPE_CANCEL_RECV), 2);
	assert_int_equal(ppe_dti_cancel(idle, 1, PPE_CANCEL_RECV), -EAGAIN);
	expect(small, PPE_EV_RECV, 1, -ECANCELED, 0);
	assert_int_equal(ppe_dti_cancel(idle, 1, PPE_CANCEL_RECV), 1);
}

static void stream_destroy_ends_what_is_posted(void **state)
{
	(void)state;
	stub_window(c, 15);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_mem(&b, d, i, mem, 10, PPE_POST_SILENT), 0);
	for (unsigned i = 10; i < 13; i++)
		assert_int_equal(recv_mem(&b, d, i, mem, 10), 0);
	turns(b.ual, 2);
	ppe_dti_destroy(d, false);
	expect(b.q, PPE_EV_SEND, 1, -ECANCELED, 5);
	for (unsigned i = 2; i < 4; i++)
		expect(b.q, PPE_EV_SEND, i, -ECANCELED, 0);
	for (unsigned i = 10; i < 13; i++)
		expect(b.q, PPE_EV_RECV, i, -ECANCELED, 0);
	expect_none(b.q);
	assert_int_equal(b.q->bound, 0);
	assert_int_equal(b.q->reserved, 0);
}

static void stream_destroy_with_discard_is_silent(void **state)
{
	(void)state;
	stub_window(c, 15);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_mem(&b, d, i, mem, 10, 0), 0);
	turns(b.ual, 2);
	expect(b.q, PPE_EV_SEND, 0, 0, 10);
	ppe_dti_destroy(d, true);
	expect_none(b.q);
	assert_int_equal(b.q->bound, 0);
	assert_int_equal(b.q->reserved, 0);
}

/* The events of a destroyed DTI come as there is room; then it is gone. */
static void stream_destroy_waits_for_room(void **state)
{
	struct ppe_evq *small = evq_new(b.ual, 2, 0);
	struct ppe_dti *idle = dti_new(&b, small, PPE_STREAM, 0);
	uint32_t handle = ppe_dti_handle(idle);

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(recv_mem(&b, idle, i, mem, 10), 0);
	ppe_dti_destroy(idle, false);
	assert_null(ppe_dti_lookup(b.ual, handle));
	assert_int_equal(ppe_evq_destroy(small), -EBUSY);
	for (unsigned i = 0; i < 7; i++)
		expect(small, PPE_EV_RECV, i, -ECANCELED, 0);
	expect_none(small);
	assert_int_equal(ppe_evq_destroy(small), 0);
}

/* ------------------------------------------------------------------ against a model */

#define OPS 1000000 /* a tag that is none of the model's */
#define DRAIN 3000  /* turns that must be enough to end everything */

struct op {
	uint32_t len;
	uint8_t kind; /* enum ppe_event_type */
	bool silent, ended;
	uint8_t *place; /* of a receive */
};

struct model {
	uint64_t seed;
	struct op *ops;
	unsigned posted, sends, recvs, ended, silent;
	uint64_t tx_offset, rx_offset; /* bytes posted, bytes received */
	uint64_t out_seen;
};

static void model_event(struct model *m, const struct ppe_event *ev)
{
	struct op *op = &m->ops[ev->user_tag];

	assert_true(ev->user_tag < m->posted);
	assert_false(op->ended);
	assert_int_equal(op->kind, ev->type);
	op->ended = true;
	m->ended++;
	if (ev->type == PPE_EV_SEND && !ev->status)
		assert_int_equal(ev->len, op->len);
	if (ev->type == PPE_EV_RECV && !ev->status) {
		assert_true(ev->len <= op->len);
		assert_int_equal(pattern_check(op->place, m->rx_offset, ev->len), ev->len);
		m->rx_offset += ev->len;
	}
}

static void model_take(struct model *m, int max)
{
	struct ppe_event ev[16];
	int n = ppe_evq_read(b.q, ev, max);

	for (int i = 0; i < n; i++)
		model_event(m, &ev[i]);
}

static void model_send(struct model *m)
{
	static uint8_t source[128][8192]; /* more than the queue holds */
	struct op *op = &m->ops[m->posted];
	uint32_t len =
		rnd_below(&m->seed, 3) ? rnd_below(&m->seed, 300) : rnd_below(&m->seed, 8192);
	bool silent = rnd_below(&m->seed, 4) == 0;
	uint8_t *src = source[m->sends % 128];
	int err;

	pattern_fill(src, m->tx_offset, len);
	if (len <= PPE_INLINE_MAX && rnd_below(&m->seed, 2)) {
		err = send_inline(d, m->posted, src, len, silent ? PPE_POST_SILENT : 0);
	} else {
		struct ppe_sge sge[10];
		struct ppe_post p = { .user_tag = m->posted,
				      .sge = sge,
				      .nsge = 1 + rnd_below(&m->seed, 10),
				      .flags = silent ? PPE_POST_SILENT : 0 };
		uint32_t done = 0;

		for (unsigned i = 0; i < p.nsge; i++) {
			uint32_t n =
				i + 1u == p.nsge ? len - done : rnd_below(&m->seed, len - done + 1);

			sge[i] = sge_of(&b, src + done, n);
			done += n;
		}
		err = ppe_post_send(d, &p);
	}
	if (err) {
		assert_int_equal(err, -EAGAIN);
		return;
	}
	*op = (struct op){ .len = len, .kind = PPE_EV_SEND, .silent = silent };
	m->tx_offset += len;
	m->posted++;
	m->sends++;
	m->silent += silent;
}

static void model_recv(struct model *m)
{
	uint32_t len = 1 + rnd_below(&m->seed, rnd_below(&m->seed, 2) ? 100 : 8192);
	uint8_t *place = mem + m->recvs % 128 * 8192;

	if (recv_mem(&b, d, m->posted, place, len))
		return;
	m->ops[m->posted++] = (struct op){ .len = len, .kind = PPE_EV_RECV, .place = place };
	m->recvs++;
}

static void model_step(struct model *m)
{
	switch (rnd_below(&m->seed, 8)) {
	case 0:
	case 1:
		if (m->posted - m->ended - m->silent < 50)
			model_send(m);
		break;
	case 2:
	case 3:
		if (m->posted - m->ended - m->silent < 50)
			model_recv(m);
		break;
	case 4:
		if (injected < m->rx_offset + 200000)
			inject(1 + rnd_below(&m->seed, 6000));
		break;
	case 5:
		stub_window(c, rnd_below(&m->seed, 8000));
		c->tx_step = rnd_below(&m->seed, 3) ? 0 : 1 + rnd_below(&m->seed, 50);
		c->rx_step = rnd_below(&m->seed, 3) ? 0 : 1 + rnd_below(&m->seed, 500);
		c->lag = rnd_below(&m->seed, 8) ? 0 : 3;
		break;
	case 6:
		/* sends stay: their bytes would be missing in the pattern */
		if (m->posted && rnd_below(&m->seed, 8) == 0)
			ppe_dti_cancel(d, rnd_below(&m->seed, m->posted), PPE_CANCEL_RECV);
		break;
	default:
		model_take(m, rnd_below(&m->seed, 16));
	}
	/* what has been written is what was posted, in order */
	if (c->out.len > m->out_seen) {
		assert_int_equal(pattern_check(c->out.data + m->out_seen, m->out_seen,
					       c->out.len - m->out_seen),
				 c->out.len - m->out_seen);
		m->out_seen = c->out.len;
	}
}

/* One connection's life: random traffic, then one of its ends. */
static void model_run(uint64_t seed, unsigned steps)
{
	struct model m = { .seed = seed };
	unsigned way = rnd_below(&m.seed, 4), silent_left = 0;

	m.ops = calloc(steps + DRAIN, sizeof(*m.ops));
	assert_non_null(m.ops);
	injected = 0;
	open_with(rnd_below(&m.seed, 2) ? &small_pool : NULL, 4u << rnd_below(&m.seed, 5));
	stub_window(c, 0);
	for (unsigned i = 0; i < steps; i++)
		model_step(&m);
	switch (way) {
	case 0: /* all of it goes through */
		stub_window(c, SIZE_MAX);
		stub_inject_eof(c);
		break;
	case 1:
		stub_inject_error(c, -ECONNRESET);
		break;
	case 2:
		ppe_dti_destroy(d, false);
		break;
	case 3:
		stub_write_error(c, -EPIPE);
		send_inline(d, OPS, NULL, 0, PPE_POST_SILENT);
		break;
	}
	for (unsigned i = 0; i < DRAIN; i++) {
		struct ppe_event ev;

		if (ppe_evq_read(b.q, &ev, 1) == 1 && ev.user_tag != OPS)
			model_event(&m, &ev);
		/* a failure is found by who reads on */
		if (way == 1 && i < DRAIN - 200 && m.posted - m.ended - m.silent < 50)
			model_recv(&m);
	}
	for (unsigned i = 0; i < m.posted; i++) {
		if (way == 3 && m.ops[i].kind == PPE_EV_RECV)
			continue; /* where there was nothing to send, it is alive */
		if (!m.ops[i].ended && !m.ops[i].silent)
			fail_msg("seed %lu: operation %u of %u has no event (end %u)",
				 (unsigned long)seed, i, m.posted, way);
		silent_left += !m.ops[i].ended;
	}
	if (way == 0) {
		assert_int_equal(silent_left, m.silent);
		assert_int_equal(c->out.len, m.tx_offset);
	}
	assert_int_equal(b.q->reserved, way == 3 ? b.q->reserved : 0);
	free(m.ops);
	bench_close(&b);
}

static void stream_model(void **state)
{
	uint64_t seed = test_seed(20240601);

	(void)state;
	for (unsigned i = 0; i < (TEST_SLOW ? 150 : 1000); i++)
		model_run(rnd(&seed), 20 + i % 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stream_gathers_sends_into_one_write),
		TEST(stream_resumes_at_every_offset),
		TEST(stream_goes_on_after_a_full_socket),
		TEST(stream_keeps_inline_data_while_partly_sent),
		TEST(stream_sends_of_nothing),
		TEST(stream_shutdown_follows_the_sends),
		TEST(stream_nop_follows_the_sends),
		TEST(stream_ring_wraps_with_requests_of_any_size),
		TEST(stream_memory_that_cannot_be_read),
		TEST(stream_deregistered_memory_fails_its_operations),
		TEST(stream_unconnected_refuses_sends),
		TEST(stream_ranges_resume_at_every_offset),
		TEST(stream_range_that_shrinks_fails_alone),
		TEST(stream_range_keeps_its_file_open),
		TEST(stream_forged_ranges_fail_alone),
		TEST(stream_malformed_sends_fail_alone),
		TEST(stream_malformed_receives_fail_alone),
		TEST(stream_misplaced_requests_fail_alone),
		TEST(stream_tail_beyond_the_ring),
		TEST(stream_receive_changed_under_way),
		TEST(stream_receives_scatter),
		TEST(stream_late_receives_get_every_byte),
		cmocka_unit_test(stream_pool_empty_stops_and_resumes),
		cmocka_unit_test(stream_pool_is_shared),
		cmocka_unit_test(stream_closing_gives_the_pool_back),
		cmocka_unit_test(stream_unused_buffer_is_for_others),
		cmocka_unit_test(stream_full_queue_with_early_bytes),
		TEST(stream_eof_after_the_bytes),
		TEST(stream_shutdown_rx_drops_what_comes),
		TEST(stream_memory_that_cannot_be_written),
		TEST(stream_failure_ends_everything_once),
		TEST(stream_failure_keeps_early_bytes),
		TEST(stream_failed_write_leaves_word),
		TEST(stream_cancel_at_every_place),
		TEST(stream_cancel_spares_what_has_begun),
		TEST(stream_cancel_needs_a_slot),
		TEST(stream_destroy_ends_what_is_posted),
		TEST(stream_destroy_with_discard_is_silent),
		TEST(stream_destroy_waits_for_room),
		cmocka_unit_test(stream_model),
	};

	return test_run(tests, NULL);
}
