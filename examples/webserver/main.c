/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * main.c - eta-webserver: a static web server on asynchronous input and output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <dusi/dusi.h>

#include "examples/common/parse.h"
#include "examples/webserver/server.h"
#include "examples/webserver/signals.h"
#include "examples/webserver/workers.h"

#define OTHER_FILES (64 + FILES_OPEN_MAX) /* descriptors that are no connection's */

/* One descriptor per connection: asks for as many as it may have, and makes do with those. */
static void fit_limits(struct settings *settings)
{
	struct rlimit limit;

	settings->fits = settings->connections;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= settings->connections + OTHER_FILES)
		return;
	settings->fits =
		limit.rlim_cur > 2 * OTHER_FILES ? limit.rlim_cur - OTHER_FILES : OTHER_FILES;
	fprintf(stderr,
		"eta-webserver: the limit of open files allows %llu connections; "
		"raise it (ulimit -n) for more\n",
		(unsigned long long)settings->fits);
}

void announce(const struct sockaddr_storage *address)
{
	char text[PARSE_ADDRESS_MAX];

	format_address(address, text);
	printf("listening on %s\n", text);
	fflush(stdout);
}

static void say(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "eta-webserver: %s\n", text);
}

/* @ready: where a worker's parent waits to hear of it; -1: there is none. */
static int serve(const struct settings *settings, int argc, char **argv, int ready)
{
	static struct server server;
	struct sockaddr_storage address;
	int err;

	/* why it cannot begin; later it would be told of each accept that finds no descriptor */
	Dusi_Set_Log(say, NULL);
	if (server_create(&server, settings, argc, argv))
		return EXIT_FAILURE;
	Dusi_Set_Log(NULL, NULL);
	if (ready < 0 && !server_address(&server, &address))
		announce(&address);
	workers_ready(ready);
	err = server_run(&server);
	server_destroy(&server);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct settings settings;
	int err = settings_load(&settings, argc, argv);

	if (err)
		return err < 0 ? EXIT_SUCCESS : err;
	fit_limits(&settings);
	signals_catch();
	if (settings.workers > 1)
		return workers_run(&settings, argc, argv, serve);
	return serve(&settings, argc, argv, -1);
}
