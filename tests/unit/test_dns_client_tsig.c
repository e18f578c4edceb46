
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/dns_client_fixture.h"

/* TSIG */

static void serve_signs_wrongly(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	const struct fake_tsig_flaws *flaws = f->arg;
	struct fake_reply r;

	(void)s;
	f->seen++;
	fake_reply_begin(&r, rq, flaws->error != 0 ? DNS_RCODE_NOTAUTH : DNS_RCODE_NOERROR,
			 FAKE_AA);
	fake_tsig_sign(&r, rq, flaws);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_T01_T03_T08_T10_signatures_that_do_not_hold(void **state)
{
	static const struct {
		struct fake_tsig_flaws flaws;
		int err;
		int64_t skew;
		unsigned hint;
	} rows[] = {
		{ { .error = DNS_RCODE_BADKEY }, ERR_TSIG_PEER_BADKEY, 0, DNS_RCODE_NOTAUTH },
		{ { .error = DNS_RCODE_BADSIG }, ERR_TSIG_PEER_BADSIG, 0, DNS_RCODE_NOTAUTH },
		{ { .error = DNS_RCODE_BADTIME, .server_off_s = 600 },
		  ERR_TSIG_PEER_BADTIME,
		  600,
		  DNS_RCODE_NOTAUTH },
		{ { .time_off_s = -600 }, ERR_TSIG_TIME, -600, 0 },
		{ { .bad_mac = true }, ERR_TSIG_BADSIG, 0, 0 },
		{ { .forget_request = true }, ERR_TSIG_BADSIG, 0, 0 },
		{ { .key_name = "other-key" }, ERR_TSIG_KEY, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dcx f;

		dcx_init(&f);
		dcx_use_key(&f);
		dcx_use_update(&f);
		f.p.attempt_ms = DCX_SHORT_MS;
		f.p.tries = 1;
		f.arg = &rows[i].flaws;
		dcx_add(&f, serve_signs_wrongly);
		dcx_run(&f);
		assert_int_equal(f.o.err, rows[i].err);
		assert_null(f.o.msg);
		assert_int_equal(f.o.hint_rcode, rows[i].hint);
		assert_int_equal(f.o.tsig.skew_s, rows[i].skew);

		dcx_init(&f);
		dcx_use_key(&f);
		dcx_use_update(&f);
		f.p.attempt_ms = DCX_SHORT_MS;
		f.arg = &rows[i].flaws;
		dcx_add(&f, serve_signs_wrongly);
		dcx_add(&f, dcx_serve_signed);
		dcx_run(&f);
		assert_int_equal(f.o.err, ERR_OK);
	}
}

/** One that does not verify, then the true one. */
static void serve_forged_first(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_reply r;

	fake_reply_begin(&r, rq, *(const unsigned *)f->arg, FAKE_AA);
	fake_dns_send_reply(&rq->from, &r);
	fake_reply_begin(&r, rq, DNS_RCODE_NOTAUTH, FAKE_AA);
	fake_tsig_sign(&r, rq, &(struct fake_tsig_flaws){ .error = DNS_RCODE_BADKEY });
	fake_dns_send_reply(&rq->from, &r);
	dcx_serve_signed(s, rq, ctx);
}

static void serve_refused(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	dcx_serve_rcode(rq, DNS_RCODE_REFUSED);
}

static void serve_servfail(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	dcx_serve_rcode(rq, DNS_RCODE_SERVFAIL);
}

/* Of two that tell as much the first is named. */
static void t_first_hint_of_its_rank_is_kept(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_use_key(&f);
	dcx_use_update(&f);
	dcx_add(&f, serve_refused);
	dcx_add(&f, serve_servfail);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_TSIG_UNSIGNED);
	assert_int_equal(f.o.hint_rcode, DNS_RCODE_REFUSED);
}

static void t_T05_T06_unsigned_replies_end_nothing(void **state)
{
	static const unsigned rcodes[] = { DNS_RCODE_NOERROR, DNS_RCODE_REFUSED, DNS_RCODE_SERVFAIL,
					   DNS_RCODE_NXRRSET };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct dcx f;

		/* nothing else comes: fails, soon, and says what was heard */
		dcx_init(&f);
		dcx_use_key(&f);
		dcx_use_update(&f);
		f.arg = &rcodes[i];
		dcx_add(&f, dcx_serve_arg);
		dcx_run(&f); /* patient attempts: only the grace time ends this */
		assert_int_equal(f.o.err, ERR_TSIG_UNSIGNED);
		assert_null(f.o.msg);
		assert_int_equal(f.o.hint_rcode, rcodes[i]);
		assert_int_equal(f.seen, 1);

		/* the true answer comes behind it */
		dcx_init(&f);
		dcx_use_key(&f);
		dcx_use_update(&f);
		f.arg = &rcodes[i];
		dcx_add(&f, serve_forged_first);
		dcx_run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_int_equal(f.o.sent, 1);
	}
}

static void serve_unsigned_old(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	if (rq->msg != NULL && rq->msg->has_edns)
		dcx_serve_rcode(rq, DNS_RCODE_FORMERR);
	else
		dcx_serve_signed(s, rq, ctx);
}

static void t_U21_edns_falls_back_when_signed(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_use_key(&f);
	dcx_add(&f, serve_unsigned_old);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.o.sent, 2);
}

/** Every second of the clock another time; answers the third. */
static void serve_third(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_tsig t = fake_tsig_check(rq);

	assert_true(t.valid);
	assert_int_equal(t.time_signed, (uint64_t)f->t.clock.wall_ms / 1000);
	f->t.clock.wall_ms += 1000;
	if (f->seen == 2)
		dcx_serve_signed(s, rq, ctx);
	else
		f->seen++;
}

static void t_U27_each_attempt_is_signed_once_and_anew(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_use_key(&f);
	dcx_use_update(&f);
	f.p.attempt_ms = DCX_QUICK_MS;
	f.p.tries = 10;
	dcx_add(&f, serve_third);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_T01_T03_T08_T10_signatures_that_do_not_hold),
		cmocka_unit_test(t_first_hint_of_its_rank_is_kept),
		cmocka_unit_test(t_T05_T06_unsigned_replies_end_nothing),
		cmocka_unit_test(t_U21_edns_falls_back_when_signed),
		cmocka_unit_test(t_U27_each_attempt_is_signed_once_and_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
