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
#include "net/silence.h"
#include "tests/lib/dns_client_fixture.h"

/* Plain */

static void t_one_answer(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_add(&f, dcx_serve);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.n_answers, 1);
	assert_int_equal(f.o.sent, 1);
	assert_false(f.o.tcp);
	assert_true(f.o.rtt_ms > 0);
	assert_int_equal(f.seen, 1);
}

static void t_signed_exchange(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_use_key(&f);
	dcx_use_update(&f);
	dcx_add(&f, dcx_serve_signed);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.o.tsig.verified);
	assert_int_equal(f.o.msg != NULL, 1);
}

static void t_no_server_and_too_many(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_NO_SERVER);
	dcx_init(&f);
	f.p.n_servers = DNS_CLIENT_SERVERS_MAX + 1;
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_LIMIT);
	dcx_init(&f);
	dcx_add(&f, dcx_serve);
	f.p.question = NULL;
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_USAGE);
}

/* Junk */

static void junk(struct fake_reply *r, const struct fake_dns_request *rq)
{
	fake_reply_begin(r, rq, DNS_RCODE_NXDOMAIN, FAKE_AA);
}

/** Wrong ID, wrong question, a query, wrong opcode, rubbish, another port; then the answer. */
static void serve_junk_first(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	/* each of these would be final if it were taken for the answer */
	junk(&r, rq);
	fake_dns_send_elsewhere(&rq->from, &r);
	junk(&r, rq);
	r.data[0] ^= 1; /* ID */
	fake_dns_send_reply(&rq->from, &r);
	junk(&r, rq);
	r.data[13] ^= 1; /* question's name */
	fake_dns_send_reply(&rq->from, &r);
	junk(&r, rq);
	r.data[2] &= 0x7f; /* QR */
	fake_dns_send_reply(&rq->from, &r);
	junk(&r, rq);
	r.data[2] ^= 0x28; /* opcode */
	fake_dns_send_reply(&rq->from, &r);
	fake_dns_send(&rq->from, "", 0);
	fake_dns_send(&rq->from, rq->data, 11);
	fake_dns_send(&rq->from, rq->data, rq->len);
	junk(&r, rq);
	fake_dns_send(&rq->from, r.data, r.len - 1);
	dcx_answer(&r, rq);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_U15_U16_U17_U24_junk_costs_nothing(void **state)
{
	(void)state;
	for (int update = 0; update < 2; update++) {
		struct dcx f;

		dcx_init(&f);
		if (update)
			dcx_use_update(&f);
		dcx_add(&f, serve_junk_first);
		dcx_run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_int_equal(f.seen, 1);
		assert_int_equal(f.o.sent, 1);
	}
}

static void serve_garbled(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	dcx_answer(&r, rq);
	fake_dns_send(&rq->from, r.data, r.len - 1);
}

static void t_only_junk_is_named(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = DCX_SHORT_MS;
	f.p.tries = 1;
	dcx_add(&f, serve_garbled);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_DNS_MALFORMED);
	assert_null(f.o.msg);
}

/* Retry */

/** Silent for two requests, then answers the first one. */
static void serve_late(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	static struct fake_reply late;

	(void)s;
	f->ids[f->seen] = (uint16_t)(rq->data[0] << 8 | rq->data[1]);
	if (f->seen++ == 0) {
		f->first = rq->from;
		dcx_answer(&late, rq);
	}
	if (f->seen == 3)
		fake_dns_send_reply(&f->first, &late);
}

static void t_U19_answer_to_an_earlier_attempt_counts(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = DCX_QUICK_MS;
	f.p.tries = 20;
	dcx_add(&f, serve_late);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.seen >= 3);
	assert_true(f.ids[0] != f.ids[1] || f.ids[1] != f.ids[2]);
}

static void t_silence_ends_by_tries(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = DCX_QUICK_MS;
	dcx_add(&f, dcx_serve_silence);
	dcx_add(&f, dcx_serve_silence);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.seen, 2 * DNS_CLIENT_TRIES);
	assert_int_equal(f.o.sent, 2 * DNS_CLIENT_TRIES);
	assert_null(f.o.msg);
}

static void t_S15_total_deadline_holds(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.total_ms = DCX_QUICK_MS;
	dcx_add(&f, dcx_serve_silence);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.seen, 1);
}

static void t_attempts_are_bounded(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = 1;
	f.p.tries = 1000;
	dcx_add(&f, dcx_serve_silence);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.o.sent, DNS_CLIENT_ATTEMPTS_MAX);
}

static void t_S15_slow_server_does_not_block(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = DCX_QUICK_MS;
	dcx_add(&f, dcx_serve_silence);
	dcx_add(&f, dcx_serve);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.seen >= 2);
}

/* Two that are silent cost half a second each, not an attempt's time. */
static void t_S15_next_server_is_asked_soon(void **state)
{
	struct dcx f;
	uint64_t began;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = DCX_PATIENT_MS; /* which nobody waits for */
	dcx_add(&f, dcx_serve_silence);
	dcx_add(&f, dcx_serve_silence);
	dcx_add(&f, dcx_serve);
	began = uv_hrtime();
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true((uv_hrtime() - began) / 1000000 >= 2 * DNS_CLIENT_STAGGER_MS - 10);
	assert_int_equal(f.seen, 3);
}

/* An UPDATE waits: the first server may be about to carry it out. */
static void t_S15_an_update_is_not_staggered(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_use_update(&f);
	f.p.attempt_ms = DCX_PATIENT_MS;
	f.p.total_ms = DNS_CLIENT_STAGGER_MS + 200;
	dcx_add(&f, dcx_serve_silence);
	dcx_add(&f, dcx_serve);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.seen, 1);
}

/** What others have found: nothing for as long as it takes. Times are the loop's, which goes on. */
static void make_silent(struct silence *s, const struct dcx *f)
{
	uint64_t now = uv_now(&f->t.loop);

	assert_true(now > SILENCE_MIN_MS);
	for (unsigned i = 0; i < SILENCE_MISSES; i++)
		silence_missed(s, &f->list[0].addr, now - SILENCE_MIN_MS, now);
	assert_true(silence_is_silent(s, &f->list[0].addr, now));
}

/* A server that others have found silent is asked once more, not three times; until it answers. */
static void t_S15_silent_server_is_asked_once(void **state)
{
	struct silence *s = silence_new();
	struct dcx f;

	(void)state;
	assert_non_null(s);
	for (unsigned round = 0; round < 2; round++) { /* the second one: somebody answers */
		dcx_init(&f);
		f.t.net.silence = s;
		f.p.attempt_ms = DCX_QUICK_MS;
		dcx_add(&f, dcx_serve_silence);
		make_silent(s, &f);
		if (round == 1)
			dcx_add(&f, dcx_serve);
		dcx_run(&f);
		assert_int_equal(f.o.err, round == 0 ? ERR_TIMEOUT : ERR_OK);
		assert_int_equal(f.seen, 1 + round);
	}
	silence_free(s);
}

/* Nor is it given the time of one from whom something can be hoped for. */
static void t_S15_silent_server_is_not_waited_for_long(void **state)
{
	struct silence *s = silence_new();
	uint64_t began = uv_hrtime();
	struct dcx f;

	(void)state;
	assert_non_null(s);
	dcx_init(&f); /* patient */
	f.t.net.silence = s;
	dcx_add(&f, dcx_serve_silence);
	make_silent(s, &f);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.seen, 1);
	assert_true((uv_hrtime() - began) / 1000000 < DCX_PATIENT_MS);
	silence_free(s);
}

static void t_S15_an_answer_ends_the_silence(void **state)
{
	static const struct {
		fake_dns_fn *serve;
		int err;
	} t[] = {
		{ dcx_serve, ERR_OK },
		{ serve_garbled, ERR_DNS_MALFORMED }, /* who talks is not silent */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct silence *s = silence_new();
		struct addr a;
		struct dcx f;
		uint64_t now;

		assert_non_null(s);
		dcx_init(&f);
		f.t.net.silence = s;
		f.p.attempt_ms = DCX_SHORT_MS;
		f.p.tries = 1;
		dcx_add(&f, t[i].serve);
		a = f.list[0].addr;
		now = uv_now(&f.t.loop);
		make_silent(s, &f);
		dcx_run(&f);
		assert_int_equal(f.o.err, t[i].err);
		assert_false(silence_is_silent(s, &a, now));
		silence_free(s);
	}
}

/* Misses are counted, attempt by attempt; an UPDATE is tried as ever. */
static void t_S15_silence_is_noticed(void **state)
{
	struct silence *s = silence_new();
	struct dcx f;
	uint64_t now;

	(void)state;
	assert_non_null(s);
	dcx_init(&f);
	f.t.net.silence = s;
	f.p.attempt_ms = DCX_QUICK_MS;
	f.p.tries = SILENCE_MISSES + 5;
	dcx_add(&f, dcx_serve_silence);
	now = uv_now(&f.t.loop); /* one miss, long ago, and the others follow */
	silence_missed(s, &f.list[0].addr, now - SILENCE_MIN_MS, now);
	dcx_run(&f);
	assert_int_equal(f.seen, SILENCE_MISSES - 1);

	dcx_init(&f);
	f.t.net.silence = s;
	dcx_use_update(&f);
	f.p.attempt_ms = DCX_QUICK_MS;
	dcx_add(&f, dcx_serve_silence);
	make_silent(s, &f);
	dcx_run(&f);
	assert_int_equal(f.seen, DNS_CLIENT_TRIES);
	silence_free(s);
}

/* RCODE times server */

static void t_U28_which_rcodes_go_on(void **state)
{
	static const struct {
		unsigned rcode;
		bool goes_on;
	} rows[] = {
		{ DNS_RCODE_FORMERR, true },
		{ DNS_RCODE_SERVFAIL, true },
		{ DNS_RCODE_NXDOMAIN, false },
		{ DNS_RCODE_NOTIMP, true },
		{ DNS_RCODE_REFUSED, true },
		{ DNS_RCODE_YXDOMAIN, false },
		{ DNS_RCODE_YXRRSET, false },
		{ DNS_RCODE_NXRRSET, false },
		{ DNS_RCODE_NOTAUTH, true },
		{ DNS_RCODE_NOTZONE, false },
		{ 14, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dcx f;

		/* alone: the RCODE is the outcome, with its message, without a retry */
		dcx_init(&f);
		dcx_use_update(&f);
		f.arg = &rows[i].rcode;
		dcx_add(&f, dcx_serve_arg);
		dcx_run(&f);
		assert_int_equal(f.o.err, dns_rcode_err(rows[i].rcode));
		assert_non_null(f.o.msg);
		assert_int_equal(f.seen, 1);

		/* with a better one behind it */
		dcx_init(&f);
		dcx_use_update(&f);
		f.arg = &rows[i].rcode;
		dcx_add(&f, dcx_serve_arg);
		dcx_add(&f, dcx_serve);
		dcx_run(&f);
		assert_int_equal(f.o.err, rows[i].goes_on ? ERR_OK : dns_rcode_err(rows[i].rcode));
		assert_int_equal(f.seen, rows[i].goes_on ? 2 : 1);
	}
}

static void t_U28_refused_connection_goes_on(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	dcx_add(&f, dcx_serve);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.seen, 1);

	dcx_init(&f);
	dcx_add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	dcx_run(&f);
	assert_int_equal(f.o.err, -ECONNREFUSED);
}

static void t_most_telling_error_wins(void **state)
{
	static const unsigned servfail = DNS_RCODE_SERVFAIL;
	struct dcx f;
	struct addr who;

	(void)state;
	dcx_init(&f);
	f.p.attempt_ms = DCX_SHORT_MS;
	f.p.tries = 1;
	f.arg = &servfail;
	dcx_add(&f, dcx_serve_silence);
	who = *fake_dns_addr(dcx_add(&f, dcx_serve_arg));
	dcx_add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_RCODE_SERVFAIL);
	assert_true(addr_equal(&f.o.server, &who));

	dcx_init(&f);
	f.p.attempt_ms = DCX_SHORT_MS;
	f.p.tries = 1;
	dcx_add(&f, dcx_serve_silence);
	dcx_add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	dcx_run(&f);
	assert_int_equal(f.o.err, -ECONNREFUSED);
}

static void serve_without_aa(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_RA);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_Z04_authority_is_required_where_asked(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	f.p.require_aa = true;
	dcx_add(&f, serve_without_aa);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_DNS_NOT_AUTH);
	assert_null(f.o.msg);

	dcx_init(&f);
	f.p.require_aa = true;
	dcx_add(&f, serve_without_aa);
	dcx_add(&f, dcx_serve);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
}

/* EDNS */

static void serve_old(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	unsigned rcode = *(const unsigned *)f->arg;

	assert_non_null(rq->msg);
	if (!rq->msg->has_edns)
		dcx_serve(s, rq, ctx);
	else if (rcode != 0)
		dcx_serve_rcode(rq, rcode);
}

static void t_U21_edns_falls_back(void **state)
{
	static const unsigned rcodes[] = { DNS_RCODE_FORMERR, DNS_RCODE_NOTIMP, 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct dcx f;

		dcx_init(&f);
		f.arg = &rcodes[i];
		if (rcodes[i] == 0)
			f.p.attempt_ms = DCX_QUICK_MS; /* it drops what it does not know */
		dcx_add(&f, serve_old);
		dcx_run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_true(f.seen >= 1);
	}
}

static void serve_no_edns_wanted(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	assert_non_null(rq->msg);
	assert_false(rq->msg->has_edns);
	dcx_serve(s, rq, ctx);
}

static void t_U21_no_edns_in_update(void **state)
{
	struct dcx f;

	(void)state;
	dcx_init(&f);
	dcx_use_update(&f);
	dcx_add(&f, serve_no_edns_wanted);
	dcx_run(&f);
	assert_int_equal(f.o.err, ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_one_answer),
		cmocka_unit_test(t_signed_exchange),
		cmocka_unit_test(t_no_server_and_too_many),
		cmocka_unit_test(t_U15_U16_U17_U24_junk_costs_nothing),
		cmocka_unit_test(t_only_junk_is_named),
		cmocka_unit_test(t_U19_answer_to_an_earlier_attempt_counts),
		cmocka_unit_test(t_silence_ends_by_tries),
		cmocka_unit_test(t_S15_total_deadline_holds),
		cmocka_unit_test(t_attempts_are_bounded),
		cmocka_unit_test(t_S15_slow_server_does_not_block),
		cmocka_unit_test(t_S15_next_server_is_asked_soon),
		cmocka_unit_test(t_S15_an_update_is_not_staggered),
		cmocka_unit_test(t_S15_silent_server_is_asked_once),
		cmocka_unit_test(t_S15_silent_server_is_not_waited_for_long),
		cmocka_unit_test(t_S15_an_answer_ends_the_silence),
		cmocka_unit_test(t_S15_silence_is_noticed),
		cmocka_unit_test(t_U28_which_rcodes_go_on),
		cmocka_unit_test(t_U28_refused_connection_goes_on),
		cmocka_unit_test(t_most_telling_error_wins),
		cmocka_unit_test(t_Z04_authority_is_required_where_asked),
		cmocka_unit_test(t_U21_edns_falls_back),
		cmocka_unit_test(t_U21_no_edns_in_update),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
