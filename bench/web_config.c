/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* web_config.c - a folder with what the servers serve, and configurations as their users have. */
#include <ftw.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "web.h"

/* ------------------------------------------------------------------------------ folder */

static int write_file(const char *dir, const char *name, long size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/root/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		return -1;
	/* nothing that compresses to little, should one of them try */
	for (long i = 0; i < size; i++)
		putc((int)(random_fraction() * 256), f);
	return fclose(f) || chmod(path, 0644) ? -1 : 0;
}

int web_make_folder(struct web_set *set)
{
	const char *parent = getenv("TMPDIR");
	char path[128];

	if (!parent || strlen(parent) > sizeof(set->dir) - 24)
		parent = "/tmp";
	snprintf(set->dir, sizeof(set->dir), "%s/eta-bench-web.XXXXXX", parent);
	if (!mkdtemp(set->dir))
		return -1;
	snprintf(path, sizeof(path), "%s/root", set->dir);
	/* a server that gives up root must still find its files */
	if (chmod(set->dir, 0755) || mkdir(path, 0755) || chmod(path, 0755))
		return -1;
	for (int i = 0; i < WEB_CASES; i++)
		if (write_file(set->dir, web_cases[i].file, web_cases[i].size))
			return -1;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
	(void)st;
	(void)flag;
	(void)walk;
	remove(path);
	return 0;
}

void web_remove_folder(const struct web_set *set)
{
	nftw(set->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ----------------------------------------------------------------------- configurations */

/* No master process: it would only wait, and this one is stopped by its process id. */
static void write_nginx(FILE *f, const struct web_set *set, const struct web_server *s)
{
	static const char *const kinds[] = { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" };

	fprintf(f,
		"daemon off;\nmaster_process off;\nworker_processes 1;\n"
		"pid %s/nginx.pid;\nerror_log %s/nginx.log crit;\n"
		"events {\n\tworker_connections %d;\n\tuse epoll;\n\tmulti_accept on;\n}\n"
		"http {\n\taccess_log off;\n\tsendfile %s;\n\ttcp_nopush on;\n\ttcp_nodelay on;\n"
		"\tkeepalive_timeout 3600s;\n\tkeepalive_requests 1000000000;\n"
		"\topen_file_cache max=1000 inactive=1h;\n\topen_file_cache_valid 1h;\n"
		"\topen_file_cache_min_uses 1;\n\tdefault_type application/octet-stream;\n",
		set->dir, set->dir, set->connections + 64, opt.nginx_copies ? "off" : "on");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(f, "\t%s_temp_path %s/nginx-%s;\n", kinds[i], set->dir, kinds[i]);
	fprintf(f, "\tserver {\n\t\tlisten 127.0.0.1:%d backlog=4096;\n\t\troot %s/root;\n\t}\n}\n",
		s->port, set->dir);
}

/* It caches open files without being told; limits of requests per connection it has none. */
static void write_h2o(FILE *f, const struct web_set *set, const struct web_server *s)
{
	const struct passwd *user = geteuid() ? NULL : getpwuid(0);

	/* else it becomes another user, and would not end if this program were killed */
	if (user)
		fprintf(f, "user: %s\n", user->pw_name);
	fprintf(f,
		"num-threads: 1\nmax-connections: %d\nlisten:\n  host: 127.0.0.1\n  port: %d\n"
		"http1-request-timeout: 3600\nerror-log: %s/h2o-errors.log\n"
		"file.mime.setdefaulttype: application/octet-stream\n"
		"hosts:\n  default:\n    paths:\n      \"/\":\n        file.dir: %s/root\n"
		"        file.send-compressed: OFF\n",
		set->connections + 64, s->port, set->dir, set->dir);
}

int web_write_config(const struct web_set *set, struct web_server *s)
{
	char path[128];
	FILE *f;

	if (s->kind == WEB_ETA)
		return 0;
	snprintf(path, sizeof(path), "%s/%s.conf", set->dir, s->name);
	f = fopen(path, "w");
	if (f && s->kind == WEB_NGINX)
		write_nginx(f, set, s);
	else if (f)
		write_h2o(f, set, s);
	if (f && !fclose(f))
		return 0;
	snprintf(s->missing, sizeof(s->missing), "cannot write %.80s", path);
	return -1;
}
