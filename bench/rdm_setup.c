/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_setup.c - many peers: how fast first messages reach fresh endpoints, and what a peer costs in
 * memory.
 *
 * The server opens many endpoints, on one domain, AV and CQ, with a receive posted on each; the
 * client has one, and sends one message to each. The time runs from the client's first send until
 * the server has them all: whatever the provider does to reach a new peer lies in it. At most 64
 * messages are under way.
 *
 * Memory is what the resident set (RSS) grows by while messages reach all but the first 16 peers,
 * which belong to the baseline: pools that grow in large steps have made their first. The server's
 * endpoints ask for short queues, the client's has the provider's default. When they would take
 * more than 3 GiB, or a quarter of the machine's memory, there are fewer: the row says how many.
 */
#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "fi.h"
#include "link.h"
#include "rdm.h"

#define AT_A_TIME 64
#define NAME_BYTES 64
#define MEMORY 4096
#define SERVER_QUEUE 64
#define FIRST_ONES 16 /* before the baseline */
/* Without a limit a provider with 64 MiB for each endpoint takes the machine down. */
#define RSS_MAX (INT64_C(3) << 30)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static int64_t rss_limit(void)
{
	int64_t quarter = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 4;

	return quarter > 0 && quarter < RSS_MAX ? quarter : RSS_MAX;
}

/* If all else fails: not everything survives this. Sanitizers need all addresses. */
static void limit_memory(void)
{
	struct rlimit r = { (rlim_t)rss_limit() * 2, (rlim_t)rss_limit() * 2 };

	if (SANITIZED)
		return;
	if (setrlimit(RLIMIT_AS, &r))
		die("the memory of this process cannot be limited");
}

static void register_memory(struct rdm *r)
{
	fi_must(fi_mr_reg(r->domain, r->memory, r->memory_size, FI_SEND | FI_RECV, 0, 7, 0, &r->mr,
			  NULL),
		"fi_mr_reg");
	r->desc = fi_mr_desc(r->mr);
}

/* --------------------------------------------------------------------------- the server */

/* All receives share their memory: its content does not matter. */
static bool open_one(struct rdm *r, struct rdm_job *j, char *name)
{
	size_t len = NAME_BYTES;

	if (!rdm_open_endpoint(r, j, &r->ep))
		return false;
	fi_must(fi_getname(&r->ep->fid, name, &len), "fi_getname");
	while (!rdm_recv(r, r->memory, RDM_MESSAGE))
		rdm_poll(r);
	return true;
}

/* As many as there is memory for, the step before being the measure of the next. */
static int open_endpoints(struct rdm *r, struct rdm_job *j, char *names)
{
	int64_t rss = smaps_bytes("Rss"), before = rss;
	int n = 0;

	while (n < j->peers && rss + (rss - before) < rss_limit() &&
	       open_one(r, j, names + (size_t)n * NAME_BYTES)) {
		n++;
		before = rss;
		rss = smaps_bytes("Rss");
	}
	if (n > FIRST_ONES)
		j->na[0] = '\0';
	else if (!j->na[0])
		rdm_na(j, "its endpoints take too much memory: only %d fit", n);
	return n;
}

static bool prepare(struct rdm *r, struct rdm_job *j, char *names)
{
	const struct rdm_want want = { .memory = MEMORY, .queue = SERVER_QUEUE };

	/* ofi_rxm takes the depth from there only */
	setenv("FI_OFI_RXM_MSG_RX_SIZE", "64", 0);
	limit_of_files();
	limit_memory();
	if (!rdm_open_domain(r, j, &want))
		return false;
	register_memory(r);
	j->rss[0][0] = smaps_bytes("Rss");
	j->reached = open_endpoints(r, j, names);
	j->rss[0][1] = smaps_bytes("Rss");
	return j->reached > FIRST_ONES;
}

/* Thousands of endpoints end with the process. */
int rdm_setup_server(struct rdm_job *j, int ctrl)
{
	size_t size = (size_t)j->peers * NAME_BYTES;
	struct rdm r = { .length = RDM_MESSAGE };
	char *names = calloc(1, size);

	if (!names)
		die("no memory");
	if (!rdm_agree(j, prepare(&r, j, names), ctrl))
		_exit(0);
	if (ctrl_send(ctrl, names, size))
		die("the client is gone");
	rdm_wait_received(&r, FIRST_ONES);
	j->rss[0][2] = smaps_bytes("Rss");
	rdm_meet(&r, ctrl);
	rdm_wait_received(&r, (uint64_t)j->reached);
	atomic_store(&j->stopped_at, now_ns());
	rdm_meet(&r, ctrl);
	j->rss[0][3] = smaps_bytes("Rss");
	rdm_meet(&r, ctrl);
	_exit(0);
}

/* --------------------------------------------------------------------------- the client */

/*
 * One message to each, a few at a time. A provider may ask to try again while it connects, so that
 * the others of the group have their turn meanwhile.
 */
static void send_to_group(struct rdm *r, const fi_addr_t *peers, int n)
{
	bool done[AT_A_TIME] = { false };
	int left = n;

	while (left) {
		for (int i = 0; i < n; i++) {
			r->peer = peers[i];
			if (done[i] || rdm_try_send(r, r->memory, RDM_MESSAGE))
				continue;
			done[i] = true;
			left--;
		}
		rdm_poll(r);
	}
	rdm_wait_sent(r, r->sends);
}

static void send_to(struct rdm *r, const fi_addr_t *peers, int n)
{
	for (int first = 0; first < n; first += AT_A_TIME)
		send_to_group(r, peers + first, n - first < AT_A_TIME ? n - first : AT_A_TIME);
}

static void insert(struct rdm *r, const char *names, fi_addr_t *peers, int from, int to)
{
	for (int i = from; i < to; i++)
		if (fi_av_insert(r->av, names + (size_t)i * NAME_BYTES, 1, &peers[i], 0, NULL) != 1)
			die("fi_av_insert: address %d was not taken", i + 1);
}

static void meet_peers(struct rdm *r, struct rdm_job *j, int ctrl, const char *names,
		       fi_addr_t *peers)
{
	int rest = j->reached - FIRST_ONES;
	int64_t start;

	insert(r, names, peers, 0, FIRST_ONES);
	send_to(r, peers, FIRST_ONES);
	rdm_meet(r, ctrl);
	j->rss[1][2] = smaps_bytes("Rss");
	insert(r, names, peers, FIRST_ONES, j->reached);
	start = now_ns();
	send_to(r, peers + FIRST_ONES, rest);
	rdm_meet(r, ctrl);
	j->result = rest * 1e9 / (double)(atomic_load(&j->stopped_at) - start);
	j->rss[1][3] = smaps_bytes("Rss");
	rdm_meet(r, ctrl);
}

int rdm_setup_client(struct rdm_job *j, int ctrl)
{
	const struct rdm_want want = { .memory = MEMORY };
	size_t size = (size_t)j->peers * NAME_BYTES;
	char *names = malloc(size);
	fi_addr_t *peers = malloc((size_t)j->peers * sizeof(*peers));
	struct rdm r = { .length = 0 };
	bool able;

	if (!names || !peers)
		die("no memory");
	/* touched, so that it belongs to the baseline */
	memset(peers, 0xff, (size_t)j->peers * sizeof(*peers));
	limit_of_files();
	limit_memory();
	able = rdm_open_domain(&r, j, &want) && rdm_open_endpoint(&r, j, &r.ep);
	if (able)
		register_memory(&r);
	if (!rdm_agree(j, able, ctrl))
		_exit(0);
	if (ctrl_recv(ctrl, names, size))
		die("the server is gone");
	meet_peers(&r, j, ctrl, names, peers);
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

static double kib(const struct rdm_job *j, int role, int from, int n)
{
	return (double)(j->rss[role][from + 1] - j->rss[role][from]) / 1024 / n;
}

static int memory(struct rdm_job *j, enum rdm_who who)
{
	if (!rdm_has(who))
		return 0;
	if (rdm_job_run(j, who, 120))
		return not_run("rdm-setup: %d peers of %s", j->peers, rdm_label(who));
	if (!j->na[0]) {
		int grown = j->reached - FIRST_ONES;

		printf("  %8d %12.1f %12.1f %12.1f   %s\n", j->reached, kib(j, 1, 2, grown),
		       kib(j, 0, 2, grown), kib(j, 0, 0, j->reached), j->about);
		return 0;
	}
	printf("  %8s %s\n", "n/a:", j->na);
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
		printf("\n  memory, KiB of RSS for each of up to %d peers\n", j->peers);
		printf("  %8s %12s %12s %12s   %s\n", "peers", "client: peer", "server: peer",
		       "its endpoint", "provider;protocol");
		err |= memory(j, RDM_OURS);
		err |= memory(j, RDM_REFERENCE);
		err |= memory(j, RDM_PEER);
	}
	rdm_job_free(j);
	return err;
}
