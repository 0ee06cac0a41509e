/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * meter.h - measuring a transfer and reporting it.
 */
#ifndef EXAMPLES_TTCP_METER_H
#define EXAMPLES_TTCP_METER_H

#include <dusi/dusi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "examples/ttcp/ttcp.h"

struct meter {
	uint64_t bytes;
	uint64_t operations;
	uint32_t *rtt_ns; /* round trips; NULL: not measured */
	size_t rtts;
	/* internal */
	bool show_progress;
	uint64_t begin_ns, end_ns, shown_ns, shown_bytes;
	struct rusage cpu_begin, cpu_end;
};

uint64_t meter_now_ns(void);

void meter_start(struct meter *m);
/* Call it often: it tells a terminal, once a second, how far things are. */
void meter_progress(struct meter *m);
void meter_stop(struct meter *m);

/* Prints the result; sorts the round trips. @role: "transmitted" or "received". */
void meter_report(struct meter *m, const struct config *config, const char *role, dusi_ual_t ual);

#endif
