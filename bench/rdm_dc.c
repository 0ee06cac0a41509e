/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_dc.c - FI_DELIVERY_COMPLETE: round trips and streams with it; and what a completion says. For
 * that the receiver connects, polls, and computes for 50 ms; after 10 ms of these a message is sent
 * to it. Without progress of its own a provider cannot have delivered it before the receiver polls
 * again, 40 ms later: one that says so earlier does not wait for delivery, and its other figures
 * here are of something else.
 */
#include <string.h>

#include "bench.h"
#include "link.h"
#include "rdm.h"

#define PLACES 8
#define EXCHANGES 10
#define COMPUTING_NS 50000000
#define SENT_AFTER_NS 10000000
#define EARLY_US 30000

static const struct rdm_places places = { PLACES, RDM_MESSAGE };
static const struct rdm_want want = { .op_flags = FI_DELIVERY_COMPLETE,
				      .memory = (PLACES + 1) * RDM_MESSAGE };

int rdm_delivery_receiver(struct rdm_job *j, int ctrl)
{
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	for (int i = 0; i < j->rounds; i++) {
		rdm_exchange(&r, places, true, EXCHANGES);
		rdm_meet(&r, ctrl);
		compute_until(now_ns() + COMPUTING_NS);
		rdm_take(&r);
		rdm_meet(&r, ctrl);
	}
	rdm_close(&r);
	return 0;
}

int rdm_delivery_sender(struct rdm_job *j, int ctrl)
{
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	for (int i = 0; i < j->rounds; i++) {
		int64_t start;

		rdm_exchange(&r, places, false, EXCHANGES);
		rdm_meet(&r, ctrl);
		rdm_poll_until(&r, now_ns() + SENT_AFTER_NS);
		start = now_ns();
		rdm_send(&r, r.memory + PLACES * RDM_MESSAGE, RDM_MESSAGE);
		rdm_wait_sent(&r, r.sends);
		j->values.at[j->values.n++] = (double)(now_ns() - start) / 1e3;
		rdm_meet(&r, ctrl);
	}
	rdm_close(&r);
	return 0;
}

/* ------------------------------------------------------------------------------ results */

static int watch(struct rdm_job *j, enum rdm_who who)
{
	struct quartiles q;

	if (!rdm_has(who))
		return 0;
	if (rdm_job_run(j, who, 30))
		return not_run("rdm-dc: a computing receiver, %s", rdm_label(who));
	if (j->na[0]) {
		printf("  %-30s n/a: %s\n", rdm_label(who), j->na);
		return 0;
	}
	q = quartiles_of(j->values.at, j->values.n);
	printf("  %-30s %10.0f %10.0f %10.0f   %s\n", rdm_label(who), q.low, q.median, q.high,
	       j->about);
	if (j->manual && q.median < EARLY_US)
		printf("  note: %s completes what it cannot have delivered yet\n", rdm_label(who));
	return 0;
}

static int watch_all(struct rdm_job *j)
{
	int err;

	j->test = RDM_DELIVERY;
	j->rounds = opt.size_pairs;
	printf("\n  one send to a receiver that polls again 40 ms later; %d times\n", j->rounds);
	printf("  %-30s %10s %10s %10s   %s\n", "us until it has completed", "25 %", "median",
	       "75 %", "provider;protocol");
	err = watch(j, RDM_OURS);
	err |= watch(j, RDM_REFERENCE);
	err |= watch(j, RDM_PEER);
	return err;
}

static int delivery_with(struct rdm_comparison *c, struct rdm_job *j)
{
	char name[80];
	int err;

	snprintf(name, sizeof(name), "rdm-dc: 64 B, window %d%s", j->window,
		 j->window == 1 ? ": one send at a time, until it has completed" : "");
	c->name = name;
	err = rdm_compare(c, j);
	if (!err && c->na[RDM_OURS][0])
		err = rdm_no_ratio(c);
	return err;
}

int rdm_dc_run(void)
{
	static struct rdm_comparison rate = { .unit = "thousand messages/s", .scale = 1e3 };
	static struct rdm_comparison trip = { .name = "rdm-dc: 64 B ping-pong",
					      .unit = "us, one way",
					      .scale = 1e3 };
	struct rdm_job *j = rdm_job_alloc(RDM_PINGPONG);
	int err;

	heading("rdm-dc: FI_DELIVERY_COMPLETE, runs of %g ms, for information", opt.run_ms);
	j->size = RDM_MESSAGE;
	j->delivery = true;
	rate.rounds = trip.rounds = opt.size_pairs;
	err = rdm_compare(&trip, j);
	j->test = RDM_STREAM;
	j->behind = opt.acks_behind;
	j->window = 1;
	err |= delivery_with(&rate, j);
	for (int i = 0; i < opt.outstanding.n; i++) {
		j->window = (int)opt.outstanding.at[i];
		err |= delivery_with(&rate, j);
	}
	err |= watch_all(j);
	rdm_job_free(j);
	return err;
}
