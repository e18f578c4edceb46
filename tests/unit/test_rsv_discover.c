#include "resolver/discover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/discover_fixture.h"

static void t_lowest_priority_first(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	discover_run(&f);
	assert_true(f.selected);
	assert_int_equal(f.code, HR_OK);
	assert_string_equal(f.target, "kms1.corp.example:1688");
	assert_int_equal(f.source, RSV_FROM_DNS);
	assert_int_equal(f.n_cand, 2);
	assert_string_equal(f.order, "kms1.corp.example kms2.corp.example ");
	assert_int_equal(f.prober.started, 1);
	assert_int_equal(f.n_queries, 3); /* SRV, AAAA, A: a client asks no more */
	assert_true(f.n_steps >= 5);
	assert_int_equal(f.keep_s, 60); /* of the addresses; the set's TTL is longer */
	discover_done(&f);

	discover_init(&f, discover_corp, N(discover_corp));
	f.zone.not_authoritative = false;
	discover_run(&f);
	assert_int_equal(f.keep_s, 0);
	discover_done(&f);
}

/* S14, S03: every address of a host before the next host. */
static void t_S14_all_addresses_then_next_host(void **state)
{
	static const struct fake_probe_rule rules[] = {
		{ "127.0.0.21:1689", PROBE_UP },
		{ NULL, PROBE_REFUSED },
	};
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	discover_run(&f);
	assert_string_equal(f.target, "kms2.corp.example:1689");
	assert_string_equal(f.addr, "127.0.0.21:1689");
	assert_int_equal(f.prober.started, 3);
	assert_true(strstr(f.prober.order, "127.0.0.21:1689") > f.prober.order + 20);
	discover_done(&f);
}

static void t_all_down(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_TIMEOUT } };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	f.p.cache = &f.cache;
	discover_run(&f);
	assert_false(f.selected);
	assert_int_equal(f.code, HR_BINDING_SERVICE_UNAVAILABLE);
	assert_int_equal(f.prober.started, 3);
	assert_null(rsv_cache_get(&f.cache));
	discover_done(&f);
}

/* What a client shows where no suffix has a record (behaviour §2.3). */
static void t_lookup_codes(void **state)
{
	static const struct auth_row nodata[] = {
		{ "a." CORP, DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
	};
	static const struct {
		const struct auth_row *rows;
		unsigned rcode;
		bool no_server, silent;
		uint32_t code;
		uint32_t keep_s;
	} t[] = {
		{ NULL, DNS_RCODE_FORMERR, false, false, 0x80072329u, 0 },
		{ NULL, DNS_RCODE_NOTIMP, false, false, 0x8007232Cu, 0 },
		{ NULL, DNS_RCODE_NOTAUTH, false, false, 0x80072331u, 0 },
		{ NULL, 0, false, false, 0x8007232Bu, 900 },
		{ nodata, 0, false, false, 0x8007251Du, 900 },
		{ NULL, DNS_RCODE_SERVFAIL, false, false, 0x8007232Au, 0 },
		{ NULL, DNS_RCODE_REFUSED, false, false, 0x8007232Du, 0 },
		{ NULL, 0, true, false, 0x8007267Cu, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		struct discover_fixture f;

		discover_init(&f, t[i].rows, t[i].rows != NULL ? 1 : 0);
		f.zone.rcode = t[i].rcode;
		if (t[i].no_server)
			f.t.net.n_resolvers = 0;
		discover_run(&f);
		assert_false(f.selected);
		assert_int_equal(f.code, t[i].code);
		assert_int_equal(f.prober.started, 0);
		assert_int_equal(f.keep_s, t[i].keep_s);
		discover_done(&f);
	}
	assert_int_equal(rsv_lookup_hresult(ERR_TIMEOUT), 0x8007232Au);
	assert_int_equal(rsv_lookup_hresult(ERR_DNS_CNAME_LOOP), 0x8007251Du);
	assert_int_equal(rsv_lookup_hresult(ERR_DNS_MALFORMED), 0x8007251Eu);
	assert_int_equal(rsv_lookup_hresult(0), HR_OK);
}

/* S09: NXDOMAIN in the first suffix, the record in the second; each suffix is asked once. */
static void t_S09_suffix_order(void **state)
{
	static const struct auth_row rows[] = {
		{ DEPT, DNS_TYPE_SRV, "kms9.dept.example", .port = 1688 },
		{ "kms9.dept.example", DNS_TYPE_A, "127.0.0.9", .ttl = 60 },
	};
	struct discover_fixture f;

	(void)state;
	discover_init(&f, rows, N(rows));
	f.p.n_suffixes = 3; /* the third repeats the first */
	discover_run(&f);
	assert_string_equal(f.target, "kms9.dept.example:1688");
	assert_int_equal(f.zone.srv_questions, 2);
	discover_done(&f);

	discover_init(&f, NULL, 0);
	f.p.n_suffixes = 3;
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Bu);
	assert_int_equal(f.zone.srv_questions, 2);
	discover_done(&f);
}

/* S08: a server that fails is not an empty answer, but the next suffix may still have one. */
static void t_S08_failure_keeps_the_cache(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_TIMEOUT } };
	struct rsv_cached_host h = { .host = "kms1.corp.example", .port = 1688 };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, NULL, 0);
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	f.p.cache = &f.cache;
	h.addr = test_addr("127.0.0.77:1688");
	rsv_cache_put(&f.cache, &h);
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Au);
	assert_non_null(rsv_cache_get(&f.cache));
	assert_string_equal(rsv_cache_get(&f.cache)->host, "kms1.corp.example");
	discover_done(&f);
}

/* The lookup domain is the only one asked. */
static void t_lookup_domain_is_exclusive(void **state)
{
	struct dns_name domain;
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	assert_int_equal(dns_name_parse("dept.example", &domain), 0);
	f.p.lookup_domain = &domain;
	discover_run(&f);
	assert_false(f.selected);
	assert_int_equal(f.code, 0x8007232Bu);
	assert_int_equal(f.zone.srv_questions, 1);
	discover_done(&f);
}

static void t_no_suffix_no_question(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.p.n_suffixes = 0;
	discover_run(&f);
	assert_int_equal(f.code, 0x8007007Bu);
	assert_int_equal(f.zone.questions, 0);
	assert_int_equal(f.n_queries, 0);
	discover_done(&f);
}

/* A host set by hand replaces discovery: no SRV question, no fallback, no cache. */
static void t_manual_host(void **state)
{
	static const struct fake_probe_rule down[] = { { NULL, PROBE_REFUSED } };
	const struct rsv_cached_host old = { .host = "old.corp.example", .port = 1688 };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.p.manual_host = "kms2.corp.example";
	f.p.cache = &f.cache;
	rsv_cache_put(&f.cache, &old); /* forgotten, not used */
	discover_run(&f);
	assert_string_equal(f.target, "kms2.corp.example:1688");
	assert_int_equal(f.source, RSV_FROM_MANUAL);
	assert_int_equal(f.zone.srv_questions, 0);
	assert_null(rsv_cache_get(&f.cache));
	discover_done(&f);

	discover_init(&f, discover_corp, N(discover_corp));
	f.p.manual_host = "127.0.0.5";
	f.p.manual_port = 1700;
	f.prober.rules = down;
	f.prober.n_rules = 1;
	discover_run(&f);
	assert_int_equal(f.code, HR_BINDING_SERVICE_UNAVAILABLE);
	assert_string_equal(f.prober.order, "127.0.0.5:1700");
	assert_int_equal(f.zone.questions, 0);
	discover_done(&f);

	discover_init(&f, discover_corp,
		      N(discover_corp)); /* a name that does not resolve has a code of its own */
	f.p.manual_host = "gone.corp.example";
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Bu);
	assert_int_equal(f.zone.srv_questions, 0);
	discover_done(&f);
}

/* The cached host is used without DNS, and priority does not matter until it fails (S11). */
static void t_S11_cached_host_first(void **state)
{
	static const struct fake_probe_rule dead[] = { { "127.0.0.77:1688", PROBE_TIMEOUT } };
	struct rsv_cached_host h = { .host = "old.corp.example", .port = 1688 };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.p.cache = &f.cache;
	h.addr = test_addr("127.0.0.77:1688");
	h.source = RSV_FROM_DNS;
	rsv_cache_put(&f.cache, &h);
	discover_run(&f);
	assert_string_equal(f.target, "old.corp.example:1688");
	assert_int_equal(f.source, RSV_FROM_CACHE);
	assert_int_equal(f.zone.questions, 0);
	assert_true(rsv_cache_get(&f.cache)->when_ms == FAKE_CLOCK_WALL_MS);
	discover_done(&f);

	discover_init(&f, discover_corp,
		      N(discover_corp)); /* dead: back to DNS in the same attempt */
	f.p.cache = &f.cache;
	rsv_cache_put(&f.cache, &h);
	f.prober.rules = dead;
	f.prober.n_rules = 1;
	discover_run(&f);
	assert_string_equal(f.target, "kms1.corp.example:1688");
	assert_int_equal(f.source, RSV_FROM_DNS);
	assert_string_equal(rsv_cache_get(&f.cache)->host, "kms1.corp.example");
	assert_true(f.cache.dirty);
	discover_done(&f);

	discover_init(&f, discover_corp, N(discover_corp)); /* caching off */
	f.p.cache = &f.cache;
	rsv_cache_put(&f.cache, &h);
	rsv_cache_set_enabled(&f.cache, false);
	discover_run(&f);
	assert_int_equal(f.source, RSV_FROM_DNS);
	assert_null(rsv_cache_get(&f.cache));
	discover_done(&f);
}

/* S04: "." is no host and ends the search; a host on port 0 cannot be used. */
static void t_S04_absent_and_port_zero(void **state)
{
	static const struct auth_row dot[] = {
		{ CORP, DNS_TYPE_SRV, ".", .port = 0 },
		{ DEPT, DNS_TYPE_SRV, "kms9.dept.example", .port = 1688 },
		{ "kms9.dept.example", DNS_TYPE_A, "127.0.0.9", .ttl = 60 },
	};
	static const struct auth_row zero[] = {
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 0 },
		{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.9", .ttl = 60 },
	};
	struct discover_fixture f;

	(void)state;
	discover_init(&f, dot, N(dot));
	f.p.n_suffixes = 2;
	discover_run(&f);
	assert_int_equal(f.code, 0x8007251Du);
	assert_int_equal(f.zone.srv_questions, 1);
	discover_done(&f);

	discover_init(&f, zero, N(zero));
	discover_run(&f);
	assert_int_equal(f.code, HR_BINDING_SERVICE_UNAVAILABLE);
	assert_int_equal(f.prober.started, 0);
	discover_done(&f);
}

/* S13: one host in two records is tried once; on two ports it is two hosts. */
static void t_S13_duplicates(void **state)
{
	static const struct auth_row rows[] = {
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688, .priority = 0 },
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688, .priority = 5 },
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1689, .priority = 9 },
		{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
	};
	static const struct fake_probe_rule down[] = { { NULL, PROBE_REFUSED } };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, rows, N(rows));
	f.prober.rules = down;
	f.prober.n_rules = 1;
	discover_run(&f);
	assert_int_equal(f.code, HR_BINDING_SERVICE_UNAVAILABLE);
	assert_int_equal(f.n_cand, 3);
	assert_string_equal(f.prober.order, "127.0.0.11:1688 127.0.0.11:1689");
	assert_int_equal(f.n_queries, 3); /* and the name is looked up once */
	discover_done(&f);
}

/* Without a prober the first host with an address is taken, and nothing is remembered. */
static void t_probe_none(void **state)
{
	static const struct auth_row rows[] = {
		{ CORP, DNS_TYPE_SRV, "gone.corp.example", .port = 1688 },
		{ CORP, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 5 },
		{ CORP, DNS_TYPE_SRV, "kms3.corp.example", .port = 1688, .priority = 9 },
		{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.2", .ttl = 60 },
		{ "kms3.corp.example", DNS_TYPE_A, "127.0.0.3", .ttl = 60 },
	};
	json_t *c;
	struct discover_fixture f;

	(void)state;
	discover_init(&f, rows, N(rows));
	f.p.prober = NULL;
	f.p.cache = &f.cache;
	f.p.resolve_all = true;
	discover_run(&f);
	assert_string_equal(f.target, "kms2.corp.example:1688");
	assert_null(rsv_cache_get(&f.cache));
	c = json_array_get(json_object_get(f.json, "candidates"), 2);
	assert_true(json_is_null(json_object_get(c, "probe")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(c, "addresses"), 0)),
			    "127.0.0.3"); /* looked up for the report */
	discover_done(&f);
}

/* The keys of design §3. */
static void t_report(void **state)
{
	const char *target, *address, *source, *code, *profile, *rcode, *server;
	json_t *candidates, *queries, *steps, *c;
	double probability, rtt;
	const char *probe;
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	discover_run(&f);
	assert_int_equal(json_unpack(f.json, "{s:{s:s, s:s, s:s}, s:{s:s}, s:s, s:o, s:o, s:o}",
				     "selected", "target", &target, "address", &address, "source",
				     &source, "result", "code", &code, "profile", &profile,
				     "candidates", &candidates, "queries", &queries, "steps",
				     &steps),
			 0);
	assert_string_equal(target, "kms1.corp.example");
	assert_string_equal(source, "dns");
	assert_string_equal(code, "0x00000000");
	assert_string_equal(profile, "modern");
	c = json_array_get(candidates, 0);
	assert_int_equal(json_unpack(c, "{s:F, s:{s:s, s:F}}", "probability", &probability, "probe",
				     "state", &probe, "rtt_ms", &rtt),
			 0);
	assert_true(probability == 1.0 && rtt == 1.5);
	assert_string_equal(probe, "up");
	assert_true(json_is_null(json_object_get(json_array_get(candidates, 1), "probe")));
	assert_int_equal(json_unpack(json_array_get(queries, 0), "{s:s, s:s}", "rcode", &rcode,
				     "server", &server),
			 0);
	assert_string_equal(rcode, "NOERROR");
	assert_non_null(strchr(server, ':'));
	assert_int_equal(json_array_size(steps), f.n_steps);
	discover_done(&f);
}

/* The same seed and the same set give the same order. */
static void t_seed_repeats(void **state)
{
	static const struct auth_row rows[] = {
		{ CORP, DNS_TYPE_SRV, "a.corp.example", .port = 1 },
		{ CORP, DNS_TYPE_SRV, "b.corp.example", .port = 1 },
		{ CORP, DNS_TYPE_SRV, "c.corp.example", .port = 1 },
		{ CORP, DNS_TYPE_SRV, "d.corp.example", .port = 1 },
	};
	struct auth_row back[4];
	struct discover_fixture f, g;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		back[i] = rows[3 - i];
	discover_init(&f, rows, 4);
	discover_run(&f);
	discover_done(&f);
	discover_init(&g, back, 4);
	discover_run(&g);
	discover_done(&g);
	assert_string_equal(f.order, g.order);
}

static void t_deadline(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.prober.silent = true;
	f.p.total_ms = 50;
	discover_run(&f);
	assert_int_equal(f.code, HR_BINDING_SERVICE_UNAVAILABLE);
	discover_done(&f);

	discover_init(&f, discover_corp, N(discover_corp));
	f.zone.silent = true;
	f.p.total_ms = 50;
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Au);
	discover_done(&f);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int variant = 0; variant < 3; variant++) {
		for (int steps = 0; steps < 14; steps++) {
			struct discover_fixture f;

			discover_init(&f, discover_corp, N(discover_corp));
			f.prober.silent = variant == 0;
			f.zone.silent_for = variant == 1 ? "kms1.corp.example" : NULL;
			f.zone.silent = variant == 2;
			f.p.resolve_all = true;
			discover_start(&f);
			for (int i = 0; i < steps; i++)
				test_net_step(&f.t);
			assert_int_equal(f.calls, 0);
			rsv_discover_cancel(f.d);
			rsv_discover_cancel(f.d);
			assert_int_equal(f.calls, 0);
			test_net_run_until(&f.t, &f.done);
			assert_int_equal(f.err, ERR_CANCELED);
			discover_done(&f);
		}
	}
}

/* Cancel while the report's addresses are being looked up. */
static void t_cancel_in_the_survey(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.zone.silent_for = "kms2.corp.example";
	f.p.resolve_all = true;
	discover_start(&f);
	while (f.prober.started == 0)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	for (int i = 0; i < 6; i++)
		test_net_step(&f.t);
	assert_int_equal(f.calls, 0);
	rsv_discover_cancel(f.d);
	test_net_run_until(&f.t, &f.done);
	assert_int_equal(f.err, ERR_CANCELED);
	assert_true(f.selected);
	discover_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_lowest_priority_first),
		cmocka_unit_test(t_S14_all_addresses_then_next_host),
		cmocka_unit_test(t_all_down),
		cmocka_unit_test(t_lookup_codes),
		cmocka_unit_test(t_S09_suffix_order),
		cmocka_unit_test(t_S08_failure_keeps_the_cache),
		cmocka_unit_test(t_lookup_domain_is_exclusive),
		cmocka_unit_test(t_no_suffix_no_question),
		cmocka_unit_test(t_manual_host),
		cmocka_unit_test(t_S11_cached_host_first),
		cmocka_unit_test(t_S04_absent_and_port_zero),
		cmocka_unit_test(t_S13_duplicates),
		cmocka_unit_test(t_probe_none),
		cmocka_unit_test(t_report),
		cmocka_unit_test(t_seed_repeats),
		cmocka_unit_test(t_deadline),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_cancel_in_the_survey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
