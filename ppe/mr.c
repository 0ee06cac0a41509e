/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mr.c - registered memory: the table of regions, and the check that every access goes through. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "ppe/remote.h"

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

/* Is [addr, addr + len) within [base, base + room)? By subtraction: neither sum can wrap. */
static bool within(uint64_t base, uint64_t room, uint64_t addr, uint64_t len)
{
	return addr >= base && len <= room && addr - base <= room - len;
}

static bool is_scattered(const struct mr_entry *e)
{
	return e->remote && e->remote->niov > 1;
}

/* Local addresses of a region of several pieces must lie in one of them. */
static bool within_a_piece(const struct mr_remote *r, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < r->niov; i++)
		if (within((uintptr_t)r->iov[i].iov_base, r->iov[i].iov_len, addr, len))
			return true;
	return false;
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
	if (is_scattered(e) ? !within_a_piece(e->remote, addr, len)
			    : !within(e->base, e->len, addr, len))
		return -ERANGE;
	*ptr = (void *)(uintptr_t)addr;
	return 0;
}

/* @len bytes of the pieces from @at on, which they hold. */
static int pieces_cut(const struct mr_remote *r, uint64_t at, uint64_t len, struct iovec *iov)
{
	int n = 0;

	for (unsigned i = 0; len; i++) {
		uint64_t room = r->iov[i].iov_len, take;

		if (at >= room) {
			at -= room;
			continue;
		}
		take = room - at < len ? room - at : len;
		iov[n].iov_base = (void *)((uintptr_t)r->iov[i].iov_base + at);
		iov[n++].iov_len = take;
		len -= take;
		at = 0;
	}
	return n;
}

int mr_check_remote(const struct mr_table *t, uint32_t number, uint32_t auth, uint64_t addr,
		    uint64_t len, unsigned access, struct iovec *iov)
{
	const struct mr_entry *e = &t->entry[number];

	assert(e->live && e->remote);
	/* first: who has no right to the region is not to learn anything of it */
	if (e->remote->auth != auth)
		return -EPERM;
	if (access & ~e->access)
		return -EACCES;
	if (!within(e->remote->offset, e->len, addr, len))
		return -ERANGE;
	return pieces_cut(e->remote, addr - e->remote->offset, len, iov);
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
	if (t->users) {
		uint16_t *users = realloc(t->users, room * sizeof(*users));

		if (!users)
			return -ENOMEM;
		memset(users + t->room, 0, (room - t->room) * sizeof(*users));
		t->users = users;
	}
	if (t->named) {
		struct fab_region **named = realloc(t->named, room * sizeof(*named));

		if (!named)
			return -ENOMEM;
		memset(named + t->room, 0, (room - t->room) * sizeof(*named));
		t->named = named;
	}
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
	e->remote = NULL;
	e->live = true;
	/* never 0, so that no handle is */
	if (!e->generation)
		e->generation = 1;
	*mr = (struct ppe_mr){ .region = handle_make(number, e->generation), .ptag = ptag };
	return 0;
}

static void region_leave(struct mr_table *t, uint32_t number)
{
	struct mr_entry *e = &t->entry[number];

	e->live = false;
	e->generation = (e->generation + 1) % HANDLE_GENERATIONS;
	e->next_free = t->first_free;
	t->first_free = number;
}

/* The proof of the right to use a region cannot be guessed. */
static int random_word(uint32_t *word)
{
	return getrandom(word, sizeof(*word), 0) == sizeof(*word) ? 0 : -EIO;
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
	err = random_word(&ptag);
	if (err)
		return err;

	turn_lock(ual);
	err = region_enter(&ual->mrs, addr, len, access, ptag, mr);
	if (!err)
		count(ual, regions, 1);
	turn_unlock(ual);
	return err;
}

/* ------------------------------------------------------------------------ for peers */

/* Each piece as a region of its own, and all of them together; *@total: their bytes. */
static int remote_valid(const struct ppe_ual *ual, const struct ppe_mr_attr *attr, uint64_t *total)
{
	if (!attr->pd || attr->pd->ual != ual || !attr->niov || attr->niov > PPE_MR_IOV_MAX)
		return -EINVAL;
	*total = 0;
	for (unsigned i = 0; i < attr->niov; i++) {
		const struct iovec *v = &attr->iov[i];
		int err = region_valid(v->iov_base, v->iov_len, attr->access);

		if (err)
			return err;
		if (v->iov_len > SIZE_MAX - *total)
			return -EINVAL;
		*total += v->iov_len;
	}
	return attr->offset > UINT64_MAX - *total ? -EINVAL : 0;
}

static struct mr_remote *remote_new(const struct ppe_mr_attr *attr)
{
	struct mr_remote *r = calloc(1, sizeof(*r) + attr->niov * sizeof(*r->iov));

	if (!r)
		return NULL;
	r->pd = attr->pd;
	r->offset = attr->offset;
	r->niov = attr->niov;
	memcpy(r->iov, attr->iov, attr->niov * sizeof(*r->iov));
	return r;
}

static int remote_key(const struct ppe_mr_attr *attr, uint32_t *key)
{
	int err = 0;

	*key = attr->key;
	if (!attr->choose_key)
		return 0;
	/* there are far more keys than regions */
	do {
		err = random_word(key);
	} while (!err && pd_has_key(attr->pd, *key));
	return err;
}

static int remote_enter(struct ppe_ual *ual, const struct ppe_mr_attr *attr, uint64_t total,
			struct mr_remote *r, uint32_t ptag, struct ppe_mr *mr)
{
	const void *base = attr->niov == 1 ? attr->iov[0].iov_base : NULL;
	struct ppe_mr new;
	int err = remote_key(attr, &r->key);

	if (err)
		return err;
	err = auth_intern(ual, attr->auth, attr->auth_len, &r->auth);
	if (err)
		return err;
	err = region_enter(&ual->mrs, base, total, attr->access, ptag, &new);
	if (err)
		goto release_auth;
	err = pd_key_add(attr->pd, r->key, handle_number(new.region));
	if (err)
		goto leave;
	ual->mrs.entry[handle_number(new.region)].remote = r;
	count(ual, regions, 1);
	*mr = new;
	return 0;

leave:
	region_leave(&ual->mrs, handle_number(new.region));
release_auth:
	auth_release(ual, r->auth);
	return err;
}

int ppe_mr_register_remote(struct ppe_ual *ual, const struct ppe_mr_attr *attr, struct ppe_mr *mr,
			   uint32_t *key)
{
	struct mr_remote *r;
	uint64_t total;
	uint32_t ptag;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	err = remote_valid(ual, attr, &total);
	if (!err)
		err = random_word(&ptag);
	if (err)
		return err;
	r = remote_new(attr);
	if (!r)
		return -ENOMEM;

	turn_lock(ual);
	err = remote_enter(ual, attr, total, r, ptag, mr);
	if (!err)
		*key = r->key;
	else
		free(r);
	turn_unlock(ual);
	return err;
}

static void counter_replace(struct ppe_cntr **place, struct ppe_cntr *cntr)
{
	if (cntr)
		cntr_hold(cntr);
	if (*place)
		cntr_drop(*place);
	*place = cntr;
}

static void remote_count(struct mr_remote *r, unsigned access, struct ppe_cntr *cntr)
{
	if (access & PPE_ACCESS_REMOTE_READ)
		counter_replace(&r->reads, cntr);
	if (access & PPE_ACCESS_REMOTE_WRITE)
		counter_replace(&r->writes, cntr);
}

int ppe_mr_count(struct ppe_ual *ual, struct ppe_mr mr, unsigned access, struct ppe_cntr *cntr)
{
	const unsigned all = PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE;
	struct mr_entry *e;
	int err;

	if (!ual_alive(ual))
		return -EOWNERDEAD;
	if (!access || (access & ~all) || (cntr && cntr_ual(cntr) != ual))
		return -EINVAL;
	turn_lock(ual);
	err = region_find(&ual->mrs, mr.region, mr.ptag, &e);
	if (!err && !e->remote)
		err = -EINVAL;
	if (!err)
		remote_count(e->remote, access, cntr);
	turn_unlock(ual);
	return err;
}

void mr_counted(struct ppe_ual *ual, uint32_t region, unsigned access)
{
	const struct mr_entry *e = &ual->mrs.entry[handle_number(region)];

	assert(turn_held(ual));
	/* it may have been deregistered since it was checked */
	if (!e->live || !e->remote || e->generation != handle_generation(region))
		return;
	if (access & PPE_ACCESS_REMOTE_READ)
		cntr_bump(e->remote->reads);
	if (access & PPE_ACCESS_REMOTE_WRITE)
		cntr_bump(e->remote->writes);
}

/* ------------------------------------------------------------------------ for files */

/* Those are carried out between turns, so a check at the beginning is not enough. */
int mr_use(struct mr_table *t, uint32_t region)
{
	if (!t->users) {
		t->users = calloc(t->room, sizeof(*t->users));
		if (!t->users)
			return -ENOMEM;
	}
	t->users[handle_number(region)]++;
	return 0;
}

void mr_unuse(struct mr_table *t, uint32_t number)
{
	assert(t->users[number]);
	t->users[number]--;
}

/* ---------------------------------------------------------------- for a wire's device */

static unsigned fabric_access(unsigned access)
{
	return (access & (PPE_ACCESS_LOCAL_WRITE | PPE_ACCESS_REMOTE_WRITE) ? FAB_MAY_WRITE : 0) |
	       (access & PPE_ACCESS_REMOTE_READ ? FAB_MAY_REMOTE_READ : 0) |
	       (access & PPE_ACCESS_REMOTE_WRITE ? FAB_MAY_REMOTE_WRITE : 0);
}

static struct fab_region *region_name(struct mr_table *t, uint32_t number)
{
	const struct mr_entry *e = &t->entry[number];
	struct fab_region *r;

	if (!t->named)
		t->named = calloc(t->room, sizeof(struct fab_region *));
	r = t->named ? malloc(sizeof(*r)) : NULL;
	if (!r)
		return NULL;
	*r = (struct fab_region){ .base = (void *)(uintptr_t)e->base,
				  .len = e->len,
				  .access = fabric_access(e->access) };
	t->named[number] = r;
	return r;
}

struct fab_region *mr_fabric_region(struct ppe_ual *ual, uint32_t region)
{
	struct mr_table *t = &ual->mrs;
	uint32_t number = handle_number(region);
	const struct mr_entry *e;

	assert(turn_held(ual));
	if (number >= t->count)
		return NULL;
	e = &t->entry[number];
	if (!e->live || e->generation != handle_generation(region) || is_scattered(e) ||
	    e->len == SIZE_MAX)
		return NULL;
	return t->named && t->named[number] ? t->named[number] : region_name(t, number);
}

/* Nothing finds it any more. Connections may end within this call. */
static void region_unname(struct ppe_ual *ual, uint32_t number)
{
	struct mr_table *t = &ual->mrs;
	struct fab_region *r = t->named ? t->named[number] : NULL;

	if (!r)
		return;
	t->named[number] = NULL;
	/* what a link was asked for may name it */
	ual->sends_of = NULL;
	ual->nsends = 0;
	if (ual->fabric.msg->region_gone)
		ual->fabric.msg->region_gone(ual->fabric.m, r);
	free(r);
}

/* -------------------------------------------------------------------------- ending */

static void remote_leave(struct ppe_ual *ual, struct mr_remote *r)
{
	remote_count(r, PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE, NULL);
	pd_key_remove(r->pd, r->key);
	auth_release(ual, r->auth);
	free(r);
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
	if (!err && ual->mrs.users && ual->mrs.users[handle_number(mr.region)])
		err = -EBUSY;
	if (!err) {
		if (e->remote)
			remote_leave(ual, e->remote);
		region_leave(&ual->mrs, handle_number(mr.region));
		count(ual, regions, -1);
		region_unname(ual, handle_number(mr.region));
	}
	turn_unlock(ual);
	return err;
}

void mr_table_destroy(struct mr_table *t)
{
	/* at the end of all: what they refer to is gone already, and the fabric that knew them */
	for (uint32_t i = 0; i < t->count; i++) {
		if (t->entry[i].live)
			free(t->entry[i].remote);
		if (t->named)
			free(t->named[i]);
	}
	free(t->named);
	free(t->entry);
	free(t->users);
	memset(t, 0, sizeof(*t));
}
