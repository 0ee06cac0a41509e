/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ual.c - attaching to an engine and letting go of it, and the engine's counters.
 */
#include <assert.h>
#include <stdlib.h>

#include "dusi/handle.h"

static_assert(DUSI_POOL_CLASSES == PPE_POOL_CLASSES, "classes are handed through");

static void ual_free(struct dusi_ual *u)
{
	dusi_table_fini(&u->files);
	dusi_table_fini(&u->socks);
	dusi_table_fini(&u->evqs);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static struct dusi_ual *ual_new(uint32_t max_sockets)
{
	struct dusi_ual *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	pthread_mutex_init(&u->lock, NULL);
	if (dusi_table_init(&u->evqs, DUSI_KIND_EVQ, sizeof(struct dusi_evq), DUSI_EVQS_MAX) ||
	    dusi_table_init(&u->socks, DUSI_KIND_SOCK, sizeof(struct dusi_sock), max_sockets) ||
	    dusi_table_init(&u->files, DUSI_KIND_FILE, sizeof(struct dusi_file), DUSI_FILES_MAX)) {
		ual_free(u);
		return NULL;
	}
	return u;
}

static struct {
	pthread_mutex_t lock;
	void (*log)(void *arg, const char *text);
	void *arg;
} told = { .lock = PTHREAD_MUTEX_INITIALIZER };

void Dusi_Set_Log(void (*log)(void *arg, const char *text), void *arg)
{
	pthread_mutex_lock(&told.lock);
	told.log = log;
	told.arg = arg;
	pthread_mutex_unlock(&told.lock);
}

static void engine_log(void *arg, int level, const char *text)
{
	(void)arg;
	if (level != FAB_LOG_WARN)
		return;
	pthread_mutex_lock(&told.lock);
	if (told.log)
		told.log(told.arg, text);
	pthread_mutex_unlock(&told.lock);
}

static int engine_open(const struct dusi_ual_attr *attr, struct dusi_ual *u)
{
	struct ppe_ual_attr ppe = {
		.placement = attr->placement,
		.flags = attr->flags & DUSI_SINGLE_THREAD ? PPE_UAL_SINGLE_THREAD : 0,
		.max_dtis = u->socks.limit,
		.max_evqs = u->evqs.limit,
		.log = engine_log,
	};

	for (int i = 0; i < DUSI_POOL_CLASSES; i++) {
		ppe.pool[i].size = attr->pool[i].size;
		ppe.pool[i].count = attr->pool[i].count;
	}
	return ppe_ual_open(&ppe, &u->ppe);
}

/* Last of all is the handle: who has it has the whole UAL. */
static int ual_open(const struct dusi_ual_attr *attr, struct dusi_ual *u)
{
	int err = engine_open(attr, u);

	if (err)
		return err;
	err = dusi_registry_add(u);
	if (err)
		ppe_ual_close(u->ppe);
	return err;
}

int Dusi_Open_Ual(const struct dusi_ual_attr *attr, dusi_ual_t *ual)
{
	static const struct dusi_ual_attr defaults;
	struct dusi_ual *u;
	int err;

	if (!attr)
		attr = &defaults;
	if (!ual || attr->max_sockets > DUSI_SOCKS_MAX ||
	    attr->flags & ~(unsigned)DUSI_SINGLE_THREAD)
		return -EINVAL;
	u = ual_new(attr->max_sockets ? attr->max_sockets : DUSI_SOCKS_DEFAULT);
	if (!u)
		return -ENOMEM;
	u->locked = attr->flags & DUSI_SINGLE_THREAD ? 0 : PPE_LOCKED;
	err = ual_open(attr, u);
	if (err) {
		ual_free(u);
		return err;
	}
	ual->id = u->id;
	return 0;
}

int Dusi_Close_Ual(dusi_ual_t ual)
{
	struct dusi_ual *u;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	err = dusi_registry_remove(u);
	if (err)
		return err;
	ppe_ual_close(u->ppe);
	ual_free(u);
	return 0;
}

int Dusi_Query_Ual(dusi_ual_t ual, struct dusi_ual_info *info)
{
	struct ppe_ual_info ppe;
	struct dusi_ual *u;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	if (!info)
		return -EINVAL;
	ppe_ual_info(u->ppe, &ppe);
	*info = (struct dusi_ual_info){
		.placement = ppe.placement,
		.fabric = ppe.fabric,
		.fabric_why = ppe.fabric_why,
		.files = ppe.files,
		.files_why = ppe.files_why,
	};
	return 0;
}

int Dusi_Counter(dusi_ual_t ual, unsigned i, const char **name, uint64_t *value)
{
	struct ppe_counters counters;
	struct dusi_ual *u;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	if (!name || !value)
		return -EINVAL;
	ppe_ual_counters(u->ppe, &counters);
	return ppe_counter_name(i, &counters, name, value) ? 0 : -ENOENT;
}
