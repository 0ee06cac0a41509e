/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_coll.c - collective operations: on which communicators, with which sizes and types. */
#include <stdlib.h>
#include <string.h>

#include "mpi_coll.h"

const struct coll_type coll_types[COLL_TYPES] = {
	{ "int", MPI_INT, sizeof(int) },
	{ "double", MPI_DOUBLE, sizeof(double) },
	{ "long long", MPI_LONG_LONG, sizeof(long long) },
	{ "float", MPI_FLOAT, sizeof(float) },
	{ "short", MPI_SHORT, sizeof(short) },
};

/* ------------------------------------------------------------------------------ elements */

static void put_number(const struct coll *c, void *buf, int at, int v)
{
	switch (c->type - coll_types) {
	case 0:
		((int *)buf)[at] = v;
		break;
	case 1:
		((double *)buf)[at] = v;
		break;
	case 2:
		((long long *)buf)[at] = v;
		break;
	case 3:
		((float *)buf)[at] = (float)v;
		break;
	default:
		((short *)buf)[at] = (short)v;
	}
}

/* What is not a whole number is not what was expected either: it is said to be -1. */
static long long whole(double v)
{
	return v >= 0 && v < 1e15 && (double)(long long)v == v ? (long long)v : -1;
}

static long long number(const struct coll *c, const void *buf, int at)
{
	switch (c->type - coll_types) {
	case 0:
		return ((const int *)buf)[at];
	case 1:
		return whole(((const double *)buf)[at]);
	case 2:
		return ((const long long *)buf)[at];
	case 3:
		return whole((double)((const float *)buf)[at]);
	default:
		return ((const short *)buf)[at];
	}
}

int coll_value(const struct coll *c, int rank, int i)
{
	return (rank * 17 + i * 5 + c->round * 13) % 101;
}

void coll_put(const struct coll *c, void *buf, int at, int rank, int first, int n)
{
	for (int i = 0; i < n; i++)
		put_number(c, buf, at + i, coll_value(c, rank, first + i));
}

void coll_expect_number(const struct coll *c, const char *call, const void *buf, int at,
			long long expected)
{
	test_expect(expected, number(c, buf, at), "%s of %d %s on %s (rank %d of %d): element %d",
		    call, c->count, c->type->name, c->where, c->rank, c->size, at);
}

void coll_expect(const struct coll *c, const char *call, const void *buf, int at, int rank,
		 int first, int n)
{
	for (int i = 0; i < n; i++)
		coll_expect_number(c, call, buf, at + i, coll_value(c, rank, first + i));
}

void *coll_buffer(const struct coll *c, int n)
{
	void *buf = test_alloc((size_t)n * c->type->size);

	memset(buf, 0xee, (size_t)n * c->type->size);
	return buf;
}

struct coll coll_on(const char *where, MPI_Comm comm, int count, const struct coll_type *type)
{
	struct coll c = { .where = where, .comm = comm, .count = count, .type = type };
	int inter;

	MPI_Comm_rank(comm, &c.rank);
	MPI_Comm_size(comm, &c.size);
	MPI_Comm_test_inter(comm, &inter);
	if (inter)
		MPI_Comm_remote_size(comm, &c.remote_size);
	else
		c.remote_size = c.size;
	return c;
}

/* ------------------------------------------------------------------------- communicators */

static const int counts[] = { 0, 1, 3, 100, 1025, 20000 };
#define COUNTS (int)(sizeof(counts) / sizeof(counts[0]))

/* All sizes with one type each, in turn, and the middle ones with all types. */
static void on_comm(const char *where, MPI_Comm comm, void (*call)(struct coll *c))
{
	int round = 0;

	for (int i = 0; i < COUNTS; i++) {
		for (int t = 0; t < COLL_TYPES; t++) {
			struct coll c = coll_on(where, comm, counts[i], &coll_types[t]);

			c.round = round++;
			if (counts[i] == 3 || counts[i] == 100 || t == i % COLL_TYPES)
				call(&c);
		}
	}
}

static MPI_Comm split(int color, int key)
{
	MPI_Comm comm;

	MPI_Comm_split(MPI_COMM_WORLD, color, key, &comm);
	return comm;
}

/* Those with a name are kept from the first use to the end. */
static struct {
	const char *name;
	MPI_Comm comm;
} comms[] = { { "world", MPI_COMM_NULL },
	      { "a copy of world", MPI_COMM_NULL },
	      { "even or odd ranks", MPI_COMM_NULL },
	      { "reversed ranks", MPI_COMM_NULL },
	      { "all but rank 0", MPI_COMM_NULL },
	      { "self", MPI_COMM_NULL } };
#define COMMS (int)(sizeof(comms) / sizeof(comms[0]))

static MPI_Comm inter = MPI_COMM_NULL;

static void comms_create(void)
{
	if (comms[0].comm != MPI_COMM_NULL)
		return;
	comms[0].comm = MPI_COMM_WORLD;
	MPI_Comm_dup(MPI_COMM_WORLD, &comms[1].comm);
	comms[2].comm = split(test_rank % 2, test_rank);
	comms[3].comm = split(0, -test_rank);
	comms[4].comm = split(test_rank ? 1 : MPI_UNDEFINED, test_rank);
	comms[5].comm = MPI_COMM_SELF;
	/* even ranks with odd ranks, led by 0 and 1 */
	MPI_Intercomm_create(comms[2].comm, 0, MPI_COMM_WORLD, test_rank % 2 ? 0 : 1, 99, &inter);
}

static void everywhere(void (*call)(struct coll *c))
{
	comms_create();
	for (int i = 0; i < COMMS; i++)
		if (comms[i].comm != MPI_COMM_NULL)
			on_comm(comms[i].name, comms[i].comm, call);
	test_note("%d communicators, up to %d elements, %d types", COMMS, counts[COUNTS - 1],
		  COLL_TYPES);
}

/* ---------------------------------------------------------------------------------- main */

#define SECTION(call)                                                                              \
	static void call(void)                                                                     \
	{                                                                                          \
		everywhere(coll_##call);                                                           \
	}
SECTION(barrier)
SECTION(bcast)
SECTION(gather)
SECTION(gatherv)
SECTION(scatter)
SECTION(scatterv)
SECTION(allgather)
SECTION(allgatherv)
SECTION(alltoall)
SECTION(alltoallv)
SECTION(alltoallw)
SECTION(reduce)
SECTION(allreduce)
SECTION(reduce_scatter)
SECTION(reduce_scatter_block)
SECTION(scan)
SECTION(exscan)
SECTION(ordered)
SECTION(minloc)
SECTION(nonblocking)

static void between(void)
{
	comms_create();
	on_comm("even and odd ranks", inter, coll_inter);
	test_note("an intercommunicator, up to %d elements, %d types", counts[COUNTS - 1],
		  COLL_TYPES);
}

static const struct test_section sections[] = {
	{ "barrier", barrier },
	{ "bcast", bcast },
	{ "gather", gather },
	{ "gatherv", gatherv },
	{ "scatter", scatter },
	{ "scatterv", scatterv },
	{ "allgather", allgather },
	{ "allgatherv", allgatherv },
	{ "alltoall", alltoall },
	{ "alltoallv", alltoallv },
	{ "alltoallw", alltoallw },
	{ "reduce", reduce },
	{ "allreduce", allreduce },
	{ "reduce-scatter", reduce_scatter },
	{ "reduce-scatter-block", reduce_scatter_block },
	{ "scan", scan },
	{ "exscan", exscan },
	{ "ordered", ordered },
	{ "minloc", minloc },
	{ "nonblocking", nonblocking },
	{ "inter", between },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct test_program program = {
		.name = "mpi_coll",
		.about =
			"Collective operations against a serial computation, on several communicators.\n"
			"The ranks' clocks are compared: all of them on one machine.",
		.min_ranks = 2,
		.sections = sections,
	};

	return test_main(&program, argc, argv);
}
