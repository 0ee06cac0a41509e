/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * be.h - big-endian integers that cannot be mistaken for the machine's own.
 *
 * Each is a structure of bytes: assigning one to an integer, or comparing it with one, does not
 * compile, so nothing goes to or comes from the wire unconverted. Their alignment is 1, so a wire
 * structure made of them has no padding and may lie anywhere in a receive buffer.
 */
#ifndef ETA_BE_H
#define ETA_BE_H

#include <assert.h>
#include <stdint.h>

typedef struct {
	uint8_t b[2];
} be16;

typedef struct {
	uint8_t b[4];
} be32;

typedef struct {
	uint8_t b[8];
} be64;

static_assert(sizeof(be16) == 2 && sizeof(be32) == 4 && sizeof(be64) == 8, "bytes only");

/* Spelled byte by byte: gcc and clang make one load and one swap of each of these. */
static inline uint16_t be16_get(be16 v)
{
	return (uint16_t)(v.b[0] << 8 | v.b[1]);
}

static inline uint32_t be32_get(be32 v)
{
	return (uint32_t)v.b[0] << 24 | (uint32_t)v.b[1] << 16 | (uint32_t)v.b[2] << 8 | v.b[3];
}

static inline uint64_t be64_get(be64 v)
{
	return (uint64_t)v.b[0] << 56 | (uint64_t)v.b[1] << 48 | (uint64_t)v.b[2] << 40 |
	       (uint64_t)v.b[3] << 32 | (uint64_t)v.b[4] << 24 | (uint64_t)v.b[5] << 16 |
	       (uint64_t)v.b[6] << 8 | (uint64_t)v.b[7];
}

static inline be16 be16_make(uint16_t host)
{
	be16 v = { { (uint8_t)(host >> 8), (uint8_t)host } };

	return v;
}

static inline be32 be32_make(uint32_t host)
{
	be32 v = { { (uint8_t)(host >> 24), (uint8_t)(host >> 16), (uint8_t)(host >> 8),
		     (uint8_t)host } };

	return v;
}

static inline be64 be64_make(uint64_t host)
{
	be64 v = { { (uint8_t)(host >> 56), (uint8_t)(host >> 48), (uint8_t)(host >> 40),
		     (uint8_t)(host >> 32), (uint8_t)(host >> 24), (uint8_t)(host >> 16),
		     (uint8_t)(host >> 8), (uint8_t)host } };

	return v;
}

#endif
