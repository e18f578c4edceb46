#include "common/rng.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static void t_seed_repeats_everywhere(void **state)
{
	struct rng a, b;
	uint8_t bytes[7], again[7];

	(void)state;
	rng_init_seed(&a, 42);
	rng_init_seed(&b, 42);
	for (int i = 0; i < 100; i++)
		assert_int_equal(rng_u32(&a), rng_u32(&b));
	rng_bytes(&a, bytes, sizeof(bytes));
	rng_bytes(&b, again, sizeof(again));
	assert_memory_equal(bytes, again, sizeof(bytes));
	rng_init_seed(&b, 43);
	assert_int_not_equal(rng_u32(&a), rng_u32(&b));
}

/* xoshiro256** 1.0 after splitmix64(0), computed apart from this code (high 32 bits). */
static void t_known_answer(void **state)
{
	static const uint32_t want[] = { 0x99ec5f36u, 0xbf6e1f78u, 0x1a5f849du, 0x6aa594f1u };
	struct rng r;

	(void)state;
	rng_init_seed(&r, 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(rng_u32(&r), want[i]);
}

static void t_below_is_in_range_and_even(void **state)
{
	unsigned seen[6] = { 0 };
	struct rng r;

	(void)state;
	rng_init_seed(&r, 1);
	for (int i = 0; i < 60000; i++) {
		uint32_t v = rng_below(&r, 6);

		assert_in_range(v, 0, 5);
		seen[v]++;
	}
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], 9600, 10400); /* more than 4 sigma either side */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(rng_below(&r, 1), 0);
		assert_true(rng_below(&r, 0x80000001u) <= 0x80000000u);
	}
}

static void t_system_differs_and_wipes_what_it_gave(void **state)
{
	static const uint8_t zero[RNG_POOL];
	uint8_t a[3 * RNG_POOL + 5], b[sizeof(a)];
	struct rng r, r2;

	(void)state;
	rng_init_system(&r);
	rng_init_system(&r2);
	rng_bytes(&r, a, sizeof(a));
	rng_bytes(&r2, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, a + RNG_POOL, RNG_POOL);
	assert_int_equal(r.left, RNG_POOL - 5);
	assert_memory_equal(r.pool, zero, 5);
	assert_memory_not_equal(r.pool + 5, zero, RNG_POOL - 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_seed_repeats_everywhere),
		cmocka_unit_test(t_known_answer),
		cmocka_unit_test(t_below_is_in_range_and_even),
		cmocka_unit_test(t_system_differs_and_wipes_what_it_gave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
