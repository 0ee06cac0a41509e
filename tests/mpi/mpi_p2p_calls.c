/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_p2p_calls.c - messages between pairs of ranks: the calls that send, look, wait and cancel. */
#include <string.h>

#include "mpi_p2p.h"

static const int sizes[] = { 0, 1, 100, 4096, 20000, 65537, 500000 };
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

/* "go": its only meaning is that the sender has come so far. */
static void token_send(int dest)
{
	MPI_Send(NULL, 0, MPI_BYTE, dest, 77, MPI_COMM_WORLD);
}

static void token_recv(int source)
{
	MPI_Recv(NULL, 0, MPI_BYTE, source, 77, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static uint8_t *filled(int len, int dest, int tag, int number)
{
	uint8_t *buf = test_alloc((size_t)len);

	test_fill(buf, (size_t)len, test_key(test_rank, dest, tag, number));
	return buf;
}

/* ---------------------------------------------------------------------------- looking at */

static void iprobe_until(int source, int tag, MPI_Status *status)
{
	int flag = 0;

	while (!flag)
		MPI_Iprobe(source, tag, MPI_COMM_WORLD, &flag, status);
}

static void probe_one(int i, int left)
{
	bool wild = i & 1;
	MPI_Status status;

	if (i & 2)
		iprobe_until(wild ? MPI_ANY_SOURCE : left, wild ? MPI_ANY_TAG : i, &status);
	else
		MPI_Probe(wild ? MPI_ANY_SOURCE : left, wild ? MPI_ANY_TAG : i, MPI_COMM_WORLD,
			  &status);
	test_expect_status("probe", &status, left, i, sizes[i % SIZES]);
	/* looking takes nothing away: looking again sees the same */
	MPI_Probe(left, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
	test_expect_status("second probe", &status, left, i, sizes[i % SIZES]);
	p2p_recv("after probe", sizes[i % SIZES], left, i, 0, MPI_COMM_WORLD);
}

void p2p_probe(void)
{
	int left = p2p_left(), right = p2p_right(), flag;
	MPI_Request requests[4 * SIZES];
	uint8_t *bufs[4 * SIZES];

	MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
	test_expect(0, flag, "Iprobe when nothing was sent");
	MPI_Barrier(MPI_COMM_WORLD);
	for (int i = 0; i < 4 * SIZES; i++) {
		bufs[i] = filled(sizes[i % SIZES], right, i, 0);
		MPI_Isend(bufs[i], sizes[i % SIZES], MPI_BYTE, right, i, MPI_COMM_WORLD,
			  &requests[i]);
	}
	for (int i = 0; i < 4 * SIZES; i++)
		probe_one(i, left);
	MPI_Waitall(4 * SIZES, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < 4 * SIZES; i++)
		free(bufs[i]);
}

static void mprobe_take(int i, int left, MPI_Message *message)
{
	MPI_Status status;
	int flag = 0;

	if (i & 1)
		MPI_Mprobe(MPI_ANY_SOURCE, 3, MPI_COMM_WORLD, message, &status);
	while (!(i & 1) && !flag)
		MPI_Improbe(left, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, message, &status);
	test_expect_status("mprobe", &status, left, 3, sizes[i]);
}

static void mprobe_receive(int i, int left, MPI_Message *message)
{
	uint8_t *buf = test_alloc((size_t)sizes[i]);
	MPI_Request request;
	MPI_Status status;

	if (i & 2) {
		MPI_Imrecv(buf, sizes[i], MPI_BYTE, message, &request);
		MPI_Wait(&request, &status);
	} else {
		MPI_Mrecv(buf, sizes[i], MPI_BYTE, message, &status);
	}
	test_expect_status("mrecv", &status, left, 3, sizes[i]);
	test_check("mrecv", buf, (size_t)sizes[i], test_key(left, test_rank, 3, i));
	free(buf);
}

/* What was taken by Mprobe is out of the reach of other receives, and can wait. */
void p2p_mprobe(void)
{
	int left = p2p_left(), right = p2p_right(), flag;
	MPI_Request requests[SIZES + 1];
	MPI_Message messages[SIZES];
	uint8_t *bufs[SIZES + 1];

	for (int i = 0; i <= SIZES; i++) {
		int len = i < SIZES ? sizes[i] : 33;

		bufs[i] = filled(len, right, 3, i);
		MPI_Isend(bufs[i], len, MPI_BYTE, right, 3, MPI_COMM_WORLD, &requests[i]);
	}
	for (int i = 0; i < SIZES; i++)
		mprobe_take(i, left, &messages[i]);
	p2p_recv("after all were taken", 33, left, 3, SIZES, MPI_COMM_WORLD);
	for (int i = SIZES - 1; i >= 0; i--)
		mprobe_receive(i, left, &messages[i]);
	MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
	test_expect(0, flag, "Iprobe when all was received");
	MPI_Waitall(SIZES + 1, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i <= SIZES; i++)
		free(bufs[i]);
}

/* ------------------------------------------------------------------------- kinds of sends */

static void ssend_one(int len, int dest)
{
	uint8_t *buf = filled(len, dest, 4, len);
	uint64_t end = test_now_ns() + 20000000;
	MPI_Request request;
	int flag = 0;

	MPI_Issend(buf, len, MPI_BYTE, dest, 4, MPI_COMM_WORLD, &request);
	while (test_now_ns() < end) {
		MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
		test_expect(0, flag, "synchronous send of %d bytes complete, not yet received",
			    len);
	}
	token_send(dest);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	MPI_Ssend(buf, len, MPI_BYTE, dest, 4, MPI_COMM_WORLD);
	free(buf);
}

/* A synchronous send is complete only when it was matched: the receive waits for a token. */
void p2p_ssend(void)
{
	bool even = test_rank % 2 == 0;
	int partner = test_rank ^ 1;

	if (partner >= test_size)
		return;
	for (int i = 0; i < 2 * SIZES; i++) {
		int len = sizes[i / 2];

		if (even == (i % 2 == 0)) {
			ssend_one(len, partner);
			continue;
		}
		token_recv(partner);
		p2p_recv("Issend", len, partner, 4, len, MPI_COMM_WORLD);
		p2p_recv("Ssend", len, partner, 4, len, MPI_COMM_WORLD);
	}
}

/* All send before any receives: blocking, so this needs the buffer. */
void p2p_bsend(void)
{
	int left = p2p_left(), right = p2p_right(), total = 0, size;
	uint8_t *buffer;
	void *detached;

	for (int i = 0; i < SIZES; i++)
		total += sizes[i] + MPI_BSEND_OVERHEAD;
	buffer = test_alloc((size_t)total);
	MPI_Buffer_attach(buffer, total);
	for (int i = 0; i < SIZES; i++) {
		uint8_t *buf = filled(sizes[i], right, 6, i);

		MPI_Bsend(buf, sizes[i], MPI_BYTE, right, 6, MPI_COMM_WORLD);
		memset(buf, 0, (size_t)sizes[i]);
		free(buf);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	for (int i = 0; i < SIZES; i++)
		p2p_recv("Bsend", sizes[i], left, 6, i, MPI_COMM_WORLD);
	MPI_Buffer_detach(&detached, &size);
	test_expect(total, size, "size of the buffer detached");
	free(buffer);
}

void p2p_rsend(void)
{
	int left = p2p_left(), right = p2p_right();

	for (int i = 0; i < SIZES; i++) {
		uint8_t *in = test_alloc((size_t)sizes[i]), *out = filled(sizes[i], right, 8, i);
		MPI_Request request;
		MPI_Status status;

		MPI_Irecv(in, sizes[i], MPI_BYTE, left, 8, MPI_COMM_WORLD, &request);
		MPI_Barrier(MPI_COMM_WORLD);
		MPI_Rsend(out, sizes[i], MPI_BYTE, right, 8, MPI_COMM_WORLD);
		MPI_Wait(&request, &status);
		test_expect_status("Rsend", &status, left, 8, sizes[i]);
		test_check("Rsend", in, (size_t)sizes[i], test_key(left, test_rank, 8, i));
		free(in);
		free(out);
	}
}

/* -------------------------------------------------------------------------------- waiting */

#define WAITS 64

/* How many of the requests are done now, by one of four calls; which: their indices. */
static int some_done(int kind, MPI_Request *requests, int *which)
{
	int n = 0, flag;

	switch (kind % 4) {
	case 0:
		MPI_Waitany(WAITS, requests, which, MPI_STATUS_IGNORE);
		return 1;
	case 1:
		MPI_Waitsome(WAITS, requests, &n, which, MPI_STATUSES_IGNORE);
		return n;
	case 2:
		MPI_Testany(WAITS, requests, which, &flag, MPI_STATUS_IGNORE);
		return flag ? 1 : 0;
	default:
		MPI_Testsome(WAITS, requests, &n, which, MPI_STATUSES_IGNORE);
		return n;
	}
}

/* Receives complete in whatever order: each exactly once, and each with its own content. */
static void wait_for_all(MPI_Request *requests, int (*in)[4], int left)
{
	int done = 0, which[WAITS], seen[WAITS] = { 0 };

	for (int kind = 0; done < WAITS; kind++) {
		int n = some_done(kind, requests, which);

		for (int i = 0; i < n; i++) {
			int at = which[i];

			test_expect(0, seen[at]++, "completions of receive %d before this one", at);
			test_check("waits", in[at], sizeof(in[at]),
				   test_key(left, test_rank, at, 0));
		}
		done += n;
	}
}

void p2p_waits(void)
{
	int left = p2p_left(), right = p2p_right(), flag, at, in[WAITS][4], out[WAITS][4];
	MPI_Request recvs[WAITS], sends[WAITS];

	for (int i = 0; i < WAITS; i++)
		MPI_Irecv(in[i], 4, MPI_INT, left, i, MPI_COMM_WORLD, &recvs[i]);
	for (int i = 0; i < WAITS; i++) {
		int tag = i * 37 % WAITS; /* each once, out of order */

		test_fill(out[i], sizeof(out[i]), test_key(test_rank, right, tag, 0));
		MPI_Isend(out[i], 4, MPI_INT, right, tag, MPI_COMM_WORLD, &sends[i]);
	}
	wait_for_all(recvs, in, left);
	MPI_Waitany(WAITS, recvs, &at, MPI_STATUS_IGNORE);
	test_expect(MPI_UNDEFINED, at, "index when all are done");
	do
		MPI_Testall(WAITS, sends, &flag, MPI_STATUSES_IGNORE);
	while (!flag);
}

/* ------------------------------------------------------------------------------ cancelling */

#define CANCELS 200

/* Every other receive is for a tag that nobody sends. */
static void cancel_odd(MPI_Request *requests)
{
	MPI_Status status;
	int flag;

	for (int i = 1; i < CANCELS; i += 2) {
		MPI_Cancel(&requests[i]);
		MPI_Wait(&requests[i], &status);
		MPI_Test_cancelled(&status, &flag);
		test_expect(1, flag, "receive %d cancelled", i);
	}
}

/* A receive whose message is there is cancelled: it has the message, or the next receive has. */
static void cancel_race(int left, int right)
{
	MPI_Request request;
	MPI_Status status;
	uint8_t buf[64];
	int flag;

	for (int i = 0; i < 20; i++) {
		p2p_send(64, right, 5001, i, MPI_COMM_WORLD);
		MPI_Probe(left, 5001, MPI_COMM_WORLD, &status);
		MPI_Irecv(buf, 64, MPI_BYTE, left, 5001, MPI_COMM_WORLD, &request);
		MPI_Cancel(&request);
		MPI_Wait(&request, &status);
		MPI_Test_cancelled(&status, &flag);
		if (flag)
			p2p_recv("after a cancelled one", 64, left, 5001, i, MPI_COMM_WORLD);
		else
			test_check("not cancelled", buf, 64, test_key(left, test_rank, 5001, i));
	}
}

/* The others get theirs, and so does a receive that comes where one was cancelled. */
void p2p_cancel(void)
{
	int left = p2p_left(), right = p2p_right(), flag;
	MPI_Request requests[CANCELS];
	uint8_t bufs[CANCELS][64];
	MPI_Status status;

	for (int i = 0; i < CANCELS; i++)
		MPI_Irecv(bufs[i], 64, MPI_BYTE, i % 4 ? left : MPI_ANY_SOURCE,
			  i % 2 ? 5000 : 10 + i, MPI_COMM_WORLD, &requests[i]);
	cancel_odd(requests);
	MPI_Barrier(MPI_COMM_WORLD);
	for (int i = 0; i < CANCELS; i += 2)
		p2p_send(64, right, 10 + i, i, MPI_COMM_WORLD);
	p2p_send(64, right, 5000, 1, MPI_COMM_WORLD);
	for (int i = 0; i < CANCELS; i += 2) {
		MPI_Wait(&requests[i], &status);
		MPI_Test_cancelled(&status, &flag);
		test_expect(0, flag, "receive %d cancelled", i);
		test_expect_status("between cancelled ones", &status, left, 10 + i, 64);
		test_check("between cancelled ones", bufs[i], 64,
			   test_key(left, test_rank, 10 + i, i));
	}
	p2p_recv("after cancelling", 64, left, 5000, 1, MPI_COMM_WORLD);
	cancel_race(left, right);
	test_note("%d of %d receives", CANCELS / 2, CANCELS);
}

/* --------------------------------------------------------- persistent requests, datatypes */

void p2p_persistent(void)
{
	int left = p2p_left(), right = p2p_right();
	static uint8_t in[2][70000], out[2][70000];
	const int lens[2] = { 64, 70000 };
	MPI_Request requests[4];
	MPI_Status status[4];

	for (int i = 0; i < 2; i++) {
		MPI_Recv_init(in[i], lens[i], MPI_BYTE, left, i, MPI_COMM_WORLD, &requests[i]);
		MPI_Send_init(out[i], lens[i], MPI_BYTE, right, i, MPI_COMM_WORLD,
			      &requests[2 + i]);
	}
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 2; i++)
			test_fill(out[i], (size_t)lens[i], test_key(test_rank, right, i, round));
		MPI_Startall(4, requests);
		MPI_Waitall(4, requests, status);
		for (int i = 0; i < 2; i++) {
			test_expect_status("persistent", &status[i], left, i, lens[i]);
			test_check("persistent", in[i], (size_t)lens[i],
				   test_key(left, test_rank, i, round));
		}
	}
	for (int i = 0; i < 4; i++)
		MPI_Request_free(&requests[i]);
}

#define ROWS 300
#define COLUMNS 70

/* A column of a matrix goes out, a row comes in; then the other way round. */
void p2p_datatypes(void)
{
	static int matrix[ROWS][COLUMNS], line[ROWS];
	int left = p2p_left(), right = p2p_right();
	MPI_Datatype column;

	MPI_Type_vector(ROWS, 1, COLUMNS, MPI_INT, &column);
	MPI_Type_commit(&column);
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < COLUMNS; j++)
			matrix[i][j] = test_rank * 1000000 + i * 1000 + j;
	for (int j = 0; j < COLUMNS; j++) {
		MPI_Sendrecv(&matrix[0][j], 1, column, right, j, line, ROWS, MPI_INT, left, j,
			     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		for (int i = 0; i < ROWS; i++)
			test_expect(left * 1000000 + i * 1000 + j, line[i], "column %d, row %d", j,
				    i);
		MPI_Sendrecv(line, ROWS, MPI_INT, right, j, &matrix[0][j], 1, column, left, j,
			     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	}
	left = (left + test_size - 1) % test_size;
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < COLUMNS; j++)
			test_expect(left * 1000000 + i * 1000 + j, matrix[i][j],
				    "after two steps, column %d, row %d", j, i);
	MPI_Type_free(&column);
}
