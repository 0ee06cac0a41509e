/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * post.c - what posting a 64 B send costs the caller.
 *
 * Bursts of posts, timed as a whole; between two of them the sender polls until all have completed,
 * which is not timed. The median over the bursts: one preemption would spoil a mean. The receiver
 * polls on the other core. Beside it, of how many posts the engine counted that they transmitted
 * themselves, instead of leaving that to the next poll.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "link.h"

#define WARM_UP 50        /* bursts */
#define PAUSE_NS 20000000 /* before them */

struct post_shared {
	const char *via;
	bool inject;
	char about[160];
	int64_t own; /* posts that transmitted themselves; -1: not known */
	int full;    /* times that the queue was full within a burst */
	double ns[]; /* per post, of each burst */
};

static int bursts(void)
{
	return WARM_UP + opt.windows;
}

/* One more than the burst, a send: when it has completed, all before it have. */
static uint64_t messages(void)
{
	return (uint64_t)bursts() * (opt.burst + 1);
}

static int receiver(void *arg, int ctrl)
{
	struct post_shared *s = arg;
	struct link *l = link_make(s->via, true, ctrl);

	while (l->received < messages()) {
		link_poll(l);
		link_refill(l);
	}
	ctrl_meet(ctrl);
	l->ops->close(l);
	return 0;
}

static double burst(struct post_shared *s, struct link *l)
{
	bool (*post)(struct link *, const void *) = s->inject ? l->ops->inject : l->ops->send;
	const void *from = link_source(l, 0);
	int64_t start = now_ns(), end;

	for (int i = 0; i < opt.burst; i++) {
		while (!post(l, from)) {
			s->full++;
			link_poll(l);
		}
	}
	end = now_ns();
	return (double)(end - start) / opt.burst;
}

static int sender(void *arg, int ctrl)
{
	struct post_shared *s = arg;
	struct link *l = link_make(s->via, false, ctrl);
	int64_t own = 0;

	strcpy(s->about, l->about);
	/* the engine's thread leads now, as after any pause: the warm-up must get over that */
	compute_until(now_ns() + PAUSE_NS);
	for (int i = 0; i < bursts(); i++) {
		double ns = burst(s, l);

		link_send(l, link_source(l, 0));
		link_wait_sent(l, (uint64_t)(i + 1) * (opt.burst + 1));
		if (i < WARM_UP)
			own = l->ops->counter(l, "turns_post");
		else
			s->ns[i - WARM_UP] = ns;
	}
	s->own = own < 0 ? -1 : l->ops->counter(l, "turns_post") - own;
	ctrl_meet(ctrl);
	l->ops->close(l);
	return 0;
}

static void print_row(const char *call, struct post_shared *s, struct quartiles q)
{
	char own[32] = "not known";

	if (s->own >= 0)
		snprintf(own, sizeof(own), "%.1f %%",
			 100.0 * s->own / ((double)opt.windows * (opt.burst + 1)));
	printf("  %-18s %8.0f %8.0f %8.0f %8.0f   %-10s %s%s\n", call, q.low, q.median, q.high,
	       quantile(s->ns, opt.windows, 0.99), own, s->about,
	       s->full ? " (its queue was full at times)" : "");
}

static void plot_row(const char *call, const struct post_shared *s)
{
	static const char script[] =
		"set logscale x\nset xlabel 'ns for one post'\nset ylabel 'share of the bursts'\n"
		"set key bottom right\nset title 'Posting a 64 B send'\n"
		"plot for [i=0:*] DATA index i using 1:2 with steps lw 2 title columnheader(1)\n";
	static FILE *dat;

	if (!call) {
		plot_end(dat, "post", script);
		dat = NULL;
		return;
	}
	if (!dat)
		dat = plot_begin("post", "ns per post, share of the bursts; one block per call");
	if (!dat)
		return;
	fprintf(dat, "\"%s, %s\"\n", call, s->via);
	for (int i = 0; i < opt.windows; i++)
		fprintf(dat, "%g %g\n", s->ns[i], (i + 1.0) / opt.windows);
	fprintf(dat, "\n\n");
}

static int measure(const char *via, const char *call, bool inject, bool judged)
{
	size_t size = sizeof(struct post_shared) + opt.windows * sizeof(double);
	struct post_shared *s = shared_alloc(size);
	struct roles r = { { receiver, sender }, s, .pid = { 0 } };
	struct quartiles q;
	int err;

	s->via = via;
	s->inject = inject;
	err = roles_run(&r, 60);
	if (err) {
		err = not_run("post: %s of %s", call, via);
	} else {
		q = quartiles_of(s->ns, opt.windows);
		print_row(call, s, q);
		plot_row(call, s);
		if (judged)
			judge(q.median, opt.max_post_ns, " ns", "post: %s, %s", call, via);
	}
	shared_free(s, size);
	return err;
}

int post_run(void)
{
	int err = 0;

	heading("post: 64 B, %d bursts of %d, drained in between", opt.windows, opt.burst);
	printf("  %-18s %8s %8s %8s %8s   %-10s %s\n", "ns per call", "25 %", "median", "75 %",
	       "99 %", "transmits", "provider;protocol");
	err |= measure(opt.provider, "fi_send", false, true);
	err |= measure(opt.provider, "fi_inject", true, false);
	err |= measure(opt.reference, "fi_send", false, false);
	err |= measure(opt.reference, "fi_inject", true, false);
	err |= measure("ppe", "ppe_post_send", false, true);
	err |= measure("ppe", "... inline", true, false);
	err |= measure("dusi", "Dusi_Send", false, true);
	err |= measure("dusi", "Dusi_Send_Inline", true, false);
	plot_row(NULL, NULL);
	return err;
}
