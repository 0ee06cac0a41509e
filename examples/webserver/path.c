/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * path.c - targets become paths, and paths are opened below one folder.
 *
 * Two fences: no ".." survives decoding, and openat2() with RESOLVE_BENEATH follows no link out.
 */
#include "examples/webserver/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED /* Linux 5.12 */
#define RESOLVE_CACHED 0x20
#endif

#define INDEX "index.html"
#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define RACES_MAX 16 /* renames in a row that openat2() may lose to */

/* ------------------------------------------------------------------------------ decoding */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one character, escaped or not, from the front. -400: broken escape, or NUL. */
static int decode(const char **p, const char *end)
{
	const char *at = (*p)++;
	int high, low;

	if (*at != '%')
		return *at ? (unsigned char)*at : -400;
	if (end - at < 3)
		return -400;
	high = hex_digit(at[1]);
	low = hex_digit(at[2]);
	if (high < 0 || low < 0 || !(high | low))
		return -400;
	*p = at + 3;
	return high << 4 | low;
}

/* The path so far, and where its last component begins. */
struct path {
	char *text;
	size_t len, component;
};

/* A component is complete. "." goes; ".." is refused, not resolved: clients resolve it themselves. */
static int end_component(struct path *p)
{
	size_t len = p->len - p->component;
	const char *name = p->text + p->component;

	if (len == 2 && !memcmp(name, "..", 2))
		return -403;
	if (len == 1 && name[0] == '.')
		p->len = p->component;
	return 0;
}

static int add(struct path *p, int c)
{
	int err;

	if (c != '/') {
		p->text[p->len++] = (char)c;
		return 0;
	}
	err = end_component(p);
	if (!err && p->len > p->component) {
		p->text[p->len++] = '/';
		p->component = p->len;
	}
	return err;
}

int path_from_target(const char *target, size_t len, char *path, size_t room)
{
	const char *query = memchr(target, '?', len);
	const char *end = query ? query : target + len;
	struct path p = { .text = path };
	int c, err;

	while (target < end) {
		c = decode(&target, end);
		err = c < 0 ? c : add(&p, c);
		if (err)
			return err;
		if (p.len + sizeof(INDEX) > room)
			return -414;
	}
	err = end_component(&p);
	if (err)
		return err;
	if (p.len == p.component) {
		memcpy(path + p.len, INDEX, sizeof(INDEX) - 1);
		p.len += sizeof(INDEX) - 1;
	}
	path[p.len] = '\0';
	return (int)p.len;
}

/* ------------------------------------------------------------------------------- opening */

static int open_how(int fd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };
	long n = syscall(SYS_openat2, fd, path, &how, sizeof(how));

	return n < 0 ? -errno : (int)n;
}

static int open_beneath(int fd, const char *path, uint64_t flags)
{
	int tries = RACES_MAX, n;

	/* EAGAIN: something was renamed meanwhile, and the kernel cannot be sure */
	do
		n = open_how(fd, path, flags, BENEATH);
	while ((n == -EAGAIN || n == -EINTR) && --tries);
	return n;
}

static bool can_open(int fd, uint64_t resolve)
{
	int probe = open_how(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, resolve);

	if (probe >= 0)
		close(probe);
	return probe >= 0 || probe == -EAGAIN;
}

int root_init(struct root *root, const char *folder)
{
	root->fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0)
		return -errno;
	root->beneath = can_open(root->fd, BENEATH);
	root->cached = can_open(root->fd, BENEATH | RESOLVE_CACHED);
	return 0;
}

struct root_how root_how(void)
{
	return (struct root_how){ .flags = OPEN_FLAGS, .resolve = BENEATH };
}

int root_open_cached(const struct root *root, const char *path)
{
	if (root->cached)
		return open_how(root->fd, path, OPEN_FLAGS, BENEATH | RESOLVE_CACHED);
	return root_open(root, path);
}

void root_fini(struct root *root)
{
	close(root->fd);
	root->fd = -1;
}

int root_open(const struct root *root, const char *path)
{
	if (root->beneath)
		return open_beneath(root->fd, path, OPEN_FLAGS);
	return root_open_by_component(root, path);
}

/* Opens the component at *@path below @folder and moves *@path behind it. */
static int open_component(int folder, const char **path)
{
	const char *slash = strchr(*path, '/');
	size_t len = slash ? (size_t)(slash - *path) : strlen(*path);
	char name[NAME_MAX + 1];
	int fd;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len + (slash != NULL);
	fd = openat(folder, name,
		    O_NOFOLLOW | (slash ? O_PATH | O_DIRECTORY | O_CLOEXEC : OPEN_FLAGS));
	return fd < 0 ? -errno : fd;
}

int root_open_by_component(const struct root *root, const char *path)
{
	int folder = root->fd, fd;

	for (;;) {
		fd = open_component(folder, &path);
		if (folder != root->fd)
			close(folder);
		if (fd < 0 || !*path)
			return fd;
		folder = fd;
	}
}
