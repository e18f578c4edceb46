/* Runs against servers that say what they should not, and runs that end early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "publisher/zone.h"
#include "tests/lib/pub_site.h"

#define OWNER     "_vlmcs._tcp.d0.test"
#define BY_SERVER ONE("d0.test", ", hosts: [one], server: 127.0.0.2")

static struct pub_site s; /* large, as runs are */
static struct pub_site_run run;

enum how { REFERS, FAILS, REFERS_WITH_ANSWER, NO_AUTHORITY, ALIAS };

/* What a server says about the set, from its update number `after` on, `times` times. */
static struct {
	enum how how;
	unsigned after, times;
} say;

static bool say_it(struct pub_site_server *v, const struct fake_dns_request *rq)
{
	unsigned rcode = say.how == FAILS ? DNS_RCODE_SERVFAIL : 0;
	struct fake_reply r;

	if (rq->msg->qtype != DNS_TYPE_SRV || rq->msg->opcode != DNS_OPCODE_QUERY ||
	    v->updates < say.after || say.times == 0)
		return false;
	say.times--;
	fake_reply_begin(&r, rq, rcode, say.how == ALIAS ? FAKE_AA : 0);
	if (say.how == ALIAS)
		fake_reply_cname(&r, DNS_ANSWER, OWNER, 60, "elsewhere.test");
	if (say.how == REFERS_WITH_ANSWER)
		fake_reply_srv(&r, DNS_ANSWER, OWNER, 60, 0, 0, 1688, "kms1.d0.test");
	if (say.how == REFERS || say.how == REFERS_WITH_ANSWER)
		fake_reply_ns(&r, DNS_AUTHORITY, "_tcp.d0.test", 60, "ns1.other.test");
	fake_dns_send_reply(&rq->from, &r);
	return true;
}

static void begin(const char *yaml)
{
	pub_site_init(&s);
	pub_site_configure(&s, yaml);
}

struct row {
	const char *name;
	enum how how;
	enum pub_state state;
	const char *hint; /* a part of it */
};

/* The zone was found, and then its primary does not know the set as it should. */
static void t_what_was_read_cannot_be_used(void **state)
{
	static const struct row rows[] = {
		{ "a referral", REFERS, PUB_BLOCKED, "" },
		{ "a failure", FAILS, PUB_REFUSED, "SERVFAIL" },
		{ "an answer and a referral", REFERS_WITH_ANSWER, PUB_BLOCKED, "child zone" },
		{ "no authority", NO_AUTHORITY, PUB_BLOCKED, "without authority" },
		{ "an alias", ALIAS, PUB_BLOCKED, "CNAME present at " OWNER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(BY_SERVER);
		say.how = rows[i].how;
		say.after = 0;
		say.times = UINT32_MAX;
		s.servers[SITE_PRIMARY].instead = say_it;
		pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
		assert_int_equal(run.n, 1);
		if (run.results[0].state != rows[i].state ||
		    strstr(run.results[0].hint, rows[i].hint) == NULL)
			fail_msg("%s: %s, '%s'", rows[i].name, pub_state_name(run.results[0].state),
				 run.results[0].hint);
		assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
		pub_site_done(&s);
	}
}

/* A zone that is known is not what it was: it is looked for anew, once. */
static void t_known_zone_that_has_changed(void **state)
{
	static const enum how hows[] = { FAILS, NO_AUTHORITY, ALIAS };
	struct pub_zone_cache *zones = pub_zone_cache_new();

	(void)state;
	assert_non_null(zones);
	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		begin(D0);
		pub_site_run(&s, &run, &pub_site_publish, zones, NULL);
		pub_site_expect(&run, PUB_PROVEN);
		pub_site_reset_counts(&s);
		say.how = hows[i];
		say.after = 0;
		say.times = 1;
		s.servers[SITE_PRIMARY].instead = say_it;
		pub_site_run(&s, &run, &pub_site_refresh, zones, NULL);
		pub_site_expect(&run, PUB_UNCHANGED);
		assert_int_equal(say.times, 0);
		assert_true(s.servers[SITE_RESOLVER].soa > 0);
		pub_zone_cache_clear(zones);
		pub_site_done(&s);
	}
	pub_zone_cache_free(zones);
}

/* The update was accepted, and then the primary answers so. */
static void t_proof_that_cannot_be_had(void **state)
{
	static const struct row rows[] = {
		{ "an answer and a referral", REFERS_WITH_ANSWER, PUB_BLOCKED, "child zone" },
		{ "no authority", NO_AUTHORITY, PUB_BLOCKED, "without authority" },
		{ "an alias", ALIAS, PUB_BLOCKED, "CNAME present at " OWNER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(D0);
		say.how = rows[i].how;
		say.after = 1;
		say.times = UINT32_MAX;
		s.servers[SITE_PRIMARY].instead = say_it;
		pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
		assert_int_equal(run.n, 1);
		if (run.results[0].state != rows[i].state ||
		    strstr(run.results[0].hint, rows[i].hint) == NULL)
			fail_msg("%s: %s, '%s'", rows[i].name, pub_state_name(run.results[0].state),
				 run.results[0].hint);
		assert_int_equal(s.servers[SITE_PRIMARY].updates, 1);
		pub_site_done(&s);
	}
}

static void t_lame_secondary_is_unknown(void **state)
{
	(void)state;
	begin(D0);
	say.how = NO_AUTHORITY;
	say.after = 0;
	say.times = UINT32_MAX;
	s.servers[SITE_SECONDARY].instead = say_it;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:unknown");
	pub_site_done(&s);
}

static bool other_records_before_soa(struct pub_site_server *v, const struct fake_dns_request *rq)
{
	struct fake_reply r;

	if (rq->msg->qtype != DNS_TYPE_SOA)
		return false;
	fake_reply_begin(&r, rq, 0, FAKE_AA);
	fake_reply_ns(&r, DNS_ANSWER, "d0.test", 60, "ns1.d0.test");
	fake_reply_soa(&r, DNS_ANSWER, "d0.test", 60, "ns1.d0.test", v->sets[0].serial, 60);
	fake_dns_send_reply(&rq->from, &r);
	return true;
}

/* At rest no serials are asked for; a secondary that shows other records makes them needed. */
static void t_serials_are_asked_for_when_they_matter(void **state)
{
	const struct pub_request rq = { .mode = PUB_REFRESH, .timeout_ms = 900 };

	(void)state;
	begin(D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	s.servers[SITE_SECONDARY].frozen = true;
	s.servers[SITE_SECONDARY].sets[0].n = 0;
	s.servers[SITE_SECONDARY].instead = other_records_before_soa;
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_LAGGING);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:differs");
	assert_int_equal(run.results[0].n_serials, 2);
	pub_site_done(&s);
}

/* Nobody else's silence takes longer than the run may. */
static void t_proof_ends_with_the_time(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH, .timeout_ms = 600 };

	(void)state;
	begin(D0);
	s.servers[SITE_SECONDARY].silent = true;
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].proof, "ns1:ok ns2:unknown");
	pub_site_done(&s);
}

/* Two servers count as the primary: what one of them took is looked for there. */
static void t_proof_begins_where_the_update_went(void **state)
{
	struct pub_zone_cache *zones = pub_zone_cache_new();

	(void)state;
	assert_non_null(zones);
	begin(ONE("d0.test", ", hosts: [one], server: [127.0.0.2, 127.0.0.3]"));
	pub_site_run(&s, &run, &pub_site_publish, zones, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_REFUSED;
	s.servers[SITE_SECONDARY].frozen = true;
	pub_site_reset_counts(&s);
	pub_site_configure(&s, "hosts: [{ name: one, target: kms1.d0.test, priority: 5 }]\n"
			       "publish: { domains: [{ domain: d0.test, lab: true, "
			       "server: [127.0.0.2, 127.0.0.3] }] }\n");
	pub_site_run(&s, &run, &pub_site_refresh, zones, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 1);
	assert_int_equal(s.servers[SITE_SECONDARY].updates, 1);
	assert_int_equal(s.servers[SITE_SECONDARY].sets[0].srv[0].priority, 5);
	pub_zone_cache_free(zones);
	pub_site_done(&s);
}

/* The server's limit of the TTL is told once. */
static void t_limited_ttl_is_told_once(void **state)
{
	(void)state;
	begin(D0);
	s.servers[SITE_PRIMARY].max_ttl = 300;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].findings, "ttl-limited");
	pub_site_configure(&s,
			   "hosts: [{ name: one, target: kms1.d0.test, port: 1688, priority: 5 }]\n"
			   "publish: { ttl: 1h, domains: [{ domain: d0.test, lab: true }] }\n");
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].findings, "");
	pub_site_done(&s);
}

static void t_no_target_has_this_host(void **state)
{
	const struct pub_request rq = { .mode = PUB_WITHDRAW, .host = "two" };

	(void)state;
	begin(D0);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	assert_int_equal(run.err, 0);
	assert_int_equal(run.n, 0);
	pub_site_done(&s);
}

/* Addresses of both families to ask from; IPv4 is all that is needed here. */
static void t_sources_of_both_families(void **state)
{
	(void)state;
	begin(ONE("d0.test", ", hosts: [one], source: [127.0.0.1, \"::1\"]"));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	pub_site_done(&s);
}

/* Nobody knows the target: it is published as it is configured. */
static void t_nobody_to_ask_about_the_target(void **state)
{
	(void)state;
	begin("hosts: [{ name: one, target: kms1.elsewhere.test, port: 1688 }]\n"
	      "publish: { domains: [{ domain: d0.test, lab: true, server: 127.0.0.2 }] }\n");
	s.t.net.n_resolvers = 0;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), "0 0 1688 kms1.elsewhere.test");
	pub_site_done(&s);
}

/* Two hosts at one name are looked up once. */
static void t_hosts_of_one_name(void **state)
{
	(void)state;
	begin("hosts:\n"
	      "  - { name: one, target: kms1.d0.test, port: 1688 }\n"
	      "  - { name: two, target: kms1.d0.test, port: 1689 }\n"
	      "publish: { domains: [{ domain: d0.test, lab: true }] }\n");
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), "0 0 1688 kms1.d0.test | 0 0 1689 kms1.d0.test");
	pub_site_done(&s);
}

/* A refusal is told, be there somebody to ask about its reasons or not. */
static void t_refused_by_a_server_that_is_named(void **state)
{
	static const struct {
		const char *server;
		unsigned rcode;
		bool no_resolver;
	} rows[] = {
		{ "127.0.0.2", DNS_RCODE_REFUSED, true },
		{ "127.0.0.2", DNS_RCODE_FORMERR, false },
		{ "ns1.d0.test", DNS_RCODE_NOTAUTH, false }, /* its address is known by then */
		{ "127.0.0.3", DNS_RCODE_NOTAUTH, false },
	};
	char yaml[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(yaml, sizeof(yaml), ONE("d0.test", ", hosts: [one], server: %s"),
			       rows[i].server);
		begin(yaml);
		s.servers[SITE_PRIMARY].rcode = s.servers[SITE_SECONDARY].rcode = rows[i].rcode;
		s.t.net.n_resolvers = !rows[i].no_resolver;
		pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
		pub_site_expect(&run, PUB_REFUSED);
		if ((strstr(run.results[0].hint, "may be a secondary") != NULL) != (i == 3))
			fail_msg("%s, %u: '%s'", rows[i].server, rows[i].rcode,
				 run.results[0].hint);
		pub_site_done(&s);
	}
}

static void cancel_after(int steps)
{
	for (int i = 0; i < steps && !run.done; i++)
		test_net_step(&s.t);
	if (!run.done) {
		pub_reconcile_cancel(run.reconcile);
		uv_ref((uv_handle_t *)&s.wake);
		test_net_run_until(&s.t, &run.done);
		uv_unref((uv_handle_t *)&s.wake);
		assert_true(run.err == ERR_CANCELED || run.err == 0); /* it had just ended */
	}
	assert_int_equal(run.calls, 1);
	pub_site_done(&s);
}

static void t_cancel_at_every_step(void **state)
{
	struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };

	(void)state;
	for (int steps = 0; steps < 40; steps++) {
		begin(D0); /* is it a wildcard? */
		pub_site_add(&s, 0, 0, 0, 1688, "other.d0.test", 300);
		p.targets = s.targets;
		p.journal = s.journal;
		pub_site_start(&s, &run, &p);
		cancel_after(steps);
		begin(ONE("d0.test", ", hosts: [one], server: 127.0.0.3")); /* is it a secondary? */
		s.servers[SITE_SECONDARY].rcode = DNS_RCODE_NOTAUTH;
		p.targets = s.targets;
		p.journal = s.journal;
		pub_site_start(&s, &run, &p);
		cancel_after(steps);
	}
}

/* More than can be asked for at once: those in line end too, wherever they stand. */
static void t_cancel_with_many_in_line(void **state)
{
	struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };

	(void)state;
	for (int steps = 0; steps < 96; steps += steps < 24 ? 4 : 12) {
		pub_site_init(&s);
		pub_site_configure_many(&s, PUB_SITE_ZONES);
		s.servers[SITE_PRIMARY].delay_ms = 20;
		p.targets = s.targets;
		p.journal = s.journal;
		pub_site_start(&s, &run, &p);
		cancel_after(steps);
	}
}

static bool silent_about_the_zone(struct pub_site_server *v, const struct fake_dns_request *rq)
{
	(void)v;
	return rq->msg->qtype == DNS_TYPE_NS ||
	       (rq->msg->qtype == DNS_TYPE_SOA && rq->msg->opcode == DNS_OPCODE_QUERY);
}

/* Those whose update was taken wait for a turn to ask for the name servers of their zone. */
static void t_cancel_in_line_for_the_proof(void **state)
{
	struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };

	(void)state;
	pub_site_init(&s);
	pub_site_configure_many(&s, PUB_SITE_ZONES);
	s.servers[SITE_PRIMARY].instead = silent_about_the_zone;
	p.targets = s.targets;
	p.journal = s.journal;
	pub_site_start(&s, &run, &p);
	uv_ref((uv_handle_t *)&s.wake);
	while (s.servers[SITE_PRIMARY].updates < PUB_SITE_ZONES && !run.done)
		uv_run(&s.t.loop, UV_RUN_ONCE);
	uv_unref((uv_handle_t *)&s.wake);
	cancel_after(20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_what_was_read_cannot_be_used),
		cmocka_unit_test(t_known_zone_that_has_changed),
		cmocka_unit_test(t_proof_that_cannot_be_had),
		cmocka_unit_test(t_lame_secondary_is_unknown),
		cmocka_unit_test(t_serials_are_asked_for_when_they_matter),
		cmocka_unit_test(t_proof_ends_with_the_time),
		cmocka_unit_test(t_proof_begins_where_the_update_went),
		cmocka_unit_test(t_limited_ttl_is_told_once),
		cmocka_unit_test(t_no_target_has_this_host),
		cmocka_unit_test(t_sources_of_both_families),
		cmocka_unit_test(t_nobody_to_ask_about_the_target),
		cmocka_unit_test(t_hosts_of_one_name),
		cmocka_unit_test(t_refused_by_a_server_that_is_named),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_cancel_with_many_in_line),
		cmocka_unit_test(t_cancel_in_line_for_the_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
