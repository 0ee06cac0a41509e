/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fake_objects.h - what fake_gaio.c, where the program's calls come in, and fake_steps.c, where
 * things happen, have in common.
 */
#ifndef TESTS_FUZZ_FAKE_OBJECTS_H
#define TESTS_FUZZ_FAKE_OBJECTS_H

#include "fake_gaio.h"

#include <dusi/gaio.h>

#define SOCKETS 96 /* in one world: they are not used twice, so that a stale one is known */
#define FILES 64
#define QUEUES 8
#define SENDS 2

struct gaio_queue {
	bool used;
	struct gaio_event *events;
	size_t first, count, room;
	unsigned bound;
};

struct send_op {
	struct gaio_buf bufs[GAIO_BUFS_MAX];
	int n;
	struct gaio_file *file; /* of gaio_send_file() */
	uint64_t offset;
	size_t len;
	uint64_t tag;
	bool shutdown;
	char *copy; /* what the memory held when it was posted */
};

struct gaio_sock {
	enum { FREE, FRESH, LISTENING, ACCEPTING, OPEN, CLOSING, CLOSED } state;
	struct gaio_socket_attr attr;
	struct fake_peer *peer;
	uint64_t accept_tag, recv_tag, close_tag;
	struct gaio_buf recv_buf;
	bool receiving;
	struct send_op sends[SENDS + 1];
	int n_sends;
	unsigned order; /* of the accepts */
};

struct gaio_file {
	bool used, opening, closing, closed;
	int fd;        /* negative: why it could not be opened */
	unsigned busy; /* sends and writes of it */
	struct gaio_queue *queue;
	uint64_t context, open_tag, close_tag, write_tag;
	size_t write_len;
	bool writing;
};

extern struct gaio_queue fake_queues[QUEUES];
extern struct gaio_sock fake_socks[SOCKETS];
extern struct gaio_file fake_files[FILES];
extern int fake_refuse; /* the next post: this error */

static inline void check(bool right, const char *what)
{
	if (!right)
		fake_fail(what);
}

/* Memory of an operation must be within a region registered for that. */
void fake_check_buf(const struct gaio_buf *buf, unsigned access);
/* The oldest send leaves the socket; an event leaves for a queue; a socket leaves its queues. */
void fake_end_send(struct gaio_sock *s);
void fake_push(struct gaio_queue *q, const struct gaio_event *event);
void fake_push_sock(struct gaio_sock *s, struct gaio_queue *q, enum gaio_op op, int status,
		    size_t len, uint64_t tag);
void fake_unbind(struct gaio_sock *s);
/* Those of a new world. */
void fake_reset_objects(void);
void fake_free_objects(void);

#endif
