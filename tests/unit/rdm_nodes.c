/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rdm_nodes.c - see rdm_nodes.h. */
#include "tests/unit/rdm_nodes.h"
#include "tests/unit/test_host.h"

#include <time.h>

struct node nodes[NODES];

static void ok(int err)
{
	assert_int_equal(err, 0);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------- nodes */

static void count_all(struct node *n)
{
	static const unsigned what[] = { PPE_COUNT_SEND,        PPE_COUNT_RECV,
					 PPE_COUNT_WRITE,       PPE_COUNT_READ,
					 PPE_COUNT_REMOTE_READ, PPE_COUNT_REMOTE_WRITE };
	struct ppe_cntr **c[] = { &n->sent, &n->received, &n->wrote,
				  &n->read, &n->was_read, &n->was_written };

	for (unsigned i = 0; i < 6; i++) {
		if (!*c[i])
			ok(ppe_cntr_create(n->ual, c[i]));
		ok(ppe_dti_count(n->dti, what[i], *c[i]));
	}
}

void node_endpoint(unsigned i, const struct node_attr *a)
{
	struct node *n = &nodes[i];
	struct ppe_dti_attr attr = {
		.service = PPE_MESSAGE,
		.sq_slots = a->slots ? a->slots : 256,
		.rq_slots = a->slots ? a->slots : 256,
		.tx_evq = n->q[TX],
		.rx_evq = n->q[RX],
		.pd = n->pd,
		.av = a->connected ? NULL : n->av,
		.auth = a->auth,
		.auth_len = a->auth ? strlen(a->auth) : 0,
		.tx_max = a->tx_max,
		.rx_max = a->rx_max,
		.peer_timeout_ns = a->peer_timeout_ns,
		.connect_timeout_ns = a->connect_timeout_ns,
	};
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(a->port),
				  .sin_addr.s_addr = test_host_addr() };

	ok(ppe_dti_create(n->ual, &attr, &n->dti));
	count_all(n);
	if (a->connected)
		return;
	ok(ppe_dti_bind(n->dti, (void *)&sa, sizeof(sa)));
	ok(ppe_dti_listen(n->dti, 16));
	ok(ppe_dti_local(n->dti, &n->addr));
}

/* A ring cannot change owners: a thread that has it to itself, in place of one that comes and goes. */
static const char *placement_of(const struct node_attr *a)
{
	const char *fabric = getenv("ETA_FABRIC");

	if (fabric && a->placement && !strcmp(fabric, "uring") && !strcmp(a->placement, "adaptive"))
		return "dedicated";
	return a->placement;
}

void node_open(unsigned i, const struct node_attr *a)
{
	struct node *n = &nodes[i];
	struct ppe_ual_attr attr = { .placement = placement_of(a) };
	struct ppe_evq_attr evq = { .size = a->evq_size };

	memset(n, 0, sizeof(*n));
	ok(ppe_ual_open(&attr, &n->ual));
	ok(ppe_evq_create(n->ual, &evq, &n->q[TX]));
	ok(ppe_evq_create(n->ual, &evq, &n->q[RX]));
	ok(ppe_av_create(n->ual, &n->av));
	ok(ppe_pd_create(n->ual, &n->pd));
	ok(ppe_mr_register(n->ual, NULL, SIZE_MAX, PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE,
			   &n->all));
	node_endpoint(i, a);
}

void node_close(unsigned i)
{
	struct node *n = &nodes[i];

	if (!n->ual)
		return;
	ppe_ual_close(n->ual);
	free(n->got[TX].ev);
	free(n->got[RX].ev);
	memset(n, 0, sizeof(*n));
}

void nodes_close(void)
{
	for (unsigned i = 0; i < NODES; i++)
		node_close(i);
}

uint32_t node_meet(unsigned i, unsigned whom)
{
	const union fab_addr *a = &nodes[whom].addr;
	uint32_t number;

	ok(ppe_av_insert(nodes[i].av, &a->sa, sizeof(a->in), &number));
	return number;
}

void node_settled(unsigned i)
{
	struct node *n = &nodes[i];
	uint32_t reserved;

	turn_lock(n->ual);
	reserved = n->q[TX]->reserved + n->q[RX]->reserved;
	turn_unlock(n->ual);
	assert_int_equal(reserved, 0);
}

/* ------------------------------------------------------------------------------ events */

static void keep(struct events *e, const struct ppe_event *ev)
{
	if (e->first && e->first == e->count)
		e->first = e->count = 0;
	if (e->count == e->room) {
		e->room = e->room ? 2 * e->room : 64;
		e->ev = realloc(e->ev, e->room * sizeof(*e->ev));
		assert_non_null(e->ev);
	}
	e->ev[e->count++] = *ev;
}

void pump(void)
{
	struct ppe_event ev[8];

	for (unsigned i = 0; i < NODES; i++) {
		for (int q = 0; q < 2 && nodes[i].ual; q++) {
			int n = ppe_evq_read(nodes[i].q[q], ev, 8);

			for (int k = 0; k < n; k++)
				keep(&nodes[i].got[q], &ev[k]);
		}
	}
}

void pump_for(unsigned ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		pump();
}

struct ppe_event next_event(unsigned i, int q)
{
	struct events *e = &nodes[i].got[q];

	pump_until(e->first < e->count);
	return e->ev[e->first++];
}

struct ppe_event expect_event(unsigned i, int q, enum ppe_event_type type, uint64_t tag, int status)
{
	struct ppe_event ev = next_event(i, q);

	if (ev.type != type || ev.user_tag != tag || ev.status != status)
		fail_msg("node %u: type %d tag %lu status %d, expected type %d tag %lu status %d",
			 i, ev.type, (unsigned long)ev.user_tag, ev.status, type,
			 (unsigned long)tag, status);
	return ev;
}

void expect_nothing(unsigned i, unsigned ms)
{
	pump_for(ms);
	for (int q = 0; q < 2; q++) {
		const struct events *e = &nodes[i].got[q];

		if (e->first < e->count)
			fail_msg("node %u: event of type %d tag %lu status %d", i,
				 e->ev[e->first].type, (unsigned long)e->ev[e->first].user_tag,
				 e->ev[e->first].status);
	}
}

/* ------------------------------------------------------------------------------- posts */

struct ppe_sge mem(unsigned i, const void *p, uint32_t len)
{
	return (struct ppe_sge){ .addr = (uintptr_t)p,
				 .len = len,
				 .region = nodes[i].all.region,
				 .ptag = nodes[i].all.ptag };
}

void post(unsigned i, const struct ppe_msg *m)
{
	uint64_t end = now_ms() + 60000;
	int err;

	while ((err = ppe_post_message(nodes[i].dti, m)) == -EAGAIN && now_ms() < end)
		pump();
	ok(err);
}

void post_send(unsigned i, uint32_t peer, uint64_t user_tag, const void *p, uint32_t len,
	       uint32_t flags, uint64_t tag)
{
	struct ppe_sge sge = mem(i, p, len);
	struct ppe_msg m = { .op = PPE_OP_SEND,
			     .nsge = 1,
			     .sge = &sge,
			     .peer = peer,
			     .user_tag = user_tag,
			     .flags = flags,
			     .tag = tag,
			     .data = user_tag };

	post(i, &m);
}

void post_recv(unsigned i, uint32_t peer, uint64_t user_tag, void *p, uint32_t len, uint32_t flags,
	       uint64_t tag, uint64_t ignore)
{
	struct ppe_sge sge = mem(i, p, len);
	struct ppe_msg m = { .op = PPE_OP_RECV,
			     .nsge = 1,
			     .sge = &sge,
			     .peer = peer,
			     .user_tag = user_tag,
			     .flags = flags,
			     .tag = tag,
			     .ignore = ignore };

	post(i, &m);
}

void post_rma(unsigned i, enum ppe_op op, uint32_t peer, uint64_t user_tag, const void *p,
	      uint32_t len, uint64_t addr, uint32_t key, uint32_t flags)
{
	struct ppe_sge sge = mem(i, p, len);
	struct ppe_rma rma = { .addr = addr, .len = len, .key = key };
	struct ppe_msg m = { .op = op,
			     .nsge = 1,
			     .sge = &sge,
			     .nrma = 1,
			     .rma = &rma,
			     .peer = peer,
			     .user_tag = user_tag,
			     .flags = flags,
			     .data = user_tag };

	post(i, &m);
}

void post_atomic(unsigned i, enum ppe_op op, enum ppe_atomic_op what, uint32_t peer,
		 uint64_t user_tag, uint64_t *operand, uint64_t *compare, uint64_t *result,
		 uint64_t addr, uint32_t key)
{
	struct ppe_sge sge[3];
	struct ppe_rma rma = { .addr = addr, .len = 8, .key = key };
	struct ppe_msg m = { .op = op,
			     .sge = sge,
			     .nrma = 1,
			     .rma = &rma,
			     .peer = peer,
			     .user_tag = user_tag,
			     .atomic_op = what,
			     .atomic_type = PPE_UINT64 };
	unsigned n = 0;

	if (what != PPE_ATOMIC_READ) {
		sge[n++] = mem(i, operand, 8);
		m.nsge = 1;
	}
	if (op == PPE_OP_COMPARE) {
		sge[n++] = mem(i, compare, 8);
		m.ncmp = 1;
	}
	if (op != PPE_OP_ATOMIC) {
		sge[n++] = mem(i, result, 8);
		m.nres = 1;
	}
	post(i, &m);
}

struct ppe_mr share(unsigned i, void *p, size_t len, unsigned access, const char *auth,
		    uint32_t *key)
{
	struct iovec iov = { p, len };
	struct ppe_mr_attr attr = { .pd = nodes[i].pd,
				    .iov = &iov,
				    .niov = 1,
				    .access = access,
				    .offset = (uintptr_t)p,
				    .choose_key = true,
				    .auth = auth,
				    .auth_len = auth ? strlen(auth) : 0 };
	struct ppe_mr mr;

	ok(ppe_mr_register_remote(nodes[i].ual, &attr, &mr, key));
	return mr;
}
