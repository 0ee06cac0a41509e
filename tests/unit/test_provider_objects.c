/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_provider_objects.c - objects beside endpoints: address vectors, counters, poll sets, shared
 * contexts, aliases, triggered and deferred work, keys that are shared secrets.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <unistd.h>

#include "provider_rdm.h"
#include "tests/unit/test_host.h"

static uint8_t tx_buf[4096], rx_buf[4096];

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
	return a;
}

/* -------------------------------------------------------------------------- address vectors */

static void test_av(void **state)
{
	struct node_options opt = { 0 };
	struct sockaddr_in a[3] = { address("192.0.2.1", 1),
				    { .sin_family = 9999 },
				    address("192.0.2.3", 3) };
	struct sockaddr_in out;
	size_t len = sizeof(out);
	fi_addr_t n[3];
	int errors[3] = { -1, -1, -1 };
	struct node node;
	char text[64];

	(void)state;
	node_prepare(&node, &opt);
	assert_int_equal(fi_av_insert(node.av, a, 3, n, 0, NULL), 2);
	assert_int_equal(n[1], FI_ADDR_NOTAVAIL);
	assert_int_not_equal(n[0], n[2]);
	assert_int_equal(fi_av_insert(node.av, a, 3, NULL, FI_SYNC_ERR, errors), 2);
	assert_int_equal(errors[0], 0);
	assert_int_equal(errors[1], FI_EINVAL);
	assert_int_equal(errors[2], 0);
	ok(fi_av_lookup(node.av, n[2], &out, &len));
	assert_int_equal(len, sizeof(out));
	assert_memory_equal(&out, &a[2], 8);
	len = 3;
	ok(fi_av_lookup(node.av, n[0], &out, &len));
	assert_int_equal(len, sizeof(out));
	fails(fi_av_lookup(node.av, 12345, &out, &len), FI_EINVAL);
	fails(fi_av_lookup(node.av, FI_ADDR_UNSPEC, &out, &len), FI_EINVAL);
	len = sizeof(text);
	assert_string_equal(fi_av_straddr(node.av, a, text, &len), "fi_sockaddr_in://192.0.2.1:1");
	assert_int_equal(len, strlen(text) + 1);
	/* as often as it was inserted */
	ok(fi_av_remove(node.av, &n[2], 1, 0));
	ok(fi_av_lookup(node.av, n[2], &out, &len));
	ok(fi_av_remove(node.av, &n[2], 1, 0));
	fails(fi_av_lookup(node.av, n[2], &out, &len), FI_EINVAL);
	fails(fi_av_remove(node.av, &n[2], 1, 0), FI_EINVAL);
	fails(fi_av_insert(node.av, a, 1, n, FI_AV_USER_ID, NULL), FI_EBADFLAGS);
	fails(fi_av_insert(node.av, NULL, 1, n, 0, NULL), FI_EINVAL);
	fails(fi_av_insert(node.av, a, 1, n, FI_SYNC_ERR, NULL), FI_EINVAL);
	assert_int_equal(fi_av_insert(node.av, a, 0, n, 0, NULL), 0);
	fails(fi_close(&node.av->fid), FI_EBUSY);
	node_close(&node);
}

static void test_av_names(void **state)
{
	struct node_options opt = { 0 };
	fi_addr_t n[6];
	struct sockaddr_in out;
	size_t len = sizeof(out);
	struct node node;

	(void)state;
	node_prepare(&node, &opt);
	assert_int_equal(fi_av_insertsvc(node.av, "127.0.0.1", "77", n, 0, NULL), 1);
	ok(fi_av_lookup(node.av, n[0], &out, &len));
	assert_int_equal(ntohs(out.sin_port), 77);
	fails(fi_av_insertsvc(node.av, NULL, "77", n, 0, NULL), FI_EINVAL);
	assert_int_equal(fi_av_insertsym(node.av, "192.0.2.254", 3, "10", 2, n, 0, NULL), 6);
	ok(fi_av_lookup(node.av, n[5], &out, &len));
	assert_int_equal(ntohs(out.sin_port), 11);
	assert_int_equal(ntohl(out.sin_addr.s_addr), 0xc0000300);
	fails(fi_av_insertsym(node.av, "192.0.2.1", 1, "x", 1, n, 0, NULL), FI_EINVAL);
	fails(fi_av_insertsym(node.av, "192.0.2.1", 1, "65535", 2, n, 0, NULL), FI_EINVAL);
	node_close(&node);
}

static void test_av_events(void **state)
{
	struct node_options opt = { 0 };
	struct fi_av_attr attr = { .flags = FI_EVENT };
	struct sockaddr_in a[2] = { address("192.0.2.1", 1), { .sin_family = 9999 } };
	struct fi_eq_attr eq_attr = { .wait_obj = FI_WAIT_UNSPEC };
	struct fi_eq_err_entry error = { 0 };
	struct fi_eq_entry entry;
	struct node node;
	struct fid_eq *eq;
	struct fid_av *av;
	fi_addr_t n[2];
	uint32_t event;

	(void)state;
	node_prepare(&node, &opt);
	ok(fi_eq_open(node.fabric, &eq_attr, &eq, NULL));
	ok(fi_av_open(node.domain, &attr, &av, NULL));
	assert_int_equal(attr.type, FI_AV_TABLE);
	fails(fi_av_insert(av, a, 2, n, 0, NULL), FI_ENOEQ);
	ok(fi_av_bind(av, &eq->fid, 0));
	ok(fi_av_insert(av, a, 2, n, 0, &n));
	fails(fi_eq_sread(eq, &event, &entry, sizeof(entry), WAIT_MS, 0), FI_EAVAIL);
	assert_int_equal(fi_eq_readerr(eq, &error, 0), sizeof(error));
	assert_ptr_equal(error.fid, &av->fid);
	assert_ptr_equal(error.context, &n);
	assert_int_equal(error.data, 1);
	assert_int_equal(fi_eq_sread(eq, &event, &entry, sizeof(entry), WAIT_MS, 0), sizeof(entry));
	assert_int_equal(event, FI_AV_COMPLETE);
	assert_int_equal(entry.data, 1);
	fails(fi_close(&eq->fid), FI_EBUSY);
	ok(fi_close(&av->fid));
	ok(fi_close(&eq->fid));
	attr = (struct fi_av_attr){ .rx_ctx_bits = 1 };
	fails(fi_av_open(node.domain, &attr, &av, NULL), FI_EINVAL);
	attr = (struct fi_av_attr){ .name = "x" };
	fails(fi_av_open(node.domain, &attr, &av, NULL), FI_ENOSYS);
	attr = (struct fi_av_attr){ .type = FI_AV_MAP };
	ok(fi_av_open(node.domain, &attr, &av, NULL));
	ok(fi_close(&av->fid));
	node_close(&node);
}

/* -------------------------------------------------------------------------------- counters */

static void test_cntr(void **state)
{
	struct node_options opt = { 0 };
	struct fi_cntr_attr attr = { .wait_obj = FI_WAIT_FD };
	struct fid_cntr *c;
	struct node node;
	struct fid *fid;
	int fd;

	(void)state;
	node_prepare(&node, &opt);
	ok(fi_cntr_open(node.domain, &attr, &c, NULL));
	ok(fi_cntr_add(c, 3));
	ok(fi_cntr_adderr(c, 2));
	assert_int_equal(fi_cntr_read(c), 3);
	assert_int_equal(fi_cntr_readerr(c), 2);
	ok(fi_cntr_set(c, 10));
	ok(fi_cntr_seterr(c, 0));
	assert_int_equal(fi_cntr_read(c), 10);
	assert_int_equal(fi_cntr_readerr(c), 0);
	ok(fi_cntr_wait(c, 10, 0));
	fails(fi_cntr_wait(c, 11, 20), FI_ETIMEDOUT);
	ok(fi_control(&c->fid, FI_GETWAIT, &fd));
	assert_true(fd >= 0);
	fid = &c->fid;
	ok(fi_trywait(node.fabric, &fid, 1));
	fails(fi_close(&node.domain->fid), FI_EBUSY);
	ok(fi_close(&c->fid));
	attr.wait_obj = FI_WAIT_SET;
	fails(fi_cntr_open(node.domain, &attr, &c, NULL), FI_ENOSYS);
	attr = (struct fi_cntr_attr){ .flags = 1 };
	fails(fi_cntr_open(node.domain, &attr, &c, NULL), FI_EINVAL);
	attr = (struct fi_cntr_attr){ .events = 7 };
	fails(fi_cntr_open(node.domain, &attr, &c, NULL), FI_EINVAL);
	node_close(&node);
}

static void test_counted_operations(void **state)
{
	struct node_options opt = { .counters = true, .bind_flags = FI_SELECTIVE_COMPLETION };
	struct fi_cq_tagged_entry e;
	struct fid_cntr *writes;
	struct fid_mr *mr;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	ok(fi_cntr_open(n[1].domain, NULL, &writes, NULL));
	ok(fi_mr_reg(n[1].domain, rx_buf, 4096, FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 1, 0, &mr,
		     NULL));
	fails(fi_mr_bind(mr, &writes->fid, FI_SEND), FI_EBADFLAGS);
	ok(fi_mr_bind(mr, &writes->fid, FI_REMOTE_WRITE));
	fails(fi_mr_bind(mr, &writes->fid, FI_REMOTE_WRITE), FI_EINVAL);
	fails(fi_close(&writes->fid), FI_EBUSY);
	for (int i = 0; i < 3; i++) {
		ok(fi_recv(n[1].ep, rx_buf, 8, NULL, FI_ADDR_UNSPEC, NULL));
		ok(fi_inject(n[0].ep, tx_buf, 8, n[0].peer));
		ok(fi_write(n[0].ep, tx_buf, 8, NULL, n[0].peer, 0, 1, NULL));
	}
	ok(fi_read(n[0].ep, tx_buf, 8, NULL, n[0].peer, 0, 1, NULL));
	ok(fi_cntr_wait(n[0].sent, 3, WAIT_MS));
	ok(fi_cntr_wait(n[0].rma, 4, WAIT_MS));
	ok(fi_cntr_wait(n[1].received, 3, WAIT_MS));
	ok(fi_cntr_wait(n[1].remote, 4, WAIT_MS));
	ok(fi_cntr_wait(writes, 3, WAIT_MS));
	/* selective, and nothing was asked for; but what fails is told of, by both ways */
	fails(fi_cq_read(n[0].tx_cq, &e, 1), FI_EAGAIN);
	ok(fi_read(n[0].ep, tx_buf, 8, NULL, n[0].peer, 0, 99, NULL));
	expect_error(n[0].tx_cq, FI_ENOKEY, NULL);
	while (!fi_cntr_readerr(n[0].rma))
		usleep(1000);
	assert_int_equal(fi_cntr_readerr(n[0].rma), 1);
	assert_int_equal(fi_cntr_read(n[0].rma), 4);
	close_fid(mr);
	close_fid(writes);
	nodes_close(n);
}

/* -------------------------------------------------------------------------------- poll sets */

static void test_poll(void **state)
{
	struct node_options opt = { .counters = true };
	struct fi_poll_attr attr = { 0 };
	struct fi_cq_tagged_entry e;
	struct fid_poll *set;
	void *context[4];
	struct node n[2];
	int count;

	(void)state;
	nodes_open(n, &opt);
	ok(fi_poll_open(n[1].domain, &attr, &set));
	ok(fi_poll_add(set, &n[1].rx_cq->fid, 0));
	ok(fi_poll_add(set, &n[1].received->fid, 0));
	fails(fi_poll_add(set, &n[1].rx_cq->fid, 0), FI_EINVAL);
	fails(fi_poll_add(set, &n[1].domain->fid, 0), FI_EINVAL);
	fails(fi_poll_add(set, &n[0].rx_cq->fid, 0), FI_EDOMAIN);
	fails(fi_poll_del(set, &n[0].rx_cq->fid, 0), FI_EINVAL);
	fails(fi_close(&set->fid), FI_EBUSY);
	assert_int_equal(fi_poll(set, context, 4), 0);
	ok(fi_recv(n[1].ep, rx_buf, 8, NULL, FI_ADDR_UNSPEC, NULL));
	ok(fi_send(n[0].ep, tx_buf, 8, NULL, n[0].peer, NULL));
	ok(fi_cntr_wait(n[1].received, 1, WAIT_MS));
	/* a counter may be seen before the completion is */
	count = fi_poll(set, context, 4);
	assert_in_range(count, 1, 2);
	assert_ptr_equal(context[0], &n[1]);
	/* the counter was told of, the completion is still there, or still comes */
	while (!(count = fi_poll(set, context, 4)))
		;
	assert_int_equal(count, 1);
	expect_comp(n[1].rx_cq, &e);
	assert_int_equal(fi_poll(set, context, 4), 0);
	ok(fi_poll_del(set, &n[1].rx_cq->fid, 0));
	ok(fi_poll_del(set, &n[1].received->fid, 0));
	ok(fi_close(&set->fid));
	attr.flags = 1;
	fails(fi_poll_open(n[1].domain, &attr, &set), FI_EINVAL);
	nodes_close(n);
}

/* -------------------------------------------------------------------- contexts and aliases */

static void test_shared_contexts(void **state)
{
	struct node_options opt = { .shared_tx = true, .shared_rx = true };
	struct fi_cq_tagged_entry e;
	struct node n[2];

	(void)state;
	node_prepare(&n[0], &opt);
	fails(fi_ep_bind(n[0].ep, &n[0].stx->fid, 0), FI_EINVAL);
	fails(fi_ep_bind(n[0].ep, &n[0].srx->fid, 0), FI_EINVAL);
	fails(fi_close(&n[0].stx->fid), FI_EBUSY);
	fails(fi_close(&n[0].srx->fid), FI_EBUSY);
	node_close(&n[0]);

	nodes_open(n, &opt);
	ok(fi_recv(n[1].srx, rx_buf, 100, NULL, FI_ADDR_UNSPEC, &n[0]));
	ok(fi_trecv(n[1].srx, rx_buf, 100, NULL, FI_ADDR_UNSPEC, 4, 0, &n[1]));
	fails(fi_send(n[1].srx, rx_buf, 1, NULL, 0, NULL), FI_ENOSYS);
	fails(fi_tinject(n[1].srx, rx_buf, 1, 0, 0), FI_ENOSYS);
	ok(fi_send(n[0].ep, tx_buf, 10, NULL, n[0].peer, NULL));
	ok(fi_tsend(n[0].ep, tx_buf, 20, NULL, n[0].peer, 4, NULL));
	expect_comp(n[1].rx_cq, &e);
	assert_ptr_equal(e.op_context, &n[0]);
	assert_int_equal(e.len, 10);
	expect_comp(n[1].rx_cq, &e);
	assert_ptr_equal(e.op_context, &n[1]);
	assert_int_equal(e.tag, 4);
	/* one that never meets an endpoint */
	ok(fi_recv(n[1].srx, rx_buf, 100, NULL, FI_ADDR_UNSPEC, &opt));
	ok(fi_cancel(&n[1].srx->fid, &opt));
	expect_error(n[1].rx_cq, FI_ECANCELED, NULL);
	/* the queue may go before the shared context, as fabtests does it */
	close_fid(n[1].ep);
	n[1].ep = NULL;
	close_fid(n[1].rx_cq);
	n[1].rx_cq = NULL;
	nodes_close(n);
}

static void test_alias(void **state)
{
	struct node_options opt = { .bind_flags = FI_SELECTIVE_COMPLETION };
	struct fi_cq_tagged_entry e;
	struct fid_ep *alias = NULL;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	fails(fi_ep_alias(n[0].ep, &alias, FI_TRANSMIT | FI_RECV | FI_COMPLETION), FI_EINVAL);
	fails(fi_ep_alias(n[0].ep, &alias, FI_TRANSMIT | FI_PEEK), FI_EBADFLAGS);
	ok(fi_ep_alias(n[0].ep, &alias, FI_TRANSMIT | FI_COMPLETION));
	fails(fi_close(&n[0].ep->fid), FI_EBUSY);
	fails(fi_ep_bind(alias, &n[0].av->fid, 0), FI_EINVAL);
	ok(fi_send(n[0].ep, tx_buf, 8, NULL, n[0].peer, NULL));
	ok(fi_send(alias, tx_buf, 8, NULL, n[0].peer, &alias));
	expect_comp(n[0].tx_cq, &e);
	assert_ptr_equal(e.op_context, &alias);
	ok(fi_close(&alias->fid));
	nodes_close(n);
}

/* ------------------------------------------------------------------------- what has to wait */

static void test_trigger(void **state)
{
	struct node_options opt = { .counters = true };
	struct fi_triggered_context when = { .event_type = FI_TRIGGER_THRESHOLD };
	struct fi_cq_tagged_entry e;
	struct fid_cntr *gate;
	struct fid_ep *alias = NULL;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	ok(fi_cntr_open(n[0].domain, NULL, &gate, NULL));
	when.trigger.threshold.cntr = gate;
	when.trigger.threshold.threshold = 2;
	ok(fi_ep_alias(n[0].ep, &alias, FI_TRANSMIT | FI_TRIGGER));
	fails(fi_send(alias, tx_buf, 8, NULL, n[0].peer, NULL), FI_EINVAL);
	ok(fi_recv(n[1].ep, rx_buf, 8, NULL, FI_ADDR_UNSPEC, NULL));
	ok(fi_send(alias, tx_buf, 8, NULL, n[0].peer, &when));
	ok(fi_cntr_add(gate, 1));
	fails(fi_cq_sread(n[1].rx_cq, &e, 1, NULL, 30), FI_EAGAIN);
	ok(fi_cntr_add(gate, 1));
	expect_comp(n[1].rx_cq, NULL);
	expect_comp(n[0].tx_cq, &e);
	assert_ptr_equal(e.op_context, &when);
	when.event_type = FI_TRIGGER_XPU;
	fails(fi_send(alias, tx_buf, 8, NULL, n[0].peer, &when), FI_ENOSYS);
	ok(fi_close(&alias->fid));
	close_fid(gate);
	nodes_close(n);
}

static void test_deferred_work(void **state)
{
	struct node_options opt = { .counters = true };
	struct iovec iov = { tx_buf, 8 };
	struct fi_op_msg op = { .msg = { .msg_iov = &iov, .iov_count = 1 } };
	struct fi_op_cntr add = { .value = 5 };
	struct fi_deferred_work send = { .threshold = 1, .op_type = FI_OP_SEND, .op.msg = &op };
	struct fi_deferred_work count = { .threshold = 2,
					  .op_type = FI_OP_CNTR_ADD,
					  .op.cntr = &add };
	struct fi_cq_tagged_entry e;
	struct fid_cntr *gate, *done;
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	ok(fi_cntr_open(n[0].domain, NULL, &gate, NULL));
	ok(fi_cntr_open(n[0].domain, NULL, &done, NULL));
	op.ep = n[0].ep;
	op.msg.addr = n[0].peer;
	op.msg.context = &send.context;
	fails(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &send), FI_EINVAL);
	send.triggering_cntr = count.triggering_cntr = gate;
	send.completion_cntr = done;
	add.cntr = done;
	ok(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &send));
	ok(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &count));
	ok(fi_recv(n[1].ep, rx_buf, 8, NULL, FI_ADDR_UNSPEC, NULL));
	ok(fi_cntr_add(gate, 1));
	expect_comp(n[1].rx_cq, NULL);
	ok(fi_cntr_wait(done, 1, WAIT_MS));
	/* an error reaches a threshold too */
	ok(fi_cntr_adderr(gate, 1));
	ok(fi_cntr_wait(done, 6, WAIT_MS));
	send.completion_cntr = NULL;
	send.threshold = 2;
	ok(fi_recv(n[1].ep, rx_buf, 8, NULL, FI_ADDR_UNSPEC, NULL));
	ok(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &send));
	expect_comp(n[1].rx_cq, NULL);
	/* nothing in the endpoint's own queue and counter */
	fails(fi_cq_read(n[0].tx_cq, &e, 1), FI_EAGAIN);
	assert_int_equal(fi_cntr_read(n[0].sent), 0);
	send.threshold = 100;
	ok(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &send));
	ok(fi_control(&n[0].domain->fid, FI_CANCEL_WORK, &send));
	ok(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &send));
	ok(fi_control(&n[0].domain->fid, FI_FLUSH_WORK, NULL));
	fails(fi_control(&n[0].domain->fid, FI_CANCEL_WORK, &count), FI_ENOSYS);
	fails(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, NULL), FI_EINVAL);
	close_fid(n[0].ep);
	n[0].ep = NULL;
	close_fid(gate);
	close_fid(done);
	nodes_close(n);
}

/* What an error sets going while its endpoint is being closed ends with it. */
static void test_deferred_work_of_the_closed(void **state)
{
	struct node_options opt = { 0 };
	struct iovec iov = { tx_buf, 8 };
	struct fi_op_msg op = { .msg = { .msg_iov = &iov, .iov_count = 1 } };
	struct fi_deferred_work work = { .threshold = 1, .op_type = FI_OP_SEND, .op.msg = &op };
	struct fid_cntr *cntr[4];
	struct node n[2];

	(void)state;
	nodes_open(n, &opt);
	op.ep = n[0].ep;
	op.msg.addr = n[0].peer;
	for (int i = 0; i < 4; i++)
		ok(fi_cntr_open(n[0].domain, NULL, &cntr[i], NULL));
	for (int i = 0; i < 3; i++) {
		work.triggering_cntr = cntr[i];
		work.completion_cntr = cntr[i + 1];
		ok(fi_control(&n[0].domain->fid, FI_QUEUE_WORK, &work));
	}
	fails(fi_cq_read(n[0].tx_cq, NULL, 0), FI_EAGAIN);
	close_fid(n[0].ep);
	n[0].ep = NULL;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(fi_cntr_read(cntr[i]), 0);
		assert_int_equal(fi_cntr_readerr(cntr[i]), i > 0);
		close_fid(cntr[i]);
	}
	nodes_close(n);
}

/* -------------------------------------------------------------------------- rules and keys */

static void test_enable_rules(void **state)
{
	struct node_options opt = { 0 };
	struct fid_cntr *c;
	struct fid_ep *ep;
	struct node n;

	(void)state;
	node_prepare(&n, &opt);
	fails(fi_tsend(n.ep, tx_buf, 1, NULL, 0, 0, NULL), FI_EOPBADSTATE);
	fails(fi_write(n.ep, tx_buf, 1, NULL, 0, 0, 0, NULL), FI_EOPBADSTATE);
	fails(fi_trecv(n.ep, rx_buf, 1, NULL, 0, 0, 0, NULL), FI_EOPBADSTATE);
	fails(fi_connect(n.ep, &n.name, NULL, 0), FI_ENOSYS);
	ok(fi_endpoint(n.domain, n.info, &ep, NULL));
	fails(fi_enable(ep), FI_ENOAV);
	ok(fi_ep_bind(ep, &n.av->fid, 0));
	fails(fi_ep_bind(ep, &n.av->fid, 0), FI_EINVAL);
	fails(fi_enable(ep), FI_ENOCQ);
	/* counters will do */
	ok(fi_cntr_open(n.domain, NULL, &c, NULL));
	fails(fi_ep_bind(ep, &c->fid, 0), FI_EINVAL);
	fails(fi_ep_bind(ep, &c->fid, FI_SEND | FI_MULTI_RECV), FI_EBADFLAGS);
	ok(fi_ep_bind(ep, &c->fid, FI_SEND | FI_RECV));
	fails(fi_ep_bind(ep, &c->fid, FI_SEND), FI_EINVAL);
	ok(fi_enable(ep));
	fails(fi_ep_bind(ep, &c->fid, FI_READ), FI_EOPBADSTATE);
	fails(fi_close(&c->fid), FI_EBUSY);
	close_fid(ep);
	close_fid(c);
	node_close(&n);
}

/* A port that is free, and the one behind it too. */
static unsigned free_ports(void)
{
	for (unsigned port = 20000 + getpid() % 10000; port < 32000; port += 2) {
		bool good = true;

		for (int i = 0; i < 2; i++) {
			struct sockaddr_in sa = { .sin_family = AF_INET };
			int fd = socket(AF_INET, SOCK_STREAM, 0);

			sa.sin_port = htons(port + i);
			sa.sin_addr.s_addr = test_host_addr();
			good &= !bind(fd, (struct sockaddr *)&sa, sizeof(sa));
			close(fd);
		}
		if (good)
			return port;
	}
	fail_msg("no two free ports");
	return 0;
}

/* Where the application leaves the choice of a port, but the user does not. */
static void test_port_range(void **state)
{
	unsigned first = free_ports();
	struct node_options opt = { 0 };
	struct node n[2], third;
	char range[32];

	(void)state;
	snprintf(range, sizeof(range), "%u-%u", first, first + 1);
	setenv("FI_ETA_PORT_RANGE", range, 1);
	nodes_open(n, &opt);
	for (int i = 0; i < 2; i++) {
		unsigned port = ntohs(n[i].name.in.sin_port);

		assert_in_range(port, first, first + 1);
	}
	node_prepare(&third, &opt);
	fails(fi_enable(third.ep), FI_EADDRINUSE);
	setenv("FI_ETA_PORT_RANGE", "many", 1);
	ok(fi_enable(third.ep));
	unsetenv("FI_ETA_PORT_RANGE");
	node_close(&third);
	nodes_close(n);
}

/* Only those who present the same key may talk. */
static void test_auth_keys(void **state)
{
	uint8_t key[] = "open sesame", wrong[] = "open barley";
	struct node_options opt = { .auth_key = key, .auth_key_size = sizeof(key) };
	struct fi_cq_tagged_entry e;
	struct node n[2], other;

	(void)state;
	nodes_open(n, &opt);
	assert_memory_equal(n[0].info->domain_attr->auth_key, key, sizeof(key));
	ok(fi_recv(n[1].ep, rx_buf, 100, NULL, FI_ADDR_UNSPEC, NULL));
	ok(fi_send(n[0].ep, tx_buf, 10, NULL, n[0].peer, NULL));
	expect_comp(n[1].rx_cq, &e);
	opt.auth_key = wrong;
	node_open(&other, &opt);
	assert_int_equal(fi_av_insert(other.av, &n[1].name, 1, &other.peer, 0, NULL), 1);
	ok(fi_send(other.ep, tx_buf, 10, NULL, other.peer, NULL));
	fails(fi_cq_sread(other.tx_cq, &e, 1, NULL, WAIT_MS), FI_EAVAIL);
	node_close(&other);
	nodes_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_av),
		cmocka_unit_test(test_av_names),
		cmocka_unit_test(test_av_events),
		cmocka_unit_test(test_cntr),
		cmocka_unit_test(test_counted_operations),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_shared_contexts),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_trigger),
		cmocka_unit_test(test_deferred_work),
		cmocka_unit_test(test_deferred_work_of_the_closed),
		cmocka_unit_test(test_enable_rules),
		cmocka_unit_test(test_port_range),
		cmocka_unit_test(test_auth_keys),
	};

	use_built_provider();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
