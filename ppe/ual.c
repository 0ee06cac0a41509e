/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ual.c - attaching to an engine, and detaching. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ppe/file.h"
#include "ppe/message.h"

#define DEFAULT_DTIS 65536
#define DEFAULT_EVQS 1024
#define MSG_FPDU_MAX 65000 /* payload of an FPDU between etas: its length field has 16 bits */
#define MSG_HANDSHAKE_NS 10000000000ull
#define MSG_READS 128

/* ------------------------------------------------------------------------- placement */

static bool cpu_usable(long cpu)
{
	cpu_set_t set;

	return cpu >= 0 && cpu < CPU_SETSIZE && !sched_getaffinity(0, sizeof(set), &set) &&
	       CPU_ISSET(cpu, &set);
}

static int placement_cpu(struct ppe_ual *ual, const char *text)
{
	char *end;
	long cpu;

	if (!*text)
		return 0;
	if (*text++ != ':')
		return -EINVAL;
	cpu = strtol(text, &end, 10);
	if (end == text || *end)
		return -EINVAL;
	if (!cpu_usable(cpu))
		return -ENODEV;
	ual->cpu = cpu;
	return 0;
}

static int placement_set(struct ppe_ual *ual, const char *text)
{
	ual->cpu = -1;
	if (!text)
		text = getenv("ETA_PPE");
	if (!text || !*text || !strcmp(text, "adaptive")) {
		ual->placement = PPE_ADAPTIVE;
		return 0;
	}
	if (!strcmp(text, "inline")) {
		ual->placement = PPE_INLINE;
		return 0;
	}
	if (strncmp(text, "dedicated", 9))
		return -EINVAL;
	ual->placement = PPE_DEDICATED;
	return placement_cpu(ual, text + 9);
}

/* The kinds of owner that a fabric may have to do with. */
static enum fab_owner owner_of(const struct ppe_ual *ual)
{
	switch (ual->placement) {
	case PPE_INLINE:
		return ual->single_thread ? FAB_OWNER_SINGLE : FAB_OWNER_CALLS;
	case PPE_DEDICATED:
		return FAB_OWNER_THREAD;
	default:
		return FAB_OWNER_ROAMS;
	}
}

void ppe_ual_info(struct ppe_ual *ual, struct ppe_ual_info *info)
{
	static const char *const placements[] = {
		[PPE_ADAPTIVE] = "adaptive",
		[PPE_INLINE] = "inline",
		[PPE_DEDICATED] = "dedicated",
	};

	*info = (struct ppe_ual_info){
		.placement = placements[ual->placement],
		.fabric = ual->fabric.name,
		.fabric_why = ual->fabric.why,
	};
	if (!ual_alive(ual))
		return;
	turn_lock(ual);
	info->files = file_service(ual, &info->files_why);
	turn_unlock(ual);
}

enum ppe_placement ppe_ual_placement(const struct ppe_ual *ual)
{
	return ual->placement;
}

/* -------------------------------------------------------- what the fabric may use of us */

static size_t env_buf_room(void *arg)
{
	struct ppe_ual *ual = arg;

	return pool_room(&ual->pool);
}

static void *env_buf_get(void *arg, size_t len)
{
	struct ppe_ual *ual = arg;
	size_t size;
	void *buf = pool_get(&ual->pool, len, &size);

	if (buf && size < len) {
		pool_put(&ual->pool, buf);
		return NULL;
	}
	if (buf)
		count(ual, pool_used, size);
	return buf;
}

static void env_buf_put(void *arg, void *buf)
{
	struct ppe_ual *ual = arg;
	struct list *node;

	count(ual, pool_used, -pool_put(&ual->pool, buf));
	while ((node = list_pop(&ual->pool_waiters)))
		dti_activate(list_entry(node, struct ppe_dti, pool_wait));
}

static void env_log(void *arg, int level, const char *text)
{
	struct ppe_ual *ual = arg;

	if (ual->log)
		ual->log(ual->log_arg, level, text);
}

static int write_add(struct ppe_ual *ual, unsigned max)
{
	struct tx_write *w = calloc(1, sizeof(*w) + max * sizeof(w->op[0]));

	if (!w)
		return -ENOMEM;
	w->max = max;
	w->next = ual->writes;
	ual->writes = w;
	return 0;
}

/* As many as the fabric may have open at once. */
static int writes_init(struct ppe_ual *ual)
{
	int err = 0;

	for (unsigned i = 1; i < ual->fabric.stream->open_writes && !err; i++)
		err = write_add(ual, TX_BATCH_SMALL);
	return err ? err : write_add(ual, TX_BATCH);
}

static void writes_free(struct ppe_ual *ual)
{
	while (ual->writes) {
		struct tx_write *w = ual->writes;

		ual->writes = w->next;
		free(w);
	}
}

static int fabric_start(struct ppe_ual *ual, const struct ppe_ual_attr *attr)
{
	struct fab_msg_attr msg = attr->msg;
	const char *name = attr->fabric ? attr->fabric : getenv("ETA_FABRIC");

	if (!msg.fpdu_max)
		msg.fpdu_max = MSG_FPDU_MAX;
	if (!msg.handshake_ns)
		msg.handshake_ns = MSG_HANDSHAKE_NS;
	if (!msg.ord)
		msg.ord = MSG_READS;
	if (!msg.ird)
		msg.ird = MSG_READS;
	ual->env = (struct fab_env){
		.owner = owner_of(ual),
		.counters = &ual->counters.fab,
		.timers = &ual->timers,
		.arg = ual,
		.buf_room = env_buf_room,
		.buf_get = env_buf_get,
		.buf_put = env_buf_put,
		.log = env_log,
	};
	return fabric_open(name && *name ? name : NULL, &ual->env, &msg, &ual->fabric);
}

/* --------------------------------------------------------------------------- memory */

/* A page that a fork's child finds wiped. */
static int alive_init(struct ppe_ual *ual)
{
	uint8_t *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -ENOMEM;
	madvise(page, 4096, MADV_WIPEONFORK);
	*page = 1;
	ual->alive = page;
	return 0;
}

static int bells_init(struct ppe_ual *ual)
{
	uint32_t slots = 64;

	while (slots < ual->max_dtis + ual->max_evqs)
		slots *= 2;
	ual->bells.mask = slots - 1;
	ual->bells.slot = calloc(slots, sizeof(*ual->bells.slot));
	return ual->bells.slot ? 0 : -ENOMEM;
}

static int tables_init(struct ppe_ual *ual, const struct ppe_ual_attr *attr)
{
	ual->max_dtis = attr->max_dtis ? attr->max_dtis : DEFAULT_DTIS;
	ual->max_evqs = attr->max_evqs ? attr->max_evqs : DEFAULT_EVQS;
	if (ual->max_dtis > HANDLE_MAX || ual->max_evqs > HANDLE_MAX)
		return -EINVAL;
	ual->dtis = calloc(ual->max_dtis, sizeof(*ual->dtis));
	ual->evqs = calloc(ual->max_evqs, sizeof(*ual->evqs));
	ual->sends = calloc(WIRE_BATCH, sizeof(*ual->sends));
	ual->sink = malloc(SINK_BYTES);
	if (!ual->dtis || !ual->evqs || !ual->sends || !ual->sink)
		return -ENOMEM;
	return bells_init(ual);
}

static int memory_init(struct ppe_ual *ual, const struct ppe_ual_attr *attr)
{
	int err = alive_init(ual);

	if (!err)
		err = tables_init(ual, attr);
	if (!err)
		err = segment_init(&ual->segment);
	if (!err)
		err = pool_init(&ual->pool, attr);
	return err;
}

static void memory_free(struct ppe_ual *ual)
{
	ops_free(ual);
	recvs_free(ual);
	pool_destroy(&ual->pool);
	segment_destroy(&ual->segment);
	mr_table_destroy(&ual->mrs);
	timers_destroy(&ual->timers);
	free((void *)ual->bells.slot);
	free(ual->sink);
	writes_free(ual);
	free(ual->sends);
	free(ual->evqs);
	free(ual->dtis);
	if (ual->alive)
		munmap((void *)ual->alive, 4096);
	free(ual);
}

/* ----------------------------------------------------------------------- open, close */

static struct ppe_ual *ual_new(const struct ppe_ual_attr *attr)
{
	struct ppe_ual *ual = aligned_alloc(PPE_CACHE_LINE, sizeof(*ual));

	if (!ual)
		return NULL;
	memset(ual, 0, sizeof(*ual));
	ual->pid = getpid();
	ual->dti_first_free = UINT32_MAX;
	ual->log = attr->log;
	ual->log_arg = attr->log_arg;
	ual->single_thread = attr->flags & PPE_UAL_SINGLE_THREAD;
	list_init(&ual->active);
	list_init(&ual->pool_waiters);
	list_init(&ual->dirty_evqs);
	list_init(&ual->dead_links);
	list_init(&ual->free_ops);
	list_init(&ual->free_big_ops);
	list_init(&ual->free_recvs);
	list_init(&ual->pds);
	list_init(&ual->avs);
	list_init(&ual->due_cntrs);
	list_init(&ual->requests);
	timers_init(&ual->timers);
	return ual;
}

int ppe_ual_open(const struct ppe_ual_attr *attr, struct ppe_ual **out)
{
	static const struct ppe_ual_attr defaults;
	struct ppe_ual *ual;
	int err;

	if (!attr)
		attr = &defaults;
	ual = ual_new(attr);
	if (!ual)
		return -ENOMEM;
	clock_init();
	err = placement_set(ual, attr->placement);
	if (!err)
		err = memory_init(ual, attr);
	if (!err)
		err = fabric_start(ual, attr);
	if (!err) {
		err = writes_init(ual);
		if (err)
			fabric_close(&ual->fabric);
	}
	if (err) {
		memory_free(ual);
		return err;
	}
	*out = ual;
	return 0;
}

static void requests_close(struct ppe_ual *ual)
{
	struct list *node;

	while ((node = list_pop(&ual->requests))) {
		struct ppe_request *r = list_entry(node, struct ppe_request, link);

		if (r->conn)
			ual->fabric.msg->conn_close(r->conn, true);
		free(r);
	}
}

void ppe_ual_stop(struct ppe_ual *ual)
{
	/* exit() in a signal handler, above a turn: the thread could not end before us */
	if (!ual_alive(ual) || turn_held(ual))
		return;
	/* no thread is started that does not see it */
	turn_lock(ual);
	atomic_store(&ual->stop, true);
	turn_unlock(ual);
	thread_stop(ual);
}

void ppe_ual_close(struct ppe_ual *ual)
{
	/* in a fork's child nothing here is its own */
	if (!ual_alive(ual))
		return;
	thread_stop(ual);
	turn_lock(ual);
	turn_take_doorbells(ual);
	requests_close(ual);
	file_drain(ual);
	dti_destroy_all(ual);
	file_destroy_all(ual);
	cntr_close_all(ual);
	av_close_all(ual);
	pd_close_all(ual);
	for (uint32_t i = 0; i < ual->nevqs; i++)
		if (ual->evqs[i])
			evq_free(ual->evqs[i]);
	turn_unlock(ual);
	fabric_close(&ual->fabric);
	links_reap(ual);
	memory_free(ual);
}
