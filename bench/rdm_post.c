/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_post.c - what posting a 64 B tagged send on an RDM endpoint costs the caller: bursts, timed
 * as a whole and drained in between, and the median of them, as post.c does it.
 */
#include <string.h>

#include "bench.h"
#include "link.h"
#include "rdm.h"

#define WARM_UP 50 /* bursts */
#define PAUSE_NS 20000000
#define PLACES 128

static const struct rdm_places places = { PLACES, RDM_MESSAGE };

/* One more than the burst, a send: when it has completed, all before it have. */
static uint64_t messages(const struct rdm_job *j)
{
	return (uint64_t)(WARM_UP + j->bursts) * (unsigned)(j->burst + 1);
}

int rdm_post_receiver(struct rdm_job *j, int ctrl)
{
	struct rdm_want want = { .memory = PLACES * RDM_MESSAGE };
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	r.length = RDM_MESSAGE;
	rdm_refill(&r, places);
	rdm_meet(&r, ctrl);
	while (r.received < messages(j)) {
		rdm_poll(&r);
		rdm_refill(&r, places);
	}
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

static double burst(struct rdm_job *j, struct rdm *r)
{
	ssize_t (*post)(struct rdm *, const void *, size_t) =
		j->inject ? rdm_try_inject : rdm_try_send;
	int64_t start = now_ns(), end;

	for (int i = 0; i < j->burst; i++) {
		while (post(r, r->memory, RDM_MESSAGE)) {
			j->lost++;
			rdm_poll(r);
		}
	}
	end = now_ns();
	return (double)(end - start) / j->burst;
}

int rdm_post_sender(struct rdm_job *j, int ctrl)
{
	struct rdm_want want = { .memory = RDM_MESSAGE };
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	rdm_meet(&r, ctrl);
	compute_until(now_ns() + PAUSE_NS);
	for (int i = 0; i < WARM_UP + j->bursts; i++) {
		double ns;

		if (i == WARM_UP)
			j->lost = 0;
		ns = burst(j, &r);
		rdm_send(&r, r.memory, RDM_MESSAGE);
		rdm_wait_sent(&r, r.sends);
		if (i >= WARM_UP)
			j->values.at[j->values.n++] = ns;
	}
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* ------------------------------------------------------------------------------ results */

static void plot_row(const char *call, const struct rdm_job *j)
{
	static const char script[] =
		"set logscale x\nset xlabel 'ns for one post'\nset ylabel 'share of the bursts'\n"
		"set key bottom right\nset title 'RDM, posting a 64 B tagged send'\n"
		"plot for [i=0:*] DATA index i using 1:2 with steps lw 2 title columnheader(1)\n";
	static FILE *dat;

	if (!call) {
		plot_end(dat, "rdm-post", script);
		dat = NULL;
		return;
	}
	if (!dat)
		dat = plot_begin("rdm-post", "ns per post, share of the bursts; a block per row");
	if (!dat)
		return;
	fprintf(dat, "\"%s, %s\"\n", call, j->about);
	for (int i = 0; i < j->values.n; i++)
		fprintf(dat, "%g %g\n", j->values.at[i], (i + 1.0) / j->values.n);
	fprintf(dat, "\n\n");
}

static int report(struct rdm_job *j, enum rdm_who who, const char *call)
{
	struct quartiles q;

	if (j->na[0]) {
		printf("  %-20s n/a: %s\n", call, j->na);
		return who == RDM_OURS ? not_run("rdm-post: %s, n/a, %s", call, j->na) : 0;
	}
	q = quartiles_of(j->values.at, j->values.n);
	printf("  %-20s %8.0f %8.0f %8.0f %8.0f   %s%s\n", call, q.low, q.median, q.high,
	       quantile(j->values.at, j->values.n, 0.99), j->about,
	       j->lost ? " (its queue was full at times)" : "");
	plot_row(call, j);
	if (who == RDM_OURS && !j->inject)
		judge(q.median, opt.max_post_ns, " ns", "rdm-post: median of %s, %s", call,
		      rdm_label(who));
	return 0;
}

static int measure(struct rdm_job *j, enum rdm_who who, bool inject)
{
	const char *call = inject ? "fi_tinject" : "fi_tsend";

	if (!rdm_has(who))
		return 0;
	j->inject = inject;
	if (rdm_job_run(j, who, 60))
		return not_run("rdm-post: %s of %s", call, rdm_label(who));
	return report(j, who, call);
}

int rdm_post_run(void)
{
	static const enum rdm_who rows[] = { RDM_OURS, RDM_REFERENCE, RDM_PEER };
	struct rdm_job *j = rdm_job_alloc(RDM_POST);
	int err = 0;

	heading("rdm-post: 64 B tagged, %d bursts of %d, drained in between", opt.windows,
		opt.burst);
	printf("  %-20s %8s %8s %8s %8s   %s\n", "ns per call", "25 %", "median", "75 %", "99 %",
	       "provider;protocol");
	j->bursts = opt.windows;
	j->burst = opt.burst;
	for (int i = 0; i < 3; i++) {
		err |= measure(j, rows[i], false);
		err |= measure(j, rows[i], true);
	}
	plot_row(NULL, NULL);
	rdm_job_free(j);
	return err;
}
