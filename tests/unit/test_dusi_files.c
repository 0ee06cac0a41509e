/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Files in DUSI: the same tests with each placement of the engine, and with io_uring and threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dusi/dusi.h"

#define SECOND 1000000
#define PATIENCE (60 * SECOND)
#define AREA (4 << 20)
#define KEPT 4096
#define LARGE (64 << 20)

static const char *placement, *kind;
static unsigned ual_flags;

static struct {
	dusi_ual_t ual;
	dusi_evq_t evq;
	dusi_mem_t mem;
	dusi_file_t file;
	dusi_sock_t sock;
	int fd, peer; /* of the same file; the socket's other end */
	char path[64];
	struct dusi_event kept[KEPT];
	int nkept;
} t;

static uint8_t *area;

#define ok(call) assert_int_equal((call), 0)

/* ------------------------------------------------------------------------------- helpers */

static int setup(void **state)
{
	struct dusi_ual_attr attr = { .placement = placement, .flags = ual_flags };

	(void)state;
	memset(&t, 0, sizeof(t));
	t.fd = t.peer = -1;
	setenv("ETA_FILES", kind, 1);
	strcpy(t.path, "dusi-files-XXXXXX");
	t.fd = mkostemp(t.path, O_CLOEXEC);
	if (t.fd < 0)
		return -1;
	ok(Dusi_Open_Ual(&attr, &t.ual));
	ok(Dusi_Create_EvQ(t.ual, 8192, &t.evq));
	ok(Dusi_Register_Memory(t.ual, area, AREA, DUSI_READ | DUSI_WRITE, &t.mem));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (t.ual.id)
		ok(Dusi_Close_Ual(t.ual));
	close(t.fd);
	if (t.peer >= 0)
		close(t.peer);
	unlink(t.path);
	return 0;
}

static uint8_t pattern(uint64_t at)
{
	return (at * 2654435761u) >> 13;
}

static void fill(uint8_t *to, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		to[i] = pattern(at + i);
}

static void check(const uint8_t *from, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		if (from[i] != pattern(at + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(at + i));
}

static struct dusi_buf piece(size_t off, size_t len)
{
	return (struct dusi_buf){ area + off, len, t.mem };
}

static struct dusi_event await(uint64_t tag)
{
	struct dusi_event ev;

	for (int i = 0; i < t.nkept; i++) {
		if (t.kept[i].tag != tag)
			continue;
		ev = t.kept[i];
		memmove(&t.kept[i], &t.kept[i + 1], (--t.nkept - i) * sizeof(ev));
		return ev;
	}
	for (;;) {
		assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, PATIENCE, NULL, NULL), 1);
		if (ev.tag == tag)
			return ev;
		assert_true(t.nkept < KEPT);
		t.kept[t.nkept++] = ev;
	}
}

static struct dusi_event expect(uint64_t tag, enum dusi_event_type type, int status, size_t len)
{
	struct dusi_event ev = await(tag);

	assert_int_equal(ev.type, type);
	assert_int_equal(ev.status, status);
	assert_int_equal(ev.len, len);
	return ev;
}

static dusi_file_t file_open(const char *path, uint64_t flags, uint64_t tag)
{
	struct dusi_file_attr attr = { .evq = t.evq, .context = 4711 };
	struct dusi_open how = { .dirfd = AT_FDCWD, .path = path, .flags = flags, .mode = 0 };
	dusi_file_t file;

	ok(Dusi_Open_File(t.ual, &attr, &how, tag, &file));
	return file;
}

static dusi_file_t the_file(void)
{
	dusi_file_t file = file_open(t.path, O_RDWR, 9001);

	expect(9001, DUSI_EV_OPEN, 0, 0);
	return file;
}

static int post_read(dusi_file_t file, size_t off, size_t len, uint64_t at, uint64_t tag)
{
	struct dusi_buf buf = piece(off, len);

	return Dusi_Read_File(file, &buf, 1, at, tag);
}

static int post_write(dusi_file_t file, size_t off, size_t len, uint64_t at, uint64_t tag)
{
	struct dusi_buf buf = piece(off, len);

	return Dusi_Write_File(file, &buf, 1, at, tag);
}

static void nothing_more(void)
{
	struct dusi_event ev;

	assert_int_equal(t.nkept, 0);
	assert_int_equal(Dusi_Wait_All(t.evq, &ev, 1, 0, NULL, NULL), 0);
}

/* t.file: @len bytes of the pattern, and nothing of them in memory. */
static void file_of(size_t len)
{
	for (size_t at = 0; at < len; at += AREA) {
		size_t n = len - at < AREA ? len - at : AREA;

		fill(area, n, at);
		assert_int_equal(pwrite(t.fd, area, n, at), n);
	}
	ok(fsync(t.fd));
	posix_fadvise(t.fd, 0, 0, POSIX_FADV_DONTNEED);
	t.file = the_file();
}

/* t.sock is connected to t.peer, a plain socket of this process. */
static void connect_peer(void)
{
	struct dusi_socket_attr attr = { .tx_evq = t.evq, .tx_slots = 64, .context = 815 };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ok(bind(l, (struct sockaddr *)&addr, len));
	ok(listen(l, 1));
	ok(getsockname(l, (struct sockaddr *)&addr, &len));
	ok(Dusi_Socket(t.ual, &attr, &t.sock));
	ok(Dusi_Connect(t.sock, (struct sockaddr *)&addr, len, 9002));
	expect(9002, DUSI_EV_CONNECT, 0, 0);
	t.peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(t.peer >= 0);
	close(l);
}

static uint64_t counter(const char *wanted)
{
	const char *name;
	uint64_t value;

	for (unsigned i = 0; !Dusi_Counter(t.ual, i, &name, &value); i++)
		if (!strcmp(name, wanted))
			return value;
	fail_msg("no counter %s", wanted);
	return 0;
}

/* Reads what the socket sent, running the engine meanwhile. */
static size_t peer_read(uint8_t *to, size_t len)
{
	struct dusi_event ev;
	ssize_t n;

	for (;;) {
		n = recv(t.peer, to, len, MSG_DONTWAIT);
		if (n >= 0)
			return n;
		assert_int_equal(errno, EAGAIN);
		if (Dusi_Wait_All(t.evq, &ev, 1, 1000, NULL, NULL) == 1) {
			assert_true(t.nkept < KEPT);
			t.kept[t.nkept++] = ev;
		}
	}
}

static void peer_expect(uint64_t at, size_t len)
{
	static uint8_t buf[256 * 1024];

	while (len) {
		size_t n = peer_read(buf, len < sizeof(buf) ? len : sizeof(buf));

		assert_true(n > 0);
		check(buf, n, at);
		at += n;
		len -= n;
	}
}

static void peer_expect_text(const char *text)
{
	uint8_t c;

	for (; *text; text++) {
		assert_int_equal(peer_read(&c, 1), 1);
		assert_int_equal(c, *text);
	}
}

static void send_text(const char *text, uint64_t tag)
{
	ok(Dusi_Send_Inline(t.sock, text, strlen(text), tag));
}

/* ---------------------------------------------------------------------------- operations */

static void test_operations(void **state)
{
	struct dusi_buf bufs[3] = { piece(0, 10), piece(5000, 100000), piece(200000, 7) };
	struct dusi_event ev;
	struct statx st;

	(void)state;
	t.file = file_open(t.path, O_RDWR, 1);
	ev = expect(1, DUSI_EV_OPEN, 0, 0);
	assert_int_equal(ev.file.id, t.file.id);
	assert_int_equal(ev.sock.id, 0);
	assert_int_equal(ev.context, 4711);
	fill(area, 10, 0);
	fill(area + 5000, 100000, 10);
	fill(area + 200000, 7, 100010);
	ok(Dusi_Write_File(t.file, bufs, 3, 1000, 2));
	expect(2, DUSI_EV_WRITE, 0, 100017);
	ok(Dusi_Sync_File(t.file, 3));
	expect(3, DUSI_EV_SYNC, 0, 0);
	ok(Dusi_Stat_File(t.file, &st, 4));
	expect(4, DUSI_EV_STAT, 0, 0);
	assert_int_equal(st.stx_size, 101017);
	memset(area, 0, AREA);
	ok(post_read(t.file, 300000, 200000, 1000, 5));
	expect(5, DUSI_EV_READ, 0, 100017);
	check(area + 300000, 100017, 0);
	ok(post_read(t.file, 0, 100, 101017, 6));
	expect(6, DUSI_EV_READ, 0, 0);
	ok(Dusi_Close_File(t.file));
	assert_int_equal(post_read(t.file, 0, 100, 0, 7), -EBADF);
	nothing_more();
}

static void test_adopt(void **state)
{
	struct dusi_file_attr attr = { .evq = t.evq, .context = 1 };
	int fd = dup(t.fd), pipes[2];

	(void)state;
	ok(Dusi_Adopt_File(t.ual, &attr, fd, &t.file));
	fill(area, 4096, 0);
	ok(post_write(t.file, 0, 4096, 0, 1));
	assert_int_equal(expect(1, DUSI_EV_WRITE, 0, 4096).file.id, t.file.id);
	ok(Dusi_Close_File(t.file));
	ok(pipe(pipes));
	assert_int_equal(Dusi_Adopt_File(t.ual, &attr, pipes[0], &t.file), -ESPIPE);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(Dusi_Adopt_File(t.ual, &attr, pipes[0], &t.file), -EBADF);
	ok(Dusi_Close_Ual(t.ual));
	t.ual.id = 0;
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_errors(void **state)
{
	struct dusi_buf bad = piece(0, 100);
	char fifo[sizeof(t.path) + 8];
	dusi_file_t file;
	struct statx st;

	(void)state;
	file = file_open("no/such/file", O_RDONLY, 1);
	expect(1, DUSI_EV_OPEN, -ENOENT, 0);
	ok(post_read(file, 0, 10, 0, 2));
	expect(2, DUSI_EV_READ, -EBADF, 0);
	ok(Dusi_Stat_File(file, &st, 3));
	expect(3, DUSI_EV_STAT, -EBADF, 0);
	ok(Dusi_Close_File(file));
	/* no file, and it does not wait for who might write there */
	snprintf(fifo, sizeof(fifo), "%s.fifo", t.path);
	ok(mkfifo(fifo, 0600));
	file = file_open(fifo, O_RDONLY, 8);
	expect(8, DUSI_EV_OPEN, -ESPIPE, 0);
	ok(Dusi_Close_File(file));
	ok(unlink(fifo));
	file = file_open("/dev/full", O_WRONLY, 4);
	expect(4, DUSI_EV_OPEN, 0, 0);
	ok(post_write(file, 0, 10, 0, 5));
	expect(5, DUSI_EV_WRITE, -ENOSPC, 0);
	ok(Dusi_Close_File(file));
	file = file_open(".", O_RDONLY, 6);
	expect(6, DUSI_EV_OPEN, 0, 0);
	ok(post_read(file, 0, 10, 0, 7));
	expect(7, DUSI_EV_READ, -EISDIR, 0);
	ok(Dusi_Close_File(file));
	t.file = the_file();
	bad.mem.ptag++;
	ok(Dusi_Write_File(t.file, &bad, 1, 0, 8));
	expect(8, DUSI_EV_WRITE, -EKEYREJECTED, 0);
	bad = piece(AREA - 10, 11);
	ok(Dusi_Read_File(t.file, &bad, 1, 0, 9));
	expect(9, DUSI_EV_READ, -ERANGE, 0);
	assert_int_equal(post_read(t.file, 0, 10, UINT64_MAX, 10), -EINVAL);
	nothing_more();
}

/* Those under way when the file is closed end as if it had stayed open. */
static void test_close_busy(void **state)
{
	(void)state;
	file_of(AREA);
	memset(area, 0, AREA);
	for (int i = 0; i < 16; i++)
		ok(post_read(t.file, i * 65536, 65536, i * 65536, i));
	ok(Dusi_Close_File(t.file));
	for (int i = 0; i < 16; i++)
		assert_int_equal(expect(i, DUSI_EV_READ, 0, 65536).file.id, t.file.id);
	check(area, 16 * 65536, 0);
	/* before it is open, too */
	t.file = file_open(t.path, O_RDONLY, 20);
	ok(Dusi_Close_File(t.file));
	expect(20, DUSI_EV_OPEN, 0, 0);
}

static void test_many(void **state)
{
	enum { N = 2000, SIZE = 1024 };

	(void)state;
	t.file = the_file();
	fill(area, N * SIZE, 0);
	for (int i = 0; i < N; i++)
		ok(post_write(t.file, i * SIZE, SIZE, i * SIZE, i));
	for (int i = 0; i < N; i++)
		expect(i, DUSI_EV_WRITE, 0, SIZE);
	memset(area, 0, AREA);
	for (int i = 0; i < N; i++)
		ok(post_read(t.file, i * SIZE, SIZE, i * SIZE, i));
	for (int i = 0; i < N; i++)
		expect(i, DUSI_EV_READ, 0, SIZE);
	check(area, N * SIZE, 0);
	nothing_more();
}

static void test_limit(void **state)
{
	int posted = 0, err;

	(void)state;
	t.file = the_file();
	for (;;) {
		err = Dusi_Sync_File(t.file, 5);
		if (err)
			break;
		posted++;
		/* some have ended already, and hold their slots: it comes to an end either way */
		assert_true(posted <= 8192);
	}
	assert_int_equal(err, -EAGAIN);
	assert_true(posted >= DUSI_FILE_OPS_MAX);
	for (int i = 0; i < posted; i++)
		expect(5, DUSI_EV_SYNC, 0, 0);
	ok(Dusi_Sync_File(t.file, 6));
	expect(6, DUSI_EV_SYNC, 0, 0);
}

static void test_full_queue(void **state)
{
	struct dusi_file_attr attr = { 0 };
	struct dusi_event ev;
	dusi_file_t file;
	dusi_evq_t evq;

	(void)state;
	ok(Dusi_Create_EvQ(t.ual, 4, &evq));
	attr.evq = evq;
	ok(Dusi_Adopt_File(t.ual, &attr, dup(t.fd), &file));
	for (int i = 0; i < 4; i++)
		ok(Dusi_Sync_File(file, i));
	assert_int_equal(Dusi_Sync_File(file, 4), -EAGAIN);
	assert_int_equal(Dusi_Destroy_EvQ(evq), -EBUSY);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(Dusi_Wait_All(evq, &ev, 1, PATIENCE, NULL, NULL), 1);
		assert_int_equal(ev.type, DUSI_EV_SYNC);
	}
	ok(Dusi_Sync_File(file, 5));
	assert_int_equal(Dusi_Wait_All(evq, &ev, 1, PATIENCE, NULL, NULL), 1);
	ok(Dusi_Close_File(file));
	ok(Dusi_Destroy_EvQ(evq));
}

/* Memory that the kernel may be writing to stays registered. */
static void test_deregister(void **state)
{
	dusi_mem_t mem;
	struct dusi_buf buf = { area, 1 << 20, { 0 } };
	int err;

	(void)state;
	file_of(1 << 20);
	ok(Dusi_Register_Memory(t.ual, area, 1 << 20, DUSI_WRITE, &mem));
	buf.mem = mem;
	ok(Dusi_Read_File(t.file, &buf, 1, 0, 1));
	err = Dusi_Deregister_Memory(t.ual, mem);
	/* with a thread of the engine's it may have ended already */
	assert_true(err == -EBUSY || (!err && strcmp(placement, "inline")));
	expect(1, DUSI_EV_READ, 0, 1 << 20);
	if (err)
		ok(Dusi_Deregister_Memory(t.ual, mem));
	ok(Dusi_Read_File(t.file, &buf, 1, 0, 2));
	expect(2, DUSI_EV_READ, -EKEYREVOKED, 0);
}

static void test_ual_close_busy(void **state)
{
	struct stat st;

	(void)state;
	t.file = the_file();
	fill(area, AREA, 0);
	for (int i = 0; i < 64; i++)
		ok(post_write(t.file, i * 65536, 65536, i * 65536, i));
	for (int i = 0; i < 64; i++)
		file_open(t.path, O_RDONLY, 100 + i);
	ok(Dusi_Close_Ual(t.ual));
	t.ual.id = 0;
	ok(fstat(t.fd, &st));
	assert_int_equal(st.st_size, 64 * 65536);
}

static void test_query(void **state)
{
	struct dusi_ual_info info;

	(void)state;
	ok(Dusi_Query_Ual(t.ual, &info));
	assert_string_equal(info.placement, placement);
	assert_non_null(info.fabric);
	assert_non_null(info.fabric_why);
	assert_null(info.files);
	t.file = the_file();
	ok(Dusi_Query_Ual(t.ual, &info));
	assert_string_equal(info.files, kind);
	assert_true(strlen(info.files_why) > 0);
}

static void test_fork(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	t.file = the_file();
	pid = fork();
	if (!pid)
		_exit(Dusi_Sync_File(t.file, 1) != -EOWNERDEAD ||
		      Dusi_Close_File(t.file) != -EOWNERDEAD);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ------------------------------------------------------------------------- several threads */

#define THREADS 4
#define ROUNDS 200

static void *worker(void *arg)
{
	size_t at = (uintptr_t)arg * ROUNDS * 4096;

	for (int i = 0; i < ROUNDS; i++, at += 4096)
		if (post_read(t.file, at, 4096, at, 50))
			return (void *)1;
	return NULL;
}

/* Threads that post, and end, while others wait. */
static void test_threads(void **state)
{
	pthread_t thread[THREADS];
	void *result;

	(void)state;
	if (ual_flags)
		skip();
	file_of(AREA);
	memset(area, 0, AREA);
	for (uintptr_t i = 0; i < THREADS; i++)
		ok(pthread_create(&thread[i], NULL, worker, (void *)i));
	for (int i = 0; i < THREADS * ROUNDS; i++)
		expect(50, DUSI_EV_READ, 0, 4096);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &result);
		assert_null(result);
	}
	check(area, THREADS * ROUNDS * 4096, 0);
}

/* --------------------------------------------------------------------------------- sending */

static void test_send_file(void **state)
{
	struct dusi_event ev;

	(void)state;
	file_of(100000);
	connect_peer();
	send_text("before;", 1);
	ok(Dusi_Send_File(t.sock, t.file, 0, 100000, 2));
	send_text("between;", 3);
	ok(Dusi_Send_File(t.sock, t.file, 77, 1, 4));
	ok(Dusi_Send_File(t.sock, t.file, 50000, 0, 5));
	ok(Dusi_Send_File(t.sock, t.file, 1000, 5000, 6));
	send_text("after;", 7);
	ok(Dusi_Shutdown(t.sock, DUSI_SHUT_TX, 8));
	peer_expect_text("before;");
	peer_expect(0, 100000);
	peer_expect_text("between;");
	peer_expect(77, 1);
	peer_expect(1000, 5000);
	peer_expect_text("after;");
	expect(1, DUSI_EV_SEND, 0, 7);
	ev = expect(2, DUSI_EV_SEND, 0, 100000);
	assert_int_equal(ev.sock.id, t.sock.id);
	assert_int_equal(ev.file.id, 0);
	assert_int_equal(ev.context, 815);
	expect(3, DUSI_EV_SEND, 0, 8);
	expect(4, DUSI_EV_SEND, 0, 1);
	expect(5, DUSI_EV_SEND, 0, 0);
	expect(6, DUSI_EV_SEND, 0, 5000);
	expect(7, DUSI_EV_SEND, 0, 6);
	expect(8, DUSI_EV_SHUTDOWN, 0, 0);
	nothing_more();
}

static void slow_down(void)
{
	int small = 65536;

	ok(Dusi_Set_Socket_Ops(t.sock, DUSI_SO_SNDBUF, &small, sizeof(small)));
	ok(setsockopt(t.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
}

/* Closed right after posting, and the reader takes its time. */
static void test_send_large(void **state)
{
	(void)state;
	file_of(LARGE);
	connect_peer();
	slow_down();
	send_text("head", 1);
	ok(Dusi_Send_File(t.sock, t.file, 0, LARGE, 2));
	ok(Dusi_Send_File(t.sock, t.file, 3, 1 << 20, 3));
	ok(Dusi_Close_File(t.file));
	send_text("tail", 4);
	usleep(20000);
	peer_expect_text("head");
	peer_expect(0, LARGE / 2);
	usleep(20000);
	peer_expect(LARGE / 2, LARGE / 2);
	peer_expect(3, 1 << 20);
	peer_expect_text("tail");
	expect(1, DUSI_EV_SEND, 0, 4);
	expect(2, DUSI_EV_SEND, 0, LARGE);
	expect(3, DUSI_EV_SEND, 0, 1 << 20);
	expect(4, DUSI_EV_SEND, 0, 4);
	nothing_more();
}

static void test_send_short(void **state)
{
	(void)state;
	file_of(10000);
	connect_peer();
	ok(Dusi_Send_File(t.sock, t.file, 0, 10001, 1));
	ok(Dusi_Send_File(t.sock, t.file, 10000, 1, 2));
	ok(Dusi_Send_File(t.sock, t.file, 1 << 30, 1 << 20, 3));
	send_text("goes on", 4);
	ok(Dusi_Send_File(t.sock, t.file, 0, 10000, 5));
	expect(1, DUSI_EV_SEND, -ENODATA, 10000);
	expect(2, DUSI_EV_SEND, -ENODATA, 0);
	expect(3, DUSI_EV_SEND, -ENODATA, 0);
	expect(4, DUSI_EV_SEND, 0, 7);
	expect(5, DUSI_EV_SEND, 0, 10000);
	peer_expect(0, 10000);
	peer_expect_text("goes on");
	peer_expect(0, 10000);
}

static void test_send_truncated(void **state)
{
	struct dusi_event ev;
	uint8_t buf[65536];
	size_t got = 0;

	(void)state;
	file_of(16 << 20);
	connect_peer();
	slow_down();
	ok(Dusi_Send_File(t.sock, t.file, 0, 16 << 20, 1));
	peer_expect(0, 100000);
	got = 100000;
	ok(ftruncate(t.fd, 4 << 20));
	send_text("goes on", 2);
	ok(Dusi_Shutdown(t.sock, DUSI_SHUT_TX, 3));
	for (;;) {
		size_t n = peer_read(buf, sizeof(buf)), file;

		if (!n)
			break;
		file = got + n <= 4 << 20 ? n : got < 4 << 20 ? (4 << 20) - got : 0;
		check(buf, file, got);
		got += n;
	}
	ev = await(1);
	assert_int_equal(ev.status, -ENODATA);
	assert_int_equal(ev.len, 4 << 20);
	expect(2, DUSI_EV_SEND, 0, 7);
	expect(3, DUSI_EV_SHUTDOWN, 0, 0);
	assert_int_equal(got, (4 << 20) + 7);
}

static void test_send_errors(void **state)
{
	struct dusi_socket_attr attr = { .tx_evq = t.evq };
	dusi_file_t folder;
	dusi_sock_t sock;

	(void)state;
	file_of(10);
	connect_peer();
	folder = file_open(".", O_RDONLY, 1);
	assert_int_equal(Dusi_Send_File(t.sock, (dusi_file_t){ 0 }, 0, 1, 2), -EBADF);
	expect(1, DUSI_EV_OPEN, 0, 0);
	ok(Dusi_Send_File(t.sock, folder, 0, 1, 2));
	expect(2, DUSI_EV_SEND, -EINVAL, 0);
	assert_int_equal(Dusi_Send_File(t.sock, t.file, 0, UINT64_C(1) << 32, 3), -EMSGSIZE);
	assert_int_equal(Dusi_Send_File(t.sock, t.file, INT64_MAX, 1, 3), -EINVAL);
	ok(Dusi_Socket(t.ual, &attr, &sock));
	ok(Dusi_Send_File(sock, t.file, 0, 1, 4));
	expect(4, DUSI_EV_SEND, -ENOTCONN, 0);
	ok(Dusi_Close_File(t.file));
	assert_int_equal(Dusi_Send_File(t.sock, t.file, 0, 1, 3), -EBADF);
	nothing_more();
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* No descriptor stays behind. */
static void await_descriptors(int n)
{
	for (int i = 0; i < 20000 && descriptors() != n; i++) {
		Dusi_EvQ_Num_Events(t.evq);
		usleep(100);
	}
	assert_int_equal(descriptors(), n);
}

static void test_send_closed(void **state)
{
	int before;

	(void)state;
	file_of(LARGE / 4);
	connect_peer();
	slow_down();
	before = descriptors();
	ok(Dusi_Send_File(t.sock, t.file, 0, LARGE / 4, 1));
	ok(Dusi_Send_File(t.sock, t.file, 0, LARGE / 4, 2));
	ok(Dusi_Send_File(t.sock, t.file, 0, LARGE / 4, 3));
	assert_int_equal(Dusi_Cancel(t.sock, 2), 1);
	expect(2, DUSI_EV_SEND, -ECANCELED, 0);
	peer_expect(0, 100000);
	ok(Dusi_Close_File(t.file));
	ok(Dusi_Close_Socket(t.sock));
	assert_int_equal(await(1).status, -ECANCELED);
	expect(3, DUSI_EV_SEND, -ECANCELED, 0);
	await_descriptors(before - 2);
}

/* A reader that dies takes the connection along, and no SIGPIPE comes. */
static void test_send_killed(void **state)
{
	int before, status;
	pid_t pid;

	(void)state;
	file_of(LARGE / 4);
	connect_peer();
	before = descriptors();
	slow_down();
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	close(t.peer);
	t.peer = -1;
	ok(Dusi_Send_File(t.sock, t.file, 0, LARGE / 4, 1));
	ok(Dusi_Send_File(t.sock, t.file, 0, LARGE / 4, 2));
	ok(Dusi_Close_File(t.file));
	Dusi_EvQ_Num_Events(t.evq);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	status = await(1).status;
	assert_true(status == -ECONNRESET || status == -EPIPE);
	assert_true(await(2).status < 0);
	ok(Dusi_Close_Socket(t.sock));
	await_descriptors(before - 3);
}

/* Bytes that are in memory are sent without a detour, and others not by waiting. */
static void test_send_cold(void **state)
{
	uint64_t waits;

	(void)state;
	file_of(4 << 20);
	connect_peer();
	posix_fadvise(t.fd, 0, 0, POSIX_FADV_DONTNEED);
	ok(Dusi_Send_File(t.sock, t.file, 0, 4 << 20, 1));
	peer_expect(0, 4 << 20);
	expect(1, DUSI_EV_SEND, 0, 4 << 20);
	waits = counter("file_waits");
	ok(Dusi_Send_File(t.sock, t.file, 0, 4 << 20, 2));
	peer_expect(0, 4 << 20);
	expect(2, DUSI_EV_SEND, 0, 4 << 20);
	assert_int_equal(counter("file_waits"), waits);
}

static int run_all(const char *title)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deregister, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ual_close_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_query, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_cold, setup, teardown),
	};

	return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

static bool has_io_uring(void)
{
	struct dusi_file_attr attr = { 0 };
	struct dusi_open how = { .dirfd = AT_FDCWD, .path = "." };
	dusi_file_t file;
	dusi_ual_t ual;
	int err;

	setenv("ETA_FILES", "io_uring", 1);
	ok(Dusi_Open_Ual(NULL, &ual));
	ok(Dusi_Create_EvQ(ual, 0, &attr.evq));
	err = Dusi_Open_File(ual, &attr, &how, 1, &file);
	ok(Dusi_Close_Ual(ual));
	return !err;
}

int main(void)
{
	static const char *const placements[] = { "inline", "adaptive", "dedicated" };
	static const char *const kinds[] = { "threads", "io_uring" };
	unsigned nkinds = has_io_uring() ? 2 : 1;
	int failed = 0;
	char title[64];

	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned k = 0; k < nkinds; k++)
		for (unsigned i = 0; i < 3; i++) {
			kind = kinds[k];
			placement = placements[i];
			snprintf(title, sizeof(title), "%s, %s", placement, kind);
			failed += run_all(title);
		}
	if (nkinds == 2) {
		ual_flags = DUSI_SINGLE_THREAD;
		placement = "inline";
		failed += run_all("inline, io_uring of a single thread");
	}
	return failed;
}
