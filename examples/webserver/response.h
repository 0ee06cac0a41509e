/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * response.h - the heads of responses, and the small responses that are no file.
 */
#ifndef EXAMPLES_WEBSERVER_RESPONSE_H
#define EXAMPLES_WEBSERVER_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "examples/webserver/files.h"

#define RESPONSE_LOCATION_MAX 200

/* What a response depends on besides its status and its file. */
struct response_context {
	const char *date;     /* now */
	const char *location; /* where a 301 leads to */
	size_t location_len;
	int minor;       /* of the request's version */
	bool keep_alive; /* the connection stays open */
	bool head_only;  /* the answer to HEAD */
};

/* Writes the head of a response with @file into @out, which has room for BUFFER_OUT bytes. */
size_t response_file(char *out, const struct response_context *c, const struct file *file);

/* Writes the whole of a response that tells the status. */
size_t response_status(char *out, const struct response_context *c, int status);

#endif
