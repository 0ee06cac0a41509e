/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * web.h - what the web commands share: the servers that are compared, and the load on them.
 *
 * All servers of a measurement run at the same time, pinned to the first core with all their
 * threads; those that are not asked just then sleep. The load comes from the second core.
 */
#ifndef BENCH_WEB_H
#define BENCH_WEB_H

#include "bench.h"

#define WEB_SERVERS 5
#define WEB_CONNECTIONS 12000 /* that each server is set up for, unless more are asked for */
#define WEB_STATUS "/eta-status"

enum web_kind { WEB_ETA, WEB_NGINX, WEB_H2O };

struct web_server {
	enum web_kind kind;
	char name[24]; /* nginx, h2o, eta, or eta-BACKEND */
	char aio[16];  /* back end of eta's server; "" if it has no choice */
	bool status;   /* its counters are at WEB_STATUS */
	int port;
	pid_t pid;         /* <= 0: it does not run, and */
	char missing[100]; /* says why */
};

struct web_set {
	char dir[64]; /* configuration, files that are served (in root/), what the servers say */
	int connections;
	int n;
	struct web_server at[WEB_SERVERS];
};

/*
 * Makes the folder and starts the servers chosen, eta's with its counters if it has them and
 * @status. -1: none runs (and not_run() said so).
 */
int web_open(struct web_set *set, int connections, bool status);
/* Stops the servers and removes the folder. */
void web_close(struct web_set *set);
bool web_runs(const struct web_server *s);
/* The first of its kind; NULL if it does not run. */
struct web_server *web_find(struct web_set *set, enum web_kind kind);
/* Prints which servers there are, and why others are not. */
void web_describe(const struct web_set *set);

/* web_config.c. 0, or -1 with the reason in s->missing. */
int web_make_folder(struct web_set *set);
void web_remove_folder(const struct web_set *set);
int web_write_config(const struct web_set *set, struct web_server *s);

/* Is @word one of those in @list, which has commas between? An empty list has all. */
bool web_listed(const char *list, const char *word);
/* As many files as @wanted for this process and those that it starts, if it may. */
long web_files(long wanted);

/* ----------------------------------------------------------------------------- the load */

struct web_case {
	const char *name, *what;
	const char *file;
	long size;
	int connections;
	bool close; /* a connection for each request */
	/* Targets of eta's server, 0: none. Of time and p99: at most; of rate: at least. */
	double time_nginx, time_h2o, rate_nginx;
	bool near; /* the limit is near 1: judged by the better quartile */
};
#define WEB_CASES 4
extern const struct web_case web_cases[WEB_CASES];

/* Ticks of the cores since the machine started. */
struct core_ticks {
	int64_t busy, steal, all;
};
int core_ticks(int core, struct core_ticks *out);

struct web_run {
	int64_t requests;
	double seconds;
	double core_us,
		process_us; /* per request: busy time of the core; of the server's threads */
	double rate;
	double p50_us, p99_us;
	double busy[2], steal; /* shares of the cores */
	char errors[100];      /* "" is how it has to be */
};

/* Loads @s with wrk. -1: it could not be measured, r->errors says why. */
int web_load(const struct web_server *s, const struct web_case *c, double seconds,
	     struct web_run *r);

/* ------------------------------------------------------------------------------ web_http.c */

/* A non-blocking socket that is being connected, of its own address each 20,000; -1. */
int web_connect(const struct web_server *s, int number);
/* The text of a request for @path; its length. */
int web_request(char *text, size_t size, const char *path);
/*
 * Gets @path on a connection of its own. Returns the bytes of the response with its header, of
 * which @out has the first; -1 if it is not of status 200, or does not come whole.
 */
long web_get(const struct web_server *s, const char *path, char *out, size_t size);

#endif
