#include "net/dns_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/dns_client_fixture.h"

/* TCP */

static void serve_truncated(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_reply r;

	if (rq->tcp) {
		if (f->key != NULL)
			dcx_serve_signed(s, rq, ctx);
		else
			dcx_serve(s, rq, ctx);
		return;
	}
	f->ids[f->seen++] = (uint16_t)(rq->data[0] << 8 | rq->data[1]);
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_AA | FAKE_TC);
	if (f->arg != NULL)
		fake_tsig_sign(&r, rq, &(struct fake_tsig_flaws){ 0 });
	fake_dns_send_reply(&rq->from, &r);
}

static void t_U18_truncated_goes_to_tcp(void **state)
{
	(void)state;
	/* unsigned; signed exchange with unsigned TC; with signed TC */
	for (int i = 0; i < 3; i++) {
		struct dcx f;

		dcx_init(&f);
		if (i > 0) {
			dcx_use_key(&f);
			dcx_use_update(&f);
		}
		f.arg = i == 2 ? "sign" : NULL;
		dcx_add(&f, serve_truncated);
		dcx_run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_true(f.o.tcp);
		assert_int_equal(f.o.sent, 2);
		assert_int_equal(f.seen, 2);
		assert_int_equal(f.o.tsig.verified, i > 0);
	}
}

static void serve_many(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, rq->tcp ? FAKE_AA : FAKE_AA | FAKE_TC);
	for (uint16_t i = 0; i < (rq->tcp ? 60 : 8); i++)
		fake_reply_srv(&r, DNS_ANSWER, DCX_OWNER, 3600, 0, i, 1688, "kms1.corp.example");
	fake_dns_send_reply(&rq->from, &r);
}

static void t_S06_large_answers(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_add(&f, serve_many);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.n_answers, 60);
	assert_true(f.o.tcp);
}

static void t_tcp_only(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.tcp_only = true;
	dcx_add_full(&f, &(struct fake_dns_params){ .ip = test_net_has_ipv6() ? "::1" : NULL,
						    .on_message = dcx_serve,
						    .without = FAKE_NO_UDP });
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.o.tcp);
}

static void tcp_close(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_close(peer);
}

static void tcp_half(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send_raw(&rq->from, "\0", 1);
	fake_dns_close(&rq->from);
}

static void tcp_bytes(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;
	uint8_t length[2];

	(void)s;
	(void)ctx;
	dcx_answer(&r, rq);
	length[0] = (uint8_t)(r.len >> 8);
	length[1] = (uint8_t)r.len;
	fake_dns_send_raw(&rq->from, length, 1);
	fake_dns_send_raw(&rq->from, length + 1, 1);
	for (size_t i = 0; i < r.len; i++)
		fake_dns_send_raw(&rq->from, r.data + i, 1);
}

static void tcp_two(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	uint8_t both[1024];
	struct fake_reply r;
	size_t at = 0;

	(void)s;
	(void)ctx;
	for (int i = 0; i < 2; i++) {
		dcx_answer(&r, rq);
		if (i == 0)
			r.data[0] ^= 1; /* of another question; the second one is ours */
		both[at++] = (uint8_t)(r.len >> 8);
		both[at++] = (uint8_t)r.len;
		memcpy(both + at, r.data, r.len);
		at += r.len;
	}
	fake_dns_send_raw(&rq->from, both, at);
}

static void tcp_stall(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send_raw(&rq->from, "\1\0abc", 5);
}

static void tcp_reset(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_reset(&rq->from);
}

static void tcp_rubbish(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	dcx_answer(&r, rq);
	fake_dns_send(&rq->from, r.data, r.len - 3);
}

static void tcp_flood(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	for (int i = 0; i < 40; i++)
		fake_dns_send(&rq->from, "junk", 4);
}

static void t_U20_tcp_misbehaves(void **state)
{
	static const struct {
		struct fake_dns_params p;
		int err;
		bool slow;
	} rows[] = {
		{ { .without = FAKE_NO_TCP }, -ECONNREFUSED, false },
		{ { .on_connect = tcp_close }, ERR_CLOSED, false },
		{ { .on_message = tcp_half }, ERR_CLOSED, false },
		{ { .on_message = tcp_bytes }, ERR_OK, false },
		{ { .on_message = tcp_two }, ERR_OK, false },
		{ { .on_message = tcp_stall }, ERR_TIMEOUT, true },
		{ { .on_message = dcx_serve_silence }, ERR_TIMEOUT, true },
		{ { .on_message = tcp_reset }, -ECONNRESET, false },
		{ { .on_message = tcp_rubbish }, ERR_DNS_MALFORMED, false },
		{ { .on_message = tcp_flood }, ERR_DNS_MALFORMED, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dcx f;

		dcx_init(&f);
		f.p.tcp_only = true;
		if (rows[i].slow)
			f.p.attempt_ms = DCX_QUICK_MS;
		dcx_add_full(&f, &rows[i].p);
		dcx_run(&f);
		/* a connection closed before our bytes were read is reset */
		if (rows[i].err == ERR_CLOSED && f.o.err == -ECONNRESET)
			continue;
		assert_int_equal(f.o.err, rows[i].err);

		/* and the next server is asked */
		dcx_init(&f);
		f.p.tcp_only = true;
		if (rows[i].slow)
			f.p.attempt_ms = DCX_QUICK_MS;
		dcx_add_full(&f, &rows[i].p);
		dcx_add(&f, dcx_serve);
		dcx_run(&f);
		assert_int_equal(f.o.err, ERR_OK);
	}
}

static void serve_tc_always(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_AA | FAKE_TC);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_truncated_over_tcp_is_no_answer(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_add(&f, serve_tc_always);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_DNS_MALFORMED);
}

static void serve_over_tcp_only(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	assert_true(rq->tcp);
	dcx_serve_signed(s, rq, ctx);
}

static void t_U26_large_requests_use_tcp(void **state)
{
	struct dcx f;
	struct dns_rr prereq[40];

	(void)state;
	dcx_init(&f);
	dcx_use_key(&f);
	dcx_use_update(&f);
	for (uint16_t i = 0; i < 40; i++) {
		prereq[i] = f.change.rr;
		prereq[i].data.srv.weight = i;
	}
	f.update.prereq = prereq;
	f.update.n_prereq = 40;
	dcx_add(&f, serve_over_tcp_only);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.o.tcp);
}

/* Cancel */

static void t_cancel_at_every_step(void **state)
{
	static fake_dns_fn *const fakes[] = { dcx_serve_silence, serve_truncated, tcp_stall };

	(void)state;
	for (size_t kind = 0; kind < 3; kind++) {
		for (int steps = 0; steps < 10; steps++) {
			struct dcx f;

			dcx_init(&f);
			f.p.tcp_only = kind == 2;
			dcx_add(&f, fakes[kind]);
			dcx_start(&f);
			for (int i = 0; i < steps && !f.done; i++)
				test_net_step(&f.t);
			if (!f.done) {
				int before = f.calls;

				dns_client_cancel(f.c);
				dns_client_cancel(f.c);
				assert_int_equal(f.calls, before);
			}
			dcx_finish(&f);
			if (kind != 1)
				assert_int_equal(f.o.err, ERR_CANCELED);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_U18_truncated_goes_to_tcp),
		cmocka_unit_test(t_S06_large_answers),
		cmocka_unit_test(t_tcp_only),
		cmocka_unit_test(t_U20_tcp_misbehaves),
		cmocka_unit_test(t_truncated_over_tcp_is_no_answer),
		cmocka_unit_test(t_U26_large_requests_use_tcp),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
