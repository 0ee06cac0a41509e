/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* link_fi.c - a link of libfabric message endpoints. */
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fi.h"
#include "link.h"

struct fi_link {
	struct link l;
	struct fi_parts p;
	struct fid_pep *pep;
	struct fid_ep *ep;
	struct fid_mr *mr;
	void *desc;
};

static struct fi_link *fi_link_of(struct link *l)
{
	return (struct fi_link *)l;
}

static void describe(struct fi_link *f)
{
	const struct fi_info *i = f->p.info;
	char protocol[32], threading[32];

	snprintf(protocol, sizeof(protocol), "%s",
		 fi_tostr(&i->ep_attr->protocol, FI_TYPE_PROTOCOL));
	snprintf(threading, sizeof(threading), "%s",
		 fi_tostr(&i->domain_attr->threading, FI_TYPE_THREADING));
	snprintf(f->l.about, sizeof(f->l.about), "%s;%s (provider %u.%u, %s)",
		 i->fabric_attr->prov_name, protocol, FI_MAJOR(i->fabric_attr->prov_version),
		 FI_MINOR(i->fabric_attr->prov_version), threading);
}

static void register_memory(struct fi_link *f)
{
	fi_must(fi_mr_reg(f->p.domain, f->l.memory, LINK_MEMORY, FI_SEND | FI_RECV, 0, 1, 0, &f->mr,
			  NULL),
		"fi_mr_reg");
	f->desc = fi_mr_desc(f->mr);
}

static struct link *fi_link_open(const char *provider, bool server, int ctrl)
{
	struct fi_link *f = link_alloc(sizeof(*f), &link_fi);

	if (server) {
		f->pep = fi_parts_listen(&f->p, provider, ctrl);
		f->ep = fi_parts_accept(&f->p);
	} else {
		fi_parts_reach(&f->p, provider, ctrl);
		f->ep = fi_parts_connect(&f->p);
	}
	register_memory(f);
	describe(f);
	link_refill(&f->l);
	if (ctrl_meet(ctrl))
		die("%s: the peer is gone", provider);
	return &f->l;
}

static bool fi_link_send(struct link *l, const void *buf)
{
	struct fi_link *f = fi_link_of(l);
	ssize_t ret = fi_send(f->ep, buf, LINK_MESSAGE, f->desc, 0, NULL);

	if (ret && ret != -FI_EAGAIN)
		fi_must(ret, "fi_send");
	return !ret;
}

static bool fi_link_inject(struct link *l, const void *buf)
{
	ssize_t ret = fi_inject(fi_link_of(l)->ep, buf, LINK_MESSAGE, 0);

	if (ret && ret != -FI_EAGAIN)
		fi_must(ret, "fi_inject");
	/* no completion will come, and the memory is free already */
	l->sent += !ret;
	return !ret;
}

static void fi_link_recv(struct link *l, void *buf)
{
	struct fi_link *f = fi_link_of(l);

	fi_must(fi_recv(f->ep, buf, LINK_MESSAGE, f->desc, 0, NULL), "fi_recv");
}

static void fi_link_poll(struct link *l)
{
	struct fi_cq_msg_entry e[16];
	struct fi_link *f = fi_link_of(l);
	ssize_t n = fi_cq_read(f->p.cq, e, 16);

	if (n == -FI_EAGAIN)
		return;
	fi_must(n < 0 ? n : 0, "fi_cq_read");
	for (ssize_t i = 0; i < n; i++) {
		if (e[i].flags & FI_RECV)
			l->received++;
		else
			l->sent++;
	}
}

static int64_t fi_link_counter(struct link *l, const char *name)
{
	(void)l;
	(void)name;
	return -1;
}

static void fi_link_close(struct link *l)
{
	struct fi_link *f = fi_link_of(l);

	fi_close(&f->ep->fid);
	fi_close(&f->mr->fid);
	if (f->pep)
		fi_close(&f->pep->fid);
	fi_parts_close(&f->p);
	link_free(l);
}

const struct link_ops link_fi = {
	.name = "libfabric",
	.open = fi_link_open,
	.send = fi_link_send,
	.inject = fi_link_inject,
	.recv = fi_link_recv,
	.poll = fi_link_poll,
	.counter = fi_link_counter,
	.close = fi_link_close,
};
