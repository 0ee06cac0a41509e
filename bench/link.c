/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* link.c - what is the same for all kinds of link. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "link.h"

void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "eta-bench: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	_exit(2);
}

void *link_alloc(size_t size, const struct link_ops *ops)
{
	struct link *l = calloc(1, size);
	void *memory =
		mmap(NULL, LINK_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!l || memory == MAP_FAILED)
		die("no memory");
	l->ops = ops;
	l->memory = memory;
	return l;
}

void link_free(struct link *l)
{
	munmap(l->memory, LINK_MEMORY);
	free(l);
}

struct link *link_make(const char *via, bool server, int ctrl)
{
	if (!strcmp(via, link_ppe.name))
		return link_ppe.open(NULL, server, ctrl);
	if (!strcmp(via, link_dusi.name))
		return link_dusi.open(NULL, server, ctrl);
	return link_fi.open(via, server, ctrl);
}

void link_refill(struct link *l)
{
	while (l->recvs_posted < l->received + LINK_DEPTH) {
		l->ops->recv(l, link_place(l, l->recvs_posted));
		l->recvs_posted++;
	}
}

void link_send(struct link *l, const void *buf)
{
	while (!l->ops->send(l, buf))
		link_poll(l);
}

void link_wait_sent(struct link *l, uint64_t n)
{
	while (l->sent < n)
		link_poll(l);
}

void link_wait_received(struct link *l, uint64_t n)
{
	while (l->received < n)
		link_poll(l);
}

/* The next message may come before this one's send has completed, so count from the beginning. */
void link_pingpong(struct link *l, bool server, unsigned n)
{
	uint64_t received = l->received, sent = l->sent;

	for (unsigned i = 0; i < n; i++) {
		link_refill(l);
		if (server)
			link_wait_received(l, ++received);
		link_send(l, link_source(l, i));
		if (!server)
			link_wait_received(l, ++received);
		link_wait_sent(l, ++sent);
	}
	link_refill(l);
}
