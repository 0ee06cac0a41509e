/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* memory_fi.c - the same for libfabric message endpoints: for information. */
#include <string.h>

#include "bench.h"
#include "fi.h"
#include "link.h"

#define FIRST_ONES 16
#define CQ_SIZE 8192

struct endpoints_shared {
	const char *provider;
	int n;
	char about[160];
	int64_t before[2], after[2]; /* RSS */
	size_t tx_size, rx_size;
};

static void describe(struct endpoints_shared *s, const struct fi_info *i)
{
	snprintf(s->about, sizeof(s->about), "%s;%s", i->fabric_attr->prov_name,
		 fi_tostr(&i->ep_attr->protocol, FI_TYPE_PROTOCOL));
	s->tx_size = i->tx_attr->size;
	s->rx_size = i->rx_attr->size;
}

static int server(void *arg, int ctrl)
{
	struct endpoints_shared *s = arg;
	struct fi_parts p = { .cq_size = CQ_SIZE };

	limit_of_files();
	fi_parts_listen(&p, s->provider, ctrl);
	describe(s, p.info);
	for (int i = 0; i < s->n; i++) {
		if (i == FIRST_ONES)
			s->before[0] = smaps_bytes("Rss");
		fi_parts_accept(&p);
	}
	s->after[0] = smaps_bytes("Rss");
	return ctrl_meet(ctrl);
}

static int client(void *arg, int ctrl)
{
	struct endpoints_shared *s = arg;
	struct fi_parts p = { .cq_size = CQ_SIZE };

	limit_of_files();
	fi_parts_reach(&p, s->provider, ctrl);
	for (int i = 0; i < s->n; i++) {
		if (i == FIRST_ONES)
			s->before[1] = smaps_bytes("Rss");
		fi_parts_connect(&p);
	}
	s->after[1] = smaps_bytes("Rss");
	return ctrl_meet(ctrl);
}

static int measure(const char *provider)
{
	struct endpoints_shared *s = shared_alloc(sizeof(*s));
	struct roles r = { { server, client }, s, .pid = { 0 } };
	int err;

	s->provider = provider;
	s->n = opt.endpoints > FIRST_ONES ? opt.endpoints : FIRST_ONES + 1;
	err = roles_run(&r, 120);
	if (err) {
		err = not_run("memory: %d endpoints of %s", s->n, provider);
	} else {
		double each = s->n - FIRST_ONES;

		printf("  %10.0f %10.0f   %zu sends, %zu receives; %s\n",
		       (s->after[0] - s->before[0]) / each, (s->after[1] - s->before[1]) / each,
		       s->tx_size, s->rx_size, s->about);
	}
	shared_free(s, sizeof(*s));
	return err;
}

int memory_endpoints(void)
{
	int err;

	printf("\n  %d message endpoints, for information: bytes of RSS each\n", opt.endpoints);
	printf("  %10s %10s   %s\n", "server", "client", "queues; provider;protocol");
	err = measure(opt.provider);
	err |= measure(opt.reference);
	return err;
}
