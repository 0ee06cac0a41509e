/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* report.c - statistics, verdicts and plots. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

/* ----------------------------------------------------------------------- statistics */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort(double *v, int n)
{
	qsort(v, n, sizeof(*v), compare);
}

double quantile(const double *sorted, int n, double q)
{
	double at = q * (n - 1);
	int i = (int)at;

	if (n < 1)
		return 0;
	if (i >= n - 1)
		return sorted[n - 1];
	return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

struct quartiles quartiles_of(double *v, int n)
{
	sort(v, n);
	return (struct quartiles){ quantile(v, n, 0.25), quantile(v, n, 0.5),
				   quantile(v, n, 0.75) };
}

/* -------------------------------------------------------------------------- verdicts */

#define LINES_MAX 128

static struct {
	char text[160];
	int status; /* the exit status that it asks for */
} lines[LINES_MAX];
static int nlines;

static void remember(int status, const char *text)
{
	if (nlines == LINES_MAX)
		return;
	lines[nlines].status = status;
	snprintf(lines[nlines++].text, sizeof(lines[0].text), "%s", text);
}

static void verdict(bool met, double value, const char *relation, double limit, const char *unit,
		    const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "%-6s  %-62s %9.4g%s (target %s %g%s)", met ? "met" : "MISSED",
		 name, value, unit, relation, limit, unit);
	printf("  %s\n", text);
	remember(!met, text);
}

bool judge(double value, double limit, const char *unit, const char *what, ...)
{
	char name[100];
	va_list ap;

	va_start(ap, what);
	vsnprintf(name, sizeof(name), what, ap);
	va_end(ap);
	verdict(value <= limit, value, "<=", limit, unit, name);
	return value <= limit;
}

bool judge_least(double value, double limit, const char *unit, const char *what, ...)
{
	char name[100];
	va_list ap;

	va_start(ap, what);
	vsnprintf(name, sizeof(name), what, ap);
	va_end(ap);
	verdict(value >= limit, value, ">=", limit, unit, name);
	return value >= limit;
}

int not_run(const char *why, ...)
{
	char text[140], line[160];
	va_list ap;

	va_start(ap, why);
	vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%-6s  %s", "NOT RUN", text);
	printf("  %s\n", line);
	remember(2, line);
	return -1;
}

int summary(void)
{
	int status = 0;

	heading("Summary");
	for (int i = 0; i < nlines; i++) {
		printf("  %s\n", lines[i].text);
		if (lines[i].status > status)
			status = lines[i].status;
	}
	printf("  %s\n", status == 0   ? "All targets met."
			 : status == 1 ? "Not all targets met."
				       : "Not everything could run.");
	return status;
}

void heading(const char *text, ...)
{
	va_list ap;

	printf("\n== ");
	va_start(ap, text);
	vprintf(text, ap);
	va_end(ap);
	printf("\n");
}

/* ------------------------------------------------------------------------------ plots */

static FILE *plot_open(const char *name, const char *suffix)
{
	char path[4096];
	FILE *f;

	if (mkdir(opt.plot_dir, 0777) && errno != EEXIST)
		goto fail;
	snprintf(path, sizeof(path), "%s/%s.%s", opt.plot_dir, name, suffix);
	f = fopen(path, "w");
	if (f)
		return f;
fail:
	fprintf(stderr, "eta-bench: cannot write plots to %s: %s\n", opt.plot_dir, strerror(errno));
	return NULL;
}

FILE *plot_begin(const char *name, const char *columns)
{
	FILE *f = opt.plot_dir ? plot_open(name, "dat") : NULL;

	if (f)
		fprintf(f, "# %s\n", columns);
	return f;
}

/* Paths in the script are relative, so that the folder can be moved. */
static void plot_draw(const char *name)
{
	char command[256];
	char *const argv[] = { "sh", "-c", command, NULL };
	pid_t pid;

	snprintf(command, sizeof(command),
		 "cd \"$ETA_BENCH_PLOTS\" && command -v gnuplot >&2 && gnuplot %s.gp", name);
	setenv("ETA_BENCH_PLOTS", opt.plot_dir, 1);
	pid = program_start(argv, -1, -1);
	if (pid > 0 && program_wait(pid, 60) == 0)
		printf("  plot: %s/%s.png\n", opt.plot_dir, name);
	else
		printf("  plot: %s/%s.gp is there for gnuplot, which did not draw it\n",
		       opt.plot_dir, name);
}

void plot_end(FILE *dat, const char *name, const char *script)
{
	FILE *f;

	if (!dat)
		return;
	fclose(dat);
	f = plot_open(name, "gp");
	if (!f)
		return;
	fprintf(f,
		"set terminal pngcairo noenhanced size 900,540\n"
		"set output '%s.png'\nDATA = '%s.dat'\n"
		"set grid\n%s",
		name, name, script);
	fclose(f);
	plot_draw(name);
}
