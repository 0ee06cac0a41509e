// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Runs a fuzz target without libFuzzer: every seed as it is, then a fixed pseudo-random series of
 * mutations of the seeds. Finds less than a coverage-guided fuzzer, but runs wherever ctest does,
 * and fails the same way each time.
 *
 * Each input is placed so that it ends at the last byte of a page whose successor may not be
 * read: a decoder that reads one byte too many stops there, sanitizer or not.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

struct seed {
	uint8_t *data;
	size_t size;
};

struct seeds {
	struct seed *entries;
	size_t count;
};

struct arena {
	uint8_t *end; /* first byte that may not be read */
	size_t size;
};

/* What is being run, for the report of a crash. */
static struct {
	const uint8_t *data;
	size_t size;
	uint64_t run;
} current;

static const char usage[] =
	"usage: %s [--runs N] [--seed N] [--max-length N] SEED-FILE-OR-FOLDER...\n"
	"Runs the fuzz target on each seed, then on N mutations of them.\n";

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s: %s\n", what, detail, strerror(errno));
	exit(EXIT_FAILURE);
}

/* splitmix64: any state is a good one, so seeds may be small numbers. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static size_t random_below(uint64_t *state, size_t limit)
{
	return limit ? random_next(state) % limit : 0;
}

static void arena_create(struct arena *arena, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (size + page) / page * page;
	uint8_t *base;

	base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE))
		die("mmap", "input pages");
	arena->end = base + room;
	arena->size = room;
}

static void run_one(const struct arena *arena, const uint8_t *data, size_t size, uint64_t run)
{
	uint8_t *input = arena->end - size;

	if (size)
		memmove(input, data, size);
	current.data = input;
	current.size = size;
	current.run = run;
	LLVMFuzzerTestOneInput(input, size);
	current.data = NULL;
}

/* Only write(2), which a signal handler may call, and no allocation. */
static void report_crash(int number)
{
	static const char digits[] = "0123456789abcdef";
	char line[3];
	size_t i;

	(void)!write(STDERR_FILENO, "fuzz: the input, in hex: ", 25);
	for (i = 0; current.data && i < current.size; i++) {
		line[0] = digits[current.data[i] >> 4];
		line[1] = digits[current.data[i] & 15];
		(void)!write(STDERR_FILENO, line, 2);
	}
	(void)!write(STDERR_FILENO, "\n", 1);
	signal(number, SIG_DFL);
	raise(number);
}

/* A sanitizer's own handler stays: it says more, and then aborts, which is caught here. */
static void catch_crashes(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	struct sigaction action;
	size_t i;

	for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
		if (sigaction(crashes[i], NULL, &action) || action.sa_handler != SIG_DFL)
			continue;
		action.sa_handler = report_crash;
		sigaction(crashes[i], &action, NULL);
	}
}

static void seed_add(struct seeds *seeds, const char *path)
{
	struct seed seed = { 0 };
	size_t room = 0;
	FILE *file = fopen(path, "rb");

	if (!file)
		die("fopen", path);
	do {
		room += 4096;
		seed.data = realloc(seed.data, room);
		if (!seed.data)
			die("realloc", path);
		seed.size += fread(seed.data + seed.size, 1, room - seed.size, file);
	} while (seed.size == room);
	if (ferror(file))
		die("fread", path);
	fclose(file);

	seeds->entries = realloc(seeds->entries, (seeds->count + 1) * sizeof(seed));
	if (!seeds->entries)
		die("realloc", path);
	seeds->entries[seeds->count++] = seed;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* In the order of the names, so that a run number means the same input on every machine. */
static void seed_add_folder(struct seeds *seeds, const char *folder)
{
	struct dirent **names;
	char path[4096];
	int count, i;

	count = scandir(folder, &names, is_visible, alphasort);
	if (count < 0)
		die("scandir", folder);
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		seed_add(seeds, path);
		free(names[i]);
	}
	free(names);
}

static void seeds_free(struct seeds *seeds)
{
	size_t i;

	for (i = 0; i < seeds->count; i++)
		free(seeds->entries[i].data);
	free(seeds->entries);
}

/* Values at which length fields and counters tend to break. */
static uint64_t edge_value(uint64_t *state)
{
	static const uint64_t edges[] = { 0,          1,          2,        0x7f,      0x80,
					  0xff,       0x7fff,     0x8000,   0xffff,    0x7fffffff,
					  0x80000000, 0xffffffff, 1u << 20, UINT64_MAX };

	return edges[random_below(state, sizeof(edges) / sizeof(edges[0]))];
}

static size_t mutate_insert(uint8_t *data, size_t size, size_t max, uint64_t *state)
{
	size_t at = random_below(state, size + 1);
	size_t count = 1 + random_below(state, 64);
	size_t i;

	if (count > max - size)
		count = max - size;
	memmove(data + at + count, data + at, size - at);
	for (i = 0; i < count; i++)
		data[at + i] = (uint8_t)random_next(state);
	return size + count;
}

static size_t mutate_remove(uint8_t *data, size_t size, uint64_t *state)
{
	size_t at = random_below(state, size);
	size_t count = 1 + random_below(state, size - at);

	memmove(data + at, data + at + count, size - at - count);
	return size - count;
}

static void mutate_edge(uint8_t *data, size_t size, uint64_t *state)
{
	size_t width = (size_t)1 << random_below(state, 4);
	uint64_t value = edge_value(state);
	size_t at, i;

	if (size < width)
		return;
	at = random_below(state, size - width + 1);
	for (i = 0; i < width; i++)
		data[at + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

/* Takes the tail of another seed: frames of one kind where another was due. */
static size_t mutate_splice(uint8_t *data, size_t size, size_t max, const struct seed *other,
			    uint64_t *state)
{
	size_t keep = random_below(state, size + 1);
	size_t from = random_below(state, other->size + 1);
	size_t count = other->size - from;

	if (count > max - keep)
		count = max - keep;
	if (count)
		memcpy(data + keep, other->data + from, count);
	return keep + count;
}

static size_t mutate(uint8_t *data, size_t size, size_t max, const struct seeds *seeds,
		     uint64_t *state)
{
	size_t kind = random_below(state, 6);

	if (size == 0 || kind == 0)
		return mutate_insert(data, size, max, state);
	switch (kind) {
	case 1:
		return mutate_remove(data, size, state);
	case 2:
		data[random_below(state, size)] ^= (uint8_t)(1u << random_below(state, 8));
		return size;
	case 3:
		data[random_below(state, size)] = (uint8_t)random_next(state);
		return size;
	case 4:
		mutate_edge(data, size, state);
		return size;
	default:
		return mutate_splice(data, size, max,
				     &seeds->entries[random_below(state, seeds->count)], state);
	}
}

static void run_mutations(const struct arena *arena, const struct seeds *seeds, uint64_t runs,
			  uint64_t seed, size_t max)
{
	uint8_t *work = malloc(max);
	uint64_t run;

	if (!work)
		die("malloc", "mutation buffer");
	for (run = 0; run < runs; run++) {
		/* Each run depends on its number alone, so that one can be repeated. */
		uint64_t state = seed * 0x100000001b3 + run;
		const struct seed *from = &seeds->entries[random_below(&state, seeds->count)];
		size_t size = from->size < max ? from->size : max;
		size_t steps = 1 + random_below(&state, 8);

		if (size)
			memcpy(work, from->data, size);
		while (steps--)
			size = mutate(work, size, max, seeds, &state);
		run_one(arena, work, size, run);
	}
	free(work);
}

static uint64_t parse_number(const char *option, const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = text ? strtoull(text, &end, 0) : 0;
	if (!text || errno || *end || end == text) {
		fprintf(stderr, "%s needs a number\n", option);
		exit(EXIT_FAILURE);
	}
	return value;
}

int main(int argc, char **argv)
{
	uint64_t runs = 0, seed = 1;
	size_t max = 4096, largest, i;
	struct seeds seeds = { 0 };
	struct arena arena;
	struct stat status;
	int arg;

	for (arg = 1; arg < argc; arg++) {
		if (strcmp(argv[arg], "--runs") == 0) {
			runs = parse_number("--runs", argv[++arg]);
		} else if (strcmp(argv[arg], "--seed") == 0) {
			seed = parse_number("--seed", argv[++arg]);
		} else if (strcmp(argv[arg], "--max-length") == 0) {
			max = parse_number("--max-length", argv[++arg]);
		} else if (argv[arg][0] == '-') {
			fprintf(stderr, usage, argv[0]);
			return EXIT_FAILURE;
		} else if (stat(argv[arg], &status)) {
			die("stat", argv[arg]);
		} else if (S_ISDIR(status.st_mode)) {
			seed_add_folder(&seeds, argv[arg]);
		} else {
			seed_add(&seeds, argv[arg]);
		}
	}
	if (seeds.count == 0 || max == 0) {
		fprintf(stderr, usage, argv[0]);
		return EXIT_FAILURE;
	}

	largest = max;
	for (i = 0; i < seeds.count; i++)
		largest = seeds.entries[i].size > largest ? seeds.entries[i].size : largest;
	arena_create(&arena, largest);
	catch_crashes();
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);

	run_one(&arena, NULL, 0, 0);
	for (i = 0; i < seeds.count; i++)
		run_one(&arena, seeds.entries[i].data, seeds.entries[i].size, i);
	run_mutations(&arena, &seeds, runs, seed, max);

	printf("%zu seeds, %" PRIu64 " mutations, seed %" PRIu64 "\n", seeds.count, runs, seed);
	munmap(arena.end - arena.size, arena.size + (size_t)sysconf(_SC_PAGESIZE));
	seeds_free(&seeds);
	return EXIT_SUCCESS;
}
