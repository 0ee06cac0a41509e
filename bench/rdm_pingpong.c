/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pingpong.c - tagged messages back and forth: half of a round trip. Both ends poll. As long as
 * --run-ms says; the client's last message says that it is the last.
 */
#include <string.h>

#include "bench.h"
#include "link.h"
#include "rdm.h"

#define PLACES 4
#define WARM_UP_NS 10000000
#define LAST (UINT64_C(1) << 63) /* in the number that a message begins with */

static struct rdm_places places_of(const struct rdm_job *j)
{
	return (struct rdm_places){ PLACES, (size_t)j->size };
}

static bool open_end(struct rdm *r, struct rdm_job *j, int ctrl)
{
	struct rdm_want want = {
		.op_flags = j->delivery ? FI_DELIVERY_COMPLETE : 0,
		.memory = (PLACES + 1) * (size_t)j->size,
	};

	if (!rdm_open(r, j, &want, ctrl))
		return false;
	r->length = j->size;
	rdm_refill(r, places_of(j));
	rdm_meet(r, ctrl);
	return true;
}

/* The number that the message bears, which must be the next. */
static uint64_t number(const struct rdm *r, struct rdm_places p, uint64_t n)
{
	uint64_t stamp;

	memcpy(&stamp, rdm_place(r, p, n), sizeof(stamp));
	if ((stamp & ~LAST) != n)
		die("message %lu is not the one that was sent", (unsigned long)n);
	return stamp;
}

static void answer(struct rdm *r, struct rdm_places p, uint64_t stamp)
{
	uint8_t *from = r->memory + p.n * p.size;

	/* the one before was sent long ago: it has been answered */
	rdm_wait_sent(r, r->sends);
	memcpy(from, &stamp, sizeof(stamp));
	rdm_send(r, from, p.size);
}

int rdm_pingpong_server(struct rdm_job *j, int ctrl)
{
	struct rdm_places p = places_of(j);
	uint64_t stamp, n = 0;
	struct rdm r;

	if (!open_end(&r, j, ctrl))
		return 0;
	do {
		rdm_wait_received(&r, n + 1);
		stamp = number(&r, p, n++);
		answer(&r, p, stamp);
		rdm_refill(&r, p);
	} while (!(stamp & LAST));
	rdm_wait_sent(&r, n);
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* Round trips until @until, and one more, which bears @last; how many. */
static uint64_t trips(struct rdm *r, struct rdm_places p, int64_t until, uint64_t last)
{
	uint64_t first = r->received, n = first;
	bool over;

	do {
		over = now_ns() >= until;
		answer(r, p, n | (over ? last : 0));
		rdm_wait_received(r, n + 1);
		number(r, p, n++);
		rdm_refill(r, p);
	} while (!over);
	return n - first;
}

int rdm_pingpong_client(struct rdm_job *j, int ctrl)
{
	struct rdm_places p = places_of(j);
	int64_t start;
	uint64_t n;
	struct rdm r;

	if (!open_end(&r, j, ctrl))
		return 0;
	trips(&r, p, now_ns() + WARM_UP_NS, 0);
	start = now_ns();
	n = trips(&r, p, start + (int64_t)(j->run_ms * 1e6), LAST);
	j->result = (double)(now_ns() - start) / 2 / (double)n;
	rdm_wait_sent(&r, r.sends);
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* ------------------------------------------------------------------------------ results */

static void plot_pairs(const struct rdm_comparison *c)
{
	static const char script[] =
		"set xlabel 'pair'\nset ylabel 'ratio of times'\n"
		"set title 'RDM, tagged, 64 B round trips: paired ratios'\n"
		"plot DATA using 1:2 with points pt 7 title 'eta / tcp',"
		" DATA using 1:3 with points pt 6 title 'tcp / tcp (control)', 1 notitle\n";
	FILE *dat = plot_begin("rdm-pingpong-pairs", "pair, eta/tcp, tcp/tcp");

	for (int i = 0; dat && i < c->rounds; i++)
		fprintf(dat, "%d %g %g\n", i + 1,
			c->value[RDM_OURS][i] / c->value[RDM_REFERENCE][i],
			c->value[RDM_REFERENCE][i] / c->value[RDM_AGAIN][i]);
	plot_end(dat, "rdm-pingpong-pairs", script);
}

static int small(struct rdm_comparison *c, struct rdm_job *j)
{
	struct quartiles q;

	j->size = RDM_MESSAGE;
	c->name = "rdm-pingpong: 64 B";
	c->rounds = opt.pairs;
	if (rdm_compare(c, j))
		return -1;
	if (!rdm_ratio(c, RDM_REFERENCE, &q))
		return rdm_no_ratio(c);
	judge(q.low, opt.max_rdm_ratio, "", "rdm-pingpong: lower quartile of %s / %s at 64 B",
	      opt.provider, opt.reference);
	plot_pairs(c);
	return 0;
}

static int by_size(struct rdm_comparison *c, struct rdm_job *j, int size, FILE *dat)
{
	struct quartiles q, peer = { 0, 0, 0 };
	char name[64];

	j->size = size;
	snprintf(name, sizeof(name), "rdm-pingpong: %d B, for information", size);
	c->name = name;
	c->rounds = opt.size_pairs;
	if (rdm_compare(c, j))
		return -1;
	rdm_ratio(c, RDM_PEER, &peer);
	if (dat && rdm_ratio(c, RDM_REFERENCE, &q))
		fprintf(dat, "%d %g %g %g %g\n", size, q.median, q.low, q.high, peer.median);
	return 0;
}

static int sizes(struct rdm_comparison *c, struct rdm_job *j)
{
	static const char script[] =
		"set logscale x 2\nset format x '%.0b%B'\n"
		"set xlabel 'bytes'\nset ylabel 'ratio of times'\n"
		"set title 'RDM, tagged round trips by size: time of eta / time of tcp'\n"
		"plot DATA using 1:2:3:4 with yerrorlines lw 2 title 'eta / tcp',"
		" DATA using 1:($5 > 0 ? $5 : NaN) with lines dt 2 title 'eta / peer', 1 notitle\n";
	FILE *dat = plot_begin("rdm-pingpong-sizes", "bytes, median ratio, 25 %, 75 %, eta/peer");
	int err = 0;

	for (int i = 0; i < opt.sizes.n && !err; i++)
		if (opt.sizes.at[i] >= sizeof(uint64_t))
			err = by_size(c, j, (int)opt.sizes.at[i], dat);
	plot_end(dat, "rdm-pingpong-sizes", script);
	return err;
}

int rdm_pingpong_run(void)
{
	static struct rdm_comparison c = { .unit = "us, one way", .scale = 1e3 };
	struct rdm_job *j = rdm_job_alloc(RDM_PINGPONG);
	int err;

	heading("rdm-pingpong: tagged messages, runs of %g ms, A B B A", opt.run_ms);
	err = small(&c, j);
	if (opt.sizes.at[0] >= 1)
		err |= sizes(&c, j);
	rdm_job_free(j);
	return err;
}
