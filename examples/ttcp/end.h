/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * end.h - what either end of a transfer has: an engine, an event queue and registered memory.
 */
#ifndef EXAMPLES_TTCP_END_H
#define EXAMPLES_TTCP_END_H

#include <dusi/dusi.h>

#include <stddef.h>
#include <stdint.h>

#include "examples/ttcp/ttcp.h"

struct end {
	const struct config *config;
	dusi_ual_t ual;
	dusi_evq_t evq;
	uint8_t *memory;
	size_t size;
	dusi_mem_t mem;
};

/* Says on stderr what failed, and returns -1. */
int end_fail(const char *what, int err);

/* With @size bytes of memory, zeroed. 0 or -1. */
int end_open(struct end *end, const struct config *config, size_t size);
void end_close(struct end *end);

/* A socket whose queues take config.window operations, and a few more. 0 or -1. */
int end_socket(const struct end *end, uint64_t context, dusi_sock_t *sock);

/* Events, how many; none after a second or so, and after a signal. -1. */
int end_wait(const struct end *end, struct dusi_event *events, int max);

#endif
