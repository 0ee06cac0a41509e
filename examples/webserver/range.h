/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * range.h - which bytes of a file a request's Range field asks for (RFC 9110 section 14).
 */
#ifndef EXAMPLES_WEBSERVER_RANGE_H
#define EXAMPLES_WEBSERVER_RANGE_H

#include <stdint.h>

#include "examples/webserver/text.h"

/* More of them are not worth their price: who asks for more gets the whole file. */
#define RANGES_MAX 16

struct range {
	uint64_t first, last; /* both included */
};

/*
 * Parses @field for a file of @size bytes. Returns how many ranges there are, in the order asked
 * for; 0: the field is to be ignored (broken, of another unit, too many, or more than the file
 * itself); -416: none of them lies in the file.
 */
int range_parse(struct text field, uint64_t size, struct range ranges[static RANGES_MAX]);

#endif
