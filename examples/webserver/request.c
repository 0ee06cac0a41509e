/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * request.c - the parser of HTTP/1 requests. The end of the head is looked for first, so that what
 * trickles in costs one look at each byte; then the head is parsed in one go.
 */
#include "examples/webserver/request.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------------- characters */

#define TOKEN 0x01  /* tchar: methods, field names */
#define TARGET 0x02 /* what browsers put into targets; RFC 3986 has less */
#define VALUE 0x04  /* field values */
#define HOST 0x08   /* host and port */
#define DIGIT 0x10

static const uint8_t classes[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = TOKEN | TARGET | VALUE | HOST,
	['"'] = TARGET | VALUE,
	['#'] = TOKEN | VALUE,
	['$' ... '\''] = TOKEN | TARGET | VALUE | HOST,
	['(' ... ')'] = TARGET | VALUE | HOST,
	['*' ... '+'] = TOKEN | TARGET | VALUE | HOST,
	[','] = TARGET | VALUE | HOST,
	['-' ... '.'] = TOKEN | TARGET | VALUE | HOST,
	['/'] = TARGET | VALUE,
	['0' ... '9'] = TOKEN | TARGET | VALUE | HOST | DIGIT,
	[':' ... ';'] = TARGET | VALUE | HOST,
	['<'] = TARGET | VALUE,
	['='] = TARGET | VALUE | HOST,
	['>' ... '@'] = TARGET | VALUE,
	['A' ... 'Z'] = TOKEN | TARGET | VALUE | HOST,
	['['] = TARGET | VALUE | HOST,
	['\\'] = TARGET | VALUE,
	[']'] = TARGET | VALUE | HOST,
	['^'] = TOKEN | TARGET | VALUE,
	['_'] = TOKEN | TARGET | VALUE | HOST,
	['`'] = TOKEN | TARGET | VALUE,
	['a' ... 'z'] = TOKEN | TARGET | VALUE | HOST,
	['{'] = TARGET | VALUE,
	['|'] = TOKEN | TARGET | VALUE,
	['}'] = TARGET | VALUE,
	['~'] = TOKEN | TARGET | VALUE | HOST,
	[0x80 ... 0xff] = TARGET | VALUE,
};

/* A piece of the head. */
struct text {
	const char *p;
	size_t len;
};

static bool is(char c, uint8_t class)
{
	return classes[(unsigned char)c] & class;
}

/* Takes the longest piece of this class from the front of @rest. */
static struct text take(struct text *rest, uint8_t class)
{
	struct text piece = { rest->p, 0 };

	while (piece.len < rest->len && is(rest->p[piece.len], class))
		piece.len++;
	rest->p += piece.len;
	rest->len -= piece.len;
	return piece;
}

static bool take_exactly(struct text *rest, const char *what)
{
	size_t len = strlen(what);

	if (rest->len < len || memcmp(rest->p, what, len))
		return false;
	rest->p += len;
	rest->len -= len;
	return true;
}

static bool is_all(struct text t, uint8_t class)
{
	take(&t, class);
	return !t.len;
}

static bool equals(struct text t, const char *what)
{
	return t.len == strlen(what) && !strncasecmp(t.p, what, t.len);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct text trim(struct text t)
{
	while (t.len && is_space(t.p[0])) {
		t.p++;
		t.len--;
	}
	while (t.len && is_space(t.p[t.len - 1]))
		t.len--;
	return t;
}

/* ----------------------------------------------------------------------- request line */

static int method_of(struct text name, enum request_method *method)
{
	static const char *const others[] = { "POST",  "PUT",     "DELETE", "OPTIONS",
					      "TRACE", "CONNECT", "PATCH" };

	*method = METHOD_UNKNOWN;
	/* case matters here, and only here */
	if (name.len == 3 && !memcmp(name.p, "GET", 3))
		*method = METHOD_GET;
	else if (name.len == 4 && !memcmp(name.p, "HEAD", 4))
		*method = METHOD_HEAD;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (name.len == strlen(others[i]) && !memcmp(name.p, others[i], name.len))
			*method = METHOD_OTHER;
	return name.len ? 0 : -400;
}

/* "http://host/path" is what a proxy is asked; a server must take it too. Leaves "/path". */
static int strip_authority(struct text *target)
{
	size_t scheme = 0;
	struct text host;

	if (target->len >= 7 && !strncasecmp(target->p, "http://", 7))
		scheme = 7;
	else if (target->len >= 8 && !strncasecmp(target->p, "https://", 8))
		scheme = 8;
	if (!scheme)
		return -400;
	target->p += scheme;
	target->len -= scheme;
	host = take(target, HOST);
	if (!host.len || (target->len && target->p[0] != '/' && target->p[0] != '?'))
		return -400;
	return 0;
}

static int parse_target(struct text target, struct request *r)
{
	/* the forms that other methods use are not looked at: those are refused anyway */
	if (r->method <= METHOD_HEAD && target.p[0] != '/') {
		int err = strip_authority(&target);

		if (err)
			return err;
	}
	r->target = target.p;
	r->target_len = target.len;
	return 0;
}

/* A higher minor version than 1 is to be treated as 1. */
static int parse_version(struct text *rest, struct request *r)
{
	struct text digits;
	char major;

	if (!take_exactly(rest, "HTTP/"))
		return -400;
	digits = take(rest, DIGIT);
	if (digits.len != 1 || !take_exactly(rest, "."))
		return -400;
	major = digits.p[0];
	digits = take(rest, DIGIT);
	if (digits.len != 1 || !take_exactly(rest, "\r\n"))
		return -400;
	r->minor = digits.p[0] != '0';
	return major == '1' ? 0 : -505;
}

static int parse_request_line(struct text *rest, struct request *r)
{
	struct text method = take(rest, TOKEN), target;
	int err = method_of(method, &r->method);

	if (err || !take_exactly(rest, " "))
		return -400;
	target = take(rest, TARGET);
	if (!target.len || !take_exactly(rest, " "))
		return -400;
	err = parse_version(rest, r);
	return err ? err : parse_target(target, r);
}

/* ---------------------------------------------------------------------- header fields */

/* What the fields say, until all have been seen. */
struct fields {
	unsigned count, hosts, lengths, codings;
	bool close, keep_alive;
	bool chunked;
	bool content; /* a length other than 0 */
};

static int take_host(struct fields *f, struct text value)
{
	f->hosts++;
	return is_all(value, HOST) ? 0 : -400;
}

static int take_connection(struct fields *f, struct text value)
{
	while (value.len) {
		const char *comma = memchr(value.p, ',', value.len);
		size_t len = comma ? (size_t)(comma - value.p) : value.len;
		struct text option = trim((struct text){ value.p, len });

		f->close |= equals(option, "close");
		f->keep_alive |= equals(option, "keep-alive");
		value.p += len + (comma != NULL);
		value.len -= len + (comma != NULL);
	}
	return 0;
}

static int take_length(struct fields *f, struct text value)
{
	if (!value.len || !is_all(value, DIGIT))
		return -400;
	for (size_t i = 0; i < value.len; i++)
		f->content |= value.p[i] != '0';
	f->lengths++;
	return 0;
}

static int take_coding(struct fields *f, struct text value)
{
	f->codings++;
	f->chunked = equals(value, "chunked");
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct fields *f, struct text value);
} known_fields[] = {
	{ "Host", take_host },
	{ "Connection", take_connection },
	{ "Content-Length", take_length },
	{ "Transfer-Encoding", take_coding },
};

static int parse_field(struct text *rest, struct fields *f)
{
	struct text name = take(rest, TOKEN), value;

	/* no name: also a folded line */
	if (!name.len || !take_exactly(rest, ":"))
		return -400;
	value = take(rest, VALUE);
	/* a control character, or half a line end */
	if (!take_exactly(rest, "\r\n"))
		return -400;
	if (++f->count > REQUEST_FIELDS_MAX)
		return -431;
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
		if (equals(name, known_fields[i].name))
			return known_fields[i].take(f, trim(value));
	return 0;
}

/* RFC 9112 sections 3.2, 6 and 9.3: what the fields mean together. */
static int conclude(const struct fields *f, struct request *r)
{
	if (f->hosts > 1 || (r->minor && !f->hosts))
		return -400;
	if (f->lengths > 1 || f->codings > 1 || (f->codings && (f->lengths || !r->minor)))
		return -400;
	if (f->codings && !f->chunked)
		return -501;
	r->content = f->content || f->chunked;
	r->keep_alive = !f->close && (r->minor || f->keep_alive);
	return 0;
}

/* ------------------------------------------------------------------------------- heads */

static int parse_head(struct text head, struct request *r)
{
	struct fields f = { 0 };
	int err = parse_request_line(&head, r);

	while (!err && head.len)
		err = parse_field(&head, &f);
	return err ? err : conclude(&f, r);
}

/* Empty lines before a request: some clients sent one behind the content of the last. */
static size_t leading_lines(const char *data, size_t len)
{
	size_t n = 0;

	while (len - n >= 2 && data[n] == '\r' && data[n + 1] == '\n')
		n += 2;
	return n;
}

int request_parse(const char *data, size_t len, size_t *searched, struct request *r)
{
	size_t begin = leading_lines(data, len), from = begin;
	const char *end;
	int err;

	if (begin == len || (data[begin] == '\r' && begin + 1 == len))
		return 0;
	/* no request begins so: do not wait for more of, say, a TLS handshake */
	if (!is(data[begin], TOKEN))
		return -400;
	if (*searched > begin + 3)
		from = *searched - 3;
	end = memmem(data + from, len - from, "\r\n\r\n", 4);
	if (!end) {
		*searched = len;
		return 0;
	}
	*r = (struct request){ 0 };
	err = parse_head((struct text){ data + begin, end + 2 - (data + begin) }, r);
	return err ? err : (int)(end + 4 - data);
}

int request_overlong(const char *data, size_t len)
{
	size_t begin = leading_lines(data, len);

	return memchr(data + begin, '\n', len - begin) ? 431 : 414;
}
