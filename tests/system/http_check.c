// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * http_check.c - whether a response is the one that is due.
 */
#define _GNU_SOURCE /* memmem, strcasestr */
#include "http_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ----------------------------------------------------------------------------------- heads */

/* Stores the value of the field, if the line is that field's. False: for the second time. */
static bool store(const char *line, const char *name, char out[80])
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) || line[len] != ':')
		return true;
	line += len + 1;
	line += strspn(line, " \t");
	if (out[0])
		return false;
	snprintf(out, 80, "%s", line);
	return true;
}

/* What one line says; @length and @other: room for the values that are looked at afterwards. */
static const char *parse_line(const char *line, struct head *h, char length[80], char other[2][80])
{
	if (!strchr(line, ':') || line[0] == ' ' || line[0] == '\t')
		return "a line that is no field";
	if (!store(line, "ETag", h->etag) || !store(line, "Last-Modified", h->modified) ||
	    !store(line, "Content-Range", h->content_range) ||
	    !store(line, "Location", h->location) || !store(line, "Content-Length", length) ||
	    !store(line, "Connection", other[0]) || !store(line, "Content-Type", other[1]))
		return "a field that comes twice";
	if (!strncasecmp(line, "Transfer-Encoding:", 18))
		return "Transfer-Encoding";
	return NULL;
}

static const char *conclude(struct head *h, const char *length, char other[2][80])
{
	const char *boundary = strcasestr(other[1], "boundary=");
	char *end;

	h->close = strcasestr(other[0], "close") != NULL;
	h->keep_alive = strcasestr(other[0], "keep-alive") != NULL;
	if (length[0]) {
		h->length = strtoull(length, &end, 10);
		h->has_length = true;
		if (*end || length[0] < '0' || length[0] > '9')
			return "a length that is none";
	}
	if (boundary && !strncasecmp(other[1], "multipart/byteranges", 20)) {
		boundary += 9 + (boundary[9] == '"');
		snprintf(h->boundary, sizeof(h->boundary), "%s", boundary);
		h->boundary[strcspn(h->boundary, "\"; ")] = '\0';
	}
	return NULL;
}

const char *head_parse(const char *text, size_t len, struct head *h)
{
	char length[80] = "", other[2][80] = { "", "" }, line[1024];
	const char *end = text + len, *wrong = NULL, *eol;

	*h = (struct head){ 0 };
	if (len < 15 || memcmp(text, "HTTP/1.1 ", 9) || text[12] != ' ')
		return "no status line";
	for (const char *p = text + 9; p < text + 12; p++) {
		if (*p < '0' || *p > '9')
			return "no status";
		h->status = h->status * 10 + *p - '0';
	}
	text = memmem(text, len, "\r\n", 2);
	while (!wrong && text && (text += 2) < end) {
		eol = memmem(text, (size_t)(end - text), "\r\n", 2);
		if (!eol)
			eol = end;
		if ((size_t)(eol - text) >= sizeof(line))
			return "a long line";
		memcpy(line, text, (size_t)(eol - text));
		line[eol - text] = '\0';
		wrong = parse_line(line, h, length, other);
		text = eol;
	}
	return wrong ? wrong : conclude(h, length, other);
}

static const char *check_validators(const struct expect *e, const struct head *h)
{
	const struct model_file *f = e->file;

	if (h->status == 412 || h->status == 416)
		return NULL;
	if (f->etag[0] && strcmp(h->etag, f->etag))
		return "another entity tag";
	/* 304 may do without: the client has it */
	if ((h->status != 304 || h->modified[0]) && strcmp(h->modified, f->modified))
		return "another date of modification";
	return NULL;
}

static const char *check_slice(const struct expect *e, const struct head *h, bool *slice,
			       size_t *from)
{
	char range[80];

	*slice = true;
	*from = 0;
	if (h->status == 200)
		return h->length == e->file->size ? NULL : "not the file's length";
	if (e->n_ranges > 1) {
		*slice = false;
		return h->boundary[0] && !h->content_range[0] ? NULL : "no multipart/byteranges";
	}
	*from = e->ranges[0].first;
	snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", e->ranges[0].first, e->ranges[0].last,
		 e->file->size);
	if (strcmp(range, h->content_range))
		return "another range";
	return h->length == e->ranges[0].last + 1 - *from ? NULL : "not the range's length";
}

const char *model_check_head(const struct expect *e, const struct head *h, bool *slice,
			     size_t *from)
{
	const char *wrong = NULL;
	char range[80];

	*slice = false;
	*from = 0;
	if (h->status != e->status && !(h->status == 200 && e->status == 206 && e->n_ranges > 1))
		return "another status";
	if (h->close != e->closes || (e->old && !e->closes && !h->keep_alive))
		return "Connection";
	if (!h->has_length && h->status != 304)
		return "no length";
	if (h->status == 301 && strcmp(h->location, "/dir/"))
		return "Location";
	if (e->file)
		wrong = check_validators(e, h);
	if (!wrong && (h->status == 200 || h->status == 206))
		wrong = check_slice(e, h, slice, from);
	if (!wrong && h->status == 416) {
		snprintf(range, sizeof(range), "bytes */%zu", e->file->size);
		wrong = strcmp(range, h->content_range) ? "Content-Range of 416" : NULL;
	}
	return wrong;
}

/* --------------------------------------------------------------------------------- content */

/* Skips @text at *@p. */
static bool skip(const char **p, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *p) < len || memcmp(*p, text, len))
		return false;
	*p += len;
	return true;
}

static const char *check_part(const struct expect *e, const struct range *r, const char **p,
			      const char *end)
{
	const char *head_end = memmem(*p, (size_t)(end - *p), "\r\n\r\n", 4), *found;
	size_t len = r->last + 1 - r->first;
	char range[100];

	if (!head_end)
		return "a part without the end of its head";
	snprintf(range, sizeof(range), "\r\nContent-Range: bytes %zu-%zu/%zu\r\n", r->first,
		 r->last, e->file->size);
	found = memmem(*p, (size_t)(head_end + 2 - *p), range, strlen(range));
	if (!found)
		return "a part of another range";
	*p = head_end + 4;
	if ((size_t)(end - *p) < len || memcmp(*p, e->file->data + r->first, len))
		return "a part of other content";
	*p += len;
	return NULL;
}

static const char *check_parts(const struct expect *e, const struct head *h, const char *body,
			       size_t len)
{
	const char *p = body, *end = body + len, *wrong = NULL;
	char delimiter[100];

	snprintf(delimiter, sizeof(delimiter), "--%s", h->boundary);
	for (unsigned i = 0; !wrong && i < e->n_ranges; i++) {
		if (!skip(&p, end, "\r\n") && i)
			return "no line end behind a part";
		if (!skip(&p, end, delimiter))
			return "no delimiter";
		wrong = check_part(e, &e->ranges[i], &p, end);
	}
	if (wrong)
		return wrong;
	if (!skip(&p, end, "\r\n") || !skip(&p, end, delimiter) || !skip(&p, end, "--"))
		return "no end of the parts";
	skip(&p, end, "\r\n");
	return p == end ? NULL : "more behind the last part";
}

const char *model_check_body(const struct expect *e, const struct head *h, const char *body,
			     size_t len)
{
	if (h->status == 206)
		return check_parts(e, h, body, len);
	return len <= 4096 ? NULL : "a status of many words";
}
