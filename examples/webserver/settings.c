/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * settings.c - one table of settings; flags and lines of the file are both looked up in it.
 */
#include "examples/webserver/settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/webserver/usage.h"

#define EXIT_USAGE 2
#define LINE_ROOM 2048

enum kind { TEXT, NUMBER, SIZE, FLAG, ADDRESS, FORMAT };

struct setting {
	const char *name;
	enum kind kind;
	bool fixed; /* once the server runs */
	size_t offset;
	uint64_t least, most; /* of texts: the room for them */
	uint64_t value;       /* default */
};

#define AT(field) offsetof(struct settings, field)
#define SIZEOF(field) sizeof(((struct settings *)0)->field)
#define FIXED true
#define FREE false
#define TEXT_OF(name, fixed, field)                                                                \
	{                                                                                          \
		name, TEXT, fixed, AT(field), 0, SIZEOF(field), 0                                  \
	}

static const struct setting table[] = {
	{ "listen", ADDRESS, FIXED, AT(listen), 0, sizeof(struct address), 0 },
	TEXT_OF("directory", FIXED, directory),
	TEXT_OF("aio", FIXED, aio),
	TEXT_OF("placement", FIXED, placement),
	{ "workers", NUMBER, FIXED, AT(workers), 1, SETTINGS_WORKERS_MAX, 1 },
	{ "connections", NUMBER, FIXED, AT(connections), 1, 1000000, 4096 },
	{ "backlog", NUMBER, FIXED, AT(backlog), 1, 1000000, 4096 },
	{ "no-defer", FLAG, FIXED, AT(no_defer), 0, sizeof(bool), 0 },
	{ "max-requests", NUMBER, FREE, AT(max_requests), 0, UINT32_MAX, 10000 },
	{ "timeout", NUMBER, FREE, AT(timeout_s), 1, 86400, 30 },
	{ "idle", NUMBER, FREE, AT(idle_s), 1, 86400, 30 },
	{ "rate", SIZE, FREE, AT(rate), 1, UINT32_MAX, 16000 },
	{ "accepts", NUMBER, FREE, AT(accepts), 1, 4096, 32 },
	{ "accept-batch", NUMBER, FREE, AT(accept_batch), 0, 4096, 16 },
	TEXT_OF("access-log", FREE, access_log),
	{ "log-format", FORMAT, FREE, AT(log_format), 0, sizeof(enum log_format), 0 },
	TEXT_OF("status", FREE, status),
	{ "cache-files", NUMBER, FREE, AT(cache_files), 1, 1000000, 1024 },
	{ "cache-bytes", SIZE, FREE, AT(cache_bytes), 0, UINT64_MAX / 2, 256u << 20 },
	{ "cache-largest", SIZE, FREE, AT(cache_largest), 0, UINT64_MAX / 2, 16u << 20 },
	TEXT_OF("mime-types", FREE, mime_types),
};

#define SETTINGS (sizeof(table) / sizeof(table[0]))

static void *place_of(struct settings *s, const struct setting *setting)
{
	return (char *)s + setting->offset;
}

static size_t size_of(const struct setting *setting)
{
	return setting->kind == NUMBER || setting->kind == SIZE ? sizeof(uint64_t) : setting->most;
}

void settings_defaults(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < SETTINGS; i++)
		if (table[i].kind == NUMBER || table[i].kind == SIZE)
			*(uint64_t *)place_of(s, &table[i]) = table[i].value;
	strcpy(s->mime_types, "/etc/mime.types");
}

/* ------------------------------------------------------------------------------ one value */

static const char *set_number(const struct setting *setting, const char *text, uint64_t *value)
{
	static char why[80];

	if (!parse_number(text, setting->kind == SIZE, setting->least, setting->most, value))
		return NULL;
	snprintf(why, sizeof(why), "expected a number from %llu to %llu%s",
		 (unsigned long long)setting->least, (unsigned long long)setting->most,
		 setting->kind == SIZE ? "; k, m and g behind it stand for KiB, MiB and GiB" : "");
	return why;
}

static const char *set_flag(const char *text, bool *flag)
{
	if (strcmp(text, "yes") && strcmp(text, "no"))
		return "expected yes or no";
	*flag = text[0] == 'y';
	return NULL;
}

static const char *set_format(const char *text, enum log_format *format)
{
	if (strcmp(text, "common") && strcmp(text, "combined"))
		return "expected common or combined";
	*format = strcmp(text, "common") ? LOG_COMBINED : LOG_COMMON;
	return NULL;
}

static const char *set_text(const struct setting *setting, const char *text, char *value)
{
	size_t len = strlen(text);

	if (len >= setting->most)
		return "too long";
	memcpy(value, text, len + 1);
	return NULL;
}

static const char *set(struct settings *s, const struct setting *setting, const char *text)
{
	void *place = place_of(s, setting);

	switch (setting->kind) {
	case NUMBER:
	case SIZE:
		return set_number(setting, text, place);
	case FLAG:
		return set_flag(text, place);
	case ADDRESS:
		return parse_address(text, 1, place);
	case FORMAT:
		return set_format(text, place);
	default:
		return set_text(setting, text, place);
	}
}

/* ---------------------------------------------------------------------------------- file */

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	return text + strspn(text, " \t");
}

const char *settings_line(struct settings *s, char *line)
{
	char *name = trim(line), *equals = strchr(name, '='), *value;

	if (!*name || *name == '#')
		return NULL;
	if (!equals)
		return "expected name = value";
	*equals = '\0';
	name = trim(name);
	value = trim(equals + 1);
	for (size_t i = 0; i < SETTINGS; i++)
		if (!strcmp(name, table[i].name))
			return set(s, &table[i], value);
	return "there is no such setting";
}

static int read_file(struct settings *s, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_ROOM], copy[LINE_ROOM];
	const char *problem = NULL;
	unsigned number = 0;

	if (!file) {
		fprintf(stderr, "eta-webserver: --config %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	while (!problem && fgets(line, sizeof(line), file)) {
		number++;
		memcpy(copy, line, strlen(line) + 1);
		problem = strlen(line) == LINE_ROOM - 1 ? "too long" : settings_line(s, line);
	}
	fclose(file);
	if (problem)
		fprintf(stderr, "eta-webserver: %s:%u: %s: %s\n", path, number, trim(copy),
			problem);
	return problem ? EXIT_USAGE : 0;
}

/* ---------------------------------------------------------------------------------- flags */

enum { FLAG_CONFIG = 1000, FLAG_HELP, FLAG_VERSION };

static const struct option *flags(void)
{
	static struct option options[SETTINGS + 4];
	size_t i;

	for (i = 0; i < SETTINGS; i++) {
		int argument = table[i].kind == FLAG ? no_argument : required_argument;

		options[i] = (struct option){ table[i].name, argument, NULL, (int)i };
	}
	options[i++] = (struct option){ "config", required_argument, NULL, FLAG_CONFIG };
	options[i++] = (struct option){ "help", no_argument, NULL, FLAG_HELP };
	options[i++] = (struct option){ "version", no_argument, NULL, FLAG_VERSION };
	return options;
}

static int wrong_usage(const char *what, const char *value, const char *why)
{
	fprintf(stderr, "eta-webserver: %s%s%s: %s\nTry eta-webserver --help\n", what,
		value ? " " : "", value ? value : "", why);
	return EXIT_USAGE;
}

static int set_flag_option(struct settings *s, int option, const char *value)
{
	char name[SETTINGS_WORD_ROOM];
	const char *problem;

	if (option == FLAG_CONFIG)
		return 0;
	if (option == FLAG_HELP)
		fputs(usage_text, stdout);
	if (option == FLAG_VERSION)
		puts("eta-webserver " ETA_VERSION);
	if (option >= FLAG_HELP)
		return -1;
	problem = set(s, &table[option], value ? value : "yes");
	snprintf(name, sizeof(name), "--%s", table[option].name);
	return problem ? wrong_usage(name, value, problem) : 0;
}

/* The file comes before the flags, wherever among them it is named. */
static int apply_file(struct settings *s, int argc, char **argv)
{
	int option, err = 0;

	optind = 0;
	opterr = 0;
	while (!err && (option = getopt_long(argc, argv, "", flags(), NULL)) != -1)
		if (option == FLAG_CONFIG)
			err = read_file(s, optarg);
	return err;
}

static int apply_flags(struct settings *s, int argc, char **argv)
{
	int option, err = 0;

	optind = 0;
	opterr = 1;
	while (!err && (option = getopt_long(argc, argv, "", flags(), NULL)) != -1) {
		if (option == '?') {
			fputs("Try eta-webserver --help\n", stderr);
			return EXIT_USAGE;
		}
		err = set_flag_option(s, option, optarg);
	}
	return err;
}

static int finish(struct settings *s, int argc, char **argv)
{
	if (!s->listen.len)
		return wrong_usage("--listen ADDRESS:PORT", NULL, "is required");
	if (argc - optind > 1 || (argc - optind < 1 && !s->directory[0]))
		return wrong_usage("DIRECTORY", NULL, "expected one");
	if (argc > optind) {
		if (strlen(argv[optind]) >= sizeof(s->directory))
			return wrong_usage("DIRECTORY", argv[optind], "too long");
		strcpy(s->directory, argv[optind]);
	}
	if (s->status[0] && s->status[0] != '/')
		return wrong_usage("--status", s->status, "expected a path, which begins with /");
	return 0;
}

int settings_load(struct settings *s, int argc, char **argv)
{
	int err;

	settings_defaults(s);
	err = apply_file(s, argc, argv);
	if (!err)
		err = apply_flags(s, argc, argv);
	return err ? err : finish(s, argc, argv);
}

int settings_reload(struct settings *s, int argc, char **argv)
{
	struct settings fresh;

	if (settings_load(&fresh, argc, argv)) {
		fputs("eta-webserver: the settings stay as they were\n", stderr);
		return -EINVAL;
	}
	for (size_t i = 0; i < SETTINGS; i++) {
		void *now = place_of(s, &table[i]), *then = place_of(&fresh, &table[i]);

		if (!table[i].fixed)
			memcpy(now, then, size_of(&table[i]));
		else if (memcmp(now, then, size_of(&table[i])))
			fprintf(stderr, "eta-webserver: %s changes with the next start only\n",
				table[i].name);
	}
	return 0;
}
