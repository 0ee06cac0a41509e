/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mr.c - registered memory: the table of regions, and the check that every access goes through. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "ppe/engine.h"

#define NO_ENTRY UINT32_MAX

static int region_find(const struct mr_table *t, uint32_t region, uint32_t ptag,
		       struct mr_entry **out)
{
	uint32_t number = handle_number(region);
	struct mr_entry *e;

	if (number >= t->count)
		return -ENOKEY;
	e = &t->entry[number];
	if (!e->live || e->generation != handle_generation(region))
		return -EKEYREVOKED;
	if (e->ptag != ptag)
		return -EKEYREJECTED;
	*out = e;
	return 0;
}

int mr_check(const struct mr_table *t, uint32_t region, uint32_t ptag, uint64_t addr, uint64_t len,
	     unsigned access, void **ptr)
{
	struct mr_entry *e;
	int err = region_find(t, region, ptag, &e);

	if (err)
		return err;
	if (access & ~e->access)
		return -EACCES;
	/* by subtraction: neither sum can wrap */
	if (addr < e->base || len > e->len || addr - e->base > e->len - len)
		return -ERANGE;
	*ptr = (void *)(uintptr_t)addr;
	return 0;
}

static int table_grow(struct mr_table *t)
{
	uint32_t room = t->room ? t->room * 2 : 64;
	struct mr_entry *entry;

	if (t->room >= HANDLE_MAX)
		return -ENOSPC;
	entry = realloc(t->entry, room * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	if (!t->room)
		t->first_free = NO_ENTRY;
	memset(entry + t->room, 0, (room - t->room) * sizeof(*entry));
	t->entry = entry;
	t->room = room;
	return 0;
}

static int entry_take(struct mr_table *t, uint32_t *number)
{
	if (t->room && t->first_free != NO_ENTRY) {
		*number = t->first_free;
		t->first_free = t->entry[*number].next_free;
		return 0;
	}
	if (t->count == t->room) {
		int err = table_grow(t);

		if (err)
			return err;
	}
	*number = t->count++;
	return 0;
}

/* A region that is not mapped would only be found out when the kernel, or a copy, touches it. */
static int region_mapped(const void *addr, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = (uintptr_t)addr & ~(page - 1);
	uintptr_t end = (uintptr_t)addr + len;

	return msync((void *)first, end - first, MS_ASYNC) ? -EFAULT : 0;
}

static int region_valid(const void *addr, size_t len, unsigned access)
{
	const unsigned all = PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE |
			     PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE;

	if (!len || !access || (access & ~all))
		return -EINVAL;
	if (!addr && len == SIZE_MAX)
		return 0;
	if (len > UINTPTR_MAX - (uintptr_t)addr)
		return -EINVAL;
	return region_mapped(addr, len);
}

static int region_enter(struct mr_table *t, const void *addr, size_t len, unsigned access,
			uint32_t ptag, struct ppe_mr *mr)
{
	uint32_t number;
	struct mr_entry *e;
	int err = entry_take(t, &number);

	if (err)
		return err;
	e = &t->entry[number];
	e->base = (uintptr_t)addr;
	e->len = len;
	e->access = access;
	e->ptag = ptag;
	e->live = true;
	/* never 0, so that no handle is */
	if (!e->generation)
		e->generation = 1;
	*mr = (struct ppe_mr){ .region = handle_make(number, e->generation), .ptag = ptag };
	return 0;
}

int ppe_mr_register(struct ppe_ual *ual, const void *addr, size_t len, unsigned access,
		    struct ppe_mr *mr)
{
	uint32_t ptag;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	err = region_valid(addr, len, access);
	if (err)
		return err;
	if (getrandom(&ptag, sizeof(ptag), 0) != sizeof(ptag))
		return -EIO;

	turn_lock(ual);
	err = region_enter(&ual->mrs, addr, len, access, ptag, mr);
	if (!err)
		count(ual, regions, 1);
	turn_unlock(ual);
	return err;
}

int ppe_mr_deregister(struct ppe_ual *ual, struct ppe_mr mr)
{
	struct mr_entry *e;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	/* accesses are made within a turn, so with the turn in hand there is none */
	turn_lock(ual);
	err = region_find(&ual->mrs, mr.region, mr.ptag, &e);
	if (!err) {
		e->live = false;
		e->generation = (e->generation + 1) % HANDLE_GENERATIONS;
		e->next_free = ual->mrs.first_free;
		ual->mrs.first_free = handle_number(mr.region);
		count(ual, regions, -1);
	}
	turn_unlock(ual);
	return err;
}

void mr_table_destroy(struct mr_table *t)
{
	free(t->entry);
	memset(t, 0, sizeof(*t));
}
