/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* gaio_test.h - what the tests of the generic layer share: a back end, its queue, a connection. */
#ifndef TESTS_UNIT_GAIO_TEST_H
#define TESTS_UNIT_GAIO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <sys/socket.h>

#include "dusi/aio/gaio.h"

#define SECOND 1000000         /* microseconds */
#define PATIENCE (20 * SECOND) /* a sanitizer on a busy machine is slow */
#define AREA (16u << 20)
#define KEPT 8192

#define ok(call) assert_int_equal((call), 0)

struct gaio_test {
	const char *backend;
	struct gaio *io;
	struct gaio_queue *q;
	struct gaio_mem mem; /* all of `area` */
	struct gaio_sock *listener, *a, *b;
	struct gaio_event kept[KEPT]; /* taken while looking for another */
	int nkept;
};

extern struct gaio_test t;
extern uint8_t area[AREA];

/* Opens t.backend, one queue, and registers the area. */
int test_setup(void **state);
int test_teardown(void **state);

bool is_backend(const char *name);
struct gaio_sock *sock_new(uint64_t context);
void listen_any(struct gaio_sock *s, unsigned flags);
void connect_to(struct gaio_sock *s, struct gaio_sock *listener, uint64_t tag);
/* t.a is connected to t.b through t.listener. */
void connect_pair(void);

struct gaio_buf piece(size_t off, size_t len);
int post_recv(struct gaio_sock *s, size_t off, size_t len, uint64_t tag);
int post_send(struct gaio_sock *s, size_t off, size_t len, uint64_t tag);

/* Takes what there is from @q into t.kept. */
void keep_from(struct gaio_queue *q);
/* The first event of this kind for @s (NULL: any), out of t.kept, waiting for it. */
struct gaio_event await(enum gaio_op op, struct gaio_sock *s);
struct gaio_event await_file(enum gaio_op op, struct gaio_file *f);
/* Nothing comes for some milliseconds. */
void expect_nothing(void);
/* Closes; then takes the closing's event, before which @ops others came. */
void close_and_await(struct gaio_sock *s, int ops);

void fill(size_t off, size_t len, unsigned seed);
void expect_filled(const uint8_t *at, size_t len, unsigned seed);

/* Runs the tests with each back end that this machine has. */
int run_backends(const struct CMUnitTest *tests, size_t n);

#endif
