/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_segment.c - memory for rings: zeroed, aligned, apart, used again, not in a child. */
#include "tests/unit/ppe_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const size_t sizes[] = {
	1, 63, 64, 65, 4096, 65535, 65536, 65537, 1 << 20, (1 << 20) - 64, 3 << 20,
};

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len && !p[len - 1])
		len--;
	return !len;
}

static void segment_pieces_are_zeroed_and_aligned(void **state)
{
	struct segment s;

	(void)state;
	assert_int_equal(segment_init(&s), 0);
	for (int round = 0; round < 5; round++) {
		uint8_t *piece[COUNT(sizes)];

		for (size_t i = 0; i < COUNT(sizes); i++) {
			piece[i] = segment_alloc(&s, sizes[i]);
			assert_non_null(piece[i]);
			assert_int_equal((uintptr_t)piece[i] % PPE_CACHE_LINE, 0);
			assert_true(is_zero(piece[i], sizes[i]));
			memset(piece[i], 0xff, sizes[i]);
		}
		for (size_t i = 0; i < COUNT(sizes); i++)
			segment_free(&s, piece[i], sizes[i]);
	}
	segment_free(&s, NULL, 10);
	segment_destroy(&s);
	assert_null(s.chunks);
}

static void segment_uses_pieces_again(void **state)
{
	struct segment s;
	void *first;

	(void)state;
	assert_int_equal(segment_init(&s), 0);
	first = segment_alloc(&s, 1000);
	for (int i = 0; i < 100000; i++) {
		segment_free(&s, first, 1000);
		assert_ptr_equal(segment_alloc(&s, 1001), first);
	}
	segment_destroy(&s);
}

/* With chance's help: what is written into a piece stays. */
static void segment_pieces_are_apart(void **state)
{
	enum { N = 64 };
	struct {
		uint8_t *p;
		size_t len;
		uint8_t mark;
	} held[N] = { 0 };
	uint64_t seed = test_seed(11);
	struct segment s;

	(void)state;
	assert_int_equal(segment_init(&s), 0);
	for (int step = 0; step < 20000; step++) {
		unsigned i = rnd_below(&seed, N);

		if (held[i].p) {
			for (size_t k = 0; k < held[i].len; k += 1 + held[i].len / 7)
				assert_int_equal(held[i].p[k], held[i].mark);
			segment_free(&s, held[i].p, held[i].len);
		}
		held[i].len = 1 + rnd_below(&seed, rnd_below(&seed, 20) ? 3000 : 200000);
		held[i].mark = step | 1;
		held[i].p = segment_alloc(&s, held[i].len);
		assert_non_null(held[i].p);
		memset(held[i].p, held[i].mark, held[i].len);
	}
	segment_destroy(&s);
}

/* A child that looks at a ring has missed the check for being one. */
static void segment_is_not_in_a_child(void **state)
{
	struct segment s;
	_Atomic uint8_t *p;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(segment_init(&s), 0);
	p = segment_alloc(&s, 100);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(*p);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	segment_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_pieces_are_zeroed_and_aligned),
		cmocka_unit_test(segment_uses_pieces_again),
		cmocka_unit_test(segment_pieces_are_apart),
		cmocka_unit_test(segment_is_not_in_a_child),
	};

	return test_run(tests, NULL);
}
