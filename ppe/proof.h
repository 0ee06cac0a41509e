/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * proof.h - proving an authorisation key without saying it: HMAC-SHA-256, keyed by it, of who proves
 * ("initiator" or "responder"), the other side's nonce and one's own. A proof is good for one
 * connection, since the other side's nonce is.
 */
#ifndef PPE_PROOF_H
#define PPE_PROOF_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/fabric.h"

void proof_make(const uint8_t *key, size_t len, const char *who, const uint8_t theirs[FAB_NONCE],
		const uint8_t ours[FAB_NONCE], uint8_t out[FAB_PROOF]);
/* In a time that does not depend on where they differ. */
bool proof_equal(const uint8_t a[FAB_PROOF], const uint8_t b[FAB_PROOF]);

#endif
