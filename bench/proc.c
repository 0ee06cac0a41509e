/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* proc.c - the processes of a measurement: roles of this program, and foreign programs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

void *shared_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("eta-bench: shared memory");
		exit(2);
	}
	return p;
}

void shared_free(void *p, size_t size)
{
	munmap(p, size);
}

/* -------------------------------------------------------------------------------- ctrl */

int ctrl_send(int ctrl, const void *buf, size_t len)
{
	return send(ctrl, buf, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

int ctrl_recv(int ctrl, void *buf, size_t len)
{
	return recv(ctrl, buf, len, MSG_WAITALL) == (ssize_t)len ? 0 : -1;
}

int ctrl_meet(int ctrl)
{
	char c = 0;

	return ctrl_send(ctrl, &c, 1) ? -1 : ctrl_recv(ctrl, &c, 1);
}

/* ------------------------------------------------------------------------------- roles */

/* Nothing that a measurement started outlives it. */
static void die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(2);
}

static pid_t role_start(const struct roles *r, int which, const int ctrl[2])
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	die_with_parent(parent);
	close(ctrl[!which]);
	if (r->unpinned)
		unpin();
	else if (pin_to(opt.cores[which]))
		_exit(2);
	_exit(r->role[which](r->arg, ctrl[which]) ? 2 : 0);
}

int roles_start(struct roles *r)
{
	int ctrl[2];

	r->pid[0] = r->pid[1] = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctrl))
		return -1;
	r->pid[0] = role_start(r, 0, ctrl);
	if (r->pid[0] > 0)
		r->pid[1] = role_start(r, 1, ctrl);
	close(ctrl[0]);
	close(ctrl[1]);
	if (r->pid[1] > 0)
		return 0;
	roles_kill(r);
	return -1;
}

void roles_kill(struct roles *r)
{
	/* both before either is waited for: one that saw the other go would complain */
	for (int i = 0; i < 2; i++)
		if (r->pid[i] > 0)
			kill(r->pid[i], SIGKILL);
	for (int i = 0; i < 2; i++) {
		if (r->pid[i] <= 0)
			continue;
		waitpid(r->pid[i], NULL, 0);
		r->pid[i] = -1;
	}
}

/* Sleeps until one of @n processes has ended: looking now and then would disturb them. */
static bool wait_for_end(const pid_t *pids, int n, int64_t deadline)
{
	int64_t left = deadline - now_ns();
	struct pollfd fds[2];
	int ended;

	for (int i = 0; i < n; i++)
		fds[i] = (struct pollfd){ pids[i] > 0 ? pidfd_open(pids[i], 0) : -1, POLLIN, 0 };
	ended = poll(fds, n, left > 0 ? (int)(left / 1000000) : 0);
	for (int i = 0; i < n; i++)
		if (fds[i].fd >= 0)
			close(fds[i].fd);
	return ended > 0;
}

/* -1: it failed; 0: it runs, or has succeeded. */
static int role_check(struct roles *r, int which)
{
	int status;

	if (r->pid[which] <= 0 || waitpid(r->pid[which], &status, WNOHANG) == 0)
		return 0;
	r->pid[which] = -1;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -1;
}

int roles_wait(struct roles *r, double seconds)
{
	int64_t deadline = now_ns() + (int64_t)(seconds * 1e9);

	while (r->pid[0] > 0 || r->pid[1] > 0) {
		bool late = !wait_for_end(r->pid, 2, deadline);

		if (late)
			fprintf(stderr, "eta-bench: not done after %g s\n", seconds);
		if (late || role_check(r, 0) || role_check(r, 1)) {
			roles_kill(r);
			return -1;
		}
	}
	return 0;
}

int roles_run(struct roles *r, double seconds)
{
	return roles_start(r) ? -1 : roles_wait(r, seconds);
}

/* ----------------------------------------------------------------------------- programs */

pid_t program_start(char *const argv[], int core, int out_fd)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	die_with_parent(parent);
	if (core >= 0)
		pin_to(core);
	if (out_fd < 0)
		out_fd = open("/dev/null", O_WRONLY);
	dup2(out_fd, 1);
	dup2(out_fd, 2);
	execvp(argv[0], argv);
	_exit(127);
}

int program_wait(pid_t pid, double seconds)
{
	int status;

	if (!wait_for_end(&pid, 1, now_ns() + (int64_t)(seconds * 1e9))) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -1;
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
