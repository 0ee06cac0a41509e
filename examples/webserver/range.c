/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * range.c - the Range field. What is not understood is ignored, as the RFC has it: then the whole
 * file is sent, which every client must be able to take.
 */
#include "examples/webserver/range.h"

#define ELEMENTS_MAX 64 /* of the list, those that ask for nothing included */

/* Digits only. Numbers too large for 64 bits are as good as the largest. False: there are none. */
static bool take_number(struct text *t, uint64_t *number)
{
	size_t digits = 0;

	*number = 0;
	while (t->len && t->p[0] >= '0' && t->p[0] <= '9') {
		uint64_t digit = (uint64_t)(t->p[0] - '0');

		if (*number > (UINT64_MAX - digit) / 10)
			*number = UINT64_MAX;
		else
			*number = *number * 10 + digit;
		text_skip(t, 1);
		digits++;
	}
	return digits;
}

enum spec { BROKEN, OUTSIDE, INSIDE };

/* "-N": the last N bytes. */
static enum spec parse_suffix(struct text t, uint64_t size, struct range *r)
{
	uint64_t n;

	if (!take_number(&t, &n) || t.len)
		return BROKEN;
	if (!n)
		return OUTSIDE;
	/* of nothing, the last bytes are nothing, and that is no range that could be named */
	if (!size)
		return BROKEN;
	r->first = n < size ? size - n : 0;
	r->last = size - 1;
	return INSIDE;
}

/* "A-B" or "A-" */
static enum spec parse_spec(struct text t, uint64_t size, struct range *r)
{
	if (text_take(&t, "-", 1))
		return parse_suffix(t, size, r);
	if (!take_number(&t, &r->first) || !text_take(&t, "-", 1))
		return BROKEN;
	r->last = UINT64_MAX;
	if (t.len && (!take_number(&t, &r->last) || t.len || r->last < r->first))
		return BROKEN;
	if (r->first >= size)
		return OUTSIDE;
	if (r->last >= size)
		r->last = size - 1;
	return INSIDE;
}

static bool take_unit(struct text *field)
{
	if (field->len < 6 || strncasecmp(field->p, "bytes=", 6))
		return false;
	text_skip(field, 6);
	return true;
}

/* Overlapping ranges could make a small request cost many times the file. */
static bool is_too_much(const struct range *ranges, int n, uint64_t size)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++) {
		uint64_t len = ranges[i].last - ranges[i].first + 1;

		if (len > size - sum)
			return true;
		sum += len;
	}
	return false;
}

int range_parse(struct text field, uint64_t size, struct range ranges[static RANGES_MAX])
{
	int n = 0, specs = 0, elements = 0;
	struct text spec;
	struct range r;

	if (!take_unit(&field))
		return 0;
	while (text_next(&field, &spec)) {
		enum spec kind;

		if (++elements > ELEMENTS_MAX)
			return 0;
		if (!spec.len)
			continue;
		kind = parse_spec(spec, size, &r);
		if (kind == BROKEN || ++specs > RANGES_MAX)
			return 0;
		if (kind == INSIDE)
			ranges[n++] = r;
	}
	if (!n)
		return specs ? -416 : 0;
	return is_too_much(ranges, n, size) ? 0 : n;
}
