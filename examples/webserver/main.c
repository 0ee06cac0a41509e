/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * main.c - eta-webserver: a small web server on asynchronous sockets. Options, limits and signals.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "examples/common/parse.h"
#include "examples/webserver/server.h"

#define EXIT_USAGE 2
#define CONNECTIONS_DEFAULT 4096
#define CONNECTIONS_MAX 1000000
#define TIMEOUT_DEFAULT 30
#define OTHER_FILES 64 /* descriptors that are no connection's */

static volatile sig_atomic_t stop;

static const char usage[] =
	"usage: eta-webserver --listen ADDRESS:PORT [OPTION]... DIRECTORY\n"
	"Serves the files in DIRECTORY over HTTP/1.1, on the asynchronous sockets of libdusi.\n"
	"\n"
	"  --listen ADDRESS:PORT  where to listen: 127.0.0.1:8080, [::1]:8080, *:8080; port 0: any\n"
	"  --connections N        most connections at a time (default 4096); more wait\n"
	"  --placement P          where the engine runs: inline (default, unless ETA_PPE says\n"
	"                         otherwise), adaptive, dedicated, dedicated:CPU\n"
	"  --timeout SECONDS      patience with clients (default 30): for a request to come whole,\n"
	"                         and for a response to be taken\n"
	"  --help                 print this and exit\n"
	"  --version              print the version and exit\n"
	"\n"
	"Prints \"listening on ADDRESS:PORT\" when clients may come. SIGINT and SIGTERM end it: responses\n"
	"that have begun are sent first, for up to 5 seconds; a second signal ends it at once.\n"
	"\n"
	"Exit status: 0 ended by a signal; 1 cannot serve, stderr says why; 2 wrong usage.\n";

static void on_signal(int number)
{
	(void)number;
	stop++;
}

/* No SA_RESTART: a signal ends the wait for events. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* a log that nobody reads any more is no reason to end */
	signal(SIGPIPE, SIG_IGN);
}

static int wrong_usage(const char *what, const char *value, const char *why)
{
	fprintf(stderr, "eta-webserver: %s%s%s: %s\nTry eta-webserver --help\n", what,
		value ? " " : "", value ? value : "", why);
	return EXIT_USAGE;
}

static int set_number(const char *option, const char *text, uint64_t most, uint32_t *value)
{
	char why[64];
	uint64_t number;

	if (parse_number(text, 0, 1, most, &number)) {
		snprintf(why, sizeof(why), "expected a number from 1 to %llu",
			 (unsigned long long)most);
		return wrong_usage(option, text, why);
	}
	*value = (uint32_t)number;
	return 0;
}

static int set_listen(struct server_config *config, const char *text)
{
	struct address address;
	const char *problem = parse_address(text, 1, &address);

	if (problem)
		return wrong_usage("--listen", text, problem);
	config->address = address.storage;
	config->address_len = address.len;
	return 0;
}

static int set_option(struct server_config *config, int option, const char *value)
{
	switch (option) {
	case 'l':
		return set_listen(config, value);
	case 'c':
		return set_number("--connections", value, CONNECTIONS_MAX, &config->connections);
	case 't':
		return set_number("--timeout", value, 86400, &config->timeout_s);
	case 'p':
		config->placement = value;
		return 0;
	case 'h':
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	case 'V':
		puts("eta-webserver " ETA_VERSION);
		exit(EXIT_SUCCESS);
	default:
		fputs("Try eta-webserver --help\n", stderr);
		return EXIT_USAGE;
	}
}

static int parse_options(struct server_config *config, int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "connections", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 't' },
		{ "placement", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		err = set_option(config, option, optarg);
		if (err)
			return err;
	}
	if (!config->address_len)
		return wrong_usage("--listen ADDRESS:PORT", NULL, "is required");
	if (argc - optind != 1)
		return wrong_usage("DIRECTORY", NULL, "expected one");
	config->folder = argv[optind];
	return 0;
}

/* One descriptor per connection: asks for as many as it may have, and makes do with those. */
static void fit_limits(struct server_config *config)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= config->connections + OTHER_FILES)
		return;
	config->connections = limit.rlim_cur > 2 * OTHER_FILES
				      ? (uint32_t)limit.rlim_cur - OTHER_FILES
				      : OTHER_FILES;
	fprintf(stderr,
		"eta-webserver: the limit of open files allows %u connections; "
		"raise it (ulimit -n) for more\n",
		config->connections);
}

static void announce(const struct server *s)
{
	struct sockaddr_storage address;
	char text[PARSE_ADDRESS_MAX];

	if (server_address(s, &address))
		return;
	format_address(&address, text);
	printf("listening on %s\n", text);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct server_config config = {
		.connections = CONNECTIONS_DEFAULT,
		.timeout_s = TIMEOUT_DEFAULT,
	};
	static struct server server;
	int err = parse_options(&config, argc, argv);

	if (err)
		return err;
	/* one thread that waits for events all the time needs no second one */
	if (!config.placement && !getenv("ETA_PPE"))
		config.placement = "inline";
	fit_limits(&config);
	catch_signals();
	if (server_create(&server, &config))
		return EXIT_FAILURE;
	announce(&server);
	err = server_run(&server, &stop);
	server_destroy(&server);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
