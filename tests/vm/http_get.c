/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * http_get.c - a client of web servers on DUSI, so one that asks over whatever wire the engine has:
 *
 *	http_get ADDRESS PORT PATH [COUNT]
 *
 * asks so many times on connections of their own (once by default) and prints the last body. Exit
 * status 0: each answer was a 200 and whole.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dusi/gaio.h>

#define ROOM (64u << 20)
#define PATIENCE_US 30000000

struct client {
	struct gaio *io;
	struct gaio_queue *queue;
	struct gaio_mem mem;
	char *bytes; /* the request, and then the answer */
	size_t len;
};

static bool fails(const char *what, int err)
{
	if (err)
		fprintf(stderr, "http_get: %s: %s\n", what, strerror(-err));
	return err;
}

static bool next_event(struct client *c, struct gaio_event *e)
{
	while (!gaio_take(c->queue, e, 1)) {
		int n = gaio_wait(c->io, PATIENCE_US);

		if (n <= 0) {
			fputs("http_get: no answer\n", stderr);
			return false;
		}
	}
	return true;
}

static bool ask(struct client *c, struct gaio_sock *s, size_t len)
{
	struct gaio_buf buf = { c->bytes, len, c->mem };
	struct gaio_event e;

	return next_event(c, &e) && !fails("connect", e.status) &&
	       !fails("send", gaio_send(s, &buf, 1, 0, 0)) && next_event(c, &e) &&
	       !fails("send", e.status);
}

/* To the end of the stream. */
static bool receive(struct client *c, struct gaio_sock *s)
{
	struct gaio_event e = { .len = 1 };

	for (c->len = 0; e.len && c->len < ROOM; c->len += e.len) {
		struct gaio_buf buf = { c->bytes + c->len, ROOM - c->len, c->mem };

		if (fails("receive", gaio_recv(s, &buf, 0)) || !next_event(c, &e) ||
		    fails("receive", e.status))
			return false;
	}
	return true;
}

static bool get(struct client *c, const struct sockaddr_in *to, const char *path)
{
	const struct gaio_socket_attr attr = { .recv = c->queue };
	struct gaio_sock *s;
	struct gaio_event e;
	bool good;
	int len;

	len = snprintf(c->bytes, 4096, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		       path);
	if (fails("socket", gaio_socket(c->io, &attr, &s)))
		return false;
	good = !fails("connect", gaio_connect(s, (const struct sockaddr *)to, sizeof(*to), 0)) &&
	       ask(c, s, len) && receive(c, s);
	gaio_close_sock(s, 0);
	while (next_event(c, &e) && e.op != GAIO_CLOSE)
		;
	return good;
}

/* What stands behind the header, if it is as long as that says; NULL: it is not such an answer. */
static const char *body_of(struct client *c, size_t *len)
{
	const char *end = memmem(c->bytes, c->len, "\r\n\r\n", 4), *field;

	if (!end || strncmp(c->bytes, "HTTP/1.1 200", 12))
		return NULL;
	end += 4;
	*len = c->len - (end - c->bytes);
	field = strcasestr(c->bytes, "\r\nContent-Length:");
	return field && field < end && strtoull(field + 17, NULL, 10) == *len ? end : NULL;
}

int main(int argc, char **argv)
{
	const struct gaio_attr attr = { .backend = "dusi" };
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *body = NULL;
	struct client c;
	size_t len = 0;

	if (argc < 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fputs("usage: http_get ADDRESS PORT PATH [COUNT]\n", stderr);
		return 2;
	}
	to.sin_port = htons(atoi(argv[2]));
	c.bytes = malloc(ROOM);
	if (!c.bytes || fails("open", gaio_open(&attr, &c.io)) ||
	    fails("queue", gaio_queue_create(c.io, 64, &c.queue)) ||
	    fails("memory", gaio_register(c.io, c.bytes, ROOM, GAIO_READ | GAIO_WRITE, &c.mem)))
		return 1;
	for (int i = argc > 4 ? atoi(argv[4]) : 1; i > 0; i--) {
		body = get(&c, &to, argv[3]) ? body_of(&c, &len) : NULL;
		if (!body) {
			fputs("http_get: no good answer\n", stderr);
			break;
		}
	}
	if (body)
		fwrite(body, 1, len, stdout);
	gaio_close(c.io);
	free(c.bytes);
	return body ? 0 : 1;
}
