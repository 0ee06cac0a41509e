/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_stream.c - tagged messages one way: rate of small ones, bandwidth of large ones; for rdm_dc.c
 * with FI_DELIVERY_COMPLETE.
 *
 * The sender posts a window, polls until all of it have completed, and posts the next. The receiver
 * has receives posted for all that may be under way and posts each place again when its message has
 * come; for each window (of less than 32 messages: for several) it sends one acknowledgement of
 * 8 B. A window may begin when at most --acks-behind windows are not acknowledged, so that no round
 * trip is waited for while the receiver keeps up, and a sender whose messages complete as soon as
 * they are buffered cannot run away. The time is that from the first post until the last
 * acknowledgement: all messages are in the receiver's memory then.
 */
#include <string.h>

#include "bench.h"
#include "link.h"
#include "rdm.h"

#define WARM_UP_NS 10000000
#define ACK 8
#define ACK_PLACES 64
#define MEMORY_MAX (64 << 20)    /* of messages to come; windows of larger ones are not ahead */
#define ACKED_MIN 32             /* messages for each acknowledgement, at least */
#define LAST (UINT64_C(1) << 63) /* this group is the last */

static uint64_t op_flags(const struct rdm_job *j)
{
	return j->delivery ? FI_DELIVERY_COMPLETE : 0;
}

/* A group is acknowledged at once: so many windows. */
static unsigned windows_of_group(const struct rdm_job *j)
{
	return (unsigned)(j->window < ACKED_MIN ? (ACKED_MIN + j->window - 1) / j->window : 1);
}

static unsigned group_of(const struct rdm_job *j)
{
	return windows_of_group(j) * (unsigned)j->window;
}

/* ------------------------------------------------------------------------- the receiver */

static struct rdm_places places_of(const struct rdm_job *j)
{
	unsigned n = group_of(j) * (unsigned)(j->behind + 1);

	if ((size_t)n * (size_t)j->size > MEMORY_MAX)
		n = group_of(j);
	return (struct rdm_places){ n, (size_t)j->size };
}

/* What message @n bears: LAST or 0. They come in the order in which they were sent. */
static uint64_t check(const struct rdm *r, struct rdm_places p, uint64_t n)
{
	uint64_t stamp;

	memcpy(&stamp, rdm_place(r, p, n), sizeof(stamp));
	if ((stamp & ~LAST) != n)
		die("message %lu is not the one that was sent", (unsigned long)n);
	return stamp & LAST;
}

int rdm_stream_receiver(struct rdm_job *j, int ctrl)
{
	struct rdm_places p = places_of(j);
	struct rdm_want want = { .op_flags = op_flags(j), .memory = p.n * p.size + ACK };
	uint64_t n = 0, last = 0;
	struct rdm r;

	if (!rdm_open(&r, j, &want, ctrl))
		return 0;
	r.length = p.size;
	rdm_refill(&r, p);
	rdm_meet(&r, ctrl);
	while (!last || n % group_of(j)) {
		rdm_poll(&r);
		for (; n < r.received; n++) {
			last = check(&r, p, n);
			if ((n + 1) % group_of(j) == 0)
				rdm_inject(&r, r.memory + p.n * p.size, ACK);
		}
		rdm_refill(&r, p);
	}
	rdm_meet(&r, ctrl);
	rdm_close(&r);
	return 0;
}

/* --------------------------------------------------------------------------- the sender */

struct sender {
	struct rdm r;
	struct rdm_places acks;
	const struct rdm_job *j;
	uint64_t groups;
};

static void window(struct sender *s, uint64_t last)
{
	size_t size = (size_t)s->j->size;
	struct rdm *r = &s->r;

	for (int i = 0; i < s->j->window; i++) {
		uint8_t *from = r->memory + s->acks.n * s->acks.size + (size_t)i * size;
		uint64_t stamp = r->sends | last;

		memcpy(from, &stamp, sizeof(stamp));
		rdm_send(r, from, size);
	}
	rdm_wait_sent(r, r->sends);
}

static void group(struct sender *s, uint64_t last)
{
	while (s->groups > s->r.received + (unsigned)s->j->behind)
		rdm_poll(&s->r);
	for (unsigned i = 0; i < windows_of_group(s->j); i++)
		window(s, last);
	rdm_refill(&s->r, s->acks);
	s->groups++;
}

/* Groups until @until, and one that bears @last; returns when all are acknowledged. */
static void groups(struct sender *s, int64_t until, uint64_t last)
{
	bool over;

	do {
		over = now_ns() >= until;
		group(s, over ? last : 0);
	} while (!over);
	rdm_wait_received(&s->r, s->groups);
	rdm_refill(&s->r, s->acks);
}

int rdm_stream_sender(struct rdm_job *j, int ctrl)
{
	struct sender s = { .acks = { ACK_PLACES, ACK }, .j = j };
	struct rdm_want want = { .op_flags = op_flags(j) };
	uint64_t before;
	int64_t start;

	want.memory = ACK_PLACES * ACK + (size_t)j->window * (size_t)j->size;
	if (!rdm_open(&s.r, j, &want, ctrl))
		return 0;
	s.r.length = ACK;
	rdm_refill(&s.r, s.acks);
	rdm_meet(&s.r, ctrl);
	groups(&s, now_ns() + WARM_UP_NS, 0);
	before = s.r.sends;
	start = now_ns();
	groups(&s, start + (int64_t)(j->run_ms * 1e6), LAST);
	j->result = (double)(s.r.sends - before) * 1e9 / (double)(now_ns() - start);
	rdm_meet(&s.r, ctrl);
	rdm_close(&s.r);
	return 0;
}

/* --------------------------------------------------------------------------------- rate */

static void plot_rate(FILE *dat, const struct rdm_comparison *c, int outstanding)
{
	if (dat)
		fprintf(dat, "%d %g %g %g\n", outstanding, rdm_median(c, RDM_OURS),
			rdm_median(c, RDM_REFERENCE), rdm_median(c, RDM_PEER));
}

static int rate_with(struct rdm_comparison *c, struct rdm_job *j, FILE *dat)
{
	struct quartiles q;
	char name[64];

	snprintf(name, sizeof(name), "rdm-rate: 64 B, window %d", j->window);
	c->name = name;
	c->rounds = opt.pairs;
	if (rdm_compare(c, j))
		return -1;
	plot_rate(dat, c, j->window);
	if (!rdm_ratio(c, RDM_REFERENCE, &q))
		return rdm_no_ratio(c);
	judge_least(q.median, opt.min_rate_ratio, "", "rdm-rate: median of %s / %s, window %d",
		    opt.provider, opt.reference, j->window);
	return 0;
}

int rdm_rate_run(void)
{
	static const char script[] =
		"set xlabel 'window'\nset ylabel 'messages/s'\nset yrange [0:*]\n"
		"set title 'RDM, tagged 64 B messages one way'\nset key left top\n"
		"plot DATA using 1:2 with linespoints lw 2 title 'eta',"
		" DATA using 1:3 with linespoints lw 2 title 'tcp',"
		" DATA using 1:($4 > 0 ? $4 : NaN) with linespoints title 'peer'\n";
	static struct rdm_comparison c = { .unit = "thousand messages/s", .scale = 1e3 };
	struct rdm_job *j = rdm_job_alloc(RDM_STREAM);
	FILE *dat = plot_begin("rdm-rate", "window, messages/s of eta, tcp, peer");
	int err = 0;

	heading("rdm-rate: tagged messages one way, runs of %g ms, up to %d windows unacknowledged",
		opt.run_ms, opt.acks_behind);
	j->size = RDM_MESSAGE;
	j->behind = opt.acks_behind;
	for (int i = 0; i < opt.outstanding.n; i++) {
		j->window = (int)opt.outstanding.at[i];
		err |= rate_with(&c, j, dat);
	}
	plot_end(dat, "rdm-rate", script);
	rdm_job_free(j);
	return err;
}

/* ---------------------------------------------------------------------------- bandwidth */

int rdm_bw_run(void)
{
	static struct rdm_comparison c = { .name = "rdm-bw: 1 MiB, window 64",
					   .unit = "MiB/s",
					   .scale = 1 };
	struct rdm_job *j = rdm_job_alloc(RDM_STREAM);
	struct quartiles q;
	int err;

	heading("rdm-bw: tagged messages one way, runs of %g ms, up to 1 window unacknowledged",
		opt.run_ms);
	j->size = 1 << 20;
	j->window = 64;
	j->behind = 1;
	c.rounds = opt.pairs;
	err = rdm_compare(&c, j);
	if (!err && !rdm_ratio(&c, RDM_REFERENCE, &q))
		err = rdm_no_ratio(&c);
	else if (!err)
		judge_least(q.high, opt.min_bw_ratio, "",
			    "rdm-bw: upper quartile of %s / %s at 1 MiB", opt.provider,
			    opt.reference);
	rdm_job_free(j);
	return err;
}
