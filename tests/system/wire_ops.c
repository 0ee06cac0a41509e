/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ops.c - everything that two etas say to each other, a little of each, for a test that looks at
 * the wire. By libfabric's interface alone; what comes back is checked too.
 *
 *	wire_ops PORT	datagram endpoints that share an authorisation key, one of them on PORT; then
 *			connected ones on PORT + 1, which end by a Terminate
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#define WAIT_MS 20000
#define KEY 7     /* of the region that peers may use */
#define NO_KEY 99 /* of none */
#define SMALL 64
#define LARGE 70000 /* more than goes unasked */
#define DATA 0x0123456789abcdefull

/* One end: a fabric, so an engine, of its own. */
struct end {
	const char *name;
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_av *av;
	struct fid_cq *tx, *rx;
	struct fid_ep *ep;
	struct fid_mr *mr;
	fi_addr_t peer;
	uint8_t memory[LARGE], out[LARGE], in[LARGE];
};

static struct end a = { .name = "a" }, b = { .name = "b" };

static void must(const char *what, ssize_t ret)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "wire_ops: %s: %s\n", what, fi_strerror((int)-ret));
	exit(1);
}

static void check(const char *what, bool good)
{
	if (good)
		return;
	fprintf(stderr, "wire_ops: %s is not as it should be\n", what);
	exit(1);
}

/* The next completion, which is to be a good one, or (@err) to have failed with that. */
static void await(const char *what, struct fid_cq *cq, struct fi_cq_tagged_entry *out, int err)
{
	struct fi_cq_tagged_entry e;
	struct fi_cq_err_entry bad = { 0 };
	ssize_t ret = fi_cq_sread(cq, out ? out : &e, 1, NULL, WAIT_MS);

	if (ret == 1 && !err)
		return;
	if (ret == -FI_EAVAIL && fi_cq_readerr(cq, &bad, 0) == 1) {
		if (err && bad.err == err)
			return;
		ret = -bad.err;
	}
	fprintf(stderr, "wire_ops: %s: %s\n", what, ret == 1 ? "no error" : fi_strerror((int)-ret));
	exit(1);
}

static void end_open(struct end *e, enum fi_ep_type type, uint16_t port)
{
	static uint8_t auth[] = "known to both";
	struct fi_info *hints = fi_allocinfo();
	char service[8];

	check("memory", hints);
	hints->ep_attr->type = type;
	hints->caps = FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC;
	hints->addr_format = FI_SOCKADDR_IN;
	hints->fabric_attr->prov_name = strdup("eta");
	hints->domain_attr->auth_key = auth;
	hints->domain_attr->auth_key_size = type == FI_EP_RDM ? sizeof(auth) : 0;
	snprintf(service, sizeof(service), "%u", port);
	must("fi_getinfo", fi_getinfo(FI_VERSION(1, 17), "127.0.0.1", port ? service : NULL,
				      FI_SOURCE, hints, &e->info));
	hints->domain_attr->auth_key = NULL;
	fi_freeinfo(hints);
	must("fi_fabric", fi_fabric(e->info->fabric_attr, &e->fabric, NULL));
	must("fi_domain", fi_domain(e->fabric, e->info, &e->domain, NULL));
}

static void endpoint_open(struct end *e, struct fi_info *info)
{
	struct fi_cq_attr cq = { .format = FI_CQ_FORMAT_TAGGED, .wait_obj = FI_WAIT_UNSPEC };

	must("fi_cq_open", fi_cq_open(e->domain, &cq, &e->tx, NULL));
	must("fi_cq_open", fi_cq_open(e->domain, &cq, &e->rx, NULL));
	must("fi_endpoint", fi_endpoint(e->domain, info, &e->ep, NULL));
	if (e->eq)
		must("fi_ep_bind", fi_ep_bind(e->ep, &e->eq->fid, 0));
	if (e->av)
		must("fi_ep_bind", fi_ep_bind(e->ep, &e->av->fid, 0));
	must("fi_ep_bind", fi_ep_bind(e->ep, &e->tx->fid, FI_TRANSMIT));
	must("fi_ep_bind", fi_ep_bind(e->ep, &e->rx->fid, FI_RECV));
	must("fi_enable", fi_enable(e->ep));
	must("fi_mr_reg", fi_mr_reg(e->domain, e->memory, sizeof(e->memory),
				    FI_REMOTE_READ | FI_REMOTE_WRITE, 0, KEY, 0, &e->mr, NULL));
}

static void close_fid(void *fid)
{
	if (fid)
		must("fi_close", fi_close(fid));
}

static void end_close(struct end *e)
{
	close_fid(e->ep);
	close_fid(e->mr);
	close_fid(e->tx);
	close_fid(e->rx);
	close_fid(e->av);
	close_fid(e->eq);
	close_fid(e->domain);
	close_fid(e->fabric);
	fi_freeinfo(e->info);
	*e = (struct end){ .name = e->name };
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* ------------------------------------------------------------------- datagram endpoints */

static void meet(struct end *e, struct end *other)
{
	struct sockaddr_in name;
	size_t len = sizeof(name);

	must("fi_getname", fi_getname(&other->ep->fid, &name, &len));
	check("fi_av_insert", fi_av_insert(e->av, &name, 1, &e->peer, 0, NULL) == 1);
}

static void rdm_open(struct end *e, uint16_t port)
{
	struct fi_av_attr av = { 0 };

	end_open(e, FI_EP_RDM, port);
	must("fi_av_open", fi_av_open(e->domain, &av, &e->av, NULL));
	endpoint_open(e, e->info);
}

/* With a tag and data; short: at once, long: announced, and read by its receiver. */
static void rdm_messages(void)
{
	static const size_t sizes[] = { 0, SMALL, LARGE };
	struct fi_cq_tagged_entry e;

	for (unsigned i = 0; i < 3; i++) {
		fill(b.out, sizes[i], i);
		must("fi_trecv", fi_trecv(a.ep, a.in, LARGE, NULL, FI_ADDR_UNSPEC, 1, 0, NULL));
		must("fi_tsenddata",
		     fi_tsenddata(b.ep, b.out, sizes[i], NULL, DATA, b.peer, 1, NULL));
		await("a message", a.rx, &e, 0);
		await("a message's end", b.tx, NULL, 0);
		check("a message", e.len == sizes[i] && e.tag == 1 && e.data == DATA &&
					   !memcmp(a.in, b.out, e.len));
	}
}

/* Who waits for its delivery is told that it waits; and asks whether the other lives, in the end. */
static void rdm_late_receive(void)
{
	struct timespec pause = { .tv_sec = 1, .tv_nsec = 400000000 };
	struct iovec iov = { b.out, SMALL };
	struct fi_msg m = { .msg_iov = &iov, .iov_count = 1, .addr = b.peer };

	must("fi_sendmsg", fi_sendmsg(b.ep, &m, FI_DELIVERY_COMPLETE));
	nanosleep(&pause, NULL);
	must("fi_recv", fi_recv(a.ep, a.in, LARGE, NULL, FI_ADDR_UNSPEC, NULL));
	await("a late receive", a.rx, NULL, 0);
	await("a send to a late receive", b.tx, NULL, 0);
}

static void rdm_rma(void)
{
	struct fi_cq_tagged_entry e;

	fill(b.out, LARGE, 9);
	must("fi_writedata", fi_writedata(b.ep, b.out, LARGE, NULL, DATA, b.peer, 0, KEY, NULL));
	await("a write", b.tx, NULL, 0);
	await("data of a write", a.rx, &e, 0);
	check("a write", e.data == DATA && !memcmp(a.memory, b.out, LARGE));
	must("fi_read", fi_read(b.ep, b.in, SMALL, NULL, b.peer, 100, KEY, NULL));
	await("a read", b.tx, NULL, 0);
	check("a read", !memcmp(b.in, a.memory + 100, SMALL));
	must("fi_read", fi_read(b.ep, b.in, SMALL, NULL, b.peer, 0, NO_KEY, NULL));
	await("a read of nothing", b.tx, NULL, FI_ENOKEY);
	must("fi_write", fi_write(b.ep, b.out, SMALL, NULL, b.peer, LARGE, KEY, NULL));
	await("a write beyond the end", b.tx, NULL, ERANGE);
}

/* 64 bits added, and compared: iWARP's own. Everything else: eta's. */
static void rdm_atomics(void)
{
	uint64_t one = 1, zero = 0, old = 0;
	uint32_t three = 3, old32 = 0;

	memset(a.memory, 0, sizeof(one));
	must("fi_atomic", fi_atomic(b.ep, &one, 1, NULL, b.peer, 0, KEY, FI_UINT64, FI_SUM, NULL));
	await("an addition", b.tx, NULL, 0);
	must("fi_fetch_atomic", fi_fetch_atomic(b.ep, &one, 1, NULL, &old, NULL, b.peer, 0, KEY,
						FI_UINT64, FI_SUM, NULL));
	await("a fetching addition", b.tx, NULL, 0);
	check("a fetching addition", old == 1);
	must("fi_compare_atomic", fi_compare_atomic(b.ep, &zero, 1, NULL, &old, NULL, &one, NULL,
						    b.peer, 0, KEY, FI_UINT64, FI_CSWAP, NULL));
	await("a comparison", b.tx, NULL, 0);
	check("a comparison", one == 2);
	must("fi_fetch_atomic", fi_fetch_atomic(b.ep, &three, 1, NULL, &old32, NULL, b.peer, 8, KEY,
						FI_UINT32, FI_BXOR, NULL));
	await("32 bits", b.tx, NULL, 0);
}

static void rdm(uint16_t port)
{
	rdm_open(&a, port);
	rdm_open(&b, 0);
	meet(&a, &b);
	meet(&b, &a);
	rdm_messages();
	rdm_late_receive();
	rdm_rma();
	rdm_atomics();
	end_close(&b);
	end_close(&a);
}

/* ------------------------------------------------------------------ connected endpoints */

static void expect(const char *what, struct end *e, uint32_t want, struct fi_eq_cm_entry *out)
{
	struct fi_eq_cm_entry entry;
	uint32_t event = 0;
	ssize_t ret = fi_eq_sread(e->eq, &event, out ? out : &entry, sizeof(entry), WAIT_MS, 0);

	must(what, ret);
	check(what, event == want);
}

static void msg_connect(uint16_t port, struct fid_pep **pep)
{
	struct fi_eq_attr eq = { .wait_obj = FI_WAIT_UNSPEC };
	struct fi_eq_cm_entry request;

	end_open(&a, FI_EP_MSG, port);
	end_open(&b, FI_EP_MSG, 0);
	must("fi_eq_open", fi_eq_open(a.fabric, &eq, &a.eq, NULL));
	must("fi_eq_open", fi_eq_open(b.fabric, &eq, &b.eq, NULL));
	must("fi_passive_ep", fi_passive_ep(a.fabric, a.info, pep, NULL));
	must("fi_pep_bind", fi_pep_bind(*pep, &a.eq->fid, 0));
	must("fi_listen", fi_listen(*pep));
	endpoint_open(&b, b.info);
	must("fi_connect", fi_connect(b.ep, a.info->src_addr, NULL, 0));
	expect("a request", &a, FI_CONNREQ, &request);
	endpoint_open(&a, request.info);
	fi_freeinfo(request.info);
	must("fi_accept", fi_accept(a.ep, NULL, 0));
	expect("an acceptance", &a, FI_CONNECTED, NULL);
	expect("a connection", &b, FI_CONNECTED, NULL);
}

static void msg(uint16_t port)
{
	struct fid_pep *pep;

	msg_connect(port, &pep);
	must("fi_recv", fi_recv(a.ep, a.in, LARGE, NULL, 0, NULL));
	must("fi_send", fi_send(b.ep, b.out, SMALL, NULL, 0, NULL));
	await("a message", a.rx, NULL, 0);
	await("a message's end", b.tx, NULL, 0);
	/* here the connection ends with it */
	must("fi_read", fi_read(b.ep, b.in, SMALL, NULL, 0, 0, NO_KEY, NULL));
	expect("the end", &b, FI_SHUTDOWN, NULL);
	close_fid(pep);
	end_close(&b);
	end_close(&a);
}

int main(int argc, char **argv)
{
	unsigned port = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

	if (!port || port >= UINT16_MAX) {
		fprintf(stderr, "usage: wire_ops PORT\n");
		return 2;
	}
	/* so that there are questions after signs of life within the time that this takes */
	setenv("FI_ETA_PEER_TIMEOUT", "2000", 1);
	rdm((uint16_t)port);
	msg((uint16_t)(port + 1));
	printf("ok\n");
	return 0;
}
