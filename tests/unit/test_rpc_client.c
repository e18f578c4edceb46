#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/rpc_client.h"
#include "tests/lib/kms_vectors.h"

#define OUT_MAX (4 * RPC_STUB_MAX)

static const struct guid own = { { 0xaa } };

struct fixture {
	struct rpc_client c;
	struct buf out; /* what we send */
	struct buf in;  /* what the server says */
};

static void setup(struct fixture *f, bool multiplex, bool kin)
{
	struct rpc_client_params p = { .ctx = &rpc_client_kms_ctx,
				       .n_ctx = 1,
				       .ndr32 = true,
				       .multiplex = multiplex,
				       .node_id = kin ? &own : NULL };

	rpc_client_init(&f->c, &p);
	buf_init(&f->out, OUT_MAX);
	buf_init(&f->in, 16 * RPC_STUB_MAX);
	assert_int_equal(rpc_client_bind(&f->c, &f->out), 0);
}

static void teardown(struct fixture *f)
{
	rpc_client_done(&f->c);
	buf_done(&f->out);
	buf_done(&f->in);
}

/** Feed all of `in`, until something happens. */
static enum rpc_client_event feed(struct fixture *f, struct rpc_client_answer *a)
{
	struct rpc_client_answer unused;
	enum rpc_client_event ev;
	size_t used;

	ev = rpc_client_feed(&f->c, f->in.data, f->in.len, &used, a != NULL ? a : &unused);
	if (ev == RPC_CLIENT_MORE)
		assert_int_equal(used, f->in.len);
	return ev;
}

static void put_ack(struct fixture *f, uint8_t flags, uint16_t max_recv,
		    const struct rpc_ctx_answer *r, uint8_t n)
{
	struct rpc_hdr h = { .ptype = RPC_BIND_ACK, .flags = flags, .call_id = 1 };
	struct rpc_bind_ack a = { .max_xmit = 5840, .max_recv = max_recv, .n_results = n };

	memcpy(a.result, r, n * sizeof(*r));
	buf_clear(&f->in);
	assert_int_equal(rpc_bind_ack_encode(&f->in, &h, &a), 0);
}

static void bind(struct fixture *f, uint8_t flags)
{
	struct rpc_ctx_answer r[2] = { { .transfer = rpc_syntax_ndr32 },
				       { RPC_CTX_PROVIDER_REJECT, RPC_REASON_ABSTRACT, { 0 } } };

	put_ack(f, flags, 5840, r, f->c.p.node_id != NULL ? 2 : 1);
	assert_int_equal(feed(f, NULL), RPC_CLIENT_BOUND);
	buf_clear(&f->in);
	buf_clear(&f->out);
}

static void put_response(struct fixture *f, uint32_t id, uint8_t flags, const char *text, bool be)
{
	struct rpc_hdr h = { .ptype = RPC_RESPONSE, .call_id = id, .be = be };
	struct rpc_response r = { .stub = (const uint8_t *)text, .stub_len = strlen(text) };
	size_t at = f->in.len;

	assert_int_equal(rpc_response_encode(&f->in, &h, &r, RPC_FRAG_MAX), 0);
	f->in.data[at + 3] = flags;
}

static int request(struct fixture *f, void *tag)
{
	return rpc_client_request(&f->c, tag, 0, (const uint8_t *)"ask", 3, false, &f->out);
}

#define WHOLE (RPC_FLAG_FIRST | RPC_FLAG_LAST)

static void t_bind(void **state)
{
	struct rpc_hdr h;
	struct rpc_bind b;
	struct fixture f;

	(void)state;
	for (int i = 0; i < 4; i++) {
		setup(&f, (i & 1) != 0, (i & 2) != 0);
		assert_int_equal(rpc_hdr_decode(f.out.data, f.out.len, &h), 0);
		assert_int_equal(rpc_bind_decode(f.out.data, &h, &b), 0);
		assert_int_equal(h.flags, WHOLE | ((i & 1) != 0 ? RPC_FLAG_CONC_MPX : 0));
		assert_int_equal(b.max_recv, RPC_FRAG_MAX);
		assert_int_equal(b.n_ctx, (i & 2) != 0 ? 2 : 1);
		assert_true(rpc_syntax_equal(&b.ctx[0].abstract, &rpc_syntax_kms));
		assert_true(rpc_syntax_equal(&b.ctx[0].transfer[0], &rpc_syntax_ndr32));
		if ((i & 2) != 0) {
			assert_true(kms_kin_is_offer(&b.ctx[1]));
			assert_true(guid_equal(&b.ctx[1].transfer[0].uuid, &own));
			assert_int_equal(b.ctx[1].id, 1);
		}
		assert_int_equal(rpc_client_bind(&f.c, &f.out), ERR_USAGE); /* once */
		assert_int_equal(request(&f, &f), ERR_USAGE);               /* not yet */
		teardown(&f);
	}
}

#define ACCEPT                                                                                     \
	{                                                                                          \
		RPC_CTX_ACCEPT, 0,                                                                 \
		{                                                                                  \
			{ { 0 } }, 0, 0                                                            \
		}                                                                                  \
	} /* with NDR32, set below */
#define REJECT(reason)                                                                             \
	{                                                                                          \
		RPC_CTX_PROVIDER_REJECT, reason,                                                   \
		{                                                                                  \
			{ { 0 } }, 0, 0                                                            \
		}                                                                                  \
	}

static void t_bind_acks(void **state)
{
	static const struct {
		struct rpc_ctx_answer r[3];
		uint8_t n;
		int err; /* 0: bound */
		uint16_t reason;
		bool rejected;
		bool says_why;
	} rows[] = {
		{ { ACCEPT, REJECT(1) }, 2, 0, 0, false, false },
		{ { ACCEPT, { RPC_CTX_USER_REJECT, 0, { { { 0 } }, 0, 0 } } },
		  2,
		  0,
		  0,
		  false,
		  false },
		{ { ACCEPT }, 1, ERR_RPC_MALFORMED, 0, false, true },
		{ { ACCEPT, REJECT(1), REJECT(1) }, 3, ERR_RPC_MALFORMED, 0, false, true },
		{ { REJECT(1), REJECT(1) }, 2, ERR_RPC_NO_INTERFACE, 1, false, false },
		{ { REJECT(2), REJECT(1) }, 2, ERR_RPC_SYNTAX, 2, false, false },
		{ { REJECT(3), REJECT(1) }, 2, ERR_RPC_NAK, 3, true, false },
		{ { { RPC_CTX_USER_REJECT, 1, { { { 0 } }, 0, 0 } }, REJECT(1) },
		  2,
		  ERR_RPC_NAK,
		  1,
		  true,
		  false },
		{ { { RPC_CTX_NEGOTIATE_ACK, 0, { { { 0 } }, 0, 0 } }, REJECT(1) },
		  2,
		  ERR_RPC_MALFORMED,
		  0,
		  false,
		  true },
		{ { { RPC_CTX_ACCEPT, 0, { { { 1 } }, 1, 0 } }, REJECT(1) },
		  2,
		  ERR_RPC_MALFORMED,
		  0,
		  false,
		  true },
		/* only the kin item: no KMS interface there */
		{ { REJECT(1), { RPC_CTX_ACCEPT, 0, { { { 0xbb } }, 1, 0 } } },
		  2,
		  ERR_RPC_NO_INTERFACE,
		  1,
		  false,
		  false },
	};
	struct rpc_ctx_answer r[3];
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(&f, true, true);
		memcpy(r, rows[i].r, sizeof(r));
		if (r[0].result == RPC_CTX_ACCEPT && guid_is_zero(&r[0].transfer.uuid))
			r[0].transfer = rpc_syntax_ndr32;
		put_ack(&f, 0, 5840, r, rows[i].n);
		assert_int_equal(feed(&f, NULL),
				 rows[i].err == 0 ? RPC_CLIENT_BOUND : RPC_CLIENT_END);
		assert_int_equal(f.c.err, rows[i].err);
		assert_int_equal(f.c.reason, rows[i].reason);
		assert_int_equal(f.c.rejected, rows[i].rejected);
		assert_int_equal(f.c.why != NULL, rows[i].says_why);
		assert_int_equal(feed(&f, NULL), rows[i].err == 0 ? RPC_CLIENT_END /* twice */
								  : RPC_CLIENT_END);
		teardown(&f);
	}
}

static void t_other_answers_to_a_bind(void **state)
{
	static const struct {
		const char *hex;
		int err;
		bool says_why;
	} rows[] = {
		{ "05000d0310000000 1500 0000 01000000 0200 010500", ERR_RPC_NAK, false },
		{ "05000d0310000000 1000 0000 01000000", ERR_RPC_MALFORMED, true },
		{ "05000d0310000000 1500 0000 02000000 0200 010500", ERR_RPC_MALFORMED, true },
		{ "0500032310000000 2000 0000 01000000 00000000 0000 0000 05000000 00000000",
		  ERR_RPC_FAULT, false },
		{ "0500032310000000 1000 0000 01000000", ERR_RPC_MALFORMED, true },
		{ "05000c0310000000 1400 0000 01000000 d016d016", ERR_RPC_MALFORMED, true },
		{ "0500020310000000 1800 0000 01000000 00000000 00000000", ERR_RPC_MALFORMED,
		  true },
		{ "0500110310000000 1000 0000 01000000", ERR_CLOSED, true },
		{ "0500000310000000 1000 0000 01000000", ERR_RPC_MALFORMED, true },
		{ "0500020310000000 0f00 0000 01000000", ERR_RPC_MALFORMED, true },
		{ "0500020310000000 d116 0000 01000000", ERR_LIMIT, true },
		{ "48545450", ERR_RPC_NOT_RPC, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i].hex);
		struct fixture f;

		setup(&f, false, false);
		assert_int_equal(buf_append(&f.in, v.b, v.len), 0);
		assert_int_equal(feed(&f, NULL), RPC_CLIENT_END);
		assert_int_equal(f.c.err, rows[i].err);
		assert_int_equal(f.c.why != NULL, rows[i].says_why);
		if (rows[i].err == ERR_RPC_NAK)
			assert_int_equal(f.c.reason, 2);
		if (rows[i].err == ERR_RPC_FAULT)
			assert_int_equal(f.c.fault_status, 5);
		assert_int_equal(feed(&f, NULL), RPC_CLIENT_END); /* it stays at its end */
		assert_int_equal(f.c.err, rows[i].err);
		teardown(&f);
	}
}

/* Both have to say so, for more than one call at a time. */
static void t_multiplexing(void **state)
{
	struct fixture f;

	(void)state;
	for (int i = 0; i < 4; i++) {
		bool mpx = i == 3;
		char tags[RPC_CLIENT_CALLS_MAX + 1];
		unsigned n = 0;

		setup(&f, (i & 1) != 0, false);
		bind(&f, (i & 2) != 0 ? RPC_FLAG_CONC_MPX : 0);
		while (request(&f, &tags[n]) == 0)
			n++;
		assert_int_equal(n, mpx ? RPC_CLIENT_CALLS_MAX : 1);
		assert_int_equal(n, f.c.max_open);
		assert_int_equal(n, f.c.n_open);
		assert_int_equal(request(&f, &tags[n]), ERR_BUSY);
		teardown(&f);
	}
}

static void t_requests(void **state)
{
	static const struct {
		uint16_t max_recv;
		bool be;
		size_t len;
		unsigned frags;
	} rows[] = {
		{ 5840, false, 264, 1 }, { 5840, true, 264, 1 },    { 1432, true, 4000, 3 },
		{ 0, false, 264, 3 },    { 65535, false, 6000, 2 }, { 5840, false, 0, 1 },
	};
	static uint8_t stub[RPC_STUB_MAX];
	struct rpc_ctx_answer ok = { .transfer = rpc_syntax_ndr32 };

	(void)state;
	for (size_t i = 0; i < sizeof(stub); i++)
		stub[i] = (uint8_t)(i * 5);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t at = 0, total = 0, len;
		struct rpc_request r;
		struct rpc_hdr h;
		struct fixture f;
		unsigned n = 0;

		setup(&f, false, false);
		put_ack(&f, 0, rows[i].max_recv, &ok, 1);
		assert_int_equal(feed(&f, NULL), RPC_CLIENT_BOUND);
		buf_clear(&f.out);
		assert_int_equal(
			rpc_client_request(&f.c, &f, 9, stub, rows[i].len, rows[i].be, &f.out), 0);
		for (; at < f.out.len; at += len, n++) {
			assert_int_equal(rpc_frame_length(f.out.data + at, f.out.len - at,
							  RPC_FRAG_MAX, &len),
					 0);
			assert_int_equal(rpc_hdr_decode(f.out.data + at, len, &h), 0);
			assert_int_equal(rpc_request_decode(f.out.data + at, &h, &r), 0);
			assert_int_equal(h.be, rows[i].be);
			assert_int_equal(h.call_id, 2);
			assert_int_equal(r.opnum, 9);
			if (r.stub_len > 0)
				assert_memory_equal(r.stub, stub + total, r.stub_len);
			total += r.stub_len;
		}
		assert_int_equal(n, rows[i].frags);
		assert_int_equal(total, rows[i].len);
		teardown(&f);
	}
}

/* Each row is what the server says to two calls (ids 2 and 3), and what comes of it. */
struct pdu {
	uint32_t id;
	uint8_t flags;
	const char *text;
	bool be;
};

static void t_responses(void **state)
{
	static const struct {
		struct pdu pdu[6];
		const char *first, *second; /* stubs of the answers, in the order they come */
		int err;
	} rows[] = {
		{ { { 2, WHOLE, "two", false }, { 3, WHOLE, "three", true } }, "two", "three", 0 },
		{ { { 3, WHOLE, "three", false }, { 2, WHOLE, "two", false } }, "three", "two", 0 },
		{ { { 2, 1, "t", false },
		    { 2, 0, "w", false },
		    { 2, 2, "o", false },
		    { 3, WHOLE, "three", false } },
		  "two",
		  "three",
		  0 },
		{ { { 2, 1, "t", false },
		    { 3, 1, "thr", true },
		    { 2, 0, "w", false },
		    { 3, 2, "ee", true },
		    { 2, 2, "o", false } },
		  "three",
		  "two",
		  0 },
		{ { { 2, 1, "", false }, { 2, 2, "", false }, { 3, WHOLE, "", false } },
		  "",
		  "",
		  0 },
		{ { { 4, WHOLE, "x", false } }, NULL, NULL, ERR_RPC_MALFORMED },
		{ { { 1, WHOLE, "x", false } }, NULL, NULL, ERR_RPC_MALFORMED },
		{ { { 2, WHOLE, "two", false }, { 2, WHOLE, "two", false } },
		  "two",
		  NULL,
		  ERR_RPC_MALFORMED },
		{ { { 2, 2, "x", false } }, NULL, NULL, ERR_RPC_MALFORMED },
		{ { { 2, 1, "x", false }, { 2, 1, "x", false } }, NULL, NULL, ERR_RPC_MALFORMED },
		{ { { 2, 1, "x", false }, { 2, 2, "x", true } }, NULL, NULL, ERR_RPC_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t start = 0, have = 0, used, n = 0;
		enum rpc_client_event ev = RPC_CLIENT_MORE;
		struct rpc_client_answer a;
		struct fixture f;
		char tags[2];

		setup(&f, true, false);
		bind(&f, RPC_FLAG_CONC_MPX);
		assert_int_equal(request(&f, &tags[0]), 0);
		assert_int_equal(request(&f, &tags[1]), 0);
		for (size_t j = 0; j < 6 && rows[i].pdu[j].id != 0; j++)
			put_response(&f, rows[i].pdu[j].id, rows[i].pdu[j].flags,
				     rows[i].pdu[j].text, rows[i].pdu[j].be);
		/* Octet by octet: nothing may depend on where the stream is cut. */
		while (have < f.in.len && ev != RPC_CLIENT_END) {
			const char *want = n == 0 ? rows[i].first : rows[i].second;

			ev = rpc_client_feed(&f.c, f.in.data + start, ++have - start, &used, &a);
			start += used;
			if (ev != RPC_CLIENT_ANSWER)
				continue;
			assert_non_null(want);
			assert_int_equal(a.err, 0);
			assert_int_equal(a.stub_len, strlen(want));
			assert_memory_equal(a.stub != NULL ? a.stub : (const uint8_t *)"", want,
					    a.stub_len);
			if (a.stub_len > 0)
				assert_ptr_equal(a.tag, &tags[a.stub_len == 3 ? 0 : 1]);
			n++;
		}
		assert_int_equal(f.c.err, rows[i].err);
		assert_int_equal(f.c.why != NULL, rows[i].err != 0);
		if (rows[i].err == 0)
			assert_int_equal(n, 2);
		assert_int_equal(f.c.n_open, 2 - n);
		assert_int_equal(f.c.held, 0 + (rows[i].err != 0 ? f.c.held : 0));
		teardown(&f);
	}
}

static void t_faults(void **state)
{
	struct bytes v = vec("0500032310000000 2000 0000 02000000 00000000 0000 0000 1400011c"
			     "00000000");
	struct rpc_client_answer a;
	struct fixture f;

	(void)state;
	setup(&f, false, false);
	bind(&f, 0);
	assert_int_equal(request(&f, &f), 0);
	assert_int_equal(buf_append(&f.in, v.b, v.len), 0);
	assert_int_equal(feed(&f, &a), RPC_CLIENT_ANSWER);
	assert_int_equal(a.err, ERR_RPC_FAULT);
	assert_int_equal(a.fault_status, RPC_S_TOO_BUSY);
	assert_ptr_equal(a.tag, &f);
	assert_int_equal(f.c.n_open, 0);
	assert_int_equal(request(&f, &f), 0); /* the association goes on */
	teardown(&f);
}

static void t_shutdown(void **state)
{
	struct bytes v = vec("0500110310000000 1000 0000 00000000");
	struct fixture f;
	bool begun;

	(void)state;
	setup(&f, false, false);
	bind(&f, 0);
	assert_int_equal(request(&f, &f), 0);
	assert_int_equal(buf_append(&f.in, v.b, v.len), 0);
	assert_int_equal(feed(&f, NULL), RPC_CLIENT_END);
	assert_int_equal(f.c.err, ERR_CLOSED);
	assert_ptr_equal(rpc_client_take(&f.c, &begun), &f);
	assert_false(begun);
	assert_null(rpc_client_take(&f.c, &begun));
	teardown(&f);
}

static void t_dropped(void **state)
{
	struct rpc_client_answer a;
	struct fixture f;
	char tags[2];
	bool begun;

	(void)state;
	setup(&f, true, false);
	bind(&f, RPC_FLAG_CONC_MPX);
	assert_int_equal(request(&f, &tags[0]), 0);
	assert_int_equal(request(&f, &tags[1]), 0);
	put_response(&f, 2, RPC_FLAG_FIRST, "half", false);
	assert_int_equal(feed(&f, NULL), RPC_CLIENT_MORE);
	assert_true(rpc_client_has_begun(&f.c, &tags[0]));
	assert_false(rpc_client_has_begun(&f.c, &tags[1]));
	rpc_client_drop(&f.c, &tags[0]);
	rpc_client_drop(&f.c, &tags[0]); /* harmless */
	assert_int_equal(f.c.n_open, 2);
	assert_int_equal(f.c.n_dropped, 1);
	assert_int_equal(f.c.held, 0);
	buf_clear(&f.in);
	put_response(&f, 2, RPC_FLAG_LAST, "rest", false);
	assert_int_equal(feed(&f, &a), RPC_CLIENT_ANSWER);
	assert_null(a.tag);
	assert_int_equal(f.c.n_open, 1);
	assert_int_equal(f.c.n_dropped, 0);
	rpc_client_drop(&f.c, &tags[1]);
	assert_null(rpc_client_take(&f.c, &begun));
	teardown(&f);
}

/* An answer stays readable while further requests are made. */
static void t_answer_stays_until_the_next_feed(void **state)
{
	static const char part[] = "a part that is long enough to need memory of its own: ........";
	struct rpc_client_answer a;
	struct fixture f;

	(void)state;
	setup(&f, false, false);
	bind(&f, 0);
	assert_int_equal(request(&f, &f), 0);
	for (unsigned i = 0; i < 40; i++)
		put_response(&f, 2,
			     i == 0    ? RPC_FLAG_FIRST
			     : i == 39 ? RPC_FLAG_LAST
				       : 0,
			     part, false);
	assert_int_equal(feed(&f, &a), RPC_CLIENT_ANSWER);
	assert_int_equal(request(&f, &f), 0);
	rpc_client_drop(&f.c, &f);
	assert_int_equal(a.stub_len, 40 * strlen(part));
	for (unsigned i = 0; i < 40; i++)
		assert_memory_equal(a.stub + i * strlen(part), part, strlen(part));
	assert_int_equal(f.c.held, 0);
	buf_clear(&f.in);
	put_response(&f, 3, RPC_FLAG_FIRST | RPC_FLAG_LAST, "unwanted", false);
	assert_int_equal(feed(&f, &a), RPC_CLIENT_ANSWER);
	assert_null(a.tag);
	assert_int_equal(request(&f, &f), 0);
	buf_clear(&f.in);
	put_response(&f, 4, RPC_FLAG_FIRST, "ne", false);
	put_response(&f, 4, RPC_FLAG_LAST, "xt", false);
	assert_int_equal(feed(&f, &a), RPC_CLIENT_ANSWER);
	assert_int_equal(a.stub_len, 4);
	assert_memory_equal(a.stub, "next", 4);
	teardown(&f);
}

static void t_bounds(void **state)
{
	static char text[5001];
	struct fixture f;
	char tags[RPC_CLIENT_CALLS_MAX];
	unsigned n = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	/* one answer */
	setup(&f, false, false);
	bind(&f, 0);
	assert_int_equal(request(&f, &f), 0);
	for (unsigned i = 0; i < 4; i++)
		put_response(&f, 2, i == 0 ? RPC_FLAG_FIRST : 0, text, false);
	assert_int_equal(feed(&f, NULL), RPC_CLIENT_END);
	assert_int_equal(f.c.err, ERR_LIMIT);
	assert_non_null(f.c.why);
	teardown(&f);
	/* all together */
	setup(&f, true, false);
	bind(&f, RPC_FLAG_CONC_MPX);
	while (request(&f, &tags[n]) == 0)
		put_response(&f, 2 + n++, RPC_FLAG_FIRST, text, false);
	assert_int_equal(feed(&f, NULL), RPC_CLIENT_END);
	assert_int_equal(f.c.err, ERR_LIMIT);
	assert_true(f.c.held <= RPC_CLIENT_HELD_MAX);
	teardown(&f);
	/* the number of fragments */
	setup(&f, false, false);
	bind(&f, 0);
	assert_int_equal(request(&f, &f), 0);
	for (unsigned i = 0; i <= RPC_CLIENT_FRAGS_MAX; i++)
		put_response(&f, 2, i == 0 ? RPC_FLAG_FIRST : 0, "", false);
	assert_int_equal(feed(&f, NULL), RPC_CLIENT_END);
	assert_int_equal(f.c.err, ERR_LIMIT);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_bind),
		cmocka_unit_test(t_bind_acks),
		cmocka_unit_test(t_other_answers_to_a_bind),
		cmocka_unit_test(t_multiplexing),
		cmocka_unit_test(t_requests),
		cmocka_unit_test(t_responses),
		cmocka_unit_test(t_faults),
		cmocka_unit_test(t_shutdown),
		cmocka_unit_test(t_dropped),
		cmocka_unit_test(t_answer_stays_until_the_next_feed),
		cmocka_unit_test(t_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
