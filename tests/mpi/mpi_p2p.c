/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpi_p2p.c - messages between pairs of ranks: who receives what, in which order. */
#include <string.h>

#include "mpi_p2p.h"

/* Around what transports use as limits: a frame, a segment, a page, 16 and 64 KiB, and beyond. */
static const int sizes[] = {
	0,     1,     7,     8,     63,     64,     65,      512,     1023,
	1024,  1448,  1500,  4095,  4096,   4097,   8192,    16384,   16385,
	32768, 65535, 65536, 65537, 131072, 262143, 1 << 20, 3000001, 8 << 20
};
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

/* ----------------------------------------------------------------------------- all sizes */

/* Every rank receives from its left and sends to its right. */
static void ring(int len, int tag, bool posted)
{
	uint8_t *in = test_alloc((size_t)len), *out = test_alloc((size_t)len);
	int left = p2p_left(), right = p2p_right();
	MPI_Request recv = MPI_REQUEST_NULL, send;
	MPI_Status status;

	memset(in, 0xee, (size_t)len);
	test_fill(out, (size_t)len, test_key(test_rank, right, tag, 0));
	if (posted) {
		MPI_Irecv(in, len, MPI_BYTE, left, tag, MPI_COMM_WORLD, &recv);
		MPI_Barrier(MPI_COMM_WORLD);
	}
	MPI_Isend(out, len, MPI_BYTE, right, tag, MPI_COMM_WORLD, &send);
	if (!posted) {
		MPI_Barrier(MPI_COMM_WORLD);
		MPI_Irecv(in, len, MPI_BYTE, left, tag, MPI_COMM_WORLD, &recv);
	}
	MPI_Wait(&recv, &status);
	MPI_Wait(&send, MPI_STATUS_IGNORE);
	test_expect_status("ring", &status, left, tag, len);
	test_check("ring", in, (size_t)len, test_key(left, test_rank, tag, 0));
	free(in);
	free(out);
}

static void all_sizes(bool posted)
{
	for (int i = 0; i < SIZES; i++)
		ring(sizes[i], i, posted);
	test_note("%d sizes, 0 to %d bytes", SIZES, sizes[SIZES - 1]);
}

void p2p_sizes_posted(void)
{
	all_sizes(true);
}

void p2p_sizes_unexpected(void)
{
	all_sizes(false);
}

/* ------------------------------------------------------------------------------- oneself */

static void self_exchange(int len, bool posted)
{
	uint8_t *in = test_alloc((size_t)len), *out = test_alloc((size_t)len);
	uint64_t key = test_key(test_rank, test_rank, len, posted);
	MPI_Request recv, send;
	MPI_Status status;

	test_fill(out, (size_t)len, key);
	if (posted)
		MPI_Irecv(in, len, MPI_BYTE, test_rank, 5, MPI_COMM_WORLD, &recv);
	MPI_Isend(out, len, MPI_BYTE, test_rank, 5, MPI_COMM_WORLD, &send);
	if (!posted)
		MPI_Irecv(in, len, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &recv);
	MPI_Wait(&send, MPI_STATUS_IGNORE);
	MPI_Wait(&recv, &status);
	test_expect_status("to oneself", &status, test_rank, 5, len);
	test_check("to oneself", in, (size_t)len, key);
	free(in);
	free(out);
}

void p2p_self(void)
{
	int in, out = test_rank + 1000;

	for (int i = 0; i < SIZES; i++) {
		self_exchange(sizes[i], true);
		self_exchange(sizes[i], false);
	}
	MPI_Sendrecv(&out, 1, MPI_INT, 0, 1, &in, 1, MPI_INT, 0, 1, MPI_COMM_SELF,
		     MPI_STATUS_IGNORE);
	test_expect(out, in, "on MPI_COMM_SELF");
	test_note("%d sizes, expected and unexpected", SIZES);
}

/* ------------------------------------------------------------------------------ matching */

static void post(int *buf, int source, int tag, MPI_Request *request)
{
	MPI_Irecv(buf, 1, MPI_INT, source, tag, MPI_COMM_WORLD, request);
}

/* A receive takes the first message that it matches; a message, the first such receive. */
static void matching_receiver(int left)
{
	/* in the order of posting: the third may only take tag 3, the first two take 1 and 2 */
	static const int tags[] = { 1, 2, 3, 1, 4 };
	MPI_Request requests[5];
	MPI_Status status[5];
	int got[5];

	post(&got[0], MPI_ANY_SOURCE, MPI_ANY_TAG, &requests[0]);
	post(&got[1], left, MPI_ANY_TAG, &requests[1]);
	post(&got[2], MPI_ANY_SOURCE, 3, &requests[2]);
	post(&got[3], left, 1, &requests[3]);
	post(&got[4], left, MPI_ANY_TAG, &requests[4]);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Waitall(5, requests, status);
	for (int i = 0; i < 5; i++) {
		test_expect_status("receive in turn", &status[i], left, tags[i], sizeof(int));
		test_expect(i, got[i], "message of receive %d", i);
	}
}

/* Each rank in turn receives; its left sends. The numbers are those of the receives. */
void p2p_matching(void)
{
	static const int order[][2] = { { 1, 0 }, { 2, 1 }, { 1, 3 }, { 4, 4 }, { 3, 2 } };

	for (int receiver = 0; receiver < test_size; receiver++) {
		int sender = (receiver + test_size - 1) % test_size;

		if (test_rank == receiver)
			matching_receiver(sender);
		else
			MPI_Barrier(MPI_COMM_WORLD);
		for (int i = 0; i < 5 && test_rank == sender; i++)
			MPI_Send(&order[i][1], 1, MPI_INT, receiver, order[i][0], MPI_COMM_WORLD);
		MPI_Barrier(MPI_COMM_WORLD);
	}
}

/* ----------------------------------------------------------------------------- wildcards */

#define WILD_MESSAGES 60
#define WILD_TAGS 4
#define WILD_MAX 65536

static int wild_size(int number)
{
	return sizes[number % 21]; /* up to WILD_MAX */
}

/* One message of the receiver's; next: the number of the next one of each (source, tag). */
static void wild_one(int source, int tag, uint8_t *buf, int (*next)[WILD_TAGS])
{
	MPI_Status status;
	int *number;

	MPI_Recv(buf, WILD_MAX, MPI_BYTE, source, tag, MPI_COMM_WORLD, &status);
	if (source == MPI_ANY_SOURCE)
		source = status.MPI_SOURCE;
	if (tag == MPI_ANY_TAG)
		tag = status.MPI_TAG;
	number = &next[source][tag];
	test_expect_status("wildcard", &status, source, tag, wild_size(*number));
	test_check("wildcard", buf, (size_t)wild_size(*number),
		   test_key(source, test_rank, tag, *number));
	*number += WILD_TAGS;
}

/* Receives everything with one kind of wildcard; within (source, tag) the order is the sender's. */
static void wild_receive(bool any_source, bool any_tag)
{
	int(*next)[WILD_TAGS] = test_alloc((size_t)test_size * sizeof(*next));
	uint8_t *buf = test_alloc(WILD_MAX);
	int others = test_size - 1;

	for (int i = 0; i < test_size * WILD_TAGS; i++)
		next[i / WILD_TAGS][i % WILD_TAGS] = i % WILD_TAGS;
	for (int i = 0; i < WILD_MESSAGES * others; i++) {
		int source = (test_rank + 1 + i % others) % test_size;
		int tag = i / others % WILD_TAGS;

		wild_one(any_source ? MPI_ANY_SOURCE : source, any_tag ? MPI_ANY_TAG : tag, buf,
			 next);
	}
	free(next);
	free(buf);
}

/* Without blocking: with any source, another rank's message may be taken where this one waits. */
static void wild_send(int receiver)
{
	MPI_Request requests[WILD_MESSAGES];
	uint8_t *bufs[WILD_MESSAGES];

	for (int i = 0; i < WILD_MESSAGES; i++) {
		bufs[i] = test_alloc((size_t)wild_size(i));
		test_fill(bufs[i], (size_t)wild_size(i),
			  test_key(test_rank, receiver, i % WILD_TAGS, i));
		MPI_Isend(bufs[i], wild_size(i), MPI_BYTE, receiver, i % WILD_TAGS, MPI_COMM_WORLD,
			  &requests[i]);
	}
	MPI_Waitall(WILD_MESSAGES, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < WILD_MESSAGES; i++)
		free(bufs[i]);
}

void p2p_wildcards(void)
{
	for (int kind = 0; kind < 4; kind++) {
		for (int receiver = 0; receiver < test_size; receiver++) {
			if (test_rank == receiver)
				wild_receive(kind & 1, kind & 2);
			else
				wild_send(receiver);
			MPI_Barrier(MPI_COMM_WORLD);
		}
	}
	test_note("%d messages with each of 4 kinds", WILD_MESSAGES * (test_size - 1) * test_size);
}

/* --------------------------------------------------------------------------------- order */

#define ORDERED 300

/* Large ones take other roads than small ones, and yet may not be overtaken. */
static int ordered_size(int number)
{
	return number % 10 == 3 ? 300000 : number % 10 == 6 ? 20000 : number % 3 * 40;
}

void p2p_order(void)
{
	int left = p2p_left(), right = p2p_right();
	MPI_Request requests[2 * ORDERED];
	uint8_t *in[ORDERED], *out[ORDERED];
	MPI_Status status[2 * ORDERED];

	for (int i = 0; i < ORDERED; i++) {
		size_t len = (size_t)ordered_size(i);

		in[i] = test_alloc(len);
		out[i] = test_alloc(len);
		test_fill(out[i], len, test_key(test_rank, right, 9, i));
		MPI_Irecv(in[i], (int)len, MPI_BYTE, i % 2 ? MPI_ANY_SOURCE : left,
			  i % 5 ? 9 : MPI_ANY_TAG, MPI_COMM_WORLD, &requests[i]);
	}
	for (int i = 0; i < ORDERED; i++)
		MPI_Isend(out[i], ordered_size(i), MPI_BYTE, right, 9, MPI_COMM_WORLD,
			  &requests[ORDERED + i]);
	MPI_Waitall(2 * ORDERED, requests, status);
	for (int i = 0; i < ORDERED; i++) {
		test_expect_status("in order", &status[i], left, 9, ordered_size(i));
		test_check("in order", in[i], (size_t)ordered_size(i),
			   test_key(left, test_rank, 9, i));
		free(in[i]);
		free(out[i]);
	}
	test_note("%d messages of 0 to 300000 bytes", ORDERED);
}

/* --------------------------------------------------------------------------------- storm */

#define STORM 400 /* messages of each rank */
#define STORM_MAX 50000

struct storm_message {
	int dest, tag, len;
};

/* All ranks know what each sends. */
static struct storm_message storm_draw(struct test_random *r)
{
	struct storm_message m;

	m.dest = (int)test_draw(r, (uint32_t)test_size);
	m.tag = (int)test_draw(r, 1000);
	m.len = (int)test_draw(r, test_draw(r, 4) ? 200 : STORM_MAX);
	return m;
}

/* Of what every source sends to this rank: the next, in its order. */
static struct storm_message storm_next(struct test_random *r, int *number)
{
	struct storm_message m;

	do {
		m = storm_draw(r);
		++*number;
	} while (m.dest != test_rank);
	return m;
}

static void storm_receive(int expected)
{
	struct test_random *from = test_alloc((size_t)test_size * sizeof(*from));
	int *number = test_alloc((size_t)test_size * sizeof(*number));
	uint8_t *buf = test_alloc(STORM_MAX);
	MPI_Status status;

	for (int i = 0; i < test_size; i++) {
		from[i] = test_random((uint64_t)i);
		number[i] = -1;
	}
	for (int i = 0; i < expected; i++) {
		struct storm_message m;
		int source;

		MPI_Recv(buf, STORM_MAX, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD,
			 &status);
		source = status.MPI_SOURCE;
		m = storm_next(&from[source], &number[source]);
		test_expect_status("storm", &status, source, m.tag, m.len);
		test_check("storm", buf, (size_t)m.len,
			   test_key(source, test_rank, m.tag, number[source]));
	}
	free(from);
	free(number);
	free(buf);
}

/* Everybody sends to random ranks, oneself among them, and receives whatever comes. */
void p2p_storm(void)
{
	struct test_random r = test_random((uint64_t)test_rank);
	MPI_Request requests[STORM];
	uint8_t *bufs[STORM];
	int *to = calloc((size_t)test_size, sizeof(*to)), expected;

	for (int i = 0; i < STORM; i++) {
		struct storm_message m = storm_draw(&r);

		bufs[i] = test_alloc((size_t)m.len);
		test_fill(bufs[i], (size_t)m.len, test_key(test_rank, m.dest, m.tag, i));
		MPI_Isend(bufs[i], m.len, MPI_BYTE, m.dest, m.tag, MPI_COMM_WORLD, &requests[i]);
		to[m.dest]++;
	}
	/* on another communicator of MPI's own, so that it does not meet the storm */
	MPI_Reduce_scatter_block(to, &expected, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	storm_receive(expected);
	MPI_Waitall(STORM, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < STORM; i++)
		free(bufs[i]);
	free(to);
	test_note("%d messages", STORM * test_size);
}

/* --------------------------------------------------------------------------------- flood */

#define FLOOD_TAGS 5
#define FLOOD_WORDS 6 /* 24 bytes */

static int flood_of_each(void)
{
	return (int)(test_count / (test_size - 1));
}

/* word 0: the number; the others depend on it, and on who sent */
static void flood_fill(int *words, int source, int number)
{
	words[0] = number;
	for (int i = 1; i < FLOOD_WORDS; i++)
		words[i] = number * 31 + source * 7 + i;
}

static void flood_check(const int *words, int source, int number)
{
	int expected[FLOOD_WORDS];

	flood_fill(expected, source, number);
	for (int i = 0; i < FLOOD_WORDS; i++)
		test_expect(expected[i], words[i], "message %d of rank %d, word %d", number, source,
			    i);
}

/* Rank 0 sleeps while all others send, then takes all in the order in which they come. */
void p2p_flood(void)
{
	int words[FLOOD_WORDS], *next = calloc((size_t)test_size, sizeof(*next));
	int each = flood_of_each();
	MPI_Status status;

	for (int i = 0; i < each && test_rank; i++) {
		flood_fill(words, test_rank, i);
		MPI_Send(words, FLOOD_WORDS, MPI_INT, 0, i % FLOOD_TAGS, MPI_COMM_WORLD);
	}
	if (test_rank == 0)
		test_sleep_ms(700);
	for (int i = 0; i < each * (test_size - 1) && !test_rank; i++) {
		MPI_Recv(words, FLOOD_WORDS, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD,
			 &status);
		flood_check(words, status.MPI_SOURCE, next[status.MPI_SOURCE]);
		test_expect_status("flood", &status, status.MPI_SOURCE,
				   next[status.MPI_SOURCE]++ % FLOOD_TAGS, sizeof(words));
	}
	test_note("%d unexpected messages, %d tags", each * (test_size - 1), FLOOD_TAGS);
	free(next);
}

/*
 * The same, but rank 0 takes one communicator, tag and rank after the other, the last sent first:
 * so nearly all of the flood has to be kept. Sends do not block, for MPI may make MPI_Send wait.
 */
static void flood_tags_send(int each, MPI_Comm comms[2])
{
	MPI_Request *requests = test_alloc((size_t)each * sizeof(*requests));
	int(*words)[FLOOD_WORDS] = test_alloc((size_t)each * sizeof(*words));

	for (int i = 0; i < each; i++) {
		flood_fill(words[i], test_rank, i);
		MPI_Isend(words[i], FLOOD_WORDS, MPI_INT, 0, i % FLOOD_TAGS,
			  comms[i / FLOOD_TAGS % 2], &requests[i]);
	}
	MPI_Waitall(each, requests, MPI_STATUSES_IGNORE);
	free(requests);
	free(words);
}

static void flood_tags_take(int each, MPI_Comm comm, int first, int tag)
{
	int words[FLOOD_WORDS];

	for (int source = test_size - 1; source > 0; source--) {
		for (int i = first + tag; i < each; i += 2 * FLOOD_TAGS) {
			MPI_Recv(words, FLOOD_WORDS, MPI_INT, source, tag, comm, MPI_STATUS_IGNORE);
			flood_check(words, source, i);
		}
	}
}

void p2p_flood_tags(void)
{
	MPI_Comm comms[2] = { MPI_COMM_WORLD };
	int each = flood_of_each();

	MPI_Comm_dup(MPI_COMM_WORLD, &comms[1]);
	if (test_rank) {
		flood_tags_send(each, comms);
	} else {
		test_sleep_ms(700);
		for (int tag = FLOOD_TAGS - 1; tag >= 0; tag--) {
			flood_tags_take(each, comms[1], FLOOD_TAGS, tag);
			flood_tags_take(each, comms[0], 0, tag);
		}
	}
	MPI_Comm_free(&comms[1]);
	test_note("%d unexpected messages, %d tags, 2 communicators, the last taken first",
		  each * (test_size - 1), FLOOD_TAGS);
}

/* ---------------------------------------------------------------------------------- main */

static const struct test_section sections[] = {
	{ "sizes-posted", p2p_sizes_posted },
	{ "sizes-unexpected", p2p_sizes_unexpected },
	{ "self", p2p_self },
	{ "matching", p2p_matching },
	{ "wildcards", p2p_wildcards },
	{ "order", p2p_order },
	{ "storm", p2p_storm },
	{ "probe", p2p_probe },
	{ "mprobe", p2p_mprobe },
	{ "ssend", p2p_ssend },
	{ "bsend", p2p_bsend },
	{ "rsend", p2p_rsend },
	{ "waits", p2p_waits },
	{ "cancel", p2p_cancel },
	{ "persistent", p2p_persistent },
	{ "datatypes", p2p_datatypes },
	{ "flood", p2p_flood },
	{ "flood-tags", p2p_flood_tags },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct test_program program = {
		.name = "mpi_p2p",
		.about = "Messages between pairs of ranks, expected and not, of all sizes.",
		.min_ranks = 2,
		.count = 20000,
		.count_about = "messages of a flood that the receiver sleeps through",
		.sections = sections,
	};

	return test_main(&program, argc, argv);
}
