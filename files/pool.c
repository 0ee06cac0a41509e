/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pool.c - files by blocking calls, made by a few threads of our own.
 *
 * What was submitted is handed over by flush(), under the lock. What has ended goes on a list that
 * many push to and one empties, without a lock; who finds it empty wakes the owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "files/internal.h"

#define POOL_THREADS 4
#define POOL_IDLE_S 5

struct worker {
	pthread_t thread;
	bool made; /* the owner's: to be joined */
	bool over; /* under the lock */
};

struct pool {
	struct files files;
	struct req_list fresh; /* the owner's: not handed over yet */
	struct req_list ended; /* the owner's: to be told */

	_Atomic(struct files_req *) done; /* pushed by workers, taken as a whole */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct req_list todo;
	unsigned threads;        /* that have not ended, among them: */
	unsigned starting, idle; /* not at work yet; waiting for some */
	bool stop;
	struct worker worker[POOL_THREADS];
};

/* --------------------------------------------------------------------------- the calls */

static int64_t outcome(int64_t ret)
{
	return ret < 0 ? -errno : ret;
}

/* readahead() starts all of it at once, and waits for none: then it is read, into nothing. */
static int64_t prepare(const struct files_req *req)
{
	char nothing[NOTHING_BYTES];
	struct iovec iov[NOTHING_IOVS];
	int n = nothing_iov(iov, nothing, req->len - req->moved);

	if (!req->moved && readahead(req->fd, (off_t)req->offset, req->len)) {
		/* it is only a hint, and not for every kind of file */
	}
	return preadv(req->fd, iov, n, (off_t)(req->offset + req->moved));
}

static int64_t call(const struct files_req *req)
{
	switch (req->op) {
	case FILES_OPEN:
		return syscall(SYS_openat2, req->fd, req->path, &req->how, sizeof(req->how));
	case FILES_READ:
		return preadv(req->fd, req->iov, req->niov, (off_t)req->offset);
	case FILES_WRITE:
		return pwritev(req->fd, req->iov, req->niov, (off_t)(req->offset + req->moved));
	case FILES_STAT:
		return statx(req->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, req->st);
	case FILES_SYNC:
		return fsync(req->fd);
	case FILES_CLOSE:
		return close(req->fd);
	case FILES_PREPARE:
		return prepare(req);
	default:
		errno = EINVAL;
		return -1;
	}
}

static void carry_out(struct files_req *req)
{
	while (req_step(req, outcome(call(req)))) {
	}
}

static void tell(struct pool *p, struct files_req *req)
{
	struct files_req *head = atomic_load_explicit(&p->done, memory_order_relaxed);

	do {
		req->next = head;
		/* pairs with the exchange in pool_next(): the result has been written */
	} while (!atomic_compare_exchange_weak_explicit(&p->done, &head, req, memory_order_acq_rel,
							memory_order_relaxed));
	if (!head)
		files_wake(p->files.wake_fd);
}

/* ------------------------------------------------------------------------- the threads */

struct worker_start {
	struct pool *pool;
	struct worker *self;
};

/* Waits for something to do. False: there has been nothing for long, or it is over. */
static bool worker_wait(struct pool *p)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += POOL_IDLE_S;
	p->idle++;
	while (!p->todo.first && !p->stop && !err)
		err = pthread_cond_timedwait(&p->work, &p->lock, &until);
	p->idle--;
	return p->todo.first;
}

static void *worker_main(void *arg)
{
	struct worker_start *start = arg;
	struct pool *p = start->pool;
	struct worker *self = start->self;

	free(start);
	pthread_mutex_lock(&p->lock);
	p->starting--;
	while (worker_wait(p)) {
		struct files_req *req = req_list_take(&p->todo);

		pthread_mutex_unlock(&p->lock);
		carry_out(req);
		tell(p, req);
		pthread_mutex_lock(&p->lock);
	}
	p->threads--;
	self->over = true;
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* No signal of the application is ever handled on a worker. */
static int thread_create(struct pool *p, struct worker *w)
{
	struct worker_start *start = malloc(sizeof(*start));
	sigset_t all, old;
	int err;

	if (!start)
		return -ENOMEM;
	*start = (struct worker_start){ p, w };
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, worker_main, start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		free(start);
	else
		pthread_setname_np(w->thread, "eta-files");
	return -err;
}

/* Under the lock; one that has ended gets a successor. */
static int worker_start(struct pool *p)
{
	struct worker *w = p->worker;
	int err;

	while (w->made && !w->over)
		w++;
	if (w->made)
		pthread_join(w->thread, NULL);
	w->over = false;
	err = thread_create(p, w);
	w->made = !err;
	if (err)
		return err;
	p->starting++;
	p->threads++;
	return 0;
}

/* Under the lock. Returns why nobody will do the work. */
static int workers_call(struct pool *p)
{
	unsigned wake = p->todo.n < p->idle ? p->todo.n : p->idle;
	int err = 0;

	while (wake--)
		pthread_cond_signal(&p->work);
	while (p->todo.n > p->idle + p->starting && p->threads < POOL_THREADS && !err)
		err = worker_start(p);
	return p->threads ? 0 : err;
}

/* ------------------------------------------------------------------------- the service */

static void pool_submit(struct files *files, struct files_req *req)
{
	req_list_add(&((struct pool *)files)->fresh, req);
}

static void pool_flush(struct files *files)
{
	struct pool *p = (struct pool *)files;
	struct files_req *req;
	int err;

	if (!p->fresh.first)
		return;
	pthread_mutex_lock(&p->lock);
	req_list_join(&p->todo, &p->fresh);
	err = workers_call(p);
	while (err && (req = req_list_take(&p->todo))) {
		req->result = err;
		tell(p, req);
	}
	pthread_mutex_unlock(&p->lock);
}

static struct files_req *pool_next(struct files *files)
{
	struct pool *p = (struct pool *)files;
	struct files_req *req, *next, *turned = NULL;

	if (p->ended.first)
		return req_list_take(&p->ended);
	if (!atomic_load_explicit(&p->done, memory_order_relaxed))
		return NULL;
	/* pairs with tell(): what is pushed from now on finds it empty, and wakes us again */
	req = atomic_exchange_explicit(&p->done, NULL, memory_order_acq_rel);
	for (; req; req = next) {
		next = req->next;
		req->next = turned;
		turned = req;
	}
	for (req = turned; req; req = next) {
		next = req->next;
		req_list_add(&p->ended, req);
	}
	return req_list_take(&p->ended);
}

/* The workers end when there is nothing left to do. */
static void pool_close(struct files *files)
{
	struct pool *p = (struct pool *)files;
	struct files_req *req;

	pool_flush(files);
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < POOL_THREADS; i++)
		if (p->worker[i].made)
			pthread_join(p->worker[i].thread, NULL);
	while ((req = pool_next(files)))
		req_forget(req);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int pool_open(const struct files_env *env, char *why, size_t room, struct files **out)
{
	struct pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	(void)env;
	if (!p) {
		snprintf(why, room, "no memory");
		return -ENOMEM;
	}
	req_list_init(&p->fresh);
	req_list_init(&p->ended);
	req_list_init(&p->todo);
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &attr);
	pthread_condattr_destroy(&attr);
	*out = &p->files;
	return 0;
}

const struct files_kind_ops files_pool_ops = {
	.name = "threads",
	.open = pool_open,
	.close = pool_close,
	.submit = pool_submit,
	.flush = pool_flush,
	.next = pool_next,
};
