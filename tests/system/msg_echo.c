/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_echo.c - the two ends that the tests with hostile peers look at: a server that sends back what
 * it receives, by messages and as a stream, and a client that checks what comes back.
 *
 *	msg_echo server [HANDSHAKE-MS]	prints both ports; answers "stats" lines until end of input
 *	msg_echo client PORT [COUNT]	COUNT messages, or until end of input; then prints "ok COUNT"
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ppe/ppe.h"

#define BUFS 2
#define BUF_SIZE 32768
#define WAIT_NS 20000000

static struct ppe_ual *ual;
static struct ppe_evq *evq;
static struct ppe_mr everything;

static void die(const char *what, int err)
{
	fprintf(stderr, "msg_echo: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void must(const char *what, int err)
{
	if (err < 0)
		die(what, err);
}

static void engine_open(uint64_t handshake_ns)
{
	struct ppe_ual_attr attr = { .msg.handshake_ns = handshake_ns };
	struct ppe_evq_attr evq_attr = { .size = 8192 };

	must("open", ppe_ual_open(&attr, &ual));
	must("event queue", ppe_evq_create(ual, &evq_attr, &evq));
	must("register",
	     ppe_mr_register(ual, NULL, SIZE_MAX, PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE,
			     &everything));
}

/* The event's user tag will say which buffer. */
static void post(struct ppe_dti *dti, bool recv, uint8_t *buf, uint32_t len)
{
	struct ppe_sge sge = { .addr = (uintptr_t)buf,
			       .len = len,
			       .region = everything.region,
			       .ptag = everything.ptag };
	struct ppe_post p = { .user_tag = (uintptr_t)buf, .sge = &sge, .nsge = 1 };

	must("post", recv ? ppe_post_recv(dti, &p) : ppe_post_send(dti, &p));
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				     .sin_port = htons(port) };
}

/* Whether something can be read from standard input, its end included. */
static bool input_waits(void)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* ------------------------------------------------------------------------- server */

struct echo {
	struct ppe_dti *dti;
	bool message;
	uint8_t bufs[BUFS][BUF_SIZE];
};

static struct ppe_dti *listeners[2];
static struct echo *pending; /* the stream child whose accept is posted */
static unsigned connections;

static struct ppe_dti *dti_create(enum ppe_service service, void *cookie)
{
	struct ppe_dti_attr attr = { .service = service,
				     .tx_evq = evq,
				     .cookie = (uintptr_t)cookie };
	struct ppe_dti *dti;

	must("create", ppe_dti_create(ual, &attr, &dti));
	return dti;
}

static struct echo *echo_new(enum ppe_service service)
{
	struct echo *e = malloc(sizeof(*e));

	if (!e)
		die("memory", -ENOMEM);
	e->message = service == PPE_MESSAGE;
	e->dti = dti_create(service, e);
	for (unsigned i = 0; i < BUFS; i++)
		post(e->dti, true, e->bufs[i], BUF_SIZE);
	connections++;
	return e;
}

static void echo_free(struct echo *e)
{
	ppe_dti_destroy(e->dti, true);
	ppe_evq_purge(evq, (uintptr_t)e);
	free(e);
	connections--;
}

static uint16_t server_listen(enum ppe_service service)
{
	struct sockaddr_in sin = loopback(0);
	struct ppe_dti *dti = dti_create(service, NULL);
	union fab_addr addr;

	must("bind", ppe_dti_bind(dti, (struct sockaddr *)&sin, sizeof(sin)));
	must("listen", ppe_dti_listen(dti, 4096));
	must("address", ppe_dti_local(dti, &addr));
	listeners[service] = dti;
	return ntohs(addr.in.sin_port);
}

static void stream_accept(void)
{
	pending = echo_new(PPE_STREAM);
	must("accept", ppe_dti_accept(listeners[PPE_STREAM], pending->dti, 0, 0));
}

static void message_accept(uint64_t request)
{
	struct echo *e = echo_new(PPE_MESSAGE);

	/* the peer may have left in the meantime */
	if (ppe_dti_accept_request(e->dti, request, 0, NULL, 0))
		echo_free(e);
}

/* Of a connection; whether it is over. */
static bool echo_event(struct echo *e, const struct ppe_event *ev)
{
	uint8_t *buf = (uint8_t *)(uintptr_t)ev->user_tag;

	switch (ev->type) {
	case PPE_EV_RECV:
		if (ev->status || (!ev->len && !e->message))
			return !e->message;
		post(e->dti, false, buf, (uint32_t)ev->len);
		return false;
	case PPE_EV_SEND:
		if (ev->status)
			return !e->message;
		post(e->dti, true, buf, BUF_SIZE);
		return false;
	case PPE_EV_CONNECT:
		return ev->status;
	default:
		return ev->type == PPE_EV_CLOSED;
	}
}

static void server_event(const struct ppe_event *ev)
{
	struct echo *e = (struct echo *)(uintptr_t)ev->cookie;

	if (ev->type == PPE_EV_REQUEST) {
		message_accept(ev->data);
	} else if (ev->type == PPE_EV_ACCEPT) {
		struct echo *child = pending;

		stream_accept();
		if (ev->status)
			echo_free(child);
	} else if (e && echo_event(e, ev)) {
		echo_free(e);
	}
}

static unsigned count_folder(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void print_stats(void)
{
	struct ppe_counters c;
	uint64_t value;
	const char *name;

	ppe_ual_counters(ual, &c);
	printf("connections=%u fds=%u threads=%u", connections, count_folder("/proc/self/fd"),
	       count_folder("/proc/self/task"));
	for (unsigned i = 0; ppe_counter_name(i, &c, &name, &value); i++)
		printf(" %s=%" PRIu64, name, value);
	printf("\n");
	fflush(stdout);
}

static int server(uint64_t handshake_ms)
{
	struct ppe_event ev;
	char line[64];

	engine_open(handshake_ms * 1000000);
	printf("message=%u ", server_listen(PPE_MESSAGE));
	printf("stream=%u\n", server_listen(PPE_STREAM));
	fflush(stdout);
	stream_accept();
	for (;;) {
		while (ppe_evq_read(evq, &ev, 1))
			server_event(&ev);
		if (!input_waits())
			ppe_evq_wait(&evq, 1, WAIT_NS);
		else if (fgets(line, sizeof(line), stdin))
			print_stats();
		else
			break;
	}
	ppe_ual_close(ual);
	return 0;
}

/* ------------------------------------------------------------------------- client */

static uint8_t out[BUF_SIZE], in[BUF_SIZE];

/* The next event; one that failed is the end. */
static void next_event(struct ppe_event *ev)
{
	while (!ppe_evq_read(evq, ev, 1))
		ppe_evq_wait(&evq, 1, -1);
	if (ev->status) {
		fprintf(stderr, "msg_echo: event %u: %s\n", ev->type, strerror(-ev->status));
		exit(1);
	}
}

static void await(uint16_t type)
{
	struct ppe_event ev;

	next_event(&ev);
	if (ev.type == type)
		return;
	fprintf(stderr, "msg_echo: event %u where %u was due\n", ev.type, type);
	exit(1);
}

static void check_echo(const struct ppe_event *ev, uint32_t number, uint32_t len)
{
	if (ev->type == PPE_EV_RECV && ev->len == len && !memcmp(in, out, len))
		return;
	fprintf(stderr, "msg_echo: message %u: event %u, %" PRIu64 " octets for %u\n", number,
		ev->type, ev->len, len);
	exit(1);
}

static void exchange(struct ppe_dti *dti, uint32_t number)
{
	uint32_t len = number * 2654435761u % (number % 8 ? 300 : BUF_SIZE);
	struct ppe_event ev;

	for (uint32_t i = 0; i < len; i++)
		out[i] = (uint8_t)(number + i * 7 + (i >> 8));
	post(dti, true, in, BUF_SIZE);
	post(dti, false, out, len);
	for (unsigned i = 0; i < 2; i++) {
		next_event(&ev);
		if (ev.type != PPE_EV_SEND)
			check_echo(&ev, number, len);
	}
}

static int client(uint16_t port, uint32_t count)
{
	struct sockaddr_in sin = loopback(port);
	struct ppe_dti *dti;
	uint32_t n = 0;

	engine_open(0);
	dti = dti_create(PPE_MESSAGE, NULL);
	must("connect", ppe_dti_connect(dti, (struct sockaddr *)&sin, sizeof(sin), 0, 0, NULL, 0));
	await(PPE_EV_CONNECT);
	printf("connected\n");
	fflush(stdout);
	while (count ? n < count : !input_waits())
		exchange(dti, n++);
	must("disconnect", ppe_dti_disconnect(dti));
	await(PPE_EV_CLOSED);
	printf("ok %u\n", n);
	ppe_ual_close(ual);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "server"))
		return server(argc > 2 ? strtoul(argv[2], NULL, 10) : 0);
	if (argc >= 3 && !strcmp(argv[1], "client"))
		return client((uint16_t)strtoul(argv[2], NULL, 10),
			      argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0);
	fprintf(stderr, "usage: msg_echo server [HANDSHAKE-MS] | client PORT [COUNT]\n");
	return 2;
}
