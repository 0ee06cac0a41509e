/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * web_idle.c - web servers with thousands of connections that are kept alive: what each takes of
 * the server's memory, and what the others do to those that ask.
 *
 * Each connection has had one response before memory is looked at: then the server has surely
 * accepted it, and has had reason to allocate what it keeps for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web.h"

#define FIRST_ONES 16
#define UNDER_WAY 256 /* connections that wait for their first response */
#define PATIENCE_MS 10000
#define BATCH 256
#define AT_ONCE_TIMES 20 /* requests of each active connection, when all ask at once */
#define ONE_BY_ONE_TIMES 2
#define SPARE_FILES 100

struct conn {
	int fd;
	int64_t asked_ns;
	long left; /* bytes of the response that have not come */
};

struct client {
	const struct web_server *server;
	struct conn *conns;
	int n, epfd;
	long length; /* of each response */
	char request[128];
	int request_len;
	int open, waiting, errors;
	double *us; /* of each response */
	int answers;
	char first_error[64];
};

struct idle_result {
	double rss_before, rss, pss; /* MiB; bytes of each connection */
	double p50[2], p99[2];       /* one by one, at once */
	double thread_us, rate;      /* at once */
	int open, errors;
	char first_error[64];
};

/* ---------------------------------------------------------------------------- connections */

static void fail(struct client *c, int i, const char *why)
{
	if (!c->errors++)
		snprintf(c->first_error, sizeof(c->first_error), "%s", why);
	if (c->conns[i].fd >= 0)
		close(c->conns[i].fd);
	c->conns[i].fd = -1;
	c->conns[i].left = 0;
}

static void connect_one(struct client *c, int i)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.u32 = (uint32_t)i };
	struct conn *conn = &c->conns[i];

	conn->fd = web_connect(c->server, i);
	if (conn->fd < 0 || epoll_ctl(c->epfd, EPOLL_CTL_ADD, conn->fd, &ev))
		fail(c, i, strerror(errno));
	else
		c->waiting++;
}

static bool ask(struct client *c, int i)
{
	struct conn *conn = &c->conns[i];

	if (conn->fd < 0)
		return false;
	conn->asked_ns = now_ns();
	conn->left = c->length;
	if (send(conn->fd, c->request, (size_t)c->request_len, MSG_NOSIGNAL) == c->request_len)
		return true;
	fail(c, i, "send failed");
	return false;
}

/* Connected: from now on what comes matters. */
static void greet(struct client *c, int i)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = (uint32_t)i };

	if (epoll_ctl(c->epfd, EPOLL_CTL_MOD, c->conns[i].fd, &ev))
		fail(c, i, strerror(errno));
	if (!ask(c, i))
		c->waiting--;
}

/* 1: the response is here; 0: not all of it; -1: it will not come. */
static int take(struct client *c, int i)
{
	static char buffer[65536];
	struct conn *conn = &c->conns[i];
	ssize_t n = recv(conn->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0 || n > conn->left) {
		fail(c, i, n ? n < 0 ? strerror(errno) : "response too long" : "closed");
		return -1;
	}
	if (conn->left == c->length && n >= 12 && memcmp(buffer, "HTTP/1.1 200", 12)) {
		fail(c, i, "status is not 200");
		return -1;
	}
	conn->left -= n;
	return !conn->left;
}

/* Events of one wait. @done is told of each response, or that none will come. */
static int turn(struct client *c, void (*done)(struct client *c, int i))
{
	struct epoll_event ev[BATCH];
	int n = epoll_wait(c->epfd, ev, BATCH, PATIENCE_MS);

	for (int k = 0; k < n; k++) {
		int i = (int)ev[k].data.u32, got;

		if (c->conns[i].fd < 0)
			continue;
		if (ev[k].events == EPOLLOUT) {
			greet(c, i);
			continue;
		}
		/* one that was idle, and was closed by the server */
		if (!c->conns[i].left) {
			fail(c, i, "closed while idle");
			continue;
		}
		got = take(c, i);
		if (got)
			done(c, i);
	}
	if (n > 0)
		return 0;
	c->errors += c->waiting;
	snprintf(c->first_error, sizeof(c->first_error), "no response for %d s",
		 PATIENCE_MS / 1000);
	return -1;
}

static void opened(struct client *c, int i)
{
	c->waiting--;
	c->open += c->conns[i].fd >= 0;
}

static int open_until(struct client *c, int from, int to)
{
	int next = from;

	while (next < to || c->waiting) {
		while (next < to && c->waiting < UNDER_WAY)
			connect_one(c, next++);
		if (c->waiting && turn(c, opened))
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------------------- requests */

static struct {
	int active, spread, window, total, asked;
} pass;

/* Active ones lie evenly among the idle. */
static void ask_next(struct client *c, int place)
{
	while (pass.asked < pass.total) {
		pass.asked++;
		if (ask(c, place % pass.active * pass.spread)) {
			c->waiting++;
			return;
		}
		place++;
	}
}

static void answered(struct client *c, int i)
{
	c->waiting--;
	if (c->conns[i].fd >= 0)
		c->us[c->answers++] = (double)(now_ns() - c->conns[i].asked_ns) / 1e3;
	ask_next(c, i / pass.spread + pass.window);
}

/* @window 1: one after the other; as many as are active: all at once, again and again. */
static void run_pass(struct client *c, int window, int total)
{
	c->answers = 0;
	pass.window = window;
	pass.total = total;
	pass.asked = 0;
	for (int k = 0; k < window; k++)
		ask_next(c, k);
	while (c->waiting && !turn(c, answered))
		;
	c->waiting = 0;
}

static void settle_pass(struct client *c, struct idle_result *r, int which)
{
	sort(c->us, c->answers);
	r->p50[which] = quantile(c->us, c->answers, 0.5);
	r->p99[which] = quantile(c->us, c->answers, 0.99);
}

static void run_passes(struct client *c, struct idle_result *r)
{
	struct cpu_time before, after;
	int64_t since;

	pass.active = opt.active < c->n ? opt.active : c->n;
	pass.spread = c->n / pass.active;
	run_pass(c, 1, pass.active * ONE_BY_ONE_TIMES);
	settle_pass(c, r, 0);
	cpu_time_of(c->server->pid, &before);
	since = now_ns();
	run_pass(c, pass.active, pass.active * AT_ONCE_TIMES);
	cpu_time_of(c->server->pid, &after);
	if (c->answers) {
		r->rate = c->answers / ((double)(now_ns() - since) / 1e9);
		r->thread_us = (double)(after.main_ns + after.others_ns - before.main_ns -
					before.others_ns) /
			       1e3 / c->answers;
	}
	settle_pass(c, r, 1);
}

/* ------------------------------------------------------------------------------ one server */

static int prepare(struct client *c, const struct web_server *s, int n)
{
	char out[4096], path[64];

	memset(c, 0, sizeof(*c));
	c->server = s;
	c->n = n;
	c->conns = calloc((size_t)n, sizeof(*c->conns));
	c->us = calloc((size_t)opt.active * AT_ONCE_TIMES, sizeof(*c->us));
	c->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!c->conns || !c->us || c->epfd < 0)
		return -1;
	for (int i = 0; i < n; i++)
		c->conns[i].fd = -1;
	snprintf(path, sizeof(path), "/%s", web_cases[0].file);
	c->request_len = web_request(c->request, sizeof(c->request), path);
	/* all responses are as long as this one: dates are */
	c->length = web_get(s, path, out, sizeof(out));
	if (c->length > 0)
		return 0;
	snprintf(c->first_error, sizeof(c->first_error), "no response to the first request");
	return -1;
}

static void release(struct client *c)
{
	for (int i = 0; c->conns && i < c->n; i++)
		if (c->conns[i].fd >= 0)
			close(c->conns[i].fd);
	if (c->epfd >= 0)
		close(c->epfd);
	free(c->conns);
	free(c->us);
}

static int measure(const struct web_server *s, int n, struct idle_result *r)
{
	int64_t rss = 0, pss = 0;
	struct client c;
	int err;

	memset(r, 0, sizeof(*r));
	err = prepare(&c, s, n);
	if (!err)
		err = open_until(&c, 0, FIRST_ONES);
	if (!err) {
		rss = smaps_bytes_of(s->pid, "Rss");
		pss = smaps_bytes_of(s->pid, "Pss");
		err = open_until(&c, FIRST_ONES, n);
	}
	if (!err) {
		sleep_ns(200000000);
		r->rss_before = (double)rss / 1048576.0;
		r->rss = (double)(smaps_bytes_of(s->pid, "Rss") - rss) / (n - FIRST_ONES);
		r->pss = (double)(smaps_bytes_of(s->pid, "Pss") - pss) / (n - FIRST_ONES);
		run_passes(&c, r);
	}
	r->open = c.open;
	r->errors = c.errors;
	memcpy(r->first_error, c.first_error, sizeof(r->first_error));
	release(&c);
	return err;
}

/* --------------------------------------------------------------------------------- results */

static void print_result(const struct web_server *s, const struct idle_result *r)
{
	printf("  %-13s %6d %6d %9.2f %9.0f %9.0f %8.0f %8.0f %8.0f %8.0f %8.1f %9.0f  %s\n",
	       s->name, r->open, r->errors, r->rss_before, r->rss, r->pss, r->p50[0], r->p99[0],
	       r->p50[1], r->p99[1], r->thread_us, r->rate, r->first_error);
}

static int judge_result(const struct web_server *s, int n, const struct idle_result *r)
{
	if (r->errors || r->open < n)
		return not_run("web-idle: %s: %d of %d connections, %d errors: %s", s->name,
			       r->open, n, r->errors, r->first_error);
	if (s->kind == WEB_ETA)
		judge(r->rss > r->pss ? r->rss : r->pss, opt.max_bytes, " B",
		      "web-idle: %s, memory of each of %d connections", s->name, n);
	return 0;
}

static int run_all(const struct web_set *set, int n, FILE *dat)
{
	struct idle_result r[WEB_SERVERS];
	bool measured[WEB_SERVERS] = { false };
	int err = 0;

	printf("  %-13s %6s %6s %9s %19s %17s %17s %8s %9s\n", "", "", "", "RSS", "bytes of each",
	       "one by one, us", "all at once, us", "threads", "requests");
	printf("  %-13s %6s %6s %9s %9s %9s %8s %8s %8s %8s %8s %9s\n", "", "open", "errors",
	       "before,MiB", "RSS", "PSS", "p50", "p99", "p50", "p99", "us/req.", "/s");
	for (int i = 0; i < set->n; i++) {
		const struct web_server *s = &set->at[i];

		if (!web_runs(s)) {
			printf("  %-13s %s\n", s->name, s->missing);
			continue;
		}
		measure(s, n, &r[i]);
		measured[i] = true;
		print_result(s, &r[i]);
		if (dat)
			fprintf(dat, "%s %g %g\n", s->name, r[i].rss, r[i].pss);
	}
	for (int i = 0; i < set->n; i++)
		err |= measured[i]
			       ? judge_result(&set->at[i], n, &r[i])
			       : not_run("web-idle: %s: %s", set->at[i].name, set->at[i].missing);
	return err;
}

int web_idle_run(void)
{
	long files = web_files(opt.connections + 1000L) - SPARE_FILES;
	int n = opt.connections, err;
	struct web_set set;
	FILE *dat;

	heading("web-idle: %d connections kept alive, %d of them ask", n, opt.active);
	if (files < n) {
		printf("  note: %ld connections, not %d: this process may have no more files\n",
		       files, n);
		n = (int)files;
	}
	if (n <= FIRST_ONES)
		return not_run("web-idle: more than %d connections are needed", FIRST_ONES);
	if (web_open(&set, n + SPARE_FILES, false))
		return -1;
	pin_to(opt.cores[1]);
	dat = plot_begin("web-idle", "server, bytes of RSS and of PSS for each connection");
	err = run_all(&set, n, dat);
	unpin();
	plot_end(dat, "web-idle",
		 "set style data histograms\nset style fill solid 0.6 border -1\n"
		 "set yrange [0:*]\nset ylabel 'bytes for each connection'\n"
		 "plot DATA using 2:xtic(1) title 'RSS', '' using 3 title 'PSS'\n");
	web_close(&set);
	return err;
}
