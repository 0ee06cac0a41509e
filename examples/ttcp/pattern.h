/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pattern.h - content that can be checked: each byte of the stream follows from a seed and from its
 * place in the stream, so that lost, doubled, moved and changed bytes are all found.
 */
#ifndef EXAMPLES_TTCP_PATTERN_H
#define EXAMPLES_TTCP_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of the stream from @offset on. */
void pattern_fill(uint64_t seed, uint64_t offset, uint8_t *data, size_t len);

/* Compares; returns how many bytes are right before the first wrong one, @len: all. */
size_t pattern_check(uint64_t seed, uint64_t offset, const uint8_t *data, size_t len);

#endif
