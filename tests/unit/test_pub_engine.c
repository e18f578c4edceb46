#include "publisher/engine.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/log.h"
#include "publisher/report.h"
#include "tests/lib/pub_site.h"

#define D0_D1                                                                                      \
	HOSTS "publish: { domains: [{ domain: d0.test, lab: true, hosts: [one] }, "                \
	      "{ domain: d1.test, lab: true, hosts: [two] }] }\n"
#define D1 HOSTS "publish: { domains: [{ domain: d1.test, lab: true, hosts: [two] }] }\n"

struct fixture {
	struct pub_site s;
	struct pub_engine *e;
	unsigned results; /* targets whose check ended */
	unsigned wanted_results;
	bool enough;
	bool stopped;
};

static void on_result(void *ctx, const struct pub_result *r)
{
	struct fixture *f = ctx;

	(void)r;
	f->results++;
	f->enough = f->results >= f->wanted_results;
}

static void begin(struct fixture *f, const char *yaml, uint32_t refresh_ms, bool withdraw_on_stop)
{
	struct pub_engine_params p = { .refresh_ms = refresh_ms,
				       .withdraw_on_stop = withdraw_on_stop,
				       .result = on_result,
				       .result_ctx = f };

	memset(f, 0, sizeof(*f));
	pub_site_init(&f->s);
	pub_site_configure(&f->s, yaml);
	f->s.t.net.clock = clock_system();
	p.net = &f->s.t.net;
	p.journal = f->s.journal;
	p.targets = f->s.targets;
	assert_int_equal(pub_engine_new(&p, &f->e), 0);
	uv_ref((uv_handle_t *)&f->s.wake);
	pub_engine_start(f->e);
}

static void wait_results(struct fixture *f, unsigned n)
{
	f->wanted_results = n;
	f->enough = f->results >= n;
	test_net_run_until(&f->s.t, &f->enough);
}

static void on_stopped(void *ctx)
{
	struct fixture *f = ctx;

	f->stopped = true;
	pub_engine_stop(f->e, 0, on_stopped, f); /* once more, too late */
	pub_engine_free(f->e);                   /* may be done here */
}

static void end(struct fixture *f)
{
	if (!f->stopped) {
		pub_engine_stop(f->e, 5000, on_stopped, f);
		assert_false(f->stopped);
		test_net_run_until(&f->s.t, &f->stopped);
	}
	uv_unref((uv_handle_t *)&f->s.wake);
	pub_site_done(&f->s);
}

/* "d0.test proven, d1.test orphan" */
static void add_row(void *ctx, const struct pub_engine_row *row)
{
	char *out = ctx;
	char name[DNSNAME_TEXT_MAX];
	size_t len = strlen(out);

	snprintf(out + len, 256 - len, "%s%.60s %s", len > 0 ? ", " : "",
		 dns_name_format(&row->domain, name), row->state);
}

static const char *rows(struct fixture *f)
{
	static char out[256];

	out[0] = '\0';
	pub_engine_rows(f->e, add_row, out);
	return out;
}

static void t_publishes_at_start_and_refreshes(void **state)
{
	struct fixture f;
	json_t *list, *row;

	(void)state;
	begin(&f, D0, 50, false);
	assert_string_equal(rows(&f), "d0.test pending");
	wait_results(&f, 1);
	assert_string_equal(rows(&f), "d0.test proven");
	assert_string_equal(pub_site_show(&f.s, 0), K1);
	wait_results(&f, 3);
	assert_string_equal(rows(&f), "d0.test unchanged");
	assert_int_equal(f.s.servers[SITE_PRIMARY].updates, 1);
	assert_int_equal(f.s.servers[SITE_RESOLVER].soa, 1); /* the zone was learned once */
	list = pub_report_status(f.e);
	row = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(row, "domain")), "d0.test");
	assert_true(json_is_string(json_object_get(row, "last_proven")));
	assert_true(json_is_string(json_object_get(row, "next_check")));
	assert_true(json_is_null(json_object_get(row, "last_error")));
	json_decref(list);
	end(&f);
	assert_int_equal(f.s.servers[SITE_PRIMARY].updates, 1); /* on_stop: keep */
}

/* Z18: a NOTIFY triggers a read and nothing else, and a storm of them one read in a while. */
static void t_Z18_notify(void **state)
{
	struct addr primary = test_addr("127.0.0.2:999"), secondary = test_addr("127.0.0.3:1");
	struct addr stranger = test_addr("127.0.0.9:53");
	struct dns_name zone, other;
	struct fixture f;

	(void)state;
	assert_int_equal(dns_name_parse("d0.test", &zone), 0);
	assert_int_equal(dns_name_parse("d9.test", &other), 0);
	begin(&f, D0, 3600000, false);
	wait_results(&f, 1);
	assert_int_equal(pub_engine_notify(f.e, &other, &primary), PUB_NOTIFY_NOT_OURS);
	assert_int_equal(pub_engine_notify(f.e, &zone, &stranger), PUB_NOTIFY_STRANGER);
	pub_site_reset_counts(&f.s);
	assert_int_equal(pub_engine_notify(f.e, &zone, &secondary), PUB_NOTIFY_TAKEN);
	assert_int_equal(pub_engine_notify(f.e, &zone, &primary), PUB_NOTIFY_TAKEN);
	wait_results(&f, 2);
	assert_string_equal(rows(&f), "d0.test unchanged");
	assert_int_equal(f.s.servers[SITE_PRIMARY].srv, 1);
	assert_int_equal(f.s.servers[SITE_PRIMARY].updates, 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(pub_engine_notify(f.e, &zone, &primary), PUB_NOTIFY_TAKEN);
		test_net_step(&f.s.t);
	}
	assert_int_equal(f.s.servers[SITE_PRIMARY].srv, 1); /* the next is PUB_NOTIFY_MIN_MS away */
	assert_int_equal(f.results, 2);
	end(&f);
}

/* Of a zone that could not be learned only what is configured is believed. */
static void t_notify_before_the_zone_is_known(void **state)
{
	struct addr primary = test_addr("127.0.0.2:999"), stranger = test_addr("127.0.0.9:53");
	struct dns_name zone, other, root;
	struct fixture f;

	(void)state;
	assert_int_equal(dns_name_parse("d0.test", &zone), 0);
	assert_int_equal(dns_name_parse("d9.test", &other), 0);
	assert_int_equal(dns_name_parse(".", &root), 0);
	begin(&f, ONE("d0.test", ", hosts: [one], server: 127.0.0.2"), 3600000, false);
	f.s.servers[SITE_PRIMARY].rcode = DNS_RCODE_REFUSED;
	wait_results(&f, 1);
	assert_int_equal(pub_engine_notify(f.e, &other, &primary), PUB_NOTIFY_NOT_OURS);
	assert_int_equal(pub_engine_notify(f.e, &root, &primary), PUB_NOTIFY_NOT_OURS);
	assert_int_equal(pub_engine_notify(f.e, &zone, &stranger), PUB_NOTIFY_STRANGER);
	assert_int_equal(pub_engine_notify(f.e, &zone, &primary), PUB_NOTIFY_TAKEN);
	end(&f);
}

/* A state file that cannot be used: nothing is known to be withdrawn, nor to be an orphan. */
static void t_rows_without_a_journal(void **state)
{
	struct pub_engine_params p = { .refresh_ms = 3600000, .result = on_result };
	struct fixture f;

	(void)state;
	memset(&f, 0, sizeof(f));
	pub_site_init(&f.s);
	pub_site_configure(&f.s, D0);
	f.s.check_journal = false;
	f.s.t.net.clock = clock_system();
	p.net = &f.s.t.net;
	p.targets = f.s.targets;
	p.result_ctx = &f;
	assert_int_equal(pub_engine_new(&p, &f.e), 0);
	assert_string_equal(rows(&f), "d0.test pending");
	pub_engine_start(f.e);
	uv_ref((uv_handle_t *)&f.s.wake);
	wait_results(&f, 1);
	assert_string_equal(rows(&f), "d0.test proven");
	assert_int_equal(pub_engine_resume(f.e, NULL), 0);
	end(&f);
	pub_engine_free(NULL);
}

static void t_withdraws_on_stop(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, true);
	wait_results(&f, 1);
	assert_string_equal(pub_site_show(&f.s, 0), K1);
	pub_engine_stop(f.e, 5000, on_stopped, &f);
	test_net_run_until(&f.s.t, &f.stopped);
	assert_string_equal(pub_site_show(&f.s, 0), "");
	end(&f);
}

/* P08: nobody answers; the time given to it is all that it takes. */
static void t_stop_ends_within_its_time(void **state)
{
	struct fixture f;
	uint64_t begin_ms;

	(void)state;
	begin(&f, D0, 3600000, true);
	wait_results(&f, 1);
	f.s.servers[SITE_PRIMARY].silent = true;
	f.s.servers[SITE_RESOLVER].silent = true;
	begin_ms = uv_now(&f.s.t.loop);
	pub_engine_stop(f.e, 300, on_stopped, &f);
	test_net_run_until(&f.s.t, &f.stopped);
	assert_in_range(uv_now(&f.s.t.loop) - begin_ms, 200, 2000);
	end(&f);
}

static void t_second_stop_ends_the_withdrawal(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, true);
	wait_results(&f, 1);
	f.s.servers[SITE_PRIMARY].silent = true;
	pub_engine_stop(f.e, 60000, on_stopped, &f);
	pub_engine_stop(f.e, 0, on_stopped, &f);
	test_net_run_until(&f.s.t, &f.stopped);
	end(&f);
}

struct answer {
	unsigned calls;
	int err;
	size_t n;
	enum pub_state state;
	bool done;
};

static void on_answer(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct answer *a = ctx;

	a->calls++;
	a->err = err;
	a->n = n;
	a->state = n > 0 ? results[0].state : PUB_STATE_COUNT_;
	a->done = true;
}

/* A person does not wait for a lagging secondary of the daemon's own cycle. */
static void t_request_comes_first(void **state)
{
	const struct pub_request rq = { .mode = PUB_PUBLISH };
	struct answer a = { 0 }, b = { 0 };
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, false);
	f.s.servers[SITE_SECONDARY].frozen = true;
	while (f.s.servers[SITE_PRIMARY].updates == 0)
		assert_int_not_equal(uv_run(&f.s.t.loop, UV_RUN_ONCE), 0);
	assert_int_equal(pub_engine_request(f.e, &rq, on_answer, &a), 0);
	assert_int_equal(pub_engine_request(f.e, &rq, on_answer, &b), 0);
	assert_int_equal(a.calls, 0);
	f.s.servers[SITE_SECONDARY].thaw_after = 2;
	test_net_run_until(&f.s.t, &b.done);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.state, PUB_PROVEN);
	assert_int_equal(b.state, PUB_UNCHANGED);
	assert_string_equal(rows(&f), "d0.test unchanged");
	assert_int_equal(f.s.servers[SITE_PRIMARY].updates, 1);
	end(&f);
}

static void t_withdraw_and_resume(void **state)
{
	struct dns_name d0;
	struct pub_request rq = { .mode = PUB_WITHDRAW, .domain = &d0 };
	struct answer a = { 0 };
	struct fixture f;

	(void)state;
	assert_int_equal(dns_name_parse("d0.test", &d0), 0);
	begin(&f, D0_D1, 3600000, false);
	wait_results(&f, 2);
	assert_int_equal(pub_engine_request(f.e, &rq, on_answer, &a), 0);
	memset(&d0, 0, sizeof(d0)); /* borrowed during the call only */
	test_net_run_until(&f.s.t, &a.done);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.state, PUB_PROVEN);
	assert_string_equal(rows(&f), "d0.test withdrawn, d1.test proven");
	pub_engine_poke(f.e);
	wait_results(&f, 5);
	assert_string_equal(pub_site_show(&f.s, 0), "");
	assert_int_equal(pub_engine_resume(f.e, "nobody"), 0);
	assert_int_equal(pub_engine_resume(f.e, NULL), 1);
	wait_results(&f, 7);
	assert_string_equal(pub_site_show(&f.s, 0), K1);
	assert_string_equal(rows(&f), "d0.test proven, d1.test unchanged");
	end(&f);
}

static void t_reload(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, false);
	wait_results(&f, 1);
	pub_site_configure(&f.s, D1);
	assert_int_equal(pub_engine_set_targets(f.e, f.s.targets, 3600000, false), 0);
	wait_results(&f, 2);
	assert_string_equal(rows(&f), "d1.test proven, d0.test orphan");
	assert_string_equal(pub_site_show(&f.s, 1), "10 0 1688 kms2.d0.test");
	assert_string_equal(pub_site_show(&f.s, 0), K1); /* reported, not touched */
	end(&f);
}

/* What is news does not wait for a secondary that lags, and nothing is lost with the cycle: the
 * change that it made is told when the next one has proven it. */
static void t_poke_during_a_run(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, false);
	f.s.servers[SITE_SECONDARY].frozen = true;
	while (f.s.servers[SITE_PRIMARY].updates == 0)
		assert_int_not_equal(uv_run(&f.s.t.loop, UV_RUN_ONCE), 0);
	f.s.servers[SITE_SECONDARY].thaw_after = 1;
	pub_engine_poke(f.e);
	wait_results(&f, 1);
	assert_string_equal(rows(&f), "d0.test proven");
	assert_int_equal(f.s.servers[SITE_PRIMARY].updates, 1);
	end(&f);
}

/* A reload lets the exchange that is out come to its end (T15), then checks anew. */
static void t_reload_during_a_run(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, false);
	assert_int_equal(pub_engine_set_targets(f.e, f.s.targets, 3600000, false), 0);
	wait_results(&f, 1);
	assert_string_equal(rows(&f), "d0.test proven");
	wait_results(&f, 2);
	assert_string_equal(rows(&f), "d0.test unchanged");
	end(&f);
}

static void t_failure_is_tried_again(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, D0, 50, false);
	f.s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_REFUSED;
	wait_results(&f, 2);
	assert_string_equal(rows(&f), "d0.test refused");
	f.s.servers[SITE_PRIMARY].update_rcode = 0;
	wait_results(&f, 3);
	assert_string_equal(rows(&f), "d0.test proven");
	end(&f);
}

static void t_limits_and_stop(void **state)
{
	const struct pub_request rq = { .mode = PUB_REFRESH };
	struct answer a = { 0 };
	struct fixture f;

	(void)state;
	begin(&f, D0, 3600000, false);
	for (int i = 0; i < PUB_REQUESTS_MAX; i++)
		assert_int_equal(pub_engine_request(f.e, &rq, on_answer, &a), 0);
	assert_int_equal(pub_engine_request(f.e, &rq, on_answer, &a), ERR_LIMIT);
	pub_engine_stop(f.e, 5000, on_stopped, &f);
	assert_int_equal(pub_engine_request(f.e, &rq, on_answer, &a), ERR_CANCELED);
	test_net_run_until(&f.s.t, &f.stopped);
	assert_int_equal(a.calls, PUB_REQUESTS_MAX); /* each was told once */
	assert_int_equal(a.err, ERR_CANCELED);
	end(&f);
}

static void t_stop_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 30; steps++) {
		struct fixture f;

		begin(&f, D0, 10, (steps & 1) != 0);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.s.t);
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_publishes_at_start_and_refreshes),
		cmocka_unit_test(t_Z18_notify),
		cmocka_unit_test(t_notify_before_the_zone_is_known),
		cmocka_unit_test(t_rows_without_a_journal),
		cmocka_unit_test(t_withdraws_on_stop),
		cmocka_unit_test(t_stop_ends_within_its_time),
		cmocka_unit_test(t_second_stop_ends_the_withdrawal),
		cmocka_unit_test(t_request_comes_first),
		cmocka_unit_test(t_withdraw_and_resume),
		cmocka_unit_test(t_reload),
		cmocka_unit_test(t_poke_during_a_run),
		cmocka_unit_test(t_reload_during_a_run),
		cmocka_unit_test(t_failure_is_tried_again),
		cmocka_unit_test(t_limits_and_stop),
		cmocka_unit_test(t_stop_at_every_step),
	};

	log_setup(LOG_ERROR, LOG_TEXT, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
