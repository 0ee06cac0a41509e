/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * server.c - the server comes to be, changes its settings, keeps its books, and goes.
 */
#include "examples/webserver/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/webserver/mime.h"
#include "examples/webserver/signals.h"

#define SOCKETS_MAX (1u << 20) /* that a back end may be asked for */

static int server_fail(const char *what, const char *detail, int err)
{
	fprintf(stderr, "eta-webserver: %s%s%s: %s\n", what, detail ? " " : "",
		detail ? detail : "", strerror(-err));
	return err;
}

/* --------------------------------------------------------------------------------- creating */

static int server_listen(struct server *s)
{
	const struct gaio_socket_attr attr = {
		.recv = s->schedule.queues[SCHEDULE_ACCEPT],
		.send = s->schedule.queues[SCHEDULE_SEND],
		.close = s->schedule.queues[SCHEDULE_CLOSE],
	};
	unsigned flags = (s->settings.workers > 1 ? GAIO_REUSEPORT : 0) |
			 (s->settings.no_defer ? 0 : GAIO_DEFER_ACCEPT);
	int err = gaio_socket(s->io, &attr, &s->listener);

	if (!err)
		err = gaio_listen(s->listener, (const struct sockaddr *)&s->settings.listen.storage,
				  s->settings.listen.len, (int)s->settings.backlog, flags);
	return err ? server_fail("cannot listen on that address; is it this machine's, and the "
				 "port free?",
				 NULL, err)
		   : 0;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

/* Some sockets are still going when their successors come. */
static uint32_t sockets_for(uint64_t connections)
{
	uint64_t sockets = 2 * connections + 64;

	return sockets < SOCKETS_MAX ? (uint32_t)sockets : SOCKETS_MAX;
}

static int open_io(struct server *s)
{
	const struct gaio_attr attr = {
		.backend = or_null(s->settings.aio),
		.placement = or_null(s->settings.placement),
		.max_sockets = sockets_for(s->settings.fits),
	};
	const char *name = attr.backend ? attr.backend : getenv("ETA_AIO");
	int err = gaio_open(&attr, &s->io);

	if (err == -ENOENT)
		return server_fail("there is no such --aio:", name, err);
	if (err == -EOPNOTSUPP)
		return server_fail("this machine does not have", name ? name : "dusi", err);
	if (err)
		return server_fail("cannot open the engine with placement",
				   attr.placement ? attr.placement : "(default)", err);
	err = schedule_create(&s->schedule, s->io, (uint32_t)s->settings.fits);
	if (!err)
		return 0;
	gaio_close(s->io);
	return server_fail("cannot create the event queues", NULL, err);
}

static void create_free_list(struct server *s)
{
	uint32_t n = (uint32_t)s->settings.fits;

	s->used = n;
	while (n--) {
		s->connections[n].server = s;
		server_connection_free(s, &s->connections[n]);
	}
}

static int create_connections(struct server *s)
{
	uint32_t n = (uint32_t)s->settings.fits;
	int err = buffers_create(&s->buffers, s->io, n);

	if (!err) {
		s->connections = calloc(n, sizeof(*s->connections));
		if (!s->connections) {
			buffers_destroy(&s->buffers, s->io);
			err = -ENOMEM;
		}
	}
	if (err)
		return server_fail("cannot allocate the connections", NULL, err);
	create_free_list(s);
	return 0;
}

static struct files_limits limits_of(const struct settings *settings)
{
	return (struct files_limits){ settings->cache_files, settings->cache_bytes,
				      settings->cache_largest };
}

/* Without the table there are still the types that are built in. */
static void load_mime_types(const struct server *s)
{
	const char *path = s->settings.mime_types;
	int err = mime_load(path);

	if (err && !(err == -ENOENT && !strcmp(path, "/etc/mime.types")))
		server_fail("cannot read the media types in", path, err);
}

static int create_files(struct server *s)
{
	struct files_limits limits = limits_of(&s->settings);
	int err = files_create(&s->files, s->io, s->schedule.queues[SCHEDULE_FILE],
			       s->settings.directory, &limits);

	if (err)
		return server_fail("cannot serve the folder", s->settings.directory, err);
	log_init(&s->log, s->io, s->schedule.queues[SCHEDULE_FILE]);
	err = log_open(&s->log, s->settings.access_log, s->settings.log_format);
	if (err)
		files_destroy(s->files);
	else
		load_mime_types(s);
	return err;
}

static void destroy_files(struct server *s)
{
	log_fini(&s->log);
	files_destroy(s->files);
	mime_unload();
}

static void destroy_connections(struct server *s)
{
	buffers_destroy(&s->buffers, s->io);
	free(s->connections);
}

int server_create(struct server *s, const struct settings *settings, int argc, char **argv)
{
	int err;

	*s = (struct server){ .settings = *settings, .argc = argc, .argv = argv, .date_of = -1 };
	server_clock(s);
	s->started_ms = s->now_ms;
	err = open_io(s);
	if (err)
		return err;
	err = create_files(s);
	if (err)
		goto close_io;
	err = create_connections(s);
	if (err)
		goto undo_files;
	err = server_listen(s);
	if (!err)
		return 0;
	destroy_connections(s);
undo_files:
	destroy_files(s);
close_io:
	gaio_close(s->io);
	return err;
}

int server_address(const struct server *s, struct sockaddr_storage *address)
{
	return gaio_local_addr(s->listener, address);
}

/* The back end goes last: it may still be busy with what is given back. */
void server_destroy(struct server *s)
{
	destroy_files(s);
	destroy_connections(s);
	gaio_close(s->io);
}

/* ------------------------------------------------------------------------------- reloading */

int server_reload(struct server *s)
{
	struct files_limits limits;
	int err;

	signals_reload = 0;
	err = settings_reload(&s->settings, s->argc, s->argv);
	limits = limits_of(&s->settings);
	load_mime_types(s);
	files_reset(s->files, &limits);
	log_open(&s->log, s->settings.access_log, s->settings.log_format);
	return err;
}

/* --------------------------------------------------------------------------------- the books */

static struct text peer_of(struct connection *c)
{
	struct sockaddr_storage address;
	char text[PARSE_ADDRESS_MAX] = "-";

	if (!c->peer_len) {
		if (!gaio_peer_addr(c->sock, &address))
			format_host(&address, text);
		c->peer_len = (uint8_t)strlen(text);
		memcpy(c->peer, text, c->peer_len);
	}
	return (struct text){ c->peer, c->peer_len };
}

void server_note(struct server *s, struct connection *c, const struct request *r, int status,
		 uint64_t bytes)
{
	struct logline line;

	c->requests++;
	s->counters.requests++;
	s->counters.classes[status / 100]++;
	if (!log_is_on(&s->log))
		return;
	line = (struct logline){
		.peer = peer_of(c),
		.request = r->line,
		.referer = r->referer,
		.user_agent = r->user_agent,
		.status = status,
		.bytes = bytes,
	};
	log_add(&s->log, &line, s->date_of, s->now_ms);
}
