/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * data.c - sending and receiving: a list of pieces becomes a descriptor of the engine. Whether the
 * pieces lie in memory that they may use is the engine's to find out, and the event's to tell.
 */
#include <assert.h>

#include "dusi/handle.h"

static_assert(DUSI_BUFS_MAX == PPE_SGE_MAX, "a list of pieces is a gather list");
static_assert(DUSI_INLINE_MAX == PPE_INLINE_MAX, "inline data are handed through");
static_assert(DUSI_OP_BYTES_MAX == UINT32_MAX, "a descriptor counts in 32 bits");

struct op {
	struct ppe_sge sge[PPE_SGE_MAX];
	struct ppe_post post;
	uint32_t bytes;
};

int dusi_gather(const struct dusi_buf *bufs, int n, struct ppe_sge *sge, uint32_t *bytes)
{
	if (!bufs || n < 1 || n > DUSI_BUFS_MAX)
		return -EINVAL;
	*bytes = 0;
	for (int i = 0; i < n; i++) {
		if (bufs[i].len > DUSI_OP_BYTES_MAX - *bytes)
			return -EMSGSIZE;
		*bytes += bufs[i].len;
		sge[i] = (struct ppe_sge){
			.addr = (uintptr_t)bufs[i].addr,
			.len = bufs[i].len,
			.region = bufs[i].mem.region,
			.ptag = bufs[i].mem.ptag,
		};
	}
	return 0;
}

static int gather(struct op *op, const struct dusi_buf *bufs, int n, uint64_t tag)
{
	op->post = (struct ppe_post){ .user_tag = tag, .sge = op->sge, .nsge = n };
	return dusi_gather(bufs, n, op->sge, &op->bytes);
}

int Dusi_Send(dusi_sock_t sock, const struct dusi_buf *bufs, int n, uint64_t tag)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	struct op op;
	int err = dusi_find_sock(sock, &u, &s);

	if (!err)
		err = gather(&op, bufs, n, tag);
	return err ? err : ppe_post_send(s->ppe, &op.post);
}

int Dusi_Send_Inline(dusi_sock_t sock, const void *data, size_t len, uint64_t tag)
{
	struct ppe_post post = { .user_tag = tag, .inline_data = data };
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (!data)
		return -EINVAL;
	if (len > DUSI_INLINE_MAX)
		return -EMSGSIZE;
	post.inline_len = len;
	return ppe_post_send(s->ppe, &post);
}

/* A receive of no bytes could only end in what looks like the end of the stream. */
int Dusi_Recv(dusi_sock_t sock, const struct dusi_buf *bufs, int n, uint64_t tag)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	struct op op;
	int err = dusi_find_sock(sock, &u, &s);

	if (!err)
		err = gather(&op, bufs, n, tag);
	if (err)
		return err;
	return op.bytes ? ppe_post_recv(s->ppe, &op.post) : -EINVAL;
}
