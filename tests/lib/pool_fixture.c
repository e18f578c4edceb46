#include "tests/lib/pool_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

struct kms_pool_rules pool_rules(void)
{
	return (struct kms_pool_rules){ .min = 0,
					.max = 4,
					.idle_ms = 60000,
					.queue = 16,
					.timeout_ms = 20000,
					.connect_ms = 20000 };
}

static void on_bound(void *ctx, const struct kms_pool_bound *b)
{
	struct pool_fixture *f = ctx;

	assert_false(f->inside);
	if (b->r.err == 0)
		f->n_bound++;
	else
		f->n_failed++;
	f->last = *b;
	f->last_addr = *b->addr;
}

void pool_setup(struct pool_fixture *f, const struct kms_pool_rules *rules)
{
	struct kms_pool_params p = {
		.rules = *rules, .node_id = { { 0xaa } }, .bound = on_bound, .ctx = f
	};

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	fake_host_start(&f->a, &f->t.loop);
	p.net = &f->t.net;
	assert_int_equal(kms_pool_new(&p, &f->pool), 0);
	kms_pool_set_addrs(f->pool, &f->a.addr, 1);
	for (size_t i = 0; i < POOL_CALLS; i++)
		f->call[i].f = f;
}

static void on_gone(void *ctx)
{
	struct pool_fixture *f = ctx;

	assert_false(f->inside);
	f->gone = true;
}

void pool_teardown(struct pool_fixture *f)
{
	if (f->pool != NULL) {
		f->inside = true;
		kms_pool_free(f->pool, on_gone, f);
		f->inside = false;
		test_net_run_until(&f->t, &f->gone);
	}
	fake_host_stop(&f->a);
	if (f->b.server.loop != NULL)
		fake_host_stop(&f->b);
	test_net_done(&f->t);
}

static void on_done(struct kms_pool_call *c, const struct kms_pool_outcome *o)
{
	struct pool_test_call *tc = c->owner;
	struct pool_fixture *f = tc->f;

	assert_false(f->inside);
	assert_false(tc->done);
	tc->done = true;
	tc->order = ++f->n_done;
	tc->err = o->err;
	tc->stage = o->stage;
	tc->fault_status = o->fault_status;
	tc->be = o->be;
	tc->stub_len = o->stub_len;
	if (o->stub_len > 0)
		memcpy(tc->stub, o->stub, o->stub_len);
	memset(c, 0xa5, sizeof(*c)); /* any later touch is seen */
	if (f->again > 0) {
		f->again--;
		for (size_t i = 0; i < POOL_CALLS; i++) {
			if (f->call[i].len > 0)
				continue;
			pool_start(f, i);
			break;
		}
	}
}

void pool_start_stub(struct pool_fixture *f, size_t i, const uint8_t *stub, size_t len, bool be)
{
	struct pool_test_call *tc = &f->call[i];
	bool was = f->inside;

	memset(&tc->c, 0, sizeof(tc->c));
	tc->done = false;
	tc->c.owner = tc;
	tc->len = len;
	f->inside = true;
	kms_pool_call_start(f->pool, &tc->c, stub, len, be, on_done);
	f->inside = was;
}

void pool_start(struct pool_fixture *f, size_t i)
{
	struct pool_test_call *tc = &f->call[i];
	int len = snprintf((char *)tc->request, sizeof(tc->request),
			   "the request with the number %zu", i);

	pool_start_stub(f, i, tc->request, (size_t)len, false);
}

void pool_cancel(struct pool_fixture *f, size_t i)
{
	f->inside = true;
	kms_pool_call_cancel(&f->call[i].c);
	f->inside = false;
}

void pool_run(struct pool_fixture *f, unsigned n)
{
	while (f->n_done < n)
		uv_run(&f->t.loop, UV_RUN_ONCE);
}

void pool_wait(struct pool_fixture *f, const size_t *what, size_t n)
{
	while (*what < n)
		uv_run(&f->t.loop, UV_RUN_ONCE);
}

struct pool_test_call *pool_one(struct pool_fixture *f, size_t i)
{
	unsigned n = f->n_done + 1;

	pool_start(f, i);
	pool_run(f, n);
	assert_true(f->call[i].done);
	return &f->call[i];
}

void pool_assert_answered(const struct pool_test_call *c)
{
	assert_true(c->done);
	assert_int_equal(c->err, 0);
	assert_int_equal(c->stub_len, c->len);
	assert_memory_equal(c->stub, c->request, c->len);
}

struct kms_pool_status pool_status(const struct pool_fixture *f)
{
	struct kms_pool_status s;

	kms_pool_status(f->pool, &s);
	return s;
}

void pool_until_open(struct pool_fixture *f, size_t n)
{
	while (pool_status(f).open != n)
		uv_run(&f->t.loop, UV_RUN_ONCE);
}

void pool_age(struct pool_fixture *f)
{
	f->t.clock.mono_ms += KMS_POOL_STALE_MS + 1;
}
