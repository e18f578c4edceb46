#include "resolver/lookup.h"

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
#include "tests/lib/auth_zone.h"

#define OWNER "_vlmcs._tcp.corp.example"

struct fixture {
	struct test_net t;
	struct auth_zone zone[2];
	struct fake_dns *server[2];
	struct dns_server list[2];
	struct rsv_lookup_params p;
	struct rsv_queries queries;
	struct rsv_lookup *l;
	struct rsv_lookup_result r; /* its set is taken over */
	int calls;
	bool done;
};

static void on_done(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct fixture *f = l->owner;

	f->calls++;
	f->done = true;
	f->r = *r;
	memset(&r->set, 0, sizeof(r->set));
	memset(l, 0xa5, sizeof(*l));
	free(l);
}

static void init(struct fixture *f, size_t n_servers)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	for (size_t i = 0; i < n_servers; i++) {
		f->zone[i].apex = "example";
		f->server[i] = auth_zone_start(&f->t, NULL, 0, &f->zone[i]);
		f->list[i].addr = *fake_dns_addr(f->server[i]);
	}
	assert_int_equal(dns_name_parse(OWNER, &f->p.name), 0);
	f->p.servers = f->list;
	f->p.n_servers = n_servers;
	f->p.rd = true;
	f->p.queries = &f->queries;
}

static void start(struct fixture *f)
{
	f->l = calloc(1, sizeof(*f->l));
	assert_non_null(f->l);
	f->l->owner = f;
	rsv_lookup_start(f->l, &f->t.net, &f->p, on_done);
	assert_int_equal(f->calls, 0);
}

static void done(struct fixture *f)
{
	for (size_t i = 0; i < 2; i++)
		if (f->server[i] != NULL)
			fake_dns_free(f->server[i]);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
	rsv_set_done(&f->r.set);
	rsv_queries_done(&f->queries);
}

static void run(struct fixture *f)
{
	start(f);
	test_net_run_until(&f->t, &f->done);
}

static const struct auth_row two[] = {
	{ OWNER, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 10 },
	{ OWNER, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
};

static void t_set_and_its_question(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	f.zone[0].rows = two;
	f.zone[0].n_rows = 2;
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.set.n, 2);
	assert_int_equal(f.r.set.rec[1].srv.priority, 10);
	assert_true(f.r.aa);
	assert_true(addr_equal(&f.r.server, &f.list[0].addr));
	assert_int_equal(f.queries.n, 1);
	assert_int_equal(f.queries.q[0].type, DNS_TYPE_SRV);
	assert_int_equal(f.queries.q[0].answers, 2);
	assert_true(f.queries.q[0].answered);
	assert_false(f.queries.q[0].tcp);
	done(&f);
}

/* S05: a chain over several questions is followed, and has an end. */
static void t_S05_chain_over_questions(void **state)
{
	static const struct auth_row rows[] = {
		{ OWNER, DNS_TYPE_CNAME, "kms.elsewhere.test", .ttl = 20 },
	};
	static const struct auth_row there[] = {
		{ "kms.elsewhere.test", DNS_TYPE_SRV, "kms1.elsewhere.test", .port = 1688 },
	};
	struct fixture f;

	(void)state;
	init(&f, 2);
	f.zone[0].rows = rows;
	f.zone[0].n_rows = 1;
	f.zone[1].apex = "elsewhere.test";
	f.zone[1].rows = there;
	f.zone[1].n_rows = 1;
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.set.n, 1);
	assert_true(f.r.set.aliased);
	assert_int_equal(f.r.set.ttl, 20);
	assert_int_equal(f.queries.n, 2);
	done(&f);
}

/* Where the end of the chain gives no answer, the result still tells where it is. */
static void t_S05_end_of_the_chain_is_told(void **state)
{
	static const struct auth_row rows[] = {
		{ OWNER, DNS_TYPE_CNAME, "kms.elsewhere.test", .ttl = 20 },
	};
	struct dns_name end;
	struct fixture f;

	(void)state;
	init(&f, 1);
	f.zone[0].rows = rows;
	f.zone[0].n_rows = 1;
	run(&f); /* the server refuses what is not in its zone */
	assert_int_equal(f.r.err, ERR_RCODE_REFUSED);
	assert_true(f.r.set.aliased && f.r.set.hops == 1);
	assert_int_equal(dns_name_parse("kms.elsewhere.test", &end), 0);
	assert_true(dns_name_equal(&f.r.set.owner, &end));
	done(&f);
}

struct endless {
	unsigned n;
};

/** Each name is an alias of the next. */
static void serve_endless(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct endless *e = ctx;
	char qname[DNSNAME_TEXT_MAX], next[32];
	struct fake_reply r;

	(void)s;
	dns_name_format(&rq->msg->qname, qname);
	snprintf(next, sizeof(next), "a%u.example", ++e->n);
	fake_reply_begin(&r, rq, 0, FAKE_AA);
	fake_reply_cname(&r, DNS_ANSWER, qname, 60, next);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_S05_endless_chain(void **state)
{
	struct endless e = { 0 };
	struct fake_dns_params p = { .on_message = serve_endless, .ctx = &e };
	struct fixture f;

	(void)state;
	init(&f, 0);
	f.server[0] = fake_dns_new(&f.t, &p);
	f.list[0].addr = *fake_dns_addr(f.server[0]);
	f.p.n_servers = 1;
	run(&f);
	assert_int_equal(f.r.err, ERR_DNS_CNAME_LOOP);
	assert_int_equal(e.n, RSV_CNAME_MAX + 1);
	done(&f);
}

/* S06: sixty records do not fit a datagram. */
static void serve_sixty(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;
	char target[40];

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, 0, FAKE_AA | (rq->tcp ? 0 : FAKE_TC));
	for (unsigned i = 0; rq->tcp && i < 60; i++) {
		snprintf(target, sizeof(target), "a-rather-long-name-%u.corp.example", i);
		fake_reply_srv(&r, DNS_ANSWER, OWNER, 60, 0, 0, 1688, target);
	}
	fake_dns_send_reply(&rq->from, &r);
}

static void t_S06_large_set_over_tcp(void **state)
{
	struct fake_dns_params p = { .on_message = serve_sixty };
	struct fixture f;

	(void)state;
	init(&f, 0);
	f.server[0] = fake_dns_new(&f.t, &p);
	f.list[0].addr = *fake_dns_addr(f.server[0]);
	f.p.n_servers = 1;
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.set.n, 60);
	assert_true(f.queries.q[0].tcp);
	done(&f);
}

static void t_failures(void **state)
{
	static const struct {
		unsigned rcode;
		bool other_name;
		int err;
	} t[] = {
		{ 0, true, ERR_RCODE_NXDOMAIN },
		{ DNS_RCODE_SERVFAIL, false, ERR_RCODE_SERVFAIL },
		{ DNS_RCODE_REFUSED, false, ERR_RCODE_REFUSED },
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		init(&f, 1);
		f.zone[0].rcode = t[i].rcode;
		run(&f);
		assert_int_equal(f.r.err, t[i].err);
		assert_int_equal(f.r.set.n, 0);
		if (t[i].other_name)
			assert_int_equal(f.r.set.negative_ttl, 900);
		done(&f);
	}
	init(&f, 0); /* no server at all */
	run(&f);
	assert_int_equal(f.r.err, ERR_NO_SERVER);
	done(&f);
}

/* A server that fails does not end it where another one answers. */
static void t_next_server(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2);
	f.zone[0].rcode = DNS_RCODE_SERVFAIL;
	f.zone[1].rows = two;
	f.zone[1].n_rows = 2;
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_true(addr_equal(&f.r.server, &f.list[1].addr));
	done(&f);
}

/* Without servers of its own it asks the resolvers. */
static void t_resolvers(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	f.t.net.resolvers[0] = f.list[0].addr;
	f.t.net.n_resolvers = 1;
	f.p.n_servers = 0;
	f.p.queries = NULL;
	f.zone[0].rows = two;
	f.zone[0].n_rows = 2;
	run(&f);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(f.r.set.n, 2);
	done(&f);
}

static void t_deadline(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	f.zone[0].silent = true;
	f.p.total_ms = 30;
	run(&f);
	assert_int_equal(f.r.err, ERR_TIMEOUT);
	assert_int_equal(f.queries.n, 1);
	assert_false(f.queries.q[0].answered);
	done(&f);
}

static void t_cancel_at_every_step(void **state)
{
	static const struct auth_row rows[] = {
		{ OWNER, DNS_TYPE_CNAME, "kms.elsewhere.test", .ttl = 60 },
	};

	(void)state;
	for (int steps = 0; steps < 8; steps++) {
		struct fixture f;

		init(&f, 2);
		f.zone[0].rows = rows;
		f.zone[0].n_rows = 1;
		f.zone[1].apex = "elsewhere.test";
		f.zone[1].silent_for = "kms.elsewhere.test";
		start(&f);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		assert_int_equal(f.calls, 0);
		rsv_lookup_cancel(f.l);
		rsv_lookup_cancel(f.l);
		assert_int_equal(f.calls, 0);
		test_net_run_until(&f.t, &f.done);
		assert_int_equal(f.r.err, ERR_CANCELED);
		done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_set_and_its_question),
		cmocka_unit_test(t_S05_chain_over_questions),
		cmocka_unit_test(t_S05_end_of_the_chain_is_told),
		cmocka_unit_test(t_S05_endless_chain),
		cmocka_unit_test(t_S06_large_set_over_tcp),
		cmocka_unit_test(t_failures),
		cmocka_unit_test(t_next_server),
		cmocka_unit_test(t_resolvers),
		cmocka_unit_test(t_deadline),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
