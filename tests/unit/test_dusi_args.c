/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every public call of DUSI with every kind of bad argument: handles that are zero, garbage, stale, of
 * another kind or of a closed UAL; NULL where memory is needed; counts, lengths, options and enums out
 * of range; another UAL's objects; a fork's child. None may crash, none may succeed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dusi/dusi.h"

/* A program that was compiled against an older header must not meet other structures. */
static_assert(sizeof(dusi_ual_t) == 8 && sizeof(dusi_evq_t) == 8 && sizeof(dusi_sock_t) == 8,
	      "handles");
static_assert(sizeof(dusi_file_t) == 8, "dusi_file_t");
static_assert(sizeof(dusi_mem_t) == 8, "dusi_mem_t");
static_assert(sizeof(struct dusi_ual_attr) == 48, "struct dusi_ual_attr");
static_assert(offsetof(struct dusi_ual_attr, pool) == 16, "struct dusi_ual_attr");
static_assert(sizeof(struct dusi_event) == 48, "struct dusi_event");
static_assert(offsetof(struct dusi_event, tag) == 8, "struct dusi_event");
static_assert(sizeof(struct dusi_socket_attr) == 32, "struct dusi_socket_attr");
static_assert(sizeof(struct dusi_buf) == 24, "struct dusi_buf");
static_assert(sizeof(struct dusi_file_attr) == 16, "struct dusi_file_attr");
static_assert(sizeof(struct dusi_open) == 40, "struct dusi_open");
static_assert(sizeof(struct dusi_ual_info) == 40, "struct dusi_ual_info");

#define GARBAGE UINT64_C(0xdeadbeefcafe1234)

static struct {
	dusi_ual_t ual, other_ual, closed_ual;
	dusi_evq_t evq, other_evq, closed_evq, closed_ual_evq;
	dusi_sock_t sock, other_sock, closed_sock, closed_ual_sock;
	dusi_file_t file, other_file, closed_file, closed_ual_file;
	dusi_mem_t mem;
	char buf[256];
	struct sockaddr_in addr;
} f;

static dusi_sock_t new_socket(dusi_ual_t ual, dusi_evq_t evq)
{
	struct dusi_socket_attr attr = { .tx_evq = evq };
	dusi_sock_t sock;

	assert_int_equal(Dusi_Socket(ual, &attr, &sock), 0);
	return sock;
}

static dusi_file_t new_file(dusi_ual_t ual, dusi_evq_t evq)
{
	struct dusi_file_attr attr = { .evq = evq };
	dusi_file_t file;

	assert_int_equal(Dusi_Adopt_File(ual, &attr, open("/dev/null", O_RDWR), &file), 0);
	return file;
}

static void new_ual(dusi_ual_t *ual, dusi_evq_t *evq, dusi_sock_t *sock, dusi_file_t *file)
{
	assert_int_equal(Dusi_Open_Ual(NULL, ual), 0);
	assert_int_equal(Dusi_Create_EvQ(*ual, 0, evq), 0);
	*sock = new_socket(*ual, *evq);
	*file = new_file(*ual, *evq);
}

/* Ends with objects again in the places of those that were closed: only their handles are stale. */
static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(1) };
	f.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	new_ual(&f.closed_ual, &f.closed_ual_evq, &f.closed_ual_sock, &f.closed_ual_file);
	assert_int_equal(Dusi_Close_Ual(f.closed_ual), 0);
	new_ual(&f.ual, &f.closed_evq, &f.closed_sock, &f.closed_file);
	assert_int_equal(Dusi_Close_Socket(f.closed_sock), 0);
	assert_int_equal(Dusi_Close_File(f.closed_file), 0);
	assert_int_equal(Dusi_Destroy_EvQ(f.closed_evq), 0);
	assert_int_equal(Dusi_Create_EvQ(f.ual, 0, &f.evq), 0);
	f.sock = new_socket(f.ual, f.evq);
	f.file = new_file(f.ual, f.evq);
	new_ual(&f.other_ual, &f.other_evq, &f.other_sock, &f.other_file);
	assert_int_equal(Dusi_Register_Memory(f.ual, f.buf, sizeof(f.buf), DUSI_READ | DUSI_WRITE,
					      &f.mem),
			 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(Dusi_Close_Ual(f.other_ual), 0);
	assert_int_equal(Dusi_Close_Ual(f.ual), 0);
	return 0;
}

static struct dusi_buf piece(size_t len)
{
	return (struct dusi_buf){ f.buf, len, f.mem };
}

static const struct sockaddr *address(void)
{
	return (const struct sockaddr *)&f.addr;
}

/* ----------------------------------------------------- every call, by the handle it takes */

static dusi_ual_t as_ual(uint64_t id)
{
	return (dusi_ual_t){ id };
}

static dusi_evq_t as_evq(uint64_t id)
{
	return (dusi_evq_t){ id };
}

static dusi_sock_t as_sock(uint64_t id)
{
	return (dusi_sock_t){ id };
}

static dusi_file_t as_file(uint64_t id)
{
	return (dusi_file_t){ id };
}

static int call_close_ual(uint64_t id)
{
	return Dusi_Close_Ual(as_ual(id));
}

static int call_register(uint64_t id)
{
	dusi_mem_t mem;

	return Dusi_Register_Memory(as_ual(id), f.buf, 1, DUSI_READ, &mem);
}

static int call_deregister(uint64_t id)
{
	return Dusi_Deregister_Memory(as_ual(id), f.mem);
}

static int call_create_evq(uint64_t id)
{
	dusi_evq_t evq;

	return Dusi_Create_EvQ(as_ual(id), 0, &evq);
}

static int call_socket(uint64_t id)
{
	struct dusi_socket_attr attr = { .tx_evq = f.evq };
	dusi_sock_t sock;

	return Dusi_Socket(as_ual(id), &attr, &sock);
}

static int call_counter(uint64_t id)
{
	const char *name;
	uint64_t value;

	return Dusi_Counter(as_ual(id), 0, &name, &value);
}

static int call_query(uint64_t id)
{
	struct dusi_ual_info info;

	return Dusi_Query_Ual(as_ual(id), &info);
}

static int open_in(dusi_ual_t ual, dusi_evq_t evq)
{
	struct dusi_file_attr attr = { .evq = evq };
	struct dusi_open how = { .dirfd = AT_FDCWD, .path = "." };
	dusi_file_t file;

	return Dusi_Open_File(ual, &attr, &how, 1, &file);
}

static int call_open_file(uint64_t id)
{
	return open_in(as_ual(id), f.evq);
}

static int call_open_file_evq(uint64_t id)
{
	return id ? open_in(f.ual, as_evq(id)) : -EBADF;
}

static int call_adopt_file(uint64_t id)
{
	struct dusi_file_attr attr = { .evq = f.evq };
	dusi_file_t file;

	return Dusi_Adopt_File(as_ual(id), &attr, 0, &file);
}

static int call_close_file(uint64_t id)
{
	return Dusi_Close_File(as_file(id));
}

static int call_read_file(uint64_t id)
{
	struct dusi_buf buf = piece(1);

	return Dusi_Read_File(as_file(id), &buf, 1, 0, 1);
}

static int call_write_file(uint64_t id)
{
	struct dusi_buf buf = piece(1);

	return Dusi_Write_File(as_file(id), &buf, 1, 0, 1);
}

static int call_stat_file(uint64_t id)
{
	static struct statx st;

	return Dusi_Stat_File(as_file(id), &st, 1);
}

static int call_sync_file(uint64_t id)
{
	return Dusi_Sync_File(as_file(id), 1);
}

static int call_send_file(uint64_t id)
{
	return Dusi_Send_File(f.sock, as_file(id), 0, 1, 1);
}

static int call_send_file_sock(uint64_t id)
{
	return Dusi_Send_File(as_sock(id), f.file, 0, 1, 1);
}

static int call_destroy_evq(uint64_t id)
{
	return Dusi_Destroy_EvQ(as_evq(id));
}

static int call_wait_all(uint64_t id)
{
	struct dusi_event event;

	return Dusi_Wait_All(as_evq(id), &event, 1, 0, NULL, NULL);
}

static int call_wait_any(uint64_t id)
{
	dusi_evq_t evqs[] = { as_evq(id) };

	return Dusi_Wait_Any(evqs, 1, 0);
}

static int call_num_events(uint64_t id)
{
	return Dusi_EvQ_Num_Events(as_evq(id));
}

static int call_done(uint64_t id)
{
	struct dusi_event event;

	return Dusi_Done(as_evq(id), 1, &event);
}

static int call_signal(uint64_t id)
{
	return Dusi_EvQ_Enable_Signal(as_evq(id), 0);
}

static int call_socket_tx_evq(uint64_t id)
{
	struct dusi_socket_attr attr = { .tx_evq = as_evq(id), .rx_evq = f.evq };
	dusi_sock_t sock;

	/* no event queue at all is another matter */
	return id ? Dusi_Socket(f.ual, &attr, &sock) : -EBADF;
}

static int call_socket_rx_evq(uint64_t id)
{
	struct dusi_socket_attr attr = { .tx_evq = f.evq, .rx_evq = as_evq(id) };
	dusi_sock_t sock;

	return id ? Dusi_Socket(f.ual, &attr, &sock) : -EBADF;
}

static int call_close_socket(uint64_t id)
{
	return Dusi_Close_Socket(as_sock(id));
}

static int call_bind(uint64_t id)
{
	return Dusi_Bind(as_sock(id), address(), sizeof(f.addr));
}

static int call_listen(uint64_t id)
{
	return Dusi_Listen(as_sock(id), 1);
}

static int call_connect(uint64_t id)
{
	return Dusi_Connect(as_sock(id), address(), sizeof(f.addr), 1);
}

static int call_accept_listener(uint64_t id)
{
	return Dusi_Accept(as_sock(id), f.sock, 1);
}

static int call_accept_child(uint64_t id)
{
	return Dusi_Accept(f.sock, as_sock(id), 1);
}

static int call_send(uint64_t id)
{
	struct dusi_buf buf = piece(1);

	return Dusi_Send(as_sock(id), &buf, 1, 1);
}

static int call_send_inline(uint64_t id)
{
	return Dusi_Send_Inline(as_sock(id), "x", 1, 1);
}

static int call_recv(uint64_t id)
{
	struct dusi_buf buf = piece(1);

	return Dusi_Recv(as_sock(id), &buf, 1, 1);
}

static int call_shutdown(uint64_t id)
{
	return Dusi_Shutdown(as_sock(id), DUSI_SHUT_TX, 1);
}

static int call_cancel(uint64_t id)
{
	return Dusi_Cancel(as_sock(id), 1);
}

static int call_set_option(uint64_t id)
{
	int value = 1;

	return Dusi_Set_Socket_Ops(as_sock(id), DUSI_SO_NODELAY, &value, sizeof(value));
}

static int call_get_option(uint64_t id)
{
	int value;
	size_t len = sizeof(value);

	return Dusi_Get_Socket_Ops(as_sock(id), DUSI_SO_NODELAY, &value, &len);
}

enum kind { UAL, EVQ, SOCK, FILES };

static const struct call {
	enum kind kind;
	int (*call)(uint64_t id);
} calls[] = {
	{ UAL, call_close_ual },     { UAL, call_register },
	{ UAL, call_deregister },    { UAL, call_create_evq },
	{ UAL, call_socket },        { UAL, call_counter },
	{ EVQ, call_destroy_evq },   { EVQ, call_wait_all },
	{ EVQ, call_wait_any },      { EVQ, call_num_events },
	{ EVQ, call_done },          { EVQ, call_signal },
	{ EVQ, call_socket_tx_evq }, { EVQ, call_socket_rx_evq },
	{ SOCK, call_close_socket }, { SOCK, call_bind },
	{ SOCK, call_listen },       { SOCK, call_connect },
	{ SOCK, call_send },         { SOCK, call_send_inline },
	{ SOCK, call_recv },         { SOCK, call_shutdown },
	{ SOCK, call_cancel },       { SOCK, call_set_option },
	{ SOCK, call_get_option },   { SOCK, call_accept_listener },
	{ SOCK, call_accept_child }, { UAL, call_query },
	{ UAL, call_open_file },     { UAL, call_adopt_file },
	{ EVQ, call_open_file_evq }, { SOCK, call_send_file_sock },
	{ FILES, call_close_file },  { FILES, call_read_file },
	{ FILES, call_write_file },  { FILES, call_stat_file },
	{ FILES, call_sync_file },   { FILES, call_send_file },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static uint64_t live_id(enum kind kind)
{
	const uint64_t ids[] = { f.ual.id, f.evq.id, f.sock.id, f.file.id };

	return ids[kind];
}

static void refused(const struct call *c, uint64_t id)
{
	int result = c->call(id);

	if (result != -EBADF)
		fail_msg("call %d with handle %#llx gave %d", (int)(c - calls),
			 (unsigned long long)id, result);
}

static void handles_garbage(void **state)
{
	static const uint64_t garbage[] = { 0, 1, 255, GARBAGE, INT64_MAX, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < CALLS; i++)
		for (unsigned j = 0; j < sizeof(garbage) / sizeof(garbage[0]); j++)
			refused(&calls[i], garbage[j]);
}

/* One bit that is wrong, anywhere, makes a handle invalid, whatever it happens to name then. */
static void handles_one_bit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CALLS; i++)
		for (unsigned bit = 0; bit < 64; bit++)
			refused(&calls[i], live_id(calls[i].kind) ^ UINT64_C(1) << bit);
}

static void handles_stale(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CALLS; i++) {
		switch (calls[i].kind) {
		case UAL:
			refused(&calls[i], f.closed_ual.id);
			break;
		case EVQ:
			refused(&calls[i], f.closed_evq.id);
			refused(&calls[i], f.closed_ual_evq.id);
			break;
		case SOCK:
			refused(&calls[i], f.closed_sock.id);
			refused(&calls[i], f.closed_ual_sock.id);
			break;
		case FILES:
			refused(&calls[i], f.closed_file.id);
			refused(&calls[i], f.closed_ual_file.id);
			break;
		}
	}
}

static void handles_of_other_kinds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CALLS; i++)
		for (enum kind kind = UAL; kind <= FILES; kind++)
			if (kind != calls[i].kind)
				refused(&calls[i], live_id(kind));
}

/* Random numbers, with a bias to those that look like handles. */
static void handles_random(void **state)
{
	uint64_t x = 88172645463325252u;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		refused(&calls[n % CALLS], n & 1 ? x
						 : (live_id(n / 2 % 4) & ~0xffffffffu) |
							   (x & 0xffffffff) | 0x80000000u);
	}
}

static void handles_differ_and_stay_stale(void **state)
{
	uint64_t seen[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		seen[i] = new_socket(f.ual, f.evq).id;
		assert_int_not_equal(seen[i], 0);
		assert_int_equal(Dusi_Close_Socket(as_sock(seen[i])), 0);
		for (int j = 0; j <= i; j++)
			assert_int_equal(Dusi_Close_Socket(as_sock(seen[j])), -EBADF);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(seen[i], seen[j]);
	}
}

static int first_that_works(void)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (calls[i].call(live_id(calls[i].kind)) != -EOWNERDEAD)
			return i + 1;
	return 0;
}

/* The child has none of its parent's, and may have its own. */
static void fork_child(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		dusi_ual_t own;
		int failed = first_that_works();

		if (!failed && Dusi_Open_Ual(NULL, &own))
			failed = 100;
		if (!failed && call_create_evq(own.id))
			failed = 101;
		if (!failed && Dusi_Close_Ual(own))
			failed = 102;
		_exit(failed);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* and the parent's are as they were */
	assert_int_equal(call_num_events(f.evq.id), 0);
}

/* ---------------------------------------------------------------------------------- UAL */

static int open_with(const struct dusi_ual_attr *attr)
{
	dusi_ual_t ual;
	int err = Dusi_Open_Ual(attr, &ual);

	if (!err)
		assert_int_equal(Dusi_Close_Ual(ual), 0);
	return err;
}

static int open_placed(const char *placement)
{
	return open_with(&(struct dusi_ual_attr){ .placement = placement });
}

static void open_ual(void **state)
{
	(void)state;
	assert_int_equal(Dusi_Open_Ual(NULL, NULL), -EINVAL);
	assert_int_equal(open_placed("sideways"), -EINVAL);
	assert_int_equal(open_placed("inline "), -EINVAL);
	assert_int_equal(open_placed("dedicated:"), -EINVAL);
	assert_int_equal(open_placed("dedicated:x"), -EINVAL);
	assert_int_equal(open_placed("dedicated:0x"), -EINVAL);
	assert_int_equal(open_placed("dedicatedly"), -EINVAL);
	assert_int_equal(open_placed("dedicated:100000"), -ENODEV);
	assert_int_equal(open_placed("dedicated:-1"), -ENODEV);
	assert_int_equal(open_placed("inline"), 0);
	assert_int_equal(open_placed("adaptive"), 0);
	assert_int_equal(open_with(&(struct dusi_ual_attr){ .max_sockets = UINT32_MAX }), -EINVAL);
	assert_int_equal(open_with(&(struct dusi_ual_attr){ .max_sockets = (1u << 20) + 1 }),
			 -EINVAL);
	assert_int_equal(open_with(&(struct dusi_ual_attr){ .max_sockets = 1 }), 0);
	assert_int_equal(open_with(&(struct dusi_ual_attr){ .flags = 2 }), -EINVAL);
	assert_int_equal(open_with(&(struct dusi_ual_attr){ .flags = UINT_MAX }), -EINVAL);
	assert_int_equal(open_with(&(struct dusi_ual_attr){ .flags = DUSI_SINGLE_THREAD }), 0);
}

static void keep_text(void *arg, const char *text)
{
	strncpy(arg, text, 255);
}

/* A path that cannot be had is refused, and the program is told why. */
static void open_ual_roce(void **state)
{
	static const char *const names[] = { "roce", "roce:there is no such device" };
	const char *had = getenv("ETA_FABRIC");
	char *keep = had ? strdup(had) : NULL;
	dusi_ual_t ual;

	(void)state;
	for (int i = 0; i < 2; i++) {
		char text[256] = "";
		int err;

		Dusi_Set_Log(keep_text, text);
		setenv("ETA_FABRIC", names[i], 1);
		err = Dusi_Open_Ual(NULL, &ual);
		Dusi_Set_Log(NULL, NULL);
		if (err) {
			assert_true(err == -EOPNOTSUPP || err == -ENODEV);
			assert_string_not_equal(text, "");
			assert_int_equal(open_with(NULL), err);
		} else {
			assert_int_equal(i, 0);
			assert_int_equal(Dusi_Close_Ual(ual), 0);
		}
	}
	if (keep)
		setenv("ETA_FABRIC", keep, 1);
	else
		unsetenv("ETA_FABRIC");
	free(keep);
}

static void open_ual_pool(void **state)
{
	const struct dusi_ual_attr no_count = { .pool = { { 4096, 0 } } };
	const struct dusi_ual_attr no_size = { .pool = { { 0, 16 } } };
	const struct dusi_ual_attr falling = { .pool = { { 4096, 16 }, { 2048, 16 } } };
	const struct dusi_ual_attr good = { .pool = { { 2048, 4 }, { 4096, 2 } } };

	(void)state;
	assert_int_equal(open_with(&no_count), -EINVAL);
	assert_int_equal(open_with(&no_size), -EINVAL);
	assert_int_equal(open_with(&falling), -EINVAL);
	assert_int_equal(open_with(&good), 0);
}

static void open_ual_environment(void **state)
{
	char *saved = getenv("ETA_PPE") ? strdup(getenv("ETA_PPE")) : NULL;

	(void)state;
	setenv("ETA_PPE", "sideways", 1);
	assert_int_equal(open_with(NULL), -EINVAL);
	assert_int_equal(open_placed("inline"), 0);
	setenv("ETA_PPE", "inline", 1);
	assert_int_equal(open_with(NULL), 0);
	unsetenv("ETA_PPE");
	if (saved)
		setenv("ETA_PPE", saved, 1);
	free(saved);
}

static void open_ual_too_many(void **state)
{
	const struct dusi_ual_attr small = { .max_sockets = 1, .pool = { { 2048, 1 } } };
	dusi_ual_t uals[256];
	int n = 0, err = 0;

	(void)state;
	while (n < 256 && !(err = Dusi_Open_Ual(&small, &uals[n])))
		n++;
	/* two are open already; or the process may not have so many descriptors */
	assert_true((err == -ENFILE && n == 253) || err == -EMFILE);
	while (n--)
		assert_int_equal(Dusi_Close_Ual(uals[n]), 0);
}

static void counters(void **state)
{
	const char *name;
	uint64_t value;
	unsigned n = 0;

	(void)state;
	while (!Dusi_Counter(f.ual, n, &name, &value)) {
		assert_non_null(name);
		assert_true(strlen(name) > 0);
		n++;
	}
	assert_true(n > 10);
	assert_int_equal(Dusi_Counter(f.ual, n, &name, &value), -ENOENT);
	assert_int_equal(Dusi_Counter(f.ual, UINT_MAX, &name, &value), -ENOENT);
	assert_int_equal(Dusi_Counter(f.ual, 0, NULL, &value), -EINVAL);
	assert_int_equal(Dusi_Counter(f.ual, 0, &name, NULL), -EINVAL);
}

static void query(void **state)
{
	struct dusi_ual_info info;

	(void)state;
	assert_int_equal(Dusi_Query_Ual(f.ual, NULL), -EINVAL);
	assert_int_equal(Dusi_Query_Ual(f.ual, &info), 0);
	assert_non_null(info.placement);
	assert_non_null(info.fabric);
	assert_non_null(info.fabric_why);
}

/* ------------------------------------------------------------------------------- memory */

static int reg(void *addr, size_t len, unsigned access)
{
	dusi_mem_t mem;
	int err = Dusi_Register_Memory(f.ual, addr, len, access, &mem);

	if (!err)
		assert_int_equal(Dusi_Deregister_Memory(f.ual, mem), 0);
	return err;
}

static void register_memory(void **state)
{
	(void)state;
	assert_int_equal(Dusi_Register_Memory(f.ual, f.buf, 1, DUSI_READ, NULL), -EINVAL);
	assert_int_equal(reg(NULL, 1, DUSI_READ), -EINVAL);
	assert_int_equal(reg(NULL, SIZE_MAX, DUSI_READ), -EINVAL);
	assert_int_equal(reg(f.buf, 0, DUSI_READ), -EINVAL);
	assert_int_equal(reg(f.buf, SIZE_MAX, DUSI_READ), -EINVAL);
	assert_int_equal(reg(f.buf, sizeof(f.buf), 0), -EINVAL);
	assert_int_equal(reg(f.buf, sizeof(f.buf), 4), -EINVAL);
	assert_int_equal(reg(f.buf, sizeof(f.buf), UINT_MAX), -EINVAL);
	assert_int_equal(reg(f.buf, sizeof(f.buf), DUSI_READ), 0);
}

static void register_unmapped(void **state)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *three =
		mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(three != MAP_FAILED);
	assert_int_equal(munmap(three + page, page), 0);
	assert_int_equal(reg(three, page, DUSI_READ), 0);
	assert_int_equal(reg(three + page, 1, DUSI_READ), -EFAULT);
	assert_int_equal(reg(three, 3 * page, DUSI_READ), -EFAULT);
	assert_int_equal(reg((void *)16, 16, DUSI_READ), -EFAULT);
	munmap(three, page);
	munmap(three + 2 * page, page);
}

static void deregister_memory(void **state)
{
	dusi_mem_t mem = f.mem;

	(void)state;
	mem.ptag ^= 1;
	assert_int_equal(Dusi_Deregister_Memory(f.ual, mem), -EKEYREJECTED);
	mem = f.mem;
	mem.region ^= 0x7fff;
	assert_int_equal(Dusi_Deregister_Memory(f.ual, mem), -ENOKEY);
	assert_true(Dusi_Deregister_Memory(f.ual, (dusi_mem_t){ 0, 0 }) < 0);
	assert_true(Dusi_Deregister_Memory(f.other_ual, f.mem) < 0);
	assert_int_equal(Dusi_Deregister_Memory(f.ual, f.mem), 0);
	assert_int_equal(Dusi_Deregister_Memory(f.ual, f.mem), -EKEYREVOKED);
}

/* --------------------------------------------------------------------------- event queues */

static void create_evq(void **state)
{
	dusi_evq_t evq;

	(void)state;
	assert_int_equal(Dusi_Create_EvQ(f.ual, 0, NULL), -EINVAL);
	assert_int_equal(Dusi_Create_EvQ(f.ual, (1u << 20) + 1, &evq), -EINVAL);
	assert_int_equal(Dusi_Create_EvQ(f.ual, UINT32_MAX, &evq), -EINVAL);
	assert_int_equal(Dusi_Create_EvQ(f.ual, 1, &evq), 0);
	assert_int_equal(Dusi_Destroy_EvQ(evq), 0);
	/* a socket is bound to it */
	assert_int_equal(Dusi_Destroy_EvQ(f.evq), -EBUSY);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void create_evq_too_many(void **state)
{
	static dusi_evq_t evqs[1025];
	int n = 0, err = 0;

	(void)state;
	while (n < 1025 && !(err = Dusi_Create_EvQ(f.ual, 2, &evqs[n])))
		n++;
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(n, 1023);
	while (n--)
		assert_int_equal(Dusi_Destroy_EvQ(evqs[n]), 0);
}

static void never_called(const struct dusi_event *event, void *arg)
{
	(void)event;
	(void)arg;
	fail_msg("there was no event");
}

static void wait_all(void **state)
{
	struct dusi_event ev;

	(void)state;
	assert_int_equal(Dusi_Wait_All(f.evq, NULL, 1, 0, NULL, NULL), -EINVAL);
	assert_int_equal(Dusi_Wait_All(f.evq, &ev, 0, 0, NULL, NULL), -EINVAL);
	assert_int_equal(Dusi_Wait_All(f.evq, &ev, -1, 0, NULL, NULL), -EINVAL);
	assert_int_equal(Dusi_Wait_All(f.evq, &ev, INT_MIN, -1, NULL, NULL), -EINVAL);
	assert_int_equal(Dusi_Wait_All(f.evq, NULL, 0, 0, never_called, NULL), -EINVAL);
	assert_int_equal(Dusi_Wait_All(f.evq, NULL, INT_MAX, 0, never_called, NULL), 0);
	assert_int_equal(Dusi_Wait_All(f.evq, &ev, INT_MAX, 1000, never_called, NULL), 0);
}

static void wait_any(void **state)
{
	static dusi_evq_t many[1025];
	dusi_evq_t evqs[] = { f.evq, f.other_evq, f.closed_evq };

	(void)state;
	for (int i = 0; i < 1025; i++)
		many[i] = f.evq;
	assert_int_equal(Dusi_Wait_Any(NULL, 1, 0), -EINVAL);
	assert_int_equal(Dusi_Wait_Any(evqs, 0, 0), -EINVAL);
	assert_int_equal(Dusi_Wait_Any(evqs, -1, 0), -EINVAL);
	assert_int_equal(Dusi_Wait_Any(many, 1025, 0), -EINVAL);
	assert_int_equal(Dusi_Wait_Any(many, INT_MAX, 0), -EINVAL);
	assert_int_equal(Dusi_Wait_Any(evqs, 2, 0), -EXDEV);
	evqs[1] = f.evq;
	assert_int_equal(Dusi_Wait_Any(evqs, 3, 0), -EBADF);
	assert_int_equal(Dusi_Wait_Any(evqs, 2, 0), -EBUSY);
	assert_int_equal(Dusi_Wait_Any(many, 1024, 0), -EBUSY);
	assert_int_equal(Dusi_Wait_Any(evqs, 1, 0), -ETIMEDOUT);
	assert_int_equal(Dusi_Wait_Any(evqs, 1, 1000), -ETIMEDOUT);
}

static void done(void **state)
{
	struct dusi_event ev;

	(void)state;
	assert_int_equal(Dusi_Done(f.evq, 0, NULL), -EINVAL);
	assert_int_equal(Dusi_Done(f.evq, 0, &ev), 0);
	assert_int_equal(Dusi_Done(f.evq, UINT64_MAX, &ev), 0);
}

static void enable_signal(void **state)
{
	(void)state;
	assert_int_equal(Dusi_EvQ_Enable_Signal(f.evq, -1), -EINVAL);
	assert_int_equal(Dusi_EvQ_Enable_Signal(f.evq, SIGRTMAX + 1), -EINVAL);
	assert_int_equal(Dusi_EvQ_Enable_Signal(f.evq, INT_MAX), -EINVAL);
	assert_int_equal(Dusi_EvQ_Enable_Signal(f.evq, 0), 0);
}

/* -------------------------------------------------------------------------------- sockets */

static void socket_attributes(void **state)
{
	struct dusi_socket_attr attr = { .tx_evq = f.evq };
	dusi_sock_t sock;

	(void)state;
	assert_int_equal(Dusi_Socket(f.ual, NULL, &sock), -EINVAL);
	assert_int_equal(Dusi_Socket(f.ual, &attr, NULL), -EINVAL);
	attr.tx_slots = UINT32_MAX;
	assert_int_equal(Dusi_Socket(f.ual, &attr, &sock), -EINVAL);
	attr = (struct dusi_socket_attr){ .tx_evq = f.evq, .rx_slots = (1u << 20) + 1 };
	assert_int_equal(Dusi_Socket(f.ual, &attr, &sock), -EINVAL);
	attr = (struct dusi_socket_attr){ 0 };
	assert_int_equal(Dusi_Socket(f.ual, &attr, &sock), -EINVAL);
	attr.tx_evq = f.other_evq;
	assert_int_equal(Dusi_Socket(f.ual, &attr, &sock), -EXDEV);
	attr = (struct dusi_socket_attr){ .tx_evq = f.evq, .rx_evq = f.other_evq };
	assert_int_equal(Dusi_Socket(f.ual, &attr, &sock), -EXDEV);
	attr = (struct dusi_socket_attr){ .rx_evq = f.evq };
	assert_int_equal(Dusi_Socket(f.ual, &attr, &sock), 0);
	assert_int_equal(Dusi_Close_Socket(sock), 0);
}

static void sockets_too_many(void **state)
{
	const struct dusi_ual_attr attr = { .max_sockets = 3 };
	dusi_ual_t ual;
	dusi_evq_t evq;
	dusi_sock_t s[4];

	(void)state;
	assert_int_equal(Dusi_Open_Ual(&attr, &ual), 0);
	assert_int_equal(Dusi_Create_EvQ(ual, 0, &evq), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++)
			s[i] = new_socket(ual, evq);
		assert_int_equal(Dusi_Socket(ual, &(struct dusi_socket_attr){ .tx_evq = evq },
					     &s[3]),
				 -ENOSPC);
		for (int i = 0; i < 3; i++)
			assert_int_equal(Dusi_Close_Socket(s[i]), 0);
	}
	assert_int_equal(Dusi_Close_Ual(ual), 0);
}

static void addresses(void **state)
{
	struct sockaddr_storage unix_address = { .ss_family = AF_UNIX };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *u = (struct sockaddr *)&unix_address, *six = (struct sockaddr *)&in6;

	(void)state;
	assert_int_equal(Dusi_Bind(f.sock, NULL, sizeof(f.addr)), -EINVAL);
	assert_int_equal(Dusi_Bind(f.sock, address(), 0), -EINVAL);
	assert_int_equal(Dusi_Bind(f.sock, address(), 1), -EINVAL);
	assert_int_equal(Dusi_Bind(f.sock, address(), sizeof(f.addr) - 1), -EINVAL);
	assert_int_equal(Dusi_Bind(f.sock, six, sizeof(f.addr)), -EINVAL);
	assert_int_equal(Dusi_Bind(f.sock, u, sizeof(unix_address)), -EAFNOSUPPORT);
	assert_int_equal(Dusi_Connect(f.sock, NULL, sizeof(f.addr), 1), -EINVAL);
	assert_int_equal(Dusi_Connect(f.sock, address(), 0, 1), -EINVAL);
	assert_int_equal(Dusi_Connect(f.sock, address(), sizeof(f.addr) - 1, 1), -EINVAL);
	assert_int_equal(Dusi_Connect(f.sock, six, sizeof(f.addr), 1), -EINVAL);
	assert_int_equal(Dusi_Connect(f.sock, u, sizeof(unix_address), 1), -EAFNOSUPPORT);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void states(void **state)
{
	dusi_sock_t listener = new_socket(f.ual, f.evq);

	(void)state;
	f.addr.sin_port = 0;
	assert_int_equal(Dusi_Listen(listener, 1), -EDESTADDRREQ);
	assert_int_equal(Dusi_Bind(listener, address(), sizeof(f.addr)), 0);
	assert_int_equal(Dusi_Listen(listener, 1), 0);
	assert_int_equal(Dusi_Listen(listener, 1), -EISCONN);
	assert_int_equal(Dusi_Bind(listener, address(), sizeof(f.addr)), -EISCONN);
	assert_int_equal(Dusi_Connect(listener, address(), sizeof(f.addr), 1), -EISCONN);
	assert_int_equal(Dusi_Shutdown(listener, DUSI_SHUT_RX, 1), -ENOTCONN);
	assert_int_equal(Dusi_Shutdown(f.sock, DUSI_SHUT_BOTH, 1), -ENOTCONN);

	assert_int_equal(Dusi_Accept(f.sock, listener, 1), -EINVAL);
	assert_int_equal(Dusi_Accept(listener, listener, 1), -EINVAL);
	assert_int_equal(Dusi_Accept(f.sock, f.sock, 1), -EINVAL);
	assert_int_equal(Dusi_Accept(listener, f.other_sock, 1), -EXDEV);
	assert_int_equal(Dusi_Accept(listener, f.sock, 1), 0);
	assert_int_equal(Dusi_Accept(listener, f.sock, 2), -EALREADY);
	assert_int_equal(Dusi_Connect(f.sock, address(), sizeof(f.addr), 1), -EALREADY);
	assert_int_equal(Dusi_Bind(f.sock, address(), sizeof(f.addr)), -EISCONN);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void listen_refused(void **state)
{
	struct sockaddr_in not_ours = { .sin_family = AF_INET };

	(void)state;
	not_ours.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, of no machine */
	assert_int_equal(Dusi_Bind(f.sock, (struct sockaddr *)&not_ours, sizeof(not_ours)), 0);
	assert_int_equal(Dusi_Listen(f.sock, 1), -EADDRNOTAVAIL);
}

/* ----------------------------------------------------------------------------------- data */

static void send_lists(void **state)
{
	struct dusi_buf bufs[DUSI_BUFS_MAX + 1];

	(void)state;
	for (int i = 0; i <= DUSI_BUFS_MAX; i++)
		bufs[i] = piece(1);
	assert_int_equal(Dusi_Send(f.sock, NULL, 1, 1), -EINVAL);
	assert_int_equal(Dusi_Send(f.sock, bufs, 0, 1), -EINVAL);
	assert_int_equal(Dusi_Send(f.sock, bufs, -1, 1), -EINVAL);
	assert_int_equal(Dusi_Send(f.sock, bufs, INT_MAX, 1), -EINVAL);
	assert_int_equal(Dusi_Send(f.sock, bufs, DUSI_BUFS_MAX + 1, 1), -EINVAL);
	bufs[1].len = DUSI_OP_BYTES_MAX;
	assert_int_equal(Dusi_Send(f.sock, bufs, 2, 1), -EMSGSIZE);
	bufs[1].len = SIZE_MAX;
	assert_int_equal(Dusi_Send(f.sock, bufs, 2, 1), -EMSGSIZE);
	bufs[0].len = DUSI_OP_BYTES_MAX + 1;
	assert_int_equal(Dusi_Send(f.sock, bufs, 1, 1), -EMSGSIZE);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void recv_lists(void **state)
{
	struct dusi_buf bufs[DUSI_BUFS_MAX + 1];

	(void)state;
	for (int i = 0; i <= DUSI_BUFS_MAX; i++)
		bufs[i] = piece(0);
	assert_int_equal(Dusi_Recv(f.sock, NULL, 1, 1), -EINVAL);
	assert_int_equal(Dusi_Recv(f.sock, bufs, 0, 1), -EINVAL);
	assert_int_equal(Dusi_Recv(f.sock, bufs, -1, 1), -EINVAL);
	assert_int_equal(Dusi_Recv(f.sock, bufs, DUSI_BUFS_MAX + 1, 1), -EINVAL);
	/* no byte at all could only look like the end */
	assert_int_equal(Dusi_Recv(f.sock, bufs, DUSI_BUFS_MAX, 1), -EINVAL);
	bufs[0].len = 1;
	bufs[1].len = DUSI_OP_BYTES_MAX;
	assert_int_equal(Dusi_Recv(f.sock, bufs, 2, 1), -EMSGSIZE);
	bufs[1].len = SIZE_MAX;
	assert_int_equal(Dusi_Recv(f.sock, bufs, 2, 1), -EMSGSIZE);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void send_inline(void **state)
{
	static const char data[DUSI_INLINE_MAX + 1];

	(void)state;
	assert_int_equal(Dusi_Send_Inline(f.sock, NULL, 1, 1), -EINVAL);
	assert_int_equal(Dusi_Send_Inline(f.sock, data, DUSI_INLINE_MAX + 1, 1), -EMSGSIZE);
	assert_int_equal(Dusi_Send_Inline(f.sock, data, SIZE_MAX, 1), -EMSGSIZE);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void shutdown_how(void **state)
{
	(void)state;
	assert_int_equal(Dusi_Shutdown(f.sock, 0, 1), -EINVAL);
	assert_int_equal(Dusi_Shutdown(f.sock, 4, 1), -EINVAL);
	assert_int_equal(Dusi_Shutdown(f.sock, -1, 1), -EINVAL);
	assert_int_equal(Dusi_Shutdown(f.sock, INT_MIN, 1), -EINVAL);
}

static void cancel_nothing(void **state)
{
	(void)state;
	assert_int_equal(Dusi_Cancel(f.sock, 0), -ENOENT);
	assert_int_equal(Dusi_Cancel(f.sock, UINT64_MAX), -ENOENT);
}

/* ---------------------------------------------------------------------------------- files */

static void open_file_arguments(void **state)
{
	struct dusi_file_attr attr = { .evq = f.evq }, none = { .context = 1 };
	struct dusi_open how = { .dirfd = AT_FDCWD, .path = "." };
	char path[4097];
	dusi_file_t file;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[4096] = 0;
	assert_int_equal(Dusi_Open_File(f.ual, NULL, &how, 1, &file), -EINVAL);
	assert_int_equal(Dusi_Open_File(f.ual, &none, &how, 1, &file), -EINVAL);
	assert_int_equal(Dusi_Open_File(f.ual, &attr, NULL, 1, &file), -EINVAL);
	assert_int_equal(Dusi_Open_File(f.ual, &attr, &how, 1, NULL), -EINVAL);
	how.path = NULL;
	assert_int_equal(Dusi_Open_File(f.ual, &attr, &how, 1, &file), -EINVAL);
	how.path = path;
	assert_int_equal(Dusi_Open_File(f.ual, &attr, &how, 1, &file), -ENAMETOOLONG);
	attr.evq = f.other_evq;
	how.path = ".";
	assert_int_equal(Dusi_Open_File(f.ual, &attr, &how, 1, &file), -EXDEV);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void adopt_file_arguments(void **state)
{
	struct dusi_file_attr attr = { .evq = f.evq }, none = { .context = 1 };
	dusi_file_t file;

	(void)state;
	assert_int_equal(Dusi_Adopt_File(f.ual, NULL, 0, &file), -EINVAL);
	assert_int_equal(Dusi_Adopt_File(f.ual, &none, 0, &file), -EINVAL);
	assert_int_equal(Dusi_Adopt_File(f.ual, &attr, 0, NULL), -EINVAL);
	assert_int_equal(Dusi_Adopt_File(f.ual, &attr, -1, &file), -EBADF);
	assert_int_equal(Dusi_Adopt_File(f.ual, &attr, INT_MAX, &file), -EBADF);
	attr.evq = f.other_evq;
	assert_int_equal(Dusi_Adopt_File(f.ual, &attr, 0, &file), -EXDEV);
}

typedef int (*move_t)(dusi_file_t, const struct dusi_buf *, int, uint64_t, uint64_t);

static void move_arguments(move_t move)
{
	struct dusi_buf bufs[DUSI_BUFS_MAX + 1];

	for (int i = 0; i <= DUSI_BUFS_MAX; i++)
		bufs[i] = piece(1);
	assert_int_equal(move(f.file, NULL, 1, 0, 1), -EINVAL);
	assert_int_equal(move(f.file, bufs, 0, 0, 1), -EINVAL);
	assert_int_equal(move(f.file, bufs, -1, 0, 1), -EINVAL);
	assert_int_equal(move(f.file, bufs, INT_MAX, 0, 1), -EINVAL);
	assert_int_equal(move(f.file, bufs, DUSI_BUFS_MAX + 1, 0, 1), -EINVAL);
	assert_int_equal(move(f.file, bufs, 1, (uint64_t)INT64_MAX + 1, 1), -EINVAL);
	assert_int_equal(move(f.file, bufs, 1, UINT64_MAX, 1), -EINVAL);
	bufs[1].len = DUSI_OP_BYTES_MAX;
	assert_int_equal(move(f.file, bufs, 2, 0, 1), -EMSGSIZE);
	bufs[1].len = SIZE_MAX;
	assert_int_equal(move(f.file, bufs, 2, 0, 1), -EMSGSIZE);
}

static void file_operations(void **state)
{
	struct dusi_buf none = piece(0);

	(void)state;
	move_arguments(Dusi_Read_File);
	move_arguments(Dusi_Write_File);
	/* no byte at all could only look like the end */
	assert_int_equal(Dusi_Read_File(f.file, &none, 1, 0, 1), -EINVAL);
	assert_int_equal(Dusi_Stat_File(f.file, NULL, 1), -EINVAL);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void send_file_arguments(void **state)
{
	(void)state;
	assert_int_equal(Dusi_Send_File(f.sock, f.other_file, 0, 1, 1), -EXDEV);
	assert_int_equal(Dusi_Send_File(f.other_sock, f.file, 0, 1, 1), -EXDEV);
	assert_int_equal(Dusi_Send_File(f.sock, f.file, 0, DUSI_OP_BYTES_MAX + 1, 1), -EMSGSIZE);
	assert_int_equal(Dusi_Send_File(f.sock, f.file, 0, SIZE_MAX, 1), -EMSGSIZE);
	assert_int_equal(Dusi_Send_File(f.sock, f.file, INT64_MAX, 1, 1), -EINVAL);
	assert_int_equal(Dusi_Send_File(f.sock, f.file, UINT64_MAX, 1, 1), -EINVAL);
	assert_int_equal(Dusi_EvQ_Num_Events(f.evq), 0);
}

static void files_too_many(void **state)
{
	struct dusi_file_attr attr = { .evq = f.evq };
	struct dusi_open how = { .dirfd = AT_FDCWD, .path = "no/such/file" };
	struct dusi_event ev;
	static dusi_file_t files[65536];
	int n = 0, err;

	(void)state;
	/* one is there already */
	while (!(err = Dusi_Open_File(f.ual, &attr, &how, 1, &files[n]))) {
		n++;
		assert_int_equal(Dusi_Wait_All(f.evq, &ev, 1, -1, NULL, NULL), 1);
		assert_int_equal(ev.status, -ENOENT);
		assert_true(n < 65536);
	}
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(n, 65535);
	while (n--)
		assert_int_equal(Dusi_Close_File(files[n]), 0);
	assert_int_equal(Dusi_Open_File(f.ual, &attr, &how, 1, &files[0]), 0);
}

/* -------------------------------------------------------------------------------- options */

static int set_int(enum dusi_socket_option option, int value)
{
	return Dusi_Set_Socket_Ops(f.sock, option, &value, sizeof(value));
}

static int set_long(enum dusi_socket_option option, int64_t value)
{
	return Dusi_Set_Socket_Ops(f.sock, option, &value, sizeof(value));
}

static void set_options(void **state)
{
	struct sockaddr_storage ss = { 0 };
	int64_t value = 1;

	(void)state;
	assert_int_equal(set_int(0, 1), -ENOPROTOOPT);
	assert_int_equal(set_int(99, 1), -ENOPROTOOPT);
	assert_int_equal(set_int(INT_MAX, 1), -ENOPROTOOPT);
	assert_int_equal(set_int(INT_MIN, 1), -ENOPROTOOPT);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_LOCAL_ADDRESS, &ss, sizeof(ss)),
			 -ENOPROTOOPT);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_PEER_ADDRESS, &ss, sizeof(ss)),
			 -ENOPROTOOPT);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_NODELAY, NULL, 4), -EINVAL);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, 8), -EINVAL);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, 3), -EINVAL);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, 0), -EINVAL);
	assert_int_equal(Dusi_Set_Socket_Ops(f.sock, DUSI_SO_ACCEPT_TIMEOUT, &value, 4), -EINVAL);
	assert_int_equal(set_int(DUSI_SO_NODELAY, -1), -EINVAL);
	assert_int_equal(set_int(DUSI_SO_SNDBUF, 0), -EINVAL);
	assert_int_equal(set_int(DUSI_SO_RCVBUF, INT_MIN), -EINVAL);
	assert_int_equal(set_long(DUSI_SO_CONNECT_TIMEOUT, -1), -EINVAL);
	assert_int_equal(set_long(DUSI_SO_ACCEPT_TIMEOUT, INT64_MIN), -EINVAL);
}

static void get_options(void **state)
{
	struct sockaddr_storage ss;
	char path[DUSI_PATH_LEN];
	int value;
	size_t len = sizeof(value), ss_len = sizeof(ss);

	(void)state;
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, 0, &value, &len), -ENOPROTOOPT);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_PATH + 1, &value, &len), -ENOPROTOOPT);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, INT_MIN, &value, &len), -ENOPROTOOPT);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, NULL, &len), -EINVAL);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, NULL), -EINVAL);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_CONNECT_TIMEOUT, &value, &len),
			 -EINVAL);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_LOCAL_ADDRESS, &ss, &len), -EINVAL);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_PEER_ADDRESS, &ss, &ss_len),
			 -ENOTCONN);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_LOCAL_ADDRESS, &ss, &ss_len),
			 -ENOTCONN);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_PATH, &value, &len), -EINVAL);
	len = sizeof(path);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_PATH, path, &len), -ENOTCONN);
	len = 3;
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, &len), -EINVAL);
	len = SIZE_MAX;
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, &len), -EINVAL);
}

static void options_kept(void **state)
{
	int64_t timeout;
	int value;
	size_t len = sizeof(value), long_len = sizeof(timeout);

	(void)state;
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1);
	assert_int_equal(set_int(DUSI_SO_NODELAY, 0), 0);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, &len), 0);
	assert_int_equal(value, 0);
	assert_int_equal(set_long(DUSI_SO_CONNECT_TIMEOUT, 12345), 0);
	assert_int_equal(set_long(DUSI_SO_ACCEPT_TIMEOUT, INT64_MAX), 0);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_CONNECT_TIMEOUT, &timeout, &long_len),
			 0);
	assert_int_equal(timeout, 12345);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_ACCEPT_TIMEOUT, &timeout, &long_len),
			 0);
	assert_true(timeout == INT64_MAX);
	/* a new socket in the same place begins anew */
	assert_int_equal(Dusi_Close_Socket(f.sock), 0);
	f.sock = new_socket(f.ual, f.evq);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_CONNECT_TIMEOUT, &timeout, &long_len),
			 0);
	assert_int_equal(timeout, 0);
	assert_int_equal(Dusi_Get_Socket_Ops(f.sock, DUSI_SO_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(handles_garbage),
		TEST(handles_one_bit),
		TEST(handles_stale),
		TEST(handles_of_other_kinds),
		TEST(handles_random),
		TEST(handles_differ_and_stay_stale),
		TEST(fork_child),
		TEST(open_ual),
		TEST(open_ual_roce),
		TEST(open_ual_pool),
		TEST(open_ual_environment),
		TEST(open_ual_too_many),
		TEST(counters),
		TEST(query),
		TEST(register_memory),
		TEST(register_unmapped),
		TEST(deregister_memory),
		TEST(create_evq),
		TEST(create_evq_too_many),
		TEST(wait_all),
		TEST(wait_any),
		TEST(done),
		TEST(enable_signal),
		TEST(socket_attributes),
		TEST(sockets_too_many),
		TEST(addresses),
		TEST(states),
		TEST(listen_refused),
		TEST(send_lists),
		TEST(recv_lists),
		TEST(send_inline),
		TEST(shutdown_how),
		TEST(cancel_nothing),
		TEST(open_file_arguments),
		TEST(adopt_file_arguments),
		TEST(file_operations),
		TEST(send_file_arguments),
		TEST(files_too_many),
		TEST(set_options),
		TEST(get_options),
		TEST(options_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
