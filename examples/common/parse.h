/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * parse.h - what the example programs read from their command lines: addresses and numbers.
 */
#ifndef EXAMPLES_COMMON_PARSE_H
#define EXAMPLES_COMMON_PARSE_H

#include <stdint.h>
#include <sys/socket.h>

struct address {
	struct sockaddr_storage storage;
	socklen_t len;
};

/*
 * "ADDRESS:PORT": an IPv4 address, an IPv6 address in brackets, or a name. With @passive nothing
 * or "*" before the colon means every IPv4 address of this machine. NULL, or what is wrong.
 */
const char *parse_address(const char *text, int passive, struct address *address);

/* The same the other way round; @text has room for PARSE_ADDRESS_MAX. */
#define PARSE_ADDRESS_MAX 64
void format_address(const struct sockaddr_storage *storage, char *text);
/* Without the port, and without brackets. */
void format_host(const struct sockaddr_storage *storage, char *text);

/*
 * A decimal number between @least and @most; the suffixes k, m, g mean KiB, MiB, GiB when @sizes.
 * 0, or -EINVAL: not a number; -ERANGE.
 */
int parse_number(const char *text, int sizes, uint64_t least, uint64_t most, uint64_t *value);

#endif
