/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* machine.c - this machine, its clock, and what the kernel says of a process. */
#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <rdma/fabric.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* ----------------------------------------------------------------------- description */

static void load_average(char *text, size_t size)
{
	FILE *f = fopen("/proc/loadavg", "r");
	double load = 0;

	if (f && fscanf(f, "%lf", &load) == 1)
		snprintf(text, size, "%.2f", load);
	else
		snprintf(text, size, "unknown");
	if (f)
		fclose(f);
}

void machine_describe(void)
{
	uint32_t version = fi_version();
	struct utsname u;
	char load[32];

	uname(&u);
	load_average(load, sizeof(load));
	printf("eta-bench: %ld cores, %s %s, libfabric %u.%u; loopback\n",
	       sysconf(_SC_NPROCESSORS_ONLN), u.sysname, u.release, FI_MAJOR(version),
	       FI_MINOR(version));
	printf("  the two processes of a measurement are pinned to cores %d and %d, the threads they "
	       "start with them\n",
	       opt.cores[0], opt.cores[1]);
	printf("  engine: ETA_PPE=%s; providers from %s; load average at the start: %s\n",
	       getenv("ETA_PPE") ? getenv("ETA_PPE") : "(adaptive)", getenv("FI_PROVIDER_PATH"),
	       load);
}

bool cores_usable(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return false;
	return CPU_ISSET(opt.cores[0], &set) && CPU_ISSET(opt.cores[1], &set);
}

int pin_to(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

void unpin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(opt.cores[0], &set);
	CPU_SET(opt.cores[1], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ------------------------------------------------------------------------------ ports */

int free_port(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;

	if (fd < 0)
		return -1;
	if (!bind(fd, (struct sockaddr *)&sa, len) &&
	    !getsockname(fd, (struct sockaddr *)&sa, &len))
		port = ntohs(sa.sin_port);
	close(fd);
	return port;
}

static bool table_has_listener(const char *path, int port)
{
	FILE *f = fopen(path, "r");
	char line[512], *colon;
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		unsigned local, state;

		/* "sl: address:port address:port state" */
		colon = strchr(line, ':');
		if (colon &&
		    sscanf(colon + 1, " %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &local, &state) == 2)
			found = local == (unsigned)port && state == 0x0a;
	}
	fclose(f);
	return found;
}

bool port_is_listening(int port)
{
	return table_has_listener("/proc/net/tcp", port) ||
	       table_has_listener("/proc/net/tcp6", port);
}

/* ----------------------------------------------------------------------------- memory */

int64_t smaps_bytes_of(pid_t pid, const char *field)
{
	size_t n = strlen(field);
	int64_t bytes = -1;
	char line[256];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", pid);
	f = fopen(line, "r");
	if (!f)
		return -1;
	while (bytes < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, n) && line[n] == ':')
			bytes = strtoll(line + n + 1, NULL, 10) * 1024;
	fclose(f);
	return bytes;
}

int64_t smaps_bytes(const char *field)
{
	return smaps_bytes_of(getpid(), field);
}

/* As many files as this process may have. */
long limit_of_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return -1;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r))
		return -1;
	return r.rlim_cur == RLIM_INFINITY ? 1L << 30 : (long)r.rlim_cur;
}

/* --------------------------------------------------------------------- processor time */

static int64_t task_ns(pid_t pid, const char *tid)
{
	char path[64];
	int64_t ns = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%" SCNd64, &ns) != 1)
		ns = -1;
	fclose(f);
	return ns;
}

static void add_name(pid_t pid, const char *tid, char *names, size_t size)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return;
	if (fscanf(f, "%31s", name) == 1 && strlen(names) + strlen(name) + 2 < size) {
		strcat(names, *names ? "," : "");
		strcat(names, name);
	}
	fclose(f);
}

int cpu_time_of(pid_t pid, struct cpu_time *out)
{
	struct dirent *e;
	char path[64];
	DIR *dir;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((e = readdir(dir))) {
		int64_t ns = e->d_name[0] == '.' ? -1 : task_ns(pid, e->d_name);

		if (ns < 0)
			continue;
		out->threads++;
		if (atoi(e->d_name) == pid) {
			out->main_ns += ns;
		} else {
			out->others_ns += ns;
			add_name(pid, e->d_name, out->names, sizeof(out->names));
		}
	}
	closedir(dir);
	return out->threads ? 0 : -1;
}

/* ------------------------------------------------------------------------------- time */

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void sleep_ns(int64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&ts, NULL);
}

void compute_a_little(void)
{
	static double x = 1;

	for (int i = 0; i < 16; i++)
		x = x * 1.0000001 + 0.0000001;
	/* the compiler must believe that the result matters */
	__asm__ volatile("" : : "m"(x) : "memory");
}

void compute_until(int64_t when_ns)
{
	while (now_ns() < when_ns)
		compute_a_little();
}

double random_fraction(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double)(state >> 11) / (double)(UINT64_C(1) << 53);
}
