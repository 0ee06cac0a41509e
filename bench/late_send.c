/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * late_send.c - a send, and then an application that computes and calls nothing: when does the peer
 * have the message? The peer polls on the other core; both read the same clock.
 */
#include <string.h>

#include "bench.h"
#include "link.h"

#define EXCHANGES 100

enum before { NOTHING, DRAINED, POLLED, EXCHANGED };
static const char *const names[] = {
	[NOTHING] = "sends only",
	[DRAINED] = "takes completions first",
	[POLLED] = "polls 1 ms first",
	[EXCHANGED] = "100 round trips first",
};

struct late_shared {
	const char *via;
	enum before before; /* each send */
	char about[160];
	_Atomic int64_t seen[64]; /* by the peer */
	int64_t sent[64];
};

/* Messages that have gone to the receiver with the n-th of those that count. */
static uint64_t messages_until(const struct late_shared *s, int n)
{
	return (uint64_t)n * (s->before == EXCHANGED ? EXCHANGES + 1 : 1);
}

static int receiver(void *arg, int ctrl)
{
	struct late_shared *s = arg;
	struct link *l = link_make(s->via, true, ctrl);

	for (int i = 0; i < opt.repetitions; i++) {
		if (s->before == EXCHANGED)
			link_pingpong(l, true, EXCHANGES);
		link_wait_received(l, messages_until(s, i + 1));
		atomic_store(&s->seen[i], now_ns());
		link_refill(l);
	}
	ctrl_meet(ctrl);
	l->ops->close(l);
	return 0;
}

/* What a program may do between computing and its next send. */
static void prepare(struct late_shared *s, struct link *l, uint64_t sent)
{
	int64_t until;

	if (s->before == DRAINED)
		link_wait_sent(l, sent);
	if (s->before == EXCHANGED) {
		link_wait_sent(l, messages_until(s, (int)sent));
		link_pingpong(l, false, EXCHANGES);
	}
	if (s->before != POLLED)
		return;
	until = now_ns() + 1000000;
	while (now_ns() < until)
		link_poll(l);
}

static int sender(void *arg, int ctrl)
{
	struct late_shared *s = arg;
	struct link *l = link_make(s->via, false, ctrl);

	strcpy(s->about, l->about);
	compute_until(now_ns() + 50000000);
	for (int i = 0; i < opt.repetitions; i++) {
		prepare(s, l, i);
		s->sent[i] = now_ns();
		if (!l->ops->send(l, link_source(l, i)))
			die("%s: the send queue is full after %d sends", s->via, i);
		compute_until(s->sent[i] + (int64_t)(opt.compute_ms * 1e6));
	}
	/* a provider without progress of its own would never send the last one */
	link_wait_sent(l, messages_until(s, opt.repetitions));
	ctrl_meet(ctrl);
	l->ops->close(l);
	return 0;
}

static void report(const struct late_shared *s, bool judged)
{
	double us[64];
	struct quartiles q;

	for (int i = 0; i < opt.repetitions; i++)
		us[i] = (s->seen[i] - s->sent[i]) / 1e3;
	printf("  %-24s first ones:", names[s->before]);
	for (int i = 0; i < 4 && i < opt.repetitions; i++)
		printf(" %.0f", us[i]);
	q = quartiles_of(us, opt.repetitions);
	printf("\n  %-24s %9.0f %9.0f %9.0f %9.0f   %s\n", "", q.low, q.median, q.high,
	       us[opt.repetitions - 1], s->about);
	if (judged)
		judge(q.median, opt.max_late_us, " us", "late-send: %s, %s", s->via,
		      names[s->before]);
}

static void plot(const struct late_shared *s)
{
	static const char script[] =
		"set logscale y\nset xlabel 'send'\nset ylabel 'us until the peer has it'\n"
		"set title 'A 64 B send, then computing without a call'\n"
		"plot for [i=0:*] DATA index i using 1:2 with linespoints title columnheader(1)\n";
	static FILE *dat;

	if (!s) {
		plot_end(dat, "late-send", script);
		dat = NULL;
		return;
	}
	if (!dat)
		dat = plot_begin("late-send", "number of the send, us; one block per kind");
	if (!dat)
		return;
	fprintf(dat, "\"%s, %s\"\n", s->via, names[s->before]);
	for (int i = 0; i < opt.repetitions; i++)
		fprintf(dat, "%d %g\n", i + 1, (s->seen[i] - s->sent[i]) / 1e3);
	fprintf(dat, "\n\n");
}

static int measure(const char *via, enum before before, bool judged)
{
	struct late_shared *s = shared_alloc(sizeof(*s));
	struct roles r = { { receiver, sender }, s, .pid = { 0 } };
	int err;

	s->via = via;
	s->before = before;
	err = roles_run(&r, 20 + opt.repetitions * (opt.compute_ms / 1e3 + 0.01));
	if (err) {
		err = not_run("late-send: %s, %s", via, names[before]);
	} else {
		report(s, judged);
		plot(s);
	}
	shared_free(s, sizeof(*s));
	return err;
}

int late_send_run(void)
{
	int err = 0;

	heading("late-send: 64 B, then %g ms of computing; %d times", opt.compute_ms,
		opt.repetitions);
	printf("  %-24s %9s %9s %9s %9s   %s\n", "us, send to peer", "25 %", "median", "75 %",
	       "max", "provider;protocol");
	for (enum before b = NOTHING; b <= EXCHANGED; b++) {
		err |= measure(opt.provider, b, true);
		err |= measure("dusi", b, true);
		err |= measure(opt.reference, b, false);
	}
	plot(NULL);
	return err;
}
