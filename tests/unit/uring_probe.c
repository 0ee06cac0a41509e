/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* uring_probe.c - can an io_uring be had here? 0: yes; else it says why not. */
#include <stdio.h>
#include <string.h>

#include "fabric/tcp_internal.h"

static void log_line(void *arg, int level, const char *text)
{
	(void)arg;
	(void)level;
	puts(text);
}

int main(void)
{
	struct fab_counters counters;
	struct timers timers;
	const struct fab_env env = {
		.owner = FAB_OWNER_SINGLE, .counters = &counters, .timers = &timers, .log = log_line
	};
	struct fab *fab;
	int err;

	memset(&counters, 0, sizeof(counters));
	timers_init(&timers);
	err = uring_ops.open(&env, &fab);
	if (!err)
		uring_ops.close(fab);
	timers_destroy(&timers);
	return err ? 1 : 0;
}
