/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_test.c - options, sections, expectations and the pattern of the MPI test programs. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mpi_test.h"

int test_rank, test_size;
long test_count;

static const struct test_program *program;
static const struct test_section *current;
static uint64_t seed = 1;
static long seconds = 60;
static const char *only;
static char note[160];
static char late[160]; /* what the alarm says; made beforehand, for its handler may not format */

/* ------------------------------------------------------------------------------- failing */

static void fail_start(void)
{
	printf("%s: rank %d: section %s: ", program->name, test_rank,
	       current ? current->name : "start");
}

_Noreturn static void fail_end(void)
{
	printf("\n");
	fflush(stdout);
	MPI_Abort(MPI_COMM_WORLD, 1);
	exit(1);
}

_Noreturn void test_fail(const char *format, ...)
{
	va_list args;

	fail_start();
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fail_end();
}

_Noreturn void test_differ(long long expected, long long seen, const char *format, ...)
{
	va_list args;

	fail_start();
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": expected %lld, seen %lld", expected, seen);
	fail_end();
}

/* Errors of MPI itself are failures of the section, too. */
static void on_mpi_error(MPI_Comm *comm, int *code, ...)
{
	char text[MPI_MAX_ERROR_STRING];
	int len;

	(void)comm;
	MPI_Error_string(*code, text, &len);
	test_fail("MPI says: %s", text);
}

/* A rank that waits in MPI cannot be asked: it is ended, and mpirun then ends the others. */
static void on_alarm(int signal)
{
	ssize_t ignored = write(STDOUT_FILENO, late, strlen(late));

	(void)signal;
	(void)ignored;
	_exit(3);
}

static void set_alarm_text(void)
{
	snprintf(late, sizeof(late), "%s: rank %d: section %s: no end after %ld s in all\n",
		 program->name, test_rank, current ? current->name : "start", seconds);
}

void test_expect_status(const char *what, const MPI_Status *status, int source, int tag, int bytes)
{
	int count;

	MPI_Get_count(status, MPI_BYTE, &count);
	test_expect(source, status->MPI_SOURCE, "%s: source", what);
	test_expect(tag, status->MPI_TAG, "%s: tag", what);
	test_expect(bytes, count, "%s: bytes", what);
}

/* ------------------------------------------------------------------------------- pattern */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

void test_fill(void *buf, size_t len, uint64_t key)
{
	uint64_t base = mix(seed ^ mix(key)), word;
	uint8_t *at = buf;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		word = mix(base + i);
		memcpy(at + i, &word, len - i < sizeof(word) ? len - i : sizeof(word));
	}
}

_Noreturn static void bad_byte(const char *what, const uint8_t *at, const uint8_t *word, size_t i,
			       size_t len)
{
	unsigned j = 0;

	while (at[i + j] == word[j])
		j++;
	test_fail("%s: byte %zu of %zu: expected 0x%02x, seen 0x%02x", what, i + j, len, word[j],
		  at[i + j]);
}

void test_check(const char *what, const void *buf, size_t len, uint64_t key)
{
	uint64_t base = mix(seed ^ mix(key)), word;
	const uint8_t *at = buf;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		word = mix(base + i);
		if (memcmp(at + i, &word, len - i < sizeof(word) ? len - i : sizeof(word)))
			bad_byte(what, at, (uint8_t *)&word, i, len);
	}
}

uint64_t test_key(int source, int dest, int tag, int number)
{
	return mix(mix(((uint64_t)(uint32_t)source << 32) | (uint32_t)dest) ^
		   (((uint64_t)(uint32_t)tag << 32) | (uint32_t)number));
}

struct test_random test_random(uint64_t key)
{
	return (struct test_random){ mix(seed) ^ mix(key) };
}

uint32_t test_draw(struct test_random *r, uint32_t below)
{
	r->state++;
	return mix(r->state) % below;
}

/* --------------------------------------------------------------------------------- small */

void *test_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		test_fail("no memory: %zu bytes", size);
	return p;
}

void test_sleep_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

uint64_t test_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void test_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(note, sizeof(note), format, args);
	va_end(args);
}

/* ------------------------------------------------------------------------------- options */

static void usage(FILE *to)
{
	fprintf(to, "usage: mpirun -n RANKS %s [OPTION]...\n%s\n\n", program->name, program->about);
	if (program->count)
		fprintf(to, "  --count N       %s (default %ld)\n", program->count_about,
			program->count);
	fprintf(to,
		"  --only SECTION  this section alone\n"
		"  --seed N        of the content, and of what is random (default %llu)\n"
		"  --seconds N     the time for everything; then the program fails (default %ld)\n"
		"  --help\n\nSections:",
		(unsigned long long)seed, seconds);
	for (const struct test_section *s = program->sections; s->name; s++)
		fprintf(to, " %s", s->name);
	fprintf(to,
		"\n\nPrints a line \"ok SECTION ...\" for each. At the first thing wrong, prints which "
		"rank and\nsection, what was expected and what was seen, and ends all ranks.\n");
}

static bool number(const char *text, long min, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	return !errno && end != text && !*end && *out >= min;
}

static bool option(const char *name, const char *value)
{
	long n;

	if (!strcmp(name, "--only")) {
		only = value;
		for (const struct test_section *s = program->sections; s->name; s++)
			if (!strcmp(s->name, value))
				return true;
		return false;
	}
	if (!strcmp(name, "--seed") && number(value, 0, &n)) {
		seed = (uint64_t)n;
		return true;
	}
	if (!strcmp(name, "--seconds"))
		return number(value, 1, &seconds);
	return !strcmp(name, "--count") && program->count && number(value, 1, &test_count);
}

static void options(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		if (!strcmp(argv[i], "--help")) {
			usage(stdout);
			exit(0);
		}
		if (i + 1 == argc || !option(argv[i], argv[i + 1])) {
			fprintf(stderr, "%s: what is %s %s?\n\n", program->name, argv[i],
				i + 1 < argc ? argv[i + 1] : "");
			usage(stderr);
			exit(2);
		}
	}
}

/* ------------------------------------------------------------------------------ sections */

static void run(const struct test_section *section)
{
	uint64_t start;

	current = section;
	set_alarm_text();
	note[0] = 0;
	MPI_Barrier(MPI_COMM_WORLD);
	start = test_now_ns();
	section->run();
	MPI_Barrier(MPI_COMM_WORLD);
	if (test_rank == 0) {
		printf("ok %s%s%s (%u ms)\n", section->name, note[0] ? ": " : "", note,
		       (unsigned)((test_now_ns() - start) / 1000000));
		fflush(stdout);
	}
}

int test_main(const struct test_program *the_program, int argc, char **argv)
{
	MPI_Errhandler handler;

	program = the_program;
	test_count = program->count;
	options(argc, argv);
	set_alarm_text();
	signal(SIGALRM, on_alarm);
	alarm((unsigned)seconds);

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &test_rank);
	MPI_Comm_size(MPI_COMM_WORLD, &test_size);
	MPI_Comm_create_errhandler(on_mpi_error, &handler);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
	MPI_Comm_set_errhandler(MPI_COMM_SELF, handler);
	MPI_Errhandler_free(&handler);
	if (test_size < program->min_ranks)
		test_fail("%d ranks or more are needed", program->min_ranks);
	for (const struct test_section *s = program->sections; s->name; s++)
		if (!only || !strcmp(only, s->name))
			run(s);
	MPI_Finalize();
	return 0;
}
