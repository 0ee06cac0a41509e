/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_rma.c - one-sided operations: put, get, accumulate, atomics; fences, locks, post and start. */
#include <stdlib.h>
#include <string.h>

#include "mpi_test.h"

/* A window of bytes on every rank, with a slot for each rank. */
struct window {
	uint8_t *base;
	size_t slot;
	MPI_Win win;
};

static struct window window_create(size_t slot)
{
	size_t len = slot * (size_t)test_size;
	struct window w = { .slot = slot };

	w.base = test_alloc(len);
	memset(w.base, 0, len);
	MPI_Win_create(w.base, (MPI_Aint)len, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &w.win);
	return w;
}

static void window_free(struct window *w)
{
	MPI_Win_free(&w->win);
	free(w->base);
}

static MPI_Aint slot_of(const struct window *w, int rank)
{
	return (MPI_Aint)(w->slot * (size_t)rank);
}

static const int sizes[] = { 1, 8, 100, 4096, 65537, 1 << 20 };
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

/* ------------------------------------------------------------------------- put, get, fence */

/* Every rank writes its slot on all ranks. */
static void put_to_all(struct window *w, int len, int round)
{
	uint8_t *out = test_alloc((size_t)len * (size_t)test_size);

	for (int r = 0; r < test_size; r++)
		test_fill(out + (size_t)len * (size_t)r, (size_t)len,
			  test_key(test_rank, r, len, round));
	MPI_Win_fence(0, w->win);
	for (int r = 0; r < test_size; r++)
		MPI_Put(out + (size_t)len * (size_t)r, len, MPI_BYTE, r, slot_of(w, test_rank), len,
			MPI_BYTE, w->win);
	MPI_Win_fence(0, w->win);
	free(out);
	for (int r = 0; r < test_size; r++)
		test_check("put", w->base + slot_of(w, r), (size_t)len,
			   test_key(r, test_rank, len, round));
}

static void put_fence(void)
{
	for (int i = 0; i < SIZES; i++) {
		struct window w = window_create((size_t)sizes[i]);

		for (int round = 0; round < 3; round++)
			put_to_all(&w, sizes[i], round);
		window_free(&w);
	}
	test_note("%d sizes, to %d bytes, 3 times", SIZES, sizes[SIZES - 1]);
}

/* Every rank reads its slot of all ranks. */
static void get_fence(void)
{
	for (int i = 0; i < SIZES; i++) {
		size_t len = (size_t)sizes[i];
		struct window w = window_create(len);
		uint8_t *in = test_alloc(len * (size_t)test_size);

		for (int r = 0; r < test_size; r++)
			test_fill(w.base + slot_of(&w, r), len, test_key(test_rank, r, i, 0));
		MPI_Win_fence(0, w.win);
		for (int r = 0; r < test_size; r++)
			MPI_Get(in + len * (size_t)r, (int)len, MPI_BYTE, r, slot_of(&w, test_rank),
				(int)len, MPI_BYTE, w.win);
		MPI_Win_fence(0, w.win);
		for (int r = 0; r < test_size; r++)
			test_check("get", in + len * (size_t)r, len, test_key(r, test_rank, i, 0));
		free(in);
		window_free(&w);
	}
	test_note("%d sizes, to %d bytes", SIZES, sizes[SIZES - 1]);
}

#define ROWS 100
#define COLUMNS 30

/* A column of this rank's matrix becomes a column of its right neighbour's. */
static void put_strided(void)
{
	static int from[ROWS][COLUMNS], to[ROWS][COLUMNS];
	int right = (test_rank + 1) % test_size, left = (test_rank + test_size - 1) % test_size;
	MPI_Datatype column;
	MPI_Win win;

	for (int i = 0; i < ROWS * COLUMNS; i++)
		from[i / COLUMNS][i % COLUMNS] = test_rank * 100000 + i;
	memset(to, 0, sizeof(to));
	MPI_Type_vector(ROWS, 1, COLUMNS, MPI_INT, &column);
	MPI_Type_commit(&column);
	MPI_Win_create(to, sizeof(to), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &win);
	MPI_Win_fence(0, win);
	for (int j = 0; j < COLUMNS; j += 2)
		MPI_Put(&from[0][j], 1, column, right, COLUMNS - 1 - j, 1, column, win);
	MPI_Win_fence(0, win);
	for (int i = 0; i < ROWS; i++) {
		for (int j = 0; j < COLUMNS; j++) {
			int source = COLUMNS - 1 - j;
			int value = left * 100000 + i * COLUMNS + source;

			test_expect(source % 2 ? 0 : value, to[i][j], "row %d, column %d", i, j);
		}
	}
	MPI_Win_free(&win);
	MPI_Type_free(&column);
}

/* ----------------------------------------------------------------------------- accumulate */

#define ELEMENTS 3000

/* What rank r adds to element i of rank "to". */
static int addend(int r, int to, int i)
{
	return (r * 7 + to * 3 + i) % 1000;
}

static long long combined(MPI_Op op, int to, int i)
{
	long long v = 0; /* as the window begins */

	for (int r = 0; r < test_size; r++) {
		int a = addend(r, to, i);

		if (op == MPI_SUM)
			v += a;
		else if (op == MPI_MAX)
			v = v > a ? v : a;
		else
			v ^= a;
	}
	return v;
}

static void accumulate_op(MPI_Op op, const char *name)
{
	long long *base = calloc(ELEMENTS, sizeof(*base));
	long long(*out)[ELEMENTS] = test_alloc((size_t)test_size * sizeof(*out));
	MPI_Win win;

	MPI_Win_create(base, ELEMENTS * sizeof(*base), sizeof(*base), MPI_INFO_NULL, MPI_COMM_WORLD,
		       &win);
	MPI_Win_fence(0, win);
	for (int to = 0; to < test_size; to++) {
		for (int i = 0; i < ELEMENTS; i++)
			out[to][i] = addend(test_rank, to, i);
		MPI_Accumulate(out[to], ELEMENTS, MPI_LONG_LONG, to, 0, ELEMENTS, MPI_LONG_LONG, op,
			       win);
	}
	MPI_Win_fence(0, win);
	for (int i = 0; i < ELEMENTS; i++)
		test_expect(combined(op, test_rank, i), base[i], "%s, element %d", name, i);
	MPI_Win_free(&win);
	free(base);
	free(out);
}

static void accumulate_fence(void)
{
	accumulate_op(MPI_SUM, "sum");
	accumulate_op(MPI_MAX, "max");
	accumulate_op(MPI_BXOR, "xor");
	test_note("sum, max, xor of %d elements", ELEMENTS);
}

/* Accumulations to one place come in the order of their calls: the last to replace stays. */
static void accumulate_order(void)
{
	double *base = calloc((size_t)test_size, sizeof(*base));
	MPI_Win win;

	MPI_Win_create(base, test_size * (MPI_Aint)sizeof(*base), sizeof(*base), MPI_INFO_NULL,
		       MPI_COMM_WORLD, &win);
	MPI_Win_lock_all(0, win);
	for (int to = 0; to < test_size; to++) {
		for (int i = 1; i <= 50; i++) {
			double v = i * 100 + test_rank;

			MPI_Accumulate(&v, 1, MPI_DOUBLE, to, test_rank, 1, MPI_DOUBLE, MPI_REPLACE,
				       win);
			MPI_Win_flush_local(to, win);
		}
	}
	MPI_Win_unlock_all(win);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Win_lock(MPI_LOCK_SHARED, test_rank, 0, win);
	for (int r = 0; r < test_size; r++)
		test_expect(5000 + r, (long long)base[r], "last to be put by rank %d", r);
	MPI_Win_unlock(test_rank, win);
	MPI_Win_free(&win);
	free(base);
}

/* ----------------------------------------------------------------------------------- locks */

/* Under an exclusive lock, read, add and write is as if it were one operation. */
static void lock_exclusive(void)
{
	int rounds = 30, *base, out, in;
	MPI_Win win;

	MPI_Win_allocate(sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win);
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, test_rank, 0, win);
	*base = 0;
	MPI_Win_unlock(test_rank, win);
	MPI_Barrier(MPI_COMM_WORLD);
	for (int i = 0; i < rounds; i++) {
		int to = i % test_size;

		MPI_Win_lock(MPI_LOCK_EXCLUSIVE, to, 0, win);
		MPI_Get(&in, 1, MPI_INT, to, 0, 1, MPI_INT, win);
		MPI_Win_flush(to, win);
		out = in + 1;
		MPI_Put(&out, 1, MPI_INT, to, 0, 1, MPI_INT, win);
		MPI_Win_unlock(to, win);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Win_lock(MPI_LOCK_SHARED, test_rank, 0, win);
	for (int i = out = 0; i < rounds; i++)
		out += i % test_size == test_rank ? test_size : 0;
	test_expect(out, *base, "increments under lock");
	MPI_Win_unlock(test_rank, win);
	MPI_Win_free(&win);
}

/* Put, flush, get back, to every rank under one lock of all; then the owner looks. */
static void lock_all_flush(void)
{
	for (int i = 0; i < SIZES; i++) {
		size_t len = (size_t)sizes[i];
		struct window w = window_create(len);
		uint8_t *out = test_alloc(len), *in = test_alloc(len);

		MPI_Win_lock_all(0, w.win);
		for (int k = 0; k < test_size; k++) {
			int to = (test_rank + k) % test_size;

			test_fill(out, len, test_key(test_rank, to, i, 1));
			MPI_Put(out, (int)len, MPI_BYTE, to, slot_of(&w, test_rank), (int)len,
				MPI_BYTE, w.win);
			MPI_Win_flush(to, w.win);
			memset(in, 0, len);
			MPI_Get(in, (int)len, MPI_BYTE, to, slot_of(&w, test_rank), (int)len,
				MPI_BYTE, w.win);
			MPI_Win_flush(to, w.win);
			test_check("get after put and flush", in, len,
				   test_key(test_rank, to, i, 1));
		}
		MPI_Win_unlock_all(w.win);
		MPI_Barrier(MPI_COMM_WORLD);
		MPI_Win_lock(MPI_LOCK_SHARED, test_rank, 0, w.win);
		for (int r = 0; r < test_size; r++)
			test_check("put under lock_all", w.base + slot_of(&w, r), len,
				   test_key(r, test_rank, i, 1));
		MPI_Win_unlock(test_rank, w.win);
		free(out);
		free(in);
		window_free(&w);
	}
}

/* Requests of their own: rput and rget of many pieces, waited for out of order. */
static void requests(void)
{
	enum { PIECES = 40, PIECE = 777 };
	struct window w = window_create(PIECES * PIECE);
	static uint8_t out[PIECES][PIECE], in[PIECES][PIECE];
	int to = (test_rank + 1) % test_size;
	MPI_Request all[PIECES];

	MPI_Win_lock_all(0, w.win);
	for (int i = 0; i < PIECES; i++) {
		test_fill(out[i], PIECE, test_key(test_rank, to, i, 2));
		MPI_Rput(out[i], PIECE, MPI_BYTE, to, slot_of(&w, test_rank) + i * PIECE, PIECE,
			 MPI_BYTE, w.win, &all[i]);
	}
	for (int i = PIECES - 1; i >= 0; i--)
		MPI_Wait(&all[i], MPI_STATUS_IGNORE);
	MPI_Win_flush(to, w.win);
	for (int i = 0; i < PIECES; i++)
		MPI_Rget(in[i], PIECE, MPI_BYTE, to, slot_of(&w, test_rank) + i * PIECE, PIECE,
			 MPI_BYTE, w.win, &all[i]);
	for (int i = PIECES - 1; i >= 0; i--) {
		MPI_Wait(&all[i], MPI_STATUS_IGNORE);
		test_check("rget of what rput wrote", in[i], PIECE, test_key(test_rank, to, i, 2));
	}
	MPI_Win_unlock_all(w.win);
	window_free(&w);
}

/* -------------------------------------------------------------------------- post and start */

/* Only neighbours: the right one's window is written, the left one writes here. */
static void pscw(void)
{
	int right = (test_rank + 1) % test_size, left = (test_rank + test_size - 1) % test_size;
	struct window w = window_create(50000);
	MPI_Group world, from, to;
	uint8_t *out = test_alloc(50000);

	MPI_Comm_group(MPI_COMM_WORLD, &world);
	MPI_Group_incl(world, 1, &left, &from);
	MPI_Group_incl(world, 1, &right, &to);
	for (int round = 0; round < 20; round++) {
		size_t len = (size_t)round * 2500 + 1;

		test_fill(out, len, test_key(test_rank, right, 3, round));
		MPI_Win_post(from, 0, w.win);
		MPI_Win_start(to, 0, w.win);
		MPI_Put(out, (int)len, MPI_BYTE, right, 0, (int)len, MPI_BYTE, w.win);
		MPI_Win_complete(w.win);
		MPI_Win_wait(w.win);
		test_check("put between start and complete", w.base, len,
			   test_key(left, test_rank, 3, round));
	}
	MPI_Group_free(&world);
	MPI_Group_free(&from);
	MPI_Group_free(&to);
	free(out);
	window_free(&w);
}

/* --------------------------------------------------------------------------------- atomics */

/* A counter on each rank: base[0], and one for other uses: base[1]. */
static MPI_Win counters(long long **base)
{
	MPI_Win win;

	MPI_Win_allocate(2 * sizeof(**base), sizeof(**base), MPI_INFO_NULL, MPI_COMM_WORLD, base,
			 &win);
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, test_rank, 0, win);
	(*base)[0] = (*base)[1] = 0;
	MPI_Win_unlock(test_rank, win);
	MPI_Barrier(MPI_COMM_WORLD);
	return win;
}

/* Every number is fetched exactly once: their counts, summed over the ranks, are all 1. */
static void expect_each_once(const char *call, int *seen, int n)
{
	MPI_Allreduce(MPI_IN_PLACE, seen, n, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	for (int i = 0; i < n; i++)
		test_expect(1, seen[i], "%s: how often %d was fetched", call, i);
}

#define FETCHES 100

static void fetch_and_op(void)
{
	long long one = 1, got, last = -1, *base;
	int total = FETCHES * test_size, *seen = calloc((size_t)total, sizeof(*seen));
	MPI_Win win = counters(&base);

	MPI_Win_lock_all(0, win);
	for (int i = 0; i < FETCHES; i++) {
		MPI_Fetch_and_op(&one, &got, MPI_LONG_LONG, 0, 0, MPI_SUM, win);
		MPI_Win_flush(0, win);
		if (got <= last || got >= total)
			test_fail("ticket: expected from %lld to %d, seen %lld", last + 1,
				  total - 1, got);
		last = got;
		seen[got]++;
	}
	MPI_Win_unlock_all(win);
	expect_each_once("Fetch_and_op", seen, total);
	MPI_Win_free(&win);
	free(seen);
	test_note("%d tickets of one counter", total);
}

static void get_accumulate(void)
{
	enum { N = 500 };
	static long long out[N], got[N];
	int rounds = 10, *seen = calloc((size_t)(rounds * test_size), sizeof(*seen));
	struct window w = window_create(N * sizeof(long long));

	for (int i = 0; i < N; i++)
		out[i] = 1;
	MPI_Win_lock_all(0, w.win);
	for (int round = 0; round < rounds; round++) {
		MPI_Get_accumulate(out, N, MPI_LONG_LONG, got, N, MPI_LONG_LONG, 0, 0, N,
				   MPI_LONG_LONG, MPI_SUM, w.win);
		MPI_Win_flush(0, w.win);
		if (got[0] < 0 || got[0] >= rounds * test_size)
			test_fail("expected 0 to %d, seen %lld", rounds * test_size - 1, got[0]);
		seen[got[0]]++;
	}
	/* MPI_NO_OP reads; nobody may be writing any more */
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Get_accumulate(NULL, 0, MPI_LONG_LONG, got, N, MPI_LONG_LONG, 0, 0, N, MPI_LONG_LONG,
			   MPI_NO_OP, w.win);
	MPI_Win_unlock_all(w.win);
	for (int i = 0; i < N; i++)
		test_expect(rounds * test_size, got[i], "element %d at the end", i);
	expect_each_once("Get_accumulate", seen, rounds * test_size);
	window_free(&w);
	free(seen);
}

/* Takes 0 for its own rank + 1, else waits: a lock, which guards the other counter. */
static void spin_lock(MPI_Win win, long long from, long long to)
{
	long long got;

	do {
		MPI_Compare_and_swap(&to, &from, &got, MPI_LONG_LONG, 0, 0, win);
		MPI_Win_flush(0, win);
		if (got < 0 || got > test_size)
			test_fail("word of the lock: expected 0 to %d, seen %lld", test_size, got);
	} while (got != from);
}

static void compare_and_swap(void)
{
	long long v, me = test_rank + 1, *base;
	MPI_Win win = counters(&base);
	const int rounds = 20;

	MPI_Win_lock_all(0, win);
	for (int i = 0; i < rounds; i++) {
		spin_lock(win, 0, me);
		MPI_Get(&v, 1, MPI_LONG_LONG, 0, 1, 1, MPI_LONG_LONG, win);
		MPI_Win_flush(0, win);
		v++;
		MPI_Put(&v, 1, MPI_LONG_LONG, 0, 1, 1, MPI_LONG_LONG, win);
		MPI_Win_flush(0, win);
		spin_lock(win, me, 0);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Get(&v, 1, MPI_LONG_LONG, 0, 1, 1, MPI_LONG_LONG, win);
	MPI_Win_unlock_all(win);
	test_expect(rounds * test_size, v, "increments under a lock made of Compare_and_swap");
	MPI_Win_free(&win);
	test_note("%d increments", rounds * test_size);
}

/* ------------------------------------------------------------------------------------ main */

static const struct test_section sections[] = {
	{ "put-fence", put_fence },
	{ "get-fence", get_fence },
	{ "put-strided", put_strided },
	{ "accumulate-fence", accumulate_fence },
	{ "accumulate-order", accumulate_order },
	{ "lock-exclusive", lock_exclusive },
	{ "lock-all-flush", lock_all_flush },
	{ "requests", requests },
	{ "pscw", pscw },
	{ "fetch-and-op", fetch_and_op },
	{ "get-accumulate", get_accumulate },
	{ "compare-and-swap", compare_and_swap },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct test_program program = {
		.name = "mpi_rma",
		.about = "One-sided operations under fences, locks, and post and start.",
		.min_ranks = 2,
		.sections = sections,
	};

	return test_main(&program, argc, argv);
}
