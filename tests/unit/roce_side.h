/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * roce_side.h - two instances of the fabric over RDMA devices, one thread, and between two turns either a
 * sleep on both descriptors, so that a completion that nobody tells of hangs, or none.
 */
#ifndef ETA_TESTS_ROCE_SIDE_H
#define ETA_TESTS_ROCE_SIDE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fabric/roce/roce.h"

#define PATIENCE_MS 20000
#define BIG (300 * 1024)
#define OUT_MAX 64

#define ops (&roce_msg_ops)

struct side {
	struct fab *fab;
	struct fab_msg *m;
	struct fab_counters counters;
	struct timers timers;

	struct fab_msg_listener *listener;
	unsigned requests, withdrawn;
	struct fab_msg_conn *request;
	struct fab_msg_peer who;
	uint8_t pdata[FAB_PDATA_MAX];
	size_t pdata_len;

	struct fab_msg_conn *conn;
	unsigned connects, closes;
	int connect_err, close_err;

	/* to be sent: out[out_done] is the oldest */
	struct fab_send out[OUT_MAX];
	struct iovec out_iov[OUT_MAX];
	struct fab_atomic atomic;
	unsigned out_done, out_count;
	bool partial;

	/* received: whole messages and pieces, one behind the other */
	uint8_t in[BIG], mem[BIG];
	uint32_t in_len, room;
	unsigned received, wholes, tagged, reads, atomics, answers, immediates;
	uint64_t value;
	bool closed_inside; /* close in the next upcall about data */
	bool no_receive, by_place;
	int refusal;
	/* placing: @mem is a region, for the peer to reach by its device if it is @keyed */
	struct fab_region region;
	struct fab_region *out_region[OUT_MAX];
	bool named, keyed;
	int key_err;
	unsigned keys, fetched;
	struct fab_key_req key;
	struct fab_read_req read;
	struct fab_atomic_req atomic_req;
};

extern struct side a, b;
extern union fab_addr host;  /* that a device has */
extern bool asleep;          /* between turns */
extern uint8_t pattern[BIG]; /* to be sent */
extern const struct fab_msg_user user_ops;

/* Fills in @host and @pattern. False: there is no device, and stdout says why. */
bool roce_tests_begin(void);

void side_open(struct side *s, bool streams);
void side_close(struct side *s);

/* cmocka's fixtures: connected; @b listens. */
int pair_open(void **state);
int listener_open(void **state);
int pair_close(void **state);
#define LISTENING(f) cmocka_unit_test_setup_teardown(f, listener_open, pair_close)
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, pair_open, pair_close)

void dial(const char *pdata, uint64_t timeout_ns);

/* Sends @send.len octets at @p. */
void post(struct side *s, struct fab_send send, const void *p);
void post_send(struct side *s, uint32_t from, uint32_t len);

uint64_t now_ms(void);
void turn(struct side *s);
void sleep_both(void);
void run_for(unsigned ms);
#define run_until(condition)                                                                       \
	do {                                                                                       \
		uint64_t end_ = now_ms() + PATIENCE_MS;                                            \
		for (turn(&a), turn(&b); !(condition); turn(&a), turn(&b)) {                       \
			if (now_ms() > end_)                                                       \
				fail_msg("waited in vain for " #condition);                        \
			if (asleep)                                                                \
				sleep_both();                                                      \
		}                                                                                  \
	} while (0)

#endif
