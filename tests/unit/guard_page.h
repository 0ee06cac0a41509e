/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * guard_page.h - places a decoder's input so that the octet behind it cannot be read.
 *
 * A decoder that looks one octet too far dies at once, with or without a sanitizer.
 */
#ifndef ETA_TESTS_GUARD_PAGE_H
#define ETA_TESTS_GUARD_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_ROOM ((size_t)256 * 1024)

/* First octet of the forbidden page; GUARD_ROOM octets before it may be used. */
static inline uint8_t *guard_end(void)
{
	static uint8_t *end;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *room;

	if (end)
		return end;
	room = mmap(NULL, GUARD_ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (room == MAP_FAILED || mprotect(room + GUARD_ROOM, page, PROT_NONE) != 0)
		abort();
	end = room + GUARD_ROOM;
	return end;
}

/* A copy of @len octets that ends where the forbidden page begins; the next call overwrites it. */
static inline uint8_t *guard_copy(const void *data, size_t len)
{
	uint8_t *at = guard_end() - len;

	if (len)
		memcpy(at, data, len);
	return at;
}

#endif
