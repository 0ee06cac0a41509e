/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* fi.c - libfabric objects up to connected message endpoints. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fi.h"
#include "link.h"

#define API FI_VERSION(1, 17)
#define CM_TIMEOUT_MS 10000

void fi_must(ssize_t ret, const char *what)
{
	if (ret)
		die("%s: %s", what, fi_strerror((int)-ret));
}

/* Nothing but what is asked for may answer; FI_PROVIDER also keeps others from starting. */
static struct fi_info *hints_for(const char *provider)
{
	struct fi_info *h = fi_allocinfo();

	if (!h)
		die("no memory");
	setenv("FI_PROVIDER", provider, 1);
	h->caps = FI_MSG;
	h->ep_attr->type = FI_EP_MSG;
	h->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	h->fabric_attr->prov_name = strdup(provider);
	return h;
}

static struct fi_info *find(const char *provider, const char *service, uint64_t flags)
{
	struct fi_info *hints = hints_for(provider), *info;

	fi_must(fi_getinfo(API, "127.0.0.1", service, flags, hints, &info), "fi_getinfo");
	fi_freeinfo(hints);
	if (strcmp(info->fabric_attr->prov_name, provider))
		die("asked for %s, got %s", provider, info->fabric_attr->prov_name);
	return info;
}

static void open_fabric(struct fi_parts *p)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_UNSPEC };

	fi_must(fi_fabric(p->info->fabric_attr, &p->fabric, NULL), "fi_fabric");
	fi_must(fi_eq_open(p->fabric, &attr, &p->eq, NULL), "fi_eq_open");
}

static void open_domain(struct fi_parts *p, struct fi_info *info)
{
	struct fi_cq_attr attr = {
		.size = p->cq_size ? p->cq_size : 1024,
		.format = FI_CQ_FORMAT_MSG,
		.wait_obj = FI_WAIT_NONE,
	};

	fi_must(fi_domain(p->fabric, info, &p->domain, NULL), "fi_domain");
	fi_must(fi_cq_open(p->domain, &attr, &p->cq, NULL), "fi_cq_open");
}

struct fid_pep *fi_parts_listen(struct fi_parts *p, const char *provider, int ctrl)
{
	struct sockaddr_in sa;
	size_t len = sizeof(sa);
	struct fid_pep *pep;

	p->info = find(provider, NULL, FI_SOURCE);
	open_fabric(p);
	fi_must(fi_passive_ep(p->fabric, p->info, &pep, NULL), "fi_passive_ep");
	fi_must(fi_pep_bind(pep, &p->eq->fid, 0), "fi_pep_bind");
	fi_must(fi_listen(pep), "fi_listen");
	fi_must(fi_getname(&pep->fid, &sa, &len), "fi_getname");
	if (ctrl_send(ctrl, &sa, sizeof(sa)))
		die("%s: the client is gone", provider);
	return pep;
}

void fi_parts_reach(struct fi_parts *p, const char *provider, int ctrl)
{
	struct sockaddr_in sa;
	char port[8];

	if (ctrl_recv(ctrl, &sa, sizeof(sa)))
		die("%s: the server is gone", provider);
	snprintf(port, sizeof(port), "%u", ntohs(sa.sin_port));
	p->info = find(provider, port, 0);
	open_fabric(p);
	open_domain(p, p->info);
}

/* The next event, which must be @want. */
static void cm_event(struct fi_parts *p, uint32_t want, struct fi_eq_cm_entry *entry)
{
	struct fi_eq_err_entry err = { 0 };
	uint32_t event = 0;
	ssize_t n = fi_eq_sread(p->eq, &event, entry, sizeof(*entry), CM_TIMEOUT_MS, 0);

	if (n == -FI_EAVAIL) {
		fi_eq_readerr(p->eq, &err, 0);
		fi_must(-err.err, "connection");
	}
	if (n < 0)
		fi_must(n, "fi_eq_sread");
	if (event != want)
		die("fi_eq_sread: event %u, not %u", event, want);
}

static struct fid_ep *endpoint(struct fi_parts *p, struct fi_info *info)
{
	struct fid_ep *ep;

	fi_must(fi_endpoint(p->domain, info, &ep, NULL), "fi_endpoint");
	fi_must(fi_ep_bind(ep, &p->eq->fid, 0), "fi_ep_bind to the event queue");
	fi_must(fi_ep_bind(ep, &p->cq->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
	fi_must(fi_enable(ep), "fi_enable");
	return ep;
}

struct fid_ep *fi_parts_accept(struct fi_parts *p)
{
	struct fi_eq_cm_entry entry;
	struct fid_ep *ep;

	cm_event(p, FI_CONNREQ, &entry);
	if (!p->domain)
		open_domain(p, entry.info);
	ep = endpoint(p, entry.info);
	fi_must(fi_accept(ep, NULL, 0), "fi_accept");
	fi_freeinfo(entry.info);
	cm_event(p, FI_CONNECTED, &entry);
	return ep;
}

struct fid_ep *fi_parts_connect(struct fi_parts *p)
{
	struct fid_ep *ep = endpoint(p, p->info);
	struct fi_eq_cm_entry entry;

	fi_must(fi_connect(ep, p->info->dest_addr, NULL, 0), "fi_connect");
	cm_event(p, FI_CONNECTED, &entry);
	return ep;
}

void fi_parts_close(struct fi_parts *p)
{
	fi_close(&p->cq->fid);
	fi_close(&p->domain->fid);
	fi_close(&p->eq->fid);
	fi_close(&p->fabric->fid);
	fi_freeinfo(p->info);
}
