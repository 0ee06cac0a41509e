/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * msg_request.c - peers that ask a listening DTI for a connection: kept until the application has been
 * told, and then until it has answered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppe/message.h"

/* ------------------------------------------------------------------------ requests */

struct ppe_request *request_find(struct ppe_ual *ual, uint64_t id)
{
	for (struct list *n = ual->requests.next; n != &ual->requests; n = n->next) {
		struct ppe_request *r = list_entry(n, struct ppe_request, link);

		if (r->id == id)
			return r;
	}
	return NULL;
}

void request_free(struct ppe_request *r)
{
	list_del(&r->link);
	free(r);
}

/* A datagram endpoint's peer that has dialled a passive one, or a byte stream. */
static bool is_foreign(const struct fab_msg_peer *who)
{
	return who && who->eta &&
	       (who->hello.name_len || (who->hello.features & FAB_FEATURE_STREAM));
}

static void message_request(void *user, struct fab_msg_conn *conn, const union fab_addr *peer,
			    const struct fab_msg_peer *who, const void *pdata, size_t len)
{
	struct ppe_dti *d = user;
	struct ppe_ual *ual = d->ual;
	struct ppe_request *r = calloc(1, sizeof(*r));

	if (!r || len > sizeof(r->pdata) || is_foreign(who)) {
		free(r);
		ual->fabric.msg->reject(conn, NULL, 0);
		return;
	}
	r->conn = conn;
	r->id = ++ual->request_seq;
	r->peer = *peer;
	if (who)
		r->who = *who;
	ual->fabric.msg->conn_addr(conn, &r->local, &r->peer);
	r->len = len;
	if (len)
		memcpy(r->pdata, pdata, len);
	list_add_tail(&d->requests, &r->link);
	dti_activate(d);
}

static struct ppe_request *request_of(struct list *head, const struct fab_msg_conn *conn)
{
	for (struct list *n = head->next; n != head; n = n->next) {
		struct ppe_request *r = list_entry(n, struct ppe_request, link);

		if (r->conn == conn)
			return r;
	}
	return NULL;
}

/* The peer left. A request that was told stays, to be answered with -ESTALE. */
static void message_withdrawn(void *user, struct fab_msg_conn *conn)
{
	struct ppe_dti *d = user;
	struct ppe_request *r = request_of(&d->requests, conn);

	if (r) {
		request_free(r);
		return;
	}
	r = request_of(&d->ual->requests, conn);
	if (r)
		r->conn = NULL;
}

static void message_listen_failed(void *user, int err)
{
	struct ppe_dti *d = user;

	ual_logf(d->ual, FAB_LOG_WARN, "a message listener failed: error %d", -err);
}

const struct fab_msg_listen_user message_listen_user = {
	.request = message_request,
	.withdrawn = message_withdrawn,
	.failed = message_listen_failed,
};

/* Untold ones are refused; told ones stay with the application. */
void requests_drop(struct ppe_ual *ual, struct ppe_dti *listener)
{
	struct list *node;

	while ((node = list_pop(&listener->requests))) {
		struct ppe_request *r = list_entry(node, struct ppe_request, link);

		ual->fabric.msg->reject(r->conn, NULL, 0);
		free(r);
	}
}

void requests_tell(struct ppe_dti *d)
{
	while (!list_empty(&d->requests)) {
		struct ppe_request *r = list_entry(d->requests.next, struct ppe_request, link);
		struct ppe_event ev = {
			.cookie = d->cookie,
			.context = d->context,
			.data = r->id,
			.dti = d->handle,
			.type = PPE_EV_REQUEST,
		};

		if (!evq_reserve(d->cm_evq)) {
			evq_stall(d->cm_evq, d);
			return;
		}
		evq_post(d->cm_evq, &ev);
		list_del(&r->link);
		list_add_tail(&d->ual->requests, &r->link);
	}
}
