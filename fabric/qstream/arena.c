/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * arena.c - memory that is copied to and from as a file is.
 *
 * All of it is one file in memory, mapped once and as a whole, of which pages exist where they were
 * touched. A block's place in the file is its place in the mapping, so a copy that must survive
 * memory which cannot be accessed is one preadv(2) or pwritev(2). Blocks have one of a few sizes, are
 * cut from the end of what is used, and go back to the stack of their size.
 */
#include "fabric/qstream/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096u
#define PART (sizeof(void *) > 4 ? 256u << 20 : 32u << 20)

static const struct {
	uint32_t size;
	size_t bound; /* bytes in blocks of this size */
} classes[QS_CLASSES] = {
	[QS_SMALL] = { PAGE, PART / 4 },
	[QS_EARLY] = { QS_WINDOW, PART },
	[QS_LARGE] = { 65536, PART / 4 * 3 },
	[QS_WHOLE] = { QS_RING_MAX, PART },
};
static_assert(QS_WINDOW % PAGE == 0 && QS_RING_MIN == 65536, "sizes of blocks");

size_t qs_class_size(enum qs_class cls)
{
	return classes[cls].size;
}

/* A limit on the size of files holds here, too, and comes with a signal. */
static bool file_may_be(size_t len)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur >= len;
}

int qs_arena_open(struct qs_arena *a)
{
	int err;

	memset(a, 0, sizeof(*a));
	for (int i = 0; i < QS_CLASSES; i++)
		a->len += classes[i].bound;
	if (!file_may_be(a->len))
		return -EFBIG;
	a->fd = memfd_create("eta-streams", MFD_CLOEXEC);
	if (a->fd < 0)
		return -errno;
	if (ftruncate(a->fd, (off_t)a->len) < 0)
		goto fail;
	a->base = mmap(NULL, a->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, a->fd, 0);
	if (a->base == MAP_FAILED)
		goto fail;
	/* a child has no business here, and a dump no room */
	madvise(a->base, a->len, MADV_DONTFORK);
	madvise(a->base, a->len, MADV_DONTDUMP);
	return 0;
fail:
	err = -errno;
	close(a->fd);
	return err;
}

void qs_arena_close(struct qs_arena *a)
{
	for (int i = 0; i < QS_CLASSES; i++)
		free(a->stack[i].free);
	munmap(a->base, a->len);
	close(a->fd);
}

/* Room in the stack for one block more, so that giving it back cannot fail. */
static bool stack_grow(struct qs_stack *s)
{
	uint32_t *more;

	if (s->total & (s->total - 1))
		return true;
	more = realloc(s->free, (s->total ? s->total * 2 : 1) * sizeof(*more));
	if (!more)
		return false;
	s->free = more;
	return true;
}

void *qs_arena_get(struct qs_arena *a, enum qs_class cls)
{
	struct qs_stack *s = &a->stack[cls];
	size_t size = classes[cls].size;
	uint8_t *block;

	if (s->nfree)
		return a->base + (size_t)s->free[--s->nfree] * PAGE;
	if ((s->total + 1) * size > classes[cls].bound || !stack_grow(s))
		return NULL;
	block = a->base + a->used;
	a->used += size;
	s->total++;
	return block;
}

void qs_arena_put(struct qs_arena *a, enum qs_class cls, void *block)
{
	struct qs_stack *s = &a->stack[cls];

	s->free[s->nfree++] = (uint32_t)(((uint8_t *)block - a->base) / PAGE);
}

/* The entry in which @len bytes end, cut there; *@keep is what it had. Entries. */
static int iov_cut(struct iovec *iov, int cnt, size_t len, size_t *keep)
{
	int i = 0;

	if (cnt > IOV_MAX)
		cnt = IOV_MAX;
	while (i < cnt - 1 && iov[i].iov_len < len)
		len -= iov[i++].iov_len;
	*keep = iov[i].iov_len;
	if (iov[i].iov_len > len)
		iov[i].iov_len = len;
	return i + 1;
}

static ssize_t copied(ssize_t n)
{
	if (n > 0)
		return n;
	/* a file in memory has no other error that a copy could meet but want of memory */
	return n < 0 && errno != EFAULT ? -errno : -EFAULT;
}

ssize_t qs_copy_in(struct qs_arena *a, void *to, struct iovec *iov, int cnt, size_t len)
{
	size_t keep;
	int n = iov_cut(iov, cnt, len, &keep);
	ssize_t done;

	do {
		done = pwritev(a->fd, iov, n, (uint8_t *)to - a->base);
	} while (done < 0 && errno == EINTR);
	done = copied(done);
	iov[n - 1].iov_len = keep;
	return done;
}

ssize_t qs_copy_out(struct qs_arena *a, const void *from, struct iovec *iov, int cnt, size_t len)
{
	size_t keep;
	int n = iov_cut(iov, cnt, len, &keep);
	ssize_t done;

	do {
		done = preadv(a->fd, iov, n, (const uint8_t *)from - a->base);
	} while (done < 0 && errno == EINTR);
	done = copied(done);
	iov[n - 1].iov_len = keep;
	return done;
}
