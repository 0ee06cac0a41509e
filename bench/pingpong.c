/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pingpong.c - libfabric's fi_pingpong over eta beside the same program over tcp.
 *
 * Short runs in pairs, in the order A B B A, so that what drifts falls on both alike. The ratio of a
 * pair is one value; judged is the lower quartile of all. In each round also a pair of tcp with
 * itself, the control, which shows what a ratio of 1 looks like on this machine now, and the bare
 * loop.
 */
#include <string.h>

#include "bench.h"
#include "link.h"
#include "pingpong.h"

#define PAIRS_MAX 1000
#define RUN_US 150000.0 /* length of a run unless iterations are given */
#define SMALL 64

static struct {
	double eta[PAIRS_MAX], ref[PAIRS_MAX];   /* the pair, us */
	double one[PAIRS_MAX], other[PAIRS_MAX]; /* the control's */
	double bare[PAIRS_MAX];
} t;

static int iterations_for(double size)
{
	double us = 9 + size / 1500; /* a guess at one way, good enough to choose a number */

	if (opt.iterations)
		return opt.iterations;
	return (int)(RUN_US / (2 * us)) + 10;
}

/* --------------------------------------------------------------------- what is compared */

struct about_shared {
	const char *provider;
	char text[160];
};

static int about_server(void *arg, int ctrl)
{
	struct about_shared *s = arg;
	struct link *l = link_make(s->provider, true, ctrl);

	strcpy(s->text, l->about);
	return ctrl_meet(ctrl);
}

static int about_client(void *arg, int ctrl)
{
	struct about_shared *s = arg;

	link_make(s->provider, false, ctrl);
	return ctrl_meet(ctrl);
}

static int print_about(const char *provider)
{
	struct about_shared *s = shared_alloc(sizeof(*s));
	struct roles r = { { about_server, about_client }, s, .pid = { 0 } };
	int err;

	s->provider = provider;
	err = roles_run(&r, 20);
	if (err)
		err = not_run("pingpong: provider %s", provider);
	else
		printf("  %s: %s\n", provider, s->text);
	shared_free(s, sizeof(*s));
	return err;
}

/* ------------------------------------------------------------------------------- rounds */

/* A then B in even rounds, B then A in odd ones. */
static int pair(const char *a, double *a_us, const char *b, double *b_us, int size, int round)
{
	int iterations = iterations_for(size);

	if (round % 2)
		return fi_pingpong(b, size, iterations, b_us) ||
		       fi_pingpong(a, size, iterations, a_us);
	return fi_pingpong(a, size, iterations, a_us) || fi_pingpong(b, size, iterations, b_us);
}

static int small_rounds(void)
{
	for (int i = 0; i < opt.pairs; i++) {
		if (pair(opt.provider, &t.eta[i], opt.reference, &t.ref[i], SMALL, i) ||
		    pair(opt.reference, &t.one[i], opt.reference, &t.other[i], SMALL, i) ||
		    bare_pingpong(SMALL, iterations_for(SMALL), &t.bare[i]))
			return -1;
	}
	return 0;
}

static struct quartiles ratios(const double *a, const double *b, int n)
{
	double r[PAIRS_MAX];

	for (int i = 0; i < n; i++)
		r[i] = a[i] / b[i];
	return quartiles_of(r, n);
}

static struct quartiles times(const double *v, int n)
{
	double copy[PAIRS_MAX];

	memcpy(copy, v, n * sizeof(*v));
	return quartiles_of(copy, n);
}

static void print_quartiles(const char *what, struct quartiles q)
{
	printf("  %-28s %9.3f %9.3f %9.3f\n", what, q.low, q.median, q.high);
}

static void plot_pairs(void)
{
	static const char script[] =
		"set xlabel 'pair'\nset ylabel 'ratio of times'\n"
		"set title 'fi_pingpong, 64 B: paired ratios'\n"
		"plot DATA using 1:2 with points pt 7 title 'eta / tcp',"
		" DATA using 1:3 with points pt 6 title 'tcp / tcp (control)',"
		" DATA using 1:4 with points pt 4 title 'bare loop / tcp', 1 notitle\n";
	FILE *dat = plot_begin("pingpong-pairs", "pair, eta/tcp, tcp/tcp, bare/tcp");

	for (int i = 0; dat && i < opt.pairs; i++)
		fprintf(dat, "%d %g %g %g\n", i + 1, t.eta[i] / t.ref[i], t.one[i] / t.other[i],
			t.bare[i] / t.ref[i]);
	plot_end(dat, "pingpong-pairs", script);
}

static void small_report(void)
{
	struct quartiles judged = ratios(t.eta, t.ref, opt.pairs);
	struct quartiles control = ratios(t.one, t.other, opt.pairs);
	char what[64];

	printf("  %-28s %9s %9s %9s\n", "us, one way", "25 %", "median", "75 %");
	snprintf(what, sizeof(what), "fi_pingpong -p %s", opt.provider);
	print_quartiles(what, times(t.eta, opt.pairs));
	snprintf(what, sizeof(what), "fi_pingpong -p %s", opt.reference);
	print_quartiles(what, times(t.ref, opt.pairs));
	print_quartiles("bare non-blocking TCP loop", times(t.bare, opt.pairs));
	printf("  %-28s\n", "paired ratios");
	snprintf(what, sizeof(what), "%s / %s", opt.provider, opt.reference);
	print_quartiles(what, judged);
	snprintf(what, sizeof(what), "%s / %s (control)", opt.reference, opt.reference);
	print_quartiles(what, control);
	snprintf(what, sizeof(what), "%s / bare", opt.provider);
	print_quartiles(what, ratios(t.eta, t.bare, opt.pairs));
	snprintf(what, sizeof(what), "%s / bare", opt.reference);
	print_quartiles(what, ratios(t.ref, t.bare, opt.pairs));
	judge(judged.low, opt.max_ratio, "", "pingpong: lower quartile of %s / %s at 64 B",
	      opt.provider, opt.reference);
	if (control.low > 1.05 || control.high < 0.95)
		printf("  note: the control is not near 1; this run says little\n");
	plot_pairs();
}

/* -------------------------------------------------------------------------------- sizes */

static int size_row(int size, FILE *dat)
{
	struct quartiles q;
	int n = opt.size_pairs;

	for (int i = 0; i < n; i++) {
		if (pair(opt.provider, &t.eta[i], opt.reference, &t.ref[i], size, i) ||
		    bare_pingpong(size, iterations_for(size), &t.bare[i]))
			return -1;
	}
	q = ratios(t.eta, t.ref, n);
	printf("  %9d %9.2f %9.2f %9.2f   %7.3f %7.3f %7.3f   %7.3f\n", size,
	       times(t.eta, n).median, times(t.ref, n).median, times(t.bare, n).median, q.low,
	       q.median, q.high, ratios(t.bare, t.ref, n).median);
	if (dat)
		fprintf(dat, "%d %g %g %g %g\n", size, q.median, q.low, q.high,
			ratios(t.bare, t.ref, n).median);
	return 0;
}

static int sizes_report(void)
{
	static const char script[] =
		"set logscale x 2\nset format x '%.0b%B'\n"
		"set xlabel 'bytes'\nset ylabel 'ratio of times'\n"
		"set title 'fi_pingpong by size: time of eta / time of tcp, with quartiles'\n"
		"plot DATA using 1:2:3:4 with yerrorlines lw 2 title 'eta / tcp',"
		" DATA using 1:5 with lines dt 2 title 'bare loop / tcp', 1 notitle\n";
	FILE *dat = plot_begin("pingpong-sizes", "bytes, median ratio, 25 %, 75 %, bare/tcp");
	int err = 0;

	printf("\n  by size, for information: medians of %d pairs in us, one way; paired ratios\n",
	       opt.size_pairs);
	printf("  %9s %9s %9s %9s   %7s %7s %7s   %7s\n", "bytes", opt.provider, opt.reference,
	       "bare", "25 %", "median", "75 %", "bare/ref");
	for (int i = 0; i < opt.sizes.n && !err; i++)
		if (opt.sizes.at[i] >= 1)
			err = size_row((int)opt.sizes.at[i], dat);
	plot_end(dat, "pingpong-sizes", script);
	return err ? not_run("pingpong: by size") : 0;
}

int pingpong_run(void)
{
	heading("pingpong: %s -e msg, beside %s and a bare loop", opt.fi_pingpong, opt.reference);
	if (print_about(opt.provider) || print_about(opt.reference))
		return -1;
	printf("  64 B, %d pairs of runs of %d round trips, A B B A\n", opt.pairs,
	       iterations_for(SMALL));
	if (small_rounds())
		return not_run("pingpong: %s at 64 B", opt.fi_pingpong);
	small_report();
	return opt.sizes.at[0] >= 1 ? sizes_report() : 0;
}
