/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * signals.c - what signals have asked for.
 */
#include "examples/webserver/signals.h"

#include <stddef.h>

volatile sig_atomic_t signals_stop, signals_reload;

static void on_signal(int number)
{
	if (number == SIGHUP)
		signals_reload = 1;
	else
		signals_stop++;
}

/* No SA_RESTART: a signal ends the wait for events. */
void signals_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* a log that nobody reads any more is no reason to end */
	signal(SIGPIPE, SIG_IGN);
}
