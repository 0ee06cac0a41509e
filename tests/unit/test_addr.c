/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_addr.c - addresses: their length by family, copying a caller's of any length and alignment,
 * and printing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sys/un.h>

#include <cmocka.h>

#include "fabric/fabric.h"

#define FAMILY_END (offsetof(struct sockaddr, sa_family) + sizeof(sa_family_t))

static struct sockaddr_in v4(const char *host, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, host, &in.sin_addr), 1);
	return in;
}

static struct sockaddr_in6 v6(const char *host, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
	return in6;
}

/*
 * Sets an address from a copy of @sa that has exactly @len bytes on the heap, so that a sanitizer
 * sees a read behind them.
 */
static int set_exact(union fab_addr *addr, const void *sa, size_t len)
{
	void *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, sa, len);
	ret = fab_addr_set(addr, copy, (socklen_t)len);
	free(copy);
	return ret;
}

static void assert_all(const void *mem, int byte, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(((const uint8_t *)mem)[i], byte);
}

/* ------------------------------------------------------------------ length */

static void test_len(void **state)
{
	static const sa_family_t others[] = { AF_UNSPEC, AF_UNIX, AF_PACKET, AF_NETLINK,
					      UINT16_MAX };
	union fab_addr addr = { 0 };

	(void)state;
	addr.sa.sa_family = AF_INET;
	assert_int_equal(fab_addr_len(&addr), sizeof(struct sockaddr_in));
	addr.sa.sa_family = AF_INET6;
	assert_int_equal(fab_addr_len(&addr), sizeof(struct sockaddr_in6));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		addr.sa.sa_family = others[i];
		assert_int_equal(fab_addr_len(&addr), 0);
	}
}

/* ------------------------------------------------------------------ set */

static void test_set_v4(void **state)
{
	struct sockaddr_in in = v4("192.0.2.1", 80);
	union fab_addr addr;

	(void)state;
	memset(&addr, 0xff, sizeof(addr));
	assert_int_equal(set_exact(&addr, &in, sizeof(in)), 0);
	assert_memory_equal(&addr, &in, sizeof(in));
	/* Nothing of what was there before. */
	assert_all((char *)&addr + sizeof(in), 0, sizeof(addr) - sizeof(in));
}

static void test_set_v6(void **state)
{
	struct sockaddr_in6 in6 = v6("2001:db8::1", 443);
	union fab_addr addr;

	(void)state;
	in6.sin6_flowinfo = htonl(0x12345);
	in6.sin6_scope_id = 7;
	memset(&addr, 0xff, sizeof(addr));
	assert_int_equal(set_exact(&addr, &in6, sizeof(in6)), 0);
	assert_memory_equal(&addr, &in6, sizeof(in6));
}

/* A caller's length is often that of its storage: what is behind the address is not taken over. */
static void test_set_long(void **state)
{
	struct sockaddr_in in = v4("192.0.2.1", 80);
	struct sockaddr_in6 in6 = v6("::1", 80);
	struct sockaddr_storage ss;
	union fab_addr addr;

	(void)state;
	memset(&ss, 0xee, sizeof(ss));
	memcpy(&ss, &in, sizeof(in));
	assert_int_equal(set_exact(&addr, &ss, sizeof(ss)), 0);
	assert_memory_equal(&addr, &in, sizeof(in));
	assert_all((char *)&addr + sizeof(in), 0, sizeof(addr) - sizeof(in));

	memcpy(&ss, &in6, sizeof(in6));
	assert_int_equal(set_exact(&addr, &ss, sizeof(ss)), 0);
	assert_memory_equal(&addr, &in6, sizeof(in6));
}

/* Every length that is too short, down to none; the output stays as it was. */
static void assert_short(const void *sa, size_t full)
{
	union fab_addr addr;

	memset(&addr, 0xaa, sizeof(addr));
	for (size_t len = 0; len < full; len++)
		assert_int_equal(set_exact(&addr, sa, len), -EINVAL);
	assert_all(&addr, 0xaa, sizeof(addr));
	assert_int_equal(set_exact(&addr, sa, full), 0);
}

static void test_set_short(void **state)
{
	struct sockaddr_in in = v4("192.0.2.1", 80);
	struct sockaddr_in6 in6 = v6("::1", 80);

	(void)state;
	assert_short(&in, sizeof(in));
	assert_short(&in6, sizeof(in6));
}

static void test_set_null(void **state)
{
	union fab_addr addr;

	(void)state;
	assert_int_equal(fab_addr_set(&addr, NULL, 0), -EINVAL);
	assert_int_equal(fab_addr_set(&addr, NULL, sizeof(struct sockaddr_in)), -EINVAL);
}

/* Another family is told as such as soon as there is a family, whatever its length. */
static void test_set_other(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/nowhere" };
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	union fab_addr addr;

	(void)state;
	memset(&addr, 0xaa, sizeof(addr));
	for (size_t len = 0; len < FAMILY_END; len++)
		assert_int_equal(set_exact(&addr, &un, len), -EINVAL);
	assert_int_equal(set_exact(&addr, &un, FAMILY_END), -EAFNOSUPPORT);
	assert_int_equal(set_exact(&addr, &un, sizeof(un)), -EAFNOSUPPORT);
	assert_int_equal(set_exact(&addr, &unspec, sizeof(unspec)), -EAFNOSUPPORT);
	assert_all(&addr, 0xaa, sizeof(addr));
}

static void test_set_unaligned(void **state)
{
	struct sockaddr_in in = v4("192.0.2.1", 80);
	struct sockaddr_in6 in6 = v6("2001:db8::1", 443);
	_Alignas(8) char bytes[sizeof(in6) + 8];
	union fab_addr addr;

	(void)state;
	for (size_t shift = 1; shift < 8; shift++) {
		const struct sockaddr *sa = (const void *)(bytes + shift);

		memcpy(bytes + shift, &in, sizeof(in));
		assert_int_equal(fab_addr_set(&addr, sa, sizeof(in)), 0);
		assert_memory_equal(&addr, &in, sizeof(in));
		memcpy(bytes + shift, &in6, sizeof(in6));
		assert_int_equal(fab_addr_set(&addr, sa, sizeof(in6)), 0);
		assert_memory_equal(&addr, &in6, sizeof(in6));
	}
}

/* ------------------------------------------------------------------ str */

/* Exactly what may be written, on the heap: a sanitizer sees a byte more. */
static void assert_str(const union fab_addr *addr, const char *text)
{
	char *buf = malloc(FAB_ADDR_STRLEN);

	assert_non_null(buf);
	memset(buf, 'x', FAB_ADDR_STRLEN);
	assert_ptr_equal(fab_addr_str(addr, buf), buf);
	assert_non_null(memchr(buf, '\0', FAB_ADDR_STRLEN));
	assert_string_equal(buf, text);
	free(buf);
}

static void assert_str_v4(const char *host, uint16_t port, const char *text)
{
	union fab_addr addr = { .in = v4(host, port) };

	assert_str(&addr, text);
}

static void assert_str_v6(const char *host, uint16_t port, uint32_t scope, const char *text)
{
	union fab_addr addr = { .in6 = v6(host, port) };

	addr.in6.sin6_scope_id = scope;
	assert_str(&addr, text);
}

static void test_str_v4(void **state)
{
	(void)state;
	assert_str_v4("192.0.2.1", 80, "192.0.2.1:80");
	assert_str_v4("0.0.0.0", 0, "0.0.0.0:0");
	assert_str_v4("255.255.255.255", 65535, "255.255.255.255:65535");
}

static void test_str_v6(void **state)
{
	(void)state;
	assert_str_v6("::1", 80, 0, "[::1]:80");
	assert_str_v6("::", 0, 0, "[::]:0");
	assert_str_v6("::ffff:192.0.2.1", 80, 0, "[::ffff:192.0.2.1]:80");
	/* the longest */
	assert_str_v6("2001:db8:1111:2222:3333:4444:5555:6666", 65535, 0,
		      "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
	assert_str_v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 0,
		      "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_str_scope(void **state)
{
	char name[IF_NAMESIZE], text[FAB_ADDR_STRLEN * 2];

	(void)state;
	/* No interface has that number: the address alone. */
	assert_null(if_indextoname(INT32_MAX, name));
	assert_str_v6("fe80::1", 80, INT32_MAX, "[fe80::1]:80");

	/* The loopback, as a rule; any will do. */
	if (!if_indextoname(1, name))
		skip();
	/* "%" and the name, cut to twelve characters together. */
	snprintf(text, sizeof(text), "[fe80::1%%%.11s]:80", name);
	assert_str_v6("fe80::1", 80, 1, text);
	snprintf(text, sizeof(text), "[fe80:1111:2222:3333:4444:5555:6666:7777%%%.11s]:65535",
		 name);
	assert_str_v6("fe80:1111:2222:3333:4444:5555:6666:7777", 65535, 1, text);
}

static void test_str_other(void **state)
{
	union fab_addr addr = { 0 };

	(void)state;
	assert_str(&addr, "(family 0)");
	addr.sa.sa_family = AF_UNIX;
	assert_str(&addr, "(family 1)");
	addr.sa.sa_family = UINT16_MAX;
	assert_str(&addr, "(family 65535)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_len),       cmocka_unit_test(test_set_v4),
		cmocka_unit_test(test_set_v6),    cmocka_unit_test(test_set_long),
		cmocka_unit_test(test_set_short), cmocka_unit_test(test_set_null),
		cmocka_unit_test(test_set_other), cmocka_unit_test(test_set_unaligned),
		cmocka_unit_test(test_str_v4),    cmocka_unit_test(test_str_v6),
		cmocka_unit_test(test_str_scope), cmocka_unit_test(test_str_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
