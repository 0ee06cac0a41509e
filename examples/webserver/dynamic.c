/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dynamic.c - which requests are answered by a handler.
 */
#include "examples/webserver/dynamic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "examples/webserver/server.h"

/* The setting that holds a handler's path; empty: the handler is not used. */
static const struct {
	size_t path;
	dynamic_handler handler;
} routes[] = {
	{ offsetof(struct settings, status), status_page },
};

/* The path itself, what is below it, and either with a query. */
static bool is_below(const char *target, size_t target_len, const char *path)
{
	size_t len = strlen(path);

	if (target_len < len || memcmp(target, path, len))
		return false;
	return target_len == len || target[len] == '?' || target[len] == '/';
}

dynamic_handler dynamic_find(const struct server *s, const struct request *r)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const char *path = (const char *)&s->settings + routes[i].path;

		if (*path && is_below(r->target, r->target_len, path))
			return routes[i].handler;
	}
	return NULL;
}

void reply_add(struct dynamic_reply *reply, const char *format, ...)
{
	size_t room = DYNAMIC_ROOM - reply->len;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(reply->body + reply->len, room, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= room)
		reply->overflow = true;
	else
		reply->len += (size_t)n;
}
