/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_devices.c - what fi_getinfo makes of RDMA devices, with devices that are made up: one with the
 * loopback addresses, one that is down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "provider/eta.h"

#define API FI_VERSION(1, 17)

struct fi_provider *fi_prov_ini(void);
int __wrap_fabric_devices(struct fab_device **list, char *why, size_t len);

static bool have_devices;

int __wrap_fabric_devices(struct fab_device **list, char *why, size_t len)
{
	static const struct fab_device devices[] = {
		{
			.wire = "roce",
			.name = "fake0",
			.netdev = "lo",
			.usable = true,
			.naddrs = 2,
			.addr = { { .in = { .sin_family = AF_INET } },
				  { .in6 = { .sin6_family = AF_INET6 } } },
		},
		{ .wire = "roce", .name = "fake1", .netdev = "lo", .state = "its link is cut" },
	};

	*list = NULL;
	snprintf(why, len, "none was made up");
	if (!have_devices)
		return 0;
	*list = malloc(sizeof(devices));
	memcpy(*list, devices, sizeof(devices));
	(*list)->addr[0].in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(*list)->addr[1].in6.sin6_addr = in6addr_loopback;
	return 2;
}

static int with_devices(void **state)
{
	(void)state;
	unsetenv("ETA_FABRIC");
	have_devices = true;
	return 0;
}

/* ------------------------------------------------------------------------------ asking */

struct asked {
	const char *domain, *fabric, *node;
	uint64_t flags;
	uint32_t protocol;
	size_t inject;
};

static int ask(const struct asked *a, struct fi_info **info)
{
	struct fi_info *hints = fi_allocinfo();
	int ret;

	assert_non_null(hints);
	if (a->domain)
		hints->domain_attr->name = strdup(a->domain);
	if (a->fabric)
		hints->fabric_attr->name = strdup(a->fabric);
	hints->ep_attr->protocol = a->protocol;
	hints->tx_attr->inject_size = a->inject;
	*info = NULL;
	ret = eta_getinfo(API, a->node, NULL, a->flags, hints, info);
	fi_freeinfo(hints);
	return ret;
}

#define ASK(info, ...) ask(&(struct asked){ __VA_ARGS__ }, info)

static bool is_device(const struct fi_info *i)
{
	return eta_device_fabric(i->fabric_attr->name);
}

static unsigned count(const struct fi_info *list, bool device)
{
	unsigned n = 0;

	for (; list; list = list->next)
		n += is_device(list) == device;
	return n;
}

static void check_device(const struct fi_info *i, const char *fabric)
{
	assert_string_equal(i->domain_attr->name, "fake0");
	assert_string_equal(i->fabric_attr->name, fabric);
	assert_int_equal(i->ep_attr->protocol,
			 i->ep_attr->type == FI_EP_RDM ? ETA_PROTO_ROCE_RDM : ETA_PROTO_ROCE);
}

/* ------------------------------------------------------------------------------- tests */

/* What there is without devices comes first, as it was. */
static void devices_come_last(void **state)
{
	struct fi_info *with, *without, *w, *o;

	(void)state;
	have_devices = false;
	assert_int_equal(eta_getinfo(API, NULL, NULL, 0, NULL, &without), 0);
	assert_int_equal(count(without, true), 0);
	have_devices = true;
	assert_int_equal(eta_getinfo(API, NULL, NULL, 0, NULL, &with), 0);
	assert_int_equal(count(with, true), 4);
	for (w = with, o = without; o; w = w->next, o = o->next) {
		assert_string_equal(w->domain_attr->name, o->domain_attr->name);
		assert_string_equal(w->fabric_attr->name, o->fabric_attr->name);
		assert_int_equal(w->src_addrlen, o->src_addrlen);
		assert_memory_equal(w->src_addr, o->src_addr, o->src_addrlen);
		assert_int_equal(w->tx_attr->inject_size, ETA_INJECT_SIZE);
	}
	for (; w; w = w->next) {
		check_device(w, "roce:fake0");
		/* unlike the others, for those who spread over what is alike */
		assert_int_not_equal(w->tx_attr->inject_size, with->tx_attr->inject_size);
	}
	fi_freeinfo(with);
	fi_freeinfo(without);
}

static void by_name(void **state)
{
	struct fi_info *info, *again;

	(void)state;
	assert_int_equal(ASK(&info, .domain = "fake0"), 0);
	assert_int_equal(count(info, true), 4);
	assert_int_equal(count(info, false), 0);
	check_device(info, "roce:fake0");
	assert_int_equal(info->ep_attr->type, FI_EP_RDM);
	/* itself */
	assert_int_equal(eta_getinfo(API, NULL, NULL, 0, info, &again), 0);
	assert_null(again->next);
	check_device(again, "roce:fake0");
	assert_int_equal(again->tx_attr->inject_size, info->tx_attr->inject_size);
	fi_freeinfo(again);
	fi_freeinfo(info);

	assert_int_equal(ASK(&info, .fabric = "roce:fake0"), 0);
	check_device(info, "roce:fake0");
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .fabric = "roce"), 0);
	assert_int_equal(count(info, false), 0);
	check_device(info, "roce");
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .fabric = "roce:fake1"), -FI_ENODATA);
	assert_int_equal(ASK(&info, .domain = "fake1"), -FI_ENODATA);
	assert_int_equal(ASK(&info, .domain = "fake0", .fabric = "127.0.0.0/8"), -FI_ENODATA);
	assert_int_equal(ASK(&info, .domain = "lo", .fabric = "roce"), -FI_ENODATA);
}

static void by_protocol(void **state)
{
	struct fi_info *info;

	(void)state;
	assert_int_equal(ASK(&info, .protocol = FI_PROTO_IWARP), 0);
	assert_int_equal(count(info, true), 0);
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .protocol = ETA_PROTO_ROCE), 0);
	assert_int_equal(count(info, false), 0);
	assert_int_equal(count(info, true), 2);
	assert_int_equal(info->ep_attr->type, FI_EP_MSG);
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .domain = "fake0", .inject = 100), 0);
	assert_int_equal(info->tx_attr->inject_size, ETA_INJECT_SIZE);
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .domain = "fake0", .inject = ETA_INJECT_SIZE + 1), -FI_ENODATA);
}

static void by_address(void **state)
{
	struct fi_info *info;

	(void)state;
	/* the device on the way there, behind the interface */
	assert_int_equal(ASK(&info, .node = "127.0.0.1"), 0);
	assert_int_equal(count(info, true), 2);
	assert_string_equal(info->domain_attr->name, "lo");
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .node = "::1", .domain = "fake0"), 0);
	assert_int_equal(info->addr_format, FI_SOCKADDR_IN6);
	assert_int_equal(count(info, false), 0);
	assert_int_equal(count(info, true), 2);
	fi_freeinfo(info);
	/* elsewhere only for those who name it */
	assert_int_equal(ASK(&info, .node = "127.0.0.2", .domain = "fake0"), 0);
	assert_non_null(info->dest_addr);
	check_device(info, "roce:fake0");
	fi_freeinfo(info);
	/* sources */
	assert_int_equal(ASK(&info, .node = "127.0.0.1", .flags = FI_SOURCE), 0);
	assert_int_equal(count(info, false), 2);
	assert_int_equal(count(info, true), 2);
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .node = "127.0.0.9", .flags = FI_SOURCE, .domain = "fake0"),
			 -FI_ENODATA);
	assert_int_equal(ASK(&info, .node = "0.0.0.0", .flags = FI_SOURCE, .domain = "fake0"), 0);
	assert_int_equal(count(info, true), 2);
	assert_int_equal(((struct sockaddr_in *)info->src_addr)->sin_addr.s_addr, 0);
	fi_freeinfo(info);
}

static void by_environment(void **state)
{
	struct fi_info *info;

	(void)state;
	setenv("ETA_FABRIC", "roce", 1);
	assert_int_equal(ASK(&info, .node = NULL), 0);
	assert_int_equal(count(info, false), 0);
	assert_int_equal(count(info, true), 4);
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .domain = "lo"), -FI_ENODATA);
	setenv("ETA_FABRIC", "roce:fake0", 1);
	assert_int_equal(ASK(&info, .node = NULL), 0);
	assert_int_equal(count(info, true), 4);
	fi_freeinfo(info);
	setenv("ETA_FABRIC", "roce:fake1", 1);
	assert_int_equal(ASK(&info, .node = NULL), -FI_ENODATA);
	setenv("ETA_FABRIC", "tcp", 1);
	assert_int_equal(ASK(&info, .node = NULL), 0);
	assert_int_equal(count(info, true), 0);
	fi_freeinfo(info);
	assert_int_equal(ASK(&info, .domain = "fake0"), -FI_ENODATA);
	setenv("ETA_FABRIC", "auto", 1);
	assert_int_equal(ASK(&info, .domain = "fake0"), 0);
	fi_freeinfo(info);
}

/* What FI_LOG_LEVEL=warn gives for it. */
static char *said_of(const struct asked *a)
{
	static char text[4096];
	FILE *log = tmpfile();
	int keep = dup(STDERR_FILENO);
	struct fi_info *info;
	size_t n;

	assert_non_null(log);
	fflush(stderr);
	dup2(fileno(log), STDERR_FILENO);
	assert_int_equal(ask(a, &info), -FI_ENODATA);
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	rewind(log);
	n = fread(text, 1, sizeof(text) - 1, log);
	text[n] = '\0';
	fclose(log);
	return text;
}

#define SAID(...) said_of(&(struct asked){ __VA_ARGS__ })

static void reasons(void **state)
{
	(void)state;
	assert_non_null(strstr(SAID(.domain = "fake1"), "its link is cut"));
	assert_non_null(strstr(SAID(.fabric = "roce:fake1"), "its link is cut"));
	assert_non_null(strstr(SAID(.fabric = "roce:fake7"), "no RDMA device called fake7"));
	assert_string_equal(SAID(.domain = "eth77"), "");
	setenv("ETA_FABRIC", "uring", 1);
	assert_non_null(strstr(SAID(.domain = "fake0"), "ETA_FABRIC=uring"));
	unsetenv("ETA_FABRIC");
	have_devices = false;
	assert_non_null(strstr(SAID(.fabric = "roce"), "none was made up"));
}

/* An engine of this wire, or an error: here there is no such device. */
static void fabrics(void **state)
{
	struct fi_fabric_attr attr = { .name = (char *)(uintptr_t) "roce:fake0" };
	const struct eta_fabric tcp = { .name = "127.0.0.0/8" };
	const struct eta_fabric one = { .name = "roce:fake0", .rdma = true };
	const struct eta_fabric all = { .name = "roce", .rdma = true };
	struct fid_fabric *fabric;
	union fab_addr addr;
	int ret;

	(void)state;
	ret = eta_fabric_open(&attr, &fabric, NULL);
	assert_true(ret == -FI_ENODEV || ret == -FI_EOPNOTSUPP);
	assert_true(eta_device_fits(&tcp, "10.0.0.0/8"));
	assert_true(eta_device_fits(&tcp, NULL));
	assert_false(eta_device_fits(&tcp, "roce:fake0"));
	assert_true(eta_device_fits(&one, "roce:fake0"));
	assert_false(eta_device_fits(&one, "roce:fake1"));
	assert_true(eta_device_fits(&all, "roce:fake1"));
	assert_int_equal(eta_info_own_address(AF_INET, "fake0", true, &addr), 0);
	assert_int_equal(addr.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(eta_info_own_address(AF_INET, "fake1", true, &addr), -FI_EADDRNOTAVAIL);
}

#define TEST(fn) cmocka_unit_test_setup(fn, with_devices)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(devices_come_last), TEST(by_name), TEST(by_protocol), TEST(by_address),
		TEST(by_environment),    TEST(reasons), TEST(fabrics),
	};

	struct fi_info *none = NULL;

	/* libfabric reads its settings at the first call */
	setenv("FI_LOG_LEVEL", "warn", 1);
	setenv("FI_LOG_PROV", "eta", 1);
	setenv("FI_PROVIDER", "no such provider", 1);
	fi_getinfo(API, NULL, NULL, 0, NULL, &none);
	fi_prov_ini();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
