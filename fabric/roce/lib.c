/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lib.c - libibverbs and librdmacm, loaded when a program first asks for this fabric: so that nobody
 * else needs them, and none of their threads, descriptors or page locks is there for nothing. All that
 * is asked of the machine, and not by them, is here as well: tests put a simulated device in place of
 * this file.
 */
#include "fabric/roce/roce_internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct roce_lib lib;
static bool loaded;
static char reason[ROCE_WHY];

static const struct {
	const char *name;
	size_t at;
	bool cm;
} functions[] = {
#define IS_ibv false
#define IS_cm true
#define ROW(library, function) { #function, offsetof(struct roce_lib, p_##function), IS_##library },
	ROCE_FUNCTIONS(ROW)
};

static void *open_library(const char *name)
{
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		snprintf(reason, sizeof(reason), "%s", dlerror());
	return handle;
}

static bool find_all(void *ibv, void *cm)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *p = dlsym(functions[i].cm ? cm : ibv, functions[i].name);

		if (!p) {
			snprintf(reason, sizeof(reason), "%s has no %s()",
				 functions[i].cm ? "librdmacm" : "libibverbs", functions[i].name);
			return false;
		}
		memcpy((char *)&lib + functions[i].at, &p, sizeof(p));
	}
	return true;
}

/* Not unloaded again: both keep state for the life of the process. */
static void load(void)
{
	void *ibv = open_library("libibverbs.so.1");
	void *cm = ibv ? open_library("librdmacm.so.1") : NULL;

	loaded = cm && find_all(ibv, cm);
}

const struct roce_lib *roce_lib(const char **why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	*why = loaded ? NULL : reason;
	return loaded ? &lib : NULL;
}

bool roce_present(void)
{
	return !access("/sys/class/infiniband", F_OK);
}

const char *roce_manager_lacks(void)
{
	if (access("/dev/infiniband/rdma_cm", F_OK))
		return "there is no connection manager: the module rdma_ucm is not loaded";
	if (access("/dev/infiniband/rdma_cm", R_OK | W_OK))
		return "/dev/infiniband/rdma_cm may not be opened";
	return NULL;
}

void roce_netdev(const char *device, unsigned port, char *name, size_t size)
{
	char path[192];
	FILE *f;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%u/gid_attrs/ndevs/0", device,
		 port);
	f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(name, (int)size, f))
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	fclose(f);
}
