/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* web_http.c - as much HTTP as it takes to ask a server for a file. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web.h"

#define PORTS_USED 20000 /* of each address; the kernel gives out 28,000 */
#define PATIENCE_MS 5000

static int use_address(int fd, int number)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int one = 1;

	if (number < PORTS_USED)
		return 0;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number / PORTS_USED));
	/* the port is chosen by connect(), which knows where it leads */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)))
		return -1;
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa));
}

int web_connect(const struct web_server *s, int number)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)s->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!use_address(fd, number) &&
	    (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)) || errno == EINPROGRESS))
		return fd;
	close(fd);
	return -1;
}

int web_request(char *text, size_t size, const char *path)
{
	return snprintf(text, size, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
}

static bool ready(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* Bytes of the whole response, once its header is there; 0: not yet; -1: not what was wanted. */
static long length_of(const char *out)
{
	const char *body = strstr(out, "\r\n\r\n"), *line;

	if (!body)
		return 0;
	if (strncmp(out, "HTTP/1.1 200", 12))
		return -1;
	for (line = strstr(out, "\r\n"); line && line < body; line = strstr(line + 2, "\r\n"))
		if (!strncasecmp(line + 2, "content-length:", 15))
			return body + 4 - out + strtol(line + 17, NULL, 10);
	return -1;
}

static long receive(int fd, char *out, size_t size)
{
	long have = 0, wanted = 0;
	char rest[4096];

	while (!wanted || have < wanted) {
		bool room = (size_t)have < size - 1;
		ssize_t n;

		if (!ready(fd, POLLIN))
			return -1;
		n = room ? recv(fd, out + have, size - 1 - (size_t)have, 0)
			 : recv(fd, rest, sizeof(rest), 0);
		if (n <= 0)
			return -1;
		have += n;
		if (room)
			out[have] = '\0';
		if (!wanted)
			wanted = length_of(out);
		if (wanted < 0 || (!wanted && (size_t)have >= size - 1))
			return -1;
	}
	return have == wanted ? wanted : -1;
}

long web_get(const struct web_server *s, const char *path, char *out, size_t size)
{
	char request[128];
	int fd = web_connect(s, 0), n = web_request(request, sizeof(request), path);
	long length = -1;

	out[0] = '\0';
	if (fd < 0)
		return -1;
	if (ready(fd, POLLOUT) && send(fd, request, (size_t)n, MSG_NOSIGNAL) == n)
		length = receive(fd, out, size);
	close(fd);
	return length;
}
