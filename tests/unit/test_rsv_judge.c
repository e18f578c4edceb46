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
#include "tests/lib/judge_site.h"

static void t_healthy_zone_has_no_finding(void **state)
{
	struct rsv_expect own[2];
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(-1);
	assert_int_equal(r.status, RSV_OK_);
	assert_int_equal(r.records[0].cls, RSV_C_EXPECTED);
	assert_true(r.records[0].probability == 1.0);

	judge_healthy();
	in = judge_begin();
	own[0] = judge_expect("kms1.corp.example", 0, 10);
	own[1] = judge_expect("kms2.corp.example", 10, 0);
	in.own = own;
	in.n_own = 2;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(-1);
	assert_int_equal(r.records[1].cls, RSV_C_MINE_HEALTHY);
	judge_reset();
}

static void t_one_host_is_worth_a_word(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 0, 0);
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_SINGLE_HOST, -1);
	assert_int_equal(r.status, RSV_OK_);
	judge_reset();
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
		judge_healthy();
		in = judge_begin();
		r.records[0].target.probe.state = t[i].probe;
		assert_int_equal(rsv_judge_findings(&r, &in), 0);
		judge_assert_findings((int)t[i].id, -1);
		assert_int_equal(r.status, RSV_WARN_);
		assert_int_equal(r.records[0].cls, RSV_C_DEAD_TARGET);
	}
	judge_healthy();
	in = judge_begin();
	r.records[0].target.probe.state = PROBE_TIMEOUT;
	r.records[1].target.probe.state = PROBE_REFUSED;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_ALL_DOWN, FINDING_DEAD_TARGET, FINDING_DEAD_TARGET, -1);
	assert_int_equal(r.findings[0].id, FINDING_ALL_DOWN); /* the worst comes first */
	assert_int_equal(r.status, RSV_CRIT_);
	judge_reset();
}

static void t_targets(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	r.records[0].target.is_alias = true;
	r.records[1].target.resolve_err = ERR_RCODE_NXDOMAIN;
	r.records[1].target.probed = false;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_TARGET_CNAME, FINDING_TARGET_NO_ADDRESS, -1);
	assert_int_equal(r.records[0].cls, RSV_C_TARGET_CNAME);
	assert_int_equal(r.records[1].cls, RSV_C_DEAD_TARGET);

	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 0, 0, 0);
	judge_add(&views[0], "kms2.corp.example", 1688, 0, 0);
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_PORT_ZERO, -1);
	judge_reset();
}

static void t_absence(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_reset();
	judge_server("ns1.example", 1)->srv_err = 0;
	views[0].set.absent = true;
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_ABSENT_BY_DOT, -1);
	assert_int_equal(r.n_records, 1);
	assert_int_equal(r.records[0].cls, RSV_C_ABSENT_BY_DOT);

	judge_reset();
	judge_server("ns1.example", 1)->srv_err = ERR_RCODE_NXDOMAIN;
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_NO_RECORDS, -1);
	assert_int_equal(r.status, RSV_CRIT_);
	judge_reset();
}

/* --expect is the complete set: missing is critical, extra a warning. */
static void t_expected_set(void **state)
{
	struct rsv_expect e[2];
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	e[0] = judge_expect("kms1.corp.example", 0, 10);
	e[1] = judge_expect("kms9.corp.example", 0, 0);
	in.expect = e;
	in.n_expect = 2;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_MISSING, FINDING_EXTRA, -1);
	assert_int_equal(r.status, RSV_CRIT_);
	assert_int_equal(r.records[0].cls, RSV_C_EXPECTED);
	assert_int_equal(r.records[1].cls, RSV_C_FOREIGN_UNKNOWN);

	judge_healthy();
	in = judge_begin();
	e[0] = judge_expect("kms1.corp.example", 5, 11);
	e[1] = judge_expect("kms2.corp.example", 0, 0);
	e[1].has_priority = false;
	e[1].has_weight = false;
	in.expect = e;
	in.n_expect = 2;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_PRIORITY_DIFFERS, FINDING_WEIGHT_DIFFERS, -1);
	assert_int_equal(r.records[0].cls, RSV_C_FOREIGN_KNOWN);
	assert_int_equal(r.records[1].cls, RSV_C_EXPECTED);
	judge_reset();
}

static void t_against_the_configuration(void **state)
{
	struct rsv_expect own[1];
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	own[0] = judge_expect("kms1.corp.example", 0, 10);
	in.own = own;
	in.n_own = 1;
	r.records[0].target.probe.state = PROBE_REFUSED;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_FOREIGN_UNKNOWN, FINDING_DEAD_TARGET, -1);
	assert_int_equal(r.records[0].cls, RSV_C_MINE_DOWN);
	assert_int_equal(r.records[1].cls, RSV_C_FOREIGN_UNKNOWN);

	/* P07: the Windows host repeats itself with 0 0 beside our record */
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 0, 10);
	judge_add(&views[0], "kms1.corp.example", 1688, 0, 0);
	in = judge_begin();
	in.own = own;
	in.n_own = 1;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_HOST_SELF_PUBLISHES, FINDING_SINGLE_HOST, -1);
	assert_int_equal(r.records[0].cls, RSV_C_FOREIGN_KNOWN);
	assert_int_equal(r.records[1].cls, RSV_C_MINE_HEALTHY);

	/* which is evident without a configuration, too */
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 0, 10);
	judge_add(&views[0], "kms1.corp.example", 1688, 0, 0);
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_HOST_SELF_PUBLISHES, FINDING_SINGLE_HOST, -1);
	judge_reset();
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
		{ 7, 8, RSV_S_OK, RSV_S_DIFFERS, RSV_LAG }, /* the primary is what counts */
		{ 7, 7, RSV_S_OK, RSV_S_DIFFERS, RSV_DIFFER },
	};
	enum rsv_agreement agreement;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		judge_reset();
		judge_add(judge_server("ns1.example", t[i].primary), "kms1.corp.example", 1688, 0,
			  0);
		judge_server("ns2.example", t[i].secondary);
		rsv_judge_servers(views, n_views, NULL, &agreement);
		assert_int_equal(views[0].state, t[i].first);
		assert_int_equal(views[1].state, t[i].second);
		assert_int_equal(agreement, t[i].agreement);
	}
	/* an older serial with the same set is no news */
	judge_reset();
	judge_add(judge_server("ns1.example", 8), "kms1.corp.example", 1688, 0, 0);
	judge_add(judge_server("ns2.example", 7), "kms1.corp.example", 1688, 0, 0);
	assert_int_equal(rsv_judge_servers(views, n_views, NULL, &agreement), 0);
	assert_int_equal(views[1].state, RSV_S_OK);
	assert_int_equal(agreement, RSV_AGREE);
	/* nor is NXDOMAIN beside NODATA */
	judge_reset();
	judge_server("ns1.example", 8);
	judge_server("ns2.example", 8)->srv_err = ERR_RCODE_NXDOMAIN;
	rsv_judge_servers(views, n_views, NULL, &agreement);
	assert_int_equal(views[1].state, RSV_S_OK);
	judge_reset();
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
		judge_healthy();
		rsv_set_done(&views[1].set);
		views[1].srv_err = t[i].err;
		views[1].aa = t[i].aa;
		in = judge_begin();
		assert_int_equal(views[1].state, t[i].state);
		assert_int_equal(rsv_judge_findings(&r, &in), 0);
		judge_assert_findings((int)t[i].id, -1);
		assert_int_equal(r.status, RSV_WARN_);
	}
	/* a server that was named by hand: the same, but a resolver may be among those */
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		bool answers = t[i].err == ERR_DNS_NODATA;

		judge_healthy();
		views[1].role = RSV_ROLE_SERVER;
		rsv_set_done(&views[1].set);
		views[1].srv_err = t[i].err;
		views[1].aa = t[i].aa;
		(void)judge_begin();
		assert_int_equal(views[1].state, answers ? RSV_S_DIFFERS : t[i].state);
	}
	/* with authority, but for the zone above: it does not have this one */
	for (int same = 0; same < 2; same++) {
		struct dns_name zone = judge_name("corp.example");
		enum rsv_agreement agreement;

		judge_healthy();
		rsv_set_done(&views[1].set);
		views[1].srv_err = ERR_RCODE_NXDOMAIN;
		views[1].set.negative_zone = same ? zone : judge_name("example");
		rsv_judge_servers(views, n_views, &zone, &agreement);
		assert_int_equal(views[1].state, same ? RSV_S_DIFFERS : RSV_S_LAME);
	}
	/* nobody: nothing can be said, so nothing is called missing */
	judge_reset();
	judge_server("ns1.example", 1)->srv_err = ERR_TIMEOUT;
	views[0].aa = false;
	in = judge_begin();
	assert_int_equal(in.reference, RSV_NO_SERVER);
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_NO_ANSWER, FINDING_SERVER_UNREACHABLE, -1);
	assert_int_equal(r.status, RSV_UNKNOWN_);
	judge_reset();
}

/* A resolver's answer alone is no proof of what the name servers have. */
static void t_zone_that_was_not_found(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	r.zone_err = ERR_TIMEOUT;
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_ZONE_UNKNOWN, -1);
	assert_int_equal(r.status, RSV_WARN_);
	judge_reset();
	judge_healthy();
	r.zone_err = ERR_DNS_NO_ZONE;
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(-1);
	judge_reset();
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
		judge_healthy();
		v = judge_server("x.example", 0);
		v->role = RSV_ROLE_RESOLVER;
		v->aa = false;
		v->has_serial = false;
		judge_add(v, "old.corp.example", 1688, 0, 0);
		v->set.ttl = t[i].ttl;
		in = judge_begin();
		assert_int_equal(in.reference, 0);
		assert_int_equal(v->state, t[i].state);
		assert_int_equal(rsv_judge_findings(&r, &in), 0);
		judge_assert_findings((int)t[i].id, -1);
		assert_int_equal(r.status, t[i].status);
	}
	/* a "no" is old only where it speaks for this zone */
	for (int same = 0; same < 2; same++) {
		struct dns_name zone = judge_name("corp.example");
		enum rsv_agreement agreement;

		judge_healthy();
		v = judge_server("x.example", 0);
		v->role = RSV_ROLE_RESOLVER;
		v->aa = false;
		v->srv_err = ERR_RCODE_NXDOMAIN;
		v->set.negative_ttl = 60;
		v->set.negative_zone = same ? zone : judge_name("example");
		rsv_judge_servers(views, n_views, &zone, &agreement);
		assert_int_equal(v->state, same ? RSV_S_STALE : RSV_S_DIFFERS);
		rsv_judge_servers(views, n_views, NULL, &agreement);
		assert_int_equal(v->state, RSV_S_STALE);
	}
	/* where nobody has authority, a resolver has to do */
	judge_reset();
	v = judge_server("x.example", 0);
	v->role = RSV_ROLE_RESOLVER;
	v->aa = false;
	judge_add(v, "kms1.corp.example", 1688, 0, 0);
	in = judge_begin();
	assert_int_equal(in.reference, 0);
	judge_reset();
}

static void t_ttl(void **state)
{
	struct rsv_judge_input in;
	enum rsv_agreement agreement;

	(void)state;
	judge_healthy();
	views[1].set.ttl = 60;
	rsv_judge_servers(views, n_views, NULL, &agreement);
	assert_int_equal(agreement, RSV_DIFFER);
	views[1].serial = 6; /* a change of the TTL may be on its way */
	rsv_judge_servers(views, n_views, NULL, &agreement);
	assert_int_equal(agreement, RSV_LAG);
	views[1].serial = 7;
	in = judge_begin();
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_TTL_MISMATCH, -1);

	judge_healthy();
	views[0].set.mixed_ttl = views[1].set.mixed_ttl = true;
	in = judge_begin();
	in.alias_end = &views[0].set.owner;
	assert_int_equal(dns_name_parse("kms.hq.example", &views[0].set.owner), 0);
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	judge_assert_findings(FINDING_TTL_MISMATCH, FINDING_ALIASED, -1);
	assert_non_null(strstr(r.findings[r.n_findings - 1].text, "leads to kms.hq.example"));
	judge_reset();
}

/* A flood of warnings must not hide what is critical. */
static void t_findings_are_bounded(void **state)
{
	struct rsv_expect e[1];
	struct rsv_judge_input in;

	(void)state;
	judge_reset();
	judge_server("ns1.example", 1);
	for (unsigned i = 0; i < RSV_FINDINGS_MAX + 10; i++)
		judge_add(&views[0], "rogue.example", i + 1, 0, 1);
	in = judge_begin();
	e[0] = judge_expect("kms1.corp.example", 0, 0);
	in.expect = e;
	in.n_expect = 1;
	assert_int_equal(rsv_judge_findings(&r, &in), 0);
	assert_int_equal(r.n_findings, RSV_FINDINGS_MAX);
	assert_int_equal(r.findings_dropped, 12);
	assert_int_equal(r.findings[0].id, FINDING_MISSING);
	assert_int_equal(r.status, RSV_CRIT_);
	judge_reset();
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
		cmocka_unit_test(t_zone_that_was_not_found),
		cmocka_unit_test(t_resolvers),
		cmocka_unit_test(t_ttl),
		cmocka_unit_test(t_findings_are_bounded),
		cmocka_unit_test(t_status),
		cmocka_unit_test(t_finding_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
