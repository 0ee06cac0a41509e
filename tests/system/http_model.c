// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * http_model.c - files, requests and the responses that are due, after RFC 9110.
 */
#include "http_model.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD 1000000000
#define IMF "%a, %d %b %Y %H:%M:%S GMT"

/* splitmix64 */
uint64_t model_random(struct model *m)
{
	uint64_t z = (m->random += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

size_t model_below(struct model *m, size_t limit)
{
	return limit ? model_random(m) % limit : 0;
}

static bool one_in(struct model *m, size_t n)
{
	return !model_below(m, n);
}

/* -------------------------------------------------------------------------------- the files */

static void format_date(time_t t, const char *format, char out[40])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 40, format, &tm);
}

/* Most are small; a few are larger than any buffer or cache. */
static size_t size_of_file(struct model *m, unsigned i)
{
	static const size_t edges[] = { 0,      1,     2,       511,           512,     1023,
					1024,   4095,  4096,    4097,          16384,   65535,
					65536,  65537, 3 << 20, (3 << 20) - 1, 2 << 20, 1 << 20,
					262144, 262143 };

	if (i < sizeof(edges) / sizeof(edges[0]))
		return edges[i];
	return model_below(m, i % 8 == 0 ? 300000 : 12000);
}

static void write_file(const struct model_file *f, const char *folder)
{
	struct timespec times[2] = { { .tv_sec = f->mtime }, { .tv_sec = f->mtime } };
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, f->name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, f->data, f->size) != (ssize_t)f->size || futimens(fd, times)) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	close(fd);
}

static void create_file(struct model *m, unsigned i, const char *folder)
{
	struct model_file *f = &m->files[i];

	f->size = size_of_file(m, i);
	f->mtime = OLD + (time_t)i * 1000;
	format_date(f->mtime, IMF, f->modified);
	snprintf(f->name, sizeof(f->name), "file%u.bin", i);
	f->data = malloc(f->size + 8);
	if (!f->data) {
		perror("malloc");
		exit(EXIT_FAILURE);
	}
	for (size_t at = 0; at < f->size; at += 8) {
		uint64_t word = model_random(m);

		memcpy(f->data + at, &word, 8);
	}
	write_file(f, folder);
}

void model_create(struct model *m, uint64_t seed, const char *folder)
{
	char path[4096];

	*m = (struct model){ .random = seed };
	for (unsigned i = 0; i < MODEL_FILES; i++)
		create_file(m, i, folder);
	snprintf(path, sizeof(path), "%s/dir", folder);
	if (mkdir(path, 0755)) {
		perror(path);
		exit(EXIT_FAILURE);
	}
}

void model_destroy(struct model *m)
{
	for (unsigned i = 0; i < MODEL_FILES; i++)
		free(m->files[i].data);
}

/* ------------------------------------------------------------------------------- requests */

/* A request that is being written. */
struct draft {
	char *out;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct draft *d, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	d->len += (size_t)vsnprintf(d->out + d->len, MODEL_REQUEST_MAX - d->len, format, args);
	va_end(args);
}

static const struct model_file *some_file(struct model *m)
{
	const struct model_file *f = &m->files[model_below(m, MODEL_FILES)];

	/* the largest ones rarely, or they would be all of the work */
	while (f->size > 100000 && !one_in(m, 16))
		f = &m->files[model_below(m, MODEL_FILES)];
	return f;
}

/* A field with a date before, at or after the file's; whether that is at or after it. */
static bool add_date(struct model *m, struct draft *d, const char *name, const struct model_file *f)
{
	static const char *const formats[] = { IMF, "%A, %d-%b-%y %H:%M:%S GMT",
					       "%a %b %e %H:%M:%S %Y" };
	static const int distances[] = { -100000, -1, 0, 1, 100000 };
	int distance = distances[model_below(m, 5)];
	char date[40];

	format_date(f->mtime + distance, formats[model_below(m, 3)], date);
	add(d, "%s: %s\r\n", name, date);
	return distance >= 0;
}

/* A field with entity tags; whether the file's is among them. @weak: weak ones count. */
static bool add_tags(struct model *m, struct draft *d, const char *name, const struct model_file *f,
		     bool weak)
{
	switch (model_below(m, 5)) {
	case 0:
		add(d, "%s: *\r\n", name);
		return true;
	case 1:
		add(d, "%s: \"other\"\r\n", name);
		return false;
	case 2:
		add(d, "%s: \"other\" , W/\"more\",%s\r\n", name, f->etag);
		return true;
	case 3:
		add(d, "%s: W/%s\r\n", name, f->etag);
		return weak;
	default:
		add(d, "%s: %s\r\n", name, f->etag);
		return true;
	}
}

/* RFC 9110 section 13.2.2. 0: goes on. */
static int add_conditions(struct model *m, struct draft *d, const struct model_file *f)
{
	bool match = one_in(m, 8), none = one_in(m, 4), since = one_in(m, 4), until = one_in(m, 8);
	int status = 0;

	if (until && !add_date(m, d, "If-Unmodified-Since", f) && !match)
		status = 412;
	if (match && !add_tags(m, d, "If-Match", f, false))
		status = 412;
	if (since && add_date(m, d, "If-Modified-Since", f) && !none && !status)
		status = 304;
	if (none && add_tags(m, d, "If-None-Match", f, true) && !status)
		status = 304;
	return status;
}

/* One range in one of the forms; 206, or 416. */
static int add_range(struct model *m, struct draft *d, struct expect *e)
{
	size_t size = e->file->size, a = model_below(m, size + size / 16 + 1), n;

	e->n_ranges = 1;
	switch (model_below(m, 3)) {
	case 0:
		n = a + model_below(m, one_in(m, 3) ? size + 1 : 5000);
		add(d, "Range: bytes=%zu-%zu\r\n", a, n);
		e->ranges[0] = (struct range){ a, n < size ? n : size - 1 };
		break;
	case 1:
		add(d, "Range: bytes=%zu-\r\n", a);
		e->ranges[0] = (struct range){ a, size - 1 };
		break;
	default:
		n = one_in(m, 16) ? 0 : 1 + model_below(m, size + 5);
		add(d, "Range: bytes=-%zu\r\n", n);
		a = n < size ? size - n : 0;
		e->ranges[0] = (struct range){ a, size - 1 };
	}
	return a < size ? 206 : 416;
}

/* Several that lie so far apart that nobody would make one of them. */
static int add_ranges(struct model *m, struct draft *d, struct expect *e)
{
	size_t part = e->file->size / MODEL_RANGES;

	add(d, "Range: bytes=");
	e->n_ranges = 2 + (unsigned)model_below(m, MODEL_RANGES - 1);
	for (unsigned i = 0; i < e->n_ranges; i++) {
		size_t first = i * part + model_below(m, part / 4);
		size_t last = first + model_below(m, part / 4 < 5000 ? part / 4 : 5000);

		e->ranges[i] = (struct range){ first, last };
		add(d, "%s%zu-%zu", i ? ", " : "", first, last);
	}
	add(d, "\r\n");
	return 206;
}

/* If-Range: whether the range counts. */
static bool add_if_range(struct model *m, struct draft *d, const struct model_file *f)
{
	switch (model_below(m, 8)) {
	case 0:
		add(d, "If-Range: \"other\"\r\n");
		return false;
	case 1:
		add(d, "If-Range: W/%s\r\n", f->etag);
		return false;
	case 2:
		add(d, "If-Range: %s\r\n", f->etag);
		return true;
	case 3:
		add(d, "If-Range: %s\r\n", f->modified);
		return true;
	case 4:
		add(d, "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
		return false;
	default:
		return true;
	}
}

static void add_file_fields(struct model *m, struct draft *d, struct expect *e)
{
	int status = add_conditions(m, d, e->file), range;

	e->status = 200;
	/* of nothing, no range can be had, and what is said about that differs */
	if (one_in(m, 3) && e->file->size) {
		if (e->file->size > 6000 && one_in(m, 3))
			range = add_ranges(m, d, e);
		else
			range = add_range(m, d, e);
		if (add_if_range(m, d, e->file) && !e->head)
			e->status = range;
	}
	if (status)
		e->status = status;
}

static void add_version(struct model *m, struct draft *d, bool last, struct expect *e)
{
	bool close = last && one_in(m, 40);

	e->old = one_in(m, 20);
	add(d, " HTTP/1.%d\r\nHost: test\r\n", !e->old);
	e->closes = close;
	if (e->old)
		add(d, "%s", close ? "" : "Connection: keep-alive\r\n");
	else if (close)
		add(d, "Connection: close\r\n");
	else if (one_in(m, 8))
		add(d, "connection: Keep-Alive, x\r\n");
	if (one_in(m, 50))
		add(d, "X-Padding: %0*d\r\n", (int)model_below(m, 500) + 1, 0);
}

size_t model_request(struct model *m, bool last, char *out, struct expect *e)
{
	struct draft d = { out, 0 };
	size_t kind = model_below(m, 40);

	*e = (struct expect){ .head = one_in(m, 4) };
	if (kind == 2) {
		e->head = false;
		add(&d, "DELETE /file1.bin");
		e->status = 405;
	} else {
		add(&d, e->head ? "HEAD " : "GET ");
	}
	if (kind == 0) {
		add(&d, "/none%zu.bin", model_below(m, 100));
		e->status = 404;
	} else if (kind == 1) {
		add(&d, "/dir");
		e->status = 301;
	} else if (kind > 2) {
		e->file = some_file(m);
		/* the first letter of each name is an f */
		if (one_in(m, 16))
			add(&d, "/%%66%s?q=%%zz", e->file->name + 1);
		else
			add(&d, "/%s", e->file->name);
	}
	add_version(m, &d, last, e);
	if (e->file && m->conditions)
		add_file_fields(m, &d, e);
	else if (e->file)
		e->status = 200;
	add(&d, "\r\n");
	return d.len;
}
