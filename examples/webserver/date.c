/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * date.c - the date format of HTTP. The program never calls setlocale(), so names are English.
 */
#include "examples/webserver/date.h"

#include <string.h>

void date_format(time_t time, char text[static DATE_ROOM])
{
	struct tm tm;

	if (!gmtime_r(&time, &tm) || strftime(text, DATE_ROOM, "%a, %d %b %Y %T GMT", &tm) != 29)
		memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", DATE_ROOM);
}
