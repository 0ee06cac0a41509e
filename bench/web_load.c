/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* web_load.c - wrk against one of the servers, and what that costs the server's core. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "web.h"

#define OUTPUT_SIZE 8192

const struct web_case web_cases[WEB_CASES] = {
	{ "1k-64", "1 KiB, 64 connections", "1k.bin", 1024, 64, false, 1 / 1.5, 1 / 1.1, 1.3,
	  false },
	{ "1k-1000", "1 KiB, 1,000 connections", "1k.bin", 1024, 1000, false, 1 / 1.4, 0, 0,
	  false },
	{ "100k-64", "100 KiB, 64 connections", "100k.bin", 102400, 64, false, 1, 0, 0, true },
	{ "short-64", "1 KiB, 64 connections, a new one for each request", "1k.bin", 1024, 64, true,
	  1 / 1.3, 0, 0, false },
};

/* -------------------------------------------------------------------------------- cores */

int core_ticks(int core, struct core_ticks *out)
{
	int64_t v[8] = { 0 };
	char line[512], name[16];
	bool found = false;
	FILE *f = fopen("/proc/stat", "r");
	size_t n = (size_t)snprintf(name, sizeof(name), "cpu%d ", core);

	if (!f)
		return -1;
	while (!found && fgets(line, sizeof(line), f)) {
		char *at = line + n;

		found = !strncmp(line, name, n);
		for (int i = 0; found && i < 8; i++)
			v[i] = strtoll(at, &at, 10);
	}
	fclose(f);
	/* user nice system idle iowait irq softirq steal */
	out->busy = v[0] + v[1] + v[2] + v[5] + v[6];
	out->steal = v[7];
	out->all = out->busy + v[3] + v[4] + v[7];
	return found ? 0 : -1;
}

struct account {
	struct core_ticks core[2];
	int64_t process_ns;
};

static int take_account(const struct web_server *s, struct account *a)
{
	struct cpu_time t;

	if (cpu_time_of(s->pid, &t) || core_ticks(opt.cores[0], &a->core[0]) ||
	    core_ticks(opt.cores[1], &a->core[1]))
		return -1;
	a->process_ns = t.main_ns + t.others_ns;
	return 0;
}

static void settle_account(const struct account *a, const struct account *b, struct web_run *r)
{
	double tick_us = 1e6 / (double)sysconf(_SC_CLK_TCK);
	double n = r->requests > 0 ? (double)r->requests : 1;

	r->steal = 0;
	for (int i = 0; i < 2; i++) {
		double all = (double)(b->core[i].all - a->core[i].all);

		if (all < 1)
			all = 1;
		r->busy[i] = (double)(b->core[i].busy - a->core[i].busy) / all;
		r->steal += (double)(b->core[i].steal - a->core[i].steal) / all;
	}
	r->core_us = (double)(b->core[0].busy - a->core[0].busy) * tick_us / n;
	r->process_us = (double)(b->process_ns - a->process_ns) / 1e3 / n;
}

/* ---------------------------------------------------------------------------------- wrk */

/* "1.07ms" and the like. */
static double microseconds(const char *text)
{
	char *unit;
	double value = strtod(text, &unit);

	if (!strncmp(unit, "us", 2))
		return value;
	if (!strncmp(unit, "ms", 2))
		return value * 1e3;
	return value * (*unit == 'm' ? 60e6 : 1e6);
}

static double percentile(const char *out, const char *label)
{
	const char *at = strstr(out, "Latency Distribution");

	at = at ? strstr(at, label) : NULL;
	return at ? microseconds(at + strlen(label)) : 0;
}

static double bytes_read(const char *at)
{
	char *unit;
	double value = strtod(at, &unit);

	return value * (*unit == 'K'   ? 1024.0
			: *unit == 'M' ? 1048576.0
			: *unit == 'G' ? 1073741824.0
				       : 1);
}

static void take_line(const char *out, const char *label, char *text, size_t size)
{
	const char *at = strstr(out, label);

	if (at)
		snprintf(text, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static int parse(const char *out, const struct web_case *c, struct web_run *r)
{
	const char *at = strstr(out, " requests in ");
	const char *number = at;

	if (!at) {
		snprintf(r->errors, sizeof(r->errors), "wrk: %.*s",
			 (int)strcspn(*out ? out : "no output", "\n"), *out ? out : "no output");
		return -1;
	}
	while (number > out && number[-1] >= '0' && number[-1] <= '9')
		number--;
	r->requests = strtoll(number, NULL, 10);
	at += strlen(" requests in ");
	r->seconds = microseconds(at) / 1e6;
	r->rate = r->seconds > 0 ? (double)r->requests / r->seconds : 0;
	r->p50_us = percentile(out, "50%");
	r->p99_us = percentile(out, "99%");
	at += strcspn(at, ",");
	/* it rounds to two places */
	if (*at && bytes_read(at + 1) < (double)r->requests * (double)c->size * 0.995)
		snprintf(r->errors, sizeof(r->errors), "responses too short");
	take_line(out, "Socket errors", r->errors, sizeof(r->errors));
	take_line(out, "Non-2xx", r->errors, sizeof(r->errors));
	if (!r->requests)
		snprintf(r->errors, sizeof(r->errors), "no response");
	return r->requests ? 0 : -1;
}

static void read_back(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size - 1, 0);

	out[n > 0 ? n : 0] = '\0';
}

/* Runs it to its end; its output to @out. */
static int run_wrk(const struct web_server *s, const struct web_case *c, double seconds, char *out)
{
	char url[96], connections[32], duration[32];
	char *argv[] = {
		(char *)opt.wrk, "-t1", connections, duration, "--latency", url, NULL, NULL, NULL
	};
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	pid_t pid;
	int status;

	if (fd < 0)
		return -1;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s", s->port, c->file);
	snprintf(connections, sizeof(connections), "-c%d", c->connections);
	snprintf(duration, sizeof(duration), "-d%ds", (int)(seconds + 0.5));
	if (c->close) {
		argv[6] = "-H";
		argv[7] = "Connection: close";
	}
	pid = program_start(argv, opt.cores[1], fd);
	status = pid > 0 ? program_wait(pid, seconds + 20) : -1;
	read_back(fd, out, OUTPUT_SIZE);
	close(fd);
	return status;
}

int web_load(const struct web_server *s, const struct web_case *c, double seconds,
	     struct web_run *r)
{
	char out[OUTPUT_SIZE];
	struct account before, after;
	int status;

	memset(r, 0, sizeof(*r));
	if (take_account(s, &before)) {
		snprintf(r->errors, sizeof(r->errors), "the server is gone");
		return -1;
	}
	status = run_wrk(s, c, seconds, out);
	/* the server has connections to close, which belongs to it */
	sleep_ns(50000000);
	if (status == 127)
		snprintf(r->errors, sizeof(r->errors), "%s is not installed", opt.wrk);
	else if (take_account(s, &after))
		snprintf(r->errors, sizeof(r->errors), "the server is gone");
	else if (!parse(out, c, r)) {
		settle_account(&before, &after, r);
		return 0;
	}
	return -1;
}
