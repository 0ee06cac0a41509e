/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bare.c - the floor: a ping-pong on a non-blocking TCP socket and nothing else. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "link.h"
#include "pingpong.h"

struct bare_shared {
	int size, iterations;
	double usec;
};

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

static void no_delay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY: %s", strerror(errno));
}

static int serve(int ctrl)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int listener = tcp_socket(), fd;

	if (bind(listener, (struct sockaddr *)&sa, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&sa, &len) || ctrl_send(ctrl, &sa, sizeof(sa)))
		die("bare: cannot listen");
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (fd < 0)
		die("accept: %s", strerror(errno));
	close(listener);
	return fd;
}

static int reach(int ctrl)
{
	struct sockaddr_in sa;
	int fd = tcp_socket();

	if (ctrl_recv(ctrl, &sa, sizeof(sa)))
		die("bare: the server is gone");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) || fcntl(fd, F_SETFL, O_NONBLOCK))
		die("connect: %s", strerror(errno));
	return fd;
}

static void put(int fd, const char *buf, size_t size)
{
	while (size) {
		ssize_t n = send(fd, buf, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("send: %s", strerror(errno));
		if (n > 0) {
			buf += n;
			size -= n;
		}
	}
}

static void get(int fd, char *buf, size_t size)
{
	while (size) {
		ssize_t n = recv(fd, buf, size, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			die("recv: %s", n ? strerror(errno) : "the peer is gone");
		if (n > 0) {
			buf += n;
			size -= n;
		}
	}
}

static void exchange(int fd, bool first, char *buf, size_t size, int iterations)
{
	for (int i = 0; i < iterations; i++) {
		if (first)
			put(fd, buf, size);
		get(fd, buf, size);
		if (!first)
			put(fd, buf, size);
	}
}

static int server(void *arg, int ctrl)
{
	struct bare_shared *s = arg;
	char *buf = calloc(1, s->size);
	int fd = serve(ctrl);

	no_delay(fd);
	exchange(fd, false, buf, s->size, s->iterations + 100);
	return 0;
}

static int client(void *arg, int ctrl)
{
	struct bare_shared *s = arg;
	char *buf = calloc(1, s->size);
	int fd = reach(ctrl);
	int64_t start;

	no_delay(fd);
	exchange(fd, true, buf, s->size, 100);
	start = now_ns();
	exchange(fd, true, buf, s->size, s->iterations);
	s->usec = (now_ns() - start) / 1e3 / (2.0 * s->iterations);
	return 0;
}

int bare_pingpong(int size, int iterations, double *usec)
{
	struct bare_shared *s = shared_alloc(sizeof(*s));
	struct roles r = { { server, client }, s, .pid = { 0 } };
	int err;

	s->size = size;
	s->iterations = iterations;
	err = roles_run(&r, 60);
	*usec = s->usec;
	shared_free(s, sizeof(*s));
	return err;
}
