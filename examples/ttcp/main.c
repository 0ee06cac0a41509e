/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * main.c - eta-ttcp: moves bytes over asynchronous sockets and measures it. Options.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/ttcp/ttcp.h"

#define EXIT_USAGE 2
#define SIZE_DEFAULT (64u << 10)
#define COUNT_DEFAULT 10000
#define WINDOW_DEFAULT 8
#define SIZE_MAX_BYTES (1u << 30)
#define WINDOW_MAX 65536
#define TRIPS_MAX (100u << 20) /* each is kept, in four bytes */
#define MS_MAX 3600000

static const char usage[] =
	"usage: eta-ttcp --receive --listen ADDRESS:PORT [OPTION]...\n"
	"       eta-ttcp --transmit ADDRESS:PORT [OPTION]...\n"
	"Moves bytes over the asynchronous sockets of libdusi and measures throughput, or latency.\n"
	"\n"
	"Transmitter:\n"
	"  --size N               bytes of an operation (default 64k)\n"
	"  --count N              operations (default 10000)\n"
	"  --total BYTES          bytes in all, instead of --count\n"
	"  --latency              round trips: each operation waits for its echo\n"
	"  --seed N               of the pattern that --verify sends (default 1)\n"
	"Receiver:\n"
	"  --listen ADDRESS:PORT  127.0.0.1:5001, [::1]:5001, *:5001; port 0: any\n"
	"  --receive-size N       bytes of a receive buffer (default: as --size)\n"
	"  --late-ms N            post the first receive so long after the connection\n"
	"  --pause-every BYTES    pause each time that so much has come ...\n"
	"  --pause-ms N           ... for so long (default 100)\n"
	"  --latency              accept no transmitter without it\n"
	"  --forever              go on with the next transmitter\n"
	"Both:\n"
	"  --window N             operations in flight (default 8)\n"
	"  --verify               check the content; to be given on both sides\n"
	"  --placement P          where the engine runs: adaptive, inline, dedicated, dedicated:CPU\n"
	"                         (default: ETA_PPE, else adaptive)\n"
	"  --poll                 look for events without sleeping\n"
	"  --json                 print the result as one line of JSON\n"
	"  --counters             print the engine's counters, too\n"
	"  --help, --version      print this, or the version, and exit\n"
	"\n"
	"Sizes take the suffixes k, m and g. The receiver prints \"listening on ADDRESS:PORT\" when a\n"
	"transmitter may come.\n"
	"\n"
	"Exit status: 0 all bytes arrived, and were right; 1 they did not, stderr says why; 2 wrong\n"
	"usage.\n";

enum option_value {
	OPT_RECEIVE = 1,
	OPT_TRANSMIT,
	OPT_LISTEN,
	OPT_SIZE,
	OPT_COUNT,
	OPT_TOTAL,
	OPT_LATENCY,
	OPT_SEED,
	OPT_RECEIVE_SIZE,
	OPT_LATE_MS,
	OPT_PAUSE_EVERY,
	OPT_PAUSE_MS,
	OPT_FOREVER,
	OPT_WINDOW,
	OPT_VERIFY,
	OPT_PLACEMENT,
	OPT_POLL,
	OPT_JSON,
	OPT_COUNTERS,
	OPT_HELP,
	OPT_VERSION
};

static const struct option options[] = {
	{ "receive", no_argument, NULL, OPT_RECEIVE },
	{ "transmit", required_argument, NULL, OPT_TRANSMIT },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "total", required_argument, NULL, OPT_TOTAL },
	{ "latency", no_argument, NULL, OPT_LATENCY },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "receive-size", required_argument, NULL, OPT_RECEIVE_SIZE },
	{ "late-ms", required_argument, NULL, OPT_LATE_MS },
	{ "pause-every", required_argument, NULL, OPT_PAUSE_EVERY },
	{ "pause-ms", required_argument, NULL, OPT_PAUSE_MS },
	{ "forever", no_argument, NULL, OPT_FOREVER },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "placement", required_argument, NULL, OPT_PLACEMENT },
	{ "poll", no_argument, NULL, OPT_POLL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "counters", no_argument, NULL, OPT_COUNTERS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* What is only known when all options are. */
struct call {
	struct config config;
	const char *listen, *transmit;
	uint64_t count;
	bool receive;
};

static int wrong_usage(const char *what, const char *value, const char *why)
{
	fprintf(stderr, "eta-ttcp: %s%s%s: %s\nTry eta-ttcp --help\n", what, value ? " " : "",
		value ? value : "", why);
	return EXIT_USAGE;
}

static const char *option_name(int option)
{
	static char name[32];

	for (const struct option *o = options; o->name; o++)
		if (o->val == option)
			snprintf(name, sizeof(name), "--%s", o->name);
	return name;
}

/* The options that are numbers: where they go, and their limits. */
static int set_number(struct call *call, int option, const char *text)
{
	struct config *c = &call->config;
	const struct {
		uint64_t *value;
		int sizes;
		uint64_t least, most;
	} numbers[] = {
		[OPT_SIZE] = { &c->size, 1, 1, SIZE_MAX_BYTES },
		[OPT_COUNT] = { &call->count, 1, 1, UINT64_MAX >> 31 },
		[OPT_TOTAL] = { &c->total, 1, 1, UINT64_MAX >> 1 },
		[OPT_SEED] = { &c->seed, 0, 0, UINT64_MAX },
		[OPT_RECEIVE_SIZE] = { &c->receive_size, 1, 1, SIZE_MAX_BYTES },
		[OPT_LATE_MS] = { &c->late_ms, 0, 0, MS_MAX },
		[OPT_PAUSE_EVERY] = { &c->pause_every, 1, 1, UINT64_MAX >> 1 },
		[OPT_PAUSE_MS] = { &c->pause_ms, 0, 0, MS_MAX },
		[OPT_WINDOW] = { &c->window, 1, 1, WINDOW_MAX },
	};
	char why[80];

	if (!parse_number(text, numbers[option].sizes, numbers[option].least, numbers[option].most,
			  numbers[option].value))
		return 0;
	snprintf(why, sizeof(why), "expected a number from %llu to %llu",
		 (unsigned long long)numbers[option].least,
		 (unsigned long long)numbers[option].most);
	return wrong_usage(option_name(option), text, why);
}

static int set_option(struct call *call, int option, const char *value)
{
	struct config *c = &call->config;

	switch (option) {
	case OPT_RECEIVE:
		call->receive = true;
		return 0;
	case OPT_TRANSMIT:
		call->transmit = value;
		return 0;
	case OPT_LISTEN:
		call->listen = value;
		return 0;
	case OPT_LATENCY:
		c->latency = true;
		return 0;
	case OPT_FOREVER:
		c->forever = true;
		return 0;
	case OPT_VERIFY:
		c->verify = true;
		return 0;
	case OPT_PLACEMENT:
		c->placement = value;
		return 0;
	case OPT_POLL:
		c->poll = true;
		return 0;
	case OPT_JSON:
		c->json = true;
		return 0;
	case OPT_COUNTERS:
		c->counters = true;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	case OPT_VERSION:
		puts("eta-ttcp " ETA_VERSION);
		exit(EXIT_SUCCESS);
	case '?':
		fputs("Try eta-ttcp --help\n", stderr);
		return EXIT_USAGE;
	default:
		return set_number(call, option, value);
	}
}

static int conclude_receiver(struct call *call)
{
	const char *problem;

	if (!call->listen)
		return wrong_usage("--receive", NULL, "needs --listen ADDRESS:PORT");
	problem = parse_address(call->listen, 1, &call->config.address);
	return problem ? wrong_usage("--listen", call->listen, problem) : 0;
}

static int conclude_transmitter(struct call *call)
{
	struct config *c = &call->config;
	const char *problem = parse_address(call->transmit, 0, &c->address);

	if (problem)
		return wrong_usage("--transmit", call->transmit, problem);
	if (call->listen)
		return wrong_usage("--listen", call->listen, "is the receiver's");
	if (c->total && call->count)
		return wrong_usage("--count and --total", NULL, "expected one of them");
	if (!c->total)
		c->total = (call->count ? call->count : COUNT_DEFAULT) * c->size;
	if (c->latency && c->total / c->size > TRIPS_MAX)
		return wrong_usage("--latency", NULL, "expected at most 100m round trips");
	return 0;
}

static int conclude(struct call *call)
{
	struct config *c = &call->config;

	if (call->receive == (call->transmit != NULL))
		return wrong_usage("--receive, --transmit ADDRESS:PORT", NULL,
				   "expected one of them");
	if (!c->receive_size)
		c->receive_size = c->size;
	return call->receive ? conclude_receiver(call) : conclude_transmitter(call);
}

int main(int argc, char **argv)
{
	struct call call = {
		.config = { .size = SIZE_DEFAULT,
			    .window = WINDOW_DEFAULT,
			    .seed = 1,
			    .pause_ms = 100 },
	};
	int option, err = 0;

	while (!err && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		err = set_option(&call, option, optarg);
	if (!err && optind < argc)
		err = wrong_usage(argv[optind], NULL, "not expected");
	if (!err)
		err = conclude(&call);
	if (err)
		return err;
	signal(SIGPIPE, SIG_IGN);
	err = call.receive ? receive(&call.config) : transmit(&call.config);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
