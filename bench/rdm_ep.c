/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rdm_ep.c - opening RDM endpoints, whatever the provider wants to have with them. */
#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "fi.h"
#include "link.h"
#include "rdm.h"

#define API FI_VERSION(1, 17)
#define CQ_SIZE 8192
#define KEY 7
#define NAME_MAX_BYTES 256

bool rdm_na(struct rdm_job *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(j->na, sizeof(j->na), fmt, ap);
	va_end(ap);
	return false;
}

static bool failed(struct rdm_job *j, ssize_t ret, const char *what)
{
	if (ret)
		rdm_na(j, "%s: %s", what, fi_strerror((int)-ret));
	return ret;
}

/* ------------------------------------------------------------------------ what is asked */

static struct fi_info *hints_for(const struct rdm_job *j, const struct rdm_want *w)
{
	struct fi_info *h = fi_allocinfo();

	if (!h)
		die("no memory");
	h->caps = FI_MSG | FI_TAGGED | w->caps;
	h->mode = FI_CONTEXT | FI_CONTEXT2;
	h->ep_attr->type = FI_EP_RDM;
	h->tx_attr->op_flags = w->op_flags;
	h->tx_attr->msg_order = h->rx_attr->msg_order = FI_ORDER_SAS;
	h->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	h->tx_attr->size = h->rx_attr->size = w->queue;
	if (w->auto_progress)
		h->domain_attr->data_progress = FI_PROGRESS_AUTO;
	h->fabric_attr->prov_name = strdup(j->provider);
	return h;
}

/* The provider's name alone: FI_PROVIDER has no layers in it. */
static void start_only(const char *provider)
{
	char name[64];

	snprintf(name, sizeof(name), "%s", provider);
	name[strcspn(name, ";")] = '\0';
	setenv("FI_PROVIDER", name, 1);
}

/* fi_tostr() has one buffer. */
static void describe(struct rdm_job *j, const struct fi_info *i)
{
	uint32_t version = fi_version();
	char protocol[32], threading[32];

	j->manual = i->domain_attr->data_progress == FI_PROGRESS_MANUAL;
	snprintf(protocol, sizeof(protocol), "%s",
		 fi_tostr(&i->ep_attr->protocol, FI_TYPE_PROTOCOL));
	snprintf(threading, sizeof(threading), "%s",
		 fi_tostr(&i->domain_attr->threading, FI_TYPE_THREADING));
	snprintf(j->about, sizeof(j->about), "%s;%s (libfabric %u.%u, %s, %s)",
		 i->fabric_attr->prov_name, protocol, FI_MAJOR(version), FI_MINOR(version),
		 threading, fi_tostr(&i->domain_attr->data_progress, FI_TYPE_PROGRESS));
}

/* The first entry is what any program would get. */
static bool find(struct rdm *r, struct rdm_job *j, const struct rdm_want *w)
{
	struct fi_info *hints = hints_for(j, w);
	int ret;

	start_only(j->provider);
	ret = fi_getinfo(API, "127.0.0.1", NULL, FI_SOURCE, hints, &r->info);
	if (ret)
		rdm_na(j, "%s has no RDM endpoint with %s%s: %s", j->provider,
		       fi_tostr(&hints->caps, FI_TYPE_CAPS), w->op_flags ? " and its flags" : "",
		       fi_strerror(-ret));
	else
		describe(j, r->info);
	fi_freeinfo(hints);
	return !ret;
}

/* ------------------------------------------------------------------------------ opening */

static void allocate(struct rdm *r, size_t size)
{
	size_t contexts = 2 * RDM_CONTEXTS * sizeof(*r->contexts);

	r->memory_size = size;
	r->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r->contexts =
		mmap(NULL, contexts, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->memory == MAP_FAILED || r->contexts == MAP_FAILED)
		die("no memory");
	memset(r->memory, 0, size);
}

bool rdm_open_domain(struct rdm *r, struct rdm_job *j, const struct rdm_want *w)
{
	struct fi_cq_attr cq = { .size = CQ_SIZE,
				 .format = FI_CQ_FORMAT_TAGGED,
				 .wait_obj = FI_WAIT_NONE };
	struct fi_av_attr av = { .type = FI_AV_TABLE };

	if (!find(r, j, w))
		return false;
	allocate(r, w->memory);
	return !(failed(j, fi_fabric(r->info->fabric_attr, &r->fabric, NULL), "fi_fabric") ||
		 failed(j, fi_domain(r->fabric, r->info, &r->domain, NULL), "fi_domain") ||
		 failed(j, fi_cq_open(r->domain, &cq, &r->cq, NULL), "fi_cq_open") ||
		 failed(j, fi_av_open(r->domain, &av, &r->av, NULL), "fi_av_open"));
}

bool rdm_open_endpoint(struct rdm *r, struct rdm_job *j, struct fid_ep **ep)
{
	return !(failed(j, fi_endpoint(r->domain, r->info, ep, NULL), "fi_endpoint") ||
		 failed(j, fi_ep_bind(*ep, &r->av->fid, 0), "fi_ep_bind to the AV") ||
		 failed(j, fi_ep_bind(*ep, &r->cq->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind") ||
		 failed(j, fi_enable(*ep), "fi_enable"));
}

static bool register_memory(struct rdm *r, struct rdm_job *j, uint64_t access)
{
	if (failed(j,
		   fi_mr_reg(r->domain, r->memory, r->memory_size, FI_SEND | FI_RECV | access, 0,
			     KEY, 0, &r->mr, NULL),
		   "fi_mr_reg"))
		return false;
	r->desc = fi_mr_desc(r->mr);
	return true;
}

bool rdm_agree(struct rdm_job *j, bool able, int ctrl)
{
	char mine = able, other = 0;

	if (ctrl_send(ctrl, &mine, 1) || ctrl_recv(ctrl, &other, 1))
		die("%s: the other process is gone", j->provider);
	return mine && other;
}

struct card {
	char name[NAME_MAX_BYTES];
	uint64_t address, key;
};

static void exchange_addresses(struct rdm *r, int ctrl)
{
	bool virt = r->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	struct card mine = { .address = virt ? (uintptr_t)r->memory : 0, .key = fi_mr_key(r->mr) };
	struct card other;
	size_t len = sizeof(mine.name);

	fi_must(fi_getname(&r->ep->fid, mine.name, &len), "fi_getname");
	if (ctrl_send(ctrl, &mine, sizeof(mine)) || ctrl_recv(ctrl, &other, sizeof(other)))
		die("the other process is gone");
	if (fi_av_insert(r->av, other.name, 1, &r->peer, 0, NULL) != 1)
		die("fi_av_insert: the address was not taken");
	r->peer_address = other.address;
	r->peer_key = other.key;
}

bool rdm_open(struct rdm *r, struct rdm_job *j, const struct rdm_want *w, int ctrl)
{
	bool able;

	memset(r, 0, sizeof(*r));
	able = rdm_open_domain(r, j, w) && rdm_open_endpoint(r, j, &r->ep) &&
	       register_memory(r, j, w->access);
	if (!rdm_agree(j, able, ctrl))
		return false;
	exchange_addresses(r, ctrl);
	return true;
}

void rdm_close(struct rdm *r)
{
	fi_close(&r->ep->fid);
	fi_close(&r->mr->fid);
	fi_close(&r->av->fid);
	fi_close(&r->cq->fid);
	fi_close(&r->domain->fid);
	fi_close(&r->fabric->fid);
	fi_freeinfo(r->info);
	munmap(r->memory, r->memory_size);
	munmap(r->contexts, 2 * RDM_CONTEXTS * sizeof(*r->contexts));
}
