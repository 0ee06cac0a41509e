/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mpi_stencil.c - a Jacobi iteration on a grid that the ranks share out in two dimensions. Halos go
 * by persistent requests, rows as they are and columns as vectors. The serial iteration adds in
 * the same order, so its result has to be the same to the last bit.
 */
#include <stdlib.h>
#include <string.h>

#include "mpi_test.h"

/* No multiples of what ranks come in, so that the parts are uneven. */
#define HEIGHT 211
#define WIDTH 173

enum { UP, DOWN, LEFT, RIGHT, SIDES };

struct part {
	MPI_Comm comm;
	int dims[2], at[2];
	int first[2], len[2]; /* rows and columns of the grid; without the halo */
	int stride;           /* doubles of a row, halo included */
	double *grid[2];      /* which of them is read alternates */
	MPI_Request requests[2][2 * SIDES];
	MPI_Datatype column;
};

static double start_value(int row, int column)
{
	return (double)((row * 7919 + column * 104729) % 1000) / 7.0;
}

static double step(const double *g, int stride)
{
	return 0.25 * ((g[-stride] + g[stride]) + (g[-1] + g[1]));
}

/* The part of place i of n: its first, and how many. */
static void share(int total, int n, int i, int *first, int *len)
{
	*first = (int)((long)total * i / n);
	*len = (int)((long)total * (i + 1) / n) - *first;
}

/* ---------------------------------------------------------------------------- shared out */

static double *cell(const struct part *p, int which, int row, int column)
{
	return p->grid[which] + (row + 1) * p->stride + column + 1;
}

/* Beyond the grid's edge is MPI_PROC_NULL, and the halo keeps the zeros that it began with. */
static void halo_init(struct part *p, int which)
{
	int to[SIDES];
	double *out[SIDES], *in[SIDES];

	MPI_Cart_shift(p->comm, 0, 1, &to[UP], &to[DOWN]);
	MPI_Cart_shift(p->comm, 1, 1, &to[LEFT], &to[RIGHT]);
	out[UP] = cell(p, which, 0, 0);
	in[UP] = cell(p, which, -1, 0);
	out[DOWN] = cell(p, which, p->len[0] - 1, 0);
	in[DOWN] = cell(p, which, p->len[0], 0);
	out[LEFT] = cell(p, which, 0, 0);
	in[LEFT] = cell(p, which, 0, -1);
	out[RIGHT] = cell(p, which, 0, p->len[1] - 1);
	in[RIGHT] = cell(p, which, 0, p->len[1]);
	for (int s = 0; s < SIDES; s++) {
		MPI_Datatype type = s < LEFT ? MPI_DOUBLE : p->column;
		int n = s < LEFT ? p->len[1] : 1;

		/* the tag is the side as the sender sees it: here, the opposite one */
		MPI_Recv_init(in[s], n, type, to[s], s ^ 1, p->comm, &p->requests[which][s]);
		MPI_Send_init(out[s], n, type, to[s], s, p->comm, &p->requests[which][SIDES + s]);
	}
}

static void part_create(struct part *p)
{
	int periods[2] = { 0, 0 }, rank;

	memset(p, 0, sizeof(*p));
	MPI_Dims_create(test_size, 2, p->dims);
	MPI_Cart_create(MPI_COMM_WORLD, 2, p->dims, periods, 1, &p->comm);
	MPI_Comm_rank(p->comm, &rank);
	MPI_Cart_coords(p->comm, rank, 2, p->at);
	share(HEIGHT, p->dims[0], p->at[0], &p->first[0], &p->len[0]);
	share(WIDTH, p->dims[1], p->at[1], &p->first[1], &p->len[1]);
	p->stride = p->len[1] + 2;
	MPI_Type_vector(p->len[0], 1, p->stride, MPI_DOUBLE, &p->column);
	MPI_Type_commit(&p->column);
	for (int i = 0; i < 2; i++) {
		size_t size = sizeof(double) * (size_t)p->stride * (size_t)(p->len[0] + 2);

		p->grid[i] = test_alloc(size);
		memset(p->grid[i], 0, size);
		halo_init(p, i);
	}
	for (int r = 0; r < p->len[0]; r++)
		for (int c = 0; c < p->len[1]; c++)
			*cell(p, 0, r, c) = start_value(p->first[0] + r, p->first[1] + c);
}

static void part_free(struct part *p)
{
	for (int i = 0; i < 2; i++) {
		for (int s = 0; s < 2 * SIDES; s++)
			MPI_Request_free(&p->requests[i][s]);
		free(p->grid[i]);
	}
	MPI_Type_free(&p->column);
	MPI_Comm_free(&p->comm);
}

static void part_step(struct part *p, int from)
{
	MPI_Startall(2 * SIDES, p->requests[from]);
	MPI_Waitall(2 * SIDES, p->requests[from], MPI_STATUSES_IGNORE);
	for (int r = 0; r < p->len[0]; r++)
		for (int c = 0; c < p->len[1]; c++)
			*cell(p, !from, r, c) = step(cell(p, from, r, c), p->stride);
}

/* -------------------------------------------------------------------------------- serial */

#define SERIAL_STRIDE (WIDTH + 2)

static double *serial_cell(double *grid, int row, int column)
{
	return grid + (row + 1) * SERIAL_STRIDE + column + 1;
}

/* The whole grid after some steps; to be freed. */
static double *serial(long steps)
{
	double *grid[2];

	for (int i = 0; i < 2; i++) {
		grid[i] = calloc(SERIAL_STRIDE * (HEIGHT + 2), sizeof(double));
		if (!grid[i])
			test_fail("no memory");
	}
	for (int r = 0; r < HEIGHT; r++)
		for (int c = 0; c < WIDTH; c++)
			*serial_cell(grid[0], r, c) = start_value(r, c);
	for (long i = 0; i < steps; i++)
		for (int r = 0; r < HEIGHT; r++)
			for (int c = 0; c < WIDTH; c++)
				*serial_cell(grid[!(i % 2)], r, c) =
					step(serial_cell(grid[i % 2], r, c), SERIAL_STRIDE);
	free(grid[!(steps % 2)]);
	return grid[steps % 2];
}

/* ------------------------------------------------------------------------------ sections */

/* Every rank computes the serial result itself: that needs no message, so none can spoil it. */
static void compare(const struct part *p, int which, long steps)
{
	double *whole = serial(steps);

	for (int r = 0; r < p->len[0]; r++) {
		for (int c = 0; c < p->len[1]; c++) {
			int row = p->first[0] + r, column = p->first[1] + c;
			double expected = *serial_cell(whole, row, column);
			double seen = *cell(p, which, r, c);

			if (memcmp(&expected, &seen, sizeof(seen)))
				test_fail("row %d, column %d: expected %.17g, seen %.17g", row,
					  column, expected, seen);
		}
	}
	free(whole);
}

static void jacobi(void)
{
	struct part p;

	part_create(&p);
	for (long i = 0; i < test_count; i++)
		part_step(&p, i % 2);
	compare(&p, test_count % 2, test_count);
	test_note("%d x %d on %d x %d ranks, %ld steps", HEIGHT, WIDTH, p.dims[0], p.dims[1],
		  test_count);
	part_free(&p);
}

/* After each step all agree on the largest cell, as a solver does to know when to stop. */
static void largest(void)
{
	struct part p;
	double before = 1e9;

	part_create(&p);
	for (int i = 0; i < 60; i++) {
		double mine = 0, all;

		part_step(&p, i % 2);
		for (int r = 0; r < p.len[0]; r++)
			for (int c = 0; c < p.len[1]; c++)
				if (*cell(&p, !(i % 2), r, c) > mine)
					mine = *cell(&p, !(i % 2), r, c);
		MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, p.comm);
		if (all < mine || all > before)
			test_fail("step %d: expected a maximum of %.17g to %.17g, seen %.17g", i,
				  mine, before, all);
		before = all;
	}
	compare(&p, 0, 60);
	part_free(&p);
}

static const struct test_section sections[] = {
	{ "jacobi", jacobi },
	{ "largest", largest },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct test_program program = {
		.name = "mpi_stencil",
		.about =
			"A Jacobi iteration in two dimensions, compared with the serial one bit by bit.",
		.min_ranks = 1,
		.count = 500,
		.count_about = "steps",
		.sections = sections,
	};

	return test_main(&program, argc, argv);
}
