/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm.h - what the measurements of reliable-datagram endpoints (FI_EP_RDM) share.
 *
 * A measurement is a job: what to do and what came of it, in memory that the parent and two role
 * processes see. Each role is this program started anew (rdm_role_main()), so that the two may run
 * with another libfabric than the parent: the dynamic linker finds it by LD_LIBRARY_PATH. A role
 * that cannot have what it asks of the provider says so in the job, which is then "n/a"; anything
 * that goes wrong later ends the process, as for links (link.h).
 */
#ifndef BENCH_RDM_H
#define BENCH_RDM_H

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_tagged.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RDM_VALUES 16384
#define RDM_MESSAGE 64
#define RDM_ABOUT 160

/* -------------------------------------------------------------------------------- jobs */

enum rdm_test {
	RDM_PINGPONG,
	RDM_STREAM,
	RDM_POST,
	RDM_PROGRESS,
	RDM_LATE,
	RDM_SETUP,
	RDM_DELIVERY,
	RDM_TESTS
};

/* What the initiator of RDM_PROGRESS does, and in what state the target is. */
enum rdm_operation { RDM_READ, RDM_FETCH, RDM_OPERATIONS };

struct rdm_values {
	int n;
	double at[RDM_VALUES];
};

struct rdm_job {
	/* what to do: the parent fills in */
	enum rdm_test test;
	char provider[64];
	int size, window, behind; /* stream: unacknowledged windows behind the current one */
	bool delivery;            /* FI_DELIVERY_COMPLETE */
	double run_ms;
	bool inject;       /* post */
	int bursts, burst; /* post */
	enum rdm_operation operation;
	double idle_ms, compute_ms; /* progress, late */
	int rounds;                 /* progress, late */
	int before;                 /* late */
	int peers;                  /* setup */

	/* what came of it */
	char about[RDM_ABOUT], na[RDM_ABOUT];
	bool manual; /* the provider's progress */
	double result;
	int lost; /* operations that waited for the target to poll again; times a queue was full */
	struct rdm_values first, values;
	int reached; /* setup: as many peers as there could be */
	/* setup, of each role: before and behind its endpoints, after the first peers and the last */
	int64_t rss[2][4];

	/* between the two while they run */
	_Atomic unsigned state;
	_Atomic int64_t stopped_at;
	_Atomic int64_t seen[64];
};

/* Which rows a comparison has. */
enum rdm_who { RDM_OURS, RDM_REFERENCE, RDM_AGAIN, RDM_PEER, RDM_WHO };

struct rdm_job *rdm_job_alloc(enum rdm_test test);
void rdm_job_free(struct rdm_job *j);
/* What differs between providers is reset, the rest remains. 0: done, or n/a; -1: it failed. */
int rdm_job_run(struct rdm_job *j, enum rdm_who who, double seconds);
/* Is there such a row? The peer's only with --peer-libs. */
bool rdm_has(enum rdm_who who);
/* "tcp", "tcp (peer)". */
const char *rdm_label(enum rdm_who who);

/* In a role process: "eta-bench rdm-role ROLE MEMORY CTRL". Returns its exit status. */
int rdm_role_main(int argc, char **argv);

typedef int rdm_role(struct rdm_job *j, int ctrl);
rdm_role rdm_pingpong_server, rdm_pingpong_client;
rdm_role rdm_stream_receiver, rdm_stream_sender;
rdm_role rdm_post_receiver, rdm_post_sender;
rdm_role rdm_progress_target, rdm_progress_initiator;
rdm_role rdm_late_receiver, rdm_late_sender;
rdm_role rdm_setup_server, rdm_setup_client;
rdm_role rdm_delivery_receiver, rdm_delivery_sender;

/* -------------------------------------------------------------------------- comparisons */

#define RDM_ROUNDS_MAX 1000

struct rdm_comparison {
	const char *name; /* "rdm-rate: 64 B, window 32" */
	const char *unit; /* of the results */
	double scale;     /* results are divided by it before they are printed */
	int rounds;
	double value[RDM_WHO][RDM_ROUNDS_MAX];
	char about[RDM_WHO][RDM_ABOUT], na[RDM_WHO][RDM_ABOUT];
};

/*
 * Runs the job for each row, in rounds; a round goes through the rows in the opposite order of the
 * one before, so that neighbours run A B B A. Prints results and ratios. -1: not_run() said why.
 */
int rdm_compare(struct rdm_comparison *c, struct rdm_job *j);
/* Of ours to another; false: one of them is n/a. */
bool rdm_ratio(const struct rdm_comparison *c, enum rdm_who other, struct quartiles *q);
void rdm_print(const struct rdm_comparison *c);
double rdm_median(const struct rdm_comparison *c, enum rdm_who who);
/* For verdicts that cannot be: the reason goes to the summary. 0, or -1 if ours is the cause. */
int rdm_no_ratio(const struct rdm_comparison *c);

/* ---------------------------------------------------------------------------- endpoints */

#define RDM_CONTEXTS 4096 /* more than may be outstanding */

struct rdm_want {
	uint64_t caps;     /* beyond FI_MSG | FI_TAGGED */
	uint64_t op_flags; /* of sends */
	uint64_t access;   /* of the memory, beyond FI_SEND | FI_RECV */
	bool auto_progress;
	size_t queue; /* depth; 0: the provider's default */
	size_t memory;
};

struct rdm {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_av *av;
	struct fid_ep *ep;
	struct fid_mr *mr;
	void *desc;
	uint8_t *memory;
	size_t memory_size;
	fi_addr_t peer;
	uint64_t peer_address, peer_key; /* of its memory */
	size_t length;                   /* of each message to come; 0: any */
	uint64_t sends, recvs;           /* posted */
	uint64_t sent, received;         /* completions seen */
	uint64_t taken;                  /* of those received: rdm_take() */
	struct fi_context2 *contexts;    /* of sends, then of receives */
};

/*
 * Opens everything and exchanges addresses with the other role. False: the provider cannot, the
 * job says why, and the role is done.
 */
bool rdm_open(struct rdm *r, struct rdm_job *j, const struct rdm_want *want, int ctrl);
void rdm_close(struct rdm *r);
/* The parts: fabric, domain, queues and memory; an enabled endpoint. False: n/a. */
bool rdm_open_domain(struct rdm *r, struct rdm_job *j, const struct rdm_want *want);
bool rdm_open_endpoint(struct rdm *r, struct rdm_job *j, struct fid_ep **ep);
/* False: one of the two is n/a. */
bool rdm_agree(struct rdm_job *j, bool able, int ctrl);
/* Always false. */
bool rdm_na(struct rdm_job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void *rdm_send_context(struct rdm *r);
/* 0 or -FI_EAGAIN. */
ssize_t rdm_try_send(struct rdm *r, const void *buf, size_t len);
ssize_t rdm_try_inject(struct rdm *r, const void *buf, size_t len);
/* These poll while the queue is full. */
void rdm_send(struct rdm *r, const void *buf, size_t len);
void rdm_inject(struct rdm *r, const void *buf, size_t len);
/* False: the queue is full. */
bool rdm_recv(struct rdm *r, void *buf, size_t len);
/* Counts what has completed; does not wait. */
void rdm_poll(struct rdm *r);
void rdm_poll_until(struct rdm *r, int64_t when);
void rdm_wait_sent(struct rdm *r, uint64_t n);
void rdm_wait_received(struct rdm *r, uint64_t n);
/* Waits for one message more than were taken before, however many have come. */
void rdm_take(struct rdm *r);
/* Both roles are here; polls while the other is not, since it may need that. */
void rdm_meet(struct rdm *r, int ctrl);

/* The places of receives: @n of @size, from the beginning of the memory. */
struct rdm_places {
	unsigned n;
	size_t size;
};
static inline uint8_t *rdm_place(const struct rdm *r, struct rdm_places p, uint64_t n)
{
	return r->memory + n % p.n * p.size;
}
/* Keeps every place posted. */
void rdm_refill(struct rdm *r, struct rdm_places p);
/* @n round trips of RDM_MESSAGE; the answering side receives first. */
void rdm_exchange(struct rdm *r, struct rdm_places p, bool answers, unsigned n);

#endif
