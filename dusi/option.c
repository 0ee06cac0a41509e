/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * option.c - socket options. Four are the kernel's and go through the engine; the time-outs are kept
 * here and given with each connect and accept; addresses and path can only be asked for.
 */
#include <assert.h>
#include <string.h>

#include "dusi/handle.h"

enum option_class { OPTION_NONE, OPTION_KERNEL, OPTION_TIMEOUT, OPTION_ADDRESS, OPTION_PATH };

static const struct option {
	enum option_class class;
	int ppe;   /* OPTION_KERNEL */
	int least; /* smallest value that makes sense */
} options[] = {
	[DUSI_SO_NODELAY] = { OPTION_KERNEL, FAB_OPT_NODELAY, 0 },
	[DUSI_SO_KEEPALIVE] = { OPTION_KERNEL, FAB_OPT_KEEPALIVE, 0 },
	[DUSI_SO_SNDBUF] = { OPTION_KERNEL, FAB_OPT_SNDBUF, 1 },
	[DUSI_SO_RCVBUF] = { OPTION_KERNEL, FAB_OPT_RCVBUF, 1 },
	[DUSI_SO_REUSEPORT] = { OPTION_KERNEL, PPE_OPT_REUSEPORT, 0 },
	[DUSI_SO_DEFER_ACCEPT] = { OPTION_KERNEL, PPE_OPT_DEFER_ACCEPT, 0 },
	[DUSI_SO_CONNECT_TIMEOUT] = { .class = OPTION_TIMEOUT },
	[DUSI_SO_ACCEPT_TIMEOUT] = { .class = OPTION_TIMEOUT },
	[DUSI_SO_LOCAL_ADDRESS] = { .class = OPTION_ADDRESS },
	[DUSI_SO_PEER_ADDRESS] = { .class = OPTION_ADDRESS },
	[DUSI_SO_PATH] = { .class = OPTION_PATH },
};

static_assert(sizeof(struct sockaddr_storage) >= sizeof(union fab_addr), "every address fits");

/* Any number may come in as an option. */
static const struct option *option_of(enum dusi_socket_option option)
{
	static const struct option none;
	size_t i = (unsigned)option;

	return i < sizeof(options) / sizeof(options[0]) ? &options[i] : &none;
}

static _Atomic uint64_t *timeout_of(struct dusi_sock *s, enum dusi_socket_option option)
{
	return option == DUSI_SO_CONNECT_TIMEOUT ? &s->connect_timeout_us : &s->accept_timeout_us;
}

static int set_kernel(struct dusi_sock *s, const struct option *o, const void *value, size_t len)
{
	int v;

	if (len != sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	return v < o->least ? -EINVAL : ppe_dti_set_option(s->ppe, o->ppe, v);
}

static int set_timeout(_Atomic uint64_t *timeout_us, const void *value, size_t len)
{
	int64_t v;

	if (len != sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	if (v < 0)
		return -EINVAL;
	atomic_store_explicit(timeout_us, v, memory_order_relaxed);
	return 0;
}

int Dusi_Set_Socket_Ops(dusi_sock_t sock, enum dusi_socket_option option, const void *value,
			size_t len)
{
	const struct option *o = option_of(option);
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (!value)
		return -EINVAL;
	switch (o->class) {
	case OPTION_KERNEL:
		return set_kernel(s, o, value, len);
	case OPTION_TIMEOUT:
		return set_timeout(timeout_of(s, option), value, len);
	default:
		return -ENOPROTOOPT;
	}
}

static int get_kernel(struct dusi_sock *s, const struct option *o, void *value, const size_t *len)
{
	int v, err;

	if (*len != sizeof(v))
		return -EINVAL;
	err = ppe_dti_get_option(s->ppe, o->ppe, &v);
	if (!err)
		memcpy(value, &v, sizeof(v));
	return err;
}

static int get_timeout(const _Atomic uint64_t *timeout_us, void *value, const size_t *len)
{
	int64_t v = atomic_load_explicit(timeout_us, memory_order_relaxed);

	if (*len != sizeof(v))
		return -EINVAL;
	memcpy(value, &v, sizeof(v));
	return 0;
}

static int get_address(struct dusi_sock *s, enum dusi_socket_option option, void *value,
		       const size_t *len)
{
	struct sockaddr_storage ss;
	union fab_addr addr;
	int err;

	if (*len != sizeof(ss))
		return -EINVAL;
	err = option == DUSI_SO_LOCAL_ADDRESS ? ppe_dti_local(s->ppe, &addr)
					      : ppe_dti_peer(s->ppe, &addr);
	if (err)
		return err;
	memset(&ss, 0, sizeof(ss));
	memcpy(&ss, &addr, sizeof(addr));
	memcpy(value, &ss, sizeof(ss));
	return 0;
}

static int get_path(struct dusi_sock *s, void *value, const size_t *len)
{
	char path[DUSI_PATH_LEN] = "";
	const char *wire;
	int err;

	if (*len != sizeof(path))
		return -EINVAL;
	err = ppe_dti_wire(s->ppe, 0, &wire);
	if (err)
		return err;
	strncpy(path, wire, sizeof(path) - 1);
	memcpy(value, path, sizeof(path));
	return 0;
}

int Dusi_Get_Socket_Ops(dusi_sock_t sock, enum dusi_socket_option option, void *value, size_t *len)
{
	const struct option *o = option_of(option);
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (!value || !len)
		return -EINVAL;
	switch (o->class) {
	case OPTION_KERNEL:
		return get_kernel(s, o, value, len);
	case OPTION_TIMEOUT:
		return get_timeout(timeout_of(s, option), value, len);
	case OPTION_ADDRESS:
		return get_address(s, option, value, len);
	case OPTION_PATH:
		return get_path(s, value, len);
	default:
		return -ENOPROTOOPT;
	}
}
