/* The publisher's engine, and runs that need more of it than a first publish: whatever fails is
 * told, and the next run puts it right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "publisher/engine.h"
#include "publisher/report.h"
#include "tests/faults/fault.h"
#include "tests/lib/pub_site.h"

#define BOTH      ONE("d0.test", "")
#define BY_SERVER ONE("d0.test", ", hosts: [one], server: 127.0.0.2")

static struct pub_site site; /* large */
static struct pub_site_run first, next;

/* 0 where the run says that everything is as it should be, which is looked at then. */
static int outcome(const struct pub_site_run *run, const char *records)
{
	if (run->err != 0)
		return run->err;
	assert_int_equal(run->n, 1);
	if (strstr(run->results[0].findings, "journal-failed") != NULL)
		return ERR_STORE_FULL;
	switch (run->results[0].state) {
	case PUB_PROVEN:
	case PUB_UNCHANGED:
		assert_string_equal(pub_site_show(&site, 0), records);
		return 0;
	default:
		assert_string_not_equal(run->results[0].hint, "");
		return ERR_INTERNAL;
	}
}

/* Two, so that a report has rows before and behind the one that fails. */
#define D0_D1                                                                                      \
	HOSTS "publish: { domains: [{ domain: d0.test, lab: true, hosts: [one] }, "                \
	      "{ domain: d1.test, lab: true, hosts: [two] }] }\n"

/* ---- an engine's life ---- */

struct life {
	struct pub_engine *e;
	bool answered, stopped;
	int err;
	enum pub_state state;
};

static void on_answer(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct life *l = ctx;

	l->answered = true;
	l->err = err;
	if (err != 0)
		return;
	assert_int_equal(n, 1);
	l->state = results[0].state;
	for (size_t i = 0; i < results[0].n_findings; i++)
		if (results[0].findings[i].id == FINDING_JOURNAL)
			l->err = ERR_STORE_FULL;
}

static void on_stopped(void *ctx)
{
	((struct life *)ctx)->stopped = true;
}

static int ask(struct life *l, const struct pub_request *rq)
{
	int err = pub_engine_request(l->e, rq, on_answer, l);

	l->answered = false;
	if (err != 0)
		return err;
	test_net_run_until(&site.t, &l->answered);
	if (l->err != 0)
		return l->err;
	return l->state == PUB_PROVEN || l->state == PUB_UNCHANGED ? 0 : ERR_INTERNAL;
}

static struct dns_name d0(void)
{
	struct dns_name zone;

	assert_int_equal(dns_name_parse("d0.test", &zone), 0);
	return zone;
}

static int live(struct life *l)
{
	struct dns_name zone = d0();
	const struct pub_request publish = { .mode = PUB_PUBLISH, .domain = &zone };
	const struct pub_request withdraw = { .mode = PUB_WITHDRAW,
					      .domain = &zone,
					      .host = "one" };
	struct addr primary = test_addr("127.0.0.2:53");
	json_t *status;
	int err;

	pub_engine_start(l->e);
	err = ask(l, &publish);
	if (err == 0)
		err = ask(l, &withdraw);
	status = pub_report_status(l->e);
	if (err == 0 && status == NULL)
		err = ERR_NOMEM;
	json_decref(status);
	(void)pub_engine_notify(l->e, &zone, &primary);
	if (err == 0)
		err = pub_engine_set_targets(l->e, site.targets, 3600000, true);
	pub_engine_stop(l->e, 5000, on_stopped, l);
	test_net_run_until(&site.t, &l->stopped);
	return err;
}

static int engine(void)
{
	struct pub_engine_params p = { .net = &site.t.net, .refresh_ms = 3600000 };
	struct dns_name zone = d0();
	const struct pub_request publish = { .mode = PUB_PUBLISH, .domain = &zone };
	struct life l = { 0 };
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, D0_D1);
	site.check_journal = false; /* records are added all the same where it cannot be written */
	site.t.net.clock = clock_system();
	p.journal = site.journal;
	p.targets = site.targets;
	uv_ref((uv_handle_t *)&site.wake);
	fault_begin();
	err = pub_engine_new(&p, &l.e);
	if (err == 0)
		err = live(&l);
	fault_end();
	pub_engine_free(l.e);
	uv_unref((uv_handle_t *)&site.wake);
	if (err == 0)
		assert_string_equal(pub_site_show(&site, 0), "");
	pub_site_run(&site, &next, &publish, NULL, NULL);
	assert_int_equal(outcome(&next, K1), 0);
	pub_site_done(&site);
	return err;
}

/* ---- runs ---- */

/* The second run of a process knows the zone, and that of one with `server:` reads by itself. */
static int again(const char *yaml)
{
	struct pub_zone_cache *zones;
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, yaml);
	site.check_journal = false;
	fault_begin();
	zones = pub_zone_cache_new();
	pub_site_run(&site, &first, &pub_site_publish, zones, NULL);
	err = outcome(&first, K1);
	pub_site_run(&site, &first, &pub_site_refresh, zones, NULL);
	err = err != 0 ? err : outcome(&first, K1);
	fault_end();
	pub_site_run(&site, &next, &pub_site_publish, zones, NULL);
	assert_int_equal(outcome(&next, K1), 0);
	pub_zone_cache_free(zones);
	pub_site_done(&site);
	return zones != NULL ? err : ERR_NOMEM;
}

static int known_zone(void)
{
	return again(D0);
}

static int named_server(void)
{
	return again(BY_SERVER);
}

static int drain(void)
{
	const struct pub_request rq = { .mode = PUB_DRAIN, .host = "one", .keep_last = true };
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, BOTH);
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	assert_int_equal(outcome(&first, K1 " | " K2), 0);
	fault_begin();
	pub_site_run(&site, &first, &rq, NULL, NULL);
	fault_end();
	err = outcome(&first, K2);
	pub_site_run(&site, &next, &rq, NULL, NULL);
	assert_int_equal(outcome(&next, K2), 0);
	pub_site_done(&site);
	return err;
}

/* Whether the host with an address is published, and what the others lack is told. */
static int lacks_are_told(const struct pub_site_run *run)
{
	if (run->err != 0)
		return run->err;
	if (run->results[0].state != PUB_BLOCKED ||
	    strcmp(run->results[0].findings, "target-no-address target-no-address") != 0)
		return ERR_INTERNAL;
	assert_string_equal(pub_site_show(&site, 0), K1);
	return 0;
}

static int bad_target(void)
{
	static const char yaml[] =
		"hosts:\n"
		"  - { name: bad, target: nobody.d0.test, port: 1688 }\n"
		"  - { name: worse, target: nowhere.d0.test, port: 1688 }\n"
		"  - { name: one, target: kms1.d0.test, port: 1688, weight: 10 }\n"
		"publish: { domains: [{ domain: d0.test, lab: true }] }\n";
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, yaml);
	site.check_journal = false;
	fault_begin();
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	fault_end();
	err = lacks_are_told(&first);
	pub_site_run(&site, &next, &pub_site_publish, NULL, NULL);
	assert_int_equal(lacks_are_told(&next), 0);
	pub_site_done(&site);
	return err;
}

static enum pub_health_state one_is_down(void *ctx, const struct dns_name *target, uint16_t port)
{
	char name[DNSNAME_TEXT_MAX];

	(void)ctx;
	(void)port;
	return strcmp(dns_name_format(target, name), "kms1.d0.test") == 0 ? PUB_HEALTH_DOWN
									  : PUB_HEALTH_UP;
}

static int health(void)
{
	const struct pub_health h = { .state = one_is_down };
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, BOTH);
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	assert_int_equal(outcome(&first, K1 " | " K2), 0);
	fault_begin();
	pub_site_run(&site, &first, &pub_site_refresh, NULL, &h);
	fault_end();
	err = outcome(&first, K2);
	pub_site_run(&site, &next, &pub_site_refresh, NULL, &h);
	assert_int_equal(outcome(&next, K2), 0);
	pub_site_done(&site);
	return err;
}

/* Any name below _tcp has the record, until there is one of its own. */
static bool wildcard_answers(struct pub_site_server *v, const struct fake_dns_request *rq)
{
	char name[DNSNAME_TEXT_MAX];
	struct fake_reply r;

	if (rq->msg->opcode != DNS_OPCODE_QUERY || rq->msg->qtype != DNS_TYPE_SRV || v->updates > 0)
		return false;
	dns_name_format(&rq->msg->qname, name);
	fake_reply_begin(&r, rq, 0, FAKE_AA);
	fake_reply_srv(&r, DNS_ANSWER, name, 60, 0, 0, 1688, "other.d0.test");
	fake_dns_send_reply(&rq->from, &r);
	return true;
}

static int wildcard(void)
{
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, D0);
	site.check_journal = false;
	site.servers[SITE_PRIMARY].instead = wildcard_answers;
	fault_begin();
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	fault_end();
	err = outcome(&first, K1);
	pub_site_run(&site, &next, &pub_site_publish, NULL, NULL);
	assert_int_equal(outcome(&next, K1), 0);
	pub_site_done(&site);
	return err;
}

/* Refused by a domain controller: that it is one is told, or nothing of it. */
static int refused(void)
{
	const char *findings;

	pub_site_init(&site);
	pub_site_configure(&site, D0);
	site.check_journal = false;
	site.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_FORMERR;
	site.servers[SITE_PRIMARY].is_controller = true;
	fault_begin();
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	fault_end();
	findings = first.n > 0 ? first.results[0].findings : "";
	if (first.err == 0 && strcmp(findings, "ad-integrated") == 0)
		assert_int_equal(first.results[0].state, PUB_REFUSED);
	site.servers[SITE_PRIMARY].update_rcode = 0;
	pub_site_run(&site, &next, &pub_site_publish, NULL, NULL);
	assert_int_equal(outcome(&next, K1), 0);
	pub_site_done(&site);
	return first.err == 0 && strcmp(findings, "ad-integrated") == 0 ? 0 : ERR_INTERNAL;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "engine", .run = engine },
	{ .name = "known_zone", .run = known_zone },
	{ .name = "named_server", .run = named_server },
	{ .name = "drain", .run = drain },
	{ .name = "bad_target", .run = bad_target },
	{ .name = "health", .run = health },
	{ .name = "wildcard", .run = wildcard },
	{ .name = "refused", .run = refused },
};

int main(void)
{
	return fault_run("fault_engine", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
