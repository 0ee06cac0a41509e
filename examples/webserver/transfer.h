/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * transfer.h - sending a response: its head, then what follows it, in pieces that grow.
 */
#ifndef EXAMPLES_WEBSERVER_TRANSFER_H
#define EXAMPLES_WEBSERVER_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "examples/webserver/connection.h"
#include "examples/webserver/range.h"

struct parts {
	int count, next;
	struct range ranges[RANGES_MAX];
};

/* Before anything is written there: c->out becomes room for a head, if it is not yet. */
void transfer_begin(struct connection *c);

/* @head bytes are in c->out; they are all, */
void transfer_text(struct connection *c, size_t head);
/* or @len bytes of c->made follow, */
void transfer_made(struct connection *c, size_t head, size_t len);
/* or bytes @first to @end - 1 of a file, which is given back when they are sent, */
void transfer_file(struct connection *c, size_t head, struct file *file, uint64_t first,
		   uint64_t end);
/* or parts of it, which are freed as well. */
void transfer_parts(struct connection *c, size_t head, struct file *file, struct parts *parts);

/* A send has ended well. True: and with it the response; else more was posted. */
bool transfer_sent(struct connection *c);

/* Gives back what the response needed. */
void transfer_end(struct connection *c);

#endif
