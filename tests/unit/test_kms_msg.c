#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/kms_msg.h"
#include "tests/lib/kms_vectors.h"

static void t_requests(void **state)
{
	static const struct {
		const char *hex;
		bool be;
		int err;
		size_t len;
	} rows[] = {
		{ "0400000004000000 00000600", false, 0, 4 },
		{ "0000000400000004 00000600", true, 0, 4 },
		{ "0000000000000000", false, 0, 0 },
		{ "0300000003000000 aabbcc 00", false, 0, 3 },         /* padded to 4 */
		{ "0100000001000000 aa 00000000000000", false, 0, 1 }, /* to 8 */
		{ "0100000001000000 aa 0000000000000000", false, ERR_RPC_MALFORMED, 0 },
		{ "0400000004000000 000006", false, ERR_RPC_MALFORMED, 0 },     /* one missing */
		{ "0400000005000000 0000060000", false, ERR_RPC_MALFORMED, 0 }, /* disagree */
		{ "0400000004000000 00000600", true, ERR_RPC_MALFORMED, 0 },    /* wrong order */
		{ "ffffffffffffffff 00000600", false, ERR_RPC_MALFORMED, 0 },
		{ "04000000040000", false, ERR_RPC_MALFORMED, 0 },
		{ "", false, ERR_RPC_MALFORMED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i].hex);
		struct kms_request rq;

		assert_int_equal(kms_request_decode(v.b, v.len, rows[i].be, &rq), rows[i].err);
		if (rows[i].err == 0)
			assert_int_equal(rq.body_len, rows[i].len);
	}
}

static void t_responses(void **state)
{
	static const struct {
		const char *hex;
		bool be;
		int err;
		size_t len;
		uint32_t hresult;
	} rows[] = {
		{ "00000000 00000000 42f004c0", false, 0, 0, 0xC004F042 },
		{ "00000000 00000000 c004f042", true, 0, 0, 0xC004F042 },
		{ "03000000 00000200 03000000 aabbcc00 00000000", false, 0, 3, 0 },
		{ "00000003 00020000 00000003 aabbcc00 c004f06c", true, 0, 3, 0xC004F06C },
		{ "00000000 00000200 00000000 00000000", false, 0, 0, 0 },
		{ "03000000 00000000 00000000", false, ERR_RPC_MALFORMED, 0, 0 },
		{ "03000000 00000200 04000000 aabbccdd 00000000", false, ERR_RPC_MALFORMED, 0, 0 },
		{ "03000000 00000200 03000000 aabbcc00 000000", false, ERR_RPC_MALFORMED, 0, 0 },
		{ "03000000 00000200 03000000", false, ERR_RPC_MALFORMED, 0, 0 },
		{ "ffffffff 00000200 ffffffff aabbcc00 00000000", false, ERR_RPC_MALFORMED, 0, 0 },
		{ "00000000 00000000", false, ERR_RPC_MALFORMED, 0, 0 },
		{ "00000000 00000000 42f004c0 00000000", false, 0, 0, 0xC004F042 }, /* padded */
		{ "00000000 00000000 42f004c0 00000000 00000000", false, ERR_RPC_MALFORMED, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i].hex);
		struct kms_response rs;

		assert_int_equal(kms_response_decode(v.b, v.len, rows[i].be, &rs), rows[i].err);
		if (rows[i].err != 0)
			continue;
		assert_int_equal(rs.body_len, rows[i].len);
		assert_int_equal(rs.hresult, rows[i].hresult);
	}
}

/* The sizes captured from a Windows client, behaviour §8.2: 292 and 300 bytes with RPC headers. */
static void t_sizes_on_the_wire(void **state)
{
	uint8_t body[260] = { 0 };
	struct kms_request rq = { body, sizeof(body) };
	struct kms_response rs = { body, sizeof(body), 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(kms_request_encode(&out, false, &rq), 0);
	assert_int_equal(24 + out.len, 292);
	buf_clear(&out);
	assert_int_equal(kms_response_encode(&out, false, &rs), 0);
	assert_int_equal(24 + out.len, 300);
	buf_done(&out);
}

static void t_round_trips(void **state)
{
	uint8_t body[40];

	(void)state;
	memset(body, 0x5a, sizeof(body));
	for (size_t n = 0; n <= sizeof(body); n++) {
		for (int be = 0; be < 2; be++) {
			struct kms_request rq = { body, n }, rq2;
			struct kms_response rs = { n > 0 ? body : NULL, n,
						   0x80070000u + (uint32_t)n };
			struct kms_response rs2;
			struct buf out;

			buf_init(&out, 4096);
			assert_int_equal(kms_request_encode(&out, be != 0, &rq), 0);
			assert_int_equal(kms_request_decode(out.data, out.len, be != 0, &rq2), 0);
			assert_int_equal(rq2.body_len, n);
			assert_memory_equal(rq2.body, body, n);
			buf_clear(&out);
			assert_int_equal(kms_response_encode(&out, be != 0, &rs), 0);
			assert_int_equal(kms_response_decode(out.data, out.len, be != 0, &rs2), 0);
			assert_int_equal(rs2.body_len, n);
			assert_int_equal(rs2.hresult, rs.hresult);
			assert_int_equal(rs2.body == NULL, n == 0);
			buf_done(&out);
		}
	}
}

static void t_encoder_limits(void **state)
{
	static const uint8_t body[KMS_BODY_MAX + 1];
	struct kms_request rq = { body, sizeof(body) };
	struct kms_response rs = { body, sizeof(body), 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(kms_request_encode(&out, false, &rq), ERR_USAGE);
	assert_int_equal(kms_response_encode(&out, false, &rs), ERR_USAGE);
	rs.body = NULL;
	rs.body_len = 1;
	assert_int_equal(kms_response_encode(&out, false, &rs), ERR_USAGE);
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

static void t_version(void **state)
{
	struct bytes v6 = vec("00000600ff"), lab = vec("0100424c");
	struct kms_version v;

	(void)state;
	assert_true(kms_body_version(v6.b, v6.len, &v));
	assert_int_equal(v.major, 6);
	assert_int_equal(v.minor, 0);
	assert_true(kms_body_version(lab.b, lab.len, &v));
	assert_int_equal(v.major, 0x4C42);
	assert_int_equal(v.minor, 1);
	assert_false(kms_body_version(lab.b, 3, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_requests),          cmocka_unit_test(t_responses),
		cmocka_unit_test(t_sizes_on_the_wire), cmocka_unit_test(t_round_trips),
		cmocka_unit_test(t_encoder_limits),    cmocka_unit_test(t_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
