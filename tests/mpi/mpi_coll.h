/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mpi_coll.h - collective operations on one communicator, each compared with a serial computation:
 * every rank knows what every other rank contributes.
 */
#ifndef MPI_COLL_H
#define MPI_COLL_H

#include "mpi_test.h"

/* Elements of the types tested hold a small whole number, so that sums are exact in all of them. */
struct coll_type {
	const char *name;
	MPI_Datatype mpi;
	size_t size;
};
#define COLL_TYPES 5
extern const struct coll_type coll_types[COLL_TYPES];

/* What a call is tested with. */
struct coll {
	const char *where; /* for messages */
	MPI_Comm comm;
	int rank, size;   /* in comm */
	int remote_size;  /* of an intercommunicator, else size */
	int count, round; /* round: makes the content differ between calls */
	const struct coll_type *type;
};

struct coll coll_on(const char *where, MPI_Comm comm, int count, const struct coll_type *type);

/* What rank contributes as its element i in this round; of both sides, in an intercommunicator. */
int coll_value(const struct coll *c, int rank, int i);

/* buf[at..] = rank's elements first..first + n - 1 */
void coll_put(const struct coll *c, void *buf, int at, int rank, int first, int n);
/* Fails unless buf[at..] holds these. */
void coll_expect(const struct coll *c, const char *call, const void *buf, int at, int rank,
		 int first, int n);
/* Fails unless buf[at] holds this number. */
void coll_expect_number(const struct coll *c, const char *call, const void *buf, int at,
			long long expected);
/* A buffer for n elements, all bytes 0xee. */
void *coll_buffer(const struct coll *c, int n);

/* mpi_coll_move.c: each moves data, with every root that there is */
void coll_bcast(struct coll *c);
void coll_gather(struct coll *c);
void coll_gatherv(struct coll *c);
void coll_scatter(struct coll *c);
void coll_scatterv(struct coll *c);
void coll_allgather(struct coll *c);
void coll_allgatherv(struct coll *c);
void coll_alltoall(struct coll *c);
void coll_alltoallv(struct coll *c);
void coll_alltoallw(struct coll *c);

/* mpi_coll_reduce.c: each computes */
void coll_reduce(struct coll *c);
void coll_allreduce(struct coll *c);
void coll_reduce_scatter(struct coll *c);
void coll_reduce_scatter_block(struct coll *c);
void coll_scan(struct coll *c);
void coll_exscan(struct coll *c);
void coll_ordered(struct coll *c); /* an operation that is not commutative */
void coll_minloc(struct coll *c);

/* mpi_coll_other.c */
void coll_nonblocking(struct coll *c);
void coll_barrier(struct coll *c);
void coll_inter(struct coll *c); /* all that is defined between two groups */

#endif
