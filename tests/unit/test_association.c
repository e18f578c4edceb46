#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "kmscore/association.h"
#include "kmscore/wire.h"
#include "tests/lib/kms_vectors.h"

struct fixture {
	struct kms_assoc_host host;
	struct kms_assoc a;
	struct buf out;
	struct err_info info;
	size_t used;
};

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->host.role = KMS_KIN_ROLE_RELAY;
	f->host.port = 1688;
	memset(&f->host.node_id, 0x5a, sizeof(f->host.node_id));
	kms_assoc_init(&f->a, &f->host, VEC_GROUP);
	buf_init(&f->out, 1 << 20);
}

static void teardown(struct fixture *f)
{
	kms_assoc_done(&f->a);
	buf_done(&f->out);
}

static enum kms_assoc_event feed(struct fixture *f, const void *data, size_t len)
{
	return kms_assoc_feed(&f->a, data, len, &f->used, &f->out, &f->info);
}

static enum kms_assoc_event feed_vec(struct fixture *f, const struct bytes *v)
{
	return feed(f, v->b, v->len);
}

static void expect_out(struct fixture *f, const char *hex)
{
	struct bytes want = vec(hex);

	assert_int_equal(f->out.len, want.len);
	assert_memory_equal(f->out.data, want.b, want.len);
	buf_clear(&f->out);
}

static void bind_plain(struct fixture *f)
{
	struct bytes v = vec(VEC_BIND3);

	assert_int_equal(feed_vec(f, &v), KMS_ASSOC_MORE);
	buf_clear(&f->out);
}

/** One request PDU. */
static struct bytes request(uint8_t flags, uint32_t call, uint16_t ctx, uint16_t opnum,
			    const char *stub_hex)
{
	struct bytes v = vec("0500000010000000 0000 0000 00000000 00000000 0000 0000");
	struct bytes stub = vec(stub_hex);

	v.b[3] = flags;
	memcpy(v.b + v.len, stub.b, stub.len);
	v.len += stub.len;
	wire_put_u16(v.b + 8, (uint16_t)v.len, false);
	wire_put_u32(v.b + 12, call, false);
	wire_put_u16(v.b + 20, ctx, false);
	wire_put_u16(v.b + 22, opnum, false);
	return v;
}

static struct rpc_hdr out_hdr(const struct fixture *f)
{
	struct rpc_hdr h;
	size_t len;

	assert_int_equal(rpc_frame_length(f->out.data, f->out.len, RPC_FRAG_MAX, &len), 0);
	assert_int_not_equal(len, 0);
	assert_int_equal(rpc_hdr_decode(f->out.data, len, &h), 0);
	return h;
}

static void expect_fault(struct fixture *f, uint32_t status)
{
	struct rpc_hdr h = out_hdr(f);
	struct rpc_fault fault;

	assert_int_equal(h.ptype, RPC_FAULT);
	assert_int_equal(rpc_fault_decode(f->out.data, &h, &fault), 0);
	assert_int_equal(fault.status, status);
	buf_clear(&f->out);
}

static void expect_nak(struct fixture *f, uint16_t want)
{
	struct rpc_hdr h = out_hdr(f);
	uint16_t reason;

	assert_int_equal(h.ptype, RPC_BIND_NAK);
	assert_int_equal(rpc_bind_nak_decode(f->out.data, &h, &reason), 0);
	assert_int_equal(reason, want);
	buf_clear(&f->out);
}

/* bind 160 -> ack 108, alter_context 72 -> 56, request -> response: behaviour §8.2. */
static void t_a_real_clients_session(void **state)
{
	struct bytes bind = vec(VEC_BIND3), alter = vec(VEC_ALTER);
	struct bytes rq = request(3, 3, 0, 0, "0400000004000000 00000600");
	const struct kms_call *call;
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(feed_vec(&f, &bind), KMS_ASSOC_MORE);
	assert_int_equal(f.used, 160);
	assert_int_equal(f.out.len, 108);
	expect_out(&f, VEC_BIND3_ACK);
	assert_int_equal(feed_vec(&f, &alter), KMS_ASSOC_MORE);
	assert_int_equal(f.out.len, 56);
	expect_out(&f, VEC_ALTER_RESP);
	assert_null(kms_assoc_call(&f.a));
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	call = kms_assoc_call(&f.a);
	assert_non_null(call);
	assert_int_equal(call->call_id, 3);
	assert_int_equal(call->stub_len, 12);
	assert_memory_equal(call->stub, rq.b + 24, 12);
	assert_int_equal(kms_assoc_respond(&f.a, (const uint8_t *)"abcd", 4, false, &f.out), 0);
	expect_out(&f, "0500020310000000 1c00 0000 03000000 04000000 0000 0000 61626364");
	assert_null(kms_assoc_call(&f.a));
	assert_int_equal(kms_assoc_respond(&f.a, NULL, 0, false, &f.out), ERR_USAGE);
	teardown(&f);
}

static void t_big_endian(void **state)
{
	struct bytes bind = vec(VEC_BIND_BE);
	struct bytes rq =
		vec("0500000300000000 0020 0000 0000000a 00000008 0007 0000 0000000000000000");
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(feed_vec(&f, &bind), KMS_ASSOC_MORE);
	expect_out(&f, VEC_BIND_BE_ACK);
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	assert_true(kms_assoc_call(&f.a)->be);
	assert_int_equal(kms_assoc_respond(&f.a, (const uint8_t *)"abcd", 4, true, &f.out), 0);
	expect_out(&f, "0500020300000000 001c 0000 0000000a 00000004 0007 0000 61626364");

	/* an answer in the other order: its PDU says so, for the stub is not touched */
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	assert_int_equal(kms_assoc_respond(&f.a, (const uint8_t *)"abcd", 4, false, &f.out), 0);
	expect_out(&f, "0500020310000000 1c00 0000 0a000000 04000000 0700 0000 61626364");
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	assert_int_equal(kms_assoc_fault(&f.a, RPC_S_TOO_BUSY, &f.out), 0);
	assert_int_equal(f.out.data[4], 0); /* a fault of ours: as the request */
	teardown(&f);
}

/** A whole session as one string of bytes; what came out goes to @p ret. */
static void run_session(const uint8_t *data, size_t len, size_t step, struct buf *ret)
{
	struct fixture f;
	size_t have = 0, start = 0;

	setup(&f);
	while (start < len) {
		enum kms_assoc_event ev;

		if (have < len)
			have = have + step < len ? have + step : len;
		for (;;) {
			ev = feed(&f, data + start, have - start);
			start += f.used;
			if (ev != KMS_ASSOC_CALL)
				break;
			assert_int_equal(kms_assoc_respond(&f.a, kms_assoc_call(&f.a)->stub,
							   kms_assoc_call(&f.a)->stub_len, false,
							   &f.out),
					 0);
		}
		assert_int_equal(ev, KMS_ASSOC_MORE);
	}
	assert_int_equal(buf_append(ret, f.out.data, f.out.len), 0);
	teardown(&f);
}

/* However the bytes arrive, the answers are the same; several PDUs may come in one segment. */
static void t_byte_by_byte_and_all_at_once(void **state)
{
	struct bytes parts[] = {
		vec(VEC_BIND3),
		request(1, 5, 0, 0, "0001020304050607"),
		request(2, 5, 0, 0, "08090a"),
		request(3, 6, 0, 0, ""),
		vec(VEC_ALTER),
		request(3, 7, 0, 0, "ff"),
	};
	uint8_t all[2048];
	struct buf whole;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		memcpy(all + len, parts[i].b, parts[i].len);
		len += parts[i].len;
	}
	buf_init(&whole, 1 << 16);
	run_session(all, len, len, &whole);
	assert_int_equal(whole.len, 108 + (24 + 11) + 24 + 56 + 25);
	for (size_t step = 1; step < 200; step += step < 4 ? 1 : 61) {
		struct buf out;

		buf_init(&out, 1 << 16);
		run_session(all, len, step, &out);
		assert_int_equal(out.len, whole.len);
		assert_memory_equal(out.data, whole.data, whole.len);
		buf_done(&out);
	}
	buf_done(&whole);
}

/* While a call is unanswered nothing more is read. */
static void t_one_call_at_a_time(void **state)
{
	struct bytes rq = request(3, 1, 0, 0, "aa"), next = request(3, 2, 0, 0, "bb");
	struct fixture f;

	(void)state;
	setup(&f);
	bind_plain(&f);
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	assert_int_equal(feed_vec(&f, &next), KMS_ASSOC_CALL);
	assert_int_equal(f.used, 0);
	assert_int_equal(kms_assoc_call(&f.a)->call_id, 1);
	assert_int_equal(kms_assoc_fault(&f.a, RPC_S_NDR, &f.out), 0);
	expect_fault(&f, 0x000006F7);
	assert_int_equal(feed_vec(&f, &next), KMS_ASSOC_CALL);
	assert_int_equal(kms_assoc_call(&f.a)->call_id, 2);
	teardown(&f);
}

static void t_response_in_fragments(void **state)
{
	struct bytes bind = vec(VEC_BIND3), rq = request(3, 1, 0, 0, "aa");
	uint8_t stub[1000];
	struct fixture f;
	size_t at = 0, got = 0, len;

	(void)state;
	memset(stub, 0x77, sizeof(stub));
	setup(&f);
	wire_put_u16(bind.b + 18, 200, false); /* the client's max_recv_frag */
	assert_int_equal(feed_vec(&f, &bind), KMS_ASSOC_MORE);
	buf_clear(&f.out);
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	assert_int_equal(kms_assoc_respond(&f.a, stub, sizeof(stub), false, &f.out), 0);
	for (; at < f.out.len; at += len) {
		assert_int_equal(rpc_frame_length(f.out.data + at, f.out.len - at, 200, &len), 0);
		got += len - RPC_REQ_HDR_LEN;
	}
	assert_int_equal(got, sizeof(stub));
	teardown(&f);
}

/* An answer may be made of the call's own bytes, however many they are. */
static void t_answer_from_the_request(void **state)
{
	struct bytes rq = request(3, 1, 0, 0, "aa");
	struct fixture f;

	(void)state;
	setup(&f);
	bind_plain(&f);
	rq.len = 5000;
	wire_put_u16(rq.b + 8, 5000, false);
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_CALL);
	assert_int_equal(kms_assoc_respond(&f.a, kms_assoc_call(&f.a)->stub,
					   kms_assoc_call(&f.a)->stub_len, false, &f.out),
			 0);
	assert_int_equal(f.out.len, 5000);
	assert_int_equal(f.out.data[24], 0xaa);
	teardown(&f);
}

static void t_refused_calls_leave_the_association(void **state)
{
	struct bytes opnum = request(3, 1, 0, 1, "aa"), ctx = request(3, 2, 1, 0, "aa");
	struct bytes features = request(3, 3, 2, 0, "aa"), good = request(3, 4, 0, 0, "aa");
	struct fixture f;

	(void)state;
	setup(&f);
	bind_plain(&f);
	assert_int_equal(feed_vec(&f, &opnum), KMS_ASSOC_MORE);
	assert_int_equal(out_hdr(&f).call_id, 1);
	assert_int_equal(out_hdr(&f).flags & RPC_FLAG_DID_NOT_EXECUTE, RPC_FLAG_DID_NOT_EXECUTE);
	expect_fault(&f, 0x1C010002);
	assert_int_equal(feed_vec(&f, &ctx), KMS_ASSOC_MORE); /* NDR64 was rejected */
	expect_fault(&f, 0x1C010003);
	assert_int_equal(feed_vec(&f, &features), KMS_ASSOC_MORE);
	expect_fault(&f, 0x1C010003);
	assert_int_equal(feed_vec(&f, &good), KMS_ASSOC_CALL);
	teardown(&f);
}

static void t_bind_refusals(void **state)
{
	struct fixture f;
	struct bytes v;

	(void)state;
	setup(&f); /* authentication */
	v = vec(VEC_BIND_BE);
	v.len += 8 + 16;
	wire_put_u16(v.b + 8, (uint16_t)v.len, true);
	wire_put_u16(v.b + 10, 16, true);
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
	expect_nak(&f, 8);
	assert_non_null(strstr(f.info.text, "authentication"));
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END); /* and stays ended */
	assert_int_equal(f.out.len, 0);
	teardown(&f);

	setup(&f); /* version 5.2 */
	v = vec(VEC_BIND3);
	v.b[1] = 2;
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
	expect_nak(&f, 4);
	teardown(&f);

	setup(&f); /* fragments too small to talk */
	v = vec(VEC_BIND3);
	wire_put_u16(v.b + 18, 0, false);
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
	expect_nak(&f, 2);
	teardown(&f);

	setup(&f); /* more contexts than there are bytes */
	v = vec(VEC_BIND3);
	v.b[24] = 9;
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
	expect_nak(&f, 0);
	assert_string_equal(f.info.text, "a malformed bind");
	teardown(&f);

	setup(&f); /* a second bind */
	bind_plain(&f);
	v = vec(VEC_BIND3);
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
	expect_nak(&f, 0);
	teardown(&f);
}

/* KMS has none of it: @p pdu with a trailer of 16 octets. */
static void authenticate(struct bytes *pdu)
{
	pdu->len += 8 + 16;
	wire_put_u16(pdu->b + 8, (uint16_t)pdu->len, false);
	wire_put_u16(pdu->b + 10, 16, false);
}

static void t_authentication_after_the_bind(void **state)
{
	struct bytes alter = vec(VEC_ALTER), rq = request(3, 1, 0, 0, "aa");
	struct fixture f;

	(void)state;
	authenticate(&alter);
	authenticate(&rq);
	setup(&f);
	bind_plain(&f);
	assert_int_equal(feed_vec(&f, &alter), KMS_ASSOC_END);
	assert_non_null(strstr(f.info.text, "alter_context with RPC authentication"));
	teardown(&f);
	setup(&f);
	bind_plain(&f);
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_END);
	assert_non_null(strstr(f.info.text, "request with RPC authentication"));
	teardown(&f);
}

/* RPC 5.1 differs only in fragmented binds; its minor version comes back. */
static void t_minor_version_1(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct fixture f;

	(void)state;
	setup(&f);
	v.b[1] = 1;
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_MORE);
	assert_int_equal(out_hdr(&f).minor, 1);
	teardown(&f);
}

static void t_foreign_interface_and_features_alone(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct rpc_bind_ack ack;
	struct rpc_hdr h;
	struct fixture f;

	(void)state;
	setup(&f);
	v.b[32] ^= 1; /* abstract syntax of the first item */
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_MORE);
	h = out_hdr(&f);
	assert_int_equal(rpc_bind_ack_decode(f.out.data, &h, &ack), 0);
	assert_int_equal(ack.result[0].result, RPC_CTX_PROVIDER_REJECT);
	assert_int_equal(ack.result[0].reason, RPC_REASON_ABSTRACT);
	assert_int_equal(ack.result[1].reason, RPC_REASON_TRANSFER);
	assert_int_equal(ack.result[2].result, RPC_CTX_NEGOTIATE_ACK);
	assert_int_equal(ack.result[2].reason, 0);
	teardown(&f);
}

/* A group id of another association, or of a server long gone, is accepted as new. */
static void t_unknown_group_is_new(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct fixture f;

	(void)state;
	setup(&f);
	wire_put_u32(v.b + 20, 0xdeadbeef, false);
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_MORE);
	expect_out(&f, VEC_BIND3_ACK);
	teardown(&f);
}

static void t_context_table_is_bounded(void **state)
{
	struct bytes v = vec(VEC_ALTER);
	struct rpc_bind_ack ack;
	struct rpc_hdr h;
	struct fixture f;

	(void)state;
	setup(&f);
	bind_plain(&f); /* takes id 0 */
	for (uint16_t id = 1; id <= RPC_CTX_MAX; id++) {
		wire_put_u16(v.b + 28, id, false);
		buf_clear(&f.out);
		assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_MORE);
		h = out_hdr(&f);
		assert_int_equal(rpc_bind_ack_decode(f.out.data, &h, &ack), 0);
		assert_int_equal(ack.result[0].result,
				 id < RPC_CTX_MAX ? RPC_CTX_ACCEPT : RPC_CTX_PROVIDER_REJECT);
		assert_int_equal(ack.result[0].reason, id < RPC_CTX_MAX ? 0 : RPC_REASON_LIMIT);
	}
	wire_put_u16(v.b + 28, 5, false); /* a known id again needs no new room */
	buf_clear(&f.out);
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_MORE);
	h = out_hdr(&f);
	assert_int_equal(rpc_bind_ack_decode(f.out.data, &h, &ack), 0);
	assert_int_equal(ack.result[0].result, RPC_CTX_ACCEPT);
	teardown(&f);
}

static void t_cancel_and_orphan(void **state)
{
	struct bytes cancel = vec("0500120310000000 1000 0000 05000000");
	struct bytes orphan = vec("0500130310000000 1000 0000 05000000");
	struct bytes first = request(1, 5, 0, 0, "0001020304050607");
	struct bytes next = request(3, 6, 0, 0, "aa");
	struct fixture f;

	(void)state;
	setup(&f);
	bind_plain(&f);
	assert_int_equal(feed_vec(&f, &cancel), KMS_ASSOC_MORE);
	assert_int_equal(feed_vec(&f, &orphan), KMS_ASSOC_MORE);
	assert_int_equal(feed_vec(&f, &first), KMS_ASSOC_MORE);
	assert_int_equal(feed_vec(&f, &cancel), KMS_ASSOC_MORE);
	assert_int_equal(feed_vec(&f, &orphan), KMS_ASSOC_MORE);
	assert_int_equal(feed_vec(&f, &next), KMS_ASSOC_CALL);
	assert_int_equal(kms_assoc_call(&f.a)->stub_len, 1);
	assert_int_equal(f.out.len, 0);
	teardown(&f);
}

/* Each of these ends the association with a fault and a sentence. */
static void t_protocol_errors(void **state)
{
	struct bytes first = request(1, 5, 0, 0, "0001020304050607");
	const struct {
		bool bound;
		struct bytes before; /* len 0: nothing */
		struct bytes bad;
		const char *says;
	} rows[] = {
		{ false, { 0 }, request(3, 1, 0, 0, "aa"), "before any bind" },
		{ false, { 0 }, vec(VEC_ALTER), "before any bind" },
		{ true, { 0 }, request(2, 1, 0, 0, "aa"), "without its first" },
		{ true, first, request(1, 6, 0, 0, "aa"), "before the last fragment" },
		{ true, first, request(2, 6, 0, 0, "aa"), "does not belong" },
		{ true, first, request(2, 5, 1, 0, "aa"), "does not belong" },
		{ true, first, request(2, 5, 0, 1, "aa"), "does not belong" },
		{ true, { 0 }, vec("0500000310000000 1400 0000 01000000 00000000"), "malformed" },
		{ true, { 0 }, vec("0500020310000000 1000 0000 01000000"), "type 2 (response)" },
		{ true, { 0 }, vec("0500100310000000 1000 0000 01000000"), "type 16 (auth3)" },
		{ true, { 0 }, vec("0500110310000000 1000 0000 01000000"), "type 17 (shutdown)" },
		{ true, { 0 }, vec("0500ff0310000000 1000 0000 01000000"), "type 255 (unknown)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		setup(&f);
		if (rows[i].bound)
			bind_plain(&f);
		if (rows[i].before.len > 0)
			assert_int_equal(feed_vec(&f, &rows[i].before), KMS_ASSOC_MORE);
		assert_int_equal(feed_vec(&f, &rows[i].bad), KMS_ASSOC_END);
		assert_non_null(strstr(f.info.text, rows[i].says));
		expect_fault(&f, 0x1C01000B);
		assert_null(kms_assoc_call(&f.a));
		teardown(&f);
	}
}

/* What is no RPC PDU is not answered at all. */
static void t_not_rpc(void **state)
{
	static const char *const rows[] = {
		"474554202f20485454502f312e310d0a0d0a",
		"0500000344000000",
		"05000003100000000100",
		"0500000310000000ffff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i]);
		struct fixture f;

		setup(&f);
		assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
		assert_int_equal(f.out.len, 0);
		assert_true(f.info.text[0] != '\0');
		teardown(&f);
	}
}

static void t_request_size_is_bounded(void **state)
{
	struct bytes part = request(0, 5, 0, 0, "");
	enum kms_assoc_event ev = KMS_ASSOC_MORE;
	struct fixture f;
	size_t n = 0;

	(void)state;
	setup(&f);
	bind_plain(&f);
	part.len = RPC_FRAG_MAX;
	wire_put_u16(part.b + 8, RPC_FRAG_MAX, false);
	while (ev == KMS_ASSOC_MORE && n < 10) {
		part.b[3] = n == 0 ? 1 : 0;
		ev = feed_vec(&f, &part);
		n++;
	}
	assert_int_equal(ev, KMS_ASSOC_END);
	assert_int_equal(n, RPC_STUB_MAX / (RPC_FRAG_MAX - 24) + 1);
	expect_fault(&f, RPC_S_OUT_OF_MEMORY);
	teardown(&f);

	setup(&f); /* empty fragments without end */
	bind_plain(&f);
	part = request(1, 5, 0, 0, "");
	for (n = 0, ev = KMS_ASSOC_MORE; ev == KMS_ASSOC_MORE && n < 10000; n++) {
		ev = feed_vec(&f, &part);
		part.b[3] = 0;
	}
	assert_int_equal(n, KMS_ASSOC_FRAGS_MAX + 1);
	teardown(&f);
}

static void t_full_output_ends_it(void **state)
{
	struct bytes v = vec(VEC_BIND3);
	struct fixture f;

	(void)state;
	setup(&f);
	f.out.max = 50;
	assert_int_equal(feed_vec(&f, &v), KMS_ASSOC_END);
	assert_non_null(strstr(f.info.text, "buffered"));
	teardown(&f);
}

/* Another kmsbeacon is told who we are; a call on that context has nowhere to go. */
static void t_kin_is_accepted(void **state)
{
	struct guid other = { { 1 } };
	struct bytes bind = vec_kin_bind(&other), rq = request(3, 4, 1, 0, "aa");
	struct rpc_bind_ack ack;
	struct rpc_hdr h;
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(kms_assoc_kin(&f.a), KMS_KIN_NONE);
	assert_int_equal(feed_vec(&f, &bind), KMS_ASSOC_MORE);
	h = out_hdr(&f);
	assert_int_equal(rpc_bind_ack_decode(f.out.data, &h, &ack), 0);
	assert_int_equal(ack.n_results, 2);
	assert_int_equal(ack.result[0].result, RPC_CTX_ACCEPT);
	assert_int_equal(kms_kin_judge(&ack.result[1], &other), KMS_KIN_RELAY);
	assert_int_equal(kms_kin_judge(&ack.result[1], &f.host.node_id), KMS_KIN_SELF);
	assert_int_equal(kms_assoc_kin(&f.a), KMS_KIN_RELAY);
	buf_clear(&f.out);
	assert_int_equal(feed_vec(&f, &rq), KMS_ASSOC_MORE);
	expect_fault(&f, RPC_S_UNK_IF);
	teardown(&f);

	setup(&f);
	bind = vec_kin_bind(&f.host.node_id);
	assert_int_equal(feed_vec(&f, &bind), KMS_ASSOC_MORE);
	assert_int_equal(kms_assoc_kin(&f.a), KMS_KIN_SELF);
	teardown(&f);
}

struct crowd {
	bool clients, relays;
	unsigned asked;
};

static bool is_congested(void *ctx, bool from_relay)
{
	struct crowd *c = ctx;

	c->asked++;
	return from_relay ? c->relays : c->clients;
}

static void t_congestion(void **state)
{
	struct guid other = { { 1 } };
	struct crowd c = { .clients = true };
	struct bytes plain = vec(VEC_BIND3), kin = vec_kin_bind(&other), alter = vec(VEC_ALTER),
		     own;
	struct fixture f;

	(void)state;
	setup(&f);
	f.host.congested = is_congested;
	f.host.ctx = &c;
	own = vec_kin_bind(&f.host.node_id);
	assert_int_equal(feed_vec(&f, &plain), KMS_ASSOC_REFUSED);
	assert_string_equal(f.info.text, "");
	expect_nak(&f, 1);
	assert_int_equal(feed_vec(&f, &plain), KMS_ASSOC_REFUSED); /* it stays so */
	assert_int_equal(f.out.len, 0);
	teardown(&f);

	/* what there is for clients there need not be for relays, and the other way round */
	for (int i = 0; i < 2; i++) {
		memset(&f, 0, sizeof(f));
		setup(&f);
		f.host.congested = is_congested;
		f.host.ctx = &c;
		c.clients = i == 0;
		c.relays = i == 1;
		assert_int_equal(feed_vec(&f, &kin), i == 0 ? KMS_ASSOC_MORE : KMS_ASSOC_REFUSED);
		teardown(&f);
	}

	/* a bind of our own learns whose it is; and what is bound is not refused later */
	setup(&f);
	f.host.congested = is_congested;
	f.host.ctx = &c;
	c = (struct crowd){ .clients = true, .relays = true };
	assert_int_equal(feed_vec(&f, &own), KMS_ASSOC_MORE);
	assert_int_equal(feed_vec(&f, &alter), KMS_ASSOC_MORE);
	assert_int_equal(c.asked, 0);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_a_real_clients_session),
		cmocka_unit_test(t_big_endian),
		cmocka_unit_test(t_byte_by_byte_and_all_at_once),
		cmocka_unit_test(t_one_call_at_a_time),
		cmocka_unit_test(t_response_in_fragments),
		cmocka_unit_test(t_answer_from_the_request),
		cmocka_unit_test(t_refused_calls_leave_the_association),
		cmocka_unit_test(t_bind_refusals),
		cmocka_unit_test(t_authentication_after_the_bind),
		cmocka_unit_test(t_minor_version_1),
		cmocka_unit_test(t_foreign_interface_and_features_alone),
		cmocka_unit_test(t_unknown_group_is_new),
		cmocka_unit_test(t_context_table_is_bounded),
		cmocka_unit_test(t_cancel_and_orphan),
		cmocka_unit_test(t_protocol_errors),
		cmocka_unit_test(t_not_rpc),
		cmocka_unit_test(t_request_size_is_bounded),
		cmocka_unit_test(t_full_output_ends_it),
		cmocka_unit_test(t_kin_is_accepted),
		cmocka_unit_test(t_congestion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
