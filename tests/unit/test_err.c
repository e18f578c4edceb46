#include "common/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static void t_every_code_has_name_text_and_class(void **state)
{
	(void)state;
	assert_string_equal(err_name(ERR_TIMEOUT), "TIMEOUT");
	assert_int_equal(err_class(ERR_TIMEOUT), ERRC_RETRY);
	assert_string_equal(err_name(-ECONNREFUSED), "ECONNREFUSED");
	assert_int_equal(err_class(-ECONNREFUSED), ERRC_NEXT_SERVER);
	assert_string_equal(err_name(-4095), "EOF");
	assert_string_equal(err_name(-9999), "UNKNOWN");
	assert_string_equal(err_text(-9999), "unknown error");
}

static void t_codes_are_distinct(void **state)
{
	static const int codes[] = {
#define X(n, c, k, t) (c),
		ERR_MAP(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(codes[i], codes[j]);
}

static void t_info_is_bounded_and_optional(void **state)
{
	struct err_info info;

	(void)state;
	assert_int_equal(err_set(NULL, ERR_CONFIG, "%d", 1), ERR_CONFIG);
	assert_int_equal(err_set(&info, ERR_CONFIG, "%0999d", 1), ERR_CONFIG);
	assert_int_equal(info.text[ERR_INFO_MAX - 1], '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_every_code_has_name_text_and_class),
		cmocka_unit_test(t_codes_are_distinct),
		cmocka_unit_test(t_info_is_bounded_and_optional),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
