/* Whether the primary of a zone is a domain controller: one answer in, the next question out. */
#include "net/ad.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "publisher/ad_cache.h"
#include "tests/lib/fake_reply.h"

#define DC_OF "_ldap._tcp.dc._msdcs."

static struct dns_name name(const char *text)
{
	struct dns_name n = { 0 };

	if (text != NULL)
		assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static enum net_ad_step begin(struct net_ad *ad, const char *zone, const char *mname,
			      bool has_primary, bool has_resolvers)
{
	struct dns_name d = name("corp.example"), z = name(zone), m = name(mname);

	return net_ad_begin(ad, &d, &z, &m, has_primary, has_resolvers);
}

static void assert_asks(enum net_ad_step step, const struct net_ad *ad, const char *what,
			uint16_t type, bool at_primary)
{
	char text[DNSNAME_TEXT_MAX];

	assert_int_equal(step, NET_AD_ASK);
	assert_string_equal(dns_name_format(&ad->ask, text), what);
	assert_int_equal(ad->type, type);
	assert_int_equal(ad->at_primary, at_primary);
}

/** The answer to the question that is open: SRV records with these targets, at @p owner. */
static enum net_ad_step answer(struct net_ad *ad, const char *owner, const char *const *targets)
{
	char asked[DNSNAME_TEXT_MAX];
	struct fake_reply r;
	enum net_ad_step step;
	struct dns_msg *m;

	fake_reply_begin_raw(&r, 1, 0x8000, dns_name_format(&ad->ask, asked), ad->type);
	for (; targets != NULL && *targets != NULL; targets++)
		fake_reply_srv(&r, DNS_ANSWER, owner, 600, 0, 100, 389, *targets);
	assert_int_equal(dnsmsg_parse(r.data, r.len, &m), 0);
	step = net_ad_answer(ad, m);
	dnsmsg_free(m);
	return step;
}

static void t_mname_is_a_controller(void **state)
{
	static const char *const targets[] = { "dc2.corp.example", "DC1.Corp.example", NULL };
	struct net_ad ad;

	(void)state;
	assert_asks(begin(&ad, "corp.example", "dc1.corp.example", true, true), &ad,
		    DC_OF "corp.example", DNS_TYPE_SRV, true);
	assert_int_equal(answer(&ad, DC_OF "corp.example", targets), NET_AD_YES);
}

/* BIND serves the zone, records of AD and all, and the controllers are others. */
static void t_controllers_elsewhere(void **state)
{
	static const char *const targets[] = { "dc1.corp.example", "dc2.corp.example", NULL };
	struct net_ad ad;

	(void)state;
	(void)begin(&ad, "corp.example", "ns1.corp.example", true, true);
	assert_int_equal(answer(&ad, DC_OF "corp.example", targets), NET_AD_NO);
}

/* A zone whose controllers belong to another domain, which only the resolvers know. */
static void t_domain_of_the_mname_first_then_the_zone(void **state)
{
	static const char *const targets[] = { "dc1.ad.example", NULL };
	struct net_ad ad;

	(void)state;
	assert_asks(begin(&ad, "dept.example", "dc1.ad.example", true, true), &ad,
		    DC_OF "ad.example", DNS_TYPE_SRV, true);
	assert_asks(net_ad_answer(&ad, NULL), &ad, DC_OF "ad.example", DNS_TYPE_SRV, false);
	assert_asks(answer(&ad, "", NULL), &ad, DC_OF "dept.example", DNS_TYPE_SRV, true);
	assert_asks(answer(&ad, "", NULL), &ad, DC_OF "dept.example", DNS_TYPE_SRV, false);
	assert_int_equal(answer(&ad, DC_OF "dept.example", targets), NET_AD_YES);
	(void)begin(&ad, "dept.example", "dc1.ad.example", true, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(net_ad_answer(&ad, NULL), NET_AD_ASK);
	assert_int_equal(net_ad_answer(&ad, NULL), NET_AD_NO);
}

static void t_records_of_another_name_do_not_count(void **state)
{
	static const char *const targets[] = { "dc1.corp.example", NULL };
	struct net_ad ad;

	(void)state;
	(void)begin(&ad, "corp.example", "dc1.corp.example", false, true);
	assert_int_equal(answer(&ad, "_ldap._tcp.corp.example", targets), NET_AD_NO);
}

/* The server that the configuration names says nothing: the resolvers know the primary. */
static void t_soa_is_asked_for_where_it_is_unknown(void **state)
{
	static const char *const targets[] = { "dc1.corp.example", NULL };
	struct fake_reply r;
	struct dns_msg *m;
	struct net_ad ad;

	(void)state;
	assert_asks(begin(&ad, NULL, NULL, false, true), &ad, "corp.example", DNS_TYPE_SOA, false);
	fake_reply_begin_raw(&r, 1, 0x8000, "corp.example", DNS_TYPE_SOA);
	fake_reply_soa(&r, DNS_ANSWER, "corp.example", 60, "dc1.corp.example", 7, 300);
	assert_int_equal(dnsmsg_parse(r.data, r.len, &m), 0);
	assert_asks(net_ad_answer(&ad, m), &ad, DC_OF "corp.example", DNS_TYPE_SRV, false);
	dnsmsg_free(m);
	assert_int_equal(answer(&ad, DC_OF "corp.example", targets), NET_AD_YES);
	(void)begin(&ad, NULL, NULL, false, true);
	assert_int_equal(net_ad_answer(&ad, NULL), NET_AD_NO);
	(void)begin(&ad, NULL, NULL, false, true);
	fake_reply_begin_raw(&r, 1, 0x8000, "corp.example", DNS_TYPE_SOA);
	fake_reply_soa(&r, DNS_AUTHORITY, "orp.example", 60, "dc1.orp.example", 7, 300);
	assert_int_equal(dnsmsg_parse(r.data, r.len, &m), 0);
	assert_int_equal(net_ad_answer(&ad, m), NET_AD_NO);
	dnsmsg_free(m);
}

static void t_nobody_to_ask(void **state)
{
	struct net_ad ad;

	(void)state;
	assert_int_equal(begin(&ad, NULL, NULL, false, false), NET_AD_NO);
	assert_int_equal(begin(&ad, "corp.example", "dc1.corp.example", false, false), NET_AD_NO);
	assert_int_equal(begin(&ad, ".", "dc1", true, true), NET_AD_NO);
	assert_int_equal(begin(&ad, ".", ".", true, true), NET_AD_NO);
}

/* A zone with hardly room for a name below it has no controllers. */
static void t_name_too_long_to_ask_for(void **state)
{
#define LABEL "a123456789012345678901234567890123456789012345678901234."
	struct net_ad ad;

	(void)state;
	assert_int_equal(begin(&ad, "b1234567890." LABEL LABEL LABEL LABEL,
			       "ns.b1234567890." LABEL LABEL LABEL LABEL, true, true),
			 NET_AD_NO);
}

static void t_what_was_found_out_is_kept_for_a_while(void **state)
{
	struct dns_name zone = name("corp.example"), dc = name("dc1.corp.example"), none = { 0 };
	struct pub_ad_cache *c = pub_ad_cache_new();
	struct dns_name got;

	(void)state;
	assert_false(pub_ad_cache_get(c, &zone, &dc, 5, &got));
	pub_ad_cache_put(c, &zone, &dc, 5, &zone);
	assert_true(pub_ad_cache_get(c, &zone, &dc, 6, &got));
	assert_true(dns_name_equal(&got, &zone));
	assert_false(pub_ad_cache_get(c, &dc, &dc, 6, &got));
	assert_false(pub_ad_cache_get(c, &zone, &dc, 5 + PUB_AD_KEEP_MS, &got));
	pub_ad_cache_put(c, &zone, &dc, 7, &none);
	assert_true(pub_ad_cache_get(c, &zone, &dc, 5 + PUB_AD_KEEP_MS, &got));
	assert_false(dns_name_is_set(&got));
	pub_ad_cache_free(c);
}

static void t_what_was_found_out_is_bounded(void **state)
{
	struct pub_ad_cache *c = pub_ad_cache_new();
	struct dns_name zone, dc = name("dc1.corp.example"), got;
	char text[32];

	(void)state;
	for (unsigned i = 0; i <= PUB_AD_ENTRIES_MAX; i++) {
		(void)snprintf(text, sizeof(text), "z%u.example", i);
		zone = name(text);
		pub_ad_cache_put(c, &zone, &dc, 5, &zone);
		assert_int_equal(pub_ad_cache_get(c, &zone, &dc, 6, &got), i < PUB_AD_ENTRIES_MAX);
	}
	pub_ad_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_mname_is_a_controller),
		cmocka_unit_test(t_controllers_elsewhere),
		cmocka_unit_test(t_domain_of_the_mname_first_then_the_zone),
		cmocka_unit_test(t_records_of_another_name_do_not_count),
		cmocka_unit_test(t_soa_is_asked_for_where_it_is_unknown),
		cmocka_unit_test(t_nobody_to_ask),
		cmocka_unit_test(t_name_too_long_to_ask_for),
		cmocka_unit_test(t_what_was_found_out_is_kept_for_a_while),
		cmocka_unit_test(t_what_was_found_out_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
