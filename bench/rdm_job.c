/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* rdm_job.c - running a job: two processes, each this program started anew. */
#include <fcntl.h>
#include <rdma/fabric.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"
#include "link.h"
#include "rdm.h"

static rdm_role *const roles_of[RDM_TESTS][2] = {
	[RDM_PINGPONG] = { rdm_pingpong_server, rdm_pingpong_client },
	[RDM_STREAM] = { rdm_stream_receiver, rdm_stream_sender },
	[RDM_POST] = { rdm_post_receiver, rdm_post_sender },
	[RDM_PROGRESS] = { rdm_progress_target, rdm_progress_initiator },
	[RDM_LATE] = { rdm_late_receiver, rdm_late_sender },
	[RDM_SETUP] = { rdm_setup_server, rdm_setup_client },
	[RDM_DELIVERY] = { rdm_delivery_receiver, rdm_delivery_sender },
};

/* --------------------------------------------------------------------------- the memory */

static int memory_fd = -1; /* of the one job that there is at a time */

static void *map(int fd)
{
	void *p = mmap(NULL, sizeof(struct rdm_job), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		perror("eta-bench: shared memory");
		exit(2);
	}
	return p;
}

struct rdm_job *rdm_job_alloc(enum rdm_test test)
{
	struct rdm_job *j;

	memory_fd = memfd_create("eta-bench", MFD_CLOEXEC);
	if (memory_fd < 0 || ftruncate(memory_fd, sizeof(*j))) {
		perror("eta-bench: shared memory");
		exit(2);
	}
	j = map(memory_fd);
	j->test = test;
	j->run_ms = opt.run_ms;
	return j;
}

void rdm_job_free(struct rdm_job *j)
{
	munmap(j, sizeof(*j));
	close(memory_fd);
	memory_fd = -1;
}

/* ----------------------------------------------------------------------------- the rows */

bool rdm_has(enum rdm_who who)
{
	return who != RDM_PEER || opt.peer_libs;
}

static const char *provider_of(enum rdm_who who)
{
	if (who == RDM_OURS)
		return opt.provider;
	return who == RDM_PEER && opt.peer_provider ? opt.peer_provider : opt.reference;
}

const char *rdm_label(enum rdm_who who)
{
	static char text[80];

	snprintf(text, sizeof(text), "%s%s", provider_of(who), who == RDM_PEER ? " (peer)" : "");
	return text;
}

/* ------------------------------------------------------------------------ starting them */

/* The peer's libraries come first, the user's own stay behind. */
static void use_libraries(const char *dir)
{
	const char *before = getenv("LD_LIBRARY_PATH");
	char path[8192];

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s%s%s", dir, before && *before ? ":" : "",
		 before ? before : "");
	setenv("LD_LIBRARY_PATH", path, 1);
}

static void keep_open(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

static int start(const char *role, enum rdm_who who, int ctrl)
{
	char memory[16], control[16];

	snprintf(memory, sizeof(memory), "%d", memory_fd);
	snprintf(control, sizeof(control), "%d", ctrl);
	keep_open(memory_fd);
	keep_open(ctrl);
	use_libraries(who == RDM_PEER ? opt.peer_libs : NULL);
	execl("/proc/self/exe", "eta-bench", "rdm-role", role, memory, control, NULL);
	perror("eta-bench: starting itself");
	return -1;
}

/* In the process that becomes the role, on its core already. */
static int start_0(void *arg, int ctrl)
{
	return start("0", *(enum rdm_who *)arg, ctrl);
}

static int start_1(void *arg, int ctrl)
{
	return start("1", *(enum rdm_who *)arg, ctrl);
}

static void reset(struct rdm_job *j, enum rdm_who who)
{
	snprintf(j->provider, sizeof(j->provider), "%s", provider_of(who));
	j->about[0] = j->na[0] = '\0';
	j->result = 0;
	j->lost = 0;
	j->first.n = j->values.n = 0;
	memset(j->rss, 0, sizeof(j->rss));
	atomic_store(&j->state, 0);
	atomic_store(&j->stopped_at, 0);
	for (int i = 0; i < 64; i++)
		atomic_store(&j->seen[i], 0);
}

int rdm_job_run(struct rdm_job *j, enum rdm_who who, double seconds)
{
	struct roles r = { { start_0, start_1 }, &who, .pid = { 0 } };

	reset(j, who);
	return roles_run(&r, seconds);
}

int rdm_role_main(int argc, char **argv)
{
	struct rdm_job *j;
	int which;

	if (argc != 5)
		return 2;
	prctl(PR_SET_NAME, "eta-bench");
	which = atoi(argv[2]) == 1;
	j = map(atoi(argv[3]));
	if (j->test < 0 || j->test >= RDM_TESTS)
		return 2;
	return roles_of[j->test][which](j, atoi(argv[4])) ? 2 : 0;
}
