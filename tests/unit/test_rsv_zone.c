#include "resolver/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/auth_zone.h"

#define OWNER "_vlmcs._tcp.corp.example"
#define N(a)  (sizeof(a) / sizeof((a)[0]))

struct fixture {
	struct test_net t;
	struct auth_zone zone;
	struct fake_dns *server;
	struct dns_server list;
	struct rsv_zone_params p;
	struct rsv_queries queries;
	struct rsv_zone_op *z;
	struct rsv_zone_result r;
	int calls;
	bool done;
};

static void on_done(struct rsv_zone_op *z, const struct rsv_zone_result *r)
{
	struct fixture *f = z->owner;

	f->calls++;
	f->done = true;
	f->r = *r;
	memset(z, 0xa5, sizeof(*z));
	free(z);
}

static void init(struct fixture *f, const char *apex, const struct auth_row *rows, size_t n)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->t.net.dns_port = 5353;
	f->zone.apex = apex;
	f->zone.mname = "ns1.corp.example";
	f->zone.rows = rows;
	f->zone.n_rows = n;
	f->server = auth_zone_start(&f->t, NULL, 0, &f->zone);
	f->list.addr = *fake_dns_addr(f->server);
	assert_int_equal(dns_name_parse(OWNER, &f->p.name), 0);
	f->p.servers = &f->list;
	f->p.n_servers = 1;
	f->p.queries = &f->queries;
}

static void start(struct fixture *f)
{
	f->z = calloc(1, sizeof(*f->z));
	assert_non_null(f->z);
	f->z->owner = f;
	rsv_zone_op_start(f->z, &f->t.net, &f->p, on_done);
	assert_int_equal(f->calls, 0);
}

static void done(struct fixture *f)
{
	fake_dns_free(f->server);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
	rsv_queries_done(&f->queries);
}

static void run(struct fixture *f)
{
	start(f);
	test_net_run_until(&f->t, &f->done);
}

static void assert_name(const struct dns_name *n, const char *text)
{
	char buf[DNSNAME_TEXT_MAX];

	assert_string_equal(dns_name_format(n, buf), text);
}

static const struct auth_row corp[] = {
	{ "corp.example", DNS_TYPE_NS, "ns1.corp.example", .ttl = 60 },
	{ "corp.example", DNS_TYPE_NS, "ns2.corp.example", .ttl = 60 },
	{ "corp.example", DNS_TYPE_NS, "ns3.corp.example", .ttl = 60 },
	{ "ns1.corp.example", DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
	{ "ns2.corp.example", DNS_TYPE_A, "127.0.0.2", .ttl = 60 },
	{ "hq.corp.example", DNS_TYPE_A, "127.0.0.2", .ttl = 60 },
};

static void t_zone_and_servers(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, "corp.example", corp, N(corp));
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_name(&f.r.zone, "corp.example");
	assert_name(&f.r.mname, "ns1.corp.example");
	assert_false(f.r.aliased);
	assert_int_equal(f.r.n_ns, 3);
	assert_true(f.r.ns[0].is_primary);
	assert_false(f.r.ns[1].is_primary);
	assert_int_equal(addr_port(&f.r.ns[1].addrs[0]), 5353);
	assert_int_equal(f.r.ns[2].n_addrs, 0);
	assert_int_equal(f.r.ns[2].err, ERR_RCODE_NXDOMAIN);
	assert_int_equal(f.queries.n, 2 + 6);
	done(&f);
}

/* The name may be a zone of its own (`policy --delegate`). */
static void t_apex_at_the_name(void **state)
{
	static const struct auth_row rows[] = {
		{ OWNER, DNS_TYPE_NS, "ns9.corp.example", .ttl = 60 },
	};
	struct fixture f;

	(void)state;
	init(&f, OWNER, rows, N(rows));
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_name(&f.r.zone, OWNER);
	assert_int_equal(f.r.n_ns, 1);
	done(&f);
}

static void t_alias_leads_to_its_zone(void **state)
{
	static const struct auth_row rows[] = {
		{ OWNER, DNS_TYPE_CNAME, "kms.corp.example", .ttl = 60 },
		{ "corp.example", DNS_TYPE_NS, "ns1.corp.example", .ttl = 60 },
		{ "ns1.corp.example", DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
	};
	struct fixture f;

	(void)state;
	init(&f, "corp.example", rows, N(rows));
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_true(f.r.aliased);
	assert_name(&f.r.owner, "kms.corp.example");
	done(&f);
}

/** Answers SOA questions with nothing, but at corp.example. */
static void serve_walk(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	char qname[DNSNAME_TEXT_MAX];
	struct fake_reply r;

	(void)s;
	(void)ctx;
	dns_name_format(&rq->msg->qname, qname);
	fake_reply_begin(&r, rq, 0, FAKE_RA);
	if (rq->msg->qtype == DNS_TYPE_SOA && strcmp(qname, "corp.example") == 0)
		fake_reply_soa(&r, DNS_ANSWER, "corp.example", 60, "ns1.corp.example", 1, 60);
	fake_dns_send_reply(&rq->from, &r);
}

/** Says that only the root knows. */
static void serve_root(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, DNS_RCODE_NXDOMAIN, FAKE_RA);
	fake_reply_soa(&r, DNS_AUTHORITY, ".", 60, "a.root-servers.net", 1, 60);
	fake_dns_send_reply(&rq->from, &r);
}

/** A server that hands out the SOA of a zone that has nothing to do with it. */
static void serve_stranger(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, 0, FAKE_RA);
	fake_reply_soa(&r, DNS_AUTHORITY, "p.example", 60, "ns.p.example", 1, 60);
	fake_dns_send_reply(&rq->from, &r);
}

static void with_server(struct fixture *f, fake_dns_fn *serve)
{
	struct fake_dns_params p = { .on_message = serve };

	init(f, "corp.example", NULL, 0);
	fake_dns_free(f->server);
	f->server = fake_dns_new(&f->t, &p);
	f->list.addr = *fake_dns_addr(f->server);
	run(f);
}

/* Z05: the walk goes up by labels; neither the root nor a stranger is a zone for us. */
static void t_Z05_walk(void **state)
{
	struct fixture f;

	(void)state;
	with_server(&f, serve_walk);
	assert_int_equal(f.r.err, 0);
	assert_name(&f.r.zone, "corp.example");
	assert_int_equal(f.r.n_ns, 1); /* no NS set was given: the primary has to do */
	done(&f);

	with_server(&f, serve_root);
	assert_int_equal(f.r.err, ERR_DNS_NO_ZONE);
	done(&f);

	with_server(&f, serve_stranger);
	assert_int_equal(f.r.err, ERR_DNS_NO_ZONE);
	assert_int_equal(f.queries.n, 4); /* _vlmcs._tcp.corp.example .. example */
	done(&f);
}

static void t_failures(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, "corp.example", NULL, 0);
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	run(&f);
	assert_int_equal(f.r.err, ERR_RCODE_SERVFAIL);
	done(&f);

	init(&f, "corp.example", NULL, 0);
	f.p.n_servers = 0;
	run(&f);
	assert_int_equal(f.r.err, ERR_NO_SERVER);
	done(&f);
}

/* A second domain of the zone costs one question: which zone that is. */
static void t_shared_with_others_of_the_run(void **state)
{
	struct rsv_zone_result first;
	struct fixture f;

	(void)state;
	init(&f, "corp.example", corp, N(corp));
	f.p.shared = rsv_shared_new(&f.t.net, &f.list, 1);
	assert_non_null(f.p.shared);
	run(&f);
	assert_int_equal(f.zone.questions, 1 + 1 + 6);
	first = f.r;
	f.zone.questions = 0;
	f.done = false;
	f.calls = 0;
	run(&f);
	assert_int_equal(f.zone.questions, 1);
	assert_int_equal(f.r.n_ns, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(dns_name_equal(&f.r.ns[i].name, &first.ns[i].name));
		assert_int_equal(f.r.ns[i].n_addrs, first.ns[i].n_addrs);
		assert_int_equal(f.r.ns[i].err, first.ns[i].err);
		assert_int_equal(f.r.ns[i].is_primary, first.ns[i].is_primary);
	}
	assert_true(addr_equal(&f.r.ns[0].addrs[0], &first.ns[0].addrs[0]));
	rsv_shared_free(f.p.shared, NULL, NULL);
	done(&f);
}

static void cancel_at_every_step(bool shared)
{
	static const char *const silent[] = { OWNER, "corp.example", "ns2.corp.example" };

	for (size_t where = 0; where < N(silent); where++) {
		for (int steps = 0; steps < 10; steps++) {
			struct fixture f;

			init(&f, "corp.example", corp, N(corp));
			if (shared)
				f.p.shared = rsv_shared_new(&f.t.net, &f.list, 1);
			f.zone.silent_for = silent[where];
			start(&f);
			for (int i = 0; i < steps; i++)
				test_net_step(&f.t);
			rsv_zone_op_cancel(f.z);
			rsv_zone_op_cancel(f.z);
			assert_int_equal(f.calls, 0);
			test_net_run_until(&f.t, &f.done);
			assert_int_equal(f.r.err, ERR_CANCELED);
			if (shared)
				rsv_shared_free(f.p.shared, NULL, NULL);
			done(&f);
		}
	}
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	cancel_at_every_step(false);
	cancel_at_every_step(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_zone_and_servers),
		cmocka_unit_test(t_apex_at_the_name),
		cmocka_unit_test(t_alias_leads_to_its_zone),
		cmocka_unit_test(t_Z05_walk),
		cmocka_unit_test(t_failures),
		cmocka_unit_test(t_shared_with_others_of_the_run),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
