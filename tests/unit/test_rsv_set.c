/* The pure half of resolver/lookup.h: what an answer says about the set. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "resolver/lookup.h"
#include "tests/lib/fake_reply.h"

#define OWNER "_vlmcs._tcp.corp.example"
#define QR    0x8000

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static int read_reply(const struct fake_reply *r, const char *qname, struct rsv_set *ret)
{
	struct dns_name q = name(qname);
	struct dns_msg *m = NULL;
	int err;

	assert_int_equal(dnsmsg_parse(r->data, r->len, &m), 0);
	err = rsv_set_read(m, &q, ret);
	dnsmsg_free(m);
	return err;
}

static void begin(struct fake_reply *r, unsigned flags)
{
	fake_reply_begin_raw(r, 1, (uint16_t)(QR | flags), OWNER, DNS_TYPE_SRV);
}

static void srv(struct fake_reply *r, const char *owner, uint32_t ttl, uint16_t prio,
		const char *target)
{
	fake_reply_srv(r, DNS_ANSWER, owner, ttl, prio, 0, 1688, target);
}

static struct fake_reply r;
static struct rsv_set set;

static void t_plain_set(void **state)
{
	(void)state;
	begin(&r, 0);
	srv(&r, OWNER, 3600, 10, "KMS2.corp.example");
	srv(&r, "_VLMCS._TCP.Corp.Example", 3600, 0, "kms1.corp.example");
	srv(&r, "_vlmcs._tcp.other.example", 3600, 0, "rogue.other.example"); /* not asked for */
	fake_reply_rr(&r, DNS_ANSWER, OWNER, DNS_TYPE_SRV, 3, 60,
		      (const uint8_t[]){ 0, 0, 0, 0, 6, 152, 1, 'x', 0 }, 9); /* class CHAOS */
	assert_int_equal(read_reply(&r, OWNER, &set), 0);
	assert_int_equal(set.n, 2);
	assert_int_equal(set.rec[0].srv.priority, 0);
	assert_int_equal(set.rec[1].srv.priority, 10);
	assert_int_equal(set.ttl, 3600);
	assert_false(set.aliased || set.absent || set.mixed_ttl || set.truncated);
	rsv_set_done(&set);
}

/* S04: a "." says that there is none; beside others it is seen as well. */
static void t_S04_absent_by_dot(void **state)
{
	(void)state;
	begin(&r, 0);
	srv(&r, OWNER, 60, 0, ".");
	assert_int_equal(read_reply(&r, OWNER, &set), 0);
	assert_int_equal(set.n, 0);
	assert_true(set.absent);
	rsv_set_done(&set);

	begin(&r, 0);
	srv(&r, OWNER, 60, 0, ".");
	srv(&r, OWNER, 60, 0, "kms1.corp.example");
	assert_int_equal(read_reply(&r, OWNER, &set), 0);
	assert_int_equal(set.n, 1);
	assert_true(set.absent);
	rsv_set_done(&set);
}

/* S05: CNAMEs within the answer, in any order; the smallest TTL counts. */
static void t_S05_alias_in_the_answer(void **state)
{
	(void)state;
	begin(&r, 0);
	srv(&r, "kms.hq.example", 3600, 0, "kms1.hq.example");
	fake_reply_cname(&r, DNS_ANSWER, "b.example", 30, "kms.hq.example");
	fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, "b.example");
	assert_int_equal(read_reply(&r, OWNER, &set), 0);
	assert_int_equal(set.n, 1);
	assert_true(set.aliased);
	assert_int_equal(set.hops, 2);
	assert_int_equal(set.ttl, 30);
	assert_true(dns_name_equal(&set.owner, (struct dns_name[]){ name("kms.hq.example") }));
	rsv_set_done(&set);
}

static void t_S05_alias_that_leads_on(void **state)
{
	(void)state;
	begin(&r, FAKE_AA);
	fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, "kms.hq.example");
	assert_int_equal(read_reply(&r, OWNER, &set), -EAGAIN);
	assert_true(dns_name_equal(&set.owner, (struct dns_name[]){ name("kms.hq.example") }));
	rsv_set_done(&set);

	begin(&r, 0); /* the end of the chain has no SRV */
	fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, "kms.hq.example");
	fake_reply_soa(&r, DNS_AUTHORITY, "hq.example", 900, "ns1.hq.example", 1, 300);
	assert_int_equal(read_reply(&r, OWNER, &set), ERR_DNS_NODATA);
	assert_int_equal(set.negative_ttl, 300);
	rsv_set_done(&set);
}

/* A "no" is about the end of the chain only where the SOA is that of its zone (RFC 2308 §2.1). */
static void t_S05_partial_answers(void **state)
{
	static const struct {
		const char *what, *soa;
		unsigned rcode;
		int err;
		uint32_t negative_ttl;
	} t[] = {
		{ "SOA of the zone that the chain left", "corp.example", 0, -EAGAIN, 0 },
		{ "SOA of a sibling", "hq2.example", 0, -EAGAIN, 0 },
		{ "SOA below the end", "a.kms.hq.example", 0, -EAGAIN, 0 },
		{ "SOA of the end's zone", "hq.example", 0, ERR_DNS_NODATA, 300 },
		{ "SOA at the end", "kms.hq.example", 0, ERR_DNS_NODATA, 300 },
		{ "no SOA", NULL, 0, -EAGAIN, 0 },
		{ "no such name (RFC 6604)", "hq.example", DNS_RCODE_NXDOMAIN, ERR_RCODE_NXDOMAIN,
		  300 },
		{ "a server that failed on the way", NULL, DNS_RCODE_SERVFAIL, ERR_RCODE_SERVFAIL,
		  0 },
		{ "no such name, who says so is elsewhere", "corp.example", DNS_RCODE_NXDOMAIN,
		  ERR_RCODE_NXDOMAIN, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int err;

		begin(&r, FAKE_AA | t[i].rcode);
		fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, "kms.hq.example");
		srv(&r, "kms.hq.test", 60, 0, "rogue.hq.test"); /* of another name: no answer */
		if (t[i].soa != NULL)
			fake_reply_soa(&r, DNS_AUTHORITY, t[i].soa, 900, "ns1.hq.example", 1, 300);
		err = read_reply(&r, OWNER, &set);
		if (err != t[i].err || set.negative_ttl != t[i].negative_ttl)
			fail_msg("%s: %s, %u", t[i].what, err_name(err), set.negative_ttl);
		assert_true(set.aliased && set.hops == 1); /* told with any error */
		rsv_set_done(&set);
	}
}

static void t_S05_alias_loops_end(void **state)
{
	(void)state;
	begin(&r, 0);
	fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, "b.example");
	fake_reply_cname(&r, DNS_ANSWER, "b.example", 600, OWNER);
	assert_int_equal(read_reply(&r, OWNER, &set), ERR_DNS_CNAME_LOOP);
	rsv_set_done(&set);

	begin(&r, 0);
	fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, OWNER);
	assert_int_equal(read_reply(&r, OWNER, &set), ERR_DNS_CNAME_LOOP);
	rsv_set_done(&set);

	begin(&r, 0);
	fake_reply_cname(&r, DNS_ANSWER, OWNER, 600, "a0.example");
	for (int i = 0; i < RSV_CNAME_MAX; i++) {
		char from[32], to[32];

		snprintf(from, sizeof(from), "a%d.example", i);
		snprintf(to, sizeof(to), "a%d.example", i + 1);
		fake_reply_cname(&r, DNS_ANSWER, from, 600, to);
	}
	assert_int_equal(read_reply(&r, OWNER, &set), ERR_DNS_CNAME_LOOP);
	rsv_set_done(&set);
}

static void t_answers_without_a_set(void **state)
{
	static const struct {
		unsigned flags; /* RCODE in the low bits */
		bool soa, ns;
		int err;
	} t[] = {
		{ FAKE_AA, true, false, ERR_DNS_NODATA },
		{ 0, false, false, ERR_DNS_NODATA },
		{ 0, false, true, ERR_DNS_NOT_AUTH }, /* a referral */
		{ FAKE_AA, false, true, ERR_DNS_NODATA },
		{ FAKE_AA | DNS_RCODE_NXDOMAIN, true, false, ERR_RCODE_NXDOMAIN },
		{ DNS_RCODE_SERVFAIL, false, false, ERR_RCODE_SERVFAIL },
		{ DNS_RCODE_REFUSED, false, false, ERR_RCODE_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin(&r, t[i].flags);
		if (t[i].soa)
			fake_reply_soa(&r, DNS_AUTHORITY, "corp.example", 60, "ns1.corp.example", 1,
				       900);
		if (t[i].ns)
			fake_reply_ns(&r, DNS_AUTHORITY, "example", 60, "ns1.example");
		assert_int_equal(read_reply(&r, OWNER, &set), t[i].err);
		assert_int_equal(set.n, 0);
		assert_int_equal(set.negative_ttl, t[i].soa ? 60 : 0);
		rsv_set_done(&set);
	}
}

static void t_mixed_ttl_and_repeated_records(void **state)
{
	(void)state;
	begin(&r, 0);
	srv(&r, OWNER, 3600, 0, "kms1.corp.example");
	srv(&r, OWNER, 300, 10, "kms2.corp.example");
	srv(&r, OWNER, 3600, 0, "KMS1.corp.example");
	assert_int_equal(read_reply(&r, OWNER, &set), 0);
	assert_int_equal(set.n, 2);
	assert_true(set.mixed_ttl);
	assert_int_equal(set.ttl, 300);
	rsv_set_done(&set);
}

static void t_large_sets_are_bounded(void **state)
{
	(void)state;
	begin(&r, 0);
	for (unsigned i = 0; i < RSV_RECORDS_MAX + 40; i++)
		srv(&r, "_vlmcs._tcp.x", 60, (uint16_t)(RSV_RECORDS_MAX + 40 - i), "k.x");
	assert_int_equal(read_reply(&r, "_vlmcs._tcp.x", &set), 0);
	assert_int_equal(set.n, RSV_RECORDS_MAX);
	assert_true(set.truncated);
	assert_int_equal(set.rec[0].srv.priority, 1); /* the preferred ones stay */
	rsv_set_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_plain_set),
		cmocka_unit_test(t_S04_absent_by_dot),
		cmocka_unit_test(t_S05_alias_in_the_answer),
		cmocka_unit_test(t_S05_alias_that_leads_on),
		cmocka_unit_test(t_S05_partial_answers),
		cmocka_unit_test(t_S05_alias_loops_end),
		cmocka_unit_test(t_answers_without_a_set),
		cmocka_unit_test(t_mixed_ttl_and_repeated_records),
		cmocka_unit_test(t_large_sets_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
