/* The drains of a daemon, from request to resume, over the small DNS world of the publisher's
 * tests. */
#include "daemon/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/pub_site.h"

#define BOTH                                                                                       \
	HOSTS "publish: { ttl: 1s, domains: [{ domain: d0.test, lab: true, hosts: [one, two] }] "  \
	      "}\n"
#define ALONE                                                                                      \
	HOSTS "publish: { ttl: 1s, domains: [{ domain: d0.test, lab: true, hosts: [one] }] }\n"

struct fixture {
	struct pub_site s;
	struct pub_engine *e;
	struct drains *d;
	unsigned begun, safe, results;
	int err;
	uint32_t unseen_ttl_s;
	bool is_begun, is_safe, published, stopped;
};

static void on_result(void *ctx, const struct pub_result *r)
{
	struct fixture *f = ctx;

	(void)r;
	f->results++;
	f->published = true;
}

static uint32_t unseen_ttl(void *ctx, const char *host)
{
	const struct fixture *f = ctx;

	assert_string_equal(host, "one");
	return f->unseen_ttl_s;
}

static void on_safe(void *ctx, const char *host)
{
	struct fixture *f = ctx;

	assert_string_equal(host, "one");
	f->safe++;
	f->is_safe = true;
}

static void on_begun(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct fixture *f = ctx;

	(void)results;
	assert_true(err != ERR_USAGE || n > 0); /* a refusal has its reason */
	f->begun++;
	f->err = err;
	f->is_begun = true;
}

static void start(struct fixture *f)
{
	struct pub_engine_params ep = { .net = &f->s.t.net,
					.journal = f->s.journal,
					.targets = f->s.targets,
					.refresh_ms = 3600000,
					.result = on_result,
					.result_ctx = f };
	struct drains_params dp = { .net = &f->s.t.net,
				    .journal = f->s.journal,
				    .unseen_ttl = unseen_ttl,
				    .safe = on_safe,
				    .ctx = f };

	f->stopped = f->published = false;
	f->s.t.net.clock = clock_system();
	assert_int_equal(pub_engine_new(&ep, &f->e), 0);
	uv_ref((uv_handle_t *)&f->s.wake);
	pub_engine_start(f->e);
	dp.engine = f->e;
	assert_int_equal(drains_new(&dp, &f->d), 0);
	drains_load(f->d, "one");
}

static void begin(struct fixture *f, const char *yaml)
{
	memset(f, 0, sizeof(*f));
	pub_site_init(&f->s);
	pub_site_configure(&f->s, yaml);
	start(f);
	test_net_run_until(&f->s.t, &f->published);
}

static void on_stopped(void *ctx)
{
	struct fixture *f = ctx;

	f->stopped = true;
}

static void stop(struct fixture *f)
{
	pub_engine_stop(f->e, 0, on_stopped, f);
	test_net_run_until(&f->s.t, &f->stopped);
	pub_engine_free(f->e);
	drains_free(f->d);
	store_flush(f->s.store);
	uv_unref((uv_handle_t *)&f->s.wake);
}

static void end(struct fixture *f)
{
	stop(f);
	pub_site_done(&f->s);
}

static void drain(struct fixture *f, bool force)
{
	f->is_begun = false;
	assert_int_equal(drains_begin(f->d, "one", force, on_begun, f), 0);
	assert_int_equal(drains_begin(f->d, "one", force, on_begun, f), ERR_BUSY);
	test_net_run_until(&f->s.t, &f->is_begun);
}

static void t_from_request_to_resume(void **state)
{
	struct drain_status st;
	struct fixture f;

	(void)state;
	begin(&f, BOTH);
	drain(&f, false);
	assert_int_equal(f.err, 0);
	assert_string_equal(pub_site_show(&f.s, 0), K2);
	test_net_run_until(&f.s.t, &f.is_safe);
	assert_true(drains_get(f.d, "one", &st));
	assert_int_equal(st.phase, DRAIN_SAFE);
	stop(&f);
	pub_site_restart(&f.s); /* a new process goes on where the old one was */
	start(&f);
	assert_int_equal(f.safe, 2);
	assert_true(drains_get(f.d, "one", &st));
	test_net_run_until(&f.s.t, &f.published);
	assert_string_equal(pub_site_show(&f.s, 0), K2);
	f.published = false;
	assert_int_equal(drains_resume(f.d, "one"), 1);
	assert_false(drains_get(f.d, "one", &st));
	test_net_run_until(&f.s.t, &f.published);
	assert_string_equal(pub_site_show(&f.s, 0), K1 " | " K2);
	assert_int_equal(drains_resume(f.d, NULL), 0);
	end(&f);
	assert_int_equal(f.begun, 1);
}

static void t_refused_for_the_last_one(void **state)
{
	struct drain_status st;
	struct fixture f;

	(void)state;
	begin(&f, ALONE);
	drain(&f, false);
	assert_int_equal(f.err, ERR_USAGE);
	assert_false(drains_get(f.d, "one", &st));
	assert_false(pub_journal_drained(f.s.journal, "one", NULL));
	assert_string_equal(pub_site_show(&f.s, 0), K1);
	drain(&f, true);
	assert_int_equal(f.err, 0);
	assert_string_equal(pub_site_show(&f.s, 0), "");
	end(&f);
}

/* Somebody changes the set between the look and each try to update: nothing is left half done. */
static void t_a_lost_race_is_undone(void **state)
{
	struct drain_status st;
	struct fixture f;

	(void)state;
	begin(&f, ALONE);
	pub_site_add(&f.s, 0, 0, 0, 1688, "other.d0.test", 1);
	f.s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_NXRRSET;
	drain(&f, false);
	assert_int_equal(f.err, ERR_USAGE);
	assert_false(drains_get(f.d, "one", &st));
	assert_false(pub_journal_drained(f.s.journal, "one", NULL));
	f.s.servers[SITE_PRIMARY].update_rcode = 0;
	drain(&f, false);
	assert_int_equal(f.err, 0);
	assert_string_equal(pub_site_show(&f.s, 0), "0 0 1688 other.d0.test");
	end(&f);
}

static void t_no_wait_while_a_server_shows_it(void **state)
{
	struct drain_status st;
	struct fixture f;

	(void)state;
	begin(&f, BOTH);
	f.s.servers[SITE_PRIMARY].rcode = DNS_RCODE_REFUSED;
	drain(&f, true);
	assert_int_equal(f.err, 0);
	assert_true(drains_get(f.d, "one", &st));
	assert_int_equal(st.phase, DRAIN_WITHDRAWING);
	assert_true(strlen(st.text) > 20);
	assert_int_equal(f.safe, 0);
	end(&f);
}

/* Stopping, and resuming, in every state: the beginning is told once, and nothing is left. */
static void t_stop_and_resume_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 24; steps++) {
		struct fixture f;

		begin(&f, BOTH);
		assert_int_equal(drains_begin(f.d, "one", false, on_begun, &f), 0);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.s.t);
		if (steps % 2 != 0)
			(void)drains_resume(f.d, NULL);
		end(&f);
		assert_int_equal(f.begun, 1);
	}
}

static void t_resume_wins_over_what_is_under_way(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, BOTH);
	assert_int_equal(drains_begin(f.d, "one", true, on_begun, &f), 0);
	assert_true(drains_resume(f.d, "one") > 0);
	test_net_run_until(&f.s.t, &f.is_begun);
	assert_int_equal(f.err, ERR_CANCELED);
	f.published = false;
	test_net_run_until(&f.s.t, &f.published);
	assert_string_equal(pub_site_show(&f.s, 0), K1 " | " K2);
	assert_int_equal(f.safe, 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_from_request_to_resume),
		cmocka_unit_test(t_refused_for_the_last_one),
		cmocka_unit_test(t_a_lost_race_is_undone),
		cmocka_unit_test(t_no_wait_while_a_server_shows_it),
		cmocka_unit_test(t_stop_and_resume_at_every_step),
		cmocka_unit_test(t_resume_wins_over_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
