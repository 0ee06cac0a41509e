/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * logline.c - writing lines of the access log: copies, nearly always.
 */
#include "examples/webserver/logline.h"

#include <stdio.h>

#define NUMBER_ROOM 20
#define ESCAPED 4 /* octets that one may become */

void logline_date(time_t time, char text[static LOGLINE_DATE_ROOM])
{
	struct tm tm;

	if (!localtime_r(&time, &tm) || !strftime(text, LOGLINE_DATE_ROOM, "[%d/%b/%Y:%T %z]", &tm))
		memcpy(text, "[-]", sizeof("[-]"));
}

size_t logline_room(const struct logline *line)
{
	return line->peer.len + line->date.len + 3 * NUMBER_ROOM +
	       ESCAPED * (line->request.len + line->referer.len + line->user_agent.len);
}

static char *add(char *out, const char *text, size_t len)
{
	if (len)
		memcpy(out, text, len);
	return out + len;
}

static char *add_octet(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		*out++ = '\\';
		*out++ = (char)c;
		return out;
	}
	*out++ = '\\';
	*out++ = 'x';
	*out++ = hex[c >> 4];
	*out++ = hex[c & 15];
	return out;
}

/* In quotes; "-" for nothing. */
static char *add_quoted(char *out, struct text t)
{
	*out++ = '"';
	if (!t.len)
		*out++ = '-';
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.p[i];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
			*out++ = (char)c;
		else
			out = add_octet(out, c);
	}
	*out++ = '"';
	return out;
}

static char *add_number(char *out, uint64_t number)
{
	char digits[NUMBER_ROOM], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	return add(out, p, (size_t)(digits + sizeof(digits) - p));
}

size_t logline_format(char *out, const struct logline *line, enum log_format format)
{
	char *p = add(out, line->peer.p, line->peer.len);

	p = add(p, " - - ", 5);
	p = add(p, line->date.p, line->date.len);
	*p++ = ' ';
	p = add_quoted(p, line->request);
	*p++ = ' ';
	p = add_number(p, (uint64_t)line->status);
	*p++ = ' ';
	if (line->bytes)
		p = add_number(p, line->bytes);
	else
		*p++ = '-';
	if (format == LOG_COMBINED) {
		*p++ = ' ';
		p = add_quoted(p, line->referer);
		*p++ = ' ';
		p = add_quoted(p, line->user_agent);
	}
	*p++ = '\n';
	return (size_t)(p - out);
}
