/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* proof.c - see proof.h. */
#include <string.h>

#include <nettle/hmac.h>
#include <nettle/memops.h>

#include "ppe/proof.h"

void proof_make(const uint8_t *key, size_t len, const char *who, const uint8_t theirs[FAB_NONCE],
		const uint8_t ours[FAB_NONCE], uint8_t out[FAB_PROOF])
{
	static_assert(FAB_PROOF == SHA256_DIGEST_SIZE, "a proof is a digest");
	struct hmac_sha256_ctx ctx;

	hmac_sha256_set_key(&ctx, len, key);
	hmac_sha256_update(&ctx, strlen(who) + 1, (const uint8_t *)who);
	hmac_sha256_update(&ctx, FAB_NONCE, theirs);
	hmac_sha256_update(&ctx, FAB_NONCE, ours);
	hmac_sha256_digest(&ctx, FAB_PROOF, out);
}

bool proof_equal(const uint8_t a[FAB_PROOF], const uint8_t b[FAB_PROOF])
{
	return nettle_memeql_sec(a, b, FAB_PROOF);
}
