/* A relay at its edges: calls that begin or end while others do, and hosts with more than fits. */
#include "tests/lib/relay_world.h"

static struct want second;

static void on_answer_ask_again(struct relay_call *c, const struct relay_answer *a)
{
	on_answer(c, a);
	if (second.ended == 0 && second.c.owner == NULL)
		request_of(&second, "192.0.2.2:1", false, 6, 15); /* a stub that is none */
}

/* A call that starts inside the end of another one, and ends by itself, has its own turn. */
static void t_call_within_the_end_of_another(void **state)
{
	struct addr a = test_addr("192.0.2.1:4711");
	struct want x = { .stub = { 8 } };
	struct relay_call_params p = { .client = &a, .stub = x.stub, .stub_len = 15 };

	(void)state;
	memset(&second, 0, sizeof(second));
	setup(1);
	begin();
	x.c.owner = &x;
	relay_call_start(w.r, &x.c, &p, on_answer_ask_again);
	assert_int_equal(x.ended, 0);
	settle();
	assert_fault(&x, ERR_RPC_MALFORMED, RPC_S_NDR);
	assert_fault(&second, ERR_RPC_MALFORMED, RPC_S_NDR);
	end();
}

static void t_cancel_of_a_call_that_was_not_started(void **state)
{
	struct want x = { .ended = 0 };

	(void)state;
	setup(1);
	begin();
	cancel(&x);
	settle();
	assert_int_equal(x.ended, 0);
	end();
}

/* The host's answer comes when the relay is being freed: it is given to nobody. */
static void t_answer_at_the_end_of_the_relay(void **state)
{
	struct want x;

	(void)state;
	setup(1);
	begin();
	request(&x, "192.0.2.1:4711");
	relay_free(w.r, on_freed, NULL);
	answers(0, 0);
	assert_fault(&x, ERR_CANCELED, 0);
	assert_true(w.freed);
	test_net_done(&w.t);
}

/* A first answer is held, the second host is asked, and then nobody waits any more. */
static void t_cancel_with_a_held_answer(void **state)
{
	struct want x;

	(void)state;
	setup(2);
	begin();
	request(&x, "192.0.2.1:4711");
	answers(0, HR_INVALID_TIMESTAMP);
	assert_int_equal(x.ended, 0);
	cancel(&x);
	settle();
	assert_fault(&x, ERR_CANCELED, 0);
	assert_false(w.named_wrong_clock); /* nothing was shown by it */
	end();
}

static void t_addresses_that_are_too_many(void **state)
{
	struct addr many[KMS_POOL_ADDRS_MAX + 3];

	(void)state;
	setup(1);
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = w.addr[i];
	w.up[0].addrs = many;
	w.up[0].n_addrs = sizeof(many) / sizeof(many[0]);
	begin();
	assert_int_equal(w.pool[0]->n_addrs, KMS_POOL_ADDRS_MAX);
	end();
}

static void t_nobody_keeps_records(void **state)
{
	struct relay_params p;
	struct want x;

	(void)state;
	setup(1);
	p = (struct relay_params){ .net = &w.t.net,
				   .rules = w.rules,
				   .changed = on_changed,
				   .upstream_changed = on_upstream };
	assert_int_equal(relay_new(&p, &w.r), 0);
	assert_int_equal(relay_set_upstreams(w.r, w.up, w.n), 0);
	settle();
	bound(0, 0);
	request(&x, "192.0.2.1:4711");
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	assert_int_equal(w.n_records, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_call_within_the_end_of_another),
		cmocka_unit_test(t_cancel_of_a_call_that_was_not_started),
		cmocka_unit_test(t_answer_at_the_end_of_the_relay),
		cmocka_unit_test(t_cancel_with_a_held_answer),
		cmocka_unit_test(t_addresses_that_are_too_many),
		cmocka_unit_test(t_nobody_keeps_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
