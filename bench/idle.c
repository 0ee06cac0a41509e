/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * idle.c - processor time of a process with an open connection that does nothing, or polls now and
 * then, or all the time. From the kernel's account of each thread (schedstat), over some seconds;
 * the connection has carried a hundred messages before.
 */
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "link.h"

#define SETTLE_NS 500000000 /* between the last call and the beginning */

enum behaviour { SILENT, POLLS_EACH_MS, POLLS_OFTEN, POLLS_ALWAYS, BEHAVIOURS };
static const char *const names[] = { "no calls", "a poll each ms", "5 polls each ms",
				     "polls always" };
static const int64_t pause_ns[BEHAVIOURS] = { [POLLS_EACH_MS] = 1000000, [POLLS_OFTEN] = 200000 };

struct idle_shared {
	const char *via;
	enum behaviour how; /* of role 0; role 1 makes no calls */
	char about[160];
	_Atomic int ready, stop;
	_Atomic uint64_t polls;
};

static void behave(struct idle_shared *s, struct link *l, bool first, int ctrl)
{
	char c;

	if (s->how == SILENT || !first) {
		/* until the peer, or the parent that ends it, closes its end */
		if (read(ctrl, &c, 1) < 0)
			return;
		return;
	}
	while (!atomic_load(&s->stop)) {
		if (pause_ns[s->how])
			sleep_ns(pause_ns[s->how]);
		link_poll(l);
		atomic_fetch_add(&s->polls, 1);
	}
}

static int role(void *arg, int ctrl, bool first)
{
	struct idle_shared *s = arg;
	struct link *l = link_make(s->via, first, ctrl);

	link_pingpong(l, first, 100);
	if (first)
		strcpy(s->about, l->about);
	atomic_fetch_add(&s->ready, 1);
	behave(s, l, first, ctrl);
	return 0;
}

static int server(void *arg, int ctrl)
{
	return role(arg, ctrl, true);
}

static int client(void *arg, int ctrl)
{
	return role(arg, ctrl, false);
}

static int wait_until_ready(struct idle_shared *s)
{
	for (int i = 0; i < 3000 && atomic_load(&s->ready) < 2; i++)
		sleep_ns(20000000);
	if (atomic_load(&s->ready) < 2)
		return -1;
	sleep_ns(SETTLE_NS);
	return 0;
}

struct share {
	double main, others; /* percent of a core */
	char names[128];
};

static int sample(const struct roles *r, struct share share[2])
{
	struct cpu_time before[2], after[2];
	int64_t start = now_ns(), ns;

	for (int i = 0; i < 2; i++)
		if (cpu_time_of(r->pid[i], &before[i]))
			return -1;
	sleep_ns((int64_t)(opt.seconds * 1e9));
	for (int i = 0; i < 2; i++)
		if (cpu_time_of(r->pid[i], &after[i]))
			return -1;
	ns = now_ns() - start;
	for (int i = 0; i < 2; i++) {
		share[i].main = 100.0 * (after[i].main_ns - before[i].main_ns) / ns;
		share[i].others = 100.0 * (after[i].others_ns - before[i].others_ns) / ns;
		strcpy(share[i].names, after[i].names);
	}
	return 0;
}

static void print_row(const struct idle_shared *s, const char *which, const struct share *share)
{
	printf("  %-16s %-8s %9.3f %9.3f   %-12s %s\n", names[s->how], which, share->main,
	       share->others, share->names[0] ? share->names : "(none)", s->about);
}

static void report(const struct idle_shared *s, const struct share share[2], bool judged)
{
	double idle = share[0].main + share[0].others, peer = share[1].main + share[1].others;

	print_row(s, "server", &share[0]);
	print_row(s, "client", &share[1]);
	if (!judged)
		return;
	if (s->how == SILENT)
		judge(idle > peer ? idle : peer, opt.max_idle_percent, " %",
		      "idle: %s, an idle process, all threads", s->via);
	if (s->how == POLLS_EACH_MS)
		judge(share[0].others, opt.max_poll_percent, " %",
		      "idle: %s, the engine's thread beside a poll each ms", s->via);
}

static int measure(const char *via, enum behaviour how, bool judged)
{
	struct idle_shared *s = shared_alloc(sizeof(*s));
	struct roles r = { { server, client }, s, .pid = { 0 } };
	struct share share[2];
	int err;

	s->via = via;
	s->how = how;
	err = roles_start(&r);
	if (!err)
		err = wait_until_ready(s);
	if (!err)
		err = sample(&r, share);
	atomic_store(&s->stop, 1);
	roles_kill(&r);
	if (err)
		err = not_run("idle: %s, %s", via, names[how]);
	else
		report(s, share, judged);
	shared_free(s, sizeof(*s));
	return err;
}

int idle_run(void)
{
	int err = 0;

	heading("idle: a connection is open; %g s each; percent of a core", opt.seconds);
	printf("  %-16s %-8s %9s %9s   %-12s %s\n", "the server", "process", "its main", "others",
	       "these are", "provider;protocol");
	for (enum behaviour how = SILENT; how < BEHAVIOURS; how++) {
		err |= measure(opt.provider, how, true);
		err |= measure("dusi", how, true);
		err |= measure(opt.reference, how, false);
	}
	return err;
}
