/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * files.h - the files that are being served: opened, mapped and registered once, kept in a bounded
 * cache, looked at again at most once a second.
 *
 * Nothing in this program reads through a mapping: a file may shrink at any time, and then only the
 * kernel can touch the lost pages unharmed (the send ends with -EFAULT).
 */
#ifndef EXAMPLES_WEBSERVER_FILES_H
#define EXAMPLES_WEBSERVER_FILES_H

#include <dusi/dusi.h>

#include <stddef.h>
#include <stdint.h>

struct files;

struct file {
	char *data; /* the mapping; NULL when the file is empty */
	size_t size;
	dusi_mem_t mem;
	const char *head; /* header fields that are the same in each response */
	size_t head_len;
};

/* Files in @folder, at most @limit cached. 0, or a negative errno value. */
int files_create(struct files **files, dusi_ual_t ual, const char *folder, unsigned limit);
/* After the last file was given back. */
void files_destroy(struct files *files);

/*
 * The file at @path, from path_from_target(). Each one got is to be given back: until then its
 * mapping stays, also when the file was replaced meanwhile. @now_ms: a clock that does not jump.
 * 0, or a negative errno value; -EISDIR; -EACCES also: neither a file nor a folder.
 */
int files_get(struct files *files, const char *path, size_t len, int64_t now_ms,
	      struct file **file);
void files_put(struct files *files, struct file *file);

#endif
