/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * condition.h - conditional requests (RFC 9110 section 13): whether a file is to be sent, given
 * what the client knows of it.
 */
#ifndef EXAMPLES_WEBSERVER_CONDITION_H
#define EXAMPLES_WEBSERVER_CONDITION_H

#include <stdbool.h>
#include <time.h>

#include "examples/webserver/request.h"

/* What tells one state of a file from another. */
struct validators {
	struct text etag; /* with its quotes; a strong one */
	time_t modified;
};

/* 0: send it; 304: the client has it; 412: it is not what the client wants. For GET and HEAD. */
int condition_check(const struct request *r, const struct validators *v, time_t now);

/* Whether a range may be sent: the client's other parts are of the same file (If-Range). */
bool condition_range(const struct request *r, const struct validators *v, time_t now);

#endif
