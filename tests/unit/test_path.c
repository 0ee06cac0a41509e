/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_path.c - from targets to paths, and opening them below one folder, with openat2 or without. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "examples/webserver/path.h"
#include "tests/unit/guard_page.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int decode(const char *target, char *path, size_t room)
{
	size_t len = strlen(target);

	return path_from_target((const char *)guard_copy(target, len), len, path, room);
}

static void path_from_target_decodes(void **state)
{
	static const struct {
		const char *target, *path;
	} table[] = {
		{ "/", "index.html" },
		{ "", "index.html" },
		{ "?q", "index.html" },
		{ "/?/../..", "index.html" },
		{ "/a", "a" },
		{ "/a/b.c", "a/b.c" },
		{ "/a/", "a/index.html" },
		{ "//a///b", "a/b" },
		{ "/./a/./b/.", "a/b/index.html" },
		{ "/.", "index.html" },
		{ "/.a/..b/c../...", ".a/..b/c../..." },
		{ "/%61%2F%62", "a/b" },
		{ "/a%20b+c", "a b+c" },
		{ "/%C3%a9", "\xc3\xa9" },
		{ "/a%3Fb", "a?b" },
		{ "/%2", NULL },
		{ "/%", NULL },
		{ "/%zz", NULL },
		{ "/%+1", NULL },
		{ "/%00", NULL },
		{ "/a%00.html", NULL },
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int n = decode(table[i].target, path, sizeof(path));

		if (!table[i].path) {
			assert_int_equal(n, -400);
			continue;
		}
		assert_int_equal(n, strlen(table[i].path));
		assert_string_equal(path, table[i].path);
	}
}

static void path_from_target_refuses_parents(void **state)
{
	static const char *const targets[] = {
		"/..",       "/../",    "/../../etc/passwd", "/a/../b",
		"/%2e%2e/x", "/.%2E/x", "/a/%2e%2e%2fx",     "/..%2f..%2fetc/passwd",
		"/a/..",     "//..//x", "/./../x?query",
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < COUNT(targets); i++)
		assert_int_equal(decode(targets[i], path, sizeof(path)), -403);
}

static void path_from_target_stays_in_its_room(void **state)
{
	char target[64], *path;

	(void)state;
	for (size_t n = 1; n < sizeof(target); n++) {
		int len;

		memset(target, 'a', n);
		target[0] = '/';
		target[n] = '\0';
		/* ends where nothing may be written */
		path = (char *)guard_end() - 32;
		len = path_from_target(target, n, path, 32);
		assert_true(len == -414 || (len == (int)n - 1 && !path[len]) || n == 1);
		target[n - 1] = '/';
		len = path_from_target(target, n, path, 32);
		assert_true(len == -414 || (len < 32 && strstr(path, "index.html")));
	}
}

/* --------------------------------------------------------------------------------- opening */

/* A folder with files, links in and out, and a pipe; beside it, what must not be reached. */
struct place {
	char top[64];
	struct root root;
};

static void put(const char *top, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static void make_folder(const char *top, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const char *top, const char *name, const char *to)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(symlink(to, path), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char path[128];

	snprintf(p->top, sizeof(p->top), "path.XXXXXX");
	assert_non_null(mkdtemp(p->top));
	make_folder(p->top, "root");
	make_folder(p->top, "root/folder");
	put(p->top, "secret");
	put(p->top, "root/file");
	put(p->top, "root/folder/file");
	make_link(p->top, "root/inside", "folder/file");
	make_link(p->top, "root/up", "../secret");
	make_link(p->top, "root/absolute", "/etc/passwd");
	make_link(p->top, "root/folder/out", "../..");
	make_link(p->top, "root/loop", "loop");
	snprintf(path, sizeof(path), "%s/root/pipe", p->top);
	assert_int_equal(mkfifo(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/root", p->top);
	assert_int_equal(root_init(&p->root, path), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];
	int err;

	root_fini(&p->root);
	snprintf(command, sizeof(command), "rm -r '%s'", p->top);
	err = system(command);
	free(p);
	return err;
}

static int try_open(int (*opener)(const struct root *, const char *), const struct root *root,
		    const char *path)
{
	int fd = opener(root, path);

	if (fd < 0)
		return fd;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	return 0;
}

static void check_opener(const struct place *p, int (*opener)(const struct root *, const char *))
{
	static const char *const out[] = { "up", "absolute", "folder/out/secret", "loop" };

	assert_int_equal(try_open(opener, &p->root, "file"), 0);
	assert_int_equal(try_open(opener, &p->root, "folder/file"), 0);
	assert_int_equal(try_open(opener, &p->root, "folder"), 0);
	assert_int_equal(try_open(opener, &p->root, "pipe"), 0); /* and did not wait for a writer */
	assert_int_equal(try_open(opener, &p->root, "none"), -ENOENT);
	assert_int_equal(try_open(opener, &p->root, "none/file"), -ENOENT);
	assert_int_equal(try_open(opener, &p->root, "file/index.html"), -ENOTDIR);
	for (size_t i = 0; i < COUNT(out); i++)
		assert_true(try_open(opener, &p->root, out[i]) < 0);
}

static void root_open_stays_inside(void **state)
{
	struct place *p = *state;

	check_opener(p, root_open);
	if (!p->root.beneath)
		return;
	assert_int_equal(try_open(root_open, &p->root, "inside"), 0);
	assert_int_equal(try_open(root_open, &p->root, "../secret"), -EXDEV);
	assert_int_equal(try_open(root_open, &p->root, "up"), -EXDEV);
	assert_int_equal(try_open(root_open, &p->root, "loop"), -ELOOP);
}

/* What was just opened needs no disk; and what leads out is no nearer for being at hand. */
static void root_open_cached_stays_inside(void **state)
{
	struct place *p = *state;

	check_opener(p, root_open);
	if (!p->root.cached)
		return;
	assert_int_equal(try_open(root_open_cached, &p->root, "file"), 0);
	assert_int_equal(try_open(root_open_cached, &p->root, "folder/file"), 0);
	assert_true(try_open(root_open_cached, &p->root, "../secret") < 0);
	assert_true(try_open(root_open_cached, &p->root, "up") < 0);
	assert_true(try_open(root_open_cached, &p->root, "absolute") < 0);
	assert_true(try_open(root_open_cached, &p->root, "folder/out/secret") < 0);
	/* a name that nobody has ever looked for */
	assert_int_equal(try_open(root_open_cached, &p->root, "folder/unheard-of"), -EAGAIN);
	p->root.cached = false;
	assert_int_equal(try_open(root_open_cached, &p->root, "folder/unheard-of"), -ENOENT);
}

static void root_open_without_openat2(void **state)
{
	struct place *p = *state;
	char name[300];

	check_opener(p, root_open_by_component);
	assert_int_equal(try_open(root_open_by_component, &p->root, "inside"), -ELOOP);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(try_open(root_open_by_component, &p->root, name), -ENAMETOOLONG);
	p->root.beneath = p->root.cached = false;
	assert_int_equal(try_open(root_open, &p->root, "file"), 0);
	assert_int_equal(try_open(root_open, &p->root, "inside"), -ELOOP);
}

static void root_init_wants_a_folder(void **state)
{
	struct root root;

	(void)state;
	assert_int_equal(root_init(&root, "no-such-folder"), -ENOENT);
	assert_int_equal(root_init(&root, "/dev/null"), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_from_target_decodes),
		cmocka_unit_test(path_from_target_refuses_parents),
		cmocka_unit_test(path_from_target_stays_in_its_room),
		cmocka_unit_test_setup_teardown(root_open_stays_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(root_open_cached_stays_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(root_open_without_openat2, setup, teardown),
		cmocka_unit_test(root_init_wants_a_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
