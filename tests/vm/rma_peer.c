/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rma_peer.c - one end of a connection over which both ends write to and read from each other's memory,
 * and check what is there. By libfabric's interface alone, so that the ends may have different providers.
 *
 *	rma_peer PROVIDER server ADDRESS PORT
 *	rma_peer PROVIDER client ADDRESS PORT
 *
 * At the end the client reads from a region that there is none of, and both see the connection end.
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#define WAIT_MS 30000
#define LARGEST (1 << 20)
#define OFFSET 5 /* into the region: nothing is aligned */
#define RECEIVES 4

/* What the other end needs to know, in network byte order; "go on" is the same again. */
struct hello {
	uint64_t addr, key;
};

/* All of what is registered. */
static struct {
	uint8_t mine[LARGEST + OFFSET]; /* for the other end */
	uint8_t other[LARGEST];         /* comes from, or goes to, there */
	struct hello out, in[RECEIVES];
} memory;

static struct fi_info *info;
static struct fid_fabric *fabric;
static struct fid_domain *domain;
static struct fid_eq *eq;
static struct fid_pep *pep;
static struct fid_ep *ep;
static struct fid_cq *cq;
static struct fid_mr *mr;
static struct fi_context sending, receiving[RECEIVES];
static uint64_t peer_addr, peer_key;
static unsigned received; /* messages taken so far */
static unsigned arrived;  /* and there were */

static void must(const char *what, ssize_t ret)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "rma_peer: %s: %s\n", what, fi_strerror((int)-ret));
	exit(1);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------ completions */

/* The next completion: 0, or how it failed. Counts what arrived; @sent: it was of ours. */
static int next_completion(bool *sent)
{
	int64_t deadline = now_ms() + WAIT_MS;
	struct fi_cq_msg_entry e;
	struct fi_cq_err_entry bad = { 0 };
	ssize_t ret;

	do {
		ret = fi_cq_sread(cq, &e, 1, NULL, 1000);
	} while (ret == -FI_EAGAIN && now_ms() < deadline);
	if (ret == -FI_EAVAIL && fi_cq_readerr(cq, &bad, 0) == 1)
		return bad.err ? bad.err : FI_EOTHER;
	must("fi_cq_sread", ret);
	*sent = e.op_context == &sending;
	arrived += !*sent;
	return 0;
}

/* What was posted last has been done. */
static void await_sent(const char *what)
{
	bool sent = false;

	while (!sent)
		must(what, -next_completion(&sent));
}

static void post_receive(unsigned slot)
{
	must("fi_recv", fi_recv(ep, &memory.in[slot], sizeof(memory.in[slot]), fi_mr_desc(mr), 0,
				&receiving[slot]));
}

static void await_message(void)
{
	bool sent;

	while (arrived == received)
		must("a message", -next_completion(&sent));
	peer_addr = be64toh(memory.in[received % RECEIVES].addr);
	peer_key = be64toh(memory.in[received % RECEIVES].key);
	post_receive(received++ % RECEIVES);
}

static void send_message(void)
{
	bool virt = info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;

	memory.out.addr = htobe64(virt ? (uintptr_t)&memory : 0);
	memory.out.key = htobe64(fi_mr_key(mr));
	must("fi_send", fi_send(ep, &memory.out, sizeof(memory.out), fi_mr_desc(mr), 0, &sending));
	await_sent("a message to send");
}

/* ------------------------------------------------------------------------------- connecting */

static void domain_open(const char *provider, bool server, const char *address, const char *port)
{
	struct fi_info *hints = fi_allocinfo();

	if (!hints)
		must("fi_allocinfo", -FI_ENOMEM);
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = FI_MSG | FI_RMA;
	hints->mode = FI_CONTEXT | FI_RX_CQ_DATA;
	hints->addr_format = FI_SOCKADDR_IN;
	hints->fabric_attr->prov_name = strdup(provider);
	hints->domain_attr->mr_mode =
		FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	must("fi_getinfo",
	     fi_getinfo(FI_VERSION(1, 17), address, port, server ? FI_SOURCE : 0, hints, &info));
	fi_freeinfo(hints);
	must("fi_fabric", fi_fabric(info->fabric_attr, &fabric, NULL));
	must("fi_eq_open",
	     fi_eq_open(fabric, &(struct fi_eq_attr){ .wait_obj = FI_WAIT_UNSPEC }, &eq, NULL));
}

/* The next event, which is to be @wanted. */
static void await_event(uint32_t wanted, struct fi_eq_cm_entry *entry)
{
	struct fi_eq_err_entry bad = { 0 };
	uint32_t event = 0;
	ssize_t ret = fi_eq_sread(eq, &event, entry, sizeof(*entry), WAIT_MS, 0);

	if (ret == -FI_EAVAIL && fi_eq_readerr(eq, &bad, 0) > 0)
		ret = -bad.err;
	must("an event", ret);
	if (event == wanted)
		return;
	fprintf(stderr, "rma_peer: event %u instead of %u\n", event, wanted);
	exit(1);
}

static void endpoint_open(struct fi_info *of)
{
	struct fi_cq_attr attr = { .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_UNSPEC };

	must("fi_domain", fi_domain(fabric, of, &domain, NULL));
	must("fi_cq_open", fi_cq_open(domain, &attr, &cq, NULL));
	must("fi_mr_reg",
	     fi_mr_reg(domain, &memory, sizeof(memory),
		       FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE, 0,
		       1, 0, &mr, NULL));
	must("fi_endpoint", fi_endpoint(domain, of, &ep, NULL));
	must("fi_ep_bind", fi_ep_bind(ep, &eq->fid, 0));
	must("fi_ep_bind", fi_ep_bind(ep, &cq->fid, FI_TRANSMIT | FI_RECV));
	must("fi_enable", fi_enable(ep));
	for (unsigned i = 0; i < RECEIVES; i++)
		post_receive(i);
}

static void serve(void)
{
	struct fi_eq_cm_entry entry;

	must("fi_passive_ep", fi_passive_ep(fabric, info, &pep, NULL));
	must("fi_pep_bind", fi_pep_bind(pep, &eq->fid, 0));
	must("fi_listen", fi_listen(pep));
	await_event(FI_CONNREQ, &entry);
	endpoint_open(entry.info);
	must("fi_accept", fi_accept(ep, NULL, 0));
	fi_freeinfo(entry.info);
	await_event(FI_CONNECTED, &entry);
}

static void dial(void)
{
	struct fi_eq_cm_entry entry;

	endpoint_open(info);
	must("fi_connect", fi_connect(ep, info->dest_addr, NULL, 0));
	await_event(FI_CONNECTED, &entry);
}

/* ------------------------------------------------------------------------------- the rounds */

static uint8_t pattern(size_t i, unsigned seed)
{
	return (uint8_t)(i * 7 + (i >> 8) + seed * 31);
}

static void fill(uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = pattern(i, seed);
}

static void check(const char *what, const uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] == pattern(i, seed))
			continue;
		fprintf(stderr, "rma_peer: %s of %zu bytes: byte %zu is %02x, not %02x\n", what,
			len, i, at[i], pattern(i, seed));
		exit(1);
	}
}

/* Writes to the other end, which then reads what is here. */
static void lead(size_t len, unsigned seed)
{
	fill(memory.other, len, seed);
	must("fi_write", fi_write(ep, memory.other, len, fi_mr_desc(mr), 0, peer_addr + OFFSET,
				  peer_key, &sending));
	await_sent("a write");
	fill(memory.mine + OFFSET, len, seed + 1);
	send_message();
	await_message();
}

static void follow(size_t len, unsigned seed)
{
	await_message();
	check("a write", memory.mine + OFFSET, len, seed);
	memset(memory.other, 0, len);
	must("fi_read", fi_read(ep, memory.other, len, fi_mr_desc(mr), 0, peer_addr + OFFSET,
				peer_key, &sending));
	await_sent("a read");
	check("a read", memory.other, len, seed + 1);
	send_message();
}

static void rounds(bool server)
{
	static const size_t sizes[] = { 1, 64, 1447, 4096, 70001, LARGEST };

	send_message();
	await_message();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(server ? follow : lead)(sizes[i], 4 * i);
		(server ? lead : follow)(sizes[i], 4 * i + 2);
		printf("%zu bytes written and read, both ways\n", sizes[i]);
	}
}

/* A read of what is not there fails, here, and is the connection's end, for both. */
static void end(bool server)
{
	struct fi_eq_cm_entry entry;
	bool sent;

	if (!server) {
		must("fi_read", fi_read(ep, memory.other, 8, fi_mr_desc(mr), 0, peer_addr,
					peer_key ^ 0x5a5a00, &sending));
		if (!next_completion(&sent)) {
			fprintf(stderr, "rma_peer: a read from nowhere succeeded\n");
			exit(1);
		}
	}
	await_event(FI_SHUTDOWN, &entry);
	printf("a read from nowhere ended the connection\n");
}

static void close_fid(void *fid)
{
	if (fid)
		must("fi_close", fi_close(fid));
}

int main(int argc, char **argv)
{
	bool server = argc == 5 && !strcmp(argv[2], "server");

	if (argc != 5 || (!server && strcmp(argv[2], "client"))) {
		fprintf(stderr, "usage: rma_peer PROVIDER server|client ADDRESS PORT\n");
		return 2;
	}
	domain_open(argv[1], server, argv[3], argv[4]);
	(server ? serve : dial)();
	rounds(server);
	end(server);
	close_fid(ep);
	close_fid(mr);
	close_fid(cq);
	close_fid(domain);
	close_fid(pep);
	close_fid(eq);
	close_fid(fabric);
	fi_freeinfo(info);
	return 0;
}
