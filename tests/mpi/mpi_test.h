/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mpi_test.h - what the MPI test programs share: options, sections, expectations, a pattern.
 *
 * A program is a list of sections that all ranks run together, in order. Rank 0 prints a line for
 * each. Whoever first sees something wrong says so and ends all ranks by MPI_Abort; a rank that
 * hangs is ended by its own alarm.
 */
#ifndef MPI_TEST_H
#define MPI_TEST_H

#include <mpi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_section {
	const char *name;
	void (*run)(void);
};

struct test_program {
	const char *name, *about;
	int min_ranks;
	long count; /* default of --count; 0: the program has no such option */
	const char *count_about;
	const struct test_section *sections; /* up to one without a name */
};

extern int test_rank, test_size; /* in MPI_COMM_WORLD */
extern long test_count;          /* --count */

/* What main() returns. */
int test_main(const struct test_program *program, int argc, char **argv);

/* Adds to the line that rank 0 prints for this section; ignored on other ranks. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what is wrong, with the program, the rank and the section, and ends all ranks. */
_Noreturn void test_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* what: a printf format that names the value; evaluated only if the two differ. */
#define test_expect(expected, seen, ...)                                                           \
	do {                                                                                       \
		long long test_e = (expected), test_s = (seen);                                    \
		if (test_e != test_s)                                                              \
			test_differ(test_e, test_s, __VA_ARGS__);                                  \
	} while (0)
_Noreturn void test_differ(long long expected, long long seen, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A status says where its message came from, with which tag and of how many bytes. */
void test_expect_status(const char *what, const MPI_Status *status, int source, int tag, int bytes);

/* Never NULL; of at least one byte. */
void *test_alloc(size_t size);

/* Messages carry a pattern that depends on the seed, on a key and on the position. */
void test_fill(void *buf, size_t len, uint64_t key);
void test_check(const char *what, const void *buf, size_t len, uint64_t key);
/* A key for a message. */
uint64_t test_key(int source, int dest, int tag, int number);

/* A generator that gives all ranks the same numbers, if they ask the same. */
struct test_random {
	uint64_t state;
};
struct test_random test_random(uint64_t key);
/* 0 to below - 1 */
uint32_t test_draw(struct test_random *r, uint32_t below);

void test_sleep_ms(unsigned ms);
uint64_t test_now_ns(void);

#endif
