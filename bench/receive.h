/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * receive.h - connections within this process, and the ways to receive from them, or to send.
 */
#ifndef BENCH_RECEIVE_H
#define BENCH_RECEIVE_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define STREAMS_MAX 256
#define MESSAGE_MAX 4096
#define BUFFERS 512 /* provided ones, a power of two: more than messages are under way */

/* What looks after the receiving ends. */
enum watch { WATCH_EPOLL, WATCH_POLL, WATCH_MULTISHOT, WATCH_NOTHING };
#define WATCHES (WATCH_NOTHING + 1)

struct stream {
	int from, to;
	unsigned filled; /* of this turn's message */
	struct msghdr msg;
	struct iovec parts[2];
	char target[MESSAGE_MAX]; /* what the receiver has named */
};

struct streams {
	enum watch watch;
	int n;
	unsigned size; /* of a message */
	int epfd;      /* -1: none */
	bool has_ring;
	struct io_uring ring;
	int nready; /* streams that a poll told of, by number */
	int ready[STREAMS_MAX];
	/* provided buffers */
	int memfd; /* -1: none */
	char *pool;
	struct io_uring_buf_ring *bufs;
	char message[MESSAGE_MAX];
	struct stream at[];
};

/* @n connections, their receiving ends watched. NULL: failed, and errno is set. */
struct streams *streams_open(enum watch watch, int n, unsigned size);
void streams_close(struct streams *s);

struct way {
	const char *name;
	enum watch watch;
	bool sends;
	/* For receives: looks once and takes what is there. Bytes, or -errno. */
	ssize_t (*step)(struct streams *s, const struct way *w);
	/* From a provided buffer to the stream's target: 0, or -errno. */
	int (*copy)(struct streams *s, unsigned buffer, char *to, size_t len);
};
/* Those that receive, then those that send. The others are compared with the first of each. */
#define WAYS 8
#define FIRST_SENDER 6
extern const struct way ways[WAYS];

/* By one system call for each stream: 0, or -errno. */
int streams_send(struct streams *s);
int streams_receive(struct streams *s);
/* A byte back to each sender. */
int streams_answer(struct streams *s);

#endif
