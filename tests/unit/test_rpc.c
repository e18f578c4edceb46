#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/rpc.h"
#include "kmscore/wire.h"
#include "tests/lib/kms_vectors.h"

static struct rpc_hdr hdr_of(const struct bytes *v)
{
	struct rpc_hdr h;

	assert_int_equal(rpc_hdr_decode(v->b, v->len, &h), 0);
	return h;
}

static void t_guid(void **state)
{
	static const char *const bad[] = {
		"",
		"51c82175",
		"51c82175-844e-4750-b0d8-ec255555bc0",
		"51c82175-844e-4750-b0d8-ec255555bc066",
		"51c82175-844e-4750-b0d8-ec255555bc0g",
		"51c82175+844e-4750-b0d8-ec255555bc06",
		"{51c82175-844e-4750-b0d8-ec255555bc06}",
	};
	char text[GUID_TEXT_MAX];
	struct guid g;

	(void)state;
	assert_int_equal(guid_parse("51C82175-844e-4750-B0D8-ec255555bc06", &g), 0);
	assert_true(guid_equal(&g, &rpc_syntax_kms.uuid));
	guid_format(&g, text);
	assert_string_equal(text, "51c82175-844e-4750-b0d8-ec255555bc06");
	guid_format(&rpc_syntax_ndr32.uuid, text);
	assert_string_equal(text, "8a885d04-1ceb-11c9-9fe8-08002b104860");
	guid_format(&rpc_syntax_ndr64.uuid, text);
	assert_string_equal(text, "71710533-beba-4937-8319-b5dbef9ccc36");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(guid_parse(bad[i], &g), ERR_PARSE);
}

static void t_frame(void **state)
{
	static const struct {
		const char *hex;
		int err;
		size_t len;
	} rows[] = {
		{ "", 0, 0 },
		{ "05", 0, 0 },
		{ "47", ERR_RPC_NOT_RPC, 0 },
		{ "0500000310000000", 0, 0 },
		{ "050000031000000010", 0, 0 },
		{ "05000003100000001000", 0, 16 },
		{ "05000003000000000010", 0, 16 },
		{ "05000003110000001000", 0, 16 }, /* EBCDIC */
		{ "0500000320", ERR_RPC_MALFORMED, 0 },
		{ "0500000312", ERR_RPC_MALFORMED, 0 },
		{ "05000003100000000f00", ERR_RPC_MALFORMED, 0 },
		{ "05000003100000000000", ERR_RPC_MALFORMED, 0 },
		{ "0500000310000000d016", 0, 5840 },
		{ "0500000310000000d116", ERR_LIMIT, 0 },
		{ "0500000300000000ffff", ERR_LIMIT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i].hex);
		size_t len = 99;

		assert_int_equal(rpc_frame_length(v.b, v.len, RPC_FRAG_MAX, &len), rows[i].err);
		assert_int_equal(len, rows[i].len);
	}
}

/* No prefix knows something else than the whole. */
static void t_frame_prefixes(void **state)
{
	struct bytes v = vec(VEC_BIND3);

	(void)state;
	for (size_t n = 0; n <= v.len; n++) {
		size_t len;

		assert_int_equal(rpc_frame_length(v.b, n, RPC_FRAG_MAX, &len), 0);
		assert_int_equal(len, n < 10 ? 0 : 160);
	}
}

static void t_bind_of_a_real_client(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct rpc_hdr h = hdr_of(&v);
	struct rpc_bind b;

	(void)state;
	assert_int_equal(v.len, 160);
	assert_int_equal(h.ptype, RPC_BIND);
	assert_int_equal(h.flags, RPC_FLAG_FIRST | RPC_FLAG_LAST);
	assert_false(h.be);
	assert_int_equal(h.call_id, 2);
	assert_int_equal(rpc_bind_decode(v.b, &h, &b), 0);
	assert_int_equal(b.max_xmit, 5840);
	assert_int_equal(b.n_ctx, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(b.ctx[i].id, i);
		assert_int_equal(b.ctx[i].n_transfer, 1);
		assert_true(rpc_syntax_equal(&b.ctx[i].abstract, &rpc_syntax_kms));
	}
	assert_true(rpc_syntax_equal(&b.ctx[0].transfer[0], &rpc_syntax_ndr32));
	assert_true(rpc_syntax_equal(&b.ctx[1].transfer[0], &rpc_syntax_ndr64));
	assert_true(rpc_syntax_is_features(&b.ctx[2].transfer[0]));
	assert_int_equal(b.ctx[2].transfer[0].uuid.b[8], 3);
	assert_false(rpc_syntax_is_features(&b.ctx[0].transfer[0]));
}

static void t_bind_big_endian(void **state)
{
	struct bytes v = vec(VEC_BIND_BE);
	struct rpc_hdr h = hdr_of(&v);
	struct rpc_bind b;

	(void)state;
	assert_true(h.be);
	assert_int_equal(h.call_id, 9);
	assert_int_equal(rpc_bind_decode(v.b, &h, &b), 0);
	assert_int_equal(b.max_recv, 4280);
	assert_int_equal(b.ctx[0].id, 7);
	assert_true(rpc_syntax_equal(&b.ctx[0].abstract, &rpc_syntax_kms));
	assert_true(rpc_syntax_equal(&b.ctx[0].transfer[0], &rpc_syntax_ndr32));
}

/* Encoding what was decoded gives the same bytes, in both orders. */
static void t_round_trips(void **state)
{
	static const char *const vectors[] = {
		VEC_BIND3, VEC_BIND3_ACK, VEC_ALTER, VEC_ALTER_RESP, VEC_BIND_BE, VEC_BIND_BE_ACK,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct bytes v = vec(vectors[i]);
		struct rpc_hdr h = hdr_of(&v);
		struct rpc_bind_ack a;
		struct rpc_bind b;
		struct buf out;

		buf_init(&out, 4096);
		if (h.ptype == RPC_BIND || h.ptype == RPC_ALTER_CONTEXT) {
			assert_int_equal(rpc_bind_decode(v.b, &h, &b), 0);
			assert_int_equal(rpc_bind_encode(&out, &h, &b), 0);
		} else {
			assert_int_equal(rpc_bind_ack_decode(v.b, &h, &a), 0);
			assert_int_equal(rpc_bind_ack_encode(&out, &h, &a), 0);
		}
		assert_int_equal(out.len, v.len);
		assert_memory_equal(out.data, v.b, v.len);
		buf_done(&out);
	}
}

/* Windows leaves the bytes behind the secondary address undefined. */
static void t_ack_with_junk_padding(void **state)
{
	struct bytes v = vec(VEC_BIND3_ACK);
	struct rpc_hdr h = hdr_of(&v);
	struct rpc_bind_ack a;

	(void)state;
	v.b[31] = 0xaa;
	assert_int_equal(rpc_bind_ack_decode(v.b, &h, &a), 0);
	assert_string_equal(a.sec_addr, "1688");
	assert_int_equal(a.assoc_group, VEC_GROUP);
	assert_int_equal(a.n_results, 3);
	assert_int_equal(a.result[1].result, RPC_CTX_PROVIDER_REJECT);
	assert_int_equal(a.result[1].reason, RPC_REASON_TRANSFER);
	assert_int_equal(a.result[2].result, RPC_CTX_NEGOTIATE_ACK);
}

/* A PDU cut anywhere, with its length field made to fit, is malformed and read no further. */
static void t_cut_pdus(void **state)
{
	static const char *const vectors[] = { VEC_BIND3, VEC_BIND3_ACK, VEC_ALTER_RESP };

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		for (size_t n = RPC_HDR_LEN; n < vec(vectors[i]).len; n++) {
			struct bytes v = vec(vectors[i]);
			uint8_t *exact = test_malloc(n);
			struct rpc_bind_ack a;
			struct rpc_bind b;
			struct rpc_hdr h;

			wire_put_u16(v.b + 8, (uint16_t)n, false);
			memcpy(exact, v.b, n); /* so that ASan sees one byte too far */
			assert_int_equal(rpc_hdr_decode(exact, n, &h), 0);
			if (h.ptype == RPC_BIND)
				assert_int_equal(rpc_bind_decode(exact, &h, &b), ERR_RPC_MALFORMED);
			else
				assert_int_equal(rpc_bind_ack_decode(exact, &h, &a),
						 ERR_RPC_MALFORMED);
			test_free(exact);
		}
	}
}

static void t_header_lengths(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct rpc_hdr h;

	(void)state;
	assert_int_equal(rpc_hdr_decode(v.b, v.len - 1, &h), ERR_RPC_MALFORMED);
	wire_put_u16(v.b + 10, 160 - 16 - 8, false); /* auth_length: fits just */
	assert_int_equal(rpc_hdr_decode(v.b, v.len, &h), 0);
	wire_put_u16(v.b + 10, 160 - 16 - 7, false);
	assert_int_equal(rpc_hdr_decode(v.b, v.len, &h), ERR_RPC_MALFORMED);
	wire_put_u16(v.b + 10, 0xffff, false);
	assert_int_equal(rpc_hdr_decode(v.b, v.len, &h), ERR_RPC_MALFORMED);
}

static void t_counts_of_a_bind(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct rpc_hdr h = hdr_of(&v);
	struct rpc_bind b;

	(void)state;
	v.b[24] = 0;
	assert_int_equal(rpc_bind_decode(v.b, &h, &b), ERR_RPC_MALFORMED);
	v.b[24] = 255;
	assert_int_equal(rpc_bind_decode(v.b, &h, &b), ERR_LIMIT);
	v.b[24] = 1;
	v.b[30] = 255; /* transfer syntaxes that are not there */
	assert_int_equal(rpc_bind_decode(v.b, &h, &b), ERR_RPC_MALFORMED);
}

static void t_request_fragments(void **state)
{
	uint8_t stub[1000];
	struct rpc_hdr h = { .ptype = RPC_REQUEST, .call_id = 77 };
	struct rpc_request rq = { .ctx_id = 3, .opnum = 5, .stub = stub, .stub_len = 997 };
	uint8_t seen[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(stub); i++)
		stub[i] = (uint8_t)(i * 7);
	for (int be = 0; be < 2; be++) {
		struct buf out;
		size_t at = 0, got = 0, n = 0, len;

		buf_init(&out, 1 << 20);
		h.be = be != 0;
		assert_int_equal(rpc_request_encode(&out, &h, &rq, 131),
				 0); /* 131 - 24 = 107: 104 */
		while (at < out.len) {
			struct rpc_request part;
			struct rpc_hdr ph;

			assert_int_equal(
				rpc_frame_length(out.data + at, out.len - at, RPC_FRAG_MAX, &len),
				0);
			assert_in_range(len, RPC_REQ_HDR_LEN, 131);
			assert_int_equal(rpc_hdr_decode(out.data + at, len, &ph), 0);
			assert_int_equal(ph.call_id, 77);
			assert_int_equal((ph.flags & RPC_FLAG_FIRST) != 0, at == 0);
			assert_int_equal((ph.flags & RPC_FLAG_LAST) != 0, at + len == out.len);
			assert_int_equal(rpc_request_decode(out.data + at, &ph, &part), 0);
			assert_int_equal(part.ctx_id, 3);
			assert_int_equal(part.opnum, 5);
			assert_int_equal(part.alloc_hint, 997 - got);
			assert_true(part.stub_len % 8 == 0 || at + len == out.len);
			memcpy(seen + got, part.stub, part.stub_len);
			got += part.stub_len;
			at += len;
			n++;
		}
		assert_int_equal(got, 997);
		assert_memory_equal(seen, stub, 997);
		assert_int_equal(n, 10);
		buf_done(&out);
	}
}

static void t_encoder_limits(void **state)
{
	uint8_t stub[64] = { 0 };
	struct rpc_hdr h = { .ptype = RPC_RESPONSE };
	struct rpc_response rs = { .stub = stub, .stub_len = sizeof(stub) };
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(rpc_response_encode(&out, &h, &rs, RPC_FRAG_MIN - 1), ERR_USAGE);
	assert_int_equal(rpc_response_encode(&out, &h, &rs, 65536), ERR_USAGE);
	assert_int_equal(rpc_response_encode(&out, &h, &rs, 4280), 0);
	assert_int_equal(out.len, 88);
	assert_int_equal(rpc_response_encode(&out, &h, &rs, 4280), ERR_LIMIT);
	assert_int_equal(out.len, 88);
	rs.stub = NULL;
	rs.stub_len = 0;
	buf_clear(&out);
	assert_int_equal(rpc_response_encode(&out, &h, &rs, 4280), 0);
	assert_int_equal(out.len, RPC_REQ_HDR_LEN);
	buf_done(&out);
}

static void t_fault_and_nak(void **state)
{
	struct rpc_hdr h = { .ptype = RPC_FAULT, .be = true, .call_id = 4 };
	struct rpc_fault f = { .ctx_id = 2, .status = RPC_S_OP_RNG_ERROR }, g;
	uint16_t reason;
	struct rpc_hdr d;
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(rpc_fault_encode(&out, &h, &f), 0);
	assert_int_equal(out.len, 32);
	assert_int_equal(rpc_hdr_decode(out.data, out.len, &d), 0);
	assert_int_equal(rpc_fault_decode(out.data, &d, &g), 0);
	assert_int_equal(g.status, 0x1C010002);
	assert_int_equal(g.ctx_id, 2);
	assert_int_equal(d.call_id, 4);
	buf_clear(&out);
	h.ptype = RPC_BIND_NAK;
	assert_int_equal(rpc_bind_nak_encode(&out, &h, RPC_NAK_AUTH_TYPE), 0);
	assert_int_equal(rpc_hdr_decode(out.data, out.len, &d), 0);
	assert_int_equal(rpc_bind_nak_decode(out.data, &d, &reason), 0);
	assert_int_equal(reason, 8);
	buf_done(&out);
}

/* Stub and padding before an auth trailer: the stub ends where the padding begins. */
static void t_auth_trailer_is_cut_off(void **state)
{
	struct bytes v = vec("05000003100000002c00040001000000" /* header: 44 bytes, auth 4 */
			     "0800000000000000"                 /* alloc_hint, context, opnum */
			     "0102030405060708"                 /* stub of 6, padding 2 */
			     "0a02020000000000"                 /* trailer: pad length 2 */
			     "deadbeef");
	struct rpc_request rq;
	struct rpc_hdr h;

	(void)state;
	h = hdr_of(&v);
	assert_int_equal(rpc_request_decode(v.b, &h, &rq), 0);
	assert_int_equal(rq.stub_len, 6);
	v.b[34] = 9; /* more padding than there are bytes */
	assert_int_equal(rpc_request_decode(v.b, &h, &rq), ERR_RPC_MALFORMED);
}

/* An object UUID stands before the stub: C706 §12.6.4.9. */
static void t_request_of_an_object(void **state)
{
	struct bytes v = vec("0500008310000000" /* flags: first, last, object */
			     "2a00000001000000" /* 42 octets */
			     "0200000000000000"
			     "000102030405060708090a0b0c0d0e0f"
			     "aabb");
	struct rpc_request rq;
	struct rpc_hdr h;

	(void)state;
	h = hdr_of(&v);
	assert_int_equal(rpc_request_decode(v.b, &h, &rq), 0);
	assert_true(rq.has_object);
	assert_int_equal(rq.stub_len, 2);
	assert_int_equal(rq.stub[0], 0xaa);
	h.frag_len = 24 + 15; /* a part of one */
	assert_int_equal(rpc_request_decode(v.b, &h, &rq), ERR_RPC_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_guid),
		cmocka_unit_test(t_frame),
		cmocka_unit_test(t_frame_prefixes),
		cmocka_unit_test(t_bind_of_a_real_client),
		cmocka_unit_test(t_bind_big_endian),
		cmocka_unit_test(t_round_trips),
		cmocka_unit_test(t_ack_with_junk_padding),
		cmocka_unit_test(t_cut_pdus),
		cmocka_unit_test(t_header_lengths),
		cmocka_unit_test(t_counts_of_a_bind),
		cmocka_unit_test(t_request_fragments),
		cmocka_unit_test(t_encoder_limits),
		cmocka_unit_test(t_fault_and_nak),
		cmocka_unit_test(t_auth_trailer_is_cut_off),
		cmocka_unit_test(t_request_of_an_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
