#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdlib.h>

#include "kmscore/probe.h"
#include "tests/lib/fake_rpc.h"
#include "tests/lib/test_net.h"

struct fixture {
	struct test_net t;
	struct fake_rpc peer;
	struct probe_op *op;
	struct probe_result r;
	unsigned calls;
	bool done;
};

static void on_done(struct probe_op *op, const struct probe_result *r)
{
	struct fixture *f = op->owner;

	f->r = *r;
	f->calls++;
	f->done = true;
	memset(op, 0xa5, sizeof(*op)); /* any later touch is seen */
	free(op);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	fake_rpc_start(&f->peer, &f->t.loop);
}

static void teardown(struct fixture *f)
{
	fake_rpc_stop(&f->peer);
	test_net_done(&f->t);
}

static void start(struct fixture *f, const struct prober *p, const struct addr *a,
		  uint32_t timeout_ms)
{
	f->op = calloc(1, sizeof(*f->op));
	assert_non_null(f->op);
	f->op->owner = f;
	f->done = false;
	p->start(p, f->op, &f->t.net, a, timeout_ms, on_done);
	assert_false(f->done); /* never inside start */
}

static void probe(struct fixture *f, const struct prober *p, uint32_t timeout_ms)
{
	start(f, p, &f->peer.addr, timeout_ms);
	test_net_run_until(&f->t, &f->done);
	assert_true(addr_equal(&f->r.addr, &f->peer.addr));
}

static void t_up(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	fake_rpc_add_ack(&f.peer, RPC_CTX_ACCEPT, 0, &rpc_syntax_ndr32);
	f.peer.step[0].drip = true;
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_UP);
	assert_non_null(strstr(f.r.detail, "NDR32"));
	assert_true(f.r.rtt_ms > 0);
	assert_int_equal(f.peer.n_pdus, 1);
	assert_int_equal(f.peer.last_pdu.len, 72); /* behaviour §8.3: a bind, and nothing else */
	assert_int_equal(f.peer.last_pdu.b[2], RPC_BIND);
	teardown(&f);
}

/* A genuine Windows server that takes NDR64 only is up. */
static void t_ndr64_host(void **state)
{
	struct rpc_bind b;
	struct rpc_hdr h;
	struct fixture f;

	(void)state;
	setup(&f);
	fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_TRANSFER, NULL);
	fake_rpc_add_ack(&f.peer, RPC_CTX_ACCEPT, 0, &rpc_syntax_ndr64);
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_UP);
	assert_non_null(strstr(f.r.detail, "NDR64"));
	assert_int_equal(f.peer.n_conns, 2);
	assert_int_equal(rpc_hdr_decode(f.peer.last_pdu.b, f.peer.last_pdu.len, &h), 0);
	assert_int_equal(rpc_bind_decode(f.peer.last_pdu.b, &h, &b), 0);
	assert_true(rpc_syntax_equal(&b.ctx[0].transfer[0], &rpc_syntax_ndr64));
	teardown(&f);
}

static void t_neither_syntax(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_TRANSFER, NULL);
	fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_TRANSFER, NULL);
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_RPC_REFUSED);
	assert_int_equal(f.peer.n_conns, 2);
	teardown(&f);
}

/* What else can answer on the port, behaviour §8.3. */
static void t_answers(void **state)
{
	static const struct {
		const char *reply;
		enum probe_state state;
		const char *says;
	} rows[] = {
		{ "05000d0310000000 1500 0000 01000000 0100 010500", PROBE_RPC_REFUSED,
		  "congestion" },
		{ "05000d0310000000 1500 0000 01000000 0400 010500", PROBE_RPC_REFUSED, "version" },
		{ "0500032310000000 2000 0000 01000000 00000000 0000 0000 0b00011c 00000000",
		  PROBE_RPC_REFUSED, "0x1C01000B" },
		{ "485454502f312e3120343030", PROBE_NOT_RPC, "not in DCE/RPC" },
		{ "0500020310000000 1800 0000 01000000 00000000 0000 0000", PROBE_NOT_RPC,
		  "malformed" },
		{ "05000c0310000000 ffff 0000 01000000", PROBE_NOT_RPC, "malformed" },
		{ "05000c0310000000 1000 0000 01000000", PROBE_NOT_RPC, "malformed" },
		{ "05000c0310000000 1000 0000 02000000", PROBE_NOT_RPC, "malformed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		setup(&f);
		fake_rpc_add_hex(&f.peer, rows[i].reply);
		probe(&f, kms_prober_rpc(), 5000);
		assert_int_equal(f.r.state, rows[i].state);
		assert_non_null(strstr(f.r.detail, rows[i].says));
		teardown(&f);
	}
}

static void t_no_kms_interface(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_ABSTRACT, NULL);
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_NO_KMS_INTERFACE);
	teardown(&f);
	setup(&f);
	fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_LIMIT, NULL);
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_RPC_REFUSED);
	assert_non_null(strstr(f.r.detail, "context"));
	teardown(&f);
	setup(&f); /* accepts what was not offered */
	fake_rpc_add_ack(&f.peer, RPC_CTX_ACCEPT, 0, &rpc_syntax_ndr64);
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_NOT_RPC);
	teardown(&f);
}

static void t_no_answer(void **state)
{
	struct fixture f;
	struct addr closed;

	(void)state;
	setup(&f); /* mute: connects and says nothing. R01 */
	probe(&f, kms_prober_rpc(), 30);
	assert_int_equal(f.r.state, PROBE_TIMEOUT);
	assert_non_null(strstr(f.r.detail, "connected"));
	assert_true(f.r.rtt_ms == 0);
	teardown(&f);
	setup(&f); /* half an answer, then silence */
	fake_rpc_add_hex(&f.peer, "05000c0310000000 3c00 0000");
	probe(&f, kms_prober_rpc(), 30);
	assert_int_equal(f.r.state, PROBE_TIMEOUT);
	teardown(&f);
	setup(&f);
	f.peer.close_on_accept = true;
	probe(&f, kms_prober_rpc(), 5000);
	assert_int_equal(f.r.state, PROBE_REFUSED);
	assert_non_null(strstr(f.r.detail, "closed"));
	teardown(&f);
	setup(&f);
	closed = test_net_closed_port();
	start(&f, kms_prober_rpc(), &closed, 5000);
	test_net_run_until(&f.t, &f.done);
	assert_int_equal(f.r.state, PROBE_REFUSED);
	assert_non_null(strstr(f.r.detail, "nothing listens"));
	teardown(&f);
}

static void t_tcp_kind(void **state)
{
	struct fixture f;
	struct addr closed;

	(void)state;
	setup(&f);
	probe(&f, kms_prober_tcp(), 5000);
	assert_int_equal(f.r.state, PROBE_UP);
	assert_true(f.r.rtt_ms > 0);
	assert_int_equal(f.peer.n_pdus, 0);
	closed = test_net_closed_port();
	start(&f, kms_prober_tcp(), &closed, 5000);
	test_net_run_until(&f.t, &f.done);
	assert_int_equal(f.r.state, PROBE_REFUSED);
	teardown(&f);
}

static void cancel_at_every_step(const struct prober *p)
{
	for (int steps = 0; steps < 8; steps++) {
		struct fixture f;
		struct probe_op *op;

		setup(&f);
		fake_rpc_add_ack(&f.peer, RPC_CTX_PROVIDER_REJECT, RPC_REASON_TRANSFER, NULL);
		start(&f, p, &f.peer.addr, 5000); /* then a second connection, left mute */
		op = f.op;
		for (int i = 0; i < steps && !f.done; i++)
			test_net_step(&f.t);
		if (!f.done) {
			p->cancel(op);
			p->cancel(op);
			assert_int_equal(f.calls, 0); /* never inside cancel */
			test_net_run_until(&f.t, &f.done);
			assert_int_equal(f.r.state, PROBE_TIMEOUT);
			assert_string_equal(f.r.detail, "canceled");
		}
		assert_int_equal(f.calls, 1);
		teardown(&f);
	}
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	cancel_at_every_step(kms_prober_rpc());
	cancel_at_every_step(kms_prober_tcp());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_up),
		cmocka_unit_test(t_ndr64_host),
		cmocka_unit_test(t_neither_syntax),
		cmocka_unit_test(t_answers),
		cmocka_unit_test(t_no_kms_interface),
		cmocka_unit_test(t_no_answer),
		cmocka_unit_test(t_tcp_kind),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
