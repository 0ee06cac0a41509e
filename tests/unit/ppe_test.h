/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ppe_test.h - what the engine's tests share: one engine over the stub fabric, with one event queue
 * and all of memory registered, and short forms of the calls they make again and again.
 */
#ifndef PPE_TEST_H
#define PPE_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/stub_fabric.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Sanitizers cost a factor: long tests do less. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SLOW 1
#else
#define TEST_SLOW 0
#endif

/* $CMOCKA_TEST_FILTER also where CMocka itself does not know it yet. */
#define test_run(tests, setup)                                                                     \
	(cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER")),                                     \
	 cmocka_run_group_tests(tests, setup, NULL))

struct bench {
	struct ppe_ual *ual;
	struct fab *fab;
	struct ppe_evq *q;
	struct ppe_mr all; /* the whole address space */
};

/* Inline placement: nothing happens but in the calls of the test. */
void bench_open(struct bench *b, const struct ppe_ual_attr *attr, uint32_t evq_size);
void bench_close(struct bench *b);

struct ppe_evq *evq_new(struct ppe_ual *ual, uint32_t size, unsigned flags);

/* A DTI, with @slots in either queue; and one that is connected. */
struct ppe_dti *dti_new(struct bench *b, struct ppe_evq *q, enum ppe_service service,
			uint32_t slots);
struct ppe_dti *dti_connected(struct bench *b, enum ppe_service service, uint32_t slots);
/* Takes the one event that must be there, and compares. */
struct ppe_event expect(struct ppe_evq *q, enum ppe_event_type type, uint64_t tag, int status,
			uint64_t len);
/* Runs turns; there must be no event. */
void expect_none(struct ppe_evq *q);
/* Runs the engine for @n turns. */
void turns(struct ppe_ual *ual, int n);

struct ppe_sge sge_of(struct bench *b, const void *addr, uint32_t len);
int send_mem(struct bench *b, struct ppe_dti *d, uint64_t tag, const void *addr, uint32_t len,
	     unsigned flags);
int send_inline(struct ppe_dti *d, uint64_t tag, const void *data, uint32_t len, unsigned flags);
int recv_mem(struct bench *b, struct ppe_dti *d, uint64_t tag, void *addr, uint32_t len);

/* Byte @i of a stream that looks different everywhere. */
static inline uint8_t pattern(uint64_t i)
{
	return (uint8_t)((i * 0x9e3779b97f4a7c15ull) >> 56);
}
void pattern_fill(uint8_t *p, uint64_t from, size_t len);
/* Index of the first byte that differs, or @len. */
size_t pattern_check(const uint8_t *p, uint64_t from, size_t len);

/* xorshift; every test seeds it itself. */
static inline uint64_t rnd(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
static inline uint32_t rnd_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((rnd(state) >> 32) % n);
}
/* $ETA_TEST_SEED, or @fallback; prints it. */
uint64_t test_seed(uint64_t fallback);

#endif
