/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* list.h - the lists of the wires: links inside of what is listed. */
#ifndef ETA_FABRIC_LIST_H
#define ETA_FABRIC_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A circular list; an entry that is on none points to itself. */
struct link {
	struct link *next, *prev;
};

static inline void link_init(struct link *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool linked(const struct link *l)
{
	return l->next != l;
}

static inline void link_del(struct link *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	link_init(l);
}

/* To the end of @list. */
static inline void link_append(struct link *list, struct link *l)
{
	l->next = list;
	l->prev = list->prev;
	list->prev->next = l;
	list->prev = l;
}

/* To its beginning. */
static inline void link_prepend(struct link *list, struct link *l)
{
	link_append(list->next, l);
}

/* To the end of @list, out of the one it was in, if it was in one. */
static inline void link_move(struct link *list, struct link *l)
{
	link_del(l);
	link_append(list, l);
}

/* Moves all of @from behind @to. */
static inline void link_splice(struct link *to, struct link *from)
{
	if (!linked(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	link_init(from);
}

#define container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
