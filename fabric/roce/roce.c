/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* roce.c - the instance: open and close, progress, flush; the two tables. */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CM_EVERY 16   /* turns */
#define CM_NS 20000   /* ... or so long after the last time, when nothing else came */
#define CLOSE_MS 2000 /* what was sent is given so long to be delivered */
#define WC_BATCH 16   /* completions of one poll */

/* ------------------------------------------------------------ entering and leaving */

void roce_enter(struct fab *fab)
{
	fab->depth++;
}

bool roce_left_over(const struct fab *fab)
{
	return linked(&fab->dirty) || linked(&fab->later) || fab->cq_left || fab->streams_left;
}

void roce_leave(struct fab *fab)
{
	if (fab->depth > 1) {
		fab->depth--;
		return;
	}
	while (linked(&fab->zombies))
		roce_conn_reap(container(fab->zombies.next, struct fab_msg_conn, in_list));
	roce_devs_reap(fab);
	fab->depth--;
	sleeper_publish(&fab->sleeper, roce_left_over(fab));
}

void roce_later(struct fab_msg_conn *c)
{
	if (!linked(&c->later))
		link_move(&c->fab->later, &c->later);
}

/* ------------------------------------------------------------------ completions */

static int status_errno(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RESP_TIMEOUT_ERR:
		return -ETIMEDOUT;
	case IBV_WC_WR_FLUSH_ERR:
	case IBV_WC_REM_OP_ERR: /* so may end who is killed: its memory goes first */
		return -ECONNRESET;
	case IBV_WC_RNR_RETRY_EXC_ERR: /* it does not keep its promise */
	case IBV_WC_REM_INV_REQ_ERR:
	case IBV_WC_REM_ACCESS_ERR:
		return -EPROTO;
	default:
		return -EIO;
	}
}

/*
 * A work request is named by its connection's place and generation, so that the completions of one that
 * is gone, whatever the provider does with them, are nobody's.
 */
static struct fab_msg_conn *conn_of(const struct fab *fab, uint64_t wr_id)
{
	uint32_t slot = wr_id >> 16 & 0xffffff, generation = wr_id >> 40;
	struct fab_msg_conn *c = slot < fab->nconns ? fab->conns[slot] : NULL;

	return c && (c->generation & 0x7fffff) == generation >> 1 ? c : NULL;
}

static void completed(struct fab *fab, const struct ibv_wc *wc)
{
	struct fab_msg_conn *c = conn_of(fab, wc->wr_id);

	if (!c)
		return;
	if (wc->status != IBV_WC_SUCCESS) {
		if (wc->status != IBV_WC_WR_FLUSH_ERR)
			fab_logf(&fab->env, FAB_LOG_WARN, "roce: a connection failed: %s",
				 fab->lib->p_ibv_wc_status_str(wc->status));
		c->dead = true;
		roce_conn_lost(c, status_errno(wc->status));
	} else if (wc->wr_id >> 40 & 1) {
		roce_rx_completed(c, wc->wr_id & 0xffff, wc->byte_len);
	} else {
		roce_tx_completed(c, wc->wr_id & 0xffff);
	}
}

int roce_cq_drain(struct fab *fab, struct roce_cq *cq, int budget)
{
	struct ibv_wc wc[WC_BATCH];
	int total = 0, n = WC_BATCH;

	while (total < budget && n == WC_BATCH) {
		unsigned stale = cq->stale;

		n = roce_poll_cq(fab, cq, wc, WC_BATCH);
		for (int i = 0; i < n; i++)
			completed(fab, &wc[i]);
		total += n;
		if (n < WC_BATCH) {
			cq->used -= stale;
			cq->stale -= stale;
		}
	}
	fab->cq_left |= n == WC_BATCH;
	return total;
}

static int drain_all(struct fab *fab, int budget)
{
	int n = 0;

	fab->cq_left = false;
	for (struct roce_dev *dev = fab->devs; dev; dev = dev->next)
		for (struct roce_cq *cq = dev->cqs; cq && !dev->dead; cq = cq->next)
			n += roce_cq_drain(fab, cq, budget);
	return n;
}

/* ---------------------------------------------------------------------- a turn */

static bool harvest_due(struct fab *fab, bool idle)
{
	if (atomic_load_explicit(&fab->harvest, memory_order_relaxed) || fab->tick % CM_EVERY == 0)
		return true;
	return idle && timer_now_ns() - fab->asked_ns > CM_NS;
}

static int harvest(struct fab *fab)
{
	atomic_store(&fab->harvest, false);
	fab->asked_ns = timer_now_ns();
	for (struct roce_dev *dev = fab->devs; dev; dev = dev->next)
		roce_dev_async(dev);
	return roce_cm_harvest(fab);
}

/* Those that are put there meanwhile are for the next time. */
static void run_later(struct fab *fab)
{
	struct link now;

	if (!linked(&fab->later))
		return;
	link_init(&now);
	link_splice(&now, &fab->later);
	while (linked(&now)) {
		struct fab_msg_conn *c = container(now.next, struct fab_msg_conn, later);

		link_del(&c->later);
		roce_conn_later(c);
	}
}

static int roce_progress(struct fab *fab, int budget)
{
	bool shown = fab->sleeper.nestfd >= 0;
	int n;

	roce_enter(fab);
	fab->tick++;
	if (shown)
		roce_show_begin(fab);
	n = drain_all(fab, budget);
	if (harvest_due(fab, !n))
		n += harvest(fab);
	run_later(fab);
	if (shown)
		fab->cq_left |= roce_show_end(fab);
	roce_leave(fab);
	return fab->streams ? n + qstream_progress(fab->streams, budget) : n;
}

static void roce_flush(struct fab *fab)
{
	struct link now;

	if (fab->streams)
		qstream_flush(fab->streams);
	if (!linked(&fab->dirty))
		return;
	roce_enter(fab);
	link_init(&now);
	link_splice(&now, &fab->dirty);
	while (linked(&now)) {
		struct fab_msg_conn *c = container(now.next, struct fab_msg_conn, dirty);

		link_del(&c->dirty);
		roce_tx_flush(c);
	}
	roce_leave(fab);
}

/* ----------------------------------------------------------------- open and close */

static bool is_asked_for(const struct fab_env *env, const struct roce_device *d)
{
	return !env->device || !strcmp(env->device, d->name);
}

/* -ENODEV: none that will do, and the log says why. */
static int find_device(const struct fab_env *env, const struct roce_device *devices, int n, int *at)
{
	bool seen = false;

	for (*at = 0; *at < n; ++*at)
		if (is_asked_for(env, &devices[*at]) && devices[*at].usable)
			return 0;
	for (int i = 0; i < n; i++) {
		if (!is_asked_for(env, &devices[i]))
			continue;
		seen = true;
		fab_logf(env, FAB_LOG_WARN, "roce: %s: %s", devices[i].name, devices[i].why_not);
	}
	if (!seen)
		fab_logf(env, FAB_LOG_WARN, "roce: there is no RDMA device called %s", env->device);
	return -ENODEV;
}

/* The first that will do. */
static int have_device(const struct fab_env *env, struct roce_device *found)
{
	struct roce_device *devices;
	char why[ROCE_WHY];
	int n = roce_devices(&devices, why), err, at;

	if (n < 0)
		return n;
	if (!n) {
		fab_logf(env, FAB_LOG_WARN, "roce: %s", why);
		return -EOPNOTSUPP;
	}
	err = find_device(env, devices, n, &at);
	if (!err)
		*found = devices[at];
	roce_devices_free(devices);
	return err;
}

static int instance_open(struct fab *fab)
{
	int err = sleeper_open(&fab->sleeper, fab->env.counters);

	if (err)
		return err;
	fab->events = fab->lib->p_rdma_create_event_channel();
	if (!fab->events) {
		fab_logf(&fab->env, FAB_LOG_WARN, "roce: no connection manager: error %d", errno);
		return -EOPNOTSUPP;
	}
	if (fcntl(fab->events->fd, F_SETFL, fcntl(fab->events->fd, F_GETFL) | O_NONBLOCK))
		return -errno;
	return 0;
}

static void instance_free(struct fab *fab)
{
	struct roce_dev *dev;

	while ((dev = fab->devs)) {
		fab->devs = dev->next;
		roce_dev_destroy(dev);
	}
	roce_mems_drop(fab, NULL);
	roce_guards_free(fab);
	if (fab->events)
		fab->lib->p_rdma_destroy_event_channel(fab->events);
	sleeper_close(&fab->sleeper);
	pthread_mutex_destroy(&fab->lock);
	free(fab->conns);
	free(fab);
}

static int roce_open(const struct fab_env *env, struct fab **out)
{
	const char *why;
	const struct roce_lib *lib = roce_lib(&why);
	struct roce_device device;
	const char *places = getenv("ETA_ROCE_PLACE");
	struct fab *fab;
	int err = have_device(env, &device);

	if (err)
		return err;
	fab = calloc(1, sizeof(*fab));
	if (!fab)
		return -ENOMEM;
	fab->env = *env;
	fab->env.device = NULL;
	if (env->device) {
		snprintf(fab->only, sizeof(fab->only), "%s", env->device);
		fab->naddrs = device.naddrs;
		memcpy(fab->addrs, device.addrs, sizeof(fab->addrs));
	}
	fab->lib = lib;
	fab->nconns = 1;
	link_init(&fab->dirty);
	link_init(&fab->later);
	link_init(&fab->lingering);
	link_init(&fab->zombies);
	link_init(&fab->mems);
	fab->places = !places || strcmp(places, "0");
	pthread_mutex_init(&fab->lock, NULL);
	err = instance_open(fab);
	if (err) {
		instance_free(fab);
		return err;
	}
	*out = fab;
	return 0;
}

/* Kernel TCP goes on delivering when a program has closed, and has ended; a device does not. */
static void deliver(struct fab *fab)
{
	uint64_t until = timer_now_ns() + CLOSE_MS * 1000000ull;
	const struct timespec pause = { .tv_nsec = 200000 };

	while (linked(&fab->lingering) && timer_now_ns() < until) {
		atomic_store(&fab->harvest, true);
		if (!roce_progress(fab, FAB_TURN_COMPLETIONS))
			nanosleep(&pause, NULL);
	}
}

static void roce_close(struct fab *fab)
{
	roce_streams_close(fab);
	assert(!fab->users && !fab->depth);
	deliver(fab);
	roce_enter(fab);
	while (linked(&fab->lingering))
		roce_conn_free(container(fab->lingering.next, struct fab_msg_conn, in_list));
	roce_leave(fab);
	timer_stop(fab->env.timers, &fab->sweep);
	timer_stop(fab->env.timers, &fab->look);
	instance_free(fab);
}

/* ------------------------------------------- the message service, and its instance */

static int msg_open(const struct fab_env *env, const struct fab_msg_attr *attr,
		    const struct fab_stream_ops *stream, struct fab *fab, struct fab_msg **out)
{
	struct fab_msg *m = calloc(1, sizeof(*m));

	(void)env;
	(void)stream;
	if (!m)
		return -ENOMEM;
	m->fab = fab;
	m->attr = *attr;
	m->service = attr->streams ? ROCE_STREAMS : ROCE_MESSAGES;
	fab->users++;
	*out = m;
	return 0;
}

static void msg_close(struct fab_msg *m)
{
	m->fab->users--;
	free(m);
}

const struct fab_msg_ops roce_msg_ops = {
	.name = "roce",
	.open = msg_open,
	.close = msg_close,
	.listen = roce_listen,
	.listener_addr = roce_listener_addr,
	.unlisten = roce_unlisten,
	.connect = roce_connect,
	.accept = roce_accept,
	.reject = roce_reject,
	.tx_want = roce_tx_want,
	.tx_now = roce_tx_now,
	.rx_want = roce_rx_want,
	.shutdown = roce_shutdown,
	.conn_close = roce_conn_close,
	.conn_addr = roce_conn_addr,
	.region_gone = roce_region_gone,
	.read_over = roce_read_over,
};

const struct fab_stream_ops roce_stream_ops = {
	.name = "roce",
	.open = roce_open,
	.close = roce_close,
	.progress = roce_progress,
	.flush = roce_flush,
	.wait = roce_wait,
	.wait_also = roce_wait_also,
	.kick = roce_kick,
	.drain = roce_drain,
	.wait_fd = roce_wait_fd,
	.kick_fd = roce_kick_fd,
	.listen = roce_stream_listen,
	.connect = roce_stream_connect,
	QSTREAM_OPS,
};
