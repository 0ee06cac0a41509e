/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* iwarp_peer.c - users of the message service for its tests; see iwarp_peer.h. */
#include "tests/unit/iwarp_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 16
#define GUARD_BYTE 0xa5

struct chan_out {
	struct fab_send send;
	struct iovec iov[FAB_PLACE_IOV];
	struct fab_atomic atomic;
	uint8_t *data;
};

struct chan_in {
	uint8_t *block; /* entries with guards between them */
	size_t block_len;
	struct iovec iov[FAB_PLACE_IOV];
	int niov;
	uint32_t size;
};

uint8_t content(uint64_t seed, unsigned message, uint32_t at)
{
	return (uint8_t)(seed * 59 + message * 31 + at * 7 + (at >> 8));
}

/* Of lists of memory; apart from script.random, which makes the stream random as well. */
static uint64_t shapes;

/* ------------------------------------------------------------------------- an instance */

static size_t buf_room(void *arg)
{
	struct node *n = arg;

	return n->pool_used < n->pool_count ? n->pool_size : 0;
}

static void *buf_get(void *arg, size_t len)
{
	struct node *n = arg;

	if (len > buf_room(arg))
		return NULL;
	CHECK(len);
	n->pool_used++;
	return malloc(len); /* no more than asked for: more would be out of bounds */
}

static void buf_put(void *arg, void *buf)
{
	struct node *n = arg;

	CHECK(n->pool_used && buf);
	n->pool_used--;
	free(buf);
}

struct fab_msg_attr node_attr(void)
{
	return (struct fab_msg_attr){
		.fpdu_max = 65000, .handshake_ns = 5000000000u, .ord = 4, .ird = 4
	};
}

void node_open(struct node *n, const struct fab_msg_attr *attr)
{
	struct fab_msg_attr usual = node_attr();
	struct fab_env env = {
		.counters = &n->counters,
		.timers = &n->timers,
		.arg = n,
		.buf_room = buf_room,
		.buf_get = buf_get,
		.buf_put = buf_put,
	};

	memset(n, 0, sizeof(*n));
	timers_init(&n->timers);
	n->pool_size = 16384;
	n->pool_count = 64;
	CHECK(!script_ops.open(&env, &n->fab));
	CHECK(!iwarp_ops.open(&env, attr ? attr : &usual, &script_ops, n->fab, &n->m));
}

void node_close(struct node *n)
{
	node_unlisten(n);
	iwarp_ops.close(n->m);
	script_ops.close(n->fab);
	CHECK(!n->pool_used && !n->timers.count);
	timers_destroy(&n->timers);
}

void node_pass(struct node *n, uint64_t ns)
{
	timers_run(&n->timers, timer_now_ns() + ns);
}

static void node_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
			 const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct node *n = user;

	CHECK(peer->in.sin_port && len <= sizeof(n->pdata));
	n->requests++;
	n->who = *who;
	memcpy(n->pdata, pdata, len);
	n->pdata_len = len;
	n->request = conn;
	if (n->on_request)
		n->on_request(n, conn);
	else if (n->child)
		CHECK(!chan_accept(n->child, conn, "hello", 5));
}

static void node_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct node *n = user;

	n->withdrawn++;
	if (n->request == conn)
		n->request = NULL;
}

static void node_failed(void *user, int err)
{
	(void)user;
	(void)err;
	CHECK(!"the listener failed");
}

static const struct fab_msg_listen_user node_user = {
	.request = node_request,
	.withdrawn = node_withdrawn,
	.failed = node_failed,
};

void node_listen(struct node *n)
{
	union fab_addr any;

	script_addr(&any, 0);
	CHECK(!iwarp_ops.listen(n->m, &any, 16, &node_user, n, &n->listener));
	CHECK(!iwarp_ops.listener_addr(n->listener, &n->addr));
}

void node_unlisten(struct node *n)
{
	if (n->listener)
		iwarp_ops.unlisten(n->listener);
	n->listener = NULL;
}

/* ------------------------------------------------------------------------- lists of memory */

/* Cuts @len octets at @at into up to @max entries, @gap octets between them. */
static int shape(struct iovec *iov, uint8_t *at, uint32_t len, unsigned max, size_t gap,
		 uint64_t *random)
{
	int n = 0;

	while (len || !n) {
		uint32_t part = len;

		if (n + 1 < (int)max && len)
			part = script_random(random) % (len + 1);
		iov[n++] = (struct iovec){ at, part };
		at += part + gap;
		len -= part;
	}
	return n;
}

static void *grown(void *list, unsigned *room, unsigned count, size_t size)
{
	if (count < *room)
		return list;
	*room = count * 2 + 16;
	list = realloc(list, *room * size);
	CHECK(list);
	return list;
}

/* The number that the content of the next message is made from: Sends are counted alone. */
static unsigned content_number(struct chan *c, uint8_t op)
{
	return op == FAB_SEND ? c->sends++ : c->out_count;
}

void chan_op(struct chan *c, const struct fab_send *s, unsigned entries)
{
	unsigned number = content_number(c, s->op);
	uint32_t len = iw_op_has_payload(s->op) ? s->len : 0;
	struct chan_out *o;

	c->out = grown(c->out, &c->out_room, c->out_count, sizeof(*o));
	o = &c->out[c->out_count];
	o->send = *s;
	if (s->atomic)
		o->atomic = *s->atomic;
	o->data = malloc(len ? len : 1);
	CHECK(o->data);
	for (uint32_t i = 0; i < len; i++)
		o->data[i] = content(c->seed, number, i);
	o->send.niov = shape(o->iov, o->data, len, entries, 0, &shapes);
	if (!iw_op_has_payload(s->op))
		o->send.niov = 200; /* not to be looked at */
	c->out_count++;
	if (c->conn && c->connected)
		iwarp_ops.tx_want(c->conn);
}

void chan_send(struct chan *c, uint32_t len, unsigned entries)
{
	struct fab_send s = { .op = FAB_SEND,
			      .len = len,
			      .flags = c->out_count % 3 ? 0 : FAB_SEND_SOLICITED };

	chan_op(c, &s, entries);
}

void chan_post(struct chan *c, uint32_t size, unsigned entries)
{
	struct chan_in *r;

	c->in = grown(c->in, &c->in_room, c->in_count, sizeof(*r));
	r = &c->in[c->in_count++];
	r->size = size;
	r->block_len = size + GUARD * (FAB_PLACE_IOV + 1);
	r->block = malloc(r->block_len);
	CHECK(r->block);
	memset(r->block, GUARD_BYTE, r->block_len);
	r->niov = shape(r->iov, r->block + GUARD, size, entries, GUARD, &shapes);
	if (!c->stalled || !c->conn)
		return;
	c->stalled = false;
	iwarp_ops.rx_want(c->conn);
}

/* Whether every octet of the block that is in no entry is as it was. */
static bool guards_hold(const struct chan_in *r)
{
	const uint8_t *at = r->block, *end = r->block + r->block_len;

	for (int i = 0; i <= r->niov; i++) {
		const uint8_t *to = i < r->niov ? r->iov[i].iov_base : end;

		for (; at < to; at++)
			if (*at != GUARD_BYTE)
				return false;
		if (i < r->niov)
			at += r->iov[i].iov_len;
	}
	return true;
}

/* The part of a receive's list from @from to @to. */
static int part_of(const struct chan_in *r, uint32_t from, uint32_t to, struct iovec *out)
{
	uint32_t at = 0;
	int n = 0;

	for (int i = 0; i < r->niov; i++) {
		uint32_t end = at + r->iov[i].iov_len;
		uint32_t lo = from > at ? from : at, hi = to < end ? to : end;

		if (lo < hi)
			out[n++] = (struct iovec){ (uint8_t *)r->iov[i].iov_base + (lo - at),
						   hi - lo };
		at = end;
	}
	return n;
}

/* ------------------------------------------------------------------------- upcalls */

void chan_close(struct chan *c)
{
	if (c->conn)
		iwarp_ops.conn_close(c->conn, c->reset);
	c->conn = NULL;
}

/* Whether the connection was closed, here and now. */
static bool at(struct chan *c, enum chan_at where)
{
	CHECK(c->conn);
	if (c->close_at != where || c->close_skip--)
		return false;
	chan_close(c);
	return true;
}

static void chan_connected(void *user, int err, const struct fab_msg_peer *peer, const void *pdata,
			   size_t len)
{
	struct chan *c = user;

	CHECK(!c->connected && len <= sizeof(c->pdata) && !peer == !!err);
	if (peer)
		c->peer = *peer;
	c->connected++;
	c->connect_err = err;
	if (len)
		memcpy(c->pdata, pdata, len);
	c->pdata_len = len;
	if (err) {
		c->conn = NULL;
		return;
	}
	if (at(c, AT_CONNECTED))
		return;
	iwarp_ops.rx_want(c->conn);
	if (c->out_count)
		iwarp_ops.tx_want(c->conn);
}

/* What a user hands out that has just closed its connection: not to be looked at. */
static const struct iovec nowhere = { (void *)8, 64 };
static const struct fab_send gone = { .op = FAB_SEND, .niov = 1, .len = 64, .iov = &nowhere };

static const struct fab_send *chan_tx_peek(void *user, unsigned i)
{
	struct chan *c = user;
	struct chan_out *o;

	CHECK(c->connected && !c->closed);
	if (at(c, AT_TX_PEEK))
		return c->seed & 1 ? &gone : NULL;
	CHECK(i <= c->peeked);
	if (c->out_done + i == c->out_count || (c->batch && i >= c->batch))
		return NULL;
	if (c->peeked == i)
		c->peeked++;
	o = &c->out[c->out_done + i];
	o->send.iov = iw_op_has_payload(o->send.op) ? o->iov : NULL; /* the list may have moved */
	o->send.atomic = &o->atomic;
	return &o->send;
}

static void chan_tx_done(void *user, unsigned n, unsigned begun)
{
	struct chan *c = user;

	CHECK(c->peeked && n <= c->peeked && !(begun && n == c->peeked));
	CHECK(!c->partial || n || begun);
	if (at(c, AT_TX_DONE))
		return;
	while (n--) {
		free(c->out[c->out_done].data);
		c->out[c->out_done++].data = NULL;
	}
	c->partial = begun;
	c->peeked = 0;
	if (c->out_done < c->out_count)
		iwarp_ops.tx_want(c->conn);
}

static int chan_rx_place(void *user, struct fab_place *piece, struct iovec *iov, int max)
{
	struct chan *c = user;
	const struct chan_in *r;
	int n;

	CHECK(c->connected && !c->closed && max >= FAB_PLACE_IOV && !piece->more);
	CHECK(!c->tagged_len && !c->tagged_at);
	if (at(c, AT_RX_PLACE)) {
		iov[0] = nowhere;
		return c->seed % 3 ? 1 : -EAGAIN;
	}
	if (c->place_err)
		return c->place_err;
	if (c->asked) {
		CHECK(piece->offset >= c->asked_at);
		CHECK(piece->offset + piece->len == c->asked_end);
	} else {
		CHECK(piece->offset == c->at);
		c->asked_end = piece->offset + piece->len;
	}
	c->asked = true;
	c->asked_at = piece->offset;
	if (c->in_done == c->in_count) {
		c->stalls += !c->stalled;
		c->stalled = true;
		return -EAGAIN;
	}
	c->placed = true;
	r = &c->in[c->in_done];
	n = part_of(r, piece->offset, piece->offset + piece->len, iov);
	piece->more = c->pieces && n > (int)c->pieces;
	return piece->more ? (int)c->pieces : n;
}

/* ------------------------------------------------------------------------- what came */

static bool same_atomic(const struct fab_atomic *a, const struct fab_atomic *b)
{
	return a->op == b->op && a->data == b->data && a->data_mask == b->data_mask &&
	       a->cmp == b->cmp && a->cmp_mask == b->cmp_mask;
}

/* Whether @e, at the other side, is what @s was on this. */
static bool same_message(const struct fab_send *s, const struct fab_atomic *atomic,
			 const struct chan_event *e)
{
	if (s->op != e->send.op)
		return false;
	switch (s->op) {
	case FAB_SEND:
		return s->len == e->send.len;
	case FAB_WRITE:
	case FAB_READ_RESP:
		return s->len == e->send.len && s->stag == e->send.stag && s->to == e->send.to;
	case FAB_READ:
		return s->read_len == e->send.read_len && s->stag == e->send.stag &&
		       s->to == e->send.to && s->sink_stag == e->send.sink_stag &&
		       s->sink_to == e->send.sink_to;
	case FAB_ATOMIC:
		return s->id == e->send.id && s->stag == e->send.stag && s->to == e->send.to &&
		       same_atomic(atomic, &e->atomic);
	case FAB_ATOMIC_RESP:
		return s->id == e->send.id && s->value == e->send.value;
	default:
		return s->value == e->send.value;
	}
}

/* Another message has come: the next that the other side has sent. */
static void event(struct chan *c, struct fab_send send, const struct fab_atomic *atomic)
{
	struct chan_event *e;
	const struct chan_out *o;

	CHECK(c->connected && !c->closed);
	c->events = grown(c->events, &c->event_room, c->event_count, sizeof(*e));
	e = &c->events[c->event_count++];
	*e = (struct chan_event){ .send = send };
	if (atomic)
		e->atomic = *atomic;
	if (!c->from)
		return;
	CHECK(c->event_count <= c->from->out_count);
	o = &c->from->out[c->event_count - 1];
	CHECK(same_message(&o->send, &o->atomic, e));
}

static void check_message(struct chan *c, const struct chan_in *r)
{
	uint32_t len = c->at < r->size ? c->at : r->size, seen = 0;

	CHECK(guards_hold(r));
	c->bytes += len;
	c->truncated += c->at > r->size;
	event(c, (struct fab_send){ .op = FAB_SEND, .len = c->at }, NULL);
	for (int i = 0; c->check && i < r->niov && seen < len; i++) {
		const uint8_t *p = r->iov[i].iov_base;

		for (size_t j = 0; j < r->iov[i].iov_len && seen < len; j++, seen++)
			CHECK(p[j] == content(c->from ? c->from->seed : c->seed, c->in_done, seen));
	}
}

/* The one that is first in line. */
static void message_came(struct chan *c)
{
	check_message(c, &c->in[c->in_done]);
	free(c->in[c->in_done].block);
	c->in[c->in_done++].block = NULL;
	c->at = 0;
}

static void chan_rx_done(void *user, const struct fab_place *piece)
{
	struct chan *c = user;

	CHECK(c->asked && c->placed && piece->offset == c->at);
	CHECK(piece->offset + piece->len == c->asked_end);
	if (at(c, AT_RX_DONE))
		return;
	c->at += piece->len;
	c->asked = c->placed = false;
	if (piece->last)
		message_came(c);
}

static int chan_rx_whole(void *user, const void *p, uint32_t len)
{
	struct chan *c = user;
	uint32_t done = 0;
	struct chan_in *r;

	CHECK(c->connected && !c->closed && !c->at && !c->asked && !c->tagged_len);
	if (at(c, AT_RX_WHOLE))
		return (int)(c->seed % 3) - 1;
	if (!c->whole || (c->whole > 1 && script_random(&shapes) % c->whole))
		return 1;
	if (c->place_err)
		return c->place_err;
	if (c->in_done == c->in_count || c->in[c->in_done].size < len)
		return 1;
	r = &c->in[c->in_done];
	for (int i = 0; i < r->niov && done < len; i++) {
		uint32_t n = r->iov[i].iov_len < len - done ? r->iov[i].iov_len : len - done;

		memcpy(r->iov[i].iov_base, (const uint8_t *)p + done, n);
		done += n;
	}
	c->at = len;
	c->wholes++;
	message_came(c);
	return 0;
}

/* ------------------------------------------------------------------------- tagged data */

static uint8_t *region(struct chan *c)
{
	if (!c->region)
		c->region = calloc(1, CHAN_REGION);
	CHECK(c->region);
	return c->region;
}

static int chan_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	struct chan *c = user;
	uint8_t *p;

	CHECK(c->connected && !c->closed && !c->at && !c->asked && max >= FAB_PLACE_IOV);
	CHECK(t->len && (!t->first || !(c->tagged_len + c->tagged_at)));
	if (at(c, AT_RX_TAGGED)) {
		iov[0] = nowhere;
		return c->seed % 3 - 1;
	}
	if (t->first)
		c->tagged = *t;
	CHECK(t->stag == c->tagged.stag && t->response == c->tagged.response);
	CHECK(t->to >= c->tagged.to + c->tagged_len + c->tagged_at);
	c->tagged_at = t->to - c->tagged.to - c->tagged_len;
	if (c->errs[t->response ? FAB_READ_RESP : FAB_WRITE])
		return c->errs[t->response ? FAB_READ_RESP : FAB_WRITE];
	if (c->drop)
		return 0;
	if (t->stag != (t->response ? CHAN_SINK_STAG : CHAN_STAG))
		return -ENOKEY;
	if (t->to < CHAN_TO || t->to - CHAN_TO > CHAN_REGION - t->len)
		return -ERANGE;
	p = region(c) + (t->to - CHAN_TO);
	/* the same list for the same octets */
	return shape(iov, p, t->len, 1 + t->to % FAB_PLACE_IOV, 0, &(uint64_t){ t->to + 1 });
}

static void chan_rx_tagged_done(void *user, const struct fab_tagged *t)
{
	struct chan *c = user;
	uint32_t len;

	CHECK(c->connected && !c->closed);
	CHECK(t->first == !c->tagged_len);
	if (at(c, AT_RX_TAGGED_DONE))
		return;
	if (t->first)
		c->tagged = *t;
	CHECK(t->to == c->tagged.to + c->tagged_len && t->stag == c->tagged.stag);
	c->tagged_len += t->len;
	c->tagged_at = 0;
	if (!t->last)
		return;
	len = c->tagged_len;
	for (uint32_t i = 0; i < len && c->check && c->from; i++)
		CHECK(region(c)[c->tagged.to - CHAN_TO + i] ==
		      content(c->from->seed, c->event_count, i));
	c->tagged_len = 0;
	event(c,
	      (struct fab_send){ .op = t->response ? FAB_READ_RESP : FAB_WRITE,
				 .len = len,
				 .stag = t->stag,
				 .to = c->tagged.to },
	      NULL);
}

/* ------------------------------------------------------------------------- the other messages */

/* Told of a message that is here whole: what to answer; 1: nothing, the connection is closed. */
static int other(struct chan *c, struct fab_send send, const struct fab_atomic *atomic)
{
	CHECK(c->connected && !c->closed && !c->at && !c->asked && !c->tagged_len);
	if (at(c, AT_RX_OTHER))
		return 1;
	event(c, send, atomic);
	return c->errs[send.op];
}

static int chan_rx_read(void *user, const struct fab_read_req *r)
{
	struct chan *c = user;
	struct fab_send s = { .op = FAB_READ,
			      .stag = r->stag,
			      .to = r->to,
			      .read_len = r->len,
			      .sink_stag = r->sink_stag,
			      .sink_to = r->sink_to };
	int err;

	CHECK(r->len);
	err = other(c, s, NULL);
	if (err)
		return err > 0 ? (int)(c->seed % 2) - 1 : err;
	if (c->answer && r->len <= CHAN_REGION) {
		s = (struct fab_send){
			.op = FAB_READ_RESP, .stag = r->sink_stag, .to = r->sink_to, .len = r->len
		};
		chan_op(c, &s, 1 + r->len % 5);
	}
	return 0;
}

static int chan_rx_atomic(void *user, const struct fab_atomic_req *r)
{
	struct chan *c = user;
	struct fab_send s = { .op = FAB_ATOMIC, .id = r->id, .stag = r->stag, .to = r->to };
	int err = other(c, s, &r->atomic);

	CHECK(r->atomic.op == FAB_FETCH_ADD || r->atomic.op == FAB_CMP_SWAP);
	if (err)
		return err > 0 ? (int)(c->seed % 2) - 1 : err;
	if (c->answer) {
		s = (struct fab_send){ .op = FAB_ATOMIC_RESP,
				       .id = r->id,
				       .value = r->atomic.data ^ r->to };
		chan_op(c, &s, 1);
	}
	return 0;
}

static int chan_rx_atomic_resp(void *user, uint32_t id, uint64_t value)
{
	struct fab_send s = { .op = FAB_ATOMIC_RESP, .id = id, .value = value };
	int err = other(user, s, NULL);

	return err > 0 ? 0 : err;
}

static int chan_rx_immediate(void *user, uint64_t value)
{
	struct fab_send s = { .op = FAB_IMMEDIATE, .value = value };
	int err = other(user, s, NULL);

	return err > 0 ? 0 : err;
}

static void chan_closed(void *user, int err)
{
	struct chan *c = user;

	CHECK(c->connected && !c->connect_err && !c->closed);
	c->closed++;
	c->close_err = err;
	if (!at(c, AT_CLOSED) && !c->keep)
		chan_close(c);
}

const struct fab_msg_user chan_user = {
	.connected = chan_connected,
	.tx_peek = chan_tx_peek,
	.tx_done = chan_tx_done,
	.rx_whole = chan_rx_whole,
	.rx_place = chan_rx_place,
	.rx_done = chan_rx_done,
	.rx_tagged = chan_rx_tagged,
	.rx_tagged_done = chan_rx_tagged_done,
	.rx_read = chan_rx_read,
	.rx_atomic = chan_rx_atomic,
	.rx_atomic_resp = chan_rx_atomic_resp,
	.rx_immediate = chan_rx_immediate,
	.closed = chan_closed,
};

/* ------------------------------------------------------------------------- a queue pair */

void chan_init(struct chan *c, struct node *n, uint64_t seed)
{
	memset(c, 0, sizeof(*c));
	c->node = n;
	c->seed = seed;
	c->check = true;
}

int chan_connect(struct chan *c, const union fab_addr *to, const void *pdata, size_t len)
{
	struct fab_connect_attr attr = { .peer = to };

	return iwarp_ops.connect(c->node->m, &attr, c->hello, pdata, len, &chan_user, c, &c->conn);
}

int chan_accept(struct chan *c, struct fab_msg_conn *conn, const void *pdata, size_t len)
{
	int err = iwarp_ops.accept(conn, c->hello, pdata, len, &chan_user, c);

	if (err)
		return err;
	c->conn = conn;
	c->node->request = NULL;
	return 0;
}

void chan_fini(struct chan *c)
{
	chan_close(c);
	for (unsigned i = c->out_done; i < c->out_count; i++)
		free(c->out[i].data);
	for (unsigned i = c->in_done; i < c->in_count; i++) {
		CHECK(guards_hold(&c->in[i]));
		free(c->in[i].block);
	}
	free(c->out);
	free(c->in);
	free(c->events);
	free(c->region);
	chan_init(c, c->node, c->seed);
}

void chan_pair(struct chan *a, struct chan *b, struct node *na, struct node *nb)
{
	struct fab *fabs[] = { na->fab, nb->fab };

	chan_init(a, na, 1);
	chan_init(b, nb, 2);
	a->from = b;
	b->from = a;
	if (!nb->listener)
		node_listen(nb);
	nb->child = b;
	CHECK(!chan_connect(a, &nb->addr, "salve", 5));
	script_settle(fabs, 2);
	CHECK(a->connected && !a->connect_err && b->connected && !b->connect_err);
}

/* ------------------------------------------------------------------------- bytes by hand */

size_t fpdu_end(uint8_t *fpdu, size_t n, bool crc)
{
	uint32_t sum = crc ? mpa_crc_add(MPA_CRC_START, fpdu, n) : 0;

	return n + mpa_trailer_put(fpdu + n, n - MPA_LEN_SIZE, crc, sum);
}

size_t fpdu_send(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t msn, uint32_t mo, uint32_t len,
		 bool crc, uint64_t seed)
{
	size_t n = ddp_put_untagged(fpdu, opcode, last, 0, msn, mo, len);

	for (uint32_t i = 0; i < len; i++)
		fpdu[n++] = content(seed, msn - 1, mo + i);
	return fpdu_end(fpdu, n, crc);
}

size_t fpdu_tagged_at(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t stag, uint64_t to,
		      uint32_t len, bool crc)
{
	size_t n = ddp_put_tagged(fpdu, opcode, last, stag, to, len);

	memset(fpdu + n, 0x77, len);
	return fpdu_end(fpdu, n + len, crc);
}

size_t fpdu_tagged(uint8_t *fpdu, uint8_t opcode, bool last, uint32_t len, bool crc)
{
	return fpdu_tagged_at(fpdu, opcode, last, 0x1234, 0x5678, len, crc);
}

size_t fpdu_body(uint8_t *fpdu, uint8_t opcode, uint32_t msn, const void *body, bool crc)
{
	unsigned len = ddp_ops[opcode].body;
	size_t n = ddp_put_untagged(fpdu, opcode, true, 0, msn, 0, len);

	memcpy(fpdu + n, body, len);
	return fpdu_end(fpdu, n + len, crc);
}

size_t fpdu_read(uint8_t *fpdu, uint32_t msn, uint32_t len, bool crc)
{
	struct rdmap_read read = {
		.sink_stag = 0x11, .sink_to = 0x22, .src_stag = 0x33, .len = len
	};
	size_t n = ddp_put_untagged(fpdu, RDMAP_READ_REQUEST, true, 0, msn, 0,
				    sizeof(struct rdmap_read_req));

	n += rdmap_read_put(fpdu + n, &read);
	return fpdu_end(fpdu, n, crc);
}
