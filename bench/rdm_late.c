/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_late.c - a tagged send, and then an application that computes and calls nothing: when does
 * the peer, which polls, have the message? As late_send.c, on RDM endpoints.
 */
#include <string.h>

#include "bench.h"
#include "link.h"
#include "rdm.h"

#define EXCHANGES 100
#define PLACES 128
#define MAX 64 /* sends: struct rdm_job */

enum before { NOTHING, DRAINED, POLLED, EXCHANGED, BEFORES };
static const char *const names[] = {
	[NOTHING] = "sends only",
	[DRAINED] = "takes completions first",
	[POLLED] = "polls 1 ms first",
	[EXCHANGED] = "100 round trips first",
};

static const struct rdm_places places = { PLACES, RDM_MESSAGE };
static const struct rdm_want want = { .auto_progress = true, .memory = (PLACES + 1) * RDM_MESSAGE };

int rdm_late_receiver(struct rdm_job *j, int ctrl)
{
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	rdm_refill(&r, places);
	/* the connection is made by the first message, which is not what is measured here */
	rdm_exchange(&r, places, true, 1);
	for (int i = 0; i < j->rounds; i++) {
		if (j->before == EXCHANGED)
			rdm_exchange(&r, places, true, EXCHANGES);
		rdm_take(&r);
		atomic_store(&j->seen[i], now_ns());
		rdm_refill(&r, places);
	}
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* What a program may do between computing and its next send. */
static void prepare(const struct rdm_job *j, struct rdm *r)
{
	if (j->before == DRAINED || j->before == EXCHANGED)
		rdm_wait_sent(r, r->sends);
	if (j->before == EXCHANGED)
		rdm_exchange(r, places, false, EXCHANGES);
	if (j->before == POLLED)
		rdm_poll_until(r, now_ns() + 1000000);
}

int rdm_late_sender(struct rdm_job *j, int ctrl)
{
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	rdm_refill(&r, places);
	rdm_exchange(&r, places, false, 1);
	compute_until(now_ns() + 50000000);
	for (int i = 0; i < j->rounds; i++) {
		int64_t sent;

		prepare(j, &r);
		sent = now_ns();
		if (rdm_try_send(&r, r.memory + PLACES * RDM_MESSAGE, RDM_MESSAGE))
			die("%s: the send queue is full after %d sends", j->provider, i);
		compute_until(sent + (int64_t)(j->compute_ms * 1e6));
		/* when it was sent; the receiver's clock is the same */
		j->values.at[j->values.n++] = (double)sent;
	}
	/* a provider without progress of its own would never send the last one */
	rdm_wait_sent(&r, r.sends);
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* ------------------------------------------------------------------------------ results */

static void plot(const struct rdm_job *j, const double *us)
{
	static const char script[] =
		"set logscale y\nset xlabel 'send'\nset ylabel 'us until the peer has it'\n"
		"set title 'RDM: a 64 B tagged send, then computing without a call'\n"
		"plot for [i=0:*] DATA index i using 1:2 with linespoints title columnheader(1)\n";
	static FILE *dat;

	if (!j) {
		plot_end(dat, "rdm-late-send", script);
		dat = NULL;
		return;
	}
	if (!dat)
		dat = plot_begin("rdm-late-send", "number of the send, us; one block per kind");
	if (!dat)
		return;
	fprintf(dat, "\"%s, %s\"\n", j->provider, names[j->before]);
	for (int i = 0; i < j->values.n; i++)
		fprintf(dat, "%d %g\n", i + 1, us[i]);
	fprintf(dat, "\n\n");
}

static void report(const struct rdm_job *j, enum rdm_who who)
{
	double us[MAX];
	struct quartiles q;
	int n = j->values.n;

	for (int i = 0; i < n; i++)
		us[i] = ((double)atomic_load(&j->seen[i]) - j->values.at[i]) / 1e3;
	plot(j, us);
	printf("  %-24s first ones:", names[j->before]);
	for (int i = 0; i < 4 && i < n; i++)
		printf(" %.0f", us[i]);
	q = quartiles_of(us, n);
	printf("\n  %-24s %9.0f %9.0f %9.0f %9.0f   %s\n", "", q.low, q.median, q.high, us[n - 1],
	       j->about);
	if (who == RDM_OURS)
		judge(q.median, opt.max_late_us, " us", "rdm-progress: late send, %s",
		      names[j->before]);
}

static int measure(struct rdm_job *j, enum rdm_who who)
{
	if (!rdm_has(who))
		return 0;
	if (rdm_job_run(j, who, 20 + j->rounds * (j->compute_ms / 1e3 + 0.01)))
		return not_run("rdm-progress: late send, %s, %s", names[j->before], rdm_label(who));
	if (!j->na[0]) {
		report(j, who);
		return 0;
	}
	printf("  %-24s n/a: %s\n", names[j->before], j->na);
	return who == RDM_OURS ? not_run("rdm-progress: late send, n/a, %s", j->na) : 0;
}

int rdm_late_run(void)
{
	static const enum rdm_who rows[] = { RDM_OURS, RDM_REFERENCE, RDM_PEER };
	struct rdm_job *j = rdm_job_alloc(RDM_LATE);
	int err = 0;

	printf("\n  a 64 B tagged send, then %g ms of computing; %d times\n", opt.compute_ms,
	       opt.repetitions);
	printf("  %-24s %9s %9s %9s %9s   %s\n", "us, send to peer", "25 %", "median", "75 %",
	       "max", "provider;protocol");
	j->rounds = opt.repetitions;
	j->compute_ms = opt.compute_ms;
	for (int before = 0; before < BEFORES; before++) {
		j->before = before;
		for (int k = 0; k < 3; k++)
			err |= measure(j, rows[k]);
	}
	plot(NULL, NULL);
	rdm_job_free(j);
	return err;
}
