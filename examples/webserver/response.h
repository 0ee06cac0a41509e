/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * response.h - the heads of responses, and the small responses that are no file.
 */
#ifndef EXAMPLES_WEBSERVER_RESPONSE_H
#define EXAMPLES_WEBSERVER_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "examples/webserver/files.h"
#include "examples/webserver/range.h"

#define RESPONSE_LOCATION_MAX 200

/* What a response depends on besides its status and its file. */
struct response_context {
	const char *date;     /* now */
	struct text location; /* where a 301 leads to */
	uint64_t size;        /* of the file that has none of the ranges of a 416 */
	int minor;            /* of the request's version */
	bool keep_alive;      /* the connection stays open */
	bool head_only;       /* the answer to HEAD */
};

/* What makes an entity tag, together with the size. */
struct file_state {
	uint64_t ino;
	struct timespec mtime;
};

/* Fills in file->head and the entity tag; the other fields are there. */
void response_prepare(struct file *file, const struct file_state *state, const char *type);

/*
 * Each writes the head of a response into @out, which has room for BUFFER_OUT bytes, and returns its
 * length: of a 200 with @file; of a 304; of a 206 with one range of it; of a 206 with @len bytes of
 * parts; and of a response with @len bytes of something else, not to be kept by anybody.
 */
size_t response_file(char *out, const struct response_context *c, const struct file *file);
size_t response_not_modified(char *out, const struct response_context *c, const struct file *file);
size_t response_range(char *out, const struct response_context *c, const struct file *file,
		      const struct range *range);
size_t response_parts(char *out, const struct response_context *c, const struct file *file,
		      uint64_t len);
size_t response_made(char *out, const struct response_context *c, int status, const char *type,
		     uint64_t len);

/* What comes before the bytes of a part, and behind the last one. */
size_t response_part(char *out, const struct file *file, const struct range *range);
size_t response_parts_end(char *out);

/* Writes the whole of a response that tells the status; *@body gets the length of its content. */
size_t response_status(char *out, const struct response_context *c, int status, size_t *body);

#endif
