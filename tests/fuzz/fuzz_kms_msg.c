/* KMS stubs: bodies lie inside the stub, encoding what was decoded decodes to the same, and no part
 * of that encoding means anything by itself. */
#include <string.h>

#include "kmscore/kms_msg.h"
#include "tests/fuzz/fuzz.h"

static void check_request(const uint8_t *data, size_t size, bool be)
{
	struct kms_request a, b;
	struct kms_version v;
	struct buf out;

	if (kms_request_decode(data, size, be, &a) != 0)
		return;
	FUZZ_CHECK(a.body == data + 8 && a.body_len <= size - 8 && a.body_len <= KMS_BODY_MAX);
	FUZZ_CHECK(kms_body_version(a.body, a.body_len, &v) == (a.body_len >= 4));
	buf_init(&out, 1u << 16);
	FUZZ_CHECK(kms_request_encode(&out, be, &a) == 0);
	FUZZ_CHECK(out.len <= size && memcmp(out.data, data, out.len) == 0);
	FUZZ_CHECK(kms_request_decode(out.data, out.len, be, &b) == 0);
	FUZZ_CHECK(b.body_len == a.body_len);
	for (size_t n = 0; n < out.len; n++)
		FUZZ_CHECK(kms_request_decode(out.data, n, be, &b) != 0);
	buf_done(&out);
}

static void check_response(const uint8_t *data, size_t size, bool be)
{
	struct kms_response a, b;
	struct buf out;

	if (kms_response_decode(data, size, be, &a) != 0)
		return;
	FUZZ_CHECK(a.body == NULL ? a.body_len == 0 : a.body + a.body_len + 4 <= data + size);
	buf_init(&out, 1u << 16);
	FUZZ_CHECK(kms_response_encode(&out, be, &a) == 0);
	FUZZ_CHECK(kms_response_decode(out.data, out.len, be, &b) == 0);
	FUZZ_CHECK(b.hresult == a.hresult && b.body_len == a.body_len);
	FUZZ_CHECK((b.body == NULL) == (a.body == NULL));
	FUZZ_CHECK(a.body_len == 0 || memcmp(a.body, b.body, a.body_len) == 0);
	for (size_t n = 0; n < out.len; n++)
		FUZZ_CHECK(kms_response_decode(out.data, n, be, &b) != 0);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int be = 0; be < 2; be++) {
		check_request(data, size, be != 0);
		check_response(data, size, be != 0);
	}
	return 0;
}
