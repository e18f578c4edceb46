#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/err.h"
#include "kmscore/kms_client.h"
#include "tests/lib/fake_rpc.h"
#include "tests/lib/test_net.h"

struct fixture {
	struct test_net t;
	struct fake_rpc peer;
	struct kms_client *c;
	struct kms_client_result r;
	struct bytes body;
	unsigned calls;
	bool done;
};

static void on_done(struct kms_client *c, const struct kms_client_result *r)
{
	struct fixture *f = c->owner;

	f->r = *r;
	f->r.body = NULL;
	if (r->body != NULL) {
		memcpy(f->body.b, r->body, r->body_len);
		f->body.len = r->body_len;
	}
	f->calls++;
	f->done = true;
	memset(c, 0xa5, sizeof(*c)); /* any later touch is seen */
	free(c);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	fake_rpc_start(&f->peer, &f->t.loop);
}

static void teardown(struct fixture *f)
{
	fake_rpc_stop(&f->peer);
	test_net_done(&f->t);
}

static void start(struct fixture *f, const uint8_t *body, size_t len, uint32_t timeout_ms)
{
	struct kms_client_params p = { .peer = f->peer.addr,
				       .timeout_ms = timeout_ms,
				       .body = body,
				       .body_len = len,
				       .done = on_done };

	f->c = calloc(1, sizeof(*f->c));
	assert_non_null(f->c);
	f->c->owner = f;
	kms_client_start(f->c, &f->t.net, &p);
	assert_false(f->done);
}

static void exchange(struct fixture *f, uint32_t timeout_ms)
{
	start(f, (const uint8_t *)"body", 4, timeout_ms);
	test_net_run_until(&f->t, &f->done);
	assert_int_equal(f->calls, 1);
}

static void add_response(struct fixture *f, bool be, const char *body, size_t len, uint32_t hresult,
			 size_t frag_max)
{
	struct rpc_hdr h = { .ptype = RPC_RESPONSE, .call_id = 2, .be = be };
	struct kms_response rs = { (const uint8_t *)body, len, hresult };
	struct fake_rpc_step *s = fake_rpc_add(&f->peer);
	struct rpc_response r = { 0 };
	struct buf stub, out;

	buf_init(&stub, RPC_STUB_MAX);
	buf_init(&out, sizeof(s->reply.b));
	assert_int_equal(kms_response_encode(&stub, be, &rs), 0);
	r.stub = stub.data;
	r.stub_len = stub.len;
	assert_int_equal(rpc_response_encode(&out, &h, &r, frag_max), 0);
	memcpy(s->reply.b, out.data, out.len);
	s->reply.len = out.len;
	buf_done(&stub);
	buf_done(&out);
}

static void add_good_ack(struct fixture *f)
{
	fake_rpc_add_ack(&f->peer, RPC_CTX_ACCEPT, 0, &rpc_syntax_ndr32);
}

static void t_exchange(void **state)
{
	(void)state;
	for (int be = 0; be < 2; be++) {
		struct fixture f;

		setup(&f);
		add_good_ack(&f);
		add_response(&f, be != 0, "answer", 6, 0, 4280);
		f.peer.step[1].drip = true;
		exchange(&f, 5000);
		assert_int_equal(f.r.err, 0);
		assert_int_equal(f.r.stage, KMS_CLIENT_DONE);
		assert_int_equal(f.r.hresult, 0);
		assert_int_equal(f.body.len, 6);
		assert_memory_equal(f.body.b, "answer", 6);
		assert_true(f.r.rtt_ms > 0);
		/* request: header, 8 bytes of lengths, the body */
		assert_int_equal(f.peer.last_pdu.len, 24 + 8 + 4);
		assert_memory_equal(f.peer.last_pdu.b + 32, "body", 4);
		teardown(&f);
	}
}

static void t_fragmented_answer_and_hresult(void **state)
{
	char long_body[1000];
	struct fixture f;

	(void)state;
	memset(long_body, 'x', sizeof(long_body));
	setup(&f);
	add_good_ack(&f);
	add_response(&f, false, long_body, sizeof(long_body), 0x80070005, 200);
	exchange(&f, 5000);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.hresult, 0x80070005);
	assert_int_equal(f.body.len, sizeof(long_body));
	teardown(&f);
	setup(&f); /* a refusal without body */
	add_good_ack(&f);
	add_response(&f, false, NULL, 0, 0xC004F042, 4280);
	exchange(&f, 5000);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.hresult, 0xC004F042);
	assert_int_equal(f.body.len, 0);
	teardown(&f);
}

static void t_bind_failures(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	fake_rpc_add_hex(&f.peer, "05000d0310000000 1500 0000 01000000 0200 010500");
	exchange(&f, 5000);
	assert_int_equal(f.r.err, ERR_RPC_NAK);
	assert_int_equal(f.r.reason, 2);
	assert_false(f.r.rejected);
	assert_int_equal(f.r.stage, KMS_CLIENT_BIND);
	teardown(&f);
	setup(&f);
	fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_TRANSFER, NULL);
	exchange(&f, 5000);
	assert_int_equal(f.r.err, ERR_RPC_SYNTAX);
	teardown(&f);
}

static void t_call_failures(void **state)
{
	static const struct {
		const char *reply;
		int err;
	} rows[] = {
		{ "0500032310000000 2000 0000 02000000 00000000 0000 0000 f7060000 00000000",
		  ERR_RPC_FAULT },
		{ "0500020310000000 1800 0000 02000000 00000000 0000 0000", ERR_RPC_MALFORMED },
		{ "0500020310000000 1c00 0000 02000000 00000000 0100 0000 00000000", /* context */
		  ERR_RPC_MALFORMED },
		{ "0500020210000000 2400 0000 02000000 00000000 0000 0000" /* no first */
		  "00000000 00000000 42f004c0",
		  ERR_RPC_MALFORMED },
		{ "0500020110000000 1800 0000 02000000 00000000 0000 0000" /* two firsts */
		  "0500020310000000 2400 0000 02000000 00000000 0000 0000"
		  "00000000 00000000 42f004c0",
		  ERR_RPC_MALFORMED },
		{ "0500020310000000 1c00 0000 03000000 00000000 0000 0000 00000000", /* call id */
		  ERR_RPC_MALFORMED },
		{ "05000c0310000000 1000 0000 02000000", ERR_RPC_MALFORMED },
		{ "0500110310000000 1000 0000 00000000", ERR_CLOSED },
		{ "7878", ERR_RPC_NOT_RPC },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		setup(&f);
		add_good_ack(&f);
		fake_rpc_add_hex(&f.peer, rows[i].reply);
		exchange(&f, 5000);
		assert_int_equal(f.r.err, rows[i].err);
		assert_int_equal(f.r.stage, KMS_CLIENT_CALL);
		if (rows[i].err == ERR_RPC_FAULT)
			assert_int_equal(f.r.fault_status, 0x6F7);
		teardown(&f);
	}
}

/* A server that never ends its answer cannot make us hold more than one stub. */
static void t_endless_answer(void **state)
{
	struct fake_rpc_step *s;
	struct fixture f;

	(void)state;
	setup(&f);
	add_good_ack(&f);
	s = fake_rpc_add(&f.peer);
	for (unsigned i = 0; i < 5; i++) { /* together more than RPC_STUB_MAX */
		struct bytes part = vec("0500020010000000 a00f 0000 02000000 00000000 0000 0000");

		part.b[3] = i == 0 ? RPC_FLAG_FIRST : 0;
		memcpy(s->reply.b + s->reply.len, part.b, part.len);
		s->reply.len += 4000;
	}
	exchange(&f, 5000);
	assert_int_equal(f.r.err, ERR_LIMIT);
	teardown(&f);
}

static void t_transport_failures(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	exchange(&f, 30);
	assert_int_equal(f.r.err, ERR_TIMEOUT);
	assert_int_equal(f.r.stage, KMS_CLIENT_BIND);
	teardown(&f);
	setup(&f);
	add_good_ack(&f);
	fake_rpc_add(&f.peer)->close = true;
	exchange(&f, 5000);
	assert_int_equal(f.r.err, ERR_CLOSED);
	assert_int_equal(f.r.stage, KMS_CLIENT_CALL);
	teardown(&f);
	setup(&f);
	f.peer.addr = test_net_closed_port();
	exchange(&f, 5000);
	assert_int_equal(f.r.err, -ECONNREFUSED);
	assert_int_equal(f.r.stage, KMS_CLIENT_CONNECT);
	teardown(&f);
}

/* The three items of a Windows client; the request goes over the one that NDR32 was accepted for.
 */
static void t_several_contexts(void **state)
{
	struct rpc_hdr h = { .ptype = RPC_BIND_ACK, .call_id = 1 };
	struct rpc_bind_ack ack = { .max_xmit = 5840, .max_recv = 5840, .n_results = 3 };
	struct bytes v = vec(VEC_BIND3);
	struct kms_client_params p = { .timeout_ms = 5000, .n_ctx = 3, .done = on_done };
	struct fake_rpc_step *s;
	struct rpc_hdr vh;
	struct rpc_bind b;
	struct fixture f;
	struct buf out;

	(void)state;
	setup(&f);
	assert_int_equal(rpc_hdr_decode(v.b, v.len, &vh), 0);
	assert_int_equal(rpc_bind_decode(v.b, &vh, &b), 0);
	b.ctx[0].transfer[0] = rpc_syntax_ndr64;
	b.ctx[1].transfer[0] = rpc_syntax_ndr32;
	b.ctx[1].id = 77;
	ack.result[0].transfer = rpc_syntax_ndr64; /* accepted, but no use for a request */
	ack.result[1].transfer = rpc_syntax_ndr32;
	ack.result[2].result = RPC_CTX_NEGOTIATE_ACK;
	s = fake_rpc_add(&f.peer);
	buf_init(&out, sizeof(s->reply.b));
	assert_int_equal(rpc_bind_ack_encode(&out, &h, &ack), 0);
	memcpy(s->reply.b, out.data, out.len);
	s->reply.len = out.len;
	buf_done(&out);
	fake_rpc_add_hex(&f.peer, "0500020310000000 2400 0000 02000000 00000000 4d00 0000"
				  "00000000 00000000 42f004c0");
	p.peer = f.peer.addr;
	p.ctx = b.ctx;
	p.body = (const uint8_t *)"x";
	p.body_len = 1;
	f.c = calloc(1, sizeof(*f.c));
	assert_non_null(f.c);
	f.c->owner = &f;
	kms_client_start(f.c, &f.t.net, &p);
	test_net_run_until(&f.t, &f.done);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.hresult, 0xC004F042);
	assert_int_equal(f.peer.last_pdu.b[20], 77);
	teardown(&f);
}

/* Who answers the item of kin.h: nobody, a lab, ourselves. */
static void t_kin(void **state)
{
	static const struct guid node = { { 1, 2, 3 } }, other = { { 9 } };
	static const struct {
		uint16_t kms, kin;
		const struct guid *id;
		int err;
		enum kms_kin want;
	} rows[] = {
		{ RPC_CTX_ACCEPT, RPC_CTX_PROVIDER_REJECT, &other, 0, KMS_KIN_NONE },
		{ RPC_CTX_ACCEPT, RPC_CTX_ACCEPT, &other, 0, KMS_KIN_LAB },
		{ RPC_CTX_ACCEPT, RPC_CTX_ACCEPT, &node, 0, KMS_KIN_SELF },
		{ RPC_CTX_PROVIDER_REJECT, RPC_CTX_ACCEPT, &other, ERR_RPC_NO_INTERFACE,
		  KMS_KIN_LAB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kms_client_params p = { .timeout_ms = 5000,
					       .kin_id = &node,
					       .done = on_done };
		struct rpc_hdr h = { .ptype = RPC_BIND_ACK, .call_id = 1 };
		struct rpc_bind_ack ack = { .max_xmit = 5840, .max_recv = 5840, .n_results = 2 };
		struct fake_rpc_step *s;
		struct fixture f;
		struct rpc_bind b;
		struct buf out;

		setup(&f);
		ack.result[0].result = rows[i].kms;
		ack.result[0].reason = rows[i].kms != 0 ? RPC_REASON_ABSTRACT : 0;
		ack.result[0].transfer = rpc_syntax_ndr32;
		kms_kin_accept(&ack.result[1], rows[i].id, KMS_KIN_ROLE_LAB);
		ack.result[1].result = rows[i].kin;
		s = fake_rpc_add(&f.peer);
		buf_init(&out, sizeof(s->reply.b));
		assert_int_equal(rpc_bind_ack_encode(&out, &h, &ack), 0);
		memcpy(s->reply.b, out.data, out.len);
		s->reply.len = out.len;
		buf_done(&out);
		p.peer = f.peer.addr;
		f.c = calloc(1, sizeof(*f.c));
		assert_non_null(f.c);
		f.c->owner = &f;
		kms_client_start(f.c, &f.t.net, &p);
		test_net_run_until(&f.t, &f.done);
		assert_int_equal(f.r.err, rows[i].err);
		assert_int_equal(f.r.kin, rows[i].want);
		assert_int_equal(rpc_hdr_decode(f.peer.last_pdu.b, f.peer.last_pdu.len, &h), 0);
		assert_int_equal(rpc_bind_decode(f.peer.last_pdu.b, &h, &b), 0);
		assert_int_equal(b.n_ctx, 2);
		assert_true(kms_kin_is_offer(&b.ctx[1]));
		assert_true(guid_equal(&b.ctx[1].transfer[0].uuid, &node));
		teardown(&f);
	}
}

static void t_too_large_is_our_error(void **state)
{
	static const uint8_t body[KMS_BODY_MAX + 1];
	struct fixture f;

	(void)state;
	setup(&f);
	start(&f, body, sizeof(body), 5000);
	test_net_run_until(&f.t, &f.done);
	assert_int_equal(f.r.err, ERR_USAGE);
	teardown(&f);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 10; steps++) {
		struct fixture f;

		setup(&f);
		add_good_ack(&f); /* then silence */
		start(&f, (const uint8_t *)"body", 4, 5000);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		kms_client_cancel(f.c);
		kms_client_cancel(f.c);
		assert_int_equal(f.calls, 0);
		test_net_run_until(&f.t, &f.done);
		assert_int_equal(f.calls, 1);
		assert_int_equal(f.r.err, ERR_CANCELED);
		teardown(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_exchange),
		cmocka_unit_test(t_fragmented_answer_and_hresult),
		cmocka_unit_test(t_bind_failures),
		cmocka_unit_test(t_call_failures),
		cmocka_unit_test(t_endless_answer),
		cmocka_unit_test(t_transport_failures),
		cmocka_unit_test(t_several_contexts),
		cmocka_unit_test(t_kin),
		cmocka_unit_test(t_too_large_is_our_error),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
