/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mpa_agree.c - what initiator and responder make of each other's MPA start-up frames. */
#include "fabric/iwarp/mpa.h"

#include <string.h>

/*
 * Without RFC 6581 nobody says how many reads it serves. One at a time is the most that is sure to
 * be served by a peer that serves reads at all.
 */
#define ORD_UNKNOWN 1

static uint16_t min16(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static void eta_init(const struct mpa_config *cfg, struct mpa_start *start)
{
	start->is_eta = true;
	start->eta.version = MPA_ETA_VERSION;
	start->eta.features = cfg->features;
	start->eta.mulpdu = cfg->mulpdu;
}

void mpa_request_init(const struct mpa_config *cfg, struct mpa_start *req)
{
	memset(req, 0, sizeof(*req));
	req->rev = cfg->rev;
	req->crc = cfg->crc;
	if (cfg->rev >= MPA_REV_2) {
		req->enhanced = true;
		req->ird = cfg->ird;
		req->ord = cfg->ord;
		/* An RTR read is a read: without any outstanding it cannot be offered. */
		req->rtr = cfg->ord ? cfg->rtr : (uint8_t)(cfg->rtr & ~MPA_RTR_READ);
		req->p2p = req->rtr != 0;
	}
	if (cfg->eta)
		eta_init(cfg, req);
}

/* A reply speaks the request's revision, and carries S, with its words, when that did. */
static void reply_init(const struct mpa_start *req, struct mpa_start *rep)
{
	memset(rep, 0, sizeof(*rep));
	rep->rev = req->rev;
	rep->enhanced = req->enhanced;
	rep->crc = req->crc;
}

void mpa_reject_init(const struct mpa_start *req, struct mpa_start *rep)
{
	reply_init(req, rep);
	rep->reject = true;
}

/* The best of @options that can be used with @ord reads outstanding; 0 when there is none. */
static uint8_t rtr_choose(uint8_t options, uint16_t ord)
{
	if (options & MPA_RTR_WRITE)
		return MPA_RTR_WRITE;
	if ((options & MPA_RTR_READ) && ord)
		return MPA_RTR_READ;
	return options & MPA_RTR_SEND;
}

/* The peer's half of what both sides do alike. */
static void agree_common(const struct mpa_config *cfg, const struct mpa_start *peer,
			 struct mpa_agreed *agreed)
{
	agreed->crc = cfg->crc || peer->crc;
	agreed->eta = cfg->eta && peer->is_eta;
	agreed->mulpdu = cfg->mulpdu_mss;
	if (agreed->eta) {
		agreed->mulpdu = min16(cfg->mulpdu, peer->eta.mulpdu);
		agreed->features = cfg->features & peer->eta.features;
	}
}

/* ----------------------------------------------------------------------- responder */

/*
 * Reads by the peer: as many as it asks for and we serve, but one at least: programs that state no
 * ORD read all the same. Reads by us: never more than the peer serves, or it terminates. What the
 * peer does not negotiate is answered in kind and left to the application.
 */
static void respond_depths(const struct mpa_config *cfg, const struct mpa_start *req,
			   struct mpa_start *rep, struct mpa_agreed *agreed)
{
	agreed->ird = min16(cfg->ird, req->ord ? req->ord : 1);
	agreed->ord = min16(cfg->ord, req->ird);
	rep->ird = req->ord == MPA_DEPTH_NONE ? MPA_DEPTH_NONE : agreed->ird;
	rep->ord = req->ird == MPA_DEPTH_NONE ? MPA_DEPTH_NONE : agreed->ord;
}

/* A request that asks for peer-to-peer and offers no message leaves the choice to us. */
static int respond_p2p(const struct mpa_config *cfg, const struct mpa_start *req,
		       struct mpa_start *rep, struct mpa_agreed *agreed)
{
	uint8_t offered = req->rtr ? req->rtr : MPA_RTR_WRITE;

	if (!req->p2p)
		return 0;
	/* The initiator's ORD: an RTR read is one of its reads, and we serve one at least. */
	agreed->rtr = rtr_choose(offered & cfg->rtr, agreed->ird);
	if (!agreed->rtr)
		return -MPA_E_RTR;
	agreed->p2p = true;
	rep->p2p = true;
	rep->rtr = agreed->rtr;
	return 0;
}

int mpa_respond(const struct mpa_config *cfg, const struct mpa_start *req, struct mpa_start *rep,
		struct mpa_agreed *agreed)
{
	struct mpa_agreed got = { .hold_tx = true };
	int err = req->markers ? -MPA_E_MARKERS : 0;

	reply_init(req, rep);
	agree_common(cfg, req, &got);
	rep->crc = got.crc;
	got.ird = cfg->ird;
	got.ord = min16(cfg->ord, ORD_UNKNOWN);
	if (req->enhanced && !err) {
		respond_depths(cfg, req, rep, &got);
		err = respond_p2p(cfg, req, rep, &got);
	}
	if (err) {
		mpa_reject_init(req, rep);
		return err;
	}
	if (got.eta)
		eta_init(cfg, rep);
	*agreed = got;
	return 0;
}

/* ----------------------------------------------------------------------- initiator */

static int conclude_depths(const struct mpa_start *req, const struct mpa_start *rep,
			   struct mpa_agreed *agreed)
{
	agreed->ird = req->ird;
	agreed->ord = min16(req->ord, rep->ird);
	if (rep->ord == MPA_DEPTH_NONE)
		return 0;
	if (rep->ord > req->ird)
		return -MPA_E_IRD;
	agreed->ird = rep->ord;
	return 0;
}

/*
 * A responder that ignores A does not know who may speak first, or does not care: then the
 * initiator does, as ever. One that grants A must name a message which was offered.
 */
static int conclude_p2p(const struct mpa_start *req, const struct mpa_start *rep,
			struct mpa_agreed *agreed)
{
	if (!req->p2p || !rep->p2p)
		return 0;
	agreed->rtr = rtr_choose(req->rtr & rep->rtr, agreed->ord);
	if (!agreed->rtr)
		return -MPA_E_RTR;
	agreed->p2p = true;
	return 0;
}

/* Revision 2 asked for: RFC 6581 demands a reply of the same kind. */
static int conclude_enhanced(const struct mpa_start *req, const struct mpa_start *rep,
			     struct mpa_agreed *agreed)
{
	int err;

	if (!rep->enhanced)
		return -MPA_E_NOT_ENHANCED;
	err = conclude_depths(req, rep, agreed);
	if (!err)
		err = conclude_p2p(req, rep, agreed);
	return err;
}

int mpa_conclude(const struct mpa_config *cfg, const struct mpa_start *req,
		 const struct mpa_start *rep, struct mpa_agreed *agreed)
{
	struct mpa_agreed got = { .ird = cfg->ird, .ord = min16(cfg->ord, ORD_UNKNOWN) };
	int err;

	if (rep->reject)
		return -MPA_E_REJECTED;
	if (rep->markers)
		return -MPA_E_MARKERS;
	agree_common(cfg, rep, &got);
	if (req->enhanced) {
		err = conclude_enhanced(req, rep, &got);
		if (err)
			return err;
	}
	*agreed = got;
	return 0;
}
