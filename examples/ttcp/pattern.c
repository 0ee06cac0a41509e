/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pattern.c - eight bytes of the pattern at a time: the output of splitmix64 for their number.
 */
#include "examples/ttcp/pattern.h"

#include <endian.h>
#include <string.h>

#define WORD sizeof(uint64_t)

static uint64_t word_at(uint64_t seed, uint64_t index)
{
	uint64_t z = (seed + index + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return htole64(z ^ (z >> 31));
}

/* The part of a word that lies at @offset, at most @len bytes: how many, and the word. */
static size_t part_at(uint64_t seed, uint64_t offset, size_t len, uint8_t word[static WORD])
{
	uint64_t whole = word_at(seed, offset / WORD);
	size_t skip = offset % WORD, n = WORD - skip;

	if (n > len)
		n = len;
	memcpy(word, (const uint8_t *)&whole + skip, n);
	return n;
}

void pattern_fill(uint64_t seed, uint64_t offset, uint8_t *data, size_t len)
{
	uint8_t word[WORD];

	while (len) {
		size_t n = WORD;

		if (offset % WORD || len < WORD) {
			n = part_at(seed, offset, len, word);
			memcpy(data, word, n);
		} else {
			uint64_t whole = word_at(seed, offset / WORD);

			memcpy(data, &whole, WORD);
		}
		data += n;
		offset += n;
		len -= n;
	}
}

static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;

	while (n < len && a[n] == b[n])
		n++;
	return n;
}

size_t pattern_check(uint64_t seed, uint64_t offset, const uint8_t *data, size_t len)
{
	uint8_t word[WORD];
	size_t done = 0;

	while (done < len) {
		uint64_t whole = word_at(seed, (offset + done) / WORD);
		size_t n;

		if ((offset + done) % WORD == 0 && len - done >= WORD &&
		    !memcmp(data + done, &whole, WORD)) {
			done += WORD;
			continue;
		}
		n = part_at(seed, offset + done, len - done, word);
		if (memcmp(data + done, word, n))
			return done + equal_bytes(data + done, word, n);
		done += n;
	}
	return len;
}
