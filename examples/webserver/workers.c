/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * workers.c - the parent of several processes that serve. It holds the address, bound but not
 * listening, so that the port stays theirs when all of them are gone for a moment.
 */
#include "examples/webserver/workers.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "examples/webserver/signals.h"

#define SHORT_LIFE_MS 5000 /* what lives shorter is not replaced at once */
#define START_MAX_MS 30000
#define WAIT_MS 1000
#define WAIT_MAX_MS 30000

struct worker {
	pid_t pid; /* 0: none */
	int64_t started_ms, due_ms;
	int64_t wait_ms; /* before the next one */
};

struct parent {
	struct settings *settings;
	int argc;
	char **argv;
	int (*serve)(const struct settings *settings, int argc, char **argv, int ready);
	int held; /* the bound socket */
	struct worker workers[SETTINGS_WORKERS_MAX];
	sigset_t signals, before;
	bool stopping;
	int code;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* -------------------------------------------------------------------------------- address */

static int bind_one(struct settings *settings, int option)
{
	struct address *a = &settings->listen;
	int fd = socket(a->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    (option && setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one))) ||
	    (a->storage.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind(fd, (struct sockaddr *)&a->storage, a->len) ||
	    getsockname(fd, (struct sockaddr *)&a->storage, &a->len)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/*
 * SO_REUSEPORT lets a second server of the same user in without a word. So the address is tried
 * without it first, which also finds a free port.
 */
static int hold_address(struct settings *settings)
{
	int fd = bind_one(settings, 0);

	if (fd < 0)
		return fd;
	close(fd);
	return bind_one(settings, SO_REUSEPORT);
}

/* ------------------------------------------------------------------------------- children */

/*
 * A group of its own, so that what a terminal sends comes once, from the parent; and an end when
 * the parent ends, however it does.
 */
static void run_child(struct parent *p, int ready, pid_t parent)
{
	int code;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	signals_catch();
	sigprocmask(SIG_SETMASK, &p->before, NULL);
	close(p->held);
	code = p->serve(p->settings, p->argc, p->argv, ready);
	free(p);
	exit(code);
}

/* A worker that is stopped, or whose disk does not answer, must not keep the parent from its signals. */
static int await_ready(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int n = poll(&pfd, 1, START_MAX_MS);
	char byte;

	if (n == 0)
		return -ETIMEDOUT;
	return n > 0 && read(fd, &byte, 1) == 1 ? 0 : -EIO;
}

/* 0 when it serves; -EIO: it has ended instead, or -errno. */
static int start(struct parent *p, struct worker *w)
{
	pid_t parent = getpid();
	int ends[2], err = 0;

	if (pipe(ends))
		return -errno;
	w->pid = fork();
	if (w->pid == 0) {
		close(ends[0]);
		run_child(p, ends[1], parent);
	}
	if (w->pid < 0) {
		err = -errno;
		w->pid = 0;
	}
	close(ends[1]);
	w->started_ms = now_ms();
	if (!err)
		err = await_ready(ends[0]);
	if (err == -ETIMEDOUT)
		kill(w->pid, SIGKILL);
	close(ends[0]);
	return err;
}

void workers_ready(int ready)
{
	ssize_t n;

	if (ready < 0)
		return;
	n = write(ready, "", 1);
	(void)n;
	close(ready);
}

static void tell_all(const struct parent *p, int number)
{
	for (uint64_t i = 0; i < p->settings->workers; i++)
		if (p->workers[i].pid)
			kill(p->workers[i].pid, number);
}

static struct worker *find(struct parent *p, pid_t pid)
{
	for (uint64_t i = 0; i < p->settings->workers; i++)
		if (p->workers[i].pid == pid)
			return &p->workers[i];
	return NULL;
}

static void say_end(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		fprintf(stderr, "eta-webserver: worker %d: %s\n", (int)pid,
			strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "eta-webserver: worker %d ended with %d\n", (int)pid,
			WEXITSTATUS(status));
}

static void schedule_next(struct worker *w)
{
	int64_t now = now_ms();

	w->wait_ms = now - w->started_ms >= SHORT_LIFE_MS ? 0
		     : w->wait_ms                         ? 2 * w->wait_ms
							  : WAIT_MS;
	if (w->wait_ms > WAIT_MAX_MS)
		w->wait_ms = WAIT_MAX_MS;
	w->due_ms = now + w->wait_ms;
}

static void reap(struct parent *p)
{
	struct worker *w;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		w = find(p, pid);
		if (!w)
			continue;
		w->pid = 0;
		if (p->stopping && WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		say_end(pid, status);
		if (p->stopping)
			p->code = EXIT_FAILURE;
		else
			schedule_next(w);
	}
}

/* ------------------------------------------------------------------------------- the parent */

static bool any_left(const struct parent *p)
{
	for (uint64_t i = 0; i < p->settings->workers; i++)
		if (p->workers[i].pid)
			return true;
	return false;
}

static void replace(struct parent *p)
{
	int64_t now = now_ms();

	for (uint64_t i = 0; i < p->settings->workers; i++) {
		struct worker *w = &p->workers[i];

		if (!w->pid && now >= w->due_ms && start(p, w))
			schedule_next(w);
	}
}

static void on_signal(struct parent *p, int number)
{
	if (number == SIGINT || number == SIGTERM)
		p->stopping = true;
	if (number == SIGHUP)
		settings_reload(p->settings, p->argc, p->argv);
	if (number != SIGCHLD)
		tell_all(p, number);
}

static void supervise(struct parent *p)
{
	const struct timespec tick = { .tv_sec = 1 };

	while (!p->stopping || any_left(p)) {
		int number = sigtimedwait(&p->signals, NULL, &tick);

		if (number > 0)
			on_signal(p, number);
		reap(p);
		if (!p->stopping)
			replace(p);
	}
}

static void block_signals(struct parent *p)
{
	sigemptyset(&p->signals);
	sigaddset(&p->signals, SIGINT);
	sigaddset(&p->signals, SIGTERM);
	sigaddset(&p->signals, SIGHUP);
	sigaddset(&p->signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &p->signals, &p->before);
}

/* One after the other. When one cannot serve, none does. */
static int start_all(struct parent *p)
{
	int err = 0;

	for (uint64_t i = 0; !err && i < p->settings->workers; i++)
		err = start(p, &p->workers[i]);
	if (!err)
		return 0;
	if (err != -EIO)
		fprintf(stderr, "eta-webserver: cannot start a worker: %s\n", strerror(-err));
	p->stopping = true;
	tell_all(p, SIGTERM);
	return err;
}

int workers_run(struct settings *settings, int argc, char **argv,
		int (*serve)(const struct settings *settings, int argc, char **argv, int ready))
{
	struct parent *p = calloc(1, sizeof(*p));
	int code;

	if (!p)
		return EXIT_FAILURE;
	*p = (struct parent){ .settings = settings, .argc = argc, .argv = argv, .serve = serve };
	block_signals(p);
	p->stopping = signals_stop;
	p->held = hold_address(settings);
	if (p->held < 0) {
		fprintf(stderr,
			"eta-webserver: cannot listen on that address; is it this machine's, and "
			"the port free?: %s\n",
			strerror(-p->held));
		free(p);
		return EXIT_FAILURE;
	}
	if (!p->stopping && start_all(p))
		p->code = EXIT_FAILURE;
	else if (!p->stopping)
		announce(&settings->listen.storage);
	supervise(p);
	close(p->held);
	code = p->code;
	free(p);
	return code;
}
