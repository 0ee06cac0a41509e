/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* web_server.c - which servers there are, and how each is started and stopped. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "web.h"

#define START_S 10
#define STOP_S 3

static char eta_help[8192]; /* what eta's server says of itself; empty if it cannot run */
static const char *const back_ends[] = { "dusi", "epoll", "io_uring" };

bool web_listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	if (!list || !*list)
		return true;
	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, word, n) && (at[n] == ',' || !at[n]))
			return true;
	}
	return false;
}

long web_files(long wanted)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_max < (rlim_t)wanted) {
		/* only with privileges */
		r.rlim_max = (rlim_t)wanted;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	return limit_of_files();
}

bool web_runs(const struct web_server *s)
{
	return s->pid > 0;
}

struct web_server *web_find(struct web_set *set, enum web_kind kind)
{
	for (int i = 0; i < set->n; i++)
		if (set->at[i].kind == kind && web_runs(&set->at[i]))
			return &set->at[i];
	return NULL;
}

/* ---------------------------------------------------------------------- eta's own server */

static const char *eta_program(void)
{
	static char path[4096];
	ssize_t n;
	char *slash;

	if (opt.webserver)
		return opt.webserver;
	n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, "eta-webserver");
	return path;
}

static void read_help(void)
{
	char *const argv[] = { (char *)eta_program(), "--help", NULL };
	int pipes[2];
	size_t n = 0;
	ssize_t more;
	pid_t pid;

	eta_help[0] = '\0';
	if (pipe2(pipes, O_CLOEXEC))
		return;
	pid = program_start(argv, -1, pipes[1]);
	close(pipes[1]);
	while (n < sizeof(eta_help) - 1 &&
	       (more = read(pipes[0], eta_help + n, sizeof(eta_help) - 1 - n)) > 0)
		n += (size_t)more;
	eta_help[n] = '\0';
	close(pipes[0]);
	if (pid > 0 && program_wait(pid, START_S))
		eta_help[0] = '\0';
}

static struct web_server *add(struct web_set *set, enum web_kind kind, const char *name)
{
	struct web_server *s = &set->at[set->n++];

	s->kind = kind;
	s->pid = -1;
	snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

static void add_eta(struct web_set *set, bool status)
{
	char name[24];

	read_help();
	status = status && strstr(eta_help, "--status");
	if (!strstr(eta_help, "--aio")) {
		add(set, WEB_ETA, "eta")->status = status;
		return;
	}
	for (size_t i = 0; i < sizeof(back_ends) / sizeof(back_ends[0]); i++) {
		struct web_server *s;

		if (!web_listed(opt.aio, back_ends[i]))
			continue;
		snprintf(name, sizeof(name), "eta-%s", back_ends[i]);
		s = add(set, WEB_ETA, name);
		s->status = status;
		snprintf(s->aio, sizeof(s->aio), "%s", back_ends[i]);
	}
}

/* ---------------------------------------------------------------------------- start, stop */

#define WORDS_MAX 24

struct words {
	char *at[WORDS_MAX];
	char text[WORDS_MAX][160];
	int n;
};

static void word(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void word(struct words *w, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(w->text[w->n], sizeof(w->text[0]), format, ap);
	va_end(ap);
	w->at[w->n] = w->text[w->n];
	w->at[++w->n] = NULL;
}

/* Its limits are out of the way, as the others' are; older ones have fewer of them. */
static void eta_words(const struct web_set *set, const struct web_server *s, struct words *w)
{
	word(w, "--listen");
	word(w, "127.0.0.1:%d", s->port);
	word(w, "--connections");
	word(w, "%d", set->connections);
	word(w, "--timeout");
	word(w, "3600");
	if (strstr(eta_help, "--idle")) {
		word(w, "--idle");
		word(w, "3600");
	}
	if (strstr(eta_help, "--max-requests")) {
		word(w, "--max-requests");
		word(w, "0");
	}
	if (s->aio[0]) {
		word(w, "--aio");
		word(w, "%s", s->aio);
	}
	if (s->status) {
		word(w, "--status");
		word(w, WEB_STATUS);
	}
	word(w, "%s/root", set->dir);
}

static pid_t launch(const struct web_set *set, const struct web_server *s, int log)
{
	struct words w = { .n = 1 };

	switch (s->kind) {
	case WEB_ETA:
		w.at[0] = (char *)eta_program();
		eta_words(set, s, &w);
		break;
	case WEB_NGINX:
		w.at[0] = (char *)opt.nginx;
		word(&w, "-c");
		word(&w, "%s/nginx.conf", set->dir);
		break;
	case WEB_H2O:
		w.at[0] = (char *)opt.h2o;
		word(&w, "-c");
		word(&w, "%s/h2o.conf", set->dir);
		break;
	}
	return program_start(w.at, opt.cores[0], log);
}

/* The last line of what it said. */
static void last_words(int log, char *text, size_t size)
{
	char all[2048];
	ssize_t n = pread(log, all, sizeof(all) - 1, 0);
	char *line;

	if (n <= 0)
		return;
	all[n] = '\0';
	while (n > 0 && all[n - 1] == '\n')
		all[--n] = '\0';
	line = strrchr(all, '\n');
	snprintf(text, size, "%.99s", line ? line + 1 : all);
}

/* Waits until it listens. -1: it ended, or does not get there. */
static int await(struct web_server *s, int log)
{
	int64_t deadline = now_ns() + START_S * INT64_C(1000000000);
	int status;

	while (!port_is_listening(s->port)) {
		bool ended = waitpid(s->pid, &status, WNOHANG) == s->pid;

		if (!ended && now_ns() < deadline) {
			sleep_ns(20000000);
			continue;
		}
		snprintf(s->missing, sizeof(s->missing), "does not listen");
		if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 127)
			snprintf(s->missing, sizeof(s->missing), "not installed");
		else
			last_words(log, s->missing, sizeof(s->missing));
		if (!ended) {
			kill(s->pid, SIGKILL);
			waitpid(s->pid, NULL, 0);
		}
		s->pid = -1;
		return -1;
	}
	return 0;
}

static void start(const struct web_set *set, struct web_server *s)
{
	char path[128];
	int log;

	s->port = free_port();
	if (web_write_config(set, s))
		return;
	snprintf(path, sizeof(path), "%s/%s.out", set->dir, s->name);
	log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (log < 0)
		return;
	s->pid = launch(set, s, log);
	if (s->pid > 0)
		await(s, log);
	close(log);
}

static void stop(struct web_server *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGTERM);
	program_wait(s->pid, STOP_S);
	s->pid = -1;
}

/* ----------------------------------------------------------------------------------- set */

/* Programs in sbin are not on every user's path. */
static void extend_path(void)
{
	const char *path = getenv("PATH");
	char longer[8192];

	snprintf(longer, sizeof(longer), "%s:/usr/local/sbin:/usr/sbin:/sbin",
		 path ? path : "/usr/local/bin:/usr/bin:/bin");
	setenv("PATH", longer, 1);
}

int web_open(struct web_set *set, int connections, bool status)
{
	bool any = false;

	memset(set, 0, sizeof(*set));
	set->connections = connections > WEB_CONNECTIONS ? connections : WEB_CONNECTIONS;
	extend_path();
	web_files(set->connections + 1000);
	if (web_make_folder(set))
		return not_run("web: cannot make a folder: %s", strerror(errno));
	if (web_listed(opt.servers, "eta"))
		add_eta(set, status);
	if (web_listed(opt.servers, "nginx"))
		add(set, WEB_NGINX, "nginx");
	if (web_listed(opt.servers, "h2o"))
		add(set, WEB_H2O, "h2o");
	for (int i = 0; i < set->n; i++) {
		start(set, &set->at[i]);
		any |= web_runs(&set->at[i]);
	}
	web_describe(set);
	if (any)
		return 0;
	web_close(set);
	return not_run("web: no server runs");
}

void web_close(struct web_set *set)
{
	for (int i = 0; i < set->n; i++)
		stop(&set->at[i]);
	web_remove_folder(set);
}

void web_describe(const struct web_set *set)
{
	for (int i = 0; i < set->n; i++) {
		const struct web_server *s = &set->at[i];

		if (!web_runs(s))
			printf("  %-13s does not run: %s\n", s->name, s->missing);
	}
}
