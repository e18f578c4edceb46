/**
 * The played name servers, asked and told by our own messages and signatures (net/dnsmsg,
 * net/tsig): two independent writings of the same RFCs that must agree. Without network: bytes in,
 * bytes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "net/dnsmsg.h"
#include "net/tsig.h"
#include "tests/sim/dns_priv.h"

#define KEY_TEXT(name)                                                                             \
	"key \"" name "\" {\n\talgorithm hmac-sha256;\n\tsecret "                                  \
	"\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\";\n};\n"
#define SRV_NAME "_vlmcs._tcp.corp.example"

static struct sim_dns_server *ns1, *ns2, *plain, *keeper;
static struct sim_zone *corp;
static struct tsig_key *key;
static char last_line[SIM_LINE_MAX];
static unsigned n_added, n_removed;
static struct addr me;

static void seen(void *ctx, const struct sim_dns_event *e)
{
	(void)ctx;
	(void)snprintf(last_line, sizeof(last_line), "%s", e->line);
}

static void changed(void *ctx, const struct sim_zone *z, bool added, const struct sim_record *r)
{
	(void)ctx;
	(void)z;
	(void)r;
	n_added += added;
	n_removed += !added;
}

static struct tsig_key *make_key(const char *text)
{
	struct tsig_key *k;
	struct err_info info;

	assert_int_equal(tsig_key_parse(text, strlen(text), "test", &k, &info), 0);
	return k;
}

static int set_up(void **state)
{
	struct sim_dns_server *both[2];

	(void)state;
	sim_new(1);
	ns1 = both[0] = sim_dns_server("ns1", "10.0.0.53");
	ns2 = both[1] = sim_dns_server("ns2", "10.0.0.54");
	plain = sim_resolver("plain", "10.0.0.1", false);
	keeper = sim_resolver("keeper", "10.0.0.2", true);
	corp = sim_zone("Corp.Example.", both, 2, KEY_TEXT("corp"), NULL);
	sim_zone_add(corp, "kms1.corp.example", "A", 300, "10.0.0.11");
	sim_zone_add(corp, "kms1.corp.example", "AAAA", 300, "2001:DB8::11");
	sim_zone_add(corp, "alias.corp.example", "CNAME", 300, "kms1.corp.example");
	sim_zone_add(corp, "sub.corp.example", "NS", 300, "ns.sub.corp.example");
	sim_zone_add(corp, "ns.sub.corp.example", "A", 300, "10.9.9.9");
	sim_zone_add(corp, "*.wild.corp.example", "SRV", 300, "1 2 1688 kms1.corp.example");
	sim_zone_add(corp, "text.corp.example", "TXT", 300, "\"a \\\"b\" \"c\"");
	sim_dns_watch(seen, NULL);
	sim_dns_watch_changes(changed, NULL);
	addr_parse("10.0.0.9:4000", 0, &me);
	key = make_key(KEY_TEXT("corp"));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tsig_key_unref(key);
	return 0;
}

/* ---- asking ---- */

static uint64_t wall(void)
{
	return (uint64_t)SIM_EPOCH_S + sim_now() / 1000;
}

struct sent {
	uint8_t answer[SIM_PACKET_MAX];
	size_t len;
	struct dns_msg *msg;     /* NULL: none */
	int verified;            /* tsig_verify() */
	struct tsig_result tsig; /* of it */
};

/** Send what is in @p b, signed where @p k, and read what comes. */
static void send_it(struct sim_dns_server *s, struct buf *b, struct tsig_key *k, uint64_t clock,
		    bool tcp, struct sent *ret)
{
	struct tsig_request rq;

	memset(&ret->tsig, 0, sizeof(ret->tsig));
	ret->msg = NULL;
	ret->verified = 0;
	if (k != NULL)
		assert_int_equal(tsig_sign(k, clock, b, &rq), 0);
	ret->len = sim_dns_serve(s, &me, tcp, b->data, b->len, sim_now(), ret->answer,
				 sizeof(ret->answer));
	if (ret->len == 0)
		return;
	assert_int_equal(dnsmsg_parse(ret->answer, ret->len, &ret->msg), 0);
	assert_true(dnsmsg_answers(ret->msg, b->data, b->len));
	if (k != NULL)
		ret->verified = tsig_verify(k, &rq, clock, ret->answer, ret->len, &ret->tsig);
}

static struct dns_name name_of(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static struct dns_msg *ask_as(struct sim_dns_server *s, const char *name, uint16_t type, bool edns,
			      bool tcp, struct sent *ret)
{
	struct dns_question q = { .name = name_of(name), .type = type, .rd = true };
	struct buf b;

	buf_init(&b, DNSMSG_MAX);
	assert_int_equal(dnsmsg_build_query(&q, 77, edns, &b), 0);
	send_it(s, &b, NULL, 0, tcp, ret);
	buf_done(&b);
	return ret->msg;
}

/** "NOERROR aa 1 0 2: first record's type and TTL". */
static void check_ask(struct sim_dns_server *s, const char *name, uint16_t type, const char *want)
{
	static struct sent got;
	struct dns_msg *m = ask_as(s, name, type, true, false, &got);
	char buf[128], t[16];

	assert_non_null(m);
	(void)snprintf(buf, sizeof(buf), "%s%s%s%s %zu %zu %zu", dns_rcode_name(m->rcode),
		       m->aa ? " aa" : "", m->ra ? " ra" : "", m->tc ? " tc" : "", m->count[0],
		       m->count[1], m->count[2]);
	if (m->count[0] + m->count[1] > 0)
		(void)snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), ": %s %u",
			       dns_type_name(m->rrs[0].type, t), m->rrs[0].ttl);
	dnsmsg_free(m);
	assert_string_equal(buf, want);
}

static struct dns_rr srv_of(const char *owner, uint32_t ttl, uint16_t priority, const char *target)
{
	struct dns_rr rr = { .type = DNS_TYPE_SRV, .rclass = DNS_CLASS_IN, .ttl = ttl };

	rr.owner = name_of(owner);
	rr.data.srv.priority = priority;
	rr.data.srv.port = 1688;
	rr.data.srv.target = name_of(target);
	return rr;
}

#define UPDATE_MAX 4

struct told {
	struct dns_change changes[UPDATE_MAX];
	struct dns_rr prereq[UPDATE_MAX];
	struct dns_update u;
};

static void told_begin(struct told *t, const char *zone)
{
	memset(t, 0, sizeof(*t));
	t->u.zone = name_of(zone);
	t->u.changes = t->changes;
	t->u.prereq = t->prereq;
}

static void told_change(struct told *t, unsigned op, struct dns_rr rr)
{
	struct dns_change *c = &t->changes[t->u.n_changes++];

	c->op = op;
	c->rr = rr;
}

static void tell(struct sim_dns_server *s, const struct told *t, struct tsig_key *k, uint64_t clock,
		 struct sent *ret)
{
	struct buf b;

	buf_init(&b, DNSMSG_MAX);
	assert_int_equal(dnsmsg_build_update(&t->u, 78, &b), 0);
	send_it(s, &b, k, clock, false, ret);
	buf_done(&b);
}

/** Tell with the right key; the answer is signed. @return its rcode. */
static unsigned tell_rightly(const struct told *t)
{
	static struct sent got;
	unsigned rcode;

	tell(ns1, t, key, wall(), &got);
	assert_non_null(got.msg);
	assert_int_equal(got.verified, 0);
	assert_true(got.tsig.verified);
	rcode = got.msg->rcode;
	dnsmsg_free(got.msg);
	return rcode;
}

static size_t records(const struct sim_dns_server *s, struct sim_record *ret, size_t max)
{
	return sim_zone_records(corp, s, SRV_NAME, "SRV", ret, max);
}

static void clear_set(void)
{
	sim_zone_delete(corp, SRV_NAME, "SRV", NULL);
	n_added = n_removed = 0;
}

/* ---- queries ---- */

static void t_queries(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		const char *want;
	} rows[] = {
		{ "corp.example", DNS_TYPE_SOA, "NOERROR aa 1 2 2: SOA 3600" },
		{ "corp.example", DNS_TYPE_NS, "NOERROR aa 2 0 2: NS 3600" },
		{ "KMS1.corp.example", DNS_TYPE_A, "NOERROR aa 1 2 2: A 300" },
		{ "kms1.corp.example", DNS_TYPE_AAAA, "NOERROR aa 1 2 2: AAAA 300" },
		{ "alias.corp.example", DNS_TYPE_A, "NOERROR aa 2 2 2: CNAME 300" },
		{ "alias.corp.example", DNS_TYPE_CNAME, "NOERROR aa 1 2 2: CNAME 300" },
		{ "kms1.corp.example", DNS_TYPE_SRV, "NOERROR aa 0 1 0: SOA 300" },
		{ "wild.corp.example", DNS_TYPE_SRV, "NOERROR aa 0 1 0: SOA 300" },
		{ "a.b.wild.corp.example", DNS_TYPE_SRV, "NOERROR aa 1 2 4: SRV 300" },
		{ "text.corp.example", DNS_TYPE_TXT, "NOERROR aa 1 2 2: TXT 300" },
		{ "nobody.corp.example", DNS_TYPE_A, "NXDOMAIN aa 0 1 0: SOA 300" },
		{ "kms.sub.corp.example", DNS_TYPE_A, "NOERROR 0 1 1: NS 300" },
		{ "notcorp.example", DNS_TYPE_A, "REFUSED 0 0 0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_ask(ns1, rows[i].name, rows[i].type, rows[i].want);
	check_ask(ns2, "kms1.corp.example", DNS_TYPE_A, "NOERROR aa 1 2 2: A 300");
	check_ask(ns1, "alias.corp.example", DNS_TYPE_A, "NOERROR aa 2 2 2: CNAME 300");
	assert_string_equal(last_line, "ns1 query A alias.corp.example -> NOERROR 2");
}

static void t_resolvers(void **state)
{
	(void)state;
	check_ask(plain, "alias.corp.example", DNS_TYPE_A, "NOERROR ra 2 0 0: CNAME 300");
	check_ask(plain, "nobody.corp.example", DNS_TYPE_A, "NXDOMAIN ra 0 1 0: SOA 300");
	check_ask(plain, "elsewhere.test", DNS_TYPE_A, "NXDOMAIN ra 0 1 0: SOA 86400");
	check_ask(plain, "kms.sub.corp.example", DNS_TYPE_A, "SERVFAIL ra 0 0 0");
	sim_dns_ways(ns1)->down = true;
	check_ask(plain, "kms1.corp.example", DNS_TYPE_A, "NOERROR ra 1 0 0: A 300");
	sim_dns_ways(ns2)->silent = true;
	check_ask(plain, "kms1.corp.example", DNS_TYPE_A, "SERVFAIL ra 0 0 0");
	*sim_dns_ways(ns1) = *sim_dns_ways(ns2) = (struct sim_dns_ways){ 0 };
}

static void t_cache(void **state)
{
	uint64_t begin = sim_now();

	(void)state;
	check_ask(keeper, "kms1.corp.example", DNS_TYPE_A, "NOERROR ra 1 0 0: A 300");
	check_ask(keeper, "late.corp.example", DNS_TYPE_A, "NXDOMAIN ra 0 1 0: SOA 300");
	sim_zone_add(corp, "kms1.corp.example", "A", 300, "10.0.0.12");
	sim_zone_add(corp, "late.corp.example", "A", 300, "10.0.0.13");
	sim_idle(begin + 200000);
	check_ask(keeper, "kms1.corp.example", DNS_TYPE_A, "NOERROR ra 1 0 0: A 100");
	check_ask(keeper, "late.corp.example", DNS_TYPE_A, "NXDOMAIN ra 0 1 0: SOA 100");
	check_ask(plain, "kms1.corp.example", DNS_TYPE_A, "NOERROR ra 2 0 0: A 300");
	sim_idle(begin + 300000);
	check_ask(keeper, "kms1.corp.example", DNS_TYPE_A, "NOERROR ra 2 0 0: A 300");
	check_ask(keeper, "late.corp.example", DNS_TYPE_A, "NOERROR ra 1 0 0: A 300");
	sim_zone_delete(corp, "kms1.corp.example", "A", "10.0.0.12");
}

static void t_truncated(void **state)
{
	static struct sent got;
	char rdata[64];

	(void)state;
	clear_set();
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(rdata, sizeof(rdata), "0 %u 1688 kms1.corp.example", i);
		sim_zone_add(corp, SRV_NAME, "SRV", 3600, rdata);
	}
	check_ask(ns1, SRV_NAME, DNS_TYPE_SRV, "NOERROR aa tc 0 0 0");
	assert_string_equal(last_line, "ns1 query SRV " SRV_NAME " -> NOERROR TC");
	ask_as(ns1, SRV_NAME, DNS_TYPE_SRV, true, true, &got);
	assert_false(got.msg->tc);
	assert_int_equal(got.msg->count[DNS_ANSWER], 40);
	dnsmsg_free(got.msg);
	clear_set();
	sim_dns_ways(ns1)->only_tcp = true;
	check_ask(ns1, SRV_NAME, DNS_TYPE_SRV, "NOERROR tc 0 0 0");
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ 0 };
}

/* ---- updates ---- */

static void t_update(void **state)
{
	struct sim_record r[4];
	struct told t;
	uint32_t serial;

	(void)state;
	clear_set();
	serial = sim_zone_serial(corp, ns1);
	told_begin(&t, "corp.example");
	told_change(&t, DNS_ADD, srv_of("_VLMCS._TCP.corp.example", 3600, 5, "KMS1.corp.example"));
	assert_int_equal(tell_rightly(&t), 0);
	assert_string_equal(
		last_line,
		"ns1 update corp.example add 3600 5 0 1688 kms1.corp.example -> NOERROR");
	assert_int_equal(sim_zone_serial(corp, ns1), serial + 1);
	assert_int_equal(records(ns1, r, 4), 1);
	assert_string_equal(r[0].rdata, "5 0 1688 kms1.corp.example");
	assert_int_equal(n_added, 1);

	/* once more: nothing changes */
	assert_int_equal(tell_rightly(&t), 0);
	assert_int_equal(sim_zone_serial(corp, ns1), serial + 1);

	/* another TTL is that of the whole set */
	sim_zone_add(corp, SRV_NAME, "SRV", 3600, "0 0 1688 kms2.corp.example");
	t.changes[0].rr.ttl = 60;
	assert_int_equal(tell_rightly(&t), 0);
	assert_int_equal(records(ns1, r, 4), 2);
	assert_int_equal(r[0].ttl + r[1].ttl, 120);

	/* one away, one else, in one message */
	told_begin(&t, "corp.example");
	told_change(&t, DNS_DELETE, srv_of(SRV_NAME, 0, 5, "kms1.corp.example"));
	told_change(&t, DNS_ADD, srv_of(SRV_NAME, 60, 6, "kms1.corp.example"));
	n_added = n_removed = 0;
	assert_int_equal(tell_rightly(&t), 0);
	assert_string_equal(last_line, "ns1 update corp.example delete 5 0 1688 kms1.corp.example, "
				       "add 60 6 0 1688 kms1.corp.example -> NOERROR");
	assert_int_equal(n_added, 1);
	assert_int_equal(n_removed, 1);
	assert_int_equal(records(ns1, r, 4), 2);

	/* what is not there cannot go, and taken away and added again is no change */
	serial = sim_zone_serial(corp, ns1);
	t.u.n_changes = 1;
	assert_int_equal(tell_rightly(&t), 0);
	told_begin(&t, "corp.example");
	told_change(&t, DNS_DELETE, srv_of(SRV_NAME, 0, 6, "kms1.corp.example"));
	told_change(&t, DNS_ADD, srv_of(SRV_NAME, 60, 6, "kms1.corp.example"));
	assert_int_equal(tell_rightly(&t), 0);
	assert_int_equal(sim_zone_serial(corp, ns1), serial);
}

static void t_update_elsewhere(void **state)
{
	struct sim_record r[4];
	struct told t;

	(void)state;
	clear_set();
	told_begin(&t, "corp.example");
	told_change(&t, DNS_ADD, srv_of(SRV_NAME, 60, 0, "kms1.corp.example"));
	told_change(&t, DNS_ADD, srv_of("_vlmcs._tcp.other.example", 60, 0, "kms1.corp.example"));
	assert_int_equal(tell_rightly(&t), DNS_RCODE_NOTZONE); /* all or nothing */
	assert_int_equal(records(ns1, r, 4), 0);
	told_begin(&t, "other.example");
	told_change(&t, DNS_ADD, srv_of("_vlmcs._tcp.other.example", 60, 0, "kms1.corp.example"));
	assert_int_equal(tell_rightly(&t), DNS_RCODE_NOTAUTH);
	/* a CNAME at the name: NOERROR, and nothing happens (failure-modes U01) */
	sim_zone_add(corp, "_vlmcs._tcp.dep.corp.example", "CNAME", 60, SRV_NAME);
	told_begin(&t, "corp.example");
	told_change(&t, DNS_ADD, srv_of("_vlmcs._tcp.dep.corp.example", 60, 0, "a.test"));
	assert_int_equal(tell_rightly(&t), 0);
	assert_int_equal(sim_zone_records(corp, ns1, "_vlmcs._tcp.dep.corp.example", "SRV", r, 4),
			 0);
}

static void t_prerequisite(void **state)
{
	struct sim_record r[4];
	struct told t;

	(void)state;
	clear_set();
	sim_zone_add(corp, SRV_NAME, "SRV", 3600, "0 0 1688 kms1.corp.example");
	sim_zone_add(corp, SRV_NAME, "SRV", 3600, "0 0 1688 kms2.corp.example");
	told_begin(&t, "corp.example");
	told_change(&t, DNS_DELETE, srv_of(SRV_NAME, 0, 0, "kms1.corp.example"));
	t.prereq[0] = srv_of(SRV_NAME, 0, 0, "KMS2.corp.example");
	t.prereq[1] = srv_of(SRV_NAME, 0, 0, "kms1.corp.example");
	t.prereq[2] = srv_of(SRV_NAME, 0, 0, "kms3.corp.example");
	t.u.n_prereq = 1;
	assert_int_equal(tell_rightly(&t), DNS_RCODE_NXRRSET);
	assert_string_equal(
		last_line,
		"ns1 update corp.example delete 0 0 1688 kms1.corp.example when 1 -> NXRRSET");
	t.u.n_prereq = 3;
	assert_int_equal(tell_rightly(&t), DNS_RCODE_NXRRSET);
	assert_int_equal(records(ns1, r, 4), 2);
	t.u.n_prereq = 2;
	assert_int_equal(tell_rightly(&t), 0);
	assert_int_equal(records(ns1, r, 4), 1);
}

/** Prerequisites and changes of the forms that our own code never sends, by hand. */
static void t_other_forms(void **state)
{
	static const struct {
		uint8_t section; /* 1: prerequisite, 2: change */
		const char *owner;
		uint16_t type, rclass;
		unsigned want;
	} rows[] = {
		{ 1, "kms1.corp.example", T_ANY, C_ANY, 0 },
		{ 1, "_tcp.corp.example", T_ANY, C_ANY, R_NXDOMAIN }, /* nothing of its own */
		{ 1, "kms1.corp.example", T_SRV, C_ANY, R_NXRRSET },
		{ 1, "kms1.corp.example", T_A, C_ANY, 0 },
		{ 1, "kms1.corp.example", T_ANY, C_NONE, R_YXDOMAIN },
		{ 1, "kms1.corp.example", T_A, C_NONE, R_YXRRSET },
		{ 1, "kms1.corp.example", T_SRV, C_NONE, 0 },
		{ 1, "kms1.other.example", T_SRV, C_NONE, R_NOTZONE },
		{ 1, "kms1.corp.example", T_SRV, 3, R_FORMERR },
		{ 2, "kms1.corp.example", T_AXFR, C_ANY, R_FORMERR },
		{ 2, "kms1.corp.example", T_A, 3, R_FORMERR },
		{ 2, "two.corp.example", T_A, C_ANY, 0 },
		{ 2, "three.corp.example", T_ANY, C_ANY, 0 },
		{ 2, "corp.example", T_ANY, C_ANY, 0 }, /* SOA and NS stay */
	};
	static struct sim_out o;
	struct sim_copy *c = &corp->copies[0];
	static struct sim_msg m;
	bool is_changed;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim_msg none = { 0 };

		sim_zone_add(corp, "two.corp.example", "A", 60, "10.0.0.2");
		sim_zone_add(corp, "three.corp.example", "A", 60, "10.0.0.3");
		sim_out_begin(&o, 512, &none, NULL, 0);
		sim_out_name(&o, rows[i].owner, false);
		sim_out_uint(&o, rows[i].type, 2);
		sim_out_uint(&o, rows[i].rclass, 2);
		sim_out_uint(&o, 0, 6);
		sim_out_count(&o, rows[i].section);
		assert_true(sim_msg_parse(&m, o.data, o.len));
		assert_int_equal(sim_update_apply(c, &m, &is_changed), rows[i].want);
		assert_int_equal(is_changed, i == 11 || i == 12);
		assert_int_equal(sim_copy_has(c, "two.corp.example", T_ANY), i != 11);
		assert_int_equal(sim_copy_has(c, "three.corp.example", T_ANY), i != 12);
	}
	assert_true(sim_copy_has(c, "corp.example", T_SOA));
	assert_true(sim_copy_has(c, "corp.example", T_NS));
}

static void t_permission(void **state)
{
	struct tsig_key *other = make_key("key \"other\" { algorithm hmac-sha256; secret "
					  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"; };"),
			*wrong = make_key("key \"corp\" { algorithm hmac-sha256; secret "
					  "\"AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"; };");
	static struct sent got;
	struct sim_record r[4];
	struct told t;

	(void)state;
	clear_set();
	told_begin(&t, "corp.example");
	told_change(&t, DNS_ADD, srv_of(SRV_NAME, 60, 0, "kms1.corp.example"));
	tell(ns1, &t, NULL, 0, &got);
	assert_int_equal(got.msg->rcode, DNS_RCODE_REFUSED);
	dnsmsg_free(got.msg);
	tell(ns2, &t, key, wall(), &got); /* a secondary */
	assert_int_equal(got.msg->rcode, DNS_RCODE_REFUSED);
	assert_int_equal(got.verified, 0);
	dnsmsg_free(got.msg);
	tell(ns1, &t, other, wall(), &got);
	assert_int_equal(got.verified, ERR_TSIG_PEER_BADKEY);
	dnsmsg_free(got.msg);
	assert_string_equal(
		last_line,
		"ns1 update corp.example add 60 0 0 1688 kms1.corp.example -> NOTAUTH BADKEY");
	tell(ns1, &t, wrong, wall(), &got);
	assert_int_equal(got.verified, ERR_TSIG_PEER_BADSIG);
	dnsmsg_free(got.msg);
	tell(ns1, &t, key, wall() - 400, &got);
	assert_int_equal(got.verified, ERR_TSIG_PEER_BADTIME);
	assert_true(got.tsig.verified);
	assert_int_equal(got.tsig.skew_s, 400);
	dnsmsg_free(got.msg);
	sim_dns_ways(ns1)->clock_off_s = -350;
	tell(ns1, &t, key, wall(), &got);
	assert_int_equal(got.tsig.skew_s, -350);
	dnsmsg_free(got.msg);
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ 0 };
	assert_int_equal(records(ns1, r, 4), 0);
	tsig_key_unref(other);
	tsig_key_unref(wrong);
}

static void t_algorithms(void **state)
{
	static const char *const algs[] = { "hmac-sha1", "hmac-sha224", "hmac-sha384",
					    "hmac-sha512", "hmac-md5" };
	static struct sent got;

	(void)state;
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		char text[256], apex[64];
		struct tsig_key *k;
		struct told t;

		(void)snprintf(text, sizeof(text),
			       "key \"k%zu\" { algorithm %s; secret \"MDEyMzQ1Njc4OQ==\"; };", i,
			       algs[i]);
		(void)snprintf(apex, sizeof(apex), "alg%zu.test", i);
		sim_zone(apex, &ns1, 1, text, NULL);
		k = make_key(text);
		told_begin(&t, apex);
		told_change(&t, DNS_ADD, srv_of(apex, 60, 0, "kms1.corp.example"));
		tell(ns1, &t, k, wall(), &got);
		assert_int_equal(got.verified, 0);
		assert_int_equal(got.msg->rcode, 0);
		dnsmsg_free(got.msg);
		tsig_key_unref(k);
	}
}

/* ---- ways ---- */

static void t_ways(void **state)
{
	static struct sent got;
	struct sim_record r[4];
	struct told t;

	(void)state;
	clear_set();
	told_begin(&t, "corp.example");
	told_change(&t, DNS_ADD, srv_of(SRV_NAME, 3600, 0, "kms1.corp.example"));
	sim_dns_ways(ns1)->update_rcode = DNS_RCODE_SERVFAIL;
	assert_int_equal(tell_rightly(&t), DNS_RCODE_SERVFAIL);
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ .update_ignored = true };
	assert_int_equal(tell_rightly(&t), 0);
	assert_int_equal(records(ns1, r, 4), 0);
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ .silent = true };
	tell(ns1, &t, key, wall(), &got);
	assert_null(got.msg);
	assert_int_equal(records(ns1, r, 4), 0);
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ .unsigned_answers = true };
	tell(ns1, &t, key, wall(), &got);
	assert_int_equal(got.verified, ERR_TSIG_UNSIGNED);
	dnsmsg_free(got.msg);
	clear_set();
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ .tsig_error = DNS_RCODE_BADSIG };
	tell(ns1, &t, key, wall(), &got);
	assert_int_equal(got.verified, ERR_TSIG_PEER_BADSIG);
	dnsmsg_free(got.msg);
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ .ttl_max = 100, .update_answer_lost = true };
	tell(ns1, &t, key, wall(), &got);
	assert_null(got.msg);
	assert_string_equal(
		last_line,
		"ns1 update corp.example add 3600 0 0 1688 kms1.corp.example -> nothing");
	assert_int_equal(records(ns1, r, 4), 1);
	assert_int_equal(r[0].ttl, 100);
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ .query_rcode = DNS_RCODE_SERVFAIL };
	check_ask(ns1, SRV_NAME, DNS_TYPE_SRV, "SERVFAIL 0 0 0");
	*sim_dns_ways(ns1) = (struct sim_dns_ways){ 0 };
}

static void t_transfer(void **state)
{
	uint32_t serial;
	struct sim_record r[4];
	uint64_t begin;

	(void)state;
	clear_set();
	sim_idle(sim_now() + 1000);
	begin = sim_now();
	serial = sim_zone_serial(corp, ns2);
	assert_int_equal(sim_zone_serial(corp, ns1), serial);
	sim_zone_add(corp, SRV_NAME, "SRV", 3600, "0 0 1688 kms1.corp.example");
	sim_idle(begin + 499);
	assert_int_equal(records(ns2, r, 4), 0);
	sim_idle(begin + 501);
	assert_int_equal(records(ns2, r, 4), 1);
	assert_int_equal(sim_zone_serial(corp, ns2), serial + 1);

	/* the way at the time of the change counts, and a change soon after goes with it */
	sim_dns_ways(ns2)->transfer_ms = 5000;
	sim_zone_add(corp, SRV_NAME, "SRV", 3600, "0 0 1688 kms2.corp.example");
	sim_idle(begin + 3000);
	sim_zone_delete(corp, SRV_NAME, "SRV", "0 0 1688 kms2.corp.example");
	sim_zone_add(corp, SRV_NAME, "SRV", 3600, "0 0 1688 kms3.corp.example");
	sim_idle(begin + 5490);
	assert_int_equal(records(ns2, r, 4), 1);
	sim_idle(begin + 5510);
	assert_int_equal(records(ns2, r, 4), 2);
	sim_zone_delete(corp, SRV_NAME, "SRV", "0 0 1688 kms3.corp.example");
	sim_idle(begin + 11000);
	begin = sim_now();

	sim_dns_ways(ns2)->no_transfer = true;
	clear_set();
	sim_idle(begin + 10000);
	assert_int_equal(records(ns2, r, 4), 1);
	*sim_dns_ways(ns2) = (struct sim_dns_ways){ .transfer_ms = 3000 };
	sim_idle(begin + 12990);
	assert_int_equal(records(ns2, r, 4), 1);
	sim_idle(begin + 13010);
	assert_int_equal(records(ns2, r, 4), 0);
	*sim_dns_ways(ns2) = (struct sim_dns_ways){ 0 };
}

static void t_views(void **state)
{
	struct sim_zone *in, *out;
	struct sim_record r[4];
	struct told t;
	static struct sent got;
	struct tsig_key *k = make_key(KEY_TEXT("inside"));

	(void)state;
	out = sim_zone("split.example", &ns1, 1, NULL, NULL);
	in = sim_zone("split.example", &ns1, 1, KEY_TEXT("inside"), "10.0.0.99");
	told_begin(&t, "split.example");
	told_change(&t, DNS_ADD, srv_of("_vlmcs._tcp.split.example", 60, 0, "kms1.corp.example"));
	tell(ns1, &t, k, wall(), &got);
	assert_int_equal(got.msg->rcode, 0);
	dnsmsg_free(got.msg);
	assert_int_equal(sim_zone_records(in, ns1, "_vlmcs._tcp.split.example", "SRV", r, 4), 1);
	assert_int_equal(sim_zone_records(out, ns1, "_vlmcs._tcp.split.example", "SRV", r, 4), 0);
	check_ask(ns1, "_vlmcs._tcp.split.example", DNS_TYPE_SRV, "NXDOMAIN aa 0 1 0: SOA 300");
	addr_parse("10.0.0.99:4000", 0, &me);
	check_ask(ns1, "_vlmcs._tcp.split.example", DNS_TYPE_SRV, "NOERROR aa 1 1 1: SRV 60");
	addr_parse("10.0.0.9:4000", 0, &me);
	tsig_key_unref(k);
}

/** Each prefix and each changed octet of a signed update: never a crash, never a change. */
static void t_junk(void **state)
{
	static uint8_t answer[SIM_PACKET_MAX];
	struct sim_record r[4];
	struct tsig_request rq;
	struct told t;
	struct buf b;
	size_t plain_len;

	(void)state;
	clear_set();
	told_begin(&t, "corp.example");
	told_change(&t, DNS_ADD, srv_of(SRV_NAME, 3600, 0, "kms1.corp.example"));
	buf_init(&b, DNSMSG_MAX);
	assert_int_equal(dnsmsg_build_update(&t.u, 79, &b), 0);
	plain_len = b.len;
	assert_int_equal(tsig_sign(key, wall(), &b, &rq), 0);
	for (size_t n = 0; n < b.len; n++)
		sim_dns_serve(ns1, &me, false, b.data, n, sim_now(), answer, sizeof(answer));
	for (size_t i = 2; i < b.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			if (bit == 5 && i > plain_len)
				continue; /* capitals in the key's name: the same signature */
			b.data[i] ^= (uint8_t)(1u << bit);
			sim_dns_serve(ns1, &me, false, b.data, b.len, sim_now(), answer,
				      sizeof(answer));
			b.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	buf_done(&b);
	assert_int_equal(records(ns1, r, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_queries),      cmocka_unit_test(t_resolvers),
		cmocka_unit_test(t_cache),        cmocka_unit_test(t_truncated),
		cmocka_unit_test(t_update),       cmocka_unit_test(t_update_elsewhere),
		cmocka_unit_test(t_prerequisite), cmocka_unit_test(t_other_forms),
		cmocka_unit_test(t_permission),   cmocka_unit_test(t_algorithms),
		cmocka_unit_test(t_ways),         cmocka_unit_test(t_transfer),
		cmocka_unit_test(t_views),        cmocka_unit_test(t_junk),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
