#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/rng.h"
#include "kmscore/latency.h"
#include "kmscore/relay_routes.h"

#define LIFE 1000

static uint64_t route(const struct relay_routes *r, uint64_t client, uint64_t refused, uint64_t now)
{
	uint64_t to = 0;

	return relay_routes_get(r, client, refused, now, &to) ? to : 0;
}

static void t_put_and_get(void **state)
{
	struct relay_routes *r = relay_routes_new(10, LIFE);

	(void)state;
	assert_non_null(r);
	assert_int_equal(route(r, 1, 2, 0), 0);
	relay_routes_put(r, 1, 2, 77, 5);
	assert_int_equal(route(r, 1, 2, 5), 77);
	assert_int_equal(route(r, 2, 1, 5), 0);
	assert_int_equal(route(r, 1, 3, 5), 0);
	assert_int_equal(route(r, 1, 2, 5 + LIFE - 1), 77);
	assert_int_equal(route(r, 1, 2, 5 + LIFE), 0); /* a day is over */
	relay_routes_put(r, 1, 2, 78, 600);            /* anew, and to another host */
	assert_int_equal(route(r, 1, 2, 1500), 78);
	assert_int_equal(relay_routes_count(r), 1);
	relay_routes_free(r);
	relay_routes_free(NULL);
}

static void t_bounded(void **state)
{
	struct relay_routes *r = relay_routes_new(10, LIFE);

	(void)state;
	for (uint64_t c = 1; c <= 10; c++)
		relay_routes_put(r, c, 0, 100 + c, 0);
	relay_routes_put(r, 1, 0, 101, 1); /* now the newest */
	relay_routes_put(r, 11, 0, 111, 1);
	assert_int_equal(relay_routes_count(r), 10);
	assert_int_equal(route(r, 1, 0, 1), 101);
	assert_int_equal(route(r, 2, 0, 1), 0); /* the oldest */
	for (uint64_t c = 3; c <= 11; c++)
		assert_int_equal(route(r, c, 0, 1), 100 + c);
	relay_routes_free(r);
}

/* Against a model: the last N different keys put, whatever the buckets do. */
static void t_like_a_list(void **state)
{
	enum { MAX = 7, KEYS = 20 };
	uint64_t put_at[KEYS] = { 0 };
	struct relay_routes *r = relay_routes_new(MAX, UINT64_MAX);
	struct rng rng;

	(void)state;
	rng_init_seed(&rng, 4);
	for (uint64_t step = 1; step <= 5000; step++) {
		uint32_t k = rng_below(&rng, KEYS);

		relay_routes_put(r, k / 4, k % 4, step, step);
		put_at[k] = step;
		for (uint32_t i = 0; i < KEYS; i++) {
			unsigned newer = 0;

			for (uint32_t j = 0; j < KEYS; j++)
				newer += put_at[j] > put_at[i];
			assert_int_equal(route(r, i / 4, i % 4, step), newer < MAX ? put_at[i] : 0);
		}
	}
	relay_routes_free(r);
}

static bool near(double got, double want)
{
	return got > want * 0.93 && got < want * 1.07;
}

static void t_latency(void **state)
{
	static struct latency l;

	(void)state;
	assert_true(latency_quantile(&l, 0.5) == 0);
	for (double ms = 0.02; ms < 3e6; ms *= 1.7) { /* what goes in comes out */
		memset(&l, 0, sizeof(l));
		latency_add(&l, ms);
		assert_true(near(latency_quantile(&l, 0.5), ms));
		assert_true(near(latency_quantile(&l, 0.99), ms));
	}
	memset(&l, 0, sizeof(l));
	for (int i = 1; i <= 1000; i++)
		latency_add(&l, i);
	assert_true(near(latency_quantile(&l, 0.5), 500));
	assert_true(near(latency_quantile(&l, 0.99), 990));
	assert_true(near(latency_quantile(&l, 0), 1));
	assert_true(near(latency_quantile(&l, 1), 1000));
	/* out of range */
	memset(&l, 0, sizeof(l));
	latency_add(&l, -1);
	assert_true(latency_quantile(&l, 0.5) < 0.001);
	latency_add(&l, 1e12);
	assert_true(latency_quantile(&l, 1) > 4e6);
}

static void t_latency_forgets(void **state)
{
	static struct latency l;

	(void)state;
	for (unsigned i = 0; i < LATENCY_KEEP * 3; i++)
		latency_add(&l, 1000);
	for (unsigned i = 0; i < LATENCY_KEEP / 4; i++)
		latency_add(&l, 1);
	assert_true(near(latency_quantile(&l, 0.5), 1000));
	for (unsigned i = 0; i < LATENCY_KEEP; i++)
		latency_add(&l, 1);
	assert_true(near(latency_quantile(&l, 0.99), 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_put_and_get),     cmocka_unit_test(t_bounded),
		cmocka_unit_test(t_like_a_list),     cmocka_unit_test(t_latency),
		cmocka_unit_test(t_latency_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
