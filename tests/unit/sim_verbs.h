/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_verbs.h - RDMA devices that are made of memory, in one process: what stands in the place of
 * fabric/roce/lib.c in a program linked with them. "sim0" has the addresses 127.0.0.1, ::1, and
 * what else begins with 127.0.0; "sim1" has 127.0.0.2.
 *
 * Posting does nothing yet. What was posted is done step by step when a completion queue is polled or
 * the connection manager asked, and, while a completion queue is armed or the connection manager has
 * work, by a thread of the simulator's: so that sleepers wake, and only those who armed. $ETA_SIM_SEED, or
 * sim_seed(), makes steps come in a random order, within what the order of a queue pair allows.
 *
 * It is stricter than devices where those differ: a place in a queue is free when its completion was
 * polled, completions of what is destroyed stay, and misuse that would hang or do harm ends the
 * program with a line that says what was wrong.
 */
#ifndef ETA_TESTS_SIM_VERBS_H
#define ETA_TESTS_SIM_VERBS_H

#include <stdbool.h>
#include <stdint.h>

/* No thread: nothing is done but in calls. For tests that never sleep, and must repeat exactly. */
void sim_manual(bool on);
/* 0: everything in order. */
void sim_seed(uint64_t seed);
/* Each queue pair, and the connection manager, goes one step; whether something moved. */
bool sim_step(void);
/* Till nothing moves. */
void sim_settle(void);

/* Nothing leaves or reaches the device; what is tried ends after sim_times(). */
void sim_cut(const char *device, bool cut);
/* The state of its port, with the event. */
void sim_port(const char *device, bool up);
/* Its ids and users hear of it, and from now on calls fail; sim_restore() gives a new one. */
void sim_remove(const char *device);
void sim_restore(const char *device);

/* How long unanswered packets are repeated (2 s), and how long one retry for want of a receive takes (10 ms). */
void sim_times(uint64_t retry_ns, uint64_t rnr_ns);
/* Octets that may be inline, of queue pairs made from now on (256). */
void sim_inline(uint32_t max);

/*
 * Calls that can be made to fail: @times of them, behind the next @after ones, with @err (positive).
 * Whether something of what was asked for before has not come to pass.
 */
enum sim_call {
	SIM_REG_MR,
	SIM_ALLOC_PD,
	SIM_CREATE_CHANNEL,
	SIM_CREATE_CQ,
	SIM_CREATE_QP,
	SIM_CREATE_ID,
	SIM_BIND,
	SIM_RESOLVE,
	SIM_CONNECT,
	SIM_ACCEPT,
	SIM_POST_SEND,
	SIM_POST_RECV,
	SIM_CALLS
};
bool sim_fail(enum sim_call call, unsigned after, unsigned times, int err);

/* Objects that there are: zero when all was given back. $ETA_SIM_LEAKS: at exit that is an error. */
unsigned sim_left(void);
/* All of the above as it was in the beginning; no objects may be left. */
void sim_reset(void);

#endif
