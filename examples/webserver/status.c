/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * status.c - the example of a handler: what this process has done so far, as JSON.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "examples/webserver/dynamic.h"
#include "examples/webserver/server.h"

static void add_text(struct dynamic_reply *reply, const char *name, const char *text)
{
	reply_add(reply, "  \"%s\": \"", name);
	for (; text && *text; text++) {
		if (*text == '"' || *text == '\\')
			reply_add(reply, "\\%c", *text);
		else
			reply_add(reply, "%c", (unsigned char)*text < ' ' ? ' ' : *text);
	}
	reply_add(reply, "\",\n");
}

static void add_number(struct dynamic_reply *reply, const char *name, uint64_t number)
{
	reply_add(reply, "  \"%s\": %" PRIu64 ",\n", name, number);
}

static void add_info(struct dynamic_reply *reply, struct gaio *io)
{
	struct gaio_info info = { 0 };

	gaio_query(io, &info);
	add_text(reply, "backend", info.backend);
	add_text(reply, "sockets", info.sockets);
	add_text(reply, "sockets_why", info.sockets_why);
	add_text(reply, "files", info.files);
	add_text(reply, "files_why", info.files_why);
}

static void add_server(struct dynamic_reply *reply, const struct server *s)
{
	const struct server_counters *n = &s->counters;

	add_number(reply, "pid", (uint64_t)getpid());
	add_number(reply, "uptime_seconds", (uint64_t)(s->now_ms - s->started_ms) / 1000);
	add_number(reply, "connections", s->used - s->waiting);
	add_number(reply, "connections_most", s->settings.fits);
	add_number(reply, "accepts_posted", s->waiting);
	add_number(reply, "accepted", n->accepted);
	add_number(reply, "requests", n->requests);
	add_number(reply, "bytes_sent", n->bytes);
	for (int i = 2; i < SERVER_CLASSES; i++) {
		const char name[] = { 's', 't', 'a', 't', 'u', 's', '_', (char)('0' + i),
				      'x', 'x', '\0' };

		add_number(reply, name, n->classes[i]);
	}
	add_number(reply, "timeouts", n->timeouts);
	add_number(reply, "log_lines_lost", s->log.lost_before + s->log.lost);
}

static void add_files(struct dynamic_reply *reply, const struct server *s)
{
	struct files_counters n;

	files_count(s->files, &n);
	add_number(reply, "cached_files", n.files);
	add_number(reply, "cached_bytes", n.bytes);
	add_number(reply, "cache_hits", n.hits);
	add_number(reply, "cache_misses", n.misses);
	add_number(reply, "cache_looks", n.looks);
}

static void add_events(struct dynamic_reply *reply, const struct server *s)
{
	static const char *const names[] = { "accept", "receive", "send", "close", "file" };

	reply_add(reply, "  \"events\": {");
	for (int i = 0; i < SCHEDULE_KINDS; i++)
		reply_add(reply, "%s\"%s\": %" PRIu64, i ? ", " : " ", names[i],
			  s->schedule.taken[i]);
	reply_add(reply, " },\n");
}

/* The engine counts some things that the layer above it counts as well, by the same names. */
static bool is_repeated(struct gaio *io, unsigned index, const char *name)
{
	const char *other;
	uint64_t value;

	for (unsigned i = 0; i < index && !gaio_counter(io, i, &other, &value); i++)
		if (!strcmp(name, other))
			return true;
	return false;
}

static void add_counters(struct dynamic_reply *reply, struct gaio *io)
{
	const char *name;
	uint64_t value;

	reply_add(reply, "  \"io\": {");
	for (unsigned i = 0; !gaio_counter(io, i, &name, &value); i++)
		reply_add(reply, "%s\n    \"%s%s\": %" PRIu64, i ? "," : "",
			  is_repeated(io, i, name) ? "engine_" : "", name, value);
	reply_add(reply, "\n  }\n}\n");
}

void status_page(struct server *s, const struct request *r, struct dynamic_reply *reply)
{
	(void)r;
	reply->type = "application/json";
	reply_add(reply, "{\n");
	add_info(reply, s->io);
	add_server(reply, s);
	add_files(reply, s);
	add_events(reply, s);
	add_counters(reply, s->io);
}
