/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * script_stream.h - a stream fabric in memory, for tests of what runs over one.
 *
 * All instances share one network. Bytes move only when progress() and flush() are called, in
 * portions that the test decides on; nothing sleeps. A test can also hold an end of a connection
 * itself, and put any bytes on it (struct script_end).
 *
 * It keeps to fabric.h as kernel TCP does (closed memory is valid until the outermost call returns,
 * rx_want() only marks, tx_now() inside a transmit upcall is a tx_want()), and checks that its user
 * does: a breach aborts.
 */
#ifndef ETA_TESTS_SCRIPT_STREAM_H
#define ETA_TESTS_SCRIPT_STREAM_H

#include "fabric/fabric.h"

extern const struct fab_stream_ops script_ops;

/* How bytes move. Reset by script_reset(). */
struct script {
	size_t read_max;        /* of one read; 0: no limit */
	size_t write_max;       /* of one write, which is short then; 0: no limit */
	size_t window;          /* bytes on the way in one direction; 0: no limit */
	uint64_t random;        /* not 0: limits are drawn anew each time, up to those above */
	int connect_err;        /* of every connect from now on */
	int tx_fault, rx_fault; /* the so-many-th write, or read, meets bad memory; 0: none */
	unsigned conns;         /* open, of all instances */
};
extern struct script script;
void script_reset(void);

uint64_t script_random(uint64_t *state);

/* An end that the test plays itself. */
struct script_end;
/* Connects to whatever listens there. NULL: nothing does. */
struct script_end *script_dial(const union fab_addr *to);
/* Connects to this port, where nothing listens, come to the test. */
#define SCRIPT_RAW_PORT 9
struct script_end *script_take(void);
void script_put(struct script_end *e, const void *data, size_t len);
/* What has arrived and was not dropped yet. */
size_t script_got(const struct script_end *e, const uint8_t **data);
void script_drop(struct script_end *e, size_t len);
/* The other side has sent FIN, or is gone. */
bool script_ended(const struct script_end *e);
void script_fin(struct script_end *e);
void script_hang_up(struct script_end *e, bool reset);

/* Progress and flush of each instance until nothing moves. */
void script_settle(struct fab *const *fabs, unsigned n);
/* One progress and one flush; whether anything moved. */
bool script_turn(struct fab *fab);

void script_addr(union fab_addr *addr, uint16_t port);

/* For harness and fuzz target alike: no test framework. */
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			script_failed(__FILE__, __LINE__, #what);                                  \
	} while (0)
void script_failed(const char *file, int line, const char *what) __attribute__((noreturn));

#endif
