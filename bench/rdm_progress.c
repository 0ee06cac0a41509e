/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_progress.c - a target that computes and calls nothing: how long do a read of its memory and
 * an atomic operation in it take?
 *
 * A round: the target polls for 20 ms, while the peer, on the other core, performs operations; it
 * tells the peer to pause, polls until none is under way, notes when it stopped, and computes. So
 * long after that as the row says the peer begins, and performs operations at random intervals of
 * 1 to 2 ms until the target is about to poll again. The first of each round may have to wait until
 * the engine has taken over and is listed apart. An operation that completed only after the target
 * polled again counts as lost.
 */
#include <rdma/fi_atomic.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <string.h>

#include "bench.h"
#include "fi.h"
#include "link.h"
#include "rdm.h"

#define POLLING_NS 20000000
#define POLLING_GAP_NS 50000
#define COMPUTING_GAP_NS 1e6
#define MARGIN_NS 20000000 /* no operation begins so shortly before the target polls again */
#define PATTERN UINT64_C(0x1122334455667788)
/* of the memory at each side */
#define READ_AT 0
#define COUNTER_AT RDM_MESSAGE
#define RESULT_AT (2 * RDM_MESSAGE)
#define OPERAND_AT (3 * RDM_MESSAGE)
#define MEMORY 4096

/* The state word is round * STATES + state. */
enum state { STARTING, POLLING, PAUSING, COMPUTING, OVER, STATES };

static bool open_end(struct rdm *r, struct rdm_job *j, uint64_t access, int ctrl)
{
	struct rdm_want want = {
		.caps = j->operation == RDM_READ ? FI_RMA : FI_ATOMIC,
		.access = access,
		.auto_progress = true,
		.memory = MEMORY,
	};

	return rdm_open(r, j, &want, ctrl);
}

static void enter(struct rdm_job *j, int round, enum state state)
{
	atomic_store(&j->state, (unsigned)round * STATES + state);
}

/* --------------------------------------------------------------------------- the target */

static void target_round(struct rdm_job *j, struct rdm *r, int round)
{
	int64_t stopped, phase = (int64_t)(POLLING_NS * (0.75 + random_fraction() / 2));

	enter(j, round, POLLING);
	rdm_poll_until(r, now_ns() + phase);
	enter(j, round, PAUSING);
	while (atomic_load(&j->seen[0]) != round + 1)
		rdm_poll(r);
	stopped = now_ns();
	atomic_store(&j->stopped_at, stopped);
	enter(j, round, COMPUTING);
	compute_until(stopped + (int64_t)((j->idle_ms + j->compute_ms) * 1e6));
}

int rdm_progress_target(struct rdm_job *j, int ctrl)
{
	const uint64_t pattern = PATTERN;
	struct rdm r;

	if (!open_end(&r, j, FI_REMOTE_READ | FI_REMOTE_WRITE, ctrl))
		return 0;
	memcpy(r.memory + READ_AT, &pattern, sizeof(pattern));
	if (!rdm_agree(j, true, ctrl))
		return 0;
	for (int i = 0; i < j->rounds; i++)
		target_round(j, &r, i);
	enter(j, j->rounds, OVER);
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* ------------------------------------------------------------------------ the initiator */

static ssize_t post(const struct rdm_job *j, struct rdm *r)
{
	void *context = rdm_send_context(r);

	if (j->operation == RDM_READ)
		return fi_read(r->ep, r->memory + READ_AT, RDM_MESSAGE, r->desc, r->peer,
			       r->peer_address + READ_AT, r->peer_key, context);
	return fi_fetch_atomic(r->ep, r->memory + OPERAND_AT, 1, r->desc, r->memory + RESULT_AT,
			       r->desc, r->peer, r->peer_address + COUNTER_AT, r->peer_key,
			       FI_UINT64, FI_SUM, context);
}

static uint64_t word_at(const struct rdm *r, size_t at)
{
	uint64_t v;

	memcpy(&v, r->memory + at, sizeof(v));
	return v;
}

/* Only this process counts, so that each operation fetches how many there were before. */
static void check(const struct rdm_job *j, const struct rdm *r)
{
	if (j->operation == RDM_READ && word_at(r, READ_AT) != PATTERN)
		die("the read brought something else than the target has");
	if (j->operation == RDM_FETCH && word_at(r, RESULT_AT) != r->sends - 1)
		die("the atomic operation fetched a wrong sum");
}

/* Posts one and waits for it; returns what it took. */
static int64_t operation(const struct rdm_job *j, struct rdm *r)
{
	int64_t start;
	ssize_t ret;

	memset(r->memory + READ_AT, 0, RDM_MESSAGE);
	start = now_ns();
	while ((ret = post(j, r)) == -FI_EAGAIN)
		rdm_poll(r);
	fi_must(ret, j->operation == RDM_READ ? "fi_read" : "fi_fetch_atomic");
	r->sends++;
	rdm_wait_sent(r, r->sends);
	start = now_ns() - start;
	check(j, r);
	return start;
}

static void keep(struct rdm_values *v, int64_t ns)
{
	if (v->n < RDM_VALUES)
		v->at[v->n++] = (double)ns / 1e3;
}

static void probe(struct rdm_job *j, struct rdm *r, unsigned state)
{
	int64_t stopped = atomic_load(&j->stopped_at);
	int64_t end = stopped + (int64_t)((j->idle_ms + j->compute_ms) * 1e6);
	struct rdm_values *to = &j->first;

	rdm_poll_until(r, stopped + (int64_t)(j->idle_ms * 1e6));
	while (now_ns() < end - MARGIN_NS) {
		int64_t ns = operation(j, r);

		if (now_ns() < end)
			keep(to, ns);
		else
			j->lost++;
		to = &j->values;
		rdm_poll_until(r, now_ns() + (int64_t)(COMPUTING_GAP_NS * (1 + random_fraction())));
	}
	while (atomic_load(&j->state) == state)
		rdm_poll(r);
}

static void step(struct rdm_job *j, struct rdm *r, unsigned state)
{
	switch ((enum state)(state % STATES)) {
	case POLLING:
		operation(j, r);
		rdm_poll_until(r, now_ns() + POLLING_GAP_NS);
		break;
	case PAUSING:
		atomic_store(&j->seen[0], state / STATES + 1);
		rdm_poll(r);
		break;
	case COMPUTING:
		probe(j, r, state);
		break;
	default:
		rdm_poll(r);
		break;
	}
}

static bool can_fetch(struct rdm_job *j, struct rdm *r)
{
	size_t count = 0;
	int ret;

	if (j->operation != RDM_FETCH)
		return true;
	ret = fi_fetch_atomicvalid(r->ep, FI_UINT64, FI_SUM, &count);
	if (!ret && count)
		return true;
	return rdm_na(j, "no fetching FI_SUM of FI_UINT64: %s", fi_strerror(-ret));
}

int rdm_progress_initiator(struct rdm_job *j, int ctrl)
{
	const uint64_t one = 1;
	struct rdm r;

	if (!open_end(&r, j, FI_READ | FI_WRITE, ctrl))
		return 0;
	if (!rdm_agree(j, can_fetch(j, &r), ctrl))
		return 0;
	memcpy(r.memory + OPERAND_AT, &one, sizeof(one));
	for (;;) {
		unsigned state = atomic_load(&j->state);

		if (state % STATES == OVER)
			break;
		step(j, &r, state);
	}
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* ------------------------------------------------------------------------------ results */

static const char *const names[] = { [RDM_READ] = "fi_read", [RDM_FETCH] = "fetching atomic" };

static void print_values(const struct rdm_values *v, double q)
{
	if (v->n)
		printf(" %9.0f %9.0f", quantile(v->at, v->n, 0.5), quantile(v->at, v->n, q));
	else
		printf(" %9s %9s", "-", "-");
}

static void report(struct rdm_job *j)
{
	sort(j->first.at, j->first.n);
	sort(j->values.at, j->values.n);
	printf("  %-16s %8g", names[j->operation], j->idle_ms);
	print_values(&j->first, 1);
	print_values(&j->values, 0.9);
	printf(" %6d %5d   %s\n", j->values.n, j->lost, j->about);
}

static void verdict(struct rdm_job *j)
{
	if (j->lost || !j->values.n)
		judge(j->lost ? j->lost : 1, 0, "", "rdm-progress: %s, lost, %g ms after a poll",
		      names[j->operation], j->idle_ms);
	else
		judge(quantile(j->values.at, j->values.n, 0.5), opt.max_latency_us, " us",
		      "rdm-progress: %s, median, %g ms after a poll", names[j->operation],
		      j->idle_ms);
}

static int measure(struct rdm_job *j, enum rdm_who who)
{
	double each = 1 + (j->idle_ms + opt.compute_ms) / 1e3;

	if (!rdm_has(who))
		return 0;
	/* without a thread an operation waits for the target's next poll: no need of many */
	j->rounds = who == RDM_OURS || opt.progress_rounds < 2 ? opt.progress_rounds : 2;
	j->compute_ms = opt.compute_ms;
	if (rdm_job_run(j, who, 20 + j->rounds * each))
		return not_run("rdm-progress: %s of %s", names[j->operation], rdm_label(who));
	if (j->na[0]) {
		printf("  %-16s n/a: %s\n", names[j->operation], j->na);
		return who == RDM_OURS ? not_run("rdm-progress: n/a, %s", j->na) : 0;
	}
	report(j);
	if (who == RDM_OURS)
		verdict(j);
	return 0;
}

static int measure_all(struct rdm_job *j, enum rdm_operation operation)
{
	static const enum rdm_who rows[] = { RDM_OURS, RDM_REFERENCE, RDM_PEER };
	bool na[3] = { false };
	int err = 0;

	j->operation = operation;
	for (int i = 0; i < opt.stopped_ms.n; i++) {
		j->idle_ms = opt.stopped_ms.at[i];
		for (int k = 0; k < 3; k++) {
			if (na[k])
				continue;
			err |= measure(j, rows[k]);
			na[k] = j->na[0];
		}
	}
	return err;
}

int rdm_progress_run(void)
{
	struct rdm_job *j = rdm_job_alloc(RDM_PROGRESS);
	int err = 0;

	heading("rdm-progress: operations on a target that computes for %g ms, %d rounds",
		opt.compute_ms, opt.progress_rounds);
	printf("  %-16s %8s %19s %19s\n", "us", "stopped", "first of a round", "those after it");
	printf("  %-16s %8s %9s %9s %9s %9s %6s %5s   %s\n", "", "ms ago", "median", "max",
	       "median", "90 %", "count", "lost", "provider;protocol");
	for (int op = 0; op < RDM_OPERATIONS; op++)
		err |= measure_all(j, (enum rdm_operation)op);
	rdm_job_free(j);
	return rdm_late_run() | err;
}
