/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * provider_pair.h - for the provider's tests: libfabric objects over loopback, opened by public
 * calls only, and a connected pair of endpoints, each under a fabric (so an engine) of its own.
 */
#ifndef PROVIDER_PAIR_H
#define PROVIDER_PAIR_H

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>
#include <rdma/fi_trigger.h>

#include "tests/unit/test_host.h"

#define API FI_VERSION(1, 17)
#define WAIT_MS 20000
#define CM_DATA_MAX 160

#define ok(call) assert_int_equal((call), 0)
#define fails(call, err) assert_int_equal((call), -(err))

/* What a test wants to be other than usual. */
struct options {
	enum fi_cq_format format;
	enum fi_wait_obj wait_obj;
	uint64_t bind_flags; /* FI_SELECTIVE_COMPLETION */
	uint64_t tx_op_flags;
	enum fi_threading threading;
	size_t cq_size, tx_size, rx_size;
	size_t inject; /* 0: whatever the domain has */
	int one_cq;    /* for both directions */
	int family;    /* AF_INET6; else IPv4 */
	uint64_t caps; /* 0: FI_MSG */
};

struct side {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_eq *eq;
	struct fid_domain *domain;
	struct fid_cq *tx_cq, *rx_cq;
	struct fid_ep *ep;
};

struct pair {
	struct options opt;
	struct side server, client;
	struct fid_pep *pep;
	struct fi_info *request; /* of the FI_CONNREQ */
};

/* An event with room for connection data behind it. */
struct cm_event {
	struct fi_eq_cm_entry entry;
	uint8_t data[CM_DATA_MAX + 16];
};

/* The provider of this build, and no other. Before the first libfabric call. */
static inline void use_built_provider(void)
{
	const char *dir = getenv("ETA_LIB_DIR");

	setenv("FI_PROVIDER_PATH", dir ? dir : "build/lib", 1);
	setenv("FI_PROVIDER", "eta", 1);
	unsetenv("FI_ETA_IFACE");
}

static inline struct fi_info *hints_new(void)
{
	struct fi_info *hints = fi_allocinfo();

	assert_non_null(hints);
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = FI_MSG;
	hints->fabric_attr->prov_name = strdup("eta");
	hints->domain_attr->name = strdup(test_domain());
	return hints;
}

static inline struct fi_info *info_get(const struct options *opt)
{
	struct fi_info *hints = hints_new(), *info;

	hints->addr_format = opt->family == AF_INET6 ? FI_SOCKADDR_IN6 : FI_SOCKADDR_IN;
	hints->domain_attr->threading = opt->threading;
	hints->tx_attr->size = opt->tx_size;
	hints->tx_attr->inject_size = opt->inject;
	hints->rx_attr->size = opt->rx_size;
	hints->tx_attr->op_flags = opt->tx_op_flags;
	if (opt->caps)
		hints->caps = opt->caps;
	ok(fi_getinfo(API, NULL, NULL, 0, hints, &info));
	fi_freeinfo(hints);
	return info;
}

static inline void fabric_open(struct side *s, const struct options *opt)
{
	struct fi_eq_attr eq = { .wait_obj = opt->wait_obj ? opt->wait_obj : FI_WAIT_UNSPEC,
				 .flags = FI_WRITE };

	ok(fi_fabric(s->info->fabric_attr, &s->fabric, s));
	ok(fi_eq_open(s->fabric, &eq, &s->eq, s));
}

static inline void endpoint_open(struct side *s, const struct options *opt, struct fi_info *info)
{
	struct fi_cq_attr cq = { .format = opt->format,
				 .wait_obj = opt->wait_obj ? opt->wait_obj : FI_WAIT_UNSPEC,
				 .size = opt->cq_size };

	ok(fi_domain(s->fabric, info, &s->domain, s));
	ok(fi_cq_open(s->domain, &cq, &s->tx_cq, s));
	if (opt->one_cq)
		s->rx_cq = s->tx_cq;
	else
		ok(fi_cq_open(s->domain, &cq, &s->rx_cq, s));
	ok(fi_endpoint(s->domain, info, &s->ep, s));
	ok(fi_ep_bind(s->ep, &s->eq->fid, 0));
	ok(fi_ep_bind(s->ep, &s->tx_cq->fid, FI_TRANSMIT | opt->bind_flags));
	ok(fi_ep_bind(s->ep, &s->rx_cq->fid, FI_RECV | opt->bind_flags));
	ok(fi_enable(s->ep));
}

static inline void close_fid(void *fid)
{
	if (fid)
		ok(fi_close(fid));
}

static inline void side_close(struct side *s)
{
	close_fid(s->ep);
	close_fid(s->tx_cq);
	if (s->rx_cq != s->tx_cq)
		close_fid(s->rx_cq);
	close_fid(s->domain);
	close_fid(s->eq);
	close_fid(s->fabric);
	fi_freeinfo(s->info);
	memset(s, 0, sizeof(*s));
}

/* Waits for this event; returns how many bytes of connection data came with it. */
static inline size_t expect_event(struct fid_eq *eq, uint32_t type, struct cm_event *out)
{
	struct cm_event ev;
	uint32_t event = ~0u;
	ssize_t n = fi_eq_sread(eq, &event, &ev, sizeof(ev), WAIT_MS, 0);

	assert_true(n >= (ssize_t)sizeof(ev.entry));
	assert_int_equal(event, type);
	if (out)
		*out = ev;
	return n - sizeof(ev.entry);
}

/* Both sides up to the server's listening endpoint. */
static inline void pair_listen(struct pair *p)
{
	p->server.info = info_get(&p->opt);
	p->client.info = info_get(&p->opt);
	fabric_open(&p->server, &p->opt);
	fabric_open(&p->client, &p->opt);
	ok(fi_passive_ep(p->server.fabric, p->server.info, &p->pep, p));
	ok(fi_pep_bind(p->pep, &p->server.eq->fid, 0));
	ok(fi_listen(p->pep));
	endpoint_open(&p->client, &p->opt, p->client.info);
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static inline union address listen_address(struct pair *p)
{
	union address addr;
	size_t len = sizeof(addr);

	ok(fi_getname(&p->pep->fid, &addr, &len));
	return addr;
}

/* The client asks; the server has the request in p->request. Returns the data that came along. */
static inline size_t pair_request(struct pair *p, const void *data, size_t len,
				  struct cm_event *out)
{
	union address addr = listen_address(p);
	struct cm_event ev;
	size_t n;

	ok(fi_connect(p->client.ep, &addr, data, len));
	n = expect_event(p->server.eq, FI_CONNREQ, &ev);
	assert_ptr_equal(ev.entry.fid, &p->pep->fid);
	assert_non_null(ev.entry.info);
	p->request = ev.entry.info;
	if (out)
		*out = ev;
	return n;
}

static inline size_t pair_accept(struct pair *p, const void *data, size_t len, struct cm_event *out)
{
	struct cm_event ev;
	size_t n;

	endpoint_open(&p->server, &p->opt, p->request);
	ok(fi_accept(p->server.ep, data, len));
	expect_event(p->server.eq, FI_CONNECTED, &ev);
	assert_ptr_equal(ev.entry.fid, &p->server.ep->fid);
	n = expect_event(p->client.eq, FI_CONNECTED, &ev);
	assert_ptr_equal(ev.entry.fid, &p->client.ep->fid);
	if (out)
		*out = ev;
	return n;
}

static inline struct pair *pair_open(const struct options *opt)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->opt = *opt;
	pair_listen(p);
	pair_request(p, NULL, 0, NULL);
	pair_accept(p, NULL, 0, NULL);
	return p;
}

static inline void pair_close(struct pair *p)
{
	close_fid(p->pep);
	side_close(&p->client);
	side_close(&p->server);
	fi_freeinfo(p->request);
	free(p);
}

/* One completion; fails on anything else. */
/*
 * Endpoints whose engines use the program's memory for their peers. What is done at the one end has been
 * done in order at the other, by a message through the kernel, of which ThreadSanitizer knows nothing; a call
 * that takes that engine's turn it understands.
 */
static struct fid_ep *ordered[2];

static inline void order(void)
{
	char name[64];

	for (unsigned i = 0; i < 2; i++) {
		size_t len = sizeof(name);

		if (ordered[i])
			ok(fi_getname(&ordered[i]->fid, name, &len));
	}
}

static inline void expect_comp(struct fid_cq *cq, struct fi_cq_tagged_entry *out)
{
	struct fi_cq_tagged_entry e;

	memset(&e, 0xee, sizeof(e));
	assert_int_equal(fi_cq_sread(cq, &e, 1, NULL, WAIT_MS), 1);
	if (out)
		*out = e;
	order();
}

static inline void expect_error(struct fid_cq *cq, int err, struct fi_cq_err_entry *out)
{
	struct fi_cq_tagged_entry e;
	struct fi_cq_err_entry error = { 0 };

	fails(fi_cq_sread(cq, &e, 1, NULL, WAIT_MS), FI_EAVAIL);
	/* and again, until it is taken */
	fails(fi_cq_read(cq, &e, 1), FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(cq, &error, 0), 1);
	assert_int_equal(error.err, err);
	if (out)
		*out = error;
}

#endif
