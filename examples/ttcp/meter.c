/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * meter.c - measuring a transfer and reporting it, for people or as one line of JSON.
 */
#include "examples/ttcp/meter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

uint64_t meter_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

void meter_start(struct meter *m)
{
	m->show_progress = isatty(STDERR_FILENO);
	getrusage(RUSAGE_SELF, &m->cpu_begin);
	m->begin_ns = m->shown_ns = meter_now_ns();
}

void meter_progress(struct meter *m)
{
	uint64_t now;
	double seconds;

	if (!m->show_progress)
		return;
	now = meter_now_ns();
	if (now - m->shown_ns < SECOND_NS)
		return;
	seconds = (double)(now - m->shown_ns) / SECOND_NS;
	fprintf(stderr, "%8.1f s  %" PRIu64 " bytes  %.1f MiB/s\n",
		(double)(now - m->begin_ns) / SECOND_NS, m->bytes,
		(double)(m->bytes - m->shown_bytes) / seconds / (1 << 20));
	m->shown_ns = now;
	m->shown_bytes = m->bytes;
}

void meter_stop(struct meter *m)
{
	m->end_ns = meter_now_ns();
	getrusage(RUSAGE_SELF, &m->cpu_end);
}

static double seconds_between(struct timeval a, struct timeval b)
{
	return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_usec - a.tv_usec) / 1e6;
}

/* What is printed, computed. */
struct figures {
	double seconds, bytes_per_s, operations_per_s, user_s, system_s;
	double rtt_min, rtt_mean, rtt_p50, rtt_p99, rtt_max; /* microseconds */
};

static int compare_rtt(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void figure_rtts(const struct meter *m, struct figures *f)
{
	double sum = 0;

	qsort(m->rtt_ns, m->rtts, sizeof(*m->rtt_ns), compare_rtt);
	for (size_t i = 0; i < m->rtts; i++)
		sum += m->rtt_ns[i];
	f->rtt_min = m->rtt_ns[0] / 1e3;
	f->rtt_mean = sum / (double)m->rtts / 1e3;
	f->rtt_p50 = m->rtt_ns[m->rtts / 2] / 1e3;
	f->rtt_p99 = m->rtt_ns[m->rtts * 99 / 100] / 1e3;
	f->rtt_max = m->rtt_ns[m->rtts - 1] / 1e3;
}

static struct figures figures_of(const struct meter *m)
{
	struct figures f = { .seconds = (double)(m->end_ns - m->begin_ns) / SECOND_NS };

	f.bytes_per_s = (double)m->bytes / f.seconds;
	f.operations_per_s = (double)m->operations / f.seconds;
	f.user_s = seconds_between(m->cpu_begin.ru_utime, m->cpu_end.ru_utime);
	f.system_s = seconds_between(m->cpu_begin.ru_stime, m->cpu_end.ru_stime);
	if (m->rtts)
		figure_rtts(m, &f);
	return f;
}

static void print_text(const struct meter *m, const struct figures *f, const char *role)
{
	printf("%s %" PRIu64 " bytes in %.6f s: %.1f MiB/s\n", role, m->bytes, f->seconds,
	       f->bytes_per_s / (1 << 20));
	printf("%" PRIu64 " operations, %.0f per s; processor time %.3f s user, %.3f s system\n",
	       m->operations, f->operations_per_s, f->user_s, f->system_s);
	if (m->rtts)
		printf("%zu round trips in us: min %.1f, mean %.1f, p50 %.1f, p99 %.1f, max %.1f\n",
		       m->rtts, f->rtt_min, f->rtt_mean, f->rtt_p50, f->rtt_p99, f->rtt_max);
}

/* Those that have counted anything. */
static void print_counters(dusi_ual_t ual, bool json)
{
	const char *name, *before = "{";
	uint64_t value;

	for (unsigned i = 0; !Dusi_Counter(ual, i, &name, &value); i++) {
		if (!value)
			continue;
		if (json)
			printf("%s\"%s\": %" PRIu64, before, name, value);
		else
			printf("%-24s %" PRIu64 "\n", name, value);
		before = ", ";
	}
}

static void print_json(const struct meter *m, const struct figures *f, const struct config *config,
		       const char *role, dusi_ual_t ual)
{
	printf("{\"role\": \"%s\", \"bytes\": %" PRIu64 ", \"seconds\": %.9f, "
	       "\"bytes_per_s\": %.0f, \"operations\": %" PRIu64 ", \"user_s\": %.6f, "
	       "\"system_s\": %.6f",
	       role, m->bytes, f->seconds, f->bytes_per_s, m->operations, f->user_s, f->system_s);
	if (m->rtts)
		printf(", \"round_trips\": %zu, \"rtt_us\": {\"min\": %.3f, \"mean\": %.3f, "
		       "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}",
		       m->rtts, f->rtt_min, f->rtt_mean, f->rtt_p50, f->rtt_p99, f->rtt_max);
	if (config->counters) {
		fputs(", \"counters\": ", stdout);
		print_counters(ual, true);
		putchar('}');
	}
	puts("}");
}

void meter_report(struct meter *m, const struct config *config, const char *role, dusi_ual_t ual)
{
	struct figures f = figures_of(m);

	if (config->json) {
		print_json(m, &f, config, role, ual);
	} else {
		print_text(m, &f, role);
		if (config->counters)
			print_counters(ual, false);
	}
	fflush(stdout);
}
