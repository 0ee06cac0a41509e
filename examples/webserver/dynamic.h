/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dynamic.h - content that is made for each request, by functions compiled in: dynamic.c has their
 * table, which says at what path each is found.
 *
 * A handler runs within the event loop, so it must be quick and must not wait. It writes what it has
 * to say with reply_add(), at most DYNAMIC_ROOM bytes.
 */
#ifndef EXAMPLES_WEBSERVER_DYNAMIC_H
#define EXAMPLES_WEBSERVER_DYNAMIC_H

#include <stdbool.h>
#include <stddef.h>

#include "examples/webserver/buffers.h"
#include "examples/webserver/request.h"

#define DYNAMIC_ROOM BUFFER_LARGE

struct server;

struct dynamic_reply {
	int status;       /* 200, unless the handler says otherwise */
	const char *type; /* application/octet-stream likewise */
	char *body;
	size_t len;
	bool overflow; /* there was more than fits: the answer is 500 */
};

typedef void (*dynamic_handler)(struct server *s, const struct request *r,
				struct dynamic_reply *reply);

/* The handler for this request, which is GET or HEAD; NULL: it is for a file. */
dynamic_handler dynamic_find(const struct server *s, const struct request *r);

__attribute__((format(printf, 2, 3))) void reply_add(struct dynamic_reply *reply,
						     const char *format, ...);

/* The handlers. Counters of this process, as JSON: */
void status_page(struct server *s, const struct request *r, struct dynamic_reply *reply);

#endif
