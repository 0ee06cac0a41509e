/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* wire.c - frames and pieces, to and from plain structures. No memory, no state. */
#include "fabric/roce/wire.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- set-up */

void roce_cm_put(const struct roce_cm *cm, struct roce_cm_data *out)
{
	*out = (struct roce_cm_data){
		.version = ROCE_VERSION,
		.service = cm->service,
		.credits = be16_make(cm->credits),
		.frame_max = be32_make(cm->frame_max),
		.ord = be16_make(cm->ord),
		.ird = be16_make(cm->ird),
		.features = be32_make(cm->features),
	};
	memcpy(out->magic, ROCE_MAGIC, sizeof(out->magic));
}

static bool is_ours(const void *p, size_t len)
{
	return len >= sizeof(struct roce_cm_data) && !memcmp(p, ROCE_MAGIC, 4);
}

int roce_cm_get(const void *p, size_t len, struct roce_cm *cm)
{
	struct roce_cm_data d;

	if (!p || !is_ours(p, len))
		return -EPROTO;
	memcpy(&d, p, sizeof(d));
	*cm = (struct roce_cm){
		.service = d.service,
		.credits = be16_get(d.credits),
		.ord = be16_get(d.ord),
		.ird = be16_get(d.ird),
		.frame_max = be32_get(d.frame_max),
		.features = be32_get(d.features) & ROCE_FEATURES,
	};
	return cm->credits && cm->frame_max >= ROCE_FRAME_MIN && cm->frame_max <= ROCE_FRAME_MAX
		       ? 0
		       : -EPROTO;
}

void roce_refusal_put(enum roce_refusal why, struct roce_cm_data *out)
{
	*out = (struct roce_cm_data){ .version = ROCE_VERSION, .service = why };
	memcpy(out->magic, ROCE_MAGIC, sizeof(out->magic));
}

const char *roce_refusal_text(const void *p, size_t len)
{
	static const char *const texts[] = {
		[ROCE_REFUSED_DATA] = "it does not understand us",
		[ROCE_REFUSED_SERVICE] = "that port has another service",
		[ROCE_REFUSED_ROOM] = "it has no room for a connection",
	};
	struct roce_cm_data d;

	if (!p || !is_ours(p, len))
		return "no reason given";
	memcpy(&d, p, sizeof(d));
	return d.service < sizeof(texts) / sizeof(texts[0]) && texts[d.service] ? texts[d.service]
										: "unknown";
}

/* ---------------------------------------------------------------------------------- frames */

void roce_frame_put(uint8_t *p, enum roce_kind kind, uint16_t credits, uint32_t value)
{
	struct roce_frame f = {
		.kind = kind,
		.credits = be16_make(credits),
		.value = be32_make(value),
	};

	memcpy(p, &f, sizeof(f));
}

static void hello_fill(const struct fab_hello *h, struct roce_hello *w)
{
	w->features = be16_make(h->features);
	w->name_len = h->name_len;
	w->window = be32_make(h->window);
	w->announces = be32_make(h->announces);
	w->incarnation = be64_make(h->incarnation);
	memcpy(w->name, h->name, h->name_len);
	if (h->has_nonce) {
		w->flags |= ROCE_HELLO_NONCE;
		memcpy(w->nonce, h->nonce, FAB_NONCE);
	}
	if (h->has_proof) {
		w->flags |= ROCE_HELLO_PROOF;
		memcpy(w->proof, h->proof, FAB_PROOF);
	}
}

int roce_hello_put(uint8_t *p, enum roce_kind kind, const struct fab_hello *hello, const void *data,
		   size_t data_len)
{
	static const struct fab_hello none;
	struct roce_hello w = { 0 };

	if (!hello)
		hello = &none;
	if (hello->name_len > FAB_NAME_MAX)
		return -EINVAL;
	if (data_len > FAB_PDATA_MAX)
		return -EMSGSIZE;
	hello_fill(hello, &w);
	/* atomics and immediate data are the fabric's own, and always there */
	w.features = be16_make(hello->features | FAB_FEATURE_ATOMIC);
	w.data_len = be16_make(data_len);
	roce_frame_put(p, kind, 0, 0);
	p += sizeof(struct roce_frame);
	memcpy(p, &w, sizeof(w));
	if (data_len)
		memcpy(p + sizeof(w), data, data_len);
	return sizeof(struct roce_frame) + sizeof(w) + data_len;
}

int roce_hello_get(const uint8_t *p, size_t len, struct fab_hello *hello, const uint8_t **data,
		   size_t *data_len)
{
	struct roce_hello w;

	if (len < sizeof(w))
		return -EPROTO;
	memcpy(&w, p, sizeof(w));
	if (w.name_len > FAB_NAME_MAX || be16_get(w.data_len) > len - sizeof(w) ||
	    be16_get(w.data_len) > FAB_PDATA_MAX)
		return -EPROTO;
	*hello = (struct fab_hello){
		.features = be16_get(w.features),
		.name_len = w.name_len,
		.has_nonce = w.flags & ROCE_HELLO_NONCE,
		.has_proof = w.flags & ROCE_HELLO_PROOF,
		.incarnation = be64_get(w.incarnation),
		.window = be32_get(w.window),
		.announces = be32_get(w.announces),
	};
	memcpy(hello->name, w.name, w.name_len);
	memcpy(hello->nonce, w.nonce, FAB_NONCE);
	memcpy(hello->proof, w.proof, FAB_PROOF);
	*data = p + sizeof(w);
	*data_len = be16_get(w.data_len);
	return 0;
}

/* ---------------------------------------------------------------------------------- pieces */

uint8_t roce_op_of(const struct fab_send *s)
{
	static const uint8_t ops[] = {
		[FAB_SEND] = ROCE_SEND,           [FAB_WRITE] = ROCE_WRITE,
		[FAB_READ] = ROCE_READ,           [FAB_READ_RESP] = ROCE_READ_RESP,
		[FAB_ATOMIC] = ROCE_ATOMIC,       [FAB_ATOMIC_RESP] = ROCE_ATOMIC_RESP,
		[FAB_IMMEDIATE] = ROCE_IMMEDIATE,
	};

	return ops[s->op];
}

uint32_t roce_piece_head(uint8_t op)
{
	static const uint8_t sizes[ROCE_OPS] = {
		[ROCE_WRITE] = sizeof(be64),
		[ROCE_READ] = sizeof(struct roce_read),
		[ROCE_READ_RESP] = sizeof(be64),
		[ROCE_ATOMIC] = sizeof(struct roce_atomic),
		[ROCE_ATOMIC_RESP] = sizeof(be64),
		[ROCE_IMMEDIATE] = sizeof(be64),
		[ROCE_PLACED] = sizeof(struct roce_placed),
		[ROCE_PLACED_RESP] = sizeof(struct roce_placed),
		[ROCE_READ_INTO] = sizeof(struct roce_read_into),
		[ROCE_FETCHED] = sizeof(struct roce_read),
		[ROCE_KEY_ASK] = sizeof(struct roce_key_ask),
		[ROCE_KEY] = sizeof(struct roce_key_data),
	};

	return sizeof(struct roce_piece) + sizes[op];
}

static void put64(uint8_t *p, uint64_t value)
{
	be64 v = be64_make(value);

	memcpy(p, &v, sizeof(v));
}

static struct roce_read read_of(const struct fab_read_req *r)
{
	return (struct roce_read){
		.to = be64_make(r->to),
		.sink_to = be64_make(r->sink_to),
		.sink_stag = be32_make(r->sink_stag),
		.len = be32_make(r->len),
	};
}

static void put_read(uint8_t *p, const struct fab_send *s)
{
	const struct fab_read_req req = {
		.sink_stag = s->sink_stag,
		.sink_to = s->sink_to,
		.to = s->to,
		.len = s->read_len,
	};
	struct roce_read r = read_of(&req);

	memcpy(p, &r, sizeof(r));
}

static void put_atomic(uint8_t *p, const struct fab_send *s)
{
	const struct fab_atomic *a = s->atomic;
	struct roce_atomic w = {
		.to = be64_make(s->to),
		.id = be32_make(s->id),
		.op = a->op == FAB_CMP_SWAP ? ROCE_CMP_SWAP : ROCE_FETCH_ADD,
		.data = be64_make(a->data),
		.data_mask = be64_make(a->data_mask),
		.cmp = be64_make(a->cmp),
		.cmp_mask = be64_make(a->cmp_mask),
	};

	memcpy(p, &w, sizeof(w));
}

static void put_rest(uint8_t *p, const struct fab_send *s, uint32_t offset)
{
	switch (s->op) {
	case FAB_WRITE:
	case FAB_READ_RESP:
		put64(p, s->to + offset);
		break;
	case FAB_READ:
		put_read(p, s);
		break;
	case FAB_ATOMIC:
		put_atomic(p, s);
		break;
	case FAB_ATOMIC_RESP:
	case FAB_IMMEDIATE:
		put64(p, s->value);
		break;
	default:
		break;
	}
}

uint32_t roce_piece_put(uint8_t *p, const struct fab_send *s, uint32_t offset, uint32_t len)
{
	struct roce_piece w = { .op = roce_op_of(s), .len = be16_make(len) };
	bool payload = roce_has_payload(w.op);

	if (!payload || !offset)
		w.flags |= ROCE_FIRST;
	if (!payload || offset + len == s->len)
		w.flags |= ROCE_LAST;
	if (s->op == FAB_ATOMIC_RESP)
		w.stag = be32_make(s->id);
	else if (s->op != FAB_SEND && s->op != FAB_IMMEDIATE)
		w.stag = be32_make(s->stag);
	memcpy(p, &w, sizeof(w));
	put_rest(p + sizeof(w), s, offset);
	return roce_piece_head(w.op);
}

static void put_note(uint8_t *p, const struct roce_note *n)
{
	union {
		struct roce_placed placed;
		struct roce_read read;
		struct roce_read_into into;
		struct roce_key_ask ask;
		struct roce_key_data key;
	} w = { 0 };

	switch (n->op) {
	case ROCE_PLACED:
	case ROCE_PLACED_RESP:
		w.placed.to = be64_make(n->to);
		w.placed.len = be32_make(n->len);
		break;
	case ROCE_READ_INTO:
		w.into.addr = be64_make(n->addr);
		w.into.rkey = be32_make(n->rkey);
		w.into.read = read_of(&n->read);
		break;
	case ROCE_FETCHED:
		w.read = read_of(&n->read);
		break;
	case ROCE_KEY_ASK:
		w.ask.to = be64_make(n->to);
		w.ask.len = be32_make(n->len);
		w.ask.access = n->access;
		break;
	case ROCE_KEY:
		w.key.to = be64_make(n->to);
		w.key.addr = be64_make(n->addr);
		w.key.len = be64_make(n->span);
		w.key.rkey = be32_make(n->rkey);
		w.key.access = n->access;
		w.key.flags = n->flags;
		break;
	default:
		break;
	}
	memcpy(p, &w, roce_piece_head(n->op) - sizeof(struct roce_piece));
}

uint32_t roce_note_put(uint8_t *p, const struct roce_note *note)
{
	struct roce_piece w = {
		.op = note->op,
		.flags = ROCE_FIRST | ROCE_LAST,
		.stag = be32_make(note->stag),
	};

	memcpy(p, &w, sizeof(w));
	put_note(p + sizeof(w), note);
	return roce_piece_head(note->op);
}

static uint64_t get64(const uint8_t *p)
{
	be64 v;

	memcpy(&v, p, sizeof(v));
	return be64_get(v);
}

static void get_read(const uint8_t *p, struct roce_item *item)
{
	struct roce_read r;

	memcpy(&r, p, sizeof(r));
	item->read = (struct fab_read_req){
		.sink_stag = be32_get(r.sink_stag),
		.stag = item->stag,
		.sink_to = be64_get(r.sink_to),
		.to = be64_get(r.to),
		.len = be32_get(r.len),
	};
}

static int get_atomic(const uint8_t *p, struct roce_item *item)
{
	struct roce_atomic a;

	memcpy(&a, p, sizeof(a));
	if (a.op != ROCE_FETCH_ADD && a.op != ROCE_CMP_SWAP)
		return -EPROTO;
	item->to = be64_get(a.to);
	item->id = be32_get(a.id);
	item->atomic = (struct fab_atomic){
		.op = a.op == ROCE_CMP_SWAP ? FAB_CMP_SWAP : FAB_FETCH_ADD,
		.data = be64_get(a.data),
		.data_mask = be64_get(a.data_mask),
		.cmp = be64_get(a.cmp),
		.cmp_mask = be64_get(a.cmp_mask),
	};
	return 0;
}

static int get_placed(const uint8_t *p, struct roce_note *n)
{
	struct roce_placed w;

	memcpy(&w, p, sizeof(w));
	n->to = be64_get(w.to);
	n->len = be32_get(w.len);
	return n->len ? 0 : -EPROTO;
}

static bool is_access(uint8_t access)
{
	return access == ROCE_MAY_READ || access == ROCE_MAY_WRITE;
}

static int get_key_ask(const uint8_t *p, struct roce_note *n)
{
	struct roce_key_ask w;

	memcpy(&w, p, sizeof(w));
	n->to = be64_get(w.to);
	n->len = be32_get(w.len);
	n->access = w.access;
	return n->len && n->to <= UINT64_MAX - n->len && is_access(n->access) ? 0 : -EPROTO;
}

static int get_key(const uint8_t *p, struct roce_note *n)
{
	struct roce_key_data w;

	memcpy(&w, p, sizeof(w));
	n->to = be64_get(w.to);
	n->addr = be64_get(w.addr);
	n->span = be64_get(w.len);
	n->rkey = be32_get(w.rkey);
	n->access = w.access;
	n->flags = w.flags & ROCE_KEY_NEVER;
	return n->to <= UINT64_MAX - n->span && n->addr <= UINT64_MAX - n->span &&
			       is_access(n->access)
		       ? 0
		       : -EPROTO;
}

static int get_noted_read(const uint8_t *p, struct roce_item *item)
{
	get_read(p, item);
	item->note.read = item->read;
	return item->read.len ? 0 : -EPROTO;
}

static int get_read_into(const uint8_t *p, struct roce_item *item)
{
	struct roce_note *n = &item->note;
	struct roce_read_into w;

	memcpy(&w, p, sizeof(w));
	n->addr = be64_get(w.addr);
	n->rkey = be32_get(w.rkey);
	if (get_noted_read(p, item))
		return -EPROTO;
	return n->addr <= UINT64_MAX - n->read.len ? 0 : -EPROTO;
}

static int get_note(const uint8_t *p, struct roce_item *item)
{
	struct roce_note *n = &item->note;

	n->op = item->op;
	n->stag = item->stag;
	switch (n->op) {
	case ROCE_PLACED:
	case ROCE_PLACED_RESP:
		return get_placed(p, n);
	case ROCE_READ_INTO:
		return get_read_into(p, item);
	case ROCE_FETCHED:
		return get_noted_read(p, item);
	case ROCE_KEY_ASK:
		return get_key_ask(p, n);
	case ROCE_KEY:
		return get_key(p, n);
	default:
		return 0;
	}
}

static int get_rest(const uint8_t *p, struct roce_item *item)
{
	if (item->op >= ROCE_PLACED)
		return get_note(p, item);
	switch (item->op) {
	case ROCE_WRITE:
	case ROCE_READ_RESP:
		item->to = get64(p);
		return 0;
	case ROCE_READ:
		get_read(p, item);
		return 0;
	case ROCE_ATOMIC:
		return get_atomic(p, item);
	case ROCE_ATOMIC_RESP:
		item->id = item->stag;
		item->value = get64(p);
		return 0;
	case ROCE_IMMEDIATE:
		item->value = get64(p);
		return 0;
	default:
		return 0;
	}
}

int roce_piece_get(const uint8_t *p, size_t n, struct roce_item *item)
{
	struct roce_piece w;
	struct roce_item it = { 0 };
	uint32_t head, len;

	if (n < sizeof(w))
		return -EPROTO;
	memcpy(&w, p, sizeof(w));
	if (!w.op || w.op >= ROCE_OPS)
		return -EPROTO;
	head = roce_piece_head(w.op);
	len = be16_get(w.len);
	if (n < head + roce_pad(len) || (len && !roce_has_payload(w.op)))
		return -EPROTO;
	it.op = w.op;
	it.first = w.flags & ROCE_FIRST;
	it.last = w.flags & ROCE_LAST;
	it.len = len;
	it.payload = p + head;
	it.stag = be32_get(w.stag);
	/* only payload is ever cut, and no piece may carry nothing for ever */
	if (!roce_has_payload(w.op) ? !it.first || !it.last : !len && !(it.first && it.last))
		return -EPROTO;
	if (get_rest(p + sizeof(w), &it))
		return -EPROTO;
	*item = it;
	return head + roce_pad(len);
}

/* ------------------------------------------------------------------------------ farewells */

static const struct {
	int err;
	const char *text;
} byes[] = {
	[ROCE_BYE_DONE] = { 0, "closed" },
	[ROCE_BYE_CUT] = { -ECONNRESET, "closed in the middle of a message" },
	[ROCE_BYE_KEY] = { -ENOKEY, "no such region" },
	[ROCE_BYE_BOUNDS] = { -ERANGE, "beyond a region's bounds" },
	[ROCE_BYE_ACCESS] = { -EACCES, "access not allowed" },
	[ROCE_BYE_ASSOC] = { -EPERM, "a region of other connections" },
	[ROCE_BYE_BUSY] = { -EBUSY, "more requests than agreed on" },
	[ROCE_BYE_PROTO] = { -EPROTO, "protocol violation" },
	[ROCE_BYE_LOCAL] = { -ECONNABORTED, "a local error" },
};

enum roce_bye roce_bye_of(int err)
{
	for (unsigned i = ROCE_BYE_KEY; i < ROCE_BYE_LOCAL; i++)
		if (byes[i].err == err)
			return i;
	return ROCE_BYE_LOCAL;
}

const char *roce_bye_text(uint32_t bye)
{
	return bye < sizeof(byes) / sizeof(byes[0]) ? byes[bye].text : "unknown reason";
}
