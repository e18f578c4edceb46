/* Associations that were dead before they were used, and how calls end early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>

#include "common/err.h"
#include "tests/lib/pool_fixture.h"

static struct pool_fixture f;

/* Dead before the first octet of an answer that is not its first: repeated. */
static void t_stale_is_repeated(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	for (int i = 0; i < 4; i++) {
		pool_setup(&f, &r);
		pool_assert_answered(pool_one(&f, 0));
		if (i < 2)
			pool_age(&f);
		f.a.on_call = i % 2 == 1 ? FAKE_CALL_RESET : FAKE_CALL_CLOSE;
		f.a.call_once = 2; /* the third is answered */
		pool_assert_answered(pool_one(&f, 1));
		assert_int_equal(f.a.n_conns, 2);
		assert_int_equal(f.a.n_calls, 3);
		assert_int_equal(pool_status(&f).stale, 1);
		assert_int_equal(f.n_failed, 0);
		pool_teardown(&f);
	}
}

static void t_stale_once_only(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	pool_assert_answered(pool_one(&f, 0));
	pool_age(&f);
	f.a.on_call = FAKE_CALL_CLOSE;
	pool_one(&f, 1);
	assert_int_equal(f.call[1].err, ERR_CLOSED);
	assert_int_equal(f.call[1].stage, KMS_POOL_SENT);
	assert_int_equal(f.a.n_conns, 2);
	pool_teardown(&f);
}

/* It had its turn before those that wait. */
static void t_stale_comes_first(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 1;
	pool_setup(&f, &r);
	pool_assert_answered(pool_one(&f, 0));
	pool_age(&f);
	f.a.on_call = FAKE_CALL_CLOSE;
	f.a.call_once = 2;
	pool_start(&f, 1);
	pool_start(&f, 2);
	pool_run(&f, 3);
	pool_assert_answered(&f.call[1]);
	pool_assert_answered(&f.call[2]);
	assert_int_equal(f.call[1].order, 2);
	pool_teardown(&f);
}

/* Never answered before and not idle for long, or an octet came: the host's failure. */
static void t_not_stale(void **state)
{
	static const struct {
		bool before; /* it has answered */
		bool age;
		enum fake_host_call what;
		int err;
		enum kms_pool_stage stage;
	} rows[] = {
		{ false, false, FAKE_CALL_RESET, -ECONNRESET, KMS_POOL_SENT },
		{ false, false, FAKE_CALL_CLOSE, ERR_CLOSED, KMS_POOL_SENT },
		{ true, true, FAKE_CALL_HALF, ERR_CLOSED, KMS_POOL_PARTIAL },
		{ true, true, FAKE_CALL_FIRST, ERR_CLOSED, KMS_POOL_PARTIAL },
	};
	struct kms_pool_rules r = pool_rules();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pool_setup(&f, &r);
		if (rows[i].before)
			pool_assert_answered(pool_one(&f, 0));
		if (rows[i].age)
			pool_age(&f);
		f.a.on_call = rows[i].what;
		pool_one(&f, 1);
		assert_int_equal(f.call[1].err, rows[i].err);
		assert_int_equal(f.call[1].stage, rows[i].stage);
		assert_int_equal(pool_status(&f).stale, 0);
		assert_int_equal(f.a.n_conns, 1);
		pool_teardown(&f);
	}
}

/* The repeated call goes over a new association, though an old one is idle and none more may be. */
static void t_stale_is_repeated_on_a_fresh_one(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 2;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_start(&f, 1);
	pool_wait(&f, &f.a.n_held, 2);
	fake_host_answer(&f.a, 0);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 2);
	pool_age(&f);
	f.a.on_call = FAKE_CALL_CLOSE;
	f.a.call_once = 3;
	pool_assert_answered(pool_one(&f, 2));
	assert_int_equal(f.a.n_conns, 3);
	pool_teardown(&f);
}

/* Nor does it go over one that has just answered another call, which may be dead as well. */
static void t_stale_waits_for_a_fresh_one(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_start(&f, 1);
	pool_wait(&f, &f.a.n_held, 2);
	fake_host_answer(&f.a, 0);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 2);
	pool_start(&f, 2);
	pool_wait(&f, &f.a.n_held, 1);
	f.a.on_bind = FAKE_BIND_MUTE; /* the fresh one takes its time */
	f.a.on_call = FAKE_CALL_RESET;
	pool_start(&f, 3);
	pool_wait(&f, &f.a.n_conns, 3);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 3);
	pool_assert_answered(&f.call[2]);
	assert_int_equal(pool_status(&f).queued, 1);
	assert_int_equal(f.a.n_calls, 4);
	pool_cancel(&f, 3);
	pool_run(&f, 4);
	pool_teardown(&f);
}

/* Nor does it wait where the host takes no new ones, though others are open. */
static void t_stale_and_none_to_be_had(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_start(&f, 1);
	pool_wait(&f, &f.a.n_held, 2);
	fake_host_answer(&f.a, 0);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 2);
	pool_start(&f, 2);
	pool_wait(&f, &f.a.n_held, 1);
	f.a.on_bind = FAKE_BIND_NAK;
	f.a.on_call = FAKE_CALL_CLOSE;
	pool_one(&f, 3);
	assert_int_equal(f.call[3].err, ERR_RPC_NAK);
	assert_int_equal(f.call[3].stage, KMS_POOL_WAITING);
	assert_false(f.call[2].done);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 4);
	pool_assert_answered(&f.call[2]);
	pool_teardown(&f);
}

/* A stale call whose host is gone says what the new connection said. */
static void t_stale_and_gone(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	pool_assert_answered(pool_one(&f, 0));
	pool_age(&f);
	f.a.on_call = FAKE_CALL_CLOSE;
	fake_host_unlisten(&f.a);
	pool_one(&f, 1);
	assert_int_equal(f.call[1].err, -ECONNREFUSED);
	assert_int_equal(f.call[1].stage, KMS_POOL_WAITING);
	assert_int_equal(f.n_failed, 1);
	pool_teardown(&f);
}

/* A canceled call's answer is dropped, and the association is used again. */
static void t_cancel_keeps_the_association(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 1;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_held, 1);
	pool_cancel(&f, 0);
	pool_cancel(&f, 0);
	assert_false(f.call[0].done);
	pool_run(&f, 1);
	assert_int_equal(f.call[0].err, ERR_CANCELED);
	assert_int_equal(pool_status(&f).outstanding, 0);
	pool_start(&f, 1); /* it waits for the answer to the other */
	assert_int_equal(pool_status(&f).queued, 1);
	f.a.on_call = FAKE_CALL_ANSWER;
	fake_host_answer(&f.a, 0);
	pool_run(&f, 2);
	pool_assert_answered(&f.call[1]);
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

/* But not for ever. */
static void t_canceled_and_never_answered(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 1;
	r.timeout_ms = 400;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_held, 1);
	pool_cancel(&f, 0);
	pool_run(&f, 1);
	assert_int_equal(pool_status(&f).open, 1);
	pool_until_open(&f, 0);
	pool_teardown(&f);
}

static void t_cancel_in_the_queue(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 1;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 0; i < 4; i++)
		pool_start(&f, i);
	pool_cancel(&f, 1);
	pool_run(&f, 1);
	assert_int_equal(f.call[1].err, ERR_CANCELED);
	assert_int_equal(f.call[1].stage, KMS_POOL_WAITING);
	f.a.on_call = FAKE_CALL_ANSWER;
	if (f.a.n_held > 0)
		fake_host_answer(&f.a, 0);
	pool_run(&f, 4);
	pool_assert_answered(&f.call[3]);
	pool_teardown(&f);
}

static void t_cancel_at_every_step(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 2;
	for (int steps = 0; steps < 14; steps++) {
		pool_setup(&f, &r);
		f.a.on_call = FAKE_CALL_HOLD;
		for (size_t i = 0; i < 4; i++)
			pool_start(&f, i);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		for (size_t i = 0; i < 4; i++) {
			pool_cancel(&f, i);
			pool_cancel(&f, i);
		}
		assert_int_equal(f.n_done, 0);
		pool_run(&f, 4);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(f.call[i].err, ERR_CANCELED);
		pool_teardown(&f);
	}
}

/* Freed at every step: all calls end first, once, with CANCELED. */
static void t_free_at_every_step(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 2;
	r.min = 1;
	for (int steps = 0; steps < 14; steps++) {
		pool_setup(&f, &r);
		f.a.on_call = FAKE_CALL_HOLD;
		f.a.multiplex = (steps & 1) != 0;
		kms_pool_keep_warm(f.pool, true);
		for (size_t i = 0; i < 4; i++)
			pool_start(&f, i);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		pool_cancel(&f, 0);
		pool_teardown(&f);
		assert_int_equal(f.n_done, 4);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(f.call[i].err, ERR_CANCELED);
	}
}

/* What is started from the last done() of a pool that is going ends too. */
static void t_start_while_freeing(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	f.again = 3;
	pool_teardown(&f);
	assert_int_equal(f.n_done, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(f.call[i].err, ERR_CANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_stale_is_repeated),
		cmocka_unit_test(t_stale_once_only),
		cmocka_unit_test(t_stale_comes_first),
		cmocka_unit_test(t_not_stale),
		cmocka_unit_test(t_stale_is_repeated_on_a_fresh_one),
		cmocka_unit_test(t_stale_waits_for_a_fresh_one),
		cmocka_unit_test(t_stale_and_none_to_be_had),
		cmocka_unit_test(t_stale_and_gone),
		cmocka_unit_test(t_cancel_keeps_the_association),
		cmocka_unit_test(t_canceled_and_never_answered),
		cmocka_unit_test(t_cancel_in_the_queue),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_free_at_every_step),
		cmocka_unit_test(t_start_while_freeing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
