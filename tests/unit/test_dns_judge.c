#include "net/dns_judge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/fake_reply.h"

#define OWNER "_vlmcs._tcp.corp.example"

static void make_request(struct buf *request, bool rd)
{
	struct dns_question q = { .type = DNS_TYPE_SRV, .rd = rd };

	assert_int_equal(dns_name_parse(OWNER, &q.name), 0);
	buf_init(request, 512);
	assert_int_equal(dnsmsg_build_query(&q, 0, false, request), 0);
}

/** Unsigned replies; the signed ones are in test_dns_client.c. */
static void t_unsigned_replies(void **state)
{
	enum { QR = 0x8000 };
	static const struct {
		uint16_t id, flags;
		const char *name;
		bool tcp, require_aa, rd;
		enum dns_verdict verdict;
		int err;
	} rows[] = {
		{ 7, QR | FAKE_AA, OWNER, false, false, true, DNS_COUNTS, 0 },
		{ 7, QR | FAKE_RA, OWNER, false, false, true, DNS_COUNTS, 0 },
		{ 7, QR | FAKE_RA, OWNER, false, true, true, DNS_COUNTS, ERR_DNS_NOT_AUTH },
		{ 7, QR | FAKE_AA, OWNER, true, true, true, DNS_COUNTS, 0 },
		/* a referral: not what RD wanted, but fine without it */
		{ 7, QR, OWNER, false, false, true, DNS_COUNTS, ERR_DNS_NOT_AUTH },
		{ 7, QR, OWNER, false, false, false, DNS_COUNTS, 0 },
		{ 7, QR | 3, OWNER, false, false, true, DNS_COUNTS, ERR_RCODE_NXDOMAIN },
		{ 7, QR | 3, OWNER, false, true, true, DNS_COUNTS, ERR_DNS_NOT_AUTH },
		{ 7, QR | 5, OWNER, false, true, true, DNS_COUNTS, ERR_RCODE_REFUSED },
		{ 7, QR | FAKE_TC, OWNER, false, false, true, DNS_TRUNCATED, 0 },
		{ 7, QR | FAKE_TC, OWNER, true, false, true, DNS_JUNK, ERR_DNS_MALFORMED },
		{ 8, QR | FAKE_AA, OWNER, false, false, true, DNS_JUNK, 0 },
		{ 7, FAKE_AA, OWNER, false, false, true, DNS_JUNK, 0 },
		{ 7, QR | FAKE_AA, "other.example", false, false, true, DNS_JUNK,
		  ERR_DNS_MISMATCH },
		{ 7, QR | FAKE_AA | 4 << 11, OWNER, false, false, true, DNS_JUNK,
		  ERR_DNS_MISMATCH },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_judgement j;
		struct fake_reply r;
		struct buf request;
		struct dns_asked asked;

		make_request(&request, rows[i].rd);
		asked = (struct dns_asked){ .request = request.data,
					    .request_len = request.len,
					    .id = 7,
					    .tcp = rows[i].tcp,
					    .require_aa = rows[i].require_aa };
		fake_reply_begin_raw(&r, rows[i].id, rows[i].flags, rows[i].name, DNS_TYPE_SRV);
		assert_int_equal(dns_judge(&asked, 0, r.data, r.len, &j), rows[i].verdict);
		assert_int_equal(j.verdict, rows[i].verdict);
		assert_int_equal(j.err, rows[i].err);
		assert_int_equal(j.msg != NULL, rows[i].verdict == DNS_COUNTS);
		dnsmsg_free(j.msg);
		/* cut anywhere it is no answer */
		for (size_t len = 0; len < r.len; len++) {
			enum dns_verdict v = dns_judge(&asked, 0, r.data, len, &j);

			assert_true(v == DNS_JUNK || v == DNS_TRUNCATED);
			assert_null(j.msg);
		}
		buf_done(&request);
	}
}

static void t_what_an_error_means_for_the_rest(void **state)
{
	static const struct {
		int err;
		bool rules_out, ends_all;
	} rows[] = {
		{ ERR_TIMEOUT, false, false },
		{ ERR_RCODE_SERVFAIL, true, false },
		{ ERR_RCODE_REFUSED, true, false },
		{ ERR_RCODE_NXDOMAIN, true, true },
		{ ERR_RCODE_NXRRSET, true, true },
		{ ERR_DNS_NOT_AUTH, true, false },
		{ ERR_TSIG_UNSIGNED, true, false },
		{ ERR_TSIG_BADSIG, false, false },
		{ ERR_TSIG_TIME, false, false },
		{ ERR_TSIG_PEER_BADSIG, true, false },
		{ ERR_TSIG_PEER_BADKEY, true, false },
		{ ERR_TSIG_PEER_BADTIME, true, false },
		{ ERR_TSIG_PEER_BADTRUNC, true, false },
		{ -ECONNREFUSED, true, false },
		{ -ENETUNREACH, true, false },
		{ -EACCES, true, false },
		{ -EINVAL, true, false },
		{ -EMFILE, true, true },
		{ ERR_NOMEM, true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(dns_err_rules_out(rows[i].err), rows[i].rules_out);
		assert_int_equal(dns_err_ends_all(rows[i].err), rows[i].ends_all);
	}
}

static void t_most_telling_first(void **state)
{
	static const int order[] = { ERR_RCODE_REFUSED, ERR_DNS_NOT_AUTH, ERR_TSIG_PEER_BADKEY,
				     ERR_TSIG_UNSIGNED, ERR_TSIG_BADSIG,  ERR_DNS_MALFORMED,
				     ERR_DNS_MISMATCH,  -ECONNREFUSED,    ERR_TIMEOUT };

	(void)state;
	for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++)
		assert_true(dns_err_rank(order[i - 1]) > dns_err_rank(order[i]));
	assert_int_equal(dns_err_rank(ERR_CLOSED), dns_err_rank(-ECONNRESET));
	assert_int_equal(dns_err_rank(ERR_RCODE_FORMERR), dns_err_rank(ERR_RCODE_OTHER));
	assert_int_equal(dns_err_rank(ERR_TSIG_PEER_BADSIG), dns_err_rank(ERR_TSIG_PEER_BADTRUNC));
}

static void t_turns(void **state)
{
	struct dns_turns t = { .n_servers = 3, .tries = 2 };
	size_t s, n = 0, order[8];

	(void)state;
	while (dns_turns_next(&t, &s)) {
		order[n++] = s;
		if (n == 2)
			t.out[0] = true;
	}
	assert_int_equal(n, 5);
	assert_int_equal(order[0] * 10000 + order[1] * 1000 + order[2] * 100 + order[3] * 10 +
				 order[4],
			 1212);
	assert_false(dns_turns_next(&t, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_unsigned_replies),
		cmocka_unit_test(t_what_an_error_means_for_the_rest),
		cmocka_unit_test(t_most_telling_first),
		cmocka_unit_test(t_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
