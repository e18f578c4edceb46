#include "resolver/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "resolver/audit_report.h"
#include "resolver/totals.h"
#include "tests/lib/auth_zone.h"
#include "tests/lib/fake_prober.h"
#include "tests/lib/fake_tsig.h"

#define OWNER "_vlmcs._tcp.corp.example"
#define N(a)  (sizeof(a) / sizeof((a)[0]))

/* Two name servers on two loopback addresses and one port, and the resolver beside them. */
struct fixture {
	struct test_net t;
	struct auth_zone ns[2];
	struct auth_zone res;
	struct fake_dns *server[3];
	struct fake_prober prober;
	struct rsv_targets *targets;
	struct dns_server list[1];
	struct rsv_audit_params p;
	struct rsv_audit *a;
	int calls;
	bool done;
	int err;
	enum rsv_status status;
	char ids[512]; /* "dead-target lag " */
	char texts[2048];
	char states[128]; /* of servers */
	char classes[256];
	struct rsv_verify_totals totals;
	json_t *json;
};

static const struct auth_row healthy[] = {
	{ OWNER, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688, .weight = 10 },
	{ OWNER, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 10 },
	{ "corp.example", DNS_TYPE_NS, "ns1.corp.example", .ttl = 60 },
	{ "corp.example", DNS_TYPE_NS, "ns2.corp.example", .ttl = 60 },
	{ "ns1.corp.example", DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
	{ "ns2.corp.example", DNS_TYPE_A, "127.0.0.2", .ttl = 60 },
	{ "kms1.corp.example", DNS_TYPE_A, "127.0.1.1", .ttl = 60 },
	{ "kms2.corp.example", DNS_TYPE_A, "127.0.1.2", .ttl = 60 },
	{ "alias.corp.example", DNS_TYPE_CNAME, "kms2.corp.example", .ttl = 60 },
};

static void append(char *buf, size_t size, const char *text)
{
	size_t used = strlen(buf);

	snprintf(buf + used, size - used, "%s ", text);
}

static void on_done(struct rsv_audit *a, const struct rsv_audit_result *r)
{
	struct fixture *f = a->owner;

	f->calls++;
	f->done = true;
	f->err = r->err;
	f->status = r->status;
	for (size_t i = 0; i < r->n_findings; i++) {
		append(f->ids, sizeof(f->ids), finding_info(r->findings[i].id)->id);
		append(f->texts, sizeof(f->texts), r->findings[i].text);
	}
	for (size_t i = 0; i < r->n_servers; i++)
		append(f->states, sizeof(f->states), rsv_server_state_name(r->servers[i].state));
	for (size_t i = 0; i < r->n_records; i++)
		append(f->classes, sizeof(f->classes), rsv_class_name(r->records[i].cls));
	rsv_verify_totals_add(&f->totals, 0, r);
	f->json = rsv_audit_report(r);
	memset(a, 0xa5, sizeof(*a));
	free(a);
}

static void zone_init(struct auth_zone *z)
{
	z->apex = "corp.example";
	z->mname = "ns1.corp.example";
	z->serial = 7;
	z->rows = healthy;
	z->n_rows = N(healthy);
}

static void init(struct fixture *f)
{
	struct rsv_targets_params tp = { 0 };
	uint16_t port;

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	zone_init(&f->ns[0]);
	zone_init(&f->ns[1]);
	zone_init(&f->res);
	f->res.not_authoritative = true;
	f->server[0] = auth_zone_start(&f->t, "127.0.0.1", 0, &f->ns[0]);
	port = addr_port(fake_dns_addr(f->server[0]));
	f->server[1] = auth_zone_start(&f->t, "127.0.0.2", port, &f->ns[1]);
	f->server[2] = auth_zone_start(&f->t, "127.0.0.3", 0, &f->res);
	f->t.net.dns_port = port;
	f->t.net.resolvers[0] = *fake_dns_addr(f->server[2]);
	f->t.net.n_resolvers = 1;
	fake_prober_init(&f->prober);
	tp.prober = &f->prober.prober;
	f->targets = rsv_targets_new(&f->t.net, &tp);
	assert_non_null(f->targets);
	assert_int_equal(dns_name_parse("corp.example", &f->p.domain), 0);
	f->p.targets = f->targets;
	f->p.settle_ms = 1;
}

static void start(struct fixture *f)
{
	f->a = calloc(1, sizeof(*f->a));
	assert_non_null(f->a);
	f->a->owner = f;
	rsv_audit_start(f->a, &f->t.net, &f->p, on_done);
	assert_int_equal(f->calls, 0);
}

static void done(struct fixture *f)
{
	for (size_t i = 0; i < 3; i++)
		if (f->server[i] != NULL)
			fake_dns_free(f->server[i]);
	rsv_targets_free(f->targets, NULL, NULL);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
	json_decref(f->json);
}

static void run(struct fixture *f)
{
	start(f);
	test_net_run_until(&f->t, &f->done);
}

static void stop_server(struct fixture *f, size_t i)
{
	fake_dns_free(f->server[i]);
	f->server[i] = NULL;
}

static void t_healthy(void **state)
{
	struct rsv_expect own[2];
	struct fixture f;

	(void)state;
	init(&f);
	run(&f);
	assert_int_equal(f.err, 0);
	assert_string_equal(f.ids, "");
	assert_int_equal(f.status, RSV_OK_);
	assert_string_equal(f.states, "ok ok ok ");
	assert_string_equal(f.classes, "expected expected ");
	assert_int_equal(f.prober.started, 2);
	done(&f);

	init(&f);
	assert_int_equal(rsv_expect_parse("kms1.corp.example:1688:0:10", &own[0], NULL), 0);
	assert_int_equal(rsv_expect_parse("kms2.corp.example:1688:10:0", &own[1], NULL), 0);
	f.p.own = own;
	f.p.n_own = 2;
	run(&f);
	assert_string_equal(f.ids, "");
	assert_string_equal(f.classes, "mine-healthy mine-healthy ");
	done(&f);
}

static void t_dead_and_alias_targets(void **state)
{
	static const struct auth_row rows[] = {
		{ OWNER, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
		{ OWNER, DNS_TYPE_SRV, "alias.corp.example", .port = 1688 },
		{ OWNER, DNS_TYPE_SRV, "gone.corp.example", .port = 1688 },
		{ "corp.example", DNS_TYPE_NS, "ns1.corp.example", .ttl = 60 },
		{ "ns1.corp.example", DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
		{ "kms1.corp.example", DNS_TYPE_A, "127.0.1.1", .ttl = 60 },
		{ "kms2.corp.example", DNS_TYPE_A, "127.0.1.2", .ttl = 60 },
		{ "alias.corp.example", DNS_TYPE_CNAME, "kms2.corp.example", .ttl = 60 },
	};
	static const struct fake_probe_rule rules[] = { { "127.0.1.1:1688", PROBE_TIMEOUT } };
	struct fixture f;

	(void)state;
	init(&f);
	f.ns[0].rows = f.res.rows = rows;
	f.ns[0].n_rows = f.res.n_rows = N(rows);
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	run(&f);
	assert_string_equal(f.ids, "target-cname target-no-address dead-target ");
	assert_string_equal(f.classes, "target-cname dead-target dead-target ");
	assert_int_equal(f.status, RSV_WARN_);
	done(&f);
}

/* Z08: a dead server is a warning, and the rest of the audit goes on. */
static void t_Z08_server_down(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	stop_server(&f, 1);
	run(&f);
	assert_string_equal(f.ids, "server-unreachable ");
	assert_non_null(strstr(f.texts, "ns2.corp.example"));
	assert_int_equal(f.status, RSV_WARN_);
	assert_string_equal(f.states, "ok unreachable ok ");
	done(&f);

	init(&f);
	f.ns[1].rcode = DNS_RCODE_REFUSED;
	run(&f);
	assert_string_equal(f.ids, "server-lame ");
	done(&f);
}

/* Z07: a lag that heals within the time is none; one that does not is told. */
static void t_Z07_lag(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.ns[1].serial = 6;
	f.ns[1].n_rows = 0;
	run(&f);
	assert_string_equal(f.ids, "lag ");
	assert_string_equal(f.states, "ok lagging ok ");
	assert_non_null(strstr(f.texts, "serial 6"));
	done(&f);

	init(&f);
	f.ns[1].serial = 6;
	f.ns[1].n_rows = 0;
	f.p.settle_ms = 30000;
	start(&f);
	while (f.ns[1].srv_questions == 0)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	zone_init(&f.ns[1]); /* the transfer arrives */
	test_net_run_until(&f.t, &f.done);
	assert_string_equal(f.ids, "");
	assert_true(f.ns[1].srv_questions > 1);
	done(&f);
}

static void t_servers_differ(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.ns[1].n_rows = 0;
	run(&f);
	assert_string_equal(f.ids, "servers-differ ");
	done(&f);
}

static void t_resolver(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.res.rows = &healthy[1]; /* an old copy: one record less */
	f.res.n_rows = N(healthy) - 1;
	run(&f);
	assert_string_equal(f.ids, "resolver-stale ");
	assert_int_equal(f.status, RSV_OK_);
	done(&f);

	init(&f);
	f.res.rows = &healthy[1];
	f.res.n_rows = N(healthy) - 1;
	f.p.skip_resolvers = true;
	run(&f);
	assert_string_equal(f.ids, "");
	done(&f);
}

/* `--server` finds a zone that the resolvers do not know, and is not asked twice. */
static void t_given_server(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.res.apex = ".";
	f.res.n_rows = 0;
	f.list[0].addr = *fake_dns_addr(f.server[0]);
	f.p.servers = f.list;
	f.p.n_servers = 1;
	f.p.skip_resolvers = true;
	f.t.net.dns_port = 0; /* the port of the given server is that of the name server */
	stop_server(&f, 1);
	run(&f);
	assert_int_equal(f.err, 0);
	assert_string_equal(f.states, "ok unreachable ");
	done(&f);
}

static void t_missing_and_extra(void **state)
{
	struct rsv_expect e[2];
	struct fixture f;

	(void)state;
	init(&f);
	assert_int_equal(rsv_expect_parse("kms1.corp.example:1688:0:10", &e[0], NULL), 0);
	assert_int_equal(rsv_expect_parse("kms9.corp.example", &e[1], NULL), 0);
	f.p.expect = e;
	f.p.n_expect = 2;
	run(&f);
	assert_string_equal(f.ids, "missing extra ");
	assert_int_equal(f.status, RSV_CRIT_);
	done(&f);
}

static void t_nobody_answers(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	for (size_t i = 0; i < 3; i++)
		stop_server(&f, i);
	run(&f);
	assert_int_equal(f.err, 0);
	assert_int_equal(f.status, RSV_UNKNOWN_);
	assert_string_equal(f.ids, "no-answer resolver-unreachable ");
	done(&f);
}

/* Nobody knows the domain: that is an answer. */
static void t_no_such_domain(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.res.apex = ".";
	f.res.n_rows = 0;
	f.p.skip_resolvers = true;
	run(&f);
	assert_int_equal(f.status, RSV_CRIT_);
	assert_string_equal(f.ids, "no-records ");
	done(&f);
}

/* The time is over: what was heard is judged. */
static void t_deadline(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.ns[1].silent = true;
	f.p.total_ms = 200;
	run(&f);
	assert_int_equal(f.err, 0);
	assert_string_equal(f.ids, "server-unreachable unfinished ");
	assert_int_equal(f.status, RSV_UNKNOWN_);
	done(&f);

	init(&f);
	f.prober.silent = true;
	f.p.total_ms = 200;
	run(&f);
	assert_string_equal(f.ids, "unfinished ");
	assert_int_equal(f.status, RSV_UNKNOWN_);
	assert_string_equal(f.classes, "expected expected ");
	done(&f);
}

/* One dead server that many domains have in common costs its time a few times, not each time. */
static void t_silent_server_of_the_run(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.shared = rsv_shared_new(&f.t.net, NULL, 0);
	assert_non_null(f.p.shared);
	f.ns[1].silent = true;
	for (unsigned i = 0; i < RSV_SILENT_AFTER; i++)
		rsv_shared_heard(f.p.shared, fake_dns_addr(f.server[1]), true);
	run(&f);
	assert_int_equal(f.ns[1].questions, 0);
	assert_string_equal(f.ids, "server-unreachable ");
	assert_non_null(strstr(f.texts, "not asked again"));
	rsv_shared_free(f.p.shared, NULL, NULL);
	done(&f);
}

/** Every question that an audit can have: a key, a search list, several samples. */
static void ask_everything(struct fixture *f, struct dns_name suffixes[2])
{
	assert_int_equal(dns_name_parse("corp.example", &suffixes[0]), 0);
	assert_int_equal(dns_name_parse("dept.corp.example", &suffixes[1]), 0);
	f->p.suffixes = suffixes;
	f->p.n_suffixes = 2;
	f->p.key = fake_tsig_client_key();
	f->p.resolver_samples = 3;
}

static void t_everything_is_asked(void **state)
{
	struct dns_name suffixes[2];
	struct fixture f;

	(void)state;
	init(&f);
	ask_everything(&f, suffixes);
	run(&f);
	/* the server knows no key and answers unsigned: that proves nothing */
	assert_string_equal(f.ids, "");
	assert_int_equal(f.res.srv_questions, 3 + 1);   /* samples, the other suffix */
	assert_int_equal(f.ns[0].srv_questions, 1 + 1); /* the set, a name beside it */
	tsig_key_unref(f.p.key);
	done(&f);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int variant = 0; variant < 4; variant++) {
		for (int steps = 0; steps < 40; steps++) {
			struct dns_name suffixes[2];
			struct fixture f;

			init(&f);
			ask_everything(&f, suffixes);
			f.prober.silent = variant == 0 || variant == 3;
			f.ns[0].silent_for = variant == 3 ? "corp.example" : NULL;
			f.ns[1].silent = variant == 1;
			f.res.silent = variant == 2;
			start(&f);
			for (int i = 0; i < steps; i++)
				test_net_step(&f.t);
			assert_int_equal(f.calls, 0);
			rsv_audit_cancel(f.a);
			rsv_audit_cancel(f.a);
			assert_int_equal(f.calls, 0);
			test_net_run_until(&f.t, &f.done);
			assert_int_equal(f.err, ERR_CANCELED);
			assert_int_equal(f.status, RSV_UNKNOWN_);
			tsig_key_unref(f.p.key);
			done(&f);
		}
	}
}

/* The keys of design §3. */
static void t_report(void **state)
{
	static const struct fake_probe_rule rules[] = { { "127.0.1.2:1688", PROBE_NOT_RPC } };
	const char *domain, *status, *zone, *name, *address, *st, *target, *cls, *id, *sev, *hint;
	json_t *servers, *records, *findings;
	int aa, serial, port, priority, weight, ttl;
	double probability;
	struct fixture f;

	(void)state;
	init(&f);
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	run(&f);
	assert_int_equal(json_unpack(f.json, "{s:s, s:s, s:s, s:o, s:o, s:o}", "domain", &domain,
				     "status", &status, "zone", &zone, "servers", &servers,
				     "records", &records, "findings", &findings),
			 0);
	assert_string_equal(domain, "corp.example");
	assert_string_equal(status, "warning");
	assert_string_equal(zone, "corp.example");
	assert_int_equal(json_unpack(json_array_get(servers, 0), "{s:s, s:s, s:b, s:i, s:s}",
				     "name", &name, "address", &address, "aa", &aa, "serial",
				     &serial, "state", &st),
			 0);
	assert_string_equal(name, "ns1.corp.example");
	assert_true(aa);
	assert_int_equal(serial, 7);
	assert_int_equal(json_array_size(json_object_get(json_array_get(servers, 1), "records")),
			 2);
	assert_int_equal(json_unpack(json_array_get(records, 0),
				     "{s:s, s:i, s:i, s:i, s:i, s:s, s:F}", "target", &target,
				     "port", &port, "priority", &priority, "weight", &weight, "ttl",
				     &ttl, "class", &cls, "probability", &probability),
			 0);
	assert_string_equal(target, "kms1.corp.example");
	assert_true(probability == 1.0);
	assert_int_equal(json_unpack(json_array_get(findings, 0), "{s:s, s:s, s:s}", "id", &id,
				     "severity", &sev, "hint", &hint),
			 0);
	assert_string_equal(id, "no-rpc");
	assert_string_equal(sev, "warning");
	assert_int_equal(f.totals.status, RSV_WARN_);
	assert_int_equal(f.totals.records, 2);
	assert_int_equal(f.totals.hosts_up, 1);
	assert_int_equal(f.totals.hosts_down, 1);
	assert_int_equal(f.totals.by_id[FINDING_NO_RPC], 1);
	done(&f);
}

static void t_expect_texts(void **state)
{
	static const char *const bad[] = {
		"",           ".",         "kms1:",        "kms1:0",  "kms1:x",
		"kms1:65536", "kms1:1:-1", "kms1:1:2:3:4", "kms1: 1", "kms1:1688:0:",
		"a..b"
	};
	struct rsv_expect e;
	struct err_info info;

	(void)state;
	assert_int_equal(rsv_expect_parse("KMS1.corp.example:1700:5:6", &e, &info), 0);
	assert_int_equal(e.port, 1700);
	assert_true(e.has_priority && e.has_weight);
	assert_int_equal(e.priority, 5);
	assert_int_equal(e.weight, 6);
	assert_int_equal(rsv_expect_parse("kms1.corp.example", &e, &info), 0);
	assert_int_equal(e.port, 1688);
	assert_false(e.has_priority || e.has_weight);
	for (size_t i = 0; i < N(bad); i++) {
		info.text[0] = '\0';
		assert_int_equal(rsv_expect_parse(bad[i], &e, &info), ERR_PARSE);
		assert_true(info.text[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_healthy),
		cmocka_unit_test(t_dead_and_alias_targets),
		cmocka_unit_test(t_Z08_server_down),
		cmocka_unit_test(t_Z07_lag),
		cmocka_unit_test(t_servers_differ),
		cmocka_unit_test(t_resolver),
		cmocka_unit_test(t_given_server),
		cmocka_unit_test(t_missing_and_extra),
		cmocka_unit_test(t_nobody_answers),
		cmocka_unit_test(t_no_such_domain),
		cmocka_unit_test(t_deadline),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_everything_is_asked),
		cmocka_unit_test(t_silent_server_of_the_run),
		cmocka_unit_test(t_report),
		cmocka_unit_test(t_expect_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
