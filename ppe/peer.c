/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * peer.c - who the peers are, and how connections to them come about and end.
 *
 * A peer is an address: the name of another endpoint. It is dialled when something waits for it and
 * there is no connection. Its own connections are accepted at once, by whoever runs the engine.
 *
 * When both sides dial at once one connection must go, and both must mean the same one: that of the
 * endpoint with the smaller incarnation stays, a number that both know (names would not do: who listens
 * on all addresses does not know its own). So who dials and has the smaller one refuses the other's
 * request (ULP_CROSSED); the other, told so, waits, and dials again if nothing comes; and who has the
 * larger one gives up its own for the other's. A name with another incarnation than before is an
 * endpoint that has been started again: what was there for the old one ends.
 *
 * An endpoint that is its own peer has two links, one for each direction.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ppe/message.h"

#define CROSSED_WAIT_NS 20000000ull /* before it dials again; doubled each time */
#define CROSSED_TRIES 12
#define DIAL_NS 10000000000ull

static const struct fab_msg_ops *fabric_of(const struct ppe_dti *d)
{
	return d->ual->fabric.msg;
}

/* ------------------------------------------------------------------------- names */

static unsigned name_put(const union fab_addr *addr, uint8_t *out)
{
	bool v6 = addr->sa.sa_family == AF_INET6;

	out[0] = v6 ? 6 : 4;
	out[1] = 0;
	memcpy(out + 2, v6 ? &addr->in6.sin6_port : &addr->in.sin_port, 2);
	if (v6)
		memcpy(out + 4, &addr->in6.sin6_addr, 16);
	else
		memcpy(out + 4, &addr->in.sin_addr, 4);
	return v6 ? ULP_NAME_V6 : ULP_NAME_V4;
}

static int name_get(const uint8_t *p, unsigned len, union fab_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (len == ULP_NAME_V4 && p[0] == 4) {
		addr->in.sin_family = AF_INET;
		memcpy(&addr->in.sin_port, p + 2, 2);
		memcpy(&addr->in.sin_addr, p + 4, 4);
		return 0;
	}
	if (len == ULP_NAME_V6 && p[0] == 6) {
		addr->in6.sin6_family = AF_INET6;
		memcpy(&addr->in6.sin6_port, p + 2, 2);
		memcpy(&addr->in6.sin6_addr, p + 4, 16);
		return 0;
	}
	return -EPROTO;
}

static bool is_any(const union fab_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
					   : !a->in.sin_addr.s_addr;
}

/* An endpoint that listens on all addresses does not know which of them its peer can use. */
static void name_complete(union fab_addr *name, const union fab_addr *seen)
{
	if (!is_any(name) || name->sa.sa_family != seen->sa.sa_family)
		return;
	if (name->sa.sa_family == AF_INET6)
		name->in6.sin6_addr = seen->in6.sin6_addr;
	else
		name->in.sin_addr = seen->in.sin_addr;
}

void hello_fill(struct msg_link *l, struct fab_hello *h)
{
	struct ppe_dti *d = l->d;

	memset(h, 0, sizeof(*h));
	h->features = FAB_FEATURE_ULP;
	h->window = MSG_WINDOW;
	h->announces = MSG_ANNOUNCES;
	if (msg_is_rdm(d)) {
		h->incarnation = d->m->incarnation;
		h->name_len = name_put(&d->local, h->name);
	}
	if (!d->m->auth)
		return;
	h->has_nonce = getrandom(h->nonce, sizeof(h->nonce), 0) == sizeof(h->nonce);
	memcpy(l->nonce, h->nonce, sizeof(l->nonce));
}

/* ------------------------------------------------------------------------- objects */

static bool grow(void *array, uint32_t *room, uint32_t need, size_t size)
{
	void **p = array;
	uint32_t n = *room ? *room : 16;
	uint8_t *more;

	if (need <= *room)
		return true;
	while (n < need)
		n *= 2;
	more = realloc(*p, n * size);
	if (!more)
		return false;
	memset(more + *room * size, 0, (n - *room) * size);
	*p = more;
	*room = n;
	return true;
}

static struct msg_peer **bucket(struct msg_dti *m, const union fab_addr *addr)
{
	return &m->hash[addr_hash(addr) % PEER_BUCKETS];
}

static void dial_again(struct timer *t);

struct msg_peer *peer_new(struct ppe_dti *d, const union fab_addr *addr)
{
	struct msg_dti *m = d->m;
	struct msg_peer *p = calloc(1, sizeof(*p)), **at = bucket(m, addr);

	if (!p || !grow(&m->by_index, &m->index_room, m->npeers + 1, sizeof(p))) {
		free(p);
		return NULL;
	}
	p->d = d;
	p->addr = *addr;
	p->number = PPE_SRC_NONE;
	p->index = m->npeers;
	p->generation = m->av ? av_generation(m->av) - 1 : 0;
	m->by_index[m->npeers++] = p;
	list_init(&p->waiting);
	list_add_tail(&m->peers, &p->of_dti);
	p->hash_next = *at;
	*at = p;
	return p;
}

static struct msg_peer *peer_find(struct ppe_dti *d, const union fab_addr *addr)
{
	struct msg_peer *p = *bucket(d->m, addr);

	while (p && !addr_equal(&p->addr, addr))
		p = p->hash_next;
	return p ? p : peer_new(d, addr);
}

void peers_free(struct ppe_dti *d)
{
	struct list *node;

	while ((node = list_pop(&d->m->peers))) {
		struct msg_peer *p = list_entry(node, struct msg_peer, of_dti);

		timer_stop(&d->ual->timers, &p->timer);
		free(p);
	}
}

/* The address vector has changed: what was looked up in it may be something else now. */
static void numbers_refresh(struct msg_dti *m)
{
	uint32_t generation = av_generation(m->av);

	if (m->generation == generation)
		return;
	m->generation = generation;
	for (uint32_t i = 0; i < m->nby_number; i++) {
		const union fab_addr *addr = m->by_number[i] ? av_addr(m->av, i) : NULL;

		if (m->by_number[i] && (!addr || !addr_equal(addr, &m->by_number[i]->addr)))
			m->by_number[i] = NULL;
	}
}

struct msg_peer *peer_by_number(struct ppe_dti *d, uint32_t number)
{
	struct msg_dti *m = d->m;
	const union fab_addr *addr;
	struct msg_peer *p;

	numbers_refresh(m);
	if (number < m->nby_number && m->by_number[number])
		return m->by_number[number];
	addr = av_addr(m->av, number);
	if (!addr || !grow(&m->by_number, &m->nby_number, number + 1, sizeof(p)))
		return NULL;
	p = peer_find(d, addr);
	m->by_number[number] = p;
	return p;
}

uint32_t peer_number(struct msg_peer *p)
{
	struct ppe_av *av = p->d->m->av;

	if (!av)
		return 0;
	if (p->generation != av_generation(av)) {
		p->generation = av_generation(av);
		p->number = av_number(av, &p->addr);
	}
	return p->number != PPE_SRC_NONE ? p->number : PPE_SRC_UNKNOWN | p->index;
}

/* ------------------------------------------------------------------------- dialling */

static int dial(struct msg_peer *p)
{
	struct ppe_dti *d = p->d;
	struct fab_connect_attr attr = { .peer = &p->addr };
	uint64_t now = timer_now_ns();
	struct fab_hello hello;
	struct msg_link *l;
	int err;

	if (now >= p->dial_until)
		return -ETIMEDOUT;
	attr.timeout_ns = p->dial_until - now;
	if (!is_any(&d->local))
		attr.from = &d->local;
	l = link_new(d, p, LINK_DIALLING);
	if (!l)
		return -ENOMEM;
	hello_fill(l, &hello);
	p->l = l;
	p->state = PEER_DIALLING;
	err = fabric_of(d)->connect(d->ual->fabric.m, &attr, &hello, NULL, 0, &message_user, l,
				    &l->conn);
	if (err) {
		l->conn = NULL;
		link_drop(l, err, true);
		p->state = PEER_IDLE;
	}
	return err;
}

void peer_want(struct msg_peer *p)
{
	struct ppe_dti *d = p->d;
	int err;

	if (p->l && p->l->state == LINK_OPEN) {
		link_want(p->l);
		link_watch(d);
		return;
	}
	if (p->state != PEER_IDLE || !msg_is_rdm(d))
		return;
	p->tries = 0;
	p->dial_until =
		timer_now_ns() + (d->m->connect_timeout_ns ? d->m->connect_timeout_ns : DIAL_NS);
	err = dial(p);
	if (err)
		peer_fail(p, err);
}

static void dial_again(struct timer *t)
{
	struct msg_peer *p = list_entry(t, struct msg_peer, timer);
	int err;

	if (p->state != PEER_CROSSED)
		return;
	p->state = PEER_IDLE;
	if (list_empty(&p->waiting))
		return;
	err = dial(p);
	if (err)
		peer_fail(p, err);
}

/* There is to be a connection the other way. */
static void crossed(struct msg_peer *p)
{
	uint64_t wait = CROSSED_WAIT_NS << (p->tries < 7 ? p->tries : 7);

	p->state = PEER_CROSSED;
	if (p->tries++ >= CROSSED_TRIES ||
	    timer_start(&p->d->ual->timers, &p->timer, wait, dial_again))
		peer_fail(p, -ECONNREFUSED);
}

/* ------------------------------------------------------------------- outcome and end */

void peer_fail(struct msg_peer *p, int error)
{
	struct msg_link *l = p->l;

	timer_stop(&p->d->ual->timers, &p->timer);
	p->state = PEER_IDLE;
	p->l = NULL;
	if (l && l->state != LINK_DEAD)
		link_drop(l, error, false);
	while (!list_empty(&p->waiting))
		op_end(list_entry(p->waiting.next, struct msg_op, link), error);
}

int peer_cancel(struct msg_peer *p, uint64_t user_tag)
{
	struct list *node, *next;
	int n = 0;

	for (node = p->waiting.next; node != &p->waiting; node = next) {
		struct msg_op *op = list_entry(node, struct msg_op, link);

		next = node->next;
		if (op->l || op->s[0].wr.user_tag != user_tag)
			continue;
		count(p->d->ual, cancelled, 1);
		op_end(op, -ECANCELED);
		n++;
	}
	return n;
}

static bool is_crossed(int err, const void *pdata, size_t len)
{
	return err == -ECONNREFUSED && len == 1 && *(const uint8_t *)pdata == ULP_CROSSED;
}

void peer_connected(struct msg_link *l, int err, const struct fab_msg_peer *who, const void *pdata,
		    size_t len)
{
	struct msg_peer *p = l->peer;
	struct ppe_dti *d = l->d;
	bool for_sending = p->l == l;

	if (!err && (!who || !who->eta || !(who->features & FAB_FEATURE_ULP)))
		err = -EPROTONOSUPPORT;
	if (!err)
		err = link_open(l, who);
	if (!err) {
		if (for_sending) {
			timer_stop(&d->ual->timers, &p->timer);
			p->state = PEER_OPEN;
			p->incarnation = who->hello.incarnation;
			p->tries = 0;
		}
		fabric_of(d)->rx_want(l->conn);
		dti_activate(d);
		return;
	}
	if (!who)
		l->conn = NULL; /* it is gone already */
	if (for_sending)
		p->l = NULL;
	link_drop(l, err, true);
	if (!for_sending)
		return;
	if (is_crossed(err, pdata, len))
		crossed(p);
	else
		peer_fail(p, err);
}

/* ------------------------------------------------------------------ those who dial us */

static void refuse(struct ppe_dti *d, struct fab_msg_conn *conn, enum ulp_refusal why)
{
	uint8_t byte = why;

	fabric_of(d)->reject(conn, &byte, 1);
}

/* It could not be taken, and ours may have been given up for it: what waits needs another. */
static void not_taken(struct msg_peer *p)
{
	if (p->l)
		return;
	p->state = PEER_IDLE;
	if (!list_empty(&p->waiting))
		peer_want(p);
}

static void take(struct ppe_dti *d, struct msg_peer *p, struct fab_msg_conn *conn,
		 const struct fab_msg_peer *who, bool for_sending)
{
	struct msg_link *l = link_new(d, p, LINK_ACCEPTING);
	struct fab_hello hello;

	if (!l) {
		refuse(d, conn, ULP_REFUSED);
		if (for_sending)
			not_taken(p);
		return;
	}
	hello_fill(l, &hello);
	link_prove(l, who, &hello);
	l->conn = conn;
	if (for_sending) {
		p->l = l;
		p->state = PEER_DIALLING;
	}
	if (!fabric_of(d)->accept(conn, &hello, NULL, 0, &message_user, l))
		return;
	link_drop(l, -ECONNABORTED, true);
	if (for_sending)
		not_taken(p);
}

/* False: refused, there is or will be another connection. */
static bool make_room(struct ppe_dti *d, struct msg_peer *p, const struct fab_msg_peer *who)
{
	struct msg_link *l = p->l;

	if (!l)
		return true;
	if (l->state == LINK_DIALLING) {
		if (d->m->incarnation < who->hello.incarnation)
			return false;
		/* what waits goes over the other's */
		p->l = NULL;
		link_drop(l, -ECONNABORTED, true);
		return true;
	}
	if (p->incarnation == who->hello.incarnation || l->state == LINK_ACCEPTING)
		return false;
	link_fail(l, -ECONNRESET);
	return true;
}

static void rdm_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
			const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct ppe_dti *d = user;
	union fab_addr name;
	struct msg_peer *p;

	(void)pdata;
	(void)len;
	if (!who || !who->eta || !(who->features & FAB_FEATURE_ULP) ||
	    name_get(who->hello.name, who->hello.name_len, &name) ||
	    !d->m->auth != !who->hello.has_nonce) {
		refuse(d, conn, ULP_REFUSED);
		return;
	}
	name_complete(&name, peer);
	p = peer_find(d, &name);
	if (!p) {
		refuse(d, conn, ULP_REFUSED);
		return;
	}
	if (who->hello.incarnation == d->m->incarnation)
		take(d, p, conn, who, false); /* from itself */
	else if (make_room(d, p, who))
		take(d, p, conn, who, true);
	else
		refuse(d, conn, ULP_CROSSED);
}

/* Every request is answered at once. */
static void rdm_withdrawn(void *user, struct fab_msg_conn *conn)
{
	(void)user;
	(void)conn;
}

static void rdm_listen_failed(void *user, int err)
{
	struct ppe_dti *d = user;

	ual_logf(d->ual, FAB_LOG_WARN, "a datagram endpoint cannot be reached any more: error %d",
		 -err);
}

const struct fab_msg_listen_user rdm_listen_user = {
	.request = rdm_request,
	.withdrawn = rdm_withdrawn,
	.failed = rdm_listen_failed,
};
