/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * transfer.c - sending a response. Pieces begin small and double while they are taken: the event of
 * a send comes when all of it is sent, so a piece is also the grain in which a peer that takes
 * nothing is told from one that takes long.
 */
#include "examples/webserver/transfer.h"

#include <stdlib.h>

#include "examples/webserver/response.h"
#include "examples/webserver/server.h"

#define PIECE_FIRST (1u << 20)
#define PIECE_MAX (16u << 20)

static struct gaio_buf head_buf(const struct connection *c, size_t len)
{
	return (struct gaio_buf){ c->out, len, c->server->buffers.mem };
}

static void count_send(struct connection *c, int err)
{
	if (!err)
		c->sends++;
	connection_posted(c, err);
}

static void start(struct connection *c, uint64_t bytes)
{
	const struct settings *settings = &c->server->settings;

	c->sending = true;
	connection_set_deadline(
		c, (int64_t)(settings->timeout_s * 1000 + bytes * 1000 / settings->rate));
}

void transfer_begin(struct connection *c)
{
	/* one for each connection, so there is one */
	if (!c->out)
		c->out = pool_take(&c->server->buffers.outs);
}

/* From the mapping, in one send with the head. */
static void post_mapped(struct connection *c, size_t head, size_t len)
{
	struct gaio_buf bufs[2];
	int n = 0;

	if (head)
		bufs[n++] = head_buf(c, head);
	if (len)
		bufs[n++] = (struct gaio_buf){ c->file->data + c->offset, len, c->file->mem };
	count_send(c, gaio_send(c->sock, bufs, n, 0, 0));
}

/* From the descriptor, behind the head. */
static void post_read(struct connection *c, size_t head, size_t len)
{
	struct gaio_buf buf = head_buf(c, head);

	if (head)
		count_send(c, gaio_send(c->sock, &buf, 1, len ? GAIO_MORE : 0, 0));
	if (len && !c->closed)
		count_send(c, gaio_send_file(c->sock, c->file->handle, c->offset, len, 0));
}

/* The head, if there is one, and the next piece of what is left of c->file. */
static void post_piece(struct connection *c, size_t head)
{
	uint64_t left = c->end - c->offset;
	size_t len = left < c->piece ? (size_t)left : c->piece;

	start(c, len);
	if (c->file && c->file->handle)
		post_read(c, head, len);
	else
		post_mapped(c, head, len);
	c->offset += len;
	if (c->piece < PIECE_MAX)
		c->piece *= 2;
}

void transfer_text(struct connection *c, size_t head)
{
	struct gaio_buf buf = head_buf(c, head);

	c->offset = c->end = 0;
	start(c, 0);
	count_send(c, gaio_send(c->sock, &buf, 1, 0, 0));
}

void transfer_made(struct connection *c, size_t head, size_t len)
{
	struct gaio_buf bufs[2] = { head_buf(c, head), { c->made, len, c->server->buffers.mem } };

	c->offset = c->end = 0;
	start(c, len);
	count_send(c, gaio_send(c->sock, bufs, len ? 2 : 1, 0, 0));
}

void transfer_file(struct connection *c, size_t head, struct file *file, uint64_t first,
		   uint64_t end)
{
	c->file = file;
	c->offset = first;
	c->end = end;
	c->piece = PIECE_FIRST;
	post_piece(c, head);
}

void transfer_parts(struct connection *c, size_t head, struct file *file, struct parts *parts)
{
	c->parts = parts;
	transfer_file(c, head, file, 0, 0);
}

/* The next part's head and the first piece of it, or what comes behind the last one. */
static void post_part(struct connection *c)
{
	struct parts *parts = c->parts;
	const struct range *range = &parts->ranges[parts->next];

	if (parts->next == parts->count) {
		c->offset = c->end = 0;
		post_piece(c, response_parts_end(c->out));
	} else {
		c->offset = range->first;
		c->end = range->last + 1;
		post_piece(c, response_part(c->out, c->file, range));
	}
	parts->next++;
}

bool transfer_sent(struct connection *c)
{
	if (--c->sends)
		return false;
	if (c->offset < c->end)
		post_piece(c, 0);
	else if (c->parts && c->parts->next <= c->parts->count)
		post_part(c);
	else
		return true;
	return false;
}

void transfer_end(struct connection *c)
{
	if (c->file)
		files_put(c->server->files, c->file);
	if (c->out)
		pool_give(&c->server->buffers.outs, c->out);
	if (c->made)
		pool_give(&c->server->buffers.larges, c->made);
	free(c->parts);
	c->file = NULL;
	c->out = NULL;
	c->made = NULL;
	c->parts = NULL;
	c->sending = false;
}
