/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rdm_io.c - sending, receiving and polling on an RDM endpoint; counting is enough. */
#include <poll.h>
#include <rdma/fi_errno.h>

#include "bench.h"
#include "fi.h"
#include "link.h"
#include "rdm.h"

#define TAG 1

void *rdm_send_context(struct rdm *r)
{
	return &r->contexts[r->sends % RDM_CONTEXTS];
}

static ssize_t sent(struct rdm *r, ssize_t ret, const char *what)
{
	if (ret && ret != -FI_EAGAIN)
		fi_must(ret, what);
	r->sends += !ret;
	return ret;
}

ssize_t rdm_try_send(struct rdm *r, const void *buf, size_t len)
{
	return sent(r, fi_tsend(r->ep, buf, len, r->desc, r->peer, TAG, rdm_send_context(r)),
		    "fi_tsend");
}

/* No completion will come, and the memory is free on return. */
ssize_t rdm_try_inject(struct rdm *r, const void *buf, size_t len)
{
	ssize_t ret = sent(r, fi_tinject(r->ep, buf, len, r->peer, TAG), "fi_tinject");

	r->sent += !ret;
	return ret;
}

void rdm_send(struct rdm *r, const void *buf, size_t len)
{
	while (rdm_try_send(r, buf, len))
		rdm_poll(r);
}

void rdm_inject(struct rdm *r, const void *buf, size_t len)
{
	while (rdm_try_inject(r, buf, len))
		rdm_poll(r);
}

bool rdm_recv(struct rdm *r, void *buf, size_t len)
{
	void *context = &r->contexts[RDM_CONTEXTS + r->recvs % RDM_CONTEXTS];
	ssize_t ret = fi_trecv(r->ep, buf, len, r->desc, FI_ADDR_UNSPEC, TAG, 0, context);

	if (ret == -FI_EAGAIN)
		return false;
	fi_must(ret, "fi_trecv");
	r->recvs++;
	return true;
}

static void error_completion(struct rdm *r)
{
	struct fi_cq_err_entry e = { 0 };

	fi_cq_readerr(r->cq, &e, 0);
	die("%s: error completion: %s", r->info->fabric_attr->prov_name, fi_strerror(e.err));
}

void rdm_poll(struct rdm *r)
{
	struct fi_cq_tagged_entry e[16];
	ssize_t n = fi_cq_read(r->cq, e, 16);

	if (n == -FI_EAGAIN)
		return;
	if (n == -FI_EAVAIL)
		error_completion(r);
	fi_must(n < 0 ? n : 0, "fi_cq_read");
	for (ssize_t i = 0; i < n; i++) {
		if (!(e[i].flags & FI_RECV)) {
			r->sent++;
			continue;
		}
		r->received++;
		if (r->length && e[i].len != r->length)
			die("a message of %zu bytes, not %zu", e[i].len, r->length);
	}
}

void rdm_poll_until(struct rdm *r, int64_t when)
{
	do {
		rdm_poll(r);
	} while (now_ns() < when);
}

void rdm_wait_sent(struct rdm *r, uint64_t n)
{
	while (r->sent < n)
		rdm_poll(r);
}

void rdm_wait_received(struct rdm *r, uint64_t n)
{
	while (r->received < n)
		rdm_poll(r);
}

void rdm_take(struct rdm *r)
{
	rdm_wait_received(r, ++r->taken);
}

void rdm_meet(struct rdm *r, int ctrl)
{
	struct pollfd p = { .fd = ctrl, .events = POLLIN };
	char c = 0;

	if (ctrl_send(ctrl, &c, 1))
		die("the other process is gone");
	while (poll(&p, 1, 0) == 0)
		rdm_poll(r);
	if (ctrl_recv(ctrl, &c, 1))
		die("the other process is gone");
	/* what came with the last answer to the other one's polling */
	rdm_poll(r);
}

void rdm_refill(struct rdm *r, struct rdm_places p)
{
	while (r->recvs < r->received + p.n)
		if (!rdm_recv(r, rdm_place(r, p, r->recvs), p.size))
			return;
}

void rdm_exchange(struct rdm *r, struct rdm_places p, bool answers, unsigned n)
{
	const uint8_t *from = r->memory + p.n * p.size;

	for (unsigned i = 0; i < n; i++) {
		rdm_refill(r, p);
		if (answers)
			rdm_take(r);
		rdm_send(r, from, RDM_MESSAGE);
		if (!answers)
			rdm_take(r);
		rdm_wait_sent(r, r->sends);
	}
	rdm_refill(r, p);
}
