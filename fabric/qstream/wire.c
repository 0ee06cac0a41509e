/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* wire.c - messages of the byte stream to and from plain structures. No state, no memory. */
#include "fabric/qstream/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

size_t qs_header_put(uint8_t *p, enum qs_op op, uint8_t flags, uint32_t length, uint64_t limit)
{
	struct qs_header h = { .op = (uint8_t)op,
			       .flags = flags,
			       .length = be32_make(length),
			       .limit = be64_make(limit) };

	memcpy(p, &h, sizeof(h));
	return sizeof(h);
}

size_t qs_ring_put(uint8_t *p, uint32_t stag, uint32_t size, uint64_t to)
{
	struct qs_ring r = { be32_make(stag), be32_make(size), be64_make(to) };

	memcpy(p, &r, sizeof(r));
	return sizeof(r);
}

static bool is_size(uint32_t n)
{
	return n && n <= QS_WINDOW_MAX;
}

static int ring_get(const uint8_t *p, size_t len, struct qs_message *msg)
{
	struct qs_ring r;

	if (len != sizeof(r) || msg->length)
		return -EPROTO;
	memcpy(&r, p, sizeof(r));
	msg->stag = be32_get(r.stag);
	msg->size = be32_get(r.size);
	msg->to = be64_get(r.to);
	if (!is_size(msg->size) || (msg->size & (msg->size - 1)) ||
	    msg->to > UINT64_MAX - msg->size)
		return -EPROTO;
	return 0;
}

int qs_message_get(const uint8_t *p, size_t len, struct qs_message *msg)
{
	struct qs_header h;

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, p, sizeof(h));
	p += sizeof(h);
	len -= sizeof(h);
	*msg = (struct qs_message){ .op = h.op,
				    .flags = h.flags,
				    .length = be32_get(h.length),
				    .limit = be64_get(h.limit),
				    .data = p };
	if ((h.flags & ~QS_F_ASK) || be16_get(h.reserved))
		return -EPROTO;
	switch (h.op) {
	case QS_DATA:
		return len && len == msg->length && len <= QS_INLINE_MAX ? 0 : -EPROTO;
	case QS_LANDED:
		return !len && is_size(msg->length) ? 0 : -EPROTO;
	case QS_CREDIT:
	case QS_FIN:
		return !len && !msg->length ? 0 : -EPROTO;
	case QS_RING:
		return ring_get(p, len, msg);
	default:
		return -EPROTO;
	}
}

void qs_hello_put(struct qs_hello *hello, uint32_t window)
{
	*hello = (struct qs_hello){ .version = QS_VERSION, .window = be32_make(window) };
	memcpy(hello->magic, QS_MAGIC, sizeof(hello->magic));
}

int qs_hello_get(const void *p, size_t len, uint32_t *window)
{
	struct qs_hello h;

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, p, sizeof(h));
	if (memcmp(h.magic, QS_MAGIC, sizeof(h.magic)) || h.version != QS_VERSION ||
	    !is_size(be32_get(h.window)))
		return -EPROTO;
	*window = be32_get(h.window);
	return 0;
}
