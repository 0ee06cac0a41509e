/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * receive.c - small messages of many connections: by epoll or by a ring?
 *
 * One thread has both ends. In a turn it sends a message on each connection, then receives them all;
 * by then all of them are there, so what is timed is looking and taking, and nothing else. Each message
 * is answered: otherwise the kernel would acknowledge it within the receive, which costs more than that.
 * Of the ways to send, the sends are timed and the receives are not. Each round has so many turns of
 * every way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "receive.h"

#define ROUNDS 200
#define MESSAGES 512 /* of a way in a round */
#define PATIENCE_NS 1000000000

struct series {
	int err;          /* why it has no figures */
	double *ns;       /* per message, of each round */
	double *whole_ns; /* both ends: what the way left to the other one is in it */
};

struct comparison {
	int n, rounds;
	unsigned size;
	uint8_t stamp;
	struct streams *streams[WATCHES];
	struct series series[WAYS];
};

/* -------------------------------------------------------------------------- measuring */

/* Each turn's message differs, so that one which was not taken shows. */
static void stamp_message(struct comparison *c, struct streams *s)
{
	c->stamp++;
	s->message[0] = s->message[s->size - 1] = (char)c->stamp;
	for (int i = 0; i < s->n; i++)
		s->at[i].filled = 0;
}

static int check_message(const struct comparison *c, const struct streams *s)
{
	for (int i = 0; i < s->n; i++)
		if (s->at[i].filled != s->size || s->at[i].target[0] != (char)c->stamp ||
		    s->at[i].target[s->size - 1] != (char)c->stamp)
			return -EBADMSG;
	return 0;
}

static int run_steps(struct streams *s, const struct way *w)
{
	ssize_t left = (ssize_t)s->n * s->size;
	int64_t give_up = 0;

	for (;;) {
		ssize_t ret = w->step(s, w);

		if (ret < 0)
			return (int)ret;
		left -= ret;
		if (left <= 0)
			return 0;
		if (w->sends)
			return -ENOBUFS;
		if (!give_up)
			give_up = now_ns() + PATIENCE_NS;
		else if (now_ns() > give_up)
			return -ETIMEDOUT;
	}
}

/* @ns: what the way took of it; @whole_ns: both ends. For each message. */
static int turn(struct comparison *c, const struct way *w, double *ns, double *whole_ns)
{
	struct streams *s = c->streams[w->watch];
	int64_t start, from, to;
	int err = 0;

	stamp_message(c, s);
	start = now_ns();
	if (!w->sends)
		err = streams_send(s);
	from = now_ns();
	if (!err)
		err = run_steps(s, w);
	to = now_ns();
	if (w->sends && !err)
		err = streams_receive(s);
	*ns = (double)(to - from) / c->n;
	*whole_ns = (double)((w->sends ? now_ns() : to) - start) / c->n;
	if (!err)
		err = check_message(c, s);
	return err || opt.one_way ? err : streams_answer(s);
}

/*
 * The median turn: a preemption spoils one turn, not the round. The first finds the caches full of
 * another way's things, and does not count.
 */
static int measure_way(struct comparison *c, int nth, int round)
{
	struct series *series = &c->series[nth];
	double ns[MESSAGES], whole_ns[MESSAGES];
	int turns = MESSAGES / c->n;

	for (int i = -1; i < turns; i++) {
		int at = i < 0 ? 0 : i;
		int err = turn(c, &ways[nth], &ns[at], &whole_ns[at]);

		if (err)
			return err;
	}
	series->ns[round] = quartiles_of(ns, turns).median;
	series->whole_ns[round] = quartiles_of(whole_ns, turns).median;
	return 0;
}

/* What failed has left its connections in disorder: they are made anew for the others. */
static int give_way_up(struct comparison *c, int nth, int err)
{
	enum watch watch = ways[nth].watch;

	c->series[nth].err = err;
	not_run("receive, %d connections: %s: %s", c->n, ways[nth].name, strerror(-err));
	streams_close(c->streams[watch]);
	c->streams[watch] = streams_open(watch, c->n, c->size);
	return c->streams[watch] ? 0 : -errno;
}

/* Forwards and backwards by turns. */
static int measure_round(struct comparison *c, int round)
{
	int err = 0;

	for (int i = 0; i < WAYS && !err; i++) {
		int nth = round % 2 ? WAYS - 1 - i : i;

		if (!c->series[nth].err)
			err = measure_way(c, nth, round);
		if (err)
			err = give_way_up(c, nth, err);
	}
	return err;
}

/* -------------------------------------------------------------------------- reporting */

/* @work: room to sort in. The series stay in the order of the rounds. */
static void print_row(struct series *series, const struct series *base, int rounds, double *work,
		      const char *name)
{
	struct quartiles q, ratio = { 0 }, first = { 0 };

	if (series->err) {
		printf("  %-36s n/a: %s\n", name, strerror(-series->err));
		return;
	}
	if (!base->err) {
		for (int i = 0; i < rounds; i++)
			work[i] = series->ns[i] / base->ns[i];
		ratio = quartiles_of(work, rounds);
		memcpy(work, base->ns, (size_t)rounds * sizeof(*work));
		first = quartiles_of(work, rounds);
	}
	memcpy(work, series->ns, (size_t)rounds * sizeof(*work));
	q = quartiles_of(work, rounds);
	printf("  %-36s %7.0f %7.0f %7.0f", name, q.low, q.median, q.high);
	if (base->err)
		printf(" %8s %8s", "n/a", "n/a");
	else
		printf(" %8.2f %8.2f", q.low / first.low, ratio.median);
	memcpy(work, series->whole_ns, (size_t)rounds * sizeof(*work));
	printf(" %9.0f\n", quartiles_of(work, rounds).low);
}

static void print_table(struct comparison *c)
{
	double *work = calloc((size_t)c->rounds, sizeof(*work));

	if (!work)
		return;
	printf("  %-36s %7s %7s %7s %8s %8s %9s\n", "", "25 %", "median", "75 %", "of 25 %",
	       "paired", "whole");
	for (int i = 0; i < WAYS; i++)
		print_row(&c->series[i], &c->series[i < FIRST_SENDER ? 0 : FIRST_SENDER], c->rounds,
			  work, ways[i].name);
	free(work);
}

static void plot_row(FILE *dat, struct comparison *c)
{
	if (!dat)
		return;
	fprintf(dat, "%d", c->n);
	for (int i = 0; i < WAYS; i++) {
		if (c->series[i].err)
			fprintf(dat, " nan");
		else
			fprintf(dat, " %g", quartiles_of(c->series[i].ns, c->rounds).low);
	}
	fprintf(dat, "\n");
}

static FILE *plot_first(void)
{
	FILE *dat = plot_begin("receive",
			       "connections, lower quartile of ns per message of each way; one "
			       "block per size");

	if (!dat)
		return NULL;
	fprintf(dat, "connections");
	for (int i = 0; i < WAYS; i++)
		fprintf(dat, " \"%s\"", ways[i].name);
	fprintf(dat, "\n");
	return dat;
}

/* -------------------------------------------------------------------------- the command */

static int comparison_open(struct comparison *c)
{
	for (int i = 0; i < WATCHES; i++) {
		c->streams[i] = streams_open(i, c->n, c->size);
		if (!c->streams[i])
			return -errno;
	}
	for (int i = 0; i < WAYS; i++) {
		c->series[i].ns = calloc((size_t)c->rounds, sizeof(double));
		c->series[i].whole_ns = calloc((size_t)c->rounds, sizeof(double));
		if (!c->series[i].ns || !c->series[i].whole_ns)
			return -ENOMEM;
	}
	return 0;
}

static void comparison_close(struct comparison *c)
{
	for (int i = 0; i < WATCHES; i++)
		streams_close(c->streams[i]);
	for (int i = 0; i < WAYS; i++) {
		free(c->series[i].ns);
		free(c->series[i].whole_ns);
	}
}

static int compare_ways(int n, unsigned size, FILE *dat)
{
	struct comparison c = { .n = n, .size = size };
	int err;

	c.rounds = opt.rounds ? opt.rounds : ROUNDS;
	printf("\n  %d connection%s, ns per message\n", n, n == 1 ? "" : "s");
	err = comparison_open(&c);
	for (int round = 0; round < c.rounds && !err; round++)
		err = measure_round(&c, round);
	if (err) {
		err = not_run("receive, %d connections: %s", n, strerror(-err));
	} else {
		print_table(&c);
		plot_row(dat, &c);
		for (int i = 0; i < WAYS; i++)
			err |= c.series[i].err ? -1 : 0;
	}
	comparison_close(&c);
	return err;
}

static int compare_size(double size, FILE *dat)
{
	int err = 0;

	if (size < 1 || size > MESSAGE_MAX) {
		printf("  %g B: left out, 1 to %d are small messages\n", size, MESSAGE_MAX);
		return 0;
	}
	heading("receive: messages of %u B, %d rounds of about %d for each way", (unsigned)size,
		opt.rounds ? opt.rounds : ROUNDS, MESSAGES);
	for (int i = 0; i < opt.streams.n; i++)
		err |= compare_ways((int)opt.streams.at[i], (unsigned)size, dat);
	if (dat)
		fprintf(dat, "\n\n");
	return err;
}

/* Is there a ring as we want it? */
static int try_ring(void)
{
	struct streams *s = streams_open(WATCH_MULTISHOT, 1, 1);
	int err = errno;

	if (!s)
		return not_run("receive: no io_uring with provided buffers and DEFER_TASKRUN: %s",
			       strerror(err));
	streams_close(s);
	return 0;
}

int receive_run(void)
{
	static const struct list_of_numbers small = { .n = 1, .at = { 200 } };
	static const char script[] =
		"set logscale x 2\nset xlabel 'connections'\nset ylabel 'ns for one message'\n"
		"set key outside below\nset title 'Receiving, and sending, small messages'\n"
		"plot for [i=2:9] DATA index 0 using 1:i with linespoints lw 2 "
		"title columnheader(i)\n";
	const struct list_of_numbers *sizes = opt.sizes.given ? &opt.sizes : &small;
	FILE *dat;
	int err;

	limit_of_files(); /* raises it */
	if (pin_to(opt.cores[0]))
		return not_run("receive: core %d: %s", opt.cores[0], strerror(errno));
	err = try_ring();
	if (!err) {
		dat = plot_first();
		for (int i = 0; i < sizes->n; i++)
			err |= compare_size(sizes->at[i], dat);
		plot_end(dat, "receive", script);
	}
	unpin();
	return err;
}
