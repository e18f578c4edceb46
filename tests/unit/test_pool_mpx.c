/* A host that multiplexes: several calls on one association. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/pool_fixture.h"

static struct pool_fixture f;

static void set_timeout(uint32_t max, uint32_t timeout_ms)
{
	struct kms_pool_rules r = pool_rules();

	r.max = max;
	r.timeout_ms = timeout_ms;
	r.queue = 64;
	kms_pool_set_rules(f.pool, &r);
}

/** A pool that has an association already, so that it knows that the host multiplexes. */
static void setup(uint32_t max)
{
	struct kms_pool_rules r = pool_rules();

	pool_setup(&f, &r);
	f.a.multiplex = true;
	pool_assert_answered(pool_one(&f, 79));
	f.a.on_call = FAKE_CALL_HOLD;
	set_timeout(max, 20000);
}

static void t_many_calls_on_one_association(void **state)
{
	(void)state;
	setup(1);
	for (size_t i = 0; i < KMS_POOL_MPX_CALLS + 2; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, KMS_POOL_MPX_CALLS);
	assert_int_equal(f.a.n_conns, 1);
	assert_int_equal(f.a.max_at_once, KMS_POOL_MPX_CALLS);
	assert_int_equal(pool_status(&f).queued, 2);
	assert_int_equal(pool_status(&f).outstanding, KMS_POOL_MPX_CALLS);
	assert_int_equal(pool_status(&f).busy, 1);
	fake_host_answer(&f.a, 7); /* in another order than asked */
	pool_wait(&f, &f.a.n_held, KMS_POOL_MPX_CALLS);
	pool_assert_answered(&f.call[7]);
	while (f.a.n_held > 0)
		fake_host_answer(&f.a, f.a.n_held - 1);
	pool_wait(&f, &f.a.n_held, 1);
	fake_host_answer(&f.a, 0);
	pool_run(&f, KMS_POOL_MPX_CALLS + 3);
	for (size_t i = 0; i < KMS_POOL_MPX_CALLS + 2; i++)
		pool_assert_answered(&f.call[i]);
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

/* Without PFC_CONC_MPX in the bind_ack each call has an association for itself. */
static void t_not_without_the_flag(void **state)
{
	(void)state;
	setup(4);
	f.a.multiplex = false;
	fake_host_drop(&f.a, false);
	pool_until_open(&f, 0);
	for (size_t i = 0; i < 4; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, 4);
	assert_int_equal(f.a.max_at_once, 1);
	pool_teardown(&f);
}

static void t_mixed_fragments(void **state)
{
	(void)state;
	setup(1);
	for (size_t i = 0; i < 5; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, 5);
	fake_host_answer_mixed(&f.a);
	pool_run(&f, 6);
	for (size_t i = 0; i < 5; i++)
		pool_assert_answered(&f.call[i]);
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

/* A call that is too late leaves the association to the others, and its answer is dropped. */
static void t_late_call_leaves_the_others(void **state)
{
	(void)state;
	setup(1);
	set_timeout(1, 50);
	pool_start(&f, 0);
	set_timeout(1, 20000);
	pool_start(&f, 1);
	pool_start(&f, 2);
	pool_run(&f, 2);
	assert_int_equal(f.call[0].err, ERR_TIMEOUT);
	assert_int_equal(pool_status(&f).open, 1);
	pool_wait(&f, &f.a.n_held, 3);
	fake_host_answer(&f.a, 1);
	fake_host_answer(&f.a, 0); /* too late */
	fake_host_answer(&f.a, 0);
	pool_run(&f, 4);
	pool_assert_answered(&f.call[1]);
	pool_assert_answered(&f.call[2]);
	f.a.on_call = FAKE_CALL_ANSWER;
	pool_assert_answered(pool_one(&f, 3));
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

/* When none of its calls was answered in time it is closed as any other. */
static void t_mute_is_closed(void **state)
{
	(void)state;
	setup(1);
	set_timeout(1, 50);
	for (size_t i = 0; i < 3; i++)
		pool_start(&f, i);
	pool_run(&f, 4);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f.call[i].err, ERR_TIMEOUT);
	assert_int_equal(pool_status(&f).open, 0);
	set_timeout(1, 20000);
	f.a.on_call = FAKE_CALL_ANSWER;
	pool_assert_answered(pool_one(&f, 3));
	assert_int_equal(f.a.n_conns, 2);
	pool_teardown(&f);
}

/* The same when they were canceled. */
static void t_canceled_and_never_answered(void **state)
{
	(void)state;
	setup(1);
	set_timeout(1, 300);
	pool_start(&f, 0);
	pool_start(&f, 1);
	pool_cancel(&f, 0);
	pool_cancel(&f, 1);
	pool_run(&f, 3);
	assert_int_equal(f.call[0].err, ERR_CANCELED);
	assert_int_equal(pool_status(&f).open, 1);
	pool_until_open(&f, 0);
	pool_teardown(&f);
}

/* Answers that never come cannot eat it up: with some of them missing it gets no new calls. */
static void t_many_missing_answers(void **state)
{
	(void)state;
	setup(2);
	pool_start(&f, 8); /* keeps it alive beyond the others' time */
	set_timeout(2, 50);
	for (size_t i = 0; i < 8; i++)
		pool_start(&f, i);
	pool_run(&f, 9);
	assert_int_equal(f.a.n_conns, 1);
	set_timeout(2, 20000);
	pool_wait(&f, &f.a.n_held, 9);
	f.a.on_call = FAKE_CALL_ANSWER;
	pool_assert_answered(pool_one(&f, 9)); /* over another one */
	assert_int_equal(f.a.n_conns, 2);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 11);
	pool_assert_answered(&f.call[8]);
	pool_until_open(&f, 1); /* that was the last call wanted there: it is closed */
	pool_teardown(&f);
}

/* All calls of an association that was dead before its use are repeated. */
static void t_stale(void **state)
{
	(void)state;
	setup(1);
	pool_age(&f);
	f.a.on_call = FAKE_CALL_CLOSE;
	f.a.call_once = 2;
	for (size_t i = 0; i < 3; i++)
		pool_start(&f, i);
	pool_run(&f, 4);
	for (size_t i = 0; i < 3; i++)
		pool_assert_answered(&f.call[i]);
	assert_int_equal(pool_status(&f).stale, 3);
	assert_int_equal(f.a.n_conns, 2);
	pool_teardown(&f);
}

/* Also where the host takes them only one by one now, and no more associations may be. */
static void t_stale_and_no_multiplexing_any_more(void **state)
{
	(void)state;
	setup(1);
	pool_age(&f);
	f.a.on_call = FAKE_CALL_CLOSE;
	f.a.call_once = 2;
	f.a.multiplex = false;
	for (size_t i = 0; i < 5; i++)
		pool_start(&f, i);
	pool_run(&f, 6);
	for (size_t i = 0; i < 5; i++)
		pool_assert_answered(&f.call[i]);
	assert_int_equal(f.a.n_conns, 2);
	pool_teardown(&f);
}

/* Whose answer was begun is told apart. */
static void t_stages(void **state)
{
	(void)state;
	setup(1);
	f.a.call_once = 2; /* with the first: 0 is held */
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_held, 1);
	f.a.call_once = 0;
	f.a.on_call = FAKE_CALL_FIRST;
	pool_start(&f, 1);
	pool_run(&f, 3);
	assert_int_equal(f.call[0].err, ERR_CLOSED);
	assert_int_equal(f.call[0].stage, KMS_POOL_SENT);
	assert_int_equal(f.call[1].err, ERR_CLOSED);
	assert_int_equal(f.call[1].stage, KMS_POOL_PARTIAL);
	pool_teardown(&f);
}

static void t_fault_ends_its_call_only(void **state)
{
	(void)state;
	setup(1);
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_held, 1);
	f.a.on_call = FAKE_CALL_FAULT;
	pool_one(&f, 1);
	assert_int_equal(f.call[1].err, ERR_RPC_FAULT);
	assert_false(f.call[0].done);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 3);
	pool_assert_answered(&f.call[0]);
	pool_teardown(&f);
}

static void t_kin(void **state)
{
	static const struct {
		uint16_t role;
		uint8_t id;
		enum kms_kin kin;
	} rows[] = { { KMS_KIN_ROLE_LAB, 1, KMS_KIN_LAB },
		     { KMS_KIN_ROLE_RELAY, 1, KMS_KIN_RELAY },
		     { KMS_KIN_ROLE_RELAY, 0xaa, KMS_KIN_SELF },
		     { 0, 0, KMS_KIN_NONE } };
	struct kms_pool_rules r = pool_rules();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pool_setup(&f, &r);
		f.a.kin_role = rows[i].role;
		f.a.kin_id.b[0] = rows[i].id;
		pool_assert_answered(pool_one(&f, 0));
		assert_int_equal(f.last.kin, rows[i].kin);
		pool_teardown(&f);
	}
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 10; steps++) {
		setup(1);
		for (size_t i = 0; i < 6; i++)
			pool_start(&f, i);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		for (size_t i = 0; i < 6; i += 2)
			pool_cancel(&f, i);
		pool_run(&f, 4);
		pool_wait(&f, &f.a.n_held, 6);
		while (f.a.n_held > 0)
			fake_host_answer(&f.a, 0);
		pool_run(&f, 7);
		for (size_t i = 0; i < 6; i++)
			if (i % 2 == 0)
				assert_int_equal(f.call[i].err, ERR_CANCELED);
			else
				pool_assert_answered(&f.call[i]);
		pool_teardown(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_many_calls_on_one_association),
		cmocka_unit_test(t_not_without_the_flag),
		cmocka_unit_test(t_mixed_fragments),
		cmocka_unit_test(t_late_call_leaves_the_others),
		cmocka_unit_test(t_mute_is_closed),
		cmocka_unit_test(t_canceled_and_never_answered),
		cmocka_unit_test(t_many_missing_answers),
		cmocka_unit_test(t_stale),
		cmocka_unit_test(t_stale_and_no_multiplexing_any_more),
		cmocka_unit_test(t_stages),
		cmocka_unit_test(t_fault_ends_its_call_only),
		cmocka_unit_test(t_kin),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
