/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_comms.c - many communicators, one after the other and at once, with traffic on each. */
#include <stdlib.h>

#include "mpi_test.h"

/* A message to the right and one from the left; the same tag everywhere. */
static void ring(MPI_Comm comm, int number)
{
	int rank, size, out[2], in[2];
	MPI_Status status;

	MPI_Comm_rank(comm, &rank);
	MPI_Comm_size(comm, &size);
	out[0] = number;
	out[1] = rank;
	MPI_Sendrecv(out, 2, MPI_INT, (rank + 1) % size, 1, in, 2, MPI_INT,
		     (rank + size - 1) % size, 1, comm, &status);
	test_expect_status("ring", &status, (rank + size - 1) % size, 1, sizeof(in));
	test_expect(number, in[0], "communicator that the message came by");
	test_expect((rank + size - 1) % size, in[1], "rank in communicator %d", number);
}

static void sum(MPI_Comm comm, int number)
{
	int size, in;

	MPI_Comm_size(comm, &size);
	MPI_Allreduce(&number, &in, 1, MPI_INT, MPI_SUM, comm);
	test_expect(number * size, in, "sum on communicator %d", number);
}

/* A copy of all, two halves, all in reverse, neighbours: in turn. */
static MPI_Comm create(int number)
{
	MPI_Comm comm;

	switch (number % 4) {
	case 0:
		MPI_Comm_dup(MPI_COMM_WORLD, &comm);
		break;
	case 1:
		MPI_Comm_split(MPI_COMM_WORLD, test_rank % 2, test_rank, &comm);
		break;
	case 2:
		MPI_Comm_split(MPI_COMM_WORLD, 0, -test_rank, &comm);
		break;
	default:
		MPI_Comm_split(MPI_COMM_WORLD, test_rank / 2, test_rank, &comm);
	}
	return comm;
}

static void one_by_one(void)
{
	for (int i = 0; i < test_count; i++) {
		MPI_Comm comm = create(i);

		ring(comm, i);
		sum(comm, i);
		MPI_Comm_free(&comm);
	}
	test_note("%ld created, used and freed", test_count);
}

/* -------------------------------------------------------------------------------- at once */

/* Posts all receives, then sends in another order: only the communicator tells messages apart. */
static void cross(MPI_Comm *comms, int n, const int *order)
{
	MPI_Request *requests = test_alloc(sizeof(*requests) * (size_t)n * 2);
	int *in = test_alloc(sizeof(int) * (size_t)n), *out = test_alloc(sizeof(int) * (size_t)n);

	for (int i = 0; i < n; i++) {
		MPI_Irecv(&in[i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[i], &requests[i]);
		out[i] = i;
	}
	for (int k = 0; k < n; k++) {
		int i = order[k], rank, size;

		MPI_Comm_rank(comms[i], &rank);
		MPI_Comm_size(comms[i], &size);
		MPI_Isend(&out[i], 1, MPI_INT, (rank + 1) % size, 1, comms[i], &requests[n + k]);
	}
	MPI_Waitall(2 * n, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < n; i++)
		test_expect(i, in[i], "communicator of message %d", i);
	free(requests);
	free(in);
	free(out);
}

/* The same random order on all ranks. */
static int *shuffled(int n)
{
	struct test_random r = test_random(77);
	int *order = test_alloc(sizeof(int) * (size_t)n);

	for (int i = 0; i < n; i++) {
		int j = (int)test_draw(&r, (uint32_t)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

static void at_once(void)
{
	int n = (int)test_count, *order = shuffled(n);
	MPI_Comm *comms = test_alloc(sizeof(*comms) * (size_t)n);

	for (int i = 0; i < n; i++)
		comms[i] = create(i);
	cross(comms, n, order);
	for (int k = 0; k < n; k++)
		ring(comms[order[k]], order[k]);
	for (int k = 0; k < n; k++)
		MPI_Comm_free(&comms[order[k]]);
	sum(MPI_COMM_WORLD, 1);
	free(comms);
	free(order);
	test_note("%d at the same time", n);
}

/* A copy of a copy of a copy: each is used while those that it came from are. */
static void nested(void)
{
	enum { DEPTH = 30 };
	MPI_Comm comms[DEPTH];

	for (int i = 0; i < DEPTH; i++) {
		MPI_Comm_dup(i ? comms[i - 1] : MPI_COMM_WORLD, &comms[i]);
		for (int j = 0; j <= i; j++)
			ring(comms[j], j);
	}
	for (int i = 0; i < DEPTH; i++) {
		MPI_Comm_free(&comms[i]);
		if (i + 1 < DEPTH)
			sum(comms[DEPTH - 1], i);
	}
}

static const struct test_section sections[] = {
	{ "one-by-one", one_by_one },
	{ "at-once", at_once },
	{ "nested", nested },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct test_program program = {
		.name = "mpi_comms",
		.about = "Many communicators: copies, parts and reversals, with messages on each.",
		.min_ranks = 2,
		.count = 1000,
		.count_about = "communicators",
		.sections = sections,
	};

	return test_main(&program, argc, argv);
}
