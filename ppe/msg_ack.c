/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_ack.c - what is acknowledged: what we owe the peer, and what it tells of ours.
 *
 * It may tell before the fabric says that a message is done with. Such an operation is still named in
 * `out`; what came is kept in it, and looked at when it leaves (op_wire_sent).
 */
#include <errno.h>

#include "ppe/message.h"

void link_owe(struct msg_link *l, uint32_t credit)
{
	l->owed += credit;
	if (l->owed >= MSG_WINDOW / 2 && !l->ack_due) {
		l->ack_due = true;
		link_want(l);
	}
}

void link_counted(struct msg_link *l)
{
	l->rx_seq++;
	if (!l->ack_due) {
		l->ack_due = true;
		link_want(l);
	}
}

/* A message in `out` is not seen through; so the peer counts what it cannot have got. */
static bool was_sent(const struct msg_link *l, uint32_t seq)
{
	return (int32_t)(l->tx_seq - seq) >= 0;
}

int link_acked(struct msg_link *l, uint32_t seen, uint32_t credit)
{
	if (!was_sent(l, seen) || (int32_t)(seen - l->tx_acked) < 0)
		return -EPROTO;
	if (credit > MSG_WINDOW_MAX || l->credit + credit > MSG_WINDOW_MAX)
		return -EPROTO;
	l->tx_acked = seen;
	l->credit += credit;
	while (!list_empty(&l->await)) {
		struct msg_op *op = list_entry(l->await.next, struct msg_op, link);

		if ((int32_t)(seen - op->seq_last) < 0)
			break;
		op_end(op, op->status);
	}
	if (l->peer->l == l && !list_empty(&l->peer->waiting))
		link_want(l);
	return 0;
}

static struct msg_op *find_seq(struct list *list, uint32_t seq)
{
	for (struct list *n = list->next; n != list; n = n->next) {
		struct msg_op *op = list_entry(n, struct msg_op, link);

		if (seq - op->seq_first <= op->seq_last - op->seq_first)
			return op;
	}
	return NULL;
}

static bool is_of(const struct msg_op *op, uint32_t seq)
{
	return op->counted && seq - op->seq_first <= op->seq_last - op->seq_first;
}

/* One that has more pieces to come, or is not yet done with by the wire, is not among those that await. */
static struct msg_op *find_sending(struct msg_link *l, uint32_t seq)
{
	struct msg_op *op;

	if (!list_empty(&l->peer->waiting)) {
		op = list_entry(l->peer->waiting.next, struct msg_op, link);
		if (op->l == l && is_of(op, seq))
			return op;
	}
	for (struct list *n = l->out.next; n != &l->out; n = n->next) {
		struct wire_msg *w = list_entry(n, struct wire_msg, link);

		if (w->kind >= WIRE_READ)
			continue;
		op = wire_op(w);
		if (is_of(op, seq))
			return op;
	}
	return NULL;
}

int link_held(struct msg_link *l, uint32_t seq)
{
	struct msg_op *op = find_seq(&l->await, seq);

	if (op && op->op == PPE_OP_SEND) {
		list_del(&op->link);
		list_add_tail(&l->held, &op->link);
		return 0;
	}
	if (!op)
		op = find_sending(l, seq);
	if (!op || op->op != PPE_OP_SEND || !op->wire.begun)
		return -EPROTO;
	op->held = true;
	return 0;
}

int link_acked_one(struct msg_link *l, uint32_t seq, int status)
{
	struct msg_op *op = find_seq(&l->held, seq);

	if (op) {
		op_end(op, status);
		return 0;
	}
	op = find_seq(&l->await, seq);
	if (!op)
		op = find_sending(l, seq);
	if (!op)
		return was_sent(l, seq) ? 0 : -EPROTO;
	if (op->held)
		op->over = true; /* nothing else will be heard of it */
	if (!op->status)
		op->status = status;
	return 0;
}

struct msg_op *link_begun(const struct msg_link *l, uint32_t id)
{
	for (struct list *n = l->out.next; n != l->edge->next; n = n->next) {
		struct wire_msg *w = list_entry(n, struct wire_msg, link);
		struct msg_op *op;

		if (w->kind != WIRE_ANNOUNCE && w->kind != WIRE_ATOMIC && w->kind != WIRE_NATIVE)
			continue;
		op = wire_op(w);
		if (op->id == id && (op->announced || op->fetching))
			return op;
	}
	return NULL;
}

struct msg_op *link_announced(const struct msg_link *l, uint32_t id)
{
	struct msg_op *op;

	for (struct list *n = l->announced.next; n != &l->announced; n = n->next) {
		op = list_entry(n, struct msg_op, link);
		if (op->id == id && op->announced)
			return op;
	}
	op = link_begun(l, id);
	return op && op->announced ? op : NULL;
}

int link_announce_done(struct msg_link *l, uint32_t id, int status)
{
	struct msg_op *op = link_announced(l, id);

	if (!op)
		return -EPROTO;
	l->nannounced--;
	op->announced = false;
	op->over = true;
	op->status = status;
	resps_forget(l, op);
	if (!op->in_wire && !op->served)
		op_end(op, status);
	return 0;
}
