/* resolver/audit_judge.h: from what servers and probes said to classes, findings and a status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "resolver/audit_judge.h"

#define VIEWS 4

static struct rsv_server_view views[VIEWS];
static size_t n_views;
static struct rsv_audit_result r;

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static void reset(void)
{
	for (size_t i = 0; i < n_views; i++)
		rsv_set_done(&views[i].set);
	memset(views, 0, sizeof(views));
	n_views = 0;
	free(r.records);
	free(r.findings);
	memset(&r, 0, sizeof(r));
	r.domain = name("corp.example");
	r.servers = views;
}

/** A name server with authority that has no record yet. */
static struct rsv_server_view *server(const char *ns, uint32_t serial)
{
	struct rsv_server_view *v = &views[n_views++];

	assert_true(n_views <= VIEWS);
	v->role = RSV_ROLE_NS;
	v->name = name(ns);
	v->is_primary = n_views == 1;
	assert_int_equal(addr_parse("192.0.2.53", (uint16_t)(50 + n_views), &v->addr), 0);
	v->n_addrs = 1;
	v->aa = true;
	v->has_serial = true;
	v->serial = serial;
	v->srv_err = ERR_DNS_NODATA;
	r.n_servers = n_views;
	return v;
}

static void add(struct rsv_server_view *v, const char *target, unsigned port, unsigned priority,
		unsigned weight)
{
	struct rsv_set *s = &v->set;

	v->srv_err = 0;
	s->ttl = 3600;
	s->rec = realloc(s->rec, (s->n + 1) * sizeof(*s->rec));
	assert_non_null(s->rec);
	memset(&s->rec[s->n], 0, sizeof(*s->rec));
	s->rec[s->n].srv.target = name(target);
	s->rec[s->n].srv.port = (uint16_t)port;
	s->rec[s->n].srv.priority = (uint16_t)priority;
	s->rec[s->n].srv.weight = (uint16_t)weight;
	s->rec[s->n].ttl = 3600;
	s->n = rsv_record_canonicalize(s->rec, s->n + 1);
}

static struct rsv_expect expect(const char *target, unsigned priority, unsigned weight)
{
	struct rsv_expect e = {
		.target = name(target),
		.port = 1688,
		.has_priority = true,
		.has_weight = true,
		.priority = (uint16_t)priority,
		.weight = (uint16_t)weight,
	};

	return e;
}

/** 198.51.100.N */
static struct addr target_addr(unsigned n)
{
	const uint8_t ip[4] = { 198, 51, 100, (uint8_t)n };
	struct addr a;

	addr_from_v4(&a, ip, 1688);
	return a;
}

/** Servers and records; then every target is up until a test says otherwise. */
static struct rsv_judge_input begin(void)
{
	struct rsv_judge_input in;
	enum rsv_agreement agreement;

	memset(&in, 0, sizeof(in));
	in.reference = rsv_judge_servers(views, n_views, NULL, &agreement);
	if (in.reference != RSV_NO_SERVER)
		assert_int_equal(rsv_judge_records(&r, in.reference), 0);
	for (size_t i = 0; i < r.n_records; i++) {
		r.records[i].known = !dns_name_is_root(&r.records[i].rec.srv.target);
		r.records[i].target.n_addrs = 1;
		r.records[i].target.addrs[0] = target_addr((unsigned)i + 1);
		r.records[i].target.probed = true;
		r.records[i].target.probe.state = PROBE_UP;
	}
	return in;
}

static bool found(enum finding_id id)
{
	for (size_t i = 0; i < r.n_findings; i++)
		if (r.findings[i].id == id)
			return true;
	return false;
}

/** Exactly these findings, in any order; -1 ends the list. */
static void assert_findings(int first, ...)
{
	size_t n = 0;
	va_list ap;

	va_start(ap, first);
	for (int id = first; id != -1; id = va_arg(ap, int), n++)
		if (!found((enum finding_id)id))
			fail_msg("not found: %s", finding_info((enum finding_id)id)->id);
	va_end(ap);
	if (n != r.n_findings)
		for (size_t i = 0; i < r.n_findings; i++)
			print_message("%s: %s\n", finding_info(r.findings[i].id)->id,
				      r.findings[i].text);
	assert_int_equal(n, r.n_findings);
}

/** A healthy zone: two servers, two hosts. */
static void healthy(void)
{
	reset();
	for (int i = 0; i < 2; i++) {
		struct rsv_server_view *v = server(i == 0 ? "ns1.example" : "ns2.example", 7);

		add(v, "kms1.corp.example", 1688, 0, 10);
		add(v, "kms2.corp.example", 1688, 10, 0);
	}
}

static void t_healthy_zone_has_no_finding(void **state)
{
	struct rsv_expect own[2];
	struct rsv_judge_input in;

	(void)state;
	healthy();
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(-1);
	assert_int_equal(r.status, RSV_OK_);
	assert_int_equal(r.records[0].cls, RSV_C_EXPECTED);
	assert_true(r.records[0].probability == 1.0);

	healthy();
	in = begin();
	own[0] = expect("kms1.corp.example", 0, 10);
	own[1] = expect("kms2.corp.example", 10, 0);
	in.own = own;
	in.n_own = 2;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(-1);
	assert_int_equal(r.records[1].cls, RSV_C_MINE_HEALTHY);
	reset();
}

static void t_one_host_is_worth_a_word(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	reset();
	add(server("ns1.example", 1), "kms1.corp.example", 1688, 0, 0);
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_SINGLE_HOST, -1);
	assert_int_equal(r.status, RSV_OK_);
	reset();
}

/* Each state of a probe gives its own finding; all hosts down is more than each of them. */
static void t_probes(void **state)
{
	static const struct {
		enum probe_state probe;
		enum finding_id id;
	} t[] = {
		{ PROBE_NO_KMS_INTERFACE, FINDING_NOT_KMS }, { PROBE_RPC_REFUSED, FINDING_NO_RPC },
		{ PROBE_NOT_RPC, FINDING_NO_RPC },           { PROBE_REFUSED, FINDING_DEAD_TARGET },
		{ PROBE_TIMEOUT, FINDING_DEAD_TARGET },
	};
	struct rsv_judge_input in;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		healthy();
		in = begin();
		r.records[0].target.probe.state = t[i].probe;
		assert_int_equal(rsv_judge_findings(&r, &in), 0);
		assert_findings((int)t[i].id, -1);
		assert_int_equal(r.status, RSV_WARN_);
		assert_int_equal(r.records[0].cls, RSV_C_DEAD_TARGET);
	}
	healthy();
	in = begin();
	r.records[0].target.probe.state = PROBE_TIMEOUT;
	r.records[1].target.probe.state = PROBE_REFUSED;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_ALL_DOWN, FINDING_DEAD_TARGET, FINDING_DEAD_TARGET, -1);
	assert_int_equal(r.findings[0].id, FINDING_ALL_DOWN); /* the worst comes first */
	assert_int_equal(r.status, RSV_CRIT_);
	reset();
}

static void t_targets(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	healthy();
	in = begin();
	r.records[0].target.is_alias = true;
	r.records[1].target.resolve_err = ERR_RCODE_NXDOMAIN;
	r.records[1].target.probed = false;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_TARGET_CNAME, FINDING_TARGET_NO_ADDRESS, -1);
	assert_int_equal(r.records[0].cls, RSV_C_TARGET_CNAME);
	assert_int_equal(r.records[1].cls, RSV_C_DEAD_TARGET);

	reset();
	add(server("ns1.example", 1), "kms1.corp.example", 0, 0, 0);
	add(&views[0], "kms2.corp.example", 1688, 0, 0);
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_PORT_ZERO, -1);
	reset();
}

static void t_absence(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	reset();
	server("ns1.example", 1)->srv_err = 0;
	views[0].set.absent = true;
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_ABSENT_BY_DOT, -1);
	assert_int_equal(r.n_records, 1);
	assert_int_equal(r.records[0].cls, RSV_C_ABSENT_BY_DOT);

	reset();
	server("ns1.example", 1)->srv_err = ERR_RCODE_NXDOMAIN;
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_NO_RECORDS, -1);
	assert_int_equal(r.status, RSV_CRIT_);
	reset();
}

/* --expect is the complete set: missing is critical, extra a warning. */
static void t_expected_set(void **state)
{
	struct rsv_expect e[2];
	struct rsv_judge_input in;

	(void)state;
	healthy();
	in = begin();
	e[0] = expect("kms1.corp.example", 0, 10);
	e[1] = expect("kms9.corp.example", 0, 0);
	in.expect = e;
	in.n_expect = 2;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_MISSING, FINDING_EXTRA, -1);
	assert_int_equal(r.status, RSV_CRIT_);
	assert_int_equal(r.records[0].cls, RSV_C_EXPECTED);
	assert_int_equal(r.records[1].cls, RSV_C_FOREIGN_UNKNOWN);

	healthy();
	in = begin();
	e[0] = expect("kms1.corp.example", 5, 11);
	e[1] = expect("kms2.corp.example", 0, 0);
	e[1].has_priority = false;
	e[1].has_weight = false;
	in.expect = e;
	in.n_expect = 2;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_PRIORITY_DIFFERS, FINDING_WEIGHT_DIFFERS, -1);
	assert_int_equal(r.records[0].cls, RSV_C_FOREIGN_KNOWN);
	assert_int_equal(r.records[1].cls, RSV_C_EXPECTED);
	reset();
}

static void t_against_the_configuration(void **state)
{
	struct rsv_expect own[1];
	struct rsv_judge_input in;

	(void)state;
	healthy();
	in = begin();
	own[0] = expect("kms1.corp.example", 0, 10);
	in.own = own;
	in.n_own = 1;
	r.records[0].target.probe.state = PROBE_REFUSED;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_FOREIGN_UNKNOWN, FINDING_DEAD_TARGET, -1);
	assert_int_equal(r.records[0].cls, RSV_C_MINE_DOWN);
	assert_int_equal(r.records[1].cls, RSV_C_FOREIGN_UNKNOWN);

	/* P07: the Windows host repeats itself with 0 0 beside our record */
	reset();
	add(server("ns1.example", 1), "kms1.corp.example", 1688, 0, 10);
	add(&views[0], "kms1.corp.example", 1688, 0, 0);
	in = begin();
	in.own = own;
	in.n_own = 1;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_HOST_SELF_PUBLISHES, FINDING_SINGLE_HOST, -1);
	assert_int_equal(r.records[0].cls, RSV_C_FOREIGN_KNOWN);
	assert_int_equal(r.records[1].cls, RSV_C_MINE_HEALTHY);

	/* which is evident without a configuration, too */
	reset();
	add(server("ns1.example", 1), "kms1.corp.example", 1688, 0, 10);
	add(&views[0], "kms1.corp.example", 1688, 0, 0);
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_HOST_SELF_PUBLISHES, FINDING_SINGLE_HOST, -1);
	reset();
}

/* Z07, Z09: an older serial with another set is lag, the same serial is a contradiction. */
static void t_servers(void **state)
{
	static const struct {
		uint32_t primary, secondary;
		enum rsv_server_state first, second;
		enum rsv_agreement agreement;
	} t[] = {
		{ 8, 7, RSV_S_OK, RSV_S_LAGGING, RSV_LAG },
		{ 0, 0xffffffffu, RSV_S_OK, RSV_S_LAGGING, RSV_LAG }, /* the serial wrapped */
		{ 7, 8, RSV_S_LAGGING, RSV_S_OK, RSV_LAG },
		{ 7, 7, RSV_S_OK, RSV_S_DIFFERS, RSV_DIFFER },
	};
	enum rsv_agreement agreement;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		reset();
		add(server("ns1.example", t[i].primary), "kms1.corp.example", 1688, 0, 0);
		server("ns2.example", t[i].secondary);
		rsv_judge_servers(views, n_views, NULL, &agreement);
		assert_int_equal(views[0].state, t[i].first);
		assert_int_equal(views[1].state, t[i].second);
		assert_int_equal(agreement, t[i].agreement);
	}
	/* an older serial with the same set is no news */
	reset();
	add(server("ns1.example", 8), "kms1.corp.example", 1688, 0, 0);
	add(server("ns2.example", 7), "kms1.corp.example", 1688, 0, 0);
	assert_int_equal(rsv_judge_servers(views, n_views, NULL, &agreement), 0);
	assert_int_equal(views[1].state, RSV_S_OK);
	assert_int_equal(agreement, RSV_AGREE);
	/* nor is NXDOMAIN beside NODATA */
	reset();
	server("ns1.example", 8);
	server("ns2.example", 8)->srv_err = ERR_RCODE_NXDOMAIN;
	rsv_judge_servers(views, n_views, NULL, &agreement);
	assert_int_equal(views[1].state, RSV_S_OK);
	reset();
}

static void t_servers_that_fail(void **state)
{
	static const struct {
		int err;
		bool aa;
		enum rsv_server_state state;
		enum finding_id id;
	} t[] = {
		{ ERR_TIMEOUT, false, RSV_S_UNREACHABLE, FINDING_SERVER_UNREACHABLE },
		{ ERR_RCODE_REFUSED, false, RSV_S_LAME, FINDING_SERVER_LAME },
		{ ERR_RCODE_SERVFAIL, false, RSV_S_LAME, FINDING_SERVER_LAME },
		{ ERR_DNS_NOT_AUTH, false, RSV_S_LAME, FINDING_SERVER_LAME },
		{ ERR_DNS_NODATA, false, RSV_S_LAME, FINDING_SERVER_LAME },
	};
	struct rsv_judge_input in;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		healthy();
		rsv_set_done(&views[1].set);
		views[1].srv_err = t[i].err;
		views[1].aa = t[i].aa;
		in = begin();
		assert_int_equal(views[1].state, t[i].state);
		assert_int_equal(rsv_judge_findings(&r, &in), 0);
		assert_findings((int)t[i].id, -1);
		assert_int_equal(r.status, RSV_WARN_);
	}
	/* with authority, but for the zone above: it does not have this one */
	for (int same = 0; same < 2; same++) {
		struct dns_name zone = name("corp.example");
		enum rsv_agreement agreement;

		healthy();
		rsv_set_done(&views[1].set);
		views[1].srv_err = ERR_RCODE_NXDOMAIN;
		views[1].set.negative_zone = same ? zone : name("example");
		rsv_judge_servers(views, n_views, &zone, &agreement);
		assert_int_equal(views[1].state, same ? RSV_S_DIFFERS : RSV_S_LAME);
	}
	/* nobody: nothing can be said, so nothing is called missing */
	reset();
	server("ns1.example", 1)->srv_err = ERR_TIMEOUT;
	views[0].aa = false;
	in = begin();
	assert_int_equal(in.reference, RSV_NO_SERVER);
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_NO_ANSWER, FINDING_SERVER_UNREACHABLE, -1);
	assert_int_equal(r.status, RSV_UNKNOWN_);
	reset();
}

/* An old copy in a resolver ends by itself; one that would last longer is something else. */
static void t_resolvers(void **state)
{
	static const struct {
		uint32_t ttl;
		enum rsv_server_state state;
		enum finding_id id;
		enum rsv_status status;
	} t[] = {
		{ 1200, RSV_S_STALE, FINDING_RESOLVER_STALE, RSV_OK_ },
		{ 90000, RSV_S_DIFFERS, FINDING_RESOLVER_DIFFERS, RSV_WARN_ },
	};
	struct rsv_judge_input in;
	struct rsv_server_view *v;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		healthy();
		v = server("x.example", 0);
		v->role = RSV_ROLE_RESOLVER;
		v->aa = false;
		v->has_serial = false;
		add(v, "old.corp.example", 1688, 0, 0);
		v->set.ttl = t[i].ttl;
		in = begin();
		assert_int_equal(in.reference, 0);
		assert_int_equal(v->state, t[i].state);
		assert_int_equal(rsv_judge_findings(&r, &in), 0);
		assert_findings((int)t[i].id, -1);
		assert_int_equal(r.status, t[i].status);
	}
	/* a "no" is old only where it speaks for this zone */
	for (int same = 0; same < 2; same++) {
		struct dns_name zone = name("corp.example");
		enum rsv_agreement agreement;

		healthy();
		v = server("x.example", 0);
		v->role = RSV_ROLE_RESOLVER;
		v->aa = false;
		v->srv_err = ERR_RCODE_NXDOMAIN;
		v->set.negative_ttl = 60;
		v->set.negative_zone = same ? zone : name("example");
		rsv_judge_servers(views, n_views, &zone, &agreement);
		assert_int_equal(v->state, same ? RSV_S_STALE : RSV_S_DIFFERS);
		rsv_judge_servers(views, n_views, NULL, &agreement);
		assert_int_equal(v->state, RSV_S_STALE);
	}
	/* where nobody has authority, a resolver has to do */
	reset();
	v = server("x.example", 0);
	v->role = RSV_ROLE_RESOLVER;
	v->aa = false;
	add(v, "kms1.corp.example", 1688, 0, 0);
	in = begin();
	assert_int_equal(in.reference, 0);
	reset();
}

static void t_ttl(void **state)
{
	struct rsv_judge_input in;
	enum rsv_agreement agreement;

	(void)state;
	healthy();
	views[1].set.ttl = 60;
	rsv_judge_servers(views, n_views, NULL, &agreement);
	assert_int_equal(agreement, RSV_DIFFER);
	views[1].serial = 6; /* a change of the TTL may be on its way */
	rsv_judge_servers(views, n_views, NULL, &agreement);
	assert_int_equal(agreement, RSV_LAG);
	views[1].serial = 7;
	in = begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_TTL_MISMATCH, -1);

	healthy();
	views[0].set.mixed_ttl = views[1].set.mixed_ttl = true;
	in = begin();
	in.aliased = true;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_findings(FINDING_TTL_MISMATCH, FINDING_ALIASED, -1);
	reset();
}

/* A flood of warnings must not hide what is critical. */
static void t_findings_are_bounded(void **state)
{
	struct rsv_expect e[1];
	struct rsv_judge_input in;

	(void)state;
	reset();
	server("ns1.example", 1);
	for (unsigned i = 0; i < RSV_FINDINGS_MAX + 10; i++)
		add(&views[0], "rogue.example", i + 1, 0, 1);
	in = begin();
	e[0] = expect("kms1.corp.example", 0, 0);
	in.expect = e;
	in.n_expect = 1;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_int_equal(r.n_findings, RSV_FINDINGS_MAX);
	assert_int_equal(r.findings_dropped, 12);
	assert_int_equal(r.findings[0].id, FINDING_MISSING);
	assert_int_equal(r.status, RSV_CRIT_);
	reset();
}

static void t_status(void **state)
{
	(void)state;
	assert_int_equal(rsv_status_worst(RSV_UNKNOWN_, RSV_CRIT_), RSV_CRIT_);
	assert_int_equal(rsv_status_worst(RSV_WARN_, RSV_UNKNOWN_), RSV_UNKNOWN_);
	assert_int_equal(rsv_status_worst(RSV_OK_, RSV_WARN_), RSV_WARN_);
	assert_int_equal(rsv_status_exit_code(RSV_CRIT_), 2);
	assert_int_equal(rsv_status_exit_code(RSV_UNKNOWN_), 3);
	assert_false(rsv_serial_older(5, 5));
	assert_true(rsv_serial_older(5, 6));
	assert_true(rsv_serial_older(0xfffffff0u, 3));
	assert_false(rsv_serial_older(3, 0xfffffff0u));
	assert_false(rsv_serial_older(0, 0x80000000u));
}

static void t_finding_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FINDING_COUNT_; i++) {
		const struct finding_info *a = finding_info((enum finding_id)i);

		assert_true(strlen(a->id) > 0 && strlen(a->hint) > 0 && strlen(a->meaning) > 0);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(a->id, finding_info((enum finding_id)k)->id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_healthy_zone_has_no_finding),
		cmocka_unit_test(t_one_host_is_worth_a_word),
		cmocka_unit_test(t_probes),
		cmocka_unit_test(t_targets),
		cmocka_unit_test(t_absence),
		cmocka_unit_test(t_expected_set),
		cmocka_unit_test(t_against_the_configuration),
		cmocka_unit_test(t_servers),
		cmocka_unit_test(t_servers_that_fail),
		cmocka_unit_test(t_resolvers),
		cmocka_unit_test(t_ttl),
		cmocka_unit_test(t_findings_are_bounded),
		cmocka_unit_test(t_status),
		cmocka_unit_test(t_finding_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
