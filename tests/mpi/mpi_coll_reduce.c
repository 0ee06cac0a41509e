/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_coll_reduce.c - collective operations that compute. */
#include <stdlib.h>
#include <string.h>

#include "mpi_coll.h"

static const struct {
	const char *name;
	MPI_Op op;
} ops[] = { { "sum", MPI_SUM }, { "max", MPI_MAX }, { "min", MPI_MIN } };
#define OPS 3

static long long apply(int op, long long a, long long b)
{
	if (op == 0)
		return a + b;
	return (op == 1) == (a > b) ? a : b;
}

/* The serial computation: ranks first to last, element i. */
static long long over(const struct coll *c, int op, int first, int last, int i)
{
	long long v = coll_value(c, first, i);

	for (int r = first + 1; r <= last; r++)
		v = apply(op, v, coll_value(c, r, i));
	return v;
}

/* buf[0..n-1] are the elements from "from" on, over all ranks up to last. */
static void expect(const struct coll *c, const char *call, int op, const void *buf, int last,
		   int from, int n)
{
	for (int i = 0; i < n; i++)
		coll_expect_number(c, call, buf, i, over(c, op, 0, last, from + i));
}

void coll_reduce(struct coll *c)
{
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, c->count);

	for (int i = 0; i < OPS; i++, c->round++) {
		int root = c->round % c->size;

		coll_put(c, out, 0, c->rank, 0, c->count);
		MPI_Reduce(out, in, c->count, c->type->mpi, ops[i].op, root, c->comm);
		if (c->rank == root)
			expect(c, "Reduce", i, in, c->size - 1, 0, c->count);
	}
	free(out);
	free(in);
}

void coll_allreduce(struct coll *c)
{
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, c->count);

	for (int i = 0; i < OPS; i++, c->round++) {
		coll_put(c, out, 0, c->rank, 0, c->count);
		MPI_Allreduce(out, in, c->count, c->type->mpi, ops[i].op, c->comm);
		expect(c, "Allreduce", i, in, c->size - 1, 0, c->count);
		MPI_Allreduce(MPI_IN_PLACE, out, c->count, c->type->mpi, ops[i].op, c->comm);
		expect(c, "Allreduce in place", i, out, c->size - 1, 0, c->count);
	}
	free(out);
	free(in);
}

/* Rank r gets count * (r % 3) / 2 elements: some get none. */
void coll_reduce_scatter(struct coll *c)
{
	int *counts = test_alloc(sizeof(int) * (size_t)c->size), total = 0, from = 0;
	void *out, *in;

	for (int r = 0; r < c->size; r++) {
		counts[r] = c->count * (r % 3) / 2;
		total += counts[r];
		if (r < c->rank)
			from += counts[r];
	}
	out = coll_buffer(c, total);
	in = coll_buffer(c, counts[c->rank]);
	for (int i = 0; i < OPS; i++, c->round++) {
		coll_put(c, out, 0, c->rank, 0, total);
		MPI_Reduce_scatter(out, in, counts, c->type->mpi, ops[i].op, c->comm);
		expect(c, "Reduce_scatter", i, in, c->size - 1, from, counts[c->rank]);
	}
	free(counts);
	free(out);
	free(in);
}

void coll_reduce_scatter_block(struct coll *c)
{
	int n = c->count;
	void *out = coll_buffer(c, n * c->size), *in = coll_buffer(c, n);

	coll_put(c, out, 0, c->rank, 0, n * c->size);
	MPI_Reduce_scatter_block(out, in, n, c->type->mpi, MPI_SUM, c->comm);
	expect(c, "Reduce_scatter_block", 0, in, c->size - 1, n * c->rank, n);
	free(out);
	free(in);
}

void coll_scan(struct coll *c)
{
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, c->count);

	for (int i = 0; i < OPS; i++, c->round++) {
		coll_put(c, out, 0, c->rank, 0, c->count);
		MPI_Scan(out, in, c->count, c->type->mpi, ops[i].op, c->comm);
		expect(c, "Scan", i, in, c->rank, 0, c->count);
	}
	free(out);
	free(in);
}

void coll_exscan(struct coll *c)
{
	void *out = coll_buffer(c, c->count), *in = coll_buffer(c, c->count);

	for (int i = 0; i < OPS; i++, c->round++) {
		coll_put(c, out, 0, c->rank, 0, c->count);
		MPI_Exscan(out, in, c->count, c->type->mpi, ops[i].op, c->comm);
		if (c->rank > 0) /* rank 0 gets nothing */
			expect(c, "Exscan", i, in, c->rank - 1, 0, c->count);
	}
	free(out);
	free(in);
}

/* ------------------------------------------------------------------ an operation in order */

#define MODULUS 10007

/* x -> a x + b; one after the other is associative, but not commutative. */
struct affine {
	int a, b;
};

static struct affine then(struct affine f, struct affine g)
{
	return (struct affine){ g.a * f.a % MODULUS, (g.a * f.b + g.b) % MODULUS };
}

static void then_op(void *in, void *inout, int *len, MPI_Datatype *type)
{
	struct affine *f = in, *g = inout;

	(void)type;
	for (int i = 0; i < *len; i++)
		g[i] = then(f[i], g[i]);
}

static struct affine affine_of(const struct coll *c, int rank, int i)
{
	return (struct affine){ coll_value(c, rank, i) + 1, coll_value(c, rank, i + 1) };
}

static void expect_affine(const struct coll *c, const char *call, const struct affine *in, int last)
{
	for (int i = 0; i < c->count; i++) {
		struct affine f = affine_of(c, 0, i);

		for (int r = 1; r <= last; r++)
			f = then(f, affine_of(c, r, i));
		test_expect(f.a, in[i].a, "%s in order on %s, element %d, a", call, c->where, i);
		test_expect(f.b, in[i].b, "%s in order on %s, element %d, b", call, c->where, i);
	}
}

/* The communicator's type is not used: once is enough. */
void coll_ordered(struct coll *c)
{
	struct affine *out = test_alloc(sizeof(*out) * (size_t)c->count);
	struct affine *in = test_alloc(sizeof(*in) * (size_t)c->count);
	int root = c->round % c->size;
	MPI_Op op;

	MPI_Op_create(then_op, 0, &op);
	for (int i = 0; i < c->count; i++)
		out[i] = affine_of(c, c->rank, i);
	MPI_Reduce(out, in, c->count, MPI_2INT, op, root, c->comm);
	if (c->rank == root)
		expect_affine(c, "Reduce", in, c->size - 1);
	MPI_Allreduce(out, in, c->count, MPI_2INT, op, c->comm);
	expect_affine(c, "Allreduce", in, c->size - 1);
	MPI_Scan(out, in, c->count, MPI_2INT, op, c->comm);
	expect_affine(c, "Scan", in, c->rank);
	MPI_Exscan(out, in, c->count, MPI_2INT, op, c->comm);
	if (c->rank > 0)
		expect_affine(c, "Exscan", in, c->rank - 1);
	MPI_Op_free(&op);
	free(out);
	free(in);
}

void coll_minloc(struct coll *c)
{
	struct located {
		double value;
		int rank;
	} * out, *in;

	out = test_alloc(sizeof(*out) * (size_t)c->count);
	in = test_alloc(sizeof(*in) * (size_t)c->count);
	for (int i = 0; i < c->count; i++)
		out[i] = (struct located){ coll_value(c, c->rank, i), c->rank };
	MPI_Allreduce(out, in, c->count, MPI_DOUBLE_INT, MPI_MINLOC, c->comm);
	for (int i = 0; i < c->count; i++) {
		int where = 0;

		for (int r = 1; r < c->size; r++)
			if (coll_value(c, r, i) < coll_value(c, where, i))
				where = r;
		test_expect(where, in[i].rank, "Minloc on %s, rank of element %d", c->where, i);
		test_expect(coll_value(c, where, i), (long long)in[i].value,
			    "Minloc on %s, element %d", c->where, i);
	}
	free(out);
	free(in);
}
