/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mime.h - what kind of content a file's name promises.
 */
#ifndef EXAMPLES_WEBSERVER_MIME_H
#define EXAMPLES_WEBSERVER_MIME_H

/* The media type for this path, by its extension. At most 64 characters. */
const char *mime_type(const char *path);

#endif
