/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * takeover.c - an application polls for a while, then computes and calls nothing. When does the
 * engine step in, and how long does a message take from then on?
 *
 * A round: the target computes for a while, polls while messages come, and stops. It tells the
 * peer, on the other core, which sends one at once: the time from the last poll until this one lies
 * in the target's memory is the take-over. When it does, more follow, at random intervals; from the
 * send call until the target sees each is the delivery. The target looks at its own memory, between
 * computing, on the one core that it shares with its engine's thread; both processes read the same
 * clock.
 */
#include <string.h>

#include "bench.h"
#include "link.h"

#define ROUNDS_MAX 1000
#define TIMES 1024           /* send times kept; far more than can be under way */
#define QUIET_NS 20000000    /* computing between two rounds: the engine leads again */
#define POLLING_GAP_NS 50000 /* between messages while the target polls */
#define COMPUTING_GAP_NS 1e6 /* and, at least, when it computes */
#define GIVE_UP_NS 100000000 /* nobody will deliver */
#define STAMP (LINK_MESSAGE - sizeof(uint64_t)) /* where a message bears its number */

/* The state word is round * STATES + state, so that a peer that was away notices what it missed. */
enum state { QUIET, POLLING, COMPUTING, OVER, STATES };

struct takeover_shared {
	const char *via;
	double phase_ms;
	int rounds;
	char about[160];
	_Atomic unsigned state;
	_Atomic uint64_t probe; /* 1 + the number of the first message since it computes; 0: none */
	_Atomic bool taken_over; /* it has been delivered */
	_Atomic int64_t sent_at[TIMES];
	/* results */
	int delays, latencies, lost;
	double delay_ms[ROUNDS_MAX];
	double latency_us[ROUNDS_MAX * 64];
};

/* ------------------------------------------------------------------------------ the peer */

static void peer_send(struct takeover_shared *s, struct link *l, uint64_t n)
{
	uint8_t *from = link_source(l, n);
	uint64_t stamp = n + 1;

	memcpy(from + STAMP, &stamp, sizeof(stamp));
	atomic_store(&s->sent_at[n % TIMES], now_ns());
	link_send(l, from);
	link_wait_sent(l, n + 1);
}

/* Polls until @when, or the state is not @state any more. */
static bool peer_stays(struct takeover_shared *s, struct link *l, unsigned state, int64_t when)
{
	while (atomic_load(&s->state) == state) {
		if (now_ns() >= when)
			return true;
		link_poll(l);
	}
	return false;
}

/* The first message, and when it was delivered the others. */
static uint64_t peer_probe(struct takeover_shared *s, struct link *l, unsigned state, uint64_t n)
{
	peer_send(s, l, n++);
	atomic_store(&s->probe, n);
	while (atomic_load(&s->state) == state && !atomic_load(&s->taken_over))
		link_poll(l);
	for (int i = 0; i < opt.messages; i++) {
		int64_t gap = (int64_t)(COMPUTING_GAP_NS * (1 + random_fraction()));

		if (!peer_stays(s, l, state, now_ns() + gap))
			break;
		peer_send(s, l, n++);
	}
	peer_stays(s, l, state, INT64_MAX);
	return n;
}

static int peer(void *arg, int ctrl)
{
	struct takeover_shared *s = arg;
	struct link *l = link_make(s->via, false, ctrl);
	uint64_t n = 0;

	for (;;) {
		unsigned state = atomic_load(&s->state);

		switch ((enum state)(state % STATES)) {
		case POLLING:
			peer_send(s, l, n++);
			peer_stays(s, l, state, now_ns() + POLLING_GAP_NS);
			break;
		case COMPUTING:
			n = peer_probe(s, l, state, n);
			break;
		case OVER:
			ctrl_meet(ctrl);
			return 0;
		default:
			peer_stays(s, l, state, INT64_MAX);
			break;
		}
	}
}

/* ---------------------------------------------------------------------------- the target */

static bool is_there(struct link *l, uint64_t n)
{
	const _Atomic uint64_t *stamp = (const void *)(link_place(l, n) + STAMP);

	return atomic_load_explicit(stamp, memory_order_acquire) == n + 1;
}

/* Computes until message @n lies in its place; returns when, or 0. */
static int64_t compute_until_there(struct link *l, uint64_t n)
{
	int64_t give_up = now_ns() + GIVE_UP_NS, now;

	do {
		compute_a_little();
		now = now_ns();
		if (is_there(l, n))
			return now;
	} while (now < give_up);
	return 0;
}

static void poll_until(struct link *l, int64_t when)
{
	do {
		link_poll(l);
		link_refill(l);
	} while (now_ns() < when);
}

static void watch(struct takeover_shared *s, struct link *l, int64_t last_poll)
{
	uint64_t first;
	int64_t seen;

	while (!(first = atomic_load(&s->probe)))
		compute_a_little();
	first--;
	seen = compute_until_there(l, first);
	if (!seen) {
		s->lost++;
		return;
	}
	s->delay_ms[s->delays++] = (seen - last_poll) / 1e6;
	atomic_store(&s->taken_over, true);
	for (int i = 1; i <= opt.messages; i++) {
		seen = compute_until_there(l, first + i);
		if (!seen) {
			s->lost++;
			return;
		}
		s->latency_us[s->latencies++] =
			(seen - atomic_load(&s->sent_at[(first + i) % TIMES])) / 1e3;
	}
}

static void enter(struct takeover_shared *s, int round, enum state state)
{
	atomic_store(&s->state, (unsigned)round * STATES + state);
}

static void target_round(struct takeover_shared *s, struct link *l, int round)
{
	int64_t phase = (int64_t)(s->phase_ms * 1e6 * (0.75 + random_fraction() / 2));
	int64_t last_poll;

	compute_until(now_ns() + QUIET_NS);
	enter(s, round, POLLING);
	poll_until(l, now_ns() + phase);
	last_poll = now_ns();
	atomic_store(&s->probe, 0);
	atomic_store(&s->taken_over, false);
	enter(s, round, COMPUTING);
	watch(s, l, last_poll);
	enter(s, round, QUIET);
	poll_until(l, now_ns() + 1000000);
}

static int target(void *arg, int ctrl)
{
	struct takeover_shared *s = arg;
	struct link *l;

	if (opt.engine_free)
		unpin();
	l = link_make(s->via, true, ctrl);
	if (opt.engine_free)
		pin_to(opt.cores[0]);
	strcpy(s->about, l->about);
	for (int i = 0; i < s->rounds; i++)
		target_round(s, l, i);
	enter(s, s->rounds, OVER);
	ctrl_meet(ctrl);
	return 0;
}

/* ------------------------------------------------------------------------------- results */

static void print_row(struct takeover_shared *s)
{
	sort(s->delay_ms, s->delays);
	sort(s->latency_us, s->latencies);
	printf("  %8g", s->phase_ms);
	if (s->delays)
		printf(" %8.3f %8.3f %8.3f", quantile(s->delay_ms, s->delays, 0.5),
		       quantile(s->delay_ms, s->delays, 0.9), s->delay_ms[s->delays - 1]);
	else
		printf(" %8s %8s %8s", "never", "never", "never");
	if (s->latencies)
		printf("  %8.1f %8.1f %8.1f", quantile(s->latency_us, s->latencies, 0.5),
		       quantile(s->latency_us, s->latencies, 0.9),
		       quantile(s->latency_us, s->latencies, 0.99));
	else
		printf("  %8s %8s %8s", "-", "-", "-");
	printf(" %6d   %s\n", s->lost, s->about);
}

static void judge_row(const struct takeover_shared *s)
{
	bool is_short = s->phase_ms <= opt.short_ms;

	if (s->lost || !s->delays) {
		judge(s->lost, 0, "", "takeover: %s, lost after %g ms of polling", s->via,
		      s->phase_ms);
		return;
	}
	judge(quantile(s->delay_ms, s->delays, 0.9),
	      is_short ? opt.max_takeover_short_ms : opt.max_takeover_ms, " ms",
	      "takeover: %s, 90th percentile after %g ms of polling", s->via, s->phase_ms);
	judge(quantile(s->latency_us, s->latencies, 0.5), opt.max_latency_us, " us",
	      "takeover: %s, median delivery after %g ms of polling", s->via, s->phase_ms);
}

static void plot(const struct takeover_shared *s)
{
	static const char script[] =
		"set xlabel 'ms from the last poll until a message is delivered'\n"
		"set ylabel 'share of the rounds'\nset key bottom right\n"
		"set title 'The engine takes over from an application that stops polling'\n"
		"plot for [i=0:*] DATA index i using 1:2 with steps lw 2 title columnheader(1)\n";
	static FILE *dat;

	if (!s) {
		plot_end(dat, "takeover", script);
		dat = NULL;
		return;
	}
	if (!dat)
		dat = plot_begin("takeover", "ms, share of the rounds; one block per phase");
	if (!dat || !s->delays)
		return;
	fprintf(dat, "\"%s, after %g ms of polling\"\n", s->via, s->phase_ms);
	for (int i = 0; i < s->delays; i++)
		fprintf(dat, "%g %g\n", s->delay_ms[i], (i + 1.0) / s->delays);
	fprintf(dat, "\n\n");
}

static double seconds_for(const struct takeover_shared *s)
{
	double round_ms = s->phase_ms * 1.25 + 22 + (opt.messages + 1) * 100;

	return 20 + s->rounds * round_ms / 1e3;
}

static int measure(const char *via, double phase_ms, int rounds, bool judged)
{
	struct takeover_shared *s = shared_alloc(sizeof(*s));
	struct roles r = { { target, peer }, s, .pid = { 0 } };
	int err;

	s->via = via;
	s->phase_ms = phase_ms;
	s->rounds = rounds;
	err = roles_run(&r, seconds_for(s));
	if (err) {
		err = not_run("takeover: %s, %g ms", via, phase_ms);
	} else {
		print_row(s);
		if (judged)
			judge_row(s);
		plot(s);
	}
	shared_free(s, sizeof(*s));
	return err;
}

int takeover_run(void)
{
	int rounds = opt.rounds ? opt.rounds : 40;
	int err = 0;

	heading("takeover: %d rounds of each, then %d messages of 64 B; the engine's thread on %s",
		rounds, opt.messages, opt.engine_free ? "either core" : "the computing core");
	printf("  %8s %26s  %26s %6s\n", "polled", "take-over, ms", "delivery after it, us", "");
	printf("  %8s %8s %8s %8s  %8s %8s %8s %6s   %s\n", "for, ms", "median", "90 %", "max",
	       "median", "90 %", "99 %", "lost", "provider;protocol");
	for (int i = 0; i < opt.phases_ms.n; i++) {
		err |= measure(opt.provider, opt.phases_ms.at[i], rounds, true);
		err |= measure("dusi", opt.phases_ms.at[i], rounds, true);
	}
	/* a provider without a thread delivers at the next poll, that is here: never */
	err |= measure(opt.reference, 2, rounds < 5 ? rounds : 5, false);
	plot(NULL);
	return err;
}
