/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * receive.c - the receiving side: listens, and for each transmitter keeps a window of receives
 * posted, checks what comes, sends it back if that was asked for, and says in the end what it got.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "examples/ttcp/end.h"
#include "examples/ttcp/meter.h"
#include "examples/ttcp/pattern.h"
#include "examples/ttcp/protocol.h"

#define EVENTS 64
/* tags of operations that are not on a data buffer, whose tag is its number */
#define TAG_OTHER UINT64_MAX

struct receiver {
	const struct config *config;
	struct end end;
	dusi_sock_t listener;
	uint64_t sessions;
};

struct session {
	const struct config *config;
	const struct end *end;
	uint64_t number; /* context of the socket: events of earlier ones are dropped */
	struct meter meter;
	struct hello hello;
	dusi_sock_t sock;
	uint8_t *greeting; /* registered */
	uint64_t greeting_len;
	uint64_t pause_at; /* bytes; 0: never */
	uint64_t mismatch;
	bool greeted;
	bool judged; /* the verdict is on its way */
	bool shut;   /* and is sent, with the end of this side's stream */
	bool ended;  /* the transmitter has ended the stream */
};

static void sleep_ms(uint64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (ms && nanosleep(&left, &left) && errno == EINTR)
		;
}

/* --------------------------------------------------------------------------------- posting */

static uint8_t *buffer(const struct session *s, uint64_t i)
{
	return s->end->memory + i * s->config->receive_size;
}

static int post_receive(struct session *s, uint8_t *at, size_t len, uint64_t tag)
{
	struct dusi_buf buf = { at, len, s->end->mem };
	int err = Dusi_Recv(s->sock, &buf, 1, tag);

	return err ? end_fail("posting a receive", err) : 0;
}

static int post_data_receive(struct session *s, uint64_t i)
{
	return post_receive(s, buffer(s, i), s->config->receive_size, i);
}

static int post_greeting(struct session *s)
{
	return post_receive(s, s->greeting + s->greeting_len, HELLO_BYTES - s->greeting_len,
			    TAG_OTHER);
}

static int post_echo(struct session *s, uint64_t i, size_t len)
{
	struct dusi_buf buf = { buffer(s, i), len, s->end->mem };
	int err = Dusi_Send(s->sock, &buf, 1, i);

	return err ? end_fail("posting a send", err) : 0;
}

static int post_verdict(struct session *s)
{
	struct verdict verdict = { .received = s->meter.bytes, .mismatch = s->mismatch };
	uint8_t bytes[VERDICT_BYTES];
	int err;

	s->judged = true;
	verdict_encode(&verdict, bytes);
	err = Dusi_Send_Inline(s->sock, bytes, sizeof(bytes), TAG_OTHER);
	if (!err)
		err = Dusi_Shutdown(s->sock, DUSI_SHUT_TX, TAG_OTHER);
	return err ? end_fail("posting a send", err) : 0;
}

/* ---------------------------------------------------------------------------------- events */

/* The transmitter has said what it is going to do. */
static int on_greeted(struct session *s)
{
	const struct config *c = s->config;

	if (hello_decode(s->greeting, &s->hello)) {
		fputs("eta-ttcp: the peer is no eta-ttcp, or one of another version\n", stderr);
		return -1;
	}
	if (c->verify && !(s->hello.flags & HELLO_PATTERN)) {
		fputs("eta-ttcp: the transmitter sends no pattern; give it --verify, too\n",
		      stderr);
		return -1;
	}
	if (c->latency && !(s->hello.flags & HELLO_LATENCY)) {
		fputs("eta-ttcp: the transmitter measures no latency; give it --latency, too\n",
		      stderr);
		return -1;
	}
	s->greeted = true;
	meter_start(&s->meter);
	for (uint64_t i = 0; i < c->window; i++)
		if (post_data_receive(s, i))
			return -1;
	return s->hello.total ? 0 : post_verdict(s);
}

static int on_greeting(struct session *s, size_t len)
{
	s->greeting_len += len;
	return s->greeting_len < HELLO_BYTES ? post_greeting(s) : on_greeted(s);
}

static void verify(struct session *s, const uint8_t *data, size_t len)
{
	size_t right;

	if (!s->config->verify || s->mismatch != VERDICT_RIGHT)
		return;
	right = pattern_check(s->hello.seed, s->meter.bytes, data, len);
	if (right < len)
		s->mismatch = s->meter.bytes + right;
}

static void pause_if_due(struct session *s)
{
	if (!s->pause_at || s->meter.bytes < s->pause_at)
		return;
	sleep_ms(s->config->pause_ms);
	s->pause_at = s->meter.bytes + s->config->pause_every;
}

static int on_data(struct session *s, uint64_t i, size_t len)
{
	bool echo = s->hello.flags & HELLO_LATENCY;

	verify(s, buffer(s, i), len);
	s->meter.bytes += len;
	s->meter.operations++;
	if (s->meter.bytes > s->hello.total) {
		fputs("eta-ttcp: more bytes came than were announced\n", stderr);
		return -1;
	}
	pause_if_due(s);
	/* an echo's buffer is posted again when it is sent */
	if (echo ? post_echo(s, i, len) : post_data_receive(s, i))
		return -1;
	if (s->meter.bytes < s->hello.total)
		return 0;
	meter_stop(&s->meter);
	return post_verdict(s);
}

static int on_end(struct session *s)
{
	s->ended = true;
	if (s->judged)
		return 0;
	fprintf(stderr,
		"eta-ttcp: the transmitter ended the connection after %" PRIu64 " of %" PRIu64
		" bytes\n",
		s->meter.bytes, s->hello.total);
	return -1;
}

static int on_event(struct session *s, const struct dusi_event *event)
{
	/* what happens to the receives left over once all is told is of no interest */
	if (event->status && !(s->judged && event->type == DUSI_EV_RECV))
		return end_fail("the connection to the transmitter broke", event->status);
	if (event->type == DUSI_EV_SEND && event->tag != TAG_OTHER)
		return post_data_receive(s, event->tag);
	if (event->type == DUSI_EV_SHUTDOWN)
		s->shut = true;
	if (event->type != DUSI_EV_RECV)
		return 0;
	if (event->status || !event->len)
		return s->ended ? 0 : on_end(s);
	return s->greeted ? on_data(s, event->tag, event->len) : on_greeting(s, event->len);
}

/* -------------------------------------------------------------------------------- a session */

static int session_accept(struct session *s, dusi_sock_t listener)
{
	struct dusi_event event;
	int n, err;

	if (end_socket(s->end, s->number, &s->sock))
		return -1;
	err = Dusi_Accept(listener, s->sock, TAG_OTHER);
	if (err)
		return end_fail("posting an accept", err);
	for (;;) {
		n = end_wait(s->end, &event, 1);
		if (n < 0)
			return -1;
		if (n && event.context == s->number)
			return event.status ? end_fail("accepting", event.status) : 0;
	}
}

static int session_transfer(struct session *s)
{
	struct dusi_event events[EVENTS];
	int n;

	while (!s->ended || !s->shut) {
		n = end_wait(s->end, events, EVENTS);
		if (n < 0)
			return -1;
		for (int i = 0; i < n; i++)
			if (events[i].context == s->number && on_event(s, &events[i]))
				return -1;
		meter_progress(&s->meter);
	}
	return 0;
}

static int session_judge(struct session *s)
{
	if (s->mismatch != VERDICT_RIGHT) {
		fprintf(stderr, "eta-ttcp: wrong byte at offset %" PRIu64 "\n", s->mismatch);
		return -1;
	}
	meter_report(&s->meter, s->config, "received", s->end->ual);
	return 0;
}

static int session_run(struct session *s, dusi_sock_t listener)
{
	if (session_accept(s, listener))
		return -1;
	sleep_ms(s->config->late_ms);
	if (post_greeting(s) || session_transfer(s))
		return -1;
	return session_judge(s);
}

static int serve_one(struct receiver *r)
{
	const struct config *c = r->config;
	struct session s = {
		.config = c,
		.end = &r->end,
		.number = ++r->sessions,
		.greeting = r->end.memory + c->window * c->receive_size,
		.pause_at = c->pause_every,
		.mismatch = VERDICT_RIGHT,
	};
	int err = session_run(&s, r->listener);

	if (s.sock.id)
		Dusi_Close_Socket(s.sock);
	return err;
}

/* -------------------------------------------------------------------------------- listening */

static int listen_on(struct receiver *r)
{
	const struct address *address = &r->config->address;
	struct sockaddr_storage name;
	size_t len = sizeof(name);
	char text[PARSE_ADDRESS_MAX];
	int err;

	if (end_socket(&r->end, 0, &r->listener))
		return -1;
	err = Dusi_Bind(r->listener, (const struct sockaddr *)&address->storage, address->len);
	if (!err)
		err = Dusi_Listen(r->listener, 16);
	if (!err)
		err = Dusi_Get_Socket_Ops(r->listener, DUSI_SO_LOCAL_ADDRESS, &name, &len);
	if (err)
		return end_fail(
			"cannot listen there; is the address this machine's, and the port free?",
			err);
	format_address(&name, text);
	printf("listening on %s\n", text);
	fflush(stdout);
	return 0;
}

int receive(const struct config *config)
{
	struct receiver r = { .config = config };
	int err;

	if (end_open(&r.end, config, config->window * config->receive_size + HELLO_BYTES))
		return -1;
	err = listen_on(&r);
	if (!err)
		err = serve_one(&r);
	while (config->forever && r.listener.id)
		err = serve_one(&r);
	end_close(&r.end);
	return err;
}
