/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * workers.h - several processes that serve the same address: copies, which share nothing but that.
 */
#ifndef EXAMPLES_WEBSERVER_WORKERS_H
#define EXAMPLES_WEBSERVER_WORKERS_H

#include "examples/webserver/settings.h"

/*
 * Starts settings->workers of them, each of which runs @serve (its value is the exit code; it calls
 * @ready when clients may come), prints the address, starts another for each that dies, passes
 * signals on, and returns an exit code when all have ended.
 */
int workers_run(struct settings *settings, int argc, char **argv,
		int (*serve)(const struct settings *settings, int argc, char **argv, int ready));

/* In a worker, and elsewhere: tells that clients may come. */
void workers_ready(int ready);

void announce(const struct sockaddr_storage *address);

#endif
