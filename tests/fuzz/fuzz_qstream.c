/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_qstream.c - a hostile peer before a byte stream: what a message service tells it, in any order
 * and with any content, over a message service that is made of nothing.
 *
 * Input: steps, each an octet that says what happens, and what that needs. Messages have headers that
 * are right but for what the input says, so that all states are reached. Between them the user reads,
 * sends, shuts down and closes. Whatever comes, the user is told of no more than was let in, and
 * nothing is left at the end.
 *
 * The message service may have a device: it is given keys to rings, writes there what it likes, and
 * has messages on the wire for long, which stay as they are.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/qstream/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
	STEP_MESSAGE,
	STEP_RAW,
	STEP_WRITE,
	STEP_PIECES,
	STEP_OTHER,
	STEP_TAKE,
	STEP_DONE,
	STEP_PROGRESS,
	STEP_FLUSH,
	STEP_READ,
	STEP_SEND,
	STEP_SHUTDOWN,
	STEP_CLOSE,
	STEP_CLOSED,
	STEP_CONNECT,
	STEP_CONNECTED,
	STEP_REQUEST,
	STEP_WITHDRAWN,
	STEP_ACCEPT,
	STEP_TIME,
	STEP_KEY, /* last: the corpus knows the others by their number */
	STEPS
};

#define CONNS 8

struct input {
	const uint8_t *at;
	size_t left;
};

struct fab_msg_conn {
	const struct fab_msg_user *ops;
	void *user;
	bool open, asked, shut;
	unsigned peeked, begun;
	struct {
		const struct fab_send *send;
		uint64_t sum;
	} sends[QS_OUT_MAX]; /* peeked at */
	struct fab_region *ring;
};

static struct fab_msg_conn pool[CONNS];
static struct timers timers;
static uint64_t now;
static struct qstream *q;
static struct fab_listener *door;
static const struct fab_msg_listen_user *listen_ops;
static void *listen_user;
static bool pending;
static struct fab_region *dying; /* of a queue pair that is closed */

static struct user {
	struct fab_conn *conn;
	size_t room, named;
} users[CONNS];
static unsigned posted;
static uint8_t area[65536], seen[65536];

static void must(bool good)
{
	if (!good)
		abort();
}

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* Small numbers mostly, and the ends of the range. */
static uint32_t number(struct input *in)
{
	uint8_t n = take(in);

	if (n < 100)
		return n;
	if (n < 240)
		return (n - 99) * 2048u;
	return n < 248 ? (uint32_t)take(in) << 24 : UINT32_MAX - (n & 7);
}

/* ------------------------------------------------------------------ a message service of nothing */

static int msg_listen(struct fab_msg *m, const union fab_addr *addr, int backlog,
		      const struct fab_msg_listen_user *ops, void *user,
		      struct fab_msg_listener **out)
{
	(void)m;
	(void)addr;
	(void)backlog;
	listen_ops = ops;
	listen_user = user;
	*out = NULL;
	return 0;
}

static void msg_unlisten(struct fab_msg_listener *l)
{
	(void)l;
	listen_ops = NULL;
}

static struct fab_msg_conn *conn_free_one(void)
{
	for (int i = 0; i < CONNS; i++)
		if (!pool[i].ops && !pool[i].asked)
			return &pool[i];
	return NULL;
}

static int msg_connect(struct fab_msg *m, const struct fab_connect_attr *attr,
		       const struct fab_hello *hello, const void *pdata, size_t len,
		       const struct fab_msg_user *ops, void *user, struct fab_msg_conn **out)
{
	struct fab_msg_conn *c = conn_free_one();

	(void)m;
	(void)attr;
	must(hello->features == FAB_FEATURE_STREAM && pdata && len == sizeof(struct qs_hello));
	if (!c)
		return -EMFILE;
	*c = (struct fab_msg_conn){ .ops = ops, .user = user };
	*out = c;
	return 0;
}

static int msg_accept(struct fab_msg_conn *c, const struct fab_hello *hello, const void *pdata,
		      size_t len, const struct fab_msg_user *ops, void *user)
{
	must(c->asked && hello && pdata && len);
	*c = (struct fab_msg_conn){ .ops = ops, .user = user };
	return 0;
}

/* Of a message, in short. */
static uint64_t sum_of(const struct fab_send *s)
{
	uint64_t sum = s->len;

	for (unsigned i = 0; i < s->niov; i++)
		for (size_t k = 0; k < s->iov[i].iov_len; k += 61)
			sum = sum * 31 + ((const uint8_t *)s->iov[i].iov_base)[k];
	return sum;
}

static void check_begun(const struct fab_msg_conn *c)
{
	for (unsigned i = 0; i < c->begun; i++)
		must(sum_of(c->sends[i].send) == c->sends[i].sum);
}

/* The key to its ring is good until region_gone says otherwise. */
static void msg_gone(struct fab_msg_conn *c)
{
	must((c->ops || c->asked) && !dying);
	check_begun(c);
	dying = c->ring;
	memset(c, 0, sizeof(*c));
}

/* That of a ring follows the end of its queue pair. */
static void msg_region_gone(struct fab_msg *m, struct fab_region *region)
{
	(void)m;
	if (region == &q->region)
		return;
	must(region == dying);
	memset(region->base, 9, region->len);
	dying = NULL;
}

static void msg_reject(struct fab_msg_conn *c, const void *pdata, size_t len)
{
	(void)pdata;
	(void)len;
	must(c->asked);
	msg_gone(c);
}

static void msg_want(struct fab_msg_conn *c)
{
	must(c->ops);
}

static int msg_shutdown(struct fab_msg_conn *c)
{
	must(c->open && !c->shut);
	c->shut = true;
	return 0;
}

static void msg_conn_close(struct fab_msg_conn *c, bool reset)
{
	(void)reset;
	msg_gone(c);
}

static int msg_conn_addr(struct fab_msg_conn *c, union fab_addr *local, union fab_addr *peer)
{
	must(c->open);
	local->in.sin_family = peer->in.sin_family = AF_INET;
	return 0;
}

static struct fab_msg_ops msg_ops = {
	.listen = msg_listen,
	.unlisten = msg_unlisten,
	.connect = msg_connect,
	.accept = msg_accept,
	.reject = msg_reject,
	.tx_want = msg_want,
	.tx_now = msg_want,
	.rx_want = msg_want,
	.shutdown = msg_shutdown,
	.conn_close = msg_conn_close,
	.conn_addr = msg_conn_addr,
};

/* ------------------------------------------------------------------ a user */

static void up_connected(void *user, int err)
{
	struct user *u = user;

	must(u->conn);
	if (err)
		u->conn = NULL;
}

static int up_tx_next(void *user, struct iovec *iov, int max, size_t limit)
{
	struct user *u = user;
	size_t n = u->room % 50000;

	(void)max;
	(void)limit;
	must(u->conn);
	iov[0] = (struct iovec){ area, n };
	return n != 0;
}

static void up_tx_done(void *user, size_t n)
{
	struct user *u = user;

	must(u->conn);
	u->room = n ? u->room / 2 : u->room;
}

static int up_fault(void *user, int err)
{
	(void)user;
	return err;
}

static int up_rx_next(void *user, size_t n, struct iovec *iov, int max)
{
	struct user *u = user;

	(void)max;
	must(u->conn && n <= u->named);
	u->named = u->room % sizeof(area);
	iov[0] = (struct iovec){ area, u->named };
	u->room = u->room * 5 / 7;
	return u->named != 0;
}

static void up_rx_none(void *user)
{
	struct user *u = user;

	must(u->conn && u->named);
	u->named = 0;
}

static void up_rx_eof(void *user)
{
	struct user *u = user;

	must(u->conn);
	u->named = 0;
}

static void up_failed(void *user, int err)
{
	struct user *u = user;

	must(u->conn && err < 0);
	qstream_conn_close(u->conn, false);
	u->conn = NULL;
}

static const struct fab_stream_user user_ops = {
	.connected = up_connected,
	.tx_next = up_tx_next,
	.tx_done = up_tx_done,
	.tx_fault = up_fault,
	.rx_next = up_rx_next,
	.rx_none = up_rx_none,
	.rx_fault = up_fault,
	.rx_eof = up_rx_eof,
	.failed = up_failed,
};

static struct user *user_free_one(void)
{
	for (int i = 0; i < CONNS; i++)
		if (!users[i].conn)
			return &users[i];
	return NULL;
}

static void up_accepted(void *user, struct fab_conn *conn, const union fab_addr *peer)
{
	struct user *u = user_free_one();

	(void)user;
	(void)peer;
	must(posted--);
	if (!u) {
		qstream_conn_close(conn, true);
		return;
	}
	*u = (struct user){ .conn = conn };
	qstream_bind(conn, &user_ops, u);
}

static const struct fab_listen_user door_ops = { up_accepted, NULL };

static void up_pending(void *arg, bool what)
{
	(void)arg;
	must(pending != what);
	pending = what;
}

/* ------------------------------------------------------------------ the peer */

static void ended(struct fab_msg_conn *c, int err)
{
	if (err < 0 && c->ops)
		c->ops->closed(c->user, err);
}

static void hear(struct fab_msg_conn *c, const uint8_t *p, uint32_t len, bool pieces)
{
	struct fab_place place = { .len = len, .last = true };
	struct iovec iov[FAB_PLACE_IOV];
	uint32_t at = 0, part;
	int n;

	if (!pieces) {
		ended(c, c->ops->rx_whole(c->user, p, len));
		return;
	}
	do {
		part = len - at < 700 ? len - at : 700;
		place = (struct fab_place){ .offset = at, .len = part, .last = at + part == len };
		n = c->ops->rx_place(c->user, &place, iov, FAB_PLACE_IOV);
		if (n < 0) {
			ended(c, n);
			return;
		}
		must(n == 1 && iov[0].iov_len == part && !place.more);
		memcpy(iov[0].iov_base, p + at, part);
		at += part;
		c->ops->rx_done(c->user, &place);
	} while (at < len && c->ops);
}

/* Mostly what may come: its limit is moved, or not. */
static void message(struct fab_msg_conn *c, struct input *in, bool pieces)
{
	struct fab_conn *s = c->user;
	uint8_t op = take(in), flags = take(in), *p = malloc(QS_MESSAGE_MAX + 64);
	uint32_t len = number(in), off = number(in), payload = 0;
	uint64_t limit = s->tx_limit + (off > QS_WINDOW_MAX ? -(uint64_t)(off & 7) : off);
	size_t n;

	must(p != NULL);
	op = op < 250 ? 1 + op % 5 : op;
	flags = flags < 250 ? flags % 2 : flags;
	if (op == QS_DATA)
		payload = len = len % (QS_INLINE_MAX + 2);
	if (op == QS_LANDED && len == 99)
		len = (uint32_t)(s->rx_written - s->rx_tail);
	if (op != QS_DATA && op != QS_LANDED)
		len = len == 7;
	n = qs_header_put(p, (enum qs_op)op, flags, len, limit);
	if (op == QS_RING)
		n += qs_ring_put(p + n, number(in), 1u << (take(in) % 33 & 31), number(in));
	memset(p + n, op, payload);
	hear(c, p, (uint32_t)n + payload, pieces);
	free(p);
}

static void raw(struct fab_msg_conn *c, struct input *in)
{
	uint32_t len = take(in);
	uint8_t *p;

	if (len > in->left)
		len = (uint32_t)in->left;
	p = malloc(len ? len : 1);
	must(p != NULL);
	memcpy(p, in->at, len);
	in->at += len;
	in->left -= len;
	hear(c, p, len, len & 1);
	free(p);
}

static void write_to(struct fab_msg_conn *c, struct input *in)
{
	struct fab_conn *s = c->user;
	uint32_t len = number(in), off = number(in), stag = take(in);
	struct fab_tagged t = { .first = true, .last = true, .len = len };
	struct iovec iov[FAB_PLACE_IOV];
	int n;

	t.stag = stag < 240 ? s->rx_stag : stag - 240;
	t.to = (s->rx_size ? s->rx_written & (s->rx_size - 1) : 0) + (off < 90 ? 0 : off);
	t.response = off == 91;
	n = len ? c->ops->rx_tagged(c->user, &t, iov, FAB_PLACE_IOV) : 0;
	if (n < 0) {
		ended(c, n);
		return;
	}
	if (n) {
		must(n == 1 && iov[0].iov_len == len);
		memset(iov[0].iov_base, 3, len);
	}
	c->ops->rx_tagged_done(c->user, &t);
}

static void other(struct fab_msg_conn *c, struct input *in)
{
	struct fab_read_req r = { 0 };
	struct fab_atomic_req a = { 0 };
	int err;

	switch (take(in) % 4) {
	case 0:
		err = c->ops->rx_read(c->user, &r);
		break;
	case 1:
		err = c->ops->rx_atomic(c->user, &a);
		break;
	case 2:
		err = c->ops->rx_atomic_resp(c->user, 1, 2);
		break;
	default:
		err = c->ops->rx_immediate(c->user, 3);
		break;
	}
	must(err < 0);
	ended(c, err);
}

static bool in_ring(const struct fab_conn *s, const struct fab_key *key, uint32_t len)
{
	const uint8_t *p = key->addr;

	return key->region->base == s->rx_buf && key->region->len == s->rx_size && p >= s->rx_buf &&
	       len <= s->rx_size && p <= s->rx_buf + (s->rx_size - len);
}

/* A key, by which something is written at once. */
static void ask_key(struct fab_msg_conn *c, struct input *in)
{
	struct fab_conn *s = c->user;
	uint32_t off = number(in);
	struct fab_key_req r = { .len = number(in), .write = off != 91 };
	struct fab_key key = { 0 };
	uint8_t stag = take(in);
	int err;

	r.stag = stag < 240 ? s->rx_stag : stag - 240u;
	r.to = off == 99 ? UINT64_MAX - 5 : off;
	err = c->ops->rx_key(c->user, &r, &key);
	must(err <= 0 && c->ops);
	if (err)
		return;
	must(r.write && r.stag == s->rx_stag && r.stag && in_ring(s, &key, r.len));
	must(!c->ring || c->ring == key.region);
	c->ring = key.region;
	memset(key.addr, stag, r.len);
}

/* What it has to say is looked at, and stays as it is until it is done. */
static void peek(struct fab_msg_conn *c, unsigned max)
{
	while (c->peeked < max) {
		const struct fab_send *s = c->ops->tx_peek(c->user, c->peeked);
		size_t sum = 0;

		if (!s || !c->ops)
			return;
		must(!s->regions || (msg_ops.region_gone && s->regions[0] == &q->region));
		for (unsigned i = 0; i < s->niov; i++) {
			memcpy(seen, s->iov[i].iov_base,
			       s->iov[i].iov_len); /* all of it is there */
			sum += s->iov[i].iov_len;
		}
		must(sum == s->len && s->len && c->peeked < QS_OUT_MAX);
		must(c->peeked >= c->begun || c->sends[c->peeked].send == s);
		c->sends[c->peeked].send = s;
		c->sends[c->peeked++].sum = sum_of(s);
	}
}

/* Some of what was looked at is done, and some is on the wire now, as what was begun before is. */
static void done(struct fab_msg_conn *c, struct input *in)
{
	unsigned n, begun;

	check_begun(c);
	n = take(in) % (c->peeked + 1);
	begun = msg_ops.region_gone ? take(in) % (c->peeked - n + 1) : 0;
	if (begun + n < c->begun)
		begun = c->begun - n;
	memmove(c->sends, c->sends + n, begun * sizeof(c->sends[0]));
	c->peeked = c->begun = begun;
	c->ops->tx_done(c->user, n, begun);
}

static void greet(struct fab_msg_conn *c, struct input *in)
{
	uint8_t how = take(in);
	struct fab_msg_peer who = { .eta = true, .features = FAB_FEATURE_STREAM };
	struct qs_hello hello;

	qs_hello_put(&hello, how ? how * 100u : 0);
	if (how == 255) {
		/* refused: it is gone before its user hears so */
		const struct fab_msg_user *ops = c->ops;
		void *user = c->user;

		memset(c, 0, sizeof(*c));
		ops->connected(user, -ECONNREFUSED, NULL, NULL, 0);
		return;
	}
	c->open = true;
	c->ops->connected(c->user, 0, &who, &hello, sizeof(hello) - (how == 254));
}

static void request(struct input *in)
{
	struct fab_msg_conn *c = conn_free_one();
	struct fab_msg_peer who = { .eta = true, .features = FAB_FEATURE_STREAM };
	union fab_addr peer = { .in = { .sin_family = AF_INET } };
	struct qs_hello hello;
	uint8_t how = take(in);

	if (!c || !listen_ops)
		return;
	who.features = how == 255 ? 0 : who.features;
	qs_hello_put(&hello, 1000);
	c->asked = true;
	listen_ops->request(listen_user, c, &peer, &who, &hello, sizeof(hello));
}

static void withdraw(struct fab_msg_conn *c)
{
	if (!c->asked || !listen_ops)
		return;
	memset(c, 0, sizeof(*c));
	listen_ops->withdrawn(listen_user, c);
}

/* ------------------------------------------------------------------ all of it */

static void say(struct fab_msg_conn *c, enum step what, struct input *in)
{
	switch (what) {
	case STEP_MESSAGE:
	case STEP_PIECES:
		message(c, in, what == STEP_PIECES);
		break;
	case STEP_RAW:
		raw(c, in);
		break;
	case STEP_WRITE:
		write_to(c, in);
		break;
	case STEP_OTHER:
		other(c, in);
		break;
	case STEP_KEY:
		ask_key(c, in);
		break;
	case STEP_TAKE:
		peek(c, take(in) % (QS_OUT_MAX + 4));
		break;
	case STEP_DONE:
		done(c, in);
		break;
	default:
		c->ops->closed(c->user, -(int)(take(in) % 3) * EPIPE);
		break;
	}
}

static void use(struct user *u, enum step what, struct input *in)
{
	switch (what) {
	case STEP_READ:
		u->room = number(in);
		qstream_rx_want(u->conn);
		break;
	case STEP_SEND:
		u->room = number(in);
		if (take(in) & 1)
			qstream_tx_now(u->conn);
		else
			qstream_tx_want(u->conn);
		break;
	case STEP_SHUTDOWN:
		qstream_shutdown(u->conn);
		break;
	default:
		qstream_conn_close(u->conn, take(in) & 1);
		u->conn = NULL;
		break;
	}
}

static void dial(void)
{
	union fab_addr peer = { .in = { .sin_family = AF_INET } };
	struct fab_connect_attr attr = { .peer = &peer };
	struct user *u = user_free_one();

	if (!u)
		return;
	*u = (struct user){ 0 };
	if (qstream_connect(q, &attr, &user_ops, u, &u->conn))
		u->conn = NULL;
}

static void common(enum step what, struct input *in)
{
	switch (what) {
	case STEP_PROGRESS:
		qstream_progress(q, 1 + take(in) % 64);
		break;
	case STEP_FLUSH:
		qstream_flush(q);
		break;
	case STEP_CONNECT:
		dial();
		break;
	case STEP_REQUEST:
		request(in);
		break;
	case STEP_ACCEPT:
		if (door && !qstream_accept(door))
			posted++;
		break;
	default:
		now += (uint64_t)take(in) * 1000000000;
		timers_run(&timers, now);
		break;
	}
}

static void step(struct input *in)
{
	enum step what = (enum step)(take(in) % STEPS);
	unsigned which = take(in) % CONNS;
	struct fab_msg_conn *c = &pool[which];

	switch (what) {
	case STEP_MESSAGE:
	case STEP_RAW:
	case STEP_WRITE:
	case STEP_PIECES:
	case STEP_OTHER:
	case STEP_KEY:
	case STEP_TAKE:
	case STEP_DONE:
	case STEP_CLOSED:
		if (c->ops && c->open)
			say(c, what, in);
		break;
	case STEP_CONNECTED:
		if (c->ops && !c->open)
			greet(c, in);
		break;
	case STEP_WITHDRAWN:
		withdraw(c);
		break;
	case STEP_READ:
	case STEP_SEND:
	case STEP_SHUTDOWN:
	case STEP_CLOSE:
		if (users[which].conn)
			use(&users[which], what, in);
		break;
	default:
		common(what, in);
		break;
	}
}

static void begin(uint8_t settings)
{
	static struct fab_counters counters;
	struct fab_env env = { .counters = &counters, .timers = &timers };
	struct qstream_attr attr = { .msg = &msg_ops, .pending = up_pending };
	union fab_addr addr = { .in = { .sin_family = AF_INET } };
	struct fab_listen_attr la = { .addr = &addr, .backlog = 1, .defer_s = settings & 1 };

	msg_ops.region_gone = settings & 2 ? msg_region_gone : NULL;
	dying = NULL;
	memset(pool, 0, sizeof(pool));
	memset(users, 0, sizeof(users));
	posted = 0;
	pending = false;
	timers_init(&timers);
	now = timer_now_ns();
	must(!qstream_open(&env, &attr, &q));
	must(!qstream_listen(q, &la, &door_ops, NULL, &door));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	begin(take(&in));
	while (in.left)
		step(&in);
	for (int i = 0; i < CONNS; i++)
		if (users[i].conn)
			qstream_conn_close(users[i].conn, i & 1);
	qstream_unlisten(door);
	must(!q->open);
	qstream_close(q);
	must(!timers.count && !dying);
	for (int i = 0; i < CONNS; i++)
		must(!pool[i].ops && !pool[i].asked);
	timers_destroy(&timers);
	return 0;
}
