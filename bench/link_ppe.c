/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* link_ppe.c - a link of the engine's message service, without libfabric in between. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "link.h"
#include "ppe/ppe.h"

struct ppe_link {
	struct link l;
	struct ppe_ual *ual;
	struct ppe_evq *evq;
	struct ppe_dti *dti, *listener;
	struct ppe_mr mr;
};

static struct ppe_link *ppe_link_of(struct link *l)
{
	return (struct ppe_link *)l;
}

static void must(int err, const char *what)
{
	if (err < 0)
		die("%s: %s", what, strerror(-err));
}

/* The next event, which must be @want. */
static struct ppe_event await(struct ppe_link *p, enum ppe_event_type want)
{
	struct ppe_event ev;

	must(ppe_evq_wait(&p->evq, 1, INT64_C(10000000000)), "ppe_evq_wait");
	must(ppe_evq_take(p->evq, &ev, 1), "ppe_evq_take");
	must(ev.status, "event");
	if (ev.type != want)
		die("event of type %d, not %d", ev.type, want);
	return ev;
}

static struct ppe_dti *dti(struct ppe_link *p)
{
	struct ppe_dti_attr attr = {
		.service = PPE_MESSAGE,
		.sq_slots = LINK_DEPTH * 2,
		.rq_slots = LINK_DEPTH,
		.tx_evq = p->evq,
	};
	struct ppe_dti *d;

	must(ppe_dti_create(p->ual, &attr, &d), "ppe_dti_create");
	return d;
}

static void open_engine(struct ppe_link *p)
{
	struct ppe_ual_attr ual = { 0 };
	struct ppe_evq_attr evq = { .size = 1024 };

	must(ppe_ual_open(&ual, &p->ual), "ppe_ual_open");
	must(ppe_evq_create(p->ual, &evq, &p->evq), "ppe_evq_create");
	must(ppe_mr_register(p->ual, p->l.memory, LINK_MEMORY,
			     PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &p->mr),
	     "ppe_mr_register");
}

static void serve(struct ppe_link *p, int ctrl)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ppe_event ev;
	union fab_addr at;

	p->listener = dti(p);
	must(ppe_dti_bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)), "ppe_dti_bind");
	must(ppe_dti_listen(p->listener, 8), "ppe_dti_listen");
	must(ppe_dti_local(p->listener, &at), "ppe_dti_local");
	if (ctrl_send(ctrl, &at.in, sizeof(at.in)))
		die("ppe: the client is gone");
	ev = await(p, PPE_EV_REQUEST);
	p->dti = dti(p);
	must(ppe_dti_accept_request(p->dti, ev.data, 0, NULL, 0), "ppe_dti_accept_request");
	await(p, PPE_EV_CONNECT);
}

static void reach(struct ppe_link *p, int ctrl)
{
	struct sockaddr_in sa;

	if (ctrl_recv(ctrl, &sa, sizeof(sa)))
		die("ppe: the server is gone");
	p->dti = dti(p);
	must(ppe_dti_connect(p->dti, (struct sockaddr *)&sa, sizeof(sa), 0, 0, NULL, 0),
	     "ppe_dti_connect");
	await(p, PPE_EV_CONNECT);
}

static struct link *ppe_link_open(const char *provider, bool server, int ctrl)
{
	struct ppe_link *p = link_alloc(sizeof(*p), &link_ppe);

	(void)provider;
	open_engine(p);
	if (server)
		serve(p, ctrl);
	else
		reach(p, ctrl);
	snprintf(p->l.about, sizeof(p->l.about), "ppe.h, message service;iWARP over TCP");
	link_refill(&p->l);
	if (ctrl_meet(ctrl))
		die("ppe: the peer is gone");
	return &p->l;
}

static struct ppe_sge sge_of(const struct ppe_link *p, const void *buf)
{
	return (struct ppe_sge){
		.addr = (uintptr_t)buf,
		.len = LINK_MESSAGE,
		.region = p->mr.region,
		.ptag = p->mr.ptag,
	};
}

static bool ppe_link_send(struct link *l, const void *buf)
{
	struct ppe_sge sge = sge_of(ppe_link_of(l), buf);
	struct ppe_post post = { .sge = &sge, .nsge = 1 };
	int err = ppe_post_send(ppe_link_of(l)->dti, &post);

	if (err && err != -EAGAIN)
		must(err, "ppe_post_send");
	return !err;
}

static bool ppe_link_inject(struct link *l, const void *buf)
{
	struct ppe_post post = { .inline_data = buf, .inline_len = LINK_MESSAGE };
	int err = ppe_post_send(ppe_link_of(l)->dti, &post);

	if (err && err != -EAGAIN)
		must(err, "ppe_post_send");
	return !err;
}

static void ppe_link_recv(struct link *l, void *buf)
{
	struct ppe_sge sge = sge_of(ppe_link_of(l), buf);
	struct ppe_post post = { .sge = &sge, .nsge = 1 };

	must(ppe_post_recv(ppe_link_of(l)->dti, &post), "ppe_post_recv");
}

static void ppe_link_poll(struct link *l)
{
	struct ppe_event ev[16];
	int n = ppe_evq_read(ppe_link_of(l)->evq, ev, 16);

	must(n, "ppe_evq_read");
	for (int i = 0; i < n; i++) {
		must(ev[i].status, "event");
		if (ev[i].type == PPE_EV_RECV)
			l->received++;
		else if (ev[i].type == PPE_EV_SEND)
			l->sent++;
	}
}

static int64_t ppe_link_counter(struct link *l, const char *name)
{
	struct ppe_counters c;
	const char *found;
	uint64_t value;

	ppe_ual_counters(ppe_link_of(l)->ual, &c);
	for (unsigned i = 0; ppe_counter_name(i, &c, &found, &value); i++)
		if (!strcmp(found, name))
			return (int64_t)value;
	return -1;
}

static void ppe_link_close(struct link *l)
{
	ppe_ual_close(ppe_link_of(l)->ual);
	link_free(l);
}

const struct link_ops link_ppe = {
	.name = "ppe",
	.open = ppe_link_open,
	.send = ppe_link_send,
	.inject = ppe_link_inject,
	.recv = ppe_link_recv,
	.poll = ppe_link_poll,
	.counter = ppe_link_counter,
	.close = ppe_link_close,
};
