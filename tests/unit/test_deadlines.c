#include "net/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/rng.h"

#define MEMBERS 200

/** Any order of set, move and remove: each comes out at its time, not before, not twice. */
static void t_against_a_plain_list(void **state)
{
	static struct deadline e[MEMBERS];
	static bool in[MEMBERS];
	struct deadlines d = { 0 };
	struct rng rng;
	uint64_t now = 0, next;

	(void)state;
	rng_init_seed(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		uint32_t i = rng_below(&rng, MEMBERS);
		struct deadline *due;

		switch (rng_below(&rng, 4)) {
		case 0:
		case 1:
			assert_int_equal(deadlines_set(&d, &e[i], now + rng_below(&rng, 1000)), 0);
			in[i] = true;
			break;
		case 2:
			deadlines_remove(&d, &e[i]);
			in[i] = false;
			break;
		default:
			now += rng_below(&rng, 50);
			while ((due = deadlines_pop(&d, now)) != NULL) {
				assert_true(in[due - e]);
				assert_true(due->at <= now);
				in[due - e] = false;
			}
			for (size_t k = 0; k < MEMBERS; k++)
				assert_true(!in[k] || e[k].at > now);
		}
		if (deadlines_next(&d, &next))
			for (size_t k = 0; k < MEMBERS; k++)
				assert_true(!in[k] ||
					    e[k].at >= next); /* never looked at too late */
	}
	while (deadlines_take(&d) != NULL)
		continue;
	assert_false(deadlines_next(&d, &next));
	deadlines_done(&d);
}

static void t_moving_later_is_lazy(void **state)
{
	struct deadline e = { 0 };
	struct deadlines d = { 0 };
	uint64_t next;

	(void)state;
	assert_int_equal(deadlines_set(&d, &e, 100), 0);
	assert_int_equal(deadlines_set(&d, &e, 300), 0);
	assert_true(deadlines_next(&d, &next));
	assert_int_equal(next, 100); /* the heap has not been touched */
	assert_null(deadlines_pop(&d, 100));
	assert_true(deadlines_next(&d, &next));
	assert_int_equal(next, 300);
	assert_int_equal(deadlines_set(&d, &e, 200), 0);
	assert_null(deadlines_pop(&d, 199));
	assert_ptr_equal(deadlines_pop(&d, 200), &e);
	deadlines_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_against_a_plain_list),
		cmocka_unit_test(t_moving_later_is_lazy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
