/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_roce_peer.c - a hostile peer of a connection on a queue pair, from set-up to its end, over
 * simulated devices.
 *
 * Input: octets of settings, then steps: an octet that says what happens, and what that needs. Sends go out
 * as they are, or as frames that are right but for what the input says, so that all states are reached;
 * between them its user posts, takes, refuses and closes, devices fail and go, and time passes. The
 * user checks what it is told (msg_checker.h); at the end nothing may be left of the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fabric/roce/roce.h"
#include "fabric/roce/wire.h"
#include "tests/fuzz/hostile_roce.h"
#include "tests/unit/msg_checker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);

enum setting {
	SET_INITIATOR = 0x01, /* our side dials */
	SET_RAW = 0x02,       /* no good set-up frame of the peer's goes first */
	SET_WAIT = 0x04,      /* requests wait for their user */
	SET_RANDOM = 0x08,    /* steps of devices come in another order */
	SET_FEW = 0x10,       /* the peer gives few credits, and small frames */
	SET_DATA = 0x20,      /* private data are the input's */
	SET_DEAF = 0x40,      /* the peer has no receives */
	SET_SEEN = 0x80,      /* its owner watches the descriptor */
};

enum step {
	STEP_RAW,
	STEP_FRAME,
	STEP_PIECES,
	STEP_HELLO,
	STEP_SETTLE,
	STEP_TURN,
	STEP_POST,
	STEP_TAKE,
	STEP_MANNER,
	STEP_USER,
	STEP_PEER,
	STEP_TIME,
	STEP_MEMORY,
	STEP_FAULT,
	STEPS
};

static struct fab_counters counters;
static struct timers timers;
static struct fab *fab;
static struct fab_msg *m;
static struct fab_msg_listener *listener;
static struct fab_msg_conn *request; /* waits for its user */
static struct checker user;
static uint8_t settings;

/* ------------------------------------------------------------------------------ time */

static uint64_t now = 1000000000, pace = 5000; /* how much passes from one look to the next */

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC || !fab)
		return __real_clock_gettime(id, ts);
	now += pace;
	ts->tv_sec = (time_t)(now / 1000000000);
	ts->tv_nsec = (long)(now % 1000000000);
	return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
	(void)rest;
	now += (uint64_t)time->tv_nsec;
	return 0;
}

/* ----------------------------------------------------------------------------- turns */

static void turn(void)
{
	roce_stream_ops.flush(fab);
	roce_stream_ops.progress(fab, 256);
	timers_run(&timers, timer_now_ns());
	roce_stream_ops.flush(fab);
	sim_step();
	if (hostile)
		sim_peer_turn(hostile);
}

static void settle(void)
{
	for (unsigned i = 0; i < 24; i++)
		turn();
}

/* ----------------------------------------------------------------------------- steps */

static void step_post(struct input *in)
{
	uint8_t how = take(in);
	uint32_t len = how & 0x80 ? take16(in) * 4u : take(in);

	checker_post(&user, (how & 7) % (FAB_IMMEDIATE + 1), len, 1 + (how >> 3 & 1), how & 0x10);
}

static void step_manner(struct input *in)
{
	static const int errs[] = { -ENOKEY, -ERANGE, -EACCES, -EPERM, -EBUSY, -EIO, 1, 0 };
	uint8_t how = take(in), value = take(in);

	user.whole = how & 3;
	user.bits = how & 4 ? 1 + value : 0;
	user.room = how & 8 ? value * 16u : CHECKER_AREA;
	user.answers = how & 16;
	user.reset = how & 32;
	if (how & 64)
		user.receives = 0;
	if (how & 128 && errs[value >> 5] <= 0)
		user.errs[value % AT_COUNT] = errs[value >> 5];
	if ((how & 192) == 192)
		user.errs[AT_TOLD] = 1;
}

static void request_answer(bool yes)
{
	struct fab_msg_conn *conn = request;

	request = NULL;
	if (!yes) {
		roce_msg_ops.reject(conn, "no", 2);
		return;
	}
	user.conn = conn;
	if (roce_msg_ops.accept(conn, NULL, "yes", 3, &checker_user, &user)) {
		user.conn = NULL;
		roce_msg_ops.conn_close(conn, false);
	}
}

static void unlisten(void)
{
	if (listener)
		roce_msg_ops.unlisten(listener);
	listener = NULL;
}

static void step_user(struct input *in)
{
	uint8_t how = take(in);

	if (request && !user.conn && !user.connected) {
		request_answer(how & 1);
	} else if (how < 32) {
		checker_close(&user);
	} else if (how < 64 && user.conn && user.connected) {
		roce_msg_ops.shutdown(user.conn);
	} else if (how < 72) {
		unlisten();
	} else if (how < 76) {
		if (user.conn && user.connected)
			roce_msg_ops.read_over(user.conn, CHECKER_SINK);
	} else if (how < 80) {
		if (user.region.wire && roce_msg_ops.region_gone)
			roce_msg_ops.region_gone(m, &user.region);
	} else if (how < 128 && user.conn && user.connected) {
		roce_msg_ops.tx_now(user.conn);
	} else if (how >= 128) {
		user.close_at = how % AT_COUNT;
		user.close_skip = how >> 5 & 3;
	}
}

static void step_peer(struct input *in)
{
	const uint8_t *got;
	uint8_t how = take(in);
	uint32_t len;

	if (!hostile)
		return;
	if (how < 96) {
		while (how-- && (got = sim_peer_got(hostile, &len))) {
			hostile_hears(got, len);
			sim_peer_drop(hostile);
		}
	} else if (how < 160) {
		sim_peer_disconnect(hostile);
	} else if (how < 224) {
		hostile_close();
	} else {
		sim_cut("sim0", how & 1);
	}
}

static void step_fault(struct input *in)
{
	uint8_t how = take(in);

	if (how == 255)
		sim_remove("sim0");
	else
		sim_fail(how % SIM_CALLS, how >> 6, 1, how & 32 ? ENOMEM : EINVAL);
}

static void run(struct input *in)
{
	switch (take(in) % STEPS) {
	case STEP_RAW:
		hostile_raw(in);
		break;
	case STEP_FRAME:
		hostile_frame(in);
		break;
	case STEP_PIECES:
		hostile_pieces(in);
		break;
	case STEP_HELLO:
		hostile_hello(in);
		break;
	case STEP_SETTLE:
		settle();
		break;
	case STEP_TURN:
		turn();
		break;
	case STEP_POST:
		step_post(in);
		break;
	case STEP_TAKE:
		checker_receive(&user, take(in) % 16);
		break;
	case STEP_MANNER:
		step_manner(in);
		break;
	case STEP_USER:
		step_user(in);
		break;
	case STEP_PEER:
		step_peer(in);
		break;
	case STEP_TIME:
		now += take(in) * 100000000ull;
		break;
	case STEP_MEMORY:
		hostile_memory(in, user.area);
		break;
	default:
		step_fault(in);
		break;
	}
}

/* ------------------------------------------------------------------------- one input */

static void up_request(void *arg, struct fab_msg_conn *conn, const union fab_addr *from,
		       const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	(void)arg;
	(void)from;
	(void)pdata;
	assert(who && len <= FAB_PDATA_MAX);
	if (request) {
		roce_msg_ops.conn_close(conn, true);
		return;
	}
	request = conn;
	if (!(settings & SET_WAIT) && !user.conn && !user.connected)
		request_answer(true);
}

static void up_withdrawn(void *arg, struct fab_msg_conn *conn)
{
	(void)arg;
	assert(conn == request);
	request = NULL;
}

static void up_failed(void *arg, int err)
{
	(void)arg;
	assert(err == -ENODEV);
}

static const struct fab_msg_listen_user listen_ops = { .request = up_request,
						       .withdrawn = up_withdrawn,
						       .failed = up_failed };

static void log_nothing(void *arg, int level, const char *text)
{
	(void)arg;
	(void)level;
	(void)text;
}

static void instance_open(void)
{
	struct fab_env env = { .owner = FAB_OWNER_ROAMS,
			       .counters = &counters,
			       .timers = &timers,
			       .log = log_nothing };
	struct fab_msg_attr attr = { .handshake_ns = 5000000000, .ord = 4, .ird = 4 };

	timers_init(&timers);
	if (roce_stream_ops.open(&env, &fab) ||
	    roce_msg_ops.open(&env, &attr, &roce_stream_ops, fab, &m))
		abort();
	if (settings & SET_SEEN)
		roce_stream_ops.wait_fd(fab);
	checker_init(&user, &roce_msg_ops);
}

static void meet(const struct sim_peer_attr *attr)
{
	struct fab_connect_attr connect = { 0 };
	struct sim_peer_attr dial = *attr;
	union fab_addr addr;

	if (settings & SET_INITIATOR) {
		hostile = sim_peer_listen(attr);
		addr = sim_peer_addr(hostile);
		connect.peer = &addr;
		if (roce_msg_ops.connect(m, &connect, NULL, "ave", 3, &checker_user, &user,
					 &user.conn))
			abort();
		return;
	}
	if (roce_msg_ops.listen(m, &attr->at, 4, &listen_ops, NULL, &listener) ||
	    roce_msg_ops.listener_addr(listener, &dial.at))
		abort();
	hostile = sim_peer_dial(&dial);
}

static void begin(struct input *in)
{
	struct roce_cm cm = {
		.service = ROCE_MESSAGES,
		.credits = 40,
		.ord = 4,
		.ird = 4,
		.frame_max = 8192,
		.features = ROCE_FEATURE_PLACE,
	};
	struct roce_cm_data data;
	struct sim_peer_attr attr = { .data = &data,
				      .data_len = sizeof(data),
				      .reads = 4,
				      .rnr_retry = 1,
				      .recvs = settings & SET_DEAF ? 0 : 48 };
	size_t n = sizeof(data);

	if (settings & SET_FEW) {
		cm.credits = 1 + take(in) % 4;
		cm.frame_max = ROCE_FRAME_MIN;
		cm.features = 0;
	}
	roce_cm_put(&cm, &data);
	if (settings & SET_DATA) {
		const uint8_t *p = take_some(in, &n);

		memcpy(&data, p, n);
		attr.data_len = n;
	}
	attr.at.in.sin_family = AF_INET;
	attr.at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	meet(&attr);
	settle();
	if (settings & SET_RAW)
		return;
	hostile_hello(&(struct input){ (const uint8_t[]){ settings & SET_INITIATOR ? 1 : 0 }, 1 });
	settle();
}

static void end(void)
{
	pace = 20000000; /* what lingers is not waited for */
	hostile_close();
	settle();
	if (request)
		roce_msg_ops.conn_close(request, false);
	request = NULL;
	checker_fini(&user, m);
	unlisten();
	roce_msg_ops.close(m);
	roce_stream_ops.close(fab);
	fab = NULL;
	timers_destroy(&timers);
	pace = 5000;
	sim_reset();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	sim_manual(true);
	sim_times(1000000, 1000000);
	now = 1000000000;
	hostile_begin();
	settings = take(&in);
	sim_seed(settings & SET_RANDOM ? 1 + take(&in) : 0);
	instance_open();
	begin(&in);
	while (in.left)
		run(&in);
	end();
	return 0;
}
