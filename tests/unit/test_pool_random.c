/* Whatever a host does and whoever cancels: each call ends once, and the pool's counts are right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "kmscore/pool_priv.h"
#include "tests/lib/pool_fixture.h"

#define STEPS 1500
#define CALLS 40

static struct pool_fixture f;

static void check_counts(void)
{
	size_t n_links = 0, n_open = 0, n_connecting = 0, n_busy = 0, n_queued = 0, live = 0;
	const struct kms_pool *p = f.pool;

	for (const struct pool_link *l = p->links; l != NULL; l = l->next) {
		n_links++;
		n_open += l->state == PL_OPEN;
		n_connecting += l->state == PL_CONNECTING;
		n_busy += l->busy;
		if (l->state == PL_OPEN)
			live += l->link.rpc.n_open - l->link.rpc.n_dropped;
		assert_true(!l->busy || l->state == PL_OPEN);
		assert_true(!l->is_free || (l->state == PL_OPEN && !l->retiring));
		assert_true(l->state != PL_OPEN || l->busy == (l->link.rpc.n_open > 0));
	}
	for (const struct kms_pool_call *c = p->queue.head; c != NULL; c = c->next)
		n_queued++;
	assert_int_equal(n_links, p->n_links);
	assert_int_equal(n_open, p->n_open);
	assert_int_equal(n_connecting, p->n_connecting);
	assert_int_equal(n_busy, p->n_busy);
	assert_int_equal(n_queued, p->n_queued);
	assert_int_equal(live, p->n_outstanding);
}

static void start_or_cancel(unsigned i)
{
	struct pool_test_call *c = &f.call[i];

	if (c->len == 0 || c->done)
		pool_start(&f, i);
	else if (rng_below(&f.t.rng, 4) == 0)
		pool_cancel(&f, i);
}

static void host_acts(struct fake_host *h)
{
	static const uint8_t junk[] = { 5, 0, 2, 3, 0x10, 0, 0, 0, 24 };

	switch (rng_below(&f.t.rng, 16)) {
	case 0:
		h->on_call = (enum fake_host_call)rng_below(&f.t.rng, FAKE_CALL_UNASKED + 1);
		break;
	case 1:
		h->on_bind =
			rng_below(&f.t.rng, 2) == 0
				? FAKE_BIND_ACK
				: (enum fake_host_bind)rng_below(&f.t.rng, FAKE_BIND_CLOSE + 1);
		break;
	case 2:
		h->multiplex = !h->multiplex;
		break;
	case 3:
		fake_host_drop(h, rng_below(&f.t.rng, 2) == 0);
		break;
	case 4:
		if (h->n_held > 0)
			fake_host_answer_mixed(h);
		break;
	case 5:
		if (rng_below(&f.t.rng, 8) == 0)
			fake_host_say(h, junk, sizeof(junk));
		break;
	default:
		if (h->n_held > 0)
			fake_host_answer(h, rng_below(&f.t.rng, (uint32_t)h->n_held));
		break;
	}
}

static void owner_acts(void)
{
	struct addr both[2] = { f.a.addr, f.b.addr };
	struct kms_pool_rules r = pool_rules();

	switch (rng_below(&f.t.rng, 24)) {
	case 0:
		kms_pool_set_addrs(f.pool, both, rng_below(&f.t.rng, 3));
		break;
	case 1:
		kms_pool_set_addrs(f.pool, both + 1, 1);
		break;
	case 2:
		r.max = 1 + rng_below(&f.t.rng, 6);
		r.min = rng_below(&f.t.rng, 4);
		r.idle_ms = 1 + rng_below(&f.t.rng, 20);
		r.timeout_ms = 5 + rng_below(&f.t.rng, 40);
		r.queue = rng_below(&f.t.rng, 12);
		r.connect_ms = 5 + rng_below(&f.t.rng, 40);
		kms_pool_set_rules(f.pool, &r);
		break;
	case 3:
		kms_pool_keep_warm(f.pool, rng_below(&f.t.rng, 2) == 0);
		break;
	case 4:
		pool_age(&f);
		break;
	default:
		break;
	}
}

static bool all_done(void)
{
	for (size_t i = 0; i < CALLS; i++)
		if (f.call[i].len > 0 && !f.call[i].done)
			return false;
	return true;
}

static void t_random(void **state)
{
	struct kms_pool_rules r = pool_rules();

	(void)state;
	r.timeout_ms = r.connect_ms = 30;
	for (unsigned seed = 1; seed <= 4; seed++) {
		pool_setup(&f, &r);
		rng_init_seed(&f.t.rng, seed);
		fake_host_start(&f.b, &f.t.loop);
		for (unsigned i = 0; i < STEPS; i++) {
			start_or_cancel(rng_below(&f.t.rng, CALLS));
			check_counts();
			host_acts(rng_below(&f.t.rng, 2) == 0 ? &f.a : &f.b);
			owner_acts();
			check_counts();
			uv_run(&f.t.loop, UV_RUN_NOWAIT);
			check_counts();
		}
		if (seed % 2 == 0) /* the others are freed as they are */
			while (!all_done())
				uv_run(&f.t.loop, UV_RUN_ONCE);
		pool_teardown(&f);
		assert_true(all_done());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
