/**
 * The stubs of the one operation of the KMS interface, in NDR32 (C706 chapter 14):
 *
 *   HRESULT request([in] uint32 n, [in, size_is(n)] byte req[],
 *                   [out] uint32 *m, [out, size_is(,*m)] byte **rsp)
 *
 *   request:  u32 n, u32 max_count (= n), n bytes
 *   response: u32 m, u32 referent (0: no body), [u32 max_count (= m), m bytes, padding to 4],
 *             u32 HRESULT
 *
 * Bodies are opaque. All that is read of one is the version field at its start, u16 minor and u16
 * major, little-endian whatever the PDU's byte order, because it belongs to the body. Pure.
 */
#ifndef KMSBEACON_KMSCORE_KMS_MSG_H
#define KMSBEACON_KMSCORE_KMS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

#define KMS_OPNUM    0
#define KMS_BODY_MAX 2048u /* genuine ones have 260 bytes at most */

struct kms_request {
	const uint8_t *body; /* into the stub */
	size_t body_len;
};

struct kms_response {
	const uint8_t *body; /* NULL: none */
	size_t body_len;
	uint32_t hresult;
};

struct kms_version {
	uint16_t major;
	uint16_t minor;
};

/** @return 0 or RPC_MALFORMED: counts that disagree, or bytes missing. Up to 7 bytes of padding may
 * follow. */
int kms_request_decode(const uint8_t *stub, size_t len, bool be, struct kms_request *ret);
int kms_response_decode(const uint8_t *stub, size_t len, bool be, struct kms_response *ret);
/** Append. @return 0 or the buffer's error (it is then as before). */
int kms_request_encode(struct buf *out, bool be, const struct kms_request *rq);
int kms_response_encode(struct buf *out, bool be, const struct kms_response *rs);

/** @return false for a body too short to have one. */
bool kms_body_version(const uint8_t *body, size_t len, struct kms_version *ret);

#endif
