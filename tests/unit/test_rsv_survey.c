#include "resolver/survey.h"

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
#define N(a)  (sizeof(a) / sizeof((a)[0]))

/* Two resolvers. */
struct fixture {
	struct test_net t;
	struct auth_zone zone[2];
	struct fake_dns *server[2];
	struct rsv_targets *targets;
	struct rsv_audit_params p;
	struct rsv_survey *s;
	int calls;
	bool done;
	int err;
	enum rsv_status status;
	size_t n_records, n_addrs;
	char ids[512];
};

static const struct auth_row rows[] = {
	{ OWNER, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688, .weight = 10 },
	{ OWNER, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 10 },
	{ "kms1.corp.example", DNS_TYPE_A, "192.0.2.1", .ttl = 60 },
	{ "kms2.corp.example", DNS_TYPE_A, "192.0.2.2", .ttl = 60 },
	{ "kms2.corp.example", DNS_TYPE_AAAA, "2001:db8::1", .ttl = 60 },
};

static void on_done(struct rsv_survey *s, const struct rsv_audit_result *r)
{
	struct fixture *f = s->owner;

	f->calls++;
	f->done = true;
	f->err = r->err;
	f->status = r->status;
	f->n_records = r->n_records;
	for (size_t i = 0; i < r->n_records; i++)
		f->n_addrs += r->records[i].target.n_addrs;
	for (size_t i = 0; i < r->n_findings; i++) {
		size_t used = strlen(f->ids);

		snprintf(f->ids + used, sizeof(f->ids) - used, "%s ",
			 finding_info(r->findings[i].id)->id);
	}
	memset(s, 0xa5, sizeof(*s));
	free(s);
}

static void init(struct fixture *f)
{
	const struct rsv_targets_params tp = { 0 };

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	for (size_t i = 0; i < 2; i++) {
		f->zone[i] = (struct auth_zone){ .apex = "corp.example",
						 .mname = "ns1.corp.example",
						 .rows = rows,
						 .n_rows = N(rows),
						 .not_authoritative = true };
		f->server[i] = auth_zone_start(&f->t, NULL, 0, &f->zone[i]);
		f->t.net.resolvers[i] = *fake_dns_addr(f->server[i]);
	}
	f->t.net.n_resolvers = 2;
	f->targets = rsv_targets_new(&f->t.net, &tp);
	assert_non_null(f->targets);
	assert_int_equal(dns_name_parse("corp.example", &f->p.domain), 0);
	f->p.targets = f->targets;
}

static void start(struct fixture *f)
{
	f->s = calloc(1, sizeof(*f->s));
	assert_non_null(f->s);
	f->s->owner = f;
	rsv_survey_start(f->s, &f->t.net, &f->p, on_done);
	assert_int_equal(f->calls, 0);
}

static void run(struct fixture *f)
{
	start(f);
	test_net_run_until(&f->t, &f->done);
}

static void done(struct fixture *f)
{
	for (size_t i = 0; i < 2; i++)
		fake_dns_free(f->server[i]);
	rsv_targets_free(f->targets, NULL, NULL);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

static void t_records_and_addresses(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	run(&f);
	assert_int_equal(f.err, 0);
	assert_string_equal(f.ids, "");
	assert_int_equal(f.status, RSV_OK_);
	assert_int_equal(f.n_records, 2);
	assert_int_equal(f.n_addrs, 3);
	/* the set of each resolver, and A and AAAA of each target, of the first one */
	assert_int_equal(f.zone[0].questions, 1 + 4);
	assert_int_equal(f.zone[1].questions, 1);
	done(&f);
}

static void t_findings(void **state)
{
	struct rsv_expect e = { .port = 1688 };
	struct fixture f;

	(void)state;
	init(&f);
	assert_int_equal(dns_name_parse("kms9.corp.example", &e.target), 0);
	f.p.expect = &e;
	f.p.n_expect = 1;
	run(&f);
	assert_string_equal(f.ids, "missing extra extra ");
	done(&f);

	init(&f);
	f.zone[0].n_rows = f.zone[1].n_rows = 3; /* kms2 has no address */
	run(&f);
	assert_string_equal(f.ids, "target-no-address ");
	done(&f);

	init(&f);
	f.zone[0].n_rows = f.zone[1].n_rows = 0;
	run(&f);
	assert_string_equal(f.ids, "no-records ");
	assert_int_equal(f.status, RSV_CRIT_);
	done(&f);
}

static void t_resolvers_that_fail(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.zone[1].rcode = DNS_RCODE_SERVFAIL;
	run(&f);
	assert_string_equal(f.ids, "resolver-unreachable ");
	assert_int_equal(f.n_records, 2);
	done(&f);

	init(&f);
	f.zone[0].rcode = f.zone[1].rcode = DNS_RCODE_SERVFAIL;
	run(&f);
	assert_int_equal(f.status, RSV_UNKNOWN_);
	done(&f);

	init(&f);
	f.t.net.n_resolvers = 0;
	run(&f);
	assert_int_equal(f.err, ERR_NO_SERVER);
	assert_int_equal(f.status, RSV_UNKNOWN_);
	done(&f);
}

/* A dead resolver costs its time a few times in a run, not with each domain. */
static void t_silent_resolver_of_the_run(void **state)
{
	for (size_t silent = 1; silent <= 2; silent++) {
		struct fixture f;

		init(&f);
		f.p.shared = rsv_shared_new(&f.t.net, NULL, 0);
		assert_non_null(f.p.shared);
		for (unsigned i = 0; i < RSV_SILENT_AFTER; i++)
			for (size_t k = 2 - silent; k < 2; k++)
				rsv_shared_heard(f.p.shared, &f.t.net.resolvers[k], true);
		run(&f);
		assert_int_equal(f.zone[1].questions, 0);
		assert_string_equal(f.ids, "resolver-unreachable ");
		/* where all were silent the first one is asked: it may be back */
		assert_int_equal(f.n_records, 2);
		assert_true(rsv_shared_worth_asking(f.p.shared, &f.t.net.resolvers[0]));
		rsv_shared_free(f.p.shared, NULL, NULL);
		done(&f);
	}
	(void)state;
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int variant = 0; variant < 2; variant++) {
		for (int steps = 0; steps < 10; steps++) {
			struct fixture f;

			init(&f);
			f.zone[1].silent = variant == 1;
			start(&f);
			for (int i = 0; i < steps && f.calls == 0; i++)
				test_net_step(&f.t);
			if (f.calls == 0) {
				rsv_survey_cancel(f.s);
				assert_int_equal(f.calls, 0); /* never from inside */
				rsv_survey_cancel(f.s);       /* twice is fine */
				test_net_run_until(&f.t, &f.done);
				assert_int_equal(f.err, ERR_CANCELED);
			}
			done(&f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_records_and_addresses),
		cmocka_unit_test(t_findings),
		cmocka_unit_test(t_resolvers_that_fail),
		cmocka_unit_test(t_silent_resolver_of_the_run),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
