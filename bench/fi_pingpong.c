/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* fi_pingpong.c - one run of libfabric's own fi_pingpong: a server, a client, and its figure. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "pingpong.h"

#define SECONDS 60

struct run {
	char size[16], iterations[16], port[16];
	char *argv[20];
	char output[4096];
};

/* The same command for both; the client's ends with the server's address. */
static void prepare(struct run *r, const char *provider, int size, int iterations, int port,
		    bool client)
{
	char *const argv[] = { (char *)(uintptr_t)opt.fi_pingpong,
			       "-p",
			       (char *)(uintptr_t)provider,
			       "-e",
			       "msg",
			       "-S",
			       r->size,
			       "-I",
			       r->iterations,
			       client ? "-P" : "-B",
			       r->port,
			       client ? "127.0.0.1" : NULL,
			       NULL };

	snprintf(r->size, sizeof(r->size), "%d", size);
	snprintf(r->iterations, sizeof(r->iterations), "%d", iterations);
	snprintf(r->port, sizeof(r->port), "%d", port);
	memcpy(r->argv, argv, sizeof(argv));
}

static bool await_listener(int port)
{
	for (int i = 0; i < 2000; i++) {
		if (port_is_listening(port))
			return true;
		sleep_ns(2000000);
	}
	return false;
}

/* All that it prints, till it ends. */
static void read_output(int fd, char *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len + 1 < size && poll(&p, 1, SECONDS * 1000) == 1) {
		n = read(fd, buf + len, size - len - 1);
		if (n > 0)
			len += n;
	}
	buf[len] = '\0';
}

static pid_t client_run(struct run *r)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return -1;
	pid = program_start(r->argv, opt.cores[1], fds[1]);
	close(fds[1]);
	if (pid > 0)
		read_output(fds[0], r->output, sizeof(r->output));
	close(fds[0]);
	return pid;
}

/* The last line's columns: bytes, sent, ack, total, time, MB/sec, usec/xfer, Mxfers/sec. */
static int parse(const char *output, double *usec)
{
	const char *line = strstr(output, "usec/xfer");

	line = line ? strchr(line, '\n') : NULL;
	if (!line || sscanf(line, "%*s %*s %*s %*s %*s %*s %lf", usec) != 1 || *usec <= 0)
		return -1;
	return 0;
}

int fi_pingpong(const char *provider, int size, int iterations, double *usec)
{
	struct run server, client;
	int port = free_port(), served = -1, ran = -1;
	pid_t pid;

	setenv("FI_PROVIDER", provider, 1);
	prepare(&server, provider, size, iterations, port, false);
	prepare(&client, provider, size, iterations, port, true);
	client.output[0] = '\0';
	pid = program_start(server.argv, opt.cores[0], -1);
	if (pid > 0 && await_listener(port)) {
		pid_t other = client_run(&client);

		ran = other > 0 ? program_wait(other, SECONDS) : -1;
	}
	if (pid > 0)
		served = program_wait(pid, ran ? 0 : 10);
	unsetenv("FI_PROVIDER");
	if (!ran && !served && !parse(client.output, usec))
		return 0;
	fprintf(stderr, "eta-bench: fi_pingpong -p %s -S %d -I %d: client %d, server %d\n%s",
		provider, size, iterations, ran, served, client.output);
	return -1;
}
