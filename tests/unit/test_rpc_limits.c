/* RPC: PDUs beyond what we take, PDUs that are cut, and callers that ask for the impossible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/association.h"
#include "kmscore/rpc_client.h"
#include "kmscore/wire.h"
#include "tests/lib/kms_vectors.h"

#define OUT_MAX 65536
#define WHOLE   (RPC_FLAG_FIRST | RPC_FLAG_LAST)

static struct rpc_hdr hdr_of(const struct bytes *v)
{
	struct rpc_hdr h;

	assert_int_equal(rpc_hdr_decode(v->b, v->len, &h), 0);
	return h;
}

static void set_len(struct bytes *v)
{
	wire_put_u16(v->b + 8, (uint16_t)v->len, false);
}

/** A bind with one context item, which offers @p n transfer syntaxes. */
static struct bytes bind_offering(uint8_t ptype, uint8_t n)
{
	struct bytes v = vec(VEC_ALTER);

	v.b[2] = ptype;
	v.b[30] = n;
	for (uint8_t i = 1; i < n; i++) {
		memcpy(v.b + v.len, v.b + v.len - 20, 20);
		v.len += 20;
	}
	set_len(&v);
	return v;
}

/* ---- codec ---- */

static void t_headers(void **state)
{
	static const struct {
		const char *hex;
		int err;
	} rows[] = {
		{ "04000003100000001000000000000000", ERR_RPC_NOT_RPC },
		{ "05000003100000000f00000000000000",
		  ERR_RPC_MALFORMED }, /* shorter than a header */
		{ "05000003100000001100000000000000", ERR_RPC_MALFORMED }, /* longer than it is */
		{ "0500000310000000", ERR_RPC_MALFORMED },
		{ "05000003100000001000000000000000", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i].hex);
		struct rpc_hdr h;

		assert_int_equal(rpc_hdr_decode(v.b, v.len, &h), rows[i].err);
	}
}

static void t_transfer_syntaxes(void **state)
{
	struct bytes most = bind_offering(RPC_BIND, RPC_TRANSFER_MAX);
	struct bytes more = bind_offering(RPC_BIND, RPC_TRANSFER_MAX + 1);
	struct rpc_hdr h = hdr_of(&most);
	struct rpc_bind b;

	(void)state;
	assert_int_equal(rpc_bind_decode(most.b, &h, &b), 0);
	assert_int_equal(b.ctx[0].n_transfer, RPC_TRANSFER_MAX);
	h = hdr_of(&more);
	assert_int_equal(rpc_bind_decode(more.b, &h, &b), ERR_LIMIT);
}

/* A port name of any length is cut; more results than items can have been are not taken. */
static void t_bind_acks(void **state)
{
	struct bytes v = vec("05000c0310000000 0000 0000 01000000 d016 d016 44332211");
	struct rpc_bind_ack a;
	struct rpc_hdr h;

	(void)state;
	wire_put_u16(v.b + v.len, 200, false);
	memset(v.b + v.len + 2, 'p', 200);
	v.len += 2 + 200;
	v.len += (4 - v.len % 4) % 4;
	memset(v.b + v.len, 0, 4 + 24 * (RPC_CTX_MAX + 1));
	v.b[v.len] = 1;
	v.len += 4 + 24 * (RPC_CTX_MAX + 1);
	set_len(&v);
	h = hdr_of(&v);
	assert_int_equal(rpc_bind_ack_decode(v.b, &h, &a), 0);
	assert_int_equal(strlen(a.sec_addr), RPC_SEC_ADDR_MAX - 1);
	assert_int_equal(a.n_results, 1);
	v.b[v.len - 24 * (RPC_CTX_MAX + 1) - 4] = RPC_CTX_MAX + 1;
	assert_int_equal(rpc_bind_ack_decode(v.b, &h, &a), ERR_LIMIT);
}

static void t_encoders(void **state)
{
	struct rpc_hdr h = { .ptype = RPC_BIND };
	struct rpc_bind b = { .n_ctx = RPC_CTX_MAX + 1 };
	struct rpc_bind_ack a = { .n_results = RPC_CTX_MAX + 1 };
	struct rpc_fault f = { .status = RPC_S_NDR };
	struct buf out;

	(void)state;
	buf_init(&out, OUT_MAX);
	assert_int_equal(rpc_bind_encode(&out, &h, &b), ERR_USAGE);
	b.n_ctx = 1;
	b.ctx[0].n_transfer = RPC_TRANSFER_MAX + 1;
	assert_int_equal(rpc_bind_encode(&out, &h, &b), ERR_USAGE);
	assert_int_equal(rpc_bind_ack_encode(&out, &h, &a), ERR_USAGE);
	assert_int_equal(out.len, 0);
	buf_done(&out);

	/* the most that there can be fits the length field */
	buf_init(&out, OUT_MAX);
	b.n_ctx = RPC_CTX_MAX;
	for (size_t i = 0; i < RPC_CTX_MAX; i++)
		b.ctx[i].n_transfer = RPC_TRANSFER_MAX;
	assert_int_equal(rpc_bind_encode(&out, &h, &b), 0);
	assert_int_equal(wire_get_u16(out.data + 8, false), out.len);
	buf_done(&out);

	buf_init(&out, 16); /* no room */
	b.n_ctx = 0;
	a.n_results = 0;
	assert_int_equal(rpc_bind_encode(&out, &h, &b), ERR_LIMIT);
	assert_int_equal(rpc_bind_ack_encode(&out, &h, &a), ERR_LIMIT);
	assert_int_equal(rpc_bind_nak_encode(&out, &h, RPC_NAK_CONGESTION), ERR_LIMIT);
	assert_int_equal(rpc_fault_encode(&out, &h, &f), ERR_LIMIT);
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

/* ---- client ---- */

struct client {
	struct rpc_client c;
	struct buf out, in;
};

static void setup_client(struct client *f, size_t n_ctx)
{
	static struct rpc_ctx_item items[2];
	struct rpc_client_params p = { .ctx = items, .n_ctx = n_ctx, .ndr32 = true };

	items[0] = items[1] = rpc_client_kms_ctx;
	items[1].id = 1;
	rpc_client_init(&f->c, &p);
	buf_init(&f->out, OUT_MAX);
	buf_init(&f->in, OUT_MAX);
}

static void teardown_client(struct client *f)
{
	rpc_client_done(&f->c);
	buf_done(&f->out);
	buf_done(&f->in);
}

static enum rpc_client_event feed_client(struct client *f)
{
	struct rpc_client_answer a;
	size_t used;

	return rpc_client_feed(&f->c, f->in.data, f->in.len, &used, &a);
}

static enum rpc_client_event bind_client(struct client *f, const struct rpc_ctx_answer *r,
					 uint8_t n)
{
	struct rpc_hdr h = { .ptype = RPC_BIND_ACK, .flags = WHOLE, .call_id = 1 };
	struct rpc_bind_ack a = { .max_xmit = 5840, .max_recv = 5840, .n_results = n };

	assert_int_equal(rpc_client_bind(&f->c, &f->out), 0);
	memcpy(a.result, r, n * sizeof(*r));
	assert_int_equal(rpc_bind_ack_encode(&f->in, &h, &a), 0);
	return feed_client(f);
}

static void open_client(struct client *f)
{
	struct rpc_ctx_answer r = { .transfer = rpc_syntax_ndr32 };

	setup_client(f, 1);
	assert_int_equal(bind_client(f, &r, 1), RPC_CLIENT_BOUND);
	assert_int_equal(rpc_client_request(&f->c, f, 0, (const uint8_t *)"ask", 3, false, &f->out),
			 0);
	buf_clear(&f->in);
}

/* The answer to the open call, cut to @p len octets. */
static void t_answers_that_are_cut(void **state)
{
	static const struct {
		uint8_t ptype, len;
		const char *says;
	} rows[] = {
		{ RPC_RESPONSE, 23, "a malformed response" },
		{ RPC_FAULT, 27, "a malformed fault" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t pdu[32] = { 5, 0, rows[i].ptype, WHOLE, 0x10 };
		struct client f;

		open_client(&f);
		wire_put_u16(pdu + 8, rows[i].len, false);
		wire_put_u32(pdu + 12, f.c.last_id, false);
		assert_int_equal(buf_append(&f.in, pdu, rows[i].len), 0);
		assert_int_equal(feed_client(&f), RPC_CLIENT_END);
		assert_int_equal(f.c.err, ERR_RPC_MALFORMED);
		assert_string_equal(f.c.why, rows[i].says);
		teardown_client(&f);
	}
}

static void t_pdu_before_the_bind(void **state)
{
	struct bytes v = vec(VEC_BIND3_ACK);
	struct client f;

	(void)state;
	setup_client(&f, 1);
	assert_int_equal(buf_append(&f.in, v.b, v.len), 0);
	assert_int_equal(feed_client(&f), RPC_CLIENT_END);
	assert_int_equal(f.c.err, ERR_RPC_MALFORMED);
	teardown_client(&f);
}

/* Two items rejected: the first one's reason counts. */
static void t_all_rejected(void **state)
{
	static const struct rpc_ctx_answer r[2] = {
		{ .result = RPC_CTX_PROVIDER_REJECT, .reason = RPC_REASON_ABSTRACT },
		{ .result = RPC_CTX_PROVIDER_REJECT, .reason = RPC_REASON_TRANSFER },
	};
	struct client f;

	(void)state;
	setup_client(&f, 2);
	assert_int_equal(bind_client(&f, r, 2), RPC_CLIENT_END);
	assert_int_equal(f.c.err, ERR_RPC_NO_INTERFACE);
	teardown_client(&f);
}

static void t_calls_without_a_tag(void **state)
{
	struct client f;
	int other;

	(void)state;
	open_client(&f);
	assert_int_equal(rpc_client_request(&f.c, NULL, 0, NULL, 0, false, &f.out), ERR_USAGE);
	rpc_client_drop(&f.c, NULL);
	rpc_client_drop(&f.c, &other);
	assert_int_equal(f.c.n_dropped, 0);
	assert_false(rpc_client_has_begun(&f.c, &other));
	teardown_client(&f);
}

/* ---- server ---- */

struct server {
	struct kms_assoc_host host;
	struct kms_assoc a;
	struct buf out;
	struct err_info info;
};

static void setup_server(struct server *f, bool bound)
{
	struct bytes v = vec(VEC_BIND3);
	size_t used;

	memset(f, 0, sizeof(*f));
	f->host.role = KMS_KIN_ROLE_RELAY;
	f->host.port = 1688;
	kms_assoc_init(&f->a, &f->host, VEC_GROUP);
	buf_init(&f->out, OUT_MAX);
	if (bound)
		assert_int_equal(kms_assoc_feed(&f->a, v.b, v.len, &used, &f->out, &f->info),
				 KMS_ASSOC_MORE);
	buf_clear(&f->out);
}

static void teardown_server(struct server *f)
{
	kms_assoc_done(&f->a);
	buf_done(&f->out);
}

static void expect_ptype(const struct server *f, uint8_t ptype)
{
	struct rpc_hdr h;

	assert_int_equal(rpc_hdr_decode(f->out.data, f->out.len, &h), 0);
	assert_int_equal(h.ptype, ptype);
}

static void t_bind_with_too_many_syntaxes(void **state)
{
	struct bytes v = bind_offering(RPC_BIND, RPC_TRANSFER_MAX + 1);
	uint16_t reason;
	struct server f;
	struct rpc_hdr h;
	size_t used;

	(void)state;
	setup_server(&f, false);
	assert_int_equal(kms_assoc_feed(&f.a, v.b, v.len, &used, &f.out, &f.info), KMS_ASSOC_END);
	expect_ptype(&f, RPC_BIND_NAK);
	assert_int_equal(rpc_hdr_decode(f.out.data, f.out.len, &h), 0);
	assert_int_equal(rpc_bind_nak_decode(f.out.data, &h, &reason), 0);
	assert_int_equal(reason, RPC_NAK_LOCAL_LIMIT);
	teardown_server(&f);
}

static void t_alter_context_that_is_none(void **state)
{
	struct bytes rows[3] = { vec(VEC_ALTER), vec(VEC_ALTER),
				 bind_offering(RPC_ALTER_CONTEXT, RPC_TRANSFER_MAX + 1) };

	(void)state;
	rows[0].len = 24; /* no items */
	set_len(&rows[0]);
	rows[1].b[3] = RPC_FLAG_FIRST; /* a fragment */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct server f;
		size_t used;

		setup_server(&f, true);
		assert_int_equal(
			kms_assoc_feed(&f.a, rows[i].b, rows[i].len, &used, &f.out, &f.info),
			KMS_ASSOC_END);
		expect_ptype(&f, RPC_FAULT);
		assert_non_null(strstr(f.info.text, "alter_context"));
		teardown_server(&f);
	}
}

static void t_nobody_to_tell(void **state)
{
	struct bytes v = vec("47455420");
	struct server f;
	size_t used;

	(void)state;
	setup_server(&f, true);
	assert_int_equal(kms_assoc_fault(&f.a, RPC_S_NDR, &f.out), ERR_USAGE); /* no call */
	assert_int_equal(f.out.len, 0);
	assert_int_equal(kms_assoc_feed(&f.a, v.b, v.len, &used, &f.out, NULL), KMS_ASSOC_END);
	teardown_server(&f);

	/* an answer for which there is no room */
	v = vec(VEC_ALTER);
	setup_server(&f, true);
	buf_done(&f.out);
	buf_init(&f.out, 8);
	assert_int_equal(kms_assoc_feed(&f.a, v.b, v.len, &used, &f.out, NULL), KMS_ASSOC_END);
	teardown_server(&f);
	setup_server(&f, true);
	buf_done(&f.out);
	buf_init(&f.out, 8);
	assert_int_equal(kms_assoc_feed(&f.a, v.b, v.len, &used, &f.out, &f.info), KMS_ASSOC_END);
	assert_non_null(strstr(f.info.text, "cannot be buffered"));
	teardown_server(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_headers),
		cmocka_unit_test(t_transfer_syntaxes),
		cmocka_unit_test(t_bind_acks),
		cmocka_unit_test(t_encoders),
		cmocka_unit_test(t_answers_that_are_cut),
		cmocka_unit_test(t_pdu_before_the_bind),
		cmocka_unit_test(t_all_rejected),
		cmocka_unit_test(t_calls_without_a_tag),
		cmocka_unit_test(t_bind_with_too_many_syntaxes),
		cmocka_unit_test(t_alter_context_that_is_none),
		cmocka_unit_test(t_nobody_to_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
