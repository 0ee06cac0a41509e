/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* main.c - eta-bench: one program, a subcommand for each target. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "rdm.h"

/* One that could not run does not keep the others from running. */
static int run_all(void)
{
	int err = 0;

	for (const struct command *c = commands; c->name; c++)
		if (c->run != run_all && c->run())
			err = -1;
	return err;
}

const struct command commands[] = {
	{ "pingpong", pingpong_run,
	  "64 B fi_pingpong, eta beside tcp and a bare TCP loop; by size" },
	{ "post", post_run, "what posting a 64 B send costs the caller" },
	{ "idle", idle_run, "processor time of processes that do nothing, or poll now and then" },
	{ "takeover", takeover_run, "an application stops polling: when does the engine step in?" },
	{ "late-send", late_send_run, "a send, then computing: when does the peer have it?" },
	{ "memory", memory_run, "user memory of idle connections" },
	{ "rdm-pingpong", rdm_pingpong_run, "RDM: tagged round trips of 64 B, and by size" },
	{ "rdm-rate", rdm_rate_run, "RDM: tagged messages of 64 B one way, by window" },
	{ "rdm-post", rdm_post_run, "RDM: what posting a tagged send costs the caller" },
	{ "rdm-bw", rdm_bw_run, "RDM: tagged messages of 1 MiB one way" },
	{ "rdm-progress", rdm_progress_run,
	  "RDM: reads and atomics on a target that computes; a late send" },
	{ "rdm-dc", rdm_dc_run, "RDM: latency and rate with FI_DELIVERY_COMPLETE" },
	{ "rdm-setup", rdm_setup_run, "RDM: first messages to fresh peers; memory of each" },
	{ "web", web_run, "eta-webserver beside nginx and h2o: processor time per request" },
	{ "web-idle", web_idle_run, "web servers with 10,000 connections: memory, latency" },
	{ "web-calls", web_calls_run, "web servers: system calls per request" },
	{ "receive", receive_run, "small messages of many connections: by epoll or by a ring?" },
	{ "all", run_all, "all of these, one after the other" },
	{ NULL, NULL, NULL },
};

/* Providers are found beside this program unless the user says where: bin/../lib. */
static void set_provider_path(void)
{
	char path[4096];
	ssize_t n;
	char *slash;

	if (opt.provider_path) {
		setenv("FI_PROVIDER_PATH", opt.provider_path, 1);
		return;
	}
	if (getenv("FI_PROVIDER_PATH"))
		return;
	n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	if (n <= 0)
		return;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return;
	strcpy(slash, "/../lib");
	setenv("FI_PROVIDER_PATH", path, 1);
}

int main(int argc, char **argv)
{
	const struct command *c;

	if (argc > 1 && !strcmp(argv[1], "rdm-role"))
		return rdm_role_main(argc, argv);
	c = options_parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	set_provider_path();
	machine_describe();
	if (!cores_usable()) {
		not_run("cores %d and %d are not both there to run on", opt.cores[0], opt.cores[1]);
		return summary();
	}
	c->run();
	return summary();
}
