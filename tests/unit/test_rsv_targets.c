#include "resolver/targets.h"

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
#include "tests/lib/fake_prober.h"

#define WAITS 64

struct asked {
	struct rsv_target_wait w;
	struct fixture *f;
	int calls;
	bool answered; /* not NULL */
	struct rsv_target_result r;
};

struct fixture {
	struct test_net t;
	struct auth_zone zone;
	struct fake_dns *server;
	struct fake_prober prober;
	struct rsv_targets *targets;
	struct asked a[WAITS];
	size_t n_answers;
	bool all, freed;
	size_t want;
};

static const struct auth_row rows[] = {
	{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
	{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.12", .ttl = 60 },
	{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.21", .ttl = 60 },
	{ "dual.corp.example", DNS_TYPE_A, "127.0.0.31", .ttl = 60 },
	{ "dual.corp.example", DNS_TYPE_AAAA, "::1", .ttl = 60 },
	{ "alias.corp.example", DNS_TYPE_CNAME, "kms2.corp.example", .ttl = 60 },
};

static void init(struct fixture *f, bool probe)
{
	struct rsv_targets_params p = { 0 };

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->zone.apex = "example";
	f->zone.rows = rows;
	f->zone.n_rows = sizeof(rows) / sizeof(rows[0]);
	f->server = auth_zone_start(&f->t, NULL, 0, &f->zone);
	f->t.net.resolvers[0] = *fake_dns_addr(f->server);
	f->t.net.n_resolvers = 1;
	fake_prober_init(&f->prober);
	p.prober = probe ? &f->prober.prober : NULL;
	f->targets = rsv_targets_new(&f->t.net, &p);
	assert_non_null(f->targets);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void done(struct fixture *f)
{
	fake_dns_free(f->server);
	if (f->targets != NULL)
		rsv_targets_free(f->targets, on_freed, f);
	assert_false(f->freed);
	test_net_done(&f->t);
	assert_true(f->freed);
}

static void on_target(struct rsv_target_wait *w, const struct rsv_target_result *r)
{
	struct asked *a = w->owner;
	struct fixture *f = a->f;

	a->calls++;
	a->answered = r != NULL;
	if (r != NULL)
		a->r = *r;
	memset(w, 0xa5, sizeof(*w));
	f->all = ++f->n_answers >= f->want;
}

static void ask(struct fixture *f, size_t i, const char *target, uint16_t port)
{
	struct dns_name name;

	assert_int_equal(dns_name_parse(target, &name), 0);
	f->a[i].f = f;
	f->a[i].w.owner = &f->a[i];
	rsv_targets_ask(f->targets, &name, port, &f->a[i].w, on_target);
	assert_int_equal(f->a[i].calls, 0);
	f->want++;
	f->all = false;
}

static void t_each_host_is_probed_once(void **state)
{
	static const struct fake_probe_rule rules[] = { { "127.0.0.11:1688", PROBE_TIMEOUT } };
	struct fixture f;

	(void)state;
	init(&f, true);
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	for (size_t i = 0; i < 10; i++)
		ask(&f, i, i % 2 ? "kms1.corp.example" : "KMS1.corp.example", 1688);
	ask(&f, 10, "kms2.corp.example", 1688);
	ask(&f, 11, "kms2.corp.example", 1689); /* another port is another host (S13) */
	test_net_run_until(&f.t, &f.all);
	assert_int_equal(f.prober.started, 4);
	assert_int_equal(f.a[9].r.probe.state, PROBE_UP);
	assert_int_equal(f.a[9].r.n_addrs, 2);
	assert_int_equal(addr_port(&f.a[11].r.addrs[0]), 1689);

	ask(&f, 12, "kms1.corp.example", 1688); /* known: no question, no probe */
	test_net_run_until(&f.t, &f.all);
	assert_true(f.a[12].answered);
	assert_int_equal(f.prober.started, 4);
	done(&f);
}

/* Found whether it is tried before the one that is up or after it. */
static void t_address_that_is_dead_beside_one_that_is_up(void **state)
{
	static const struct {
		struct fake_probe_rule rule;
		const char *dead;
	} t[] = {
		{ { "127.0.0.11:1688", PROBE_TIMEOUT }, "127.0.0.11:1688" },
		{ { "127.0.0.12:1688", PROBE_REFUSED }, "127.0.0.12:1688" },
		{ { "127.0.0.99:1688", PROBE_REFUSED }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[ADDR_TEXT_MAX];
		struct fixture f;

		init(&f, true);
		f.prober.rules = &t[i].rule;
		f.prober.n_rules = 1;
		ask(&f, 0, "kms1.corp.example", 1688);
		test_net_run_until(&f.t, &f.all);
		assert_int_equal(f.a[0].r.probe.state, PROBE_UP);
		assert_int_equal(f.a[0].r.has_dead, t[i].dead != NULL);
		if (t[i].dead != NULL) {
			addr_format(&f.a[0].r.dead.addr, text);
			assert_string_equal(text, t[i].dead);
			assert_int_equal(f.a[0].r.dead.state, t[i].rule.state);
		}
		done(&f);
	}
}

/* Of the other family it may be this machine that has no way there. */
static void t_address_of_the_other_family_is_not_called_dead(void **state)
{
	static const struct fake_probe_rule rules[] = { { "[::1]:1688", PROBE_TIMEOUT } };
	struct fixture f;

	(void)state;
	init(&f, true);
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	ask(&f, 0, "dual.corp.example", 1688);
	test_net_run_until(&f.t, &f.all);
	assert_int_equal(f.a[0].r.probe.state, PROBE_UP);
	assert_int_equal(f.prober.started, 2);
	assert_false(f.a[0].r.has_dead);
	done(&f);
}

static void t_results(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_NOT_RPC } };
	struct fixture f;

	(void)state;
	init(&f, true);
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	ask(&f, 0, "gone.corp.example", 1688);
	ask(&f, 1, "alias.corp.example", 1688);
	ask(&f, 2, "kms1.corp.example", 1688);
	test_net_run_until(&f.t, &f.all);
	assert_int_equal(f.a[0].r.resolve_err, ERR_RCODE_NXDOMAIN);
	assert_false(f.a[0].r.probed);
	assert_true(f.a[1].r.is_alias);
	assert_int_equal(f.a[1].r.probe.state, PROBE_NOT_RPC);
	assert_int_equal(f.prober.started, 3); /* both addresses of kms1 were tried */
	done(&f);

	init(&f, false);
	ask(&f, 0, "kms1.corp.example", 1688);
	test_net_run_until(&f.t, &f.all);
	assert_false(f.a[0].r.probed);
	assert_int_equal(f.a[0].r.n_addrs, 2);
	assert_int_equal(f.prober.started, 0);
	done(&f);
}

/* More targets than may be in work at once: all are answered in the end. */
static void t_work_is_bounded(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, true);
	f.prober.silent = true;
	for (size_t i = 0; i < WAITS; i++)
		ask(&f, i, "kms2.corp.example", (uint16_t)(1000 + i));
	while (f.prober.started < RSV_TARGETS_PARALLEL)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	for (int i = 0; i < 20; i++)
		test_net_step(&f.t);
	assert_int_equal(f.prober.started, RSV_TARGETS_PARALLEL);
	done(&f); /* who waits is told */
	assert_int_equal(f.n_answers, WAITS);
	for (size_t i = 0; i < WAITS; i++)
		assert_false(f.a[i].answered);

	init(&f, true);
	for (size_t i = 0; i < WAITS; i++)
		ask(&f, i, "kms2.corp.example", (uint16_t)(1000 + i));
	test_net_run_until(&f.t, &f.all);
	assert_int_equal(f.prober.started, WAITS);
	done(&f);
}

static void t_cancel_one_of_two(void **state)
{
	(void)state;
	for (int steps = 0; steps < 8; steps++) {
		struct fixture f;

		init(&f, true);
		f.prober.silent = true;
		ask(&f, 0, "kms2.corp.example", 1688);
		ask(&f, 1, "kms2.corp.example", 1688);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		rsv_targets_cancel(&f.a[0].w);
		rsv_targets_cancel(&f.a[0].w);
		assert_int_equal(f.a[0].calls, 0);
		while (f.a[0].calls == 0)
			uv_run(&f.t.loop, UV_RUN_ONCE);
		assert_false(f.a[0].answered);
		assert_int_equal(f.a[1].calls, 0);
		done(&f);
		assert_int_equal(f.a[0].calls, 1);
		assert_int_equal(f.a[1].calls, 1);
	}
}

/* An answer that is on its way can still be canceled, or outlived by the table. */
static void t_cancel_and_free_when_ready(void **state)
{
	struct fixture f;

	(void)state;
	for (int how = 0; how < 2; how++) {
		init(&f, true);
		ask(&f, 0, "kms2.corp.example", 1688);
		test_net_run_until(&f.t, &f.all);
		ask(&f, 1, "kms2.corp.example", 1688);
		if (how == 0)
			rsv_targets_cancel(&f.a[1].w);
		done(&f);
		assert_int_equal(f.a[1].calls, 1);
		assert_false(f.a[1].answered);
	}
}

/* The table forgets what nobody asked for the longest instead of growing; what is forgotten is
 * asked again. */
static void t_memory_is_bounded(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, true);
	f.zone.rcode = DNS_RCODE_NXDOMAIN; /* the quickest way to know a target */
	for (unsigned n = 0; n < RSV_TARGETS_MAX * 2; n += WAITS) {
		f.want = f.n_answers = 0;
		for (unsigned i = 0; i < WAITS; i++) {
			char name[32];

			if (i == 0) /* the oldest, but always in demand */
				snprintf(name, sizeof(name), "kept.example");
			else
				snprintf(name, sizeof(name), "h%u.example", n + i);
			f.a[i].calls = 0;
			ask(&f, i, name, 1688);
		}
		test_net_run_until(&f.t, &f.all);
	}
	f.zone.questions = 0;
	f.want = f.n_answers = 0;
	f.a[0].calls = f.a[1].calls = 0;
	ask(&f, 0, "h1.example", 1688);
	ask(&f, 1, "kept.example", 1688);
	test_net_run_until(&f.t, &f.all);
	assert_int_equal(f.zone.questions, 2); /* A and AAAA of the one that was forgotten */
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_each_host_is_probed_once),
		cmocka_unit_test(t_address_that_is_dead_beside_one_that_is_up),
		cmocka_unit_test(t_address_of_the_other_family_is_not_called_dead),
		cmocka_unit_test(t_results),
		cmocka_unit_test(t_work_is_bounded),
		cmocka_unit_test(t_cancel_one_of_two),
		cmocka_unit_test(t_cancel_and_free_when_ready),
		cmocka_unit_test(t_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
