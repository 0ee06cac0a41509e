/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mime.h - what kind of content a file's name promises.
 */
#ifndef EXAMPLES_WEBSERVER_MIME_H
#define EXAMPLES_WEBSERVER_MIME_H

#define MIME_TYPE_MAX 112 /* characters */

/*
 * Takes the types from @file, in the system's form: a type, then its extensions. What it does not
 * know is taken from a few that are built in; so is everything without it (a negative errno value).
 */
int mime_load(const char *file);
void mime_unload(void);

/*
 * The media type for this path, by its extension; text is said to be UTF-8. Valid until the next
 * mime_load().
 */
const char *mime_type(const char *path);

#endif
