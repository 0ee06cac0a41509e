/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * request.h - the parser of HTTP/1 requests (RFC 9112): bytes in, a struct or a status code out. It
 * keeps nothing, allocates nothing and calls nothing of the server.
 *
 * It is strict where leniency lets two parties disagree about where a request ends (bare line
 * feeds, folded lines, space before a colon, two lengths), because a proxy may stand before it.
 */
#ifndef EXAMPLES_WEBSERVER_REQUEST_H
#define EXAMPLES_WEBSERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "examples/webserver/text.h"

#define REQUEST_HEAD_MAX 8192  /* bytes up to and with the empty line */
#define REQUEST_FIELDS_MAX 100 /* header fields */
#define REQUEST_LINES_MAX 4    /* of those, with entity tags of one kind */

enum request_method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_OTHER,  /* known, and not allowed here */
	METHOD_UNKNOWN /* none that this server has heard of */
};

struct request {
	enum request_method method;
	int minor;          /* of HTTP/1.minor: 0 or 1 */
	bool keep_alive;    /* the connection may serve another request after this one */
	bool content;       /* content follows the head */
	const char *target; /* path and query, in the caller's buffer; empty for "/" */
	size_t target_len;
	struct text line; /* the request line, without its end */
	/*
	 * Fields, in the caller's buffer; p is NULL for those that are missing. Of one that comes
	 * twice and may not, the first counts, but a second Range makes both void.
	 */
	struct text range, if_range, if_modified_since, if_unmodified_since;
	struct text referer, user_agent;
	struct text if_match[REQUEST_LINES_MAX], if_none_match[REQUEST_LINES_MAX];
};

/*
 * Looks for one request at the beginning of @data. Returns the length of its head, @r being filled;
 * 0: more bytes are needed; or the negative of the status code to refuse it with.
 *
 * *@searched spares a second search of the same bytes: 0 for a new request, then what the last
 * call, on fewer bytes of the same request, left there.
 */
int request_parse(const char *data, size_t len, size_t *searched, struct request *r);

/* The status code for a head that is still not complete after @len bytes, the limit. */
int request_overlong(const char *data, size_t len);

#endif
