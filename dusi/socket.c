/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * socket.c - the life of a socket: made, bound, connected one way or the other, shut down, closed.
 *
 * A socket is a stream DTI. Its cookie is the socket's handle, and the DTI carries the socket's
 * context as well, so that an event needs no socket to be translated (wait.c).
 */
#include <limits.h>

#include "dusi/handle.h"

/* ------------------------------------------------------------------ made and closed */

/* Either queue stands in for the other. */
static int bound_evqs(const struct dusi_ual *u, const struct dusi_socket_attr *attr,
		      struct ppe_dti_attr *dti)
{
	int err = dusi_bound_evq(u, attr->tx_evq, &dti->tx_evq);

	dti->rx_evq = dti->tx_evq;
	if (!err)
		err = dusi_bound_evq(u, attr->rx_evq, &dti->rx_evq);
	if (err)
		return err;
	if (!dti->tx_evq)
		dti->tx_evq = dti->rx_evq;
	return dti->tx_evq ? 0 : -EINVAL;
}

static int sock_open(struct dusi_ual *u, struct ppe_dti_attr *dti, dusi_sock_t *sock)
{
	struct dusi_place *place;
	struct dusi_sock *s;
	uint64_t id;
	int err = dusi_table_take(u, &u->socks, &place, &id);

	if (err)
		return err;
	s = (struct dusi_sock *)place;
	dti->cookie = id;
	err = ppe_dti_create(u->ppe, dti, &s->ppe);
	if (err) {
		dusi_table_give(u, &u->socks, place);
		return err;
	}
	atomic_store(&s->connect_timeout_us, 0);
	atomic_store(&s->accept_timeout_us, 0);
	atomic_store(&s->is_child, false);
	dusi_table_publish(place, id);
	sock->id = id;
	return 0;
}

int Dusi_Socket(dusi_ual_t ual, const struct dusi_socket_attr *attr, dusi_sock_t *sock)
{
	struct ppe_dti_attr dti = { .service = PPE_STREAM };
	struct dusi_ual *u;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	if (!attr || !sock)
		return -EINVAL;
	err = bound_evqs(u, attr, &dti);
	if (err)
		return err;
	dti.flags = u->locked;
	dti.sq_slots = attr->tx_slots;
	dti.rq_slots = attr->rx_slots;
	dti.context = attr->context;
	return sock_open(u, &dti, sock);
}

int Dusi_Close_Socket(dusi_sock_t sock)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (!dusi_table_withdraw(&s->place, sock.id))
		return -EBADF;
	ppe_dti_destroy(s->ppe, false);
	dusi_table_give(u, &u->socks, &s->place);
	return 0;
}

/* ---------------------------------------------------------------------- connections */

static uint64_t microseconds(_Atomic uint64_t *timeout_us)
{
	uint64_t us = atomic_load_explicit(timeout_us, memory_order_relaxed);

	return us > INT64_MAX / 1000 ? INT64_MAX : us * 1000;
}

int Dusi_Bind(dusi_sock_t sock, const struct sockaddr *addr, socklen_t addrlen)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	return addr ? ppe_dti_bind(s->ppe, addr, addrlen) : -EINVAL;
}

int Dusi_Listen(dusi_sock_t sock, int backlog)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	err = ppe_dti_listen(s->ppe, backlog);
	if (!err)
		atomic_store_explicit(&s->is_child, false, memory_order_relaxed);
	return err;
}

int Dusi_Connect(dusi_sock_t sock, const struct sockaddr *addr, socklen_t addrlen, uint64_t tag)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (!addr)
		return -EINVAL;
	err = ppe_dti_connect(s->ppe, addr, addrlen, microseconds(&s->connect_timeout_us), tag,
			      NULL, 0);
	if (!err)
		atomic_store_explicit(&s->is_child, false, memory_order_relaxed);
	return err;
}

int Dusi_Accept(dusi_sock_t listener, dusi_sock_t child, uint64_t tag)
{
	struct dusi_ual *lu, *cu;
	struct dusi_sock *l, *c;
	int err = dusi_find_sock(listener, &lu, &l);

	if (!err)
		err = dusi_find_sock(child, &cu, &c);
	if (err)
		return err;
	if (l == c)
		return -EINVAL;
	if (lu != cu)
		return -EXDEV;
	err = ppe_dti_accept(l->ppe, c->ppe, microseconds(&l->accept_timeout_us), tag);
	if (!err)
		atomic_store_explicit(&c->is_child, true, memory_order_relaxed);
	return err;
}

/*
 * The receiving side is shut by a control call: what is still to be sent must not hold it up. Its
 * event comes through the send queue all the same, so that there is one road for all of them.
 */
int Dusi_Shutdown(dusi_sock_t sock, int how, uint64_t tag)
{
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (how < DUSI_SHUT_TX || how > DUSI_SHUT_BOTH)
		return -EINVAL;
	if (how & DUSI_SHUT_RX) {
		err = ppe_dti_shutdown_rx(s->ppe);
		if (err)
			return err;
	}
	return how & DUSI_SHUT_TX ? ppe_post_shutdown(s->ppe, tag) : ppe_post_nop(s->ppe, tag);
}

/*
 * To the engine an accept is its child's as well, but it was posted to the listener: a child that
 * cancels its receives with a tag that happens to be the accept's does not mean that.
 */
int Dusi_Cancel(dusi_sock_t sock, uint64_t tag)
{
	unsigned which = PPE_CANCEL_SEND | PPE_CANCEL_RECV;
	struct dusi_ual *u;
	struct dusi_sock *s;
	int err = dusi_find_sock(sock, &u, &s);

	if (err)
		return err;
	if (!atomic_load_explicit(&s->is_child, memory_order_relaxed))
		which |= PPE_CANCEL_CONNECT;
	return ppe_dti_cancel(s->ppe, tag, which);
}
