/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_host.h - this host's IPv4 address in tests: 127.0.0.1, or $ETA_TEST_HOST. RDMA devices have no
 * loopback.
 */
#ifndef ETA_TEST_HOST_H
#define ETA_TEST_HOST_H

#include <arpa/inet.h>
#include <stdlib.h>

static inline const char *test_host(void)
{
	const char *host = getenv("ETA_TEST_HOST");

	return host && *host ? host : "127.0.0.1";
}

/* Its network interface, as the provider names domains: lo, or $ETA_TEST_DOMAIN. */
static inline const char *test_domain(void)
{
	const char *domain = getenv("ETA_TEST_DOMAIN");

	return domain && *domain ? domain : "lo";
}

/* In network order. */
static inline in_addr_t test_host_addr(void)
{
	return inet_addr(test_host());
}

#endif
