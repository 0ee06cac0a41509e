/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * request.c - the parser of HTTP/1 requests. The end of the head is looked for first, so that what
 * trickles in costs one look at each byte; then the head is parsed in one go.
 */
#include "examples/webserver/request.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------------- characters */

#define TOKEN 0x01  /* tchar: methods, field names */
#define TARGET 0x02 /* what browsers put into targets; RFC 3986 has less */
#define VALUE 0x04  /* field values */
#define HOST 0x08   /* names of hosts */
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
	[':'] = TARGET | VALUE,
	[';'] = TARGET | VALUE | HOST,
	['<'] = TARGET | VALUE,
	['='] = TARGET | VALUE | HOST,
	['>' ... '@'] = TARGET | VALUE,
	['A' ... 'Z'] = TOKEN | TARGET | VALUE | HOST,
	['['] = TARGET | VALUE,
	['\\'] = TARGET | VALUE,
	[']'] = TARGET | VALUE,
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

/* Of eight octets, whether one is a control character: below a space, or DEL. */
static bool has_control(uint64_t octets)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	uint64_t dels = octets ^ (ones * 0x7f);

	return (((octets - ones * 0x20) & ~octets) | ((dels - ones) & ~dels)) & highs;
}

/* As take(), of a field's value: the longest pieces of a request, so eight octets at a time. */
static struct text take_value(struct text *rest)
{
	struct text value = { rest->p, 0 };
	uint64_t octets;

	while (rest->len >= sizeof(octets)) {
		memcpy(&octets, rest->p, sizeof(octets));
		if (has_control(octets))
			break;
		text_skip(rest, sizeof(octets));
	}
	/* the line's end, or a tab */
	take(rest, VALUE);
	value.len = (size_t)(rest->p - value.p);
	return value;
}

static bool is_all(struct text t, uint8_t class)
{
	take(&t, class);
	return !t.len;
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

/* "[...]": an IPv6 address, or what may come after it one day: "[v" and a version. */
static bool take_literal(struct text *t)
{
	const char *end = memchr(t->p, ']', t->len);
	char address[INET6_ADDRSTRLEN];
	struct in6_addr binary;
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - t->p) - 1;
	if (len >= sizeof(address))
		return false;
	memcpy(address, t->p + 1, len);
	address[len] = '\0';
	text_skip(t, len + 2);
	return inet_pton(AF_INET6, address, &binary) == 1 ||
	       ((address[0] | 0x20) == 'v' && strchr(address, '.'));
}

/* A host, or none at all, and perhaps a port. */
static bool is_authority(struct text t)
{
	if (t.len && t.p[0] == '[') {
		if (!take_literal(&t))
			return false;
	} else {
		take(&t, HOST);
	}
	if (!t.len)
		return true;
	return text_take(&t, ":", 1) && is_all(t, DIGIT);
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
	host = *target;
	while (target->len && target->p[0] != '/' && target->p[0] != '?')
		text_skip(target, 1);
	host.len -= target->len;
	return host.len && host.p[0] != ':' && is_authority(host) ? 0 : -400;
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

	if (!text_take(rest, "HTTP/", 5))
		return -400;
	digits = take(rest, DIGIT);
	if (digits.len != 1 || !text_take(rest, ".", 1))
		return -400;
	major = digits.p[0];
	digits = take(rest, DIGIT);
	if (digits.len != 1 || !text_take(rest, "\r\n", 2))
		return -400;
	r->minor = digits.p[0] != '0';
	return major == '1' ? 0 : -505;
}

static int parse_request_line(struct text *rest, struct request *r)
{
	struct text method = take(rest, TOKEN), target;
	int err = method_of(method, &r->method);

	if (err || !text_take(rest, " ", 1))
		return -400;
	target = take(rest, TARGET);
	if (!target.len || !text_take(rest, " ", 1))
		return -400;
	err = parse_version(rest, r);
	return err ? err : parse_target(target, r);
}

/* ---------------------------------------------------------------------- header fields */

/* What the fields say, until all have been seen. */
struct fields {
	struct request *request;
	unsigned count, hosts, lengths, codings, ranges;
	bool close, keep_alive;
	bool chunked;
	bool content; /* a length other than 0 */
};

static int take_host(struct fields *f, struct text value)
{
	f->hosts++;
	return is_authority(value) ? 0 : -400;
}

static int take_connection(struct fields *f, struct text value)
{
	struct text option;

	while (text_next(&value, &option)) {
		f->close |= text_is(option, "close");
		f->keep_alive |= text_is(option, "keep-alive");
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
	f->chunked = text_is(value, "chunked");
	return 0;
}

static int take_range(struct fields *f, struct text value)
{
	/* two of them say nothing that could be understood */
	f->request->range = f->ranges++ ? (struct text){ 0 } : value;
	return 0;
}

static int take_lines(struct text *lines, struct text value)
{
	for (int i = 0; i < REQUEST_LINES_MAX; i++) {
		if (lines[i].p)
			continue;
		lines[i] = value;
		return 0;
	}
	return -431;
}

static int take_match(struct fields *f, struct text value)
{
	return take_lines(f->request->if_match, value);
}

static int take_none_match(struct fields *f, struct text value)
{
	return take_lines(f->request->if_none_match, value);
}

#define NAME(name) name, sizeof(name) - 1

/* Fields with something to do, and fields that are only remembered. */
static const struct {
	const char *name;
	size_t len;
	int (*take)(struct fields *f, struct text value);
	size_t offset;
} known_fields[] = {
	{ NAME("Host"), take_host, 0 },
	{ NAME("Connection"), take_connection, 0 },
	{ NAME("Content-Length"), take_length, 0 },
	{ NAME("Transfer-Encoding"), take_coding, 0 },
	{ NAME("Range"), take_range, 0 },
	{ NAME("If-Match"), take_match, 0 },
	{ NAME("If-None-Match"), take_none_match, 0 },
	{ NAME("If-Range"), NULL, offsetof(struct request, if_range) },
	{ NAME("If-Modified-Since"), NULL, offsetof(struct request, if_modified_since) },
	{ NAME("If-Unmodified-Since"), NULL, offsetof(struct request, if_unmodified_since) },
	{ NAME("Referer"), NULL, offsetof(struct request, referer) },
	{ NAME("User-Agent"), NULL, offsetof(struct request, user_agent) },
};

#define BIT(letter) (UINT32_C(1) << ((letter) - 'a'))

/* Nearly all fields of a browser are none of these, and most are told by their first letter. */
static bool may_be_known(char initial)
{
	static const uint32_t initials =
		BIT('h') | BIT('c') | BIT('t') | BIT('r') | BIT('i') | BIT('u');
	char letter = initial | 0x20;

	return letter >= 'a' && letter <= 'z' && (initials & BIT(letter));
}

static int use_field(struct fields *f, struct text name, struct text value)
{
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++) {
		struct text *remembered;

		if (name.len != known_fields[i].len ||
		    strncasecmp(name.p, known_fields[i].name, name.len))
			continue;
		if (known_fields[i].take)
			return known_fields[i].take(f, value);
		remembered = (struct text *)((char *)f->request + known_fields[i].offset);
		if (!remembered->p)
			*remembered = value;
		return 0;
	}
	return 0;
}

static int parse_field(struct text *rest, struct fields *f)
{
	struct text name = take(rest, TOKEN), value;

	/* no name: also a folded line */
	if (!name.len || !text_take(rest, ":", 1))
		return -400;
	value = take_value(rest);
	/* a control character, or half a line end */
	if (!text_take(rest, "\r\n", 2))
		return -400;
	if (++f->count > REQUEST_FIELDS_MAX)
		return -431;
	return may_be_known(name.p[0]) ? use_field(f, name, text_trim(value)) : 0;
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
	struct fields f = { .request = r };
	const char *begin = head.p;
	int err = parse_request_line(&head, r);

	if (!err)
		r->line = (struct text){ begin, (size_t)(head.p - begin) - 2 };

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
