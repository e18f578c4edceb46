#include "publisher/reconcile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/hresult.h"
#include "common/log.h"
#include "publisher/proof.h"
#include "tests/lib/pub_site.h"

static void t_publish_then_nothing(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].domain, "d0.test");
	assert_string_equal(run.results[0].changes, "+" K1 " @3600");
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
	assert_string_equal(run.results[0].findings, "");
	assert_int_equal(run.results[0].n_serials, 2);
	assert_true(run.results[0].has_rcode);
	assert_int_equal(run.results[0].rcode, 0);
	assert_int_equal(run.results[0].hresult, 0);
	assert_string_equal(run.results[0].hint, "");
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 1);
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_PUBLISHED);
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
	assert_int_equal(run.results[0].n_serials, 2);
	pub_site_done(&s);
}

/* The bench of issue 3 counts it: one question for each server, and no UPDATE. */
static void t_steady_state_costs_one_question_a_server(void **state)
{
	struct pub_zone_cache *zones = pub_zone_cache_new();
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, zones, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	for (int i = 0; i < 3; i++) {
		pub_site_reset_counts(&s);
		pub_site_run(&s, &run, &pub_site_refresh, zones, NULL);
		pub_site_expect(&run, PUB_UNCHANGED);
		assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
		for (int k = 0; k < SITE_SERVERS; k++) {
			assert_int_equal(s.servers[k].srv, k == SITE_RESOLVER ? 0 : 1);
			assert_int_equal(s.servers[k].soa, 0);
			assert_int_equal(s.servers[k].other, 0);
			assert_int_equal(s.servers[k].updates, 0);
		}
	}
	s.t.clock.mono_ms += PUB_ZONE_KEEP_MS; /* then the zone is learned anew */
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &pub_site_refresh, zones, NULL);
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_int_equal(s.servers[SITE_RESOLVER].soa, 1);
	pub_zone_cache_free(zones);
	pub_site_done(&s);
}

static void t_primary_named_in_the_configuration(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ", hosts: [one], server: 127.0.0.2"));
	s.servers[SITE_RESOLVER].silent = true; /* not needed: the primary knows all names */
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_done(&s);
}

static void t_foreign_record_survives(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_add(&s, 0, 0, 0, 1688, "other.d0.test", 300);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].changes, "+" K1 " @300");
	assert_string_equal(run.results[0].findings, "ttl-adopted");
	assert_string_equal(pub_site_show(&s, 0), F1 " | " K1);
	pub_site_run(&s, &run, &pub_site_withdraw, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].changes, "-" K1);
	assert_string_equal(pub_site_show(&s, 0), F1);
	assert_int_equal(s.servers[SITE_PRIMARY].sets[0].ttl, 300);
	pub_site_done(&s);
}

static void t_U07_changed_priority_is_one_message(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_configure(&s,
			   "hosts: [{ name: one, target: kms1.d0.test, port: 1688, priority: 5 }]\n"
			   "publish: { domains: [{ domain: d0.test, lab: true }] }\n");
	pub_site_restart(&s);
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 1);
	assert_int_equal(s.servers[SITE_PRIMARY].changes, 2);
	assert_string_equal(pub_site_show(&s, 0), "5 0 1688 kms1.d0.test");
	pub_site_done(&s);
}

static void t_secondary_catches_up(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_SECONDARY].frozen = true;
	s.servers[SITE_SECONDARY].thaw_after = 3;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
	assert_int_equal(s.servers[SITE_SECONDARY].srv, 4);
	pub_site_done(&s);
}

static void t_Z09_secondary_lags(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .timeout_ms = 700 };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_SECONDARY].frozen = true;
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_LAGGING);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:lagging");
	assert_int_equal(run.results[0].hresult, HR_DNS_NO_RECORDS);
	assert_non_null(strstr(run.results[0].hint, "ns2.d0.test still serves an older version"));
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_PUBLISHED);
	/* the same records missing at a newer serial are no lag: another view, or its own copy */
	s.servers[SITE_SECONDARY].sets[0].serial = 1000;
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_LAGGING);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:differs");
	assert_non_null(strstr(run.results[0].hint, "another view"));
	pub_site_done(&s);
}

/* Z08, Z09: a serial that has wrapped is still the older or the newer one (RFC 1982). */
static void t_serials(void **state)
{
	(void)state;
	assert_true(pub_serial_before(1, 2));
	assert_false(pub_serial_before(2, 1));
	assert_false(pub_serial_before(2, 2));
	assert_true(pub_serial_before(0xffffffff, 0));
	assert_true(pub_serial_before(0xfffffff0, 5));
	assert_false(pub_serial_before(5, 0xfffffff0));
	assert_false(pub_serial_before(0, 0x80000000));
	assert_false(pub_serial_before(0x80000000, 0));
}

static void t_Z08_dead_secondary(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_SECONDARY].rcode = DNS_RCODE_REFUSED;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:unknown");
	assert_string_equal(run.results[0].findings, "server-unknown");
	pub_site_done(&s);
}

static void t_refused_update(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_REFUSED;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_REFUSED);
	assert_true(run.results[0].has_rcode);
	assert_int_equal(run.results[0].rcode, DNS_RCODE_REFUSED);
	assert_int_equal(run.results[0].hresult, HR_DNS_REFUSED);
	assert_non_null(strstr(run.results[0].hint, "takes no unsigned update"));
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_NONE); /* taken back */
	pub_site_done(&s);
}

static void t_unreachable_primary(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .timeout_ms = 500 };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].silent = true;
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_UNREACHABLE);
	assert_int_equal(run.results[0].hresult, HR_TIMEOUT);
	assert_string_equal(run.results[0].changes, "");
	pub_site_done(&s);
}

/* P01, P02: what cannot be read is not planned upon. */
static void t_P01_failed_read_plans_nothing(void **state)
{
	struct pub_zone_cache *zones = pub_zone_cache_new();
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, zones, NULL);
	s.servers[SITE_PRIMARY].rcode = DNS_RCODE_SERVFAIL;
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &pub_site_refresh, zones, NULL);
	pub_site_expect(&run, PUB_REFUSED);
	assert_int_equal(run.results[0].rcode, DNS_RCODE_SERVFAIL);
	assert_string_equal(run.results[0].changes, "");
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_PUBLISHED);
	pub_zone_cache_free(zones);
	pub_site_done(&s);
}

static void t_U02_noerror_without_effect(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .timeout_ms = 500 };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].ignores_updates = true;
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_int_equal(run.results[0].hresult, HR_DNS_NO_RECORDS);
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_INTENT_ADD);
	pub_site_done(&s);
}

static void t_U04_limited_ttl_is_no_loop(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].max_ttl = 100;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].findings, "ttl-limited");
	for (int i = 0; i < 2; i++) {
		pub_site_restart(&s); /* known in the next process, too */
		pub_site_reset_counts(&s);
		pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
		pub_site_expect(&run, PUB_UNCHANGED);
		assert_string_equal(run.results[0].findings, "");
		assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	}
	pub_site_done(&s);
}

static void t_U19_lost_answer(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].loses_answers = true;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 2); /* the same, and harmless */
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_done(&s);
}

/* The primary tells in one answer that it has the zone and that it has no record; then the proof,
 * and one question for the serial and the name servers. */
static void t_first_publish_asks_nothing_twice(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_RESOLVER].soa, 1);
	assert_int_equal(s.servers[SITE_PRIMARY].srv, 2);
	assert_int_equal(s.servers[SITE_PRIMARY].soa, 1);
	assert_int_equal(s.servers[SITE_SECONDARY].srv, 1);
	assert_int_equal(s.servers[SITE_SECONDARY].soa, 1);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
	assert_int_equal(run.results[0].n_serials, 2);
	pub_site_done(&s);
}

/* A dry run proves nothing, so it has not learned who is to be asked for a proof. */
static void t_dry_run_leaves_no_zone_without_its_servers(void **state)
{
	const struct pub_request dry = { .mode = PUB_PUBLISH, .dry_run = true };
	struct pub_zone_cache *zones = pub_zone_cache_new();
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &dry, zones, NULL);
	pub_site_expect(&run, PUB_PLANNED);
	pub_site_run(&s, &run, &pub_site_refresh, zones, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:ok");
	pub_site_done(&s);
	pub_zone_cache_free(zones);
}

static void t_P09_dry_run_writes_nothing(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .dry_run = true };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_PLANNED);
	assert_string_equal(run.results[0].changes, "+" K1 " @3600");
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	assert_int_equal(pub_journal_count(s.journal), 0);
	assert_false(pub_journal_is_dirty(s.journal));
	pub_site_done(&s);
}

static void t_alias_is_followed(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	for (int i = 0; i < SITE_SERVERS; i++)
		s.servers[i].sets[0].cname = "kms-records.d0.test";
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].findings, "aliased");
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_done(&s);
}

/* U01: the resolvers do not know of the CNAME that the primary has. */
static void t_U01_cname_at_the_name(void **state)
{
	struct pub_zone_cache *zones = pub_zone_cache_new();
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ", hosts: [one], server: 127.0.0.2"));
	for (int i = 0; i < SITE_SERVERS; i++)
		s.servers[i].sets[0].cname = "kms.elsewhere.example";
	pub_site_run(&s, &run, &pub_site_publish, zones, NULL);
	pub_site_expect(&run, PUB_REFUSED); /* the server does not serve where it leads */
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	pub_zone_cache_free(zones);
	pub_site_done(&s);
}

static void t_bad_targets_are_not_published(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, "hosts:\n"
			       "  - { name: a, target: nowhere.d0.test, port: 1688 }\n"
			       "  - { name: b, target: alias.d0.test, port: 1688 }\n"
			       "  - { name: c, target: kms2.d0.test, port: 1688 }\n"
			       "publish: { domains: [{ domain: d0.test, lab: true }] }\n");
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_string_equal(run.results[0].findings, "target-no-address target-cname");
	assert_string_equal(pub_site_show(&s, 0), "0 0 1688 kms2.d0.test");
	pub_site_configure(&s, "hosts: [{ name: c, target: kms1.d1.test, port: 1688 }]\n"
			       "publish: { domains: [{ domain: d1.test }] }\n");
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_string_equal(run.results[0].findings, "target-loopback");
	assert_string_equal(pub_site_show(&s, 1), "");
	pub_site_done(&s);
}

static void t_dot_is_not_joined(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_add(&s, 0, 0, 0, 0, ".", 300);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	assert_non_null(strstr(run.results[0].findings, "absent-by-dot"));
	pub_site_done(&s);
}

/* ---- many ---- */

static void t_Z17_many_zones_one_broken(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .timeout_ms = 4000 };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure_many(&s, PUB_SITE_ZONES);
	s.servers[SITE_PRIMARY].silent_zone = 7;
	pub_site_run(&s, &run, &rq, NULL, NULL);
	assert_int_equal(run.err, 0);
	assert_int_equal(run.n, PUB_SITE_ZONES);
	for (unsigned i = 0; i < PUB_SITE_ZONES; i++) {
		assert_int_equal(run.results[i].state, i == 7 ? PUB_UNREACHABLE : PUB_PROVEN);
		assert_string_equal(pub_site_show(&s, i), i == 7 ? "" : K1);
	}
	assert_int_equal(s.servers[SITE_PRIMARY].updates, PUB_SITE_ZONES - 1);
	pub_site_done(&s);
}

/* U25: named drops what is above its quota, so no more than this may be under way. */
static void t_U25_updates_in_flight_are_bounded(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure_many(&s, PUB_SITE_ZONES);
	s.servers[SITE_PRIMARY].delay_ms = 100;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	assert_int_equal(run.n, PUB_SITE_ZONES);
	for (size_t i = 0; i < run.n; i++)
		assert_int_equal(run.results[i].state, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, PUB_SITE_ZONES);
	assert_in_range(s.servers[SITE_PRIMARY].early_updates, 1, PUB_UPDATES_PER_SERVER);
	pub_site_done(&s);
}

static void cancel_at_every_step(unsigned update_rcode, bool silent_about_ad)
{
	for (int steps = 0; steps < 60; steps++) {
		struct pub_site s;
		struct pub_site_run run;
		struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };

		pub_site_init(&s);
		s.servers[SITE_PRIMARY].update_rcode = update_rcode;
		s.servers[SITE_PRIMARY].silent_about_ad = silent_about_ad;
		pub_site_configure(&s, ONE("d0.test", ""));
		p.targets = s.targets;
		p.journal = s.journal;
		pub_site_start(&s, &run, &p);
		for (int i = 0; i < steps && !run.done; i++)
			test_net_step(&s.t);
		if (!run.done) {
			pub_reconcile_cancel(run.reconcile);
			pub_reconcile_cancel(run.reconcile);
			assert_int_equal(run.calls, 0);
			uv_ref((uv_handle_t *)&s.wake);
			test_net_run_until(&s.t, &run.done);
			uv_unref((uv_handle_t *)&s.wake);
			assert_int_equal(run.err, ERR_CANCELED);
		}
		assert_int_equal(run.calls, 1);
		pub_site_done(&s);
	}
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	cancel_at_every_step(0, false);
	cancel_at_every_step(DNS_RCODE_REFUSED, true); /* and is it a domain controller? */
}

static void t_refused_by_a_domain_controller(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_REFUSED;
	s.servers[SITE_PRIMARY].is_controller = true;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_REFUSED);
	assert_string_equal(run.results[0].findings, "ad-integrated");
	assert_non_null(strstr(run.results[0].hint, "zone d0.test is AD-integrated (its primary "
						    "ns1.d0.test is a domain controller)"));
	assert_int_equal(s.servers[SITE_PRIMARY].ad, 1);
	pub_site_done(&s);
}

/* The refusal is what is told, in time, whatever becomes of the further question. */
static void t_refused_and_no_word_about_controllers(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .timeout_ms = 400 };
	struct pub_site s;
	struct pub_site_run run;
	uint64_t begin_ms;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_REFUSED;
	s.servers[SITE_PRIMARY].silent_about_ad = true;
	begin_ms = uv_now(&s.t.loop);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_REFUSED);
	assert_true(uv_now(&s.t.loop) - begin_ms < 1500);
	assert_string_equal(run.results[0].findings, "");
	assert_non_null(strstr(run.results[0].hint, "takes no unsigned update"));
	pub_site_done(&s);
}

static void t_nothing_to_do(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, "log: { level: info }\n");
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	assert_int_equal(run.err, 0);
	assert_int_equal(run.n, 0);
	pub_site_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_publish_then_nothing),
		cmocka_unit_test(t_steady_state_costs_one_question_a_server),
		cmocka_unit_test(t_primary_named_in_the_configuration),
		cmocka_unit_test(t_foreign_record_survives),
		cmocka_unit_test(t_U07_changed_priority_is_one_message),
		cmocka_unit_test(t_secondary_catches_up),
		cmocka_unit_test(t_Z09_secondary_lags),
		cmocka_unit_test(t_serials),
		cmocka_unit_test(t_Z08_dead_secondary),
		cmocka_unit_test(t_refused_update),
		cmocka_unit_test(t_unreachable_primary),
		cmocka_unit_test(t_P01_failed_read_plans_nothing),
		cmocka_unit_test(t_U02_noerror_without_effect),
		cmocka_unit_test(t_U04_limited_ttl_is_no_loop),
		cmocka_unit_test(t_U19_lost_answer),
		cmocka_unit_test(t_first_publish_asks_nothing_twice),
		cmocka_unit_test(t_dry_run_leaves_no_zone_without_its_servers),
		cmocka_unit_test(t_P09_dry_run_writes_nothing),
		cmocka_unit_test(t_alias_is_followed),
		cmocka_unit_test(t_U01_cname_at_the_name),
		cmocka_unit_test(t_bad_targets_are_not_published),
		cmocka_unit_test(t_dot_is_not_joined),
		cmocka_unit_test(t_Z17_many_zones_one_broken),
		cmocka_unit_test(t_U25_updates_in_flight_are_bounded),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_refused_by_a_domain_controller),
		cmocka_unit_test(t_refused_and_no_word_about_controllers),
		cmocka_unit_test(t_nothing_to_do),
	};

	log_setup(LOG_ERROR, LOG_TEXT, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
