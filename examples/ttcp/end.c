/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * end.c - setting an end up, and waiting for its events.
 */
#include "examples/ttcp/end.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WAIT_US 1000000
#define SLOTS_EXTRA 8 /* for the operations around the data; an inline send takes several */

int end_fail(const char *what, int err)
{
	fprintf(stderr, "eta-ttcp: %s: %s\n", what, strerror(-err));
	return -1;
}

static int end_memory(struct end *end)
{
	int err;

	end->memory =
		mmap(NULL, end->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (end->memory == MAP_FAILED)
		return end_fail("cannot allocate the buffers; try a smaller --window", -errno);
	err = Dusi_Register_Memory(end->ual, end->memory, end->size, DUSI_READ | DUSI_WRITE,
				   &end->mem);
	if (!err)
		return 0;
	munmap(end->memory, end->size);
	return end_fail("cannot register the buffers", err);
}

static void say(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "eta-ttcp: %s\n", text);
}

int end_open(struct end *end, const struct config *config, size_t size)
{
	const struct dusi_ual_attr attr = {
		.placement = config->placement,
		.flags = DUSI_SINGLE_THREAD,
		.max_sockets = 16,
	};
	int err;

	Dusi_Set_Log(say, NULL);
	err = Dusi_Open_Ual(&attr, &end->ual);
	if (err)
		return end_fail("cannot open the engine; is --placement, or ETA_PPE, right?", err);
	end->config = config;
	end->size = size;
	/* a send and a receive for each operation in flight */
	err = Dusi_Create_EvQ(end->ual, (uint32_t)config->window * 2 + SLOTS_EXTRA, &end->evq);
	if (err)
		end_fail("cannot create an event queue; try a smaller --window", err);
	else
		err = end_memory(end);
	if (err)
		Dusi_Close_Ual(end->ual);
	return err ? -1 : 0;
}

void end_close(struct end *end)
{
	Dusi_Close_Ual(end->ual);
	munmap(end->memory, end->size);
}

int end_socket(const struct end *end, uint64_t context, dusi_sock_t *sock)
{
	const uint32_t slots = (uint32_t)end->config->window + SLOTS_EXTRA;
	const struct dusi_socket_attr attr = {
		.tx_evq = end->evq,
		.rx_evq = end->evq,
		.tx_slots = slots,
		.rx_slots = slots,
		.context = context,
	};
	int err = Dusi_Socket(end->ual, &attr, sock);

	return err ? end_fail("cannot create a socket", err) : 0;
}

/* --poll: looks again and again, for as long as a wait would take. */
static int end_poll(const struct end *end, struct dusi_event *events, int max)
{
	struct timespec now;
	time_t last;
	int n;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	last = now.tv_sec + 1;
	do {
		for (int i = 0; i < 1000; i++) {
			n = Dusi_Wait_All(end->evq, events, max, 0, NULL, NULL);
			if (n)
				return n;
		}
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	} while (now.tv_sec <= last);
	return 0;
}

int end_wait(const struct end *end, struct dusi_event *events, int max)
{
	int n = end->config->poll ? end_poll(end, events, max)
				  : Dusi_Wait_All(end->evq, events, max, WAIT_US, NULL, NULL);

	if (n == -EINTR)
		return 0;
	return n < 0 ? end_fail("waiting for events", n) : n;
}
