#include "tests/lib/relay_world.h"

/* The life of a call, over hosts that the test plays. */

static void t_answer(void **state)
{
	struct want x;

	(void)state;
	setup(2);
	begin();
	request(&x, "192.0.2.1:4711");
	assert_int_equal(x.ended, 0);
	assert_int_equal(w.pool[0]->n_calls, 1);
	assert_ptr_equal(w.pool[0]->call[0]->stub, x.stub); /* as it is, not a copy */
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	assert_int_equal(w.n_records, 1);
	assert_string_equal(w.record_upstream, "a");
	assert_int_equal(w.record.attempts, 1);
	assert_int_equal(w.record.err, 0);
	assert_int_equal(w.record.version.major, 6);
	assert_int_equal(w.record.bytes_in, 16);
	assert_int_equal(w.record.bytes_out, 20);
	assert_true(w.record.ms >= 0);
	end();
}

/* What costs a try on the next host. */
static void t_failover(void **state)
{
	static const struct {
		int err;
		enum kms_pool_stage stage;
		uint32_t fault;
		const char *says;
	} rows[] = {
		{ -ECONNREFUSED, KMS_POOL_WAITING, 0, "not sent: " },
		{ ERR_TIMEOUT, KMS_POOL_WAITING, 0, "no connection was free" },
		{ ERR_LIMIT, KMS_POOL_WAITING, 0, "queue is full" },
		{ ERR_NOMEM, KMS_POOL_WAITING, 0, "not sent: out of memory" },
		{ ERR_DNS_NODATA, KMS_POOL_WAITING, 0, "not sent: " },
		{ ERR_TIMEOUT, KMS_POOL_SENT, 0, "sent, no answer: no answer in time" },
		{ ERR_CLOSED, KMS_POOL_SENT, 0, "sent, no answer: the peer closed" },
		{ ERR_CLOSED, KMS_POOL_PARTIAL, 0, "half an answer: the peer closed" },
		{ -ECONNRESET, KMS_POOL_PARTIAL, 0, "half an answer: " },
		{ ERR_RPC_MALFORMED, KMS_POOL_PARTIAL, 0, "half an answer: malformed" },
		{ ERR_RPC_FAULT, KMS_POOL_SENT, RPC_S_TOO_BUSY, "fault 0x1C010014" },
		{ ERR_RPC_FAULT, KMS_POOL_SENT, RPC_S_PROTO_ERROR, "fault 0x1C01000B" },
		{ 0, KMS_POOL_SENT, 0, "no KMS response" }, /* an empty stub */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct kms_pool_outcome o = { .err = rows[i].err,
						    .stage = rows[i].stage,
						    .fault_status = rows[i].fault };
		struct relay_upstream_status s;
		struct want x;

		setup(2);
		begin();
		request(&x, "192.0.2.1:4711");
		outcome(0, &o);
		assert_int_equal(x.ended, 0);
		answers(1, 0);
		assert_answer(&x, 'b', 0);
		assert_int_equal(w.record.attempts, 2);
		assert_string_equal(w.record_upstream, "b");
		assert_int_equal(w.n_records, 1);
		assert_int_equal(state_of(0), RELAY_UP); /* once is not enough */
		relay_upstream_status(w.r, 0, &s);
		assert_int_equal(s.requests, 1);
		assert_int_equal(s.failed, 1);
		if (strstr(s.last_error, rows[i].says) == NULL)
			fail_msg("row %zu: %s", i, s.last_error);
		assert_int_equal(s.last_error_ms, FAKE_CLOCK_WALL_MS);
		relay_upstream_status(w.r, 1, &s);
		assert_int_equal(s.requests, 1);
		assert_int_equal(s.failed, 0);
		assert_string_equal(s.last_error, "");
		end();
	}
}

static void t_no_host_answers(void **state)
{
	struct want x;

	(void)state;
	setup(3);
	begin();
	request(&x, "192.0.2.1:4711");
	fails(0, ERR_TIMEOUT, KMS_POOL_SENT);
	fails(1, ERR_CLOSED, KMS_POOL_PARTIAL);
	assert_fault(&x, ERR_CLOSED, RPC_S_TOO_BUSY); /* retry 1: the third is not asked */
	assert_int_equal(w.pool[2]->n_started, 0);
	assert_int_equal(w.record.attempts, 2);
	assert_null(w.record.upstream);
	bound(0, 0); /* it does not hang: asked first again */
	/* the first fault that a host gave is passed on */
	request(&x, "192.0.2.1:4711");
	faults(0, RPC_S_PROTO_ERROR);
	faults(1, RPC_S_TOO_BUSY);
	assert_fault(&x, ERR_RPC_FAULT, RPC_S_PROTO_ERROR);
	assert_string_equal(w.record_upstream, "a");
	request(&x, "192.0.2.1:4711");
	fails(0, ERR_CLOSED, KMS_POOL_SENT);
	faults(1, 5);
	assert_fault(&x, ERR_RPC_FAULT, 5);
	assert_string_equal(w.record_upstream, "b");
	end();
}

static void t_retry(void **state)
{
	struct want x;

	(void)state;
	for (uint32_t retry = 0; retry < 5; retry++) {
		setup(4);
		w.rules.retry = retry;
		begin();
		request(&x, "192.0.2.1:4711");
		for (size_t i = 0; i <= retry && i < 4; i++) {
			assert_int_equal(x.ended, 0);
			fails(i, ERR_CLOSED, KMS_POOL_SENT);
		}
		assert_fault(&x, ERR_CLOSED, RPC_S_TOO_BUSY);
		assert_int_equal(w.record.attempts, retry < 4 ? retry + 1 : 4);
		end();
	}
}

static void t_all_down(void **state)
{
	struct want x;

	(void)state;
	setup(2);
	begin();
	bound(0, -ECONNREFUSED);
	bound(1, ERR_RPC_NAK);
	assert_false(relay_available(w.r, false));
	request(&x, "192.0.2.1:4711");
	assert_fault(&x, ERR_NO_SERVER, RPC_S_TOO_BUSY);
	assert_int_equal(w.record.attempts, 0);
	end();
	setup(0); /* none at all */
	begin();
	request(&x, "192.0.2.1:4711");
	assert_fault(&x, ERR_NO_SERVER, RPC_S_TOO_BUSY);
	end();
}

/* Two hosts lost at once are no failed request, with one retry. */
static void t_no_connection_costs_no_retry(void **state)
{
	struct want x;

	(void)state;
	setup(4);
	w.rules.retry = 1;
	begin();
	request(&x, "192.0.2.1:4711");
	fails(0, -ECONNREFUSED, KMS_POOL_WAITING);
	fails(1, ERR_RPC_NAK, KMS_POOL_WAITING);
	fails(2, ERR_CLOSED, KMS_POOL_SENT);
	assert_int_equal(x.ended, 0);
	answers(3, 0);
	assert_answer(&x, 'd', 0);
	assert_int_equal(w.record.attempts, 4);
	end();
	setup(2); /* each is asked once */
	begin();
	request(&x, "192.0.2.1:4711");
	fails(0, -ECONNREFUSED, KMS_POOL_WAITING);
	fails(1, -ECONNREFUSED, KMS_POOL_WAITING);
	assert_fault(&x, -ECONNREFUSED, RPC_S_TOO_BUSY);
	end();
	setup(3); /* full queues: one overload must not make the next */
	w.rules.retry = 1;
	begin();
	request(&x, "192.0.2.1:4711");
	fails(0, ERR_LIMIT, KMS_POOL_WAITING);
	fails(1, ERR_LIMIT, KMS_POOL_WAITING);
	assert_fault(&x, ERR_LIMIT, RPC_S_TOO_BUSY);
	end();
}

/* Windows and Office hosts behind one name. */
static void t_held_answer(void **state)
{
	static const uint32_t held[] = { HR_HOST_MISMATCH, HR_HOST_NOT_ACTIVATED,
					 HR_BINDING_SERVICE_NOT_ENABLED, HR_INVALID_TIMESTAMP };
	struct want x;

	(void)state;
	for (size_t i = 0; i < 4; i++) { /* the second has it, without a retry to spend */
		setup(3);
		w.rules.retry = 0;
		begin();
		request(&x, "192.0.2.1:4711");
		answers(0, held[i]);
		assert_int_equal(x.ended, 0);
		answers(1, 0);
		assert_answer(&x, 'b', 0);
		assert_int_equal(w.named_wrong_clock, held[i] == HR_INVALID_TIMESTAMP);
		assert_int_equal(w.pool[2]->n_started, 0);
		end();
	}
	setup(4); /* nobody has it: the first answer, and each was asked once */
	w.rules.retry = 0;
	begin();
	request(&x, "192.0.2.1:4711");
	answers(0, HR_HOST_MISMATCH);
	answers(1, HR_HOST_NOT_ACTIVATED);
	fails(2, ERR_TIMEOUT, KMS_POOL_SENT);
	assert_int_equal(x.ended, 0);
	answers(3, HR_INVALID_TIMESTAMP);
	assert_answer(&x, 'a', HR_HOST_MISMATCH);
	assert_int_equal(w.record.attempts, 4);
	assert_int_equal(w.record.hresult, HR_HOST_MISMATCH);
	assert_string_equal(w.record_upstream, "a");
	/* other results are answers, and final */
	request(&x, "192.0.2.9:4711");
	answers(0, HR_NOT_ENOUGH_COUNT);
	assert_answer(&x, 'a', HR_NOT_ENOUGH_COUNT);
	end();
	setup(1); /* no other host */
	begin();
	request(&x, "192.0.2.1:4711");
	answers(0, HR_HOST_MISMATCH);
	assert_answer(&x, 'a', HR_HOST_MISMATCH);
	end();
	setup(3); /* after a failure: the last host that may be asked holds the others open */
	begin();
	request(&x, "192.0.2.1:4711");
	fails(0, ERR_CLOSED, KMS_POOL_SENT);
	answers(1, HR_HOST_MISMATCH);
	answers(2, 0);
	assert_answer(&x, 'c', 0);
	end();
}

static void t_route_is_remembered(void **state)
{
	struct want x;

	(void)state;
	setup(3);
	begin();
	request(&x, "192.0.2.1:4711");
	answers(0, HR_HOST_MISMATCH);
	answers(1, HR_HOST_MISMATCH);
	answers(2, 0);
	assert_answer(&x, 'c', 0);
	request(&x, "192.0.2.1:5000"); /* the same client: at once */
	answers(2, 0);
	assert_answer(&x, 'c', 0);
	assert_int_equal(w.record.attempts, 1);
	request(&x, "192.0.2.2:4711"); /* another one */
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	request(&x, "192.0.2.1:5002"); /* and that host fails: not a second time */
	fails(2, ERR_CLOSED, KMS_POOL_SENT);
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	bound(2, -ECONNREFUSED); /* the host it is served by is down */
	request(&x, "192.0.2.1:5001");
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	end();
}

static void t_bad_stub(void **state)
{
	struct want x;

	(void)state;
	setup(1);
	begin();
	request_of(&x, "192.0.2.1:4711", false, 6, 9); /* bytes are missing */
	assert_int_equal(x.ended, 0);
	settle();
	assert_fault(&x, ERR_RPC_MALFORMED, RPC_S_NDR);
	assert_int_equal(w.pool[0]->n_started, 0);
	assert_int_equal(w.n_records, 1);
	end();
}

static void t_lab_messages(void **state)
{
	struct want x;

	(void)state;
	setup(2); /* no lab host: refused here, as a real client would be by a lab host */
	begin();
	request_of(&x, "192.0.2.1:4711", false, LAB_VERSION_MAJOR, 16);
	settle();
	assert_int_equal(x.ended, 1);
	assert_int_equal(x.err, 0);
	assert_int_equal(x.got_len, 12);
	assert_memory_equal(x.got, "\0\0\0\0\0\0\0\0\x42\xf0\x04\xc0", 12);
	assert_int_equal(w.record.hresult, HR_HOST_MISMATCH);
	assert_null(w.record.upstream);
	assert_int_equal(w.pool[0]->n_started + w.pool[1]->n_started, 0);
	end();
	setup(3);
	w.up[1].lab = true;
	begin();
	request_of(&x, "192.0.2.1:4711", false, LAB_VERSION_MAJOR, 16);
	settle();
	answers(1, 0);
	assert_answer(&x, 'b', 0);
	request(&x, "192.0.2.1:4711"); /* and no other message goes there */
	fails(0, ERR_CLOSED, KMS_POOL_SENT);
	answers(2, 0);
	assert_answer(&x, 'c', 0);
	request_of(&x, "192.0.2.1:4711", false, LAB_VERSION_MAJOR, 16);
	settle();
	fails(1, ERR_CLOSED, KMS_POOL_SENT);
	assert_fault(&x, ERR_CLOSED, RPC_S_TOO_BUSY);
	bound(1, -ECONNREFUSED); /* there is one, and it is down */
	request_of(&x, "192.0.2.1:4711", false, LAB_VERSION_MAJOR, 16);
	settle();
	assert_fault(&x, ERR_NO_SERVER, RPC_S_TOO_BUSY);
	end();
}

static void t_from_relay(void **state)
{
	struct want x;

	(void)state;
	setup(2);
	begin_unknown();
	assert_false(relay_available(w.r, true)); /* it may be a relay */
	assert_true(relay_available(w.r, false));
	bound_as(0, 0, KMS_KIN_RELAY);
	bound(1, -ECONNREFUSED);
	assert_false(relay_available(w.r, true));
	request_of(&x, "192.0.2.1:4711", true, 6, 16);
	settle();
	assert_fault(&x, ERR_NO_SERVER, RPC_S_TOO_BUSY);
	request(&x, "192.0.2.1:4711"); /* a client's own may go there */
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	bound(1, 0);
	bound(1, 0);
	request_of(&x, "192.0.2.1:4711", true, 6, 16);
	settle();
	answers(1, 0);
	assert_answer(&x, 'b', 0);
	end();
}

static void t_loop(void **state)
{
	struct want x;

	(void)state;
	setup(1);
	begin_unknown();
	bound_as(0, 0, KMS_KIN_SELF);
	assert_int_equal(state_of(0), RELAY_LOOP);
	request(&x, "192.0.2.1:4711");
	assert_fault(&x, ERR_NO_SERVER, RPC_S_TOO_BUSY);
	end();
}

/* Cancel at each point of a long story: at a host, at the next one, with an answer held, when the
 * end is due. */
static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 5; steps++) {
		struct want x;

		setup(3);
		begin();
		request_of(&x, "192.0.2.1:4711", false, 6, 16);
		if (steps > 0)
			settle();
		if (steps > 1)
			fails(0, ERR_CLOSED, KMS_POOL_SENT);
		if (steps > 2)
			answers(1, HR_HOST_MISMATCH);
		if (steps > 3) {
			faults(2, RPC_S_PROTO_ERROR);
			assert_answer(&x, 'b', HR_HOST_MISMATCH);
			end();
			continue;
		}
		cancel(&x);
		assert_int_equal(x.ended, 0);
		settle();
		assert_fault(&x, ERR_CANCELED, 0);
		assert_int_equal(w.record.err, ERR_CANCELED);
		end();
	}
	for (int how = 0; how < 2; how++) { /* ends that are due */
		struct want x;

		setup(0);
		begin();
		request_of(&x, "192.0.2.1:4711", false, 6, how == 0 ? 9 : 16);
		cancel(&x);
		assert_int_equal(x.ended, 0);
		settle();
		assert_fault(&x, ERR_CANCELED, 0);
		end();
	}
}

static void t_free_with_calls(void **state)
{
	struct want x, y, z;

	(void)state;
	setup(2);
	begin();
	request(&x, "192.0.2.1:4711");
	request(&y, "192.0.2.1:4712");
	fails(0, ERR_CLOSED, KMS_POOL_SENT);
	request_of(&z, "192.0.2.1:4713", false, 6, 9);
	end();
	assert_fault(&x, ERR_CANCELED, 0);
	assert_fault(&y, ERR_CANCELED, 0);
	assert_int_equal(z.ended, 1);
}

static void t_total_deadline(void **state)
{
	struct want x, y;

	(void)state;
	setup(2);
	w.rules.pool.timeout_ms = 10;
	begin();
	assert_int_equal(relay_call_ms(w.r), 30);
	request(&x, "192.0.2.1:4711");
	request(&y, "192.0.2.1:4712");
	answers(0, HR_HOST_MISMATCH); /* x holds it, and waits for the next host */
	while (x.ended == 0 || y.ended == 0) {
		uv_run(&w.t.loop, UV_RUN_ONCE);
		settle();
	}
	assert_answer(&x, 'a', HR_HOST_MISMATCH);
	assert_fault(&y, ERR_TIMEOUT, RPC_S_TOO_BUSY);
	end();
}

static void t_spreads_over_equal_hosts(void **state)
{
	size_t n = 0;

	(void)state;
	setup(RELAY_UPSTREAMS_MAX);
	for (size_t i = 0; i < w.n; i++)
		w.up[i].priority = 0;
	begin();
	for (unsigned i = 0; i < 256; i++) {
		char client[32];
		struct want x;
		size_t host = 0;

		(void)snprintf(client, sizeof(client), "192.0.2.%u:4711", i);
		request(&x, client);
		while (w.pool[host]->n_calls == 0)
			host++;
		answers(host, 0);
		assert_int_equal(x.ended, 1);
	}
	for (size_t i = 0; i < w.n; i++)
		n += w.pool[i]->n_started > 0;
	assert_true(n > 48);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_answer),
		cmocka_unit_test(t_failover),
		cmocka_unit_test(t_no_host_answers),
		cmocka_unit_test(t_retry),
		cmocka_unit_test(t_all_down),
		cmocka_unit_test(t_no_connection_costs_no_retry),
		cmocka_unit_test(t_held_answer),
		cmocka_unit_test(t_route_is_remembered),
		cmocka_unit_test(t_bad_stub),
		cmocka_unit_test(t_lab_messages),
		cmocka_unit_test(t_from_relay),
		cmocka_unit_test(t_loop),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_free_with_calls),
		cmocka_unit_test(t_total_deadline),
		cmocka_unit_test(t_spreads_over_equal_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
