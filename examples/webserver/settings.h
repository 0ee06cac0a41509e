/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * settings.h - everything that can be set, by flags and by a file of the same names.
 */
#ifndef EXAMPLES_WEBSERVER_SETTINGS_H
#define EXAMPLES_WEBSERVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "examples/common/parse.h"

#define SETTINGS_PATH_ROOM 1024
#define SETTINGS_WORD_ROOM 64
#define SETTINGS_WORKERS_MAX 256

enum log_format { LOG_COMMON, LOG_COMBINED };

/* Numbers are all of one type, so that one table describes them. Texts that are not set are empty. */
struct settings {
	/* when it starts */
	struct address listen;
	char directory[SETTINGS_PATH_ROOM];
	char aio[SETTINGS_WORD_ROOM];
	char placement[SETTINGS_WORD_ROOM];
	uint64_t workers, connections, backlog;
	uint64_t fits; /* of those connections: what the limit of open files allows */
	bool no_defer;
	/* at any time */
	uint64_t max_requests;          /* of one connection; 0: no limit */
	uint64_t timeout_s, idle_s;     /* for a request to come whole; for one to begin */
	uint64_t rate;                  /* bytes a second that a client has to take */
	uint64_t accepts, accept_batch; /* posted; handled before other events */
	char access_log[SETTINGS_PATH_ROOM];
	enum log_format log_format;
	char status[SETTINGS_WORD_ROOM]; /* path of the status page */
	uint64_t cache_files, cache_bytes, cache_largest;
	char mime_types[SETTINGS_PATH_ROOM];
};

/*
 * Defaults, then the file that --config names, then the flags. 0; or what main() is to return (of
 * wrong usage, said on stderr); negative: --help or --version was asked for, and answered.
 */
int settings_load(struct settings *s, int argc, char **argv);

/*
 * The same again: @s gets what may change while the server runs, and what may not is named on
 * stderr if it would. -EINVAL, and @s stays as it is.
 */
int settings_reload(struct settings *s, int argc, char **argv);

/* One line of a file ("name = value", or nothing, or "# ..."). NULL, or what is wrong. */
const char *settings_line(struct settings *s, char *line);

void settings_defaults(struct settings *s);

#endif
