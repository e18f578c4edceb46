#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdio.h>

#include "common/err.h"
#include "common/hresult.h"
#include "kmscore/relay.h"
#include "tests/lib/kms_peer.h"
#include "tests/lib/test_net.h"

/* The relay over real associations, to hosts that the test plays. */

#define HOSTS 3

static struct world {
	struct test_net t;
	struct kms_peer host[HOSTS];
	struct relay *r;
	struct relay_rules rules;
	struct relay_upstream up[HOSTS];
	struct relay_record record;
	char record_upstream[8];
	bool freed;
} w;

struct want {
	struct relay_call c;
	uint8_t stub[16];
	bool ended;
	unsigned n;
	int err;
	uint32_t fault;
	char tag; /* of the host whose answer it is */
	uint32_t hresult;
};

static void on_record(void *ctx, const struct relay_record *r)
{
	(void)ctx;
	w.record = *r;
	(void)snprintf(w.record_upstream, sizeof(w.record_upstream), "%s",
		       r->upstream != NULL ? r->upstream : "");
}

static void setup(void)
{
	static const char *const names[HOSTS] = { "a", "b", "c" };

	memset(&w, 0, sizeof(w));
	test_net_init(&w.t);
	for (size_t i = 0; i < HOSTS; i++) {
		kms_peer_start(&w.host[i], &w.t.loop, names[i][0], 9, (uint8_t)(100 + i));
		w.up[i] = (struct relay_upstream){ .name = names[i],
						   .addrs = &w.host[i].addr,
						   .n_addrs = 1,
						   .priority = (uint32_t)i };
	}
	w.rules = (struct relay_rules){ .pool = { .min = 1,
						  .max = 4,
						  .idle_ms = 60000,
						  .queue = 8,
						  .timeout_ms = 5000,
						  .connect_ms = 300 },
					.retry = 1,
					.interval_ms = 10000,
					.probe_ms = 300,
					.rise = 1,
					.fall = 2 };
}

static enum relay_state state_of(size_t i)
{
	struct relay_upstream_status s;

	relay_upstream_status(w.r, i, &s);
	return s.state;
}

/** Let the loop run until host @p i is this. */
static void wait_for(size_t i, enum relay_state state)
{
	while (state_of(i) != state)
		uv_run(&w.t.loop, UV_RUN_ONCE);
}

static void begin_with(size_t n)
{
	struct relay_params p = {
		.net = &w.t.net, .rules = w.rules, .node_id = { { 77 } }, .record = on_record
	};

	assert_int_equal(relay_new(&p, &w.r), 0);
	assert_int_equal(relay_set_upstreams(w.r, w.up, n), 0);
}

static void begin(void)
{
	begin_with(HOSTS);
	for (size_t i = 0; i < HOSTS; i++)
		wait_for(i, RELAY_UP);
}

static void on_freed(void *ctx)
{
	(void)ctx;
	w.freed = true;
}

static void end(void)
{
	relay_free(w.r, on_freed, NULL);
	test_net_run_until(&w.t, &w.freed);
	for (size_t i = 0; i < HOSTS; i++)
		kms_peer_stop(&w.host[i]);
	test_net_done(&w.t);
}

static void on_answer(struct relay_call *c, const struct relay_answer *a)
{
	struct want *x = c->owner;
	struct kms_response rs;

	x->ended = true;
	x->n++;
	x->err = a->err;
	x->fault = a->fault_status;
	if (a->err == 0) {
		assert_int_equal(kms_response_decode(a->stub, a->stub_len, a->be, &rs), 0);
		x->hresult = rs.hresult;
		x->tag = rs.body != NULL ? (char)rs.body[0] : '\0';
	}
	memset(c, 0xa5, sizeof(*c)); /* any later touch is seen */
}

static void start(struct want *x)
{
	struct addr client = test_addr("192.0.2.1:4711");
	struct relay_call_params p = { .client = &client,
				       .stub = x->stub,
				       .stub_len = sizeof(x->stub) };

	memset(x, 0, sizeof(*x));
	x->stub[0] = x->stub[4] = 8;
	x->stub[10] = 6;
	x->c.owner = x;
	relay_call_start(w.r, &x->c, &p, on_answer);
	assert_false(x->ended);
}

static void ask(struct want *x)
{
	start(x);
	test_net_run_until(&w.t, &x->ended);
	assert_int_equal(x->n, 1);
}

/* A host that fails the request it was sent: the next one answers, and the client sees no more. */
static void t_failover(void **state)
{
	static const struct {
		enum kms_peer_way way;
		uint32_t fault;
	} rows[] = {
		{ KMS_PEER_FAULTS, RPC_S_TOO_BUSY },
		{ KMS_PEER_FAULTS, RPC_S_PROTO_ERROR },
		{ KMS_PEER_DROPS, 0 },
		{ KMS_PEER_HALF, 0 },
		{ KMS_PEER_SILENT, 0 },
	};
	struct want x;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup();
		if (rows[i].way == KMS_PEER_SILENT)
			w.rules.pool.timeout_ms = 250;
		begin();
		ask(&x);
		assert_int_equal(x.tag, 'a');
		w.host[0].way = rows[i].way;
		w.host[0].fault = rows[i].fault;
		ask(&x);
		assert_int_equal(x.err, 0);
		assert_int_equal(x.tag, 'b');
		assert_int_equal(w.record.attempts, 2);
		assert_true(w.host[0].n_calls >= 2); /* it was asked */
		assert_int_equal(w.host[2].n_calls, 0);
		end();
	}
}

/* What a host is that takes no bind, in states and sentences that differ. R01 */
static void t_states(void **state)
{
	static const struct {
		enum kms_peer_way way;
		enum relay_state state;
		const char *says;
	} rows[] = {
		{ KMS_PEER_NAKS, RELAY_RPC_REFUSED, "the bind was refused" },
		{ KMS_PEER_MUTE, RELAY_TIMEOUT, "connected, but no answer" },
		{ KMS_PEER_CLOSES, RELAY_REFUSED, "closed the connection" },
	};
	struct relay_upstream_status s;
	struct want x;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup();
		w.host[0].way = rows[i].way;
		begin_with(HOSTS);
		wait_for(0, rows[i].state);
		wait_for(1, RELAY_UP);
		relay_upstream_status(w.r, 0, &s);
		if (strstr(s.detail, rows[i].says) == NULL)
			fail_msg("row %zu: %s", i, s.detail);
		ask(&x);
		assert_int_equal(x.tag, 'b');
		assert_int_equal(w.record.attempts, 1);
		end();
	}
}

/* Down at once, and clients come back to it when it listens again. */
static void t_host_dies_and_comes_back(void **state)
{
	struct want x;

	(void)state;
	setup();
	w.rules.interval_ms = 50;
	begin();
	kms_peer_down(&w.host[0]);
	ask(&x);
	assert_int_equal(x.err, 0);
	assert_int_equal(x.tag, 'b');
	wait_for(0, RELAY_REFUSED);
	ask(&x);
	assert_int_equal(x.tag, 'b');
	assert_int_equal(w.record.attempts, 1);
	kms_peer_again(&w.host[0]);
	wait_for(0, RELAY_UP);
	ask(&x);
	assert_int_equal(x.tag, 'a');
	end();
}

static void t_every_host_down(void **state)
{
	struct want x;

	(void)state;
	setup();
	begin();
	for (size_t i = 0; i < HOSTS; i++)
		kms_peer_down(&w.host[i]);
	ask(&x);
	assert_true(x.err != 0);
	assert_int_equal(x.fault, RPC_S_TOO_BUSY);
	end();
}

/* A host that stops to answer anything while requests are there. */
static void t_host_hangs(void **state)
{
	struct want x;

	(void)state;
	setup();
	w.rules.pool.timeout_ms = 500;
	begin();
	w.host[0].way = KMS_PEER_SILENT;
	start(&x); /* reaches it */
	while (w.host[0].n_calls == 0)
		uv_run(&w.t.loop, UV_RUN_ONCE);
	w.host[0].way = KMS_PEER_MUTE; /* and now it takes nothing new */
	test_net_run_until(&w.t, &x.ended);
	assert_int_equal(x.tag, 'b');
	wait_for(0, RELAY_TIMEOUT);
	end();
}

/* Binds, and answers no request in time. */
static void t_slow_host(void **state)
{
	struct relay_upstream_status s;
	struct want x;

	(void)state;
	setup();
	w.rules.pool.timeout_ms = 250;
	w.rules.interval_ms = 100;
	begin();
	w.host[0].way = KMS_PEER_SILENT;
	do {
		ask(&x);
		assert_int_equal(x.tag, 'b');
	} while (state_of(0) != RELAY_SLOW);
	relay_upstream_status(w.r, 0, &s);
	assert_non_null(strstr(s.detail, "within 250ms"));
	w.host[0].way = KMS_PEER_ANSWERS;
	do { /* a copy of a request finds out */
		ask(&x);
		assert_int_equal(x.err, 0);
	} while (state_of(0) != RELAY_UP);
	ask(&x);
	assert_int_equal(x.tag, 'a');
	end();
}

static void t_held_answers(void **state)
{
	struct want x;

	(void)state;
	setup();
	w.host[0].hresult = HR_HOST_MISMATCH;
	w.host[1].hresult = HR_HOST_MISMATCH;
	begin();
	ask(&x);
	assert_int_equal(x.tag, 'c');
	assert_int_equal(w.record.attempts, 3);
	ask(&x);
	assert_int_equal(x.tag, 'c');
	assert_int_equal(w.record.attempts, 1);
	w.host[2].hresult = HR_HOST_NOT_ACTIVATED;
	ask(&x);
	assert_int_equal(x.err, 0);
	assert_int_equal(x.hresult, HR_HOST_NOT_ACTIVATED); /* the first that came */
	assert_string_equal(w.record_upstream, "c");
	assert_int_equal(w.record.attempts, 3);
	end();
}

static void t_kin(void **state)
{
	struct relay_upstream_status s;

	(void)state;
	setup();
	w.host[0].self.node_id.b[0] = 77; /* it is this relay */
	w.host[1].self.role = KMS_KIN_ROLE_RELAY;
	w.host[2].self.role = KMS_KIN_ROLE_LAB;
	begin_with(HOSTS);
	wait_for(0, RELAY_LOOP);
	wait_for(1, RELAY_UP);
	wait_for(2, RELAY_UP);
	relay_upstream_status(w.r, 1, &s);
	assert_true(s.is_relay);
	relay_upstream_status(w.r, 2, &s);
	assert_false(s.is_relay);
	end();
}

static void t_reload_during_a_call(void **state)
{
	struct want x;

	(void)state;
	setup();
	begin();
	start(&x);
	assert_int_equal(relay_set_upstreams(w.r, &w.up[1], 2), 0);
	test_net_run_until(&w.t, &x.ended);
	assert_int_equal(x.tag, 'a'); /* where it was sent */
	ask(&x);
	assert_int_equal(x.tag, 'b');
	end();
}

static void t_drain(void **state)
{
	struct want x, y;

	(void)state;
	setup();
	begin();
	start(&x);
	w.up[0].draining = true;
	assert_int_equal(relay_set_upstreams(w.r, w.up, HOSTS), 0);
	ask(&y);
	assert_int_equal(y.tag, 'b');
	if (!x.ended)
		test_net_run_until(&w.t, &x.ended);
	assert_int_equal(x.tag, 'a');
	end();
}

/* An association that was dead before it was used moves nobody to another host. */
static void t_stale_association(void **state)
{
	struct relay_upstream_status s;
	struct want x;

	(void)state;
	setup();
	begin();
	ask(&x);
	assert_int_equal(x.tag, 'a');
	w.t.clock.mono_ms += 2 * KMS_POOL_STALE_MS;
	kms_peer_close_conns(&w.host[0]); /* and the relay has not seen it yet */
	ask(&x);
	assert_int_equal(x.tag, 'a');
	assert_int_equal(w.record.attempts, 1);
	relay_upstream_status(w.r, 0, &s);
	assert_int_equal(s.failed, 0);
	end();
}

static void t_many_at_once(void **state)
{
	struct want x[12]; /* 4 associations and a queue of 8 */
	struct want one_more;

	(void)state;
	setup();
	begin();
	for (size_t i = 0; i < 12; i++)
		start(&x[i]);
	start(&one_more); /* goes to the next host */
	for (size_t i = 0; i < 12; i++) {
		if (!x[i].ended)
			test_net_run_until(&w.t, &x[i].ended);
		assert_int_equal(x[i].tag, 'a');
	}
	if (!one_more.ended)
		test_net_run_until(&w.t, &one_more.ended);
	assert_int_equal(one_more.tag, 'b');
	assert_int_equal(state_of(0), RELAY_UP); /* a queue of ours tells nothing of the host */
	end();
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 12; steps++) {
		struct want x;

		setup();
		w.host[0].way = KMS_PEER_HALF;
		begin();
		start(&x);
		for (int i = 0; i < steps && !x.ended; i++)
			test_net_step(&w.t);
		if (!x.ended) {
			relay_call_cancel(&x.c);
			relay_call_cancel(&x.c);
			assert_false(x.ended);
			test_net_run_until(&w.t, &x.ended);
			assert_int_equal(x.err, ERR_CANCELED);
		}
		assert_int_equal(x.n, 1);
		end();
	}
}

static void t_free_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 12; steps++) {
		struct want x;

		setup();
		begin_with(HOSTS);
		start(&x);
		for (int i = 0; i < steps; i++)
			test_net_step(&w.t);
		end();
		assert_int_equal(x.n, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_failover),
		cmocka_unit_test(t_states),
		cmocka_unit_test(t_host_dies_and_comes_back),
		cmocka_unit_test(t_every_host_down),
		cmocka_unit_test(t_host_hangs),
		cmocka_unit_test(t_slow_host),
		cmocka_unit_test(t_held_answers),
		cmocka_unit_test(t_kin),
		cmocka_unit_test(t_reload_during_a_call),
		cmocka_unit_test(t_drain),
		cmocka_unit_test(t_stale_association),
		cmocka_unit_test(t_many_at_once),
		cmocka_unit_test(t_cancel_at_every_step),
		cmocka_unit_test(t_free_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
