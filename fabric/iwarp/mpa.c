/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpa.c - encodes and decodes MPA start-up frames, and closes FPDUs with pad and CRC32C. */
#include "fabric/iwarp/mpa.h"

#include <string.h>
#include <isa-l/crc.h>

static const struct {
	const char *name;
	uint16_t term;
} errors[MPA_ERRORS] = {
	[MPA_OK] = { "ok", TERM_MPA_LOCAL },
	[MPA_E_KEY] = { "not an MPA frame", TERM_MPA_FRAME },
	[MPA_E_REVISION] = { "unknown MPA revision", TERM_MPA_FRAME },
	[MPA_E_PD_LEN] = { "too much private data", TERM_MPA_FRAME },
	[MPA_E_ENHANCED] = { "IRD and ORD missing", TERM_MPA_FRAME },
	[MPA_E_ETA_BLOCK] = { "malformed eta block", TERM_MPA_FRAME },
	[MPA_E_REJECTED] = { "rejected by peer", TERM_MPA_LOCAL },
	[MPA_E_MARKERS] = { "markers wanted", TERM_MPA_FRAME },
	[MPA_E_NOT_ENHANCED] = { "reply without RFC 6581", TERM_MPA_FRAME },
	[MPA_E_RTR] = { "no common RTR message", TERM_MPA_RTR },
	[MPA_E_IRD] = { "insufficient IRD", TERM_MPA_IRD },
	[MPA_E_USER_LEN] = { "user data too long", TERM_MPA_LOCAL },
	[MPA_E_ITEM] = { "eta item too long", TERM_MPA_LOCAL },
	[MPA_E_SPACE] = { "private data do not fit", TERM_MPA_LOCAL },
};

/* The index of @err, of either sign, in errors[]; MPA_ERRORS when it is none. */
static unsigned error_index(int err)
{
	unsigned index = err < 0 ? 0u - (unsigned)err : (unsigned)err;

	return index < MPA_ERRORS ? index : MPA_ERRORS;
}

const char *mpa_strerror(int err)
{
	unsigned index = error_index(err);

	return index < MPA_ERRORS ? errors[index].name : "unknown MPA error";
}

uint16_t mpa_error_term(int err)
{
	unsigned index = error_index(err);

	return index < MPA_ERRORS ? errors[index].term : (uint16_t)TERM_MPA_LOCAL;
}

static const char *frame_key(enum mpa_kind kind)
{
	return kind == MPA_REQUEST ? MPA_KEY_REQUEST : MPA_KEY_REPLY;
}

/* ------------------------------------------------------------------ caller's parts */

int mpa_user_set(struct mpa_start *start, const void *data, size_t len)
{
	if (len > MPA_USER_MAX)
		return -MPA_E_USER_LEN;
	if (len)
		memcpy(start->user, data, len);
	start->user_len = (uint16_t)len;
	return 0;
}

int mpa_item_add(struct mpa_eta *eta, uint8_t type, const void *data, size_t len)
{
	size_t used = sizeof(struct mpa_eta_block) + eta->items_len;
	struct mpa_item item = { .type = type, .length = (uint8_t)len };

	if (len > UINT8_MAX || used + sizeof(item) + len > MPA_PD_SEND_MAX)
		return -MPA_E_ITEM;
	memcpy(eta->items + eta->items_len, &item, sizeof(item));
	eta->items_len += sizeof(item);
	if (len)
		memcpy(eta->items + eta->items_len, data, len);
	eta->items_len += (uint8_t)len;
	return 0;
}

/* The next item at *@at of @len octets of items; NULL at the end, or where they are malformed. */
static const struct mpa_item *item_next(const uint8_t *items, size_t len, size_t *at)
{
	const struct mpa_item *item = (const void *)(items + *at);

	if (len - *at < sizeof(*item) || len - *at - sizeof(*item) < item->length)
		return NULL;
	*at += sizeof(*item) + item->length;
	return item;
}

const uint8_t *mpa_item_find(const struct mpa_eta *eta, uint8_t type, size_t *len)
{
	const struct mpa_item *item;
	size_t at = 0;

	while ((item = item_next(eta->items, eta->items_len, &at))) {
		if (item->type != type)
			continue;
		*len = item->length;
		return (const uint8_t *)(item + 1);
	}
	return NULL;
}

/* ------------------------------------------------------------------------ encoding */

static size_t pd_len(const struct mpa_start *start)
{
	size_t len = start->user_len;

	if (start->enhanced)
		len += sizeof(struct mpa_enhanced);
	if (start->raw)
		return len;
	len++;
	if (start->is_eta)
		len += sizeof(struct mpa_eta_block) + start->eta.items_len;
	return len;
}

static uint8_t *put(uint8_t *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

static uint8_t *put_frame(uint8_t *to, const struct mpa_start *start, enum mpa_kind kind)
{
	struct mpa_frame frame = {
		.flags = (start->markers ? MPA_FLAG_MARKERS : 0) | (start->crc ? MPA_FLAG_CRC : 0) |
			 (start->reject ? MPA_FLAG_REJECT : 0) |
			 (start->enhanced ? MPA_FLAG_ENHANCED : 0),
		.rev = start->rev,
		.pd_len = be16_make((uint16_t)pd_len(start)),
	};

	memcpy(frame.key, frame_key(kind), sizeof(frame.key));
	return put(to, &frame, sizeof(frame));
}

static uint8_t *put_enhanced(uint8_t *to, const struct mpa_start *start)
{
	unsigned ird = start->ird & MPA_DEPTH_MASK;
	unsigned ord = start->ord & MPA_DEPTH_MASK;
	struct mpa_enhanced words;

	if (start->p2p)
		ird |= MPA_IRD_P2P;
	if (start->rtr & MPA_RTR_SEND)
		ird |= MPA_IRD_RTR_SEND;
	if (start->rtr & MPA_RTR_WRITE)
		ord |= MPA_ORD_RTR_WRITE;
	if (start->rtr & MPA_RTR_READ)
		ord |= MPA_ORD_RTR_READ;
	words.ird = be16_make((uint16_t)ird);
	words.ord = be16_make((uint16_t)ord);
	return put(to, &words, sizeof(words));
}

static uint8_t *put_eta(uint8_t *to, const struct mpa_eta *eta)
{
	struct mpa_eta_block block = {
		.version = eta->version,
		.length = (uint8_t)(sizeof(block) + eta->items_len),
		.features = be16_make(eta->features),
		.mulpdu = be16_make(eta->mulpdu),
	};

	memcpy(block.magic, MPA_ETA_MAGIC, sizeof(block.magic));
	to = put(to, &block, sizeof(block));
	return put(to, eta->items, eta->items_len);
}

int mpa_encode(const struct mpa_start *start, enum mpa_kind kind, uint8_t *buf, size_t size)
{
	size_t pd = pd_len(start);
	uint8_t *to = buf;

	if (!start->raw && start->user_len > MPA_USER_MAX)
		return -MPA_E_USER_LEN;
	if (pd > MPA_PD_SEND_MAX || size < sizeof(struct mpa_frame) + pd)
		return -MPA_E_SPACE;
	to = put_frame(to, start, kind);
	if (start->enhanced)
		to = put_enhanced(to, start);
	if (!start->raw)
		*to++ = (uint8_t)start->user_len;
	to = put(to, start->user, start->user_len);
	if (!start->raw && start->is_eta)
		to = put_eta(to, &start->eta);
	return (int)(to - buf);
}

/* ------------------------------------------------------------------------ decoding */

/*
 * A rejection says all it must by its flag: whatever else it lacks is forgiven, so that the
 * application learns of the rejection and not of an untidy peer.
 */
static int decode_enhanced(const uint8_t **pd, size_t *len, struct mpa_start *start)
{
	const struct mpa_enhanced *words = (const void *)*pd;
	unsigned ird, ord;

	if (*len < sizeof(*words))
		return start->reject ? 0 : -MPA_E_ENHANCED;
	ird = be16_get(words->ird);
	ord = be16_get(words->ord);
	start->ird = ird & MPA_DEPTH_MASK;
	start->ord = ord & MPA_DEPTH_MASK;
	start->p2p = ird & MPA_IRD_P2P;
	start->rtr = (uint8_t)((ord & MPA_ORD_RTR_WRITE ? MPA_RTR_WRITE : 0) |
			       (ord & MPA_ORD_RTR_READ ? MPA_RTR_READ : 0) |
			       (ird & MPA_IRD_RTR_SEND ? MPA_RTR_SEND : 0));
	*pd += sizeof(*words);
	*len -= sizeof(*words);
	return 0;
}

/* Of the items that are known here; of the others nothing is. */
static bool item_sound(const struct mpa_item *item)
{
	switch (item->type) {
	case MPA_ITEM_NAME:
		return item->length && item->length <= MPA_NAME_MAX;
	case MPA_ITEM_INCARNATION:
		return item->length == sizeof(be64);
	case MPA_ITEM_CHALLENGE:
		return item->length == MPA_NONCE_LEN;
	case MPA_ITEM_PROOF:
		return item->length == MPA_PROOF_LEN;
	case MPA_ITEM_LIMITS:
		return item->length == sizeof(struct mpa_limits);
	default:
		return true;
	}
}

static int decode_eta(const uint8_t *pd, size_t len, struct mpa_start *start)
{
	const struct mpa_eta_block *block = (const void *)pd;
	struct mpa_eta *eta = &start->eta;
	const struct mpa_item *item;
	size_t items_len, at = 0;

	if (len < sizeof(block->magic) ||
	    memcmp(block->magic, MPA_ETA_MAGIC, sizeof(block->magic)) != 0)
		return 0;
	if (len < sizeof(*block) || block->length < sizeof(*block) || block->length > len ||
	    !block->version || be16_get(block->mulpdu) < MPA_MULPDU_MIN)
		return -MPA_E_ETA_BLOCK;
	items_len = block->length - sizeof(*block);
	while ((item = item_next(pd + sizeof(*block), items_len, &at)))
		if (!item_sound(item))
			return -MPA_E_ETA_BLOCK;
	if (at != items_len)
		return -MPA_E_ETA_BLOCK;
	eta->version = block->version;
	eta->features = be16_get(block->features);
	eta->mulpdu = be16_get(block->mulpdu);
	eta->items_len = (uint8_t)items_len;
	memcpy(eta->items, pd + sizeof(*block), items_len);
	start->is_eta = true;
	return 0;
}

/* What is left of the private data: size octet, user data, block; or raw user data. */
static int decode_user(const uint8_t *pd, size_t len, struct mpa_start *start)
{
	size_t user_len = len;

	if (len && pd[0] < len) {
		user_len = *pd++;
		len--;
	} else {
		start->raw = true;
	}
	start->user_len = (uint16_t)user_len;
	memcpy(start->user, pd, user_len);
	return decode_eta(pd + user_len, len - user_len, start);
}

static int decode_pd(const uint8_t *pd, size_t len, struct mpa_start *start)
{
	int err = 0;

	if (start->enhanced)
		err = decode_enhanced(&pd, &len, start);
	if (!err)
		err = decode_user(pd, len, start);
	return start->reject ? 0 : err;
}

/* As many of the header's octets as are there: a peer of another protocol is known by the first. */
static int check_frame(const uint8_t *buf, size_t avail, enum mpa_kind kind)
{
	const struct mpa_frame *frame = (const void *)buf;
	size_t key_len = avail < sizeof(frame->key) ? avail : sizeof(frame->key);

	if (avail && memcmp(frame->key, frame_key(kind), key_len) != 0)
		return -MPA_E_KEY;
	if (avail >= sizeof(*frame) && frame->rev != MPA_REV_1 && frame->rev != MPA_REV_2)
		return -MPA_E_REVISION;
	if (avail >= sizeof(*frame) && be16_get(frame->pd_len) > MPA_PD_MAX)
		return -MPA_E_PD_LEN;
	return 0;
}

int mpa_decode(const uint8_t *buf, size_t avail, enum mpa_kind kind, struct mpa_start *start,
	       size_t *used)
{
	const struct mpa_frame *frame = (const void *)buf;
	int err = check_frame(buf, avail, kind);
	struct mpa_start got;
	size_t need;

	if (err)
		return err;
	if (avail < sizeof(*frame))
		return (int)sizeof(*frame);
	need = sizeof(*frame) + be16_get(frame->pd_len);
	if (avail < need)
		return (int)need;

	memset(&got, 0, sizeof(got));
	got.rev = frame->rev;
	got.markers = frame->flags & MPA_FLAG_MARKERS;
	got.crc = frame->flags & MPA_FLAG_CRC;
	/* In a request R is reserved, and so is S before revision 2: not looked at. */
	got.reject = kind == MPA_REPLY && (frame->flags & MPA_FLAG_REJECT);
	got.enhanced = frame->rev == MPA_REV_2 && (frame->flags & MPA_FLAG_ENHANCED);
	err = decode_pd(buf + sizeof(*frame), need - sizeof(*frame), &got);
	if (err)
		return err;
	*start = got;
	*used = need;
	return 0;
}

/* --------------------------------------------------------------------------- FPDUs */

/* FPDU = length field, ULPDU, pad and CRC; it must fit, and is a multiple of four octets. */
uint16_t mpa_mulpdu_of_mss(uint32_t mss)
{
	const uint32_t frame = MPA_LEN_SIZE + MPA_CRC_SIZE;
	uint32_t fpdu = mss & ~3u;

	if (fpdu <= MPA_MULPDU_MIN + frame)
		return MPA_MULPDU_MIN;
	if (fpdu >= MPA_MULPDU_MAX + frame)
		return MPA_MULPDU_MAX;
	return (uint16_t)(fpdu - frame);
}

/* ISA-L: ~0 goes in, the complement is left to the caller; length is an int; nothing is written. */
uint32_t mpa_crc_add(uint32_t crc, const void *data, size_t len)
{
	unsigned char *at = (unsigned char *)(uintptr_t)data;

	while (len) {
		size_t step = len < (1u << 30) ? len : 1u << 30;

		crc = crc32_iscsi(at, (int)step, crc);
		at += step;
		len -= step;
	}
	return crc;
}

unsigned mpa_trailer_put(uint8_t *out, uint32_t ulpdu_len, bool crc_on, uint32_t crc)
{
	unsigned pad = mpa_pad(ulpdu_len), i;

	memset(out, 0, pad + MPA_CRC_SIZE);
	if (crc_on) {
		crc = ~mpa_crc_add(crc, out, pad);
		for (i = 0; i < MPA_CRC_SIZE; i++)
			out[pad + i] = (uint8_t)(crc >> 8 * i);
	}
	return pad + MPA_CRC_SIZE;
}

/* The pad's content is not looked at, but it is covered: the CRC is over what came. */
bool mpa_trailer_ok(const uint8_t *trailer, uint32_t ulpdu_len, uint32_t crc)
{
	unsigned pad = mpa_pad(ulpdu_len), i;

	crc = ~mpa_crc_add(crc, trailer, pad);
	for (i = 0; i < MPA_CRC_SIZE; i++)
		if (trailer[pad + i] != (uint8_t)(crc >> 8 * i))
			return false;
	return true;
}
