/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * parse.c - addresses and numbers of the command line.
 */
#include "examples/common/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 256

/* Splits "[host]:port" and "host:port". */
static const char *split(const char *text, char *host, const char **port)
{
	const char *colon, *begin = text;
	size_t len;

	if (*text == '[') {
		begin = text + 1;
		colon = strchr(begin, ']');
		len = colon ? (size_t)(colon - begin) : 0;
		if (!colon || *++colon != ':')
			return "expected [ADDRESS]:PORT";
	} else {
		colon = strrchr(text, ':');
		if (!colon)
			return "expected ADDRESS:PORT";
		if (strchr(text, ':') != colon)
			return "an IPv6 address goes in brackets: [ADDRESS]:PORT";
		len = colon - begin;
	}
	if (len >= HOST_MAX)
		return "the address is too long";
	memcpy(host, begin, len);
	host[len] = '\0';
	*port = colon + 1;
	return NULL;
}

static const char *resolve(const char *host, const char *port, int passive, struct address *address)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;
	int err;

	if (passive && (!*host || !strcmp(host, "*"))) {
		hints.ai_family = AF_INET;
		hints.ai_flags |= AI_PASSIVE;
		host = NULL;
	} else if (!*host) {
		return "the address is missing";
	}
	err = getaddrinfo(host, port, &hints, &found);
	if (err)
		return gai_strerror(err);
	memset(address, 0, sizeof(*address));
	memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
	address->len = found->ai_addrlen;
	freeaddrinfo(found);
	return NULL;
}

const char *parse_address(const char *text, int passive, struct address *address)
{
	char host[HOST_MAX];
	const char *port, *problem = split(text, host, &port);
	uint64_t number;

	if (problem)
		return problem;
	/* getaddrinfo() takes 65536 for 0 */
	if (parse_number(port, 0, passive ? 0 : 1, 65535, &number))
		return passive ? "the port is a number from 0 (any) to 65535"
			       : "the port is a number from 1 to 65535";
	return resolve(host, port, passive, address);
}

void format_host(const struct sockaddr_storage *storage, char *text)
{
	const struct sockaddr_in *in = (const void *)storage;
	const struct sockaddr_in6 *in6 = (const void *)storage;

	strcpy(text, "?");
	if (storage->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN);
}

void format_address(const struct sockaddr_storage *storage, char *text)
{
	const struct sockaddr_in *in = (const void *)storage;
	bool six = storage->ss_family == AF_INET6;
	char host[PARSE_ADDRESS_MAX];

	format_host(storage, host);
	/* the port is at the same place in both */
	snprintf(text, PARSE_ADDRESS_MAX, six ? "[%.45s]:%u" : "%.45s:%u", host,
		 ntohs(in->sin_port));
}

static int suffix_shift(char suffix)
{
	switch (suffix) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return 0;
	}
}

int parse_number(const char *text, int sizes, uint64_t least, uint64_t most, uint64_t *value)
{
	unsigned long long number;
	char *end;
	int shift;

	/* strtoull() would take a sign, or space */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	shift = sizes ? suffix_shift(*end) : 0;
	if (shift)
		end++;
	if (*end)
		return -EINVAL;
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	number <<= shift;
	if (number < least || number > most)
		return -ERANGE;
	*value = number;
	return 0;
}
