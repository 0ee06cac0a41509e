/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* clock.c - the rate of the time stamp counter. */
#include <pthread.h>

#include "ppe/clock.h"

uint64_t clock_ticks_per_us = 1000;

#define CALIBRATION_NS 200000

static void calibrate(void)
{
	uint64_t ns0 = timer_now_ns(), t0 = clock_ticks(), ns, ticks;

	do {
		ns = timer_now_ns() - ns0;
		ticks = clock_ticks() - t0;
	} while (ns < CALIBRATION_NS);

	if (ticks * 1000 / ns)
		clock_ticks_per_us = ticks * 1000 / ns;
}

void clock_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, calibrate);
}
