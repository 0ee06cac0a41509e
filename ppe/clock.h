/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * clock.h - a cheap clock for heuristics: how long ago somebody polled, how old a doorbell is. The
 * processor's time stamp counter where there is one (16 ns against 38 for the system's clock);
 * nothing that must be right depends on it.
 */
#ifndef PPE_CLOCK_H
#define PPE_CLOCK_H

#include <stdint.h>
#include <time.h>
#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

#include "fabric/timer.h"

/* Ticks per microsecond; set once by clock_init(). */
extern uint64_t clock_ticks_per_us;

/* Measures the counter's rate once per process (about 0.2 ms); any thread. */
void clock_init(void);

static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __rdtsc();
#else
	return timer_now_ns();
#endif
}

static inline uint64_t clock_us(uint64_t us)
{
	return us * clock_ticks_per_us;
}

/* Ticks from @since to @now; 0 when the counters of two processors disagree about the order. */
static inline uint64_t clock_age(uint64_t now, uint64_t since)
{
	return now > since ? now - since : 0;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	_mm_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
