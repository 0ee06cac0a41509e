/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* pingpong.h - two ways to measure one round trip: half of it, in microseconds. */
#ifndef BENCH_PINGPONG_H
#define BENCH_PINGPONG_H

/* The bare loop; bare.c. 0, or -1 */
int bare_pingpong(int size, int iterations, double *usec);
/* The program fi_pingpong; fi_pingpong.c. 0, or -1 (having shown what it said). */
int fi_pingpong(const char *provider, int size, int iterations, double *usec);

#endif
