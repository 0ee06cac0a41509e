// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * http_random.c - random requests on several connections at once, pipelined in random depth and
 * sent in random pieces, against eta-webserver: each response must be the one that the model
 * computes, and come in order, to the last byte.
 *
 *	http_random BACKEND [REQUESTS [SEED]]
 *
 * ETA_SEED: another seed. Exit code 77: this server does not have the back end.
 */
#define _GNU_SOURCE /* memmem */
#include "http_model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS 16
#define DEPTH 32
#define ROOM 65536 /* for a head, or content that is looked at as a whole */
#define SKIPPED 77
#define STALLED_MS 60000

struct client {
	int fd;
	char out[DEPTH * MODEL_REQUEST_MAX];
	size_t out_len, out_sent;
	struct expect due[DEPTH];
	unsigned n_due, answered;
	struct head head;
	bool in_body, slice;
	size_t left, at; /* of the content: bytes to come; where in the file they are from */
	char in[ROOM];
	size_t in_len;
};

static struct {
	struct model model;
	struct client clients[CONNECTIONS];
	struct sockaddr_in address;
	pid_t pid;
	char folder[64];
	uint64_t seed, asked, total, bytes, connections;
} run;

/* ------------------------------------------------------------------------------------ ends */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void clean_up(void)
{
	if (run.pid > 0) {
		kill(run.pid, SIGKILL);
		waitpid(run.pid, NULL, 0);
	}
	if (run.folder[0])
		nftw(run.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void fail(const char *what)
{
	fprintf(stderr, "FAILED: %s: %s (seed %llu)\n", what, strerror(errno),
		(unsigned long long)run.seed);
	exit(EXIT_FAILURE);
}

static void fail_response(const struct client *c, const char *wrong)
{
	const struct expect *e = &c->due[c->answered];
	const char *p = c->out;

	for (unsigned i = 0; i < c->answered; i++)
		p = strstr(p, "\r\n\r\n") + 4;
	fprintf(stderr,
		"FAILED: %s (seed %llu)\nrequest %u of %u on its connection:\n%.*s"
		"due: %d, %s, %zu bytes\ncame: %d, length %zu, range %s, tag %s, %zu to come\n",
		wrong, (unsigned long long)run.seed, c->answered + 1, c->n_due,
		(int)(strstr(p, "\r\n\r\n") + 4 - p), p, e->status, e->file ? e->file->name : "-",
		e->file ? e->file->size : 0, c->head.status, c->head.length, c->head.content_range,
		c->head.etag, c->left);
	exit(EXIT_FAILURE);
}

/* --------------------------------------------------------------------------------- the server */

static void server_path(char path[4096])
{
	const char *bin = getenv("ETA_BIN_DIR");

	snprintf(path, 4096, "%s/eta-webserver", bin ? bin : "build/bin");
}

/* Runs it with its output in a pipe, whose other end this returns. */
static FILE *spawn(char *const argv[], pid_t *pid)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		fail("pipe");
	*pid = fork();
	if (*pid < 0)
		fail("fork");
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

static bool has_option(char *path, const char *option)
{
	char *argv[] = { path, "--help", NULL }, line[512];
	bool found = false;
	FILE *help;
	pid_t pid;

	help = spawn(argv, &pid);
	while (fgets(line, sizeof(line), help))
		found |= strstr(line, option) != NULL;
	fclose(help);
	waitpid(pid, NULL, 0);
	return found;
}

static void start_server(char *backend)
{
	char path[4096], line[512], *colon;
	char *old[] = { path, "--listen", "127.0.0.1:0", run.folder, NULL };
	/* so that files are sent in all ways, and leave the cache again */
	char *argv[] = { path,    "--listen",        "127.0.0.1:0", "--aio",
			 backend, "--cache-largest", "200k",        "--cache-bytes",
			 "600k",  "--cache-files",   "40",          run.folder,
			 NULL };
	FILE *out;

	server_path(path);
	run.model.conditions = has_option(path, "--aio");
	if (!run.model.conditions && strcmp(backend, "dusi")) {
		printf("skipped: the server has no --aio\n");
		exit(SKIPPED);
	}
	out = spawn(run.model.conditions ? argv : old, &run.pid);
	while (fgets(line, sizeof(line), out)) {
		if (strstr(line, "this machine does not have") || strstr(line, "no such --aio")) {
			printf("skipped: %s", line);
			exit(SKIPPED);
		}
		colon = strrchr(line, ':');
		if (!strncmp(line, "listening on ", 13) && colon) {
			run.address = (struct sockaddr_in){
				.sin_family = AF_INET,
				.sin_port = htons((uint16_t)atoi(colon + 1)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
			};
			return; /* the pipe stays open: the server may have more to say */
		}
		fputs(line, stderr);
	}
	fail("the server did not start");
}

static void end_server(void)
{
	int status;

	if (kill(run.pid, SIGTERM) || waitpid(run.pid, &status, 0) != run.pid)
		fail("the server's end");
	run.pid = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "FAILED: the server ended with status %#x\n", (unsigned)status);
		exit(EXIT_FAILURE);
	}
}

/* -------------------------------------------------------------------------------- connections */

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&run.address, sizeof(run.address)))
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	run.connections++;
	return fd;
}

static void client_open(struct client *c)
{
	c->fd = dial();
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

/* The next requests; what they are worth is computed as they are written. */
static void client_ask(struct client *c)
{
	unsigned n = 1 + (unsigned)model_below(&run.model, model_below(&run.model, 3) ? 4 : DEPTH);

	if (n > run.total - run.asked)
		n = (unsigned)(run.total - run.asked);
	c->n_due = n;
	c->answered = 0;
	c->out_len = c->out_sent = 0;
	for (unsigned i = 0; i < n; i++)
		c->out_len +=
			model_request(&run.model, i + 1 == n, c->out + c->out_len, &c->due[i]);
	c->out[c->out_len] = '\0';
	run.asked += n;
}

static void client_send(struct client *c)
{
	size_t n = c->out_len - c->out_sent;
	ssize_t sent;

	if (!model_below(&run.model, 8))
		n = 1 + model_below(&run.model, n);
	sent = send(c->fd, c->out + c->out_sent, n, MSG_NOSIGNAL);
	if (sent >= 0)
		c->out_sent += (size_t)sent;
	else if (errno != EAGAIN)
		fail("send");
}

/* A response is complete. */
static void client_answered(struct client *c)
{
	c->in_body = false;
	c->answered++;
}

/* Takes a head from the front of @data. Returns its length; 0: it is not complete. */
static size_t take_head(struct client *c, const char *data, size_t len)
{
	const struct expect *e = &c->due[c->answered];
	const char *end = memmem(data, len, "\r\n\r\n", 4), *wrong;

	if (!end)
		return 0;
	c->left = 0;
	wrong = head_parse(data, (size_t)(end - data), &c->head);
	if (!wrong)
		wrong = model_check_head(e, &c->head, &c->slice, &c->at);
	if (wrong)
		fail_response(c, wrong);
	c->left = e->head || c->head.status == 304 ? 0 : c->head.length;
	if (!c->slice && c->left > ROOM)
		fail_response(c, "long content");
	c->in_body = true;
	if (!c->left)
		client_answered(c);
	return (size_t)(end + 4 - data);
}

/* The same for content: that of files as it comes, all other as a whole. */
static size_t take_body(struct client *c, const char *data, size_t len)
{
	const struct expect *e = &c->due[c->answered];
	size_t n = len < c->left ? len : c->left;
	const char *wrong;

	if (c->slice) {
		if (memcmp(data, e->file->data + c->at, n))
			fail_response(c, "wrong content");
		c->at += n;
	} else {
		if (n < c->left)
			return 0;
		wrong = model_check_body(e, &c->head, data, n);
		if (wrong)
			fail_response(c, wrong);
	}
	c->left -= n;
	if (!c->left)
		client_answered(c);
	return n;
}

static void client_take(struct client *c)
{
	size_t at = 0, n = 1;

	while (n && at < c->in_len) {
		if (c->answered == c->n_due) {
			fprintf(stderr, "more than was asked for: %.*s\n", (int)(c->in_len - at),
				c->in + at);
			exit(EXIT_FAILURE);
		}
		if (c->in_body)
			n = take_body(c, c->in + at, c->in_len - at);
		else
			n = take_head(c, c->in + at, c->in_len - at);
		at += n;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
	if (c->in_len == ROOM)
		fail_response(c, "a head without end");
}

/* False: the connection has ended. */
static bool client_receive(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, ROOM - c->in_len, 0);

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0)
		fail_response(c, strerror(errno));
	if (!n)
		return false;
	run.bytes += (uint64_t)n;
	c->in_len += (size_t)n;
	client_take(c);
	return true;
}

static bool last_closes(const struct client *c)
{
	return c->n_due && c->due[c->n_due - 1].closes;
}

static void client_event(struct client *c, short events)
{
	if (events & POLLOUT && c->out_sent < c->out_len)
		client_send(c);
	if (events & (POLLIN | POLLHUP | POLLERR) && !client_receive(c)) {
		if (c->answered < c->n_due || !last_closes(c))
			fail_response(c, "the connection ended");
		close(c->fd);
		c->fd = -1;
	}
}

/* What it does next. False: nothing any more. */
static bool client_next(struct client *c)
{
	if (c->fd >= 0 && (c->answered < c->n_due || last_closes(c)))
		return true;
	if (run.asked == run.total)
		return false;
	if (c->fd < 0)
		client_open(c);
	client_ask(c);
	return true;
}

static void run_clients(void)
{
	struct pollfd fds[CONNECTIONS];
	unsigned active;

	do {
		active = 0;
		for (unsigned i = 0; i < CONNECTIONS; i++) {
			struct client *c = &run.clients[i];
			bool busy = client_next(c);

			active += busy;
			fds[i] = (struct pollfd){ .fd = busy ? c->fd : -1, .events = POLLIN };
			if (c->out_sent < c->out_len)
				fds[i].events |= POLLOUT;
		}
		if (active && !poll(fds, CONNECTIONS, STALLED_MS))
			fail("nothing comes any more");
		for (unsigned i = 0; i < CONNECTIONS; i++)
			if (fds[i].revents)
				client_event(&run.clients[i], fds[i].revents);
	} while (active);
}

/* The server chooses the entity tags; that they stay the same is checked. */
static void learn_tags(void)
{
	for (unsigned i = 0; i < MODEL_FILES; i++) {
		struct model_file *f = &run.model.files[i];
		char text[4096];
		struct head h;
		size_t len = 0;
		ssize_t n;
		int fd = dial();

		n = snprintf(text, sizeof(text),
			     "HEAD /%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
			     f->name);
		if (write(fd, text, (size_t)n) != n)
			fail("write");
		while ((n = read(fd, text + len, sizeof(text) - len)) > 0)
			len += (size_t)n;
		close(fd);
		if (len < 4 || head_parse(text, len - 4, &h) || h.status != 200 || h.etag[0] != '"')
			fail("no entity tag");
		memcpy(f->etag, h.etag, sizeof(f->etag));
	}
}

int main(int argc, char **argv)
{
	const char *seed = argc > 3 ? argv[3] : getenv("ETA_SEED"),
		   *sanitize = getenv("ETA_SANITIZE");

	run.total = argc > 2 ? strtoull(argv[2], NULL, 0) : sanitize && *sanitize ? 8000 : 100000;
	run.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)run.seed);
	fflush(stdout);
	strcpy(run.folder, "/tmp/eta-http.XXXXXX");
	if (!mkdtemp(run.folder))
		fail("mkdtemp");
	atexit(clean_up);
	model_create(&run.model, run.seed, run.folder);
	start_server(argc > 1 ? argv[1] : "dusi");
	if (run.model.conditions)
		learn_tags();
	for (unsigned i = 0; i < CONNECTIONS; i++)
		run.clients[i].fd = -1;
	run_clients();
	end_server();
	printf("%llu requests on %llu connections, %llu MiB\n", (unsigned long long)run.asked,
	       (unsigned long long)run.connections, (unsigned long long)(run.bytes >> 20));
	model_destroy(&run.model);
	return EXIT_SUCCESS;
}
