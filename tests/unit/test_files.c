/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Asynchronous files: the same tests with threads, and with io_uring for each kind of owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files/files.h"

#define PATIENCE_MS 60000
#define MANY 1000
#define BIG (3 << 20)

static const struct {
	const char *title, *kind; /* $ETA_FILES; NULL: unset */
	enum files_owner owner;
} variants[] = {
	{ "threads", "threads", FILES_STAYING },
	{ "io_uring, threads that stay", NULL, FILES_STAYING },
	{ "io_uring, a single thread", NULL, FILES_SINGLE },
	{ "io_uring, threads that may end", "io_uring", FILES_ROAMING },
};

static size_t variant;

static struct {
	struct files *files;
	int wake_fd;
	int ended;
	char path[64];
} t;

/* ------------------------------------------------------------------------------- helpers */

static void on_done(struct files_req *req)
{
	(void)req;
	t.ended++;
}

static int open_service(enum files_owner owner)
{
	struct files_env env = { .owner = owner, .wake_fd = t.wake_fd };

	return files_open(&env, &t.files);
}

static void choose(const char *kind)
{
	if (kind)
		setenv("ETA_FILES", kind, 1);
	else
		unsetenv("ETA_FILES");
}

static int setup(void **state)
{
	int fd;

	(void)state;
	memset(&t, 0, sizeof(t));
	strcpy(t.path, "files-XXXXXX");
	fd = mkstemp(t.path);
	if (fd < 0)
		return -1;
	close(fd);
	t.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	choose(variants[variant].kind);
	if (open_service(variants[variant].owner))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (t.files)
		files_close(t.files);
	close(t.wake_fd);
	unlink(t.path);
	return 0;
}

/* Sleeps on the eventfd only: no wake-up may be missing. */
static void await(int n)
{
	struct pollfd p = { .fd = t.wake_fd, .events = POLLIN };
	uint64_t value;
	int got;

	files_flush(t.files);
	while (t.ended < n) {
		got = files_reap(t.files, 64);
		if (got)
			continue;
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		assert_int_equal(read(t.wake_fd, &value, sizeof(value)), sizeof(value));
	}
	assert_int_equal(t.ended, n);
	t.ended = 0;
}

static int64_t run(struct files_req *req)
{
	req->done = on_done;
	files_submit(t.files, req);
	await(1);
	return req->result;
}

static int64_t open_file(const char *path, uint64_t flags)
{
	struct files_req req = { .op = FILES_OPEN, .fd = AT_FDCWD, .path = path };

	req.how.flags = flags;
	return run(&req);
}

static int64_t move(enum files_op op, int fd, void *buf, size_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };
	struct files_req req = {
		.op = op, .fd = fd, .iov = &iov, .niov = 1, .len = len, .offset = offset
	};

	return run(&req);
}

static int64_t simple(enum files_op op, int fd)
{
	struct files_req req = { .op = op, .fd = fd };

	return run(&req);
}

static uint8_t pattern(size_t i)
{
	return (i * 2654435761u) >> 11;
}

static void fill(uint8_t *buf, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(at + i);
}

static void check(const uint8_t *buf, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != pattern(at + i))
			fail_msg("byte %zu is wrong", at + i);
}

/* ------------------------------------------------------------------------------- contents */

static void test_kind(void **state)
{
	const char *why;

	(void)state;
	assert_string_equal(files_kind(t.files, &why), variant ? "io_uring" : "threads");
	assert_true(strlen(why) > 0);
}

static void test_contents(void **state)
{
	static uint8_t out[BIG], in[BIG];
	struct iovec iov[3] = { { out, 1000 }, { out + 1000, 1 }, { out + 1001, BIG - 1001 } };
	struct files_req req = { .op = FILES_WRITE, .iov = iov, .niov = 3, .len = BIG };
	struct statx st = { 0 };
	int64_t fd;

	(void)state;
	fd = open_file(t.path, O_RDWR);
	assert_true(fd >= 0);
	fill(out, BIG, 0);
	req.fd = (int)fd;
	req.offset = 5;
	assert_int_equal(run(&req), BIG);
	assert_int_equal(req.moved, BIG);
	assert_int_equal(simple(FILES_SYNC, (int)fd), 0);
	req = (struct files_req){ .op = FILES_STAT, .fd = (int)fd, .st = &st };
	assert_int_equal(run(&req), 0);
	assert_int_equal(st.stx_size, BIG + 5);
	assert_true(S_ISREG(st.stx_mode));
	assert_int_equal(move(FILES_READ, (int)fd, in, BIG, 5), BIG);
	check(in, BIG, 0);
	assert_int_equal(move(FILES_READ, (int)fd, in, 100, 7), 100);
	check(in, 100, 2);
	/* at the end short, behind it nothing */
	assert_int_equal(move(FILES_READ, (int)fd, in, 100, BIG), 5);
	assert_int_equal(move(FILES_READ, (int)fd, in, 100, BIG + 100), 0);
	assert_int_equal(move(FILES_WRITE, (int)fd, out, 0, 0), 0);
	assert_int_equal(simple(FILES_CLOSE, (int)fd), 0);
	assert_int_equal(fcntl((int)fd, F_GETFD), -1);
}

static void test_prepare(void **state)
{
	static uint8_t out[BIG];
	struct files_req req = { .op = FILES_PREPARE, .len = BIG - 10000 };
	int fd = open(t.path, O_RDWR);

	(void)state;
	assert_int_equal(write(fd, out, BIG), BIG);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	req.fd = fd;
	assert_int_equal(run(&req), BIG - 10000);
	/* past the end, and a piece of a page */
	req.offset = BIG - 100;
	assert_int_equal(run(&req), 100);
	req.offset = 17;
	req.len = 1;
	assert_int_equal(run(&req), 1);
	req.fd = -1;
	assert_int_equal(run(&req), -EBADF);
	close(fd);
}

static void test_open_options(void **state)
{
	struct files_req req = { .op = FILES_OPEN, .fd = AT_FDCWD, .path = "../x" };
	char name[80];
	struct stat st;

	(void)state;
	req.how.resolve = 0x08; /* RESOLVE_BENEATH */
	assert_int_equal(run(&req), -EXDEV);
	snprintf(name, sizeof(name), "%s.new", t.path);
	req.path = name;
	req.how.flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
	req.how.mode = 0600;
	assert_true(run(&req) >= 0);
	assert_int_equal(fcntl((int)req.result, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat((int)req.result, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close((int)req.result);
	assert_int_equal(run(&req), -EEXIST);
	unlink(name);
}

/* --------------------------------------------------------------------------------- errors */

static void test_errors(void **state)
{
	uint8_t buf[100] = { 0 };
	struct files_req req = { .op = FILES_STAT, .fd = -1 };
	struct statx st;
	int64_t fd;

	(void)state;
	assert_int_equal(open_file("no/such/file", O_RDONLY), -ENOENT);
	assert_int_equal(open_file(".", O_WRONLY), -EISDIR);
	assert_int_equal(open_file(t.path, O_RDONLY | O_DIRECTORY), -ENOTDIR);
	fd = open_file(".", O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(move(FILES_READ, (int)fd, buf, 100, 0), -EISDIR);
	assert_int_equal(move(FILES_WRITE, (int)fd, buf, 100, 0), -EBADF);
	assert_int_equal(simple(FILES_CLOSE, (int)fd), 0);
	fd = open_file("/dev/full", O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(move(FILES_WRITE, (int)fd, buf, 100, 0), -ENOSPC);
	assert_int_equal(simple(FILES_CLOSE, (int)fd), 0);
	assert_int_equal(move(FILES_READ, -1, buf, 100, 0), -EBADF);
	assert_int_equal(move(FILES_WRITE, -1, buf, 100, 0), -EBADF);
	assert_int_equal(simple(FILES_SYNC, -1), -EBADF);
	assert_int_equal(simple(FILES_CLOSE, -1), 0);
	req.st = &st;
	assert_int_equal(run(&req), -EBADF);
	fd = open(t.path, O_RDWR);
	assert_int_equal(move(FILES_READ, (int)fd, (void *)8, 100, 0), 0); /* empty: not touched */
	assert_int_equal(move(FILES_WRITE, (int)fd, (void *)8, 100, 0), -EFAULT);
	close((int)fd);
}

/* What was written before the limit is told. */
static void test_short_write(void **state)
{
	static uint8_t out[8192];
	struct iovec iov[2] = { { out, 4096 }, { (void *)8, 4096 } };
	struct files_req req = { .op = FILES_WRITE, .iov = iov, .niov = 2, .len = 8192 };

	(void)state;
	req.fd = open(t.path, O_RDWR);
	assert_int_equal(run(&req), -EFAULT);
	assert_int_equal(req.moved, 4096);
	close(req.fd);
}

static void test_nonblock(void **state)
{
	uint8_t buf[10];
	int64_t fd;

	(void)state;
	/* a file system that cannot but block, or not */
	fd = open_file("/proc/self/status", O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(move(FILES_READ, (int)fd, buf, 10, 0), 10);
	close((int)fd);
}

/* ----------------------------------------------------------------------------------- many */

static struct many {
	struct files_req req;
	struct iovec iov;
	uint8_t buf[512];
} many[MANY];

static void submit_many(enum files_op op, int fd)
{
	for (int i = 0; i < MANY; i++) {
		struct many *m = &many[i];

		m->iov = (struct iovec){ m->buf, sizeof(m->buf) };
		m->req = (struct files_req){
			.op = op,
			.fd = fd,
			.iov = &m->iov,
			.niov = 1,
			.len = sizeof(m->buf),
			.offset = i * sizeof(m->buf),
			.done = on_done,
		};
		files_submit(t.files, &m->req);
	}
	assert_true(files_busy(t.files) >= MANY);
}

static void test_many(void **state)
{
	int fd = open(t.path, O_RDWR);

	(void)state;
	for (int i = 0; i < MANY; i++)
		fill(many[i].buf, sizeof(many[i].buf), i * sizeof(many[i].buf));
	submit_many(FILES_WRITE, fd);
	await(MANY);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(many[i].req.result, sizeof(many[i].buf));
		memset(many[i].buf, 0, sizeof(many[i].buf));
	}
	submit_many(FILES_READ, fd);
	await(MANY);
	for (int i = 0; i < MANY; i++)
		check(many[i].buf, sizeof(many[i].buf), i * sizeof(many[i].buf));
	assert_int_equal(files_busy(t.files), 0);
	close(fd);
}

static int chained;

static void on_chain(struct files_req *req)
{
	t.ended++;
	if (++chained % 50)
		files_submit(t.files, req);
}

/* What ends submits anew. */
static void test_chain(void **state)
{
	struct files_req req[20];
	struct statx st[20];

	(void)state;
	chained = 0;
	for (int i = 0; i < 20; i++) {
		req[i] = (struct files_req){
			.op = FILES_STAT, .fd = AT_FDCWD, .st = &st[i], .done = on_chain
		};
		req[i].fd = t.wake_fd;
		files_submit(t.files, &req[i]);
	}
	await(1000);
	assert_int_equal(files_busy(t.files), 0);
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What is under way is carried out, and what was opened for nobody is closed. */
static void test_close_busy(void **state)
{
	struct files_req opens[50];
	int fd = open(t.path, O_RDWR), before;
	struct stat st;

	(void)state;
	files_close(t.files);
	before = descriptors();
	assert_int_equal(open_service(variants[variant].owner), 0);
	submit_many(FILES_WRITE, fd);
	for (int i = 0; i < 50; i++) {
		opens[i] = (struct files_req){
			.op = FILES_OPEN, .fd = AT_FDCWD, .path = t.path, .done = on_done
		};
		files_submit(t.files, &opens[i]);
		if (i == 20)
			files_flush(t.files);
	}
	files_close(t.files);
	t.files = NULL;
	assert_int_equal(t.ended, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, MANY * sizeof(many[0].buf));
	assert_int_equal(descriptors(), before);
	close(fd);
}

static void test_close_idle(void **state)
{
	(void)state;
	files_close(t.files);
	t.files = NULL;
}

/* -------------------------------------------------------------------------------- threads */

static void *submitter(void *arg)
{
	submit_many(FILES_READ, *(int *)arg);
	files_flush(t.files);
	return NULL;
}

/* A thread that ends with requests under way: they end as if it had not. */
static void test_submitter_ends(void **state)
{
	int fd = open(t.path, O_RDWR);
	pthread_t thread;

	(void)state;
	if (variants[variant].owner == FILES_SINGLE)
		skip();
	for (int i = 0; i < MANY; i++)
		fill(many[i].buf, sizeof(many[i].buf), i * sizeof(many[i].buf));
	submit_many(FILES_WRITE, fd);
	await(MANY);
	for (int round = 0; round < 10; round++) {
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		assert_int_equal(pthread_create(&thread, NULL, submitter, &fd), 0);
		pthread_join(thread, NULL);
		await(MANY);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(many[i].req.result, sizeof(many[i].buf));
	}
	close(fd);
}

static void on_signal(int signo)
{
	(void)signo;
	abort();
}

/* No thread of the service takes a signal that the program's own block. */
static void test_signals(void **state)
{
	sigset_t set, old;
	struct timespec none = { 0 };

	(void)state;
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	assert_int_equal(simple(FILES_SYNC, -1), -EBADF);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(simple(FILES_SYNC, -1), -EBADF);
	assert_int_equal(sigtimedwait(&set, NULL, &none), SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR1, SIG_DFL);
}

static int tasks(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Threads come when there is something to do, not more than a few, and go when there is not. */
static void test_idle(void **state)
{
	int before = tasks(), waited = 0;

	(void)state;
	if (variant)
		skip();
	submit_many(FILES_SYNC, -1);
	await(MANY);
	assert_in_range(tasks(), before + 1, before + 4);
	while (tasks() > before && waited++ < 200)
		usleep(100000);
	assert_int_equal(tasks(), before);
	assert_int_equal(simple(FILES_SYNC, -1), -EBADF);
}

/* --------------------------------------------------------------------------------- choice */

static void expect_kind(const char *asked, enum files_owner owner, const char *kind)
{
	choose(asked);
	assert_int_equal(open_service(owner), 0);
	assert_string_equal(files_kind(t.files, NULL), kind);
	files_close(t.files);
}

static void test_choice(void **state)
{
	(void)state;
	files_close(t.files);
	expect_kind(NULL, FILES_ROAMING, "threads");
	expect_kind("", FILES_ROAMING, "threads");
	expect_kind(NULL, FILES_STAYING, "io_uring");
	expect_kind(NULL, FILES_SINGLE, "io_uring");
	expect_kind("threads", FILES_SINGLE, "threads");
	expect_kind("io_uring", FILES_ROAMING, "io_uring");
	choose("magic");
	assert_int_equal(open_service(FILES_SINGLE), -EINVAL);
	t.files = NULL;
}

/* As container runtimes do it. */
static bool forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int forbidden(void)
{
	const char *why;

	if (!forbid_io_uring())
		return 77;
	choose("io_uring");
	if (open_service(FILES_SINGLE) != -EOPNOTSUPP)
		return 1;
	choose(NULL);
	if (open_service(FILES_SINGLE))
		return 2;
	if (strcmp(files_kind(t.files, &why), "threads") || !strstr(why, "forbidden"))
		return 3;
	files_close(t.files);
	return 0;
}

static void test_forbidden(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid)
		_exit(forbidden());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A probe, so that a machine without io_uring runs the tests that it can. */
static bool has_io_uring(void)
{
	bool has;

	t.wake_fd = eventfd(0, EFD_CLOEXEC);
	choose("io_uring");
	has = !open_service(FILES_STAYING);
	if (has)
		files_close(t.files);
	close(t.wake_fd);
	return has;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prepare, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonblock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_submitter_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
	};
	const struct CMUnitTest choice[] = {
		cmocka_unit_test_setup_teardown(test_choice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forbidden, setup, teardown),
	};
	size_t n = has_io_uring() ? sizeof(variants) / sizeof(variants[0]) : 1;
	int failed = 0;

	for (variant = 0; variant < n; variant++)
		failed += cmocka_run_group_tests_name(variants[variant].title, tests, NULL, NULL);
	variant = 0;
	if (n > 1)
		failed += cmocka_run_group_tests(choice, NULL, NULL);
	return failed;
}
