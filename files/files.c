/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* files.c - which kind of service, and why; and the calls, which are the kind's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/internal.h"

static int open_kind(const struct files_kind_ops *ops, const struct files_env *env, char *why,
		     size_t room, struct files **out)
{
	struct files *files;
	int err = ops->open(env, why, room, &files);

	if (err)
		return err;
	files->ops = ops;
	files->wake_fd = env->wake_fd;
	files->busy = 0;
	snprintf(files->why, sizeof(files->why), "%s", why);
	*out = files;
	return 0;
}

static int open_asked(const char *asked, const struct files_env *env, struct files **out)
{
	char why[sizeof((*out)->why)] = "asked for";

	if (!strcmp(asked, files_pool_ops.name))
		return open_kind(&files_pool_ops, env, why, sizeof(why), out);
	if (strcmp(asked, files_uring_ops.name))
		return -EINVAL;
	return open_kind(&files_uring_ops, env, why, sizeof(why), out) ? -EOPNOTSUPP : 0;
}

int files_open(const struct files_env *env, struct files **out)
{
	const char *asked = getenv("ETA_FILES");
	char why[sizeof((*out)->why)] = "the threads that submit may end at any time";

	if (asked && *asked)
		return open_asked(asked, env, out);
	if (env->owner != FILES_ROAMING) {
		snprintf(why, sizeof(why), "the kernel has it");
		if (!open_kind(&files_uring_ops, env, why, sizeof(why), out))
			return 0;
	}
	return open_kind(&files_pool_ops, env, why, sizeof(why), out);
}

void files_close(struct files *files)
{
	files->ops->close(files);
}

void files_submit(struct files *files, struct files_req *req)
{
	req->stage = 0;
	req->moved = 0;
	files->busy++;
	files->ops->submit(files, req);
}

void files_flush(struct files *files)
{
	files->ops->flush(files);
}

int files_reap(struct files *files, int max)
{
	struct files_req *req;
	int n;

	for (n = 0; n < max && (req = files->ops->next(files)); n++) {
		files->busy--;
		req->done(req);
	}
	files->ops->flush(files);
	return n;
}

unsigned files_busy(const struct files *files)
{
	return files->busy;
}

const char *files_kind(const struct files *files, const char **why)
{
	if (why)
		*why = files->why;
	return files->ops->name;
}
