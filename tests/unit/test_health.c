/* The health rule by a table, and the table of hosts with a prober that answers as it is told. */
#include "daemon/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "net/dnsname.h"

/* ---- the rule ---- */

struct rule_case {
	const char *results; /* + and -, one a second */
	const char *states;  /* after each: u d ? */
	uint32_t rise, fall;
	uint32_t min_stay_ms;
};

static const struct rule_case rule_cases[] = {
	{ "+", "u", 2, 3, 0 },
	{ "---", "??d", 2, 3, 0 },
	{ "+--+---", "uuuuuud", 2, 3, 0 },
	{ "+---+++", "uuudduu", 2, 3, 0 },
	{ "+---+-++", "uuuddddu", 2, 3, 0 },
	{ "+---------", "uuuuuuuuud", 2, 3, 9000 }, /* three against, but it has to stay 9 s */
	{ "--+", "??u", 2, 3, 0 },
};

static void t_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rule_cases) / sizeof(rule_cases[0]); i++) {
		const struct rule_case *c = &rule_cases[i];
		const struct config_health rule = { .rise = c->rise,
						    .fall = c->fall,
						    .min_stay_ms = c->min_stay_ms };
		struct health_track t = { 0 };
		char got[32] = "";

		for (size_t k = 0; c->results[k] != '\0'; k++) {
			(void)health_observe(&t, c->results[k] == '+', &rule, 1000 * (k + 1));
			got[k] = t.state == PUB_HEALTH_UP     ? 'u'
				 : t.state == PUB_HEALTH_DOWN ? 'd'
							      : '?';
		}
		if (strcmp(got, c->states) != 0)
			fail_msg("case %zu: %s gives %s, not %s", i, c->results, got, c->states);
	}
}

/* ---- the table ---- */

struct fixture {
	uv_loop_t loop;
	struct rng rng;
	struct net net;
	struct health *health;
	bool up;
	struct addr dead; /* never up, whatever the others are; unset: none */
	unsigned probes;
	unsigned stop_after; /* probes: then free the table */
	unsigned changes;
	bool freed;
};

static struct fixture *the;

struct fake_op {
	uv_timer_t timer;
	struct probe_op *op;
	struct addr addr;
};

static void on_fake_closed(uv_handle_t *h)
{
	struct fake_op *f = h->data;
	bool up = the->up && !(addr_is_set(&the->dead) && addr_same_host(&the->dead, &f->addr));
	struct probe_result r = { .state = up ? PROBE_UP : PROBE_REFUSED, .addr = f->addr };
	struct probe_op *op = f->op;

	free(f);
	op->impl = NULL;
	op->done(op, &r);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void on_fake_timer(uv_timer_t *t)
{
	the->probes++;
	uv_close((uv_handle_t *)t, on_fake_closed);
	if (the->probes == the->stop_after)
		health_free(the->health, on_freed, the);
}

static void fake_start(const struct prober *p, struct probe_op *op, struct net *net,
		       const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done)
{
	struct fake_op *f = calloc(1, sizeof(*f));

	(void)p;
	(void)timeout_ms;
	assert_non_null(f);
	f->op = op;
	f->addr = *addr;
	op->done = done;
	op->impl = f;
	assert_int_equal(uv_timer_init(net->loop, &f->timer), 0);
	f->timer.data = f;
	assert_int_equal(uv_timer_start(&f->timer, on_fake_timer, 1, 0), 0);
}

static void fake_cancel(struct probe_op *op)
{
	struct fake_op *f = op->impl;

	if (f != NULL && !uv_is_closing((uv_handle_t *)&f->timer))
		uv_close((uv_handle_t *)&f->timer, on_fake_closed);
}

static const struct prober fake_prober = { .start = fake_start, .cancel = fake_cancel };

static void on_changed(void *ctx)
{
	((struct fixture *)ctx)->changes++;
}

static void setup(struct fixture *f)
{
	struct health_params p = {
		.net = &f->net,
		.prober = &fake_prober,
		.rule = { .interval_ms = 2, .timeout_ms = 100, .rise = 2, .fall = 3 },
		.changed = on_changed,
		.ctx = f
	};

	the = f;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	rng_init_seed(&f->rng, 1);
	f->net = (struct net){ .loop = &f->loop, .clock = clock_system(), .rng = &f->rng };
	assert_int_equal(health_new(&p, &f->health), 0);
}

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static void configure(struct fixture *f, const char *target, bool is_local)
{
	const struct config_health rule = {
		.interval_ms = 2, .timeout_ms = 100, .rise = 2, .fall = 3
	};
	const struct health_host host = { .target = name(target),
					  .port = 1688,
					  .is_local = is_local };

	health_configure(f->health, &rule, &host, 1);
}

static void finish(struct fixture *f)
{
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->freed);
	assert_int_equal(uv_loop_close(&f->loop), 0); /* UV_EBUSY: a leaked handle */
}

static void t_configured_host_is_probed_again_and_again(void **state)
{
	struct fixture f = { .up = true, .stop_after = 5 };
	struct dns_name target = name("127.0.0.1");
	int64_t since = 0;

	(void)state;
	setup(&f);
	configure(&f, "127.0.0.1", false);
	assert_int_equal(health_state(f.health, &target, 1688, &since), PUB_HEALTH_UNKNOWN);
	while (f.changes == 0)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(health_state(f.health, &target, 1688, &since), PUB_HEALTH_UP);
	assert_true(since > 0);
	f.up = false;
	while (f.changes == 1 && !f.freed)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(f.probes, 4); /* one up, three against it */
	finish(&f);
}

static void t_foreign_target_is_probed_once_it_is_wanted(void **state)
{
	struct fixture f = { .up = true, .stop_after = 1 };
	struct dns_name target = name("127.0.0.9");
	const struct pub_health *gate;

	(void)state;
	setup(&f);
	gate = health_gate(f.health);
	assert_int_equal(gate->state(gate->ctx, &target, 1), PUB_HEALTH_UNKNOWN);
	gate->want(gate->ctx, &target, 1);
	gate->want(gate->ctx, &target, 1); /* of two domains: one probe */
	finish(&f);
	assert_int_equal(f.probes, 1);
}

/* One that was withdrawn, and is added by a reload, would stay out for ever if nobody probed it. */
static void t_configured_host_has_its_place_in_a_full_table(void **state)
{
	struct fixture f = { .up = true };
	struct dns_name foreign = name("127.0.0.9"), ours = name("127.0.0.1");
	const struct pub_health *gate;

	(void)state;
	setup(&f);
	gate = health_gate(f.health);
	for (unsigned port = 1; port <= HEALTH_ENTRIES_MAX; port++)
		gate->want(gate->ctx, &foreign, (uint16_t)port);
	configure(&f, "127.0.0.1", false);
	for (int step = 0; step < 1000 && gate->state(gate->ctx, &ours, 1688) != PUB_HEALTH_UP;
	     step++)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(gate->state(gate->ctx, &ours, 1688), PUB_HEALTH_UP);
	health_free(f.health, on_freed, &f);
	finish(&f);
}

/* P11: all hosts are lost at once, and one is found down first. It must not look as if the other
 * were up, which was probed last before the loss. */
static void t_host_found_down_makes_the_others_doubtful(void **state)
{
	struct fixture f = { .up = true };
	const struct config_health rule = {
		.interval_ms = 20, .timeout_ms = 100, .rise = 1, .fall = 1
	};
	const struct health_host hosts[2] = { { .target = name("127.0.0.1"), .port = 1688 },
					      { .target = name("127.0.0.2"), .port = 1688 } };
	const struct pub_health *gate;
	unsigned told = 2;

	(void)state;
	setup(&f);
	gate = health_gate(f.health);
	health_configure(f.health, &rule, hosts, 2);
	while (f.changes < 2)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	f.up = false;
	for (int step = 0; step < 1000 && f.changes == told; step++) {
		(void)uv_run(&f.loop, UV_RUN_ONCE);
		for (size_t i = 0; i < 2; i++)
			if (health_state(f.health, &hosts[i].target, 1688, NULL) == PUB_HEALTH_DOWN)
				assert_int_not_equal(
					gate->state(gate->ctx, &hosts[1 - i].target, 1688),
					PUB_HEALTH_UP);
	}
	assert_int_equal(f.changes, told + 1); /* told once, when both were known */
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(gate->state(gate->ctx, &hosts[i].target, 1688), PUB_HEALTH_DOWN);
	health_free(f.health, on_freed, &f);
	finish(&f);
}

/* One of two comes up: that the other one is down counts again when a probe has said so anew. */
static void t_host_that_stays_down_is_told_again(void **state)
{
	struct fixture f = { .up = true };
	const struct config_health rule = {
		.interval_ms = 20, .timeout_ms = 100, .rise = 1, .fall = 1
	};
	const struct health_host hosts[2] = { { .target = name("127.0.0.1"), .port = 1688 },
					      { .target = name("127.0.0.2"), .port = 1688 } };
	const struct pub_health *gate;
	unsigned told;

	(void)state;
	setup(&f);
	assert_int_equal(addr_parse("127.0.0.2", 0, &f.dead), 0);
	gate = health_gate(f.health);
	health_configure(f.health, &rule, hosts, 2);
	while (gate->state(gate->ctx, &hosts[1].target, 1688) != PUB_HEALTH_DOWN ||
	       gate->state(gate->ctx, &hosts[0].target, 1688) != PUB_HEALTH_UP)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	f.up = false;
	while (gate->state(gate->ctx, &hosts[0].target, 1688) != PUB_HEALTH_DOWN)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	f.up = true;
	while (health_state(f.health, &hosts[0].target, 1688, NULL) != PUB_HEALTH_UP)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	told = f.changes;
	assert_int_equal(gate->state(gate->ctx, &hosts[1].target, 1688), PUB_HEALTH_UNKNOWN);
	while (gate->state(gate->ctx, &hosts[1].target, 1688) != PUB_HEALTH_DOWN)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(f.changes, told + 1);
	health_free(f.health, on_freed, &f);
	finish(&f);
}

static void t_local_is_the_services_own_word(void **state)
{
	struct fixture f = { .up = false };
	struct dns_name target = name("kms1.corp.test");

	(void)state;
	setup(&f);
	configure(&f, "kms1.corp.test", true);
	assert_int_equal(health_state(f.health, &target, 1688, NULL), PUB_HEALTH_UNKNOWN);
	health_set_local(f.health, PUB_HEALTH_UP, true);
	assert_int_equal(health_state(f.health, &target, 1688, NULL), PUB_HEALTH_UP);
	health_set_local(f.health, PUB_HEALTH_DOWN, true);
	assert_int_equal(health_state(f.health, &target, 1688, NULL), PUB_HEALTH_DOWN);
	health_free(f.health, on_freed, &f);
	finish(&f);
	assert_int_equal(f.probes, 0);
}

/* News of a relay's hosts may come and go: no record flaps with them. */
static void t_local_stays_what_it_is_for_a_while(void **state)
{
	struct fixture f = { .up = true };
	const struct config_health rule = {
		.interval_ms = 5, .timeout_ms = 100, .rise = 1, .fall = 1, .min_stay_ms = 40
	};
	const struct health_host host = { name("kms1.corp.test"), 1688, true };
	uint64_t since, flaps = 0;

	(void)state;
	setup(&f);
	health_configure(f.health, &rule, &host, 1);
	health_set_local(f.health, PUB_HEALTH_UP, false); /* the first news need not wait */
	since = clock_mono_ms(f.net.clock);
	assert_int_equal(health_state(f.health, &host.target, 1688, NULL), PUB_HEALTH_UP);
	while (f.changes < 2) {
		health_set_local(f.health, ++flaps % 2 ? PUB_HEALTH_UP : PUB_HEALTH_DOWN, false);
		if (flaps > 4) /* it stays down, and the timer finds that */
			health_set_local(f.health, PUB_HEALTH_DOWN, false);
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	}
	assert_true(clock_mono_ms(f.net.clock) - since >= 39);
	assert_int_equal(health_state(f.health, &host.target, 1688, NULL), PUB_HEALTH_DOWN);
	health_set_local(f.health, PUB_HEALTH_UP, false);
	health_configure(f.health, &rule, &host, 1); /* a reload does not forget what is held */
	assert_int_equal(health_state(f.health, &host.target, 1688, NULL), PUB_HEALTH_DOWN);
	while (f.changes < 3)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(health_state(f.health, &host.target, 1688, NULL), PUB_HEALTH_UP);
	health_set_local(f.health, PUB_HEALTH_DOWN, true); /* an order is obeyed at once */
	assert_int_equal(health_state(f.health, &host.target, 1688, NULL), PUB_HEALTH_DOWN);
	health_free(f.health, on_freed, &f);
	finish(&f);
	assert_int_equal(f.probes, 0);
}

static void t_free_after_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 8; steps++) {
		struct fixture f = { .up = true };

		setup(&f);
		configure(&f, "127.0.0.1", false);
		for (int i = 0; i < steps; i++)
			(void)uv_run(&f.loop, UV_RUN_NOWAIT);
		health_free(f.health, on_freed, &f);
		finish(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_rule),
		cmocka_unit_test(t_configured_host_is_probed_again_and_again),
		cmocka_unit_test(t_foreign_target_is_probed_once_it_is_wanted),
		cmocka_unit_test(t_configured_host_has_its_place_in_a_full_table),
		cmocka_unit_test(t_host_found_down_makes_the_others_doubtful),
		cmocka_unit_test(t_host_that_stays_down_is_told_again),
		cmocka_unit_test(t_local_is_the_services_own_word),
		cmocka_unit_test(t_local_stays_what_it_is_for_a_while),
		cmocka_unit_test(t_free_after_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
