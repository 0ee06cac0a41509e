/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ttcp.h - eta-ttcp: how it was called, and its two sides.
 */
#ifndef EXAMPLES_TTCP_TTCP_H
#define EXAMPLES_TTCP_TTCP_H

#include <stdbool.h>
#include <stdint.h>

#include "examples/common/parse.h"

struct config {
	struct address address;
	const char *placement; /* NULL: the engine's default */
	uint64_t size;         /* bytes of an operation */
	uint64_t total;        /* bytes to transmit */
	uint64_t receive_size; /* bytes of a receive buffer */
	uint64_t window;       /* operations in flight */
	uint64_t seed;         /* of the pattern */
	uint64_t pause_every;  /* bytes; 0: no pauses */
	uint64_t pause_ms;
	uint64_t late_ms; /* from the connection to the first receive */
	bool latency;
	bool verify;
	bool forever;
	bool poll;
	bool json;
	bool counters;
};

/* Each returns 0, or -1 when it has said on stderr what went wrong. */
int transmit(const struct config *config);
int receive(const struct config *config);

#endif
