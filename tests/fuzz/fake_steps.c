// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * fake_steps.c - what happens to the sockets and files of fake_gaio.c, step by step: gaio_wait().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_objects.h"

#define IDLE_WAITS_MAX 5000 /* without an event: nothing happens any more */

struct fake_world fake;

static unsigned idle_waits;
static bool stopping;

/* ---------------------------------------------------------------------------------- script */

static uint8_t next_byte(void)
{
	if (!fake.len)
		return 0;
	fake.len--;
	return *fake.script++;
}

static size_t next_size(void)
{
	uint8_t kind = next_byte();

	return kind < 128 ? (size_t)kind + 1 : (size_t)(kind - 127) * 128;
}

/* ------------------------------------------------------------------------------------ steps */

static struct gaio_sock *open_sock(uint8_t number, bool *found)
{
	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &fake_socks[(i + number) % SOCKETS];

		if (s->state == OPEN) {
			*found = true;
			return s;
		}
	}
	*found = false;
	return fake_socks;
}

static bool step_connect(void)
{
	struct gaio_sock *first = NULL;

	for (int i = 0; i < SOCKETS; i++)
		if (fake_socks[i].state == ACCEPTING &&
		    (!first || fake_socks[i].order < first->order))
			first = &fake_socks[i];
	if (!first || fake.n_peers == FAKE_PEERS)
		return false;
	first->peer = &fake.peers[fake.n_peers++];
	first->state = OPEN;
	fake_push_sock(first, first->attr.recv, GAIO_ACCEPT, 0, 0, first->accept_tag);
	return true;
}

static bool step_say(struct gaio_sock *s)
{
	struct fake_peer *p = s->peer;
	uint8_t what = next_byte();
	const uint8_t *bytes = fake.script;
	size_t n;

	if (p->fin)
		return false;
	if (what < 224) {
		bytes = (const uint8_t *)fake.texts[what % fake.n_texts];
		n = strlen((const char *)bytes);
	} else {
		n = (size_t)(what - 223) * 4 < fake.len ? (size_t)(what - 223) * 4 : fake.len;
		fake.script += n;
		fake.len -= n;
	}
	if (n > FAKE_SENT_MAX - p->n_sent)
		return false;
	memcpy(p->sent + p->n_sent, bytes, n);
	p->n_sent += n;
	return true;
}

static void check_untouched(const struct gaio_sock *s)
{
	const unsigned char *p = s->recv_buf.addr;

	for (size_t i = 0; i < s->recv_buf.len; i++)
		check(p[i] == 0xa5, "a receive buffer was touched");
}

static bool step_receive(struct gaio_sock *s, size_t max)
{
	struct fake_peer *p = s->peer;
	size_t n = p->n_sent - p->n_taken;

	if (!s->receiving || (!n && !p->fin))
		return false;
	check_untouched(s);
	if (n > max)
		n = max;
	if (n > s->recv_buf.len)
		n = s->recv_buf.len;
	memcpy(s->recv_buf.addr, p->sent + p->n_taken, n);
	p->n_taken += n;
	s->receiving = false;
	fake_push_sock(s, s->attr.recv, GAIO_RECV, 0, n, s->recv_tag);
	return true;
}

static void give(struct fake_peer *p, const char *bytes, size_t n)
{
	check(!p->got_fin, "a send behind the shutdown");
	/* a zero behind it all: what looks at numbers may look one too far */
	if (p->n_got + n >= p->room) {
		p->room = 2 * (p->n_got + n) + 4096;
		p->got = realloc(p->got, p->room);
		check(p->got, "no memory");
	}
	memcpy(p->got + p->n_got, bytes, n);
	p->n_got += n;
	p->got[p->n_got] = '\0';
}

static void check_unchanged(const struct send_op *op)
{
	size_t at = 0;

	for (int i = 0; i < op->n; at += op->bufs[i++].len) {
		fake_check_buf(&op->bufs[i], GAIO_READ);
		check(!memcmp(op->copy + at, op->bufs[i].addr, op->bufs[i].len),
		      "memory was changed while it was being sent");
	}
}

/* The oldest send ends; @err: after a part of it. */
static bool step_send(struct gaio_sock *s, int err)
{
	struct send_op *op = &s->sends[0];
	size_t n = err ? op->len / 2 : op->len;

	if (!s->n_sends)
		return false;
	if (op->shutdown) {
		s->peer->got_fin = true;
		fake_push_sock(s, s->attr.send, GAIO_SHUTDOWN, err, 0, op->tag);
	} else {
		check_unchanged(op);
		give(s->peer, op->copy, n);
		fake_push_sock(s, s->attr.send, GAIO_SEND, err, n, op->tag);
	}
	fake_end_send(s);
	return true;
}

static bool step_fail(struct gaio_sock *s)
{
	static const int errors[] = { -ECONNRESET, -EPIPE, -ETIMEDOUT, -EFAULT, -ENOBUFS, -EIO };
	uint8_t which = next_byte();
	int err = errors[which % (sizeof(errors) / sizeof(errors[0]))];

	s->peer->disturbed = true;
	s->peer->fin = true;
	if (which & 0x80)
		return step_send(s, err);
	if (!s->receiving)
		return false;
	check_untouched(s);
	s->receiving = false;
	fake_push_sock(s, s->attr.recv, GAIO_RECV, err, 0, s->recv_tag);
	return true;
}

/* What is left of a socket that was closed: its operations, then its last event. */
static bool step_close(struct gaio_sock *s)
{
	struct send_op *op = &s->sends[0];

	if (s->receiving) {
		s->receiving = false;
		fake_push_sock(s, s->attr.recv, GAIO_RECV, -ECANCELED, 0, s->recv_tag);
	} else if (s->n_sends) {
		if (!op->shutdown)
			check_unchanged(op);
		fake_push_sock(s, s->attr.send, op->shutdown ? GAIO_SHUTDOWN : GAIO_SEND,
			       -ECANCELED, 0, op->tag);
		fake_end_send(s);
	} else {
		fake_push_sock(s, s->attr.close, GAIO_CLOSE, 0, 0, s->close_tag);
		s->state = CLOSED;
		fake.open_sockets--;
		fake_unbind(s);
	}
	return true;
}

static bool close_some(uint8_t number)
{
	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &fake_socks[(i + number) % SOCKETS];

		if (s->state == CLOSING)
			return step_close(s);
	}
	return false;
}

static bool step_file(uint8_t number)
{
	for (int i = 0; i < FILES; i++) {
		struct gaio_file *f = &fake_files[(i + number) % FILES];
		struct gaio_event e = { .context = f->context, .file = f };

		if (f->used && f->opening) {
			f->opening = false;
			e.op = GAIO_OPEN;
			e.tag = f->open_tag;
			e.status = f->fd < 0 ? f->fd : 0;
		} else if (f->used && f->writing) {
			f->writing = false;
			f->busy--;
			e.op = GAIO_WRITE_FILE;
			e.tag = f->write_tag;
			e.len = f->write_len;
		} else if (f->used && f->closing && !f->busy && !f->closed) {
			if (f->fd >= 0)
				close(f->fd);
			f->closed = true;
			fake.open_files--;
			e.op = GAIO_CLOSE;
			e.tag = f->close_tag;
		} else {
			continue;
		}
		fake_push(f->queue, &e);
		return true;
	}
	return false;
}

static void disturb_all(void)
{
	for (int i = 0; i < FAKE_PEERS; i++)
		fake.peers[i].disturbed = true;
}

static void step_rare(void)
{
	static const int refusals[] = { -EAGAIN, -ENOMEM, -ENOSPC };
	uint8_t what = next_byte();

	switch (what % 4) {
	case 0:
		/* a program that ends does not wait for ever for its last events */
		if (!stopping)
			fake.now_ms += (int64_t)(what >> 2) * 250;
		disturb_all();
		break;
	case 1:
		fake_refuse = refusals[(what >> 2) % 3];
		break;
	case 2:
		if (what > 200) {
			disturb_all();
			stopping = true;
			fake.stopped();
		}
		break;
	default:
		step_file(what);
	}
}

static void step(void)
{
	uint8_t what = next_byte();
	bool found;
	struct gaio_sock *s = open_sock(what >> 4, &found);

	switch (what & 15) {
	case 0:
	case 1:
		step_connect();
		break;
	case 2:
	case 3:
	case 4:
		if (found)
			step_say(s);
		break;
	case 5:
	case 6:
	case 7:
		if (found)
			step_receive(s, next_size());
		break;
	case 8:
	case 9:
	case 10:
		if (found)
			step_send(s, 0);
		break;
	case 11:
		if (found)
			s->peer->fin = true;
		break;
	case 12:
		if (found && next_byte() < 64)
			step_fail(s);
		break;
	case 13:
	case 14:
		close_some(what >> 4);
		break;
	default:
		step_rare();
	}
}

/* The script is at its end: what is under way ends well. False: there was nothing to do. */
static bool finish(void)
{
	bool any = false;

	for (int i = 0; i < SOCKETS; i++) {
		struct gaio_sock *s = &fake_socks[i];

		if (s->state == CLOSING)
			any |= step_close(s);
		else if (s->state == OPEN)
			any |= step_send(s, 0) || step_receive(s, SIZE_MAX);
	}
	any |= step_file(0);
	if (any)
		return true;
	for (int i = 0; i < SOCKETS; i++) {
		if (fake_socks[i].state == OPEN && !fake_socks[i].peer->fin) {
			fake_socks[i].peer->fin = true;
			any = true;
		}
	}
	if (!any && !stopping) {
		stopping = true;
		fake.stopped();
		return true;
	}
	return any;
}

static int queues_with_events(void)
{
	int n = 0;

	for (int i = 0; i < QUEUES; i++)
		n += fake_queues[i].used && fake_queues[i].count;
	return n;
}

int gaio_wait(struct gaio *io, int64_t timeout_us)
{
	bool idle = false;
	int n, steps = 0;

	(void)io;
	fake_refuse = 0;
	if (fake.len && next_byte() < 8)
		return -EINTR;
	while (!(n = queues_with_events()) && !idle && steps++ < 8) {
		if (fake.len)
			step();
		else
			idle = !finish();
	}
	/* often there are events of several kinds */
	if (fake.len && *fake.script & 1)
		step();
	if (n) {
		idle_waits = 0;
		return queues_with_events();
	}
	check(++idle_waits < IDLE_WAITS_MAX, "the program waits for ever");
	/* a program that waits lets time pass; nothing is left here that time would disturb */
	if (idle && timeout_us)
		fake.now_ms += timeout_us < 0 || timeout_us > 1000000 ? 1000 : timeout_us / 1000;
	return 0;
}

/* ------------------------------------------------------------------------------------ worlds */

bool fake_file_is_cached(void)
{
	return !(fake.len && *fake.script & 2);
}

void fake_begin(const uint8_t *script, size_t len)
{
	fake_reset_objects();
	fake.script = script;
	fake.len = len;
	fake.now_ms = 1000000;
	fake.n_peers = 0;
	fake.open_sockets = fake.open_files = fake.queues = fake.regions = fake.events = 0;
	memset(fake.peers, 0, sizeof(fake.peers));
	idle_waits = 0;
	stopping = false;
}

void fake_end(void)
{
	for (int i = 0; i < FAKE_PEERS; i++)
		free(fake.peers[i].got);
	fake_free_objects();
}
