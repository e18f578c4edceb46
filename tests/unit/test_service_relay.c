/* Mode relay of the service: clients, their calls, and their ends. */
#include "tests/lib/played_relay.h"

static void t_request_goes_to_the_relay(void **state)
{
	struct bytes rq = request(7);
	const struct fake_call *k;
	struct fixture f;

	(void)state;
	setup(&f);
	bind_raw(&f);
	raw_write(&f.raw, rq.b, rq.len);
	until_started(&f, 1);
	k = &fake->calls[0];
	assert_true(addr_is_loopback(&k->client));
	assert_int_not_equal(addr_port(&k->client), 0);
	assert_false(k->p.from_relay);
	assert_false(k->p.be);
	assert_int_equal(k->p.stub_len, 12);
	assert_memory_equal(k->p.stub, rq.b + 24, 12);
	raw_forget(&f.raw);
	fake_answer(0, "ABCDEFGH", true); /* the host's octet order goes along */
	raw_expect(&f.raw, 32);
	assert_memory_equal(f.raw.got.b, "\5\0\2\3\0\0\0\0\0\x20\0\0\0\0\0\7", 16);
	assert_memory_equal(f.raw.got.b + 24, "ABCDEFGH", 8);

	rq = request(8);
	raw_forget(&f.raw);
	raw_write(&f.raw, rq.b, rq.len);
	until_started(&f, 2);
	fake_answer(1, NULL, false);
	raw_expect(&f.raw, RPC_FAULT_LEN);
	assert_int_equal(f.raw.got.b[2], RPC_FAULT);
	assert_int_equal(wire_get_u32(f.raw.got.b + 24, false), RPC_S_TOO_BUSY);
	assert_int_equal(status(&f).connections, 1);
	raw_close(&f.raw);
	teardown(&f);
}

/* A stub that is none costs no host anything. */
static void t_bad_stub_is_a_fault_at_once(void **state)
{
	struct bytes rq = request(7);
	struct fixture f;

	(void)state;
	setup(&f);
	bind_raw(&f);
	wire_put_u32(rq.b + 24, 5, false);
	raw_send(&f.raw, rq.b, rq.len, RPC_FAULT_LEN);
	assert_int_equal(wire_get_u32(f.raw.got.b + 24, false), RPC_S_NDR);
	assert_int_equal(fake->started, 0);
	assert_int_equal(status(&f).failed, 1);
	raw_close(&f.raw);
	teardown(&f);
}

/* One at a time and in order, however many are sent ahead; no limit is hit by that. */
static void t_requests_sent_ahead(void **state)
{
	static uint8_t all[1500 * 36];
	struct fixture f;

	(void)state;
	setup(&f);
	bind_raw(&f);
	for (uint32_t i = 0; i < 1500; i++) {
		struct bytes rq = request(i);

		memcpy(all + i * rq.len, rq.b, rq.len);
	}
	raw_forget(&f.raw);
	raw_write(&f.raw, all, sizeof(all));
	for (unsigned i = 0; i < 1500; i++) {
		until_started(&f, i + 1);
		raw_forget(&f.raw);
		fake_answer(i, "abcd", false);
		raw_expect(&f.raw, 28);
		assert_int_equal(wire_get_u32(f.raw.got.b + 12, false), i);
	}
	assert_false(f.raw.done);
	raw_close(&f.raw);
	teardown(&f);
}

/* Half of the next request came with the first one. */
static void t_request_and_a_half(void **state)
{
	struct bytes one = request(1), two = request(2);
	struct fixture f;

	(void)state;
	setup(&f);
	bind_raw(&f);
	memcpy(one.b + one.len, two.b, 20);
	raw_write(&f.raw, one.b, one.len + 20);
	until_started(&f, 1);
	steps(&f, 3);
	raw_forget(&f.raw);
	fake_answer(0, "abcd", false);
	raw_expect(&f.raw, 28);
	raw_write(&f.raw, two.b + 20, two.len - 20);
	until_started(&f, 2);
	raw_forget(&f.raw);
	fake_answer(1, "abcd", false);
	raw_expect(&f.raw, 28);
	assert_int_equal(wire_get_u32(f.raw.got.b + 12, false), 2);
	raw_close(&f.raw);
	teardown(&f);
}

/* A client that says it sends no more gets what it asked for. */
static void t_R05_half_close_while_it_waits(void **state)
{
	struct bytes bind = vec(VEC_BIND3), rq[2] = { request(1), request(2) };
	uint8_t got[256];
	struct fixture f;
	ssize_t n;

	(void)state;
	for (unsigned ahead = 1; ahead <= 2; ahead++) {
		size_t have = 0, want = 108 + 28 * ahead;
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		setup(&f);
		assert_int_equal(connect(fd, &f.listen.u.sa, addr_len(&f.listen)), 0);
		assert_int_equal(write(fd, bind.b, bind.len), bind.len);
		for (unsigned i = 0; i < ahead; i++)
			assert_int_equal(write(fd, rq[i].b, rq[i].len), rq[i].len);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		for (unsigned i = 0; i < ahead; i++) {
			until_started(&f, i + 1);
			steps(&f, 3);
			fake_answer(i, "abcd", false);
		}
		while ((n = recv(fd, got + have, sizeof(got) - have, MSG_DONTWAIT)) != 0) {
			have += n > 0 ? (size_t)n : 0;
			test_net_step(&f.t);
		}
		assert_int_equal(have, want);
		close(fd);
		while (status(&f).connections > 0)
			(void)uv_run(&f.t.loop, UV_RUN_ONCE);
		teardown(&f);
	}
}

/* A client that is gone, at every moment: its call is canceled, its memory goes when both have
 * ended; and the service is freed at every moment, too. */
static void t_client_goes_while_its_call_is_out(void **state)
{
	struct bytes bind = vec(VEC_BIND3), rq = request(1);
	const struct linger at_once = { 1, 0 };

	(void)state;
	for (int n = 0; n < 8 * 4; n++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct fixture f;

		setup(&f);
		assert_int_equal(connect(fd, &f.listen.u.sa, addr_len(&f.listen)), 0);
		assert_int_equal(write(fd, bind.b, bind.len), bind.len);
		assert_int_equal(write(fd, rq.b, rq.len), rq.len);
		until_started(&f, 1);
		/* with a reset, which is seen; or at the end, which is none as long as it waits */
		if (n % 2 == 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
		steps(&f, n / 4);
		if (n / 2 % 2 == 0 && fake->calls[0].c != NULL)
			fake_answer(0, "abcd", false); /* the answer comes first */
		if (n / 2 % 2 == 1 && n % 2 == 0)
			while (fake->canceled == 0)
				(void)uv_run(&f.t.loop, UV_RUN_ONCE);
		teardown(&f);
	}
}

static void t_free_with_calls_out(void **state)
{
	(void)state;
	for (int n = 0; n < 6; n++) {
		struct bytes rq = request(1);
		struct raw_client other;
		struct fixture f;

		setup(&f);
		bind_raw(&f);
		raw_write(&f.raw, rq.b, rq.len);
		raw_connect(&other, &f.t, &f.listen);
		until_started(&f, 1);
		steps(&f, n);
		kms_service_free(f.s, on_freed, &f);
		f.s = NULL;
		test_net_run_until(&f.t, &f.freed);
		test_net_run_until(&f.t, &f.raw.done);
		test_net_run_until(&f.t, &other.done);
		teardown(&f);
	}
}

/* No host */

static void t_R07_binds_are_refused_without_a_host(void **state)
{
	const struct guid other = { { 1 } };
	struct bytes bind = vec(VEC_BIND3), kin = vec_kin_bind(&other);
	struct fixture f;

	(void)state;
	setup(&f);
	fake->available = false;
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_write(&f.raw, bind.b, bind.len);
	test_net_run_until(&f.t, &f.raw.done);
	assert_int_equal(f.raw.err, ERR_CLOSED);
	assert_int_equal(f.raw.got.b[2], RPC_BIND_NAK);
	assert_int_equal(wire_get_u16(f.raw.got.b + 16, false), RPC_NAK_CONGESTION);
	assert_int_equal(f.lines, 0); /* not one for each client */

	/* what is not there for clients may be there for relays, and the other way round */
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, kin.b, kin.len, 20);
	assert_int_equal(f.raw.got.b[2], RPC_BIND_ACK);
	raw_close(&f.raw);
	fake->available = true;
	fake->available_to_relays = false;
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_write(&f.raw, kin.b, kin.len);
	test_net_run_until(&f.t, &f.raw.done);
	assert_int_equal(f.raw.got.b[2], RPC_BIND_NAK);
	bind_raw(&f);
	raw_close(&f.raw);
	teardown(&f);
}

static void t_R08_binds_of_relays(void **state)
{
	const struct guid other = { { 1 } };
	struct bytes kin = vec_kin_bind(&other), rq = request(3), own;
	struct fixture f;

	(void)state;
	setup(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, kin.b, kin.len, 84);
	raw_write(&f.raw, rq.b, rq.len);
	until_started(&f, 1);
	assert_true(fake->calls[0].p.from_relay);
	fake_answer(0, "abcd", false);
	assert_int_equal(f.lines, 0);
	raw_close(&f.raw);

	own = vec_kin_bind(&f.p.node_id);
	fake->available_to_relays = false; /* not even then: it has to learn whom it reached */
	for (int i = 0; i < 2; i++) {
		raw_connect(&f.raw, &f.t, &f.listen);
		raw_send(&f.raw, own.b, own.len, 84);
		assert_int_equal(f.raw.got.b[2], RPC_BIND_ACK);
		assert_int_equal(f.lines, 1); /* once a minute */
		assert_non_null(strstr(f.line, "relay.loop client=127.0.0.1:"));
		raw_close(&f.raw);
	}
	teardown(&f);
}

/* Drain */

static void on_drained(void *ctx)
{
	((struct fixture *)ctx)->drained = true;
}

/* Who waits for a host gets its answer; who is quiet, bound or not, is closed meanwhile. */
static void t_drain_waits_for_the_answer(void **state)
{
	struct bytes bind = vec(VEC_BIND3), rq = request(1);
	uint64_t began = uv_hrtime();
	struct raw_client silent, bound;
	struct fixture f;

	(void)state;
	setup(&f);
	bind_raw(&f);
	raw_connect(&silent, &f.t, &f.listen);
	raw_connect(&bound, &f.t, &f.listen);
	raw_send(&bound, bind.b, bind.len, 108);
	raw_write(&f.raw, rq.b, rq.len);
	until_started(&f, 1);
	kms_service_drain(f.s, 60000, on_drained, &f);
	assert_false(status(&f).listening);
	test_net_run_until(&f.t, &silent.done);
	test_net_run_until(&f.t, &bound.done);
	assert_int_equal(silent.err, ERR_CLOSED);
	assert_int_equal(bound.err, ERR_CLOSED);
	assert_int_equal(status(&f).connections, 1);
	assert_false(f.drained);
	raw_forget(&f.raw);
	fake_answer(0, "abcd", false);
	raw_expect(&f.raw, 28);
	raw_send(&f.raw, rq.b, rq.len, 0); /* another one, before it is quiet: served, too */
	until_started(&f, 2);
	fake_answer(1, "abcd", false);
	raw_expect(&f.raw, 28);
	assert_false(f.drained);
	test_net_run_until(&f.t, &f.drained);
	assert_int_equal(status(&f).connections, 0);
	assert_true((uv_hrtime() - began) / 1000000 < 10000); /* not by the time for an answer */
	test_net_run_until(&f.t, &f.raw.done);
	teardown(&f);
}

static void t_drain_ends_with_a_call_out(void **state)
{
	struct bytes rq = request(1);
	struct fixture f;

	(void)state;
	setup(&f);
	bind_raw(&f);
	raw_write(&f.raw, rq.b, rq.len);
	until_started(&f, 1);
	kms_service_drain(f.s, 20, on_drained, &f);
	test_net_run_until(&f.t, &f.drained);
	assert_non_null(fake->calls[0].c);
	kms_service_free(f.s, on_freed, &f);
	f.s = NULL;
	test_net_run_until(&f.t, &f.freed);
	test_net_run_until(&f.t, &f.raw.done);
	teardown(&f);
}

/* Rules */

static void t_R04_allow_holds_before_a_byte_is_read(void **state)
{
	struct cidr nobody;
	struct fixture f;

	(void)state;
	setup_params(&f);
	assert_int_equal(cidr_parse("192.0.2.0/24", &nobody), 0);
	f.p.allow = &nobody;
	f.p.n_allow = 1;
	start(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	test_net_run_until(&f.t, &f.raw.done);
	assert_int_equal(f.raw.got.len, 0);
	assert_int_equal(status(&f).refused, 1);
	assert_int_equal(status(&f).connections, 0);
	assert_non_null(strstr(f.line, "service.allow"));
	teardown(&f);
}

static void t_reload(void **state)
{
	struct relay_upstream up = { .name = "winkms1" };
	struct relay_rules rules = { .retry = 3 };
	struct fixture f;

	(void)state;
	setup_params(&f);
	f.p.relay.retry = 1;
	f.p.upstreams = &up;
	f.p.n_upstreams = 1;
	start(&f);
	assert_ptr_equal(kms_service_relay(f.s), fake);
	assert_int_equal(fake->p.rules.retry, 1);
	assert_int_equal(fake->n_upstreams, 1);
	assert_true(guid_equal(&fake->p.node_id, &f.p.node_id));
	kms_service_set_relay(f.s, &rules);
	assert_int_equal(fake->p.rules.retry, 3);
	assert_int_equal(kms_service_set_upstreams(f.s, NULL, 0), 0);
	assert_int_equal(fake->n_upstreams, 0);
	kms_service_set_lab(f.s, &(struct lab_rules){ 0 }); /* not of this mode */
	fake->p.changed(fake->p.ctx);                       /* is told on */
	assert_int_equal(f.changes, 1);
	teardown(&f);
}

static void t_start_failures(void **state)
{
	struct kms_service *none = NULL;
	struct err_info info;
	struct addr taken;
	struct fixture f;

	(void)state;
	setup(&f);
	taken = f.listen;
	f.p.listen = &taken;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &none, &info), -EADDRINUSE);
	taken = test_addr("127.0.0.1:0");
	new_fails = ERR_NOMEM;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &none, &info), ERR_NOMEM);
	new_fails = 0;
	teardown(&f);
	setup_params(&f);
	list_fails = ERR_LIMIT;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &none, &info), ERR_LIMIT);
	list_fails = 0;
	assert_non_null(strstr(info.text, "64 upstreams"));
	assert_null(none);
	while (fake != NULL)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	teardown(&f);
}

/* 20,000 of them are to be held. */
static void t_connections_are_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct session) + sizeof(struct conn) <= 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_request_goes_to_the_relay),
		cmocka_unit_test(t_bad_stub_is_a_fault_at_once),
		cmocka_unit_test(t_requests_sent_ahead),
		cmocka_unit_test(t_request_and_a_half),
		cmocka_unit_test(t_R05_half_close_while_it_waits),
		cmocka_unit_test(t_client_goes_while_its_call_is_out),
		cmocka_unit_test(t_free_with_calls_out),
		cmocka_unit_test(t_R07_binds_are_refused_without_a_host),
		cmocka_unit_test(t_R08_binds_of_relays),
		cmocka_unit_test(t_drain_waits_for_the_answer),
		cmocka_unit_test(t_drain_ends_with_a_call_out),
		cmocka_unit_test(t_R04_allow_holds_before_a_byte_is_read),
		cmocka_unit_test(t_reload),
		cmocka_unit_test(t_start_failures),
		cmocka_unit_test(t_connections_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
