/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * date.h - the date format of HTTP (RFC 9110 section 5.6.7).
 */
#ifndef EXAMPLES_WEBSERVER_DATE_H
#define EXAMPLES_WEBSERVER_DATE_H

#include <time.h>

#define DATE_ROOM 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and its end */

/* Times that the format cannot express (years of five digits) become its first. */
void date_format(time_t time, char text[static DATE_ROOM]);

#endif
