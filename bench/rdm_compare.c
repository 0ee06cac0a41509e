/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rdm_compare.c - the same job for each provider in turn, and the ratios of neighbours. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "rdm.h"

/* Ours lies between the two that it is compared with, and so does the control's first. */
static const enum rdm_who order[RDM_WHO] = { RDM_PEER, RDM_OURS, RDM_REFERENCE, RDM_AGAIN };

static int one(struct rdm_comparison *c, struct rdm_job *j, enum rdm_who who, int round)
{
	if (!rdm_has(who) || c->na[who][0])
		return 0;
	if (rdm_job_run(j, who, 20 + 20 * j->run_ms / 1e3))
		return not_run("%s: %s", c->name, rdm_label(who));
	memcpy(c->about[who], j->about, sizeof(j->about));
	memcpy(c->na[who], j->na, sizeof(j->na));
	c->value[who][round] = j->result;
	return 0;
}

int rdm_compare(struct rdm_comparison *c, struct rdm_job *j)
{
	memset(c->na, 0, sizeof(c->na));
	for (int i = 0; i < c->rounds; i++) {
		for (int k = 0; k < RDM_WHO; k++)
			if (one(c, j, order[i % 2 ? RDM_WHO - 1 - k : k], i))
				return -1;
	}
	rdm_print(c);
	return 0;
}

static bool is_there(const struct rdm_comparison *c, enum rdm_who who)
{
	return rdm_has(who) && !c->na[who][0];
}

static bool quotient(const struct rdm_comparison *c, enum rdm_who a, enum rdm_who b,
		     struct quartiles *q)
{
	double r[RDM_ROUNDS_MAX];

	if (!is_there(c, a) || !is_there(c, b))
		return false;
	for (int i = 0; i < c->rounds; i++)
		r[i] = c->value[a][i] / c->value[b][i];
	*q = quartiles_of(r, c->rounds);
	return true;
}

bool rdm_ratio(const struct rdm_comparison *c, enum rdm_who other, struct quartiles *q)
{
	return quotient(c, RDM_OURS, other, q);
}

static struct quartiles values(const struct rdm_comparison *c, enum rdm_who who)
{
	double v[RDM_ROUNDS_MAX];

	memcpy(v, c->value[who], c->rounds * sizeof(*v));
	return quartiles_of(v, c->rounds);
}

double rdm_median(const struct rdm_comparison *c, enum rdm_who who)
{
	return is_there(c, who) ? values(c, who).median : 0;
}

static void print_row(const char *what, struct quartiles q, double scale, const char *about)
{
	printf("  %-30s %10.3f %10.3f %10.3f   %s\n", what, q.low / scale, q.median / scale,
	       q.high / scale, about);
}

static void print_values(const struct rdm_comparison *c)
{
	static const enum rdm_who rows[] = { RDM_OURS, RDM_REFERENCE, RDM_PEER };

	for (int i = 0; i < 3; i++) {
		enum rdm_who who = rows[i];

		if (!rdm_has(who))
			continue;
		if (c->na[who][0])
			printf("  %-30s n/a: %s\n", rdm_label(who), c->na[who]);
		else
			print_row(rdm_label(who), values(c, who), c->scale, c->about[who]);
	}
}

static void print_ratio(const struct rdm_comparison *c, enum rdm_who a, enum rdm_who b,
			const char *note)
{
	struct quartiles q;
	char what[200], first[80];

	if (!quotient(c, a, b, &q))
		return;
	snprintf(first, sizeof(first), "%s", rdm_label(a));
	snprintf(what, sizeof(what), "%s / %s", first, rdm_label(b));
	print_row(what, q, 1, note);
	if (b == RDM_AGAIN && (q.low > 1.05 || q.high < 0.95))
		printf("  note: the control is not near 1; this run says little\n");
}

void rdm_print(const struct rdm_comparison *c)
{
	printf("\n  %s; %d rounds\n", c->name, c->rounds);
	printf("  %-30s %10s %10s %10s   %s\n", c->unit, "25 %", "median", "75 %",
	       "provider;protocol");
	print_values(c);
	print_ratio(c, RDM_OURS, RDM_REFERENCE, "paired ratios");
	print_ratio(c, RDM_OURS, RDM_PEER, "paired ratios");
	print_ratio(c, RDM_REFERENCE, RDM_AGAIN, "the control");
}

int rdm_no_ratio(const struct rdm_comparison *c)
{
	if (c->na[RDM_OURS][0])
		return not_run("%s: n/a, %s", c->name, c->na[RDM_OURS]);
	printf("  no verdict: there is nothing to compare %s with\n", rdm_label(RDM_OURS));
	return 0;
}
