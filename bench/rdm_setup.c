/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_setup.c - many peers: how fast first messages reach fresh endpoints, and what a peer costs in
 * memory.
 *
 * The server opens many endpoints, on one domain, AV and CQ, with a receive posted on each; the
 * client has one, and sends one message to each. The time runs from the client's first send until
 * the server has them all: whatever the provider does to reach a new peer lies in it. At most 64
 * messages are under way. Memory is the resident set (RSS): of the client from before the addresses
 * are inserted until all messages are through, of the server from when its endpoints were ready.
 */
#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "fi.h"
#include "link.h"
#include "rdm.h"

#define AT_A_TIME 64
#define NAME_BYTES 64
#define MEMORY 4096

static const struct rdm_want want = { .memory = MEMORY };

static void register_memory(struct rdm *r)
{
	fi_must(fi_mr_reg(r->domain, r->memory, r->memory_size, FI_SEND | FI_RECV, 0, 7, 0, &r->mr,
			  NULL),
		"fi_mr_reg");
	r->desc = fi_mr_desc(r->mr);
}

/* --------------------------------------------------------------------------- the server */

/* All receives share their memory: its content does not matter. */
static bool open_endpoints(struct rdm *r, struct rdm_job *j, char *names)
{
	for (int i = 0; i < j->peers; i++) {
		size_t len = NAME_BYTES;

		if (!rdm_open_endpoint(r, j, &r->ep)) {
			size_t used = strlen(j->na);

			snprintf(j->na + used, sizeof(j->na) - used, " at endpoint %d", i + 1);
			return false;
		}
		fi_must(fi_getname(&r->ep->fid, names + (size_t)i * NAME_BYTES, &len),
			"fi_getname");
		while (!rdm_recv(r, r->memory, RDM_MESSAGE))
			rdm_poll(r);
	}
	return true;
}

/* Thousands of endpoints end with the process. */
int rdm_setup_server(struct rdm_job *j, int ctrl)
{
	size_t size = (size_t)j->peers * NAME_BYTES;
	char *names = calloc(1, size);
	struct rdm r = { .length = RDM_MESSAGE };
	bool able;

	limit_of_files();
	able = names && rdm_open_domain(&r, j, &want);
	if (able) {
		register_memory(&r);
		j->rss[0][0] = smaps_bytes("Rss");
		able = open_endpoints(&r, j, names);
	}
	if (!rdm_agree(j, able, ctrl))
		_exit(0);
	if (ctrl_send(ctrl, names, size))
		die("the client is gone");
	j->rss[0][1] = smaps_bytes("Rss");
	rdm_wait_received(&r, (uint64_t)j->peers);
	atomic_store(&j->stopped_at, now_ns());
	rdm_meet(&r, ctrl);
	j->rss[0][2] = smaps_bytes("Rss");
	rdm_meet(&r, ctrl);
	_exit(0);
}

/* --------------------------------------------------------------------------- the client */

/*
 * One message to each, a few at a time. A provider may ask to try again while it connects, so that
 * the others of the group have their turn meanwhile.
 */
static void send_to_all(struct rdm *r, const fi_addr_t *peers, int n)
{
	bool done[AT_A_TIME];

	for (int first = 0; first < n; first += AT_A_TIME) {
		int group = n - first < AT_A_TIME ? n - first : AT_A_TIME, left = group;

		memset(done, 0, sizeof(done));
		while (left) {
			for (int i = 0; i < group; i++) {
				r->peer = peers[first + i];
				if (done[i] || rdm_try_send(r, r->memory, RDM_MESSAGE))
					continue;
				done[i] = true;
				left--;
			}
			rdm_poll(r);
		}
		rdm_wait_sent(r, r->sends);
	}
}

static void meet_peers(struct rdm *r, struct rdm_job *j, int ctrl, char *names, fi_addr_t *peers)
{
	if (ctrl_recv(ctrl, names, (size_t)j->peers * NAME_BYTES))
		die("the server is gone");
	j->rss[1][1] = smaps_bytes("Rss");
	for (int i = 0; i < j->peers; i++)
		if (fi_av_insert(r->av, names + (size_t)i * NAME_BYTES, 1, &peers[i], 0, NULL) != 1)
			die("fi_av_insert: address %d was not taken", i + 1);
}

int rdm_setup_client(struct rdm_job *j, int ctrl)
{
	char *names = malloc((size_t)j->peers * NAME_BYTES);
	fi_addr_t *peers = malloc((size_t)j->peers * sizeof(*peers));
	struct rdm r = { .length = 0 };
	int64_t start;
	bool able;

	limit_of_files();
	if (!names || !peers)
		die("no memory");
	memset(peers, 0xff, (size_t)j->peers * sizeof(*peers));
	able = rdm_open_domain(&r, j, &want) && rdm_open_endpoint(&r, j, &r.ep);
	if (able)
		register_memory(&r);
	if (!rdm_agree(j, able, ctrl))
		_exit(0);
	meet_peers(&r, j, ctrl, names, peers);
	start = now_ns();
	send_to_all(&r, peers, j->peers);
	rdm_meet(&r, ctrl);
	j->result = j->peers * 1e9 / (double)(atomic_load(&j->stopped_at) - start);
	j->rss[1][2] = smaps_bytes("Rss");
	rdm_meet(&r, ctrl);
	_exit(0);
}

/* ------------------------------------------------------------------------------ results */

static int rate(struct rdm_job *j)
{
	static struct rdm_comparison c = { .name = "rdm-setup: first messages",
					   .unit = "peers/s",
					   .scale = 1 };

	j->peers = opt.setup_peers;
	c.rounds = opt.size_pairs;
	if (rdm_compare(&c, j))
		return -1;
	return c.na[RDM_OURS][0] ? rdm_no_ratio(&c) : 0;
}

static double kib_each(const struct rdm_job *j, int role, int from)
{
	return (double)(j->rss[role][from + 1] - j->rss[role][from]) / 1024 / j->peers;
}

static int memory(struct rdm_job *j, enum rdm_who who)
{
	if (!rdm_has(who))
		return 0;
	if (rdm_job_run(j, who, 120))
		return not_run("rdm-setup: %d peers of %s", j->peers, rdm_label(who));
	if (!j->na[0]) {
		printf("  %12.1f %12.1f %12.1f   %s\n", kib_each(j, 1, 1), kib_each(j, 0, 1),
		       kib_each(j, 0, 0), j->about);
		return 0;
	}
	printf("  n/a: %s\n", j->na);
	return who == RDM_OURS ? not_run("rdm-setup: memory, n/a, %s", j->na) : 0;
}

int rdm_setup_run(void)
{
	struct rdm_job *j = rdm_job_alloc(RDM_SETUP);
	int err;

	heading("rdm-setup: one message from one endpoint to each of %d fresh ones; for information",
		opt.setup_peers);
	err = rate(j);
	j->peers = opt.peers;
	if (j->peers > 0) {
		printf("\n  memory with %d peers, KiB of RSS for each\n", j->peers);
		printf("  %12s %12s %12s   %s\n", "client: peer", "server: peer", "endpoint",
		       "provider;protocol");
		err |= memory(j, RDM_OURS);
		err |= memory(j, RDM_REFERENCE);
		err |= memory(j, RDM_PEER);
	}
	rdm_job_free(j);
	return err;
}
