/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * protocol.h - what the two sides tell each other besides the data. Numbers are big-endian.
 *
 *	transmitter -> receiver			receiver -> transmitter
 *	+---------------------------+
 *	| "eta-ttcp"		  8 |
 *	| bytes of data		  8 |
 *	| seed of the pattern	  8 |
 *	| bytes of an operation	  4 |
 *	| flags			  4 |		with HELLO_LATENCY: the data, as they come
 *	+---------------------------+		+----------------------------+
 *	| data			    |		| bytes of data received   8 |
 *	+---------------------------+		| first wrong one, or ~0   8 |
 *	end of stream				+----------------------------+
 *						end of stream
 *
 * So either side knows an early end from the right one, and the transmitter that all has arrived.
 */
#ifndef EXAMPLES_TTCP_PROTOCOL_H
#define EXAMPLES_TTCP_PROTOCOL_H

#include <stdint.h>

#define HELLO_BYTES 32
#define HELLO_LATENCY 0x01 /* send the data back */
#define HELLO_PATTERN 0x02 /* the data are the pattern */

struct hello {
	uint64_t total;
	uint64_t seed;
	uint32_t size;
	uint32_t flags;
};

#define VERDICT_BYTES 16
#define VERDICT_RIGHT UINT64_MAX

struct verdict {
	uint64_t received;
	uint64_t mismatch; /* offset of the first wrong byte */
};

void hello_encode(const struct hello *hello, uint8_t bytes[static HELLO_BYTES]);
/* -EPROTO: this is no eta-ttcp, or one of another version. */
int hello_decode(const uint8_t bytes[static HELLO_BYTES], struct hello *hello);

void verdict_encode(const struct verdict *verdict, uint8_t bytes[static VERDICT_BYTES]);
void verdict_decode(const uint8_t bytes[static VERDICT_BYTES], struct verdict *verdict);

#endif
