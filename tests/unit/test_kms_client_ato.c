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
#include "kmscore/lab_ato.h"
#include "kmscore/service.h"
#include "tests/lib/fake_rpc.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/test_net.h"

struct fixture {
	struct test_net t;
	struct lab_files files;
	struct kms_service *s;
	struct fake_rpc mute; /* accepts and stays silent, unless given a script */
	struct lab_client c;
	struct lab_candidate host[LAB_ATO_HOSTS_MAX + 1];
	size_t n_hosts;
	struct lab_ato *a;
	/* copied from a in done() */
	int err;
	uint32_t code;
	bool answered;
	size_t n_attempts;
	struct lab_attempt attempt[LAB_ATO_HOSTS_MAX];
	unsigned calls;
	bool done;
	bool freed;
};

static void no_lines(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

static void setup(struct fixture *f, const char *product)
{
	struct addr listen = test_addr("127.0.0.1:0");
	struct kms_service_params p = { .mode = KMS_MODE_LAB, .listen = &listen, .n_listen = 1 };
	struct err_info info;

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	lab_files_make(&f->files);
	p.lab_key_file = f->files.key_file;
	assert_int_equal(kms_service_new(&f->t.net, &p, &f->s, &info), 0);
	fake_rpc_start(&f->mute, &f->t.loop);
	lab_client_init(&f->c, lab_product_find(product), "pc1", &f->t.rng, f->t.clock.wall_ms);
	log_set_tap(no_lines, NULL);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void teardown(struct fixture *f)
{
	kms_service_free(f->s, on_freed, f);
	test_net_run_until(&f->t, &f->freed);
	fake_rpc_stop(&f->mute);
	log_set_tap(NULL, NULL);
	lab_files_remove(&f->files);
	test_net_done(&f->t);
}

static void add_host(struct fixture *f, const char *name, const struct addr *at)
{
	struct lab_candidate *h = &f->host[f->n_hosts++];

	(void)snprintf(h->host, sizeof(h->host), "%s", name);
	h->addr = *at;
	h->source = LAB_SOURCE_DNS;
}

static void on_done(struct lab_ato *a)
{
	struct fixture *f = a->owner;

	f->err = a->err;
	f->code = a->code;
	f->answered = a->answered;
	f->n_attempts = a->n_attempts;
	memcpy(f->attempt, a->attempt, sizeof(f->attempt));
	f->calls++;
	f->done = true;
	memset(a, 0xa5, sizeof(*a)); /* any later touch is seen */
	free(a);
}

static void start(struct fixture *f, uint32_t timeout_ms)
{
	struct lab_ato_params p = { .client = &f->c,
				    .key = &f->files.key,
				    .hosts = f->host,
				    .n_hosts = f->n_hosts,
				    .host_timeout_ms = timeout_ms,
				    .done = on_done };

	f->a = calloc(1, sizeof(*f->a));
	assert_non_null(f->a);
	f->a->owner = f;
	f->done = false;
	f->calls = 0;
	lab_ato_start(f->a, &f->t.net, &p);
	assert_false(f->done);
}

static void ato(struct fixture *f, uint32_t timeout_ms)
{
	start(f, timeout_ms);
	test_net_run_until(&f->t, &f->done);
	assert_int_equal(f->calls, 1);
}

/* Five servers, one after another: four wait, the fifth is activated. */
static void t_threshold(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "server");
	add_host(&f, "kms1.corp.example", kms_service_addr(f.s, 0));
	for (unsigned i = 1; i <= 5; i++) {
		lab_client_init(&f.c, lab_product_find("server"), "pc", &f.t.rng,
				f.t.clock.wall_ms);
		ato(&f, 5000);
		assert_int_equal(f.err, 0);
		assert_true(f.answered);
		assert_int_equal(f.code, i < 5 ? 0xC004F038 : 0);
		assert_int_equal(f.c.licence, i < 5 ? KMS_OOB_GRACE : KMS_LICENSED);
		assert_int_equal(f.c.last_code, f.code);
		assert_int_equal(f.c.count, i);
	}
	assert_int_equal(f.n_attempts, 1);
	assert_string_equal(f.c.cache.name, "kms1.corp.example");
	teardown(&f);
}

/* The lines of both events for a success (behaviour §4.1, §4.2). */
static void t_event_lines(void **state)
{
	char cmid[GUID_TEXT_MAX], want[KMS_EVENT_TEXT_MAX];
	struct fixture f;

	(void)state;
	setup(&f, "server");
	f.t.clock.wall_ms = INT64_C(1795262400000);
	lab_client_init(&f.c, lab_product_find("server"), "pc1", &f.t.rng, f.t.clock.wall_ms);
	add_host(&f, "::1", kms_service_addr(f.s, 0));
	ato(&f, 5000);
	guid_format(&f.c.cmid, cmid);
	(void)snprintf(want, sizeof(want),
		       "0x00000000, 0x00000000, [::1]:%u, %s, 2026/11/21 12:00, 0, 2, 43200, %s, 5",
		       addr_port(&f.host[0].addr), cmid, f.c.product->activation_id);
	assert_string_equal(f.attempt[0].sent, want);
	assert_string_equal(f.attempt[0].response,
			    "0x00000000, 0x04000000, 0, 0, 1, 120, 10080, 2026/11/21 12:00");
	teardown(&f);
}

/* A host that is gone, one that is mute, one that refuses to bind; then one that answers. */
static void t_next_host(void **state)
{
	struct fixture f;
	struct addr closed;

	(void)state;
	setup(&f, "server");
	closed = test_net_closed_port();
	add_host(&f, "gone", &closed);
	add_host(&f, "mute", &f.mute.addr);
	add_host(&f, "good", kms_service_addr(f.s, 0));
	ato(&f, 50);
	assert_int_equal(f.code, 0xC004F038);
	assert_int_equal(f.n_attempts, 3);
	assert_int_equal(f.attempt[0].err, -ECONNREFUSED);
	assert_int_equal(f.attempt[0].hresult, 0x800706BA);
	assert_memory_equal(f.attempt[0].sent, "0x800706BA, ", 12);
	assert_string_equal(f.attempt[0].response, "");
	assert_int_equal(f.attempt[1].err, ERR_TIMEOUT);
	assert_int_equal(f.attempt[2].err, 0);
	assert_string_equal(f.attempt[2].at.host, "good");
	assert_string_equal(f.c.cache.name, "good");
	teardown(&f);
}

static void t_all_hosts_fail(void **state)
{
	struct fixture f;
	struct addr closed;

	(void)state;
	setup(&f, "server");
	closed = test_net_closed_port();
	fake_rpc_add_ack(&f.mute, RPC_CTX_PROVIDER_REJECT, RPC_REASON_ABSTRACT, NULL);
	add_host(&f, "gone", &closed);
	add_host(&f, "other", &f.mute.addr);
	ato(&f, 5000);
	assert_int_equal(f.err, 0);
	assert_int_equal(f.code, 0xC004F074);
	assert_false(f.answered);
	assert_int_equal(f.n_attempts, 2);
	assert_int_equal(f.attempt[1].hresult, 0x800706B5);
	assert_int_equal(f.c.last_code, 0xC004F074);
	assert_int_equal(f.c.next_attempt_ms, f.t.clock.wall_ms + 120 * KMS_MINUTE_MS);
	teardown(&f);
}

/* "Not this product" is shown as it is, and no other host asked. */
static void t_mismatch_is_final(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "server");
	fake_rpc_add_ack(&f.mute, RPC_CTX_ACCEPT, 0, &rpc_syntax_ndr32);
	fake_rpc_add_hex(&f.mute, "0500020310000000 2400 0000 02000000 00000000 0000 0000"
				  "00000000 00000000 42f004c0");
	add_host(&f, "other", &f.mute.addr);
	add_host(&f, "good", kms_service_addr(f.s, 0));
	ato(&f, 5000);
	assert_int_equal(f.code, 0xC004F042);
	assert_int_equal(f.n_attempts, 1);
	assert_memory_equal(f.attempt[0].sent, "0xC004F042, ", 12);
	assert_int_equal(f.c.last_code, 0xC004F042);
	teardown(&f);
}

/* A clock 5 hours off: the host says F06C, the user sees F074 (behaviour §2.4). */
static void t_clock_skew(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "server");
	fake_rpc_add_ack(&f.mute, RPC_CTX_ACCEPT, 0, &rpc_syntax_ndr32);
	fake_rpc_add_hex(&f.mute, "0500020310000000 2400 0000 02000000 00000000 0000 0000"
				  "00000000 00000000 6cf004c0");
	add_host(&f, "late", &f.mute.addr);
	ato(&f, 5000);
	assert_int_equal(f.code, 0xC004F074);
	assert_memory_equal(f.attempt[0].sent, "0xC004F06C, ", 12);
	teardown(&f);
}

static void t_no_hosts(void **state)
{
	struct lab_client before;
	struct fixture f;

	(void)state;
	setup(&f, "server");
	before = f.c;
	ato(&f, 5000);
	assert_int_equal(f.err, ERR_NO_SERVER);
	assert_int_equal(f.n_attempts, 0);
	assert_memory_equal(&before, &f.c, sizeof(before));
	teardown(&f);
}

static void t_more_hosts_than_are_tried(void **state)
{
	struct fixture f;
	struct addr nobody;

	(void)state;
	setup(&f, "server");
	nobody = test_addr("127.0.0.1:1");
	for (size_t i = 0; i < LAB_ATO_HOSTS_MAX + 1; i++)
		add_host(&f, "none", &nobody);
	ato(&f, 5000);
	assert_int_equal(f.n_attempts, LAB_ATO_HOSTS_MAX);
	assert_false(f.answered);
	teardown(&f);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 10; steps++) {
		struct lab_client before;
		struct fixture f;
		struct addr closed;

		setup(&f, "server");
		closed = test_net_closed_port();
		add_host(&f, "gone", &closed);
		add_host(&f, "mute", &f.mute.addr);
		before = f.c;
		start(&f, 5000);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		lab_ato_cancel(f.a);
		lab_ato_cancel(f.a);
		assert_int_equal(f.calls, 0);
		test_net_run_until(&f.t, &f.done);
		assert_int_equal(f.calls, 1);
		assert_int_equal(f.err, ERR_CANCELED);
		assert_memory_equal(&before, &f.c, sizeof(before));
		teardown(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_threshold),
		cmocka_unit_test(t_event_lines),
		cmocka_unit_test(t_next_host),
		cmocka_unit_test(t_all_hosts_fail),
		cmocka_unit_test(t_mismatch_is_final),
		cmocka_unit_test(t_clock_skew),
		cmocka_unit_test(t_no_hosts),
		cmocka_unit_test(t_more_hosts_than_are_tried),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
