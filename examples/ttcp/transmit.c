/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * transmit.c - the transmitting side: a window of sends in flight, or round trips one by one; then
 * the end of the stream, and the receiver's verdict.
 *
 * A receive for what the receiver says is posted all the time, so its end is noticed at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/ttcp/end.h"
#include "examples/ttcp/meter.h"
#include "examples/ttcp/pattern.h"
#include "examples/ttcp/protocol.h"

#define EVENTS 64
#define TAG_DATA 1 /* of sends; other operations have 0 */
#define CONNECT_TIMEOUT_US INT64_C(10000000)

struct transmitter {
	const struct config *config;
	struct end end;
	struct meter meter;
	dusi_sock_t sock;
	uint8_t *reply; /* registered: echoes, and the verdict */
	uint64_t reply_len, reply_want;
	uint64_t posted;    /* bytes of data */
	uint64_t next;      /* number of the next operation */
	uint64_t in_flight; /* operations */
	uint64_t rtt_begin_ns;
	bool echoing; /* the reply is an echo, not the verdict */
	bool shut;
	bool done;
};

/* --------------------------------------------------------------------------------- posting */

static uint64_t bytes_at(const struct transmitter *t)
{
	uint64_t left = t->config->total - t->posted;

	return left < t->config->size ? left : t->config->size;
}

static int post_reply(struct transmitter *t)
{
	struct dusi_buf buf = { t->reply + t->reply_len, t->reply_want - t->reply_len, t->end.mem };
	int err = Dusi_Recv(t->sock, &buf, 1, 0);

	return err ? end_fail("posting a receive", err) : 0;
}

static int expect_reply(struct transmitter *t, bool echo)
{
	t->echoing = echo;
	t->reply_len = 0;
	t->reply_want = echo ? bytes_at(t) : VERDICT_BYTES;
	return post_reply(t);
}

static int post_hello(struct transmitter *t)
{
	const struct config *c = t->config;
	struct hello hello = { .total = c->total, .seed = c->seed, .size = (uint32_t)c->size };
	uint8_t bytes[HELLO_BYTES];
	int err;

	hello.flags = (c->latency ? HELLO_LATENCY : 0) | (c->verify ? HELLO_PATTERN : 0);
	hello_encode(&hello, bytes);
	err = Dusi_Send_Inline(t->sock, bytes, sizeof(bytes), 0);
	if (err)
		return end_fail("posting a send", err);
	t->in_flight++;
	return 0;
}

/* Sends end in the order posted, so a buffer is free again a window later. */
static int post_send(struct transmitter *t)
{
	const struct config *c = t->config;
	uint64_t len = bytes_at(t);
	struct dusi_buf buf = { t->end.memory + t->next % c->window * c->size, len, t->end.mem };
	int err;

	if (c->verify)
		pattern_fill(c->seed, t->posted, buf.addr, len);
	err = Dusi_Send(t->sock, &buf, 1, TAG_DATA);
	if (err)
		return end_fail("posting a send", err);
	t->posted += len;
	t->next++;
	t->in_flight++;
	return 0;
}

static int post_shutdown(struct transmitter *t)
{
	int err = Dusi_Shutdown(t->sock, DUSI_SHUT_TX, 0);

	t->shut = true;
	t->in_flight++;
	return err ? end_fail("posting the shutdown", err) : 0;
}

/* One trip at a time: its echo is expected before it goes. */
static int post_trip(struct transmitter *t)
{
	if (expect_reply(t, true))
		return -1;
	t->rtt_begin_ns = meter_now_ns();
	return post_send(t);
}

static int post_more(struct transmitter *t)
{
	const struct config *c = t->config;

	if (c->latency) {
		if (t->echoing)
			return 0;
		if (t->posted < c->total)
			return post_trip(t);
	}
	while (t->posted < c->total) {
		if (t->in_flight >= c->window)
			return 0;
		if (post_send(t))
			return -1;
	}
	if (t->shut)
		return 0;
	if (c->latency && expect_reply(t, false))
		return -1;
	return post_shutdown(t);
}

/* ---------------------------------------------------------------------------------- events */

static int judge(const struct transmitter *t)
{
	struct verdict v;

	verdict_decode(t->reply, &v);
	if (v.mismatch != VERDICT_RIGHT) {
		fprintf(stderr, "eta-ttcp: the receiver found a wrong byte at offset %" PRIu64 "\n",
			v.mismatch);
		return -1;
	}
	if (v.received != t->config->total) {
		fprintf(stderr, "eta-ttcp: the receiver got %" PRIu64 " of %" PRIu64 " bytes\n",
			v.received, t->config->total);
		return -1;
	}
	return 0;
}

static int on_echo(struct transmitter *t)
{
	const struct config *c = t->config;
	uint64_t offset = t->posted - t->reply_len;
	size_t right;

	t->meter.rtt_ns[t->meter.rtts++] = (uint32_t)(meter_now_ns() - t->rtt_begin_ns);
	t->echoing = false;
	if (!c->verify)
		return 0;
	right = pattern_check(c->seed, offset, t->reply, t->reply_len);
	if (right == t->reply_len)
		return 0;
	fprintf(stderr, "eta-ttcp: the echo has a wrong byte at offset %" PRIu64 "\n",
		offset + right);
	return -1;
}

static int on_reply(struct transmitter *t, size_t len)
{
	t->reply_len += len;
	if (!len) {
		fprintf(stderr,
			"eta-ttcp: the receiver ended the connection after %" PRIu64 " of %" PRIu64
			" bytes were sent, without a confirmation\n",
			t->meter.bytes, t->config->total);
		return -1;
	}
	if (t->reply_len < t->reply_want)
		return post_reply(t);
	if (t->echoing)
		return on_echo(t);
	t->done = true;
	return judge(t);
}

static int on_event(struct transmitter *t, const struct dusi_event *event)
{
	if (event->status)
		return end_fail("the connection to the receiver broke", event->status);
	if (event->type == DUSI_EV_RECV)
		return on_reply(t, event->len);
	t->in_flight--;
	if (event->tag == TAG_DATA) {
		t->meter.bytes += event->len;
		t->meter.operations++;
	}
	return 0;
}

static int transfer(struct transmitter *t)
{
	struct dusi_event events[EVENTS];
	int n;

	while (!t->done) {
		if (post_more(t))
			return -1;
		n = end_wait(&t->end, events, EVENTS);
		for (int i = 0; i < n; i++)
			if (on_event(t, &events[i]))
				return -1;
		if (n < 0)
			return -1;
		meter_progress(&t->meter);
	}
	return 0;
}

/* --------------------------------------------------------------------------------- the whole */

static int connect_to(struct transmitter *t)
{
	const struct address *address = &t->config->address;
	const int64_t timeout_us = CONNECT_TIMEOUT_US;
	struct dusi_event event;
	char text[PARSE_ADDRESS_MAX];
	int err, n;

	if (end_socket(&t->end, 0, &t->sock))
		return -1;
	Dusi_Set_Socket_Ops(t->sock, DUSI_SO_CONNECT_TIMEOUT, &timeout_us, sizeof(timeout_us));
	err = Dusi_Connect(t->sock, (const struct sockaddr *)&address->storage, address->len, 0);
	while (!err) {
		n = end_wait(&t->end, &event, 1);
		if (n < 0)
			return -1;
		if (n && !event.status)
			return 0;
		if (n)
			err = event.status;
	}
	format_address(&address->storage, text);
	fprintf(stderr, "eta-ttcp: cannot connect to %s: %s; is a receiver listening there?\n",
		text, strerror(-err));
	return -1;
}

static int run(struct transmitter *t)
{
	if (connect_to(t))
		return -1;
	meter_start(&t->meter);
	if (post_hello(t))
		return -1;
	/* without echoes the next that the receiver says is the verdict */
	if (!t->config->latency && expect_reply(t, false))
		return -1;
	if (transfer(t))
		return -1;
	meter_stop(&t->meter);
	meter_report(&t->meter, t->config, "transmitted", t->end.ual);
	return 0;
}

/* Round trips are kept all, for the percentiles. */
static int rtt_room(struct transmitter *t)
{
	uint64_t trips = (t->config->total + t->config->size - 1) / t->config->size;

	if (!t->config->latency)
		return 0;
	t->meter.rtt_ns = calloc(trips, sizeof(*t->meter.rtt_ns));
	return t->meter.rtt_ns ? 0 : end_fail("cannot allocate the figures; try fewer", -ENOMEM);
}

int transmit(const struct config *config)
{
	struct transmitter t = { .config = config };
	size_t data = config->window * config->size;
	size_t reply = config->size > VERDICT_BYTES ? config->size : VERDICT_BYTES;
	int err;

	if (rtt_room(&t))
		return -1;
	err = end_open(&t.end, config, data + reply);
	if (!err) {
		t.reply = t.end.memory + data;
		err = run(&t);
		end_close(&t.end);
	}
	free(t.meter.rtt_ns);
	return err;
}
