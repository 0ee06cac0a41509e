/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * logline.h - the lines of the access log, in the common format or the combined one.
 */
#ifndef EXAMPLES_WEBSERVER_LOGLINE_H
#define EXAMPLES_WEBSERVER_LOGLINE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "examples/webserver/settings.h"
#include "examples/webserver/text.h"

#define LOGLINE_DATE_ROOM 32 /* "[24/Nov/2026:19:47:37 +0000]" and its end */

struct logline {
	struct text peer, date; /* the date with its brackets */
	struct text request, referer, user_agent;
	int status;
	uint64_t bytes; /* of content */
};

void logline_date(time_t time, char text[static LOGLINE_DATE_ROOM]);

/* Bytes that logline_format() may need. */
size_t logline_room(const struct logline *line);

/* Writes the line and its end; octets that could confuse a reader become \xHH. Its length. */
size_t logline_format(char *out, const struct logline *line, enum log_format format);

#endif
