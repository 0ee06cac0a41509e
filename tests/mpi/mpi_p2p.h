/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_p2p.h - the sections of mpi_p2p. */
#ifndef MPI_P2P_H
#define MPI_P2P_H

#include <stdlib.h>

#include "mpi_test.h"

/* mpi_p2p.c: who receives what, in which order */
void p2p_sizes_posted(void);
void p2p_sizes_unexpected(void);
void p2p_self(void);
void p2p_matching(void);
void p2p_wildcards(void);
void p2p_order(void);
void p2p_storm(void);
void p2p_flood(void);
void p2p_flood_tags(void);

/* mpi_p2p_calls.c: the calls that send, receive, look and wait */
void p2p_probe(void);
void p2p_mprobe(void);
void p2p_ssend(void);
void p2p_bsend(void);
void p2p_rsend(void);
void p2p_waits(void);
void p2p_cancel(void);
void p2p_persistent(void);
void p2p_datatypes(void);

/* A ring: each receives from its left and sends to its right. */
static inline int p2p_left(void)
{
	return (test_rank + test_size - 1) % test_size;
}

static inline int p2p_right(void)
{
	return (test_rank + 1) % test_size;
}

/* Sends and receives that are filled and checked with the key of (source, dest, tag, number). */
static inline void p2p_send(int len, int dest, int tag, int number, MPI_Comm comm)
{
	uint8_t *buf = test_alloc((size_t)len);

	test_fill(buf, (size_t)len, test_key(test_rank, dest, tag, number));
	MPI_Send(buf, len, MPI_BYTE, dest, tag, comm);
	free(buf);
}

static inline void p2p_recv(const char *what, int len, int source, int tag, int number,
			    MPI_Comm comm)
{
	uint8_t *buf = test_alloc((size_t)len);
	MPI_Status status;

	MPI_Recv(buf, len, MPI_BYTE, source, tag, comm, &status);
	test_expect_status(what, &status, source, tag, len);
	test_check(what, buf, (size_t)len, test_key(source, test_rank, tag, number));
	free(buf);
}

#endif
