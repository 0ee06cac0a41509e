/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "roce_side.h"

#include <poll.h>

struct side a, b;
union fab_addr host;
bool asleep;
uint8_t pattern[BIG];

static void log_line(void *arg, int level, const char *text)
{
	(void)arg;
	if (level == FAB_LOG_WARN || getenv("ETA_TEST_VERBOSE"))
		fprintf(stderr, "# %s\n", text);
}

void side_open(struct side *s, bool streams)
{
	struct fab_env env = {
		.owner = FAB_OWNER_ROAMS,
		.counters = &s->counters,
		.timers = &s->timers,
		.log = log_line,
	};
	struct fab_msg_attr attr = {
		.handshake_ns = 5000000000, .ord = 8, .ird = 4, .streams = streams
	};

	memset(s, 0, sizeof(*s));
	s->region = (struct fab_region){
		.base = s->mem,
		.len = sizeof(s->mem),
		.access = FAB_MAY_WRITE | FAB_MAY_REMOTE_READ | FAB_MAY_REMOTE_WRITE,
	};
	timers_init(&s->timers);
	assert_int_equal(roce_stream_ops.open(&env, &s->fab), 0);
	assert_int_equal(ops->open(&env, &attr, &roce_stream_ops, s->fab, &s->m), 0);
}

void side_close(struct side *s)
{
	if (s->conn)
		ops->conn_close(s->conn, true);
	ops->region_gone(s->m, &s->region);
	if (s->listener)
		ops->unlisten(s->listener);
	ops->close(s->m);
	roce_stream_ops.close(s->fab);
	timers_destroy(&s->timers);
}

/* ----------------------------------------------------------------------------- upcalls */

static void up_connected(void *user, int err, const struct fab_msg_peer *who, const void *pdata,
			 size_t len)
{
	struct side *s = user;

	s->connects++;
	s->connect_err = err;
	assert_int_equal(!who, err != 0);
	if (who)
		s->who = *who;
	if (len)
		memcpy(s->pdata, pdata, len);
	s->pdata_len = len;
	if (err)
		s->conn = NULL;
}

static const struct fab_send *up_tx_peek(void *user, unsigned i)
{
	struct side *s = user;

	return s->out_done + i < s->out_count ? &s->out[s->out_done + i] : NULL;
}

static void up_tx_done(void *user, unsigned n, unsigned begun)
{
	struct side *s = user;

	s->out_done += n;
	s->partial = begun;
	assert_true(s->out_done <= s->out_count);
}

static bool closed_inside(struct side *s)
{
	if (!s->closed_inside)
		return false;
	ops->conn_close(s->conn, true);
	s->conn = NULL;
	return true;
}

static int up_rx_whole(void *user, const void *p, uint32_t len)
{
	struct side *s = user;

	if (closed_inside(s))
		return 0;
	if (s->by_place)
		return 1;
	assert_true(s->in_len + len <= sizeof(s->in));
	memcpy(s->in + s->in_len, p, len);
	s->in_len += len;
	s->received++;
	s->wholes++;
	return 0;
}

/* Two entries, and never all of a piece at once. */
static int up_rx_place(void *user, struct fab_place *piece, struct iovec *iov, int max)
{
	struct side *s = user;
	uint32_t len = piece->len, at = s->in_len + piece->offset;

	(void)max;
	if (s->no_receive)
		return -EAGAIN;
	if (piece->offset + len > s->room)
		len = piece->offset < s->room ? s->room - piece->offset : 0;
	else if (len > 3)
		piece->more = len-- > 3;
	assert_true(at + len <= sizeof(s->in));
	iov[0] = (struct iovec){ s->in + at, len / 2 };
	iov[1] = (struct iovec){ s->in + at + len / 2, len - len / 2 };
	return 2;
}

static void up_rx_done(void *user, const struct fab_place *piece)
{
	struct side *s = user;
	uint32_t end = piece->offset + piece->len;

	if (!piece->last)
		return;
	s->in_len += end < s->room ? end : s->room;
	s->received++;
}

static int up_rx_tagged(void *user, const struct fab_tagged *t, struct iovec *iov, int max)
{
	struct side *s = user;

	(void)max;
	if (s->refusal)
		return s->refusal;
	assert_int_equal(t->stag, 77);
	assert_true(t->to + t->len <= sizeof(s->mem));
	iov[0] = (struct iovec){ s->mem + t->to, t->len };
	return 1;
}

static void up_rx_tagged_done(void *user, const struct fab_tagged *t)
{
	struct side *s = user;

	s->tagged += t->last;
	s->answers += t->last && t->response;
}

static int up_rx_read(void *user, const struct fab_read_req *r)
{
	struct side *s = user;

	s->reads++;
	s->read = *r;
	return s->refusal;
}

static int up_rx_atomic(void *user, const struct fab_atomic_req *r)
{
	struct side *s = user;

	s->atomics++;
	s->atomic_req = *r;
	return 0;
}

static int up_rx_atomic_resp(void *user, uint32_t id, uint64_t value)
{
	struct side *s = user;

	s->answers++;
	s->value = value + id;
	return 0;
}

static int up_rx_immediate(void *user, uint64_t value)
{
	struct side *s = user;

	s->immediates++;
	s->value = value;
	return 0;
}

static int up_rx_key(void *user, const struct fab_key_req *r, struct fab_key *key)
{
	struct side *s = user;

	s->keys++;
	s->key = *r;
	if (!s->keyed)
		return -EOPNOTSUPP;
	if (s->key_err)
		return s->key_err;
	assert_int_equal(r->stag, 77);
	assert_true(r->to + r->len <= s->region.len);
	key->region = &s->region;
	key->addr = s->mem + r->to;
	if (r->to + r->len > sizeof(s->mem)) /* of another region than that */
		key->addr = (uint8_t *)s->region.base + r->to;
	return 0;
}

static void up_rx_fetched(void *user, const struct fab_read_req *r)
{
	struct side *s = user;

	s->fetched++;
	s->read = *r;
}

static void up_closed(void *user, int err)
{
	struct side *s = user;

	s->closes++;
	s->close_err = err;
}

const struct fab_msg_user user_ops = {
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

static void up_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
		       const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct side *s = user;

	assert_int_equal(peer->sa.sa_family, host.sa.sa_family);
	s->requests++;
	s->request = conn;
	s->who = *who;
	memcpy(s->pdata, pdata, len);
	s->pdata_len = len;
}

static void up_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct side *s = user;

	assert_ptr_equal(conn, s->request);
	s->request = NULL;
	s->withdrawn++;
}

static void up_failed(void *user, int err)
{
	(void)user;
	fail_msg("a listener failed: %d", err);
}

static const struct fab_msg_listen_user listen_ops = {
	.request = up_request,
	.withdrawn = up_withdrawn,
	.failed = up_failed,
};

/* ----------------------------------------------------------------------- making it go */

uint64_t now_ms(void)
{
	return timer_now_ns() / 1000000;
}

void turn(struct side *s)
{
	roce_stream_ops.flush(s->fab);
	roce_stream_ops.progress(s->fab, FAB_TURN_COMPLETIONS);
	timers_run(&s->timers, timer_now_ns());
	roce_stream_ops.flush(s->fab);
}

void sleep_both(void)
{
	struct pollfd fds[] = {
		{ .fd = roce_stream_ops.wait_fd(a.fab), .events = POLLIN },
		{ .fd = roce_stream_ops.wait_fd(b.fab), .events = POLLIN },
	};

	/* deadlines are not what is tested: they get a look now and then */
	if (poll(fds, 2, 5000) == 0)
		fail_msg("nothing happens any more");
}

void run_for(unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;) {
		turn(&a);
		turn(&b);
	}
}

void dial(const char *pdata, uint64_t timeout_ns)
{
	struct fab_hello hello = { .features = FAB_FEATURE_ULP,
				   .name_len = 4,
				   .window = 100,
				   .announces = 7,
				   .incarnation = 42,
				   .name = "name" };
	struct fab_connect_attr attr = { .timeout_ns = timeout_ns };
	union fab_addr addr;

	assert_int_equal(ops->listener_addr(b.listener, &addr), 0);
	attr.peer = &addr;
	assert_int_equal(
		ops->connect(a.m, &attr, &hello, pdata, strlen(pdata), &user_ops, &a, &a.conn), 0);
	assert_int_equal(a.connects, 0);
}

static void listen_b(void)
{
	assert_int_equal(ops->listen(b.m, &host, 16, &listen_ops, &b, &b.listener), 0);
}

static void accept_b(void)
{
	run_until(b.request);
	assert_int_equal(ops->accept(b.request, NULL, "yes", 3, &user_ops, &b), 0);
	b.conn = b.request;
	b.request = NULL;
	run_until(a.connects && b.connects);
	assert_int_equal(a.connect_err, 0);
	assert_int_equal(b.connect_err, 0);
	a.room = b.room = BIG;
}

int pair_open(void **state)
{
	(void)state;
	asleep = true;
	side_open(&a, false);
	side_open(&b, false);
	listen_b();
	dial("may I?", 0);
	accept_b();
	return 0;
}

int listener_open(void **state)
{
	(void)state;
	asleep = true;
	side_open(&a, false);
	side_open(&b, false);
	listen_b();
	return 0;
}

int pair_close(void **state)
{
	(void)state;
	side_close(&a);
	side_close(&b);
	return 0;
}

void post(struct side *s, struct fab_send send, const void *p)
{
	unsigned i = s->out_count;

	if (s->out_done == i)
		s->out_done = s->out_count = i = 0;
	assert_true(i < OUT_MAX);
	s->out_iov[i] = (struct iovec){ (void *)(uintptr_t)p, send.len };
	send.iov = &s->out_iov[i];
	send.niov = send.len || p;
	s->out_region[i] = (const uint8_t *)p >= s->mem && (const uint8_t *)p < s->mem + BIG
				   ? &s->region
				   : NULL;
	send.regions = s->named ? &s->out_region[i] : NULL;
	s->out[i] = send;
	s->out_count++;
	ops->tx_want(s->conn);
}

void post_send(struct side *s, uint32_t from, uint32_t len)
{
	post(s, (struct fab_send){ .op = FAB_SEND, .len = len }, pattern + from);
}

/* -------------------------------------------------------------------------- the device */

static bool find_host(void)
{
	struct roce_device *devices;
	char why[ROCE_WHY];
	int n = roce_devices(&devices, why);

	if (n <= 0)
		printf("skipped: %s\n", n ? "no memory" : why);
	for (int i = 0; i < n; i++) {
		if (!devices[i].usable)
			printf("%s cannot be used: %s\n", devices[i].name, devices[i].why_not);
		for (unsigned k = 0; k < devices[i].naddrs && devices[i].usable; k++)
			if (devices[i].addrs[k].sa.sa_family == AF_INET)
				host = devices[i].addrs[k];
	}
	roce_devices_free(devices);
	return host.sa.sa_family;
}

bool roce_tests_begin(void)
{
	for (unsigned i = 0; i < BIG; i++)
		pattern[i] = i * 7 + (i >> 8) * 13;
	return find_host();
}
