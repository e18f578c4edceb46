#include "common/log.h"
#include "common/rng.h"
#include "tests/lib/relay_world.h"

/* The list of hosts, their health, and what the owner of the relay is told. */

static void t_start(void **state)
{
	bool known = true;

	(void)state;
	setup(2);
	begin_unknown();
	assert_int_equal(relay_n_upstreams(w.r), 2);
	assert_true(relay_available(w.r, false));
	assert_false(relay_is_up(w.r, &known));
	assert_false(known);
	assert_int_equal(w.n_probes, 2); /* at once */
	assert_true(w.pool[0]->warm);
	bound(0, -ECONNREFUSED);
	assert_false(relay_is_up(w.r, &known));
	assert_false(known); /* the other may be up */
	assert_false(w.pool[0]->warm);
	bound(1, 0);
	assert_true(relay_is_up(w.r, &known));
	assert_true(known);
	assert_int_equal(w.n_state, 2);
	assert_int_equal(w.state_of[0], 'b');
	assert_int_equal(w.state, RELAY_UP);
	end();
	setup(0); /* an empty list is news as well */
	begin();
	assert_false(relay_available(w.r, false));
	assert_false(relay_is_up(w.r, &known));
	assert_true(known);
	end();
}

static void probe_is(size_t i, int err, enum kms_kin kin)
{
	const struct kms_client_result r = { .err = err, .stage = KMS_CLIENT_BIND, .kin = kin };
	struct kms_client *c = w.probe[i];

	w.probe[i] = NULL;
	c->p.done(c, &r);
	settle();
}

static void wait_for_probes(size_t n)
{
	while (w.n_probes < n) {
		uv_run(&w.t.loop, UV_RUN_ONCE);
		settle();
	}
}

static void t_probes(void **state)
{
	(void)state;
	setup(1);
	w.rules.interval_ms = 20;
	begin_unknown();
	assert_int_equal(w.n_probes, 1);
	assert_true(addr_equal(&w.probe[0]->p.peer, &w.addr[0]));
	assert_int_equal(w.probe[0]->p.timeout_ms, 3000);
	assert_non_null(w.probe[0]->p.kin_id);
	assert_null(w.probe[0]->p.body);
	probe_is(0, 0, KMS_KIN_LAB);
	assert_int_equal(state_of(0), RELAY_UP);
	wait_for_probes(2);
	probe_is(1, ERR_RPC_NO_INTERFACE, KMS_KIN_NONE);
	assert_int_equal(state_of(0), RELAY_NO_INTERFACE);
	wait_for_probes(3);
	probe_is(2, 0, KMS_KIN_SELF);
	assert_int_equal(state_of(0), RELAY_LOOP);
	wait_for_probes(4); /* one under way when the relay ends */
	end();
}

/* A host with two addresses: the probe goes to the other one after a failure. */
static void t_probes_of_two_addresses(void **state)
{
	struct addr both[2];

	(void)state;
	setup(1);
	both[0] = w.addr[0];
	both[1] = w.addr[1];
	w.up[0].addrs = both;
	w.up[0].n_addrs = 2;
	w.rules.interval_ms = 20;
	begin_unknown();
	assert_true(addr_equal(&w.probe[0]->p.peer, &both[0]));
	probe_is(0, -ECONNREFUSED, KMS_KIN_NONE);
	assert_int_equal(state_of(0), RELAY_UNKNOWN);
	wait_for_probes(2);
	assert_true(addr_equal(&w.probe[1]->p.peer, &both[1]));
	probe_is(1, 0, KMS_KIN_NONE);
	assert_int_equal(state_of(0), RELAY_UP);
	end();
}

static void t_told_once(void **state)
{
	unsigned n;

	(void)state;
	setup(2);
	begin();
	n = w.n_changed;
	bound(0, -ECONNREFUSED);
	assert_int_equal(w.n_changed, n); /* the other one is there */
	assert_int_equal(w.state, RELAY_REFUSED);
	bound(1, -ECONNREFUSED);
	assert_int_equal(w.n_changed, n + 1);
	assert_false(relay_available(w.r, false));
	bound(1, -ECONNREFUSED);
	assert_int_equal(w.n_changed, n + 1);
	bound(0, 0); /* nobody else is up: once is enough */
	assert_int_equal(state_of(0), RELAY_UP);
	assert_int_equal(w.n_changed, n + 2);
	bound(1, 0);
	assert_int_equal(state_of(1), RELAY_REFUSED);
	bound(1, 0);
	assert_int_equal(state_of(1), RELAY_UP);
	assert_int_equal(w.n_changed, n + 2);
	end();
}

static void t_lab_hosts_do_not_make_it_up(void **state)
{
	bool known;

	(void)state;
	setup(2);
	w.up[1].lab = true;
	begin();
	assert_true(relay_is_up(w.r, &known));
	bound(0, -ECONNREFUSED);
	assert_false(relay_is_up(w.r, &known));
	assert_true(known);
	assert_true(relay_available(w.r, false)); /* for lab clients */
	end();
	setup(1);
	w.up[0].lab = true;
	begin();
	assert_true(relay_is_up(w.r, &known));
	end();
}

/* What is taken from a failing host does not hide why it failed. */
static void t_last_error_is_the_reason(void **state)
{
	struct relay_upstream_status s;
	struct want x[4];

	(void)state;
	setup(2);
	begin();
	for (size_t i = 0; i < 4; i++)
		request(&x[i], "192.0.2.1:4711");
	for (size_t i = 0; i < 3; i++)
		faults(0, RPC_S_TOO_BUSY);
	bound(0, 0); /* the probe: it still binds */
	assert_int_equal(state_of(0), RELAY_FAULTS);
	assert_int_equal(w.pool[0]->n_calls, 0);
	relay_upstream_status(w.r, 0, &s);
	assert_int_equal(s.failed, 4);
	assert_non_null(strstr(s.last_error, "0x1C010014"));
	for (size_t i = 0; i < 4; i++)
		answers(1, 0);
	end();
}

/* A host that went down is left by the calls that wait there, when there is another one. */
static void t_calls_leave_a_host(void **state)
{
	struct relay_upstream_status s;
	struct want x, y;

	(void)state;
	setup(3);
	begin();
	request(&x, "192.0.2.1:4711");
	request(&y, "192.0.2.2:4711");
	for (int i = 0; i < 3; i++)
		bound(0, ERR_TIMEOUT);
	assert_int_equal(state_of(0), RELAY_TIMEOUT);
	assert_int_equal(w.pool[0]->n_calls, 0);
	assert_int_equal(w.pool[1]->n_calls, 2);
	relay_upstream_status(w.r, 0, &s);
	assert_non_null(strstr(s.last_error, "went down"));
	answers(1, 0);
	assert_answer(&x, 'b', 0);
	bound(1, -ECONNREFUSED); /* y has spent its retry: it waits on */
	assert_int_equal(w.pool[1]->n_calls, 1);
	answers(1, 0);
	assert_answer(&y, 'b', 0);
	end();
}

static void t_no_place_to_go(void **state)
{
	struct want x;

	(void)state;
	setup(1);
	begin();
	request(&x, "192.0.2.1:4711");
	bound(0, -ECONNREFUSED);
	assert_int_equal(w.pool[0]->n_calls, 1);
	answers(0, 0); /* over the association that it has */
	assert_answer(&x, 'a', 0);
	end();
}

/* Faults whose request another host answers are the host's own, even of one client. */
static void t_faulting_host(void **state)
{
	struct relay_upstream_status s;
	struct want x;

	(void)state;
	setup(2);
	w.rules.interval_ms = 40;
	begin();
	for (int i = 0; i < 3; i++) {
		request(&x, "192.0.2.1:4711");
		faults(0, RPC_S_PROTO_ERROR);
		bound(0, 0); /* that it binds is known */
		answers(1, 0);
		assert_answer(&x, 'b', 0);
	}
	assert_int_equal(state_of(0), RELAY_FAULTS);
	relay_upstream_status(w.r, 0, &s);
	assert_non_null(strstr(s.detail, "0x1C01000B"));
	request(&x, "192.0.2.1:4711"); /* others go past it */
	assert_int_equal(w.pool[0]->n_calls, 0);
	answers(1, 0);
	/* after an interval it gets a copy of a request; nobody waits for that */
	while (w.pool[0]->n_calls == 0) {
		uv_run(&w.t.loop, UV_RUN_ONCE);
		request(&x, "192.0.2.1:4711");
		answers(1, 0);
		assert_answer(&x, 'b', 0);
	}
	request(&x, "192.0.2.1:4711");
	assert_int_equal(w.pool[0]->n_calls, 1);
	answers(1, 0);
	faults(0, RPC_S_PROTO_ERROR);
	assert_int_equal(state_of(0), RELAY_FAULTS);
	while (w.pool[0]->n_calls == 0) {
		uv_run(&w.t.loop, UV_RUN_ONCE);
		request(&x, "192.0.2.1:4711");
		answers(1, 0);
	}
	answers(0, 0);
	assert_int_equal(state_of(0), RELAY_UP);
	request(&x, "192.0.2.1:4711");
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	end();
}

/** A host that fails requests has got a copy of one. @return when the next one would be due. */
static uint64_t begin_trial(struct want *x)
{
	uint64_t due;

	for (int i = 0; i < 3; i++) {
		request(x, "192.0.2.1:4711");
		faults(0, RPC_S_PROTO_ERROR);
		bound(0, 0);
		answers(1, 0);
	}
	assert_int_equal(state_of(0), RELAY_FAULTS);
	due = uv_now(&w.t.loop) + 2 * w.rules.interval_ms;
	while (uv_now(&w.t.loop) < due)
		(void)uv_run(&w.t.loop, UV_RUN_ONCE);
	request(x, "192.0.2.1:4711");
	assert_int_equal(w.pool[0]->n_calls, 1);
	answers(1, 0);
	assert_answer(x, 'b', 0);
	return uv_now(&w.t.loop) + 2 * w.rules.interval_ms;
}

static void t_trial_that_is_not_answered(void **state)
{
	struct want x;
	uint64_t due;

	(void)state;
	setup(2);
	w.rules.interval_ms = 40;
	begin();
	due = begin_trial(&x);
	while (uv_now(&w.t.loop) < due)
		(void)uv_run(&w.t.loop, UV_RUN_ONCE);
	request(&x, "192.0.2.1:4711");
	assert_int_equal(w.pool[0]->n_calls, 1); /* one copy at a time */
	answers(1, 0);
	assert_answer(&x, 'b', 0);
	assert_int_equal(relay_set_upstreams(w.r, &w.up[1], 1),
			 0); /* the host goes, and its trial */
	settle();
	assert_int_equal(w.pools_alive, 1);
	end();
}

static void t_bad_requests_of_a_client(void **state)
{
	struct want x;

	(void)state;
	setup(3);
	w.rules.retry = 2;
	begin();
	for (int i = 0; i < 8; i++) { /* no host can answer it: no host is to blame */
		char client[32];

		(void)snprintf(client, sizeof(client), "192.0.2.%d:4711", i);
		request(&x, client);
		faults(0, RPC_S_NDR);
		faults(1, RPC_S_NDR);
		faults(2, RPC_S_NDR);
		assert_fault(&x, ERR_RPC_FAULT, RPC_S_NDR);
		for (size_t k = 0; k < 3; k++)
			bound(k, 0);
	}
	for (size_t k = 0; k < 3; k++)
		assert_int_equal(state_of(k), RELAY_UP);
	end();
	setup(1); /* nobody else to ask: one client is not enough */
	begin();
	for (int i = 0; i < 8; i++) {
		request(&x, "192.0.2.1:4711");
		faults(0, RPC_S_NDR);
		bound(0, 0);
	}
	assert_int_equal(state_of(0), RELAY_UP);
	for (int i = 0; i < 2; i++) {
		char client[32];

		(void)snprintf(client, sizeof(client), "192.0.2.%d:4711", 10 + i);
		request(&x, client);
		faults(0, RPC_S_NDR);
	}
	assert_int_equal(state_of(0), RELAY_FAULTS);
	end();
}

/* The only host fails requests: a client's own request is the trial. */
static void t_trial_without_another_host(void **state)
{
	struct want x;
	unsigned n;

	(void)state;
	setup(1);
	w.rules.interval_ms = 40;
	begin();
	for (int i = 0; i < 3; i++) {
		request(&x, "192.0.2.1:4711");
		faults(0, RPC_S_TOO_BUSY);
		bound(0, 0);
	}
	assert_int_equal(state_of(0), RELAY_FAULTS);
	assert_false(relay_available(w.r, false));
	n = w.n_changed;
	while (!relay_available(w.r, false))
		uv_run(&w.t.loop, UV_RUN_ONCE);
	request(&x, "192.0.2.1:4711");
	assert_int_equal(w.pool[0]->n_calls, 1);
	assert_false(relay_available(w.r, false)); /* one an interval */
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	assert_int_equal(state_of(0), RELAY_UP);
	assert_int_equal(w.n_changed, n + 1);
	end();
}

static void t_drain(void **state)
{
	struct want x, y;

	(void)state;
	setup(2);
	begin();
	request(&x, "192.0.2.1:4711");
	w.up[0].draining = true;
	assert_int_equal(relay_set_upstreams(w.r, w.up, 2), 0);
	request(&y, "192.0.2.1:4711");
	answers(1, 0);
	assert_answer(&y, 'b', 0);
	answers(0, 0); /* what is there may finish */
	assert_answer(&x, 'a', 0);
	assert_int_equal(state_of(0), RELAY_UP);
	bound(1, -ECONNREFUSED);
	assert_false(relay_available(w.r, false));
	w.up[0].draining = false;
	assert_int_equal(relay_set_upstreams(w.r, w.up, 2), 0);
	assert_true(relay_available(w.r, false));
	end();
}

static void t_reload(void **state)
{
	struct relay_upstream_status s;
	struct relay_upstream other[2];
	struct want x, y;

	(void)state;
	setup(2);
	begin();
	request(&x, "192.0.2.1:4711");
	answers(0, 0);
	request(&x, "192.0.2.1:4711");
	request(&y, "192.0.2.1:4711");
	other[0] = w.up[2]; /* c is new, b stays, a goes */
	other[1] = w.up[1];
	assert_int_equal(relay_set_upstreams(w.r, other, 2), 0);
	settle();
	assert_int_equal(relay_n_upstreams(w.r), 2);
	assert_int_equal(w.pools_alive, 3);
	relay_upstream_status(w.r, 1, &s);
	assert_string_equal(s.name, "b");
	assert_int_equal(s.state, RELAY_UP); /* what is known of it is kept */
	assert_int_equal(state_of(0), RELAY_UNKNOWN);
	answers(0, 0); /* a finishes what it has */
	assert_answer(&x, 'a', 0);
	assert_string_equal(w.record_upstream, "a");
	fails(0, ERR_CLOSED, KMS_POOL_SENT); /* or it goes to another one, as before */
	assert_int_equal(y.ended, 0);
	assert_int_equal(w.pools_alive, 2); /* nothing needs it any more */
	answers(1, 0);
	assert_answer(&y, 'b', 0);
	end();
}

/* A host that was tried is not tried again when its place in the list is another. */
static void t_reload_keeps_what_was_tried(void **state)
{
	struct relay_upstream turned[3];
	struct want x;

	(void)state;
	setup(3);
	w.rules.retry = 5;
	begin();
	request(&x, "192.0.2.1:4711");
	fails(0, ERR_CLOSED, KMS_POOL_SENT);
	for (size_t i = 0; i < 3; i++)
		turned[i] = w.up[2 - i];
	assert_int_equal(relay_set_upstreams(w.r, turned, 3), 0);
	fails(1, ERR_CLOSED, KMS_POOL_SENT);
	fails(2, ERR_CLOSED, KMS_POOL_SENT);
	assert_fault(&x, ERR_CLOSED, RPC_S_TOO_BUSY);
	assert_int_equal(w.record.attempts, 3);
	end();
}

static void t_list_limits(void **state)
{
	struct relay_upstream list[RELAY_UPSTREAMS_MAX + 1];
	char name[RELAY_NAME_MAX + 1];

	(void)state;
	setup(RELAY_UPSTREAMS_MAX);
	begin();
	assert_int_equal(relay_n_upstreams(w.r), RELAY_UPSTREAMS_MAX);
	memcpy(list, w.up, sizeof(list));
	assert_int_equal(relay_set_upstreams(w.r, list, RELAY_UPSTREAMS_MAX + 1), ERR_LIMIT);
	memset(name, 'x', sizeof(name));
	name[RELAY_NAME_MAX] = '\0';
	list[0].name = name;
	assert_int_equal(relay_set_upstreams(w.r, list, 1), ERR_LIMIT);
	assert_int_equal(relay_n_upstreams(w.r), RELAY_UPSTREAMS_MAX);
	list[0] = list[1]; /* twice: the first counts */
	assert_int_equal(relay_set_upstreams(w.r, list, 2), 0);
	assert_int_equal(relay_n_upstreams(w.r), 1);
	settle();
	assert_int_equal(w.pools_alive, 1);
	end();
}

static void t_no_memory_changes_nothing(void **state)
{
	struct relay_upstream_status s;
	struct want x;

	(void)state;
	setup(2);
	w.pools_max = 3;
	begin();
	assert_int_equal(relay_set_upstreams(w.r, &w.up[1], 3),
			 ERR_NOMEM); /* c is made, d is not */
	settle();
	assert_int_equal(w.pools_alive, 2);
	assert_int_equal(relay_n_upstreams(w.r), 2);
	relay_upstream_status(w.r, 0, &s);
	assert_string_equal(s.name, "a");
	request(&x, "192.0.2.1:4711");
	answers(0, 0);
	assert_answer(&x, 'a', 0);
	end();
}

static void t_addresses_change(void **state)
{
	struct want x;

	(void)state;
	setup(1);
	w.up[0].n_addrs = 0;
	begin_unknown();
	assert_int_equal(state_of(0), RELAY_UNRESOLVED);
	assert_int_equal(w.n_probes, 0);
	assert_false(w.pool[0]->warm);
	request(&x, "192.0.2.1:4711");
	assert_fault(&x, ERR_NO_SERVER, RPC_S_TOO_BUSY);
	w.up[0].n_addrs = 1;
	assert_int_equal(relay_set_upstreams(w.r, w.up, 1), 0);
	settle();
	assert_int_equal(state_of(0), RELAY_UNKNOWN);
	assert_int_equal(w.n_probes, 1);
	assert_true(w.pool[0]->warm);
	assert_int_equal(w.pool[0]->n_addrs, 1);
	bound(0, 0);
	w.up[0].addrs = &w.addr[1];
	assert_int_equal(relay_set_upstreams(w.r, w.up, 1), 0);
	assert_true(addr_equal(&w.pool[0]->addrs[0], &w.addr[1]));
	assert_int_equal(state_of(0), RELAY_UP);
	w.up[0].n_addrs = 0;
	assert_int_equal(relay_set_upstreams(w.r, w.up, 1), 0);
	assert_int_equal(state_of(0), RELAY_UNRESOLVED);
	end();
}

static void t_rules(void **state)
{
	(void)state;
	setup(2);
	begin();
	assert_int_equal(relay_call_ms(w.r), 15000);
	w.rules.retry = 3;
	w.rules.pool.timeout_ms = 1000;
	w.rules.pool.max = 77;
	relay_set_rules(w.r, &w.rules);
	assert_int_equal(relay_call_ms(w.r), 5000);
	assert_int_equal(w.pool[1]->p.rules.max, 77);
	w.rules.retry = UINT32_MAX;
	relay_set_rules(w.r, &w.rules);
	assert_int_equal(relay_call_ms(w.r), UINT32_MAX);
	end();
}

static void t_counters(void **state)
{
	struct relay_upstream_status s;
	struct want x;

	(void)state;
	setup(1);
	begin();
	for (uint32_t i = 0; i < RELAY_HRESULTS_MAX + 3; i++)
		for (uint32_t k = 0; k <= i % 2; k++) {
			request(&x, "192.0.2.1:4711");
			answers(0, 0xC0001000 + i);
		}
	relay_upstream_status(w.r, 0, &s);
	assert_int_equal(s.requests, 28);
	assert_int_equal(s.failed, 0);
	assert_int_equal(s.n_hresults, RELAY_HRESULTS_MAX);
	assert_int_equal(s.hresults[1].hresult, 0xC0001001);
	assert_int_equal(s.hresults[1].n, 2);
	assert_int_equal(s.other_hresults, 4);
	assert_true(s.p50_ms > 0 && s.p50_ms <= s.p99_ms);
	assert_int_equal(s.since_ms, FAKE_CLOCK_WALL_MS);
	end();
}

static void something_happens(struct rng *rng, struct want *x, size_t n_x)
{
	static const int errs[] = { ERR_CLOSED, ERR_TIMEOUT, -ECONNREFUSED, ERR_LIMIT };
	static const uint32_t hrs[] = { 0, 0, 0, HR_HOST_MISMATCH, HR_NOT_ENOUGH_COUNT };
	size_t host = rng_below(rng, (uint32_t)w.n_pools);
	struct want *y = &x[rng_below(rng, (uint32_t)n_x)];
	struct relay_upstream list[4];
	char client[32];

	switch (rng_below(rng, 9)) {
	case 0:
	case 1:
		if (y->ended == 0 && y->c.owner != NULL)
			return;
		(void)snprintf(client, sizeof(client), "192.0.2.%u:4711", rng_below(rng, 20));
		request_of(y, client, rng_below(rng, 5) == 0,
			   rng_below(rng, 5) == 0 ? LAB_VERSION_MAJOR : 6,
			   rng_below(rng, 20) == 0 ? 9 : 16);
		return;
	case 2:
		if (y->ended == 0 && y->c.owner != NULL)
			cancel(y);
		return;
	case 3:
		if (w.pool[host] != NULL && !w.pool[host]->freeing)
			bound_as(host, rng_below(rng, 3) == 0 ? errs[rng_below(rng, 3)] : 0,
				 rng_below(rng, 4) == 0 ? KMS_KIN_RELAY : KMS_KIN_NONE);
		return;
	case 4:
		if (rng_below(rng, 10) != 0 || w.n_pools > POOLS - 8)
			return;
		for (size_t i = 0; i < 4; i++) {
			list[i] = w.up[rng_below(rng, 6)];
			list[i].draining = rng_below(rng, 6) == 0;
			list[i].lab = rng_below(rng, 6) == 0;
		}
		assert_int_equal(relay_set_upstreams(w.r, list, 1 + rng_below(rng, 4)), 0);
		return;
	default:
		if (w.pool[host] == NULL || w.pool[host]->n_calls == 0)
			return;
		if (rng_below(rng, 3) == 0)
			fails(host, errs[rng_below(rng, 4)],
			      (enum kms_pool_stage)rng_below(rng, 3));
		else if (rng_below(rng, 4) == 0)
			faults(host, rng_below(rng, 2) ? RPC_S_TOO_BUSY : RPC_S_NDR);
		else
			answers(host, hrs[rng_below(rng, 5)]);
		return;
	}
}

/* Whatever happens in whatever order: each call ends once, and nothing is left. */
static void t_anything_in_any_order(void **state)
{
	struct want x[24];
	struct rng rng;

	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT, 2);
	for (uint64_t seed = 1; seed <= 40; seed++) {
		rng_init_seed(&rng, seed);
		memset(x, 0, sizeof(x));
		setup(4);
		w.rules.interval_ms = seed % 2 ? 1 : 10000;
		w.rules.retry = (uint32_t)seed % 3;
		begin();
		for (int step = 0; step < 300; step++)
			something_happens(&rng, x, 24);
		end();
		assert_true(w.n_records > 20);
		for (size_t i = 0; i < 24; i++)
			assert_true(x[i].ended == 1 || x[i].c.owner == NULL);
	}
	log_setup(LOG_WARNING, LOG_TEXT, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_start),
		cmocka_unit_test(t_probes),
		cmocka_unit_test(t_probes_of_two_addresses),
		cmocka_unit_test(t_told_once),
		cmocka_unit_test(t_lab_hosts_do_not_make_it_up),
		cmocka_unit_test(t_last_error_is_the_reason),
		cmocka_unit_test(t_calls_leave_a_host),
		cmocka_unit_test(t_no_place_to_go),
		cmocka_unit_test(t_faulting_host),
		cmocka_unit_test(t_trial_that_is_not_answered),
		cmocka_unit_test(t_bad_requests_of_a_client),
		cmocka_unit_test(t_trial_without_another_host),
		cmocka_unit_test(t_drain),
		cmocka_unit_test(t_reload),
		cmocka_unit_test(t_reload_keeps_what_was_tried),
		cmocka_unit_test(t_list_limits),
		cmocka_unit_test(t_no_memory_changes_nothing),
		cmocka_unit_test(t_addresses_change),
		cmocka_unit_test(t_rules),
		cmocka_unit_test(t_counters),
		cmocka_unit_test(t_anything_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
