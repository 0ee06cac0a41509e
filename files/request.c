/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* request.c - lists of requests, and what an outcome means. */
#include <errno.h>
#include <unistd.h>

#include "files/internal.h"

void req_list_init(struct req_list *l)
{
	l->first = NULL;
	l->last = &l->first;
	l->n = 0;
}

void req_list_add(struct req_list *l, struct files_req *req)
{
	req->next = NULL;
	*l->last = req;
	l->last = &req->next;
	l->n++;
}

struct files_req *req_list_take(struct req_list *l)
{
	struct files_req *req = l->first;

	if (!req)
		return NULL;
	l->first = req->next;
	if (!l->first)
		l->last = &l->first;
	l->n--;
	return req;
}

void req_list_join(struct req_list *to, struct req_list *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	to->n += from->n;
	req_list_init(from);
}

static void iov_advance(struct files_req *req, size_t n)
{
	while (req->niov && n >= req->iov->iov_len) {
		n -= req->iov->iov_len;
		req->iov++;
		req->niov--;
	}
	if (req->niov) {
		req->iov->iov_base = (char *)req->iov->iov_base + n;
		req->iov->iov_len -= n;
	}
}

static bool write_step(struct files_req *req, size_t n)
{
	req->moved += n;
	if (req->moved >= req->len) {
		req->result = (int64_t)req->moved;
		return false;
	}
	if (!n) {
		/* no file says so; a device might, for ever */
		req->result = -EIO;
		return false;
	}
	iov_advance(req, n);
	return true;
}

/* Up to the end of the file, wherever that is by now. */
static bool prepare_step(struct files_req *req, size_t n)
{
	req->moved += n;
	/* the last read may have been of more than was asked for */
	if (req->moved > req->len)
		req->moved = req->len;
	req->result = (int64_t)req->moved;
	return n && req->moved < req->len;
}

bool req_step(struct files_req *req, int64_t n)
{
	if (req->op == FILES_CLOSE)
		n = 0;
	if (n >= 0 && req->op == FILES_WRITE)
		return write_step(req, (size_t)n);
	if (n >= 0 && req->op == FILES_PREPARE)
		return prepare_step(req, (size_t)n);
	req->result = n;
	if (n >= 0 && req->op == FILES_READ)
		req->moved = (size_t)n;
	return false;
}

void req_forget(struct files_req *req)
{
	if (req->op == FILES_OPEN && req->result >= 0)
		close((int)req->result);
}

int nothing_iov(struct iovec *iov, void *nothing, size_t len)
{
	int n;

	for (n = 0; n < NOTHING_IOVS && len; n++) {
		iov[n].iov_base = nothing;
		iov[n].iov_len = len < NOTHING_BYTES ? len : NOTHING_BYTES;
		len -= iov[n].iov_len;
	}
	return n;
}

void files_wake(int wake_fd)
{
	uint64_t one = 1;

	if (write(wake_fd, &one, sizeof(one)) < 0) {
		/* only when its counter is full, and then it is readable anyway */
	}
}
