/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev.c - a device in use: memory for frames, completion queues, and its loss.
 *
 * Its context is librdmacm's, which shares it among all of a process and closes it when no id is bound
 * to it any more; so that this does not happen under our feet, an id of our own is bound to the device
 * for as long as anything of it is used. The same id hears of the device's removal.
 */
#include "fabric/roce/roce_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ------------------------------------------------------------------ frames */

static int chunk_new(struct roce_dev *dev)
{
	const size_t size = (size_t)ROCE_CHUNK * ROCE_FRAME;
	struct roce_chunk *ch = calloc(1, sizeof(*ch));

	if (!ch)
		return -ENOMEM;
	ch->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ch->mem == MAP_FAILED) {
		free(ch);
		return -ENOMEM;
	}
	/* or the device would write to the parent's pages, and the parent to copies of them */
	madvise(ch->mem, size, MADV_DONTFORK);
	ch->mr = dev->fab->lib->p_ibv_reg_mr(dev->pd, ch->mem, size, IBV_ACCESS_LOCAL_WRITE);
	if (!ch->mr) {
		int err = -errno;

		fab_logf(&dev->fab->env, FAB_LOG_WARN,
			 "roce: no memory for frames: error %d (see ulimit -l)", -err);
		munmap(ch->mem, size);
		free(ch);
		return err;
	}
	for (unsigned i = 0; i < ROCE_CHUNK; i++) {
		ch->bufs[i].mem = ch->mem + (size_t)i * ROCE_FRAME;
		ch->bufs[i].lkey = ch->mr->lkey;
		roce_buf_put(dev, &ch->bufs[i]);
	}
	ch->next = dev->chunks;
	dev->chunks = ch;
	return 0;
}

static void chunk_free(struct roce_dev *dev, struct roce_chunk *ch)
{
	dev->fab->lib->p_ibv_dereg_mr(ch->mr);
	munmap(ch->mem, (size_t)ROCE_CHUNK * ROCE_FRAME);
	free(ch);
}

struct roce_buf *roce_buf_get(struct roce_dev *dev)
{
	struct roce_buf *buf;

	if (!dev->free && chunk_new(dev))
		return NULL;
	buf = dev->free;
	dev->free = buf->next;
	return buf;
}

void roce_buf_put(struct roce_dev *dev, struct roce_buf *buf)
{
	buf->next = dev->free;
	dev->free = buf;
}

/* ------------------------------------------------------- completion queues */

static struct roce_cq *cq_new(struct roce_dev *dev)
{
	struct fab *fab = dev->fab;
	struct roce_cq *cq = calloc(1, sizeof(*cq));

	if (!cq)
		return NULL;
	cq->size = dev->cq_size;
	cq->cq = fab->lib->p_ibv_create_cq(dev->ctx, cq->size, cq, dev->channel, 0);
	if (!cq->cq) {
		fab_logf(&fab->env, FAB_LOG_WARN, "roce: no completion queue: error %d", errno);
		free(cq);
		return NULL;
	}
	pthread_mutex_lock(&fab->lock);
	cq->next = dev->cqs;
	dev->cqs = cq;
	pthread_mutex_unlock(&fab->lock);
	/* a sleeper knows nothing of it yet */
	sleeper_rouse(&fab->sleeper);
	return cq;
}

struct roce_cq *roce_cq_get(struct roce_dev *dev, unsigned n)
{
	struct roce_cq *cq = dev->cqs;

	while (cq && cq->size - cq->used < n)
		cq = cq->next;
	if (!cq)
		cq = cq_new(dev);
	if (cq)
		cq->used += n;
	return cq;
}

/* Completions of what is gone may still stand there: their places are free when it was empty once. */
void roce_cq_put(struct roce_cq *cq, unsigned n)
{
	cq->stale += n;
}

/* ------------------------------------------------------------ its life */

static int dev_describe(struct roce_dev *dev)
{
	struct ibv_device_attr attr;

	if (dev->fab->lib->p_ibv_query_device(dev->ctx, &attr))
		return -EIO;
	dev->reads = attr.max_qp_rd_atom < ROCE_READS ? attr.max_qp_rd_atom : ROCE_READS;
	if (dev->reads > attr.max_qp_init_rd_atom)
		dev->reads = attr.max_qp_init_rd_atom;
	dev->cq_size = attr.max_cqe < ROCE_CQ_SIZE ? attr.max_cqe : ROCE_CQ_SIZE;
	return dev->cq_size >= ROCE_SENDS + ROCE_RECVS ? 0 : -EOPNOTSUPP;
}

static int dev_anchor(struct roce_dev *dev, struct rdma_cm_id *id)
{
	struct fab *fab = dev->fab;
	union fab_addr addr;
	int err = fab_addr_set(&addr, rdma_get_local_addr(id), sizeof(addr));

	if (err)
		return err;
	if (addr.sa.sa_family == AF_INET)
		addr.in.sin_port = 0;
	else
		addr.in6.sin6_port = 0;
	if (fab->lib->p_rdma_create_id(fab->events, &dev->anchor, &dev->ep, RDMA_PS_TCP)) {
		dev->anchor = NULL;
		return -errno;
	}
	if (fab->lib->p_rdma_bind_addr(dev->anchor, &addr.sa))
		return -errno;
	return dev->anchor->verbs == id->verbs ? 0 : -ENODEV;
}

static int set_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) ? -errno : 0;
}

static int dev_open(struct roce_dev *dev)
{
	const struct roce_lib *lib = dev->fab->lib;
	int err = dev_describe(dev);

	if (err)
		return err;
	dev->pd = lib->p_ibv_alloc_pd(dev->ctx);
	if (!dev->pd)
		return -errno;
	dev->channel = lib->p_ibv_create_comp_channel(dev->ctx);
	if (!dev->channel)
		return -errno;
	err = set_nonblocking(dev->channel->fd);
	if (!err)
		err = set_nonblocking(dev->ctx->async_fd);
	return err ? err : roce_watch_dev(dev->fab, dev);
}

/* Whatever there is of it. Errors are of no use: of a device that was removed all calls fail. */
void roce_dev_destroy(struct roce_dev *dev)
{
	const struct roce_lib *lib = dev->fab->lib;
	struct roce_chunk *ch;
	struct roce_cq *cq;

	roce_mems_drop(dev->fab, dev);
	while ((cq = dev->cqs)) {
		dev->cqs = cq->next;
		lib->p_ibv_destroy_cq(cq->cq);
		free(cq);
	}
	while ((ch = dev->chunks)) {
		dev->chunks = ch->next;
		chunk_free(dev, ch);
	}
	if (dev->channel)
		lib->p_ibv_destroy_comp_channel(dev->channel);
	if (dev->pd)
		lib->p_ibv_dealloc_pd(dev->pd);
	if (dev->anchor)
		lib->p_rdma_destroy_id(dev->anchor);
	free(dev);
}

static int dev_new(struct fab *fab, struct rdma_cm_id *id, struct roce_dev **out)
{
	struct roce_dev *dev = calloc(1, sizeof(*dev));
	int err;

	if (!dev)
		return -ENOMEM;
	dev->ep.kind = ROCE_IS_DEV;
	dev->fab = fab;
	dev->ctx = id->verbs;
	err = dev_anchor(dev, id);
	if (!err)
		err = dev_open(dev);
	if (err) {
		fab_logf(&fab->env, FAB_LOG_WARN, "roce: %s cannot be used: error %d",
			 fab->lib->p_ibv_get_device_name(id->verbs->device), -err);
		roce_dev_destroy(dev);
		return err;
	}
	pthread_mutex_lock(&fab->lock);
	dev->next = fab->devs;
	fab->devs = dev;
	pthread_mutex_unlock(&fab->lock);
	*out = dev;
	return 0;
}

bool roce_dev_allowed(const struct fab *fab, const struct rdma_cm_id *id)
{
	const char *name;

	if (!*fab->only || !id->verbs)
		return true;
	name = fab->lib->p_ibv_get_device_name(id->verbs->device);
	if (!strcmp(name, fab->only))
		return true;
	fab_logf(&fab->env, FAB_LOG_INFO, "roce: that address is of %s, and not of %s", name,
		 fab->only);
	return false;
}

int roce_dev_get(struct fab *fab, struct rdma_cm_id *id, struct roce_dev **out)
{
	unsigned n = 0;

	if (!id->verbs || !roce_dev_allowed(fab, id))
		return -ENODEV;
	for (struct roce_dev *dev = fab->devs; dev; dev = dev->next, n++) {
		if (dev->ctx != id->verbs)
			continue;
		*out = dev;
		return dev->dead ? -ENODEV : 0;
	}
	return n < ROCE_DEVS_MAX ? dev_new(fab, id, out) : -EMFILE;
}

/* -------------------------------------------------------------- its loss */

void roce_dev_lost(struct roce_dev *dev)
{
	struct fab *fab = dev->fab;

	if (dev->dead)
		return;
	pthread_mutex_lock(&fab->lock);
	dev->dead = true; /* a sleeper lets it be */
	pthread_mutex_unlock(&fab->lock);
	fab_logf(&fab->env, FAB_LOG_WARN, "roce: %s was removed, or has failed",
		 fab->lib->p_ibv_get_device_name(dev->ctx->device));
	for (uint32_t i = 1; i < fab->nconns; i++) {
		struct fab_msg_conn *c = fab->conns[i];

		if (!c || c->dev != dev)
			continue;
		roce_conn_unplug(c);
		roce_conn_lost(c, -ENODEV);
	}
}

/* What is said of single queue pairs and queues shows in their completions as well. */
void roce_dev_async(struct roce_dev *dev)
{
	const struct roce_lib *lib = dev->fab->lib;
	struct ibv_async_event ev;

	while (!dev->dead && !lib->p_ibv_get_async_event(dev->ctx, &ev)) {
		enum ibv_event_type type = ev.event_type;

		lib->p_ibv_ack_async_event(&ev);
		fab_logf(&dev->fab->env, FAB_LOG_INFO, "roce: %s", lib->p_ibv_event_type_str(type));
		if (type == IBV_EVENT_DEVICE_FATAL)
			roce_dev_lost(dev);
		else if (type == IBV_EVENT_PORT_ERR)
			roce_watch_doubt(dev);
	}
}

/*
 * librdmacm keeps the context of a device that it has used, and a driver without disassociation (as
 * soft-RoCE's) waits for that before the device can go. It looks for devices that are gone only when it is
 * asked for its list; and that is too early as long as the kernel still shows the device.
 */
#define SWEEP_NS 50000000u /* the first time; then twice as long, */
#define SWEEPS 9           /* ... so many times in all */

static bool still_listed(const struct fab *fab)
{
	struct ibv_device **list = fab->lib->p_ibv_get_device_list(NULL);
	bool found = false;

	for (unsigned i = 0; list && list[i]; i++)
		found |= !strcmp(fab->lib->p_ibv_get_device_name(list[i]), fab->swept);
	if (list)
		fab->lib->p_ibv_free_device_list(list);
	return found;
}

static void sweep(struct timer *t)
{
	struct fab *fab = container(t, struct fab, sweep);
	struct ibv_context **list;

	if (still_listed(fab) && ++fab->sweeps < SWEEPS) {
		timer_start(fab->env.timers, t, (uint64_t)SWEEP_NS << fab->sweeps, sweep);
		return;
	}
	list = fab->lib->p_rdma_get_devices(NULL);
	/* which has opened all the others, and keeps them so */
	for (unsigned i = 0; list && list[i]; i++)
		roce_guard(fab, list[i]);
	if (list)
		fab->lib->p_rdma_free_devices(list);
}

void roce_sweep_later(struct fab *fab, const char *name)
{
	snprintf(fab->swept, sizeof(fab->swept), "%s", name);
	fab->sweeps = 0;
	timer_start(fab->env.timers, &fab->sweep, SWEEP_NS, sweep);
}

static struct roce_dev *take_dead(struct fab *fab)
{
	for (struct roce_dev **at = &fab->devs; *at; at = &(*at)->next) {
		struct roce_dev *dev = *at;

		if (!dev->dead)
			continue;
		*at = dev->next;
		return dev;
	}
	return NULL;
}

void roce_devs_reap(struct fab *fab)
{
	struct roce_dev *dev;

	for (;;) {
		pthread_mutex_lock(&fab->lock);
		dev = take_dead(fab);
		pthread_mutex_unlock(&fab->lock);
		if (!dev)
			return;
		sleeper_rouse(&fab->sleeper); /* a sleeper may be polling its descriptors */
		roce_sweep_later(fab, fab->lib->p_ibv_get_device_name(dev->ctx->device));
		roce_dev_destroy(dev);
	}
}
