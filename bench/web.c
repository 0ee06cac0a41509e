/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * web.c - eta's web server beside nginx and h2o: what a request costs the core that they run on.
 *
 * Rates say little here: where the server is fast, the core that makes the load is the one that is
 * busy. So the time of the server's core is what is judged first.
 */
#include <stdlib.h>
#include <string.h>

#include "web.h"

#define ROUNDS 5
#define ROUNDS_MAX 1000
#define FOREIGN 15    /* %: on a quiet machine it is 0 to 7 */
#define LOAD_BUSY 0.9 /* above it, the load's core limits the rate */

struct column {
	struct web_run *runs; /* of each round */
	int failed;
	char errors[100]; /* of the first run that had any */
};

static struct column columns[WEB_SERVERS];
static int rounds;

/* -------------------------------------------------------------------------------- runs */

static void run_one(const struct web_server *s, const struct web_case *c, struct column *col,
		    int round)
{
	struct web_run *r = &col->runs[round];

	if (!web_runs(s))
		return;
	if (web_load(s, c, opt.seconds, r))
		col->failed++;
	if (r->errors[0] && !col->errors[0])
		memcpy(col->errors, r->errors, sizeof(col->errors));
}

/* A B C, C B A, ...: neighbours in time are neighbours in the ratios. */
static void run_case(const struct web_set *set, const struct web_case *c)
{
	struct web_run warm_up;

	for (int i = 0; i < set->n; i++) {
		memset(columns[i].runs, 0, (size_t)rounds * sizeof(struct web_run));
		columns[i].failed = 0;
		columns[i].errors[0] = '\0';
		if (web_runs(&set->at[i]))
			web_load(&set->at[i], c, 1, &warm_up);
	}
	for (int round = 0; round < rounds; round++)
		for (int k = 0; k < set->n; k++) {
			int i = round % 2 ? set->n - 1 - k : k;

			run_one(&set->at[i], c, &columns[i], round);
		}
}

/* --------------------------------------------------------------------------- statistics */

enum figure { CORE_US, PROCESS_US, RATE, P50, P99, BUSY_SERVER, BUSY_LOAD, STEAL };

static double figure_of(const struct web_run *r, enum figure what)
{
	switch (what) {
	case CORE_US:
		return r->core_us;
	case PROCESS_US:
		return r->process_us;
	case RATE:
		return r->rate;
	case P50:
		return r->p50_us;
	case P99:
		return r->p99_us;
	case BUSY_SERVER:
		return r->busy[0] * 100;
	case BUSY_LOAD:
		return r->busy[1] * 100;
	default:
		return r->steal * 100;
	}
}

static struct quartiles figures(const struct column *col, enum figure what)
{
	double v[ROUNDS_MAX];
	int n = 0;

	for (int i = 0; i < rounds; i++)
		if (col->runs[i].requests)
			v[n++] = figure_of(&col->runs[i], what);
	return quartiles_of(v, n);
}

static struct quartiles ratios(const struct column *a, const struct column *b, enum figure what)
{
	double v[ROUNDS_MAX];
	int n = 0;

	for (int i = 0; i < rounds; i++) {
		double under = figure_of(&b->runs[i], what);

		if (a->runs[i].requests && b->runs[i].requests && under > 0)
			v[n++] = figure_of(&a->runs[i], what) / under;
	}
	return quartiles_of(v, n);
}

/* ------------------------------------------------------------------------------- tables */

static void print_row(const struct web_server *s, const struct column *col)
{
	struct quartiles us = figures(col, CORE_US);

	if (!web_runs(s) || col->failed == rounds) {
		printf("  %-13s %s\n", s->name, web_runs(s) ? col->errors : s->missing);
		return;
	}
	printf("  %-13s %7.2f %7.2f %7.2f %8.2f %9.0f %8.0f %8.0f %7.0f %6.0f  %s\n", s->name,
	       us.low, us.median, us.high, figures(col, PROCESS_US).median,
	       figures(col, RATE).median, figures(col, P50).median, figures(col, P99).median,
	       figures(col, BUSY_SERVER).median, figures(col, BUSY_LOAD).median,
	       col->errors[0] ? col->errors : "none");
}

/* What of the core's busy time the server's threads do not account for, %. */
static double foreign_share(const struct column *col)
{
	double core = figures(col, CORE_US).median;

	return core > 0 ? (1 - figures(col, PROCESS_US).median / core) * 100 : 0;
}

static void print_table(const struct web_set *set)
{
	double steal = 0, foreign = 0;

	printf("  %-13s %23s %8s %9s %8s %8s %14s\n", "", "core, us/request", "threads", "requests",
	       "p50", "p99", "busy %, cores");
	printf("  %-13s %7s %7s %7s %8s %9s %8s %8s %7d %6d  %s\n", "", "25 %", "median", "75 %",
	       "us/req.", "/s", "us", "us", opt.cores[0], opt.cores[1], "errors");
	for (int i = 0; i < set->n; i++) {
		double one = figures(&columns[i], STEAL).high, share = foreign_share(&columns[i]);

		print_row(&set->at[i], &columns[i]);
		steal = one > steal ? one : steal;
		foreign = share > foreign ? share : foreign;
	}
	if (foreign > FOREIGN)
		printf("  note: up to %.0f %% of core %d's busy time was no server's: something "
		       "else ran there\n",
		       foreign, opt.cores[0]);
	if (steal > 1)
		printf("  note: the host took up to %.0f %% of a core away\n", steal);
}

struct comparison {
	const char *name;
	enum figure what;
	double limit; /* 0: for information */
	bool near, least;
};

static void print_ratio(const struct web_server *s, const struct web_server *other,
			const struct comparison *k, struct quartiles q)
{
	char target[32] = "";

	if (k->limit > 0)
		snprintf(target, sizeof(target), "%s %s %.3f", k->near ? "quartile" : "median",
			 k->least ? ">=" : "<=", k->limit);
	printf("  %-13s / %-6s %-17s %7.3f %7.3f %7.3f   %s\n", s->name, other->name, k->name,
	       q.low, q.median, q.high, target);
}

static void judge_ratio(const struct web_case *c, const struct web_server *s,
			const struct web_server *other, const struct column *col,
			const struct comparison *k, struct quartiles q)
{
	double busy = figures(col, BUSY_LOAD).median / 100;

	if (k->limit <= 0)
		return;
	if (!k->least)
		judge(k->near ? q.low : q.median, k->limit, "", "web %s: %s, %s / %s's", c->name,
		      s->name, k->name, other->name);
	else if (q.median >= k->limit || busy <= LOAD_BUSY)
		judge_least(q.median, k->limit, "", "web %s: %s, %s / %s's", c->name, s->name,
			    k->name, other->name);
	else
		not_run("web %s: %s, %s / %s's is %.2f, but the load's core was busy at %.0f %%",
			c->name, s->name, k->name, other->name, q.median, busy * 100);
}

/* @judging: 0 prints, 1 judges; the table comes first, then the verdicts. */
static void compare(const struct web_set *set, const struct web_case *c, int i, int j, bool judging)
{
	const struct web_server *s = &set->at[i], *other = &set->at[j];
	bool nginx = other->kind == WEB_NGINX;
	const struct comparison list[] = {
		{ "us/request", CORE_US, nginx ? c->time_nginx : c->time_h2o, c->near, false },
		{ "threads, us/req.", PROCESS_US, 0, false, false },
		{ "requests/s", RATE, nginx ? c->rate_nginx : 0, false, true },
		{ "p99", P99, 1, true, false },
	};

	for (size_t k = 0; k < sizeof(list) / sizeof(list[0]); k++) {
		struct quartiles q = ratios(&columns[i], &columns[j], list[k].what);

		if (judging)
			judge_ratio(c, s, other, &columns[i], &list[k], q);
		else
			print_ratio(s, other, &list[k], q);
	}
}

static bool measured(const struct web_set *set, int i)
{
	return web_runs(&set->at[i]) && columns[i].failed < rounds;
}

/* Returns how many servers of others stand beside eta's. */
static int compare_all(const struct web_set *set, const struct web_case *c, bool judging)
{
	int n = 0;

	for (int i = 0; i < set->n; i++)
		for (int j = 0; j < set->n; j++) {
			if (set->at[i].kind != WEB_ETA || set->at[j].kind == WEB_ETA ||
			    !measured(set, i) || !measured(set, j))
				continue;
			compare(set, c, i, j, judging);
			n++;
		}
	return n;
}

static int judge_errors(const struct web_set *set, const struct web_case *c)
{
	int err = 0;

	for (int i = 0; i < set->n; i++) {
		const struct web_server *s = &set->at[i];

		if (!measured(set, i))
			err = not_run("web %s: %s: %s", c->name, s->name,
				      web_runs(s) ? columns[i].errors : s->missing);
		else if (columns[i].errors[0])
			err = not_run("web %s: %s: figures with errors: %s", c->name, s->name,
				      columns[i].errors);
	}
	return err;
}

/* -------------------------------------------------------------------------------- plots */

static void plot_case(FILE *dat, const struct web_set *set, const struct web_case *c)
{
	if (!dat)
		return;
	fprintf(dat, "%s", c->name);
	for (int i = 0; i < set->n; i++) {
		struct quartiles q = figures(&columns[i], CORE_US);

		if (measured(set, i))
			fprintf(dat, " %g %g %g", q.median, q.low, q.high);
		else
			fprintf(dat, " ? ? ?");
	}
	fprintf(dat, "\n");
}

static void plot_finish(FILE *dat, const struct web_set *set)
{
	char script[2048] =
		"set style data histograms\nset style histogram errorbars gap 1 lw 1\n"
		"set style fill solid 0.6 border -1\nset key top left\nset yrange [0:*]\n"
		"set datafile missing '?'\n"
		"set ylabel \"busy time of the server's core per request, us\"\n"
		"plot ";
	size_t n = strlen(script);

	for (int i = 0; i < set->n; i++)
		n += (size_t)snprintf(script + n, sizeof(script) - n,
				      "%s DATA using %d:%d:%d%s title '%s'", i ? "," : "",
				      2 + 3 * i, 3 + 3 * i, 4 + 3 * i, i ? "" : ":xtic(1)",
				      set->at[i].name);
	snprintf(script + n, sizeof(script) - n, "\n");
	plot_end(dat, "web", script);
}

/* ------------------------------------------------------------------------------ command */

static int measure(const struct web_set *set, FILE *dat)
{
	int err = 0;

	for (int i = 0; i < WEB_CASES; i++) {
		const struct web_case *c = &web_cases[i];

		if (!web_listed(opt.cases, c->name))
			continue;
		printf("\n  -- %s: %s\n", c->name, c->what);
		run_case(set, c);
		print_table(set);
		printf("  %-13s   %-6s %-17s %7s %7s %7s   %s\n", "", "", "ratio, paired", "25 %",
		       "median", "75 %", "target");
		compare_all(set, c, false);
		compare_all(set, c, true);
		err |= judge_errors(set, c);
		plot_case(dat, set, c);
	}
	return err;
}

int web_run(void)
{
	struct web_set set;
	int err = 0;

	rounds = opt.rounds ? opt.rounds : ROUNDS;
	heading("web: what a request costs the server's core; %d rounds of %g s, in turns", rounds,
		opt.seconds);
	if (web_open(&set, 0, false))
		return -1;
	for (int i = 0; i < set.n; i++) {
		columns[i].runs = calloc((size_t)rounds, sizeof(struct web_run));
		if (!columns[i].runs)
			err = -1;
	}
	if (err)
		not_run("web: no memory");
	else {
		FILE *dat = plot_begin("web", "case, then median and quartiles of each server");

		err = measure(&set, dat);
		plot_finish(dat, &set);
	}
	for (int i = 0; i < set.n; i++)
		free(columns[i].runs);
	web_close(&set);
	return err;
}
