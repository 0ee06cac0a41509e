/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * web_calls.c - system calls per request, by name; and what eta's server counts itself.
 *
 * strace makes each call slow, so a wait finds more that is ready than it would otherwise: calls
 * that belong to one request are counted right, those that serve many are seen too seldom.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "web.h"

#define NAMES 64
#define SHOWN 0.0005 /* less often than that is not worth a row */
#define STATUS_SIZE 16384
#define COUNTERS 128

struct calls {
	int n;
	struct {
		char name[32];
		double each[WEB_SERVERS];
	} at[NAMES];
	double total[WEB_SERVERS];
	int64_t requests[WEB_SERVERS];
	char why[WEB_SERVERS][100]; /* there is nothing */
};

/* -------------------------------------------------------------------------------- strace */

static bool is_traced(pid_t pid)
{
	char line[256];
	FILE *f;
	int tracer = 0;

	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	f = fopen(line, "r");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	fclose(f);
	return tracer != 0;
}

static pid_t trace(const struct web_server *s, const char *path)
{
	char number[16];
	char *const argv[] = { "strace", "-c", "-f", "-q", "-o", (char *)path, "-p", number, NULL };
	pid_t pid;

	snprintf(number, sizeof(number), "%d", s->pid);
	pid = program_start(argv, opt.cores[0], -1);
	for (int i = 0; pid > 0 && i < 100 && !is_traced(s->pid); i++)
		sleep_ns(20000000);
	/* its other threads come after the first */
	sleep_ns(200000000);
	return pid;
}

static void count(struct calls *k, const char *name, int column, double calls)
{
	int i = 0;

	while (i < k->n && strcmp(k->at[i].name, name))
		i++;
	if (i == NAMES)
		return;
	if (i == k->n) {
		memset(&k->at[i], 0, sizeof(k->at[i]));
		snprintf(k->at[i].name, sizeof(k->at[i].name), "%s", name);
		k->n++;
	}
	k->at[i].each[column] += calls;
	k->total[column] += calls;
}

/* "% time, seconds, us/call, calls, errors (or nothing), name" */
static int read_counts(struct calls *k, int column, const char *path)
{
	FILE *f = fopen(path, "r");
	char line[256], name[32], *last;
	long calls;
	int rows = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*f %*f %*d %ld", &calls) != 1)
			continue;
		last = strrchr(line, ' ');
		if (!last || sscanf(last, " %31s", name) != 1 || !strcmp(name, "total"))
			continue;
		count(k, name, column, (double)calls / (double)k->requests[column]);
		rows++;
	}
	fclose(f);
	return rows ? 0 : -1;
}

static void trace_one(const struct web_set *set, const struct web_case *c, int i, struct calls *k)
{
	const struct web_server *s = &set->at[i];
	struct web_run r;
	char path[128];
	pid_t pid;
	int err;

	if (!web_runs(s)) {
		memcpy(k->why[i], s->missing, sizeof(k->why[i]));
		return;
	}
	snprintf(path, sizeof(path), "%s/%s.strace", set->dir, s->name);
	remove(path);
	pid = trace(s, path);
	err = web_load(s, c, opt.seconds, &r);
	k->requests[i] = r.requests;
	if (pid > 0)
		kill(pid, SIGINT);
	if (pid > 0 && program_wait(pid, 20) == 127)
		snprintf(k->why[i], sizeof(k->why[i]), "strace is not installed");
	else if (err || r.errors[0])
		memcpy(k->why[i], r.errors, sizeof(k->why[i]));
	else if (read_counts(k, i, path))
		snprintf(k->why[i], sizeof(k->why[i]), "strace counted nothing");
}

/* --------------------------------------------------------------------------------- table */

static double most(const struct calls *k, int row)
{
	double m = 0;

	for (int i = 0; i < WEB_SERVERS; i++)
		m = k->at[row].each[i] > m ? k->at[row].each[i] : m;
	return m;
}

static void order(struct calls *k)
{
	for (int i = 1; i < k->n; i++)
		for (int j = i; j > 0 && most(k, j) > most(k, j - 1); j--) {
			__typeof__(k->at[0]) swap = k->at[j];

			k->at[j] = k->at[j - 1];
			k->at[j - 1] = swap;
		}
}

static void print_cells(const struct web_set *set, const struct calls *k, const char *name,
			const double *v)
{
	printf("  %-22s", name);
	for (int i = 0; i < set->n; i++) {
		if (k->why[i][0])
			printf(" %13s", "-");
		else if (v[i] > 0)
			printf(" %13.3f", v[i]);
		else
			printf(" %13s", "");
	}
	printf("\n");
}

static int print_calls(const struct web_set *set, const struct web_case *c, const struct calls *k)
{
	int err = 0;

	printf("  %-22s", "calls per request");
	for (int i = 0; i < set->n; i++)
		printf(" %13s", set->at[i].name);
	printf("\n");
	for (int row = 0; row < k->n; row++)
		if (most(k, row) >= SHOWN)
			print_cells(set, k, k->at[row].name, k->at[row].each);
	print_cells(set, k, "all of them", k->total);
	printf("  %-22s", "requests");
	for (int i = 0; i < set->n; i++)
		printf(" %13lld", (long long)k->requests[i]);
	printf("\n");
	for (int i = 0; i < set->n; i++)
		if (k->why[i][0])
			err = not_run("web-calls %s: %s: %s", c->name, set->at[i].name, k->why[i]);
	return err;
}

/* ---------------------------------------------------------------------- eta's own counters */

#define NAME_SIZE 64
#define DEPTH 8

struct counters {
	int n;
	struct {
		char name[NAME_SIZE], text[NAME_SIZE]; /* "": it is a number */
		double value;
	} at[COUNTERS];
};

static void add_counter(struct counters *k, const char *name, const char *text, int len,
			double value)
{
	if (k->n == COUNTERS)
		return;
	snprintf(k->at[k->n].name, NAME_SIZE, "%s", name);
	snprintf(k->at[k->n].text, NAME_SIZE, "%.*s", len, text);
	k->at[k->n++].value = value;
}

/* The characters of a JSON string that begins at @at. */
static size_t string_length(const char *at)
{
	size_t n = 0;

	while (at[n] && at[n] != '"')
		n += at[n] == '\\' && at[n + 1] ? 2 : 1;
	return n;
}

static bool is_key(const char *after)
{
	return after[strspn(after, " \n\t")] == ':';
}

/* Of the names of JSON's nested objects, those that lead to here: "a.b". */
struct where {
	char name[NAME_SIZE];
	size_t ends[DEPTH]; /* the length of the name at each depth */
	int depth;
};

static void set_key(struct where *w, const char *key, int n)
{
	size_t end = w->ends[w->depth];

	snprintf(w->name + end, NAME_SIZE - end, "%s%.*s", end ? "." : "", n, key);
}

static void nest(struct where *w, char bracket)
{
	if (bracket == '{' || bracket == '[') {
		if (w->depth + 1 < DEPTH)
			w->ends[++w->depth] = strlen(w->name);
		return;
	}
	w->depth -= w->depth > 0;
	w->name[w->ends[w->depth]] = '\0';
}

/* All numbers and texts of @json. */
static void flatten(const char *json, struct counters *k)
{
	struct where w = { .depth = 0 };
	char *end;

	k->n = 0;
	for (const char *at = json; *at; at++) {
		if (strchr("{}[]", *at)) {
			nest(&w, *at);
		} else if (*at == '"') {
			size_t n = string_length(at + 1);

			if (!at[1 + n])
				return;
			if (is_key(at + 2 + n))
				set_key(&w, at + 1, (int)n);
			else
				add_counter(k, w.name, at + 1, (int)n, 0);
			at += n + 1;
		} else if (isdigit((unsigned char)*at)) {
			add_counter(k, w.name, "", 0, strtod(at, &end));
			at = end - 1;
		}
	}
}

static int read_counters(const struct web_server *s, struct counters *k)
{
	char *text = malloc(STATUS_SIZE), *body;
	int err = -1;

	if (text && web_get(s, WEB_STATUS, text, STATUS_SIZE) > 0) {
		body = strstr(text, "\r\n\r\n");
		flatten(body ? body : "", k);
		err = 0;
	}
	free(text);
	return err;
}

/* Undisturbed by strace. */
static int print_counters(const struct web_server *s, const struct web_case *c)
{
	struct counters before, after;
	struct web_run r;

	if (read_counters(s, &before) || web_load(s, c, opt.seconds, &r) ||
	    read_counters(s, &after))
		return not_run("web-calls %s: %s has no counters at %s", c->name, s->name,
			       WEB_STATUS);
	printf("  %s counts for itself, per request of %lld:\n", s->name, (long long)r.requests);
	for (int i = 0; i < after.n && i < before.n; i++) {
		double each = (after.at[i].value - before.at[i].value) / (double)r.requests;

		if (after.at[i].text[0])
			printf("    %-40s %s\n", after.at[i].name, after.at[i].text);
		else if (!strcmp(after.at[i].name, before.at[i].name) && each >= SHOWN)
			printf("    %-40s %12.3f\n", after.at[i].name, each);
	}
	return 0;
}

/* -------------------------------------------------------------------------------- command */

static void plot(const struct web_set *set, const struct web_case *c, const struct calls *k)
{
	char name[48];
	FILE *dat;

	snprintf(name, sizeof(name), "web-calls-%s", c->name);
	dat = plot_begin(name, "server, calls per request");
	if (!dat)
		return;
	for (int i = 0; i < set->n; i++)
		if (!k->why[i][0])
			fprintf(dat, "%s %g\n", set->at[i].name, k->total[i]);
	plot_end(dat, name,
		 "set style data histograms\nset style fill solid 0.6 border -1\n"
		 "set yrange [0:*]\nset ylabel 'system calls per request'\n"
		 "plot DATA using 2:xtic(1) notitle\n");
}

static int measure(const struct web_set *set, const struct web_case *c)
{
	static struct calls k;
	int err;

	memset(&k, 0, sizeof(k));
	printf("\n  -- %s: %s\n", c->name, c->what);
	for (int i = 0; i < set->n; i++)
		trace_one(set, c, i, &k);
	order(&k);
	err = print_calls(set, c, &k);
	for (int i = 0; i < set->n; i++)
		if (set->at[i].status && web_runs(&set->at[i]))
			err |= print_counters(&set->at[i], c);
	plot(set, c, &k);
	return err;
}

int web_calls_run(void)
{
	struct web_set set;
	int err = 0;

	heading("web-calls: system calls per request, counted by strace over %g s", opt.seconds);
	if (web_open(&set, 0, true))
		return -1;
	for (int i = 0; i < WEB_CASES; i++)
		if (web_listed(opt.cases, web_cases[i].name))
			err |= measure(&set, &web_cases[i]);
	web_close(&set);
	return err;
}
