/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * object.c - sockets and files of the generic layer: their lives, and how many operations are posted
 * to each, which is the same in all back ends.
 */
#include "dusi/aio/internal.h"

#include <fcntl.h>
#include <stdlib.h>

static void object_init(struct aio_object *o, struct gaio *io, struct gaio_queue *close,
			uint64_t context)
{
	o->io = io;
	o->close = close;
	o->context = context;
	close->bound++;
}

void aio_object_closed(struct aio_object *o)
{
	struct gaio *io = o->io;

	if (o->is_file)
		io->ops->file_idle((struct gaio_file *)o);
	link_del(&o->link);
	link_add(&o->close->closed, &o->link);
	o->close->nclosed++;
	io->closings++;
}

/* ---------------------------------------------------------------------- sockets */

/* The queues that are meant; false: none, or another's. */
static bool choose_queues(const struct gaio *io, const struct gaio_socket_attr *attr,
			  struct gaio_socket_attr *out)
{
	*out = *attr;
	if (!out->recv)
		out->recv = out->send;
	if (!out->send)
		out->send = out->recv;
	if (!out->close)
		out->close = out->send;
	return out->recv && out->recv->io == io && out->send->io == io && out->close->io == io;
}

int gaio_socket(struct gaio *io, const struct gaio_socket_attr *attr, struct gaio_sock **out)
{
	struct gaio_socket_attr with;
	struct gaio_sock *s;
	int err;

	if (!io || !attr || !out || !choose_queues(io, attr, &with))
		return -EINVAL;
	if (io->nsocks >= io->max_sockets)
		return -ENOSPC;
	s = calloc(1, io->ops->sock_size);
	if (!s)
		return -ENOMEM;
	s->recv = with.recv;
	s->send = with.send;
	object_init(&s->o, io, with.close, with.context);
	err = io->ops->sock_open(s);
	if (err) {
		with.close->bound--;
		free(s);
		return err;
	}
	s->recv->bound++;
	s->send->bound++;
	link_add(&io->socks, &s->o.link);
	io->nsocks++;
	*out = s;
	return 0;
}

static int usable(const struct gaio_sock *s)
{
	if (!s)
		return -EINVAL;
	return s->o.closing ? -EBADF : 0;
}

int gaio_listen(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len, int backlog,
		unsigned flags)
{
	int err = usable(s);

	if (err)
		return err;
	if (!addr || flags & ~(unsigned)(GAIO_REUSEPORT | GAIO_DEFER_ACCEPT))
		return -EINVAL;
	return s->o.io->ops->listen(s, addr, len, backlog, flags);
}

int gaio_accept(struct gaio_sock *l, struct gaio_sock *child, uint64_t tag)
{
	int err = usable(l);

	if (!err)
		err = usable(child);
	if (err)
		return err;
	if (l == child)
		return -EINVAL;
	if (l->o.io != child->o.io)
		return -EXDEV;
	if (child->listener || child->connecting)
		return -EALREADY;
	/* before it begins: the event may be there when that returns */
	child->listener = l;
	err = l->o.io->ops->accept(l, child, tag);
	if (err) {
		child->listener = NULL;
		return err;
	}
	l->o.ops++;
	child->o.ops++;
	l->o.io->accepts++;
	return 0;
}

int gaio_connect(struct gaio_sock *s, const struct sockaddr *addr, socklen_t len, uint64_t tag)
{
	int err = usable(s);

	if (err)
		return err;
	if (!addr)
		return -EINVAL;
	if (s->connecting || s->listener)
		return -EALREADY;
	err = s->o.io->ops->connect(s, addr, len, tag);
	if (err)
		return err;
	s->connecting = true;
	s->o.ops++;
	s->o.io->connects++;
	return 0;
}

int gaio_recv(struct gaio_sock *s, const struct gaio_buf *buf, uint64_t tag)
{
	int err = usable(s);

	if (err)
		return err;
	if (!buf || !buf->len)
		return -EINVAL;
	if (buf->len > BYTES_MAX)
		return -EMSGSIZE;
	if (s->receiving)
		return -EAGAIN;
	err = s->o.io->ops->recv(s, buf, tag);
	if (err)
		return err;
	s->receiving = true;
	s->o.ops++;
	s->o.io->recvs++;
	return 0;
}

static int bytes_allowed(const struct gaio_buf *bufs, int n)
{
	size_t bytes = 0;

	for (int i = 0; i < n; i++) {
		if (bufs[i].len > BYTES_MAX - bytes)
			return -EMSGSIZE;
		bytes += bufs[i].len;
	}
	return 0;
}

static void count_send(struct gaio_sock *s, struct gaio_file *file)
{
	s->sent_files[s->sends++] = file;
	s->o.ops++;
	if (file)
		file->o.ops++;
}

int gaio_send(struct gaio_sock *s, const struct gaio_buf *bufs, int n, unsigned flags, uint64_t tag)
{
	int err = usable(s);

	if (err)
		return err;
	if (!bufs || n < 1 || n > GAIO_BUFS_MAX || flags & ~(unsigned)GAIO_MORE)
		return -EINVAL;
	err = bytes_allowed(bufs, n);
	if (err)
		return err;
	if (s->sends == SENDS_MAX)
		return -EAGAIN;
	err = s->o.io->ops->send(s, bufs, n, flags, tag);
	if (err)
		return err;
	count_send(s, NULL);
	s->o.io->sends++;
	return 0;
}

int gaio_send_file(struct gaio_sock *s, struct gaio_file *file, uint64_t offset, size_t len,
		   uint64_t tag)
{
	int err = usable(s);

	if (err)
		return err;
	if (!file || offset > INT64_MAX - BYTES_MAX)
		return -EINVAL;
	if (file->o.closing)
		return -EBADF;
	if (file->o.io != s->o.io)
		return -EXDEV;
	if (len > BYTES_MAX)
		return -EMSGSIZE;
	if (s->sends == SENDS_MAX)
		return -EAGAIN;
	err = s->o.io->ops->send_file(s, file, offset, len, tag);
	if (err)
		return err;
	count_send(s, file);
	s->o.io->send_files++;
	return 0;
}

int gaio_shutdown(struct gaio_sock *s, uint64_t tag)
{
	int err = usable(s);

	if (err)
		return err;
	if (s->shutting)
		return -EAGAIN;
	err = s->o.io->ops->shutdown(s, tag);
	if (err)
		return err;
	s->shutting = true;
	s->o.ops++;
	return 0;
}

void gaio_close_sock(struct gaio_sock *s, uint64_t tag)
{
	if (!s || s->o.closing)
		return;
	s->o.closing = true;
	s->o.close_tag = tag;
	s->o.io->ops->sock_close(s);
	if (!s->o.ops)
		aio_object_closed(&s->o);
}

static int address(struct gaio_sock *s, struct sockaddr_storage *addr, bool peer)
{
	int err = usable(s);

	if (err)
		return err;
	return addr ? s->o.io->ops->address(s, addr, peer) : -EINVAL;
}

int gaio_local_addr(struct gaio_sock *s, struct sockaddr_storage *addr)
{
	return address(s, addr, false);
}

int gaio_peer_addr(struct gaio_sock *s, struct sockaddr_storage *addr)
{
	return address(s, addr, true);
}

/* ------------------------------------------------------------------------ files */

static int file_create(struct gaio *io, struct gaio_queue *queue, uint64_t context,
		       struct gaio_file **out)
{
	struct gaio_file *f;

	if (!io || !queue || queue->io != io)
		return -EINVAL;
	f = calloc(1, io->ops->file_size);
	if (!f)
		return -ENOMEM;
	object_init(&f->o, io, queue, context);
	f->o.is_file = true;
	f->queue = queue;
	link_add(&io->files, &f->o.link);
	*out = f;
	return 0;
}

static void file_destroy(struct gaio_file *f)
{
	link_del(&f->o.link);
	f->queue->bound--;
	free(f);
}

static int file_counted(struct gaio_file *f, int err)
{
	if (!err) {
		f->o.ops++;
		f->o.io->file_ops++;
	}
	return err;
}

int gaio_open_file(struct gaio *io, struct gaio_queue *queue, uint64_t context,
		   const struct gaio_open_how *how, uint64_t tag, struct gaio_file **out)
{
	struct gaio_file *f;
	int err;

	if (!how || !how->path || !out)
		return -EINVAL;
	err = file_create(io, queue, context, &f);
	if (err)
		return err;
	err = file_counted(f, io->ops->file_open(f, how, tag));
	if (err) {
		file_destroy(f);
		return err;
	}
	*out = f;
	return 0;
}

int gaio_adopt_file(struct gaio *io, struct gaio_queue *queue, uint64_t context, int fd,
		    struct gaio_file **out)
{
	struct gaio_file *f;
	int err;

	if (!out)
		return -EINVAL;
	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	err = file_create(io, queue, context, &f);
	if (err)
		return err;
	err = io->ops->file_adopt(f, fd);
	if (err) {
		file_destroy(f);
		return err;
	}
	*out = f;
	return 0;
}

static int file_usable(const struct gaio_file *f)
{
	if (!f)
		return -EINVAL;
	return f->o.closing ? -EBADF : 0;
}

static int file_rw(struct gaio_file *f, enum gaio_op op, const struct gaio_buf *buf,
		   uint64_t offset, uint64_t tag)
{
	int err = file_usable(f);

	if (err)
		return err;
	if (!buf || !buf->len || offset > INT64_MAX - BYTES_MAX)
		return -EINVAL;
	if (buf->len > BYTES_MAX)
		return -EMSGSIZE;
	return file_counted(f, f->o.io->ops->file_rw(f, op, buf, offset, tag));
}

int gaio_read_file(struct gaio_file *f, const struct gaio_buf *buf, uint64_t offset, uint64_t tag)
{
	return file_rw(f, GAIO_READ_FILE, buf, offset, tag);
}

int gaio_write_file(struct gaio_file *f, const struct gaio_buf *buf, uint64_t offset, uint64_t tag)
{
	return file_rw(f, GAIO_WRITE_FILE, buf, offset, tag);
}

int gaio_stat_file(struct gaio_file *f, struct statx *st, uint64_t tag)
{
	int err = file_usable(f);

	if (err)
		return err;
	return st ? file_counted(f, f->o.io->ops->file_stat(f, st, tag)) : -EINVAL;
}

int gaio_sync_file(struct gaio_file *f, uint64_t tag)
{
	int err = file_usable(f);

	return err ? err : file_counted(f, f->o.io->ops->file_sync(f, tag));
}

void gaio_close_file(struct gaio_file *f, uint64_t tag)
{
	if (!f || f->o.closing)
		return;
	f->o.closing = true;
	f->o.close_tag = tag;
	f->o.io->ops->file_close(f);
	if (!f->o.ops)
		aio_object_closed(&f->o);
}
