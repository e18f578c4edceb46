/* Requests to a host that multiplexes go out together, when a turn of the loop ends. */
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

#define CALLS 20

static struct pool_fixture f;

/** With one association, bound by call 0. */
static void setup(bool multiplex)
{
	struct kms_pool_rules r = pool_rules();

	pool_setup(&f, &r);
	f.a.multiplex = multiplex;
	pool_assert_answered(pool_one(&f, 0));
	assert_int_equal(f.a.n_conns, 1);
	f.a.n_reads = 0;
}

static void t_requests_of_a_turn_are_one_write(void **state)
{
	(void)state;
	setup(true);
	for (size_t i = 1; i <= CALLS; i++)
		pool_start(&f, i);
	pool_run(&f, 1 + CALLS);
	for (size_t i = 0; i <= CALLS; i++)
		pool_assert_answered(&f.call[i]);
	assert_int_equal(f.a.n_conns, 1);
	assert_int_equal(f.a.n_reads, 1);
	/* and those of the next turn */
	for (size_t i = 1 + CALLS; i <= 2 * CALLS; i++)
		pool_start(&f, i);
	pool_run(&f, 1 + 2 * CALLS);
	assert_int_equal(f.a.n_reads, 2);
	pool_teardown(&f);
}

/* A host that takes one call at a time has nothing to gather: the request leaves at once. */
static void t_alone_it_leaves_at_once(void **state)
{
	(void)state;
	setup(false);
	pool_start(&f, 1);
	assert_false(uv_is_active((uv_handle_t *)&f.pool->prepare));
	pool_run(&f, 2);
	pool_assert_answered(&f.call[1]);
	assert_int_equal(f.a.n_reads, 1);
	pool_teardown(&f);
}

/* More than one write takes: what is there goes first. */
static void t_large_requests(void **state)
{
	static uint8_t stub[RPC_STUB_MAX];

	(void)state;
	setup(true);
	memset(stub, 0x5a, sizeof(stub));
	for (size_t i = 1; i <= 5; i++)
		pool_start_stub(&f, i, stub, sizeof(stub), false);
	pool_run(&f, 6);
	for (size_t i = 1; i <= 5; i++) {
		assert_int_equal(f.call[i].err, 0);
		assert_int_equal(f.call[i].stub_len, 64); /* as much as the host gives back */
		assert_memory_equal(f.call[i].stub, stub, 64);
	}
	assert_int_equal(f.a.request_len, sizeof(stub));
	assert_memory_equal(f.a.request, stub, sizeof(stub));
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

/* The association, or the whole pool, ends with requests unsent. */
static void t_end_with_unsent_requests(void **state)
{
	(void)state;
	setup(true);
	pool_start(&f, 1);
	pool_cancel(&f, 1);
	pool_run(&f, 2);
	assert_int_equal(f.call[1].err, ERR_CANCELED);
	pool_start(&f, 2);
	kms_pool_set_addrs(f.pool, NULL, 0); /* it may end what it has */
	pool_run(&f, 3);
	pool_assert_answered(&f.call[2]);
	kms_pool_set_addrs(f.pool, &f.a.addr, 1);
	pool_assert_answered(pool_one(&f, 3));
	pool_start(&f, 4);
	pool_teardown(&f);
	assert_int_equal(f.call[4].err, ERR_CANCELED);
}

/* Of two associations that hold some, the one that got the first goes first. */
static void t_two_end_with_unsent_requests(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.min = 2;
	pool_setup(&f, &r);
	f.a.multiplex = true;
	kms_pool_keep_warm(f.pool, true);
	while (f.n_bound < 2)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	for (size_t i = 0; i < RPC_CLIENT_CALLS_MAX + 1; i++)
		pool_start(&f, i);
	assert_non_null(f.pool->unsent);
	assert_ptr_equal(f.pool->unsent->unsent_next, f.pool->links);
	pool_teardown(&f);
	for (size_t i = 0; i < RPC_CLIENT_CALLS_MAX + 1; i++)
		assert_int_equal(f.call[i].err, ERR_CANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_requests_of_a_turn_are_one_write),
		cmocka_unit_test(t_alone_it_leaves_at_once),
		cmocka_unit_test(t_large_requests),
		cmocka_unit_test(t_end_with_unsent_requests),
		cmocka_unit_test(t_two_end_with_unsent_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
