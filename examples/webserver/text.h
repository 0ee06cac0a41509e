/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * text.h - a piece of somebody else's memory that holds text, not terminated.
 */
#ifndef EXAMPLES_WEBSERVER_TEXT_H
#define EXAMPLES_WEBSERVER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct text {
	const char *p;
	size_t len;
};

static inline void text_skip(struct text *t, size_t n)
{
	t->p += n;
	t->len -= n;
}

/* Spaces and tabs, at both ends. */
static inline struct text text_trim(struct text t)
{
	while (t.len && (t.p[0] == ' ' || t.p[0] == '\t'))
		text_skip(&t, 1);
	while (t.len && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t'))
		t.len--;
	return t;
}

static inline bool text_take(struct text *t, const char *what, size_t len)
{
	if (t->len < len || memcmp(t->p, what, len))
		return false;
	text_skip(t, len);
	return true;
}

/* Without regard to case. */
static inline bool text_is(struct text t, const char *what)
{
	return t.len == strlen(what) && !strncasecmp(t.p, what, t.len);
}

/* Takes the next element off a list with commas between. False: there are no more. */
static inline bool text_next(struct text *list, struct text *element)
{
	const char *comma;
	size_t len;

	if (!list->len)
		return false;
	comma = memchr(list->p, ',', list->len);
	len = comma ? (size_t)(comma - list->p) : list->len;
	*element = text_trim((struct text){ list->p, len });
	text_skip(list, len + (comma != NULL));
	return true;
}

#endif
