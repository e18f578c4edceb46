#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/hresult.h"
#include "common/log.h"
#include "kmscore/kms_client.h"
#include "kmscore/probe.h"
#include "kmscore/service.h"
#include "kmscore/wire.h"
#include "tests/lib/kms_vectors.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/raw_client.h"

struct fixture {
	struct test_net t;
	struct lab_files files;
	struct kms_service_params p;
	struct addr listen;
	struct kms_service *s;
	unsigned lines, events;
	char line[1024];
	bool freed, drained;
	struct raw_client raw;
	/* a client operation */
	struct kms_client_result r;
	struct bytes body;
	bool done;
};

static void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	f->lines++;
	(void)snprintf(f->line, sizeof(f->line), "%s", line);
}

static void on_event(void *ctx, const struct kms_event *e)
{
	(void)e;
	((struct fixture *)ctx)->events++;
}

static void setup_files(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	lab_files_make(&f->files);
	f->listen = test_addr("127.0.0.1:0");
	f->p.mode = KMS_MODE_LAB;
	f->p.listen = &f->listen;
	f->p.n_listen = 1;
	f->p.lab_key_file = f->files.key_file;
	f->p.limits.idle_ms = 5000;
	f->p.on_event = on_event;
	f->p.ctx = f;
	log_set_tap(on_line, f);
}

static void setup(struct fixture *f)
{
	struct err_info info;

	setup_files(f);
	assert_int_equal(kms_service_new(&f->t.net, &f->p, &f->s, &info), 0);
	f->listen = *kms_service_addr(f->s, 0);
	assert_true(addr_port(&f->listen) != 0);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void teardown(struct fixture *f)
{
	if (f->s != NULL) {
		kms_service_free(f->s, on_freed, f);
		assert_false(f->freed);
		test_net_run_until(&f->t, &f->freed);
	}
	log_set_tap(NULL, NULL);
	lab_files_remove(&f->files);
	test_net_done(&f->t);
}

static struct kms_service_status status(struct fixture *f)
{
	struct kms_service_status st;

	kms_service_status(f->s, &st);
	return st;
}

/* A client operation */

static void on_client_done(struct kms_client *c, const struct kms_client_result *r)
{
	struct fixture *f = c->owner;

	f->r = *r;
	f->body.len = r->body_len;
	if (r->body != NULL)
		memcpy(f->body.b, r->body, r->body_len);
	f->done = true;
	free(c);
}

static void exchange(struct fixture *f, const uint8_t *body, size_t len)
{
	struct kms_client_params p = { .peer = f->listen,
				       .timeout_ms = 5000,
				       .body = body,
				       .body_len = len,
				       .done = on_client_done };
	struct kms_client *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->owner = f;
	f->done = false;
	kms_client_start(c, &f->t.net, &p);
	test_net_run_until(&f->t, &f->done);
}

static void t_lab_client_is_answered(void **state)
{
	uint8_t body[LAB_REQUEST_LEN], nonce[LAB_NONCE_LEN] = { 1 };
	struct lab_request rq = { .n_policy = 25, .licence = KMS_OOB_GRACE, .machine = "pc1" };
	struct lab_response rs;
	struct fixture f;

	(void)state;
	setup(&f);
	rq.client_time = lab_filetime(f.t.clock.wall_ms);
	for (uint8_t i = 1; i <= 3; i++) {
		rq.cmid.b[0] = i;
		assert_int_equal(lab_request_seal(&f.files.key, nonce, &rq, body), 0);
		exchange(&f, body, sizeof(body));
		assert_int_equal(f.r.err, 0);
		assert_int_equal(f.r.hresult, 0);
		assert_int_equal(lab_response_open(&f.files.key, f.body.b, f.body.len, &rs), 0);
		assert_int_equal(rs.count, i);
		assert_int_equal(rs.activation_min, 120);
		assert_int_equal(rs.renewal_min, 10080);
	}
	assert_int_equal(status(&f).requests, 3);
	assert_int_equal(status(&f).failed, 0);
	assert_int_equal(status(&f).count, 3);
	assert_int_equal(status(&f).clients_30d, 3);
	assert_int_equal(status(&f).by_licence[KMS_OOB_GRACE], 3);
	assert_int_equal(f.events, 3);
	teardown(&f);
}

/* The session of a Windows client, with the sizes of behaviour §8.2: its request is refused with a
 * well-formed response, never activated. */
static void t_windows_client_is_refused(void **state)
{
	struct bytes bind = vec(VEC_BIND3), alter = vec(VEC_ALTER), rq;
	struct kms_response rs;
	struct rpc_response r;
	struct rpc_hdr h;
	struct fixture f;

	(void)state;
	setup(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, bind.b, bind.len, 108);
	assert_int_equal(rpc_hdr_decode(f.raw.got.b, f.raw.got.len, &h), 0);
	assert_int_equal(h.ptype, RPC_BIND_ACK);
	raw_send(&f.raw, alter.b, alter.len, 56);
	assert_int_equal(f.raw.got.len, 56);
	rq = vec("0500000310000000 2401 0000 03000000 0c010000 0000 0000 04010000 04010000 "
		 "00000600");
	rq.len = 292;
	raw_send(&f.raw, rq.b, rq.len, 36);
	assert_int_equal(rpc_hdr_decode(f.raw.got.b, f.raw.got.len, &h), 0);
	assert_int_equal(h.ptype, RPC_RESPONSE);
	assert_int_equal(rpc_response_decode(f.raw.got.b, &h, &r), 0);
	assert_int_equal(kms_response_decode(r.stub, r.stub_len, false, &rs), 0);
	assert_int_equal(rs.hresult, 0xC004F042);
	assert_null(rs.body);
	assert_non_null(strstr(f.line, "lab.refused"));
	assert_non_null(strstr(f.line, "version=6.0"));
	raw_close(&f.raw);
	assert_int_equal(status(&f).failed, 1);
	assert_int_equal(status(&f).count, 0);
	teardown(&f);
}

static void on_probed(struct probe_op *op, const struct probe_result *r)
{
	struct fixture *f = op->owner;

	assert_int_equal(r->state, PROBE_UP);
	f->done = true;
}

static void t_probe_says_up_and_counts_nothing(void **state)
{
	struct probe_op op;
	struct fixture f;

	(void)state;
	setup(&f);
	memset(&op, 0, sizeof(op));
	op.owner = &f;
	kms_prober_rpc()->start(kms_prober_rpc(), &op, &f.t.net, &f.listen, 5000, on_probed);
	test_net_run_until(&f.t, &f.done);
	assert_int_equal(status(&f).requests, 0);
	assert_int_equal(f.lines, 0);
	teardown(&f);
}

static void t_bad_stub_is_a_fault(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct bytes rq =
		vec("0500000310000000 2000 0000 03000000 00000000 0000 0000 ffffffff ffffffff");
	struct fixture f;

	(void)state;
	setup(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, bind.b, bind.len, 108);
	raw_send(&f.raw, rq.b, rq.len, 32);
	assert_int_equal(f.raw.got.b[2], RPC_FAULT);
	assert_int_equal(wire_get_u32(f.raw.got.b + 24, false), 0x6F7);
	assert_int_equal(status(&f).failed, 1);
	raw_close(&f.raw);
	teardown(&f);
}

/* A PDU that breaks the protocol: the client gets its fault or nothing, the log one sentence. */
static void t_malformed_input_ends_with_a_sentence(void **state)
{
	static const struct {
		const char *hex, *says;
	} rows[] = {
		{ "474554202f20485454502f312e310d0a0d0a", "does not speak DCE/RPC" },
		{ "0500000310000000 1800 0000 03000000 00000000 0000 0000", "before any bind" },
		{ "05000b0310000000 ffff 0000 03000000", "more than 5840" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes v = vec(rows[i].hex);
		struct fixture f;

		setup(&f);
		raw_connect(&f.raw, &f.t, &f.listen);
		raw_write(&f.raw, v.b, v.len);
		test_net_run_until(&f.t, &f.raw.done);
		assert_int_equal(f.raw.err, ERR_CLOSED); /* orderly: no reset */
		assert_int_equal(f.lines, 1);
		assert_non_null(strstr(f.line, "rpc.ended"));
		assert_non_null(strstr(f.line, "client=127.0.0.1:"));
		assert_non_null(strstr(f.line, rows[i].says));
		raw_connect(&f.raw, &f.t, &f.listen); /* again within the minute: held back */
		raw_write(&f.raw, v.b, v.len);
		test_net_run_until(&f.t, &f.raw.done);
		assert_int_equal(f.lines, 1);
		teardown(&f);
	}
}

/* What a client sends piece by piece, one every 5 ms. */
struct drip {
	uv_timer_t timer;
	struct fixture *f;
	const struct bytes *pieces;
	size_t n, next;
};

static void on_drip(uv_timer_t *t)
{
	struct drip *d = t->data;

	if (d->f->raw.done || d->next == d->n) {
		uv_timer_stop(t);
		return;
	}
	raw_write(&d->f->raw, d->pieces[d->next].b, d->pieces[d->next].len);
	d->next++;
}

/** A service with a long idle time and 60 ms for a request, and a connection to it. */
static void setup_impatient(struct fixture *f)
{
	setup_files(f);
	f->p.limits.idle_ms = 30000;
	f->p.limits.request_ms = 60;
	assert_int_equal(kms_service_new(&f->t.net, &f->p, &f->s, &(struct err_info){ "" }), 0);
	f->listen = *kms_service_addr(f->s, 0);
	raw_connect(&f->raw, &f->t, &f->listen);
}

/** @return how many pieces were sent before the service closed. */
static size_t drip_until_closed(struct fixture *f, const struct bytes *pieces, size_t n)
{
	struct drip d = { .f = f, .pieces = pieces, .n = n };

	assert_int_equal(uv_timer_init(&f->t.loop, &d.timer), 0);
	d.timer.data = &d;
	assert_int_equal(uv_timer_start(&d.timer, on_drip, 5, 5), 0);
	test_net_run_until(&f->t, &f->raw.done);
	uv_close((uv_handle_t *)&d.timer, NULL);
	(void)uv_run(&f->t.loop, UV_RUN_NOWAIT); /* it closes: d is on our stack */
	return d.next;
}

/* A byte now and then does not hold a connection: neither before the bind nor after it. */
static void t_R04_dripping_bytes(void **state)
{
	static const char *const what[] = { VEC_BIND3, VEC_ALTER };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bytes bind = vec(VEC_BIND3), all = vec(what[i]), *each;
		struct fixture f;

		setup_impatient(&f);
		if (i == 1)
			raw_send(&f.raw, bind.b, bind.len, 108);
		each = calloc(all.len, sizeof(*each));
		assert_non_null(each);
		for (size_t k = 0; k < all.len; k++) {
			each[k].b[0] = all.b[k];
			each[k].len = 1;
		}
		assert_true(drip_until_closed(&f, each, all.len) < all.len);
		free(each);
		teardown(&f);
	}
}

/* Nor do whole fragments of a request that never ends. */
static void t_R04_dripping_fragments(void **state)
{
	struct bytes bind = vec(VEC_BIND3), *each = calloc(200, sizeof(*each));
	struct fixture f;

	(void)state;
	assert_non_null(each);
	for (size_t k = 0; k < 200; k++) {
		each[k] = vec("05000000 10000000 2000 0000 03000000 08000000 0000 0000 00000000 "
			      "00000000");
		each[k].b[3] = k == 0 ? RPC_FLAG_FIRST : 0;
	}
	setup_impatient(&f);
	raw_send(&f.raw, bind.b, bind.len, 108);
	assert_in_range(drip_until_closed(&f, each, 200), 2, 199);
	assert_null(strstr(f.line, "rpc.ended")); /* it was the time, not the number */
	free(each);
	teardown(&f);
}

/* Who only connects is gone when the time for a bind is over; who has bound may idle. */
static void t_R04_mute_clients(void **state)
{
	struct bytes bind = vec(VEC_BIND3), alter = vec(VEC_ALTER), *each;
	struct fixture f;

	(void)state;
	setup_impatient(&f);
	test_net_run_until(&f.t, &f.raw.done);
	assert_int_equal(f.raw.err, ERR_CLOSED);
	teardown(&f);

	/* 40 whole PDUs, 200 ms in all, each complete at once: nothing of it is late. */
	each = calloc(40, sizeof(*each));
	assert_non_null(each);
	for (size_t k = 0; k < 40; k++)
		each[k] = alter;
	setup_impatient(&f);
	assert_int_equal(
		kms_service_set_rules(f.s, NULL, 0,
				      &(struct kms_limits){ .idle_ms = 400, .request_ms = 60 }),
		0);
	raw_send(&f.raw, bind.b, bind.len, 108);
	f.raw.got.len = 0;
	assert_int_equal(drip_until_closed(&f, each, 40), 40);
	assert_int_equal(f.raw.got.len, 40 * 56); /* all answered, then idle */
	free(each);
	teardown(&f);
}

struct steady {
	uv_timer_t timer;
	struct fixture *f;
	struct bytes pdu;
	unsigned left;
	bool over;
};

static void on_steady(uv_timer_t *t)
{
	struct steady *y = t->data;

	if (y->f->raw.done || y->left-- == 0) {
		y->over = true;
		uv_timer_stop(t);
		return;
	}
	raw_write(&y->f->raw, y->pdu.b, y->pdu.len);
}

/* Whole PDUs keep it open, far beyond the idle time; and a reload changes that time. */
static void t_busy_client_stays(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct steady y = { .left = 6, .pdu = vec(VEC_ALTER) };
	struct fixture f;

	(void)state;
	setup_files(&f);
	f.p.limits.idle_ms = 30000;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &f.s, &(struct err_info){ "" }), 0);
	f.listen = *kms_service_addr(f.s, 0);
	assert_int_equal(
		kms_service_set_rules(f.s, NULL, 0, &(struct kms_limits){ .idle_ms = 600 }), 0);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, bind.b, bind.len, 108);
	y.f = &f;
	assert_int_equal(uv_timer_init(&f.t.loop, &y.timer), 0);
	y.timer.data = &y;
	assert_int_equal(uv_timer_start(&y.timer, on_steady, 150, 150), 0);
	test_net_run_until(&f.t, &y.over);
	assert_false(f.raw.done);
	test_net_run_until(&f.t, &f.raw.done);
	assert_int_equal(f.raw.err, ERR_CLOSED); /* by the service, before our own 20 s */
	uv_close((uv_handle_t *)&y.timer, NULL);
	teardown(&f);
}

static void t_allow_and_limits(void **state)
{
	const struct kms_limits one = { .conns = 1, .per_address = 1, .idle_ms = 5000 };
	struct cidr nobody, everybody;
	struct fixture f;

	(void)state;
	setup_files(&f);
	assert_int_equal(cidr_parse("192.0.2.0/24", &nobody), 0);
	assert_int_equal(cidr_parse("127.0.0.0/8", &everybody), 0);
	f.p.allow = &nobody;
	f.p.n_allow = 1;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &f.s, &(struct err_info){ "" }), 0);
	f.listen = *kms_service_addr(f.s, 0);
	exchange(&f, (const uint8_t *)"x", 1);
	assert_int_not_equal(f.r.err, 0);
	assert_int_equal(f.lines, 1);
	assert_non_null(strstr(f.line, "client.refused"));
	assert_non_null(strstr(f.line, "service.allow"));
	exchange(&f, (const uint8_t *)"x", 1);
	assert_int_equal(f.lines, 1); /* one line for an address and minute */
	assert_int_equal(status(&f).refused, 2);
	memset(&nobody, 0, sizeof(nobody)); /* it was copied */
	assert_int_equal(kms_service_set_rules(f.s, &everybody, 1, &(struct kms_limits){ 0 }), 0);
	exchange(&f, (const uint8_t *)"x", 1);
	assert_int_equal(f.r.err, 0);
	assert_int_equal(kms_service_set_rules(f.s, &everybody, 1, &one), 0);
	raw_connect(&f.raw, &f.t, &f.listen);
	assert_int_equal(status(&f).connections, 1);
	f.t.clock.mono_ms += 60000;
	exchange(&f, (const uint8_t *)"x", 1);
	assert_int_not_equal(f.r.err, 0);
	assert_non_null(strstr(f.line, "limits.connections"));
	raw_close(&f.raw);
	teardown(&f);
}

static void t_stop_keeps_what_is_open(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct fixture f;

	(void)state;
	setup(&f);
	assert_true(status(&f).listening);
	raw_connect(&f.raw, &f.t, &f.listen);
	test_net_step(&f.t);
	kms_service_stop(f.s);
	kms_service_stop(f.s);
	assert_false(status(&f).listening);
	raw_send(&f.raw, bind.b, bind.len, 108);
	raw_close(&f.raw);
	exchange(&f, NULL, 0);
	assert_int_equal(f.r.err, -ECONNREFUSED);
	teardown(&f);
}

static void t_many_requests_on_one_association(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct fixture f;
	struct bytes all = { 0 };

	(void)state;
	setup(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, bind.b, bind.len, 108);
	for (uint32_t i = 0; i < 200; i++) { /* sent ahead, in one piece */
		struct bytes rq = vec("0500000310000000 2400 0000 00000000 00000000 0000 0000 "
				      "04000000 04000000 00000600");

		wire_put_u32(rq.b + 12, i + 10, false);
		memcpy(all.b + all.len, rq.b, rq.len);
		all.len += rq.len;
	}
	raw_send(&f.raw, all.b, all.len, 200 * 36);
	assert_int_equal(f.raw.got.len, 200 * 36);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(wire_get_u32(f.raw.got.b + i * 36 + 12, false), i + 10);
	raw_close(&f.raw);
	teardown(&f);
}

static void t_start_failures(void **state)
{
	struct addr taken;
	struct err_info info;
	struct kms_service *second = NULL;
	struct fixture f;

	(void)state;
	setup(&f);
	taken = f.listen;
	f.p.listen = &taken;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &second, &info), -EADDRINUSE);
	assert_non_null(strstr(info.text, "127.0.0.1:"));
	taken = test_addr("127.0.0.1:0");
	f.p.mode = KMS_MODE_OFF;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &second, &info), ERR_USAGE);
	f.p.mode = KMS_MODE_LAB;
	f.p.lab_key_file = "no-such-file";
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &second, &info), -ENOENT);
	assert_non_null(strstr(info.text, "no-such-file"));
	f.p.lab_key_file = NULL;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &second, &info), ERR_CONFIG);
	assert_non_null(strstr(info.text, "keygen"));
	assert_null(second);
	teardown(&f);
}

static void on_drained(void *ctx)
{
	struct fixture *f = ctx;

	assert_false(f->drained);
	f->drained = true;
}

/* Who is quiet goes after a moment, who has half sent a request may send the rest. */
static void t_drain_waits_for_requests(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct bytes rq = vec("0500000310000000 2400 0000 03000000 00000000 0000 0000 "
			      "04000000 04000000 00000600");
	struct fixture f;

	(void)state;
	setup_files(&f);
	f.p.limits.idle_ms = 30000;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &f.s, &(struct err_info){ "" }), 0);
	f.listen = *kms_service_addr(f.s, 0);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, bind.b, bind.len, 108);
	raw_write(&f.raw, rq.b, 20);
	test_net_step(&f.t);
	test_net_step(&f.t);
	kms_service_drain(f.s, 60000, on_drained, &f);
	assert_false(f.drained);
	assert_false(status(&f).listening);
	raw_send(&f.raw, rq.b + 20, rq.len - 20, 36);
	assert_false(f.drained);
	test_net_run_until(&f.t, &f.drained); /* quiet now, so closed, long before 30 s */
	test_net_run_until(&f.t, &f.raw.done);
	assert_int_equal(f.raw.err, ERR_CLOSED);
	teardown(&f);
}

/* What never ends is no reason to wait: the time is. And nobody at all is none. */
static void t_drain_ends_in_time(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct fixture f;

	(void)state;
	for (int connected = 0; connected < 2; connected++) {
		setup(&f);
		if (connected) {
			raw_connect(&f.raw, &f.t, &f.listen);
			raw_write(&f.raw, bind.b, 50);
			while (status(&f).connections == 0)
				test_net_step(&f.t);
			test_net_step(&f.t);
		}
		kms_service_drain(f.s, connected ? 20 : 60000, on_drained, &f);
		assert_false(f.drained);
		test_net_run_until(&f.t, &f.drained);
		assert_int_equal(status(&f).connections, connected);
		teardown(&f);
	}
	setup(&f); /* the end comes first */
	kms_service_drain(f.s, 60000, on_drained, &f);
	teardown(&f);
	assert_true(f.drained);
}

/* Clients in every stage when the service goes. */
static void t_free_while_clients_are_connected(void **state)
{
	struct bytes bind = vec(VEC_BIND3);
	struct fixture f;

	(void)state;
	setup(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_write(&f.raw, bind.b, 50);
	test_net_step(&f.t);
	kms_service_free(f.s, on_freed, &f);
	f.s = NULL;
	test_net_run_until(&f.t, &f.freed);
	test_net_run_until(&f.t, &f.raw.done);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_lab_client_is_answered),
		cmocka_unit_test(t_windows_client_is_refused),
		cmocka_unit_test(t_probe_says_up_and_counts_nothing),
		cmocka_unit_test(t_bad_stub_is_a_fault),
		cmocka_unit_test(t_malformed_input_ends_with_a_sentence),
		cmocka_unit_test(t_R04_dripping_bytes),
		cmocka_unit_test(t_R04_dripping_fragments),
		cmocka_unit_test(t_R04_mute_clients),
		cmocka_unit_test(t_busy_client_stays),
		cmocka_unit_test(t_allow_and_limits),
		cmocka_unit_test(t_stop_keeps_what_is_open),
		cmocka_unit_test(t_many_requests_on_one_association),
		cmocka_unit_test(t_start_failures),
		cmocka_unit_test(t_drain_waits_for_requests),
		cmocka_unit_test(t_drain_ends_in_time),
		cmocka_unit_test(t_free_while_clients_are_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
