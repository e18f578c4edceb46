#include "publisher/reconcile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/hresult.h"
#include "common/log.h"
#include "tests/lib/pub_site.h"

static void t_withdraw_lasts_until_publish(void **state)
{
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_run(&s, &run, &pub_site_withdraw, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), "");
	pub_site_restart(&s);
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_string_equal(run.results[0].findings, "withdrawn");
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_string_equal(run.results[0].findings, "");
	pub_site_done(&s);
}

static void t_withdraw_one_host(void **state)
{
	const struct pub_request rq = { .mode = PUB_WITHDRAW, .host = "two" };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ""));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	assert_string_equal(pub_site_show(&s, 0), K1 " | " K2);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_done(&s);
}

static void t_stop_holds_nothing_back(void **state)
{
	const struct pub_request rq = { .mode = PUB_STOP };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), "");
	pub_site_restart(&s);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_done(&s);
}

static void t_orphans(void **state)
{
	const struct pub_request rq = { .mode = PUB_WITHDRAW, .orphans = true };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ", hosts: [one], server: 127.0.0.2"));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_configure(&s, ONE("d1.test", ", hosts: [one]"));
	pub_site_restart(&s);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(run.results[0].domain, "d0.test");
	assert_string_equal(pub_site_show(&s, 0), "");
	assert_string_equal(pub_site_show(&s, 1), K1);
	pub_site_run(&s, &run, &rq, NULL, NULL);
	assert_int_equal(run.n, 0);
	pub_site_done(&s);
}

/* NOERROR and no effect, as from another view: nobody brought back what never went. */
static void t_P07_an_ignored_deletion_is_nobodys(void **state)
{
	const struct pub_request withdraw = { .mode = PUB_WITHDRAW, .timeout_ms = 150 };
	const struct pub_request refresh = { .mode = PUB_REFRESH, .timeout_ms = 150 };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	s.servers[SITE_PRIMARY].ignores_updates = true;
	pub_site_run(&s, &run, &withdraw, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	for (int i = 0; i < 4; i++) {
		pub_site_restart(&s);
		pub_site_run(&s, &run, &refresh, NULL, NULL);
		pub_site_expect(&run, PUB_BLOCKED);
	}
	s.servers[SITE_PRIMARY].ignores_updates = false;
	pub_site_run(&s, &run, &(struct pub_request){ .mode = PUB_REFRESH }, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), "");
	pub_site_done(&s);
}

/* No read ever shows the record gone, since something puts it back within the proof. */
static void t_P07_brought_back_within_each_proof(void **state)
{
	const struct pub_request withdraw = { .mode = PUB_WITHDRAW, .timeout_ms = 150 };
	const struct pub_request refresh = { .mode = PUB_REFRESH, .timeout_ms = 150 };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_reset_counts(&s);
	s.servers[SITE_PRIMARY].brings_back = true;
	pub_site_run(&s, &run, &withdraw, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_string_equal(run.results[0].findings, "");
	pub_site_restart(&s);
	pub_site_run(&s, &run, &refresh, NULL, NULL);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 2);
	for (int i = 0; i < 2; i++) { /* it came back twice: told, and left alone */
		pub_site_run(&s, &run, &refresh, NULL, NULL);
		pub_site_expect(&run, PUB_UNCHANGED);
		assert_string_equal(run.results[0].findings, "another-publisher withdrawn");
		pub_site_restart(&s);
	}
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 2);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_done(&s);
}

/* ---- the gate ---- */

static enum pub_health_state one_is_down(void *ctx, const struct dns_name *target, uint16_t port)
{
	char name[DNSNAME_TEXT_MAX];

	(void)ctx;
	(void)port;
	return strcmp(dns_name_format(target, name), "kms1.d0.test") == 0 ? PUB_HEALTH_DOWN
									  : PUB_HEALTH_UP;
}

static enum pub_health_state all_unknown(void *ctx, const struct dns_name *target, uint16_t port)
{
	(void)ctx;
	(void)target;
	(void)port;
	return PUB_HEALTH_UNKNOWN;
}

static void t_gate(void **state)
{
	const struct pub_health health = { .state = one_is_down };
	const struct pub_health restarted = { .state = all_unknown };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ""));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, &health);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K2);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, &restarted);
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_string_equal(pub_site_show(&s, 0), K2);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K1 " | " K2);
	pub_site_done(&s);
}

struct race {
	struct pub_site *s;
	unsigned left; /* times the set changes before the UPDATE comes */
};

/* Called while planning, so that the set read is no longer the set there is. */
static enum pub_health_state racing(void *ctx, const struct dns_name *target, uint16_t port)
{
	struct race *r = ctx;
	struct pub_site_set *set = &r->s->servers[SITE_PRIMARY].sets[0];

	if (r->left > 0 && set->n == 2) {
		r->left--;
		pub_site_add(r->s, 0, 0, 0, (uint16_t)(2000 + r->left), "late.d0.test", 3600);
	}
	return one_is_down(NULL, target, port);
}

static void t_U10_lost_race_is_planned_again(void **state)
{
	struct pub_site s;
	struct pub_site_run run;
	struct race r = { &s, 1 };
	const struct pub_health health = { .state = racing, .ctx = &r };

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ""));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_reset_counts(&s);
	pub_site_run(&s, &run, &pub_site_refresh, NULL, &health);
	pub_site_expect(&run, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 2);
	assert_string_equal(pub_site_show(&s, 0), "0 0 2000 late.d0.test | " K2);
	pub_site_done(&s);
}

/* The server has done it, its answer is lost, and the same message once more is refused: the set is
 * no longer what it was. What it added is ours all the same. */
static void t_U19_lost_answer_of_a_conditional_update(void **state)
{
	struct pub_site s;
	struct pub_site_run run;
	const struct pub_health health = { .state = one_is_down };

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_add(&s, 0, 0, 0, 2000, "late.d0.test", 3600);
	pub_site_configure(&s, ONE("d0.test", ", hosts: [one, two]"));
	pub_site_reset_counts(&s);
	s.servers[SITE_PRIMARY].loses_answers = true;
	pub_site_run(&s, &run, &pub_site_publish, NULL, &health);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 2);
	assert_string_equal(pub_site_show(&s, 0), "0 0 2000 late.d0.test | " K2);
	assert_int_equal(pub_site_journaled(&s, 0, "kms2.d0.test"), PUB_REC_PUBLISHED);
	pub_site_expect(&run, PUB_PROVEN);
	pub_site_done(&s);
}

static void t_race_is_bounded(void **state)
{
	struct pub_site s;
	struct pub_site_run run;
	const struct pub_health health = { .state = one_is_down };

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, ONE("d0.test", ""));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_reset_counts(&s);
	s.servers[SITE_PRIMARY].update_rcode = DNS_RCODE_NXRRSET;
	pub_site_run(&s, &run, &pub_site_refresh, NULL, &health);
	pub_site_expect(&run, PUB_BLOCKED);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 3);
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_INTENT_DELETE);
	pub_site_run(&s, &run, &pub_site_refresh, NULL,
		     NULL); /* a read tells that it was not done */
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_PUBLISHED);
	pub_site_done(&s);
}

/* ---- crashes ---- */

/* The process ends after the intent was journaled and the UPDATE left, before anything was proven.
 */
static void t_crash_between_update_and_proof(void **state)
{
	struct pub_site s;
	struct pub_site_run run;
	struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	p.targets = s.targets;
	p.journal = s.journal;
	pub_site_start(&s, &run, &p);
	uv_ref((uv_handle_t *)&s.wake);
	while (s.servers[SITE_PRIMARY].updates == 0)
		assert_int_not_equal(uv_run(&s.t.loop, UV_RUN_ONCE), 0);
	pub_reconcile_cancel(run.reconcile);
	test_net_run_until(&s.t, &run.done);
	uv_unref((uv_handle_t *)&s.wake);
	assert_int_equal(run.err, ERR_CANCELED);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_restart(&s);
	assert_int_equal(pub_site_journaled(&s, 0, "kms1.d0.test"), PUB_REC_INTENT_ADD);
	/* ... and meanwhile the target was renamed: nothing of ours may be left behind */
	pub_site_configure(&s, ONE("d0.test", ", hosts: [two]"));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K2);
	pub_site_done(&s);
}

static int run_sql(struct store_job *job, struct store_db *db)
{
	(void)job;
	return store_exec(db, "ALTER TABLE pub_record RENAME TO gone", NULL, NULL, "");
}

static void sql_done(struct store_job *job, int err)
{
	(void)job;
	assert_int_equal(err, 0);
}

/* A store job that takes as long as the test wants. */
struct slow_job {
	struct store_job job;
	uv_sem_t go;
	bool done;
};

static int run_slow(struct store_job *job, struct store_db *db)
{
	(void)db;
	uv_sem_wait(&((struct slow_job *)job)->go);
	return 0;
}

static void slow_done(struct store_job *job, int err)
{
	assert_int_equal(err, 0);
	((struct slow_job *)job)->done = true;
}

/* A target that is planned while the journal writes the wave before it goes with the next one: the
 * site fails the test where an UPDATE leaves before its intent is in the file. */
static void t_planned_during_a_write(void **state)
{
	struct slow_job slow = { .job = { .run = run_slow, .done = slow_done } };
	struct pub_site s;
	struct pub_site_run run;
	struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };
	uint64_t until;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, HOSTS
			   "publish: { domains: [{ domain: d0.test, lab: true, hosts: [one] }, "
			   "{ domain: d1.test, lab: true, hosts: [two] }] }\n");
	assert_int_equal(uv_sem_init(&slow.go, 0), 0);
	assert_int_equal(store_submit(s.store, &slow.job), 0);
	s.servers[SITE_PRIMARY].late_zone = 1;
	p.targets = s.targets;
	p.journal = s.journal;
	pub_site_start(&s, &run, &p);
	uv_ref((uv_handle_t *)&s.wake);
	until = uv_now(&s.t.loop) + 2 * PUB_SITE_LATE_MS; /* by then both are planned */
	while (uv_now(&s.t.loop) < until)
		uv_run(&s.t.loop, UV_RUN_ONCE);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 0);
	uv_sem_post(&slow.go);
	test_net_run_until(&s.t, &run.done);
	uv_unref((uv_handle_t *)&s.wake);
	assert_true(slow.done);
	assert_int_equal(run.n, 2);
	assert_int_equal(run.results[0].state, PUB_PROVEN);
	assert_int_equal(run.results[1].state, PUB_PROVEN);
	assert_int_equal(s.servers[SITE_PRIMARY].updates, 2);
	uv_sem_destroy(&slow.go);
	pub_site_done(&s);
}

/* P05: adds of configured records still go out, deletes wait. */
static void t_P05_journal_cannot_be_written(void **state)
{
	struct store_job job = { .run = run_sql, .done = sql_done };
	struct pub_site s;
	struct pub_site_run run;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	assert_int_equal(store_submit(s.store, &job), 0);
	store_flush(s.store);
	s.check_journal = false;
	pub_site_configure(&s, ONE("d0.test", ", hosts: [two]"));
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K1 " | " K2);
	assert_string_equal(run.results[0].findings, "journal-failed");
	pub_site_done(&s);
}

static void t_without_journal_nothing_is_deleted(void **state)
{
	struct pub_site s;
	struct pub_site_run run;
	struct pub_journal *journal;

	(void)state;
	pub_site_init(&s);
	pub_site_configure(&s, D0);
	journal = s.journal;
	s.journal = NULL;
	pub_site_run(&s, &run, &pub_site_publish, NULL, NULL);
	pub_site_expect(&run, PUB_PROVEN);
	assert_string_equal(pub_site_show(&s, 0), K1);
	pub_site_run(&s, &run, &pub_site_withdraw, NULL, NULL);
	pub_site_expect(&run, PUB_UNCHANGED);
	assert_string_equal(pub_site_show(&s, 0), K1);
	s.journal = journal;
	pub_site_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_withdraw_lasts_until_publish),
		cmocka_unit_test(t_withdraw_one_host),
		cmocka_unit_test(t_stop_holds_nothing_back),
		cmocka_unit_test(t_orphans),
		cmocka_unit_test(t_P07_an_ignored_deletion_is_nobodys),
		cmocka_unit_test(t_P07_brought_back_within_each_proof),
		cmocka_unit_test(t_gate),
		cmocka_unit_test(t_U10_lost_race_is_planned_again),
		cmocka_unit_test(t_U19_lost_answer_of_a_conditional_update),
		cmocka_unit_test(t_race_is_bounded),
		cmocka_unit_test(t_crash_between_update_and_proof),
		cmocka_unit_test(t_planned_during_a_write),
		cmocka_unit_test(t_P05_journal_cannot_be_written),
		cmocka_unit_test(t_without_journal_nothing_is_deleted),
	};

	log_setup(LOG_ERROR, LOG_TEXT, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
