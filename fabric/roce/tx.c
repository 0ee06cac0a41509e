/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tx.c - messages into frames, or to the device.
 *
 * A post is made of as many frames as there are credits for and room, each of as many messages as fit;
 * between them stands what the device carries itself (place.c), each followed by a piece that speaks of
 * it. Payload in frames is copied, so such a message is done when its last frame is posted and all those
 * before it are done.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_WORTH 256    /* not less than so many octets of a long message in a frame */
#define PLACE_COST 4096    /* so many octets of a turn's share is the device's work */
#define RETRY_NS 10000000u /* when there is no memory for frames */

/* The post being made. */
struct post {
	struct fab_msg_conn *c;
	struct roce_wr wr[ROCE_POST];
	unsigned n, frames;
	struct roce_buf *buf; /* the frame being filled; NULL: none yet */
	uint32_t at;
	unsigned next, done; /* messages: looked at, whole */
	uint32_t off;        /* octets of the next that are in frames */
	bool more;           /* it was not the user that had no more */
	bool no_memory;
	size_t bytes;
	uint64_t copies, copy_bytes;
};

/* --------------------------------------------------------------------- messages */

static uint32_t frame_room(const struct post *p)
{
	return p->c->frame_max - p->at;
}

/* A frame to fill, with room for any piece without payload; false: there can be none now. */
static bool frame_ready(struct post *p)
{
	struct fab_msg_conn *c = p->c;

	if (p->buf)
		return true;
	if (p->n == ROCE_POST)
		return false;
	if (c->tx_credits <= p->frames || roce_sends_out(c) + p->n >= ROCE_DATA_SENDS) {
		c->tx_blocked = true;
		return false;
	}
	p->buf = roce_buf_get(c->dev);
	p->at = sizeof(struct roce_frame);
	p->no_memory = !p->buf;
	c->tx_blocked |= p->no_memory;
	return p->buf;
}

static void frame_over(struct post *p)
{
	if (!p->buf)
		return;
	p->wr[p->n++] = (struct roce_wr){ .buf = p->buf, .len = p->at };
	p->frames++;
	p->bytes += p->at;
	p->buf = NULL;
}

/* Room for @head octets that are not cut. */
static bool room_for(struct post *p, uint32_t head)
{
	if (p->buf && frame_room(p) < head)
		frame_over(p);
	return frame_ready(p);
}

/* For a work request of the device's, with a new frame behind it. */
static bool place_ready(struct post *p)
{
	if (p->buf && p->at > sizeof(struct roce_frame))
		frame_over(p);
	if (p->n + 1 >= ROCE_POST)
		return false;
	if (roce_sends_out(p->c) + p->n + 1 >= ROCE_DATA_SENDS) {
		p->c->tx_blocked = true;
		return false;
	}
	return frame_ready(p);
}

/* Payload from @from on, @len octets of it. */
static void copy_payload(uint8_t *to, const struct fab_send *s, uint32_t from, uint32_t len)
{
	for (unsigned i = 0; i < s->niov && len; i++) {
		const struct iovec *v = &s->iov[i];
		uint32_t n;

		if (from >= v->iov_len) {
			from -= v->iov_len;
			continue;
		}
		n = v->iov_len - from < len ? v->iov_len - from : len;
		memcpy(to, (const uint8_t *)v->iov_base + from, n);
		to += n;
		len -= n;
		from = 0;
	}
}

static void put_piece(struct post *p, const struct fab_send *s, uint32_t len)
{
	uint8_t *at = p->buf->mem + p->at;
	uint32_t head = roce_piece_put(at, s, p->off, len);

	if (len) {
		copy_payload(at + head, s, p->off, len);
		memset(at + head + len, 0, roce_pad(len) - len);
		p->copies++;
		p->copy_bytes += len;
	}
	p->at += head + roce_pad(len);
	p->off += len;
}

/* Adds what is left of a message; false: not all of it fitted. */
static bool put_message(struct post *p, const struct fab_send *s)
{
	uint32_t head = roce_piece_head(roce_op_of(s));
	uint32_t size = roce_has_payload(roce_op_of(s)) ? s->len : 0;

	do {
		uint32_t left = size - p->off, room, len;

		if (!frame_ready(p))
			return false;
		room = frame_room(p);
		if (room < head || (room - head < left && room - head < PIECE_WORTH)) {
			frame_over(p);
			continue;
		}
		room = (room - head) & ~7u;
		len = left < room ? left : room;
		put_piece(p, s, len);
		if (len == left)
			return true;
	} while (true);
}

/* ------------------------------------------------------------- by the device, and about it */

static void put_note(struct post *p, const struct roce_note *n)
{
	p->at += roce_note_put(p->buf->mem + p->at, n);
	if (n->op == ROCE_KEY)
		p->c->key_due = false;
}

static bool put_words(struct post *p)
{
	struct link *words = &p->c->words;

	while (linked(words)) {
		struct roce_word *w = container(words->next, struct roce_word, link);

		if (!room_for(p, roce_piece_head(w->note.op)))
			return false;
		put_note(p, &w->note);
		link_del(&w->link);
		free(w);
	}
	return true;
}

/*
 * A message that the device may carry. Whether there is room is seen to first, because what is once looked
 * at is prepared.
 */
static enum roce_way put_placed(struct post *p, const struct fab_send *s)
{
	struct fab_msg_conn *c = p->c;
	struct roce_place *place;
	struct roce_note note;
	enum roce_way way;

	if (!place_ready(p))
		return ROCE_NOT_YET;
	way = roce_place(c, s, &place, &note);
	if (way != ROCE_BY_DEVICE)
		return way;
	if (place) {
		place->seq = c->tx_seq + p->done;
		p->wr[p->n++] = (struct roce_wr){ .place = place,
						  .len = place->op == FAB_READ ? 0 : place->len };
		p->bytes += PLACE_COST;
	}
	if (note.op)
		put_note(p, &note);
	return way;
}

/* What goes in frames may be dealt with after what the device does later. */
static void goes_in_frames(struct fab_msg_conn *c, const struct fab_send *s)
{
	if ((s->op == FAB_WRITE && s->len) || s->op == FAB_ATOMIC) {
		c->unordered = !c->m->attr.streams;
		c->key_fences = false;
	} else if (s->op == FAB_READ_RESP) {
		roce_target_drop(c, s->stag);
	}
}

/* What is left of a message. False: not all of it is on its way. */
static bool put_any(struct post *p, const struct fab_send *s)
{
	enum roce_way way = ROCE_BY_FRAMES;

	if (!p->off && roce_may_place(p->c, s))
		way = put_placed(p, s);
	switch (way) {
	case ROCE_BY_DEVICE:
		return true;
	case ROCE_NOT_YET:
		put_words(p); /* a key may have been asked for */
		return false;
	default:
		goes_in_frames(p->c, s);
		return put_message(p, s);
	}
}

static bool is_answer(const struct fab_send *s)
{
	return s->op == FAB_READ_RESP || s->op == FAB_ATOMIC_RESP;
}

/* Empty reads of the peer's whose turn it is. */
static bool put_empties(struct post *p)
{
	struct fab_msg_conn *c = p->c;
	struct roce_empty *e;

	while ((e = c->empties) && e->behind == c->answered) {
		struct fab_send s = { .op = FAB_READ_RESP, .stag = e->stag, .to = e->to };

		if (!put_message(p, &s))
			return false;
		c->empties = e->next;
		free(e);
	}
	return true;
}

void roce_empties_free(struct fab_msg_conn *c)
{
	struct roce_empty *e;

	while ((e = c->empties)) {
		c->empties = e->next;
		free(e);
	}
}

/* All that may stand between messages. */
static bool put_between(struct post *p)
{
	return put_words(p) && put_empties(p);
}

static bool may_go_on(struct post *p)
{
	struct fab_msg_conn *c = p->c;

	if (!p->off && (!put_between(p) || c->shut || c->tx_waits))
		return false;
	return p->bytes < FAB_TURN_BYTES && p->n < ROCE_POST && (p->buf || frame_ready(p));
}

/* Fills frames. What was peeked at, and is whole, is counted in @p. */
static void put_messages(struct post *p)
{
	struct fab_msg_conn *c = p->c;
	const struct fab_send *s;

	p->off = c->tx_off;
	p->next = c->tx_held;
	p->more = true;
	while (may_go_on(p)) {
		s = c->ops->tx_peek(c->user, p->next);
		if (c->state != RC_OPEN)
			return;
		if (!s) {
			p->more = false;
			/* the rest of a message cannot be had */
			if (p->off)
				roce_fail_later(c, -EFAULT);
			return;
		}
		p->next++;
		if (!put_any(p, s))
			return;
		p->done++;
		p->off = 0;
		c->answered += is_answer(s);
	}
}

static void post_drop(struct post *p)
{
	struct fab_msg_conn *c = p->c;
	bool give = c->dev && !c->dev->dead;

	if (p->buf && give)
		roce_buf_put(c->dev, p->buf);
	for (unsigned i = 0; i < p->n; i++) {
		if (p->wr[i].place)
			roce_place_free(c->fab, p->wr[i].place);
		else if (give)
			roce_buf_put(c->dev, p->wr[i].buf);
	}
}

static void post_all(struct post *p)
{
	struct fab_msg_conn *c = p->c;
	bool first = true;

	if (p->buf && p->at > sizeof(struct roce_frame)) {
		frame_over(p);
	} else if (p->buf) {
		roce_buf_put(c->dev, p->buf);
		p->buf = NULL;
	}
	c->tx_seq += p->done;
	c->tx_held += p->done;
	if (!p->n)
		return;
	for (unsigned i = 0; i < p->n; i++) {
		if (p->wr[i].place)
			continue;
		roce_frame_put(p->wr[i].buf->mem, ROCE_DATA, first ? roce_take_owed(c) : 0, 0);
		first = false;
	}
	c->tx_credits -= p->frames;
	COUNT(c->fab, copies, p->copies);
	COUNT(c->fab, copy_bytes, p->copy_bytes);
	COUNT(c->fab, msgs_tx, p->done);
	roce_post(c, p->wr, p->n, false);
}

void roce_tx_report(struct fab_msg_conn *c, bool peeked)
{
	unsigned n;

	if (c->state != RC_OPEN)
		return;
	n = roce_places_done(c);
	if (!n && !peeked)
		return;
	c->tx_held -= n;
	c->ops->tx_done(c->user, n, c->tx_held + (c->tx_off != 0));
}

static void retry_memory(struct timer *t)
{
	struct fab_msg_conn *c = container(t, struct fab_msg_conn, timer);
	struct fab *fab = c->fab;

	roce_enter(fab);
	roce_tx_unblock(c);
	roce_leave(fab);
}

/* One round: peek, post, done. How many octets went. */
static size_t tx_round(struct fab_msg_conn *c)
{
	struct post p = { .c = c };

	link_del(&c->dirty);
	put_messages(&p);
	if (c->state != RC_OPEN) {
		post_drop(&p);
		return 0;
	}
	post_all(&p);
	c->tx_off = p.off;
	if (p.no_memory)
		roce_timer_start(c, RETRY_NS, retry_memory);
	roce_tx_report(c, p.next > c->tx_held - p.done);
	if (c->state != RC_OPEN)
		return 0;
	if (c->shut && !c->tx_off)
		roce_tx_bye(c, ROCE_BYE_DONE);
	else if (p.more && !c->tx_waits)
		roce_tx_want(c);
	return p.bytes;
}

void roce_tx_flush(struct fab_msg_conn *c)
{
	size_t bytes = 0, n;

	if (c->state != RC_OPEN || c->bye_sent || c->dead)
		return;
	do {
		n = tx_round(c);
		bytes += n;
	} while (n && bytes < FAB_TURN_BYTES && c->state == RC_OPEN && linked(&c->dirty) &&
		 !c->bye_sent && !c->dead);
}

void roce_tx_want(struct fab_msg_conn *c)
{
	if (c->state != RC_OPEN || c->tx_blocked || c->bye_sent || c->dead || linked(&c->dirty))
		return;
	link_move(&c->fab->dirty, &c->dirty);
}

void roce_tx_unblock(struct fab_msg_conn *c)
{
	if (!c->tx_blocked)
		return;
	c->tx_blocked = false;
	roce_tx_want(c);
}

void roce_tx_now(struct fab_msg_conn *c)
{
	if (c->state != RC_OPEN || c->tx_blocked)
		return;
	roce_enter(c->fab);
	roce_tx_flush(c);
	roce_leave(c->fab);
}
