/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * file.c - files: opened, operated on, sent and closed. As with sockets, the engine's object carries
 * the handle as its cookie, so that events need no look-up.
 */
#include "dusi/handle.h"

/* A place, and what the engine is to know of the file that will be in it. */
static int file_prepare(dusi_ual_t ual, const struct dusi_file_attr *attr, dusi_file_t *file,
			struct dusi_ual **u, struct dusi_file **f, struct ppe_file_attr *ppe)
{
	struct dusi_place *place;
	int err = dusi_find_ual(ual, u);

	if (err)
		return err;
	if (!attr || !file)
		return -EINVAL;
	*ppe = (struct ppe_file_attr){ .context = attr->context };
	err = dusi_bound_evq(*u, attr->evq, &ppe->evq);
	if (err)
		return err;
	if (!ppe->evq)
		return -EINVAL;
	err = dusi_table_take(*u, &(*u)->files, &place, &ppe->cookie);
	if (err)
		return err;
	*f = (struct dusi_file *)place;
	(*f)->ppe = NULL;
	/* another thread may take the event, which names the handle, before the posting call returns */
	dusi_table_publish(place, ppe->cookie);
	return 0;
}

/* The file is in its place already, when there is no error. */
static int file_finish(struct dusi_ual *u, struct dusi_file *f, uint64_t id, int err,
		       dusi_file_t *file)
{
	if (err) {
		dusi_table_withdraw(&f->place, id);
		dusi_table_give(u, &u->files, &f->place);
		return err;
	}
	file->id = id;
	return 0;
}

int Dusi_Open_File(dusi_ual_t ual, const struct dusi_file_attr *attr, const struct dusi_open *how,
		   uint64_t tag, dusi_file_t *file)
{
	struct ppe_file_attr ppe;
	struct ppe_open open;
	struct dusi_ual *u;
	struct dusi_file *f;
	int err = file_prepare(ual, attr, file, &u, &f, &ppe);

	if (err)
		return err;
	if (!how || !how->path)
		return file_finish(u, f, ppe.cookie, -EINVAL, file);
	open = (struct ppe_open){
		.dirfd = how->dirfd,
		.path = how->path,
		.flags = how->flags,
		.mode = how->mode,
		.resolve = how->resolve,
	};
	err = ppe_file_open(u->ppe, &ppe, &open, tag, &f->ppe);
	return file_finish(u, f, ppe.cookie, err, file);
}

int Dusi_Adopt_File(dusi_ual_t ual, const struct dusi_file_attr *attr, int fd, dusi_file_t *file)
{
	struct ppe_file_attr ppe;
	struct dusi_ual *u;
	struct dusi_file *f;
	int err = file_prepare(ual, attr, file, &u, &f, &ppe);

	if (err)
		return err;
	err = ppe_file_adopt(u->ppe, &ppe, fd, &f->ppe);
	return file_finish(u, f, ppe.cookie, err, file);
}

int Dusi_Close_File(dusi_file_t file)
{
	struct dusi_ual *u;
	struct dusi_file *f;
	int err = dusi_find_file(file, &u, &f);

	if (err)
		return err;
	if (!dusi_table_withdraw(&f->place, file.id))
		return -EBADF;
	ppe_file_close(f->ppe);
	dusi_table_give(u, &u->files, &f->place);
	return 0;
}

int Dusi_Read_File(dusi_file_t file, const struct dusi_buf *bufs, int n, uint64_t offset,
		   uint64_t tag)
{
	struct ppe_sge sge[PPE_SGE_MAX];
	struct dusi_ual *u;
	struct dusi_file *f;
	uint32_t bytes;
	int err = dusi_find_file(file, &u, &f);

	if (!err)
		err = dusi_gather(bufs, n, sge, &bytes);
	if (err)
		return err;
	/* none would look like the end of the file */
	return bytes ? ppe_file_read(f->ppe, sge, n, offset, tag) : -EINVAL;
}

int Dusi_Write_File(dusi_file_t file, const struct dusi_buf *bufs, int n, uint64_t offset,
		    uint64_t tag)
{
	struct ppe_sge sge[PPE_SGE_MAX];
	struct dusi_ual *u;
	struct dusi_file *f;
	uint32_t bytes;
	int err = dusi_find_file(file, &u, &f);

	if (!err)
		err = dusi_gather(bufs, n, sge, &bytes);
	return err ? err : ppe_file_write(f->ppe, sge, n, offset, tag);
}

int Dusi_Stat_File(dusi_file_t file, struct statx *st, uint64_t tag)
{
	struct dusi_ual *u;
	struct dusi_file *f;
	int err = dusi_find_file(file, &u, &f);

	if (err)
		return err;
	return st ? ppe_file_stat(f->ppe, st, tag) : -EINVAL;
}

int Dusi_Sync_File(dusi_file_t file, uint64_t tag)
{
	struct dusi_ual *u;
	struct dusi_file *f;
	int err = dusi_find_file(file, &u, &f);

	return err ? err : ppe_file_sync(f->ppe, tag);
}

int Dusi_Send_File(dusi_sock_t sock, dusi_file_t file, uint64_t offset, size_t len, uint64_t tag)
{
	struct dusi_ual *su, *fu;
	struct dusi_sock *s;
	struct dusi_file *f;
	int err = dusi_find_sock(sock, &su, &s);

	if (!err)
		err = dusi_find_file(file, &fu, &f);
	if (err)
		return err;
	return ppe_post_send_file(s->ppe, f->ppe, offset, len, tag, 0);
}
