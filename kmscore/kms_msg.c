#include "kmscore/kms_msg.h"

#include <string.h>

#include "common/err.h"
#include "kmscore/wire.h"

#define PAD_MAX 7 /* what may follow the last argument: some runtimes pad stubs to 8 */

int kms_request_decode(const uint8_t *stub, size_t len, bool be, struct kms_request *ret)
{
	size_t n;

	if (len < 8)
		return ERR_RPC_MALFORMED;
	n = wire_get_u32(stub, be);
	if (n != wire_get_u32(stub + 4, be) || n > KMS_BODY_MAX)
		return ERR_RPC_MALFORMED;
	if (len - 8 < n || len - 8 - n > PAD_MAX)
		return ERR_RPC_MALFORMED;
	ret->body = stub + 8;
	ret->body_len = n;
	return 0;
}

int kms_response_decode(const uint8_t *stub, size_t len, bool be, struct kms_response *ret)
{
	size_t m, at;

	if (len < 12)
		return ERR_RPC_MALFORMED;
	m = wire_get_u32(stub, be);
	if (m > KMS_BODY_MAX)
		return ERR_RPC_MALFORMED;
	ret->body = NULL;
	ret->body_len = 0;
	at = 8;
	if (wire_get_u32(stub + 4, be) != 0) {
		if (wire_get_u32(stub + 8, be) != m || len - 12 < m)
			return ERR_RPC_MALFORMED;
		ret->body = stub + 12;
		ret->body_len = m;
		at = (12 + m + 3) & ~(size_t)3;
	} else if (m != 0) {
		return ERR_RPC_MALFORMED; /* bytes announced, and a null pointer to them */
	}
	if (len < at + 4 || len - at - 4 > PAD_MAX)
		return ERR_RPC_MALFORMED;
	ret->hresult = wire_get_u32(stub + at, be);
	return 0;
}

int kms_request_encode(struct buf *out, bool be, const struct kms_request *rq)
{
	uint8_t *p;
	int err;

	if (rq->body_len > KMS_BODY_MAX)
		return ERR_USAGE;
	err = buf_reserve(out, 8 + rq->body_len, &p);
	if (err != 0)
		return err;
	wire_put_u32(p, (uint32_t)rq->body_len, be);
	wire_put_u32(p + 4, (uint32_t)rq->body_len, be);
	if (rq->body_len > 0)
		memcpy(p + 8, rq->body, rq->body_len);
	out->len += 8 + rq->body_len;
	return 0;
}

int kms_response_encode(struct buf *out, bool be, const struct kms_response *rs)
{
	bool null = rs->body == NULL;
	size_t at = null ? 8 : (12 + rs->body_len + 3) & ~(size_t)3;
	uint8_t *p;
	int err;

	if (rs->body_len > KMS_BODY_MAX || (null && rs->body_len > 0))
		return ERR_USAGE;
	err = buf_reserve(out, at + 4, &p);
	if (err != 0)
		return err;
	memset(p, 0, at);
	wire_put_u32(p, (uint32_t)rs->body_len, be);
	if (!null) {
		wire_put_u32(p + 4, 0x00020000, be); /* a referent id: any value but 0 */
		wire_put_u32(p + 8, (uint32_t)rs->body_len, be);
		memcpy(p + 12, rs->body, rs->body_len);
	}
	wire_put_u32(p + at, rs->hresult, be);
	out->len += at + 4;
	return 0;
}

bool kms_body_version(const uint8_t *body, size_t len, struct kms_version *ret)
{
	if (len < 4)
		return false;
	ret->minor = wire_get_u16(body, false);
	ret->major = wire_get_u16(body + 2, false);
	return true;
}
