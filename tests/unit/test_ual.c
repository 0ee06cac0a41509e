/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_ual.c - attaching, detaching with everything open, a fork's child, and what is left behind. */
#include "tests/unit/ppe_test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = 0x700 };
#define THERE (const struct sockaddr *)&there, sizeof(there)

static struct bench b;
static uint8_t mem[4096];

/* ------------------------------------------------------------------------ placement */

static int open_with(const char *placement, const char *fabric, struct ppe_ual **ual)
{
	struct ppe_ual_attr attr = { .placement = placement, .fabric = fabric };

	return ppe_ual_open(&attr, ual);
}

static void ual_placement(void **state)
{
	static const struct {
		const char *text;
		int err;
		enum ppe_placement placement;
	} cases[] = {
		{ "adaptive", 0, PPE_ADAPTIVE },
		{ "", 0, PPE_ADAPTIVE },
		{ "inline", 0, PPE_INLINE },
		{ "dedicated", 0, PPE_DEDICATED },
		{ "dedicated:0", 0, PPE_DEDICATED },
		{ "dedicated:", -EINVAL, 0 },
		{ "dedicated:x", -EINVAL, 0 },
		{ "dedicated:0x", -EINVAL, 0 },
		{ "dedicatedly", -EINVAL, 0 },
		{ "dedicated:-1", -ENODEV, 0 },
		{ "dedicated:100000", -ENODEV, 0 },
		{ "dedicated:4294967296", -ENODEV, 0 },
		{ "Inline", -EINVAL, 0 },
		{ "inline ", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ppe_ual *ual = NULL;

		setenv("ETA_PPE", cases[i].text, 1);
		for (int by_env = 0; by_env < 2; by_env++) {
			int err = open_with(by_env ? NULL : cases[i].text, NULL, &ual);

			if (err != cases[i].err)
				fail_msg("\"%s\": %d", cases[i].text, err);
			if (err) {
				assert_null(ual);
				continue;
			}
			assert_int_equal(ppe_ual_placement(ual), cases[i].placement);
			ppe_ual_close(ual);
			ual = NULL;
		}
	}
	unsetenv("ETA_PPE");
}

static void ual_fabric(void **state)
{
	struct ppe_ual *ual = NULL;

	(void)state;
	assert_int_equal(open_with(NULL, "carrier pigeon", &ual), -ENOENT);
	setenv("ETA_FABRIC", "carrier pigeon", 1);
	assert_int_equal(open_with(NULL, NULL, &ual), -ENOENT);
	assert_null(ual);
	assert_int_equal(open_with(NULL, "stub", &ual), 0);
	ppe_ual_close(ual);
	unsetenv("ETA_FABRIC");
	assert_int_equal(ppe_ual_open(NULL, &ual), 0);
	ppe_ual_close(ual);
}

static void ual_limits(void **state)
{
	struct ppe_ual_attr attr = { .max_dtis = HANDLE_MAX + 1 };
	struct ppe_ual *ual = NULL;

	(void)state;
	assert_int_equal(ppe_ual_open(&attr, &ual), -EINVAL);
	attr = (struct ppe_ual_attr){ .max_evqs = HANDLE_MAX + 1 };
	assert_int_equal(ppe_ual_open(&attr, &ual), -EINVAL);
	assert_null(ual);
}

static void ual_counters(void **state)
{
	struct ppe_counters n;
	const char *name;
	uint64_t value;
	unsigned i;

	(void)state;
	bench_open(&b, NULL, 8);
	dti_connected(&b, PPE_STREAM, 0);
	ppe_ual_counters(b.ual, &n);
	assert_int_equal(n.dtis, 1);
	assert_int_equal(n.evqs, 1);
	assert_int_equal(n.regions, 1);
	assert_int_equal(n.events, 1);
	for (i = 0; ppe_counter_name(i, &n, &name, &value); i++)
		assert_non_null(name);
	/* each member has its name */
	assert_int_equal(i, sizeof(n) / sizeof(uint64_t));
	bench_close(&b);
}

/* ------------------------------------------------------------------ everything open */

static void open_everything(const char *placement)
{
	struct ppe_ual_attr attr = { .placement = placement };
	struct ppe_dti *l, *d[6], *ml;
	struct ppe_event ev;
	struct ppe_evq *q;
	int fd;

	bench_open(&b, &attr, 4);
	q = evq_new(b.ual, 64, PPE_LOCKED);
	for (int i = 0; i < 6; i++) {
		d[i] = dti_new(&b, q, i < 4 ? PPE_STREAM : PPE_MESSAGE, 0);
		if (i < 1 || i > 3)
			assert_int_equal(ppe_dti_connect(d[i], THERE, 0, i, NULL, 0), 0);
	}
	for (int i = 0; i < 3; i++)
		while (ppe_evq_read(q, &ev, 1) != 1)
			;
	/* a part of a send out, a message begun, early bytes, full queues */
	stub_window(stub_keep(d[0]), 5);
	stub_msg_window(stub_keep_msg(d[4]), 5);
	stub_inject(d[0]->conn, mem, 1000);
	stub_msg_inject(d[4]->m->peer->l->conn, mem, 1000);
	for (int i = 0; i < 8; i++) {
		send_mem(&b, d[0], i, mem, 100, 0);
		send_mem(&b, d[4], i, mem, 100, 0);
		recv_mem(&b, d[4], i, mem, 100);
		recv_mem(&b, d[5], i, mem, 100);
	}
	/* set-up under way in every way */
	b.fab->held = true;
	assert_int_equal(ppe_dti_connect(d[1], THERE, 1000000000, 1, NULL, 0), 0);
	l = dti_new(&b, b.q, PPE_STREAM, 0);
	assert_int_equal(ppe_dti_bind(l, THERE), 0);
	assert_int_equal(ppe_dti_listen(l, 5), 0);
	assert_int_equal(ppe_dti_accept(l, d[2], 1000000000, 1), 0);
	assert_int_equal(ppe_dti_accept(l, d[3], 0, 1), 0);
	ml = dti_new(&b, b.q, PPE_MESSAGE, 0);
	assert_int_equal(ppe_dti_bind(ml, THERE), 0);
	assert_int_equal(ppe_dti_listen(ml, 5), 0);
	for (int i = 0; i < 6; i++)
		stub_msg_request(ml->mlistener, NULL, 0);
	turns(b.ual, 3);
	/* one that is destroyed and cannot tell yet */
	ppe_dti_destroy(d[5], false);
	ppe_evq_fd(q, &fd);
	ppe_evq_arm(q);
	ppe_evq_fd(b.q, &fd);
}

static void ual_closes_with_everything_open(void **state)
{
	static const char *const placements[] = { "inline", "adaptive", "dedicated" };

	(void)state;
	for (int i = 0; i < 30; i++) {
		open_everything(placements[i % 3]);
		bench_close(&b);
	}
}

/* ----------------------------------------------------------------------- a fork's child */

#define child_must(what)                                                                           \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			dprintf(2, "in the child: %s\n", #what);                                   \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)
#define child_refused(call) child_must((call) == -EOWNERDEAD)

static void child(struct ppe_dti *d, struct ppe_dti *l)
{
	struct ppe_event ev;
	struct ppe_evq_attr ea = { 0 };
	struct ppe_dti_attr da = { .tx_evq = b.q };
	struct ppe_post p = { 0 };
	struct ppe_evq *q;
	struct ppe_dti *other;
	union fab_addr addr, addr2;
	struct ppe_mr mr = b.all;
	size_t len = 0;
	int value;

	child_refused(ppe_evq_read(b.q, &ev, 1));
	child_refused(ppe_evq_take(b.q, &ev, 1));
	child_refused(ppe_evq_take_tag(b.q, 1, &ev));
	child_refused(ppe_evq_wait(&b.q, 1, -1));
	child_refused(ppe_evq_fd(b.q, &value));
	child_refused(ppe_evq_arm(b.q));
	child_refused(ppe_evq_notify(b.q, SIGUSR1));
	child_refused(ppe_evq_create(b.ual, &ea, &q));
	child_refused(ppe_evq_destroy(b.q));
	child_must(ppe_evq_count(b.q) == 0);
	ppe_evq_interrupt(b.q);
	ppe_evq_purge(b.q, 1);
	child_refused(ppe_mr_register(b.ual, mem, 1, PPE_ACCESS_LOCAL_READ, &mr));
	child_refused(ppe_mr_deregister(b.ual, b.all));
	child_refused(ppe_dti_create(b.ual, &da, &other));
	child_must(!ppe_dti_lookup(b.ual, ppe_dti_handle(d)));
	child_refused(ppe_dti_bind(d, THERE));
	child_refused(ppe_dti_listen(d, 1));
	child_refused(ppe_dti_local(d, &addr));
	child_refused(ppe_dti_peer(d, &addr));
	child_refused(ppe_dti_connect(d, THERE, 0, 1, NULL, 0));
	child_refused(ppe_dti_accept(l, d, 0, 1));
	child_refused(ppe_dti_accept_request(d, 1, 1, NULL, 0));
	child_refused(ppe_ual_reject_request(b.ual, 1, NULL, 0));
	child_refused(ppe_ual_request_info(b.ual, 1, &addr, &addr2, NULL, &len));
	child_refused(ppe_dti_pdata(d, NULL, &len));
	child_refused(ppe_dti_shutdown_rx(d));
	child_refused(ppe_dti_disconnect(d));
	child_refused(ppe_dti_cancel(d, 1, PPE_CANCEL_SEND));
	child_refused(ppe_dti_set_option(d, FAB_OPT_NODELAY, 1));
	child_refused(ppe_dti_get_option(d, FAB_OPT_NODELAY, &value));
	child_refused(ppe_post_send(d, &p));
	child_refused(ppe_post_recv(d, &p));
	child_refused(ppe_post_shutdown(d, 1));
	child_refused(ppe_post_nop(d, 1));
	ppe_dti_destroy(d, false);
	ppe_ual_close(b.ual);
	_exit(0);
}

static void ual_is_not_a_childs(void **state)
{
	static const char *const placements[] = { "inline", "adaptive", "dedicated" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ppe_ual_attr attr = { .placement = placements[i] };
		struct ppe_dti *d, *l;
		struct ppe_event ev;
		int status;
		pid_t pid;

		bench_open(&b, &attr, 8);
		l = dti_new(&b, b.q, PPE_STREAM, 0);
		d = dti_new(&b, b.q, PPE_STREAM, 0);
		assert_int_equal(ppe_dti_connect(d, THERE, 0, 1, NULL, 0), 0);
		while (ppe_evq_read(b.q, &ev, 1) != 1)
			;
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			child(d, l);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		/* and the parent's is as it was */
		assert_int_equal(send_inline(d, 5, "x", 1, 0), 0);
		while (ppe_evq_read(b.q, &ev, 1) != 1)
			;
		assert_int_equal(ev.user_tag, 5);
		assert_int_equal(ev.status, 0);
		bench_close(&b);
	}
}

/* ----------------------------------------------------------------- nothing left behind */

static unsigned entries(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Each round leaves the same as the first tenth of them did. */
static void repeat(unsigned rounds, void (*round)(unsigned i))
{
	unsigned fds = 0, threads = 0;
	size_t bytes = 0;

	for (unsigned i = 0; i < rounds; i++) {
		if (i == rounds / 10) {
			fds = entries("/proc/self/fd");
			threads = entries("/proc/self/task");
			bytes = resident();
		}
		round(i);
	}
	assert_int_equal(entries("/proc/self/fd"), fds);
	assert_int_equal(entries("/proc/self/task"), threads);
	if (!TEST_SLOW) /* sanitizers keep freed memory for a while */
		assert_true(resident() < bytes + (1 << 20));
}

static void round_of_dti(unsigned i)
{
	struct ppe_dti_attr attr = {
		.service = i % 5 == 4 ? PPE_MESSAGE : PPE_STREAM,
		.sq_slots = 8u << i % 4,
		.rq_slots = 8u << i % 3,
		.tx_evq = b.q,
	};
	struct ppe_event ev[8];
	struct ppe_dti *d;

	assert_int_equal(ppe_dti_create(b.ual, &attr, &d), 0);
	if (i % 2) {
		assert_int_equal(ppe_dti_connect(d, THERE, 1000000000, 1, NULL, 0), 0);
		recv_mem(&b, d, 2, mem, 100);
		if (i % 3)
			while (!ppe_evq_read(b.q, ev, 8))
				;
		if (i % 5 != 4)
			stub_inject(d->conn, mem, 200);
		send_mem(&b, d, 3, mem, 100, 0);
	}
	ppe_dti_destroy(d, i % 4 == 0);
	while (ppe_evq_read(b.q, ev, 8))
		;
}

static void ual_dtis_leave_nothing(void **state)
{
	(void)state;
	bench_open(&b, NULL, 16);
	repeat(TEST_SLOW ? 10000 : 100000, round_of_dti);
	bench_close(&b);
}

static void round_of_evq(unsigned i)
{
	struct ppe_evq *q = evq_new(b.ual, 1u << i % 12, i % 2);
	struct ppe_dti *d = dti_new(&b, q, PPE_STREAM, 0);
	int fd;

	if (i % 3 == 0) {
		assert_int_equal(ppe_evq_fd(q, &fd), 0);
		assert_int_equal(ppe_evq_arm(q), 0);
	}
	recv_mem(&b, d, 1, mem, 10);
	ppe_dti_destroy(d, i % 2);
	if (i % 2 == 0)
		expect(q, PPE_EV_RECV, 1, -ECANCELED, 0);
	assert_int_equal(ppe_evq_destroy(q), 0);
}

static void ual_evqs_leave_nothing(void **state)
{
	(void)state;
	bench_open(&b, NULL, 16);
	repeat(TEST_SLOW ? 5000 : 100000, round_of_evq);
	bench_close(&b);
}

static void round_of_ual(unsigned i)
{
	static const char *const placements[] = { "inline", "adaptive", "dedicated" };
	struct ppe_ual_attr attr = { .placement = placements[i % 3], .max_dtis = 100 };

	bench_open(&b, &attr, 16);
	if (i % 2) {
		struct ppe_dti *d = dti_new(&b, b.q, PPE_STREAM, 0);

		assert_int_equal(ppe_dti_connect(d, THERE, 1000000000, 1, NULL, 0), 0);
		recv_mem(&b, d, 2, mem, 100);
		send_mem(&b, d, 3, mem, 100, 0);
	}
	bench_close(&b);
}

static void ual_uals_leave_nothing(void **state)
{
	(void)state;
	repeat(TEST_SLOW ? 500 : 5000, round_of_ual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ual_placement),
		cmocka_unit_test(ual_fabric),
		cmocka_unit_test(ual_limits),
		cmocka_unit_test(ual_counters),
		cmocka_unit_test(ual_closes_with_everything_open),
		cmocka_unit_test(ual_is_not_a_childs),
		cmocka_unit_test(ual_dtis_leave_nothing),
		cmocka_unit_test(ual_evqs_leave_nothing),
		cmocka_unit_test(ual_uals_leave_nothing),
	};

	return test_run(tests, NULL);
}
