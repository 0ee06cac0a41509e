/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probe.c - signs of life. Who only receives would never learn that the way to its peer is gone, or the
 * peer's machine: so a connection that was silent from one look to the next writes nothing to its peer,
 * which the other device acknowledges without its owner. A device gives up sooner than the next look
 * comes; if it has not, it never will (soft-RoCE may forget a queue pair whose packets have no route),
 * and the connection is over.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>

#define LOOK_NS 10000000000u
#define LOOK_SOON_NS 6000000000u /* when there is a reason; the device needs 4 s (ACK_TIMEOUT) */

static void probe(struct fab_msg_conn *c)
{
	c->heard = false;
	c->probed = true;
	roce_tx_probe(c);
}

/* What was heard may still stand in the completion queue, if nobody has looked for long. */
static bool is_silent(struct fab_msg_conn *c)
{
	if (!c->heard)
		roce_cq_drain(c->fab, c->cq, INT32_MAX);
	return !c->heard && c->state == RC_OPEN;
}

static void look_at(struct fab_msg_conn *c)
{
	if (!is_silent(c)) {
		c->heard = c->probed = false;
	} else if (!c->probed) {
		probe(c);
	} else {
		fab_logf(&c->fab->env, FAB_LOG_WARN, "roce: a connection failed: no sign of life");
		c->dead = true;
		roce_conn_lost(c, -ETIMEDOUT);
	}
}

static bool is_watched(const struct fab_msg_conn *c)
{
	return c && c->state == RC_OPEN && !c->dead && !c->bye_sent;
}

static void look(struct timer *t)
{
	struct fab *fab = container(t, struct fab, look);
	unsigned open = 0;

	roce_enter(fab);
	for (uint32_t i = 1; i < fab->nconns; i++) {
		open += fab->conns[i] && fab->conns[i]->state == RC_OPEN;
		if (is_watched(fab->conns[i]))
			look_at(fab->conns[i]);
	}
	if (open)
		timer_start(fab->env.timers, t, LOOK_NS, look);
	roce_leave(fab);
}

void roce_watch_start(struct fab *fab)
{
	if (!fab->look.slot)
		timer_start(fab->env.timers, &fab->look, LOOK_NS, look);
}

void roce_watch_doubt(struct roce_dev *dev)
{
	struct fab *fab = dev->fab;
	unsigned n = 0;

	for (uint32_t i = 1; i < fab->nconns; i++) {
		struct fab_msg_conn *c = fab->conns[i];

		if (!is_watched(c) || c->dev != dev)
			continue;
		probe(c);
		n++;
	}
	if (n)
		timer_start(fab->env.timers, &fab->look, LOOK_SOON_NS, look);
}
