/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_coll_move.c - collective operations that move data: broadcast, gather, scatter, exchange. */
#include <stdlib.h>
#include <string.h>

#include "mpi_coll.h"

/* With large counts, one root is enough. */
static int roots(const struct coll *c)
{
	return c->count > 1000 && c->size > 1 ? 2 : c->size;
}

/* Uneven parts, some empty: of rank, up to count. */
static int part(const struct coll *c, int rank)
{
	return rank % 3 == 1 ? 0 : c->count * (rank % 4 + 1) / 4;
}

/* counts[r] = part of rank r; places[r]: where it starts, with a gap of one before each. */
static int parts(const struct coll *c, int *counts, int *places)
{
	int at = 0;

	for (int r = 0; r < c->size; r++) {
		counts[r] = part(c, r);
		places[r] = ++at;
		at += counts[r];
	}
	return at;
}

void coll_bcast(struct coll *c)
{
	void *buf = coll_buffer(c, c->count);

	for (int root = 0; root < roots(c); root++, c->round++) {
		if (c->rank == root)
			coll_put(c, buf, 0, root, 0, c->count);
		MPI_Bcast(buf, c->count, c->type->mpi, root, c->comm);
		coll_expect(c, "Bcast", buf, 0, root, 0, c->count);
	}
	free(buf);
}

void coll_gather(struct coll *c)
{
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, c->count * c->size);

	for (int root = 0; root < roots(c); root++, c->round++) {
		coll_put(c, out, 0, c->rank, 0, c->count);
		MPI_Gather(out, c->count, c->type->mpi, in, c->count, c->type->mpi, root, c->comm);
		for (int r = 0; r < c->size && c->rank == root; r++)
			coll_expect(c, "Gather", in, r * c->count, r, 0, c->count);
	}
	free(out);
	free(in);
}

void coll_gatherv(struct coll *c)
{
	int *counts = test_alloc(sizeof(int) * (size_t)c->size * 2), *places = counts + c->size;
	int total = parts(c, counts, places);
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, total);

	for (int root = 0; root < roots(c); root++, c->round++) {
		coll_put(c, out, 0, c->rank, 0, part(c, c->rank));
		MPI_Gatherv(out, part(c, c->rank), c->type->mpi, in, counts, places, c->type->mpi,
			    root, c->comm);
		for (int r = 0; r < c->size && c->rank == root; r++)
			coll_expect(c, "Gatherv", in, places[r], r, 0, counts[r]);
	}
	free(counts);
	free(out);
	free(in);
}

void coll_scatter(struct coll *c)
{
	int n = c->count;
	void *out = coll_buffer(c, n * c->size), *in = coll_buffer(c, n);

	for (int root = 0; root < roots(c); root++, c->round++) {
		if (c->rank == root)
			coll_put(c, out, 0, root, 0, n * c->size);
		MPI_Scatter(out, n, c->type->mpi, in, n, c->type->mpi, root, c->comm);
		coll_expect(c, "Scatter", in, 0, root, n * c->rank, n);
	}
	free(out);
	free(in);
}

void coll_scatterv(struct coll *c)
{
	int *counts = test_alloc(sizeof(int) * (size_t)c->size * 2), *places = counts + c->size;
	int total = parts(c, counts, places), mine = part(c, c->rank);
	void *out = coll_buffer(c, total), *in = coll_buffer(c, c->count);

	for (int root = 0; root < roots(c); root++, c->round++) {
		if (c->rank == root)
			coll_put(c, out, 0, root, 0, total);
		MPI_Scatterv(out, counts, places, c->type->mpi, in, mine, c->type->mpi, root,
			     c->comm);
		coll_expect(c, "Scatterv", in, 0, root, places[c->rank], mine);
	}
	free(counts);
	free(out);
	free(in);
}

void coll_allgather(struct coll *c)
{
	int n = c->count;
	void *out = coll_buffer(c, n), *in = coll_buffer(c, n * c->size);

	coll_put(c, out, 0, c->rank, 0, n);
	MPI_Allgather(out, n, c->type->mpi, in, n, c->type->mpi, c->comm);
	for (int r = 0; r < c->size; r++)
		coll_expect(c, "Allgather", in, r * n, r, 0, n);

	memset(in, 0xee, (size_t)n * (size_t)c->size * c->type->size);
	coll_put(c, in, c->rank * n, c->rank, 0, n);
	MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, in, n, c->type->mpi, c->comm);
	for (int r = 0; r < c->size; r++)
		coll_expect(c, "Allgather in place", in, r * n, r, 0, n);
	free(out);
	free(in);
}

void coll_allgatherv(struct coll *c)
{
	int *counts = test_alloc(sizeof(int) * (size_t)c->size * 2), *places = counts + c->size;
	int total = parts(c, counts, places), mine = part(c, c->rank);
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, total);

	coll_put(c, out, 0, c->rank, 0, mine);
	MPI_Allgatherv(out, mine, c->type->mpi, in, counts, places, c->type->mpi, c->comm);
	for (int r = 0; r < c->size; r++)
		coll_expect(c, "Allgatherv", in, places[r], r, 0, counts[r]);
	free(counts);
	free(out);
	free(in);
}

void coll_alltoall(struct coll *c)
{
	int n = c->count;
	void *out = coll_buffer(c, n * c->size), *in = coll_buffer(c, n * c->size);

	coll_put(c, out, 0, c->rank, 0, n * c->size);
	MPI_Alltoall(out, n, c->type->mpi, in, n, c->type->mpi, c->comm);
	for (int r = 0; r < c->size; r++)
		coll_expect(c, "Alltoall", in, r * n, r, c->rank * n, n);
	free(out);
	free(in);
}

/* ----------------------------------------------------------------------- uneven exchanges */

/* How much rank a sends to rank b. */
static int share(const struct coll *c, int a, int b)
{
	return (a + 2 * b) % 4 * c->count / 4;
}

struct exchange {
	int *send_counts, *send_places, *recv_counts, *recv_places;
	MPI_Datatype *types;
	void *out, *in;
};

static void exchange_start(const struct coll *c, struct exchange *x)
{
	int *all = test_alloc(sizeof(int) * (size_t)c->size * 4), out = 0, in = 0;

	x->send_counts = all;
	x->send_places = all + c->size;
	x->recv_counts = all + 2 * c->size;
	x->recv_places = all + 3 * c->size;
	x->types = test_alloc(sizeof(*x->types) * (size_t)c->size);
	for (int r = 0; r < c->size; r++) {
		x->send_counts[r] = share(c, c->rank, r);
		x->recv_counts[r] = share(c, r, c->rank);
		x->send_places[r] = out;
		x->recv_places[r] = in;
		x->types[r] = c->type->mpi;
		out += x->send_counts[r];
		in += x->recv_counts[r];
	}
	x->out = coll_buffer(c, out);
	x->in = coll_buffer(c, in);
	for (int r = 0; r < c->size; r++)
		coll_put(c, x->out, x->send_places[r], c->rank, r * 3, x->send_counts[r]);
}

static void exchange_end(const struct coll *c, struct exchange *x, const char *call)
{
	int in = 0;

	for (int r = 0; r < c->size; r++) {
		coll_expect(c, call, x->in, in, r, c->rank * 3, x->recv_counts[r]);
		in += x->recv_counts[r];
	}
	free(x->send_counts);
	free(x->types);
	free(x->out);
	free(x->in);
}

void coll_alltoallv(struct coll *c)
{
	struct exchange x;

	exchange_start(c, &x);
	MPI_Alltoallv(x.out, x.send_counts, x.send_places, c->type->mpi, x.in, x.recv_counts,
		      x.recv_places, c->type->mpi, c->comm);
	exchange_end(c, &x, "Alltoallv");
}

void coll_alltoallw(struct coll *c)
{
	struct exchange x;

	exchange_start(c, &x);
	for (int r = 0; r < c->size; r++) { /* places are in bytes here */
		x.send_places[r] *= (int)c->type->size;
		x.recv_places[r] *= (int)c->type->size;
	}
	MPI_Alltoallw(x.out, x.send_counts, x.send_places, x.types, x.in, x.recv_counts,
		      x.recv_places, x.types, c->comm);
	exchange_end(c, &x, "Alltoallw");
}
