/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fake_gaio.h - gaio.h without a system underneath: peers live in this process, and a script of
 * bytes decides what they do and in which order operations end, in which pieces, with which errors.
 *
 * gaio_wait() is where it happens: each call takes steps from the script until there is an event.
 * With the script at its end all peers and operations are done with in good order, and then
 * stopped() is called, once nothing is left to be done.
 *
 * It holds its user to the contract: what is wrong (a socket used after its last event, memory that
 * is not registered, a receive buffer touched meanwhile) ends the program, by abort().
 */
#ifndef TESTS_FUZZ_FAKE_GAIO_H
#define TESTS_FUZZ_FAKE_GAIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_PEERS 12
#define FAKE_SENT_MAX 16384 /* what one peer sends at most */

struct fake_peer {
	char sent[FAKE_SENT_MAX]; /* to the program */
	size_t n_sent, n_taken;
	char *got; /* from it */
	size_t n_got, room;
	bool fin;       /* it sends no more */
	bool got_fin;   /* and gets no more */
	bool gone;      /* the program has closed the connection */
	bool disturbed; /* errors, time-outs: not everything has to be answered */
};

struct fake_world {
	const uint8_t *script;
	size_t len;
	const char *const *texts; /* what peers like to send */
	unsigned n_texts;
	void (*stopped)(void); /* asks the program to end */
	int64_t now_ms;
	struct fake_peer peers[FAKE_PEERS];
	unsigned n_peers;
	/* of everything, after the program's end: 0 */
	unsigned open_sockets, open_files, queues, regions, events;
};

extern struct fake_world fake;

/* A new world. */
void fake_begin(const uint8_t *script, size_t len);
void fake_end(void);

/* The script says so. */
bool fake_file_is_cached(void);

void fake_fail(const char *what);

#endif
