/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * post.c - posting: write a descriptor, ring, and be sure that somebody looks.
 *
 * Who looks?
 *  - Nobody sleeps (slot free): a thread polls, or did so lately and the engine's thread guards. The
 *    next poll sends, together with whatever else was posted till then. An application that does
 *    not poll after it posts is found out by the doorbell's age, and its next posts are *eager*:
 *    they transmit themselves.
 *  - Somebody sleeps in the fabric: the poster transmits itself, which costs less than a wake; if it
 *    cannot have the turn, it kicks. It never returns having done neither.
 *    When that is the engine's thread, and the application polls again, many such posts in a short
 *    time pay for one wake: the thread then sees the polls and goes back to guarding.
 */
#include <errno.h>
#include <string.h>

#include "ppe/file.h"
#include "ppe/remote.h"

#define UNSENT_SLOTS 128 /* so many posted and not yet sent: transmit, whoever polls */
#define UNSENT_BYTES (256 * 1024)
#define EAGER_BURST_PRICE 16
#define RECALL_POSTS 16 /* that transmitted themselves while the thread slept in the fabric ... */
#define RECALL_US 1000  /* ... within this time */

unsigned ppe_post_slots(const struct ppe_post *p)
{
	return ppe_wr_slots(p->nsge ? p->nsge * sizeof(struct ppe_sge) : p->inline_len);
}

unsigned ppe_dti_room(struct ppe_dti *d, bool recv)
{
	struct queue_view q = recv ? dti_rq(d) : dti_sq(d);
	uint32_t tail = atomic_load_explicit(&q.idx->tail, memory_order_relaxed);

	return q.mask + 1 - (tail - atomic_load_explicit(&q.idx->head, memory_order_acquire));
}

/* ------------------------------------------------------------------- writing it */

static int post_check(const struct ppe_post *p, uint64_t *length)
{
	uint64_t total = p->inline_len;

	if (p->nsge > PPE_SGE_MAX || p->inline_len > PPE_INLINE_MAX || (p->nsge && p->inline_len))
		return -EINVAL;
	for (unsigned i = 0; i < p->nsge; i++)
		total += p->sge[i].len;
	if (total > UINT32_MAX)
		return -EMSGSIZE;
	*length = total;
	return 0;
}

/* Fills the queue up to its end, so that the request behind it is in one piece. */
static void write_padding(union ppe_slot *slot, uint32_t n)
{
	slot->wr = (struct ppe_wr){ .op = PPE_WR_NONE, .nslots = n };
}

static uint8_t wr_flags(uint8_t op, const struct ppe_post *p)
{
	uint8_t flags = p->flags & PPE_POST_SILENT ? PPE_WR_SILENT : 0;

	if (op != PPE_WR_SEND)
		return op == PPE_WR_RECV ? flags : 0;
	return flags | (p->flags & PPE_POST_SOLICITED ? PPE_WR_SOLICITED : 0) |
	       (p->nsge ? 0 : PPE_WR_INLINE);
}

static void write_request(union ppe_slot *slot, uint8_t op, const struct ppe_post *p,
			  uint32_t length, unsigned slots)
{
	uint8_t *payload = slot->bytes + sizeof(struct ppe_wr);

	slot->wr = (struct ppe_wr){
		.op = op,
		.flags = wr_flags(op, p),
		.nsge = p->nsge,
		.nslots = slots,
		.length = length,
		.user_tag = p->user_tag,
	};
	if (p->nsge)
		memcpy(payload, p->sge, p->nsge * sizeof(*p->sge));
	else if (p->inline_len)
		memcpy(payload, p->inline_data, p->inline_len);
}

/* The tail moves by an exchange when the engine's flag is read next (ppe_post_recv). */
static int queue_put(struct queue_view q, uint8_t op, const struct ppe_post *p, uint32_t length)
{
	unsigned slots = ppe_post_slots(p), size = q.mask + 1;
	uint32_t at = atomic_load_explicit(&q.idx->tail, memory_order_relaxed) & q.mask;
	unsigned pad = at + slots > size ? size - at : 0;

	if (!ppe_spsc_has_room(q.idx, size, pad + slots))
		return -EAGAIN;
	if (pad) {
		write_padding(&q.ring[at], pad);
		at = 0;
	}
	write_request(&q.ring[at], op, p, length, slots);
	ppe_spsc_commit(q.idx, pad + slots);
	return 0;
}

/* ----------------------------------------------------------------- seeing to it */

/* Somebody sleeps, or this application does not poll: do it here and now. */
static void transmit(struct ppe_dti *d)
{
	struct ppe_ual *ual = d->ual;

	if (turn_trylock(ual)) {
		turn_transmit(d);
		turn_unlock(ual);
		/* it is still rung, but nothing that was posted waits: the next post's age is its own */
		set_relaxed(&d->sh->rung_ticks, 0);
		return;
	}
	/* the holder may have looked at this queue before the post; a sleeper will look again */
	if (atomic_load_explicit(&ual->slot, memory_order_seq_cst))
		ual->fabric.stream->kick(ual->fabric.fab);
}

/*
 * After a pause the thread sleeps in the fabric, and what arrives wakes it to see that the application
 * polls again. If nothing arrives, this does. Several threads may count at once: a heuristic.
 */
static void recall_thread(struct ppe_ual *ual)
{
	uint64_t now = clock_ticks();
	uint32_t posts;

	if (atomic_load_explicit(&ual->slot, memory_order_relaxed) != SLOT_THREAD ||
	    atomic_load_explicit(&ual->followers, memory_order_relaxed) ||
	    clock_age(now, get_relaxed(&ual->last_poll)) > clock_us(PPE_POLLING_US))
		return;
	if (clock_age(now, get_relaxed(&ual->recall_since)) > clock_us(RECALL_US)) {
		set_relaxed(&ual->recall_since, now);
		set_relaxed(&ual->recall_posts, 0);
	}
	posts = get_relaxed(&ual->recall_posts) + 1;
	set_relaxed(&ual->recall_posts, posts % RECALL_POSTS);
	if (posts == RECALL_POSTS)
		ual->fabric.stream->kick(ual->fabric.fab);
}

/*
 * An eager post that comes singly, with polls before and behind it, loses nothing: the write would be
 * made anyway. Of those that come several at a time, one write could have carried all; so they soon
 * use up what a late one has left to be eager.
 */
static int32_t eager_price(struct ppe_dti *d)
{
	uint32_t epoch = get_relaxed(&d->ual->epoch);
	bool single = epoch != d->eager_epoch;

	d->eager_epoch = epoch;
	return single ? 1 : EAGER_BURST_PRICE;
}

static bool is_eager(struct ppe_dti *d)
{
	_Atomic int32_t *eager = &d->tx_evq->eager;
	int32_t left = get_relaxed(eager);

	if (left <= 0)
		return false;
	/* threads may race for it: a heuristic that is one too many does not matter */
	set_relaxed(eager, left - eager_price(d));
	count_shared(&d->ual->counters.eager_posts);
	return true;
}

/* More is waiting than one write should carry. */
static bool is_much(struct ppe_dti *d, uint32_t bytes)
{
	struct ppe_spsc *sq = &d->sh->sq;
	uint32_t unsent = atomic_load_explicit(&sq->tail, memory_order_relaxed) -
			  atomic_load_explicit(&sq->head, memory_order_relaxed);

	if (unsent <= PPE_WR_SLOTS_MAX)
		d->bytes_posted = 0;
	d->bytes_posted += bytes;
	if (unsent < UNSENT_SLOTS && d->bytes_posted < UNSENT_BYTES)
		return false;
	d->bytes_posted = 0;
	return true;
}

static void ring(struct ppe_dti *d, const struct ppe_post *p, uint32_t bytes)
{
	struct ppe_ual *ual = d->ual;
	bool much = is_much(d, bytes);

	if (!get_relaxed(&d->sh->rung) || !get_relaxed(&d->sh->rung_ticks))
		set_relaxed(&d->sh->rung_ticks, clock_ticks());
	doorbell_ring(ual, &d->sh->rung, handle_number(d->handle));
	if (p->flags & PPE_POST_MORE)
		return;
	/* after the doorbell: a sleeper takes the slot before it looks at the doorbells */
	if (atomic_load_explicit(&ual->slot, memory_order_seq_cst)) {
		transmit(d);
		recall_thread(ual);
	} else if (ual->placement == PPE_ADAPTIVE && (much || is_eager(d))) {
		transmit(d);
	} else if (ual->placement == PPE_INLINE && atomic_load(&ual->followers)) {
		/* a program sleeps in poll(), and no thread would send for it */
		transmit(d);
	}
}

static int post_tx_bytes(struct ppe_dti *d, uint8_t op, const struct ppe_post *p, uint32_t length)
{
	int err;

	if (d->flags & PPE_LOCKED)
		mutex_lock(&d->sq_lock);
	err = queue_put(dti_sq(d), op, p, length);
	if (!err)
		ring(d, p, length);
	if (d->flags & PPE_LOCKED)
		mutex_unlock(&d->sq_lock);
	return err;
}

static int post_tx(struct ppe_dti *d, uint8_t op, const struct ppe_post *p)
{
	uint64_t length;
	int err;

	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	err = post_check(p, &length);
	return err ? err : post_tx_bytes(d, op, p, length);
}

/* ------------------------------------------------------------------ message service */

/* Bytes of the descriptor behind its header. */
static unsigned message_bytes(const struct ppe_msg *m)
{
	return sizeof(struct ppe_wr_msg) +
	       (m->flags & PPE_POST_TRIGGER ? sizeof(struct ppe_wr_trigger) : 0) +
	       (m->nsge + m->ncmp + m->nres) * sizeof(struct ppe_sge) +
	       m->nrma * sizeof(struct ppe_rma) + m->inline_len;
}

static bool message_lists_fit(const struct ppe_msg *m)
{
	switch (m->op) {
	case PPE_OP_SEND:
	case PPE_OP_RECV:
		return !m->nrma && !m->ncmp && !m->nres && m->nsge <= 8;
	case PPE_OP_WRITE:
	case PPE_OP_READ:
		return m->nrma && m->nrma <= PPE_RMA_MAX && !m->ncmp && !m->nres && m->nsge <= 8;
	case PPE_OP_ATOMIC:
	case PPE_OP_FETCH:
	case PPE_OP_COMPARE:
		return m->nrma && m->nrma <= PPE_RMA_MAX && m->nsge <= PPE_ATOMIC_SGE &&
		       m->ncmp <= PPE_ATOMIC_SGE && m->nres <= PPE_ATOMIC_SGE;
	default:
		return false;
	}
}

static int message_check(const struct ppe_msg *m, uint32_t *length)
{
	uint64_t total = m->inline_len;

	if (!message_lists_fit(m) || m->inline_len > PPE_INLINE_MAX ||
	    (m->inline_len && (m->nsge || m->op == PPE_OP_RECV || m->op == PPE_OP_READ)) ||
	    (m->flags >> 16) || ((m->flags & PPE_POST_TRIGGER) && !m->trigger))
		return -EINVAL;
	for (unsigned i = 0; i < m->nsge; i++)
		total += m->sge[i].len;
	if (total > UINT32_MAX)
		return -EMSGSIZE;
	*length = total;
	return 0;
}

static uint8_t *put(uint8_t *to, const void *from, size_t len)
{
	if (len)
		memcpy(to, from, len);
	return to + len;
}

static void write_message(union ppe_slot *slot, const struct ppe_msg *m, uint32_t length,
			  unsigned slots)
{
	unsigned nsge = m->nsge + m->ncmp + m->nres;
	struct ppe_wr_msg ext = {
		.peer = m->peer,
		.flags = m->flags,
		.op = m->op,
		.nrma = m->nrma,
		.tag = m->tag,
		.data = m->op == PPE_OP_RECV ? m->ignore : m->data,
	};
	uint8_t *p = slot->bytes + sizeof(struct ppe_wr);

	slot->wr = (struct ppe_wr){
		.op = PPE_WR_MESSAGE,
		.flags = (m->flags & PPE_POST_SILENT ? PPE_WR_SILENT : 0) |
			 (m->flags & PPE_POST_SOLICITED ? PPE_WR_SOLICITED : 0) |
			 (nsge ? 0 : PPE_WR_INLINE),
		.nsge = nsge,
		.nslots = slots,
		.length = length,
		.user_tag = m->user_tag,
	};
	if (m->op >= PPE_OP_ATOMIC) {
		const struct ppe_wr_atomic a = {
			.op = m->atomic_op,
			.type = m->atomic_type,
			.ncmp = m->ncmp,
			.nres = m->nres,
		};

		memcpy(&ext.tag, &a, sizeof(a));
	}
	p = put(p, &ext, sizeof(ext));
	if (m->flags & PPE_POST_TRIGGER) {
		const struct ppe_wr_trigger t = {
			.cntr = cntr_number(m->trigger),
			.complete = m->complete ? cntr_number(m->complete) : 0,
			.threshold = m->threshold,
		};

		p = put(p, &t, sizeof(t));
	}
	p = put(p, m->sge, nsge * sizeof(*m->sge));
	p = put(p, m->rma, m->nrma * sizeof(*m->rma));
	put(p, m->inline_data, m->inline_len);
}

static int queue_put_message(struct queue_view q, const struct ppe_msg *m, uint32_t length)
{
	unsigned slots = ppe_wr_slots(message_bytes(m)), size = q.mask + 1;
	uint32_t at = atomic_load_explicit(&q.idx->tail, memory_order_relaxed) & q.mask;
	unsigned pad = at + slots > size ? size - at : 0;

	if (slots > PPE_WR_MESSAGE_SLOTS_MAX)
		return -EINVAL;
	if (!ppe_spsc_has_room(q.idx, size, pad + slots))
		return -EAGAIN;
	if (pad) {
		write_padding(&q.ring[at], pad);
		at = 0;
	}
	write_message(&q.ring[at], m, length, slots);
	ppe_spsc_commit(q.idx, pad + slots);
	return 0;
}

static int post_message_tx(struct ppe_dti *d, const struct ppe_msg *m, uint32_t length)
{
	const struct ppe_post p = { .flags = m->flags & PPE_POST_MORE };
	int err;

	if (d->flags & PPE_LOCKED)
		mutex_lock(&d->sq_lock);
	err = queue_put_message(dti_sq(d), m, length);
	if (!err)
		ring(d, &p, length);
	if (d->flags & PPE_LOCKED)
		mutex_unlock(&d->sq_lock);
	return err;
}

static void receive_wanted(struct ppe_dti *d);

/*
 * The engine fetches receives when a message asks for one. It is told of them when messages wait
 * already, when the queue is getting full, and when the receive is more than that.
 */
static int post_message_rx(struct ppe_dti *d, const struct ppe_msg *m, uint32_t length)
{
	const unsigned asks = PPE_POST_PEEK | PPE_POST_CLAIM | PPE_POST_DISCARD | PPE_POST_TRIGGER;
	bool half;
	int err;

	if (d->flags & PPE_LOCKED)
		mutex_lock(&d->rq_lock);
	err = queue_put_message(dti_rq(d), m, length);
	half = ppe_dti_room(d, true) <= d->rq_mask / 2;
	if (d->flags & PPE_LOCKED)
		mutex_unlock(&d->rq_lock);
	/* a read-modify-write behind the tail's store: pairs with dti_starved() */
	if ((!err && atomic_fetch_or_explicit(&d->sh->starved, 0, memory_order_seq_cst)) || half ||
	    (!err && (m->flags & asks)))
		receive_wanted(d);
	return err;
}

int ppe_post_message(struct ppe_dti *d, const struct ppe_msg *m)
{
	uint32_t length;
	int err;

	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	err = message_check(m, &length);
	if (err)
		return err;
	return m->op == PPE_OP_RECV ? post_message_rx(d, m, length) : post_message_tx(d, m, length);
}

int ppe_post_send(struct ppe_dti *d, const struct ppe_post *p)
{
	return post_tx(d, PPE_WR_SEND, p);
}

static int send_file_check(const struct ppe_dti *d, const struct ppe_file *f, uint64_t offset,
			   uint64_t len)
{
	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	if (f->ual != d->ual)
		return -EXDEV;
	if (d->service != PPE_STREAM)
		return -EOPNOTSUPP;
	if (len > UINT32_MAX)
		return -EMSGSIZE;
	if (offset > INT64_MAX - len)
		return -EINVAL;
	return atomic_load(&f->fd) < 0 ? -EBADF : 0;
}

/* Counted before it can be seen: the file stays until this send is over. */
int ppe_post_send_file(struct ppe_dti *d, struct ppe_file *f, uint64_t offset, uint64_t len,
		       uint64_t user_tag, unsigned flags)
{
	const struct ppe_wr_file range = { .offset = offset, .file = f->handle };
	const struct ppe_post p = {
		.user_tag = user_tag,
		.inline_data = &range,
		.inline_len = sizeof(range),
		.flags = flags & PPE_POST_MORE,
	};
	int err = send_file_check(d, f, offset, len);

	if (err)
		return err;
	atomic_fetch_add(&f->sends, 1);
	err = post_tx_bytes(d, PPE_WR_SEND_FILE, &p, len);
	if (err)
		atomic_fetch_sub(&f->sends, 1);
	return err;
}

int ppe_post_shutdown(struct ppe_dti *d, uint64_t user_tag)
{
	const struct ppe_post p = { .user_tag = user_tag };

	return post_tx(d, PPE_WR_SHUTDOWN, &p);
}

int ppe_post_nop(struct ppe_dti *d, uint64_t user_tag)
{
	const struct ppe_post p = { .user_tag = user_tag };

	return post_tx(d, PPE_WR_NOP, &p);
}

/* The engine wants this receive: data are waiting, or the connection has ended. */
static void receive_wanted(struct ppe_dti *d)
{
	struct ppe_ual *ual = d->ual;

	doorbell_ring(ual, &d->sh->rung, handle_number(d->handle));
	if (!atomic_load_explicit(&ual->slot, memory_order_seq_cst))
		return;
	if (turn_trylock(ual)) {
		turn_run(ual, TURN_POST);
		turn_unlock(ual);
	} else if (atomic_load_explicit(&ual->slot, memory_order_seq_cst)) {
		ual->fabric.stream->kick(ual->fabric.fab);
	}
}

int ppe_post_recv(struct ppe_dti *d, const struct ppe_post *p)
{
	uint64_t length;
	int err;

	if (!ual_alive(d->ual))
		return -EOWNERDEAD;
	err = post_check(p, &length);
	if (err)
		return err;
	if (p->inline_len)
		return -EINVAL;
	if (d->flags & PPE_LOCKED)
		mutex_lock(&d->rq_lock);
	err = queue_put(dti_rq(d), PPE_WR_RECV, p, length);
	if (d->flags & PPE_LOCKED)
		mutex_unlock(&d->rq_lock);
	/* a read-modify-write behind the tail's store: pairs with dti_starved() */
	if (!err && atomic_fetch_or_explicit(&d->sh->starved, 0, memory_order_seq_cst))
		receive_wanted(d);
	return err;
}
