/* A pool at its edges: ends of calls and associations that meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/pool_priv.h"
#include "tests/lib/pool_fixture.h"

static struct pool_fixture f;

static void t_cancel_of_a_call_that_was_not_started(void **state)
{
	struct kms_pool_rules r = pool_rules();
	struct kms_pool_call c = { .pool = NULL };

	(void)state;
	pool_setup(&f, &r);
	kms_pool_call_cancel(&c);
	pool_assert_answered(pool_one(&f, 0));
	pool_teardown(&f);
}

/* Room is made with an association that does nothing. One with a call is not closed for it. */
static void t_room_is_not_made_of_calls(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.multiplex = true;
	pool_assert_answered(pool_one(&f, 0));
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 1);
	while (f.a.n_held < 1)
		test_net_step(&f.t);
	kms_pool_make_room(f.pool); /* it has room for more calls, and is in use */
	fake_host_answer(&f.a, 0);
	pool_run(&f, 2);
	pool_assert_answered(&f.call[1]);
	assert_int_equal(f.a.n_conns, 1);
	kms_pool_make_room(f.pool);
	pool_teardown(&f); /* while that one is being closed */
}

/* Requests wait on two associations for the turn's end, and the pool goes before it. */
static void t_end_with_requests_that_were_not_sent(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 2;
	r.queue = 64;
	pool_setup(&f, &r);
	f.a.multiplex = true;
	pool_assert_answered(pool_one(&f, 0));
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 1; i <= KMS_POOL_MPX_CALLS + 1; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, KMS_POOL_MPX_CALLS + 1);
	assert_int_equal(f.a.n_conns, 2);
	while (f.a.n_held > 0)
		fake_host_answer(&f.a, 0);
	pool_run(&f, KMS_POOL_MPX_CALLS + 2);
	for (size_t i = 0; i <= KMS_POOL_MPX_CALLS; i++)
		pool_start(&f, KMS_POOL_MPX_CALLS + 2 + i);
	pool_teardown(&f);
	assert_int_equal(f.n_done, 2 * KMS_POOL_MPX_CALLS + 3);
	assert_int_equal(f.call[2 * KMS_POOL_MPX_CALLS + 2].err, ERR_CANCELED);
	assert_int_equal(f.call[2 * KMS_POOL_MPX_CALLS + 2].stage, KMS_POOL_SENT);
}

static void on_gone(void *ctx)
{
	((struct pool_fixture *)ctx)->gone = true;
}

/* The pool ends, and its owner gives up a call at the same time. */
static void t_cancel_after_free(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	while (f.a.n_held < 1)
		test_net_step(&f.t);
	kms_pool_free(f.pool, on_gone, &f);
	pool_cancel(&f, 0);
	test_net_run_until(&f.t, &f.gone);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(f.call[0].err, ERR_CANCELED);
	f.pool = NULL;
	pool_teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_cancel_of_a_call_that_was_not_started),
		cmocka_unit_test(t_room_is_not_made_of_calls),
		cmocka_unit_test(t_end_with_requests_that_were_not_sent),
		cmocka_unit_test(t_cancel_after_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
