/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bench.h - what the subcommands of eta-bench share: options, statistics, verdicts, processes.
 *
 * A figure that is compared with a target goes through judge(), which prints it, remembers it for
 * the summary and settles the exit status. What could not be measured says so by not_run().
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* -------------------------------------------------------------------------- options */

#define LIST_MAX 16

struct list_of_numbers {
	int n;
	double at[LIST_MAX];
	bool given; /* by the user */
};

struct options {
	/* all */
	const char *provider_path, *provider, *reference, *plot_dir;
	int cores[2];
	/* pingpong */
	const char *fi_pingpong;
	int pairs, size_pairs, iterations;
	struct list_of_numbers sizes;
	double max_ratio;
	/* post */
	int windows, burst;
	double max_post_ns;
	/* idle */
	double seconds, max_idle_percent, max_poll_percent;
	/* takeover */
	int rounds, messages; /* rounds 0: as many as the command likes */
	struct list_of_numbers phases_ms;
	bool engine_free;
	double short_ms, max_takeover_ms, max_takeover_short_ms, max_latency_us;
	/* late-send */
	int repetitions;
	double compute_ms, max_late_us;
	/* memory */
	int connections, endpoints;
	double max_bytes;
	/* rdm-*; some have options of the above, too */
	const char *peer_libs, *peer_provider;
	double run_ms, max_rdm_ratio, min_rate_ratio, min_bw_ratio;
	struct list_of_numbers outstanding, stopped_ms;
	int acks_behind, progress_rounds, peers, setup_peers;
	/* web*; some have options of the above, too */
	const char *servers, *aio, *cases, *webserver, *nginx, *h2o, *wrk;
	int active;
	bool nginx_copies;
	/* receive, which has options of the above, too */
	struct list_of_numbers streams;
	bool one_way;
};
extern struct options opt;

struct command {
	const char *name;
	int (*run)(void); /* 0: measured; -1: could not run, and not_run() said why */
	const char *what;
};
extern const struct command commands[]; /* ends with a NULL name */

/* The command named, parsed options in opt. Ends the program on --help and on errors. */
const struct command *options_parse(int argc, char **argv);

/* ----------------------------------------------------------------------- statistics */

/* Sorts @v. */
void sort(double *v, int n);
/* Of sorted values, between neighbours by proportion. */
double quantile(const double *sorted, int n, double q);

struct quartiles {
	double low, median, high;
};
/* Sorts @v. */
struct quartiles quartiles_of(double *v, int n);

/* -------------------------------------------------------------------------- verdicts */

/* Is @value within @limit? Prints and remembers it. */
bool judge(double value, double limit, const char *unit, const char *what, ...)
	__attribute__((format(printf, 4, 5)));
/* Does @value reach @limit? */
bool judge_least(double value, double limit, const char *unit, const char *what, ...)
	__attribute__((format(printf, 4, 5)));
/* Always -1. */
int not_run(const char *why, ...) __attribute__((format(printf, 1, 2)));
/* Prints all verdicts; returns the exit status: 0 all met, 1 one missed, 2 one could not run. */
int summary(void);
void heading(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* --------------------------------------------------------------------------- machine */

void machine_describe(void);
/* False when a core is not there. */
bool cores_usable(void);
int pin_to(int core);
void unpin(void);
/* A TCP port of 127.0.0.1 that nothing listened on just now; -1. */
int free_port(void);
bool port_is_listening(int port);
/* All -1 when they cannot be read. */
int64_t smaps_bytes(const char *field);
int64_t smaps_bytes_of(pid_t pid, const char *field);
long limit_of_files(void);

/* Processor time of a process's threads. */
struct cpu_time {
	int64_t main_ns, others_ns;
	int threads;
	char names[128]; /* of the others */
};
int cpu_time_of(pid_t pid, struct cpu_time *out);

int64_t now_ns(void);
void sleep_ns(int64_t ns);
/* Something that an application might be doing, which calls nothing. */
void compute_a_little(void);
void compute_until(int64_t when_ns);
/* 0 <= result < 1; the same sequence in each run. */
double random_fraction(void);

/* ------------------------------------------------------------------------- processes */

/* Memory that both roles and the parent see. */
void *shared_alloc(size_t size);
void shared_free(void *p, size_t size);

/*
 * Two processes, each on its core, with a socket between them (@ctrl) for what they must tell each
 * other before the measurement. A role returns 0, or anything else if it failed (having said why).
 */
struct roles {
	int (*role[2])(void *arg, int ctrl);
	void *arg;
	bool unpinned;
	/* roles_start fills in: */
	pid_t pid[2];
};
int roles_start(struct roles *r);
/* 0: both succeeded. Ends what has not ended after @seconds, or when the other failed. */
int roles_wait(struct roles *r, double seconds);
void roles_kill(struct roles *r);
int roles_run(struct roles *r, double seconds);

/* 0, or -1. */
int ctrl_send(int ctrl, const void *buf, size_t len);
int ctrl_recv(int ctrl, void *buf, size_t len);
/* Both roles are here. */
int ctrl_meet(int ctrl);

/* A foreign program, on @core, its output to @out_fd. */
pid_t program_start(char *const argv[], int core, int out_fd);
/* Its exit status; -1: it did not end within @seconds (and was killed), or by a signal. */
int program_wait(pid_t pid, double seconds);

/* ------------------------------------------------------------------------------ plots */

/*
 * With --plot DIR: DIR/name.dat is open for columns; plot_end() writes DIR/name.gp, which begins
 * with terminal and output and ends with @script, and runs gnuplot. @script names the data as
 * DATA. Without --plot: NULL, and nothing.
 */
FILE *plot_begin(const char *name, const char *columns);
void plot_end(FILE *dat, const char *name, const char *script);

/* --------------------------------------------------------------------------- commands */

int pingpong_run(void);
int post_run(void);
int idle_run(void);
int takeover_run(void);
int late_send_run(void);
int memory_run(void);

int rdm_pingpong_run(void);
int rdm_rate_run(void);
int rdm_post_run(void);
int rdm_bw_run(void);
int rdm_progress_run(void);
int rdm_dc_run(void);
int rdm_setup_run(void);

int web_run(void);
int web_idle_run(void);
int web_calls_run(void);

int receive_run(void);

/* rdm_late.c: part of rdm_progress_run() */
int rdm_late_run(void);
/* memory_fi.c: part of memory_run() */
int memory_endpoints(void);

#endif
