#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>

#include "common/err.h"
#include "kmscore/pool_priv.h"
#include "tests/lib/pool_fixture.h"

static struct pool_fixture f;

/** Is this the address in use? */
static bool uses(const struct addr *a)
{
	struct kms_pool_status s = pool_status(&f);

	return addr_equal(&s.addr, a);
}

/* One call after the other takes one association; bound() hears of it once. */
static void t_one_association_for_calls_in_turn(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	for (size_t i = 0; i < 5; i++)
		pool_assert_answered(pool_one(&f, i));
	assert_int_equal(f.a.n_conns, 1);
	assert_int_equal(f.n_bound, 1);
	assert_int_equal(f.last.kin, KMS_KIN_NONE);
	assert_int_equal(f.last.r.stage, KMS_CLIENT_DONE);
	assert_true(f.last.r.rtt_ms > 0);
	assert_true(addr_equal(&f.last_addr, &f.a.addr));
	assert_true(f.a.offered_mpx);
	assert_int_equal(f.a.n_items, 2);
	assert_int_equal(pool_status(&f).open, 1);
	assert_int_equal(pool_status(&f).busy, 0);
	assert_true(uses(&f.a.addr));
	pool_teardown(&f);
}

/* It grows to max, and the rest waits in order; the queue has an end. */
static void t_grows_to_max_and_queues_in_order(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 3;
	r.queue = 4;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 0; i < 8; i++)
		pool_start(&f, i);
	assert_int_equal(pool_status(&f).connecting, 3);
	assert_int_equal(pool_status(&f).queued, 7);
	pool_run(&f, 1);
	assert_int_equal(f.call[7].err, ERR_LIMIT);
	assert_int_equal(f.call[7].stage, KMS_POOL_WAITING);
	pool_wait(&f, &f.a.n_held, 3);
	assert_int_equal(pool_status(&f).open, 3);
	assert_int_equal(pool_status(&f).busy, 3);
	assert_int_equal(pool_status(&f).queued, 4);
	assert_int_equal(pool_status(&f).outstanding, 3);
	assert_int_equal(f.a.max_at_once, 1);
	for (unsigned i = 0; i < 7; i++) {
		pool_wait(&f, &f.a.n_held, 1);
		fake_host_answer(&f.a, 0);
		pool_run(&f, i + 2);
	}
	for (size_t i = 3; i < 7; i++) {
		pool_assert_answered(&f.call[i]);
		assert_int_equal(f.call[i].order, i + 2);
	}
	assert_int_equal(f.a.n_conns, 3);
	pool_teardown(&f);
}

/* Also the calls that done() starts come behind those that wait. */
static void t_who_waits_is_before_who_is_new(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 1;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_start(&f, 1);
	f.again = 1; /* the end of 0 starts 2 */
	pool_wait(&f, &f.a.n_held, 1);
	for (unsigned i = 0; i < 3; i++) {
		pool_wait(&f, &f.a.n_held, 1);
		fake_host_answer(&f.a, 0);
		pool_run(&f, i + 1);
	}
	assert_int_equal(f.call[1].order, 2);
	assert_int_equal(f.call[2].order, 3);
	pool_teardown(&f);
}

/* What failed at once and is started again in its done() cannot hold up the loop. */
static void t_one_end_a_turn(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	kms_pool_set_addrs(f.pool, NULL, 0);
	f.again = 5;
	pool_start(&f, 0);
	pool_run(&f, 1);
	assert_true(f.n_done < 4); /* one run of the loop may look at its timers twice */
	pool_run(&f, 6);
	assert_int_equal(f.call[5].err, ERR_DNS_NODATA);
	pool_teardown(&f);
}

/* connect_ms is for connecting: what is bound lives on. */
static void t_connect_time_ends_when_bound(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.connect_ms = 1000; /* a busy machine connects in less */
	pool_setup(&f, &r);
	pool_assert_answered(pool_one(&f, 0));
	for (uint64_t start = uv_now(&f.t.loop); uv_now(&f.t.loop) < start + r.connect_ms + 20;)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	pool_assert_answered(pool_one(&f, 1));
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

static void t_queue_has_a_deadline(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 1;
	r.timeout_ms = 40;
	pool_setup(&f, &r);
	f.a.on_bind = FAKE_BIND_MUTE;
	pool_start(&f, 0);
	pool_run(&f, 1);
	assert_int_equal(f.call[0].err, ERR_TIMEOUT);
	assert_int_equal(f.call[0].stage, KMS_POOL_WAITING);
	assert_int_equal(pool_status(&f).queued, 0);
	pool_teardown(&f);
}

/* An association that takes one call at a time is closed with the call that is too late; the next
 * one gets another. */
static void t_late_answer_closes(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.timeout_ms = 100;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_one(&f, 0);
	assert_int_equal(f.call[0].err, ERR_TIMEOUT);
	assert_int_equal(f.call[0].stage, KMS_POOL_SENT);
	assert_int_equal(pool_status(&f).open, 0);
	r.timeout_ms = 20000;
	kms_pool_set_rules(f.pool, &r);
	f.a.on_call = FAKE_CALL_ANSWER;
	pool_assert_answered(pool_one(&f, 1));
	assert_int_equal(f.a.n_conns, 2);
	pool_teardown(&f);
}

/* The same with a part of an answer, which is told apart. */
static void t_answer_that_stops(void **state)
{
	static const uint8_t part[] = { 5, 0, RPC_RESPONSE, 3, 0x10 };
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.timeout_ms = 200;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_held, 1);
	fake_host_say(&f.a, part, sizeof(part));
	pool_run(&f, 1);
	assert_int_equal(f.call[0].err, ERR_TIMEOUT);
	assert_int_equal(f.call[0].stage, KMS_POOL_PARTIAL);
	assert_int_equal(pool_status(&f).open, 0);
	pool_teardown(&f);
}

/* The one used last is used first, so the others grow old and are closed; `min` stay. */
static void t_shrinks_to_min(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.min = 1;
	pool_setup(&f, &r);
	kms_pool_keep_warm(f.pool, true);
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 0; i < 3; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, 3);
	f.a.on_call = FAKE_CALL_ANSWER;
	while (f.a.n_held > 0)
		fake_host_answer(&f.a, 0);
	pool_run(&f, 3);
	assert_int_equal(pool_status(&f).open, 3);
	r.idle_ms = 50;
	kms_pool_set_rules(f.pool, &r);
	pool_until_open(&f, 1);
	pool_assert_answered(pool_one(&f, 3));
	assert_int_equal(f.a.n_conns, 3);
	/* It stays open without anything that wakes the daemon for it; what is still armed is the
	 * time that the last call had. */
	for (unsigned i = 0; i < 20; i++) /* ticks of 10 ms */
		uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_true(!uv_is_active((uv_handle_t *)&f.pool->timer) ||
		    uv_timer_get_due_in(&f.pool->timer) > 1000);
	assert_int_equal(pool_status(&f).open, 1);
	kms_pool_keep_warm(f.pool, false); /* then not even the last one stays */
	pool_until_open(&f, 0);
	assert_int_equal(pool_status(&f).closed_idle, 0);
	pool_teardown(&f);
}

/* What the host may have no room for is closed: the oldest idle one, and none of those kept open.
 */
static void t_makes_room(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.min = 1;
	pool_setup(&f, &r);
	kms_pool_keep_warm(f.pool, true);
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 0; i < 3; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, 3);
	kms_pool_make_room(f.pool); /* all are at work */
	assert_int_equal(pool_status(&f).open, 3);
	f.a.on_call = FAKE_CALL_ANSWER;
	fake_host_answer(&f.a, 0);
	pool_run(&f, 1);
	kms_pool_make_room(f.pool);
	assert_int_equal(pool_status(&f).open, 2);
	assert_int_equal(pool_status(&f).busy, 2);
	while (f.a.n_held > 0)
		fake_host_answer(&f.a, 0);
	pool_run(&f, 3);
	kms_pool_make_room(f.pool);
	kms_pool_make_room(f.pool);
	pool_until_open(&f, 1);
	pool_assert_answered(pool_one(&f, 3));
	pool_teardown(&f);
}

static void t_used_last_is_used_first(void **state)
{
	struct kms_pool_rules r = pool_rules();
	struct fake_host_conn *c;

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 0; i < 3; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, 3);
	c = f.a.held[1].c;
	fake_host_answer(&f.a, 0);
	pool_run(&f, 1);
	fake_host_answer(&f.a, 1);
	pool_run(&f, 2);
	fake_host_answer(&f.a, 0); /* that of c */
	pool_run(&f, 3);
	for (size_t i = 3; i < 6; i++) {
		pool_start(&f, i);
		pool_wait(&f, &f.a.n_held, 1);
		assert_ptr_equal(f.a.held[0].c, c);
		fake_host_answer(&f.a, 0);
		pool_run(&f, (unsigned)i + 1);
	}
	pool_teardown(&f);
}

static void t_warmth(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.min = 2;
	pool_setup(&f, &r);
	assert_int_equal(pool_status(&f).connecting, 0);
	kms_pool_keep_warm(f.pool, true);
	pool_until_open(&f, 2);
	assert_int_equal(f.n_bound, 2);
	/* A host that closes what is idle costs nothing, and is asked again after a pause. */
	fake_host_drop(&f.a, false);
	pool_until_open(&f, 0);
	assert_int_equal(pool_status(&f).connecting, 0);
	assert_int_equal(pool_status(&f).closed_idle, 2);
	pool_until_open(&f, 2);
	assert_int_equal(f.n_failed, 0);
	pool_teardown(&f);
}

static void t_no_hammering_for_warmth(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.min = 1;
	pool_setup(&f, &r);
	f.a.on_bind = FAKE_BIND_NAK;
	kms_pool_keep_warm(f.pool, true);
	while (f.n_failed == 0)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(f.last.r.err, ERR_RPC_NAK);
	assert_int_equal(f.last.r.reason, RPC_NAK_CONGESTION);
	for (unsigned i = 0; i < 8; i++) /* ticks of 10 ms */
		uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

static void t_queue_fails_together(void **state)
{
	static const struct {
		enum fake_host_bind how;
		int err;
	} rows[] = { { FAKE_BIND_NAK, ERR_RPC_NAK },
		     { FAKE_BIND_REJECT, ERR_RPC_NO_INTERFACE },
		     { FAKE_BIND_CLOSE, ERR_CLOSED },
		     { FAKE_BIND_MUTE, ERR_TIMEOUT } };
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.max = 2;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r.connect_ms = rows[i].how == FAKE_BIND_MUTE ? 60 : 20000;
		pool_setup(&f, &r);
		f.a.on_bind = rows[i].how;
		for (size_t j = 0; j < 6; j++)
			pool_start(&f, j);
		pool_run(&f, 6);
		for (size_t j = 0; j < 6; j++) {
			assert_int_equal(f.call[j].err, rows[i].err);
			assert_int_equal(f.call[j].stage, KMS_POOL_WAITING);
		}
		assert_int_equal(f.a.n_conns, 2);
		assert_int_equal(f.n_failed, 2);
		assert_int_equal(f.last.r.err, rows[i].err);
		assert_int_equal(f.last.r.stage, KMS_CLIENT_BIND);
		/* A new call is a new round. */
		r.connect_ms = 20000;
		kms_pool_set_rules(f.pool, &r);
		f.a.on_bind = FAKE_BIND_ACK;
		pool_assert_answered(pool_one(&f, 6));
		pool_teardown(&f);
	}
}

/* A host that takes some connections and refuses more: calls wait for those there are. */
static void t_no_hammering_for_growth(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_held, 1);
	f.a.on_bind = FAKE_BIND_NAK;
	pool_start(&f, 1);
	pool_start(&f, 2);
	while (f.n_failed < 2)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	pool_start(&f, 3);
	for (unsigned i = 0; i < 8; i++)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(f.a.n_conns, 3);
	assert_int_equal(pool_status(&f).queued, 3);
	f.a.on_call = FAKE_CALL_ANSWER;
	fake_host_answer(&f.a, 0);
	pool_run(&f, 4);
	for (size_t i = 0; i < 4; i++)
		pool_assert_answered(&f.call[i]);
	pool_teardown(&f);
}

static void t_addresses_in_turn(void **state)
{
	struct kms_pool_rules r = pool_rules();
	struct addr list[2];

	(void)state;
	pool_setup(&f, &r);
	fake_host_start(&f.b, &f.t.loop);
	list[0] = f.a.addr;
	list[1] = f.b.addr;
	fake_host_unlisten(&f.a);
	kms_pool_set_addrs(f.pool, list, 2);
	pool_assert_answered(pool_one(&f, 0));
	assert_int_equal(f.b.n_conns, 1);
	assert_int_equal(f.n_failed, 1);
	assert_true(uses(&f.b.addr));
	/* The one in use is kept, wherever it stands. */
	kms_pool_set_addrs(f.pool, list, 2);
	assert_true(uses(&f.b.addr));
	list[0] = f.b.addr;
	list[1] = f.a.addr;
	kms_pool_set_addrs(f.pool, list, 2);
	assert_true(uses(&f.b.addr));
	pool_assert_answered(pool_one(&f, 1));
	assert_int_equal(f.b.n_conns, 1);
	/* Both gone: the call fails when each has. */
	fake_host_unlisten(&f.b);
	fake_host_drop(&f.b, false);
	pool_until_open(&f, 0);
	pool_one(&f, 2);
	assert_int_equal(f.call[2].err, -ECONNREFUSED);
	assert_int_equal(f.n_failed, 3);
	pool_teardown(&f);
}

static void t_set_addrs(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	fake_host_start(&f.b, &f.t.loop);
	f.a.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 0);
	pool_start(&f, 1);
	pool_wait(&f, &f.a.n_held, 2);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 1);
	kms_pool_set_addrs(f.pool, &f.b.addr, 1); /* one idle, one busy */
	assert_int_equal(pool_status(&f).open, 1);
	pool_assert_answered(pool_one(&f, 2));
	assert_int_equal(f.b.n_calls, 1);
	fake_host_answer(&f.a, 0); /* what runs finishes */
	pool_run(&f, 3);
	for (size_t i = 0; i < 3; i++)
		pool_assert_answered(&f.call[i]);
	pool_until_open(&f, 1);
	while (f.a.n_open > 0)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	/* No address at all. */
	f.b.on_call = FAKE_CALL_HOLD;
	pool_start(&f, 3);
	pool_wait(&f, &f.b.n_held, 1);
	kms_pool_set_addrs(f.pool, NULL, 0);
	pool_start(&f, 4);
	pool_run(&f, 4);
	assert_int_equal(f.call[4].err, ERR_DNS_NODATA);
	fake_host_answer(&f.b, 0);
	pool_run(&f, 5);
	pool_assert_answered(&f.call[3]);
	pool_teardown(&f);
}

/* A connection that is being made to an address that is none any more: its call goes elsewhere. */
static void t_set_addrs_while_connecting(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	fake_host_start(&f.b, &f.t.loop);
	f.a.on_bind = FAKE_BIND_MUTE;
	pool_start(&f, 0);
	pool_wait(&f, &f.a.n_binds, 1);
	kms_pool_set_addrs(f.pool, &f.b.addr, 1);
	pool_run(&f, 1);
	pool_assert_answered(&f.call[0]);
	assert_int_equal(f.n_failed, 0);
	f.b.on_bind = FAKE_BIND_MUTE;
	fake_host_drop(&f.b, false);
	pool_until_open(&f, 0);
	pool_start(&f, 1);
	kms_pool_set_addrs(f.pool, NULL, 0);
	pool_run(&f, 2);
	assert_int_equal(f.call[1].err, ERR_DNS_NODATA);
	pool_teardown(&f);
}

static void t_set_rules(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	f.a.on_call = FAKE_CALL_HOLD;
	for (size_t i = 0; i < 4; i++)
		pool_start(&f, i);
	pool_wait(&f, &f.a.n_held, 4);
	fake_host_answer(&f.a, 0);
	pool_run(&f, 1);
	r.max = 1; /* one is idle, three are busy */
	kms_pool_set_rules(f.pool, &r);
	assert_int_equal(pool_status(&f).open, 3);
	while (f.a.n_held > 0)
		fake_host_answer(&f.a, 0);
	pool_run(&f, 4);
	for (size_t i = 0; i < 4; i++)
		pool_assert_answered(&f.call[i]);
	assert_int_equal(pool_status(&f).open, 1);
	r.idle_ms = 20;
	kms_pool_set_rules(f.pool, &r);
	pool_until_open(&f, 0);
	r.min = r.max = 2; /* more at once */
	kms_pool_keep_warm(f.pool, true);
	kms_pool_set_rules(f.pool, &r);
	pool_until_open(&f, 2);
	pool_teardown(&f);
}

static void t_no_proper_answer(void **state)
{
	static const struct {
		enum fake_host_call what;
		int err;
		bool stays;
	} rows[] = { { FAKE_CALL_FAULT, ERR_RPC_FAULT, true },
		     { FAKE_CALL_UNASKED, ERR_RPC_MALFORMED, false },
		     { FAKE_CALL_CLOSE, ERR_CLOSED, false },
		     { FAKE_CALL_RESET, -ECONNRESET, false } };
	struct kms_pool_rules r = pool_rules();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pool_setup(&f, &r);
		f.a.on_call = rows[i].what;
		pool_one(&f, 0);
		assert_int_equal(f.call[0].err, rows[i].err);
		if (rows[i].err == ERR_RPC_FAULT)
			assert_int_equal(f.call[0].fault_status, RPC_S_TOO_BUSY);
		f.a.on_call = FAKE_CALL_ANSWER;
		pool_assert_answered(pool_one(&f, 1));
		assert_int_equal(f.a.n_conns, rows[i].stays ? 1 : 2);
		pool_teardown(&f);
	}
}

/* A host that speaks without being asked is not used again, and its octets are nobody's answer. */
static void t_unasked_when_idle(void **state)
{
	static const uint8_t junk[] = "HTTP/1.0 200 OK\r\n\r\n";
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	pool_assert_answered(pool_one(&f, 0));
	fake_host_say(&f.a, junk, sizeof(junk));
	pool_until_open(&f, 0);
	pool_assert_answered(pool_one(&f, 1));
	pool_teardown(&f);
}

/* Stubs travel as they are, in their octet order, in fragments that the host takes. */
static void t_stubs_are_opaque(void **state)
{
	static uint8_t stub[4000];
	struct kms_pool_rules r = pool_rules();

	(void)state;
	for (size_t i = 0; i < sizeof(stub); i++)
		stub[i] = (uint8_t)(i * 7);
	for (int be = 0; be < 2; be++) {
		pool_setup(&f, &r);
		f.a.max_recv = 1432;
		f.a.frag = RPC_FRAG_MIN; /* answers have 64 octets here, as fake_host keeps them */
		pool_start_stub(&f, 0, stub, sizeof(stub), be != 0);
		pool_run(&f, 1);
		assert_int_equal(f.call[0].err, 0);
		assert_int_equal(f.call[0].be, be);
		assert_int_equal(f.call[0].stub_len, 64);
		assert_memory_equal(f.call[0].stub, stub, 64);
		assert_int_equal(f.a.request_be, be);
		assert_int_equal(f.a.request_frags, 3);
		assert_int_equal(f.a.request_len, sizeof(stub));
		assert_memory_equal(f.a.request, stub, sizeof(stub));
		pool_teardown(&f);
	}
}

static void t_too_large_is_our_error(void **state)
{
	static const uint8_t stub[RPC_STUB_MAX + 1];
	struct kms_pool_rules r = pool_rules();

	(void)state;
	pool_setup(&f, &r);
	pool_start_stub(&f, 0, stub, sizeof(stub), false);
	pool_run(&f, 1);
	assert_int_equal(f.call[0].err, ERR_USAGE);
	assert_int_equal(f.a.n_calls, 0);
	pool_assert_answered(pool_one(&f, 1));
	assert_int_equal(f.a.n_conns, 1);
	pool_teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_one_association_for_calls_in_turn),
		cmocka_unit_test(t_grows_to_max_and_queues_in_order),
		cmocka_unit_test(t_who_waits_is_before_who_is_new),
		cmocka_unit_test(t_one_end_a_turn),
		cmocka_unit_test(t_connect_time_ends_when_bound),
		cmocka_unit_test(t_queue_has_a_deadline),
		cmocka_unit_test(t_late_answer_closes),
		cmocka_unit_test(t_answer_that_stops),
		cmocka_unit_test(t_shrinks_to_min),
		cmocka_unit_test(t_makes_room),
		cmocka_unit_test(t_used_last_is_used_first),
		cmocka_unit_test(t_warmth),
		cmocka_unit_test(t_no_hammering_for_warmth),
		cmocka_unit_test(t_queue_fails_together),
		cmocka_unit_test(t_no_hammering_for_growth),
		cmocka_unit_test(t_addresses_in_turn),
		cmocka_unit_test(t_set_addrs),
		cmocka_unit_test(t_set_addrs_while_connecting),
		cmocka_unit_test(t_set_rules),
		cmocka_unit_test(t_no_proper_answer),
		cmocka_unit_test(t_unasked_when_idle),
		cmocka_unit_test(t_stubs_are_opaque),
		cmocka_unit_test(t_too_large_is_our_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
