/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bare_engine.c - see bare_engine.h. */
#include "tests/unit/bare_engine.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void (*bare_progress)(void);

/* ------------------------------------------------------------------------------ the fabric */

struct fab {
	int kickfd;
};

static struct fab the_fab;

static int bare_harvest(struct fab *fab, int budget)
{
	(void)fab;
	(void)budget;
	if (bare_progress)
		bare_progress();
	return 0;
}

static void bare_flush(struct fab *fab)
{
	(void)fab;
}

static int bare_wait(struct fab *fab, int64_t timeout_ns)
{
	struct pollfd p = { .fd = fab->kickfd, .events = POLLIN };
	struct timespec ts = { timeout_ns / 1000000000, timeout_ns % 1000000000 };

	return ppoll(&p, 1, timeout_ns < 0 ? NULL : &ts, NULL) < 0 ? -errno : 0;
}

static void bare_kick(struct fab *fab)
{
	uint64_t one = 1;

	if (write(fab->kickfd, &one, sizeof(one)) < 0)
		abort();
}

static void bare_drain(struct fab *fab)
{
	uint64_t value;

	if (read(fab->kickfd, &value, sizeof(value)) < 0) {
		/* it was not kicked */
	}
}

static int bare_wait_fd(struct fab *fab)
{
	return fab->kickfd;
}

static int bare_kick_fd(struct fab *fab)
{
	return fab->kickfd;
}

static const struct fab_stream_ops bare_stream = {
	.name = "bare",
	.progress = bare_harvest,
	.flush = bare_flush,
	.wait = bare_wait,
	.kick = bare_kick,
	.drain = bare_drain,
	.wait_fd = bare_wait_fd,
	.kick_fd = bare_kick_fd,
};

int fabric_open(const char *name, const struct fab_env *env, const struct fab_msg_attr *attr,
		struct fabric *out)
{
	(void)name;
	(void)env;
	(void)attr;
	the_fab.kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	*out = (struct fabric){ .stream = &bare_stream, .fab = &the_fab };
	return the_fab.kickfd < 0 ? -errno : 0;
}

void fabric_close(struct fabric *f)
{
	close(f->fab->kickfd);
}

/* ------------------------------------------------------------------------------------- DTIs */

void dti_activate(struct ppe_dti *d)
{
	(void)d;
	abort();
}

void dti_run(struct ppe_dti *d)
{
	(void)d;
	abort();
}

int wr_reject(struct ppe_ual *ual, int err)
{
	(void)ual;
	return err;
}

void links_reap(struct ppe_ual *ual)
{
	(void)ual;
}

void ops_free(struct ppe_ual *ual)
{
	(void)ual;
}

void recvs_free(struct ppe_ual *ual)
{
	(void)ual;
}

void dti_destroy_all(struct ppe_ual *ual)
{
	(void)ual;
}

struct ppe_ual *bare_open(const char *placement)
{
	struct ppe_ual_attr attr = { .placement = placement };
	struct ppe_ual *ual;

	bare_progress = NULL;
	assert_int_equal(ppe_ual_open(&attr, &ual), 0);
	return ual;
}
