/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_coll_other.c - barriers, operations that do not block, operations between two groups. */
#include <stdlib.h>
#include <string.h>

#include "mpi_coll.h"

/* ------------------------------------------------------------------------------ barriers */

/* Nobody leaves before the last has entered, by the clock that the machine's processes share. */
static void check_times(struct coll *c, const char *call, uint64_t entered, uint64_t left)
{
	uint64_t last_in, first_out;

	MPI_Allreduce(&entered, &last_in, 1, MPI_UINT64_T, MPI_MAX, c->comm);
	MPI_Allreduce(&left, &first_out, 1, MPI_UINT64_T, MPI_MIN, c->comm);
	if (first_out < last_in)
		test_fail("%s on %s: expected nobody out before all are in, seen one %llu ns early",
			  call, c->where, (unsigned long long)(last_in - first_out));
}

void coll_barrier(struct coll *c)
{
	uint64_t entered;
	MPI_Request request;
	int flag = 0;

	if (c->round % 3 == c->rank % 3)
		test_sleep_ms(2);
	entered = test_now_ns();
	MPI_Barrier(c->comm);
	check_times(c, "Barrier", entered, test_now_ns());

	if (c->round % 3 != c->rank % 3)
		test_sleep_ms(2);
	entered = test_now_ns();
	MPI_Ibarrier(c->comm, &request);
	while (!flag)
		MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
	check_times(c, "Ibarrier", entered, test_now_ns());
}

/* ----------------------------------------------------------- several operations in flight */

enum { ALLREDUCE, ALLTOALL, BCAST, ALLGATHER, GATHER, SCATTER, SCAN, BARRIER, KINDS };

struct flight {
	void *out[KINDS], *in[KINDS];
	MPI_Request requests[KINDS];
};

static void flight_start(const struct coll *c, struct flight *f)
{
	MPI_Datatype t = c->type->mpi;
	int n = c->count;
	int root = c->round % c->size;

	for (int k = 0; k < KINDS; k++) {
		f->out[k] = coll_buffer(c, n * c->size);
		f->in[k] = coll_buffer(c, n * c->size);
		coll_put(c, f->out[k], 0, c->rank, k, n * c->size);
	}
	if (c->rank == root)
		coll_put(c, f->in[BCAST], 0, root, BCAST, n);
	MPI_Iallreduce(f->out[ALLREDUCE], f->in[ALLREDUCE], n, t, MPI_SUM, c->comm,
		       &f->requests[ALLREDUCE]);
	MPI_Ialltoall(f->out[ALLTOALL], n, t, f->in[ALLTOALL], n, t, c->comm,
		      &f->requests[ALLTOALL]);
	MPI_Ibcast(f->in[BCAST], n, t, root, c->comm, &f->requests[BCAST]);
	MPI_Iallgather(f->out[ALLGATHER], n, t, f->in[ALLGATHER], n, t, c->comm,
		       &f->requests[ALLGATHER]);
	MPI_Igather(f->out[GATHER], n, t, f->in[GATHER], n, t, root, c->comm, &f->requests[GATHER]);
	MPI_Iscatter(f->out[SCATTER], n, t, f->in[SCATTER], n, t, root, c->comm,
		     &f->requests[SCATTER]);
	MPI_Iscan(f->out[SCAN], f->in[SCAN], n, t, MPI_SUM, c->comm, &f->requests[SCAN]);
	MPI_Ibarrier(c->comm, &f->requests[BARRIER]);
}

static void expect_sum(const struct coll *c, const char *call, const void *in, int last, int kind)
{
	for (int i = 0; i < c->count; i++) {
		long long sum = 0;

		for (int r = 0; r <= last; r++)
			sum += coll_value(c, r, kind + i);
		coll_expect_number(c, call, in, i, sum);
	}
}

static void flight_end(const struct coll *c, struct flight *f)
{
	int n = c->count, root = c->round % c->size;

	expect_sum(c, "Iallreduce", f->in[ALLREDUCE], c->size - 1, ALLREDUCE);
	expect_sum(c, "Iscan", f->in[SCAN], c->rank, SCAN);
	coll_expect(c, "Ibcast", f->in[BCAST], 0, root, BCAST, n);
	coll_expect(c, "Iscatter", f->in[SCATTER], 0, root, SCATTER + n * c->rank, n);
	for (int r = 0; r < c->size; r++) {
		coll_expect(c, "Ialltoall", f->in[ALLTOALL], r * n, r, ALLTOALL + n * c->rank, n);
		coll_expect(c, "Iallgather", f->in[ALLGATHER], r * n, r, ALLGATHER, n);
		if (c->rank == root)
			coll_expect(c, "Igather", f->in[GATHER], r * n, r, GATHER, n);
	}
	for (int k = 0; k < KINDS; k++) {
		free(f->out[k]);
		free(f->in[k]);
	}
}

void coll_nonblocking(struct coll *c)
{
	struct flight f;

	flight_start(c, &f);
	MPI_Waitall(KINDS, f.requests, MPI_STATUSES_IGNORE);
	flight_end(c, &f);
}

/* ----------------------------------------------------------------------- between two groups */

/* Ranks of the even group contribute as ranks 0.., those of the odd group as ranks 100.. */
static int mine(const struct coll *c)
{
	return c->rank + 100 * (test_rank % 2);
}

static int theirs(int r)
{
	return r + 100 * !(test_rank % 2);
}

/* Who calls with the even (0) or the odd (1) group as the one with the root, its rank 0. */
static int root_of(const struct coll *c, int group)
{
	if (test_rank % 2 != group)
		return 0;
	return c->rank == 0 ? MPI_ROOT : MPI_PROC_NULL;
}

static void inter_rooted(const struct coll *c, int group, void *out, void *in)
{
	int n = c->count, root = root_of(c, group);
	MPI_Datatype t = c->type->mpi;

	MPI_Bcast(root == 0 ? in : out, n, t, root, c->comm);
	if (root == 0)
		coll_expect(c, "Bcast", in, 0, theirs(0), 0, n);
	MPI_Gather(out, n, t, in, n, t, root, c->comm);
	for (int r = 0; r < c->remote_size && root == MPI_ROOT; r++)
		coll_expect(c, "Gather", in, r * n, theirs(r), 0, n);
	MPI_Scatter(out, n, t, in, n, t, root, c->comm);
	if (root == 0)
		coll_expect(c, "Scatter", in, 0, theirs(0), n * c->rank, n);
	MPI_Reduce(out, in, n, t, MPI_MAX, root, c->comm);
	for (int i = 0; i < n && root == MPI_ROOT; i++) {
		int max = 0;

		for (int r = 0; r < c->remote_size; r++)
			if (coll_value(c, theirs(r), i) > max)
				max = coll_value(c, theirs(r), i);
		coll_expect_number(c, "Reduce", in, i, max);
	}
}

static void inter_all(const struct coll *c, void *out, void *in)
{
	MPI_Datatype t = c->type->mpi;
	int n = c->count;

	MPI_Allgather(out, n, t, in, n, t, c->comm);
	for (int r = 0; r < c->remote_size; r++)
		coll_expect(c, "Allgather", in, r * n, theirs(r), 0, n);
	MPI_Alltoall(out, n, t, in, n, t, c->comm);
	for (int r = 0; r < c->remote_size; r++)
		coll_expect(c, "Alltoall", in, r * n, theirs(r), n * c->rank, n);
	MPI_Allreduce(out, in, n, t, MPI_SUM, c->comm);
	for (int i = 0; i < n; i++) {
		int sum = 0;

		for (int r = 0; r < c->remote_size; r++)
			sum += coll_value(c, theirs(r), i);
		coll_expect_number(c, "Allreduce", in, i, sum);
	}
	MPI_Barrier(c->comm);
}

void coll_inter(struct coll *c)
{
	int most = c->size > c->remote_size ? c->size : c->remote_size;
	void *out = coll_buffer(c, c->count * most), *in = coll_buffer(c, c->count * most);

	coll_put(c, out, 0, mine(c), 0, c->count * most);
	inter_rooted(c, 0, out, in);
	inter_rooted(c, 1, out, in);
	inter_all(c, out, in);
	free(out);
	free(in);
}
