/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* msg_checker.c - a user of a message connection that checks what it is told. See msg_checker.h. */
#include "tests/unit/msg_checker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64
#define GUARD_BYTE 0xca

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			broken(#condition, __LINE__);                                              \
	} while (0)

static _Noreturn void broken(const char *what, int line)
{
	fprintf(stderr, "msg_checker.c:%d: not so: %s\n", line, what);
	abort();
}

/* -------------------------------------------------------------------- what is common */

static uint8_t *area(const struct checker *c, uint32_t at)
{
	return c->area + GUARD + at;
}

static void guards_check(const struct checker *c)
{
	for (unsigned i = 0; i < GUARD; i++)
		CHECK(c->area[i] == GUARD_BYTE && *area(c, CHECKER_AREA + i) == GUARD_BYTE);
}

/* An upcall that only an open connection has. */
static void begin(const struct checker *c)
{
	CHECK(c->conn && c->connected && !c->closed);
}

static bool closes(struct checker *c, enum checker_at at)
{
	if (c->close_at != at || !c->conn || c->close_skip--)
		return false;
	c->close_at = AT_NEVER;
	checker_close(c);
	return true;
}

static int error_of(struct checker *c, enum checker_at at)
{
	int err = c->errs[at];

	c->errs[at] = 0;
	return err;
}

/* -------------------------------------------------------------------------- its ends */

static void up_connected(void *user, int err, const struct fab_msg_peer *peer, const void *pdata,
			 size_t len)
{
	struct checker *c = user;

	CHECK(c->conn && !c->connected && !c->closed);
	CHECK(!peer == !!err && len <= FAB_PDATA_MAX && (pdata || !len));
	c->connected = 1;
	c->connect_err = err;
	if (err)
		c->conn = NULL;
	closes(c, AT_CONNECTED);
}

static void up_closed(void *user, int err)
{
	struct checker *c = user;

	begin(c);
	CHECK(err <= 0);
	c->closed = 1;
	c->close_err = err;
	closes(c, AT_CLOSED);
}

void checker_close(struct checker *c)
{
	struct fab_msg_conn *conn = c->conn;

	c->conn = NULL;
	if (conn)
		c->ops->conn_close(conn, c->reset);
}

/* -------------------------------------------------------------------------- sending */

static const struct fab_send *up_tx_peek(void *user, unsigned i)
{
	struct checker *c = user;

	begin(c);
	CHECK(i <= c->peeked);
	if (closes(c, AT_TX_PEEK) || i >= c->out_count)
		return NULL;
	c->peeked = i + 1;
	return &c->out[(c->out_first + i) % CHECKER_OUT].send;
}

static void out_drop(struct checker *c)
{
	struct checker_out *o = &c->out[c->out_first];

	free(o->mem);
	o->mem = NULL;
	c->out_first = (c->out_first + 1) % CHECKER_OUT;
	c->out_count--;
}

static void up_tx_done(void *user, unsigned n, unsigned begun)
{
	struct checker *c = user;

	begin(c);
	CHECK(n + begun <= c->peeked && n + begun <= c->out_count);
	c->peeked = c->begun = begun;
	while (n--)
		out_drop(c);
	closes(c, AT_TX_DONE);
}

static void out_place(struct checker *c, struct checker_out *o, unsigned entries, bool named)
{
	uint32_t len = o->send.len, half = entries > 1 ? len / 3 : len;
	uint8_t *mem = named ? area(c, 0) : malloc(len + 1);

	CHECK(mem);
	if (!named)
		memset(mem, (int)len, len);
	o->mem = named ? NULL : mem;
	o->iov[0] = (struct iovec){ mem, half };
	o->iov[1] = (struct iovec){ mem + half, len - half };
	o->regions[0] = o->regions[1] = &c->region;
	o->send.iov = o->iov;
	o->send.niov = entries > 1 ? 2 : 1;
	o->send.regions = named ? o->regions : NULL;
}

/* Where the answer goes, as up_rx_tagged() will say. */
static void sink_place(struct checker *c, struct checker_out *o)
{
	o->iov[0] = (struct iovec){ area(c, 0), o->send.read_len };
	o->regions[0] = &c->region;
	o->send.iov = o->iov;
	o->send.niov = 1;
	o->send.regions = o->regions;
}

static bool has_payload(enum fab_op op)
{
	return op == FAB_SEND || op == FAB_WRITE || op == FAB_READ_RESP;
}

bool checker_post(struct checker *c, enum fab_op op, uint32_t len, unsigned entries, bool named)
{
	struct checker_out *o = &c->out[(c->out_first + c->out_count) % CHECKER_OUT];

	if (c->out_count == CHECKER_OUT || !c->conn)
		return false;
	if (len > CHECKER_AREA)
		len = CHECKER_AREA;
	o->atomic = (struct fab_atomic){ .op = len & 1, .data = len };
	o->send = (struct fab_send){
		.op = op,
		.len = has_payload(op) ? len : 0,
		.stag = op == FAB_READ_RESP ? CHECKER_SINK : CHECKER_STAG,
		.to = CHECKER_TO,
		.sink_stag = CHECKER_SINK,
		.sink_to = CHECKER_TO,
		.read_len = len,
		.id = len,
		.value = len,
		.atomic = &o->atomic,
	};
	if (o->send.len)
		out_place(c, o, entries, named);
	else if (op == FAB_READ && named && len)
		sink_place(c, o);
	c->out_count++;
	c->ops->tx_want(c->conn);
	return true;
}

/* -------------------------------------------------------------------- Sends that come */

static void message_over(struct checker *c)
{
	c->in_msg = false;
	c->at = 0;
	c->messages++;
}

static int up_rx_whole(void *user, const void *p, uint32_t len)
{
	struct checker *c = user;
	const uint8_t *octets = p;
	unsigned sum = 0;
	int err;

	begin(c);
	CHECK(!c->in_msg && !c->asked && !c->in_tagged);
	for (uint32_t i = 0; i < len; i++)
		sum += octets[i];
	if (closes(c, AT_WHOLE))
		return sum & 1;
	err = error_of(c, AT_WHOLE);
	if (err)
		return err;
	if (!c->receives || !c->whole || (c->messages + c->wholes) % c->whole)
		return 1;
	c->receives--;
	c->wholes++;
	c->bytes += len;
	return 0;
}

/* A piece is asked for till all of it has a place; one without a receive is asked for again. */
static void piece_begin(struct checker *c, const struct fab_place *p)
{
	if (!c->asked) {
		c->asked = true;
		c->piece_at = p->offset;
		c->piece_len = p->len;
		c->piece_last = p->last;
		c->placed = 0;
		CHECK(p->offset == c->at && !c->in_tagged);
		return;
	}
	CHECK(p->offset == c->piece_at + c->placed && p->len == c->piece_len - c->placed);
	CHECK(p->last == c->piece_last && (p->len || c->starved));
}

static int up_rx_place(void *user, struct fab_place *p, struct iovec *iov, int max)
{
	struct checker *c = user;
	uint32_t len = p->len, room;
	int err;

	begin(c);
	CHECK(max >= 2 && !p->more);
	piece_begin(c, p);
	if (closes(c, AT_PLACE))
		return 0;
	err = error_of(c, AT_PLACE);
	if (err)
		return err;
	c->starved = !c->in_msg && !c->receives;
	if (c->starved)
		return -EAGAIN;
	c->receives -= !c->in_msg;
	c->in_msg = true;
	room = p->offset < c->room ? c->room - p->offset : 0;
	if (len > room) {
		len = room; /* and the rest is dropped */
	} else if (c->bits && len > c->bits) {
		len = c->bits;
		p->more = true;
	}
	c->placed += len;
	iov[0] = (struct iovec){ area(c, 0), len / 2 };
	iov[1] = (struct iovec){ area(c, CHECKER_AREA - (len - len / 2)), len - len / 2 };
	return 2;
}

static void up_rx_done(void *user, const struct fab_place *p)
{
	struct checker *c = user;

	begin(c);
	CHECK(c->asked && p->offset == c->piece_at && p->len == c->piece_len &&
	      p->last == c->piece_last);
	guards_check(c);
	c->asked = false;
	c->bytes += c->placed;
	c->at = p->offset + p->len;
	if (p->last)
		message_over(c);
	closes(c, AT_DONE);
}

void checker_receive(struct checker *c, unsigned n)
{
	c->receives += n;
	if (c->conn)
		c->ops->rx_want(c->conn);
}

/* ----------------------------------------------------------------------- tagged data */

static void tagged_begin(struct checker *c, const struct fab_tagged *t)
{
	CHECK(!c->in_msg && !c->tagged_asked);
	CHECK(t->first == !c->in_tagged);
	if (!t->first)
		CHECK(t->stag == c->tagged.stag && t->to == c->tagged.to + c->tagged.len &&
		      t->response == c->tagged.response);
}

static int up_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	struct checker *c = user;
	uint64_t at = t->to - CHECKER_TO;
	int err;

	begin(c);
	CHECK(max >= 2 && t->len);
	tagged_begin(c, t);
	if (closes(c, AT_TAGGED))
		return 0;
	err = error_of(c, AT_TAGGED);
	if (err)
		return err;
	if (t->stag != (t->response ? CHECKER_SINK : CHECKER_STAG))
		return -ENOKEY;
	if (at > CHECKER_AREA || t->len > CHECKER_AREA - at)
		return -ERANGE;
	c->tagged_asked = true;
	c->bytes += t->len;
	iov[0] = (struct iovec){ area(c, at), t->len / 2 };
	iov[1] = (struct iovec){ area(c, at + t->len / 2), t->len - t->len / 2 };
	return 2;
}

static void up_rx_tagged_done(void *user, const struct fab_tagged *t)
{
	struct checker *c = user;

	begin(c);
	if (t->len) {
		CHECK(c->tagged_asked);
		c->tagged_asked = false;
	} else {
		tagged_begin(c, t);
	}
	guards_check(c);
	c->tagged = *t;
	c->in_tagged = !t->last;
	closes(c, AT_TAGGED_DONE);
}

/* --------------------------------------------------------------- requests and answers */

static int told(struct checker *c)
{
	begin(c);
	CHECK(!c->in_msg && !c->in_tagged && !c->asked);
	return closes(c, AT_TOLD) ? 0 : error_of(c, AT_TOLD);
}

static int up_rx_read(void *user, const struct fab_read_req *r)
{
	struct checker *c = user;
	int err = told(c);

	CHECK(r->len && r->to + (r->len - 1) >= r->to);
	if (err)
		return err;
	c->reads++;
	if (c->answers)
		checker_post(c, FAB_READ_RESP, r->len, 1 + (r->len & 1), r->len & 2);
	return 0;
}

static int up_rx_atomic(void *user, const struct fab_atomic_req *r)
{
	struct checker *c = user;
	int err = told(c);

	CHECK(r->atomic.op <= FAB_CMP_SWAP);
	if (err)
		return err;
	c->atomics++;
	if (c->answers)
		checker_post(c, FAB_ATOMIC_RESP, r->id, 1, false);
	return 0;
}

static int up_rx_atomic_resp(void *user, uint32_t id, uint64_t value)
{
	struct checker *c = user;

	(void)id;
	(void)value;
	c->answered++;
	return told(c);
}

static int up_rx_immediate(void *user, uint64_t value)
{
	struct checker *c = user;

	(void)value;
	c->immediates++;
	return told(c);
}

static int up_rx_key(void *user, const struct fab_key_req *r, struct fab_key *key)
{
	struct checker *c = user;
	uint64_t at = r->to - CHECKER_TO;

	begin(c);
	if (r->stag != CHECKER_STAG)
		return -ENOKEY;
	if (at > CHECKER_AREA || r->len > CHECKER_AREA - at)
		return -ERANGE;
	*key = (struct fab_key){ &c->region, area(c, at) };
	return 0;
}

static void up_rx_fetched(void *user, const struct fab_read_req *r)
{
	struct checker *c = user;

	begin(c);
	CHECK(r->len);
	c->reads++;
}

const struct fab_msg_user checker_user = {
	.connected = up_connected,
	.tx_peek = up_tx_peek,
	.tx_done = up_tx_done,
	.rx_whole = up_rx_whole,
	.rx_place = up_rx_place,
	.rx_done = up_rx_done,
	.rx_tagged = up_rx_tagged,
	.rx_tagged_done = up_rx_tagged_done,
	.rx_read = up_rx_read,
	.rx_atomic = up_rx_atomic,
	.rx_atomic_resp = up_rx_atomic_resp,
	.rx_immediate = up_rx_immediate,
	.rx_key = up_rx_key,
	.rx_fetched = up_rx_fetched,
	.closed = up_closed,
};

/* ------------------------------------------------------------------------------ life */

void checker_init(struct checker *c, const struct fab_msg_ops *ops)
{
	*c = (struct checker){ .ops = ops, .room = CHECKER_AREA, .whole = 1, .receives = 1000 };
	c->area = malloc(CHECKER_AREA + 2 * GUARD);
	CHECK(c->area);
	memset(c->area, GUARD_BYTE, CHECKER_AREA + 2 * GUARD);
	c->region = (struct fab_region){
		.base = area(c, 0),
		.len = CHECKER_AREA,
		.access = FAB_MAY_WRITE | FAB_MAY_REMOTE_READ | FAB_MAY_REMOTE_WRITE,
	};
}

void checker_fini(struct checker *c, struct fab_msg *m)
{
	checker_close(c);
	if (c->region.wire && c->ops->region_gone)
		c->ops->region_gone(m, &c->region);
	while (c->out_count)
		out_drop(c);
	guards_check(c);
	free(c->area);
	c->area = NULL;
}
