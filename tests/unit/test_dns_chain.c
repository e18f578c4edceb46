#include "net/dns_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/fake_reply.h"

#define QR   0x8000
#define MAX  8
#define N(a) (sizeof(a) / sizeof((a)[0]))

struct rr {
	uint16_t type;
	const char *owner, *target;
	uint32_t ttl;
};

#define CNAME DNS_TYPE_CNAME
#define DNAME DNS_TYPE_DNAME

static struct fake_reply r;

static void add(const struct rr *rr)
{
	struct dns_name target;

	assert_int_equal(dns_name_parse(rr->target, &target), 0);
	fake_reply_rr(&r, DNS_ANSWER, rr->owner, rr->type, DNS_CLASS_IN, rr->ttl, target.wire,
		      target.len);
}

static int follow(const char *from, unsigned hops, struct dns_chain *c)
{
	struct dns_msg *m = NULL;
	int err;

	memset(c, 0, sizeof(*c));
	c->hops = hops;
	c->ttl = 1000;
	assert_int_equal(dns_name_parse(from, &c->name), 0);
	assert_int_equal(dnsmsg_parse(r.data, r.len, &m), 0);
	err = dns_chain_follow(c, m, MAX);
	dnsmsg_free(m);
	return err;
}

#define SRV "_vlmcs._tcp.corp.test"

static const struct {
	const char *what;
	struct rr rr[4];
	const char *end;
	unsigned hops;
	uint32_t ttl;
} rows[] = {
	{ "nothing", { { 0 } }, SRV, 0, 1000 },
	{ "a CNAME of another name", { { CNAME, "a.test", "b.test", 60 } }, SRV, 0, 1000 },
	{ "two CNAMEs in the wrong order",
	  { { CNAME, "a.test", "b.test", 300 }, { CNAME, SRV, "A.test", 60 } },
	  "b.test",
	  2,
	  60 },
	{ "a DNAME with its CNAME is one hop",
	  { { DNAME, "_tcp.corp.test", "_tcp.dept.test", 600 },
	    { CNAME, SRV, "_vlmcs._tcp.dept.test", 500 } },
	  "_vlmcs._tcp.dept.test",
	  1,
	  500 },
	{ "a DNAME without it",
	  { { DNAME, "_tcp.corp.test", "_tcp.dept.test", 600 } },
	  "_vlmcs._tcp.dept.test",
	  1,
	  600 },
	{ "to a shorter name", { { DNAME, "corp.test", "x", 600 } }, "_vlmcs._tcp.x", 1, 600 },
	{ "to the root", { { DNAME, "corp.test", ".", 600 } }, "_vlmcs._tcp", 1, 600 },
	{ "one at the name itself leads nowhere", { { DNAME, SRV, "x.test", 600 } }, SRV, 0, 1000 },
	{ "not by half a label", { { DNAME, "rp.test", "x.test", 600 } }, SRV, 0, 1000 },
	{ "DNAME, CNAME, DNAME",
	  { { DNAME, "b.test", "c.test", 30 },
	    { CNAME, "_vlmcs._tcp.a.test", "kms.b.test", 600 },
	    { DNAME, "corp.test", "a.test", 600 } },
	  "kms.c.test",
	  3,
	  30 },
};

static void t_S05_aliases_are_followed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char end[DNSNAME_TEXT_MAX];
		struct dns_chain c;

		fake_reply_begin_raw(&r, 1, QR, SRV, DNS_TYPE_SRV);
		for (size_t k = 0; k < 4 && rows[i].rr[k].type != 0; k++)
			add(&rows[i].rr[k]);
		assert_int_equal(follow(SRV, 0, &c), 0);
		dns_name_format(&c.name, end);
		if (strcmp(end, rows[i].end) != 0 || c.hops != rows[i].hops || c.ttl != rows[i].ttl)
			fail_msg("%s: %s, %u hops, TTL %u", rows[i].what, end, c.hops, c.ttl);
	}
}

/* Loops, names that grow, and the hops of earlier answers. */
static void t_S05_chains_end(void **state)
{
	static const struct rr grow = { DNAME, "corp.test", "x.corp.test", 60 };
	static const struct rr self = { CNAME, SRV, SRV, 60 };
	static const struct rr once = { CNAME, SRV, "a.test", 60 };
	struct dns_chain c;

	(void)state;
	fake_reply_begin_raw(&r, 1, QR, SRV, DNS_TYPE_SRV);
	add(&grow);
	assert_int_equal(follow(SRV, 0, &c), ERR_DNS_CNAME_LOOP);
	assert_int_equal(c.hops, MAX + 1);

	fake_reply_begin_raw(&r, 1, QR, SRV, DNS_TYPE_SRV);
	add(&self);
	assert_int_equal(follow(SRV, 0, &c), ERR_DNS_CNAME_LOOP);

	fake_reply_begin_raw(&r, 1, QR, SRV, DNS_TYPE_SRV);
	add(&once);
	assert_int_equal(follow(SRV, MAX - 1, &c), 0);
	assert_int_equal(follow(SRV, MAX, &c), ERR_DNS_CNAME_LOOP);
}

/* RFC 6672 §2.2: what would be longer than a name can be is YXDOMAIN. */
static void t_S05_dname_makes_too_long_a_name(void **state)
{
	char target[256];
	struct rr rr = { DNAME, "corp.test", target, 60 };

	(void)state;
	for (size_t last = 49; last <= 50; last++) { /* 12 + 3 * 64 + 1 + 49 + 1 */
		struct dns_chain c;
		size_t len = 0;

		for (int i = 0; i < 3; i++)
			len += (size_t)snprintf(target + len, sizeof(target) - len, "%s%063d",
						i > 0 ? "." : "", 0);
		snprintf(target + len, sizeof(target) - len, ".%0*d", (int)last, 0);
		fake_reply_begin_raw(&r, 1, QR, SRV, DNS_TYPE_SRV);
		add(&rr);
		assert_int_equal(follow(SRV, 0, &c), last == 49 ? 0 : ERR_RCODE_YXDOMAIN);
		if (last == 49)
			assert_int_equal(c.name.len, 255);
	}
}

static void t_soa_of_the_zone_that_may_hold_it(void **state)
{
	static const struct {
		const char *soa, *name;
		bool found;
	} t[] = {
		{ "corp.test", SRV, true },  { ".", SRV, true },       { SRV, SRV, true },
		{ "dept.test", SRV, false }, { "a." SRV, SRV, false }, { "orp.test", SRV, false },
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		struct dns_msg *m = NULL;
		struct dns_name name;

		fake_reply_begin_raw(&r, 1, QR, SRV, DNS_TYPE_SRV);
		fake_reply_soa(&r, DNS_AUTHORITY, t[i].soa, 900, "ns1.test", 1, 300);
		assert_int_equal(dns_name_parse(t[i].name, &name), 0);
		assert_int_equal(dnsmsg_parse(r.data, r.len, &m), 0);
		assert_int_equal(dns_chain_soa(m, DNS_AUTHORITY, &name) != NULL, t[i].found);
		assert_null(dns_chain_soa(m, DNS_ANSWER, &name));
		dnsmsg_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_S05_aliases_are_followed),
		cmocka_unit_test(t_S05_chains_end),
		cmocka_unit_test(t_S05_dname_makes_too_long_a_name),
		cmocka_unit_test(t_soa_of_the_zone_that_may_hold_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
