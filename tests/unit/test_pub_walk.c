/* The walk to the zone and the reading of an SRV answer: one message in, one decision out. */
#include "publisher/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "publisher/read.h"
#include "tests/lib/fake_reply.h"

#define OWNER "_vlmcs._tcp.corp.example"

static struct fake_reply reply;

static void begin(unsigned flags, const char *qname, uint16_t qtype)
{
	fake_reply_begin_raw(&reply, 1, (uint16_t)(0x8000 | flags), qname, qtype);
}

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static bool is(const struct dns_name *n, const char *text)
{
	struct dns_name m = name(text);

	return dns_name_equal(n, &m);
}

static struct pub_walk walk(bool need_aa)
{
	struct dns_name owner = name(OWNER);
	struct pub_walk w;

	pub_walk_begin(&w, &owner, need_aa);
	assert_true(is(&w.ask, OWNER));
	return w;
}

static enum pub_walk_step take(struct pub_walk *w)
{
	enum pub_walk_step step;
	struct dns_msg *m;

	assert_int_equal(dnsmsg_parse(reply.data, reply.len, &m), 0);
	step = pub_walk_answer(w, m);
	dnsmsg_free(m);
	return step;
}

static void t_negative_answer_names_the_zone(void **state)
{
	struct pub_walk w = walk(false);

	(void)state;
	begin(FAKE_RA | DNS_RCODE_NXDOMAIN, OWNER, DNS_TYPE_SOA);
	fake_reply_soa(&reply, DNS_AUTHORITY, "corp.example", 60, "ns1.corp.example", 7, 300);
	assert_int_equal(take(&w), WALK_FOUND);
	assert_true(is(&w.zone, "corp.example"));
	assert_true(is(&w.owner, OWNER));
	assert_true(is(&w.soa.mname, "ns1.corp.example"));
	assert_int_equal(w.soa.serial, 7);
}

static void t_owner_is_an_apex(void **state)
{
	struct pub_walk w = walk(true);

	(void)state;
	begin(FAKE_AA, OWNER, DNS_TYPE_SOA);
	fake_reply_soa(&reply, DNS_ANSWER, OWNER, 60, "ns1.corp.example", 7, 300);
	assert_int_equal(take(&w), WALK_FOUND);
	assert_true(is(&w.zone, OWNER));
}

/* U14: an SOA of a zone that the name does not lie in says nothing. */
static void t_U14_zone_by_whole_labels(void **state)
{
	struct pub_walk w = walk(false);

	(void)state;
	begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
	fake_reply_soa(&reply, DNS_AUTHORITY, "rp.example", 60, "ns1.rp.example", 7, 300);
	assert_int_equal(take(&w), WALK_ASK);
	assert_true(is(&w.ask, "_tcp.corp.example"));
}

static void t_answers_without_soa_go_up(void **state)
{
	static const char *const asked[] = { "_tcp.corp.example", "corp.example", "example" };
	struct pub_walk w = walk(false);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(FAKE_RA, "x.example", DNS_TYPE_SOA);
		assert_int_equal(take(&w), WALK_ASK);
		assert_true(is(&w.ask, asked[i]));
		assert_true(is(&w.owner, OWNER));
	}
	begin(FAKE_RA, "x.example", DNS_TYPE_SOA);
	assert_int_equal(take(&w), WALK_NO_ZONE);
}

static void t_Z05_alias_is_followed_in_one_answer(void **state)
{
	struct pub_walk w = walk(false);

	(void)state;
	begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
	fake_reply_cname(&reply, DNS_ANSWER, "b.other.example", 60, "kms.far.example");
	fake_reply_cname(&reply, DNS_ANSWER, OWNER, 60, "b.other.example");
	fake_reply_soa(&reply, DNS_AUTHORITY, "far.example", 60, "ns.far.example", 7, 300);
	assert_int_equal(take(&w), WALK_FOUND);
	assert_true(is(&w.owner, "kms.far.example"));
	assert_true(is(&w.zone, "far.example"));
	assert_int_equal(w.aliases, 2);
}

static void t_alias_without_soa_is_asked_for_again(void **state)
{
	struct pub_walk w = walk(true);

	(void)state;
	begin(FAKE_AA, OWNER, DNS_TYPE_SOA);
	fake_reply_cname(&reply, DNS_ANSWER, OWNER, 60, "kms.far.example");
	assert_int_equal(take(&w), WALK_ASK);
	assert_true(is(&w.ask, "kms.far.example"));
	assert_true(is(&w.owner, "kms.far.example"));
}

static void t_alias_loop_ends(void **state)
{
	struct pub_walk w = walk(false);

	(void)state;
	begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
	fake_reply_cname(&reply, DNS_ANSWER, OWNER, 60, "b.example");
	fake_reply_cname(&reply, DNS_ANSWER, "b.example", 60, OWNER);
	assert_int_equal(take(&w), WALK_ALIAS_LOOP);
	w = walk(false);
	for (int i = 0; i < PUB_ALIAS_MAX; i++) { /* one an answer is no better */
		begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
		fake_reply_cname(&reply, DNS_ANSWER, i % 2 == 0 ? OWNER : "b.example", 60,
				 i % 2 == 0 ? "b.example" : OWNER);
		assert_int_equal(take(&w), WALK_ASK);
	}
	begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
	fake_reply_cname(&reply, DNS_ANSWER, OWNER, 60, "b.example");
	assert_int_equal(take(&w), WALK_ALIAS_LOOP);
}

/* An alias above the name leads elsewhere; the zone of the name is still found further up. */
static void t_Z05_alias_above_is_passed_by(void **state)
{
	struct pub_walk w = walk(false);

	(void)state;
	begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
	assert_int_equal(take(&w), WALK_ASK);
	begin(FAKE_RA, "_tcp.corp.example", DNS_TYPE_SOA);
	fake_reply_cname(&reply, DNS_ANSWER, "_tcp.corp.example", 60, "far.example");
	fake_reply_soa(&reply, DNS_AUTHORITY, "example", 60, "ns.example", 7, 300);
	assert_int_equal(take(&w), WALK_ASK);
	assert_true(is(&w.ask, "corp.example"));
	assert_true(is(&w.owner, OWNER));
}

static void t_U02_referral_names_the_child(void **state)
{
	struct pub_walk w = walk(true);

	(void)state;
	begin(0, OWNER, DNS_TYPE_SOA);
	fake_reply_ns(&reply, DNS_AUTHORITY, "_tcp.corp.example", 60, "ns.child.example");
	assert_int_equal(take(&w), WALK_DELEGATED);
	assert_true(is(&w.child, "_tcp.corp.example"));
}

/* Z04: a forwarder answers without AA, an unwilling server with a referral to the root. */
static void t_Z04_authority_is_needed_of_a_server(void **state)
{
	struct pub_walk w = walk(true);

	(void)state;
	begin(FAKE_RA, OWNER, DNS_TYPE_SOA);
	fake_reply_soa(&reply, DNS_AUTHORITY, "corp.example", 60, "ns1.corp.example", 7, 300);
	assert_int_equal(take(&w), WALK_NOT_AUTH);
	w = walk(true);
	begin(0, OWNER, DNS_TYPE_SOA);
	fake_reply_ns(&reply, DNS_AUTHORITY, ".", 60, "a.root.example");
	assert_int_equal(take(&w), WALK_NOT_AUTH);
}

/* ---- reading ---- */

static struct pub_read take_read(void)
{
	struct dns_name owner = name(OWNER);
	struct pub_read r;
	struct dns_msg *m;

	assert_int_equal(dnsmsg_parse(reply.data, reply.len, &m), 0);
	assert_int_equal(pub_read_answer(m, &owner, &r), 0);
	dnsmsg_free(m);
	return r;
}

static void t_read_set(void **state)
{
	struct pub_read r;

	(void)state;
	begin(FAKE_AA, OWNER, DNS_TYPE_SRV);
	fake_reply_srv(&reply, DNS_ANSWER, "_VLMCS._tcp.Corp.example", 300, 1, 2, 1688,
		       "A.example");
	fake_reply_srv(&reply, DNS_ANSWER, OWNER, 200, 0, 0, 1688, "b.example");
	fake_reply_srv(&reply, DNS_ANSWER, OWNER, 300, 1, 2, 1688, "a.EXAMPLE"); /* S13: the same */
	fake_reply_srv(&reply, DNS_ANSWER, "x." OWNER, 100, 0, 0, 1, "other.example");
	r = take_read();
	assert_int_equal(r.kind, PUB_READ_SET);
	assert_int_equal(r.n_seen, 2);
	assert_int_equal(r.ttl_s, 200);
	pub_read_done(&r);
	begin(FAKE_AA | DNS_RCODE_NXDOMAIN, OWNER, DNS_TYPE_SRV);
	r = take_read();
	assert_int_equal(r.kind, PUB_READ_SET);
	assert_int_equal(r.n_seen, 0);
	assert_int_equal(r.ttl_s, 0);
	assert_int_equal(r.negative_ttl_s, 0);
	pub_read_done(&r);
}

/* Z15, RFC 2308 §5: the smaller of the two. */
static void t_Z15_how_long_a_no_is_remembered(void **state)
{
	static const uint32_t cases[][3] = { { 60, 300, 60 }, { 300, 60, 60 }, { 0, 60, 0 } };
	struct pub_read r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(FAKE_AA | (i == 0 ? DNS_RCODE_NXDOMAIN : 0), OWNER, DNS_TYPE_SRV);
		fake_reply_soa(&reply, DNS_AUTHORITY, "corp.example", cases[i][0],
			       "ns1.corp.example", 7, cases[i][1]);
		r = take_read();
		assert_int_equal(r.negative_ttl_s, cases[i][2]);
		pub_read_done(&r);
	}
	begin(FAKE_AA, OWNER, DNS_TYPE_SRV);
	fake_reply_srv(&reply, DNS_ANSWER, OWNER, 60, 0, 0, 1688, "a.example");
	fake_reply_soa(&reply, DNS_AUTHORITY, "corp.example", 60, "ns1.corp.example", 7, 300);
	r = take_read();
	assert_int_equal(r.negative_ttl_s, 0);
	pub_read_done(&r);
}

static void t_read_what_is_no_set(void **state)
{
	struct pub_read r;

	(void)state;
	begin(FAKE_AA, OWNER, DNS_TYPE_SRV);
	fake_reply_cname(&reply, DNS_ANSWER, OWNER, 60, "far.example");
	fake_reply_srv(&reply, DNS_ANSWER, "far.example", 60, 0, 0, 1688, "a.example");
	r = take_read();
	assert_int_equal(r.kind, PUB_READ_CNAME);
	assert_true(is(&r.other, "far.example"));
	pub_read_done(&r);
	begin(0, OWNER, DNS_TYPE_SRV);
	fake_reply_ns(&reply, DNS_AUTHORITY, "_tcp.corp.example", 60, "ns.child.example");
	r = take_read();
	assert_int_equal(r.kind, PUB_READ_DELEGATED);
	assert_true(is(&r.other, "_tcp.corp.example"));
	pub_read_done(&r);
	begin(FAKE_RA, OWNER, DNS_TYPE_SRV);
	fake_reply_srv(&reply, DNS_ANSWER, OWNER, 60, 0, 0, 1688, "a.example");
	r = take_read();
	assert_int_equal(r.kind, PUB_READ_NOT_AUTH);
	assert_int_equal(r.n_seen, 0);
	pub_read_done(&r);
}

/* U26: a set too large to be handled with care is refused, not cut. */
static void t_U26_read_is_bounded(void **state)
{
	struct pub_read r;

	(void)state;
	begin(FAKE_AA, OWNER, DNS_TYPE_SRV);
	for (unsigned i = 0; i <= PUB_SEEN_MAX; i++) {
		static const uint8_t target[] = { 1, 'a', 0 };
		uint8_t rdata[6 + sizeof(target)] = { 0, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i };

		memcpy(rdata + 6, target, sizeof(target));
		if (reply.len > sizeof(reply.data) - 64)
			break;
		fake_reply_rr(&reply, DNS_ANSWER, "a", DNS_TYPE_SRV, DNS_CLASS_IN, 60, rdata,
			      sizeof(rdata));
	}
	/* the owner is short, so that they all fit in one message */
	{
		struct dns_name owner = name("a");
		struct dns_msg *m;

		assert_int_equal(dnsmsg_parse(reply.data, reply.len, &m), 0);
		assert_int_equal(m->count[DNS_ANSWER], PUB_SEEN_MAX + 1);
		assert_int_equal(pub_read_answer(m, &owner, &r), 0);
		dnsmsg_free(m);
	}
	assert_int_equal(r.kind, PUB_READ_LARGE);
	pub_read_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_negative_answer_names_the_zone),
		cmocka_unit_test(t_owner_is_an_apex),
		cmocka_unit_test(t_U14_zone_by_whole_labels),
		cmocka_unit_test(t_answers_without_soa_go_up),
		cmocka_unit_test(t_Z05_alias_is_followed_in_one_answer),
		cmocka_unit_test(t_alias_without_soa_is_asked_for_again),
		cmocka_unit_test(t_alias_loop_ends),
		cmocka_unit_test(t_Z05_alias_above_is_passed_by),
		cmocka_unit_test(t_U02_referral_names_the_child),
		cmocka_unit_test(t_Z04_authority_is_needed_of_a_server),
		cmocka_unit_test(t_read_set),
		cmocka_unit_test(t_Z15_how_long_a_no_is_remembered),
		cmocka_unit_test(t_read_what_is_no_set),
		cmocka_unit_test(t_U26_read_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
