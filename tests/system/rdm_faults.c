/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_faults.c - datagram endpoints of several processes, of which some are killed or stopped while
 * every kind of operation is outstanding on them; by libfabric's calls.
 *
 *	rdm_faults			the server, which starts the others and says what it sees
 *	rdm_faults victim PORT		is there, with memory, and receives what has a tag
 *	rdm_faults bystander PORT	talks with the server on PORT until its input ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include "tests/unit/test_host.h"

#define BIG (1u << 20)
#define KEY 77
#define OPS 32
#define VICTIMS 3
#define RECEIVES 16
#define TAG_HELLO 1     /* to a victim */
#define TAG_BYSTANDER 2 /* to the server */
#define DEADLINE_MS 20000

static struct fid_fabric *fabric;
static struct fid_domain *domain;
static struct fid_mr *region;
static struct fid_av *av;
static struct fid_cq *cq;
static struct fid_ep *ep;
static uint8_t memory[BIG], local[BIG];
static const char *self;

static void die(const char *what, long err)
{
	fprintf(stderr, "rdm_faults: %s: %s\n", what, fi_strerror((int)-err));
	exit(1);
}

static void must(const char *what, long err)
{
	if (err < 0)
		die(what, err);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -------------------------------------------------------------------------- endpoints */

static struct fi_info *info_new(const char *port)
{
	struct fi_info *hints = fi_allocinfo(), *info;

	hints->ep_attr->type = FI_EP_RDM;
	hints->caps = FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC;
	hints->addr_format = FI_SOCKADDR_IN;
	hints->fabric_attr->prov_name = strdup("eta");
	must("fi_getinfo",
	     fi_getinfo(FI_VERSION(1, 17), test_host(), port, FI_SOURCE, hints, &info));
	fi_freeinfo(hints);
	return info;
}

/* Returns the port. */
static unsigned endpoint_open(const char *port)
{
	struct fi_info *info = info_new(port);
	struct fi_cq_attr cq_attr = { .format = FI_CQ_FORMAT_TAGGED, .wait_obj = FI_WAIT_UNSPEC };
	struct fi_av_attr av_attr = { 0 };
	struct sockaddr_in name;
	size_t len = sizeof(name);

	must("fi_fabric", fi_fabric(info->fabric_attr, &fabric, NULL));
	must("fi_domain", fi_domain(fabric, info, &domain, NULL));
	must("fi_av_open", fi_av_open(domain, &av_attr, &av, NULL));
	must("fi_cq_open", fi_cq_open(domain, &cq_attr, &cq, NULL));
	must("fi_endpoint", fi_endpoint(domain, info, &ep, NULL));
	must("bind", fi_ep_bind(ep, &av->fid, 0));
	must("bind", fi_ep_bind(ep, &cq->fid, FI_TRANSMIT | FI_RECV));
	must("fi_mr_reg", fi_mr_reg(domain, memory, BIG, FI_REMOTE_READ | FI_REMOTE_WRITE, 0, KEY,
				    0, &region, NULL));
	must("fi_enable", fi_enable(ep));
	must("fi_getname", fi_getname(&ep->fid, &name, &len));
	fi_freeinfo(info);
	return ntohs(name.sin_port);
}

static void endpoint_close(void)
{
	struct fid *all[] = {
		&ep->fid, &region->fid, &cq->fid, &av->fid, &domain->fid, &fabric->fid
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		must("fi_close", fi_close(all[i]));
}

static fi_addr_t address_of(unsigned port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = test_host_addr() };
	fi_addr_t addr;

	if (fi_av_insert(av, &sa, 1, &addr, 0, NULL) != 1)
		die("fi_av_insert", -EINVAL);
	return addr;
}

/* ------------------------------------------------------------------------------ roles */

static int victim(const char *port)
{
	struct fi_cq_tagged_entry e;

	endpoint_open(port);
	for (unsigned i = 0; i < 64; i++)
		must("fi_trecv", fi_trecv(ep, local, 64, NULL, FI_ADDR_UNSPEC, TAG_HELLO, 0, NULL));
	puts("ready");
	fflush(stdout);
	for (;;) {
		ssize_t n = fi_cq_sread(cq, &e, 1, NULL, 100);

		if (n == -FI_EAVAIL) {
			struct fi_cq_err_entry error = { 0 };

			fi_cq_readerr(cq, &error, 0);
		}
		if (getppid() == 1)
			return 1;
	}
}

/* Ends when its parent does. */
static int bystander(const char *port)
{
	struct fi_cq_tagged_entry e;
	fi_addr_t server;

	endpoint_open("0");
	server = address_of((unsigned)atoi(port));
	puts("ready");
	fflush(stdout);
	for (unsigned i = 0; getppid() != 1; i++) {
		uint64_t end = now_ms() + DEADLINE_MS;
		ssize_t n;

		if (i % 4 == 3)
			n = fi_read(ep, local, i % 8 == 3 ? 100 : 100000, NULL, server, 0, KEY,
				    NULL);
		else
			n = fi_tsend(ep, local, i % 4 == 2 ? 100000 : 60, NULL, server,
				     TAG_BYSTANDER, NULL);
		must("the bystander's post", n);
		do
			n = fi_cq_sread(cq, &e, 1, NULL, 100);
		while ((n == -FI_EAGAIN || n == -FI_EINTR) && now_ms() < end && getppid() != 1);
		if (n != 1 && getppid() != 1)
			die("the bystander's operation", n);
	}
	return 0;
}

/* ----------------------------------------------------------------------- the server's */

struct process {
	pid_t pid;
	unsigned port;
	fi_addr_t addr;
};

struct op {
	struct fi_context context;
	bool posted, over, receive;
	int err;
};

static struct op ops[VICTIMS][OPS], receives[RECEIVES], hello;
static uint8_t inbox[RECEIVES][131072];
static unsigned outstanding, failed, from_bystander;

static pid_t start(const char *role, unsigned port)
{
	char text[16], line[16] = "";
	int pipes[2];
	pid_t pid;

	snprintf(text, sizeof(text), "%u", port);
	if (pipe(pipes))
		die("pipe", -errno);
	pid = fork();
	if (!pid) {
		dup2(pipes[1], 1);
		close(pipes[0]);
		close(pipes[1]);
		execl(self, self, role, text, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	if (pid < 0 || read(pipes[0], line, sizeof(line) - 1) <= 0 || strncmp(line, "ready", 5))
		die(role, -ECHILD);
	close(pipes[0]);
	return pid;
}

static void post_receive(unsigned i)
{
	receives[i].receive = true;
	must("fi_trecv", fi_trecv(ep, inbox[i], sizeof(inbox[i]), NULL, FI_ADDR_UNSPEC,
				  TAG_BYSTANDER, 0, &receives[i].context));
}

static void over(struct op *op, int err)
{
	if (op->receive) {
		if (!err) {
			from_bystander++;
			post_receive((unsigned)(op - receives));
			return;
		}
		die("a receive of the server's", -err);
	}
	if (!op->posted || op->over) {
		fprintf(stderr, "rdm_faults: an operation ended twice\n");
		exit(1);
	}
	op->over = true;
	op->err = err;
	outstanding--;
	failed += err != 0;
}

static void progress(void)
{
	struct fi_cq_tagged_entry e;
	struct fi_cq_err_entry error = { 0 };
	ssize_t n = fi_cq_sread(cq, &e, 1, NULL, 20);

	if (n == 1)
		over((struct op *)e.op_context, 0);
	else if (n == -FI_EAVAIL && fi_cq_readerr(cq, &error, 0) == 1)
		over((struct op *)error.op_context, error.err);
	else if (n != -FI_EAGAIN && n != -FI_EINTR && n != -FI_EAVAIL)
		die("fi_cq_sread", n);
}

static ssize_t post_one(fi_addr_t to, unsigned i, void *context)
{
	static uint64_t word = 1, result[VICTIMS * OPS];
	struct iovec iov = { local, 500 };
	struct fi_msg msg = { .msg_iov = &iov, .iov_count = 1, .addr = to, .context = context };

	switch (i % 8) {
	case 0:
		return fi_sendmsg(ep, &msg, FI_DELIVERY_COMPLETE);
	case 1:
		return fi_send(ep, local, BIG, NULL, to, context);
	case 2:
		return fi_write(ep, local, BIG, NULL, to, 0, KEY, context);
	case 3:
		return fi_read(ep, local, BIG, NULL, to, 0, KEY, context);
	case 4:
		return fi_atomic(ep, &word, 1, NULL, to, 0, KEY, FI_UINT64, FI_SUM, context);
	case 5:
		return fi_fetch_atomic(ep, &word, 1, NULL, &result[i], NULL, to, 8, KEY, FI_UINT64,
				       FI_SUM, context);
	case 6:
		return fi_send(ep, local, 1000, NULL, to, context);
	default:
		iov.iov_len = 100000;
		return fi_sendmsg(ep, &msg, FI_DELIVERY_COMPLETE);
	}
}

static void post_all(unsigned v, fi_addr_t to)
{
	memset(ops[v], 0, sizeof(ops[v]));
	for (unsigned i = 0; i < OPS; i++) {
		ssize_t n;

		while ((n = post_one(to, i, &ops[v][i].context)) == -FI_EAGAIN)
			progress();
		must("post", n);
		ops[v][i].posted = true;
		outstanding++;
	}
}

static void all_over(const char *what)
{
	uint64_t begin = now_ms(), last = begin, gap = 0;
	unsigned before = from_bystander, seen = before;

	while (outstanding && now_ms() < begin + DEADLINE_MS) {
		progress();
		if (from_bystander != seen) {
			uint64_t now = now_ms();

			gap = now - last > gap ? now - last : gap;
			last = now;
			seen = from_bystander;
		}
	}
	printf("%s: over after %u ms, %u failed, %u still outstanding; meanwhile %u messages of the "
	       "bystander's, %u ms without at most\n",
	       what, (unsigned)(now_ms() - begin), failed, outstanding, from_bystander - before,
	       (unsigned)gap);
	if (outstanding || !failed)
		exit(1);
	failed = 0;
}

/* Sees a message of ours through. */
static void reach(struct process *p, const char *what)
{
	struct iovec iov = { local, 10 };
	struct fi_msg_tagged msg = { .msg_iov = &iov,
				     .iov_count = 1,
				     .addr = p->addr,
				     .tag = TAG_HELLO,
				     .context = &hello.context };
	uint64_t end = now_ms() + DEADLINE_MS;

	do {
		hello = (struct op){ .posted = true };
		outstanding++;
		must("fi_tsendmsg", fi_tsendmsg(ep, &msg, FI_DELIVERY_COMPLETE));
		while (!hello.over && now_ms() < end)
			progress();
	} while (hello.err && now_ms() < end);
	failed = 0;
	if (!hello.over || hello.err) {
		fprintf(stderr, "rdm_faults: %s: not reached: %s\n", what, fi_strerror(hello.err));
		exit(1);
	}
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Kills after some of the work has been done. */
static void killed(struct process *p)
{
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned v = 0; v < VICTIMS; v++)
			post_all(v, p[v].addr);
		for (unsigned i = 0; i < round * 20; i++)
			progress();
		for (unsigned v = 0; v < VICTIMS; v++)
			end_process(p[v].pid);
		all_over("killed");
		for (unsigned v = 0; v < VICTIMS; v++) {
			p[v].pid = start("victim", p[v].port);
			reach(&p[v], "started again");
		}
	}
}

static void stopped(struct process *p)
{
	unsigned before;

	for (unsigned v = 0; v < VICTIMS; v++)
		kill(p[v].pid, SIGSTOP);
	before = from_bystander;
	for (unsigned v = 0; v < VICTIMS; v++)
		post_all(v, p[v].addr);
	all_over("stopped");
	if (from_bystander - before < 20) {
		fprintf(stderr, "rdm_faults: the bystander was disturbed\n");
		exit(1);
	}
	/* the first goes on, the others are started again */
	kill(p[0].pid, SIGCONT);
	reach(&p[0], "went on");
	for (unsigned v = 1; v < VICTIMS; v++) {
		end_process(p[v].pid);
		p[v].pid = start("victim", p[v].port);
		reach(&p[v], "started again");
	}
}

static int server(void)
{
	static struct process victims[VICTIMS];
	unsigned port = endpoint_open("0");
	pid_t other;

	for (unsigned i = 0; i < RECEIVES; i++)
		post_receive(i);
	other = start("bystander", port);
	for (unsigned v = 0; v < VICTIMS; v++) {
		victims[v].port = 12000 + ((unsigned)getpid() * 7 + v) % 18000;
		victims[v].pid = start("victim", victims[v].port);
		victims[v].addr = address_of(victims[v].port);
		reach(&victims[v], "at first");
	}
	killed(victims);
	stopped(victims);
	killed(victims);
	if (waitpid(other, NULL, WNOHANG)) {
		fprintf(stderr, "rdm_faults: the bystander has failed\n");
		return 1;
	}
	for (unsigned v = 0; v < VICTIMS; v++)
		end_process(victims[v].pid);
	end_process(other);
	endpoint_close();
	printf("ok\n");
	return 0;
}

int main(int argc, char **argv)
{
	self = "/proc/self/exe";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "victim"))
		return victim(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "bystander"))
		return bystander(argv[2]);
	return server();
}
