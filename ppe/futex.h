/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * futex.h - sleeping on a word, and a mutex of one word.
 *
 * The mutex is 0 free, 1 held, 2 held and somebody sleeps on it. It is a word and not a pthread
 * mutex because a queue pays for one per connection, and because a failed trylock must cost nothing.
 */
#ifndef PPE_FUTEX_H
#define PPE_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef _Atomic uint32_t futex_t;

/* Sleeps while *@word == @value; negative @timeout_ns: no limit. 0, -EAGAIN, -EINTR, -ETIMEDOUT. */
static inline int futex_wait(futex_t *word, uint32_t value, int64_t timeout_ns)
{
	struct timespec ts = { .tv_sec = timeout_ns / 1000000000,
			       .tv_nsec = timeout_ns % 1000000000 };

	if (!syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns < 0 ? NULL : &ts, NULL,
		     0))
		return 0;
	return -errno;
}

static inline void futex_wake(futex_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline bool mutex_trylock(futex_t *m)
{
	uint32_t free = 0;

	/* the load first: a spinner must not take the line from the holder */
	return !atomic_load_explicit(m, memory_order_relaxed) &&
	       atomic_compare_exchange_strong_explicit(m, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void mutex_lock(futex_t *m)
{
	if (mutex_trylock(m))
		return;
	while (atomic_exchange_explicit(m, 2, memory_order_acquire))
		futex_wait(m, 2, -1);
}

/* -ETIMEDOUT when it was not free within @timeout_ns. */
static inline int mutex_timedlock(futex_t *m, int64_t timeout_ns)
{
	if (timeout_ns < 0) {
		mutex_lock(m);
		return 0;
	}
	if (mutex_trylock(m))
		return 0;
	while (atomic_exchange_explicit(m, 2, memory_order_acquire))
		if (futex_wait(m, 2, timeout_ns) == -ETIMEDOUT)
			return -ETIMEDOUT;
	return 0;
}

static inline void mutex_unlock(futex_t *m)
{
	if (atomic_exchange_explicit(m, 0, memory_order_release) == 2)
		futex_wake(m, 1);
}

#endif
