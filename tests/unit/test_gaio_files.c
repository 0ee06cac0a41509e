/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The generic layer's files, and files sent over connections, with each back end. */
#include "tests/unit/gaio_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "gaio-test-file"

static struct gaio_file *file_open(const char *path, uint64_t flags, uint64_t tag)
{
	const struct gaio_open_how how = {
		.dirfd = AT_FDCWD,
		.path = path,
		.flags = flags,
		.mode = flags & O_CREAT ? 0600 : 0,
	};
	struct gaio_file *f;

	ok(gaio_open_file(t.io, t.q, 77, &how, tag, &f));
	return f;
}

static void close_file(struct gaio_file *f)
{
	struct gaio_event e;

	gaio_close_file(f, 50);
	gaio_close_file(f, 51);
	e = await_file(GAIO_CLOSE, f);
	assert_int_equal(e.tag, 50);
	assert_int_equal(e.context, 77);
	assert_null(e.sock);
}

static int files_setup(void **state)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };

	/* what sends to a peer that is gone must not end the program */
	ok(sigaction(SIGPIPE, &dfl, NULL));
	unlink(NAME);
	return test_setup(state);
}

static int files_teardown(void **state)
{
	unlink(NAME);
	return test_teardown(state);
}

/* A file of @len bytes of the pattern, made without the layer. */
static int make_file(size_t len, unsigned seed)
{
	int fd = open(NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	fill(0, len, seed);
	assert_int_equal(write(fd, area, len), len);
	memset(area, 0, len);
	return fd;
}

static struct gaio_file *adopt(int fd)
{
	struct gaio_file *f;

	ok(gaio_adopt_file(t.io, t.q, 77, fd, &f));
	return f;
}

/* ------------------------------------------------------------------------- files */

static void test_write_and_read(void **state)
{
	struct gaio_buf buf;
	struct gaio_event e;
	struct gaio_file *f = file_open(NAME, O_RDWR | O_CREAT, 1);
	struct statx st;

	(void)state;
	e = await_file(GAIO_OPEN, f);
	ok(e.status);
	assert_int_equal(e.tag, 1);
	assert_int_equal(e.context, 77);
	fill(0, 300000, 1);
	buf = piece(0, 300000);
	ok(gaio_write_file(f, &buf, 1000, 2));
	e = await_file(GAIO_WRITE_FILE, f);
	ok(e.status);
	assert_int_equal(e.len, 300000);
	ok(gaio_sync_file(f, 3));
	ok(gaio_stat_file(f, &st, 4));
	ok(await_file(GAIO_SYNC, f).status);
	ok(await_file(GAIO_STAT, f).status);
	assert_int_equal(st.stx_size, 301000);
	buf = piece(1 << 20, 300000);
	ok(gaio_read_file(f, &buf, 1000, 5));
	e = await_file(GAIO_READ_FILE, f);
	ok(e.status);
	assert_int_equal(e.len, 300000);
	assert_int_equal(e.tag, 5);
	expect_filled(area + (1 << 20), 300000, 1);
	/* short at the end, nothing behind it */
	ok(gaio_read_file(f, &buf, 300000, 6));
	assert_int_equal(await_file(GAIO_READ_FILE, f).len, 1000);
	ok(gaio_read_file(f, &buf, 301000, 7));
	e = await_file(GAIO_READ_FILE, f);
	ok(e.status);
	assert_int_equal(e.len, 0);
	close_file(f);
	expect_nothing();
}

static void test_not_there(void **state)
{
	const struct gaio_buf buf = piece(0, 10);
	struct gaio_file *f = file_open("no/such/file", O_RDONLY, 1);

	(void)state;
	ok(gaio_read_file(f, &buf, 0, 2));
	assert_int_equal(await_file(GAIO_READ_FILE, f).status, -EBADF);
	assert_int_equal(await_file(GAIO_OPEN, f).status, -ENOENT);
	ok(gaio_sync_file(f, 2));
	assert_int_equal(await_file(GAIO_SYNC, f).status, -EBADF);
	close_file(f);
	/* closed while it is being opened */
	f = file_open(".", O_RDONLY, 3);
	gaio_close_file(f, 4);
	ok(await_file(GAIO_OPEN, f).status);
	assert_int_equal(await_file(GAIO_CLOSE, f).tag, 4);
}

static void test_file_errors(void **state)
{
	const struct gaio_open_how none = { .path = NULL };
	struct gaio_buf buf = piece(0, 10);
	static char path[5000];
	struct gaio_open_how longer = { .dirfd = AT_FDCWD, .path = path };
	struct gaio_file *f;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	assert_int_equal(gaio_open_file(t.io, t.q, 0, &none, 1, &f), -EINVAL);
	assert_int_equal(gaio_open_file(t.io, NULL, 0, &longer, 1, &f), -EINVAL);
	assert_int_equal(gaio_open_file(t.io, t.q, 0, &longer, 1, &f), -ENAMETOOLONG);
	assert_int_equal(gaio_adopt_file(t.io, t.q, 0, -1, &f), -EBADF);
	f = adopt(open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_int_equal(gaio_read_file(f, NULL, 0, 1), -EINVAL);
	assert_int_equal(gaio_stat_file(f, NULL, 1), -EINVAL);
	assert_int_equal(gaio_read_file(f, &buf, INT64_MAX, 1), -EINVAL);
	/* it is not open for that */
	ok(gaio_write_file(f, &buf, 0, 2));
	assert_int_equal(await_file(GAIO_WRITE_FILE, f).status, -EBADF);
	assert_int_equal(gaio_queue_destroy(t.q), -EBUSY);
	close_file(f);
}

static void test_many_reads(void **state)
{
	enum { MANY = 500 };
	struct gaio_file *f = adopt(make_file(MANY * 100, 5));

	(void)state;
	for (int i = 0; i < MANY; i++) {
		const struct gaio_buf buf = piece(i * 100, 100);
		int err;

		while ((err = gaio_read_file(f, &buf, i * 100, i)) == -EAGAIN) {
			gaio_wait(t.io, PATIENCE);
			keep_from(t.q);
		}
		ok(err);
	}
	gaio_close_file(f, MANY);
	for (int i = 0; i < MANY; i++) {
		struct gaio_event e = await_file(GAIO_READ_FILE, f);

		ok(e.status);
		assert_int_equal(e.len, 100);
	}
	expect_filled(area, MANY * 100, 5);
	await_file(GAIO_CLOSE, f);
	expect_nothing();
}

/* ------------------------------------------------------------------------- sending */

/* Receives @len bytes at @off, in bites. */
static void receive_all(struct gaio_sock *s, size_t off, size_t len)
{
	size_t got = 0;

	while (got < len) {
		struct gaio_event e;

		ok(post_recv(s, off + got, len - got < 60000 ? len - got : 60000, 1));
		e = await(GAIO_RECV, s);
		ok(e.status);
		assert_true(e.len);
		got += e.len;
	}
}

static void test_send_file(void **state)
{
	const size_t len = 3 << 20, at = 4 << 20;
	struct gaio_file *f = adopt(make_file(len, 6));
	const struct gaio_buf head = piece(at, 100);
	struct gaio_event e;

	(void)state;
	connect_pair();
	fill(at, 100, 7);
	ok(gaio_send(t.a, &head, 1, GAIO_MORE, 2));
	ok(gaio_send_file(t.a, f, 0, len, 3));
	assert_int_equal(gaio_send_file(t.a, f, 0, len, 4), -EAGAIN);
	receive_all(t.b, 2 * at, 100 + len);
	expect_filled(area + 2 * at, 100, 7);
	expect_filled(area + 2 * at + 100, len, 6);
	assert_int_equal(await(GAIO_SEND, t.a).tag, 2);
	e = await(GAIO_SEND, t.a);
	ok(e.status);
	assert_int_equal(e.tag, 3);
	assert_int_equal(e.len, len);
	/* from the middle; the file is closed at once */
	ok(gaio_send_file(t.a, f, 0, 100, 5));
	gaio_close_file(f, 6);
	assert_int_equal(gaio_send_file(t.a, f, 0, 100, 7), -EBADF);
	receive_all(t.b, 2 * at, 100);
	expect_filled(area + 2 * at, 100, 6);
	ok(await(GAIO_SEND, t.a).status);
	await_file(GAIO_CLOSE, f);
	expect_nothing();
}

static void test_send_file_that_shrinks(void **state)
{
	struct gaio_file *f = adopt(make_file(5000, 8));
	struct gaio_event e;

	(void)state;
	connect_pair();
	ok(gaio_send_file(t.a, f, 1000, 6000, 1));
	e = await(GAIO_SEND, t.a);
	assert_int_equal(e.status, -ENODATA);
	assert_int_equal(e.len, 4000);
	receive_all(t.b, 1 << 20, 4000);
	ok(truncate(NAME, 0));
	ok(gaio_send_file(t.a, f, 0, 10, 2));
	e = await(GAIO_SEND, t.a);
	assert_int_equal(e.status, -ENODATA);
	assert_int_equal(e.len, 0);
	/* the connection is as good as before */
	ok(gaio_send_file(t.a, f, 0, 0, 3));
	ok(await(GAIO_SEND, t.a).status);
	ok(post_send(t.a, 0, 10, 4));
	receive_all(t.b, 1 << 20, 10);
	close_file(f);
}

/* A file that is being opened is nothing to send; a peer that is gone is no signal. */
static void test_send_file_errors(void **state)
{
	struct gaio_file *f = adopt(make_file(4 << 20, 9)), *g;
	struct gaio_event e;

	(void)state;
	connect_pair();
	g = file_open(NAME, O_RDONLY, 1);
	assert_int_equal(gaio_send_file(t.a, g, 0, 1, 1), -EBADF);
	ok(await_file(GAIO_OPEN, g).status);
	close_file(g);
	assert_int_equal(gaio_send_file(t.a, f, INT64_MAX, 1, 1), -EINVAL);
	assert_int_equal(gaio_send_file(t.a, f, 0, SIZE_MAX, 1), -EMSGSIZE);
	close_and_await(t.b, 0);
	do {
		ok(gaio_send_file(t.a, f, 0, 4 << 20, 2));
		e = await(GAIO_SEND, t.a);
	} while (!e.status);
	assert_true(e.status == -EPIPE || e.status == -ECONNRESET);
	ok(gaio_send_file(t.a, f, 0, 1, 3));
	assert_true(await(GAIO_SEND, t.a).status < 0);
	close_file(f);
}

/* Closing the socket ends the send, and then the file may go. */
static void test_send_file_cancelled(void **state)
{
	struct gaio_file *f = adopt(make_file(14 << 20, 9));

	(void)state;
	connect_pair();
	ok(gaio_send_file(t.a, f, 0, 14 << 20, 1));
	ok(gaio_send_file(t.a, f, 0, 14 << 20, 2));
	gaio_close_file(f, 3);
	expect_nothing();
	gaio_close_sock(t.a, 4);
	assert_int_equal(await(GAIO_SEND, t.a).status, -ECANCELED);
	assert_int_equal(await(GAIO_SEND, t.a).status, -ECANCELED);
	await(GAIO_CLOSE, t.a);
	await_file(GAIO_CLOSE, f);
}

static void test_end_with_files_under_way(void **state)
{
	struct gaio_file *f = adopt(make_file(14 << 20, 9)), *g = file_open(NAME, O_RDONLY, 1);
	const struct gaio_buf buf = piece(0, 1 << 20);

	(void)state;
	connect_pair();
	ok(gaio_send_file(t.a, f, 0, 14 << 20, 1));
	ok(gaio_read_file(f, &buf, 0, 2));
	gaio_wait(t.io, 0);
	ok(gaio_read_file(f, &buf, 0, 2));
	ok(gaio_sync_file(f, 2));
	gaio_close_file(g, 3);
	file_open(NAME, O_RDONLY, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)
		TEST(test_write_and_read),
		TEST(test_not_there),
		TEST(test_file_errors),
		TEST(test_many_reads),
		TEST(test_send_file),
		TEST(test_send_file_that_shrinks),
		TEST(test_send_file_errors),
		TEST(test_send_file_cancelled),
		TEST(test_end_with_files_under_way),
	};

	return run_backends(tests, sizeof(tests) / sizeof(tests[0]));
}
