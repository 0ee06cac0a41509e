/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* options.c - the command line: one table says what there is, and --help prints it. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct options opt = {
	.provider = "eta",
	.reference = "tcp",
	.cores = { 0, 1 },
	.fi_pingpong = "fi_pingpong",
	.pairs = 21,
	.size_pairs = 7,
	.sizes = { 8, { 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576 } },
	.max_ratio = 1.10,
	.windows = 200,
	.burst = 32,
	.max_post_ns = 150,
	.seconds = 3,
	.max_idle_percent = 1,
	.max_poll_percent = 1,
	.messages = 10,
	.phases_ms = { 5, { 0.1, 0.5, 2, 20, 200 } },
	.short_ms = 0.5,
	.max_takeover_ms = 10,
	.max_takeover_short_ms = 2,
	.max_latency_us = 100,
	.repetitions = 20,
	.compute_ms = 300,
	.max_late_us = 100,
	.connections = 10000,
	.endpoints = 1000,
	.max_bytes = 4096,
	.run_ms = 150,
	.max_rdm_ratio = 1.05,
	.min_rate_ratio = 8,
	.min_bw_ratio = 1,
	.outstanding = { 2, { 32, 64 } },
	.stopped_ms = { 3, { 0.1, 50, 250 } },
	.acks_behind = 8,
	.progress_rounds = 5,
	.setup_peers = 128,
	.peers = 1000,
	.nginx = "nginx",
	.h2o = "h2o",
	.wrk = "wrk",
	.active = 1000,
	.streams = { 4, { 1, 4, 16, 64 } },
};

enum kind { TEXT, WHOLE, NUMBER, FLAG, CORES, LIST };

struct option_row {
	const char *commands; /* with blanks between; NULL: all of them */
	const char *name;
	enum kind kind;
	void *at;
	const char *what;
};

#define RDM_ALL "rdm-pingpong rdm-rate rdm-post rdm-bw rdm-progress rdm-dc rdm-setup"
#define WEB_ALL "web web-idle web-calls"
#define RDM_COMPARED "rdm-pingpong rdm-rate rdm-bw rdm-dc"

static const struct option_row rows[] = {
	{ NULL, "provider", TEXT, &opt.provider, "libfabric provider that is judged (eta)" },
	{ NULL, "reference", TEXT, &opt.reference, "the one beside it, and the control (tcp)" },
	{ NULL, "provider-path", TEXT, &opt.provider_path,
	  "folder of libeta-fi.so ($FI_PROVIDER_PATH, else ../lib beside the program)" },
	{ NULL, "cores", CORES, &opt.cores, "the two cores, A,B (0,1)" },
	{ NULL, "plot", TEXT, &opt.plot_dir,
	  "write data, gnuplot scripts and PNG files to this folder" },

	{ "pingpong", "fi-pingpong", TEXT, &opt.fi_pingpong, "the program to run (fi_pingpong)" },
	{ "pingpong rdm-pingpong rdm-rate rdm-bw", "pairs", WHOLE, &opt.pairs,
	  "interleaved pairs of what is judged (21)" },
	{ "pingpong", "iterations", WHOLE, &opt.iterations,
	  "round trips of a run (0: about 150 ms)" },
	{ "pingpong rdm-pingpong receive", "sizes", LIST, &opt.sizes,
	  "sizes of the table, or 0 for none (64,256,...; receive: 200)" },
	{ "pingpong rdm-pingpong rdm-dc rdm-setup", "size-pairs", WHOLE, &opt.size_pairs,
	  "pairs of what is for information (7)" },
	{ "pingpong", "max-ratio", NUMBER, &opt.max_ratio,
	  "target: lower quartile of the time's ratio to tcp's (1.10)" },

	{ "post rdm-post", "windows", WHOLE, &opt.windows,
	  "bursts of posts, with a pause to drain (200)" },
	{ "post rdm-post", "burst", WHOLE, &opt.burst, "posts in each (32)" },
	{ "post rdm-post", "max-post-ns", NUMBER, &opt.max_post_ns,
	  "target: median per post (150)" },

	{ "idle web web-calls", "seconds", NUMBER, &opt.seconds, "length of each measurement (3)" },
	{ "idle", "max-idle-percent", NUMBER, &opt.max_idle_percent,
	  "target: of a core, an idle process (1)" },
	{ "idle", "max-poll-percent", NUMBER, &opt.max_poll_percent,
	  "target: the engine's thread, with a poll each ms (1)" },

	{ "takeover", "phases", LIST, &opt.phases_ms, "polling phases, ms (0.1,0.5,2,20,200)" },
	{ "takeover web receive", "rounds", WHOLE, &opt.rounds,
	  "rounds for each (40; web: 5; receive: 200)" },
	{ "takeover", "messages", WHOLE, &opt.messages, "messages in each after the first (10)" },
	{ "takeover", "engine-free", FLAG, &opt.engine_free,
	  "the engine's thread may use both cores (not only the computing one)" },
	{ "takeover", "max-takeover-ms", NUMBER, &opt.max_takeover_ms,
	  "target: 90th percentile (10)" },
	{ "takeover", "short-ms", NUMBER, &opt.short_ms, "phases up to this long are short (0.5)" },
	{ "takeover", "max-takeover-short-ms", NUMBER, &opt.max_takeover_short_ms,
	  "target: after a short phase (2)" },
	{ "takeover rdm-progress", "max-latency-us", NUMBER, &opt.max_latency_us,
	  "target: median delivery after that (100)" },

	{ "late-send rdm-progress", "repetitions", WHOLE, &opt.repetitions,
	  "sends of each kind (20)" },
	{ "late-send rdm-progress", "compute-ms", NUMBER, &opt.compute_ms,
	  "computing behind each (300)" },
	{ "late-send rdm-progress", "max-late-us", NUMBER, &opt.max_late_us,
	  "target: median (100)" },

	{ "memory web-idle", "connections", WHOLE, &opt.connections, "connections (10000)" },
	{ "memory", "endpoints", WHOLE, &opt.endpoints, "message endpoints, 0 for none (1000)" },
	{ "memory web-idle", "max-bytes", NUMBER, &opt.max_bytes,
	  "target: of a connection (4096)" },

	{ RDM_ALL, "peer-libs", TEXT, &opt.peer_libs,
	  "folder of another libfabric.so.1: adds a row that runs with it" },
	{ RDM_ALL, "peer-provider", TEXT, &opt.peer_provider,
	  "the provider of that row (as --reference)" },
	{ RDM_COMPARED, "run-ms", NUMBER, &opt.run_ms, "length of a run (150)" },
	{ "rdm-pingpong", "max-rdm-ratio", NUMBER, &opt.max_rdm_ratio,
	  "target: lower quartile of the time's ratio to tcp's (1.05)" },
	{ "rdm-rate rdm-dc", "outstanding", LIST, &opt.outstanding, "windows (32,64)" },
	{ "rdm-rate rdm-dc", "acks-behind", WHOLE, &opt.acks_behind,
	  "windows that may be unacknowledged; 0: each is waited for (8)" },
	{ "rdm-rate", "min-rate-ratio", NUMBER, &opt.min_rate_ratio,
	  "target: median of the rate's ratio to tcp's (8)" },
	{ "rdm-bw", "min-bw-ratio", NUMBER, &opt.min_bw_ratio,
	  "target: upper quartile of the bandwidth's ratio to tcp's (1)" },
	{ "rdm-progress", "stopped", LIST, &opt.stopped_ms,
	  "ms since the target's last poll (0.1,50,250)" },
	{ "rdm-progress", "progress-rounds", WHOLE, &opt.progress_rounds, "rounds of each (5)" },
	{ "rdm-setup", "setup-peers", WHOLE, &opt.setup_peers, "fresh peers of a run (128)" },
	{ "rdm-setup", "peers", WHOLE, &opt.peers, "peers for the memory, 0 for none (1000)" },

	{ WEB_ALL, "servers", TEXT, &opt.servers, "which: eta,nginx,h2o (all)" },
	{ WEB_ALL, "aio", TEXT, &opt.aio, "eta's back ends: dusi,epoll,io_uring (all)" },
	{ "web web-calls", "case", TEXT, &opt.cases,
	  "which: 1k-64,1k-1000,100k-64,short-64 (all)" },
	{ "web-idle", "active", WHOLE, &opt.active, "connections that ask now and then (1000)" },
	{ WEB_ALL, "webserver", TEXT, &opt.webserver, "eta's server (beside this program)" },
	{ WEB_ALL, "nginx", TEXT, &opt.nginx, "program (nginx)" },
	{ WEB_ALL, "nginx-copies", FLAG, &opt.nginx_copies,
	  "nginx with sendfile off, which suits small files" },
	{ WEB_ALL, "h2o", TEXT, &opt.h2o, "program (h2o)" },
	{ "web web-calls", "wrk", TEXT, &opt.wrk, "program that makes the load (wrk)" },

	{ "receive", "streams", LIST, &opt.streams, "connections (1,4,16,64)" },
	{ "receive", "one-way", FLAG, &opt.one_way,
	  "no answers: each receive sends an acknowledgement of its own" },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const placeholder[] = {
	[TEXT] = "TEXT", [WHOLE] = "N",   [NUMBER] = "X",
	[FLAG] = "",     [CORES] = "A,B", [LIST] = "X,X,..",
};

/* --------------------------------------------------------------------------------- help */

static bool is_of(const struct option_row *r, const char *command)
{
	size_t n = command ? strlen(command) : 0;
	const char *at = r->commands;

	if (!command || !at)
		return !command && !at;
	while ((at = strstr(at, command))) {
		if ((at == r->commands || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
		at += n;
	}
	return false;
}

static void help_options(const char *command)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct option_row *r = &rows[i];
		char left[64];

		if (!is_of(r, command))
			continue;
		snprintf(left, sizeof(left), "--%s %s", r->name, placeholder[r->kind]);
		printf("  %-30s %s\n", left, r->what);
	}
}

static void help(void)
{
	printf("usage: eta-bench COMMAND [OPTION]...\n\n"
	       "Measures eta beside libfabric's own tcp on this machine, over 127.0.0.1.\n\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-14s%s\n", c->name, c->what);
	printf("\nExit status: 0 all targets met, 1 one missed, 2 something could not run.\n"
	       "bench/README.md says how it measures. Options, and what they are when not given:\n\n");
	help_options(NULL);
	printf("  %-30s %s\n", "--help", "this");
	for (const struct command *c = commands; c->name; c++) {
		if (!strcmp(c->name, "all"))
			continue;
		printf("\n%s\n", c->name);
		help_options(c->name);
	}
}

static void bad_usage(const char *why, const char *what)
{
	fprintf(stderr, "eta-bench: %s: %s (--help shows the usage)\n", what, why);
	exit(2);
}

/* ------------------------------------------------------------------------------ parsing */

static double parse_number(const char *text, const char **end)
{
	char *stop;
	double value = strtod(text, &stop);

	if (stop == text || !(value >= 0 && value < 1e12))
		bad_usage("not a number that makes sense", text);
	*end = stop;
	return value;
}

static double parse_only_number(const char *text)
{
	const char *end;
	double value = parse_number(text, &end);

	if (*end)
		bad_usage("not a number", text);
	return value;
}

static int parse_whole(const char *text)
{
	double value = parse_only_number(text);

	if (value > 1e9 || value != (int)value)
		bad_usage("not a whole number that makes sense", text);
	return (int)value;
}

static void parse_list(const char *text, struct list_of_numbers *list)
{
	const char *at = text;

	list->n = 0;
	list->given = true;
	for (;;) {
		if (list->n == LIST_MAX)
			bad_usage("too many numbers", text);
		list->at[list->n++] = parse_number(at, &at);
		if (!*at)
			return;
		if (*at++ != ',')
			bad_usage("not numbers with commas between", text);
	}
}

static void parse_cores(const char *text, int cores[2])
{
	struct list_of_numbers list;

	parse_list(text, &list);
	if (list.n != 2 || list.at[0] == list.at[1])
		bad_usage("not two different cores", text);
	cores[0] = (int)list.at[0];
	cores[1] = (int)list.at[1];
}

static void take(const struct option_row *r, const char *text)
{
	switch (r->kind) {
	case TEXT:
		*(const char **)r->at = text;
		break;
	case WHOLE:
		*(int *)r->at = parse_whole(text);
		break;
	case NUMBER:
		*(double *)r->at = parse_only_number(text);
		break;
	case FLAG:
		*(bool *)r->at = true;
		break;
	case CORES:
		parse_cores(text, r->at);
		break;
	case LIST:
		parse_list(text, r->at);
		break;
	}
}

static void check_ranges(void)
{
	if (opt.pairs < 1 || opt.size_pairs < 1 || opt.windows < 1 || opt.burst < 1 ||
	    opt.active < 1 || opt.messages < 1 || opt.repetitions < 1 || opt.connections < 1)
		bad_usage("a count must be at least 1", "options");
	/* places and event queues of the connections that are measured: link.h */
	if (opt.burst > 64 || opt.messages > 64 || opt.repetitions > 64)
		bad_usage("at most 64", "--burst, --messages, --repetitions");
	if (opt.rounds > 1000 || opt.windows > 100000 || opt.pairs > 1000 || opt.size_pairs > 1000)
		bad_usage("too many", "--rounds, --windows, --pairs");
	if (opt.progress_rounds < 1 || opt.run_ms < 1)
		bad_usage("at least 1", "--progress-rounds, --run-ms");
	/* receives posted, and contexts: rdm.h */
	for (int i = 0; i < opt.outstanding.n; i++)
		if (opt.outstanding.at[i] < 1 || opt.outstanding.at[i] > 256)
			bad_usage("1 to 256", "--outstanding");
	if (opt.setup_peers <= 16 || (opt.peers && opt.peers <= 16))
		bad_usage("more than 16", "--setup-peers, --peers");
	for (int i = 0; i < opt.streams.n; i++)
		if (opt.streams.at[i] < 1 || opt.streams.at[i] > 256)
			bad_usage("1 to 256", "--streams");
	if (opt.acks_behind > 8)
		bad_usage("at most 8", "--acks-behind");
	if (opt.seconds < 1)
		bad_usage("at least 1", "--seconds");
}

static const struct command *find_command(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	bad_usage("no such command", name);
	return NULL;
}

const struct command *options_parse(int argc, char **argv)
{
	struct option longs[ROWS + 2] = { { 0 } };
	int c, i;

	for (size_t r = 0; r < ROWS; r++) {
		longs[r].name = rows[r].name;
		longs[r].has_arg = rows[r].kind == FLAG ? no_argument : required_argument;
	}
	longs[ROWS].name = "help";
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", longs, &i)) != -1) {
		if (c)
			bad_usage("no such option, or its value is missing", argv[optind - 1]);
		if (i == ROWS) {
			help();
			exit(0);
		}
		take(&rows[i], optarg);
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: eta-bench COMMAND [OPTION]... (--help shows more)\n");
		exit(2);
	}
	check_ranges();
	return find_command(argv[optind]);
}
