/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * info.c - eta-info: what this host has for eta, and why something cannot be used.
 *
 * The addresses come from the provider's own fi_getinfo, which is linked in, so it does not matter
 * whether libfabric would find the provider; the rest from opening engines as programs would.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/eta.h"

#define EXIT_USAGE 2

struct fi_provider *fi_prov_ini(void);

static const char usage[] =
	"usage: eta-info [OPTION]...\n"
	"Prints which addresses and RDMA devices eta can use on this host, which of its ways to carry\n"
	"connections it would take, and why others cannot be had.\n"
	"\n"
	"  --fabric NAME     as if ETA_FABRIC were this: tcp, uring, roce, roce:DEVICE, auto\n"
	"  --placement P     as if ETA_PPE were this: adaptive, inline, dedicated, dedicated:CPU\n"
	"  --help, --version print this, or the version, and exit\n"
	"\n"
	"Exit status: 0 connections can be carried as is asked for; 1 they cannot, and it was said why;\n"
	"2 wrong usage.\n";

/* ------------------------------------------------------------------- what engines say */

struct reason {
	char text[256];
};

static void keep_reason(void *arg, int level, const char *text)
{
	struct reason *r = arg;

	if (level == FAB_LOG_WARN)
		snprintf(r->text, sizeof(r->text), "%s", text);
}

/* Opens an engine; when there is none, @r says why. */
static struct ppe_ual *try_engine(struct ppe_ual_attr attr, struct reason *r)
{
	struct ppe_ual *ual;
	int err;

	r->text[0] = '\0';
	attr.log = keep_reason;
	attr.log_arg = r;
	attr.max_dtis = attr.max_evqs = 1;
	err = ppe_ual_open(&attr, &ual);
	if (!err)
		return ual;
	if (!r->text[0])
		snprintf(r->text, sizeof(r->text), "%s", strerror(-err));
	return NULL;
}

static void print_uring(void)
{
	const struct ppe_ual_attr attr = {
		.placement = "inline",
		.fabric = "uring",
		.flags = PPE_UAL_SINGLE_THREAD,
	};
	struct reason r;
	struct ppe_ual *ual = try_engine(attr, &r);

	printf("io_uring\n  %s%s\n", ual ? "available" : "not available: ", ual ? "" : r.text);
	if (ual)
		ppe_ual_close(ual);
}

static void print_setting(const char *name)
{
	const char *value = getenv(name);

	if (value && *value)
		printf(", %s=%s", name, value);
}

/* Whether there is an engine as it is asked for. */
static bool print_engine(void)
{
	const struct ppe_ual_attr attr = { 0 };
	struct ppe_ual_info info;
	struct reason r;
	struct ppe_ual *ual = try_engine(attr, &r);

	puts("connections");
	if (!ual) {
		fputs("  none", stdout);
		print_setting("ETA_FABRIC");
		print_setting("ETA_PPE");
		printf(": %s\n", r.text);
		return false;
	}
	ppe_ual_info(ual, &info);
	printf("  by %s (%s), placement %s\n", info.fabric, info.fabric_why, info.placement);
	if (eta_device_fabric(info.fabric))
		puts("  connects go by RDMA or fail; listeners take RDMA and TCP");
	ppe_ual_close(ual);
	return true;
}

/* ----------------------------------------------------------------- addresses, devices */

static void print_address(const struct fi_info *i)
{
	char text[FAB_ADDR_STRLEN];
	union fab_addr addr;

	if (fab_addr_set(&addr, i->src_addr, i->src_addrlen))
		return;
	fab_addr_str(&addr, text);
	/* its port is 0 */
	*strrchr(text, ':') = '\0';
	printf("  %-12s %-28s fabric %s\n", i->domain_attr->name, text, i->fabric_attr->name);
}

/* Once for each address: of the kinds of endpoints, that for datagrams. */
static void print_addresses(void)
{
	struct fi_info *list = NULL;
	int ret = eta_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, NULL, &list);

	puts("addresses that the libfabric provider offers, best first");
	if (ret)
		puts("  none: no interface is up, or ETA_FABRIC or FI_ETA_IFACE rules all out");
	for (const struct fi_info *i = list; i; i = i->next)
		if (i->ep_attr->type == FI_EP_RDM)
			print_address(i);
	fi_freeinfo(list);
}

static void print_device(const struct fab_device *d)
{
	char text[FAB_ADDR_STRLEN];

	printf("  %-12s %s: %s%s%s\n", d->name, d->usable ? "usable" : "not usable", d->state,
	       *d->netdev ? ", on " : "", d->netdev);
	for (unsigned i = 0; i < d->naddrs; i++) {
		fab_addr_str(&d->addr[i], text);
		*strrchr(text, ':') = '\0';
		printf("  %-12s %s\n", "", text);
	}
}

static void print_devices(void)
{
	struct fab_device *devices;
	char why[160] = "";
	int n = fabric_devices(&devices, why, sizeof(why));

	puts("RDMA devices");
	if (n <= 0)
		printf("  none: %s\n", why);
	for (int i = 0; i < n; i++)
		print_device(&devices[i]);
	if (n > 0)
		free(devices);
}

/* ----------------------------------------------------------------------------- options */

static int wrong_usage(const char *what)
{
	if (what)
		fprintf(stderr, "eta-info: what is %s?\n", what);
	fputs("Try eta-info --help\n", stderr);
	return EXIT_USAGE;
}

static const struct option options[] = {
	{ "fabric", required_argument, NULL, 'f' },
	{ "placement", required_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

/* -1: go on; else the exit code. */
static int take_options(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			setenv("ETA_FABRIC", optarg, 1);
			break;
		case 'p':
			setenv("ETA_PPE", optarg, 1);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("eta-info " ETA_INFO_VERSION);
			return 0;
		default:
			return wrong_usage(NULL);
		}
	}
	return optind < argc ? wrong_usage(argv[optind]) : -1;
}

int main(int argc, char **argv)
{
	int code = take_options(argc, argv);

	if (code >= 0)
		return code;
	fi_prov_ini();
	print_addresses();
	print_devices();
	print_uring();
	return print_engine() ? EXIT_SUCCESS : EXIT_FAILURE;
}
