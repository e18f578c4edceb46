/* The service's bounds, calls for another mode, and many answers at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/service.h"
#include "kmscore/wire.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/raw_client.h"

struct fixture {
	struct test_net t;
	struct lab_files files;
	struct addr listen;
	struct kms_service_params p;
	struct kms_service *s;
	struct raw_client raw;
	bool freed;
};

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	lab_files_make(&f->files);
	f->listen = test_addr("127.0.0.1:0");
	f->p.mode = KMS_MODE_LAB;
	f->p.listen = &f->listen;
	f->p.n_listen = 1;
	f->p.lab_key_file = f->files.key_file;
	f->p.limits.idle_ms = 60000;
}

static void start(struct fixture *f)
{
	struct err_info info;

	assert_int_equal(kms_service_new(&f->t.net, &f->p, &f->s, &info), 0);
	f->listen = *kms_service_addr(f->s, 0);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void teardown(struct fixture *f)
{
	if (f->s != NULL) {
		kms_service_free(f->s, on_freed, f);
		test_net_run_until(&f->t, &f->freed);
	}
	lab_files_remove(&f->files);
	test_net_done(&f->t);
}

static void t_more_networks_than_fit(void **state)
{
	struct cidr *many = calloc(KMS_ALLOW_MAX + 1, sizeof(*many));
	struct err_info info = { "" };
	struct fixture f;

	(void)state;
	assert_non_null(many);
	setup(&f);
	f.p.allow = many;
	f.p.n_allow = KMS_ALLOW_MAX + 1;
	assert_int_equal(kms_service_new(&f.t.net, &f.p, &f.s, &info), ERR_LIMIT);
	assert_non_null(strstr(info.text, "service.allow"));
	assert_null(f.s);
	f.p.allow = NULL;
	f.p.n_allow = 0;
	start(&f);
	assert_int_equal(kms_service_set_rules(f.s, many, KMS_ALLOW_MAX + 1, &f.p.limits),
			 ERR_LIMIT);
	assert_int_equal(kms_service_set_rules(f.s, many, KMS_ALLOW_MAX, &f.p.limits), 0);
	teardown(&f);
	free(many);
}

/* A lab host has no upstreams, and a file of requests is a relay's. */
static void t_what_a_relay_is_told(void **state)
{
	struct relay_rules rules = { .retry = 1 };
	struct fixture f;

	(void)state;
	setup(&f);
	start(&f);
	kms_service_set_relay(f.s, &rules);
	assert_int_equal(kms_service_set_upstreams(f.s, NULL, 0), ERR_USAGE);
	kms_service_set_request_log(f.s, f.files.state_file);
	assert_null(kms_service_relay(f.s));
	teardown(&f); /* and no file was made, or the folder would not go */
}

/* Requests that came in one piece: each is answered, however many one read brings. */
static void t_many_answers_at_once(void **state)
{
	static uint8_t all[65536];
	struct bytes rq = vec("0500000310000000 2400 0000 07000000 00000000 0000 0000 "
			      "04000000 04000000 00000600");
	struct bytes bind = vec(VEC_BIND3);
	struct fixture f;
	size_t one, n;

	(void)state;
	setup(&f);
	start(&f);
	raw_connect(&f.raw, &f.t, &f.listen);
	raw_send(&f.raw, bind.b, bind.len, 108);
	raw_send(&f.raw, rq.b, rq.len, 24);
	one = wire_get_u16(f.raw.got.b + 8, false);
	assert_int_equal(f.raw.got.len, one);
	n = 20000 / one; /* less than the client here can take */
	assert_true(n * rq.len <= sizeof(all));
	for (size_t i = 0; i < n; i++)
		memcpy(all + i * rq.len, rq.b, rq.len);
	raw_send(&f.raw, all, n * rq.len, n * one);
	assert_int_equal(f.raw.got.len, n * one);
	raw_close(&f.raw);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_more_networks_than_fit),
		cmocka_unit_test(t_what_a_relay_is_told),
		cmocka_unit_test(t_many_answers_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
