/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * memory.c - user memory of idle connections: what each of two processes grows by while thousands
 * of DUSI connections are opened between them.
 *
 * The baseline is taken with the UAL, its pool, the event queue, the listener, the program's own
 * arrays and a few connections in place. Each connection has a receive posted, as those of a server
 * have. Depths are DUSI's defaults.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "dusi/dusi.h"
#include "link.h"

#define FIRST_ONES 16   /* connections before the baseline */
#define AT_A_TIME 64    /* connects under way */
#define BACKLOG 1024    /* accepts posted */
#define SPARE_FILES 100 /* of this process, for other things */
#define BATCH 64
#define BYTES 64

struct usage {
	int64_t rss, pss;
};

struct memory_shared {
	int connections;
	struct usage before[2], idle[2], used[2];
};

struct side {
	dusi_ual_t ual;
	dusi_evq_t evq;
	dusi_sock_t listener;
	dusi_sock_t *socks;
	dusi_mem_t mem;
	uint8_t *buffer; /* all receives share it: its content does not matter */
	int opened, accepts, received, sent;
};

static void must(int err, const char *what)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

static struct usage usage(void)
{
	return (struct usage){ smaps_bytes("Rss"), smaps_bytes("Pss") };
}

static void side_open(struct side *s, int connections)
{
	size_t size = (size_t)connections * sizeof(*s->socks);

	s->socks = malloc(size);
	s->buffer = malloc(BYTES);
	if (!s->socks || !s->buffer)
		die("no memory");
	/* touched, so that it belongs to the baseline */
	memset(s->socks, 0xff, size);
	must(Dusi_Open_Ual(NULL, &s->ual), "Dusi_Open_Ual");
	must(Dusi_Create_EvQ(s->ual, 4096, &s->evq), "Dusi_Create_EvQ");
	must(Dusi_Register_Memory(s->ual, s->buffer, BYTES, DUSI_READ | DUSI_WRITE, &s->mem),
	     "Dusi_Register_Memory");
}

/* The context is the number + 1. */
static dusi_sock_t new_sock(struct side *s, int number)
{
	struct dusi_socket_attr attr = { .tx_evq = s->evq, .context = number + 1 };
	dusi_sock_t sock;

	must(Dusi_Socket(s->ual, &attr, &sock), "Dusi_Socket");
	return sock;
}

static void post_recv(struct side *s, dusi_sock_t sock)
{
	struct dusi_buf b = { s->buffer, BYTES, s->mem };

	must(Dusi_Recv(sock, &b, 1, 0), "Dusi_Recv");
}

/* Waits for events and counts them. */
static void take_events(struct side *s)
{
	struct dusi_event ev[BATCH];
	int n = Dusi_Wait_All(s->evq, ev, BATCH, 20000000, NULL, NULL);

	must(n, "Dusi_Wait_All");
	if (!n)
		die("nothing happened for 20 s, with %d connections open", s->opened);
	for (int i = 0; i < n; i++) {
		must(ev[i].status, "event");
		switch (ev[i].type) {
		case DUSI_EV_ACCEPT:
		case DUSI_EV_CONNECT:
			s->opened++;
			post_recv(s, ev[i].sock);
			break;
		case DUSI_EV_RECV:
			s->received++;
			post_recv(s, ev[i].sock);
			break;
		default:
			s->sent++;
			break;
		}
	}
}

/* One message on each connection, all of them outstanding at some time. */
static void send_on_all(struct side *s, int connections)
{
	for (int i = 0; i < connections; i++) {
		must(Dusi_Send_Inline(s->socks[i], s->socks, BYTES, 0), "Dusi_Send_Inline");
		if (i % BATCH == BATCH - 1)
			take_events(s);
	}
}

/* -------------------------------------------------------------------------------- server */

static void listen_on_loopback(struct side *s, int ctrl)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage at;
	size_t len = sizeof(at);

	s->listener = new_sock(s, -1);
	must(Dusi_Bind(s->listener, (struct sockaddr *)&sa, sizeof(sa)), "Dusi_Bind");
	must(Dusi_Listen(s->listener, BACKLOG), "Dusi_Listen");
	must(Dusi_Get_Socket_Ops(s->listener, DUSI_SO_LOCAL_ADDRESS, &at, &len),
	     "Dusi_Get_Socket_Ops");
	if (ctrl_send(ctrl, &at, sizeof(sa)))
		die("memory: the client is gone");
}

static void accept_until(struct side *s, int connections)
{
	while (s->opened < connections) {
		while (s->accepts < connections && s->accepts < s->opened + BACKLOG) {
			s->socks[s->accepts] = new_sock(s, s->accepts);
			must(Dusi_Accept(s->listener, s->socks[s->accepts], 0), "Dusi_Accept");
			s->accepts++;
		}
		take_events(s);
	}
}

static int server(void *arg, int ctrl)
{
	struct memory_shared *m = arg;
	struct side s = { .opened = 0 };

	limit_of_files();
	side_open(&s, m->connections);
	listen_on_loopback(&s, ctrl);
	accept_until(&s, FIRST_ONES);
	m->before[0] = usage();
	ctrl_meet(ctrl);
	accept_until(&s, m->connections);
	ctrl_meet(ctrl);
	m->idle[0] = usage();
	ctrl_meet(ctrl);
	send_on_all(&s, m->connections);
	while (s.sent < m->connections || s.received < m->connections)
		take_events(&s);
	m->used[0] = usage();
	return ctrl_meet(ctrl);
}

/* -------------------------------------------------------------------------------- client */

static void connect_until(struct side *s, const struct sockaddr_in *sa, int connections)
{
	int begun = s->opened;

	while (s->opened < connections) {
		while (begun < connections && begun < s->opened + AT_A_TIME) {
			s->socks[begun] = new_sock(s, begun);
			must(Dusi_Connect(s->socks[begun], (const struct sockaddr *)sa, sizeof(*sa),
					  0),
			     "Dusi_Connect");
			begun++;
		}
		take_events(s);
	}
}

static int client(void *arg, int ctrl)
{
	struct memory_shared *m = arg;
	struct side s = { .opened = 0 };
	struct sockaddr_in sa;

	limit_of_files();
	side_open(&s, m->connections);
	if (ctrl_recv(ctrl, &sa, sizeof(sa)))
		die("memory: the server is gone");
	connect_until(&s, &sa, FIRST_ONES);
	m->before[1] = usage();
	ctrl_meet(ctrl);
	connect_until(&s, &sa, m->connections);
	ctrl_meet(ctrl);
	m->idle[1] = usage();
	ctrl_meet(ctrl);
	send_on_all(&s, m->connections);
	while (s.sent < m->connections || s.received < m->connections)
		take_events(&s);
	m->used[1] = usage();
	return ctrl_meet(ctrl);
}

/* ------------------------------------------------------------------------------- results */

/* Client ports of one address: the kernel has only so many. */
static int ports(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	int low = 32768, high = 60999;

	if (f && fscanf(f, "%d %d", &low, &high) != 2)
		low = high;
	if (f)
		fclose(f);
	return high - low;
}

static int possible(int wanted)
{
	long files = limit_of_files() - SPARE_FILES;
	int n = wanted;

	if (n > files)
		n = (int)files;
	if (n > ports() * 9 / 10)
		n = ports() * 9 / 10;
	if (n < wanted)
		printf("  note: %d connections, not %d: this process may have %ld files and there "
		       "are %d ports\n",
		       n, wanted, files + SPARE_FILES, ports());
	return n;
}

static double per_connection(int64_t before, int64_t after, int n)
{
	return (double)(after - before) / (n - FIRST_ONES);
}

static double report_side(const struct memory_shared *m, int i)
{
	static const char *const side[] = { "server", "client" };
	int n = m->connections;
	double rss = per_connection(m->before[i].rss, m->idle[i].rss, n);
	double pss = per_connection(m->before[i].pss, m->idle[i].pss, n);

	printf("  %-8s %12.2f %12.2f %10.0f %10.0f %14.0f\n", side[i], m->before[i].rss / 1048576.0,
	       m->idle[i].rss / 1048576.0, rss, pss,
	       per_connection(m->before[i].rss, m->used[i].rss, n));
	return rss > pss ? rss : pss;
}

static int sockets(void)
{
	struct memory_shared *m = shared_alloc(sizeof(*m));
	struct roles r = { { server, client }, m, .pid = { 0 } };
	double bytes, other;
	int err;

	m->connections = possible(opt.connections);
	if (m->connections <= FIRST_ONES) {
		shared_free(m, sizeof(*m));
		return not_run("memory: too few files for more than %d connections", FIRST_ONES);
	}
	printf("  %d DUSI sockets in each process, queues of the default depth (16 sends, 16 "
	       "receives), a receive\n  posted on each; dusi.h, sockets;TCP\n",
	       m->connections);
	err = roles_run(&r, 120);
	if (err) {
		err = not_run("memory: %d connections", m->connections);
	} else {
		printf("  %-8s %12s %12s %10s %10s %14s\n", "", "RSS before", "with all, MiB",
		       "RSS each", "PSS each", "after use, B");
		bytes = report_side(m, 0);
		other = report_side(m, 1);
		judge(bytes > other ? bytes : other, opt.max_bytes, " B",
		      "memory: of each of %d idle connections", m->connections);
	}
	shared_free(m, sizeof(*m));
	return err;
}

int memory_run(void)
{
	int err;

	heading("memory: user memory of idle connections, beyond pool and baseline");
	err = sockets();
	if (opt.endpoints > 0)
		err |= memory_endpoints();
	return err;
}
