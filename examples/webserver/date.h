/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * date.h - the date formats of HTTP (RFC 9110 section 5.6.7).
 */
#ifndef EXAMPLES_WEBSERVER_DATE_H
#define EXAMPLES_WEBSERVER_DATE_H

#include <time.h>

#include "examples/webserver/text.h"

#define DATE_LEN 29
#define DATE_ROOM (DATE_LEN + 1) /* "Sun, 06 Nov 1994 08:49:37 GMT" and its end */

/* Times that the format cannot express (years of five digits) become its first. */
void date_format(time_t time, char text[static DATE_ROOM]);

/*
 * Any of the three formats: that one, "Sunday, 06-Nov-94 08:49:37 GMT" (whose year is taken to be
 * at most 50 years after @now) and "Sun Nov  6 08:49:37 1994". 0, or -EINVAL.
 */
int date_parse(struct text text, time_t now, time_t *time);

#endif
