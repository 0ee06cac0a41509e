/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * protocol.c - the first and the last bytes of a transfer.
 */
#include "examples/ttcp/protocol.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define MAGIC "eta-ttcp"
#define MAGIC_BYTES 8
#define FLAGS (HELLO_LATENCY | HELLO_PATTERN)

static void put64(uint8_t *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

void hello_encode(const struct hello *hello, uint8_t bytes[static HELLO_BYTES])
{
	memcpy(bytes, MAGIC, MAGIC_BYTES);
	put64(bytes + 8, hello->total);
	put64(bytes + 16, hello->seed);
	put32(bytes + 24, hello->size);
	put32(bytes + 28, hello->flags);
}

int hello_decode(const uint8_t bytes[static HELLO_BYTES], struct hello *hello)
{
	if (memcmp(bytes, MAGIC, MAGIC_BYTES) || get32(bytes + 28) & ~(uint32_t)FLAGS)
		return -EPROTO;
	hello->total = get64(bytes + 8);
	hello->seed = get64(bytes + 16);
	hello->size = get32(bytes + 24);
	hello->flags = get32(bytes + 28);
	return 0;
}

void verdict_encode(const struct verdict *verdict, uint8_t bytes[static VERDICT_BYTES])
{
	put64(bytes, verdict->received);
	put64(bytes + 8, verdict->mismatch);
}

void verdict_decode(const uint8_t bytes[static VERDICT_BYTES], struct verdict *verdict)
{
	verdict->received = get64(bytes);
	verdict->mismatch = get64(bytes + 8);
}
