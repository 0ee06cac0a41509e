/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bare_engine.h - an engine without connections: the real UAL, event queues, ownership and thread over a
 * fabric that can sleep and be kicked, and nothing else. For what has no DTI in it.
 */
#ifndef BARE_ENGINE_H
#define BARE_ENGINE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ppe/remote.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SLOW 1
#else
#define TEST_SLOW 0
#endif

/* Run in each turn, where a real fabric would harvest; NULL: nothing. */
extern void (*bare_progress)(void);

struct ppe_ual *bare_open(const char *placement);

/* xorshift; every test seeds it itself. */
static inline uint64_t bare_rnd(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

#endif
