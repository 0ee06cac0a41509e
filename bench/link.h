/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * link.h - one connection between two processes, the same to measure whatever it is made of:
 * a libfabric provider's message endpoints, the engine's own message service, or DUSI sockets.
 *
 * Everything is opened in the process that uses it, after the fork. Operations complete in the
 * order in which they were posted, so counting is enough. What goes wrong ends the process, with the
 * reason on stderr: a measurement with errors in it is none.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_MESSAGE 64 /* bytes of each message */
#define LINK_DEPTH 128  /* operations that may be outstanding each way */
#define LINK_MEMORY (2 * LINK_DEPTH * LINK_MESSAGE) /* receives, then sends */

struct link {
	const struct link_ops *ops;
	uint64_t sent, received; /* completions seen */
	uint64_t recvs_posted;
	uint8_t *memory; /* registered */
	char about[160]; /* provider;protocol and what else matters */
};

struct link_ops {
	const char *name;
	/* @provider: of libfabric, or NULL. */
	struct link *(*open)(const char *provider, bool server, int ctrl);
	/* One message from registered memory; false: the queue is full. */
	bool (*send)(struct link *l, const void *buf);
	/* From any memory, which is free again on return. May count as sent at once. */
	bool (*inject)(struct link *l, const void *buf);
	void (*recv)(struct link *l, void *buf);
	/* Counts what has completed; does not wait. */
	void (*poll)(struct link *l);
	/* One of the engine's counters; -1: there is none, or it cannot be asked. */
	int64_t (*counter)(struct link *l, const char *name);
	void (*close)(struct link *l);
};

extern const struct link_ops link_fi, link_ppe, link_dusi;

/* "ppe", "dusi", or the name of a libfabric provider. Returns when both ends are connected. */
struct link *link_make(const char *via, bool server, int ctrl);
/* For link_make(): what its implementations start with. */
void *link_alloc(size_t size, const struct link_ops *ops);
void link_free(struct link *l);

/* The place of the n-th message received, counted from 0. */
static inline uint8_t *link_place(struct link *l, uint64_t n)
{
	return l->memory + n % LINK_DEPTH * LINK_MESSAGE;
}

/* Memory to send the n-th message from. */
static inline uint8_t *link_source(struct link *l, uint64_t n)
{
	return l->memory + (LINK_DEPTH + n % LINK_DEPTH) * LINK_MESSAGE;
}

static inline void link_poll(struct link *l)
{
	l->ops->poll(l);
}

/* Keeps every place posted. */
void link_refill(struct link *l);
/* Posts, polling while the queue is full. */
void link_send(struct link *l, const void *buf);
/* Polls until so many sends have completed, or messages have come. */
void link_wait_sent(struct link *l, uint64_t n);
void link_wait_received(struct link *l, uint64_t n);
/* @n round trips; the server answers. */
void link_pingpong(struct link *l, bool server, unsigned n);

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
