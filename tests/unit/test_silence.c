#include "net/silence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/test_net.h"

/** Misses that end at @p now, of attempts that began 2 s before. */
static void miss(struct silence *s, const struct addr *a, unsigned n, uint64_t now)
{
	while (n-- > 0)
		silence_missed(s, a, now - 2000, now);
}

static void t_S15_misses_in_a_row(void **state)
{
	struct addr a = test_addr("192.0.2.1:53"), b = test_addr("192.0.2.1:54");
	struct silence *s = silence_new();
	const uint64_t t = 1000000;

	(void)state;
	assert_non_null(s);
	assert_false(silence_is_silent(s, &a, t));
	miss(s, &a, SILENCE_MISSES - 1, t);
	assert_false(silence_is_silent(s, &a, t + 4000));
	miss(s, &a, 1, t + 4000);
	assert_true(silence_is_silent(s, &a, t + 4000));
	assert_false(silence_is_silent(s, &b, t + 4000)); /* another port */
	assert_true(silence_is_silent(s, &a, t + 4000 + SILENCE_MS));
	assert_false(silence_is_silent(s, &a, t + 4001 + SILENCE_MS)); /* long ago */
	silence_heard(s, &a, t + 4000);
	assert_false(silence_is_silent(s, &a, t + 4000));
	miss(s, &a, 1, t + 6001);
	miss(s, &a, SILENCE_MISSES - 2, t + 10000); /* from the beginning again */
	assert_false(silence_is_silent(s, &a, t + 20000));
	miss(s, &a, 1, t + 10001 + SILENCE_MS); /* after a pause, too */
	assert_false(silence_is_silent(s, &a, t + 20000 + SILENCE_MS));
	silence_free(s);
}

/* A burst: all attempts end at one moment, and the server is only slow. */
static void t_S15_a_slow_server_is_not_silent(void **state)
{
	struct addr a = test_addr("192.0.2.1:53");
	struct silence *s = silence_new();
	const uint64_t t = 1000000;

	(void)state;
	assert_non_null(s);
	miss(s, &a, 100, t); /* two seconds of nothing are too few */
	assert_false(silence_is_silent(s, &a, t));
	silence_heard(s, &a, t + 1000);
	miss(s, &a, 100, t + 2000); /* they began before it was heard */
	miss(s, &a, 100, t + 3000);
	assert_false(silence_is_silent(s, &a, t + 3000));
	assert_false(silence_is_silent(s, &a, t + 9000));
	miss(s, &a, 100, t + 3001);
	assert_false(silence_is_silent(s, &a, t + 3001));
	miss(s, &a, 1, t + 6001);
	assert_true(silence_is_silent(s, &a, t + 6001));
	silence_free(s);
}

/* An attempt that was cut short because the server is silent does not keep it so. */
static void t_S15_a_silent_server_has_its_time_again(void **state)
{
	struct addr a = test_addr("192.0.2.1:53");
	struct silence *s = silence_new();
	const uint64_t t = 1000000, over = t + SILENCE_MS;

	(void)state;
	assert_non_null(s);
	miss(s, &a, SILENCE_MISSES, t);
	assert_true(silence_is_silent(s, &a, t + 3000));
	for (uint64_t at = t + 3000; at <= over; at += 1000)
		silence_missed(s, &a, at, at + 1000);
	assert_true(silence_is_silent(s, &a, over));
	assert_false(silence_is_silent(s, &a, over + 1));
	silence_missed(s, &a, over + 1, over + 2001); /* with its full time, and in vain */
	assert_true(silence_is_silent(s, &a, over + 2001));
	assert_false(silence_is_silent(s, &a, over + 2002 + SILENCE_MS));
	silence_missed(s, &a, over + 4 * SILENCE_MS, over + 2000 + 4 * SILENCE_MS); /* long ago */
	assert_false(silence_is_silent(s, &a, over + 2000 + 4 * SILENCE_MS));
	silence_free(s);
}

/* More servers than slots: some are forgotten, none is called silent that is not. */
static void t_S15_memory_is_bounded(void **state)
{
	struct silence *s = silence_new();
	unsigned known = 0;

	(void)state;
	assert_non_null(s);
	for (unsigned i = 0; i < 4 * SILENCE_SLOTS; i++) {
		char text[32];
		struct addr a;

		snprintf(text, sizeof(text), "192.0.%u.%u:53", i / 256, i % 256);
		a = test_addr(text);
		assert_false(silence_is_silent(s, &a, 9000));
		miss(s, &a, SILENCE_MISSES, 4000);
		assert_true(silence_is_silent(s, &a, 9000));
	}
	for (unsigned i = 0; i < 4 * SILENCE_SLOTS; i++) {
		char text[32];
		struct addr a;

		snprintf(text, sizeof(text), "192.0.%u.%u:53", i / 256, i % 256);
		a = test_addr(text);
		known += silence_is_silent(s, &a, 9000);
	}
	assert_true(known > 0 && known <= SILENCE_SLOTS);
	silence_free(s);
}

static void t_nothing_is_remembered_without_a_table(void **state)
{
	struct addr a = test_addr("[2001:db8::1]:53");

	(void)state;
	miss(NULL, &a, SILENCE_MISSES, 4000);
	silence_heard(NULL, &a, 1);
	assert_false(silence_is_silent(NULL, &a, 9000));
	silence_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_S15_misses_in_a_row),
		cmocka_unit_test(t_S15_a_slow_server_is_not_silent),
		cmocka_unit_test(t_S15_a_silent_server_has_its_time_again),
		cmocka_unit_test(t_S15_memory_is_bounded),
		cmocka_unit_test(t_nothing_is_remembered_without_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
