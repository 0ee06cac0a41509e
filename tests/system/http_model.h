/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * http_model.h - what a web server must answer, computed: a set of files, random requests for them,
 * and for each request the exact status, fields and content of its response.
 */
#ifndef TESTS_SYSTEM_HTTP_MODEL_H
#define TESTS_SYSTEM_HTTP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MODEL_FILES 48
#define MODEL_RANGES 3
#define MODEL_REQUEST_MAX 2048

struct model_file {
	char name[32];
	unsigned char *data;
	size_t size;
	time_t mtime;
	char modified[40];
	char etag[80]; /* what the server said at first */
};

struct model {
	struct model_file files[MODEL_FILES];
	bool conditions; /* the server knows preconditions and ranges */
	uint64_t random;
};

struct range {
	size_t first, last;
};

/* The response that is due. */
struct expect {
	int status;
	bool head;                     /* the answer to HEAD: no content */
	bool closes;                   /* the connection ends behind it */
	bool old;                      /* HTTP/1.0: a kept connection is announced */
	const struct model_file *file; /* 200, 206, 304, 412, 416 */
	struct range ranges[MODEL_RANGES];
	unsigned n_ranges; /* of 206; several: 200 is as good */
};

/* A response's head, taken apart. */
struct head {
	int status;
	bool close, keep_alive;
	bool has_length;
	size_t length;
	char etag[80], modified[80], content_range[80], boundary[80], location[80];
};

uint64_t model_random(struct model *m);
size_t model_below(struct model *m, size_t limit);

/* Writes the files into @folder, and a folder "dir" beside them. Ends the program on failure. */
void model_create(struct model *m, uint64_t seed, const char *folder);
void model_destroy(struct model *m);

/* Writes the next random request into @out (MODEL_REQUEST_MAX bytes); @last: it may end the
 * connection. Returns its length. */
size_t model_request(struct model *m, bool last, char *out, struct expect *e);

/* Takes the @len bytes of a head apart. NULL, or what is wrong. */
const char *head_parse(const char *text, size_t len, struct head *h);

/* NULL: this head may answer the request, and *@slice tells whether the content is a slice of the
 * file (from *@from on), and not something to be looked at as a whole. Else what is wrong. */
const char *model_check_head(const struct expect *e, const struct head *h, bool *slice,
			     size_t *from);

/* The content of several ranges, or of a status. NULL, or what is wrong. */
const char *model_check_body(const struct expect *e, const struct head *h, const char *body,
			     size_t len);

#endif
