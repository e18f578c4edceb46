/*
 * RPC: no prefix of a PDU has another length than the whole; what decodes is encoded to something
 * that decodes to the same; and an association answers a stream in the same way however it is cut.
 *
 * The first octet says how the stream is cut, and whether a good bind goes before it.
 */
#include <string.h>

#include "common/err.h"
#include "kmscore/association.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/kms_vectors.h"

#define STREAM_MAX 20000u

static void check_prefixes(const uint8_t *data, size_t size)
{
	size_t whole, part;
	int err = rpc_frame_length(data, size, RPC_FRAG_MAX, &whole);

	for (size_t n = 0; n <= size && n < 32; n++) {
		int e = rpc_frame_length(data, n, RPC_FRAG_MAX, &part);

		FUZZ_CHECK(e == 0 || (e == err && part == 0));
		FUZZ_CHECK(part == 0 || part == whole);
	}
}

static void check_bind(const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_bind a, b;
	struct rpc_hdr h2;
	struct buf out;

	if (rpc_bind_decode(pdu, h, &a) != 0)
		return;
	buf_init(&out, UINT16_MAX);
	FUZZ_CHECK(rpc_bind_encode(&out, h, &a) == 0);
	FUZZ_CHECK(rpc_hdr_decode(out.data, out.len, &h2) == 0);
	FUZZ_CHECK(rpc_bind_decode(out.data, &h2, &b) == 0);
	FUZZ_CHECK(a.n_ctx == b.n_ctx && a.assoc_group == b.assoc_group);
	for (unsigned i = 0; i < a.n_ctx; i++) {
		FUZZ_CHECK(a.ctx[i].id == b.ctx[i].id);
		FUZZ_CHECK(a.ctx[i].n_transfer == b.ctx[i].n_transfer);
		FUZZ_CHECK(rpc_syntax_equal(&a.ctx[i].abstract, &b.ctx[i].abstract));
		for (unsigned j = 0; j < a.ctx[i].n_transfer; j++)
			FUZZ_CHECK(rpc_syntax_equal(&a.ctx[i].transfer[j], &b.ctx[i].transfer[j]));
	}
	buf_done(&out);
}

static void check_ack(const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_bind_ack a, b;
	struct rpc_hdr h2;
	struct buf out;

	if (rpc_bind_ack_decode(pdu, h, &a) != 0)
		return;
	buf_init(&out, UINT16_MAX);
	FUZZ_CHECK(rpc_bind_ack_encode(&out, h, &a) == 0);
	FUZZ_CHECK(rpc_hdr_decode(out.data, out.len, &h2) == 0);
	FUZZ_CHECK(rpc_bind_ack_decode(out.data, &h2, &b) == 0);
	FUZZ_CHECK(strcmp(a.sec_addr, b.sec_addr) == 0 && a.n_results == b.n_results);
	for (unsigned i = 0; i < a.n_results; i++)
		FUZZ_CHECK(a.result[i].result == b.result[i].result &&
			   a.result[i].reason == b.result[i].reason &&
			   rpc_syntax_equal(&a.result[i].transfer, &b.result[i].transfer));
	buf_done(&out);
}

/** Stubs lie inside the PDU that they were decoded from. */
static void check_stubs(const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_response rs;
	struct rpc_request rq;
	struct rpc_fault f;
	uint16_t reason;

	if (rpc_request_decode(pdu, h, &rq) == 0)
		FUZZ_CHECK(rq.stub >= pdu + RPC_REQ_HDR_LEN &&
			   rq.stub + rq.stub_len <= pdu + h->frag_len);
	if (rpc_response_decode(pdu, h, &rs) == 0)
		FUZZ_CHECK(rs.stub >= pdu + RPC_REQ_HDR_LEN &&
			   rs.stub + rs.stub_len <= pdu + h->frag_len);
	(void)rpc_fault_decode(pdu, h, &f);
	(void)rpc_bind_nak_decode(pdu, h, &reason);
}

static void check_pdu(const uint8_t *data, size_t size)
{
	struct rpc_hdr h;
	size_t len;

	if (rpc_frame_length(data, size, RPC_FRAG_MAX, &len) != 0 || len == 0 || len > size ||
	    rpc_hdr_decode(data, len, &h) != 0)
		return;
	for (size_t n = 0; n < len; n++) {
		struct rpc_hdr part;

		FUZZ_CHECK(rpc_hdr_decode(data, n, &part) != 0);
	}
	check_bind(data, &h);
	check_ack(data, &h);
	check_stubs(data, &h);
}

/** A stream through an association, @p step octets at a time; calls are answered with their stub.
 */
static enum kms_assoc_event run(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	static const struct kms_assoc_host host = { .role = KMS_KIN_ROLE_LAB, .port = 1688 };
	enum kms_assoc_event ev = KMS_ASSOC_MORE;
	size_t start = 0, have = 0, used;
	struct err_info info = { "" };
	struct kms_assoc a;

	kms_assoc_init(&a, &host, VEC_GROUP);
	while (have < size && ev != KMS_ASSOC_END) {
		have = have + step < size ? have + step : size;
		for (;;) {
			const struct kms_call *call;

			ev = kms_assoc_feed(&a, data + start, have - start, &used, out, &info);
			FUZZ_CHECK(used <= have - start);
			start += used;
			call = kms_assoc_call(&a);
			FUZZ_CHECK((ev == KMS_ASSOC_CALL) == (call != NULL));
			if (call == NULL)
				break;
			FUZZ_CHECK(call->stub_len <= RPC_STUB_MAX);
			FUZZ_CHECK(kms_assoc_respond(&a, call->stub, call->stub_len, call->be,
						     out) == 0);
		}
	}
	FUZZ_CHECK((ev == KMS_ASSOC_END) == (info.text[0] != '\0'));
	kms_assoc_done(&a);
	return ev;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stream[STREAM_MAX + 256];
	struct bytes bind = vec(VEC_BIND3);
	size_t len = 0, step;
	struct buf whole, cut;

	if (size < 1 || size > STREAM_MAX)
		return 0;
	check_prefixes(data + 1, size - 1);
	check_pdu(data + 1, size - 1);
	step = 1u + (data[0] >> 1);
	if ((data[0] & 1) != 0) {
		memcpy(stream, bind.b, bind.len);
		len = bind.len;
	}
	memcpy(stream + len, data + 1, size - 1);
	len += size - 1;
	buf_init(&whole, 1u << 20);
	buf_init(&cut, 1u << 20);
	FUZZ_CHECK(run(stream, len, len > 0 ? len : 1, &whole) == run(stream, len, step, &cut));
	FUZZ_CHECK(whole.len == cut.len);
	FUZZ_CHECK(whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0);
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}
