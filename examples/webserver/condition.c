/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * condition.c - conditional requests, evaluated in the order of RFC 9110 section 13.2.2. Dates that
 * are none are ignored, and so are lists of entity tags from where they are broken on.
 */
#include "examples/webserver/condition.h"

#include "examples/webserver/date.h"

/* Takes one entity tag, quotes included, off the front. */
static bool take_tag(struct text *t, bool *weak, struct text *tag)
{
	const char *end;

	*weak = text_take(t, "W/", 2);
	if (!t->len || t->p[0] != '"')
		return false;
	end = memchr(t->p + 1, '"', t->len - 1);
	if (!end)
		return false;
	*tag = (struct text){ t->p, (size_t)(end + 1 - t->p) };
	text_skip(t, tag->len);
	return true;
}

static bool same_tag(struct text a, struct text b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

/* Commas may be part of a tag: text_next() does not do. */
static bool line_matches(struct text list, struct text etag, bool strong)
{
	struct text tag;
	bool weak;

	if (list.len == 1 && list.p[0] == '*')
		return true;
	for (;;) {
		while (list.len && (list.p[0] == ',' || list.p[0] == ' ' || list.p[0] == '\t'))
			text_skip(&list, 1);
		if (!take_tag(&list, &weak, &tag))
			return false;
		if (!(strong && weak) && same_tag(tag, etag))
			return true;
	}
}

static bool list_matches(const struct text *lines, struct text etag, bool strong)
{
	for (int i = 0; i < REQUEST_LINES_MAX && lines[i].p; i++)
		if (line_matches(lines[i], etag, strong))
			return true;
	return false;
}

/* Whether @field is a date, and the file was changed after it. */
static bool changed_since(struct text field, const struct validators *v, time_t now, bool *changed)
{
	time_t date;

	if (!field.p || date_parse(field, now, &date))
		return false;
	*changed = v->modified > date;
	return true;
}

int condition_check(const struct request *r, const struct validators *v, time_t now)
{
	bool changed;

	if (r->if_match[0].p) {
		if (!list_matches(r->if_match, v->etag, true))
			return 412;
	} else if (changed_since(r->if_unmodified_since, v, now, &changed) && changed) {
		return 412;
	}
	if (r->if_none_match[0].p)
		return list_matches(r->if_none_match, v->etag, false) ? 304 : 0;
	if (changed_since(r->if_modified_since, v, now, &changed) && !changed)
		return 304;
	return 0;
}

bool condition_range(const struct request *r, const struct validators *v, time_t now)
{
	struct text field = r->if_range, tag;
	time_t date;
	bool weak;

	if (!field.p)
		return true;
	if (take_tag(&field, &weak, &tag))
		return !weak && !field.len && same_tag(tag, v->etag);
	/* within the second of its change a file may change again, and the date say nothing */
	return !date_parse(field, now, &date) && date == v->modified && date < now;
}
