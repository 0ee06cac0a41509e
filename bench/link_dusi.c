/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * link_dusi.c - a link of DUSI sockets. It is a byte stream, but each receive has room for one
 * message and each message is written whole, so that they stay apart; it is checked that they do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "dusi/dusi.h"
#include "link.h"

struct dusi_link {
	struct link l;
	dusi_ual_t ual;
	dusi_evq_t evq;
	dusi_sock_t sock, listener;
	dusi_mem_t mem;
};

static struct dusi_link *dusi_link_of(struct link *l)
{
	return (struct dusi_link *)l;
}

static void must(int err, const char *what)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

static void await(struct dusi_link *d, enum dusi_event_type want)
{
	struct dusi_event ev;
	int n = Dusi_Wait_All(d->evq, &ev, 1, 10000000, NULL, NULL);

	must(n, "Dusi_Wait_All");
	if (!n)
		die("dusi: no event within 10 s");
	must(ev.status, "event");
	if (ev.type != want)
		die("event of type %d, not %d", ev.type, want);
}

static dusi_sock_t sock(struct dusi_link *d)
{
	struct dusi_socket_attr attr = { .tx_evq = d->evq,
					 .tx_slots = LINK_DEPTH * 2,
					 .rx_slots = LINK_DEPTH };
	dusi_sock_t s;

	must(Dusi_Socket(d->ual, &attr, &s), "Dusi_Socket");
	return s;
}

static void open_engine(struct dusi_link *d)
{
	must(Dusi_Open_Ual(NULL, &d->ual), "Dusi_Open_Ual");
	must(Dusi_Create_EvQ(d->ual, 1024, &d->evq), "Dusi_Create_EvQ");
	must(Dusi_Register_Memory(d->ual, d->l.memory, LINK_MEMORY, DUSI_READ | DUSI_WRITE,
				  &d->mem),
	     "Dusi_Register_Memory");
}

static void serve(struct dusi_link *d, int ctrl)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage at;
	size_t len = sizeof(at);

	d->listener = sock(d);
	d->sock = sock(d);
	must(Dusi_Bind(d->listener, (struct sockaddr *)&sa, sizeof(sa)), "Dusi_Bind");
	must(Dusi_Listen(d->listener, 8), "Dusi_Listen");
	must(Dusi_Get_Socket_Ops(d->listener, DUSI_SO_LOCAL_ADDRESS, &at, &len),
	     "Dusi_Get_Socket_Ops");
	must(Dusi_Accept(d->listener, d->sock, 0), "Dusi_Accept");
	if (ctrl_send(ctrl, &at, sizeof(sa)))
		die("dusi: the client is gone");
	await(d, DUSI_EV_ACCEPT);
}

static void reach(struct dusi_link *d, int ctrl)
{
	struct sockaddr_in sa;

	if (ctrl_recv(ctrl, &sa, sizeof(sa)))
		die("dusi: the server is gone");
	d->sock = sock(d);
	must(Dusi_Connect(d->sock, (struct sockaddr *)&sa, sizeof(sa), 0), "Dusi_Connect");
	await(d, DUSI_EV_CONNECT);
}

static struct link *dusi_link_open(const char *provider, bool server, int ctrl)
{
	struct dusi_link *d = link_alloc(sizeof(*d), &link_dusi);

	(void)provider;
	open_engine(d);
	if (server)
		serve(d, ctrl);
	else
		reach(d, ctrl);
	snprintf(d->l.about, sizeof(d->l.about), "dusi.h, sockets;TCP");
	link_refill(&d->l);
	if (ctrl_meet(ctrl))
		die("dusi: the peer is gone");
	return &d->l;
}

static bool dusi_link_send(struct link *l, const void *buf)
{
	struct dusi_link *d = dusi_link_of(l);
	struct dusi_buf b = { (void *)(uintptr_t)buf, LINK_MESSAGE, d->mem };
	int err = Dusi_Send(d->sock, &b, 1, 0);

	if (err && err != -EAGAIN)
		must(err, "Dusi_Send");
	return !err;
}

static bool dusi_link_inject(struct link *l, const void *buf)
{
	int err = Dusi_Send_Inline(dusi_link_of(l)->sock, buf, LINK_MESSAGE, 0);

	if (err && err != -EAGAIN)
		must(err, "Dusi_Send_Inline");
	return !err;
}

static void dusi_link_recv(struct link *l, void *buf)
{
	struct dusi_link *d = dusi_link_of(l);
	struct dusi_buf b = { buf, LINK_MESSAGE, d->mem };

	must(Dusi_Recv(d->sock, &b, 1, 0), "Dusi_Recv");
}

static void dusi_link_poll(struct link *l)
{
	struct dusi_event ev[16];
	int n = Dusi_Wait_All(dusi_link_of(l)->evq, ev, 16, 0, NULL, NULL);

	must(n, "Dusi_Wait_All");
	for (int i = 0; i < n; i++) {
		must(ev[i].status, "event");
		if (ev[i].len != LINK_MESSAGE)
			die("dusi: %zu bytes, not a message", ev[i].len);
		if (ev[i].type == DUSI_EV_RECV)
			l->received++;
		else
			l->sent++;
	}
}

static int64_t dusi_link_counter(struct link *l, const char *name)
{
	const char *found;
	uint64_t value;

	for (unsigned i = 0; !Dusi_Counter(dusi_link_of(l)->ual, i, &found, &value); i++)
		if (!strcmp(found, name))
			return (int64_t)value;
	return -1;
}

static void dusi_link_close(struct link *l)
{
	Dusi_Close_Ual(dusi_link_of(l)->ual);
	link_free(l);
}

const struct link_ops link_dusi = {
	.name = "dusi",
	.open = dusi_link_open,
	.send = dusi_link_send,
	.inject = dusi_link_inject,
	.recv = dusi_link_recv,
	.poll = dusi_link_poll,
	.counter = dusi_link_counter,
	.close = dusi_link_close,
};
