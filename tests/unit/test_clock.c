#include "common/clock.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static int64_t fixed_wall(void *ctx)
{
	return *(int64_t *)ctx;
}

static void t_system_goes_forward(void **state)
{
	const struct clock *c = clock_system();
	uint64_t before = clock_mono_ms(c);

	(void)state;
	assert_true(clock_mono_ms(c) >= before);
	assert_true(clock_wall_ms(c) > INT64_C(1700000000000));
}

static void t_seconds_round_down(void **state)
{
	int64_t now = -1;
	struct clock c = { .wall_ms = fixed_wall, .ctx = &now };

	(void)state;
	assert_int_equal(clock_wall_s(&c), -1);
	now = 1999;
	assert_int_equal(clock_wall_s(&c), 1);
}

static void t_rfc3339(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
		const char *back; /* NULL: the same */
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0, NULL },
		{ "2026-11-21T08:00:00Z", INT64_C(1795248000000), NULL },
		{ "2024-02-29T23:59:59Z", INT64_C(1709251199000), NULL },
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000), NULL },
		{ "1969-12-31T23:59:59Z", -1000, NULL },
		{ "0001-01-01T00:00:00Z", INT64_C(-62135596800000), NULL },
		{ "9999-12-31T23:59:59Z", INT64_C(253402300799000), NULL },
		{ "2026-11-21t10:30:00.25+02:30", INT64_C(1795248000250), "2026-11-21T08:00:00Z" },
		{ "2026-11-21 00:00:00.1239-08:00", INT64_C(1795248000123),
		  "2026-11-21T08:00:00Z" },
		{ "2016-12-31T23:59:60Z", INT64_C(1483228800000), "2017-01-01T00:00:00Z" },
	};
	static const char *const bad[] = {
		"",
		"2026-11-21",
		"2026-11-21T08:00:00",
		"2026-11-21T08:00Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2025-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-11-31T00:00:00Z",
		"2026-11-21T24:00:00Z",
		"2026-11-21T08:60:00Z",
		"2026-11-21T08:00:61Z",
		"2026-11-21T08:00:00.Z",
		"2026-11-21T08:00:00+0200",
		"2026-11-21T08:00:00+24:00",
		"2026-11-21T08:00:00Zx",
		"26-11-21T08:00:00Z",
		"+026-11-21T08:00:00Z",
		"0000-01-01T00:00:00Z",
	};
	char buf[CLOCK_TEXT_MAX];
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(clock_parse_rfc3339(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
		clock_format_rfc3339(ms, buf);
		assert_string_equal(buf, good[i].back != NULL ? good[i].back : good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(clock_parse_rfc3339(bad[i], &ms), ERR_PARSE);
	clock_format_rfc3339(INT64_MAX, buf);
	assert_string_equal(buf, "0000-00-00T00:00:00Z");
	clock_format_rfc3339(INT64_MIN, buf);
	assert_string_equal(buf, "0000-00-00T00:00:00Z");
}

static void t_duration(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
		const char *back;
	} good[] = {
		{ "0s", 0, "0s" },
		{ "250ms", 250, "250ms" },
		{ "1000ms", 1000, "1s" },
		{ "90s", 90000, "90s" },
		{ "60m", 3600000, "1h" },
		{ "24h", 86400000, "1d" },
		{ "7d", 604800000, "7d" },
		{ "18446744073709551615ms", UINT64_MAX, "18446744073709551615ms" },
	};
	static const char *const bad[] = {
		"",
		"10",
		"s",
		"-1s",
		"+1s",
		" 1s",
		"1 s",
		"1.5h",
		"1h30m",
		"1S",
		"1sec",
		"1w",
		"1ms ",
		"18446744073709551616ms",
		"18446744073709551615s",
	};
	char buf[CLOCK_TEXT_MAX];
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(duration_parse(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
		duration_format(ms, buf);
		assert_string_equal(buf, good[i].back);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(duration_parse(bad[i], &ms), ERR_PARSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_system_goes_forward),
		cmocka_unit_test(t_seconds_round_down),
		cmocka_unit_test(t_rfc3339),
		cmocka_unit_test(t_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
