/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * signals.h - what signals have asked for.
 */
#ifndef EXAMPLES_WEBSERVER_SIGNALS_H
#define EXAMPLES_WEBSERVER_SIGNALS_H

#include <signal.h>

extern volatile sig_atomic_t signals_stop;   /* SIGINT and SIGTERM, counted */
extern volatile sig_atomic_t signals_reload; /* SIGHUP came; whoever acts on it clears it */

void signals_catch(void);

#endif
