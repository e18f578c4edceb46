/* resolver/audit_judge.h: the set as a whole, servers over time, and what the journal knows. */
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

#define HOUR_MS ((int64_t)3600 * 1000)

static void judge(const struct rsv_judge_input *in)
{
	assert_int_equal(rsv_judge_findings(&r, in), 0);
}

static void target_addr(size_t record, const char *text)
{
	struct rsv_target_result *t = &r.records[record].target;

	assert_int_equal(addr_parse(text, 1688, &t->addrs[0]), 0);
	t->n_addrs = 1;
}

static void server_addr(struct rsv_server_view *v, const char *text)
{
	assert_int_equal(addr_parse(text, 53, &v->addr), 0);
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static void t_one_priority_for_all(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 0, 0);
	judge_add(&views[0], "kms2.corp.example", 1688, 0, 0);
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_EQUAL_PRIORITIES, -1);
	assert_non_null(strstr(judge_text(FINDING_EQUAL_PRIORITIES), "all 2 hosts"));
	assert_int_equal(r.status, RSV_OK_);

	/* where one of the two is down there is nothing to spread clients over */
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 0, 0);
	judge_add(&views[0], "kms2.corp.example", 1688, 0, 0);
	in = judge_begin();
	r.records[1].target.probe.state = PROBE_REFUSED;
	judge(&in);
	judge_assert_findings(FINDING_DEAD_TARGET, -1);
	judge_reset();
}

static void t_two_names_of_one_machine(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	target_addr(0, "198.51.100.7");
	target_addr(1, "198.51.100.7");
	judge(&in);
	judge_assert_findings(FINDING_SINGLE_HOST, -1);
	assert_non_null(strstr(judge_text(FINDING_SINGLE_HOST), "one address and port"));
	judge_reset();
}

/* S13: host and port are the key; the same target on two ports is two hosts. */
static void t_S13_duplicates(void **state)
{
	struct rsv_judge_input in;
	struct rsv_expect e;

	(void)state;
	judge_healthy();
	judge_add(&views[0], "kms1.corp.example", 1688, 3, 30);
	judge_add(&views[1], "kms1.corp.example", 1688, 3, 30);
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_DUPLICATE_RECORD, -1);
	assert_non_null(strstr(judge_text(FINDING_DUPLICATE_RECORD), "(priority 3, weight 30)"));

	judge_healthy();
	judge_add(&views[0], "kms1.corp.example", 1689, 3, 30);
	judge_add(&views[1], "kms1.corp.example", 1689, 3, 30);
	in = judge_begin();
	judge(&in);
	judge_assert_findings(-1);

	/* an expectation without numbers allows each of them, but not both */
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 1, 1);
	judge_add(&views[0], "kms1.corp.example", 1688, 2, 2);
	in = judge_begin();
	e = judge_expect("kms1.corp.example", 0, 0);
	e.has_priority = e.has_weight = false;
	in.expect = &e;
	in.n_expect = 1;
	judge(&in);
	judge_assert_findings(FINDING_DUPLICATE_RECORD, FINDING_SINGLE_HOST, -1);
	judge_reset();
}

static void t_addresses_that_clients_cannot_use(void **state)
{
	static const struct {
		const char *ns, *target;
		bool lab;
		int finding; /* -1: none */
	} t[] = {
		{ "192.0.2.53", "127.0.0.9", false, FINDING_TARGET_LOOPBACK },
		{ "192.0.2.53", "::1", false, FINDING_TARGET_LOOPBACK },
		{ "192.0.2.53", "127.0.0.9", true, -1 },
		{ "127.0.0.1", "127.0.0.9", false, -1 }, /* all of it is on this machine */
		{ "10.0.0.53", "127.0.0.9", false, FINDING_TARGET_LOOPBACK },
		{ "192.0.2.53", "169.254.3.4", false, FINDING_TARGET_LINK_LOCAL },
		{ "127.0.0.1", "fe80::1", false, FINDING_TARGET_LINK_LOCAL },
		{ "192.0.2.53", "10.1.2.3", false, FINDING_PRIVATE_ADDRESS },
		{ "2001:db8::53", "fd00::1", false, FINDING_PRIVATE_ADDRESS },
		{ "10.0.0.53", "10.1.2.3", false, -1 }, /* an inside zone */
		{ "fd00::53", "10.1.2.3", false, -1 },
		{ "192.0.2.53", "198.51.100.1", false, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct rsv_judge_input in;

		judge_healthy();
		server_addr(&views[0], t[i].ns);
		in = judge_begin();
		in.lab = t[i].lab;
		target_addr(0, t[i].target);
		judge(&in);
		if (t[i].finding < 0) {
			judge_assert_findings(-1);
			continue;
		}
		judge_assert_findings(t[i].finding, -1);
		assert_non_null(strstr(judge_text((enum finding_id)t[i].finding), t[i].target));
	}
	judge_reset();
}

/* ---- the set --------------------------------------------------------------------------------- */

static void t_S12_ttl(void **state)
{
	static const struct {
		uint32_t ttl;
		int finding;
	} t[] = { { 0, FINDING_TTL_ZERO }, { 1, -1 }, { 86400, -1 }, { 86401, FINDING_TTL_LONG } };
	struct rsv_judge_input in;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		judge_healthy();
		views[0].set.ttl = views[1].set.ttl = t[i].ttl;
		in = judge_begin();
		judge(&in);
		judge_assert_findings(t[i].finding, -1);
	}
	/* a resolver counts down to 0: no news */
	judge_healthy();
	n_views = r.n_servers = 1;
	views[0].role = RSV_ROLE_RESOLVER;
	views[0].aa = false;
	views[0].set.ttl = 0;
	in = judge_begin();
	judge(&in);
	judge_assert_findings(-1);
	n_views = 2;
	judge_reset();
}

static void t_wildcard(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	r.wildcard = true;
	judge(&in);
	judge_assert_findings(FINDING_WILDCARD, -1);

	/* `* CNAME www` makes an alias of every name: that is what is wrong, not the alias */
	judge_reset();
	judge_server("ns1.example", 1);
	in = judge_begin();
	in.alias_end = &r.domain;
	r.wildcard = true;
	judge(&in);
	judge_assert_findings(FINDING_WILDCARD, FINDING_NO_RECORDS, -1);
	judge_reset();
}

static void add_suffix(const char *domain, const char *target)
{
	struct rsv_suffix_view *x = &r.suffixes[r.n_suffixes++];

	x->domain = judge_name(domain);
	x->err = target != NULL ? 0 : ERR_RCODE_NXDOMAIN;
	if (target == NULL)
		return;
	x->set.rec = calloc(1, sizeof(*x->set.rec));
	assert_non_null(x->set.rec);
	x->set.n = 1;
	x->set.rec[0].srv.target = judge_name(target);
	x->set.rec[0].srv.port = 1688;
}

static void suffixes_done(void)
{
	for (size_t i = 0; i < r.n_suffixes; i++)
		rsv_set_done(&r.suffixes[i].set);
}

static void t_several_suffixes(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	for (size_t at = 0; at < 3; at++) { /* how many come before the domain */
		judge_reset();
		judge_add(judge_server("ns1.example", 1), "kms1.corp.example", 1688, 0, 0);
		in = judge_begin();
		add_suffix("empty.example", NULL);
		add_suffix("dept.example", at == 2 ? "kms9.dept.example" : "kms1.corp.example");
		r.suffix_at = at;
		if (at == 1)
			r.suffixes[1].set.rec[0].srv.target = judge_name("kms9.dept.example");
		judge(&in);
		if (at == 0) {
			judge_assert_findings(FINDING_SINGLE_HOST, -1);
		} else {
			judge_assert_findings(FINDING_SINGLE_HOST, FINDING_SUFFIXES_DIFFER, -1);
			assert_non_null(strstr(judge_text(FINDING_SUFFIXES_DIFFER),
					       at == 2 ? "dept.example comes first"
						       : "dept.example comes later"));
		}
		suffixes_done();
	}
	judge_reset();
}

/* ---- servers --------------------------------------------------------------------------------- */

/* Z07, Z09, Z10: only who has not got what another had when the settling began is late. */
static void t_Z07_Z09_Z10_who_is_late(void **state)
{
	static const struct {
		uint32_t primary, secondary;
		bool late[2], same_set;
		int finding;
	} t[] = {
		{ 8, 7, { false, false }, false, -1 },
		{ 8, 7, { false, true }, false, FINDING_LAG },
		{ 3, 0xfffffff0u, { false, true }, false, FINDING_LAG }, /* the serial wrapped */
		{ 8, 7, { false, true }, true, -1 },
		{ 1, 3, { true, false }, false, FINDING_SERIAL_BACKWARDS },
		{ 1, 3, { true, false }, true, FINDING_SERIAL_BACKWARDS },
		{ 1, 3, { false, false }, true, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct rsv_judge_input in;

		judge_healthy();
		views[0].serial = t[i].primary;
		views[1].serial = t[i].secondary;
		if (!t[i].same_set) { /* the newer one has a host more */
			bool second = t[i].late[0];

			judge_add(&views[second], "kms3.corp.example", 1688, 20, 0);
		}
		in = judge_begin();
		views[0].late = t[i].late[0];
		views[1].late = t[i].late[1];
		judge(&in);
		judge_assert_findings(t[i].finding, -1);
	}
	judge_reset();
}

/* A hidden primary that --server names has what the visible one has not got. */
static void t_hidden_primary_is_ahead(void **state)
{
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	views[1].role = RSV_ROLE_SERVER;
	views[1].serial = 9;
	judge_add(&views[1], "kms3.corp.example", 1688, 20, 0);
	in = judge_begin();
	views[0].late = true;
	judge(&in);
	judge_assert_findings(FINDING_SERIAL_BACKWARDS, -1);
	judge_reset();
}

/* A domain in two views: what is configured for the one that is not seen from here is no fault. */
static void t_views(void **state)
{
	struct rsv_expect own[3];
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	in = judge_begin();
	own[0] = judge_expect("outside.corp.example", 0, 0);
	own[1] = judge_expect("kms1.corp.example", 0, 10);
	own[2] = judge_expect("kms2.corp.example", 10, 0);
	own[1].view = own[2].view = 1;
	in.own = own;
	in.n_own = 3;
	judge(&in);
	judge_assert_findings(-1);

	/* a record of the other view that is seen here, too, is not unknown */
	judge_healthy();
	judge_add(&views[0], "outside.corp.example", 1688, 20, 0);
	judge_add(&views[1], "outside.corp.example", 1688, 20, 0);
	judge_begin();
	own[0] = judge_expect("outside.corp.example", 20, 0);
	judge(&in);
	judge_assert_findings(-1);

	/* what fits no view is compared with the one that fits best */
	judge_healthy();
	judge_begin();
	own[1] = judge_expect("kms1.corp.example", 0, 11);
	own[1].view = 1;
	judge(&in);
	judge_assert_findings(FINDING_WEIGHT_DIFFERS, -1);
	judge_reset();
}

/* Nobody asked for it in particular, and nothing is configured: then nothing is no fault. */
static void t_unasked_domain_without_records(void **state)
{
	struct rsv_judge_input in;
	struct rsv_expect own = judge_expect("kms1.corp.example", 0, 10);

	(void)state;
	judge_reset();
	judge_server("ns1.example", 1);
	in = judge_begin();
	in.unasked = true;
	judge(&in);
	judge_assert_findings(-1);
	judge_reset();
	judge_server("ns1.example", 1);
	judge_begin();
	in.own = &own;
	in.n_own = 1;
	judge(&in);
	judge_assert_findings(FINDING_MISSING, -1);
	judge_reset();
}

/* Domain controllers: each names itself in the SOA and counts for itself. */
static void t_many_primaries(void **state)
{
	enum rsv_agreement agreement;
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	views[0].serial = 100;
	views[1].serial = 2000;
	views[0].mname = views[0].name;
	views[1].mname = views[1].name;
	assert_int_equal(rsv_judge_servers(views, n_views, NULL, &agreement), 0);
	assert_int_equal(agreement, RSV_AGREE);
	in = judge_begin();
	judge(&in);
	judge_assert_findings(-1);

	judge_healthy();
	views[0].serial = 100;
	views[1].serial = 2000;
	views[0].mname = views[0].name;
	views[1].mname = views[1].name;
	judge_add(&views[1], "kms3.corp.example", 1688, 20, 0);
	assert_int_equal(rsv_judge_servers(views, n_views, NULL, &agreement), 0);
	assert_int_equal(views[1].state, RSV_S_DIFFERS);
	assert_int_equal(agreement, RSV_DIFFER);
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_SERVERS_DIFFER, -1);
	assert_non_null(strstr(judge_text(FINDING_SERVERS_DIFFER), "Active Directory"));
	judge_reset();
}

static struct rsv_server_view *resolver(void)
{
	struct rsv_server_view *v = judge_server("unused.example", 0);

	v->role = RSV_ROLE_RESOLVER;
	memset(&v->name, 0, sizeof(v->name));
	v->aa = v->has_serial = false;
	return v;
}

static void t_Z14_Z15_resolvers(void **state)
{
	struct rsv_server_view *v;
	struct rsv_judge_input in;

	(void)state;
	judge_healthy();
	v = resolver();
	v->set.negative_ttl = 42;
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_NEGATIVE_CACHED, -1);
	assert_non_null(strstr(judge_text(FINDING_NEGATIVE_CACHED), "up to 42 s"));
	assert_int_equal(r.status, RSV_OK_);

	judge_healthy();
	v = resolver();
	judge_add(v, "kms1.corp.example", 1688, 0, 10);
	v->set.ttl = 30;
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_RESOLVER_STALE, -1);
	assert_non_null(strstr(judge_text(FINDING_RESOLVER_STALE), "up to 30 s"));

	/* longer than the zone's TTL: no old copy */
	judge_healthy();
	v = resolver();
	judge_add(v, "kms1.corp.example", 1688, 0, 10);
	v->set.ttl = 3601;
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_RESOLVER_DIFFERS, -1);

	judge_healthy();
	v = resolver();
	v->set.negative_ttl = 42;
	v->inconsistent = true;
	in = judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_RESOLVER_INCONSISTENT, -1);
	judge_reset();
}

static void t_key_and_clock(void **state)
{
	static const struct {
		int err;
		bool has_skew;
		int64_t skew_s;
		int finding;
	} t[] = {
		{ 0, true, 60, -1 },
		{ 0, true, -61, FINDING_CLOCK_SKEW },
		{ ERR_TSIG_PEER_BADTIME, true, 4000, FINDING_CLOCK_SKEW },
		{ ERR_TSIG_PEER_BADTIME, false, 0, FINDING_CLOCK_SKEW },
		{ ERR_TSIG_TIME, true, -400, FINDING_CLOCK_SKEW },
		{ ERR_TSIG_PEER_BADKEY, false, 0, FINDING_KEY_REFUSED },
		{ ERR_TSIG_PEER_BADSIG, false, 0, FINDING_KEY_REFUSED },
		{ ERR_TIMEOUT, false, 0, -1 }, /* told as unreachable */
		{ ERR_TSIG_UNSIGNED, false, 0, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct rsv_judge_input in;

		judge_healthy();
		in = judge_begin();
		r.key = (struct rsv_key_check){
			.asked = true,
			.err = t[i].err,
			.has_skew = t[i].has_skew,
			.skew_s = t[i].skew_s,
			.server = views[0].addr,
		};
		judge(&in);
		judge_assert_findings(t[i].finding, -1);
	}
	judge_reset();
}

/* ---- the journal ----------------------------------------------------------------------------- */

static struct rsv_journal_row row(const char *target, unsigned priority, unsigned weight,
				  enum rsv_journal_state state)
{
	struct rsv_journal_row j = { .state = state, .since_ms = HOUR_MS };

	j.srv.target = judge_name(target);
	j.srv.port = 1688;
	j.srv.priority = (uint16_t)priority;
	j.srv.weight = (uint16_t)weight;
	return j;
}

/* What the two records of the healthy zone are, by configuration and journal of kms1's record. */
static void t_journal(void **state)
{
	static const struct {
		bool configured[2];
		unsigned weight; /* of kms1, as configured; it is published with 10 */
		enum rsv_journal_state journal;
		int finding;
		enum rsv_class cls;
	} t[] = {
		{ { 1, 1 }, 10, RSV_J_PUBLISHED, -1, RSV_C_MINE_HEALTHY },
		{ { 1, 1 }, 10, RSV_J_ADOPTED, -1, RSV_C_MINE_HEALTHY },
		{ { 1, 1 }, 10, RSV_J_WITHDRAWN, FINDING_ANOTHER_PUBLISHER, RSV_C_FOREIGN_KNOWN },
		{ { 0, 1 }, 10, RSV_J_PUBLISHED, FINDING_ORPHAN, RSV_C_MINE_HEALTHY },
		{ { 0, 1 }, 10, RSV_J_ADOPTED, FINDING_FOREIGN_UNKNOWN, RSV_C_FOREIGN_UNKNOWN },
		{ { 0, 1 }, 10, RSV_J_NONE, FINDING_FOREIGN_UNKNOWN, RSV_C_FOREIGN_UNKNOWN },
		{ { 0, 1 }, 10, RSV_J_WITHDRAWN, FINDING_ANOTHER_PUBLISHER, RSV_C_FOREIGN_KNOWN },
		{ { 0, 0 }, 10, RSV_J_PUBLISHED, FINDING_ORPHAN, RSV_C_MINE_HEALTHY },
		{ { 0, 0 }, 10, RSV_J_NONE, -1, RSV_C_EXPECTED },
		{ { 1, 1 }, 99, RSV_J_PUBLISHED, FINDING_WEIGHT_DIFFERS, RSV_C_MINE_HEALTHY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct rsv_journal_row j = row("kms1.corp.example", 0, 10, t[i].journal);
		struct rsv_judge_input in;
		struct rsv_expect own[2];

		judge_healthy();
		in = judge_begin();
		in.own = own;
		if (t[i].configured[0])
			own[in.n_own++] = judge_expect("kms1.corp.example", 0, t[i].weight);
		if (t[i].configured[1])
			own[in.n_own++] = judge_expect("kms2.corp.example", 10, 0);
		in.journal = &j;
		in.n_journal = t[i].journal != RSV_J_NONE;
		judge(&in);
		judge_assert_findings(t[i].finding, -1);
		assert_int_equal(r.records[0].journal, t[i].journal);
		if (r.records[0].cls != t[i].cls)
			fail_msg("row %zu: %s", i, rsv_class_name(r.records[0].cls));
	}
	judge_reset();
}

static void t_journal_and_what_is_not_there(void **state)
{
	struct rsv_journal_row j = row("kms3.corp.example", 20, 0, RSV_J_WITHDRAWN);
	struct rsv_expect own = judge_expect("kms3.corp.example", 20, 0), expect = own;
	struct rsv_judge_input in;

	(void)state;
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms3.corp.example", 1689, 20, 0);
	in = judge_begin();
	in.own = &own;
	in.n_own = 1;
	in.journal = &j;
	in.n_journal = 1;
	judge(&in);
	judge_assert_findings(FINDING_WITHDRAWN, FINDING_FOREIGN_UNKNOWN, FINDING_SINGLE_HOST, -1);
	assert_non_null(strstr(judge_text(FINDING_WITHDRAWN), "1970-01-01T01:00:00Z"));

	/* the complete set is what counts where it is given */
	judge_reset();
	judge_add(judge_server("ns1.example", 1), "kms3.corp.example", 1689, 20, 0);
	in.expect = &expect;
	in.n_expect = 1;
	judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_MISSING, FINDING_EXTRA, FINDING_SINGLE_HOST, -1);
	in.n_expect = 0;

	/* withdrawn, and nothing else there: its clients find none, whoever wanted that */
	judge_reset();
	judge_server("ns1.example", 1);
	judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_WITHDRAWN, FINDING_NO_RECORDS, -1);

	/* published, and gone without us */
	judge_reset();
	judge_server("ns1.example", 1);
	j.state = RSV_J_PUBLISHED;
	judge_begin();
	judge(&in);
	judge_assert_findings(FINDING_MISSING, -1);
	assert_non_null(strstr(judge_text(FINDING_MISSING), "though it was from here"));
	judge_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_one_priority_for_all),
		cmocka_unit_test(t_two_names_of_one_machine),
		cmocka_unit_test(t_S13_duplicates),
		cmocka_unit_test(t_addresses_that_clients_cannot_use),
		cmocka_unit_test(t_S12_ttl),
		cmocka_unit_test(t_wildcard),
		cmocka_unit_test(t_several_suffixes),
		cmocka_unit_test(t_Z07_Z09_Z10_who_is_late),
		cmocka_unit_test(t_hidden_primary_is_ahead),
		cmocka_unit_test(t_views),
		cmocka_unit_test(t_unasked_domain_without_records),
		cmocka_unit_test(t_many_primaries),
		cmocka_unit_test(t_Z14_Z15_resolvers),
		cmocka_unit_test(t_key_and_clock),
		cmocka_unit_test(t_journal),
		cmocka_unit_test(t_journal_and_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
